// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what people reported about tracefs, eventfs and dynamic events
 *
 * Each test repeats a public bug report, or its fix. The comment above says what was
 * reported and when, and what is right. Errors and contents that kernel/trace decides
 * are those of Linux 6.12.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "eventfs.h"

#define GROUP		EVENTS "/" PREFIX
#define EVENT		GROUP "/" PREFIX "_s0"
#define INSTANCE	INSTANCES "/" PREFIX
#define INSTANCE_GROUP	INSTANCE "/events/" PREFIX
#define NEW_INSTANCE	INSTANCES "/" PREFIX "_t"
#define NEW_EVENT	PREFIX "_t"
#define USER_GROUP	EVENTS "/user_events"

/* A user and a group without capabilities */
#define SOMEBODY	1001
#define SHELL		2000

/*
 * Helpers
 */

/* The type and the mode, or 0 */
static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_mode;
}

static bool has_owners(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	return !stat(path, &st) && st.st_uid == uid && st.st_gid == gid;
}

/* The value of an option of tracefs in /proc/mounts, or "" */
static const char *mount_option(const char *option)
{
	static char value[32];
	char line[2 * PATH_MAX], place[PATH_MAX], options[PATH_MAX];
	FILE *file = fopen("/proc/self/mounts", "re");
	size_t len = strlen(option);

	value[0] = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %4095s tracefs %4095s", place, options) != 2 ||
		    strcmp(place, TRACING))
			continue;
		for (char *at = strtok(options, ","); at; at = strtok(NULL, ",")) {
			if (!strncmp(at, option, len) && at[len] == '=')
				snprintf(value, sizeof(value), "%s", at + len + 1);
		}
	}
	if (file)
		fclose(file);
	return value;
}

/* Like "mount -o remount": with the options that /proc/mounts shows */
static int remount_as_shown(void)
{
	static const char * const names[] = { "uid", "gid", "mode" };
	char options[128] = "";
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = mount_option(names[i]);

		if (*value)
			at += snprintf(options + at, sizeof(options) - at, "%s%s=%s",
				       at ? "," : "", names[i], value);
	}
	return remount_with(at ? options : NULL);
}

/*
 * Fixture
 */

/* Names of a system's files, which events may have as well */
static const char * const file_names[] = { "enable", "filter" };

FIXTURE(reports)
{
	struct stat root;	/* of the mount, to restore its owner and mode */
	mode_t events;		/* mode of the directory of all systems, likewise */
};

static int tidy_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(file_names); i++)
		remove_event(&kprobe_kind, file_names[i]);
	return tidy(&kprobe_kind);
}

FIXTURE_SETUP(reports)
{
	const char *why = cannot_run(&kprobe_kind);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, stat(TRACING, &self->root));
	self->events = mode_of(EVENTS) & 07777;
	ASSERT_EQ(0, tidy_all());
	ASSERT_EQ(0, set_up(&kprobe_kind));
}

FIXTURE_TEARDOWN_PARENT(reports)
{
	const struct stat *root = &self->root;
	struct stat st;
	char mode[16];

	EXPECT_EQ(0, tidy_all());
	EXPECT_EQ(0, chmod(EVENTS, self->events));
	EXPECT_EQ(0, stat(TRACING, &st));
	if (st.st_uid != root->st_uid || st.st_gid != root->st_gid)
		EXPECT_EQ(0, remount(root->st_uid, root->st_gid));
	if (st.st_mode != root->st_mode || *mount_option("mode")) {
		snprintf(mode, sizeof(mode), "mode=%o", root->st_mode & 07777);
		EXPECT_EQ(0, remount_with(mode));
	}
}

/*
 * Names
 */

/*
 * perf probes on functions called "filter" or "enable" (2026): perf and trace-cmd
 * need the directory of the event. The file is back when the event is gone.
 */
TEST_F_TIMEOUT(reports, event_may_have_the_name_of_a_file, TEST_SECONDS)
{
	static const char * const groups[] = { GROUP, INSTANCE_GROUP };
	char path[PATH_MAX], id[PATH_MAX];

	for (size_t n = 0; n < ARRAY_LEN(file_names); n++) {
		const char *name = file_names[n];

		for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
			snprintf(path, sizeof(path), "%s/%s", groups[g], name);
			EXPECT_TRUE(S_ISREG(mode_of(path))) TH_LOG("%s", path);
		}
		ASSERT_EQ(0, create_event(&kprobe_kind, name));
		for (int again = 0; again < 2; again++) {
			for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
				snprintf(path, sizeof(path), "%s/%s", groups[g], name);
				snprintf(id, sizeof(id), "%s/%s/id", groups[g], name);
				EXPECT_TRUE(S_ISDIR(mode_of(path))) TH_LOG("%s", path);
				EXPECT_EQ(0, open_and_read(id)) TH_LOG("%s", id);
				EXPECT_EQ(1, times_listed(groups[g], name))
					TH_LOG("%s", path);
			}
			ASSERT_EQ(0, reclaim());
		}
		ASSERT_EQ(0, remove_event(&kprobe_kind, name));
		for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
			snprintf(path, sizeof(path), "%s/%s", groups[g], name);
			EXPECT_TRUE(S_ISREG(mode_of(path))) TH_LOG("%s", path);
			EXPECT_EQ(0, open_and_read(path)) TH_LOG("%s", path);
			EXPECT_EQ(0, write_text(path, "0")) TH_LOG("%s", path);
			EXPECT_EQ(1, times_listed(groups[g], name)) TH_LOG("%s", path);
		}
	}
}

/* As in <linux/user_events.h>, which a C library may not have */
struct registration {
	__u32 size;
	__u8 enable_bit;
	__u8 enable_size;
	__u16 flags;
	__u64 enable_addr;
	__u64 name_args;
	__u32 write_index;
};

struct unregistration {
	__u32 size;
	__u8 disable_bit;
	__u8 reserved;
	__u16 reserved2;
	__u64 disable_addr;
};

#define REGISTER	_IOWR('*', 0, struct registration *)
#define UNREGISTER	_IOW('*', 2, struct unregistration *)

/* Where the kernel reports whether the event is enabled */
static unsigned int enabled;

/* The event exists until it is unregistered and @fd is closed, or this process ends. */
static int register_event(int fd, const char *name)
{
	struct registration reg = {
		.size		= sizeof(reg),
		.enable_size	= sizeof(enabled),
		.enable_addr	= (uintptr_t)&enabled,
		.name_args	= (uintptr_t)name,
	};

	return ioctl(fd, REGISTER, &reg) ? errno : 0;
}

static int unregister_event(int fd)
{
	struct unregistration unreg = {
		.size		= sizeof(unreg),
		.disable_addr	= (uintptr_t)&enabled,
	};

	return ioctl(fd, UNREGISTER, &unreg) ? errno : 0;
}

static int list_in(int dir, const char *path)
{
	const struct dirent64 *entry;
	struct lister lister = { .size = sizeof(lister.buffer) };
	int error;

	lister.fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lister.fd < 0)
		return errno;
	while (!(error = lister_next(&lister, &entry)) && entry)
		;
	close(lister.fd);
	return error;
}

/*
 * A user registers events with names that are not valid file names (2024): each is
 * refused or gets a directory or none. The listing of their system works.
 */
