#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests in guests: those for every change, or others with --rest, --all and
--long. Results are KTAP on standard output, and the last line is "N passed, N failed,
N skipped". Logs are in build/logs. --results writes results.ktap, results.xml (JUnit)
and the logs to a directory."""

import fnmatch
import functools
import math
import multiprocessing.connection
import os
import re
import shutil
import sys
import time
from pathlib import Path

import guest as guests
import kernel as kernel_build
import ktap
import source as kernel_source
from common import (BUILD, LOGS, POLICY_PROGRAMS, REPO, TEST_PROGRAMS, Failure, Parser,
                    clean_env, main, minutes, need, progress_line, run, say, some_of,
                    started, write_file)
from kernel import Kernel

TIMES = BUILD / "suite-times"
FTRACE = "tools/testing/selftests/ftrace"
RACES = "tools/testing/selftests/filesystems/eventfs"
KUNIT = "fs/tracefs/tests"
PROGRAMS = ("basic_test", "eventfs_test", "eventfs_users_test", "eventfs_reports_test",
            "eventfs_module_test", "eventfs_walk_test", "eventfs_watch_test")
# Throttled for want of memory: on slow kernels in the long form only.
LIMITS = ("eventfs_limits_test",)
# Makes allocations fail, and takes long.
FAULTS = ("eventfs_fault_test",)
# EVENTFS_FAULTS in the long form: how many allocations of each operation fail
LONG_FAULTS = "200"
# What "make test" runs, and what "make test-all" adds; both in this order.
FIRST = ("build", "boot", "kunit", "selftests", "ftrace", "kunit-debug")
REST = ("boot-debug", "selftests-debug", "faults-debug", "ftrace-debug", "ftrace-leaks",
        "security-debug", "ftrace-rest")
# For the kernel's command line; see dev/guest/cmdline.sh.
BOOT_EVENTS = ("trace_event=sched:sched_switch", "trace_trigger=sched_process_exit.stacktrace",
               "kprobe_event=p:boot,vfs_statx", "trace_instance=boot,sched:sched_waking",
               "reserve_mem=2M:4096:trace", "trace_instance=kept@trace",
               "trace_instance=backup=kept")
# Most guests keep one processor busy, and have 2 GB at most.
LANES = min(len(os.sched_getaffinity(0)), 4)
FOLDERS = "00basic event instances dynevent kprobe trigger"
# Of the kernel's own tests those that make and remove what eventfs shows, and the one
# of mount options: for "make test", and for the debug kernel, which is several times
# slower.
SOME_TESTS = """
    00basic/mount_options.tc
    instances/instance.tc instances/instance-event.tc
    dynevent/add_remove_kprobe.tc dynevent/add_remove_synth.tc
    dynevent/add_remove_uprobe.tc dynevent/clear_select_events.tc
    dynevent/generic_clear_event.tc
    kprobe/add_and_remove.tc kprobe/busy_check.tc
    trigger/inter-event/trigger-synthetic-event-createremove.tc
""".split()
# With kmemleak, which makes it slower still.
FOR_LEAKS = """
    instances/instance.tc dynevent/generic_clear_event.tc
    kprobe/add_and_remove.tc
    trigger/inter-event/trigger-synthetic-event-createremove.tc
