// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of eventfs: creation, removal and listing
 */
#include "eventfs_kunit.h"

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

static struct kunit_case eventfs_tree_cases[] = {
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
	{}
};

struct kunit_suite eventfs_tree_suite = {
	.name		= "eventfs_tree",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= eventfs_tree_cases,
};
