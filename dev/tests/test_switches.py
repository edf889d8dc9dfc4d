# SPDX-License-Identifier: GPL-2.0-only
"""Variables of make, arguments, and mistakes in them."""

import os
import shutil
import subprocess
import types
from pathlib import Path
from unittest import mock

import check
import common
import guest
import kernel
import test
from tools import GUEST, TOOLS, ToolsTest


class Switches(ToolsTest):
    def test_mistakes_are_one_line(self):
        run = TOOLS["guest"]
        for env, pattern in (({"BASE": "v1.0"}, "BASE=v1.0: it must be one of.*v6.12"),
                             ({"KERNEL": "best"}, "KERNEL=best: it must be one of"),
                             ({"MEM": "much"}, "MEM=much"),
                             ({"SMP": "0"}, "SMP=0"),
                             ({"SMP": "two"}, "SMP=two"),
                             ({"TIMEOUT": "long"}, "TIMEOUT=long"),
                             ({"TIMEOUT": "0"}, "TIMEOUT=0"),
                             ({"ICOUNT": "1", "SMP": "2"}, "icount: not allowed with .*smp"),
                             ({"CONFIG": "foo"}, "CONFIG=foo: it must be one of release.*kcsan"),
                             ({"CONFIG": "check"}, "CONFIG=check: it must be one of"),
                             ({"CONFIG": "kcsan", "DEBUG": "1"}, "debug.* not allowed with"),
                             ({"DEBUG": "yes"}, "DEBUG=yes: it must be 1 or 0"),
                             ({"BASE": "v6.1"}, "BASE=v6.1 is for comparison only"),
                             ({"BASE": "mainline", "KSRC": str(self.tree)}, "not allowed with"),
                             ({"KSRC": "/nothing"}, "KSRC=/nothing is not a directory"),
                             ({"ONLY": "x"}, "guest.py does not use ONLY=x"),
                             ({"ACCEL": "fast"}, "ACCEL=fast: it must be one of")):
            with self.subTest(env):
                self.fails_at_once(run, pattern, **env)
        self.fails(self.start(run, "--image", self.top), "it has no bzImage")
        self.fails(self.start(run, "--gdb", CONFIG="kcsan"), "leave out CONFIG")
        self.fails(self.start(run, "--nothing"), "unknown argument --nothing")

    def fails_at_once(self, tool, pattern, **env):
        """With nothing looked up, installed, downloaded or built"""
        path = self.top / "bin"
        path.mkdir(exist_ok=True)
        for name in ("apt-get", "apt-cache", "dpkg-query", "make", "gcc"):
            common.write_file(path / name, f"#!/bin/sh\ntouch {self.top}/used\n".encode(), 0o755)
        (self.top / "used").unlink(missing_ok=True)
        err = self.fails(self.start(tool, **env, PATH=f"{path}:{os.environ['PATH']}"), pattern)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertFalse((self.top / "used").exists())

    def test_mistakes_are_found_at_once(self):
        for tool, env, pattern in (
                ("test", {"KERNEL": "foo"}, "test.py does not use KERNEL=foo"),
                ("test", {"CONFIG": "foo"}, "does not use CONFIG=foo"),
                ("test", {"ONLY": "foo"}, "no suite foo; it must be one of build"),
                ("test", {"ONLY": "kunit", "CASE": "nomatch"}, "CASE=nomatch: no such case in kunit"),
                ("test", {"CASE": "nomatch"}, "CASE=nomatch: no such case in build, boot"),
                ("test", {"ONLY": "ftrace", "CASE": "miss_is_cached"}, "CASE=miss.* in ftrace"),
                ("test", {"BASE": "v6.1"}, "BASE=v6.1: it must be one of"),
                ("test", {"MEM": "1M"}, "MEM=1M: the kernel needs"),
                ("check", {"ONLY": "foo"}, "no check foo; it must be one of .*gcc.*shellcheck"),
                ("check", {"BASE": "mainline"}, "does not use BASE=mainline"),
                ("clients", {"ONLY": "foo"}, "no suite foo; it must be one of stock"),
                ("clients", {"CASE": "foo.*"}, "CASE=foo.*: foo.* is not a name such as"),
                ("clients", {"CASE": "a'; reboot"}, "is not a name such as"),
                ("clients", {"CONFIG": "rt"}, "CONFIG=rt: it must be one of clients"),
                ("peers", {"ONLY": "foo"}, "no suite foo; it must be one of selftests, ftrace"),
                ("peers", {"CONFIG": "rt"}, "CONFIG=rt: it must be one of release"),
                ("fuzz", {"INPUT": "zz"}, "INPUT=zz is neither"),
                ("fuzz", {"INPUT": "012"}, "INPUT=012 is neither"),
                ("fuzz", {"SECONDS": "long"}, "SECONDS=long is not a number"),
                ("fuzz", {"SEED": "-1"}, "SEED=-1 is not a number"),
                ("bench", {"PROFILE": "foo"}, "PROFILE='foo' is not a figure such as"),
                ("bench", {"PROFILE": "foo,eventfs,0"}, "not a figure of bench/v6.12.csv"),
                ("bench", {"KERNEL": "stock"}, "KERNEL= needs PROFILE="),
                ("bench", {"SMP": "2"}, "bench.py does not use SMP=2"),
                ("stress", {"ONLY": "foo"}, "no worker foo; it must be one of walk"),
                ("stress", {"MEM": "much"}, "MEM=much is not a size"),
                ("stress", {"BASE": "v6.1"}, "BASE=v6.1 is for comparison only"),
                ("harden", {"ONLY": "foo"}, "no suite foo; it must be one of kcsan"),
                ("harden", {"CASE": "x"}, "does not use CASE=x"),
                ("series_check", {"ONLY": "foo"}, "no patch foo; it must be a series or a patch"),
                ("series", {"ONLY": "foo"}, "no series foo; it must be one of 1-fixes"),
                ("series", {"SIGNOFF": "me"}, "SIGNOFF=me is not of the form 'Name <mail>'"),
                ("overlay", {"TREE": "foo"}, "does not use TREE=foo"),
                ("model", {"ONLY": "foo"}, "does not use ONLY=foo"),
                ("mutants", {"ONLY": "foo"}, "does not use ONLY=foo"),
                ("coverage", {"RESULTS": "x"}, "does not use RESULTS=x"),
                ("test_tools", {"ONLY": "Builds,foo"}, "ONLY=Builds,foo: no such test"),
                ("test_tools", {"DEBUG": "1"}, "test_tools.py does not use DEBUG=1"),
                ("deb", {"FORCE": "1"}, "deb.py does not use FORCE=1"),
                ("deb", {"CONFIG": "rt"}, "CONFIG=rt: it must be one of deb, cloud"),
                ("debian", {"CASE": "foo"}, "CASE=foo: foo is not a name such as"),
                ("debian", {"BASE": "mainline"}, "not known for BASE=mainline"),
                ("locks", {"CONFIG": "rt"}, "locks.py does not use CONFIG=rt"),
                ("overlay", {"BASE": "mainline"}, "does not use BASE=mainline"),
                ("overlay", {}, "needs KSRC="),
                ("kernel", {"CONFIG": "series"}, "CONFIG=series: it must be one of")):
            with self.subTest(f"{tool} {env}"):
                self.fails_at_once(TOOLS[tool], pattern, **env)
        self.fails(self.start(TOOLS["test"], "--record-stock", ONLY="ftrace"), "leave out")

    def test_the_same_on_the_command_line(self):
        for word, pattern in (("--kernel=best", "KERNEL=best: it must be one of"),
                              ("--config=check", "CONFIG=check: it must be one of"),
                              ("--mem=1M", "MEM=1M: the kernel needs 40M to boot"),
                              ("--conf=kcsan", "unknown argument --conf=kcsan")):
            self.fails(self.start(TOOLS["guest"], word), pattern)

    def test_command_line_comes_after_the_environment(self):
        parser = common.Parser("what it does")
        kernel.add_arguments(parser)
        with mock.patch.dict(os.environ, KERNEL="stock", CONFIG="kcsan", DEBUG="0", BASE=""):
            args = parser.parse_args(["--kernel=eventfs"])
        self.assertEqual((args.kernel, args.config, args.base), ("eventfs", "kcsan", "v6.12"))

    def test_names_of_checks(self):
        tree = mock.MagicMock()
        chains = check.of_tree(tree, check.SPARSE_BASE)
        self.assertEqual(check.names_of(chains), set(check.OF_TREE))

    def test_case_chooses_suites(self):
        args = types.SimpleNamespace(ksrc=None, case=None)
        suites = types.SimpleNamespace(args=args)
        names = ["build", "kunit", "selftests", "ftrace", "kunit-debug", "selftests-debug",
                 "faults-debug", "ftrace-debug", "ftrace-rest", "selftests-debug-long"]
        for case, found in (("eventfs_tree.removal*", ["kunit", "kunit-debug"]),
                            ("miss_is_cached", ["kunit", "kunit-debug"]),
                            ("miss_cached", ["ftrace", "ftrace-debug"]),
                            ("names_are_true", ["selftests", "selftests-debug",
                                                "selftests-debug-long"]),
                            ("limits.*", ["selftests", "selftests-debug-long"]),
                            ("ends_cleanly", ["faults-debug"]), ("nothing", [])):
            args.case = case
            self.assertEqual(test.Suites.with_case(suites, names), found, case)

    def test_help_is_whole(self):
        done = subprocess.run(["make", "-C", common.REPO, "--no-print-directory", "help"],
                              env=self.env, capture_output=True, text=True, check=True)
        head = (common.REPO / "Makefile").read_text().split("\n\n")[0]
        for line in head.split("\n#\n", 1)[1].splitlines():
            self.assertIn(line.lstrip("# "), done.stdout)

    def test_end_of_the_demonstration(self):
        text = (GUEST / "demo.sh").read_text()
        checks = text[text.index("say()"):text.index("# Objects of")] + "failed=0 passed=0\n"
        for steps, said in (("check a true; check b true", "# All 2 steps passed."),
                            ("check a true; check b false", "# 1 of 2 steps failed.")):
            done = subprocess.run(["sh", "-c", checks + steps + "\n" + text[text.rindex("if ["):]],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.stdout.splitlines()[-1], said)
            self.assertEqual(done.returncode, "failed" in said)

    def test_variable_that_there_is_not(self):
        for words in (["run", "DBUG=1"], ["clean", "KERNLE=stock"]):
            done = subprocess.run(["make", "-C", common.REPO, "-n", *words], check=False,
                                  env=self.env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, "there is no variable (DBUG|KERNLE): see make help")

    def test_mistakes_of_a_stress(self):
        for env, pattern in (({"MINUTES": "long"}, "MINUTES=long"),
                             ({"MINUTES": "0"}, "MINUTES=0"),
                             ({"SEED": "x"}, "SEED=x"),
                             ({"ONLY": "a' b"}, "ONLY=a' b")):
            with self.subTest(env):
                self.fails(self.start(TOOLS["stress"], **env), pattern)

    def test_cache_that_cannot_be_made(self):
        self.fails(self.build(EVENTFS_CACHE="/proc/none"), "set EVENTFS_CACHE")
        self.fails(self.build(EVENTFS_CACHE=str(self.top / "a b")), "space or a colon: set")
        self.assertFalse((self.top / "a b").exists())

    def test_empty_is_unset(self):
        home = str(self.top / "home")
        for env, place in (({"EVENTFS_CACHE": "", "XDG_CACHE_HOME": ""}, ".cache/eventfs"),
                           ({"EVENTFS_CACHE": "", "XDG_CACHE_HOME": f"{home}/x"}, "x/eventfs"),
                           ({"EVENTFS_CACHE": f"{home}/y"}, "y")):
            with mock.patch.dict(os.environ, env, HOME=home):
                self.assertEqual(common.cache(), Path(home, place))
        with mock.patch.dict(os.environ, HOME=home, EVENTFS_CACHE=""):
            os.environ.pop("XDG_CACHE_HOME", None)
            self.assertEqual(common.cache(), Path(home, ".cache/eventfs"))

    def test_checkout_that_no_guest_can_see(self):
        """Each tool that boots a guest says so at once."""
        copy = self.top / "a b"
        for name in ("dev", "bases", "bench", "clients", "harden", "series"):
            shutil.copytree(common.REPO / name, copy / name)
        for tool in ("guest", "test", "bench", "fuzz", "stress", "harden", "clients", "mutants",
                     "coverage", "series_check", "picture"):
            self.fails_at_once(copy / TOOLS[tool].relative_to(common.REPO), "cannot contain a path with a space")
        self.fails(self.start(TOOLS["guest"], EVENTFS_BUILD=str(self.top / "a b")),
                   "cannot contain a path with a space; set EVENTFS_BUILD")
        for name in ("/run/x", "/dev/x"):
            self.fails(self.start(TOOLS["guest"], EVENTFS_BUILD=name), "is hidden in the guest")

    def test_memory_that_is_too_little(self):
        for mem in ("1", "1M", "16M", f"{guest.LEAST_MEMORY - 1}M"):
            self.fails(self.start(TOOLS["guest"], MEM=mem), f"MEM={mem}: the kernel needs 40M")
        self.fails(self.start(TOOLS["guest"], MEM="100M", DEBUG="1"),
                   "MEM=100M: the debug kernel needs 128M")
        for mem in ("40M", "1G", "512"):
            self.assertEqual(guest.size(mem), mem)

    def test_command_reaches_the_tools_as_written(self):
        makefile = self.top / "Makefile"
        text = (common.REPO / "Makefile").read_text()
        makefile.write_text(text.replace("dev/guest.py", "printenv CMD"))
        command = "echo \"$HOME\" '$(x)' $$ `y` # z"
        done = subprocess.run(["make", "-f", str(makefile), "run", f"CMD={command}"],
                              env=self.env, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, command + "\n")
