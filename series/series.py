#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write the patch series to build/series/BASE, as git format-patch does.

This repository has the files as they are after the last patch. Each series/NN-name.txt
is a patch: its message, and after a line "---" the parts of those files that it adds.
Taking these away, from the last patch to the first, gives the states in between, and in
the end the stock kernel. series/README.md describes the format.
"""

import os
import re
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import kernel as kernel_build
import source as kernel_source
from common import BUILD, REPO, Failure, Parser, identity, main, run, write_file
from kernel import MAINTAINERS

STEPS = REPO / "series"
COVER = STEPS / "cover.txt"
FIGURES = REPO / "bench/v6.12.txt"
CHANGES = REPO / "Documentation/filesystems/eventfs.rst", "What differs from earlier kernels"
# A comment at the top level of a file that is the title of a section
SECTION = re.compile(r"^/\*\n \* ([A-Z][^\n]*)\n \*/\n\n", re.MULTILINE)


class Tree(dict):
    """A state: path -> content and mode of what is not as in the stock kernel,
    None for what is not there."""

    def __init__(self, stock, files):
        super().__init__(files)
        self.stock = stock

    def of_stock(self, name):
        path = self.stock / name
        return kernel_build.content_and_mode(path) if path.exists() else None

    def file(self, name):
        return self[name] if name in self else self.of_stock(name)

    def put(self, name, file):
        self[name] = file
        if file == self.of_stock(name):
            del self[name]

    def has(self, pattern):
        """Is there a file of ours of this path, or below it?"""
        return any(file and name.startswith(pattern) for name, file in self.items())


class Text:
    """A file to take text out of, or one of its definitions."""

    def __init__(self, text, definition=None):
        self.whole = text
        self.start, self.end = find_definition(text, definition) if definition else (0, len(text))

    def inside(self):
        return self.whole[self.start:self.end]

    def cut(self, start, end, new=""):
        """Replaces a part of what is inside; leaves no two empty lines, and none
        at either end of a block."""
        before, after = self.whole[:self.start + start], self.whole[self.start + end:]
        if not new and after.startswith("\n") and \
                (not before or before.endswith(("\n\n", "{\n"))):
            after = after[1:]
        if not new and before.endswith("\n\n") and after.startswith(("}", "*/")):
            before = before[:-1]
        return before + new + after if after else (before + new).rstrip("\n") + "\n"


def definitions(text):
    """(start, end, code) of each definition at the top level, with the comment above it
    and the empty line below."""
    start, deep = 0, False
    position = 0
    for line in text.splitlines(keepends=True):
        position += len(line)
        if re.match(r"[^\s/*#].*\{$|\{$", line.rstrip("\n")):
            deep = True
        elif line.startswith("}"):
            deep = False
        elif line == "\n" and not deep:
            yield start, position, text[start:position]
            start = position
    if start < len(text):
        yield start, len(text), text[start:]


def defined_name(block):
    """The name of what a block defines first: of a struct, a function or a table."""
    code = re.sub(r"/\*.*?\*/|^#.*?$", "", block, flags=re.DOTALL | re.MULTILINE)
    head = re.split(r"[{;=]", code, maxsplit=1)[0].strip()
    if re.fullmatch(r"(struct|union|enum) \w+", head):
        return head
    called = re.search(r"(\w+)\((\w*)", head)
    if called:
        # A macro may make the head of a function.
        return called[2] if called[1].isupper() else called[1]
    return head.split(" ")[-1].lstrip("*")


def find_definition(text, name):
    found = [(start, end) for start, end, block in definitions(text)
             if defined_name(block) == name]
    if len(found) != 1:
        raise ValueError(f"{name} is defined there {len(found)} times")
    return found[0]


class Step:
    """A patch of the series."""

    def __init__(self, path):
        self.path = path
        self.name = path.stem
        head, mark, rest = path.read_text(encoding="utf-8").partition("\n---\n")
        if not mark or "\n\n" not in head:
            raise Failure(f"{self.where()}: it needs a message and a line --- after it")
        self.subject, self.body = head.strip("\n").split("\n\n", 1)
        lines = rest.splitlines()
        self.backport = "only backport" in lines
        self.commands = list(self.parse([line for line in lines if line != "only backport"]))

    def where(self):
        return f"series/{self.path.name}"

    def parse(self, lines):
        """Commands as words, with the lines that belong to each: those of a hunk, or
        what stood there before."""
        words, below = None, []
        for line in lines:
            if words and line[:1] in ("-", "+", " ", "\t"):
                below.append(line)
                continue
            if words:
                yield words, below
            words, below = None, []
            if line and not line.startswith("#"):
                try:
                    words = [word.replace("\\n", "\n").replace("\\t", "\t")
                             for word in shlex.split(line)]
                except ValueError as error:
                    raise Failure(f"{self.where()}: {line}: {error}") from error
        if words:
            yield words, below

    def undo(self, tree):
        """Takes away from a state what this patch brings."""
        name = definition = None
        for (command, *words), below in self.commands:
            try:
                if command == "in":
                    name, definition = words[0], (words[1:] or [None])[0]
                    if tree.file(name) is None:
                        raise ValueError("there is no such file")
                elif command in FILES and not below:
                    FILES[command](tree, *words)
                elif command in TEXTS and name:
                    content, mode = tree.file(name)
                    text = Text(content.decode(), definition)
                    tree.put(name, (TEXTS[command](text, below, *words).encode(), mode))
                else:
                    raise ValueError("is no command here")
            except (ValueError, TypeError) as error:
                place = f" in {' '.join(filter(None, (name, definition)))}" \
                    if name and command in TEXTS else ""
                shown = [line for line in below if line[0] == "+"] \
                    if command == "@@" else [" ".join([command, *words])]
                raise Failure(f"{self.where()} does not apply{place}: "
                              f"{' '.join((shown or below)[0].split())}: {error}") from error


def undo_adds(tree, *patterns):
    for pattern in patterns:
        names = [name for name, file in tree.items() if file and
                 (name == pattern or pattern.endswith("/") and name.startswith(pattern))]
        if not names:
            raise ValueError(f"no file of ours is {pattern}")
        for name in names:
            tree.put(name, None)


def undo_edits(tree, *names):
    for name in names:
        if name not in tree or tree.of_stock(name) is None:
            raise ValueError(f"{name} is as in the stock kernel, or not in it")
        tree.put(name, tree.of_stock(name))


def undo_moves(tree, old, new):
    if tree.file(old) is not None or tree.file(new) != tree.of_stock(old):
        raise ValueError("something else is there after it")
    tree.put(new, None)
    tree.put(old, tree.of_stock(old))


def undo_removes(tree, name, was, old):
    if was != "was" or tree.file(name) is not None or tree.of_stock(old) is None:
        raise ValueError("it is there after it, or was not in the stock kernel")
    tree.put(name, tree.of_stock(old))


def undo_hunk(text, lines):
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
    inside = f"\n{text.inside()}"
    if inside.count(f"\n{old}") != 1:
        raise ValueError(f"such lines are there {inside.count(old)} times")
    start = inside.index(f"\n{old}")
    return text.cut(start, start + len(old), new)


def before(lines):
    """What stood where now the patch's own text is."""
    if any(line[0] != "-" for line in lines):
        raise ValueError("only lines with - may be below")
    return "".join(f"{line[1:]}\n" for line in lines)


