#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the test suites of others in guests, on the stock kernel and on ours: the kernel's
selftests, those folders of ftrace's tests that "make test" leaves out, the unit tests of
libtracefs and trace-cmd, and tests of perf. A case fails if it passes on the stock kernel
and not on ours. Results have the form of "make test"'s, followed by a table.

Output is in build/logs, the table in build/clients; --record writes it to clients/.
"""

import fnmatch
import functools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import ktap
import source as kernel_source
import test
from clients import CLIENTS, Result, left_table, outcomes, version
from common import (BUILD, Failure, Parser, cache, clean_env, last_line,
                    lock, main, need, new_directory, one_of, progress_line, run, say, write_file)

# Folders of the kernel's selftests, of which a base may lack some
SELFTESTS = ("user_events", "mount", "mount_setattr", "openat2", "filesystems",
             "filesystems/statmount", "filesystems/overlayfs", "filesystems/openat2",
             "filesystems/mount-notify")
# Source package -> the package whose version it has, and what make is to build
SOURCES = {"libtracefs": ("libtracefs-dev", ("test",)),
           "trace-cmd": ("trace-cmd", ("trace-cmd", "test"))}
SOURCE_PROGRAMS = {"dpkg-source": "dpkg-dev", "pkg-config": "pkg-config",
                   "/usr/include/CUnit/CUnit.h": "libcunit1-dev",
                   "/usr/include/traceevent/event-parse.h": "libtraceevent-dev",
                   "/usr/include/tracefs/tracefs.h": "libtracefs-dev"}
SELFTEST_PROGRAMS = {"/usr/include/sys/capability.h": "libcap-dev"}
PERF_PROGRAMS = {"perf": "linux-perf", "ping": "iputils-ping"}
# The tests of perf that use tracepoints or probes
PERF_TESTS = re.compile(r"openat|mmap interface|event definition|evsel->name|sched|sys_enter|"
                        r"switch|SDT|backward|[Pp]robe|vfs_getname|lock contention|record tests")
# Tests that are not run, and why
LEFT_OUT = {
    "openat2:rename_attack_test": "takes more than 3 minutes under TCG",
    "filesystems/openat2:rename_attack_test": "takes more than 3 minutes under TCG",
    "perf:*vfs_getname*": "needs the line numbers of vmlinux, which perf looks for in vain "
                          "for 4 minutes",
}
# Why cases do not pass on either kernel, where they do not say so themselves; those that
# fail at random may pass on one of them.
AT_RANDOM = "at random: the event of the step before is still being deleted, in a work queue"
REASONS = {
    "user_events:dyn_test user.basic_types": AT_RANDOM,
    "user_events:dyn_test user.loc_types": AT_RANDOM,
    "user_events:perf_test user.perf_empty_events": AT_RANDOM,
    "user_events:abi_test user.flags": AT_RANDOM,
    "mount_setattr:* mount_setattr_idmapped.*": "the kernel has no loop devices and no ext4",
    "perf:probe libc's inet_pton*": "the kernel has no IPv6",
    # ftracetest removes the logs of these.
    "ftrace:direct/*": "the sample modules with direct functions are not built",
    "ftrace:ftrace/fgraph-retval.tc": "the kernel has no CONFIG_FUNCTION_GRAPH_RETVAL",
    "ftrace:ftrace/func_cpumask.tc": "needs two processors",
    "ftrace:ftrace/func_hotplug.tc": "needs two processors",
    "ftrace:preemptirq/irqsoff_tracer.tc": "the kernel has no such tracer",
    "ftrace:selftest/bashisms.tc": "needs checkbashisms",
}
# So many seconds may one program take.
LIMIT = 600
MARK = "@@@"
CUNIT = re.compile(r"^  Test: ([^\n]*?) ?\.\.\.(?:.(?!^  Test:))*?(passed|FAILED)$"
                   r"(?:\n +1\. ([^\n]*))?", re.MULTILINE | re.DOTALL)
PERF = re.compile(r"^--- start ---\n((?:(?!--- start).*\n)*?)---- end ----\n"
                  r"(.*): (Ok|Skip|FAILED!)(?: \((.*)\))?$", re.MULTILINE)


def script(programs):
    """Runs commands, name -> command, each in a new directory in memory, with lines for
    read()."""
    return "".join(f"""
        cd "$(mktemp -d -p /dev/shm)"
        printf '\\n{MARK} %s\\n' {shlex.quote(name)}
        timeout -k 5 {LIMIT} bash -c {shlex.quote(command)} </dev/null 2>&1
        printf '\\n{MARK} status %d\\n' $?
        """ for name, command in programs.items())


def read(text):
    """Case -> Result, of what such a script printed"""
    results = {}
    for name, said, status in re.findall(
            rf"^{MARK} (\S[^\n]*)\n(.*?)^{MARK} status (\d+)$", text, re.MULTILINE | re.DOTALL):
        for case, outcome, note in cases(said, int(status)):
            # perf says the name again. The number of a process is another one each time.
            case = f"{name} {case.removeprefix(name.partition(':')[2]).strip()}".strip()
            case = re.sub(r"/\d+/", "/PID/", case)
            while case in results:
                case += "'"
            why = outcome != "pass" and listed(REASONS, case)
            results[case] = Result(outcome, why or note, [])
    return results


def cases(said, status):
    """(name, outcome, note) of each case of one program, in KTAP or as CUnit or perf
    write; of the program itself if it says nothing of the kind."""
    words = {"passed": "pass", "Ok": "pass", "Skip": "skip"}
    if re.search(r"^1\.\.\d+$", said, re.MULTILINE):
        return ktap.results(said.splitlines())
    found = [(name, words.get(word, "fail"), note) for name, word, note in CUNIT.findall(said)]
    for log, name, word, note in PERF.findall(said):
        log = re.sub(r"^test child .*\n", "", log, flags=re.MULTILINE)
        found.append((name, words.get(word, "fail"), note or word != "Ok" and last_line(log) or ""))
    if found and status < 124:
        return found
    outcome = {0: "pass", 4: "skip"}.get(status, "fail")
    note = {0: "", 4: last_line(said), 124: f"stopped after {LIMIT} s"}.get(
        status, f"status {status}: {last_line(said)}")
    return [*found, ("end" if found else "", outcome, note)]


def verdict(name, stock, ours):
    """(outcome, note) of a case on our kernel, by what it was on stock's"""
    if ours is None:
        return "fail", f"did not end; on the stock kernel: {stock.outcome}"
    if stock is None or ours.outcome == stock.outcome == "skip":
        return ours.outcome, ours.note
    if ours.outcome == stock.outcome == "fail":
        return "skip", f"fails on the stock kernel too: {ours.note}"
    if ours.outcome == "fail" and listed(REASONS, name) == AT_RANDOM:
        return "skip", AT_RANDOM
    if ours.outcome == "pass":
        return "pass", "" if stock.outcome == "pass" else f"on the stock kernel: {stock.outcome}"
    if stock.outcome == "fail":
        return "skip", f"{ours.note}; fails on the stock kernel"
    return "fail", f"{ours.note or ours.outcome}; on the stock kernel: {stock.outcome}"


