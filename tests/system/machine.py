"""A machine of its own for a test: a real systemd as PID 1 over a copy-on-write view of this machine's root.

The files of the machine are this machine's, so it has Debian's packages as they are installed here; what the test
changes is lost at the end. It has its own network (loopback only), processes, users and journal. The program under test
is the tested tree, mounted read-only, with the interpreter and the packages of the tests.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

BOOT_SECONDS: Final = 60.0
SETTLED: Final = {"running", "degraded"}
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHARED: Final = "/opt/under-test"
TARGET: Final = """\
[Unit]
Description=Everything that a test needs at boot
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""
MASKED: Final = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "systemd-logind.service",
    "systemd-sysctl.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
)
"""Units that need hardware, a network or a clock of their own."""
MOUNT: Final = """\
set -e
mount -t tmpfs -o size=2G tmpfs "$1"; cd "$1"; mkdir up work root
mount -t overlay -o lowerdir=/,upperdir=up,workdir=work overlay root
mount -t proc proc root/proc; mount --rbind /sys root/sys; mount --bind /dev root/dev
shift
while [ $# -gt 0 ]; do mkdir -p "root$2"; mount --bind "$1" "root$2"; mount -o remount,bind,ro "root$2"; shift 2; done
echo made; exec sleep infinity
"""
BOOT: Final = """\
set -e
cd "$1"; mount --make-rprivate /
umount -l root/sys
mount -t proc proc root/proc; mount -t sysfs sysfs root/sys
mount -t tmpfs tmpfs root/run; mount -t tmpfs tmpfs root/tmp
mount -t cgroup2 none root/sys/fs/cgroup; hostname "$2"; ip link set lo up
cd root; mkdir -p oldroot; pivot_root . oldroot; cd /; umount -l /oldroot
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target \
    --log-target=console --show-status=no
"""


class Machine:
    """A machine that is made, then booted. Every command runs as root and fails the test if its status is not 0."""

    def __init__(self, folder: Path, maker: "subprocess.Popen[str]") -> None:
        self._folder, self._maker = folder, maker
        self._booted: subprocess.Popen[bytes] | None = None
        self._first = 0

    @property
    def log(self) -> str:
        """Return what systemd itself printed."""
        return (self._folder / "console").read_text(errors="replace")

    def prepare(self, script: str) -> str:
        """Run a shell script before the boot; return its output."""
        root = self._folder / "machine" / "root"
        enter = ["nsenter", "-m", "-t", str(self._maker.pid), "chroot", str(root)]
        return _done(enter, script, is_checked=True).stdout

    def boot(self, name: str = "machine") -> None:
        """Start systemd, and wait until it has started what `test.target` wants."""
        cgroup = _cgroup(self._folder)
        enter = ["nsenter", "-m", "-t", str(self._maker.pid)]
        enter += ["unshare", "-m", "-p", "-u", "-i", "-n", "-C", "-f", "--kill-child"]
        enter += ["bash", "-c", BOOT, "boot", str(self._folder / "machine"), name]
        with (self._folder / "console").open("wb") as console:
            self._booted = subprocess.Popen(
                ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(cgroup), *enter],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        end = time.monotonic() + BOOT_SECONDS
        while self._state() not in SETTLED:
            assert self._booted.poll() is None, f"systemd ended with {self._booted.returncode}:\n{self.log}"
            assert time.monotonic() < end, f"systemd has not started:\n{self.log}"
            time.sleep(0.05)

    def run(self, script: str, *, user: str = "root") -> str:
        """Run a shell script in the booted machine; return what it printed."""
        return self.tried(script, user=user, is_checked=True).stdout

    def tried(self, script: str, *, user: str = "root", is_checked: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a shell script in the booted machine; return how it ended."""
        if user != "root":
            script = f"exec runuser -u {shlex.quote(user)} -- bash -ec {shlex.quote(script)}"
        return _done(self._inside(), script, is_checked=is_checked)

    def started(self, command: list[str], **popen: object) -> "subprocess.Popen[str]":
        """Start a program of this machine in the other one's network; the caller ends it."""
        enter = ["nsenter", "-n", "-t", str(self._pid())]
        return subprocess.Popen([*enter, *command], text=True, **popen)  # type: ignore[call-overload,no-any-return]

    def path(self, inside: str) -> Path:
        """Return where a file of the booted machine is seen from here."""
        return Path("/proc") / str(self._pid()) / "root" / inside.lstrip("/")

    def end(self) -> None:
        """End systemd and all below it, at once."""
        for process in (self._booted, self._maker):
            if process is not None:
                process.kill()
                process.wait()
        if self._maker.stdout is not None:
            self._maker.stdout.close()
        if self._booted is not None:
            _remove_cgroup(self._folder)

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self._pid()), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w"]

    def _pid(self) -> int:
        """Return the process id of the machine's PID 1, as this machine sees it: the only child of `unshare`."""
        if self._first == 0 and self._booted is not None:
            children = Path(f"/proc/{self._booted.pid}/task/{self._booted.pid}/children").read_text().split()
            self._first = int(children[0]) if children else 0
        return self._first

    def _state(self) -> str:
        if not self._pid() or b"systemd" not in Path(f"/proc/{self._pid()}/cmdline").read_bytes():
            return ""
        return self.tried("systemctl is-system-running || true").stdout.strip()


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Make a machine, not booted yet; end it after the block. `folder` must be empty; it holds the machine's files."""
    mounted = folder / "machine"
    mounted.mkdir()
    (folder / "console").touch()
    shared = [str(ROOT), f"{SHARED}/tree", sys.base_prefix, f"{SHARED}/python"]
    shared += [sysconfig.get_path("purelib"), f"{SHARED}/packages"]
    maker = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "bash", "-c", MOUNT, "make", str(mounted), *shared],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    made = Machine(folder, maker)
    try:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "made\n", "no copy-on-write view of the root could be mounted"
        masks = "; ".join(f"ln -sf /dev/null /etc/systemd/system/{unit}" for unit in MASKED)
        made.prepare(f"cat > /etc/systemd/system/test.target <<'END'\n{TARGET}END\n{masks}")
        yield made
    finally:
        made.end()


