#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check the code without running it.

The kernel's own tools check our files in a kernel tree. Other tools check the tools of
this repository. Each check prints one line that says how much it checked, or what it
found. A check that checked nothing fails.
"""

import contextlib
import copy
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import kernel as kernel_build
from common import (REPO, Failure, Parser, clean_env, last_line, main, need, say, some_of)
from source import tree_files

sys.path.insert(1, str(REPO / "series"))
import series as patch_series

PROGRAMS = {
    "sparse": "sparse", "spatch": "coccinelle", "clang-19": "clang-19",
    "shellcheck": "shellcheck", "pyflakes3": "pyflakes3", "codespell": "codespell",
    # Two of the semantic patches are partly OCaml.
    "ocamlopt": "ocaml",
    "sphinx-build": "python3-sphinx",
    # Mainline's configuration of Sphinx imports it.
    "/usr/lib/python3/dist-packages/yaml/__init__.py": "python3-yaml",
    "/usr/lib/python3/dist-packages/lava_common/__init__.py": "lava-common",
}
# Those of the files where they lie in a kernel's tree; the others take no kernel.
OF_TREE = ("checkpatch", "clang-19", "coccicheck", "gcc", "htmldocs", "kernel-doc", "series",
           "sparse")
# Sparse 0.6.4 refuses mainline, which then checks nothing and succeeds.
SPARSE_BASE = "v6.12"
# The oldest and the newest; what is between them compiles as one of them does.
BASES = (SPARSE_BASE, "mainline")
SELFTESTS = "tools/testing/selftests/filesystems/eventfs/"
SHELL_TESTS = "tools/testing/selftests/ftrace/test.d/eventfs/"
DOCUMENTS = "Documentation/filesystems/"
OURS = ("fs/tracefs/", "include/linux/tracefs.h", SELFTESTS, SHELL_TESTS,
        DOCUMENTS + "eventfs.rst", DOCUMENTS + "tracefs.rst")
# What checkpatch is wrong about, by path.
CHECKPATCH_IGNORE = {
    # v6.12's takes the declaration of a struct for one of a variable.
    "include/linux/tracefs.h": ["CONST_STRUCT"],
    SELFTESTS: [
        "BIT_MACRO",            # is the kernel's
        "BRACES",               # ASSERT_* and EXPECT_* are more than a statement
        "ENOSYS",               # is what a system call says that is not there
        "MACRO_ARG_REUSE",      # the name of a field
        "USE_NEGATIVE_ERRNO",   # user space
    ],
    # "FIXTURE_DATA(walk) *self" is no multiplication.
    SELFTESTS + "eventfs_fault_test.c": ["SPACING"],
    SELFTESTS + "eventfs_walk_test.c": ["SPACING"],
    SHELL_TESTS: ["REPEATED_WORD"],
}
SHELL_TESTS_EXCLUDE = [
    "SC1091",   # ftracetest's functions are found when it runs
    "SC2010", "SC2012",     # what ls prints is what is tested
    "SC2016",   # the text of another shell
    "SC2035",   # no file of tracefs begins with a dash
    "SC2086",   # as in all of ftracetest's tests: no name has a blank
    "SC2094",   # a file of tracefs, open for reading and for writing
    "SC2164",   # they run with errexit
]
# Names of the kernel, and SystemTap's program, which codespell takes for mistakes.
WORDS = "filp,iput,stap"
# Recorded figures, texts, and patches, whose files have their own.
NO_SPDX = re.compile(r"(.*/)?README\.md|series/.*/cover\.txt|bench/(v.*|mainline)\.(csv|svg|txt)|.*\.patch")
FINDING = re.compile(r"(?:Warning: )?([^\s:]+):(\d+)(?::[\d-]+)?:? (.*)")
WRONG = re.compile(r"(fatal )?(warning|error)\b", re.IGNORECASE)

# What to end when the tool is ended; then nothing is started any more.
running = set()
ending = threading.Event()


def output(*command, **kwargs):
    """What a checker said, on both channels, and its status."""
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", start_new_session=True, **kwargs) as process:
        running.add(process)
        if ending.is_set():
            end(process)
        try:
            return process.communicate()[0], process.returncode
        finally:
            running.discard(process)


def end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


class Findings:
    """What checkers found in our files, and how much elsewhere."""

    def __init__(self, root, ours):
        self.root = Path(root)
        self.ours = set(ours)
        if not self.ours:
            raise Failure("there is no file to check")
        self.lines = []
        self.others = 0

    def read(self, said, cwd=None, only=None):
        """Takes what a checker said, of which only may be worth a line."""
        text, status = said
        before = len(self.lines)
        for line in text.splitlines():
            match = FINDING.fullmatch(line)
            if not match or only and not only.match(
                    "warning" if line.startswith("Warning: ") else match[3]):
                continue
            name = os.path.relpath(os.path.join(cwd or self.root, match[1]), self.root)
            if name in self.ours:
                self.lines.append(f"{name}:{match[2]}: {match[3]}")
            else:
                self.others += 1
        if status and len(self.lines) == before:
            raise Failure(next((line for line in text.splitlines()
                                if "error:" in line), last_line(text)))

    def ran(self, files, seen):
        """A checker that passed over a file without a word has failed."""
        passed = sorted(set(files) - set(seen))
        if passed:
            raise Failure(f"it did not check {' '.join(passed)}")


class Tree:
    """A kernel's tree with our files in it, and what its own tools say of them."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.src = kernel.tree / "src"
        self.ours = [name for name in kernel.overlay if name.startswith(OURS)]
        self.configuring = threading.Lock()

    def found(self):
        return Findings(self.src, self.ours)

    def files(self, *patterns):
        names = [name for name in self.ours if re.search("|".join(patterns), name)]
        if not names:
            raise Failure("there is no file to check")
        return sorted(names)

    def build(self, compiler):
        """The kernel as this compiler builds it, configured."""
        build = self.place(compiler)
        build.cc = compiler
        done = build.out / "configured"
        options = repr(sorted(build.options().items()))
        with self.configuring:
            if not done.exists() or done.read_text(encoding="utf-8") != options:
                build.configure(build.build_env())
                done.write_text(options, encoding="utf-8")
        return build

    def place(self, name):
        """The kernel with an output directory of its own."""
        build = copy.copy(self.kernel)
        build.out = self.kernel.tree / name
        build.out.mkdir(exist_ok=True)
        return build

    def make(self, build, *words):
        return output(*build.make(*words), env=build.build_env())

    def compile(self, compiler):
        """W=1, from nothing: what is built already is not warned about again."""
        build = self.build(compiler)
        shutil.rmtree(build.out / "fs/tracefs", ignore_errors=True)
        found = self.found()
        said = self.make(build, "W=1", "fs/tracefs/")
        found.read(said, build.out, WRONG)
        sources = self.files(r"^fs/tracefs/.*\.c$")
        found.ran(sources, [f"{name}.c" for name in
                            re.findall(r"^  CC +(\S+)\.o$", said[0], re.MULTILINE)])
        return len(sources), found

    def sparse(self):
        build = self.build("gcc")
        found = self.found()
        said = self.make(build, "W=1", "C=2", "CHECK=sparse", "fs/tracefs/")
        found.read(said, build.out, WRONG)
        sources = self.files(r"^fs/tracefs/.*\.c$")
        found.ran(sources, [os.path.relpath(build.out / name, self.src) for name in
                            re.findall(r"^  CHECK +(\S+)$", said[0], re.MULTILINE)])
        return len(sources), found

    def coccicheck(self):
        build = self.place("coccicheck")
        found = self.found()
        # Quiet, not very quiet: then it names the files that it looks at.
        said = self.make(build, "coccicheck", "MODE=report", f"M={self.src}/fs/tracefs",
                         "J=1", "SPFLAGS=--quiet")
        found.read(said, build.out)
        found.ran(self.files(r"^fs/tracefs/.*\.c$"),
                  [os.path.relpath(name, self.src) for name in
                   re.findall(r"^HANDLING: (\S+)", said[0], re.MULTILINE)])
        there = sorted((self.src / "scripts/coccinelle").rglob("*.cocci"))
        found.ran(map(str, there),
                  re.findall(r"spatch -D.* --cocci-file (\S+)", said[0]))
        return len(there), found

    def kernel_doc(self):
        found = self.found()
        said = output("scripts/kernel-doc", "-v", "-none", "-Wall", "-Werror",
                      *self.files(r"^(fs|include)/.*\.[ch]$"), cwd=self.src)
        found.read(said, only=WRONG)
        count = len(re.findall(r"info: .*Scanning doc for", said[0], re.IGNORECASE))
        if not count:
            raise Failure("found no comment to check")
        return count, found

    def htmldocs(self):
        """The kernel's own make htmldocs, in a tree of links to this one that has
        no other documents than ours and their index: with all of that folder it
        takes minutes. What is built is in a directory of its own."""
        top, out = (self.kernel.tree / "htmldocs" / name for name in ("src", "out"))
        shutil.rmtree(top.parent, ignore_errors=True)
        link_all(self.src, top, but="Documentation")
        link_all(self.src / "Documentation", top / "Documentation", but="filesystems")
        documents = self.files(rf"^{DOCUMENTS}.*\.rst$")
        (top / DOCUMENTS).mkdir()
        for name in [*documents, DOCUMENTS + "index.rst"]:
            (top / name).symlink_to(self.src / name)

        found = Findings(top, self.ours)
        # YNL_INDEX: what v6.12 makes for networking, in the tree of the source.
        text, status = output("make", "--no-print-directory", "-C", top, "htmldocs",
                              "SPHINXDIRS=filesystems", f"BUILDDIR={out}", "YNL_INDEX=",
                              env=clean_env() | {"PYTHONDONTWRITEBYTECODE": "1"})
        found.read((plain_findings(text), status), only=WRONG)
        if found.lines:
            return 0, found     # these say why a page or a comment may be missing
        pages = {name: out / "filesystems" / Path(name).with_suffix(".html").name
                 for name in documents}
        found.ran(documents, [name for name, page in pages.items() if page.exists()])

        def read(paths):
            return "".join(path.read_text(encoding="utf-8") for path in paths)
        comments = " ".join(re.findall(r"^ +:functions: (.+)$", read(
            top / name for name in documents), re.MULTILINE)).split()
        found.ran(comments, re.findall(r'id="c\.(\w+)"', read(pages.values())))
        return len(documents) + len(comments), found

    def checkpatch(self):
        groups = {}
        for name in self.files("."):
            ignored = ",".join(sum((types for path, types in CHECKPATCH_IGNORE.items()
                                    if name.startswith(path)), []))
            groups.setdefault(ignored, []).append(name)
        found = self.found()
        for ignored, names in groups.items():
            said = output("perl", "scripts/checkpatch.pl", "--strict", "--file", "--emacs",
                          "--show-types", "--ignore", ignored, *names, cwd=self.src)
            found.read(said, only=re.compile("(ERROR|WARNING|CHECK):"))
            if len(re.findall(r"^total: .* lines checked", said[0],
                              re.MULTILINE)) != len(names):
                raise Failure(f"it did not check all of {' '.join(names)}: "
                              + last_line(said[0]))
        return len(self.files(".")), found

    def programs(self, compiler):
        return compile_programs(compiler, self.found(),
                                self.files(f"^{SELFTESTS}.*\\.c$"))

    def series(self):
        """The patches apply, and give these files in the end."""
        source = self.kernel.source
        with tempfile.TemporaryDirectory(prefix="eventfs-series-") as scratch:
            count = patch_series.Stack(source, patch_series.all_series(source.base),
                                       Path(scratch) / "tree").check()
        return count, self.found()


