"""Checks durations and counts that contradict each other, whichever table sets them. Knows no file format.

A contradiction is reported at the last place that set one of its keys, so that an inherited one is reported once.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from fenced.config.build import BuiltHost
from fenced.config.checks.draft import Chain, Draft, Scope
from fenced.config.checks.finding import Finding
from fenced.config.durations import format_duration
from fenced.config.inventory_tables import DeviceTable, HostTable
from fenced.config.mistakes import Where
from fenced.config.tables import DetectionOfOne
from fenced.model.settings import DetectionSettings, PowerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`why` returns the reason if the rule is broken, else None. `keys`: what it compares; the first is to blame."""

    keys: tuple[str, ...]
    why: Callable[[DetectionSettings, PowerSettings], str | None]
    is_error: bool = True


def _grace(detection: DetectionSettings, power: PowerSettings) -> str | None:
    if detection.grace_seconds >= detection.heartbeat_interval_seconds:
        return None
    interval = format_duration(detection.heartbeat_interval_seconds)
    return f"shorter than the heartbeat interval ({interval}): a host would be suspected between two heartbeats"


def _missed(detection: DetectionSettings, power: PowerSettings) -> str | None:
    missed = detection.missed_heartbeats * detection.heartbeat_interval_seconds
    if detection.heartbeat_interval_seconds > detection.grace_seconds or detection.grace_seconds >= missed:
        return None
    waited = f"{detection.missed_heartbeats} missed intervals, {format_duration(missed)}"
    return f"has no effect: missed_heartbeats waits longer, for {waited}"


def _grace_max(detection: DetectionSettings, power: PowerSettings) -> str | None:
    if detection.grace_max_seconds >= detection.grace_seconds:
        return None
    return f"shorter than grace ({format_duration(detection.grace_seconds)})"


def _reads(detection: DetectionSettings, power: PowerSettings) -> str | None:
    needed = (power.stable_reads - 1) * power.verify_interval_seconds
    if needed < power.verify_timeout_seconds:
        return None
    return (
        f"too short for {power.stable_reads} stable reads, {format_duration(power.verify_interval_seconds)} apart: "
        "nothing could ever be proven off"
    )


def _hold(detection: DetectionSettings, power: PowerSettings) -> str | None:
    if power.already_off_hold_seconds < power.operation_timeout_seconds:
        return None
    return f"longer than operation_timeout ({format_duration(power.operation_timeout_seconds)})"


def _boot(detection: DetectionSettings, power: PowerSettings) -> str | None:
    if power.chassis_boot_timeout_seconds <= power.restore_timeout_seconds:
        return None
    return f"longer than restore_timeout ({format_duration(power.restore_timeout_seconds)}), which ends first"


RULES: Final = (
    Rule(keys=("grace", "heartbeat_interval"), why=_grace),
    Rule(keys=("grace", "missed_heartbeats", "heartbeat_interval"), why=_missed, is_error=False),
    Rule(keys=("grace_max", "grace"), why=_grace_max),
    Rule(keys=("verify_timeout", "stable_reads", "verify_interval"), why=_reads),
    Rule(keys=("already_off_hold", "operation_timeout"), why=_hold),
    Rule(keys=("chassis_boot_timeout", "restore_timeout"), why=_boot, is_error=False),
)
_COMPARED: Final = frozenset(key for rule in RULES for key in rule.keys)


def main(draft: Draft) -> Iterator[Finding]:
    """Check the rules on [detection] and [power] of the main file."""
    settings = draft.settings.of_host()
    for rule in RULES:
        table = draft.where.key("detection" if rule.keys[0] in DetectionOfOne.model_fields else "power")
        yield from _broken(draft, rule, rule.keys[0], settings.detection, settings.power, table, ())


def of_scope(draft: Draft, scope: Scope) -> Iterator[Finding]:
    """Check the rules on keys that this data centre, cluster or host sets itself."""
    settings = scope.settings
    return _compared(draft, scope.sets, settings.detection, settings.power, scope.entry.where, scope.chain)


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    if _sets_any(built.entry.table):
        yield from of_scope(draft, draft.scope_of(built))


def of_devices(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    """Check the rules on keys that devices set themselves."""
    for device in built.devices:
        entry, detection = device.entry, built.host.settings.detection
        if _sets_any(entry.table):
            said, chain = entry.table.model_fields_set, (entry, *draft.chain_of(built))
            yield from _compared(draft, said, detection, device.device.power, entry.where, chain)


def _sets_any(table: HostTable | DeviceTable) -> bool:
    """Whether the table sets a key that a rule compares; most hosts and devices set none."""
    return not _COMPARED.isdisjoint(table.model_fields_set)


def _compared(
    draft: Draft,
    said: Collection[str],
    detection: DetectionSettings,
    power: PowerSettings,
    where: Where,
    chain: Chain,
) -> Iterator[Finding]:
    for rule in RULES:
        key = next((key for key in rule.keys if key in said), None)
        if key is not None:
            yield from _broken(draft, rule, key, detection, power, where, chain)


def _broken(
    draft: Draft,
    rule: Rule,
    key: str,
    detection: DetectionSettings,
    power: PowerSettings,
    where: Where,
    chain: Chain,
) -> Iterator[Finding]:
    """`chain`: the entry at `where`, and those that it inherits from."""
    why = rule.why(detection, power)
    if why is None:
        return
    value = _value(key, detection, power)
    yield Finding(
        where=where.key(key),
        reason=why if key == rule.keys[0] else f"{rule.keys[0]} is {why}",
        value=value if isinstance(value, int) else format_duration(value),
        unit="count" if isinstance(value, int) else "duration",
        is_error=rule.is_error,
        rests_on=draft.places(rule.keys, chain),
    )


def _value(key: str, detection: DetectionSettings, power: PowerSettings) -> int | float:
    settings = detection if key in DetectionOfOne.model_fields else power
    value: int | float = getattr(settings, key) if hasattr(settings, key) else getattr(settings, f"{key}_seconds")
    return value
