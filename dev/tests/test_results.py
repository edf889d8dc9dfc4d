# SPDX-License-Identifier: GPL-2.0-only
"""What tests said, and how it is reported."""

import contextlib
import io
import os
import re
import time
import types
from unittest import mock
from xml.etree import ElementTree

import common
import ktap
import test
from tools import ToolsTest


class Results(ToolsTest):
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

    def test_first_suite_may_run_last(self):
        """The longest start first, but the results are in the order of the suites."""
        common.write_file(self.top / "times", b"one 1\ntwo 60\nthree 90\n")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), mock.patch.object(test, "LOGS", self.top), \
                mock.patch.object(test, "TIMES", self.top / "times"):
            self.assertEqual(test.run_suites(
                dict.fromkeys(("one", "two", "three"), lambda report: report.check("it", True)),
                types.SimpleNamespace(only="one,two,three", results=None, case=None),
                lanes=2), 0)
        self.assertEqual(re.findall(r"^ok \d \w+", said.getvalue(), re.MULTILINE),
                         ["ok 1 one", "ok 2 two", "ok 3 three"])

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
                                    "one (guest x), three (guest x)")
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
