// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of eventfs: walks to cached objects stay under RCU
 *
 * A path walk starts under RCU, and takes references and locks only if it has to:
 * at a name that is not cached, if a function returns -ECHILD, and at its end. The
 * function tracer, in an instance of its own and only for this task, counts how
 * often a walk begins and which function ends RCU mode. A walk that stays under RCU
 * begins once, and only its own end leaves RCU mode.
 *
 * All paths start at the root of tracefs, because file systems above it may not
 * support this.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define TRACER		INSTANCES "/" PREFIX
#define EVENT		PREFIX "_s0"	/* exists throughout, like the instance */
#define OTHER		PREFIX "_w"
#define WALKS		20

/*
 * Functions of fs/namei.c: those that begin a walk, those that end RCU mode at the
 * current directory of the walk or at the name that it has just found, and the one
 * that looks up a name that is not cached
 */
enum {
	BEGIN,
	BEGIN_OPEN,
	UNLAZY,
	UNLAZY_NEXT,
	SLOW,
	NR_FUNCTIONS,
};

static const char * const functions[NR_FUNCTIONS] = {
	[BEGIN]		= "path_lookupat",
	[BEGIN_OPEN]	= "path_openat",
	[UNLAZY]	= "try_to_unlazy",
	[UNLAZY_NEXT]	= "try_to_unlazy_next",
	[SLOW]		= "__lookup_slow",
};

/* The functions that may end RCU mode: the end of a walk, or its callers if inlined */
static const char * const ends[] = {
	"complete_walk", "path_lookupat", "path_openat", "do_open",
};

/* What the trace shows of some walks */
struct seen {
	int begun;
	int ended;	/* RCU mode, at the end */
	int broken;	/* RCU mode, before */
	int slow;
};

static int write_number(const char *path, long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", number);
	return write_text(path, text);
}

/* Adds a function to the trace. Return: 0 or errno. */
static int trace_function(const char *name)
{
	return write_text(TRACER "/set_ftrace_filter", name);
}

static bool is_end(const char *caller)
{
	for (unsigned int i = 0; i < ARRAY_LEN(ends); i++) {
		/* The compiler may have split off a part, with a suffix. */
		size_t len = strlen(ends[i]);

		if (!strncmp(caller, ends[i], len) && (!caller[len] || caller[len] == '.'))
			return true;
	}
	return false;
}

/* One line of the trace ends with "FUNCTION <-CALLER". */
static void see_line(struct seen *seen, char *line)
{
	char *arrow = strstr(line, " <-");
	char *function;

	if (!arrow)
		return;
	*arrow = 0;
	function = strrchr(line, ' ') + 1;
	arrow[strcspn(arrow + 3, "\n") + 3] = 0;
	if (!strcmp(function, functions[BEGIN]) || !strcmp(function, functions[BEGIN_OPEN]))
		seen->begun++;
	else if (!strcmp(function, functions[UNLAZY]) && is_end(arrow + 3))
		seen->ended++;
	else if (!strcmp(function, functions[SLOW]))
		seen->slow++;
	else
		seen->broken++;
}

static int see_trace(struct seen *seen)
{
	char line[512];
	FILE *file;

	memset(seen, 0, sizeof(*seen));
	file = fopen(TRACER "/trace", "re");
	if (!file)
		return errno;
	while (fgets(line, sizeof(line), file)) {
		if (line[0] != '#')
			see_line(seen, line);
	}
	fclose(file);
	return 0;
}

/*
 * System calls on a path below the root of tracefs
 */

static int do_statx(int root, const char *path)
{
	struct statx st;

	return statx(root, path, 0, STATX_BASIC_STATS, &st) ? errno : 0;
}

static int do_access(int root, const char *path)
{
	return faccessat(root, path, F_OK, 0) ? errno : 0;
}

static int do_access_read(int root, const char *path)
{
	return faccessat(root, path, R_OK, 0) ? errno : 0;
}

