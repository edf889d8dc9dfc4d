// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of eventfs, the part of tracefs below events/
 *
 * All names that are created and removed here are in a group and an instance of
 * their own. The tests with threads work in the same way: a maker creates and
 * removes a name, and publishes its progress as a sequence number. Judges read
 * that number, use the name, and read the number again. If the number has not
 * changed, only one result is right, and the maker waits until every judge has
 * had a result for this step. If it has changed, several results are right.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define NR_SLOTS	4	/* names that are created and removed */
#define NR_WORKERS	16
#define CHURN		32	/* additional names that are created and removed in a round */

/*
 * Comparison of trees
 */

struct object {
	char *path;
	ino64_t ino;
};

struct tree {
	struct object *objects;
	size_t nr;
	size_t room;
	char wrong[PATH_MAX];	/* the first thing that was wrong, or empty */
};

static void tree_add(struct tree *tree, const char *path, ino64_t ino)
{
	if (tree->nr == tree->room) {
		tree->room = tree->room ? tree->room * 2 : 1024;
		tree->objects = realloc(tree->objects,
					tree->room * sizeof(*tree->objects));
	}
	tree->objects[tree->nr].path = strdup(path);
	tree->objects[tree->nr++].ino = ino;
}

static void tree_free(struct tree *tree)
{
	for (size_t i = 0; i < tree->nr; i++)
		free(tree->objects[i].path);
	free(tree->objects);
	memset(tree, 0, sizeof(*tree));
}

static void tree_wrong(struct tree *tree, const char *format, ...)
{
	va_list args;

	if (tree->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(tree->wrong, sizeof(tree->wrong), format, args);
	va_end(args);
}

static void tree_walk(struct tree *tree, const char *path)
{
	const struct dirent64 *entry;
	struct lister lister;
	struct stat st;
	char child[PATH_MAX];
	int error;

	error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error) {
		tree_wrong(tree, "%s: open: %s", path, strerror(error));
		return;
	}
	while (!(error = lister_next(&lister, &entry)) && entry) {
		if (is_dots(entry))
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path,
			     entry->d_name) >= (int)sizeof(child))
			tree_wrong(tree, "%s: too deep", path);
		else if (lstat(child, &st))
			tree_wrong(tree, "%s: listed, but: %m", child);
		else if (st.st_ino != entry->d_ino || IFTODT(st.st_mode) != entry->d_type)
			tree_wrong(tree, "%s: d_ino %ju, st_ino %ju, d_type %d, st_mode %o",
				   child, (uintmax_t)entry->d_ino, (uintmax_t)st.st_ino,
				   entry->d_type, st.st_mode);
		else
			tree_add(tree, child, st.st_ino);
		if (entry->d_type == DT_DIR && !tree->wrong[0])
			tree_walk(tree, child);
	}
	if (error)
		tree_wrong(tree, "%s: listing: %s", path, strerror(error));
	close(lister.fd);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct object *)a)->path, ((const struct object *)b)->path);
}

static int compare_inos(const void *a, const void *b)
{
	ino64_t x = ((const struct object *)a)->ino;
	ino64_t y = ((const struct object *)b)->ino;

	return x < y ? -1 : x > y;
}

/* Finds objects that only one of two trees has, or that have different numbers. */
static void tree_compare(struct tree *tree, const struct tree *before)
{
	size_t i, j;

	for (i = 0, j = 0; i < before->nr && j < tree->nr; i++, j++) {
		const struct object *a = &before->objects[i];
		const struct object *b = &tree->objects[j];

		if (strcmp(a->path, b->path)) {
			tree_wrong(tree, "%s before, %s after", a->path, b->path);
			return;
		}
		if (a->ino != b->ino) {
			tree_wrong(tree, "%s: inode %ju before, %ju after", a->path,
				   (uintmax_t)a->ino, (uintmax_t)b->ino);
			return;
		}
	}
	if (i < before->nr)
		tree_wrong(tree, "%s: gone", before->objects[i].path);
	if (j < tree->nr)
		tree_wrong(tree, "%s: new", tree->objects[j].path);
}

static void tree_take(struct tree *tree, const char *path)
{
	memset(tree, 0, sizeof(*tree));
	tree_walk(tree, path);
	qsort(tree->objects, tree->nr, sizeof(*tree->objects), compare_paths);
}

/*
 * The fixture: a few events that exist throughout, and an instance
 */

FIXTURE(eventfs)
{
	struct stat root;	/* of the mount, to restore its owner */
};

FIXTURE_VARIANT(eventfs)
{
	const struct kind *kind;
};

FIXTURE_VARIANT_ADD(eventfs, kprobe)
{
	.kind = &kprobe_kind,
};

FIXTURE_VARIANT_ADD(eventfs, synthetic)
{
	.kind = &synthetic_kind,
};

FIXTURE_SETUP(eventfs)
{
	const char *why = cannot_run(variant->kind);
	int error;

	if (why)
		SKIP(return, "%s", why);

	ASSERT_EQ(0, stat(TRACING, &self->root));
	error = set_up(variant->kind);
	ASSERT_EQ(0, error)
		TH_LOG("creating the events and the instance: %s", strerror(error));
}

/* In the parent, where all files of the test are closed, however it ended. */
FIXTURE_TEARDOWN_PARENT(eventfs)
{
	struct stat st;

	EXPECT_EQ(0, stat(TRACING, &st));
	if (st.st_uid != self->root.st_uid || st.st_gid != self->root.st_gid)
		EXPECT_EQ(0, remount(self->root.st_uid, self->root.st_gid));
	EXPECT_EQ(0, tidy(variant->kind));
}

/*
 * Races
 */

