"""Effects answer for what they start: a read that gets no turn ends as unknown, and its operation goes on (S2)."""

import asyncio

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.effects import EngineEffects
from fenced.engine.race import PathMemory
from fenced.engine.workers import DeviceWorkers
from fenced.model.names import ENGINE, DeviceName, OperationId
from fenced.model.power import Outcome
from tests.engine.test_dropped_ons import NODE, looking
from tests.engine.test_workers import Lines
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry


def read(device: str, number: int) -> c.ReadDevice:
    return c.ReadDevice(
        host=NODE, operation=OperationId("1-1"), device=DeviceName(device), number=number, proxy=ENGINE,
        timeout_seconds=5.0, priority=0,
    )  # fmt: skip


def test_a_read_that_waits_for_its_turn_longer_than_its_timeout_ends_as_unknown() -> None:
    async def main() -> list[e.StepFinished]:
        clock, lines, events = WorldClock(), Lines(3600.0), list[e.Event]()
        workers = DeviceWorkers(
            local=lines, remote=lines, clock=clock, telemetry=RecordingTelemetry(), agent_processes=1,
            has_lease=lambda: True, calls_max=lambda proxy: 1,
        )  # fmt: skip

        async def nothing(*_: object) -> None:
            return None

        fleet = Fleet(racks.inventory(Rack()), epoch=1, started=clock.now())
        effects = EngineEffects(
            fleet=fleet, workers=workers, looking=looking(fleet, clock),
            clock=clock, telemetry=RecordingTelemetry(), memory=PathMemory(), deliver=events.append, ask=nothing,
            reply=nothing, order=nothing,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            effects.run_in(group)
            effects.start(read("pdu-a", 1))
            effects.start(read("pdu-b", 2))
        assert len(lines.log) == 1, "the second had no turn"
        return [it for it in events if isinstance(it, e.StepFinished)]

    ended = run(main())
    assert {(it.number, it.outcome, it.error) for it in ended} == {
        (1, Outcome.UNKNOWN, "no answer within 5.0 s"),
        (2, Outcome.UNKNOWN, "no answer within 5.0 s"),
    }
