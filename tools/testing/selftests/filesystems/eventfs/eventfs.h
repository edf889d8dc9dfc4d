/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of eventfs: creation and removal of events, listing of
 * directories, and other helpers.
 */
#ifndef _SELFTESTS_EVENTFS_H
#define _SELFTESTS_EVENTFS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/types.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRACING		"/sys/kernel/tracing"
#define EVENTS		TRACING "/events"
#define INSTANCES	TRACING "/instances"

/* The names of everything that the tests create start with this. */
#define PREFIX		"eventfs_st"

#define PATIENCE	60	/* seconds after which something counts as hung */
#define TEST_SECONDS	900	/* until the harness ends a test, also on slow kernels */
#define NR_STANDING	4	/* events that exist throughout a test */
#define DEFAULT_ROUNDS	16

#ifndef FSOPEN_CLOEXEC	/* a C library without the calls of this mount API */
#define FSOPEN_CLOEXEC		1
#define FSMOUNT_CLOEXEC		1
#define FSCONFIG_SET_STRING	1
#define FSCONFIG_CMD_CREATE	6
#endif

/* The inode number that the files of all events had before they got their own */
#define SHARED_INO	19680823

#define ARRAY_LEN(array)	(sizeof(array) / sizeof(*(array)))

/* Room for one short entry of getdents64(), and for one of any length */
#define SMALL_BUFFER	40
#define ENTRY_BUFFER	280

/**
 * struct kind - a kind of event that can be created and removed
 * @group: the directory in events/
 * @add: the command that creates one, given its name
 * @interface: a file that exists if the kernel supports this kind
 * @missing: message if it does not
 * @name_max: the longest name that the kernel takes
 */
struct kind {
	const char *group;
	const char *add;
	const char *interface;
	const char *missing;
	unsigned int name_max;
};

static const struct kind kprobe_kind = {
	.group		= PREFIX,
	.add		= "p:" PREFIX "/%s vfs_read",
	.interface	= TRACING "/kprobe_events",
	.missing	= "no " TRACING "/kprobe_events",
	.name_max	= 63,
};

static const struct kind synthetic_kind = {
	.group		= "synthetic",
	.add		= "s:%s u64 value",
	.interface	= TRACING "/synthetic_events",
	.missing	= "no " TRACING "/synthetic_events",
	.name_max	= NAME_MAX,
};

static const struct kind user_kind = {
	.group		= "user_events",
	.add		= "u:%s",
	.interface	= TRACING "/user_events_data",
};

/*
 * Helpers
 */

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* EVENTFS_ROUNDS sets how often a test with threads creates and removes a name. */
static inline unsigned int nr_rounds(void)
{
	const char *text = getenv("EVENTFS_ROUNDS");
	int rounds = text ? atoi(text) : DEFAULT_ROUNDS;

	return rounds > 0 ? rounds : 1;
}

static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		error = errno;
	close(fd);
	return error;
}

static inline int reclaim(void)
{
	/*
	 * 4 keeps this out of the kernel's log. Of the other two, the first frees
	 * dentries, and the second frees the inodes that they held.
	 */
	static const char * const values[] = { "4", "2", "2" };
	int error = 0;

	for (unsigned int i = 0; i < sizeof(values) / sizeof(*values) && !error; i++)
		error = write_text("/proc/sys/vm/drop_caches", values[i]);
	return error;
}

/* These two return 0 or an errno, like most functions below. */
static inline int create_event(const struct kind *kind, const char *name)
{
	char text[1024];

	snprintf(text, sizeof(text), kind->add, name);
	return write_text(TRACING "/dynamic_events", text);
}

static inline int remove_event(const struct kind *kind, const char *name)
{
	char text[1024];

	snprintf(text, sizeof(text), "-:%s/%s", kind->group, name);
	return write_text(TRACING "/dynamic_events", text);
}

/* Paths are written to buffers of the caller, of PATH_MAX bytes. */
static inline const char *event_path(char *path, const struct kind *kind,
				     const char *name, const char *file)
{
	snprintf(path, PATH_MAX, EVENTS "/%s/%s/%s", kind->group, name, file);
	return path;
}

static inline const char *group_path(char *path, const struct kind *kind)
{
	snprintf(path, PATH_MAX, EVENTS "/%s", kind->group);
	return path;
}

static inline const char *standing_name(char name[32], unsigned int i)
{
	snprintf(name, 32, PREFIX "_s%u", i);
	return name;
}