static int do_open(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static const struct {
	const char *name;
	int (*call)(int root, const char *path);
} calls[] = {
	{ "statx", do_statx },
	{ "access", do_access },
	{ "access for reading", do_access_read },
	{ "open", do_open },
};

/* The first of these is static, the others are looked up. */
static const char * const there[] = {
	"trace",
	"events/" PREFIX "/" EVENT "/format",
	"events/" PREFIX "/" EVENT,
	"events/" PREFIX,
	"instances/" PREFIX "/events/" PREFIX "/" EVENT "/enable",
};

static const char * const missing[] = {
	"events/" PREFIX "/" EVENT "/" PREFIX,
	"events/" PREFIX "/" PREFIX,
	"events/" PREFIX "_missing",
	"instances/" PREFIX "/events/" PREFIX "/" PREFIX,
};

FIXTURE(walk)
{
	int root;	/* of tracefs */
	int on;		/* starts and stops the tracer without a walk */
	uid_t uid;	/* of the root */
	gid_t gid;
};

FIXTURE_SETUP(walk)
{
	const char *why = cannot_run(&kprobe_kind);
	struct stat st;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, set_up(&kprobe_kind));
	if (access(TRACER "/set_ftrace_filter", W_OK) || access(TRACER "/set_ftrace_pid", W_OK))
		SKIP(return, "no function tracer in an instance");
	ASSERT_EQ(0, write_text(TRACER "/tracing_on", "0"));
	for (unsigned int i = 0; i < NR_FUNCTIONS; i++) {
		if (trace_function(functions[i]))
			SKIP(return, "%s() cannot be traced", functions[i]);
	}
	ASSERT_EQ(0, write_number(TRACER "/set_ftrace_pid", getpid()));
	if (write_text(TRACER "/current_tracer", "function"))
		SKIP(return, "no function tracer in an instance");
	ASSERT_EQ(0, open_path(TRACER "/tracing_on", O_WRONLY, &self->on));
	ASSERT_EQ(0, open_path(TRACING, O_PATH, &self->root));
	ASSERT_EQ(0, fstat(self->root, &st));
	self->uid = st.st_uid;
	self->gid = st.st_gid;
}

FIXTURE_TEARDOWN_PARENT(walk)
{
	EXPECT_EQ(0, tidy(&kprobe_kind));
}