TEST_F_TIMEOUT(reports, odd_user_events_spoil_no_listing, TEST_SECONDS)
{
	static const struct {
		const char *name;
		size_t pad;		/* the length that it is filled up to */
		int error;		/* of the registration */
		int times;		/* in the listing */
	} cases[] = {
		{ PREFIX "_255",	255, 0, 1 },
		{ PREFIX "_256",	256, 0, 0 },
		{ PREFIX "_300",	300, 0, 0 },
		{ PREFIX "/a",		0, 0, 0 },
		{ "../" PREFIX,		0, 0, 0 },
		{ ".",			0, 0, 1 },
		{ "..",			0, 0, 1 },	/* and ".": those of every listing */
		{ PREFIX "a:b",		0, EINVAL, 0 },
		{ PREFIX "a b",		0, EINVAL, 0 },
	};
	char name[512];
	int fd, error, root;

	if (access(user_kind.interface, F_OK))
		SKIP(return, "no %s", user_kind.interface);
	ASSERT_EQ(0, open_path(user_kind.interface, O_RDWR, &fd));
	ASSERT_EQ(0, register_event(fd, PREFIX));
	ASSERT_EQ(0, unregister_event(fd));
	ASSERT_EQ(0, chmod(TRACING, 0755));
	ASSERT_EQ(0, chmod(EVENTS, 0755));
	ASSERT_EQ(0, chmod(USER_GROUP, 0755));
	ASSERT_EQ(0, open_path(TRACING, O_PATH, &root));
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		snprintf(name, sizeof(name), "%s", cases[c].name);
		if (cases[c].pad) {
			memset(name + strlen(name), 'x', cases[c].pad - strlen(name));
			name[cases[c].pad] = 0;
		}
		error = register_event(fd, name);
		EXPECT_EQ(cases[c].error, error) TH_LOG("%s", name);
		if (!error)
			EXPECT_EQ(0, unregister_event(fd));
		EXPECT_EQ(cases[c].times, times_listed(USER_GROUP, name)) TH_LOG("%s", name);
		EXPECT_EQ(0, list_to_end(USER_GROUP)) TH_LOG("with %s", name);
		ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
		EXPECT_EQ(0, list_in(root, "events/user_events"))
			TH_LOG("by a user, with %s", name);
		ASSERT_EQ(0, become_root());
	}
	close(fd);
	close(root);
}

/*
 * A task that may only write user_events_data registers an event (2022): its directory
 * exists, with the usual owner.
 */
TEST_F_TIMEOUT(reports, event_of_a_user_has_its_directory, TEST_SECONDS)
{
	const char *path = USER_GROUP "/" NEW_EVENT;
	struct stat st;
	int fd, root;

	if (access(user_kind.interface, F_OK))
		SKIP(return, "no %s", user_kind.interface);
	ASSERT_EQ(0, stat(user_kind.interface, &st));
	ASSERT_EQ(0, open_path(TRACING, O_PATH, &root));
	ASSERT_EQ(0, chmod(TRACING, 0711));
	ASSERT_EQ(0, chmod(user_kind.interface, 0666));
	EXPECT_EQ(ENOENT, stat_path(path));
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	fd = openat(root, "user_events_data", O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, register_event(fd, NEW_EVENT " u32 count"));
	EXPECT_EQ(-1, openat(root, "user_events_status", O_RDONLY));
	EXPECT_EQ(EACCES, errno);
	ASSERT_EQ(0, become_root());
	EXPECT_EQ(0, unregister_event(fd));
	EXPECT_EQ(0, open_and_read(USER_GROUP "/" NEW_EVENT "/format"));
	EXPECT_EQ(1, times_listed(USER_GROUP, NEW_EVENT));
	EXPECT_TRUE(has_owners(path, self->root.st_uid, self->root.st_gid));
	close(fd);
	close(root);
	EXPECT_EQ(0, chmod(user_kind.interface, st.st_mode & 07777));
	/* It is removed a moment after its last user ends. */
	for (int i = 0; i < 500 && !stat_path(path); i++)
		usleep(10000);
	EXPECT_EQ(ENOENT, stat_path(path));
}

/*
 * Removal
 */

#define NR_SEEKERS	8
#define WALKS_IN_A_LOOP	4000	/* in one removal */
#define NR_NAMES	4096	/* that each of them misses in turn */
#define MAX_PLACES	3
#define MAX_ROUNDS	32
#define BUDGET_SECONDS	4	/* after which no further round begins */
#define LOAD_SECONDS	2	/* minimum of race.patience */
#define SLOWDOWN	5	/* race.patience, in removals with seekers elsewhere */

/**
 * struct like - an object that is removed, and a similar one that stays
 * @dir: directory of the object that is removed
 * @standing: directory of the one that stays
 * @places: where to look for names, in both
 * @rounds: how often it is created and removed, MAX_ROUNDS at most
 * @make: creates it; return: 0 or an errno
 * @remove: the same for its removal
 */
struct like {
	const char *dir;
	const char *standing;
	const char *places[MAX_PLACES];
	int rounds;
	int (*make)(void);
	int (*remove)(void);
};

static int make_instance(void)
{
	return mkdir(NEW_INSTANCE, 0750) ? errno : 0;
}

static int remove_new_instance(void)
{
	return remove_instance(PREFIX "_t");
}

static int make_event(void)
{
	return create_event(&kprobe_kind, NEW_EVENT);
}

static int remove_new_event(void)
{
	return remove_event(&kprobe_kind, NEW_EVENT);
}

static const struct like like_instance = {
	.dir		= NEW_INSTANCE,
	.standing	= INSTANCE,
	.places		= { ".", "options", "events" },
	.rounds		= 10,
	.make		= make_instance,
	.remove		= remove_new_instance,
};

static const struct like like_event = {
	.dir		= GROUP "/" NEW_EVENT,
	.standing	= EVENT,
	.places		= { ".", ".", "." },
	.rounds		= MAX_ROUNDS,
	.make		= make_event,
	.remove		= remove_new_event,
};

static struct {
	int dirs[MAX_ROUNDS + 1][MAX_PLACES];	/* for round 0, of the one that stays */
	atomic_int round;
	atomic_int seeking[MAX_ROUNDS + 1];
	atomic_int wrong;	/* result of a seeker other than ENOENT */
	atomic_bool removing;
	atomic_bool stop;
	double patience;	/* how long a removal may take */
	double longest;		/* duration of the slowest removal */
	bool gave_up;		/* the seekers stopped before a removal ended */
} race;

static void *run_seeker(void *arg)
{
	long number = (long)arg;
	int seen = -1;
	char name[32];

	for (unsigned int i = 0; !atomic_load(&race.stop); i = (i + 1) % NR_NAMES) {
		int round = atomic_load(&race.round);

		snprintf(name, sizeof(name), "%ld_%u", number, i);
		if (!faccessat(race.dirs[round][number % MAX_PLACES], name, F_OK, 0) ||
		    errno != ENOENT)
			atomic_store(&race.wrong, errno ?: -1);
		if (round != seen)
			atomic_fetch_add(&race.seeking[round], 1);
		seen = round;
	}
	return NULL;
}

/* Stops the seekers if a removal takes longer than race.patience. */
static void *run_watchdog(void *unused)
{
	double deadline = now() + race.patience;

	(void)unused;
	while (!atomic_load(&race.stop) && now() < deadline) {
		if (!atomic_load(&race.removing))
			deadline = now() + race.patience;
		usleep(10000);
	}
	atomic_store(&race.stop, true);
	return NULL;
}

/* The number of calls in the trace of the instance that stays */
static long count_traced(void)
{
	FILE *file = fopen(INSTANCE "/trace", "re");
	char line[512];
	long count = 0;

	while (file && fgets(line, sizeof(line), file))
		count += line[0] != '#';
	if (file)
		fclose(file);
	return count;
}

static int open_places(const struct like *like, const char *dir, int round)
{
	char path[PATH_MAX];
	int error = 0;

	for (int i = 0; i < MAX_PLACES && !error; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, like->places[i]);
		error = open_path(path, O_PATH, &race.dirs[round][i]);
	}
	return error;
}

/* One round: creates an object, and removes it once all seekers are in @dir. */
static int remove_one(const struct like *like, const char *dir, int round)
{
	double began;
	int error;

	error = like->make() ?: list_to_end(like->dir) ?: open_places(like, dir, round);
	if (error)
		return error;
	atomic_store(&race.round, round);
	while (atomic_load(&race.seeking[round]) < NR_SEEKERS && !atomic_load(&race.stop))
		usleep(1000);
	began = now();
	atomic_store(&race.removing, true);
	error = like->remove();
	atomic_store(&race.removing, false);
	if (race.longest < now() - began)
		race.longest = now() - began;
	return error;
}

