# SPDX-License-Identifier: GPL-2.0-only
"""Guests, played by a toy QEMU, and their logs."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import common
import guest
import picture
from tools import GUEST, TOOLS, ToolsTest


# Stands in for QEMU: finds the log and the ports in its arguments, as the guest
# does, and plays what the test says.
TOY_QEMU = """\
#!{python}
import os, re, sys, time
words = " ".join(sys.argv)
log = open(re.search(r"file,id=log,path=(\\S+)", words)[1], "a")
port = {{name: int(number) for name, number
        in re.findall(r"socket,id=(\\w+),fd=(\\d+)", words)}}
run = re.search(r"eventfs_run=(\\S+)", words)[1]
command = open(run + "/command").read()
log.write("booting\\n")
log.flush()
{play}
"""


class Guests(ToolsTest):
    def setUp(self):
        super().setUp()
        self.bin = self.top / "bin"
        self.bin.mkdir()
        self.machine = guest.Machine(accel="tcg", timeout="60")
        for name in ("BUILD", "LOGS"):
            patcher = mock.patch.object(guest, name, self.top / name)
            patcher.start()
            self.addCleanup(patcher.stop)
        patcher = mock.patch.dict(
            os.environ, PATH=f"{self.bin}:{os.environ['PATH']}")
        patcher.start()
        self.addCleanup(patcher.stop)

    def boot(self, play, command="true"):
        qemu = self.bin / guest.QEMU
        qemu.write_text(TOY_QEMU.format(python=sys.executable, play=play))
        qemu.chmod(0o755)
        output = {1: b"", 2: b""}

        def collect(fd, data):
            output[fd] += data
        with mock.patch.object(guest, "say") as said:
            one = guest.Guest(self.top, "toy", self.machine)
            try:
                status = one.run(command, on_output=collect)
            finally:
                self.said = [call.args[0] for call in said.call_args_list]
        return status, output[1], output[2]

    def test_output_can_be_written_before_the_boot(self):
        guest.Guest(self.top, "toy", self.machine).output.write_text("")

    def test_clock_of_the_guest(self):
        self.assertEqual(guest.Machine(icount=True).clock(self.top),
                         ["tsc=reliable", "tsc_early_khz=1000000"])
        with mock.patch.object(guest, "host_tsc_khz", return_value=None):
            self.assertEqual(self.machine.clock(self.top), [])
        self.assertEqual(guest.Machine(accel="kvm").clock(self.top), [])

    def test_output_and_status_come_out(self):
        result = self.boot("os.write(port['out'], b'o\\0\\xff' + command.encode())\n"
                           "os.write(port['err'], b'e')\n"
                           "os.write(port['status'], b'exit 7\\n')", "echo 'x' $y")
        self.assertEqual(result, (7, b"o\0\xffecho 'x' $y", b"e"))
        self.assertEqual(self.said, [])

    def test_much_output_arrives_whole(self):
        _, out, _ = self.boot("out = os.fdopen(port['out'], 'wb')\n"
                              "out.write(b'0123456789' * 200000)\nout.flush()\n"
                              "os.write(port['status'], b'exit 0\\n')")
        self.assertEqual(len(out), 2000000)

    def test_panic_ends_with_the_log(self):
        with self.assertRaisesRegex(common.Failure, r"the guest crashed.*toy\.log") as caught:
            self.boot("log.write('Kernel panic - not syncing: toy\\n')")
        self.assertEqual(caught.exception.status, 125)
        self.assertEqual(self.said, ["booting", "Kernel panic - not syncing: toy"])

    def test_hang_ends_with_the_log(self):
        with self.assertRaisesRegex(common.Failure, "was stopped after 2 s.*TIMEOUT") as caught:
            self.machine.timeout = 2
            self.boot("time.sleep(60)")
        self.assertEqual(caught.exception.status, 124)
        self.assertEqual(self.said, ["booting"])

    def test_qemu_that_does_not_start(self):
        with self.assertRaisesRegex(common.Failure, "QEMU did not start: no such CPU"):
            self.boot("log.truncate(0)\nsys.exit('no such CPU')")
        with self.assertRaisesRegex(common.Failure, "printed anything: is MEM=41M enough"):
            self.machine.mem = "41M"
            self.boot("log.truncate(0)")

    def test_size_of_the_terminal(self):
        """The guest receives it at the beginning, and when it changes."""
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        with ours, theirs, contextlib.ExitStack() as stack:
            for where, name in ((guest.termios, "tcgetattr"), (guest.termios, "tcsetattr"),
                                (guest.tty, "setraw"), (guest, "say")):
                stack.enter_context(mock.patch.object(where, name))
            size = stack.enter_context(mock.patch.object(guest.shutil, "get_terminal_size"))
            relay = guest.Relay({"status": ours}, None, 60)
            relay.selector = mock.Mock()
            for lines, columns in ((33, 101), (44, 155)):
                size.return_value = os.terminal_size((columns, lines))
                if relay.saved is None:
                    relay.raw()
                else:
                    os.kill(os.getpid(), signal.SIGWINCH)
                self.assertEqual(theirs.recv(100), f"{lines} {columns}\n".encode())
            relay.cooked()
            self.assertEqual(signal.getsignal(signal.SIGWINCH), signal.SIG_DFL)

    def test_shell_has_what_it_names(self):
        """Its history is what it says one may try, and nothing of the host's."""
        (self.top / ".bash_history").write_text("of the host\n")
        done = subprocess.run(["bash", "--rcfile", GUEST / "bashrc", "-i"], text=True,
                              input="history\nexit\n", capture_output=True, check=False,
                              env={**self.env, "HOME": str(self.top)})
        named, had = done.stdout.split("Commands to try", 1)[1].split("\n\n", 1)
        named = [line.strip() for line in named.splitlines()[1:] if line.startswith("  ")]
        had = [re.sub(r"^ *[0-9]+ +", "", line) for line in had.splitlines()]
        self.assertGreater(len(named), 3)
        self.assertEqual(had[:-1], named[::-1])

    def test_picture_has_no_wrapped_command(self):
        for command in picture.SESSION:
            self.assertLess(len(f"eventfs /sys/kernel/tracing # {command}"), picture.COLUMNS)

    def test_guest_goes_with_its_tool(self):
        """Killed without a chance to clean up: QEMU ends as well."""
        (self.bin / "setpriv").symlink_to(shutil.which("setpriv"))
        qemu = self.bin / guest.QEMU
        qemu.write_text(TOY_QEMU.format(python=sys.executable, play="time.sleep(60)"))
        qemu.chmod(0o755)
        tool = self.start("-c", f"import sys; sys.path.insert(0, {str(TOOLS['guest'].parent)!r})\n"
                          "import guest; from pathlib import Path\n"
                          f"guest.Guest(Path({str(self.top)!r}), 'toy', "
                          "guest.Machine(accel='tcg')).run('true')",
                          PATH=os.environ["PATH"])
        log = self.top / "build/logs/toy.log"
        for _ in range(200):
            if log.exists() and log.read_text():
                break
            time.sleep(0.05)
        tool.kill()
        tool.communicate()
        for _ in range(100):
            running = subprocess.run(["pgrep", "-f", str(qemu)], check=False,
                                     capture_output=True)
            if not running.stdout:
                return
            time.sleep(0.05)
        self.fail("QEMU still runs")


