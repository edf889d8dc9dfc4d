// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the events of a module, which are removed all at once
 *
 * The module is trace-events-sample, from samples/trace_events. Its events fire once a
 * second, and once more when it is unloaded.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define SYSTEM		"sample-trace"
#define GROUP		EVENTS "/" SYSTEM
#define EVENT		GROUP "/foo_bar"
#define INSTANCE	INSTANCES "/" PREFIX
#define INSTANCE_GROUP	INSTANCE "/events/" SYSTEM
#define NEW_INSTANCE	INSTANCES "/" PREFIX "_t"

static const char * const groups[] = { GROUP, INSTANCE_GROUP };

/* Some of the module's events; the last one starts a thread when it is enabled. */
static const char * const names[] = { "foo_bar", "foo_bar_with_cond", "foo_bar_with_fn" };

static char sample[PATH_MAX];	/* the file of the module */

static int load(void)
{
	return load_sample(sample);
}

/* What is wrong with the directories of a module that is loaded, or "" */
static const char *incomplete(void)
{
	static char text[PATH_MAX];
	char path[PATH_MAX];

	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			int error, times;

			snprintf(path, sizeof(path), "%s/%s/id", groups[g], names[n]);
			error = open_and_read(path);
			times = times_listed(groups[g], names[n]);
			if (!error && times == 1)
				continue;
			snprintf(text, sizeof(text), "%s/%s: %s, listed %d times", groups[g],
				 names[n], strerror(error), times);
			return text;
		}
	}
	return "";
}

/* What is left of one that is not, or "" */
static const char *left(void)
{
	if (stat_path(GROUP) != ENOENT || stat_path(EVENT "/id") != ENOENT)
		return GROUP;
	if (stat_path(INSTANCE_GROUP) != ENOENT)
		return INSTANCE_GROUP;
	return times_listed(EVENTS, SYSTEM) > 0 || times_listed(INSTANCE "/events", SYSTEM) > 0 ?
	       "listed" : "";
}

/* What there is more of than before the test, when nothing is cached, or "" */
static const char *leaked(const long counts[NR_SLABS])
{
	return reclaim() ? "cannot reclaim" : slab_rise(counts);
}

/*
 * Fixture
 */

FIXTURE(module)
{
	long counts[NR_SLABS];	/* with all that a first load leaves behind for good */
};

FIXTURE_SETUP(module)
{
	const char *why = cannot_run(&kprobe_kind) ?: cannot_load(sample);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, set_up(&kprobe_kind));
	ASSERT_EQ(0, load());
	ASSERT_STREQ("", incomplete());
	ASSERT_EQ(0, unload_sample());
	ASSERT_STREQ("", left());
	ASSERT_EQ(0, count_slabs(self->counts));
}

/* In the parent: all that a test had open is closed by then, however it ended. */
FIXTURE_TEARDOWN_PARENT(module)
{
	int error = unload_sample();

	EXPECT_TRUE(!error || error == ENOENT) TH_LOG("unloading: %s", strerror(error));
	EXPECT_EQ(0, tidy(&kprobe_kind));
	EXPECT_STREQ("", left());
}

/*
 * What is open
 */

#define MAX_OPEN	64

struct opened {
	char path[PATH_MAX];
	int dir;	/* for one that lists a directory, else -1 */
	int reader;
	int writer;	/* -1 if nobody may write */
};

static int open_everything(const char *path, struct opened opened[MAX_OPEN], size_t *nr)
{
	struct opened *here = &opened[(*nr)++];
	const struct dirent64 *entry;
	struct lister lister;
	struct stat st;
	int error;

	snprintf(here->path, sizeof(here->path), "%s", path);
	here->dir = -1;
	here->reader = -1;
	here->writer = -1;
	if (stat(path, &st))
		return errno;
	if (!S_ISDIR(st.st_mode)) {
		error = st.st_mode & 0400 ? open_path(path, O_RDONLY | O_NONBLOCK,
						      &here->reader) : 0;
		if (!error && st.st_mode & 0200)
			error = open_path(path, O_WRONLY, &here->writer);
		return error;
	}
	error = open_path(path, O_RDONLY | O_DIRECTORY, &here->dir);
	if (!error)
		error = lister_open(&lister, path, sizeof(lister.buffer));
	if (error)
		return error;
	while (!error && !(error = lister_next(&lister, &entry)) && entry) {
		char child[PATH_MAX];

		/* Of the events this one is enough. */
		if (is_dots(entry) || (entry->d_type == DT_DIR && strcmp(entry->d_name, "foo_bar")))
			continue;
		if (*nr == MAX_OPEN)
			error = E2BIG;
		else if (snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >=
			 (int)sizeof(child))
			error = ENAMETOOLONG;
		else
			error = open_everything(child, opened, nr);
	}
	close(lister.fd);
	return error;
}

