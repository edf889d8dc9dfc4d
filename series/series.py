#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check the patch series, and write them to build/series as mails for git send-email.

series/N-NAME/ has the patches of a series and its cover letter. --branch makes them
commits in a kernel's work tree, --save writes these commits back.
"""

import contextlib
import functools
import os
import re
import sys
import tempfile
from email.utils import formataddr, parseaddr
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import kernel as kernel_build
import source as kernel_source
from common import BUILD, REPO, Failure, Parser, main, matching, run, say, some_of, write_file

SERIES = REPO / "series"
COMPLETE = 5
COVER_LINES = 100
PREFIXES = {"4-owners": "RFC PATCH", "1-fixes/v6.12": "PATCH 6.12"}
# get_maintainer.pl knows a patch by the files that it changes. One that changes such lines
# goes to the maintainers of these files, too.
PARTS = {"fs/dcache.c": r"\bd_(?!inode\b|backing_inode\b)\w+\(|dentry_operations",
         "fs/notify/fsnotify.c": "fsnotify", "lib/kunit/test.c": "kunit_test_suite"}
# Parts of the diff of files that are no tests
CODE = re.compile(r"^diff --git a/(?!tools/|.*/tests/).*?(?=^diff --git|\Z)", re.M | re.S)
FORMAT = ("format-patch", "-q", "-M", "--abbrev=12", "--zero-commit", "--no-signature")
PERSON = r"[^<>]*[^<>\s] <[^<>@\s]+@[^<>@\s]+>", "of the form 'Name <mail>'"


class Git:
    """git in a directory. Nothing of the user's own configuration counts."""

    def __init__(self, path):
        self.path = path
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
               for what, value in (("NAME", "eventfs"), ("EMAIL", "eventfs@localhost"))}
        self.env = {"PATH": os.environ["PATH"], "HOME": str(path), "LC_ALL": "C.UTF-8",
                    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
        settings = ("safe.directory=*", "core.hooksPath=/dev/null", "commit.gpgSign=false",
                    "advice.amWorkDir=false", "advice.detachedHead=false")
        self.git = ["git", *(word for one in settings for word in ("-c", one)), "-C", path]

    def __call__(self, *words, failure=None):
        return run([*self.git, *words], failure or f"git {words[0]}", env=self.env).strip()

    def am(self, *patches):
        try:
            self("am", "-q", *patches, failure=f"{name_of(patches[0])} does not apply")
        except Failure:
            with contextlib.suppress(Failure):
                self("am", "--abort")
            raise


class Series:
    """A folder of patches, with a cover letter"""

    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(SERIES))
        self.title, _, version = self.name.partition("/")
        self.branch = "/".join(filter(None, ("eventfs", version, self.title)))
        self.prefix = PREFIXES.get(self.name, "PATCH")
        self.copies = ["stable@vger.kernel.org"] if version else []
        self.patches = sorted(path.glob("*.patch"))
        for number, patch in enumerate(self.patches, 1):
            if not patch.name.startswith(f"{number:04}-"):
                raise Failure(f"{name_of(patch)} is not number {number}: rename it, or number "
                              "the patches with make series-save")
        if not self.patches:
            raise Failure(f"{name_of(path)} has no patches: make series-save writes them")
        cover = path / "cover.txt"
        text = cover.read_text(encoding="utf-8") if cover.is_file() else ""
        match = re.fullmatch(r"(?:Subject: )?(?:\[[^]\n]*\] )?(\S.*)\n\n(\S[^\0]*)", text)
        if not match or text.count("\n") > COVER_LINES:
            raise Failure(f"{name_of(cover)} must have a subject, an empty line and the text of "
                          f"the cover letter, in {COVER_LINES} lines at most")
        self.cover = match[1], match[2].rstrip("\n")


def name_of(path):
    return path.relative_to(REPO) if path.is_relative_to(REPO) else path


