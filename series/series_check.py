#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build, boot and test the state after each patch, as a bisection would.

The tests are those that exist at that point: ftrace's own, later KUnit and the
selftests. --compile only compiles fs/tracefs, with W=1. The first failure ends the run.
"""

import re
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import check
import kernel as kernel_build
import series as patch_series
import source as kernel_source
import test
from common import Parser, main, minutes, say, some_of

RACES = f"{test.RACES}/Makefile"
SHELL = f"{test.FTRACE}/test.d/eventfs/"


class State(kernel_build.Kernel):
    """The kernel as it is after a patch."""

    def __init__(self, args, config, state):
        super().__init__("eventfs", config, args.base, args.ksrc)
        self.overlay = dict(state)


class States(test.Suites):
    """The suites, on the kernel of one state after the other."""

    def __init__(self, args, short):
        super().__init__(args, args.base)
        self.short = short
        self.before = None

    def run(self, report, kernel):
        started = time.monotonic()
        image = (kernel.image() / "bzImage").read_bytes()
        report.result("build", "pass", minutes(time.monotonic() - started))
        suites = self.suites_of(kernel)
        # What is not built yet, and documents, leave the image as it was.
        now = image, [suite for suite, _ in suites]
        if now == self.before:
            report.result("tests", "pass", "the same image and tests as before the patch")
            return
        self.before = now
        for _, suite in suites:
            suite(report, kernel)

    def suites_of(self, kernel):
        """What there is to run in this state, by name."""
        suites = [("ftrace", self.upstream)]
        if test.KUNIT in kernel.overlay:
            suites.append(("kunit", lambda report, kernel: self.run_kunit(
                report, kernel, self.machine)))
        if RACES in kernel.overlay:
            suites.append(("races", self.races))
        if any(name.startswith(SHELL) for name in kernel.overlay):
            suites.append(("shell", self.shell))
        return suites

    def upstream(self, report, kernel):
        tests = test.SOME_TESTS if self.short else test.upstream_tests(kernel)
        self.compare_with_stock(report, kernel, tests)

    def races(self, report, kernel):
        guest = self.guest("races", kernel, self.machine)
        test.run_races(report, guest, kernel, self.args)
        test.check_log(report, guest, kernel)

    def shell(self, report, kernel):
        guest = self.guest("selftests", kernel, self.machine)
        self.run_and_compare(report, guest, kernel, test.our_tests(self.args))


class Compiled:
    """fs/tracefs of each state, in the tree of make check."""

    def run(self, report, kernel):
        # Its caller holds the tree.
        kernel.prepare()
        tree = check.Tree(kernel)
        build = tree.build("gcc")
        shutil.rmtree(build.out / "fs/tracefs", ignore_errors=True)
        text, status = tree.make(build, "W=1", "fs/tracefs/")
        wrong = [line for line in text.splitlines()
                 if kernel_build.COMPLAINT.search(line)]
        compiled = re.findall(r"^  CC +fs/tracefs/(\S+\.o)$", text, re.MULTILINE)
        wrong += [f"{name} was not compiled"
                  for name in sorted(objects_of(kernel) - set(compiled))]
        if status and not wrong:
            wrong = [f"make ended with status {status}"]
        for line in wrong[:10]:
            say(f"# {line}")
        report.result("compile", "fail" if wrong else "pass",
                      f"{len(wrong)} complaints" if wrong else f"{len(compiled)} files")


def objects_of(kernel):
    """What the state's Makefile makes tracefs of."""
    path = kernel.source.path / kernel_build.MAKEFILE
    content, _ = kernel.overlay.get(kernel_build.MAKEFILE) or \
        kernel_build.content_and_mode(path)
    return set(re.findall(r"^tracefs-objs\s*[:+]?=\s*(\S+)", content.decode(), re.MULTILINE))


def check_states(series, args, suites, config):
    """Return: 0, or 1 if one of them failed."""
    def suite(state):
        return lambda report: suites.run(report, State(args, config, state))
    return test.run_suites({step.name: suite(state) for step, state
                            in zip(series.steps, series.states[1:])},
                           args, what="patch", stop=True)


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    parser.add_argument("--compile", action="store_true",
                        help="only compile fs/tracefs, with W=1")
    parser.add_argument("--short", action="store_true",
                        help="run a dozen of ftrace's tests for each patch "
                        "instead of all in the folders of make test")
    args = parser.parse_args()
    some_of([path.stem for path in sorted(patch_series.STEPS.glob("[0-9]*.txt"))],
            args.only, "patch")
    kernel_source.needs_stock(args.ksrc, "make series-check")
    series = patch_series.Series(kernel_source.find(args.base, args.ksrc))
    if args.compile:
        with State(args, "check", series.last).locked_tree():
            return check_states(series, args, Compiled(), "check")
    return check_states(series, args, States(args, args.short), "series")


if __name__ == "__main__":
    sys.exit(main(command_line))
