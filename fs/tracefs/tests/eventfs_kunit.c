// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of eventfs
 *
 * Each case has a directory "eventfs_kunit" that contains a tree "events". The
 * case builds the tree through the interface that kernel/trace uses, and checks
 * it through the VFS, on an internal mount of the single tracefs superblock.
 * With few exceptions, the cases rely only on what callers and users can see.
 *
 * When the tree is gone, ek_exit() checks what holds for every case: each
 * release was called once if the directory was created and never if not, no
 * callback ended after the removal had returned, no inode is left, and every
 * pin of the mount was released.
 *
 * LOOKUP_CACHED returns what an RCU walk finds in the cache: 0 for a name that
 * exists, -ENOENT for a miss, -EAGAIN for a name that is stale or not cached.
 *
 * "Fails without" names the code in event_inode.c or inode.c that a case tests:
 * without it, the case fails. "Fails with" names a change that makes it fail.
 */
#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/hash.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/stringhash.h>
#include <linux/timekeeping.h>
#include <linux/tracefs.h>
#include <linux/workqueue.h>

#include "../internal.h"

/* How long to wait for what must not happen */
#define EK_MOMENT	msecs_to_jiffies(50)
/* How long to wait for what must happen, on a slow machine */
#define EK_LONG		(20 * HZ)

#define EK_MODE		0640

enum {
	EK_ENABLE,
	EK_FORMAT,
	EK_MAYBE,
	EK_GATE,
	EK_NR_FILES,
};

/**
 * struct ek_gate - a point at which tasks are held up
 * @shut: tasks that arrive must wait
 * @entered: a task has arrived
 * @open: all tasks may continue
 */
struct ek_gate {
	bool shut;
	struct completion entered;
	struct completion open;
};

/**
 * struct ek_dir - the data of one directory of a test
 * @list: in ek_fixture::dirs
 * @node: the directory, NULL if its creation failed
 * @released: how often release was called, by entry
 * @calls: number of callbacks that ran
 * @late: number of them that ended after the removal
 * @removed: eventfs_remove_dir() has returned
 * @declines: the file "maybe" does not exist
 * @gate: where the callback of "gate" is held up
 * @other_gate: the same for "maybe"
 * @lazy: the children that its fill operation creates
 * @fills: how often the fill operation ran
 * @fill_error: the error that it returns after the first child, or 0
 */
struct ek_dir {
	struct list_head list;
	struct eventfs_inode *node;
	atomic_t released[EK_NR_FILES];
	atomic_t calls;
	atomic_t late;
	bool removed;
	bool declines;
	struct ek_gate gate;
	struct ek_gate other_gate;
	struct ek_dir *lazy[2];
	unsigned int fills;
	int fill_error;
};

/**
 * struct ek_fixture - what each case starts with
 * @top: the directory "eventfs_kunit"
 * @events: the directory "events" in it, NULL once a case has removed it
 * @dirs: all directories
 * @inodes: number of eventfs inodes before the case
 * @all_inodes: number of tracefs inodes before the case
 * @pins: number of pins of the mount before the case
 */
struct ek_fixture {
	struct dentry *top;
	struct ek_dir *events;
	struct list_head dirs;
	unsigned int inodes;
	unsigned int all_inodes;
	int pins;
};

static struct vfsmount *ek_mnt;
static struct workqueue_struct *ek_wq;

static void ek_init_gate(struct ek_gate *gate)
{
	init_completion(&gate->entered);
	init_completion(&gate->open);
}

static void ek_wait_at_gate(struct ek_gate *gate)
{
	complete(&gate->entered);
	wait_for_completion(&gate->open);
}

static void ek_open_gate(struct ek_gate *gate)
{
	WRITE_ONCE(gate->shut, false);
	complete_all(&gate->open);
}

/*
 * The files of a directory
 */

static const struct file_operations ek_file_operations = {
	.open	= simple_open,
	.llseek	= noop_llseek,
};

static int ek_callback(const char *name, umode_t *mode, void **data,
		       const struct file_operations **fops)
{
	struct ek_dir *dir = *data;

	atomic_inc(&dir->calls);
	*mode = EK_MODE;
	*fops = &ek_file_operations;
	return 1;
}

static int ek_callback_maybe(const char *name, umode_t *mode, void **data,
			     const struct file_operations **fops)
{
	struct ek_dir *dir = *data;
	int exists = !READ_ONCE(dir->declines);

	if (READ_ONCE(dir->other_gate.shut))
		ek_wait_at_gate(&dir->other_gate);
	ek_callback(name, mode, data, fops);
	return exists;
}

static int ek_callback_gate(const char *name, umode_t *mode, void **data,
			    const struct file_operations **fops)
{
	struct ek_dir *dir = *data;

	if (READ_ONCE(dir->gate.shut))
		ek_wait_at_gate(&dir->gate);
	if (READ_ONCE(dir->removed))
		atomic_inc(&dir->late);
	return ek_callback(name, mode, data, fops);
}

static void ek_release_format(const char *name, void *data)
{
	struct ek_dir *dir = data;

	atomic_inc(&dir->released[EK_FORMAT]);
}

static void ek_release_gate(const char *name, void *data)
{
	struct ek_dir *dir = data;

	atomic_inc(&dir->released[EK_GATE]);
}

/* As in kernel/trace, some entries have a release and some do not. */
static const struct eventfs_entry ek_entries[EK_NR_FILES] = {
	[EK_ENABLE]	= { "enable", ek_callback },
	[EK_FORMAT]	= { "format", ek_callback, ek_release_format },
	[EK_MAYBE]	= { "maybe", ek_callback_maybe },
	[EK_GATE]	= { "gate", ek_callback_gate, ek_release_gate },
};

static bool ek_is_released(const struct ek_dir *dir)
{
	return atomic_read(&dir->released[EK_FORMAT]) == 1 &&
	       atomic_read(&dir->released[EK_GATE]) == 1;
}

static bool ek_is_unreleased(const struct ek_dir *dir)
{
	return !atomic_read(&dir->released[EK_FORMAT]) &&
	       !atomic_read(&dir->released[EK_GATE]);
}

/*
 * Directories
 */

static struct ek_dir *ek_new_dir(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = kunit_kzalloc(test, sizeof(*dir), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dir);
	ek_init_gate(&dir->gate);
	ek_init_gate(&dir->other_gate);
	list_add(&dir->list, &fixture->dirs);
	return dir;
}

/* Make @node the directory of @dir. Return: 0, or the error in @node. */
static int ek_adopt(struct ek_dir *dir, struct eventfs_inode *node)
{
	if (IS_ERR(node))
		return PTR_ERR(node);
	dir->node = node;
	return 0;
}

static int ek_try_create(struct ek_dir *dir, struct ek_dir *parent, const char *name)
{
	return ek_adopt(dir, eventfs_create_dir(name, parent->node, ek_entries,
						EK_NR_FILES, dir));
}

static struct ek_dir *ek_create(struct kunit *test, struct ek_dir *parent, const char *name)
{
	struct ek_dir *dir = ek_new_dir(test);

	KUNIT_ASSERT_EQ(test, ek_try_create(dir, parent, name), 0);
	return dir;
}

static const char * const ek_lazy_names[] = { "one", "two" };

/* Create the children that do not exist yet. */
static int ek_fill(struct eventfs_inode *node, void *data)
{
	struct ek_dir *dir = data;

	dir->fills++;
	for (int i = 0; i < ARRAY_SIZE(dir->lazy); i++) {
		struct ek_dir *child = dir->lazy[i];
		int error = child->node ? 0 : i ? dir->fill_error : 0;

		if (!error && !child->node)
			error = ek_adopt(child, eventfs_add_dir(ek_lazy_names[i], node, ek_entries,
								EK_NR_FILES, child));
		if (error)
			return error;
	}
	return 0;
}

static struct ek_dir *ek_new_lazy(struct kunit *test)
{
	struct ek_dir *dir = ek_new_dir(test);

	for (int i = 0; i < ARRAY_SIZE(dir->lazy); i++)
		dir->lazy[i] = ek_new_dir(test);
	return dir;
}

static struct ek_dir *ek_create_lazy(struct kunit *test, struct ek_dir *parent, const char *name)
{
	struct ek_dir *dir = ek_new_lazy(test);

	guard(eventfs)(parent->node);
	KUNIT_ASSERT_EQ(test, ek_adopt(dir, eventfs_add_lazy_dir(name, parent->node, ek_entries,
								 EK_NR_FILES, dir, ek_fill,
								 eventfs_now())), 0);
	return dir;
}

static int ek_try_create_events(struct ek_dir *dir, struct dentry *parent)
{
	return ek_adopt(dir, eventfs_create_events_dir("events", parent, ek_entries,
						       EK_NR_FILES, dir));
}

static void ek_remove(struct ek_dir *dir)
{
	eventfs_remove_dir(dir->node);
	WRITE_ONCE(dir->removed, true);
}

/* Remove the whole tree, through any of its nodes. */
static void ek_remove_events(struct kunit *test, struct ek_dir *any)
{
	struct ek_fixture *fixture = test->priv;

	eventfs_remove_events_dir(any->node);
	fixture->events = NULL;
}

/* The number of inodes with any of @flags, or of all inodes if @flags is 0 */
static unsigned int ek_count_inodes(u32 flags)
{
	struct super_block *sb = ek_mnt->mnt_sb;
	struct inode *inode;
	unsigned int nr = 0;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list)
		nr += !flags || get_tracefs(inode)->flags & flags;
	spin_unlock(&sb->s_inode_list_lock);
	return nr;
}

/* The number of inodes of this case's tree */
static unsigned int ek_inodes(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;

	return ek_count_inodes(TRACEFS_EVENT) - fixture->inodes;
}

/* Drop all unused dentries and inodes, as memory pressure does. */
static void ek_reclaim(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;

	shrink_dcache_parent(fixture->top);
}

/*
 * Access through the VFS
 */

static int ek_lookup(struct kunit *test, const char *name, unsigned int flags,
		     struct path *path)
{
	struct ek_fixture *fixture = test->priv;

	return vfs_path_lookup(fixture->top, ek_mnt, name, flags, path);
}

static int ek_probe(struct kunit *test, const char *name, unsigned int flags)
{
	struct path path;
	int error = ek_lookup(test, name, flags, &path);

	if (!error)
		path_put(&path);
	return error;
}

#define EK_EXPECT_PROBE(test, name, flags, error)				\
do {										\
	struct kunit *__test = (test);						\
	const char *__name = (name);						\
										\
	KUNIT_EXPECT_EQ_MSG(__test, ek_probe(__test, __name, flags), error,	\
			    "%s", __name);					\
} while (0)

#define EK_EXPECT_FOUND(test, name)		EK_EXPECT_PROBE(test, name, 0, 0)
#define EK_EXPECT_ABSENT(test, name)		EK_EXPECT_PROBE(test, name, 0, -ENOENT)
#define EK_EXPECT_CACHED(test, name)		EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, 0)
#define EK_EXPECT_CACHED_MISS(test, name)	EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, -ENOENT)
#define EK_EXPECT_UNCACHED(test, name)		EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, -EAGAIN)

static void ek_hold(struct kunit *test, const char *name, struct path *path)
{
	KUNIT_ASSERT_EQ_MSG(test, ek_lookup(test, name, 0, path), 0, "%s", name);
}

static struct file *ek_open(struct kunit *test, const char *name)
{
	struct file *file;
	struct path path;

	ek_hold(test, name, &path);
	file = dentry_open(&path, O_RDONLY, current_cred());
	path_put(&path);
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, file, "%s", name);
	return file;
}

/* In a kernel thread, fput() would close the file later, in a workqueue. */
static void ek_close(struct file *file)
{
	__fput_sync(file);
}

static struct kstat ek_stat_path(struct kunit *test, const struct path *path)
{
	struct kstat stat = {};

	KUNIT_EXPECT_EQ(test, vfs_getattr(path, &stat, STATX_BASIC_STATS | STATX_BTIME,
					  AT_STATX_SYNC_AS_STAT), 0);
	return stat;
}

static struct kstat ek_stat(struct kunit *test, const char *name)
{
	struct kstat stat;
	struct path path;

	ek_hold(test, name, &path);
	stat = ek_stat_path(test, &path);
	path_put(&path);
	return stat;
}

static int ek_set_path(const struct path *path, const struct iattr *attr)
{
	struct inode *inode = d_inode(path->dentry);
	struct iattr copy = *attr;
	int error;

	copy.ia_mode |= inode->i_mode & S_IFMT;
	inode_lock(inode);
	error = notify_change(mnt_idmap(path->mnt), path->dentry, &copy, NULL);
	inode_unlock(inode);
	return error;
}

static int ek_set(struct kunit *test, const char *name, const struct iattr *attr)
{
	struct path path;
	int error = ek_lookup(test, name, 0, &path);

	if (error)
		return error;
	error = ek_set_path(&path, attr);
	path_put(&path);
	return error;
}

static struct iattr ek_owner(unsigned int valid, unsigned int id)
{
	return (struct iattr) {
		.ia_valid	= valid,
		.ia_vfsuid	= VFSUIDT_INIT(KUIDT_INIT(id)),
		.ia_vfsgid	= VFSGIDT_INIT(KGIDT_INIT(id)),
	};
}

/* i_uid after a permission check */
static unsigned int ek_inode_uid(struct kunit *test, const struct path *path)
{
	struct inode *inode = d_inode(path->dentry);

	KUNIT_EXPECT_EQ(test, inode_permission(mnt_idmap(path->mnt), inode, MAY_WRITE), 0);
	return from_kuid(&init_user_ns, READ_ONCE(inode->i_uid));
}

/* A mount of tracefs with options is a remount of its single superblock. */
static int ek_remount(const char *options)
{
	char buf[64];
	struct vfsmount *mnt;

	strscpy(buf, options);
	mnt = vfs_kern_mount(ek_mnt->mnt_sb->s_type, SB_KERNMOUNT, "tracefs", buf);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	mntput(mnt);
	return 0;
}

/* Wait for the next tick of the kernel's coarse clock. */
static void ek_tick(void)
{
	u64 now = ktime_get_coarse_real_ns();

	while (ktime_get_coarse_real_ns() == now)
		cond_resched();
}

/*
 * Listing
 */

struct ek_name {
	char name[24];	/* no case compares more */
	u64 ino;
	loff_t pos;
	unsigned int type;
};

/**
 * struct ek_scan - the result of a listing
 * @ctx: for iterate_dir()
 * @room: how many more entries fit into the buffer of this call
 * @nr: number of @names
 * @max: how many fit
 * @names: the entries listed so far
 * @stuck: gate at which the reader is held up when it receives "event", like a
 *	reader whose buffer causes a page fault; or NULL
 */
struct ek_scan {
	struct dir_context ctx;
	unsigned int room;
	unsigned int nr;
	unsigned int max;
	struct ek_name *names;
	struct ek_gate *stuck;
};

static bool ek_actor(struct dir_context *ctx, const char *name, int len, loff_t pos,
		     u64 ino, unsigned int type)
{
	struct ek_scan *scan = container_of(ctx, struct ek_scan, ctx);
	struct ek_name *entry = &scan->names[scan->nr];

	if (!scan->room || scan->nr == scan->max)
		return false;
	if (scan->stuck && !strcmp(name, "event"))
		ek_wait_at_gate(scan->stuck);
	scan->room--;
	scan->nr++;
	strscpy(entry->name, name);
	entry->ino = ino;
	entry->pos = pos;
	entry->type = type;
	return true;
}

KUNIT_DEFINE_ACTION_WRAPPER(ek_kvfree, kvfree, const void *);

static void *ek_alloc(struct kunit *test, size_t nr, size_t size)
{
	void *memory = kvcalloc(nr, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_kvfree, memory), 0);
	return memory;
}

/* Entries "f0", "f1" and so on, all with @callback */
static struct eventfs_entry *ek_new_entries(struct kunit *test, unsigned int nr,
					    eventfs_callback callback)
{
	struct eventfs_entry *entries = ek_alloc(test, nr, sizeof(*entries));
	char (*names)[8] = ek_alloc(test, nr, sizeof(*names));

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		entries[i] = (struct eventfs_entry) { names[i], callback };
	}
	return entries;
}

static struct ek_scan *ek_new_scan(struct kunit *test, unsigned int max)
{
	struct ek_scan *scan = ek_alloc(test, 1, sizeof(*scan));

	scan->ctx.actor = ek_actor;
	scan->max = max;
	scan->names = ek_alloc(test, max, sizeof(*scan->names));
	return scan;
}

/* List up to @room entries. Return: their number, or an error. */
static int ek_list_some(struct file *file, struct ek_scan *scan, unsigned int room)
{
	unsigned int before = scan->nr;
	int error;

	scan->room = room;
	error = iterate_dir(file, &scan->ctx);
	return error ?: scan->nr - before;
}

static int ek_list_rest(struct file *file, struct ek_scan *scan, unsigned int room)
{
	int ret;

	do {
		ret = ek_list_some(file, scan, room);
	} while (ret > 0);
	return ret;
}

/* List a whole directory, @room entries at a time. */
static struct ek_scan *ek_list(struct kunit *test, const char *name, unsigned int max,
			       unsigned int room)
{
	struct ek_scan *scan = ek_new_scan(test, max);
	struct file *file = ek_open(test, name);

	KUNIT_EXPECT_EQ(test, ek_list_rest(file, scan, room), 0);
	ek_close(file);
	KUNIT_EXPECT_LT(test, scan->nr, max);
	return scan;
}

static unsigned int ek_listed(const struct ek_scan *scan, const char *name)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < scan->nr; i++)
		count += !strcmp(scan->names[i].name, name);
	return count;
}

/* The index of @name in @scan, which must contain it */
static unsigned int ek_index(struct kunit *test, const struct ek_scan *scan, const char *name)
{
	for (unsigned int i = 0; i < scan->nr; i++) {
		if (!strcmp(scan->names[i].name, name))
			return i;
	}
	KUNIT_FAIL_AND_ABORT(test, "%s is not listed", name);
	return 0;
}

/*
 * Concurrent work
 */

struct ek_work {
	struct work_struct work;
	void (*fn)(struct ek_work *work);
	struct kunit *test;
	struct ek_dir *dir;	/* what it works on */
	const char *name;
	struct path path;	/* what it found */
	struct ek_scan *scan;	/* what it lists into */
	int error;
	unsigned int count;
	bool stop;
	struct completion done;
};

static void ek_run(struct work_struct *work)
{
	struct ek_work *w = container_of(work, struct ek_work, work);

	w->fn(w);
	complete_all(&w->done);
}

/* Not on the stack: a case that is aborted leaves it running until ek_exit(). */
static struct ek_work *ek_new_work(struct kunit *test, void (*fn)(struct ek_work *work))
{
	struct ek_work *work = kunit_kzalloc(test, sizeof(*work), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, work);
	INIT_WORK(&work->work, ek_run);
	init_completion(&work->done);
	work->fn = fn;
	work->test = test;
	return work;
}

static struct ek_work *ek_start(struct kunit *test, void (*fn)(struct ek_work *work),
				struct ek_dir *dir, const char *name)
{
	struct ek_work *work = ek_new_work(test, fn);

	work->dir = dir;
	work->name = name;
	queue_work(ek_wq, &work->work);
	return work;
}

static struct ek_work *ek_start_scan(struct kunit *test, void (*fn)(struct ek_work *work),
				     struct ek_scan *scan)
{
	struct ek_work *work = ek_new_work(test, fn);

	work->scan = scan;
	queue_work(ek_wq, &work->work);
	return work;
}

static int ek_join(struct ek_work *work)
{
	flush_work(&work->work);
	return work->error;
}

/* Stop works that run until they are told to stop. None may have failed. */
static void ek_stop(struct kunit *test, struct ek_work * const works[], unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		WRITE_ONCE(works[i]->stop, true);
	for (unsigned int i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, ek_join(works[i]), 0);
}

static void ek_do_lookup(struct ek_work *work)
{
	work->error = ek_lookup(work->test, work->name, 0, &work->path);
}

static void ek_do_remove(struct ek_work *work)
{
	ek_remove(work->dir);
}

static void ek_wait_entered(struct kunit *test, struct ek_gate *gate)
{
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&gate->entered, EK_LONG), 0);
}

/* Start a lookup of the file of @gate, which waits in the callback. */
static struct ek_work *ek_enter_gate(struct kunit *test, struct ek_gate *gate, const char *name)
{
	struct ek_work *work;

