"""A device that two hosts have: what it says of its machine is what another host's device says, so an OFF would cut both.

Decides what a shared device is good for: nothing. No operation switches it, none is proven by it. One rule: the one whose
`identity` says so keeps the machine; where neither has an identity nobody knows whose it is, and both lose it.
"""

from fenced.core.durable.state import SHARED_MACHINE, Reason
from fenced.core.heard.checks import valid_seconds
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.names import DeviceName


def disbelieved(work: HostWork) -> frozenset[DeviceName]:
    """The devices of the host whose OFF proves nothing: they lied (`trust`), or they are another host's as well."""
    return frozenset(work.state.distrusted) | shared(work)


def shared(work: HostWork) -> frozenset[DeviceName]:
    """The devices of the host that another host has, too."""
    return frozenset(device.name for device in work.host.devices if reason(work, device) is not None)


def reason(work: HostWork, device: Device) -> Reason | None:
    """Who else has the device; None: nobody is known to, or paths are not checked."""
    seconds = valid_seconds(work.fleet.inventory)
    if not seconds or device.spec.identity:
        return None
    found = work.fleet.claims.other(work.name, device.name, oldest=work.now - seconds)
    if found is None:
        return _of_before(work, device)
    ours, theirs = found
    beside = (theirs.host, theirs.device)
    text = f"says that it belongs to {', '.join(ours.identities)}, and so does {theirs.device} of {theirs.host}"
    text += f", which its `identity` confirms: {work.name} has the wrong one" if theirs.is_proven else ""
    return Reason(device=device.name, kind=SHARED_MACHINE, text=f"{text}; nothing is sent to it", beside=beside)


def _of_before(work: HostWork, device: Device) -> Reason | None:
    """After a start what was known stands until both devices were heard anew, but no longer than a result is valid."""
    fleet = work.fleet
    if work.state.fenceable is None or work.now - fleet.started > valid_seconds(fleet.inventory):
        return None
    for known in work.state.fenceable.why:
        if known.kind == SHARED_MACHINE and known.device == device.name and known.beside is not None:
            host, other = known.beside
            is_told = fleet.claims.is_told(host, other) and fleet.claims.is_told(work.name, device.name)
            is_there = host in fleet.hosts and any(one.name == other for one in fleet.host(host).devices)
            return known if is_there and not is_told else None
    return None