/*
 * Removes objects while other tasks look for missing names in all places of @dir. They
 * stop if a removal takes longer than @patience.
 * Return: 0 or an errno. *walks: how often this task walked over cached dentries.
 * *rounds: the maximum number of objects to remove, then the number that was removed
 * before the seekers stopped
 */
static int remove_while_missed(const struct like *like, const char *dir, double patience,
			       long *walks, int *rounds)
{
	double deadline = now() + BUDGET_SECONDS;
	pthread_t threads[NR_SEEKERS + 1];
	int error, max = *rounds;

	memset(&race, 0, sizeof(race));
	race.patience = patience;
	/* Empties it, as O_TRUNC does. */
	close(open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	*rounds = 0;
	error = open_places(like, like->standing, 0);
	for (long i = 0; i < NR_SEEKERS; i++)
		pthread_create(&threads[i], NULL, run_seeker, (void *)i);
	pthread_create(&threads[NR_SEEKERS], NULL, run_watchdog, NULL);
	while (!error && *rounds < max && !atomic_load(&race.stop) &&
	       (now() < deadline || !*rounds))
		error = remove_one(like, dir, ++*rounds);
	race.gave_up = atomic_load(&race.stop);
	*rounds -= race.gave_up;
	atomic_store(&race.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i <= MAX_ROUNDS; i++) {
		for (int place = 0; place < MAX_PLACES && race.dirs[i][place] > 0; place++)
			close(race.dirs[i][place]);
	}
	*walks = count_traced();
	return error;
}

FIXTURE(missed)
{
	char tid[16];
};

FIXTURE_VARIANT(missed)
{
	const struct like *like;
};

FIXTURE_VARIANT_ADD(missed, instance)
{
	.like = &like_instance,
};

FIXTURE_VARIANT_ADD(missed, event)
{
	.like = &like_event,
};

FIXTURE_SETUP(missed)
{
	const char *why = cannot_run(&kprobe_kind);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, set_up(&kprobe_kind));
	snprintf(self->tid, sizeof(self->tid), "%ld", syscall(SYS_gettid));
	/* The function that walks over the dentries below a directory */
	if (write_text(INSTANCE "/set_ftrace_filter", "d_walk") ||
	    write_text(INSTANCE "/set_ftrace_pid", self->tid) ||
	    write_text(INSTANCE "/current_tracer", "function"))
		SKIP(return, "d_walk() cannot be traced in an instance");
}

FIXTURE_TEARDOWN_PARENT(missed)
{
	EXPECT_EQ(0, tidy(&kprobe_kind));
}

/*
 * Tasks look for missing names in a directory that is removed (2026): an rmdir took
 * minutes, because they cached another name whenever it had dropped all. It should take
 * about as long as while they look elsewhere. The VFS walks in a loop while another task
 * frees one of the dentries. If the host preempts that task's processor, the loop lasts
 * for some milliseconds and walks hundreds of times.
 */
TEST_F_TIMEOUT(missed, removal_ends_while_names_are_missed, TEST_SECONDS)
{
	const struct like *like = variant->like;
	int nr_elsewhere = like->rounds, nr;
	long elsewhere, walks;
	double patience;

	ASSERT_EQ(0, remove_while_missed(like, like->standing, PATIENCE, &elsewhere,
					 &nr_elsewhere));
	EXPECT_EQ(0, atomic_load(&race.wrong));
	ASSERT_LE(1, nr_elsewhere);
	patience = race.longest * SLOWDOWN;
	if (patience < LOAD_SECONDS)
		patience = LOAD_SECONDS;

	nr = nr_elsewhere;
	ASSERT_EQ(0, remove_while_missed(like, like->dir, patience, &walks, &nr));
	EXPECT_EQ(0, atomic_load(&race.wrong));
	TH_LOG("%ld walks for %d removals, %ld for %d while names in them were missed",
	       elsewhere, nr_elsewhere, walks, nr);
	EXPECT_GE(elsewhere + nr_elsewhere * WALKS_IN_A_LOOP, walks);
	EXPECT_FALSE(race.gave_up) TH_LOG("the last ended when nobody looked any more");
}

/*
 * A format, hist, enable or option file is open while its event is removed
 * (CVE-2024-43891 and others): ENODEV. Only "id" may still be read, as the file has it.
 */
TEST_F_TIMEOUT(reports, open_file_of_a_removed_event_is_dead, TEST_SECONDS)
{
	static const char * const files[] = {
		"format", "hist", "enable", "filter", "trigger", "id",
	};
	int reads[ARRAY_LEN(files)], writes[ARRAY_LEN(files)];
	char path[PATH_MAX];
	bool writable;

	ASSERT_EQ(0, create_event(&kprobe_kind, NEW_EVENT));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		event_path(path, &kprobe_kind, NEW_EVENT, files[i]);
		ASSERT_EQ(0, open_path(path, O_RDONLY, &reads[i])) TH_LOG("%s", path);
		writable = mode_of(path) & 0200;
		writes[i] = -1;
		if (writable)
			ASSERT_EQ(0, open_path(path, O_WRONLY, &writes[i]));
	}
	ASSERT_EQ(0, remove_event(&kprobe_kind, NEW_EVENT));
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			int error = read_some(reads[i]);

			if (strcmp(files[i], "id") || error)
				EXPECT_EQ(ENODEV, error) TH_LOG("%s", files[i]);
			if (writes[i] < 0)
				continue;
			EXPECT_EQ(-1, pwrite(writes[i], "0", 1, 0)) TH_LOG("%s", files[i]);
			EXPECT_EQ(ENODEV, errno) TH_LOG("%s", files[i]);
		}
		/* A new event with the same name makes no difference. */
		if (!again)
			ASSERT_EQ(0, create_event(&kprobe_kind, NEW_EVENT));
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		close(reads[i]);
		close(writes[i]);
	}
}

/* The files of an instance that do not keep it while they are open */
static const char * const keep_nothing[] = {
	"events/" PREFIX "/" PREFIX "_s0/format",
	"events/" PREFIX "/" PREFIX "_s0/id",
	"events/" PREFIX "/" PREFIX "_s0/trigger",
};

static bool keeps_instance(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(keep_nothing); i++) {
		if (!strcmp(path + strlen(NEW_INSTANCE "/"), keep_nothing[i]))
			return false;
	}
	return true;
}

/* One CPU, one system and one event are enough. */
static bool passed_over(const char *dir, const char *name)
{
	if (!strcmp(dir, NEW_INSTANCE "/per_cpu"))
		return strcmp(name, "cpu0");
	if (!strcmp(dir, NEW_INSTANCE "/events"))
		return strcmp(name, PREFIX) && strcmp(name, "enable") &&
		       strncmp(name, "header", strlen("header"));
	return !strcmp(dir, NEW_INSTANCE "/events/" PREFIX) &&
	       !strncmp(name, PREFIX, strlen(PREFIX)) && strcmp(name, PREFIX "_s0");
}

#define MAX_FILES	256

