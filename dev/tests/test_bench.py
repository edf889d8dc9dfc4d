# SPDX-License-Identifier: GPL-2.0-only
"""The gate of make bench-check."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import bench
import common
import kernel
import source


class Bench(unittest.TestCase):
    """The gate, which is to fail when and only when a ratio got worse."""

    def figures(self, factor=1.0):
        figures = bench.Figures()
        for case, size in bench.GATE:
            key = case, "eventfs", size or 0
            figures.add("stock", {key: [1000.0]})
            figures.add("eventfs", {key: [500.0 * factor]})
        return figures

    def bad(self, figures):
        with mock.patch("builtins.print"):
            return bench.compare(self.figures(), figures)

    def test_gate(self):
        self.assertGreater(len(bench.GATE), 10)
        self.assertEqual(self.bad(self.figures(1.02)), 0)
        self.assertEqual(self.bad(self.figures(0.5)), 0)
        self.assertEqual(self.bad(self.figures(1.04)), len(bench.GATE) - len(bench.TOLERANCES))
        self.assertEqual(self.bad(self.figures(1.11)), len(bench.GATE))
        self.assertEqual(self.bad(bench.Figures()), len(bench.GATE))

    def test_one_that_got_worse(self):
        figures = self.figures()
        case, size = bench.GATE[3]
        figures.numbers["eventfs", case, "eventfs", size] = [516.0]
        self.assertEqual(self.bad(figures), 1)

    def test_both_slower_is_the_same(self):
        figures = self.figures(2.0)
        for key in figures.numbers:
            if key[0] == "stock":
                figures.numbers[key] = [2000.0]
        self.assertEqual(self.bad(figures), 0)

    def test_recorded_figures_read_back(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "figures.csv"
            path.write_text(self.figures(1.5).text())
            self.assertEqual(bench.read_figures(path).text(), self.figures(1.5).text())

    def test_base_that_only_compares(self):
        with self.assertRaisesRegex(common.Failure, "KERNEL=stock"):
            with mock.patch.object(source, "packaged", return_value=common.REPO), \
                    mock.patch.object(source, "kernel_version", return_value="6.1.0"):
                kernel.Kernel("eventfs", "bench", "v6.1")
        self.assertNotIn("v6.1", source.base_names())
