"""Which machine each device says that it belongs to, across all hosts: one BMC under two addresses is two hosts' device.

Knows what was said on which path, not what follows from it (`sharing`). One rule: a UUID decides where both tell one; serial
numbers count elsewhere, and only all of them together, for the blades of an enclosure may share one. Lost with us, as what
was read is: each round of the check tells it again.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TypeVar

from fenced.model.identity import is_uuid, one_spelling
from fenced.model.inventory import DeviceSpec, Inventory
from fenced.model.names import DeviceName, HostName, ProxyName

PathKey = tuple[HostName, DeviceName, ProxyName]
K = TypeVar("K")
Group = tuple[str, str]
"""What two claims on one machine have in common: a kind of word and the word."""


@dataclass(slots=True, kw_only=True)
class Claim:
    """What a device said through one path. `at`: when the newest reading that said so began.

    `groups`: where it stands; `likes`: where those stand that say the same.
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
        """Its driver has compared it with `identity` in the same session: it is the machine that people mean."""
        return bool(self.spec.identity)


class Claims:
    """All of them, by path and by what they say: who else says the same is found without a look at the others."""

    def __init__(self) -> None:
        self._claims: dict[PathKey, Claim] = {}
        self._of_device: dict[tuple[HostName, DeviceName], dict[PathKey, None]] = {}
        self._groups: dict[Group, dict[PathKey, None]] = {}

    def keep(self, path: PathKey, spec: DeviceSpec, identities: tuple[str, ...], *, at: float) -> None:
        """Take what a device said. Late or nothing said: what is known stays; twice: the same."""
        known = self._claims.get(path)
        if not identities or (known is not None and at <= known.at):
            return
        if known is not None and known.identities == identities and _is_same(known.spec, spec):
            known.at = at
            return
        self._drop(path)
        groups, likes = _words(identities)
        claim = Claim(host=path[0], device=path[1], spec=spec, identities=identities, groups=groups, likes=likes, at=at)
        self._claims[path] = claim
        self._of_device.setdefault(path[:2], {})[path] = None
        for group in groups:
            self._groups.setdefault(group, {})[path] = None

    def other(self, host: HostName, device: DeviceName, *, oldest: float) -> tuple[Claim, Claim] | None:
        """What the device said since `oldest`, and who says the same of another host's device; None: nobody.

        Two plugs of one unit are none: the configuration sees them, and their serial may be the enclosure's.
        """
        for path in self._of_device.get((host, device), ()):
            ours = self._claims[path]
            if ours.at < oldest:
                continue
            for theirs in self._like(ours, oldest):
                if theirs.host != host and theirs.spec.unit_id != ours.spec.unit_id:
                    return ours, theirs
        return None

    def is_told(self, host: HostName, device: DeviceName) -> bool:
        """Whether the device said anything in this life of ours, as it is configured now."""
        return (host, device) in self._of_device

    def follow(self, inventory: Inventory) -> None:
        """Forget what was said by devices that are no longer there, or are other ones now."""
        for path, claim in list(self._claims.items()):
            host = inventory.hosts.get(claim.host)
            devices = () if host is None else host.devices
            if not any(one.name == claim.device and _is_same(one.spec, claim.spec) for one in devices):
                self._drop(path)

    def keep_only(self, paths: Container[PathKey]) -> None:
        """Forget the paths that are no longer read."""
        for path in [path for path in self._claims if path not in paths]:
            self._drop(path)

    def _like(self, claim: Claim, oldest: float) -> Iterator[Claim]:
        """All valid claims that mean the same machine, the claim itself too."""
        for group in claim.likes:
            for path in self._groups.get(group, ()):
                found = self._claims[path]
                if found.at >= oldest:
                    yield found

    def _drop(self, path: PathKey) -> None:
        claim = self._claims.pop(path, None)
        if claim is None:
            return
        _remove(self._of_device, path[:2], path)
        for group in claim.groups:
            _remove(self._groups, group, path)


def _remove(table: dict[K, dict[PathKey, None]], key: K, path: PathKey) -> None:
    del table[key][path]
    if not table[key]:
        del table[key]


def _words(identities: tuple[str, ...]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Where a claim stands, under each UUID and all its serial numbers as one word; and where those stand that mean the same
    machine: serial numbers count unless both tell a UUID."""
    uuids = tuple(dict.fromkeys(("uuid", one_spelling(one)) for one in identities if is_uuid(one)))
    serials = "\n".join(sorted({one_spelling(one) for one in identities if not is_uuid(one)}))
    if not serials:
        return uuids, uuids
    alone, beside = ("serial alone", serials), ("serial beside a uuid", serials)
    return (*uuids, beside if uuids else alone), (*uuids, alone) if uuids else (alone, beside)


def _is_same(one: DeviceSpec, other: DeviceSpec) -> bool:
    """Whether both configure one and the same plug and machine."""
    return (one.plug_id, one.unit_id, one.identity) == (other.plug_id, other.unit_id, other.identity)
