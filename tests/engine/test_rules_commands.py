"""S10 at the last check: a command is not sent when the lease is gone by its turn."""

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


def test_a_command_that_waited_through_the_loss_of_the_lease() -> None:
    async def main() -> list[tuple[float, str]]:
        lines, clock = Lines(1.0), WorldClock()
        workers = DeviceWorkers(
            local=lines, remote=lines, clock=clock, telemetry=RecordingTelemetry(), agent_processes=1,
            has_lease=lambda: False, calls_max=lambda proxy: 1,
        )  # fmt: skip

        async def on_started(started: Started) -> None:
            assert started.pid

        with pytest.raises(CommandRefused, match="lease") as refused:
            await workers.switch(
                ENGINE, SPEC, Power.OFF, token=Token(epoch=1, sequence=1), timeout_seconds=20.0,
                not_after=clock.now() + 40.0, settle_seconds=0.0, priority=PRIORITY_OFF,
                on_started=on_started, begins=lambda: None,
            )  # fmt: skip
        assert not refused.value.may_be_done
        return lines.log

    assert run(main()) == []
