#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run Debian's tracing programs in guests, on the stock kernel and on ours. clients/run
runs each and checks its answer. Here the answers of the two kernels are compared line by
line. Results have the form of "make test"'s, followed by a table. clients/timings counts
the instructions of common commands.

Answers and tables are in build/clients; --record writes the tables to clients/.
"""

import collections
import difflib
import fnmatch
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import source as kernel_source
import test
from common import (BUILD, REPO, Failure, Parser, clean_env, compile_program, main,
                    need, number, one_of, progress_line, run, say, table, write_file)

CLIENTS = REPO / "clients"
# Client, by which the tests are named -> package and a program of it. A package that
# the distribution does not have is named in the table.
PACKAGES = {
    "trace-cmd": ("trace-cmd", "trace-cmd"),
    "libtracefs": ("libtracefs-dev", "/usr/include/tracefs/tracefs.h"),
    "perf": ("linux-perf", "perf"),
    "bpftrace": ("bpftrace", "bpftrace"),
    "bcc": ("bpfcc-tools", "opensnoop-bpfcc"),
    "libbpf-tools": ("libbpf-tools", "/usr/sbin/opensnoop"),
    "systemtap": ("systemtap", "stap"),
    "lttng": ("lttng-tools", "lttng"),
    "rtla": ("rtla", "rtla"),
    "stress-ng": ("stress-ng", "stress-ng"),
    "busybox": ("busybox-static", "busybox"),
    "coreutils": ("coreutils", "cp"),
    "grep": ("grep", "grep"),
    "tar": ("tar", "tar"),
    "rsync": ("rsync", "rsync"),
    "inotifywait": ("inotify-tools", "inotifywait"),
    "attr": ("attr", "getfattr"),
    "e2fsprogs": ("e2fsprogs", "lsattr"),
    "acl": ("acl", "getfacl"),
    "kmod": ("kmod", "modprobe"),
    "systemd": ("systemd", "systemctl"),
}
# To build the program of clients/libtracefs.c
BUILD_PROGRAMS = {"pkg-config": "pkg-config",
                  "/usr/include/traceevent/event-parse.h": "libtraceevent-dev"}
# What is taken out of answers before they are compared: tests, pattern, what comes
# in its place (None: the line goes), and why.
RULES = (
    ("*", r"0x[0-9a-f]+|\b[0-9a-f]{16}\b", "ADDRESS", "where the kernel's code is"),
    ("libtracefs.synthetic", r"(__[a-z]+)_\d+_", r"\1_PID_",
     "names of variables, which the library makes of its process"),
    ("systemd.log", r"Linux version .*|.*\beventfs_run=.*", None,
     "who built it; its command line"),
    ("systemd.log", r"(hpet: Lost|hrtimer:|tsc:|APIC (calibration|delta)) .*", None,
     "how busy the host is"),
    ("systemd.log", r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{8,}\b|[\d.]+", "N",
     "disks, addresses, sizes, times"),
)
# The tests whose answers are meant to differ, and the change that makes them; what
# stock says then is no part of the result.
MEANT = {
    "inotifywait.events": "watches are told of directories of events",
    "systemd.tmpfiles": "files of events follow the owner of the root, as others do",
}
# Differences in the order of a listing, inode numbers, links and times are in no
# answer: lines are sorted, and clients/run does not ask for the others.

TIMED = ("trace-cmd list", "perf list", "bpftrace -l", "find events",
         "start of trace-cmd record -e all", "100 instances made and removed")

Result = collections.namedtuple("Result", "outcome note answer")


class Reader:
    """KTAP of clients/run, read as it comes out of the guest."""

    LINE = re.compile(r"(ok|not ok) \d+ (\S+)(?: # (SKIP ?)?(.*))?$")

    def __init__(self, log=None, progress=""):
        self.log = log
        self.progress = progress
        self.text = b""
        self.planned = None
        self.answer = []
        self.results = {}

    def feed(self, fd, data):
        if self.log:
            self.log.write(data)
        if fd != 1:
            return
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            self.line(line.decode(errors="replace"))

    def line(self, line):
        match = self.LINE.match(line)
        if line.startswith("| "):
            self.answer.append(line[2:])
        elif re.fullmatch(r"1\.\.\d+", line):
            self.planned = int(line[3:])
        elif match:
            good, name, skipped, note = match.groups()
            outcome = "fail" if good != "ok" else "pass" if skipped is None else "skip"
            self.results[name] = Result(outcome, (note or "").strip(),
                                        normal(name, self.answer))
            self.answer = []
            progress_line.show(f"{self.progress}: {len(self.results)} of {self.planned}")

    def complete(self):
        """All that was planned has ended."""
        if not self.planned or self.planned != len(self.results):
            raise Failure(f"{len(self.results)} of {self.planned or 'the'} clients finished")


def normal(name, lines):
    """An answer without what is meant to differ, in order"""
    result = []
    for line in lines:
        line = " ".join(line.split())
        for glob, pattern, to, _ in RULES:
            if not fnmatch.fnmatch(name, glob):
                continue
            if to is None:
                if re.fullmatch(pattern, line):
                    line = ""
            else:
                line = re.sub(pattern, to, line)
        if line:
            result.append(line)
    return sorted(result)


def difference(stock, ours):
    """The lines of a diff, from stock's answer to ours"""
    return list(difflib.unified_diff(stock, ours, "stock", "eventfs", lineterm="", n=0))


