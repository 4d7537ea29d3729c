"""Checks that each host's levels fit into its operation_timeout: one race, attempt and verification of each level.

Reported once, at the value that makes it too long or too short, however many hosts inherit that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, Once, error, keys
from fenced.config.durations import format_duration
from fenced.config.mistakes import Where
from fenced.config.settings import set_keys
from fenced.model.settings import PowerSettings
from fenced.model.text import some

HOSTS_NAMED_MAX: Final = 3

_ALLOWED: Final = "operation_timeout"
_SPENT: Final = ("attempt_timeout", "verify_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """The main file, a data centre, a cluster or a host: the keys it sets, and the resulting [power]."""

    where: Where
    said: Mapping[str, Any]
    power: PowerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _TooLong(Finding):
    """One host whose levels don't fit; `_merged` writes the reason."""

    host: str
    worst_seconds: float
    allowed_seconds: float


def check(draft: Draft) -> Iterator[Finding]:
    for built in draft.hosts:
        allowed = built.host.settings.power.operation_timeout_seconds
        worst = sum(_each_level(draft, built.devices, None))
        if worst <= allowed:
            continue
        where, value = _cause(draft, built, allowed)
        yield _TooLong(
            where=where,
            reason="",
            value=format_duration(value),
            unit="duration",
            rests_on=(
                draft.where.key("race").key("probe_timeout"),
                *draft.places((_ALLOWED, *_SPENT), draft.chain_of(built)),
                *(place for device in built.devices for place in keys(device.entry, "level", "settle", *_SPENT)),
            ),
            once=Once(key=where, merge=_merged),
            host=built.host.name,
            worst_seconds=worst,
            allowed_seconds=allowed,
        )


def _merged(found: Sequence[Finding]) -> Finding:
    """Make one error for each value to blame, however many hosts inherit it."""
    hosts = [each for each in found if isinstance(each, _TooLong)]
    first = hosts[0]
    named = some([each.host for each in hosts], HOSTS_NAMED_MAX)
    worst = format_duration(max(each.worst_seconds for each in hosts))
    what = "(probe, attempt and verification of each level, once)"
    return error(
        first.where,
        f"shorter than the worst case of {named}, {worst} {what}"
        if first.where.path.endswith(_ALLOWED)
        else f"makes the worst case of {named} {worst} {what}, "
        f"longer than {_ALLOWED} ({format_duration(first.allowed_seconds)})",
        value=first.value,
        unit=first.unit,
    )


def _each_level(draft: Draft, devices: Sequence[BuiltDevice], power: PowerSettings | None) -> Iterator[float]:
    """Yield the worst-case seconds of each level; with `power` as if no device set its own."""
    for level in {device.device.level for device in devices}:
        yield draft.main.race.probe_timeout + max(
            _seconds(device, power) for device in devices if device.device.level == level
        )


def _cause(draft: Draft, built: BuiltHost, allowed: float) -> tuple[Where, float]:
    """Return the place and value to blame: the nearest without which it would fit, else operation_timeout."""
    scopes = _scopes(draft, built)
    if sum(_each_level(draft, built.devices, scopes[-1].power)) <= allowed:
        return _of_device(built)
    while _ALLOWED not in scopes[-1].said:
        nearest = scopes.pop()
        key = next((key for key in _SPENT if key in nearest.said), None)
        if key is not None and sum(_each_level(draft, built.devices, scopes[-1].power)) <= allowed:
            return nearest.where.key(key), nearest.said[key]
    return scopes[-1].where.key(_ALLOWED), allowed


def _of_device(built: BuiltHost) -> tuple[Where, float]:
    """Return the longest of the values that devices set themselves."""
    said = [
        (getattr(device.entry.table, key), device.entry.where.key(key))
        for device in built.devices
        for key in (*_SPENT, "settle")
        if key in device.entry.table.model_fields_set
    ]
    value, where = max(said, key=lambda item: float(item[0]))
    return where, value


def _scopes(draft: Draft, built: BuiltHost) -> list[_Scope]:
    """Return the scopes from the main file, which sets every key, to the host."""
    power = draft.settings.of_host().power
    scopes = [_Scope(where=draft.where.key("power"), said={_ALLOWED: None}, power=power)]
    said: list[dict[str, Any]] = []
    for entry in reversed(draft.chain_of(built)):
        said.append(set_keys(entry.table))
        power = draft.settings.of_host(*said).power
        scopes.append(_Scope(where=entry.where, said=said[-1], power=power))
    return scopes


def _seconds(device: BuiltDevice, power: PowerSettings | None) -> float:
    settle = device.device.settle_seconds if power is None else 0.0
    power = power or device.device.power
    return power.attempt_timeout_seconds + settle + power.verify_timeout_seconds
