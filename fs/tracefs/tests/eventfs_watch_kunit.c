// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of eventfs: what watches receive
 */
#include "eventfs_kunit.h"

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
void ek_watch_end(void *data)
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

struct ek_watch *ek_watch(struct kunit *test, const char *name)
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

static struct kunit_case eventfs_watch_cases[] = {
	KUNIT_CASE(watch_elsewhere_makes_no_inode),
	KUNIT_CASE(watch_hears_of_a_file_that_is_hidden),
	KUNIT_CASE(static_directory_is_told),
	KUNIT_CASE(removal_of_the_tree_is_told),
	KUNIT_CASE(child_is_told_with_its_inode),
	{}
};

struct kunit_suite eventfs_watch_suite = {
	.name		= "eventfs_watch",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= eventfs_watch_cases,
};
