// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracefs - the file system of the tracing facilities
 *
 * Based on debugfs by: Greg Kroah-Hartman <greg@kroah.com>
 *
 * Copyright (C) 2014 Red Hat Inc, author: Steven Rostedt <srostedt@redhat.com>
 *
 * This file implements the superblock, the mount options, the owners of all
 * objects, and the static files and directories, which the kernel creates and
 * pins. Everything below an "events" directory is in event_inode.c.
 *
 * Rules that everything here follows:
 *
 * - A static object exists only in the dentry cache: its dentry is persistent
 *   from creation to tracefs_remove(). A failed creation and a removal both
 *   release what the creation took: the mount, the inode, the parent's link.
 *
 * - The owner of an inode is computed from the superblock's defaults and from
 *   what was set on the object itself. So a change of the defaults costs the
 *   same however many inodes there are, and takes effect at one moment.
 *
 * - i_uid and i_gid are copies for the VFS, which reads them directly.
 *   tracefs_refresh_owner() updates them: when the inode is created, in
 *   ->permission when the owner matters, and at the start of ->setattr and
 *   ->rmdir. ->getattr does not use them.
 *
 *   field                  written under                    read under
 *   tracefs_sb             lock                             lock's sequence count
 *   tracefs_inode::attrs   cmpxchg                          RCU
 *   i_uid, i_gid           i_lock                           i_lock, or after an
 *   generation             i_lock, release: after the two   acquire of generation
 *
 * Lock order: event_mutex, i_rwsem or s_umount, i_lock, tracefs_sb::lock.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fsnotify.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/tracefs.h>

#include <kunit/visibility.h>

#include "internal.h"

#define TRACEFS_ROOT_INO	1	/* in block 0, which nothing else uses */
#define TRACEFS_DEFAULT_MODE	0700

/* Selects the default owner of an inode */
enum tracefs_class {
	TRACEFS_CLASS_ROOT,		/* that of the mount's root */
	TRACEFS_CLASS_INSTANCES,	/* that of "instances" */
	TRACEFS_NR_CLASSES,
};

/**
 * struct tracefs_options - mount options
 * @given: BIT(OPT_*) of the options that were given
 * @uid: the default owner
 * @gid: the default group
 * @mode: permission bits of the mount's root
 */
struct tracefs_options {
	unsigned int given;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
};

/**
 * struct tracefs_sb - the defaults of the superblock
 * @lock: held to change any of the following
 * @uid: default owner, by class
 * @gid: default group, by class
 * @instances_set: ATTR_UID, ATTR_GID: what was set on "instances", and so does
 *	not follow the mount's root
 * @generation: counts the changes, never 0
 * @uid_reset: counts the mounts with uid=, each of which undoes every chown
 * @gid_reset: the same for gid= and chgrp
 * @rcu: for kfree_rcu(): a path walk may read this while the last mount ends
 */
struct tracefs_sb {
	seqlock_t lock;
	kuid_t uid[TRACEFS_NR_CLASSES];
	kgid_t gid[TRACEFS_NR_CLASSES];
	u32 instances_set;
	u32 generation;
	u32 uid_reset;
	u32 gid_reset;
	struct rcu_head rcu;
};

struct tracefs_owner {
	kuid_t uid;
	kgid_t gid;
	u32 generation;
};

static struct kmem_cache *tracefs_inode_cache __ro_after_init;
static struct vfsmount *tracefs_mount;
static bool tracefs_registered __ro_after_init;

VISIBLE_IF_KUNIT atomic_t tracefs_next_id = ATOMIC_INIT(1);
/* One pin for each static object and each "events" directory */
VISIBLE_IF_KUNIT int tracefs_mount_count;

/* Set once at boot, together with the directory that uses them */
static int (*tracefs_instance_mkdir)(const char *name) __ro_after_init;
static int (*tracefs_instance_rmdir)(const char *name) __ro_after_init;
static struct inode *tracefs_instances __ro_after_init;

/**
 * tracefs_get_id - get an id for inode numbers, see tracefs_ino()
 * @count: how many numbers
 *
 * Context: Any.
 * Return: the id, never 0.
 */
u32 tracefs_get_id(unsigned int count)
{
	u32 id;

	do {
		id = atomic_fetch_add(DIV_ROUND_UP(count, TRACEFS_BLOCK_SIZE), &tracefs_next_id);
	} while (unlikely(!id));
	return id;
}

/*
 * Owners
 */

static struct tracefs_sb *tracefs_sb(const struct inode *inode)
{
	return inode->i_sb->s_fs_info;
}

