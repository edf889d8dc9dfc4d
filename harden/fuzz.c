// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of eventfs with an oracle
 *
 * It turns a string of bytes into operations by up to three threads. From a small
 * model of all objects, it knows the valid results of each operation. It stops at
 * the first difference, makes the string as short as possible, and prints it.
 * Strings are mutated. If KCOV shows that one reaches new code of fs/tracefs, it is
 * mutated further.
 *
 *    fuzz -x HEX|FILE     run one string; -v prints each operation
 *    fuzz -p HEX|FILE     print it as text, which is also a valid FILE
 *    fuzz -s SEED -t SECONDS [-d DIR]
 *                         run the strings in DIR, then fuzz; with -n, print a string
 *                         that causes a difference without making it shorter
 *
 * Rules that everything here follows:
 *
 * 1. The oracle is sound: a reported error is an error, however the threads
 *    interleave. Each event and instance has a version, which changes when a
 *    creation or removal of it begins and when it ends. An observation counts if
 *    the versions of everything that it depends on are the same before and after,
 *    and nothing was changing. Attributes are handled in the same way.
 *
 * 2. An object has an identity, which each creation and removal changes. Facts
 *    about an object, such as its inode number or its owner, are true as long as
 *    its identity is the same. If a group may have been removed and created again
 *    without notice, its identity is in doubt.
 *
 * 3. An input begins and ends without events, instances, handles or watches of the
 *    fuzzer, and with everything owned by root.
 *
 * An input is a byte for the number of threads, and OP_SIZE bytes for each
 * operation: code; thread, and how often in the upper half; place; group in the
 * upper half, event in the lower; slot; argument. Every string is an input.
 *
 * It runs as root, on a machine on which no other task uses tracing.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <grp.h>
#include <limits.h>
#include <linux/kcov.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "eventfs.h"

#define NR_WORKERS	3	/* threads; one more runs what is done at the end */
#define MAX_OPS		40
#define OP_SIZE		6
#define INPUT_SIZE	(1 + MAX_OPS * OP_SIZE)
#define HEX_SIZE	(2 * INPUT_SIZE + 1)
#define MAX_INSTANCES_MADE	3	/* in one input: each takes as long as all the rest */

#define NR_INSTANCES	2
#define NR_PLACES	(1 + NR_INSTANCES)
#define NR_GROUPS	5
#define NR_NAMED	5	/* events of a group that come and go one by one */
#define HIDING		4	/* of these, the one that hides a file of its group */
#define NR_CROWD	16	/* and others, that come all at once */
#define NR_EVENTS	(NR_NAMED + NR_CROWD)
#define NR_SLOTS	8	/* a directory, its files, a missing name */
#define NR_NODES	(1 + NR_GROUPS * (1 + NR_EVENTS))	/* in one place */

#define NR_HANDLES	4
#define NR_WATCHES	4
#define NR_COOKIES	8
#define NR_KIDS		32	/* what may be listed in one directory and is ours */
#define FILE_KID	24	/* the first file; events or groups come before */
#define MAX_SYSTEMS	256

#define FIRST_UID	1	/* users whom files are given to; 0 is one of them */
#define NR_UIDS		4
#define GID_OF(uid)	((uid) ? (uid) + 1000 : 0)

#define HANGS		300	/* seconds until an input counts as hanging */
#define LEAK_INTERVAL	32	/* inputs between two looks at the slab caches */

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof(*(array)))
#define __printf(a, b)		__attribute__((format(printf, a, b)))

/*
 * What comes and goes
 */

static const char * const instance_names[NR_INSTANCES] = { "fz_i0", "fz_i1" };

#define LONG_NAME	"long_name_long_name_long_name_long_name_long_name_long_name_end"
#define LONGER_NAME	LONG_NAME "_" LONG_NAME "_" LONG_NAME "_" LONG_NAME

/**
 * struct event_group - a directory of events
 * @name: its name
 * @add: the command that creates an event, given group and name
 * @add_again: whether that succeeds, and does nothing, if the event is there
 * @names: of events. The twins have the same 24 bits of hash, so that their keys
 *	depend on who came first; the last is that of a file of the group
 */
struct event_group {
	const char *name;
	const char *add;
	bool add_again;
	const char *names[NR_NAMED];
};

#define KPROBE		"p:%s/%s vfs_read"
#define TWINS		"twin_67518", "twin_70377", "twin_124630"

static const struct event_group groups[NR_GROUPS] = {
	{ "fz_a", KPROBE, false, { TWINS, LONG_NAME, "filter" } },
	{ "fz_b", KPROBE, false, { "a", "enabled", "b", "c", "enable" } },
	{ "fz_longer_than_the_others_c", KPROBE, false, { TWINS, "id", "filter" } },
	{ "synthetic", "s:%2$s u64 value", false, { TWINS, LONGER_NAME, "enable" } },
	{ "user_events", "u:%2$s", true, { "o.dd", "format", "..x", LONGER_NAME, "filter" } },
};

/*
 * So many that a listing does not get them in one go. All but the last come before
 * the twins in the order of eventfs, so that it has to go on between two of these.
 */
static const char * const crowd[NR_CROWD] = {
	"crowd_00", "crowd_02", "crowd_03", "crowd_04", "crowd_07", "crowd_08", "crowd_09",
	"crowd_11", "crowd_17", "crowd_19", "crowd_23", "crowd_25", "crowd_26", "crowd_27",
	"crowd_28", "crowd_01",
};

static const char *event_name(unsigned int group, unsigned int event)
{
	return event < NR_NAMED ? groups[group].names[event] : crowd[event - NR_NAMED];
}

/*
 * What is where
 */

enum level {
	EVENT,
	GROUP,
	ROOT,		/* an "events" directory */
	NR_LEVELS,
};

#define MISSING		(NR_SLOTS - 1)	/* the slot of a name that nothing has */

/* By level: the files of a directory, from slot 1 on */
static const char * const files[NR_LEVELS][NR_SLOTS] = {
	[EVENT]	= { NULL, "enable", "filter", "format", "hist", "id", "trigger" },
	[GROUP]	= { NULL, "enable", "filter" },
	[ROOT]	= { NULL, "enable", "header_event", "header_page" },
};

static const unsigned int nr_files[NR_LEVELS] = { [EVENT] = 6, [GROUP] = 2, [ROOT] = 3 };

static const char * const missing_names[] = { "nosuch", "enabl", "enable2", NULL, NULL };
static char name_255[256], name_256[257];

/**
 * struct target - something that there is or is not
 * @place: 0 for the top level, or 1 + the number of an instance
 * @level: what kind of directory
 * @group: which group, if not ROOT
 * @event: which event, if EVENT
 * @slot: 0 for the directory, its files, or MISSING
 * @missing: which of the missing names
 */
struct target {
	unsigned int place;
	enum level level;
	unsigned int group;
	unsigned int event;
	unsigned int slot;
	unsigned int missing;
};

static const char *missing_name(unsigned int i)
{
	i %= ARRAY_SIZE(missing_names);
	if (missing_names[i])
		return missing_names[i];
	return i == ARRAY_SIZE(missing_names) - 1 ? name_256 : name_255;
}

/* The last component of its path */
static const char *target_name(const struct target *t)
{
	if (t->slot == MISSING)
		return missing_name(t->missing);
	if (t->slot)
		return files[t->level][t->slot];
	if (t->level == ROOT)
		return "events";
	return t->level == GROUP ? groups[t->group].name : event_name(t->group, t->event);
}

/*
 * Its path from the mount's root, where every thread is: what comes before that is
 * sysfs, which cannot be walked under RCU, so that nothing after it would be.
 */
static const char *target_path(const struct target *t, char path[PATH_MAX])
{
	int at = 0;

	if (t->place)
		at += snprintf(path + at, PATH_MAX - at, "instances/%s/",
			       instance_names[t->place - 1]);
	at += snprintf(path + at, PATH_MAX - at, "events");
	if (t->level != ROOT)
		at += snprintf(path + at, PATH_MAX - at, "/%s", groups[t->group].name);
	if (t->level == EVENT)
		at += snprintf(path + at, PATH_MAX - at, "/%s",
			       event_name(t->group, t->event));
	if (t->slot)
		snprintf(path + at, PATH_MAX - at, "/%s", target_name(t));
	return path;
}

static bool is_dir(const struct target *t)
{
	return !t->slot;
}

/* A file of a group that is hidden as long as an event of its name is there */
static bool is_hideable(const struct target *t)
{
	return t->level == GROUP && t->slot && t->slot != MISSING &&
	       !strcmp(files[GROUP][t->slot], groups[t->group].names[HIDING]);
}

/* Its name is one that a file has and an event may have, which wins. */
static bool is_shared(const struct target *t)
{
	return is_hideable(t) || (t->level == EVENT && t->event == HIDING && is_dir(t));
}

/* Its path leads through such a name. */
static bool is_below_shared(const struct target *t)
{
	return t->level == EVENT && t->event == HIDING && !is_dir(t);
}

/* The file that @t hides, an event of a file's name */
static struct target hidden_by(const struct target *t)
{
	struct target file = { .place = t->place, .level = GROUP, .group = t->group };

	do
		file.slot++;
	while (!is_hideable(&file));
	return file;
}

static struct target dir_of(const struct target *t)
{
	struct target dir = *t;

	dir.slot = 0;
	return dir;
}

/* The kids of a directory: groups or events first, from FILE_KID on its files */
static bool kid_of(const struct target *dir, unsigned int kid, struct target *t)
{
	*t = *dir;
	if (kid >= FILE_KID) {
		t->slot = kid - FILE_KID + 1;
		return t->slot <= nr_files[dir->level];
	}
	if (dir->level == ROOT) {
		t->level = GROUP;
		t->group = kid;
		return kid < NR_GROUPS;
	}
	t->level = EVENT;
	t->event = kid;
	return dir->level == GROUP && kid < NR_EVENTS;
}

/*
 * The model
 */

enum state {		/* in this order: an object is at most what its place is */
	ABSENT,
	CHANGING,
	PRESENT,
};

/**
 * struct object - what is known of an event, an instance or a group
 * @version: changes with each change of anything here
 * @life: changes with each creation and removal that succeeded
 * @doubt: changes when it may have gone and come again without our knowing
 * @state: whether it is there
 * @changers: threads that create or remove it at the moment
 * @count: creations less removals that succeeded
 */
struct object {
	uint64_t version;
	uint64_t life;
	uint64_t doubt;
	enum state state;
	unsigned int changers;
	int count;
};

/**
 * struct view - what is known of a target, made of all objects it depends on
 * @version: the sum of their versions, and so on for the next two; as these only
 *	grow, a sum is the same if and only if each part is
 * @life: identity
 * @doubt: identity, of what is not known for sure
 * @state: the least of their states; also CHANGING if an event hides it, or may
 * @hidden: an event hides it
 */
struct view {
	uint64_t version;
	uint64_t life;
	uint64_t doubt;
	enum state state;
	bool hidden;
};

enum {
	KNOW_MODE	= 1,
	KNOW_OWNER	= 2,
	KNOW_TIMES	= 4,
	KNOW_ALL	= 7,
	SET_UID		= 1,
	SET_GID		= 2,
	SET_TIMES	= 4,
};

/**
 * struct record - what is known of a file or directory
 * @valid: there was one before
 * @life: whose record it is
 * @doubt: whose record it is
 * @version: changes when a change of attributes begins or ends
 * @changers: threads that change attributes at the moment
 * @taint: somebody may have changed the attributes of what comes next
 * @known: KNOW_*: what is known for sure
 * @set: SET_*: what was set
 * @uid: owner, if set
 * @gid: group, if set
 * @uid_reset: counts mounts with uid=, as the kernel does
 * @gid_reset: the same for gid=
 * @mode: permission bits
 * @times: atime and mtime, if set, in seconds
 * @ino: inode number, or 0
 * @born: birth time, with @ino
 * @changed: mtime of a directory when its events had @changed_life, or 0
 * @changed_life: sum of the lives of the events of a group
 */
struct record {
	bool valid;
	uint64_t life;
	uint64_t doubt;
	uint64_t version;
	unsigned int changers;
	bool taint;
	unsigned int known;
	unsigned int set;
	uid_t uid;
	gid_t gid;
	unsigned int uid_reset;
	unsigned int gid_reset;
	mode_t mode;
	int64_t times[2];
	uint64_t ino;
	int64_t born;
	int64_t changed;
	uint64_t changed_life;
};

/**
 * struct defaults - who owns what nobody was given
 * @version: changes when a change begins or ends
 * @changers: threads that change them at the moment
 * @blind: several changed them at once, so who knows
 * @unpaired: uid and gid were set apart, so that they need not go together
 * @changed: somebody changed them
 * @uid: by class: 0 for the mount's root, 1 for "instances"
 * @gid: the same
 * @instances_set: SET_*: what does not follow the mount's root
 * @uid_reset: counts mounts with uid=
 * @gid_reset: counts mounts with gid=
 */
struct defaults {
	uint64_t version;
	unsigned int changers;
	bool blind;
	bool unpaired;
	bool changed;
	uid_t uid[2];
	gid_t gid[2];
	unsigned int instances_set;
	unsigned int uid_reset;
	unsigned int gid_reset;
};

static pthread_mutex_t model_lock = PTHREAD_MUTEX_INITIALIZER;
static struct model {
	struct object instances[NR_INSTANCES];
	struct object events[NR_GROUPS][NR_EVENTS];
	struct object groups[NR_GROUPS];
	struct record records[NR_PLACES][NR_NODES][NR_SLOTS];
	struct defaults defaults;
	unsigned int made;		/* instances, in this input */
	unsigned int opened[NR_INSTANCES];	/* files, which keep an instance busy */
	unsigned int open[NR_INSTANCES];
} model;

/* Learned once: modes of what nobody changed, and what is not ours */
static mode_t default_modes[NR_LEVELS][NR_SLOTS];
static char *systems[MAX_SYSTEMS];
static unsigned int nr_systems;
static uint64_t foreign_inos[MAX_SYSTEMS];
static unsigned int nr_foreign_inos;
static uint32_t dev_major, dev_minor;