def all_series(base):
    """Those for a base; it takes no source to see what is wrong with them."""
    pattern = f"[0-9]*/{base.name}" if base.patch.exists() else "[0-9]*"
    series = [Series(path) for path in sorted(SERIES.glob(pattern)) if path.is_dir()]
    if not series:
        raise Failure(f"there is no series/{pattern}: make series-save writes it")
    return series


def base_of(args):
    if not args.ksrc:
        return kernel_source.Base(args.base)
    kernel_source.needs_stock(args.ksrc, "the series")
    return kernel_source.own_tree(Path(args.ksrc)).base


def files_of(text):
    """The files that patches touch"""
    return set(re.findall(r"^(?:(?:---|\+\+\+) [ab]/|(?:rename|copy) (?:from|to) )(\S+)",
                          text, re.M))


def content(path):
    return kernel_build.content_and_mode(path) if path.is_file() else None


class Stack:
    """The series as commits, in a repository of the files that they touch"""

    def __init__(self, source, series, path):
        self.source, self.series, self.git = source, series, Git(path)
        self.names = {"MAINTAINERS"}.union(*(files_of(patch.read_text(encoding="utf-8"))
                                             for one in series for patch in one.patches))
        path.mkdir()
        self.git("init", "-q", "-b", "base")
        for name in self.names:
            if content(source.path / name):
                write_file(path / name, *content(source.path / name))
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", "base")
        self.git("checkout", "-q", "--detach")

    def states(self):
        """The state after each patch: what is not as in the stock kernel"""
        for one in self.series:
            for patch in one.patches:
                self.git.am(patch)
                now = {name: content(self.git.path / name) for name in self.names}
                yield {name: file for name, file in now.items()
                       if file != content(self.source.path / name)}
            self.git("branch", one.branch)

    def check(self):
        """Applies all of them. Return: how many"""
        *_, last = states = list(self.states())
        if self.series[-1].title >= str(COMPLETE):
            compare(last, self.source)
        elif not self.source.base.patch.exists():
            say(f"series {self.series[-1].title} is not the last one, so its end is not "
                "compared with the files of this repository")
        return len(states)

    @functools.cache
    def maintainers(self, names):
        """Whom get_maintainer.pl has for these files"""
        patch = self.git.path / ".git/names.patch"
        write_file(patch, "".join(f"+++ b/{name}\n" for name in names).encode())
        return run(["perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback",
                    "--no-keywords", "--no-rolestats", patch,
                    f"--mpath={self.git.path}/MAINTAINERS"],
                   "scripts/get_maintainer.pl", cwd=self.source.path).splitlines()

    def copies(self, mail):
        diff = mail.split("\n---\n", 1)[1]
        code = "".join(CODE.findall(diff))
        parts = {name for name, pattern in PARTS.items() if re.search(
            f"^[-+].*(?:{pattern})", diff if "kunit" in name else code, re.M)}
        return self.maintainers(tuple(sorted(files_of(diff) | parts | {"fs/tracefs/inode.c"})))


def compare(state, source):
    """The series give the files of this repository."""
    ours = {name: file for name, file in kernel_build.our_files(source).items()
            if file != content(source.path / name)}
    wrong = [name for name in sorted({*ours, *state}) if ours.get(name) != state.get(name)]
    if wrong:
        raise Failure(f"after the last patch, {len(wrong)} files differ from this repository's: "
                      f"{' '.join(wrong[:3])}; edit the patches (make series-branch) or the files")


def add_reviewer(git, who):
    """One more patch, for the entry that has fs/tracefs"""
    path = git.path / "MAINTAINERS"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r"^(TRACING\n(?:[MR]:\t.*\n)+)", rf"\1R:\t{who}\n", text, flags=re.M)
    if changed == text:
        raise Failure("MAINTAINERS has no entry TRACING: leave out REVIEWER")
    write_file(path, changed.encode())
    git("commit", "-q", "-a", "-m", f"MAINTAINERS: Add {parseaddr(who)[0]} as reviewer of "
        "tracing\n\nSomebody has to answer for the new code of eventfs.")