/*
 * Files of a system find its events by its name: they can be read, and what is written to
 * its "enable" concerns the events that there are now.
 */
static bool is_of_system(const char *path)
{
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		size_t len = strlen(groups[g]);

		if (!strncmp(path, groups[g], len) && path[len] && !strchr(path + len + 1, '/'))
			return true;
	}
	return false;
}

/* What a descriptor of something answers that is not to be there any more, or "" */
static const char *still_alive(const struct opened *opened)
{
	static char text[PATH_MAX + 64];
	const char *name = strrchr(opened->path, '/') + 1;
	int fd = opened->dir >= 0 ? opened->dir :
		 opened->reader >= 0 ? opened->reader : opened->writer;
	int error, writes = ENODEV;
	char buffer[512];
	struct stat st;

	if (fstat(fd, &st))
		return "fstat";
	if (opened->dir >= 0)
		error = syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) < 0 ?
			(errno == ENOENT ? ENODEV : errno) : 0;
	else
		error = opened->reader >= 0 ? read_some(opened->reader) : ENODEV;
	if (opened->writer >= 0)
		writes = pwrite(opened->writer, "0", 1, 0) < 0 ? errno : 0;
	/* The number of an event is in the file itself. */
	if (!error && (!strcmp(name, "id") || is_of_system(opened->path)))
		error = ENODEV;
	if (!strcmp(name, "enable") && is_of_system(opened->path) && (!writes || writes == EINVAL))
		writes = ENODEV;
	if (error == ENODEV && writes == ENODEV && !st.st_nlink)
		return "";
	snprintf(text, sizeof(text), "%s: read %s, write %s, %lu links", opened->path,
		 strerror(error), strerror(writes), (unsigned long)st.st_nlink);
	return text;
}

/* Gives events all that they can have. Return: 0 or an errno of the first that failed */
static int use_events(const char *group)
{
	static const char * const texts[][2] = {
		{ "foo_bar/filter", "bar > 1000000" },
		{ "foo_bar/trigger", "hist:keys=bar:vals=hitcount" },
		{ "foo_bar/trigger", "traceoff:5 if bar > 1000000" },
		{ "foo_bar/enable", "1" },
		{ "foo_bar_with_fn/enable", "1" },
		{ "filter", "common_pid != 0" },
		{ "enable", "1" },
	};
	char path[PATH_MAX];
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts) && !error; i++) {
		snprintf(path, sizeof(path), "%s/%s", group, texts[i][0]);
		error = write_text(path, texts[i][1]);
	}
	return error;
}

/* A module that goes while they are there is one that the kernel warns of. */
static int remove_triggers(const char *group)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/foo_bar/trigger", group);
	return write_text(path, "!hist:keys=bar:vals=hitcount") ?: write_text(path, "!traceoff:5");
}

/*
 * rmmod while all files and directories of the module's events are open, the events are
 * enabled and filtered and had triggers and a histogram, in an instance as well, and
 * somebody is in the directory of one. The module goes, no file of it can be used, not
 * even when another module of that name has come, and nothing is left in the end.
 */
