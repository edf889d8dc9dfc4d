#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Boot a kernel in QEMU and run a command in it.

The guest sees the host's root file system read-only; /tmp, /var/tmp and /run are
writable copies that vanish at the end. The command's output and exit status become this
program's. Without a command the demonstration runs, on a terminal followed by a shell.
"""

import contextlib
import fcntl
import math
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty
from pathlib import Path

import kernel as kernel_build
from common import (BUILD, GUEST_PROGRAMS, LOGS, REPO, Failure, Parser, cache, last_line,
                    lock, main, matching, need, one_of, progress_line, say, write_file)

QEMU = "qemu-system-x86_64"
PORTS = ("out", "err", "status", "terminal")
# Hidden below mounts of the guest's own.
HIDDEN = ("/dev", "/proc", "/run", "/sys")
LEAVE = b"\x1d"  # Ctrl-]
# With which the release kernel and the debug one come up, in megabytes: with less
# they end before they can say why, or never.
LEAST_MEMORY, LEAST_DEBUG_MEMORY = 40, 128

# What the kernel says when something is wrong with it.
WARNING = re.compile(
    r"\bBUG\b|\bWARNING\b|\bOops\b|KASAN|UBSAN|Kernel panic|Call Trace"
    r"|general protection|refcount_t|INFO: possible|possible circular"
    r"|possible recursive|suspicious RCU|invalid wait context"
    r"|kmemleak: [1-9]|hung task|blocked for more than|soft lockup|rcu: INFO"
    r"|ODEBUG:|list_(add|del) corruption")
# Boot messages that name such things without complaint.
HARMLESS = re.compile(r"KernelAddressSanitizer initialized|Command line:"
                      r"|rcu: INFO:? .*(enabled|tracing)"
                      r"|kmemleak: .*(initialized|disabled)")
# What a module's load says, with a call trace, when a test makes its allocations fail
ON_PURPOSE = re.compile(r"^.* eventfs_fault_t: vmalloc error: (?:.*\n)+?.*</TASK>\n|"
                        r"^.*cut here.*\n.*(?:jump_label may not work|event_define_fields)"
                        r"(?:.*\n){1,4}.*Comm: eventfs_fault_t(?:.*\n)+?.*end trace.*\n",
                        re.MULTILINE)
# Reports of KCSAN and KMSAN, which have some of the rest of the kernel; ours is one in
# which the innermost functions of an access, or of where the memory comes from, beside
# helpers, are of fs/tracefs.
REPORT = re.compile(r"^.*BUG: K[CM]SAN: (?:.*\n)+?.*={50}\n", re.MULTILINE)
OURS = re.compile(r"(?: by (?:task|interrupt).*:|KMSAN: .*| (?:created|stored to memory) at:)\n"
                  r"(?:.*\n){0,2}.* (?:eventfs|tracefs)_")
# Races that fs/tracefs can do nothing about, each with the reason.
RACES_OF_OTHERS = {
    # Each mount of what is mounted says again that it is born, in s_flags, where the
    # check of a permission looks for POSIX ACLs, without a mark.
    "generic_permission / vfs_get_tree",
    # Two lookups in one directory: start_dir_add() reads i_dir_seq without a mark,
    # before the cmpxchg() that tells whether it was read well.
    "__d_add / __d_add",
    # A task that waits for a lookup reads d_flags under d_lock. d_set_d_op() of v6.12
    # changes d_flags in that lookup without this lock.
    "d_alloc_parallel / d_set_d_op",
    # A lockref, whose count is changed with its lock or by a marked cmpxchg
    "lockref_get / lockref_get",
    # A task notes in its flags that it used a privilege; the scheduler reads others.
    "capable_wrt_inode_uidgid / kthread_is_per_cpu",
}


def add_arguments(parser):
    """The switches of the machine, for tools that boot one."""
    check_paths()
    cpus = parser.add_mutually_exclusive_group()
    cpus.add_argument("--smp", metavar="N", help="number of virtual CPUs (default 2)",
                      type=matching("SMP", "[1-8]", "a number of CPUs, from 1 to 8"))
    cpus.add_argument("--icount", action="store_true",
                      help="make the guest's clock count instructions: "
                      "repeatable, one CPU")
    parser.add_argument("--mem", metavar="SIZE", help="memory, such as 512M (default 1G; 2G "
                        "or 4G for kernels that need more)", type=size)
    parser.add_argument("--accel", metavar="NAME", default="auto",
                        help="kvm, tcg, or auto: KVM where it works, else TCG",
                        type=one_of("ACCEL", ("auto", "kvm", "tcg")))
    parser.add_argument("--timeout", metavar="SECONDS", default="1800",
                        help="stop a guest that runs longer (default %(default)s)",
                        type=matching("TIMEOUT", r"[1-9]\d{0,8}", "a number of seconds"))


def size(mem):
    """The type of --mem"""
    matching("MEM", r"[1-9]\d{0,5}[MG]?", "a size such as 512M or 2G")(mem)
    check_memory(mem, debug=False)
    return mem


def check_memory(mem, debug):
    least = LEAST_DEBUG_MEMORY if debug else LEAST_MEMORY
    if mem and int(mem.rstrip("MG")) * (1024 if mem.endswith("G") else 1) < least:
        raise Failure(f"MEM={mem}: the {'debug ' if debug else ''}kernel needs {least}M to "
                      "boot", 2)


class Machine:
    """What the guest's hardware is like, and how long it may take."""

    def __init__(self, smp=None, mem=None, icount=False, accel="auto",
                 timeout="1800"):
        self.smp = "1" if icount else smp or "2"
        self.mem = mem
        self.icount = icount
        self.accel = "tcg" if icount else accel
        self.timeout = int(timeout)

    def kvm(self, image):
        return self.accel == "kvm" or self.accel == "auto" and kvm_works(image)

    def clock(self, image):
        """Kernel parameters for the clock. Under TCG this is the host's TSC, or the
        count of instructions, and the only clock finer than a tick. The kernel often
        fails to measure its rate on a busy host."""
        khz = 1000000 if self.icount else host_tsc_khz()
        if self.kvm(image) or not khz:
            return []
        return ["tsc=reliable", f"tsc_early_khz={khz}"]

    def arguments(self, image, mem):
        words = ["-m", self.mem or mem,
                 # A socket each: the table of processors that this kernel reads
                 # names one processor of a socket.
                 "-smp", f"{self.smp},sockets={self.smp}"]
        if self.kvm(image):
            return words + ["-accel", "kvm", "-cpu", "host"]
        # Five levels of page tables only make TCG slower.
        words += ["-cpu", "max,la57=off"]
        if self.icount:
            return words + ["-accel", "tcg,thread=single", "-seed", "1",
                            "-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]
        return words + ["-accel", "tcg,thread=multi"]


def host_tsc_khz():
    """The rate of the host's TSC, or None: where frequencies change, what the
    host says is another one."""
    if Path("/sys/devices/system/cpu/cpu0/cpufreq").exists():
        return None
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    match = re.search(r"^cpu MHz\s*: (\d+)\.(\d{3})", cpuinfo, re.MULTILINE)
    return int(match[1] + match[2]) if match else None


def kvm_works(image):
    """Whether a kernel starts under KVM: /dev/kvm alone does not tell, some
    machines have one that never runs a guest. Asked once per host boot."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    answer = cache() / f"kvm-{boot}"
    with lock(cache() / "locks/kvm.lock", "waiting for another run that tries KVM"):
        if not answer.exists():
            # Without a root it panics, which ends QEMU, all within a second.
            command = [QEMU, "-accel", "kvm", "-cpu", "host", "-m", "512M",
                       "-nodefaults", "-display", "none", "-no-reboot",
                       "-serial", "stdio", "-kernel", str(image / "bzImage"),
                       "-append", "console=ttyS0 panic=-1"]
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL,
                                      capture_output=True, timeout=4, check=False)
                works = b"Kernel panic" in done.stdout
            except subprocess.TimeoutExpired:
                works = False
            for old in cache().glob("kvm-*"):
                old.unlink()
            write_file(answer, b"works" if works else b"broken")
    return answer.read_text(encoding="ascii") == "works"


@contextlib.contextmanager
def log_file(name):
    """build/logs/<name>.log, or <name>-2.log while another run writes there."""
    for number in range(1, 100):
        path = LOGS / (f"{name}.log" if number == 1 else f"{name}-{number}.log")
        with open(path, "a", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            file.truncate(0)
            yield path
            return
    raise Failure(f"too many guests write to {LOGS}/{name}.log")


@contextlib.contextmanager
def run_directory():
    """Files that the guest reads, seen there at the same path."""
    parent = BUILD / "run"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        if not Path("/proc", old.name.split("-")[0]).exists():
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=parent) as path:
        yield Path(path)


def check_paths():
    """Where what the guest reads may not be"""
    for path, mend in ((REPO, "move the checkout"), (BUILD, "set EVENTFS_BUILD to another")):
        if re.search(r"\s", str(path)):
            raise Failure(f"{path}: the kernel's command line cannot contain a path with "
                          f"a space; {mend}")
        if str(path).startswith(tuple(f"{top}/" for top in HIDDEN)):
            raise Failure(f"{path} is hidden in the guest, which has its own "
                          f"{' '.join(HIDDEN)}; {mend}")


class Guest:
    """One boot of an image."""

    def __init__(self, image, name, machine, debug=False, mem="1G",
                 kmemleak=True, kunit=None, cmdline=(), objects=None):
        check_memory(machine.mem, debug)
        need(GUEST_PROGRAMS)
        self.image = image
        self.name = name
        self.machine = machine
        self.debug = debug
        self.mem = mem
        # Whether kmemleak watches
        self.leaks = debug and kmemleak
        self.kunit = kunit
        self.cmdline = cmdline
        # Where the image was built, if it is to wait for gdb
        self.objects = objects
        self.log = None
        # For what its command writes
        self.output = LOGS / f"{name}.txt"
        LOGS.mkdir(parents=True, exist_ok=True)

    def run(self, command, shell=False, on_output=None):
        """Runs command in the guest and returns its status. Its output goes to
        ours, or to on_output(file descriptor, bytes)."""
        with run_directory() as rundir, log_file(self.name) as self.log:
            write_file(rundir / "command", command.encode())
            write_file(rundir / "cwd", os.getcwd().encode())
            if (self.image / "lib").exists():
                # Links to the tree where they were built
                shutil.copytree(self.image / "lib", rundir / "lib",
                                ignore=shutil.ignore_patterns("build", "source"))
            if shell:
                write_file(rundir / "terminal", os.environ.get("TERM", "linux").encode() + b"\n")
            return self.boot(rundir, on_output)

    def boot(self, rundir, on_output):
        pairs = {name: socket.socketpair() for name in PORTS}
        errors = rundir / "qemu"
        with open(errors, "w", encoding="utf-8") as file, subprocess.Popen(
                self.qemu(rundir, {name: pair[1].fileno()
                                   for name, pair in pairs.items()}),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
                pass_fds=[pair[1].fileno() for pair in pairs.values()]) as qemu:
            try:
                for _, theirs in pairs.values():
                    theirs.close()
                relay = Relay({name: pair[0] for name, pair in pairs.items()},
                              on_output or write_all,
                              self.machine.timeout)
                progress_line.start()
                progress_line.show(f"guest {self.name}")
                status = relay.until_end()
                progress_line.clear()
            finally:
                qemu.kill()
                for ours, _ in pairs.values():
                    ours.close()
        self.decode()
        if status is None:
            self.explain(relay.timed_out, errors.read_text(errors="replace"))
        return status

    def root(self, rundir):
        """Where the guest has its root and the command from: what to tell the kernel, and
        QEMU."""
        return (["ro", "root=/dev/root", "rootfstype=9p",
                 "rootflags=trans=virtio,version=9p2000.L,msize=262144,cache=loose",
                 f"init={REPO}/dev/guest/init.sh", f"eventfs_run={rundir}"],
                ["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,"
                 "multidevs=remap", "-device", "virtio-9p-pci,fsdev=root,mount_tag=/dev/root"])

    def qemu(self, rundir, ports):
        # The kernel's log goes to a file, whose name may hold commas.
        log = str(self.log).replace(",", ",,")
        append = ["console=ttyS0", "earlyprintk=serial,ttyS0,115200", "panic=-1",
                  # After an oops the results mean nothing, and the guest may hang.
                  "oops=panic",
                  # On a busy host the timer may be too slow for this test of it, which
                  # ends in a panic.
                  "no_timer_check", *self.machine.clock(self.image), *self.cmdline]
        root, storage = self.root(rundir)
        append += root
        # KUnit's suites would run at each boot; v6.12 has no kunit.autorun yet.
        append += (["kunit.enable=1", "kunit.autorun=1",
                    f"kunit.filter_glob={self.kunit}"]
                   if self.kunit else ["kunit.enable=0"])
        if self.debug:
            # Checks of every slab cache would make all of it twice as slow;
            # kmemleak does so three times.
            append.append("slub_debug=FZPU,eventfs*,tracefs*")
            if not self.leaks:
                append.append("kmemleak=off")
        words = ["setpriv", "--pdeathsig", "KILL", QEMU,
                 "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 *self.machine.arguments(self.image, self.mem),
                 "-kernel", str(self.image / "bzImage"), "-append", " ".join(append),
                 "-chardev", f"file,id=log,path={log}", "-serial", "chardev:log",
                 *storage, "-device", "virtio-serial-pci"]
        if self.objects:
            words += ["-S", "-gdb", f"unix:{rundir}/gdb,server=on,wait=off"]
            say("The guest waits for gdb. In another terminal, run:\n\n"
                f"    gdb -iex 'add-auto-load-safe-path {self.objects.parent}' "
                f"-ex 'target remote {rundir}/gdb' -ex 'hbreak eventfs_lookup' -ex continue "
                f"{self.objects}/vmlinux\n\n"
                "The kernel adds commands to gdb: lx-dmesg, lx-ps and others.")
        for name, number in ports.items():
            device = "virtconsole" if name == "terminal" else "virtserialport"
            words += ["-chardev", f"socket,id={name},fd={number}",
                      "-device", f"{device},chardev={name},name={name}"]
        return words

    def explain(self, timed_out, errors):
        """Why there is no exit status: the end of the log, and a line."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines()[-30:]:
            say(line)
        if timed_out:
            raise Failure(f"the guest was stopped after {self.machine.timeout} s "
                          f"(TIMEOUT= sets the limit); its log: {self.log}", 124)
        if not text.strip() and errors.strip():
            raise Failure(f"QEMU did not start: {last_line(errors)}")
        if not text.strip():
            raise Failure("the guest stopped before its kernel printed anything"
                          + (f": is MEM={self.machine.mem} enough?" if self.machine.mem else ""))
        raise Failure(f"the guest crashed; its log: {self.log}", 125)

    def decode(self):
        """Writes what the kernel complained of once more, the call traces with files
        and lines: those of fs/tracefs at least, if what it was built in is there."""
        tree = self.warnings() and kernel_build.tree_of(self.image)
        if not tree:
            return
        decoded = self.log.with_suffix(".decoded")
        with open(self.log, "rb") as log, open(decoded, "wb") as to:
            try:
                subprocess.run([tree / "src/scripts/decode_stacktrace.sh",
                                tree / "out/vmlinux", tree / "src"], stdin=log, stdout=to,
                               stderr=subprocess.DEVNULL, timeout=300, check=False)
            except subprocess.TimeoutExpired:
                pass
        say(f"call traces with source lines: {decoded}")

    def warnings(self):
        """The lines in the kernel's log that tell of something wrong."""
        return warnings_in(self.log.read_text(encoding="utf-8", errors="replace"))


def is_ours(report):
    """Whether one of KCSAN or KMSAN is about fs/tracefs"""
    title = re.search(r"data-race in (.*)", report)
    return bool(OURS.search(report)) and not (title and title[1] in RACES_OF_OTHERS)


def warnings_in(text):
    text = REPORT.sub(lambda found: found[0] if is_ours(found[0]) else "", ON_PURPOSE.sub("", text))
    return [line for line in text.splitlines()
            if WARNING.search(line) and not HARMLESS.search(line)]


class Relay:
    """Passes on what comes out of the guest's ports, and the terminal."""

    def __init__(self, ports, on_output, timeout):
        self.ports = ports
        self.on_output = on_output
        self.deadline = time.monotonic() + timeout
        self.timed_out = False
        self.status_text = b""
        self.saved = None
        self.selector = selectors.DefaultSelector()
        for name, port in ports.items():
            self.selector.register(port, selectors.EVENT_READ, name)

    def until_end(self):
        """Until QEMU is gone: the status, or None if the guest gave none."""
        try:
            while any(key.data != "keys"
                      for key in self.selector.get_map().values()):
                left = self.deadline - time.monotonic()
                if self.saved is None and left <= 0:
                    self.timed_out = True
                    return None
                progress_line.tick()
                for key, _ in self.selector.select(1):
                    if not self.one(key):
                        return self.status()
        finally:
            self.cooked()
            self.selector.close()
        return self.status()

    def one(self, key):
        """Handles one file that has something; False ends it all."""
        try:
            data = os.read(key.fd, 65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.selector.unregister(key.fileobj)
        elif key.data in ("out", "err"):
            self.on_output(1 if key.data == "out" else 2, data)
        elif key.data == "terminal":
            write_all(1, data)
        elif key.data == "keys":
            if LEAVE in data:
                return False
            self.ports["terminal"].sendall(data)
        else:
            self.status_text += data
            if b"shell\n" in self.status_text and self.saved is None:
                self.raw()
        return True

    def raw(self):
        say("A shell in the guest: Ctrl-D ends it, Ctrl-] kills the guest.")
        self.saved = termios.tcgetattr(0)
        tty.setraw(0)
        self.selector.register(0, selectors.EVENT_READ, "keys")
        signal.signal(signal.SIGWINCH, lambda *_: self.tell_size())
        self.tell_size()

    def tell_size(self):
        """Rows and columns, which the guest's init gives to its terminal"""
        size = shutil.get_terminal_size()
        with contextlib.suppress(OSError):
            self.ports["status"].sendall(f"{size.lines} {size.columns}\n".encode())

    def cooked(self):
        if self.saved is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)

    def status(self):
        match = re.search(rb"^exit (\d+)$", self.status_text, re.MULTILINE)
        if match:
            return int(match[1])
        # Left with Ctrl-]: the demonstration's own status is not known.
        return 0 if self.saved is not None else None


def write_all(fd, data):
    progress_line.clear()
    while data:
        data = data[os.write(fd, data):]


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser)
    add_arguments(parser)
    parser.add_argument("command", nargs="?", help="shell command to run in the guest "
                        "(default: the demonstration)")
    parser.add_argument("--cmd", metavar="COMMAND", help="the same")
    parser.add_argument("--gdb", action="store_true", help="stop at boot, wait for gdb, and print "
                        "how to start it (make debug)")
    parser.add_argument("--image", metavar="DIR", help="boot DIR/bzImage, built by another "
                        "program, and run its KUnit suites")
    args = parser.parse_args()
    command = args.command or args.cmd
    machine = Machine(args.smp, args.mem, args.icount, args.accel, args.timeout)
    check_memory(args.mem, "debug" in kernel_build.FRAGMENTS[args.config])
    if args.gdb:
        if args.config not in ("release", "gdb"):
            raise Failure("make debug uses its own configuration: leave out CONFIG and DEBUG", 2)
        # A debugger may stop the guest for any time.
        args.config, machine.timeout = "gdb", math.inf
    if args.image:
        image = Path(args.image)
        if not (image / "bzImage").is_file():
            raise Failure(f"--image {image}: it has no bzImage")
        guest = Guest(image, "run-image", machine, kunit="*")
    else:
        kernel = kernel_build.from_arguments(args)
        guest = Guest(kernel.image(), f"run-{args.kernel}-{kernel.config}", machine,
                      kernel.debug, kernel.memory,
                      objects=kernel.objects() if args.gdb else None)
    shell = command is None and sys.stdin.isatty() and sys.stdout.isatty()
    demonstration = "true" if args.gdb else f"exec {REPO}/dev/guest/demo.sh"
    status = guest.run(command or demonstration, shell=shell)
    found = guest.warnings()
    if found:
        say(f"{len(found)} warnings in the kernel log, first: {found[0].strip()}")
        say(f"its log: {guest.log}")
        if command is None:
            status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main(command_line))
