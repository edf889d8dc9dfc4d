// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure the cost of operations, and print it
 *
 *   bench ops | memory | stages | many | cpus	the cases of one boot, in order
 *   bench ops CASE			one of them
 *
 * Each line is "case,place,size,figure": the case, the file system, the number of
 * directories of events, and the nanoseconds of an operation, or bytes. With a
 * clock that counts instructions, a nanosecond is an instruction.
 *
 * Runs as root on a kernel of "make bench", which has bench/trees.c in it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRACING		"/tracing"
#define EVENTS		TRACING "/events"
#define TREE		"/sys/kernel/debug/bench_tree"
#define TMPFS		"/run/bench"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* What a directory of the trees has; bench/trees.c makes the same. */
static const char * const files[] = {
	"enable", "filter", "trigger", "format", "id", "hist",
};

/* The name of a directory, as long as those of events are on average */
#define DIR_NAME	"e%05u_trace_event"

/* Where there is a tree, and how it is made */
struct place {
	const char *name;
	const char *dir;
};

static const struct place places[] = {
	{ "eventfs",	TRACING "/bench/events/d" },
	{ "tmpfs",	TMPFS "/d" },
	{ "sysfs",	"/sys/kernel/bench/d" },
	{ "procfs",	"/proc/bench/d" },
};

static const unsigned int sizes[] = { 100, 1000, 2000, 10000, 20000 };

/* How many operations make a figure, at most */
#define MANY	2000U

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/*
 * What every case needs
 */

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void result(const char *name, const char *place, unsigned int size, double figure)
{
	printf("%s,%s,%u,%.1f\n", name, place, size, figure);
	fflush(stdout);
}

/* What is measured now */
static struct {
	const char *name;
	const char *place;
	unsigned int size;
	int64_t begun;
	bool profiled;
} section;

/* BENCH_PROFILE is the section to mark for bench/profile.c. */
static void begin(const char *name, const char *place, unsigned int size)
{
	const char *profile = getenv("BENCH_PROFILE");
	char text[128];

	section.name = name;
	section.place = place;
	section.size = size;
	snprintf(text, sizeof(text), "%s,%s,%u", name, place, size);
	section.profiled = profile && !strcmp(profile, text);
	section.begun = now();
	if (section.profiled)
		asm volatile("nopl 0x0beef001(%%rax)" ::: "memory");
}

/* It was done count times. */
static void end(unsigned int count)
{
	if (section.profiled)
		asm volatile("nopl 0x0beef000(%%rax)" ::: "memory");
	result(section.name, section.place, section.size,
	       (double)(now() - section.begun) / count);
	if (section.profiled)
		exit(0);
}

static void try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s to %s", text, path);
	close(fd);
}

/* Time for what was freed to be given back: RCU callbacks, work queues */
static void settle(void)
{
	usleep(300000);
}

static void drop_caches(void)
{
	sync();
	/* What dies in the first round unpins others. */
	for (int i = 0; i < 3; i++)
		try_write("/proc/sys/vm/drop_caches", "2");
	settle();
}

static void enter(const char *dir)
{
	if (chdir(dir))
		err(1, "%s", dir);
}

static void must_stat(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		err(1, "stat %s", path);
}

static void must_miss(const char *path)
{
	struct stat st;

	if (!stat(path, &st) || errno != ENOENT)
		errx(1, "%s should be missing", path);
}

/*
 * Trees
 */

static void tmpfs_make(unsigned int count)
{
	char path[PATH_MAX];
	int fd;

	if (mkdir(TMPFS, 0755) || mount("bench", TMPFS, "tmpfs", 0, NULL) ||
	    mkdir(TMPFS "/d", 0755))
		err(1, TMPFS);
	for (unsigned int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), TMPFS "/d/" DIR_NAME, i);
		if (mkdir(path, 0755))
			err(1, "%s", path);
		for (unsigned int j = 0; j < ARRAY_SIZE(files); j++) {
			snprintf(path, sizeof(path), TMPFS "/d/" DIR_NAME "/%s", i, files[j]);
			fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
			if (fd < 0)
				err(1, "%s", path);
			close(fd);
		}
	}
}

