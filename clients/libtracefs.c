// SPDX-License-Identifier: GPL-2.0-only
/*
 * libtracefs's own interface, as a program would use it
 *
 *   libtracefs probe | synth | hist | instance
 *
 * Prints what it was told, and fails with a line if that is not what it asked for.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <tracefs.h>

#define SYSTEM	"clients"
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Is there such an event? It may be found in two ways, by its name and in a listing. */
static bool is_there(const char *system, const char *event)
{
	char **events = tracefs_system_events(NULL, system);
	bool listed = false, found;
	char *path;

	for (char **name = events; name && *name; name++)
		listed |= !strcmp(*name, event);
	tracefs_list_free(events);
	if (asprintf(&path, "events/%s/%s/format", system, event) < 0)
		err(1, "asprintf");
	found = tracefs_file_exists(NULL, path);
	free(path);
	if (found != listed)
		errx(1, "%s:%s is %sfound and %slisted", system, event,
		     found ? "" : "not ", listed ? "" : "not ");
	return found;
}

static void want(bool there, const char *system, const char *event)
{
	if (is_there(system, event) != there)
		errx(1, "%s:%s is %sthere", system, event, there ? "not " : "");
	printf("%s:%s is %sthere\n", system, event, there ? "" : "not ");
}

/* What a file says: shown where it is the same each time */
static char *contents(struct tracefs_instance *instance, const char *file)
{
	char *text = tracefs_instance_file_read(instance, file, NULL);

	if (!text)
		errx(1, "cannot read %s", file);
	return text;
}

static void run(const char *command)
{
	if (system(command))
		errx(1, "%s failed", command);
}

static struct tep_handle *events_of(const char *system)
{
	const char * const systems[] = { system, NULL };
	struct tep_handle *tep = tracefs_local_events_system(NULL, systems);

	if (!tep)
		errx(1, "cannot parse the events of %s", system);
	return tep;
}

static void probe(void)
{
	static const char * const names[] = { "opens", "opened" };
	struct tracefs_dynevent *events[ARRAY_SIZE(names)], **all;
	char *trace;
	int count = 0;

	events[0] = tracefs_kprobe_alloc(SYSTEM, names[0], "do_sys_openat2",
					 "file=+0($arg2):ustring");
	events[1] = tracefs_kretprobe_alloc(SYSTEM, names[1], "do_sys_openat2",
					    "got=$retval:s64", 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		want(false, SYSTEM, names[i]);
		if (!events[i] || tracefs_dynevent_create(events[i]))
			errx(1, "cannot create %s", names[i]);
		want(true, SYSTEM, names[i]);
	}
	all = tracefs_dynevent_get_all(TRACEFS_DYNEVENT_ALL, SYSTEM);
	while (all && all[count])
		count++;
	tracefs_dynevent_list_free(all);
	printf("%d dynamic events\n", count);
	if (count != ARRAY_SIZE(names))
		errx(1, "%d dynamic events", count);

	/* The whole system at once, then an event of it */
	if (tracefs_event_enable(NULL, SYSTEM, NULL) ||
	    tracefs_event_is_enabled(NULL, SYSTEM, names[1]) != TRACEFS_ALL_ENABLED)
		errx(1, "cannot enable %s", SYSTEM);
	run("cat /etc/debian_version >/dev/null");
	if (tracefs_event_disable(NULL, SYSTEM, NULL))
		errx(1, "cannot disable %s", SYSTEM);
	trace = contents(NULL, "trace");
	if (!strstr(trace, "opens: ") || !strstr(trace, "file=\"/etc/debian_version\"") ||
	    !strstr(trace, "opened: "))
		errx(1, "the trace lacks what the probes saw");
	free(trace);
	puts("the probes saw the open");

	for (size_t i = ARRAY_SIZE(names); i-- > 0;) {
		if (tracefs_dynevent_destroy(events[i], false))
			errx(1, "cannot destroy %s", names[i]);
		want(false, SYSTEM, names[i]);
		tracefs_dynevent_free(events[i]);
	}
}

