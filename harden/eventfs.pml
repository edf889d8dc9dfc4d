/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protocol of eventfs, for the model checker spin ("make model").
 *
 * A directory DIR, in it a name "a", and in that a file "f". The name is that of
 * the node A1, after its removal perhaps of A2, and it may be that of a file of DIR's
 * as well. Against each other run
 *
 *   looker     twice: walks to "a" or "a/f", as often as it likes, with references
 *              or (the first) under RCU; the first also asks again about what it
 *              holds, as overlayfs does; the second may reclaim any dentry that is
 *              unused, between two walks
 *   creator, remover   what the scenario says
 *   memory     performs a store that was issued before
 *
 * in five scenarios, as all at once are too many states. Lookers do all they can
 * in each, but walk on to "f" and ask again in FILES alone.
 *
 *   NAMES      A1 is created; a neighbour in the index is removed
 *   HIDES      A1 is removed, A2 is created under the same name, in a DIR that has a
 *              file "a"
 *   FILES      A1 is removed while its file is looked up, called back for, open
 *   TREE       DIR is removed with A1 in it, while A2 is to be created there: which
 *              fails as the name is taken, or as DIR is dead
 *   FILL       DIR has a fill operation that has not run. The caller has an event A1 in
 *              its list, removes it, and then adds A2 under the same name
 *
 * Checked, in all interleavings: the promises below, that nobody waits forever
 * (an "invalid end state": a wake-up of the drain was lost, a lock was kept), and
 * that each step is taken in one of them.
 *
 * What is a step. What C does under a lock is one step here, and each access to
 * shared memory without a lock is one of its own, but where a comment says why two
 * are one. The VFS's part is as coarse as its locks are: to hash a dentry, to find
 * one, to drop the last reference.
 *
 * Order of memory. What readers load without a lock is index, seq, generation,
 * active and ref; the first three are stored by the holder of the tree's lock.
 *
 *   Stores. A sequence of stores with a barrier between each is as if each was
 *   performed at once, later: nothing but stores and read-modify-writes, which the
 *   barriers order as well, comes between. So in eventfs_publish() and
 *   eventfs_unpublish(), where the smp_wmb() of the seqcount stand around the change
 *   of the index. The second store to seq, and after it that of generation, which is a
 *   store-release, have no barrier after them before the next release (mutex_unlock(),
 *   kref_put()) or full barrier (set_current_state() of who is to sleep). They are
 *   issued, and performed at any time until then: after the node is dead, after it was
 *   drained.
 *   Loads. A looker's are in order where C has an acquire (generation, before the
 *   search), the barriers of the seqcount, a dependency (of a node on the index, of
 *   d_fsdata on the dentry), or a read-modify-write of full order (active). This is
 *   everywhere but in eventfs_revalidate_name(), after the acquire: eventfs_is_dead()
 *   and d_time may be loaded later than what the search loads. The first says what is
 *   true a moment later then; what was searched for is true of the generation whatever
 *   the second is. The remover's load of ref comes after an acquire. The mutants whose
 *   names end in RELAXED take such an order away.
 *   d_time is stored without order: who sees an older one searches.
 *   References are counted by relaxed read-modify-writes, which take place in
 *   memory, under another reference or after a look at 0; they are dropped with
 *   release, and the last one has an acquire.
 *   Dentries and inodes have the VFS's locks.
 *
 * Left out:
 *   - Hashes, keys and the shape of the tree. To a search that overlaps with a
 *     change, any node may seem missing; that is a store of NONE to index.
 *   - More than one level below DIR: eventfs_remove_tree() does the same for each.
 *   - extra, which comes once and stays; ids, attributes, times, watches, listing.
 *   - The reference that the inode of a file has: its dentry has one for longer, and
 *     only watches hold it alone. So to find the inode is to find the dentry.
 *   - Failing allocations, and callbacks that decline: nothing is shared then that
 *     was not before.
 *   - Misses below "a". Those that are unused when somebody else has just unhashed "a"
 *     are what removal shrinks it for once more.
 *   - Aliases of a directory. That there are none is checked.
 *   - The lock of a tree is in its root, which is above DIR, and outlives it.
 *   - A fill operation that fails: it leaves the directory as it is.
 *   - Lookups of another name while one fills the directory. They are why the store of
 *     fill is a release; two lookups of one name do not run at the same time.
 *   - Reuse of memory. What is freed is marked so, at the first moment that RCU
 *     allows; as the mark stays, that is the worst one.
 *   - Progress: that a search ends which meets changes forever, for one, or that
 *     S_DEAD ends the walk over the dentries of what is removed.
 *   - That generation has 32 bits: after 2^32 changes of a directory, a name from
 *     before them would be valid again. That it is bumped by removals too is for the
 *     times: what was said of a name stays true.
 *
 * A comment with "C:" names what a step stands for, and is checked to be there:
 * that function of fs/tracefs/event_inode.c, that text in it. "VFS:" names
 * functions elsewhere. "harden/model.py --steps" prints them with their lines.
 *
 * A mutant has a step that is wrong, and a run that finds nothing is a failure.
 * Those with a title after "=" mirror a fault of harden/mutants.txt. The others are
 * about what hardly a test can tell, or show that a promise can be broken:
 *
 *   mutant BUMP_FIRST = generation is bumped before the child is published
 *   mutant NO_BUMP = creation does not bump the generation
 *   mutant BELOW_DEAD = a child may be created below a dead one
 *   mutant NO_PARENT_REF = a child holds no reference to its parent
 *   mutant FAILED_KEEPS = a failed creation keeps its reference to the parent
 *   mutant FAILED_RELEASES = a failed creation calls release
 *   mutant LOOKUP_LATE = a lookup reads the generation after the search
 *   mutant REVALIDATE_LATE = revalidate reads the generation after the search
 *   mutant GENERATION_RELAXED : eventfs_generation() with READ_ONCE()
 *   mutant NO_RETRY = a search that met a change is not repeated
 *   mutant KREF_GET : eventfs_find() with kref_get()
 *   mutant ENTRY_FIRST = an entry wins over a child
 *   mutant DEAD_HIDES = a child that dies under a lookup hides the file of its name
 *   mutant LOOKUP_KEEPS = a lookup keeps its reference to the child
 *   mutant NO_INODE_REF = an inode holds no reference to its node
 *   mutant EVICT_KEEPS = an evicted inode keeps its reference
 *   mutant NO_DENTRY_REF = a directory's dentry loses its reference
 *   mutant DENTRY_KEEPS = a released dentry keeps its reference
 *   mutant HASH_FIRST : eventfs_splice() sets d_fsdata when the dentry is hashed
 *   mutant INACTIVE_SPLICE = activity ends before the splice of a file
 *   mutant INACTIVE_CALLBACK = a file's callback runs without activity
 *   mutant TRUST_NAME = revalidate accepts without a search
 *   mutant REFUSES : eventfs_revalidate_dir() now and then says 0 of a node that lives
 *   mutant TRUST_DEAD = revalidate does not ask if a directory lives
 *   mutant NO_WAIT = removal does not wait for the active
 *   mutant NO_WAKE = the last of the active wakes nobody
 *   mutant WAKE_RELAXED : eventfs_put_active() with atomic_dec_return_relaxed()
 *   mutant DRAIN_RELAXED : eventfs_drain() with atomic_read()
 *   mutant DRAIN_TOP = removal drains the top alone
 *   mutant NO_DRAIN = removal drains nobody
 *   mutant STAYS_INDEXED = a removed child stays in the index
 *   mutant NO_DROP = removal drops nothing that is cached
 *   mutant FORGETS_OPEN = a removal forgets a directory that one has open
 *   mutant NO_INVALIDATE = removal does not invalidate
 *   mutant NO_UNHASH = removal leaves files in use hashed
 *   mutant KEEPS_MISS = removal leaves misses in use hashed
 *   mutant KEEPS_TREE_REF = the tree's reference is not dropped
 *   mutant RELEASE_EARLY = release is called by removal, not by the last put
 *   mutant NO_RELEASE = release is never called
 *   mutant PUT_STOPS = the last put stops at the node
 *   mutant NO_GRACE = a node is freed without a grace period
 *   mutant FILL_LATE : eventfs_lookup() fills the directory after the search
 *   mutant FILL_UNLOCKED : eventfs_fill_dir() runs the fill operation without the lock
 *   mutant CHECK_UNLOCKED : a caller checks eventfs_is_filled() before it takes the lock
 */

