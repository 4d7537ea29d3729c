"""Follows the journal of the controller that decides, and takes the lease when it may (S20, S21).

Folds records as they come, so that a takeover starts from what it knows. It decides nothing and sends nothing. A store
that lacks what was followed ends this life of the controller: the next one reads everything.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple

import structlog

from fenced.core import following
from fenced.core.durable import records as r
from fenced.core.durable.operation_state import IssuedCommand
from fenced.core.durable.records import Entry
from fenced.core.fleet import Fleet
from fenced.core.operation.steps import longest_command_seconds
from fenced.engine.beside import Beside
from fenced.engine.refusals import Refusal
from fenced.engine.replaying import doubt, fold
from fenced.engine.waiting import nudged
from fenced.model.names import DeviceName, HostName, Token
from fenced.ports.clock import Clock
from fenced.ports.journal import Followed, Journal, NotTaken, StoreError, StoreHeld, StoreTooNew, StoreWentBack, Taken

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
"""A successor acts within a second of the release, even if no word of it comes."""
SLICE: Final = 2000
"""Records folded between two turns of the loop."""
PAUSE_SECONDS_MAX: Final = 5.0
HURRIED_LOOK_SECONDS: Final = 0.1
HURRIED_SECONDS: Final = 2.0
"""How long a standby looks more often after it was told to hurry: who stops says so before the release."""


class Learned(NamedTuple):
    """When this controller learned of another one's command, and for how long that may act from then on, in seconds."""

    at: float
    seconds: float


