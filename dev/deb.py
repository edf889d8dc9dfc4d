#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build a Debian package of a kernel with our files in build/deb, by the kernel's own
bindeb-pkg: a small one without modules, or with --config=cloud one that is configured as
Debian's own for cloud machines, which takes an hour."""

import re
import shutil
import sys

import kernel as kernel_build
from common import (BUILD, Failure, Parser, cache, identity, main, need, new_directory,
                    one_of, run)

PROGRAMS = {"dpkg-buildpackage": "dpkg-dev", "dh_testdir": "debhelper", "cpio": "cpio"}


def environment(kernel):
    name, email = identity()
    return {**kernel.build_env(), "KDEB_CHANGELOG_DIST": "unstable",
            "KDEB_PKGVERSION": f"{kernel.source.version}-1",
            "DEBFULLNAME": name or "eventfs", "DEBEMAIL": email or "eventfs@localhost",
            # Neither is of use to try eventfs, and they are large.
            "DEB_BUILD_PROFILES": "pkg.linux-upstream.nokernelheaders "
                                  "pkg.linux-upstream.nokerneldbg",
            # What is built against is not of this kernel's making.
            "DPKG_FLAGS": "-d"}


def package(kernel):
    """The package of a kernel, in a directory of the cache; built if needed."""
    need(PROGRAMS)
    to = cache() / "packages" / kernel.image_key()
    if not to.exists():
        env = environment(kernel)
        with kernel.locked_tree() as held, new_directory(to) as scratch:
            kernel.prepare()
            kernel.configure(env)
            for old in kernel.tree.glob("*.deb"):
                old.unlink()
            kernel_build.compile_kernel(kernel, env, held, "bindeb-pkg")
            packages = list(kernel.tree.glob("linux-image-*.deb"))
            if not packages:
                raise Failure(f"bindeb-pkg made no package in {kernel.tree}")
            shutil.copy(packages[0], scratch)
    return next(to.glob("*.deb"))


def would_build(kernel):
    """All of it but the one step that builds and packs: the name of the package"""
    need(PROGRAMS)
    env = environment(kernel)
    with kernel.locked_tree():
        kernel.prepare()
        kernel.configure(env)
        run(kernel.make("bindeb-pkg"), "bindeb-pkg",
            env={**env, "DPKG_FLAGS": f"{env['DPKG_FLAGS']} --target=build-indep"})
        control = (kernel.out / "debian/control").read_text(encoding="utf-8")
    return re.search(r"^Package: (linux-image\S*)", control, re.MULTILINE)[1]


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    parser.add_argument("--config", metavar="NAME", default="deb",
                        type=one_of("CONFIG", ("deb", "cloud")),
                        help="deb: small, without modules (default), or cloud: as Debian's own "
                        "for cloud machines")
    parser.add_argument("-n", "--dry-run", action="store_true",
                        help="configure the kernel, but do not build it")
    args = parser.parse_args()
    kernel = kernel_build.Kernel("eventfs", args.config, args.base, args.ksrc)
    if args.dry_run:
        print("would build", would_build(kernel))
        return 0
    to = BUILD / "deb"
    to.mkdir(parents=True, exist_ok=True)
    print(shutil.copy(package(kernel), to))
    return 0


if __name__ == "__main__":
    sys.exit(main(command_line))
