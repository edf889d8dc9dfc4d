#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build a kernel with the files of this repository, or with the stock ones.

Prints the path of the bzImage. An image is kept in the cache under a key made
of everything it was built from, so nothing is built twice; a tree is kept for
each source, configuration and compiler, so little is built again after an edit.
"""

import functools
import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import source as kernel_source
from common import (BUILD_PROGRAMS, LOGS, REPO, Failure, Parser, cache, clean_env,
                    lock, main, need, new_directory, one_of, progress_line,
                    run, say, started, write_file)

# Laid over the kernel's own files, at the same paths.
OVERLAY = ("fs", "include", "tools/testing", "Documentation")
# What of that cannot change the image.
NOT_IN_IMAGE = ("tools/testing/", "Documentation/", "MAINTAINERS")
# Fixed, so that the same source gives the same image and ccache hits.
MAKE_FLAGS = ("ARCH=x86_64", "KBUILD_BUILD_USER=eventfs",
              "KBUILD_BUILD_HOST=eventfs", "KBUILD_BUILD_VERSION=1",
              "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970")
# What each configuration is made of, beside base.config of all but "bench", which is
# complete, and "cloud", which is on top of Debian's own; "check" is never linked.
FRAGMENTS = {
    "release": (), "debug": ("debug",), "strict": ("debug", "strict"),
    "kcsan": ("kcsan",), "kmsan": ("kmsan",), "rt": ("rt",), "small": ("small",),
    "faults": ("faults",), "coverage": ("coverage",), "bench": (), "check": ("check",),
    "series": (), "deb": ("deb",), "cloud": ("cloud",), "clients": ("clients",),
    "gdb": ("gdb",), "locks": ("locks",),
}
# Those that one cannot ask for by name: their tools build them.
OF_TOOLS = ("bench", "check", "series", "deb", "cloud", "locks")
KERNELS = ("eventfs", "stock")
# Lines added to the Makefile of fs/tracefs. KCOV and gcov count only there. Line numbers
# let call traces name source lines, in kernels without other debugging information,
# which would take longer to build.
MAKEFILE = "fs/tracefs/Makefile"
WITH_SYMBOLS = ("clients", "cloud", "gdb")
LINE_NUMBERS = "ccflags-y += -g1\n"
EXTRA_LINES = {"debug": "KCOV_INSTRUMENT := y\n", "coverage": "GCOV_PROFILE := y\n"}
# KMSAN is clang's alone.
COMPILERS = {"kmsan": "clang-19"}
# What else a configuration takes to be built: BTF, the archive of headers, signatures.
SIGNATURES = {"openssl": "openssl", "/usr/include/openssl/ssl.h": "libssl-dev"}
PROGRAMS = {"clients": {"pahole": "dwarves", "cpio": "cpio"}, "debug": SIGNATURES,
            "strict": SIGNATURES, "cloud": {"pahole": "dwarves", **SIGNATURES}}
# In a complete configuration, what is said of the compilers
OF_COMPILERS = re.compile(r"CONFIG_(CC_VERSION_TEXT|(GCC|CLANG|AS|LD|LLD|RUSTC|BINDGEN)_\w+)$")
# What else is made
TARGETS = {"gdb": ("scripts_gdb",)}
# What looks at each access makes a kernel slow, and takes memory: so much has a
# guest of it.
MEMORY = {"debug": "2G", "strict": "2G", "kcsan": "2G", "kmsan": "4G"}
KEEP_IMAGES = 40
COMPLAINT = re.compile(r": (fatal )?(warning|error):|undefined reference|\*\*\*"
                       r"|^WARNING|^ERROR|No space left|objtool:")


def add_arguments(parser, choose=True):
    """The switches that choose a kernel. Without choose, those of the source only."""
    bases = kernel_source.base_names()
    if choose:
        names = [name for name in FRAGMENTS if name not in OF_TOOLS]
        parser.add_argument("--kernel", metavar="NAME", default="eventfs",
                            type=one_of("KERNEL", KERNELS), help="eventfs: our files, or "
                            "stock: the kernel's own fs/tracefs (default %(default)s)")
        config = parser.add_mutually_exclusive_group()
        config.add_argument("--config", metavar="NAME", default="release",
                            type=one_of("CONFIG", names), help="configs/NAME.config on top "
                            f"of base.config (default %(default)s): {', '.join(names)}")
        config.add_argument("--debug", dest="config", action="store_const",
                            const="debug", help="same as --config=debug: KASAN, "
                            "lockdep, kmemleak")
        bases = kernel_source.base_names(stock_only=True)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--base", metavar="NAME", default="v6.12",
                        type=one_of("BASE", bases), help="kernel version to build: "
                        f"{', '.join(bases)} (default %(default)s)")
    source.add_argument("--ksrc", metavar="PATH", type=kernel_source.usable,
                        help="a kernel source tree of your own instead; it is never written to")


class Kernel:
    """One kernel to build: where its parts come from and where they go."""

    def __init__(self, kernel="eventfs", config="release", base="v6.12", ksrc=None):
        if not ksrc and kernel != "stock" and kernel_source.Base(base).stock_only:
            raise Failure(f"BASE={base} is for comparison only: add KERNEL=stock", 2)
        if kernel == "stock":
            kernel_source.needs_stock(ksrc, "KERNEL=stock")
        need({name: package for name, package in BUILD_PROGRAMS.items()
              if name != "ccache" or os.geteuid() == 0} | PROGRAMS.get(config, {}))
        self.source = kernel_source.find(base, ksrc)
        self.base = self.source.base
        self.config = config
        self.debug = "debug" in FRAGMENTS.get(config, ())
        self.slow = config in MEMORY
        self.memory = MEMORY.get(config, "1G")
        self.cc = COMPILERS.get(config, "gcc")
        if self.cc != "gcc":
            need({self.cc: self.cc})
        self.compiler = run([self.cc, "--version"], self.cc).splitlines()[0]
        self.overlay = {} if kernel == "stock" else overlay_of(self.source)
        if self.overlay:
            content, mode = self.overlay[MAKEFILE]
            extra = EXTRA_LINES.get(config, "")
            if config not in WITH_SYMBOLS:
                extra += LINE_NUMBERS
            self.overlay[MAKEFILE] = content + extra.encode(), mode
        version = self.source.version
        self.name = f"{kernel}-{self.config}-{version}"
        tree_id = digest(str(self.source.path), self.config, self.compiler)
        self.tree = cache() / "trees" / f"{version}-{self.config}-{tree_id[:8]}"
        self.out = self.tree / "out"

    @functools.cache
    def image(self):
        """The directory with bzImage, System.map and config; builds if needed."""
        image = cache() / "images" / self.image_key()
        if not (image / "bzImage").exists():
            with self.locked_tree() as held:
                if not (image / "bzImage").exists():
                    self.prepare()
                    self.build(held)
                    self.keep(image)
        os.utime(image)
        return image

    def objects(self):
        """Where the image was built, with vmlinux; built again if something else was
        since."""
        if not tree_of(self.image()):
            with self.locked_tree() as held:
                self.prepare()
                self.build(held)
        return self.out

    def prepared_tree(self):
        """The source tree as it is built, for tools that want to look at it."""
        with self.locked_tree():
            self.prepare()
        return self.tree / "src"

    def locked_tree(self):
        return lock(cache() / "locks" / f"{self.tree.name}.lock",
                    f"waiting for another run that builds {self.tree.name}")

    def image_key(self):
        if self.source.fixed:
            source_id = self.source.path.name
        else:
            source_id = repr(sorted(manifest(self.source.path).items()))
        files = [(path, mode, hashlib.sha256(content).hexdigest())
                 for path, (content, mode) in (
                     (path, file or (b"", 0)) for path, file in sorted(self.overlay.items()))
                 if not path.startswith(NOT_IN_IMAGE)]
        return f"{self.name}-" + digest(
            source_id, repr(MAKE_FLAGS), self.compiler, repr(files),
            repr(sorted(self.options().items())))[:16]

    def options(self):
        """Option -> value, as the fragments ask for."""
        options = {}
        if self.config == "bench":
            names = ["bench"]
        elif self.config == "cloud":
            names = ["cloud"]
            text = kernel_source.distribution_config(self.source)
            options = {name: value for name, value in parse_config(text).items()
                       if not OF_COMPILERS.match(name)}
        else:
            names = ["base", *FRAGMENTS[self.config]]
            # Options that only our files have
            names += ["eventfs"] if "fs/tracefs/Kconfig" in self.overlay else []
        fragments = [REPO / "configs" / f"{name}.config" for name in names]
        if self.config != "cloud":
            # What the base's own adds to the first, the others may take back.
            fragments.insert(1, self.base.path / "extra.config")
        for fragment in fragments:
            if fragment.exists():
                options |= parse_config(fragment.read_text(encoding="utf-8"))
        return options

    def prepare(self):
        """Brings the tree's source up to date, rewriting only what differs."""
        source, tree = self.source.path, self.tree
        if not (tree / "src").exists():
            say(f"making a source tree for {self.tree.name}")
            with new_directory(tree) as scratch:
                if self.source.fixed:
                    run(["cp", "-al", source, scratch / "src"],
                        "copying the source")
                else:
                    (scratch / "src").mkdir()
        if not self.source.fixed:
            refresh(source, tree)
        lay_over(self.overlay, source, tree)

    def make(self, *words):
        compiler = f"ccache {self.cc}" if shutil.which("ccache") else self.cc
        jobs = len(os.sched_getaffinity(0))
        return ["make", "-C", str(self.tree / "src"), f"O={self.out}",
                f"-j{jobs}", f"CC={compiler}", *MAKE_FLAGS, *words]

    def build_env(self):
        """The environment of this kernel's build, with a ccache for all trees."""
        env = clean_env()
        env.setdefault("CCACHE_DIR", str(cache() / "ccache"))
        env["CCACHE_BASEDIR"] = str(self.tree)
        return env

    def build(self, held):
        env = self.build_env()
        self.configure(env)
        modules = ("modules",) if self.has_modules() else ()
        compile_kernel(self, env, held, "bzImage", *modules, *TARGETS.get(self.config, ()))

    def has_modules(self):
        return "m" in self.options().values()

    def configure(self, env):
        """allnoconfig plus our fragments; every option is to have taken effect."""
        self.out.mkdir(exist_ok=True)
        options = self.options()
        wanted = self.tree / "wanted.config"
        write_file(wanted, "".join(f"{name}={value}\n" for name, value
                                   in options.items()).encode())
        run(self.make("-s", "allnoconfig"), "configuring the kernel",
            env={**env, "KCONFIG_ALLCONFIG": str(wanted)})
        text = (self.out / ".config").read_text(encoding="utf-8")
        got = parse_config(text)
        lost = [f"{name}={value}" for name, value in options.items()
                if got.get(name, "n") != value]
        if lost:
            message = (f"options without effect on {self.source.version}: "
                       + " ".join(lost))
            if self.source.fixed:
                raise Failure(message)
            # A tree of the user's may be a version that lacks some options.
            say(f"warning: {message}")

    def copy_image(self, to):
        shutil.copy(self.out / "arch/x86/boot/bzImage", to)
        shutil.copy(self.out / "System.map", to)
        shutil.copy(self.out / ".config", to / "config")
        write_file(to / "tree", str(self.tree).encode())
        if self.has_modules():
            # To lib/modules, with the lists that modprobe reads
            run(self.make("-s", "modules_install", f"INSTALL_MOD_PATH={to}",
                          "INSTALL_MOD_STRIP=1"), "installing the modules", env=self.build_env())

    def keep(self, image):
        with new_directory(image) as scratch:
            self.copy_image(scratch)
        images = sorted(image.parent.glob("[!.]*"), reverse=True,
                        key=lambda path: path.stat().st_mtime)
        for old in images[KEEP_IMAGES:]:
            shutil.rmtree(old, ignore_errors=True)


