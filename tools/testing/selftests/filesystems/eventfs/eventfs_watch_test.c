// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of eventfs: what inotify, dnotify and fanotify report when events and
 * instances are created and removed
 *
 * A creation is reported once, with its name, and before the removal. A lookup is
 * not reported. inotify and fanotify merge a notification into an equal one that is
 * not read yet. So dnotify, which sends a signal for each, is used to count them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID		0x200
#endif
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID	0x00001000
#endif

#define EVENT		PREFIX "_w"
#define INSTANCE	PREFIX "_w"

/* Room for the notifications of all files of an instance */
#define MANY		(64 * 1024)

/* More watches than a test begins */
#define NR_WATCHES	(64 * 1024)

FIXTURE(watch)
{
	const struct kind *kind;
	char group[PATH_MAX];	/* the directory of the events that are created and removed */
	char event[PATH_MAX];	/* one of them */
};

FIXTURE_SETUP(watch)
{
	const char *why = cannot_run(&kprobe_kind);

	if (why)
		SKIP(return, "%s", why);
	self->kind = &kprobe_kind;
	group_path(self->group, self->kind);
	event_path(self->event, self->kind, EVENT, "");
	ASSERT_EQ(0, set_up(self->kind));
}

/* Events of a system that is created and removed with them */
static const struct kind passing_kind = {
	.group		= PREFIX "_g",
	.add		= "p:" PREFIX "_g/%s vfs_read",
};

FIXTURE_TEARDOWN_PARENT(watch)
{
	remove_event(&passing_kind, EVENT);
	EXPECT_EQ(0, tidy(&kprobe_kind));
}

/*
 * dnotify
 */

static int dnotify_open(const char *path, unsigned long what, int *fd)
{
	sigset_t set;
	int error;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	error = open_path(path, O_RDONLY | O_DIRECTORY, fd);
	if (error)
		return error;
	/* Real-time signals are queued, one for each notification. */
	if (fcntl(*fd, F_SETSIG, SIGRTMIN) || fcntl(*fd, F_NOTIFY, DN_MULTISHOT | what))
		return errno;
	return 0;
}

/* Adds the notifications of @fd since the last call to @nr, and those of @other. */
static void dnotify_count_both(int fd, int *nr, int other, int *nr_other)
{
	const struct timespec none = {};
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	while (sigtimedwait(&set, &info, &none) == SIGRTMIN) {
		*nr += info.si_fd == fd;
		*nr_other += info.si_fd == other;
	}
}

static int dnotify_count(int fd)
{
	int nr = 0, others = 0;

	dnotify_count_both(fd, &nr, -1, &others);
	return nr;
}

TEST_F_TIMEOUT(watch, dnotify_tells_of_events, TEST_SECONDS)
{
	int created, deleted;
	int error;

	error = dnotify_open(self->group, DN_CREATE, &created);
	if (error == EINVAL)
		SKIP(return, "no dnotify in this kernel");
	ASSERT_EQ(0, error);
	ASSERT_EQ(0, dnotify_open(self->group, DN_DELETE, &deleted));

	EXPECT_EQ(ENOENT, stat_path(self->event));
	EXPECT_EQ(0, dnotify_count(created)) TH_LOG("a miss was told as a creation");
	ASSERT_EQ(0, create_event(self->kind, EVENT));
	EXPECT_EQ(1, dnotify_count(created));
	EXPECT_EQ(0, stat_path(self->event));
	EXPECT_EQ(0, reclaim());
	EXPECT_EQ(0, stat_path(self->event));
	EXPECT_EQ(0, dnotify_count(created)) TH_LOG("a lookup was told as a creation");
	/* The last count has taken the signals of both. */
	ASSERT_EQ(0, remove_event(self->kind, EVENT));
	EXPECT_EQ(1, dnotify_count(deleted));
	close(created);
	close(deleted);
}

