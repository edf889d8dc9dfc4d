// SPDX-License-Identifier: GPL-2.0-only
/*
 * eventfs - the part of tracefs that serves events/
 *
 * Copyright (C) 2020-23 VMware Inc, author: Steven Rostedt <rostedt@goodmis.org>
 * Copyright (C) 2020-23 VMware Inc, author: Ajay Kaher <akaher@vmware.com>
 * Copyright (C) 2023 Google, author: Steven Rostedt <rostedt@goodmis.org>
 *
 * A kernel has more than a thousand trace events. Each is a directory of files, and
 * each tracing instance has its own set of them. Most are never looked up. So eventfs
 * keeps a small node, struct eventfs_inode, for each directory, and ->lookup() makes
 * dentries and inodes when a name is looked up.
 *
 * Rules that everything here follows:
 *
 * 1. The dentry cache is only a cache. No node points to a dentry, except that a root
 *    points to the persistent dentry of "events". A dentry made by ->lookup() holds a
 *    reference to a node in d_fsdata, which is set before the dentry is hashed.
 *    ->d_release() drops it. A directory's dentry references its own node. The
 *    dentry of a file or a missing name (a miss) references the node of its directory.
 *
 * 2. An object is complete before it becomes reachable. Memory that was reachable is
 *    freed after a grace period.
 *
 * 3. A task holds a node active while it hashes a dentry for it or runs one of its
 *    callbacks. Removal marks the node dead, so that no task can become active, and
 *    waits until no task holds it active. From then on no callback runs, and no dentry
 *    of the node is added to the cache. A task that holds a node active does not take
 *    the tree's lock.
 *
 * 4. The result of ->d_revalidate() is only a hint: the node may die right afterwards.
 *    So references keep alive whatever a stale dentry can lead to. The ->release() of
 *    an entry runs after the last dentry and inode of its directory are gone.
 *
 * 5. A child hides the entry with its name. The dentry of a file or a miss is valid
 *    while its directory has no child with that name. d_time records a generation at
 *    which this was so. If the generation differs, ->d_revalidate() searches again.
 *
 * 6. A directory with a fill operation gets its children when a name is first looked up
 *    in it, when it is first listed, or when a child is created or removed while the
 *    directory is watched. The task that fills it holds the tree's lock, but holds no
 *    node active. A directory is filled before it is searched. So an unfilled directory
 *    has no dentries below it, and no listing has returned a file or child of it.
 *
 * How each field is written and read:
 *
 *   field              written                         read
 *   index, rb          tree's lock, seq                RCU and seq, or tree's lock
 *   seq                tree's lock, no preemption      RCU
 *   generation         tree's lock: store-release      load-acquire before the
 *                      after index and changed         search that it covers
 *   extra              once, cmpxchg                   load-acquire, dependency
 *   extra->attrs       cmpxchg                         RCU
 *   extra->changed     tree's lock, atomic64           atomic64
 *   extra->fill        tree's lock: store-release      load-acquire before the
 *                      after the children exist        search
 *   active, misses     atomic                          atomic
 *   d_time             any task: a generation at       READ_ONCE
 *                      which no child had that name
 *   the rest           before publication              freely, see @rcu
 *
 * Lock order: event_mutex, i_rwsem, tree's lock, activity (waited for). A task notifies
 * watches, ends them and detaches mounts from removed objects under the tree's lock. So
 * the locks of fsnotify and audit, and namespace_sem, come after it. Lookup and
 * listing hold the directory's i_rwsem when they fill it or become active. Creating and
 * removing events never takes the i_rwsem of an eventfs directory. The last put takes
 * none of these locks.
 */
#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/preempt.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/stringhash.h>
#include <linux/timekeeping.h>
#include <linux/tracefs.h>
#include <linux/unaligned.h>
#include <linux/wait_bit.h>
#include <linux/wordpart.h>

#include <asm/sections.h>
#include <asm/word-at-a-time.h>

#include "internal.h"

/*
 * A child's key consists of a hash of its name and a few bits that distinguish names
 * with equal hashes. The key orders the index and is the child's directory position.
 * So it is below 2^31 (s_maxbytes, and off_t of 32-bit processes) and above the
 * positions of files. The last hash is not used, so key + 1 is always a valid position.
 */
#define EVENTFS_TWIN_BITS	7
#define EVENTFS_TWIN_MASK	((1U << EVENTFS_TWIN_BITS) - 1)
#define EVENTFS_HASH_BITS	(31 - EVENTFS_TWIN_BITS)
#define EVENTFS_MAX_HASH	((1U << EVENTFS_HASH_BITS) - 2)
#define EVENTFS_MIN_HASH	4U
#define EVENTFS_MIN_KEY		(EVENTFS_MIN_HASH << EVENTFS_TWIN_BITS)

/* Positions of a directory: "." and "..", its files, its children */
#define EVENTFS_FILE_POS	2
#define EVENTFS_MAX_ENTRIES	255	/* eventfs_inode::nr_entries has 8 bits */
static_assert(EVENTFS_FILE_POS + EVENTFS_MAX_ENTRIES <= EVENTFS_MIN_KEY);

/*
 * eventfs_inode::born is in units of 65 us, which is less than a tick of its clock. It is
 * rounded up, so that a file changed before the node was created never looks newer.
 */
#define EVENTFS_BORN_SHIFT	16

/* The number of children that a listing collects at a time */
#define EVENTFS_BATCH		16
/* A red-black tree of n nodes is at most 2 * log2(n + 1) high; keys have 31 bits. */
#define EVENTFS_MAX_HEIGHT	62

/*
 * The number of misses that a tree keeps in the cache. Any task that may search the tree
 * can create them. Removal drops them under event_mutex: a million would take 4 seconds.
 */
#define EVENTFS_MAX_MISSES	4096

/* Removal adds this to eventfs_inode::active. The sum is negative for any number of tasks. */
#define EVENTFS_DEAD_BIAS	INT_MIN

/**
 * struct eventfs_extra - the part of a node that most nodes do not need
 * @index: the children, by key
 * @seq: odd while @index changes; a reader that may have missed a child tries again.
 *	Not a seqcount_mutex_t: on PREEMPT_RT its readers would take the mutex,
 *	which they must not do under RCU. So writers disable preemption
 * @generation: counts creations and removals of children
 * @changed: time of the last of these, in ns since the epoch
 * @attrs: the attributes that were set on the directory (slot 0) and its files
 * @fill: creates the children; NULL once it has succeeded
 *
 * Allocated when first needed, and freed with the node.
 */
struct eventfs_extra {
	struct rb_root index;
	seqcount_t seq;
	u32 generation;
	atomic64_t changed;
	struct tracefs_attrs __rcu *attrs;
	eventfs_fill fill;
};

/**
 * struct eventfs_inode - the node: one directory of events
 * @rb: place in the parent's index
 * @entries: the files
 * @data: passed to the callbacks of @entries
 * @rcu: to free the node; RCU readers of a node do not use @entries and @data
 * @name: name in the parent
 * @parent: the parent, counted; NULL for a root
 * @extra: what most nodes do not need, or NULL
 * @born: when it was created, see eventfs_born()
 * @name_len: length of @name, so that it is computed only once
 * @nr_entries: length of @entries
 * @ref: one reference for the tree, each child, each inode and each dentry
 * @active: number of running lookups and callbacks; negative once the node is dead
 * @key: its key in the parent's index
 * @id: from tracefs_get_id(), the base of its inode numbers
 */
struct eventfs_inode {
	struct rb_node rb;
	union {
		struct {
			const struct eventfs_entry *entries;
			void *data;
		};
		struct rcu_head rcu;
	};
	const char *name;
	struct eventfs_inode *parent;
	struct eventfs_extra *extra;
	u64 born:48;
	u64 name_len:8;
	u64 nr_entries:8;
	struct kref ref;
	atomic_t active;
	u32 key;
	u32 id;
};

/**
 * struct eventfs_root - the node of an "events" directory
 * @node: the node
 * @lock: held to create, remove and fill directories of this tree
 * @dentry: the persistent dentry of the directory
 * @misses: number of cached misses, at most EVENTFS_MAX_MISSES
 * @mode: permission bits of the directories
 */
