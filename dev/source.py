# SPDX-License-Identifier: GPL-2.0-only
"""Where kernel source comes from: a Debian package, or a tree of the user's.

A package is unpacked once, to src/<package>-<version>-<hash> in the cache,
and never changed there. A tree of the user's own is never written to.
"""

import configparser
import glob
import hashlib
import lzma
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from common import (REPO, Failure, cache, lock, new_directory, run, say,
                    write_file)

DAY = 24 * 3600
INSTALLED = Path("/usr/src")


class Base:
    """A kernel version our files are fitted to: bases/<name>."""

    def __init__(self, name):
        self.name = name
        self.path = REPO / "bases" / name
        parser = configparser.ConfigParser()
        if not parser.read(self.path / "base.conf"):
            raise Failure(f"BASE={name}: it must be one of "
                          + ", ".join(base_names()))
        self.conf = parser["base"]
        self.first = version_number(self.conf["first"])
        self.patch = self.path / "backport.patch"
        self.stock_only = self.conf.getboolean("stock-only", False)


class Source:
    """Pristine kernel source. Only what is not fixed may change under us."""

    def __init__(self, path, base, fixed):
        self.path = path
        self.base = base
        self.fixed = fixed
        self.version = kernel_version(path)
        # It has our files already, as they are or edited.
        self.ours = has_ours(path)

    def edits(self):
        """The patches in edits/. If one does not fit this kernel, its base has another of
        the same name, or what upstream changed there since, to come before all of them.
        One of files that this kernel lacks is left out."""
        upstream = self.base.path / "upstream.patch"
        patches = [upstream] if upstream.exists() and self.fits(upstream) else []
        for patch in sorted((REPO / "edits").glob("*.patch")):
            if not any((self.path / name).exists() for name in patched_files(patch)):
                continue
            other = self.base.path / patch.name
            patches.append(other if other.exists() and not self.fits(patch) else patch)
        return patches

    def fits(self, patch):
        return subprocess.run(["patch", "-p1", "-f", "-s", "--dry-run", "-r", "-", "-d",
                               self.path, "-i", patch], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False).returncode == 0


def patched_files(patch):
    """The files of the stock kernel that a patch changes"""
    return re.findall(r"^--- a/(\S+)", patch.read_text(encoding="utf-8"), re.MULTILINE)


def base_names(stock_only=False):
    """The bases that take our files; and those that do not."""
    names = sorted(conf.parent.name
                   for conf in (REPO / "bases").glob("*/base.conf"))
    return [name for name in names if stock_only or not Base(name).stock_only]


def version_number(text):
    return tuple(int(part) for part in text.split(".")[:2])


def kernel_version(path):
    """VERSION.PATCHLEVEL.SUBLEVEL as the tree's Makefile has them."""
    try:
        text = (path / "Makefile").read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path} cannot be read ({error.strerror}): give KSRC a "
                      "kernel source tree that you may read") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path}/Makefile is not a kernel Makefile") from error
    parts = re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", text,
                       re.MULTILINE)
    if len(parts) != 3:
        raise Failure(f"{path} is not a kernel source tree: its Makefile "
                      "has no version")
    return ".".join(parts)


def find(base_name, ksrc=None):
    """The source for BASE=, or the user's own tree for KSRC=."""
    if ksrc:
        return own_tree(Path(ksrc))
    base = Base(base_name or "v6.12")
    return Source(packaged(base), base, fixed=True)


def has_ours(path):
    """Whether the tree has this eventfs or a part of the series, which begin with tests"""
    file = path / "fs/tracefs/event_inode.c"
    return (path / "tools/testing/selftests/filesystems/eventfs/Makefile").exists() or \
        file.is_file() and b"eventfs_node_cache" in file.read_bytes()


def needs_stock(ksrc, what):
    """Ends what our own tree of the user's is of no use for."""
    if ksrc and has_ours(Path(ksrc).expanduser()):
        raise Failure(f"KSRC={ksrc} has this eventfs already, but {what} needs a stock tree", 2)


def usable(path):
    """The type of --ksrc"""
    own_tree(Path(path))
    return path


def own_tree(path):
    path = path.expanduser()
    if not path.is_dir():
        raise Failure(f"KSRC={path} is not a directory")
    path = path.resolve()
    version = kernel_version(path)
    if not (path / "fs/tracefs/event_inode.c").is_file():
        raise Failure(f"{path} has no fs/tracefs/event_inode.c: KSRC needs "
                      "a complete kernel source tree")
    bases = sorted((Base(name) for name in base_names()),
                   key=lambda base: base.first)
    fitting = [base for base in bases
               if base.first <= version_number(version)]
    if not fitting:
        first = ".".join(map(str, bases[0].first))
        raise Failure(f"{path} is Linux {version}, but KSRC must be {first} or newer")
    return Source(path, fitting[-1], fixed=False)


