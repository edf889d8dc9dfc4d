#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Stress eventfs in guests with harden/workers; see its --help. The last line is "N passed,
N failed". Logs are in build/logs.

Without KVM there are two guests, each for half of the time. One has two processors, and
nothing in it patches the kernel's code. The other has one processor and enables events.
"""

import math
import os
import random
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import mutants
from common import (REPO, Failure, Parser, main, matching, need, progress_line, say,
                    some_of, write_file)

# What its workers run
PROGRAMS = {"stress-ng": "stress-ng", "trace-cmd": "trace-cmd", "perf": "linux-perf",
            "inotifywait": "inotify-tools"}
# What else decides what a run does
SWITCHES = ("KERNEL", "CONFIG", "DEBUG", "BASE", "KSRC", "SMP", "MEM", "ICOUNT", "ACCEL", "ONLY")


def plan(args, kernel):
    """Name -> machine and switches of harden/workers. Before 8.2, QEMU may run code
    that another processor has just patched as it was before, which is fatal with an
    int3, or jumps to address 0: so where events are switched on there is one
    processor, unless KVM runs it."""
    # The checks after each phase take their time too.
    limit = math.ceil(args.minutes * 60 * (6 if kernel.slow else 3) + 900)

    def machine(smp):
        return guests.Machine(smp, args.mem, args.icount, args.accel,
                              args.timeout or str(limit))

    if args.icount or args.smp == "1":
        return {"one": (machine(args.smp), "")}
    if machine(args.smp).kvm(kernel.image()):
        return {"all": (machine(args.smp), "")}
    return {"many": (machine(args.smp), " --no-patching"), "one": (machine("1"), "")}


def workers():
    """Their names, as harden/workers lists them"""
    text = (REPO / "harden/workers").read_text(encoding="utf-8")
    listed = re.search(r"^WORKERS = \((.*?)^\)", text, re.MULTILINE | re.DOTALL)[1]
    return dict.fromkeys(re.findall(r'\("([a-z-]+)", ', listed))


def choose_kernel(args, scratch):
    if not args.fault:
        return kernel_build.from_arguments(args)
    faults = [fault for fault in mutants.read_faults() if args.fault in fault.title]
    if len(faults) != 1:
        raise Failure(f"{len(faults)} faults have such a title")
    return mutants.Mutant(args, args.config, faults[0], scratch)


def stress(args, kernel, guest, minutes, switches):
    """Runs it in a guest. True and False for what passed and failed."""
    text, everything = bytearray(), bytearray()
    command = (f"exec {REPO}/harden/workers --seed {args.seed} --minutes {minutes:g} "
               f"--stall {300 if kernel.slow else 120}{switches}"
               + (f" --only '{args.only}'" if args.only else ""))

    def collect(fd, data):
        everything.extend(data)
        # Standard error tells which phase it is, and what went wrong.
        for line in data.decode(errors="replace").splitlines() if fd == 2 else ():
            if line.startswith("phase "):
                progress_line.show(f"guest {guest.name}, {line}")
            else:
                say(line)
        if fd == 1:
            text.extend(data)

    try:
        status = guest.run(command, on_output=collect)
    except Failure as failure:
        say(str(failure))
        status = failure.status
    write_file(guest.output, everything)
    print(text.decode(errors="replace").rstrip(), flush=True)
    results = [word == b"ok" for word in re.findall(rb"^(ok|FAILED): ", text, re.M)]
    if status and all(results):
        say(f"harden/workers ended with status {status}")
        results.append(False)
    found = guest.warnings()
    for line in found[:10]:
        say(f"# {line.strip()}")
    print("FAILED: warnings in the kernel log" if found else
          "ok: no warnings in the kernel log", flush=True)
    results.append(not found)
    if not all(results):
        say(f"see {guest.output} and {guest.log}")
    return results


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser)
    guests.add_arguments(parser)
    parser.set_defaults(timeout=None)
    parser.add_argument("--minutes", metavar="N", default="10",
                        help="how long, for all guests together (default %(default)s)",
                        type=matching("MINUTES", r"(?=.*[1-9])\d{1,6}(\.\d+)?",
                                      "a number of minutes"))
    parser.add_argument("--seed", metavar="N", type=matching("SEED", "[0-9]+", "a number"),
                        help="the seed of an earlier run (default: a new one)")
    parser.add_argument("--only", metavar="WORKERS", help="run only these, separated by commas")
    parser.add_argument("--fault", metavar="WORDS", help="build this fault of "
                        "harden/mutants.txt into the kernel, to see if it is noticed")
    args = parser.parse_args()
    some_of(workers(), args.only, "worker")
    args.minutes = float(args.minutes)
    args.seed = args.seed or str(random.SystemRandom().getrandbits(31))
    others = "".join(f" {name}={os.environ[name]}" for name in SWITCHES
                     if os.environ.get(name))
    results = []
    with tempfile.TemporaryDirectory(prefix="eventfs-stress-") as scratch:
        kernel = choose_kernel(args, scratch)
        need(PROGRAMS)
        print(f"seed {args.seed}: run again with make stress SEED={args.seed} "
              f"MINUTES={args.minutes:g}{others}", flush=True)
        guests_to_run = plan(args, kernel)
        for name, (machine, switches) in guests_to_run.items():
            guest = guests.Guest(kernel.image(), f"stress-{name}-{kernel.name}", machine,
                                 kernel.debug, kernel.memory, kmemleak=False)
            results += stress(args, kernel, guest, args.minutes / len(guests_to_run), switches)
    print(f"{results.count(True)} passed, {results.count(False)} failed", flush=True)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(command_line))
