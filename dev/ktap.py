# SPDX-License-Identifier: GPL-2.0-only
"""Results of single cases, from KUnit's part of a kernel log and from what a
program with kselftest_harness.h prints.

The kernel's own kunit.py sums up for people; here each case is wanted, and a run
that ended early is to be noticed.
"""

import re
from xml.etree import ElementTree

STAMP = re.compile(r"^\[ *\d+\.\d+\]( T\d+)? ?", re.MULTILINE)
RESULT = re.compile(r"(ok|not ok) \d+ (?:- )?(\S.*?)(?: +#(?: SKIP ?(.*)| .*))?$")
# What a case of kselftest_harness.h says, and how KUnit begins to
SAID = re.compile(r"# (\S+\.c:\d+:\S+?:.*|\S+: (?:EXPECTATION|ASSERTION) FAILED .*)")


def results(lines, prefix=""):
    """(name, "pass", "fail" or "skip", note) of each case of one plan. A case that
    was planned and did not end is one that failed; the note of one that failed is
    what it said."""
    planned, found, said = None, [], []
    for line in lines:
        if re.match(r"1\.\.\d+$", line):
            planned = int(line[3:])
        said += SAID.findall(line)
        match = RESULT.match(line)
        if match:
            good, name, reason = match.groups()
            outcome = "fail" if good != "ok" else "pass" if reason is None else "skip"
            if outcome == "skip":
                reason = reason or "all of its parameters"
            elif outcome == "fail":
                reason = "; ".join(said)
            said = []
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


def junit(suites):
    """JUnit's XML, as bytes, of (name, cases) with (name, outcome, note, seconds)"""
    root = ElementTree.Element("testsuites")
    for name, cases in suites:
        outcomes = [outcome for _, outcome, _, _ in cases]
        suite = ElementTree.SubElement(
            root, "testsuite", name=name, tests=str(len(cases)),
            failures=str(outcomes.count("fail")), skipped=str(outcomes.count("skip")),
            errors="0", time=f"{sum(seconds for *_, seconds in cases):.3f}")
        for case, outcome, note, seconds in cases:
            element = ElementTree.SubElement(suite, "testcase", classname=name,
                                             name=xml_text(case), time=f"{seconds:.3f}")
            if outcome != "pass":
                ElementTree.SubElement(element, {"fail": "failure"}.get(outcome, "skipped"),
                                       message=xml_text(note))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def xml_text(text):
    """Without the characters that XML has no way to write"""
    return re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