""".split()


class Report:
    """KTAP: suites with subtests, written as the results come in, to standard
    output and, if there is one, to the directory of the results."""

    def __init__(self, directory=None):
        self.passed = self.failed = self.skipped = 0
        self.suites = []
        self.tests = self.bad = 0
        self.directory = directory
        self.ktap = None
        self.began, self.last = time.time(), time.monotonic()
        if directory:
            try:
                (directory / "logs").mkdir(parents=True, exist_ok=True)
                self.ktap = open(directory / "results.ktap", "w", encoding="utf-8")
            except OSError as error:
                raise Failure(f"cannot write to RESULTS={directory}: "
                              f"{error.strerror}") from error

    def write(self, text):
        progress_line.clear()
        if sys.stderr.isatty():
            # That of a suite in another process
            print(end="\r\033[K", file=sys.stderr, flush=True)
        for file in filter(None, (sys.stdout, self.ktap)):
            print(text, file=file, flush=True)

    def begin(self, suites):
        self.write(f"KTAP version 1\n1..{suites}")

    def suite(self, name, run):
        """One suite: run(report) calls result() for each of its tests."""
        cases = []
        self.suites.append((name, cases))
        self.tests = self.bad = 0
        self.last = time.monotonic()
        self.write(f"    KTAP version 1\n    # Subtest: {name}")
        try:
            run(self)
        except Failure as failure:
            self.result(name, "fail", str(failure))
        if not self.tests:
            self.result(name, "fail", "no test ran")
        took = minutes(sum(seconds for *_, seconds in cases))
        # No plan of the suite: it would have to come first, and kunit.py, which
        # reads this, loses its way with one at the end.
        self.write(f"{'not ok' if self.bad else 'ok'} {len(self.suites)} {name} # {took}")

    def seconds(self):
        """Since the last result"""
        before, self.last = self.last, time.monotonic()
        return self.last - before

    def result(self, name, outcome, note="", seconds=None):
        self.tests += 1
        self.passed += outcome == "pass"
        self.failed += outcome == "fail"
        self.skipped += outcome == "skip"
        self.bad += outcome == "fail"
        self.suites[-1][1].append(
            (name, outcome, note, self.seconds() if seconds is None else seconds))
        if outcome == "skip":
            note = f"SKIP {note}"
        self.write(f"    {'not ok' if outcome == 'fail' else 'ok'} {self.tests} {name}"
                   + (f" # {note}" if note else ""))

    def check(self, name, good, note=""):
        self.result(name, "pass" if good else "fail", "" if good else note)

    def end(self):
        if self.directory:
            self.ktap.close()
            write_file(self.directory / "results.xml", ktap.junit(self.suites))
            for log in LOGS.iterdir():
                if log.is_file() and log.stat().st_mtime >= self.began:
                    shutil.copy(log, self.directory / "logs")
        for suite, cases in self.suites:
            for name, outcome, note, _ in cases:
                if outcome == "fail":
                    say(f"failed: {suite}: {name}" + (f": {note}" if note else ""))
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0


class Sender(Report):
    """That of a suite in a process of its own: results go to the process that
    reports them."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def result(self, name, outcome, note="", seconds=None):
        self.pipe.send((name, outcome, note, self.seconds()))

    def send_all(self, run):
        # What the other process showed last is not this one's.
        progress_line.text = None
        progress_line.show = self.pipe.send
        try:
            run(self)
        except Failure as failure:
            self.pipe.send(failure)
        except KeyboardInterrupt:
            return 130
        return 0


class SideBySide:
    """Suites that run in processes of their own, so many at a time."""

    def __init__(self, suites, lanes):
        self.before = read_times()
        # The longest first, or it would be the last to run, alone
        self.waiting = sorted(suites.items(), reverse=True,
                              key=lambda suite: self.before.get(suite[0], math.inf))
        self.lanes = lanes
        self.running = {}
        self.found = {name: [] for name in suites}
        # What each does now; when it began; seconds that each took, now and before
        self.doing, self.began, self.took = {}, {}, {}
        progress_line.start()

    def start(self):
        fork = multiprocessing.get_context("fork")
        while self.waiting and len(self.running) < self.lanes:
            name, run_suite = self.waiting.pop(0)
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=main, daemon=True, args=(
                functools.partial(Sender(theirs).send_all, run_suite),))
            process.start()
            theirs.close()
            self.running[ours] = name, process
            self.began[name] = time.monotonic()

    def receive(self):
        """Waits until one of those that run has said something, or ended, or a second."""
        for pipe in multiprocessing.connection.wait(list(self.running), 1):
            name, process = self.running[pipe]
            try:
                found = pipe.recv()
                if isinstance(found, str):
                    self.doing[name] = found
                else:
                    self.found[name].append(found)
            except EOFError:
                del self.running[pipe]
                pipe.close()
                process.join()
                if process.exitcode:
                    self.found[name].append(Failure(f"status {process.exitcode}"))
                else:
                    self.took[name] = time.monotonic() - self.began[name]
                self.start()
        progress_line.show(self.progress())

    def progress(self):
        """How many are done, what the others do, and how long it was the last time"""
        running = [name for name, _ in self.running.values()]
        now = time.monotonic()
        left = [max(self.before.get(name, math.nan) - now + self.began.get(name, now), 0)
                for name in (*running, *(name for name, _ in self.waiting))]
        # As long as the longest, and as all of them side by side
        most = max(sum(left) / self.lanes, *left) if left else 0
        guess = "" if math.isnan(most) else f", about {math.ceil(most / 60)} minutes left"
        done = len(self.found) - len(left)
        return f"{done} of {len(self.found)} suites{guess}; " + ", ".join(
            f"{name} ({self.doing[name]})" if name in self.doing else name for name in running)

    def suite(self, name, report):
        """Reports what one finds, as it comes; to be called in their order."""
        self.start()
        while True:
            while self.found[name]:
                found = self.found[name].pop(0)
                if isinstance(found, Failure):
                    raise found
                report.result(*found)
            if name not in (other for other, _ in (*self.running.values(), *self.waiting)):
                return
            self.receive()


