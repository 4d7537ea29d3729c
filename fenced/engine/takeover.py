"""Prepares a controller that took the lease, before it decides anything (S20 to S22).

The lease is renewed meanwhile. The predecessor may be frozen, cut off, or in the middle of a command: its programs on
this machine are killed, the proxies learn the new epoch, and its commands count as acting for their whole time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from fenced.core import events as e
from fenced.core.durable.fleet_state import Words
from fenced.core.durable.operation_state import IssuedCommand
from fenced.core.fleet import Fleet
from fenced.core.operation.steps import longest_command_seconds
from fenced.engine.lease import LeaseKeeper
from fenced.engine.standby import Standby
from fenced.model.names import ProxyName
from fenced.ports.bus import BusEvent
from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, StoreError, Taken
from fenced.ports.proxies import FloorEcho, Floors

log = structlog.get_logger(__name__)

KEPT_REQUESTS_MAX: Final = 1000
FLOORS_SECONDS: Final = 2.0
"""How long a takeover waits for the proxies. The others learn the epoch before their first command (S21)."""


class _Tried(StoreError):
    """The lease could not be taken again under a higher epoch."""


async def _stand_still(to: float) -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a takeover changes outside the engine.

    `advance`: let the steady clock reach a moment: set it forward, or wait; return by how many seconds it was moved.
    `moved_seconds`: how far it was set forward at this start, beyond the time of the records. `settle`: kill what an
    earlier run left on this machine; programs that the journal names only if that run was the last holder.
    `floors`: the proxies, which refuse older epochs once they know a newer one.
    """

    advance: Callable[[float], Awaitable[float]] = _stand_still
    moved_seconds: float = 0.0
    settle: Callable[[Fleet, bool], Awaitable[None]] | None = None
    floors: Floors | None = None


