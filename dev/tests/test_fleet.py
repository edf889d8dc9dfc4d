# SPDX-License-Identifier: GPL-2.0-only
"""fleet/kselftest.sh, as a board runs it."""

import os
import re
import subprocess

import common
from tools import ToolsTest


class OnBoard(ToolsTest):
    """fleet/kselftest.sh, with programs of a board that print a given text."""

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
            [common.REPO / "fleet/kselftest.sh", self.tests, "eventfs", "gone"], check=False,
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
                  "[    1.0] ok 1 eventfs\n[    1.0]     # Subtest: list_sort\n"
                  "[    1.0]     1..1\n[    1.0]     ok 1 list_sort_test\n"
                  "[    1.0] ok 2 list_sort\n[    1.0]     # Subtest: eventfs_watch\n"
                  "[    1.0]     1..1\n[    1.0]     ok 1 watch_goes_with_its_directory\n"
                  "[    1.0] ok 3 eventfs_watch\n[    2.0] eventfs: kselftest.sh begins")
        self.assertEqual(self.reported(), (0, {
            "kunit.miss_is_cached": "pass", "kunit.eventfs": "pass",
            "kunit.watch_goes_with_its_directory": "pass", "kunit.eventfs_watch": "pass",
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