static void tmpfs_remove(void)
{
	if (umount(TMPFS) || rmdir(TMPFS))
		err(1, TMPFS);
}

/* Make the tree, or with 0 remove it. */
static void tree(const struct place *place, unsigned int count)
{
	char command[32];

	enter("/");
	if (strcmp(place->name, "tmpfs")) {
		snprintf(command, sizeof(command), "%s %u", place->name, count);
		try_write(TREE, command);
	} else if (count) {
		tmpfs_make(count);
	} else {
		tmpfs_remove();
	}
}

/* What getdents64() fills a buffer with */
struct getdents_entry {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static long list(int fd, void *buf, size_t size)
{
	long len = syscall(SYS_getdents64, fd, buf, size);

	if (len < 0)
		err(1, "getdents64");
	return len;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* List and stat everything below a path of this length; returns how many. */
static unsigned int walk_on(char *path, size_t len)
{
	char buf[32768] __attribute__((aligned(8)));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int count = 0;
	struct stat st;
	size_t name;
	long got;

	if (fd < 0)
		err(1, "%s", path);
	path[len++] = '/';
	while ((got = list(fd, buf, sizeof(buf)))) {
		for (long at = 0; at < got;) {
			struct getdents_entry *entry = (void *)(buf + at);

			at += entry->reclen;
			if (is_dots(entry->name))
				continue;
			name = strlen(entry->name);
			memcpy(path + len, entry->name, name + 1);
			if (lstat(path, &st))
				err(1, "stat %s", path);
			count++;
			if (S_ISDIR(st.st_mode))
				count += walk_on(path, len + name);
		}
	}
	close(fd);
	return count;
}

static unsigned int walk(const char *top)
{
	char path[PATH_MAX];

	return walk_on(strcpy(path, top), strlen(top));
}

/* Directories of a kind: those of events have a format. */
static unsigned int count_dirs(const char *path)
{
	unsigned int count = 1;
	char sub[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		err(1, "%s", path);
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || is_dots(entry->d_name))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, entry->d_name);
		count += count_dirs(sub);
	}
	closedir(dir);
	return count;
}

/*
 * Operations, in the present directory
 */

/* Made before, so that formatting it is not measured */
struct name {
	char text[2 * NAME_MAX + 2];
};

static void stat_all(const struct name *names, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		must_stat(names[i].text);
}

static void miss_all(const struct name *names, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		must_miss(names[i].text);
}

/* The first lookup is another case, and the second may finish its work. */
static void measure_warm_stat(const char *place, unsigned int size, const char *path)
{
	must_stat(path);
	must_stat(path);
	begin("stat warm", place, size);
	for (unsigned int i = 0; i < MANY; i++)
		must_stat(path);
	end(MANY);
}

static void measure_repeated_miss(const char *name, const char *place, unsigned int size,
				  const char *path)
{
	must_miss(path);
	must_miss(path);
	begin(name, place, size);
	for (unsigned int i = 0; i < MANY; i++)
		must_miss(path);
	end(MANY);
}

static void measure_first_stats(const char *name, const char *place, unsigned int size,
				const struct name *names, unsigned int count)
{
	drop_caches();
	begin(name, place, size);
	stat_all(names, count);
	end(count);
}

/* With a buffer of this size, of a directory that was listed before, or never */
static void measure_listing(const char *name, const char *place, unsigned int size,
			    const char *path, size_t buffer, bool first)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buf[32768] __attribute__((aligned(8)));
	unsigned int count = 0;
	long len;

	if (fd < 0)
		err(1, "%s", path);
	/* Page faults are met before. */
	explicit_bzero(buf, sizeof(buf));
	while (!first && list(fd, buf, sizeof(buf)))
		;
	lseek(fd, 0, SEEK_SET);
	begin(name, place, size);
	while ((len = list(fd, buf, buffer))) {
		for (long at = 0; at < len; count++)
			at += ((struct getdents_entry *)(buf + at))->reclen;
	}
	end(count);
	close(fd);
}