	WRITE_ONCE(gate->shut, true);
	work = ek_start(test, ek_do_lookup, NULL, name);
	ek_wait_entered(test, gate);
	return work;
}

/* Wait until the removal of a directory has begun. */
static void ek_wait_dead(struct kunit *test, const struct path *path)
{
	unsigned long end = jiffies + EK_LONG;

	while (ek_stat_path(test, path).nlink && time_before(jiffies, end))
		cond_resched();
	KUNIT_ASSERT_EQ(test, ek_stat_path(test, path).nlink, 0);
}

/*
 * Fixture
 */

static int ek_init(struct kunit *test)
{
	struct ek_fixture *fixture = kunit_kzalloc(test, sizeof(*fixture), GFP_KERNEL);
	struct ek_dir *events;

	KUNIT_ASSERT_NOT_NULL(test, fixture);
	INIT_LIST_HEAD(&fixture->dirs);
	test->priv = fixture;

	fixture->inodes = ek_count_inodes(TRACEFS_EVENT);
	fixture->all_inodes = ek_count_inodes(0);
	fixture->pins = READ_ONCE(tracefs_mount_count);
	fixture->top = tracefs_create_dir("eventfs_kunit", NULL);
	KUNIT_ASSERT_NOT_NULL(test, fixture->top);
	events = ek_new_dir(test);
	KUNIT_ASSERT_EQ(test, ek_try_create_events(events, fixture->top), 0);
	fixture->events = events;
	return 0;
}

static void ek_exit(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir;

	if (!fixture)
		return;

	/* Tasks are still waiting only if the case was aborted. */
	list_for_each_entry(dir, &fixture->dirs, list) {
		ek_open_gate(&dir->gate);
		ek_open_gate(&dir->other_gate);
	}
	flush_workqueue(ek_wq);

	if (fixture->events)
		eventfs_remove_events_dir(fixture->events->node);
	tracefs_remove(fixture->top);
	/* Nodes are freed after a grace period. Wait for it before the next case. */
	rcu_barrier();

	list_for_each_entry(dir, &fixture->dirs, list) {
		for (int i = 0; i < EK_NR_FILES; i++) {
			int times = dir->node && ek_entries[i].release;

			KUNIT_EXPECT_EQ_MSG(test, atomic_read(&dir->released[i]), times,
					    "releases of %s", ek_entries[i].name);
		}
		KUNIT_EXPECT_EQ(test, atomic_read(&dir->late), 0);
	}
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 0);
	KUNIT_EXPECT_EQ(test, ek_count_inodes(0), fixture->all_inodes);
	KUNIT_EXPECT_EQ(test, READ_ONCE(tracefs_mount_count), fixture->pins);
}

static int ek_suite_init(struct kunit_suite *suite)
{
	struct file_system_type *type = get_fs_type("tracefs");

	if (!type)
		return -ENODEV;
	ek_mnt = kern_mount(type);
	put_filesystem(type);
	if (IS_ERR(ek_mnt))
		return PTR_ERR(ek_mnt);

	ek_wq = alloc_workqueue("eventfs_kunit", WQ_UNBOUND, 0);
	if (!ek_wq) {
		kern_unmount(ek_mnt);
		return -ENOMEM;
	}
	return 0;
}

static void ek_suite_exit(struct kunit_suite *suite)
{
	if (!ek_wq)
		return;
	destroy_workqueue(ek_wq);
	kern_unmount(ek_mnt);
}

/* Most cases start with a system that has one event. */
static struct ek_dir *ek_create_event(struct kunit *test, struct ek_dir **sys)
{
	struct ek_fixture *fixture = test->priv;

	*sys = ek_create(test, fixture->events, "sys");
	return ek_create(test, *sys, "event");
}

/*
 * Lookup
 */

/* Fails without: eventfs_lookup_miss() for a name that is not in the index. */
static void absent_name_is_not_found(struct kunit *test)
{
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	EK_EXPECT_ABSENT(test, "events/none");
	EK_EXPECT_ABSENT(test, "events/none/format");
	EK_EXPECT_ABSENT(test, "events/sys/none");
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	/* Names of other directories are not found here. */
	EK_EXPECT_ABSENT(test, "events/event");
	EK_EXPECT_ABSENT(test, "events/sys/sys");
}

/* Fails without: i_private, i_mode or i_fop of a file; the search for a child. */
static void existing_name_is_found(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct file *file;
	struct kstat stat;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/format");
	EK_EXPECT_FOUND(test, "events/sys/format");
	file = ek_open(test, "events/sys/event/format");
	KUNIT_EXPECT_PTR_EQ(test, file->private_data, (void *)event);
	KUNIT_EXPECT_PTR_EQ(test, file->f_op, &ek_file_operations);
	ek_close(file);
	stat = ek_stat(test, "events/sys/event/format");
	KUNIT_EXPECT_EQ(test, stat.mode, S_IFREG | EK_MODE);
	stat = ek_stat(test, "events/sys/event");
	KUNIT_EXPECT_EQ(test, stat.mode, S_IFDIR | 0755);
}

/* Fails without: hashing of positive dentries; ->d_revalidate() returning 1 under RCU. */
static void found_name_is_cached(struct kunit *test)
{
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	EK_EXPECT_UNCACHED(test, "events/sys/event/format");
	for (int i = 0; i < 3; i++) {
		EK_EXPECT_FOUND(test, "events/sys/event/format");
		EK_EXPECT_CACHED(test, "events/sys/event/format");
		EK_EXPECT_CACHED(test, "events/sys/event");
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&event->calls), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&sys->calls), 0);

	/* A new sibling does not matter. */
	ek_create(test, sys, "other");
	EK_EXPECT_CACHED(test, "events/sys/event/format");
}

/* Fails without: eventfs_splice() in eventfs_lookup_miss(). */
static void miss_is_cached(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	EK_EXPECT_UNCACHED(test, "events/sys/none");
	EK_EXPECT_ABSENT(test, "events/sys/none");
	EK_EXPECT_CACHED_MISS(test, "events/sys/none");

	/* It does not matter that another directory gains or loses children. */
	ek_create(test, fixture->events, "other");
	EK_EXPECT_CACHED_MISS(test, "events/sys/none");
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	ek_remove(ek_create(test, fixture->events, "another"));
	EK_EXPECT_CACHED_MISS(test, "events/sys/none");
	EK_EXPECT_CACHED_MISS(test, "events/sys/event/none");
}

/* Fails without: the comparison of generations in eventfs_revalidate_name(). */
static void miss_does_not_hide_new_name(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys;

	EK_EXPECT_ABSENT(test, "events/sys");
	EK_EXPECT_CACHED_MISS(test, "events/sys");
	sys = ek_create(test, fixture->events, "sys");
	EK_EXPECT_UNCACHED(test, "events/sys");
	EK_EXPECT_FOUND(test, "events/sys");
	EK_EXPECT_CACHED(test, "events/sys");

	/* The first child of a directory is like any other. */
	EK_EXPECT_ABSENT(test, "events/sys/event");
	ek_create(test, sys, "event");
	EK_EXPECT_FOUND(test, "events/sys/event");
}

/* Fails without: the search in eventfs_revalidate_name(). */
static void miss_outlives_other_changes(struct kunit *test)
{
	struct ek_dir *sys, *child;

	ek_create_event(test, &sys);
	EK_EXPECT_ABSENT(test, "events/sys/none");
	for (int i = 0; i < 3; i++) {
		char name[] = "child0";

		name[5] += i;
		EK_EXPECT_CACHED_MISS(test, "events/sys/none");
		child = ek_create(test, sys, name);
		EK_EXPECT_CACHED_MISS(test, "events/sys/none");
		ek_remove(child);
	}
	EK_EXPECT_CACHED_MISS(test, "events/sys/none");
	ek_create(test, sys, "none");
	EK_EXPECT_UNCACHED(test, "events/sys/none");
	EK_EXPECT_FOUND(test, "events/sys/none");
}

/*
 * Generations wrap after 2^32 changes. So it means nothing whether a miss has a lower or
 * a higher one than its directory. Fails without: the store to d_time in
 * eventfs_revalidate_name(). Fails with: a comparison by order.
 */
static void miss_of_any_other_generation_is_searched_again(struct kunit *test)
{
	/* The directory's generation is 1. */
	static const u32 others[] = { 0, 2, S32_MAX, 1U << 31, U32_MAX };
	struct qstr name = QSTR_INIT("none", 4);
	struct dentry *dentry;
	struct ek_dir *sys;
	struct path path;

	ek_create_event(test, &sys);
	ek_hold(test, "events/sys", &path);
	name.hash = full_name_hash(path.dentry, name.name, name.len);
	EK_EXPECT_ABSENT(test, "events/sys/none");
	dentry = d_lookup(path.dentry, &name);
	KUNIT_ASSERT_NOT_NULL(test, dentry);
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		KUNIT_EXPECT_EQ(test, READ_ONCE(dentry->d_time), 1);
		WRITE_ONCE(dentry->d_time, others[i]);
		EK_EXPECT_CACHED_MISS(test, "events/sys/none");
	}
	dput(dentry);
	path_put(&path);
}

/* The number of misses in a tree is limited. Fails without: EVENTFS_MAX_MISSES. */
static void misses_are_limited(struct kunit *test)
{
	enum { MAX = 4096 };
	char name[32];

	ek_reclaim(test);
	for (int i = 0; i <= MAX; i++) {
		snprintf(name, sizeof(name), "events/none%d", i);
		EK_EXPECT_ABSENT(test, name);
	}
	EK_EXPECT_UNCACHED(test, name);
	EK_EXPECT_CACHED_MISS(test, "events/none0");
	ek_reclaim(test);
	EK_EXPECT_ABSENT(test, name);
	EK_EXPECT_CACHED_MISS(test, name);
}

/* Fails without: the test of the callback's result. Fails with: caching it as a miss. */
static void declined_name_is_not_cached(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct ek_scan *scan;

	event = ek_create_event(test, &sys);
	event->declines = true;
	EK_EXPECT_ABSENT(test, "events/sys/event/maybe");
	EK_EXPECT_UNCACHED(test, "events/sys/event/maybe");
	EK_EXPECT_ABSENT(test, "events/sys/event/maybe");
	KUNIT_EXPECT_EQ(test, atomic_read(&event->calls), 2);
	scan = ek_list(test, "events/sys/event", 16, 16);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES - 1);
	KUNIT_EXPECT_EQ(test, ek_listed(scan, "maybe"), 0);

	event->declines = false;
	EK_EXPECT_FOUND(test, "events/sys/event/maybe");
	scan = ek_list(test, "events/sys/event", 16, 16);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES);
	KUNIT_EXPECT_EQ(test, ek_listed(scan, "maybe"), 1);
}

/* Fails without: eventfs_unpublish(), or eventfs_drop_cached(). */
static void deleted_name_is_gone(struct kunit *test)
{
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	ek_remove(event);
	EK_EXPECT_UNCACHED(test, "events/sys/event");
	EK_EXPECT_ABSENT(test, "events/sys/event/format");
	EK_EXPECT_ABSENT(test, "events/sys/event");
	EK_EXPECT_CACHED_MISS(test, "events/sys/event");
	EK_EXPECT_FOUND(test, "events/sys/format");
}

/* Fails without: a new number for each creation; dropping the dentry of a dead node. */
static void recreated_name_is_another(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct kstat old_dir, old_file, stat;
	struct path held;
	struct file *file;

	event = ek_create_event(test, &sys);
	old_dir = ek_stat(test, "events/sys/event");
	old_file = ek_stat(test, "events/sys/event/format");
	ek_hold(test, "events/sys/event", &held);

	ek_remove(event);
	event = ek_create(test, sys, "event");
	stat = ek_stat(test, "events/sys/event");
	KUNIT_EXPECT_NE(test, stat.ino, old_dir.ino);
	KUNIT_EXPECT_EQ(test, stat.nlink, 1);
	KUNIT_EXPECT_NE(test, ek_stat(test, "events/sys/event/format").ino, old_file.ino);
	file = ek_open(test, "events/sys/event/format");
	KUNIT_EXPECT_PTR_EQ(test, file->private_data, (void *)event);
	ek_close(file);

	/* The path that was held still leads to the old directory. */
	stat = ek_stat_path(test, &held);
	KUNIT_EXPECT_EQ(test, stat.ino, old_dir.ino);
	KUNIT_EXPECT_EQ(test, stat.nlink, 0);
	path_put(&held);
}

/* Fails without: hashing directory inodes by node. */
static void directory_keeps_its_inode(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct inode *inode;
	struct path path;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &path);
	inode = igrab(d_inode(path.dentry));
	path_put(&path);
	ek_reclaim(test);
	EK_EXPECT_UNCACHED(test, "events/sys/event");

	ek_hold(test, "events/sys/event", &path);
	KUNIT_EXPECT_PTR_EQ(test, d_inode(path.dentry), inode);
	path_put(&path);

	/* A reference to the inode alone, like that of a watch, also keeps the node. */
	ek_reclaim(test);
	ek_remove(event);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	iput(inode);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
}

/* Fails without: the references that dentries and inodes hold, or any put of them. */
static void cache_gives_back_what_it_took(struct kunit *test)
{
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	for (int i = 0; i < 3; i++) {
		EK_EXPECT_FOUND(test, "events/sys/event/format");
		EK_EXPECT_FOUND(test, "events/sys/enable");
		EK_EXPECT_ABSENT(test, "events/sys/event/none");
		KUNIT_EXPECT_EQ(test, ek_inodes(test), 5);
		ek_reclaim(test);
		KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
		KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	}
}

/*
 * Removal
 */

/*
 * If nothing is in use, nothing remains after a removal. Fails without: d_invalidate()
 * in eventfs_drop_alias(), or any put of the node.
 */
static void removal_leaves_nothing_cached(struct kunit *test)
{
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/sys/enable");
	EK_EXPECT_FOUND(test, "events/sys/event/enable");
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	EK_EXPECT_ABSENT(test, "events/sys/none");

	ek_remove(event);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 3);	/* events, sys, enable */
	ek_remove(sys);
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/* Like the previous case, but removed all at once. Fails without: eventfs_deepest(). */
static void removal_takes_what_is_below(struct kunit *test)
{
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	ek_remove(sys);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
	EK_EXPECT_ABSENT(test, "events/sys/event");
}

/*
 * A task may have it as working directory. Fails without: the reference in d_fsdata;
 * d_invalidate(), without which the dentry goes to the LRU at its last put.
 */
static void removed_while_a_path_is_held(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct path held, path;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &held);
	EK_EXPECT_FOUND(test, "events/sys/event/enable");
	ek_remove(event);

	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	KUNIT_EXPECT_TRUE(test, d_unlinked(held.dentry));
	/* No lookup may keep the walk over its dentries busy. */
	KUNIT_EXPECT_TRUE(test, IS_DEADDIR(d_inode(held.dentry)));
	KUNIT_EXPECT_EQ(test, ek_stat_path(test, &held).nlink, 0);
	KUNIT_EXPECT_EQ(test, vfs_path_lookup(held.dentry, ek_mnt, "format", 0, &path), -ENOENT);
	KUNIT_EXPECT_EQ(test, vfs_path_lookup(held.dentry, ek_mnt, "none", 0, &path), -ENOENT);
	/* A lookup in a dead directory caches nothing. */
	KUNIT_EXPECT_EQ(test, vfs_path_lookup(held.dentry, ek_mnt, "none", LOOKUP_CACHED, &path),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, ek_set_path(&held, &(struct iattr) {
		.ia_valid = ATTR_MODE, .ia_mode = 0700 }), 0);
	KUNIT_EXPECT_EQ(test, ek_stat_path(test, &held).mode, S_IFDIR | 0700);

	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
}

/* Fails without: eventfs_delete_miss(), as the miss goes to the LRU at its last put. */
static void removed_while_a_miss_is_in_use(struct kunit *test)
{
	struct qstr name = QSTR_INIT("none", 4);
	struct ek_dir *sys, *event;
	struct dentry *dentry;
	struct path path;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &path);
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	name.hash = full_name_hash(path.dentry, name.name, name.len);
	dentry = d_lookup(path.dentry, &name);
	KUNIT_ASSERT_NOT_NULL(test, dentry);
	path_put(&path);
	ek_remove(event);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	dput(dentry);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
}

/* Fails without: eventfs_drop_alias() of files, as the dentry goes to the LRU at the close. */
static void removed_while_a_file_is_open(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct file *file, *other;

	event = ek_create_event(test, &sys);
	file = ek_open(test, "events/sys/event/format");
	other = ek_open(test, "events/sys/event/enable");
	ek_remove(event);

	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	KUNIT_EXPECT_TRUE(test, d_unlinked(file->f_path.dentry));
	ek_close(other);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	ek_close(file);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
}

/* Fails without: the test for a dead node in eventfs_iterate(). */
static void removed_while_a_directory_is_open(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct ek_scan *scan = ek_new_scan(test, 16);
	struct file *fresh, *begun, *at_end;

	event = ek_create_event(test, &sys);
	fresh = ek_open(test, "events/sys");
	begun = ek_open(test, "events/sys");
	at_end = ek_open(test, "events/sys");
	KUNIT_EXPECT_EQ(test, ek_list_some(begun, scan, 3), 3);
	KUNIT_EXPECT_EQ(test, ek_list_rest(at_end, scan, 16), 0);
	ek_remove(sys);

	KUNIT_EXPECT_EQ(test, ek_list_some(fresh, scan, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, ek_list_some(begun, scan, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, ek_list_some(at_end, scan, 1), -ENOENT);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	ek_close(fresh);
	ek_close(begun);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(sys));
	ek_close(at_end);
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/*
 * The lookup is held up in its callback. The removal must wait for it and find the
 * dentry that it hashes. Meanwhile, the names are still cached, but no longer valid.
 * Fails without: eventfs_get_active(), wait_var_event(), or the test for a dead node
 * in eventfs_revalidate_dir().
 */
static void removal_waits_for_lookup(struct kunit *test)
{
	struct ek_work *lookup, *remove;
	struct ek_dir *sys, *event;
	struct path held, path;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/sys/event/enable");
	ek_hold(test, "events/sys/event", &held);
	lookup = ek_enter_gate(test, &event->gate, "events/sys/event/gate");
	remove = ek_start(test, ek_do_remove, event, NULL);
	ek_wait_dead(test, &held);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&remove->done, EK_MOMENT), 0);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	KUNIT_EXPECT_EQ(test, vfs_path_lookup(held.dentry, ek_mnt, "enable", LOOKUP_CACHED, &path),
			-EAGAIN);
	EK_EXPECT_UNCACHED(test, "events/sys/event");
	EK_EXPECT_ABSENT(test, "events/sys/event");

	ek_open_gate(&event->gate);
	ek_join(remove);
	path_put(&held);
	/* The lookup succeeded, and its file is all that remains. */
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	KUNIT_EXPECT_TRUE(test, d_unlinked(lookup->path.dentry));
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	path_put(&lookup->path);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
}

static unsigned int ek_nr_done(struct ek_work * const works[], unsigned int nr)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < nr; i++)
		done += completion_done(&works[i]->done);
	return done;
}

/*
 * Activity is counted. Fails with: a removal that continues before the last active task
 * leaves.
 */
static void removal_waits_for_all(struct kunit *test)
{
	enum { NR = 32 };
	struct eventfs_entry *entries = ek_new_entries(test, NR, ek_callback_gate);
	char (*names)[24] = ek_alloc(test, NR, sizeof(*names));
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *many = ek_new_dir(test);
	unsigned long end = jiffies + EK_LONG;
	struct ek_work *lookups[NR], *remove;
	struct path held;

	/* The releases that ek_exit() expects */
	entries[0].release = ek_release_format;
	entries[1].release = ek_release_gate;
	KUNIT_ASSERT_EQ(test, ek_adopt(many, eventfs_create_dir("many", fixture->events->node,
								entries, NR, many)), 0);
	ek_hold(test, "events/many", &held);
	WRITE_ONCE(many->gate.shut, true);
	for (int i = 0; i < NR; i++) {
		snprintf(names[i], sizeof(names[i]), "events/many/f%d", i);
		lookups[i] = ek_start(test, ek_do_lookup, NULL, names[i]);
	}
	for (int i = 0; i < NR; i++)
		ek_wait_entered(test, &many->gate);
	remove = ek_start(test, ek_do_remove, many, NULL);
	ek_wait_dead(test, &held);

	/* All but one leave. */
	for (int i = 0; i < NR - 1; i++)
		complete(&many->gate.open);
	while (ek_nr_done(lookups, NR) < NR - 1 && time_before(jiffies, end))
		cond_resched();
	KUNIT_EXPECT_EQ(test, ek_nr_done(lookups, NR), NR - 1);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&remove->done, EK_MOMENT), 0);

	ek_open_gate(&many->gate);
	ek_join(remove);
	path_put(&held);
	for (int i = 0; i < NR; i++) {
		KUNIT_EXPECT_EQ(test, ek_join(lookups[i]), 0);
		if (!lookups[i]->error)
			path_put(&lookups[i]->path);
	}
	KUNIT_EXPECT_TRUE(test, ek_is_released(many));
}