struct eventfs_root {
	struct eventfs_inode node;
	struct mutex lock;	/* serialises creation and removal */
	struct dentry *dentry;
	atomic_t misses;
	umode_t mode;
};

static struct kmem_cache *eventfs_node_cache __ro_after_init;

#ifdef CONFIG_LOCKDEP
/* One map for all nodes: a task that holds a node active does not wait for another. */
static struct lockdep_map eventfs_active_map =
	STATIC_LOCKDEP_MAP_INIT("eventfs_active", &eventfs_active_map);
#endif

static const struct dentry_operations eventfs_dir_dentry_operations;
static const struct dentry_operations eventfs_file_dentry_operations;
static const struct dentry_operations eventfs_miss_dentry_operations;
static const struct inode_operations eventfs_dir_inode_operations;
static const struct inode_operations eventfs_file_inode_operations;
static const struct file_operations eventfs_dir_operations;

/*
 * References
 */

static struct eventfs_inode *eventfs_get(struct eventfs_inode *node)
{
	kref_get(&node->ref);
	return node;
}

static struct eventfs_root *eventfs_root(struct eventfs_inode *node)
{
	while (node->parent)
		node = node->parent;
	return container_of(node, struct eventfs_root, node);
}

/* Without lockdep, this does not walk up to the root. */
static void eventfs_assert_locked(struct eventfs_inode *node)
{
	if (IS_ENABLED(CONFIG_LOCKDEP))
		lockdep_assert_held(&eventfs_root(node)->lock);
}

static void eventfs_free(struct eventfs_inode *node)
{
	if (node->extra)
		kfree(rcu_access_pointer(node->extra->attrs));
	kfree(node->extra);
	kfree_const(node->name);
	if (node->parent)
		kmem_cache_free(eventfs_node_cache, node);
	else
		kfree(container_of(node, struct eventfs_root, node));
}

static void eventfs_free_rcu(struct rcu_head *rcu)
{
	eventfs_free(container_of(rcu, struct eventfs_inode, rcu));
}

static void eventfs_last_put(struct kref *ref)
{
	struct eventfs_inode *node = container_of(ref, struct eventfs_inode, ref);
	const struct eventfs_entry *entry = node->entries;

	for (unsigned int nr = node->nr_entries; nr; nr--, entry++) {
		if (entry->release)
			entry->release(entry->name, node->data);
	}
	call_rcu(&node->rcu, eventfs_free_rcu);
}

/* May be called wherever dput() may. The last put of a node also puts its parent. */
static void eventfs_put(struct eventfs_inode *node)
{
	struct eventfs_inode *parent;

	for (; node; node = parent) {
		parent = node->parent;
		if (!kref_put(&node->ref, eventfs_last_put))
			return;
	}
}

/* When the node was created, in ns since the epoch */
static s64 eventfs_born(const struct eventfs_inode *node)
{
	return (u64)node->born << EVENTFS_BORN_SHIFT;
}

/*
 * Activity
 */

static bool eventfs_is_dead(const struct eventfs_inode *node)
{
	return atomic_read(&node->active) < 0;
}

static bool eventfs_get_active(struct eventfs_inode *node)
{
	if (!atomic_inc_unless_negative(&node->active))
		return false;
	rwsem_acquire_read(&eventfs_active_map, 0, 1, _RET_IP_);
	return true;
}

static void eventfs_put_active(struct eventfs_inode *node)
{
	rwsem_release(&eventfs_active_map, _RET_IP_);
	if (unlikely(atomic_dec_return(&node->active) == EVENTFS_DEAD_BIAS))
		wake_up_var(&node->active);
}

/* Mark a node dead, and wait until no task holds it active. */
static void eventfs_drain(struct eventfs_inode *node)
{
	rwsem_acquire(&eventfs_active_map, 0, 0, _RET_IP_);
	/* Both pair with eventfs_put_active(): what active tasks did is visible here. */
	if (atomic_add_return(EVENTFS_DEAD_BIAS, &node->active) != EVENTFS_DEAD_BIAS)
		wait_var_event(&node->active,
			       atomic_read_acquire(&node->active) == EVENTFS_DEAD_BIAS);
	rwsem_release(&eventfs_active_map, _RET_IP_);
}

/*
 * Index
 */

static struct eventfs_extra *eventfs_extra(const struct eventfs_inode *node)
{
	/* Pairs with the cmpxchg in eventfs_make_extra(). */
	return smp_load_acquire(&node->extra);
}

static struct eventfs_extra *eventfs_make_extra(struct eventfs_inode *node)
{
	struct eventfs_extra *extra = eventfs_extra(node);
	struct eventfs_extra *old;

	if (extra)
		return extra;

	extra = kzalloc_obj(*extra);
	if (!extra)
		return NULL;

	extra->index = RB_ROOT;
	seqcount_init(&extra->seq);
	atomic64_set(&extra->changed, eventfs_born(node));
	old = cmpxchg(&node->extra, NULL, extra);
	if (!old)
		return extra;
	kfree(extra);
	return old;
}

/* The number of the entry with this name, or nr_entries if there is none */
static unsigned int eventfs_find_entry(const struct eventfs_inode *dir, const char *name)
{
	const struct eventfs_entry *entry = dir->entries;
	unsigned int i;

	for (i = 0; i < dir->nr_entries; i++, entry++) {
		/* Most names differ in the first letter, so strcmp() is rarely called. */
		if (*entry->name == *name && !strcmp(entry->name, name))
			break;
	}
	return i;
}

/* The first key of names with this hash, which is full_name_hash() without a salt */
static u32 eventfs_first_key(u32 hash)
{
	hash >>= 32 - EVENTFS_HASH_BITS;
	return clamp(hash, EVENTFS_MIN_HASH, EVENTFS_MAX_HASH) << EVENTFS_TWIN_BITS;
}

static bool eventfs_same_hash(u32 a, u32 b)
{
	return (a ^ b) <= EVENTFS_TWIN_MASK;
}

/*
 * Find the child with the lowest key at or above @key. While @index changes, the result
 * may be a child with a higher key, or NULL: callers without the lock check seq.
 */
static struct eventfs_inode *eventfs_search(const struct rb_root *index, u32 key)
{
	const struct rb_node *rb = rcu_dereference_raw(index->rb_node);
	struct eventfs_inode *best = NULL;

	while (rb) {
		struct eventfs_inode *node = rb_entry(rb, struct eventfs_inode, rb);

		if (node->key == key)
			return node;
		if (node->key > key) {
			best = node;
			rb = rcu_dereference_raw(rb->rb_left);
		} else {
			rb = rcu_dereference_raw(rb->rb_right);
		}
	}
	return best;
}

static bool eventfs_has_name(const struct eventfs_inode *node, const struct qstr *name)
{
	return node->name_len == name->len && !memcmp(node->name, name->name, name->len);
}

static struct eventfs_inode *eventfs_search_name(const struct rb_root *index,
						 const struct qstr *name, u32 first)
{
	struct eventfs_inode *node;
	u32 key = first;

	while ((node = eventfs_search(index, key)) && eventfs_same_hash(node->key, first)) {
		if (eventfs_has_name(node, name))
			return node;
		key = node->key + 1;
	}
	return NULL;
}

/*
 * A search of a tree that changes can miss a node, hence the sequence count. A node that
 * it finds was in the tree. Caller is in an RCU read-side critical section.
 */
static struct eventfs_inode *eventfs_find_rcu(const struct eventfs_inode *dir,
					      const struct qstr *name)
{
	struct eventfs_extra *extra = eventfs_extra(dir);
	struct eventfs_inode *node;
	unsigned int seq;
	u32 key;

	if (!extra)
		return NULL;

	key = eventfs_first_key(full_name_hash(NULL, name->name, name->len));
	do {
		seq = read_seqcount_begin(&extra->seq);
		node = eventfs_search_name(&extra->index, name, key);
		/* Checked after a hit as well: this ends the section for KCSAN. */
	} while (read_seqcount_retry(&extra->seq, seq) && !node);
	return node;
}