/*
 * A run of one input
 */

struct op;
struct worker;

struct input {
	unsigned int size;
	uint8_t bytes[INPUT_SIZE];
};

static struct run {
	pthread_mutex_t lock;	/* of why */
	atomic_bool stop;
	bool differs;
	char why[4096];
	unsigned int nr_threads;
	struct op *ops;
	unsigned int nr_ops;
	pthread_mutex_t meet_lock;	/* of the rest */
	pthread_cond_t meet;
	unsigned int going;
	unsigned int waiting;
	unsigned int meetings;
} run = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.meet_lock = PTHREAD_MUTEX_INITIALIZER,
	.meet = PTHREAD_COND_INITIALIZER,
};

/* Where a directory has something: position before and after it */
struct place_of {
	bool valid;
	uint64_t life;
	uint64_t doubt;
	int64_t low;
	int64_t high;
};

enum must {
	MAY_BE,
	MUST_BE,
	MUST_NOT_BE,	/* it stands before where the listing began */
};

/**
 * struct scan - a listing, from where it began
 * @running: it has not come to the end
 * @whole: it began at 0
 * @start: of each kid, what was known when it began
 * @must: whether each is to be listed
 * @seen: how often it was
 * @seen_life: identity of the one that was seen
 * @systems_seen: the same for what is not ours
 */
struct scan {
	bool running;
	bool whole;
	struct view start[NR_KIDS];
	enum must must[NR_KIDS];
	unsigned int seen[NR_KIDS];
	struct view seen_view[NR_KIDS];
	uint8_t systems_seen[MAX_SYSTEMS];
};

/**
 * struct handle - something that a thread has open
 * @fd: file descriptor, or -1
 * @t: what it is
 * @sure: nothing changed while it was opened, so that the identity is known
 * @view: that identity
 * @flags: with which it was opened
 * @pins: it keeps its instance busy
 * @ino: its inode number
 * @places: of a directory, where each kid stands
 * @scan: of a directory
 * @cookies: positions to go back to
 * @nr_cookies: how many there have been
 */
struct handle {
	int fd;
	struct target t;
	bool sure;
	struct view view;
	int flags;
	bool pins;
	uint64_t ino;
	struct place_of places[NR_KIDS];
	struct scan scan;
	int64_t cookies[NR_COOKIES];
	unsigned int nr_cookies;
};

/**
 * struct watch - of a directory
 * @wd: watch descriptor, or -1
 * @t: the directory
 * @sure: its identity is known
 * @view: that identity
 * @ended: it was told that the watch has come to its end
 * @start: what was known of each kid when it began
 * @told: how often a kid was told to come or go; of files, those that an event hides
 * @last: 1 if a kid came last, -1 if it went
 */
struct watch {
	int wd;
	struct target t;
	bool sure;
	struct view view;
	bool ended;
	struct view start[NR_KIDS];
	unsigned int told[NR_KIDS];
	int last[NR_KIDS];
};

/**
 * struct worker - a thread
 * @number: which
 * @op: what it does at the moment
 * @nr_done: operations that it did
 * @inotify: file descriptor, or -1
 * @deaf: its queue ran over
 * @handles: what it has open
 * @watches: what it watches
 * @cover: KCOV's buffer, or NULL
 * @hits: how often it went along each edge
 * @buffer: for what is read
 */
struct worker {
	unsigned int number;
	pthread_t thread;
	const struct op *op;
	unsigned long nr_done;
	int inotify;
	bool deaf;
	struct handle handles[NR_HANDLES];
	struct watch watches[NR_WATCHES];
	uint64_t *cover;
	uint8_t *hits;
	uint64_t buffer[1024];
};

/**
 * struct op - an operation
 * @code: index into op_kinds
 * @thread: who does it
 * @repeat: how often
 * @t: what with
 * @arg: how
 */
struct op {
	unsigned int code;
	unsigned int thread;
	unsigned int repeat;
	struct target t;
	unsigned int arg;
};

struct op_kind {
	const char *name;
	void (*run)(struct worker *w, const struct op *op);
	unsigned int weight;	/* how often it is made up */
	bool repeats;		/* it may be done several times */
	bool changes;		/* @t is an event to create or remove */
};

static const struct op_kind op_kinds[];
static const unsigned int nr_op_kinds;

static bool verbose;
static bool as_found;	/* what differs is not made shorter */

static bool stopped(void)
{
	return atomic_load(&run.stop);
}

static const char *op_text(const struct op *op, char text[PATH_MAX + 64])
{
	char path[PATH_MAX];
	int at;

	if (!op) {
		snprintf(text, 64, "the end");
		return text;
	}
	at = snprintf(text, 64, "thread %u: %s", op->thread, op_kinds[op->code].name);
	if (op->repeat > 1)
		at += snprintf(text + at, 16, " x%u", op->repeat);
	if (op_kinds[op->code].changes)
		snprintf(text + at, PATH_MAX, " %s/%s", groups[op->t.group].name,
			 event_name(op->t.group, op->t.event));
	else
		snprintf(text + at, PATH_MAX, " %.600s, %u",
			 target_path(&op->t, path), op->arg);
	return text;
}

/* The first difference ends the run. */
static __printf(2, 3) void differ(struct worker *w, const char *format, ...)
{
	char text[PATH_MAX + 64];
	va_list args;
	int at;

	pthread_mutex_lock(&run.lock);
	if (!run.differs) {
		at = snprintf(run.why, sizeof(run.why), "%.1200s: ", op_text(w->op, text));
		va_start(args, format);
		vsnprintf(run.why + at, sizeof(run.why) - at, format, args);
		va_end(args);
		run.differs = true;
	}
	pthread_mutex_unlock(&run.lock);
	atomic_store(&run.stop, true);
}

static const char *path_text(const struct target *t)
{
	/* Two, for messages that name two */
	static __thread char paths[2][PATH_MAX];
	static __thread unsigned int next;

	return target_path(t, paths[next++ % 2]);
}

/*
 * Views. Callers hold model_lock.
 */

static void view_add(struct view *view, const struct object *object)
{
	view->version += object->version;
	view->life += object->life;
	view->doubt += object->doubt;
	if (object->state < view->state)
		view->state = object->state;
}

static struct view view_of(const struct target *t)
{
	struct view view = { .state = PRESENT };

	if (t->place)
		view_add(&view, &model.instances[t->place - 1]);
	if (t->level == GROUP)
		view_add(&view, &model.groups[t->group]);
	if (t->level == EVENT)
		view_add(&view, &model.events[t->group][t->event]);
	if (is_hideable(t)) {
		const struct object *event = &model.events[t->group][HIDING];

		/* It stays what it is meanwhile: neither life nor doubt. */
		view.version += event->version;
		view.hidden = view.state == PRESENT && event->state == PRESENT;
		if (view.state == PRESENT && event->state != ABSENT)
			view.state = CHANGING;
	}
	return view;
}

static struct view group_view(const struct target *t)
{
	struct target group = { .place = t->place, .level = GROUP, .group = t->group };

	return view_of(&group);
}

/* Nothing changed between two views. */
static bool steady(const struct view *before, const struct view *after)
{
	return before->version == after->version && before->state != CHANGING;
}

static bool there(const struct view *before, const struct view *after)
{
	return steady(before, after) && before->state == PRESENT;
}

static bool gone(const struct view *before, const struct view *after)
{
	return steady(before, after) && before->state == ABSENT;
}

static bool hidden(const struct view *before, const struct view *after)
{
	return before->version == after->version && before->hidden;
}

static bool same_one(const struct view *a, const struct view *b)
{
	return a->life == b->life && a->doubt == b->doubt;
}

/* What is known of a group follows from its events. */
static void update_group(unsigned int number)
{
	struct object *group = &model.groups[number];
	enum state state = ABSENT;

	for (unsigned int i = 0; i < NR_EVENTS; i++) {
		if (model.events[number][i].state > state)
			state = model.events[number][i].state;
	}
	if (state == group->state)
		return;
	group->version++;
	if (state == ABSENT)
		group->life++;
	if (group->state == PRESENT && state == CHANGING)
		group->doubt++;
	group->state = state;
}

/**
 * struct change - of an object
 * @object: which
 * @alone: nobody else changed it meanwhile
 * @was: what it was before
 * @version: its version since
 */
struct change {
	struct object *object;
	bool alone;
	enum state was;
	uint64_t version;
};

static struct change change_begin(struct object *object)
{
	struct change change = {
		.object	= object,
		.alone	= !object->changers,
		.was	= object->state,
		.version = ++object->version,
	};

	object->changers++;
	object->state = CHANGING;
	return change;
}

/* @delta: 1 if it was created, -1 if it was removed, 0 if there was an error */
static void change_end(struct worker *w, struct change *change, int delta)
{
	struct object *object = change->object;

	change->alone &= object->version == change->version;
	object->version++;
	object->life += delta != 0;
	object->count += delta;
	if (--object->changers)
		return;
	if (object->count != 0 && object->count != 1)
		differ(w, "%d creations more than removals succeeded", object->count);
	object->state = object->count > 0 ? PRESENT : ABSENT;
}

/*
 * Records. Callers hold model_lock.
 */

static unsigned int node_index(const struct target *t)
{
	if (t->level == ROOT)
		return 0;
	return 1 + t->group * (1 + NR_EVENTS) + (t->level == EVENT ? 1 + t->event : 0);
}

static struct target node_target(unsigned int place, unsigned int node, unsigned int slot)
{
	struct target t = { .place = place, .level = ROOT, .slot = slot };

	if (!node)
		return t;
	t.group = (node - 1) / (1 + NR_EVENTS);
	t.level = (node - 1) % (1 + NR_EVENTS) ? EVENT : GROUP;
	if (t.level == EVENT)
		t.event = (node - 1) % (1 + NR_EVENTS) - 1;
	return t;
}

/* The record of what is there now, with all forgotten that was of another */
static struct record *record_of(const struct target *t, const struct view *view)
{
	struct record *r = &model.records[t->place][node_index(t)][t->slot];
	bool another = r->valid && r->life != view->life;

	if (view->state != PRESENT ||
	    (r->valid && r->life == view->life && r->doubt == view->doubt))
		return r;

	/* What came newly has what all have; if it may be the same, who knows. */
	r->known = (!r->valid || another) && !r->taint ? KNOW_ALL : 0;
	r->ino = 0;
	r->set = 0;
	r->changed = 0;
	r->taint = false;
	r->mode = default_modes[t->level][t->slot];
	r->life = view->life;
	r->doubt = view->doubt;
	r->valid = true;
	return r;
}

static unsigned int class_of(const struct target *t)
{
	return t->place ? 1 : 0;
}

static uid_t owner_of(const struct record *r, const struct defaults *d, unsigned int class)
{
	return r->set & SET_UID && r->uid_reset == d->uid_reset ? r->uid : d->uid[class];
}

static gid_t group_of(const struct record *r, const struct defaults *d, unsigned int class)
{
	return r->set & SET_GID && r->gid_reset == d->gid_reset ? r->gid : d->gid[class];
}

/* The sum of what makes the times of a group move: the lives of its events */
static bool kids_life(const struct target *t, uint64_t *versions, uint64_t *lives)
{
	bool sure = true;

	*versions = *lives = 0;
	for (unsigned int i = 0; i < NR_EVENTS; i++) {
		const struct object *event = &model.events[t->group][i];

		*versions += event->version;
		*lives += event->life;
		sure &= event->state != CHANGING;
	}
	return sure;
}

/* Another that is there now and has this number, or NULL */
static const char *other_with(uint64_t ino, const struct record *self)
{
	for (unsigned int i = 0; i < nr_foreign_inos; i++) {
		if (foreign_inos[i] == ino)
			return "what is not of ours";
	}
	for (unsigned int place = 0; place < NR_PLACES; place++) {
		for (unsigned int node = 0; node < NR_NODES; node++) {
			struct target t = node_target(place, node, 0);
			struct view view = view_of(&t);

			for (t.slot = 0; t.slot < MISSING; t.slot++) {
				struct record *r = &model.records[place][node][t.slot];

				if (r != self && r->ino == ino && view.state == PRESENT &&
				    r->life == view.life && r->doubt == view.doubt)
					return path_text(&t);
			}
		}
	}
	return NULL;
}

/*
 * Looks: an observation of one target
 */

struct look {
	struct target t;
	struct view view;
	struct view group;	/* of what is in a group */
	struct record record;
	struct defaults defaults;
	bool kids_sure;
	uint64_t kids_version;
	uint64_t kids_life;
};

static struct look look_begin(const struct target *t)
{
	struct look look = { .t = *t };

	pthread_mutex_lock(&model_lock);
	look.view = view_of(t);
	look.group = group_view(t);
	look.record = *record_of(t, &look.view);
	look.defaults = model.defaults;
	look.kids_sure = kids_life(t, &look.kids_version, &look.kids_life);
	pthread_mutex_unlock(&model_lock);
	return look;
}

/* It may be done to the other of the name, or fail because that is of another kind. */
static bool may_be_of_other(const struct target *t, int error)
{
	if (is_shared(t))
		return !error || error == ENOTDIR || error == EISDIR;
	return is_below_shared(t) && error == ENOTDIR;
}

/*
 * Whether an error is one that may be. The caller holds model_lock.
 */
