// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of limits
 *
 * A user with no rights but the group of the mount can look for missing names, hold
 * files open and watch directories. Each of these has a limit: memory is charged to
 * the cgroup, and all of it is freed later. If memory is short, events can still be
 * created and removed. Stuck listings are tested in eventfs_users_test.c.
 *
 * The log has the figures.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define GROUP		EVENTS "/" PREFIX
#define EVENT		GROUP "/" PREFIX "_s0"
#define MAX_WATCHES	"/proc/sys/fs/inotify/max_user_watches"

/* The user, and the group of the mount */
#define SOMEBODY	1001
#define MEMBERS		1234

#define NR_MISSES	20000
#define MAX_MISSES	4096		/* that a tree keeps */
#define NR_FILES	4096	/* that a user may have open, a common limit */
#define NR_WATCHES	256
#define NR_WATCHED	32	/* events that are removed while they are watched */
#define NR_LOOKERS	3
#define NR_COMING	4	/* events that are created and removed at a time */

/* Less than each test caches: a dentry takes 192 bytes or more. */
#define LOOKERS_LIMIT	(1 << 20)

/*
 * Files with numbers
 */

static int read_at(int dir, const char *name, char *text, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return errno;
	got = read(fd, text, size - 1);
	close(fd);
	if (got < 0)
		return EIO;
	text[got] = 0;
	return 0;
}

static int write_at(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* The number after @key at the start of a line, or -1 */
static long number_at(int dir, const char *name, const char *key)
{
	char text[8192];
	const char *at = text;

	if (read_at(dir, name, text, sizeof(text)))
		return -1;
	while (strncmp(at, key, strlen(key))) {
		at = strchr(at, '\n');
		if (!at)
			return -1;
		at++;
	}
	return strtol(at + strlen(key), NULL, 10);
}

/* Unused negative dentries of the whole machine */
static long negative_dentries(void)
{
	char text[128];
	long negative = -1;

	if (read_at(AT_FDCWD, "/proc/sys/fs/dentry-state", text, sizeof(text)) ||
	    sscanf(text, "%*d %*d %*d %*d %ld", &negative) != 1)
		return -1;
	return negative;
}

/*
 * A cgroup, in a mount without a mount point
 */

struct cgroup {
	int root;
	int dir;
};

static void cgroup_end(struct cgroup *cgroup)
{
	if (cgroup->dir >= 0)
		close(cgroup->dir);
	/* Its processes may have ended only a moment ago. */
	for (int i = 0; i < 100 && unlinkat(cgroup->root, PREFIX, AT_REMOVEDIR) &&
	     errno == EBUSY; i++)
		usleep(10000);
	close(cgroup->root);
}

/* 0 for no limit */
static int cgroup_limit(const struct cgroup *cgroup, const char *name, unsigned long limit)
{
	char text[32];

	snprintf(text, sizeof(text), limit ? "%lu" : "max", limit);
	return write_at(cgroup->dir, name, text);
}

/*
 * Above @limit bytes, memory is reclaimed and allocations are throttled. The maximum is
 * twice as much. A maximum alone is not enough: a dentry is freed after a grace period,
 * and allocations would not wait for that before a task is killed. Return: the reason
 * why there is no cgroup, or NULL
 */
static const char *cgroup_begin(struct cgroup *cgroup, unsigned long limit)
{
	cgroup->dir = -1;
	if (mount_nowhere("cgroup2", NULL, NULL, &cgroup->root))
		return "cgroup2 cannot be mounted";
	write_at(cgroup->root, "cgroup.subtree_control", "+memory");
	if (!mkdirat(cgroup->root, PREFIX, 0755) || errno == EEXIST)
		cgroup->dir = openat(cgroup->root, PREFIX, O_RDONLY | O_CLOEXEC);
	if (cgroup->dir < 0 || cgroup_limit(cgroup, "memory.high", limit) ||
	    cgroup_limit(cgroup, "memory.max", 2 * limit)) {
		cgroup_end(cgroup);
		return "no memory controller in cgroup2";
	}
	return NULL;
}

static long cgroup_bytes(const struct cgroup *cgroup)
{
	return number_at(cgroup->dir, "memory.current", "");
}

/* Waits until no more than @limit are charged, as slab_settle() does. */
static long cgroup_settle(const struct cgroup *cgroup, long limit)
{
	double deadline = now() + PATIENCE;
	long bytes;

	while ((bytes = cgroup_bytes(cgroup)) > limit && now() < deadline)
		usleep(10000);
	return bytes;
}

static long cgroup_events(const struct cgroup *cgroup, const char *key)
{
	return number_at(cgroup->dir, "memory.events", key);
}

/*
 * The user: a process that does one thing after another, and reports each
 */

struct user {
	pid_t pid;
	int socket;
};

/* Synchronise both processes, and pass a number. */
static int tell(int socket, long number)
{
	return write(socket, &number, sizeof(number)) == sizeof(number) ? 0 : EPIPE;
}

static int hear(int socket, long *number)
{
	return read(socket, number, sizeof(*number)) == sizeof(*number) ? 0 : EPIPE;
}

static int become_for_good(void)
{
	if (setgroups(0, NULL) || setresgid(MEMBERS, MEMBERS, MEMBERS) ||
	    setresuid(SOMEBODY, SOMEBODY, SOMEBODY))
		return errno;
	return 0;
}

static int user_begin(struct user *user, const struct cgroup *cgroup, int (*what)(int socket))
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return errno;
	user->pid = fork();
	if (!user->pid) {
		close(sockets[0]);
		_exit(write_at(cgroup->dir, "cgroup.procs", "0") ?:
		      become_for_good() ?: what(sockets[1]));
	}
	close(sockets[1]);
	user->socket = sockets[0];
	return user->pid < 0 ? errno : 0;
}