def listed(reasons, name):
    """What the first glob that the name matches stands for, or None"""
    return next((why for glob, why in reasons.items() if fnmatch.fnmatchcase(name, glob)), None)


def source(package, wanted):
    """The source of a Debian package, from the machine's own mirror, unpacked and built"""
    tree = cache() / "src" / f"{package}-{wanted}"
    if tree.exists():
        return tree
    options = kernel_source.private_apt(cache() / "apt-source", [kernel_source.release()],
                                        "deb-src")
    with new_directory(tree) as scratch:
        subprocess.run(["apt-get", *options, "update"], stdin=subprocess.DEVNULL,
                       capture_output=True, check=False)
        try:
            run(["apt-get", *options, "-o", "APT::Sandbox::User=root", "--download-only", "source",
                 f"{package}={wanted}"], "apt-get", cwd=scratch)
        except Failure as failure:
            raise LookupError(f"the mirror does not have the source of {package} {wanted}") \
                from failure
        progress_line.show(f"building {package} {wanted}")
        run(["dpkg-source", "-x", *scratch.glob("*.dsc"), scratch / "source"],
            f"unpacking {package} {wanted}")
        run(["make", "-s", "-C", scratch / "source", *SOURCES[package][1]],
            f"building {package} {wanted}", env=clean_env())
    return tree