/* Fails without: eventfs_drain() for directories below the one that is removed. */
static void removal_waits_for_lookup_below(struct kunit *test)
{
	struct ek_work *lookup, *remove;
	struct ek_dir *sys, *event;
	struct path held;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &held);
	lookup = ek_enter_gate(test, &event->gate, "events/sys/event/gate");
	remove = ek_start(test, ek_do_remove, sys, NULL);
	ek_wait_dead(test, &held);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&remove->done, EK_MOMENT), 0);

	ek_open_gate(&event->gate);
	ek_join(remove);
	path_put(&held);
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	path_put(&lookup->path);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/* List a directory in one go. With work->dir, the reader is held up at its gate. */
static void ek_do_list(struct ek_work *work)
{
	struct ek_name names[16];
	struct ek_scan scan = {
		.ctx.actor	= ek_actor,
		.max		= ARRAY_SIZE(names),
		.names		= names,
		.stuck		= work->dir ? &work->dir->gate : NULL,
	};
	struct file *file;

	work->error = ek_lookup(work->test, work->name, 0, &work->path);
	if (work->error)
		return;
	file = dentry_open(&work->path, O_RDONLY, current_cred());
	path_put(&work->path);
	if (IS_ERR(file)) {
		work->error = PTR_ERR(file);
		return;
	}
	work->error = ek_list_rest(file, &scan, scan.max);
	ek_close(file);
}

/* Fails without: the activity around the callback in eventfs_emit_file(). */
static void removal_waits_for_listing(struct kunit *test)
{
	struct ek_work *list, *remove;
	struct ek_dir *sys, *event;
	struct path held;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &held);
	WRITE_ONCE(event->gate.shut, true);
	list = ek_start(test, ek_do_list, NULL, "events/sys/event");
	ek_wait_entered(test, &event->gate);
	remove = ek_start(test, ek_do_remove, event, NULL);
	ek_wait_dead(test, &held);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&remove->done, EK_MOMENT), 0);

	ek_open_gate(&event->gate);
	ek_join(remove);
	/* It ends after the last file, or fails because the directory is gone. */
	if (ek_join(list))
		KUNIT_EXPECT_EQ(test, list->error, -ENOENT);
	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
}

/*
 * A lookup of the name unhashes the dying directory. After that, an unused file is
 * cached below it. d_invalidate() does nothing for an unhashed dentry. A second lookup
 * keeps the removal waiting until then. Fails without: shrink_dcache_parent() in
 * eventfs_drop_alias().
 */
static void removal_drops_what_is_below_a_stale_name(struct kunit *test)
{
	struct ek_work *lookup, *other, *remove;
	struct ek_dir *sys, *event;
	struct path held;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event", &held);
	lookup = ek_enter_gate(test, &event->gate, "events/sys/event/gate");
	other = ek_enter_gate(test, &event->other_gate, "events/sys/event/maybe");
	remove = ek_start(test, ek_do_remove, event, NULL);
	ek_wait_dead(test, &held);
	EK_EXPECT_ABSENT(test, "events/sys/event");

	ek_open_gate(&event->gate);
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	path_put(&lookup->path);
	ek_open_gate(&event->other_gate);
	ek_join(remove);
	KUNIT_ASSERT_EQ(test, ek_join(other), 0);
	path_put(&other->path);
	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
}

/*
 * An object whose last use ends during a removal is freed too, whether the removal is
 * done with its directory (the event) or not (the system). The gate of the system holds
 * the removal up in between. Fails without: eventfs_drop_alias() of files for the
 * former, of the directory for the latter.
 */
static void what_is_let_go_during_removal_goes(struct kunit *test)
{
	struct path held, event_file, sys_file, sys_late;
	struct ek_work *lookup, *remove;
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys", &held);
	ek_hold(test, "events/sys/event/format", &event_file);
	ek_hold(test, "events/sys/format", &sys_file);
	ek_hold(test, "events/sys/enable", &sys_late);
	lookup = ek_enter_gate(test, &sys->gate, "events/sys/gate");
	remove = ek_start(test, ek_do_remove, sys, NULL);
	ek_wait_dead(test, &held);

	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	path_put(&event_file);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	path_put(&sys_file);
	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(sys));

	ek_open_gate(&sys->gate);
	ek_join(remove);
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	path_put(&lookup->path);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(sys));
	path_put(&sys_late);
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

static void ek_do_create(struct ek_work *work)
{
	struct eventfs_inode *node = eventfs_create_dir(work->name, work->dir->node, NULL, 0, NULL);

	work->error = PTR_ERR_OR_ZERO(node);
}

static void ek_expect_soon(struct kunit *test, struct ek_work *work, const char *what)
{
	KUNIT_EXPECT_NE_MSG(test, wait_for_completion_timeout(&work->done, EK_LONG), 0,
			    "%s", what);
}

/* Fails with: the tree's lock held around a callback, or a change that takes i_rwsem. */
static void stuck_callback_delays_nothing_else(struct kunit *test)
{
	struct ek_work *lookup, *create, *remove;
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	lookup = ek_enter_gate(test, &sys->gate, "events/sys/gate");
	create = ek_start(test, ek_do_create, sys, "other");
	ek_expect_soon(test, create, "create");
	remove = ek_start(test, ek_do_remove, event, NULL);
	ek_expect_soon(test, remove, "remove");

	ek_open_gate(&sys->gate);
	KUNIT_EXPECT_EQ(test, ek_join(create), 0);
	ek_join(remove);
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	path_put(&lookup->path);
	EK_EXPECT_FOUND(test, "events/sys/other");
	EK_EXPECT_ABSENT(test, "events/sys/event");
}

/*
 * The reader is stuck at the event that is removed, and holds a reference to its node.
 * Fails with: a reader that holds the node active or the tree's lock; a change that
 * takes i_rwsem.
 */
static void stuck_reader_delays_nothing(struct kunit *test)
{
	struct ek_work *list, *create, *remove;
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	list = ek_start(test, ek_do_list, sys, "events/sys");
	ek_wait_entered(test, &sys->gate);
	create = ek_start(test, ek_do_create, sys, "other");
	ek_expect_soon(test, create, "create");
	remove = ek_start(test, ek_do_remove, event, NULL);
	ek_expect_soon(test, remove, "remove");
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));

	ek_open_gate(&sys->gate);
	KUNIT_EXPECT_EQ(test, ek_join(create), 0);
	ek_join(remove);
	KUNIT_EXPECT_EQ(test, ek_join(list), 0);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
}

/* Fails without: the test for a dead parent in eventfs_publish(). */
static void dying_parent_takes_no_child(struct kunit *test)
{
	struct ek_work *lookup, *remove, *create;
	struct ek_dir *sys, *event;
	struct path held;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys", &held);
	lookup = ek_enter_gate(test, &sys->gate, "events/sys/gate");
	remove = ek_start(test, ek_do_remove, sys, NULL);
	ek_wait_dead(test, &held);
	create = ek_start(test, ek_do_create, sys, "child");
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));

	ek_open_gate(&sys->gate);
	ek_join(remove);
	KUNIT_EXPECT_EQ(test, ek_join(create), -ENODEV);
	/* @held keeps the node, so the test may try again. */
	KUNIT_EXPECT_PTR_EQ(test, eventfs_create_dir("child", sys->node, NULL, 0, NULL),
			    ERR_PTR(-ENODEV));
	KUNIT_ASSERT_EQ(test, ek_join(lookup), 0);
	path_put(&lookup->path);
	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
}

/* Fails without: the tests for NULL in both functions. */
static void removing_null_does_nothing(struct kunit *test)
{
	eventfs_remove_dir(NULL);
	eventfs_remove_events_dir(NULL);
	EK_EXPECT_FOUND(test, "events");
}

/* Fails without: eventfs_root() in eventfs_remove_events_dir(). */
static void tree_is_removed_through_any_node(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *events = fixture->events;
	struct ek_dir *sys, *event;
	struct path held;

	event = ek_create_event(test, &sys);
	KUNIT_EXPECT_EQ(test, ek_stat(test, ".").nlink, 3);
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	ek_hold(test, "events", &held);
	ek_remove_events(test, event);

	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(events));
	EK_EXPECT_ABSENT(test, "events");
	KUNIT_EXPECT_EQ(test, ek_stat(test, ".").nlink, 2);
	path_put(&held);
	KUNIT_EXPECT_TRUE(test, ek_is_released(events));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 0);

	/* The name can be used again. */
	events = ek_new_dir(test);
	KUNIT_ASSERT_EQ(test, ek_try_create_events(events, fixture->top), 0);
	fixture->events = events;
	EK_EXPECT_FOUND(test, "events/format");
	EK_EXPECT_ABSENT(test, "events/sys");
}

/* Fails without: either eventfs_drop_alias() in eventfs_drop_cached(). */
static void tree_with_a_thousand_children_is_removed(struct kunit *test)
{
	enum { NR = 1000, STEP = 100 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_dir **dirs = ek_alloc(test, NR, sizeof(*dirs));
	struct path held[NR / STEP];
	unsigned int released = 0;
	char name[48];

	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "events/sys/child%d/format", i);
		dirs[i] = ek_new_dir(test);
		name[strlen(name) - strlen("/format")] = '\0';
		KUNIT_ASSERT_EQ(test, ek_try_create(dirs[i], sys, strrchr(name, '/') + 1), 0);
		if (i % 3 && i % STEP)
			continue;
		strcat(name, "/format");
		if (i % STEP)
			EK_EXPECT_FOUND(test, name);
		else
			ek_hold(test, name, &held[i / STEP]);
	}

	ek_remove_events(test, sys);
	for (int i = 0; i < NR; i++)
		released += ek_is_released(dirs[i]);
	KUNIT_EXPECT_EQ(test, released, NR - ARRAY_SIZE(held));
	for (int i = 0; i < ARRAY_SIZE(held); i++) {
		path_put(&held[i]);
		KUNIT_EXPECT_TRUE(test, ek_is_released(dirs[i * STEP]));
	}
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 0);
}

/* Fails without: the loop in eventfs_put(), for the chain of parents. */
static void nested_directories_go_from_the_bottom_up(struct kunit *test)
{
	enum { DEPTH = 32 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dirs[DEPTH], *parent = fixture->events;
	char name[sizeof("events") + 2 * DEPTH + sizeof("/format")] = "events";
	struct path held;

	for (int i = 0; i < DEPTH; i++) {
		dirs[i] = ek_create(test, parent, "d");
		parent = dirs[i];
		strcat(name, "/d");
	}
	strcat(name, "/format");
	EK_EXPECT_FOUND(test, name);
	EK_EXPECT_CACHED(test, name);
	ek_hold(test, name, &held);

	ek_remove(dirs[0]);
	for (int i = 0; i < DEPTH; i++)
		KUNIT_EXPECT_TRUE(test, ek_is_unreleased(dirs[i]));
	path_put(&held);
	for (int i = 0; i < DEPTH; i++)
		KUNIT_EXPECT_TRUE(test, ek_is_released(dirs[i]));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/* Like tracing instances. Fails without: a new generation; a root for each tree. */
static void two_trees_stand_side_by_side(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct dentry *top = tracefs_create_dir("instance", fixture->top);
	struct ek_dir *events = ek_new_dir(test);
	struct ek_dir *sys, *other, *event;

	KUNIT_ASSERT_NOT_NULL(test, top);
	KUNIT_ASSERT_EQ(test, ek_try_create_events(events, top), 0);
	event = ek_create_event(test, &sys);
	EK_EXPECT_ABSENT(test, "instance/events/sys");
	other = ek_create(test, events, "sys");
	EK_EXPECT_FOUND(test, "instance/events/sys/format");
	EK_EXPECT_ABSENT(test, "instance/events/sys/event");
	KUNIT_EXPECT_NE(test, ek_stat(test, "instance/events/sys").ino,
			ek_stat(test, "events/sys").ino);

	EK_EXPECT_FOUND(test, "events/sys/event/format");
	eventfs_remove_events_dir(other->node);
	KUNIT_EXPECT_TRUE(test, ek_is_released(other));
	KUNIT_EXPECT_TRUE(test, ek_is_released(events));
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	EK_EXPECT_CACHED(test, "events/sys/event/format");
	EK_EXPECT_ABSENT(test, "instance/events");
	tracefs_remove(top);
	EK_EXPECT_ABSENT(test, "instance");
}

/*
 * Creation: errors change nothing
 */

static void ek_expect_error(struct kunit *test, struct eventfs_inode *node, int error,
			    const char *what)
{
	KUNIT_EXPECT_TRUE_MSG(test, IS_ERR(node), "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, PTR_ERR_OR_ZERO(node), error, "%s", what);
}

/* Both ways to create @name in the fixture's tree */
static void ek_expect_bad_name(struct kunit *test, const char *name, int error)
{
	struct ek_fixture *fixture = test->priv;

	ek_expect_error(test, eventfs_create_dir(name, fixture->events->node, NULL, 0, NULL),
			error, name);
	ek_expect_error(test, eventfs_create_events_dir(name, fixture->top, NULL, 0, NULL),
			error, name);
}

/* Fails without: any test in eventfs_check_name(). */
static void bad_name_is_refused(struct kunit *test)
{
	char name[NAME_MAX + 2];

	ek_expect_bad_name(test, "", -EINVAL);
	ek_expect_bad_name(test, ".", -EINVAL);
	ek_expect_bad_name(test, "..", -EINVAL);
	ek_expect_bad_name(test, "/", -EINVAL);
	ek_expect_bad_name(test, "a/b", -EINVAL);
	ek_expect_bad_name(test, "a/", -EINVAL);
	memset(name, 'a', sizeof(name));
	name[NAME_MAX + 1] = '\0';
	ek_expect_bad_name(test, name, -ENAMETOOLONG);
	/* A slash at any position in a word */
	name[20] = '\0';
	for (int i = 0; i < 20; i++) {
		name[i] = '/';
		ek_expect_bad_name(test, name, -EINVAL);
		name[i] = 'a';
	}
	KUNIT_EXPECT_EQ(test, ek_list(test, "events", 16, 16)->nr, 2 + EK_NR_FILES);
}

/* Fails with: a check that refuses one of these names. */
static void unusual_name_is_taken(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	char name[sizeof("events/") + NAME_MAX] = "events/";
	char *longest = name + strlen(name);

	memset(longest, 'a', NAME_MAX);
	ek_create(test, fixture->events, longest);
	EK_EXPECT_FOUND(test, name);
	ek_create(test, fixture->events, "...");
	EK_EXPECT_FOUND(test, "events/...");
	ek_create(test, fixture->events, ".a");
	EK_EXPECT_FOUND(test, "events/.a");
	/* Bytes that differ from a slash by one, or in one bit */
	ek_create(test, fixture->events, "...00000\xaf\xaf\xaf\xaf\xaf\xaf\xaf\xaf\xaf");
	EK_EXPECT_FOUND(test, "events/...00000\xaf\xaf\xaf\xaf\xaf\xaf\xaf\xaf\xaf");
	KUNIT_EXPECT_EQ(test, ek_list(test, "events", 16, 16)->nr, 2 + EK_NR_FILES + 4);
}

/* Fails without: the test of the length in eventfs_lookup(). */
static void longer_name_is_not_looked_up(struct kunit *test)
{
	char name[sizeof("events/") + NAME_MAX + 1] = "events/";

	memset(name + strlen(name), 'a', NAME_MAX + 1);
	EK_EXPECT_PROBE(test, name, 0, -ENAMETOOLONG);
}

/* Fails without: one of the searches in eventfs_publish(). */
static void taken_name_is_refused(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	KUNIT_EXPECT_EQ(test, ek_try_create(ek_new_dir(test), sys, "event"), -EEXIST);
	KUNIT_EXPECT_EQ(test, ek_try_create_events(ek_new_dir(test), fixture->top), -EEXIST);
	KUNIT_EXPECT_EQ(test, ek_listed(ek_list(test, "events/sys", 16, 16), "event"), 1);
	ek_remove(event);
	EK_EXPECT_ABSENT(test, "events/sys/event");
	ek_create(test, sys, "event");
	EK_EXPECT_FOUND(test, "events/sys/event");
}

static void ek_expect_type(struct kunit *test, const char *dir, const char *name, umode_t type)
{
	struct ek_scan *scan = ek_list(test, dir, 16, 16);
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	KUNIT_EXPECT_EQ_MSG(test, ek_stat(test, path).mode & S_IFMT, type, "%s", path);
	KUNIT_EXPECT_EQ_MSG(test, ek_listed(scan, name), 1, "%s", path);
	KUNIT_EXPECT_EQ_MSG(test, scan->names[ek_index(test, scan, name)].type, S_DT(type),
			    "%s", path);
}

/*
 * A probe may have the name of a file of its system, and perf needs the probe's
 * directory. It hides the file, whether that is cached, in use or does not exist.
 * Fails without: the search for a child before that for a file, the search in
 * eventfs_revalidate_name(), or the search in a listing.
 */
static void child_hides_the_file_of_its_name(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys, *child;
	struct path held;
	u64 ino;

	ek_create_event(test, &sys);
	ek_expect_type(test, "events/sys", "format", S_IFREG);
	ek_hold(test, "events/sys/enable", &held);
	ino = ek_stat_path(test, &held).ino;
	for (int i = 0; i < 2; i++) {
		child = ek_create(test, sys, "format");
		EK_EXPECT_UNCACHED(test, "events/sys/format");
		ek_expect_type(test, "events/sys", "format", S_IFDIR);
		EK_EXPECT_CACHED(test, "events/sys/format");
		EK_EXPECT_FOUND(test, "events/sys/format/enable");
		ek_remove(child);
		ek_expect_type(test, "events/sys", "format", S_IFREG);
		EK_EXPECT_CACHED(test, "events/sys/format");
		/* Another child does not make the dentry stale. */
		ek_create(test, sys, i ? "one" : "other");
		EK_EXPECT_CACHED(test, "events/sys/format");
	}

	child = ek_create(test, sys, "enable");
	ek_expect_type(test, "events/sys", "enable", S_IFDIR);
	KUNIT_EXPECT_TRUE(test, d_unlinked(held.dentry));
	ek_remove(child);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/enable").ino, ino);
	path_put(&held);

	sys->declines = true;
	EK_EXPECT_ABSENT(test, "events/sys/maybe");
	child = ek_create(test, sys, "maybe");
	ek_expect_type(test, "events/sys", "maybe", S_IFDIR);
	ek_remove(child);
	EK_EXPECT_ABSENT(test, "events/sys/maybe");

	child = ek_create(test, fixture->events, "enable");
	ek_expect_type(test, "events", "enable", S_IFDIR);
	ek_remove(child);
	ek_expect_type(test, "events", "enable", S_IFREG);
}

/* Fails without: the tests of the parent in both functions. */
static void bad_parent_is_refused(struct kunit *test)
{
	ek_expect_error(test, eventfs_create_dir("a", NULL, NULL, 0, NULL), -EINVAL, "NULL");
	ek_expect_error(test, eventfs_create_dir("a", ERR_PTR(-EEXIST), NULL, 0, NULL),
			-EINVAL, "error pointer");
	ek_expect_error(test, eventfs_create_events_dir("a", ERR_PTR(-ENOENT), NULL, 0, NULL),
			-EINVAL, "error pointer");
}

/* Fails without: any test in eventfs_check(). */
static void bad_size_is_refused(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	static const struct {
		const struct eventfs_entry *entries;
		int size;
	} bad[] = {
		{ ek_entries, -1 }, { ek_entries, 256 }, { ek_entries, INT_MAX },
		{ ek_entries, INT_MIN }, { NULL, 1 }, { NULL, -1 },
	};

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		ek_expect_error(test, eventfs_create_dir("a", fixture->events->node,
							 bad[i].entries, bad[i].size, NULL),
				-EINVAL, "eventfs_create_dir");
		ek_expect_error(test, eventfs_create_events_dir("a", fixture->top,
								bad[i].entries, bad[i].size, NULL),
				-EINVAL, "eventfs_create_events_dir");
	}
}

/* Fails without: nr_entries, which ends the search in the array. */
static void size_may_differ(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct eventfs_inode *node = fixture->events->node;

	node = eventfs_create_dir("none", node, NULL, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);
	EK_EXPECT_ABSENT(test, "events/none/enable");
	KUNIT_EXPECT_EQ(test, ek_list(test, "events/none", 16, 16)->nr, 2);
	node = eventfs_create_dir("one", node, ek_entries, EK_ENABLE + 1, fixture->events);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);
	EK_EXPECT_FOUND(test, "events/none/one/enable");
	EK_EXPECT_ABSENT(test, "events/none/one/format");
	KUNIT_EXPECT_EQ(test, ek_list(test, "events/none/one", 16, 16)->nr, 3);
}

/* Fails without: an inode number and a position for each file. */
static void most_files_are_served(struct kunit *test)
{
	enum { NR = 255 };
	struct eventfs_entry *entries = ek_new_entries(test, NR, ek_callback);
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct eventfs_inode *node;
	struct ek_scan *scan;

	node = eventfs_create_dir("many", sys->node, entries, NR, sys);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);
	node = eventfs_create_dir("child", node, NULL, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);

	scan = ek_list(test, "events/sys/many", NR + 16, 7);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + NR + 1);
	for (int i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ(test, ek_listed(scan, entries[i].name), 1);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/many/f254").ino,
			scan->names[ek_index(test, scan, "f254")].ino);
	/* The directory that was created next has a number after all of these. */
	KUNIT_EXPECT_LT(test, ek_stat(test, "events/sys/many/f254").ino,
			ek_stat(test, "events/sys/many/child").ino);
	ek_remove(sys);
}