/* Return: its exit status, 0 or an errno */
static int user_end(struct user *user)
{
	int status;

	close(user->socket);
	if (waitpid(user->pid, &status, 0) != user->pid)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/*
 * Fixture
 */

FIXTURE(limits)
{
	struct stat root;	/* of the mount, to restore its owner and mode */
	char max_watches[32];
};

FIXTURE_SETUP(limits)
{
	const char *why = cannot_run(&kprobe_kind);

	self->max_watches[0] = 0;
	if (why)
		SKIP(return, "%s", why);
	if (slab_count(slab_names[0]) < 0 || slab_count(slab_names[1]) < 0)
		SKIP(return, "no counts of %s and %s in /proc/slabinfo and /sys/kernel/slab",
		     slab_names[0], slab_names[1]);
	ASSERT_EQ(0, stat(TRACING, &self->root));
	ASSERT_EQ(0, read_at(AT_FDCWD, MAX_WATCHES, self->max_watches,
			     sizeof(self->max_watches)));
	ASSERT_EQ(0, set_up(&kprobe_kind));
	ASSERT_EQ(0, remount(self->root.st_uid, MEMBERS));
	ASSERT_EQ(0, chmod(TRACING, 0750));
}

FIXTURE_TEARDOWN_PARENT(limits)
{
	EXPECT_EQ(0, write_text(MAX_WATCHES, self->max_watches));
	EXPECT_EQ(0, tidy(&kprobe_kind));
	EXPECT_EQ(0, remount(self->root.st_uid, self->root.st_gid));
	EXPECT_EQ(0, chmod(TRACING, self->root.st_mode & 07777));
}

/*
 * Missing names
 */

static int look_for_many(int socket)
{
	char path[PATH_MAX];
	int error;

	for (int i = 0; i < NR_MISSES; i++) {
		snprintf(path, sizeof(path), EVENT "/missing%d", i);
		error = stat_path(path);
		if (error != ENOENT)
			return error ?: EEXIST;
	}
	return 0;
}

static int look_in_cgroup(const struct cgroup *cgroup)
{
	struct user user;

	return user_begin(&user, cgroup, look_for_many) ?: user_end(&user);
}

/* A limited number is kept, and charged to the task that looked for them. */
TEST_F_TIMEOUT(limits, misses_are_bounded_and_charged, TEST_SECONDS)
{
	long before, negative, charged, left, uncharged;
	struct cgroup cgroup;
	const char *why;

	ASSERT_EQ(0, reclaim());
	before = negative_dentries();
	why = cgroup_begin(&cgroup, 0);
	if (why)
		SKIP(return, "%s", why);

	EXPECT_EQ(0, look_in_cgroup(&cgroup));
	negative = negative_dentries() - before;
	charged = cgroup_bytes(&cgroup);
	EXPECT_EQ(0, reclaim());
	left = negative_dentries() - before;
	/* A CPU keeps some of the charge for later allocations. */
	uncharged = cgroup_settle(&cgroup, charged / 2);
	TH_LOG("%d misses of a user: %ld negative dentries, %ld bytes charged", NR_MISSES,
	       negative, charged);
	TH_LOG("reclaim leaves %ld, %ld bytes", left, uncharged);
	EXPECT_LE(MAX_MISSES / 2, negative);
	EXPECT_GE(MAX_MISSES * 2, negative);
	EXPECT_LE(MAX_MISSES / 2 * 128, charged);
	EXPECT_GT(MAX_MISSES / 10, left);
	EXPECT_GE(charged / 2, uncharged);
	cgroup_end(&cgroup);
}

/*
 * Open files
 */

static int open_many(int socket)
{
	long nr = 0, go;
	int error, fd;

	while (!(error = open_path(EVENT "/format", O_RDONLY, &fd)))
		nr++;
	if (error != EMFILE)
		return error;
	/* Wait until the event is removed. The exit of this process closes the files. */
	return tell(socket, nr) ?: hear(socket, &go);
}

static int begin_open_many(struct user *user, const struct cgroup *cgroup)
{
	const struct rlimit limit = { NR_FILES, NR_FILES };
	struct rlimit old;
	int error;

	/* The user inherits the limit and cannot raise it. */
	if (getrlimit(RLIMIT_NOFILE, &old) || setrlimit(RLIMIT_NOFILE, &limit))
		return errno;
	error = user_begin(user, cgroup, open_many);
	return setrlimit(RLIMIT_NOFILE, &old) ? errno : error;
}

/* How long the removal of an event takes, or less than 0 */
static double time_removal(const char *name)
{
	double start = now();

	return remove_event(&kprobe_kind, name) ? -1 : now() - start;
}

TEST_F_TIMEOUT(limits, open_files_delay_no_removal, TEST_SECONDS)
{
	long before[NR_SLABS], opened, charged;
	double unused, used;
	struct cgroup cgroup;
	struct user user;
	const char *why;

	why = cgroup_begin(&cgroup, 0);
	if (why)
		SKIP(return, "%s", why);
	unused = time_removal(PREFIX "_s1");
	EXPECT_LE(0, unused);
	ASSERT_EQ(0, count_slabs(before));
	/* The inodes on the path to the event may stay. */
	before[1]++;

	ASSERT_EQ(0, begin_open_many(&user, &cgroup));
	ASSERT_EQ(0, hear(user.socket, &opened));
	charged = cgroup_bytes(&cgroup);
	used = time_removal(PREFIX "_s0");
	TH_LOG("%ld open files, %ld bytes charged; it is removed in %.0f us, another in %.0f",
	       opened, charged, used * 1e6, unused * 1e6);
	/* All files are still open. */
	EXPECT_LE(0, used);
	EXPECT_EQ(ENOENT, stat_path(EVENT));
	EXPECT_LE(NR_FILES - 16, opened);
	EXPECT_LE(opened * 128, charged);

	EXPECT_EQ(0, tell(user.socket, 0));
	EXPECT_EQ(0, user_end(&user));
	/* The event was removed, here and in the instance. */
	before[0] -= 2;
	EXPECT_STREQ("", slab_rise(before));
	cgroup_end(&cgroup);
}

/*
 * Watches
 */

struct watcher {
	int fd;
	int last;
	long nr;
};

/* Counts new watches: a second watch of an object gets the number of the first. */
static int watch(struct watcher *watcher, const char *path)
{
	int number = inotify_add_watch(watcher->fd, path, IN_ALL_EVENTS);

	if (number < 0)
		return errno;
	if (number > watcher->last) {
		watcher->last = number;
		watcher->nr++;
	}
	return 0;
}

static int watch_all_in(struct watcher *watcher, const char *path)
{
	const struct dirent64 *entry;
	char name[PATH_MAX];
	struct lister lister;
	int error;

	error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error)
		return error;
	while (!error && !(error = lister_next(&lister, &entry)) && entry) {
		if (is_dots(entry))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		error = watch(watcher, name);
		if (!error && entry->d_type == DT_DIR)
			error = watch_all_in(watcher, name);
	}
	close(lister.fd);
	return error;
}

