"""Whose silence counts, what one sign of life does, and what is asked again before an OFF."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.allowed import gates, observing
from fenced.core.durable import records as r
from fenced.core.explaining import confirmed, summary
from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.model.names import HostName
from fenced.model.power import OperationState, Power
from tests.core.desk import NODE, Desk
from tests.core.observers_desk import PX1, PX2, SIX, asked, held, observed, paused, rack, seen, silent, verdict
from tests.fakes.looks import Sees
from tests.world import rack as racks
from tests.world.rack import Rack

# -- the vote ---------------------------------------------------------------------------------------------------------


def test_two_domains_that_see_it_silent_are_enough() -> None:
    assert silent(observed(rack(), seen(px2=None))).state().operation is not None


@pytest.mark.parametrize("saw", [Saw.UNKNOWN, None])
def test_unknown_is_not_silent(saw: Saw | None) -> None:
    desk = silent(observed(rack(), seen(px1=saw, px2=saw)))
    assert held(desk) == {"observers"}
    assert verdict(desk).why.startswith("1 of 2 failure domains see it silent; missing: ")
    assert "px1 (r2): " in verdict(desk).why and "px2 (r3): " in verdict(desk).why


def test_silence_without_a_control_is_unknown() -> None:
    desk = silent(observed(rack(), seen(px1=None, px2=None)))
    looks = observing.looks_of(desk.fleet, NODE)
    blind = Look(
        observer=Observer(name=PX1, domain="r2"), network="", target="10.0.0.2", saw=Saw.SILENT, at=desk.now
    )  # fmt: skip
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=(*looks, blind)))
    assert held(desk) == {"observers"}
    assert "px1 (r2): reached no control" in verdict(desk).why
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=(*looks, replace(blind, control="10.0.0.4"))))
    assert desk.state().operation is not None


def test_two_observers_of_one_domain_are_one_vote() -> None:
    desk = silent(observed(rack(domains={"px1": "r2", "px2": "r2"}), seen(engine=None)))
    assert held(desk) == {"observers"}


def test_the_suspects_own_domain_has_no_vote_if_there_is_another() -> None:
    desk = silent(observed(rack(domains={"px1": "r1", "px2": "r3"}), seen(engine=None)))
    assert held(desk) == {"observers"}
    assert silent(observed(rack(domains={"px1": "r1", "px2": "r3"}))).state().operation is not None
    alone = rack(settings={"daemon.domain": "r1"}, proxies=(), observers=())
    assert silent(Desk(alone)).state().operation is not None, "where there is no other, it has one"


@pytest.mark.parametrize("domain", ["r1", "c1", "dc1", "feed-a"])
def test_rack_cluster_data_centre_and_labels_are_domains_of_the_suspect(domain: str) -> None:
    plan = rack(domains={"px1": domain, "px2": "r3"}, labels={str(NODE): ("feed=feed-a",)})
    assert held(silent(observed(plan, seen(engine=None)))) == {"observers"}


def test_an_observer_in_the_suspects_domain_sees_life_nevertheless() -> None:
    desk = silent(observed(rack(domains={"px1": "r1", "px2": "r3"}), seen(px1=Saw.ALIVE)))
    assert held(desk) == {"alive_but_silent"}


def test_unknown_domains_are_one() -> None:
    plan = rack(domains={}, racks={})
    assert silent(observed(plan, seen(px1=None, px2=None))).state().operation is not None


def test_a_person_may_want_more_domains_or_fewer() -> None:
    three = rack(settings={"daemon.observers": 3})
    assert held(silent(observed(three, seen(px2=None)))) == {"observers"}
    one = rack(settings={"daemon.observers": 1})
    assert silent(observed(one, seen(px1=None, px2=None))).state().operation is not None


def test_an_answer_older_than_two_timeouts_is_unknown_and_asked_for_again() -> None:
    desk = silent(paused(rack()), 30.0)
    desk.are_looks_lost = True
    at = min(look.at for look in observing.looks_of(desk.fleet, NODE))
    desk.now = at + 10.0
    assert verdict(desk).is_open
    desk.now = at + 10.1
    assert not verdict(desk).is_open and "answered 10 s ago" in verdict(desk).why
    desk.are_looks_lost = False
    for other in SIX[2:]:
        desk.beat(HostName(other))
    silent(desk, 3.0)
    assert verdict(desk).is_open


def test_an_answer_that_came_late_is_judged_once_and_told() -> None:
    desk = observed(rack())
    command = asked(desk)
    looks = tuple(
        Look(
            observer=it, network="", target="10.0.0.2", saw=Saw.SILENT, at=desk.now - 60.0, control="10.0.0.4"
        )
        for it in command.observers
    )  # fmt: skip
    desk.now += 6.0
    for other in desk.inventory.hosts:
        if other != NODE:
            desk.beat(other)
    desk.do(e.LifeAsked(host=NODE, answered=None, looks=looks))
    assert held(desk) == {"observers"}


def test_an_address_that_a_reload_took_away_proves_nothing() -> None:
    desk = silent(paused(rack()), 30.0)
    assert verdict(desk).is_open
    hosts = {**desk.inventory.hosts, NODE: replace(desk.inventory.hosts[NODE], address="10.0.7.7")}
    desk.fleet.take(replace(desk.inventory, hosts=hosts))
    assert not verdict(desk).is_open and "no address of it" in verdict(desk).why


def test_a_reload_with_a_reference_lets_a_lone_host_be_fenced() -> None:
    plan = rack(hosts=("node-2",), racks={}, proxies=(), observers=(), settings={"gates.witness_hosts": 0})
    desk = silent(Desk(plan))
    assert held(desk) == {"observers"}
    known = racks.inventory(replace(plan, references=("10.0.0.254",)))
    desk.fleet.take(known)
    silent(desk, 10.0)
    assert desk.state().operation is not None


# -- life -------------------------------------------------------------------------------------------------------------


def test_one_sign_of_life_closes_and_who_disagrees_is_told() -> None:
    desk = silent(observed(rack(), seen(px1=Saw.ALIVE, px2=Saw.UNKNOWN)))
    assert held(desk) == {"alive_but_silent"}
    why = verdict(desk, gate="alive_but_silent").why
    assert why.startswith("partial: px1 (r2) reaches it (tcp 22), the daemon can't: it is cut off from some")


def test_one_observer_of_a_domain_that_reaches_it_outvotes_the_other() -> None:
    desk = silent(observed(rack(domains={"px1": "r2", "px2": "r2"}), seen(px1=Saw.ALIVE)))
    assert held(desk) == {"alive_but_silent"}
    assert set(observing.vote(desk.fleet, NODE, desk.now).silent) == {""}


def test_a_sign_of_life_counts_as_long_as_any_answer_does() -> None:
    desk = silent(observed(rack(), seen(px1=Saw.ALIVE)), 22.0)
    desk.sees[NODE] = seen(px1=None)
    at = next(look.at for look in observing.looks_of(desk.fleet, NODE) if look.saw is Saw.ALIVE)
    silent(desk, at + 8.0 - desk.now)
    assert held(desk) == {"alive_but_silent"}, "px1 does not answer any more"
    silent(desk, 10.0)
    assert desk.state().operation is not None


def test_life_over_one_of_two_networks_is_life() -> None:
    addresses = {name: (f"storage=10.1.0.{number}",) for number, name in enumerate(SIX, start=1)}

    def sees(observer: Observer, target: Target) -> Saw:
        return Saw.ALIVE if target.network == "storage" and observer.name == PX2 else Saw.SILENT

    desk = silent(observed(rack(addresses=addresses), sees))
    assert held(desk) == {"alive_but_silent"}
    assert "px2 (r3) reaches it over the network storage" in verdict(desk, gate="alive_but_silent").why


def test_alive_but_silent_fence_passes_both_gates() -> None:
    desk = silent(observed(rack(settings={"detection.alive_but_silent": "fence"}), seen(px1=Saw.ALIVE)))
    assert desk.state().operation is not None
    blind = silent(observed(rack(settings={"detection.alive_but_silent": "fence"}), seen(px1=None, px2=None)))
    assert held(blind) == {"observers"}, "it is about a host that answers"


# -- the level --------------------------------------------------------------------------------------------------------


def proving(plan: Rack) -> Desk:
    """Return a desk with an operation whose races are not answered yet."""
    desk = observed(plan)
    desk.fence()
    return desk


def test_what_is_too_old_before_the_first_off_is_asked_again() -> None:
    desk = proving(rack())
    desk.go(15.0, silent=[NODE])
    desk.are_looks_lost = True
    desk.race("pdu-a")
    assert not desk.waiting(c.SwitchDevice)
    assert desk.operation().ending is None
    assert desk.waiting(c.AskLife), "it is no reason to fail"


def test_observers_are_judged_again_before_the_first_off() -> None:
    desk = proving(rack())
    desk.sees[NODE] = seen(px1=None, px2=None)
    desk.go(15.0, silent=[NODE])
    operation = desk.operation().id
    desk.serve(until="operation_ended")
    ended = desk.ended(operation)
    assert ended.state is OperationState.CANCELLED and "observers: 1 of 2" in (ended.why or "")
    assert desk.power(NODE, next(iter(desk.inventory.hosts[NODE].devices)).name) is Power.ON


def test_without_an_answer_in_time_nothing_is_switched() -> None:
    desk = proving(rack())
    desk.are_looks_lost = True
    desk.go(15.0, silent=[NODE])
    operation = desk.operation().id
    desk.serve(until="operation_ended")
    assert desk.ended(operation).state is OperationState.CANCELLED
    assert not [it for it in desk.records(r.StepStarted) if it.token is not None]


# -- small clusters ---------------------------------------------------------------------------------------------------

OTHER = HostName("node-1")


def pair(**changes: object) -> Rack:
    places = {"node-1": "c1/dc1", "node-2": "c1/dc1", "node-3": "c2/dc1", "node-4": "c2/dc1"}
    plain = Rack(
        hosts=("node-1", "node-2", "node-3", "node-4"), places=places, proxies=("px1",), observers=("px1",),
        domains={"px1": "elsewhere"},
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def dead_and_mute(plan: Rack, other: Sees) -> Desk:
    desk = observed(plan)
    desk.sees[OTHER] = other
    desk.go(40.0, silent=[NODE, OTHER])
    return desk


def test_of_two_hosts_the_dead_one_is_fenced() -> None:
    assert silent(observed(pair())).state().operation is not None


def test_an_observer_elsewhere_that_reaches_the_other_host_stands_for_it() -> None:
    desk = dead_and_mute(pair(), lambda observer, target: Saw.ALIVE if observer.name == PX1 else Saw.SILENT)
    assert desk.state().operation is not None
    assert desk.state(OTHER).operation is None


@pytest.mark.parametrize("domain", ["", "c1", "dc1"])
def test_an_observer_of_an_unknown_domain_or_of_the_pairs_own_does_not(domain: str) -> None:
    plan = pair(domains={"px1": domain} if domain else {})
    desk = dead_and_mute(plan, lambda observer, target: Saw.ALIVE if observer.name == PX1 else Saw.SILENT)
    assert "connectivity" in held(desk)


def test_an_observer_that_reaches_neither_does_not() -> None:
    assert "connectivity" in held(dead_and_mute(pair(), lambda observer, target: Saw.SILENT))


def test_an_observer_that_reached_the_other_over_another_network_does_not() -> None:
    addresses = {f"node-{number}": (f"storage=10.1.0.{number}",) for number in range(1, 5)}

    def sees(observer: Observer, target: Target) -> Saw:
        return Saw.ALIVE if observer.name == PX1 and target.network == "storage" else Saw.UNKNOWN

    desk = observed(pair(addresses=addresses))
    desk.sees[OTHER] = sees
    desk.sees[NODE] = lambda observer, target: Saw.SILENT if target.network == "" else Saw.UNKNOWN
    desk.go(40.0, silent=[NODE, OTHER])
    assert "connectivity" in held(desk)


# -- in words ---------------------------------------------------------------------------------------------------------


def said(desk: Desk) -> list[str]:
    return list(summary(desk.fleet, NODE, desk.now, gates.all_gates(desk.fleet, NODE, desk.now)))


def test_explain_says_in_one_line_who_saw_what() -> None:
    agreed = silent(paused(rack()))
    assert said(agreed)[1].endswith("s ago: the daemon, px2 (r3), px1 (r2) saw it silent.")
    split = silent(observed(rack(), seen(px1=Saw.ALIVE, px2=Saw.UNKNOWN)))
    assert said(split)[1].endswith(
        "s ago: px1 (r2) reached it; the daemon saw it silent; px2 (r3) could not tell."
    )  # fmt: skip
    assert len(said(split)) <= 10
    shown = {str(look["observer"]): look for look in confirmed(split.fleet, NODE, split.now)}
    assert [(shown[name]["answer"], shown[name]["counts"]) for name in ("px1", "engine", "px2")] == [
        ("alive", True), ("silent", True), ("unknown", False),
    ]  # fmt: skip


def test_the_operation_explains_who_saw_it_silent() -> None:
    desk = silent(observed(rack()))
    assert any("saw it silent" in line for line in desk.operation().explanation)
    passed = next(found for found in desk.operation().gates if found.gate == "observers")
    assert passed.why.startswith("silent for the daemon while it reached 10.0.0.")