/*
 * Listing
 */

/* Fails without: positions that depend on the entry and not on the buffer's size. */
static void position_belongs_to_an_entry(struct kunit *test)
{
	enum { NR = 20 };
	struct ek_dir *sys, *dirs[NR];
	struct ek_scan *scan, *one;
	struct file *file;
	char name[16];

	ek_create_event(test, &sys);
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "child%d", i);
		dirs[i] = ek_create(test, sys, name);
	}

	scan = ek_list(test, "events/sys", 64, 64);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES + 1 + NR);
	one = ek_list(test, "events/sys", 64, 1);
	KUNIT_ASSERT_EQ(test, one->nr, scan->nr);
	for (int i = 0; i < scan->nr; i++) {
		KUNIT_EXPECT_STREQ(test, one->names[i].name, scan->names[i].name);
		KUNIT_EXPECT_EQ(test, one->names[i].pos, scan->names[i].pos);
		KUNIT_EXPECT_LT(test, scan->names[i].pos, 1LL << 31);
		if (i)
			KUNIT_EXPECT_LT(test, scan->names[i - 1].pos, scan->names[i].pos);
	}

	/* Remove every second child. The others keep their positions. */
	for (int i = 0; i < NR; i += 2)
		ek_remove(dirs[i]);
	file = ek_open(test, "events/sys");
	for (int i = 0; i < scan->nr; i++) {
		unsigned int nr;

		one->nr = 0;
		KUNIT_EXPECT_EQ(test, vfs_llseek(file, scan->names[i].pos, SEEK_SET),
				scan->names[i].pos);
		KUNIT_EXPECT_GE(test, ek_list_some(file, one, 1), 0);
		if (sscanf(scan->names[i].name, "child%u", &nr) != 1 || nr % 2)
			KUNIT_EXPECT_STREQ(test, one->names[0].name, scan->names[i].name);
		else if (one->nr)
			KUNIT_EXPECT_GT(test, one->names[0].pos, scan->names[i].pos);
	}

	/* Nothing follows the end. Going back to the start lists everything again. */
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, INT_MAX, SEEK_SET), INT_MAX);
	KUNIT_EXPECT_EQ(test, ek_list_some(file, one, 1), 0);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 1LL << 31, SEEK_SET), -EINVAL);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 0, SEEK_SET), 0);
	one->nr = 0;
	KUNIT_EXPECT_EQ(test, ek_list_rest(file, one, 5), 0);
	KUNIT_EXPECT_EQ(test, one->nr, scan->nr - NR / 2);
	ek_close(file);
}

/* Fails without: positions that stay when other children are created and removed. */
static void what_stands_is_listed_once(struct kunit *test)
{
	enum { NR = 60 };
	struct ek_scan *scan = ek_new_scan(test, 512);
	struct ek_dir *sys, *dirs[NR];
	struct file *file;
	char name[16];
	int next = 0;

	ek_create_event(test, &sys);
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "child%d", i);
		dirs[i] = ek_create(test, sys, name);
	}

	/* Between calls, remove a child and create others. Keep one child in three. */
	file = ek_open(test, "events/sys");
	while (ek_list_some(file, scan, 3) > 0) {
		if (next % 3 == 0)
			next++;
		if (next < NR)
			ek_remove(dirs[next]);
		snprintf(name, sizeof(name), "new%d", next);
		ek_create(test, sys, name);
		if (next % 3 == 2 && next < NR) {
			snprintf(name, sizeof(name), "child%d", next);
			ek_create(test, sys, name);
		}
		next++;
	}
	ek_close(file);

	KUNIT_EXPECT_LT(test, scan->nr, scan->max);
	KUNIT_EXPECT_GT(test, next, 20);
	for (int i = 0; i < NR; i += 3) {
		snprintf(name, sizeof(name), "child%d", i);
		KUNIT_EXPECT_EQ_MSG(test, ek_listed(scan, name), 1, "%s", name);
	}
	for (int i = 0; i < EK_NR_FILES; i++)
		KUNIT_EXPECT_EQ(test, ek_listed(scan, ek_entries[i].name), 1);
	KUNIT_EXPECT_EQ(test, ek_listed(scan, "event"), 1);
}

/* Fails without: the slot in tracefs_ino(), ids, or the types passed to dir_emit(). */
static void inode_numbers_are_unique_and_listed(struct kunit *test)
{
	static const char * const names[] = { "events", "events/sys", "events/sys/event" };
	u64 seen[ARRAY_SIZE(names) * 16];
	struct ek_fixture *fixture = test->priv;
	unsigned int nr = 0;
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	/* Include static objects. */
	KUNIT_ASSERT_NOT_NULL(test, tracefs_create_file("static", 0444, fixture->top, NULL, NULL));
	seen[nr++] = ek_stat(test, "static").ino;
	seen[nr++] = ek_stat(test, ".").ino;
	seen[nr++] = ek_stat(test, "events").ino;
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		struct ek_scan *scan = ek_list(test, names[i], 16, 16);

		for (int k = 0; k < scan->nr; k++) {
			struct ek_name *entry = &scan->names[k];
			struct kstat stat;
			char name[64];

			snprintf(name, sizeof(name), "%s/%s", names[i], entry->name);
			stat = ek_stat(test, name);
			KUNIT_EXPECT_EQ_MSG(test, entry->ino, stat.ino, "%s", name);
			KUNIT_EXPECT_EQ_MSG(test, entry->type, S_DT(stat.mode), "%s", name);
			if (!strcmp(entry->name, ".") || !strcmp(entry->name, ".."))
				continue;
			for (int j = 0; j < nr; j++)
				KUNIT_EXPECT_NE_MSG(test, seen[j], stat.ino, "%s", name);
			seen[nr++] = stat.ino;
		}
	}
	KUNIT_EXPECT_EQ(test, nr, 3 + 3 * EK_NR_FILES + 2);
}

/* Create a directory with the counter of ids at @next. */
static struct ek_dir *ek_create_at(struct kunit *test, struct ek_dir *parent,
				   const char *name, int next)
{
	int before = atomic_xchg(&tracefs_next_id, next);
	struct ek_dir *dir = ek_create(test, parent, name);

	atomic_set(&tracefs_next_id, before);
	return dir;
}

/* Fails with: inodes that are found by number, and not by node and slot. */
static void same_number_is_another_inode(struct kunit *test)
{
	static const char * const names[] = { "events/sys/one", "events/sys/one/format",
					      "events/sys/two", "events/sys/two/format" };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	int next = atomic_read(&tracefs_next_id);
	struct path paths[ARRAY_SIZE(names)];
	struct ek_dir *dirs[2];
	struct file *file;

	/* As if the counter had wrapped between these two */
	dirs[0] = ek_create(test, sys, "one");
	dirs[1] = ek_create_at(test, sys, "two", next);

	for (int i = 0; i < ARRAY_SIZE(names); i++)
		ek_hold(test, names[i], &paths[i]);
	for (int i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, ek_stat_path(test, &paths[i]).ino,
				ek_stat_path(test, &paths[i + 2]).ino);
		KUNIT_EXPECT_PTR_NE(test, d_inode(paths[i].dentry), d_inode(paths[i + 2].dentry));
		file = ek_open(test, names[2 * i + 1]);
		KUNIT_EXPECT_PTR_EQ(test, file->private_data, (void *)dirs[i]);
		ek_close(file);
	}
	for (int i = 0; i < ARRAY_SIZE(names); i++)
		path_put(&paths[i]);
}

/* Fails without: numbers of more than 32 bits; skipping id 0. */
static void numbers_go_on(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_scan *scan;
	u64 ino;

	ek_create_at(test, sys, "last", U32_MAX);
	ek_create_at(test, sys, "first", 0);
	scan = ek_list(test, "events/sys", 16, 16);
	ino = ek_stat(test, "events/sys/last").ino;
	KUNIT_EXPECT_EQ(test, scan->names[ek_index(test, scan, "last")].ino, ino);
	KUNIT_EXPECT_EQ(test, ino,
			(typeof_member(struct inode, i_ino))U32_MAX * TRACEFS_BLOCK_SIZE);
	KUNIT_EXPECT_GE(test, ek_stat(test, "events/sys/first").ino, TRACEFS_BLOCK_SIZE);
}

struct ek_hash {
	u32 hash;
	u32 number;
};

static int ek_compare_hash(const void *a, const void *b)
{
	const struct ek_hash *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The inverse of @odd modulo 2^64. Each step doubles the number of correct bits. */
static u64 ek_inverse(u64 odd)
{
	u64 inverse = odd;

	for (int bits = 3; bits < 64; bits *= 2)
		inverse *= 2 - odd * inverse;
	return inverse;
}

/*
 * Compute the @number-th name with a hash. Return: false if it has a byte that a name
 * cannot have. On most 64-bit machines, the hash in fs/namei.c has a state of two words,
 * which each word of the name changes. It starts as zeros, and ends as zero and a word
 * that folds to @hash. For each first word of a name, one pair of words leads there.
 */
static bool ek_twin(u32 number, u32 hash, char name[25])
{
	u64 words[3], x, y, mid_x, mid_y, mixed;

	snprintf(name, 9, "%08x", number);
	memcpy(&words[0], name, sizeof(words[0]));
	/* The state after the first word */
	x = rol64(words[0], 12) + words[0];
	y = rol64(words[0], 45) * 9;

	/* Backwards from the final state: y, and x before it was rotated */
	mixed = ror64(((u64)hash << 32) * ek_inverse(GOLDEN_RATIO_64) * ek_inverse(9), 45);
	mid_x = ror64(-mixed, 12);
	mid_y = mixed ^ mid_x;

	mixed = ror64(mid_y * ek_inverse(9), 45);
	words[1] = x ^ y ^ mixed;
	words[2] = (rol64(y ^ mixed, 12) + mixed) ^ mid_x;
	memcpy(name, words, sizeof(words));
	name[24] = '\0';
	return strlen(name) == 24 && !strchr(name, '/');
}

/* The next name with a hash. Return: whether this machine hashes it as expected */
static bool ek_next_twin(u32 *number, u32 hash, char name[25])
{
	while (!ek_twin((*number)++, hash, name))
		;
	return full_name_hash(NULL, name, 24) == hash;
}

/*
 * Among 2^14 names, the hashes of about eight pairs should agree in 24 bits. Fails
 * without: the bits that distinguish names with equal hashes, or the comparison of
 * names.
 */
static void names_of_equal_hash_are_told_apart(struct kunit *test)
{
	enum { NR = 1 << 14, MAX_PAIRS = 4 };
	struct ek_hash *hashes = ek_alloc(test, NR, sizeof(*hashes));
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	unsigned int pairs = 0;
	char name[25];
	u32 number = 0;

	for (int i = 0; i < NR; i++) {
		int len = snprintf(name, sizeof(name), "twin%d", i);

		hashes[i].hash = full_name_hash(NULL, name, len) >> 8;
		hashes[i].number = i;
	}
	sort(hashes, NR, sizeof(*hashes), ek_compare_hash, NULL);

	for (int i = 1; i < NR && pairs < MAX_PAIRS; i++) {
		struct ek_dir *first;
		struct ek_scan *scan;
		char a[32], b[32];
		char *twin_a = a + strlen("events/sys/");
		char *twin_b = b + strlen("events/sys/");

		if (hashes[i].hash != hashes[i - 1].hash)
			continue;
		pairs++;
		snprintf(a, sizeof(a), "events/sys/twin%u", hashes[i - 1].number);
		snprintf(b, sizeof(b), "events/sys/twin%u", hashes[i].number);

		first = ek_create(test, sys, twin_a);
		EK_EXPECT_ABSENT(test, b);
		ek_create(test, sys, twin_b);
		EK_EXPECT_FOUND(test, a);
		EK_EXPECT_FOUND(test, b);
		KUNIT_EXPECT_NE(test, ek_stat(test, a).ino, ek_stat(test, b).ino);
		KUNIT_EXPECT_EQ(test, ek_try_create(ek_new_dir(test), sys, twin_a), -EEXIST);
		KUNIT_EXPECT_EQ(test, ek_try_create(ek_new_dir(test), sys, twin_b), -EEXIST);

		/* Adjacent positions show that the hashes are equal. */
		scan = ek_list(test, "events/sys", 64, 1);
		KUNIT_EXPECT_EQ(test, scan->names[ek_index(test, scan, twin_a)].pos + 1,
				scan->names[ek_index(test, scan, twin_b)].pos);

		ek_remove(first);
		EK_EXPECT_ABSENT(test, a);
		EK_EXPECT_FOUND(test, b);
		ek_create(test, sys, twin_a);
		ek_reclaim(test);
		EK_EXPECT_FOUND(test, a);
		EK_EXPECT_FOUND(test, b);
		scan = ek_list(test, "events/sys", 64, 1);
		KUNIT_EXPECT_EQ(test, ek_listed(scan, twin_a), 1);
		KUNIT_EXPECT_EQ(test, ek_listed(scan, twin_b), 1);
	}
	if (!pairs && !ek_next_twin(&number, 0, name))
		kunit_skip(test, "this machine hashes names in another way");
	KUNIT_EXPECT_GT(test, pairs, 0);
}

/* Fails without: the test that ends the search for a free key in eventfs_publish(). */
static void names_of_equal_hash_are_limited(struct kunit *test)
{
	enum { NR = 128 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_scan *scan;
	char path[] = "events/sys/012345678901234567890123";
	char *name = path + strlen("events/sys/");
	struct ek_dir *one = NULL;
	u32 number = 0;

	for (int i = 0; i < NR; i++) {
		if (!ek_next_twin(&number, 0, name))
			kunit_skip(test, "this machine hashes names in another way");
		one = ek_create(test, sys, name);
		EK_EXPECT_FOUND(test, path);
	}
	ek_next_twin(&number, 0, name);
	KUNIT_EXPECT_EQ(test, ek_try_create(ek_new_dir(test), sys, name), -ENOSPC);
	EK_EXPECT_ABSENT(test, path);
	scan = ek_list(test, "events/sys", NR + 16, 16);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES + NR);

	/* Another hash has room. So does this one after a removal. */
	ek_create(test, sys, "other");
	ek_remove(one);
	ek_create(test, sys, name);
	EK_EXPECT_FOUND(test, path);
}

/*
 * The maximum number of files, a child at the lowest position, and as many children as
 * possible at the highest. Fails without: a position after each key.
 */
static void last_positions_are_served(struct kunit *test)
{
	enum { NR = 128, FILES = 255, ALL = 2 + FILES + 1 + NR };
	struct ek_fixture *fixture = test->priv;
	struct eventfs_inode *node, *child;
	struct ek_scan *scan, *one;
	u32 number = 0;
	struct file *file;
	char name[25];

	node = eventfs_create_dir("many", fixture->events->node,
				  ek_new_entries(test, FILES, ek_callback), FILES,
				  fixture->events);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);
	for (int i = 0; i <= NR; i++) {
		if (!ek_next_twin(&number, i ? U32_MAX : 0, name))
			kunit_skip(test, "this machine hashes names in another way");
		child = eventfs_create_dir(name, node, NULL, 0, NULL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, child);
	}
	ek_next_twin(&number, U32_MAX, name);
	ek_expect_error(test, eventfs_create_dir(name, node, NULL, 0, NULL), -ENOSPC, name);

	scan = ek_list(test, "events/many", ALL + 16, 1);
	KUNIT_ASSERT_EQ(test, scan->nr, ALL);
	KUNIT_EXPECT_GT(test, scan->names[ALL - 1].pos, INT_MAX - 256);

	one = ek_new_scan(test, 16);
	file = ek_open(test, "events/many");
	for (int i = ALL - 1; i >= 0; i--) {
		loff_t pos = scan->names[i].pos;

		one->nr = 0;
		KUNIT_EXPECT_EQ(test, vfs_llseek(file, pos, SEEK_SET), pos);
		KUNIT_EXPECT_EQ(test, ek_list_some(file, one, 1), 1);
		KUNIT_EXPECT_STREQ(test, one->names[0].name, scan->names[i].name);
		/* The next entry, or the end after the last one */
		KUNIT_EXPECT_EQ(test, vfs_llseek(file, pos + 1, SEEK_SET), pos + 1);
		KUNIT_EXPECT_EQ(test, ek_list_some(file, one, 1), i < ALL - 1);
		if (i < ALL - 1)
			KUNIT_EXPECT_EQ(test, one->names[1].pos, scan->names[i + 1].pos);
	}

	/* Invalid positions, the last valid one, and SEEK_END with a size of 0 */
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, -1, SEEK_SET), -EINVAL);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, INT_MAX, SEEK_SET), INT_MAX);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 1, SEEK_CUR), -EINVAL);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 0, SEEK_CUR), INT_MAX);
	KUNIT_EXPECT_EQ(test, ek_list_some(file, one, 1), 0);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 0, SEEK_END), 0);
	ek_close(file);
	eventfs_remove_dir(node);
}

/*
 * More children than any directory has in practice. Fails without: a search that finds
 * each of them; a listing that can continue after each.
 */
