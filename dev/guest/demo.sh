#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Shows what eventfs does, as a transcript with comments. Runs in the guest, as root;
# exits non-zero if a step fails.
# shellcheck disable=SC2016 # quoted commands are for run and check to expand
set -u

TRACING=/sys/kernel/tracing
passed=0
failed=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

say()
{
	printf '\n# %s\n' "$*"
}

# Show a command and run it.
run()
{
	printf '$ %s\n' "$*"
	sh -c "$*" 2>&1
}

# Check what a step must have achieved.
check()
{
	if sh -c "$2"; then
		printf '  ok: %s\n' "$1"
		passed=$((passed + 1))
	else
		printf '  FAILED: %s (%s)\n' "$1" "$2"
		failed=$((failed + 1))
	fi
}

# Objects of a slab cache, without those that only wait for a grace period
objects()
{
	sleep 0.3
	echo 1 > "/sys/kernel/slab/$1/shrink"
	awk -v cache="$1" '$1 == cache { print $2 }' /proc/slabinfo
}

show_slab()
{
	objects eventfs_inode > /dev/null 2>&1
	objects tracefs_inode_cache > /dev/null
	run "grep -E '^(# name|eventfs_inode|tracefs_inode_cache) ' /proc/slabinfo | cut -c1-66"
}

say "Linux $(uname -r). Mount tracefs and list it."
cd / || exit 1
while mountpoint -q $TRACING; do umount $TRACING || exit 1; done
run "mount -t tracefs nodev $TRACING"
cd $TRACING || exit 1
run 'ls events | head -n 8'
run 'ls events/sched/sched_switch'
run 'head -n 4 events/sched/sched_switch/format'
check 'events are there' '[ "$(ls events | wc -l)" -gt 20 ]'
check 'd_ino is st_ino' \
	'[ "$(ls -if events/sched | sed -n "s/^ *\([0-9]*\) sched_switch$/\1/p")" = "$(stat -c %i events/sched/sched_switch)" ]'

say 'Look up a name that does not exist, a thousand times. The miss is cached.'
echo eventfs_lookup > set_ftrace_filter
echo 1 > function_profile_enabled
run 'for i in $(seq 1000); do [ -e events/kprobes ] && echo found; done'
echo 0 > function_profile_enabled
run "awk '/eventfs_lookup/ { print \$1, \$2, \"times\" }' trace_stat/function*"
awk '/eventfs_lookup/ { n += $2 } END { exit n > 2 }' trace_stat/function*
check 'eventfs was asked once' "[ $? = 0 ]"
echo > set_ftrace_filter

say 'Create an event with that name. The cached miss does not hide it.'
run 'echo "p:demo vfs_statx" > kprobe_events'
check 'it is found at once' '[ -d events/kprobes/demo ]'
run 'ls events/kprobes/demo'
run 'cat events/kprobes/demo/id events/kprobes/demo/enable'

say 'Remove it and create it again. Both take effect at once.'
run 'echo "-:demo" >> kprobe_events; ls -d events/kprobes/demo'
check 'it is gone' '[ ! -e events/kprobes/demo ] && [ ! -e events/kprobes ]'
run 'echo "p:demo vfs_statx" > kprobe_events; ls -d events/kprobes/demo'
check 'it is back' '[ -d events/kprobes/demo ]'

say 'Remove an event while a file of it is open.'
exec 3< events/kprobes/demo/format
run 'echo > kprobe_events; ls -l /proc/self/fd/3 | sed "s/.*-> //"'
check 'the path of the file is marked as deleted' 'readlink /proc/self/fd/3 | grep -q "(deleted)$"'
run 'cat <&3'
check 'reading it fails' '! cat <&3 > /dev/null 2>&1'
exec 3<&-

say 'Trace a lookup with the function graph tracer. It takes no lock of eventfs.'
ls events/sched > /dev/null	# its events get their directories now, under a lock
echo 2 > /proc/sys/vm/drop_caches
# Not all functions: QEMU before 8.2 may run code that was just patched as it
# was before, which is fatal where the other processor runs it.
echo 'eventfs_* mutex_lock* iget_locked new_inode d_splice_alias' > set_ftrace_filter
echo eventfs_lookup > set_graph_function
echo 3 > max_graph_depth
echo function_graph > current_tracer
cat events/sched/sched_switch/id > /dev/null
echo 0 > tracing_on
cp trace "$tmp/graph"
echo nop > current_tracer
echo 0 > max_graph_depth
echo > set_graph_function
echo > set_ftrace_filter
echo 1 > tracing_on
run "grep -v '^#' $tmp/graph | grep -n '' | sed -n 's/^[0-9]*:.*|  //p' | head -n 45"
check 'lookups were traced' "grep -q 'eventfs_lookup' $tmp/graph"
check 'none of them took a mutex' "! grep -q 'mutex_lock' $tmp/graph"

say 'Remember directory positions, then remove other entries. The positions stay valid.'
run 'for i in $(seq 20); do echo "p:pos$i vfs_statx"; done > kprobe_events'
cat > "$tmp/seek.pl" <<'EOF'
use strict;
opendir(my $dir, "events/kprobes") or die;
my %pos;
while (1) {
	my $pos = telldir($dir);
	my $name = readdir($dir);
	last unless defined $name;
	$pos{$name} = $pos;
}
for my $i (1 .. 10) {
	open(my $f, ">>", "kprobe_events") or die;
	print $f "-:pos$i\n";
	close($f) or die;
}
my $good = 0;
for my $i (11 .. 20) {
	seekdir($dir, $pos{"pos$i"});
	$good++ if readdir($dir) eq "pos$i";
}
print "after removing 10 of 20 events: $good of 10 positions still lead to their entry\n";
exit($good != 10);
EOF
run "perl $tmp/seek.pl"
check 'every position is valid' "[ $? = 0 ]"
echo > kprobe_events

say 'Create an instance, which has its own events, and remove it.'
run 'mkdir instances/demo; ls instances/demo/events | head -n 3'
check 'its events work' 'cat instances/demo/events/sched/sched_switch/format > /dev/null'
run 'rmdir instances/demo; ls instances'
check 'it is gone' '[ ! -e instances/demo ]'

say 'Look up 200 events and remove them. The caches keep nothing of them.'
objects tracefs_inode_cache > "$tmp/before"
show_slab
run 'for i in $(seq 200); do echo "p:slab$i vfs_statx"; done > kprobe_events'
run 'cat events/kprobes/*/format | wc -l'
objects tracefs_inode_cache > "$tmp/during"
show_slab
run 'echo > kprobe_events'
show_slab
objects tracefs_inode_cache > "$tmp/after"
check 'the lookups created inodes' "[ \$(cat $tmp/during) -ge \$((\$(cat $tmp/before) + 400)) ]"
check 'none of these inodes is left' "[ \$(cat $tmp/after) -le \$((\$(cat $tmp/before) + 2)) ]"

if [ $failed = 0 ]; then
	say "All $passed steps passed."
else
	say "$failed of $((passed + failed)) steps failed."
fi
exit $((failed != 0))