def case_names(path, case):
    """The tests in C of a program, or of KUnit, that CASE names, by the name alone or with
    that of the fixture or suite before it; all of them without it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    tests = re.findall(r"^TEST_F\w*\((\w+), (\w+)", text, re.MULTILINE)
    suite = re.search(r'^(?:static )?struct kunit_suite .*\n\t\.name\s*= "(\w+)"', text,
                      re.MULTILINE)
    if suite:
        tests += [(suite[1], test) for test in re.findall(r"\tKUNIT_CASE\w*\((\w+)", text)]
    return list(dict.fromkeys(test for group, test in tests if not case or any(
        fnmatch.fnmatchcase(name, case) for name in (group, test, f"{group}.{test}"))))


def kunit_files(args):
    """Each has a suite with the name of the file."""
    return sorted((root(args) / KUNIT).glob("*_kunit.c"))


def read_times():
    """Suite -> seconds that it took the last time it was run as a whole"""
    text = TIMES.read_text(encoding="utf-8") if TIMES.is_file() else ""
    return {name: float(seconds) for name, seconds in
            re.findall(r"^(\S+) (\d+)$", text, re.MULTILINE)}


class Suites:
    """What is tested, for one base or one tree of the user's."""

    def __init__(self, args, base):
        self.args = args
        self.base = base
        switches = (args.mem, args.icount, args.accel, args.timeout)
        self.machine = guests.Machine(args.smp, *switches)
        # For the upstream tests one processor. Some compare neighbouring lines
        # of the trace, which another one may come between; and before 8.2 QEMU
        # may run code that another has just patched as it was before, which is
        # fatal with an int3.
        self.single = guests.Machine(args.smp or "1", *switches)

    def plan(self):
        suites = {"build": self.build, "boot": functools.partial(self.boot, "release"),
                  "kunit": self.kunit, "selftests": self.selftests, "ftrace": self.ftrace,
                  "kunit-debug": self.kunit_debug,
                  "boot-debug": functools.partial(self.boot, "debug"),
                  "selftests-debug": self.selftests_debug,
                  "faults-debug": self.faults_debug, "ftrace-debug": self.ftrace_debug,
                  "ftrace-leaks": self.ftrace_leaks, "security-debug": self.security_debug,
                  "ftrace-rest": self.ftrace_rest}
        for name in ("selftests", "selftests-debug", "faults-debug"):
            suites[f"{name}-long"] = functools.partial(suites[name], long=True)
        if root(self.args) == REPO:
            suites["ftrace-stock"] = self.ftrace_stock
        return suites

    # Files that change while the tests run are not to change the kernel.
    @functools.cache
    def kernel(self, config, which="eventfs"):
        return Kernel(which, config, self.base, self.args.ksrc)

    def find_kernels(self):
        """Those that several suites boot, before these have processes of their own."""
        for config in ("release", "debug"):
            self.kernel(config)

    def with_case(self, names):
        """Those of the suites that have a case that CASE names"""
        def has_it(name):
            if name in ("ftrace", "ftrace-debug"):
                return bool(our_tests(self.args))
            kind, _, form = name.partition("-")
            limits = () if form == "debug" else LIMITS
            files = {"kunit": kunit_files(self.args), "faults": map(program_source, FAULTS),
                     "selftests": map(program_source, PROGRAMS + limits)}.get(kind, ())
            return any(case_names(root(self.args) / file, self.args.case) for file in files)
        return [name for name in names if has_it(name)]

    def guest(self, name, kernel, machine=None, kmemleak=True, **kwargs):
        return guests.Guest(kernel.image(), f"{name}-{kernel.name}",
                            machine or self.machine, kernel.debug, kernel.memory,
                            kmemleak, **kwargs)

    def build(self, report):
        for config in ("release", "debug"):
            started = time.monotonic()
            kernel = self.kernel(config)
            kernel.image()
            report.result(f"build {kernel.name}", "pass",
                          minutes(time.monotonic() - started))

    def boot(self, config, report):
        """The demonstration, which is also the first test of a kernel."""
        kernel = self.kernel(config)
        # A scan for leaks panics with two processors that patch code.
        guest = self.guest("boot", kernel, self.single if kernel.debug else None)
        checked = f"{REPO}/dev/guest/leaks.sh " if kernel.debug else ""
        with open(guest.output, "wb", buffering=0) as file:
            status = guest.run(f"{checked}{REPO}/dev/guest/demo.sh",
                               on_output=lambda _, data: file.write(data))
        report.check(f"demonstration, {kernel.config} kernel", status == 0,
                     f"status {status}, see {guest.output}")
        check_log(report, guest, kernel)
        self.run_script(report, "cmdline", kernel, "cmdline.sh", BOOT_EVENTS)

    def kunit(self, report):
        self.run_kunit(report, self.kernel("release"), self.machine)

    def kunit_debug(self, report):
        # A scan for leaks panics with two processors that patch code.
        self.run_kunit(report, self.kernel("debug"), self.single)

    def selftests(self, report, long=False):
        self.run_programs(report, self.kernel("release"), self.machine, long=long)

    def selftests_debug(self, report, long=False):
        self.run_programs(report, self.kernel("debug"), self.single, long=long)

    def faults_debug(self, report, long=False):
        """The allocations of each operation fail in turn, or some of them. In the long
        form these are more, and kmemleak looks for what is lost, which makes it three
        times slower. "make harden" has all of them."""
        kernel = self.kernel("debug")
        if not self.programs(report, FAULTS):
            return
        guest = self.guest("faults", kernel, self.single, kmemleak=long)
        run_races(report, guest, kernel, self.args, FAULTS, LONG_FAULTS if long else None)
        check_log(report, guest, kernel)

    def run_kunit(self, report, kernel, machine, kmemleak=True):
        """KUnit's suites run before the guest's init and write to its log, which
        this returns."""
        # KUnit takes a name without a dot for that of a suite.
        case = self.args.case or "*"
        suites = [file.name.removesuffix("_kunit.c") for file in kunit_files(self.args)]
        if "." not in case and not fnmatch.filter(suites, case):
            case = f"*.{case}"
        guest = self.guest("kunit", kernel, machine, kmemleak, kunit=case)
        status = guest.run(f"{REPO}/dev/guest/leaks.sh true" if guest.leaks else "true",
                           on_output=lambda *_: None)
        text = guest.log.read_text(encoding="utf-8", errors="replace")
        results = ktap.kunit_results(text)
        if not results:
            raise Failure(f"no KUnit case ran, see {guest.log}")
        for result in results:
            report.result(*result)
        for line in ktap.kunit_complaints(text):
            say(line)
        if guest.leaks:
            report.check("no leak found by kmemleak", status == 0, f"see {guest.log}")
        check_log(report, guest, kernel)
        return text

    def programs(self, report, names):
        """Those that there are: a tree of the user's may have only a part of the series."""
        top = root(self.args)
        lacking = [] if top == REPO else [
            name for name in names if not (top / program_source(name)).is_file()]
        for name in lacking:
            report.result(name, "skip", f"{top} does not have it")
        return [name for name in names if name not in lacking]

    def run_programs(self, report, kernel, machine, kmemleak=True, long=False):
        """Our selftests in C, one of which races."""
        limits = LIMITS if long or not kernel.slow else ()
        programs = [program for program in self.programs(report, PROGRAMS + limits)
                    if case_names(root(self.args) / program_source(program), self.args.case)]
        if not programs:
            raise Failure(f"{root(self.args)} has no selftests")
        guest = self.guest("races", kernel, machine, kmemleak)
        run_races(report, guest, kernel, self.args, programs, long=long)
        check_log(report, guest, kernel)

    def run_shell(self, report, kernel, machine, more=(), recorded=None):
        """Our selftests in shell, and more of ftrace's. The programs do all of it too,
        in threads; leaks are looked for there."""
        tests = our_tests(self.args)
        if not tests:
            raise Failure(f"{root(self.args)} has no shell tests")
        guest = self.guest("shell", kernel, machine, kmemleak=False)
        self.run_and_compare(report, guest, kernel, [*tests, *more], recorded)

    def ftrace(self, report):
        kernel = self.kernel("release")
        self.run_shell(report, kernel, self.machine)
        if not self.args.case:
            self.compare_with_stock(report, kernel, SOME_TESTS)

    def ftrace_rest(self, report):
        kernel = self.kernel("release")
        self.compare_with_stock(report, kernel,
                                [test for test in upstream_tests(kernel)
                                 if test not in SOME_TESTS])
        for test, why in left_out(kernel).items():
            report.result(test, "skip", why)

    def ftrace_debug(self, report):
        kernel = self.kernel("debug")
        self.run_shell(report, kernel, self.single, () if self.args.case else SOME_TESTS,
                       read_record(kernel))

    def ftrace_leaks(self, report):
        self.compare_with_stock(report, self.kernel("debug"), FOR_LEAKS, True)

    def security_debug(self, report):
        """Lockdown, from the boot on and later; and SELinux, which labels files by
        their path."""
        need(POLICY_PROGRAMS)
        with guests.run_directory() as rundir:
            run(["checkpolicy", "-U", "allow", "-o", rundir / "policy",
                 REPO / "dev/guest/labels.conf"], "compiling dev/guest/labels.conf")
            for mode, cmdline in (
                    ("early", ["lockdown=confidentiality"]), ("late", []),
                    (f"labels {rundir}/policy", ["lsm=lockdown,selinux"])):
                self.run_script(report, mode.split()[0], self.kernel("debug"),
                                f"security.sh {mode}", cmdline)

    def run_script(self, report, name, kernel, command, cmdline):
        """A script of dev/guest that has a line for each check"""
        guest = self.guest(name, kernel, self.single, kmemleak=False, cmdline=cmdline)
        text = bytearray()
        status = guest.run(f"{REPO}/dev/guest/{command}",
                           on_output=lambda _, data: text.extend(data))
        write_file(guest.output, text)
        for line in text.decode(errors="replace").splitlines():
            match = re.match(r"(ok|FAILED|skipped): (.*)", line)
            if match:
                report.result(f"{name}: {match[2]}",
                              {"ok": "pass", "FAILED": "fail", "skipped": "skip"}[match[1]],
                              f"see {guest.output}" if match[1] == "FAILED" else "")
        if status not in (0, 1):
            raise Failure(f"{command} ended with status {status}, see {guest.output}")
        check_log(report, guest, kernel)

    def compare_with_stock(self, report, kernel, tests, kmemleak=False):
        """A test must pass, or end as it was recorded to on the stock kernel."""
        guest = self.guest("leaks" if kmemleak else "ftrace", kernel,
                           self.single, kmemleak)
        self.run_and_compare(report, guest, kernel, tests, read_record(kernel))

    def run_and_compare(self, report, guest, kernel, tests, recorded=None):
        recorded = recorded or {}

        def result(test, outcome, took):
            if outcome in ("PASS", "XFAIL"):
                report.result(test, "pass", f"{took:.0f} s")
            elif outcome == recorded.get(test):
                report.result(test, "skip", f"{outcome} on the stock kernel too")
            else:
                report.result(test, "fail", f"{outcome}, on the stock kernel "
                              + recorded.get(test, "PASS"))

        run_ftracetest(report, guest, kernel, tests, result)
        check_log(report, guest, kernel)

    def ftrace_stock(self, report):
        """The stock kernel itself: is what was recorded of it still true?"""
        kernel = self.kernel("release", "stock")
        recorded = read_record(kernel)

        def result(test, outcome, _):
            expected = recorded.get(test, "PASS")
            report.check(test, outcome == expected,
                         f"{outcome}, but recorded as {expected}; to record it again: make record-stock")

        run_ftracetest(report, self.guest("ftrace", kernel, self.single), kernel,
                       upstream_tests(kernel), result)


