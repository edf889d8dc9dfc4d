// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what users of a file system rely on
 *
 * Each test checks eventfs for something that ext4 and tmpfs provide. If tmpfs can do
 * the same, its result is expected. Differences are in a table, with the reason. Races
 * are tested in eventfs_test.c.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define GROUP		EVENTS "/" PREFIX
#define EVENT		GROUP "/" PREFIX "_s0"
#define SIBLING		GROUP "/" PREFIX "_s1"
#define INSTANCE	INSTANCES "/" PREFIX
#define INSTANCE_GROUP	INSTANCE "/events/" PREFIX
#define NEW_INSTANCE	INSTANCES "/" PREFIX "_t"

#define STUCK_SECONDS	20	/* how long to wait for a task that should continue */

/* Users without capabilities */
#define SOMEBODY	1001
#define SOMEBODY_ELSE	1002

/* Events in a group of their own. All others are in the group of EVENT. */
static const struct kind other_kind = {
	.group		= PREFIX "_g",
	.add		= "p:" PREFIX "_g/%s vfs_read",
};

/*
 * Helpers
 */

/* Waits for the next tick of the clock that is used for times. */
static void tick(void)
{
	usleep(25000);
}

/*
 * Results of stat()
 */

#define FIELD(name)	{ #name, offsetof(struct statx, name), \
			  sizeof(((struct statx *)NULL)->name) }

static const struct field {
	const char *name;
	size_t at;
	size_t size;
} fields[] = {
	FIELD(stx_mask),
	FIELD(stx_attributes),
	FIELD(stx_nlink),
	FIELD(stx_uid),
	FIELD(stx_gid),
	FIELD(stx_mode),
	FIELD(stx_ino),
	FIELD(stx_size),
	FIELD(stx_blksize),
	FIELD(stx_blocks),
	FIELD(stx_atime),
	FIELD(stx_mtime),
	FIELD(stx_ctime),
	FIELD(stx_btime),
	FIELD(stx_dev_major),
	FIELD(stx_dev_minor),
};

static int look(const char *path, struct statx *seen)
{
	memset(seen, 0, sizeof(*seen));
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
		     seen) ? errno : 0;
}

/*
 * The fields that have changed since @last, as a list in a buffer that the next call
 * uses again
 */
static const char *changed(const char *path, struct statx *last)
{
	static char text[512];
	struct statx seen;
	size_t at = 0;

	text[0] = 0;
	if (look(path, &seen)) {
		snprintf(text, sizeof(text), "%m");
		return text;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *a = (const char *)last + fields[i].at;
		const char *b = (const char *)&seen + fields[i].at;

		if (memcmp(a, b, fields[i].size))
			at += snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "",
				       fields[i].name + strlen("stx_"));
	}
	*last = seen;
	return text;
}

/* Objects that can be reclaimed, and static ones around them */
static const char * const places[] = {
	EVENTS,
	EVENTS "/enable",
	GROUP,
	GROUP "/filter",
	EVENT,
	EVENT "/enable",
	EVENT "/format",
	SIBLING,
	SIBLING "/enable",
	INSTANCE_GROUP,
	INSTANCE_GROUP "/" PREFIX "_s0/id",
	INSTANCE "/events",
	INSTANCE "/tracing_on",
	INSTANCE,
	INSTANCES,
};

/* How many of these are of eventfs */
#define NR_EVENT_PLACES	12

static size_t place_of(const char *path)
{
	size_t i = 0;

	while (strcmp(places[i], path))
		i++;
	return i;
}

static int look_everywhere(struct statx seen[ARRAY_LEN(places)])
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(places) && !error; i++)
		error = look(places[i], &seen[i]);
	return error;
}

/*
 * Fixture
 */

struct system {
	struct stat root;	/* of the mount, to restore its owner */
	struct stat instances;	/* to restore its mode */
};

static int tidy_all(void)
{
	char path[PATH_MAX];
	int error;

	error = tidy(&kprobe_kind);
	error = remove_ours(group_path(path, &other_kind), &other_kind) ?: error;
	return remove_ours(group_path(path, &user_kind), &user_kind) ?: error;
}

static int system_set_up(struct system *system)
{
	if (stat(TRACING, &system->root) || stat(INSTANCES, &system->instances))
		return errno;
	return tidy_all() ?: set_up(&kprobe_kind);
}

static int system_tear_down(const struct system *system)
{
	struct stat st;
	int error;

	error = tidy_all();
	if (chmod(INSTANCES, system->instances.st_mode & 07777) || stat(TRACING, &st))
		return errno;
	if (st.st_uid != system->root.st_uid || st.st_gid != system->root.st_gid)
		error = remount(system->root.st_uid, system->root.st_gid) ?: error;
	return error;
}

FIXTURE(users)
{
	struct system system;
};

FIXTURE_SETUP(users)
{
	const char *why = cannot_run(&kprobe_kind);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, system_set_up(&self->system));
}

/* In the parent, where all files of the test are closed, however it ended. */
FIXTURE_TEARDOWN_PARENT(users)
{
	EXPECT_EQ(0, system_tear_down(&self->system));
}

/*
 * Times, modes and owners
 */

TEST_F_TIMEOUT(users, reclaim_changes_nothing, TEST_SECONDS)
{
	const struct timespec times[2] = { { 1000000000, 1 }, { 1100000000, 999999999 } };
	struct statx seen[ARRAY_LEN(places)];
	const struct statx *enable;

	ASSERT_EQ(0, chmod(EVENT, 0711));
	ASSERT_EQ(0, chmod(EVENT "/enable", 0604));
	ASSERT_EQ(0, chown(EVENT "/enable", SOMEBODY, SOMEBODY));
	ASSERT_EQ(0, utimensat(AT_FDCWD, EVENT "/enable", times, 0));
	ASSERT_EQ(0, utimensat(AT_FDCWD, GROUP, times, 0));
	ASSERT_EQ(0, look_everywhere(seen));
	for (size_t i = 0; i < NR_EVENT_PLACES; i++) {
		EXPECT_NE(0U, seen[i].stx_mask & STATX_BTIME)
			TH_LOG("%s has no time of birth", places[i]);
	}
	enable = &seen[place_of(EVENT "/enable")];
	EXPECT_EQ(1000000000, enable->stx_atime.tv_sec);
	EXPECT_EQ(1U, enable->stx_atime.tv_nsec);
	EXPECT_EQ(1100000000, enable->stx_mtime.tv_sec);
	EXPECT_EQ(999999999U, enable->stx_mtime.tv_nsec);

	tick();
	ASSERT_EQ(0, reclaim());
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		EXPECT_STREQ("", changed(places[i], &seen[i])) TH_LOG("of %s", places[i]);
	}
}