static void measure_walks(const char *place, unsigned int size, const char *path)
{
	unsigned int count;

	drop_caches();
	begin("walk cold", place, size);
	count = walk(path);
	end(count);
	begin("walk warm", place, size);
	count = walk(path);
	end(count);
}

static struct name *make_names(unsigned int count, unsigned int step, const char *format)
{
	struct name *names = calloc(count, sizeof(*names));

	if (!names)
		err(1, "calloc");
	for (unsigned int i = 0; i < count; i++)
		snprintf(names[i].text, sizeof(names[i].text), format, i * step);
	return names;
}

static struct name *list_names(const char *path, const char *file, unsigned int *count)
{
	struct name *names = calloc(10000, sizeof(*names));
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir || !names)
		err(1, "%s", path);
	*count = 0;
	while (*count < 10000 && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && !is_dots(entry->d_name))
			snprintf(names[(*count)++].text, sizeof(names->text), "%s/%s",
				 entry->d_name, file);
	}
	closedir(dir);
	return names;
}

/*
 * Cases on the kernel's own events
 */

static void walk_of_events(void)
{
	measure_walks("eventfs", 0, EVENTS);
}

static void stats_of_events(void)
{
	unsigned int count;
	struct name *names = list_names(EVENTS "/syscalls", "format", &count);

	enter(EVENTS);
	measure_warm_stat("eventfs", 0, "sched/sched_switch/format");
	measure_repeated_miss("miss repeated", "eventfs", 0, "sched/missing");
	measure_repeated_miss("miss repeated in many", "eventfs", 0, "syscalls/missing");
	enter(EVENTS "/syscalls");
	measure_first_stats("first stat of a file", "eventfs", 0, names, count);
	free(names);
}

/* Opened and read as a tracer would do it */
static void opens_of_events(void)
{
	char buf[4096];
	int fd;

	enter(EVENTS);
	must_stat("sched/sched_switch/enable");
	begin("open and read", "eventfs", 0);
	for (unsigned int i = 0; i < MANY; i++) {
		fd = open("sched/sched_switch/enable", O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, buf, sizeof(buf)) <= 0)
			err(1, "sched_switch/enable");
		close(fd);
	}
	end(MANY);
}

static void kprobe_events(unsigned int count)
{
	int fd = open(TRACING "/kprobe_events",
		      O_WRONLY | O_CLOEXEC | (count ? O_APPEND : O_TRUNC));
	char line[64];

	if (fd < 0)
		err(1, "kprobe_events");
	for (unsigned int i = 0; i < count; i++) {
		int len = snprintf(line, sizeof(line), "p:kprobes/k%05u vfs_fsync\n", i);

		if (write(fd, line, len) != len)
			err(1, "kprobe_events: %s", line);
	}
	close(fd);
}

/* A figure of a line of /proc/slabinfo */
static long slab_objects(const char *cache)
{
	FILE *file = fopen("/proc/slabinfo", "re");
	char line[512], name[64];
	long active, found = 0;

	if (!file)
		err(1, "slabinfo");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld", name, &active) == 2 && !strcmp(name, cache))
			found = active;
	}
	fclose(file);
	return found;
}

static void removal_of_events(void)
{
	unsigned int count;
	struct name *names;
	long inodes;

	/* The directory itself, and what stands in it, is not counted. */
	kprobe_events(1);
	must_stat(EVENTS "/kprobes/k00000/format");
	kprobe_events(0);
	drop_caches();
	inodes = slab_objects("tracefs_inode_cache");

	kprobe_events(MANY);
	names = list_names(EVENTS "/kprobes", "format", &count);
	enter(EVENTS "/kprobes");
	stat_all(names, count);
	enter("/");
	kprobe_events(0);
	settle();
	result("inodes left", "eventfs", MANY, slab_objects("tracefs_inode_cache") - inodes);
	free(names);
	drop_caches();
}