/* Each is reported twice: by tracefs and by the VFS. */
TEST_F_TIMEOUT(watch, dnotify_tells_of_an_instance, TEST_SECONDS)
{
	int error, fd;

	error = dnotify_open(INSTANCES, DN_CREATE | DN_DELETE, &fd);
	if (error == EINVAL)
		SKIP(return, "no dnotify in this kernel");
	ASSERT_EQ(0, error);

	ASSERT_EQ(0, mkdir(INSTANCES "/" INSTANCE, 0750));
	EXPECT_EQ(2, dnotify_count(fd));
	EXPECT_EQ(-1, mkdir(INSTANCES "/" INSTANCE, 0750));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(0, dnotify_count(fd)) TH_LOG("what failed was told");
	ASSERT_EQ(0, rmdir(INSTANCES "/" INSTANCE));
	EXPECT_EQ(2, dnotify_count(fd));
	EXPECT_EQ(-1, rmdir(INSTANCES "/" INSTANCE));
	EXPECT_EQ(0, dnotify_count(fd)) TH_LOG("what failed was told");
	close(fd);
}

/*
 * inotify
 */

TEST_F_TIMEOUT(watch, inotify_tells_of_an_instance_in_order, TEST_SECONDS)
{
	const char *path = INSTANCES "/" INSTANCE;
	char text[256];
	int fd, wait;

	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_LE(0, inotify_add_watch(fd, INSTANCES, IN_CREATE | IN_DELETE));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, mkdir(path, 0750));
		EXPECT_STREQ("create dir " INSTANCE ";", notices(fd, text, sizeof(text)));
		ASSERT_LE(0, inotify_add_watch(fd, path, IN_DELETE_SELF));

		/* A busy instance stays, and its removal is not reported. */
		ASSERT_EQ(0, open_path(INSTANCES "/" INSTANCE "/trace_pipe",
				       O_RDONLY | O_NONBLOCK, &wait));
		EXPECT_EQ(-1, rmdir(path));
		EXPECT_EQ(EBUSY, errno);
		close(wait);
		EXPECT_EQ(0, stat_path(path));
		EXPECT_STREQ("", notices(fd, text, sizeof(text)));

		/* The event without a name is IN_IGNORED: the watch has ended. */
		ASSERT_EQ(0, rmdir(path));
		EXPECT_STREQ("delete dir " INSTANCE ";delete_self;;delete dir " INSTANCE ";",
			     notices(fd, text, sizeof(text)));
	}
	close(fd);
}

/* A system is created with its first event and removed with its last. */
TEST_F_TIMEOUT(watch, inotify_tells_of_systems, TEST_SECONDS)
{
	static const char * const events[] = { EVENTS, INSTANCES "/" PREFIX "/events" };
	char path[PATH_MAX];
	char text[256];
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, fds[i]);
		ASSERT_LE(0, inotify_add_watch(fds[i], events[i], IN_CREATE | IN_DELETE));
	}
	ASSERT_EQ(0, create_event(&passing_kind, EVENT));
	for (int i = 0; i < 2; i++) {
		EXPECT_STREQ("create dir " PREFIX "_g;", notices(fds[i], text, sizeof(text)));
		snprintf(path, sizeof(path), "%s/%s", events[i], passing_kind.group);
		ASSERT_LE(0, inotify_add_watch(fds[i], path, IN_DELETE_SELF));
		EXPECT_STREQ("", notices(fds[i], text, sizeof(text)));
	}
	ASSERT_EQ(0, remove_event(&passing_kind, EVENT));
	for (int i = 0; i < 2; i++) {
		EXPECT_STREQ("delete_self;;delete dir " PREFIX "_g;",
			     notices(fds[i], text, sizeof(text)));
		close(fds[i]);
	}
}