static const char *watched_name(int i, char name[32])
{
	snprintf(name, 32, PREFIX "_w%d", i);
	return name;
}

static int watch_events(struct watcher *watcher)
{
	char path[PATH_MAX], name[32];
	int error = 0;

	for (int i = 0; i < NR_WATCHED && !error; i++)
		error = watch(watcher, event_path(path, &kprobe_kind, watched_name(i, name), ""));
	return error;
}

/* Begins as many watches as possible, twice. The first include events to be removed. */
static int watch_many(int socket)
{
	struct watcher watcher = { .fd = inotify_init1(IN_CLOEXEC) };
	long go;
	int error;

	error = watch_events(&watcher);
	for (int i = 0; i < 2 && !error; i++) {
		error = watch_all_in(&watcher, EVENTS);
		if (error != ENOSPC)
			return error ?: ENODATA;
		error = tell(socket, watcher.nr) ?: hear(socket, &go);
		watcher.nr = 0;
	}
	return error;
}

static int create_watched(void)
{
	char name[32];
	int error = 0;

	for (int i = 0; i < NR_WATCHED && !error; i++)
		error = create_event(&kprobe_kind, watched_name(i, name));
	return error;
}

static int remove_watched(void)
{
	char name[32];
	int error = 0;

	for (int i = 0; i < NR_WATCHED && !error; i++)
		error = remove_event(&kprobe_kind, watched_name(i, name));
	return error;
}