/* Promises, by names that are never true: they tell what an assertion is for. */
hidden byte use_after_free;		/* no freed node is looked at */
hidden byte released_once;		/* exactly once, at the end of all references */
hidden byte data_after_release;		/* what is open, or runs, has its data */
hidden byte callback_after_removal;	/* none runs when removal returns, or after */
hidden byte hashed_after_removal;	/* no name leads to it when removal returns */
hidden byte sticky_miss;		/* what is there is found */
hidden byte found_after_removal;	/* what is not there is not found */
hidden byte file_of_child;		/* a child hides the file of its name */
hidden byte no_d_fsdata;		/* a hashed dentry has its node */
hidden byte second_alias;		/* a directory has one dentry at most */
hidden byte leak;			/* unused, nothing is left of what was removed */
#define promise(name, condition)	assert((condition) || name)

/* For the runner: says the first time that a step or a branch is taken. */
#ifdef STEPS
#define reached(name) c_code { { \
	static char once; \
	if (!once) { once = 1; printf("reached %d " #name "\n", ((P0 *)_this)->_t); } \
} }
#else
#define reached(name) skip
#endif

#ifdef FILES
#define walks_to_file		true
#define asks_again(me)		(me == 0)
#else
#define walks_to_file		false
#define asks_again(me)		false
#endif
#define walks_under_rcu(me)	(me == 0)

/* Does DIR have an entry "a"? Then no walk misses, whatever comes or goes. */
#ifdef HIDES
#define has_entry		true
#else
#define has_entry		false
#endif

#define NONE	0

/* What callers know */
#define CREATED_A1	1	/* eventfs_create_dir() returned A1 */
#define REMOVING_A1	2	/* eventfs_remove_dir(A1) was called */
#define REMOVED_A1	3	/* and returned */
#define CREATED_A2	4	/* eventfs_create_dir() returned A2 */
#define REMOVING_DIR	5	/* DIR's removal was called */
#define REMOVED_DIR	6	/* and returned */
byte phase;
bit stood[2];			/* the name stands since before looker's walk began */
#ifdef TREE
#define gone(n)	(phase == REMOVED_DIR)
#else
#define gone(n)	(n == A1 && phase >= REMOVED_A1)
#endif

/*
 * Nodes
 */

#define DIR	1
#define A1	2
#define A2	3
#define NODES	4
#define MANY	16		/* references, more than anybody can have */
#define DEAD	-8		/* EVENTFS_DEAD_BIAS */

typedef node_t {
	byte ref;
	short activity;
	byte inode;		/* references to the directory's inode, 0: none */
	byte alias;		/* that inode's dentry */
	bool closed;		/* S_DEAD: the VFS asks for no name in it */
	bool released;
	bool queued;		/* by call_rcu() */
	bool freed;
	bit reader[2];		/* in an RCU section from before call_rcu() */
};
node_t node[NODES];
#define use(n)	promise(use_after_free, !node[n].freed)

/*
 * Dentries. One name below each, so that a hash table is a pointer to the child
 * that is hashed: "a" below ROOT, "f" below a dentry of "a".
 */

#define ROOT	1		/* of DIR, below what is always there */
#define DENTRIES 7

typedef dentry_t {
	byte count;		/* d_lockref, with one for each child */
	byte parent;
	byte node;		/* d_fsdata */
	byte time;		/* d_time */
	byte hashed;		/* the child that is hashed */
	bool looking;		/* a lookup of the child runs */
	bool used;
	bool negative;
	bool dying;		/* d_lockref is dead */
	bool finished;		/* released, not yet freed: somebody reads it */
};
dentry_t dentry[DENTRIES];
#define is_hashed(d)	(dentry[dentry[d].parent].hashed == d)
#define is_dir(d)	(!dentry[d].negative && dentry[d].node != dentry[dentry[d].parent].node)
#define is_file(d)	(!dentry[d].negative && !is_dir(d))

/*
 * Memory
 */

byte index;			/* the child of DIR that a search for "a" finds */
byte generation;
bit odd;			/* seq, of which only this and the next counts */
bit same[2];			/* seq is what looker began its search with */
bit locked;			/* root->lock */
bit created[NODES];
byte listed;			/* the event that the caller's fill operation creates */
bit filled;			/* the fill operation has created the children */
byte pending;			/* the stores that were issued, of: */
#define EVEN	1		/* the one that makes seq even again; then */
#define BUMP	2		/* that of generation */

#define change_seq(is)	odd = is; same[0] = 0; same[1] = 0

bit running[4];			/* all but memory; looker 0 and 1 first */
#define CREATOR	2
#define REMOVER	3
#define users_run	(running[0] || running[1] || running[CREATOR] || running[REMOVER])

proctype memory()
{
	do
	:: d_step { pending & EVEN -> pending = pending - EVEN; change_seq(0) }
	:: d_step { pending == BUMP -> pending = 0; generation++ }
	:: !pending && !users_run -> break
	od
}

/*
 * RCU
 */

bit reading[2];			/* looker is in an RCU section */
byte read[2];			/* the dentry it may look at without a reference */

/* To be in an atomic step */
#define rcu_read_lock(me)	reading[me] = 1

inline free_dentry(d)
{
	if
	:: read[0] != d && read[1] != d ->
		dentry[d].count = 0; dentry[d].parent = 0; dentry[d].node = 0;
		dentry[d].time = 0; dentry[d].used = 0; dentry[d].negative = 0;
		dentry[d].dying = 0; dentry[d].finished = 0
	:: else -> dentry[d].finished = true
	fi
}

inline grace(n)
{
	if
	:: node[n].queued && !node[n].reader[0] && !node[n].reader[1] ->
		node[n].queued = false;
		node[n].freed = true
	:: else
	fi
}

inline rcu_read_unlock(me, tmp)
{
	reading[me] = 0;
	tmp = read[me];
	read[me] = NONE;
	if
	:: tmp != NONE && dentry[tmp].finished -> free_dentry(tmp)
	:: else
	fi;
	node[DIR].reader[me] = 0; grace(DIR);
	node[A1].reader[me] = 0; grace(A1);
	node[A2].reader[me] = 0; grace(A2);
	tmp = NONE
}