def tree_of(image):
    """The tree that an image was built in, or None if something else was since."""
    try:
        tree = Path((image / "tree").read_text(encoding="utf-8"))
        same = (image / "System.map").read_bytes() == (tree / "out/System.map").read_bytes()
    except FileNotFoundError:
        return None
    return tree if same else None


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def parse_config(text):
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE))


def content_and_mode(path):
    return path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644


def overlay_of(source):
    """Path -> content and mode of what is built instead of the stock files. A tree that
    has our files is taken as it is; they may have been edited there."""
    if not source.ours:
        return our_files(source)
    return {name: content_and_mode(source.path / name)
            for name in kernel_source.tree_files(source.path, "fs/tracefs")}


def our_files(source):
    """Path -> content and mode: our files, then edits of files that upstream
    owns, then what fits all of it to the base."""
    if source.ours:
        kernel_source.needs_stock(source.path, "the series")
    files = {name: content_and_mode(REPO / name)
             for name in kernel_source.tree_files(REPO, *OVERLAY)}
    if "fs/tracefs/event_inode.c" not in files:
        raise Failure("fs/tracefs/event_inode.c is missing here: restore it, or use KERNEL=stock")
    patches = source.edits()
    if source.base.patch.exists():
        patches.append(source.base.patch)
    if patches:
        apply_patches(patches, files, source.path)
    return files


