#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Put small faults into fs/tracefs, one by one, and see which ones no test notices.

Each fault of harden/mutants.txt is built into a kernel of its own. It is noticed if a
test fails, or if the kernel warns, crashes or hangs. KUnit on user-mode Linux, built and
run in seconds, goes first. Faults that pass it go on to guests: KUnit with two
processors, KUnit on the debug kernel with its scan for leaks, the selftests. The kernel
without a fault must pass all of these.
"""

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import ktap
import test
from common import LOGS, REPO, Failure, Parser, main

FAULTS = REPO / "harden/mutants.txt"


class Fault:
    """A fault: the lines of a file that it replaces, and by what; and the reason
    if it cannot be noticed."""

    def __init__(self, text):
        self.title, self.file, *lines = text.strip("\n").split("\n")
        self.file = f"fs/tracefs/{self.file}"
        self.old, self.new = ("".join(f"{line[1:]}\n" for line in lines
                                      if line.startswith(sign)) for sign in "-+")
        self.reason = "".join(line[2:] for line in lines if line.startswith("?"))

    def applied(self, content):
        # The last line may be the beginning of one.
        old, new = self.old.rstrip("\n"), self.new.rstrip("\n")
        if content.count(old) != 1:
            raise Failure(f"the fault \"{self.title}\" does not fit {self.file}: "
                          f"its lines are there {content.count(old)} times; "
                          f"change {FAULTS.name}")
        return content.replace(old, new)


class Faulty(kernel_build.Kernel):
    """A kernel with a fault, if there is one."""

    def __init__(self, args, config, fault):
        super().__init__("eventfs", config, args.base, args.ksrc)
        if fault:
            content, mode = self.overlay[fault.file]
            text = fault.applied(content.decode())
            self.overlay[fault.file] = text.encode(), mode


class UserMode(Faulty):
    """User-mode Linux, built and run by the kernel's own kunit.py."""

    def __init__(self, args, fault):
        super().__init__(args, "um", fault)

    def first_failure(self):
        output = test.run_kunit_py(self, "--timeout=120", "--make_options",
                                   "CC=ccache gcc")
        found = [f"{name} {note}".strip() for name, outcome, note
                 in ktap.kunit_results(output) if outcome == "fail"]
        found += guests.warnings_in(output)
        booted = re.search(r"^1\.\.[1-9]", output, re.MULTILINE)
        return found[0] if found else None if booted else "it does not boot"


class Mutant(Faulty):
    """A kernel for a guest. Its image is not worth keeping."""

    def __init__(self, args, config, fault, scratch):
        super().__init__(args, config, fault)
        self.scratch = Path(scratch, config)
        self.scratch.mkdir()

    def image(self):
        if not (self.scratch / "bzImage").exists():
            with self.locked_tree() as held:
                self.prepare()
                self.build(held)
                self.copy_image(self.scratch)
        return self.scratch


class Notes(test.Report):
    """Remembers what failed instead of printing it."""

    def __init__(self):
        super().__init__()
        self.failures = []

    def result(self, name, outcome, note="", seconds=None):
        self.tests += 1
        self.passed += outcome == "pass"
        if outcome == "fail":
            self.failures.append(f"{name} {note}".strip())


def read_faults():
    text = FAULTS.read_text(encoding="utf-8")
    return [Fault(part) for part in re.split(r"^= ", text, flags=re.MULTILINE)[1:]]


def first_failure(args, fault):
    """What notices the fault, or None."""
    found = UserMode(args, fault).first_failure()
    if found or args.quick:
        return found
    with tempfile.TemporaryDirectory(prefix="eventfs-mutant-") as scratch:
        release, debug = (Mutant(args, config, fault, scratch)
                          for config in ("release", "debug"))
        suites = test.Suites(args, args.base)
        for run, kernel, machine in ((suites.run_kunit, release, suites.machine),
                                     (suites.run_kunit, debug, suites.single),
                                     (suites.run_programs, release, suites.machine),
                                     (suites.run_shell, release, suites.machine)):
            notes = Notes()
            kernel.image()
            try:
                run(notes, kernel, machine)
            except Failure as failure:
                return str(failure).split(";", maxsplit=1)[0]
            if notes.failures:
                return notes.failures[0]
            if not notes.passed:
                raise Failure(f"no test ran, see {LOGS}")
    return None


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser, suites=False)
    parser.add_argument("--quick", action="store_true",
                        help="KUnit on user-mode Linux only")
    parser.add_argument("faults", nargs="*", metavar="WORDS",
                        help="only faults with these words in their title")
    args = parser.parse_args()
    faults = [fault for fault in read_faults()
              if not args.faults or any(words in fault.title for words in args.faults)]
    if not faults:
        raise Failure("no fault has such a title")
    failure = first_failure(args, None)
    if failure:
        raise Failure(f"the kernel without a fault fails: {failure}")
    count = {"noticed": 0, "unnoticed": 0, "UNNOTICED": 0}
    for fault in faults:
        note = first_failure(args, fault)
        what = "noticed" if note else "unnoticed" if fault.reason else "UNNOTICED"
        count[what] += 1
        note = note or fault.reason
        print(f"{what:10} {fault.title}" + (f"  ({note})" if note else ""), flush=True)
    print(f"{len(faults)} faults: {count['noticed']} noticed, {count['unnoticed']} not "
          f"noticed, as expected, {count['UNNOTICED']} not noticed")
    return 1 if count["UNNOTICED"] else 0


if __name__ == "__main__":
    sys.exit(main(command_line))