static void judge(struct worker *w, const struct look *look, int error, const char *what)
{
	struct view now = view_of(&look->t), group = group_view(&look->t);
	int expected = look->t.slot != MISSING ? 0 :
		       strlen(target_name(&look->t)) > NAME_MAX ? ENAMETOOLONG : ENOENT;
	bool other = may_be_of_other(&look->t, error);

	if (there(&look->view, &now) && error != expected)
		differ(w, "%s of %s: %s, expected %s", what, path_text(&look->t),
		       strerror(error), strerror(expected));
	else if (hidden(&look->view, &now) && error && error != EISDIR)
		differ(w, "%s of %s, which is hidden: %s", what, path_text(&look->t),
		       strerror(error));
	else if (is_shared(&look->t) && error == ENOENT && there(&look->group, &group))
		differ(w, "%s of %s finds neither the file nor the event", what,
		       path_text(&look->t));
	else if (gone(&look->view, &now) && error != ENOENT && !other)
		differ(w, "%s of %s, which is not there: %s", what, path_text(&look->t),
		       strerror(error));
	else if (error && !other && error != expected && error != ENOENT && error != ENODEV)
		differ(w, "%s of %s, which comes or goes: %s", what, path_text(&look->t),
		       strerror(error));
	else if (!error && look->t.slot == MISSING)
		differ(w, "%s of %s, a name that nothing has, succeeds", what,
		       path_text(&look->t));
}

static void judge_now(struct worker *w, const struct look *look, int error, const char *what)
{
	pthread_mutex_lock(&model_lock);
	judge(w, look, error, what);
	pthread_mutex_unlock(&model_lock);
}

static int64_t stamp_ns(const struct statx_timestamp *stamp)
{
	return stamp->tv_sec * 1000000000LL + stamp->tv_nsec;
}

static void check_identity(struct worker *w, const struct look *look, struct record *r,
			   const struct statx *st)
{
	const char *other;

	if (r->ino) {
		if (st->stx_ino != r->ino)
			differ(w, "%s: inode number %ju, before it was %ju",
			       path_text(&look->t), (uintmax_t)st->stx_ino,
			       (uintmax_t)r->ino);
		if (stamp_ns(&st->stx_btime) != r->born)
			differ(w, "%s: birth time has changed", path_text(&look->t));
		return;
	}
	other = other_with(st->stx_ino, r);
	if (other)
		differ(w, "%s: inode number %ju is that of %s as well", path_text(&look->t),
		       (uintmax_t)st->stx_ino, other);
	r->ino = st->stx_ino;
	r->born = stamp_ns(&st->stx_btime);
}

static void check_owner(struct worker *w, const struct look *look, const struct record *r,
			const struct statx *st)
{
	const struct defaults *d = &look->defaults;
	unsigned int class = class_of(&look->t);
	uid_t uid = owner_of(r, d, class);
	gid_t gid = group_of(r, d, class);

	/* Even while defaults change: never a half of it */
	if (r->known & KNOW_OWNER && !(r->set & (SET_UID | SET_GID)) &&
	    !model.defaults.unpaired && st->stx_gid != GID_OF(st->stx_uid))
		differ(w, "%s: a mixture of two owners, %u:%u", path_text(&look->t),
		       st->stx_uid, st->stx_gid);
	if (!(r->known & KNOW_OWNER) || d->blind || d->changers ||
	    d->version != model.defaults.version)
		return;
	if (st->stx_uid != uid || st->stx_gid != gid)
		differ(w, "%s: owner %u:%u, expected %u:%u", path_text(&look->t),
		       st->stx_uid, st->stx_gid, uid, gid);
}

/* The times of a group move with each event that comes or goes. */
static void check_moves(struct worker *w, const struct look *look, struct record *r,
			int64_t mtime)
{
	uint64_t version, life;

	if (!kids_life(&look->t, &version, &life) || version != look->kids_version)
		return;
	if (r->changed && life == r->changed_life && mtime != r->changed)
		differ(w, "%s: mtime has moved, but nothing came or went",
		       path_text(&look->t));
	if (r->changed && life != r->changed_life && mtime <= r->changed)
		differ(w, "%s: something came or went, but mtime has not moved",
		       path_text(&look->t));
	r->changed = mtime;
	r->changed_life = life;
}

static void check_times(struct worker *w, const struct look *look, struct record *r,
			const struct statx *st)
{
	int64_t mtime = stamp_ns(&st->stx_mtime);

	if (!(r->known & KNOW_TIMES))
		return;
	if (is_dir(&look->t) && look->t.level == ROOT)
		return;
	if (is_dir(&look->t) && look->t.level == GROUP) {
		check_moves(w, look, r, mtime);
		return;
	}
	if (!(r->set & SET_TIMES) && mtime != stamp_ns(&st->stx_btime))
		differ(w, "%s: mtime is not that of birth", path_text(&look->t));
	if (r->set & SET_TIMES && (mtime != r->times[1] * 1000000000LL ||
				   stamp_ns(&st->stx_atime) != r->times[0] * 1000000000LL))
		differ(w, "%s: mtime is not what was set", path_text(&look->t));
}

/* What a successful stat tells. The caller holds model_lock. */
static void check_stat(struct worker *w, const struct look *look, const struct statx *st)
{
	struct view now = view_of(&look->t);
	struct record *r;

	if (hidden(&look->view, &now) && !S_ISDIR(st->stx_mode))
		differ(w, "%s: mode %o, but a directory hides it", path_text(&look->t),
		       st->stx_mode);
	if (S_ISDIR(st->stx_mode) != is_dir(&look->t) &&
	    (!is_shared(&look->t) || there(&look->view, &now)))
		differ(w, "%s: mode %o", path_text(&look->t), st->stx_mode);
	if (st->stx_dev_major != dev_major || st->stx_dev_minor != dev_minor)
		differ(w, "%s: of another device", path_text(&look->t));
	if (st->stx_size || !st->stx_blksize)
		differ(w, "%s: size %ju, blocks of %u", path_text(&look->t),
		       (uintmax_t)st->stx_size, st->stx_blksize);
	if (!there(&look->view, &now))
		return;

	if (st->stx_nlink != 1)
		differ(w, "%s: %u links", path_text(&look->t), st->stx_nlink);
	r = record_of(&look->t, &now);
	check_identity(w, look, r, st);
	if (look->record.changers || look->record.version != r->version)
		return;
	if (r->known & KNOW_MODE && (st->stx_mode & 07777) != r->mode)
		differ(w, "%s: mode %o, expected %o", path_text(&look->t),
		       st->stx_mode & 07777, r->mode);
	check_owner(w, look, r, st);
	check_times(w, look, r, st);
}

/* Looks at @name in @dir, or at a path; returns an errno. */
static int stat_target(struct worker *w, const struct target *t, int dir, const char *name,
		       struct statx *st, struct look *look)
{
	int error;

	*look = look_begin(t);
	error = statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, st) ?
		errno : 0;
	pthread_mutex_lock(&model_lock);
	judge(w, look, error, "stat");
	if (!error && t->slot != MISSING)
		check_stat(w, look, st);
	pthread_mutex_unlock(&model_lock);
	return error;
}

static void op_stat(struct worker *w, const struct op *op)
{
	char path[PATH_MAX];
	struct look look;
	struct statx st;

	stat_target(w, &op->t, AT_FDCWD, target_path(&op->t, path), &st, &look);
}

/*
 * Creation and removal
 */

static int event_command(const struct target *t, bool add)
{
	const struct event_group *group = &groups[t->group];
	char text[1024];

	if (add)
		snprintf(text, sizeof(text), group->add, group->name,
			 event_name(t->group, t->event));
	else
		snprintf(text, sizeof(text), "-:%s/%s", group->name,
			 event_name(t->group, t->event));
	return write_text(TRACING "/dynamic_events", text);
}

static void judge_change(struct worker *w, const struct change *change, bool add, int error)
{
	if (change->alone && change->was == (add ? ABSENT : PRESENT) && error)
		differ(w, "failed: %s", strerror(error));
	if (change->alone && change->was == (add ? PRESENT : ABSENT) && !error)
		differ(w, "succeeded, but it was %s", add ? "there" : "not there");
}

static void change_event(struct worker *w, const struct target *t, bool add)
{
	struct object *event = &model.events[t->group][t->event];
	bool lenient = groups[t->group].add_again;
	struct change change;
	int delta, error;

	pthread_mutex_lock(&model_lock);
	/* Two could both succeed, and who knows what that means? */
	if (lenient && event->changers) {
		pthread_mutex_unlock(&model_lock);
		return;
	}
	change = change_begin(event);
	update_group(t->group);
	pthread_mutex_unlock(&model_lock);

	error = event_command(t, add);

	pthread_mutex_lock(&model_lock);
	delta = error ? 0 : add ? 1 : -1;
	if (add && lenient && change.was == PRESENT)
		delta = 0;
	change_end(w, &change, delta);
	update_group(t->group);
	if (!(add && lenient))
		judge_change(w, &change, add, error);
	pthread_mutex_unlock(&model_lock);
}

static void op_create(struct worker *w, const struct op *op)
{
	change_event(w, &op->t, true);
}

static void op_remove(struct worker *w, const struct op *op)
{
	change_event(w, &op->t, false);
}

/* Others may have planted what is wrong while it came or went. */
static void look_after(struct worker *w, const struct target *t)
{
	const struct op look = { .t = dir_of(t) };

	op_stat(w, &look);
	if (t->event == HIDING) {
		const struct op file = { .t = hidden_by(t) };

		op_stat(w, &file);
	}
}

static void op_churn(struct worker *w, const struct op *op)
{
	change_event(w, &op->t, true);
	look_after(w, &op->t);
	change_event(w, &op->t, false);
	look_after(w, &op->t);
}

static void op_crowd(struct worker *w, const struct op *op)
{
	struct target t = dir_of(&op->t);

	for (t.event = NR_NAMED; t.event < NR_EVENTS && !stopped(); t.event++)
		change_event(w, &t, !(op->arg & 1));
}

static const char *instance_path(unsigned int i, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, INSTANCES "/%s", instance_names[i]);
	return path;
}

/* An instance of which a file is or was open may be busy. */
static bool may_be_busy(unsigned int i, unsigned int opened, unsigned int open)
{
	return open || model.opened[i] != opened;
}

static void change_instance(struct worker *w, unsigned int i, bool add)
{
	unsigned int opened, open;
	struct change change;
	char path[PATH_MAX];
	int error;

	instance_path(i, path);
	pthread_mutex_lock(&model_lock);
	change = change_begin(&model.instances[i]);
	opened = model.opened[i];
	open = model.open[i];
	pthread_mutex_unlock(&model_lock);

	error = (add ? mkdir(path, 0750) : rmdir(path)) ? errno : 0;

	pthread_mutex_lock(&model_lock);
	change_end(w, &change, error ? 0 : add ? 1 : -1);
	if (add || error != EBUSY || !may_be_busy(i, opened, open))
		judge_change(w, &change, add, error);
	/* Two may find it, and then the tracing code does not have it for the second. */
	if (error && error != EEXIST && error != ENOENT && error != EBUSY &&
	    (add || change.alone || error != ENODEV))
		differ(w, "%s: %s", path, strerror(error));
	pthread_mutex_unlock(&model_lock);
}

static void op_mkdir(struct worker *w, const struct op *op)
{
	bool enough;

	pthread_mutex_lock(&model_lock);
	enough = ++model.made > MAX_INSTANCES_MADE;
	pthread_mutex_unlock(&model_lock);
	if (!enough)
		change_instance(w, op->t.place % NR_INSTANCES, true);
}

static void op_rmdir(struct worker *w, const struct op *op)
{
	change_instance(w, op->t.place % NR_INSTANCES, false);
}

/*
 * Handles
 */

static struct handle *handle_of(struct worker *w, const struct op *op)
{
	return &w->handles[op->arg % NR_HANDLES];
}

enum fate {
	UNKNOWN,
	ALIVE,
	REMOVED,
};

/* The caller holds model_lock. */
static enum fate fate_of(const struct handle *h, const struct view *view)
{
	if (!h->sure)
		return UNKNOWN;
	if (view->life != h->view.life)
		return REMOVED;
	return view->state == PRESENT && view->doubt == h->view.doubt ? ALIVE : UNKNOWN;
}

/* What was true throughout: of two views of a handle's target */
static enum fate fate_between(const struct handle *h, const struct view *before,
			      const struct view *after)
{
	enum fate fate;

	fate = fate_of(h, before);
	return fate == ALIVE && !steady(before, after) ? UNKNOWN : fate;
}

static struct view view_now(const struct target *t)
{
	struct view view;

	pthread_mutex_lock(&model_lock);
	view = view_of(t);
	pthread_mutex_unlock(&model_lock);
	return view;
}

static void count_open(const struct handle *h, int by)
{
	if (!h->pins)
		return;
	pthread_mutex_lock(&model_lock);
	model.open[h->t.place - 1] += by;
	model.opened[h->t.place - 1]++;
	pthread_mutex_unlock(&model_lock);
}

static void handle_close(struct handle *h)
{
	if (h->fd < 0)
		return;
	close(h->fd);
	count_open(h, -1);
	h->fd = -1;
}

static void scan_start(struct handle *h, int64_t position);

static int open_flags(const struct op *op)
{
	static const int ways[] = {
		O_RDONLY, O_RDONLY, O_PATH, O_RDONLY | O_NOATIME, O_RDWR, O_RDWR | O_TRUNC,
		O_RDONLY | O_NONBLOCK, O_RDONLY,
	};
	int flags = ways[op->arg / NR_HANDLES % ARRAY_SIZE(ways)];
	const char *name = target_name(&op->t);

	if (is_dir(&op->t))
		return (flags & O_PATH) | O_DIRECTORY;
	/* Only what may be written, and is not full of effects */
	if (flags & O_RDWR && (op->t.level == ROOT || (strcmp(name, "enable") &&
						       strcmp(name, "filter"))))
		return O_RDONLY;
	return flags;
}