def link_all(folder, to, but):
    """A folder with links to all that is in another, but for one name."""
    to.mkdir(parents=True)
    for path in folder.iterdir():
        if path.name != but:
            (to / path.name).symlink_to(path)


def plain_findings(text):
    """What Sphinx says, in the form of other tools. Of a comment in a source it names
    the document first, or says "warning" first; of a whole document it names no line."""
    for what, instead in ((r"^\S+:\d+: (?=\S+:\d+: )", ""),
                          (r"^WARNING: (\S+:\d+) ", r"\1: WARNING: "),
                          (r"^(\S+\.rst): (?=[A-Z]+: )", r"\1:1: ")):
        text = re.sub(what, instead, text, flags=re.MULTILINE)
    return text


def compile_programs(compiler, found, names):
    """Warnings for programs of user space; as for the kernel, a callback need not
    use all that it is given."""
    for name in names:
        found.read(output(compiler, "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter",
                          "-c", "-o", os.devnull, name, cwd=found.root), only=WRONG)
    return len(names), found


class Repository:
    """The tools of this repository, and what is true of all its files."""

    def __init__(self, root=REPO):
        self.root = root
        self.names = [name for name in tree_files(root) if (root / name).is_file()]

    def found(self, names):
        return Findings(self.root, names)

    def head(self, name):
        with open(self.root / name, encoding="utf-8", errors="replace") as file:
            return "".join(file.readline() for _ in range(3))

    def spdx(self):
        names = [name for name in self.names if not NO_SPDX.fullmatch(name)]
        found = self.found(names)
        found.lines = [f"{name}:1: no SPDX-License-Identifier" for name in names
                       if "SPDX-License-Identifier:" not in self.head(name)]
        return len(names), found

    def shellcheck(self):
        tests = [name for name in self.names if name.startswith(SHELL_TESTS)]
        scripts = [name for name in self.names if name not in tests
                   and re.match(r"(#!|# shellcheck shell=).*\b(ba|da)?sh\b",
                                self.head(name))]
        found = self.found(tests + scripts)
        if scripts:
            found.read(output("shellcheck", "-f", "gcc", *scripts, cwd=self.root))
        if tests:
            found.read(output("shellcheck", "-f", "gcc", "-s", "dash", "-e",
                              ",".join(SHELL_TESTS_EXCLUDE), *tests, cwd=self.root))
        return len(tests + scripts), found

    def pyflakes(self):
        names = [name for name in self.names if name.endswith(".py")]
        found = self.found(names)
        found.read(output("pyflakes3", *names, cwd=self.root))
        return len(names), found

    def lava(self):
        """LAVA's definitions, by its own schemas."""
        names = [name for name in self.names if re.fullmatch(r"fleet/lava-.*\.yaml", name)]
        found = self.found(names)
        # These are of Debian's Python, which may not be the first on the path.
        said = output("/usr/bin/python3", REPO / "fleet/lava.py", *names, cwd=self.root)
        found.read(said)
        if not found.lines:
            found.ran(names, re.findall("^checked (.*)$", said[0], re.MULTILINE))
        return len(names), found

    def codespell(self):
        names = [name for name in self.names if not name.endswith(".svg")]
        found = self.found(names)
        found.read(output("codespell", "-L", WORDS, *names, cwd=self.root))
        return len(names), found

    def programs(self, compiler):
        names = ["bench/bench.c", "bench/profile.c"]
        return compile_programs(compiler, self.found(names), names)


