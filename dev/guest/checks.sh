# SPDX-License-Identifier: GPL-2.0-only
#
# For scripts that run in the guest: each check prints a line, and counts if it failed.
# shellcheck shell=sh

check() # what condition...
{
	what=$1
	shift
	if "$@"; then
		echo "ok: $what"
	else
		echo "FAILED: $what ($*)"
		failed=$((failed + 1))
	fi
}

is_same() # expected seen
{
	[ "$1" = "$2" ] || {
		echo "expected '$1', saw '$2'"
		return 1
	}
}

# The command has to fail, with this error.
fails_with() # error command...
{
	error=$1
	shift
	if message=$("$@" 2>&1 >/dev/null); then
		echo "it does not fail"
		return 1
	fi
	case $message in
	*"$error"*) ;;
	*)
		echo "it fails with '$message', not '$error'"
		return 1
		;;
	esac
}

is_gone() # path...
{
	for path in "$@"; do
		[ ! -e "$path" ] || return 1
	done
}

objects() # slab cache
{
	echo 1 >"/sys/kernel/slab/$1/shrink"
	awk -v cache="$1" '$1 == cache { print $2 }' /proc/slabinfo
}

# Memory is freed after a grace period, and a shell cannot wait for one.
settles() # slab cache, limit
{
	for _ in $(seq 100); do
		count=$(objects "$1")
		[ "$count" -gt "$2" ] || return 0
		sleep .1
	done
	echo "$1: $count objects, not at most $2"
	return 1
}
