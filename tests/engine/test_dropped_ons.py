"""An operator cancels an ON that waits for its turn; one that has begun runs to its end (S19, S6)."""

import asyncio
from collections.abc import Callable

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.effects import EngineEffects
from fenced.engine.looking import Looking
from fenced.engine.race import PathMemory
from fenced.engine.workers import DeviceWorkers
from fenced.model.names import ENGINE, DeviceName, HostName, OperationId, Token
from fenced.model.power import Outcome, What
from fenced.ports.liveness import Question, Seen, unknown
from tests.engine.test_workers import Lines
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry

NODE = HostName("node-2")
OPERATION = OperationId("1-1")


class Nobody:
    """ports.liveness.Liveness: no host answers."""

    async def look(self, question: Question, *, why_not: object = None) -> tuple[Seen, ...]:
        return unknown(question, "nobody looks")


def looking(fleet: Fleet, clock: WorldClock) -> Looking:
    return Looking(fleet=fleet, liveness=Nobody(), clock=clock, telemetry=RecordingTelemetry())


def switch(what: What, device: str, sequence: int, clock: WorldClock) -> c.SwitchDevice:
    return c.SwitchDevice(
        host=NODE, operation=OPERATION, device=DeviceName(device), number=sequence, what=what, proxy=ENGINE,
        token=Token(epoch=1, sequence=sequence), timeout_seconds=20.0, not_after=clock.now() + 40.0, priority=0,
    )  # fmt: skip


def over(
    lines: Lines, clock: WorldClock, events: list[e.Event], *, has_lease: Callable[[], bool] = lambda: True
) -> EngineEffects:  # fmt: skip
    """Return effects that have one place for commands, and deliver into `events`."""
    fleet, telemetry = Fleet(racks.inventory(Rack()), epoch=1, started=clock.now()), RecordingTelemetry()
    workers = DeviceWorkers(
        local=lines, remote=lines, clock=clock, telemetry=telemetry, agent_processes=1, has_lease=has_lease,
        calls_max=lambda proxy: 1,
    )  # fmt: skip

    async def nothing(*_: object) -> None:
        return None

    return EngineEffects(
        fleet=fleet, workers=workers, looking=looking(fleet, clock), clock=clock, telemetry=telemetry,
        memory=PathMemory(), deliver=events.append, ask=nothing, reply=nothing, order=nothing,
    )  # fmt: skip


def played(*, after: float, what: What = What.ON) -> tuple[list[str], list[tuple[str, Outcome, str | None]]]:
    """Start two commands for one place; `after` seconds later the second's operation drops its ONs.

    Return the calls and the results.
    """

    async def main() -> tuple[list[str], list[tuple[str, Outcome, str | None]]]:
        clock, lines, events = WorldClock(), Lines(5.0), list[e.Event]()
        effects = over(lines, clock, events)
        async with asyncio.TaskGroup() as group:
            effects.run_in(group)
            effects.start(switch(what, "pdu-a", 1, clock))
            effects.start(switch(what, "pdu-b", 2, clock))
            if after:
                await asyncio.sleep(after)
            effects.start(c.DropOns(host=NODE, operation=OPERATION, why="maintenance by person"))
        ended = [it for it in events if isinstance(it, e.StepFinished)]
        assert all(it.is_end_known for it in ended)
        return [what for _, what in lines.log], [(str(it.device), it.outcome, it.error) for it in ended]

    return run(main())


def test_what_waits_is_taken_back_and_what_has_begun_goes_on() -> None:
    left, ended = played(after=1.0)
    assert len(left) == 1 and "pdu-a" in left[0]
    assert ended == [
        ("pdu-b", Outcome.REFUSED, "not begun: maintenance by person"),
        ("pdu-a", Outcome.DONE, None),
    ]


def test_what_never_ran_at_all_is_taken_back_too() -> None:
    left, ended = played(after=0.0)
    assert left == []
    assert [outcome for _, outcome, _ in ended] == [Outcome.REFUSED, Outcome.REFUSED]


def test_an_off_is_not_taken_back() -> None:
    left, ended = played(after=1.0, what=What.OFF)
    assert len(left) == 2
    assert [outcome for _, outcome, _ in ended] == [Outcome.DONE, Outcome.DONE]
