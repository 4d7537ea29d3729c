"""The core with a whole fleet under random reloads: hosts added, removed and changed while operations run, and crashes.

A rejected reload changes nothing; an accepted one is the inventory from then on. After each step, replaying the records
gives the live state and no debt is forgotten. If nothing answers any more, every operation ends.
"""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fenced.core import commands as c
from fenced.core import events as e
from fenced.model.answers import Accepted
from fenced.model.inventory import Device, Host
from fenced.model.names import DeviceName, HostName, PlugId
from fenced.model.power import Action, Kind, Outcome, Power
from tests.core.desk import FOR_EVER
from tests.properties.profiles import histories
from tests.properties.test_core import LONGEST_SECONDS
from tests.properties.watched_desk import WatchedDesk
from tests.world.rack import Rack

HOSTS = tuple(HostName(f"node-{number}") for number in range(1, 4))
DEVICES = ("pdu-a:1", "pdu-b:1", "bmc:2")

hosts = st.sampled_from(HOSTS)


class Reloads(RuleBasedStateMachine):
    """`whole`: every host as it was at first; `silent`: those that are not heard."""

    @initialize()
    def begin(self) -> None:
        self.desk = WatchedDesk(Rack(hosts=HOSTS, devices=DEVICES, settings={"gates.cooldown_seconds": 0}))
        self.whole = self.desk.inventory
        self.silent: set[HostName] = set()

    # -- reloads ------------------------------------------------------------------------------------------------------

    def reload(self, changed: dict[HostName, Host]) -> None:
        """Reload this inventory, and compare the answer with what the hosts are busy with."""
        desk = self.desk
        before, old = dict(desk.fleet.hosts), desk.inventory
        inventory = replace(old, hosts=changed)
        answer = desk.do(e.InventoryRead(inventory=inventory)).answer
        if isinstance(answer, Accepted):
            desk.inventory = inventory
            assert set(desk.fleet.hosts) == set(changed)
            for name, state in before.items():
                is_busy = state.operation is not None or state.waiting is not None or state.reading is not None
                assert not is_busy or _plugs(changed[name]) == _plugs(old.hosts[name]), f"{name} is busy"
                assert all(device in _names(changed[name]) for device in state.owed), f"{name}: a debt is forgotten"
        else:
            assert desk.fleet.inventory is old and desk.fleet.hosts == before, "refused, and yet something changed"

    @rule(name=hosts)
    def host_goes(self, name: HostName) -> None:
        self.reload({host: it for host, it in self.desk.inventory.hosts.items() if host != name})

    @rule(name=hosts)
    def host_is_as_at_first(self, name: HostName) -> None:
        """A host is added, comes back, or loses its changes."""
        self.reload({**self.desk.inventory.hosts, name: self.whole.hosts[name]})

    @rule(
        name=hosts, device=st.sampled_from(("pdu-a", "pdu-b", "bmc")), how=st.sampled_from(("gone", "plug", "level")),
        is_busy=st.booleans(),
    )  # fmt: skip
    def device_changes(self, name: HostName, device: str, how: str, is_busy: bool) -> None:
        """`is_busy`: of a host with an operation, if there is one."""
        busy = [host for host, state in self.desk.fleet.hosts.items() if state.operation is not None]
        host = self.desk.inventory.hosts.get(busy[0] if is_busy and busy else name)
        if host is not None:
            changed = tuple(new for it in host.devices if (new := _changed(it, device, how)) is not None)
            self.reload({**self.desk.inventory.hosts, host.name: replace(host, devices=changed)})

    @rule(name=hosts, stable_reads=st.integers(1, 4), is_protected=st.booleans())
    def settings_change(self, name: HostName, stable_reads: int, is_protected: bool) -> None:
        host = self.desk.inventory.hosts.get(name)
        if host is not None:
            devices = tuple(replace(it, power=replace(it.power, stable_reads=stable_reads)) for it in host.devices)
            changed = replace(host, devices=devices, is_protected=is_protected)
            self.reload({**self.desk.inventory.hosts, name: changed})

    @rule(kept=st.frozensets(hosts, min_size=1))
    def only_some_hosts_are_left(self, kept: frozenset[HostName]) -> None:
        self.reload({name: host for name, host in self.desk.inventory.hosts.items() if name in kept})

    @rule()
    def everything_is_as_at_first(self) -> None:
        self.reload(dict(self.whole.hosts))

    # -- other events -------------------------------------------------------------------------------------------------

    @rule(
        name=hosts,
        action=st.sampled_from((Action.OFF, Action.ON, Action.RESTART, Action.STATUS)),
        answers=st.sampled_from((0, 3, 8, 20)),
    )
    def person_asks(self, name: HostName, action: Action, answers: int) -> None:
        self.desk.ask(action, name)
        self.served(answers)

    @rule(name=hosts, is_on=st.booleans())
    def maintained(self, name: HostName, is_on: bool) -> None:
        self.desk.maintain(name, is_on=is_on)

    @rule(name=hosts, seconds=st.sampled_from((10.0, 30.0)))
    def falls_silent(self, name: HostName, seconds: float) -> None:
        self.silent.add(name)
        self.time_passes(seconds)

    @rule(name=hosts, boot=st.sampled_from(("b1", "b2")))
    def heard(self, name: HostName, boot: str) -> None:
        self.silent.discard(name)
        self.desk.beat(name, boot=boot)

    @rule(answers=st.integers(1, 12))
    def served(self, answers: int) -> None:
        """Honest devices answer pending requests; if there are none, a moment passes."""
        for _ in range(answers):
            if not self.desk.serve_one():
                self.desk.go(1.1, silent=sorted(self.silent))

    @precondition(lambda self: self.desk.waiting(c.SwitchDevice))
    @rule(outcome=st.sampled_from((Outcome.FAILED, Outcome.TIMED_OUT, Outcome.REFUSED)))
    def command_fails(self, outcome: Outcome) -> None:
        command = self.desk.waiting(c.SwitchDevice)[0]
        self.desk.switched(command.device, outcome, is_end_known=outcome is not Outcome.TIMED_OUT)

    @precondition(lambda self: self.desk.waiting(c.WatchHost))
    @rule(power=st.sampled_from(Power))
    def watched(self, power: Power) -> None:
        paths = self.desk.waiting(c.WatchHost)[0].paths
        self.desk.watched(*((str(device), power) for device, _ in paths))

    @rule(seconds=st.sampled_from((0.5, 5.0, 20.0)))
    def time_passes(self, seconds: float) -> None:
        self.desk.go(seconds, silent=sorted(self.silent))

    @rule()
    def killed(self) -> None:
        self.desk.crash()

    @rule(
        kept=st.frozensets(hosts, min_size=1), device=st.sampled_from(("pdu-a", "pdu-b", "bmc")),
        how=st.sampled_from(("gone", "plug", "level", "kind", "name", "identity", "new", "whole")),
        is_busy=st.booleans(),
    )  # fmt: skip
    def killed_and_edited(self, kept: frozenset[HostName], device: str, how: str, is_busy: bool) -> None:
        """While the daemon is down no edit is rejected, and each start succeeds.

        `is_busy`: only hosts with operations.
        """
        busy = {name for name, state in self.desk.fleet.hosts.items() if state.operation is not None}
        meant = busy if is_busy and busy else {*HOSTS}
        now = self.whole.hosts if how == "whole" else {**self.whole.hosts, **self.desk.inventory.hosts}
        hosts = {name: _edited(now[name], device, how if name in meant else "") for name in HOSTS if name in kept}
        self.desk.inventory = replace(self.desk.inventory, hosts=hosts)
        self.started({})

    @rule(names=st.frozensets(hosts, min_size=1, max_size=2))
    def killed_and_damaged(self, names: frozenset[HostName]) -> None:
        self.started(dict.fromkeys(names, "a record cannot be read"))

    def started(self, faults: dict[HostName, str]) -> None:
        self.desk.crash(faults)
        put_aside = {name for name, state in self.desk.fleet.hosts.items() if state.record_fault}
        assert {*faults} & {*self.desk.fleet.hosts} <= put_aside
        assert all("record cannot be read" in self.desk.fleet.hosts[name].record_fault for name in put_aside), (
            "what can be read can be taken up"
        )
        for state in self.desk.fleet.gone.values():
            assert (state.operation, state.waiting, state.reading) == (None, None, None), state

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "desk"):
            self.desk.look()

    def teardown(self) -> None:
        """Without any further answer, everything ends by its deadline."""
        if not hasattr(self, "desk"):
            return
        self.desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
        self.desk.do(e.LeaseRenewed(until=FOR_EVER))
        self.desk.idle(LONGEST_SECONDS)
        for state in self.desk.fleet.hosts.values():
            assert (state.operation, state.waiting, state.reading) == (None, None, None), state


