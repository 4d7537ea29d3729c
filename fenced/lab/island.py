"""A ground with its own network: one namespace for daemon, proxies and devices, and one more per host and run.

The lab's namespace has a bridge with the broker's address. A host's cable leads to an isolated port of the bridge, so
the host reaches the broker and nothing else. A power cut pulls the cable first and kills then; otherwise the kernel
would properly close the connections of dying processes, which no real power cut does.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fenced.lab.ground import Endpoint, bound, dying_with_us, outer_port, signal_group, signal_one, spawn, tcp_socket
from fenced.lab.namespaces import PROCESS_NAMESPACE, Namespace, NamespaceError, find_program
from fenced.lab.relay import relay

NETWORK: Final = "10.83.0"
BRIDGE: Final = "bridge0"
BRIDGE_HARDWARE: Final = "02:00:00:00:00:01"
FIRST_HOST: Final = 11
LOOPBACK: Final = "127.0.0.1"


class Island:
    """Namespaces for one lab; root only."""

    broker_address = f"{NETWORK}.1"
    probe_ports: tuple[int, ...] = (22,)

    def __init__(self) -> None:
        self._network = Namespace.make()
        self._cables = 0

    async def lay(self) -> None:
        """Lay the network. Raises NamespaceError."""
        await self._network.ip(
            [
                # Without its own address a bridge adopts that of a port: hosts would lose the broker for seconds.
                f"link add {BRIDGE} address {BRIDGE_HARDWARE} type bridge",
                f"addr add {self.broker_address}/24 dev {BRIDGE}",
                f"link set {BRIDGE} up",
            ]
        )

    def host_address(self, index: int) -> str:
        return f"{NETWORK}.{FIRST_HOST + index}"

    def listen(self, address: str, port: int = 0) -> socket.socket:
        return bound(self._network.socket(), address, port)

    def port(self, address: str, wanted: int) -> int:
        return wanted

    @asynccontextmanager
    async def exposing(self, inner: Endpoint, *, wanted: int) -> AsyncIterator[Endpoint]:
        outer = Endpoint(address=LOOPBACK, port=outer_port(LOOPBACK, wanted))
        listener = bound(tcp_socket(), outer.address, outer.port)
        async with relay(listener, self._network.socket, (inner.address, inner.port)):
            yield outer

    @asynccontextmanager
    async def offering(self, broker: Endpoint) -> AsyncIterator[None]:
        listener = self.listen(self.broker_address, broker.port)
        async with relay(listener, self._network.socket, (broker.address, broker.port)):
            yield

    def argv(self, argv: Sequence[str]) -> list[str]:
        return dying_with_us(self._network.argv(argv))

    async def boot(self, index: int, argv: Sequence[str], *, console: Path) -> "Machine":
        """Start a host in a new network namespace: a machine that boots has no connections of an earlier run."""
        own = Namespace.make()
        cable = self._next_cable()
        try:
            await self._lay_cable(cable, own, index)
            unshare = [find_program("unshare") or "unshare", *PROCESS_NAMESPACE, *argv]
            process = await spawn(dying_with_us(own.argv(unshare)), console)
        except BaseException:
            own.close()
            raise
        return Machine(process, own=own, network=self._network, cable=cable)

    async def close(self) -> None:
        self._network.close()

    def _next_cable(self) -> str:
        self._cables += 1
        return f"cable{self._cables}"

    async def _lay_cable(self, cable: str, own: Namespace, index: int) -> None:
        hardware = f"02:00:00:00:00:{FIRST_HOST + index:02x}"
        await self._network.ip(
            [
                f"link add {cable} type veth peer name eth0 address {hardware} netns {own.path}",
                f"link set {cable} master {BRIDGE}",
                f"link set dev {cable} type bridge_slave isolated on",
                f"link set {cable} up",
            ]
        )
        await own.ip([f"addr add {self.host_address(index)}/24 dev eth0", "link set eth0 up"])


class Machine:
    """One run of a host in its own namespaces."""

    def __init__(self, process: asyncio.subprocess.Process, *, own: Namespace, network: Namespace, cable: str) -> None:
        self._process = process
        self._own = own
        self._network = network
        self._cable = cable
        self._is_frozen = False
        self._is_unplugged = False

    def cut(self) -> None:
        if self._process.returncode is not None:
            return
        self._network.set_link(self._cable, is_up=False)
        first = self._first_process()
        # Killing the namespace's first process kills all others. `unshare` waits for that, and `ended` for `unshare`.
        signal_group(first or self._process.pid, signal.SIGKILL)

    def ask_down(self) -> None:
        if (first := self._first_process()) is not None:
            signal_one(first, signal.SIGTERM)

    def freeze(self, *, is_frozen: bool) -> None:
        # Stopping the processes is not enough: the kernel would still answer on their ports.
        self._is_frozen = is_frozen
        self._set_link()
        if (first := self._first_process()) is not None:
            signal_group(first, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def unplug(self, *, is_unplugged: bool) -> None:
        self._is_unplugged = is_unplugged
        self._set_link()

    def _set_link(self) -> None:
        self._network.set_link(self._cable, is_up=not (self._is_frozen or self._is_unplugged))

    async def ended(self) -> None:
        await self._process.wait()
        try:
            await self._network.ip([f"link del {self._cable}"])
        except NamespaceError:
            # The link was removed with its other end, when the host's namespace ended.
            return
        finally:
            self._own.close()

    def _first_process(self) -> int | None:
        """Return the outer pid of the first process inside; None before it was forked."""
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children and os.getpgid(int(children[0])) == int(children[0]) else None
        except OSError:
            return None
