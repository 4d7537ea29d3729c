"""What a check returns: one mistake or warning, with the keys that it rests on.

A finding that rests on a refused key is dropped, because its key has the default instead of the intended value. The
refusal itself was reported when the key was read. Checks therefore compute on what there is and never look at other
findings.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fenced.config.entries import Entry
from fenced.config.mistakes import Mistakes, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`where`: the key to blame. `rests_on`: the other keys without which there would be no finding."""

    where: Where
    reason: str
    value: object = None
    unit: str = ""
    is_error: bool = True
    rests_on: tuple[Where, ...] = ()
    once: "Once | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Findings of one check with equal keys are reported as one, which `merge` makes of them."""

    key: Hashable
    merge: Callable[[Sequence[Finding]], Finding]


def error(
    where: Where, reason: str, *, value: object = None, unit: str = "", rests_on: tuple[Where, ...] = ()
) -> Finding:
    return Finding(where=where, reason=reason, value=value, unit=unit, rests_on=rests_on)


def warning(
    where: Where,
    reason: str,
    *,
    value: object = None,
    unit: str = "",
    rests_on: tuple[Where, ...] = (),
    once: Once | None = None,
) -> Finding:
    return Finding(where=where, reason=reason, value=value, unit=unit, is_error=False, rests_on=rests_on, once=once)


def once_for_all(noun: str, *key: Hashable) -> Once:
    """Report the first finding with this key, and how many more `noun` it concerns."""

    def merge(found: Sequence[Finding]) -> Finding:
        more = f" (and {len(found) - 1} more {noun})" if len(found) > 1 else ""
        return replace(found[0], reason=found[0].reason + more)

    return Once(key=key, merge=merge)


def keys(entry: Entry[Any], *names: str) -> tuple[Where, ...]:
    """The places of these keys of one entry."""
    return tuple(entry.where.key(name) for name in names)


def report(findings: Iterable[Finding], mistakes: Mistakes) -> None:
    """Add what one check found to the mistakes; merged findings come last."""
    merged: dict[Hashable, list[Finding]] = {}
    for finding in findings:
        if mistakes.is_refused(finding.where) or any(map(mistakes.is_refused, finding.rests_on)):
            continue
        if finding.once is None:
            _add(finding, mistakes)
        else:
            merged.setdefault(finding.once.key, []).append(finding)
    for found in merged.values():
        once = found[0].once
        assert once is not None
        _add(once.merge(found), mistakes)


def _add(finding: Finding, mistakes: Mistakes) -> None:
    add = mistakes.error if finding.is_error else mistakes.warning
    add(finding.where, finding.reason, value=finding.value, unit=finding.unit)