def run_kunit_py(kernel, *words):
    """Builds and boots a kernel with the kernel's own kunit.py; returns what it and
    the kernel said."""
    command = ["tools/testing/kunit/kunit.py", "run", "--kunitconfig=fs/tracefs",
               f"--build_dir={kernel.out}", "--raw_output", *words]
    with kernel.locked_tree():
        kernel.prepare()
        with started(command, cwd=kernel.tree / "src", env=kernel.build_env()) as process:
            text = process.stdout.read()
    log = LOGS / f"kunit.py-{kernel.config}.log"
    write_file(log, text.encode())
    if "Building KUnit Kernel ...\n" not in text or \
            re.search(r": error: |\*\*\* \[", text):
        raise Failure(f"the build failed, see {log}")
    return text


def check_log(report, guest, kernel):
    """One more test: the guest's kernel had nothing to complain of."""
    found = guest.warnings()
    for line in found[:10]:
        say(f"# {line.strip()}")
    report.check(f"kernel log, {kernel.config} kernel", not found,
                 f"{len(found)} warnings, see {guest.log}")


def upstream_folders(kernel):
    return kernel.base.conf.get("ftracetest", FOLDERS).split()


def upstream_tests(kernel, folders=None):
    """The tests of the folders we run, or of others, as paths below test.d."""
    tests = []
    for folder in folders or upstream_folders(kernel):
        ours = (REPO,) if kernel.overlay and not kernel.source.ours else ()
        for place in (kernel.source.path, *ours):
            top = place / FTRACE / "test.d"
            tests += [str(path.relative_to(top))
                      for path in (top / folder).rglob("*.tc")]
    return sorted(set(tests) - set(left_out(kernel)))