def _names(host: Host) -> set[DeviceName]:
    return {device.name for device in host.devices}


def _plugs(host: Host) -> set[tuple[DeviceName, PlugId, int]]:
    return {(device.name, device.spec.plug_id, device.level) for device in host.devices}


def _edited(host: Host, name: str, how: str) -> Host:
    devices = tuple(new for it in host.devices if (new := _changed(it, name, how) if how else it) is not None)
    if how == "new":
        spec = replace(host.devices[0].spec, plug_id=PlugId(f"{host.name}/new")) if host.devices else None
        if spec is not None and DeviceName("new") not in _names(host):
            devices = (*host.devices, replace(host.devices[0], name=DeviceName("new"), spec=spec))
    return replace(host, devices=devices)


def _changed(device: Device, name: str, how: str) -> Device | None:
    if device.name != name:
        return device
    match how:
        case "plug":
            return replace(device, spec=replace(device.spec, plug_id=PlugId(f"{device.spec.plug_id}+")))
        case "level":
            return replace(device, level=device.level + 2)
        case "kind":
            return replace(device, kind=Kind.CHASSIS if device.kind is Kind.OUTLET else Kind.OUTLET)
        case "name":
            return replace(device, name=DeviceName(f"{device.name}+"))
        case "identity":
            return replace(device, identity=f"{device.identity}+")
        case "new" | "whole":
            return device
        case _:
            return None


TestReloads = Reloads.TestCase
TestReloads.settings = histories(20, 30)
