# SPDX-License-Identifier: GPL-2.0-only
"""Kernel source from Debian's packages, and programs that are missing."""

import os
import shutil
import subprocess
from unittest import mock

import common
import guest
import kernel
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
        base.conf["version"] = "1"
        return base

    def offer(self, then="exit 100", version="1"):
        """apt with this version only, which can be asked for by name"""
        self.program("apt-get", f'echo "$*" >> {self.top}/asked; case "$*" in '
                     f"*--print-uris*toy | *--print-uris*toy={version}) "
                     f"echo \"'http://mirror/x' linux-source-toy_{version}_all.deb 9 SHA256:0\";;"
                     f" *--print-uris*) exit 100;; *download*) {then};; esac")

    def packaged(self):
        """The tree, and what was said"""
        with self.with_programs(), mock.patch.object(source, "say") as said:
            tree = source.packaged(self.base())
        return tree.name, "\n".join(call[0][0] for call in said.call_args_list)

    def next_day(self):
        for link in self.src.glob(".used-*"):
            os.utime(link, (1, 1), follow_symlinks=False)

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
        with self.assertRaisesRegex(common.Failure, "apt offers no linux-source-toy.*or change "
                                    "bases/v6.12/base.conf"):
            self.packaged()
        toy_tree(self.src / "linux-source-toy-2-0123")
        self.assertEqual(self.packaged(), ("linux-source-toy-2-0123", "apt has no "
                         "linux-source-toy 1: using linux-source-toy-2-0123; to stay with it, "
                         "change bases/v6.12/base.conf"))

    def test_source_that_is_there_is_used_at_once(self):
        """No lock, no apt and no word; once a day a look for a newer one, with a line."""
        tree = toy_tree(self.src / "linux-source-toy-1-0123").name
        asked = self.top / "asked"
        look = "looking for a newer linux-source-toy, once a day"
        for version, said in (
                ("1", look), ("0", look),
                ("2", f"{look}\nlinux-source-toy 2 is there; to take it, change "
                 "bases/v6.12/base.conf")):
            self.offer(version=version)
            self.next_day()
            self.assertEqual(self.packaged(), (tree, said))
            asked.unlink()
            with mock.patch.object(source, "lock", side_effect=AssertionError("locked")):
                self.assertEqual(self.packaged(), (tree, ""))
            self.assertFalse(asked.exists())

    def test_version_is_asked_for(self):
        """Another is used only if apt does not have this one, and until it has it."""
        toy_tree(self.src / "linux-source-toy-2-0123")
        self.offer(version="2")
        self.assertRegex(self.packaged()[1], "apt has no linux-source-toy 1: using "
                         "linux-source-toy-2-0123; .* bases/v6.12/base.conf")
        self.offer()
        self.next_day()
        with self.assertRaisesRegex(common.Failure, "downloading linux-source-toy failed"):
            self.packaged()
        self.assertTrue((self.top / "asked").read_text().endswith(
            "download linux-source-toy=1\n"))

    def test_installed(self):
        """An installed package of another version is used only if apt has none."""
        toy_tree(self.top / "toy-2")
        subprocess.run(["tar", "-cJf", self.top / "linux-source-toy.tar.xz", "-C", self.top,
                        "toy-2"], check=True)
        self.program("dpkg-query", "printf 2")
        self.offer()
        with mock.patch.object(source, "INSTALLED", self.top):
            with self.assertRaisesRegex(common.Failure, "downloading linux-source-toy failed"):
                self.packaged()
            self.program("apt-get", "exit 100")
            tree, said = self.packaged()
            self.assertRegex(tree, "linux-source-toy-2-")
            self.assertRegex(said, "apt has no linux-source-toy 1: using linux-source-toy-2-")
            shutil.rmtree(self.src)
            self.program("dpkg-query", "printf 1")
            tree, said = self.packaged()
            self.assertRegex(tree, "linux-source-toy-1-")
            self.assertEqual(said, "unpacking linux-source-toy 1")

    def test_newer_version_of_this_base(self):
        """A change of base.conf has effect at once."""
        first = toy_tree(self.src / "linux-source-toy-1-0123").name
        second = toy_tree(self.src / "linux-source-toy-2-0123").name
        self.offer(version="2")
        self.assertEqual(self.packaged()[0], first)
        base = self.base()
        base.conf["version"] = "2"
        with self.with_programs():
            self.assertEqual(source.packaged(base).name, second)

    def test_newer_suite(self):
        """Mainline is the newest series there; without the network, what is there is used."""
        apt = "case \"$*\" in *indextargets*) echo http://mirror toy main;; %s*) exit 100;; esac"
        self.program("apt-get", apt % "")
        self.program("apt-cache", "exit 0")
        version = source.Base("mainline").conf["version"]
        reach = "apt offers no linux-source-7.3: .* change bases/mainline/base.conf"
        with self.with_programs(), mock.patch.object(source, "say") as said:
            with self.assertRaisesRegex(common.Failure, reach):
                source.find("mainline")
            tree = toy_tree(self.src / f"linux-source-7.3-{version}-0123", "7.3")
            self.assertEqual(source.find("mainline").path, tree)
            self.next_day()
            said.reset_mock()
            self.program("apt-cache", "echo linux-source-7.3; echo linux-source-7.10; "
                         "echo linux-source; echo linux-source-7.9")
            self.program("apt-get", apt % "*--print-uris*7.10) echo \"'x' "
                         "linux-source-7.10_7.10.2-1_all.deb\";; ")
            self.assertEqual(source.find("mainline").path, tree)
            self.assertEqual(said.call_args[0][0], "linux-source-7.10 7.10.2-1 is there; "
                             "to take it, change bases/mainline/base.conf")
            self.next_day()
            self.program("apt-get", "exit 100")
            self.assertEqual(source.find("mainline").path, tree)

    def test_base_by_version(self):
        for version, base in (("6.12", "v6.12"), ("7.1", "v6.12"), ("7.2", "v7.2"),
                              ("7.3", "mainline"), ("8.0", "mainline")):
            tree = toy_tree(self.top / version, version)
            self.assertEqual(source.find(None, tree).base.name, base)

    def test_what_upstream_changed(self):
        """It is applied before the edits, unless the tree has it."""
        name = "fs/tracefs/event_inode.c"
        for path, old, new in (("base/upstream.patch", "stock", "newer"),
                               ("edits/one.patch", "newer", "ours")):
            common.write_file(self.top / path, f"--- a/{name}\n+++ b/{name}\n"
                              f"@@ -1 +1 @@\n-{old}\n+{new}\n".encode())
        base = source.Base("v7.2")
        base.path = self.top / "base"
        found = source.Source(self.tree, base, fixed=False)
        with mock.patch.object(source, "REPO", self.top):
            for patches in (["upstream.patch", "one.patch"], ["one.patch"]):
                self.assertEqual([patch.name for patch in found.edits()], patches)
                files = {}
                kernel.apply_patches(found.edits(), files, self.tree)
                self.assertEqual(files[name][0], b"ours\n")
                (self.tree / name).write_text("newer\n")

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
