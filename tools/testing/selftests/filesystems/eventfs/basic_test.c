// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what tracefs and eventfs show to programs. They create kprobe events
 * and user events, and take back what they created.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kselftest_harness.h"

#define TRACING		"/sys/kernel/tracing"
#define SYSTEM		"eventfs_basic"
#define SYSTEM_DIR	TRACING "/events/" SYSTEM

static int write_text(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	int error = 0;
	int fd;

	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, text, len) != len)
		error = errno;
	close(fd);
	return error;
}

static int create_event(const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "p:" SYSTEM "/%s vfs_read", name);
	return write_text(TRACING "/kprobe_events", command);
}

static int remove_event(const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "-:" SYSTEM "/%s", name);
	return write_text(TRACING "/kprobe_events", command);
}

FIXTURE(eventfs) {
};

FIXTURE_SETUP(eventfs)
{
	if (geteuid())
		SKIP(return, "must be root");
	if (access(TRACING "/events", F_OK) && mount("tracefs", TRACING, "tracefs", 0, NULL))
		SKIP(return, "no tracefs");
	if (access(TRACING "/kprobe_events", F_OK))
		SKIP(return, "no kprobe events");
	ASSERT_EQ(0, create_event("standing"));
}

FIXTURE_TEARDOWN(eventfs)
{
	remove_event("standing");
}

/* What stops the listing is the error that getdents64() reports. */
TEST_F(eventfs, listing_reports_bad_buffers)
{
	static const char * const dirs[] = { SYSTEM_DIR, SYSTEM_DIR "/standing" };
	char buffer[64];
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		fd = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		/* "." and ".." are not of interest. */
		ASSERT_EQ(48, syscall(SYS_getdents64, fd, buffer, 48));
		EXPECT_EQ(-1, syscall(SYS_getdents64, fd, (void *)1, 4096));
		EXPECT_EQ(EFAULT, errno) TH_LOG("%s", dirs[i]);
		EXPECT_EQ(-1, syscall(SYS_getdents64, fd, buffer, 8));
		EXPECT_EQ(EINVAL, errno) TH_LOG("%s", dirs[i]);
		close(fd);
	}
}

#ifdef __x86_64__
/* readdir(2), which only 32-bit processes have: 1 for an entry, 0 at the end */
static int old_readdir(int fd, void *entry)
{
	int ret;

	asm volatile("int $0x80" : "=a" (ret)
		     : "a" (89), "b" (fd), "c" (entry), "d" (1) : "memory");
	return ret;
}

TEST_F(eventfs, old_readdir_sees_the_end)
{
	static const char * const dirs[] = { "/proc/self/fd", SYSTEM_DIR };
	void *entry;
	int fd, ret, nr;
	pid_t child;

	/* A kernel without 32-bit system calls kills whoever makes one. */
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		old_readdir(-1, NULL);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &ret, 0));
	if (ret)
		SKIP(return, "no 32-bit system calls");

	entry = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, entry);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		fd = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		nr = 0;
		do {
			ret = old_readdir(fd, entry);
		} while (ret == 1 && nr++ < 100);
		EXPECT_EQ(0, ret) TH_LOG("%s after %d entries", dirs[i], nr);
		close(fd);
	}
	munmap(entry, 4096);
}
#endif

