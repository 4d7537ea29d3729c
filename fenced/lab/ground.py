"""What the lab stands on: where its servers listen, how its programs are started, what a host is made of.

Knows processes and addresses, nothing of racks or fencing. `island.py` is the real thing (namespaces); here is what
every ground can do, and the plain one, where a host is a process group. One rule: everything ends with the process that
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
    """Where something listens."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class Incarnation(Protocol):
    """One run of a host, from power-on to power cut."""

    def cut(self) -> None:
        """As if the power was cut: nothing of it acts any more, and no goodbye leaves it; idempotent."""
        ...

    def freeze(self, *, is_frozen: bool) -> None:
        """As a paused virtual machine: nothing of it acts or answers, and it goes on where it stopped."""
        ...

    def unplug(self, *, is_unplugged: bool) -> None:
        """Pull or plug in its network cable; it goes on running. Raises LabError where there is no cable."""
        ...

    async def ended(self) -> None:
        """Returns once every process of it is gone."""
        ...


class Ground(Protocol):
    """Where a lab is built."""

    @property
    def broker_address(self) -> str:
        """Where hosts find the broker."""
        ...

    @property
    def probe_ports(self) -> tuple[int, ...]:
        """Ports at which a living host answers; none where a host has no address of its own."""
        ...

    def host_address(self, index: int) -> str:
        """The address of the host with that index (from 0), or "" where hosts have none of their own."""
        ...

    def listen(self, address: str, port: int = 0) -> socket.socket:
        """A listening socket for a server of this process, where the daemon and the proxies can reach it."""
        ...

    def port(self, address: str, wanted: int) -> int:
        """The port for a program that can't be handed a socket: the wanted one, or a free one where it is taken."""
        ...

    def exposing(self, inner: Endpoint, *, wanted: int) -> AbstractAsyncContextManager[Endpoint]:
        """Where this machine's other programs reach `inner`, while the block runs; at the wanted port if it is free."""
        ...

    def offering(self, broker: Endpoint) -> AbstractAsyncContextManager[None]:
        """Lets hosts reach the broker, at `broker_address` and its own port, while the block runs."""
        ...

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs a program beside the daemon; the program dies with this process."""
        ...

    async def boot(self, index: int, argv: Sequence[str], *, console: Path) -> Incarnation:
        """Start a host's first process; its output is appended to `console`. Raises LabError."""
        ...

    async def close(self) -> None:
        """Take down what was built; idempotent."""
        ...


class PlainGround:
    """Everything on this machine's loopback; a host is a process group. For where namespaces can't be had."""

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
    """A host as a process group: the power cut kills it whole, but its connections say goodbye."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def cut(self) -> None:
        signal_group(self._process.pid, signal.SIGKILL)

    def freeze(self, *, is_frozen: bool) -> None:
        signal_group(self._process.pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def unplug(self, *, is_unplugged: bool) -> None:
        raise LabError(
            "a host without a network namespace has no cable to pull; run the lab as root, or freeze the host"
        )

    async def ended(self) -> None:
        await self._process.wait()
        # The first process may have died alone; the others of its group must not outlive it.
        signal_group(self._process.pid, signal.SIGKILL)


def tcp_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def bound(listener: socket.socket, address: str, port: int) -> socket.socket:
    """The socket, bound to the address (port 0: any free one). Raises LabError."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setblocking(False)
    try:
        listener.bind((address, port))
    except OSError as exc:
        listener.close()
        raise LabError(f"can't listen on {address}:{port}: {exc.strerror}; free it or choose another port") from exc
    return listener


def outer_port(address: str, wanted: int) -> int:
    """The wanted port of this machine if nobody has it, else one that nobody had a moment ago."""
    for port in (wanted, 0):
        try:
            with bound(tcp_socket(), address, port) as probe:
                return int(probe.getsockname()[1])
        except LabError:
            continue
    raise LabError(f"no port is free on {address}; end other programs that listen there")


def dying_with_us(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` and gets SIGKILL when this process dies, however it dies."""
    setpriv = find_program("setpriv")
    return list(argv) if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--", *argv]


async def spawn(argv: Sequence[str], console: Path) -> asyncio.subprocess.Process:
    """Start a program in a session of its own; its output is appended to `console`. Raises LabError."""
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


def signal_group(pid: int, number: signal.Signals) -> None:
    """To every process of the group that `pid` leads; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
