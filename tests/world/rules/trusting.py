"""Announced implies off, in two classes: with honest devices always; with one liar whenever something contradicts it.

The remaining cases are in `NOT_PROMISED`, word for word as in docs/safety.md. The class is that of a host at one
moment: how many of its devices lie or are mislabelled now, or were when their OFF was read.
"""

from enum import Enum
from typing import Final

from fenced.core.durable import records as r
from fenced.model.names import DeviceName, HostName, OperationId, PlugId, ProxyName
from fenced.model.power import Kind, Power, Proof
from tests.world.machines import Machine, Plug
from tests.world.rules.base import Rule
from tests.world.wires import Sent

NOT_PROMISED: Final[dict[str, str]] = {
    "touched": "Someone switches the power of a host by hand, or moves its cables, after it was read off: the daemon "
    "finds it within one round of the watch, not at once.",
    "said": "An operator states that a host is off (`confirm-off`) and it is not.",
    "one liar": "A device reads OFF while it feeds a silent host, and it is the only device of its level, or the "
    "others of the level are off in truth, and no chassis of another level reads ON.",
    "mislabelled": "An outlet is mislabelled and feeds another machine, the host is silent, and no chassis of it reads "
    "ON.",
    "forgotten feed": "A feed of the host is in no inventory, and no chassis that was read reads ON.",
    "split feeds": "The inventory has the feeds of a host on several levels, one of which is off, and no chassis that "
    "was read reads ON.",
    "another unit": "Through one path the address of a device leads to another unit, which is off, the host is silent, "
    "and no other path and no chassis that was read reads ON.",
    "unseen restart": "A device restarts while nothing reads it and reads OFF while it boots, and the host is silent: "
    "a restart that was not seen gets no time to settle.",
    "mute contradiction": "A device reads OFF while it feeds a silent host, and the one device, or path to it, that "
    "would contradict it can't be read at that moment.",
    "two liars": "Two or more devices of one host lie, are mislabelled or are on the wrong level at the same time.",
}


class Class(Enum):
    """How far the devices of a host can be believed."""

    HONEST = "honest"
    ONE_LIAR = "one liar"
    BEYOND = "beyond"


def class_of(machine: Machine) -> Class:
    """Return the class of a host at this moment. Interference by other people counts as BEYOND."""
    if machine.is_meddled:
        return Class.BEYOND
    return {0: Class.HONEST, 1: Class.ONE_LIAR}.get(machine.liars, Class.BEYOND)


class AnnouncedIsOff(Rule):
    """Checks each announcement of a host that has power in truth. `seen`: cases that are not promised and happened."""

    name = "S1"
    outlives_the_store = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self.seen: dict[str, int] = {}
        self._mismatched: dict[OperationId, set[DeviceName]] = {}
        self._off_at: dict[PlugId, float] = {}

    def sent(self, sent: Sent) -> None:
        if sent.power is Power.OFF:
            self._off_at[sent.plug.plug_id] = self.truth.now()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if isinstance(record, r.WrongMachineFound) and record.operation is not None:
            self._mismatched.setdefault(record.operation, set()).add(record.device)
        elif isinstance(record, r.HostFenced):
            self._fenced(host, record)

    def _fenced(self, host: HostName, record: r.HostFenced) -> None:
        machine = self.truth.machines[host]
        if not machine.is_powered:
            return
        if record.proof is not Proof.HUMAN and (why := self._contradiction(machine, record)) is not None:
            self.found(f"{host} is announced as fenced and has power, although {why}")
            return
        case = _not_promised(machine, record)
        if case is None:
            self.found(f"{host} is announced as fenced and has power, which is no case of docs/safety.md")
            return
        self.seen[case] = self.seen.get(case, 0) + 1

    def _contradiction(self, machine: Machine, record: r.HostFenced) -> str | None:
        """Return what contradicts the announcement and could have been known."""
        kind = class_of(machine)
        if kind is Class.HONEST:
            return "every device of it is honest"
        if kind is Class.BEYOND:
            return None
        known = self._mismatched.get(record.operation, set()) if record.operation is not None else set()
        if met := known & {*record.devices}:
            return f"{', '.join(sorted(met))} said that it is another machine's"
        for name in record.devices:
            plug = machine.plug(name)
            if not plug.has_lied and plug.read() is Power.ON:
                return f"{name} of its level, which is honest, is on"
        for plug in machine.plugs.values():
            if plug.kind is Kind.CHASSIS and not (plug.has_lied or plug.is_forgotten) and self._has_said_on(plug):
                return f"its chassis {plug.device}, which is honest, was read ON"
            counts = plug.device in record.devices or plug.kind is Kind.CHASSIS
            if plug.has_strayed and counts and (proxy := self._in_hand(machine, plug)) is not None:
                return f"{proxy} read {plug.device} ON, and nothing since explains it"
        return None

    def _in_hand(self, machine: Machine, plug: Plug) -> ProxyName | None:
        """Return the path that read ON and not OFF since.

        An OFF that was sent after that explains the ON, unless another path had read OFF before: then the paths
        disagreed.
        """
        op, now = self.truth.running.get(machine.name), self.truth.now()
        interval = self.truth.inventory.hosts[machine.name].settings.detection.watch_interval_seconds
        since = op.started if op is not None else now - interval
        readings = [it for it in self.truth.readings.get(plug.plug_id, ()) if it.at >= since]
        sent_at = self._off_at.get(plug.plug_id, 0.0)
        offs = [(number, it) for number, it in enumerate(readings) if it.power is Power.OFF]
        for number, on in enumerate(readings):
            is_gone = any(it.proxy == on.proxy and later > number for later, it in offs)
            is_explained = on.at < sent_at and not any(it.proxy != on.proxy and it.at < sent_at for _, it in offs)
            if on.power is Power.ON and not is_gone and not is_explained:
                return on.proxy
        return None

    def _has_said_on(self, plug: Plug) -> bool:
        answer = self.truth.answers.get(plug.plug_id)
        return answer is not None and answer.power is Power.ON and plug.read() is Power.ON


def _not_promised(machine: Machine, record: r.HostFenced) -> str | None:
    """Return which case of the list it is, or None."""
    liars = [plug for plug in machine.plugs.values() if plug.has_lied or plug.is_forgotten]
    if record.proof is Proof.HUMAN:
        return "said"
    if machine.is_meddled:
        return "touched"
    if machine.liars > 1:
        return "two liars"
    if machine.is_split:
        return "split feeds"
    if liars and liars[0].is_forgotten:
        return "forgotten feed"
    if not liars or liars[0].device not in record.devices:
        return None
    others = [
        plug for plug in machine.plugs.values() if plug.kind is Kind.CHASSIS and plug.device not in record.devices
    ]
    if any(plug.read() is Power.ON for plug in others):
        return "mute contradiction"
    if liars[0].is_unseen:
        return "unseen restart"
    if liars[0].has_strayed:
        return "another unit"
    return "mislabelled" if liars[0].is_miswired or liars[0].wired is not None else "one liar"