/**
 * struct slot - a name that is created and removed
 * @kind: of an event; NULL for an instance
 * @name: of the event
 * @dir: path of an event directory that exists when the name does
 * @step: counts the maker's steps; the lowest two bits are the state
 */
struct slot {
	const struct kind *kind;
	char name[32];
	char dir[PATH_MAX];
	atomic_uint step;
};

enum {
	ABSENT,		/* the removal has returned */
	CREATING,
	PRESENT,	/* the creation has returned */
	REMOVING,
	NR_STATES,
};

struct race;

/* Some of the slots of a race */
struct range {
	unsigned int first;
	unsigned int nr;
};

static const struct range all_slots = { 0, NR_SLOTS };
static const struct range event_slots = { 0, NR_SLOTS - 1 };
static const struct range instance_slot = { NR_SLOTS - 1, 1 };

enum role {
	MAKER,		/* ends by itself, which ends the race */
	JUDGE,		/* checks names; makers wait for its results */
	OTHER,
};

/**
 * struct worker - a thread
 * @race: the race that it belongs to
 * @run: its function
 * @what: its name, for messages
 * @role: its role
 * @slots: the slots that it uses
 * @judged: the last step of each slot that it has judged
 * @sure: how often it used a name that did not change meanwhile
 * @held: how often it held something open until it was removed
 * @seed: of its random choices, the same in each run
 * @started: there is a thread to join
 * @thread: that thread
 */
struct worker {
	struct race *race;
	void (*run)(struct worker *worker);
	const char *what;
	enum role role;
	struct range slots;
	atomic_uint judged[NR_SLOTS];
	unsigned long sure;
	unsigned long held;
	unsigned int seed;
	bool started;
	pthread_t thread;
};

struct race {
	const struct kind *kind;
	struct slot slots[NR_SLOTS];
	struct worker workers[NR_WORKERS];
	unsigned int nr_workers;
	atomic_bool stop;
	pthread_mutex_t lock;	/* of the next two */
	bool failed;
	char why[1024];
};

static bool stopped(struct race *race)
{
	return atomic_load(&race->stop);
}

/* Records the first failure, and ends the race. */
static void fail(struct race *race, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&race->lock);
	if (!race->failed) {
		va_start(args, format);
		vsnprintf(race->why, sizeof(race->why), format, args);
		va_end(args);
		race->failed = true;
	}
	pthread_mutex_unlock(&race->lock);
	atomic_store(&race->stop, true);
}

static unsigned int pick(struct worker *worker, unsigned int range)
{
	return (unsigned int)rand_r(&worker->seed) % range;
}

/*
 * Every other time, picks a slot that is not judged in its current step, for which its
 * maker waits. On a slow machine, chance alone might take longer than PATIENCE.
 */
static unsigned int pick_slot(struct worker *worker)
{
	unsigned int first = pick(worker, worker->slots.nr);
	bool waited_for = worker->role == JUDGE && pick(worker, 2);

	for (unsigned int n = 0; waited_for && n < worker->slots.nr; n++) {
		unsigned int i = worker->slots.first + (first + n) % worker->slots.nr;

		if (atomic_load(&worker->judged[i]) != atomic_load(&worker->race->slots[i].step))
			return i;
	}
	return worker->slots.first + first;
}

/*
 * Checks the result @error that @worker got for a slot between step @before and now. In
 * a race, it must be 0, ENOENT or ENODEV. Without one, a missing name gives ENOENT.
 */
static void judge(struct worker *worker, unsigned int i, unsigned int before,
		  int error, const char *what)
{
	struct race *race = worker->race;
	struct slot *slot = &race->slots[i];
	unsigned int after = atomic_load(&slot->step);
	unsigned int state = before % NR_STATES;

	if (error && error != ENOENT && error != ENODEV)
		fail(race, "%s of %s: %s", what, slot->dir, strerror(error));
	if (before != after || state == CREATING || state == REMOVING)
		return;
	if (state == PRESENT && error)
		fail(race, "%s of %s, which was created: %s", what, slot->dir,
		     strerror(error));
	if (state == ABSENT && error != ENOENT)
		fail(race, "%s of %s, which was removed: %s", what, slot->dir,
		     error ? strerror(error) : "it is there");
	worker->sure++;
	atomic_store(&worker->judged[i], before);
}

/*
 * Makers
 */

static int slot_change(struct slot *slot, bool create)
{
	if (slot->kind)
		return create ? create_event(slot->kind, slot->name) :
				remove_event(slot->kind, slot->name);
	if (create)
		return mkdir(INSTANCES "/" PREFIX "_race", 0750) ? errno : 0;
	return rmdir(INSTANCES "/" PREFIX "_race") ? errno : 0;
}

static bool in_range(unsigned int i, struct range range)
{
	return i >= range.first && i < range.first + range.nr;
}

static void wait_for_judges(struct race *race, unsigned int i)
{
	unsigned int step = atomic_load(&race->slots[i].step);
	double deadline = now() + PATIENCE;

	for (unsigned int w = 0; w < race->nr_workers; w++) {
		struct worker *worker = &race->workers[w];

		if (worker->role != JUDGE || !in_range(i, worker->slots))
			continue;
		while (atomic_load(&worker->judged[i]) != step) {
			if (stopped(race))
				return;
			if (now() > deadline) {
				fail(race, "\"%s\" hangs: nothing of %s in step %u for %d s",
				     worker->what, race->slots[i].dir, step, PATIENCE);
				return;
			}
			sched_yield();
		}
	}
}

