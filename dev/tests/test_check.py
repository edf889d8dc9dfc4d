# SPDX-License-Identifier: GPL-2.0-only
"""What make check finds, and what it must not pass over."""

import functools
import os
import time
import types
from unittest import mock

import check
import common
from tools import ToolsTest


class CheckedRepository(ToolsTest):
    """What "make check" finds in tools; each is to find something."""

    def setUp(self):
        super().setUp()
        common.need({name: package for name, package in check.PROGRAMS.items()
                     if name in ("shellcheck", "pyflakes3", "codespell")
                     or "/lava_common/" in name})

    def repository(self, **files):
        for name, content in files.items():
            common.write_file(self.top / "repo" / name.replace("_", "."),
                              content.encode())
        return check.Repository(self.top / "repo")

    def finds(self, function, *patterns):
        count, found = function()
        self.assertEqual(len(found.lines), len(patterns), found.lines)
        for line, pattern in zip(found.lines, patterns):
            self.assertRegex(line, pattern)
        return count

    def test_spdx(self):
        repo = self.repository(a_sh="#!/bin/sh\n", b_py="# SPDX-License-Identifier: x\n")
        self.assertEqual(self.finds(repo.spdx, "^a.sh:1: no SPDX"), 2)

    def test_shellcheck(self):
        repo = self.repository(a_sh="#!/bin/bash\nrm $1\n", b_c="rm $1\n")
        self.assertEqual(self.finds(repo.shellcheck, "^a.sh:2: .*SC2086"), 1)

    def test_shellcheck_of_shell_tests(self):
        common.write_file(self.top / "repo" / check.SHELL_TESTS / "a.tc",
                          b"#!/bin/sh\nrm $1\nif [ x == $1 ]; then echo; fi\n")
        self.finds(self.repository().shellcheck, "a.tc:3: .*SC3014")

    def test_pyflakes(self):
        repo = self.repository(a_py="import os\n", b_py="x = 1\n")
        self.assertEqual(self.finds(repo.pyflakes, "^a.py:1: 'os' imported"), 2)

    def test_codespell(self):
        repo = self.repository(a_md="fine\n" "t" "eh iput\n")
        self.finds(repo.codespell, "^a.md:2: .* ==> the$")

    def lava(self, name, *edits):
        """Ours, with an edit each that has to be found."""
        text = (common.REPO / "fleet" / name).read_text(encoding="utf-8")
        for old, new, pattern in edits:
            self.assertEqual(text.count(old), 1, old)
            common.write_file(self.top / "repo/fleet" / name,
                              text.replace(old, new).encode())
            with self.subTest(new):
                self.finds(self.repository().lava, f"^fleet/{name}:{pattern}")

    def test_lava_job(self):
        common.write_file(self.top / "repo/fleet/lava-test.yaml",
                          (common.REPO / "fleet/lava-test.yaml").read_bytes())
        self.lava("lava-job.yaml",
                  ("visibility: public", "visibility: secret", "9: .*not a valid value"),
                  ("method: qemu", "method: qemuu", ".* unknown action type"),
                  ("minutes: 90", "minutes: 900", ".* larger than job timeout"),
                  ("fleet/lava-test.yaml", "fleet/gone.yaml", ".* there is no fleet/gone"))

    def test_lava_definition(self):
        self.lava("lava-test.yaml",
                  ("Definition 1.0", "Definition 2.0", "6: .*not a valid value"),
                  ("\n  steps:", "\n  step:", "20: .*extra keys"),
                  ("${FOLDERS} || true", "${FOLDERS} ||", "20: .*[Ss]yntax error"),
                  ("os:\n", "os: [\n", ".* expected the node"))

    def test_nothing_to_check(self):
        for name in ("spdx", "shellcheck", "pyflakes", "codespell", "lava"):
            with self.subTest(name), self.assertRaisesRegex(common.Failure, "no file"):
                getattr(self.repository(), name)()

    def test_program_that_breaks(self):
        repo = self.repository(a_py="x = 1\n")
        with mock.patch.object(check, "output", return_value=("no python\n", 127)):
            with self.assertRaisesRegex(common.Failure, "no python"):
                repo.pyflakes()
        with mock.patch.dict(os.environ, PATH="/none"):
            lines, well = check.run_check(("x", "files", repo.pyflakes), False)
        self.assertFalse(well)
        self.assertRegex(lines[0], "^x: failed: .*pyflakes3")