/*
 * Cases on trees of a size
 */

static void tree_lookups(const struct place *place, unsigned int size)
{
	unsigned int count = least(size, MANY);
	struct name *dirs = make_names(count, size / count, DIR_NAME);
	struct name *paths = make_names(count, size / count, DIR_NAME "/format");
	struct name *misses = make_names(count, 1, "m" DIR_NAME);

	enter(place->dir);
	measure_first_stats("first stat", place->name, size, dirs, count);
	measure_first_stats("first stat of a file", place->name, size, paths, count);
	measure_warm_stat(place->name, size, paths[0].text);
	begin("miss distinct", place->name, size);
	miss_all(misses, count);
	end(count);
	measure_repeated_miss("miss repeated", place->name, size, "missing");
	free(dirs);
	free(paths);
	free(misses);
}

/*
 * Changes are made several times and their median counts, as it differs what RCU
 * and the slabs do meanwhile. Large trees average that by themselves. All was
 * looked at before it is removed, as nodes then have ids to give back.
 */
static void tree_changes(const struct place *place, unsigned int size)
{
	for (unsigned int i = 0; i < (size > MANY ? 1 : 5); i++) {
		begin("create", place->name, size);
		tree(place, size);
		end(size);
		measure_listing("list new", place->name, size, place->dir, 32768, true);
		walk(place->dir);
		drop_caches();
		begin("remove cold", place->name, size);
		tree(place, 0);
		end(size);
		settle();

		tree(place, size);
		walk(place->dir);
		begin("remove warm", place->name, size);
		tree(place, 0);
		end(size);
		settle();
	}
}

static void tree_cases(const struct place *place, unsigned int size)
{
	tree_changes(place, size);
	tree(place, size);
	measure_listing("list 32 KiB", place->name, size, place->dir, 32768, false);
	measure_listing("list 280 bytes", place->name, size, place->dir, 280, false);
	tree_lookups(place, size);
	enter("/");
	tree(place, 0);
	settle();
}

static void trees_of_sizes(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		tree_cases(&places[0], sizes[i]);
}

/* The neighbours, for comparison, with the tree that most lines are about */
static void trees_of_others(void)
{
	for (unsigned int i = 1; i < ARRAY_SIZE(places); i++)
		tree_cases(&places[i], MANY);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		tree(&places[i], 1250);
		measure_walks(places[i].name, 1250, places[i].dir);
		tree(&places[i], 0);
	}
}

/*
 * How long does the removal of many directories keep the CPU from one who goes
 * first, a real-time task?
 */

static volatile bool watching;

static void *watch(void *longest)
{
	int64_t last = now(), gap, most = 0;

	while (watching) {
		usleep(1000);
		gap = now() - last;
		last += gap;
		most = gap > most ? gap : most;
	}
	*(int64_t *)longest = most;
	return NULL;
}

static void removal_gives_way(void)
{
	const struct sched_param first = { .sched_priority = 1 };
	pthread_t thread;
	int64_t longest;

	tree(&places[0], 20000);
	walk(places[0].dir);
	watching = true;
	if (pthread_create(&thread, NULL, watch, &longest) ||
	    pthread_setschedparam(thread, SCHED_FIFO, &first))
		errx(1, "no thread of real time");
	usleep(10000);
	tree(&places[0], 0);
	watching = false;
	pthread_join(thread, NULL);
	result("others wait for a removal", "eventfs", 20000, longest);
}

/*
 * Instances
 */

static void instance(const char *verb, unsigned int number)
{
	char path[64];

	snprintf(path, sizeof(path), TRACING "/instances/b%03u", number);
	if (*verb == 'm' ? mkdir(path, 0755) : rmdir(path))
		err(1, "%s %s", verb, path);
}