static int find_files(const char *dir, char *files[MAX_FILES], size_t *nr)
{
	const struct dirent64 *entry;
	struct lister lister;
	char path[PATH_MAX];
	int error;

	error = lister_open(&lister, dir, sizeof(lister.buffer));
	if (error)
		return error;
	while (!(error = lister_next(&lister, &entry)) && entry) {
		if (is_dots(entry) || passed_over(dir, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (entry->d_type == DT_DIR)
			error = find_files(path, files, nr);
		else if (*nr < MAX_FILES)
			files[(*nr)++] = strdup(path);
		else
			error = E2BIG;
		if (error)
			break;
	}
	close(lister.fd);
	return error;
}

/*
 * rmdir of an instance while one of its files is open (2016 to 2026): EBUSY, and the
 * instance is complete. If the file does not keep it, the instance is removed.
 */
TEST_F_TIMEOUT(reports, open_file_keeps_its_instance_or_does_not, TEST_SECONDS)
{
	char *files[MAX_FILES];
	size_t nr = 0;
	int fd, error;

	ASSERT_EQ(0, make_instance());
	ASSERT_EQ(0, find_files(NEW_INSTANCE, files, &nr));
	ASSERT_LT(40U, nr);
	for (size_t i = 0; i < nr; i++) {
		error = open_path(files[i], O_RDONLY | O_NONBLOCK, &fd);
		ASSERT_EQ(0, error) TH_LOG("%s", files[i]);
		error = remove_new_instance();
		EXPECT_EQ(keeps_instance(files[i]) ? EBUSY : 0, error) TH_LOG("%s", files[i]);
		if (error) {
			EXPECT_EQ(0, stat_path(files[i])) TH_LOG("%s", files[i]);
		} else {
			EXPECT_EQ(ENOENT, stat_path(files[i])) TH_LOG("%s", files[i]);
			ASSERT_EQ(0, make_instance());
		}
		close(fd);
		free(files[i]);
	}
	EXPECT_EQ(0, remove_new_instance());
}

/*
 * Contents
 */

static ssize_t read_in_pieces(const char *path, char *text, size_t size, size_t piece)
{
	ssize_t got = 0;
	size_t at = 0;
	int fd;

	if (open_path(path, O_RDONLY, &fd))
		return -1;
	while (at < size && (got = read(fd, text + at, piece < size - at ? piece : size - at)) > 0)
		at += got;
	close(fd);
	return got < 0 ? -1 : (ssize_t)at;
}

#define COPIES	"copy EXDEV, within tracefs 0, sendfile EINVAL, splice EINVAL, mmap ENODEV"

/* The results of system calls that copy within the kernel */
static const char *copies(const char *path)
{
	static char text[256];
	int errors[5], fd, tmp, filter, pipes[2];
	void *map;

	if (open_path(path, O_RDONLY, &fd) || open_path(EVENT "/filter", O_WRONLY, &filter) ||
	    pipe(pipes))
		return "";
	tmp = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	errors[0] = syscall(SYS_copy_file_range, fd, NULL, tmp, NULL, 4096, 0) < 0 ? errno : 0;
	errors[1] = syscall(SYS_copy_file_range, fd, NULL, filter, NULL, 4096, 0) < 0 ? errno : 0;
	errors[2] = sendfile(tmp, fd, NULL, 4096) < 0 ? errno : 0;
	errors[3] = splice(fd, NULL, pipes[1], NULL, 4096, SPLICE_F_NONBLOCK) < 0 ? errno : 0;
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	errors[4] = map == MAP_FAILED ? errno : 0;
	snprintf(text, sizeof(text),
		 "copy %s, within tracefs %s, sendfile %s, splice %s, mmap %s",
		 strerrorname_np(errors[0]), strerrorname_np(errors[1]),
		 strerrorname_np(errors[2]), strerrorname_np(errors[3]),
		 strerrorname_np(errors[4]));
	close(fd);
	close(tmp);
	close(filter);
	close(pipes[0]);
	close(pipes[1]);
	return text;
}

/*
 * Programs read files byte by byte or let the kernel copy them (2019 to 2021, when
 * copy_file_range() changed): all files of an event give the same bytes and errors.
 */
TEST_F_TIMEOUT(reports, files_are_read_and_copied_alike, TEST_SECONDS)
{
	static const struct {
		const char *path;
		bool once;	/* only the first read returns anything, however small */
	} files[] = {
		{ EVENT "/enable", false },
		{ EVENT "/filter", true },
		{ EVENT "/trigger", false },
		{ EVENT "/format", false },
		{ EVENT "/id", false },
		{ GROUP "/enable", false },
		{ GROUP "/filter", true },
		{ EVENTS "/header_page", true },
		{ EVENTS "/enable", false },
	};
	char whole[8192], bytes[8192];
	ssize_t size;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *path = files[i].path;

		size = read_in_pieces(path, whole, sizeof(whole), sizeof(whole));
		EXPECT_LT(0, size) TH_LOG("%s", path);
		size = files[i].once ? 1 : size;
		EXPECT_EQ(size, read_in_pieces(path, bytes, sizeof(bytes), 1)) TH_LOG("%s", path);
		EXPECT_EQ(0, memcmp(whole, bytes, size)) TH_LOG("%s", path);
		EXPECT_STREQ(COPIES, copies(path)) TH_LOG("%s", path);
	}
}

/*
 * Times
 */

#define MONTH	(30 * 24 * 3600)

static int set_clock(time_t offset)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += offset;
	return clock_settime(CLOCK_REALTIME, &ts) ? errno : 0;
}

/*
 * The clock of a board is set back by a month after the first events (2026): later
 * changes get the new time, and not the time of the last change.
 */
TEST_F_TIMEOUT(reports, clock_that_is_set_back_moves_times, TEST_SECONDS)
{
	static const char * const paths[] = {
		GROUP, INSTANCE_GROUP, EVENT, EVENT "/enable", INSTANCES, TRACING,
	};
	struct stat before[ARRAY_LEN(paths)], after[ARRAY_LEN(paths)];
	time_t back;
	int error;

	ASSERT_EQ(0, create_event(&kprobe_kind, NEW_EVENT));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		ASSERT_EQ(0, stat(paths[i], &before[i]));
	}
	error = set_clock(-MONTH);
	if (error)
		SKIP(return, "the clock cannot be set: %s", strerror(error));
	/* Nothing may end the test before the clock is right again. */
	back = time(NULL);
	error = remove_new_event() ?: make_instance();
	for (size_t i = 2; i < 4; i++)
		error = error ?: chmod(paths[i], 0701) ? errno : 0;
	error = error ?: chmod(TRACING, 0711) ? errno : 0;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		error = error ?: stat(paths[i], &after[i]) ? errno : 0;
	EXPECT_EQ(0, set_clock(MONTH));

	ASSERT_EQ(0, error);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		EXPECT_LE(back - 1, after[i].st_ctime) TH_LOG("of %s", paths[i]);
		EXPECT_GT(back + MONTH / 2, after[i].st_ctime) TH_LOG("of %s", paths[i]);
		EXPECT_GT(before[i].st_ctime, after[i].st_ctime) TH_LOG("of %s", paths[i]);
		/* Those whose entries changed */
		if (i == 0 || i == 1 || i == 4) {
			EXPECT_EQ(after[i].st_ctime, after[i].st_mtime) TH_LOG("of %s", paths[i]);
		} else {
			EXPECT_EQ(before[i].st_mtime, after[i].st_mtime) TH_LOG("of %s", paths[i]);
		}
	}
	/* The same after the clock was set forward again. */
	ASSERT_EQ(0, create_event(&kprobe_kind, NEW_EVENT));
	ASSERT_EQ(0, stat(GROUP, &after[0]));
	EXPECT_LE(before[0].st_mtime, after[0].st_mtime);
}

/*
 * Mounts
 */

/*
 * The root of the mount was opened with mode=, uid= or gid=, and then closed by chmod or
 * chown. A later "mount -o remount,nosuid" passes the options in /proc/mounts (2024 to
 * 2026): the root stays as it is.
 */