TEST_F_TIMEOUT(users, reading_moves_no_time, TEST_SECONDS)
{
	struct statx seen[ARRAY_LEN(places)];

	/* A mount with strictatime, which updates atime at each read */
	ASSERT_EQ(0, mount_privately());
	ASSERT_EQ(0, mount(NULL, TRACING, NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
	ASSERT_EQ(0, look_everywhere(seen));
	tick();
	for (size_t i = 0; i < NR_EVENT_PLACES; i++) {
		ASSERT_EQ(0, S_ISDIR(seen[i].stx_mode) ? list_to_end(places[i]) :
							 open_and_read(places[i]));
		EXPECT_STREQ("", changed(places[i], &seen[i])) TH_LOG("of %s", places[i]);
	}
}

TEST_F_TIMEOUT(users, directories_change_with_their_children, TEST_SECONDS)
{
	struct statx events, group, event, other, instances, instance;

	ASSERT_EQ(0, look(EVENTS, &events));
	ASSERT_EQ(0, look(GROUP, &group));
	ASSERT_EQ(0, look(EVENT, &event));
	ASSERT_EQ(0, look(INSTANCES, &instances));
	ASSERT_EQ(0, look(INSTANCE_GROUP, &instance));

	tick();
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_t"));
	EXPECT_STREQ("mtime ctime", changed(GROUP, &group));
	EXPECT_STREQ("mtime ctime", changed(INSTANCE_GROUP, &instance));
	EXPECT_STREQ("", changed(EVENTS, &events));
	tick();
	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_t"));
	EXPECT_STREQ("mtime ctime", changed(GROUP, &group));
	EXPECT_STREQ("mtime ctime", changed(INSTANCE_GROUP, &instance));
	EXPECT_STREQ("", changed(EVENTS, &events));

	tick();
	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_t"));
	EXPECT_STREQ("mtime ctime", changed(EVENTS, &events));
	ASSERT_EQ(0, look(EVENTS "/" PREFIX "_g", &other));
	EXPECT_LE(events.stx_mtime.tv_sec, other.stx_btime.tv_sec + 1);
	tick();
	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_t"));
	EXPECT_STREQ("mtime ctime", changed(EVENTS, &events));

	tick();
	ASSERT_EQ(0, mkdir(NEW_INSTANCE, 0750));
	EXPECT_STREQ("nlink mtime ctime", changed(INSTANCES, &instances));
	tick();
	ASSERT_EQ(0, rmdir(NEW_INSTANCE));
	EXPECT_STREQ("nlink mtime ctime", changed(INSTANCES, &instances));

	EXPECT_STREQ("", changed(EVENT, &event));
	EXPECT_STREQ("", changed(GROUP, &group));
	EXPECT_STREQ("", changed(EVENTS, &events));
}

TEST_F_TIMEOUT(users, a_change_moves_ctime_and_no_sibling, TEST_SECONDS)
{
	static const struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	static const char * const paths[] = {
		GROUP, EVENT, EVENT "/enable", INSTANCE_GROUP, INSTANCE "/tracing_on",
	};
	struct statx seen[ARRAY_LEN(places)];

	ASSERT_EQ(0, look_everywhere(seen));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct statx *last = &seen[place_of(paths[i])];
		const char *path = paths[i];

		tick();
		ASSERT_EQ(0, chmod(path, 0701));
		EXPECT_STREQ("mode ctime", changed(path, last)) TH_LOG("of %s", path);
		tick();
		ASSERT_EQ(0, chown(path, SOMEBODY, -1));
		EXPECT_STREQ("uid ctime", changed(path, last)) TH_LOG("of %s", path);
		tick();
		ASSERT_EQ(0, chown(path, -1, SOMEBODY));
		EXPECT_STREQ("gid ctime", changed(path, last)) TH_LOG("of %s", path);
		tick();
		ASSERT_EQ(0, utimensat(AT_FDCWD, path, times, 0));
		EXPECT_STREQ("atime mtime ctime", changed(path, last)) TH_LOG("of %s", path);
		for (size_t j = 0; j < ARRAY_LEN(places); j++) {
			EXPECT_STREQ("", changed(places[j], &seen[j]))
				TH_LOG("of %s, with %s", places[j], path);
		}
	}
}

static int set_times(int dir, const char *name, const struct timespec times[2])
{
	return utimensat(dir, name, times, 0) ? errno : 0;
}

TEST_F_TIMEOUT(users, times_are_set_by_the_owner, TEST_SECONDS)
{
	static const struct timespec times[2] = { { 1000000000, 5 }, { 1100000000, 6 } };
	struct statx seen;
	time_t present;
	int dir;

	ASSERT_EQ(0, chown(EVENT "/enable", SOMEBODY, SOMEBODY));
	ASSERT_EQ(0, look(EVENT "/enable", &seen));
	/* Only root can search the path to the event. */
	ASSERT_EQ(0, open_path(EVENT, O_PATH, &dir));
	tick();

	ASSERT_EQ(0, become(SOMEBODY_ELSE, SOMEBODY_ELSE));
	EXPECT_EQ(EPERM, set_times(dir, "enable", times));
	EXPECT_EQ(EACCES, set_times(dir, "enable", NULL));
	EXPECT_EQ(EPERM, set_times(dir, "format", times));
	EXPECT_EQ(-1, fchmodat(dir, "enable", 0666, 0));
	ASSERT_EQ(0, become_root());
	EXPECT_STREQ("", changed(EVENT "/enable", &seen));

	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	EXPECT_EQ(0, set_times(dir, "enable", times));
	EXPECT_EQ(EPERM, set_times(dir, "format", times));
	EXPECT_EQ(-1, fchownat(dir, "enable", SOMEBODY_ELSE, -1, 0));
	ASSERT_EQ(0, become_root());
	EXPECT_STREQ("atime mtime ctime", changed(EVENT "/enable", &seen));
	EXPECT_EQ(1000000000, seen.stx_atime.tv_sec);
	EXPECT_EQ(1100000000, seen.stx_mtime.tv_sec);
	ASSERT_EQ(0, reclaim());
	EXPECT_STREQ("", changed(EVENT "/enable", &seen));

	tick();
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	present = time(NULL);
	EXPECT_EQ(0, set_times(dir, "enable", NULL));
	ASSERT_EQ(0, become_root());
	EXPECT_STREQ("atime mtime ctime", changed(EVENT "/enable", &seen));
	EXPECT_LE(present - 1, seen.stx_mtime.tv_sec);
	EXPECT_LE(seen.stx_mtime.tv_sec, present + TEST_SECONDS);

	/* The previous owner */
	ASSERT_EQ(0, remount(SOMEBODY_ELSE, SOMEBODY_ELSE));
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	EXPECT_EQ(EPERM, set_times(dir, "enable", times));
	ASSERT_EQ(0, become_root());
	ASSERT_EQ(0, become(SOMEBODY_ELSE, SOMEBODY_ELSE));
	EXPECT_EQ(0, set_times(dir, "enable", times));
	ASSERT_EQ(0, become_root());
	close(dir);
}

/*
 * In a sticky directory, the VFS compares owners without a call of the file system. A
 * mount sets the owner of both, an access by that owner updates i_uid, and another mount
 * changes the owner.
 */
TEST_F_TIMEOUT(users, sticky_instances_are_removed_by_their_owner, TEST_SECONDS)
{
	int dir, fd;

	/* Only root can search the path to it. */
	ASSERT_EQ(0, open_path(INSTANCES, O_PATH, &dir));
	ASSERT_EQ(0, chmod(INSTANCES, 01777));
	ASSERT_EQ(0, remount(SOMEBODY, 0));
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	fd = openat(dir, PREFIX, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, become_root());

	ASSERT_EQ(0, remount(SOMEBODY_ELSE, 0));
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	EXPECT_EQ(-1, unlinkat(dir, PREFIX, AT_REMOVEDIR)) TH_LOG("removed by its last owner");
	EXPECT_EQ(EPERM, errno);
	ASSERT_EQ(0, become_root());
	ASSERT_EQ(0, become(SOMEBODY_ELSE, SOMEBODY_ELSE));
	EXPECT_EQ(0, unlinkat(dir, PREFIX, AT_REMOVEDIR)) TH_LOG("by its owner: %m");
	ASSERT_EQ(0, become_root());
	close(dir);
}

static int mount_again(uid_t uid, gid_t gid)
{
	char user[16], group[16];
	int error, fd;

	snprintf(user, sizeof(user), "%u", uid);
	snprintf(group, sizeof(group), "%u", gid);
	error = mount_nowhere("tracefs", user, group, &fd);
	close(fd);
	return error;
}

TEST_F_TIMEOUT(users, owners_of_a_mount_reach_everything_at_once, TEST_SECONDS)
{
	static int (* const mounts[])(uid_t uid, gid_t gid) = { remount, mount_again };
	int fds[ARRAY_LEN(places)];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		ASSERT_EQ(0, open_path(places[i], O_RDONLY, &fds[i]));
	}
	for (unsigned int m = 0; m < ARRAY_LEN(mounts); m++) {
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			ASSERT_EQ(0, stat_path(places[i]));
		}
		ASSERT_EQ(0, mounts[m](11 + m, 21 + m));
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			ASSERT_EQ(0, fstat(fds[i], &st));
			EXPECT_EQ(11 + m, st.st_uid) TH_LOG("of %s, open", places[i]);
			EXPECT_EQ(21 + m, st.st_gid) TH_LOG("of %s, open", places[i]);
			ASSERT_EQ(0, stat(places[i], &st));
			EXPECT_EQ(11 + m, st.st_uid) TH_LOG("of %s", places[i]);
			EXPECT_EQ(21 + m, st.st_gid) TH_LOG("of %s", places[i]);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		close(fds[i]);
}