/* Creates or removes a name, and waits until all judges have seen it. */
static void make(struct worker *worker, unsigned int i)
{
	struct slot *slot = &worker->race->slots[i];
	bool create = atomic_load(&slot->step) % NR_STATES == ABSENT;
	int error;

	atomic_fetch_add(&slot->step, 1);
	error = slot_change(slot, create);
	if (error) {
		fail(worker->race, "%s %s: %s", create ? "creating" : "removing",
		     slot->dir, strerror(error));
		return;
	}
	atomic_fetch_add(&slot->step, 1);
	wait_for_judges(worker->race, i);
}

/* At the end, each slot is absent, as at the start. */
static void run_maker(struct worker *worker)
{
	for (unsigned int round = 0; round < 2 * nr_rounds(); round++) {
		for (unsigned int i = 0; i < NR_SLOTS && !stopped(worker->race); i++) {
			if (in_range(i, worker->slots))
				make(worker, i);
		}
	}
}

/* Creates and removes many names around those that exist or are absent throughout. */
static void run_churn(struct worker *worker)
{
	struct race *race = worker->race;
	char name[32];
	int error = 0;

	for (unsigned int round = 0; round < nr_rounds(); round++) {
		for (unsigned int i = 0; i < 2 * CHURN && !stopped(race); i++) {
			snprintf(name, sizeof(name), PREFIX "_x%u", round * CHURN + i % CHURN);
			error = i < CHURN ? create_event(race->kind, name) :
					    remove_event(race->kind, name);
			if (error)
				fail(race, "creating or removing %s: %s", name,
				     strerror(error));
		}
		atomic_fetch_add(&race->slots[0].step, NR_STATES);
		wait_for_judges(race, 0);
	}
}

/*
 * Judges
 */

static int look_stat(const struct slot *slot)
{
	return stat_path(slot->dir);
}

static int look_read(const struct slot *slot)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.4000s/format", slot->dir);
	return open_and_read(path);
}

static int look_list(const struct slot *slot)
{
	return list_in_pieces(slot->dir, SMALL_BUFFER);
}

static int look_watch(const struct slot *slot)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return errno;
	if (inotify_add_watch(fd, slot->dir, IN_ALL_EVENTS) < 0)
		error = errno;
	close(fd);
	return error;
}

/* Looks a slot up in one of several ways. */
static void run_look(struct worker *worker)
{
	static const struct {
		const char *what;
		int (*look)(const struct slot *slot);
	} ways[] = {
		{ "stat", look_stat },
		{ "reading format", look_read },
		{ "listing", look_list },
		{ "inotify watch", look_watch },
	};

	while (!stopped(worker->race)) {
		unsigned int way = pick(worker, sizeof(ways) / sizeof(*ways));
		unsigned int i = pick_slot(worker);
		struct slot *slot = &worker->race->slots[i];
		unsigned int before = atomic_load(&slot->step);

		judge(worker, i, before, ways[way].look(slot), ways[way].what);
	}
}

struct scan {
	unsigned int before[NR_SLOTS];
	unsigned int slots[NR_SLOTS];
	unsigned int standing[NR_STANDING];
};

static void scan_count(struct race *race, struct scan *scan, const struct dirent64 *entry)
{
	char name[32];

	for (unsigned int i = 0; i < NR_STANDING; i++)
		scan->standing[i] += !strcmp(entry->d_name, standing_name(name, i));
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		scan->slots[i] += !strcmp(entry->d_name, race->slots[i].name);
	if (entry->d_type != DT_DIR && is_ours(entry))
		fail(race, "%s is listed with type %d", entry->d_name, entry->d_type);
}

/* Reads the group once. Return: false if that failed. */
static bool scan_group(struct worker *worker, struct scan *scan, size_t size)
{
	struct race *race = worker->race;
	const struct dirent64 *entry;
	struct lister lister;
	char group[PATH_MAX];
	int error;

	memset(scan, 0, sizeof(*scan));
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		scan->before[i] = atomic_load(&race->slots[i].step);
	error = lister_open(&lister, group_path(group, race->kind), size);
	if (error) {
		fail(race, "opening %s: %s", group, strerror(error));
		return false;
	}
	while (!(error = lister_next(&lister, &entry)) && entry)
		scan_count(race, scan, entry);
	close(lister.fd);
	if (error)
		fail(race, "listing %s: %s", group, strerror(error));
	for (unsigned int i = 0; i < NR_STANDING; i++) {
		if (scan->standing[i] != 1)
			fail(race, "%s/" PREFIX "_s%u stands, and is listed %u times",
			     group, i, scan->standing[i]);
	}
	return !error;
}

/* Lists the group, alternately with a small and a large buffer. */
static void run_list(struct worker *worker)
{
	size_t size = SMALL_BUFFER;
	struct scan scan;

	while (!stopped(worker->race)) {
		if (!scan_group(worker, &scan, size))
			return;
		for (unsigned int i = 0; i < NR_SLOTS; i++) {
			if (!in_range(i, worker->slots))
				continue;
			if (scan.slots[i] > 1)
				fail(worker->race, "%s is listed %u times",
				     worker->race->slots[i].name, scan.slots[i]);
			judge(worker, i, scan.before[i], scan.slots[i] ? 0 : ENOENT,
			      "listing the group");
		}
		size = size == SMALL_BUFFER ? 4096 : SMALL_BUFFER;
	}
}

/* Waits until a name that was seen at @step is removed, without delaying the maker. */
static bool wait_until_gone(struct worker *worker, unsigned int i, unsigned int step)
{
	struct slot *slots = worker->race->slots;
	unsigned int gone = (step / NR_STATES + 1) * NR_STATES;

	while (atomic_load(&slots[i].step) < gone) {
		if (stopped(worker->race))
			return false;
		for (unsigned int j = 0; j < NR_SLOTS; j++)
			atomic_store(&worker->judged[j], atomic_load(&slots[j].step));
		sched_yield();
	}
	return true;
}