static void many_children_are_served(struct kunit *test)
{
	enum { NR = 20000, STEP = 1000 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_scan *scan;
	u8 *times = ek_alloc(test, NR, sizeof(*times));
	unsigned int once = 0;
	char name[32];

	for (int i = 0; i < NR; i++) {
		struct eventfs_inode *node;

		snprintf(name, sizeof(name), "child%d", i);
		node = eventfs_create_dir(name, sys->node, NULL, 0, NULL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, node);
		cond_resched();
	}
	scan = ek_list(test, "events/sys", NR + 16, 100);
	KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES + NR);
	for (int i = 0; i < scan->nr; i++) {
		unsigned int nr;

		if (sscanf(scan->names[i].name, "child%u", &nr) == 1 && nr < NR)
			times[nr]++;
	}
	for (int i = 0; i < NR; i++)
		once += times[i] == 1;
	KUNIT_EXPECT_EQ(test, once, NR);
	for (int i = 0; i < NR; i += STEP) {
		snprintf(name, sizeof(name), "events/sys/child%d", i);
		EK_EXPECT_FOUND(test, name);
	}
	ek_remove(sys);
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/*
 * Attributes
 */

static const char * const ek_objects[] = {
	"events", "events/sys", "events/sys/event", "events/sys/event/format",
};

/* Fails without: any of the fields that tracefs_update_attr() records. */
static void attributes_survive_reclaim(struct kunit *test)
{
	struct iattr attr = ek_owner(ATTR_UID | ATTR_GID | ATTR_MODE | ATTR_ATIME |
				     ATTR_ATIME_SET | ATTR_MTIME | ATTR_MTIME_SET, 1234);
	struct ek_dir *sys;

	attr.ia_mode = 0604;
	attr.ia_atime.tv_sec = 1000;
	attr.ia_mtime.tv_sec = 2000;
	ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(ek_objects); i++)
		KUNIT_EXPECT_EQ(test, ek_set(test, ek_objects[i], &attr), 0);

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < ARRAY_SIZE(ek_objects); i++) {
			struct kstat stat = ek_stat(test, ek_objects[i]);

			KUNIT_EXPECT_EQ(test, __kuid_val(stat.uid), 1234);
			KUNIT_EXPECT_EQ(test, __kgid_val(stat.gid), 1234);
			KUNIT_EXPECT_EQ(test, stat.mode & S_IALLUGO, 0604);
			KUNIT_EXPECT_EQ(test, stat.atime.tv_sec, 1000);
			KUNIT_EXPECT_EQ(test, stat.mtime.tv_sec, 2000);
			KUNIT_EXPECT_NE(test, stat.ctime.tv_sec, 1000);
			KUNIT_EXPECT_NE(test, stat.ctime.tv_sec, 2000);
		}
		ek_reclaim(test);
		EK_EXPECT_UNCACHED(test, "events/sys");
	}
	/* Setting attributes of one object leaves the others alone. */
	attr = (struct iattr) { .ia_valid = ATTR_MODE, .ia_mode = EK_MODE };
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/event/enable", &attr), 0);
	KUNIT_EXPECT_EQ(test, __kuid_val(ek_stat(test, "events/sys/event/format").uid), 1234);
	KUNIT_EXPECT_EQ(test, __kuid_val(ek_stat(test, "events/sys/event").uid), 1234);
	KUNIT_EXPECT_NE(test, __kuid_val(ek_stat(test, "events/sys/event/enable").uid), 1234);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/event/enable").mode, S_IFREG | EK_MODE);
}

/* Times are kept in ns. Fails without: the range of times in tracefs_fill_super(). */
static void set_times_stay_in_range(struct kunit *test)
{
	struct iattr attr = {
		.ia_valid	= ATTR_ATIME | ATTR_ATIME_SET | ATTR_MTIME | ATTR_MTIME_SET,
		.ia_atime	= { .tv_sec = -5 },
		.ia_mtime	= { .tv_sec = S64_MAX },
	};
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(ek_objects); i++) {
		KUNIT_EXPECT_EQ(test, ek_set(test, ek_objects[i], &attr), 0);
		ek_reclaim(test);
		KUNIT_EXPECT_EQ(test, ek_stat(test, ek_objects[i]).atime.tv_sec, 0);
		KUNIT_EXPECT_EQ(test, ek_stat(test, ek_objects[i]).mtime.tv_sec,
				KTIME_SEC_MAX - 1);
	}
}

/* Fails without: the test for ATTR_SIZE in eventfs_set_attr(). */
static void truncation_changes_nothing(struct kunit *test)
{
	struct iattr attr = { .ia_valid = ATTR_SIZE | ATTR_OPEN | ATTR_MTIME | ATTR_CTIME };
	struct kstat before, after;
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	before = ek_stat(test, "events/sys/event/format");
	ek_tick();
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/event/format", &attr), 0);
	ek_reclaim(test);
	after = ek_stat(test, "events/sys/event/format");
	KUNIT_EXPECT_EQ(test, after.size, 0);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&before.mtime, &after.mtime));
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&before.ctime, &after.ctime));
}

static void ek_expect_uid(struct kunit *test, const char *name, unsigned int uid)
{
	struct path path;

	ek_hold(test, name, &path);
	KUNIT_EXPECT_EQ_MSG(test, __kuid_val(ek_stat_path(test, &path).uid), uid, "%s", name);
	KUNIT_EXPECT_EQ_MSG(test, ek_inode_uid(test, &path), uid, "%s", name);
	path_put(&path);
}

/* The mount's owner, group and mode before the case */
struct ek_owners {
	char options[64];
};

static void ek_restore_owners(void *data)
{
	struct ek_owners *owners = data;

	ek_remount(owners->options);
}

static void ek_save_owners(struct kunit *test)
{
	struct ek_owners *owners = kunit_kzalloc(test, sizeof(*owners), GFP_KERNEL);
	struct path root = { .mnt = ek_mnt, .dentry = ek_mnt->mnt_root };
	struct kstat stat = ek_stat_path(test, &root);

	KUNIT_ASSERT_NOT_NULL(test, owners);
	snprintf(owners->options, sizeof(owners->options), "uid=%u,gid=%u,mode=%o",
		 __kuid_val(stat.uid), __kgid_val(stat.gid), stat.mode & S_IALLUGO);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_restore_owners, owners), 0);
}

/* Fails without: the generation of the defaults, uid_reset, the root's ->setattr. */
static void owner_follows_the_mount_until_set(struct kunit *test)
{
	struct path root = { .mnt = ek_mnt, .dentry = ek_mnt->mnt_root };
	struct ek_dir *sys;
	struct iattr attr;

	ek_save_owners(test);
	ek_create_event(test, &sys);
	attr = ek_owner(ATTR_UID, 11);
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/event/enable", &attr), 0);

	/* Some files are cached, others are not. */
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	KUNIT_EXPECT_EQ(test, ek_remount("gid=21"), 0);
	ek_expect_uid(test, "events/sys/event/enable", 11);
	KUNIT_EXPECT_EQ(test, __kgid_val(ek_stat(test, "events/sys/event/enable").gid), 21);
	KUNIT_EXPECT_EQ(test, __kgid_val(ek_stat(test, "events/sys/gate").gid), 21);

	attr = ek_owner(ATTR_UID, 12);
	KUNIT_EXPECT_EQ(test, ek_set_path(&root, &attr), 0);
	for (int i = 0; i < ARRAY_SIZE(ek_objects); i++)
		ek_expect_uid(test, ek_objects[i], 12);
	ek_expect_uid(test, "events/sys/event/enable", 11);

	KUNIT_EXPECT_EQ(test, ek_remount("uid=13"), 0);
	for (int i = 0; i < ARRAY_SIZE(ek_objects); i++)
		ek_expect_uid(test, ek_objects[i], 13);
	ek_expect_uid(test, "events/sys/event/enable", 13);
	ek_reclaim(test);
	ek_expect_uid(test, "events/sys/event/enable", 13);

	/* Options that are not given change nothing. */
	attr = ek_owner(ATTR_UID, 14);
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/event/enable", &attr), 0);
	KUNIT_EXPECT_EQ(test, ek_remount("gid=22"), 0);
	ek_expect_uid(test, "events/sys/event/enable", 14);
	ek_expect_uid(test, "events/sys/event/format", 13);
	KUNIT_EXPECT_EQ(test, ek_remount(""), 0);
	ek_expect_uid(test, "events/sys/event/enable", 14);
	KUNIT_EXPECT_EQ(test, __kgid_val(ek_stat(test, "events/sys/event/enable").gid), 22);
}

/*
 * The counts of resets and of changes wrap after 2^32 mounts and chowns. An owner with
 * any other count is void, whether that is lower or higher. Fails with: a comparison by
 * order.
 */
static void owner_of_any_other_reset_is_void(struct kunit *test)
{
	static const u32 distances[] = { 1, 1U << 31, U32_MAX };
	const char *name = "events/sys/event/enable";
	struct iattr attr = ek_owner(ATTR_UID | ATTR_GID, 11);
	struct tracefs_attr *set;
	struct tracefs_inode *ti;
	struct ek_dir *sys;
	struct path path;

	ek_save_owners(test);
	ek_create_event(test, &sys);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=10,gid=10"), 0);
	KUNIT_EXPECT_EQ(test, ek_set(test, name, &attr), 0);
	ek_hold(test, name, &path);
	ti = get_tracefs(d_inode(path.dentry));
	/* It is not freed, because nothing else is set here. */
	scoped_guard(rcu)
		set = (struct tracefs_attr *)eventfs_attr(&ti->vfs_inode);
	KUNIT_ASSERT_NOT_NULL(test, set);
	for (int i = 0; i < ARRAY_SIZE(distances); i++) {
		set->uid_reset += distances[i];
		KUNIT_EXPECT_EQ(test, __kuid_val(ek_stat_path(test, &path).uid), 10);
		KUNIT_EXPECT_EQ(test, __kgid_val(ek_stat_path(test, &path).gid), 11);
		set->uid_reset -= distances[i];
		set->gid_reset += distances[i];
		KUNIT_EXPECT_EQ(test, __kuid_val(ek_stat_path(test, &path).uid), 11);
		KUNIT_EXPECT_EQ(test, __kgid_val(ek_stat_path(test, &path).gid), 10);
		set->gid_reset -= distances[i];

		/* Give the copy that the VFS reads another generation. */
		ti->vfs_inode.i_uid = KUIDT_INIT(99);
		ti->generation += distances[i];
		KUNIT_EXPECT_EQ(test, ek_inode_uid(test, &path), 11);
	}
	path_put(&path);
}

static void ek_expect_gid(struct kunit *test, const char *name, unsigned int gid)
{
	KUNIT_EXPECT_EQ_MSG(test, __kgid_val(ek_stat(test, name).gid), gid, "%s", name);
}

/*
 * Static files keep an owner that was set, too. Fails without: tracefs_record_static(),
 * uid_reset, gid_reset.
 */
static void static_owner_follows_the_mount_until_set(struct kunit *test)
{
	struct iattr attr = ek_owner(ATTR_UID, 11);
	struct ek_fixture *fixture = test->priv;

	ek_save_owners(test);
	KUNIT_ASSERT_NOT_NULL(test, tracefs_create_file("file", 0444, fixture->top, NULL, NULL));
	KUNIT_EXPECT_EQ(test, ek_remount("uid=10,gid=10"), 0);
	ek_expect_uid(test, "file", 10);
	KUNIT_EXPECT_EQ(test, ek_set(test, "file", &attr), 0);
	attr = ek_owner(ATTR_GID, 12);
	KUNIT_EXPECT_EQ(test, ek_set(test, "file", &attr), 0);
	ek_expect_uid(test, "file", 11);
	ek_expect_gid(test, "file", 12);
	ek_expect_uid(test, ".", 10);
	attr = (struct iattr) { .ia_valid = ATTR_MODE, .ia_mode = 0600 };
	KUNIT_EXPECT_EQ(test, ek_set(test, "file", &attr), 0);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "file").mode, S_IFREG | 0600);

	KUNIT_EXPECT_EQ(test, ek_remount("gid=13"), 0);
	ek_expect_uid(test, "file", 11);
	ek_expect_gid(test, "file", 13);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=14"), 0);
	ek_expect_uid(test, "file", 14);
}

/*
 * Once the owner of "instances" was set, everything below has it, until a mount sets
 * another. Fails without: the class of an inode; instances_set.
 */
static void instances_have_an_owner_of_their_own(struct kunit *test)
{
	struct path root = { .mnt = ek_mnt, .dentry = ek_mnt->mnt_root };
	const char * const inside[] = { ".", "events", "events/enable" };
	struct ek_fixture *fixture = test->priv;
	struct dentry *outside = fixture->top;
	struct ek_dir *events = ek_new_dir(test);
	struct path instances;
	struct dentry *top;
	struct iattr attr;

	ek_save_owners(test);
	KUNIT_ASSERT_EQ(test, vfs_path_lookup(root.dentry, root.mnt, "instances", 0, &instances),
			0);
	top = tracefs_create_dir("eventfs_kunit", instances.dentry);
	KUNIT_EXPECT_NOT_NULL(test, top);
	if (!top)
		goto put;
	KUNIT_EXPECT_EQ(test, ek_try_create_events(events, top), 0);

	KUNIT_EXPECT_EQ(test, ek_remount("uid=30,gid=30"), 0);
	fixture->top = top;
	for (int i = 0; i < ARRAY_SIZE(inside); i++)
		ek_expect_uid(test, inside[i], 30);

	/* Set the user. The group still follows the root. */
	attr = ek_owner(ATTR_UID, 31);
	KUNIT_EXPECT_EQ(test, ek_set_path(&instances, &attr), 0);
	attr = ek_owner(ATTR_UID | ATTR_GID, 32);
	KUNIT_EXPECT_EQ(test, ek_set_path(&root, &attr), 0);
	for (int i = 0; i < ARRAY_SIZE(inside); i++) {
		ek_expect_uid(test, inside[i], 31);
		ek_expect_gid(test, inside[i], 32);
	}
	fixture->top = outside;
	ek_expect_uid(test, "events/enable", 32);

	attr = ek_owner(ATTR_GID, 33);
	KUNIT_EXPECT_EQ(test, ek_set_path(&instances, &attr), 0);
	ek_expect_gid(test, "events/enable", 32);
	fixture->top = top;
	ek_expect_gid(test, "events/enable", 33);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=34,gid=34"), 0);
	for (int i = 0; i < ARRAY_SIZE(inside); i++) {
		ek_expect_uid(test, inside[i], 34);
		ek_expect_gid(test, inside[i], 34);
	}
	fixture->top = outside;

	if (events->node)
		eventfs_remove_events_dir(events->node);
	tracefs_remove(top);
put:
	path_put(&instances);
}

static const char *ek_options(struct kunit *test)
{
	struct super_block *sb = ek_mnt->mnt_sb;
	struct seq_file m = { .size = 64 };

	m.buf = ek_alloc(test, 1, m.size);
	KUNIT_EXPECT_EQ(test, sb->s_op->show_options(&m, sb->s_root), 0);
	return m.buf;
}

/*
 * /proc/mounts shows the current options, and the mode applies only to the root. Fails
 * without: any option in tracefs_show_options(); the mode in tracefs_reconfigure().
 */
static void options_are_told(struct kunit *test)
{
	struct path root = { .mnt = ek_mnt, .dentry = ek_mnt->mnt_root };
	struct iattr attr = ek_owner(ATTR_UID | ATTR_GID, 53);
	umode_t mode;

	ek_save_owners(test);
	mode = ek_stat(test, ".").mode;
	KUNIT_EXPECT_EQ(test, ek_remount("uid=0,gid=0,mode=700"), 0);
	KUNIT_EXPECT_STREQ(test, ek_options(test), "");
	KUNIT_EXPECT_EQ(test, ek_remount("uid=51,gid=52"), 0);
	KUNIT_EXPECT_STREQ(test, ek_options(test), ",uid=51,gid=52");
	KUNIT_EXPECT_EQ(test, ek_remount("mode=751"), 0);
	KUNIT_EXPECT_STREQ(test, ek_options(test), ",uid=51,gid=52,mode=751");
	KUNIT_EXPECT_EQ(test, ek_stat_path(test, &root).mode, S_IFDIR | 0751);
	KUNIT_EXPECT_EQ(test, ek_stat(test, ".").mode, mode);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=none"), -EINVAL);
	KUNIT_EXPECT_EQ(test, ek_remount("none=1"), -EINVAL);
	KUNIT_EXPECT_STREQ(test, ek_options(test), ",uid=51,gid=52,mode=751");

	/* mount(8) passes these options to a remount, which must not widen access. */
	attr.ia_valid |= ATTR_MODE;
	attr.ia_mode = S_IFDIR | 0700;
	KUNIT_EXPECT_EQ(test, ek_set_path(&root, &attr), 0);
	KUNIT_EXPECT_EQ(test, ek_remount(""), 0);
	KUNIT_EXPECT_STREQ(test, ek_options(test), ",uid=53,gid=53");
	KUNIT_EXPECT_EQ(test, ek_remount(ek_options(test) + 1), 0);
	KUNIT_EXPECT_EQ(test, ek_stat_path(test, &root).mode, S_IFDIR | 0700);
	KUNIT_EXPECT_EQ(test, __kuid_val(ek_stat_path(test, &root).uid), 53);
}

KUNIT_DEFINE_ACTION_WRAPPER(ek_put_cred, put_cred, const struct cred *);

/* A user without capabilities: only owner, group and mode count. */
static const struct cred *ek_new_user(struct kunit *test, unsigned int uid)
{
	struct cred *cred = prepare_creds();

	KUNIT_ASSERT_NOT_NULL(test, cred);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_put_cred, cred), 0);
	cred->fsuid = KUIDT_INIT(uid);
	cred->fsgid = KGIDT_INIT(uid);
	cap_clear(cred->cap_effective);
	return cred;
}

static int ek_permission_of(const struct cred *user, const struct path *path, int mask)
{
	const struct cred *old = override_creds(user);
	int error = inode_permission(mnt_idmap(path->mnt), d_inode(path->dentry), mask);

	revert_creds(old);
	return error;
}

static int ek_set_as(const struct cred *user, const struct path *path, const struct iattr *attr)
{
	const struct cred *old = override_creds(user);
	int error = ek_set_path(path, attr);

	revert_creds(old);
	return error;
}

/*
 * The first check after a change uses the new owner. Fails without:
 * tracefs_refresh_owner() in tracefs_owner_permission() or in tracefs_setattr(). Fails
 * with: an early return in tracefs_permission() that is taken too often.
 */
static void permission_follows_the_owner(struct kunit *test)
{
	const struct cred *user = ek_new_user(test, 77);
	struct iattr attr = { .ia_valid = ATTR_MODE, .ia_mode = EK_MODE };
	struct path file, dir;
	struct ek_dir *sys;

	ek_save_owners(test);
	ek_create_event(test, &sys);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=0,gid=0"), 0);
	ek_hold(test, "events/sys/event/enable", &file);
	ek_hold(test, "events/sys/event", &dir);

	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &file, MAY_READ), -EACCES);
	KUNIT_EXPECT_EQ(test, ek_set_as(user, &file, &attr), -EPERM);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=77"), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &file, MAY_WRITE), 0);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=78"), 0);
	KUNIT_EXPECT_EQ(test, ek_set_as(user, &file, &attr), -EPERM);
	KUNIT_EXPECT_EQ(test, ek_remount("gid=77"), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &file, MAY_READ), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &file, MAY_WRITE), -EACCES);
	KUNIT_EXPECT_EQ(test, ek_remount("uid=77"), 0);
	KUNIT_EXPECT_EQ(test, ek_set_as(user, &file, &attr), 0);

	/* All users may search a directory, until its mode is changed. */
	KUNIT_EXPECT_EQ(test, ek_remount("uid=0,gid=0"), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &dir, MAY_EXEC), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &dir, MAY_WRITE), -EACCES);
	attr.ia_mode = 0700;
	KUNIT_EXPECT_EQ(test, ek_set_path(&dir, &attr), 0);
	KUNIT_EXPECT_EQ(test, ek_permission_of(user, &dir, MAY_EXEC), -EACCES);
	path_put(&file);
	path_put(&dir);
}

/* Fails without: clearing what the previous inode left in its memory. */
static void static_file_starts_afresh(struct kunit *test)
{
	enum { NR = 64 };
	struct ek_fixture *fixture = test->priv;
	struct iattr attr = ek_owner(ATTR_UID, 15);
	char name[16];
	struct ek_dir *sys;

	ek_save_owners(test);
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "sys%d", i);
		sys = ek_create(test, fixture->events, name);
		ek_remove(sys);
	}
	sys = ek_create(test, fixture->events, "sys");
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "event%d", i);
		ek_create(test, sys, name);
	}
	ek_list(test, "events/sys", 128, 16);
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/event1/enable", &attr), 0);
	for (int i = 0; i < NR; i++) {
		char path[] = "events/sys/event00/enable";

		snprintf(path, sizeof(path), "events/sys/event%d/enable", i);
		EK_EXPECT_FOUND(test, path);
	}
	ek_remove(sys);
	/* Inodes are freed after a grace period. */
	rcu_barrier();

	KUNIT_EXPECT_EQ(test, ek_remount("uid=16"), 0);
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "static%d", i);
		KUNIT_EXPECT_NOT_NULL(test, tracefs_create_file(name, 0444, fixture->top,
								NULL, NULL));
		ek_expect_uid(test, name, 16);
	}
}

static void ek_do_chown(struct ek_work *work)
{
	struct iattr attr = ek_owner(ATTR_UID, 100);

	work->error = ek_set(work->test, work->name, &attr);
}

static void ek_do_remount(struct ek_work *work)
{
	work->error = ek_remount("uid=200");
}

