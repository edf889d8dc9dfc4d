#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The main job of eventfs, shown on the booted kernel as a narrated transcript.
# Runs in the guest, as root; exits non-zero if a step did not do what it should.
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

# Check a condition that a step must have led to.
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

# Objects of a slab cache, after giving back what only waits for a grace period
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

say "Linux $(uname -r): mount tracefs and look around."
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

say 'A name that is looked up before it exists: the miss is cached ...'
echo eventfs_lookup > set_ftrace_filter
echo 1 > function_profile_enabled
run 'for i in $(seq 1000); do [ -e events/kprobes ] && echo found; done'
echo 0 > function_profile_enabled
run "awk '/eventfs_lookup/ { print \$1, \$2, \"times\" }' trace_stat/function*"
awk '/eventfs_lookup/ { n += $2 } END { exit n > 2 }' trace_stat/function*
check 'a thousand looks cost one lookup' "[ $? = 0 ]"
echo > set_ftrace_filter

say '... and does not hide the event once it is there.'
run 'echo "p:demo vfs_statx" > kprobe_events'
check 'it is found at once' '[ -d events/kprobes/demo ]'
run 'ls events/kprobes/demo'
run 'cat events/kprobes/demo/id events/kprobes/demo/enable'

say 'Deleted: gone at once. Created again: there at once.'
run 'echo "-:demo" >> kprobe_events; ls -d events/kprobes/demo'
check 'it is gone' '[ ! -e events/kprobes/demo ] && [ ! -e events/kprobes ]'
run 'echo "p:demo vfs_statx" > kprobe_events; ls -d events/kprobes/demo'
check 'it is back' '[ -d events/kprobes/demo ]'

say 'A file that is open stays valid while its event goes, and tells so.'
exec 3< events/kprobes/demo/format
run 'echo > kprobe_events; ls -l /proc/self/fd/3 | sed "s/.*-> //"'
check 'its name is marked as deleted' 'readlink /proc/self/fd/3 | grep -q "(deleted)$"'
run 'cat <&3'
check 'reading it fails cleanly' '! cat <&3 > /dev/null 2>&1'
exec 3<&-

say 'A first lookup, as the function graph tracer sees it: no lock of eventfs.'
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

say 'Directory positions belong to entries: they survive the removal of others.'
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
print "after removing 10 of 20 events: $good of 10 positions lead to their entry\n";
exit($good != 10);
EOF
run "perl $tmp/seek.pl"
check 'every position held' "[ $? = 0 ]"
echo > kprobe_events

say 'An instance has its own events, and takes them along when it goes.'
run 'mkdir instances/demo; ls instances/demo/events | head -n 3'
check 'its events work' 'cat instances/demo/events/sched/sched_switch/format > /dev/null'
run 'rmdir instances/demo; ls instances'
check 'it is gone' '[ ! -e instances/demo ]'

say 'Removal is eager: nothing waits for memory to run short.'
objects tracefs_inode_cache > "$tmp/before"
show_slab
run 'for i in $(seq 200); do echo "p:slab$i vfs_statx"; done > kprobe_events'
run 'cat events/kprobes/*/format | wc -l'
objects tracefs_inode_cache > "$tmp/during"
show_slab
run 'echo > kprobe_events'
show_slab
objects tracefs_inode_cache > "$tmp/after"
check 'looking at the events made inodes' "[ \$(cat $tmp/during) -ge \$((\$(cat $tmp/before) + 400)) ]"
check 'none of them is left' "[ \$(cat $tmp/after) -le \$((\$(cat $tmp/before) + 2)) ]"

if [ $failed = 0 ]; then
	say "All $passed steps passed."
else
	say "$failed of $((passed + failed)) steps failed."
fi
exit $((failed != 0))