/* Repeats a call while the tracer is on. Return: what the trace shows. */
static struct seen walk(struct __test_metadata *_metadata, FIXTURE_DATA(walk) *self,
			unsigned int call, const char *path, int error)
{
	struct seen seen;
	int answer = error;

	/* Empties it, as O_TRUNC does. */
	close(open(TRACER "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	ASSERT_EQ(1, write(self->on, "1", 1));
	for (int i = 0; i < WALKS && answer == error; i++)
		answer = calls[call].call(self->root, path);
	ASSERT_EQ(1, write(self->on, "0", 1));
	EXPECT_EQ(error, answer) TH_LOG("%s of %s", calls[call].name, path);
	ASSERT_EQ(0, see_trace(&seen));
	return seen;
}

/* Expects each of the walks to begin once and to stay under RCU until its end. */
static void expect_seen(struct __test_metadata *_metadata, FIXTURE_DATA(walk) *self,
			unsigned int call, const char *path, int error)
{
	struct seen seen = walk(_metadata, self, call, path, error);

	EXPECT_EQ(WALKS, seen.begun) TH_LOG("%s of %s", calls[call].name, path);
	EXPECT_EQ(error ? 0 : WALKS, seen.ended) TH_LOG("%s of %s", calls[call].name, path);
	EXPECT_EQ(0, seen.broken) TH_LOG("%s of %s", calls[call].name, path);
	EXPECT_EQ(0, seen.slow) TH_LOG("%s of %s", calls[call].name, path);
}

static void expect_rcu(struct __test_metadata *_metadata, FIXTURE_DATA(walk) *self,
		       unsigned int call, const char *path, int error)
{
	/* The first call may fill the cache. */
	calls[call].call(self->root, path);
	expect_seen(_metadata, self, call, path, error);
}

TEST_F_TIMEOUT(walk, warm_paths_are_walked_under_rcu, TEST_SECONDS)
{
	for (unsigned int call = 0; call < ARRAY_LEN(calls); call++) {
		for (unsigned int i = 0; i < ARRAY_LEN(there); i++)
			expect_rcu(_metadata, self, call, there[i], 0);
	}
}

TEST_F_TIMEOUT(walk, warm_misses_are_walked_under_rcu, TEST_SECONDS)
{
	for (unsigned int call = 0; call < ARRAY_LEN(calls); call++) {
		for (unsigned int i = 0; i < ARRAY_LEN(missing); i++)
			expect_rcu(_metadata, self, call, missing[i], ENOENT);
	}
}

/* This shows that the tracer notices a walk that leaves RCU. */
TEST_F_TIMEOUT(walk, cold_paths_are_walked_once, TEST_SECONDS)
{
	for (unsigned int i = 1; i < ARRAY_LEN(there); i++) {
		struct seen seen;

		ASSERT_EQ(0, reclaim());
		seen = walk(_metadata, self, 0, there[i], 0);
		EXPECT_EQ(WALKS, seen.begun);
		EXPECT_EQ(1, seen.broken);
		EXPECT_EQ(WALKS - 1, seen.ended);
		EXPECT_LE(1, seen.slow);
		expect_rcu(_metadata, self, 0, there[i], 0);
	}
}

/*
 * Owners are refreshed under RCU. This is not tested with a remount, for which the VFS
 * drops unused dentries and inodes.
 */
TEST_F_TIMEOUT(walk, change_of_owner_breaks_no_walk, TEST_SECONDS)
{
	for (unsigned int call = 0; call < ARRAY_LEN(calls); call++) {
		for (unsigned int i = 0; i < ARRAY_LEN(there); i++) {
			calls[call].call(self->root, there[i]);
			ASSERT_EQ(0, fchownat(self->root, "", self->uid, self->gid,
					      AT_EMPTY_PATH));
			expect_seen(_metadata, self, call, there[i], 0);
		}
	}
}

/* A new name breaks no walk to another, whether that exists or is missing. */
TEST_F_TIMEOUT(walk, creation_breaks_no_other_walk, TEST_SECONDS)
{
	do_statx(self->root, missing[1]);
	do_statx(self->root, there[1]);
	ASSERT_EQ(0, create_event(&kprobe_kind, OTHER));
	expect_seen(_metadata, self, 0, there[1], 0);
	expect_seen(_metadata, self, 0, missing[1], ENOENT);
	EXPECT_EQ(0, remove_event(&kprobe_kind, OTHER));
	expect_seen(_metadata, self, 0, there[1], 0);
	expect_seen(_metadata, self, 0, missing[1], ENOENT);
}

static int make_dir(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return mkdir(path, 0700) ? errno : 0;
}

/*
 * Mounts an overlay on @dir/merged, in a mount namespace of this task.
 * Return: 0 or errno.
 */
static int mount_overlay(const char *lower, const char *dir, const char *merged)
{
	char options[2 * PATH_MAX];
	int error;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, NULL))
		return errno;
	error = make_dir(dir, "upper") ?: make_dir(dir, "work") ?: make_dir(dir, "merged");
	if (error)
		return error;
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/upper,workdir=%s/work",
		 lower, dir, dir);
	return mount("none", merged, "overlay", 0, options) ? errno : 0;
}

/* ->d_revalidate() of overlayfs returns the result of eventfs. */
TEST_F_TIMEOUT(walk, overlay_is_walked_under_rcu, TEST_SECONDS)
{
	char dir[] = "/tmp/" PREFIX ".XXXXXX";
	char merged[sizeof(dir) + 16];
	char group[PATH_MAX];
	int error;

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(merged, sizeof(merged), "%s/merged", dir);
	error = mount_overlay(group_path(group, &kprobe_kind), dir, merged);
	close(self->root);
	if (!error)
		error = open_path(merged, O_PATH, &self->root);
	for (unsigned int call = 0; call < ARRAY_LEN(calls) && !error; call++) {
		expect_rcu(_metadata, self, call, EVENT "/id", 0);
		expect_rcu(_metadata, self, call, EVENT, 0);
		expect_rcu(_metadata, self, call, EVENT "/" PREFIX, ENOENT);
	}
	umount2(merged, MNT_DETACH);
	umount2(dir, MNT_DETACH);
	EXPECT_EQ(0, rmdir(dir));
	if (error)
		SKIP(return, "no overlay: %s", strerror(error));
}

TEST_HARNESS_MAIN
