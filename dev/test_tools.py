#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Test the tools: what they do when something is missing, broken, full or in
use. No kernel is built: a toy source tree, whose make takes no time, stands in.
"""

import contextlib
import functools
import importlib.machinery
import importlib.util
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import unittest
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import bench
import carry
import check
import clients
import common
import fuzz
import guest
import kernel
import ktap
import model
import mutants
import series
import series_check
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
	@if [ -e hold ]; then trap 'sleep 1; touch $(OUT)/ended; exit 1' TERM; \
		touch $(OUT)/holding; sleep 60 & wait; fi
	@if [ -e broken ]; then echo 'toy.c:1: error: broken' >&2; exit 1; fi
	@echo built >> $(OUT)/builds
	@mkdir -p $(OUT)/arch/x86/boot
	@cat fs/tracefs/event_inode.c > $(OUT)/arch/x86/boot/bzImage
	@touch $(OUT)/System.map $(OUT)/vmlinux
mrproper:
	@rm -f .config
"""


# By which the tools know a tree that has our files
OURS_TOO = "static struct kmem_cache *eventfs_node_cache;\n"


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
        for name in (*common.VARIABLES, *common.FLAGS, "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
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
            # All of them have ended, also one that is slow to do so.
            out = next((self.top / "cache/trees").glob("*/out"))
            self.assertTrue((out / "ended").exists())
            running = subprocess.run(["pgrep", "-f", f"O={self.top}"],
                                     check=False, capture_output=True)
            self.assertEqual(running.stdout, b"")
            (out / "holding").unlink()
            (out / "ended").unlink()
        (self.tree / "hold").unlink()
        self.assertEqual(self.finish(self.build())[0], 0)

    def test_interrupted_while_it_starts(self):
        """What comes before the program is known ends it all the same."""
        popen = subprocess.Popen

        def slow(*args, **kwargs):
            process = popen(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            return process
        with mock.patch.object(subprocess, "Popen", slow), self.assertRaises(KeyboardInterrupt):
            with common.started(["sh", "-c", f"sleep 60; : {self.top}"]):
                self.fail("it goes on")
        running = subprocess.run(["pgrep", "-f", f"sleep 60; : {self.top}"], check=False,
                                 capture_output=True)
        self.assertEqual(running.stdout, b"")

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
        self.assertIn("waiting for another run", second.stderr.readline())
        second.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(second)[0], 130)
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

    def with_ours(self):
        """A tree that has our files, edited"""
        for name, text in (("event_inode.c", OURS_TOO + "edited\n"), ("Makefile", "obj-y :=\n"),
                           ("Kconfig", "config EVENTFS_KUNIT_TEST\n")):
            (self.tree / "fs/tracefs" / name).write_text(text)

    def test_tree_with_our_files_is_taken_as_it_is(self):
        self.with_ours()
        before = snapshot(self.tree)
        status, tree, err = self.finish(self.start(DEV / "kernel.py", "--tree", "--ksrc", self.tree))
        self.assertEqual(status, 0, err)
        self.assertEqual((Path(tree) / "fs/tracefs/event_inode.c").read_text(),
                         OURS_TOO + "edited\n")
        self.assertEqual((Path(tree) / "fs/tracefs/Makefile").read_text(),
                         "obj-y :=\n" + kernel.LINE_NUMBERS)
        self.assertFalse((Path(tree) / "Documentation").exists())
        status, image, err = self.finish(self.start(DEV / "kernel.py", "--ksrc", self.tree))
        self.assertEqual(status, 0, err)
        self.assertEqual(Path(image).read_text(), OURS_TOO + "edited\n")
        self.assertEqual(snapshot(self.tree), before)
        self.assertIn("CONFIG_EVENTFS_KUNIT_TEST",
                      kernel.Kernel(ksrc=str(self.tree)).options())
        (self.tree / "fs/tracefs/event_inode.c").write_text(OURS_TOO + "again\n")
        _, image, _ = self.finish(self.start(DEV / "kernel.py", "--ksrc", self.tree))
        self.assertEqual(Path(image).read_text(), OURS_TOO + "again\n")

    def test_its_own_tests_are_run(self):
        self.with_ours()
        shell = self.tree / test.FTRACE / "test.d/eventfs"
        for path in (shell / "mine.tc", self.tree / test.FTRACE / "ftracetest"):
            common.write_file(path, b"")
        args = types.SimpleNamespace(ksrc=str(self.tree), case=None)
        self.assertEqual(test.our_tests(args), ["eventfs/mine.tc"])
        toy = types.SimpleNamespace(source=source.find(None, self.tree))
        test.copy_selftests(toy, self.top / "copy")
        self.assertEqual([path.name for path in (self.top / "copy/test.d/eventfs").iterdir()],
                         ["mine.tc"])

    def test_what_needs_a_stock_tree(self):
        self.with_ours()
        for tool, words in (("guest", ["--kernel=stock"]), ("bench", []), ("clients", []),
                            ("bench", ["--check"]), ("series", []), ("series_check", []),
                            ("test", ["--record-stock"])):
            with self.subTest(tool):
                err = self.fails(self.start(DEV / f"{tool}.py", "--ksrc", self.tree, *words),
                                 "KSRC=.*toy has this eventfs already: .* needs a stock tree")
                self.assertEqual(len(err.splitlines()), 1)

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

    def test_source_that_is_there_is_used_at_once(self):
        """No lock, no apt and no word; once a day a look for a newer one, with a line."""
        first = toy_tree(self.src / "linux-source-toy-1-0123")
        self.program("apt-get", f"echo x >> {self.top}/asked; exit 100")
        asked = self.top / "asked"
        with self.with_programs(), mock.patch.object(source, "say") as said:
            self.assertEqual(source.packaged(self.base()), first)
            self.assertTrue(asked.exists())
            asked.unlink()
            said.reset_mock()
            with mock.patch.object(source, "lock", side_effect=AssertionError("locked")):
                self.assertEqual(source.packaged(self.base()), first)
            self.assertFalse(asked.exists())
            self.assertEqual(said.call_args_list, [])
            link = self.src / ".newest-linux-source-toy"
            second = toy_tree(self.src / "linux-source-toy-2-0123")
            os.utime(link, (1, 1), follow_symlinks=False)
            self.assertEqual(source.packaged(self.base()), second)
            self.assertTrue(asked.exists())
            self.assertIn("looking for a newer linux-source-toy, as once a day",
                          str(said.call_args_list))
            shutil.rmtree(second)
            self.assertEqual(source.packaged(self.base()), first)

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
        self.program("apt-get", "case \"$*\" in install*DPkg::Lock::Timeout=*) "
                     f"ln -s /bin/true {self.bin}/tool ;; esac")
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
            self.machine.timeout = 2
            self.boot("time.sleep(60)")
        self.assertEqual(caught.exception.status, 124)
        self.assertEqual(self.said, ["booting"])

    def test_qemu_that_does_not_start(self):
        with self.assertRaisesRegex(common.Failure, "QEMU did not start: no such CPU"):
            self.boot("log.truncate(0)\nsys.exit('no such CPU')")
        with self.assertRaisesRegex(common.Failure, "could say anything: is MEM=41M enough"):
            self.machine.mem = "41M"
            self.boot("log.truncate(0)")

    def test_size_of_the_terminal(self):
        """The guest is told at the beginning, and when it changes."""
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
        done = subprocess.run(["bash", "--rcfile", DEV / "guest.bashrc", "-i"], text=True,
                              input="history\nexit\n", capture_output=True, check=False,
                              env={**self.env, "HOME": str(self.top)})
        named, had = done.stdout.split("To try", 1)[1].split("\n\n", 1)
        named = [line.strip() for line in named.splitlines()[1:] if line.startswith("  ")]
        had = [re.sub(r"^ *[0-9]+ +", "", line) for line in had.splitlines()]
        self.assertGreater(len(named), 3)
        self.assertEqual(had[:-1], named[::-1])

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


class Model(unittest.TestCase):
    def test_step_whose_text_is_gone(self):
        functions = model.read_functions(model.SOURCE)
        steps = model.read_steps(model.MODEL.read_text())
        self.assertTrue(all(step.place(functions, model.SOURCE) for step in steps))
        for function, text in (("eventfs_find", "kref_get(&node->ref)"),
                               ("eventfs_seek", "return NULL")):
            with self.assertRaisesRegex(common.Failure, f":7: {function}.*mend the model"):
                model.Step(7, function, text).place(functions, model.SOURCE)

    def test_mutant_without_its_fault(self):
        text = model.MODEL.read_text()
        self.assertIn("NO_WAKE", model.read_mutants(text))
        for old, new, pattern in ((" = the last of", " = the first of", "no fault \"the first"),
                                  ("ifdef NO_WAKE", "ifdef NOWAKE", "NO_WAKE changes nothing"),
                                  ("mutant NO_WAKE =", "NO_WAKE =", "not in the list.*NO_WAKE")):
            with self.assertRaisesRegex(common.Failure, pattern):
                model.read_mutants(text.replace(old, new))

    def test_search_that_was_cut_short(self):
        search = model.Search.__new__(model.Search)
        search.errors, full = 0, "Full statespace search for:\n"
        search.output = full
        self.assertIsNone(search.trouble())
        for output in ("Bit statespace search for:\n", "",
                       full + "error: max search depth too small\n",
                       full + "Warning: Search not completed\n",
                       "pan: reached -DMEMLIM bound\n" + full):
            search.output = output
            self.assertIn("not exhaustive", search.trouble())


class Switches(ToolsTest):
    def test_mistakes_are_one_line(self):
        run = DEV / "guest.py"
        for env, pattern in (({"BASE": "v1.0"}, "BASE=v1.0 is not known.*v6.12"),
                             ({"KERNEL": "best"}, "KERNEL=best is not known"),
                             ({"MEM": "much"}, "MEM=much"),
                             ({"SMP": "0"}, "SMP=0"),
                             ({"SMP": "two"}, "SMP=two"),
                             ({"TIMEOUT": "long"}, "TIMEOUT=long"),
                             ({"TIMEOUT": "0"}, "TIMEOUT=0"),
                             ({"ICOUNT": "1", "SMP": "2"}, "icount: not allowed with .*smp"),
                             ({"CONFIG": "foo"}, "CONFIG=foo is not known.* release .*kcsan"),
                             ({"CONFIG": "check"}, "CONFIG=check is not known"),
                             ({"CONFIG": "kcsan", "DEBUG": "1"}, "debug.* not allowed with"),
                             ({"DEBUG": "yes"}, "DEBUG=yes is neither 1 nor 0"),
                             ({"BASE": "v6.1"}, "BASE=v6.1 is there to compare with"),
                             ({"BASE": "mainline", "KSRC": str(self.tree)}, "not allowed with"),
                             ({"KSRC": "/nothing"}, "KSRC=/nothing is not a directory"),
                             ({"ONLY": "x"}, "ONLY=x is nothing that guest.py takes"),
                             ({"ACCEL": "fast"}, "ACCEL=fast is not known")):
            with self.subTest(env):
                self.fails_at_once(run, pattern, **env)
        self.fails(self.start(run, "--image", self.top), "no bzImage in it")
        self.fails(self.start(run, "--gdb", CONFIG="kcsan"), "leave out CONFIG")
        self.fails(self.start(run, "--nothing"), "--nothing is not known")

    def fails_at_once(self, tool, pattern, **env):
        """With nothing looked up, installed, downloaded or built"""
        path = self.top / "bin"
        path.mkdir(exist_ok=True)
        for name in ("apt-get", "apt-cache", "dpkg-query", "make", "gcc"):
            common.write_file(path / name, f"#!/bin/sh\ntouch {self.top}/used\n".encode(), 0o755)
        (self.top / "used").unlink(missing_ok=True)
        err = self.fails(self.start(tool, **env, PATH=f"{path}:{os.environ['PATH']}"), pattern)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertFalse((self.top / "used").exists())

    def test_mistakes_are_found_at_once(self):
        for tool, env, pattern in (
                ("test", {"KERNEL": "foo"}, "KERNEL=foo is nothing that test.py takes"),
                ("test", {"CONFIG": "foo"}, "CONFIG=foo is nothing"),
                ("test", {"ONLY": "foo"}, "no suite foo; there are: build"),
                ("test", {"ONLY": "kunit", "CASE": "nomatch"}, "CASE=nomatch is no case of kunit"),
                ("test", {"CASE": "nomatch"}, "CASE=nomatch is no case of build, boot"),
                ("test", {"ONLY": "ftrace", "CASE": "miss_is_cached"}, "CASE=miss.* of ftrace"),
                ("test", {"BASE": "v6.1"}, "BASE=v6.1 is not known"),
                ("test", {"MEM": "1M"}, "MEM=1M: the kernel needs"),
                ("check", {"ONLY": "foo"}, "no check foo; there are: .*gcc.*shellcheck"),
                ("check", {"BASE": "mainline"}, "BASE=mainline is nothing"),
                ("clients", {"ONLY": "foo"}, "no suite foo; there are: stock"),
                ("clients", {"CASE": "foo.*"}, "CASE=foo.*: foo.* is not a name such as"),
                ("clients", {"CASE": "a'; reboot"}, "is not a name such as"),
                ("clients", {"CONFIG": "rt"}, "CONFIG=rt is not known; there are: clients"),
                ("fuzz", {"INPUT": "zz"}, "INPUT=zz is neither"),
                ("fuzz", {"INPUT": "012"}, "INPUT=012 is neither"),
                ("fuzz", {"SECONDS": "long"}, "SECONDS=long is not a number"),
                ("fuzz", {"SEED": "-1"}, "SEED=-1 is not a number"),
                ("bench", {"PROFILE": "foo"}, "PROFILE='foo' is no figure such as"),
                ("bench", {"PROFILE": "foo,eventfs,0"}, "no figure of bench/v6.12.csv"),
                ("bench", {"KERNEL": "stock"}, "KERNEL= goes with PROFILE="),
                ("bench", {"SMP": "2"}, "SMP=2 is nothing that bench.py takes"),
                ("stress", {"ONLY": "foo"}, "no worker foo; there are: walk"),
                ("stress", {"MEM": "much"}, "MEM=much is not a size"),
                ("stress", {"BASE": "v6.1"}, "BASE=v6.1 is there to compare"),
                ("harden", {"ONLY": "foo"}, "no suite foo; there are: kcsan"),
                ("harden", {"CASE": "x"}, "CASE=x is nothing"),
                ("series_check", {"ONLY": "foo"}, "no patch foo; there are: 01-"),
                ("series", {"ONLY": "foo"}, "ONLY=foo is nothing"),
                ("model", {"ONLY": "foo"}, "ONLY=foo is nothing"),
                ("mutants", {"ONLY": "foo"}, "ONLY=foo is nothing"),
                ("coverage", {"RESULTS": "x"}, "RESULTS=x is nothing"),
                ("test_tools", {"ONLY": "Builds,foo"}, "ONLY=Builds,foo: there is no such test"),
                ("test_tools", {"DEBUG": "1"}, "DEBUG=1 is nothing that test_tools.py takes"),
                ("kernel", {"CONFIG": "series"}, "CONFIG=series is not known")):
            with self.subTest(f"{tool} {env}"):
                self.fails_at_once(DEV / f"{tool}.py", pattern, **env)
        for what, env, pattern in (("deb", {"FORCE": "1"}, "FORCE goes with overlay"),
                                   ("overlay", {"BASE": "mainline"}, "needs KSRC=")):
            self.fails(self.start(DEV / "carry.py", what, **env), pattern)
        self.fails(self.start(DEV / "test.py", "--record-stock", ONLY="ftrace"), "leave out")

    def test_the_same_on_the_command_line(self):
        for word, pattern in (("--kernel=best", "KERNEL=best is not known"),
                              ("--config=check", "CONFIG=check is not known"),
                              ("--mem=1M", "MEM=1M: the kernel needs 40M to come up"),
                              ("--conf=kcsan", "--conf=kcsan is not known")):
            self.fails(self.start(DEV / "guest.py", word), pattern)

    def test_command_line_comes_after_the_environment(self):
        parser = common.Parser("what it does")
        kernel.add_arguments(parser)
        with mock.patch.dict(os.environ, KERNEL="stock", CONFIG="kcsan", DEBUG="0", BASE=""):
            args = parser.parse_args(["--kernel=eventfs"])
        self.assertEqual((args.kernel, args.config, args.base), ("eventfs", "kcsan", "v6.12"))

    def test_names_of_checks(self):
        tree = mock.MagicMock()
        chains = check.of_tree(tree, check.SPARSE_BASE)
        self.assertEqual(check.names_of(chains), set(check.OF_TREE))

    def test_case_chooses_suites(self):
        args = types.SimpleNamespace(ksrc=None, all=False, case=None)
        suites = types.SimpleNamespace(args=args)
        names = ["build", "kunit", "selftests", "ftrace", "kunit-debug", "selftests-debug",
                 "faults-debug"]
        for case, found in (("eventfs.removal*", ["kunit", "kunit-debug"]),
                            ("miss_is_cached", ["kunit", "kunit-debug"]),
                            ("miss_cached", ["selftests", "selftests-debug"]),
                            ("names_are_true", ["selftests", "selftests-debug"]),
                            ("limits.*", ["selftests"]),
                            ("ends_cleanly", ["faults-debug"]), ("nothing", [])):
            args.case = case
            self.assertEqual(test.Suites.with_case(suites, names), found, case)

    def test_help_is_whole(self):
        done = subprocess.run(["make", "-C", common.REPO, "--no-print-directory", "help"],
                              env=self.env, capture_output=True, text=True, check=True)
        head = (common.REPO / "Makefile").read_text().split("\n\n")[0]
        for line in head.split("\n#\n", 1)[1].splitlines():
            self.assertIn(line.lstrip("# "), done.stdout)

    def test_end_of_the_demonstration(self):
        text = (DEV / "demo.sh").read_text()
        checks = text[text.index("say()"):text.index("# Objects of")] + "failed=0 passed=0\n"
        for steps, said in (("check a true; check b true", "# All 2 steps passed."),
                            ("check a true; check b false", "# 1 of 2 steps failed.")):
            done = subprocess.run(["sh", "-c", checks + steps + "\n" + text[text.rindex("if ["):]],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.stdout.splitlines()[-1], said)
            self.assertEqual(done.returncode, "failed" in said)

    def test_variable_that_there_is_not(self):
        for words in (["run", "DBUG=1"], ["clean", "KERNLE=stock"]):
            done = subprocess.run(["make", "-C", common.REPO, "-n", *words], check=False,
                                  env=self.env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, "there is no variable (DBUG|KERNLE); make help")

    def test_mistakes_of_a_stress(self):
        for env, pattern in (({"MINUTES": "long"}, "MINUTES=long"),
                             ({"MINUTES": "0"}, "MINUTES=0"),
                             ({"SEED": "x"}, "SEED=x"),
                             ({"ONLY": "a' b"}, "ONLY=a' b")):
            with self.subTest(env):
                self.fails(self.start(DEV / "stress.py", **env), pattern)

    def test_cache_that_cannot_be_made(self):
        self.fails(self.build(EVENTFS_CACHE="/proc/none"), "set EVENTFS_CACHE")
        self.fails(self.build(EVENTFS_CACHE=str(self.top / "a b")), "space or a colon: set")
        self.assertFalse((self.top / "a b").exists())

    def test_empty_is_unset(self):
        home = str(self.top / "home")
        for env, place in (({"EVENTFS_CACHE": "", "XDG_CACHE_HOME": ""}, ".cache/eventfs"),
                           ({"EVENTFS_CACHE": "", "XDG_CACHE_HOME": f"{home}/x"}, "x/eventfs"),
                           ({"EVENTFS_CACHE": f"{home}/y"}, "y")):
            with mock.patch.dict(os.environ, env, HOME=home):
                self.assertEqual(common.cache(), Path(home, place))
        with mock.patch.dict(os.environ, HOME=home, EVENTFS_CACHE=""):
            os.environ.pop("XDG_CACHE_HOME", None)
            self.assertEqual(common.cache(), Path(home, ".cache/eventfs"))

    def test_checkout_that_no_guest_can_see(self):
        """Who boots says so at once."""
        copy = self.top / "a b"
        for name in ("dev", "bases"):
            shutil.copytree(common.REPO / name, copy / name)
        for tool in ("guest", "test", "bench", "fuzz", "stress", "harden", "clients", "mutants",
                     "coverage", "series_check", "picture"):
            self.fails_at_once(copy / f"dev/{tool}.py", "takes no path with a space")
        self.fails(self.start(DEV / "guest.py", EVENTFS_BUILD=str(self.top / "a b")),
                   "takes no path with a space; set EVENTFS_BUILD")
        for name in ("/run/x", "/dev/x"):
            self.fails(self.start(DEV / "guest.py", EVENTFS_BUILD=name), "is hidden in the guest")

    def test_memory_that_is_too_little(self):
        for mem in ("1", "1M", "16M", f"{guest.LEAST_MEMORY - 1}M"):
            self.fails(self.start(DEV / "guest.py", MEM=mem), f"MEM={mem}: the kernel needs 40M")
        self.fails(self.start(DEV / "guest.py", MEM="100M", DEBUG="1"),
                   "MEM=100M: the debug kernel needs 128M")
        for mem in ("40M", "1G", "512"):
            self.assertEqual(guest.size(mem), mem)

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
            ("one.good", "pass", ""), ("one.bad", "fail",
                                         "bad: EXPECTATION FAILED at one.c:1"),
            ("one.other", "skip", "no reason"), ("one.many", "pass", ""),
            ("two.good", "pass", ""), ("two.end", "fail", "1 of 2 cases ended")])
        self.assertEqual(ktap.kunit_complaints(log),
                         ["# bad: EXPECTATION FAILED at one.c:1"])
        self.assertEqual(ktap.kunit_results("[    0.1] no KUnit here"), [])

    def test_selftest_results(self):
        text = """\
1..3
#  RUN           race.a.one ...
# race_test.c:10:one:2 rounds
#            OK  race.a.one
ok 1 race.a.one
#  RUN           race.a.two ...
# race_test.c:20:two:Expected 0 (0) == error (5)
# race_test.c:21:two:with fault 3
# two: Test failed
#          FAIL  race.a.two
not ok 2 race.a.two
"""
        self.assertEqual(ktap.results(text.splitlines()), [
            ("race.a.one", "pass", ""),
            ("race.a.two", "fail", "race_test.c:20:two:Expected 0 (0) == error (5); "
             "race_test.c:21:two:with fault 3"),
            ("end", "fail", "2 of 3 cases ended")])

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

    def test_every_input_says_what_it_is(self):
        program = fuzz.build()
        for path in fuzz.INPUTS.iterdir():
            licence, why, text = path.read_text().split("\n", 2)
            self.assertTrue(why.startswith("# "), path)
            self.assertEqual(common.run([program, "-p", path], "fuzz -p"), text, path)

    def test_input_that_the_kernel_died_of(self):
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch, "log")
            log.write_text("[ 1.0] fuzz: run 00\n[ 2.0] fuzz: run 0104\n[ 2.1] BUG: x\n")
            self.assertEqual(fuzz.last_announced(log), "0104")
        self.assertIsNone(fuzz.last_announced(None))

    def test_fuzzer_output(self):
        output = fuzz.Output()
        with mock.patch("builtins.print") as said:
            output.feed(1, b"fuzz: keep 00\nfuzz: DIFF")
            output.feed(1, b"ERENCE: a: b\nfuzz: input 0104\n")
        self.assertEqual([call.args[0] for call in said.call_args_list],
                         ["fuzz: DIFFERENCE: a: b", "fuzz: input 0104"])
        self.assertEqual(output.find(r"fuzz: keep ([0-9a-f]+)$"), ["00"])

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

    def test_suites_side_by_side(self):
        """Reported in their order; one that dies is one that failed."""
        def slow(report):
            while not (self.top / "done").exists():
                time.sleep(0.01)
            report.check("one", True)

        def dies(report):
            report.result("two", "skip", "a reason")
            common.write_file(self.top / "done", b"")
            os._exit(3)

        def fails(report):
            report.check("three", True)
            raise common.Failure("what was wrong")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), mock.patch.object(test, "LOGS", self.top), \
                mock.patch.object(test, "TIMES", self.top / "times"):
            self.assertEqual(test.run_suites(
                {"slow": slow, "dies": dies, "fails": fails, "another": slow},
                types.SimpleNamespace(only="slow,dies,fails", results=None, case=None),
                lanes=2), 1)
        self.assertEqual(re.findall("^ *((?:not )?ok .*|\\d+ passed.*)", said.getvalue(),
                                    re.MULTILINE),
                         ["ok 1 one", "ok 1 slow # 0m00s",
                          "ok 1 two # SKIP a reason", "not ok 2 dies # status 3",
                          "not ok 2 dies # 0m00s", "ok 1 three",
                          "not ok 2 fails # what was wrong", "not ok 3 fails # 0m00s",
                          "2 passed, 2 failed, 1 skipped"])

    def test_progress_of_suites(self):
        """How many, how long by the last run, and what each does"""
        common.write_file(self.top / "times", b"one 600\ntwo 60\nthree 90\n")

        def suite(report):
            common.progress_line.show("guest x")
            while not (self.top / "go").exists():
                time.sleep(0.01)
            report.check("it", True)
        with mock.patch.object(test, "TIMES", self.top / "times"), \
                mock.patch.object(common.progress_line, "show") as show:
            beside = test.SideBySide(dict.fromkeys(("one", "two", "three"), suite), 2)
            beside.start()
            while len(beside.doing) < 2:
                beside.receive()
            show.assert_called_with("0 of 3 suites, about 10 minutes left; "
                                    "one (guest x), two (guest x)")
            common.write_file(self.top / "go", b"")
            while beside.running:
                beside.receive()
            show.assert_called_with("3 of 3 suites, about 0 minutes left; ")
            self.assertEqual(set(beside.took), {"one", "two", "three"})
            common.write_file(self.top / "times", b"one 600\n")
            self.assertEqual(test.SideBySide({"one": 1, "two": 2}, 2).progress(), "0 of 2 suites; ")

    def test_results_are_kept(self):
        """As KTAP, which is what was printed, as JUnit's XML, and the logs."""
        old = self.top / "logs/old.log"
        common.write_file(old, b"of another")
        os.utime(old, (1, 1))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), \
                mock.patch.object(test, "LOGS", old.parent):
            report = test.Report(self.top / "results")
            report.begin(1)

            def suite(report):
                common.write_file(old.with_name("new.log"), b"of this run")
                report.check("good", True)
                report.result("skipped", "skip", "no <reason>")
                report.check("bad", False, "a \x1b[1mloud\x1b[0m note")
            report.suite("one", suite)
            self.assertEqual(report.end(), 1)
        self.assertRegex(said.getvalue(), "(?s)^KTAP version 1\n1..1\n    KTAP version 1"
                         "\n.*    ok 2 skipped # SKIP no <reason>\n.*\nnot ok 1 one # ")
        self.assertTrue(said.getvalue().startswith(
            (self.top / "results/results.ktap").read_text()))
        self.assertEqual([log.name for log in (self.top / "results/logs").iterdir()],
                         ["new.log"])
        root = ElementTree.parse(self.top / "results/results.xml").getroot()
        self.assertEqual(dict(root[0].attrib, time=""), {
            "name": "one", "tests": "3", "failures": "1", "skipped": "1",
            "errors": "0", "time": ""})
        self.assertEqual([(case.get("classname"), case.get("name"),
                           *[(why.tag, why.get("message")) for why in case])
                          for case in root[0]],
                         [("one", "good"), ("one", "skipped", ("skipped", "no <reason>")),
                          ("one", "bad", ("failure", "a ?[1mloud?[0m note"))])

    def test_results_that_cannot_be_kept(self):
        common.write_file(self.top / "file", b"")
        with self.assertRaisesRegex(common.Failure, "cannot write to RESULTS=.*/file: "):
            test.Report(self.top / "file")