static bool tracefs_is_root(const struct inode *inode)
{
	return inode == d_inode(inode->i_sb->s_root);
}

static enum tracefs_class tracefs_class(const struct inode *inode)
{
	return get_tracefs(inode)->flags & TRACEFS_INSTANCES ?
		TRACEFS_CLASS_INSTANCES : TRACEFS_CLASS_ROOT;
}

/* Caller is in an RCU read-side critical section. */
static const struct tracefs_attr *tracefs_attr(const struct inode *inode)
{
	const struct tracefs_inode *ti = get_tracefs(inode);
	const struct tracefs_attrs *attrs;

	if (ti->flags & TRACEFS_EVENT)
		return eventfs_attr(inode);

	attrs = rcu_dereference(ti->attrs);
	return attrs ? &attrs->slot[0] : NULL;
}

/*
 * Read the defaults and the attributes as of one moment. If one were older, the result
 * could be an owner that the object never had. Caller is in an RCU read-side critical
 * section.
 */
static struct tracefs_owner tracefs_owner(const struct inode *inode)
{
	struct tracefs_sb *sbi = tracefs_sb(inode);
	enum tracefs_class class = tracefs_class(inode);
	const struct tracefs_attr *attr;
	struct tracefs_owner owner;
	unsigned int seq;

	do {
		seq = read_seqbegin(&sbi->lock);
		attr = tracefs_attr(inode);
		owner.uid = sbi->uid[class];
		owner.gid = sbi->gid[class];
		owner.generation = sbi->generation;
		if (attr && attr->set & ATTR_UID && attr->uid_reset == sbi->uid_reset)
			owner.uid = attr->uid;
		if (attr && attr->set & ATTR_GID && attr->gid_reset == sbi->gid_reset)
			owner.gid = attr->gid;
	} while (read_seqretry(&sbi->lock, seq));
	return owner;
}

/*
 * The owner is computed under i_lock, which tracefs_setattr() takes after it has
 * published what was set. So a delayed path walk stores the owner that is valid by then.
 * It never replaces the result of a chown by a default. Caller is in an RCU read-side
 * critical section.
 */
static void tracefs_refresh_owner_locked(struct inode *inode)
{
	struct tracefs_owner owner = tracefs_owner(inode);

	lockdep_assert_held(&inode->i_lock);
	WRITE_ONCE(inode->i_uid, owner.uid);
	WRITE_ONCE(inode->i_gid, owner.gid);
	/* Pairs with the acquire in tracefs_refresh_owner(). */
	smp_store_release(&get_tracefs(inode)->generation, owner.generation);
}

/**
 * tracefs_refresh_owner - bring i_uid and i_gid up to date
 * @inode: any inode of tracefs
 *
 * Context: Process, also under RCU; takes i_lock once for each inode and generation.
 */
void tracefs_refresh_owner(struct inode *inode)
{
	/* Pairs with the release above: the owner was stored before the generation. */
	if (smp_load_acquire(&get_tracefs(inode)->generation) ==
	    READ_ONCE(tracefs_sb(inode)->generation))
		return;

	guard(rcu)();
	spin_lock(&inode->i_lock);
	tracefs_refresh_owner_locked(inode);
	spin_unlock(&inode->i_lock);
}

/* Not inline, so that the hot case needs no stack */
static noinline int tracefs_owner_permission(struct mnt_idmap *idmap, struct inode *inode,
					     int mask)
{
	tracefs_refresh_owner(inode);
	return generic_permission(idmap, inode, mask);
}

/**
 * tracefs_permission - ->permission of every inode of tracefs
 * @idmap: idmap of the mount, always nop_mnt_idmap
 * @inode: the inode to be accessed
 * @mask: MAY_*
 *
 * Context: RCU-walk or not. Does not sleep.
 * Return: 0 or -EACCES.
 */
int tracefs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	/*
	 * Return early if owner, group and others all have the permission, because the
	 * owner does not matter then. That saves 4 % of a warm stat(). Sticky directories
	 * are left out: the VFS goes on to compare their owner.
	 */
	if (!(((mask & 7) * 0111 | S_ISVTX) & (READ_ONCE(inode->i_mode) ^ 0777)))
		return 0;
	return tracefs_owner_permission(idmap, inode, mask);
}

/**
 * tracefs_getattr - ->getattr of every inode of tracefs
 * @idmap: idmap of the mount, always nop_mnt_idmap
 * @path: the object
 * @stat: the result
 * @request_mask: STATX_*
 * @flags: AT_STATX_*, unused
 *
 * Context: Any. Does not sleep and takes no lock.
 * Return: 0.
 */
