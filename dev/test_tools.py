#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Test the tools: what they do when something is missing, broken, full or in
use. No kernel is built: a toy source tree, whose make takes no time, stands in.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import bench
import common
import guest
import kernel
import ktap
import mutants
import source
import test

DEV = Path(__file__).resolve().parent

# Just enough of a kernel's Makefile for the tools: it counts its builds, and
# waits while there is a file "hold".
TOY_MAKEFILE = """\
VERSION = {version}
PATCHLEVEL = {patchlevel}
SUBLEVEL = 1
ifneq ($(O),)
OUT := $(O)
endif
allnoconfig:
	@grep -v '^$(LOSE)=' $(KCONFIG_ALLCONFIG) > $(OUT)/.config
bzImage:
	@echo '  CC      toy.o'
	@if [ -e hold ]; then touch $(OUT)/holding; sleep 60; fi
	@if [ -e broken ]; then echo 'toy.c:1: error: broken' >&2; exit 1; fi
	@echo built >> $(OUT)/builds
	@mkdir -p $(OUT)/arch/x86/boot
	@cat fs/tracefs/event_inode.c > $(OUT)/arch/x86/boot/bzImage
	@touch $(OUT)/System.map $(OUT)/vmlinux
mrproper:
	@rm -f .config
"""


def toy_tree(path, version="6.12"):
    numbers = version.split(".")
    (path / "fs/tracefs").mkdir(parents=True)
    (path / "Makefile").write_text(TOY_MAKEFILE.format(
        version=numbers[0], patchlevel=numbers[1]))
    (path / "fs/tracefs/event_inode.c").write_text("stock\n")
    return path


def snapshot(path):
    """Everything that a tool could have changed in a tree."""
    return {str(file): (file.lstat().st_mtime_ns, file.lstat().st_mode,
                        file.read_bytes() if file.is_file() else b"")
            for file in sorted(path.rglob("*"))}


