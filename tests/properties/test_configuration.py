"""Files, differences and reloads under random edits: a reload reports exactly what was edited.

The model is the file as a table of keys. Other ways to write the same table make no difference. A reload that is
rejected (a mistake, a key that needs a restart, a busy host) leaves the old configuration in effect.
"""

import copy
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from structlog.testing import capture_logs

from fenced.app.reload import OneEngine, Reloader
from fenced.config.configuration import Configuration
from fenced.config.difference import difference, needs_restart
from fenced.config.load import Loaded, load
from fenced.core import events as e
from fenced.core.decide import decide
from fenced.core.fleet import Fleet
from fenced.host import memory
from fenced.model.answers import Answer
from fenced.model.names import HostName
from fenced.model.power import Action
from tests.config.drivers import MuteAgents
from tests.config.files import CLUSTERS, OWN_MACHINE, resolve, write
from tests.properties.profiles import histories
from tests.properties.running import Running

NAMES = ("a", "b", "c")
DEVICES = ("x", "y", "z")
WISHES = (
    "host", "no host", "name", "quiet", "device", "no device", "plug", "attempts", "order", "address", "grace",
    "protected",
)  # fmt: skip
NOW = 1000.0

edits = st.tuples(st.sampled_from(WISHES), st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 2))


@dataclass(slots=True)
class Outlet:
    """One device in the file. `unit`: the last number of its address, so that no two share a plug."""

    unit: int
    plug: int = 1
    attempts: int = 3


@dataclass(slots=True)
class Machine:
    """One host in the file."""

    address: str = ""
    grace: int = 20
    is_protected: bool = False
    devices: dict[str, Outlet] = field(default_factory=dict)


@dataclass(slots=True)
class Table:
    """The file's keys and values. `site` needs a restart."""

    hosts: dict[str, Machine] = field(default_factory=dict)
    quiet: int = 60
    site: str = "site-1"

    def told(self) -> dict[str, object]:
        """Return the values by the path that a difference names. A whole host or device has its existence as value."""
        found: dict[str, object] = {"daemon.startup_quiet_seconds": self.quiet}
        for name, host in self.hosts.items():
            place = f"hosts.{name}"
            found |= {
                place: True,
                f"{place}.address": host.address,
                f"{place}.settings.detection.grace_seconds": host.grace,
                f"{place}.is_protected": host.is_protected,
            }
            for device, outlet in host.devices.items():
                found |= {
                    f"{place}.devices.{device}": True,
                    f"{place}.devices.{device}.spec.plug_id": (outlet.unit, outlet.plug),
                    f"{place}.devices.{device}.spec.unit_id": outlet.unit,
                    f"{place}.devices.{device}.spec.options.ip": outlet.unit,
                    f"{place}.devices.{device}.spec.options.plug": outlet.plug,
                    f"{place}.devices.{device}.power.attempts": outlet.attempts,
                }
        return found

    def plugs(self, name: str) -> set[tuple[str, int, int]]:
        return {(device, it.unit, it.plug) for device, it in self.hosts[name].devices.items()}

    def written(self, *, is_reversed: bool, is_split: bool) -> tuple[str, str]:
        """Return the main file and an inventory file."""
        names = sorted(self.hosts, reverse=is_reversed)
        hosts = [_host(name, self.hosts[name], is_reversed=is_reversed) for name in names]
        main = f'[daemon]\narmed = true\nagent_path = ["agents"]\nsite = "{self.site}"\n'
        main += f'[detection]\nstartup_quiet = "{self.quiet}s"\n'
        half = len(hosts) // 2 if is_split else len(hosts)
        return main + CLUSTERS + "".join(hosts[:half]), "# nothing more\n" + "".join(hosts[half:])


def _host(name: str, host: Machine, *, is_reversed: bool) -> str:
    keys = [f'address = "{host.address}"\n'] if host.address else []
    keys += [f'grace = "{host.grace}s"\n', f"protected = {str(host.is_protected).lower()}\n", f'name = "{name}"\n']
    text = "\n[[host]]\n" + "".join(reversed(keys) if is_reversed else keys)
    for device, it in host.devices.items():
        text += f'[[host.device]]\nname = "{device}"\ndriver = "fence_apc_snmp"\nattempts = {it.attempts}\n'
        text += f'options = {{ ip = "10.9.1.{it.unit}", plug = "{it.plug}" }}\n'
    return text


