"""Plays a scenario and says what it found: broken rules, and what did not come about although it should have (liveness).

The rules are the checker's (tests/world/checker.py), looked at after each step. Here is what must hold at the end, when
everything was mended and time enough has passed. One rule: a scenario that finds something is played again, and told.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Final

import structlog

from fenced.core.state import HostState
from fenced.model.power import State
from fenced.ports.bus import Message
from fenced.ports.control import NotFound
from tests.golden.story import Play
from tests.simulation.scenario import scenario, told
from tests.world.loop import Stuck, run
from tests.world.machines import Machine, Run
from tests.world.world import World

IGNORED_SECONDS: Final = 90.0
"""Longer than any grace, witness wait and look at the gates together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one scenario. `problems`: empty for a good one. `operations`: how many changed power."""

    seed: int
    problems: tuple[str, ...]
    operations: int
    fenced: int
    faults: int
    lines: tuple[str, ...] = field(default=())


class Quiet(Play):
    """A play without its telling, for speed."""

    def _say(self, who: str, text: str) -> None:
        pass

    def _on_published(self, message: Message) -> None:
        self._published(message)

    async def play(self) -> list[str]:
        """What it found."""
        self._zero = self.world.clock.now()
        self.world.begin()
        loop = asyncio.get_running_loop()
        for at, words in self._story.script:
            await asyncio.sleep(max(at - loop.time(), 0.0))
            self._say("*", words)
            if words != "end":
                with contextlib.suppress(NotFound):  # people also cancel what is not there
                    await self._do(words)
        problems = [] if self.world.checker.violations else unfinished(self.world)
        try:
            await self.world.end()
        except AssertionError as exc:
            problems += str(exc).splitlines()
        return problems


class Aloud(Quiet):
    """The same, told as a story: it must go the same way."""

    def _say(self, who: str, text: str) -> None:
        Play._say(self, who, text)

    def _on_published(self, message: Message) -> None:
        Play._on_published(self, message)


def simulate(seed: int, *, is_told: bool = False) -> Outcome:
    """One seed, from its scenario to its outcome."""
    made = scenario(seed)
    playing: list[Quiet] = []

    async def main() -> list[str]:
        playing.append((Aloud if is_told else Quiet)(made.story))
        return await playing[0].play()

    try:
        problems = run(main())
    except (AssertionError, Stuck) as exc:
        problems = [f"{type(exc).__name__}: {exc}"]
    world = playing[0].world
    operations = world.journal.durable.operations.values()
    return Outcome(
        seed=seed,
        problems=tuple(problems),
        operations=sum(operation.is_power_changing for _, operation in operations),
        fenced=sum(operation.is_fenced for _, operation in operations),
        faults=made.faults,
        lines=tuple(playing[0].lines),
    )


def explain(seed: int) -> str:
    """A scenario as a story, with what happened and what is wrong with it."""
    made, outcome = scenario(seed), simulate(seed, is_told=True)
    return "\n".join([*told(made.story), "", "happened", *outcome.lines, "", "problems", *outcome.problems])


def silence_logs() -> None:
    """The engine tells its log of everything; a thousand scenarios would drown in it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


# -- liveness ---------------------------------------------------------------------------------------------------------


def unfinished(world: World) -> list[str]:
    """What should have come about by now."""
    durable, fleet = world.journal.durable, world.engine.fleet
    found = [
        f"liveness: {operation.id} of {operation.host} has not ended by its deadline"
        for _, operation in durable.operations.values()
        if operation.ended is None and world.clock.now() > (operation.restore_deadline or operation.deadline) + 60.0
    ]
    found += [
        f"liveness: {row.message.topic} of {row.at:.1f} was never delivered"
        for row in durable.outbox.values()
        if not row.is_delivered and row.at < world.clock.now() - 60.0
    ]
    for name, machine in world.machines.items():
        why = _left_alone(machine, fleet.hosts[name], world.clock.now())
        if why is not None:
            found.append(f"liveness: {name} {why}")
    return found


def _left_alone(machine: Machine, state: HostState, now: float) -> str | None:
    """A dead host that nobody fences, although nothing stands in the way."""
    is_ignored = state.state in {State.HEALTHY, State.SUSPECT} and now > state.since + IGNORED_SECONDS
    if machine.does is not Run.DEAD or not is_ignored:
        return None
    if state.operation is not None or state.held_by or state.maintenance is not None:
        return None
    return f"is dead and {state.state.value}, with no operation and no gate closed"
