"""Storms: who counts, when one begins and ends, what outlives it, and what a person's release does."""

import math
from collections.abc import Sequence

import pytest

from fenced.core import closed_gates, storms
from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.allowed import storm as rule
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Storm, StormEnd
from fenced.core.durable.replacing import replace
from fenced.model.names import HostName
from tests.core.desk import Desk
from tests.world.rack import Rack, Setting

HOSTS = tuple(f"node-{number}" for number in range(1, 9))
R1 = tuple(HostName(name) for name in HOSTS[:4])
R2 = tuple(HostName(name) for name in HOSTS[4:])
RACKS = {**dict.fromkeys(HOSTS[:4], "r1"), **dict.fromkeys(HOSTS[4:], "r2")}


def rack(**changes: Setting) -> Rack:
    settings: dict[str, Setting] = {
        "gates.storm_domains": ("rack",), "gates.connectivity_share_percent": 100.0, "gates.budget_hosts": 10,
        "gates.budget_unrecovered": 10,
    }  # fmt: skip
    return Rack(hosts=HOSTS, racks=RACKS, settings=settings | {f"gates.{key}": it for key, it in changes.items()})


def found(desk: Desk) -> list[Storm]:
    return [record.storm for record in desk.records(r.StormBegan)]


def fenced(desk: Desk) -> set[HostName]:
    return {name for name in desk.inventory.hosts if desk.state(name).operation is not None}


def silence(desk: Desk, names: Sequence[HostName], seconds: float = 60.0) -> None:
    desk.go(seconds, silent=names)


def test_the_first_of_three_to_pass_its_grace_is_held_and_the_other_rack_is_not() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    (one,) = found(desk)
    assert (one.domain, one.value, one.hosts, one.end) == ("rack", "r1", R1[:3], None)
    assert fenced(desk) == set()
    assert all({gate.gate for gate in desk.state(name).held_by} == {"storm"} for name in R1[:3])
    silence(desk, [*R1[:3], R2[0]])
    assert fenced(desk) == {R2[0]}
    assert len(found(desk)) == 1


def test_storms_of_two_shards_have_ids_of_their_own_although_their_tokens_are_equal() -> None:
    ids = set()
    for hosts in (R1[:3], R2[:3]):
        desk = Desk(rack())
        silence(desk, hosts)
        ids |= {one.id for one in found(desk)}
    assert len(ids) == 2, "a release of one must not release the other"


def test_two_are_no_storm() -> None:
    desk = Desk(rack())
    silence(desk, R1[:2])
    assert (found(desk), fenced(desk)) == ([], set(R1[:2]))


def test_a_domain_is_a_key_of_the_host_and_its_value() -> None:
    labelled = {"node-1": ("feed=a",), "node-5": ("feed=a",), "node-8": ("feed=a",), "node-2": ("feed=b",)}
    plan = rack(storm_domains=("feed",))
    desk = Desk(Rack(hosts=HOSTS, settings=plan.settings, labels=labelled))
    silence(desk, [R1[0], R2[0], R2[3], R1[1], R1[2]])
    assert [one.words for one in found(desk)] == ["feed=a"]
    assert fenced(desk) == {R1[1], R1[2]}, "two more are silent, in no common domain"


def test_those_that_fell_silent_long_ago_do_not_count() -> None:
    desk = Desk(rack(storm_per_seconds=60.0))
    desk.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    silence(desk, R1[:1], 300.0)
    silence(desk, R1[:2], 300.0)
    silence(desk, R1[:3], 60.0)
    assert found(desk) == []


def test_hosts_in_maintenance_or_switched_off_do_not_count() -> None:
    desk = Desk(rack())
    for name in R1[:2]:
        desk.do(e.MaintenanceAsked(host=name, is_on=True, by="p", reason="r"))
    silence(desk, R1[:3])
    assert (found(desk), fenced(desk)) == ([], {R1[2]})