RENAMED = ": probably renamed to "


def _wires(host: Machine) -> frozenset[tuple[int, int]]:
    return frozenset((it.unit, it.plug) for it in host.devices.values())


def changed(old: Table, new: Table) -> set[str]:
    """Return the places that differ; of a new or removed host or device only its own."""
    before, after = old.told(), new.told()
    places = {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
    whole = {place for place in places if before.get(place) is True or after.get(place) is True}
    places = {place for place in places if not any(place.startswith(f"{other}.") for other in whole)}
    for name in old.hosts.keys() & new.hosts.keys():
        was, now = list(old.hosts[name].devices), list(new.hosts[name].devices)
        if was != now and set(was) == set(now):
            places.add(f"hosts.{name}.devices")
    return places


class Edits(RuleBasedStateMachine):
    """`file`: what is being edited; `running`: what the daemon has; `busy`: hosts with an operation."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="configuration-"))
        write(self.directory, "agents/fence_apc_snmp", "#!/bin/sh\n", mode=0o755)
        self.running_loop = Running()
        self.units = 0
        self.file = Table()
        self.edit("host", "a", "", 2)
        self.edit("host", "b", "", 1)
        self.running = copy.deepcopy(self.file)
        self.busy: set[str] = set()
        self.is_broken = False
        first = self.load(is_reversed=False, is_split=False).configuration
        assert first is not None
        self.configuration: Configuration = first
        self.fleet = Fleet(first.inventory, epoch=1, started=0.0)
        self.decided(e.LeaseRenewed(until=1e12))
        self.reloader = Reloader(first, lambda: self.load(is_reversed=False, is_split=False))
        engine = SimpleNamespace(reactor=self, fleet=self.fleet)  # all that it asks of an engine
        self.reloader.connect(OneEngine(engine), self.taken)  # type: ignore[arg-type]

    def load(self, *, is_reversed: bool, is_split: bool) -> Loaded:
        main, inventory = self.file.written(is_reversed=is_reversed, is_split=is_split)
        path = write(self.directory, "fenced.toml", main + ("nonsense = 1\n" if self.is_broken else ""))
        write(self.directory, "inventory/more.toml", inventory)
        return load(path, own_machine=OWN_MACHINE, environ={}, catalogue=MuteAgents(), resolve=resolve)

    async def ask(self, event: e.Event) -> Answer | None:
        """Like the reactor's."""
        return self.decided(event)

    def decided(self, event: e.Event) -> Answer | None:
        return decide(self.fleet, event, NOW).answer

    def taken(self, configuration: Configuration) -> None:
        self.configuration = configuration

    # -- edits --------------------------------------------------------------------------------------------------------

    @rule(
        wishes=st.lists(edits, min_size=1, max_size=4), is_reversed=st.booleans(), is_split=st.booleans(),
        busy=st.sampled_from(("", "", *NAMES)),
    )  # fmt: skip
    def edited_and_reloaded(
        self, wishes: list[tuple[str, str, str, int]], is_reversed: bool, is_split: bool, busy: str
    ) -> None:
        """`busy`: a host whose operation begins before."""
        self.operation_begins(busy)
        for wish, name, other, number in wishes:
            self.edit(wish, name, other, number)
        self.reloaded(is_reversed=is_reversed, is_split=is_split)

    def edit(self, wish: str, name: str, other: str, number: int) -> None:
        """Make one edit of that host, if possible. `number` from 0 to 2."""
        hosts, device = self.file.hosts, DEVICES[number]
        match wish:
            case "host" if name not in hosts:
                hosts[name] = Machine()
                for each in DEVICES[:number]:
                    self.edit("device", name, "", DEVICES.index(each))
            case "no host":
                hosts.pop(name, None)
            case "name" if name in hosts and other not in hosts:
                hosts[other] = hosts.pop(name)
            case "quiet":
                self.file.quiet = 60 + number
            case _ if name in hosts:
                self.edit_host(hosts[name], wish, device, number, address=f"10.0.{NAMES.index(name)}.{number}")
            case _:
                pass

    def edit_host(self, host: Machine, wish: str, device: str, number: int, *, address: str) -> None:
        match wish:
            case "device" if device not in host.devices:
                self.units += 1
                host.devices[device] = Outlet(unit=self.units)
            case "no device":
                host.devices.pop(device, None)
            case "plug" if device in host.devices:
                host.devices[device].plug += 1
            case "attempts" if device in host.devices:
                host.devices[device].attempts = 2 + number
            case "order":
                host.devices = dict(reversed(host.devices.items()))
            case "address":
                host.address = address if number else ""
            case "grace":
                host.grace = 20 + number
            case "protected":
                host.is_protected = not host.is_protected
            case _:
                pass

    def operation_begins(self, name: str) -> None:
        if name in self.running.hosts and self.running.hosts[name].devices:
            self.decided(e.ActionAsked(host=HostName(name), action=Action.OFF, by="p", reason="told", is_forced=True))
            assert self.fleet.hosts[HostName(name)].operation is not None
            self.busy.add(name)

    @precondition(lambda self: self.busy)
    @rule()
    def operations_end(self) -> None:
        for name in self.busy:
            operation = self.fleet.hosts[HostName(name)].operation
            assert operation is not None
            self.decided(e.CancelAsked(host=HostName(name), operation=operation.id, by="person", reason="told"))
            assert self.fleet.hosts[HostName(name)].operation is None
        self.busy.clear()

    # -- reloads ------------------------------------------------------------------------------------------------------

    @rule(trouble=st.sampled_from(("mistake", "site")))
    def reloaded_in_vain(self, trouble: str) -> None:
        """Reload with a mistake in the file, or with a key that needs a restart; then undo both."""
        self.is_broken = trouble == "mistake"
        self.file.site = "site-2" if trouble == "site" else self.running.site
        self.reloaded(is_reversed=False, is_split=False)
        self.is_broken, self.file.site = False, self.running.site

    def reloaded(self, *, is_reversed: bool, is_split: bool) -> None:
        before = self.configuration
        loaded = self.load(is_reversed=is_reversed, is_split=is_split)
        assert (loaded.configuration is None) is self.is_broken, loaded.errors
        # Giving memory back includes a full garbage collection, which is most of the cost of a small reload.
        with capture_logs() as logs, mock.patch.object(memory, "give_back"):
            is_refused = bool(self.running_loop.do(self.reloader._take(loaded)).refused)
        lines = [entry["change"] for entry in logs if entry["event"] == "configuration_changed"]
        assert is_refused is (
            self.is_broken or self._needs_restart() or self._spoils_an_operation() or self._has_lost_all_hosts()
        ), logs
        if is_refused:
            assert self.configuration is before and self.fleet.inventory is before.inventory and not lines
            return
        told = {line.partition(": ")[0] for line in lines if RENAMED not in line}
        assert told == changed(self.running, self.file), lines
        self._renamed({line for line in lines if RENAMED in line})
        self.running = copy.deepcopy(self.file)
        assert set(self.fleet.hosts) == set(self.running.hosts)
        assert self.fleet.inventory is self.configuration.inventory

    @rule(is_reversed=st.booleans(), is_split=st.booleans())
    def loaded_twice(self, is_reversed: bool, is_split: bool) -> None:
        """Other ways to write the file make no difference."""
        first = self.load(is_reversed=False, is_split=False).configuration
        second = self.load(is_reversed=is_reversed, is_split=is_split).configuration
        assert first is not None and second is not None
        assert (difference(first, second), needs_restart(first, second)) == ((), ())

    def _has_lost_all_hosts(self) -> bool:
        """Return whether all hosts are gone, which looks like lost files."""
        return bool(self.running.hosts) and not self.file.hosts

    def _needs_restart(self) -> bool:
        return self.file.site != self.running.site

    def _spoils_an_operation(self) -> bool:
        return any(
            name not in self.file.hosts or self.file.plugs(name) != self.running.plugs(name) for name in self.busy
        )

    def _renamed(self, lines: set[str]) -> None:
        """Check hosts that are gone while another one with the same power devices is new."""
        gone, new = (
            self.running.hosts.keys() - self.file.hosts.keys(),
            self.file.hosts.keys() - self.running.hosts.keys(),
        )
        now = {_wires(self.file.hosts[name]): name for name in new if self.file.hosts[name].devices}
        pairs = {name: now.get(_wires(self.running.hosts[name])) for name in gone}
        expected = {f"hosts.{name}{RENAMED}{other}" for name, other in pairs.items() if other}
        assert {line.partition(",")[0] for line in lines} == expected

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.running_loop.close()
            shutil.rmtree(self.directory)


TestEdits = Edits.TestCase
TestEdits.settings = histories(15, 15)