class Standby:
    """`position`: the newest record that is in the fleet. `lag`: how many more the store has."""

    def __init__(
        self, *, fleet: Fleet, journal: Journal, clock: Clock, position: int, tail: Iterable[Entry],
        patience: Callable[[], float], followed: Callable[[], None], known_epoch: Callable[[], int] = lambda: 0,
        beside: Beside | None = None,
    ) -> None:  # fmt: skip
        """`tail`: what the replay folded. `patience`: how much longer than the lease to wait for a better controller,
        in seconds; infinite: this one never takes it. `followed`: called after records were folded. `known_epoch`: the
        highest one that the bus shows."""
        self._fleet, self._journal, self._clock = fleet, journal, clock
        self._patience, self._followed, self._known_epoch = patience, followed, known_epoch
        self._beside = beside or Beside()
        self.position, self.lag = position, 0
        self.turned_at = clock.now()
        self._loaded_at = clock.now()
        self._hurried, self._hurried_until = asyncio.Event(), 0.0
        self._learned: dict[HostName, dict[Token, Learned]] = {}
        self._refusal = Refusal(
            partial(log.error, "journal_not_followed", advice="this standby takes over when it can")
        )
        for entry in tail:
            self._learn(entry)

    async def look(self) -> Taken | None:
        """Follow once, and take the lease if that is allowed now. Raises StoreWentBack, StoreError."""
        self.turned_at = self._clock.now()
        while True:
            followed = await self._journal.follow(after=self.position, limit=SLICE)
            self._fold(followed)
            if not followed.behind:
                break
            await asyncio.sleep(0)
        async with self._beside.turn():
            patience = self._patience()
            if patience == math.inf:
                return None
            taken = await self._journal.take(
                after=self.position, now=self._clock.now(), patience_seconds=patience, at_least=self._known_epoch()
            )
            if taken is not None:
                self._beside.took()
        if taken is not None:
            self._fold(taken.rest)
        return taken

    def hurry(self) -> None:
        """Look at once, and more often for a moment: another controller said something. It is only a hint; the store
        says who may act."""
        self._hurried_until = self._clock.now() + HURRIED_SECONDS
        self._hurried.set()

    async def first_look(self) -> Taken | None:
        """Look at the start, and stand by where the lease must not be taken: people want to ask why."""
        try:
            return await self.look()
        except NotTaken as exc:
            self._refusal.met(exc)
            return None

    async def until_taken(self) -> Taken:
        """Follow until the lease is taken. Raises StoreWentBack, StoreTooNew, and StoreHeld if another controller has
        this name."""
        pause = LOOK_SECONDS
        while True:
            await self._rest(pause)
            try:
                taken = await self.look()
            except (StoreWentBack, StoreHeld, StoreTooNew):
                raise
            except (StoreError, OSError) as exc:
                self._refusal.met(exc)
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
                continue
            self._refusal.over()
            pause = LOOK_SECONDS
            if taken is not None:
                return taken

    async def _rest(self, seconds: float) -> None:
        """Wait until the next look is due. No hint shortens the pauses after a failure."""
        if seconds > LOOK_SECONDS:
            await asyncio.sleep(self._beside.pause(seconds))
        elif self._clock.now() < self._hurried_until:
            await asyncio.sleep(HURRIED_LOOK_SECONDS)
        else:
            await nudged(self._hurried, seconds=self._beside.pause(seconds))
        self._hurried.clear()

    @property
    def refusal(self) -> str:
        """Why the journal can't be followed now; "" if it can."""
        return self._refusal.text

    def outlast(
        self, moved_seconds: float, *, has_ended: Callable[[IssuedCommand], bool]
    ) -> Mapping[HostName, tuple[tuple[Token, float], ...]]:
        """Return until when commands of other controllers may act, by host and token, on this controller's clock.

        A command may act for the whole time that its sender gave it, from when this controller learned of it: the two
        clocks need not agree. `moved_seconds`: how far the clock was set forward since then. `has_ended`: whether its
        proxy says that it started nothing for a command that still runs.
        """
        longest, now = longest_command_seconds(self._fleet.inventory), self._clock.now()
        found: dict[HostName, tuple[tuple[Token, float], ...]] = {}
        for state in self._fleet.states():
            ends = []
            for command in state.commands:
                if command.is_ended:
                    continue
                known = self._learned.get(state.name, {}).get(command.token)
                at, seconds = known if known is not None else (self._loaded_at, longest)
                end = at + seconds + moved_seconds
                if known is None:  # sent before this start, perhaps under other settings
                    end = max(end, command.not_after)
                if has_ended(command):
                    end = min(end, now + self._settle_seconds(state.name, command.device))
                if max(end, command.not_after) > now:
                    ends.append((command.token, end))
            if ends:
                found[state.name] = tuple(ends)
        return found

    def moved(self, seconds: float) -> Mapping[HostName, tuple[tuple[Token, float], ...]]:
        """Return until when this controller's own commands may act, after its clock was set forward by the store's.

        The proxies count a command's time by their own clocks, and the store's clock may have jumped.
        """
        found = {
            state.name: tuple((it.token, it.not_after + seconds) for it in state.commands if not it.is_ended)
            for state in self._fleet.states()
        }
        return {name: ends for name, ends in found.items() if ends}

    def _settle_seconds(self, host: HostName, device: DeviceName) -> float:
        """Return how long a device may still act on a command whose end is known."""
        configured = self._fleet.inventory.hosts.get(host)
        found = [it.settle_seconds for it in configured.devices if it.name == device] if configured is not None else []
        return found[0] if found else longest_command_seconds(self._fleet.inventory)

    def _fold(self, followed: Followed) -> None:
        now = self._clock.now()
        for entry in followed.entries:
            fold(self._fleet, entry)
            following.folded(self._fleet, entry, now)
            self._learn(entry)
        for name, why in followed.faults.items():
            doubt(self._fleet, name, why)
        self.position, self.lag = max(self.position, followed.sequence), followed.behind
        if followed.entries:
            self._followed()

    def _learn(self, entry: Entry) -> None:
        record = entry.record
        if not isinstance(record, r.StepStarted) or record.token is None or entry.host is None:
            return
        assert record.not_after is not None, "a command has its last moment"
        open_still = {it.token for it in self._fleet.known(entry.host).commands}
        before = self._learned.get(entry.host, {})
        kept = {token: learned for token, learned in before.items() if token in open_still}
        kept[record.token] = Learned(self._clock.now(), record.not_after - entry.at)
        self._learned[entry.host] = kept