class CheckedRepository(ToolsTest):
    """What "make check" finds in tools; each is to find something."""

    def setUp(self):
        super().setUp()
        common.need({name: package for name, package in check.PROGRAMS.items()
                     if name in ("shellcheck", "pyflakes3", "codespell")
                     or "/lava_common/" in name})

    def repository(self, **files):
        for name, content in files.items():
            common.write_file(self.top / "repo" / name.replace("_", "."),
                              content.encode())
        return check.Repository(self.top / "repo")

    def finds(self, function, *patterns):
        count, found = function()
        self.assertEqual(len(found.lines), len(patterns), found.lines)
        for line, pattern in zip(found.lines, patterns):
            self.assertRegex(line, pattern)
        return count

    def test_spdx(self):
        repo = self.repository(a_sh="#!/bin/sh\n", b_py="# SPDX-License-Identifier: x\n")
        self.assertEqual(self.finds(repo.spdx, "^a.sh:1: no SPDX"), 2)

    def test_shellcheck(self):
        repo = self.repository(a_sh="#!/bin/bash\nrm $1\n", b_c="rm $1\n")
        self.assertEqual(self.finds(repo.shellcheck, "^a.sh:2: .*SC2086"), 1)

    def test_shellcheck_of_shell_tests(self):
        common.write_file(self.top / "repo" / check.SHELL_TESTS / "a.tc",
                          b"#!/bin/sh\nrm $1\nif [ x == $1 ]; then echo; fi\n")
        self.finds(self.repository().shellcheck, "a.tc:3: .*SC3014")

    def test_pyflakes(self):
        repo = self.repository(a_py="import os\n", b_py="x = 1\n")
        self.assertEqual(self.finds(repo.pyflakes, "^a.py:1: 'os' imported"), 2)

    def test_codespell(self):
        repo = self.repository(a_md="fine\n" "t" "eh iput\n")
        self.finds(repo.codespell, "^a.md:2: .* ==> the$")

    def lava(self, name, *edits):
        """Ours, with an edit each that has to be found."""
        text = (DEV.parent / "fleet" / name).read_text(encoding="utf-8")
        for old, new, pattern in edits:
            self.assertEqual(text.count(old), 1, old)
            common.write_file(self.top / "repo/fleet" / name,
                              text.replace(old, new).encode())
            with self.subTest(new):
                self.finds(self.repository().lava, f"^fleet/{name}:{pattern}")

    def test_lava_job(self):
        common.write_file(self.top / "repo/fleet/lava-test.yaml",
                          (DEV.parent / "fleet/lava-test.yaml").read_bytes())
        self.lava("lava-job.yaml",
                  ("visibility: public", "visibility: secret", "9: .*not a valid value"),
                  ("method: qemu", "method: qemuu", ".* unknown action type"),
                  ("minutes: 90", "minutes: 900", ".* larger than job timeout"),
                  ("fleet/lava-test.yaml", "fleet/gone.yaml", ".* there is no fleet/gone"))

    def test_lava_definition(self):
        self.lava("lava-test.yaml",
                  ("Definition 1.0", "Definition 2.0", "6: .*not a valid value"),
                  ("\n  steps:", "\n  step:", "20: .*extra keys"),
                  ("${FOLDERS} || true", "${FOLDERS} ||", "20: .*[Ss]yntax error"),
                  ("os:\n", "os: [\n", ".* expected the node"))

    def test_nothing_to_check(self):
        for name in ("spdx", "shellcheck", "pyflakes", "codespell", "lava"):
            with self.subTest(name), self.assertRaisesRegex(common.Failure, "no file"):
                getattr(self.repository(), name)()

    def test_program_that_breaks(self):
        repo = self.repository(a_py="x = 1\n")
        with mock.patch.object(check, "output", return_value=("no python\n", 127)):
            with self.assertRaisesRegex(common.Failure, "no python"):
                repo.pyflakes()
        with mock.patch.dict(os.environ, PATH="/none"):
            lines, well = check.run_check(("x", "files", repo.pyflakes), False)
        self.assertFalse(well)
        self.assertRegex(lines[0], "^x: failed: .*pyflakes3")