def compare(name, stock, ours):
    """(outcome, note) of a test on our kernel, by what it was on stock's. Both having
    done well is not enough: they are to say the same."""
    if ours.outcome == "fail":
        if stock and stock.outcome == "fail":
            return "skip", f"fails on the stock kernel too: {ours.note}"
        return "fail", ours.note
    if stock is None:
        return ours.outcome, ours.note
    if ours.outcome != stock.outcome:
        if name in MEANT and ours.outcome == "pass":
            return "pass", f"not on the stock kernel: {MEANT[name]}"
        return "fail", (f"{ours.outcome} {ours.note}".rstrip() + ", on the stock kernel "
                        f"{stock.outcome} {stock.note}".rstrip())
    if ours.outcome == "skip" or name in MEANT:
        return ours.outcome, ours.note or MEANT.get(name, "")
    lines = difference(stock.answer, ours.answer)[2:]
    if lines:
        changed = [line for line in lines if not line.startswith("@@")]
        return "fail", f"{len(changed)} lines differ from stock's, first: {changed[0]}"
    return "pass", f"{len(ours.answer)} lines, as on the stock kernel"


def version(package, root="/"):
    """Its version, or None if it is not installed"""
    done = subprocess.run(["dpkg-query", f"--root={root}", "-W", "-f=${Version}", package],
                          check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stdout.strip() if not done.returncode else None


def client_table(results, lacking, root="/"):
    """Lines: client, its version, and how its tests ended on each kernel"""
    rows = []
    for client, (package, _) in PACKAGES.items():
        row = [client, f"{package} {version(package, root) or 'not there'}"]
        for which in ("stock", "eventfs"):
            here = [result for name, result in results.get(which, {}).items()
                    if name.split(".")[0] == client]
            row.append("not there" if client in lacking else outcomes(here))
        rows.append(row)
    return left_table(["client", "package", "stock", "eventfs"], rows, results)


def outcomes(results):
    """How many of each, in words"""
    counts = collections.Counter(result.outcome for result in results)
    return ", ".join(f"{counts[word]} {said}" for word, said in (
        ("pass", "passed"), ("fail", "failed"), ("skip", "skipped")) if counts[word]) or "not run"


def left_table(heads, rows, results):
    """Lines of text, all columns to the left"""
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in (heads, ["-" * width for width in widths], *rows)]
    # Why, where it is not simply that all passed
    for which, here in results.items():
        lines += ["", *(f"{which}: {name}: {result.outcome}, {result.note}"
                        for name, result in here.items() if result.outcome != "pass")]
    return "\n".join(lines).rstrip() + "\n"


def read_timings(text):
    """What -> its figures"""
    found = collections.defaultdict(list)
    for line in text.splitlines():
        what, _, figure = line.rpartition(",")
        if figure.isdigit():
            found[what].append(int(figure))
    return dict(found)