/* To be in an atomic step */
inline call_rcu(n)
{
	node[n].closed = false;		/* Nobody asks any more. */
#ifdef NO_GRACE
	node[n].freed = true
#else
	node[n].reader[0] = reading[0];
	node[n].reader[1] = reading[1];
	node[n].queued = true;
	grace(n)
#endif
}

/*
 * Processes that look up and remove are loops over steps, each of which says when
 * it can be taken ("at") and which is next. A function of more than one step takes
 * what to do after it in a variable: "then" for eventfs_put(), "back" for the end
 * of a dentry.
 */
mtype = {
	/* a walk */
	WALK, FAST, REVALIDATE, ALIVE, COMPARE, STORE, LEGITIMISE, SLOW, FOUND, UNCACHED,
	MISSING, END, CLOSED,
	/* eventfs_lookup() */
	FILLED, FILL_LOCK, FILL_INDEX, FILL_EVEN, FILL_DONE, FILL_UNLOCK,
	GENERATION, BEGIN, SEARCH, REFERENCE, RETRY, LATE,
	CHILD, CHILD_ACTIVE, CHILD_SPLICE, CHILD_PUT, NAME, MISS_SPLICE, CALLBACK, CALLED,
	FILE_SPLICE, INACTIVE, WAKE,
	/* eventfs_remove_tree() */
	REMOVE, UNPUBLISH, ERASE, UNPUBLISHED, DRAIN, WAIT, QUEUE, QUEUED, SLEEP, DROP,
	INODE, ALIAS, SHRINK_AGAIN, IPUT, FILES_TOO, TREE_PUT, NEXT,
	/* of both */
	PUT, INVALIDATE, SHRINK, LEAVE, KILL, KILL_RELEASE, KILL_FREE
};

/*
 * References, in an atomic step
 */

inline eventfs_get(n)
{
	use(n);
	promise(released_once, node[n].ref > 0);
	node[n].ref++;	/* C: eventfs_get(): kref_get(&node->ref) */
	promise(leak, node[n].ref < MANY)
}

/*
 * Afterwards n is what is to be put next, or NONE. A last put is one step: nobody
 * but a reader under RCU can look at the node any more, and that one only sees
 * that ref is 0.
 */
inline eventfs_put(n)
{
	use(n);
	promise(released_once, node[n].ref > 0);
	node[n].ref--;	/* C: eventfs_put(): kref_put(&node->ref, eventfs_last_put) */
	if
	:: node[n].ref > 0 -> n = NONE
	:: else ->
		reached(LAST_PUT);
#if !defined(NO_RELEASE) && !defined(RELEASE_EARLY)
		/* C: eventfs_last_put(): entry->release(entry->name, node->data) */
		promise(released_once, !node[n].released);
		node[n].released = true;
#endif
		call_rcu(n);	/* C: eventfs_last_put(): call_rcu(&node->rcu, eventfs_free_rcu) */
#ifdef PUT_STOPS
		n = NONE
#else
		/* C: eventfs_put(): parent = node->parent */
		n = (n == DIR -> NONE : DIR)
#endif
	fi
}

/* The put of n, now, and of its parents, each in a step of its own; then "then" */
inline put_and(what)
{
	eventfs_put(n);
	if
	:: n != NONE -> then = what; at = PUT
	:: else -> at = what; then = WALK
	fi
}

#define steps_of_put \
	:: d_step { at == PUT -> reached(PUT); put_and(then) }

/*
 * Activity, in an atomic step
 */

byte sleeper;			/* the node whose drain is in the wait queue */
bool woken;

inline eventfs_get_active(n, ok)
{
	use(n);
	/* C: eventfs_get_active(): if (!atomic_inc_unless_negative(&node->active)) */
	ok = node[n].activity >= 0;
	if
	:: ok -> node[n].activity++
	:: else
	fi
}

/* "wake": the wait queue is to be looked at, in the next step. */
inline eventfs_put_active(n, wake)
{
	use(n);
	/* C: eventfs_put_active(): atomic_dec_return(&node->active) == EVENTFS_DEAD_BIAS */
	node[n].activity--;
	wake = (node[n].activity == DEAD);
#ifdef NO_WAKE
	wake = false
#endif
}

inline wake_up_var(n)
{
	if
	:: sleeper == n -> reached(WOKEN); woken = true		/* VFS: waitqueue_active() */
	:: else
	fi
}

/*
 * Inodes of directories, in an atomic step
 */

/* A new reference to the directory's inode, which is made if there is none. */
inline eventfs_dir_inode(n)
{
	/* C: eventfs_dir_inode(): inode = eventfs_iget(dir->i_sb, node, 0) */
	use(n);
	if
#ifndef NO_INODE_REF
	:: node[n].inode == 0 ->
		eventfs_get(n)	/* C: eventfs_iget(): ti->node = eventfs_get(node) */
#endif
	:: else
	fi;
	node[n].inode++
}

/* n is NONE afterwards if this was not the last reference to its inode. */
inline iput(n)
{
	node[n].inode--;
	if
	:: node[n].inode > 0 -> n = NONE
	:: else		/* C: eventfs_evict(): eventfs_put(get_tracefs(inode)->node) */
	fi;
#ifdef EVICT_KEEPS
	n = NONE
#endif
}

inline iput_and(what)
{
	iput(n);
	if
	:: n != NONE -> then = what; at = PUT
	:: else -> at = what
	fi
}

/*
 * Dentries, in an atomic step
 */

inline begin_kill(d)
{
	dentry[d].dying = true;
	if
	:: is_hashed(d) -> dentry[dentry[d].parent].hashed = NONE
	:: else
	fi;
	if
	:: is_dir(d) -> node[dentry[d].node].alias = NONE
	:: else
	fi
}

/* C: eventfs_delete_miss(): return eventfs_is_dead(dentry->d_fsdata) */
#ifdef KEEPS_MISS
#define eventfs_delete_miss(d)	false
#else
#define eventfs_delete_miss(d)	(node[dentry[d].node].activity < 0)
#endif

/* The end of dentry k, if this was the last reference. VFS: retain_dentry() */
inline dput_and(what)
{
	dentry[k].count--;
	if
	:: dentry[k].count == 0 &&
	   (!is_hashed(k) || (dentry[k].negative && eventfs_delete_miss(k))) ->
		begin_kill(k); back = what; at = KILL
	:: else -> k = NONE; at = what; back = WALK
	fi
}

/* VFS: dentry_unlink_inode() */
inline kill_inode()
{
	if
	:: is_dir(k) -> n = dentry[k].node; iput_and(KILL_RELEASE)
	:: else -> at = KILL_RELEASE
	fi
}

inline eventfs_d_release()
{
	n = dentry[k].node;
#ifdef DENTRY_KEEPS
	n = NONE;
#endif
	if
	:: n == NONE -> at = KILL_FREE	/* C: eventfs_d_release(): if (dentry->d_fsdata) */
	:: else -> put_and(KILL_FREE)	/* C: eventfs_d_release(): eventfs_put(dentry->d_fsdata) */
	fi
}

/* VFS: __dentry_kill(), with the dput() of the parent */
#define steps_of_kill \
	:: d_step { at == KILL -> reached(KILL); kill_inode() } \
	:: d_step { at == KILL_RELEASE -> reached(KILL_RELEASE); eventfs_d_release() } \
	:: d_step { at == KILL_FREE -> reached(KILL_FREE); \
		n = dentry[k].parent; \
		free_dentry(k); \
		k = n; n = NONE; \
		if \
		:: k == NONE -> at = back; back = WALK \
		:: else -> dput_and(back) \
		fi \
	   }

