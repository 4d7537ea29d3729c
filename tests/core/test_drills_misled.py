"""Drills that something misleads: a silence that the OFF did not cause, a request that joins, what changes before the
first OFF."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import DrillResult, DrillStep
from fenced.core.fleet import Fleet
from fenced.model.names import HostName
from fenced.model.power import Action, Power, State, What
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.core.drill_desk import ONE, OTHER, desk, drill
from tests.world.rack import Rack


def is_off_sent(at: Desk) -> bool:
    return any(record.what is What.OFF for record in at.records(r.StepStarted))


def ended(at: Desk) -> r.DrillEnded:
    (record,) = at.records(r.DrillEnded)
    return record


def is_lit(at: Desk) -> bool:
    return at.power(NODE, at.inventory.hosts[NODE].devices[0].name) is Power.ON


# -- other requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_a_request_without_force_does_not_join_the_drill_of_a_host_that_beats(action: Action) -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=3.0)
    assert at.ask(action, force=False) == "refused alive"
    at.serve(silent=[], seconds=20.0, until="operation_ended")
    assert not at.records(r.HostFenced)
    assert ended(at).result is DrillResult.FAILED


def test_a_request_without_force_joins_once_the_host_is_silent() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=21.0)
    assert at.ask(Action.OFF, force=False).startswith("accepted")


def test_no_two_hosts_are_drilled_at_once_not_even_by_force() -> None:
    at = Desk(Rack(drills=(NODE, OTHER), devices=ONE))
    assert drill(at).startswith("accepted")
    at.serve(seconds=3.0)
    assert drill(at, name=OTHER, force=True) == "refused quiet"


# -- before the first OFF ---------------------------------------------------------------------------------------------


def reloaded(at: Desk, **changes: object) -> None:
    host = replace(at.inventory.hosts[NODE], **changes)  # type: ignore[arg-type]
    at.do(e.InventoryRead(inventory=replace(at.inventory, hosts={**at.inventory.hosts, NODE: host})))


def evidence(at: Desk) -> None:
    said_alive = e.Evidence(
        host=NODE, source="san", received=at.now, is_retained=False, evidence_kind="storage_lease", is_alive=True,
        ttl_seconds=600.0,
    )  # fmt: skip
    at.do(said_alive)


def still_wanted(at: Desk) -> None:
    """The paths were not found at first; now they are."""
    at.race("bmc")
    at.serve(silent=[], seconds=5.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda at: at.beat(workloads=2),
        lambda at: reloaded(at, is_drill=False),
        lambda at: reloaded(at, is_beside_broker=True),
        evidence,
    ],
    ids=["workloads", "no longer marked", "beside the broker", "live evidence"],
)
def test_what_refuses_a_drill_also_stops_it_before_its_first_off(change: object) -> None:
    at = desk(devices=ONE)
    drill(at)
    change(at)  # type: ignore[operator]
    still_wanted(at)
    assert not is_off_sent(at)
    assert ended(at).result is DrillResult.CANCELLED


def test_a_host_that_fell_silent_before_the_first_off_is_not_cut_by_a_drill() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.go(9.0, silent=[NODE])
    still_wanted(at)
    assert not is_off_sent(at)
    assert ended(at).result is DrillResult.CANCELLED


def test_evidence_that_force_overrode_stops_nothing() -> None:
    at = desk(devices=ONE)
    evidence(at)
    drill(at, force=True)
    still_wanted(at)
    assert is_off_sent(at)


# -- a silence that the OFF did not cause -----------------------------------------------------------------------------


def test_a_host_that_says_that_it_stops_was_not_silenced_by_the_off() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=2.5)
    at.beat(status=e.HealthStatus.STOPPING)
    at.serve(seconds=120.0, until="drill_ended")
    assert not at.records(r.HostFenced)
    assert is_lit(at)
    assert ended(at).result is DrillResult.FAILED


def test_a_slow_host_is_not_silent_before_its_beat_is_due_after_our_restart() -> None:
    at = desk(devices=ONE, daemon__startup_quiet_seconds=0.0, daemon__bus_settle_seconds=0.0)
    at.beat(interval=20.0)
    drill(at)
    at.serve(seconds=4.0)
    again = next_life(at)
    again.do(e.BusConnected(at=again.now))
    again.serve(seconds=39.0)  # one beat was lost
    assert not again.records(r.HostFenced)
    again.beat(interval=20.0)
    again.serve(seconds=60.0, until="operation_ended")
    assert not again.records(r.HostFenced)


def next_life(at: Desk, *, down: float = 1.0) -> Desk:
    """Return a desk over the journal of a daemon that was killed and started again."""
    again = Desk(is_calm=False)
    again.inventory, again.now, again.powers = at.inventory, at.now + down, dict(at.powers)
    again.fleet = Fleet(at.inventory, epoch=2, started=again.now)
    for entry in at.entries:
        again.fleet.apply(entry)
    again.do(e.LeaseRenewed(until=FOR_EVER))
    again.do(e.Started())
    return again


def test_a_host_that_falls_silent_with_others_of_its_cluster_is_not_announced() -> None:
    """The outlet feeds the switch of the rack."""
    at = Desk(Rack(drills=(NODE,), devices=ONE, hosts=tuple(f"node-{n}" for n in range(1, 9))))
    cut = [HostName(f"node-{n}") for n in range(2, 7)]
    drill(at)
    at.serve(silent=cut, seconds=120.0, until="drill_ended")
    assert not at.records(r.HostFenced)
    assert ended(at).failed_step is DrillStep.SILENT
    assert is_lit(at)


def test_another_host_that_falls_silent_with_it_fails_the_drill_and_gets_release_grace() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[NODE, OTHER], seconds=120.0, until="drill_ended")
    assert not at.records(r.HostFenced)
    assert OTHER in ended(at).why
    assert is_lit(at)
    at.serve(silent=[NODE, OTHER], seconds=60.0)
    assert at.state(OTHER).operation is None


def test_a_host_that_fell_silent_before_the_first_off_was_not_cut_by_it() -> None:
    at = desk(devices=ONE)
    at.go(10.0, silent=[OTHER])
    drill(at)
    at.serve(silent=[NODE, OTHER], seconds=120.0, until="drill_ended")
    assert [entry.host for entry in at.entries if isinstance(entry.record, r.HostFenced)] == [OTHER, NODE]


def test_without_a_witness_the_others_are_not_said_to_be_cut() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=list(at.inventory.hosts), seconds=600.0, until="drill_ended")
    assert "other hosts heard" in ended(at).why


def test_power_given_back_early_does_not_shorten_the_grace_of_a_bus_outage() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=3.0)
    at.do(e.BusDisconnected(at=at.now, why="it is away"))
    at.go(30.0, silent=list(at.inventory.hosts))
    at.do(e.BusConnected(at=at.now))
    released_from = at.fleet.own.released_from
    at.beat()
    assert at.operation().is_stopped
    assert at.fleet.own.released_from >= released_from


def test_a_host_that_is_not_heard_since_our_restart_may_have_been_cut_too() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[NODE, OTHER], seconds=4.0)
    again = next_life(at)
    again.do(e.BusConnected(at=again.now))
    again.serve(silent=[NODE, OTHER], seconds=500.0, until="drill_ended")
    assert not again.records(r.HostFenced)
    assert is_lit(again)


def test_the_watch_announces_no_drilled_host_while_we_are_deaf() -> None:
    """The daemon was away for longer than the drill may take, so it gives nothing back; then the bus is away."""
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=4.0)
    again = next_life(at, down=1300.0)
    again.serve(silent=list(at.inventory.hosts), seconds=400.0)
    assert again.state().state is State.FAILED
    assert not again.records(r.HostFenced)


def test_the_watch_announces_a_drilled_host_that_stays_silent() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=4.0)
    again = next_life(at, down=1300.0)
    again.do(e.BusConnected(at=again.now))
    again.serve(seconds=400.0, until="host_fenced")
    assert again.records(r.HostFenced)
