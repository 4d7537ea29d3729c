"""S10, S20 at the last check: a command is not sent when the lease is gone by its turn, or by the time at which its
program was noted."""

from collections.abc import Callable

import pytest

from fenced.core.commands import PRIORITY_OFF
from fenced.engine.workers import DeviceWorkers
from fenced.model.names import ENGINE, Token
from fenced.model.power import Power
from fenced.ports.devices import CommandRefused, Started
from tests.engine.test_workers import SPEC, Lines
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.telemetry import RecordingTelemetry


async def refused(has_lease: Callable[[], bool]) -> tuple[list[tuple[float, str]], bool]:
    """Return what was sent of a command that is refused, and whether its program was noted."""
    lines, clock, noted = Lines(1.0), WorldClock(), []
    workers = DeviceWorkers(
        local=lines, remote=lines, clock=clock, telemetry=RecordingTelemetry(), agent_processes=1,
        has_lease=has_lease, calls_max=lambda proxy: 1,
    )  # fmt: skip

    async def on_started(started: Started) -> None:
        noted.append(started.pid)

    with pytest.raises(CommandRefused, match="lease") as refused:
        await workers.switch(
            ENGINE, SPEC, Power.OFF, token=Token(epoch=1, sequence=1), timeout_seconds=20.0,
            not_after=clock.now() + 40.0, settle_seconds=0.0, priority=PRIORITY_OFF,
            on_started=on_started, begins=lambda: None,
        )  # fmt: skip
    assert not refused.value.may_be_done
    return lines.log, bool(noted)


def test_a_command_that_waited_through_the_loss_of_the_lease() -> None:
    assert run(refused(lambda: False)) == ([], False)


def test_a_command_whose_program_was_noted_while_the_lease_was_lost() -> None:
    answers = iter((True, False))
    assert run(refused(lambda: next(answers))) == ([], True)