def undo_definition(text, lines, name):
    start, end = find_definition(text.whole, name)
    return text.cut(start, end, before(lines) + "\n" * bool(lines))


def undo_section(text, lines, *title):
    found = list(SECTION.finditer(text.whole))
    mine = [i for i, match in enumerate(found) if match[1] == " ".join(title)]
    if len(mine) != 1:
        raise ValueError(f"is there {len(mine)} times")
    after = found[mine[0] + 1:]
    return text.cut(found[mine[0]].start(),
                    after[0].start() if after else len(text.whole), before(lines))


def undo_lines(text, lines, first, to=None, last=None):
    starts = list(re.finditer(rf"^[ \t*]*{re.escape(first)}", text.inside(), re.MULTILINE))
    if len(starts) != 1 or to not in (None, "to"):
        raise ValueError(f"such a line is there {len(starts)} times")
    start = starts[0].start()
    rest = re.compile(rf"{re.escape(last or '')}\n").search(
        text.inside(), start if last else starts[0].end())
    if not rest:
        raise ValueError(f"no line after it ends with {last}")
    return text.cut(start, rest.end(), before(lines))


FILES = {"adds": undo_adds, "edits": undo_edits, "moves": undo_moves,
         "removes": undo_removes}
TEXTS = {"@@": undo_hunk, "definition": undo_definition, "section": undo_section,
         "lines": undo_lines}