/*
 * VFS: shrink_dcache_parent(): kill what is unused below d; then "what". It also
 * waits for what another kills, which is left out.
 */
inline shrink_dcache_parent(what)
{
	k = ROOT + 1;
	do
	:: k == DENTRIES -> k = NONE; at = what; break
	:: k < DENTRIES && dentry[k].used && dentry[k].parent == d &&
	   dentry[k].count == 0 && !dentry[k].dying ->
		begin_kill(k);
		back = at; at = KILL;
		break
	:: else -> k++
	od;
	skip
}

/* VFS: d_invalidate(), as far as shrink_dcache_parent() */
inline d_invalidate(shrink, what)
{
	if
	:: is_hashed(d) ->
		dentry[dentry[d].parent].hashed = NONE;
		at = (dentry[d].negative -> what : shrink)
	:: else -> at = what
	fi
}

/* VFS: d_alloc_parallel(), when there is neither a dentry nor a lookup of one */
inline d_alloc()
{
	d = ROOT + 1;
	do
	:: d < DENTRIES && dentry[d].used -> d++
	:: else -> break
	od;
	assert(d < DENTRIES);		/* or the model is too small */
	dentry[d].used = true;
	dentry[d].count = 1;
	dentry[d].parent = p;
	dentry[p].looking = true;
	dentry[p].count++
}

/*
 * A dentry of "a" or "f" for a node that is active. To get the reference is no step
 * of its own: the caller has another, so that ref gets neither to 0 nor to 1.
 */
inline eventfs_splice(d, n, is_miss)
{
	/* C: eventfs_splice(): dentry->d_fsdata = eventfs_get(node) */
#ifdef NO_DENTRY_REF
	if
	:: n == dentry[dentry[d].parent].node -> eventfs_get(n)
	:: else
	fi;
#else
	eventfs_get(n);
#endif
#ifndef HASH_FIRST
	dentry[d].node = n;
#endif
	dentry[d].negative = is_miss;
	/* C: eventfs_splice(): alias = d_splice_alias_ops(inode, dentry, ops) */
	promise(hashed_after_removal, !gone(n));
	promise(second_alias, dentry[dentry[d].parent].hashed == NONE);
	dentry[dentry[d].parent].hashed = d;
	dentry[dentry[d].parent].looking = false;
	if
	:: n != dentry[dentry[d].parent].node ->
		promise(second_alias, node[n].alias == NONE);
		node[n].alias = d
	:: else
	fi
}

/*
 * A walk
 */

/* All that counts is what stands, and what is gone, from now on. */
#define begin_walk(me) \
	stood[me] = (phase == CREATED_A1 || phase == CREATED_A2); \
	past = (gone(A1) -> (gone(DIR) -> DIR : A1) : NONE)

#ifdef FILL_UNLOCKED
#define may_lock	true
#else
#define may_lock	!locked
#endif
#ifdef FILL_LATE
#define after_fill	NAME
#else
#define after_fill	GENERATION
#endif

#define callback_runs(n) \
	use(n); \
	promise(callback_after_removal, !gone(n)); \
	promise(data_after_release, !node[n].released)

#ifdef ONE_LOOKER
#define may_reclaim(me)		true
#else
#define may_reclaim(me)		(me == 1)
#endif
#define can_reclaim(d)	(at == WALK && may_reclaim(me) && dentry[d].used && dentry[d].count == 0 && is_hashed(d))
#define reclaim(d)	reached(RECLAIM); k = d; begin_kill(k); back = WALK; at = KILL

#define answer_missing(me) \
	promise(sticky_miss, !stood[me] && !has_entry); \
	at = MISSING

#define answer_found(me) \
	promise(found_after_removal, past != DIR && past != dentry[d].node); \
	promise(file_of_child, !stood[me] || p > ROOT || dentry[d].node != DIR); \
	at = FOUND

/* Drop what the walk has, first d, then p. */
inline end_walk(me)
{
	if
	:: d != NONE && p > ROOT -> k = d; d = NONE; dput_and(END)
	:: else ->
		k = (d != NONE -> d : p);
		d = NONE; p = NONE; past = NONE; stood[me] = 0;
		if
		:: k == ROOT -> k = NONE; at = WALK	/* That is open. */
		:: else -> dput_and(WALK)
		fi
	fi
}

/* What a revalidation said */
inline judge(me)
{
	n = NONE; time = 0;
	if
	:: rcu -> at = LEGITIMISE
	:: !rcu && !ok -> reached(STALE); at = INVALIDATE
	:: !rcu && ok && dentry[d].negative -> reached(CACHED_MISS); ok = false; answer_missing(me)
	:: else -> ok = false; answer_found(me)
	fi
}

inline end_search(me)
{
	same[me] = 0; n = NONE;
	if
	:: rcu		/* The walk is in the section as well. */
	:: else -> rcu_read_unlock(me, n)
	fi
}

/* What comes after activity in a lookup */
inline active_over(me)
{
	n = NONE;
	if
	:: child != NONE -> ok = true; at = CHILD_PUT
	:: child == NONE && dentry[d].negative -> ok = false; answer_missing(me)
	:: else -> ok = false; answer_found(me)
	fi
}

