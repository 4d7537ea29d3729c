"""Hosts that people switched off must not hold fences of the others, and a gate that stays closed is reported (S10)."""

from dataclasses import replace
from typing import Any

import pytest

from fenced.core import closed_gates
from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.allowed import gates, limits, of_many
from fenced.core.allowed.counting import of_cluster
from fenced.core.closed_gates import closed_seconds
from fenced.core.durable import records as r
from fenced.core.durable.standing import SILENT_BEFORE_SECONDS
from fenced.core.fleet import Fleet
from fenced.model.names import ClusterName, HostName
from fenced.model.power import Action, State
from tests.core.desk import CALM_PACE_SECONDS, FOR_EVER, Desk
from tests.world.rack import Rack, Setting

SIX = tuple(f"node-{number}" for number in range(1, 7))
OFF = [HostName(name) for name in SIX[:3]]
LAST = HostName("node-6")
HOUR = 3600.0


def desk(**settings: Setting) -> Desk:
    return Desk(Rack(hosts=SIX, settings={name.replace("__", "."): value for name, value in settings.items()}))


def switch_off(at: Desk, name: HostName, action: Action = Action.OFF) -> None:
    assert at.ask(action, name).startswith("accepted")
    at.serve(silent=OFF, until="host_fenced")


def verdict(at: Desk, gate: str) -> bool:
    return next(it.is_open for it in gates.all_gates(at.fleet, LAST, at.now) if it.gate == gate)


@pytest.mark.parametrize("then", ["", "on", "maintenance"])
def test_hosts_that_people_switched_off_close_nothing(then: str) -> None:
    """Not while they are off, not while they come back, and not in maintenance."""
    at = desk(gates__budget_unrecovered=3)
    for name in OFF:
        switch_off(at, name)
        if then == "on":
            at.ask(Action.ON, name)
        elif then:
            at.maintain(name)
    at.serve(silent=OFF, seconds=60.0)
    assert verdict(at, "connectivity") and verdict(at, "budget")
    at.go(60.0, silent=[*OFF, LAST])
    assert [record.operation.host for record in at.records(r.OperationStarted) if record.operation.is_automatic] == [
        LAST
    ]


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_what_people_do_to_hosts_that_are_cut_off_does_not_open_the_gate_for_the_rest(action: Action) -> None:
    """They were overdue when the request came, though not yet suspect: the link may be cut, and the next host may live
    behind it."""
    at = desk()
    at.go(10.0, silent=OFF)
    assert {at.state(name).state for name in OFF} == {State.HEALTHY}
    assert not verdict(at, "connectivity")
    for name in OFF:
        switch_off(at, name, action)
        assert not verdict(at, "connectivity")
    at.serve(silent=OFF, seconds=60.0)
    assert not verdict(at, "connectivity")
    if action is Action.OFF:  # kept off for long, they no longer count
        at.serve(silent=OFF, seconds=600.0)
        assert verdict(at, "connectivity")


def test_a_person_who_restarts_living_hosts_closes_nothing() -> None:
    at = desk(gates__budget_unrecovered=3)
    for name in OFF:
        switch_off(at, name, Action.RESTART)
    at.serve(silent=OFF, seconds=60.0)
    assert {at.state(name).state for name in OFF} == {State.RESTORING}
    assert verdict(at, "connectivity") and verdict(at, "budget")


def test_a_living_host_that_a_person_switches_off_is_at_no_moment_one_that_has_not_recovered() -> None:
    at = desk()
    at.ask(Action.OFF, OFF[0])
    while at.state(OFF[0]).state is not State.FENCED:
        assert limits.unrecovered(at.fleet, at.now) == ()
        if not at.serve_one():
            at.go(0.25, silent=OFF[:1])
    assert limits.unrecovered(at.fleet, at.now) == ()


def test_hosts_that_we_fenced_count_until_a_person_has_them_in_hand() -> None:
    """Including hosts left off after their last attempt, and hosts that died before an operator requested a restart."""
    at = desk(gates__budget_unrecovered=3, gates__budget_hosts=6, gates__attempts_count=1)
    at.serve(silent=OFF[:2], seconds=60.0)
    assert all(at.state(name).is_left_off for name in OFF[:2])
    at.go(25.0, silent=OFF)
    assert at.state(OFF[2]).state is State.SUSPECT
    switch_off(at, OFF[2], Action.RESTART)
    at.serve(silent=OFF, seconds=30.0)
    assert not verdict(at, "connectivity") and not verdict(at, "budget")
    for name in OFF:
        at.maintain(name)
    at.go(1.0, silent=OFF)
    assert verdict(at, "connectivity") and verdict(at, "budget")


def test_a_host_that_we_fenced_in_maintenance_counts_once_that_is_over() -> None:
    """It stays off, but no person switched it off."""
    at = desk()
    at.fence(OFF[0])
    while not at.waiting(c.SwitchDevice):
        assert at.serve_one()
    at.maintain(OFF[0])
    at.serve(silent=OFF[:1], until="operation_ended")
    assert (at.state(OFF[0]).state, at.state(OFF[0]).is_stay_off) == (State.FENCED, True)
    assert of_cluster(at.fleet, at.inventory.hosts[LAST].cluster, at.now)[:2] == (0, 5)
    at.maintain(OFF[0], is_on=False)
    at.go(SILENT_BEFORE_SECONDS + 1.0, silent=OFF[:1], pace=CALM_PACE_SECONDS)
    assert of_cluster(at.fleet, at.inventory.hosts[LAST].cluster, at.now)[:2] == (1, 6)


