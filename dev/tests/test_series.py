# SPDX-License-Identifier: GPL-2.0-only
"""The patch series, of a toy kernel."""

import io
import re
import subprocess
import types
from unittest import mock

import common
import kernel
import series
import series_check
import source
from tools import ToolsTest


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
        self.refuses("series/02-second.txt: it needs a message and a line --- after it")

    def test_what_no_patch_brings(self):
        self.files["fs/tracefs/more.c"] = b"more\n", 0o644
        self.refuses("no patch adds all of fs/tracefs/more.c: name it in the patch")

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
                self.assertRaisesRegex(common.Failure, "after the last patch, "
                                       "fs/tracefs/new.c differs from ours"):
            series.write_series(made, self.top / "out", copies=False)

    def test_nobody_to_sign(self):
        with mock.patch.object(series, "identity", return_value=("", "")), \
                self.assertRaisesRegex(common.Failure, "patches need an author: set git config"):
            series.write_series(series.Series(self.source), self.top / "out", copies=False)

    def test_base_is_named(self):
        git = ["git", "-C", str(self.tree), "-c", "user.name=a", "-c", "user.email=b"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *words], check=True)
        self.assertRegex(series.base_line(self.source, ["Makefile"]),
                         "^base-commit: [0-9a-f]{40}$")
        (self.tree / "Makefile").write_text("VERSION = 6\n")
        with self.assertRaisesRegex(common.Failure, "Makefile differs from HEAD"):
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
        with self.assertRaisesRegex(common.Failure, "no patch nix; .* 01-first, 02-second"):
            series_check.check_states(made, args, Suites(), "check")

    def test_state_that_was_not_compiled(self):
        state = types.SimpleNamespace(
            overlay={kernel.MAKEFILE: (b"tracefs-objs\t:= a.o\ntracefs-objs\t+= old/b.o\n",
                                       0o644)}, source=self.source)
        self.assertEqual(series_check.objects_of(state), {"a.o", "old/b.o"})
