"""Owns all hosts in one task: inbox -> core -> journal -> effects. The only place that starts a command.

A batch of events is decided, made durable in one transaction, and only then acted on (S3). When the store rejects it,
the batch is rolled back and decided again later: no effect runs ahead of its record. Kill the process after any line:
what was not appended did not happen, what was appended resumes at the next start (core.operation.recovery).
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core import following
from fenced.core.decide import NOTHING_CHANGED, Decision, decide
from fenced.core.fleet import Fleet
from fenced.engine.asked import Asked, Callers, folded, is_look, with_words
from fenced.engine.batch import Collected, batch_of, collect
from fenced.engine.pulse import Pulse
from fenced.model.answers import Answer
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName
from fenced.ports.clock import Clock
from fenced.ports.control import Standby, Unavailable
from fenced.ports.journal import BudgetClosed, EpochLost, Journal, StoreError, StoreWentBack, Word, WordsUnread
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

BATCH_MAX = 500
"""To decide and store more at once takes a busy machine so long that the loop stalls, which stretches every grace."""
INBOX_MAX = 200_000
TICK_SECONDS = 0.5
"""How often the loop's lag is measured. An idle loop counts as having turned at each tick."""
STALL_SECONDS = 0.75
"""A turn of the loop that comes this much late is a stall: no host was silent then (S11)."""
BEHIND_SECONDS = 5.0
"""Timers this late fire even if the inbox is not empty: operations have deadlines (S14)."""

GATES_LOOK_SECONDS = 10.0
"""How often the gates of the whole fleet and of clusters are checked, in a turn that comes anyway."""

RETRY_SECONDS = 0.5
ONCE = (e.TimerFired, e.PausesDue, e.GatesDue, e.LeaseRenewed, e.LeaseLost, e.BudgetSeen, e.WordsRead)
"""Not queued again after a rejected batch: they recur, or their decision stays."""

TIMER_MARGIN_SECONDS = 0.001
"""The loop's timers count whole milliseconds and may fire a little early; a wake-up waits until it is due."""


class Effects(Protocol):
    """Starts the core's commands; each effect answers with an event, later."""

    def start(self, command: c.Command) -> None: ...


