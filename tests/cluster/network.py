"""Machines that are network namespaces on one bridge, and cables that hang when they are cut.

The namespaces have no names: descriptors of this process hold them, so the kernel removes them when it ends, however it
ends, and parallel test processes share nothing. The tests reach a machine by a relay from loopback, which no cut
touches.
"""

import contextlib
import ctypes
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.lab.ground import bound, tcp_socket
from fenced.lab.namespaces import CLONE_NEWNET, Namespace
from fenced.lab.relay import relay
from tests.e2e.programs import Program
from tests.net import free_port

NETWORK: Final = "10.83.1"
BRIDGE: Final = "bridge0"
BRIDGE_HARDWARE: Final = "02:00:00:00:01:01"
NOWHERE: Final = "02:00:00:00:ff:ff"
"""The hardware address of no machine. Frames to it are lost without an error, as on a cable that is cut."""
FIRST: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine of the network. `port`: its end of the cable, at the bridge."""

    name: str
    address: str
    port: str
    space: Namespace

    def program(self, start: str, *arguments: str, log: Path) -> Program:
        """Return a Python program that enters the machine first. `start`: its code."""
        code = f"from tests.cluster.network import enter; enter({self.space.path!r}); {start}"
        return Program(_python(code, *arguments), log=log)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs another program on the machine."""
        return self.space.argv(argv)


class Network:
    """The bridge and its machines, by name."""

    def __init__(self) -> None:
        self.switch = Namespace.make()
        self.machines: dict[str, Machine] = {}
        self._cut: set[frozenset[str]] = set()

    async def lay(self, *names: str) -> None:
        """Make the machines. Each has one interface, `eth0`."""
        commands = [
            f"link add {BRIDGE} address {BRIDGE_HARDWARE} type bridge",
            f"addr add {NETWORK}.1/24 dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ]
        for index, name in enumerate(names, FIRST):
            machine = Machine(name=name, address=f"{NETWORK}.{index}", port=f"to-{name}"[:15], space=Namespace.make())
            self.machines[name] = machine
            commands += [
                f"link add {machine.port} type veth peer name eth0 netns {machine.space.path}",
                f"link set {machine.port} master {BRIDGE}",
                f"link set {machine.port} up",
            ]
        await self.switch.ip(commands)
        for machine in self.machines.values():
            await machine.space.ip([f"addr add {machine.address}/24 dev eth0", "link set eth0 up"])

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    async def cut(self, one: str, *others: str) -> None:
        """Lose every frame between a machine and the others, in both directions. Connections hang."""
        for other in others:
            if (pair := frozenset({one, other})) not in self._cut:
                self._cut.add(pair)
                await self._lead(pair, f"neigh replace {{}} lladdr {NOWHERE} nud permanent dev eth0")

    async def mend(self) -> None:
        """Undo every cut."""
        while self._cut:
            await self._lead(self._cut.pop(), "neigh del {} dev eth0")

    def unplug(self, name: str) -> None:
        """Pull the machine's cable."""
        self.switch.set_link(self.machines[name].port, is_up=False)

    def plug_in(self, name: str) -> None:
        self.switch.set_link(self.machines[name].port, is_up=True)

    @contextlib.asynccontextmanager
    async def exposing(self, name: str, port: int, *, loopback: bool = False) -> AsyncIterator[int]:
        """Yield a loopback port of this machine that leads to a machine's port. `loopback`: to its own loopback."""
        machine = self.machines[name]
        space, address = (machine.space, "127.0.0.1") if loopback else (self.switch, machine.address)
        outer = free_port()
        async with relay(bound(tcp_socket(), "127.0.0.1", outer), space.socket, (address, port)):
            yield outer

    async def _lead(self, pair: frozenset[str], command: str) -> None:
        one, other = (self.machines[name] for name in sorted(pair))
        await one.space.ip([command.format(other.address)])
        await other.space.ip([command.format(one.address)])

    def close(self) -> None:
        for machine in self.machines.values():
            machine.space.close()
        self.switch.close()


def enter(path: str) -> None:
    """Let this process and its children use a machine's network. Call it before any thread starts."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"can't enter {path}")
    finally:
        os.close(descriptor)


def _python(code: str, *arguments: str) -> list[str]:
    import sys

    return [sys.executable, "-c", code, *arguments]