/* An open file of a removed event returns ENODEV, except "id", which needs no event. */
static void hold_file(struct worker *worker, unsigned int i, const char *file)
{
	struct race *race = worker->race;
	struct slot *slot = &race->slots[i];
	unsigned int before = atomic_load(&slot->step);
	char path[PATH_MAX];
	int error, fd;

	snprintf(path, sizeof(path), "%.4000s/%s", slot->dir, file);
	error = open_path(path, O_RDONLY, &fd);
	judge(worker, i, before, error, "open");
	if (error)
		return;
	if (before / NR_STATES != atomic_load(&slot->step) / NR_STATES ||
	    !wait_until_gone(worker, i, before))
		goto out;

	error = read_some(fd);
	if (error != ENODEV && (error || strcmp(file, "id")))
		fail(race, "reading %s, open since before it was removed: %s, not %s",
		     path, strerror(error), strerror(ENODEV));
	worker->held++;
out:
	close(fd);
}

/* An open directory of a removed event is empty, and has no name. */
static void hold_directory(struct worker *worker, unsigned int i)
{
	struct race *race = worker->race;
	struct slot *slot = &race->slots[i];
	unsigned int before = atomic_load(&slot->step);
	const struct dirent64 *entry;
	struct lister lister;
	struct stat st;
	int error;

	error = lister_open(&lister, slot->dir, SMALL_BUFFER);
	judge(worker, i, before, error, "open");
	if (error)
		return;
	if (before / NR_STATES != atomic_load(&slot->step) / NR_STATES ||
	    !wait_until_gone(worker, i, before))
		goto out;

	error = lister_next(&lister, &entry);
	if (error != ENOENT)
		fail(race, "listing %s, open since before it was removed: %s, not %s",
		     slot->dir, strerror(error), strerror(ENOENT));
	error = faccessat(lister.fd, "format", F_OK, 0) ? errno : 0;
	if (error != ENOENT)
		fail(race, "looking in %s, open since before it was removed: %s, not %s",
		     slot->dir, strerror(error), strerror(ENOENT));
	if (fstat(lister.fd, &st) || st.st_nlink)
		fail(race, "%s, open since before it was removed, has %ju links",
		     slot->dir, (uintmax_t)st.st_nlink);
	worker->held++;
out:
	close(lister.fd);
}

static void run_hold(struct worker *worker)
{
	static const char * const files[] = { "format", "enable", "filter", "id" };
	unsigned int nr = sizeof(files) / sizeof(*files);

	while (!stopped(worker->race)) {
		unsigned int file = pick(worker, nr + 1);
		unsigned int i = pick_slot(worker);

		if (file == nr)
			hold_directory(worker, i);
		else
			hold_file(worker, i, files[file]);
	}
}

/*
 * Other workers
 */

static void run_drop(struct worker *worker)
{
	int error;

	while (!stopped(worker->race)) {
		error = reclaim();
		if (error)
			fail(worker->race, "dropping caches: %s", strerror(error));
	}
}

/* A file of an event that exists throughout can be opened at any time. */
static void run_stand(struct worker *worker)
{
	struct race *race = worker->race;
	char name[32];
	char path[PATH_MAX];
	int error;

	while (!stopped(race)) {
		standing_name(name, pick(worker, NR_STANDING));
		error = open_and_read(event_path(path, race->kind, name, "format"));
		if (error)
			fail(race, "reading %s, which stands: %s", path, strerror(error));
	}
}

/* A mode that was set stays, whatever is reclaimed or mounted meanwhile. */
static void run_chmod(struct worker *worker)
{
	struct race *race = worker->race;
	char name[32];
	struct stat st;
	char path[PATH_MAX];
	mode_t mode;

	event_path(path, race->kind, standing_name(name, 0), "enable");
	while (!stopped(race)) {
		mode = 0600 | pick(worker, 0100);
		if (chmod(path, mode) || stat(path, &st))
			fail(race, "chmod and stat of %s: %m", path);
		else if ((st.st_mode & 07777) != mode)
			fail(race, "%s was given mode %o and has %o", path, mode,
			     st.st_mode & 07777);
	}
}

/* Gives everything to user and group 1, then to user and group 2, and so on. */
static void run_remount(struct worker *worker)
{
	int error;

	while (!stopped(worker->race)) {
		for (unsigned int id = 1; id <= 2; id++) {
			error = remount(id, id);
			if (error)
				fail(worker->race, "remount: %s", strerror(error));
			sched_yield();
		}
	}
}

/* Gives lasting events to user and group 3, then to user and group 4, and so on. */
static void run_chown(struct worker *worker)
{
	struct race *race = worker->race;
	char name[32];
	char path[PATH_MAX];

	while (!stopped(race)) {
		event_path(path, race->kind, standing_name(name, pick(worker, NR_STANDING)),
			   pick(worker, 2) ? "id" : ".");
		for (unsigned int id = 3; id <= 4; id++) {
			if (chown(path, id, id))
				fail(race, "chown of %s: %m", path);
		}
	}
}

/* No stat() returns the user of one mount or chown with the group of another. */
static void run_owner(struct worker *worker)
{
	struct race *race = worker->race;
	struct stat st;
	char name[32];
	char path[PATH_MAX];

	while (!stopped(race)) {
		event_path(path, race->kind, standing_name(name, pick(worker, NR_STANDING)),
			   pick(worker, 2) ? "id" : ".");
		if (stat(path, &st))
			fail(race, "stat of %s: %m", path);
		else if (st.st_uid != st.st_gid)
			fail(race, "%s has user %u and group %u, which nobody gave",
			     path, st.st_uid, st.st_gid);
	}
}

/*
 * Looks names up as only rename() does: with both directories locked. One of them may be
 * an instance, or a directory in it, that is being created or removed or is not filled.
 */
