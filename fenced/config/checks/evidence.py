"""Checks the kinds of evidence that hold a fence: `gates.live_evidence`."""

from collections.abc import Iterator
from typing import Final

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, warning

KNOWN: Final = ("storage_lease", "maintenance", "drained", "shutting_down")
OF_SAVING: Final = ("idle", "busy")
"""They say whether a host may sleep."""


def kinds(draft: Draft) -> Iterator[Finding]:
    """A kind of one's own is allowed, and may be a slip of the pen."""
    where = draft.where.key("gates").key("live_evidence")
    for index, kind in enumerate(draft.main.gates.live_evidence):
        if kind in OF_SAVING:
            yield warning(
                where.item(index), "says only whether the host may sleep, and would hold a fence: leave it out",
                value=kind, unit="name", rests_on=(where,),
            )  # fmt: skip
        elif kind not in KNOWN:
            yield warning(
                where.item(index), f"is none of {', '.join(KNOWN)}: it holds a fence only if a source sends exactly "
                "this kind", value=kind, unit="name", rests_on=(where,),
            )  # fmt: skip
