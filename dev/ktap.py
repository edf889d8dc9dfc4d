# SPDX-License-Identifier: GPL-2.0-only
"""Results of single cases, from KUnit's part of a kernel log and from what a
program with kselftest_harness.h prints.

The kernel's own kunit.py sums up for people; here each case is wanted, and a run
that ended early is to be noticed.
"""

import re

STAMP = re.compile(r"^\[ *\d+\.\d+\]( T\d+)? ?", re.MULTILINE)
RESULT = re.compile(r"(ok|not ok) \d+ (\S+)(?: +# SKIP ?(.*))?")


def results(lines, prefix=""):
    """(name, "pass", "fail" or "skip", note) of each case of one plan. A case that
    was planned and did not end is one that failed."""
    planned, found = None, []
    for line in lines:
        if re.match(r"1\.\.\d+$", line):
            planned = int(line[3:])
        match = RESULT.match(line)
        if match:
            good, name, reason = match.groups()
            outcome = "fail" if good != "ok" else "pass" if reason is None else "skip"
            if outcome == "skip":
                reason = reason or "all of its parameters"
            found.append((prefix + name, outcome, reason or ""))
    if planned != len(found):
        found.append((prefix + "end", "fail", f"{len(found)} of {planned} cases ended"))
    return found


def kunit_results(log):
    """Of all suites in a kernel log: name is suite.case"""
    found = []
    suites = re.split(r"^    # Subtest: (\S+)\n", STAMP.sub("", log),
                      flags=re.MULTILINE)[1:]
    for name, text in zip(suites[::2], suites[1::2]):
        # Cases of a suite are indented by four, parameters of a case by eight.
        found += results((line[4:] for line in text.splitlines()
                          if line.startswith("    ")), f"{name}.")
    return found


def kunit_complaints(log):
    """What the cases that failed had to say"""
    return [line.strip() for line in STAMP.sub("", log).splitlines()
            if re.match(r"    # \S+: (EXPECTATION|ASSERTION|.*timed out)", line)
            or re.match(r"    (Expected|        )", line)]
