#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build, boot and test the state after each patch, as a bisection would.

Tests: those of KUnit and the selftests that exist at that point, and eleven of ftrace's.
The first failure ends the run. --compile only compiles what a patch changes, with W=1,
and runs sparse and checkpatch on it.
"""

import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import check
import kernel as kernel_build
import series as patch_series
import source as kernel_source
import test
from common import Failure, Parser, last_line, main, minutes, need, say

FOLDERS = "fs/tracefs/", "kernel/trace/"
SHELL = f"{test.FTRACE}/test.d/"
# Sparse 0.6.4 lacks an operator that mainline's headers use. So it does not take strlen()
# for a constant, as QSTR() needs it, complains of rcu_dereference_raw() in rbtree.h, and
# sees a const lost in get_unaligned(); gcc warns of those that are.
SPARSE_ERRORS = re.compile(r"error: bad constant expression|/include/linux/rbtree\.h:"
                           r"|\(different modifiers\)$")
SPARSE = "CHECK=sparse -D__typeof_unqual__=__typeof__"
IGNORED = [
    "CAMELCASE",            # Opt_gid is the stock kernel's
    "FILE_PATH_CHANGES",    # the first patch names the folders in MAINTAINERS
    "MISSING_SIGN_OFF", "NO_AUTHOR_SIGN_OFF",   # whoever sends a patch signs it
    "UNKNOWN_COMMIT_ID",    # the tree has no history
]


class State(kernel_build.Kernel):
    """The kernel as it is after a patch"""

    def __init__(self, args, config, state):
        super().__init__("stock", config, args.base, args.ksrc)
        self.name = f"{config}-{self.source.version}"
        self.overlay = state


class Tested(test.Suites):
    """The suites, on the kernel of one state after the other"""

    config, stop = "series", True

    def __init__(self, args):
        super().__init__(args, args.base)
        self.before = None

    def start(self, kernel, touched):
        """Nothing is needed of the state before."""

    def run(self, report, kernel, patch, touched):
        started = time.monotonic()
        image = (kernel.image() / "bzImage").read_bytes()
        report.result("build", "pass", minutes(time.monotonic() - started))
        tests = {name: file for name, file in kernel.overlay.items()
                 if name.startswith("tools/testing/")}
        if self.before == (image, tests):
            report.result("tests", "pass", "the same image and tests as before the patch")
            return
        self.before = image, tests
        there = [name for name, file in kernel.overlay.items() if file]
        shell = [name.removeprefix(SHELL) for name in there
                 if name.startswith(SHELL) and name.endswith(".tc")]
        self.compare_with_stock(report, kernel, [*test.SOME_TESTS, *shell])
        if any("/tests/" in name for name in there):
            self.run_kunit(report, kernel, self.machine)
        programs = [Path(name).stem for name in there
                    if re.fullmatch(rf"{test.RACES}/\w+_test\.c", name)]
        if programs:
            guest = self.guest("races", kernel, self.machine)
            test.run_races(report, guest, kernel, self.args, programs)
            test.check_log(report, guest, kernel)


class Compiled:
    """What a patch changes is compiled, in the tree of make check."""

    config, stop = "check", False

    def __init__(self):
        self.known = set()

    def start(self, kernel, touched):
        """Compiles the state before, whose warnings are not those of a patch."""
        kernel.prepare()
        tree = check.Tree(kernel)
        for folder in FOLDERS:
            shutil.rmtree(tree.build("gcc").out / folder, ignore_errors=True)
        self.compile(tree, touched)

    def run(self, report, kernel, patch, touched):
        # Its caller holds the tree.
        kernel.prepare()
        tree = check.Tree(kernel)
        found, compiled = self.compile(tree, touched)
        self.report(report, "gcc, sparse", found, f"{len(compiled)} objects")
        self.report(report, "checkpatch", *self.checkpatch(tree, patch))

    def compile(self, tree, touched):
        """What gcc and sparse say that they had not said before; the objects"""
        code = [name[:-2] for name in sorted(touched) if name.startswith(FOLDERS)
                and name.endswith(".c") and (tree.src / name).exists()]
        build = tree.build("gcc")
        text, status = tree.make(build, "W=1", "C=2", SPARSE, FOLDERS[0],
                                 *(f"{name}.o" for name in code if not name.startswith(FOLDERS[0])))
        if not status and any(name.endswith(".h") for name in touched):
            # What includes it
            more, status = tree.make(build, "W=1", *FOLDERS)
            text += more
        compiled = re.findall(r"^  CC +(\S+)\.o$", text, re.MULTILINE)
        found = {re.sub(r":\d+(:\d+)?:", ":", line): line for line in text.splitlines()
                 if kernel_build.COMPLAINT.search(line) and not SPARSE_ERRORS.search(line)}
        new = [line for short, line in found.items() if short not in self.known]
        self.known |= set(found)
        if not new and status:
            new = [last_line(text)]
        return new or [f"{name}.c was not compiled" for name in set(code) - set(compiled)], compiled

    @staticmethod
    def checkpatch(tree, patch):
        touched = patch_series.files_of(patch.read_text(encoding="utf-8"))
        ignored = IGNORED + [kind for path, kinds in check.CHECKPATCH_IGNORE.items()
                             if any(name.startswith(path) for name in touched) for kind in kinds]
        text, _ = check.output("perl", "scripts/checkpatch.pl", "--strict", "--emacs",
                               "--show-types", "--ignore", ",".join(ignored), patch,
                               cwd=tree.src)
        total = re.search(r"^total: .* (\d+ lines) checked", text, re.MULTILINE)
        if not total:
            raise Failure(f"checkpatch did not check {patch.name}: {last_line(text)}")
        return re.findall(r"^.+: (?:ERROR|WARNING|CHECK):.*", text, re.MULTILINE), total[1]

    @staticmethod
    def report(report, name, found, note):
        for line in found[:10]:
            say(f"# {line}")
        report.result(name, "fail" if found else "pass",
                      f"{len(found)} complaints" if found else note)


def chosen(names, only):
    """The patches that ONLY names: a series, or the beginning of a patch's name"""
    words = only.split(",") if only else [""]
    patch, one = re.match("(.*)/[0-9]+", names[0]).group(0, 1)
    for word in words:
        if not any(name.startswith(word) for name in names):
            raise Failure(f"ONLY={only}: there is no patch {word}; it must be a series or a "
                          f"patch, such as {one} or {patch}", 2)
    return [name for name in names if name.startswith(tuple(words))]


