#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check the model of the protocol, harden/eventfs.pml, with spin.

Every line of C that the model names must exist. Each scenario is searched exhaustively:
no promise may be broken, no process may wait forever, and every step must be taken
somewhere. Then each mutant of the model must break a promise.
"""

import concurrent.futures
import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

from common import BUILD, REPO, Failure, Parser, main, need, progress_line, run

MODEL = REPO / "harden/eventfs.pml"
SOURCE = REPO / "fs/tracefs/event_inode.c"
FAULTS = REPO / "harden/mutants.txt"
# spin runs gcc as its preprocessor. What tcc makes is half as fast, and made at
# once: for searches that are short.
PROGRAMS = {"spin": "spin", "gcc": "gcc", "tcc": "tcc", "/usr/include/stdio.h": "libc6-dev"}
SCENARIOS = ("NAMES", "HIDES", "FILES", "TREE", "FILL")
# Reduced by order of what is independent, and compressed without loss: exhaustive.
# More memory than this, in MB, or a longer path is an error.
OPTIONS = ["-DSAFETY", "-DNOFAIR", "-DCOLLAPSE", "-DVECTORSZ=512", "-DMEMLIM=3000"]
LIMITS = ["-m100000", "-w22"]


class Step:
    """A step of the model and the C that it stands for."""

    def __init__(self, line, function, text):
        self.line, self.function, self.text = line, function, text

    def place(self, functions, source):
        """The line of the source, which may have the text over several."""
        start, body = functions.get(self.function, (0, ""))
        pattern = r"\s+".join(re.escape(word) for word in self.text.split())
        match = re.search(pattern, body)
        if not match:
            raise Failure(f"{MODEL.name}:{self.line}: {self.function}() of {source.name} "
                          f"has no \"{self.text}\": change the model to match")
        return start + body.count("\n", 0, match.start())


def read_functions(source):
    """Name: first line, text"""
    functions = {}
    text = source.read_text(encoding="utf-8")
    for match in re.finditer(r"^[a-z][^\n;=]*?\b(\w+)\((?:[^;{]|\n)*?\)\n\{.*?^\}", text,
                             re.MULTILINE | re.DOTALL):
        functions[match[1]] = text.count("\n", 0, match.start()) + 1, match[0]
    return functions


def read_steps(model):
    return [Step(number, match[1], match[2])
            for number, line in enumerate(model.splitlines(), 1)
            for match in [re.search(r"\bC: (\w+)\(\): (.+?)(?: \*/.*)?$", line)] if match]


def read_mutants(model):
    """Names; each has to be there, and so has the fault that it mirrors."""
    faults = re.findall(r"^= (.*)$", FAULTS.read_text(encoding="utf-8"), re.MULTILINE)
    listed = re.findall(r"^ \*   mutant (\w+) ([=:]) (.*)$", model, re.MULTILINE)
    names = [name for name, _, _ in listed]
    body = model[model.index("*/"):]
    used = set(re.findall(r"^#if.*\b(\w+)\b", body, re.MULTILINE)) \
        | set(re.findall(r"defined\((\w+)\)", body))
    for name, sign, title in listed:
        if name not in used:
            raise Failure(f"{MODEL.name}: mutant {name} changes nothing")
        if sign == "=" and title not in faults:
            raise Failure(f"{MODEL.name}: {FAULTS.name} has no fault \"{title}\"")
    unknown = used - set(names) - {*SCENARIOS, "ONE_LOOKER", "STEPS"}
    if unknown:
        raise Failure(f"{MODEL.name}: not in the list of mutants: {', '.join(sorted(unknown))}")
    return names


class Search:
    """One run of spin's verifier."""

    def __init__(self, scenario, *defines, compiler="tcc", several=False):
        self.scenario = scenario
        self.directory = BUILD / "model" / "-".join((scenario, *defines)).lower()
        self.defines = [f"-D{name}" for name in (scenario, *defines)]
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        shutil.copy(MODEL, self.directory)
        self.do(["spin", "-a", *self.defines, MODEL.name])
        fast = ["-O1"] if compiler == "gcc" else []
        self.do([compiler, *fast, *OPTIONS, "-o", "pan", "pan.c"])
        self.output = self.do(["./pan", *LIMITS, *(["-c25"] if several else [])])
        match = re.search(r"errors: (\d+)\n *(\S+) states, stored", self.output)
        if not match:
            raise Failure(f"no result in {self.directory}: {self.output[-200:]}")
        self.errors, self.states = int(match[1]), int(float(match[2]))

    def do(self, command):
        return run(command, f"{command[0]} failed in {self.directory}", cwd=self.directory)

    def broken(self):
        """What was found, by its name in the model"""
        found = []
        for what in re.findall(r"^pan:\d+: (.*?) \(at depth", self.output, re.MULTILINE):
            promise = re.search(r"assertion violated .*\|\|(\w+)\)$", what)
            found.append(promise[1] if promise else what)
        return list(dict.fromkeys(found))

    def trouble(self):
        """Why this does not show that there is no error, or None"""
        if self.errors:
            return ", ".join(self.broken()) + \
                f": spin -t -p {' '.join(self.defines)} {MODEL.name} in {self.directory} shows it"
        for words in ("max search depth too small", "Search not completed", "out of memory",
                      "MEMLIM bound", "Bit statespace", "Hash-Compact", "truncated"):
            if words.lower() in self.output.lower():
                return f"not exhaustive: {words}"
        if "Full statespace search" not in self.output:
            return "not exhaustive"
        return None

    def reached(self):
        """(process, step) of what was taken"""
        processes = re.findall(r"^unreached in (?:proctype )?(\w+)", self.output, re.MULTILINE)
        return {(processes[int(number)], name) for number, name
                in re.findall(r"^reached (\d+) (\w+)$", self.output, re.MULTILINE)}

    def there(self):
        """(process, step) of all that the verifier has"""
        found, process = set(), None
        for line in (self.directory / "pan.m").read_text().splitlines():
            match = re.match(r"\s*/\* PROC (\S+) \*/", line)
            process = match[1].strip(":") if match else process
            match = re.search(r'"reached %d " "(\w+)', line)
            if match:
                found.add((process, match[1]))
        return found


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def result(self, good, text):
        progress_line.clear()
        self.passed += good
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.passed + self.failed} {text}", flush=True)