def test_the_gate_is_looked_at_again_before_the_first_off() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    verdicts = gates.level_gates(desk.fleet, R1[0], desk.now, is_automatic=True)
    assert {gate.gate for gate in gates.closed(verdicts)} == {"storm"}
    assert gates.closed(gates.level_gates(desk.fleet, R1[0], desk.now, is_automatic=False)) == ()


def test_it_ends_when_they_are_heard_and_the_domain_cools_down() -> None:
    desk = Desk(rack(storm_cooldown_seconds=120.0))
    silence(desk, R1[:3])
    silence(desk, R1[:1], 30.0)
    (ended,) = desk.records(r.StormEnded)
    assert (ended.end.why, ended.end.hosts) == ("over", R1[:1])
    assert "cooldown" in rule.storm(desk.fleet, R1[0], desk.now).why
    silence(desk, R1[:1], ended.end.cooldown_until - desk.now + 1.0)
    assert rule.storm(desk.fleet, R1[0], desk.now).is_open


def test_cutting_power_ends_no_storm_and_maintenance_does() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    desk.do(e.ConfirmOffAsked(host=R1[0], by="p", reason="pulled", is_forced=True, read=None))
    silence(desk, R1[:3], 900.0)
    assert desk.records(r.StormEnded) == []
    desk.do(e.MaintenanceAsked(host=R1[0], is_on=True, by="p", reason="pulled"))
    silence(desk, R1[:3], 20.0)
    assert [ended.end.hosts for ended in desk.records(r.StormEnded)] == [R1[1:3]]


def test_a_release_lets_its_hosts_be_fenced_at_once_and_makes_no_second_storm() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    (one,) = found(desk)
    refused = desk.do(e.StormReleaseAsked(id="s-9-9", by="p", reason="looked")).answer
    assert getattr(refused, "rule", None) == "storm"
    desk.do(e.StormReleaseAsked(id=one.id, by="p", reason="looked"))
    silence(desk, R1[:3], 10.0)
    assert fenced(desk) == set(R1[:3])
    silence(desk, R1[:3], 300.0)
    assert len(found(desk)) == 1
    assert getattr(desk.do(e.StormReleaseAsked(id=one.id, by="p", reason="again")).answer, "rule", None) == "storm"


def test_hosts_that_were_heard_after_a_release_may_make_a_new_storm() -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    silence(desk, R1[:3])
    desk.do(e.StormReleaseAsked(id=found(desk)[0].id, by="p", reason="looked"))
    desk.go(30.0)
    silence(desk, R1[:3])
    assert [one.hosts for one in found(desk)] == [R1[:3]] * 2
    assert len(desk.fleet.state.storms) == 1, "the newest of each domain is kept"


def test_the_longest_time_of_a_storm() -> None:
    desk = Desk(rack(storm_max_seconds=100.0, storm_cooldown_seconds=0.0))
    silence(desk, R1[:3], 200.0)
    assert [ended.end.why for ended in desk.records(r.StormEnded)] == ["max"]
    assert desk.records(r.SuspicionReleased), "nobody looked, so slow booters get release_grace"


def test_a_start_that_heard_nobody_yet_ends_no_storm() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    again = Desk(rack(), is_calm=False)
    again.fleet.restore({state.name: state for state in desk.fleet.states()}, desk.fleet.state)
    again.calm_but(R1[:3])
    assert [storm.end for storm in again.fleet.state.storms] == [None]
    assert len(storms.silent_of(again.fleet, again.fleet.state.storms[0], again.now)) == 3


def test_hosts_that_fell_silent_with_an_outage_or_a_start_are_a_storm_when_their_release_grace_is_over() -> None:
    desk = Desk(rack())
    desk.do(e.BusDisconnected(at=desk.now, why="the switch died"))
    silence(desk, list(desk.inventory.hosts), 100.0)
    desk.do(e.BusConnected(at=desk.now))
    silence(desk, R1[:3], 900.0)
    assert ([one.hosts for one in found(desk)], fenced(desk)) == ([R1[:3]], set())
    old = Desk(rack())
    old.go(10_000.0, pace=5.0)
    again = Desk(rack(), is_calm=False)
    again.now = again.fleet.started = old.now + 60.0
    again.fleet.restore({state.name: state for state in old.fleet.states()}, old.fleet.state)
    again.calm_but(R1[:3])
    silence(again, R1[:3], 900.0)
    assert ([one.hosts for one in found(again)], fenced(again)) == ([R1[:3]], set())