class OnBoard(ToolsTest):
    """fleet/kselftest.sh, with programs of a board that say what they are told to."""

    def setUp(self):
        super().setUp()
        self.board, self.tests = self.top / "board", self.top / "kselftest"
        self.says("mount", "")
        self.says("dmesg", "")
        self.says("lava-test-case", "LAVA $*", quote="")
        (self.tests / "ftrace/test.d/eventfs").mkdir(parents=True)
        common.write_file(self.tests / "kselftest-list.txt",
                          b"ftrace:ftracetest-ktap\nfilesystems/eventfs:eventfs_test\n")

    def says(self, program, text, where=None, quote="'"):
        lines = [f"echo {quote}{line}{quote}\n" for line in text.splitlines()]
        common.write_file((where or self.board) / program,
                          "".join(["#!/bin/sh\n", *lines]).encode(), 0o755)

    def reported(self):
        process = subprocess.run(
            [DEV.parent / "fleet/kselftest.sh", self.tests, "eventfs", "gone"], check=False,
            env={**self.env, "PATH": f"{self.board}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(process.stderr, "")
        return process.returncode, dict(re.findall(r"^LAVA (\S+) --result (\w+)$",
                                                   process.stdout, re.MULTILINE))

    def test_results_reach_lava(self):
        self.says("run_kselftest.sh", "TAP version 13\n1..1\n"
                  "# selftests: filesystems/eventfs: eventfs_test\n# 1..2\n"
                  "# #            OK  walk.one\n# ok 1 walk.one\n# ok 2 walk.two # SKIP no it\n"
                  "ok 1 selftests: filesystems/eventfs: eventfs_test", self.tests)
        self.says("ftracetest", "1..2\nok 1 eventfs - a miss, cached\n"
                  "not ok 2 Test trace_printk # UNRESOLVED", self.tests / "ftrace")
        self.says("dmesg", "[    0.1] WARNING: of the boot\n"
                  "[    1.0]     KTAP version 1\n[    1.0]     # Subtest: eventfs\n"
                  "[    1.0]     1..1\n[    1.0]     ok 1 miss_is_cached\n"
                  "[    1.0] ok 1 eventfs\n[    2.0] eventfs: kselftest.sh begins")
        self.assertEqual(self.reported(), (0, {
            "kunit.miss_is_cached": "pass", "kunit.eventfs": "pass",
            "kselftest.eventfs_test.walk.one": "pass",
            "kselftest.eventfs_test.walk.two": "skip",
            "kselftest.filesystems_eventfs_eventfs_test": "pass",
            "ftrace.eventfs_-_a_miss_cached": "pass",
            "ftrace.Test_trace_printk": "unknown",
            "log.no_complaint_of_the_kernel": "pass"}))

    def test_failures_on_a_board(self):
        self.says("run_kselftest.sh", "1..2\n# selftests: filesystems/eventfs: eventfs_test\n"
                  "# not ok 1 walk.one\nnot ok 1 selftests: filesystems/eventfs: eventfs_test "
                  "# exit=1", self.tests)
        self.says("ftracetest", "", self.tests / "ftrace")
        self.says("dmesg", "[ 2.0] eventfs: kselftest.sh begins\n[ 3.0] BUG: late")
        self.assertEqual(self.reported(), (1, {
            "kselftest.eventfs_test.walk.one": "fail",
            "kselftest.filesystems_eventfs_eventfs_test": "fail",
            "kselftest.all-ran": "fail", "ftrace.all-ran": "fail",
            "log.no_complaint_of_the_kernel": "fail"}))


class CheckedTree(ToolsTest):
    """What "make check" makes of what the kernel's tools say."""

    def setUp(self):
        super().setUp()
        names = ("fs/tracefs/inode.c", "fs/tracefs/internal.h", "fs/Kconfig",
                 check.SELFTESTS + "a_test.c")
        toy = types.SimpleNamespace(tree=self.top, overlay=dict.fromkeys(names))
        self.src = self.top / "src"
        for name in names:
            common.write_file(self.src / name, b"int f(void) { int x; return 0; }\n")
        common.write_file(self.src / "scripts/coccinelle/a.cocci", b"")
        self.tree = check.Tree(toy)
        self.out = types.SimpleNamespace(out=self.top / "gcc", build_env=dict)
        for name in ("build", "place"):
            patcher = mock.patch.object(self.tree, name, return_value=self.out)
            patcher.start()
            self.addCleanup(patcher.stop)

    def saying(self, text, status=0):
        return mock.patch.object(self.tree, "make", return_value=(text, status))

    def says(self, function, text, *lines, status=0):
        with self.saying(text, status):
            _, found = function()
        self.assertEqual(found.lines, list(lines))
        return found

    def fails_with(self, pattern, function, text="", status=0):
        with self.saying(text, status), self.assertRaisesRegex(common.Failure, pattern):
            function()

    def test_sparse(self):
        ran = f"  CHECK   {self.src}/fs/tracefs/inode.c\n"
        self.says(self.tree.sparse, ran)
        self.says(self.tree.sparse, ran + f"{self.src}/fs/tracefs/inode.c:7:2: warning: "
                  "context imbalance\n", "fs/tracefs/inode.c:7: warning: context imbalance")
        found = self.says(self.tree.sparse, ran + f"{self.src}/include/linux/rbtree.h:74:9: "
                          "error: incompatible types\n")
        self.assertEqual(found.others, 1)

    def test_sparse_that_ran_nothing(self):
        self.fails_with("did not look at fs/tracefs/inode.c", self.tree.sparse,
                        "  CC      fs/tracefs/inode.o\n")

    def test_compiler(self):
        compile_gcc = functools.partial(self.tree.compile, "gcc")
        ran = "  CC      fs/tracefs/inode.o\n"
        self.says(compile_gcc, ran + "../src/fs/tracefs/internal.h:3:4: note: here\n")
        self.says(compile_gcc, ran + "../src/fs/tracefs/internal.h:3:4: warning: unused\n",
                  "fs/tracefs/internal.h:3: warning: unused")
        self.fails_with("did not look at", compile_gcc)
        self.fails_with("no rule", compile_gcc, "no rule\n", 2)

    def test_coccicheck(self):
        ran = (f"/usr/bin/spatch -D report --cocci-file {self.src}/scripts/coccinelle/a.cocci\n"
               f"HANDLING: {self.src}/fs/tracefs/inode.c\n")
        self.says(self.tree.coccicheck, ran)
        self.says(self.tree.coccicheck, ran + f"{self.src}/fs/tracefs/inode.c:5:1-4: WARNING x\n",
                  "fs/tracefs/inode.c:5: WARNING x")
        for part in ran.splitlines():
            self.fails_with("did not look at .*(a.cocci|inode.c)", self.tree.coccicheck, part)
        self.fails_with("coccicheck failed", self.tree.coccicheck, "coccicheck failed\n", 2)

    def script(self, name, text):
        common.write_file(self.src / "scripts" / name, text.encode(), 0o755)

    def test_kernel_doc(self):
        self.script("kernel-doc", "#!/bin/sh\necho fs/tracefs/inode.c:1: info: Scanning doc for f\n"
                    "echo fs/tracefs/inode.c:2: warning: no x\n"
                    "echo Warning: fs/tracefs/internal.h:3 no y\nexit 2\n")
        _, found = self.tree.kernel_doc()
        self.assertEqual(found.lines, ["fs/tracefs/inode.c:2: warning: no x",
                                       "fs/tracefs/internal.h:3: no y"])
        self.script("kernel-doc", "#!/bin/sh\n")
        self.fails_with("no comment to check", self.tree.kernel_doc)

    def test_htmldocs(self):
        documents = [check.DOCUMENTS + name for name in ("eventfs.rst", "tracefs.rst")]
        for name in documents:
            common.write_file(self.src / name, b".. kernel-doc:: a.c\n   :functions: f g\n")
            self.tree.ours.append(name)
        common.write_file(self.src / check.DOCUMENTS / "index.rst", b"")
        common.write_file(self.src / check.DOCUMENTS / "other.rst", b"")

        def builds(*lines):
            common.write_file(self.src / "Makefile", ("htmldocs:\n\t@" + "\n\t@".join(
                [f"! test -e {check.DOCUMENTS}other.rst", *lines]) + "\n").encode())
        page = "mkdir -p $(BUILDDIR)/filesystems; echo 'id=\"c.{0}\"' > $(BUILDDIR)/filesystems/{1}"
        builds(page.format("f", "eventfs.html"))
        self.fails_with("did not look at .*tracefs.rst", self.tree.htmldocs)
        pages = [page.format("f", "eventfs.html"), page.format("g", "tracefs.html")]
        builds(*pages[:1], page.format("x", "tracefs.html"))
        self.fails_with("did not look at g", self.tree.htmldocs)
        builds(*pages)
        self.says(self.tree.htmldocs, "")
        top = f"$(CURDIR)/{check.DOCUMENTS}"
        builds(*pages, f"echo {top}eventfs:7: ./fs/tracefs/inode.c:1: WARNING: emphasis",
               "echo WARNING: ./fs/tracefs/inode.c:2 parameter x",
               "echo ./fs/tracefs/inode.c:3: warning: parameter y",
               f"echo {top}tracefs.rst: WARNING: not in any toctree",
               f"echo {top}eventfs.rst:4: ERROR: no target",
               f"echo {top}index.rst:5: WARNING: no document")
        found = self.says(self.tree.htmldocs, "",
                          "fs/tracefs/inode.c:1: WARNING: emphasis",
                          "fs/tracefs/inode.c:2: WARNING: parameter x",
                          "fs/tracefs/inode.c:3: warning: parameter y",
                          documents[1] + ":1: WARNING: not in any toctree",
                          documents[0] + ":4: ERROR: no target")
        self.assertEqual(found.others, 1)
        builds("echo make: no rule; exit 2")
        self.fails_with("Error 2", self.tree.htmldocs)

    def test_checkpatch(self):
        self.script("checkpatch.pl", "for (@ARGV) {\n\tnext unless -e;\n"
                    "\tprint \"$_:2: WARNING:TYPO: x\\n\" if /inode/;\n"
                    "\tprint \"total: 0 errors, 1 warnings, 3 lines checked\\n\";\n}\n")
        count, found = self.tree.checkpatch()
        self.assertEqual(count, 3)
        self.assertEqual(found.lines, ["fs/tracefs/inode.c:2: WARNING:TYPO: x"])
        self.script("checkpatch.pl", "")
        self.fails_with("did not look at all of", self.tree.checkpatch)

    def test_programs(self):
        count, found = self.tree.programs("gcc")
        self.assertEqual(count, 1)
        self.assertRegex(found.lines[0], "a_test.c:1: warning: unused variable")
        (self.src / check.SELFTESTS / "a_test.c").unlink()
        self.fails_with("No such file", functools.partial(self.tree.programs, "gcc"))

    def test_checks_are_chosen(self):
        chains = check.of_tree(self.tree, check.SPARSE_BASE)
        names = [name for chain in check.chosen(chains, ["sparse", "gcc"])
                 for name, *_ in chain]
        self.assertIn(f"sparse ({check.SPARSE_BASE})", names)
        self.assertNotIn(f"coccicheck ({check.SPARSE_BASE})", names)

    def test_end_is_at_once(self):
        """Whatever runs is ended, and nothing is started after it."""
        def interrupted():
            while not check.running:
                time.sleep(0.01)
            raise KeyboardInterrupt

        def sleeping():
            check.output("sleep", "60")
            return 1, check.Findings(self.top, ["a"])
        started = []
        self.addCleanup(check.ending.clear)
        with self.assertRaises(KeyboardInterrupt), mock.patch("builtins.print"):
            check.run_chains([[("one", "files", sleeping), ("two", "files", started.append)],
                              [("three", "files", interrupted)]], False)
        self.assertEqual(started, [])
        self.assertEqual(check.running, set())

    def test_failure_is_counted(self):
        def broken():
            raise common.Failure("broken")
        found = check.Findings(self.top, ["a"])
        with mock.patch("builtins.print") as said:
            failed = check.run_chains([[("one", "files", broken)],
                                       [("two", "files", lambda: (3, found))]], False)
        self.assertEqual(failed, 1)
        self.assertEqual({call.args[0] for call in said.call_args_list},
                         {"one: failed: broken", "two: 3 files"})


class Series(ToolsTest):
    """The states of a toy kernel, whose last one is ours."""

    STOCK = "one\ntwo\n"
    OURS = """\
/* What it is for */

/*
 * Parts
 */

/* Says one. */
static int one(void)
{
	int x = 1;

	return x;
}

static int two(void)
{
	return 2;
}
"""

    def setUp(self):
        super().setUp()
        self.steps = self.top / "steps"
        self.steps.mkdir()
        (self.tree / "fs/tracefs/event_inode.c").write_text(self.STOCK)
        self.source = source.Source(self.tree, source.Base("v6.12"), fixed=False)
        self.files = {"fs/tracefs/event_inode.c": (self.OURS.encode(), 0o644),
                      "fs/tracefs/new.c": (b"new\n", 0o755)}
        for name, value in (("our_files", lambda _: dict(self.files)),
                            ("MAINTAINERS", "no such file")):
            patcher = mock.patch.object(kernel, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        patcher = mock.patch.object(series, "STEPS", self.steps)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.step("01-first", "in fs/tracefs/event_inode.c\nsection Parts\n"
                  "lines \"/* What\"\n-one\n-two\n")
        self.step("02-second", "adds fs/tracefs/new.c\n"
                  "in fs/tracefs/event_inode.c\n"
                  "definition two\n"
                  "in fs/tracefs/event_inode.c one\n"
                  "lines \"int x\" to \"return x;\"\n-\treturn 1;\n"
                  "lines \"/* Says\"\n")

    def step(self, name, commands):
        (self.steps / f"{name}.txt").write_text(f"toy: {name}\n\nWhy.\n---\n{commands}")

    def states(self):
        return series.Series(self.source).states

    def refuses(self, pattern):
        with self.assertRaisesRegex(common.Failure, pattern) as caught:
            self.states()
        self.assertNotIn("\n", str(caught.exception))

    def test_states(self):
        first, second, last = self.states()
        self.assertEqual((first, last), ({}, self.files))
        self.assertEqual(list(second), ["fs/tracefs/event_inode.c"])
        self.assertEqual(second["fs/tracefs/event_inode.c"][0].decode(), """\
/* What it is for */

/*
 * Parts
 */

static int one(void)
{
	return 1;
}
""")

    def test_step_that_does_not_apply_is_named(self):
        self.step("02-second", "in fs/tracefs/event_inode.c\n@@\n+not there\n")
        self.refuses("^series/02-second.txt does not apply in fs/tracefs/event_inode.c: "
                     r"\+not there: such lines are there 0 times")
        self.step("02-second", "in fs/tracefs/event_inode.c two\nlines \"int x\"\n")
        self.refuses("02-second.txt does not apply in fs/tracefs/event_inode.c two: "
                     "lines int x: such a line is there 0 times")
        self.step("02-second", "in fs/tracefs/event_inode.c\ndefinition three\n")
        self.refuses("definition three: three is defined there 0 times")
        self.step("02-second", "in fs/tracefs/event_inode.c\nlines \"static int\"\n")
        self.refuses("such a line is there 2 times")
        self.step("02-second", "adds fs/tracefs/other.c\n")
        self.refuses("adds fs/tracefs/other.c: no file of ours is fs/tracefs/other.c")
        self.step("02-second", "edits fs/tracefs/new.c\n")
        self.refuses("is as in the stock kernel, or not in it")
        self.step("02-second", "in fs/tracefs/gone.c\nsection Parts\n")
        self.refuses("in fs/tracefs/gone.c: there is no such file")

    def test_mistakes_in_a_step(self):
        self.step("02-second", "ads fs/tracefs/new.c\n")
        self.refuses("ads fs/tracefs/new.c: is no command here")
        self.step("02-second", "adds \"fs/tracefs/new.c\n")
        self.refuses("02-second.txt: adds .*: No closing quotation")
        self.step("02-second", "definition two\n")
        self.refuses("definition two: is no command here")
        (self.steps / "02-second.txt").write_text("toy: second\n")
        self.refuses("series/02-second.txt: no message, or no line --- after it")

    def test_what_no_patch_brings(self):
        self.files["fs/tracefs/more.c"] = b"more\n", 0o644
        self.refuses("no patch brings all of fs/tracefs/more.c: name it in the patch")

    def test_patches_are_written_and_applied(self):
        with mock.patch.object(series, "identity", return_value=("A B", "a@b.example")):
            series.write_series(series.Series(self.source), self.top / "out", copies=False)
        patches = sorted(path.name for path in (self.top / "out").iterdir())
        self.assertEqual(patches, ["0000-cover-letter.patch", "0001-toy-01-first.patch",
                                   "0002-toy-02-second.patch"])
        text = (self.top / "out" / patches[2]).read_text()
        self.assertIn("\nWhy.\n\nSigned-off-by: A B <a@b.example>\n---\n", text)
        cover = (self.top / "out" / patches[0]).read_text()
        self.assertIn("\nbase: Linux 6.12.1\n", cover)
        self.assertNotIn("%", re.sub(r"%\)|\d+%", "", cover))

    def test_tree_that_differs(self):
        made = series.Series(self.source)
        apply = series.apply_series

        def damaged(git, base, of, to):
            patch = to / "0002-toy-02-second.patch"
            patch.write_text(patch.read_text().replace("+new\n", "+old\n"))
            apply(git, base, of, to)

        with mock.patch.object(series, "apply_series", damaged), \
                mock.patch.object(series, "identity", return_value=("A B", "a@b.example")), \
                self.assertRaisesRegex(common.Failure, "after the last patch "
                                       "fs/tracefs/new.c is not our file"):
            series.write_series(made, self.top / "out", copies=False)

    def test_nobody_to_sign(self):
        with mock.patch.object(series, "identity", return_value=("", "")), \
                self.assertRaisesRegex(common.Failure, "a patch is signed: git config"):
            series.write_series(series.Series(self.source), self.top / "out", copies=False)

    def test_base_is_named(self):
        git = ["git", "-C", str(self.tree), "-c", "user.name=a", "-c", "user.email=b"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *words], check=True)
        self.assertRegex(series.base_line(self.source, ["Makefile"]),
                         "^base-commit: [0-9a-f]{40}$")
        (self.tree / "Makefile").write_text("VERSION = 6\n")
        with self.assertRaisesRegex(common.Failure, "Makefile is not as in HEAD"):
            series.base_line(self.source, ["Makefile"])

    def test_each_state_is_checked(self):
        made, seen = series.Series(self.source), []

        class Suites:
            def run(self, report, kernel):
                seen.append(sorted(kernel.overlay))
                report.check("it", len(seen) != 2)

        class Kernel:
            def __init__(self, args, config, state):
                self.overlay = state

        args = types.SimpleNamespace(only="", results=None)
        with mock.patch.object(series_check, "State", Kernel), \
                mock.patch("sys.stdout", new_callable=io.StringIO) as out:
            self.assertEqual(series_check.check_states(made, args, Suites(), "check"), 1)
        self.assertEqual(seen, [["fs/tracefs/event_inode.c"], sorted(self.files)])
        self.assertRegex(out.getvalue(), "(?s)ok 1 01-first # 0m.*not ok 2 02-second # 0m")
        args.only = "nix"
        with self.assertRaisesRegex(common.Failure, "no patch nix; .* 01-first 02-second"):
            series_check.check_states(made, args, Suites(), "check")

    def test_state_that_was_not_compiled(self):
        state = types.SimpleNamespace(
            overlay={kernel.MAKEFILE: (b"tracefs-objs\t:= a.o\ntracefs-objs\t+= old/b.o\n",
                                       0o644)}, source=self.source)
        self.assertEqual(series_check.objects_of(state), {"a.o", "old/b.o"})


class MaintainersEntry(unittest.TestCase):
    def test_place(self):
        text = "Preface\n\nA\nM:\tx\n\nZ IS LOST\nM:\tx\n\nC\nM:\tx\n\n" \
               "M\nM:\tx\n\nTHE REST\nM:\tx\n"
        for title, following in (("B", "Z IS LOST"), ("D", "M"), ("N", "THE REST")):
            after = kernel.with_entry(text, title, ["L:\ty"])
            self.assertIn(f"\n\n{title}\nL:\ty\n\n{following}\n", after)
        with self.assertRaisesRegex(common.Failure, "MAINTAINERS has no entries"):
            kernel.with_entry("nothing\n", "B", [])


class Overlaid(ToolsTest):
    """make overlay"""

    def overlay(self, tree=None, **env):
        return self.start(DEV / "carry.py", "overlay", "--ksrc", tree or self.tree, **env)

    def test_no_kernel(self):
        self.fails(self.start(DEV / "carry.py", "overlay"), "make overlay needs KSRC=")
        self.fails(self.overlay(self.top / "nothing"), "is not a directory")
        (self.top / "empty").mkdir()
        self.fails(self.overlay(self.top / "empty"), "give KSRC a kernel source tree")
        self.fails(self.overlay(toy_tree(self.top / "old", "6.6")), "KSRC takes 6.12")

    def test_changed_tree(self):
        ours = {"fs/tracefs/event_inode.c": (b"ours\n", 0o644)}
        args = types.SimpleNamespace(ksrc=str(self.tree), force=False)
        git = ["git", "-C", str(self.tree), "-c", "user.name=a", "-c", "user.email=b"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *words], check=True)
        path = self.tree / "fs/tracefs/event_inode.c"
        path.write_text("mine\n")
        with mock.patch.object(kernel, "our_files", return_value=ours), \
                mock.patch("builtins.print") as printed:
            with self.assertRaisesRegex(common.Failure, "event_inode.c was changed; look at "
                                        "it, and say FORCE=1"):
                carry.overlay(args)
            self.assertEqual(path.read_text(), "mine\n")
            args.force = True
            carry.overlay(args)
            self.assertEqual(path.read_text(), "ours\n")
            args.force = False
            carry.overlay(args)
        self.assertRegex(printed.call_args_list[0][0][0], "wrote 1 of 1 files, fitted to it")
        self.assertRegex(printed.call_args_list[1][0][0], "has our 1 files already")

    def laid(self, **files):
        """make overlay of these files, which then are ours; what it said"""
        files = {f"fs/tracefs/{name}.c": (text.encode(), 0o644) for name, text in files.items()}
        args = types.SimpleNamespace(ksrc=str(self.tree), force=False)

        def our_files(stock):
            self.assertEqual((stock.path / "fs/tracefs/event_inode.c").read_text(), "stock\n")
            return files
        with mock.patch.object(kernel, "our_files", our_files), \
                mock.patch("builtins.print") as said:
            carry.overlay(args)
        return said.call_args[0][0]

    def test_overlay_again(self):
        """It is brought up to date, also with what is no longer ours; what somebody
        changed is left."""
        ours = OURS_TOO + "one\n"
        (self.tree / "fs/tracefs/inode.c").write_text("stock inode\n")
        self.assertRegex(self.laid(event_inode=ours, inode="x\n", new="y\n"), "wrote 3 of 3")
        self.assertEqual(self.finish(subprocess.Popen(
            ["sha256sum", "-c", ".eventfs-overlay/files"], cwd=self.tree, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))[0], 0)
        before = snapshot(self.tree)
        self.assertRegex(self.laid(event_inode=ours, inode="x\n", new="y\n"),
                         "has our 3 files already")
        self.assertEqual(snapshot(self.tree), before)
        self.assertRegex(self.laid(event_inode=ours + "two\n"), "wrote 1 of 1")
        path = self.tree / "fs/tracefs"
        self.assertEqual((path / "event_inode.c").read_text(), ours + "two\n")
        self.assertEqual((path / "inode.c").read_text(), "stock inode\n")
        self.assertFalse((path / "new.c").exists())
        (path / "event_inode.c").write_text(ours + "mine\n")
        with self.assertRaisesRegex(common.Failure, "fs/tracefs/event_inode.c was changed"):
            self.laid(event_inode=ours + "three\n")
        self.assertEqual((path / "event_inode.c").read_text(), ours + "mine\n")

    def test_overlay_again_with_git(self):
        git = ["git", "-C", str(self.tree), "-c", "user.name=a", "-c", "user.email=b"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *words], check=True)
        for number in range(2):
            self.assertRegex(self.laid(event_inode=f"{OURS_TOO}{number}\n"), "wrote 1 of 1")
        for words in (["add", "-A"], ["commit", "-qm", "ours"]):
            subprocess.run([*git, *words], check=True)
        self.assertRegex(self.laid(event_inode=OURS_TOO + "2\n"), "wrote 1 of 1")
        # Stock again: what was kept is of no use.
        subprocess.run([*git, "checkout", "-q", "HEAD~", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "stock"], check=True)
        self.assertRegex(self.laid(event_inode=OURS_TOO + "3\n"), "wrote 1 of 1")

    def test_tree_that_has_the_series(self):
        (self.tree / "fs/tracefs/event_inode.c").write_text(OURS_TOO)
        before = snapshot(self.tree)
        self.fails(self.overlay(), "has this eventfs, and not by make overlay")
        self.assertEqual(snapshot(self.tree), before)

    def test_overlaid_without_git(self):
        (self.tree / "fs/tracefs/Kconfig").write_text("ours\n")
        self.fails(self.overlay(), "is not stock, it has fs/tracefs/Kconfig: unpack it again")


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


