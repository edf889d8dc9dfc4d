/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Declarations that the two halves of tracefs share: inode.c (mount, options, owners,
 * static files and directories) and event_inode.c (eventfs: "events" directories, and
 * others that are filled on first use).
 */
#ifndef _TRACEFS_INTERNAL_H
#define _TRACEFS_INTERNAL_H

#include <linux/atomic.h>
#include <linux/container_of.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>

struct eventfs_inode;

/*
 * Inode numbers come from a counter, in blocks of eight. A static file or directory
 * takes one block, and so does an event directory with up to seven files. The id of
 * an object is the number of its first block. The first inode number in that block is
 * the object's own, slot 0. The file of entry i of an event directory has slot 1 + i.
 *
 * A number costs one addition, and is not given back for reuse. The counter wraps after
 * 2^32 blocks (2^29 where i_ino has 32 bits), which takes 50 days if a directory is
 * created every millisecond. After that, two objects may have the same number. This may
 * confuse programs, but not the kernel: it finds inodes by node and slot.
 *
 * The numbers of the first 2^29 blocks fit into 32 bits. After that, 32-bit programs
 * without large file support get EOVERFLOW from stat(), as they do from XFS. Numbers
 * below 2^32 would avoid that, but the counter would wrap after an eighth of the time,
 * for all programs.
 */
#define TRACEFS_BLOCK_SHIFT	3
#define TRACEFS_BLOCK_SIZE	BIT(TRACEFS_BLOCK_SHIFT)

/* The inode number of an object, or of one of its files, in the width of i_ino */
static inline u64 tracefs_ino(u32 id, unsigned int slot)
{
	return ((typeof_member(struct inode, i_ino))id << TRACEFS_BLOCK_SHIFT) + slot;
}

/**
 * struct tracefs_attr - the attributes that were set on one file or directory
 * @set: ATTR_UID, ATTR_GID, ATTR_MODE, ATTR_ATIME, ATTR_MTIME, ATTR_CTIME:
 *	which of the fields below were set
 * @uid: owner, valid while @uid_reset equals that of the superblock
 * @gid: group, valid while @gid_reset equals that of the superblock
 * @uid_reset: the superblock's count of uid= remounts when @uid was set
 * @gid_reset: the same for gid=
 * @mode: permission bits
 * @atime: time of last access, in ns since the epoch, like all times here
 * @mtime: time of last modification
 * @ctime: time of the last change of any of these
 * @generation: the object's count of changes when @mtime and @ctime were set; they
 *	are valid until it changes
 */
struct tracefs_attr {
	u32 set;
	kuid_t uid;
	kgid_t gid;
	u32 uid_reset;
	u32 gid_reset;
	u32 generation;
	umode_t mode;
	s64 atime;
	s64 mtime;
	s64 ctime;
};

/**
 * struct tracefs_attrs - attributes by slot, replaced as a whole
 * @rcu: for kfree_rcu()
 * @slot: the attributes of each slot
 *
 * Immutable once published, so that a reader sees all of a change or none of
 * it. Only tracefs_record_attr() writes it.
 */
struct tracefs_attrs {
	struct rcu_head rcu;
	struct tracefs_attr slot[];
};

/* tracefs_inode::flags, which do not change once the inode can be found */
#define TRACEFS_EVENT		BIT(0)	/* belongs to eventfs, @node is valid */
#define TRACEFS_INSTANCES	BIT(1)	/* "instances" or anything below it */

/**
 * struct tracefs_inode - an inode of tracefs
 * @vfs_inode: the VFS's part
 * @node: with TRACEFS_EVENT, the node of a directory, or that of a file's
 *	directory, with a reference
 * @attrs: without TRACEFS_EVENT, what was set by chown or chgrp, or NULL
 * @generation: the generation of the defaults from which i_uid and i_gid were computed
 * @flags: TRACEFS_*
 * @slot: with TRACEFS_EVENT, 0 for a directory, 1 + i for the file of entry i
 *
 * All fields except @vfs_inode are zeroed on every allocation.
 */
struct tracefs_inode {
	struct inode vfs_inode;
	union {
		struct eventfs_inode *node;
		struct tracefs_attrs __rcu *attrs;
	};
	u32 generation;
	u16 flags;
	u16 slot;
};

static inline struct tracefs_inode *get_tracefs(const struct inode *inode)
{
	return container_of(inode, struct tracefs_inode, vfs_inode);
}

/* inode.c, for event_inode.c */
struct dentry *tracefs_start_creating(const char *name, struct dentry *parent);
struct dentry *tracefs_failed_creating(struct dentry *dentry);
struct dentry *tracefs_end_creating(struct dentry *dentry);
void tracefs_release_mount(void);
void tracefs_link_dir(struct inode *dir);
void tracefs_unlink_dir(struct inode *dir);
u32 tracefs_get_id(unsigned int count);
void tracefs_refresh_owner(struct inode *inode);
int tracefs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
int tracefs_getattr(struct mnt_idmap *idmap, const struct path *path,
		    struct kstat *stat, u32 request_mask, unsigned int flags);
int tracefs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		    struct iattr *iattr);
int tracefs_record_attr(struct tracefs_attrs __rcu **attrs, unsigned int slots,
			unsigned int slot, struct mnt_idmap *idmap,
			struct inode *inode, const struct iattr *iattr,
			u32 generation);

/* event_inode.c, for inode.c */
const struct tracefs_attr *eventfs_attr(const struct inode *inode);
int eventfs_set_attr(struct mnt_idmap *idmap, struct inode *inode,
		     const struct iattr *iattr);
void eventfs_fill_stat(const struct inode *inode, struct kstat *stat);
void eventfs_evict(struct inode *inode);
int eventfs_init(void);

#if IS_ENABLED(CONFIG_KUNIT)
/* inode.c, for the tests */
extern int tracefs_mount_count;
extern atomic_t tracefs_next_id;
#endif

#endif /* _TRACEFS_INTERNAL_H */