def left_out(kernel):
    """Upstream test that is never run -> why"""
    lines = kernel.base.conf.get("ftracetest-left-out", "").split("\n")
    return dict(line.split(" ", 1) for line in lines if line)


def root(args):
    """Where our files are: here, or in a tree of the user's that has them."""
    own = args.ksrc and kernel_source.own_tree(Path(args.ksrc))
    return own.path if own and own.ours else REPO


def our_tests(args):
    """Our tests in shell, as paths below test.d."""
    top = root(args) / FTRACE / "test.d"
    return sorted(str(path.relative_to(top)) for path in (top / "eventfs").rglob("*.tc")
                  if fnmatch.fnmatchcase(path.stem, args.case or "*"))


def program_source(program):
    return f"{RACES}/{program}.c"


def races_script(kernel, rundir, args, programs=PROGRAMS, faults=None, long=False):
    """Builds the programs, by the kernel's own rules; returns a script that runs
    them. @faults is for EVENTFS_FAULTS, None for what the program does without."""
    with kernel.locked_tree():
        kernel.prepare()
        run(["make", "-s", "-C", kernel.tree / "src" / RACES, f"OUTPUT={rundir}"],
            f"building {RACES}", env=clean_env())
    # Slow kernels take ten times as long; the long form has four times as much of it.
    rounds = (2 if kernel.slow else 16) * (4 if long else 1)
    commands = []
    for program in programs:
        chosen = case_names(root(args) / program_source(program), args.case) if args.case else ()
        commands.append(" ".join([f"{rundir}/{program}", *(f"-t {name}" for name in chosen)]))
    some = f"EVENTFS_FAULTS={faults}" if faults else ""
    write_file(rundir / "races", f"""
        export EVENTFS_ROUNDS={rounds} {some}
        {"; ".join(commands)}
        true
        """.encode())
    return rundir / "races"