proctype looker(bit me)
{
	mtype at = WALK, then = WALK, back = WALK;
	byte past;		/* what was gone when the walk began */
	byte p, d;		/* a dentry that the walk has, one that it looks at */
	byte k;			/* one that ends */
	byte n, child;
	byte time;		/* the generation that a revalidation began with */
	bool rcu, ok;

	do
	:: d_step { at == WALK -> reached(WALK); begin_walk(me); p = ROOT; at = FAST }
	:: d_step { can_reclaim(2) -> reclaim(2) }	/* VFS: prune_dcache_sb() */
	:: d_step { can_reclaim(3) -> reclaim(3) }
	:: d_step { can_reclaim(4) -> reclaim(4) }
	:: d_step { can_reclaim(5) -> reclaim(5) }
	:: d_step { can_reclaim(6) -> reclaim(6) }
	:: d_step { at == WALK -> reached(CLOSE); k = ROOT; dput_and(CLOSED) }	/* close() */
	:: at == CLOSED -> break

	/* VFS: lookup_fast(). If it misses, __lookup_slow() would see the same now. */
	:: d_step { at == FAST && dentry[p].hashed == NONE -> reached(FAST_MISS); at = SLOW }
	:: d_step { at == FAST && dentry[p].hashed != NONE -> reached(FAST);
		d = dentry[p].hashed;
		dentry[d].count++;
		at = REVALIDATE
	   }
	:: d_step { at == FAST && dentry[p].hashed != NONE && walks_under_rcu(me) ->
		reached(FAST_RCU);
		rcu_read_lock(me);
		rcu = true;
		d = dentry[p].hashed;
		read[me] = d;
		at = REVALIDATE
	   }
	:: d_step { at == REVALIDATE -> reached(REVALIDATE);
		n = dentry[d].node;
		promise(no_d_fsdata, n != NONE);
		use(n);
		if
		/* C: eventfs_revalidate_name(): node = dentry->d_fsdata */
		/* C: eventfs_revalidate_name(): generation = eventfs_generation(node) */
		:: n == DIR -> time = generation; at = ALIVE
		/* That of A1 is always the same: for "f", too, this is all. */
		:: else ->
			/* C: eventfs_revalidate_dir(): return !eventfs_is_dead(dentry->d_fsdata) */
			/* C: eventfs_is_dead(): return atomic_read(&node->active) < 0 */
			ok = node[n].activity >= 0;
#ifdef TRUST_DEAD
			ok = true;
#endif
			judge(me)
		fi
	   }
#ifdef REFUSES
	:: d_step { at == REVALIDATE -> ok = false; judge(me) }
#endif
	:: d_step { at == ALIVE -> reached(ALIVE);
		use(n);
		/* C: eventfs_revalidate_name(): if (unlikely(eventfs_is_dead(node))) */
		ok = node[n].activity >= 0;
		if
		:: ok -> at = COMPARE
		:: else -> reached(IN_DEAD); judge(me)
		fi
	   }
	:: d_step { at == COMPARE -> reached(COMPARE);
		/* C: eventfs_revalidate_name(): likely(READ_ONCE(dentry->d_time) == generation) */
		if
		:: dentry[d].time != time -> reached(OLDER);
#ifdef TRUST_NAME
			at = STORE
#else
			at = BEGIN	/* C: eventfs_revalidate_name(): eventfs_has_child(node, &dentry->d_name) */
#endif
		:: else -> judge(me)
		fi
	   }
	:: d_step { at == STORE -> reached(STORE);
		dentry[d].time = time;	/* C: eventfs_revalidate_name(): WRITE_ONCE(dentry->d_time, generation) */
		judge(me)
	   }
	/* VFS: try_to_unlazy_next(): not if it was unhashed meanwhile */
	:: d_step { at == LEGITIMISE -> reached(LEGITIMISE);
		rcu = false;
		if
		:: is_hashed(d) && !dentry[d].dying -> dentry[d].count++
		:: else -> reached(UNHASHED); d = NONE
		fi;
		rcu_read_unlock(me, n);
		if
		:: d == NONE -> ok = false; at = FAST
		:: else -> judge(me)
		fi
	   }
	:: d_step { at == INVALIDATE -> reached(INVALIDATE); d_invalidate(SHRINK, LEAVE) }
	:: d_step { at == SHRINK -> reached(SHRINK); shrink_dcache_parent(LEAVE) }
	:: d_step { at == LEAVE -> reached(LEAVE); k = d; d = NONE; dput_and(SLOW) }

	/* VFS: __lookup_slow() */
	:: d_step { at == SLOW && dentry[p].hashed != NONE -> reached(SLOW_HIT);
		d = dentry[p].hashed;
		dentry[d].count++;
		at = REVALIDATE
	   }
	/* If that is there to be seen; a lookup that began before goes on. */
	:: d_step { at == SLOW && node[dentry[p].node].closed -> reached(SLOW_DEAD);
		answer_missing(me)	/* VFS: IS_DEADDIR() */
	   }
	:: d_step { at == SLOW && dentry[p].hashed == NONE && !dentry[p].looking &&
		    !node[dentry[p].node].closed ->
		reached(SLOW);
		d_alloc();
		n = dentry[p].node;	/* C: eventfs_lookup(): node = get_tracefs(dir)->node */
		/* Nothing was ever created in A1: "f" is no child, nobody searches. */
		at = (p == ROOT -> GENERATION : NAME)
#if defined(FILL) && !defined(FILL_LATE)
		; at = (p == ROOT -> FILLED : at)
#endif
	   }

#ifdef FILL
	/* C: eventfs_lookup(): error = eventfs_fill_dir(node) */
	:: d_step { at == FILLED -> reached(FILLED);
		/* C: eventfs_is_filled(): !smp_load_acquire(&extra->fill) */
		at = (filled -> after_fill : FILL_LOCK)
	   }
	:: d_step { at == FILL_LOCK && may_lock -> reached(FILL_LOCK);
		locked = 1;	/* C: eventfs_fill_dir(): mutex_lock_killable(&root->lock) */
		/* C: eventfs_fill_locked(): if (eventfs_is_filled(dir)) */
		child = listed;	/* C: eventfs_fill_locked(): extra->fill(dir, dir->data) */
		at = (filled -> FILL_UNLOCK : (listed != NONE -> FILL_INDEX : FILL_DONE));
		if
		:: at == FILL_INDEX ->
			node[child].ref = 1;
			eventfs_get(DIR);
			change_seq(1)
		:: else -> child = NONE
		fi
	   }
	:: d_step { at == FILL_INDEX -> reached(FILL_INDEX);
		index = child; created[child] = 1; child = NONE;
		at = FILL_EVEN
	   }
	/* Nothing was seen, so the generation need not change. */
	:: d_step { at == FILL_EVEN -> reached(FILL_EVEN); change_seq(0); at = FILL_DONE }
	:: d_step { at == FILL_DONE -> reached(FILL_DONE);
		filled = 1;	/* C: eventfs_fill_locked(): smp_store_release(&extra->fill, NULL) */
		at = FILL_UNLOCK
	   }
	:: d_step { at == FILL_UNLOCK -> reached(FILL_UNLOCK);
		locked = 0;	/* C: eventfs_fill_dir(): mutex_unlock(&root->lock) */
		at = after_fill
	   }
#endif

	:: d_step { at == GENERATION -> reached(GENERATION);
		use(n);
		/* C: eventfs_lookup(): dentry->d_time = eventfs_generation(node) */
		/* C: eventfs_generation(): smp_load_acquire(&extra->generation) */
		dentry[d].time = generation;
		at = BEGIN;
#ifdef ENTRY_FIRST
		at = (has_entry -> NAME : BEGIN)
#endif
	   }
	/*
	 * The search, of a lookup for what it can have a reference to, of a revalidation
	 * for whether there is any
	 */
#define only_asks	ok
	/* C: eventfs_lookup(): child = eventfs_find(node, &dentry->d_name) */
	:: d_step { at == BEGIN && !odd -> reached(BEGIN);
		/* C: eventfs_find_rcu(): seq = read_seqcount_begin(&extra->seq) */
		/* C: eventfs_has_child(): guard(rcu)() */
		rcu_read_lock(me);	/* C: eventfs_find(): guard(rcu)() */
		use(n);
		same[me] = 1;
		at = SEARCH
	   }
	:: d_step { at == SEARCH -> reached(SEARCH);
		/* C: eventfs_find_rcu(): node = eventfs_search_name(&extra->index, name, key) */
		child = index;
		if
		:: child != NONE && !only_asks -> use(child); at = REFERENCE
		:: child != NONE && only_asks -> use(child); reached(HAS_CHILD);
			/* C: eventfs_has_child(): return eventfs_find_rcu(dir, name) */
			child = NONE; ok = false;
			end_search(me);
			judge(me)
		:: else -> at = RETRY
		fi
	   }
	:: d_step { at == REFERENCE -> reached(REFERENCE);
		/* C: eventfs_find(): while (node && !kref_get_unless_zero(&node->ref)) */
		use(child);
		if
#ifndef KREF_GET
		:: node[child].ref == 0 -> reached(TOO_LATE); child = NONE; same[me] = 0; at = BEGIN
#endif
		:: else ->
			node[child].ref++;
			promise(leak, node[child].ref < MANY);
			end_search(me);
			at = CHILD
		fi
	   }
	:: d_step { at == RETRY -> reached(RETRY);
		if
#ifndef NO_RETRY
		/* C: eventfs_find_rcu(): while (read_seqcount_retry(&extra->seq, seq) && !node) */
		:: !same[me] -> reached(CHANGED); at = BEGIN
#endif
		:: else ->
			end_search(me);
			at = (only_asks -> STORE : NAME)
		fi
#if defined(FILL) && defined(FILL_LATE)
		; at = (at == NAME && p == ROOT -> FILLED : at)
#endif
#ifdef GENERATION_RELAXED
		; at = (at == BEGIN -> BEGIN : LATE)
#endif
#ifdef LOOKUP_LATE
		; at = (at == NAME -> LATE : at)
#endif
#ifdef REVALIDATE_LATE
		; at = (at == STORE -> LATE : at)
#endif
	   }
#if defined(GENERATION_RELAXED) || defined(LOOKUP_LATE) || defined(REVALIDATE_LATE)
	:: d_step { at == LATE && only_asks -> time = generation; at = STORE }
	:: d_step { at == LATE && !only_asks -> dentry[d].time = generation; at = NAME }
#endif

	/* It is: a directory. */
	:: d_step { at == CHILD -> reached(CHILD);
		/* C: eventfs_lookup_dir(): inode = eventfs_dir_inode(child, dir) */
		eventfs_dir_inode(child);
		at = CHILD_ACTIVE
	   }
	:: d_step { at == CHILD_ACTIVE -> reached(CHILD_ACTIVE);
		/* C: eventfs_lookup_dir(): if (!eventfs_get_active(child)) */
		eventfs_get_active(child, ok);
		n = child;
		if
		:: ok -> at = CHILD_SPLICE
		:: else -> reached(CHILD_DEAD); iput_and(CHILD_PUT)	/* C: eventfs_lookup_dir(): iput(inode) */
		fi
	   }
	:: d_step { at == CHILD_SPLICE -> reached(CHILD_SPLICE);
		/* C: eventfs_lookup_dir(): res = eventfs_splice(inode, dentry, child, &eventfs_dir_dentry_operations) */
		eventfs_splice(d, child, false);
		at = INACTIVE	/* C: eventfs_lookup_dir(): eventfs_put_active(child) */
	   }
	:: d_step { at == CHILD_PUT -> reached(CHILD_PUT);
		n = child;
		child = NONE;
		if
		:: ok -> answer_found(me)
		:: else
		fi;
		/* C: eventfs_lookup(): if (res != ERR_PTR(-ENOENT)) */
#ifdef LOOKUP_KEEPS
		n = NONE; at = (ok -> FOUND : NAME)
#elif defined(DEAD_HIDES)
		put_and((ok -> FOUND : UNCACHED))
#else
		put_and((ok -> FOUND : NAME))	/* C: eventfs_lookup(): eventfs_put(child) */
#endif
	   }

	/* It is not: a file, or a miss. What DIR's callback says of "a" is always yes. */
	:: d_step { at == NAME -> reached(NAME);
		n = dentry[p].node;
		/* C: eventfs_lookup_file(): if (!eventfs_get_active(node)) */
		/* C: eventfs_lookup_miss(): if (!eventfs_get_active(node)) */
		eventfs_get_active(n, ok);
		if
		/* C: eventfs_lookup(): i = eventfs_find_entry(node, dentry->d_name.name) */
		:: ok && p == ROOT -> ok = false; at = (has_entry -> FILE_SPLICE : MISS_SPLICE)
		:: ok && p > ROOT ->
			at = CALLBACK;
#ifdef INACTIVE_CALLBACK
			eventfs_put_active(n, ok);
#endif
			ok = false
		:: else -> reached(NAME_DEAD); at = UNCACHED
		fi
	   }
	:: d_step { at == MISS_SPLICE -> reached(MISS_SPLICE);
		/* C: eventfs_lookup_miss(): res = eventfs_splice(NULL, dentry, node, &eventfs_miss_dentry_operations) */
		eventfs_splice(d, n, true);
		at = INACTIVE	/* C: eventfs_lookup_miss(): eventfs_put_active(node) */
	   }
	:: d_step { at == CALLBACK -> reached(CALLBACK);
		/* C: eventfs_call(): entry->callback(entry->name, mode, data, fops) */
		callback_runs(n);
		at = CALLED
	   }
	:: d_step { at == CALLED -> reached(CALLED);
		callback_runs(n);
#ifdef INACTIVE_CALLBACK
		node[n].activity++;
#endif
		at = FILE_SPLICE
#ifdef INACTIVE_SPLICE
		; eventfs_put_active(n, ok);
		wake_up_var(n)
#endif
	   }
	:: d_step { at == FILE_SPLICE -> reached(FILE_SPLICE);
		/* C: eventfs_lookup_file(): res = eventfs_splice(inode, dentry, node, &eventfs_file_dentry_operations) */
		eventfs_splice(d, n, false);
		at = INACTIVE	/* C: eventfs_lookup_file(): eventfs_put_active(node) */
#ifdef INACTIVE_SPLICE
		; at = (p > ROOT -> WAKE : INACTIVE)
#endif
	   }

	/* The end of activity on n, and of the lookup but for CHILD_PUT */
	:: d_step { at == INACTIVE -> reached(INACTIVE);
#ifdef HASH_FIRST
		dentry[d].node = n;
#endif
		eventfs_put_active(n, ok);
		if
		:: ok -> at = WAKE
		:: else -> active_over(me)
		fi
	   }
	:: d_step { at == WAKE -> reached(WAKE);
		wake_up_var(n);		/* C: eventfs_put_active(): wake_up_var(&node->active) */
		active_over(me)
	   }
#ifdef WAKE_RELAXED
	/* The load of the wait queue may be performed before. */
	:: d_step { at == INACTIVE && sleeper != n -> at = LATE }
	:: d_step { at == LATE -> eventfs_put_active(n, ok); active_over(me) }
#endif

	/* The end of a walk, or on to "f" in it */
	:: d_step { at == FOUND && p == ROOT && walks_to_file ->
		reached(ON_TO_FILE);
		p = d; d = NONE; ok = false; at = FAST
	   }
	/* VFS: ovl_revalidate_real(): another asks about what it holds */
	:: d_step { at == FOUND && p == ROOT && asks_again(me) ->
		reached(AGAIN);
		begin_walk(me); ok = false; at = REVALIDATE
	   }
	:: d_step { at == FOUND -> reached(FOUND);
		/* An open "f": what its file operations do */
		promise(data_after_release, !node[dentry[d].node].released);
		ok = false;
		end_walk(me)
	   }
	/* VFS: d_lookup_done(), and nobody else has seen the dentry */
	:: d_step { at == UNCACHED -> reached(UNCACHED);
		dentry[d].negative = true;
		dentry[p].looking = false;
		n = NONE; ok = false;
		answer_missing(me);
		end_walk(me)
	   }
	:: d_step { at == MISSING -> reached(MISSING); end_walk(me) }
	:: d_step { at == END -> reached(END); end_walk(me) }

	steps_of_put
	steps_of_kill
	od;
	running[me] = 0
}

