// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trees of the same shape in eventfs, sysfs and procfs, to measure on
 *
 * Built into both kernels of "make bench", the stock one and ours, from this
 * file. What is written to /sys/kernel/debug/bench_tree is one command:
 *
 *   eventfs COUNT, sysfs COUNT, procfs COUNT
 *	make a directory d with COUNT directories e00000_trace_event and so on
 *	of six files each, below tracing/bench/events, /sys/kernel/bench, /proc/bench;
 *	0 removes it
 *   copies COUNT
 *	make COUNT copies of the kernel's own tree of events in
 *	tracing/bench_copies; 0 removes them. Their names are those of the
 *	events, constants that eventfs does not copy
 *
 * Nothing of tracing is involved, so what a write takes, and the memory it
 * takes, is that of the file system alone.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/trace_events.h>
#include <linux/tracefs.h>

#define TREE_MAX	100000U
/* As long as the names of the kernel's own events are on average */
#define TREE_NAME	"e00000_trace_event"
#define TREE_DIGITS	5

/* kernel/trace/trace.h; no event comes or goes while the bench runs. */
extern struct list_head ftrace_events;

static DEFINE_MUTEX(tree_lock);

/* snprintf() would be a third of what a node costs. */
static void tree_number(char *name, unsigned int number)
{
	for (unsigned int i = TREE_DIGITS; i; i--, number /= 10)
		name[i] = '0' + number % 10;
}

static int tree_show(struct seq_file *m, void *unused)
{
	return 0;
}

static int tree_open(struct inode *inode, struct file *file)
{
	return single_open(file, tree_show, NULL);
}

static const struct file_operations tree_file_operations = {
	.open		= tree_open,
	.read		= seq_read,
	.release	= single_release,
};

/*
 * eventfs
 */

static int tree_callback(const char *name, umode_t *mode, void **data,
			 const struct file_operations **fops)
{
	*mode = 0444;
	*fops = &tree_file_operations;
	return 1;
}

/* As those of kernel/trace: in this order, one with a release */
static void tree_release(const char *name, void *data)
{
}

static const struct eventfs_entry tree_entries[] = {
	{ "enable",	tree_callback,	tree_release },
	{ "filter",	tree_callback },
	{ "trigger",	tree_callback },
	{ "format",	tree_callback },
	{ "id",		tree_callback },
	{ "hist",	tree_callback },
};

static struct dentry *tree_eventfs_top;
static struct eventfs_inode *tree_eventfs;

static void tree_eventfs_remove(void)
{
	if (tree_eventfs)
		eventfs_remove_events_dir(tree_eventfs);
	tracefs_remove(tree_eventfs_top);
	tree_eventfs = NULL;
	tree_eventfs_top = NULL;
}

static int tree_eventfs_create(unsigned int count)
{
	struct eventfs_inode *dir, *node;
	char name[] = TREE_NAME;

	tree_eventfs_top = tracefs_create_dir("bench", NULL);
	if (!tree_eventfs_top)
		return -ENOMEM;
	tree_eventfs = eventfs_create_events_dir("events", tree_eventfs_top, NULL, 0, NULL);
	if (IS_ERR(tree_eventfs)) {
		tree_eventfs = NULL;
		return -ENOMEM;
	}
	dir = eventfs_create_dir("d", tree_eventfs, NULL, 0, NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);

	for (unsigned int i = 0; i < count; i++) {
		tree_number(name, i);
		node = eventfs_create_dir(name, dir, tree_entries,
					  ARRAY_SIZE(tree_entries), NULL);
		if (IS_ERR(node))
			return PTR_ERR(node);
		cond_resched();
	}
	return 0;
}

/*
 * Copies of the kernel's own events
 */

struct tree_system {
	const char *name;
	struct eventfs_inode *node;
};

#define TREE_SYSTEMS	256

static struct eventfs_inode *tree_copies;
static struct tree_system tree_systems[TREE_SYSTEMS];

static void tree_copies_remove(void)
{
	if (tree_copies)
		eventfs_remove_events_dir(tree_copies);
	tree_copies = NULL;
}

static struct eventfs_inode *tree_system(struct eventfs_inode *copy, const char *name)
{
	struct tree_system *system = tree_systems;

	for (; system->name; system++) {
		if (!strcmp(system->name, name))
			return system->node;
	}
	if (system == &tree_systems[TREE_SYSTEMS - 1])
		return ERR_PTR(-ENOSPC);
	system->node = eventfs_create_dir(name, copy, tree_entries, 2, NULL);
	if (!IS_ERR(system->node))
		system->name = name;
	return system->node;
}

static int tree_copy(unsigned int number)
{
	struct eventfs_inode *copy, *dir, *node;
	struct trace_event_call *call;
	char name[] = "c00000";

	memset(tree_systems, 0, sizeof(tree_systems));
	tree_number(name, number);
	copy = eventfs_create_dir(name, tree_copies, tree_entries, 2, NULL);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	list_for_each_entry(call, &ftrace_events, list) {
		dir = tree_system(copy, call->class->system);
		if (IS_ERR(dir))
			return PTR_ERR(dir);
		node = eventfs_create_dir(trace_event_name(call), dir, tree_entries,
					  ARRAY_SIZE(tree_entries), NULL);
		if (IS_ERR(node))
			return PTR_ERR(node);
	}
	return 0;
}

