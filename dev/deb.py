#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Build a Debian package of a small kernel with our files in build/deb, by the kernel's
own bindeb-pkg."""

import re
import shutil
import sys

import kernel as kernel_build
from common import BUILD, Failure, Parser, identity, main, need, run

PROGRAMS = {"dpkg-buildpackage": "dpkg-dev", "dh_testdir": "debhelper", "cpio": "cpio"}


def deb(args):
    need(PROGRAMS)
    kernel = kernel_build.Kernel("eventfs", "deb", args.base, args.ksrc)
    name, email = identity()
    env = {**kernel.build_env(), "KDEB_CHANGELOG_DIST": "unstable",
           "KDEB_PKGVERSION": f"{kernel.source.version}-1",
           "DEBFULLNAME": name or "eventfs", "DEBEMAIL": email or "eventfs@localhost",
           # What is built against is not of this kernel's making.
           "DEB_BUILD_PROFILES": "pkg.linux-upstream.nokernelheaders",
           "DPKG_FLAGS": "-d"}
    with kernel.locked_tree() as held:
        kernel.prepare()
        kernel.out.mkdir(exist_ok=True)
        kernel.configure(env)
        if args.dry_run:
            # All of it but the one step that builds and packs.
            run(kernel.make("bindeb-pkg"), "bindeb-pkg",
                env={**env, "DPKG_FLAGS": f"{env['DPKG_FLAGS']} --target=build-indep"})
            control = (kernel.out / "debian/control").read_text(encoding="utf-8")
            print("would build", re.search(r"^Package: (linux-image\S*)", control,
                                           re.MULTILINE)[1])
            return 0
        for old in kernel.tree.glob("*.deb"):
            old.unlink()
        kernel_build.compile_kernel(kernel, env, held, "bindeb-pkg")
        packages = [path for path in kernel.tree.glob("linux-image-*.deb")
                    if "-dbg" not in path.name]
        if not packages:
            raise Failure(f"bindeb-pkg made no package in {kernel.tree}")
        to = BUILD / "deb"
        to.mkdir(parents=True, exist_ok=True)
        for path in packages:
            shutil.copy(path, to)
            print(to / path.name)
    return 0


def command_line():
    parser = Parser(__doc__)
    kernel_build.add_arguments(parser, choose=False)
    parser.add_argument("-n", "--dry-run", action="store_true",
                        help="configure the kernel, but do not build it")
    return deb(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main(command_line))