/*
 * One task sets an owner while another remounts and a third checks a permission. In any
 * order, the VFS sees the owner that stat() returns. Fails without: the generation of
 * the defaults. On two CPUs, fails with: an owner that is computed before i_lock is
 * taken, or copied from the iattr.
 */
static void chown_and_remount_agree(struct kunit *test)
{
	enum { ROUNDS = 100 };
	const char *name = "events/sys/event/format";
	struct ek_work *chown, *remount;
	struct ek_dir *sys;
	struct path path;

	ek_save_owners(test);
	ek_create_event(test, &sys);
	ek_hold(test, name, &path);
	for (int i = 0; i < ROUNDS; i++) {
		chown = ek_start(test, ek_do_chown, NULL, name);
		remount = ek_start(test, ek_do_remount, NULL, NULL);
		while (!completion_done(&chown->done) || !completion_done(&remount->done)) {
			ek_inode_uid(test, &path);
			cond_resched();
		}
		KUNIT_EXPECT_EQ(test, ek_join(chown), 0);
		KUNIT_EXPECT_EQ(test, ek_join(remount), 0);
		KUNIT_EXPECT_EQ(test, ek_inode_uid(test, &path),
				__kuid_val(ek_stat_path(test, &path).uid));
	}
	path_put(&path);
	/* An owner that was never set is that of the last remount. */
	ek_expect_uid(test, "events/sys/event", 200);
}

/* Fails without: eventfs_change() in eventfs_add() or in eventfs_unpublish(). */
static void directory_changes_when_a_child_comes_or_goes(struct kunit *test)
{
	struct kstat born, came, went, file;
	struct ek_dir *sys, *child;

	ek_create_event(test, &sys);
	born = ek_stat(test, "events/sys");
	file = ek_stat(test, "events/sys/format");
	ek_tick();
	child = ek_create(test, sys, "child");
	came = ek_stat(test, "events/sys");
	KUNIT_EXPECT_GT(test, timespec64_compare(&came.mtime, &born.mtime), 0);
	KUNIT_EXPECT_GT(test, timespec64_compare(&came.ctime, &born.ctime), 0);
	ek_tick();
	ek_remove(child);
	went = ek_stat(test, "events/sys");
	KUNIT_EXPECT_GT(test, timespec64_compare(&went.mtime, &came.mtime), 0);
	KUNIT_EXPECT_GT(test, timespec64_compare(&went.ctime, &came.ctime), 0);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&went.btime, &born.btime));

	/* Also within a tick */
	for (int i = 0; i < 2; i++) {
		came = ek_stat(test, "events/sys");
		child = ek_create(test, sys, "child");
		went = ek_stat(test, "events/sys");
		KUNIT_EXPECT_GT(test, timespec64_compare(&went.mtime, &came.mtime), 0);
		ek_remove(child);
		came = ek_stat(test, "events/sys");
		KUNIT_EXPECT_GT(test, timespec64_compare(&came.mtime, &went.mtime), 0);
		went = came;
	}

	/* Neither a lookup nor a listing nor reclaim changes the times. */
	ek_tick();
	ek_reclaim(test);
	ek_list(test, "events/sys", 16, 16);
	came = ek_stat(test, "events/sys");
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&went.mtime, &came.mtime));
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&went.atime, &came.atime));
	came = ek_stat(test, "events/sys/format");
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&file.mtime, &came.mtime));
}

/* Fails without: the comparison of generations in eventfs_fill_stat(). */
static void set_time_holds_until_the_next_change(struct kunit *test)
{
	struct iattr attr = {
		.ia_valid	= ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mtime	= { .tv_sec = 1000 },
	};
	struct iattr access = {
		.ia_valid	= ATTR_ATIME | ATTR_ATIME_SET,
		.ia_atime	= { .tv_sec = 500 },
	};
	struct ek_dir *sys, *child;

	ek_create_event(test, &sys);
	/* All of this may happen within one tick of the clock. */
	for (int i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys", &attr), 0);
		KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys").mtime.tv_sec, 1000);
		child = ek_create(test, sys, "child");
		KUNIT_EXPECT_NE(test, ek_stat(test, "events/sys").mtime.tv_sec, 1000);
		KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys", &attr), 0);
		KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys").mtime.tv_sec, 1000);
		ek_remove(child);
		KUNIT_EXPECT_NE(test, ek_stat(test, "events/sys").mtime.tv_sec, 1000);
	}

	/* Setting another time later does not bring it back. */
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys", &access), 0);
	KUNIT_EXPECT_NE(test, ek_stat(test, "events/sys").mtime.tv_sec, 1000);
	/* A change leaves the access time and the times of the files alone. */
	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys/format", &attr), 0);
	ek_create(test, sys, "child");
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys").atime.tv_sec, 500);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/format").mtime.tv_sec, 1000);
}

static void ek_move_clock(s64 seconds)
{
	struct timespec64 now;

	ktime_get_real_ts64(&now);
	now.tv_sec += seconds;
	do_settimeofday64(&now);
}

static void ek_restore_clock(void *data)
{
	ek_move_clock((long)data);
}

/* Fails with: a time that never goes back; a comparison of times, not generations. */
static void clock_that_is_set_back_is_right(struct kunit *test)
{
	enum { MONTH = 30 * 24 * 3600 };
	struct iattr mode = { .ia_valid = ATTR_MODE | ATTR_CTIME, .ia_mode = S_IFDIR | 0700 };
	struct ek_dir *sys;
	struct kstat stat;
	s64 before;

	ek_create_event(test, &sys);
	ek_move_clock(MONTH);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_restore_clock,
							(void *)-(long)MONTH), 0);
	ek_create(test, sys, "future");
	before = ek_stat(test, "events/sys").mtime.tv_sec;
	kunit_release_action(test, ek_restore_clock, (void *)-(long)MONTH);

	KUNIT_EXPECT_EQ(test, ek_set(test, "events/sys", &mode), 0);
	stat = ek_stat(test, "events/sys");
	KUNIT_EXPECT_EQ(test, stat.mtime.tv_sec, before);
	KUNIT_EXPECT_LT(test, stat.ctime.tv_sec, before - MONTH / 2);
	ek_create(test, sys, "present");
	stat = ek_stat(test, "events/sys");
	KUNIT_EXPECT_LT(test, stat.mtime.tv_sec, before - MONTH / 2);
	KUNIT_EXPECT_LT(test, stat.ctime.tv_sec, before - MONTH / 2);
}

/* Times compare with those that the VFS sets. Fails with: a birth time rounded down. */
static void event_is_not_older_than_what_was_touched_before(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct timespec64 touched;
	struct kstat stat;
	char name[] = "events/dir0";

	for (int i = 0; i < 8; i++) {
		name[10] = '0' + i;
		touched = current_time(d_inode(fixture->top));
		ek_create(test, fixture->events, name + 7);
		stat = ek_stat(test, name);
		KUNIT_EXPECT_GE(test, timespec64_compare(&stat.mtime, &touched), 0);
		KUNIT_EXPECT_GE(test, timespec64_compare(&stat.btime, &touched), 0);
		ek_tick();
	}
}

/* Fails without: nlink in eventfs_fill_stat(). */
static void links_tell_the_living_from_the_dead(struct kunit *test)
{
	struct path paths[ARRAY_SIZE(ek_objects)];
	struct ek_dir *sys, *event;

	event = ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(paths); i++) {
		ek_hold(test, ek_objects[i], &paths[i]);
		KUNIT_EXPECT_EQ(test, ek_stat_path(test, &paths[i]).nlink, 1);
	}
	ek_remove(event);
	for (int i = 0; i < ARRAY_SIZE(paths); i++) {
		KUNIT_EXPECT_EQ(test, ek_stat_path(test, &paths[i]).nlink, i < 2 ? 1 : 0);
		path_put(&paths[i]);
	}
}

/*
 * Allocation failures
 *
 * Each operation is repeated, first with its first allocation failing, then with
 * its second, until it has no more. It must return -ENOMEM, or succeed without
 * that allocation. After an error, the tree must be as before.
 */
#if defined(CONFIG_FAILSLAB) && defined(CONFIG_FAULT_INJECTION_DEBUG_FS)

/*
 * By default, failslab ignores allocations that may sleep. A file in debugfs changes
 * that, but can only be written from user memory. Its inode has a pointer to the
 * variable.
 */
static void *ek_failslab(struct kunit *test, const char *name)
{
	struct dentry *dir = debugfs_lookup("failslab", NULL);
	struct dentry *dentry = dir ? debugfs_lookup(name, dir) : NULL;
	void *value = dentry ? d_inode(dentry)->i_private : NULL;

	dput(dentry);
	dput(dir);
	KUNIT_ASSERT_NOT_NULL_MSG(test, value, "failslab/%s in debugfs", name);
	return value;
}

static void ek_fail_nth(unsigned int nth)
{
	WRITE_ONCE(current->fail_nth, nth);
}

/* Return: true if the allocation that was to fail did not take place. */
static bool ek_fail_end(void)
{
	bool left = READ_ONCE(current->fail_nth);

	ek_fail_nth(0);
	return left;
}

struct ek_failing {
	bool *wait;
	bool old_wait;
	unsigned long *verbose;
	unsigned long old_verbose;
};

static void ek_failing_end(void *data)
{
	struct ek_failing *failing = data;

	ek_fail_nth(0);
	*failing->wait = failing->old_wait;
	*failing->verbose = failing->old_verbose;
}

static void ek_failing_begin(struct kunit *test)
{
	struct ek_failing *failing = kunit_kzalloc(test, sizeof(*failing), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, failing);
	failing->wait = ek_failslab(test, "ignore-gfp-wait");
	failing->verbose = ek_failslab(test, "verbose");
	failing->old_wait = *failing->wait;
	failing->old_verbose = *failing->verbose;
	*failing->wait = false;
	*failing->verbose = 0;	/* no stack trace for each failure */
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_failing_end, failing), 0);
}

#else

static void ek_fail_nth(unsigned int nth)
{
}

static bool ek_fail_end(void)
{
	return true;
}

static void ek_failing_begin(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS");
}

#endif

/*
 * Operations that may run out of memory. None uses KUNIT_EXPECT_*(), which would
 * allocate. Each undoes what it did. The names of new directories are not constants,
 * which eventfs would not copy.
 */

static int ek_op_create_dir(struct kunit *test, struct ek_dir *sys)
{
	char name[] = "new";
	struct eventfs_inode *node = eventfs_create_dir(name, sys->node, NULL, 0, NULL);

	if (IS_ERR(node))
		return PTR_ERR(node);
	eventfs_remove_dir(node);
	return 0;
}

/* In a directory that has no child yet */
static int ek_op_create_first(struct kunit *test, struct ek_dir *sys)
{
	struct ek_fixture *fixture = test->priv;
	struct eventfs_inode *node, *child;
	char name[] = "new";

	node = eventfs_create_dir(name, fixture->events->node, NULL, 0, NULL);
	if (IS_ERR(node))
		return PTR_ERR(node);
	child = eventfs_create_dir(name, node, NULL, 0, NULL);
	eventfs_remove_dir(node);
	return PTR_ERR_OR_ZERO(child);
}

static int ek_op_create_events(struct kunit *test, struct ek_dir *sys)
{
	struct ek_fixture *fixture = test->priv;
	struct eventfs_inode *node;
	char name[] = "new";

	node = eventfs_create_events_dir(name, fixture->top, ek_entries, 1, sys);
	if (IS_ERR(node))
		return PTR_ERR(node);
	eventfs_remove_events_dir(node);
	return 0;
}

/* The functions for static objects return NULL on any error. */
static int ek_op_create_static_file(struct kunit *test, struct ek_dir *sys)
{
	struct ek_fixture *fixture = test->priv;
	struct dentry *dentry = tracefs_create_file("new", 0444, fixture->top, NULL, NULL);

	tracefs_remove(dentry);
	return dentry ? 0 : -ENOMEM;
}

static int ek_op_create_static_dir(struct kunit *test, struct ek_dir *sys)
{
	struct ek_fixture *fixture = test->priv;
	struct dentry *dentry = tracefs_create_dir("new", fixture->top);

	tracefs_remove(dentry);
	return dentry ? 0 : -ENOMEM;
}

static int ek_op_lookup_file(struct kunit *test, struct ek_dir *sys)
{
	return ek_probe(test, "events/sys/format", 0);
}

static int ek_op_lookup_dir(struct kunit *test, struct ek_dir *sys)
{
	return ek_probe(test, "events/sys/event", 0);
}

static int ek_op_lookup_miss(struct kunit *test, struct ek_dir *sys)
{
	int error = ek_probe(test, "events/sys/none", 0);

	return error == -ENOENT ? 0 : error ?: -EEXIST;
}

static int ek_op_chmod(struct kunit *test, struct ek_dir *sys)
{
	struct iattr attr = { .ia_valid = ATTR_MODE, .ia_mode = 0600 };

	return ek_set(test, "events/sys/event/maybe", &attr);
}

static int ek_op_list(struct kunit *test, struct ek_dir *sys)
{
	struct ek_work work = { .test = test, .name = "events/sys" };

	ek_do_list(&work);
	return work.error;
}

static int ek_op_remount(struct kunit *test, struct ek_dir *sys)
{
	return ek_remount("uid=0");
}

struct ek_op {
	const char *name;
	int (*op)(struct kunit *test, struct ek_dir *sys);
	unsigned int least;	/* minimum number of allocations that must fail */
};

/* The numbers include nodes, names, roots, dentries, inodes and attributes. */
static const struct ek_op ek_ops[] = {
	{ "create a directory",		ek_op_create_dir,	2 },
	{ "create a first child",	ek_op_create_first,	5 },
	{ "create an events directory",	ek_op_create_events,	4 },
	{ "create a static file",	ek_op_create_static_file, 2 },
	{ "create a static directory",	ek_op_create_static_dir, 2 },
	{ "look up a file",		ek_op_lookup_file,	4 },
	{ "look up a directory",	ek_op_lookup_dir,	4 },
	{ "look up a missing name",	ek_op_lookup_miss,	3 },
	{ "change a mode",		ek_op_chmod,		6 },
	{ "list a directory",		ek_op_list,		1 },
	{ "remount",			ek_op_remount,		2 },
};

KUNIT_ARRAY_PARAM_DESC(ek_ops, ek_ops, name);

/* Expect the tree to be as it was before an operation failed. */
static void ek_expect_unchanged(struct kunit *test, const struct ek_dir *event)
{
	EK_EXPECT_ABSENT(test, "new");
	EK_EXPECT_ABSENT(test, "events/new");
	EK_EXPECT_ABSENT(test, "events/sys/new");
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/event/maybe").mode, S_IFREG | EK_MODE);
	KUNIT_EXPECT_EQ(test, ek_list(test, "events/sys", 16, 16)->nr, 2 + EK_NR_FILES + 1);
	KUNIT_EXPECT_EQ(test, ek_stat(test, ".").nlink, 3);
	ek_reclaim(test);
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
}

/* Return: the number of allocations without which the operation fails. */
static unsigned int ek_fail_each(struct kunit *test, const struct ek_op *op, struct ek_dir *sys)
{
	unsigned int failed = 0;
	bool over = false;

	for (unsigned int nth = 1; !over; nth++) {
		/* A new event each time, as an operation that succeeds changes it. */
		struct ek_dir *event = ek_create(test, sys, "event");
		int error;

		KUNIT_ASSERT_LT(test, nth, 100);
		ek_reclaim(test);
		ek_fail_nth(nth);
		error = op->op(test, sys);
		over = ek_fail_end();

		if (over)
			KUNIT_EXPECT_EQ(test, error, 0);
		if (error) {
			KUNIT_EXPECT_EQ_MSG(test, error, -ENOMEM, "allocation %u", nth);
			ek_expect_unchanged(test, event);
			failed++;
		}
		ek_remove(event);
	}
	return failed;
}

/*
 * Now and then a slab allocates a page, which counts as an allocation too. Then
 * one of the operation's own is skipped. So the best of several sweeps counts.
 * DEBUG_OBJECTS allocates at any time, so with it there may be no good sweep.
 *
 * Fails without: any check of an allocation, or any step that undoes what was
 * done before a failure.
 */
static void failed_allocation_changes_nothing(struct kunit *test)
{
	enum { SWEEPS = 10 };
	const struct ek_op *op = test->param_value;
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	unsigned int failed = 0;

	ek_save_owners(test);
	ek_failing_begin(test);
	for (int i = 0; i < SWEEPS && failed < op->least; i++)
		failed = max(failed, ek_fail_each(test, op, sys));
	if (!IS_ENABLED(CONFIG_DEBUG_OBJECTS))
		KUNIT_EXPECT_GE_MSG(test, failed, op->least, "%s", op->name);
}

/*
 * DEBUG_OBJECTS tries to allocate in call_rcu(), and continues without the memory. With
 * it, the case shows only that a removal succeeds nevertheless.
 */
static bool ek_allocated_nothing(void)
{
	bool left = ek_fail_end();

	return left || IS_ENABLED(CONFIG_DEBUG_OBJECTS);
}

/* Fails with: a removal or a last put that allocates. */
static void removal_allocates_nothing(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys, *event;
	struct path path;

	event = ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, "events/sys/event/format");
	EK_EXPECT_ABSENT(test, "events/sys/event/none");
	EK_EXPECT_FOUND(test, "events/sys/format");
	ek_failing_begin(test);
	ek_hold(test, "events/sys/event/enable", &path);

	ek_fail_nth(1);
	ek_remove(event);
	KUNIT_EXPECT_TRUE(test, ek_allocated_nothing());
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	ek_fail_nth(1);
	path_put(&path);
	KUNIT_EXPECT_TRUE(test, ek_allocated_nothing());
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	ek_fail_nth(1);
	eventfs_remove_events_dir(sys->node);
	KUNIT_EXPECT_TRUE(test, ek_allocated_nothing());
	fixture->events = NULL;
	KUNIT_EXPECT_TRUE(test, ek_is_released(sys));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 0);
}

/*
 * Memory reclaim may drop the dentry that holds the last reference. Lockdep knows
 * which locks may be taken in reclaim. With lockdep, fails with: a last put that takes
 * the tree's lock.
 */
static void last_put_may_come_from_reclaim(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct path path;

	event = ek_create_event(test, &sys);
	ek_hold(test, "events/sys/event/format", &path);
	ek_remove(event);
	KUNIT_EXPECT_TRUE(test, ek_is_unreleased(event));
	fs_reclaim_acquire(GFP_KERNEL);
	path_put(&path);
	fs_reclaim_release(GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, ek_is_released(event));
}

/*
 * An RCU walk may still read a node whose last reference is gone. KASAN reports the
 * read if the memory is freed before the end of a grace period. Fails without:
 * call_rcu() in eventfs_last_put().
 */
