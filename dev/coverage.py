#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Say which lines and branches of fs/tracefs the KUnit suite and the selftests
reach: a summary for each file, and the lines that nothing reached. The sources
with counts are in build/coverage."""

import argparse
import re
import shutil
import subprocess
import sys

import guest as guests
import kernel as kernel_build
import test
from common import BUILD, COVERAGE_PROGRAMS, LOGS, Failure, main, need, run

MAKEFILE = "fs/tracefs/Makefile"
COUNTED = ("event_inode", "inode")
# Unpacked by cpio, as the sizes of these files are not known before the end.
DUMP = "cd /sys/kernel/debug/gcov && find . -path '*/fs/tracefs/*.gcda' | cpio -o -H newc"


class Counting(kernel_build.Kernel):
    """A kernel that counts in fs/tracefs."""

    def __init__(self, args):
        super().__init__("eventfs", "coverage", args.base, args.ksrc)
        content, mode = self.overlay[MAKEFILE]
        self.overlay[MAKEFILE] = content + b"GCOV_PROFILE := y\n", mode


def collect(args, kernel, counts):
    """Runs the tests in one guest and keeps what it counted."""
    suites = test.Suites(args, args.base)
    guest = suites.guest("coverage", kernel, kunit="*")
    output = LOGS / f"{guest.name}.txt"
    with guests.run_directory() as rundir, open(output, "wb") as log, \
            open(counts / "counts.cpio", "wb") as archive:
        races = test.races_script(kernel, rundir, args)
        shell = test.ftracetest_script(kernel, rundir, test.our_tests(args))
        guest.run(f"{{ bash {races}; bash {shell}; }} >&2; {DUMP}",
                  on_output=lambda fd, data: (archive if fd == 1 else log).write(data))
    with open(counts / "counts.cpio", "rb") as archive:
        if subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"],
                          cwd=counts, stdin=archive, check=False).returncode:
            raise Failure(f"the guest handed out no counts, see {output}")


def summarise(kernel, counts):
    """gcov's figures, and the lines that were never reached."""
    out = kernel.tree / "out"
    for name in COUNTED:
        found = list(counts.rglob(f"{name}.gcda"))
        if len(found) != 1:
            raise Failure(f"there are no counts of {name}.c")
        shutil.copy(out / f"fs/tracefs/{name}.gcno", found[0].parent)
        text = run(["gcov", "-b", "-c", "-o", found[0].parent, found[0]], "gcov",
                   cwd=counts)
        for part in text.split("\n\n"):
            if f"fs/tracefs/{name}.c'" in part.partition("\n")[0]:
                figures = re.findall(r"(Lines executed|Branches executed|"
                                     r"Taken at least once):(\S+) of (\d+)", part)
                print(f"{name}.c: " + ", ".join(
                    f"{what.lower()} {share} of {total}" for what, share, total in figures))
        for line in (counts / f"{name}.c.gcov").read_text().splitlines():
            match = re.match(r" *#####: *(\d+):(.*)", line)
            if match:
                print(f"  {name}.c:{match[1]}:{match[2]}")


def command_line():
    parser = argparse.ArgumentParser(description=__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    args = parser.parse_args()
    need(COVERAGE_PROGRAMS)
    kernel = Counting(args)
    kernel.image()
    counts = BUILD / "coverage"
    shutil.rmtree(counts, ignore_errors=True)
    counts.mkdir(parents=True)
    collect(args, kernel, counts)
    summarise(kernel, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
