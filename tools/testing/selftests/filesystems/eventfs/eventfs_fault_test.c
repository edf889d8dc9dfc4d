// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests with allocations that fail
 *
 * Each operation is repeated, first with its first allocation failing, then with its
 * second, until it has no more. The file fail-nth in /proc makes allocations of this
 * thread fail. The operation either succeeds without that memory, or returns an error
 * and changes nothing. It works the next time.
 *
 * If an operation has many allocations, such as the creation of an instance,
 * EVENTFS_FAULTS of them fail (0: all), spread evenly. At the end, there are as many
 * nodes and inodes as before.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/mman.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define GROUP		EVENTS "/" PREFIX
#define EVENT		GROUP "/" PREFIX "_s0"
#define INSTANCE_GROUP	INSTANCES "/" PREFIX "/events/" PREFIX

/* The name that is created and removed here */
#define NEW		PREFIX "_f"
#define NEW_EVENT	GROUP "/" NEW
#define NEW_GROUP	EVENTS "/" PREFIX "_g"
#define NEW_INSTANCE	INSTANCES "/" NEW
#define SAMPLE_SYSTEM	"sample-trace"
#define SAMPLE_GROUP	EVENTS "/" SAMPLE_SYSTEM

#define FAILSLAB	"/sys/kernel/debug/failslab"
#define FAIL_PAGES	"/sys/kernel/debug/fail_page_alloc"
#define FAIL_NTH	"/proc/thread-self/fail-nth"

#define NEVER		1000000000U	/* more allocations than anything makes */
#define DEFAULT_FAULTS	24
#define SLOW_FAULTS	16	/* for an operation that takes a second */
#define MAX_SWEEPS	5
#define SWEEP_SECONDS	3600	/* enough for all of the thousands that create an instance */

/* A second owner, and a time that no object has by default */
#define UID		11
#define GID		22
#define SET_TIME	1000000000

static const struct kind other_kind = {
	.group		= PREFIX "_g",
	.add		= "p:" PREFIX "_g/%s vfs_read",
};

static struct stat root;	/* of the mount, to restore its owner */

/*
 * A picture of the tree
 */

struct picture {
	size_t at;
	char text[1 << 16];
};

static void note(struct picture *picture, const char *format, ...)
{
	size_t room = sizeof(picture->text) - picture->at;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(picture->text + picture->at, room, format, args);
	va_end(args);
	picture->at += (size_t)len < room ? (size_t)len : room - 1;
}

/* Without inode number and times, which differ when the name is created again. */
static void draw_object(struct picture *picture, const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		note(picture, "%s: %s\n", path, strerror(errno));
		return;
	}
	note(picture, "%s: mode %o, owner %u:%u, %lu links%s\n", path, st.st_mode, st.st_uid,
	     st.st_gid, (unsigned long)st.st_nlink,
	     st.st_mtim.tv_sec == SET_TIME ? ", set time" : "");
}

static void draw_directory(struct picture *picture, const char *path)
{
	const struct dirent64 *entry;
	char name[PATH_MAX];
	struct lister lister;
	int error;

	draw_object(picture, path);
	if (lister_open(&lister, path, sizeof(lister.buffer)))
		return;
	while (!(error = lister_next(&lister, &entry)) && entry) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		draw_object(picture, name);
	}
	if (error)
		note(picture, "%s: listing: %s\n", path, strerror(error));
	close(lister.fd);
}

static void draw_text(struct picture *picture, const char *path)
{
	char text[4096];
	ssize_t got;
	int fd;

	if (open_path(path, O_RDONLY, &fd))
		return;
	while ((got = read(fd, text, sizeof(text))) > 0)
		note(picture, "%.*s", (int)got, text);
	close(fd);
}

static void draw(struct picture *picture)
{
	static const char * const directories[] = {
		GROUP, EVENT, NEW_EVENT, NEW_GROUP, NEW_GROUP "/" NEW,
		EVENTS "/synthetic", EVENTS "/user_events", SAMPLE_GROUP, SAMPLE_GROUP "/foo_bar",
		INSTANCES "/" PREFIX "/events/" SAMPLE_SYSTEM,
		INSTANCES, INSTANCE_GROUP, INSTANCE_GROUP "/" NEW,
		NEW_INSTANCE, NEW_INSTANCE "/events/" PREFIX,
	};

	picture->at = 0;
	draw_object(picture, TRACING);
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		draw_directory(picture, directories[i]);
	draw_text(picture, TRACING "/dynamic_events");
}

