# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shell that "make run" ends with: what a person at a terminal expects.

PS1='\[\e[1;32m\]eventfs\[\e[0m\] \[\e[1;34m\]\w\[\e[0m\] \$ '
HISTCONTROL=ignoredups
shopt -s checkwinsize
alias ls='ls --color=auto' grep='grep --color=auto' ll='ls -l'
# Completion of the programs of the host, where it has it
for file in /usr/share/bash-completion/bash_completion /etc/bash_completion; do
	# shellcheck source=/dev/null
	[ -r $file ] && . $file && break
done
# What to try, the last of it first by the arrow up; the host's history is not loaded.
unset HISTFILE
try=(
	"grep -E 'eventfs_inode|tracefs_inode' /proc/slabinfo"
	'echo 1 > events/eventfs/enable; ls events/kprobes/none; cat trace'
	"echo 'p:mine vfs_statx' >> kprobe_events; ls events/kprobes/mine"
	'cd /sys/kernel/tracing'
)
lines=
history -c
for command in "${try[@]}"; do
	history -s "$command"
	lines="  $command"$'\n'"$lines"
done
unset file command try

tools=
for tool in trace-cmd perf bpftrace; do
	command -v $tool >/dev/null && tools+=" $tool"
done
cat <<END

Linux $(uname -r); exit ends the guest. You are root, the host's files are read-only,
those of /tmp, /var/tmp and /run are copies. To try (arrow up has these in order):
$lines${tools:+of the host:$tools
}
END
unset tool tools lines