/* readdir(3) takes ENOENT for the end of a directory that was removed. */
TEST_F(eventfs, listing_of_removed_directory_ends)
{
	char buffer[64];
	DIR *dir;
	int fd;

	ASSERT_EQ(0, create_event("going"));
	fd = open(SYSTEM_DIR "/going", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	dir = opendir(SYSTEM_DIR "/going");
	ASSERT_NE(NULL, dir);
	ASSERT_EQ(48, syscall(SYS_getdents64, fd, buffer, 48));
	ASSERT_EQ(0, remove_event("going"));

	EXPECT_EQ(-1, syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
	EXPECT_EQ(ENOENT, errno);
	close(fd);

	while (errno = 0, readdir(dir))
		;
	EXPECT_EQ(0, errno);
	closedir(dir);
}

/*
 * Read the directory @path to its end.
 * @name: count the entries with this name, if it is not NULL
 * @type: the d_type of the last of them
 *
 * Return: the number of entries counted, or a negative errno
 */
static int list(const char *path, const char *name, int *type)
{
	struct dirent *entry;
	int error, nr = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return -errno;
	while (errno = 0, entry = readdir(dir)) {
		if (name && strcmp(entry->d_name, name))
			continue;
		if (type)
			*type = entry->d_type;
		nr++;
	}
	error = errno;
	closedir(dir);
	return error ? -error : nr;
}

/* As in <linux/user_events.h>, which the C library may not have. */
struct registration {
	uint32_t size;
	uint8_t enable_bit;
	uint8_t enable_size;
	uint16_t flags;
	uint64_t enable_addr;
	uint64_t name_args;
	uint32_t write_index;
};

struct unregistration {
	uint32_t size;
	uint8_t disable_bit;
	uint8_t reserved;
	uint16_t reserved2;
	uint64_t disable_addr;
};

#define REGISTER	_IOWR('*', 0, struct registration *)
#define UNREGISTER	_IOW('*', 2, struct unregistration *)

/*
 * A user event may have any name. One that cannot be looked up must not break
 * the listing of the other events of its system.
 */
TEST_F(eventfs, names_that_cannot_be_looked_up)
{
	static const struct {
		const char *name;
		int listed;
	} cases[] = {
		{ "eventfs_basic/a", 0 },
		{ "/", 0 },
		{ " ", 0 },	/* An empty name, and no fields */
		{ ".", 1 },
		{ "..", 1 },
	};
	static uint32_t enabled;
	struct registration reg = {
		.size		= sizeof(reg),
		.enable_size	= sizeof(enabled),
		.enable_addr	= (uintptr_t)&enabled,
	};
	struct unregistration unreg = {
		.size		= sizeof(unreg),
		.disable_addr	= (uintptr_t)&enabled,
	};
	int fd, keep;

	fd = open(TRACING "/user_events_data", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no user events");

	/* The directory of the system stays while this event exists. */
	keep = write_text(TRACING "/dynamic_events", "u:eventfs_basic");
	ASSERT_EQ(0, keep);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = cases[i].name;

		reg.name_args = (uintptr_t)name;
		ASSERT_EQ(0, ioctl(fd, REGISTER, &reg));
		EXPECT_EQ(cases[i].listed, list(TRACING "/events/user_events", name, NULL))
			TH_LOG("name '%s'", name);
		EXPECT_EQ(0, ioctl(fd, UNREGISTER, &unreg));
	}
	close(fd);
	EXPECT_EQ(0, write_text(TRACING "/dynamic_events", "-:user_events/eventfs_basic"));
}

#define NR_EVENTS	40

/* An entry that exists for the whole listing is listed once. */
TEST_F(eventfs, removal_makes_no_listing_skip)
{
	uint64_t buffer[4];	/* Room for one entry */
	const struct dirent64 *entry = (void *)buffer;
	int seen[NR_EVENTS] = {};
	char name[16];
	int fd, i;

	for (i = 0; i < NR_EVENTS; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		ASSERT_EQ(0, create_event(name));
	}

	fd = open(SYSTEM_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	/* One entry at a time */
	while (syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) > 0) {
		if (sscanf(entry->d_name, "e%d", &i) != 1 || i < 0 || i >= NR_EVENTS)
			continue;
		seen[i]++;
		/* The first half goes as soon as it was seen. */
		if (i < NR_EVENTS / 2)
			EXPECT_EQ(0, remove_event(entry->d_name));
	}
	close(fd);

	for (i = 0; i < NR_EVENTS; i++) {
		EXPECT_EQ(1, seen[i]) TH_LOG("e%d", i);
		snprintf(name, sizeof(name), "e%d", i);
		remove_event(name);
	}
}

/* seekdir() goes back to where telldir() was called. */
TEST_F(eventfs, seekdir_returns_to_telldir)
{
	char names[16][256] = {};
	long positions[16];
	struct dirent *entry;
	char name[16];
	int i, nr = 0;
	DIR *dir;

	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		ASSERT_EQ(0, create_event(name));
	}

	dir = opendir(SYSTEM_DIR);
	ASSERT_NE(NULL, dir);
	while (nr < 16) {
		positions[nr] = telldir(dir);
		entry = readdir(dir);
		if (!entry)
			break;
		snprintf(names[nr++], sizeof(names[0]), "%s", entry->d_name);
	}
	EXPECT_LE(7, nr);

	while (nr--) {
		seekdir(dir, positions[nr]);
		entry = readdir(dir);
		EXPECT_STREQ(names[nr], entry ? entry->d_name : "(end)");
	}
	closedir(dir);

	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		remove_event(name);
	}
}

