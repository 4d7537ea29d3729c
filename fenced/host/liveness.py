"""Asking a silent host itself: TCP to its own address. The Liveness port from the daemon's own machine.

Knows neither hosts nor gates. One rule: fail towards life. Whatever a living kernel may have sent is an answer, and a
question that could not be asked at all (no descriptors left, no resolver) is never taken for silence.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fenced.model.addresses import is_loopback

SOCKETS_MAX: Final = 256
TARGETS_MAX: Final = 64
ADDRESSES_MAX: Final = 8
RETRY_SECONDS: Final = 0.05

_ANSWERS: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_NOT_ASKED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL})


class TcpLiveness:
    """`sockets_max`: questions at once over all hosts; the timeout of one that waits for its turn has not begun."""

    def __init__(self, *, sockets_max: int = SOCKETS_MAX) -> None:
        self._slots = asyncio.Semaphore(sockets_max)

    async def ask(
        self, address: str, *, ports: Sequence[int], agents: Sequence[str], timeout_seconds: float
    ) -> str | None:
        """See ports.liveness. An agent answers like a port: its host accepts or refuses a connection.

        On a loopback address a refusal is no answer: our own kernel sent it. "not asked: ..." is told, and holds a host
        like an answer, when not one of the questions could be put.
        """
        race = _Race()
        async with asyncio.TaskGroup() as group:
            for target in _targets(address, ports, agents):
                question = self._question(race, target, timeout_seconds)
                race.tasks.append(group.create_task(question, name=f"liveness {target.host}:{target.port}"))
        return race.result()

    async def _question(self, race: "_Race", target: "_Target", timeout_seconds: float) -> None:
        async with self._slots:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    found = await _resolve(race, target)
                    async with asyncio.TaskGroup() as group:
                        for family, where in found:
                            group.create_task(_connect(race, target.word, family, where), name=f"liveness {where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One question; `word` is what is told when it is answered."""

    word: str
    host: str
    port: int


class _Race:
    """What came out so far; the first answer ends it."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.is_asked = False
        self.hindrance = ""
        self._answer: str | None = None

    def answered(self, word: str) -> None:
        if self._answer is None:
            self._answer = word
            for task in self.tasks:
                task.cancel()

    def result(self) -> str | None:
        if self._answer is None and not self.is_asked and self.hindrance:
            return f"not asked: {self.hindrance}"
        return self._answer


def _targets(address: str, ports: Sequence[int], agents: Sequence[str]) -> list[_Target]:
    """At most TARGETS_MAX questions. A URL without a host is none."""
    found = [_Target(word=f"tcp {port}", host=address, port=port) for port in ports if address]
    for agent in agents:
        try:
            parts = urlsplit(agent)
            port = parts.port or (80 if parts.scheme == "http" else 443)
        except ValueError:
            continue  # the configuration's check has refused it; there is nobody to ask
        if parts.hostname:
            found.append(_Target(word=f"proxy {parts.hostname}:{port}", host=parts.hostname, port=port))
    return found[:TARGETS_MAX]


async def _resolve(race: _Race, target: _Target) -> list[tuple[int, tuple[str, int]]]:
    """Families and socket addresses; none for a name that does not exist, for then there is nobody who could answer."""
    try:
        version = ipaddress.ip_address(target.host).version
    except ValueError:
        pass
    else:
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (target.host, target.port))]
    race.hindrance = f"no resolver answered for {target.host[:100]}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        race.is_asked = race.is_asked or isinstance(exc, UnicodeError) or exc.errno in _NO_SUCH_NAME
        return []
    return [(family, (str(where[0]), int(where[1]))) for family, _, _, _, where in found[:ADDRESSES_MAX]]


async def _connect(race: _Race, word: str, family: int, where: tuple[str, int]) -> None:
    """Try one socket address until it was really asked: it answers, refuses, or is silent until the deadline."""
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
                probe.setblocking(False)
                await asyncio.get_running_loop().sock_connect(probe, where)
        except asyncio.CancelledError:
            race.is_asked = True
            raise
        except OSError as exc:
            if exc.errno in _NOT_ASKED:
                race.hindrance = exc.strerror or str(exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            race.is_asked = True
            if exc.errno in _ANSWERS and not is_loopback(where[0]):
                race.answered(word)
            return
        race.answered(word)
        return
