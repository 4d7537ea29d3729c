"""The ground on which a lab is built: where its servers listen, how its programs start, what a host consists of.

Knows processes and addresses, nothing of racks or fencing. This module has the protocol of every ground, and the plain
ground, where a host is a process group; `island.py` has the one with namespaces. Everything ends with the process that
made it.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fenced.lab.errors import LabError
from fenced.lab.namespaces import find_program


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A TCP address."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class Incarnation(Protocol):
    """One run of a host, from power-on to power cut."""

    def cut(self) -> None:
        """Cut the power: nothing of the host acts any more, and no connection is closed properly; idempotent."""
        ...

    def ask_down(self) -> None:
        """Tell the first process to shut the host down, as the power button does; a frozen one does it later."""
        ...

    def freeze(self, *, is_frozen: bool) -> None:
        """Pause or resume the host like a virtual machine: paused, nothing of it acts or answers."""
        ...

    def unplug(self, *, is_unplugged: bool) -> None:
        """Pull or plug in the network cable; the host runs on. Raises LabError if it has no cable."""
        ...

    async def ended(self) -> None:
        """Return once every process of the host is gone."""
        ...


class Ground(Protocol):
    """The environment in which a lab is built."""

    @property
    def broker_address(self) -> str:
        """The broker's address, as hosts reach it."""
        ...

    @property
    def probe_ports(self) -> tuple[int, ...]:
        """Ports on which a living host answers; empty if hosts have no addresses."""
        ...

    def host_address(self, index: int) -> str:
        """Return the address of the host with that index (from 0), or "" if hosts have no addresses."""
        ...

    def listen(self, address: str, port: int = 0) -> socket.socket:
        """Return a listening socket for a server of this process that the daemon and the proxies can reach."""
        ...

    def port(self, address: str, wanted: int) -> int:
        """Return a port for a program that can't be given a socket: the wanted one, or a free one if it is in use."""
        ...

    def exposing(self, inner: Endpoint, *, wanted: int) -> AbstractAsyncContextManager[Endpoint]:
        """While the block runs, make `inner` reachable for programs of this machine, at the wanted port if free."""
        ...

    def offering(self, broker: Endpoint) -> AbstractAsyncContextManager[None]:
        """Let hosts reach the broker, at `broker_address` and the broker's port, while the block runs."""
        ...

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs a program beside the daemon. The program dies with this process."""
        ...

    async def boot(self, index: int, argv: Sequence[str], *, console: Path) -> Incarnation:
        """Start a host's first process, with its output appended to `console`. Raises LabError."""
        ...

    async def close(self) -> None:
        """Remove everything that was built; idempotent."""
        ...


class PlainGround:
    """Everything on this machine's loopback, a host as a process group. Used where namespaces are not available."""

    broker_address = "127.0.0.1"
    probe_ports: tuple[int, ...] = ()

    def host_address(self, index: int) -> str:
        return ""

    def listen(self, address: str, port: int = 0) -> socket.socket:
        return bound(tcp_socket(), address, port)

    def port(self, address: str, wanted: int) -> int:
        return outer_port(address, wanted)

    @asynccontextmanager
    async def exposing(self, inner: Endpoint, *, wanted: int) -> AsyncIterator[Endpoint]:
        yield inner

    @asynccontextmanager
    async def offering(self, broker: Endpoint) -> AsyncIterator[None]:
        yield

    def argv(self, argv: Sequence[str]) -> list[str]:
        return dying_with_us(argv)

    async def boot(self, index: int, argv: Sequence[str], *, console: Path) -> Incarnation:
        return ProcessGroup(await spawn(self.argv(argv), console))

    async def close(self) -> None:
        return


class ProcessGroup:
    """A host as a process group. A power cut kills all of it, but the kernel closes its connections properly."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def cut(self) -> None:
        signal_group(self._process.pid, signal.SIGKILL)

    def ask_down(self) -> None:
        signal_one(self._process.pid, signal.SIGTERM)

    def freeze(self, *, is_frozen: bool) -> None:
        signal_group(self._process.pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def unplug(self, *, is_unplugged: bool) -> None:
        raise LabError(
            "a host without a network namespace has no cable to pull; run the lab as root, or freeze the host"
        )

    async def ended(self) -> None:
        await self._process.wait()
        # The first process may have died alone; kill the rest of its group.
        signal_group(self._process.pid, signal.SIGKILL)


def tcp_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def bound(listener: socket.socket, address: str, port: int) -> socket.socket:
    """Return the socket, bound to the address (port 0: any free one). Raises LabError."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setblocking(False)
    try:
        listener.bind((address, port))
    except OSError as exc:
        listener.close()
        raise LabError(f"can't listen on {address}:{port}: {exc.strerror}; end the program that uses it") from exc
    return listener


def outer_port(address: str, wanted: int) -> int:
    """Return the wanted port of this machine if it is free, else a port that was free a moment ago."""
    for port in (wanted, 0):
        try:
            with bound(tcp_socket(), address, port) as probe:
                return int(probe.getsockname()[1])
        except LabError:
            continue
    raise LabError(f"no port is free on {address}; end programs that listen there")


def dying_with_us(argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` and gets SIGKILL when this process dies, however it dies."""
    setpriv = find_program("setpriv")
    return list(argv) if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--", *argv]


async def spawn(argv: Sequence[str], console: Path) -> asyncio.subprocess.Process:
    """Start a program in a new session, with its output appended to `console`. Raises LabError."""
    with console.open("ab") as output:
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        except OSError as exc:
            raise LabError(f"{argv[0]} can't be started: {exc.strerror}") from exc


def signal_one(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process. A process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to every process of the group that `pid` leads. A group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