/* The first line in which two pictures differ, or "" */
static const char *difference(const struct picture *a, const struct picture *b)
{
	const char *line = a->text, *p = a->text, *q = b->text;
	static char text[1024];

	for (; *p && *p == *q; p++, q++) {
		if (*p == '\n')
			line = p + 1;
	}
	if (*p == *q)
		return "";
	snprintf(text, sizeof(text), "\"%.*s\", now \"%.*s\"",
		 (int)strcspn(line, "\n"), line,
		 (int)strcspn(b->text + (line - a->text), "\n"), b->text + (line - a->text));
	return text;
}

/*
 * If the directory of an event cannot be created, the tracing core logs that and
 * continues without it. The directories that exist must be complete.
 */

static int list_names(const char *path, struct picture *names)
{
	const struct dirent64 *entry;
	struct lister lister;
	int error;

	names->at = 0;
	error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error)
		return error;
	while (!(error = lister_next(&lister, &entry)) && entry)
		note(names, "%s\n", entry->d_name);
	close(lister.fd);
	return error;
}

/* Return: 0 if @path has the same files as @like, or does not exist */
static int whole_directory(const char *like, const char *path)
{
	static struct picture expected, seen;
	int error;

	error = list_names(like, &expected);
	if (error)
		return error;
	error = list_names(path, &seen);
	if (error)
		return error == ENOENT ? 0 : error;
	return *difference(&expected, &seen) ? EILSEQ : 0;
}

static int whole_event(void)
{
	return whole_directory(EVENT, NEW_EVENT) ?:
	       whole_directory(INSTANCE_GROUP "/" PREFIX "_s0", INSTANCE_GROUP "/" NEW);
}

static int whole_first_event(void)
{
	return whole_directory(EVENT, NEW_GROUP "/" NEW);
}

static int whole_synthetic_event(void)
{
	return whole_directory(EVENTS "/synthetic/" PREFIX "_y", EVENTS "/synthetic/" NEW);
}

static int whole_user_event(void)
{
	return whole_directory(EVENTS "/user_events/" PREFIX "_y", EVENTS "/user_events/" NEW);
}

/* Calls fn(name) for each directory in @path. */
static int visit_directories(const char *path, int (*fn)(const char *name))
{
	const struct dirent64 *entry;
	char name[PATH_MAX];
	struct lister lister;
	int error;

	error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error)
		return error;
	while (!(error = lister_next(&lister, &entry)) && entry) {
		if (entry->d_type != DT_DIR || is_dots(entry))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		error = fn(name);
		if (error)
			break;
	}
	close(lister.fd);
	return error;
}

/* Compares an event of the new instance with that of the top level. */
static int whole_instance_event(const char *path)
{
	char like[PATH_MAX];

	snprintf(like, sizeof(like), EVENTS "%s", path + strlen(NEW_INSTANCE "/events"));
	return whole_directory(like, path);
}

static int whole_instance_system(const char *path)
{
	return visit_directories(path, whole_instance_event);
}

static int whole_instance(void)
{
	int error = visit_directories(NEW_INSTANCE "/events", whole_instance_system);

	return error == ENOENT ? 0 : error;
}

/* If the directory of an event of the module exists, it is like that of another event. */
static int whole_sample_event(const char *path)
{
	return whole_directory(EVENT, path);
}

static int whole_sample(void)
{
	int error = visit_directories(SAMPLE_GROUP, whole_sample_event);

	return error == ENOENT ? 0 : error;
}

/*
 * Operations. None of these allocates memory itself, which might fail as well.
 */

static int nothing(void)
{
	return 0;
}

static int do_stat_directory(void)
{
	return stat_path(EVENT);
}

static int do_stat_file(void)
{
	return stat_path(EVENT "/format");
}

static int do_stat_below_instance(void)
{
	return stat_path(INSTANCE_GROUP "/" PREFIX "_s0/id");
}

static int do_stat_missing(void)
{
	int error = stat_path(EVENT "/missing");

	return error == ENOENT ? 0 : error ?: EEXIST;
}

static int do_read(void)
{
	return open_and_read(EVENT "/format") ?: open_and_read(EVENT "/enable");
}

static int do_list(void)
{
	return list_to_end(GROUP);
}

static int watch_fd = -1;
static int watch = -1;