class Clients(ToolsTest):
    """make clients"""

    def read(self, text, size=7):
        reader = clients.Reader()
        for at in range(0, len(text), size):
            reader.feed(1, text[at:at + size].encode())
        return reader

    def test_clients_are_read_as_they_come(self):
        reader = self.read("1..3\n| b 0x12ab\n| a\nok 1 perf.list\n"
                           "| left out\nok 2 rtla.osnoise # SKIP no tracer\n"
                           "noise\nnot ok 3 tar.all # status 2: ok 4 what # it said\n")
        reader.feed(2, b"ok 4 tar.errors\n")
        reader.complete()
        self.assertEqual(reader.results, {
            "perf.list": ("pass", "", ["a", "b ADDRESS"]),
            "rtla.osnoise": ("skip", "no tracer", ["left out"]),
            "tar.all": ("fail", "status 2: ok 4 what # it said", [])})

    def test_clients_that_did_not_end(self):
        for text, said in (("1..2\nok 1 perf.list\n", "1 of 2 clients"),
                           ("", "0 of the clients"), ("1..0\n", "0 of the clients")):
            with self.assertRaisesRegex(common.Failure, said):
                self.read(text).complete()

    def test_clients_answers_without_what_is_meant_to_differ(self):
        for name, said, expected in (
                ("perf.list", "  sched:sched_switch  ", ["sched:sched_switch"]),
                ("perf.list", "eventfs:eventfs_lookup", []),
                ("busybox.find", "./eventfs/enable", []),
                ("busybox.tar", "events/eventfs/", []),
                ("busybox.tar", "events/preventfs/", ["events/preventfs/"]),
                ("trace-cmd.formats", "ID: 315", ["ID: N"]),
                ("trace-cmd.formats", "field:int ID: 315;", ["field:int ID: 315;"]),
                ("libtracefs.instances", "97 systems, of them 93 in the instance",
                 ["N systems, of them N in the instance"]),
                ("perf.list", "97 systems", ["97 systems"]),
                ("bcc.trace", "at ffffffff81234560 x", ["at ADDRESS x"])):
            with self.subTest(said):
                self.assertEqual(clients.normal(name, [said]), expected)
        self.assertEqual(clients.normal("tar.all", ["b", "", "a"]), ["a", "b"])

    def test_clients_say_why_each_rule(self):
        for glob, pattern, _, why in clients.RULES:
            self.assertTrue(glob and re.compile(pattern) and why)
        known = set(re.findall(r"^([a-z0-9-]+)\.([a-z]+)\(\) \{",
                               (clients.CLIENTS / "run").read_text(), re.MULTILINE))
        names = {f"{client}.{what}" for client, what in known}
        self.assertEqual(set(clients.MEANT) - names, set())
        self.assertEqual({client for client, _ in known}, set(clients.PACKAGES))

    def test_clients_compared(self):
        def result(outcome, note="", answer=()):
            return clients.Result(outcome, note, list(answer))

        good, bad, skip = result("pass"), result("fail", "broken"), result("skip", "no BTF")
        for name, stock, ours, outcome, note in (
                ("a.b", None, good, "pass", "^$"),
                ("a.b", good, good, "pass", "0 lines, as"),
                ("a.b", result("pass", "", ["x", "y"]), result("pass", "", ["x", "z"]),
                 "fail", "2 lines differ from stock's, first: -y"),
                ("a.b", good, bad, "fail", "broken$"),
                ("a.b", bad, bad, "skip", "fails on the stock kernel too: broken"),
                ("a.b", bad, good, "fail", "pass, on the stock kernel fail broken"),
                ("a.b", good, skip, "fail", "skip no BTF, on the stock kernel pass"),
                ("a.b", skip, skip, "skip", "no BTF"),
                ("inotifywait.events", bad, good, "pass", "not on the stock kernel: "),
                ("inotifywait.events", result("pass", "", ["x"]), good, "pass", "watches"),
                ("inotifywait.events", skip, bad, "fail", "broken"),
                ("inotifywait.events", bad, skip, "fail", "skip")):
            with self.subTest(f"{name} {stock} {ours}"):
                found = clients.compare(name, stock, ours)
                self.assertEqual(found[0], outcome)
                self.assertRegex(found[1], note)

    def test_clients_are_kept_for_the_next_run(self):
        kept = types.SimpleNamespace(args=types.SimpleNamespace(case=None),
                                     place=lambda which: self.top / which)
        results = {"perf.list": clients.Result("pass", "", ["a", "b"]),
                   "tar.all": clients.Result("skip", "no tar", [])}
        self.assertEqual(clients.Clients.kept(kept, "stock"), {})
        clients.Clients.keep(kept, "stock", {"old.one": clients.Result("pass", "", [])})
        clients.Clients.keep(kept, "stock", results)
        self.assertEqual(clients.Clients.kept(kept, "stock"), results)
        kept.args.case = "rsync.*"
        more = {"rsync.all": clients.Result("fail", "broken", ["c"])}
        clients.Clients.keep(kept, "stock", more)
        self.assertEqual(clients.Clients.kept(kept, "stock"), results | more)

    def test_clients_table(self):
        results = {"stock": {"perf.list": clients.Result("pass", "", []),
                             "perf.stat": clients.Result("fail", "broken", [])},
                   "eventfs": {"perf.list": clients.Result("pass", "", [])}}
        with mock.patch.object(clients, "version", lambda package:
                               None if package == "rtla" else "1.2-3"):
            text = clients.client_table(results, {"rtla": "rtla"})
        self.assertRegex(text, r"(?m)^perf +linux-perf 1\.2-3 +1 passed, 1 failed +1 passed$")
        self.assertRegex(text, r"(?m)^rtla +rtla not there +not there +not there$")
        self.assertRegex(text, r"(?m)^tar +tar 1\.2-3 +not run +not run$")
        self.assertIn("stock: perf.stat: fail, broken\n", text)

    def test_clients_timings(self):
        found = clients.read_timings("perf list,300\nperf list,100\nperf list,200\n"
                                     "reset\nstart of record -e a,b,7\n")
        self.assertEqual(found, {"perf list": [300, 100, 200], "start of record -e a,b": [7]})
        text = clients.timing_table({"eventfs": found, "stock": {"perf list": [400]}})
        self.assertRegex(text, r"perf list +200 +400 +0\.500 +100\.0%\n")
        self.assertRegex(text, r"find events +– +– +– +–\n")

