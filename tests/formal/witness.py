"""Watch a simulated world, and report to one monitor per host, in order, what became durable, left, acted
or was published.

Uses the world's hooks and knows no rules. It stops watching a host whose devices lie, reboot or answer for another
machine, because the model's devices are honest. What became durable is reported before the next event.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from fenced.model.names import DeviceName, HostName
from fenced.model.power import Power
from fenced.ports.bus import Message
from tests.formal.conformance import Monitor, number_of
from tests.formal.model import Power as Truth
from tests.world.machines import Machine
from tests.world.rack import Rack
from tests.world.wires import Sent
from tests.world.world import World


def fits(rack: Rack) -> bool:
    """Return whether the rack's hosts fit the model: one level of two outlets."""
    names = [word.partition(":") for word in rack.devices]
    return (
        len(names) == 2
        and len({level for _, _, level in names}) == 1
        and not any(n.startswith("bmc") for n, _, _ in names)
    )


@dataclass(slots=True)
class Witness:
    """Call `attach` before the world begins, `finish` at its end. `make` builds the monitor of each host."""

    world: World
    make: Callable[[str, tuple[DeviceName, ...], float], Monitor] = Monitor
    monitors: dict[HostName, Monitor] = field(default_factory=dict)
    _seen: int = 0
    _announced: set[str] = field(default_factory=set)

    def attach(self) -> "Witness":
        world = self.world
        wait = world.inventory.daemon.announce_wait_seconds
        for name, host in world.inventory.hosts.items():
            self.monitors[name] = self.make(str(name), tuple(device.name for device in host.devices), wait)
            self._watch(world.machines[name])
        sent, act, published = world.wires.on_sent, world.wires.on_act, world.broker.on_published

        def on_sent(it: Sent) -> None:
            sent(it)
            self._sent(it)

        def on_act(it: Sent) -> None:
            act(it)
            self._acts(it)

        def on_published(message: Message) -> None:
            published(message)
            self._published(message)

        world.wires.on_sent, world.wires.on_act, world.broker.on_published = on_sent, on_act, on_published
        return self

    def finish(self) -> list[str]:
        """Return what the model forbids, for all hosts."""
        self._catch_up()
        return [finding for monitor in self.monitors.values() for finding in monitor.findings]

    @property
    def taken(self) -> int:
        """How many actions the model followed."""
        return sum(monitor.taken for monitor in self.monitors.values())

    def _watch(self, machine: Machine) -> None:
        """Watch for power that changes without a command, and report what acted before it changes."""
        tell = machine.tell

        def told(machine: Machine, text: str) -> None:
            tell(machine, text)
            self._catch_up()
            monitor = self.monitors[machine.name]
            for name, device in zip(monitor.devices, monitor.world.devices, strict=True):
                is_on = machine.plugs[name].is_on
                if is_on is (device.power is Truth.OFF):
                    monitor.switched(name, is_on=is_on)

        machine.tell = told

    def _sent(self, sent: Sent) -> None:
        self._catch_up()
        self.monitors[sent.plug.machine.name].sent(sent.plug.device, sent.token)

    def _acts(self, sent: Sent) -> None:
        self._catch_up()
        plug, monitor = sent.plug, self.monitors[sent.plug.machine.name]
        if plug.sticks or plug.is_starting or (plug.stays_off and sent.power is Power.ON):
            monitor.gone(plug.device, number_of(sent.token))
        else:
            monitor.acted(plug.device, sent.token)

    def _published(self, message: Message) -> None:
        self._catch_up()
        if "/event/" not in message.topic:
            return
        event = json.loads(message.payload)
        if event["id"] not in self._announced and HostName(event["subject"]) in self.monitors:
            self._announced.add(event["id"])
            if event["type"] == "io.fenced.host.fenced":
                self.monitors[HostName(event["subject"])].heard_on_bus(is_fenced=True)

    def _catch_up(self) -> None:
        durable, now = self.world.checker.durable, self.world.clock.now()
        for number in range(self._seen + 1, durable.sequence + 1):
            entry = durable.entries.get(number)
            if entry is not None and entry.host is not None:
                self._lost(entry.host, now)
                self.monitors[entry.host].clock_behind = now - entry.at
                self.monitors[entry.host].record(entry.at, entry.record)
        self._seen = durable.sequence
        for name in self.monitors:
            self._lost(name, now)

    def _lost(self, host: HostName, now: float) -> None:
        """Report commands that left and are gone without having acted, and hosts that no longer fit the model."""
        monitor, machine = self.monitors[host], self.world.machines[host]
        if any(plug.has_lied or plug.is_starting or plug.wrong_through for plug in machine.plugs.values()):
            monitor.is_over = True
        flying = {number_of(it.token) for it in self.world.wires.sent.values() if it.plug.machine is machine}
        for device, token, has_left, not_after in list(monitor.pending()):
            if token not in flying and (has_left or now >= not_after):
                monitor.gone(device, token)