/* Each is done several times: the median is taken, as there is other work too. */
static void instances_of_numbers(void)
{
	static const unsigned int numbers[] = { 1, 10, 100 };
	unsigned int had = 0, count;
	struct name *names;
	char path[64];

	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		while (had < numbers[i] - 1)
			instance("mkdir", had++);
		for (unsigned int round = 0; round < 9; round++) {
			begin("create instance", "eventfs", numbers[i]);
			instance("mkdir", had);
			end(1);
			begin("remove instance", "eventfs", numbers[i]);
			instance("rmdir", had);
			end(1);
			settle();
		}
		instance("mkdir", had);
		snprintf(path, sizeof(path), TRACING "/instances/b%03u/events/syscalls", had++);
		names = list_names(path, "format", &count);
		enter(path);
		measure_first_stats("first stat in instance", "eventfs", numbers[i], names,
				    count);
		free(names);
		enter("/");
	}
	while (had)
		instance("rmdir", --had);
}

/* What the first look into a new instance costs, and the same walk later */
static void first_looks_into_instance(void)
{
	static const char events[] = TRACING "/instances/b000/events";
	unsigned int count;

	instance("mkdir", 0);
	drop_caches();
	begin("first stat in a system", "eventfs", 0);
	must_stat(TRACING "/instances/b000/events/sched/sched_switch");
	end(1);
	instance("rmdir", 0);

	instance("mkdir", 0);
	drop_caches();
	begin("walk of a new instance", "eventfs", 0);
	count = walk(events);
	end(count);
	drop_caches();
	begin("walk of an instance", "eventfs", 0);
	count = walk(events);
	end(count);
	instance("rmdir", 0);
	settle();
}

/*
 * Containers that start: each mounts tracefs for its group and changes the modes of a
 * hundred files. A report says that thirteen of them hung when they did it at once.
 */
static void containers_start(void)
{
	enum { CONTAINERS = 13, FILES = 100 };
	unsigned int count;
	struct name *names = list_names(EVENTS "/syscalls", "enable", &count);
	char options[32];

	if (count < FILES)
		errx(1, "only %u events in syscalls", count);
	if (mkdir("/run/container", 0755))
		err(1, "/run/container");
	settle();
	begin("container start", "eventfs", FILES);
	for (unsigned int i = 0; i < CONTAINERS; i++) {
		snprintf(options, sizeof(options), "gid=%u", 1000 + i);
		if (mount("tracefs", "/run/container", "tracefs", 0, options))
			err(1, "mount -o %s", options);
		enter("/run/container/events/syscalls");
		for (unsigned int j = 0; j < FILES; j++) {
			if (chmod(names[j].text, 0640))
				err(1, "chmod %s", names[j].text);
		}
		enter("/");
		if (umount("/run/container"))
			err(1, "umount");
	}
	end(CONTAINERS);
	if (mount(NULL, TRACING, NULL, MS_REMOUNT, "gid=0"))
		err(1, "remount");
	free(names);
}

/*
 * Memory. Run first in a boot: what is measured is what nobody touched.
 */

static long meminfo(const char *what)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128], name[64];
	long kib, found = -1;

	if (!file)
		err(1, "meminfo");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63[^:]: %ld", name, &kib) == 2 && !strcmp(name, what))
			found = kib;
	}
	fclose(file);
	if (found < 0)
		errx(1, "no %s in meminfo", what);
	return found * 1024;
}

struct slab {
	char name[32];
	long bytes;
};

static unsigned int read_slabs(struct slab *slabs, unsigned int most)
{
	FILE *file = fopen("/proc/slabinfo", "re");
	long pages, number;
	unsigned int count = 0;
	char line[512];

	if (!file)
		err(1, "slabinfo");
	while (count < most && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%31s %*d %*d %*d %*d %ld : tunables %*d %*d %*d : slabdata %*d %ld",
			   slabs[count].name, &pages, &number) == 3)
			slabs[count++].bytes = pages * number * getpagesize();
	}
	fclose(file);
	return count;
}

