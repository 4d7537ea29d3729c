"""The sweep: play a story again and again, each time with the daemon killed at another point and started again, or
with one batch refused by the store.

It dies after every durable batch, and before and after every power command, from the first operation on. Every run must
reach the same end, with the checker's rules on the way. Where S13 forbids the daemon to go on by itself (too late, or
before the first OFF of a person's request), a person who sees that repeats the request; then the end must be the same,
too.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.state import DrillResult, HostState
from fenced.model.power import State
from tests.golden.story import Story
from tests.simulation.play import Quiet
from tests.world.daemon import Point
from tests.world.loop import run
from tests.world.machines import Run
from tests.world.rack import Setting
from tests.world.wires import Sent

PAUSES: Final = (1.0, 900.0)
"""A restart soon after the crash, and one long after every deadline."""
LOOK_SECONDS: Final = 60.0
LOOKS_MAX: Final = 20
QUICK: Final[dict[str, Setting]] = {
    "daemon.startup_quiet_seconds": 20.0,
    "detection.release_grace_seconds": 30.0,
    "detection.boot_grace_seconds": 60.0,
    "detection.watch_interval_seconds": 20.0,
    "gates.attempts_count": 6,
    "gates.budget_hosts": 6,
    "gates.cooldown_seconds": 10.0,
    "power.operation_timeout_seconds": 60.0,
    "power.restore_timeout_seconds": 60.0,
}
"""Settings with which a story ends within the time to settle, whatever happens."""

ROUNDS_MAX: Final = 4
"""How often a person checks the result and repeats what only people may request."""


class Kill(Enum):
    """Where the daemon dies, or the store refuses."""

    RECORDS = "after the records of batch"
    BEFORE = "before command"
    AFTER = "after command"
    REFUSED = "the store refuses batch"
    """Nobody dies: the batch is undone and decided again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death: the `number`-th point of its kind since the first operation, and a start `pause` seconds later."""

    kill: Kill
    number: int
    pause: float

    def __str__(self) -> str:
        if self.kill is Kill.REFUSED:
            return f"{self.kill.value} {self.number}"
        return f"killed {self.kill.value} {self.number}, started again after {self.pause:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one host ends: what is true of it and what is claimed. `is_announced`:
    it was announced as fenced at some time.

    `is_drilled`: a drill of it succeeded. `forgotten`: what is off while the host runs, and is not owed to it (S9).
    """

    host: str
    state: State
    is_powered: bool
    is_running: bool
    is_announced: bool
    is_stay_off: bool
    is_drilled: bool
    forgotten: tuple[str, ...]


