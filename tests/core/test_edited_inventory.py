"""The inventory changed while the daemon was down: what relied on the old one is read and reported (S1, S9, S13)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Phase, Restored
from fenced.core.fleet import Fleet
from fenced.model.answers import Accepted, RefusedBy
from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import ClusterName, DeviceName, HostName, PlugId
from fenced.model.power import Action, Kind, OperationState, Outcome, Power, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.world.rack import Rack

Edit = Callable[[Host], Host | None]


def edited(inventory: Inventory, edit: Edit, name: HostName = NODE) -> Inventory:
    """Return the inventory with one host changed or removed."""
    hosts = {other: host for other, host in inventory.hosts.items() if other != name}
    if (changed := edit(inventory.hosts[name])) is not None:
        hosts[changed.name] = changed
    return replace(inventory, hosts=hosts)


class Life(Desk):
    """A later run of the daemon; `past`: the journal of the earlier runs."""

    past: list[r.Entry]


def restarted(at: Desk, edit: Edit = lambda host: host, *, down: float = 5.0) -> Life:
    """Start the daemon again over the old journal, with an edited inventory."""
    again = Life(is_calm=False)
    again.past = [*(at.past if isinstance(at, Life) else ()), *at.entries]
    again.inventory = edited(at.inventory, edit)
    again.now = at.now + down
    again.fleet = Fleet(again.inventory, epoch=at.fleet.epoch + 1, started=again.now)
    for entry in again.past:
        again.fleet.apply(entry)
    again.powers = dict(at.powers)
    again.do(e.LeaseRenewed(until=FOR_EVER))
    again.do(e.Started())
    return again


def served(at: Desk, seconds: float = 120.0, until: str = "operation_ended") -> Desk:
    at.serve(silent=tuple(at.inventory.hosts), seconds=seconds, until=until)
    return at


def device(host: Host, name: str) -> Device:
    return host.device(DeviceName(name))


def without(name: str) -> Edit:
    return lambda host: replace(host, devices=tuple(it for it in host.devices if it.name != name))


def changed(name: str, change: Callable[[Device], Device]) -> Edit:
    return lambda host: replace(host, devices=tuple(change(it) if it.name == name else it for it in host.devices))


def renamed(name: str) -> Edit:
    return changed(name, lambda it: replace(it, name=DeviceName(f"new-{it.name}")))


def moved(name: str, plug: str = "node-2/other") -> Edit:
    return changed(name, lambda it: replace(it, spec=replace(it.spec, plug_id=PlugId(plug))))


def added(name: str = "pdu-b", level: int = 1) -> Edit:
    """Add a forgotten feed: like pdu-a, on its own plug."""

    def add(host: Host) -> Host:
        like = device(host, "pdu-a")
        spec = replace(like.spec, plug_id=PlugId(f"{host.name}/{name}"))
        return replace(host, devices=(*host.devices, replace(like, name=DeviceName(name), level=level, spec=spec)))

    return add


EDITS: dict[str, Edit] = {
    "gone": without("pdu-a"),
    "renamed": renamed("pdu-a"),
    "plug": moved("pdu-a"),
    "plug of another host": moved("pdu-a", "node-1/pdu-a"),
    "level": changed("pdu-a", lambda it: replace(it, level=3)),
    "kind": changed("pdu-a", lambda it: replace(it, kind=Kind.CHASSIS)),
    "identity": changed("pdu-a", lambda it: replace(it, identity="4C4C4544")),
    "added": added("pdu-c"),
    "added level": added("pdu-c", 2),
    "all gone": lambda host: replace(host, devices=()),
}
"""The edits of what an operation relies on."""

HARMLESS: dict[str, Edit] = {
    "nothing": lambda host: host,
    "cluster": lambda host: replace(host, cluster=ClusterName("c9")),
    "protected": lambda host: replace(host, is_protected=True),
    "reads": changed("pdu-a", lambda it: replace(it, power=replace(it.power, stable_reads=3))),
}

PHASES = ("proving", "inspecting", "announcing", "restoring", "reading last", "giving back", "closing")


def at_phase(phase: str) -> Desk:
    """Return a host in an operation that has sent its OFFs."""
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2")))
    at.fence()
    for name in ("pdu-a", "pdu-b"):
        at.race(name)
    at.set_power(Power.OFF, "bmc")  # the outlets feed it
    match phase:
        case "proving":
            at.switched("pdu-a")
        case "inspecting":
            at.serve(until="phase_entered")
        case "announcing":
            at.serve(until="host_fenced")
        case "restoring":
            at.serve(until="host_fenced")
            at.go(11.0, silent=[NODE])
        case "reading last":
            at.maintain()
            at = restarted(at)
        case "giving back":
            at.switched("pdu-a", Outcome.FAILED)
            at.switched("pdu-b", Outcome.FAILED)
            at.beat(boot="b2")
        case _:
            at.serve(until="host_fenced")
            at.go(11.0, silent=[NODE])
            at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
            at.set_power(Power.ON, "pdu-a")
            at.serve(until="host_restored")
            assert at.operation().phase is Phase.CLOSING
    return at


def commands(at: Desk) -> list[str]:
    return [f"{step.what.value} {step.device}" for step in at.records(r.StepStarted) if step.token is not None]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("beside", ["nothing", "a status", "a waiting request"])
def test_after_any_edit_the_start_reads_and_fails_and_sends_nothing(phase: str, edit: str, beside: str) -> None:
    at = at_phase(phase)
    if beside == "a status":
        at.ask(Action.STATUS)
    elif beside == "a waiting request":
        at.ask(Action.RESTART)
        at.ask(Action.OFF)
    is_ending = at.state().operation is None or at.operation().phase is Phase.CLOSING
    again = restarted(at, EDITS[edit])
    again.set_power(Power.OFF, "pdu-a", "pdu-b", "pdu-c", "new-pdu-a", "bmc")
    served(again, until="")
    assert commands(again) == []
    assert not again.records(r.HostFenced)
    state = again.state()
    assert (state.operation, state.waiting, state.reading) == (None, None, None)
    assert not state.record_fault
    if not is_ending:
        why = again.records(r.OperationEnded)[-1].why or ""
        assert "inventory" in why and ("pdu" in why), why


@pytest.mark.parametrize("edit", HARMLESS)
def test_what_changes_nothing_that_it_rests_on_lets_it_go_on(edit: str) -> None:
    again = restarted(at_phase("proving"), HARMLESS[edit])
    again.set_power(Power.OFF, "pdu-a", "pdu-b", "bmc")
    served(again, until="host_fenced")
    assert again.records(r.HostFenced)


def test_a_forgotten_feed_is_read_before_the_host_is_announced() -> None:
    at = Desk(Rack(devices=("pdu-a:1",)))
    at.fence()
    at.race("pdu-a")
    at.switched("pdu-a")
    again = restarted(at, added("pdu-b"))
    served(again)
    assert dict(again.state().power)[DeviceName("pdu-b")] is Power.ON
    assert not again.records(r.HostFenced)
    ended = again.records(r.OperationEnded)[0]
    assert (ended.state, ended.after) == (OperationState.FAILED, State.FAILED)
    assert "pdu-b" in (ended.why or "")


def test_what_was_announced_without_a_forgotten_feed_is_taken_back_once_it_reads_on() -> None:
    again = restarted(at_phase("announcing"), added("pdu-c"))
    again.set_power(Power.OFF, "pdu-a", "pdu-b", "bmc")
    served(again)
    assert [record.why for record in again.records(r.HostRevoked)] == ["pdu-c reads ON without an ON of ours"]
    assert commands(again) == []


def test_an_operation_of_an_older_program_that_kept_no_plugs_is_read_and_failed() -> None:
    at = at_phase("proving")
    at.entries = [_of_older_program(entry) for entry in at.entries]
    again = served(restarted(at))
    assert again.records(r.OperationEnded)[0].state is OperationState.FAILED
    assert commands(again) == []


def _of_older_program(entry: r.Entry) -> r.Entry:
    record = entry.record
    if not isinstance(record, r.OperationStarted):
        return entry
    runs = tuple(replace(run, plug_id=None) for run in record.operation.devices)
    return replace(entry, record=replace(record, operation=replace(record.operation, devices=runs)))


def test_no_on_goes_to_an_outlet_that_was_never_switched_off() -> None:
    """The debt belongs to the old outlet: it is reported by name, and the new outlet is not switched for it."""
    at = at_phase("proving")
    at.switched("pdu-b")
    again = restarted(at, moved("pdu-a"))
    served(again)
    again.do(e.BusConnected(at=again.now))
    again.go(60.0, silent=[NODE])
    again.beat(boot="b2")
    served(again, seconds=300.0)
    assert commands(again) == ["on pdu-b"]
    assert [it.device for it in again.state().orphans] == ["pdu-a"]
    assert "pdu-a" in str([record.why for record in again.records(r.LeftOff)])


@pytest.mark.parametrize("edit", [without("pdu-a"), renamed("pdu-a"), moved("pdu-a")])
def test_a_debt_of_a_device_that_is_gone_is_announced_once_and_kept(edit: Edit) -> None:
    """A failed host without an operation: reported at the start, kept, and owed again when the device is back."""
    at = at_phase("proving")
    at.maintain()
    at = served(restarted(at))
    assert at.state().owed
    again = restarted(at, edit)
    assert DeviceName("pdu-a") not in again.state().owed
    assert [it.device for it in again.state().orphans] == ["pdu-a"]
    assert again.told.count("host.left_off") == 1
    whole = at.inventory
    third = restarted(again)
    assert third.told.count("host.left_off") == 0
    again.inventory = whole
    back = restarted(again)
    assert DeviceName("pdu-a") in back.state().owed
    assert back.state().orphans == ()


def test_a_person_who_had_the_host_in_hand_ends_the_debt_of_a_device_that_is_gone() -> None:
    at = at_phase("proving")
    at.maintain()
    at = served(restarted(at))
    again = restarted(at, without("pdu-a"))
    assert again.state().orphans
    again.maintain(is_on=False)
    assert again.state().orphans == ()


def test_a_device_reached_by_another_driver_is_the_same_outlet() -> None:
    at = Desk(Rack(devices=("pdu-a:1",)))
    at.inventory = edited(at.inventory, moved("pdu-a", "fence_apc|10.0.0.9:22|7"))
    at.fleet.take(at.inventory)
    at.fence()
    at.race("pdu-a")
    at.maintain()
    at = served(restarted(at))
    again = restarted(at, moved("pdu-a", "snmp_outlet|10.0.0.9:161|7"))
    assert again.state().owed == (DeviceName("pdu-a"),)
    assert not again.state().orphans
    assert restarted(at, moved("pdu-a", "snmp_outlet|10.0.0.9:161|8")).state().owed == ()
    assert restarted(at, moved("pdu-a", "fence_apc|10.0.0.9:23|7")).state().owed == ()


# -- a host whose proof names other devices ---------------------------------------------------------------------------


def fenced_and_off(*devices: str) -> Desk:
    at = Desk(Rack(devices=devices))
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    return at


@pytest.mark.parametrize(
    "edit", [added("pdu-b"), renamed("pdu-a"), moved("pdu-a"), changed("pdu-a", lambda it: replace(it, level=4))]
)
def test_the_watch_takes_the_proof_back_when_a_device_of_its_level_reads_on(edit: Edit) -> None:
    again = restarted(fenced_and_off("pdu-a:1"), edit)
    again.set_power(Power.ON, "pdu-a", "pdu-b", "new-pdu-a")
    served(again, seconds=200.0, until="host_revoked")
    assert again.records(r.HostRevoked)


@pytest.mark.parametrize("edit", ["renamed", "plug", "gone", "all gone"])
def test_a_persons_on_after_an_edit_gives_back_what_is_still_there(edit: str) -> None:
    again = restarted(fenced_and_off("pdu-a:1", "pdu-b:1"), EDITS[edit])
    again.set_power(Power.OFF, "new-pdu-a")
    again.ask(Action.ON)
    served(again)
    assert again.state().operation is None
    # An operator's `on` covers all devices that the host has now, even an outlet that replaced another.
    assert ("on pdu-a" in commands(again)) is (edit == "plug")
    if edit != "all gone":
        assert "on pdu-b" in commands(again)


def test_rounds_of_the_watch_on_both_sides_of_a_reload_prove_nothing_together() -> None:
    """The first round read another outlet, or one feed less, as does a round that is still under way."""
    at = Desk(Rack(devices=("pdu-a:1",), settings={"power.already_off_hold_seconds": 0, "gates.attempts_count": 0}))
    at.fleet.put(replace(at.state(), state=State.FAILED, operation=None, is_known=True, since=at.now))
    at.pending.clear()
    at.do(e.TimerFired(host=NODE))

    def watched() -> None:
        for _ in range(200):
            if at.waiting(c.WatchHost):
                return
            at.go(1.0, silent=[NODE])

    at.go(60.0, silent=[NODE])
    watched()
    at.watched(("pdu-a", Power.OFF))
    watched()
    late = at.take(c.WatchHost)
    at.inventory = edited(at.inventory, moved("pdu-a"))
    assert at.do(e.InventoryRead(inventory=at.inventory)).answer
    at.do(e.WatchEnded(host=NODE, started=at.now - 1.0, powers=((late.paths[0][0], Power.OFF),)))
    at.go(1.0, silent=[NODE])
    watched()
    at.watched(("pdu-a", Power.OFF))
    assert not at.records(r.HostFenced)
    watched()
    at.watched(("pdu-a", Power.OFF))
    assert at.records(r.HostFenced)


# -- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_a_host_that_is_gone_is_announced_with_what_it_is_owed(phase: str) -> None:
    at = at_phase(phase)
    owed = at.state().owed
    again = restarted(at, lambda host: None)
    gone = again.fleet.gone[NODE]
    assert (gone.operation, gone.waiting, gone.reading) == (None, None, None)
    assert again.told.count("host.left_off") == bool(owed)
    assert [set(record.devices) for record in again.records(r.LeftOff)] == ([set(owed)] if owed else [])
    assert again.records(r.HostRemoved)
    again.do(e.Started())
    assert len(again.records(r.HostRemoved)) == 1
    # ... and a reload brings it back, with its debts
    assert again.do(e.InventoryRead(inventory=at.inventory)).answer
    assert again.state().owed == owed
    assert not again.state().is_removed


def test_a_renamed_host_is_another_host() -> None:
    again = restarted(at_phase("proving"), lambda host: replace(host, name=HostName("new-node")))
    again.inventory = edited(again.inventory, lambda host: host, HostName("new-node"))
    served(again, seconds=60.0)
    assert commands(again) == []
    assert again.state(HostName("new-node")).state is State.UNKNOWN


def test_a_host_that_became_our_own_machine_is_left_alone() -> None:
    again = restarted(at_phase("restoring"), lambda host: replace(moved("pdu-a")(host), is_own_machine=True))  # type: ignore[type-var]
    served(again)
    assert commands(again) == []
    assert again.records(r.LeftOff)


def test_a_device_that_is_gone_is_not_announced_as_given_back() -> None:
    at = Desk(Rack(devices=("pdu-a:1",)))
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    again = served(restarted(at, renamed("pdu-a")))
    assert again.records(r.OperationEnded)[-1].restored is Restored.NO


def test_a_reload_without_any_host_is_refused_whole() -> None:
    """Lost or truncated files look like an inventory that was emptied on purpose; no host would be monitored."""
    at = Desk()
    refused = at.do(e.InventoryRead(inventory=replace(at.inventory, hosts={}))).answer
    assert isinstance(refused, RefusedBy) and refused.rule == "no_host"
    assert NODE in at.fleet.inventory.hosts and not at.fleet.host(NODE).is_own_machine
    assert isinstance(at.do(e.InventoryRead(inventory=at.inventory)).answer, Accepted)
    left = {name: host for name, host in at.inventory.hosts.items() if name == NODE}
    assert isinstance(at.do(e.InventoryRead(inventory=replace(at.inventory, hosts=left))).answer, Accepted)
