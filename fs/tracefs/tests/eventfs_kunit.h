/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests of eventfs share
 */
#ifndef _EVENTFS_KUNIT_H
#define _EVENTFS_KUNIT_H

#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/hash.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/stringhash.h>
#include <linux/timekeeping.h>
#include <linux/tracefs.h>
#include <linux/workqueue.h>

#include "../internal.h"

/* How long to wait for what must not happen */
#define EK_MOMENT	msecs_to_jiffies(50)
/* How long to wait for what must happen, on a slow machine */
#define EK_LONG		(20 * HZ)

#define EK_MODE		0640

enum {
	EK_ENABLE,
	EK_FORMAT,
	EK_MAYBE,
	EK_GATE,
	EK_NR_FILES,
};

/**
 * struct ek_gate - a point at which tasks are held up
 * @shut: tasks that arrive must wait
 * @entered: a task has arrived
 * @open: all tasks may continue
 */
struct ek_gate {
	bool shut;
	struct completion entered;
	struct completion open;
};

/**
 * struct ek_dir - the data of one directory of a test
 * @list: in ek_fixture::dirs
 * @node: the directory, NULL if its creation failed
 * @released: how often release was called, by entry
 * @calls: number of callbacks that ran
 * @late: number of them that ended after the removal
 * @removed: eventfs_remove_dir() has returned
 * @declines: the file "maybe" does not exist
 * @gate: where the callback of "gate" is held up
 * @other_gate: the same for "maybe"
 * @lazy: the children that its fill operation creates
 * @fills: how often the fill operation ran
 * @fill_error: the error that it returns after the first child, or 0
 */
struct ek_dir {
	struct list_head list;
	struct eventfs_inode *node;
	atomic_t released[EK_NR_FILES];
	atomic_t calls;
	atomic_t late;
	bool removed;
	bool declines;
	struct ek_gate gate;
	struct ek_gate other_gate;
	struct ek_dir *lazy[2];
	unsigned int fills;
	int fill_error;
};

/**
 * struct ek_fixture - what each case starts with
 * @top: the directory "eventfs_kunit"
 * @events: the directory "events" in it, NULL once a case has removed it
 * @dirs: all directories
 * @inodes: number of eventfs inodes before the case
 * @all_inodes: number of tracefs inodes before the case
 * @pins: number of pins of the mount before the case
 */
struct ek_fixture {
	struct dentry *top;
	struct ek_dir *events;
	struct list_head dirs;
	unsigned int inodes;
	unsigned int all_inodes;
	int pins;
};

#define EK_EXPECT_PROBE(test, name, flags, error)				\
do {										\
	struct kunit *__test = (test);						\
	const char *__name = (name);						\
										\
	KUNIT_EXPECT_EQ_MSG(__test, ek_probe(__test, __name, flags), error,	\
			    "%s", __name);					\
} while (0)

#define EK_EXPECT_FOUND(test, name)		EK_EXPECT_PROBE(test, name, 0, 0)
#define EK_EXPECT_ABSENT(test, name)		EK_EXPECT_PROBE(test, name, 0, -ENOENT)
#define EK_EXPECT_CACHED(test, name)		EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, 0)
#define EK_EXPECT_CACHED_MISS(test, name)	EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, -ENOENT)
#define EK_EXPECT_UNCACHED(test, name)		EK_EXPECT_PROBE(test, name, LOOKUP_CACHED, -EAGAIN)

struct ek_name {
	char name[24];	/* no case compares more */
	u64 ino;
	loff_t pos;
	unsigned int type;
};

/**
 * struct ek_scan - the result of a listing
 * @ctx: for iterate_dir()
 * @room: how many more entries fit into the buffer of this call
 * @nr: number of @names
 * @max: how many fit
 * @names: the entries listed so far
 * @stuck: gate at which the reader is held up when it receives "event", like a
 *	reader whose buffer causes a page fault; or NULL
 */
struct ek_scan {
	struct dir_context ctx;
	unsigned int room;
	unsigned int nr;
	unsigned int max;
	struct ek_name *names;
	struct ek_gate *stuck;
};

struct ek_work {
	struct work_struct work;
	void (*fn)(struct ek_work *work);
	struct kunit *test;
	struct ek_dir *dir;	/* what it works on */
	const char *name;
	struct path path;	/* what it found */
	struct ek_scan *scan;	/* what it lists into */
	int error;
	unsigned int count;
	bool stop;
	struct completion done;
};

/**
 * struct ek_watch - a watch of a directory
 * @mark: on the directory
 * @created: number of FS_CREATE events
 * @deleted: number of FS_DELETE events
 * @ino: inode number in the last event
 */