TEST_F_TIMEOUT(limits, watches_are_bounded_and_go, TEST_SECONDS)
{
	long before[NR_SLABS], held[NR_SLABS], after[NR_SLABS], first, second, charged;
	struct cgroup cgroup;
	struct user user;
	const char *why;
	char text[16];

	why = cgroup_begin(&cgroup, 0);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, count_slabs(before));
	ASSERT_EQ(0, create_watched());
	snprintf(text, sizeof(text), "%d", NR_WATCHES);
	ASSERT_EQ(0, write_text(MAX_WATCHES, text));

	ASSERT_EQ(0, user_begin(&user, &cgroup, watch_many));
	ASSERT_EQ(0, hear(user.socket, &first));
	EXPECT_EQ(0, count_slabs(held));
	charged = cgroup_bytes(&cgroup);
	EXPECT_EQ(0, remove_watched());
	EXPECT_EQ(0, tell(user.socket, 0));
	EXPECT_EQ(0, hear(user.socket, &second));
	EXPECT_EQ(0, tell(user.socket, 0));
	EXPECT_EQ(0, user_end(&user));
	EXPECT_EQ(0, count_slabs(after));
	TH_LOG("%ld watches keep %ld inodes, %ld bytes charged", first, held[1] - before[1],
	       charged);
	TH_LOG("%d watched events went, room for %ld watches; left %ld inodes, %ld nodes",
	       NR_WATCHED, second, after[1] - before[1], after[0] - before[0]);
	EXPECT_EQ(NR_WATCHES, first);
	EXPECT_GE(NR_WATCHES, held[1] - before[1]);
	EXPECT_LT(NR_WATCHES / 2, held[1] - before[1]);
	/* One for each removed event */
	EXPECT_EQ(NR_WATCHED, second);
	EXPECT_STREQ("", slab_rise(before));
	cgroup_end(&cgroup);
}

/*
 * Memory pressure
 */

struct looker {
	atomic_ulong looked;
	atomic_ulong rounds;
	atomic_ulong no_memory;
	int error;
	char path[PATH_MAX];	/* of what the error came from */
};

struct shared {
	atomic_bool stop;
	struct looker lookers[NR_LOOKERS];
};

static struct shared *shared;

/* Events that are created and removed may be missing, and memory may be short. */
static bool judge(struct looker *looker, const char *path, int error)
{
	atomic_fetch_add(&looker->looked, 1);
	if (error == ENOMEM)
		atomic_fetch_add(&looker->no_memory, 1);
	if (error && error != ENOMEM &&
	    ((error != ENOENT && error != ENODEV) || strstr(path, PREFIX "_s"))) {
		looker->error = error;
		snprintf(looker->path, sizeof(looker->path), "%s", path);
	}
	return !looker->error && !atomic_load(&shared->stop);
}

static bool look_at(struct looker *looker, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	bool reads = !strcmp(name, "format") || !strcmp(name, "id") || !strcmp(name, "enable");

	return judge(looker, path, reads ? open_and_read(path) : stat_path(path));
}

/* Return: whether to continue */
static bool look_through(struct looker *looker, const char *path)
{
	const struct dirent64 *entry;
	char name[PATH_MAX];
	struct lister lister;
	bool go_on;
	int error;

	go_on = judge(looker, path, lister_open(&lister, path, sizeof(lister.buffer)));
	if (lister.fd < 0)
		return go_on;
	while (go_on) {
		error = lister_next(&lister, &entry);
		go_on = judge(looker, path, error);
		if (error || !entry)
			break;
		if (is_dots(entry))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			go_on = go_on && look_through(looker, name);
		else
			go_on = go_on && look_at(looker, name);
	}
	close(lister.fd);
	return go_on;
}

