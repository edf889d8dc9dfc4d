// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what the callers of eventfs in the kernel may rely on
 */
#include <kunit/test.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/trace_events.h>
#include <linux/trace_remote.h>
#include <linux/tracefs.h>

#include "../internal.h"

/* As after a creation that failed */
static void removal_of_null(struct kunit *test)
{
	eventfs_remove_dir(NULL);
	eventfs_remove_events_dir(NULL);
}

#ifdef CONFIG_TRACE_REMOTE
/* Look up one name below @parent, whose reference is dropped. Errors go through. */
static struct dentry *find(struct dentry *parent, char *name)
{
	struct dentry *dentry;

	if (IS_ERR(parent))
		return parent;
	dentry = lookup_noperm_unlocked(&QSTR(name), parent);
	dput(parent);
	if (!IS_ERR(dentry) && d_is_negative(dentry)) {
		dput(dentry);
		return ERR_PTR(-ENOENT);
	}
	return dentry;
}

static struct trace_buffer_desc *load_nothing(unsigned long size, void *priv)
{
	return ERR_PTR(-ENODEV);
}

static int enable_nothing(unsigned short id, bool enable, void *priv)
{
	return 0;
}

/*
 * The first event cannot have a directory, which must not keep the second from
 * having one. The remote stays, since there is no way to unregister it.
 */
static void remote_event_without_directory(struct kunit *test)
{
	static struct trace_remote_callbacks callbacks = {
		.load_trace_buffer	= load_nothing,
		.enable_event		= enable_nothing,
	};
	static struct trace_event_fields fields[] = { { } };
	static struct remote_event events[] = {
		{ .name = "bad/name", .id = 1, .fields = fields, .print_fmt = "" },
		{ .name = "good", .id = 2, .fields = fields, .print_fmt = "" },
	};
	struct dentry *dir, *dentry;

	KUNIT_ASSERT_EQ(test, 0, trace_remote_register("eventfs_kunit", &callbacks, NULL,
						       events, ARRAY_SIZE(events)));

	/* A directory of tracefs, for the way to the root */
	dir = tracefs_create_dir("eventfs_kunit", NULL);
	KUNIT_ASSERT_NOT_NULL(test, dir);
	dentry = find(find(dget(dir->d_parent), "remotes"), "eventfs_kunit");
	tracefs_remove(dir);
	dentry = find(find(find(dentry, "events"), "eventfs_kunit"), "good");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dentry);
	if (!IS_ERR(dentry))
		dput(dentry);
}
#endif

/* The link of a removed events directory is taken from its parent. */
static void removal_takes_link_from_parent(struct kunit *test)
{
	struct eventfs_inode *events;
	unsigned int nlink;
	struct dentry *dir;

	dir = tracefs_create_dir("eventfs_kunit", NULL);
	KUNIT_ASSERT_NOT_NULL(test, dir);
	nlink = d_inode(dir)->i_nlink;
	events = eventfs_create_events_dir("events", dir, NULL, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, events);
	KUNIT_EXPECT_EQ(test, d_inode(dir)->i_nlink, nlink + 1);
	eventfs_remove_events_dir(events);
	KUNIT_EXPECT_EQ(test, d_inode(dir)->i_nlink, nlink);
	tracefs_remove(dir);
}

static struct kunit_case eventfs_callers_cases[] = {
	KUNIT_CASE(removal_of_null),
#ifdef CONFIG_TRACE_REMOTE
	KUNIT_CASE(remote_event_without_directory),
#endif
	KUNIT_CASE(removal_takes_link_from_parent),
	{}
};

static struct kunit_suite eventfs_callers_suite = {
	.name		= "eventfs_callers",
	.test_cases	= eventfs_callers_cases,
};

kunit_test_suite(eventfs_callers_suite);

MODULE_DESCRIPTION("KUnit tests of the calls that eventfs offers");
MODULE_LICENSE("GPL");