TEST_F_TIMEOUT(reports, remount_as_shown_opens_no_root, TEST_SECONDS)
{
	ASSERT_EQ(0, remount_with("mode=755"));
	EXPECT_STREQ("755", mount_option("mode"));
	ASSERT_EQ(0, chmod(TRACING, 0700));
	ASSERT_EQ(0, remount_as_shown());
	EXPECT_EQ(0700U, mode_of(TRACING) & 07777);

	ASSERT_EQ(0, remount(SOMEBODY, SHELL));
	ASSERT_EQ(0, chown(TRACING, 71, -1));
	ASSERT_EQ(0, remount_as_shown());
	EXPECT_TRUE(has_owners(TRACING, 71, SHELL)) TH_LOG("uid=%s", mount_option("uid"));
	ASSERT_EQ(0, chown(TRACING, -1, 72));
	ASSERT_EQ(0, remount_as_shown());
	EXPECT_TRUE(has_owners(TRACING, 71, 72)) TH_LOG("gid=%s", mount_option("gid"));
	/* A mount sets the group that it once had. */
	ASSERT_EQ(0, remount(0, SHELL));
	EXPECT_TRUE(has_owners(TRACING, 0, SHELL));
}

/*
 * chgrp of single files, then a remount with gid= (CVE-2024-36963): the files get the new
 * group, even if mount(8) takes gid= from /proc/mounts.
 */
TEST_F_TIMEOUT(reports, changed_file_follows_a_remount_with_gid, TEST_SECONDS)
{
	static const char * const paths[] = {
		TRACING "/tracing_on", EVENTS, GROUP, EVENT "/enable", INSTANCE "/tracing_on",
		INSTANCE_GROUP "/" PREFIX "_s0/id",
	};

	for (int shown = 0; shown < 2; shown++) {
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			ASSERT_EQ(0, chown(paths[i], -1, SOMEBODY));
			EXPECT_TRUE(has_owners(paths[i], self->root.st_uid, SOMEBODY));
		}
		ASSERT_EQ(0, shown ? remount_as_shown() : remount_with("gid=2000"));
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			EXPECT_TRUE(has_owners(paths[i], self->root.st_uid, SHELL))
				TH_LOG("of %s", paths[i]);
		}
	}
}

/*
 * The root of the first mount was open to all users for one release (2026): it has mode
 * 0700, or that of mode=, which /proc/mounts shows.
 */
TEST_F_TIMEOUT(reports, root_is_closed_unless_mode_is_shown, TEST_SECONDS)
{
	const char *mode = mount_option("mode");

	EXPECT_EQ(*mode ? strtoul(mode, NULL, 8) : 0700UL, mode_of(TRACING) & 07777UL);
}

/* The mount below debugfs reset the mode and the owners of all mounts (2022). */
TEST_F_TIMEOUT(reports, automount_resets_nothing, TEST_SECONDS)
{
	const char *place = "/sys/kernel/debug/tracing";
	struct statfs fs;
	struct stat st;

	ASSERT_EQ(0, mount_privately());
	while (!umount2(place, MNT_DETACH))
		;
	if (statfs("/sys/kernel/debug", &fs) || fs.f_type != DEBUGFS_MAGIC)
		SKIP(return, "debugfs is not mounted");
	if (access("/sys/kernel/debug/tracing", F_OK))
		SKIP(return, "no tracing below debugfs");
	ASSERT_EQ(0, remount_with("uid=71,gid=72,mode=751"));
	ASSERT_EQ(0, chmod(EVENT "/enable", 0604));
	ASSERT_EQ(0, stat("/sys/kernel/debug/tracing/.", &st));
	ASSERT_EQ(0, statfs("/sys/kernel/debug/tracing/.", &fs));
	EXPECT_EQ(TRACEFS_MAGIC, fs.f_type);
	EXPECT_EQ(0751U, st.st_mode & 07777);
	EXPECT_EQ(0751U, mode_of(TRACING) & 07777);
	EXPECT_TRUE(has_owners(TRACING, 71, 72));
	EXPECT_TRUE(has_owners(EVENT "/enable", 71, 72));
	EXPECT_EQ(0604U, mode_of("/sys/kernel/debug/tracing/events/" PREFIX "/" PREFIX
				 "_s0/enable") & 07777);
	EXPECT_STREQ("71", mount_option("uid"));
	EXPECT_STREQ("72", mount_option("gid"));
	EXPECT_STREQ("751", mount_option("mode"));
}

/*
 * Vendors' boot scripts and systemd-tmpfiles give single event files to a group, by
 * chown root:shell and chmod 0664, and a system by chmod -R (2022 to 2025): that stays
 * valid through reclaim, until a mount sets an owner.
 */
TEST_F_TIMEOUT(reports, boot_script_gives_files_to_a_group, TEST_SECONDS)
{
	static const char * const given[] = { EVENT "/enable", EVENT "/filter", EVENTS "/enable" };
	static const char * const opened[] = {
		TRACING, EVENTS, GROUP, EVENT, INSTANCE "/events",
	};
	const char *others = GROUP "/" PREFIX "_s1/enable";
	mode_t events = mode_of(EVENTS "/enable") & 07777;
	mode_t closed = mode_of(others);
	int root, fd;

	ASSERT_EQ(0, open_path(TRACING, O_PATH, &root));
	for (size_t i = 0; i < ARRAY_LEN(opened); i++) {
		ASSERT_EQ(0, chmod(opened[i], 0755));
	}
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		ASSERT_EQ(0, chown(given[i], 0, SHELL));
		ASSERT_EQ(0, chmod(given[i], 0664));
	}
	for (int again = 0; again < 3; again++) {
		for (size_t i = 0; i < ARRAY_LEN(given); i++) {
			EXPECT_TRUE(has_owners(given[i], 0, SHELL)) TH_LOG("of %s", given[i]);
			EXPECT_EQ(S_IFREG | 0664U, mode_of(given[i])) TH_LOG("of %s", given[i]);
		}
		EXPECT_EQ(closed, mode_of(others));
		ASSERT_EQ(0, become(SOMEBODY, SHELL));
		fd = openat(root, "events/" PREFIX "/" PREFIX "_s0/enable", O_RDWR | O_CLOEXEC);
		EXPECT_EQ(1, write(fd, "0", 1));
		close(fd);
		EXPECT_EQ(-1, openat(root, "events/" PREFIX "/" PREFIX "_s1/enable", O_WRONLY));
		EXPECT_EQ(EACCES, errno);
		ASSERT_EQ(0, become_root());
		/* A mount without uid= and gid= does not change it either. */
		ASSERT_EQ(0, again ? remount_with(NULL) : reclaim());
	}
	ASSERT_EQ(0, remount_with("gid=72"));
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		EXPECT_TRUE(has_owners(given[i], 0, 72)) TH_LOG("of %s", given[i]);
		EXPECT_EQ(S_IFREG | 0664U, mode_of(given[i])) TH_LOG("of %s", given[i]);
	}
	EXPECT_EQ(0, chmod(EVENTS "/enable", events));
	close(root);
}

/* df and "find -fstype" as an ordinary user: the type and size of tracefs, at once. */
TEST_F_TIMEOUT(reports, anybody_learns_the_file_system_type, TEST_SECONDS)
{
	static const char * const paths[] = { EVENT "/format", EVENT, EVENTS, INSTANCE, TRACING };
	int fds[ARRAY_LEN(paths)];
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		ASSERT_EQ(0, open_path(paths[i], O_PATH, &fds[i]));
	}
	ASSERT_EQ(0, become(SOMEBODY, SOMEBODY));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		memset(&fs, 0xff, sizeof(fs));
		EXPECT_EQ(0, fstatfs(fds[i], &fs)) TH_LOG("%s", paths[i]);
		EXPECT_EQ(TRACEFS_MAGIC, fs.f_type) TH_LOG("%s", paths[i]);
		EXPECT_EQ(0U, fs.f_blocks) TH_LOG("%s", paths[i]);
		EXPECT_EQ(0U, fs.f_files) TH_LOG("%s", paths[i]);
		EXPECT_EQ(4096, fs.f_bsize) TH_LOG("%s", paths[i]);
		EXPECT_EQ(NAME_MAX, fs.f_namelen) TH_LOG("%s", paths[i]);
		close(fds[i]);
	}
	EXPECT_EQ(0, statfs(TRACING, &fs));
	EXPECT_EQ(-1, statfs(EVENTS, &fs));
	EXPECT_EQ(EACCES, errno);
	ASSERT_EQ(0, become_root());
}