/*
 * Comparison with tmpfs
 */

/* A directory like that of an event, on a mount of tmpfs */
static int tmpfs_make(const char *name, int *fd)
{
	int error, root;

	error = mount_nowhere("tmpfs", NULL, NULL, &root);
	if (error)
		return error;
	*fd = -1;
	if (!mkdirat(root, name, 0755))
		*fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	error = *fd < 0 ? errno : 0;
	close(root);
	return error;
}

static int make_file(int dir, const char *name, mode_t mode)
{
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return fchmodat(dir, name, mode, 0) ? errno : 0;
}

struct opened {
	int error;
	int flags;	/* as fcntl() tells them */
	mode_t type;
};

static struct opened try_open(int dir, const char *name, int flags)
{
	struct opened opened = { 0 };
	struct stat st;
	int fd;

	fd = openat(dir, name, flags, 0600);
	if (fd < 0) {
		opened.error = errno;
		return opened;
	}
	opened.flags = fcntl(fd, F_GETFL);
	if (!fstat(fd, &st))
		opened.type = st.st_mode & S_IFMT;
	close(fd);
	return opened;
}

static const int open_modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

static const int open_flags[] = {
	O_NONBLOCK, O_PATH, O_NOFOLLOW, O_DIRECTORY, O_CREAT, O_EXCL, O_TRUNC, O_APPEND,
};

#define NR_OPENS	(ARRAY_LEN(open_modes) << ARRAY_LEN(open_flags))
#define MAX_FLAGS	3	/* at once; more would take long and test little more */

static int pick_flags(unsigned int i)
{
	int flags = open_modes[i >> ARRAY_LEN(open_flags)];

	for (unsigned int bit = 0; bit < ARRAY_LEN(open_flags); bit++) {
		if (i & (1 << bit))
			flags |= open_flags[bit];
	}
	return flags;
}

/*
 * Opens a name with combinations of flags, in @dir and on tmpfs. The only difference:
 * eventfs refuses to create a file. Return: the failure, or "".
 */
static const char *compare_opens(int dir, int tmpfs, const char *name)
{
	static char wrong[256];

	for (unsigned int i = 0; i < NR_OPENS; i++) {
		int flags = pick_flags(i);
		struct opened seen, expected;

		if (__builtin_popcount(i % (1 << ARRAY_LEN(open_flags))) > MAX_FLAGS)
			continue;
		seen = try_open(dir, name, flags);
		expected = try_open(tmpfs, name, flags);
		if (!unlinkat(tmpfs, "missing", 0))
			expected = (struct opened) { .error = EACCES };
		if (seen.error == expected.error && seen.flags == expected.flags &&
		    seen.type == expected.type)
			continue;
		snprintf(wrong, sizeof(wrong),
			 "%s with flags %#x: error %d, flags %#x, type %#o; tmpfs: %d, %#x, %#o",
			 name, flags, seen.error, seen.flags, seen.type,
			 expected.error, expected.flags, expected.type);
		return wrong;
	}
	return "";
}

TEST_F_TIMEOUT(users, open_flags_mean_what_they_mean_on_tmpfs, TEST_SECONDS)
{
	static const struct {
		const char *dir;
		const char *file;
	} cases[] = {
		{ EVENT,	"enable" },
		{ EVENT,	"format" },
		{ GROUP,	"filter" },
		{ INSTANCE,	"tracing_on" },
	};
	char below[64];
	struct stat st;
	int dir, tmpfs, error;

	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		const char * const names[] = {
			cases[c].file, below, ".", "missing", "missing/", "missing/x",
		};

		error = tmpfs_make("dir", &tmpfs);
		if (error == ENOSYS)
			SKIP(return, "no fsopen()");
		ASSERT_EQ(0, error);
		ASSERT_EQ(0, open_path(cases[c].dir, O_RDONLY | O_DIRECTORY, &dir));
		ASSERT_EQ(0, fstat(dir, &st));
		ASSERT_EQ(0, fchmod(tmpfs, st.st_mode & 07777));
		ASSERT_EQ(0, fstatat(dir, cases[c].file, &st, 0));
		ASSERT_EQ(0, make_file(tmpfs, cases[c].file, st.st_mode & 07777));
		snprintf(below, sizeof(below), "%s/", cases[c].file);
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			EXPECT_STREQ("", compare_opens(dir, tmpfs, names[n]))
				TH_LOG("in %s", cases[c].dir);
		}
		/* A user with fewer rights */
		ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			EXPECT_STREQ("", compare_opens(dir, tmpfs, names[n]))
				TH_LOG("in %s, by a user", cases[c].dir);
		}
		ASSERT_EQ(0, become_root());
		close(dir);
		close(tmpfs);
	}
}

/* Each of these works in the current directory. */
static int do_getcwd(void)
{
	char path[PATH_MAX];

	return syscall(SYS_getcwd, path, sizeof(path)) < 0 ? errno : 0;
}

static int do_stat(void)
{
	return stat_path(".");
}

static int do_stat_parent(void)
{
	return stat_path("..");
}

static int do_access(void)
{
	return access(".", R_OK | W_OK | X_OK) ? errno : 0;
}

static int do_open(void)
{
	return try_open(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY).error;
}

static int do_list(void)
{
	return list_to_end(".");
}

static int do_chdir(void)
{
	return chdir(".") ? errno : 0;
}

static int do_chmod(void)
{
	return chmod(".", 0755) ? errno : 0;
}

static int do_chown(void)
{
	return chown(".", SOMEBODY, -1) ? errno : 0;
}

static int do_utimes(void)
{
	return set_times(AT_FDCWD, ".", NULL);
}

static int do_statfs(void)
{
	struct statfs fs;

	return statfs(".", &fs) ? errno : 0;
}

static int do_watch(void)
{
	int fd = inotify_init1(IN_CLOEXEC);
	int error;

	error = inotify_add_watch(fd, ".", IN_ALL_EVENTS) < 0 ? errno : 0;
	close(fd);
	return error;
}

static int do_rmdir(void)
{
	return rmdir(".") ? errno : 0;
}

static int do_flock(void)
{
	int fd = open(".", O_RDONLY | O_CLOEXEC);
	int error = flock(fd, LOCK_EX | LOCK_NB) ? errno : 0;

	close(fd);
	return error;
}

static int do_fsync(void)
{
	int fd = open(".", O_RDONLY | O_CLOEXEC);
	int error = fsync(fd) ? errno : 0;

	close(fd);
	return error;
}

static int do_read(void)
{
	return open_and_read(".");
}

static int do_stat_child(void)
{
	return stat_path("child");
}

static int do_creat(void)
{
	return try_open(AT_FDCWD, "child", O_CREAT | O_WRONLY).error;
}

static int do_mkdir(void)
{
	return mkdir("child", 0755) ? errno : 0;
}

static int do_mknod(void)
{
	return mknod("child", S_IFIFO | 0600, 0) ? errno : 0;
}

static int do_symlink(void)
{
	return symlink("child", "child") ? errno : 0;
}