static bool look_at_standing(struct looker *looker)
{
	char path[PATH_MAX], name[32];
	bool go_on = true;

	for (unsigned int i = 0; i < NR_STANDING && go_on; i++)
		go_on = look_at(looker, event_path(path, &kprobe_kind,
						   standing_name(name, i), "format"));
	return go_on;
}

static int look_around(int number)
{
	struct looker *looker = &shared->lookers[number];

	while (look_through(looker, EVENTS) && look_at_standing(looker))
		atomic_fetch_add(&looker->rounds, 1);
	return looker->error;
}

static pid_t looker_begin(const struct cgroup *cgroup, int number)
{
	pid_t pid = fork();

	if (!pid)
		_exit(write_at(cgroup->dir, "cgroup.procs", "0") ?: look_around(number));
	return pid;
}

/* Repeats an operation while the machine itself is out of memory. */
static int until_done(int (*fn)(const struct kind *kind, const char *name), const char *name)
{
	double deadline = now() + PATIENCE;
	int error;

	while ((error = fn(&kprobe_kind, name)) == ENOMEM && now() < deadline)
		usleep(10000);
	return error;
}

static int come_and_go(void)
{
	char names[NR_COMING][32];
	int error = 0;

	for (int i = 0; i < NR_COMING && !error; i++) {
		snprintf(names[i], sizeof(names[i]), PREFIX "_c%d", i);
		error = until_done(create_event, names[i]);
	}
	for (int i = 0; i < NR_COMING && !error; i++)
		error = until_done(remove_event, names[i]);
	return error;
}

/* Reclaims from the whole machine, or from the cgroup, which may have less to give. */
static int shrink(const struct cgroup *cgroup, unsigned int round)
{
	int error;

	if (round % 8 == 0)
		return reclaim();
	error = write_at(cgroup->dir, "memory.reclaim", "256K");
	return error == EAGAIN || error == ENOENT ? 0 : error;
}

static bool all_have_looked(void)
{
	for (int i = 0; i < NR_LOOKERS; i++) {
		if (!atomic_load(&shared->lookers[i].rounds))
			return false;
	}
	return true;
}

TEST_F_TIMEOUT(limits, events_come_and_go_without_memory, TEST_SECONDS)
{
	unsigned int rounds = nr_rounds();
	double deadline = now() + TEST_SECONDS / 2;
	long before[NR_SLABS];
	pid_t pids[NR_LOOKERS];
	struct cgroup cgroup;
	const char *why;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, count_slabs(before));
	why = cgroup_begin(&cgroup, LOOKERS_LIMIT);
	if (why)
		SKIP(return, "%s", why);
	/* Objects that are cached already are charged to others. */
	ASSERT_EQ(0, reclaim());
	for (int i = 0; i < NR_LOOKERS; i++) {
		pids[i] = looker_begin(&cgroup, i);
		ASSERT_LT(0, pids[i]);
	}
	/* Each sees all events at least once. Begin to reclaim when the limit is reached. */
	for (unsigned int i = 0; now() < deadline; i++) {
		bool reached = cgroup_events(&cgroup, "high ") > 0;

		if (i >= rounds && reached && all_have_looked())
			break;
		EXPECT_EQ(0, come_and_go()) break;
		if (reached)
			EXPECT_EQ(0, shrink(&cgroup, i)) break;
	}
	EXPECT_TRUE(all_have_looked());
	atomic_store(&shared->stop, true);
	for (int i = 0; i < NR_LOOKERS; i++) {
		struct looker *looker = &shared->lookers[i];

		EXPECT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status)
			TH_LOG("%s: %s", looker->path, strerror(looker->error));
		TH_LOG("%lu looks in %lu rounds, %lu without memory", looker->looked,
		       looker->rounds, looker->no_memory);
	}
	TH_LOG("%d bytes: reclaimed %ld times, at most %ld bytes", LOOKERS_LIMIT,
	       cgroup_events(&cgroup, "high "), number_at(cgroup.dir, "memory.peak", ""));
	EXPECT_LT(0, cgroup_events(&cgroup, "high "));
	EXPECT_EQ(0, cgroup_events(&cgroup, "oom_kill "));
	cgroup_end(&cgroup);

	EXPECT_EQ(0, reclaim());
	EXPECT_STREQ("", slab_rise(before));
}

TEST_HARNESS_MAIN
