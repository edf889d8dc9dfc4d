#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Test the tools: what they do when something is missing, broken, full or in use. The
tests are in dev/tests, in one file for each topic. They build no kernel."""

import sys
import unittest

from common import REPO, Parser, main


def tests_of(suite):
    """The tests of a suite of suites"""
    for part in suite:
        yield from tests_of(part) if isinstance(part, unittest.TestSuite) else [part]


def command_line():
    parser = Parser(__doc__)
    parser.add_argument("--only", metavar="TEST", help="run only these, separated by commas, "
                        "such as Builds or Builds.test_full_disk")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the name of each test")
    args = parser.parse_args()
    sys.path[:0] = {str(tool.parent) for tool in REPO.glob("*/*.py")}
    tests = list(tests_of(unittest.TestLoader().discover(str(REPO / "dev/tests"))))
    if args.only:
        names = {name: [] for name in args.only.split(",")}
        for test in tests:
            _, group, case = test.id().rsplit(".", 2)
            for name in {group, f"{group}.{case}"} & set(names):
                names[name].append(test)
        if not all(names.values()):
            parser.error(f"ONLY={args.only}: no such test")
        tests = dict.fromkeys(sum(names.values(), []))
    runner = unittest.TextTestRunner(buffer=True, verbosity=1 + args.verbose)
    return not runner.run(unittest.TestSuite(tests)).wasSuccessful()


if __name__ == "__main__":
    sys.exit(main(command_line))
