#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests where they find more: on kernels with KCSAN, KMSAN, strict RCU and
PREEMPT_RT, on a small kernel, with little memory and on other architectures. Then fuzz
and stress the debug kernel for a few minutes. Results have the form of "make test"'s."""

import functools
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import kernel as kernel_build
import guest as guests
import ktap
import test
from common import REPO, Failure, Parser, main, need

# What a kernel's log says once its checks are on; one that says nothing of the
# kind would find nothing either.
AT_WORK = {
    "strict": "RCU strict (and thus non-scalable) grace periods", "rt": "PREEMPT_RT",
    "kcsan": "kcsan: enabled early", "kmsan": "Starting KernelMemorySanitizer",
}
# Of which 30 are free once the release kernel is up
LITTLE_MEMORY = "64M"
# Prefix of the cross compiler, and the packages that build and boot.
ARCHITECTURES = {
    "i386": ("i686-linux-gnu-", {"i686-linux-gnu-gcc": "gcc-i686-linux-gnu",
                                 "qemu-system-i386": "qemu-system-x86"}),
    "arm64": ("aarch64-linux-gnu-", {"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
                                     "qemu-system-aarch64": "qemu-system-arm"}),
    # 64 bits, the most significant byte first
    "s390": ("s390x-linux-gnu-", {"s390x-linux-gnu-gcc": "gcc-s390x-linux-gnu",
                                  "qemu-system-s390x": "qemu-system-misc"}),
}


class Hardening(test.Suites):
    """The suites of "make harden"."""

    def plan(self):
        kernels = ("kcsan", "strict", "rt", "small", "kmsan")
        suites = {name: functools.partial(self.on_kernel, name) for name in kernels}
        suites |= {name: functools.partial(self.elsewhere, name)
                   for name in ARCHITECTURES}
        return suites | {
            "memory": self.little_memory, "faults": self.faults,
            "fuzz": functools.partial(self.tool, "fuzz.py", ["--seconds=300"]),
            "stress": functools.partial(self.tool, "stress.py",
                                        ["--debug", "--minutes=5"]),
        }

    def on_kernel(self, config, report):
        """KUnit and our selftests. Memory leaks are for the debug kernel, with
        one processor; here there are two, where the kernel has them."""
        kernel = self.kernel(config)
        machine = self.single if config == "small" else self.machine
        log = self.run_kunit(report, kernel, machine, kmemleak=False)
        if config in AT_WORK:
            report.check(f"{config} is at work", AT_WORK[config] in log,
                         f'the log has no "{AT_WORK[config]}"')
        self.run_programs(report, kernel, machine, kmemleak=False)
        # Those in shell have one thread, and would take half an hour where each access
        # is looked at; and the small kernel has no kprobes, without which they end.
        if not kernel.slow and config != "small":
            self.run_shell(report, kernel, machine)

    def little_memory(self, report):
        """What a user can hold, and events that come and go while others find no
        memory: here the guest has little, too."""
        kernel = self.kernel("release")
        args = self.args
        machine = guests.Machine(args.smp, args.mem or LITTLE_MEMORY, args.icount,
                                 args.accel, args.timeout)
        guest = self.guest("memory", kernel, machine)
        test.run_races(report, guest, kernel, args, test.LIMITS)
        test.check_log(report, guest, kernel)

    def faults(self, report):
        """Each allocation of each operation fails in turn, of the thousands that make
        an instance as well: on a kernel that is quick enough for this."""
        kernel = self.kernel("faults")
        guest = self.guest("faults", kernel, self.single)
        test.run_races(report, guest, kernel, self.args, test.FAULTS, faults="0")
        test.check_log(report, guest, kernel)

    def elsewhere(self, arch, report):
        """KUnit on another architecture, by the kernel's own tool."""
        prefix, programs = ARCHITECTURES[arch]
        need(programs)
        kernel = self.kernel(arch)
        output = test.run_kunit_py(kernel, f"--arch={arch}", f"--cross_compile={prefix}",
                                   "--make_options", f"CC=ccache {prefix}gcc")
        results = ktap.kunit_results(output)
        if not results:
            raise Failure("no KUnit case ran")
        for result in results:
            report.result(*result)
        report.check("kernel log", not guests.warnings_in(output))

    def tool(self, name, words, report):
        """Another tool, whose figures go where progress does."""
        # What make passed on of these is meant for this one.
        env = {key: value for key, value in os.environ.items()
               if key not in ("ONLY", "CASE", "RESULTS")}
        source = f"--ksrc={self.args.ksrc}" if self.args.ksrc else f"--base={self.base}"
        done = subprocess.run([REPO / "harden" / name, source, *words], env=env,
                              stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        report.check(" ".join([name, *words]), done.returncode == 0,
                     f"status {done.returncode}, see its output above")


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    test.add_arguments(parser)
    args = parser.parse_args()
    return test.run_suites(Hardening(args, args.base).plan(), args, lanes=test.LANES)


if __name__ == "__main__":
    sys.exit(main(command_line))
