# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the tools share. No kernel is built: a toy source tree, whose make
takes no time, stands in.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import common

# Name -> path; each folder has its own.
TOOLS = {path.stem: path for path in common.REPO.glob("*/*.py")}
GUEST = common.REPO / "dev/guest"

# Just enough of a kernel's Makefile for the tools: it counts its builds, and
# waits while there is a file "hold".
TOY_MAKEFILE = """\
VERSION = {version}
PATCHLEVEL = {patchlevel}
SUBLEVEL = 1
ifneq ($(O),)
OUT := $(O)
endif
allnoconfig:
	@grep -v '^$(LOSE)=' $(KCONFIG_ALLCONFIG) > $(OUT)/.config
bzImage:
	@echo '  CC      toy.o'
	@if [ -e hold ]; then trap 'sleep 1; touch $(OUT)/ended; exit 1' TERM; \
		touch $(OUT)/holding; sleep 60 & wait; fi
	@if [ -e broken ]; then echo 'toy.c:1: error: broken' >&2; exit 1; fi
	@echo built >> $(OUT)/builds
	@mkdir -p $(OUT)/arch/x86/boot
	@cat fs/tracefs/event_inode.c > $(OUT)/arch/x86/boot/bzImage
	@touch $(OUT)/System.map $(OUT)/vmlinux
modules:
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules
mrproper:
	@rm -f .config
"""
# By which the tools know a tree that has our files
OURS_TOO = "static struct kmem_cache *eventfs_node_cache;\n"


def toy_tree(path, version="6.12"):
    numbers = version.split(".")
    (path / "fs/tracefs").mkdir(parents=True)
    (path / "Makefile").write_text(TOY_MAKEFILE.format(
        version=numbers[0], patchlevel=numbers[1]))
    (path / "fs/tracefs/event_inode.c").write_text("stock\n")
    return path


def snapshot(path):
    """Everything that a tool could have changed in a tree."""
    return {str(file): (file.lstat().st_mtime_ns, file.lstat().st_mode,
                        file.read_bytes() if file.is_file() else b"")
            for file in sorted(path.rglob("*"))}


class ToolsTest(unittest.TestCase):
    def setUp(self):
        self.top = Path(tempfile.mkdtemp(prefix="eventfs-test-"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.env = {**os.environ, "EVENTFS_CACHE": str(self.top / "cache"),
                    "EVENTFS_BUILD": str(self.top / "build")}
        for name in (*common.VARIABLES, *common.FLAGS, "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            self.env.pop(name, None)
        self.tree = toy_tree(self.top / "toy")
        patcher = mock.patch.dict(os.environ, self.env, clear=True)
        patcher.start()
        self.addCleanup(patcher.stop)

    def start(self, *words, **env):
        return subprocess.Popen(
            [sys.executable, *map(str, words)], env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # Whoever runs the tests in the background has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def build(self, *words, **env):
        return self.start(TOOLS["kernel"], "--kernel", "stock",
                          "--ksrc", self.tree, *words, **env)

    def finish(self, process):
        out, err = process.communicate(timeout=50)
        self.assertNotIn("Traceback", err)
        return process.returncode, out.strip(), err.strip()

    def fails(self, process, pattern):
        """One line that says what to do, and a status."""
        status, out, err = self.finish(process)
        self.assertNotEqual(status, 0)
        self.assertEqual(out, "")
        self.assertRegex(err.splitlines()[-1], "^error: .*" + pattern)
        return err

    def builds(self):
        count = [file.read_text().count("built")
                 for file in (self.top / "cache/trees").glob("*/out/builds")]
        return sum(count)

    def wait_for(self, pattern, process):
        for _ in range(200):
            if list((self.top / "cache").glob(pattern)):
                return
            if process.poll() is not None:
                self.fail(process.communicate()[1])
            time.sleep(0.05)
        self.fail(f"no {pattern}")