def run_races(report, guest, kernel, args, programs=PROGRAMS, faults=None, long=False):
    """Returns how many tests of the programs ran."""
    with guests.run_directory() as rundir, open(guest.output, "wb", buffering=0) as log:
        script = races_script(kernel, rundir, args, programs, faults, long)
        text = bytearray()

        def collect(fd, data):
            log.write(data)
            if fd == 1:
                text.extend(data)
        checked = f"{REPO}/dev/guest/leaks.sh " if guest.leaks else ""
        status = guest.run(f"{checked}bash {script}", on_output=collect)
    # One that ended before it had said anything has no part, which is an error too.
    parts = text.decode(errors="replace").split("TAP version 13\n")[1:]
    results = [result for part in parts + [""] * (len(programs) - len(parts))
               for result in ktap.results(part.splitlines())]
    for result in results:
        report.result(*result)
    if guest.leaks:
        report.check("no leak found by kmemleak", status == 0, f"see {guest.output}")
    return len(results)


def record_path(kernel):
    return kernel.base.path / "ftracetest-stock.txt"


def read_record(kernel):
    """Test -> outcome of those that do not pass on the stock kernel."""
    path = record_path(kernel)
    if not path.exists():
        raise Failure(f"{path.relative_to(REPO)} is missing; to write it: make record-stock "
                      f"BASE={kernel.base.name}")
    pairs = re.findall(r"^([A-Za-z]+) +(\S.*)$",
                       path.read_text(encoding="utf-8"), re.MULTILINE)
    return {test: outcome for outcome, test in pairs}