def test_hosts_that_were_heard_for_months_are_silent_since_the_start_and_no_earlier() -> None:
    old = Desk(rack())
    old.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    for name in R1[:3]:  # their last records differ by more than `per`
        silence(old, [name], 30.0)
        old.go(1000.0, pace=5.0)
    again = Desk(rack(), is_calm=False)
    again.now = again.fleet.started = old.now + 60.0
    again.fleet.restore({state.name: state for state in old.fleet.states()}, old.fleet.state)
    again.calm_but(R1[:3])
    silence(again, R1[:3], 900.0)
    assert [one.hosts for one in found(again)] == [R1[:3]]


def test_a_host_that_fell_silent_long_after_others_is_no_storm_with_them() -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match="rack=r1", by="p", reason="r", until=None))
    silence(desk, R1[:2], 400.0)
    silence(desk, [*R1[:3]], 60.0)
    assert found(desk) == []


def _moved(desk: Desk, names: Sequence[HostName], to: str) -> None:
    hosts = {name: replace(it, rack=to) if name in names else it for name, it in desk.inventory.hosts.items()}
    desk.do(e.InventoryRead(inventory=replace(desk.inventory, hosts=hosts)))


def test_a_reload_that_renames_a_rack_or_moves_a_host_ends_no_storm_and_lets_go_of_none() -> None:
    for names, to in ((R1, "r1-renamed"), (R1[:1], "r9")):
        desk = Desk(rack())
        silence(desk, R1[:3])
        _moved(desk, names, to)
        silence(desk, R1[:3], 1800.0)
        assert (desk.records(r.StormEnded), fenced(desk)) == ([], set())
        desk.go(60.0)
        assert {ended.end.why for ended in desk.records(r.StormEnded)} == {"over"}
        assert desk.fleet.state.lasting_storms == ()


def test_what_a_person_released_is_no_storm_again_under_another_name() -> None:
    desk = Desk(rack())
    desk.do(e.PauseAsked(match="*", by="p", reason="r", until=None))
    silence(desk, R1[:3])
    desk.do(e.StormReleaseAsked(id=found(desk)[0].id, by="p", reason="looked"))
    _moved(desk, R1, "r1-renamed")
    silence(desk, R1[:3], 60.0)
    assert len(found(desk)) == 1


def test_a_storm_of_a_key_that_is_no_failure_domain_any_more_ends() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    daemon = desk.inventory.daemon
    none = replace(daemon, gates=replace(daemon.gates, storm_domains=()))
    desk.do(e.InventoryRead(inventory=replace(desk.inventory, daemon=none)))
    silence(desk, R1[:3], 20.0)
    assert ["names rack no more" in ended.end.reason for ended in desk.records(r.StormEnded)] == [True]
    assert rule.storm(desk.fleet, R1[0], desk.now).is_open


def test_the_bus_that_is_away_ends_no_storm() -> None:
    desk = Desk(rack(storm_max_seconds=200.0))
    silence(desk, R1[:3])
    desk.do(e.BusDisconnected(at=desk.now, why="gone"))
    silence(desk, list(desk.inventory.hosts), 300.0)
    assert desk.records(r.StormEnded) == []


def test_in_a_store_of_an_older_format_a_storm_holds_and_is_not_recorded() -> None:
    desk = Desk(rack())
    desk.do(e.LeaseRenewed(until=1e12, format=1))
    silence(desk, R1[:3], 120.0)
    assert (found(desk), fenced(desk)) == ([], set())
    desk.do(e.LeaseRenewed(until=1e12, format=2))
    silence(desk, R1[:3], 5.0)
    assert len(found(desk)) == 1


