"""Looks at what other shards have drawn from the fleet's budget, so that the gate `budget` shows it beforehand.

No decision relies on it: the store compares again in the transaction of each draw. A standby looks, too.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Elsewhere, Others
from fenced.engine.refusals import Refusal
from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, StoreError

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0


class OtherShards:
    """`deliver` gets a BudgetSeen after each look, unless nothing was drawn and nothing else is known."""

    def __init__(
        self, *, fleet: Fleet, journal: Journal, clock: Clock, deliver: Callable[[e.Event], None]
    ) -> None:  # fmt: skip
        self._fleet, self._journal, self._clock, self._deliver = fleet, journal, clock, deliver
        self._refusal = Refusal(partial(log.warning, "other_shards_not_known"))

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. What was known stays known while the store does not answer."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await self._journal.elsewhere()
        except (StoreError, OSError) as exc:  # includes TimeoutError
            self._refusal.met(exc)
            return
        self._refusal.over()
        if found != Elsewhere() or self._fleet.own.others != Others():
            self._deliver(e.BudgetSeen(at=self._clock.now(), elsewhere=found))
