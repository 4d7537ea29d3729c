"""Play a scenario and return the findings: broken rules, and what should have happened and did not (liveness).

The checker (tests/world/checker.py) has the rules, which are checked after each step; liveness.py has what must hold at
the end. A scenario with findings is played again as a story.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

import structlog

from fenced.model.power import State
from fenced.ports.bus import Message
from tests.fakes.journal import StoredMessage
from tests.golden.story import Play
from tests.simulation.liveness import unfinished
from tests.simulation.scenario import scenario, told
from tests.world.loop import Stuck, run
from tests.world.world import World

CALM_LOOK_SECONDS: Final = 5.0
LOOKS_AT_REST: Final = 5
"""Consecutive checks at which all was at rest: longer than a heartbeat and a watch interval take."""
SILENT_SECONDS: Final = 100.0
"""Without a record: longer than any grace, back-off or gate check, and than liveness waits."""
JOURNAL_ONE_IN: Final = 6
"""In one of so many seeds, records go through the codec and each batch is replayed: slow, and done in every story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one scenario. `problems`: empty for a good one. `operations`: how many changed power."""

    seed: int
    problems: tuple[str, ...]
    operations: int
    fenced: int
    faults: int
    lines: tuple[str, ...] = field(default=())


class Quiet(Play):
    """A play without a story's text, for speed."""

    def _say(self, who: str, text: str) -> None:
        pass

    def _on_published(self, message: Message) -> None:
        self._published(message)

    async def play(self) -> list[str]:
        """Return the findings."""
        self._zero = self.world.clock.now()
        self.world.begin()
        loop = asyncio.get_running_loop()
        for at, words in self._story.script:
            if words == "end":
                await self._calm(at)
                break
            await asyncio.sleep(max(at - loop.time(), 0.0))
            self._say("*", words)
            await self._do(words)
        self.people.leave()
        problems = [] if self.world.checker.violations else unfinished(self.world)
        try:
            await self.world.end()
        except AssertionError as exc:
            problems += str(exc).splitlines()
        return problems

    async def _calm(self, end: float) -> None:
        """Wait for the end, or until nothing more can happen: idle time proves nothing."""
        loop = asyncio.get_running_loop()
        looks, is_waiting = 0, False
        news, told_at = 0, loop.time()
        while loop.time() < end and looks < LOOKS_AT_REST and (is_waiting or loop.time() < told_at + SILENT_SECONDS):
            await asyncio.sleep(min(CALM_LOOK_SECONDS, end - loop.time()))
            looks = looks + 1 if is_at_rest(self.world) else 0
            is_waiting = is_counting(self.world)
            self.world.checker.look()
            if self.world.disk.durable.sequence != news or self._is_troubled:
                news, told_at = self.world.disk.durable.sequence, loop.time()

    @property
    def _is_troubled(self) -> bool:
        """Return whether a daemon is held, or its store is bad."""
        truth = self.world.checker.truth
        return truth is None or truth.troubled_at >= self.world.clock.now()


class Aloud(Quiet):
    """The same with a story's text; it must go the same way."""

    def _say(self, who: str, text: str) -> None:
        Play._say(self, who, text)

    def _on_published(self, message: Message) -> None:
        Play._on_published(self, message)


def simulate(seed: int, *, is_told: bool = False) -> Outcome:
    """Play one seed, from its scenario to its outcome."""
    made = scenario(seed)
    playing: list[Quiet] = []

    async def main() -> list[str]:
        playing.append((Aloud if is_told else Quiet)(made.story, is_journal_checked=seed % JOURNAL_ONE_IN == 0))
        return await playing[0].play()

    try:
        problems = run(main(), seed=seed)
    except (AssertionError, Stuck, ExceptionGroup) as exc:
        problems = [f"{type(exc).__name__}: {exc}"]
    world = playing[0].world
    operations = world.disk.durable.operations.values()
    return Outcome(
        seed=seed,
        problems=tuple(problems),
        operations=sum(operation.is_power_changing for _, operation in operations),
        fenced=sum(operation.is_fenced for _, operation in operations),
        faults=made.faults,
        lines=tuple(playing[0].lines),
    )


def explain(seed: int) -> str:
    """Return a scenario as a story, with what happened and what is wrong."""
    made, outcome = scenario(seed), simulate(seed, is_told=True)
    return "\n".join([*told(made.story), "", "happened", *outcome.lines, "", "problems", *outcome.problems])


def silence_logs() -> None:
    """Silence the engine's log, which a thousand scenarios would flood."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def is_counting(world: World) -> bool:
    """Return whether something is going on that may take long without a record: an operation, a silence not detected
    yet, a gate that looks far back, a next attempt.
    """
    if world.daemon.engine is None:
        return True
    return any(
        state.operation is not None
        or (state.state is State.HEALTHY and not world.machines[name].is_beating)
        or max(state.next_attempt_at, state.cooldown_until) > world.daemon.now()
        or any(gate.gate == "budget" for gate in state.held_by)
        for name, state in world.daemon.engine.fleet.hosts.items()
    )


def is_at_rest(world: World) -> bool:
    """Return whether every host runs and is known as healthy, or is off and to stay so; no operation runs, nothing
    waits for the broker or the store, and no message of a host is on its way.
    """
    engine = world.daemon.engine
    if (
        engine is None
        or world.post.on_its_way
        or any(not row.is_delivered and not _is_refused(world, row) for row in world.disk.durable.outbox.values())
    ):
        return False
    return all(
        state.operation is None
        and not state.held_by
        and (
            world.machines[name].is_beating
            if state.state is State.HEALTHY
            else state.state is State.FENCED and state.is_stay_off and not world.machines[name].is_powered
        )
        for name, state in engine.fleet.hosts.items()
    )


def _is_refused(world: World, row: StoredMessage) -> bool:
    """Return whether it waits for a topic that the broker rejects, maybe for ever."""
    return world.broker.refuses(row.message.topic)
