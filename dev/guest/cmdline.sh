#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel's command line creates in tracefs. Runs in the guest, as root, booted
# with what test.py has in BOOT_EVENTS; exits non-zero if something is not as it should be.
# shellcheck disable=SC2317 # conditions are for check to run
set -u

TRACING=/sys/kernel/tracing
failed=0
# shellcheck disable=SC1091 # it is checked by itself
. "${0%/*}/checks.sh"

contains() # file text
{
	grep -q -- "$2" "$1" || {
		cat "$1"
		return 1
	}
}

# Without those of ftrace itself, which only the top level has
systems()
{
	(cd "$1" && printf '%s\n' */ | grep -vx ftrace/)
}

cd $TRACING || exit 1
check 'trace_event= enables an event' contains events/sched/sched_switch/enable '^1'
check 'and its system' contains events/sched/enable '^X'
check 'trace_trigger= sets a trigger' contains events/sched/sched_process_exit/trigger stacktrace
check 'kprobe_event= creates an event' contains events/kprobes/boot/enable '^1'
check 'which has all its files' is_same "$(ls events/sched/sched_switch)" \
	"$(ls events/kprobes/boot)"

boot=instances/boot
check 'trace_instance= creates an instance' contains $boot/events/sched/sched_waking/enable '^1'
check 'with all systems' is_same "$(systems events)" "$(systems $boot/events)"
check 'and all events of one' is_same "$(ls events/sched)" "$(ls $boot/events/sched)"
# The trigger is set in each instance.
check 'no other event is enabled there' is_same 'sched:sched_process_exit sched:sched_waking' \
	"$(sort $boot/set_event | xargs)"
chgrp 33 instances
check 'it has the group of instances' is_same 33 "$(stat -c %g $boot/trace)"
check 'and so have its events' is_same 33 "$(stat -c %g $boot/events/sched/sched_waking/enable)"
check 'it can be removed' rmdir $boot
check 'and is gone' is_gone $boot

backup=instances/backup
if [ -d $backup ]; then
	check 'a read-only instance has events' [ -e $backup/events/sched/sched_switch/format ]
	count=$(find $backup/events -name format | wc -l)
	before=$(objects trace_event_file)
	check 'which cannot be enabled' is_gone $backup/events/sched/sched_switch/enable
	check 'it can be removed, too' rmdir $backup
	check 'and its events are freed' settles trace_event_file $((before - count))
else
	echo 'skipped: the events of a read-only instance (this kernel has none)'
fi

echo 0 >events/kprobes/boot/enable
echo '-:boot' >>kprobe_events
check 'the kprobe can be removed' is_gone events/kprobes

exit $((failed != 0))
