/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tracefs - the file system of the tracing facilities
 *
 * Based on debugfs by: 2004 Greg Kroah-Hartman <greg@kroah.com>
 *
 * Copyright (C) 2014 Red Hat Inc, author: Steven Rostedt <srostedt@redhat.com>
 *
 * The tracefs_*() functions create files and directories that stay in the
 * dentry cache until they are removed. The eventfs_*() functions describe
 * directories of trace events, of which there are too many for that. Their
 * dentries and inodes are created when a name is looked up.
 */
#ifndef _TRACEFS_H_
#define _TRACEFS_H_

#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/types.h>

struct file_operations;

#ifdef CONFIG_TRACING

struct eventfs_inode;

/**
 * typedef eventfs_callback - report whether a file exists, and its properties
 * @name: name of the entry
 * @mode: set this to the permission bits
 * @data: the data of the directory; may be replaced, for this file only
 * @fops: set this to the file operations
 *
 * May be called at any time between the creation and the removal of its
 * directory, from several CPUs at once, for a lookup or for a listing. The
 * result must depend on the current state, not on the number of calls. Only
 * whether the file exists may change: while a task has the file open or watches
 * it, the mode, data and operations remain those of the first call. What the
 * callback stores in @data becomes i_private, and must stay valid as long as
 * @data itself, see eventfs_release.
 *
 * The removal waits for the callback. So the callback must not wait for event_mutex,
 * nor for anything that is held around a removal, nor call eventfs functions.
 *
 * Context: May sleep. The lock of the directory's inode is held, but no lock of
 * eventfs.
 * Return: a positive number if the file exists, any other number if not. The next
 * lookup calls again.
 */
typedef int (*eventfs_callback)(const char *name, umode_t *mode, void **data,
				const struct file_operations **fops);

/**
 * typedef eventfs_release - release a directory's data
 * @name: name of the entry
 * @data: the data of the directory
 *
 * Called once for each entry with a release, after the last dentry and the last inode of
 * its directory are gone. So what an open file uses through @data is valid until the file
 * is closed. A watch or a Landlock rule may keep an inode longer. Never called for a
 * directory whose creation failed. Without a release, @data may be freed as soon as
 * the removal has returned, and the file operations must check whether it was.
 *
 * Context: Runs in eventfs_remove_dir() under the locks of its caller, in any dput() or
 * iput(), at the end of a lookup or listing under the lock of a directory's inode, or in
 * memory reclaim. Must not wait for event_mutex, allocate with GFP_KERNEL or call
 * eventfs functions.
 */
typedef void (*eventfs_release)(const char *name, void *data);

/**
 * struct eventfs_entry - a file of a directory of events
 * @name: its name, different from those of the other entries
 * @callback: reports whether the file exists, and its properties
 * @release: called when the directory's data is no longer used, or NULL
 *
 * Many directories may share an array of these, also with different lengths. It
 * must stay valid until the last release. A child with the name of an entry hides
 * the entry's file while the child exists.
 */
struct eventfs_entry {
	const char			*name;
	eventfs_callback		callback;
	eventfs_release			release;
};

struct eventfs_inode *eventfs_create_events_dir(const char *name, struct dentry *parent,
						const struct eventfs_entry *entries,
						int size, void *data);

struct eventfs_inode *eventfs_create_dir(const char *name, struct eventfs_inode *parent,
					 const struct eventfs_entry *entries,
					 int size, void *data);

/**
 * typedef eventfs_fill - create the children of a directory
 * @dir: the directory
 * @data: its data
 *
 * Called before the directory is first searched or listed, and again until it
 * succeeds. Creates the children that do not exist yet, with eventfs_add_dir() or
 * eventfs_add_lazy_dir().
 *
 * When a child is to be created or removed, call eventfs_defer() first. Then change what
 * this operation reads. Last, if the directory is filled, create the child by
 * eventfs_add_dir() under eventfs_lock(), or remove it by eventfs_remove_dir(), which
 * takes that lock itself.
 *
 * Context: May sleep. The tree's lock is held, and perhaps that of the directory's
 * inode. Must not wait for event_mutex, or call eventfs functions other than
 * eventfs_add_dir(), eventfs_add_lazy_dir() and eventfs_is_filled().
 * Return: 0, or -ENOMEM, with which the lookup or listing fails.
 */
typedef int (*eventfs_fill)(struct eventfs_inode *dir, void *data);

struct eventfs_inode *eventfs_create_lazy_events_dir(const char *name, struct dentry *parent,
						     umode_t mode,
						     const struct eventfs_entry *entries,
						     int size, void *data, eventfs_fill fill);
struct eventfs_inode *eventfs_add_lazy_dir(const char *name, struct eventfs_inode *parent,
					   const struct eventfs_entry *entries,
					   int size, void *data, eventfs_fill fill,
					   s64 changed);
struct eventfs_inode *eventfs_add_dir(const char *name, struct eventfs_inode *parent,
				      const struct eventfs_entry *entries,
				      int size, void *data);
bool eventfs_is_filled(const struct eventfs_inode *dir);
int eventfs_fill_dir(struct eventfs_inode *dir);
void eventfs_defer(struct eventfs_inode *dir);
s64 eventfs_now(void);
void *eventfs_dir_data(const struct inode *inode);

void eventfs_lock(struct eventfs_inode *ei);
void eventfs_unlock(struct eventfs_inode *ei);
DEFINE_GUARD(eventfs, struct eventfs_inode *, eventfs_lock(_T), eventfs_unlock(_T))

void eventfs_remove_events_dir(struct eventfs_inode *ei);
void eventfs_remove_dir(struct eventfs_inode *ei);

struct dentry *tracefs_create_file(const char *name, umode_t mode,
				   struct dentry *parent, void *data,
				   const struct file_operations *fops);

struct dentry *tracefs_create_dir(const char *name, struct dentry *parent);

void tracefs_remove(struct dentry *dentry);

struct dentry *tracefs_create_instance_dir(const char *name, struct dentry *parent,
					   int (*mkdir)(const char *name),
					   int (*rmdir)(const char *name));

bool tracefs_initialized(void);

#endif /* CONFIG_TRACING */

#endif /* _TRACEFS_H_ */
