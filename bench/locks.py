#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Count how often tasks on 4 and 8 processors wait for a lock in this eventfs and the stock
one. Prints tables, and writes them to build/bench."""

import collections
import re
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import guest as guests
import kernel as kernel_build
import source as kernel_source
from common import BUILD, REPO, Failure, Parser, main, table, write_file
from kernel import KERNELS, Kernel

PROCESSORS = (4, 8)
SHOWN = 8
# class: contentions, ... acquisitions, see Documentation/locking/lockstat.rst. A class has
# a line each for readers and writers, and a number if others have the same name.
LINE = re.compile(r"^ *(\S.*?)(?:#\d+)?(?:/\d+)?(?:-[RW])?: +\d+ +(\d+)(?: +[\d.]+){4} +\d+ +(\d+) ",
                  re.MULTILINE)


def measure(kernel, processors):
    """What was done -> lock -> contentions and acquisitions"""
    guest = guests.Guest(kernel.image(), f"locks-{processors}-{kernel.name}",
                         guests.Machine(str(processors), accel="tcg"))
    text = bytearray()
    status = guest.run(f"{REPO}/bench/locks.sh {processors}",
                       on_output=lambda fd, data: text.extend(data if fd == 1 else b""))
    write_file(guest.output, text)
    found = guest.warnings()
    if status or found:
        raise Failure(f"locks.sh ended with status {status}, and the kernel's log has "
                      f"{len(found)} warnings; see {guest.log}")
    measured = {}
    for part in text.decode(errors="replace").split("== ")[1:]:
        what, _, statistics = part.partition("\n")
        locks = measured[what] = collections.defaultdict(lambda: [0, 0])
        for name, contentions, acquisitions in LINE.findall(statistics):
            locks[name][0] += int(contentions)
            locks[name][1] += int(acquisitions)
    return measured


def tables(processors, measured):
    """One for each kind of use: the locks that tasks waited for most often, and ours"""
    text = ""
    for what in measured["eventfs"]:
        locks = {which: measured[which][what] for which in KERNELS}
        names = {name for which in KERNELS for name, counts in locks[which].items() if counts[0]}
        names = sorted(names, key=lambda name: -max(locks[which][name][0] for which in KERNELS))
        own = {name for name in locks["eventfs"] if re.search("eventfs|tracefs|root->lock", name)}
        rows = [[name, *(f"{count:,}" for which in KERNELS for count in locks[which][name])]
                for name in [*names[:SHOWN], *sorted(own - set(names[:SHOWN]))]]
        text += table([f"{processors} processors, {what}", "eventfs: waits", "of",
                       "stock: waits", "of"], rows)
    return text


def command_line():
    guests.check_paths()
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    args = parser.parse_args()
    kernel_source.needs_stock(args.ksrc, "make bench-locks")
    kernels = {which: Kernel(which, "locks", args.base, args.ksrc) for which in KERNELS}
    text = ""
    for processors in PROCESSORS:
        text += tables(processors, {which: measure(kernel, processors)
                                    for which, kernel in kernels.items()})
    print(text, end="")
    write_file(BUILD / "bench" / f"locks-{args.base}.txt", text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
