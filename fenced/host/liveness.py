"""Probes a silent host directly: TCP to its own address. Implements ports.liveness on the daemon's machine.

It knows neither hosts nor gates. When in doubt it decides for life: anything that a living kernel may have sent is an
answer, and a probe that could not be sent (no descriptors left, no resolver) never counts as silence.
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
_NOT_SENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL})


class TcpLiveness:
    """`sockets_max`: probes at once, over all hosts. The timeout of a probe begins when it gets its turn."""

    def __init__(self, *, sockets_max: int = SOCKETS_MAX) -> None:
        self._slots = asyncio.Semaphore(sockets_max)

    async def ask(
        self, address: str, *, ports: Sequence[int], agents: Sequence[str], timeout_seconds: float
    ) -> str | None:
        """See ports.liveness. A proxy agent counts like a port: its host accepts or refuses the connection.

        On a loopback address a refusal is no answer, because this machine's kernel sends it. If no probe could be sent,
        return "not asked: ...", which holds the host like an answer.
        """
        race = _Race()
        async with asyncio.TaskGroup() as group:
            for target in _targets(address, ports, agents):
                probe = self._probe(race, target, timeout_seconds)
                race.tasks.append(group.create_task(probe, name=f"liveness {target.host}:{target.port}"))
        return race.result()

    async def _probe(self, race: "_Race", target: "_Target", timeout_seconds: float) -> None:
        async with self._slots:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    found = await _resolve(race, target)
                    async with asyncio.TaskGroup() as group:
                        for family, where in found:
                            group.create_task(_connect(race, target.label, family, where), name=f"liveness {where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One probe; `label` is its result if the target answers."""

    label: str
    host: str
    port: int


class _Race:
    """The results so far; the first answer ends the race."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.is_sent = False
        self.hindrance = ""
        self._answer: str | None = None

    def answered(self, label: str) -> None:
        if self._answer is None:
            self._answer = label
            for task in self.tasks:
                task.cancel()

    def result(self) -> str | None:
        if self._answer is None and not self.is_sent and self.hindrance:
            return f"not asked: {self.hindrance}"
        return self._answer


def _targets(address: str, ports: Sequence[int], agents: Sequence[str]) -> list[_Target]:
    """Return at most TARGETS_MAX targets; a URL without a host is left out."""
    found = [_Target(label=f"tcp {port}", host=address, port=port) for port in ports if address]
    for agent in agents:
        try:
            parts = urlsplit(agent)
            port = parts.port or (80 if parts.scheme == "http" else 443)
        except ValueError:
            continue  # the configuration check has already rejected it
        if parts.hostname:
            found.append(_Target(label=f"proxy {parts.hostname}:{port}", host=parts.hostname, port=port))
    return found[:TARGETS_MAX]


async def _resolve(race: _Race, target: _Target) -> list[tuple[int, tuple[str, int]]]:
    """Return families and socket addresses; none for a name that does not exist, because then no host can answer."""
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
        race.is_sent = race.is_sent or isinstance(exc, UnicodeError) or exc.errno in _NO_SUCH_NAME
        return []
    return [(family, (str(where[0]), int(where[1]))) for family, _, _, _, where in found[:ADDRESSES_MAX]]


async def _connect(race: _Race, label: str, family: int, where: tuple[str, int]) -> None:
    """Try one socket address until the probe is really sent; then it accepts, refuses, or stays silent."""
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
                probe.setblocking(False)
                await asyncio.get_running_loop().sock_connect(probe, where)
        except asyncio.CancelledError:
            race.is_sent = True
            raise
        except OSError as exc:
            if exc.errno in _NOT_SENT:
                race.hindrance = exc.strerror or str(exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            race.is_sent = True
            if exc.errno in _ANSWERS and not is_loopback(where[0]):
                race.answered(label)
            return
        race.answered(label)
        return