/* A watch of a file survives reclaim and ends when the file is removed. */
TEST_F_TIMEOUT(watch, inotify_tells_of_a_file, TEST_SECONDS)
{
	char text[256];
	int file = -1;
	int fd;

	event_path(self->event, self->kind, EVENT, "enable");
	for (int held = 0; held < 2; held++) {
		ASSERT_EQ(0, create_event(self->kind, EVENT));
		fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_LE(0, inotify_add_watch(fd, self->event, IN_OPEN | IN_DELETE_SELF));
		ASSERT_EQ(0, reclaim());
		EXPECT_STREQ("", notices(fd, text, sizeof(text)));
		ASSERT_EQ(0, open_path(self->event, O_RDONLY, &file));
		EXPECT_STREQ("open ;", notices(fd, text, sizeof(text)))
			TH_LOG("the watch is on another inode");
		if (!held) {
			close(file);
			ASSERT_EQ(0, reclaim());
		}

		ASSERT_EQ(0, remove_event(self->kind, EVENT));
		if (held) {
			EXPECT_STREQ("", notices(fd, text, sizeof(text)))
				TH_LOG("it has ended, and somebody could watch it again");
			close(file);
		}
		/* The event without a name is IN_IGNORED: the watch has ended. */
		EXPECT_STREQ("delete_self;;", notices(fd, text, sizeof(text)));
		close(fd);
	}
}

/* An open file is removed, and a watch of it begins after that. */
TEST_F_TIMEOUT(watch, inotify_of_what_was_removed_ends, TEST_SECONDS)
{
	static const char * const paths[] = {
		INSTANCES "/" INSTANCE,
		INSTANCES "/" INSTANCE "/tracing_on",
		INSTANCES "/" INSTANCE "/events",
		INSTANCES "/" INSTANCE "/events/enable",
		INSTANCES "/" INSTANCE "/events/" PREFIX,
		INSTANCES "/" INSTANCE "/events/" PREFIX "/" PREFIX "_s0/id",
	};
	char name[64], text[256];
	int held[ARRAY_LEN(paths)];
	int fd;

	ASSERT_EQ(0, mkdir(INSTANCES "/" INSTANCE, 0750));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		ASSERT_EQ(0, open_path(paths[i], O_PATH, &held[i])) TH_LOG("%s", paths[i]);
	}
	ASSERT_EQ(0, rmdir(INSTANCES "/" INSTANCE));
	/* Begin at the bottom, because dentries hold their parents. */
	for (int i = ARRAY_LEN(paths) - 1; i >= 0; i--) {
		fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, fd);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", held[i]);
		ASSERT_LE(0, inotify_add_watch(fd, name, IN_DELETE_SELF)) TH_LOG("%s", paths[i]);
		EXPECT_STREQ("", notices(fd, text, sizeof(text))) TH_LOG("%s", paths[i]);
		close(held[i]);
		EXPECT_STREQ("delete_self;;", notices(fd, text, sizeof(text)))
			TH_LOG("%s", paths[i]);
		close(fd);
	}
}

/* The events of each watch, by its number */
struct ends {
	int fd;
	atomic_bool stop;	/* for the tasks that begin watches */
	atomic_int error;	/* an error that no task should get */
	atomic_bool begun[NR_WATCHES];
	unsigned char told[NR_WATCHES];		/* number of IN_DELETE_SELF events */
	unsigned char ended[NR_WATCHES];
	unsigned int order[NR_WATCHES];		/* when it ended, counting from 1 */
	unsigned int nr_ended;
	int wrong;	/* number of events after the end of a watch */
};

static struct ends ends;