static int make_watch_fd(void)
{
	if (watch_fd < 0)
		watch_fd = inotify_init1(IN_CLOEXEC);
	return watch_fd < 0 ? errno : 0;
}

static int do_watch(void)
{
	watch = inotify_add_watch(watch_fd, EVENT, IN_ALL_EVENTS);
	return watch < 0 ? errno : 0;
}

static int end_watch(void)
{
	return inotify_rm_watch(watch_fd, watch) ? errno : 0;
}

static int do_create(void)
{
	return create_event(&kprobe_kind, NEW);
}

static int do_remove(void)
{
	return remove_event(&kprobe_kind, NEW);
}

static int do_create_first(void)
{
	return create_event(&other_kind, NEW);
}

static int do_remove_last(void)
{
	return remove_event(&other_kind, NEW);
}

static int do_create_synthetic(void)
{
	return create_event(&synthetic_kind, NEW);
}

static int do_remove_synthetic(void)
{
	return remove_event(&synthetic_kind, NEW);
}

static int do_create_user(void)
{
	return create_event(&user_kind, NEW);
}

static int do_remove_user(void)
{
	return remove_event(&user_kind, NEW);
}

static int do_mkdir(void)
{
	return mkdir(NEW_INSTANCE, 0750) ? errno : 0;
}

static int do_rmdir(void)
{
	return rmdir(NEW_INSTANCE) ? errno : 0;
}

static char sample[PATH_MAX];	/* the file of the module */

static int do_load(void)
{
	return load_sample(sample);
}

static int make_loaded(void)
{
	return stat_path(SAMPLE_GROUP) ? do_load() : 0;
}

/* A new event, which was never used, with no attributes set */
static int make_new(void)
{
	return stat_path(NEW_EVENT) ? do_create() : do_remove() ?: do_create();
}

/* Creates the group, unless it exists because its removal failed. */
static int make_new_group(void)
{
	return stat_path(NEW_GROUP) ? do_create_first() : 0;
}

static int make_new_instance(void)
{
	return stat_path(NEW_INSTANCE) ? do_mkdir() : 0;
}

/* A new instance, which was never used */
static int renew_instance(void)
{
	return (stat_path(NEW_INSTANCE) ? 0 : do_rmdir()) ?: do_mkdir();
}

static int do_first_look(void)
{
	return stat_path(NEW_INSTANCE "/events/" PREFIX "/" PREFIX "_s0/format");
}

static int do_first_filter(void)
{
	return write_text(NEW_INSTANCE "/events/" PREFIX "/filter", "common_pid != 0");
}

static int do_chmod_directory(void)
{
	return chmod(NEW_EVENT, 0711) ? errno : 0;
}

static int do_chmod_file(void)
{
	return chmod(NEW_EVENT "/enable", 0604) ? errno : 0;
}

static int do_chown_directory(void)
{
	return chown(NEW_EVENT, UID, GID) ? errno : 0;
}

static int do_chown_file(void)
{
	return chown(NEW_EVENT "/enable", UID, GID) ? errno : 0;
}

static int do_touch_directory(void)
{
	static const struct timespec times[2] = { { SET_TIME, 0 }, { SET_TIME, 0 } };

	return utimensat(AT_FDCWD, NEW_EVENT, times, 0) ? errno : 0;
}

static int do_touch_file(void)
{
	static const struct timespec times[2] = { { SET_TIME, 0 }, { SET_TIME, 0 } };

	return utimensat(AT_FDCWD, NEW_EVENT "/enable", times, 0) ? errno : 0;
}

static int do_chown_root(void)
{
	return chown(TRACING, UID, GID) ? errno : 0;
}

static int do_chown_instances(void)
{
	return chown(INSTANCES, UID, GID) ? errno : 0;
}

static int restore_owners(void)
{
	return remount(root.st_uid, root.st_gid);
}

static int do_remount(void)
{
	return remount(UID, GID);
}

static int do_mount(void)
{
	int error, fd;

	error = mount_nowhere("tracefs", NULL, NULL, &fd);
	close(fd);
	return error;
}

static int do_mount_with_options(void)
{
	int error, fd;

	/* UID and GID */
	error = mount_nowhere("tracefs", "11", "22", &fd);
	close(fd);
	return error;
}

/*
 * Fixture
 */