def copy_selftests(kernel, to):
    """ftracetest and its tests, with ours laid over."""
    shutil.copytree(kernel.source.path / FTRACE, to)
    for name, file in kernel.overlay.items():
        if file and name.startswith(FTRACE):
            write_file(to / os.path.relpath(name, FTRACE), *file)


def ftracetest_script(kernel, rundir, tests):
    """A script that runs tests of test.d."""
    copy_selftests(kernel, rundir / "ftrace")
    paths = " ".join(str(rundir / "ftrace/test.d" / test) for test in tests)
    # The logs of the tests that did not pass come on standard error.
    write_file(rundir / "script", f"""
        logs=$(mktemp -d)
        {rundir}/ftrace/ftracetest -K -l "$logs" {paths}
        find "$logs" -name '*-log.*' -exec tail -v -n +1 {{}} + >&2
        """.encode())
    return rundir / "script"


def last_words(text):
    """Test -> the last line of its log that is not a command, of what such a script
    printed: why it did not pass"""
    parts = re.split(r"^==> .*/\d+-(\S+\.tc)-log\.\S+ <==$", text, flags=re.MULTILINE)
    return {name: next((line for line in reversed(log.splitlines())
                        if line.strip() and not line.startswith("+")), "")
            for name, log in zip(parts[1::2], parts[2::2])}


def run_ftracetest(report, guest, kernel, tests, result):
    """Runs tests in the guest; calls result(test, outcome, seconds) as each
    one ends."""
    need(TEST_PROGRAMS)
    with guests.run_directory() as rundir, open(guest.output, "wb", buffering=0) as log:
        script = ftracetest_script(kernel, rundir, tests)
        checked = f"{REPO}/dev/guest/leaks.sh " if guest.leaks else ""
        parser = FtracetestOutput(in_order(tests, rundir / "ftrace/test.d"), log,
                                  result)
        status = guest.run(f"{checked}bash {script}", on_output=parser.feed)
    if guest.leaks:
        report.check("no leak found by kmemleak", status == 0, f"see {guest.output}")
    if parser.seen != len(parser.names):
        raise Failure(f"{parser.seen} of {len(parser.names)} tests ran, see {guest.output}")


def in_order(tests, top):
    """The order ftracetest numbers tests in: those that may run in an instance
    run there again after all the others."""
    again = []
    for test in tests:
        try:
            text = (top / test).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError as error:
            raise Failure(f"there is no upstream test {test}") from error
        if re.search(r"^#[ \t]*flags:.*instance", text, re.MULTILINE):
            again.append(f"{test} (instance)")
    return [*tests, *again]


