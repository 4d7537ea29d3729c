"""Tells the other controllers of this one through the store, and knows them all from there.

Keeps beside the lock what operators said, for a store that goes back in time (S22). Nothing here decides who holds the
lease: the store does.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from fenced.core.durable.fleet_state import Words
from fenced.engine.refusals import Refusal
from fenced.model.names import MAIN_SHARD
from fenced.ports.control import Standby
from fenced.ports.journal import ControllerReport, ControllerView, Journal, StoreError, StoreHeld, StoreTooNew

log = structlog.get_logger(__name__)

REPORTS_PER_TTL: Final = 3
ANSWER_SECONDS: Final = 1.0
"""How long somebody who asks for the controllers waits for the store."""
NOT_YET: Final = (
    "the store names it as the holder, and it does not act yet: it waits until no earlier command may act, or "
    "`fencectl controllers` shows why it can't"
)
CHANGE_LOOK_SECONDS: Final = 0.5
"""How soon the others know that this controller became fit or unfit."""


class Controllers:
    """`views`: all controllers by name, as of the last report. `words`: what operators said until now."""

    def __init__(
        self, *, journal: Journal, ttl_seconds: float, report: Callable[[], ControllerReport],
        words: Callable[[], Words], seen: Callable[[], None], shard: str = MAIN_SHARD,
        pause: Callable[[float], float] = lambda seconds: seconds,
    ) -> None:  # fmt: skip
        """`seen`: called after each report. `shard`: the one whose holder is `active`. `pause`: as at Beside."""
        self._journal, self._ttl, self._report = journal, ttl_seconds, report
        self._words, self._seen, self._shard, self._pause = words, seen, shard, pause
        self._said: ControllerReport | None = None
        self._kept: Words | None = None
        self._refusal = Refusal(partial(log.warning, "controllers_not_known"))
        self.views: tuple[ControllerView, ...] = ()

    async def run(self) -> None:
        """Run until cancelled. Raises StoreHeld if another living controller has this name, and StoreTooNew."""
        while True:
            await self.look()
            end = asyncio.get_running_loop().time() + self._ttl / REPORTS_PER_TTL
            while asyncio.get_running_loop().time() < end and not self._is_changed():  # noqa: ASYNC110 - fitness is computed
                await asyncio.sleep(self._pause(CHANGE_LOOK_SECONDS))

    def _is_changed(self) -> bool:
        if self._said is None:
            return False
        now = self._report()
        return (self._said.unfit, self._said.takes) != (now.unfit, now.takes)

    async def look(self) -> None:
        """Report once. Raises StoreHeld, StoreTooNew."""
        try:
            async with asyncio.timeout(self._ttl):
                self._said = self._report()
                self.views = tuple(await self._journal.report(self._said))
                await self._remember()
        except (StoreHeld, StoreTooNew):
            raise
        except (StoreError, OSError) as exc:  # includes TimeoutError
            self._refusal.met(exc)
            return
        self._refusal.over()
        self._seen()

    async def now(self) -> Sequence[ControllerView]:
        """Return all controllers as the store shows them, or as it last did if it does not answer soon."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._journal.controllers()
        except (StoreError, OSError):  # includes TimeoutError; `look` tells people
            return self.views

    async def keep_words(self) -> None:
        """Keep what operators said before this life ends."""
        try:
            await self._remember()
        except (StoreError, OSError) as exc:
            log.error(
                "words_not_kept", error=str(exc), advice="check the disk of state_dir; then check pauses and arming"
            )

    async def say_unfit(self, why: str) -> None:
        """Report once more before this life ends, so that whoever takes the lease meanwhile knows."""
        report = self._report()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._journal.report(replace(report, unfit=(why, *report.unfit)), is_last=True)
        except (StoreError, OSError) as exc:  # includes TimeoutError; the next life reports it
            self._refusal.met(exc)

    async def _remember(self) -> None:
        words = self._words()
        if words != self._kept:
            await self._journal.remember(words)
            self._kept = words

    def active(self) -> ControllerView | None:
        """Return the controller that holds the shard, as the store last knew; None if nobody does."""
        return self._holder(self.views)

    def where_active(self) -> str | None:
        """Return the address of the active controller's API; None if it is not known."""
        return _address(self.active())

    async def standby(self) -> Standby:
        """Return what this controller says as a standby of the shard. Where it knows no address of the active one, it
        asks the store: another one may have taken the lease a moment ago."""
        view = self.active()
        if _address(view) is None:
            view = self._holder(await self.now())
        if view is None:
            return Standby(None)
        if view.is_self:
            return Standby(None, known=NOT_YET)
        return Standby(
            _address(view), known=f"{view.report.name} acts, and names no address of its API (api.advertise)"
        )

    def _holder(self, views: Sequence[ControllerView]) -> ControllerView | None:
        return next((view for view in views if view.is_alive and self._shard in view.holds), None)

    def fit_others(self) -> Sequence[ControllerView]:
        """Return the controllers that could take the shard from this one."""
        others = (view for view in self.views if view.is_alive and not view.is_self and not view.report.unfit)
        return [view for view in others if view.report.takes is None or self._shard in view.report.takes]


def _address(view: ControllerView | None) -> str | None:
    """Return where others reach the API of another controller."""
    return view.report.address or None if view is not None and not view.is_self else None