static void op_open(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	char path[PATH_MAX];
	struct look look;
	struct statx st = { 0 };
	int error;

	handle_close(h);
	memset(h, 0, sizeof(*h));
	h->t = op->t;
	h->flags = open_flags(op);
	h->pins = h->t.place && !is_dir(&h->t) && !(h->flags & O_PATH);
	count_open(h, 1);

	look = look_begin(&h->t);
	h->fd = openat(AT_FDCWD, target_path(&h->t, path), h->flags | O_CLOEXEC);
	error = h->fd < 0 ? errno : 0;
	pthread_mutex_lock(&model_lock);
	judge(w, &look, error, "open");
	h->view = view_of(&h->t);
	h->sure = there(&look.view, &h->view);
	pthread_mutex_unlock(&model_lock);
	if (error) {
		count_open(h, -1);
		h->fd = -1;
		return;
	}
	if (!statx(h->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st))
		h->ino = st.stx_ino;
	if (is_shared(&h->t) && S_ISDIR(st.stx_mode) != is_dir(&h->t)) {
		/* The other of the name */
		handle_close(h);
		return;
	}
	if (is_dir(&h->t))
		scan_start(h, 0);
}

static void op_close(struct worker *w, const struct op *op)
{
	handle_close(handle_of(w, op));
}

/* The same open file under another number, and on another CPU perhaps */
static void op_dup(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	int fd;

	if (h->fd < 0)
		return;
	fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return;
	close(h->fd);
	h->fd = fd;
}

static bool readable(const struct handle *h)
{
	return h->fd >= 0 && !is_dir(&h->t) && !(h->flags & O_PATH);
}

/* Whether reading or writing a file may end so. @tells: it may go on after removal */
static void judge_io(struct worker *w, const struct handle *h, enum fate fate, int error,
		     bool tells, const char *what)
{
	if (fate == ALIVE && error)
		differ(w, "%s %s: %s", what, path_text(&h->t), strerror(error));
	/* Of a group, the tracing code says what it likes. */
	if (h->t.level != EVENT)
		return;
	if (fate == REMOVED && error != ENODEV && !(tells && !error))
		differ(w, "%s %s, which was removed: %s", what, path_text(&h->t),
		       strerror(error));
	if (error && error != ENODEV)
		differ(w, "%s %s: %s", what, path_text(&h->t), strerror(error));
}

static void op_read(struct worker *w, const struct op *op)
{
	static const size_t sizes[] = { 4096, 1, 64, 8192 };
	struct handle *h = handle_of(w, op);
	struct view before, after;
	bool tells;
	int error;

	if (!readable(h))
		return;
	before = view_now(&h->t);
	error = pread(h->fd, w->buffer, sizes[op->arg / NR_HANDLES % ARRAY_SIZE(sizes)], 0) < 0 ?
		errno : 0;
	after = view_now(&h->t);
	tells = !strcmp(target_name(&h->t), "id");
	judge_io(w, h, fate_between(h, &before, &after), error, tells, "reading");
}

static void op_write(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	struct view before, after;
	int error;

	if (!readable(h) || !(h->flags & O_RDWR))
		return;
	before = view_now(&h->t);
	error = write(h->fd, "0", 1) < 0 ? errno : 0;
	after = view_now(&h->t);
	judge_io(w, h, fate_between(h, &before, &after), error, false, "writing");
}

static void op_fstat(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	struct look look;
	enum fate fate;
	struct view now;
	struct statx st;

	if (h->fd < 0)
		return;
	look = look_begin(&h->t);
	if (statx(h->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st)) {
		differ(w, "fstat of %s: %s", path_text(&h->t), strerror(errno));
		return;
	}
	pthread_mutex_lock(&model_lock);
	now = view_of(&h->t);
	fate = fate_between(h, &look.view, &now);
	if (fate == ALIVE)
		check_stat(w, &look, &st);
	if (fate == REMOVED && st.stx_nlink)
		differ(w, "%s, which was removed: %u links", path_text(&h->t), st.stx_nlink);
	if (st.stx_ino != h->ino)
		differ(w, "fstat of %s: inode number %ju, before it was %ju",
		       path_text(&h->t), (uintmax_t)st.stx_ino, (uintmax_t)h->ino);
	pthread_mutex_unlock(&model_lock);
}

/* Where a link of /proc leads */
static void op_link(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	char link[64], path[PATH_MAX], text[PATH_MAX], expected[PATH_MAX + 64];
	struct view before, after;
	enum fate fate;
	ssize_t got;

	if (h->fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", h->fd);
	before = view_now(&h->t);
	got = readlink(link, text, sizeof(text) - 1);
	after = view_now(&h->t);
	fate = fate_between(h, &before, &after);
	if (got < 0 || fate == UNKNOWN)
		return;
	text[got] = 0;
	/* A walk that finds a file hidden takes the name off its dentry. */
	if (fate == ALIVE && is_hideable(&h->t) && after.version != h->view.version)
		return;
	snprintf(expected, sizeof(expected), TRACING "/%s%s", target_path(&h->t, path),
		 fate == REMOVED ? " (deleted)" : "");
	if (strcmp(text, expected))
		differ(w, "/proc says %s, expected %s", text, expected);
}

/* A kid of a directory that is open, if @op says so in its target */
static bool kid_here(const struct handle *h, const struct op *op, struct target *t)
{
	unsigned int kid = op->t.slot ? FILE_KID + op->t.slot - 1 :
			   h->t.level == ROOT ? op->t.group : op->t.event;

	if (h->fd < 0 || !is_dir(&h->t))
		return false;
	if (op->t.slot == MISSING) {
		*t = h->t;
		t->slot = MISSING;
		t->missing = op->t.missing;
		return true;
	}
	return kid_of(&h->t, kid, t);
}

/* Looks up a kid of an open directory, from it or from inside it. */
static void op_at(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	bool inside = op->arg / NR_HANDLES % 2;
	struct view before, after;
	struct look look;
	struct target t;
	struct statx st;
	int error;

	if (!kid_here(h, op, &t) || (inside && fchdir(h->fd)))
		return;
	before = view_now(&h->t);
	if (fate_of(h, &before) == ALIVE) {
		/* What it says of the path is as true of the name. */
		look = look_begin(&t);
		error = statx(inside ? AT_FDCWD : h->fd, target_name(&t), 0,
			      STATX_BASIC_STATS | STATX_BTIME, &st) ? errno : 0;
		pthread_mutex_lock(&model_lock);
		after = view_of(&h->t);
		if (fate_between(h, &before, &after) == ALIVE) {
			judge(w, &look, error, "stat in an open directory");
			if (!error && t.slot != MISSING)
				check_stat(w, &look, &st);
		}
		pthread_mutex_unlock(&model_lock);
	} else {
		error = statx(inside ? AT_FDCWD : h->fd, target_name(&t), 0,
			      STATX_BASIC_STATS, &st) ? errno : 0;
		if (fate_of(h, &before) == REMOVED && error != ENOENT &&
		    error != ENAMETOOLONG)
			differ(w, "stat of %s in %s, which was removed: %s", target_name(&t),
			       path_text(&h->t), strerror(error));
	}
	if (inside && chdir(TRACING))
		differ(w, "no way out");
}

/*
 * Listings
 */

/* What is to be listed from @position on */
static void scan_start(struct handle *h, int64_t position)
{
	struct scan *scan = &h->scan;
	struct target t;

	memset(scan, 0, sizeof(*scan));
	scan->running = true;
	scan->whole = !position;
	pthread_mutex_lock(&model_lock);
	for (unsigned int kid = 0; kid < NR_KIDS; kid++) {
		const struct place_of *place = &h->places[kid];
		struct view *view = &scan->start[kid];

		if (!kid_of(&h->t, kid, &t))
			continue;
		*view = view_of(&t);
		scan->must[kid] = position ? MAY_BE : MUST_BE;
		if (!place->valid || view->state != PRESENT || place->life != view->life ||
		    place->doubt != view->doubt)
			continue;
		if (position <= place->low)
			scan->must[kid] = MUST_BE;
		else if (position >= place->high)
			scan->must[kid] = MUST_NOT_BE;
	}
	pthread_mutex_unlock(&model_lock);
}

/* A file and an event may have the same name. */
static int find_kid(const struct target *dir, const char *name, bool directory)
{
	struct target t;

	for (unsigned int kid = 0; kid < NR_KIDS; kid++) {
		if (kid_of(dir, kid, &t) && is_dir(&t) == directory &&
		    !strcmp(target_name(&t), name))
			return kid;
	}
	return -1;
}

static int find_entry(const struct target *dir, const struct dirent64 *entry)
{
	return find_kid(dir, entry->d_name, entry->d_type == DT_DIR);
}

/* What is not ours, but in every "events" directory; or -1 */
static int find_system(const struct target *dir, const char *name)
{
	for (unsigned int i = 0; i < nr_systems && dir->level == ROOT; i++) {
		if (!strcmp(systems[i], name))
			return i;
	}
	return -1;
}

static void scan_system(struct worker *w, struct handle *h, const char *name)
{
	int i = find_system(&h->t, name);

	if (i < 0)
		differ(w, "listing %s: %s, which nobody made", path_text(&h->t), name);
	else if (h->scan.systems_seen[i]++)
		differ(w, "listing %s: %s twice", path_text(&h->t), name);
}

/* One entry of a listing. @before: its view before that. The caller holds model_lock. */
static void scan_kid(struct worker *w, struct handle *h, unsigned int kid, int64_t low,
		     const struct dirent64 *entry, const struct view *before)
{
	struct scan *scan = &h->scan;
	struct view now;
	struct target t;

	kid_of(&h->t, kid, &t);
	now = view_of(&t);
	if (entry->d_type != (is_dir(&t) ? DT_DIR : DT_REG))
		differ(w, "listing %s: %s has type %d", path_text(&h->t), entry->d_name,
		       entry->d_type);
	if (hidden(before, &now))
		differ(w, "listing %s: %s, which is hidden", path_text(&h->t), entry->d_name);
	if (gone(before, &now))
		differ(w, "listing %s: %s, which is not there", path_text(&h->t),
		       entry->d_name);
	if (!there(before, &now)) {
		scan->seen[kid] = 1;
		scan->seen_view[kid] = (struct view){ .state = CHANGING };
		return;
	}
	if (scan->seen[kid] && scan->seen_view[kid].state == PRESENT &&
	    same_one(&scan->seen_view[kid], &now))
		differ(w, "listing %s: %s twice", path_text(&h->t), entry->d_name);
	scan->seen[kid] = 1;
	scan->seen_view[kid] = now;
	h->places[kid] = (struct place_of){
		.valid	= true,
		.life	= now.life,
		.doubt	= now.doubt,
		.low	= low,
		.high	= entry->d_off,
	};
}

/* At the end of a directory: was all listed that was to be? Caller holds model_lock. */
static void scan_end(struct worker *w, struct handle *h)
{
	struct scan *scan = &h->scan;
	struct target t;

	if (!scan->running)
		return;
	scan->running = false;
	for (unsigned int kid = 0; kid < NR_KIDS; kid++) {
		const struct view *start = &scan->start[kid];
		struct view now;

		if (!kid_of(&h->t, kid, &t))
			continue;
		now = view_of(&t);
		if (!steady(start, &now))
			continue;
		if (start->state == PRESENT && scan->must[kid] == MUST_BE && !scan->seen[kid])
			differ(w, "listing %s: without %s", path_text(&h->t), target_name(&t));
		if (start->state == PRESENT && scan->must[kid] == MUST_NOT_BE &&
		    scan->seen[kid])
			differ(w, "listing %s: %s, which stands before", path_text(&h->t),
			       target_name(&t));
	}
	for (unsigned int i = 0; i < nr_systems && scan->whole && h->t.level == ROOT; i++) {
		if (!scan->systems_seen[i])
			differ(w, "listing %s: without %s", path_text(&h->t), systems[i]);
	}
}

static void scan_entries(struct worker *w, struct handle *h, ssize_t got, int64_t low,
			 const struct view before[NR_KIDS])
{
	for (ssize_t at = 0; at < got;) {
		const struct dirent64 *entry = (const void *)((const char *)w->buffer + at);
		int kid = find_entry(&h->t, entry);

		if (kid >= 0)
			scan_kid(w, h, kid, low, entry, &before[kid]);
		else if (!is_dots(entry))
			scan_system(w, h, entry->d_name);
		if (entry->d_off <= low || entry->d_off > INT32_MAX)
			differ(w, "listing %s: position %jd after %jd", path_text(&h->t),
			       (intmax_t)entry->d_off, (intmax_t)low);
		low = entry->d_off;
		h->cookies[h->nr_cookies++ % NR_COOKIES] = low;
		at += entry->d_reclen;
	}
}

/* Whether each entry has the inode number that it was listed with */
static void check_entries(struct worker *w, struct handle *h, ssize_t got,
			  const struct view before[NR_KIDS])
{
	struct look look;
	struct target t;
	struct statx st;

	for (ssize_t at = 0; at < got && !stopped();) {
		const struct dirent64 *entry = (const void *)((const char *)w->buffer + at);
		int kid = find_entry(&h->t, entry);

		at += entry->d_reclen;
		if (kid < 0)
			continue;
		kid_of(&h->t, kid, &t);
		look = look_begin(&t);
		if (statx(h->fd, entry->d_name, 0, STATX_BASIC_STATS | STATX_BTIME, &st))
			continue;
		pthread_mutex_lock(&model_lock);
		if (before[kid].version == look.view.version) {
			struct view now = view_of(&t);

			if (there(&before[kid], &now) && st.stx_ino != entry->d_ino)
				differ(w, "%s: d_ino %ju, st_ino %ju", path_text(&t),
				       (uintmax_t)entry->d_ino, (uintmax_t)st.stx_ino);
		}
		pthread_mutex_unlock(&model_lock);
	}
}

static ssize_t list_some(struct worker *w, struct handle *h, size_t size, bool check)
{
	struct view dir, before[NR_KIDS], now;
	int64_t low = lseek(h->fd, 0, SEEK_CUR);
	struct target t;
	enum fate fate;
	ssize_t got;
	int error;

	pthread_mutex_lock(&model_lock);
	dir = view_of(&h->t);
	for (unsigned int kid = 0; kid < NR_KIDS; kid++)
		before[kid] = kid_of(&h->t, kid, &t) ? view_of(&t) : (struct view){ 0 };
	pthread_mutex_unlock(&model_lock);

	got = syscall(SYS_getdents64, h->fd, w->buffer, size);
	error = got < 0 ? errno : 0;

	pthread_mutex_lock(&model_lock);
	now = view_of(&h->t);
	fate = fate_between(h, &dir, &now);
	if (fate == REMOVED && error != ENOENT && got)
		differ(w, "listing %s, which was removed: %s", path_text(&h->t),
		       strerror(error));
	if (fate == ALIVE && error && !(error == EINVAL && size < ENTRY_BUFFER))
		differ(w, "listing %s: %s", path_text(&h->t), strerror(error));
	if (fate == ALIVE && got > 0 && h->scan.running)
		scan_entries(w, h, got, low, before);
	else if (fate == ALIVE && !got)
		scan_end(w, h);
	else
		h->scan.running &= fate == ALIVE;
	pthread_mutex_unlock(&model_lock);
	if (check && fate == ALIVE)
		check_entries(w, h, got, before);
	return error ? -error : got;
}

static const size_t list_sizes[] = { 8192, 24, 32, 40, 64, 100, 280, 512 };

static void op_list(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);

	if (h->fd >= 0 && is_dir(&h->t) && !(h->flags & O_PATH))
		list_some(w, h, list_sizes[op->arg / NR_HANDLES % ARRAY_SIZE(list_sizes)],
			  op->arg & 0x80);
}

