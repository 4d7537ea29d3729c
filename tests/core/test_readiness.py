"""Whether a cluster can be armed: each finding, the verdict, and what arming would do at once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable.drill_state import DrillResult
from fenced.core.durable.evolve_suspicions import KEPT_MAX
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.held_suspicion import SuspicionEnd
from fenced.core.durable.state import Fenceable, FenceableLevel, Reason
from fenced.core.readiness.of_cluster import Sum
from fenced.core.readiness.of_host import opened_by, paths
from fenced.core.readiness.values import ADVICE, WEEK_SECONDS, Found, Identity, Weight
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.model.power import Kind, State
from tests.core import drill_desk as drills
from tests.core import readiness_desk as desks
from tests.core.desk import NODE, Desk
from tests.core.readiness_desk import OTHER, cluster, desk, host, kinds, observed_for_a_week, of_cluster, prove
from tests.world.rack import Rack

# -- the verdict ------------------------------------------------------------------------------------------------------


def test_a_watched_proven_quiet_cluster_is_ready_after_a_week() -> None:
    at = desk()
    assert of_cluster(at) == {Found.OBSERVED_TOO_SHORT}
    assert not cluster(at).is_ready
    observed_for_a_week(at)
    found = cluster(at)
    assert (found.is_ready, found.findings) == (True, ())
    figures = found.figures
    assert (figures.hosts, figures.heard, figures.automatic, figures.subject) == (4, 4, 4, 4)
    assert figures.levels[FenceableLevel.FULL] == 4
    assert figures.proven_since == pytest.approx(at.now, abs=10.0)


def test_advice_alone_is_no_reason_against_arming() -> None:
    at = Desk(Rack(settings={"daemon.is_armed_by_file": False, "check.interval_seconds": 300.0}))
    prove(at)
    desks.look_at_all(at)
    observed_for_a_week(at)
    assert of_cluster(at) == {Found.SINGLE_PATH}
    assert cluster(at).is_ready


def test_a_cluster_without_a_host_is_not_ready() -> None:
    at = desk()
    observed_for_a_week(at)
    assert not Sum("c9").result(at.fleet, at.now).is_ready


def test_every_kind_says_what_to_do() -> None:
    assert ADVICE.keys() == set(Found)


# -- one host ---------------------------------------------------------------------------------------------------------


def _silent(at: Desk) -> None:
    at.go(60.0, silent=[NODE])


def _false(at: Desk) -> None:
    _silent(at)
    at.beat()


def _rebooted(at: Desk) -> None:
    _silent(at)
    at.beat(boot="b2")


def _unproven(at: Desk) -> None:
    prove(at, but=NODE)


def _slow(at: Desk) -> None:
    at.go(15.0, silent=[NODE])
    at.beat()


def _forgotten(at: Desk) -> None:
    at.maintain(NODE)
    at.go(2 * 3600.0, pace=5.0)
    prove(at)
    desks.look_at_all(at)


def _faulty(at: Desk) -> None:
    at.fleet.put(replace(at.state(NODE), record_fault="torn"))


def _degraded(at: Desk) -> None:
    why = (Reason(device=None, kind="redundancy", text="one feed"),)
    at.fleet.put(replace(at.state(NODE), fenceable=Fenceable(level=FenceableLevel.DEGRADED, since=at.now, why=why)))


@pytest.mark.parametrize(
    ("do", "found", "weight"),
    [
        (_silent, Found.SILENT, Weight.BLOCKS),
        (_false, Found.FALSE_FENCE, Weight.BLOCKS),
        (_unproven, Found.CANNOT_BE_FENCED, Weight.BLOCKS),
        (_faulty, Found.RECORD, Weight.BLOCKS),
        (_rebooted, Found.REBOOTED, Weight.ADVICE),
        (_slow, Found.SLOW_HEARTBEATS, Weight.ADVICE),
        (_forgotten, Found.MAINTENANCE, Weight.ADVICE),
        (_degraded, Found.DEGRADED, Weight.ADVICE),
    ],
)
def test_a_finding_names_its_host_alone(do: Callable[[Desk], None], found: Found, weight: Weight) -> None:
    at = desk()
    observed_for_a_week(at)
    do(at)
    assert found in kinds(at)
    named = next(finding for finding in cluster(at).findings if finding.found is found)
    assert (named.hosts, named.count) == ((NODE,), 1)
    assert named.weight is weight
    assert cluster(at).is_ready == (weight is Weight.ADVICE)


def test_a_host_that_was_never_heard_or_only_under_another_name() -> None:
    at = Desk(Rack(settings={"check.interval_seconds": 300.0}), is_calm=False)
    assert Found.NEVER_HEARD in kinds(at)
    assert Found.MISNAMED in {finding.found for finding in host(at, misnamed=("NODE-2",)).findings}


def test_hosts_without_a_device_hinder_unless_they_are_protected() -> None:
    at = Desk(Rack(devices=(), protected=("node-1",), settings={"check.interval_seconds": 300.0}))
    assert Found.NO_DEVICE in kinds(at)
    assert Found.NO_DEVICE not in kinds(at, OTHER)
    assert not host(at).is_subject
    assert host(at).proven_at is None


def test_a_fleet_whose_paths_are_not_checked_is_not_ready() -> None:
    at = Desk(Rack(settings={"check.interval_seconds": 0.0}))
    assert Found.NOT_CHECKED in kinds(at)


def test_a_host_that_came_last_week_waits_longer_than_the_others() -> None:
    at = desk()
    observed_for_a_week(at)
    at.fleet.put(replace(at.state(NODE), known_since=at.now - 3600.0))
    assert Found.TOO_NEW in kinds(at)
    assert Found.TOO_NEW not in kinds(at, OTHER)


def test_a_host_on_which_an_operator_works_is_not_judged() -> None:
    at = desk()
    _silent(at)
    at.maintain(NODE)
    assert kinds(at) == set()
    assert not host(at).is_subject


def test_later_suspicions_that_other_gates_held_hide_no_false_fence() -> None:
    at = desk()
    _false(at)
    at.do(e.PauseAsked(match="*", by="person", reason="switch work", until=None))
    for _ in range(KEPT_MAX + 2):
        _false(at)
    assert Found.FALSE_FENCE in kinds(at)


def test_maintenance_hides_no_false_fence() -> None:
    at = desk()
    _false(at)
    at.maintain(NODE)
    assert kinds(at) == {Found.FALSE_FENCE}


def test_each_path_says_when_it_was_proven_or_why_it_cannot_be_used() -> None:
    at = desk()
    assert len(paths(at.fleet, NODE, at.now)) == 4
    assert all(path.proven_at is not None and not path.error for path in paths(at.fleet, NODE, at.now))
    prove(at, but=NODE)
    assert {(path.proven_at, path.error) for path in paths(at.fleet, NODE, at.now)} == {(None, "no route")}
    assert host(at).proven_at is None


def test_a_bmc_that_reports_an_identity_which_no_one_compares() -> None:
    at = Desk(Rack(devices=("bmc:1",), settings={"check.interval_seconds": 300.0}))
    (bmc,) = at.inventory.hosts[NODE].devices
    assert bmc.kind is Kind.CHASSIS
    uuid = "4c4c4544-0042-3510-8051-b4c04f4d3132"
    at.now += 1.0
    proxy = at.fleet.paths.of(at.inventory.hosts[NODE], bmc)[0]
    at.do(
        e.PathChecked(
            host=NODE, device=bmc.name, proxy=proxy, started=at.now, ended=at.now, power=at.power(NODE, bmc.name),
            error=None, identities=(uuid,),
        )
    )  # fmt: skip
    assert Found.IDENTITY_ABSENT in kinds(at)


def test_an_identity_is_confirmed_once_every_bmc_that_has_one_was_read() -> None:
    at = Desk(Rack(devices=("bmc:1", "ilo:1"), settings={"check.interval_seconds": 300.0}))
    inventory = at.fleet.inventory
    devices = tuple(replace(it, spec=replace(it.spec, identity="4c4c4544")) for it in inventory.hosts[NODE].devices)
    known = replace(inventory.hosts[NODE], devices=devices)
    at.do(e.InventoryRead(inventory=replace(inventory, hosts={**inventory.hosts, NODE: known})))
    found = [host(at).identity]
    for device in reversed(devices):
        at.now += 1.0
        at.do(
            e.PathChecked(
                host=NODE, device=device.name, proxy=at.fleet.paths.of(known, device)[0], started=at.now, ended=at.now,
                power=at.power(NODE, device.name), error=None,
            )
        )  # fmt: skip
        found.append(host(at).identity)
    assert found == [Identity.UNCONFIRMED, Identity.UNCONFIRMED, Identity.CONFIRMED]
    assert host(at, OTHER).identity is Identity.NONE


def test_a_finding_says_three_reasons_of_many() -> None:
    at = desk()
    why = tuple(Reason(device=None, kind="unreadable", text=f"reason {number}") for number in range(9))
    at.fleet.put(replace(at.state(NODE), fenceable=Fenceable(level=FenceableLevel.NONE, since=at.now, why=why)))
    (text,) = (finding.text for finding in host(at).findings if finding.found is Found.CANNOT_BE_FENCED)
    assert [f"reason {number}" in text for number in (0, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(
    ("hours", "said"), [(1.5, "90 minutes"), (2.0, "2 hours"), (47.0, "47 hours"), (48.0, "2 days"), (240.0, "10 days")]
)
def test_a_long_time_is_said_in_the_unit_that_suits_it(hours: float, said: str) -> None:
    at = desk()
    at.maintain(NODE)
    at.now += hours * 3600.0
    (finding,) = host(at).findings
    assert finding.text.startswith(f"in maintenance for {said} and without an end")


# -- figures ----------------------------------------------------------------------------------------------------------


def test_a_false_fence_is_counted_as_one_with_the_silence_that_a_longer_grace_would_bridge() -> None:
    at = desk()
    _false(at)
    figures = cluster(at).figures
    assert figures.would_be == {SuspicionEnd.HEARD: 1}
    assert figures.longest_false_seconds is not None
    assert 60.0 <= figures.longest_false_seconds <= 70.0


def test_what_other_gates_held_is_counted_apart() -> None:
    at = desk()
    at.do(e.PauseAsked(match="*", by="person", reason="switch work", until=None))
    _false(at)
    figures = cluster(at).figures
    assert (figures.would_be, figures.held) == ({}, {SuspicionEnd.HEARD: 1})
    assert Found.FALSE_FENCE not in kinds(at)


def test_hosts_whose_fencing_was_tried_out_are_counted() -> None:
    at = desk()
    found = Sum("c1")
    found.add(replace(host(at), last_drill=at.now))
    found.add(host(at, OTHER))
    assert found.figures.drilled == 1


def test_the_fleet_is_the_sum_of_its_clusters() -> None:
    at = desk()
    _false(at)
    whole, first, second = Sum(""), Sum("c1"), Sum("c2")
    first.add(host(at))
    second.add(host(at, OTHER))
    whole.merge(first)
    whole.merge(second)
    both = Sum("")
    for name in (NODE, OTHER):
        both.add(host(at, name))
    assert whole.figures == both.figures
    assert whole.result(at.fleet, at.now) == both.result(at.fleet, at.now)


def test_after_a_week_a_false_fence_is_forgotten() -> None:
    at = desk()
    _false(at)
    at.now += WEEK_SECONDS + 60.0
    assert cluster(at).figures.would_be == {}
    assert Found.FALSE_FENCE not in kinds(at)


def test_a_doubtful_store_and_a_gate_that_is_closed_for_long_hinder_every_cluster() -> None:
    at = desk()
    at.fleet.state = FleetState(store_hold="another store")
    at.fleet.own = replace(at.fleet.own, closed_since={("connectivity", "c1"): at.now - 7200.0, ("armed", ""): 0.0})
    assert {Found.STORE, Found.GATE_CLOSED} <= of_cluster(at)
    gates = [finding.text for finding in cluster(at).findings if finding.found is Found.GATE_CLOSED]
    assert [text.split()[1] for text in gates] == ["connectivity"]  # `armed` is what arming opens
    of_another = Sum("c2").result(at.fleet, at.now).findings
    assert Found.STORE in {finding.found for finding in of_another}
    assert Found.GATE_CLOSED not in {finding.found for finding in of_another}
    assert Found.GATE_CLOSED in {finding.found for finding in Sum("").result(at.fleet, at.now).findings}


def test_a_single_host_has_no_witness() -> None:
    at = desk(hosts=("node-2",))
    assert Found.NO_WITNESS in of_cluster(at)


# -- arming -----------------------------------------------------------------------------------------------------------


def changed(at: Desk, *, name: HostName = NODE, **settings: object) -> Inventory:
    """Return the inventory with other settings of one host."""
    hosts = dict(at.fleet.inventory.hosts)
    hosts[name] = replace(hosts[name], settings=replace(hosts[name].settings, **settings))  # type: ignore[arg-type]
    return replace(at.fleet.inventory, hosts=hosts)


def test_a_silent_host_that_only_arming_holds_would_be_fenced_at_once() -> None:
    at = desk()
    _silent(at)
    assert cluster(at).figures.at_once == [NODE]
    at.do(e.PauseAsked(match=f"host={NODE}", by="person", reason="switch work", until=None))
    at.go(5.0, silent=[NODE])
    assert cluster(at).figures.at_once == []
    assert cluster(at).figures.silent == 1


def test_a_suspect_whose_gates_were_not_evaluated_yet_counts_as_fenced_at_once() -> None:
    at = desk()
    at.fleet.put(replace(at.state(NODE), state=State.SUSPECT, suspected_at=at.now))
    assert cluster(at).figures.at_once == [NODE]


def test_silent_hosts_that_are_not_automatic_are_named_apart() -> None:
    at = desk(host__automatic=False)
    _silent(at)
    figures = cluster(at).figures
    assert (figures.at_once, figures.at_once_if_automatic) == ([], [NODE])
    assert (figures.automatic, figures.subject) == (0, 0)


def test_a_reload_that_makes_a_silent_host_automatic_says_that_it_may_be_fenced() -> None:
    at = desk(daemon__is_armed_by_file=True, host__automatic=False)
    _silent(at)
    assert opened_by(at.fleet, at.fleet.inventory) == ()
    assert opened_by(at.fleet, changed(at, automatic=True)) == (NODE,)
    assert opened_by(at.fleet, changed(at, name=OTHER, automatic=True)) == ()
    at.do(e.ArmAsked(is_on=False, by="person", reason="first look"))
    assert opened_by(at.fleet, changed(at, automatic=True)) == ()


def test_a_reload_that_arms_the_file_says_which_silent_hosts_may_be_fenced() -> None:
    at = desk()
    _silent(at)
    inventory = at.fleet.inventory
    armed = replace(inventory, daemon=replace(inventory.daemon, is_armed_by_file=True))
    assert opened_by(at.fleet, armed) == (NODE,)


# -- automatic, by reload ---------------------------------------------------------------------------------------------


def test_automatic_by_reload_is_looked_at_at_once() -> None:
    at = desk(daemon__is_armed_by_file=True, host__automatic=False)
    _silent(at)
    at.do(e.InventoryRead(inventory=changed(at, automatic=True)))
    at.go(2.0, silent=[NODE])
    assert at.state(NODE).state is State.FENCING


def test_automatic_taken_back_by_reload_stops_an_operation_that_has_sent_no_off() -> None:
    at = desk(daemon__is_armed_by_file=True)
    at.go(60.0, silent=[NODE])
    assert at.operation().is_automatic
    at.do(e.InventoryRead(inventory=changed(at, automatic=False)))
    at.serve(seconds=30.0)
    assert not [entry for entry in at.entries if entry.record.kind == "step_started" and entry.host == NODE]
    assert at.state(NODE).operation is None
    assert at.state(NODE).suspicions[-1].gates == ("automatic",)


def test_a_failed_drill_hinders_until_another_one_succeeds() -> None:
    """Its devices may feed another machine, and every path to them reads well nevertheless."""
    at = drills.desk(check__interval_seconds=300.0)
    drills.drill(at)
    at.serve(silent=[], seconds=20.0, until="operation_ended")  # it goes on beating while its devices read OFF
    last = at.state().last_drill
    assert last is not None and last.result is DrillResult.FAILED
    (finding,) = (one for one in host(at).findings if one.found is Found.DRILL_FAILED)
    assert finding.weight is Weight.BLOCKS
    assert "at step silent" in finding.text
    assert last.why in finding.text
    at.fleet.put(replace(at.state(), last_drill=replace(last, result=DrillResult.SUCCEEDED, failed_step=None)))
    assert Found.DRILL_FAILED not in kinds(at)
