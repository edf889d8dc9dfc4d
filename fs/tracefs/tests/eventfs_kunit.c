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
#include "eventfs_kunit.h"

struct vfsmount *ek_mnt;

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

void ek_open_gate(struct ek_gate *gate)
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

int ek_callback(const char *name, umode_t *mode, void **data,
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

int ek_callback_gate(const char *name, umode_t *mode, void **data,
		     const struct file_operations **fops)
{
	struct ek_dir *dir = *data;

	if (READ_ONCE(dir->gate.shut))
		ek_wait_at_gate(&dir->gate);
	if (READ_ONCE(dir->removed))
		atomic_inc(&dir->late);
	return ek_callback(name, mode, data, fops);
}

void ek_release_format(const char *name, void *data)
{
	struct ek_dir *dir = data;

	atomic_inc(&dir->released[EK_FORMAT]);
}

void ek_release_gate(const char *name, void *data)
{
	struct ek_dir *dir = data;

	atomic_inc(&dir->released[EK_GATE]);
}

/* As in kernel/trace, some entries have a release and some do not. */
const struct eventfs_entry ek_entries[EK_NR_FILES] = {
	[EK_ENABLE]	= { "enable", ek_callback },
	[EK_FORMAT]	= { "format", ek_callback, ek_release_format },
	[EK_MAYBE]	= { "maybe", ek_callback_maybe },
	[EK_GATE]	= { "gate", ek_callback_gate, ek_release_gate },
};

bool ek_is_released(const struct ek_dir *dir)
{
	return atomic_read(&dir->released[EK_FORMAT]) == 1 &&
	       atomic_read(&dir->released[EK_GATE]) == 1;
}

bool ek_is_unreleased(const struct ek_dir *dir)
{
	return !atomic_read(&dir->released[EK_FORMAT]) &&
	       !atomic_read(&dir->released[EK_GATE]);
}

/*
 * Directories
 */

struct ek_dir *ek_new_dir(struct kunit *test)
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
int ek_adopt(struct ek_dir *dir, struct eventfs_inode *node)
{
	if (IS_ERR(node))
		return PTR_ERR(node);
	dir->node = node;
	return 0;
}

int ek_try_create(struct ek_dir *dir, struct ek_dir *parent, const char *name)
{
	return ek_adopt(dir, eventfs_create_dir(name, parent->node, ek_entries,
						EK_NR_FILES, dir));
}

struct ek_dir *ek_create(struct kunit *test, struct ek_dir *parent, const char *name)
{
	struct ek_dir *dir = ek_new_dir(test);

	KUNIT_ASSERT_EQ(test, ek_try_create(dir, parent, name), 0);
	return dir;
}

static const char * const ek_lazy_names[] = { "one", "two" };

/* Create the children that do not exist yet. */
int ek_fill(struct eventfs_inode *node, void *data)
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

struct ek_dir *ek_new_lazy(struct kunit *test)
{
	struct ek_dir *dir = ek_new_dir(test);

	for (int i = 0; i < ARRAY_SIZE(dir->lazy); i++)
		dir->lazy[i] = ek_new_dir(test);
	return dir;
}

struct ek_dir *ek_create_lazy(struct kunit *test, struct ek_dir *parent, const char *name)
{
	struct ek_dir *dir = ek_new_lazy(test);

	guard(eventfs)(parent->node);
	KUNIT_ASSERT_EQ(test, ek_adopt(dir, eventfs_add_lazy_dir(name, parent->node, ek_entries,
								 EK_NR_FILES, dir, ek_fill,
								 eventfs_now())), 0);
	return dir;
}

int ek_try_create_events(struct ek_dir *dir, struct dentry *parent)
{
	return ek_adopt(dir, eventfs_create_events_dir("events", parent, ek_entries,
						       EK_NR_FILES, dir));
}

void ek_remove(struct ek_dir *dir)
{
	eventfs_remove_dir(dir->node);
	WRITE_ONCE(dir->removed, true);
}

/* Remove the whole tree, through any of its nodes. */
void ek_remove_events(struct kunit *test, struct ek_dir *any)
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
unsigned int ek_inodes(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;

	return ek_count_inodes(TRACEFS_EVENT) - fixture->inodes;
}

/* Drop all unused dentries and inodes, as memory pressure does. */
void ek_reclaim(struct kunit *test)
{
	struct ek_fixture *fixture = test->priv;

	shrink_dcache_parent(fixture->top);
}

/*
 * Access through the VFS
 */

int ek_lookup(struct kunit *test, const char *name, unsigned int flags, struct path *path)
{
	struct ek_fixture *fixture = test->priv;

	return vfs_path_lookup(fixture->top, ek_mnt, name, flags, path);
}

int ek_probe(struct kunit *test, const char *name, unsigned int flags)
{
	struct path path;
	int error = ek_lookup(test, name, flags, &path);

	if (!error)
		path_put(&path);
	return error;
}

void ek_hold(struct kunit *test, const char *name, struct path *path)
{
	KUNIT_ASSERT_EQ_MSG(test, ek_lookup(test, name, 0, path), 0, "%s", name);
}

struct file *ek_open(struct kunit *test, const char *name)
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
void ek_close(struct file *file)
{
	__fput_sync(file);
}

struct kstat ek_stat_path(struct kunit *test, const struct path *path)
{
	struct kstat stat = {};

	KUNIT_EXPECT_EQ(test, vfs_getattr(path, &stat, STATX_BASIC_STATS | STATX_BTIME,
					  AT_STATX_SYNC_AS_STAT), 0);
	return stat;
}

struct kstat ek_stat(struct kunit *test, const char *name)
{
	struct kstat stat;
	struct path path;

	ek_hold(test, name, &path);
	stat = ek_stat_path(test, &path);
	path_put(&path);
	return stat;
}

int ek_set_path(const struct path *path, const struct iattr *attr)
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

int ek_set(struct kunit *test, const char *name, const struct iattr *attr)
{
	struct path path;
	int error = ek_lookup(test, name, 0, &path);

	if (error)
		return error;
	error = ek_set_path(&path, attr);
	path_put(&path);
	return error;
}

struct iattr ek_owner(unsigned int valid, unsigned int id)
{
	return (struct iattr) {
		.ia_valid	= valid,
		.ia_vfsuid	= VFSUIDT_INIT(KUIDT_INIT(id)),
		.ia_vfsgid	= VFSGIDT_INIT(KGIDT_INIT(id)),
	};
}

/* i_uid after a permission check */
unsigned int ek_inode_uid(struct kunit *test, const struct path *path)
{
	struct inode *inode = d_inode(path->dentry);

	KUNIT_EXPECT_EQ(test, inode_permission(mnt_idmap(path->mnt), inode, MAY_WRITE), 0);
	return from_kuid(&init_user_ns, READ_ONCE(inode->i_uid));
}

/* A mount of tracefs with options is a remount of its single superblock. */
int ek_remount(const char *options)
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
void ek_tick(void)
{
	u64 now = ktime_get_coarse_real_ns();

	while (ktime_get_coarse_real_ns() == now)
		cond_resched();
}

/*
 * Listing
 */

bool ek_actor(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
	      unsigned int type)
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

void *ek_alloc(struct kunit *test, size_t nr, size_t size)
{
	void *memory = kvcalloc(nr, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, ek_kvfree, memory), 0);
	return memory;
}