static void op_seek(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	unsigned int how = op->arg / NR_HANDLES;
	int64_t position = 0;

	if (h->fd < 0 || !is_dir(&h->t) || h->flags & O_PATH)
		return;
	if (how & 32)
		position = (int64_t)(how & 31) << 27;
	else if (how && h->nr_cookies)
		position = h->cookies[how % (h->nr_cookies < NR_COOKIES ?
					     h->nr_cookies : NR_COOKIES)];
	if (lseek(h->fd, position, SEEK_SET) == position)
		scan_start(h, position);
	else if (position <= INT32_MAX)
		differ(w, "seeking to %jd in %s: %s", (intmax_t)position, path_text(&h->t),
		       strerror(errno));
}

/* A whole listing with an odd buffer, by a handle of its own */
static void list_whole(struct worker *w, const struct target *dir, size_t size, bool check)
{
	struct handle h = { .t = *dir, .flags = O_DIRECTORY };
	char path[PATH_MAX];
	struct look look;
	ssize_t got;
	int error;

	look = look_begin(dir);
	h.fd = open(target_path(dir, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	error = h.fd < 0 ? errno : 0;
	pthread_mutex_lock(&model_lock);
	judge(w, &look, error, "open");
	h.view = view_of(dir);
	h.sure = there(&look.view, &h.view);
	pthread_mutex_unlock(&model_lock);
	if (error)
		return;
	scan_start(&h, 0);
	do {
		got = list_some(w, &h, size, check);
		if (got == -EINVAL && size < ENTRY_BUFFER)
			got = list_some(w, &h, ENTRY_BUFFER, check);
	} while (got > 0 && !stopped());
	close(h.fd);
}

static void op_listing(struct worker *w, const struct op *op)
{
	struct target dir = dir_of(&op->t);

	list_whole(w, &dir, list_sizes[op->arg % ARRAY_SIZE(list_sizes)], op->arg & 0x80);
}

/*
 * Attributes
 */

/* A change of attributes of one target, by path or by handle */
struct setting {
	struct look look;
	bool alone;
	uint64_t version;
};

static struct setting set_begin(const struct target *t)
{
	struct setting setting;
	struct record *r;

	pthread_mutex_lock(&model_lock);
	setting.look.t = *t;
	setting.look.view = view_of(t);
	setting.look.defaults = model.defaults;
	r = record_of(t, &setting.look.view);
	setting.alone = !r->changers++;
	setting.version = ++r->version;
	if (!t->place && t->level == ROOT)
		model.defaults.changed = true;
	pthread_mutex_unlock(&model_lock);
	return setting;
}

/* Returns the record that the change is to be noted in, or NULL. Takes model_lock. */
static struct record *set_end(struct setting *setting, bool sure)
{
	const struct look *look = &setting->look;
	struct view now;
	struct record *r;

	pthread_mutex_lock(&model_lock);
	now = view_of(&look->t);
	r = record_of(&look->t, &now);
	setting->alone &= r->version == setting->version;
	r->version++;
	r->changers--;
	r->changed = 0;
	if (sure && there(&look->view, &now) && setting->alone)
		return r;
	/* It may have been done to this one or to the next. */
	r->known = 0;
	r->taint |= now.state == CHANGING;
	return NULL;
}

static bool may_set_mode(const struct target *t)
{
	/* What is always there would have to be set right again in the end. */
	return t->slot != MISSING && (t->place || t->level != ROOT);
}

/**
 * struct attributes - what to set; one of them
 * @mode: permission bits, or -1
 * @uid: owner, or -1
 * @gid: group, or -1
 * @times: atime and mtime in seconds, or -1
 */
struct attributes {
	int mode;
	int uid;
	int gid;
	int64_t times[2];
};

static struct attributes choose(const struct op *op, unsigned int what)
{
	static const int modes[] = { 0640, 0750, 0700, 0444, 0777, 0, 0711, 0604 };
	struct attributes a = { -1, -1, -1, { -1, -1 } };
	unsigned int how = op->arg / NR_HANDLES;
	unsigned int uid = FIRST_UID + how % NR_UIDS - 1;

	if (what == KNOW_MODE)
		a.mode = modes[how % ARRAY_SIZE(modes)];
	if (what == KNOW_OWNER) {
		a.uid = how & 16 ? -1 : (int)uid;
		a.gid = how & 32 ? -1 : (int)GID_OF(uid);
	}
	if (what == KNOW_TIMES) {
		a.times[0] = 1000000 + how;
		a.times[1] = 2000000 + how;
	}
	return a;
}

/* By path, or of what is open if @path is NULL */
static int set_attributes(int fd, const char *path, const struct attributes *a)
{
	struct timespec times[2] = { { .tv_sec = a->times[0] }, { .tv_sec = a->times[1] } };
	int ret;

	if (a->mode >= 0)
		ret = path ? chmod(path, a->mode) : fchmod(fd, a->mode);
	else if (a->times[0] >= 0)
		ret = path ? utimensat(AT_FDCWD, path, times, 0) : futimens(fd, times);
	else
		ret = path ? chown(path, a->uid, a->gid) : fchown(fd, a->uid, a->gid);
	return ret ? errno : 0;
}

/* The caller holds model_lock. */
static void note_attributes(struct record *r, const struct look *look,
			    const struct attributes *a)
{
	const struct defaults *d = &model.defaults;

	if (a->mode >= 0) {
		r->mode = a->mode;
		r->known |= KNOW_MODE;
	} else if (a->times[0] >= 0) {
		memcpy(r->times, a->times, sizeof(r->times));
		r->set |= SET_TIMES;
		r->known |= KNOW_TIMES;
	} else if (d->changers || look->defaults.version != d->version) {
		/* A mount may have taken it back already, or not. */
		r->known &= ~KNOW_OWNER;
	}
	if (a->uid >= 0) {
		r->uid = a->uid;
		r->uid_reset = d->uid_reset;
		r->set |= SET_UID;
	}
	if (a->gid >= 0) {
		r->gid = a->gid;
		r->gid_reset = d->gid_reset;
		r->set |= SET_GID;
	}
}

static void set_by_path(struct worker *w, const struct op *op, unsigned int what)
{
	struct attributes a = choose(op, what);
	struct setting setting;
	char path[PATH_MAX];
	struct record *r;
	int error;

	if (op->t.slot == MISSING || (what != KNOW_OWNER && !may_set_mode(&op->t)))
		return;
	/* To whom would it be done? */
	if (is_shared(&op->t))
		return;
	setting = set_begin(&op->t);
	error = set_attributes(-1, target_path(&op->t, path), &a);
	r = set_end(&setting, true);
	judge(w, &setting.look, error, "setting an attribute");
	if (r && !error)
		note_attributes(r, &setting.look, &a);
	pthread_mutex_unlock(&model_lock);
}

static void set_by_handle(struct worker *w, const struct op *op, unsigned int what)
{
	struct handle *h = handle_of(w, op);
	struct attributes a = choose(op, what);
	struct setting setting;
	struct record *r;
	int error;

	if (h->fd < 0 || h->flags & O_PATH || (what != KNOW_OWNER && !may_set_mode(&h->t)))
		return;
	setting = set_begin(&h->t);
	error = set_attributes(h->fd, NULL, &a);
	r = set_end(&setting, fate_of(h, &setting.look.view) == ALIVE);
	if (error)
		differ(w, "setting an attribute of %s, which is open: %s", path_text(&h->t),
		       strerror(error));
	if (r && !error)
		note_attributes(r, &setting.look, &a);
	pthread_mutex_unlock(&model_lock);
}

static void op_chmod(struct worker *w, const struct op *op)
{
	set_by_path(w, op, KNOW_MODE);
}

static void op_chown(struct worker *w, const struct op *op)
{
	set_by_path(w, op, KNOW_OWNER);
}

static void op_touch(struct worker *w, const struct op *op)
{
	set_by_path(w, op, KNOW_TIMES);
}

static void op_fchmod(struct worker *w, const struct op *op)
{
	set_by_handle(w, op, KNOW_MODE);
}

static void op_fchown(struct worker *w, const struct op *op)
{
	set_by_handle(w, op, KNOW_OWNER);
}

static void op_futimens(struct worker *w, const struct op *op)
{
	set_by_handle(w, op, KNOW_TIMES);
}

/*
 * Defaults
 */

static int remount_ids(int uid, int gid)
{
	char options[64];

	if (uid >= 0 && gid >= 0)
		return remount(uid, gid);
	options[0] = 0;
	if (uid >= 0)
		snprintf(options, sizeof(options), "uid=%d", uid);
	if (gid >= 0)
		snprintf(options, sizeof(options), "gid=%d", gid);
	return remount_with(options);
}

/* As the kernel does it. The caller holds model_lock. */
static void note_defaults(struct defaults *d, unsigned int class, bool by_mount, int uid, int gid)
{
	unsigned int set = (uid >= 0 ? SET_UID : 0) | (gid >= 0 ? SET_GID : 0);

	d->changed = true;
	if (set && set != (SET_UID | SET_GID))
		d->unpaired = true;
	if (class)
		d->instances_set |= set;
	else if (by_mount)
		d->instances_set &= ~set;
	if (uid >= 0) {
		d->uid[class] = uid;
		if (!(d->instances_set & SET_UID))
			d->uid[1] = uid;
		d->uid_reset += by_mount;
	}
	if (gid >= 0) {
		d->gid[class] = gid;
		if (!(d->instances_set & SET_GID))
			d->gid[1] = gid;
		d->gid_reset += by_mount;
	}
}

static void change_defaults(struct worker *w, unsigned int class, bool by_mount, int uid, int gid)
{
	struct defaults *d = &model.defaults;
	uint64_t version;
	bool alone;
	int error;

	pthread_mutex_lock(&model_lock);
	alone = !d->changers++;
	version = ++d->version;
	/* Before it is done, for those who look meanwhile */
	if ((uid < 0) != (gid < 0))
		d->unpaired = true;
	pthread_mutex_unlock(&model_lock);

	if (by_mount)
		error = remount_ids(uid, gid);
	else
		error = chown(class ? INSTANCES : TRACING, uid, gid) ? errno : 0;

	pthread_mutex_lock(&model_lock);
	alone &= d->version == version;
	d->changers--;
	d->version++;
	if (error)
		differ(w, "changing the owner of all: %s", strerror(error));
	note_defaults(d, class, by_mount, uid, gid);
	if (!alone)
		d->blind = true;
	else if (by_mount && uid >= 0 && gid >= 0)
		d->blind = false;
	pthread_mutex_unlock(&model_lock);
}

static void op_remount(struct worker *w, const struct op *op)
{
	unsigned int uid = FIRST_UID + op->arg % NR_UIDS - 1;

	change_defaults(w, 0, true, op->arg & 0x40 ? -1 : (int)uid,
			op->arg & 0x20 ? -1 : (int)GID_OF(uid));
}

static void op_default(struct worker *w, const struct op *op)
{
	unsigned int uid = FIRST_UID + op->arg % NR_UIDS - 1;

	change_defaults(w, op->t.place ? 1 : 0, false, op->arg & 0x40 ? -1 : (int)uid,
			op->arg & 0x20 ? -1 : (int)GID_OF(uid));
}

/*
 * Permissions
 */

static bool allowed(const struct look *look, uid_t uid, gid_t gid, unsigned int mask)
{
	const struct record *r = &look->record;
	unsigned int class = class_of(&look->t);

	if (owner_of(r, &look->defaults, class) == uid)
		return (r->mode >> 6 & mask) == mask;
	if (group_of(r, &look->defaults, class) == gid)
		return (r->mode >> 3 & mask) == mask;
	return (r->mode & mask) == mask;
}

/* Whether what a look knows of the attributes is all, and still true. Caller holds model_lock. */
static bool known_throughout(const struct look *look)
{
	struct view now = view_of(&look->t);
	const struct record *r = record_of(&look->t, &now);
	const struct defaults *d = &look->defaults;

	return there(&look->view, &now) && !look->record.changers &&
	       look->record.version == r->version &&
	       (r->known & (KNOW_MODE | KNOW_OWNER)) == (KNOW_MODE | KNOW_OWNER) &&
	       !d->blind && !d->changers && d->version == model.defaults.version;
}

/* Access to a kid of an open directory, by somebody without rights of their own */
static void op_access(struct worker *w, const struct op *op)
{
	struct handle *h = handle_of(w, op);
	uid_t uid = FIRST_UID + op->arg / NR_HANDLES % (NR_UIDS - 1);
	unsigned int mask = op->arg >> 4 & 7;
	struct look dir, kid;
	struct target t;
	int error;

	if (!kid_here(h, op, &t) || t.slot == MISSING)
		return;
	mask = mask ? mask : R_OK;
	dir = look_begin(&h->t);
	kid = look_begin(&t);
	setfsgid(GID_OF(uid));
	setfsuid(uid);
	error = syscall(SYS_faccessat2, h->fd, target_name(&t), mask, AT_EACCESS) ? errno : 0;
	setfsuid(0);
	setfsgid(0);

	pthread_mutex_lock(&model_lock);
	if (fate_of(h, &dir.view) == ALIVE && known_throughout(&dir) && known_throughout(&kid)) {
		bool may = allowed(&dir, uid, GID_OF(uid), X_OK) &&
			   allowed(&kid, uid, GID_OF(uid), mask);

		if (error != (may ? 0 : EACCES))
			differ(w, "access of %u to %s, mask %u: %s, expected %s", uid,
			       path_text(&t), mask, strerror(error),
			       may ? "success" : "none");
	}
	pthread_mutex_unlock(&model_lock);
}

/*
 * Others
 */

/* Under RCU, of what is cached */
static int open_cached(const struct target *t)
{
	struct open_how how = {
		.flags	 = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_CACHED,
	};
	char path[PATH_MAX];
	int fd;

	if (is_dir(t))
		how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	fd = syscall(SYS_openat2, AT_FDCWD, target_path(t, path), &how, sizeof(how));
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void op_cached(struct worker *w, const struct op *op)
{
	bool warm = run.nr_threads == 1 && op->arg & 1;
	struct look look;
	int error;

	if (warm)
		op_stat(w, op);
	/* Somebody else's rename or mount breaks a walk under RCU, once. */
	for (unsigned int tries = 0; tries < 5; tries++) {
		look = look_begin(&op->t);
		error = open_cached(&op->t);
		if (error != EAGAIN)
			break;
	}
	/* Static directories do not cache what is missing, and nobody what is too long. */
	if (error == EAGAIN && warm &&
	    (look.view.state == PRESENT || (!op->t.place && !may_be_of_other(&op->t, ENOTDIR))) &&
	    (op->t.slot != MISSING || strlen(target_name(&op->t)) <= NAME_MAX))
		differ(w, "%s was looked up, but is not cached", path_text(&op->t));
	if (error != EAGAIN)
		judge_now(w, &look, error, "cached open");
}

static void op_reclaim(struct worker *w, const struct op *op)
{
	int error = reclaim();

	(void)op;
	if (error)
		differ(w, "dropping caches: %s", strerror(error));
}

/* In eventfs nothing comes or goes by name. */
static void op_refuse(struct worker *w, const struct op *op)
{
	char path[PATH_MAX], other[PATH_MAX + 8];
	int ret;

	target_path(&op->t, path);
	snprintf(other, sizeof(other), "%s.new", path);
	switch (op->arg % 8) {
	case 0:
		ret = mkdir(path, 0755);
		break;
	case 1:
		ret = rmdir(path);
		break;
	case 2:
		ret = unlink(path);
		break;
	case 3:
		ret = rename(path, other);
		break;
	case 4:
		ret = symlink("/", path);
		break;
	case 5:
		ret = link(path, other);
		break;
	case 6:
		ret = mknod(path, S_IFREG | 0644, 0);
		break;
	default:
		ret = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
		if (ret >= 0)
			close(ret);
	}
	if (ret >= 0)
		differ(w, "%s could be made or removed by name", path);
}

/* All threads that have something left to do meet, and go on together. */
static void meet(bool leave)
{
	unsigned int meeting;

	pthread_mutex_lock(&run.meet_lock);
	meeting = run.meetings;
	if (leave)
		run.going--;
	else
		run.waiting++;
	if (run.waiting >= run.going) {
		run.waiting = 0;
		run.meetings++;
		pthread_cond_broadcast(&run.meet);
	}
	while (!leave && meeting == run.meetings)
		pthread_cond_wait(&run.meet, &run.meet_lock);
	pthread_mutex_unlock(&run.meet_lock);
}

static void op_meet(struct worker *w, const struct op *op)
{
	(void)op;
	if (w->number < run.nr_threads)
		meet(false);
}

/*
 * Watches
 */

static struct watch *watch_with(struct worker *w, int wd)
{
	for (unsigned int i = 0; i < NR_WATCHES; i++) {
		if (w->watches[i].wd == wd)
			return &w->watches[i];
	}
	return NULL;
}

static void watch_kids(struct watch *watch)
{
	struct target t;

	for (unsigned int kid = 0; kid < NR_KIDS; kid++) {
		if (kid_of(&watch->t, kid, &t))
			watch->start[kid] = view_of(&t);
	}
}

/* Told for sure is what came and went after, so no kid may change meanwhile. */
static void watch_sure(struct watch *watch)
{
	struct target t;

	for (unsigned int kid = 0; kid < NR_KIDS; kid++) {
		struct view now;

		if (!kid_of(&watch->t, kid, &t))
			continue;
		now = view_of(&t);
		if (!steady(&watch->start[kid], &now))
			watch->start[kid].state = CHANGING;
	}
}

static void op_notices(struct worker *w, const struct op *op);

static void op_watch(struct worker *w, const struct op *op)
{
	struct watch *watch = &w->watches[op->arg % NR_WATCHES], new = { .t = dir_of(&op->t) };
	char path[PATH_MAX];
	struct look look;
	int error;

	if (w->inotify < 0)
		w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	op_notices(w, op);
	if (watch->wd >= 0)
		inotify_rm_watch(w->inotify, watch->wd);
	watch->wd = -1;

	look = look_begin(&new.t);
	pthread_mutex_lock(&model_lock);
	watch_kids(&new);
	pthread_mutex_unlock(&model_lock);
	new.wd = inotify_add_watch(w->inotify, target_path(&new.t, path), IN_CREATE |
				   IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR);
	error = new.wd < 0 ? errno : 0;
	pthread_mutex_lock(&model_lock);
	judge(w, &look, error, "watch");
	new.view = view_of(&new.t);
	new.sure = there(&look.view, &new.view);
	watch_sure(&new);
	/* Of the same inode it is the same watch, and goes on. */
	if (!error && !watch_with(w, new.wd))
		*watch = new;
	pthread_mutex_unlock(&model_lock);
}

static void op_unwatch(struct worker *w, const struct op *op)
{
	struct watch *watch = &w->watches[op->arg % NR_WATCHES];

	if (watch->wd < 0)
		return;
	inotify_rm_watch(w->inotify, watch->wd);
	watch->wd = -1;
}

/* What comes is told to come and go in turn; so is a file that an event hides. */
static void hear_kid(struct worker *w, struct watch *watch, const char *name, bool directory,
		     int what)
{
	int kid = find_kid(&watch->t, name, directory);
	struct target t;

	/* An instance goes with all that is in it. */
	if (watch->t.place && what < 0 && find_system(&watch->t, name) >= 0)
		return;
	if (kid < 0 || !kid_of(&watch->t, kid, &t) || (!directory && !is_hideable(&t))) {
		differ(w, "watching %s: told of %s, a %s", path_text(&watch->t), name,
		       directory ? "directory" : "file");
		return;
	}
	if (watch->ended)
		differ(w, "watching %s: told of %s after the end", path_text(&watch->t), name);
	if (watch->last[kid] == what ||
	    (!watch->last[kid] && watch->sure && watch->start[kid].state != CHANGING &&
	     watch->start[kid].state == (what > 0 ? PRESENT : ABSENT)))
		differ(w, "watching %s: told that %s %s, which is no news",
		       path_text(&watch->t), name, what > 0 ? "came" : "went");
	watch->last[kid] = what;
	watch->told[kid]++;
}

static void hear(struct worker *w, const struct inotify_event *event)
{
	struct watch *watch = watch_with(w, event->wd);

	if (event->mask & IN_Q_OVERFLOW)
		w->deaf = true;
	if (!watch || w->deaf)
		return;
	if (event->mask & (IN_CREATE | IN_DELETE))
		hear_kid(w, watch, event->name, event->mask & IN_ISDIR,
			 event->mask & IN_CREATE ? 1 : -1);
	if (event->mask & IN_IGNORED)
		watch->ended = true;
}

/* Whether nothing was told to be removed that was not */
static void check_watches(struct worker *w, const struct view before[NR_WATCHES])
{
	for (unsigned int i = 0; i < NR_WATCHES; i++) {
		struct watch *watch = &w->watches[i];

		if (watch->wd < 0 || !watch->sure)
			continue;
		pthread_mutex_lock(&model_lock);
		if (watch->ended && there(&before[i], &watch->view)) {
			struct view now = view_of(&watch->t);

			if (there(&watch->view, &now))
				differ(w, "watching %s: told to be removed",
				       path_text(&watch->t));
		}
		pthread_mutex_unlock(&model_lock);
		if (watch->ended)
			watch->wd = -1;
	}
}

static void op_notices(struct worker *w, const struct op *op)
{
	struct view before[NR_WATCHES] = { 0 };
	ssize_t got;

	(void)op;
	if (w->inotify < 0)
		return;
	for (unsigned int i = 0; i < NR_WATCHES; i++) {
		if (w->watches[i].wd >= 0)
			before[i] = view_now(&w->watches[i].t);
	}
	while ((got = read(w->inotify, w->buffer, sizeof(w->buffer))) > 0) {
		for (ssize_t at = 0; at < got;) {
			const struct inotify_event *event =
				(const void *)((const char *)w->buffer + at);

			hear(w, event);
			at += sizeof(*event) + event->len;
		}
	}
	if (!w->deaf)
		check_watches(w, before);
}

/* Each time that an event came or went, the file went or came that it hides. */
static void check_told_file(struct worker *w, const struct watch *watch,
			    const struct target *event)
{
	struct target file = hidden_by(event);
	unsigned int kid = FILE_KID + file.slot - 1;

	if (watch->told[kid] != watch->told[HIDING] || watch->last[kid] != -watch->last[HIDING])
		differ(w, "watching %s: told of the file %s %u times, of the directory %u times",
		       path_text(&watch->t), target_name(&file), watch->told[kid],
		       watch->told[HIDING]);
}

/* When all is quiet: was each creation and removal told, once? */
static void check_told(struct worker *w)
{
	struct target t;

	op_notices(w, NULL);
	for (unsigned int i = 0; i < NR_WATCHES && !w->deaf; i++) {
		struct watch *watch = &w->watches[i];
		struct view now;

		if (watch->wd < 0 || !watch->sure)
			continue;
		now = view_of(&watch->t);
		if (now.state != PRESENT || !same_one(&now, &watch->view))
			continue;
		for (unsigned int kid = 0; kid < FILE_KID; kid++) {
			const struct view *start = &watch->start[kid];

			if (!kid_of(&watch->t, kid, &t) || start->state == CHANGING)
				continue;
			now = view_of(&t);
			if (t.level == EVENT && watch->told[kid] != now.life - start->life)
				differ(w, "watching %s: told of %s %u times, expected %ju",
				       path_text(&watch->t), target_name(&t), watch->told[kid],
				       (uintmax_t)(now.life - start->life));
			if (watch->told[kid] && watch->last[kid] != (now.state == PRESENT ? 1 : -1))
				differ(w, "watching %s: told wrongly of %s",
				       path_text(&watch->t), target_name(&t));
			if (t.level == EVENT && kid == HIDING)
				check_told_file(w, watch, &t);
		}
	}
}

/*
 * When nobody has anything open: has each watch ended of what was removed? Before, a
 * handle or a walk of some thread may have kept it.
 */
static void check_ended(struct worker *w)
{
	op_notices(w, NULL);
	for (unsigned int i = 0; i < NR_WATCHES && !w->deaf; i++) {
		struct watch *watch = &w->watches[i];

		if (watch->wd >= 0 && watch->sure &&
		    view_of(&watch->t).life != watch->view.life)
			differ(w, "watching %s: it was removed, but not told",
			       path_text(&watch->t));
	}
}

static const struct op_kind op_kinds[] = {
	/* name		function	weight	repeats changes */
	{ "create",	op_create,	14,	false,	true },
	{ "remove",	op_remove,	8,	false,	true },
	{ "mkdir",	op_mkdir,	2,	false,	false },
	{ "rmdir",	op_rmdir,	2,	false,	false },
	{ "stat",	op_stat,	10,	true,	false },
	{ "open",	op_open,	10,	false,	false },
	{ "close",	op_close,	3,	false,	false },
	{ "read",	op_read,	4,	true,	false },
	{ "write",	op_write,	2,	true,	false },
	{ "list",	op_list,	6,	false,	false },
	{ "seek",	op_seek,	4,	false,	false },
	{ "fstat",	op_fstat,	4,	true,	false },
	{ "chmod",	op_chmod,	4,	false,	false },
	{ "chown",	op_chown,	4,	false,	false },
	{ "touch",	op_touch,	2,	false,	false },
	{ "fchmod",	op_fchmod,	2,	false,	false },
	{ "fchown",	op_fchown,	2,	false,	false },
	{ "remount",	op_remount,	2,	false,	false },
	{ "default",	op_default,	2,	false,	false },
	{ "watch",	op_watch,	3,	false,	false },
	{ "unwatch",	op_unwatch,	1,	false,	false },
	{ "notices",	op_notices,	2,	false,	false },
	{ "reclaim",	op_reclaim,	2,	false,	false },
	{ "cached",	op_cached,	5,	true,	false },
	{ "access",	op_access,	4,	true,	false },
	{ "at",		op_at,		6,	true,	false },
	{ "link",	op_link,	2,	true,	false },
	{ "refuse",	op_refuse,	2,	false,	false },
	{ "dup",	op_dup,		1,	false,	false },
	{ "meet",	op_meet,	4,	false,	false },
	{ "listing",	op_listing,	6,	true,	false },
	{ "churn",	op_churn,	4,	true,	true },
	{ "futimens",	op_futimens,	1,	false,	false },
	{ "crowd",	op_crowd,	2,	false,	false },
};

static const unsigned int nr_op_kinds = ARRAY_SIZE(op_kinds);

/*
 * Coverage
 */

#define NR_EDGES	65536
#define COVER_SIZE	(1 << 17)

#define KCOV		"/sys/kernel/debug/kcov"

static uint8_t seen_edges[NR_EDGES];	/* bits: in which numbers each was seen */
static bool covers;

static void cover_start(struct worker *w)
{
	int fd = open(KCOV, O_RDWR | O_CLOEXEC);
	void *map;

	w->hits = calloc(1, NR_EDGES);
	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, COVER_SIZE))
		return;
	map = mmap(NULL, COVER_SIZE * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		return;
	w->cover = map;
}

/* Counts the edges of what an operation went through. */
static void cover_collect(struct worker *w)
{
	uint32_t before = 0;
	uint64_t nr;

	if (!w->cover)
		return;
	nr = __atomic_load_n(&w->cover[0], __ATOMIC_RELAXED);
	for (uint64_t i = 1; i <= nr; i++) {
		uint32_t here = (uint32_t)w->cover[i] * 2654435761U;
		uint8_t *hits = &w->hits[(before >> 1 ^ here) >> 16];

		*hits += *hits < UINT8_MAX;
		before = here;
	}
	__atomic_store_n(&w->cover[0], 0, __ATOMIC_RELAXED);
}

/* Once, twice, a few times, often */
static uint8_t how_often(uint8_t hits)
{
	return hits < 2 ? 1 : hits < 4 ? 2 : hits < 16 ? 4 : 8;
}

/* Whether the last run went where none did before; and forgets it */
static bool cover_is_new(struct worker workers[NR_WORKERS])
{
	bool new = false;

	for (unsigned int i = 0; i < NR_WORKERS && covers; i++) {
		uint8_t *hits = workers[i].hits;

		for (unsigned int edge = 0; edge < NR_EDGES; edge++) {
			if (!(edge % 8) && !*(uint64_t *)&hits[edge]) {
				edge += 7;
				continue;
			}
			if (!hits[edge])
				continue;
			new |= !(seen_edges[edge] & how_often(hits[edge]));
			seen_edges[edge] |= how_often(hits[edge]);
			hits[edge] = 0;
		}
	}
	return new;
}

static unsigned int nr_edges(void)
{
	unsigned int nr = 0;

	for (unsigned int edge = 0; edge < NR_EDGES; edge++)
		nr += seen_edges[edge] != 0;
	return nr;
}

/*
 * Inputs
 */

static void decode_op(const uint8_t bytes[OP_SIZE], unsigned int nr_threads, struct op *op)
{
	const struct op_kind *kind;
	struct target *t = &op->t;

	op->code = bytes[0] % nr_op_kinds;
	kind = &op_kinds[op->code];
	op->thread = (bytes[1] & 15) % nr_threads;
	op->repeat = kind->repeats ? 1 << (bytes[1] >> 4) % 6 : 1;
	t->place = bytes[2] % NR_PLACES;
	t->group = (bytes[3] >> 4) % NR_GROUPS;
	t->event = (bytes[3] & 15) % NR_NAMED;
	t->level = (bytes[4] >> 4) % NR_LEVELS;
	t->slot = (bytes[4] & 15) % (nr_files[t->level] + 2);
	if (t->slot > nr_files[t->level])
		t->slot = MISSING;
	t->missing = bytes[5];
	op->arg = bytes[5];
}

static void decode(const struct input *in, struct op ops[MAX_OPS])
{
	run.nr_threads = 1 + (in->size ? in->bytes[0] % NR_WORKERS : 0);
	run.ops = ops;
	run.nr_ops = 0;
	for (unsigned int at = 1; at + OP_SIZE <= in->size && run.nr_ops < MAX_OPS;
	     at += OP_SIZE)
		decode_op(&in->bytes[at], run.nr_threads, &ops[run.nr_ops++]);
}

static const char *hex_of(const struct input *in, char hex[HEX_SIZE])
{
	for (unsigned int i = 0; i < in->size; i++)
		snprintf(hex + 2 * i, 3, "%02x", in->bytes[i]);
	hex[2 * in->size] = 0;
	return hex;
}

static void print_input(const struct input *in)
{
	struct op ops[MAX_OPS];
	char text[PATH_MAX + 64];

	decode(in, ops);
	printf("%02x\t\t\t# %u threads\n", in->size ? in->bytes[0] : 0, run.nr_threads);
	for (unsigned int i = 0; i < run.nr_ops; i++) {
		for (unsigned int byte = 0; byte < OP_SIZE; byte++)
			printf("%02x%c", in->bytes[1 + i * OP_SIZE + byte],
			       byte < OP_SIZE - 1 ? ' ' : '\t');
		printf("# %s\n", op_text(&ops[i], text));
	}
}

static int hex_digit(char c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

/* Digits, with space between them and remarks from # to the end of a line */
static bool parse_text(const char *text, struct input *in)
{
	unsigned int nr = 0;

	memset(in, 0, sizeof(*in));
	for (; *text; text++) {
		if (*text == '#') {
			text += strcspn(text, "\n");
			if (!*text)
				break;
		}
		if (isspace(*text))
			continue;
		if (!isxdigit(*text) || nr == 2 * INPUT_SIZE)
			return false;
		in->bytes[nr / 2] = in->bytes[nr / 2] << 4 | hex_digit(*text);
		nr++;
	}
	in->size = nr / 2;
	return !(nr % 2);
}

static bool parse_file(const char *path, struct input *in)
{
	static char text[65536];
	FILE *file = fopen(path, "re");
	size_t got;

	if (!file)
		return false;
	got = fread(text, 1, sizeof(text) - 1, file);
	text[got] = 0;
	fclose(file);
	return parse_text(text, in);
}

static bool parse_input(const char *text, struct input *in)
{
	return access(text, R_OK) ? parse_text(text, in) : parse_file(text, in);
}

/*
 * Before and after
 */

static struct worker workers[NR_WORKERS + 1];
static struct worker *const last_worker = &workers[NR_WORKERS];
static pthread_barrier_t barrier;

/* Files of the top "events" that an input may have looked at, and that stay */
static const long slab_slack[NR_SLABS] = { 0, 3 };
static long slab_base[NR_SLABS];
static bool counts_slabs = true;

/* What is in use once nothing more comes back */
static long slab_rest(const char *name)
{
	long before, count = slab_count(name);

	do {
		before = count;
		usleep(100000);
		count = slab_count(name);
	} while (count < before);
	return count;
}

static void slabs_note(void)
{
	for (unsigned int i = 0; i < NR_SLABS; i++)
		slab_base[i] = slab_rest(slab_names[i]);
	counts_slabs = slab_base[0] >= 0 && slab_base[1] >= 0;
}

/* Is all gone that is not in use; and all, when the caches are dropped? */
static void check_slabs(struct worker *w)
{
	if (run.differs || !counts_slabs)
		return;
	for (unsigned int dropped = 0; dropped < 2 && !run.differs; dropped++) {
		for (unsigned int i = 0; i < NR_SLABS; i++) {
			long limit = slab_base[i] + (dropped ? 0 : slab_slack[i]);
			long count = slab_settle(slab_names[i], limit);

			if (count > limit)
				differ(w, "%ld %s in use, %s, expected %ld", count,
				       slab_names[i], dropped ? "caches dropped" :
				       "nothing is open", limit);
		}
		if (!dropped && reclaim())
			differ(w, "cannot drop caches");
	}
	/* What is lost is lost: the next input shall answer for its own. */
	if (run.differs)
		slabs_note();
}

/* Removes what is ours without a look at the model. */
static void sweep(void)
{
	char path[PATH_MAX];
	struct target t = { 0 };

	for (unsigned int i = 0; i < NR_INSTANCES; i++)
		rmdir(instance_path(i, path));
	for (t.group = 0; t.group < NR_GROUPS; t.group++) {
		for (t.event = 0; t.event < NR_EVENTS; t.event++)
			event_command(&t, false);
	}
	remount(0, 0);
}

/* All that there is, when nothing changes: as the model says? */
static void check_all(struct worker *w)
{
	struct op op = { 0 };

	for (unsigned int i = 0; i < NR_PLACES * NR_NODES && !stopped(); i++) {
		struct view view;

		op.t = node_target(i / NR_NODES, i % NR_NODES, 0);
		view = view_of(&op.t);
		/* Of what is not there, a few are enough. */
		if (view.state != PRESENT && (op.t.event >= NR_NAMED || (op.t.place &&
								      op.t.level != ROOT)))
			continue;
		op_stat(w, &op);
		if (view.state == PRESENT)
			list_whole(w, &op.t, list_sizes[i % ARRAY_SIZE(list_sizes)], false);
		for (op.t.slot = 1; op.t.slot < MISSING; op.t.slot++) {
			if (model.records[op.t.place][node_index(&op.t)][op.t.slot].valid)
				op_stat(w, &op);
		}
	}
}

static void close_handles(struct worker *w)
{
	for (unsigned int i = 0; i < NR_HANDLES; i++)
		handle_close(&w->handles[i]);
}

static void close_watches(struct worker *w)
{
	if (w->inotify >= 0)
		close(w->inotify);
	w->inotify = -1;
}

static void open_none(struct worker *w)
{
	w->inotify = -1;
	w->deaf = false;
	for (unsigned int i = 0; i < NR_HANDLES; i++)
		w->handles[i].fd = -1;
	for (unsigned int i = 0; i < NR_WATCHES; i++)
		w->watches[i].wd = -1;
}

/* Every second input begins its end with the events, the others with the instances. */
static void remove_all(struct worker *w)
{
	struct target t = { 0 };

	for (unsigned int i = 0; i < NR_INSTANCES; i++) {
		if (model.instances[i].count)
			change_instance(w, i, false);
	}
	for (t.group = 0; t.group < NR_GROUPS; t.group++) {
		for (t.event = 0; t.event < NR_EVENTS; t.event++) {
			if (model.events[t.group][t.event].count)
				change_event(w, &t, false);
		}
	}
	if (model.defaults.changed)
		change_defaults(w, 0, true, 0, 0);
}

/* Nothing is left that has a name. */
static void check_none(struct worker *w)
{
	struct op op = { .t = { .level = GROUP } };

	for (op.t.group = 0; op.t.group < NR_GROUPS; op.t.group++)
		op_stat(w, &op);
	op.t.level = ROOT;
	for (op.t.place = 1; op.t.place < NR_PLACES; op.t.place++)
		op_stat(w, &op);
}

static void finish(struct worker *w)
{
	w->op = NULL;
	if (!stopped())
		check_all(w);
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		workers[i].op = NULL;
		if (!stopped())
			check_told(&workers[i]);
		close_handles(&workers[i]);
	}
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		if (!stopped())
			check_ended(&workers[i]);
		close_watches(&workers[i]);
	}
	if (!stopped())
		remove_all(w);
	if (!stopped())
		check_none(w);
	if (stopped())
		sweep();
}

/*
 * One input
 */

static char running[HEX_SIZE];	/* what the alarm tells */
static int log_fd = -1;

static void hung(int number)
{
	static const char start[] = "\nfuzz: an input takes too long: ";

	(void)number;
	for (int fd = 1; fd >= 0; fd = fd == 1 ? log_fd : -1) {
		if (write(fd, start, sizeof(start) - 1) < 0 ||
		    write(fd, running, strlen(running)) < 0 || write(fd, "\n", 1) < 0)
			break;
	}
	/* Who waits for what */
	write_text("/proc/sysrq-trigger", "w");
	_exit(3);
}

/* If the kernel dies of an input, its log tells of which. */
static void announce(const struct input *in)
{
	char line[HEX_SIZE + 32];
	int len;

	hex_of(in, running);
	len = snprintf(line, sizeof(line), "<6>fuzz: run %s\n", running);
	if (log_fd >= 0 && write(log_fd, line, len) != len) {
		fprintf(stderr, "fuzz: cannot write to the kernel's log\n");
		exit(2);
	}
}

static void work(struct worker *w)
{
	char text[PATH_MAX + 64];

	for (unsigned int i = 0; i < run.nr_ops && !stopped(); i++) {
		const struct op *op = &run.ops[i];

		if (op->thread != w->number)
			continue;
		w->op = op;
		if (verbose)
			printf("# %s\n", op_text(op, text));
		for (unsigned int n = 0; n < op->repeat && !stopped(); n++)
			op_kinds[op->code].run(w, op);
		w->nr_done += op->repeat;
		cover_collect(w);
	}
	if (w->number < run.nr_threads)
		meet(true);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* fchdir() and setfsuid() are for this thread alone. */
	if (unshare(CLONE_FS))
		return NULL;
	cover_start(w);
	covers |= !!w->cover;
	pthread_barrier_wait(&barrier);
	for (;;) {
		pthread_barrier_wait(&barrier);
		work(w);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* Runs an input; false if there was a difference, which run.why tells. */
static bool execute(const struct input *in, bool look_for_leaks)
{
	static struct op ops[MAX_OPS];

	memset(&model, 0, sizeof(model));
	decode(in, ops);
	run.differs = false;
	run.why[0] = 0;
	run.going = run.nr_threads;
	run.waiting = 0;
	atomic_store(&run.stop, false);
	for (unsigned int i = 0; i <= NR_WORKERS; i++)
		open_none(&workers[i]);

	announce(in);
	alarm(HANGS);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	finish(last_worker);
	if (look_for_leaks)
		check_slabs(last_worker);	/* unless it differs already */
	alarm(0);
	return !run.differs;
}

/*
 * Mutation
 */

#define MAX_KEPT	4096

static struct input *kept;
static unsigned int nr_kept;
static uint64_t seed;

static unsigned int pick(unsigned int range)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % range;
}

static void keep(const struct input *in)
{
	if (nr_kept < MAX_KEPT)
		kept[nr_kept++] = *in;
}

static unsigned int pick_code(void)
{
	unsigned int sum = 0, at;

	for (unsigned int i = 0; i < nr_op_kinds; i++)
		sum += op_kinds[i].weight;
	at = pick(sum);
	for (unsigned int i = 0; i < nr_op_kinds; i++) {
		if (at < op_kinds[i].weight)
			return i;
		at -= op_kinds[i].weight;
	}
	return 0;
}

/* @group: that most of the operations of an input are about */
static void make_op(uint8_t bytes[OP_SIZE], unsigned int group)
{
	bytes[0] = pick_code();
	bytes[1] = pick(NR_WORKERS) | (pick(3) ? 0 : pick(6)) << 4;
	bytes[2] = pick(3) ? 0 : pick(NR_PLACES);
	bytes[3] = (pick(4) ? group : pick(NR_GROUPS)) << 4 | (pick(2) ? 0 : pick(NR_NAMED));
	bytes[4] = (pick(2) ? 0 : pick(NR_LEVELS)) << 4 | (pick(3) ? 0 : pick(NR_SLOTS));
	bytes[5] = pick(2) ? pick(NR_HANDLES) : pick(256);
}

static unsigned int count_ops(const struct input *in)
{
	return in->size ? (in->size - 1) / OP_SIZE : 0;
}

static uint8_t *op_at_index(struct input *in, unsigned int i)
{
	return &in->bytes[1 + i * OP_SIZE];
}

static void insert_op(struct input *in, unsigned int at, const uint8_t bytes[OP_SIZE])
{
	unsigned int nr = count_ops(in);

	if (nr == MAX_OPS)
		return;
	memmove(op_at_index(in, at + 1), op_at_index(in, at), (nr - at) * OP_SIZE);
	memcpy(op_at_index(in, at), bytes, OP_SIZE);
	in->size = 1 + (nr + 1) * OP_SIZE;
}

static void delete_ops(struct input *in, unsigned int at, unsigned int count)
{
	unsigned int nr = count_ops(in);

	memmove(op_at_index(in, at), op_at_index(in, at + count), (nr - at - count) * OP_SIZE);
	in->size = 1 + (nr - count) * OP_SIZE;
}

static void make_input(struct input *in)
{
	unsigned int group = pick(NR_GROUPS);
	unsigned int nr = 4 + pick(MAX_OPS - 3);

	in->size = 1 + nr * OP_SIZE;
	in->bytes[0] = pick(NR_WORKERS);
	for (unsigned int i = 0; i < nr; i++)
		make_op(op_at_index(in, i), group);
}

/* The end of one after the beginning of another */
static void cross(struct input *in, const struct input *other)
{
	unsigned int from = pick(count_ops(other) + 1), at = pick(count_ops(in) + 1);

	in->size = 1 + at * OP_SIZE;
	for (; from < count_ops(other) && at < MAX_OPS; from++, at++)
		insert_op(in, at, &other->bytes[1 + from * OP_SIZE]);
}

static void mutate_once(struct input *in)
{
	unsigned int nr = count_ops(in);
	unsigned int at = nr ? pick(nr) : 0;
	uint8_t bytes[OP_SIZE];

	make_op(bytes, nr ? op_at_index(in, at)[3] >> 4 : 0);
	switch (nr ? pick(8) : 1) {
	case 0:
		memcpy(op_at_index(in, at), bytes, OP_SIZE);
		break;
	case 1:
	case 2:
		insert_op(in, pick(nr + 1), bytes);
		break;
	case 3:
		delete_ops(in, at, 1);
		break;
	case 4:
		op_at_index(in, at)[pick(OP_SIZE)] = pick(256);
		break;
	case 5:
		memcpy(bytes, op_at_index(in, at), OP_SIZE);
		insert_op(in, pick(nr + 1), bytes);
		break;
	case 6:
		cross(in, &kept[pick(nr_kept)]);
		break;
	default:
		in->bytes[0] = pick(NR_WORKERS);
	}
}

static void next_input(struct input *in)
{
	if (!nr_kept || !pick(8)) {
		make_input(in);
		return;
	}
	*in = kept[pick(nr_kept)];
	if (!in->size)
		in->size = 1;
	do
		mutate_once(in);
	while (pick(3));
}

/*
 * What was found
 */

static unsigned long nr_inputs;
static double started;

#define SHRINK_RUNS	200
#define SHRINK_SECONDS	90

struct shrink {
	struct input best;
	char why[sizeof(run.why)];
	unsigned int tries;	/* how often one that races is tried */
	unsigned int runs;
	double deadline;
	bool leaks;
};

static bool still_fails(struct shrink *s, const struct input *in)
{
	for (unsigned int i = 0; i < s->tries; i++) {
		if (s->runs++ >= SHRINK_RUNS || now() > s->deadline)
			return false;
		if (!execute(in, s->leaks)) {
			s->best = *in;
			memcpy(s->why, run.why, sizeof(s->why));
			return true;
		}
	}
	return false;
}

/* Leaves operations out, many at a time and then one by one. */
static void shrink_ops(struct shrink *s)
{
	for (unsigned int count = count_ops(&s->best) / 2; count; count /= 2) {
		unsigned int at = 0;

		while (at + count <= count_ops(&s->best)) {
			struct input in = s->best;

			delete_ops(&in, at, count);
			if (!still_fails(s, &in))
				at += count;
		}
	}
}

static void shrink_threads(struct shrink *s)
{
	struct input in = s->best;

	for (in.bytes[0] = 0; in.bytes[0] < s->best.bytes[0] % NR_WORKERS; in.bytes[0]++) {
		if (still_fails(s, &in))
			return;
	}
}

static int report(const struct input *in, bool leaks)
{
	struct shrink s = {
		.best	= *in,
		.tries	= 8,
		.leaks	= leaks,
		.deadline = now() + SHRINK_SECONDS,
	};
	char hex[HEX_SIZE];
	bool again;

	memcpy(s.why, run.why, sizeof(s.why));
	printf("fuzz: found after %lu inputs, %.1f s: %s\n", nr_inputs, now() - started, s.why);
	if (as_found) {
		printf("fuzz: DIFFERENCE: %s\nfuzz: input %s\n", s.why, hex_of(in, hex));
		return 1;
	}
	printf("fuzz: as found %s\n", hex_of(in, hex));
	again = still_fails(&s, in);
	if (again && s.runs == 1)
		s.tries = 2;
	if (again) {
		shrink_threads(&s);
		shrink_ops(&s);
	}
	printf("fuzz: %s after %u runs\n", again ? "made shorter" : "did not happen again",
	       s.runs);
	print_input(&s.best);
	printf("fuzz: DIFFERENCE: %s\nfuzz: input %s\n", s.why, hex_of(&s.best, hex));
	return 1;
}

/*
 * Fuzzing
 */

static struct input recent[LEAK_INTERVAL];

/* One of the last inputs lost something: which? */
static int find_leak(void)
{
	unsigned int nr = nr_inputs < LEAK_INTERVAL ? nr_inputs : LEAK_INTERVAL;
	char hex[HEX_SIZE];

	printf("fuzz: %s\n", run.why);
	for (unsigned int i = 0; i < nr; i++) {
		if (!execute(&recent[i], true))
			return report(&recent[i], true);
	}
	printf("fuzz: DIFFERENCE: one of these loses memory, but not again\n");
	for (unsigned int i = 0; i < nr; i++)
		printf("fuzz: input %s\n", hex_of(&recent[i], hex));
	return 1;
}

static unsigned long nr_operations(void)
{
	unsigned long nr = 0;

	for (unsigned int i = 0; i < NR_WORKERS; i++)
		nr += workers[i].nr_done;
	return nr;
}

static int run_directory(const char *path)
{
	struct dirent **names;
	int nr = scandir(path, &names, NULL, alphasort);
	unsigned int passed = 0;

	if (nr < 0) {
		fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
		return 2;
	}
	for (int i = 0; i < nr; i++) {
		char file[PATH_MAX];
		struct input in;

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] == '.')
			continue;
		if (!parse_file(file, &in)) {
			fprintf(stderr, "fuzz: %s is no input\n", file);
			return 2;
		}
		nr_inputs++;
		if (!execute(&in, true)) {
			printf("fuzz: %s: %s\n", file, run.why);
			return report(&in, true);
		}
		cover_is_new(workers);
		keep(&in);
		passed++;
	}
	printf("fuzz: %u inputs of %s passed\n", passed, path);
	return 0;
}