int tracefs_getattr(struct mnt_idmap *idmap, const struct path *path,
		    struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_backing_inode(path->dentry);
	struct tracefs_owner owner;

	guard(rcu)();
	if (get_tracefs(inode)->flags & TRACEFS_EVENT)
		eventfs_fill_stat(inode, stat);
	else
		generic_fillattr(idmap, request_mask, inode, stat);
	owner = tracefs_owner(inode);
	stat->uid = owner.uid;
	stat->gid = owner.gid;
	return 0;
}

/**
 * struct tracefs_change - a change of the defaults
 * @class: which default
 * @valid: ATTR_UID, ATTR_GID: which of the two change
 * @uid: the new owner
 * @gid: the new group
 * @mount: made by a mount, which also undoes what was set on individual objects
 */
struct tracefs_change {
	enum tracefs_class class;
	unsigned int valid;
	kuid_t uid;
	kgid_t gid;
	bool mount;
};

static void tracefs_change_defaults(struct tracefs_sb *sbi,
				    const struct tracefs_change *change)
{
	write_seqlock(&sbi->lock);
	if (change->class == TRACEFS_CLASS_INSTANCES)
		sbi->instances_set |= change->valid;
	else if (change->mount)
		sbi->instances_set &= ~change->valid;

	if (change->valid & ATTR_UID) {
		sbi->uid[change->class] = change->uid;
		if (!(sbi->instances_set & ATTR_UID))
			sbi->uid[TRACEFS_CLASS_INSTANCES] = change->uid;
		if (change->mount)
			sbi->uid_reset++;
	}
	if (change->valid & ATTR_GID) {
		sbi->gid[change->class] = change->gid;
		if (!(sbi->instances_set & ATTR_GID))
			sbi->gid[TRACEFS_CLASS_INSTANCES] = change->gid;
		if (change->mount)
			sbi->gid_reset++;
	}
	/* An inode is allocated with generation 0, which is always outdated. */
	WRITE_ONCE(sbi->generation, sbi->generation + 1 ?: 1);
	write_sequnlock(&sbi->lock);
}

static void tracefs_update_attr(struct tracefs_attr *attr, struct mnt_idmap *idmap,
				struct inode *inode, const struct iattr *iattr,
				u32 generation)
{
	struct tracefs_sb *sbi = tracefs_sb(inode);
	unsigned int valid = iattr->ia_valid;
	u32 uid_reset, gid_reset;
	unsigned int seq;

	/* Read both as of one moment: a mount undoes both or neither. */
	do {
		seq = read_seqbegin(&sbi->lock);
		uid_reset = sbi->uid_reset;
		gid_reset = sbi->gid_reset;
	} while (read_seqretry(&sbi->lock, seq));

	/* The object has changed since, so the times that were set are no longer valid. */
	if (attr->generation != generation)
		attr->set &= ~(ATTR_MTIME | ATTR_CTIME);
	attr->generation = generation;

	attr->set |= valid & (ATTR_UID | ATTR_GID | ATTR_MODE |
			      ATTR_ATIME | ATTR_MTIME | ATTR_CTIME);
	if (valid & ATTR_UID) {
		attr->uid = from_vfsuid(idmap, i_user_ns(inode), iattr->ia_vfsuid);
		attr->uid_reset = uid_reset;
	}
	if (valid & ATTR_GID) {
		attr->gid = from_vfsgid(idmap, i_user_ns(inode), iattr->ia_vfsgid);
		attr->gid_reset = gid_reset;
	}
	if (valid & ATTR_MODE)
		attr->mode = iattr->ia_mode & S_IALLUGO;
	if (valid & ATTR_ATIME)
		attr->atime = timespec64_to_ns(&iattr->ia_atime);
	if (valid & ATTR_MTIME)
		attr->mtime = timespec64_to_ns(&iattr->ia_mtime);
	if (valid & ATTR_CTIME)
		attr->ctime = timespec64_to_ns(&iattr->ia_ctime);
}

/**
 * tracefs_record_attr - record attributes that are set on an object
 * @attrs: pointer to the snapshot, in an object that exists during the call
 * @slots: number of slots, the same in each call for one @attrs
 * @slot: the slot whose attributes are set, below @slots
 * @idmap: idmap of the mount
 * @inode: the inode
 * @iattr: what to set, already checked
 * @generation: counts the changes of the object; the next change ends the effect
 *	of ATTR_MTIME and ATTR_CTIME
 *
 * The slots of a directory share a snapshot and are set under different
 * i_rwsems. So the snapshot is replaced by cmpxchg().
 *
 * Context: May sleep.
 * Return: 0, or -ENOMEM with nothing changed.
 */