def test_improbable_numbers_are_a_storm_where_a_person_told_the_mtbf() -> None:
    year = 365 * 86400.0
    desk = Desk(rack(storm_mtbf_seconds=3 * year))
    silence(desk, R1[:2])
    assert [one.hosts for one in found(desk)] == [R1[:2]]
    often = Desk(rack(storm_mtbf_seconds=3600.0))
    silence(often, R1[:2])
    assert found(often) == []
    alone = Desk(rack(storm_mtbf_seconds=3 * year))
    silence(alone, R1[:1])
    assert (found(alone), fenced(alone)) == ([], {R1[0]})


@pytest.mark.parametrize(("expected", "count"), [(0.0032, 2), (0.032, 3), (0.16, 4), (2.0, 1), (5.0, 3), (1e-9, 3)])
def test_the_tail_of_independent_failures(expected: float, count: int) -> None:
    direct = math.fsum(math.exp(-expected) * expected**k / math.factorial(k) for k in range(count, count + 60))
    assert rule.tail(expected, count) == pytest.approx(direct, rel=1e-6)


def test_hosts_that_fail_all_the_time_make_no_storm_by_their_number() -> None:
    assert rule.tail(3e6, 5) == 1.0
    desk = Desk(rack(storm_mtbf_seconds=0.001))
    silence(desk, R1[:2])
    assert (found(desk), fenced(desk)) == ([], set(R1[:2]))


def test_what_its_hosts_have_in_common_is_told() -> None:
    desk = Desk(rack())
    hosts = [desk.inventory.hosts[name] for name in (R1[0], R2[0])]
    assert rule.shared_by(hosts, but="cluster") == ("datacenter=dc1", "network=10.0.0.0/24")
    assert rule.shared_by(hosts[:1], but="datacenter")[:2] == ("cluster=c1", "rack=r1")


def test_a_storm_that_lasts_is_a_warning_of_the_daemon() -> None:
    desk = Desk(rack())
    silence(desk, R1[:3])
    assert [line.split(":")[0] for line in storms.warnings(desk.fleet)] == ["storm in rack=r1"]
    desk.go(60.0)
    assert storms.warnings(desk.fleet) == ()


def test_how_long_the_gate_is_closed_is_a_metric() -> None:
    desk = Desk(rack())
    assert closed_gates.closed_seconds(desk.fleet, desk.now)["storm"] == 0.0
    silence(desk, R1[:3])
    began = found(desk)[0].since
    assert closed_gates.closed_seconds(desk.fleet, desk.now)["storm"] == desk.now - began


def test_the_gates_of_thousands_that_a_person_released_take_no_square_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tuple(f"node-{number}" for number in range(2000))
    desk = Desk(Rack(hosts=hosts, racks=dict.fromkeys(hosts, "r1"), settings=rack().settings), is_calm=False)
    names = tuple(desk.inventory.hosts)
    end = StormEnd(at=1e9, why="released", by="p", reason="r", hosts=names, cooldown_until=0.0)
    storm = Storm(id="s-1-1", domain="rack", value="r1", since=0.0, hosts=names, end=end)
    desk.fleet.state = replace(desk.fleet.state, storms=(storm,))
    read = 0
    since = rule.silent_since

    def reading(*given: object) -> float:
        nonlocal read
        read += 1
        return since(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(rule, "silent_since", reading)
    for name in names:
        assert rule.storm(desk.fleet, name, desk.now).is_open
        assert rule.is_released(desk.fleet, name, desk.now)
    assert read <= 4 * len(names)


def test_a_storm_of_two_thousand_is_counted_once_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tuple(f"node-{number}" for number in range(2000))
    desk = Desk(Rack(hosts=hosts, racks=dict.fromkeys(hosts, "r1"), settings=rack().settings), is_calm=False)
    counted = 0
    count = rule._is_late

    def counting(*given: object) -> bool:
        nonlocal counted
        counted += 1
        return count(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(rule, "_is_late", counting)
    for name in desk.inventory.hosts:
        rule.storm(desk.fleet, name, desk.now)
    assert counted <= len(hosts)
