# SPDX-License-Identifier: GPL-2.0-only
"""What all tools share: paths, errors, locks, programs, progress."""

import argparse
import contextlib
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("EVENTFS_BUILD") or REPO / "build").absolute()
LOGS = BUILD / "logs"

# Program -> Debian package. A name with a slash is a file that must exist.
BUILD_PROGRAMS = {
    "gcc": "gcc", "/usr/include/stdio.h": "libc6-dev", "make": "make",
    "flex": "flex", "bison": "bison", "bc": "bc", "perl": "perl",
    "patch": "patch", "rsync": "rsync", "xz": "xz-utils", "git": "git",
    "ccache": "ccache", "/usr/include/libelf.h": "libelf-dev", "depmod": "kmod",
}
GUEST_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86"}
# What upstream's tests skip themselves without.
TEST_PROGRAMS = {"ping": "iputils-ping", "ip": "iproute2"}
POLICY_PROGRAMS = {"checkpolicy": "checkpolicy"}
PLOT_PROGRAMS = {"gnuplot": "gnuplot-nox"}
# What the Makefile passes in the environment: NAME=value is --name=value ...
VARIABLES = ("CMD", "KERNEL", "CONFIG", "BASE", "KSRC", "SMP", "MEM", "ACCEL", "TIMEOUT",
             "ONLY", "CASE", "PROFILE", "MINUTES", "SECONDS", "SEED", "INPUT", "RESULTS",
             "TREE", "SIGNOFF", "ASSISTED_BY", "REVIEWER", "REROLL")
# ... and NAME=1 is --name.
FLAGS = ("DEBUG", "ICOUNT", "COMPILE", "FORCE")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    """Ends the tool with this one line and a status."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Takes the Makefile's variables like the arguments that they stand for, which come
    before those of the command line. What is wrong with either is one line."""

    def __init__(self, description):
        super().__init__(description=description, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def parse_args(self, args=None, namespace=None):
        words = variables()
        found, unknown = self.parse_known_args(
            [*words, *(sys.argv[1:] if args is None else args)], namespace)
        for word in unknown:
            self.error(f"{self.prog} does not use {words[word]}: leave it out"
                       if word in words else f"unknown argument {word}")
        cache()
        return found

    def error(self, message):
        raise Failure(f"{message} (see {self.prog} --help)", 2)


def variables():
    """The arguments that those in the environment stand for -> NAME=value"""
    words = {f"--{name.lower().replace('_', '-')}={os.environ[name]}": f"{name}={os.environ[name]}"
             for name in VARIABLES if os.environ.get(name)}
    for name in FLAGS:
        value = os.environ.get(name) or "0"
        if value not in ("0", "1"):
            raise Failure(f"{name}={value}: it must be 1 or 0", 2)
        if value == "1":
            words[f"--{name.lower()}"] = f"{name}=1"
    return words


def one_of(variable, names):
    """The type of an argument that is one of the names"""
    def checked(value):
        if value not in names:
            raise Failure(f"{variable}={value}: it must be one of {', '.join(names)}", 2)
        return value
    return checked


def matching(variable, pattern, what):
    """The type of an argument that looks so"""
    def checked(value):
        if not re.fullmatch(pattern, value):
            raise Failure(f"{variable}={value} is not {what}", 2)
        return value
    return checked


def some_of(names, only, what):
    """Those that ONLY names, with commas between them; all of them without it."""
    found = list(dict.fromkeys(only.split(","))) if only else list(names)
    for name in found:
        if name not in names:
            raise Failure(f"ONLY={only}: there is no {what} {name}; it must be one of "
                          + ", ".join(names), 2)
    return found


def cache():
    """The directory of everything that may be thrown away and made again."""
    default = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(os.environ.get("EVENTFS_CACHE") or f"{default}/eventfs").absolute()
    if re.search(r"[\s:]", str(path)):
        raise Failure(f"{path}: kernels cannot be built in a path with a space or a colon: "
                      "set EVENTFS_CACHE to another directory")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"cannot create {path} ({error.strerror}): "
                      "set EVENTFS_CACHE to a directory you can write") from error
    return path


def clean_env():
    """The environment of a kernel build: none of our own make's variables,
    which the kernel's make would take for its own."""
    keep = ("PATH", "HOME", "TMPDIR", "TERM", "CCACHE_DIR", "CCACHE_MAXSIZE")
    env = {name: os.environ[name] for name in keep if name in os.environ}
    env["LC_ALL"] = "C"
    return env