static int make_up_inputs(unsigned int seconds)
{
	double end = now() + seconds;
	char hex[HEX_SIZE];
	struct input in;

	while (now() < end) {
		bool look = nr_inputs % LEAK_INTERVAL == LEAK_INTERVAL - 1;

		next_input(&in);
		recent[nr_inputs++ % LEAK_INTERVAL] = in;
		if (!execute(&in, false))
			return report(&in, false);
		if (look) {
			check_slabs(last_worker);
			if (run.differs)
				return find_leak();
		}
		if (cover_is_new(workers)) {
			keep(&in);
			printf("fuzz: keep %s\n", hex_of(&in, hex));
		}
	}
	return 0;
}

static void print_figures(double seconds)
{
	printf("fuzz: %lu inputs, %lu operations, %u edges, %u kept, %.0f s\n", nr_inputs,
	       nr_operations(), nr_edges(), nr_kept, seconds);
}

/*
 * Start
 */

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What stands in events/ and is not ours, with its inode numbers */
static bool learn_systems(void)
{
	const struct dirent64 *entry;
	struct target root = { .level = ROOT };
	struct lister lister;
	int error;

	error = lister_open(&lister, EVENTS, sizeof(lister.buffer));
	if (error)
		return false;
	while (!(error = lister_next(&lister, &entry)) && entry) {
		if (is_dots(entry) || find_entry(&root, entry) >= 0)
			continue;
		if (nr_systems == MAX_SYSTEMS)
			return false;
		systems[nr_systems++] = strdup(entry->d_name);
		foreign_inos[nr_foreign_inos++] = entry->d_ino;
	}
	close(lister.fd);
	qsort(foreign_inos, nr_foreign_inos, sizeof(*foreign_inos), compare_numbers);
	for (unsigned int i = 1; i < nr_foreign_inos; i++) {
		if (foreign_inos[i] == foreign_inos[i - 1])
			return false;
	}
	return !error;
}