static bool eventfs_has_child(const struct eventfs_inode *dir, const struct qstr *name)
{
	guard(rcu)();
	return eventfs_find_rcu(dir, name);
}

/* Returns a reference. A node whose count is 0 has left the tree: search again. */
static struct eventfs_inode *eventfs_find(const struct eventfs_inode *dir,
					  const struct qstr *name)
{
	struct eventfs_inode *node;

	guard(rcu)();
	do {
		node = eventfs_find_rcu(dir, name);
	} while (node && !kref_get_unless_zero(&node->ref));
	return node;
}

/*
 * Collect the first children at or after @key, in order, with a reference to each, and
 * return their number. A tree that changes cannot be walked upwards, so a stack holds
 * the nodes that are still to be visited. While @index changes, children may be missing
 * from the result, so the caller checks seq.
 */
static noinline_for_stack
unsigned int eventfs_collect(const struct rb_root *index, u32 key,
			     struct eventfs_inode *nodes[EVENTFS_BATCH])
{
	const struct rb_node *rb = rcu_dereference_raw(index->rb_node);
	struct eventfs_inode *path[EVENTFS_MAX_HEIGHT];
	unsigned int height = 0, count = 0;
	struct eventfs_inode *node;

	for (;;) {
		while (rb) {
			node = rb_entry(rb, struct eventfs_inode, rb);
			if (node->key < key) {
				rb = rcu_dereference_raw(rb->rb_right);
				continue;
			}
			if (height == EVENTFS_MAX_HEIGHT)
				return count;
			path[height++] = node;
			rb = rcu_dereference_raw(rb->rb_left);
		}
		if (!height)
			return count;
		node = path[--height];
		/* A node whose count is 0 has left the tree. */
		if (kref_get_unless_zero(&node->ref))
			nodes[count++] = node;
		if (count == EVENTFS_BATCH)
			return count;
		rb = rcu_dereference_raw(node->rb.rb_right);
	}
}

/* Like eventfs_collect(), but no child is missing */
static unsigned int eventfs_next(struct eventfs_inode *dir, u32 key,
				 struct eventfs_inode *nodes[EVENTFS_BATCH])
{
	struct eventfs_extra *extra = eventfs_extra(dir);
	unsigned int count, seq;

	if (!extra)
		return 0;

	for (;;) {
		scoped_guard(rcu) {
			seq = read_seqcount_begin(&extra->seq);
			count = eventfs_collect(&extra->index, key, nodes);
		}
		if (!read_seqcount_retry(&extra->seq, seq))
			return count;
		/* Not inside the RCU section: a last put does too much work for one. */
		while (count)
			eventfs_put(nodes[--count]);
	}
}

/*
 * Find the link, and its @parent, at which a node with an unused key belongs. @next
 * is the child with the lowest key at or above it. Caller holds the tree's lock.
 */
static struct rb_node **eventfs_find_place(struct rb_root *index, u32 key,
					   struct rb_node **parent,
					   struct eventfs_inode **next)
{
	struct rb_node **link = &index->rb_node;

	*parent = NULL;
	*next = NULL;
	while (*link) {
		struct eventfs_inode *node = rb_entry(*link, struct eventfs_inode, rb);

		*parent = *link;
		if (node->key >= key) {
			*next = node;
			link = &(*link)->rb_left;
		} else {
			link = &(*link)->rb_right;
		}
	}
	return link;
}

/**
 * eventfs_now - get the current time
 *
 * Context: Any.
 * Return: the time in ns since the epoch, from the clock that the VFS uses.
 */
s64 eventfs_now(void)
{
	struct timespec64 now;

	ktime_get_coarse_real_ts64_mg(&now);
	return timespec64_to_ns(&now);
}

/*
 * Record that a child was created or removed, after the index has changed. Changes within
 * a tick of the clock get different times. If the clock was set back, so is the time.
 *
 * The generation is written last, so a lookup that reads the new one searches the new
 * index. After one that read an older one, ->d_revalidate() searches again. Caller
 * holds the tree's lock.
 */
static void eventfs_change(struct eventfs_extra *extra, s64 now)
{
	s64 last = atomic64_read(&extra->changed);

	if (now <= last && last - now < TICK_NSEC)
		now = last + 1;
	atomic64_set(&extra->changed, now);
	/* Pairs with the acquire in eventfs_generation(). */
	smp_store_release(&extra->generation, extra->generation + 1);
}

/* Add a complete node to the index, by the hash of @name. Caller holds the tree's lock. */
static int eventfs_publish(struct eventfs_inode *node, const struct qstr *name)
{
	struct eventfs_inode *dir = node->parent;
	u32 first = eventfs_first_key(name->hash);
	struct eventfs_extra *extra;
	struct rb_node **place, *parent;
	struct eventfs_inode *other;

	eventfs_assert_locked(dir);

	if (eventfs_is_dead(dir))
		return -ENODEV;
	extra = eventfs_make_extra(dir);
	if (!extra)
		return -ENOMEM;

	/* Take the first key of this hash that no other name has. */
	node->key = first;
	place = eventfs_find_place(&extra->index, first, &parent, &other);
	for (; other && eventfs_same_hash(other->key, first);
	     other = rb_entry_safe(rb_next(&other->rb), struct eventfs_inode, rb)) {
		if (eventfs_has_name(other, name))
			return -EEXIST;
		if (other->key == node->key)
			node->key++;
	}
	if (!eventfs_same_hash(node->key, first))
		return -ENOSPC;
	if (node->key != first)
		place = eventfs_find_place(&extra->index, node->key, &parent, &other);

	scoped_guard(preempt) {
		write_seqcount_begin(&extra->seq);
		rb_link_node_rcu(&node->rb, parent, place);
		rb_insert_color(&node->rb, &extra->index);
		write_seqcount_end(&extra->seq);
	}
	return 0;
}

/* Remove a node from its parent's index. Caller holds the tree's lock. */
static void eventfs_unpublish(struct eventfs_inode *node, s64 now)
{
	struct eventfs_extra *extra = eventfs_extra(node->parent);

	eventfs_assert_locked(node);

	scoped_guard(preempt) {
		write_seqcount_begin(&extra->seq);
		rb_erase(&node->rb, &extra->index);
		write_seqcount_end(&extra->seq);
	}
	eventfs_change(extra, now);
}

/*
 * Callers read the generation first, and then search the index or read the time. A
 * directory that never had a child has generation 0.
 */
static u32 eventfs_generation(const struct eventfs_inode *dir)
{
	const struct eventfs_extra *extra = eventfs_extra(dir);

	/* Pairs with the release in eventfs_change(). */
	return extra ? smp_load_acquire(&extra->generation) : 0;
}

/*
 * Filling
 */

/**
 * eventfs_is_filled - check whether the fill operation has created the children
 * @dir: the directory
 *
 * Context: Any. Once true, the result stays true. False may change unless the tree's lock
 * is held.
 * Return: true if it has, or if @dir has no fill operation.
 */
bool eventfs_is_filled(const struct eventfs_inode *dir)
{
	const struct eventfs_extra *extra = eventfs_extra(dir);

	/* Pairs with the release in eventfs_fill_locked(). */
	return !extra || !smp_load_acquire(&extra->fill);
}

/* Called before the node is published. */
static int eventfs_set_fill(struct eventfs_inode *node, eventfs_fill fill)
{
	struct eventfs_extra *extra = eventfs_make_extra(node);

	if (!extra)
		return -ENOMEM;
	extra->fill = fill;
	return 0;
}

/* A failure keeps the children that exist. The next call creates the missing ones. */
static int eventfs_fill_locked(struct eventfs_inode *dir)
{
	struct eventfs_extra *extra = eventfs_extra(dir);
	int error;

	eventfs_assert_locked(dir);

	if (eventfs_is_filled(dir))
		return 0;
	if (eventfs_is_dead(dir))
		return -ENOENT;
	error = extra->fill(dir, dir->data);
	if (error)
		return error;
	/* Pairs with the acquire in eventfs_is_filled(): the children exist. */
	smp_store_release(&extra->fill, NULL);
	return 0;
}