def run(command, failure, **kwargs):
    """Runs a helper program; what it says is shown only when it fails."""
    try:
        done = subprocess.run([str(word) for word in command], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", **kwargs)
    except OSError as error:
        raise Failure(f"{failure}: {command[0]}: {error.strerror}") from error
    if done.returncode:
        raise Failure(f"{failure}: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def compile_program(path, to, *flags):
    """A C program of this repository, for the guest"""
    run(["gcc", "-O2", "-Wall", "-Werror", *flags, "-o", to, path],
        f"building {path.relative_to(REPO)}", env=clean_env())


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(heads, rows):
    """Lines of text: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = ["  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                       for i, (text, width) in enumerate(zip(row, widths))).rstrip()
             for row in (heads, ["-" * width for width in widths], *rows)]
    return "\n".join(lines) + "\n\n"


@contextlib.contextmanager
def uninterrupted():
    """What would interrupt the block does so at its end."""
    came = []
    before = {number: signal.signal(number, lambda *_: came.append(True))
              for number in INTERRUPTS if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def started(command, **kwargs):
    """A program whose output is read meanwhile. If that is interrupted it ends, with all
    that it has started."""
    with contextlib.ExitStack() as stack:
        process = None
        try:
            with uninterrupted():
                process = stack.enter_context(subprocess.Popen(
                    [str(word) for word in command], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    errors="replace", start_new_session=True, **kwargs))
            yield process
        except BaseException:
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                # It waits for its own children only; all of them hold this pipe.
                process.stdout.read()
            raise


def identity():
    """(name, address) of the user, as git has them for this repository; or empty."""
    answers = []
    for key in ("user.name", "user.email"):
        done = subprocess.run(["git", "-C", str(REPO), "config", key], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        answers.append(done.stdout.strip())
    return tuple(answers) if all(answers) else ("", "")


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def missing_packages(programs):
    def there(name):
        return Path(name).exists() if "/" in name else shutil.which(name)
    return sorted({package for name, package in programs.items()
                   if not there(name)})


def need(programs):
    """Installs the packages of missing programs, or names the command."""
    packages = missing_packages(programs)
    if not packages:
        return
    command = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if os.geteuid() != 0:
        raise Failure(f"programs are missing; as root, run: {command}")
    if not shutil.which("apt-get"):
        raise Failure("programs are missing, and there is no apt-get to install these packages: "
                      + " ".join(packages))
    say(f"installing {' '.join(packages)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
             "stderr": subprocess.DEVNULL, "env": env, "check": False}
    # Another program may be installing packages now. If a package is not found, the
    # package lists may be empty or old, so update them and try again.
    words = [*command.split(), "-o", "DPkg::Lock::Timeout=600"]
    if subprocess.run(words, **quiet).returncode:
        subprocess.run(["apt-get", "update"], **quiet)
        run(words, f"cannot install ({command})", env=env)
    packages = missing_packages(programs)
    if packages:
        raise Failure(f"installed, but the programs are still not found: {' '.join(packages)}")


@contextlib.contextmanager
def lock(path, waiting):
    """Holds an exclusive lock on path; says why it waits if it must."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


@contextlib.contextmanager
def new_directory(final):
    """A directory that gets its name only when the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    scratch.chmod(0o755)
    try:
        yield scratch
        shutil.rmtree(final, ignore_errors=True)
        scratch.rename(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_file(path, content, mode=0o644):
    """Writes by rename: never through a hard link, never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.chmod(mode)
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)


def say(line):
    """A line for the user, apart from the results on standard output."""
    progress_line.clear()
    # Another process may have one as well.
    start = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{start}{line}", file=sys.stderr, flush=True)


class ProgressLine:
    """One changing line on a terminal; a line every half minute in a log."""

    interval = 30

    def __init__(self):
        self.text = None
        self.shown = False
        self.started = self.last = time.monotonic()

    def start(self):
        """A long step begins: its time is shown with what it does."""
        self.started = self.last = time.monotonic()

    def show(self, text):
        self.text = text
        now = time.monotonic()
        line = f"{text} ({minutes(now - self.started)})"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\033[K{line[:width]}")
            sys.stderr.flush()
            self.shown = True
        elif now - self.last >= self.interval:
            print(line, file=sys.stderr, flush=True)
            self.last = now

    def tick(self):
        """Shows the same again, with the time that has passed."""
        if self.text:
            self.show(self.text)

    def clear(self):
        self.text = None
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self.shown = False


progress_line = ProgressLine()


def minutes(seconds):
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def main(function):
    """Runs a tool's main: failures are one line, never a traceback."""
    for number in INTERRUPTS:
        # Under nohup one of them is ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        status = function()
        sys.stdout.flush()
    except Failure as failure:
        say(f"error: {failure}")
        status = failure.status
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say(f"error: the disk of {error.filename or cache()} is full: make "
                "room, or set EVENTFS_CACHE to a directory on another disk")
        else:
            say(f"error: {error.filename or 'system call'}: {error.strerror}")
        status = 1
    finally:
        progress_line.clear()
    sys.exit(status)
