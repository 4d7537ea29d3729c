"""Whether each host's levels fit into its operation: a race, one attempt and its verification of each, once.

Knows no file format. One rule: told once, where the value stands that makes it too long or too short, however many
hosts inherit it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.durations import format_duration
from fenced.config.entries import Entries
from fenced.config.mistakes import Mistakes, Where
from fenced.config.settings import Settings, set_keys
from fenced.config.tables import RaceTable
from fenced.model.settings import PowerSettings

HOSTS_NAMED_MAX: Final = 3

_ALLOWED: Final = "operation_timeout"
_SPENT: Final = ("attempt_timeout", "verify_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """The main file, a data centre, a cluster or a host: what it says, and [power] as it holds there."""

    where: Where
    said: Mapping[str, Any]
    power: PowerSettings


@dataclass(slots=True, kw_only=True)
class _Found:
    """One place and whom it concerns; `worst_seconds`: the longest of them."""

    value: float
    allowed_seconds: float
    worst_seconds: float = 0.0
    hosts: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Levels:
    """Collects host by host, then tells."""

    entries: Entries
    settings: Settings
    race: RaceTable
    main: Where
    _found: dict[Where, _Found] = field(default_factory=dict)

    def check(self, built: BuiltHost, unsure: frozenset[str]) -> None:
        """Look at one host. `unsure`: keys that were refused at it or above it."""
        allowed = built.host.settings.power.operation_timeout_seconds
        worst = sum(self._each_level(built.devices, None))
        if worst <= allowed or not unsure.isdisjoint((_ALLOWED, "probe_timeout", *_SPENT)):
            return
        if not all(device.entry.is_sure_of("level", "settle", *_SPENT) for device in built.devices):
            return
        where, value = self._cause(built, allowed)
        found = self._found.setdefault(where, _Found(value=value, allowed_seconds=allowed))
        found.worst_seconds = max(found.worst_seconds, worst)
        found.hosts.append(built.host.name)

    def tell(self, mistakes: Mistakes) -> None:
        """One error for each place."""
        for where, found in self._found.items():
            named = ", ".join(found.hosts[:HOSTS_NAMED_MAX])
            more = f" and {len(found.hosts) - HOSTS_NAMED_MAX} more" if len(found.hosts) > HOSTS_NAMED_MAX else ""
            worst = format_duration(found.worst_seconds)
            what = "(probe, attempt and verification of each level, once)"
            mistakes.error(
                where,
                f"shorter than the worst case of {named}{more}, {worst} {what}"
                if where.path.endswith(_ALLOWED)
                else f"makes the worst case of {named}{more} {worst} {what}, "
                f"longer than {_ALLOWED} ({format_duration(found.allowed_seconds)})",
                value=format_duration(found.value),
                unit="duration",
            )

    def _each_level(self, devices: Sequence[BuiltDevice], power: PowerSettings | None) -> Iterator[float]:
        """Seconds of each level in the worst case; with `power` as if no device said anything of its own."""
        for level in {device.device.level for device in devices}:
            yield self.race.probe_timeout + max(
                _seconds(device, power) for device in devices if device.device.level == level
            )

    def _cause(self, built: BuiltHost, allowed: float) -> tuple[Where, float]:
        """The place and value to blame: the nearest without which it would fit, else that of operation_timeout."""
        scopes = self._scopes(built)
        if sum(self._each_level(built.devices, scopes[-1].power)) <= allowed:
            return self._of_device(built)
        while _ALLOWED not in scopes[-1].said:
            nearest = scopes.pop()
            key = next((key for key in _SPENT if key in nearest.said), None)
            if key is not None and sum(self._each_level(built.devices, scopes[-1].power)) <= allowed:
                return nearest.where.key(key), nearest.said[key]
        return scopes[-1].where.key(_ALLOWED), allowed

    def _of_device(self, built: BuiltHost) -> tuple[Where, float]:
        """The longest of the values that devices say themselves."""
        said = [
            (getattr(device.entry.table, key), device.entry.where.key(key))
            for device in built.devices
            for key in (*_SPENT, "settle")
            if key in device.entry.table.model_fields_set
        ]
        value, where = max(said, key=lambda item: float(item[0]))
        return where, value

    def _scopes(self, built: BuiltHost) -> list[_Scope]:
        """From the main file, which says everything, to the host."""
        above = (
            self.entries.datacenters.get(built.host.datacenter),
            self.entries.clusters.get(built.host.cluster),
            built.entry,
        )
        power = self.settings.of_host().power
        scopes = [_Scope(where=self.main.key("power"), said={_ALLOWED: None}, power=power)]
        said: list[dict[str, Any]] = []
        for entry in above:
            if entry is not None:
                said.append(set_keys(entry.table))
                power = self.settings.of_host(*said).power
                scopes.append(_Scope(where=entry.where, said=said[-1], power=power))
        return scopes


def _seconds(device: BuiltDevice, power: PowerSettings | None) -> float:
    settle = device.device.settle_seconds if power is None else 0.0
    power = power or device.device.power
    return power.attempt_timeout_seconds + settle + power.verify_timeout_seconds