def of_repository(repository):
    """Chains of checks: a name, what is counted, and the check."""
    return [[("shellcheck", "scripts", repository.shellcheck),
             ("pyflakes", "files", repository.pyflakes),
             ("codespell", "files", repository.codespell),
             ("lava", "definitions", repository.lava),
             ("spdx", "files", repository.spdx)] +
            [(f"{cc} (bench)", "programs", lambda cc=cc: repository.programs(cc))
             for cc in ("gcc", "clang-19")]]


def of_tree(tree, base):
    """The longest first. The checks of a chain share a directory to build in."""
    chains = []
    gcc = [(f"gcc ({base})", "files", lambda: tree.compile("gcc"))]
    if base == SPARSE_BASE:
        chains.append([(f"coccicheck ({base})", "semantic patches", tree.coccicheck)])
        gcc.append((f"sparse ({base})", "files", tree.sparse))
    return chains + [
        gcc,
        [(f"clang-19 ({base})", "files", lambda: tree.compile("clang-19"))],
        [(f"checkpatch ({base})", "files", tree.checkpatch)],
        [(f"series ({base})", "patches", tree.series)],
        [(f"kernel-doc ({base})", "comments", tree.kernel_doc)] +
        [(f"{cc} (selftests, {base})", "programs", lambda cc=cc: tree.programs(cc))
         for cc in ("gcc", "clang-19")],
        [(f"htmldocs ({base})", "documents and comments", tree.htmldocs)],
    ]