static void begin_ends(void)
{
	memset(&ends, 0, sizeof(ends));
	ends.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static void read_ends(void)
{
	__u64 buffer[512];	/* aligned, and 4096 bytes */
	ssize_t got;

	while ((got = read(ends.fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < got;) {
			const struct inotify_event *event = (void *)((char *)buffer + i);
			unsigned int watch = event->wd;

			i += sizeof(*event) + event->len;
			if (watch >= NR_WATCHES || ends.ended[watch]) {
				ends.wrong++;
			} else if (event->mask & IN_DELETE_SELF) {
				ends.told[watch]++;
			} else if (event->mask & IN_IGNORED) {
				ends.ended[watch]++;
				ends.order[watch] = ++ends.nr_ended;
			}
		}
	}
}

/* A task that has a file open may watch it, even if it was removed meanwhile. */
static int watch_open(const char *path)
{
	char name[64];
	int fd, watch;

	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(ends.fd, name, IN_DELETE_SELF);
	if (watch < 0)
		watch = -errno;
	close(fd);
	return watch;
}

/* The watched objects of an event, files before their directory */
static const char * const watched[] = { "enable", "format", "id", "" };

static void *contest_watch(void *data)
{
	const char *event = data;
	char path[PATH_MAX];

	for (unsigned int i = 0; !atomic_load(&ends.stop); i++) {
		int watch;

		snprintf(path, sizeof(path), "%s%s", event, watched[i % ARRAY_LEN(watched)]);
		watch = watch_open(path);
		if (watch < 0 || watch >= NR_WATCHES)
			atomic_store(&ends.error, watch);
		else if (watch)
			atomic_store(&ends.begun[watch], true);
		else
			usleep(100);
	}
	return NULL;
}

/* A watch that begins during a removal receives IN_DELETE_SELF once. */
TEST_F_TIMEOUT(watch, inotify_tells_each_watch_of_the_end, TEST_SECONDS)
{
	int nr = 0, silent = 0, twice = 0, left = 0;
	pthread_t watchers[2];

	event_path(self->event, self->kind, EVENT, "");
	begin_ends();
	ASSERT_LE(0, ends.fd);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&watchers[i], NULL, contest_watch, self->event));
	for (unsigned int round = 0; round < 4 * nr_rounds(); round++) {
		EXPECT_EQ(0, create_event(self->kind, EVENT));
		usleep(1000);
		EXPECT_EQ(0, remove_event(self->kind, EVENT));
		read_ends();
	}
	atomic_store(&ends.stop, true);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(watchers[i], NULL));
	read_ends();

	EXPECT_EQ(0, atomic_load(&ends.error));
	EXPECT_EQ(0, ends.wrong);
	for (unsigned int i = 0; i < NR_WATCHES; i++) {
		nr += ends.begun[i];
		left += ends.begun[i] && !ends.ended[i];
		silent += ends.begun[i] && !ends.told[i];
		twice += ends.told[i] > 1;
	}
	EXPECT_LT(0, nr);
	EXPECT_EQ(0, left) TH_LOG("of %d watches go on", nr);
	EXPECT_EQ(0, silent) TH_LOG("of %d watches were not told", nr);
	EXPECT_EQ(0, twice) TH_LOG("of %d watches were told twice", nr);
	close(ends.fd);
}

/* The order is that of rm -r, from the bottom up. */
TEST_F_TIMEOUT(watch, inotify_tells_of_files_before_their_directory, TEST_SECONDS)
{
	int watches[ARRAY_LEN(watched)];
	char path[PATH_MAX];

	begin_ends();
	ASSERT_LE(0, ends.fd);
	ASSERT_EQ(0, create_event(self->kind, EVENT));
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		event_path(path, self->kind, EVENT, watched[i]);
		watches[i] = watch_open(path);
		ASSERT_LT(0, watches[i]) TH_LOG("%s", path);
		ASSERT_GT(NR_WATCHES, watches[i]);
	}
	/* Now the directory, which was last, has a dentry, and no file has one. */
	ASSERT_EQ(0, reclaim());
	ASSERT_EQ(0, stat_path(path));
	ASSERT_EQ(0, remove_event(self->kind, EVENT));
	read_ends();
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		EXPECT_EQ(1, ends.told[watches[i]]);
		EXPECT_EQ(1, ends.ended[watches[i]]);
		EXPECT_GE(ends.order[watches[ARRAY_LEN(watched) - 1]], ends.order[watches[i]])
			TH_LOG("\"%s\" after its directory", watched[i]);
	}
	close(ends.fd);
}

/* A watch of an instance reports the removal of its contents, "events" included. */
TEST_F_TIMEOUT(watch, inotify_tells_what_goes_with_an_instance, TEST_SECONDS)
{
	const char *path = INSTANCES "/" INSTANCE;
	static char text[MANY];
	int fd, nr = 0;

	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mkdir(path, 0750));
	ASSERT_LE(0, inotify_add_watch(fd, path, IN_DELETE));
	ASSERT_EQ(0, rmdir(path));
	while (notices(fd, text, sizeof(text))[0]) {
		for (const char *at = text; (at = strstr(at, "delete dir events;")); at++)
			nr++;
	}
	EXPECT_EQ(1, nr);
	close(fd);
}