def timing_table(timings):
    """Medians, of what read_timings() gives of each kernel; and how far the figures of
    either were from them"""
    rows = []
    for what in TIMED:
        both = [timings.get(which, {}).get(what) for which in ("eventfs", "stock")]
        ours, stock = (statistics.median(figures) if figures else None for figures in both)
        spread = max((max(figures) - min(figures)) / statistics.median(figures)
                     for figures in both if figures) if any(both) else None
        rows.append([what, number(ours), number(stock),
                     number(ours / stock if ours and stock else None, 3),
                     "–" if spread is None else f"{spread:.1%}"])
    return table(["instructions", "eventfs", "stock", "ratio", "spread"], rows)


class Clients(test.Suites):
    """The suites of "make clients", for one base."""

    made_by = "make clients"

    def __init__(self, args, base):
        super().__init__(args, base)
        self.name = base
        # Where the clients are installed
        self.system = "/"
        self.timings = {}
        self.lacking = {}

    def install(self):
        """What the distribution has of them; and notes what it does not have."""
        for client, (package, program) in PACKAGES.items():
            try:
                need({program: package})
            except Failure as failure:
                say(f"{client}: {failure}")
                self.lacking[client] = package
        need(BUILD_PROGRAMS)

    def plan(self):
        return {"stock": self.stock, "eventfs": self.eventfs, "timings": self.timed}

    def guest(self, name, kernel, machine=None, kmemleak=True, **kwargs):
        # bcc's tools compile, and the kernel holds its headers and types.
        return guests.Guest(kernel.image(), f"{name}-{kernel.name}", machine or self.single,
                            kernel.debug, "2G", kmemleak, **kwargs)

    def asked(self, report, which):
        """Asks all clients on one kernel, and keeps their answers; gives them one by
        one, also those of a guest that died later."""
        kernel = self.kernel(self.args.config, which)
        guest = self.guest("clients", kernel)
        globs = " ".join(f"'{glob}'" for glob in (self.args.case or "*").split(","))
        failure = None
        with guests.run_directory() as rundir, \
                open(guest.output, "wb", buffering=0) as log:
            build_program(rundir / "libtracefs")
            shutil.copy(CLIENTS / "run", rundir)
            reader = Reader(log, f"clients, {which} kernel")
            try:
                guest.run(f"LIBTRACEFS={rundir}/libtracefs KERNEL_TREE={kernel.objects()} "
                          f"exec {rundir}/run {globs}", on_output=reader.feed)
                reader.complete()
            except Failure as error:
                failure = error
        self.keep(which, reader.results)
        yield from reader.results.items()
        test.check_log(report, guest, kernel)
        if failure:
            raise failure

    def place(self, which):
        """Where the answers of a kernel are kept, to these questions"""
        kernel = self.kernel(self.args.config, which)
        key = kernel_build.digest(kernel.image_key(), *(
            path.read_text(encoding="utf-8") for path in sorted(CLIENTS.glob("*"))
            if path.suffix != ".txt"))
        return BUILD / "clients" / f"{kernel.name}-{key[:8]}"

    def keep(self, which, results):
        """With those of an earlier run, if only some were asked now."""
        if not self.args.case:
            shutil.rmtree(self.place(which), ignore_errors=True)
        for name, result in results.items():
            text = "".join(f"{line}\n" for line in
                           (f"{result.outcome} {result.note}".rstrip(), *result.answer))
            write_file(self.place(which) / name, text.encode())

    def kept(self, which):
        """What was answered there, now or by an earlier run"""
        results = {}
        if self.place(which).is_dir():
            for path in sorted(self.place(which).iterdir()):
                first, *answer = path.read_text(encoding="utf-8").splitlines()
                outcome, _, note = first.partition(" ")
                results[path.name] = Result(outcome, note, answer)
        return results

    def stock(self, report):
        """What fails here is the client's own affair, and recorded."""
        for name, result in self.asked(report, "stock"):
            outcome = "skip" if result.outcome == "fail" else result.outcome
            note = f"fails: {result.note}" if result.outcome == "fail" else result.note
            report.result(name, outcome, note)

    def eventfs(self, report):
        stock = self.kept("stock")
        if not stock:
            say("nothing to compare with: run ONLY=stock first")
        for name, result in self.asked(report, "eventfs"):
            other = stock.get(name)
            outcome, note = compare(name, other, result)
            if other and outcome == "fail":
                write_file(BUILD / "clients" / f"{name}.diff", "".join(
                    f"{line}\n" for line in difference(other.answer, result.answer)).encode())
            report.result(name, outcome, note)

    def timed(self, report):
        """What people wait for, in instructions, on both kernels"""
        for which in ("stock", "eventfs"):
            kernel = self.kernel(self.args.config, which)
            guest = guests.Guest(kernel.image(), f"timings-{kernel.name}", guests.Machine(
                icount=True, timeout=self.args.timeout), kernel.debug, "2G", False)
            text, errors = bytearray(), bytearray()
            with guests.run_directory() as rundir:
                compile_program(CLIENTS / "count.c", rundir / "count", "-static")
                status = guest.run(
                    f"COUNT={rundir}/count exec {CLIENTS}/timings",
                    on_output=lambda fd, data, texts=(text, errors): texts[fd - 1].extend(data))
            write_file(guest.output, text + errors)
            self.timings[which] = read_timings(text.decode(errors="replace"))
            lost = [what for what in TIMED if what not in self.timings[which]]
            report.check(f"timings, {which} kernel", not status and not lost,
                         f"status {status}, without {', '.join(lost)}; see {guest.output}")
            test.check_log(report, guest, kernel)

    def run(self):
        """All of it; returns the status."""
        status = test.run_suites(self.plan(), self.args, first=self.install)
        self.finish()
        return status

    def finish(self):
        """Prints the tables, and keeps them."""
        to = CLIENTS if self.args.record else BUILD / "clients"
        head = ("# SPDX-License-Identifier: GPL-2.0-only\n"
                f'# Written by "{self.made_by}", kernel {self.args.config}.\n\n')
        tables = {}
        results = {which: self.kept(which) for which in ("stock", "eventfs")}
        if any(results.values()):
            tables[f"{self.name}.txt"] = client_table(results, self.lacking, self.system)
        if self.timings:
            tables[f"{self.base}-timings.txt"] = timing_table(self.timings)
        for name, text in tables.items():
            say(text)
            write_file(to / name, (head + text).encode())