/**
 * eventfs_fill_dir - run the fill operation of a directory
 * @dir: the directory
 *
 * Lookups in @dir and listings of it do this themselves.
 *
 * Context: May sleep; takes the tree's lock. event_mutex may be held.
 * Return: 0 if @dir is filled; -ENOMEM; -ENOENT if @dir was removed; -EINTR if the task
 * is killed while it waits.
 */
int eventfs_fill_dir(struct eventfs_inode *dir)
{
	struct eventfs_root *root;
	int error;

	if (likely(eventfs_is_filled(dir)))
		return 0;

	root = eventfs_root(dir);
	error = mutex_lock_killable(&root->lock);
	if (error)
		return error;
	error = eventfs_fill_locked(dir);
	mutex_unlock(&root->lock);
	return error;
}

/*
 * Attributes
 */

static unsigned int eventfs_slot(const struct inode *inode)
{
	return get_tracefs(inode)->slot;
}

/**
 * eventfs_attr - get the attributes that were set on an object of eventfs
 * @inode: its inode
 *
 * Context: RCU read-side critical section.
 * Return: the attributes, any of which may be set, or NULL if none was ever set.
 */
const struct tracefs_attr *eventfs_attr(const struct inode *inode)
{
	const struct eventfs_extra *extra = eventfs_extra(get_tracefs(inode)->node);
	const struct tracefs_attrs *attrs = extra ? rcu_dereference(extra->attrs) : NULL;

	return attrs ? &attrs->slot[eventfs_slot(inode)] : NULL;
}

/**
 * eventfs_set_attr - record the attributes that are set on an object of eventfs
 * @idmap: idmap of the mount
 * @inode: its inode
 * @iattr: what to set, already checked
 *
 * As in other file systems, a task can change a removed object that it has open: the
 * open file keeps the node.
 *
 * Context: May sleep; caller holds i_rwsem.
 * Return: 0, or -ENOMEM with nothing changed.
 */
int eventfs_set_attr(struct mnt_idmap *idmap, struct inode *inode,
		     const struct iattr *iattr)
{
	struct eventfs_inode *node = get_tracefs(inode)->node;
	struct eventfs_extra *extra;
	struct iattr set = *iattr;

	/* The size and the times that O_TRUNC sets are not recorded. */
	if (set.ia_valid & ATTR_SIZE)
		set.ia_valid &= ATTR_MODE;
	if (!set.ia_valid)
		return 0;

	extra = eventfs_make_extra(node);
	if (!extra)
		return -ENOMEM;
	/* A file has no generation, so times set on it stay. */
	return tracefs_record_attr(&extra->attrs, node->nr_entries + 1,
				   eventfs_slot(inode), idmap, inode, &set,
				   eventfs_slot(inode) ? 0 : eventfs_generation(node));
}

/**
 * eventfs_fill_stat - fill in the result of stat() except for the owner
 * @inode: its inode
 * @stat: the result, zeroed by the caller; sizes stay 0
 *
 * A file is as old as its directory and never changes. A directory changes when a child
 * is created or removed. Times that a user set are valid until the next change. This does
 * not call generic_fillattr(), which costs 3 % of a warm stat() and mostly fills in what
 * would be overwritten.
 *
 * Context: RCU read-side critical section.
 */
void eventfs_fill_stat(const struct inode *inode, struct kstat *stat)
{
	const struct eventfs_inode *node = get_tracefs(inode)->node;
	const struct tracefs_attr *attr = eventfs_attr(inode);
	const struct eventfs_extra *extra = eventfs_slot(inode) ? NULL : eventfs_extra(node);
	u32 generation = extra ? eventfs_generation(node) : 0;

	stat->dev = inode->i_sb->s_dev;
	stat->ino = inode->i_ino;
	stat->mode = READ_ONCE(inode->i_mode);
	stat->nlink = eventfs_is_dead(node) ? 0 : 1;
	stat->blksize = i_blocksize(inode);
	stat->btime = ns_to_timespec64(eventfs_born(node));
	stat->atime = stat->btime;
	stat->mtime = extra ? ns_to_timespec64(atomic64_read(&extra->changed)) : stat->btime;
	stat->ctime = stat->mtime;
	stat->result_mask |= STATX_BTIME;
	if (!attr)
		return;

	if (attr->set & ATTR_ATIME)
		stat->atime = ns_to_timespec64(attr->atime);
	if (attr->generation != generation)
		return;
	if (attr->set & ATTR_MTIME)
		stat->mtime = ns_to_timespec64(attr->mtime);
	if (attr->set & ATTR_CTIME)
		stat->ctime = ns_to_timespec64(attr->ctime);
}

/* Set up what files and directories have in common. A mode that was set replaces @mode. */
static void eventfs_init_inode(struct inode *inode, const struct inode *dir, umode_t mode)
{
	const struct tracefs_attr *attr;

	get_tracefs(inode)->flags |= get_tracefs(dir)->flags & TRACEFS_INSTANCES;
	inode->i_flags |= S_NOATIME;
	/* eventfs_fill_stat() does not use these, but the memory may hold old values. */
	inode_set_atime(inode, 0, 0);
	inode_set_mtime(inode, 0, 0);
	inode_set_ctime(inode, 0, 0);

	guard(rcu)();
	attr = eventfs_attr(inode);
	if (attr && attr->set & ATTR_MODE)
		mode = (mode & S_IFMT) | attr->mode;
	inode->i_mode = mode;
	tracefs_refresh_owner(inode);
}

/*
 * Inodes
 */

/*
 * Inodes are hashed and found by node and slot. So an object has one inode as long as a
 * watch or an open file holds it, even if its dentry is reclaimed. The inode holds a
 * reference to the node, so its number stays the same. Only inodes of eventfs are hashed
 * in tracefs.
 */
struct eventfs_key {
	struct eventfs_inode *node;
	unsigned int slot;
};

static int eventfs_is_inode(struct inode *inode, void *data)
{
	const struct tracefs_inode *ti = get_tracefs(inode);
	const struct eventfs_key *key = data;

	return ti->node == key->node && ti->slot == key->slot;
}

/*
 * A new inode is returned locked, with I_NEW. An inode rarely exists already, so this
 * allocates one without a search. iget5_locked() would search twice.
 */
static struct inode *eventfs_iget(struct super_block *sb, struct eventfs_inode *node,
				  unsigned int slot)
{
	struct eventfs_key key = { node, slot };
	struct inode *new = new_inode(sb);
	struct tracefs_inode *ti;
	struct inode *inode;

	if (!new)
		return NULL;

	ti = get_tracefs(new);
	new->i_ino = tracefs_ino(node->id, slot);
	ti->node = eventfs_get(node);
	ti->flags = TRACEFS_EVENT;
	ti->slot = slot;
	inode = inode_insert5(new, new->i_ino, eventfs_is_inode, NULL, &key);
	if (unlikely(inode != new))
		iput(new);
	return inode;
}

static struct inode *eventfs_dir_inode(struct eventfs_inode *node, const struct inode *dir)
{
	struct inode *inode = eventfs_iget(dir->i_sb, node, 0);

	if (!inode || !(inode_state_read_once(inode) & I_NEW))
		return inode;

	inode->i_op = &eventfs_dir_inode_operations;
	inode->i_fop = &eventfs_dir_operations;
	inode->i_opflags |= IOP_FASTPERM_MAY_EXEC;
	cache_no_acl(inode);	/* or the flag has no effect */
	eventfs_init_inode(inode, dir, S_IFDIR | eventfs_root(node)->mode);
	unlock_new_inode(inode);
	return inode;
}

/* Put an inode. If it is new, it must not be found again. */
static void eventfs_discard_inode(struct inode *inode)
{
	if (inode_state_read_once(inode) & I_NEW)
		iget_failed(inode);
	else
		iput(inode);
}

/**
 * eventfs_evict - drop the reference of an inode to its node
 * @inode: the inode
 *
 * The node pointer stays for path walks that reached the inode under RCU.
 *
 * Context: As eventfs_release, which this may call.
 */
void eventfs_evict(struct inode *inode)
{
	eventfs_put(get_tracefs(inode)->node);
}

/*
 * Lookup
 */

