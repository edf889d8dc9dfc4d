#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Fuzz eventfs in a guest, with harden/fuzz.c, which knows the valid results.

First runs the inputs in harden/inputs, and those that reached new code in earlier runs,
build/fuzz/corpus. Then generates inputs until the time is over. An input that gives a
wrong result or crashes the kernel is kept in build/fuzz/failed.
The last line is "N passed, N failed".
"""

import hashlib
import random
import re
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
from common import (BUILD, REPO, BUILD_PROGRAMS, Failure, Parser, main, matching, need, run,
                    say, write_file)

FUZZ = REPO / "harden/fuzz.c"
INPUTS = REPO / "harden/inputs"
HEADERS = REPO / "tools/testing/selftests/filesystems/eventfs"
HERE = BUILD / "fuzz"
CORPUS = HERE / "corpus"
FAILED = HERE / "failed"
# What the guest needs beside the time it fuzzes: to boot, to run what is known,
# and to make an input shorter. A busy machine takes its time for all of it.
MARGIN = 900


def build():
    """The program, static, as the guest may lack what it is linked with here."""
    need(BUILD_PROGRAMS)
    HERE.mkdir(parents=True, exist_ok=True)
    program = HERE / "fuzz"
    run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-static", "-pthread",
         f"-I{HEADERS}", "-o", program, FUZZ], f"building {FUZZ.name}")
    return program


class Output:
    """What the program says, passed on but for the inputs that it keeps."""

    def __init__(self):
        self.text = b""
        self.lines = []

    def feed(self, _, data):
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            line = line.decode(errors="replace")
            self.lines.append(line)
            if not line.startswith("fuzz: keep "):
                print(line, flush=True)

    def find(self, pattern):
        return [match[1] for match in (re.match(pattern, line) for line in self.lines)
                if match]


def keep(directory, text, why):
    """Writes an input under a name made of it, unless it is there."""
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    write_file(directory / name, f"# {why}\n{text}\n".encode())
    return directory / name


def last_announced(log):
    """The input that ran when the guest died: the program says so before it runs it."""
    text = log.read_text(encoding="utf-8", errors="replace") if log else ""
    found = re.findall(r"fuzz: run ([0-9a-f]*)$", text, re.MULTILINE)
    return found[-1] if found else None


def tell_failed(text, why, config):
    path = keep(FAILED, text, why)
    say(f"kept in {path}; to run it again: harden/fuzz.py --config={config} --input={path}")


class Fuzzing:
    """One guest that fuzzes."""

    def __init__(self, args, kernel):
        self.args = args
        self.output = Output()
        # With two processors, threads race. Probes patch code, and before 8.2 QEMU
        # may run code that another processor has just patched as it was before; but
        # none is enabled here.
        machine = guests.Machine(args.smp, args.mem, args.icount, args.accel,
                                 args.timeout or str(args.seconds + MARGIN))
        self.guest = guests.Guest(kernel.image(), f"fuzz-{kernel.name}", machine,
                                  kernel.debug, kernel.memory, kmemleak=False)

    def command(self, program):
        words = [str(program)]
        if self.args.input is not None:
            words += ["-v", "-x", self.args.input]
        else:
            CORPUS.mkdir(parents=True, exist_ok=True)
            words += ["-s", str(self.args.seed), "-t", str(self.args.seconds),
                      "-d", str(INPUTS), "-d", str(CORPUS)]
        return shlex.join(words)

    def run(self, program):
        """Returns what went wrong, or None."""
        try:
            status = self.guest.run(self.command(program), on_output=self.output.feed)
        except Failure as failure:
            text = last_announced(self.guest.log)
            if text is None:
                raise
            self.failed(text, str(failure))
            return str(failure)
        for text in self.output.find(r"fuzz: keep ([0-9a-f]+)$"):
            keep(CORPUS, text, "reached code that none before it did")
        for text in self.output.find(r"fuzz: input ([0-9a-f]+)$"):
            self.failed(text, self.reason())
        return self.reason() if status else None

    def reason(self):
        found = self.output.find(r"fuzz: DIFFERENCE: (.*)$")
        return found[0] if found else "see above"

    def failed(self, text, why):
        if self.args.input is None:
            tell_failed(text, why, self.args.config)


def digits(text):
    """The type of --input"""
    path = Path(text)
    try:
        found = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else text
    except OSError:
        found = text
    if not re.fullmatch(r"(\s*[0-9a-fA-F]\s*[0-9a-fA-F])+\s*", re.sub("#.*", "", found)):
        raise Failure(f"INPUT={text} is neither pairs of hexadecimal digits nor a file of "
                      "them, as in harden/inputs", 2)
    return text


def check(args):
    """Runs the guest; returns how many of its tests passed and failed."""
    kernel = kernel_build.from_arguments(args)
    fuzzing = Fuzzing(args, kernel)
    program = build()
    if args.input is None:
        print(f"seed {args.seed}, {args.seconds} seconds", flush=True)
    started = time.monotonic()
    wrong = fuzzing.run(program)
    say(f"guest: {time.monotonic() - started:.0f} s, log {fuzzing.guest.log}")
    complaints = fuzzing.guest.warnings()
    for line in complaints[:10]:
        say(f"# {line.strip()}")
    if wrong:
        say(f"failed: {wrong}")
    elif complaints and args.input is None:
        tell_failed(last_announced(fuzzing.guest.log) or "", "the kernel complains",
                    args.config)
    passed = sum(int(number) for number in fuzzing.output.find(
        r"fuzz: (\d+) inputs of .* passed$"))
    # The time of making up inputs, and the kernel's log, are a test each.
    failed = bool(wrong) + bool(complaints)
    return passed + 2 - failed, failed


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser)
    guests.add_arguments(parser)
    # The others have no KASAN, no lockdep, and no KCOV that guides it.
    parser.set_defaults(config="debug", timeout=None)
    parser.add_argument("--seconds", metavar="N", default="120",
                        type=matching("SECONDS", "[0-9]{1,9}", "a number"),
                        help="how long to fuzz (default %(default)s)")
    parser.add_argument("--seed", metavar="N", help="seed of the inputs (default: a random one)",
                        type=matching("SEED", "[0-9]{1,18}", "a number"))
    parser.add_argument("--input", metavar="HEX", type=digits,
                        help="run only this input: hexadecimal digits, or a file of them")
    args = parser.parse_args()
    args.seconds = int(args.seconds)
    args.seed = int(args.seed) if args.seed else random.randrange(1 << 32)
    passed, failed = check(args)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(command_line))
