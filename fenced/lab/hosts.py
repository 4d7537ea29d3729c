"""The hosts of the lab: each is a virtual machine that runs while it has power, with a new boot id after every start.

Knows the ground and the command of a host's first process, nothing of outlets. When `cut` returns, the kill signal was
sent; a new run starts only once nothing of the earlier one is left. A host that shuts itself down reports it, so that
its chassis is switched off.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.lab import machine
from fenced.lab.errors import LabError
from fenced.lab.ground import Ground, Incarnation, dying_with_us

HOSTS_MAX: Final = 20
ORACLE_READ_BYTES: Final = 8 * 1024 * 1024

ReporterArgv = Callable[[str, str], Sequence[str]]
"""(host, boot id) -> the command that reports the host's health."""

Halted = Callable[[str], None]
"""The host of that name has shut itself down, and its chassis is to be switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFiles:
    """The files that one host writes: its oracle, its console, and what `machine.py` keeps in `folder` (None: it can't
    be shut down, and has no work)."""

    oracle: Path
    console: Path
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a host. `started`: monotonic clock."""

    boot: str
    started: float


class VirtualHost:
    """One host. `run_forever` is its only task; the other methods may be called at any time from the same loop."""

    def __init__(self, ground: Ground, *, name: str, index: int, files: HostFiles, reporter: ReporterArgv) -> None:
        self.name = name
        self.files = files
        self.runs: list[Run] = []
        self._ground = ground
        self._index = index
        self._reporter = reporter
        self._incarnation: Incarnation | None = None
        self._is_wanted = False
        self._wake = asyncio.Event()
        self._dead = asyncio.Event()
        self._dead.set()

    @property
    def boot(self) -> str | None:
        """The boot id of the current run, or of the last one."""
        return self.runs[-1].boot if self.runs else None

    @property
    def is_running(self) -> bool:
        return self._incarnation is not None

    def start(self) -> None:
        """Give power: boot as soon as nothing of the earlier run is left."""
        self._is_wanted = True
        self._wake.set()

    def cut(self) -> None:
        """Cut the power, or crash the kernel: kill everything that runs. The host stays down until `start`."""
        self._is_wanted = False
        if self._incarnation is not None:
            self._incarnation.cut()

    def freeze(self, *, is_frozen: bool) -> None:
        if self._incarnation is not None:
            self._incarnation.freeze(is_frozen=is_frozen)

    def unplug(self, *, is_unplugged: bool) -> None:
        """Pull or plug in the cable. Raises LabError if hosts have no cable."""
        if self._incarnation is not None:
            self._incarnation.unplug(is_unplugged=is_unplugged)

    def ask_down(self) -> None:
        """Press the power button: the host shuts down by itself. A crashed one does not notice."""
        if self._incarnation is not None:
            self._incarnation.ask_down()

    def give_work(self, workloads: int) -> None:
        """Let so many workloads run on it. They end with this run. Raises LabError if it does not run."""
        if self._incarnation is None or self.files.folder is None:
            raise LabError(f"{self.name} does not run, so nothing can run on it")
        new = self.files.folder / f"{machine.WANTED}.new"
        new.write_text(f"{workloads}\n", encoding="ascii")
        new.replace(self.files.folder / machine.WANTED)

    async def until_dead(self) -> None:
        await self._dead.wait()

    async def run_forever(self, halted: Halted) -> None:
        """Boot whenever the host has power. When cancelled, kill it and return once it is gone."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._is_wanted:
                    await self._run_once()
                    if self._is_wanted and self._is_halted():
                        halted(self.name)
        finally:
            self.cut()

    async def _run_once(self) -> None:
        boot = str(uuid.uuid4())
        argv = first_process(self.files, boot, self._ground.probe_ports, self._reporter(self.name, boot))
        self._dead.clear()
        try:
            incarnation = await self._ground.boot(self._index, argv, console=self.files.console)
            await self._live(incarnation, boot)
        finally:
            self._incarnation = None
            self._dead.set()

    def _is_halted(self) -> bool:
        """Return whether the last run shut itself down to its end."""
        return self.files.folder is not None and (self.files.folder / machine.HALTED).exists()

    async def _live(self, incarnation: Incarnation, boot: str) -> None:
        self._incarnation = incarnation
        self.runs.append(Run(boot=boot, started=time.monotonic()))
        if not self._is_wanted:
            incarnation.cut()
        try:
            await incarnation.ended()
        except asyncio.CancelledError:
            incarnation.cut()
            await incarnation.ended()
            raise


class Hosts:
    """All hosts of a lab, by name."""

    def __init__(self, hosts: Sequence[VirtualHost]) -> None:
        self._hosts = {host.name: host for host in hosts}

    def __getitem__(self, name: str) -> VirtualHost:
        return self._hosts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._hosts

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._hosts)

    def power_changed(self, name: str, has_power: bool) -> None:
        """Callback of the rack."""
        host = self._hosts[name]
        if has_power:
            host.start()
        else:
            host.cut()

    def ask_down(self, name: str) -> None:
        """Callback of the rack: the host's power button was pressed."""
        self._hosts[name].ask_down()

    async def run_forever(self, halted: Halted = lambda name: None) -> None:
        """Run until cancelled; then kill every host and wait until it is gone."""
        async with asyncio.TaskGroup() as tasks:
            for host in self._hosts.values():
                tasks.create_task(host.run_forever(halted), name=f"host {host.name}")


def first_process(files: HostFiles, boot: str, ports: Sequence[int], reporter: Sequence[str]) -> list[str]:
    """Return the command of a host's first process. The reporter dies with it, even without a process namespace."""
    port = str(ports[0] if ports else 0)
    folder = [] if files.folder is None else ["--folder", str(files.folder)]
    own = ["--oracle", str(files.oracle), "--boot", boot, "--port", port, *folder, "--"]
    return [sys.executable, "-I", "-S", str(Path(machine.__file__)), *own, *dying_with_us(reporter)]


def last_writes(oracle: Path) -> Mapping[str, float]:
    """Return for each boot id when it last wrote (monotonic clock): proof that it ran at that time."""
    seen: dict[str, float] = {}
    with oracle.open("rb") as file:
        whole, _, _ = file.read(ORACLE_READ_BYTES).decode("ascii", errors="replace").rpartition("\n")
    for line in whole.splitlines():
        at, _, boot = line.partition(" ")
        seen[boot] = float(at)
    return seen