def preprocessed(*defines):
    return run(["gcc", "-E", "-P", "-x", "c", *(f"-D{name}" for name in defines), MODEL],
               f"gcc cannot preprocess {MODEL.name}")


def search_mutant(name):
    """Where it is caught and what it breaks, or None. All that one looker can find
    is soon found; what takes two, in part. Only scenarios that it changes are searched."""
    changed = [scenario for scenario in SCENARIOS
               if preprocessed(scenario) != preprocessed(scenario, name)]
    for defines, several in (((name, "ONE_LOOKER"), True), ((name,), False)):
        for scenario in changed:
            search = Search(scenario, *defines, several=several)
            if search.errors:
                return search
    return None


def in_order(pool, function, items, what):
    """(item, result) in their order, computed by the pool"""
    futures = [(item, pool.submit(function, item)) for item in items]
    for item, future in futures:
        while not future.done():
            progress_line.show(f"{what} {item}")
            concurrent.futures.wait([future], timeout=1)
        yield item, future.result()


def check(report, pool, scenarios, mutants):
    there, reached = set(), set()
    broken = set()
    progress_line.start()
    for name, search in in_order(
            pool, lambda name: Search(name, "STEPS", compiler="gcc"), scenarios, "model"):
        trouble = search.trouble()
        report.result(not trouble, f"model {name.lower()}: {search.states:,} states, "
                      + (trouble or "no error"))
        there |= search.there()
        reached |= search.reached()
    if scenarios == SCENARIOS:
        missed = ", ".join(f"{process} {step}" for process, step in sorted(there - reached))
        report.result(bool(there) and not missed,
                      f"steps: {len(there)}, " + (f"never taken: {missed}" if missed else
                                                  "all are taken"))
    for name, search in in_order(pool, search_mutant, mutants, "mutant"):
        if search:
            broken |= set(search.broken())
        report.result(bool(search), f"mutant {name}: " + (
            f"{', '.join(search.broken())} ({search.scenario.lower()})" if search
            else "NOT caught"))
    return broken


def command_line():
    parser = Parser(__doc__)
    parser.add_argument("--steps", action="store_true",
                        help="only list the steps, with the lines of C that they represent")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="searches to run at once (default: one for each processor)")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"only these: {', '.join(SCENARIOS)}, or a mutant")
    args = parser.parse_args()
    model = MODEL.read_text(encoding="utf-8")
    mutants, functions = read_mutants(model), read_functions(SOURCE)
    steps = read_steps(model)
    places = [(step, step.place(functions, SOURCE)) for step in steps]
    if args.steps:
        for step, place in places:
            print(f"{MODEL.name}:{step.line}\t{SOURCE.name}:{place}\t"
                  f"{step.function}(): {step.text}")
        return 0
    unknown = set(args.names) - {*SCENARIOS, *mutants}
    if unknown:
        raise Failure(f"no such scenario or mutant: {', '.join(sorted(unknown))}")
    need(PROGRAMS)
    report = Report()
    report.result(bool(steps), f"source: {len(steps)} references to {SOURCE.name}, all there")

    def chosen(all_of_them):
        return type(all_of_them)(name for name in all_of_them
                                 if not args.names or name in args.names)
    with concurrent.futures.ThreadPoolExecutor(max(args.jobs, 1)) as pool:
        broken = check(report, pool, chosen(SCENARIOS), chosen(mutants))
    if not args.names:
        promises = re.findall(r"^hidden byte (\w+);", model, re.MULTILINE)
        never = ", ".join(name for name in promises if name not in broken)
        report.result(not never, f"promises: {len(promises)}, " + (
            f"broken by no mutant: {never}" if never else "each is broken by some mutant"))
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    main(command_line)
