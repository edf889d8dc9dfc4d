// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of eventfs: owners, modes and times
 */
#include "eventfs_kunit.h"

const char * const ek_objects[4] = {
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

void ek_save_owners(struct kunit *test)
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

static struct kunit_case eventfs_attr_cases[] = {
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
	{}
};

struct kunit_suite eventfs_attr_suite = {
	.name		= "eventfs_attr",
	.suite_init	= ek_suite_init,
	.suite_exit	= ek_suite_exit,
	.init		= ek_init,
	.exit		= ek_exit,
	.test_cases	= eventfs_attr_cases,
};