# What a build leaves in a tree and is not worth a copy; "make mrproper" in the
# copy removes the rest.
BUILT = re.compile(r"\.(o|a|ko|cmd|mod|symvers)$|^modules\.|^vmlinux(\.o)?$|^\.tmp_")


def tree_files(path, *under):
    """The files of a work tree: what git knows or would add, or all there is."""
    if (path / ".git").exists():
        out = run(["git", "-c", "safe.directory=*", "-C", path, "ls-files", "-z",
                   "--cached", "--others", "--exclude-standard", "--", *under],
                  f"listing {path}")
        names = sorted(set(filter(None, out.split("\0"))))
        return [name for name in names if os.path.lexists(path / name)]
    names = []
    for top in under or ("",):
        for folder, _, files in os.walk(path / top):
            names += [os.path.relpath(os.path.join(folder, name), path)
                      for name in files if not BUILT.search(name)]
    return sorted(names)


def packaged(base):
    """The unpacked source of the base's package. Once a day apt is asked whether there is
    a newer version; the time of a link to the tree tells when."""
    src = cache() / "src"
    link = src / f".used-{base.conf['package']}-{base.conf['version']}"
    if asked_today(link):
        return link.resolve()
    with lock(cache() / "locks/src.lock",
              "waiting for another run that fetches kernel source"):
        if asked_today(link):
            return link.resolve()
        for leftover in src.glob(".new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        tree = chosen(base, src)
        link.unlink(missing_ok=True)
        link.symlink_to(tree.name)
        return tree


def asked_today(link):
    return link.exists() and time.time() - link.lstat().st_mtime < DAY


def chosen(base, src):
    """The version that base.conf names, or another if that one cannot be had any more."""
    package, version = base.conf["package"], base.conf["version"]
    conf = f"bases/{base.name}/base.conf"
    tree = unpacked(package, version, src)
    if tree:
        say(f"looking for a newer {package}, once a day")
    try:
        options, newest = ask_apt(base)
    except Failure:
        if tree:
            return tree
        raise
    tree = tree or obtained(package, version, options, src)
    offer = offered(newest, options)
    if not tree:
        tree = obtained(newest, offer, options, src) or earlier(package, src, conf)
        say(f"apt has no {package} {version}: using {tree.name}; to stay with it, change {conf}")
    elif offer and subprocess.run(["dpkg", "--compare-versions", offer, "gt", version],
                                  check=False).returncode == 0:
        say(f"{newest} {offer} is there; to take it, change {conf}")
    return tree


def ask_apt(base):
    """The options by which apt reads the base's suites, and the newest package there: the
    base's own, or that of a newer kernel if the base is to be the newest."""
    package, suites = base.conf["package"], base.conf.get("suites", "").split()
    options = private_apt(cache() / f"apt-{base.name}", suites) if suites else []
    if suites or os.geteuid() == 0 and not offered(f"{package}={base.conf['version']}", []):
        # Suites that do not exist make apt fail although the others were read.
        subprocess.run(["apt-get", *options, "update"], stdin=subprocess.DEVNULL,
                       capture_output=True, check=False)
    if not base.conf.getboolean("newest", False):
        return options, package
    names = run(["apt-cache", *options, "pkgnames", "linux-source-"], "apt-cache")
    return options, max(re.findall(r"^linux-source-\d+\.\d+$", names, re.MULTILINE),
                        key=lambda name: version_number(name.split("-")[-1]), default=package)


def obtained(package, version, options, src):
    """That version of the package, installed or from apt; without a version, because apt
    offers none, any that is installed."""
    tarball = INSTALLED / f"{package}.tar.xz"
    if tarball.exists():
        installed = run(["dpkg-query", "-W", "-f", "${Version}", package],
                        f"version of {package}")
        if version in (None, installed):
            return unpack(tarball, package, installed, src,
                          f"apt-get install --reinstall {package}")
    if not version or not offered(f"{package}={version}", options):
        return None
    return unpacked(package, version, src) or download(package, version, options, src)


def private_apt(state, suites, kind="deb"):
    """apt pointed at other suites, the machine's own sources untouched. kind is deb for
    packages, deb-src for their source."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    signed = f"[signed-by={keyring}] " if os.path.exists(keyring) else ""
    write_file(state / "sources.list", "".join(
        f"{kind} {signed}{mirror()} {suite} main\n" for suite in suites).encode())
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::Lists={state}/lists",
            "-o", f"Dir::Cache={state}/cache",
            "-o", f"Dir::Etc::SourceList={state}/sources.list",
            "-o", "Dir::Etc::SourceParts=/dev/null",
            "-o", "APT::Get::List-Cleanup=false",
            "-o", "Acquire::Languages=none"]


def mirror():
    """The address of the machine's own mirror, from apt's configuration."""
    command = ["apt-get", "indextargets", "--format",
               "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    for attempt in range(2):
        targets = [line.split() for line in run(command, "apt-get").splitlines()]
        main = [target[0] for target in targets if target[-1] == "main"
                and "-" not in target[1]]
        if main:
            return main[0]
        if attempt == 0 and os.geteuid() == 0:
            subprocess.run(["apt-get", "update"], stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
    raise Failure("apt knows no Debian mirror; as root: apt-get update")


def release():
    """The name of the machine's release of Debian"""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")


def offered(package, options):
    """The version of the package that apt would download."""
    done = subprocess.run(
        ["apt-get", *options, "download", "--print-uris", package],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    match = re.match(r"'\S+' [^_\s]+_([^_\s]+)_", done.stdout)
    return match[1].replace("%3a", ":").replace("%7e", "~") \
        if match and done.returncode == 0 else None


def from_apt(wanted, options, scratch):
    """Downloads name=version to a directory, and returns the path of the package."""
    name = wanted.partition("=")[0]
    # apt's own user may not write here: as root that is only a warning.
    run(["apt-get", *options, "-o", "APT::Sandbox::User=root", "download", wanted],
        f"downloading {name} failed (run again to retry)", cwd=scratch)
    debs = glob.glob(f"{scratch}/*.deb")
    if not debs:
        raise Failure(f"downloading {name} left no file: run again")
    return debs[0]


def download(package, version, options, src):
    say(f"downloading {package} {version}")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=src_dir(src)) as scratch:
        run(["dpkg-deb", "-x", from_apt(f"{package}={version}", options, scratch),
             f"{scratch}/x"],
            f"the download of {package} is damaged, run again")
        tarballs = glob.glob(f"{scratch}/x/usr/src/*.tar.xz")
        if not tarballs:
            raise Failure(f"{package} {version} contains no source tarball")
        tree = unpack(Path(tarballs[0]), package, version, src, "run again")
    return tree


def distribution_config(source):
    """The text of Debian's own configuration for cloud machines"""
    package = distribution_package(source, "cloud-config")
    with tempfile.TemporaryDirectory(prefix="eventfs-config-") as scratch:
        run(["dpkg-deb", "-x", package, scratch], f"{package.name} is damaged: remove it")
        found = glob.glob(f"{scratch}/usr/src/*/config.amd64_none_cloud-amd64.xz")
        if not found:
            raise Failure(f"{package.name} has no configuration for cloud machines")
        return lzma.decompress(Path(found[0]).read_bytes()).decode()


def distribution_image(source):
    """Debian's own kernel of that configuration, a package"""
    return distribution_package(source, "cloud-image")


def distribution_package(source, key):
    """Of the same version as the source, if that is a package too"""
    name = source.base.conf.get(key)
    if not name:
        raise Failure(f"CONFIG=cloud: Debian's own is not known for BASE={source.base.name}", 2)
    version = re.match(r"linux-source-[\d.]+-(.*)-\w+", source.path.name)
    return fetched(f"{name}={version[1]}" if source.fixed and version else name)


def fetched(wanted):
    """A package of Debian's, or what it depends on if it is only a name for that"""
    kept = cache() / "src" / f".{wanted}.deb"
    if not kept.exists():
        say(f"downloading {wanted}")
        shown = run(["apt-cache", "show", "--no-all-versions", wanted],
                    f"{wanted} is not there (apt-get update)")
        if name := re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)$", shown, re.MULTILINE):
            wanted = "=".join(name.groups())
        with tempfile.TemporaryDirectory(prefix=".new-", dir=src_dir(kept.parent)) as scratch:
            os.replace(from_apt(wanted, [], scratch), kept)
    return kept


def src_dir(src):
    src.mkdir(parents=True, exist_ok=True)
    return src


def unpack(tarball, package, version, src, mend):
    try:
        with open(tarball, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise Failure(f"{tarball}: {error.strerror}") from error
    tree = src / f"{package}-{version}-{digest}"
    if tree.exists():
        return tree
    say(f"unpacking {package} {version}")
    with new_directory(tree) as scratch:
        run(["tar", "-xf", tarball, "--strip-components=1", "-C", scratch],
            f"{tarball.name} cannot be unpacked ({mend})")
        kernel_version(scratch)
    return tree


def unpacked(package, version, src):
    return next(src.glob(f"{package}-{version}-*"), None)


def earlier(package, src, conf):
    """What an earlier run unpacked, when no package can be reached now."""
    trees = [tree for tree in src.glob(f"{package}-*") if tree.is_dir()]
    if not trees:
        raise Failure(f"apt offers no {package}: try apt-get update as root, wait until the "
                      f"mirror is reachable, or change {conf}")
    return max(trees, key=lambda tree: tree.stat().st_mtime)