static void node_outlives_its_last_put(struct kunit *test)
{
	enum { ROUNDS = 20 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	unsigned int seen = 0;

	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kunit_skip(test, "needs a sanitizer of addresses");

	for (int i = 0; i < ROUNDS && !seen; i++) {
		struct ek_dir *event = ek_create(test, sys, "event");
		unsigned long before = get_state_synchronize_rcu();

		/* Stay on this CPU, where no RCU callback runs with interrupts off. */
		migrate_disable();
		ek_remove(event);
		local_irq_disable();
		if (!poll_state_synchronize_rcu(before)) {
			READ_ONCE(*(const char *)event->node);
			seen++;
		}
		local_irq_enable();
		migrate_enable();
		KUNIT_EXPECT_TRUE(test, ek_is_released(event));
	}
	KUNIT_EXPECT_EQ(test, seen, 1);
}

/*
 * Walks under RCU
 */

/* Call @ask as an RCU walk may, once work->stop is set. */
static void ek_ask(struct ek_work *work, int (*ask)(const struct path *path))
{
	/* Pairs with the release in ek_answers(), after work->path is set. */
	while (!smp_load_acquire(&work->stop))
		cond_resched();
	guard(rcu)();
	/* On PREEMPT_RT, spinlocks such as i_lock sleep. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	work->error = ask(&work->path);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
}

static int ek_getattr(const struct path *path)
{
	struct inode *inode = d_inode(path->dentry);
	struct kstat stat;

	return inode->i_op->getattr(mnt_idmap(path->mnt), path, &stat, STATX_BASIC_STATS, 0);
}

static int ek_may_write(const struct path *path)
{
	struct inode *inode = d_inode(path->dentry);

	return inode->i_op->permission(mnt_idmap(path->mnt), inode, MAY_WRITE | MAY_NOT_BLOCK);
}

static void ek_do_getattr(struct ek_work *work)
{
	ek_ask(work, ek_getattr);
}

static void ek_do_may_write(struct ek_work *work)
{
	ek_ask(work, ek_may_write);
}

/*
 * Run @fn while this task holds every lock that a test can take. Return: whether @fn
 * ends within @patience.
 */
static bool ek_answers(struct kunit *test, void (*fn)(struct ek_work *work),
		       const char *name, unsigned long patience)
{
	struct super_block *sb = ek_mnt->mnt_sb;
	struct inode *dir, *inode;
	struct ek_work *work;
	struct path path;
	bool answered;
	u64 end;

	ek_hold(test, name, &path);
	dir = d_inode(path.dentry->d_parent);
	inode = d_inode(path.dentry);
	work = ek_start(test, fn, NULL, name);
	work->path = path;

	down_write(&sb->s_umount);
	inode_lock_nested(dir, I_MUTEX_PARENT);
	inode_lock(inode);
	spin_lock(&inode->i_lock);
	/* The worker reads the path after this. */
	smp_store_release(&work->stop, true);
	end = ktime_get_ns() + jiffies_to_nsecs(patience);
	do {
		cpu_relax();
		answered = completion_done(&work->done);
	} while (!answered && ktime_get_ns() < end);
	spin_unlock(&inode->i_lock);
	inode_unlock(inode);
	inode_unlock(dir);
	up_write(&sb->s_umount);

	KUNIT_EXPECT_EQ(test, ek_join(work), 0);
	path_put(&path);
	return answered;
}

/*
 * Fails without: the generation of the defaults. Fails with: a lock in ->getattr or
 * ->permission. CONFIG_DEBUG_ATOMIC_SLEEP reports any sleep.
 */
static void asking_takes_no_lock(struct kunit *test)
{
	static const char * const names[] = { "events/sys/event/enable", "events/sys/event",
					      "events/sys", "events" };
	struct ek_dir *sys;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two processors");

	ek_save_owners(test);
	ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		KUNIT_ASSERT_EQ(test, ek_remount("gid=31"), 0);
		EK_EXPECT_FOUND(test, names[i]);
		KUNIT_EXPECT_TRUE(test, ek_answers(test, ek_do_getattr, names[i], EK_LONG));
		/* The first permission check refreshes the owner. */
		ek_answers(test, ek_do_may_write, names[i], 0);
		KUNIT_EXPECT_TRUE(test, ek_answers(test, ek_do_may_write, names[i], EK_LONG));
	}
}

/* Fails without: tracefs_refresh_owner(). Fails with: one that stores no generation. */
static void asking_takes_i_lock_once_after_a_change(struct kunit *test)
{
	const char *name = "events/sys/event/enable";
	struct iattr attr = ek_owner(ATTR_GID, 32);
	struct path root = { .mnt = ek_mnt, .dentry = ek_mnt->mnt_root };
	struct ek_dir *sys;
	struct path path;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two processors");

	ek_save_owners(test);
	ek_create_event(test, &sys);
	ek_hold(test, name, &path);
	for (int i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, ek_set_path(&root, &attr), 0);
		KUNIT_EXPECT_TRUE(test, ek_answers(test, ek_do_getattr, name, EK_LONG));
		KUNIT_EXPECT_FALSE(test, ek_answers(test, ek_do_may_write, name, EK_MOMENT));
		KUNIT_EXPECT_TRUE(test, ek_answers(test, ek_do_may_write, name, EK_LONG));
	}
	path_put(&path);
}

/* Runs on any number of CPUs. Fails with: a sleeping lock, an allocation. */
static void asking_does_not_sleep(struct kunit *test)
{
	struct ek_dir *sys;

	ek_save_owners(test);
	ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(ek_objects); i++) {
		struct ek_work work = { .stop = true };

		ek_hold(test, ek_objects[i], &work.path);
		KUNIT_EXPECT_EQ(test, ek_remount("gid=33"), 0);
		ek_do_getattr(&work);
		KUNIT_EXPECT_EQ(test, work.error, 0);
		ek_do_may_write(&work);
		KUNIT_EXPECT_EQ(test, work.error, 0);
		path_put(&work.path);
	}
}

#if IS_ENABLED(CONFIG_KRETPROBES) && IS_ENABLED(CONFIG_SECURITY)

/* The task that is refused, as by a security module */
static struct task_struct *ek_refused_task;
static unsigned int ek_refusals;

/* Return: 0 to have ek_refuse_return() called. */
static int ek_refuse_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct inode *inode = (void *)regs_get_kernel_argument(regs, 0);
	int mask = regs_get_kernel_argument(regs, 1);

	return current != ek_refused_task || !(mask & MAY_NOT_BLOCK) ||
	       inode->i_sb != ek_mnt->mnt_sb;
}

static int ek_refuse_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	ek_refusals++;
	regs_set_return_value(regs, -ECHILD);
	return 0;
}

static struct kretprobe ek_refuse = {
	.kp.symbol_name	= "security_inode_permission",
	.entry_handler	= ek_refuse_entry,
	.handler	= ek_refuse_return,
};

/* From now on, permission checks of this task that must not block are refused. */
static void ek_refuse_begin(struct kunit *test)
{
	ek_refusals = 0;
	ek_refused_task = current;
	if (register_kretprobe(&ek_refuse))
		kunit_skip(test, "security_inode_permission() cannot be probed");
}

static void ek_refuse_end(struct kunit *test)
{
	unregister_kretprobe(&ek_refuse);
	/* Registration set the address. A kprobe must not have both address and name. */
	ek_refuse.kp.addr = NULL;
	KUNIT_EXPECT_GT(test, ek_refusals, 0);
}

#else

static void ek_refuse_begin(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_KRETPROBES and CONFIG_SECURITY");
}

static void ek_refuse_end(struct kunit *test)
{
}

#endif

/*
 * If a security module has to block, the walk starts again without RCU. Fails with: a
 * permission check or lookup that fails with -ECHILD for good, or also without RCU.
 */
static void security_module_may_block(struct kunit *test)
{
	const char *name = "events/sys/event/enable";
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	EK_EXPECT_FOUND(test, name);
	EK_EXPECT_ABSENT(test, "events/sys/none");
	EK_EXPECT_CACHED(test, name);

	ek_refuse_begin(test);
	EK_EXPECT_UNCACHED(test, name);
	EK_EXPECT_UNCACHED(test, "events/sys/none");
	EK_EXPECT_FOUND(test, name);
	EK_EXPECT_ABSENT(test, "events/sys/none");
	ek_refuse_end(test);

	EK_EXPECT_CACHED(test, name);
	EK_EXPECT_CACHED_MISS(test, "events/sys/none");
}

/*
 * Notification
 */

/**
 * struct ek_watch - a watch of a directory
 * @mark: on the directory
 * @created: number of FS_CREATE events
 * @deleted: number of FS_DELETE events
 * @ino: inode number in the last event
 */
struct ek_watch {
	struct fsnotify_mark mark;
	unsigned int created;
	unsigned int deleted;
	u64 ino;
};

static int ek_watch_event(struct fsnotify_mark *mark, u32 mask, struct inode *inode,
			  struct inode *dir, const struct qstr *name, u32 cookie)
{
	struct ek_watch *watch = container_of(mark, struct ek_watch, mark);

	watch->created += !!(mask & FS_CREATE);
	watch->deleted += !!(mask & FS_DELETE);
	watch->ino = inode ? inode->i_ino : 0;
	return 0;
}

static void ek_watch_free(struct fsnotify_mark *mark)
{
	kfree(container_of(mark, struct ek_watch, mark));
}

static const struct fsnotify_ops ek_watch_ops = {
	.handle_inode_event	= ek_watch_event,
	.free_mark		= ek_watch_free,
};

/* End a watch, and wait until its mark is freed. */
static void ek_watch_end(void *data)
{
	struct ek_watch *watch = data;
	struct fsnotify_group *group = watch->mark.group;

	fsnotify_destroy_mark(&watch->mark, group);
	fsnotify_put_mark(&watch->mark);
	fsnotify_wait_marks_destroyed();
	fsnotify_put_group(group);
}

static struct ek_watch *ek_watch_path(struct kunit *test, const struct path *path)
{
	struct fsnotify_group *group = fsnotify_alloc_group(&ek_watch_ops, 0);
	struct ek_watch *watch = kzalloc(sizeof(*watch), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, group);
	KUNIT_ASSERT_NOT_NULL(test, watch);
	fsnotify_init_mark(&watch->mark, group);
	watch->mark.mask = FS_CREATE | FS_DELETE | FS_ISDIR;
	KUNIT_ASSERT_EQ(test, fsnotify_add_inode_mark(&watch->mark, d_inode(path->dentry), 0), 0);
	return watch;
}

static struct ek_watch *ek_watch(struct kunit *test, const char *name)
{
	struct ek_watch *watch;
	struct path path;

	ek_hold(test, name, &path);
	watch = ek_watch_path(test, &path);
	path_put(&path);
	return watch;
}

static const struct super_operations *ek_super_operations;
static atomic_t ek_made;

static struct inode *ek_alloc_inode(struct super_block *sb)
{
	atomic_inc(&ek_made);
	return ek_super_operations->alloc_inode(sb);
}

/* Fails without: eventfs_is_watched(). */
static void watch_elsewhere_makes_no_inode(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_watch *watch = ek_watch(test, "events");
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	static struct super_operations counting;

	EK_EXPECT_FOUND(test, "events/sys");
	ek_super_operations = ek_mnt->mnt_sb->s_op;
	counting = *ek_super_operations;
	counting.alloc_inode = ek_alloc_inode;
	atomic_set(&ek_made, 0);
	WRITE_ONCE(ek_mnt->mnt_sb->s_op, &counting);
	ek_create(test, sys, "event");
	WRITE_ONCE(ek_mnt->mnt_sb->s_op, ek_super_operations);
	KUNIT_EXPECT_EQ(test, atomic_read(&ek_made), 0);
	KUNIT_EXPECT_EQ(test, watch->created, 1);
	ek_watch_end(watch);
}

/* Fails without: eventfs_notify_file(). */
static void watch_hears_of_a_file_that_is_hidden(struct kunit *test)
{
	struct ek_dir *sys, *child;
	struct ek_watch *watch;
	u64 ino;

	ek_create_event(test, &sys);
	watch = ek_watch(test, "events/sys");
	ino = ek_stat(test, "events/sys/format").ino;
	child = ek_create(test, sys, "format");
	KUNIT_EXPECT_EQ(test, watch->created, 1);
	KUNIT_EXPECT_EQ(test, watch->deleted, 1);
	ek_remove(child);
	KUNIT_EXPECT_EQ(test, watch->created, 2);
	KUNIT_EXPECT_EQ(test, watch->deleted, 2);
	/* Audit rules find the file by its number. */
	KUNIT_EXPECT_EQ(test, watch->ino, ino);
	ek_watch_end(watch);
}

/* Fails without: fsnotify_mkdir() in tracefs_make_dir(). */
static void static_directory_is_told(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_watch *watch = ek_watch(test, ".");
	struct dentry *dir = tracefs_create_dir("dir", fixture->top);

	KUNIT_EXPECT_NOT_NULL(test, dir);
	KUNIT_EXPECT_EQ(test, watch->created, 1);
	tracefs_remove(dir);
	KUNIT_EXPECT_EQ(test, watch->deleted, 1);
	ek_watch_end(watch);
}

/* Fails without: fsnotify_rmdir() in eventfs_remove_events_dir(). */
static void removal_of_the_tree_is_told(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_watch *watch = ek_watch(test, "");
	u64 ino = ek_stat(test, "events").ino;

	ek_remove_events(test, fixture->events);
	KUNIT_EXPECT_EQ(test, watch->deleted, 1);
	KUNIT_EXPECT_EQ(test, watch->ino, ino);
	ek_watch_end(watch);
}

/*
 * Events of a child have its inode number, even if it has no inode. An inode that is
 * made for this does not stay. Fails without: eventfs_notify() or that inode.
 */
static void child_is_told_with_its_inode(struct kunit *test)
{
	struct ek_dir *sys, *event;
	struct ek_watch *watch;
	u64 ino;

	ek_remove(ek_create_event(test, &sys));
	watch = ek_watch(test, "events/sys");
	for (int i = 0; i < 2; i++) {
		unsigned int inodes = ek_inodes(test);

		event = ek_create(test, sys, "event");
		KUNIT_EXPECT_EQ(test, watch->created, i + 1);
		KUNIT_EXPECT_EQ(test, ek_inodes(test), inodes);
		ino = watch->ino;
		KUNIT_EXPECT_EQ(test, ek_stat(test, "events/sys/event").ino, ino);
		EK_EXPECT_FOUND(test, "events/sys/event/enable");
		if (i)
			ek_reclaim(test);
		KUNIT_EXPECT_EQ(test, watch->created, i + 1);
		KUNIT_EXPECT_EQ(test, watch->deleted, i);
		ek_remove(event);
		KUNIT_EXPECT_EQ(test, watch->deleted, i + 1);
		KUNIT_EXPECT_EQ(test, watch->ino, ino);
		KUNIT_EXPECT_EQ(test, ek_inodes(test), inodes);
	}
	ek_watch_end(watch);
}

/*
 * Races: limited in time, and harmless on one CPU
 */

/* Look up a missing name and another one over and over, and open what is found. */
static void ek_do_look(struct ek_work *work)
{
	while (!READ_ONCE(work->stop)) {
		struct file *file;
		struct path path;
		int error;

		ek_probe(work->test, "events/sys/none", 0);
		error = ek_lookup(work->test, work->name, 0, &path);
		if (!error) {
			file = dentry_open(&path, O_RDONLY, current_cred());
			path_put(&path);
			if (IS_ERR(file))
				error = PTR_ERR(file);
			else
				ek_close(file);
		}
		if (error && error != -ENOENT)
			work->error = error;
		work->count += !error;
		cond_resched();
	}
}

static void ek_do_relist(struct ek_work *work)
{
	while (!READ_ONCE(work->stop)) {
		ek_do_list(work);
		if (work->error && work->error != -ENOENT)
			return;
		work->count++;
		cond_resched();
	}
	work->error = 0;
}

/*
 * An event is created and removed. Meanwhile, two tasks look up one of its files, one
 * looks up its directory, one lists it and one lists the system. The event is found
 * after each creation, but not after the removal, and nothing is left. Fails without:
 * a new generation; the references that a lookup takes; eventfs_drop_cached().
 */
static void lookups_race_removal(struct kunit *test)
{
	enum { ROUNDS = 300 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_work *works[5];
	struct ek_dir *event;

	works[0] = ek_start(test, ek_do_look, NULL, "events/sys/event/format");
	works[1] = ek_start(test, ek_do_look, NULL, "events/sys/event/format");
	works[2] = ek_start(test, ek_do_look, NULL, "events/sys/event");
	works[3] = ek_start(test, ek_do_relist, NULL, "events/sys/event");
	works[4] = ek_start(test, ek_do_relist, NULL, "events/sys");
	for (int i = 0; i < ROUNDS; i++) {
		event = ek_create(test, sys, "event");
		EK_EXPECT_FOUND(test, "events/sys/event/format");
		cond_resched();
		ek_remove(event);
		EK_EXPECT_ABSENT(test, "events/sys/event");
		cond_resched();
	}
	ek_stop(test, works, ARRAY_SIZE(works));

	/* Nothing is in use, and there was no reclaim. Only events and sys are cached. */
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 2);
	ek_remove(sys);
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

/* Like the previous case, with the whole tree, as when an instance is removed. */
static void lookups_race_removal_of_the_tree(struct kunit *test)
{
	enum { ROUNDS = 50 };
	struct ek_fixture *fixture = test->priv;
	struct ek_work *works[3];

	works[0] = ek_start(test, ek_do_look, NULL, "events/sys/event/format");
	works[1] = ek_start(test, ek_do_look, NULL, "events/sys");
	works[2] = ek_start(test, ek_do_relist, NULL, "events");
	for (int i = 0; i < ROUNDS; i++) {
		struct ek_dir *sys, *events;

		ek_create_event(test, &sys);
		EK_EXPECT_FOUND(test, "events/sys/event/format");
		cond_resched();
		ek_remove_events(test, sys);
		EK_EXPECT_ABSENT(test, "events");
		events = ek_new_dir(test);
		KUNIT_ASSERT_EQ(test, ek_try_create_events(events, fixture->top), 0);
		fixture->events = events;
	}
	ek_stop(test, works, ARRAY_SIZE(works));
	KUNIT_EXPECT_EQ(test, ek_inodes(test), 1);
}

static void ek_do_probe(struct ek_work *work)
{
	WRITE_ONCE(work->count, 1);
	work->error = ek_probe(work->test, work->name, 0);
}

/*
 * A name is created while two tasks look it up for the first time. Their misses must
 * not hide it. On two CPUs, fails with: a generation that a miss reads after its search,
 * or that changes before the child can be found.
 */
static void new_name_is_found_whoever_looks(struct kunit *test)
{
	enum { ROUNDS = 100 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_work *works[2];
	char name[32];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "events/sys/child%d", i);
		for (int j = 0; j < ARRAY_SIZE(works); j++)
			works[j] = ek_start(test, ek_do_probe, NULL, name);
		while (!READ_ONCE(works[0]->count) && !READ_ONCE(works[1]->count))
			cond_resched();
		ek_create(test, sys, strrchr(name, '/') + 1);
		EK_EXPECT_FOUND(test, name);
		for (int j = 0; j < ARRAY_SIZE(works); j++) {
			if (ek_join(works[j]) != -ENOENT)
				KUNIT_EXPECT_EQ(test, works[j]->error, 0);
		}
		EK_EXPECT_FOUND(test, name);
	}
}

enum { EK_NR_STANDING = 64 };

/* Look up the children that exist throughout, none of them cached. */
static void ek_do_find_standing(struct ek_work *work)
{
	char name[32];

	while (!READ_ONCE(work->stop)) {
		for (int i = 0; i < EK_NR_STANDING; i++) {
			int error;

			snprintf(name, sizeof(name), "events/sys/standing%d", i);
			error = ek_probe(work->test, name, 0);
			work->error = work->error ?: error;
		}
		ek_reclaim(work->test);
		cond_resched();
	}
}

/* Check that each of them is listed once. */
static void ek_do_list_standing(struct ek_work *work)
{
	struct file *file = ek_open(work->test, "events/sys");
	struct ek_scan *scan = work->scan;
	unsigned int nr;

	while (!READ_ONCE(work->stop)) {
		unsigned int listed[EK_NR_STANDING] = {};

		scan->nr = 0;
		vfs_llseek(file, 0, SEEK_SET);
		work->error = work->error ?: ek_list_rest(file, scan, 8);
		for (int i = 0; i < scan->nr; i++) {
			if (sscanf(scan->names[i].name, "standing%u", &nr) == 1 &&
			    nr < EK_NR_STANDING)
				listed[nr]++;
		}
		for (int i = 0; i < EK_NR_STANDING; i++) {
			if (listed[i] != 1)
				work->error = work->error ?: -ESRCH;
		}
		cond_resched();
	}
	ek_close(file);
}

/*
 * The index changes all the time, but not the children that are looked for. On two CPUs,
 * fails with: a search by name or position that is not repeated after a change.
 */