def build_program(to):
    flags = run(["pkg-config", "--cflags", "--libs", "libtracefs"],
                "libtracefs-dev is not as it should be").split()
    run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", to, CLIENTS / "libtracefs.c",
         *flags], "building clients/libtracefs.c", env=clean_env())


def add_arguments(parser):
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    parser.add_argument("--config", metavar="NAME", default="clients",
                        type=one_of("CONFIG", ("clients", "release", "debug")),
                        help="which kernel (default %(default)s; release and debug lack features "
                        "that some clients need)")
    parser.add_argument("--case", metavar="GLOBS", help="run only these, such as "
                        "perf.list or 'perf.*,rtla.*'")
    parser.add_argument("--record", action="store_true", help="write the tables to clients/")


def check_case(case):
    names = re.findall(r"^([a-z0-9-]+\.[a-z]+)\(\) \{",
                       (CLIENTS / "run").read_text(encoding="utf-8"), re.MULTILINE)
    for glob in case.split(",") if case else ():
        # What goes into the command has no character of the shell.
        if not re.fullmatch(r"[\w.*?\[\]-]+", glob) or not fnmatch.filter(names, glob):
            raise Failure(f"CASE={case}: {glob} is not a name such as {names[0]}, or a "
                          "glob that some of them match, such as 'perf.*'", 2)


def command_line():
    parser = Parser(__doc__)
    add_arguments(parser)
    args = parser.parse_args()
    check_case(args.case)
    kernel_source.needs_stock(args.ksrc, "make clients")
    return Clients(args, args.base).run()


if __name__ == "__main__":
    sys.exit(main(command_line))
