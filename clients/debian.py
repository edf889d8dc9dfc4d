#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Boot Debian from a disk, with systemd, once with its own kernel for cloud machines and
once with the package of "make deb CONFIG=cloud". Run Debian's tracing programs on both, and
compare their answers, the state of the system and the log of the kernel.

The table is in build/clients; --record writes it to clients/."""

import functools
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "dev"))

import clients
import deb
import guest as guests
import kernel as kernel_build
import source as kernel_source
import test
from common import BUILD, Failure, Parser, cache, main, need, new_directory, run, say, write_file

PROGRAMS = {"debootstrap": "debootstrap", "mke2fs": "e2fsprogs"}
# These compile for a kernel, and need files of it that are not on the disk.
LEFT_OUT = ("systemtap", "bcc", "lttng")
SYSTEM = ("systemd-sysv", "udev", "dbus", "initramfs-tools", "zstd", "procps", "libtracefs1")
DISK_SIZE = "8G"
# Started when the system is up. The command comes on a second disk, its output goes to
# the ports; a port may be open once only, but a command may open /dev/stdout.
SERVICE = """[Unit]
Description=Run a command of the host
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/run-command
[Install]
WantedBy=multi-user.target
"""
SCRIPT = """#!/bin/bash
parent=${eventfs_run%/*}
mkdir -p "$parent"
mount -o ro /dev/vdb "$parent"
# Until the last module for a device is loaded
systemctl is-system-running --wait >/dev/null
udevadm settle
bash "$eventfs_run/command" </dev/null > >(cat >/dev/virtio-ports/out) 2> >(cat >/dev/virtio-ports/err)
echo "exit $?" >/tmp/status
wait
cat /tmp/status >/dev/virtio-ports/status
systemctl poweroff
"""


class Installed:
    """A kernel on the disk, with what clients.Clients wants to know of one"""

    config = "cloud"
    debug = False

    def __init__(self, which, disk):
        self.disk = disk
        self.which = which
        self.name = f"debian-{which}"

    def image(self):
        return self.disk / self.which

    def image_key(self):
        return f"{self.disk.name}-{self.which}"

    def objects(self):
        return "/nonexistent"


class Guest(guests.Guest):
    """One boot from the disk"""

    def __init__(self, kernel, name, machine):
        super().__init__(kernel.image(), name, machine, mem="2G")
        self.disk = kernel.disk / "disk"

    def root(self, rundir):
        command = BUILD / f"{self.name}.img"
        command.unlink(missing_ok=True)
        run(["mke2fs", "-q", "-t", "ext2", "-d", rundir.parent, command, "256M"],
            "making the disk with the command")
        disks = ((self.disk, "snapshot=on"), (command, "readonly=on"))
        return (["root=/dev/vda", "rw", f"systemd.setenv=eventfs_run={rundir}"],
                ["-initrd", str(self.image / "initrd"), *(
                    word for path, how in disks
                    for word in ("-drive", f"file={path},format=raw,if=virtio,{how}"))])


class Debian(clients.Clients):
    """The suites of "make debian", of which the first installs both kernels."""

    made_by = "make debian"

    def __init__(self, args, base):
        super().__init__(args, base)
        self.name = "debian"
        self.lacking = dict.fromkeys(LEFT_OUT)

    def plan(self):
        return {"install": self.installs, "stock": self.stock, "eventfs": self.eventfs}

    def install(self):
        package, program = clients.PACKAGES["libtracefs"]
        need({**PROGRAMS, **clients.BUILD_PROGRAMS, program: package})
        self.system = system_of(sorted({*SYSTEM, *(
            package for client, (package, _) in clients.PACKAGES.items()
            if client not in LEFT_OUT)}))

    def installs(self, report):
        for which in ("stock", "eventfs"):
            image = self.kernel(self.args.config, which).image()
            report.check(f"{which} kernel", (image / "bzImage").exists(), f"none in {image}")

    @functools.cache
    def packages(self):
        """Kernel -> its package"""
        kernel = kernel_build.Kernel("eventfs", "cloud", self.base)
        return {"stock": kernel_source.distribution_image(kernel.source),
                "eventfs": deb.package(kernel)}

    @functools.cache
    def kernel(self, config, which="eventfs"):
        return Installed(which, disk_of(self.system, self.packages()))

    def guest(self, name, kernel, machine=None, kmemleak=True, **kwargs):
        return Guest(kernel, f"{name}-{kernel.name}", machine or self.single)


def system_of(packages):
    """A directory with Debian as it is installed, with these packages"""
    release = kernel_source.release()
    key = kernel_build.digest(release, *packages)
    to = cache() / "debian" / f"{release}-{key[:12]}"
    if not to.exists():
        say(f"installing Debian {release} with {len(packages)} packages")
        with new_directory(to) as scratch:
            run(["debootstrap", "--variant=minbase", f"--include={','.join(packages)}",
                 release, scratch / "root", kernel_source.mirror()], "debootstrap")
    return to / "root"


def disk_of(system, packages):
    """A directory with a disk, and with what QEMU boots of each kernel on it"""
    key = kernel_build.digest(SERVICE, SCRIPT, str(system), *map(str, packages.values()))
    to = cache() / "debian" / f"disk-{key[:12]}"
    if to.exists():
        return to
    say("installing the kernels on a disk")
    with new_directory(to) as scratch:
        root = scratch / "root"
        run(["cp", "-a", system, root], "copying the system")
        write_file(root / "etc/systemd/system/run-command.service", SERVICE.encode())
        write_file(root / "usr/local/sbin/run-command", SCRIPT.encode(), 0o755)
        run(["chroot", root, "systemctl", "enable", "run-command"], "systemctl enable")
        # This console is a port as well.
        run(["chroot", root, "systemctl", "mask", "serial-getty@hvc0"], "systemctl mask")
        write_file(root / "etc/fstab", b"/dev/vda / ext4 defaults 0 1\n")
        for which, path in packages.items():
            shutil.copy(path, root / "tmp/kernel.deb")
            before = set(root.glob("boot/vmlinuz-*"))
            run(["chroot", root, "dpkg", "-i", "/tmp/kernel.deb"], f"installing {path.name}")
            (kernel,) = set(root.glob("boot/vmlinuz-*")) - before
            (scratch / which).mkdir()
            shutil.copy(kernel, scratch / which / "bzImage")
            shutil.copy(str(kernel).replace("vmlinuz", "initrd.img"), scratch / which / "initrd")
        (root / "tmp/kernel.deb").unlink()
        run(["mke2fs", "-q", "-t", "ext4", "-d", root, scratch / "disk", DISK_SIZE],
            "making the disk")
        shutil.rmtree(root)
    return to


def command_line():
    parser = Parser(__doc__)
    parser.add_argument("--base", metavar="NAME", default="v6.12",
                        help="kernel version (default %(default)s, for which Debian has its own)")
    test.add_arguments(parser)
    parser.add_argument("--case", metavar="GLOBS", help="run only these, such as 'systemd.*'")
    parser.add_argument("--record", action="store_true", help="write the table to clients/")
    args = parser.parse_args()
    args.config, args.ksrc = "cloud", None
    clients.check_case(args.case)
    args.case = args.case or ",".join(f"{name}.*" for name in clients.PACKAGES
                                      if name not in LEFT_OUT)
    if not kernel_source.Base(args.base).conf.get("cloud-image"):
        raise Failure(f"make debian: Debian's own kernel is not known for BASE={args.base}", 2)
    if os.geteuid() != 0:
        raise Failure("make debian installs a system: run it as root")
    return Debian(args, args.base).run()


if __name__ == "__main__":
    sys.exit(main(command_line))
