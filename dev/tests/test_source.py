# SPDX-License-Identifier: GPL-2.0-only
"""Kernel source from Debian's packages, and programs that are missing."""

import os
import re
import shutil
from unittest import mock

import common
import guest
import source
from tools import ToolsTest, toy_tree


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
            self.assertIn("looking for a newer linux-source-toy, once a day",
                          str(said.call_args_list))
            shutil.rmtree(second)
            self.assertEqual(source.packaged(self.base()), first)

    def test_newer_suite_out_of_reach(self):
        self.program("apt-get", "case \"$*\" in *indextargets*) "
                     "echo http://mirror toy main;; *) exit 100;; esac")
        self.program("apt-cache", "exit 0")
        reach = "apt offers no linux-source-7.*; try again when the mirror"
        with self.with_programs(), self.assertRaisesRegex(common.Failure, re.escape(reach)):
            source.find("mainline")
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
                                        "as root, run: apt-get install .* its-package"):
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