static int remount_read_only(const char *place)
{
	return mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) ? errno : 0;
}

/*
 * A service has tracefs read-only, partly masked, partly mounted elsewhere, or under
 * another source name (2019 to 2025): that works, and others see no change.
 */
TEST_F_TIMEOUT(reports, sandbox_changes_nothing_outside, TEST_SECONDS)
{
	const char *enable = "events/" PREFIX "/" PREFIX "_s0/enable";
	char line[2 * PATH_MAX], pod[] = "/tmp/" PREFIX ".XXXXXX", path[PATH_MAX];
	struct stat inside, outside;
	int root, fd, found = 0;
	FILE *file;

	/* The mount that others see */
	ASSERT_EQ(0, open_path(TRACING, O_PATH, &root));
	ASSERT_EQ(0, mount_privately());
	ASSERT_NE(NULL, mkdtemp(pod));
	ASSERT_EQ(0, mount("none", pod, "tmpfs", 0, NULL));
	snprintf(path, sizeof(path), "%s/part", pod);
	ASSERT_EQ(0, mkdir(path, 0700));

	/* Read-only, and masked by an empty directory and by /dev/null */
	ASSERT_EQ(0, mount(TRACING, TRACING, NULL, MS_BIND | MS_REC, NULL));
	ASSERT_EQ(0, remount_read_only(TRACING));
	EXPECT_EQ(EROFS, write_text(EVENT "/enable", "1"));
	EXPECT_EQ(0, open_and_read(EVENT "/enable"));
	ASSERT_EQ(0, mount(path, INSTANCE_GROUP, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount("/dev/null", EVENT "/format", NULL, MS_BIND, NULL));
	EXPECT_EQ(ENOENT, stat_path(INSTANCE_GROUP "/enable"));
	EXPECT_TRUE(S_ISCHR(mode_of(EVENT "/format")));
	fd = openat(root, enable, O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(1, write(fd, "0", 1));
	close(fd);
	EXPECT_EQ(0, fstatat(root, "events/" PREFIX "/" PREFIX "_s0/format", &outside, 0));
	EXPECT_TRUE(S_ISREG(outside.st_mode));
	EXPECT_EQ(0, faccessat(root, "instances/" PREFIX "/events/" PREFIX "/enable", F_OK, 0));

	/* A part of it, in which events are created and removed */
	ASSERT_EQ(0, mount(GROUP, path, NULL, MS_BIND, NULL));
	snprintf(path, sizeof(path), "%s/part/" NEW_EVENT "/id", pod);
	EXPECT_EQ(ENOENT, stat_path(path));
	fd = openat(root, "dynamic_events", O_WRONLY | O_APPEND | O_CLOEXEC);
	dprintf(fd, "p:" PREFIX "/" NEW_EVENT " vfs_read");
	EXPECT_EQ(0, stat(path, &inside));
	EXPECT_EQ(0, fstatat(root, "events/" PREFIX "/" NEW_EVENT "/id", &outside, 0));
	EXPECT_EQ(outside.st_ino, inside.st_ino);
	EXPECT_EQ(outside.st_dev, inside.st_dev);
	dprintf(fd, "-:" PREFIX "/" NEW_EVENT);
	EXPECT_EQ(ENOENT, stat_path(path));
	close(fd);

	/* Another source name */
	ASSERT_EQ(0, mount("somewhere", pod, "tracefs", 0, NULL));
	snprintf(path, sizeof(path), "%s/%s", pod, enable);
	EXPECT_EQ(0, stat(path, &inside));
	EXPECT_EQ(0, fstatat(root, enable, &outside, 0));
	EXPECT_EQ(outside.st_ino, inside.st_ino);
	snprintf(path, sizeof(path), "somewhere %s tracefs ", pod);
	file = fopen("/proc/self/mounts", "re");
	while (file && fgets(line, sizeof(line), file))
		found += !strncmp(line, path, strlen(path));
	if (file)
		fclose(file);
	EXPECT_EQ(1, found);
	EXPECT_EQ(0, umount2(pod, 0));
	EXPECT_EQ(0, umount2(pod, MNT_DETACH));
	EXPECT_EQ(0, rmdir(pod));
	close(root);
}

/*
 * A fleet
 */

#define NR_CONTAINERS	13
#define NR_FLEET	101	/* processes: the containers are the first */

#define NR_COMMON	12	/* events whose files all containers change */
#define NR_FLEET_EVENTS	(NR_COMMON + NR_CONTAINERS)
#define NR_FLEET_PATHS	(ARRAY_LEN(fleet_files) * NR_FLEET_EVENTS)
#define NR_CHANGES	100	/* that each of them makes in a round */
#define ROUNDS_A_START	4	/* of the other tests, for one round of this */
#define HUNG_SECONDS	180	/* until one that does not end is hung, beyond the patience */
#define NAP_USECS	20000	/* of an onlooker, at most */
#define NO_MODE		0	/* that nobody has set yet */

enum crew {
	CONTAINERS,
	ONLOOKERS,
	EVENT_MAKERS,
	INSTANCE_MAKERS,
	RECLAIMERS,
	NR_CREWS,
};

/* The first member of each crew, and the end of all */
static const unsigned int first_of[NR_CREWS + 1] = { 0, NR_CONTAINERS, 95, 98, 100, NR_FLEET };

static const char * const fleet_files[] = { "", "enable", "filter", "format" };

/**
 * struct member - a process of the fleet
 * @number: its place among those that do the same
 * @seed: of its random choices, the same in each run
 * @turns: how often it has done what it does
 * @doing: the last path that it used, for a report of a hang
 * @longest: seconds that the longest of its changes took
 * @wrong: the first thing that it saw and is wrong, or empty
 * @pid: its id
 */
struct member {
	unsigned int number;
	unsigned int seed;
	atomic_uint turns;
	char doing[PATH_MAX];
	double longest;
	char wrong[256];
	pid_t pid;
};

/**
 * struct fleet - what all processes of the fleet share
 * @together: for the containers, which begin each step at once
 * @again: there is another round
 * @ends: the containers have ended
 * @place: an empty directory, where each container and each onlooker has its mount
 * @deadline: when no round begins any more
 * @before: turns of each crew before the containers started
 * @uid: owner of all that is in tracefs
 * @modes: of each path, as a container set it that no other one interferes with
 * @members: the processes
 */
static struct fleet {
	pthread_barrier_t together;
	bool again;
	atomic_bool ends;
	char place[64];
	double deadline;
	unsigned int before[NR_CREWS];
	uid_t uid;
	mode_t modes[NR_FLEET_PATHS];
	struct member members[NR_FLEET];
} *fleet;

static void is_wrong(struct member *member, const char *format, ...)
{
	va_list args;

	if (member->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(member->wrong, sizeof(member->wrong), format, args);
	va_end(args);
}

static unsigned int turns_of(enum crew crew)
{
	unsigned int sum = 0;

	for (unsigned int i = first_of[crew]; i < first_of[crew + 1]; i++)
		sum += fleet->members[i].turns;
	return sum;
}

static unsigned int choose(struct member *member, unsigned int range)
{
	return (unsigned int)rand_r(&member->seed) % range;
}

/*
 * The events come first that all containers change. Of each other one, each file is
 * changed by one container, and by another one than its neighbours.
 */
static const char *fleet_path(char path[PATH_MAX], const char *root, unsigned int i)
{
	snprintf(path, PATH_MAX, "%s/events/" PREFIX "/" PREFIX "_f%zu/%s", root,
		 i / ARRAY_LEN(fleet_files), fleet_files[i % ARRAY_LEN(fleet_files)]);
	return path;
}

static unsigned int common_path(struct member *member)
{
	return choose(member, NR_COMMON * ARRAY_LEN(fleet_files));
}

static unsigned int own_path(struct member *member)
{
	return NR_COMMON * ARRAY_LEN(fleet_files) + member->number +
	       choose(member, ARRAY_LEN(fleet_files)) * NR_CONTAINERS;
}

/* Only modes that have all rights of the owner are set; no file has these before. */
static void check_mode(struct member *member, const char *path, const struct stat *st, mode_t mode)
{
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		is_wrong(member, "%s has type %o", path, st->st_mode & S_IFMT);
	if (mode != NO_MODE && (st->st_mode & 07777) != mode)
		is_wrong(member, "%s has mode %o, not %o", path, st->st_mode & 07777, mode);
}

static bool is_of_fleet(const struct stat *st)
{
	return st->st_uid == fleet->uid && st->st_gid >= SHELL &&
	       st->st_gid < SHELL + NR_CONTAINERS;
}

static void change_mode(struct member *member, unsigned int i)
{
	mode_t mode = 0700 | choose(member, 0100);
	bool common = i < NR_COMMON * ARRAY_LEN(fleet_files);
	double began = now();
	char path[PATH_MAX];
	struct stat st;

	snprintf(member->doing, sizeof(member->doing), "%s", fleet_path(path, fleet->place, i));
	if (chmod(path, mode) || stat(path, &st)) {
		is_wrong(member, "%s: %m", path);
		return;
	}
	if (member->longest < now() - began)
		member->longest = now() - began;
	if (!common)
		fleet->modes[i] = mode;
	else if ((st.st_mode & 0700) != 0700)
		is_wrong(member, "%s has mode %o, after a change", path, st.st_mode);
	check_mode(member, path, &st, common ? NO_MODE : mode);
	if (!is_of_fleet(&st))
		is_wrong(member, "%s has owner %u:%u", path, st.st_uid, st.st_gid);
}

/* Once all are mounted, the group is that of the last mount, wherever one looks. */
static void check_paths(struct member *member, const char *root)
{
	char path[PATH_MAX];
	struct stat top, st;

	if (stat(root, &top) || !is_of_fleet(&top))
		is_wrong(member, "%s has owner %u:%u", root, top.st_uid, top.st_gid);
	for (unsigned int i = 0; i < NR_FLEET_PATHS; i++) {
		if (stat(fleet_path(path, root, i), &st)) {
			is_wrong(member, "%s: %m", path);
			return;
		}
		if (st.st_uid != top.st_uid || st.st_gid != top.st_gid)
			is_wrong(member, "%s has owner %u:%u, the mount %u:%u", path, st.st_uid,
				 st.st_gid, top.st_uid, top.st_gid);
		check_mode(member, path, &st, fleet->modes[i]);
	}
}

static void start_container(struct member *member, unsigned int round)
{
	double began = now();
	char options[32];

	snprintf(options, sizeof(options), "gid=%u",
		 SHELL + (member->number + round) % NR_CONTAINERS);
	snprintf(member->doing, sizeof(member->doing), "mount -o %s", options);
	if (mount("tracefs", fleet->place, "tracefs", 0, options))
		is_wrong(member, "mount: %m");
	if (member->longest < now() - began)
		member->longest = now() - began;
	for (int i = 0; i < NR_CHANGES; i++)
		change_mode(member, i % 2 ? own_path(member) : common_path(member));
}

/* More rounds are needed until each of the others has had its part in it. */
static bool starts_again(unsigned int rounds)
{
	if (rounds < nr_rounds() / ROUNDS_A_START)
		return true;
	for (enum crew crew = ONLOOKERS; crew < NR_CREWS; crew++) {
		if (turns_of(crew) == fleet->before[crew])
			return now() < fleet->deadline;
	}
	return false;
}

static void run_container(struct member *member)
{
	do {
		if (pthread_barrier_wait(&fleet->together))
			fleet->again = starts_again(member->turns + 1);
		start_container(member, member->turns);
		pthread_barrier_wait(&fleet->together);
		check_paths(member, fleet->place);
		if (umount2(fleet->place, 0))
			is_wrong(member, "umount: %m");
		member->turns++;
	} while (fleet->again);
}

/* Does it until the containers have ended. */
static void repeat(struct member *member, void (*turn)(struct member *member))
{
	do {
		turn(member);
		member->turns++;
	} while (!atomic_load(&fleet->ends));
}

/* Each event of the fleet is in the listing, once. */
static void list_group(struct member *member, const char *path)
{
	unsigned int seen[NR_FLEET_EVENTS] = { 0 };
	const struct dirent64 *entry;
	struct lister lister;
	unsigned int i;
	int error;

	error = lister_open(&lister, path, ENTRY_BUFFER);
	while (!error && !(error = lister_next(&lister, &entry)) && entry) {
		if (sscanf(entry->d_name, PREFIX "_f%u", &i) == 1 && i < NR_FLEET_EVENTS)
			seen[i]++;
	}
	close(lister.fd);
	if (error)
		is_wrong(member, "listing %s: %s", path, strerror(error));
	for (i = 0; i < NR_FLEET_EVENTS; i++) {
		if (seen[i] != 1)
			is_wrong(member, "%s has " PREFIX "_f%u %u times", path, i, seen[i]);
	}
}

static void look_around(struct member *member)
{
	char path[PATH_MAX];
	struct stat st;
	int error;

	switch (choose(member, 8)) {
	case 0:
		snprintf(path, sizeof(path), "%s/events", fleet->place);
		error = list_to_end(path);
		break;
	case 1:
		snprintf(path, sizeof(path), "%s/events/" PREFIX, fleet->place);
		list_group(member, path);
		error = 0;
		break;
	case 2:
		snprintf(path, sizeof(path), "%s/instances/" PREFIX "/events/" PREFIX,
			 fleet->place);
		list_group(member, path);
		error = 0;
		break;
	case 3:
		snprintf(path, sizeof(path), "%s/events/" PREFIX "/" PREFIX "_none",
			 fleet->place);
		error = stat_path(path) == ENOENT ? 0 : EEXIST;
		break;
	case 4:
		error = open_and_read(fleet_path(path, fleet->place, common_path(member) | 3));
		break;
	default:
		fleet_path(path, fleet->place, choose(member, NR_FLEET_PATHS));
		error = stat(path, &st) ? errno : 0;
		if (!error)
			check_mode(member, path, &st, NO_MODE);
	}
	snprintf(member->doing, sizeof(member->doing), "%s", path);
	if (error)
		is_wrong(member, "%s: %s", path, strerror(error));
	/* Tasks that never sleep delay the removal of a probe, which is not the question. */
	usleep(choose(member, NAP_USECS));
}

static void run_onlooker(struct member *member)
{
	if (mount("tracefs", fleet->place, "tracefs", 0, NULL))
		is_wrong(member, "mount: %m");
	repeat(member, look_around);
}

static void make_and_remove_event(struct member *member)
{
	char name[32], path[PATH_MAX];
	int error;

	snprintf(name, sizeof(name), PREFIX "_m%u", member->number);
	event_path(path, &kprobe_kind, name, "id");
	snprintf(member->doing, sizeof(member->doing), "%s", path);
	error = create_event(&kprobe_kind, name) ?: open_and_read(path) ?:
		(chmod(path, 0751) ? errno : 0) ?: remove_event(&kprobe_kind, name);
	if (error)
		is_wrong(member, "%s: %s", path, strerror(error));
	if (!stat_path(path))
		is_wrong(member, "%s is there after its removal", path);
}

static void run_event_maker(struct member *member)
{
	repeat(member, make_and_remove_event);
}

static void make_and_remove_instance(struct member *member)
{
	char name[32], dir[64], path[PATH_MAX];
	int error;

	snprintf(name, sizeof(name), PREFIX "_i%u", member->number);
	snprintf(dir, sizeof(dir), INSTANCES "/%s", name);
	snprintf(member->doing, sizeof(member->doing), "%s", dir);
	if (mkdir(dir, 0750)) {
		is_wrong(member, "%s: %m", dir);
		return;
	}
	error = chmod(fleet_path(path, dir, common_path(member)), 0751) ? errno : 0;
	error = error ?: list_to_end(dir) ?: remove_instance(name);
	if (error)
		is_wrong(member, "%s: %s", path, strerror(error));
	if (!stat_path(path))
		is_wrong(member, "%s is there after its removal", path);
}

static void run_instance_maker(struct member *member)
{
	repeat(member, make_and_remove_instance);
}

static void reclaim_once(struct member *member)
{
	snprintf(member->doing, sizeof(member->doing), "reclaim");
	if (reclaim())
		is_wrong(member, "reclaim: %m");
}

static void run_reclaimer(struct member *member)
{
	repeat(member, reclaim_once);
}

static const struct {
	const char *what;
	void (*run)(struct member *member);
} crews[NR_CREWS] = {
	[CONTAINERS]		= { "container",		run_container },
	[ONLOOKERS]		= { "onlooker",			run_onlooker },
	[EVENT_MAKERS]		= { "maker of events",		run_event_maker },
	[INSTANCE_MAKERS]	= { "maker of instances",	run_instance_maker },
	[RECLAIMERS]		= { "reclaimer",		run_reclaimer },
};

static int start_member(enum crew crew, unsigned int i)
{
	struct member *member = &fleet->members[i];
	pid_t pid, parent = getpid();

	member->number = i - first_of[crew];
	member->seed = i;
	pid = fork();
	if (pid) {
		member->pid = pid;
		return pid < 0 ? errno : 0;
	}
	/* No process of the fleet outlives the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || mount_privately())
		_exit(1);
	crews[crew].run(member);
	_exit(0);
}

static int start_crew(enum crew crew)
{
	int error = 0;

	for (unsigned int i = first_of[crew]; i < first_of[crew + 1] && !error; i++)
		error = start_member(crew, i);
	return error;
}

/* The others first: all of them are at work when the containers start. */
static int start_fleet(void)
{
	pthread_barrierattr_t attr;
	int error;

	error = pthread_barrierattr_init(&attr) ?:
		pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) ?:
		pthread_barrier_init(&fleet->together, &attr, NR_CONTAINERS);
	for (enum crew crew = ONLOOKERS; crew < NR_CREWS && !error; crew++)
		error = start_crew(crew);
	fleet->deadline = now() + HUNG_SECONDS;
	for (unsigned int i = NR_CONTAINERS; i < NR_FLEET && !error; i++) {
		while (!fleet->members[i].turns && now() < fleet->deadline)
			usleep(1000);
	}
	fleet->deadline = now() + PATIENCE;
	for (enum crew crew = ONLOOKERS; crew < NR_CREWS; crew++)
		fleet->before[crew] = turns_of(crew);
	return error ?: start_crew(CONTAINERS);
}

/* Whether it ends as it should. If it does not end, its kernel stack is shown. */
static bool wait_for_member(struct __test_metadata *_metadata, struct member *member)
{
	double deadline = fleet->deadline + HUNG_SECONDS;
	char path[64], stack[4096] = "";
	int status, fd;

	while (waitpid(member->pid, &status, WNOHANG) != member->pid) {
		if (now() >= deadline) {
			snprintf(path, sizeof(path), "/proc/%d/stack", member->pid);
			if (!open_path(path, O_RDONLY, &fd))
				read(fd, stack, sizeof(stack) - 1);
			TH_LOG("%s\n%s", member->doing, stack);
			kill(member->pid, SIGKILL);
			return false;
		}
		usleep(2000);
	}
	return !status;
}

static double wait_for_crew(struct __test_metadata *_metadata, enum crew crew)
{
	double longest = 0;

	for (unsigned int i = first_of[crew]; i < first_of[crew + 1]; i++) {
		struct member *member = &fleet->members[i];

		EXPECT_TRUE(wait_for_member(_metadata, member))
			TH_LOG("%s %u", crews[crew].what, member->number);
		EXPECT_STREQ("", member->wrong)
			TH_LOG("%s %u", crews[crew].what, member->number);
		if (longest < member->longest)
			longest = member->longest;
	}
	return longest;
}

/*
 * Thirteen containers start at once; each mounts tracefs with gid= and changes the
 * modes of a hundred paths, while others list and look (2026): on a kernel of 2024,
 * 101 tasks hung for hours. There are as many here, while events and instances come
 * and go and caches are dropped. All end, a change of a mode is seen from then on, each
 * listing is complete, each stat has the group of the last mount, and nothing is left.
 */
TEST_F_TIMEOUT(reports, fleet_of_containers_starts, TEST_SECONDS)
{
	char name[32], path[PATH_MAX];
	unsigned int turns[NR_CREWS];
	double began, took, longest;
	long counts[NR_SLABS];
	struct stat st;
	int fd;

	fleet = mmap(NULL, sizeof(*fleet), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, fleet);
	fleet->uid = self->root.st_uid;
	snprintf(fleet->place, sizeof(fleet->place), "/tmp/" PREFIX ".XXXXXX");
	ASSERT_NE(NULL, mkdtemp(fleet->place));
	/* What the first of each leaves behind for good */
	ASSERT_EQ(0, make_event() ?: remove_new_event() ?: make_instance() ?:
		     remove_new_instance());
	ASSERT_EQ(0, count_slabs(counts));
	for (unsigned int i = 0; i < NR_FLEET_EVENTS; i++) {
		snprintf(name, sizeof(name), PREFIX "_f%u", i);
		ASSERT_EQ(0, create_event(&kprobe_kind, name));
	}

	ASSERT_EQ(0, start_fleet());
	began = now();
	longest = wait_for_crew(_metadata, CONTAINERS);
	took = now() - began;
	for (enum crew crew = CONTAINERS; crew < NR_CREWS; crew++) {
		turns[crew] = turns_of(crew) - fleet->before[crew];
		EXPECT_LE(1U, turns[crew]) TH_LOG("%s: none meanwhile", crews[crew].what);
	}
	atomic_store(&fleet->ends, true);
	for (enum crew crew = ONLOOKERS; crew < NR_CREWS; crew++)
		wait_for_crew(_metadata, crew);
	TH_LOG("%u starts in %.1f s, the longest change took %.2f s", turns[CONTAINERS], took,
	       longest);
	TH_LOG("meanwhile %u looks, %u events, %u instances, %u reclaims", turns[ONLOOKERS],
	       turns[EVENT_MAKERS], turns[INSTANCE_MAKERS], turns[RECLAIMERS]);
	EXPECT_EQ(0, rmdir(fleet->place));

	ASSERT_EQ(0, mount_nowhere("tracefs", NULL, "1999", &fd));
	close(fd);
	for (unsigned int i = 0; i < NR_FLEET_PATHS; i++) {
		ASSERT_EQ(0, stat(fleet_path(path, TRACING, i), &st));
		EXPECT_EQ(1999U, st.st_gid) TH_LOG("of %s", path);
		if (fleet->modes[i] != NO_MODE) {
			EXPECT_EQ(fleet->modes[i], st.st_mode & 07777) TH_LOG("of %s", path);
		}
	}
	EXPECT_TRUE(has_owners(INSTANCE "/tracing_on", fleet->uid, 1999));
	EXPECT_TRUE(has_owners(TRACING, fleet->uid, 1999));
	for (unsigned int i = 0; i < NR_FLEET_EVENTS; i++) {
		snprintf(name, sizeof(name), PREFIX "_f%u", i);
		EXPECT_EQ(0, remove_event(&kprobe_kind, name));
	}
	EXPECT_EQ(0, reclaim());
	EXPECT_STREQ("", slab_rise(counts));
}

TEST_HARNESS_MAIN
