#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's init, run by the guest's kernel from the host's root, which is
# mounted read-only. It makes the usual mounts, runs the command it finds in
# the run directory (on the kernel command line: eventfs_run=DIR), hands its
# output and status to the host over virtio ports and ends. What this
# script itself has to say goes to the kernel's console, that is to the log.
set -u
: "${eventfs_run:?}"

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C.UTF-8
# The kernel's modules are not in the root that it is given.
[ ! -d "$eventfs_run/lib" ] || export MODPROBE_OPTIONS="-d $eventfs_run"

mount_all() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mkdir -p /dev/pts /dev/shm
	mount -t devpts devpts /dev/pts
	mount -t tmpfs tmpfs /dev/shm
	mount -t tmpfs -o mode=755 tmpfs /run
	# The host's files stay visible here, and writes go to memory.
	for dir in /tmp /var/tmp; do
		mkdir -p "/run/upper$dir" "/run/work$dir"
		chmod 1777 "/run/upper$dir"
		mount -t overlay -o "lowerdir=$dir,upperdir=/run/upper$dir,workdir=/run/work$dir" \
			overlay "$dir"
	done
	ln -sfn /proc/self/fd /dev/fd
	ln -sfn /proc/self/fd/0 /dev/stdin
	ln -sfn /proc/self/fd/1 /dev/stdout
	ln -sfn /proc/self/fd/2 /dev/stderr
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	echo eventfs >/proc/sys/kernel/hostname
	# Upstream tests ping the local host.
	command -v ip >/dev/null && ip link set lo up
}

# The device of the virtio port with this name. The kernel adds ports from a
# work queue, so the first look may be too early.
port() {
	local dir name
	for _ in {1..200}; do
		for dir in /sys/class/virtio-ports/*; do
			read -r name 2>/dev/null <"$dir/name" || continue
			if [ "$name" = "$1" ] && [ -c "/dev/${dir##*/}" ]; then
				echo "/dev/${dir##*/}"
				return
			fi
		done
		sleep 0.05
	done
	echo "init: no virtio port $1" >&2
	return 1
}

# A port may be open once only, but a command may open /dev/stdout or leave
# children that hold it: so the command gets a pipe, and cat has the port.
run_command() {
	local status cat_out cat_err proc pid
	mkfifo /run/out /run/err
	cat /run/out >"$(port out)" &
	cat_out=$!
	cat /run/err >"$(port err)" &
	cat_err=$!
	setsid bash -c "$(<"$eventfs_run/command")" </dev/null >/run/out 2>/run/err
	status=$?
	# What the command left running would keep the pipes open.
	for proc in /proc/[0-9]*; do
		pid=${proc#/proc/}
		case $pid in
		1 | "$cat_out" | "$cat_err") ;;
		*) kill -9 "$pid" 2>/dev/null ;;
		esac
	done
	wait "$cat_out" "$cat_err"
	return "$status"
}

shell() {
	local rows cols
	read -r TERM <"$eventfs_run/terminal"
	export TERM
	# The kernel makes the size 0x0 just after the first open: this one stays open.
	exec 4<>/dev/hvc0
	sleep 0.2
	# The host sends the size now, and again when it changes.
	read -r rows cols <&3
	stty rows "$rows" cols "$cols" <&4
	while read -r rows cols; do
		stty rows "$rows" cols "$cols" <&4
	done <&3 &
	setsid -c bash --rcfile "${BASH_SOURCE%/*}/bashrc" -i <&4 >&4 2>&1
}

mount_all
exec 3<>"$(port status)"
cd "$(<"$eventfs_run/cwd")" 2>/dev/null || cd /
run_command
status=$?
if [ -e "$eventfs_run/terminal" ]; then
	echo shell >&3
	shell
fi
echo "exit $status" >&3
# There is no ACPI to power off with: a reset ends QEMU, which has -no-reboot.
echo b >/proc/sysrq-trigger
sleep 60
