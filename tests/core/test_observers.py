"""Who looks at a silent host, at what, and with which controls."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.allowed import observing
from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.core.reach.observers import A_DOMAIN_MAX
from fenced.model.names import ENGINE, HostName
from tests.core.desk import NODE, Desk
from tests.core.observers_desk import PX1, PX2, SIX, asked, held, observed, rack, seen, silent, verdict
from tests.core.readiness_desk import kinds
from tests.world.rack import Rack

# -- who looks --------------------------------------------------------------------------------------------------------


def test_the_daemon_and_the_proxies_that_may_look_are_asked() -> None:
    command = asked(observed(rack()))
    assert set(command.observers) == {
        Observer(name=ENGINE, domain=""), Observer(name=PX1, domain="r2", own=frozenset({"px1"})),
        Observer(name=PX2, domain="r3", own=frozenset({"px2"})),
    }  # fmt: skip
    assert command.observers[0].name == ENGINE
    assert [(target.network, target.address) for target in command.targets] == [("", "10.0.0.2")]


def test_a_proxy_that_may_not_look_is_not_asked() -> None:
    assert {it.name for it in asked(observed(rack(observers=("px1",)))).observers} == {ENGINE, PX1}


def test_the_suspects_own_proxy_is_not_asked_and_not_missing() -> None:
    plan = rack(machines={"px1": str(NODE)}, domains={"px1": "east", "px2": "west"})
    desk = observed(plan)
    assert {it.name for it in asked(desk).observers} == {ENGINE, PX2}
    found = silent(observed(plan, lambda observer, target: Saw.SILENT if observer.name == PX1 else Saw.UNKNOWN))
    assert held(found) == {"observers"}
    assert "px1" not in verdict(found).why


def test_where_the_suspects_own_proxy_is_the_only_other_one_the_daemon_decides_alone() -> None:
    plan = rack(proxies=("px1",), observers=("px1",), machines={"px1": str(NODE)}, domains={"px1": "east"})
    assert silent(observed(plan)).state().operation is not None


def test_an_answer_of_the_suspects_own_proxy_does_not_count() -> None:
    desk = silent(observed(rack(machines={"px1": str(NODE)}, domains={"px1": "west", "px2": "west"}), seen(px2=None)))
    assert held(desk) == {"observers"}
    own = Look(
        observer=Observer(name=PX1, domain="west"), network="", target="10.0.0.2", saw=Saw.SILENT, at=desk.now,
        control="10.0.0.3",
    )  # fmt: skip
    looks = observing.looks_of(desk.fleet, NODE)
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=(*looks, own)))
    assert desk.state().operation is None


def test_an_observer_whose_machine_is_suspect_is_missing_and_one_that_is_away_is_absent() -> None:
    plan = rack(
        machines={"px1": "node-5"}, proxies=("px1",), observers=("px1",), settings={"gates.connectivity_at_least": 4}
    )
    desk = observed(plan)
    desk.do(e.PauseAsked(match="host=node-5", by="p", reason="r", until=None))
    desk.go(30.0, silent=[NODE, HostName("node-5")])
    assert "px1 (r2): runs on node-5, which is suspect itself" in verdict(desk).why
    desk.maintain(HostName("node-5"))
    desk.go(10.0, silent=[NODE, HostName("node-5")])
    assert desk.state().operation is not None


def test_a_proxy_that_cannot_be_used_is_missing() -> None:
    desk = Desk(rack(proxies=("px1",), observers=("px1",)))
    desk.do(e.ProxiesSeen(faults={PX1: "its certificate has expired"}, observers=frozenset({PX1})))
    silent(desk)
    assert held(desk) == {"observers"}
    assert "px1 (r2): its certificate has expired" in verdict(desk).why


def test_only_a_few_are_asked_however_many_there_are() -> None:
    names = tuple(f"px{number}" for number in range(1, 60))
    many = rack(proxies=names, observers=names, domains={name: f"d{number % 20}" for number, name in enumerate(names)})
    assert len(asked(observed(many)).observers) == 1 + 2 * A_DOMAIN_MAX
    one = rack(proxies=names, observers=names, domains={})
    assert len(asked(observed(one)).observers) == A_DOMAIN_MAX, "all unknown domains are one"


def test_different_hosts_are_looked_at_by_different_proxies() -> None:
    names = tuple(f"px{number}" for number in range(1, 30))
    desk = observed(rack(proxies=names, observers=names, domains={name: f"d-{name}" for name in names}))
    panels = [observing.panel(desk.fleet, name, desk.now) for name in desk.inventory.hosts]
    assert len({tuple(it.observer.name for it in panel.asked) for panel in panels}) > 3


# -- what they look at ------------------------------------------------------------------------------------------------


def targets(desk: Desk, name: HostName = NODE) -> dict[str, Target]:
    panel = observing.panel(desk.fleet, name, desk.now)
    return {target.network: target for target in observing.targets(desk.fleet, name, desk.now, panel)}


def test_each_network_is_a_target_with_controls_of_its_own() -> None:
    addresses = {name: (f"storage=10.1.0.{number}",) for number, name in enumerate(SIX, start=1)}
    found = targets(observed(rack(addresses=addresses, references=("10.0.0.254", "storage=10.1.0.254"))))
    assert found["storage"].address == "10.1.0.2"
    assert found["storage"].controls[-1] == "10.1.0.254" and found[""].controls[-1] == "10.0.0.254"
    assert all(control.startswith("10.1.0.") for control in found["storage"].controls)
    assert len(found[""].controls) == 4


def test_controls_are_of_other_racks_and_never_the_suspect_the_daemons_machine_or_a_silent_host() -> None:
    desk = Desk(rack(own_machine="node-3"))
    desk.go(12.0, silent=[NODE, HostName("node-5")], pace=2.0)
    assert set(targets(desk)[""].controls[:2]) == {"10.0.0.4", "10.0.0.6"}
    assert targets(desk)[""].controls[2:] == ("10.0.0.1",), "the one of its own rack is last"


def test_controls_are_of_different_racks() -> None:
    names = tuple(f"node-{number}" for number in range(1, 13))
    in_racks = {name: f"r{(number + 3) // 4}" for number, name in enumerate(names, start=1)}
    desk = Desk(rack(hosts=names, racks={**in_racks, "node-11": "r4", "node-12": "r4"}))
    number_of = {host.address: host.rack for host in desk.inventory.hosts.values()}
    for name in desk.inventory.hosts:
        assert len({number_of[control] for control in targets(desk, name)[""].controls}) == 3


def test_machines_of_observers_are_the_last_controls_and_never_their_own() -> None:
    desk = observed(rack(machines={"px1": "node-3", "px2": "node-5"}))
    assert not {"10.0.0.3", "10.0.0.5"} & set(targets(desk)[""].controls)
    own = next(member for member in observing.panel(desk.fleet, NODE, desk.now).asked if member.observer.name == PX1)
    assert "10.0.0.3" in own.observer.own

    def sees(look: Look) -> Look:
        return replace(look, control="10.0.0.3") if look.observer.name == PX1 else replace(look, saw=Saw.UNKNOWN)

    silent(desk, 21.0)
    desk.are_looks_lost = True
    looks = tuple(map(sees, observing.looks_of(desk.fleet, NODE)))
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=looks))
    assert "px1 (r2): reached no control" in verdict(desk).why


@pytest.mark.parametrize(
    "plan", [rack(settings={"detection.probe_ports": ()}), replace(rack(), hosts=("node-2", "node-9"))]
)
def test_where_there_is_nothing_to_look_at_the_gate_is_open_and_says_so(plan: Rack) -> None:
    desk = Desk(plan)
    if len(plan.hosts) == 2:
        hosts = {name: replace(host, address="127.0.0.1") for name, host in desk.inventory.hosts.items()}
        desk.fleet.take(replace(desk.inventory, hosts=hosts))
    assert asked(desk).targets == () == asked(desk).observers
    assert verdict(desk).why.startswith("nothing to look at") and verdict(desk).is_open


def test_readiness_names_a_host_that_no_look_could_ever_show_silent() -> None:
    desk = Desk(rack(hosts=("node-2",), racks={}, proxies=(), observers=()))
    assert "no_control" in {found.value for found in kinds(desk, NODE)}
    known = Desk(rack(hosts=("node-2",), racks={}, proxies=(), observers=(), references=("10.0.0.254",)))
    assert "no_control" not in {found.value for found in kinds(known, NODE)}
