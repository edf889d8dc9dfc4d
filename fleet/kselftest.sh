#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kselftest.sh DIR [FOLDER...]: run the tests of eventfs from a kselftest tarball that is
# unpacked in DIR, on this machine, as root: the programs of filesystems/eventfs and the
# given folders of ftrace's test.d. The KUnit results of the boot are read as well.
#
# The output is (K)TAP on standard output. If there is a lava-test-case, each result is
# reported to LAVA at once. Otherwise, results are only counted. Status 0 means that
# everything ran and nothing failed.
#
# The board needs a POSIX shell, sed, tr and awk, for example of busybox.

DIR=${1:?usage: kselftest.sh DIR [FOLDER...]}
shift
[ $# -gt 0 ] || set -- eventfs 00basic event instances dynevent kprobe trigger
MARK="eventfs: kselftest.sh begins"

# report NAME RESULT: pass, fail, skip or unknown
report() {
	name=$(printf %s "$1" | tr -c 'A-Za-z0-9_.-' _ | tr -s _)
	case $2 in
	pass) passed=$((passed + 1)) ;;
	skip | unknown) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
	if command -v lava-test-case >/dev/null; then
		lava-test-case "$name" --result "$2"
	elif [ "$2" = fail ]; then
		echo "# failed: $name"
	fi
}

# parse PREFIX: reports each result of the TAP that comes in, at whatever depth, and
# whether as many came as were planned at the outermost.
parse() {
	passed=0 failed=0 skipped=0 planned=0 ran=0 inside=
	while IFS= read -r line; do
		printf '%s\n' "$line"
		bare=$line
		while :; do
			case $bare in
			"# "*) bare=${bare#"# "} ;;
			"    "*) bare=${bare#"    "} ;;
			*) break ;;
			esac
		done
		[ "$bare" = "$line" ] && outer=1 || outer=
		case $bare in
		selftests:\ *) inside=${bare##*: }. ;;
		1..[0-9]*) [ "$outer" ] && planned=$((planned + ${bare#1..})) ;;
		ok\ [0-9]* | not\ ok\ [0-9]*)
			result=pass
			case $bare in
			*"# SKIP"*) result=skip ;;
			*"# XFAIL"*) ;;
			*"# UNRESOLVED"*) result=unknown ;;
			not\ *) result=fail ;;
			esac
			name=${bare#not }
			name=${name#ok }
			name=${name#* }
			name=${name#- }
			name=${name%% \#*}
			[ "$outer" ] && ran=$((ran + 1)) inside=
			report "$1.$inside${name#selftests: }" "$result"
			;;
		esac
	done
	if [ "$ran" = 0 ] || [ "$ran" -lt "$planned" ]; then
		report "$1.all-ran" fail
	fi
	echo "# $1: $passed passed, $failed failed, $skipped skipped or unknown"
	[ "$failed" = 0 ]
}

cd "$DIR" || exit 2
[ -d /sys/kernel/tracing/events ] || mount -t tracefs nodev /sys/kernel/tracing || exit 2
{ echo "$MARK" >/dev/kmsg; } 2>/dev/null
status=0

kunit=$(dmesg | sed 's/^\[[ 0-9.]*\] //' |
	sed -n '/^    # Subtest: eventfs/,/^\(not \)*ok /p')
if [ "$kunit" ]; then
	printf '%s\n' "$kunit" | parse kunit || status=1
fi
if grep -q '^filesystems/eventfs:' kselftest-list.txt; then
	./run_kselftest.sh -c filesystems/eventfs | parse kselftest || status=1
fi
logs=$(mktemp -d)
folders=
for folder in "$@"; do
	[ -d "ftrace/test.d/$folder" ] && folders="$folders test.d/$folder"
done
# The wrapper that run_kselftest.sh would start runs all the folders.
# shellcheck disable=SC2086
(cd ftrace && ./ftracetest -K -l "$logs" $folders) | parse ftrace || status=1
dmesg | awk -v mark="$MARK" '
	index($0, mark) { text = "" }
	/BUG:|WARNING:|Oops|Call Trace:|KASAN:|hung task|refcount_t:/ { text = text "# " $0 "\n" }
	END { printf "%s%s 1 no complaint of the kernel\n", text, text == "" ? "ok" : "not ok" }
	' | parse log || status=1
exit $status