/* The modes of what nobody has changed */
static bool learn_modes(void)
{
	struct target t = { 0 };
	char path[PATH_MAX];
	struct statx st;
	bool all = true;

	if (event_command(&t, true))
		return false;
	for (t.level = 0; t.level < NR_LEVELS; t.level++) {
		for (t.slot = 0; t.slot <= nr_files[t.level]; t.slot++) {
			all &= !statx(AT_FDCWD, target_path(&t, path), 0, STATX_BASIC_STATS, &st);
			default_modes[t.level][t.slot] = st.stx_mode & 07777;
		}
	}
	dev_major = st.stx_dev_major;
	dev_minor = st.stx_dev_minor;
	t.level = EVENT;
	return !event_command(&t, false) && all;
}

static const char *set_up_all(void)
{
	const char *why = cannot_run(&kprobe_kind);

	if (!why)
		why = cannot_run(&synthetic_kind);
	if (why)
		return why;
	memset(name_255, 'n', 255);
	memset(name_256, 'n', 256);
	/* Removing a probe waits for grace periods; nothing here depends on how long. */
	write_text("/sys/kernel/rcu_expedited", "1");
	/* Or the kernel's log takes ten lines of it and then no more. */
	write_text("/proc/sys/kernel/printk_devkmsg", "on\n");
	log_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	setgroups(0, NULL);
	if (chdir(TRACING))
		return "cannot go to " TRACING;
	sweep();
	if (!learn_systems())
		return "cannot list " EVENTS;
	if (!learn_modes())
		return "cannot make events, or they do not have the files that they should";
	if (reclaim())
		return "cannot drop caches";
	slabs_note();
	return NULL;
}

