#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check files for LAVA with LAVA's own schemas: a job, or a test definition.

Prints FILE:LINE: and the error, or "checked FILE". It needs Debian's lava-common, and
therefore Debian's Python.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml
from lava_common import schemas
from lava_common.schemas.test.testdef import testdef
from voluptuous import Invalid, Schema


def line_of(text, path):
    """The line of what an error's path leads to, or of the last on the way that is there."""
    node = yaml.compose(text)
    line = 1
    for word in re.findall(r"\w[-\w]*", " ".join(map(str, path))):
        found = None
        if isinstance(node, yaml.SequenceNode) and word.isdigit():
            found = node.value[int(word)]
            line = found.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == word:
                    line, found = key.start_mark.line + 1, value
        # LAVA names the kind of an action in its paths too, which is no key.
        node = found or node
    return line


def check_steps(data):
    """What a shell would not take."""
    for part in ("install", "run"):
        steps = (data.get(part) or {}).get("steps", [])
        done = subprocess.run(["sh", "-n"], input="\n".join(steps), text=True, check=False,
                              capture_output=True)
        if done.returncode:
            raise Invalid(done.stderr.strip().splitlines()[-1], path=[part, "steps"])


def check_paths(data, top):
    """A job's test definitions are files of this repository."""
    for number, action in enumerate(data["actions"]):
        definitions = action.get("test", {}).get("definitions", [])
        for index, definition in enumerate(definitions):
            if definition["from"] != "inline" and not (top / definition["path"]).is_file():
                raise Invalid(f"there is no {definition['path']}", path=[
                    f"actions[{number}]", "test", "definitions", index, "path"])


def check(name):
    text = Path(name).read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    try:
        if isinstance(data, dict) and "actions" in data:
            schemas.validate(data)
            check_paths(data, Path())
        else:
            # Without the allowance that LAVA makes for keys that it does not know.
            Schema(testdef())(data)
            check_steps(data)
    except Invalid as error:
        where = f" at {' '.join(map(str, error.path))}" if error.path else ""
        return f"{name}:{line_of(text, error.path)}: error: {error.msg}{where}"
    return f"checked {name}"


def main():
    wrong = False
    for name in sys.argv[1:]:
        try:
            said = check(name)
        except yaml.MarkedYAMLError as error:
            said = f"{name}:{error.problem_mark.line + 1}: error: {error.problem}"
        print(said)
        wrong = wrong or not said.startswith("checked ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