class Takeover:
    """`is_older`, `words`: as the store was loaded. `spawn`: run a task beside. `ask_others`: returns what other
    controllers saw that the store lacks."""

    def __init__(
        self, *, fleet: Fleet, journal: Journal, clock: Clock, standby: Standby, lease: LeaseKeeper,
        around: Surroundings, is_older: bool, words: Words | None,
        spawn: Callable[[Coroutine[Any, Any, Any], str], object],
        ask_others: Callable[[], Awaitable[tuple[str, ...]]],
    ) -> None:  # fmt: skip
        self._fleet, self._journal, self._clock, self._standby = fleet, journal, clock, standby
        self._lease, self._around, self._spawn = lease, around, spawn
        self._was_older, self._lost_words = is_older, words
        self._echoes: Mapping[ProxyName, FloorEcho] = {}
        self._ask_others = ask_others
        self._doubts: tuple[str, ...] = ()

    @property
    def is_older(self) -> bool:
        """Whether the store lacks what this controller saw, and no operator released it since."""
        return self._was_older and bool(self._fleet.own.store_doubt)

    def must_wait(self, taken: Taken) -> bool:
        """Return whether commands may act that the store lacks."""
        return taken.is_promoted or self.is_older or bool(self._doubts)

    @property
    def words(self) -> Words | None:
        """What operators said, if the store lost it; None otherwise."""
        return self._lost_words if self.is_older else None

    async def hold(self, taken: Taken) -> float:
        """Continue the time of the records, renew the lease, and ask the others. Return by how many seconds the clock
        moved.

        Raises EpochLost, StoreError.
        """
        known = [at for at in (taken.steady_at, taken.last_at) if at is not None]
        moved = await self._around.advance(max(known)) if known else 0.0
        self._lease.until = taken.until + moved
        await self._lease.renew()
        self._doubts = await self._ask_others()
        return moved

    async def prepare(self, taken: Taken, *, moved_seconds: float) -> tuple[int, e.Started]:
        """Return the epoch under which to decide, and what the predecessor left. Call it while the lease is renewed.

        Raises EpochLost, StoreError.
        """
        epoch = taken.epoch
        if self._around.settle is not None:
            await self._around.settle(self._fleet, taken.is_own)
        must_wait = self.must_wait(taken)
        if not taken.is_own or must_wait:
            epoch = await self._raise_floors(taken)
        else:
            self._spawn(self._tell_proxies(taken.epoch, taken.holder), "raise floors")  # nobody else sent commands
        if must_wait:
            await self._outlast_lost_commands()
        elif (seconds := self._unknown_seconds()) > 0.0:
            log.warning("unknown_commands_under_way", waiting_seconds=round(seconds, 1))
            await asyncio.sleep(seconds)
        outlast = self._standby.outlast(moved_seconds, has_ended=self._has_ended) if not taken.is_own else {}
        if taken.is_own and (moved := moved_seconds + self._around.moved_seconds):
            outlast = self._standby.moved(moved)
        before = taken.before if taken.reason != "start" else ""
        return epoch, e.Started(before=before, outlast=outlast, words=self.words, doubts=self._doubts)

    async def _outlast_lost_commands(self) -> None:
        """Wait as long as a command may act that the store lacks. A predecessor can record no further one."""
        seconds = longest_command_seconds(self._fleet.inventory)
        if self.is_older or self._doubts:
            reason = self._fleet.own.store_doubt if self.is_older else "; ".join(self._doubts)
            log.warning("store_went_back", reason=reason, waiting_seconds=round(seconds, 1))
        else:
            log.warning(
                "store_promoted", waiting_seconds=round(seconds, 1),
                advice="a standby database may lack the last records; fencing goes on by itself after the wait",
            )  # fmt: skip
        await asyncio.sleep(seconds)
        await self._journal.end_doubt()

    async def _raise_floors(self, taken: Taken) -> int:
        """Tell the proxies the epoch. If one knows a higher one, the store lost it: take the lease anew, above it."""
        epoch, holder = taken.epoch, taken.holder
        while (known := await self._tell_proxies(epoch, holder)) > epoch:
            log.warning("epoch_known_at_a_proxy", known=known, ours=epoch)
            again = await self._journal.take(after=self._standby.position, now=self._clock.now(), at_least=known)
            if again is None:
                raise _Tried("the lease can't be taken under a higher epoch: another controller holds it")
            epoch, holder = again.epoch, again.holder
        return epoch

    async def _tell_proxies(self, epoch: int, holder: str) -> int:
        """Let the proxies refuse older epochs. Return the highest epoch that one of them knows."""
        if self._around.floors is None:
            return epoch
        self._echoes = await self._around.floors.raise_floors(epoch=epoch, holder=holder, seconds=FLOORS_SECONDS)
        return self._around.floors.highest_epoch(above=epoch)

    def _unknown_seconds(self) -> float:
        """Return how long commands may act that a proxy has under way and the journal does not name."""
        known = {command.token for state in self._fleet.states() for command in state.commands}
        acting = (it for echo in self._echoes.values() for it in echo.under_way.items())
        return max((seconds for (_, token), seconds in acting if token not in known), default=0.0)

    def _has_ended(self, command: IssuedCommand) -> bool:
        """Return whether the proxy of a command, which refuses older epochs now, says that it can't act any more."""
        echo = self._echoes.get(command.proxy)
        return echo is not None and echo.has_ended(command.plug_id, command.token)


@dataclass(slots=True)
class Kept:
    """What a standby hears and can't decide, for the takeover: requests, and the last report of a host that is failing
    or stopping."""

    requests: deque[e.BusRequest | e.WakeRequest] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS_MAX))
    reports: dict[str, e.Health] = field(default_factory=dict)

    def keep(self, event: object) -> None:
        if isinstance(event, e.BusRequest | e.WakeRequest):
            self.requests.append(event)
        elif isinstance(event, e.Health) and not event.is_retained:
            if event.status is e.HealthStatus.OK:
                self.reports.pop(event.host, None)
            else:
                self.reports[event.host] = event

    def give(self, *, since: float) -> list[BusEvent]:
        """Return what was kept, and forget it; of the requests only those that came since then.

        The core answers a request only once. What is older was answered by another controller, or is refused as stale.
        """
        recent = [request for request in self.requests if request.received >= since]
        found: list[BusEvent] = [*self.reports.values(), *recent]
        self.requests.clear()
        self.reports.clear()
        return found