TEST_F_TIMEOUT(module, open_files_of_a_module_are_dead, TEST_SECONDS)
{
	static struct opened opened[MAX_OPEN];
	struct pollfd hist = { .events = POLLPRI };
	int before, watches;
	struct stat old, new;
	char text[4096];
	size_t nr = 0;

	ASSERT_EQ(0, load());
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		ASSERT_EQ(0, use_events(groups[g]));
		ASSERT_EQ(0, open_everything(groups[g], opened, &nr));
	}
	ASSERT_LE(20U, nr);
	ASSERT_EQ(0, open_path(EVENT "/hist", O_RDONLY, &hist.fd));
	ASSERT_EQ(0, read_some(hist.fd));
	before = poll(&hist, 1, 0);
	ASSERT_EQ(0, chdir(EVENT));
	watches = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	ASSERT_LE(0, inotify_add_watch(watches, EVENTS, IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN |
									  IN_CLOSE)));
	ASSERT_EQ(0, reclaim());
	ASSERT_EQ(0, stat("id", &old));
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		ASSERT_EQ(0, remove_triggers(groups[g]));
	}

	ASSERT_EQ(0, unload_sample());
	ASSERT_STREQ("", left());
	for (size_t i = 0; i < nr; i++) {
		EXPECT_STREQ("", still_alive(&opened[i]));
	}
	EXPECT_EQ(1, poll(&hist, 1, 0));
	/* Kernels that have no poll of a histogram are always ready. */
	if (!before)
		EXPECT_NE(0, hist.revents & POLLERR);
	EXPECT_EQ(ENOENT, stat_path("id"));
	EXPECT_EQ(-1, syscall(SYS_getcwd, text, sizeof(text)));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_STREQ("delete dir " SYSTEM ";", notices(watches, text, sizeof(text)));

	ASSERT_EQ(0, load());
	ASSERT_STREQ("", incomplete());
	EXPECT_STREQ("create dir " SYSTEM ";", notices(watches, text, sizeof(text)));
	ASSERT_EQ(0, stat(EVENT "/id", &new));
	EXPECT_NE(old.st_ino, new.st_ino);
	for (size_t i = 0; i < nr; i++) {
		EXPECT_STREQ("", still_alive(&opened[i]));
	}
	ASSERT_EQ(0, unload_sample());
	ASSERT_STREQ("", left());

	ASSERT_EQ(0, chdir("/"));
	close(watches);
	close(hist.fd);
	for (size_t i = 0; i < nr; i++) {
		close(opened[i].dir);
		close(opened[i].reader);
		close(opened[i].writer);
	}
	EXPECT_STREQ("", leaked(self->counts));
}

/* What uses a module's event keeps the module: nothing of it is removed. */
TEST_F_TIMEOUT(module, module_in_use_keeps_its_events, TEST_SECONDS)
{
	const char *trigger = EVENTS "/" PREFIX "/" PREFIX "_s0/trigger";
	int error = 0;

	ASSERT_EQ(0, load());
	ASSERT_EQ(0, write_text(trigger, "enable_event:" SYSTEM ":foo_bar"));
	EXPECT_EQ(EWOULDBLOCK, unload_sample());
	EXPECT_STREQ("", incomplete());
	EXPECT_EQ(0, open_and_read(EVENT "/format"));
	EXPECT_EQ(0, write_text(trigger, "!enable_event:" SYSTEM ":foo_bar"));
	/* The trigger may put the module after a grace period. */
	for (int i = 0; i < 100 && (error = unload_sample()) == EWOULDBLOCK; i++)
		usleep(50000);
	EXPECT_EQ(0, error);
	EXPECT_STREQ("", left());
	EXPECT_STREQ("", leaked(self->counts));
}

/*
 * Races
 */

#define NR_HELD		4
#define SECONDS_A_ROUND	0.5	/* after so many for each no further one begins */

struct worker {
	int (*turn)(struct worker *worker);
	const char *what;
	unsigned int nap;	/* between two turns, in milliseconds */
	unsigned int seed;
	atomic_uint turns;
	unsigned int met;	/* turns in which the module was there */
	int held[NR_HELD];
	pthread_t thread;
};

static struct {
	atomic_bool stop;
	pthread_mutex_t lock;
	char wrong[PATH_MAX];
} race;