class CheckedTree(ToolsTest):
    """What "make check" makes of what the kernel's tools say."""

    def setUp(self):
        super().setUp()
        names = ("fs/tracefs/inode.c", "fs/tracefs/internal.h", "fs/Kconfig",
                 check.SELFTESTS + "a_test.c")
        toy = types.SimpleNamespace(tree=self.top, overlay=dict.fromkeys(names))
        self.src = self.top / "src"
        for name in names:
            common.write_file(self.src / name, b"int f(void) { int x; return 0; }\n")
        common.write_file(self.src / "scripts/coccinelle/a.cocci", b"")
        self.tree = check.Tree(toy)
        self.out = types.SimpleNamespace(out=self.top / "gcc", build_env=dict)
        for name in ("build", "place"):
            patcher = mock.patch.object(self.tree, name, return_value=self.out)
            patcher.start()
            self.addCleanup(patcher.stop)

    def saying(self, text, status=0):
        return mock.patch.object(self.tree, "make", return_value=(text, status))

    def says(self, function, text, *lines, status=0):
        with self.saying(text, status):
            _, found = function()
        self.assertEqual(found.lines, list(lines))
        return found

    def fails_with(self, pattern, function, text="", status=0):
        with self.saying(text, status), self.assertRaisesRegex(common.Failure, pattern):
            function()

    def test_sparse(self):
        ran = f"  CHECK   {self.src}/fs/tracefs/inode.c\n"
        self.says(self.tree.sparse, ran)
        self.says(self.tree.sparse, ran + f"{self.src}/fs/tracefs/inode.c:7:2: warning: "
                  "context imbalance\n", "fs/tracefs/inode.c:7: warning: context imbalance")
        found = self.says(self.tree.sparse, ran + f"{self.src}/include/linux/rbtree.h:74:9: "
                          "error: incompatible types\n")
        self.assertEqual(found.others, 1)

    def test_sparse_that_ran_nothing(self):
        self.fails_with("did not check fs/tracefs/inode.c", self.tree.sparse,
                        "  CC      fs/tracefs/inode.o\n")

    def test_compiler(self):
        compile_gcc = functools.partial(self.tree.compile, "gcc")
        ran = "  CC      fs/tracefs/inode.o\n"
        self.says(compile_gcc, ran + "../src/fs/tracefs/internal.h:3:4: note: here\n")
        self.says(compile_gcc, ran + "../src/fs/tracefs/internal.h:3:4: warning: unused\n",
                  "fs/tracefs/internal.h:3: warning: unused")
        self.fails_with("did not check", compile_gcc)
        self.fails_with("no rule", compile_gcc, "no rule\n", 2)

    def test_coccicheck(self):
        ran = (f"/usr/bin/spatch -D report --cocci-file {self.src}/scripts/coccinelle/a.cocci\n"
               f"HANDLING: {self.src}/fs/tracefs/inode.c\n")
        self.says(self.tree.coccicheck, ran)
        self.says(self.tree.coccicheck, ran + f"{self.src}/fs/tracefs/inode.c:5:1-4: WARNING x\n",
                  "fs/tracefs/inode.c:5: WARNING x")
        for part in ran.splitlines():
            self.fails_with("did not check .*(a.cocci|inode.c)", self.tree.coccicheck, part)
        self.fails_with("coccicheck failed", self.tree.coccicheck, "coccicheck failed\n", 2)

    def script(self, name, text):
        common.write_file(self.src / "scripts" / name, text.encode(), 0o755)

    def test_kernel_doc(self):
        self.script("kernel-doc", "#!/bin/sh\necho fs/tracefs/inode.c:1: info: Scanning doc for f\n"
                    "echo fs/tracefs/inode.c:2: warning: no x\n"
                    "echo Warning: fs/tracefs/internal.h:3 no y\nexit 2\n")
        _, found = self.tree.kernel_doc()
        self.assertEqual(found.lines, ["fs/tracefs/inode.c:2: warning: no x",
                                       "fs/tracefs/internal.h:3: no y"])
        self.script("kernel-doc", "#!/bin/sh\n")
        self.fails_with("no comment to check", self.tree.kernel_doc)

    def test_htmldocs(self):
        documents = [check.DOCUMENTS + name for name in ("eventfs.rst", "tracefs.rst")]
        for name in documents:
            common.write_file(self.src / name, b".. kernel-doc:: a.c\n   :functions: f g\n")
            self.tree.ours.append(name)
        common.write_file(self.src / check.DOCUMENTS / "index.rst", b"")
        common.write_file(self.src / check.DOCUMENTS / "other.rst", b"")

        def builds(*lines):
            common.write_file(self.src / "Makefile", ("htmldocs:\n\t@" + "\n\t@".join(
                [f"! test -e {check.DOCUMENTS}other.rst", *lines]) + "\n").encode())
        page = "mkdir -p $(BUILDDIR)/filesystems; echo 'id=\"c.{0}\"' > $(BUILDDIR)/filesystems/{1}"
        builds(page.format("f", "eventfs.html"))
        self.fails_with("did not check .*tracefs.rst", self.tree.htmldocs)
        pages = [page.format("f", "eventfs.html"), page.format("g", "tracefs.html")]
        builds(*pages[:1], page.format("x", "tracefs.html"))
        self.fails_with("did not check g", self.tree.htmldocs)
        builds(*pages)
        self.says(self.tree.htmldocs, "")
        top = f"$(CURDIR)/{check.DOCUMENTS}"
        builds(*pages, f"echo {top}eventfs:7: ./fs/tracefs/inode.c:1: WARNING: emphasis",
               "echo WARNING: ./fs/tracefs/inode.c:2 parameter x",
               "echo ./fs/tracefs/inode.c:3: warning: parameter y",
               f"echo {top}tracefs.rst: WARNING: not in any toctree",
               f"echo {top}eventfs.rst:4: ERROR: no target",
               f"echo {top}index.rst:5: WARNING: no document")
        found = self.says(self.tree.htmldocs, "",
                          "fs/tracefs/inode.c:1: WARNING: emphasis",
                          "fs/tracefs/inode.c:2: WARNING: parameter x",
                          "fs/tracefs/inode.c:3: warning: parameter y",
                          documents[1] + ":1: WARNING: not in any toctree",
                          documents[0] + ":4: ERROR: no target")
        self.assertEqual(found.others, 1)
        builds("echo make: no rule; exit 2")
        self.fails_with("Error 2", self.tree.htmldocs)

    def test_checkpatch(self):
        self.script("checkpatch.pl", "for (@ARGV) {\n\tnext unless -e;\n"
                    "\tprint \"$_:2: WARNING:TYPO: x\\n\" if /inode/;\n"
                    "\tprint \"total: 0 errors, 1 warnings, 3 lines checked\\n\";\n}\n")
        count, found = self.tree.checkpatch()
        self.assertEqual(count, 3)
        self.assertEqual(found.lines, ["fs/tracefs/inode.c:2: WARNING:TYPO: x"])
        self.script("checkpatch.pl", "")
        self.fails_with("did not check all of", self.tree.checkpatch)

    def test_programs(self):
        count, found = self.tree.programs("gcc")
        self.assertEqual(count, 1)
        self.assertRegex(found.lines[0], "a_test.c:1: warning: unused variable")
        (self.src / check.SELFTESTS / "a_test.c").unlink()
        self.fails_with("No such file", functools.partial(self.tree.programs, "gcc"))

    def test_checks_are_chosen(self):
        chains = check.of_tree(self.tree, check.SPARSE_BASE)
        names = [name for chain in check.chosen(chains, ["sparse", "gcc"])
                 for name, *_ in chain]
        self.assertIn(f"sparse ({check.SPARSE_BASE})", names)
        self.assertNotIn(f"coccicheck ({check.SPARSE_BASE})", names)

    def test_end_is_at_once(self):
        """Whatever runs is ended, and nothing is started after it."""
        def interrupted():
            while not check.running:
                time.sleep(0.01)
            raise KeyboardInterrupt

        def sleeping():
            check.output("sleep", "60")
            return 1, check.Findings(self.top, ["a"])
        started = []
        self.addCleanup(check.ending.clear)
        with self.assertRaises(KeyboardInterrupt), mock.patch("builtins.print"):
            check.run_chains([[("one", "files", sleeping), ("two", "files", started.append)],
                              [("three", "files", interrupted)]], False)
        self.assertEqual(started, [])
        self.assertEqual(check.running, set())

    def test_failure_is_counted(self):
        def broken():
            raise common.Failure("broken")
        found = check.Findings(self.top, ["a"])
        with mock.patch("builtins.print") as said:
            failed = check.run_chains([[("one", "files", broken)],
                                       [("two", "files", lambda: (3, found))]], False)
        self.assertEqual(failed, 1)
        self.assertEqual({call.args[0] for call in said.call_args_list},
                         {"one: failed: broken", "two: 3 files"})