int tracefs_record_attr(struct tracefs_attrs __rcu **attrs, unsigned int slots,
			unsigned int slot, struct mnt_idmap *idmap,
			struct inode *inode, const struct iattr *iattr,
			u32 generation)
{
	struct tracefs_attrs *new = kzalloc_flex(*new, slot, slots);
	struct tracefs_attrs *old;

	if (!new)
		return -ENOMEM;

	guard(rcu)();
	do {
		old = rcu_dereference(*attrs);
		if (old)
			memcpy(new->slot, old->slot, array_size(slots, sizeof(*new->slot)));
		tracefs_update_attr(&new->slot[slot], idmap, inode, iattr, generation);
	} while (unrcu_pointer(cmpxchg(attrs, RCU_INITIALIZER(old),
				       RCU_INITIALIZER(new))) != old);
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

static int tracefs_record_static(struct mnt_idmap *idmap, struct inode *inode,
				 const struct iattr *iattr)
{
	/* The inode is pinned and keeps mode and times itself. */
	struct iattr owner = *iattr;

	owner.ia_valid &= ATTR_UID | ATTR_GID;
	if (!owner.ia_valid)
		return 0;

	if (tracefs_is_root(inode) || inode == tracefs_instances) {
		struct tracefs_change change = {
			.class	= tracefs_class(inode),
			.valid	= owner.ia_valid,
		};

		if (change.valid & ATTR_UID)
			change.uid = from_vfsuid(idmap, i_user_ns(inode), iattr->ia_vfsuid);
		if (change.valid & ATTR_GID)
			change.gid = from_vfsgid(idmap, i_user_ns(inode), iattr->ia_vfsgid);
		tracefs_change_defaults(tracefs_sb(inode), &change);
		return 0;
	}
	return tracefs_record_attr(&get_tracefs(inode)->attrs, 1, 0, idmap, inode, &owner, 0);
}

/*
 * Update the inode from what was recorded. The owner is computed, never copied: a
 * remount may have undone it since.
 */
static void tracefs_copy_attr(struct mnt_idmap *idmap, struct inode *inode,
			      const struct iattr *iattr)
{
	struct iattr times = *iattr;

	times.ia_valid &= ~(ATTR_UID | ATTR_GID | ATTR_MODE);

	guard(rcu)();
	spin_lock(&inode->i_lock);
	tracefs_refresh_owner_locked(inode);
	/* Marked, for readers without a lock. */
	if (iattr->ia_valid & ATTR_MODE)
		WRITE_ONCE(inode->i_mode, iattr->ia_mode);
	setattr_copy(idmap, inode, &times);
	spin_unlock(&inode->i_lock);
}

/**
 * tracefs_setattr - ->setattr of every inode of tracefs
 * @idmap: idmap of the mount, always nop_mnt_idmap
 * @dentry: the object
 * @iattr: what to set. A size is accepted and has no effect: a file has none
 *	of its own, and shells open with O_TRUNC.
 *
 * Context: May sleep; caller holds i_rwsem.
 * Return: 0; -EPERM if the caller may not set this, -EACCES if it sets times to now;
 * -EFBIG for a size that the VFS refuses; -ENOMEM. Nothing is changed on error.
 */
int tracefs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		    struct iattr *iattr)
{
	struct inode *inode = d_inode(dentry);
	int error;

	tracefs_refresh_owner(inode);
	/*
	 * The VFS has checked this, perhaps with an outdated owner. What it allowed
	 * wrongly is refused here. What it refused wrongly is allowed the next time.
	 */
	error = may_setattr(idmap, inode, iattr->ia_valid);
	if (!error)
		error = setattr_prepare(idmap, dentry, iattr);
	if (error)
		return error;

	if (get_tracefs(inode)->flags & TRACEFS_EVENT)
		error = eventfs_set_attr(idmap, inode, iattr);
	else
		error = tracefs_record_static(idmap, inode, iattr);
	if (error)
		return error;

	tracefs_copy_attr(idmap, inode, iattr);
	return 0;
}

/*
 * Inodes
 */

static struct inode *tracefs_alloc_inode(struct super_block *sb)
{
	struct tracefs_inode *ti = alloc_inode_sb(sb, tracefs_inode_cache, GFP_KERNEL);

	if (!ti)
		return NULL;