class Series:
    """The patches on one source, and the tree's states between them."""

    def __init__(self, source):
        self.source = source
        self.backport = source.base.patch.exists()
        paths = sorted(STEPS.glob("[0-9]*.txt"))
        self.steps = [step for step in map(Step, paths)
                      if self.backport or not step.backport]
        if not self.steps:
            raise Failure(f"there are no patches in {STEPS}")
        self.last = Tree(source.path, kernel_build.our_files(source))
        self.states = self.make_states()

    def make_states(self):
        """The state after each patch, the stock kernel first."""
        states = [self.last]
        for step in reversed(self.steps):
            tree = Tree(self.source.path, states[0])
            step.undo(tree)
            states.insert(0, tree)
        left = sorted(states[0])
        if left:
            raise Failure(f"series/: no patch adds all of {left[0]}"
                          + (f" and of {len(left) - 1} others" if left[1:] else "")
                          + ": name it in the patch it belongs to")
        # The entry of MAINTAINERS names what is there.
        for state in states[1:]:
            if MAINTAINERS in state:
                state[MAINTAINERS] = kernel_build.maintainers(state, self.source.path)
        return states

    def touched(self):
        return sorted({name for state in self.states for name in state})


class Git:
    """A repository of its own, of the files that the series touches; nothing of the
    user's configuration counts but who he is."""

    def __init__(self, path):
        self.path = path
        name, email = identity()
        if not email:
            raise Failure("patches need an author: set git config user.name and user.email")
        self.who = f"{name} <{email}>"
        when = run(["git", "-C", REPO, "log", "-1", "--format=%cI"], "git log").strip()
        people = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
                  for what, value in (("NAME", name), ("EMAIL", email), ("DATE", when))}
        self.env = {"PATH": os.environ["PATH"], "HOME": str(path), "LC_ALL": "C.UTF-8",
                    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **people}
        path.mkdir()
        self("init", "-q", "-b", "base")

    def __call__(self, *words, failure=None):
        return run(["git", "-C", self.path, *words], failure or f"git {words[0]}",
                   env=self.env).strip()

    def tree(self, names, tree):
        """The object of a state."""
        for name in names:
            file, path = tree.file(name), self.path / name
            if file:
                write_file(path, *file)
            else:
                path.unlink(missing_ok=True)
        self("add", "-A")
        return self("write-tree")

    def commit(self, tree, message, *parent):
        write_file(self.path / ".git/message", message.encode())
        return self("commit-tree", tree, "-F", ".git/message",
                    *(word for commit in parent for word in ("-p", commit)))

    def patch(self, before, after):
        return run(["git", "-C", self.path, "diff", "-M", before, after], "git diff",
                   env=self.env)


def copies_for(patch, source, entry, who):
    """The addresses that get_maintainer.pl names for a patch, without the sender's."""
    out = run(["perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback",
               "--no-rolestats", f"--mpath={entry}", patch],
              "scripts/get_maintainer.pl", cwd=source.path)
    return [line for line in out.splitlines() if "@" in line and line != who]


def all_copies(git, trees, series):
    """That of each patch; the script takes its time, so several at once."""
    entry = git.path / ".git/MAINTAINERS"
    write_file(entry, series.last.file(MAINTAINERS)[0])
    files = []
    for number, (before, after) in enumerate(zip(trees, trees[1:])):
        files.append(git.path / f".git/{number}.patch")
        write_file(files[-1], git.patch(before, after).encode())
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda patch: copies_for(patch, series.source, entry, git.who),
                             files))


def message_of(step, git, copies):
    trailers = [f"Cc: {who}" for who in copies] + [f"Signed-off-by: {git.who}"]
    body = step.body.strip("\n")
    return f"{step.subject}\n\n{body}\n\n" + "\n".join(trailers) + "\n"