def base_line(stack, one):
    """What the series is to be applied on"""
    path, number = stack.source.path, stack.series.index(one)
    base = f"base-commit: {Git(path)('rev-parse', 'HEAD')}" if (path / ".git").exists() else \
        f"base: Linux {stack.source.version}"
    return base + (f'\nand the series "{stack.series[number - 1].cover[0]}"' if number else "")


def write_mails(stack, one, before, to, args):
    """Writes a series as mails, and applies these to check them."""
    git, base = stack.git, base_line(stack, one)
    helped = f"\n\nWritten with the assistance of {args.assisted_by}." if args.assisted_by else ""
    git("config", f"branch.{one.branch}.description",
        f"{one.cover[0]}\n\n{one.cover[1]}{helped}\n\n{base}\n")
    to.mkdir(parents=True, exist_ok=True)
    for old in to.glob("*.patch"):
        old.unlink()
    git(*FORMAT, "-o", to, f"--subject-prefix={one.prefix}", "--cover-letter",
        "--cover-from-description=subject", *([f"-v{args.reroll}"] if args.reroll else []),
        f"{before}..{one.branch}")
    cover, *mails = sorted(to.glob("*.patch"))
    signed = [f"--trailer={what}: {value}" for what, value in (
        ("Assisted-by", args.assisted_by), ("Signed-off-by", args.signoff)) if value]
    everyone = {}
    for mail in mails:
        text = sent_by(args.signoff, mail)
        copies = [f"Cc: {who}" for who in stack.copies(text) + one.copies
                  if parseaddr(who)[1] not in (args.signoff or "")]
        everyone |= dict.fromkeys(copies)
        git("interpret-trailers", "--in-place", mail, *(
            f"--trailer={copy}" for copy in copies
            if not re.search(rf"^Cc:.*{re.escape(parseaddr(copy[4:])[1])}", text, re.M)), *signed)
    text = sent_by(args.signoff, cover)
    write_file(cover, text.replace(base, "\n".join([f"{base}\n", *everyone]), 1).encode())
    git("checkout", "-q", "--detach", before)
    git.am(*mails)
    git("diff", "--exit-code", one.branch, failure=f"{to}: the mails give other files")
    print(f"{to}: a cover letter and {len(mails)} patches for Linux {stack.source.version}")


def sent_by(signoff, mail):
    """Replaces the From: of a mail by whoever signs. Return: the mail's text"""
    text = mail.read_text(encoding="utf-8")
    if signoff:
        text = re.sub("^From: .*", f"From: {formataddr(parseaddr(signoff))}", text, count=1,
                      flags=re.M)
        write_file(mail, text.encode())
    return text


def write(args):
    series = all_series(base_of(args))
    titles = some_of([one.title for one in series], args.only, "series")
    while series[-1].title not in titles:
        series.pop()
    source = kernel_source.find(args.base, args.ksrc)
    with tempfile.TemporaryDirectory(prefix="eventfs-series-") as scratch:
        stack = Stack(source, series, Path(scratch) / "tree")
        stack.check()
        if args.reviewer:
            stack.git("checkout", "-q", series[-1].branch)
            add_reviewer(stack.git, args.reviewer)
        for one, before in zip(series, ["base", *(one.branch for one in series)]):
            if one.title in titles:
                to = BUILD / "series" / one.name.replace("/", "-")
                write_mails(stack, one, before, to, args)
    missing = "" if args.signoff else " SIGNOFF='Name <mail>'"
    missing += "" if args.assisted_by else " ASSISTED_BY='...'"
    if missing:
        print(f"still to be given before they may be sent:{missing} (see series/README.md)")
    return 0