static int tree_copies_create(unsigned int count)
{
	struct eventfs_inode *events;
	int error = 0;

	events = eventfs_create_events_dir("bench_copies", NULL, NULL, 0, NULL);
	if (IS_ERR(events))
		return PTR_ERR(events);
	tree_copies = events;
	for (unsigned int i = 0; i < count && !error; i++)
		error = tree_copy(i);
	return error;
}

/*
 * sysfs
 */

static ssize_t tree_attr_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return 0;
}

static struct kobj_attribute tree_attrs[] = {
	__ATTR(enable, 0444, tree_attr_show, NULL),
	__ATTR(filter, 0444, tree_attr_show, NULL),
	__ATTR(trigger, 0444, tree_attr_show, NULL),
	__ATTR(format, 0444, tree_attr_show, NULL),
	__ATTR(id, 0444, tree_attr_show, NULL),
	__ATTR(hist, 0444, tree_attr_show, NULL),
};

static struct kobject *tree_sysfs_top, *tree_sysfs_dir;
static struct kobject **tree_kobjects;
static unsigned int tree_nr_kobjects;

static void tree_sysfs_remove(void)
{
	while (tree_nr_kobjects)
		kobject_put(tree_kobjects[--tree_nr_kobjects]);
	kvfree(tree_kobjects);
	tree_kobjects = NULL;
	kobject_put(tree_sysfs_dir);
	kobject_put(tree_sysfs_top);
	tree_sysfs_dir = NULL;
	tree_sysfs_top = NULL;
}

static int tree_sysfs_create(unsigned int count)
{
	const struct attribute *attrs[ARRAY_SIZE(tree_attrs) + 1] = {};
	char name[] = TREE_NAME;
	int error;

	for (unsigned int i = 0; i < ARRAY_SIZE(tree_attrs); i++)
		attrs[i] = &tree_attrs[i].attr;
	tree_sysfs_top = kobject_create_and_add("bench", kernel_kobj);
	tree_sysfs_dir = kobject_create_and_add("d", tree_sysfs_top);
	tree_kobjects = kvcalloc(count, sizeof(*tree_kobjects), GFP_KERNEL);
	if (!tree_sysfs_top || !tree_sysfs_dir || !tree_kobjects)
		return -ENOMEM;

	for (unsigned int i = 0; i < count; i++) {
		tree_number(name, i);
		tree_kobjects[i] = kobject_create_and_add(name, tree_sysfs_dir);
		if (!tree_kobjects[i])
			return -ENOMEM;
		tree_nr_kobjects = i + 1;
		error = sysfs_create_files(tree_kobjects[i], attrs);
		if (error)
			return error;
	}
	return 0;
}

/*
 * procfs
 */

static const struct proc_ops tree_proc_ops = {
	.proc_open	= tree_open,
	.proc_read	= seq_read,
	.proc_release	= single_release,
};

static struct proc_dir_entry *tree_procfs_top;

static void tree_procfs_remove(void)
{
	proc_remove(tree_procfs_top);
	tree_procfs_top = NULL;
}

static int tree_procfs_create(unsigned int count)
{
	struct proc_dir_entry *dir, *event;
	char name[] = TREE_NAME;

	tree_procfs_top = proc_mkdir("bench", NULL);
	dir = proc_mkdir("d", tree_procfs_top);
	if (!tree_procfs_top || !dir)
		return -ENOMEM;

	for (unsigned int i = 0; i < count; i++) {
		tree_number(name, i);
		event = proc_mkdir(name, dir);
		if (!event)
			return -ENOMEM;
		for (unsigned int j = 0; j < ARRAY_SIZE(tree_entries); j++) {
			if (!proc_create(tree_entries[j].name, 0444, event, &tree_proc_ops))
				return -ENOMEM;
		}
	}
	return 0;
}

static const struct tree_place {
	const char *name;
	int (*create)(unsigned int count);
	void (*remove)(void);
} tree_places[] = {
	{ "eventfs",	tree_eventfs_create,	tree_eventfs_remove },
	{ "copies",	tree_copies_create,	tree_copies_remove },
	{ "sysfs",	tree_sysfs_create,	tree_sysfs_remove },
	{ "procfs",	tree_procfs_create,	tree_procfs_remove },
};

static bool tree_there[ARRAY_SIZE(tree_places)];

static int tree_command(const struct tree_place *place, unsigned int count, bool *there)
{
	int error;

	guard(mutex)(&tree_lock);
	if (!count) {
		if (*there)
			place->remove();
		*there = false;
		return 0;
	}
	if (*there)
		return -EEXIST;
	error = place->create(count);
	if (error)
		place->remove();
	*there = !error;
	return error;
}

static ssize_t tree_write(struct file *file, const char __user *ubuf, size_t len,
			  loff_t *ppos)
{
	char name[16], buf[32];
	unsigned int count;
	int error;

	if (len >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, len))
		return -EFAULT;
	buf[len] = '\0';
	if (sscanf(buf, "%15s %u", name, &count) != 2 || count > TREE_MAX)
		return -EINVAL;

	for (unsigned int i = 0; i < ARRAY_SIZE(tree_places); i++) {
		if (strcmp(tree_places[i].name, name))
			continue;
		error = tree_command(&tree_places[i], count, &tree_there[i]);
		return error ?: len;
	}
	return -EINVAL;
}

static const struct file_operations tree_control_operations = {
	.open	= simple_open,
	.write	= tree_write,
};

static int __init tree_init(void)
{
	debugfs_create_file_unsafe("bench_tree", 0200, NULL, NULL, &tree_control_operations);
	return 0;
}
late_initcall(tree_init);
