"""A *bed*: one running device for the contract suite, and specs that misuse it.

`truth` and `turn` bypass the driver under test, like an operator at the machine.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable, LoginRefused

Errors = tuple[type[DeviceError], ...]
Options = dict[str, str | int | float | bool]
WRONG: Final = Secret("wr0ng-pw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """One device, ON and answering, until its context ends.

    `refused`: the same with a wrong password. `nowhere`: an address without a listener. `silent`: a listener that never
    answers. `mistaken`: invalid options. `identities`: those that the device reports. `asked`: how often the host's
    operating system was asked to shut down. `agent_path`: where its agent is, besides the usual places. A None or empty
    field is listed in `lacks` of the counterpart.
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
    asked: Callable[[], int] | None = None
    agent_path: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A kind of bed: its name in test ids, the programs that it needs, and how to make it in a directory.

    `lacks`: the fields of `Bed` that it does not have; tests of these fields are left out.
    """

    name: str
    make: Callable[[Path], AbstractContextManager[Bed]]
    programs: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()


CAN_LACK = frozenset({"refused", "nowhere", "silent", "mistaken", "identities", "asked"})


@contextmanager
def black_hole(kind: socket.SocketKind) -> Iterator[int]:
    """Yield a loopback port that accepts everything and never answers."""
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