/* Every allocation may fail, without a message in the log. */
static const struct setting {
	const char *path;
	const char *value;
} settings[] = {
	{ FAILSLAB "/ignore-gfp-wait",		"N" },
	{ FAILSLAB "/cache-filter",		"N" },
	{ FAILSLAB "/verbose",			"0" },
	/* A kernel may not have the files from here on. */
	{ FAIL_PAGES "/ignore-gfp-wait",	"N" },
	{ FAIL_PAGES "/ignore-gfp-highmem",	"N" },
	{ FAIL_PAGES "/min-order",		"0" },
	{ FAIL_PAGES "/verbose",		"0" },
};

static int read_setting(const char *path, char value[16])
{
	ssize_t got = -1;
	int error, fd;

	error = open_path(path, O_RDONLY, &fd);
	if (error)
		return error;
	got = read(fd, value, 15);
	close(fd);
	if (got < 0)
		return EIO;
	value[got] = 0;
	value[strcspn(value, "\n")] = 0;
	return 0;
}

static const char *cannot_fail(void)
{
	if (access(FAIL_NTH, W_OK))
		return "no " FAIL_NTH;
	return access(FAILSLAB, X_OK) ? "no " FAILSLAB : NULL;
}

FIXTURE(fault)
{
	char saved[ARRAY_LEN(settings)][16];
	struct stat root;
	int fail_nth;
};

/**
 * struct - an operation that is repeated
 * @prepare: called before each time. Return: 0 or an errno, as all of these
 * @call: the operation
 * @undo: undoes it
 * @whole: checks that what exists is complete, for an operation that may succeed
 *	although something is missing; NULL if nothing may be missing
 * @halfway: it may return an error although everything is done
 * @errors: errors that it may return besides ENOMEM
 * @least: minimum number of faults for which it must return an error
 * @slow: it takes long
 */
FIXTURE_VARIANT(fault)
{
	int (*prepare)(void);
	int (*call)(void);
	int (*undo)(void);
	int (*whole)(void);
	bool halfway;
	int errors[3];
	unsigned int least;
	bool slow;
};

FIXTURE_VARIANT_ADD(fault, stat_directory) {
	.prepare = nothing, .call = do_stat_directory, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, stat_file) {
	.prepare = nothing, .call = do_stat_file, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, stat_below_instance) {
	.prepare = nothing, .call = do_stat_below_instance, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, stat_missing) {
	.prepare = nothing, .call = do_stat_missing, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, open_and_read) {
	.prepare = nothing, .call = do_read, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, list) {
	.prepare = make_new, .call = do_list, .undo = nothing, .least = 2,
};

FIXTURE_VARIANT_ADD(fault, watch) {
	.prepare = make_watch_fd, .call = do_watch, .undo = end_watch, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, create_event) {
	.prepare = nothing, .call = do_create, .undo = do_remove, .whole = whole_event,
	.least = 4,
};

FIXTURE_VARIANT_ADD(fault, remove_event) {
	.prepare = make_new, .call = do_remove, .undo = nothing, .least = 2,
};

FIXTURE_VARIANT_ADD(fault, create_first_event) {
	.prepare = nothing, .call = do_create_first, .undo = do_remove_last,
	.whole = whole_first_event, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, remove_last_event) {
	.prepare = make_new_group, .call = do_remove_last, .undo = nothing, .least = 2,
};

FIXTURE_VARIANT_ADD(fault, create_synthetic_event) {
	.prepare = nothing, .call = do_create_synthetic, .undo = do_remove_synthetic,
	.whole = whole_synthetic_event, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, create_user_event) {
	.prepare = nothing, .call = do_create_user, .undo = do_remove_user,
	.whole = whole_user_event, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, create_instance) {
	/* EINVAL, because the tracing core does not get the error of its directory */
	.prepare = nothing, .call = do_mkdir, .undo = do_rmdir, .whole = whole_instance,
	.errors = { EINVAL }, .least = 1, .slow = true,
};

FIXTURE_VARIANT_ADD(fault, remove_instance) {
	.prepare = make_new_instance, .call = do_rmdir, .undo = nothing, .least = 1,
	.slow = true,
};

FIXTURE_VARIANT_ADD(fault, first_look_into_instance) {
	.prepare = renew_instance, .call = do_first_look, .undo = do_rmdir, .least = 4,
	.slow = true,
};

/*
 * This does not enable an event: without memory to record the names of tasks, the kernel
 * continues without it, and warns when the recording is stopped.
 */
FIXTURE_VARIANT_ADD(fault, first_filter_in_instance) {
	.prepare = renew_instance, .call = do_first_filter, .undo = do_rmdir, .least = 4,
	.slow = true,
};