def apply_patches(patches, files, pristine):
    """Applies the patches to the files they touch, in a scratch directory."""
    texts = [patch.read_text(encoding="utf-8") for patch in patches]
    touched = set(re.findall(r"^(?:---|\+\+\+) [ab]/(\S+)", "\n".join(texts),
                             re.MULTILINE))
    with tempfile.TemporaryDirectory(prefix="eventfs-patch-") as scratch:
        scratch = Path(scratch)
        for name in touched:
            if name in files:
                write_file(scratch / name, *files[name])
            elif (pristine / name).exists():
                write_file(scratch / name, *content_and_mode(pristine / name))
        for patch in patches:
            run(["patch", "-p1", "-f", "-s", "--no-backup-if-mismatch",
                 "-r", "-", "-d", scratch, "-i", patch],
                f"{patch} does not apply")
        for name in touched:
            if (scratch / name).exists():
                files[name] = content_and_mode(scratch / name)


def lay_over(files, pristine, tree):
    """Gives the tree the pristine source plus files. The list of files laid
    over is written before any of them, so that none is forgotten."""
    record = tree / "overlay"
    before = record.read_text(encoding="utf-8").split("\n") if record.exists() else []
    names = sorted(set(before) | set(files) - {""})
    write_file(record, "\n".join(names).encode())
    for name in filter(None, names):
        path = tree / "src" / name
        # A file that is None is not to be there, though the source has it.
        content = files.get(name)
        if name not in files and (pristine / name).exists():
            content = content_and_mode(pristine / name)
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_bytes() != content[0]:
            write_file(path, *content)
    write_file(record, "\n".join(sorted(files)).encode())