/*
 * Hash @dentry with a reference to @node, which the caller holds active. @inode is
 * consumed; it is NULL for a miss.
 */
static struct dentry *eventfs_splice(struct inode *inode, struct dentry *dentry,
				     struct eventfs_inode *node,
				     const struct dentry_operations *ops)
{
	struct dentry *alias;

	dentry->d_fsdata = eventfs_get(node);
	alias = d_splice_alias_ops(inode, dentry, ops);
	if (alias) {
		/* @dentry was not hashed, so ->d_release() will not put the reference. */
		dentry->d_fsdata = NULL;
		eventfs_put(node);
	}
	return alias;
}

static struct dentry *eventfs_lookup_miss(struct eventfs_inode *node, struct dentry *dentry)
{
	struct dentry *res;

	if (!eventfs_get_active(node))
		return ERR_PTR(-ENOENT);
	/* Above the limit a miss is not hashed, and each lookup searches again. */
	if (!atomic_add_unless(&eventfs_root(node)->misses, 1, EVENTFS_MAX_MISSES)) {
		eventfs_put_active(node);
		return NULL;
	}
	res = eventfs_splice(NULL, dentry, node, &eventfs_miss_dentry_operations);
	eventfs_put_active(node);
	return res;
}

static struct dentry *eventfs_lookup_dir(struct inode *dir, struct dentry *dentry,
					 struct eventfs_inode *child)
{
	struct inode *inode = eventfs_dir_inode(child, dir);
	struct dentry *res;

	if (!inode)
		return ERR_PTR(-ENOMEM);

	/* The child was removed meanwhile. There may be a file with its name. */
	if (!eventfs_get_active(child)) {
		iput(inode);
		return ERR_PTR(-ENOENT);
	}
	res = eventfs_splice(inode, dentry, child, &eventfs_dir_dentry_operations);
	eventfs_put_active(child);
	return res;
}

/*
 * Call the callback of an entry to learn whether its file exists. Caller holds the node
 * active. Return: 1 with the rest filled in, 0 if there is no such file, -EIO.
 */
static int eventfs_call(struct eventfs_inode *node, unsigned int i, umode_t *mode,
			void **data, const struct file_operations **fops)
{
	const struct eventfs_entry *entry = &node->entries[i];

	*data = node->data;
	*mode = 0;
	*fops = NULL;
	if (entry->callback(entry->name, mode, data, fops) <= 0)
		return 0;
	if (!(*mode & S_IFMT))
		*mode |= S_IFREG;
	return WARN_ON_ONCE(!S_ISREG(*mode) || !*fops) ? -EIO : 1;
}

static struct dentry *eventfs_lookup_file(struct inode *dir, struct dentry *dentry,
					  struct eventfs_inode *node, unsigned int i)
{
	const struct file_operations *fops;
	struct inode *inode;
	struct dentry *res;
	umode_t mode;
	void *data;
	int ret;

	inode = eventfs_iget(dir->i_sb, node, i + 1);
	if (!inode)
		return ERR_PTR(-ENOMEM);

	if (!eventfs_get_active(node)) {
		eventfs_discard_inode(inode);
		return ERR_PTR(-ENOENT);
	}
	ret = eventfs_call(node, i, &mode, &data, &fops);
	if (ret <= 0) {
		/* Not cached: the callback may return another result next time. */
		eventfs_put_active(node);
		eventfs_discard_inode(inode);
		return ERR_PTR(ret);
	}

	if (inode_state_read_once(inode) & I_NEW) {
		inode->i_op = &eventfs_file_inode_operations;
		inode->i_fop = fops;
		inode->i_private = data;
		eventfs_init_inode(inode, dir, mode);
		unlock_new_inode(inode);
	}
	res = eventfs_splice(inode, dentry, node, &eventfs_file_dentry_operations);
	eventfs_put_active(node);
	return res;
}