static void start_workers(void)
{
	pthread_barrier_init(&barrier, NULL, NR_WORKERS + 1);
	for (unsigned int i = 0; i <= NR_WORKERS; i++)
		workers[i].number = i;
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) {
			fprintf(stderr, "fuzz: no threads\n");
			exit(2);
		}
	}
	pthread_barrier_wait(&barrier);
	if (!covers)
		printf("fuzz: no " KCOV ", so nothing guides it\n");
}

static int tell_usage(void)
{
	fprintf(stderr, "usage: fuzz [-v] -x HEX|FILE, fuzz -p HEX|FILE, or\n"
		"       fuzz [-n] -s SEED -t SECONDS [-d DIR]...\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *one = NULL, *print = NULL, *directories[8];
	unsigned int nr_directories = 0, seconds = 0;
	const char *why;
	struct input in;
	int c, status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "x:p:s:t:d:nv")) != -1) {
		if (c == 'x')
			one = optarg;
		else if (c == 'p')
			print = optarg;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 't')
			seconds = atoi(optarg);
		else if (c == 'd' && nr_directories < ARRAY_SIZE(directories))
			directories[nr_directories++] = optarg;
		else if (c == 'n')
			as_found = true;
		else if (c == 'v')
			verbose = true;
		else
			return tell_usage();
	}
	if ((one || print) && !parse_input(one ? one : print, &in))
		return tell_usage();
	if (print) {
		print_input(&in);
		return 0;
	}
	if (!one && !seconds && !nr_directories)
		return tell_usage();

	why = set_up_all();
	if (why) {
		fprintf(stderr, "fuzz: %s\n", why);
		return 2;
	}
	signal(SIGALRM, hung);
	kept = calloc(MAX_KEPT, sizeof(*kept));
	seed = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
	start_workers();
	started = now();
	if (one) {
		nr_inputs++;
		status = execute(&in, true) ? 0 : 1;
		if (status)
			printf("fuzz: DIFFERENCE: %s\n", run.why);
		cover_is_new(workers);
	}
	for (unsigned int i = 0; i < nr_directories && !status; i++)
		status = run_directory(directories[i]);
	if (seconds && !status)
		status = make_up_inputs(seconds);
	print_figures(now() - started);
	return status;
}
