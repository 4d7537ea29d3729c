"""Shared devices: two hosts have devices that report the same machine, so an OFF of one would hit the other.

No operation switches a shared device, and its OFF proves nothing. If one of the two has an `identity` that confirms the
machine, only the other is shared; without any `identity`, both are.
"""

from fenced.core.durable.state import SHARED_MACHINE, Reason
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import valid_seconds
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.names import DeviceName, HostName


def disbelieved(work: HostWork) -> frozenset[DeviceName]:
    """Return the devices of the host whose OFF proves nothing: distrusted (`trust`) or shared."""
    return frozenset(work.state.distrusted) | shared(work.fleet, work.name, work.now)


def shared(fleet: Fleet, name: HostName, now: float) -> frozenset[DeviceName]:
    """Return the devices of the host that another host also has."""
    return frozenset(it.name for it in fleet.host(name).devices if reason(fleet, name, it, now) is not None)


def reason(fleet: Fleet, name: HostName, device: Device, now: float) -> Reason | None:
    """Return the reason, which names the other host.

    None: no other host is known to have it, or paths are not checked.
    """
    seconds = valid_seconds(fleet.inventory)
    if not seconds or device.spec.identity:
        return None
    found = fleet.claims.other(name, device.name, oldest=now - seconds)
    if found is None:
        return _of_before(fleet, name, device, now)
    ours, theirs = found
    beside = (theirs.host, theirs.device)
    text = f"says that it belongs to {', '.join(ours.identities)}, and so does {theirs.device} of {theirs.host}"
    text += f", which its `identity` confirms: {name} has the wrong one" if theirs.is_proven else ""
    return Reason(device=device.name, kind=SHARED_MACHINE, text=f"{text}; nothing is sent to it", beside=beside)


def _of_before(fleet: Fleet, name: HostName, device: Device, now: float) -> Reason | None:
    """After a start, keep the earlier result until both devices report again, but no longer than a result is valid."""
    fenceable = fleet.known(name).fenceable
    if fenceable is None or now - fleet.started > valid_seconds(fleet.inventory):
        return None
    for known in fenceable.why:
        if known.kind == SHARED_MACHINE and known.device == device.name and known.beside is not None:
            host, other = known.beside
            is_told = fleet.claims.is_told(host, other) and fleet.claims.is_told(name, device.name)
            is_there = host in fleet.hosts and any(one.name == other for one in fleet.host(host).devices)
            return known if is_there and not is_told else None
    return None
