"""Whom the proxies, the observers and the witnesses of others need awake (S24), on the core alone."""

from collections.abc import Mapping
from dataclasses import replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.idle import fit
from fenced.model.names import HostName, ProxyName
from fenced.model.power import Power, What
from tests.core.saving_desk import BMC, HOSTS, SavingDesk, rack
from tests.world.rack import Rack

FIRST, SECOND, FIFTH = HostName(HOSTS[0]), HostName(HOSTS[1]), HostName(HOSTS[4])


def plan(machines: Mapping[str, str], **changes: object) -> Rack:
    """Return a rack with proxies on these hosts and one elsewhere, through which all devices are reached. The proxy on
    a host is no candidate for that host."""
    plain = rack(
        min_on=1, pause_seconds=0.0, asleep_at_most_percent=100.0, idle_for_seconds=150.0,
        **{"gates.connectivity_at_least": 1},
    )  # fmt: skip
    proxies = (*machines, "px9")
    given = {"proxies": proxies, "reach": proxies, "machines": machines} | changes
    return replace(plain, **given)  # type: ignore[arg-type]


def rules(desk: SavingDesk, name: HostName) -> set[str]:
    return {bar.rule for bar in fit.bars(desk.fleet, name, desk.now, is_asked=True)}


def going(desk: SavingDesk) -> SavingDesk:
    """Let time pass until a host is on its way to sleep."""
    for _ in range(400):
        if desk.going():
            return desk
        if not desk.serve_one():
            desk.go(0.5)
    raise AssertionError(rules(desk, FIRST))


def test_every_device_keeps_two_candidates() -> None:
    desk = SavingDesk(plan({"px1": HOSTS[0], "px2": HOSTS[1], "px3": HOSTS[2]}))
    desk.busy(*HOSTS[:2], HOSTS[7])
    assert "candidates" not in rules(desk, FIRST)
    assert desk.until_asked().host == FIRST
    desk.switched(BMC)
    desk.obey(FIRST)
    desk.live(60.0)
    assert desk.is_now(FIRST) == "sleeping"
    assert "candidates" in rules(desk, SECOND)
    assert "candidates" not in rules(desk, HostName(HOSTS[7]))


def test_a_device_with_one_candidate_keeps_it() -> None:
    desk = SavingDesk(plan({"px1": HOSTS[0]}, proxies=("px1",), reach=("px1",)))
    assert "candidates" in rules(desk, FIRST) and "candidates" not in rules(desk, SECOND)


def test_who_is_on_the_way_to_sleep_in_another_cluster_is_no_candidate() -> None:
    elsewhere = dict.fromkeys(HOSTS[4:], "c2/dc1")
    machines = {"px1": HOSTS[0], "px2": HOSTS[4], "px3": HOSTS[7]}
    desk = SavingDesk(plan(machines, places=elsewhere))
    desk.busy(HOSTS[0], HOSTS[1], HOSTS[4], HOSTS[5])
    desk.live(2.0)
    assert "candidates" not in rules(desk, FIFTH)
    going(desk)
    assert FIRST in desk.going() and FIFTH not in desk.going(), "only one of the two begins"
    assert "candidates" in rules(desk, FIFTH)


def test_every_domain_keeps_an_observer() -> None:
    machines = {"px1": HOSTS[0], "px2": HOSTS[1], "px3": HOSTS[2], "px4": HOSTS[3]}
    desk = SavingDesk(plan(machines, domains={"px1": "r1", "px2": "r2", "px3": "r2", "px4": "r2"}))
    seen = frozenset(map(ProxyName, ("px1", "px2", "px3")))
    desk.do(e.ProxiesSeen(faults={}, observers=seen))
    assert "observer" in rules(desk, FIRST)
    assert "observer" not in rules(desk, SECOND)
    desk.do(e.ProxiesSeen(faults={ProxyName("px3"): "told"}, observers=seen))
    assert "observer" in rules(desk, SECOND)
    assert "observer" not in rules(desk, HostName(HOSTS[3])), "its proxy looks at nobody"


def test_a_chassis_that_several_paths_read_on_is_read_off_through_each_of_them() -> None:
    """A soft off outdates what they read: that they read ON before is no contradiction."""
    desk = SavingDesk()
    while not desk.waiting(c.RunRace):
        desk.go(0.5)
    desk.race(BMC, others={"px1": Power.ON, "px2": Power.ON})
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.live(20.0)
    desk.obey(name)
    desk.live(30.0)
    assert desk.is_now(name) == "sleeping" and not desk.records(r.Contradicted)
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    assert {str(it.proxy) for it in steps if it.what is What.STATUS} >= {"px1", "px2"}