	memset_after(ti, 0, vfs_inode);
	return &ti->vfs_inode;
}

static void tracefs_free_inode(struct inode *inode)
{
	kmem_cache_free(tracefs_inode_cache, get_tracefs(inode));
}

static void tracefs_evict_inode(struct inode *inode)
{
	struct tracefs_inode *ti = get_tracefs(inode);
	struct tracefs_attrs *attrs;

	/* No file here has pages in the page cache, so there are none to drop. */
	clear_inode(inode);
	if (ti->flags & TRACEFS_EVENT) {
		eventfs_evict(inode);
		return;
	}

	/* The attributes no longer change, but a path walk under RCU may still read them. */
	attrs = rcu_dereference_protected(ti->attrs, true);
	if (attrs)
		kfree_rcu(attrs, rcu);
}

/* Set up a static inode, except for its operations. */
static struct inode *tracefs_new_inode(struct super_block *sb, const struct inode *dir,
				       umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;

	inode->i_ino = tracefs_ino(tracefs_get_id(1), 0);
	inode->i_mode = mode;
	simple_inode_init_ts(inode);
	get_tracefs(inode)->flags = get_tracefs(dir)->flags & TRACEFS_INSTANCES;
	tracefs_refresh_owner(inode);
	return inode;
}

static ssize_t tracefs_read_nothing(struct file *file, char __user *buf,
				    size_t count, loff_t *ppos)
{
	return 0;
}

static ssize_t tracefs_write_nothing(struct file *file, const char __user *buf,
				     size_t count, loff_t *ppos)
{
	return count;
}

/* For files that are created without operations of their own */
static const struct file_operations tracefs_file_operations = {
	.open	= simple_open,
	.read	= tracefs_read_nothing,
	.write	= tracefs_write_nothing,
	.llseek	= noop_llseek,
};

static const struct inode_operations tracefs_file_inode_operations = {
	.permission	= tracefs_permission,
	.getattr	= tracefs_getattr,
	.setattr	= tracefs_setattr,
};

static const struct inode_operations tracefs_dir_inode_operations = {
	.lookup		= simple_lookup,
	.permission	= tracefs_permission,
	.getattr	= tracefs_getattr,
	.setattr	= tracefs_setattr,
};

/*
 * The callbacks create and remove the directory with the functions below, which take
 * the inode locks. So these locks, which the VFS holds, are dropped for the call, and the
 * name is copied. The callbacks serialise themselves. Watches of "instances" are notified
 * twice, by these functions and by the VFS.
 */
static struct dentry *tracefs_mkdir(struct mnt_idmap *idmap, struct inode *dir,
				    struct dentry *dentry, umode_t mode)
{
	struct name_snapshot name;
	int error;

	take_dentry_name_snapshot(&name, dentry);
	inode_unlock(dir);
	error = tracefs_instance_mkdir(name.name.name);
	inode_lock_nested(dir, I_MUTEX_PARENT);
	release_dentry_name_snapshot(&name);
	return ERR_PTR(error);
}

static int tracefs_rmdir(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	struct name_snapshot name;
	int error;

	/* The VFS has checked this, perhaps with outdated owners. */
	tracefs_refresh_owner(dir);
	tracefs_refresh_owner(inode);
	if (check_sticky(&nop_mnt_idmap, dir, inode))
		return -EPERM;

	take_dentry_name_snapshot(&name, dentry);
	inode_unlock(inode);
	inode_unlock(dir);
	error = tracefs_instance_rmdir(name.name.name);
	inode_lock_nested(dir, I_MUTEX_PARENT);
	inode_lock(inode);
	release_dentry_name_snapshot(&name);
	return error;
}

static const struct inode_operations tracefs_instances_inode_operations = {
	.lookup		= simple_lookup,
	.mkdir		= tracefs_mkdir,
	.rmdir		= tracefs_rmdir,
	.permission	= tracefs_permission,
	.getattr	= tracefs_getattr,
	.setattr	= tracefs_setattr,
};

/*
 * Superblock and mount
 */

/* Show the current values, not those given: mount(8) passes them on to a remount. */
static int tracefs_show_options(struct seq_file *m, struct dentry *dentry)
{
	const struct inode *root = d_inode(dentry->d_sb->s_root);
	umode_t mode = READ_ONCE(root->i_mode) & S_IALLUGO;
	struct tracefs_owner owner;

	scoped_guard(rcu)
		owner = tracefs_owner(root);
	if (!uid_eq(owner.uid, GLOBAL_ROOT_UID))
		seq_printf(m, ",uid=%u", from_kuid_munged(&init_user_ns, owner.uid));
	if (!gid_eq(owner.gid, GLOBAL_ROOT_GID))
		seq_printf(m, ",gid=%u", from_kgid_munged(&init_user_ns, owner.gid));
	if (mode != TRACEFS_DEFAULT_MODE)
		seq_printf(m, ",mode=%o", mode);
	return 0;
}