/* Entries "f0", "f1" and so on, all with @callback */
struct eventfs_entry *ek_new_entries(struct kunit *test, unsigned int nr,
				     eventfs_callback callback)
{
	struct eventfs_entry *entries = ek_alloc(test, nr, sizeof(*entries));
	char (*names)[12] = ek_alloc(test, nr, sizeof(*names));

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		entries[i] = (struct eventfs_entry) { names[i], callback };
	}
	return entries;
}

struct ek_scan *ek_new_scan(struct kunit *test, unsigned int max)
{
	struct ek_scan *scan = ek_alloc(test, 1, sizeof(*scan));

	scan->ctx.actor = ek_actor;
	scan->max = max;
	scan->names = ek_alloc(test, max, sizeof(*scan->names));
	return scan;
}

/* List up to @room entries. Return: their number, or an error. */
int ek_list_some(struct file *file, struct ek_scan *scan, unsigned int room)
{
	unsigned int before = scan->nr;
	int error;

	scan->room = room;
	error = iterate_dir(file, &scan->ctx);
	return error ?: scan->nr - before;
}

int ek_list_rest(struct file *file, struct ek_scan *scan, unsigned int room)
{
	int ret;

	do {
		ret = ek_list_some(file, scan, room);
	} while (ret > 0);
	return ret;
}