static inline int stat_path(const char *path)
{
	struct stat st;

	return stat(path, &st) ? errno : 0;
}

static inline int open_path(const char *path, int flags, int *fd)
{
	*fd = open(path, flags | O_CLOEXEC);
	return *fd < 0 ? errno : 0;
}

static inline int read_some(int fd)
{
	char buffer[64];

	return pread(fd, buffer, sizeof(buffer), 0) < 0 ? errno : 0;
}

static inline int open_and_read(const char *path)
{
	int error, fd;

	error = open_path(path, O_RDONLY, &fd);
	if (error)
		return error;
	error = read_some(fd);
	close(fd);
	return error;
}

/*
 * Directories, entry by entry
 */

struct lister {
	int fd;
	size_t size;	/* of the buffer that the kernel is given */
	size_t at;
	size_t end;
	__u64 buffer[512];	/* aligned, and 4096 bytes */
};

static inline int lister_open(struct lister *lister, const char *path, size_t size)
{
	lister->size = size;
	lister->at = 0;
	lister->end = 0;
	return open_path(path, O_RDONLY | O_DIRECTORY, &lister->fd);
}

/* Sets *entry to the next entry, or to NULL at the end. */
static inline int lister_next(struct lister *lister, const struct dirent64 **entry)
{
	ssize_t got;

	*entry = NULL;
	if (lister->at == lister->end) {
		got = syscall(SYS_getdents64, lister->fd, lister->buffer, lister->size);
		/* An event of another task, with a longer name */
		if (got < 0 && errno == EINVAL && lister->size < ENTRY_BUFFER)
			got = syscall(SYS_getdents64, lister->fd, lister->buffer,
				      ENTRY_BUFFER);
		if (got < 0)
			return errno;
		lister->at = 0;
		lister->end = got;
		if (!got)
			return 0;
	}
	*entry = (const void *)((const char *)lister->buffer + lister->at);
	lister->at += (*entry)->d_reclen;
	return 0;
}

/* Lists a directory to its end, with a buffer of this size. Return: 0 or an errno */
static inline int list_in_pieces(const char *path, size_t size)
{
	const struct dirent64 *entry;
	struct lister lister;
	int error;

	error = lister_open(&lister, path, size);
	if (error)
		return error;
	while (!(error = lister_next(&lister, &entry)) && entry)
		;
	close(lister.fd);
	return error;
}

static inline int list_to_end(const char *path)
{
	return list_in_pieces(path, sizeof(((struct lister *)NULL)->buffer));
}

/* How often a listing of @dir has @name, or -1 */
static inline int times_listed(const char *dir, const char *name)
{
	const struct dirent64 *entry;
	struct lister lister;
	int times = 0;

	if (lister_open(&lister, dir, sizeof(lister.buffer)))
		return -1;
	while (!lister_next(&lister, &entry) && entry)
		times += !strcmp(entry->d_name, name);
	close(lister.fd);
	return times;
}

static inline bool is_ours(const struct dirent64 *entry)
{
	return !strncmp(entry->d_name, PREFIX, strlen(PREFIX));
}

static inline bool is_dots(const struct dirent64 *entry)
{
	return !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
}

/*
 * Watches
 */

/* Reads inotify's events as a line of text. */
static inline const char *notices(int fd, char *text, size_t size)
{
	__u64 buffer[512];	/* aligned, and 4096 bytes */
	ssize_t got = read(fd, buffer, sizeof(buffer));
	size_t at = 0;

	text[0] = 0;
	for (ssize_t i = 0; i < got;) {
		const struct inotify_event *event = (const void *)((const char *)buffer + i);

		at += snprintf(text + at, at < size ? size - at : 0, "%s%s%s%s%s%s;",
			       event->mask & IN_OPEN ? "open " : "",
			       event->mask & IN_CREATE ? "create " : "",
			       event->mask & IN_DELETE ? "delete " : "",
			       event->mask & IN_DELETE_SELF ? "delete_self" : "",
			       event->mask & IN_ISDIR ? "dir " : "",
			       event->len ? event->name : "");
		if (at >= size)
			break;
		i += sizeof(*event) + event->len;
	}
	return text;
}

/*
 * Mounts
 */

/* Mounts of this process are not visible elsewhere, and end with it. */
static inline int mount_privately(void)
{
	if (unshare(CLONE_NEWNS))
		return errno;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ? errno : 0;
}

