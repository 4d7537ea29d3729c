"""Trial looks at hosts that live: who could tell their death is known before the first of them dies."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.allowed import observing
from fenced.core.heard.looks import Look, Observer, Saw, Target
from fenced.core.readiness.values import Found, Weight
from fenced.core.suspected import trials
from fenced.model.names import ENGINE, HostName
from fenced.model.power import State
from tests.core.desk import NODE, Desk
from tests.core.observers_desk import PX1, PX2, held, observed, rack, silent, verdict
from tests.core.readiness_desk import cluster, host, kinds, look_at, look_at_all
from tests.fakes.looks import Sees, answer
from tests.world.rack import Rack

ROUTER = "10.0.0.254"
LATE_SECONDS = 35.0
"""More than a message may be late."""


def checked(**changes: object) -> Desk:
    plan = rack(**changes)
    return observed(replace(plan, settings={"check.interval_seconds": 300.0, **plan.settings}))


def texts(at: Desk, found: Found, name: HostName = NODE) -> list[str]:
    return [finding.text for finding in host(at, name).findings if finding.found is found]


def sees(px1: Saw | None = Saw.ALIVE, px2: Saw | None = Saw.ALIVE, engine: Saw | None = Saw.ALIVE) -> Sees:
    by_name = {ENGINE: engine, PX1: px1, PX2: px2}
    return lambda observer, target: by_name[observer.name]


def dropped(at: Desk) -> None:
    """A firewall that drops every probe: nobody reaches a host, nor a control."""
    at.now += 1.0
    for other in at.inventory.hosts:
        at.beat(other)
    command = trials.question(at.fleet, NODE, at.now)
    assert command is not None
    blind = tuple(
        replace(look, control="", control_fault="no control answered (10.0.0.3: no answer within a second)")
        for look in answer(command, at.now).looks
    )
    at.do(e.TrialLooked(host=NODE, looks=blind))


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_a_trial_asks_what_a_suspicion_would_ask() -> None:
    at = checked()
    command = trials.question(at.fleet, NODE, at.now)
    assert command is not None and command.is_trial
    panel = observing.panel(at.fleet, NODE, at.now)
    assert command.observers == tuple(member.observer for member in panel.asked)
    assert command.targets == observing.targets(at.fleet, NODE, at.now, panel)


def test_a_host_that_does_not_live_or_is_worked_on_is_not_tried() -> None:
    at = checked()
    assert trials.question(at.fleet, HostName("gone"), at.now) is None
    at.maintain()
    assert trials.question(at.fleet, NODE, at.now) is None
    at = checked()
    at.go(12.0, silent=[NODE])
    assert at.state().state is State.HEALTHY and trials.question(at.fleet, NODE, at.now) is None, "it is overdue"
    at = silent(checked(), 22.0)
    assert at.state().state is not State.HEALTHY and trials.question(at.fleet, NODE, at.now) is None


# -- a fleet whose fences would be held -------------------------------------------------------------------------------


def test_a_fleet_that_drops_the_probes_is_told_before_a_host_dies() -> None:
    """Without this, the gate `observers` held the first dead host for ever, and nobody knew beforehand."""
    at = checked()
    dropped(at)
    assert not cluster(at).is_ready
    (text,) = texts(at, Found.HELD_BY_OBSERVERS)
    assert text.startswith("0 of 2 failure domains would see it silent; missing: ")
    assert "px1 (r2): reached no control (no control answered (10.0.0.3: no answer within a second))" in text
    (warning,) = trials.warnings(at.fleet, at.now)
    assert "would hold the fence of 1 hosts" in warning and warning.endswith(": node-2")
    at.sees[NODE] = lambda observer, target: Saw.UNKNOWN
    assert held(silent(at)) == {"observers"}, "and so it is"


def test_where_enough_domains_reach_the_host_and_a_control_nothing_is_found() -> None:
    at = checked()
    assert kinds(at) >= {Found.NOT_LOOKED_AT}
    look_at_all(at)
    assert not kinds(at) & {Found.NOT_LOOKED_AT, Found.HELD_BY_OBSERVERS, Found.FALSE_WITNESS}
    assert cluster(at).figures.observable == len(at.inventory.hosts)
    assert [*trials.warnings(at.fleet, at.now)] == []
    assert not held(silent(at)), "the gate opens as foretold"


def test_who_reaches_the_host_and_no_control_would_not_count() -> None:
    at = checked()
    at.go(2.0)
    command = trials.question(at.fleet, NODE, at.now)
    assert command is not None
    looks = answer(command, at.now, answered="tcp 22").looks
    alone = tuple(replace(it, control="", control_fault="no control answered") for it in looks)
    at.do(e.TrialLooked(host=NODE, looks=alone))
    assert Found.HELD_BY_OBSERVERS in kinds(at)
    older = tuple(replace(it, control="", control_fault="") for it in looks)
    at.do(e.TrialLooked(host=NODE, looks=older))
    assert "did not say whether it reaches a control" in texts(at, Found.HELD_BY_OBSERVERS)[0]
    at.do(e.TrialLooked(host=NODE, looks=looks))
    assert Found.HELD_BY_OBSERVERS not in kinds(at)


def test_its_own_machine_is_no_control_of_an_observer() -> None:
    at = checked(proxies=("px1",), observers=("px1",), machines={"px1": "node-3"})
    at.go(2.0)
    command = trials.question(at.fleet, NODE, at.now)
    assert command is not None
    looks = answer(command, at.now, answered="tcp 22").looks
    own = tuple(replace(it, control="10.0.0.3") if it.observer.name == PX1 else it for it in looks)
    at.do(e.TrialLooked(host=NODE, looks=own))
    assert "px1 (r2): reached no control" in texts(at, Found.HELD_BY_OBSERVERS)[0]


def test_one_domain_of_two_is_not_enough() -> None:
    at = checked()
    at.go(2.0)
    look_at(at, NODE, sees(px1=Saw.UNKNOWN, px2=Saw.UNKNOWN))
    (text,) = texts(at, Found.HELD_BY_OBSERVERS)
    assert text.startswith("1 of 2 failure domains would see it silent")


def test_a_missing_observer_is_named() -> None:
    at = checked(proxies=("px1",), observers=("px1",))
    at.do(e.ProxiesSeen(faults={PX1: "its certificate has expired"}, observers=frozenset({PX1})))
    at.go(2.0)
    look_at(at, NODE)
    assert "px1 (r2): its certificate has expired" in texts(at, Found.HELD_BY_OBSERVERS)[0]


@pytest.mark.parametrize("setting", [{"detection.probe_ports": ()}, {"check.interval_seconds": 0.0}])
def test_without_a_check_or_ports_nothing_of_it_is_found(setting: dict[str, object]) -> None:
    at = checked(settings=setting)
    at.go(2.0)
    assert not kinds(at) & {Found.NOT_LOOKED_AT, Found.HELD_BY_OBSERVERS, Found.FALSE_WITNESS}


def test_what_was_seen_expires_with_its_round_and_with_the_address() -> None:
    at = checked()
    look_at_all(at)
    at.go(600.0, pace=5.0)
    assert Found.NOT_LOOKED_AT not in kinds(at)
    at.go(200.0, pace=5.0)
    assert Found.NOT_LOOKED_AT in kinds(at)
    look_at_all(at)
    moved = {**at.inventory.hosts, NODE: replace(at.inventory.hosts[NODE], address="10.9.9.9")}
    at.do(e.InventoryRead(inventory=replace(at.inventory, hosts=moved)))
    assert Found.NOT_LOOKED_AT in kinds(at)


# -- false witnesses --------------------------------------------------------------------------------------------------


def test_an_observer_that_sees_a_living_host_silent_twice_is_a_false_witness() -> None:
    """Its firewall drops the probes and lets those of the router through: it would vote for the death of each host."""
    at = checked(references=(ROUTER,))
    at.go(2.0)
    look_at(at, NODE, sees(px1=Saw.SILENT))
    at.go(LATE_SECONDS)
    assert Found.FALSE_WITNESS not in kinds(at), "once may be a lost packet"
    look_at(at, NODE, sees(px1=Saw.SILENT))
    assert Found.FALSE_WITNESS not in kinds(at), "it may have died just now"
    at.go(LATE_SECONDS)
    (text,) = texts(at, Found.FALSE_WITNESS)
    assert text.startswith("px1 (r2) sees it silent while it lives, and reached 10.0.0.")
    found = next(it for it in cluster(at).findings if it.found is Found.FALSE_WITNESS)
    assert (found.weight, found.hosts) == (Weight.BLOCKS, (NODE,)) and not cluster(at).is_ready
    (warning,) = trials.warnings(at.fleet, at.now)
    assert warning.startswith("false witness: px1 (r2) sees hosts that live as silent") and "node-2" in warning
    look_at(at, NODE, sees(px1=Saw.SILENT))
    assert Found.FALSE_WITNESS in kinds(at), "and stays one with the next look"
    look_at(at, NODE)
    assert Found.FALSE_WITNESS not in kinds(at), "it sees the host again"


def test_silence_without_a_control_makes_no_false_witness() -> None:
    at = checked()
    for _ in range(3):
        dropped(at)
        at.go(LATE_SECONDS)
    assert Found.FALSE_WITNESS not in kinds(at)


def test_a_host_that_died_and_came_back_makes_no_false_witness() -> None:
    at = checked()
    at.go(2.0)
    look_at(at, NODE, sees(px1=Saw.SILENT))
    at.go(LATE_SECONDS)
    look_at(at, NODE, sees(px1=Saw.SILENT))
    for _ in range(10):
        at.go(LATE_SECONDS / 10, silent=[NODE])
        at.beat(boot="b2")
    assert at.state().state is State.HEALTHY
    assert Found.FALSE_WITNESS not in kinds(at), "it was down when it was looked at"


def test_two_looks_without_a_beat_between_them_are_one() -> None:
    at = checked()
    at.go(2.0)
    look_at(at, NODE, sees(px1=Saw.SILENT))
    at.now += 1.0
    look_at(at, NODE, sees(px1=Saw.SILENT))
    at.go(LATE_SECONDS)
    assert Found.FALSE_WITNESS not in kinds(at)


# -- late answers -----------------------------------------------------------------------------------------------------


def test_no_gate_opens_by_a_trial_and_a_late_sign_of_life_still_counts() -> None:
    at = checked()
    at.go(2.0)
    command = trials.question(at.fleet, NODE, at.now)
    assert command is not None
    silence = answer(command, at.now).looks
    at.do(e.TrialLooked(host=NODE, looks=silence))
    at.are_looks_lost = True
    silent(at, 22.0)
    assert at.state().state is State.SUSPECT
    at.do(e.TrialLooked(host=NODE, looks=tuple(replace(it, at=at.now) for it in silence)))
    assert at.state().operation is None and not verdict(at).is_open, "a trial is no vote"
    life = Look(
        observer=Observer(name=PX1, domain="r2"), network="", target="10.0.0.2", saw=Saw.ALIVE, at=at.now, why="tcp 22"
    )
    at.do(e.TrialLooked(host=NODE, looks=(life,)))
    found = verdict(at, gate="alive_but_silent")
    assert not found.is_open and "px1 (r2) reaches it" in found.why, "a sign of life counts, whoever asked for it"


def test_proxies_that_have_not_answered_are_named() -> None:
    at = checked()
    look_at_all(at)
    at.do(e.ProxiesSeen(faults={}, observers=frozenset({PX1}), untold=frozenset({PX2})))
    found = next(it for it in cluster(at).findings if it.found is Found.OBSERVERS_NOT_KNOWN)
    assert found.text.startswith("not known whether they look: px2; ")
    assert found.weight is Weight.ADVICE


def test_each_network_has_witnesses_of_its_own() -> None:
    addresses = {f"node-{number}": (f"storage=10.1.0.{number}",) for number in range(1, 7)}
    at = checked(addresses=addresses)

    def over(observer: Observer, target: Target) -> Saw:
        is_cut = observer.name == PX1 and target.network == "storage"
        return Saw.SILENT if is_cut else Saw.ALIVE

    for _ in range(2):
        at.go(LATE_SECONDS)
        look_at(at, NODE, over)
    at.go(LATE_SECONDS)
    (text,) = texts(at, Found.FALSE_WITNESS)
    assert text.startswith("px1 (r2) over the network storage sees it silent while it lives, and reached 10.1.0.")


def test_a_rack_without_proxies_has_the_daemon_alone() -> None:
    at = Desk(Rack(settings={"check.interval_seconds": 300.0}))
    look_at_all(at)
    assert trials.valid(at.fleet, NODE, at.now) is not None
    assert not kinds(at) & {Found.NOT_LOOKED_AT, Found.HELD_BY_OBSERVERS}