/* An event may have the name of a file of its system, and then hides the file. */
TEST_F(eventfs, event_hides_file_of_its_name)
{
	struct stat st;
	int type = -1;

	/* The file is in the dentry cache. */
	ASSERT_EQ(0, stat(SYSTEM_DIR "/enable", &st));
	ASSERT_TRUE(S_ISREG(st.st_mode));

	ASSERT_EQ(0, create_event("enable"));
	EXPECT_EQ(1, list(SYSTEM_DIR, "enable", &type));
	EXPECT_EQ(DT_DIR, type);
	EXPECT_EQ(0, stat(SYSTEM_DIR "/enable", &st));
	EXPECT_TRUE(S_ISDIR(st.st_mode));
	EXPECT_EQ(0, access(SYSTEM_DIR "/enable/format", F_OK));
	EXPECT_EQ(0, access(SYSTEM_DIR "/filter", F_OK));

	ASSERT_EQ(0, remove_event("enable"));
	EXPECT_EQ(1, list(SYSTEM_DIR, "enable", &type));
	EXPECT_EQ(DT_REG, type);
	EXPECT_EQ(0, stat(SYSTEM_DIR "/enable", &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
}

/* What /proc/mounts says of the mount at TRACING */
static int mount_options(char *text, size_t size)
{
	char line[1024], place[256], type[64], options[256];
	int found = 0;
	FILE *file;

	file = fopen("/proc/self/mounts", "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %255s %63s %255s", place, type, options) != 3)
			continue;
		if (strcmp(place, TRACING) || strcmp(type, "tracefs"))
			continue;
		snprintf(text, size, ",%s,", options);
		found = 1;
	}
	fclose(file);
	return found ? 0 : -ENOENT;
}

/* A mount that names no option changes none, and shows those of before. */
TEST_F(eventfs, mount_keeps_options_that_it_does_not_name)
{
	char dir[] = "/tmp/eventfs_basic.XXXXXX";
	char options[512], restore[64];
	struct stat st;

	ASSERT_EQ(0, stat(TRACING, &st));
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("tracefs", TRACING, "tracefs", MS_REMOUNT, "gid=1234,mode=750"));

	EXPECT_EQ(0, mount("tracefs", dir, "tracefs", 0, NULL));
	EXPECT_EQ(0, mount_options(options, sizeof(options)));
	EXPECT_NE(NULL, strstr(options, ",gid=1234,")) TH_LOG("a mount: %s", options);
	EXPECT_NE(NULL, strstr(options, ",mode=750,")) TH_LOG("a mount: %s", options);
	umount(dir);

	EXPECT_EQ(0, mount("tracefs", TRACING, "tracefs", MS_REMOUNT, "mode=700"));
	EXPECT_EQ(0, mount_options(options, sizeof(options)));
	EXPECT_NE(NULL, strstr(options, ",gid=1234,")) TH_LOG("a remount: %s", options);
	EXPECT_EQ(NULL, strstr(options, ",mode=")) TH_LOG("a remount: %s", options);

	snprintf(restore, sizeof(restore), "gid=%u,mode=%o", st.st_gid, st.st_mode & 07777);
	EXPECT_EQ(0, mount("tracefs", TRACING, "tracefs", MS_REMOUNT, restore));
	rmdir(dir);
}

#define INSTANCE	TRACING "/instances/eventfs_basic"

/* Give the files of the instance to 1111, or count those that are not of 2222. */
static int visit_files(bool give)
{
	struct dirent *entry;
	struct stat st;
	int nr = 0;
	DIR *dir;

	dir = opendir(INSTANCE);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_REG)
			continue;
		if (give)
			nr += !fchownat(dirfd(dir), entry->d_name, 1111, -1, 0);
		else
			nr += fstatat(dirfd(dir), entry->d_name, &st, 0) || st.st_uid != 2222;
	}
	closedir(dir);
	return nr;
}

/* The files of an instance follow the owner of the mount's root until they are chowned. */
TEST_F(eventfs, new_instance_does_not_inherit_chown)
{
	int wrong = 0;

	if (mkdir(INSTANCE, 0700))
		SKIP(return, "no instances");
	EXPECT_LT(0, visit_files(true));
	EXPECT_EQ(0, rmdir(INSTANCE));

	/* Their inodes are freed after an RCU grace period, and used again. */
	for (int i = 0; i < 5 && !wrong; i++) {
		usleep(100000);
		ASSERT_EQ(0, mkdir(INSTANCE, 0700));
		EXPECT_EQ(0, chown(TRACING, 2222, -1));
		wrong = visit_files(false);
		EXPECT_EQ(0, chown(TRACING, 0, -1));
		EXPECT_EQ(0, rmdir(INSTANCE));
	}
	EXPECT_EQ(0, wrong) TH_LOG("%d files do not follow", wrong);
}