FIXTURE_VARIANT_ADD(fault, chmod_directory) {
	.prepare = make_new, .call = do_chmod_directory, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, chmod_file) {
	.prepare = make_new, .call = do_chmod_file, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, chown_directory) {
	.prepare = make_new, .call = do_chown_directory, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, chown_file) {
	.prepare = make_new, .call = do_chown_file, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, touch_directory) {
	.prepare = make_new, .call = do_touch_directory, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, touch_file) {
	.prepare = make_new, .call = do_touch_file, .undo = nothing, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, chown_root) {
	.prepare = nothing, .call = do_chown_root, .undo = restore_owners, .least = 1,
};

FIXTURE_VARIANT_ADD(fault, chown_instances) {
	.prepare = nothing, .call = do_chown_instances, .undo = restore_owners, .least = 1,
};

FIXTURE_VARIANT_ADD(fault, remount) {
	.prepare = nothing, .call = do_remount, .undo = restore_owners, .least = 2,
};

FIXTURE_VARIANT_ADD(fault, mount) {
	.prepare = nothing, .call = do_mount, .undo = nothing, .least = 4,
};

/* The options of the file system take effect before it has a mount point. */
FIXTURE_VARIANT_ADD(fault, mount_with_options) {
	.prepare = nothing, .call = do_mount_with_options, .undo = restore_owners,
	.halfway = true, .least = 4,
};

FIXTURE_VARIANT_ADD(fault, load_module) {
	/* EPERM, because the module returns -1 if it cannot create its thread */
	.prepare = nothing, .call = do_load, .undo = unload_sample, .whole = whole_sample,
	.errors = { EPERM }, .least = 4, .slow = true,
};

FIXTURE_VARIANT_ADD(fault, unload_module) {
	.prepare = make_loaded, .call = unload_sample, .undo = nothing, .least = 0, .slow = true,
};

static int tidy_all(void)
{
	char path[PATH_MAX];
	int error;

	unload_sample();
	error = tidy(&kprobe_kind);
	error = remove_ours(group_path(path, &other_kind), &other_kind) ?: error;
	error = remove_ours(group_path(path, &synthetic_kind), &synthetic_kind) ?: error;
	return remove_ours(group_path(path, &user_kind), &user_kind) ?: error;
}

/* In addition to the usual events, one of each kind that is created and removed */
static int make_standing(void)
{
	return set_up(&kprobe_kind) ?:
	       create_event(&synthetic_kind, PREFIX "_y") ?:
	       create_event(&user_kind, PREFIX "_y");
}

FIXTURE_SETUP(fault)
{
	const char *why = cannot_run(&kprobe_kind) ?: cannot_run(&synthetic_kind) ?:
			  cannot_run(&user_kind) ?: cannot_fail();

	self->fail_nth = -1;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		self->saved[i][0] = 0;
	if (!why && (variant->call == do_load || variant->call == unload_sample))
		why = cannot_load(sample);
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, stat(TRACING, &self->root));
	root = self->root;
	ASSERT_EQ(0, tidy_all() ?: make_standing());
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (!strncmp(settings[i].path, FAIL_PAGES, strlen(FAIL_PAGES)) &&
		    access(FAIL_PAGES, X_OK))
			continue;
		ASSERT_EQ(0, read_setting(settings[i].path, self->saved[i]));
		ASSERT_EQ(0, write_text(settings[i].path, settings[i].value));
	}
	ASSERT_EQ(0, open_path(FAIL_NTH, O_RDWR, &self->fail_nth));
}

/* In the parent, to undo also what a test has left that was ended. */
FIXTURE_TEARDOWN_PARENT(fault)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (self->saved[i][0])
			EXPECT_EQ(0, write_text(settings[i].path, self->saved[i]));
	}
	EXPECT_EQ(0, tidy_all());
	EXPECT_EQ(0, remount(self->root.st_uid, self->root.st_gid));
}

/*
 * The test
 */

/* Return: 0 or an errno */
static int set_fault(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(fd, text, len, 0) == len ? 0 : errno;
}

/* How many allocations were left before the one to fail; 0 if it has failed */
static unsigned int end_fault(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0 || set_fault(fd, 0))
		return NEVER;
	return strtoul(text, NULL, 10);
}