struct ek_watch {
	struct fsnotify_mark mark;
	unsigned int created;
	unsigned int deleted;
	u64 ino;
};

/* eventfs_kunit.c */
extern struct vfsmount *ek_mnt;
extern const struct eventfs_entry ek_entries[EK_NR_FILES];
void ek_open_gate(struct ek_gate *gate);
int ek_callback(const char *name, umode_t *mode, void **data,
		const struct file_operations **fops);
int ek_callback_gate(const char *name, umode_t *mode, void **data,
		     const struct file_operations **fops);
void ek_release_format(const char *name, void *data);
void ek_release_gate(const char *name, void *data);
bool ek_is_released(const struct ek_dir *dir);
bool ek_is_unreleased(const struct ek_dir *dir);
struct ek_dir *ek_new_dir(struct kunit *test);
int ek_adopt(struct ek_dir *dir, struct eventfs_inode *node);
int ek_try_create(struct ek_dir *dir, struct ek_dir *parent, const char *name);
struct ek_dir *ek_create(struct kunit *test, struct ek_dir *parent, const char *name);
int ek_fill(struct eventfs_inode *node, void *data);
struct ek_dir *ek_new_lazy(struct kunit *test);
struct ek_dir *ek_create_lazy(struct kunit *test, struct ek_dir *parent, const char *name);
int ek_try_create_events(struct ek_dir *dir, struct dentry *parent);
void ek_remove(struct ek_dir *dir);
void ek_remove_events(struct kunit *test, struct ek_dir *any);
unsigned int ek_inodes(struct kunit *test);
void ek_reclaim(struct kunit *test);
int ek_lookup(struct kunit *test, const char *name, unsigned int flags, struct path *path);
int ek_probe(struct kunit *test, const char *name, unsigned int flags);
void ek_hold(struct kunit *test, const char *name, struct path *path);
struct file *ek_open(struct kunit *test, const char *name);
void ek_close(struct file *file);
struct kstat ek_stat_path(struct kunit *test, const struct path *path);
struct kstat ek_stat(struct kunit *test, const char *name);
int ek_set_path(const struct path *path, const struct iattr *attr);
int ek_set(struct kunit *test, const char *name, const struct iattr *attr);
struct iattr ek_owner(unsigned int valid, unsigned int id);
unsigned int ek_inode_uid(struct kunit *test, const struct path *path);
int ek_remount(const char *options);
void ek_tick(void);
bool ek_actor(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
	      unsigned int type);
void *ek_alloc(struct kunit *test, size_t nr, size_t size);
struct eventfs_entry *ek_new_entries(struct kunit *test, unsigned int nr,
				     eventfs_callback callback);
struct ek_scan *ek_new_scan(struct kunit *test, unsigned int max);
int ek_list_some(struct file *file, struct ek_scan *scan, unsigned int room);
int ek_list_rest(struct file *file, struct ek_scan *scan, unsigned int room);
struct ek_scan *ek_list(struct kunit *test, const char *name, unsigned int max,
			unsigned int room);
unsigned int ek_listed(const struct ek_scan *scan, const char *name);
unsigned int ek_index(struct kunit *test, const struct ek_scan *scan, const char *name);
struct ek_work *ek_start(struct kunit *test, void (*fn)(struct ek_work *work),
			 struct ek_dir *dir, const char *name);
int ek_join(struct ek_work *work);
void ek_do_lookup(struct ek_work *work);
void ek_do_remove(struct ek_work *work);
void ek_do_list(struct ek_work *work);
void ek_wait_entered(struct kunit *test, struct ek_gate *gate);
struct ek_work *ek_enter_gate(struct kunit *test, struct ek_gate *gate, const char *name);
void ek_wait_dead(struct kunit *test, const struct path *path);
int ek_init(struct kunit *test);
void ek_exit(struct kunit *test);
int ek_suite_init(struct kunit_suite *suite);
void ek_suite_exit(struct kunit_suite *suite);
struct ek_dir *ek_create_event(struct kunit *test, struct ek_dir **sys);

/* eventfs_attr_kunit.c */
extern const char * const ek_objects[4];
void ek_save_owners(struct kunit *test);

/* eventfs_watch_kunit.c */
void ek_watch_end(void *data);
struct ek_watch *ek_watch(struct kunit *test, const char *name);

extern struct kunit_suite eventfs_tree_suite;
extern struct kunit_suite eventfs_attr_suite;
extern struct kunit_suite eventfs_watch_suite;
extern struct kunit_suite eventfs_lazy_suite;

#endif
