# SPDX-License-Identifier: GPL-2.0-only
"""The stress, the fuzzer, the faults and the model."""

import importlib.machinery
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import common
import fuzz
import model
import mutants


def harden_workers():
    path = str(common.REPO / "harden/workers")
    with mock.patch.object(sys, "dont_write_bytecode", True):
        spec = importlib.util.spec_from_loader(
            "workers", importlib.machinery.SourceFileLoader("workers", path))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


class Stress(unittest.TestCase):
    def test_who_hangs(self):
        stress = harden_workers()
        board = mock.Mock(all_of=lambda index: time.monotonic() if index == 2 else 0)
        scripts = ("sleep 60", "while :; do :; done", "sleep 60")
        children = [subprocess.Popen(["sh", "-c", script], start_new_session=True)
                    for script in scripts]
        try:
            watch = stress.Watch(mock.Mock(stall=4, board=board),
                                 {child.pid: i for i, child in enumerate(children)})
            hung = []
            for _ in range(3):
                time.sleep(2.5)
                hung.append(watch.hung(time.monotonic()))
        finally:
            for child in children:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.assertEqual((hung[0], hung[2]), ([], [0]))

    def test_what_rises(self):
        stress = harden_workers()
        for values, noise, rise in (
                ([100] * 6, 0, 0), ([100, 100, 900, 100, 100, 100], 0, 0),
                ([900, 100, 100, 100, 100, 100], 0, 0), ([6, 5, 4, 3, 2, 1], 0, 0),
                ([100, 100, 100, 110, 110, 110], 0, 0), ([1, 2, 1, 2, 1, 2], 0, 0),
                ([1, 2, 3, 4, 5, 6], 0, 1), ([1, 2, 3, 4, 5, 6], 5, 0),
                ([10, 20, 90, 40, 50, 60], 30, 10), ([10, 20, 0, 40, 50, 60], 30, 10),
                ([10, 10, 20, 20, 30, 30], 0, 5)):
            with self.subTest(values):
                found = stress.steady_rise(values, noise)
                self.assertAlmostEqual(found, rise, delta=rise * 0.3)


class Faults(unittest.TestCase):
    def test_every_fault_fits(self):
        titles = set()
        for fault in mutants.read_faults():
            content = (common.REPO / fault.file).read_text()
            self.assertNotEqual(fault.applied(content), content, fault.title)
            self.assertNotIn(fault.title, titles)
            titles.add(fault.title)
        fault.old = "no such line\n"
        with self.assertRaisesRegex(common.Failure, "does not fit.*mutants.txt"):
            fault.applied(content)


class Fuzzer(unittest.TestCase):
    def test_every_input_says_what_it_is(self):
        program = fuzz.build()
        for path in fuzz.INPUTS.iterdir():
            licence, why, text = path.read_text().split("\n", 2)
            self.assertTrue(why.startswith("# "), path)
            self.assertEqual(common.run([program, "-p", path], "fuzz -p"), text, path)

    def test_input_that_the_kernel_died_of(self):
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch, "log")
            log.write_text("[ 1.0] fuzz: run 00\n[ 2.0] fuzz: run 0104\n[ 2.1] BUG: x\n")
            self.assertEqual(fuzz.last_announced(log), "0104")
        self.assertIsNone(fuzz.last_announced(None))

    def test_fuzzer_output(self):
        output = fuzz.Output()
        with mock.patch("builtins.print") as said:
            output.feed(1, b"fuzz: keep 00\nfuzz: DIFF")
            output.feed(1, b"ERENCE: a: b\nfuzz: input 0104\n")
        self.assertEqual([call.args[0] for call in said.call_args_list],
                         ["fuzz: DIFFERENCE: a: b", "fuzz: input 0104"])
        self.assertEqual(output.find(r"fuzz: keep ([0-9a-f]+)$"), ["00"])


class Model(unittest.TestCase):
    def test_step_whose_text_is_gone(self):
        functions = model.read_functions(model.SOURCE)
        steps = model.read_steps(model.MODEL.read_text())
        self.assertTrue(all(step.place(functions, model.SOURCE) for step in steps))
        for function, text in (("eventfs_find", "kref_get(&node->ref)"),
                               ("eventfs_seek", "return NULL")):
            with self.assertRaisesRegex(common.Failure, f":7: {function}.*change the model"):
                model.Step(7, function, text).place(functions, model.SOURCE)

    def test_mutant_without_its_fault(self):
        text = model.MODEL.read_text()
        self.assertIn("NO_WAKE", model.read_mutants(text))
        for old, new, pattern in ((" = the last of", " = the first of", "no fault \"the first"),
                                  ("ifdef NO_WAKE", "ifdef NOWAKE", "NO_WAKE changes nothing"),
                                  ("mutant NO_WAKE =", "NO_WAKE =", "not in the list.*NO_WAKE")):
            with self.assertRaisesRegex(common.Failure, pattern):
                model.read_mutants(text.replace(old, new))

    def test_search_that_was_cut_short(self):
        search = model.Search.__new__(model.Search)
        search.errors, full = 0, "Full statespace search for:\n"
        search.output = full
        self.assertIsNone(search.trouble())
        for output in ("Bit statespace search for:\n", "",
                       full + "error: max search depth too small\n",
                       full + "Warning: Search not completed\n",
                       "pan: reached -DMEMLIM bound\n" + full):
            search.output = output
            self.assertIn("not exhaustive", search.trouble())
