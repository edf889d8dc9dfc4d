# SPDX-License-Identifier: GPL-2.0-only
"""make overlay."""

import subprocess
import types
from unittest import mock

import common
import kernel
import overlay
from tools import OURS_TOO, TOOLS, ToolsTest, snapshot, toy_tree


class Overlaid(ToolsTest):
    """make overlay"""

    def overlay(self, tree=None, **env):
        return self.start(TOOLS["overlay"], "--ksrc", tree or self.tree, **env)

    def test_no_kernel(self):
        self.fails(self.start(TOOLS["overlay"]), "make overlay needs KSRC=")
        self.fails(self.overlay(self.top / "nothing"), "is not a directory")
        (self.top / "empty").mkdir()
        self.fails(self.overlay(self.top / "empty"), "give KSRC a kernel source tree")
        self.fails(self.overlay(toy_tree(self.top / "old", "6.6")), "KSRC must be 6.12")

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
            with self.assertRaisesRegex(common.Failure, "event_inode.c was changed; "
                                        "FORCE=1 overwrites it"):
                overlay.overlay(args)
            self.assertEqual(path.read_text(), "mine\n")
            args.force = True
            overlay.overlay(args)
            self.assertEqual(path.read_text(), "ours\n")
            args.force = False
            overlay.overlay(args)
        self.assertRegex(printed.call_args_list[0][0][0], "wrote 1 of 1 files, fitted to it")
        self.assertRegex(printed.call_args_list[1][0][0], "is up to date: 1 files")

    def laid(self, **files):
        """make overlay of these files, which then are ours; what it said"""
        files = {f"fs/tracefs/{name}.c": (text.encode(), 0o644) for name, text in files.items()}
        args = types.SimpleNamespace(ksrc=str(self.tree), force=False)

        def our_files(stock):
            self.assertEqual((stock.path / "fs/tracefs/event_inode.c").read_text(), "stock\n")
            return files
        with mock.patch.object(kernel, "our_files", our_files), \
                mock.patch("builtins.print") as said:
            overlay.overlay(args)
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
                         "is up to date: 3 files")
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
        self.fails(self.overlay(), "has this eventfs already, but not from make overlay")
        self.assertEqual(snapshot(self.tree), before)

    def test_overlaid_without_git(self):
        (self.tree / "fs/tracefs/Kconfig").write_text("ours\n")
        self.fails(self.overlay(), "is not stock: fs/tracefs/Kconfig differs; unpack it again")