static int do_link(void)
{
	return link("/proc/self/status", "child") ? errno : 0;
}

static int do_unlink(void)
{
	return unlink("child") ? errno : 0;
}

static int do_rename(void)
{
	return rename("child", "child2") ? errno : 0;
}

#define OPERATION(name)	{ #name, do_##name }

static const struct operation {
	const char *name;
	int (*call)(void);
} operations[] = {
	OPERATION(getcwd),
	OPERATION(stat),
	OPERATION(stat_parent),
	OPERATION(access),
	OPERATION(open),
	OPERATION(list),
	OPERATION(chdir),
	OPERATION(chmod),
	OPERATION(chown),
	OPERATION(utimes),
	OPERATION(statfs),
	OPERATION(watch),
	OPERATION(rmdir),
	OPERATION(flock),
	OPERATION(fsync),
	OPERATION(read),
	OPERATION(stat_child),
	OPERATION(creat),
	OPERATION(mkdir),
	OPERATION(mknod),
	OPERATION(symlink),
	OPERATION(link),
	OPERATION(unlink),
	OPERATION(rename),
};

/* The operations that do not change an existing directory */
#define NR_HARMLESS	17

static int call_in(int dir, const struct operation *operation)
{
	return fchdir(dir) ? errno : operation->call();
}

TEST_F_TIMEOUT(users, directory_answers_as_on_tmpfs, TEST_SECONDS)
{
	static const char * const dirs[] = { EVENT, GROUP, EVENTS, INSTANCE };
	int dir, tmpfs, error;

	error = tmpfs_make("dir", &tmpfs);
	if (error == ENOSYS)
		SKIP(return, "no fsopen()");
	ASSERT_EQ(0, error);
	for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
		ASSERT_EQ(0, open_path(dirs[d], O_RDONLY | O_DIRECTORY, &dir));
		/* Not getcwd(), which differs in a mount without a mount point */
		for (size_t i = 1; i < NR_HARMLESS; i++) {
			EXPECT_EQ(call_in(tmpfs, &operations[i]), call_in(dir, &operations[i]))
				TH_LOG("%s in %s", operations[i].name, dirs[d]);
		}
		close(dir);
	}
	close(tmpfs);
}

TEST_F_TIMEOUT(users, removed_directory_answers_as_on_tmpfs, TEST_SECONDS)
{
	int event, group, tmpfs, root, error;

	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_d"));
	ASSERT_EQ(0, open_path(EVENTS "/" PREFIX "_g/" PREFIX "_d", O_PATH, &event));
	ASSERT_EQ(0, open_path(EVENTS "/" PREFIX "_g", O_PATH, &group));
	error = tmpfs_make("dir", &tmpfs);
	if (error == ENOSYS)
		SKIP(return, "no fsopen()");
	ASSERT_EQ(0, error);
	root = openat(tmpfs, "..", O_PATH);
	ASSERT_LE(0, root);

	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_d"));
	ASSERT_EQ(0, unlinkat(root, "dir", AT_REMOVEDIR));
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		error = call_in(tmpfs, &operations[i]);
		EXPECT_EQ(error, call_in(event, &operations[i]))
			TH_LOG("%s in a removed event", operations[i].name);
		EXPECT_EQ(error, call_in(group, &operations[i]))
			TH_LOG("%s in a removed group", operations[i].name);
	}
	/* ".." leads out of a removed directory. */
	ASSERT_EQ(0, fchdir(event));
	EXPECT_EQ(0, chdir("../.."));
	EXPECT_EQ(0, stat_path("header_page"));
	ASSERT_EQ(0, chdir("/"));
	close(event);
	close(group);
	close(tmpfs);
	close(root);
}

/*
 * Contents of /proc
 */

/* The target of a link in /proc/self, in a buffer that the next call uses again */
static const char *proc_link(const char *format, int number)
{
	static char text[PATH_MAX];
	char path[64];
	ssize_t got;

	snprintf(path, sizeof(path), format, number);
	got = readlink(path, text, sizeof(text) - 1);
	text[got < 0 ? 0 : got] = 0;
	return text;
}

/* The number after @key in a file of /proc, or -1 */
static long long fdinfo_of(int fd, const char *key)
{
	char path[64], line[256];
	long long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			value = strtoll(line + strlen(key) + 1, NULL, 10);
	}
	fclose(file);
	return value;
}

/* What is mounted on @place, as the path in its file system; "" if nothing is */
static const char *mounted(const char *place)
{
	static char root[PATH_MAX];
	char line[2 * PATH_MAX], at[PATH_MAX], seen[PATH_MAX];
	FILE *file = fopen("/proc/self/mountinfo", "re");

	root[0] = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*d %*d %*s %4095s %4095s", seen, at) == 2 && !strcmp(at, place))
			snprintf(root, sizeof(root), "%s", seen);
	}
	if (file)
		fclose(file);
	return root;
}