class Logs(ToolsTest):
    def test_two_guests_have_two_logs(self):
        with mock.patch.object(guest, "LOGS", self.top):
            with guest.log_file("x") as first, guest.log_file("x") as second:
                self.assertNotEqual(first, second)

    def test_kernel_warnings(self):
        bad = ["[ 1.0] WARNING: CPU: 0 PID: 1 at fs/inode.c:1 f+0x1/0x2",
               "[ 1.0] BUG: KASAN: slab-use-after-free in f+0x1/0x2",
               "[ 1.0] WARNING: possible circular locking dependency detected",
               "[ 1.0] INFO: possible recursive locking detected",
               "[ 1.0] WARNING: suspicious RCU usage",
               "[ 1.0] rcu: INFO: rcu_sched self-detected stall on CPU",
               "[ 1.0] kmemleak: 2 new suspected memory leaks",
               "[ 1.0] refcount_t: underflow; use-after-free.",
               "[ 1.0] INFO: task x:1 blocked for more than 120 seconds.",
               "[ 1.0] Oops: general protection fault"]
        fine = ["[ 0.0] kasan: KernelAddressSanitizer initialized",
                "[ 0.0] rcu: \tRCU callback double-/use-after-free debug is enabled.",
                "[ 0.0] kmemleak: Kernel memory leak detector initialized",
                "[ 0.0] PCI: if necessary, use \"pci=nocrs\" and report a bug"]
        self.assertEqual(guest.warnings_in("\n".join(bad + fine)), bad)

    def test_failures_on_purpose_are_none(self):
        trace = "[ 1.0] Call Trace:\n[ 1.0]  <TASK>\n[ 1.0]  more+0x1/0x2\n[ 1.0]  </TASK>\n"
        for ours, program in ((0, "eventfs_fault_t"), (1, "cat")):
            text = f"[ 1.0] {program}: vmalloc error: size 4096, failed\n{trace}[ 1.1] more\n"
            self.assertEqual(len(guest.warnings_in(text)), ours)
            self.assertEqual(len(guest.warnings_in(text + trace)), ours + 1)
        for ours, what, program in (
                (0, "jump_label may not work\n[ 1.0] WARNING: CPU: 0", "eventfs_fault_t"),
                (0, "WARNING: CPU: 0 event_define_fields+0x1", "eventfs_fault_t"),
                (2, "WARNING: CPU: 0 event_define_fields+0x1", "cat"),
                (2, "WARNING: CPU: 0 more+0x1", "eventfs_fault_t")):
            text = (f"[ 1.0] ------------[ cut here ]------------\n[ 1.0] {what}\n"
                    f"[ 1.0] CPU: 0 Comm: {program} 6.12\n{trace}"
                    "[ 1.0] ---[ end trace ]---\n[ 1.1] BUG: one more\n")
            self.assertEqual(len(guest.warnings_in(text)), ours + 1, what)

    def test_races_of_others_are_not_ours(self):
        line = "[ 1.0] " + "=" * 66
        report = [line, "[ 1.0] BUG: KCSAN: data-race in {0} / {1}", "[ 1.0] ",
                  "[ 1.0] write to 0xffff888000 of 4 bytes by task 1 on cpu 0:",
                  "[ 1.0]  {0}+0x1/0x2", "[ 1.0]  do_it+0x1/0x2",
                  "[ 1.0]  more+0x1/0x2", "[ 1.0]  eventfs_lookup+0x1/0x2",
                  "[ 1.0] read to 0xffff888000 of 4 bytes by task 2 on cpu 1:",
                  "[ 1.0]  {1}+0x1/0x2", line]
        text = "\n".join(report)
        for ours, names in ((0, ("d_lookup", "dput")), (1, ("dput", "eventfs_find")),
                            (1, ("tracefs_getattr", "dput"))):
            found = guest.warnings_in(text.format(*names) + "\n[ 1.1] more\n"
                                      + text.format("one", "two") + "\n")
            self.assertEqual(len(found), ours, names)
        # Those that are known, though one of us called what raced
        text = text.replace("do_it", "tracefs_owner_permission")
        for ours, names in ((0, ("generic_permission", "vfs_get_tree")),
                            (1, ("generic_permission", "vfs_put_tree"))):
            found = guest.warnings_in(text.format(*names) + "\n")
            self.assertEqual(len(found), ours, names)

    def test_uninitialised_values_of_others_are_not_ours(self):
        line = "[ 1.0] " + "=" * 53
        text = "\n".join([line, "[ 1.0] BUG: KMSAN: uninit-value in {0}+0x1/0x2",
                          "[ 1.0]  {0}+0x1/0x2", "[ 1.0]  do_it+0x1/0x2",
                          "[ 1.0]  more+0x1/0x2", "[ 1.0]  eventfs_lookup+0x1/0x2",
                          "[ 1.0] ", "[ 1.0] Uninit was created at:",
                          "[ 1.0]  kmem_cache_alloc_noprof+0x1/0x2", "[ 1.0]  {1}+0x1/0x2",
                          "[ 1.0]  caller+0x1/0x2", "[ 1.0]  eventfs_lookup+0x1/0x2",
                          "[ 1.0] ", "[ 1.0] CPU: 0 UID: 0 PID: 1", line, ""])
        for ours, names in ((0, ("link_path_walk", "getname_kernel")),
                            (1, ("filldir64", "tracefs_alloc_inode")),
                            (1, ("eventfs_find", "getname_kernel"))):
            found = guest.warnings_in(text.format(*names) + "[ 1.1] more\n"
                                      + text.format("one", "two"))
            self.assertEqual(len(found), ours, names)