static void run_rename(struct worker *worker)
{
	static const char * const dirs[] = {
		TRACING, EVENTS, INSTANCES, INSTANCES "/" PREFIX "_race",
		INSTANCES "/" PREFIX "_race/events", INSTANCES "/" PREFIX "_race/events/" PREFIX,
	};
	char from[PATH_MAX];
	char to[PATH_MAX];

	while (!stopped(worker->race)) {
		snprintf(from, sizeof(from), "%s/" PREFIX "_s1",
			 dirs[pick(worker, ARRAY_LEN(dirs))]);
		snprintf(to, sizeof(to), "%s/" PREFIX "_s2",
			 dirs[pick(worker, ARRAY_LEN(dirs))]);
		if (!rename(from, to))
			fail(worker->race, "%s was renamed %s", from, to);
	}
}

/*
 * Running a race
 */

static void *worker_main(void *data)
{
	struct worker *worker = data;

	worker->run(worker);
	return NULL;
}

static void race_init(struct race *race, const struct kind *kind)
{
	char name[32];

	memset(race, 0, sizeof(*race));
	pthread_mutex_init(&race->lock, NULL);
	race->kind = kind;
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		struct slot *slot = &race->slots[i];

		slot->kind = kind;
		snprintf(slot->name, sizeof(slot->name), PREFIX "_c%u", i);
		snprintf(slot->dir, sizeof(slot->dir), EVENTS "/%s/%s", kind->group, slot->name);
	}
	/* The last one is an instance, and an event that exists in it. */
	race->slots[NR_SLOTS - 1].kind = NULL;
	race->slots[NR_SLOTS - 1].name[0] = 0;
	snprintf(race->slots[NR_SLOTS - 1].dir, PATH_MAX,
		 INSTANCES "/" PREFIX "_race/events/%s/%s", kind->group,
		 standing_name(name, 1));
}

static void race_add(struct race *race, enum role role, const char *what,
		     void (*run)(struct worker *worker), struct range slots)
{
	struct worker *worker = &race->workers[race->nr_workers++];

	worker->race = race;
	worker->role = role;
	worker->what = what;
	worker->run = run;
	worker->slots = slots;
	worker->seed = race->nr_workers;
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		atomic_store(&worker->judged[i], UINT_MAX);
}

/* Waits for the makers, or for the others, for a limited time. */
static void race_join(struct race *race, bool makers)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += makers ? TEST_SECONDS / 2 : PATIENCE;
	for (unsigned int w = 0; w < race->nr_workers; w++) {
		struct worker *worker = &race->workers[w];
		bool maker = worker->role == MAKER;

		if (!worker->started || maker != makers)
			continue;
		if (pthread_timedjoin_np(worker->thread, NULL, &deadline))
			fail(race, "\"%s\" does not end", worker->what);
	}
}

/* Return: the first failure, or "". */
static const char *race_run(struct race *race)
{
	for (unsigned int w = 0; w < race->nr_workers; w++) {
		struct worker *worker = &race->workers[w];

		worker->started = !pthread_create(&worker->thread, NULL, worker_main, worker);
		if (!worker->started)
			fail(race, "no thread for \"%s\"", worker->what);
	}
	race_join(race, true);
	atomic_store(&race->stop, true);
	race_join(race, false);
	for (unsigned int w = 0; w < race->nr_workers && !race->failed; w++) {
		struct worker *worker = &race->workers[w];

		if (worker->role == JUDGE && !worker->sure)
			fail(race, "\"%s\" was never sure of anything", worker->what);
	}
	return race->why;
}

/* Static, because threads that hang may outlive their test. */
static struct race race;

TEST_F_TIMEOUT(eventfs, names_are_true, TEST_SECONDS)
{
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, event_slots);
	race_add(&race, JUDGE, "look", run_look, event_slots);
	race_add(&race, JUDGE, "look 2", run_look, event_slots);
	race_add(&race, JUDGE, "list", run_list, event_slots);
	ASSERT_STREQ("", race_run(&race));
}

TEST_F_TIMEOUT(eventfs, names_are_true_while_caches_are_dropped, TEST_SECONDS)
{
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, event_slots);
	race_add(&race, JUDGE, "look", run_look, event_slots);
	race_add(&race, JUDGE, "list", run_list, event_slots);
	race_add(&race, OTHER, "stand", run_stand, event_slots);
	race_add(&race, OTHER, "drop", run_drop, event_slots);
	ASSERT_STREQ("", race_run(&race));
}

TEST_F_TIMEOUT(eventfs, two_openers_one_remover, TEST_SECONDS)
{
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, event_slots);
	race_add(&race, JUDGE, "hold", run_hold, event_slots);
	race_add(&race, JUDGE, "hold 2", run_hold, event_slots);
	ASSERT_STREQ("", race_run(&race));
	for (unsigned int w = 1; w <= 2; w++) {
		EXPECT_NE(0, race.workers[w].held)
			TH_LOG("%s held nothing until it was gone", race.workers[w].what);
	}
}

TEST_F_TIMEOUT(eventfs, instances_come_and_go, TEST_SECONDS)
{
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, instance_slot);
	race_add(&race, JUDGE, "look", run_look, instance_slot);
	race_add(&race, JUDGE, "look 2", run_look, instance_slot);
	race_add(&race, OTHER, "stand", run_stand, event_slots);
	race_add(&race, OTHER, "rename", run_rename, instance_slot);
	ASSERT_STREQ("", race_run(&race));
}