static const struct super_operations tracefs_super_operations = {
	.alloc_inode	= tracefs_alloc_inode,
	.free_inode	= tracefs_free_inode,
	.evict_inode	= tracefs_evict_inode,
	.drop_inode	= inode_just_drop,
	.statfs		= simple_statfs,
	.show_options	= tracefs_show_options,
};

enum {
	OPT_UID,
	OPT_GID,
	OPT_MODE,
};

static const struct fs_parameter_spec tracefs_parameters[] = {
	fsparam_uid("uid", OPT_UID),
	fsparam_gid("gid", OPT_GID),
	fsparam_u32oct("mode", OPT_MODE),
	{}
};

static int tracefs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct tracefs_options *options = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	opt = fs_parse(fc, tracefs_parameters, param, &result);
	if (opt < 0)
		return opt;

	switch (opt) {
	case OPT_UID:
		options->uid = result.uid;
		break;
	case OPT_GID:
		options->gid = result.gid;
		break;
	case OPT_MODE:
		options->mode = result.uint_32 & S_IALLUGO;
		break;
	}
	options->given |= BIT(opt);
	return 0;
}

/* A mount is a remount of the one superblock. It changes only what its options name. */
static int tracefs_reconfigure(struct fs_context *fc)
{
	const struct tracefs_options *new = fc->fs_private;
	struct inode *root = d_inode(fc->root->d_sb->s_root);
	struct tracefs_change change = {
		.class	= TRACEFS_CLASS_ROOT,
		.uid	= new->uid,
		.gid	= new->gid,
		.mount	= true,
	};

	if (new->given & BIT(OPT_UID))
		change.valid |= ATTR_UID;
	if (new->given & BIT(OPT_GID))
		change.valid |= ATTR_GID;

	if (change.valid) {
		tracefs_change_defaults(tracefs_sb(root), &change);
		tracefs_refresh_owner(root);
	}

	if (new->given & BIT(OPT_MODE)) {
		spin_lock(&root->i_lock);
		WRITE_ONCE(root->i_mode, S_IFDIR | new->mode);
		spin_unlock(&root->i_lock);
	}
	return 0;
}

static int tracefs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct tracefs_sb *sbi;
	struct inode *root;

	/* Freed by tracefs_kill_sb(), also if this function fails. */
	sbi = kzalloc_obj(*sbi);
	if (!sbi)
		return -ENOMEM;
	sb->s_fs_info = sbi;
	seqlock_init(&sbi->lock);
	sbi->generation = 1;

	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = TRACEFS_MAGIC;
	sb->s_op = &tracefs_super_operations;
	sb->s_time_gran = 1;
	sb->s_time_min = 0;
	sb->s_time_max = KTIME_SEC_MAX - 1;	/* times are kept in ns */

	root = new_inode(sb);
	if (!root)
		return -ENOMEM;
	root->i_ino = TRACEFS_ROOT_INO;
	root->i_mode = S_IFDIR | TRACEFS_DEFAULT_MODE;
	root->i_op = &tracefs_dir_inode_operations;
	root->i_fop = &simple_dir_operations;
	set_nlink(root, 2);
	simple_inode_init_ts(root);
	tracefs_refresh_owner(root);

	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int tracefs_get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, tracefs_fill_super) ?: tracefs_reconfigure(fc);
}

