"""What the contract suite needs of a device to test a driver on: a *bed* is one device that runs, and the ways to misuse it.

Knows no driver. One rule: `truth` and `turn` go past the driver under test, as a person at the machine would look and act.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable, LoginRefused

Errors = tuple[type[DeviceError], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """One device, ON and answering, until its context ends.

    `refused`: the same with a wrong password. `nowhere`: nobody listens at its address. `silent`: somebody takes what is
    sent there and says nothing. `mistaken`: options that can't be. `identities`: what the device calls its machine.
    `agent_path`: where its agent is, besides the usual places. None or empty: its counterpart says that it `lacks` it.
    """

    spec: DeviceSpec
    truth: Callable[[], Power]
    turn: Callable[[Power], None]
    refused: DeviceSpec | None = None
    refusals: Errors = (LoginRefused,)
    nowhere: DeviceSpec | None = None
    silent: DeviceSpec | None = None
    silences: Errors = (DeviceTimedOut, DeviceUnreachable)
    mistaken: tuple[DeviceSpec, ...] = ()
    identities: tuple[str, ...] = ()
    agent_path: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A kind of bed: its name in the tests' ids, the programs that it runs, and how it is made in a directory.

    `lacks`: the fields of `Bed` that mean nothing for it; the tests of those are not there for it.
    """

    name: str
    make: Callable[[Path], AbstractContextManager[Bed]]
    programs: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()


CAN_LACK = frozenset({"refused", "nowhere", "silent", "mistaken", "identities"})


@contextmanager
def black_hole(kind: socket.SocketKind) -> Iterator[int]:
    """A loopback port that takes everything and answers nothing; gives its number."""
    with socket.socket(socket.AF_INET, kind) as hole:
        hole.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            hole.listen(64)
        stop = threading.Event()
        taking = threading.Thread(target=_take, args=(hole, kind, stop), name="black hole", daemon=True)
        taking.start()
        try:
            yield int(hole.getsockname()[1])
        finally:
            stop.set()
            taking.join()


def _take(hole: socket.socket, kind: socket.SocketKind, stop: threading.Event) -> None:
    hole.settimeout(0.1)
    held: list[socket.socket] = []
    while not stop.is_set():
        try:
            if kind == socket.SOCK_STREAM:
                held.append(hole.accept()[0])
            else:
                hole.recv(65536)
        except TimeoutError:
            continue
    for connection in held:
        connection.close()
