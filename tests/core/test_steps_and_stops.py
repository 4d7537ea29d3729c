"""Single rules of steps, stops and readings, tested on hand-made states."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.evolve_run import spoken_against
from fenced.core.durable.state import DeviceRun, Phase, RaceEntry
from fenced.core.operation import restoring
from fenced.core.operation.phases import stop
from fenced.core.operation.steps import start_read
from fenced.model.names import ENGINE, OperationId, ProxyName
from fenced.model.power import Action, Cause, Kind, Outcome, Power, Verdict
from tests.core.endings_desk import OUTLET, on_the_desk

OTHER = ProxyName("p1")


def test_an_operation_that_is_closing_is_not_stopped_again() -> None:
    work, operation = on_the_desk(Action.OFF)
    work.fleet.put(replace(work.state, operation=replace(operation, phase=Phase.CLOSING)))
    stop(work, "told")
    assert (work.work.entries, work.work.commands) == ([], [])


def test_nothing_is_stopped_where_nothing_runs() -> None:
    work, _ = on_the_desk(Action.OFF)
    stop(work, "told")
    assert (work.work.entries, work.work.commands) == ([], [])


@pytest.mark.parametrize("why", ["forbidden", "disarmed", "off"])
def test_a_restore_that_is_called_off_sends_nothing_more(why: str) -> None:
    work, operation = on_the_desk(Action.OFF if why == "off" else Action.ON, cause=Cause.REQUEST)
    operation = replace(operation, phase=Phase.RESTORING, restore_started=work.now)
    work.fleet.put(replace(work.state, operation=operation, is_on_forbidden=why == "forbidden"))
    if why == "disarmed":
        work.work.record_fleet(r.Disarmed(by="person", reason="told"))
    restoring.advance(work, operation)
    kinds = [type(entry.record) for entry in work.work.entries if entry.host is not None]
    assert kinds == [r.EndingDecided, r.PhaseEntered]
    assert not [it for it in work.work.commands if isinstance(it, c.RunRace | c.ReadDevice | c.SwitchDevice)]


@pytest.mark.parametrize(("through", "is_short"), [(None, False), (ENGINE, False), (OTHER, True)])
def test_a_read_through_another_path_gets_no_more_time_than_a_probe(through: ProxyName | None, is_short: bool) -> None:
    work, operation = on_the_desk(Action.OFF)
    runs = tuple(replace(run, proxy=ENGINE) for run in operation.devices)
    operation = replace(operation, devices=runs)
    work.fleet.put(replace(work.state, operation=operation))
    start_read(work, operation, operation.run(OUTLET), priority=c.PRIORITY_OFF, proxy=through)
    (read,) = [command for command in work.work.commands if isinstance(command, c.ReadDevice)]
    probe = work.fleet.inventory.daemon.race.probe_timeout_seconds
    attempt = work.host.device(OUTLET).power.attempt_timeout_seconds
    assert probe < attempt
    assert read.timeout_seconds == (probe if is_short else attempt)
    assert read.proxy == (through or ENGINE)


@pytest.mark.parametrize(("started_ms", "power"), [(1999, Power.UNKNOWN), (2000, Power.UNKNOWN), (2001, Power.ON)])
def test_an_on_that_was_read_elsewhere_counts_if_its_reading_began_after_the_command(
    started_ms: int, power: Power
) -> None:
    run = DeviceRun(device=OUTLET, level=1, kind=Kind.OUTLET, command_ended_at=12.0, command_outcome=Outcome.DONE)
    read = RaceEntry(proxy=OTHER, tier=1, verdict=Verdict.WON, started_ms=started_ms, power=Power.ON)
    record = r.RaceEnded(
        operation=OperationId("4-1"), device=OUTLET, winner=OTHER, reserves=(), entries=(read,), power=Power.ON,
        again_at=0.0
    )  # fmt: skip
    after = spoken_against(run, 15.0, record, 10.0)
    assert [word.power for word in after.words] == [power]