def section_of(path, title):
    """The text below a heading of a document, up to the next of its level."""
    match = re.search(rf"^{re.escape(title)}\n([=~^\"-])\1+\n(.*?)(?=^[^\n]+\n\1{{3,}}\n|\Z)",
                      path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return match and match[2].strip("\n")


def figures():
    """The first table of what was measured, up to its column of ratios."""
    lines = FIGURES.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    if not lines or "ratio" not in lines[0]:
        raise Failure(f"{FIGURES.relative_to(REPO)} has no column \"ratio\": make bench-record")
    end = lines[0].index("ratio") + len("ratio")
    return "\n".join(f"  {line[:end].rstrip()}" for line in lines)


def changes():
    """The table of the document of what a program could see change, as plain text."""
    text = CHANGES[0].exists() and section_of(*CHANGES)
    return text and re.sub(r"``([^`\n]*)``", r"\1    ", text).replace(
        r"2\ :sup:`31`", "2^31         ")


def base_line(source, touched):
    """The commit that the series is for; a tree without git has a name only."""
    if not (source.path / ".git").exists():
        package = re.fullmatch(r"(linux-source-[\d.]+)-(.*)-[0-9a-f]+", source.path.name)
        of = f" (Debian's {package[1]} {package[2]})" if source.fixed and package else ""
        return f"base: Linux {source.version}{of}"
    git = ["git", "-c", "safe.directory=*", "-C", source.path]
    commit = run([*git, "rev-parse", "HEAD"], f"{source.path} has no commit").strip()
    changed = run([*git, "diff", "--name-only", "HEAD", "--", *touched],
                  f"git diff in {source.path}").split()
    if changed:
        raise Failure(f"{source.path}: {changed[0]} differs from HEAD, which the series "
                      "names as its base: commit or stash it")
    return f"base-commit: {commit}"


def cover_letter(series, text):
    """Fills in git's cover letter. A paragraph may be for one kind of base."""
    subject, _, body = COVER.read_text(encoding="utf-8").partition("\n\n")
    parts = {"%figures": figures(), "%changes": changes()}
    kept = []
    for paragraph in body.strip("\n").split("\n\n"):
        mark, _, rest = paragraph.partition("\n")
        if mark in ("%backport", "%mainline"):
            if (mark == "%backport") == series.backport:
                kept.append(rest)
        elif any(part in paragraph and not parts[part] for part in parts):
            continue
        else:
            for part, value in parts.items():
                paragraph = paragraph.replace(part, f"\n{value}")
            kept.append(paragraph)
    text = text.replace("*** SUBJECT HERE ***", subject)
    text = text.replace("*** BLURB HERE ***", "\n\n".join(kept))
    signature = text.rindex("\n-- \n")
    return text[:signature] + "\n" + base_line(series.source, series.touched()) + "\n" \
        + text[signature:]


def write_series(series, to, copies=True):
    """Writes the patches to a directory, and applies them."""
    with tempfile.TemporaryDirectory(prefix="eventfs-series-") as scratch:
        git = Git(Path(scratch) / "tree")
        trees = [git.tree(series.touched(), state) for state in series.states]
        for step, before_it, after in zip(series.steps, trees, trees[1:]):
            if before_it == after:
                raise Failure(f"{step.where()} changes nothing")
        people = all_copies(git, trees, series) if copies else [[]] * len(series.steps)
        commit = base = git.commit(trees[0], "base\n")
        for step, tree, who in zip(series.steps, trees[1:], people):
            commit = git.commit(tree, message_of(step, git, who), commit)
        to.mkdir(parents=True, exist_ok=True)
        for old in to.glob("*.patch"):
            old.unlink()
        prefix = f"PATCH {series.source.base.name.lstrip('v')}" if series.backport else "PATCH"
        git("format-patch", "-q", "--cover-letter", f"--subject-prefix={prefix}",
            "--stat=78", "-M", "-o", to, f"{base}..{commit}")
        cover = to / "0000-cover-letter.patch"
        write_file(cover, cover_letter(
            series, cover.read_text(encoding="utf-8")).encode())
        apply_series(git, base, series, to)


def apply_series(git, base, series, to):
    """git am of what was written gives exactly our files."""
    patches = sorted(to.glob("[0-9]*.patch"))[1:]
    git("checkout", "-q", "-f", "-b", "am", base)
    git("am", "-q", *patches, failure="git am of the written patches")
    for name in series.touched():
        file, path = series.last.file(name), git.path / name
        there = kernel_build.content_and_mode(path) if path.exists() else None
        if there != file:
            raise Failure(f"{to}: after the last patch, {name} differs from ours")


def load(args):
    kernel_source.needs_stock(args.ksrc, "make series")
    return Series(kernel_source.find(args.base, args.ksrc))


def write(args):
    series = load(args)
    to = Path(args.output) if args.output else BUILD / "series" / (
        series.source.base.name if not args.ksrc else series.source.version)
    write_series(series, to)
    print(f"{to}: {len(series.steps)} patches for Linux {series.source.version}, "
          "and git am of them gives our files")
    return 0


def show(args):
    for number, step in enumerate(load(args).steps, 1):
        print(f"{number:2} {step.name:24} {step.subject}")
    return 0


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    parser.add_argument("--list", action="store_true", help="only list the patches")
    parser.add_argument("--output", metavar="DIR", help="directory to write to (default build/series/BASE)")
    args = parser.parse_args()
    if args.list:
        return show(args)
    return write(args)


if __name__ == "__main__":
    sys.exit(main(command_line))
