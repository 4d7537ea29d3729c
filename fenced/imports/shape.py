"""What each source yields: hosts with devices, the cluster's keys, and what was lost.

A loss never quotes a secret. The writer decides the names of secret files, so a device only holds the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fenced.config.keys import NAME_CHARS_MAX, NAME_PATTERN
from fenced.model.inventory import Secret
from fenced.model.text import one_line

SOURCE_BYTES_MAX: Final = 64 * 1024 * 1024
LEVEL_MAX: Final = 16

Value = str | int | bool | tuple[str, ...]
"""What a key of the inventory can hold."""


class NotImported(Exception):
    """Nothing was imported. The text says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something in the source that the inventory does not say. `advice`: what to do now.

    `is_note`: nothing needs to be done; fenced behaves alike, or decides it in another place.
    `is_loud`: it changes who is fenced at all.
    """

    where: str
    what: str
    advice: str = ""
    is_note: bool = False
    is_loud: bool = False

    @property
    def sentence(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return one_line(f"{self.where}: {self.what}{advice}")


@dataclass(slots=True)
class Losses:
    """What an importer reports, in the order of the source. Equal reports are kept once."""

    _found: dict[Loss, None] = field(default_factory=dict)

    @property
    def found(self) -> tuple[Loss, ...]:
        return tuple(self._found)

    def lost(self, where: str, what: str, advice: str = "", *, is_loud: bool = False) -> None:
        self._add(Loss(where=where, what=what, advice=advice, is_loud=is_loud))

    def note(self, where: str, what: str, advice: str = "") -> None:
        self._add(Loss(where=where, what=what, advice=advice, is_note=True))

    def _add(self, loss: Loss) -> None:
        self._found.setdefault(loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a host. `keys`: further keys of the inventory, such as `attempt_timeout`.

    `secrets`: by the name of the agent's parameter, "password" for the device's password; None: the source does not
    have the value. `secret_stem`: the start of the names of its secret files; devices with one stem share them.
    `password_file`: a file that the source names itself.
    """

    name: str
    driver: str
    level: int = 1
    address: str = ""
    username: str = ""
    secrets: Mapping[str, Secret | None] = field(default_factory=dict)
    secret_stem: str = ""
    password_file: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)
    keys: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host. `where`: its place in the source."""

    name: str
    where: str
    cluster: str = ""
    keys: Mapping[str, Value] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Everything that an importer returns. `clusters`: by name, their keys."""

    hosts: tuple[Host, ...]
    losses: tuple[Loss, ...]
    clusters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    datacenters: tuple[str, ...] = ()


def is_name(text: str) -> bool:
    return len(text) <= NAME_CHARS_MAX and NAME_PATTERN.fullmatch(text) is not None


def device_name(text: str) -> str:
    """Return the text as a name of a device: every other character becomes a hyphen."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)
    return kept.lstrip("._-")[:NAME_CHARS_MAX] or "device"


def numbered(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Give devices of one host different names: a second `bmc` becomes `bmc-2`."""
    taken: set[str] = set()
    named = []
    for device in devices:
        name, number = device.name, 1
        while name in taken:
            number += 1
            name = f"{device.name}-{number}"
        taken.add(name)
        named.append(replace(device, name=name))
    return tuple(named)


def usable(hosts: list[Host], losses: Losses) -> tuple[Host, ...]:
    """Leave out hosts that can't be in an inventory, and report them."""
    kept: dict[str, Host] = {}
    for host in hosts:
        if not is_name(host.name):
            losses.lost(
                host.where,
                f"{host.name!r} can't be the name of a host: a name has letters, digits, '.', '_' and '-'",
                "the host is NOT in the inventory: add it under another name, with this one in its aliases",
                is_loud=True,
            )
        elif host.name in kept:
            losses.lost(host.where, f"the host {host.name} is there twice", "only the first is kept", is_loud=True)
        else:
            kept[host.name] = host
    return tuple(kept.values())


def report_unfenceable(hosts: tuple[Host, ...], losses: Losses) -> None:
    for host in hosts:
        if not host.devices:
            losses.lost(
                host.where,
                f"no power device of the source serves {host.name}",
                "fenced can't fence it: add a [[host.device]]",
                is_loud=True,
            )