/* A mount without a mount point, which exists as long as its descriptor is open */
static inline int mount_nowhere(const char *type, const char *uid, const char *gid, int *fd)
{
	int fs = syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int error = 0;

	*fd = -1;
	if (fs < 0)
		return errno;
	if ((uid && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "uid", uid, 0)) ||
	    (gid && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "gid", gid, 0)) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		error = errno;
	if (!error) {
		*fd = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		error = *fd < 0 ? errno : 0;
	}
	close(fs);
	return error;
}

/*
 * Owners
 */

/* Without options nothing changes, but the VFS drops unused dentries and inodes. */
static inline int remount_with(const char *options)
{
	struct statvfs st;

	if (statvfs(TRACING, &st))
		return errno;
	/* The flags of statvfs() have the values of those of mount(). */
	return mount(NULL, TRACING, NULL, MS_REMOUNT |
		     (st.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME)),
		     options) ? errno : 0;
}

static inline int remount(uid_t uid, gid_t gid)
{
	char options[64];

	snprintf(options, sizeof(options), "uid=%u,gid=%u", uid, gid);
	return remount_with(options);
}

/* Continue as this user in this group and in no other. */
static inline int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(-1, gid, -1) || setresuid(-1, uid, -1))
		return errno;
	return 0;
}

static inline int become_root(void)
{
	return setresuid(-1, 0, -1) || setresgid(-1, 0, -1) ? errno : 0;
}

/*
 * Slab caches
 */

static const char * const slab_names[] = { "eventfs_inode", "tracefs_inode_cache" };

#define NR_SLABS	ARRAY_LEN(slab_names)

/* Objects in use, or -1 if the kernel does not report them */
static inline long slab_count(const char *name)
{
	char line[512], format[64];
	long count = -1;
	char path[PATH_MAX];
	FILE *file;

	/* Return the free objects in per-CPU lists, which would be counted. */
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
	if (write_text(path, "1"))
		return -1;
	file = fopen("/proc/slabinfo", "re");
	if (!file)
		return -1;
	snprintf(format, sizeof(format), "%s %%ld ", name);
	while (count < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, format, &count) != 1)
			count = -1;
	}
	fclose(file);
	return count;
}

/*
 * Waits until no more than @limit are in use. Memory is freed after a grace period,
 * for the end of which this can only poll.
 */
static inline long slab_settle(const char *name, long limit)
{
	double deadline = now() + PATIENCE;
	long count;

	while ((count = slab_count(name)) > limit && now() < deadline)
		usleep(10000);
	return count;
}

/* Waits for grace periods, after which objects that were freed before are returned. */
static inline void slab_flush(void)
{
	for (int i = 0; i < 3; i++)
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0);
}

/* Counts objects after unused dentries and inodes were dropped. */
static inline int count_slabs(long counts[NR_SLABS])
{
	int error = reclaim();

	slab_flush();
	for (size_t s = 0; s < NR_SLABS; s++)
		counts[s] = slab_count(slab_names[s]);
	return error;
}

/* Which objects are more than @counts, even after a wait, or "" */
static inline const char *slab_rise(const long counts[NR_SLABS])
{
	static char text[128];
	long count;

	for (size_t s = 0; s < NR_SLABS; s++) {
		count = slab_settle(slab_names[s], counts[s]);
		if (count > counts[s]) {
			snprintf(text, sizeof(text), "%s: %ld before, %ld after",
				 slab_names[s], counts[s], count);
			return text;
		}
	}
	return "";
}

/*
 * The module of samples/trace_events
 */

#define SAMPLE		"trace_events_sample"

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE	4
#endif

/* Finds its file. Return: 0, or ENOENT if there is no such module for this kernel */
static inline int find_sample(char file[PATH_MAX])
{
	FILE *output = popen("modprobe --show-depends " SAMPLE " 2>/dev/null", "re");
	char line[PATH_MAX + 16];

	file[0] = 0;
	while (output && fgets(line, sizeof(line), output))
		sscanf(line, "insmod %4095s", file);
	if (output)
		pclose(output);
	return file[0] ? 0 : ENOENT;
}

static inline int load_sample(const char *file)
{
	int flags = strcmp(strrchr(file, '.'), ".ko") ? MODULE_INIT_COMPRESSED_FILE : 0;
	int error, fd;

	error = open_path(file, O_RDONLY, &fd);
	if (error)
		return error;
	error = syscall(SYS_finit_module, fd, "", flags) ? errno : 0;
	close(fd);
	return error;
}