TEST_F_TIMEOUT(eventfs, listing_ends_while_many_come_and_go, TEST_SECONDS)
{
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "churn", run_churn, event_slots);
	race_add(&race, JUDGE, "list", run_list, event_slots);
	race_add(&race, JUDGE, "list 2", run_list, event_slots);
	ASSERT_STREQ("", race_run(&race));
}

TEST_F_TIMEOUT(eventfs, owners_are_never_mixed, TEST_SECONDS)
{
	ASSERT_EQ(0, remount(1, 1));
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, event_slots);
	race_add(&race, JUDGE, "look", run_look, event_slots);
	race_add(&race, OTHER, "remount", run_remount, event_slots);
	race_add(&race, OTHER, "owner", run_owner, event_slots);
	race_add(&race, OTHER, "chown", run_chown, event_slots);
	race_add(&race, OTHER, "chmod", run_chmod, event_slots);
	race_add(&race, OTHER, "drop", run_drop, event_slots);
	ASSERT_STREQ("", race_run(&race));
}

TEST_F_TIMEOUT(eventfs, everything_at_once, TEST_SECONDS)
{
	ASSERT_EQ(0, remount(1, 1));
	race_init(&race, variant->kind);
	race_add(&race, MAKER, "maker", run_maker, event_slots);
	race_add(&race, MAKER, "instance maker", run_maker, instance_slot);
	race_add(&race, JUDGE, "look", run_look, all_slots);
	race_add(&race, JUDGE, "look 2", run_look, all_slots);
	race_add(&race, JUDGE, "list", run_list, event_slots);
	race_add(&race, JUDGE, "hold", run_hold, event_slots);
	race_add(&race, OTHER, "stand", run_stand, event_slots);
	race_add(&race, OTHER, "remount", run_remount, event_slots);
	race_add(&race, OTHER, "owner", run_owner, event_slots);
	race_add(&race, OTHER, "chmod", run_chmod, event_slots);
	race_add(&race, OTHER, "drop", run_drop, event_slots);
	race_add(&race, OTHER, "rename", run_rename, all_slots);
	ASSERT_STREQ("", race_run(&race));
}

/*
 * Tests with one thread
 */

#define NR_COOKIES	24

TEST_F_TIMEOUT(eventfs, positions_stay_when_others_are_removed, TEST_SECONDS)
{
	char names[NR_COOKIES + NR_STANDING][32];
	off_t after[NR_COOKIES + NR_STANDING];
	const struct dirent64 *entry;
	struct lister lister;
	unsigned int nr = 0;
	char name[32];
	char path[PATH_MAX];

	for (unsigned int i = 0; i < NR_COOKIES; i++) {
		snprintf(name, sizeof(name), PREFIX "_p%u", i);
		ASSERT_EQ(0, create_event(variant->kind, name));
	}
	ASSERT_EQ(0, lister_open(&lister, group_path(path, variant->kind), SMALL_BUFFER));
	for (;;) {
		ASSERT_EQ(0, lister_next(&lister, &entry));
		if (!entry)
			break;
		if (!is_ours(entry))
			continue;
		ASSERT_LT(nr, NR_COOKIES + NR_STANDING);
		snprintf(names[nr], sizeof(*names), "%.31s", entry->d_name);
		after[nr++] = entry->d_off;
	}
	ASSERT_EQ((unsigned int)NR_COOKIES + NR_STANDING, nr);

	/* Remove every second one, so that positions are at removed entries or behind. */
	for (unsigned int i = 0; i < nr; i += 2)
		ASSERT_EQ(0, remove_event(variant->kind, names[i]));
	for (unsigned int i = 0; i + 1 < nr; i++) {
		const char *next = names[(i + 1) | 1];

		if (((i + 1) | 1) >= nr)
			continue;
		ASSERT_EQ(after[i], lseek(lister.fd, after[i], SEEK_SET));
		lister.at = lister.end;
		do {
			ASSERT_EQ(0, lister_next(&lister, &entry));
			ASSERT_NE(NULL, entry)
				TH_LOG("nothing at %jd, where %s is", (intmax_t)after[i], next);
		} while (!is_ours(entry));
		EXPECT_STREQ(next, entry->d_name)
			TH_LOG("at %jd, after %s", (intmax_t)after[i], names[i]);
	}
	close(lister.fd);
}

TEST_F_TIMEOUT(eventfs, inode_numbers_are_unique_and_stay, TEST_SECONDS)
{
	struct tree before, after;

	tree_take(&before, TRACING);
	ASSERT_STREQ("", before.wrong);
	ASSERT_GT(before.nr, 100);
	ASSERT_EQ(0, reclaim());
	tree_take(&after, TRACING);
	ASSERT_STREQ("", after.wrong);
	tree_compare(&after, &before);
	EXPECT_STREQ("", after.wrong);

	qsort(after.objects, after.nr, sizeof(*after.objects), compare_inos);
	for (size_t i = 1; i < after.nr; i++) {
		ASSERT_NE(after.objects[i - 1].ino, after.objects[i].ino)
			TH_LOG("%s and %s", after.objects[i - 1].path, after.objects[i].path);
	}
	tree_free(&before);
	tree_free(&after);
}

/* The path starts at tracefs, because file systems above may not support this. */
static int open_cached(const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC,
		.resolve = RESOLVE_CACHED,
	};
	int root, error, fd;

	error = open_path(TRACING, O_PATH, &root);
	if (error)
		return error;
	fd = syscall(SYS_openat2, root, path + strlen(TRACING "/"), &how, sizeof(how));
	error = fd < 0 ? errno : 0;
	close(root);
	if (!error)
		close(fd);
	return error;
}

/* A rename or mount elsewhere may cause EAGAIN, but not every time. */
static int open_warm(const char *path)
{
	int error = EAGAIN;

	for (int i = 0; i < 100 && error == EAGAIN; i++) {
		stat_path(path);
		error = open_cached(path);
	}
	return error;
}

