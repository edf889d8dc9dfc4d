# SPDX-License-Identifier: GPL-2.0-only
"""make peers."""

import os
import subprocess
import types

import peers
import test
from clients import Result
from common import write_file
from tools import ToolsTest

OUTPUT = """\
@@@ user_events:abi_test
TAP version 13
1..3
ok 1 user.enablement
# abi_test.c:265:flags:Expected 0 (0) == event_delete() (-1)
not ok 2 user.flags
# abi_test.c:3:new:Expected 1
not ok 3 user.new
@@@ status 1
@@@ openat2:resolve_test
1..3
ok 1 [no_magiclinks] normal path gives path '/proc/225/exe'
ok 2 twice # SKIP no memory
ok 3 twice
@@@ status 0
@@@ mount:run_nosymfollow.sh
it said
@@@ status 1
@@@ filesystems:devpts_pts
@@@ status 4
@@@ libtracefs:
Suite: tracefs
  Test: system event ...passed
  Test: instances ...noise
passed
  Test: probes ...FAILED
    1. tracefs-utest.c:203  - ret == 0
    2. tracefs-utest.c:207  - ret == 0
@@@ status 0
@@@ trace-cmd:
  Test: Simple record ...passed
@@@ status 139
@@@ perf:BPF
 42.1: Basic :
--- start ---
test child forked, pid 253
---- end ----
BPF subtest 1: Ok
--- start ---
no clang here
test child finished with -2
---- end ----
BPF subtest 2: Skip
--- start ---
---- end ----
BPF subtest 3: Skip (permissions)
@@@ status 0
@@@ mount:slow
@@@ status 124
"""


class Peers(ToolsTest):
    """make peers"""

    def test_peers_output(self):
        found = {name: (outcome, note) for name, (outcome, note, _) in peers.read(OUTPUT).items()}
        self.assertEqual(found, {
            "user_events:abi_test user.enablement": ("pass", ""),
            "user_events:abi_test user.flags":
                ("fail", peers.AT_RANDOM),
            "user_events:abi_test user.new": ("fail", "abi_test.c:3:new:Expected 1"),
            "openat2:resolve_test [no_magiclinks] normal path gives path '/proc/PID/exe'":
                ("pass", ""),
            "openat2:resolve_test twice": ("skip", "no memory"),
            "openat2:resolve_test twice'": ("pass", ""),
            "mount:run_nosymfollow.sh": ("fail", "status 1: it said"),
            "filesystems:devpts_pts": ("skip", "no message"),
            "libtracefs: system event": ("pass", ""), "libtracefs: instances": ("pass", ""),
            "libtracefs: probes": ("fail", "tracefs-utest.c:203  - ret == 0"),
            "trace-cmd: Simple record": ("pass", ""),
            "trace-cmd: end": ("fail", "status 139: Test: Simple record ...passed"),
            "perf:BPF subtest 1": ("pass", ""),
            "perf:BPF subtest 2": ("skip", "no clang here"),
            "perf:BPF subtest 3": ("skip", "permissions"),
            "mount:slow": ("fail", f"stopped after {peers.LIMIT} s")})

    def test_peers_script(self):
        # Instead of a directory in memory
        write_file(self.top / "mktemp", f"#!/bin/sh\necho {self.top}\n".encode(), 0o755)
        text = subprocess.run("bash", input=peers.script({
            "perf:libc's": "pwd; echo 1..1; echo \"ok 1 it's\"", "mount:b": "exit 4"}),
            capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": f"{self.top}:{os.environ['PATH']}"}).stdout
        self.assertIn(f"\n{self.top}\n", text)
        self.assertEqual({name: result.outcome for name, result in peers.read(text).items()},
                         {"perf:libc's it's": "pass", "mount:b": "skip"})

    def test_peers_that_did_not_end(self):
        self.assertEqual(peers.read("@@@ mount:a\n1..1\nok 1 x\n"), {})

    def test_peers_compared(self):
        good, bad, skip = (Result(outcome, note, []) for outcome, note in (
            ("pass", ""), ("fail", "broken"), ("skip", "no BTF")))
        random = next(iter(peers.REASONS))
        for name, stock, ours, outcome, note in (
                ("a", good, good, "pass", "^$"), ("a", None, good, "pass", "^$"),
                ("a", good, bad, "fail", "broken; on the stock kernel: pass"),
                ("a", bad, bad, "skip", "fails on the stock kernel too: broken"),
                ("a", bad, good, "pass", "on the stock kernel: fail"),
                ("a", good, None, "fail", "did not end; on the stock kernel: pass"),
                ("a", good, skip, "fail", "no BTF; on the stock kernel: pass"),
                ("a", skip, skip, "skip", "no BTF"), ("a", skip, bad, "fail", "broken"),
                ("a", bad, skip, "skip", "no BTF; fails on the stock kernel"),
                (random, good, bad, "skip", "at random")):
            with self.subTest(f"{name} {stock} {ours}"):
                found = peers.verdict(name, stock, ours)
                self.assertEqual(found[0], outcome)
                self.assertRegex(found[1], note)

    def test_peers_reasons(self):
        self.assertIsNone(peers.listed(peers.LEFT_OUT, "mount:run_nosymfollow.sh"))
        for reasons in peers.LEFT_OUT, peers.REASONS:
            for glob, why in reasons.items():
                self.assertTrue(why)
                self.assertEqual(peers.listed(reasons, glob.replace("*", "x")), why)

    def test_peers_table(self):
        def result(outcome, note=""):
            return Result(outcome, note, [])

        plan = {"selftests": None, "attr": None}
        found = types.SimpleNamespace(plan=lambda: plan, versions={"mount": "Linux 6.12"}, results={
            "stock": {"mount:a": result("pass"), "mount:b": result("skip", "no loop"),
                      "mount:c": result("pass")},
            "eventfs": {"mount:a": result("pass"), "mount:b": result("skip", "no loop"),
                        "mount:c": result("fail", "broken")}})
        lines = peers.Peers.table(found).splitlines()
        self.assertRegex(lines[2], r"^attr +not run +not run$")
        self.assertRegex(lines[3], r"^mount +Linux 6\.12 +2 passed, 1 skipped +1 passed, 1 failed, "
                                   r"1 skipped$")
        self.assertEqual([line for line in lines[4:] if line],
                         ["both: mount:b: skip, no loop", "eventfs: mount:c: fail, broken"])

    def test_last_words_of_ftracetest(self):
        self.assertEqual(test.last_words(
            "noise\n==> /tmp/logs/1-a.tc-log.x1 <==\n+ initialize\nno function tracer\n+ exit 4\n"
            "\n==> /tmp/logs/2-b.tc-log.x2 <==\n+ exit 1\n"),
            {"a.tc": "no function tracer", "b.tc": ""})
