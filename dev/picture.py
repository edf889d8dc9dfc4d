#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Record a session in the guest's shell as the picture in README. The guest and its output
are real, but a program does the typing."""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

import guest as guests
import kernel as kernel_build
from common import BUILD, REPO, Failure, Parser, main, need, run, write_file

PICTURE = REPO / "dev/terminal.svg"
LICENCE = b"<!-- SPDX-License-Identifier: GPL-2.0-only -->\n"
COLUMNS, LINES = 88, 19
SESSION = (
    "cd /sys/kernel/tracing",
    "echo 'p:mine vfs_statx' >> kprobe_events",
    "ls events/kprobes/mine",
    "echo eventfs_lookup > set_ftrace_filter",
    "echo 1 > function_profile_enabled",
    "cat events/kprobes/none",
    "for i in {1..1000}; do [ -e events/kprobes/none ]; done",
    "awk '/eventfs/ { print $1, $2, \"call\" }' trace_stat/*",
    "exec 3< events/kprobes/mine/format",
    "echo '-:mine' >> kprobe_events",
    "cat <&3",
    "ls events/kprobes",
)
# The end of the shell's prompt, see dev/guest/bashrc
PROMPT = b"\x1b[0m # "
# Seconds for the guest to come up, and to answer
PATIENCE = 900


class Terminal:
    """A terminal with the guest on it."""

    def __init__(self, words):
        self.child, self.fd = pty.fork()
        if not self.child:
            os.environ["TERM"] = "xterm-256color"
            os.execv(words[0], words)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.started = time.monotonic()
        self.events = []

    def until_prompt(self):
        """What comes up to the next prompt, kept as it came"""
        text = b""
        while not text.endswith(PROMPT):
            if not select.select([self.fd], [], [], PATIENCE)[0]:
                raise Failure(f"the guest printed nothing for {PATIENCE} s after {text[-200:]}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                raise Failure(f"the guest ended: {text[-200:].decode(errors='replace')}")
            text += data
            self.events.append((time.monotonic() - self.started, "o",
                                data.decode(errors="replace")))

    def type(self, command):
        os.write(self.fd, f"{command}\r".encode())
        self.until_prompt()

    def end(self):
        """Ctrl-], which ends the guest at once"""
        os.write(self.fd, b"\x1d")
        os.waitpid(self.child, 0)


def record(words):
    terminal = Terminal(words)
    terminal.until_prompt()
    terminal.events.clear()
    # A place that every machine has
    terminal.type("cd /; clear")
    for command in SESSION:
        terminal.type(command)
    terminal.end()
    head = {"version": 2, "width": COLUMNS, "height": LINES}
    return "".join(f"{json.dumps(line)}\n" for line in (head, *terminal.events))


def command_line():
    guests.check_paths()
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    parser.add_argument("--output", type=Path, default=PICTURE, metavar="FILE",
                        help="file to write (default dev/terminal.svg)")
    args = parser.parse_args()
    source = f"--ksrc={args.ksrc}" if args.ksrc else f"--base={args.base}"
    need({"termtosvg": "termtosvg"})
    # Built before, or its progress would be recorded.
    kernel_build.Kernel("eventfs", "release", args.base, args.ksrc).image()
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        cast, frames = Path(scratch, "session.cast"), Path(scratch, "frames")
        write_file(cast, record([str(REPO / "dev/guest.py"), source]).encode())
        frames.mkdir()
        run(["termtosvg", "render", cast, frames, "--still-frames", "-t", "gjm8"],
            "making the picture")
        write_file(args.output, LICENCE + max(frames.glob("*.svg")).read_bytes())
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