/*
 * fanotify
 */

/* A file handle from an event, for comparison */
struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static int get_handle(const char *path, struct handle *handle)
{
	int mount;

	memset(handle, 0, sizeof(*handle));
	handle->head.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, path, &handle->head, &mount, AT_HANDLE_FID) ?
		errno : 0;
}

static bool same_handle(const struct handle *a, const struct file_handle *b)
{
	return a->head.handle_type == b->handle_type &&
	       a->head.handle_bytes == b->handle_bytes &&
	       !memcmp(a->head.f_handle, b->f_handle, b->handle_bytes);
}

/* What fanotify reported: an event, and its objects */
struct told {
	uint64_t mask;
	unsigned int nr;
	bool has_dir;
	bool has_child;
	bool dir_fits;
	bool child_fits;
	char name[NAME_MAX + 1];
};

static void read_info(const struct fanotify_event_info_fid *info, struct told *told,
		      const struct handle *dir, const struct handle *child)
{
	const struct file_handle *handle = (const void *)info->handle;

	switch (info->hdr.info_type) {
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_DFID:
		if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
			snprintf(told->name, sizeof(told->name), "%s",
				 (const char *)handle->f_handle + handle->handle_bytes);
		told->has_dir = true;
		told->dir_fits = same_handle(dir, handle);
		break;
	case FAN_EVENT_INFO_TYPE_FID:
		told->has_child = true;
		told->child_fits = same_handle(child, handle);
		break;
	}
}

static struct told fanotify_read(int fd, const struct handle *dir, const struct handle *child)
{
	uint64_t buffer[512];	/* aligned, and 4096 bytes */
	ssize_t left = read(fd, buffer, sizeof(buffer));
	const struct fanotify_event_metadata *event = (const void *)buffer;
	struct told told = {};

	for (; left > 0 && FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
		const char *at = (const char *)event + event->metadata_len;
		const char *end = (const char *)event + event->event_len;

		told.nr++;
		told.mask = event->mask;
		while (at < end) {
			const struct fanotify_event_info_fid *info = (const void *)at;

			read_info(info, &told, dir, child);
			at += info->hdr.len;
		}
		if (event->fd >= 0)
			close(event->fd);
	}
	return told;
}

static int fanotify_group(unsigned int flags)
{
	return fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC | flags, O_RDONLY);
}

#define EXPECT_TOLD(what)							\
do {										\
	EXPECT_EQ(1u, told.nr);							\
	EXPECT_EQ((uint64_t)(what) | FAN_ONDIR, told.mask);			\
	EXPECT_STREQ(EVENT, told.name);						\
	EXPECT_TRUE(told.has_dir);						\
	EXPECT_TRUE(told.dir_fits) TH_LOG("not the directory's handle");	\
} while (0)

#define EXPECT_TOLD_CHILD(what)							\
do {										\
	EXPECT_TOLD(what);							\
	EXPECT_TRUE(told.has_child) TH_LOG("no handle of the event");		\
	EXPECT_TRUE(told.child_fits) TH_LOG("not the event's handle");		\
} while (0)