def check_states(args, checker, names, patches, states):
    """Return: 0, or 1 if one of them failed. states: the one before each patch, and the last"""
    touched = [patch_series.files_of(patch.read_text(encoding="utf-8")) for patch in patches]
    first = names.index(args.only.split(",")[0])
    checker.start(State(args, checker.config, states[first]), set().union(*touched))

    def suite(number):
        return lambda report: checker.run(report, State(
            args, checker.config, states[number + 1]), patches[number], touched[number])
    return test.run_suites({name: suite(number) for number, name in enumerate(names)}, args,
                           what="patch", stop=checker.stop)


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    parser.set_defaults(base="mainline")
    parser.add_argument("--compile", action="store_true", help="only compile what each patch "
                        "changes, and run sparse and checkpatch")
    args = parser.parse_args()
    series = patch_series.all_series(patch_series.base_of(args))
    patches = [patch for one in series for patch in one.patches]
    names = [str(patch.relative_to(patch_series.SERIES).with_suffix("")) for patch in patches]
    args.only = ",".join(chosen(names, args.only))
    need({"sparse": "sparse"} if args.compile else {})
    source = kernel_source.find(args.base, args.ksrc)
    with tempfile.TemporaryDirectory(prefix="eventfs-series-") as scratch:
        stack = patch_series.Stack(source, series, Path(scratch) / "tree")
        states = [{}, *stack.states()]
    if not args.compile:
        return check_states(args, Tested(args), names, patches, states)
    with State(args, "check", {}).locked_tree():
        return check_states(args, Compiled(), names, patches, states)


if __name__ == "__main__":
    sys.exit(main(command_line))