TEST_F_TIMEOUT(eventfs, cached_opens_are_true, TEST_SECONDS)
{
	const struct kind *kind = variant->kind;
	char name[32];
	char path[PATH_MAX];
	int error;

	error = open_warm(TRACING "/.");
	if (error)
		SKIP(return, "openat2() with RESOLVE_CACHED: %s", strerror(error));

	standing_name(name, 0);
	EXPECT_EQ(0, open_warm(event_path(path, kind, name, "format")));
	EXPECT_EQ(ENOENT, open_warm(event_path(path, kind, name, "missing")));
	EXPECT_EQ(ENOENT, open_warm(event_path(path, kind, PREFIX "_c", ".")));

	ASSERT_EQ(0, create_event(kind, PREFIX "_c"));
	EXPECT_NE(ENOENT, open_cached(path))
		TH_LOG("the miss of %s hides that it was created", path);
	EXPECT_EQ(0, open_warm(path));
	ASSERT_EQ(0, remove_event(kind, PREFIX "_c"));
	EXPECT_NE(0, open_cached(path))
		TH_LOG("%s was removed and still opens", path);
	EXPECT_EQ(ENOENT, open_warm(path));
}

TEST_F_TIMEOUT(eventfs, long_names, TEST_SECONDS)
{
	const struct kind *kind = variant->kind;
	char name[NAME_MAX + 2];
	char path[PATH_MAX];

	memset(name, 'n', sizeof(name));
	memcpy(name, PREFIX, strlen(PREFIX));
	name[NAME_MAX + 1] = 0;
	EXPECT_EQ(ENAMETOOLONG, stat_path(event_path(path, kind, name, "")));
	EXPECT_NE(ENOENT, open_cached(path))
		TH_LOG("a name that is too long was cached");
	EXPECT_EQ(ENAMETOOLONG, stat_path(path));
	EXPECT_EQ(-1, mkdir(INSTANCES "/" PREFIX "/events/x", 0750));

	name[NAME_MAX] = 0;
	EXPECT_EQ(ENOENT, stat_path(event_path(path, kind, name, "")));
	EXPECT_EQ(ENOENT, stat_path(path));

	name[kind->name_max] = 0;
	EXPECT_EQ(ENOENT, stat_path(event_path(path, kind, name, "")));
	ASSERT_EQ(0, create_event(kind, name));
	EXPECT_EQ(0, stat_path(path));
	EXPECT_EQ(0, open_and_read(event_path(path, kind, name, "format")));
	name[kind->name_max - 1] = 0;
	EXPECT_EQ(ENOENT, stat_path(event_path(path, kind, name, "")));
	name[kind->name_max - 1] = 'n';
	ASSERT_EQ(0, remove_event(kind, name));
	EXPECT_EQ(ENOENT, stat_path(event_path(path, kind, name, "")));
}