static void tracefs_free_fc(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations tracefs_context_operations = {
	.free		= tracefs_free_fc,
	.parse_param	= tracefs_parse_param,
	.get_tree	= tracefs_get_tree,
	.reconfigure	= tracefs_reconfigure,
};

static int tracefs_init_fs_context(struct fs_context *fc)
{
	fc->fs_private = kzalloc_obj(struct tracefs_options);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &tracefs_context_operations;
	return 0;
}

static void tracefs_kill_sb(struct super_block *sb)
{
	struct tracefs_sb *sbi = sb->s_fs_info;

	kill_anon_super(sb);
	if (sbi)
		kfree_rcu(sbi, rcu);
}

static struct file_system_type tracefs_type = {
	.owner			= THIS_MODULE,
	.name			= "tracefs",
	.init_fs_context	= tracefs_init_fs_context,
	.parameters		= tracefs_parameters,
	.kill_sb		= tracefs_kill_sb,
};
MODULE_ALIAS_FS("tracefs");

/*
 * Static files and directories
 */

/**
 * tracefs_start_creating - begin to create a file or directory
 * @name: the name
 * @parent: directory to create it in, NULL for the mount's root
 *
 * Pins the mount for as long as the object exists.
 *
 * Context: May sleep. On success the parent's i_rwsem is held until
 * tracefs_end_creating() or tracefs_failed_creating().
 * Return: a negative dentry; -EEXIST if the name is taken, -ENOENT if @parent was
 * removed, -EACCES or -ENAMETOOLONG for a bad name, -ENOMEM, or the error of the mount.
 */
struct dentry *tracefs_start_creating(const char *name, struct dentry *parent)
{
	struct dentry *dentry;
	int error;

	error = simple_pin_fs(&tracefs_type, &tracefs_mount, &tracefs_mount_count);
	if (error)
		return ERR_PTR(error);

	dentry = simple_start_creating(parent ?: tracefs_mount->mnt_root, name);
	if (IS_ERR(dentry))
		tracefs_release_mount();
	return dentry;
}

/**
 * tracefs_failed_creating - undo tracefs_start_creating()
 * @dentry: from tracefs_start_creating()
 *
 * Context: May sleep; releases the parent's i_rwsem.
 * Return: NULL, as the creating functions do on error.
 */
struct dentry *tracefs_failed_creating(struct dentry *dentry)
{
	simple_done_creating(dentry);
	tracefs_release_mount();
	return NULL;
}

/**
 * tracefs_end_creating - finish a creation that tracefs_start_creating() began
 * @dentry: from tracefs_start_creating(), persistent by now
 *
 * Context: May sleep; releases the parent's i_rwsem.
 * Return: @dentry, which stays because it is persistent.
 */
struct dentry *tracefs_end_creating(struct dentry *dentry)
{
	struct inode *dir = d_inode(dentry->d_parent);

	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	simple_done_creating(dentry);
	return dentry;
}

/**
 * tracefs_link_dir - count a new directory as a link of its parent
 * @dir: the parent
 *
 * Context: Does not sleep; takes i_lock.
 */
void tracefs_link_dir(struct inode *dir)
{
	spin_lock(&dir->i_lock);
	inc_nlink(dir);
	spin_unlock(&dir->i_lock);
}

/**
 * tracefs_unlink_dir - undo tracefs_link_dir()
 * @dir: the parent
 *
 * Context: Does not sleep; takes i_lock.
 */
void tracefs_unlink_dir(struct inode *dir)
{
	spin_lock(&dir->i_lock);
	drop_nlink(dir);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	spin_unlock(&dir->i_lock);
}

/**
 * tracefs_release_mount - release one pin of the mount
 *
 * Context: May sleep: the last pin releases the mount.
 */
void tracefs_release_mount(void)
{
	simple_release_fs(&tracefs_mount, &tracefs_mount_count);
}

/**
 * tracefs_create_file - create a file
 * @name: its name
 * @mode: permission bits; the type S_IFREG is implied
 * @parent: directory to create it in, NULL for the mount's root
 * @data: becomes i_private
 * @fops: file operations; with NULL, reads return nothing and writes are ignored
 *
 * Remove it, or a directory above it, with tracefs_remove().
 *
 * Context: May sleep; takes the parent's i_rwsem.
 * Return: the dentry, or NULL on any error, including lockdown.
 */
struct dentry *tracefs_create_file(const char *name, umode_t mode,
				   struct dentry *parent, void *data,
				   const struct file_operations *fops)
{
	struct dentry *dentry;
	struct inode *inode;

	if (security_locked_down(LOCKDOWN_TRACEFS))
		return NULL;

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (WARN_ON_ONCE(!S_ISREG(mode)))
		return NULL;

	dentry = tracefs_start_creating(name, parent);
	if (IS_ERR(dentry))
		return NULL;

	inode = tracefs_new_inode(dentry->d_sb, d_inode(dentry->d_parent), mode);
	if (!inode)
		return tracefs_failed_creating(dentry);

	inode->i_op = &tracefs_file_inode_operations;
	inode->i_fop = fops ?: &tracefs_file_operations;
	inode->i_private = data;
	d_make_persistent(dentry, inode);
	fsnotify_create(d_inode(dentry->d_parent), dentry);
	return tracefs_end_creating(dentry);
}
EXPORT_SYMBOL_GPL(tracefs_create_file);

static struct dentry *tracefs_make_dir(const char *name, struct dentry *parent,
				       const struct inode_operations *ops, u32 flags)
{
	struct dentry *dentry;
	struct inode *inode;

	dentry = tracefs_start_creating(name, parent);
	if (IS_ERR(dentry))
		return NULL;

	/* Others have no access by default. The group does if the root's mode allows. */
	inode = tracefs_new_inode(dentry->d_sb, d_inode(dentry->d_parent), S_IFDIR | 0750);
	if (!inode)
		return tracefs_failed_creating(dentry);

	get_tracefs(inode)->flags |= flags;
	inode->i_op = ops;
	inode->i_fop = &simple_dir_operations;
	set_nlink(inode, 2);
	d_make_persistent(dentry, inode);
	tracefs_link_dir(d_inode(dentry->d_parent));
	fsnotify_mkdir(d_inode(dentry->d_parent), dentry);
	return tracefs_end_creating(dentry);
}

/**
 * tracefs_create_dir - create a directory
 * @name: its name
 * @parent: directory to create it in, NULL for the mount's root
 *
 * Remove it, or a directory above it, with tracefs_remove().
 *
 * Context: May sleep; takes the parent's i_rwsem.
 * Return: the dentry, or NULL on any error, including lockdown.
 */
struct dentry *tracefs_create_dir(const char *name, struct dentry *parent)
{
	if (security_locked_down(LOCKDOWN_TRACEFS))
		return NULL;

	return tracefs_make_dir(name, parent, &tracefs_dir_inode_operations, 0);
}

/**
 * tracefs_create_instance_dir - create the directory of instances
 * @name: its name
 * @parent: directory to create it in, NULL for the mount's root
 * @mkdir: called with the name when a task makes a directory in it
 * @rmdir: called with the name when a task removes one
 *
 * The callbacks create and remove the directory themselves. Several may run at once.
 * They are called without inode locks, and their result is that of the system call.
 * There can be only one such directory.
 *
 * Context: At boot. May sleep.
 * Return: the dentry, or NULL on any error.
 */
__init struct dentry *tracefs_create_instance_dir(const char *name, struct dentry *parent,
						  int (*mkdir)(const char *name),
						  int (*rmdir)(const char *name))
{
	struct dentry *dentry;

	if (WARN_ON(tracefs_instances))
		return NULL;

	tracefs_instance_mkdir = mkdir;
	tracefs_instance_rmdir = rmdir;
	dentry = tracefs_make_dir(name, parent, &tracefs_instances_inode_operations,
				  TRACEFS_INSTANCES);
	if (dentry)
		tracefs_instances = d_inode(dentry);
	return dentry;
}

static void tracefs_removed_one(struct dentry *dentry)
{
	tracefs_release_mount();
}

/**
 * tracefs_remove - remove a file, or a directory and everything below it
 * @dentry: from one of the creating functions; NULL and error pointers are
 *	ignored
 *
 * Remove any "events" directory below @dentry first, by eventfs_remove_events_dir().
 *
 * Context: May sleep; takes the i_rwsem of the parent and of everything below.
 */
void tracefs_remove(struct dentry *dentry)
{
	if (IS_ERR_OR_NULL(dentry))
		return;

	/*
	 * Keep the superblock while its last object is removed. This only increments the
	 * count: the mount exists, because @dentry pins it.
	 */
	simple_pin_fs(&tracefs_type, &tracefs_mount, &tracefs_mount_count);
	simple_recursive_removal(dentry, tracefs_removed_one);
	tracefs_release_mount();
}

/**
 * tracefs_initialized - check whether files can be created in tracefs
 *
 * Context: Any.
 * Return: true once the file system is registered.
 */
bool tracefs_initialized(void)
{
	return tracefs_registered;
}

static void tracefs_inode_init_once(void *object)
{
	struct tracefs_inode *ti = object;

	inode_init_once(&ti->vfs_inode);
}

static int __init tracefs_init(void)
{
	int error;

	tracefs_inode_cache = kmem_cache_create("tracefs_inode_cache",
						sizeof(struct tracefs_inode), 0,
						SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
						tracefs_inode_init_once);
	if (!tracefs_inode_cache)
		return -ENOMEM;

	error = eventfs_init();
	if (error)
		return error;

	error = sysfs_create_mount_point(kernel_kobj, "tracing");
	if (error)
		return error;

	error = register_filesystem(&tracefs_type);
	tracefs_registered = !error;
	return error;
}
core_initcall(tracefs_init);
