# SPDX-License-Identifier: GPL-2.0-only
"""The patch series, of a toy kernel, with git itself."""

import io
import shutil
import types
from unittest import mock

import common
import kernel
import series
import series_check
import source
from tools import TOOLS, ToolsTest, toy_tree

MAINTAINERS = "TRACING\nM:\tA <a@x.example>\nR:\tB <b@x.example>\nF:\tfs/tracefs/\n"
# Names the files that it was asked for
GET_MAINTAINER = r"""
for (@ARGV) { $patch = $_ unless /^-/; }
open(F, $patch); for (<F>) { print "$1 <$1\@x.example>\n" if m!(\w+)\.c$! }
"""
COVER = "Subject: [PATCH 0/2] eventfs: A toy\n\nWhy.\n"


class SeriesTest(ToolsTest):
    """Two series: the branches of a work tree, and the folders that are made of them"""

    def setUp(self):
        super().setUp()
        self.stock = toy_tree(self.top / "stock", "7.3")
        for name, text in (("MAINTAINERS", MAINTAINERS), ("fs/tracefs/inode.c", "1\n2\n3\n"),
                           ("scripts/get_maintainer.pl", GET_MAINTAINER)):
            common.write_file(self.stock / name, text.encode())
        shutil.copytree(self.stock, self.top / "linux")
        self.git = series.Git(self.top / "linux")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"],
                      ["branch", "eventfs/base"]):
            self.git(*words)
        self.folders = self.top / "series"
        for module, name, value in ((series, "SERIES", self.folders),
                                    (series, "BUILD", self.top / "build"),
                                    (series, "COMPLETE", 2)):
            patcher = mock.patch.object(module, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.commit("event_inode.c", "stock\none\n")
        self.commit("event_inode.c", "stock\none\nd_splice_alias(x);\n")
        self.git("branch", "eventfs/1-first")
        self.commit("inode.c", "1\n2\n3\n4\n")
        self.git("branch", "eventfs/2-second")
        self.save()
        for name in ("1-first", "2-second"):
            (self.folders / name / "cover.txt").write_text(COVER)

    def commit(self, name, text):
        common.write_file(self.top / "linux/fs/tracefs" / name, text.encode())
        self.git("add", "-A")
        self.git("commit", "-qm", f"eventfs: {name} of {len(text)}\n\nWhy.\n\nFixes: 12 (\"x\")")

    def call(self, function, **given):
        """What it prints"""
        args = dict.fromkeys(("only", "signoff", "assisted_by", "reviewer", "reroll", "force"))
        args |= {"ksrc": str(self.stock), "tree": str(self.top / "linux"), "base": "mainline"}
        with mock.patch("sys.stdout", new_callable=io.StringIO) as out:
            function(types.SimpleNamespace(**(args | given)))
        return out.getvalue()

    def save(self):
        return self.call(series.from_branches)

    def write(self, **given):
        """The mails of make series: name -> text; and what it said"""
        ours = {name: kernel.content_and_mode(self.top / "linux/fs/tracefs" / name)
                for name in ("event_inode.c", "inode.c")}
        ours = {f"fs/tracefs/{name}": file for name, file in ours.items()}
        with mock.patch.object(kernel, "our_files", return_value=ours):
            said = self.call(series.write, **given)
        return {str(path.relative_to(self.top / "build/series")): path.read_text()
                for path in sorted((self.top / "build/series").glob("*/*"))}, said

    def patches(self):
        return {str(path.relative_to(self.folders)): path.read_bytes()
                for path in sorted(self.folders.glob("*/*.patch"))}

    def refuses(self, pattern, function=None, **given):
        with self.assertRaisesRegex(common.Failure, pattern) as caught:
            self.call(function or series.write, **given)
        self.assertNotIn("\n", str(caught.exception))


class Mails(SeriesTest):
    def test_nothing_is_signed(self):
        mails, said = self.write()
        self.assertEqual([name.split("-eventfs")[0] for name in mails], [
            "1-first/0000-cover-letter.patch", "1-first/0001", "1-first/0002",
            "2-second/0000-cover-letter.patch", "2-second/0001"])
        text = "".join(mails.values())
        self.assertNotIn("Signed-off-by", text)
        self.assertRegex(said, r"before they may be sent: SIGNOFF='Name <mail>' ASSISTED_BY=")
        self.assertRegex(text, r"Subject: \[PATCH 2/2\] eventfs: event_inode.c of 29\n\nWhy.\n\n"
                         r"Fixes: 12 \(.x.\)\nCc: dcache <dcache@x.example>\nCc: event_inode .*\n"
                         r"Cc: inode <inode@x.example>\n---\n")
        self.assertRegex(text, r"Subject: \[PATCH 0/2\] eventfs: A toy\n\nWhy.\n\nbase: Linux 7.3.1"
                         r"\n\nCc: event_inode <.*\nCc: inode <.*\nCc: dcache ")
        self.assertIn('\nand the series "eventfs: A toy"\n', text)

    def test_somebody_signs(self):
        mails, said = self.write(signoff="Jörg M <inode@x.example>", assisted_by="tool:1",
                                 reviewer="B. Other <o@x.example>", reroll="3", only="2-second")
        self.assertEqual(said.count("\n"), 1)
        cover, first, last = mails.values()
        for text in (cover, first, last):
            self.assertRegex(text, r"\nFrom: =\?utf-8\?.* <inode@x.example>\n")
            self.assertNotIn("Cc: inode", text)
        for text in (first, last):
            self.assertIn("\nAssisted-by: tool:1\nSigned-off-by: Jörg M <inode@x.example>\n---\n",
                          text)
        self.assertRegex(cover, r"PATCH v3 0/2\](?s:.*)\nWritten with the assistance of tool:1.\n")
        self.assertIn("\n R:\tB <b@x.example>\n+R:\tB. Other <o@x.example>\n", last)

    def test_earlier_mails_are_removed(self):
        self.write(reroll="2")
        self.assertFalse([name for name in self.write()[0] if "/v2" in name])

    def test_prefixes(self):
        names = {name: series.PREFIXES.get(name) for name in ("4-owners", "1-fixes/v6.12")}
        self.assertEqual(names, {"4-owners": "RFC PATCH", "1-fixes/v6.12": "PATCH 6.12"})
        (self.folders / "1-first").rename(self.folders / "new")
        (self.folders / "1-first").mkdir()
        (self.folders / "new").rename(self.folders / "1-first/v6.12")
        (self.stock / "Makefile").write_text((self.tree / "Makefile").read_text())
        mails, _ = self.write()
        self.assertEqual(len(mails), 3)
        self.assertIn("1-first-v6.12/0000-cover-letter.patch", mails)
        self.assertTrue(all("\nCc: stable@vger.kernel.org\n" in text for text in mails.values()))

    def test_end_differs(self):
        ours = {f"fs/tracefs/{name}.c": (b"other\n", 0o644)
                for name in ("event_inode", "inode", "new", "newer")}
        with mock.patch.object(kernel, "our_files", return_value=ours):
            self.refuses("after the last patch, 4 files differ from this repository's: fs/tracefs/"
                         "event_inode.c fs/tracefs/inode.c fs/tracefs/new.c; edit the patches")
        shutil.rmtree(self.folders / "2-second")
        with mock.patch("sys.stderr", new_callable=io.StringIO) as err:
            self.write()
        self.assertIn("1-first is not the last one, so its end is not compared", err.getvalue())

    def test_patch_that_does_not_apply(self):
        (self.stock / "fs/tracefs/inode.c").write_text("other\n")
        self.refuses("series/2-second/0001-.*.patch does not apply: error: .*inode.c")

    def test_bad_folders(self):
        """What is wrong is said before anything is fetched."""
        cover = self.folders / "1-first/cover.txt"
        with mock.patch.object(source, "find", side_effect=AssertionError):
            for text in (COVER + "x\n" * 98, "eventfs: A toy\n", "a\nb\n\nWhy.\n", ""):
                cover.write_text(text)
                self.refuses("1-first/cover.txt must have a subject, an empty line and the text of "
                             "the cover letter, in 100 lines at most")
            cover.unlink()
            self.refuses("1-first/cover.txt must have a subject")
            cover.write_text(COVER)
            self.refuses("ONLY=9-x: there is no series 9-x; it must be one of 1-first, 2-second",
                         only="9-x")
            first, second = sorted((self.folders / "1-first").glob("*.patch"))
            first.unlink()
            self.refuses("0002-.*.patch is not number 1: rename it, or number the patches with")
            second.unlink()
            self.refuses("1-first has no patches: make series-save writes them")
            shutil.rmtree(self.folders)
            self.refuses("there is no series/.*: make series-save writes it")

    def test_bad_people(self):
        for name in ("SIGNOFF", "REVIEWER"):
            for value in ("me", "me@x.example", "<me@x.example>", "A B <me>"):
                self.fails(self.start(TOOLS["series"], **{name: value}),
                           f"{name}={value} is not of the form 'Name <mail>'")
        self.fails(self.start(TOOLS["series"], REROLL="two"), "REROLL=two is not a number")


class Branches(SeriesTest):
    def test_there_and_back(self):
        before = self.patches()
        self.assertEqual(len(before), 3)
        self.assertTrue(all(b"\nSubject: [PATCH] eventfs: " in text and b"\n-- \n" not in text
                            for text in before.values()))
        self.git("checkout", "-q", "eventfs/base")
        for name in ("1-first", "2-second"):
            self.git("branch", "-D", f"eventfs/{name}")
        self.assertRegex(self.call(series.to_branches), "eventfs/base eventfs/1-first eventfs/2-second$")
        self.assertEqual(self.git("rev-parse", "--abbrev-ref", "HEAD"), "eventfs/2-second")
        self.assertEqual(self.git("rev-list", "--count", "eventfs/base..HEAD"), "3")
        self.assertIn("1 patches, 0 of them new or changed", self.save())
        self.assertEqual(self.patches(), before)
        self.commit("inode.c", "1\n2\n3\n4\n5\n")
        self.assertIn("2 patches, 1 of them new or changed", self.save())
        self.call(series.to_branches, force=True)
        self.assertEqual(self.git("rev-list", "--count", "eventfs/base..HEAD"), "4")

    def test_patch_is_dropped(self):
        first = self.git("rev-parse", "eventfs/1-first~")
        self.git("rebase", "-q", "--onto", first, "eventfs/1-first", "eventfs/2-second")
        self.git("branch", "-f", "eventfs/1-first", first)
        self.assertIn("1-first: 1 patches, 0 of them", self.save())
        self.assertEqual(len(self.patches()), 2)

    def test_branch_that_was_left_behind(self):
        self.git("checkout", "-q", "eventfs/1-first")
        self.git("commit", "-q", "--amend", "-m", "eventfs: Other words")
        before = self.patches()
        self.refuses("eventfs/2-second does not contain eventfs/1-first: rebase with git rebase "
                     "--update-refs", series.from_branches)
        self.git("branch", "-f", "eventfs/2-second", "HEAD")
        self.refuses("eventfs/2-second has no commit after eventfs/1-first: delete one",
                     series.from_branches)
        self.assertEqual(self.patches(), before)

    def test_tree_that_was_not_changed_by_a_failure(self):
        self.git("checkout", "-q", "-b", "mine", "eventfs/base")
        self.commit("inode.c", "other\n")
        self.refuses("has a branch eventfs/1-first; FORCE=1 replaces it", series.to_branches)
        tip = self.git("rev-parse", "eventfs/2-second")
        self.refuses("2-second/0001-.*.patch does not apply", series.to_branches, force=True)
        self.assertEqual(self.git("rev-parse", "--abbrev-ref", "HEAD"), "mine")
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.assertEqual(self.git("rev-parse", "eventfs/2-second"), tip)

    def test_bad_trees(self):
        for function, name in ((series.to_branches, "branch"), (series.from_branches, "save")):
            self.refuses(f"make series-{name} needs TREE=", function, tree=None)
            for tree in ("/nothing", str(self.stock)):
                self.refuses(f"TREE={tree} is not a git work tree of the kernel", function,
                             tree=tree)
        (self.top / "linux/fs/tracefs/inode.c").write_text("mine\n")
        self.refuses("linux: fs/tracefs/inode.c was changed: commit or stash it", series.to_branches)
        (self.top / "linux/.git/rebase-merge").mkdir()
        self.refuses("linux: finish git rebase or git am there, or abort it", series.from_branches)
        (self.top / "linux/.git/rebase-merge").rmdir()
        self.git("checkout", "-q", "-f", "eventfs/base")
        for name in ("1-first", "2-second"):
            self.git("branch", "-D", f"eventfs/{name}")
        self.refuses("has no branch eventfs/1-...: make series-branch first", series.from_branches)


class Check(SeriesTest):
    def setUp(self):
        super().setUp()
        self.names = ["1-first/0001-a", "1-first/0002-b", "2-second/0001-c"]

    def test_chosen(self):
        for only, found in (("", [0, 1, 2]), ("1-first", [0, 1]), ("1-first/0002", [1]),
                            ("2-second,1-first/0001-a", [0, 2])):
            self.assertEqual(series_check.chosen(self.names, only), [self.names[i] for i in found])
        with self.assertRaisesRegex(common.Failure, "ONLY=x: there is no patch x; it must be a "
                                    "series or a patch, such as 1-first or 1-first/0001"):
            series_check.chosen(self.names, "x")

    def test_each_state_is_checked(self):
        seen = []

        class Checker:
            config, stop = "check", False

            def start(self, state, touched):
                seen.append((state, sorted(touched)))

            def run(self, report, state, patch, touched):
                seen.append((state, sorted(touched)))
                report.check("it", patch.name.startswith("0001"))

        args = types.SimpleNamespace(only=",".join(self.names[1:]), results=None)
        patches = sorted(self.folders.glob("*/*.patch"))
        with mock.patch.object(series_check, "State", lambda args, config, state: state), \
                mock.patch("sys.stdout", new_callable=io.StringIO) as out:
            self.assertEqual(series_check.check_states(args, Checker(), self.names, patches,
                                                       ["base", "one", "two", "three"]), 1)
        files = ["fs/tracefs/event_inode.c", "fs/tracefs/inode.c"]
        self.assertEqual(seen, [("one", files), ("two", files[:1]), ("three", files[1:])])
        self.assertRegex(out.getvalue(), "(?s)not ok 1 1-first/0002-b.*ok 2 2-second/0001-c")

    def test_states(self):
        found = source.Source(self.stock, source.Base("mainline"), fixed=True)
        stack = series.Stack(found, series.all_series(found.base), self.top / "stack")
        one, two, three = stack.states()
        self.assertEqual(one, {"fs/tracefs/event_inode.c": (b"stock\none\n", 0o644)})
        self.assertEqual([len(two), len(three)], [1, 2])

    def test_what_is_said_once(self):
        text = "  CC      fs/tracefs/a.o\n../src/fs/tracefs/a.c:{}:2: warning: old\n"
        tree = mock.MagicMock(src=self.stock)
        common.write_file(self.stock / "fs/tracefs/a.c", b"")
        compiled = series_check.Compiled()
        for line, more, found in ((1, "", 1), (5, "", 0), (6, "b.c:1: error: new\n", 1)):
            tree.make.return_value = text.format(line) + more, 0
            self.assertEqual(len(compiled.compile(tree, {"fs/tracefs/a.c"})[0]), found)
        tree.make.return_value = "", 0
        self.assertEqual(compiled.compile(tree, {"fs/tracefs/a.c", "fs/tracefs/gone.c"})[0],
                         ["fs/tracefs/a.c was not compiled"])
        tree.make.return_value = "no rule\n", 2
        self.assertEqual(compiled.compile(tree, set())[0], ["no rule"])