/* What ten more instances take, by slab cache, for one of them */
static void memory_of_instances(void)
{
	static struct slab before[400], after[400];
	unsigned int count;
	long slab, free;

	for (unsigned int i = 0; i < 2; i++)
		instance("mkdir", i);
	settle();
	count = read_slabs(before, ARRAY_SIZE(before));
	slab = meminfo("Slab");
	free = meminfo("MemFree");
	for (unsigned int i = 2; i < 12; i++)
		instance("mkdir", i);
	settle();
	result("instance memory", "eventfs", 1, (free - meminfo("MemFree")) / 10.);
	result("instance slab", "eventfs", 1, (meminfo("Slab") - slab) / 10.);
	if (read_slabs(after, ARRAY_SIZE(after)) != count)
		errx(1, "slab caches came or went");
	for (unsigned int i = 0; i < count; i++) {
		if (after[i].bytes - before[i].bytes >= 10 * 1024) {
			result(after[i].name, "slab of instance", 1,
			       (after[i].bytes - before[i].bytes) / 10.);
		}
	}
	for (unsigned int i = 0; i < 12; i++)
		instance("rmdir", i);
	settle();
}

static void memory_of_nodes(void)
{
	const unsigned int copies = 40;
	unsigned int nodes;
	char command[32];
	long slab;

	try_write(TREE, "copies 1");
	nodes = count_dirs(TRACING "/bench_copies/c00000");
	try_write(TREE, "copies 0");
	drop_caches();
	snprintf(command, sizeof(command), "copies %u", copies);
	slab = meminfo("Slab");
	try_write(TREE, command);
	slab = meminfo("Slab") - slab;
	result("event directory", "eventfs", nodes, (double)slab / copies / nodes);
	try_write(TREE, "copies 0");
	settle();
}

static void memory_of_files(void)
{
	unsigned int dirs = 20000 / ARRAY_SIZE(files);
	unsigned int count;
	long slab;

	tree(&places[0], dirs);
	drop_caches();
	slab = meminfo("Slab");
	count = walk(places[0].dir);
	result("cached file", "eventfs", dirs, (double)(meminfo("Slab") - slab) / count);
	tree(&places[0], 0);
	settle();
}

/* The slab of a boot, as use of tracefs goes on; also on kernels without trees. */
static void memory_of_stages(void)
{
	drop_caches();
	result("slab 1 after boot", "eventfs", 0, meminfo("Slab"));
	instance("mkdir", 0);
	settle();
	result("slab 2 one more instance", "eventfs", 0, meminfo("Slab"));
	walk(TRACING);
	result("slab 3 all of tracefs walked", "eventfs", 0, meminfo("Slab"));
	drop_caches();
	result("slab 4 caches dropped", "eventfs", 0, meminfo("Slab"));
	instance("rmdir", 0);
	settle();
}

/*
 * The slab of new instances, in a boot of its own: freed objects would be used again.
 * One instance may fit into slabs that exist, so its figure is the mean of the last 90.
 */
static void memory_of_many_instances(void)
{
	static const unsigned int numbers[] = { 10, 100 };
	unsigned int had = 0;
	long slab[3];

	drop_caches();
	slab[0] = meminfo("Slab");
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		while (had < numbers[i])
			instance("mkdir", had++);
		settle();
		slab[i + 1] = meminfo("Slab");
		result("instances slab", "eventfs", had, slab[i + 1] - slab[0]);
	}
	result("instances slab", "eventfs", 1, (slab[2] - slab[1]) / 90.);
	while (had)
		instance("rmdir", --had);
}

/*
 * Two CPUs
 */

#define CPU_DIRS	8000U

struct work {
	pthread_barrier_t *start;
	const struct name *names;
	unsigned int count;
	bool again;
};

static void *do_work(void *arg)
{
	struct work *work = arg;

	pthread_barrier_wait(work->start);
	for (unsigned int round = 0; round < (work->again ? 5 : 1); round++)
		stat_all(work->names, work->count);
	return NULL;
}