class FtracetestOutput:
    """ftracetest's KTAP, read as it comes out of the guest."""

    LINE = re.compile(r"(ok|not ok) (\d+) .*?(?:# (SKIP|XFAIL|UNRESOLVED|error))?$")

    def __init__(self, names, log, result):
        self.names = names
        self.log = log
        self.result = result
        self.text = b""
        self.seen = 0
        self.last = time.monotonic()

    def feed(self, fd, data):
        self.log.write(data)
        if fd != 1:
            return
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            match = self.LINE.match(line.decode(errors="replace").rstrip())
            if match:
                self.seen += 1
                now = time.monotonic()
                self.result(self.names[int(match[2]) - 1],
                            match[3] or ("PASS" if match[1] == "ok" else "FAIL"),
                            now - self.last)
                self.last = now
                progress_line.show(f"ftrace's tests: {self.seen} of "
                                   f"{len(self.names)}")


def record_stock(suites):
    """Runs the upstream tests on the stock kernel and writes down which of
    them do not pass."""
    kernel = suites.kernel("release", "stock")
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             "# Upstream tests that do not pass on the stock kernel with our "
             "configuration.", '# Written by "make record-stock".']

    def result(test, outcome, took):
        say(f"{outcome:10} {test}  {took:.0f} s")
        if outcome not in ("PASS", "XFAIL"):
            lines.append(f"{outcome:10} {test}")

    run_ftracetest(None, suites.guest("record", kernel, suites.single), kernel,
                   upstream_tests(kernel), result)
    write_file(record_path(kernel), ("\n".join(lines) + "\n").encode())
    return 0


def run_suites(suites, args, what="suite", stop=False, lanes=1, first=None):
    """All suites, or those that --only names, as one KTAP report; stop: until one of
    them fails; lanes: how many at a time, which then know nothing of each other;
    first(): what they are to find done."""
    names = some_of(suites, args.only, what)
    LOGS.mkdir(parents=True, exist_ok=True)
    report = Report(args.results and Path(args.results).absolute())
    report.begin(len(names))
    if first:
        first()
    if lanes > 1:
        beside = SideBySide({name: suites[name] for name in names}, lanes)
        suites = {name: functools.partial(beside.suite, name) for name in names}
    for name in names:
        report.suite(name, suites[name])
        if stop and report.failed:
            break
    if lanes > 1 and not args.case:
        write_file(TIMES, "".join(f"{name} {seconds:.0f}\n" for name, seconds in
                                  (beside.before | beside.took).items()).encode())
    return report.end()


def add_arguments(parser, suites=True):
    """What a run of tests takes, and of suites of them."""
    guests.add_arguments(parser)
    parser.set_defaults(case=None)
    if suites:
        parser.add_argument("--only", metavar="SUITE", help="run only this suite, or "
                            "several, separated by commas")
        parser.add_argument("--results", metavar="DIR", help="write results and logs to DIR")


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    add_arguments(parser)
    parser.add_argument("--case", metavar="GLOB", help="run only these cases of KUnit and of the "
                        "selftests, in the suites that have them")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rest", action="store_true", help="run only the suites that --all adds")
    what.add_argument("--all", action="store_true", help="run all suites except the long ones")
    what.add_argument("--long", action="store_true", help="run the long suites: races four times "
                      "as long, more failing allocations, ftrace's tests on the stock kernel")
    what.add_argument("--record-stock", action="store_true", help="record which "
                      "of ftrace's tests fail on the stock kernel")
    args = parser.parse_args()
    ours = Suites(args, args.base)
    if args.record_stock:
        if args.case or args.only or args.results:
            raise Failure("make record-stock runs all of ftrace's tests: leave out CASE, ONLY, RESULTS", 2)
        kernel_source.needs_stock(args.ksrc, "make record-stock")
        return record_stock(ours)
    suites = ours.plan()
    names = some_of(suites, args.only, "suite") if args.only else [
        name for name in suites if name in (
            REST if args.rest else FIRST + REST if args.all else
            set(suites) - {*FIRST, *REST} if args.long else FIRST)]
    if args.case:
        found = ours.with_case(names)
        lacking = set(names) - set(found) if args.only else not found
        if lacking:
            raise Failure(f"CASE={args.case}: no such case in "
                          + ", ".join(lacking if args.only else names), 2)
        names = found
    args.only = ",".join(names)
    return run_suites(suites, args, lanes=LANES, first=ours.find_kernels)


if __name__ == "__main__":
    sys.exit(main(command_line))
