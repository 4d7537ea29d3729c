"""Keeps which machine each device says it belongs to, across all hosts, to find one BMC behind two addresses.

`sharing` decides what follows. Claims match by UUID where both devices report one. Otherwise they match by serial
numbers, and only by all of them together, because the blades of an enclosure may share one. A restart loses the claims;
each round of the check brings them back.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TypeVar

from fenced.core.durable.replacing import replace
from fenced.core.undo import ABSENT, Undoable
from fenced.model.identity import is_uuid, one_spelling
from fenced.model.inventory import DeviceSpec, Inventory
from fenced.model.names import DeviceName, HostName, ProxyName

PathKey = tuple[HostName, DeviceName, ProxyName]
K = TypeVar("K")
Group = tuple[str, str]
"""What two claims on one machine have in common: a kind of identity and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a device said through one path. `at`: when the newest reading that said so began.

    `groups`: the keys under which this claim is indexed; `likes`: the keys of claims on the same machine.
    """

    host: HostName
    device: DeviceName
    spec: DeviceSpec
    identities: tuple[str, ...]
    groups: tuple[Group, ...]
    likes: tuple[Group, ...]
    at: float

    @property
    def is_proven(self) -> bool:
        """Return whether the driver compared the machine with the configured `identity` in the same session."""
        return bool(self.spec.identity)


class Claims:
    """All claims, indexed by path and by identity, so that finding equal claims needs no scan.

    From `begin` on it remembers the claims before each change, for `roll_back`.
    """

    def __init__(self) -> None:
        self._claims: Undoable[PathKey, Claim] = Undoable()
        self._of_device: dict[tuple[HostName, DeviceName], dict[PathKey, None]] = {}
        self._groups: dict[Group, dict[PathKey, None]] = {}

    def begin(self) -> None:
        """Start remembering."""
        self._claims.begin()

    def settle(self) -> None:
        """Keep what was changed since `begin`."""
        self._claims.settle()

    def roll_back(self) -> None:
        """Restore the claims of the time of `begin`."""
        for path, before in (self._claims.before or {}).items():
            self._set(path, None if before is ABSENT else before)
        self._claims.settle()

    def keep(self, path: PathKey, spec: DeviceSpec, identities: tuple[str, ...], *, at: float) -> None:
        """Keep what a device said. Ignored when it is late or empty; repeating it changes only the time."""
        known = self._claims.get(path)
        if not identities or (known is not None and at <= known.at):
            return
        if known is not None and known.identities == identities and _is_same(known.spec, spec):
            self._claims.put(path, replace(known, at=at))
            return
        groups, likes = _words(identities)
        claim = Claim(host=path[0], device=path[1], spec=spec, identities=identities, groups=groups, likes=likes, at=at)
        self._set(path, claim)

    def other(self, host: HostName, device: DeviceName, *, oldest: float) -> tuple[Claim, Claim] | None:
        """Return a claim of this device and the equal one of another host's, both no older than `oldest`, or None.

        Two plugs of one unit don't count: the configuration check finds those, and their serial may be the enclosure's.
        """
        for path in self._of_device.get((host, device), ()):
            ours = self._claims[path]
            if ours.at < oldest:
                continue
            for theirs in self._like(ours, oldest):
                if theirs.host != host and theirs.spec.unit_id != ours.spec.unit_id:
                    return ours, theirs
        return None

    def all(self) -> dict[PathKey, Claim]:
        """Return every claim, by path."""
        return dict(self._claims)

    def is_told(self, host: HostName, device: DeviceName) -> bool:
        """Return whether the device, as configured now, reported an identity since the start."""
        return (host, device) in self._of_device

    def follow(self, inventory: Inventory) -> None:
        """Forget the claims of devices that were removed or reconfigured."""
        for path, claim in list(self._claims.items()):
            host = inventory.hosts.get(claim.host)
            devices = () if host is None else host.devices
            if not any(one.name == claim.device and _is_same(one.spec, claim.spec) for one in devices):
                self._set(path, None)

    def keep_only(self, paths: Container[PathKey]) -> None:
        """Forget the paths that are no longer read."""
        for path in [path for path in self._claims if path not in paths]:
            self._set(path, None)

    def _like(self, claim: Claim, oldest: float) -> Iterator[Claim]:
        """Yield every valid claim on the same machine, this one included."""
        for group in claim.likes:
            for path in self._groups.get(group, ()):
                found = self._claims[path]
                if found.at >= oldest:
                    yield found

    def _set(self, path: PathKey, claim: Claim | None) -> None:
        """Replace the claim of the path; None removes it."""
        before = self._claims.drop(path)
        if before is not None:
            _remove(self._of_device, path[:2], path)
            for group in before.groups:
                _remove(self._groups, group, path)
        if claim is not None:
            self._claims.put(path, claim)
            self._of_device.setdefault(path[:2], {})[path] = None
            for group in claim.groups:
                self._groups.setdefault(group, {})[path] = None


def _remove(table: dict[K, dict[PathKey, None]], key: K, path: PathKey) -> None:
    del table[key][path]
    if not table[key]:
        del table[key]


def _words(identities: tuple[str, ...]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Return the index keys of a claim, and the keys of equal claims. All serial numbers together make
    one key; they count unless both claims have a UUID."""
    uuids = tuple(dict.fromkeys(("uuid", one_spelling(one)) for one in identities if is_uuid(one)))
    serials = "\n".join(sorted({one_spelling(one) for one in identities if not is_uuid(one)}))
    if not serials:
        return uuids, uuids
    alone, beside = ("serial alone", serials), ("serial beside a uuid", serials)
    return (*uuids, beside if uuids else alone), (*uuids, alone) if uuids else (alone, beside)


def _is_same(one: DeviceSpec, other: DeviceSpec) -> bool:
    """Return whether both specs name the same plug and machine."""
    return (one.plug_id, one.unit_id, one.identity) == (other.plug_id, other.unit_id, other.identity)