class ToolsTest(unittest.TestCase):
    def setUp(self):
        self.top = Path(tempfile.mkdtemp(prefix="eventfs-test-"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.env = {**os.environ, "EVENTFS_CACHE": str(self.top / "cache"),
                    "EVENTFS_BUILD": str(self.top / "build")}
        for name in ("KERNEL", "DEBUG", "BASE", "KSRC", "CMD", "ONLY", "SMP", "MEM",
                     "ICOUNT", "ACCEL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            self.env.pop(name, None)
        self.tree = toy_tree(self.top / "toy")
        patcher = mock.patch.dict(os.environ, self.env, clear=True)
        patcher.start()
        self.addCleanup(patcher.stop)

    def start(self, *words, **env):
        return subprocess.Popen(
            [sys.executable, *map(str, words)], env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # Whoever runs the tests in the background has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def build(self, *words, **env):
        return self.start(DEV / "kernel.py", "--kernel", "stock",
                          "--ksrc", self.tree, *words, **env)

    def finish(self, process):
        out, err = process.communicate(timeout=50)
        self.assertNotIn("Traceback", err)
        return process.returncode, out.strip(), err.strip()

    def fails(self, process, pattern):
        """One line that says what to do, and a status."""
        status, out, err = self.finish(process)
        self.assertNotEqual(status, 0)
        self.assertEqual(out, "")
        self.assertRegex(err.splitlines()[-1], "^error: .*" + pattern)
        return err

    def builds(self):
        count = [file.read_text().count("built")
                 for file in (self.top / "cache/trees").glob("*/out/builds")]
        return sum(count)

    def wait_for(self, pattern, process):
        for _ in range(200):
            if list((self.top / "cache").glob(pattern)):
                return
            if process.poll() is not None:
                self.fail(process.communicate()[1])
            time.sleep(0.05)
        self.fail(f"no {pattern}")


class Builds(ToolsTest):
    def test_second_build_does_nothing(self):
        first = self.finish(self.build())
        second = self.finish(self.build())
        self.assertEqual(first[0], 0, first)
        self.assertEqual(first[1], second[1])
        self.assertEqual(second[2], "")
        self.assertEqual(self.builds(), 1)

    def test_changed_source_is_built_again(self):
        self.finish(self.build())
        (self.tree / "fs/tracefs/event_inode.c").write_text("changed\n")
        status, image, _ = self.finish(self.build())
        self.assertEqual(status, 0)
        self.assertEqual(Path(image).read_text(), "changed\n")

    def test_stale_image_is_built_again(self):
        _, image, _ = self.finish(self.build())
        Path(image).unlink()
        status, image, _ = self.finish(self.build())
        self.assertEqual(status, 0)
        self.assertTrue(Path(image).exists())

    def test_interrupted_copy_is_made_good(self):
        """What was not copied yet is copied by the next run."""
        self.finish(self.build())
        (self.tree / "a.c").write_text("new\n")
        (self.tree / "fs/tracefs/event_inode.c").write_text("changed\n")
        toy = kernel.Kernel("stock", ksrc=str(self.tree))
        copy = kernel.copy_file

        def interrupted(path, to):
            if path.name == "event_inode.c":
                raise KeyboardInterrupt
            copy(path, to)
        with mock.patch.object(kernel, "copy_file", interrupted):
            with self.assertRaises(KeyboardInterrupt):
                toy.prepare()
        toy.prepare()
        copied = toy.tree / "src/fs/tracefs/event_inode.c"
        self.assertEqual(copied.read_text(), "changed\n")

    def test_stale_source_is_not_used(self):
        """Another compiler or source never meets the objects of the first."""
        first = kernel.Kernel("stock", ksrc=str(self.tree))
        key = first.image_key()
        (self.tree / "Makefile").write_text(
            (self.tree / "Makefile").read_text() + "# changed\n")
        self.assertNotEqual(first.image_key(), key)
        second = kernel.Kernel("stock", ksrc=str(self.tree))
        second.compiler = "another"
        self.assertNotEqual(second.image_key(), first.image_key())

    def test_interrupted_build_leaves_nothing_running(self):
        (self.tree / "hold").touch()
        for number in (signal.SIGINT, signal.SIGTERM):
            build = self.build()
            self.wait_for("trees/*/out/holding", build)
            build.send_signal(number)
            self.assertEqual(self.finish(build)[0], 130)
            running = subprocess.run(["pgrep", "-f", f"O={self.top}"],
                                     check=False, capture_output=True)
            self.assertEqual(running.stdout, b"")
            for file in (self.top / "cache/trees").glob("*/out/holding"):
                file.unlink()
        (self.tree / "hold").unlink()
        self.assertEqual(self.finish(self.build())[0], 0)

    def test_two_builds_at_once_build_once(self):
        builds = [self.build() for _ in range(3)]
        results = [self.finish(build) for build in builds]
        self.assertEqual([result[0] for result in results], [0, 0, 0], results)
        self.assertEqual(len({result[1] for result in results}), 1)
        self.assertEqual(self.builds(), 1)

    def test_second_run_says_that_it_waits(self):
        (self.tree / "hold").touch()
        first = self.build()
        self.wait_for("trees/*/out/holding", first)
        second = self.build()
        time.sleep(1.5)
        second.send_signal(signal.SIGINT)
        self.assertIn("waiting for another run", self.finish(second)[2])
        first.send_signal(signal.SIGINT)
        self.finish(first)

    def test_failed_build_shows_the_error(self):
        (self.tree / "broken").touch()
        err = self.fails(self.build(), r"failed; all of it: .*\.log")
        self.assertIn("toy.c:1: error: broken", err)

    def test_option_without_effect_is_named(self):
        makefile = self.tree / "Makefile"
        makefile.write_text("LOSE = CONFIG_KPROBES\n" + makefile.read_text())
        status, _, err = self.finish(self.build())
        self.assertEqual(status, 0)
        self.assertIn("without effect on 6.12.1: CONFIG_KPROBES=y", err)
        fixed = source.find(None, self.tree)
        fixed.fixed = True
        with mock.patch.object(source, "find", return_value=fixed):
            toy = kernel.Kernel("stock")
        with self.assertRaisesRegex(common.Failure, "without effect.*CONFIG_KPROBES"):
            toy.configure(common.clean_env())

    def test_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("only root may mount a small disk")
        disk = self.top / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("no mounts here")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=False)
        (self.tree / "big").write_bytes(b"x" * 100000)
        self.fails(self.build(EVENTFS_CACHE=str(disk)), "disk.* is full: make room")


class OwnTrees(ToolsTest):
    def test_tree_is_left_alone(self):
        (self.tree / ".config").touch()
        before = snapshot(self.tree)
        self.assertEqual(self.finish(self.build())[0], 0)
        self.assertEqual(snapshot(self.tree), before)

    def test_git_tree_is_left_alone(self):
        git = ["git", "-C", str(self.tree), "-c", "user.name=x", "-c", "user.email=x"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run(git + words, check=True)
        before = snapshot(self.tree)
        self.assertEqual(self.finish(self.build())[0], 0)
        self.assertEqual(snapshot(self.tree), before)

    def test_unsupported_version(self):
        self.tree = toy_tree(self.top / "old", "6.11")
        self.fails(self.build(), "Linux 6.11.1: KSRC takes 6.12 and newer")

    def test_no_kernel_tree(self):
        self.tree = self.top / "empty"
        self.fails(self.build(), "not a directory")
        self.tree.mkdir()
        self.fails(self.build(), "cannot be read.*give KSRC")
        (self.tree / "Makefile").write_text("all:\n")
        self.fails(self.build(), "not a kernel source tree")

    def test_unreadable_tree(self):
        error = PermissionError(13, "Permission denied")
        with mock.patch.object(Path, "read_text", side_effect=error):
            with self.assertRaisesRegex(common.Failure, "give KSRC .* you may read"):
                source.own_tree(self.tree)
        with mock.patch.object(kernel, "write_file", side_effect=error):
            with self.assertRaisesRegex(common.Failure, "KSRC needs"):
                kernel.copy_file(self.tree / "Makefile", self.top / "copy")


class Overlay(ToolsTest):
    def test_stock_comes_back(self):
        (self.top / "cache").mkdir()
        tree = self.top / "cache/tree"
        shutil.copytree(self.tree, tree / "src")
        ours = {"fs/tracefs/event_inode.c": (b"ours\n", 0o644),
                "fs/tracefs/new.c": (b"new\n", 0o644)}
        kernel.lay_over(ours, self.tree, tree)
        path = tree / "src/fs/tracefs/event_inode.c"
        self.assertEqual(path.read_text(), "ours\n")
        before = path.stat().st_mtime_ns
        kernel.lay_over(ours, self.tree, tree)
        self.assertEqual(path.stat().st_mtime_ns, before)
        kernel.lay_over({}, self.tree, tree)
        self.assertEqual(path.read_text(), "stock\n")
        self.assertGreater(path.stat().st_mtime_ns, before)
        self.assertFalse((tree / "src/fs/tracefs/new.c").exists())

    def test_hard_links_are_broken(self):
        tree = self.top / "tree"
        subprocess.run(["cp", "-al", self.tree, self.top / "src"], check=True)
        tree.mkdir()
        (self.top / "src").rename(tree / "src")
        kernel.lay_over({"fs/tracefs/event_inode.c": (b"ours\n", 0o644)},
                        self.tree, tree)
        self.assertEqual((self.tree / "fs/tracefs/event_inode.c").read_text(),
                         "stock\n")

    def test_patch_that_does_not_apply(self):
        patch = common.BUILD / "test.patch"
        common.write_file(patch, b"--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n"
                          b"-not there\n+nor here\n")
        self.addCleanup(patch.unlink)
        with self.assertRaisesRegex(common.Failure, "test.patch does not apply"):
            kernel.apply_patches([patch], {}, self.tree)


class Packages(ToolsTest):
    def setUp(self):
        super().setUp()
        self.bin = self.top / "bin"
        self.bin.mkdir()
        self.src = self.top / "cache/src"

    def program(self, name, script):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def with_programs(self):
        return mock.patch.dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}")

    def base(self):
        base = source.Base("v6.12")
        base.conf["package"] = "linux-source-toy"
        return base

    def offer(self, then):
        self.program("apt-get", 'case "$*" in *--print-uris*) '
                     "echo \"'http://mirror/x' linux-source-toy_1_all.deb 9 SHA256:00\";;"
                     f" *download*) {then};; esac")

    def test_broken_download(self):
        for then, pattern in (("echo Connection failed >&2; exit 100",
                               "downloading .* failed.*Connection failed"),
                              ("echo half > linux-source-toy_1_all.deb",
                               "download .* is damaged, run again")):
            self.offer(then)
            with self.with_programs():
                with self.assertRaisesRegex(common.Failure, pattern):
                    source.packaged(self.base())
            self.assertEqual(list(self.src.iterdir()), [])

    def test_nothing_offered(self):
        self.program("apt-get", "exit 100")
        with self.with_programs():
            with self.assertRaisesRegex(common.Failure, "apt offers no linux-source-toy"):
                source.packaged(self.base())
            toy_tree(self.src / "linux-source-toy-1-0123")
            self.assertEqual(source.packaged(self.base()).name,
                             "linux-source-toy-1-0123")

    def test_newer_suite_out_of_reach(self):
        """One line, and the suites that need it are skipped, not failed."""
        self.program("apt-get", "case \"$*\" in *indextargets*) "
                     "echo http://mirror toy main;; *) exit 100;; esac")
        self.program("apt-cache", "exit 0")
        reach = "apt offers no linux-source-7.*; try again when the mirror"
        report = test.Report()
        with self.with_programs(), mock.patch("builtins.print") as said:
            with self.assertRaisesRegex(common.Failure, re.escape(reach)):
                source.find("mainline")
            report.suite("x", test.if_reachable(lambda _: source.find("mainline")))
        self.assertEqual((report.failed, report.skipped), (0, 1))
        self.assertIn(f"ok 1 source # SKIP {reach}", str(said.call_args_list))
        toy_tree(self.src / "linux-source-7.9-7.9.1-1-0123", "7.9")
        with self.with_programs():
            self.assertEqual(source.find("mainline").version, "7.9.1")

    def test_base_by_version(self):
        for version, base in (("6.12", "v6.12"), ("7.2", "v6.12"),
                              ("7.3", "mainline"), ("8.0", "mainline")):
            tree = toy_tree(self.top / version, version)
            self.assertEqual(source.find(None, tree).base.name, base)

    def test_broken_tarball_leaves_no_tree(self):
        tarball = self.top / "linux-source-toy.tar.xz"
        tarball.write_bytes(b"half a tarball")
        with self.assertRaisesRegex(common.Failure, "cannot be unpacked .reinstall"):
            source.unpack(tarball, "linux-source-toy", "1", self.src, "reinstall")
        self.assertEqual(list(self.src.iterdir()), [])

    def test_interrupted_unpacking_is_swept_up(self):
        toy_tree(self.src / "linux-source-toy-1-0123")
        (self.src / ".new-left").mkdir()
        self.program("apt-get", "exit 100")
        with self.with_programs():
            source.packaged(self.base())
        self.assertFalse((self.src / ".new-left").exists())

    def test_missing_program_without_root(self):
        missing = {"no-such-program": "its-package"}
        with mock.patch("os.geteuid", return_value=1000):
            with self.assertRaisesRegex(common.Failure,
                                        "as root: apt-get install .* its-package"):
                common.need(missing)

    def test_missing_program_as_root(self):
        self.program("apt-get", f"[ \"$1\" = install ] && ln -s /bin/true {self.bin}/tool")
        with self.with_programs(), mock.patch("os.geteuid", return_value=0):
            common.need({"tool": "its-package"})
            self.program("apt-get", "echo no network >&2; exit 100")
            with self.assertRaisesRegex(common.Failure, "cannot install.*no network"):
                common.need({"other": "its-package"})

    def test_missing_qemu(self):
        machine = guest.Machine()
        with mock.patch("os.geteuid", return_value=1000), \
                mock.patch("shutil.which", return_value=None):
            with self.assertRaisesRegex(common.Failure, "apt-get .*qemu-system-x86"):
                guest.Guest(self.top, "test", machine)


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
        self.machine = guest.Machine(accel="tcg", timeout="2")
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
        with self.assertRaisesRegex(common.Failure, r"the guest died.*toy\.log") as caught:
            self.boot("log.write('Kernel panic - not syncing: toy\\n')")
        self.assertEqual(caught.exception.status, 125)
        self.assertEqual(self.said, ["booting", "Kernel panic - not syncing: toy"])

    def test_hang_ends_with_the_log(self):
        with self.assertRaisesRegex(common.Failure, "not end within 2 s.*TIMEOUT") as caught:
            self.boot("time.sleep(60)")
        self.assertEqual(caught.exception.status, 124)
        self.assertEqual(self.said, ["booting"])

    def test_qemu_that_does_not_start(self):
        with self.assertRaisesRegex(common.Failure, "QEMU did not start: no such CPU"):
            self.boot("log.truncate(0)\nsys.exit('no such CPU')")

    def test_guest_goes_with_its_tool(self):
        """Killed without a chance to clean up: QEMU ends as well."""
        (self.bin / "setpriv").symlink_to(shutil.which("setpriv"))
        qemu = self.bin / guest.QEMU
        qemu.write_text(TOY_QEMU.format(python=sys.executable, play="time.sleep(60)"))
        qemu.chmod(0o755)
        tool = self.start("-c", f"import sys; sys.path.insert(0, {str(DEV)!r})\n"
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


class Switches(ToolsTest):
    def test_mistakes_are_one_line(self):
        run = DEV / "guest.py"
        for env, pattern in (({"BASE": "v1.0"}, "BASE=v1.0 is not known.*v6.12"),
                             ({"KERNEL": "best"}, "KERNEL=best is not known"),
                             ({"MEM": "much"}, "MEM=much"),
                             ({"SMP": "0"}, "SMP=0"),
                             ({"SMP": "two"}, "SMP=two"),
                             ({"TIMEOUT": "long"}, "TIMEOUT=long"),
                             ({"ICOUNT": "1", "SMP": "2"}, "ICOUNT=1"),
                             ({"ACCEL": "fast"}, "ACCEL=fast")):
            with self.subTest(env):
                self.fails(self.start(run, **env), pattern)

    def test_unknown_suite(self):
        self.fails(self.start(DEV / "test.py", ONLY="nothing"), "no suite nothing")

    def test_cache_that_cannot_be_made(self):
        self.fails(self.build(EVENTFS_CACHE="/proc/none"), "set EVENTFS_CACHE")

    def test_command_reaches_the_tools_as_written(self):
        makefile = self.top / "Makefile"
        text = (common.REPO / "Makefile").read_text()
        makefile.write_text(text.replace("dev/guest.py", "printenv CMD"))
        command = "echo \"$HOME\" '$(x)' $$ `y` # z"
        done = subprocess.run(["make", "-f", str(makefile), "run", f"CMD={command}"],
                              env=self.env, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, command + "\n")


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

    def test_kunit_results(self):
        log = """\
[    0.1] KTAP version 1
[    0.1] 1..2
[    0.1]     KTAP version 1
[    0.1]     # Subtest: one
[    0.1]     # module: one
[    0.1]     1..4
[    0.1]     ok 1 good
[    0.1]     # bad: EXPECTATION FAILED at one.c:1
[    0.1]     not ok 2 bad
[    0.1]     ok 3 other # SKIP no reason
[    0.1]         KTAP version 1
[    0.1]         # Subtest: many
[    0.1]         ok 1 parameter 0
[    0.1]     ok 4 many
[    0.1] # one: pass:2 fail:1 skip:1 total:4
[    0.1] not ok 1 one
[    0.1]     KTAP version 1
[    0.1]     # Subtest: two
[    0.1]     1..2
[    0.1]     ok 1 good
[    0.1] Kernel panic - not syncing
"""
        self.assertEqual(ktap.kunit_results(log), [
            ("one.good", "pass", ""), ("one.bad", "fail", ""),
            ("one.other", "skip", "no reason"), ("one.many", "pass", ""),
            ("two.good", "pass", ""), ("two.end", "fail", "1 of 2 cases ended")])
        self.assertEqual(ktap.kunit_complaints(log),
                         ["# bad: EXPECTATION FAILED at one.c:1"])
        self.assertEqual(ktap.kunit_results("[    0.1] no KUnit here"), [])

    def test_every_fault_fits(self):
        titles = set()
        for fault in mutants.read_faults():
            content = (common.REPO / fault.file).read_text()
            self.assertNotEqual(fault.applied(content), content, fault.title)
            self.assertNotIn(fault.title, titles)
            titles.add(fault.title)
        fault.old = "no such line\n"
        with self.assertRaisesRegex(common.Failure, "does not fit.*mutants.txt"):
            fault.applied(content)

    def test_ftracetest_output(self):
        results = []
        output = test.FtracetestOutput(["a", "b", "c", "d", "a (instance)"],
                                       open(os.devnull, "wb"),
                                       lambda *result: results.append(result[:2]))
        self.addCleanup(output.log.close)
        output.feed(2, b"ok 9 log\n")
        for part in (b"TAP version 13\n1..5\nok 1 One # two\nnot o", b"k 2 B\nok 3 C # SK",
                     b"IP\nnot ok 4 D # UNRESOLVED\nok 5 (instance) One\n"):
            output.feed(1, part)
        self.assertEqual(results, [("a", "PASS"), ("b", "FAIL"), ("c", "SKIP"),
                                   ("d", "UNRESOLVED"), ("a (instance)", "PASS")])

    def test_suite_without_tests_fails(self):
        with mock.patch("builtins.print") as said:
            report = test.Report()
            report.suite("empty", lambda report: None)
            self.assertEqual(report.end(), 1)
        self.assertRegex(said.call_args.args[0], re.escape("0 passed, 1 failed"))


class Bench(unittest.TestCase):
    """The gate, which is to fail when and only when a ratio got worse."""

    def figures(self, factor=1.0):
        figures = bench.Figures()
        for case, size in bench.GATE:
            key = case, "eventfs", size
            figures.add("stock", {key: [1000.0]})
            figures.add("eventfs", {key: [500.0 * factor]})
        return figures

    def bad(self, figures):
        with mock.patch("builtins.print"):
            return bench.compare(self.figures(), figures)

    def test_gate(self):
        self.assertGreater(len(bench.GATE), 10)
        self.assertEqual(self.bad(self.figures(1.02)), 0)
        self.assertEqual(self.bad(self.figures(0.5)), 0)
        self.assertEqual(self.bad(self.figures(1.04)), len(bench.GATE))
        self.assertEqual(self.bad(bench.Figures()), len(bench.GATE))

    def test_one_that_got_worse(self):
        figures = self.figures()
        case, size = bench.GATE[3]
        figures.numbers["eventfs", case, "eventfs", size] = [516.0]
        self.assertEqual(self.bad(figures), 1)

    def test_both_slower_is_the_same(self):
        figures = self.figures(2.0)
        for key in figures.numbers:
            if key[0] == "stock":
                figures.numbers[key] = [2000.0]
        self.assertEqual(self.bad(figures), 0)

    def test_recorded_figures_read_back(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "figures.csv"
            path.write_text(self.figures(1.5).text())
            self.assertEqual(bench.read_figures(path).text(), self.figures(1.5).text())

    def test_base_that_only_compares(self):
        with self.assertRaisesRegex(common.Failure, "KERNEL=stock"):
            with mock.patch.object(source, "packaged", return_value=common.REPO), \
                    mock.patch.object(source, "kernel_version", return_value="6.1.0"):
                kernel.Kernel("eventfs", "bench", "v6.1")
        self.assertNotIn("v6.1", source.base_names())


if __name__ == "__main__":
    unittest.main(buffer=True)