/*
 * Creation and removal. A call begins when it gets the lock, and returns when it
 * drops it: that callers call earlier, or go on later, only tells them less.
 */

bit called;			/* the creator, for A2 */

/* "error" is what eventfs_publish() returns, if not 0 */
inline eventfs_create_dir(n, error, tmp)
{
	d_step {
		!locked -> locked = 1;	/* C: eventfs_create_dir(): guard(mutex)(&root->lock) */
#ifndef NO_PARENT_REF
		eventfs_get(DIR);	/* C: eventfs_make_dir(): node->parent = eventfs_get(parent) */
#endif
		node[n].ref = 1		/* C: eventfs_init_node(): .ref = KREF_INIT(1) */
	};
	d_step {
		use(DIR);
		error = node[DIR].activity < 0;	/* C: eventfs_publish(): if (eventfs_is_dead(dir)) */
#ifdef BELOW_DEAD
		error = false;
#endif
		if
		:: error -> reached(CREATE_DEAD)
		:: else
		fi;
		/* C: eventfs_publish(): if (eventfs_has_name(other, name)) */
		if
		:: !error && index != NONE -> reached(CREATE_EXISTS); error = true
		:: else
		fi
	};
	if
	:: error -> skip
	:: else ->
#ifdef BUMP_FIRST
		generation++;
#endif
		d_step { change_seq(1) };		/* C: eventfs_publish(): write_seqcount_begin(&extra->seq) */
		/* C: eventfs_publish(): rb_link_node_rcu(&node->rb, parent, place) */
		index = n;
		/* C: eventfs_publish(): write_seqcount_end(&extra->seq) */
#if defined(BUMP_FIRST) || defined(NO_BUMP)
		pending = EVEN
#else
		pending = EVEN + BUMP	/* C: eventfs_add(): eventfs_change(eventfs_extra(parent), changed) */
#endif
	fi;
	d_step {
		!pending -> locked = 0;
		created[n] = !error;
		if
		:: !error && phase == 0 -> phase = CREATED_A1
		:: !error && phase == REMOVED_A1 -> phase = CREATED_A2
		:: else
		fi;
		if
#ifdef FAILED_RELEASES
		:: error -> tmp = n
#else
		:: error ->
			node[n].ref = 0;
			node[n].freed = true;	/* C: eventfs_make_dir(): eventfs_free(node) */
#ifndef FAILED_KEEPS
			tmp = DIR	/* C: eventfs_make_dir(): eventfs_put(parent) */
#endif
#endif
		:: else
		fi
	};
	do
	:: d_step { tmp != NONE -> eventfs_put(tmp) }
	:: tmp == NONE -> break
	od;
	error = false
}

