"""Lets the engines of one process be one controller: its report, its fair share of the shards, and who gives over."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import structlog

from fenced.engine.beside import Beside, HeldHere
from fenced.engine.engine import Engine
from fenced.engine.sharing import gift
from fenced.ports.clock import Clock
from fenced.ports.control import NotFound, Refused, Unavailable

log = structlog.get_logger("fenced")

FULLER_SECONDS: Final = 1.0
"""How much longer a controller waits for a shard that nobody holds, for each one that it has."""
LEASES_BETWEEN_GIFTS: Final = 4
"""By default one shard a minute."""
LOOKS_PER_LEASE: Final = 3
LOOKS_SECONDS: Final = 0.5
"""The engines look at the store at multiples of this, so that one glance answers all of them."""

SAME_MOMENT_SECONDS: Final = 0.1


class Member(Protocol):
    """One shard of the process."""

    @property
    def is_alive(self) -> bool:
        """Whether its engine runs."""
        ...

    @property
    def engine(self) -> Engine: ...


class Shares:
    """`members`: the shards that this controller may hold, by name. `at_most`: how many of them; 0: any number."""

    def __init__(self, members: Mapping[str, Member], *, at_most: int, lease_seconds: float, clock: Clock) -> None:
        self._members, self._at_most = members, at_most
        self._lease_seconds, self._clock = lease_seconds, clock
        self._is_stopping = False
        self._taken: set[str] = set()
        """Shards whose lease is taken here, also before their engines act."""
        self._turn = asyncio.Lock()
        self._told: dict[str, tuple[float, tuple[str, ...]]] = {}
        """When each shard was last asked why it is unfit, and its answer."""

    def beside(self, shard: str) -> Beside:
        """Return what the engine of a shard knows of the others."""
        return Beside(
            shard=shard,
            mark=f"shard {shard}: ",
            unfit=lambda: tuple(why for name in self._engines() if name != shard for why in self._unfit(name)),
            lag=lambda: sum(each.standby.lag for each in self._others(shard)),
            held=lambda: tuple(held for each in self._others(shard) if (held := each.held) is not None),
            patience=self._patience_seconds,
            takes=self._takes,
            turn=self._taking,
            took=lambda: self._taken.add(shard),
            pause=together,
        )

    def ended(self, shard: str) -> None:
        """Note that a life of the shard's engine ended, and with it its lease."""
        self._taken.discard(shard)

    @contextlib.asynccontextmanager
    async def _taking(self) -> AsyncIterator[None]:
        if not self._at_most:
            yield
            return
        async with self._turn:
            yield

    def stop(self) -> None:
        """Take no shard any more: the process stops."""
        self._is_stopping = True

    def held(self) -> dict[str, HeldHere]:
        """Return the shards that this process holds."""
        return {name: held for name, engine in self._engines().items() if (held := engine.held) is not None}

    async def run(self) -> None:
        """Give a shard away, now and then, while this controller has more than its share. Run until cancelled."""
        given_at = self._clock.now()
        while True:
            await asyncio.sleep(self._lease_seconds / LOOKS_PER_LEASE)
            if self._clock.now() - given_at >= LEASES_BETWEEN_GIFTS * self._lease_seconds and await self._give():
                given_at = self._clock.now()

    async def _give(self) -> bool:
        engines, held = self._engines(), list(self.held())
        if not held:
            return False
        views = engines[held[0]].controllers.views
        if gift(dict.fromkeys(held, True), views, at_most=self._at_most) is None:
            return False  # most often; who is at rest takes a look at every host
        found = gift({name: _is_at_rest(engines[name]) for name in held}, views, at_most=self._at_most)
        if found is None:
            return False
        log.info("shard_given_away", shard=found.shard, to=found.to, held=len(held))
        try:
            await engines[found.shard].hand_over(to=found.to, by="fenced", reason="each controller has its fair share")
        except (Refused, NotFound, Unavailable) as exc:  # the other one's report changed meanwhile
            log.info("shard_not_given_away", shard=found.shard, to=found.to, reason=str(exc))
        return True

    def _engines(self) -> dict[str, Engine]:
        return {name: member.engine for name, member in self._members.items() if member.is_alive}

    def _others(self, shard: str) -> list[Engine]:
        return [engine for name, engine in self._engines().items() if name != shard]

    def _unfit(self, shard: str) -> tuple[str, ...]:
        """Return why a shard is unfit. All engines ask for all others at about the same moment."""
        now = self._clock.now()
        at, told = self._told.get(shard, (-math.inf, ()))
        if not at <= now < at + SAME_MOMENT_SECONDS:
            told = self._members[shard].engine.giving_over.unfit_marked()
            self._told[shard] = now, told
        return told

    def _patience_seconds(self) -> float:
        return math.inf if self._is_full else len(self._taken) * FULLER_SECONDS

    def _takes(self) -> tuple[str, ...]:
        return () if self._is_full else tuple(self._members)

    @property
    def _is_full(self) -> bool:
        """Whether this controller takes no further shard."""
        return self._is_stopping or 0 < self._at_most <= len(self._taken)


def together(seconds: float) -> float:
    """Return a pause that is less than a look shorter, and ends when those of the other engines do."""
    return max(seconds - asyncio.get_running_loop().time() % LOOKS_SECONDS, 0.0)


def _is_at_rest(engine: Engine) -> bool:
    return all(state.operation is None for state in engine.fleet.hosts.values())
