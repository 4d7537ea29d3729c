"""Other systems that say something of the hosts on the bus: once, or again and again, true or false.

A source that goes on knows the truth about machines unless it lies. It speaks whether a daemon listens or not.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fenced.core import events as e
from fenced.model.names import HostName
from tests.world.loop import virtual
from tests.world.machines import Machine
from tests.world.network import Broker

TTL_INTERVALS: Final = 3.0
"""A statement of a source that goes on holds for so many of its intervals."""


@dataclass(slots=True)
class Source:
    """A source that goes on. `is_lying`: every host is what it says, whatever it really is."""

    name: str
    kind: str
    interval: float
    is_lying: bool = False
    timer: asyncio.TimerHandle | None = None


class Sources:
    """All sources of a world."""

    def __init__(self, broker: Broker, machines: Mapping[HostName, Machine]) -> None:
        self._broker, self._machines = broker, machines
        self._going: dict[str, Source] = {}

    def say(self, source: str, host: str, kind: str, *, seconds: float, is_alive: bool = True) -> None:
        """Send one statement now."""
        event = e.Evidence(
            host=HostName(host), source=source, received=self._broker.clock.now(), is_retained=False,
            evidence_kind=kind, is_alive=is_alive, ttl_seconds=seconds,
        )  # fmt: skip
        self._broker.send(event)

    def begin(self, name: str, kind: str, *, interval: float) -> None:
        """Let a source speak of all hosts every interval from now on: of `storage_lease` the truth."""
        self.end(name)
        source = self._going[name] = Source(name=name, kind=kind, interval=interval)
        self._speak(source)

    def end(self, name: str) -> None:
        """Let it die."""
        source = self._going.pop(name, None)
        if source is not None and source.timer is not None:
            source.timer.cancel()

    def lie(self, name: str, *, is_lying: bool) -> None:
        if name in self._going:
            self._going[name].is_lying = is_lying

    def end_all(self) -> None:
        for name in list(self._going):
            self.end(name)

    def _speak(self, source: Source) -> None:
        source.timer = virtual().call_later(source.interval, self._speak, source)
        for machine in self._machines.values():
            is_alive = source.is_lying or machine.is_answering
            self.say(
                source.name, machine.name, source.kind, seconds=TTL_INTERVALS * source.interval, is_alive=is_alive
            )  # fmt: skip

    def obey(self, words: str) -> bool:
        """Return whether it knows the words: `SOURCE HOST KIND SECONDS`, `SOURCE HOST no KIND`, `SOURCE goes on with
        KIND every SECONDS`, `SOURCE dies`, `SOURCE lies`, `SOURCE is right`."""
        match words.split():
            case [name, "goes", "on", "with", kind, "every", seconds]:
                self.begin(name, kind, interval=float(seconds))
            case [name, "dies"]:
                self.end(name)
            case [name, "lies"]:
                self.lie(name, is_lying=True)
            case [name, "is", "right"]:
                self.lie(name, is_lying=False)
            case [name, host, "no", kind]:
                self.say(name, host, kind, seconds=1.0, is_alive=False)
            case [name, host, kind, seconds]:
                self.say(name, host, kind, seconds=float(seconds))
            case _:
                return False
        return True