proctype creator()
{
	bool error;
	byte tmp;

#ifdef NAMES
	eventfs_create_dir(A1, error, tmp);
#endif
#ifdef HIDES
	phase == REMOVED_A1;
	eventfs_create_dir(A2, error, tmp);
#endif
#ifdef FILL
	phase == REMOVED_A1;
#ifdef CHECK_UNLOCKED
	d_step { error = !filled };
	d_step { !locked -> locked = 1 };
#else
	/* C: eventfs_lock(): mutex_lock(&eventfs_root(ei)->lock) */
	d_step { !locked -> locked = 1; error = !filled };
#endif
	/* The caller: eventfs_defer(), and if the directory is not filled then, no more */
	d_step {
		listed = A2;
		if
		:: error -> phase = CREATED_A2; reached(CREATE_DEFERRED)
		:: else
		fi;
		locked = 0
	};
	if
	:: error -> error = false
	:: else -> eventfs_create_dir(A2, error, tmp)
	fi;
#endif
#ifdef TREE
	/* The caller has DIR when it calls; that DIR's removal is called then may be. */
	called = 1;
	eventfs_create_dir(A2, error, tmp);
	d_step { tmp = DIR; eventfs_put(tmp) };
	do
	:: d_step { tmp != NONE -> eventfs_put(tmp) }
	:: tmp == NONE -> break
	od;
#endif
	running[CREATOR] = 0
}

#ifdef FORGETS_OPEN
#define is_idle(n)	(node[n].ref <= 3)
#elif defined(NO_DROP)
#define is_idle(n)	true
#else
#define is_idle(n)	(node[n].ref == 1)
#endif

/*
 * In NAMES a neighbour of A1 goes: a rotation takes "a" out of reach for a moment.
 * Elsewhere A1 does, or DIR with what it has.
 */
