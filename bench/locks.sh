#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run by locks.py in a guest: many tasks use eventfs at once. After each kind of use, print
# what /proc/lock_stat counted.

set -e
tasks=$1
cd /sys/kernel/tracing

at_once() { # what command...
	local what=$1 pid pids=()

	shift
	echo 0 > /proc/lock_stat
	echo 1 > /proc/sys/kernel/lock_stat
	for ((i = 0; i < tasks; i++)); do
		"$@" > /dev/null &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	echo 0 > /proc/sys/kernel/lock_stat
	echo "== $what"
	cat /proc/lock_stat
}

walk_own() {
	find instances/i$i/events
}

walk() {
	find events
}

list() {
	for _ in {1..50}; do
		ls -f events/syscalls
	done
}

for ((i = 0; i < tasks; i++)); do
	mkdir instances/i$i
done
at_once "first walk, each of an instance of its own" walk_own
echo 2 > /proc/sys/vm/drop_caches
at_once "walks of events/, nothing cached" walk
at_once "walks of events/, all cached" walk
at_once "50 listings of syscalls/" list
rmdir instances/i*