class Swept(Quiet):
    """A play in which the daemon is killed once. `counts`: the number of points of each kind."""

    def __init__(self, story: Story, case: Case | None, expected: tuple[End, ...] = ()) -> None:
        rack = replace(story.rack, settings={**story.rack.settings, **QUICK})
        super().__init__(replace(story, rack=rack), is_journal_checked=False)
        self.world.checker.is_replaying = True
        self._case, self._expected = case, expected
        self.counts = dict.fromkeys(Kill, 0)
        self._asked: list[str] = []
        self._killed = asyncio.Event()
        self._has_begun = False
        self.world.daemon.on_point = self._at_point
        self._checked_sent = self.world.wires.on_sent
        self.world.wires.on_sent = self._sent
        self.world.disk.refuse = self._is_refused

    async def to_the_end(self) -> tuple[End, ...]:
        """Play until nothing is left to happen. Raises AssertionError with the checker's findings."""
        self._zero = self.world.clock.now()
        self.world.begin()
        killer = asyncio.create_task(self._kill_once(), name="killer")
        loop = asyncio.get_running_loop()
        for at, words in self._story.script:
            await asyncio.sleep(max(at - loop.time(), 0.0))
            if words.startswith("person "):
                self._asked.append(words.removeprefix("person "))
                await self._ask_until_answered(self._asked[-1])
            elif words != "end":
                await self._do(words)
        ends = await self._settle()
        killer.cancel()
        self.people.leave()
        await self.world.end()
        return ends

    async def _settle(self) -> tuple[End, ...]:
        """Give it time; people check, and do what only they may."""
        for _ in range(ROUNDS_MAX):
            for _ in range(LOOKS_MAX):
                await asyncio.sleep(LOOK_SECONDS)
                if (
                    self.world.daemon.is_running
                    and self._expected
                    and self._ends() == self._expected
                    and self._is_at_rest
                ):
                    return self._ends()
            if not await self._help():
                break
        await self._running()
        assert self._is_at_rest, "an operation runs, or a message was not delivered"
        return self._ends()

    async def _running(self) -> None:
        while not self.world.daemon.is_running:  # noqa: ASYNC110 - it is started at a moment that is known
            await asyncio.sleep(LOOK_SECONDS)

    async def _help(self) -> bool:
        """Return whether a person had to act."""
        await self._running()
        words = [f"on {state.name}" for state in self.world.engine.fleet.hosts.values() if state.is_left_off]
        cut_short = {
            str(entry.host) for entry in self.world.disk.durable.entries.values() if _is_cut_short(entry.record)
        }
        if cut_short and self._asked:
            words += [asked for asked in self._asked if cut_short & set(asked.split())]
            self._asked = []
        for asked in words:
            await self._ask_until_answered(asked)
            await asyncio.sleep(2 * LOOK_SECONDS)
        return bool(words)

    async def _ask_until_answered(self, words: str) -> None:
        """Repeat a request until it is answered: a request that was not durable is lost."""
        await self._running()
        daemon = self.world.daemon
        engine = daemon.engine
        asking = asyncio.create_task(self.people.ask(words), name=f"person {words}")
        await asyncio.sleep(2.0)
        if daemon.engine is not engine:
            await self._ask_until_answered(words)
        await asking
        if self.people.is_to_repeat:
            await self._ask_until_answered(words)

    # -- the death ----------------------------------------------------------------------------------------------------

    def _at_point(self, point: Point) -> None:
        if not self._has_begun:
            self._has_begun = bool(self.world.disk.durable.operations)
        self._count(Kill.RECORDS if point is Point.RECORDS_STORED else Kill.BEFORE)

    def _sent(self, sent: Sent) -> None:
        self._checked_sent(sent)
        self._count(Kill.AFTER)

    def _is_refused(self) -> bool:
        return self._is_case(Kill.REFUSED)

    def _count(self, kill: Kill) -> None:
        if self._is_case(kill) and not self._killed.is_set():
            self.world.daemon.die_after(0, self._killed.set)

    def _is_case(self, kill: Kill) -> bool:
        """Count a point; return whether it is the one of the case."""
        if not self._has_begun:
            return False
        self.counts[kill] += 1
        return self._case is not None and (self._case.kill, self._case.number) == (kill, self.counts[kill])

    async def _kill_once(self) -> None:
        await self._killed.wait()
        assert self._case is not None
        await self.world.crash()
        await asyncio.sleep(self._case.pause)
        await self.world.start()

    # -- the end ------------------------------------------------------------------------------------------------------

    @property
    def _is_at_rest(self) -> bool:
        """Return whether no operation runs and everything was delivered."""
        is_delivered = all(row.is_delivered for row in self.world.disk.durable.outbox.values())
        return is_delivered and all(state.operation is None for state in self.world.engine.fleet.hosts.values())

    def _ends(self) -> tuple[End, ...]:
        durable, fleet = self.world.disk.durable, self.world.engine.fleet
        fenced = {entry.host for entry in durable.entries.values() if isinstance(entry.record, r.HostFenced)}
        return tuple(
            End(
                host=str(name),
                state=state.state,
                is_powered=self.world.machines[name].is_powered,
                is_running=self.world.machines[name].does is Run.RUNNING,
                is_announced=name in fenced,
                is_stay_off=state.is_stay_off,
                is_drilled=state.drilled_at is not None,
                forgotten=self._forgotten(state),
            )
            for name, state in fleet.hosts.items()
        )

    def _forgotten(self, state: HostState) -> tuple[str, ...]:
        machine = self.world.machines[state.name]
        dark = [name for name, plug in machine.plugs.items() if not plug.is_on and machine.is_powered]
        return tuple(str(name) for name in dark if name not in state.owed)


def _is_cut_short(record: r.Record) -> bool:
    """Return whether a person must request it again: the death made it fail."""
    if isinstance(record, r.DrillEnded):
        return record.result is not DrillResult.SUCCEEDED
    return isinstance(record, r.OperationEnded) and "restarted" in (record.why or "")


def played(story: Story, case: Case | None, expected: tuple[End, ...] = ()) -> tuple[tuple[End, ...], dict[Kill, int]]:
    """Return the end of a story in which the daemon dies as the case says (None: never), and the numbers of points."""
    playing: list[Swept] = []

    async def main() -> tuple[End, ...]:
        playing.append(Swept(story, case, expected))
        return await playing[0].to_the_end()

    ends = run(main())
    return ends, playing[0].counts


def cases(counts: dict[Kill, int]) -> Iterator[Case]:
    """Yield every point of a story with these numbers of points."""
    for kill, count in counts.items():
        for number in range(1, count + 1):
            for pause in PAUSES if kill is not Kill.REFUSED else (0.0,):
                yield Case(kill=kill, number=number, pause=pause)


def difference(expected: tuple[End, ...], found: tuple[End, ...]) -> list[str]:
    """Return what ended differently."""
    return [f"{now} instead of {was}" for was, now in zip(expected, found, strict=True) if was != now]