static int bad_creat(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int bad_write(const char *path)
{
	return write_text(path, "1");
}

static int bad_read(const char *path)
{
	return open_and_read(path);
}

static int bad_mkdir(const char *path)
{
	return mkdir(path, 0750) ? errno : 0;
}

static int bad_mknod(const char *path)
{
	return mknod(path, S_IFIFO | 0600, 0) ? errno : 0;
}

static int bad_symlink(const char *path)
{
	return symlink("enable", path) ? errno : 0;
}

static int bad_link(const char *path)
{
	return link(EVENTS "/enable", path) ? errno : 0;
}

static int bad_rename_to(const char *path)
{
	return rename(EVENTS "/enable", path) ? errno : 0;
}

static int bad_rename_from(const char *path)
{
	return rename(path, EVENTS "/" PREFIX "_bad") ? errno : 0;
}

static int bad_unlink(const char *path)
{
	return unlink(path) ? errno : 0;
}

static int bad_rmdir(const char *path)
{
	return rmdir(path) ? errno : 0;
}

static int bad_setxattr(const char *path)
{
	return syscall(SYS_setxattr, path, "user.name", "value", 5, 0) ? errno : 0;
}

/* Each with a path below the directory of an event that stands */
static const struct {
	const char *what;
	int (*call)(const char *path);
	const char *file;
	int error;
} bad_operations[] = {
	{ "creat",		bad_creat,	 "bad",	     EACCES },
	{ "mkdir",		bad_mkdir,	 "bad",	     EPERM },
	{ "mkdir",		bad_mkdir,	 "format",   EEXIST },
	{ "mknod",		bad_mknod,	 "bad",	     EPERM },
	{ "symlink",		bad_symlink,	 "bad",	     EPERM },
	{ "link",		bad_link,	 "bad",	     EPERM },
	{ "rename to",		bad_rename_to,	 "bad",	     EPERM },
	{ "rename to",		bad_rename_to,	 "filter",   EPERM },
	{ "rename",		bad_rename_from, "format",   EPERM },
	{ "rename",		bad_rename_from, "",	     EPERM },
	{ "unlink",		bad_unlink,	 "format",   EPERM },
	{ "unlink",		bad_unlink,	 "",	     EISDIR },
	{ "rmdir",		bad_rmdir,	 "",	     EPERM },
	{ "rmdir",		bad_rmdir,	 "format",   ENOTDIR },
	{ "unlink",		bad_unlink,	 "bad",	     ENOENT },
	{ "rmdir",		bad_rmdir,	 "bad",	     ENOENT },
	{ "write",		bad_write,	 "format",   EINVAL },
	{ "write",		bad_write,	 "id",	     EINVAL },
	{ "write",		bad_write,	 "",	     EISDIR },
	{ "read",		bad_read,	 "",	     EISDIR },
	{ "read",		bad_read,	 "format/x", ENOTDIR },
	{ "setxattr",		bad_setxattr,	 "format",   EOPNOTSUPP },
};

TEST_F_TIMEOUT(eventfs, bad_operations_change_nothing, TEST_SECONDS)
{
	struct tree before, after;
	char name[32];
	char path[PATH_MAX];

	standing_name(name, 0);
	tree_take(&before, EVENTS);
	ASSERT_STREQ("", before.wrong);
	for (unsigned int i = 0; i < sizeof(bad_operations) / sizeof(*bad_operations); i++) {
		event_path(path, variant->kind, name, bad_operations[i].file);
		EXPECT_EQ(bad_operations[i].error, bad_operations[i].call(path))
			TH_LOG("%s %s", bad_operations[i].what, path);
	}
	tree_take(&after, EVENTS);
	ASSERT_STREQ("", after.wrong);
	tree_compare(&after, &before);
	EXPECT_STREQ("", after.wrong);
	tree_free(&before);
	tree_free(&after);
}

TEST_F_TIMEOUT(eventfs, watches_tell_who_comes_and_goes, TEST_SECONDS)
{
	const struct kind *kind = variant->kind;
	int group, event;
	char text[256];
	char path[PATH_MAX];

	group = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	event = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ASSERT_LE(0, group);
	ASSERT_LE(0, event);
	ASSERT_LE(0, inotify_add_watch(group, group_path(path, kind), IN_CREATE | IN_DELETE));

	ASSERT_EQ(ENOENT, stat_path(event_path(path, kind, PREFIX "_n", ".")));
	ASSERT_EQ(0, create_event(kind, PREFIX "_n"));
	EXPECT_STREQ("create dir " PREFIX "_n;", notices(group, text, sizeof(text)));
	ASSERT_EQ(0, open_and_read(event_path(path, kind, PREFIX "_n", "format")));
	ASSERT_LE(0, inotify_add_watch(event, event_path(path, kind, PREFIX "_n", "."),
				       IN_DELETE_SELF));
	ASSERT_EQ(0, reclaim());
	EXPECT_EQ(0, stat_path(path));
	EXPECT_STREQ("", notices(group, text, sizeof(text)))
		TH_LOG("a lookup is no creation, and reclaim no removal");
	ASSERT_EQ(0, remove_event(kind, PREFIX "_n"));
	EXPECT_STREQ("delete dir " PREFIX "_n;", notices(group, text, sizeof(text)));
	EXPECT_EQ(0, strncmp("delete_self", notices(event, text, sizeof(text)), 11))
		TH_LOG("the watch on the event tells \"%s\"", text);
	close(group);
	close(event);
}

#define NR_LEFT		32

/* Uses an event in several ways. Leaves a file and a directory open. */
static int use_event(const struct kind *kind, const char *name, int fds[2])
{
	static const char * const files[] = { "id", "enable", "filter", "trigger" };
	char path[PATH_MAX];
	int error;

	for (unsigned int i = 0; i < sizeof(files) / sizeof(*files); i++) {
		error = open_and_read(event_path(path, kind, name, files[i]));
		if (error)
			return error;
	}
	error = stat_path(event_path(path, kind, name, "missing"));
	if (error != ENOENT)
		return error ? error : EEXIST;
	error = open_path(event_path(path, kind, name, "format"), O_RDONLY, &fds[0]);
	return error ?: open_path(event_path(path, kind, name, "."), O_RDONLY, &fds[1]);
}

static int left_name(int index, char name[32])
{
	return snprintf(name, 32, PREFIX "_l%d", index);
}

/* Creates, uses and removes events. Return: 0 or an errno, with no file left open. */
static int left_round(const struct kind *kind, bool close_first, long *peak)
{
	int fds[NR_LEFT][2];
	int error = 0;
	char name[32];

	for (int i = 0; i < NR_LEFT && !error; i++) {
		left_name(i, name);
		error = create_event(kind, name) ?: use_event(kind, name, fds[i]);
	}
	if (error)
		return error;
	*peak = slab_count("eventfs_inode");
	for (int i = 0; i < NR_LEFT && close_first; i++)
		error = close(fds[i][0]) || close(fds[i][1]) ? errno : error;
	for (int i = 0; i < NR_LEFT && !error; i++) {
		left_name(i, name);
		error = remove_event(kind, name);
	}
	for (int i = 0; i < NR_LEFT && !close_first; i++)
		error = close(fds[i][0]) || close(fds[i][1]) ? errno : error;
	return error;
}

TEST_F_TIMEOUT(eventfs, nothing_is_left_of_the_removed, TEST_SECONDS)
{
	long before[NR_SLABS], peak;
	char path[PATH_MAX];

	if (slab_count(slab_names[0]) < 0 || slab_count(slab_names[1]) < 0)
		SKIP(return, "no counts of %s and %s in /proc/slabinfo and /sys/kernel/slab",
		     slab_names[0], slab_names[1]);

	ASSERT_EQ(0, reclaim());
	ASSERT_EQ(0, stat_path(group_path(path, variant->kind)));
	slab_flush();
	for (unsigned int s = 0; s < NR_SLABS; s++)
		before[s] = slab_count(slab_names[s]);

	/* Caches are not dropped from here on. */
	for (int close_first = 0; close_first <= 1; close_first++) {
		ASSERT_EQ(0, left_round(variant->kind, close_first, &peak));
		ASSERT_LE(before[0] + NR_LEFT, peak)
			TH_LOG("%s does not count what comes", slab_names[0]);
		EXPECT_STREQ("", slab_rise(before))
			TH_LOG("%d events went, closed %s", NR_LEFT,
			       close_first ? "before" : "after");
	}
}

TEST_HARNESS_MAIN
