"""The way of the hosts' messages to the daemon: loses, delays, repeats and reorders them, and retains old ones.

Knows messages, not their contents. It uses its own random source, so that a story is the same every time.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from fenced.core import events as e
from fenced.core.durable.replacing import replace
from fenced.model.names import HostName
from fenced.ports.bus import BusEvent
from tests.world.network import Broker


@dataclass(slots=True)
class Post:
    """Without faults it passes each message on at once. Shares are of all messages, 0 to 1.

    `keeps`: the broker retains the last message of each host, as a misconfigured reporter requests, and gives it to
    each new subscriber, however old. `of_hosts`: lost share and longest delay for single hosts. `on_its_way`: how many
    messages are still to come. `keeps_back`: hosts whose messages wait at a bridge until it is released.
    """

    broker: Broker
    lost_share: float = 0.0
    repeated_share: float = 0.0
    delay_seconds_max: float = 0.0
    keeps: bool = False
    on_its_way: int = 0
    keeps_back: frozenset[HostName] = frozenset()
    of_hosts: dict[HostName, tuple[float, float]] = field(default_factory=dict)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _kept_back: list[e.Health | e.Presence] = field(default_factory=list)
    _kept: dict[HostName, e.Health | e.Presence] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.broker.on_subscribed = self._give_kept

    def mend(self) -> None:
        """Remove all faults; messages on their way still arrive."""
        self.lost_share = self.repeated_share = self.delay_seconds_max = 0.0
        self.of_hosts.clear()
        self.let_go()

    def let_go(self) -> None:
        """Let the bridge send everything that it held, as new messages."""
        waiting, self._kept_back, self.keeps_back = self._kept_back, [], frozenset()
        for message in waiting:
            self._arrive(message)

    def send(self, message: e.Health | e.Presence) -> None:
        if self.keeps:
            self._kept[message.host] = message
        if message.host in self.keeps_back:
            self._kept_back.append(message)
            self.on_its_way += 1
            return
        lost, late = self.of_hosts.get(message.host, (self.lost_share, self.delay_seconds_max))
        if lost and self._dice.random() < lost:
            return
        if late:
            self._send_late(message, late)
        else:
            self.broker.send(message)
        if self.repeated_share and self._dice.random() < self.repeated_share:
            self._send_late(message, self.delay_seconds_max or 5.0)

    def _send_late(self, message: e.Health | e.Presence, seconds_max: float) -> None:
        seconds = self._dice.uniform(0.0, seconds_max)
        self.on_its_way += 1
        asyncio.get_running_loop().call_later(seconds, self._arrive, message)

    def _arrive(self, message: e.Health | e.Presence) -> None:
        self.on_its_way -= 1
        self.broker.send(replace(message, received=self.broker.clock.now()))

    def _give_kept(self, subscriber: Callable[[BusEvent], None]) -> None:
        now = self.broker.clock.now()
        for message in self._kept.values():
            subscriber(replace(message, received=now, is_retained=True))