def harden_stress():
    path = str(common.REPO / "harden/stress")
    with mock.patch.object(sys, "dont_write_bytecode", True):
        spec = importlib.util.spec_from_loader(
            "stress", importlib.machinery.SourceFileLoader("stress", path))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


class Stress(unittest.TestCase):
    def test_who_hangs(self):
        stress = harden_stress()
        board = mock.Mock(all_of=lambda index: time.monotonic() if index == 2 else 0)
        scripts = ("sleep 60", "while :; do :; done", "sleep 60")
        children = [subprocess.Popen(["sh", "-c", script], start_new_session=True)
                    for script in scripts]
        try:
            watch = stress.Watch(mock.Mock(stall=4, board=board),
                                 {child.pid: i for i, child in enumerate(children)})
            hung = []
            for _ in range(3):
                time.sleep(2.5)
                hung.append(watch.hung(time.monotonic()))
        finally:
            for child in children:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.assertEqual((hung[0], hung[2]), ([], [0]))

    def test_what_rises(self):
        stress = harden_stress()
        for values, noise, rise in (
                ([100] * 6, 0, 0), ([100, 100, 900, 100, 100, 100], 0, 0),
                ([900, 100, 100, 100, 100, 100], 0, 0), ([6, 5, 4, 3, 2, 1], 0, 0),
                ([100, 100, 100, 110, 110, 110], 0, 0), ([1, 2, 1, 2, 1, 2], 0, 0),
                ([1, 2, 3, 4, 5, 6], 0, 1), ([1, 2, 3, 4, 5, 6], 5, 0),
                ([10, 20, 90, 40, 50, 60], 30, 10), ([10, 20, 0, 40, 50, 60], 30, 10),
                ([10, 10, 20, 20, 30, 30], 0, 5)):
            with self.subTest(values):
                found = stress.steady_rise(values, noise)
                self.assertAlmostEqual(found, rise, delta=rise * 0.3)


def command_line():
    parser = common.Parser(__doc__)
    parser.add_argument("--only", metavar="TEST", help="run these only, as Builds or "
                        "Builds.test_full_disk; several with commas between them")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each")
    args = parser.parse_args()
    only = args.only.split(",") if args.only else None
    loader = unittest.TestLoader()
    loader.loadTestsFromNames(only or (), sys.modules[__name__])
    if loader.errors:
        parser.error(f"ONLY={args.only}: there is no such test")
    return not unittest.main(defaultTest=only, argv=sys.argv[:1], buffer=True, exit=False,
                             verbosity=1 + args.verbose).result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(common.main(command_line))