TEST_F_TIMEOUT(users, proc_tells_of_what_was_removed, TEST_SECONDS)
{
	int file, event, group;
	struct stat st;
	char byte;

	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_d"));
	ASSERT_EQ(0, open_path(EVENTS "/" PREFIX "_g", O_RDONLY, &group));
	event = openat(group, PREFIX "_d", O_RDONLY | O_CLOEXEC);
	file = openat(event, "id", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(1, read(file, &byte, 1));
	ASSERT_EQ(0, fchdir(event));
	ASSERT_STREQ(EVENTS "/" PREFIX "_g/" PREFIX "_d", proc_link("/proc/self/cwd", 0));
	ASSERT_STREQ(EVENTS "/" PREFIX "_g/" PREFIX "_d/id",
		     proc_link("/proc/self/fd/%d", file));

	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_d"));
	for (int again = 0; again < 2; again++) {
		EXPECT_STREQ(EVENTS "/" PREFIX "_g/" PREFIX "_d (deleted)",
			     proc_link("/proc/self/cwd", 0));
		EXPECT_STREQ(EVENTS "/" PREFIX "_g/" PREFIX "_d (deleted)",
			     proc_link("/proc/self/fd/%d", event));
		EXPECT_STREQ(EVENTS "/" PREFIX "_g/" PREFIX "_d/id (deleted)",
			     proc_link("/proc/self/fd/%d", file));
		EXPECT_STREQ(EVENTS "/" PREFIX "_g (deleted)",
			     proc_link("/proc/self/fd/%d", group));
		EXPECT_EQ(1, fdinfo_of(file, "pos"));
		ASSERT_EQ(0, fstat(file, &st));
		EXPECT_EQ((long long)st.st_ino, fdinfo_of(file, "ino"));
		EXPECT_EQ(0UL, st.st_nlink);
		ASSERT_EQ(0, fstat(event, &st));
		EXPECT_EQ((long long)st.st_ino, fdinfo_of(event, "ino"));
		EXPECT_EQ(0UL, st.st_nlink);
		/* A new event with the same name has nothing in common with the old one. */
		if (!again) {
			ASSERT_EQ(0, create_event(&other_kind, PREFIX "_d"));
		}
	}
	ASSERT_EQ(0, chdir("/"));
	close(file);
	close(event);
	close(group);
}

/*
 * Mounts
 */

/* As in any file system, an open file that was removed still has to be freed. */
TEST_F_TIMEOUT(users, removed_and_open_keeps_it_writable, TEST_SECONDS)
{
	int file;

	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_m"));
	ASSERT_EQ(0, open_path(EVENTS "/" PREFIX "_g/" PREFIX "_m/id", O_RDONLY, &file));
	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_m"));
	EXPECT_EQ(EBUSY, mount(NULL, TRACING, NULL, MS_REMOUNT | MS_RDONLY, NULL) ? errno : 0);
	close(file);
	EXPECT_EQ(0, mount(NULL, TRACING, NULL, MS_REMOUNT | MS_RDONLY, NULL) ? errno : 0);
	EXPECT_EQ(EROFS, mkdir(NEW_INSTANCE, 0750) ? errno : 0);
	EXPECT_EQ(0, mount(NULL, TRACING, NULL, MS_REMOUNT, NULL) ? errno : 0);
}

TEST_F_TIMEOUT(users, mounts_go_with_what_they_are_on, TEST_SECONDS)
{
	char byte;
	int file;

	ASSERT_EQ(0, mount_privately());
	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_m"));
	ASSERT_EQ(0, mount("eventfs_st", EVENTS "/" PREFIX "_g/" PREFIX "_m", "tmpfs", 0, NULL));
	file = open(EVENTS "/" PREFIX "_g/" PREFIX "_m/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, mount(EVENT "/format", SIBLING "/format", NULL, MS_BIND, NULL));
	ASSERT_STRNE("", mounted(EVENTS "/" PREFIX "_g/" PREFIX "_m"));
	ASSERT_STRNE("", mounted(SIBLING "/format"));

	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_m"));
	EXPECT_STREQ("", mounted(EVENTS "/" PREFIX "_g/" PREFIX "_m"));
	EXPECT_EQ(ENOENT, stat_path(EVENTS "/" PREFIX "_g/" PREFIX "_m"));
	/* A file that is open in the mount still works. */
	EXPECT_EQ(1, write(file, "x", 1));
	EXPECT_EQ(1, pread(file, &byte, 1, 0));
	close(file);

	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_s1"));
	EXPECT_STREQ("", mounted(SIBLING "/format"));
	EXPECT_EQ(ENOENT, stat_path(SIBLING "/format"));

	/* A new event with that name does not bring the mount back. */
	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_m"));
	EXPECT_EQ(0, open_and_read(EVENTS "/" PREFIX "_g/" PREFIX "_m/format"));
	EXPECT_EQ(ENOENT, stat_path(EVENTS "/" PREFIX "_g/" PREFIX "_m/file"));
}

/* A mount on an object in an instance keeps neither that nor objects beside it. */
TEST_F_TIMEOUT(users, mounts_in_an_instance_go_with_it, TEST_SECONDS)
{
	static const char * const on[] = { "options", "options/overwrite", "trace" };
	struct inotify_event event;
	long counts[NR_SLABS];
	char path[PATH_MAX];
	int options, watches;
	struct stat st;

	ASSERT_EQ(0, mount_privately());
	ASSERT_EQ(0, count_slabs(counts));
	for (size_t i = 0; i < ARRAY_LEN(on); i++) {
		ASSERT_EQ(0, mkdir(NEW_INSTANCE, 0750));
		ASSERT_EQ(0, open_path(NEW_INSTANCE "/options", O_RDONLY, &options));
		watches = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, inotify_add_watch(watches, NEW_INSTANCE "/options",
					       IN_DELETE_SELF));
		snprintf(path, sizeof(path), NEW_INSTANCE "/%s", on[i]);
		ASSERT_EQ(0, stat(path, &st));
		ASSERT_EQ(0, mount(S_ISDIR(st.st_mode) ? EVENT : EVENT "/format", path, NULL,
				   MS_BIND, NULL));
		ASSERT_STRNE("", mounted(path));

		ASSERT_EQ(0, rmdir(NEW_INSTANCE));
		EXPECT_STREQ("", mounted(path));
		EXPECT_EQ(ENOENT, stat_path(path));
		EXPECT_EQ(-1, faccessat(options, "overwrite", F_OK, 0));
		EXPECT_EQ(ENOENT, errno) TH_LOG("mounted on %s", on[i]);
		EXPECT_EQ(0, fstat(options, &st));
		EXPECT_EQ(0UL, st.st_nlink) TH_LOG("mounted on %s", on[i]);
		close(options);
		memset(&event, 0, sizeof(event));
		EXPECT_LT(0, read(watches, &event, sizeof(event)));
		EXPECT_TRUE(event.mask & IN_DELETE_SELF) TH_LOG("mounted on %s", on[i]);
		close(watches);

		ASSERT_EQ(0, reclaim());
		EXPECT_STREQ("", slab_rise(counts)) TH_LOG("mounted on %s", on[i]);
	}
}

/* Two tasks create an instance and two remove it, over and over. */
struct contest {
	int wanted;		/* how often to create it */
	double deadline;
	atomic_bool stop;	/* for the tasks that remove it */
	atomic_int made;
	atomic_int removed;
	atomic_int error;	/* an error that no task should get */
};

static void *contest_make(void *data)
{
	struct contest *contest = data;

	while (atomic_load(&contest->made) < contest->wanted && now() < contest->deadline) {
		if (!mkdir(NEW_INSTANCE, 0750))
			atomic_fetch_add(&contest->made, 1);
		else if (errno != EEXIST)
			atomic_store(&contest->error, errno);
		usleep(1000);
	}
	return NULL;
}

static void *contest_remove(void *data)
{
	struct contest *contest = data;

	while (!atomic_load(&contest->stop)) {
		if (!rmdir(NEW_INSTANCE))
			atomic_fetch_add(&contest->removed, 1);
		else if (errno != ENOENT && errno != ENODEV)
			atomic_store(&contest->error, errno);
		usleep(1000);
	}
	return NULL;
}

/* The calls return the truth: as many succeeded in removing it as in creating it. */
TEST_F_TIMEOUT(users, instance_that_many_make_and_remove, TEST_SECONDS)
{
	struct contest contest = {
		.wanted		= nr_rounds(),
		.deadline	= now() + PATIENCE,
	};
	pthread_t makers[2], removers[2];
	long counts[NR_SLABS];

	ASSERT_EQ(0, count_slabs(counts));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&makers[i], NULL, contest_make, &contest));
		ASSERT_EQ(0, pthread_create(&removers[i], NULL, contest_remove, &contest));
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(makers[i], NULL));
	atomic_store(&contest.stop, true);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(removers[i], NULL));
	if (!rmdir(NEW_INSTANCE))
		atomic_fetch_add(&contest.removed, 1);

	EXPECT_EQ(0, atomic_load(&contest.error));
	EXPECT_LE(2, atomic_load(&contest.made));
	EXPECT_EQ(atomic_load(&contest.made), atomic_load(&contest.removed));
	EXPECT_EQ(ENOENT, stat_path(NEW_INSTANCE));
	ASSERT_EQ(0, reclaim());
	EXPECT_STREQ("", slab_rise(counts));
}

TEST_F_TIMEOUT(users, bind_mount_of_what_was_removed_is_empty, TEST_SECONDS)
{
	ASSERT_EQ(0, mount_privately());
	ASSERT_EQ(0, mount(EVENT, INSTANCE, NULL, MS_BIND, NULL));
	EXPECT_EQ(0, open_and_read(INSTANCE "/format"));
	EXPECT_STREQ("/events/" PREFIX "/" PREFIX "_s0", mounted(INSTANCE));

	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_s0"));
	EXPECT_STREQ("/events/" PREFIX "/" PREFIX "_s0//deleted", mounted(INSTANCE));
	EXPECT_EQ(0, stat_path(INSTANCE));
	EXPECT_EQ(ENOENT, stat_path(INSTANCE "/format"));
	EXPECT_EQ(ENOENT, list_to_end(INSTANCE));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_s0"));
	EXPECT_EQ(ENOENT, stat_path(INSTANCE "/format"));
	EXPECT_EQ(0, stat_path(EVENT "/format"));
	EXPECT_EQ(0, umount2(INSTANCE, 0));
	EXPECT_EQ(0, stat_path(INSTANCE "/tracing_on"));
}

/*
 * Readers whose buffer is not mapped
 */

/**
 * struct reader - a thread that is stuck in a page fault
 * @fd: what it reads
 * @list: it lists a directory
 * @uffd: userfaultfd, on which the fault waits
 * @page: the buffer
 * @size: of the buffer
 * @error: result of the read
 * @thread: the reader
 */
