# SPDX-License-Identifier: GPL-2.0-only
"""Building a kernel, from a tree of one's own too."""

import os
import shutil
import signal
import subprocess
import time
import types
from pathlib import Path
from unittest import mock

import common
import kernel
import source
import test
from tools import OURS_TOO, TOOLS, ToolsTest, snapshot, toy_tree


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

    def test_modules_are_kept_with_the_image(self):
        _, image, _ = self.finish(self.build())
        self.assertTrue((Path(image).parent / "lib/modules").is_dir())

    def test_without_modules_there_are_none(self):
        toy = kernel.Kernel("stock", "bench", ksrc=str(self.tree))
        self.assertFalse((toy.image() / "lib").exists())

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
        err = self.fails(self.build(), r"failed; the whole log: .*\.log")
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
        status, tree, err = self.finish(self.start(TOOLS["kernel"], "--tree", "--ksrc", self.tree))
        self.assertEqual(status, 0, err)
        self.assertEqual((Path(tree) / "fs/tracefs/event_inode.c").read_text(),
                         OURS_TOO + "edited\n")
        self.assertEqual((Path(tree) / "fs/tracefs/Makefile").read_text(),
                         "obj-y :=\n" + kernel.LINE_NUMBERS)
        self.assertFalse((Path(tree) / "Documentation").exists())
        status, image, err = self.finish(self.start(TOOLS["kernel"], "--ksrc", self.tree))
        self.assertEqual(status, 0, err)
        self.assertEqual(Path(image).read_text(), OURS_TOO + "edited\n")
        self.assertEqual(snapshot(self.tree), before)
        self.assertIn("CONFIG_EVENTFS_KUNIT_TEST",
                      kernel.Kernel(ksrc=str(self.tree)).options())
        (self.tree / "fs/tracefs/event_inode.c").write_text(OURS_TOO + "again\n")
        _, image, _ = self.finish(self.start(TOOLS["kernel"], "--ksrc", self.tree))
        self.assertEqual(Path(image).read_text(), OURS_TOO + "again\n")

    def test_its_own_tests_are_run(self):
        self.with_ours()
        shell = self.tree / test.FTRACE / "test.d/eventfs"
        for path in (shell / "mine.tc", self.tree / test.FTRACE / "ftracetest"):
            common.write_file(path, b"")
        args = types.SimpleNamespace(ksrc=str(self.tree), case=None)
        self.assertEqual(test.our_tests(args), ["eventfs/mine.tc"])
        toy = types.SimpleNamespace(source=source.find(None, self.tree), overlay={})
        test.copy_selftests(toy, self.top / "copy")
        self.assertEqual([path.name for path in (self.top / "copy/test.d/eventfs").iterdir()],
                         ["mine.tc"])

    def test_what_needs_a_stock_tree(self):
        self.with_ours()
        for tool, words in (("guest", ["--kernel=stock"]), ("bench", []), ("clients", []),
                            ("bench", ["--check"]), ("series", []), ("series_check", []),
                            ("test", ["--record-stock"])):
            with self.subTest(tool):
                err = self.fails(self.start(TOOLS[tool], "--ksrc", self.tree, *words),
                                 "KSRC=.*toy has this eventfs already, but .* needs a stock tree")
                self.assertEqual(len(err.splitlines()), 1)

    def test_unsupported_version(self):
        self.tree = toy_tree(self.top / "old", "6.11")
        self.fails(self.build(), "Linux 6.11.1, but KSRC must be 6.12 or newer")

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
            with self.assertRaisesRegex(common.Failure, "KSRC must be"):
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
