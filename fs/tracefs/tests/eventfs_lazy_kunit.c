// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of eventfs: directories that are filled on first use
 */
#include "eventfs_kunit.h"

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
	struct eventfs_inode *node = dir->node;
	struct path path;

	ek_remove(dir);
	/* A lookup that began before the removal; @file keeps the node. */
	KUNIT_EXPECT_EQ(test, eventfs_fill_dir(node), -ENOENT);
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

static struct kunit_case eventfs_lazy_cases[] = {
	KUNIT_CASE(lazy_directory_is_filled_by_a_look_into_it),
	KUNIT_CASE(failed_filling_is_tried_again),
	KUNIT_CASE(filling_is_no_change),
	KUNIT_CASE(change_of_a_lazy_directory_is_deferred),
	KUNIT_CASE(events_directory_may_be_lazy),
	KUNIT_CASE(lazy_directory_is_as_old_as_its_last_change),
	KUNIT_CASE(killed_task_fills_nothing),
	KUNIT_CASE(removed_directory_is_not_filled),
	KUNIT_CASE_SLOW(filling_races_removal),
	{}
};

struct kunit_suite eventfs_lazy_suite = {
	.name		= "eventfs_lazy",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= eventfs_lazy_cases,
};