struct reader {
	int fd;
	bool list;
	int uffd;
	void *page;
	size_t size;
	int error;
	pthread_t thread;
};

static void *reader_main(void *data)
{
	struct reader *reader = data;
	ssize_t got;

	got = reader->list ? syscall(SYS_getdents64, reader->fd, reader->page, reader->size) :
			     read(reader->fd, reader->page, reader->size);
	reader->error = got < 0 ? errno : 0;
	return NULL;
}

static int reader_wait(struct reader *reader)
{
	struct pollfd poll_fd = { .fd = reader->uffd, .events = POLLIN };
	struct uffd_msg message;
	int got;

	got = poll(&poll_fd, 1, STUCK_SECONDS * 1000);
	if (got < 0)
		return errno;
	if (!got)
		return ETIMEDOUT;
	if (read(reader->uffd, &message, sizeof(message)) != sizeof(message))
		return EIO;
	return message.event == UFFD_EVENT_PAGEFAULT ? 0 : EPROTO;
}

/* Starts a reader, which is stuck on return. ENOSYS: the kernel has no userfaultfd() */
static int reader_start(struct reader *reader, const char *path, bool list)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int error;

	reader->list = list;
	reader->size = sysconf(_SC_PAGESIZE);
	error = open_path(path, O_RDONLY, &reader->fd);
	if (error)
		return error;
	reader->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (reader->uffd < 0)
		return errno;
	reader->page = mmap(NULL, reader->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (reader->page == MAP_FAILED)
		return errno;
	range.range.start = (uintptr_t)reader->page;
	range.range.len = reader->size;
	if (ioctl(reader->uffd, UFFDIO_API, &api) ||
	    ioctl(reader->uffd, UFFDIO_REGISTER, &range))
		return errno;
	return pthread_create(&reader->thread, NULL, reader_main, reader) ?: reader_wait(reader);
}

/* Gives the reader its page, and waits for its end. Return: the result of the read. */
static int reader_finish(struct reader *reader)
{
	struct uffdio_zeropage page = { .range.start = (uintptr_t)reader->page,
					.range.len = reader->size };
	struct timespec deadline;
	int error;

	if (ioctl(reader->uffd, UFFDIO_ZEROPAGE, &page))
		return errno;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += STUCK_SECONDS;
	error = pthread_timedjoin_np(reader->thread, NULL, &deadline);
	if (error)
		return error;
	munmap(reader->page, reader->size);
	close(reader->uffd);
	close(reader->fd);
	return reader->error;
}

static int read_at_once(const char *path)
{
	int error, fd;

	error = open_path(path, O_RDONLY | O_NONBLOCK, &fd);
	if (error)
		return error;
	error = read_some(fd);
	close(fd);
	return error;
}

/* If an operation waits for the reader, the harness ends the test. */
TEST_F_TIMEOUT(users, stuck_listing_delays_nobody, TEST_SECONDS)
{
	struct reader group, event, instance;
	char name[32];
	int error;

	error = reader_start(&group, GROUP, true);
	if (error == ENOSYS)
		SKIP(return, "no userfaultfd()");
	ASSERT_EQ(0, error);
	ASSERT_EQ(0, reader_start(&event, EVENT, true));
	ASSERT_EQ(0, reader_start(&instance, INSTANCE_GROUP, true));

	EXPECT_EQ(ENOENT, stat_path(GROUP "/" PREFIX "_u"));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_u"));
	EXPECT_EQ(0, read_at_once(GROUP "/" PREFIX "_u/format"));
	EXPECT_EQ(0, read_at_once(EVENT "/filter"));
	EXPECT_EQ(0, list_to_end(GROUP));
	EXPECT_EQ(0, list_to_end(EVENT));
	ASSERT_EQ(0, reclaim());
	EXPECT_EQ(0, read_at_once(EVENT "/trigger"));
	EXPECT_EQ(ENOENT, stat_path(EVENT "/missing"));
	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_u"));

	/* Remove the event that it lists, then the group, then the instance. */
	for (unsigned int i = 0; i < NR_STANDING; i++) {
		ASSERT_EQ(0, remove_event(&kprobe_kind, standing_name(name, i)));
	}
	EXPECT_EQ(ENOENT, stat_path(GROUP));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_s0"));
	EXPECT_EQ(0, list_to_end(GROUP));
	EXPECT_EQ(0, read_at_once(EVENT "/format"));
	EXPECT_EQ(0, rmdir(INSTANCE));
	EXPECT_EQ(ENOENT, stat_path(INSTANCE));

	/* The directories were removed during the listing, so either result is right. */
	error = reader_finish(&group);
	EXPECT_TRUE(!error || error == ENOENT) TH_LOG("group: %s", strerror(error));
	error = reader_finish(&event);
	EXPECT_TRUE(!error || error == ENOENT) TH_LOG("event: %s", strerror(error));
	error = reader_finish(&instance);
	EXPECT_TRUE(!error || error == ENOENT) TH_LOG("instance: %s", strerror(error));
}

TEST_F_TIMEOUT(users, stuck_reader_of_a_file_delays_nobody, TEST_SECONDS)
{
	static const char * const files[] = { "format", "enable", "id", "filter", "trigger" };
	struct reader readers[ARRAY_LEN(files)];
	char path[PATH_MAX];
	int error;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		event_path(path, &kprobe_kind, PREFIX "_s0", files[i]);
		error = reader_start(&readers[i], path, false);
		if (error == ENOSYS)
			SKIP(return, "no userfaultfd()");
		ASSERT_EQ(0, error) TH_LOG("%s: %s", path, strerror(error));
	}
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_u"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		EXPECT_EQ(0, read_at_once(event_path(path, &kprobe_kind, PREFIX "_s0", files[i])));
	}
	EXPECT_EQ(0, list_to_end(EVENT));
	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_u"));
	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_s0"));
	EXPECT_EQ(ENOENT, stat_path(EVENT));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_s0"));
	EXPECT_EQ(0, read_at_once(EVENT "/format"));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		error = reader_finish(&readers[i]);
		EXPECT_TRUE(!error || error == ENODEV) TH_LOG("%s: %s", files[i], strerror(error));
	}
}

/*
 * Names
 */

TEST_F_TIMEOUT(users, any_byte_may_stand_in_a_name, TEST_SECONDS)
{
	static const char * const dirs[] = { EVENTS, GROUP, EVENT, INSTANCE_GROUP };
	char path[PATH_MAX];

	for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
		for (int byte = 1; byte < 256; byte++) {
			if (byte == '/')
				continue;
			snprintf(path, sizeof(path), "%s/%c%c", dirs[d], byte, byte);
			EXPECT_EQ(byte == '.' ? 0 : ENOENT, stat_path(path))
				TH_LOG("%d in %s", byte, dirs[d]);
			snprintf(path, sizeof(path), "%s/enable%c", dirs[d], byte);
			EXPECT_EQ(ENOENT, stat_path(path)) TH_LOG("%d in %s", byte, dirs[d]);
			/* A name of maximum length, which is cached the second time */
			snprintf(path, sizeof(path), "%s/", dirs[d]);
			memset(path + strlen(path), byte, NAME_MAX);
			path[strlen(dirs[d]) + 1 + NAME_MAX] = 0;
			EXPECT_EQ(ENOENT, stat_path(path)) TH_LOG("%d in %s", byte, dirs[d]);
			EXPECT_EQ(ENOENT, stat_path(path)) TH_LOG("%d in %s", byte, dirs[d]);
		}
		EXPECT_EQ(0, stat_path(dirs[d]));
	}
}

/* Bytes that commands on events interpret: ends of names, lines, comments */
static bool in_commands_only(int byte)
{
	return strchr("\t\n\v\f\r #/:;", byte) || byte == 0xa0;
}