/* List a whole directory, @room entries at a time. */
struct ek_scan *ek_list(struct kunit *test, const char *name, unsigned int max,
			unsigned int room)
{
	struct ek_scan *scan = ek_new_scan(test, max);
	struct file *file = ek_open(test, name);

	KUNIT_EXPECT_EQ(test, ek_list_rest(file, scan, room), 0);
	ek_close(file);
	KUNIT_EXPECT_LT(test, scan->nr, max);
	return scan;
}

unsigned int ek_listed(const struct ek_scan *scan, const char *name)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < scan->nr; i++)
		count += !strcmp(scan->names[i].name, name);
	return count;
}

/* The index of @name in @scan, which must contain it */
unsigned int ek_index(struct kunit *test, const struct ek_scan *scan, const char *name)
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

struct ek_work *ek_start(struct kunit *test, void (*fn)(struct ek_work *work),
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

int ek_join(struct ek_work *work)
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

void ek_do_lookup(struct ek_work *work)
{
	work->error = ek_lookup(work->test, work->name, 0, &work->path);
}

void ek_do_remove(struct ek_work *work)
{
	ek_remove(work->dir);
}

/* List a directory in one go. With work->dir, the reader is held up at its gate. */
void ek_do_list(struct ek_work *work)
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

void ek_wait_entered(struct kunit *test, struct ek_gate *gate)
{
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&gate->entered, EK_LONG), 0);
}

/* Start a lookup of the file of @gate, which waits in the callback. */
struct ek_work *ek_enter_gate(struct kunit *test, struct ek_gate *gate, const char *name)
{
	struct ek_work *work;

	WRITE_ONCE(gate->shut, true);
	work = ek_start(test, ek_do_lookup, NULL, name);
	ek_wait_entered(test, gate);
	return work;
}

/* Wait until the removal of a directory has begun: walks no longer take its cached name. */
void ek_wait_dead(struct kunit *test, const struct path *path)
{
	struct dentry *dentry = path->dentry;
	unsigned long end = jiffies + EK_LONG;
	struct path found;
	int error;

	do {
		error = vfs_path_lookup(dentry->d_parent, ek_mnt, dentry->d_name.name,
					LOOKUP_CACHED, &found);
		if (!error)
			path_put(&found);
		cond_resched();
	} while (!error && time_before(jiffies, end));
	KUNIT_ASSERT_EQ(test, error, -EAGAIN);
}

/*
 * Fixture
 */

int ek_init(struct kunit *test)
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

void ek_exit(struct kunit *test)
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

int ek_suite_init(struct kunit_suite *suite)
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

void ek_suite_exit(struct kunit_suite *suite)
{
	if (!ek_wq)
		return;
	destroy_workqueue(ek_wq);
	kern_unmount(ek_mnt);
}

/* Most cases start with a system that has one event. */
struct ek_dir *ek_create_event(struct kunit *test, struct ek_dir **sys)
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

static struct kunit_case eventfs_cases[] = {
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
	KUNIT_CASE(asking_takes_no_lock),
	KUNIT_CASE(asking_takes_i_lock_once_after_a_change),
	KUNIT_CASE(asking_does_not_sleep),
	KUNIT_CASE(security_module_may_block),
	KUNIT_CASE_SLOW(lookups_race_removal),
	KUNIT_CASE(lookups_race_removal_of_the_tree),
	KUNIT_CASE(lookups_race_creation),
	KUNIT_CASE(hidden_file_is_found_when_its_child_goes),
	KUNIT_CASE(new_name_is_found_whoever_searches),
	KUNIT_CASE(new_name_is_found_whoever_looks),
	KUNIT_CASE_SLOW(standing_names_are_found_while_others_come_and_go),
	{}
};

static struct kunit_suite eventfs_suite = {
	.name		= "eventfs",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= eventfs_cases,
};

kunit_test_suites(&eventfs_suite,
		  &eventfs_tree_suite,
		  &eventfs_attr_suite,
		  &eventfs_watch_suite,
		  &eventfs_lazy_suite);