class Reactor:
    """Decides, makes durable, then starts; a standby only hears. `observe` gets each durable batch (metrics,
    logs, watchers), `heard` each event without a waiting caller, with its decision. `where_active`: the address of the
    controller that decides."""

    def __init__(
        self, *, fleet: Fleet, journal: Journal, clock: Clock, telemetry: Telemetry, controller: str,
        observe: Callable[[Collected], None], heard: Callable[[e.Event, Decision], None], wall: Wall = as_steady,
        where_active: Callable[[], str | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._where_active = where_active
        self._wall = wall
        self.fleet = fleet
        self._journal, self._clock, self._telemetry = journal, clock, telemetry
        self._controller, self._observe, self._heard = controller, observe, heard
        self._inbox: deque[Asked] = deque()
        self._callers, self._pulse = Callers(), Pulse()
        self._wakes: list[tuple[float, HostName]] = []
        self._awake = asyncio.Event()
        self._is_waiting = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at, self._turned_at = float("inf"), clock.now()
        self._dropped = 0
        self._losses = 0
        """Losses of the lease that were delivered and are not yet decided."""
        self._is_draining = self._is_given_up = False
        self._words: tuple[Word, ...] = ()
        """What other controllers accepted, and no record holds yet; decided before anything else."""
        self._are_words_said = False
        self._gates_looked_at = clock.now()
        self._is_first = True
        """Whether no batch of this life is durable yet."""
        self.last_sequence = 0
        self.store_refusal = ""
        """Why the store rejected the last records; "" once it accepts some again."""
        self._tick_timer: asyncio.TimerHandle | None = None
        self._tick_due = clock.now()
        self._effects: Effects | None = None

    def use(self, effects: Effects) -> None:
        """Connect the effects; before `run`."""
        self._effects = effects

    @property
    def turned_at(self) -> float:
        """When the loop last came around (steady clock), for the watchdog."""
        return self._turned_at

    def deliver(self, event: e.Event) -> None:
        """Put an event into the inbox; never blocks. At the bound heartbeats are dropped and the time counts as
        deafness.

        A lost lease and the daemon's stop take effect at once, ahead of the inbox: the store that lost the lease may
        delay the very batch before it.
        """
        if isinstance(event, e.LeaseLost):
            self._losses += 1
            self._start(c.KillOns())
        elif isinstance(event, e.DrainStarted):
            self._is_draining = True
        if len(self._inbox) >= INBOX_MAX and isinstance(event, e.Health | e.Presence | e.Evidence):
            self._dropped += 1
            return
        self._inbox.append(Asked(event, self._clock.now()))
        self._awake.set()

    def begin(self, started: e.Started, *, epoch: int, lease_until: float, words: Sequence[Word] = ()) -> None:
        """Decide from now on, with the lease that was taken: first the words that wait, then what another controller
        left, then the inbox."""
        self.fleet.epoch, self._words = epoch, tuple(words)
        now = self._clock.now()
        self._inbox.extendleft((Asked(started, now), Asked(e.LeaseRenewed(until=lease_until), now)))
        self._awake.set()

    def look_at_words(self) -> None:
        """Read in the next turn what other controllers accepted."""
        self._are_words_said = True
        self._awake.set()

    def give_up(self, why: str) -> None:
        """Act, publish and record no more in this life, even if the lease is renewed once more: a message that is under
        way at the release may come after the successor's, and a record after it would end this process as a fault."""
        self._is_given_up = True
        self.deliver(e.LeaseLost(why=why))

    @property
    def is_resting(self) -> bool:
        """Whether what came before it gave up is durable, so that it decides no more."""
        return self._is_given_up and not self._losses

    def holds_lease(self) -> bool:
        """Whether this daemon owns the store. False as soon as the loss is delivered."""
        return not self._losses and not self._is_given_up and self.fleet.holds_lease(self._clock.now())

    def has_lease(self) -> bool:
        """Whether a power command may start: the lease is held and the daemon is not stopping."""
        return self.holds_lease() and not self._is_draining and self.fleet.has_lease(self._clock.now())

    async def ask(self, event: e.Event) -> Answer | None:
        """Deliver and wait until the decision is durable.

        Raises Unavailable when the store rejects it, and at the end of this life.
        """
        future = self._callers.new(event)
        self._inbox.append(Asked(event, self._clock.now(), future))
        self._awake.set()
        return await future

    def end(self) -> None:
        """Tell callers that this life is over: nobody else would answer them."""
        self._callers.end()

    async def run(self) -> None:
        """Run until cancelled, or raise EpochLost when another controller took over."""
        self._turned_at = self._tick_due = self._clock.now()
        self._tick()
        try:
            while True:
                self._is_waiting = True
                await self._awake.wait()
                self._is_waiting = False
                self._awake.clear()
                await self._turn()
        finally:
            if self._tick_timer is not None:
                self._tick_timer.cancel()
            if self._timer is not None:
                self._timer.cancel()

    # -- one turn -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        while not self.is_resting and (asked := await self._next()):
            await self._decide_durably(asked)
            if not self._has_work(self._clock.now()):
                break
            await asyncio.sleep(0)
        self._arm_timer()

    async def _next(self) -> list[Asked]:
        """Read words here, between two batches: those that a batch has folded are gone by now."""
        if self._are_words_said and not self.fleet.is_standby:
            self._are_words_said = False
            try:
                self._words = tuple(await self._journal.words())
            except StoreError as exc:
                log.warning("words_not_read", error=str(exc), advice="the next look, or the next batch, reads them")
        return self._take()

    def _take(self) -> list[Asked]:
        now = self._clock.now()
        asked: list[Asked] = []
        gap = now - self._turned_at - TICK_SECONDS
        if gap > STALL_SECONDS or self._dropped:
            asked.append(Asked(e.Stalled(seconds=max(gap, 0.0) + TICK_SECONDS, at=now), now))
            self._dropped = 0
            log.warning("stalled", seconds=round(gap, 2))
        self._turned_at = now
        while self._inbox and len(asked) < BATCH_MAX:
            asked.append(self._inbox.popleft())
        self._pulse.read(asked)
        # LifeAsked triggers a silence check, so decide heartbeats first.
        asked.sort(key=is_look)
        # No timer fires early, not by a microsecond: the core relies on a wake-up that is still ahead. A silence is
        # checked only after all messages that had arrived when the check was due, and is measured up to there: time in
        # the inbox is no host's silence. If the daemon is hopelessly behind, timers fire anyway, for operations have
        # deadlines.
        due = min(now, max(self._heard_until, now - BEHIND_SECONDS))
        while self._wakes and self._wakes[0][0] <= due and len(asked) < 2 * BATCH_MAX:
            _, name = heapq.heappop(self._wakes)
            asked.append(Asked(e.TimerFired(host=name), now))
        if self.fleet.is_standby:
            return asked
        if self._words:
            asked = with_words(asked, self._words, now)
        if self.fleet.pauses_over(now):
            asked.append(Asked(e.PausesDue(), now))
        if now >= self._gates_looked_at + GATES_LOOK_SECONDS:
            self._gates_looked_at = now
            asked.append(Asked(e.GatesDue(), now))
        return asked

    @property
    def _heard_until(self) -> float:
        """Return the time up to which everything that arrived is decided."""
        return self._inbox[0].at if self._inbox else float("inf")

    async def _decide_durably(self, asked: Sequence[Asked]) -> None:
        if self.fleet.is_standby:
            self._hear(asked)
            return
        self.fleet.begin(heard_until=self._heard_until, is_lease_lost=bool(self._losses))
        now = self._clock.now()
        decisions = [decide(self.fleet, entry.event, now) for entry in asked]
        collected = collect(decisions, self.fleet, self._controller, now, self._wall, is_first=self._is_first)
        collected.words = folded(asked)
        if collected.entries or collected.words:
            try:
                await self._append(collected)
            except WordsUnread as exc:
                self._words = exc.words
                self.fleet.roll_back()
                self._inbox.extendleft(reversed(self._again(asked)))
                return
            except (EpochLost, StoreWentBack) as exc:
                self._fail(asked, str(exc))
                raise
            except BudgetClosed as exc:
                log.info("fleet_budget_closed", why=str(exc))
                self._decide_again(asked, e.BudgetSeen(at=self._clock.now(), elsewhere=exc.elsewhere))
                return
            except StoreError as exc:
                self.store_refusal = str(exc)
                log.error("store_refused_records", error=str(exc), records=len(collected.entries))
                self.fleet.roll_back()
                self._put_back(asked, str(exc))
                await asyncio.sleep(RETRY_SECONDS)
                return
        self._finish(asked, decisions, collected)

    def _hear(self, asked: Sequence[Asked]) -> None:
        """Only hear, at a standby: another controller decides."""
        self.fleet.heard_until = self._heard_until
        now = self._clock.now()
        self._count_losses(asked)
        for entry in asked:
            answer = following.refused(self.fleet, entry.event)
            is_heard = answer is not None or following.hear(self.fleet, entry.event, now)
            if entry.future is None:
                self._heard(entry.event, NOTHING_CHANGED)
            elif is_heard and not entry.future.done():
                entry.future.set_result(answer)
            elif not entry.future.done():
                entry.future.set_exception(Standby(self._where_active()))

    def _put_back(self, asked: Sequence[Asked], why: str) -> None:
        """Queue a rejected batch again, ahead of newer events, but for callers that wait."""
        self._inbox = deque(self._fail([*self._again(asked), *self._inbox], why))

    def _decide_again(self, asked: Sequence[Asked], news: e.Event) -> None:
        """Undo a batch, and queue it again behind what was not known when it was decided. Callers go on waiting."""
        self.fleet.roll_back()
        again = self._again(asked)
        self._inbox.extendleft(reversed([Asked(news, self._clock.now()), *again]))

    def _again(self, asked: Sequence[Asked]) -> list[Asked]:
        """Return what a rejected batch leaves to be decided again.

        Timers fire again after the heartbeats, so that the store's trouble is no host's silence. What was decided about
        the lease stays: the store may renew it and reject the batch.
        """
        now = self._clock.now()
        self._count_losses(asked)
        for entry in asked:
            if isinstance(entry.event, e.TimerFired):
                heapq.heappush(self._wakes, (now, entry.event.host))
        return [entry for entry in asked if not isinstance(entry.event, ONCE)]

    async def _append(self, collected: Collected) -> None:
        started = self._clock.now()
        self.last_sequence = await self._journal.append(batch_of(collected))
        self._is_first = False
        self.store_refusal = ""
        self._telemetry.journal_append(self._clock.now() - started)

    def _fail(self, asked: Iterable[Asked], why: str) -> list[Asked]:
        """Fail the waiting callers at once and return the entries to decide again. AgentSeen and InventoryRead stay,
        for their callers must wait."""
        kept: list[Asked] = []
        for entry in asked:
            future = entry.future
            if future is None or isinstance(entry.event, e.AgentSeen | e.InventoryRead):
                kept.append(entry)
            elif not future.done():
                future.set_exception(Unavailable(f"the store rejects writes: {why}"))
        return kept

    def _finish(self, asked: Sequence[Asked], decisions: Sequence[Decision], collected: Collected) -> None:
        self.fleet.settle()
        self._count_losses(asked)
        if collected.words:
            self._words = ()
            log.warning("words_folded", words=len(collected.words), advice="operators said them at another controller")
        for entry, decision in zip(asked, decisions, strict=True):
            for command in decision.commands:
                self._start(command)
            if entry.future is not None and not entry.future.done():
                entry.future.set_result(decision.answer)
        if collected.entries:
            self._observe(collected)
        self._arm_timer()
        for entry, decision in zip(asked, decisions, strict=True):
            if entry.future is None:
                self._heard(entry.event, decision)

    def _count_losses(self, decided: Iterable[Asked]) -> None:
        self._losses -= sum(isinstance(entry.event, e.LeaseLost) for entry in decided)

    def _start(self, command: c.Command) -> None:
        if isinstance(command, c.Wake):
            heapq.heappush(self._wakes, (command.at, command.host))
            return
        assert self._effects is not None
        self._effects.start(command)

    # -- timers -------------------------------------------------------------------------------------------------------

    def _arm_timer(self) -> None:
        if not self._wakes or self._wakes[0][0] >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._wakes[0][0]
        delay = max(self._timer_at - self._clock.now(), 0.0) + TIMER_MARGIN_SECONDS
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._awake.set()

    def _tick(self) -> None:
        now = self._clock.now()
        self._telemetry.loop_lag(lag := max(now - self._tick_due, 0.0))
        if (measured := self._pulse.tick(lag, now)) is not None:
            self.deliver(measured)
        self._tick_due = now + TICK_SECONDS
        self._tick_timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
        if self.is_resting or (self._is_waiting and not self._has_work(now)):
            self._turned_at = now  # a turn now would find nothing to do
        else:
            self._awake.set()

    def _has_work(self, now: float) -> bool:
        """Return whether a turn now would have work; a late turn counts, because it is a stall."""
        is_late = now - self._turned_at - TICK_SECONDS > STALL_SECONDS
        is_waking = bool(self._wakes) and self._wakes[0][0] <= now
        is_told = bool(self._inbox) or bool(self._dropped) or bool(self._words)
        is_pause_over = not self.fleet.is_standby and bool(self.fleet.pauses_over(now))
        return is_late or is_waking or is_told or is_pause_over
