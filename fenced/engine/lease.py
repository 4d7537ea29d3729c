"""Renews the lease three times per ttl, and reports it lost when its time runs out without a renewal.

The lease's end counts from before the request was sent. A daemon that cannot renew must not act
(design.md#store-and-lease).
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from fenced.core import events as e
from fenced.engine.waiting import nudged
from fenced.ports.clock import Clock
from fenced.ports.journal import ClockAnchor, EpochLost, Journal, StoreError, StoreWentBack

log = structlog.get_logger(__name__)

RENEWALS_PER_TTL = 3
HURRY_SECONDS: Final = 1.0
"""The shortest time between two attempts, however often a renewal is asked for."""


class LeaseKeeper:
    """Renews for ever. Raises EpochLost when another controller took over. `renewed`: called after each renewal with
    the time at which it began. `is_given_up`: whether this life gave the lease away itself."""

    def __init__(
        self, *, journal: Journal, clock: Clock, ttl_seconds: float, deliver: Callable[[e.Event], None],
        anchor: Callable[[], ClockAnchor | None], epoch: Callable[[], int] = lambda: 0,
        renewed: Callable[[float], None] = lambda began: None, is_given_up: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._is_given_up = is_given_up
        self._journal, self._clock, self._ttl = journal, clock, ttl_seconds
        self._deliver, self._anchor, self._renewed = deliver, anchor, renewed
        self._epoch, self._met = epoch, 0
        self._hurried = asyncio.Event()
        self._tried_at = clock.now()
        self.until = 0.0

    def hurry(self, met: int = 0) -> None:
        """Renew at once, but not more than once a second: another controller may have taken the lease.

        `met`: an epoch that a proxy knows. If the store still confirms the lease, the store has lost that epoch, and no
        proxy obeys ours.
        """
        self._met = max(self._met, met)
        self._hurried.set()

    async def renew(self) -> None:
        """Renew once. Raises EpochLost, StoreWentBack, StoreError."""
        began = self._tried_at = self._clock.now()
        self.until = await self._journal.renew_lease(now=began, ttl_seconds=self._ttl, anchor=self._anchor())
        self._deliver(e.LeaseRenewed(until=self.until, format=self._journal.format))
        self._renewed(began)

    async def _compare(self) -> None:
        """Raises EpochLost if a proxy knows another holder of this epoch, or a higher epoch: the next life is above."""
        if self._epoch() and self._met >= self._epoch():
            await self._journal.know_epoch(self._met)
            raise EpochLost(f"a proxy knows epoch {self._met}, and the store gave {self._epoch()}: begin anew above it")

    async def run(self) -> None:
        """Run until cancelled, or raise EpochLost, StoreWentBack."""
        is_lost = False
        while True:
            await self._until_due()
            if self._is_given_up():
                continue  # it belongs to others, and this life ends
            try:
                async with asyncio.timeout(self._ttl):
                    await self.renew()
                    await self._compare()
                is_lost = False
            except (EpochLost, StoreWentBack) as exc:
                self._deliver(e.LeaseLost(why=str(exc)))
                raise
            except (StoreError, OSError) as exc:  # includes TimeoutError
                log.error(
                    "lease_not_renewed",
                    error=str(exc) or "no answer",
                    seconds_left=round(self.until - self._clock.now(), 1),
                )
                if not is_lost and self._clock.now() >= self.until:
                    is_lost = True
                    self._deliver(e.LeaseLost(why=str(exc) or "the store does not answer"))

    async def _until_due(self) -> None:
        await nudged(self._hurried, seconds=self._ttl / RENEWALS_PER_TTL)
        self._hurried.clear()
        await asyncio.sleep(max(self._tried_at + HURRY_SECONDS - self._clock.now(), 0.0))