def test_a_host_of_which_its_person_lost_sight_counts_again() -> None:
    """The operator switched it on, and it does not come back within its boot_grace."""
    at = desk()
    switch_off(at, OFF[0])
    at.ask(Action.ON, OFF[0])
    at.serve(silent=OFF[:1], seconds=1.0)
    assert of_cluster(at.fleet, at.inventory.hosts[LAST].cluster, at.now)[:2] == (0, 5)
    at.go(at.inventory.hosts[LAST].settings.detection.boot_grace_seconds + 1.0, silent=OFF[:1])
    assert of_cluster(at.fleet, at.inventory.hosts[LAST].cluster, at.now)[:2] == (1, 6)


def silence(at: Desk, seconds: float) -> None:
    """Half of the cluster falls silent, which closes the gate."""
    at.go(seconds, silent=OFF, pace=CALM_PACE_SECONDS)


def told(at: Desk) -> list[tuple[str, str, tuple[HostName, ...]]]:
    return [(it.closed.gate, it.closed.cluster, it.hosts) for it in at.records(r.GateStayedClosed)]


def test_a_gate_that_is_closed_for_an_hour_is_announced_once_and_again_when_it_opens() -> None:
    at = desk()
    cluster = str(at.inventory.hosts[LAST].cluster)
    silence(at, HOUR - 60.0)
    assert told(at) == []
    assert closed_seconds(at.fleet, at.now)["connectivity"] > HOUR - 120.0
    silence(at, 120.0)
    assert told(at) == [("connectivity", cluster, tuple(OFF))]
    assert at.told.count("fleet.gate_closed") == 1
    silence(at, 120.0)
    assert len(told(at)) == 1
    at.go(60.0)
    assert [(it.gate, it.cluster) for it in at.records(r.GateOpened)] == [("connectivity", cluster)]
    assert at.told.count("fleet.gate_open") == 1
    assert closed_seconds(at.fleet, at.now)["connectivity"] == 0.0


def arm(at: Desk, *, is_on: bool, seconds: float) -> None:
    """A gate of the whole fleet opens or closes; nobody is silent."""
    at.do(e.ArmAsked(is_on=is_on, by="person", reason="told"))
    at.go(seconds, pace=CALM_PACE_SECONDS)


def test_a_disarmed_daemon_is_announced_too() -> None:
    at = desk()
    arm(at, is_on=False, seconds=HOUR + 30.0)
    assert [gate for gate, _, _ in told(at)] == ["armed"]
    at.go(HOUR + 30.0, pace=CALM_PACE_SECONDS)
    assert len(told(at)) == 1


def test_a_gate_that_opens_meanwhile_starts_its_hour_again() -> None:
    at = desk()
    arm(at, is_on=False, seconds=HOUR - 60.0)
    arm(at, is_on=True, seconds=30.0)
    arm(at, is_on=False, seconds=HOUR - 60.0)
    assert told(at) == []


def test_nothing_is_written_without_the_lease() -> None:
    at = desk()
    arm(at, is_on=False, seconds=HOUR - 60.0)
    at.do(e.LeaseLost(why="told"))
    at.go(300.0, pace=CALM_PACE_SECONDS)
    assert told(at) == []
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.go(30.0, pace=CALM_PACE_SECONDS)
    assert [gate for gate, _, _ in told(at)] == ["armed"]


def test_after_a_restart_a_closed_gate_is_not_announced_again() -> None:
    at = desk()
    arm(at, is_on=False, seconds=HOUR + 60.0)
    at.fleet.own = replace(at.fleet.own, closed_since={})
    at.go(60.0, pace=CALM_PACE_SECONDS)
    assert len(told(at)) == 1
    assert closed_seconds(at.fleet, at.now)["armed"] > HOUR


def test_a_large_cluster_is_counted_within_a_minute_and_each_time_while_its_gate_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(closed_gates, "LARGE", 2)
    at = desk()
    counted: list[float] = []
    connectivity = of_many.connectivity

    def counting(fleet: Fleet, cluster: ClusterName, now: float, **more: Any) -> Any:
        counted.append(now)
        return connectivity(fleet, cluster, now, **more)

    monkeypatch.setattr(of_many, "connectivity", counting)
    at.go(300.0, pace=CALM_PACE_SECONDS)
    assert 4 <= len(counted) <= 6
    at.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    silent = [HostName(name) for name in SIX[:4]]
    at.go(90.0, silent=silent, pace=CALM_PACE_SECONDS)
    since = closed_seconds(at.fleet, at.now)["connectivity"]
    assert 0.0 < since <= 80.0
    at.go(90.0, silent=silent, pace=CALM_PACE_SECONDS)
    assert closed_seconds(at.fleet, at.now)["connectivity"] == since + 90.0
    at.go(30.0, pace=CALM_PACE_SECONDS)
    assert closed_seconds(at.fleet, at.now)["connectivity"] == 0.0
