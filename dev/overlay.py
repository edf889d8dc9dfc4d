#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Copy our files into a kernel tree (KSRC), fitted to its version. The next run updates
them, but stops if one of them was changed in the tree."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import kernel as kernel_build
import source as kernel_source
from common import REPO, Failure, Parser, main, new_directory, run, write_file

# What a stock fs/tracefs may consist of.
STOCK_FILES = {"Makefile", "event_inode.c", "inode.c", "internal.h"}
# What overlay leaves in a tree for the next one: stock/, the files as they were, and in
# files what it wrote, as sha256sum has it. The kernel's .gitignore has names with a dot.
RECORD = ".eventfs-overlay"


def touched_by_patches(source):
    """The files of upstream's that edits/ and the backport change."""
    patches = [*source.edits(), source.base.patch]
    return {"Makefile"}.union(*(kernel_source.patched_files(patch) for patch in patches
                                if patch.exists()))


def names_of_interest(source):
    """The files that overlay writes, or looks at to do so"""
    return touched_by_patches(source) | {
        "fs/tracefs/event_inode.c", *kernel_source.tree_files(REPO, *kernel_build.OVERLAY)}


def stock_of(source, names, scratch):
    """The source as it was before anybody changed it: as in git's HEAD, or as an earlier
    overlay has kept it. Without either there is only the tree itself."""
    if (source.path / ".git").exists():
        copy_head(source, names, scratch)
        head = kernel_source.Source(scratch, source.base, fixed=False)
        if not head.ours:
            return head
    if not source.ours:
        return source
    if not (source.path / RECORD / "files").exists():
        raise Failure(f"{source.path} has this eventfs already, but not from make overlay: "
                      "make run and make test use it as it is; make overlay needs a stock tree")
    return kernel_source.Source(source.path / RECORD / "stock", source.base, fixed=False)


def copy_head(source, names, scratch):
    """What git's HEAD has of the files"""
    git = ["git", "-c", "safe.directory=*", "-C", source.path]
    there = run([*git, "ls-tree", "-r", "--name-only", "HEAD", "--", *names],
                f"{source.path} has no commit").split()
    for name in there:
        done = subprocess.run([str(word) for word in [*git, "show", f"HEAD:{name}"]],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            raise Failure(f"{source.path}: git show of {name} failed")
        write_file(scratch / name, done.stdout)


def laid_before(source):
    """Name -> digest of what an earlier overlay wrote, if that is what the tree has"""
    record = source.path / RECORD / "files"
    if not source.ours or not record.exists():
        return {}
    return {name: digest for digest, name in (
        line.split("  ", 1) for line in record.read_text(encoding="utf-8").splitlines())}


def keep_record(source, stock, names, files):
    """Before the files are written: with what was there before"""
    with new_directory(source.path / RECORD) as record:
        for name in sorted(names):
            if (stock.path / name).is_file():
                write_file(record / "stock" / name,
                           *kernel_build.content_and_mode(stock.path / name))
        write_file(record / "files", "".join(
            f"{digest_of(content)}  {name}\n" for name, (content, _) in sorted(files.items())
        ).encode())


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def changed_file(source, laid, files):
    """A file that the user changed, or None. Without git or a record, changes cannot
    be seen."""
    if laid:
        return next((name for name, digest in laid.items()
                     if not (source.path / name).is_file() or
                     digest_of((source.path / name).read_bytes()) != digest
                     and not same(source.path / name, files.get(name))), None)
    names = touched_by_patches(source)
    if (source.path / ".git").exists():
        said = run(["git", "-c", "safe.directory=*", "-C", source.path, "status",
                    "--porcelain", "--", "fs/tracefs", *sorted(names)], "git status")
        return said.splitlines()[0][3:] if said else None
    others = sorted({path.name for path in (source.path / "fs/tracefs").iterdir()
                     if path.suffix not in (".o", ".cmd", ".a")
                     and not path.name.startswith(".")} - STOCK_FILES)
    return f"fs/tracefs/{others[0]}" if others else None


def same(path, file):
    return path.is_file() and kernel_build.content_and_mode(path) == file


def overlay(args):
    if not args.ksrc:
        raise Failure("make overlay needs KSRC=, the kernel tree to copy the files into")
    source = kernel_source.own_tree(Path(args.ksrc))
    laid = laid_before(source)
    names = names_of_interest(source) | set(laid)
    with tempfile.TemporaryDirectory(prefix="eventfs-stock-") as scratch:
        stock = stock_of(source, names, Path(scratch))
        try:
            files = kernel_build.our_files(stock)
        except Failure as failure:
            changed = changed_file(source, laid, {})
            if not changed:
                raise
            raise Failure(f"{source.path} is not stock: {changed} differs; unpack it again, "
                          "or use a git tree whose HEAD is stock") from failure
        changed = changed_file(source, laid, files)
        new = [name for name, file in files.items() if not same(source.path / name, file)]
        gone = sorted(set(laid) - set(files))
        if not new and not gone:
            print(f"{source.path} is up to date: {len(files)} files")
            return 0
        if changed and not args.force:
            raise Failure(f"{source.path}: {changed} was changed; FORCE=1 "
                          "overwrites it")
        keep_record(source, stock, names, files)
        for name in gone:
            (source.path / name).unlink(missing_ok=True)
            if (stock.path / name).is_file():
                write_file(source.path / name, *kernel_build.content_and_mode(stock.path / name))
    for name in new:
        write_file(source.path / name, *files[name])
    fitted = f", fitted to it by {source.base.patch.relative_to(REPO)}" \
        if source.base.patch.exists() else ""
    print(f"{source.path} is Linux {source.version}: wrote {len(new)} of {len(files)} "
          f"files{fitted}")
    return 0


def command_line():
    parser = Parser(__doc__)
    parser.add_argument("--ksrc", metavar="PATH", type=kernel_source.usable,
                        help="the kernel tree")
    parser.add_argument("--force", action="store_true",
                        help="overwrite files that were changed")
    return overlay(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main(command_line))