proctype remover()
{
	mtype at = REMOVE, then = WALK, back = WALK;
	byte top, v;		/* what is removed, and the node it is at */
	byte d, k, n;
	bool idle;		/* nobody but the tree has the node */

#ifdef NAMES
	d_step { phase == CREATED_A1 && !locked -> locked = 1; n = index };
	d_step { change_seq(1) };	/* C: eventfs_unpublish(): write_seqcount_begin(&extra->seq) */
	index = NONE;	/* C: eventfs_unpublish(): rb_erase(&node->rb, &extra->index) */
	index = n;
	pending = EVEN + BUMP;	/* C: eventfs_unpublish(): eventfs_change(extra, now) */
	d_step { !pending -> locked = 0; n = NONE; at = CLOSED };
#endif
#ifdef TREE
	top = DIR;
#else
	top = A1;
#endif
	do
#ifdef FILL
	/* The caller: eventfs_defer(), and if the directory is not filled then, no more */
	:: d_step { at == REMOVE && !locked && !filled -> reached(REMOVE_DEFERRED);
		listed = NONE;
		phase = REMOVED_A1;
		stood[0] = 0;
		stood[1] = 0;
		at = CLOSED
	   }
#define may_remove	filled
#else
#define may_remove	true
#endif
	/* DIR is not removed before A2 is asked for, which has a reference then. */
	:: d_step { at == REMOVE && !locked && may_remove && (top == A1 || called) -> reached(REMOVE);
		locked = 1;	/* C: eventfs_remove_dir(): guard(mutex)(&root->lock) */
		listed = NONE;
		phase = (top == A1 -> REMOVING_A1 : REMOVING_DIR);
		stood[0] = 0;
		stood[1] = 0;
		/* C: eventfs_remove_dir(): eventfs_remove_tree(root, ei) */
		/* C: eventfs_remove_tree(): node = eventfs_deepest(top) */
		v = (top == DIR && index != NONE -> index : top);
		at = (v == DIR -> DRAIN : UNPUBLISH)
	   }

	/* C: eventfs_remove_tree(): eventfs_unpublish(node, now) */
	:: d_step { at == UNPUBLISH -> reached(UNPUBLISH);
		change_seq(1);	/* C: eventfs_unpublish(): write_seqcount_begin(&extra->seq) */
		at = ERASE
	   }
	:: d_step { at == ERASE -> reached(ERASE);
#ifndef STAYS_INDEXED
		index = NONE;	/* C: eventfs_unpublish(): rb_erase(&node->rb, &extra->index) */
#endif
		at = UNPUBLISHED
	   }
	:: d_step { at == UNPUBLISHED -> reached(UNPUBLISHED);
		/* C: eventfs_unpublish(): write_seqcount_end(&extra->seq) */
		/* C: eventfs_change(): smp_store_release(&extra->generation, extra->generation + 1) */
#if defined(FILES) || defined(TREE)
		/* Nothing comes after, so it would only make lookers search: left out. */
		pending = EVEN;
#else
		pending = EVEN + BUMP;
#endif
#ifdef DRAIN_RELAXED
		/* The load that is to come after the drain may be performed before. */
		idle = is_idle(v);
#endif
		at = DRAIN
	   }

	/* C: eventfs_remove_tree(): eventfs_drain(node) */
	:: d_step { at == DRAIN -> reached(DRAIN);
		use(v);
		at = WAIT;
#ifdef DRAIN_TOP
		at = (v == top -> WAIT : DROP);
#endif
#ifdef NO_DRAIN
		at = DROP
#else
		/* As if relaxed: does not wait for what was issued */
		node[v].activity = node[v].activity + DEAD	/* C: eventfs_drain(): atomic_add_return(EVENTFS_DEAD_BIAS, &node->active) */
#endif
	   }
	/* C: eventfs_drain(): wait_var_event(&node->active, atomic_read_acquire(&node->active) == EVENTFS_DEAD_BIAS) */
	:: d_step { at == WAIT -> reached(WAIT); at = (node[v].activity == DEAD -> DROP : QUEUE)
#ifdef NO_WAIT
		; at = DROP
#endif
	   }
	/* VFS: prepare_to_wait_event(), set_current_state(): in the queue, and a barrier */
	:: d_step { at == QUEUE && !pending -> reached(QUEUE); sleeper = v; woken = false; at = QUEUED }
	:: d_step { at == QUEUED -> reached(QUEUED);
		if
		:: node[v].activity == DEAD -> sleeper = NONE; at = DROP	/* VFS: finish_wait() */
		:: else -> at = SLEEP
		fi
	   }
	:: d_step { at == SLEEP && woken -> reached(SLEEP); woken = false; at = QUEUE }		/* VFS: schedule() */

	/* C: eventfs_remove_tree(): eventfs_drop_cached(node) */
	:: d_step { at == DROP -> reached(DROP);
		use(v);
#ifndef DRAIN_RELAXED
		idle = is_idle(v);	/* C: eventfs_is_cached(): kref_read(&node->ref) > 1 */
#endif
		at = (idle -> TREE_PUT : INODE);
		idle = false
	   }
	:: d_step { at == INODE -> reached(INODE);
		/* C: eventfs_drop_cached(): inode = eventfs_cached_inode(node, 0) */
		if
		:: node[v].inode > 0 ->
			node[v].inode++;
			node[v].closed = true;	/* C: eventfs_drop_cached(): inode_set_flags(inode, S_DEAD, S_DEAD) */
			at = ALIAS
		:: else -> at = FILES_TOO
		fi
	   }
	/* C: eventfs_drop_cached(): eventfs_drop_alias(inode) */
	:: d_step { at == ALIAS -> reached(ALIAS);
		d = node[v].alias;	/* C: eventfs_drop_alias(): dentry = d_find_alias(inode) */
		if
		:: d != NONE -> dentry[d].count++; at = INVALIDATE
		:: else -> at = IPUT
		fi
	   }
	/* C: eventfs_drop_alias(): d_invalidate(dentry) */
	:: d_step { at == INVALIDATE -> reached(INVALIDATE);
#ifdef NO_INVALIDATE
		at = (is_dir(d) -> SHRINK_AGAIN : LEAVE)
#else
		if
		:: is_dir(d) -> d_invalidate(SHRINK, SHRINK_AGAIN)
		:: else -> d_invalidate(LEAVE, LEAVE)	/* Nothing is below a file. */
		fi
#endif
	   }
	:: d_step { at == SHRINK -> reached(SHRINK); shrink_dcache_parent(SHRINK_AGAIN) }
	/* C: eventfs_drop_alias(): shrink_dcache_parent(dentry) */
	:: d_step { at == SHRINK_AGAIN -> reached(SHRINK_AGAIN); shrink_dcache_parent(LEAVE) }
	:: d_step { at == LEAVE -> reached(LEAVE);
		k = d;
		d = NONE;
		/* C: eventfs_drop_alias(): dput(dentry) */
		if
		:: is_dir(k) -> dput_and(IPUT)
		:: else -> dput_and(TREE_PUT)
		fi
	   }
	:: d_step { at == IPUT -> reached(IPUT);
		n = v;
		iput_and(FILES_TOO)	/* C: eventfs_drop_cached(): iput(inode) */
	   }
	/* The file that is in use, by its inode, which its dentry has */
	:: d_step { at == FILES_TOO -> reached(FILES_TOO);
		use(v);
		/* C: eventfs_drop_cached(): for (int slot = node->nr_entries; slot >= 0; slot--) */
		d = ROOT + 1;
		do
		:: d < DENTRIES && !(dentry[d].node == v && is_hashed(d) && is_file(d)) -> d++
		:: else -> break
		od;
#ifdef NO_UNHASH
		d = DENTRIES;
#endif
		if
		:: d < DENTRIES && !is_idle(v) -> reached(FILE); dentry[d].count++; at = INVALIDATE
		:: else -> d = NONE; at = TREE_PUT
		fi
	   }

	/* A release: all that was issued is performed. */
	:: d_step { at == TREE_PUT && !pending -> reached(TREE_PUT);
#ifdef RELEASE_EARLY
		node[v].released = true;
#endif
		n = v;
		/* C: eventfs_remove_tree(): parent = eventfs_deepest(parent) */
		v = (v == top -> NONE : DIR);
#ifdef KEEPS_TREE_REF
		n = NONE;
		at = NEXT
#else
		put_and(NEXT)		/* C: eventfs_remove_tree(): eventfs_put(node) */
#endif
	   }
	:: d_step { at == NEXT && v != NONE -> reached(PARENT); at = DRAIN }	/* C: eventfs_remove_tree(): while (!last) */
	:: d_step { at == NEXT && v == NONE && !pending -> reached(NEXT);
		locked = 0;
		phase = (top == A1 -> REMOVED_A1 : REMOVED_DIR);
		at = CLOSED
	   }
	:: at == CLOSED -> break

	steps_of_put
	steps_of_kill
	od;
	running[REMOVER] = 0
}

init
{
	atomic {
		/* DIR with a directory's inode and its dentry, which both lookers have open */
		node[DIR].ref = 3;
		node[DIR].inode = 1;
		node[DIR].alias = ROOT;
		dentry[ROOT].used = true;
		dentry[ROOT].count = 1;
		dentry[ROOT].node = DIR;
		dentry[NONE].hashed = ROOT;
#ifdef FILL
		listed = A1;
		phase = CREATED_A1;
#elif !defined(NAMES)
		/* A1 is there. */
		node[A1].ref = 1;
		node[DIR].ref++;
		index = A1;
		generation = 1;
		created[A1] = 1;
		phase = CREATED_A1;
#endif
#ifdef TREE
		node[DIR].ref++;	/* the creator's */
#endif
		running[0] = 1; running[CREATOR] = 1; running[REMOVER] = 1;
		run memory();
		run looker(0);
#ifndef ONE_LOOKER
		running[1] = 1;
		dentry[ROOT].count++;
		run looker(1);
#endif
		run creator();
		run remover()
	};
	/* Nobody uses anything. What was removed is gone, without help of reclaim. */
	d_step {
		!users_run;
#ifdef FILL
		promise(leak, !created[A1] || node[A1].freed);
		promise(released_once, node[A1].released == created[A1]);
#elif !defined(NAMES)
		promise(leak, node[A1].freed);
		promise(released_once, node[A1].released);
#endif
#ifdef TREE
		promise(leak, node[DIR].freed && !dentry[ROOT].used);
		promise(released_once, node[DIR].released);
		promise(leak, !created[A2] || node[A2].freed);
		promise(released_once, node[A2].released == created[A2])
#else
		promise(released_once, !node[DIR].released)
#endif
	}
}