TEST_F_TIMEOUT(users, odd_names_are_served, TEST_SECONDS)
{
	char name[128] = PREFIX;
	char path[PATH_MAX];
	size_t len = strlen(PREFIX);
	int served = 0;

	if (access(user_kind.interface, F_OK))
		SKIP(return, "no %s, through which events get such names", user_kind.interface);

	for (int byte = 1; byte < 256; byte++) {
		if (!in_commands_only(byte))
			name[len++] = byte;
		if (len < sizeof(name) - 1 && byte < 255)
			continue;
		name[len] = 0;
		EXPECT_EQ(ENOENT, stat_path(event_path(path, &user_kind, name, "")));
		ASSERT_EQ(0, create_event(&user_kind, name)) TH_LOG("up to %d", byte);
		EXPECT_EQ(0, stat_path(path));
		EXPECT_EQ(1, times_listed(EVENTS "/user_events", name));
		EXPECT_EQ(0, open_and_read(event_path(path, &user_kind, name, "format")));
		ASSERT_EQ(0, reclaim());
		EXPECT_EQ(0, stat_path(path));
		ASSERT_EQ(0, remove_event(&user_kind, name));
		EXPECT_EQ(ENOENT, stat_path(path));
		served += len - strlen(PREFIX);
		len = strlen(PREFIX);
	}
	EXPECT_EQ(255 - 11, served);
}

/*
 * Watches
 */

TEST_F_TIMEOUT(users, watch_stays_on_its_directory, TEST_SECONDS)
{
	static const char * const dirs[] = {
		EVENTS, GROUP, EVENT, INSTANCE_GROUP, INSTANCE "/events", INSTANCE,
	};
	int watches[ARRAY_LEN(dirs)];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	__u64 buffer[64];	/* aligned */
	const struct inotify_event *event = (const void *)buffer;
	ssize_t got;

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		watches[i] = inotify_add_watch(fd, dirs[i], IN_CREATE);
		ASSERT_LE(0, watches[i]);
	}
	for (int again = 0; again < 2; again++) {
		ASSERT_EQ(0, reclaim());
		for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
			EXPECT_EQ(watches[i], inotify_add_watch(fd, dirs[i], IN_CREATE))
				TH_LOG("on %s", dirs[i]);
		}
	}
	ASSERT_EQ(0, reclaim());
	EXPECT_EQ(-1, read(fd, buffer, sizeof(buffer)));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_w"));
	got = read(fd, buffer, sizeof(buffer));
	EXPECT_EQ((ssize_t)(2 * (sizeof(*event) + event->len)), got);
	EXPECT_TRUE(event->wd == watches[1] || event->wd == watches[3]);
	close(fd);
}

/*
 * Listing by 64-bit and 32-bit processes
 */

struct entry {
	unsigned long long ino;
	unsigned long long off;
	unsigned char type;
	char name[NAME_MAX + 1];
};

/**
 * struct abi - the system calls of a process
 * @works: whether this kernel has them
 * @getdents: return: bytes, or -1 and errno
 * @parse: the first entry of those
 * @lseek: return: the new position, or -1 and errno
 * @ino: the inode number of an open file; return: 0 or -1 and errno
 */
struct abi {
	bool (*works)(void);
	long (*getdents)(int fd, void *buffer, size_t size);
	void (*parse)(const void *buffer, struct entry *entry);
	long (*lseek)(int fd, long offset, int whence);
	int (*ino)(int fd, unsigned long long *ino);
};

static bool native_works(void)
{
	return true;
}

static long native_getdents(int fd, void *buffer, size_t size)
{
	return syscall(SYS_getdents64, fd, buffer, size);
}

static void native_parse(const void *buffer, struct entry *entry)
{
	const struct dirent64 *dirent = buffer;

	entry->ino = dirent->d_ino;
	entry->off = dirent->d_off;
	entry->type = dirent->d_type;
	snprintf(entry->name, sizeof(entry->name), "%s", dirent->d_name);
}

static long native_lseek(int fd, long offset, int whence)
{
	return lseek(fd, offset, whence);
}

static int native_ino(int fd, unsigned long long *ino)
{
	struct stat st;
	int ret = fstat(fd, &st);

	*ino = st.st_ino;
	return ret;
}

static const struct abi native_abi = {
	.works		= native_works,
	.getdents	= native_getdents,
	.parse		= native_parse,
	.lseek		= native_lseek,
	.ino		= native_ino,
};

#ifdef __x86_64__

/* Numbers of i386, for the calls without large file support */
#define COMPAT_LSEEK		19
#define COMPAT_GETPID		20
#define COMPAT_FSTAT		108
#define COMPAT_GETDENTS		141

struct compat_dirent {
	__u32 ino;
	__u32 off;
	__u16 reclen;
	char name[];	/* its type is the last byte of the entry */
};

struct compat_stat {
	__u32 dev;
	__u32 ino;
	__u32 others[14];
};

/* A system call as a 32-bit process makes it. Pointers have to fit. */
static long compat_call(int nr, long a, long b, long c)
{
	int ret;

	asm volatile("int $0x80"
		     : "=a" (ret) : "0" (nr), "b" (a), "c" (b), "d" (c)
		     : "memory", "r8", "r9", "r10", "r11");
	if (ret >= 0 || ret < -4095)
		return ret;
	errno = -ret;
	return -1;
}