/* The time in which each of cpus tasks looks at names of its own */
static double time_work(const struct name *names, unsigned int cpus, bool again)
{
	struct work works[8];
	pthread_t threads[8];
	pthread_barrier_t start;
	int64_t begun;

	pthread_barrier_init(&start, NULL, cpus + 1);
	for (unsigned int i = 0; i < cpus; i++) {
		cpu_set_t set;

		works[i] = (struct work){ &start, names + i * CPU_DIRS / 2,
					  CPU_DIRS / 2, again };
		if (pthread_create(&threads[i], NULL, do_work, &works[i]))
			errx(1, "pthread_create");
		CPU_ZERO(&set);
		CPU_SET(i, &set);
		pthread_setaffinity_np(threads[i], sizeof(set), &set);
	}
	pthread_barrier_wait(&start);
	begun = now();
	for (unsigned int i = 0; i < cpus; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	return now() - begun;
}

static void cpus_look_up(void)
{
	struct name *names = make_names(CPU_DIRS, 1, DIR_NAME);

	tree(&places[0], CPU_DIRS);
	enter(places[0].dir);
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int cpus = 1; cpus <= 2; cpus++) {
			drop_caches();
			result("first stats", "eventfs", cpus, time_work(names, cpus, false));
			result("warm stats", "eventfs", cpus, time_work(names, cpus, true));
		}
	}
	tree(&places[0], 0);
	free(names);
}

/*
 * A root on tmpfs, with tracefs in it: in absolute paths below the guest's own
 * root, 9p and sysfs leave RCU mode, and all after them is walked without.
 */
static void change_root(void)
{
	static const struct {
		const char *from;
		const char *to;
		const char *type;
		unsigned long flags;
	} mounts[] = {
		{ "/sys",	"/run/sys",	NULL,		MS_BIND | MS_REC },
		{ "/proc",	"/run/proc",	NULL,		MS_BIND | MS_REC },
		{ "tracefs",	"/run" TRACING,	"tracefs",	0 },
		{ "run",	"/run/run",	"tmpfs",	0 },
	};

	if (mount("root", "/run", "tmpfs", 0, NULL))
		err(1, "tmpfs on /run");
	for (unsigned int i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (mkdir(mounts[i].to, 0755) ||
		    mount(mounts[i].from, mounts[i].to, mounts[i].type, mounts[i].flags, NULL))
			err(1, "%s", mounts[i].to);
	}
	if (chroot("/run"))
		err(1, "chroot");
}

static const struct {
	const char *boot;
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "ops",	"walk",		walk_of_events },
	{ "ops",	"stats",	stats_of_events },
	{ "ops",	"opens",	opens_of_events },
	{ "ops",	"removal",	removal_of_events },
	{ "ops",	"sizes",	trees_of_sizes },
	{ "ops",	"others",	trees_of_others },
	{ "ops",	"way",		removal_gives_way },
	{ "ops",	"instances",	instances_of_numbers },
	{ "ops",	"looks",	first_looks_into_instance },
	{ "ops",	"storm",	containers_start },
	{ "stages",	"stages",	memory_of_stages },
	{ "many",	"many",		memory_of_many_instances },
	{ "memory",	"instance",	memory_of_instances },
	{ "memory",	"nodes",	memory_of_nodes },
	{ "memory",	"files",	memory_of_files },
	{ "cpus",	"cpus",		cpus_look_up },
};

int main(int argc, char **argv)
{
	bool ran = false;

	change_root();
	for (unsigned int i = 0; argc > 1 && i < ARRAY_SIZE(cases); i++) {
		if (strcmp(argv[1], cases[i].boot) || (argc > 2 && strcmp(argv[2], cases[i].name)))
			continue;
		enter("/");
		cases[i].run();
		ran = true;
	}
	if (!ran)
		errx(2, "usage: bench ops|memory|stages|many|cpus [CASE]");
	return 0;
}