/* Return: 0, EWOULDBLOCK if it is in use, or another errno */
static inline int unload_sample(void)
{
	return syscall(SYS_delete_module, SAMPLE, O_NONBLOCK) ? errno : 0;
}

/* The reason why the module cannot be loaded, or NULL; @file is where it is */
static inline const char *cannot_load(char file[PATH_MAX])
{
	int error;

	if (find_sample(file))
		return "modprobe finds no " SAMPLE ": make CONFIG_SAMPLE_TRACE_EVENTS=m";
	unload_sample();
	error = load_sample(file);
	unload_sample();
	return error == ENOSYS || error == EPERM || error == EKEYREJECTED ?
	       "this kernel loads no modules, or none without a signature" : NULL;
}

/*
 * Before and after each test
 */

/* The reason why tests with this kind of event cannot run, or NULL */
static inline const char *cannot_run(const struct kind *kind)
{
	struct statfs fs;
	struct stat st;

	if (geteuid())
		return "not run by root";
	if (statfs(TRACING, &fs) || fs.f_type != TRACEFS_MAGIC)
		return "tracefs is not mounted on " TRACING;
	if (!stat(EVENTS "/enable", &st) && st.st_ino == SHARED_INO)
		return "an older eventfs, whose files share one inode number";
	if (access(TRACING "/dynamic_events", W_OK))
		return "no " TRACING "/dynamic_events";
	if (access(kind->interface, F_OK))
		return kind->missing;
	return access(INSTANCES, F_OK) ? "no " INSTANCES : NULL;
}

/* Finds an object of the tests in a directory. @name is empty if there is none. */
static inline int find_ours(const char *path, char name[NAME_MAX + 1])
{
	const struct dirent64 *entry;
	struct lister lister;
	int error;

	name[0] = 0;
	error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error)
		return error == ENOENT ? 0 : error;
	while (!(error = lister_next(&lister, &entry)) && entry && !is_ours(entry))
		;
	if (!error && entry)
		snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
	close(lister.fd);
	return error;
}

static inline int remove_instance(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), INSTANCES "/%s", name);
	return rmdir(path) ? errno : 0;
}

/* Removes the tests' objects from a directory of events, or of instances. */
static inline int remove_ours(const char *path, const struct kind *kind)
{
	char name[NAME_MAX + 1];
	int error;

	do {
		error = find_ours(path, name);
		if (error || !*name)
			return error;
		error = kind ? remove_event(kind, name) : remove_instance(name);
	} while (!error);
	return error;
}

/* Instances first, because an event that is enabled in one cannot be removed. */
static inline int tidy(const struct kind *kind)
{
	char group[PATH_MAX];
	int error;

	error = remove_ours(INSTANCES, NULL);
	return error ? error : remove_ours(group_path(group, kind), kind);
}

static inline int make_all(const struct kind *kind)
{
	char name[32];
	int error;

	for (unsigned int i = 0; i < NR_STANDING; i++) {
		error = create_event(kind, standing_name(name, i));
		if (error)
			return error;
	}
	return mkdir(INSTANCES "/" PREFIX, 0750) ? errno : 0;
}

/*
 * Looks up a name in each system, which creates the directories of its events. They must
 * exist before a test counts objects.
 */
static inline int look_into_systems(const char *events)
{
	const struct dirent64 *entry;
	struct lister lister;
	char path[PATH_MAX];
	int error;

	error = lister_open(&lister, events, sizeof(lister.buffer));
	if (error)
		return error;
	while (!(error = lister_next(&lister, &entry)) && entry) {
		snprintf(path, sizeof(path), "%s/%s/none", events, entry->d_name);
		stat_path(path);
	}
	close(lister.fd);
	return error;
}

/* Creates what exists throughout a test: a few events and an instance. */
static inline int set_up(const struct kind *kind)
{
	int error;

	/* Remove what a killed run has left. */
	error = tidy(kind);
	if (error)
		return error;
	error = make_all(kind) ?: look_into_systems(EVENTS) ?:
		look_into_systems(INSTANCES "/" PREFIX "/events");
	if (error)
		tidy(kind);
	return error;
}

#endif /* _SELFTESTS_EVENTFS_H */