static void fail(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&race.lock);
	if (!race.wrong[0]) {
		va_start(args, format);
		vsnprintf(race.wrong, sizeof(race.wrong), format, args);
		va_end(args);
	}
	pthread_mutex_unlock(&race.lock);
	atomic_store(&race.stop, true);
}

static unsigned int choose(struct worker *worker, unsigned int range)
{
	return (unsigned int)rand_r(&worker->seed) % range;
}

/*
 * Tasks that never sleep, and those that patch code all the time, delay the others, and
 * the removal of the module, which is not the question.
 */
static void nap(struct worker *worker)
{
	usleep(worker->nap * (500 + choose(worker, 1000)));
}

static const char *some_event(struct worker *worker, char path[PATH_MAX], const char *file)
{
	snprintf(path, PATH_MAX, "%s/%s/%s", groups[choose(worker, ARRAY_LEN(groups))],
		 names[choose(worker, ARRAY_LEN(names))], file);
	return path;
}

/* Opens and reads one, and reads one that was opened before. */
static int read_files(struct worker *worker)
{
	static const char * const files[] = {
		"enable", "filter", "format", "hist", "id", "trigger",
	};
	int *held = &worker->held[choose(worker, NR_HELD)];
	char path[PATH_MAX];
	int error;

	if (*held > 0) {
		error = read_some(*held);
		close(*held);
		*held = 0;
		if (error && error != ENODEV)
			return error;
	}
	error = open_path(some_event(worker, path, files[choose(worker, ARRAY_LEN(files))]),
			  O_RDONLY | O_NONBLOCK, held);
	if (error)
		*held = 0;
	return error ?: read_some(*held);
}

static int enable_system(const char *group, const char *text)
{
	char path[PATH_MAX];
	int error;

	snprintf(path, sizeof(path), "%s/enable", group);
	error = write_text(path, text);
	/* It was open when the module went: it has no event any more. */
	return error == EINVAL ? ENODEV : error;
}

static int enable_and_disable(struct worker *worker)
{
	const char *text = choose(worker, 2) ? "1" : "0";
	char path[PATH_MAX];

	if (choose(worker, 4))
		return write_text(some_event(worker, path, "enable"), text);
	return enable_system(groups[choose(worker, ARRAY_LEN(groups))], text);
}

static int set_filter(struct worker *worker)
{
	char path[PATH_MAX];

	if (choose(worker, 2)) {
		snprintf(path, sizeof(path), "%s/filter",
			 groups[choose(worker, ARRAY_LEN(groups))]);
		return write_text(path, choose(worker, 2) ? "common_pid != 0" : "0");
	}
	return write_text(some_event(worker, path, "filter"),
			  choose(worker, 2) ? "common_pid > 1" : "0");
}

/*
 * A module that goes while an event of it has a trigger leaves the probe of a tracepoint
 * behind, of which the kernel warns. So it stays while there is one.
 */
static pthread_rwlock_t module_stays = PTHREAD_RWLOCK_INITIALIZER;

static int set_trigger(struct worker *worker)
{
	static const char * const texts[] = {
		"!hist:keys=common_pid", "!traceoff:1", "!stacktrace:3",
	};
	const char *text = texts[choose(worker, ARRAY_LEN(texts))];
	char path[PATH_MAX];
	int error;

	some_event(worker, path, "trigger");
	pthread_rwlock_rdlock(&module_stays);
	error = write_text(path, text + 1);
	nap(worker);
	if (!error)
		error = write_text(path, text);
	pthread_rwlock_unlock(&module_stays);
	return error;
}

static int list_directories(struct worker *worker)
{
	const char *group = groups[choose(worker, ARRAY_LEN(groups))];
	char path[PATH_MAX];

	return list_in_pieces(group, ENTRY_BUFFER) ?:
	       list_in_pieces(some_event(worker, path, "."), ENTRY_BUFFER);
}

static int watch_event(struct worker *worker)
{
	char path[PATH_MAX], text[4096];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int error;

	error = inotify_add_watch(fd, some_event(worker, path, "."), IN_ALL_EVENTS) < 0 ?
		errno : 0;
	nap(worker);
	notices(fd, text, sizeof(text));
	close(fd);
	return error;
}