static void standing_names_are_found_while_others_come_and_go(struct kunit *test)
{
	enum { NR = 64, MAX_ROUNDS = 2000 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct eventfs_inode *nodes[NR];
	unsigned long end;
	struct ek_work *works[2];
	char name[32];

	for (int i = 0; i < EK_NR_STANDING; i++) {
		snprintf(name, sizeof(name), "standing%d", i);
		ek_create(test, sys, name);
	}
	works[0] = ek_start(test, ek_do_find_standing, NULL, NULL);
	works[1] = ek_start_scan(test, ek_do_list_standing,
				 ek_new_scan(test, 4096));
	end = jiffies + 2 * HZ;
	for (int round = 0; round < MAX_ROUNDS && time_before(jiffies, end); round++) {
		for (int i = 0; i < NR; i++) {
			snprintf(name, sizeof(name), "child%d_%d", round, i);
			nodes[i] = eventfs_create_dir(name, sys->node, NULL, 0, NULL);
			KUNIT_EXPECT_NOT_ERR_OR_NULL(test, nodes[i]);
			cond_resched();
		}
		for (int i = 0; i < NR; i++) {
			if (!IS_ERR(nodes[i]))
				eventfs_remove_dir(nodes[i]);
			cond_resched();
		}
	}
	ek_stop(test, works, ARRAY_SIZE(works));
}

/* Once a creation has returned, its name is found, whatever other tasks have cached. */
static void lookups_race_creation(struct kunit *test)
{
	enum { ROUNDS = 200 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_work *works[2];
	char name[32];

	snprintf(name, sizeof(name), "events/sys/child%d", ROUNDS - 1);
	works[0] = ek_start(test, ek_do_look, NULL, name);
	works[1] = ek_start(test, ek_do_look, NULL, "events/sys/format");
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "events/sys/child%d", i);
		EK_EXPECT_ABSENT(test, name);
		ek_create(test, sys, strrchr(name, '/') + 1);
		EK_EXPECT_FOUND(test, name);
		cond_resched();
	}
	ek_stop(test, works, ARRAY_SIZE(works));
}

/*
 * Directories that are filled on first use
 */

/*
 * A lookup of the directory itself does not fill it. Fails without: eventfs_fill_dir() in
 * a lookup or in a listing; the store of NULL in eventfs_fill_locked().
 */
static void lazy_directory_is_filled_by_a_look_into_it(struct kunit *test)
{
	static const char * const looks[] = { "one", "none", "format", NULL };
	struct ek_fixture *fixture = test->priv;

	for (int i = 0; i < ARRAY_SIZE(looks); i++) {
		struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
		struct ek_scan *scan;
		char name[32];

		EK_EXPECT_FOUND(test, "events/lazy");
		ek_list(test, "events", 16, 16);
		KUNIT_EXPECT_EQ(test, dir->fills, 0);
		if (looks[i]) {
			snprintf(name, sizeof(name), "events/lazy/%s", looks[i]);
			KUNIT_EXPECT_EQ(test, ek_probe(test, name, 0),
					strcmp(looks[i], "none") ? 0 : -ENOENT);
			KUNIT_EXPECT_EQ_MSG(test, dir->fills, 1, "%s", name);
		}
		scan = ek_list(test, "events/lazy", 16, 3);
		KUNIT_EXPECT_EQ(test, scan->nr, 2 + EK_NR_FILES + 2);
		KUNIT_EXPECT_EQ(test, ek_listed(scan, "one"), 1);
		KUNIT_EXPECT_EQ(test, ek_listed(scan, "two"), 1);
		EK_EXPECT_FOUND(test, "events/lazy/two/format");
		EK_EXPECT_ABSENT(test, "events/lazy/none");
		EK_EXPECT_CACHED_MISS(test, "events/lazy/none");
		KUNIT_EXPECT_EQ(test, dir->fills, 1);
		ek_remove(dir);
		KUNIT_EXPECT_TRUE(test, ek_is_released(dir->lazy[0]));
		KUNIT_EXPECT_TRUE(test, ek_is_released(dir->lazy[1]));
	}
}

/* A failure hides no children. Fails with: @fill cleared after an error. */
static void failed_filling_is_tried_again(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
	struct ek_scan *scan = ek_new_scan(test, 16);
	struct file *file;

	dir->fill_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, ek_probe(test, "events/lazy/two", 0), -ENOMEM);
	KUNIT_EXPECT_EQ(test, ek_probe(test, "events/lazy/none", 0), -ENOMEM);
	file = ek_open(test, "events/lazy");
	KUNIT_EXPECT_EQ(test, ek_list_rest(file, scan, 16), -ENOMEM);
	ek_close(file);
	KUNIT_EXPECT_EQ(test, dir->fills, 3);

	dir->fill_error = 0;
	EK_EXPECT_FOUND(test, "events/lazy/two");
	EK_EXPECT_ABSENT(test, "events/lazy/none");
	KUNIT_EXPECT_EQ(test, ek_list(test, "events/lazy", 16, 16)->nr, 2 + EK_NR_FILES + 2);
	KUNIT_EXPECT_EQ(test, dir->fills, 4);
}

/* Fails with: eventfs_change() while filling; children born at that time. */
static void filling_is_no_change(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
	struct kstat before = ek_stat(test, "events/lazy");
	struct kstat after, child;
	s64 age;

	ek_tick();
	child = ek_stat(test, "events/lazy/one");
	after = ek_stat(test, "events/lazy");
	KUNIT_EXPECT_EQ(test, dir->fills, 1);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&before.mtime, &after.mtime));
	age = timespec64_to_ns(&child.mtime) - timespec64_to_ns(&before.mtime);
	KUNIT_EXPECT_GE(test, age, 0);
	KUNIT_EXPECT_LT(test, age, 1 << 16);
}

static bool ek_defer(struct ek_dir *dir)
{
	guard(eventfs)(dir->node);
	eventfs_defer(dir->node);
	return !eventfs_is_filled(dir->node);
}

/*
 * Callers use eventfs_defer() before they create or remove a child. Fails without:
 * eventfs_change() or the test for watches in eventfs_defer().
 */
static void change_of_a_lazy_directory_is_deferred(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
	struct kstat before, after;
	struct ek_watch *watch;

	before = ek_stat(test, "events/lazy");
	ek_tick();
	KUNIT_EXPECT_TRUE(test, ek_defer(dir));
	KUNIT_EXPECT_EQ(test, dir->fills, 0);
	after = ek_stat(test, "events/lazy");
	KUNIT_EXPECT_GT(test, timespec64_compare(&after.mtime, &before.mtime), 0);

	watch = ek_watch(test, "events/lazy");
	dir->fill_error = -ENOMEM;
	KUNIT_EXPECT_TRUE(test, ek_defer(dir));
	dir->fill_error = 0;
	KUNIT_EXPECT_FALSE(test, ek_defer(dir));
	KUNIT_EXPECT_EQ(test, dir->fills, 2);
	KUNIT_EXPECT_EQ(test, watch->created, 0);
	ek_remove(dir->lazy[0]);
	KUNIT_EXPECT_EQ(test, watch->deleted, 1);
	ek_watch_end(watch);
	KUNIT_EXPECT_FALSE(test, ek_defer(dir));
	EK_EXPECT_ABSENT(test, "events/lazy/one");
}

/* The root may be filled later too, although it is always cached. */
static void events_directory_may_be_lazy(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *root = ek_new_lazy(test);
	struct kstat before, after;

	ek_remove_events(test, fixture->events);
	KUNIT_ASSERT_EQ(test, ek_adopt(root, eventfs_create_lazy_events_dir("events",
									    fixture->top, 0750,
									    ek_entries,
									    EK_NR_FILES, root,
									    ek_fill)), 0);
	fixture->events = root;
	EK_EXPECT_FOUND(test, "events");
	before = ek_stat(test, "events");
	ek_tick();
	KUNIT_EXPECT_TRUE(test, ek_defer(root));
	after = ek_stat(test, "events");
	KUNIT_EXPECT_GT(test, timespec64_compare(&after.mtime, &before.mtime), 0);
	KUNIT_EXPECT_EQ(test, root->fills, 0);
	KUNIT_EXPECT_EQ(test, after.mode, S_IFDIR | 0750);
	KUNIT_EXPECT_EQ(test, ek_stat(test, "events/two").mode, S_IFDIR | 0750);
	EK_EXPECT_FOUND(test, "events/two/format");
	KUNIT_EXPECT_EQ(test, root->fills, 1);
	KUNIT_EXPECT_EQ(test, ek_list(test, "events", 16, 16)->nr, 2 + EK_NR_FILES + 2);
	KUNIT_EXPECT_EQ(test, eventfs_fill_dir(root->node), 0);
	KUNIT_EXPECT_EQ(test, root->fills, 1);
}

/* Fails without: the later of both times in eventfs_add_lazy_dir(). */
static void lazy_directory_is_as_old_as_its_last_change(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dirs[] = { ek_new_dir(test), ek_new_dir(test) };
	struct kstat root = ek_stat(test, "events");
	s64 born = timespec64_to_ns(&root.btime);
	const s64 changed[] = { born - NSEC_PER_SEC, born + NSEC_PER_SEC };
	static const char * const names[] = { "early", "late" };

	for (int i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct eventfs_inode *node;
		struct kstat stat;
		char name[32];
		s64 age;

		scoped_guard(eventfs, fixture->events->node)
			node = eventfs_add_lazy_dir(names[i], fixture->events->node, ek_entries,
						    EK_NR_FILES, dirs[i], ek_fill, changed[i]);
		KUNIT_ASSERT_EQ(test, ek_adopt(dirs[i], node), 0);
		snprintf(name, sizeof(name), "events/%s", names[i]);
		stat = ek_stat(test, name);
		age = timespec64_to_ns(&stat.mtime) - max(born, changed[i]);
		KUNIT_EXPECT_GE(test, age, 0);
		KUNIT_EXPECT_LT(test, age, 1 << 16);
	}
}

struct ek_victim {
	struct kunit *test;
	struct completion done;
	int error;
};

static int ek_look_until_killed(void *data)
{
	struct ek_victim *victim = data;

	allow_signal(SIGKILL);
	victim->error = ek_probe(victim->test, "events/lazy/one", 0);
	complete_all(&victim->done);
	return 0;
}

/* Fails with: mutex_lock() in eventfs_fill_dir(). */
static void killed_task_fills_nothing(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
	struct ek_victim victim = { .test = test };
	struct task_struct *task;

	init_completion(&victim.done);
	eventfs_lock(dir->node);
	task = kthread_run(ek_look_until_killed, &victim, "ek_victim");
	if (!IS_ERR(task)) {
		for (int i = 0; i < 1000 && READ_ONCE(task->__state) != TASK_KILLABLE; i++)
			fsleep(1000);
		send_sig(SIGKILL, task, 1);
		KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&victim.done, 10 * HZ), 0);
	}
	eventfs_unlock(dir->node);
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	wait_for_completion(&victim.done);
	KUNIT_EXPECT_EQ(test, victim.error, -EINTR);
	KUNIT_EXPECT_EQ(test, dir->fills, 0);
	EK_EXPECT_FOUND(test, "events/lazy/one");
	KUNIT_EXPECT_EQ(test, dir->fills, 1);
}

/* Fails without: the test for a dead node in eventfs_fill_locked(). */
static void removed_directory_is_not_filled(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
	struct ek_scan *scan = ek_new_scan(test, 16);
	struct file *file = ek_open(test, "events/lazy");
	struct path path;

	ek_remove(dir);
	KUNIT_EXPECT_EQ(test, vfs_path_lookup(file->f_path.dentry, ek_mnt, "one", 0, &path),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, ek_list_rest(file, scan, 16), -ENOENT);
	ek_close(file);
	KUNIT_EXPECT_EQ(test, dir->fills, 0);
	KUNIT_EXPECT_TRUE(test, ek_is_released(dir));
}

/* Two lookups race a removal: the directory is filled once or not at all. */
static void filling_races_removal(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;

	for (int i = 0; i < 200; i++) {
		struct ek_dir *dir = ek_create_lazy(test, fixture->events, "lazy");
		struct ek_work *looks[2], *remove;

		looks[0] = ek_start(test, ek_do_lookup, NULL, "events/lazy/one");
		looks[1] = ek_start(test, ek_do_lookup, NULL, "events/lazy/two");
		remove = ek_start(test, ek_do_remove, dir, NULL);
		for (int k = 0; k < ARRAY_SIZE(looks); k++) {
			int error = ek_join(looks[k]);

			KUNIT_EXPECT_TRUE(test, !error || error == -ENOENT);
			if (!error)
				path_put(&looks[k]->path);
		}
		ek_join(remove);
		KUNIT_EXPECT_LE(test, dir->fills, 1);
		EK_EXPECT_ABSENT(test, "events/lazy");
	}
}

static void ek_do_find(struct ek_work *work)
{
	while (!READ_ONCE(work->stop)) {
		int error = ek_probe(work->test, work->name, 0);

		if (error)
			work->error = error;
		work->count++;
		cond_resched();
	}
}

/* Fails without: the search for a file if the child dies during the lookup. */
static void hidden_file_is_found_when_its_child_goes(struct kunit *test)
{
	enum { ROUNDS = 1000 };
	struct ek_work *works[2];
	struct ek_dir *sys;

	ek_create_event(test, &sys);
	for (int i = 0; i < ARRAY_SIZE(works); i++)
		works[i] = ek_start(test, ek_do_find, NULL, "events/sys/format");
	for (int i = 0; i < ROUNDS; i++) {
		struct ek_dir *child = ek_create(test, sys, "format");

		/* Vary the moment of the removal, so that it hits a lookup. */
		udelay(i % 128);
		ek_remove(child);
		udelay(i % 32);
		cond_resched();
	}
	ek_stop(test, works, ARRAY_SIZE(works));
}

static void ek_do_miss(struct ek_work *work)
{
	while (!READ_ONCE(work->stop)) {
		ek_probe(work->test, work->name, 0);
		WRITE_ONCE(work->count, work->count + 1);
		cond_resched();
	}
}

/*
 * Other children are created and removed, so that a walk searches for the name again
 * just when it is created. Fails with: a generation that is read after that search.
 */
static void new_name_is_found_whoever_searches(struct kunit *test)
{
	enum { ROUNDS = 500 };
	struct ek_fixture *fixture = test->priv;
	struct ek_dir *sys = ek_create(test, fixture->events, "sys");
	struct ek_work *work;

	work = ek_start(test, ek_do_miss, NULL, "events/sys/child");
	for (int i = 0; i < ROUNDS; i++) {
		struct ek_dir *other = ek_create(test, sys, "other");
		struct ek_dir *child;
		unsigned int count;

		udelay(i % 64);
		child = ek_create(test, sys, "child");
		/* After this, a search that began before has ended. */
		count = READ_ONCE(work->count);
		while (READ_ONCE(work->count) < count + 2)
			cond_resched();
		EK_EXPECT_FOUND(test, "events/sys/child");
		ek_remove(child);
		ek_remove(other);
		EK_EXPECT_ABSENT(test, "events/sys/child");
	}
	WRITE_ONCE(work->stop, true);
	ek_join(work);
}

static struct kunit_case ek_cases[] = {
	KUNIT_CASE(absent_name_is_not_found),
	KUNIT_CASE(existing_name_is_found),
	KUNIT_CASE(found_name_is_cached),
	KUNIT_CASE(miss_is_cached),
	KUNIT_CASE(miss_does_not_hide_new_name),
	KUNIT_CASE(miss_outlives_other_changes),
	KUNIT_CASE(miss_of_any_other_generation_is_searched_again),
	KUNIT_CASE(misses_are_limited),
	KUNIT_CASE(declined_name_is_not_cached),
	KUNIT_CASE(deleted_name_is_gone),
	KUNIT_CASE(recreated_name_is_another),
	KUNIT_CASE(directory_keeps_its_inode),
	KUNIT_CASE(cache_gives_back_what_it_took),
	KUNIT_CASE(removal_leaves_nothing_cached),
	KUNIT_CASE(removal_takes_what_is_below),
	KUNIT_CASE(removed_while_a_path_is_held),
	KUNIT_CASE(removed_while_a_miss_is_in_use),
	KUNIT_CASE(removed_while_a_file_is_open),
	KUNIT_CASE(removed_while_a_directory_is_open),
	KUNIT_CASE(removal_waits_for_lookup),
	KUNIT_CASE(removal_waits_for_all),
	KUNIT_CASE(removal_waits_for_lookup_below),
	KUNIT_CASE(removal_waits_for_listing),
	KUNIT_CASE(removal_drops_what_is_below_a_stale_name),
	KUNIT_CASE(what_is_let_go_during_removal_goes),
	KUNIT_CASE(stuck_callback_delays_nothing_else),
	KUNIT_CASE(stuck_reader_delays_nothing),
	KUNIT_CASE(dying_parent_takes_no_child),
	KUNIT_CASE(removing_null_does_nothing),
	KUNIT_CASE(tree_is_removed_through_any_node),
	KUNIT_CASE_SLOW(tree_with_a_thousand_children_is_removed),
	KUNIT_CASE(nested_directories_go_from_the_bottom_up),
	KUNIT_CASE(two_trees_stand_side_by_side),
	KUNIT_CASE(bad_name_is_refused),
	KUNIT_CASE(unusual_name_is_taken),
	KUNIT_CASE(longer_name_is_not_looked_up),
	KUNIT_CASE(taken_name_is_refused),
	KUNIT_CASE(child_hides_the_file_of_its_name),
	KUNIT_CASE(bad_parent_is_refused),
	KUNIT_CASE(bad_size_is_refused),
	KUNIT_CASE(size_may_differ),
	KUNIT_CASE(most_files_are_served),
	KUNIT_CASE(position_belongs_to_an_entry),
	KUNIT_CASE(what_stands_is_listed_once),
	KUNIT_CASE(inode_numbers_are_unique_and_listed),
	KUNIT_CASE(same_number_is_another_inode),
	KUNIT_CASE(numbers_go_on),
	KUNIT_CASE(names_of_equal_hash_are_told_apart),
	KUNIT_CASE(names_of_equal_hash_are_limited),
	KUNIT_CASE(last_positions_are_served),
	KUNIT_CASE_SLOW(many_children_are_served),
	KUNIT_CASE(attributes_survive_reclaim),
	KUNIT_CASE(set_times_stay_in_range),
	KUNIT_CASE(truncation_changes_nothing),
	KUNIT_CASE(owner_follows_the_mount_until_set),
	KUNIT_CASE(owner_of_any_other_reset_is_void),
	KUNIT_CASE(permission_follows_the_owner),
	KUNIT_CASE(static_owner_follows_the_mount_until_set),
	KUNIT_CASE(instances_have_an_owner_of_their_own),
	KUNIT_CASE(options_are_told),
	KUNIT_CASE(static_file_starts_afresh),
	KUNIT_CASE(chown_and_remount_agree),
	KUNIT_CASE(directory_changes_when_a_child_comes_or_goes),
	KUNIT_CASE(set_time_holds_until_the_next_change),
	KUNIT_CASE(clock_that_is_set_back_is_right),
	KUNIT_CASE(event_is_not_older_than_what_was_touched_before),
	KUNIT_CASE(links_tell_the_living_from_the_dead),
	KUNIT_CASE_PARAM(failed_allocation_changes_nothing, ek_ops_gen_params),
	KUNIT_CASE(removal_allocates_nothing),
	KUNIT_CASE(last_put_may_come_from_reclaim),
	KUNIT_CASE(node_outlives_its_last_put),
	KUNIT_CASE(asking_takes_no_lock),
	KUNIT_CASE(asking_takes_i_lock_once_after_a_change),
	KUNIT_CASE(asking_does_not_sleep),
	KUNIT_CASE(security_module_may_block),
	KUNIT_CASE(watch_elsewhere_makes_no_inode),
	KUNIT_CASE(watch_hears_of_a_file_that_is_hidden),
	KUNIT_CASE(static_directory_is_told),
	KUNIT_CASE(removal_of_the_tree_is_told),
	KUNIT_CASE(child_is_told_with_its_inode),
	KUNIT_CASE(lazy_directory_is_filled_by_a_look_into_it),
	KUNIT_CASE(failed_filling_is_tried_again),
	KUNIT_CASE(filling_is_no_change),
	KUNIT_CASE(change_of_a_lazy_directory_is_deferred),
	KUNIT_CASE(events_directory_may_be_lazy),
	KUNIT_CASE(lazy_directory_is_as_old_as_its_last_change),
	KUNIT_CASE(killed_task_fills_nothing),
	KUNIT_CASE(removed_directory_is_not_filled),
	KUNIT_CASE_SLOW(filling_races_removal),
	KUNIT_CASE_SLOW(lookups_race_removal),
	KUNIT_CASE(lookups_race_removal_of_the_tree),
	KUNIT_CASE(lookups_race_creation),
	KUNIT_CASE(hidden_file_is_found_when_its_child_goes),
	KUNIT_CASE(new_name_is_found_whoever_searches),
	KUNIT_CASE(new_name_is_found_whoever_looks),
	KUNIT_CASE_SLOW(standing_names_are_found_while_others_come_and_go),
	{}
};

static struct kunit_suite ek_suite = {
	.name		= "eventfs",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= ek_cases,
};

kunit_test_suite(ek_suite);