def program(name: str, module: str) -> str:
    """Return the script that installs a program of the tested tree as /usr/bin/NAME."""
    python = f"{SHARED}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    text = (
        f"#!/bin/sh\nexport LD_LIBRARY_PATH={SHARED}/python/lib PYTHONPATH={SHARED}/tree:{SHARED}/packages\n"
        f'exec {python} -P -m {module} "$@"\n'
    )
    return f"printf %s {shlex.quote(text)} > /usr/bin/{name}; chmod 755 /usr/bin/{name}"


def _done(enter: list[str], script: str, *, is_checked: bool) -> "subprocess.CompletedProcess[str]":
    command = [*enter, "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER="]
    done = subprocess.run(
        [*command, "bash", "-ec", script],
        capture_output=True,
        text=True,
        timeout=BOOT_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    assert not is_checked or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}status {done.returncode}"
    return done


def _cgroup(folder: Path) -> Path:
    """Make a cgroup for the machine, in a mount of version 2 of its own: this machine may use version 1."""
    mounted = folder / "cgroup"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", str(mounted)], check=True)
    made = mounted / f"fenced-test-{os.getpid()}-{time.monotonic_ns()}"
    made.mkdir()
    return made


def _remove_cgroup(folder: Path) -> None:
    """Remove the cgroup as soon as its last process is gone, then the mount."""
    mounted = folder / "cgroup"
    end = time.monotonic() + BOOT_SECONDS
    for made in mounted.glob(f"fenced-test-{os.getpid()}-*"):
        for each in sorted([made, *(path for path in made.rglob("*") if path.is_dir())], reverse=True):
            while time.monotonic() < end:
                with suppress(OSError):
                    each.rmdir()
                    break
                time.sleep(0.02)
    subprocess.run(["umount", "-l", str(mounted)], check=False)
    mounted.rmdir()