class Peers(test.Suites):
    """The suites of "make peers", for one base"""

    def __init__(self, args, base):
        super().__init__(args, base)
        # Kernel -> case -> Result; group, with which its cases begin -> version
        self.results = {"stock": {}, "eventfs": {}}
        self.versions = {}

    def kept(self):
        """Where the results are kept: the next run may be one of other suites."""
        key = kernel_build.digest(*(self.kernel(self.args.config, which).image_key()
                                    for which in self.results))
        return BUILD / "clients" / f"peers-{self.base}-{self.args.config}-{key[:8]}.json"

    def finish(self):
        """Prints the table of these results and of those that were kept."""
        if self.kept().exists():
            before = json.loads(self.kept().read_text(encoding="utf-8"))
            for which, results in before["results"].items():
                self.results[which] |= {
                    name: Result(*result) for name, result in results.items()
                    if name.partition(":")[0] not in self.versions}
            self.versions = before["versions"] | self.versions
        write_file(self.kept(), json.dumps(
            {"versions": self.versions, "results": self.results}, indent=1).encode())
        to = CLIENTS if self.args.record else BUILD / "clients"
        say(self.table())
        write_file(to / f"peers-{self.base}.txt", (
            "# SPDX-License-Identifier: GPL-2.0-only\n"
            f'# Written by "make peers", kernel {self.args.config}.\n\n{self.table()}').encode())

    def plan(self):
        return {"selftests": self.selftests, "ftrace": self.ftrace,
                **{package: functools.partial(self.units, package) for package in SOURCES},
                "perf": self.perf}

    def skip(self, report, case, why):
        for results in self.results.values():
            results[case] = Result("skip", why, [])
        report.result(case, "skip", why)

    def compared(self, report, names, ask):
        """Reports on tests. ask(kernel, names, results) runs them on a kernel, puts its
        results in place as they come, and returns its guest, whose log is one more case."""
        for name in (name for name in names if listed(LEFT_OUT, name)):
            self.skip(report, name, listed(LEFT_OUT, name))
        names = [name for name in names if not listed(LEFT_OUT, name)]
        for which, results in (both := {"stock": {}, "eventfs": {}}).items():
            kernel, failure = self.kernel(self.args.config, which), None
            try:
                guest = ask(kernel, names, results)
                found = guest.warnings()
                results[f"{names[0].split(':')[0]}:kernel log"] = Result(
                    "fail" if found else "pass", found and f"{len(found)} warnings, first: "
                    f"{found[0].strip()}; see {guest.log.name}" or "", [])
            except Failure as error:
                failure = error
                say(f"{which} kernel: {error}")
            self.results[which] |= results
        for name in both["stock"] | both["eventfs"]:
            report.result(name, *verdict(name, *(results.get(name) for results in both.values())))
        # One of the stock kernel only is an affair of that kernel.
        if failure:
            raise failure

    def programs(self, report, suite, programs):
        """Runs commands, name -> command, on both kernels."""
        def ask(kernel, names, results):
            guest, text = self.guest(f"peers-{suite}", kernel, self.single), bytearray()

            def collect(_, data):
                text.extend(data)
                log.write(data)
                progress_line.show(f"{guest.name}: {text.count(f'{MARK} status'.encode())} of "
                                   f"{len(names)} programs")
            try:
                with guests.run_directory() as rundir, \
                        open(guest.output, "wb", buffering=0) as log:
                    write_file(rundir / "script", script(
                        {name: programs[name] for name in names}).encode())
                    guest.run(f"bash {rundir}/script", on_output=collect)
            finally:
                results |= read(text.decode(errors="replace").replace("\r", ""))
            return guest
        self.compared(report, list(programs), ask)

    def selftests(self, report):
        """Built by the kernel's own rules, outside of its source. That of "make check" is
        used: "make test" does not hold its lock."""
        need(SELFTEST_PROGRAMS)
        kernel = self.kernel("check", "stock")
        targets = [target for target in SELFTESTS if (
            kernel.source.path / "tools/testing/selftests" / target / "Makefile").exists()]
        self.versions |= dict.fromkeys(targets, f"Linux {kernel.source.version}")
        with guests.run_directory() as rundir:
            with kernel.locked_tree():
                kernel.prepare()
                progress_line.show("building the selftests")
                for words in (["headers"], ["-C", "tools/testing/selftests", "install",
                                            f"TARGETS={' '.join(targets)}",
                                            f"INSTALL_PATH={rundir}/tests"]):
                    run(["make", "-s", "ARCH=x86_64", f"O={rundir}/out", *words],
                        "building the selftests", cwd=kernel.tree / "src", env=clean_env())
            tests = (rundir / "tests/kselftest-list.txt").read_text(encoding="utf-8").split()
            # They write to the directory that they are started in.
            self.programs(report, "selftests", {
                name: f"cp -r {rundir}/tests/{folder}/. . && ./{program}"
                for name, folder, program in ((name, *name.split(":")) for name in tests)})

    def ftrace(self, report):
        """The folders that "make test" does not run, and that hold no tests of ours"""
        kernel = self.kernel(self.args.config, "stock")
        self.versions["ftrace"] = f"Linux {kernel.source.version}"
        folders = {path.name for path in (kernel.source.path / test.FTRACE / "test.d").iterdir()}

        def ask(kernel, names, results):
            guest, outcomes_of = self.guest("peers-ftrace", kernel, self.single), {}
            try:
                test.run_ftracetest(
                    report, guest, kernel, [name.removeprefix("ftrace:") for name in names],
                    lambda name, outcome, _: outcomes_of.update({name: outcome}))
            finally:
                said = test.last_words(guest.output.read_text(errors="replace"))
                for name, outcome in outcomes_of.items():
                    word = {"PASS": "pass", "XFAIL": "pass", "SKIP": "skip"}.get(outcome, "fail")
                    note = listed(REASONS, f"ftrace:{name}") or \
                        said.get(Path(name.split()[0]).name) or outcome
                    results[f"ftrace:{name}"] = Result(word, "" if word == "pass" else note, [])
            return guest
        self.compared(report, [f"ftrace:{name}" for name in test.upstream_tests(kernel, sorted(
            folders - {"eventfs", *test.upstream_folders(kernel)}))], ask)

    def units(self, package, report):
        """The unit tests of a library or program, as its source package has them"""
        need(SOURCE_PROGRAMS)
        wanted = version(SOURCES[package][0])
        self.versions[package] = f"{package} {wanted}"
        try:
            with lock(cache() / "locks/src.lock", "waiting for another run that fetches source"):
                tree = source(package, wanted)
        except LookupError as error:
            self.skip(report, f"{package}:unit tests", str(error))
            return
        self.programs(report, package, {f"{package}:": f"{tree}/source/utest/trace-utest"})

    def perf(self, report):
        need(PERF_PROGRAMS)
        self.versions["perf"] = f"linux-perf {version('linux-perf')}"
        # perf writes the list to standard error.
        tests = re.findall(r"^ *(\d+): (.*?) *$", run(
            ["sh", "-c", "perf test list 2>&1"], "perf test list"), re.MULTILINE)
        self.programs(report, "perf", {f"perf:{name}": f"perf test -v {number}"
                                       for number, name in tests if PERF_TESTS.search(name)})

    def table(self):
        """Lines: suite, its version, and how its tests ended on each kernel; then why those
        that did not pass did not, once if they ended alike on both."""
        groups = dict.fromkeys(set(self.plan()) - {"selftests"}, "") | self.versions
        rows = [[group, said, *(outcomes(
            result for name, result in results.items() if name.partition(":")[0] == group)
            for results in self.results.values())] for group, said in sorted(groups.items())]
        stock, ours = (dict(sorted(results.items())) for results in self.results.values())
        both = {name: result for name, result in stock.items() if ours.get(name) == result}
        return left_table(["suite", "version", "stock", "eventfs"], rows, {
            "both": both, **{which: {name: result for name, result in results.items()
                                     if name not in both}
                             for which, results in (("stock", stock), ("eventfs", ours))}})


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    parser.add_argument("--config", metavar="NAME", default="release",
                        type=one_of("CONFIG", ("release", "clients", "debug")),
                        help="which kernel (default %(default)s)")
    parser.add_argument("--record", action="store_true", help="write the table to clients/")
    args = parser.parse_args()
    kernel_source.needs_stock(args.ksrc, "make peers")
    peers = Peers(args, args.base)
    status = test.run_suites(peers.plan(), args)
    peers.finish()
    return status


if __name__ == "__main__":
    sys.exit(main(command_line))
