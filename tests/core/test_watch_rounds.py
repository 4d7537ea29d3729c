"""Which watch rounds prove OFF: their level, their number and their paths (S1, S17)."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import RaceEntry
from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Outcome, Power, State, Verdict
from tests.core.desk import NODE, Desk
from tests.core.test_watch import off, watch
from tests.world.rack import Rack


def round_of(at: Desk, *powers: tuple[str, Power], began_ago: float = 0.0, **paths: Power) -> None:
    """The next round; `paths`: what each path to pdu-a read, the first of them won."""
    watch(at)
    command = at.take(c.WatchHost)
    entries = tuple(
        RaceEntry(proxy=ProxyName(name), tier=1, verdict=Verdict.WON if number == 0 else Verdict.RESERVE, power=power)
        for number, (name, power) in enumerate(paths.items())
    )
    read = tuple((DeviceName(name), power) for name, power in powers)
    races = ((DeviceName("pdu-a"), entries),) if entries else ()
    at.do(e.WatchEnded(host=command.host, started=at.now - began_ago, powers=read, races=races))


def test_two_rounds_of_two_levels_prove_nothing() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:2"), settings={"power.attempts": 1}))
    failed_all(at)
    round_of(at, ("pdu-a", Power.OFF), ("pdu-b", Power.ON))
    round_of(at, ("pdu-a", Power.ON), ("pdu-b", Power.OFF))
    round_of(at, ("pdu-a", Power.OFF), ("pdu-b", Power.ON))
    assert at.state().state is State.FAILED
    round_of(at, ("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    assert at.records(r.HostFenced)[0].level == 1


def test_as_many_rounds_as_stable_reads_asks_for() -> None:
    at = Desk(Rack(devices=("pdu-a:1",), settings={"power.attempts": 1, "power.stable_reads": 3}))
    failed_all(at)
    for _ in range(2):
        round_of(at, ("pdu-a", Power.OFF))
    assert at.state().state is State.FAILED
    round_of(at, ("pdu-a", Power.OFF))
    assert at.state().state is State.FENCED


def test_a_round_that_began_before_the_last_one_had_ended_is_the_same_reading() -> None:
    at = Desk(Rack(devices=("pdu-a:1",), settings={"power.attempts": 1, "power.already_off_hold_seconds": 0.0}))
    failed_all(at)
    round_of(at, ("pdu-a", Power.OFF), began_ago=5.0)
    taken_at = at.now
    watch(at)
    round_of(at, ("pdu-a", Power.OFF), began_ago=at.now - taken_at + 1.0)
    assert at.state().state is State.FAILED


@pytest.mark.parametrize("winner", [Power.OFF, Power.ON])
def test_a_path_that_reads_on_revokes_even_if_another_path_won(winner: Power) -> None:
    at = off(Rack(devices=("pdu-a:1",), proxies=("px1", "px2"), reach=("px1", "px2")))
    loser = Power.ON if winner is Power.OFF else Power.OFF
    round_of(at, ("pdu-a", winner), px1=winner, px2=loser)
    assert at.records(r.HostRevoked) and at.told.count("host.contradiction") == 1


def test_a_failed_host_is_not_proven_off_while_its_paths_disagree() -> None:
    rack = Rack(devices=("pdu-a:1",), proxies=("px1", "px2"), reach=("px1", "px2"), settings={"power.attempts": 1})
    at = Desk(rack)
    failed_all(at)
    round_of(at, ("pdu-a", Power.OFF), px1=Power.OFF, px2=Power.ON)
    for _ in range(3):
        round_of(at, ("pdu-a", Power.OFF), px1=Power.OFF)
    assert at.state().state is State.FAILED and at.told.count("host.contradiction") == 1
    watch(at)
    assert at.waiting(c.WatchHost)[0].exhaustive == ("pdu-a",), "each path is asked from then on"
    for _ in range(2):
        round_of(at, ("pdu-a", Power.OFF), px1=Power.OFF, px2=Power.OFF)
    assert at.state().state is State.FENCED


def test_a_path_that_read_on_in_the_round_before_is_asked_before_another_ones_off_counts() -> None:
    rack = Rack(devices=("pdu-a:1",), proxies=("px1", "px2"), reach=("px1", "px2"), settings={"power.attempts": 1})
    at = Desk(rack)
    failed_all(at)
    round_of(at, ("pdu-a", Power.ON), px2=Power.ON)
    for _ in range(3):
        round_of(at, ("pdu-a", Power.OFF), px1=Power.OFF)
    assert at.state().state is State.FAILED
    for _ in range(2):
        round_of(at, ("pdu-a", Power.OFF), px1=Power.OFF, px2=Power.OFF)
    assert at.state().state is State.FENCED and "host.contradiction" not in at.told


def failed_all(at: Desk) -> None:
    """No device accepts an OFF, and no attempt is left."""
    at.fence()
    for _ in range(1000):
        if at.records(r.OperationEnded):
            break
        if at.waiting(c.RunRace):
            at.race(at.waiting(c.RunRace)[0].device, Power.ON, winner="px1" if at.inventory.proxies else "engine")
        elif at.waiting(c.SwitchDevice):
            at.switched(at.waiting(c.SwitchDevice)[0].device, Outcome.FAILED)
        elif at.waiting(c.ReadDevice):
            at.read(at.waiting(c.ReadDevice)[0].device, Power.ON)
        else:
            at.go(0.5, silent=[NODE])
    assert at.state().state is State.FAILED
