"""Finds edits of the inventory that remove or change devices on which an operation, a debt or a proof rests.

A reload refuses such an edit; after a restart `recovery` deals with it. Both decide by the functions here, from names
and plugs alone.
"""

import re
from collections.abc import Iterable, Mapping

from fenced.core.durable.state import DeviceRun, HostState, Operation, Orphan
from fenced.model.inventory import Device, Host
from fenced.model.names import DeviceName, PlugId
from fenced.model.power import Kind

Basis = tuple[PlugId | None, int, Kind, str]
"""What readings and commands of a device depend on: plug, level, kind, identity."""


def new_run(device: Device) -> DeviceRun:
    """Return a device's run at the start of an operation."""
    return DeviceRun(
        device=device.name,
        level=device.level,
        kind=device.kind,
        plug_id=device.spec.plug_id,
        identity=device.identity,
        is_vouched=device.spec.cuts_power,
    )


def changes(operation: Operation, host: Host) -> tuple[DeviceName, ...]:
    """Return the devices that differ since the operation began; one with an unrecorded plug counts as changed."""
    was = {run.device: (run.plug_id, run.level, run.kind, run.identity) for run in operation.devices}
    return _differing(was, _bases(host))


def spoilt(state: HostState, before: Host, after: Host | None, now: float) -> str | None:
    """Return why a reload may not make this edit; None: it may.

    While anything is under way, every plug, level, kind and identity must stay. An owed device must keep its name
    and its outlet; another driver may reach it.
    """
    is_under_way = bool(state.under_way or state.unsettled(now))
    if state.is_asleep:
        if after is None:
            return f"it removes {state.name}, which sleeps to save power: wake it first, `fencectl on {state.name}`"
        if changed := _differing(_bases(before), _bases(after)):
            return f"it changes {', '.join(changed)} of {state.name}, which sleeps to save power: wake it first"
    if not is_under_way and not state.owed and not state.is_left_off:
        return None
    if after is None:
        return f"it removes {state.name}, with an operation under way or left off"
    if after.is_own_machine and not before.is_own_machine:
        return f"it makes {state.name} {after.own_words}, with an operation under way or left off"
    changed = _differing(_bases(before), _bases(after))
    if is_under_way and changed:
        return f"it changes {', '.join(changed)} of {state.name}, with an operation under way"
    lost = [orphan.device for orphan in debts(state, after)[1] if orphan.device in state.owed]
    if lost:
        return f"it removes {', '.join(lost)} of {state.name}, or points it at another outlet; it was switched off"
    return None


def debts(state: HostState, host: Host) -> tuple[tuple[DeviceName, ...], tuple[Orphan, ...]]:
    """Return the debts by the present inventory: the owed devices that it has, and orphans.

    An orphan is not in the inventory any more, or on another outlet.
    """
    plugs = dict(state.owed_plugs)
    of_now = [Orphan(device=name, plug_id=plugs.get(name)) for name in state.owed]
    all_debts = [*of_now, *(orphan for orphan in state.orphans if orphan not in of_now)]
    configured = {device.name: device.spec.plug_id for device in host.devices}
    owed = [it for it in all_debts if _is_there(it, configured.get(it.device))]
    return tuple(dict.fromkeys(it.device for it in owed)), tuple(it for it in all_debts if it not in owed)


def is_other(before: Host, after: Host) -> bool:
    """Return whether earlier readings of the host are about other devices than it has now."""
    return bool(_differing(_bases(before), _bases(after)))


def _is_there(debt: Orphan, configured: PlugId | None) -> bool:
    """Return whether the inventory still has the device.

    If an older program did not record its plug, the name decides.
    """
    if configured is None or debt.plug_id is None:
        return configured is not None
    return debt.plug_id == configured or _is_same_outlet(debt.plug_id, configured)


def _is_same_outlet(one: PlugId, other: PlugId) -> bool:
    """Return whether two drivers reach one outlet of one unit, each through its own port (fenced.config.plugs)."""
    (driver, place, plug), (other_driver, other_place, other_plug) = _parts(one), _parts(other)
    is_one_place = place != "" and _without_port(place) == _without_port(other_place)
    return driver != other_driver and is_one_place and (plug == other_plug or _is_one_bmc(plug, other_plug))


def _is_one_bmc(plug: str, other: str) -> bool:
    """Return whether both name one BMC without outlet, or one system: `system=1` equals `systems-uri=.../Systems/1`."""
    (outlet, _, said), (other_outlet, _, other_said) = plug.partition("?"), other.partition("?")
    systems = {re.split("[=/]", it)[-1] for it in (said, other_said)} - {""}
    return not outlet and not other_outlet and len(systems) <= 1


def _parts(plug_id: PlugId) -> tuple[str, str, str]:
    driver, _, rest = plug_id.partition("|")
    place, _, plug = rest.partition("|")
    return driver, place, plug


def _without_port(place: str) -> str:
    host, colon, port = place.rpartition(":")
    return host if colon and port.isdecimal() and (host.endswith("]") or ":" not in host) else place


def _bases(host: Host) -> dict[DeviceName, Basis]:
    return {it.name: (it.spec.plug_id, it.level, it.kind, it.identity) for it in host.devices}


def _differing(was: Mapping[DeviceName, Basis], will: Mapping[DeviceName, Basis]) -> tuple[DeviceName, ...]:
    names: Iterable[DeviceName] = was.keys() | will.keys()
    return tuple(sorted(name for name in names if was.get(name) != will.get(name)))