def manifest(path):
    """File -> size, time and mode of each file of a user's tree."""
    result = {}
    for name in kernel_source.tree_files(path):
        try:
            stat = os.lstat(path / name)
        except FileNotFoundError:
            continue
        result[name] = [stat.st_size, stat.st_mtime_ns, stat.st_mode]
    return result


def refresh(source, tree):
    """Copies what changed in the user's tree since the last time."""
    record = tree / "manifest"
    old = {}
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            *numbers, name = line.split(" ", 3)
            old[name] = [int(number) for number in numbers]
    new = manifest(source)
    changed = [name for name in new if new[name] != old.get(name)]
    # Until all is copied, what is about to change counts as unknown.
    save_manifest(record, {name: stat for name, stat in old.items()
                           if stat == new.get(name)})
    for count, name in enumerate(changed):
        copy_file(source / name, tree / "src" / name)
        if count % 500 == 0:
            progress_line.show(f"copying {source}: {count} of {len(changed)} files")
    for name in set(old) - set(new):
        (tree / "src" / name).unlink(missing_ok=True)
    if changed and not (source / ".git").exists():
        # A tree without git may have been built in; what that left confuses
        # a build elsewhere. Only the copy is cleaned.
        run(["make", "-s", "-C", tree / "src", "mrproper"], "make mrproper",
            env=clean_env())
    save_manifest(record, new)
    progress_line.clear()


def save_manifest(record, files):
    write_file(record, "".join(
        f"{' '.join(map(str, stat))} {name}\n"
        for name, stat in sorted(files.items())).encode())


def copy_file(path, to):
    """A copy with the time of now, so that make sees the change."""
    try:
        if path.is_symlink():
            to.parent.mkdir(parents=True, exist_ok=True)
            to.unlink(missing_ok=True)
            to.symlink_to(os.readlink(path))
        else:
            write_file(to, *content_and_mode(path))
    except PermissionError as error:
        raise Failure(f"{path} cannot be read: KSRC must be a tree that you "
                      "may read") from error


def compile_kernel(kernel, env, held, *targets):
    """Runs make with progress; what compilers complain of is shown."""
    total = kernel.base.conf.get(f"objects-{kernel.config}")
    whole = not (kernel.out / "vmlinux").exists()
    expected = f" of about {total}" if whole and total else ""
    log = LOGS / f"build-{kernel.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    progress_line.start()
    complaints = []
    # The lock goes to make as well: while an orphaned make still runs, no
    # other run may build in the same tree.
    with open(log, "w", encoding="utf-8") as file, \
            started(kernel.make(*targets), env=env, pass_fds=[held.fileno()]) as make:
        count = 0
        for line in make.stdout:
            file.write(line)
            count += bool(re.match(r"  (CC|AS|AR|LD) ", line))
            if COMPLAINT.search(line):
                complaints.append(line.rstrip())
            progress_line.show(f"building {kernel.name}: {count}{expected} objects, "
                               + " ".join(line.split()))
    progress_line.clear()
    for line in complaints[:30]:
        say(line)
    if make.returncode:
        if any("No space left" in line for line in complaints):
            raise Failure(f"the disk of {cache()} is full: make room, or set "
                          "EVENTFS_CACHE to a directory on another disk")
        raise Failure(f"building {kernel.name} failed; the whole log: {log}")


def from_arguments(args):
    return Kernel(args.kernel, args.config, args.base, args.ksrc)


def command_line():
    parser = Parser(__doc__)
    add_arguments(parser)
    parser.add_argument("--tree", action="store_true", help="prepare the source "
                        "tree only, without building, and print its path")
    args = parser.parse_args()
    kernel = from_arguments(args)
    if args.tree:
        print(kernel.prepared_tree())
    else:
        print(kernel.image() / "bzImage")
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
