"""Many BMCs of OpenIPMI's ipmi_sim on loopback, a process of 0.7 MB each, and addresses that never answer."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.processes import cost
from tests.needs import find

USERNAME: Final = "admin"
PASSWORD: Final = "s3cret"
SOURCE: Final = Path(__file__).with_name("ipmi_chassis.c")
SCRIPT: Final = r"""#!/bin/sh
case "$2 $3 $4" in
"get power "*) [ -e "$1" ] && echo power:1 || echo power:0 ;;
"set power 1") : > "$1" ;;
"set power 0") rm -f "$1" ;;
esac
"""
EMULATOR: Final = (
    "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
    "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n"
)
LAN: Final = """name "host"
set_working_mc 0x20
user 2 true "{username}" "{password}" admin 10 none md2 md5 straight
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_admin none md2 md5 straight
  guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{chassis} {file}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The BMCs' ports, and where the power of each is stored."""

    ports: tuple[int, ...]
    processes: tuple["subprocess.Popen[bytes]", ...]
    files: tuple[Path, ...]

    @property
    def processor_seconds(self) -> float:
        """Return the processor time so far, of all of them and of the programs that they started."""
        costs = [cost(process.pid) for process in self.processes]
        return sum(one.own + one.children for one in costs)

    def on(self) -> int:
        """How many are switched on."""
        return sum(file.exists() for file in self.files)


@contextlib.contextmanager
def fleet(folder: Path, count: int) -> Iterator[Fleet]:
    """Yield the BMCs, all switched on; kill them at the end."""
    chassis = folder / "chassis"
    if not _compile(chassis):
        chassis.write_text(SCRIPT)
        chassis.chmod(0o755)
    ports = free_ports(count)
    files = tuple(folder / f"{port}.on" for port in ports)
    with contextlib.ExitStack() as stack:
        processes = []
        for port, file in zip(ports, files, strict=True):
            file.touch()
            process = _start(folder / str(port), port, chassis, file)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        yield Fleet(ports=ports, processes=tuple(processes), files=files)


@contextlib.contextmanager
def silent(count: int) -> Iterator[tuple[int, ...]]:
    """Yield ports that receive everything and never answer."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(_bound()).getsockname()[1] for _ in range(count))


def free_ports(count: int) -> tuple[int, ...]:
    """Return different UDP ports that were free a moment ago."""
    with silent(count) as ports:
        return ports


def _bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def _start(folder: Path, port: int, chassis: Path, file: Path) -> "subprocess.Popen[bytes]":
    (folder / "state").mkdir(parents=True)
    lan = LAN.format(username=USERNAME, password=PASSWORD, port=port, chassis=chassis, file=file)
    (folder / "lan.conf").write_text(lan)
    (folder / "host.emu").write_text(EMULATOR)
    program = find("ipmi_sim")
    assert program is not None
    return subprocess.Popen(
        [program, "-c", "lan.conf", "-f", "host.emu", "-s", "state", "-n"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _compile(target: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    tried = subprocess.run([compiler, "-O2", "-w", "-o", str(target), str(SOURCE)], capture_output=True, check=False)
    return tried.returncode == 0
