"""Keys that this version reads but does not obey. This module goes when the last of them works.

A value that would change something is an error; a default that promises protection is one warning each.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fenced.config.build import BuiltHost
from fenced.config.checks.draft import Draft, Scope
from fenced.config.checks.finding import Finding, error, warning
from fenced.config.mistakes import Where
from fenced.config.settings import set_keys

NOT_YET: Final = "not in this version yet"


def main(draft: Draft) -> Iterator[Finding]:
    """Check the keys of the main file."""
    main, where = draft.main, draft.where
    detection = main.detection
    if main.remedy.steps != ("power",):
        yield error(where.key("remedy").key("steps"), f'{NOT_YET}: only ["power"]', value=main.remedy.steps)
    if main.saving:
        yield error(where.key("saving"), f"{NOT_YET}: must be empty", value=main.saving)
    if detection.references:
        yield error(where.key("detection").key("references"), NOT_YET, value=detection.references)
    remedies = {"alive_but_silent": detection.alive_but_silent, "on_report": detection.on_report}
    yield from _remedies(remedies, where.key("detection"))
    yield from _observers(detection.observers, where.key("detection").key("observers"))


def of_scope(draft: Draft, scope: Scope) -> Iterator[Finding]:
    return _remedies(scope.sets, scope.entry.where)


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    return _remedies(set_keys(built.entry.table), built.entry.where)


def _remedies(said: Mapping[str, Any], where: Where) -> Iterator[Finding]:
    for key in ("alive_but_silent", "on_report"):
        if said.get(key) == "soft_fence":
            yield error(where.key(key), f"{NOT_YET}: use alert or fence", value="soft_fence", unit="word")


def _observers(observers: int, where: Where) -> Iterator[Finding]:
    if observers > 2:
        yield error(where, f"{NOT_YET}: only the daemon itself probes; use 1 or 2", value=observers, unit="count")
    elif observers > 1:
        yield warning(where, f"{NOT_YET}: only the daemon itself probes a silent host", value=observers, unit="count")