static struct dentry *eventfs_lookup(struct inode *dir, struct dentry *dentry,
				     unsigned int flags)
{
	struct eventfs_inode *node = get_tracefs(dir)->node;
	struct eventfs_inode *child;
	struct dentry *res;
	unsigned int i;
	int error;

	if (dentry->d_name.len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	error = eventfs_fill_dir(node);
	if (error)
		return ERR_PTR(error);

	dentry->d_time = eventfs_generation(node);
	child = eventfs_find(node, &dentry->d_name);
	if (child) {
		res = eventfs_lookup_dir(dir, dentry, child);
		eventfs_put(child);
		if (res != ERR_PTR(-ENOENT))
			return res;
	}

	i = eventfs_find_entry(node, dentry->d_name.name);
	if (i < node->nr_entries)
		return eventfs_lookup_file(dir, dentry, node, i);
	return eventfs_lookup_miss(node, dentry);
}

static int eventfs_revalidate_dir(struct inode *dir, const struct qstr *name,
				  struct dentry *dentry, unsigned int flags)
{
	return !eventfs_is_dead(dentry->d_fsdata);
}

/* For a file or a miss. Does not use d_inode, which may change during a walk. */
static int eventfs_revalidate_name(struct inode *dir, const struct qstr *name,
				   struct dentry *dentry, unsigned int flags)
{
	const struct eventfs_inode *node = dentry->d_fsdata;
	u32 generation = eventfs_generation(node);

	if (unlikely(eventfs_is_dead(node)))
		return 0;
	if (likely(READ_ONCE(dentry->d_time) == generation))
		return 1;
	if (eventfs_has_child(node, &dentry->d_name))
		return 0;
	WRITE_ONCE(dentry->d_time, generation);
	return 1;
}

/* A miss has no inode, so a removal cannot find one in use. The last dput() frees it. */
static int eventfs_delete_miss(const struct dentry *dentry)
{
	return eventfs_is_dead(dentry->d_fsdata);
}

static void eventfs_d_release(struct dentry *dentry)
{
	/* NULL if lookup used another alias. Not cleared here: RCU walks may read it. */
	if (dentry->d_fsdata)
		eventfs_put(dentry->d_fsdata);
}

static void eventfs_release_miss(struct dentry *dentry)
{
	atomic_dec(&eventfs_root(dentry->d_fsdata)->misses);
	eventfs_d_release(dentry);
}

static const struct dentry_operations eventfs_dir_dentry_operations = {
	.d_revalidate	= eventfs_revalidate_dir,
	.d_release	= eventfs_d_release,
};

static const struct dentry_operations eventfs_file_dentry_operations = {
	.d_revalidate	= eventfs_revalidate_name,
	.d_release	= eventfs_d_release,
};

static const struct dentry_operations eventfs_miss_dentry_operations = {
	.d_revalidate	= eventfs_revalidate_name,
	.d_delete	= eventfs_delete_miss,
	.d_release	= eventfs_release_miss,
};

/*
 * Listing
 */

/*
 * The emitting functions return 1, 0 if the buffer is full, or -ENOENT. They hold no
 * node active while they copy an entry to user space.
 */
static int eventfs_emit_file(struct eventfs_inode *node, unsigned int i,
			     struct dir_context *ctx)
{
	const struct qstr name = QSTR_INIT(node->entries[i].name, strlen(node->entries[i].name));
	const struct file_operations *fops;
	umode_t mode;
	void *data;
	int ret;

	if (!eventfs_get_active(node))
		return -ENOENT;
	ret = eventfs_call(node, i, &mode, &data, &fops);
	eventfs_put_active(node);
	if (ret <= 0 || eventfs_has_child(node, &name))
		return 1;
	return dir_emit(ctx, name.name, name.len, tracefs_ino(node->id, i + 1), DT_REG);
}

static int eventfs_emit_files(struct eventfs_inode *node, struct dir_context *ctx)
{
	int ret;

	for (; ctx->pos < EVENTFS_FILE_POS + node->nr_entries; ctx->pos++) {
		ret = eventfs_emit_file(node, ctx->pos - EVENTFS_FILE_POS, ctx);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int eventfs_emit_child(struct eventfs_inode *child, struct dir_context *ctx)
{
	ctx->pos = child->key;
	if (!dir_emit(ctx, child->name, child->name_len, tracefs_ino(child->id, 0), DT_DIR))
		return 0;
	ctx->pos++;
	return 1;
}

static int eventfs_emit_children(struct eventfs_inode *node, struct dir_context *ctx)
{
	struct eventfs_inode *children[EVENTFS_BATCH];
	unsigned int count;
	int ret = 1;

	while (ret > 0 && (count = eventfs_next(node, ctx->pos, children))) {
		for (unsigned int i = 0; i < count; i++) {
			struct eventfs_inode *child = children[i];

			if (ret > 0)
				ret = eventfs_emit_child(child, ctx);
			/* Like eventfs_put(), with the usual part inline. The parent is @node. */
			if (kref_put(&child->ref, eventfs_last_put))
				eventfs_put(node);
		}
	}
	return ret;
}

/*
 * A position belongs to one entry as long as the entry exists. So a listing continues
 * where it stopped, whatever was created or removed. While an entry is copied to user
 * space, eventfs holds no lock of its own, only references to the next nodes.
 */
static int eventfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct eventfs_inode *node = get_tracefs(file_inode(file))->node;
	int ret;

	/* Removal does not take i_rwsem, so iterate_dir() may have missed S_DEAD. */
	if (eventfs_is_dead(node))
		return -ENOENT;
	if (!dir_emit_dots(file, ctx))
		return 0;

	ret = eventfs_fill_dir(node) ?: eventfs_emit_files(node, ctx);
	if (ret > 0)
		ret = eventfs_emit_children(node, ctx);
	return min(ret, 0);
}

static const struct file_operations eventfs_dir_operations = {
	.read		= generic_read_dir,
	.iterate_shared	= eventfs_iterate,
	.llseek		= generic_file_llseek,
	.fsync		= noop_fsync,
};

static const struct inode_operations eventfs_dir_inode_operations = {
	.lookup		= eventfs_lookup,
	.permission	= tracefs_permission,
	.getattr	= tracefs_getattr,
	.setattr	= tracefs_setattr,
};

static const struct inode_operations eventfs_file_inode_operations = {
	.permission	= tracefs_permission,
	.getattr	= tracefs_getattr,
	.setattr	= tracefs_setattr,
};

/**
 * eventfs_dir_data - get the data of a file's directory
 * @inode: any inode
 *
 * The data is valid as long as @inode is, because the directory's release has not run.
 * It may differ from i_private, which the callback chose.
 *
 * Context: Any.
 * Return: the data of the directory; NULL if @inode is not a file of eventfs.
 */
void *eventfs_dir_data(const struct inode *inode)
{
	if (inode->i_op != &eventfs_file_inode_operations)
		return NULL;
	return get_tracefs(inode)->node->data;
}

/*
 * Notification
 */

/* The inode of an object, if there is one, with a reference */
static struct inode *eventfs_cached_inode(struct eventfs_inode *node, unsigned int slot)
{
	struct super_block *sb = eventfs_root(node)->dentry->d_sb;
	struct eventfs_key key = { node, slot };

	return ilookup5(sb, tracefs_ino(node->id, slot), eventfs_is_inode, &key);
}

/*
 * Does a watch of @dir report children? The VFS refuses marks that would do so for a
 * mount or a whole file system.
 */
static bool eventfs_is_watched(const struct inode *dir)
{
#ifdef CONFIG_FSNOTIFY
	return READ_ONCE(dir->i_fsnotify_mask) & (FS_CREATE | FS_DELETE);
#else
	return false;
#endif
}

/*
 * Report the file that @node hides: as deleted when the node is created, as created when
 * the node is removed. A watch of the file itself stays.
 */
static void eventfs_notify_file(struct eventfs_inode *node, struct inode *dir, u32 what,
				const struct qstr *name)
{
	unsigned int i = eventfs_find_entry(node->parent, node->name);
	struct inode *inode;

	if (i == node->parent->nr_entries)
		return;
	/* Audit rules and file handles use the number of this inode and nothing else. */
	inode = eventfs_iget(dir->i_sb, node->parent, i + 1);
	if (!inode)
		return;
	fsnotify_name(what, inode, FSNOTIFY_EVENT_INODE, dir, name, 0);
	eventfs_discard_inode(inode);
}

/*
 * Report the creation (FS_CREATE) or removal (FS_DELETE) of @node to watches of its
 * parent. A lookup is not reported. Caller holds the tree's lock, which keeps the
 * reports in order.
 */
static void eventfs_notify_dir(struct eventfs_inode *node, struct inode *dir, u32 what)
{
	const struct qstr name = QSTR_INIT(node->name, node->name_len);
	struct inode *inode;

	if (what == FS_CREATE)
		eventfs_notify_file(node, dir, FS_DELETE, &name);
	/*
	 * Some watches report a handle of the child, which contains its inode number. An
	 * inode made for this is freed at once. Without memory for one, nothing is
	 * reported: another inode would be taken for the child.
	 */
	inode = eventfs_dir_inode(node, dir);
	if (inode) {
		fsnotify_name(what | FS_ISDIR, inode, FSNOTIFY_EVENT_INODE, dir, &name, 0);
		iput(inode);
	}
	if (what == FS_DELETE)
		eventfs_notify_file(node, dir, FS_CREATE, &name);
}

/* Not inline, so that the usual case makes no call */
static noinline void eventfs_notify_parent(struct eventfs_inode *node, u32 what)
{
	struct inode *dir = eventfs_cached_inode(node->parent, 0);

	/* A watched parent has an inode. */
	if (!dir)
		return;
	if (eventfs_is_watched(dir))
		eventfs_notify_dir(node, dir, what);
	iput(dir);
}

static void eventfs_notify(struct eventfs_root *root, struct eventfs_inode *node, u32 what)
{
	lockdep_assert_held(&root->lock);

	if (unlikely(fsnotify_sb_has_watchers(root->dentry->d_sb)))
		eventfs_notify_parent(node, what);
}

/*
 * Creation
 */

/* Compares words, because strchr() would take a tenth of the time of a creation. */
static bool eventfs_has_slash(const struct qstr *name)
{
	const struct word_at_a_time constants = WORD_AT_A_TIME_CONSTANTS;
	const unsigned char *at = name->name, *end = at + name->len;
	unsigned long word, zero;

	for (; end - at >= sizeof(word); at += sizeof(word)) {
		word = get_unaligned((const unsigned long *)at) ^ REPEAT_BYTE('/');
		if (has_zero(word, &zero, &constants))
			return true;
	}
	while (at < end) {
		if (*at++ == '/')
			return true;
	}
	return false;
}

/* Returns 0 with length and hash filled in, -EINVAL or -ENAMETOOLONG. */
static int eventfs_check_name(struct qstr *qname, const char *name)
{
	if (!name || !*name)
		return -EINVAL;
	qname->name = name;
	qname->hash_len = hashlen_string(NULL, name);
	if (name_is_dot_dotdot(name, qname->len) || eventfs_has_slash(qname))
		return -EINVAL;
	return qname->len > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int eventfs_check(struct qstr *qname, const char *name,
			 const struct eventfs_entry *entries, int size)
{
	if (size < 0 || size > EVENTFS_MAX_ENTRIES || (size && !entries))
		return -EINVAL;
	return eventfs_check_name(qname, name);
}

/* Like kstrdup_const(), with a known length */
static const char *eventfs_copy_name(const struct qstr *name)
{
	if (is_kernel_rodata((unsigned long)name->name))
		return name->name;
	return kmemdup_nul(name->name, name->len, GFP_KERNEL);
}

/* Fill in a node. On error there is nothing to undo. */
static int eventfs_init_node(struct eventfs_inode *node, const struct qstr *name,
			     const struct eventfs_entry *entries, int size, void *data,
			     s64 born)
{
	*node = (struct eventfs_inode){
		.entries	= entries,
		.data		= data,
		.name		= eventfs_copy_name(name),
		.born		= (born + BIT(EVENTFS_BORN_SHIFT) - 1) >> EVENTFS_BORN_SHIFT,
		.name_len	= name->len,
		.nr_entries	= size,
		.ref		= KREF_INIT(1),
		.id		= tracefs_get_id(1 + size),
	};
	return node->name ? 0 : -ENOMEM;
}

/* Make a node with birth time @born, and publish it. Caller holds the tree's lock. */
static struct eventfs_inode *eventfs_make_dir(const char *name, struct eventfs_inode *parent,
					      const struct eventfs_entry *entries,
					      int size, void *data, eventfs_fill fill,
					      s64 born)
{
	struct eventfs_inode *node;
	struct qstr qname;
	int error;

	error = eventfs_check(&qname, name, entries, size);
	if (error)
		return ERR_PTR(error);

	node = kmem_cache_alloc(eventfs_node_cache, GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	error = eventfs_init_node(node, &qname, entries, size, data, born);
	if (error) {
		kmem_cache_free(eventfs_node_cache, node);
		return ERR_PTR(error);
	}

	node->parent = eventfs_get(parent);
	error = fill ? eventfs_set_fill(node, fill) : 0;
	if (!error)
		error = eventfs_publish(node, &qname);
	if (error) {
		/* It was never reachable, so there is no release and no grace period. */
		eventfs_free(node);
		eventfs_put(parent);
		return ERR_PTR(error);
	}
	return node;
}

/*
 * Create a directory with birth time @changed. The parent changes, unless this is part of
 * filling it.
 */
static struct eventfs_inode *eventfs_add(struct eventfs_root *root, const char *name,
					 struct eventfs_inode *parent,
					 const struct eventfs_entry *entries, int size,
					 void *data, eventfs_fill fill, s64 changed)
{
	struct eventfs_inode *node;

	lockdep_assert_held(&root->lock);

	node = eventfs_make_dir(name, parent, entries, size, data, fill, changed);
	if (!IS_ERR(node) && eventfs_is_filled(parent)) {
		eventfs_change(eventfs_extra(parent), changed);
		eventfs_notify(root, node, FS_CREATE);
	}
	return node;
}

/**
 * eventfs_add_lazy_dir - create a directory whose children are created when needed
 * @name: its name
 * @parent: the directory to create it in
 * @entries: its files
 * @size: length of @entries
 * @data: passed to @fill and to the callbacks of @entries
 * @fill: creates the children, see eventfs_fill
 * @changed: when a child was last created or removed, from eventfs_now(). This becomes
 *	the directory's birth time, unless that of @parent is later
 *
 * Otherwise like eventfs_add_dir().
 *
 * Context: As eventfs_add_dir().
 * Return: As eventfs_create_dir().
 */
struct eventfs_inode *eventfs_add_lazy_dir(const char *name, struct eventfs_inode *parent,
					   const struct eventfs_entry *entries,
					   int size, void *data, eventfs_fill fill,
					   s64 changed)
{
	return eventfs_add(eventfs_root(parent), name, parent, entries, size, data, fill,
			   max(changed, eventfs_born(parent)));
}

/**
 * eventfs_add_dir - create a directory in a locked tree
 * @name: its name
 * @parent: the directory to create it in
 * @entries: its files
 * @size: length of @entries
 * @data: passed to the callbacks of @entries
 *
 * Like eventfs_create_dir(). In a fill operation of @parent, @parent does not change, no
 * watch is notified, and the time of birth is that of the last change of @parent.
 *
 * Context: May sleep. Caller holds the tree's lock, by eventfs_lock() or in a fill
 * operation. Outside of a fill operation, @parent must be filled.
 * Return: As eventfs_create_dir().
 */
struct eventfs_inode *eventfs_add_dir(const char *name, struct eventfs_inode *parent,
				      const struct eventfs_entry *entries,
				      int size, void *data)
{
	s64 now = eventfs_is_filled(parent) ? eventfs_now() :
		  atomic64_read(&eventfs_extra(parent)->changed);

	return eventfs_add(eventfs_root(parent), name, parent, entries, size, data, NULL, now);
}

/**
 * eventfs_create_dir - create a directory
 * @name: its name
 * @parent: directory to create it in, from one of the creating functions
 * @entries: its files; the array must stay valid until the last release; may be NULL
 *	if @size is 0
 * @size: length of @entries, 0..255
 * @data: passed to the callbacks of @entries
 *
 * Once this returns, a lookup of the name finds the directory. While the directory
 * exists, it hides the file of an entry with its name. @parent must be filled.
 *
 * Context: May sleep; takes the tree's lock.
 * Return: the node, or an error pointer, with nothing changed:
 * -EINVAL: @parent is NULL or an error pointer, @size is out of range, @entries is
 * missing, or @name is NULL, empty, ".", ".." or has a slash;
 * -ENAMETOOLONG: @name is longer than NAME_MAX;
 * -EEXIST: a directory in @parent has that name;
 * -ENODEV: @parent is being removed;
 * -ENOSPC: 128 names have the same hash already;
 * -ENOMEM.
 */
struct eventfs_inode *eventfs_create_dir(const char *name, struct eventfs_inode *parent,
					 const struct eventfs_entry *entries,
					 int size, void *data)
{
	struct eventfs_root *root;

	if (IS_ERR_OR_NULL(parent))
		return ERR_PTR(-EINVAL);

	root = eventfs_root(parent);
	guard(mutex)(&root->lock);
	return eventfs_add(root, name, parent, entries, size, data, NULL, eventfs_now());
}

/**
 * eventfs_defer - announce that a child of a lazy directory will be created or removed
 * @dir: the directory
 *
 * Call this before changing the data that the fill operation reads. If @dir is watched,
 * this fills it. If @dir is not filled afterwards, its times change, and the caller must
 * not create or remove the child.
 *
 * Context: Caller holds the tree's lock, by eventfs_lock(). May sleep.
 */
void eventfs_defer(struct eventfs_inode *dir)
{
	struct inode *inode;
	bool watched;

	eventfs_assert_locked(dir);

	if (eventfs_is_filled(dir))
		return;
	inode = eventfs_cached_inode(dir, 0);
	watched = inode && eventfs_is_watched(inode);
	iput(inode);
	if (!watched || eventfs_fill_locked(dir))
		eventfs_change(eventfs_extra(dir), eventfs_now());
}

/**
 * eventfs_lock - lock a tree
 * @ei: any node of the tree; NULL does nothing
 *
 * No fill operation of the tree runs until eventfs_unlock(). Until then, the caller must
 * not call functions that take the tree's lock.
 *
 * Context: May sleep. event_mutex may be held.
 */
void eventfs_lock(struct eventfs_inode *ei)
{
	if (ei)
		mutex_lock(&eventfs_root(ei)->lock);
}

/**
 * eventfs_unlock - unlock a tree
 * @ei: as for eventfs_lock()
 */
void eventfs_unlock(struct eventfs_inode *ei)
{
	if (ei)
		mutex_unlock(&eventfs_root(ei)->lock);
}

static struct eventfs_root *eventfs_create_root(const struct qstr *name,
						const struct eventfs_entry *entries,
						int size, void *data)
{
	struct eventfs_root *root = kzalloc_obj(*root);
	int error;

	if (!root)
		return ERR_PTR(-ENOMEM);
	error = eventfs_init_node(&root->node, name, entries, size, data, eventfs_now());
	if (error) {
		kfree(root);
		return ERR_PTR(error);
	}
	mutex_init(&root->lock);
	return root;
}

/**
 * eventfs_create_lazy_events_dir - create an "events" directory that is filled later
 * @name: its name
 * @parent: static directory to create it in, NULL for the mount's root
 * @mode: permission bits of this directory, and of all directories below it
 * @entries: its files, as for eventfs_create_dir()
 * @size: length of @entries, 0..255
 * @data: passed to @fill and to the callbacks of @entries
 * @fill: creates the children, see eventfs_fill, or NULL
 *
 * Context: May sleep; takes @parent's i_rwsem.
 * Return: the node, which is the root of a new tree, or an error pointer, with nothing
 * changed: -EPERM under lockdown; -EEXIST if @parent has that name; -ENOENT
 * if @parent was removed; -EINVAL if @parent is an error pointer, and in the cases of
 * eventfs_create_dir(); -ENAMETOOLONG, -ENOMEM.
 */
struct eventfs_inode *eventfs_create_lazy_events_dir(const char *name, struct dentry *parent,
						     umode_t mode,
						     const struct eventfs_entry *entries,
						     int size, void *data, eventfs_fill fill)
{
	struct eventfs_root *root;
	struct dentry *dentry;
	struct inode *inode;
	struct inode *dir;
	struct qstr qname;
	int error;

	if (security_locked_down(LOCKDOWN_TRACEFS))
		return ERR_PTR(-EPERM);
	if (IS_ERR(parent))
		return ERR_PTR(-EINVAL);
	error = eventfs_check(&qname, name, entries, size);
	if (error)
		return ERR_PTR(error);

	root = eventfs_create_root(&qname, entries, size, data);
	if (IS_ERR(root))
		return ERR_CAST(root);
	root->mode = mode;
	error = fill ? eventfs_set_fill(&root->node, fill) : 0;
	if (error)
		goto err_root;
	dentry = tracefs_start_creating(name, parent);
	if (IS_ERR(dentry)) {
		error = PTR_ERR(dentry);
		goto err_root;
	}
	dir = d_inode(dentry->d_parent);
	inode = eventfs_dir_inode(&root->node, dir);
	if (!inode) {
		error = -ENOMEM;
		goto err_dentry;
	}

	root->dentry = dentry;
	d_make_persistent(dentry, inode);
	tracefs_link_dir(dir);
	fsnotify_mkdir(dir, dentry);
	tracefs_end_creating(dentry);
	return &root->node;

err_dentry:
	tracefs_failed_creating(dentry);
err_root:
	eventfs_free(&root->node);
	return ERR_PTR(error);
}

/**
 * eventfs_create_events_dir - create an "events" directory
 * @name: its name
 * @parent: static directory to create it in, NULL for the mount's root
 * @entries: its files
 * @size: length of @entries
 * @data: passed to the callbacks of @entries
 *
 * Context: As eventfs_create_lazy_events_dir().
 * Return: As eventfs_create_lazy_events_dir().
 */
struct eventfs_inode *eventfs_create_events_dir(const char *name, struct dentry *parent,
						const struct eventfs_entry *entries,
						int size, void *data)
{
	return eventfs_create_lazy_events_dir(name, parent, 0755, entries, size, data, NULL);
}

/*
 * Removal
 */

/* Unhash the dentry of an inode. It is freed now or by its last dput(). */
static void eventfs_drop_alias(struct inode *inode)
{
	struct dentry *dentry = d_find_alias(inode);

	if (!dentry)
		return;
	d_invalidate(dentry);
	/* Another task may have unhashed it and not yet dropped the dentries below it. */
	if (d_is_dir(dentry))
		shrink_dcache_parent(dentry);
	dput(dentry);
}

/*
 * Clear the link count of an inode, so that its watches end at its last use. The VFS
 * checks the count under the same lock when it frees the last dentry. If there is no
 * dentry any more, the watches end now.
 */
static void eventfs_unlink_inode(struct inode *inode)
{
	bool unused;

	spin_lock(&inode->i_lock);
	clear_nlink(inode);
	unused = hlist_empty(&inode->i_dentry);
	spin_unlock(&inode->i_lock);
	if (unused)
		fsnotify_inoderemove(inode);
}

/* Each inode and dentry holds a reference. One created after this does not stay cached. */
static bool eventfs_is_cached(const struct eventfs_inode *node)
{
	return kref_read(&node->ref) > 1;
}

/*
 * Drop the cached dentries and inodes of a dead node: unused ones now, the others at
 * their last use. No task holds the node active, so none is added meanwhile.
 */
static void eventfs_drop_cached(struct eventfs_inode *node)
{
	struct inode *inode;

	if (!eventfs_is_cached(node))
		return;

	/*
	 * First refuse new lookups, which could keep the walk over the dentries busy. A
	 * chmod at this moment may allow them again; then the walk takes longer.
	 */
	inode = eventfs_cached_inode(node, 0);
	if (inode) {
		inode_set_flags(inode, S_DEAD, S_DEAD);
		eventfs_drop_alias(inode);
		iput(inode);
	}
	if (!eventfs_is_cached(node))
		return;

	/* Then the objects in use. Watches of files end before those of their directory. */
	for (int slot = node->nr_entries; slot >= 0; slot--) {
		inode = eventfs_cached_inode(node, slot);
		if (!inode)
			continue;
		if (slot)
			eventfs_drop_alias(inode);
		eventfs_unlink_inode(inode);
		iput(inode);
	}
}

/* The first node without children, at or below @node */
static struct eventfs_inode *eventfs_deepest(struct eventfs_inode *node)
{
	struct eventfs_extra *extra;
	struct rb_node *rb;

	for (;;) {
		extra = eventfs_extra(node);
		rb = extra ? rb_first(&extra->index) : NULL;
		if (!rb)
			return node;
		node = rb_entry(rb, struct eventfs_inode, rb);
	}
}

/*
 * Remove @top and everything below it, from the bottom up. First unpublish @top. Then,
 * node by node: unpublish, end activity, drop what is cached, report the removal, drop
 * the tree's reference. Caller holds the tree's lock.
 */
static void eventfs_remove_tree(struct eventfs_root *root, struct eventfs_inode *top)
{
	struct eventfs_inode *node, *parent;
	const s64 now = eventfs_now();
	bool last;

	lockdep_assert_held(&root->lock);

	if (top->parent)
		eventfs_unpublish(top, now);
	node = eventfs_deepest(top);
	do {
		last = node == top;
		parent = node->parent;
		if (!last)
			eventfs_unpublish(node, now);
		eventfs_drain(node);
		eventfs_drop_cached(node);
		if (parent)
			eventfs_notify(root, node, FS_DELETE);
		if (!last)
			parent = eventfs_deepest(parent);
		eventfs_put(node);
		node = parent;
		cond_resched();
	} while (!last);
}

/**
 * eventfs_remove_dir - remove a directory and everything below it
 * @ei: from eventfs_create_dir(); NULL does nothing
 *
 * On return no callback of the removed directories is running or will run, no name
 * leads to them, and no unused dentry or inode of them remains. Those in use are freed
 * at their last use. Then the entries are released.
 *
 * Context: May sleep; takes the tree's lock; waits for running callbacks.
 */
void eventfs_remove_dir(struct eventfs_inode *ei)
{
	struct eventfs_root *root;

	if (!ei || WARN_ON_ONCE(!ei->parent))
		return;

	root = eventfs_root(ei);
	guard(mutex)(&root->lock);
	eventfs_remove_tree(root, ei);
}

/**
 * eventfs_remove_events_dir - remove an "events" directory and everything below it
 * @ei: any node of the tree; NULL does nothing
 *
 * Like eventfs_remove_dir(), for the whole tree. Its nodes must not be used any more.
 *
 * Context: May sleep; takes the tree's lock; waits for running callbacks. The caller
 * prevents a concurrent tracefs_remove() of siblings. This takes no i_rwsem, so
 * that a stuck listing of the static directory above it does not delay the removal.
 */
void eventfs_remove_events_dir(struct eventfs_inode *ei)
{
	struct eventfs_root *root;
	struct dentry *dentry;

	if (!ei)
		return;

	root = eventfs_root(ei);
	dentry = root->dentry;
	eventfs_get(&root->node);	/* it contains the lock */
	scoped_guard(mutex, &root->lock)
		eventfs_remove_tree(root, &root->node);
	eventfs_put(&root->node);

	tracefs_unlink_dir(d_inode(dentry->d_parent));
	fsnotify_rmdir(d_inode(dentry->d_parent), dentry);
	d_make_discardable(dentry);
	tracefs_release_mount();
}

/**
 * eventfs_init - set up the cache of nodes
 *
 * The cache is not merged with others, so that /proc/slabinfo shows what eventfs uses.
 *
 * Context: At boot. May sleep.
 * Return: 0 or -ENOMEM.
 */
int __init eventfs_init(void)
{
	eventfs_node_cache = KMEM_CACHE(eventfs_inode, SLAB_NO_MERGE);
	return eventfs_node_cache ? 0 : -ENOMEM;
}
