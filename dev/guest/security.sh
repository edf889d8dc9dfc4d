#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What security modules make of eventfs, on a kernel that has them. Runs in the
# guest, as root; exits non-zero if something was not as it should be.
#
#   security.sh early           booted with lockdown=confidentiality
#   security.sh late            lockdown comes while events are in use
#   security.sh labels POLICY   booted with SELinux, which labels files by path
# shellcheck disable=SC2317 # conditions are for check to run
set -u

TRACING=/sys/kernel/tracing
LOCKDOWN=/sys/kernel/security/lockdown
failed=0
# shellcheck disable=SC1091 # it is checked by itself
. "${0%/*}/checks.sh"

# For fails_with, which takes no redirection
append() # text file
{
	env echo "$1" >>"$2"
}

# To kprobe_events, which was opened in time
tell() # text
{
	env echo "$1" >&4
}

reclaim()
{
	echo 2 >/proc/sys/vm/drop_caches
	echo 2 >/proc/sys/vm/drop_caches
}

is_locked_down()
{
	grep -q '\[confidentiality\]' "$LOCKDOWN"
}

early()
{
	check 'lockdown is on' is_locked_down
	check 'tracefs is mounted' mountpoint -q $TRACING
	check 'and empty' is_same '' "$(ls -A $TRACING)"
	mkdir /run/again
	check 'it can be mounted again' mount -t tracefs -o gid=1 nodev /run/again
	check 'and says so' grep -q 'again tracefs rw,.*gid=1' /proc/mounts
	check 'with the owner that this gave' is_same 1 "$(stat -c %g $TRACING)"
	check 'and unmounted' umount /run/again
	check 'and remounted' mount -o remount,gid=0 $TRACING
	check 'no directory can be made' fails_with 'not permitted' mkdir $TRACING/dir
	check 'no instance' fails_with 'No such file' mkdir $TRACING/instances/dir
	check 'no file' fails_with 'denied' append x $TRACING/kprobe_events
	check 'it can be unmounted' umount $TRACING
	check 'and mounted afresh' mount -t tracefs nodev $TRACING
	check 'still empty' is_same '' "$(ls -A $TRACING)"
	check 'eventfs made nothing' is_same 0 "$(objects eventfs_inode)"
}

late()
{
	cd $TRACING || exit 1
	reclaim
	nodes=$(objects eventfs_inode)
	mkdir instances/old
	instance=$(($(objects eventfs_inode) - nodes))
	echo 'p:kprobes/old vfs_read' >kprobe_events
	cat events/kprobes/old/format instances/old/events/kprobes/old/enable >/dev/null
	exec 3<events/kprobes/old/format 4>>kprobe_events
	before=$(find events instances | sort)
	inodes=$(find events -printf '%i %p\n' | sort)
	echo "an instance has $instance nodes"

	echo confidentiality >$LOCKDOWN
	check 'lockdown is on' is_locked_down
	check 'all names are there' is_same "$before" "$(find events instances | sort)"
	reclaim
	check 'and after reclaim' is_same "$before" "$(find events instances | sort)"
	check 'the same files' is_same "$inodes" "$(find events -printf '%i %p\n' | sort)"
	check 'a file of an event has its owner' is_same 0 "$(stat -c %u events/kprobes/old/id)"
	check 'what is open can be read' grep -q '^name: old' <&3
	check 'files are not opened' fails_with 'not permitted' append 1 events/kprobes/old/enable
	check 'nor written anew' fails_with 'not permitted' append 'p:new vfs_read' kprobe_events

	nodes=$(objects eventfs_inode)
	inodes=$(objects tracefs_inode_cache)
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		check 'no instance comes' fails_with 'Invalid argument' mkdir instances/new
		check 'nor is left half' is_gone instances/new
		check 'no kprobe comes' fails_with 'not permitted' tell 'p:kprobes/new vfs_write'
		check 'nor is left half' is_gone events/kprobes/new
	done
	check 'what failed left no node' settles eventfs_inode "$nodes"
	check 'and no inode' settles tracefs_inode_cache "$inodes"

	# A process that opened the file before may remove existing events.
	check 'the event goes' tell '-:kprobes/old'
	check 'it is gone' is_gone events/kprobes/old events/kprobes
	check 'in the instance too' is_gone instances/old/events/kprobes
	check 'its file ends' fails_with 'No such device' cat <&3
	check 'the instance goes' rmdir instances/old
	check 'it is gone' is_gone instances/old
	exec 3<&- 4>&-
	# The two directories of the event, each with that of the instance
	check 'their nodes go' settles eventfs_inode $((nodes - instance - 4))
}

# The type of each path, of base_u:object_r:TYPE
labels_of() # path...
{
	python3 -c '
import os, sys
for path in sys.argv[1:]:
	label = os.getxattr(path, "security.selinux").rstrip(b"\0").decode()
	print(path, label.split(":")[2])
' "$@"
}

expect_labels() # when
{
	# Leaves first: each is looked up for its label.
	set -- "$1" events/sched/sched_switch/format format_t \
		events/sched/sched_switch/id event_t events/sched/sched_switch event_t \
		events/sched/sched_waking/format system_t events/sched/sched_waking system_t \
		events/sched/enable system_t events/sched system_t \
		events/kprobes/later/format later_t events/kprobes/later later_t \
		events/kprobes tracefs_t events/enable tracefs_t events tracefs_t \
		instances/labels/events/sched/sched_switch/format inside_t \
		instances/labels/events/sched inside_t instances/labels/events instance_t \
		instances/labels/trace instance_t instances/labels instance_t \
		instances tracefs_t trace tracefs_t . tracefs_t
	when=$1
	shift
	expected=$(printf '%s %s\n' "$@")
	paths=$(echo "$expected" | cut -d' ' -f1)
	# shellcheck disable=SC2086 # the paths are words
	check "labels $when" is_same "$expected" "$(labels_of $paths)"
}

labels() # policy
{
	mount -t selinuxfs selinuxfs /sys/fs/selinux || exit 1
	cd $TRACING || exit 1
	# Some are in the cache when the policy comes.
	ls -lR events/sched >/dev/null
	cd /
	umount $TRACING
	check 'the policy is loaded' cp "$1" /sys/fs/selinux/load
	mount -t tracefs nodev $TRACING
	cd $TRACING || exit 1
	mkdir instances/labels
	echo 'p:kprobes/later vfs_read' >kprobe_events
	expect_labels 'of what was in the cache, and of what is new'
	reclaim
	expect_labels 'after reclaim'
	expect_labels 'of what is in the cache'
	# As all the tools of users see it
	check 'the label that ls shows' is_same 'base_u:object_r:format_t' \
		"$(stat -c %C events/sched/sched_switch/format)"
	echo >kprobe_events
	rmdir instances/labels
}

case ${1-} in
early | late | labels)
	mount -t securityfs securityfs /sys/kernel/security || exit 1
	;;
esac
case ${1-} in
early) early ;;
late) late ;;
labels) labels "${2:?}" ;;
*)
	sed -n 's/^#   //p' "$0" >&2
	exit 2
	;;
esac
echo "$failed checks failed."
exit $((failed != 0))