def run_check(check, verbose):
    """Return: the lines to print, and whether all is well."""
    name, what, function = check
    try:
        count, found = function()
    except (Failure, OSError) as error:
        return [f"{name}: failed: {error}"], False
    if found.lines:
        return [f"{name}: {line}" for line in dict.fromkeys(found.lines)], False
    elsewhere = f", {found.others} findings in other files" if verbose else ""
    return [f"{name}: {count} {what}{elsewhere}"], True


def run_chains(chains, verbose):
    """As many at a time as there are processors. Return: how many checks failed."""
    failed = 0
    with ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0)))) as pool:
        def run_chain(chain):
            failed = 0
            for check in chain:
                if ending.is_set():
                    break
                lines, well = run_check(check, verbose)
                failed += not well
                if not ending.is_set():
                    print("\n".join(lines), flush=True)
            return failed
        try:
            for future in as_completed([pool.submit(run_chain, chain)
                                        for chain in chains]):
                failed += future.result()
        except BaseException:
            ending.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                end(process)
            raise
    return failed


def names_of(chains):
    return {check[0].split()[0] for chain in chains for check in chain}


def chosen(chains, wanted):
    chains = [[check for check in chain if check[0].split()[0] in wanted]
              for chain in chains]
    return [chain for chain in chains if chain]


def command_line():
    parser = Parser(__doc__)
    parser.add_argument("--only", metavar="CHECK", help="run only this check, or several, "
                        "separated by commas")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="also count findings in other files")
    args = parser.parse_args()
    chains = of_repository(Repository())
    wanted = some_of(sorted({*OF_TREE, *names_of(chains)}), args.only, "check")
    need(PROGRAMS)
    bases = BASES if set(wanted) & set(OF_TREE) else ()
    with contextlib.ExitStack() as stack:
        # Without mainline's source the rest is still worth it.
        for base in bases:
            try:
                kernel = kernel_build.Kernel("eventfs", "check", base)
            except Failure as failure:
                if base == SPARSE_BASE:
                    raise
                say(f"skipped the checks on {base}: {failure}")
                continue
            stack.enter_context(kernel.locked_tree())
            kernel.prepare()
            chains[-1:-1] = of_tree(Tree(kernel), base)
        failed = run_chains(chosen(chains, wanted), args.verbose)
    if failed:
        say(f"error: {failed} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(command_line))
