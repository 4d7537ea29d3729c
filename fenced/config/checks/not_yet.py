"""Keys that this version reads but does not obey. This module goes when the last of them works.

A value that would change something is an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fenced.config.build import BuiltHost
from fenced.config.checks.draft import Draft, Scope
from fenced.config.checks.finding import Finding, error
from fenced.config.mistakes import Where
from fenced.config.settings import set_keys

NOT_YET: Final = "not in this version yet"


def main(draft: Draft) -> Iterator[Finding]:
    """Check the keys of the main file."""
    main, where = draft.main, draft.where
    detection = main.detection
    if main.remedy.steps != ("power",):
        yield error(where.key("remedy").key("steps"), f'{NOT_YET}: only ["power"]', value=main.remedy.steps)
    remedies = {"alive_but_silent": detection.alive_but_silent, "on_report": detection.on_report}
    yield from _remedies(remedies, where.key("detection"))


def of_scope(draft: Draft, scope: Scope) -> Iterator[Finding]:
    return _remedies(scope.sets, scope.entry.where)


def of_host(draft: Draft, built: BuiltHost) -> Iterator[Finding]:
    return _remedies(set_keys(built.entry.table), built.entry.where)


def _remedies(said: Mapping[str, Any], where: Where) -> Iterator[Finding]:
    for key in ("alive_but_silent", "on_report"):
        if said.get(key) == "soft_fence":
            yield error(where.key(key), f"{NOT_YET}: use alert or fence", value="soft_fence", unit="word")
