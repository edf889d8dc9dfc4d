/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events of eventfs, for whoever wants to see what it caches and frees. None is
 * on the way of a name that is found in the dentry cache.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM eventfs

#if !defined(_TRACE_EVENTFS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_EVENTFS_H

#include <linux/dcache.h>
#include <linux/tracepoint.h>

/**
 * eventfs_lookup - the dentry cache did not know, and eventfs is asked
 * @dir: inode number of the directory
 * @dentry: the name in it
 *
 * Context: holds the i_rwsem of the directory.
 */
TRACE_EVENT(eventfs_lookup,

	TP_PROTO(u64 dir, const struct dentry *dentry),

	TP_ARGS(dir, dentry),

	TP_STRUCT__entry(
		__field(u64, dir)
		__string(name, dentry->d_name.name)
	),

	TP_fast_assign(
		__entry->dir = dir;
		__assign_str(name);
	),

	TP_printk("dir=%llu name=%s", __entry->dir, __get_str(name))
);

/**
 * eventfs_miss - a name is missing, which is about to be remembered
 * @dir: inode number of the directory
 * @dentry: the name in it
 * @generation: of the directory, before it was searched
 *
 * Context: holds the i_rwsem of the directory.
 */
TRACE_EVENT(eventfs_miss,

	TP_PROTO(u64 dir, const struct dentry *dentry, u32 generation),

	TP_ARGS(dir, dentry, generation),

	TP_STRUCT__entry(
		__field(u64, dir)
		__field(u32, generation)
		__string(name, dentry->d_name.name)
	),

	TP_fast_assign(
		__entry->dir = dir;
		__entry->generation = generation;
		__assign_str(name);
	),

	TP_printk("dir=%llu name=%s generation=%u", __entry->dir, __get_str(name),
		  __entry->generation)
);

/**
 * eventfs_invalidate - a cached name is refused
 * @dentry: the name
 * @dead: the directory it belongs to was removed; else it is a miss, and
 *	something was created
 *
 * Whoever walks under RCU is refused, and once more when it comes back without:
 * so one look may be two of these. A removal that finds a name cached and unused
 * drops it without one.
 *
 * Context: any walk, also under RCU: the parent's name may be read there, since
 * no directory is ever renamed, and a dentry is freed after a grace period.
 */
TRACE_EVENT(eventfs_invalidate,

	TP_PROTO(const struct dentry *dentry, bool dead),

	TP_ARGS(dentry, dead),

	TP_STRUCT__entry(
		__field(bool, dead)
		__string(parent, dentry->d_parent->d_name.name)
		__string(name, dentry->d_name.name)
	),

	TP_fast_assign(
		__entry->dead = dead;
		__assign_str(parent);
		__assign_str(name);
	),

	TP_printk("parent=%s name=%s reason=%s", __get_str(parent), __get_str(name),
		  __entry->dead ? "removed" : "created")
);

/**
 * eventfs_release - the last reference to a directory's node is gone
 * @ino: inode number of the directory, 0 if nobody ever looked
 * @name: its name
 *
 * Context: wherever dput() may be called.
 */
TRACE_EVENT(eventfs_release,

	TP_PROTO(u64 ino, const char *name),

	TP_ARGS(ino, name),

	TP_STRUCT__entry(
		__field(u64, ino)
		__string(name, name)
	),

	TP_fast_assign(
		__entry->ino = ino;
		__assign_str(name);
	),

	TP_printk("ino=%llu name=%s", __entry->ino, __get_str(name))
);

#endif /* _TRACE_EVENTFS_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
