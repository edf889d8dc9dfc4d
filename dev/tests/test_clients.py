# SPDX-License-Identifier: GPL-2.0-only
"""make clients."""

import os
import re
import types
from unittest import mock

import clients
import common
import source
from tools import ToolsTest


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
                ("systemd.log", "Command line: rw systemd.setenv=eventfs_run=/a/1-b", []),
                ("systemd.log", "eventfs: hello", ["eventfs: hello"]),
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
        with mock.patch.object(clients, "version", lambda package, _:
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


class Debian(ToolsTest):
    """Debian's own kernel, for make deb CONFIG=cloud and make debian"""

    def setUp(self):
        super().setUp()
        # What it depends on is what is downloaded, once.
        for name, script in (
                ("apt-cache", "echo 'Depends: linux-image-6.12.1+toy (= 6.12.1-1)'"),
                ("apt-get", f"echo \"$*\" >> {self.top}/asked; echo deb > toy.deb")):
            (self.top / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.top / name).chmod(0o755)

    def source_of(self, base, version="6.12.1-1"):
        return types.SimpleNamespace(
            base=source.Base(base), fixed=True,
            path=self.top / f"linux-source-6.12-{version}-0123456789ab")

    def test_kernel_of_the_same_version(self):
        with mock.patch.dict(os.environ, PATH=f"{self.top}:{os.environ['PATH']}"):
            for _ in range(2):
                found = source.distribution_image(self.source_of("v6.12"))
                self.assertEqual(found.read_text(), "deb\n")
            self.assertNotEqual(
                found, source.distribution_image(self.source_of("v6.12", "6.12.2-1")))
        asked = (self.top / "asked").read_text().splitlines()
        self.assertEqual(len(asked), 2)
        self.assertRegex(asked[0], "download linux-image-6.12.1\\+toy=6.12.1-1$")

    def test_base_of_which_debian_has_none(self):
        with self.assertRaisesRegex(common.Failure, "not known for BASE=mainline"):
            source.distribution_config(self.source_of("mainline"))