/* A chown() that is not permitted has no effect on a later one of the root. */
TEST_F(eventfs, failed_chown_has_no_effect)
{
	struct stat st;
	int fd, status;
	pid_t child;

	ASSERT_EQ(0, mount("tracefs", TRACING, "tracefs", MS_REMOUNT, "uid=0"));
	fd = open(TRACING "/tracing_on", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(fchownat(fd, "", 65534, -1, AT_EMPTY_PATH) != -1 || errno != EPERM);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);

	EXPECT_EQ(0, chown(TRACING, 2222, -1));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(2222U, st.st_uid);
	EXPECT_EQ(0, mount("tracefs", TRACING, "tracefs", MS_REMOUNT, "uid=0"));
	close(fd);
}

/* A missing name is cached, but hides no event whose creation has returned. */
TEST_F(eventfs, cached_miss_hides_no_event)
{
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-1, access(SYSTEM_DIR "/late", F_OK));
		EXPECT_EQ(-1, access(SYSTEM_DIR "/late/format", F_OK));
		EXPECT_EQ(ENOENT, errno);

		/* Another event leaves the miss as it is. */
		ASSERT_EQ(0, create_event("other"));
		EXPECT_EQ(-1, access(SYSTEM_DIR "/late", F_OK));
		ASSERT_EQ(0, remove_event("other"));

		ASSERT_EQ(0, create_event("late"));
		EXPECT_EQ(0, access(SYSTEM_DIR "/late/format", F_OK));
		ASSERT_EQ(0, remove_event("late"));
	}
}

/* A directory has the time of the last event that came or went, also after reclaim. */
TEST_F(eventfs, times_survive_reclaim)
{
	struct statx before, created, after;

	ASSERT_EQ(0, statx(AT_FDCWD, SYSTEM_DIR, 0, STATX_BASIC_STATS | STATX_BTIME, &before));
	if (!(before.stx_mask & STATX_BTIME))
		SKIP(return, "times are those of the inode");

	usleep(20000);
	ASSERT_EQ(0, create_event("late"));
	EXPECT_EQ(0, statx(AT_FDCWD, SYSTEM_DIR, 0, STATX_BASIC_STATS, &created));
	EXPECT_NE(0, memcmp(&before.stx_mtime, &created.stx_mtime, sizeof(before.stx_mtime)));

	usleep(20000);
	EXPECT_EQ(0, write_text("/proc/sys/vm/drop_caches", "2"));
	EXPECT_EQ(0, statx(AT_FDCWD, SYSTEM_DIR, 0, STATX_BASIC_STATS, &after));
	EXPECT_EQ(0, memcmp(&created.stx_mtime, &after.stx_mtime, sizeof(after.stx_mtime)));
	EXPECT_EQ(0, memcmp(&created.stx_ctime, &after.stx_ctime, sizeof(after.stx_ctime)));
	ASSERT_EQ(0, remove_event("late"));
}

static char first_char(const char *path)
{
	char c = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

/* Events of an instance can be used before anything has looked for them. */
TEST_F(eventfs, instance_has_events_before_the_first_look)
{
	if (mkdir(INSTANCE, 0700))
		SKIP(return, "no instances");

	EXPECT_EQ(0, write_text(INSTANCE "/set_event", SYSTEM ":standing"));
	EXPECT_EQ('1', first_char(INSTANCE "/events/" SYSTEM "/enable"));
	EXPECT_EQ('1', first_char(INSTANCE "/events/" SYSTEM "/standing/enable"));
	EXPECT_EQ(0, write_text(INSTANCE "/events/enable", "0"));
	EXPECT_EQ('0', first_char(INSTANCE "/events/" SYSTEM "/standing/enable"));
	EXPECT_EQ(0, rmdir(INSTANCE));

	/* What comes after the instance is there as well, looked at or not. */
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_EQ(0, create_event("unseen"));
	EXPECT_EQ(1, list(INSTANCE "/events/" SYSTEM, "unseen", NULL));
	ASSERT_EQ(0, create_event("seen"));
	EXPECT_EQ(1, list(INSTANCE "/events/" SYSTEM, "seen", NULL));
	EXPECT_EQ('0', first_char(INSTANCE "/events/" SYSTEM "/seen/enable"));
	ASSERT_EQ(0, remove_event("unseen"));
	ASSERT_EQ(0, remove_event("seen"));
	EXPECT_EQ(1, list(INSTANCE "/events/" SYSTEM, "standing", NULL));
	EXPECT_EQ(0, list(INSTANCE "/events/" SYSTEM, "seen", NULL));
	EXPECT_EQ(0, rmdir(INSTANCE));
}

TEST_HARNESS_MAIN