static void synth(void)
{
	struct tep_handle *tep = events_of("sched");
	struct tracefs_synth *latency;
	char *trace;

	latency = tracefs_synth_alloc(tep, "clients_wakeup", "sched", "sched_waking",
				      "sched", "sched_switch", "pid", "next_pid", "pid");
	if (!latency || tracefs_synth_add_compare_field(latency, TRACEFS_TIMESTAMP_USECS,
							TRACEFS_TIMESTAMP_USECS,
							TRACEFS_SYNTH_DELTA_END, "lat"))
		errx(1, "cannot describe the synthetic event");
	want(false, "synthetic", "clients_wakeup");
	if (tracefs_synth_create(latency))
		errx(1, "cannot create the synthetic event: %s", tracefs_error_last(NULL));
	want(true, "synthetic", "clients_wakeup");
	printf("%s\n%s\n", tracefs_synth_show_start_hist(latency),
	       tracefs_synth_show_end_hist(latency));
	if (tracefs_event_enable(NULL, "synthetic", "clients_wakeup"))
		errx(1, "cannot enable the synthetic event");
	run("sleep 0.2");
	if (tracefs_event_disable(NULL, "synthetic", "clients_wakeup"))
		errx(1, "cannot disable the synthetic event");
	trace = contents(NULL, "trace");
	if (!strstr(trace, "clients_wakeup: "))
		errx(1, "the trace has no latency");
	free(trace);
	puts("latencies were traced");
	if (tracefs_synth_destroy(latency))
		errx(1, "cannot destroy the synthetic event");
	want(false, "synthetic", "clients_wakeup");
	tracefs_synth_free(latency);
	tep_free(tep);
}

static void hist(void)
{
	struct tep_handle *tep = events_of("sched");
	struct tracefs_instance *instance = tracefs_instance_create(SYSTEM);
	struct tracefs_hist *hist;
	char *text;

	if (!instance)
		errx(1, "cannot create an instance");
	hist = tracefs_hist_alloc(tep, "sched", "sched_process_exec", "filename",
				  TRACEFS_HIST_KEY_NORMAL);
	if (!hist || tracefs_hist_start(instance, hist))
		errx(1, "cannot start a histogram");
	for (int i = 0; i < 3; i++)
		run("/bin/true");
	if (tracefs_hist_pause(instance, hist))
		errx(1, "cannot pause a histogram");
	text = contents(instance, "events/sched/sched_process_exec/hist");
	/* system() starts a shell, which may be anywhere */
	if (!strstr(text, "/bin/true"))
		errx(1, "the histogram lacks what was run");
	free(text);
	text = contents(instance, "events/sched/sched_process_exec/trigger");
	fputs(text, stdout);
	free(text);
	if (tracefs_hist_destroy(instance, hist) || tracefs_instance_destroy(instance))
		errx(1, "cannot destroy a histogram and its instance");
	tracefs_hist_free(hist);
	tracefs_instance_free(instance);
	tep_free(tep);
}

static int show(const char *name, void *unused)
{
	(void)unused;
	printf("instance %s\n", name);
	return 0;
}

static void instance(void)
{
	struct tracefs_instance *instance = tracefs_instance_create(SYSTEM);
	char **here, **there;
	char *trace;

	if (!instance || !tracefs_instance_is_new(instance))
		errx(1, "cannot create an instance");
	tracefs_instances_walk(show, NULL);
	here = tracefs_event_systems(NULL);
	there = tracefs_event_systems(tracefs_instance_get_trace_dir(instance));
	/* The top level has systems of its own */
	printf("%d systems, of them %d in the instance\n", tracefs_list_size(here),
	       tracefs_list_size(there));
	for (char **name = there; name && *name; name++)
		printf("system %s\n", *name);
	tracefs_list_free(here);
	tracefs_list_free(there);
	if (tracefs_event_enable(instance, "sched", "sched_process_exec"))
		errx(1, "cannot enable an event of an instance");
	if (tracefs_event_is_enabled(NULL, "sched", "sched_process_exec") !=
	    TRACEFS_ALL_DISABLED)
		errx(1, "it is enabled at the top as well");
	run("/bin/true");
	trace = contents(instance, "trace");
	if (!strstr(trace, "filename=/bin/true"))
		errx(1, "the instance did not trace");
	free(trace);
	if (tracefs_instance_destroy(instance) || tracefs_instance_exists(SYSTEM))
		errx(1, "cannot destroy an instance");
	tracefs_instance_free(instance);
	puts("the instance is gone");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{ "probe", probe }, { "synth", synth }, { "hist", hist },
		{ "instance", instance },
	};

	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(parts); i++) {
		if (!strcmp(argv[1], parts[i].name)) {
			parts[i].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: libtracefs probe | synth | hist | instance\n");
	return 2;
}
