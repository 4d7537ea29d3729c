"""Each gate open and closed; every gate fails closed (S10, design.md#gates)."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.allowed.counting import of_cluster
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.state import GateVerdict
from fenced.core.work import back_off_seconds
from fenced.model.answers import Accepted
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState, State
from tests.core.desk import FOR_EVER, NODE, Desk, said
from tests.world.rack import Rack, Setting

SIX = tuple(f"node-{number}" for number in range(1, 7))


def rack(*, hosts: tuple[str, ...] = SIX, **settings: Setting) -> Rack:
    return Rack(hosts=hosts, settings={name.replace("__", "."): value for name, value in settings.items()})


def verdict(desk: Desk, gate: str, name: HostName = NODE) -> GateVerdict:
    return next(found for found in gates.all_gates(desk.fleet, name, desk.now) if found.gate == gate)


def is_open(desk: Desk, gate: str, name: HostName = NODE) -> bool:
    return verdict(desk, gate, name).is_open


def held_by(desk: Desk, name: HostName = NODE) -> set[str]:
    return {found.gate for found in desk.state(name).held_by}


def silent(desk: Desk, seconds: float = 30.0) -> None:
    desk.go(seconds, silent=[NODE])


def test_with_every_gate_open_an_operation_starts() -> None:
    desk = Desk(rack())
    silent(desk)
    operation = desk.operation()
    assert operation.is_automatic
    assert {found.gate for found in operation.gates if not found.is_open} == set()
    order = [found.gate for found in operation.gates]
    assert order == ["armed", "lease", "store", "warm_up", "witness", "own_machine", "automatic", "record",
                     "maintenance", "paused", "protected", "known", "devices", "woken", "attempts", "cooldown",
                     "alive_but_silent", "observers", "live_evidence", "connectivity", "storm", "budget",
                     "concurrency"]  # fmt: skip


def test_another_store_than_before_holds_all_until_a_person_releases_it() -> None:
    desk = Desk(rack())
    desk.fleet.own = replace(desk.fleet.own, store_doubt="another one stands there")
    desk.fleet.expected_store = "the-old-one"
    desk.do(e.Started())
    desk.do(e.Started())
    assert desk.told.count("fleet.store_held") == 1
    silent(desk)
    assert held_by(desk) == {"store"}
    assert desk.ask(Action.OFF).startswith("accepted"), "people may act"
    other = HostName("node-3")
    desk.go(60.0, silent=[NODE, other])
    assert held_by(desk, other) == {"store"}
    assert isinstance(desk.do(e.StoreReleaseAsked(by="person", reason="looked")).answer, Accepted)
    assert desk.records(r.StoreReleased)[0].expected == "the-old-one"
    assert is_open(desk, "store", other)
    assert said(desk.do(e.StoreReleaseAsked(by="person", reason="looked")).answer) == "refused store"
    desk.do(e.Started())
    assert is_open(desk, "store", other), "a start that is decided again does not hold it again"


def test_armed_needs_the_file_and_no_newer_disarm() -> None:
    file = Desk(rack(daemon__is_armed_by_file=False))
    silent(file)
    assert held_by(file) == {"armed"}
    assert file.records(r.HostHeld)[0].would == "restart"
    desk = Desk(rack())
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    silent(desk)
    assert held_by(desk) == {"armed"}
    desk.do(e.ArmAsked(is_on=True, by="person", reason=""))
    silent(desk, 3.0)
    assert desk.state().operation is not None


def test_arm_is_refused_while_the_file_says_false() -> None:
    desk = Desk(rack(daemon__is_armed_by_file=False))
    answer = desk.do(e.ArmAsked(is_on=True, by="person", reason="")).answer
    assert getattr(answer, "rule", None) == "armed"


def test_the_lease_must_last_a_moment() -> None:
    desk = Desk(rack())
    desk.do(e.LeaseRenewed(until=desk.now + 0.5))
    assert not is_open(desk, "lease")
    desk.do(e.LeaseRenewed(until=desk.now + 15.0))
    assert is_open(desk, "lease")
    desk.do(e.LeaseLost(why="told"))
    assert not is_open(desk, "lease")
    desk.do(e.LeaseRenewed(until=FOR_EVER))
    desk.fleet.own = replace(desk.fleet.own, is_stopping=True)
    assert not is_open(desk, "lease")


def test_warm_up_is_quiet_time_the_bus_and_its_settling() -> None:
    desk = Desk(rack(), is_calm=False)
    assert not is_open(desk, "warm_up")
    desk.calm()
    assert is_open(desk, "warm_up")
    desk.do(e.BusDisconnected(at=desk.now, why="told"))
    assert not is_open(desk, "warm_up")
    desk.do(e.BusConnected(at=desk.now))
    assert not is_open(desk, "warm_up")
    desk.go(11.0)
    assert is_open(desk, "warm_up")


def test_a_witness_must_be_heard_after_the_last_beat_plus_an_interval() -> None:
    desk = Desk(rack())
    desk.beat()
    desk.now += 5.0
    desk.beat(HostName("node-1"))
    assert not is_open(desk, "witness")
    desk.now += 0.5
    desk.beat(HostName("node-1"))
    assert is_open(desk, "witness")


def test_a_witness_must_be_heard_still() -> None:
    """The others fell silent a moment after the suspect: they were heard after its last beat and are overdue now."""
    desk = Desk(rack(hosts=("node-1", "node-2", "node-3")))
    desk.go(7.0, silent=[NODE])
    gone = [HostName("node-1"), NODE, HostName("node-3")]
    desk.go(60.0, silent=gone)
    assert "witness" in held_by(desk)
    assert not desk.records(r.OperationStarted)


def without_network(case: str, *names: str) -> Desk:
    """Return a cluster in which node-1 reaches the broker without the network that is in doubt."""
    desk = Desk(rack(hosts=names))
    changed = {
        "own machine": {"is_own_machine": True},
        "beside the broker": {"is_beside_broker": True},
        "loopback": {"address": "127.0.0.7"},
        "loopback by IPv6": {"address": "::1"},
    }[case]
    hosts = dict(desk.inventory.hosts)
    hosts[HostName("node-1")] = replace(hosts[HostName("node-1")], **changed)  # type: ignore[arg-type]
    desk.inventory = replace(desk.inventory, hosts=hosts)
    desk.do(e.InventoryRead(inventory=desk.inventory))
    return desk


CASES = ["own machine", "beside the broker", "loopback", "loopback by IPv6"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("names", [("node-1", "node-2"), ("node-1", "node-2", "node-3")])
def test_who_reaches_the_broker_without_the_network_is_no_witness(case: str, names: tuple[str, ...]) -> None:
    desk = without_network(case, *names)
    gone = [name for name in desk.inventory.hosts if name != "node-1"]
    desk.go(120.0, silent=gone)
    assert all("witness" in held_by(desk, name) for name in gone)
    assert not desk.records(r.OperationStarted)


@pytest.mark.parametrize("case", CASES)
def test_beside_one_without_network_another_host_is_a_witness(case: str) -> None:
    desk = without_network(case, "node-1", "node-2", "node-3")
    silent(desk)
    assert desk.state().operation is not None


@pytest.mark.parametrize("case", CASES)
def test_a_small_cluster_of_which_no_host_is_heard_is_held_though_others_are_heard(case: str) -> None:
    """The network of c1 is cut; node-9 of another cluster is heard throughout."""
    names = ("node-1", "node-2", "node-3", "node-9")
    desk = Desk(replace(rack(hosts=names), places={"node-9": "c2/dc1"}))
    gone = [NODE, HostName("node-3")]
    hosts = {**desk.inventory.hosts, **without_network(case, "node-1").inventory.hosts}
    desk.inventory = replace(desk.inventory, hosts=hosts)
    desk.do(e.InventoryRead(inventory=desk.inventory))
    desk.go(120.0, silent=gone)
    assert all(held_by(desk, name) == {"connectivity"} for name in gone)
    desk.go(620.0, silent=[NODE])
    assert desk.records(r.OperationStarted), "node-3 is heard: node-2 alone is silent"


def test_a_fenced_host_of_a_pair_does_not_hold_the_fence_of_the_other() -> None:
    desk = Desk(replace(rack(hosts=("node-1", "node-2", "node-9")), places={"node-9": "c2/dc1"}))
    desk.ask(Action.OFF, HostName("node-1"))
    desk.serve(until="operation_ended", silent=[HostName("node-1")])
    desk.go(40.0, silent=[HostName("node-1"), NODE])
    assert desk.state().operation is not None


def test_when_all_hosts_fall_silent_none_is_fenced() -> None:
    desk = Desk(rack())
    desk.go(120.0, silent=list(desk.inventory.hosts))
    for name in desk.inventory.hosts:
        assert {"witness", "connectivity"} <= held_by(desk, name)
        assert desk.state(name).operation is None


def test_a_fleet_of_one_has_no_witness() -> None:
    desk = Desk(rack(hosts=("node-2",)))
    silent(desk, 60.0)
    assert "witness" in held_by(desk)
    none = Desk(rack(hosts=("node-2",), gates__witness_hosts=0))
    silent(none, 60.0)
    assert held_by(none) == {"observers"}, "nor has the daemon a control"
    known = Desk(replace(rack(hosts=("node-2",), gates__witness_hosts=0), references=("10.0.0.254",)))
    silent(known, 60.0)
    assert known.state().operation is not None


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        (Rack(hosts=SIX, own_machine="node-2"), "own_machine"),
        (Rack(hosts=SIX, protected=("node-2",)), "protected"),
        (Rack(hosts=SIX, settings={"host.automatic": False}), "automatic"),
        (Rack(hosts=SIX, devices=()), "devices"),
    ],
)
def test_gates_that_the_configuration_closes(changed: Rack, gate: str) -> None:
    desk = Desk(changed)
    silent(desk, 120.0)
    assert held_by(desk) == {gate}
    assert desk.state().operation is None


def test_a_host_that_was_never_heard_is_not_known() -> None:
    desk = Desk(rack())
    desk.fleet.put(replace(desk.state(), is_known=False))
    assert not is_open(desk, "known")


# -- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", ["*", "host=node-2", "cluster=c1", "host=node-2,cluster=c1", "datacenter=dc1"])
def test_a_pause_that_selects_the_host_holds_it(match: str) -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match=match, by="person", reason="told", until=None))
    silent(desk)
    assert held_by(desk) == {"paused"}
    [pause] = desk.fleet.state.pauses
    desk.do(e.PauseEndAsked(id=pause.id, by="person"))
    silent(desk, 3.0)
    assert desk.state().operation is not None


@pytest.mark.parametrize("match", ["host=node-3", "cluster=c1,host=node-3", "host=node", "host=NODE-2"])
def test_names_match_exactly_and_wholly(match: str) -> None:
    desk = Desk(rack())
    desk.fleet.state = replace(
        desk.fleet.state, pauses=(Pause(id="p", match=match, by="person", reason="told", since=0.0),)
    )
    assert is_open(desk, "paused")


@pytest.mark.parametrize(
    "match", ["", "   ", "host=", "node-2", "host=node-99", "colour=red", "host=node-2,", "*,host=node-2"]
)
def test_a_pause_that_selects_no_host_or_cannot_be_read_is_refused(match: str) -> None:
    desk = Desk(rack())
    answer = desk.do(e.PauseAsked(match=match, by="person", reason="told", until=None)).answer
    assert getattr(answer, "rule", None) == "match"
    assert desk.fleet.state.pauses == ()


def test_a_pause_ends_by_its_time() -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match="*", by="person", reason="told", until=desk.now + 60.0))
    desk.go(59.0)
    assert not is_open(desk, "paused")
    desk.go(2.0)
    assert is_open(desk, "paused")


def test_maintenance_ends_by_its_time() -> None:
    desk = Desk(rack())
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="person", reason="told", until=desk.now + 60.0))
    assert not is_open(desk, "maintenance")
    desk.go(62.0)
    assert is_open(desk, "maintenance")


# -- attempts, cool-down ----------------------------------------------------------------------------------------------


def test_attempts_count_operations_that_sent_an_off_inside_the_window() -> None:
    desk = Desk(rack(gates__attempts_count=2, gates__attempts_per_seconds=3600.0))
    desk.fleet.put(replace(desk.state(), attempts=(desk.now - 3601.0, desk.now - 10.0)))
    assert is_open(desk, "attempts")
    desk.fleet.put(replace(desk.state(), attempts=(desk.now - 20.0, desk.now - 10.0)))
    assert not is_open(desk, "attempts")


def test_an_operation_that_sent_no_off_is_no_attempt() -> None:
    desk = Desk(rack())
    desk.fence()
    for _ in range(3):
        for device in ("pdu-a", "pdu-b"):
            desk.race(device, winner=None)
        desk.go(40.0, silent=[NODE])
    assert desk.state().attempts == ()


def test_the_windows_last_attempt_leaves_the_host_off() -> None:
    desk = Desk(rack(gates__attempts_count=1))
    desk.fence()
    assert desk.operation().action is Action.OFF
    assert not desk.state().is_left_off
    desk.serve(until="operation_ended")
    state = desk.state()
    assert (state.state, state.is_stay_off, state.is_left_off) == (State.FENCED, True, True)
    assert desk.told.index("host.fenced") < desk.told.index("host.left_off")


def test_a_cool_down_follows_an_automatic_operation() -> None:
    desk = Desk(rack(gates__budget_hosts=9, gates__budget_percent=100))
    desk.fence()
    desk.serve(until="operation_ended")
    desk.beat(boot="b2")
    assert not is_open(desk, "cooldown")
    silent(desk, 60.0)
    assert held_by(desk) == {"cooldown"}
    silent(desk, 600.0)
    assert len(desk.records(r.OperationStarted)) == 2


def test_a_cool_down_is_over_at_the_moment_that_it_names() -> None:
    desk = Desk(rack())
    desk.fence()
    desk.serve(until="operation_ended")
    until = desk.state().cooldown_until
    at = {seconds: gates.all_gates(desk.fleet, NODE, until + seconds) for seconds in (-0.1, 0.0)}
    assert {seconds: "cooldown" in held(verdicts) for seconds, verdicts in at.items()} == {-0.1: True, 0.0: False}


def held(verdicts: tuple[GateVerdict, ...]) -> set[str]:
    return {verdict.gate for verdict in gates.closed(verdicts)}


def test_after_a_failure_the_next_attempt_waits_longer_each_time_and_at_most_five_minutes() -> None:
    waits = [back_off_seconds(attempt, first=5.0, most=300.0, salt="4-1") for attempt in range(1, 12)]
    assert all(5.0 <= wait <= 375.0 for wait in waits)
    assert waits[0] < 6.5 < 9.9 < waits[1]
    assert min(waits[7:]) >= 300.0
    salts = {back_off_seconds(3, first=5.0, most=300.0, salt=str(number)) for number in range(50)}
    assert len(salts) > 25


# -- life -------------------------------------------------------------------------------------------------------------


def test_a_host_that_answers_is_held() -> None:
    desk = Desk(rack())
    desk.life[NODE] = "tcp 22"
    silent(desk, 120.0)
    assert held_by(desk) == {"alive_but_silent"}


def test_the_gate_says_no_answer_only_if_the_host_was_probed() -> None:
    for was_asked, words in ((True, "nobody answered"), (False, "nobody was asked")):
        desk = Desk(rack())
        desk.go(30.0, silent=[NODE])
        desk.do(e.LifeAsked(host=NODE, answered=None, was_asked=was_asked))
        found = verdict(desk, "alive_but_silent")
        assert found.is_open and found.why.startswith(words)


def test_control_characters_are_removed_from_a_gates_reason() -> None:
    desk = Desk(rack())
    desk.go(30.0, silent=[NODE])
    desk.do(e.LifeAsked(host=NODE, answered="tcp 22\x1b[2J\n\u202e", was_asked=True))
    assert verdict(desk, "alive_but_silent").why.startswith(r"tcp 22\x1b[2J\n\u202e answers")


def test_alive_but_silent_fence_opens_it() -> None:
    desk = Desk(rack(detection__alive_but_silent="fence"))
    desk.life[NODE] = "tcp 22"
    silent(desk)
    assert desk.state().operation is not None


def test_a_host_that_was_not_asked_is_held() -> None:
    desk = Desk(rack())
    desk.go(19.0, silent=[NODE])
    assert not is_open(desk, "alive_but_silent")
    desk.fleet.see(NODE, heard_ear=desk.fleet.sights[NODE].heard_ear - 100.0)
    assert not is_open(desk, "alive_but_silent")


def test_on_report_fence_applies_to_reported_hosts_only() -> None:
    desk = Desk(rack(detection__on_report="fence"))
    desk.beat()
    assert not is_open(desk, "alive_but_silent")
    desk.beat(status=e.HealthStatus.FAILING)
    assert is_open(desk, "alive_but_silent")


def test_live_evidence_stops_a_fence_while_it_is_alive() -> None:
    desk = Desk(rack())
    evidence = e.Evidence(
        host=NODE, source="san", received=desk.now, is_retained=False, evidence_kind="storage_lease", is_alive=True,
        ttl_seconds=100.0,
    )  # fmt: skip
    desk.do(evidence)
    silent(desk)
    assert held_by(desk) == {"live_evidence"}
    silent(desk, 75.0)
    assert desk.state().operation is not None


def told(desk: Desk, source: str, *, ttl: float, kind: str = "storage_lease", is_alive: bool = True) -> None:
    desk.do(
        e.Evidence(
            host=NODE, source=source, received=desk.now, is_retained=False, evidence_kind=kind, is_alive=is_alive,
            ttl_seconds=ttl,
        )
    )  # fmt: skip


def test_evidence_that_expired_makes_room() -> None:
    desk = Desk(rack())
    for number in range(16):
        told(desk, f"san-{number}", ttl=1.0)
    desk.go(2.0)
    told(desk, "san-17", ttl=100.0)
    assert not is_open(desk, "live_evidence")
    told(desk, "san-17", ttl=100.0, is_alive=False)
    assert is_open(desk, "live_evidence")


@pytest.mark.parametrize("kind", ["storage_lease", "gossip"])
def test_a_source_beyond_the_bound_holds_for_its_whole_ttl(kind: str) -> None:
    """The other sources are of a kind that counts and expire sooner, or of a kind that does not count."""
    desk = Desk(rack())
    for number in range(16):
        told(desk, f"other-{number}", ttl=10.0 if kind == "storage_lease" else 1000.0, kind=kind)
    told(desk, "san-17", ttl=60.0)
    told(desk, "san-18", ttl=30.0)
    desk.go(50.0)
    assert not is_open(desk, "live_evidence")
    desk.go(12.0)
    assert is_open(desk, "live_evidence")
    assert len(desk.fleet.sights[NODE].evidence or {}) <= 17


@pytest.mark.parametrize("change", [{"is_retained": True}, {"evidence_kind": "gossip"}, {"is_alive": False}])
def test_other_evidence_stops_nothing(change: dict[str, bool | str]) -> None:
    desk = Desk(rack())
    evidence = e.Evidence(
        host=NODE, source="san", received=desk.now, is_retained=False, evidence_kind="storage_lease", is_alive=True,
        ttl_seconds=100.0,
    )  # fmt: skip
    desk.do(replace(evidence, **change))  # type: ignore[arg-type]
    assert is_open(desk, "live_evidence")


# -- many -------------------------------------------------------------------------------------------------------------


def test_the_share_counts_overdue_hosts_not_suspects() -> None:
    """The first host to pass its grace already counts the others, with deadlines up to an interval later."""
    desk = Desk(rack())
    gone = [HostName(name) for name in ("node-1", "node-2", "node-3")]
    for name in gone:
        desk.go(1.5, silent=gone[: gone.index(name) + 1])
    desk.go(45.0, silent=gone)
    assert all("connectivity" in held_by(desk, name) for name in gone)
    assert not desk.records(r.OperationStarted)


def test_the_first_suspect_already_sees_the_others_as_overdue() -> None:
    """Half of the cluster fell silent at once; the others have a longer grace, so they are not yet suspect."""
    desk = Desk(rack(detection__grace_per_workload_seconds=5.0))
    gone = [HostName(name) for name in ("node-1", "node-2", "node-3")]
    for name in gone[1:]:
        desk.beat(name, workloads=10)
    desk.go(45.0, silent=gone)
    assert [desk.state(name).state is State.SUSPECT for name in gone] == [True, False, False]
    assert "connectivity" in held_by(desk, gone[0])
    assert not desk.records(r.OperationStarted)


def test_the_share_needs_at_least_so_many() -> None:
    desk = Desk(rack(hosts=("node-1", "node-2", "node-3", "node-4")))
    gone = [HostName("node-1"), NODE]
    desk.go(40.0, silent=gone)
    assert is_open(desk, "connectivity")


@pytest.mark.parametrize("state", [State.UNKNOWN, State.LEFT, State.MAINTENANCE])
def test_hosts_that_are_not_watched_do_not_count(state: State) -> None:
    desk = Desk(rack())
    for name in ("node-1", "node-3", "node-5"):
        desk.fleet.put(replace(desk.state(HostName(name)), state=state))
    desk.now += 60.0
    overdue, monitored = of_cluster(desk.fleet, desk.inventory.hosts[NODE].cluster, desk.now)[:2]
    assert (overdue, monitored) == (3, 3)


def test_when_a_hold_by_share_ends_the_silent_get_release_grace_and_a_fresh_confirm() -> None:
    desk = Desk(rack())
    gone = [HostName("node-1"), NODE, HostName("node-3")]
    desk.go(60.0, silent=gone)
    assert "connectivity" in held_by(desk)
    desk.go(30.0, silent=[NODE])
    assert desk.records(r.SuspicionReleased) and held_by(desk) == {"release_grace"}
    desk.go(560.0, silent=[NODE])
    assert desk.state().operation is None
    desk.life[NODE] = "tcp 22"
    desk.go(60.0, silent=[NODE])
    assert held_by(desk) == {"alive_but_silent"}, "the answer of before the hold must not count"


@pytest.mark.parametrize(
    ("size", "percent", "hosts", "at_most", "allowed"),
    [(19, 10.0, 1, 10, 1), (20, 10.0, 1, 10, 2), (29, 10.0, 1, 10, 2), (10, 0.0, 0, 10, 0), (40, 50.0, 1, 3, 3)],
)
def test_the_budget_rounds_down(size: int, percent: float, hosts: int, at_most: int, allowed: int) -> None:
    names = tuple(f"node-{number}" for number in range(1, size + 1))
    desk = Desk(
        rack(hosts=names, gates__budget_percent=percent, gates__budget_hosts=hosts, gates__budget_at_most=at_most)
    )
    drawn = 0
    while is_open(desk, "budget"):
        record = r.BudgetDrawn(host=HostName(f"node-{drawn + 5}"), cluster="c1")
        desk.fleet.apply(r.Entry(at=desk.now, host=None, record=record))
        drawn += 1
        assert drawn < 50
    assert drawn == allowed
    desk.go(601.0)
    assert is_open(desk, "budget") is (allowed > 0)


@pytest.mark.parametrize("ending", ["life", "restart"])
def test_an_operation_that_ends_before_its_first_off_gives_its_draw_back(ending: str) -> None:
    desk = Desk(rack(gates__budget_hosts=1, gates__budget_percent=0))
    desk.fence()
    assert not is_open(desk, "budget")
    if ending == "life":
        desk.beat()
        desk.go(1.0)
    else:
        desk.do(e.Started())
    assert desk.records(r.OperationEnded)[0].state is OperationState.CANCELLED
    assert is_open(desk, "budget")


def test_an_operation_that_sent_an_off_keeps_its_draw() -> None:
    desk = Desk(rack(gates__budget_hosts=1, gates__budget_percent=0))
    desk.fence()
    desk.race("pdu-a")
    desk.beat()
    desk.serve(silent=(), until="operation_ended")
    assert desk.records(r.OperationEnded)[0].state is OperationState.CANCELLED
    assert not is_open(desk, "budget")


def test_a_cluster_has_its_own_budget_and_shares_the_fleets() -> None:
    """One host of each cluster of two may be fenced in the window, and two of the six hosts of the fleet."""
    places = {"node-1": "c1/dc1", "node-2": "c1/dc1", "node-3": "c2/dc1", "node-4": "c2/dc1", "node-5": "c3/dc1"}
    places["node-6"] = "c3/dc1"
    settings: dict[str, Setting] = {"gates.budget_hosts": 1, "gates.budget_percent": 34.0}
    desk = Desk(Rack(hosts=SIX, places=places, settings=settings))

    def opened() -> list[bool]:
        return [is_open(desk, "budget", HostName(name)) for name in ("node-2", "node-4", "node-6")]

    for name, after in (("node-1", [False, True, True]), ("node-3", [False, False, False])):
        cluster = desk.inventory.hosts[HostName(name)].cluster
        draw = r.BudgetDrawn(host=HostName(name), cluster=cluster)
        desk.fleet.apply(r.Entry(at=desk.now, host=None, record=draw))
        assert opened() == after


def test_unrecovered_hosts_close_the_budget() -> None:
    desk = Desk(rack(gates__budget_unrecovered=2))
    for name in ("node-1", "node-3"):
        assert is_open(desk, "budget")
        desk.fleet.put(replace(desk.state(HostName(name)), state=State.FENCED))
    assert not is_open(desk, "budget")


def test_concurrency_counts_automatic_operations_only() -> None:
    desk = Desk(rack(gates__concurrency=1, gates__budget_hosts=9))
    desk.ask(Action.OFF, HostName("node-1"))
    assert is_open(desk, "concurrency")
    desk.fence()
    assert not is_open(desk, "concurrency", HostName("node-3"))


# -- holding ----------------------------------------------------------------------------------------------------------


def test_a_hold_is_announced_once_per_change_of_the_closed_gates() -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match="*", by="person", reason="told", until=None))
    silent(desk, 300.0)
    assert len(desk.records(r.HostHeld)) == 1
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    silent(desk, 300.0)
    assert [{gate.gate for gate in held.gates if not gate.is_open} for held in desk.records(r.HostHeld)] == [
        {"paused"},
        {"armed", "paused"},
    ]


def test_the_gates_are_looked_at_again_before_the_first_off() -> None:
    desk = Desk(rack())
    desk.fence()
    desk.do(e.PauseAsked(match="*", by="person", reason="told", until=None))
    desk.race("pdu-a")
    assert desk.state().operation is None
    assert desk.records(r.OperationEnded)[-1].state is OperationState.CANCELLED
    assert not [step for step in desk.records(r.StepStarted) if step.token is not None]