/* A kernel without such calls kills a process that makes one. */
static bool compat_works(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(compat_call(COMPAT_GETPID, 0, 0, 0) == getpid() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && !status;
}

static void *low_page(void)
{
	static void *page;

	if (!page)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	return page;
}

static long compat_getdents(int fd, void *buffer, size_t size)
{
	long got = compat_call(COMPAT_GETDENTS, fd, (long)low_page(), size);

	if (got > 0)
		memcpy(buffer, low_page(), got);
	return got;
}

static void compat_parse(const void *buffer, struct entry *entry)
{
	const struct compat_dirent *dirent = buffer;

	entry->ino = dirent->ino;
	entry->off = dirent->off;
	entry->type = ((const char *)buffer)[dirent->reclen - 1];
	snprintf(entry->name, sizeof(entry->name), "%s", dirent->name);
}

static long compat_lseek(int fd, long offset, int whence)
{
	return compat_call(COMPAT_LSEEK, fd, offset, whence);
}

static int compat_ino(int fd, unsigned long long *ino)
{
	struct compat_stat *st = low_page();
	int ret = compat_call(COMPAT_FSTAT, fd, (long)st, 0);

	*ino = st->ino;
	return ret;
}

#else

static bool compat_works(void)
{
	return false;
}

#define compat_getdents	native_getdents
#define compat_parse	native_parse
#define compat_lseek	native_lseek
#define compat_ino	native_ino

#endif

static const struct abi compat_abi = {
	.works		= compat_works,
	.getdents	= compat_getdents,
	.parse		= compat_parse,
	.lseek		= compat_lseek,
	.ino		= compat_ino,
};

FIXTURE(listing)
{
	struct system system;
};

FIXTURE_VARIANT(listing)
{
	const struct abi *abi;
};

FIXTURE_VARIANT_ADD(listing, native)
{
	.abi = &native_abi,
};

FIXTURE_VARIANT_ADD(listing, compat)
{
	.abi = &compat_abi,
};

FIXTURE_SETUP(listing)
{
	const char *why = cannot_run(&kprobe_kind);

	if (why)
		SKIP(return, "%s", why);
	if (!variant->abi->works())
		SKIP(return, "no 32-bit system calls from a process of x86-64");
	ASSERT_EQ(0, system_set_up(&self->system));
}

FIXTURE_TEARDOWN_PARENT(listing)
{
	EXPECT_EQ(0, system_tear_down(&self->system));
}

/*
 * Reads one entry, with a buffer that has room for no other.
 * Return: 1, 0 at the end, or -1 and errno.
 */
static int next_entry(const struct abi *abi, int fd, struct entry *entry)
{
	uint64_t buffer[40];	/* aligned, and 320 bytes */
	long got = -1;

	errno = EINVAL;
	for (size_t size = 16; got < 0 && errno == EINVAL && size <= sizeof(buffer); size += 4)
		got = abi->getdents(fd, buffer, size);
	if (got > 0)
		abi->parse(buffer, entry);
	return got > 0 ? 1 : got;
}

#define MAX_ENTRIES	512

/* Return: the number of entries, or -1 and errno */
static int all_entries(const struct abi *abi, int fd, struct entry entries[MAX_ENTRIES])
{
	int nr = 0, got = 0;

	if (abi->lseek(fd, 0, SEEK_SET))
		return -1;
	while (nr < MAX_ENTRIES && (got = next_entry(abi, fd, &entries[nr])) > 0)
		nr++;
	return got < 0 ? -1 : nr;
}

static int find_entry(const struct entry *entries, int nr, const char *name)
{
	for (int i = 0; i < nr; i++) {
		if (!strcmp(entries[i].name, name))
			return i;
	}
	return -1;
}

/*
 * Seeks to each position of a listing, the last one first, and reads the next entry. It
 * must be the first one after that position that is not @gone, or the end.
 * Return: the failure, or "".
 */
static const char *compare_positions(const struct abi *abi, int fd,
				     const struct entry *entries, int nr, const bool *gone)
{
	static char wrong[1024];
	struct entry entry;

	for (int i = nr; i >= 0; i--) {
		unsigned long long position = i ? entries[i - 1].off : 0;
		int next = i, got;
		bool more;

		while (next < nr && gone[next])
			next++;
		if (abi->lseek(fd, position, SEEK_SET) != (long)position ||
		    abi->lseek(fd, 0, SEEK_CUR) != (long)position) {
			snprintf(wrong, sizeof(wrong), "seeking to %llu: %m", position);
			return wrong;
		}
		got = next_entry(abi, fd, &entry);
		more = next < nr;
		if (got == more &&
		    (!got || (!strcmp(entry.name, entries[next].name) &&
			      entry.ino == entries[next].ino &&
			      entry.type == entries[next].type &&
			      abi->lseek(fd, 0, SEEK_CUR) == (long)entry.off)))
			continue;
		snprintf(wrong, sizeof(wrong), "at %llu is %s, not %s", position,
			 got > 0 ? entry.name : got ? strerror(errno) : "the end",
			 more ? entries[next].name : "the end");
		return wrong;
	}
	return "";
}

TEST_F_TIMEOUT(listing, positions_are_exact, TEST_SECONDS)
{
	static const char * const dirs[] = {
		EVENT, GROUP, EVENTS, INSTANCE_GROUP, INSTANCE "/events", INSTANCE, INSTANCES,
	};
	static struct entry entries[MAX_ENTRIES];
	static const bool gone[MAX_ENTRIES];
	unsigned long long ino;
	int fd, nr, file;

	for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
		ASSERT_EQ(0, open_path(dirs[d], O_RDONLY | O_DIRECTORY, &fd));
		nr = all_entries(variant->abi, fd, entries);
		ASSERT_LT(2, nr) TH_LOG("%s: %m", dirs[d]);
		ASSERT_GT(MAX_ENTRIES, nr);
		EXPECT_STREQ("", compare_positions(variant->abi, fd, entries, nr, gone))
			TH_LOG("in %s", dirs[d]);
		for (int i = 0; i < nr; i++) {
			ASSERT_GT(1ULL << 31, entries[i].off);
			file = openat(fd, entries[i].name, O_PATH | O_CLOEXEC);
			ASSERT_EQ(0, variant->abi->ino(file, &ino))
				TH_LOG("%s/%s: %m", dirs[d], entries[i].name);
			ASSERT_EQ(ino, entries[i].ino) TH_LOG("%s/%s", dirs[d], entries[i].name);
			close(file);
		}
		close(fd);
	}
}

#define NR_COOKIES	16

TEST_F_TIMEOUT(listing, positions_stay_after_removals, TEST_SECONDS)
{
	static struct entry entries[MAX_ENTRIES];
	bool gone[MAX_ENTRIES] = { false };
	char name[32];
	int fd, nr, at;

	for (int i = 0; i < NR_COOKIES; i++) {
		snprintf(name, sizeof(name), PREFIX "_p%d", i);
		ASSERT_EQ(0, create_event(&kprobe_kind, name));
	}
	ASSERT_EQ(0, open_path(GROUP, O_RDONLY | O_DIRECTORY, &fd));
	nr = all_entries(variant->abi, fd, entries);
	ASSERT_LE(NR_COOKIES + NR_STANDING + 2, nr);
	for (int i = 0; i < NR_COOKIES; i++) {
		snprintf(name, sizeof(name), PREFIX "_p%d", i);
		at = find_entry(entries, nr, name);
		ASSERT_LE(0, at);
		gone[at] = true;
		ASSERT_EQ(0, remove_event(&kprobe_kind, name));
		ASSERT_STREQ("", compare_positions(variant->abi, fd, entries, nr, gone))
			TH_LOG("without %s", name);
	}
	close(fd);
}

TEST_F_TIMEOUT(listing, rewinding_shows_the_present, TEST_SECONDS)
{
	static struct entry entries[MAX_ENTRIES];
	struct entry entry;
	int fd, nr;

	ASSERT_EQ(0, open_path(GROUP, O_RDONLY | O_DIRECTORY, &fd));
	nr = all_entries(variant->abi, fd, entries);
	EXPECT_EQ(-1, find_entry(entries, nr, PREFIX "_r"));
	ASSERT_EQ(0, create_event(&kprobe_kind, PREFIX "_r"));
	nr = all_entries(variant->abi, fd, entries);
	EXPECT_LE(0, find_entry(entries, nr, PREFIX "_r"));
	/* Also from the middle */
	ASSERT_EQ(0, variant->abi->lseek(fd, 0, SEEK_SET));
	for (int i = 0; i < nr / 2; i++) {
		ASSERT_EQ(1, next_entry(variant->abi, fd, &entry));
	}
	ASSERT_EQ(0, remove_event(&kprobe_kind, PREFIX "_r"));
	nr = all_entries(variant->abi, fd, entries);
	EXPECT_EQ(-1, find_entry(entries, nr, PREFIX "_r"));
	EXPECT_LE(0, find_entry(entries, nr, PREFIX "_s0"));
	close(fd);
}

TEST_F_TIMEOUT(listing, removed_directory_has_no_entries, TEST_SECONDS)
{
	static const char * const dirs[] = {
		EVENTS "/" PREFIX "_g/" PREFIX "_d", EVENTS "/" PREFIX "_g",
	};
	static struct entry entries[ARRAY_LEN(dirs)][MAX_ENTRIES];
	int fds[ARRAY_LEN(dirs)], nr[ARRAY_LEN(dirs)];
	struct entry entry;

	ASSERT_EQ(0, create_event(&other_kind, PREFIX "_d"));
	for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
		ASSERT_EQ(0, open_path(dirs[d], O_RDONLY | O_DIRECTORY, &fds[d]));
		nr[d] = all_entries(variant->abi, fds[d], entries[d]);
		ASSERT_LT(2, nr[d]);
	}
	ASSERT_EQ(0, remove_event(&other_kind, PREFIX "_d"));
	for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
		for (int i = nr[d]; i >= 0; i--) {
			long position = i ? (long)entries[d][i - 1].off : 0;

			EXPECT_EQ(position, variant->abi->lseek(fds[d], position, SEEK_SET));
			EXPECT_EQ(-1, next_entry(variant->abi, fds[d], &entry));
			EXPECT_EQ(ENOENT, errno) TH_LOG("at %ld in %s", position, dirs[d]);
		}
		close(fds[d]);
	}
}

TEST_HARNESS_MAIN