static int make_instances(struct worker *worker)
{
	int error, removed;

	if (mkdir(NEW_INSTANCE, 0750))
		return errno;
	error = choose(worker, 2) ? enable_system(NEW_INSTANCE "/events/" SYSTEM, "1") :
		write_text(NEW_INSTANCE "/events/" SYSTEM "/foo_bar/enable", "1");
	removed = rmdir(NEW_INSTANCE) ? errno : 0;
	return removed ?: error;
}

static int drop_caches(struct worker *worker)
{
	return reclaim();
}

static struct worker workers[] = {
	{ .turn = read_files, .what = "reader", .nap = 2 },
	{ .turn = read_files, .what = "reader", .nap = 2 },
	{ .turn = enable_and_disable, .what = "enabler", .nap = 50 },
	{ .turn = set_filter, .what = "filterer", .nap = 20 },
	{ .turn = set_trigger, .what = "setter of triggers", .nap = 50 },
	{ .turn = list_directories, .what = "lister", .nap = 2 },
	{ .turn = watch_event, .what = "watcher", .nap = 2 },
	{ .turn = make_instances, .what = "maker of instances", .nap = 50 },
	{ .turn = drop_caches, .what = "reclaimer", .nap = 20 },
};

static void *run_worker(void *arg)
{
	struct worker *worker = arg;
	int error;

	while (!atomic_load(&race.stop)) {
		error = worker->turn(worker);
		if (error && error != ENOENT && error != ENODEV)
			fail("%s: %s", worker->what, strerror(error));
		worker->met += !error;
		atomic_fetch_add(&worker->turns, 1);
		nap(worker);
	}
	for (int i = 0; i < NR_HELD; i++) {
		if (worker->held[i] > 0)
			close(worker->held[i]);
	}
	return NULL;
}

/* All workers have begun and ended a turn since, or one has failed. */
static void let_all_work(void)
{
	unsigned int turns[ARRAY_LEN(workers)];

	for (size_t i = 0; i < ARRAY_LEN(workers); i++)
		turns[i] = atomic_load(&workers[i].turns);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		while (atomic_load(&workers[i].turns) < turns[i] + 2 && !atomic_load(&race.stop))
			usleep(500);
	}
}

static void load_and_unload(void)
{
	double deadline = now() + PATIENCE;
	int error = load();

	if (error) {
		fail("loading: %s", strerror(error));
		return;
	}
	if (*incomplete())
		fail("after loading: %s", incomplete());
	let_all_work();
	/* In use for a moment, by one that loads or traces */
	pthread_rwlock_wrlock(&module_stays);
	while ((error = unload_sample()) == EWOULDBLOCK && now() < deadline)
		usleep(1000);
	pthread_rwlock_unlock(&module_stays);
	if (error)
		fail("unloading: %s", strerror(error));
	if (*left())
		fail("after unloading: %s", left());
}

/*
 * A module that is loaded and unloaded again and again, while its events are opened,
 * enabled, filtered, given triggers, listed, watched and reclaimed, in an instance and in
 * one that comes and goes as well.
 */
TEST_F_TIMEOUT(module, module_comes_and_goes, TEST_SECONDS)
{
	double began = now(), deadline = began + nr_rounds() * SECONDS_A_ROUND;
	unsigned int rounds = 0;

	pthread_mutex_init(&race.lock, NULL);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		workers[i].seed = i;
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]));
	}
	while (rounds < nr_rounds() && now() < deadline && !atomic_load(&race.stop)) {
		load_and_unload();
		rounds++;
	}
	atomic_store(&race.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++)
		pthread_join(workers[i].thread, NULL);
	EXPECT_STREQ("", race.wrong);
	TH_LOG("%u rounds in %.1f s", rounds, now() - began);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		TH_LOG("%s: %u of %u turns met the module", workers[i].what, workers[i].met,
		       atomic_load(&workers[i].turns));
		EXPECT_LE(1U, workers[i].met) TH_LOG("%s", workers[i].what);
	}
	EXPECT_STREQ("", left());
	EXPECT_STREQ("", leaked(self->counts));
}

TEST_HARNESS_MAIN