/* With and without an inode of the event when it is removed */
TEST_F_TIMEOUT(watch, fanotify_tells_handles, TEST_SECONDS)
{
	struct handle dir, child;
	struct told told;
	int error, fd;

	fd = fanotify_group(FAN_REPORT_DFID_NAME | FAN_REPORT_FID | FAN_REPORT_TARGET_FID);
	if (fd < 0)
		SKIP(return, "fanotify_init() with handles: %m");
	error = get_handle(self->group, &dir);
	if (error == EINVAL)
		SKIP(return, "name_to_handle_at() with AT_HANDLE_FID: %s", strerror(error));
	ASSERT_EQ(0, error);
	ASSERT_EQ(0, fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR,
				   AT_FDCWD, self->group));

	for (int looked_at = 0; looked_at <= 1; looked_at++) {
		int held = -1;

		ASSERT_EQ(0, create_event(self->kind, EVENT));
		/* The first lookup is after the notification, which is read later. */
		ASSERT_EQ(0, get_handle(self->event, &child));
		told = fanotify_read(fd, &dir, &child);
		EXPECT_TOLD_CHILD(FAN_CREATE);

		ASSERT_EQ(0, reclaim());
		if (looked_at)
			ASSERT_EQ(0, open_path(self->event, O_RDONLY, &held));
		told = fanotify_read(fd, &dir, &child);
		EXPECT_EQ(0u, told.nr) TH_LOG("a lookup or reclaim was told");

		ASSERT_EQ(0, remove_event(self->kind, EVENT));
		told = fanotify_read(fd, &dir, &child);
		EXPECT_TOLD_CHILD(FAN_DELETE);
		if (held >= 0)
			close(held);
	}
	close(fd);
}

TEST_F_TIMEOUT(watch, fanotify_tells_directory_and_name, TEST_SECONDS)
{
	struct handle dir, child = {};
	struct told told;
	int fd;

	fd = fanotify_group(FAN_REPORT_DFID_NAME);
	if (fd < 0)
		SKIP(return, "fanotify_init() with handles: %m");
	if (get_handle(self->group, &dir))
		SKIP(return, "name_to_handle_at() with AT_HANDLE_FID: %m");
	ASSERT_EQ(0, fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR,
				   AT_FDCWD, self->group));
	ASSERT_EQ(0, create_event(self->kind, EVENT));
	told = fanotify_read(fd, &dir, &child);
	EXPECT_TOLD(FAN_CREATE);
	EXPECT_FALSE(told.has_child);
	ASSERT_EQ(0, remove_event(self->kind, EVENT));
	told = fanotify_read(fd, &dir, &child);
	EXPECT_TOLD(FAN_DELETE);
	close(fd);
}

/* An open of a file is reported once, and a lookup is not. */
static void look_and_open(struct __test_metadata *_metadata, int fd, const char *path)
{
	struct handle none = {};

	/* Discard events of the test's own files. */
	fanotify_read(fd, &none, &none);
	EXPECT_EQ(0, reclaim());
	EXPECT_EQ(0, stat_path(path));
	EXPECT_EQ(0u, fanotify_read(fd, &none, &none).nr) TH_LOG("a lookup was told");
	close(open(path, O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(1u, fanotify_read(fd, &none, &none).nr);
}

TEST_F_TIMEOUT(watch, fanotify_marks_mount_and_file_system, TEST_SECONDS)
{
	static const unsigned int marks[] = { FAN_MARK_INODE, FAN_MARK_MOUNT,
					      FAN_MARK_FILESYSTEM };
	char name[32];
	char path[PATH_MAX];

	event_path(path, self->kind, standing_name(name, 0), "format");
	for (unsigned int i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		const char *object = marks[i] == FAN_MARK_INODE ? path : TRACING;
		int fd = fanotify_group(0);

		if (fd < 0)
			SKIP(return, "fanotify_init(): %m");
		ASSERT_EQ(0, fanotify_mark(fd, FAN_MARK_ADD | marks[i], FAN_OPEN, AT_FDCWD,
					   object));
		look_and_open(_metadata, fd, path);
		close(fd);
	}
}

/*
 * A program that marks a file system and requests handles wants to open them. tracefs,
 * like procfs, has no handles that can be opened.
 */
TEST_F_TIMEOUT(watch, fanotify_opens_no_handles, TEST_SECONDS)
{
	int fd = fanotify_group(FAN_REPORT_DFID_NAME);

	if (fd < 0)
		SKIP(return, "fanotify_init() with handles: %m");
	EXPECT_EQ(-1, fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				    FAN_CREATE | FAN_ONDIR, AT_FDCWD, TRACING));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(fd);
}

TEST_HARNESS_MAIN
