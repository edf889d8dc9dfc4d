#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Count which lines and branches of fs/tracefs KUnit and the selftests reach. Prints a
summary for each file and the lines that were never reached. The sources with counts are
in build/coverage."""

import re
import shutil
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import test
from common import BUILD, Failure, Parser, main, run

COUNTED = ("event_inode", "inode")
# These files have no size before they are read, so tar gets copies.
DUMP = """
    cd /sys/kernel/debug/gcov && mkdir /tmp/counts
    for file in $(find . -path '*/fs/tracefs/*.gcda'); do
        cat "$file" >"/tmp/counts/${file##*/}"
    done
    tar -C /tmp/counts -c .
    """


def collect(args, kernel, counts):
    """Runs the tests in one guest and keeps what it counted."""
    suites = test.Suites(args, args.base)
    guest = suites.guest("coverage", kernel, kunit="*")
    with guests.run_directory() as rundir, open(guest.output, "wb") as log, \
            open(counts / "counts.tar", "wb") as archive:
        races = test.races_script(kernel, rundir, args)
        shell = test.ftracetest_script(kernel, rundir, test.our_tests(args))
        guest.run(f"{{ bash {races}; bash {shell}; }} >&2\n{DUMP}",
                  on_output=lambda fd, data: (archive if fd == 1 else log).write(data))
    run(["tar", "-xf", counts / "counts.tar", "-C", counts],
        f"the guest handed out no counts, see {guest.output}")


def summarise(kernel, counts):
    """gcov's figures, and the lines that were never reached."""
    out = kernel.tree / "out"
    for name in COUNTED:
        if not (counts / f"{name}.gcda").exists():
            raise Failure(f"gcov counted nothing in {name}.c")
        shutil.copy(out / f"fs/tracefs/{name}.gcno", counts)
        text = run(["gcov", "-b", "-c", f"{name}.gcda"], "gcov", cwd=counts)
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
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser, suites=False)
    args = parser.parse_args()
    kernel = kernel_build.Kernel("eventfs", "coverage", args.base, args.ksrc)
    kernel.image()
    counts = BUILD / "coverage"
    shutil.rmtree(counts, ignore_errors=True)
    counts.mkdir(parents=True)
    collect(args, kernel, counts)
    summarise(kernel, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