/* How many of the @total allocations of an operation should fail */
static unsigned int nr_faults(unsigned int total, bool slow)
{
	const char *text = getenv("EVENTFS_FAULTS");
	unsigned int faults = text ? atoi(text) : slow ? SLOW_FAULTS : DEFAULT_FAULTS;

	return faults && faults < total ? faults : total;
}

static bool expected(const int errors[3], int error)
{
	for (size_t i = 0; i < 3; i++) {
		if (errors[i] && errors[i] == error)
			return true;
	}
	return error == ENOMEM;
}

/* Before the operation, after it, and now */
static struct picture before, done, seen;

/* One try. Return: 0 or an errno; and how many allocations were left, see end_fault() */
static int call_with_fault(const FIXTURE_VARIANT(fault) *op, int fd, unsigned int nth,
			   unsigned int *left)
{
	int error;

	*left = NEVER;
	if (set_fault(fd, nth))
		return EPROTO;
	error = op->call();
	*left = end_fault(fd);
	return error;
}

/* The failure that a try has caused, or "" */
static const char *wrong(const FIXTURE_VARIANT(fault) *op, int error, unsigned int left)
{
	static char text[128];

	draw(&seen);
	if (!error && op->whole && !left) {
		error = op->whole();
		snprintf(text, sizeof(text), "something is not whole: %s", strerror(error));
		return error ? text : "";
	}
	if (!error)
		return difference(&done, &seen);
	if (left || !expected(op->errors, error)) {
		snprintf(text, sizeof(text), "error %s, %u allocations left", strerror(error),
			 left);
		return text;
	}
	if (op->halfway && !*difference(&done, &seen))
		return "";
	return difference(&before, &seen);
}

/* Undoes what a try may have done. Then the operation must work. */
static const char *wrong_again(const FIXTURE_VARIANT(fault) *op, int error)
{
	static char text[128];

	if (!error || op->halfway)
		error = op->undo();
	else
		error = 0;
	error = error ?: op->prepare() ?: op->call();
	if (error) {
		snprintf(text, sizeof(text), "error %s", strerror(error));
		return text;
	}
	draw(&seen);
	if (*difference(&done, &seen))
		return difference(&done, &seen);
	return op->undo() ? "it cannot be taken back" : "";
}

/*
 * Tries each of the faults, of about @total allocations. Return: how many tries
 * returned an error
 */
static unsigned int sweep(struct __test_metadata *_metadata, const FIXTURE_VARIANT(fault) *op,
			  int fd, unsigned int total)
{
	unsigned int faults = nr_faults(total, op->slow);
	unsigned int nth, left, tries = 0, failed = 0;
	int error;

	/* The number of allocations may grow, so continue until no fault occurs. */
	do {
		nth = 1 + (unsigned long)tries++ * total / faults;
		ASSERT_EQ(0, op->prepare());
		ASSERT_EQ(0, remount_with(NULL));
		error = call_with_fault(op, fd, nth, &left);
		failed += error != 0;
		ASSERT_STREQ("", wrong(op, error, left)) TH_LOG("with fault %u", nth);
		ASSERT_STREQ("", wrong_again(op, error)) TH_LOG("after fault %u", nth);
	} while (!left);
	TH_LOG("%u allocations; %u of them failed, %u times with an error", total, tries - 1,
	       failed);
	return failed;
}

TEST_F_TIMEOUT(fault, ends_cleanly, SWEEP_SECONDS)
{
	unsigned int total, left, failed, sweeps = 0;
	long counts[NR_SLABS];

	/* A page fault of this program would count as an allocation. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
	ASSERT_EQ(0, variant->prepare());
	draw(&before);
	/* Drawing may have created what the operation would create on first use. */
	ASSERT_EQ(0, variant->prepare());
	ASSERT_EQ(0, remount_with(NULL));
	ASSERT_EQ(0, call_with_fault(variant, self->fail_nth, NEVER, &left));
	total = NEVER - left;
	ASSERT_LT(0, total);
	draw(&done);
	ASSERT_EQ(0, variant->undo());
	ASSERT_EQ(0, count_slabs(counts));

	/*
	 * A sanitizer allocates memory for each new call trace. If that allocation
	 * fails, the operation does not notice. So try again.
	 */
	do {
		failed = sweep(_metadata, variant, self->fail_nth, total);
	} while (failed < variant->least && ++sweeps < MAX_SWEEPS);
	EXPECT_LE(variant->least, failed);

	ASSERT_EQ(0, reclaim());
	EXPECT_STREQ("", slab_rise(counts));
}

TEST_HARNESS_MAIN
