"""How a start reads the journal: no record keeps the daemon down, and the bus learns which hosts are gone."""

import json
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.decide import decide
from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, IssuedCommand
from fenced.core.fleet import Fleet
from fenced.engine.batch import Collected, batch_of, collect
from fenced.engine.engine import unfinished
from fenced.engine.replaying import replay
from fenced.model.inventory import Inventory
from fenced.model.moments import rfc3339
from fenced.model.names import ENGINE, DeviceName, HostName, OperationId, PlugId, Token
from fenced.model.power import Cause, Outcome, Proof, State, What
from fenced.ports.journal import Loaded
from tests.core.desk import NODE
from tests.world.rack import Rack, inventory

OTHER = HostName("node-3")
NOW = 5000.0


def healthy(name: HostName) -> HostState:
    return HostState(name=name, state=State.HEALTHY, since=1.0, is_known=True)


def loaded(*tail: r.Entry, faults: dict[HostName, str] | None = None, fleet_fault: str = "") -> Loaded:
    hosts = {name: healthy(name) for name in (NODE, OTHER)}
    return Loaded(store_id="s", hosts=hosts, tail=tail, faults=faults or {}, fleet_fault=fleet_fault)


def started(given: Loaded, fleet_of: Inventory | None = None) -> tuple[Fleet, Collected]:
    """Return the fleet after the start, and what becomes durable with it."""
    fleet = replay(fleet_of or inventory(Rack()), given, started=NOW)
    fleet.epoch = 2
    fleet.begin()
    decision = decide(fleet, e.Started(), NOW)
    return fleet, collect([decision], fleet, "fenced-a", NOW)


def without_node() -> Inventory:
    whole = inventory(Rack())
    return replace(whole, hosts={name: host for name, host in whole.hosts.items() if name != NODE})


@pytest.mark.parametrize("where", ["in the inventory", "gone"])
def test_a_record_that_cannot_be_folded_puts_its_host_aside(where: str) -> None:
    entry = r.Entry(at=2.0, host=NODE, record=r.Armed(by="person"))
    fleet, collected = started(loaded(entry), None if where == "in the inventory" else without_node())
    state = fleet.known(NODE)
    assert (state.state, bool(state.record_fault)) == (State.FAILED, True)
    assert fleet.hosts[OTHER].state is State.HEALTHY
    assert NODE in {snapshot.name for snapshot in batch_of(collected).snapshots}, (
        "the next start does not meet it again"
    )


def test_a_transition_that_there_is_none_of_puts_its_host_aside() -> None:
    left = r.Entry(at=2.0, host=NODE, record=r.HostFenced(
        proof=Proof.HUMAN, operation=None, level=None, boot=None, token=Token(epoch=1, sequence=1), devices=(),
        is_stay_off=True, by="person", reason="told", cause=Cause.REQUEST, last_heard=None,
    ))  # fmt: skip
    suspected = r.Entry(at=3.0, host=NODE, record=r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None))
    state = started(loaded(left, suspected))[0].hosts[NODE]
    assert (state.state, state.proof) == (State.FAILED, None)
    assert "HostSuspected may not lead" in state.record_fault
    assert state.token == Token(epoch=2, sequence=1), "above what was announced"


def test_a_late_record_of_a_device_that_there_is_none_of_changes_nothing() -> None:
    ended = r.StepEnded(
        operation=OperationId("1-1"), device=DeviceName("gone"), number=1, outcome=Outcome.OFF, error=None,
        is_end_known=True, wait_until=0.0,
    )  # fmt: skip
    state = started(loaded(r.Entry(at=2.0, host=NODE, record=ended)))[0].hosts[NODE]
    assert (state.state, state.record_fault) == (State.HEALTHY, "")


def test_a_record_of_the_fleet_that_cannot_be_folded_holds_all() -> None:
    entry = r.Entry(at=2.0, host=None, record=r.HostRemoved())
    fleet, collected = started(loaded(entry))
    assert fleet.state.store_hold
    assert batch_of(collected).fleet == fleet.state


def test_what_cannot_be_read_of_a_host_without_a_snapshot_puts_it_aside() -> None:
    new = HostName("node-4")
    fleet, _ = started(loaded(faults={new: "the snapshot of node-4 cannot be read"}))
    assert fleet.hosts[new].state is State.FAILED
    fleet, _ = started(loaded(faults={HostName("nobody"): "the snapshot of nobody cannot be read"}))
    assert fleet.gone[HostName("nobody")].record_fault


def test_the_retained_state_of_a_host_that_is_gone_is_cleared_once() -> None:
    fleet, collected = started(loaded(), without_node())
    messages = [message for message in collected.outbox if message.is_retained]
    assert [(message.topic, message.payload) for message in messages] == [(f"fenced/v1/site-1/state/{NODE}", b"")]
    again = Loaded(store_id="s", hosts={**fleet.hosts, **fleet.gone})
    assert started(again, without_node())[1].outbox == []
    back = started(again)[1].outbox
    assert [json.loads(message.payload)["state"] for message in back] == ["healthy"]


def test_a_host_that_a_reload_removes_and_adds_is_cleared_and_published_again() -> None:
    fleet, _ = started(loaded())
    fleet.begin()
    gone = collect([decide(fleet, e.InventoryRead(inventory=without_node()), NOW)], fleet, "fenced-a", NOW)
    assert [message.payload for message in gone.outbox if message.host == NODE] == [b""]
    fleet.roll_back()
    fleet.begin()
    again = collect([decide(fleet, e.InventoryRead(inventory=without_node()), NOW)], fleet, "fenced-a", NOW)
    assert [message.payload for message in again.outbox if message.host == NODE] == [b""], "the store refused it once"
    fleet.settle()
    fleet.begin()
    back = collect([decide(fleet, e.InventoryRead(inventory=inventory(Rack())), NOW)], fleet, "fenced-a", NOW)
    assert [json.loads(message.payload)["state"] for message in back.outbox if message.host == NODE] == ["healthy"]


def test_announced_times_are_those_of_a_right_wall_clock() -> None:
    ahead = 73 * 365 * 86400.0
    fleet = replay(inventory(Rack()), loaded(), started=NOW + ahead)
    fleet.epoch = 2
    fleet.begin()
    disarmed = decide(fleet, e.ArmAsked(is_on=False, by="person", reason="a test"), NOW + ahead)
    told = collect([disarmed], fleet, "fenced-a", NOW + ahead, lambda at: at - ahead).outbox
    times = [json.loads(message.payload)["time"] for message in told if not message.is_retained]
    assert times and set(times) == {rfc3339(NOW)}


def test_only_programs_of_commands_that_did_not_end_are_looked_for() -> None:
    """What still runs after a crash is killed before anything is decided (S16)."""
    sent = IssuedCommand(
        device=DeviceName("pdu-a"), plug_id=PlugId("a"), what=What.OFF, proxy=ENGINE,
        token=Token(epoch=1, sequence=1), not_after=9.0, pid=7, pid_started="123",
    )  # fmt: skip
    commands = (sent, replace(sent, is_ended=True, pid=8), replace(sent, pid=None, pid_started=None))
    given = replace(loaded(), hosts={NODE: replace(healthy(NODE), commands=commands), OTHER: healthy(OTHER)})
    assert unfinished(replay(inventory(Rack()), given, started=NOW)) == ((7, "123"),)
    assert unfinished(replay(without_node(), given, started=NOW)) == ((7, "123"),), "a host that left, too"
