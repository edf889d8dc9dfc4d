#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a command in the guest, on a kernel with kmemleak, then fails if memory has
# leaked. Memory that the kernel leaked while it booted counts as well.
set -u

leaks=/sys/kernel/debug/kmemleak

"$@"
status=$?
# kmemleak reports an object that is older than five seconds and was seen
# without a reference, unchanged, in two scans.
for _ in 1 2; do
	sleep 6
	# kmemleak gives up for good when it has no memory itself.
	echo scan >"$leaks" || exit 1
done
found=$(cat "$leaks")
if [ -n "$found" ]; then
	echo "$found" | tee /dev/console >&2
	echo "kmemleak: memory has leaked, see above" >&2
	exit 1
fi
exit "$status"