def work_tree(args, what):
    """git in TREE, its base, the branch where the series start, those where they end"""
    if not args.tree:
        raise Failure(f"make {what} needs TREE=, a git work tree of the kernel")
    path = Path(args.tree).expanduser().absolute()
    if not (path / ".git").exists() or not (path / "fs/tracefs").is_dir():
        raise Failure(f"TREE={args.tree} is not a git work tree of the kernel")
    base, git = kernel_source.own_tree(path).base, Git(path)
    if any((path / git("rev-parse", "--git-path", f"rebase-{how}")).exists()
           for how in ("apply", "merge")):
        raise Failure(f"TREE={args.tree}: finish git rebase or git am there, or abort it")
    changed = git("status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        raise Failure(f"TREE={args.tree}: {changed[0].split()[-1]} was changed: commit or stash it")
    top = f"eventfs/{base.name}" if base.patch.exists() else "eventfs"
    heads = git("for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/{top}/[0-9]*")
    return git, base, f"{top}/base", heads.split()


def to_branches(args):
    git, base, start, heads = work_tree(args, "series-branch")
    series = all_series(base)
    if heads and not args.force:
        raise Failure(f"TREE={args.tree} has a branch {heads[0]}; FORCE=1 replaces it")
    commit = git("rev-parse", "HEAD")
    before = git("rev-parse", "--abbrev-ref", "HEAD").replace("HEAD", commit)
    try:
        git("checkout", "-q", "--detach", start if before in heads else "HEAD")
        tips = {start: git("rev-parse", "HEAD")}
        for one in series:
            for patch in one.patches:
                git.am(patch)
            tips[one.branch] = git("rev-parse", "HEAD")
    except BaseException:
        git("checkout", "-q", before)
        raise
    for branch, tip in tips.items():
        git("branch", "-f", branch, tip)
    git("checkout", "-q", series[-1].branch)
    print(f"{args.tree}: {' '.join(tips)}")
    return 0


def from_branches(args):
    git, base, start, heads = work_tree(args, "series-save")
    if not heads:
        raise Failure(f"TREE={args.tree} has no branch {start[:-4]}1-...: make series-branch first")
    steps = list(zip([start, *heads], heads))
    for before, head in steps:
        git("merge-base", "--is-ancestor", before, head, failure=f"TREE={args.tree}: {head} does "
            f"not contain {before}: rebase with git rebase --update-refs")
        if git("rev-parse", before) == git("rev-parse", head):
            raise Failure(f"TREE={args.tree}: {head} has no commit after {before}: delete one")
    for before, head in steps:
        with tempfile.TemporaryDirectory(prefix="eventfs-series-") as scratch:
            git(*FORMAT, "--no-numbered", "--subject-prefix=PATCH", "-o", scratch,
                f"{before}..{head}")
            new = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}
        to = SERIES / head.rpartition("/")[2] / (base.name if base.patch.exists() else "")
        old = {path.name: path.read_bytes() for path in to.glob("*.patch")}
        for name in set(old) - set(new):
            (to / name).unlink()
        changed = [name for name, text in new.items() if old.get(name) != text]
        for name in changed:
            write_file(to / name, new[name])
        print(f"{name_of(to)}: {len(new)} patches, {len(changed)} of them new or changed")
    return 0


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    parser.set_defaults(base="mainline", run=write)
    parser.add_argument("--only", metavar="SERIES", help="write only this series, such as 1-fixes")
    for name, form, what in (
            ("signoff", PERSON, "sign the patches off, and send them, as this person"),
            ("assisted-by", (r"\S.*", "a tool's name"), "say so in the patches and letters"),
            ("reviewer", PERSON, "add this person to MAINTAINERS"),
            ("reroll", (r"[1-9]\d?", "a number"), "the number of this version, from 2 on")):
        parser.add_argument(f"--{name}", metavar="VALUE", help=what,
                            type=matching(name.upper().replace("-", "_"), *form))
    for name, function, what in (("branch", to_branches, "make commits of the patches in TREE"),
                                 ("save", from_branches, "write the commits in TREE back")):
        parser.add_argument(f"--{name}", dest="run", action="store_const", const=function,
                            help=what)
    parser.add_argument("--tree", metavar="PATH", help="a kernel's git work tree, at the base")
    parser.add_argument("--force", action="store_true", help="replace the branches in TREE")
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main(command_line))
