"""What other systems said of a host, for how long it holds, and when each of these systems was last heard.

A statement holds until its `ttl` is over. One that nobody repeated stays for a day, so that a person can see what a
source said before it fell silent. All of it is lost with the process: a takeover and a start wait `startup_quiet`, in
which sources repeat themselves. The module decides nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fenced.core.heard.messages import Evidence

STORAGE_LEASE: Final = "storage_lease"
MAINTENANCE: Final = "maintenance"
DRAINED: Final = "drained"
SHUTTING_DOWN: Final = "shutting_down"
IDLE: Final = "idle"
"""The host may sleep: its source consents (S24)."""
BUSY: Final = "busy"
"""The host may not sleep (S24)."""
NO_LIFE: Final = frozenset({MAINTENANCE, DRAINED, SHUTTING_DOWN, IDLE, BUSY})
"""Kinds that say something of the host, but not that it runs. Any other kind says that it lives."""

STATEMENTS_MAX: Final = 16
MORE_SOURCES: Final = "one of more sources than are kept"
KEPT_SECONDS: Final = 86400.0
"""How long after its end a statement, and a silent source, is remembered."""
REGULAR_MESSAGES: Final = 3
"""A source that sent so many messages is expected to send more."""
SOURCES_MAX: Final = 64

Key = tuple[str, str]
"""(source, kind)"""


class Statement(NamedTuple):
    """`until`: the end of its `ttl`; `at`: when it was received."""

    until: float
    at: float


Statements = Mapping[Key, Statement]


def told(known: Statements | None, evidence: Evidence, now: float, counted: tuple[str, ...]) -> Statements | None:
    """Return the statements of a host with a new one. `alive: false` takes the source's word of this kind back, and
    says no more. Beyond the bound, only what holds (`counted`) is kept, in one entry for each kind."""
    kept = {key: said for key, said in (known or {}).items() if now < said.until + KEPT_SECONDS}
    key = (evidence.source, evidence.evidence_kind)
    kept.pop(key, None)
    if evidence.is_alive:
        said = Statement(until=evidence.received + evidence.ttl_seconds, at=evidence.received)
        if len(kept) >= STATEMENTS_MAX:
            kept = {key: it for key, it in kept.items() if now < it.until}
        if len(kept) < STATEMENTS_MAX:
            kept[key] = said
        elif evidence.evidence_kind in counted:
            more = (MORE_SOURCES, evidence.evidence_kind)
            before = kept.get(more, said)
            kept[more] = Statement(until=max(before.until, said.until), at=said.at)
    return kept or None


def holding(known: Statements | None, now: float) -> Iterator[tuple[str, str, Statement]]:
    """Yield source, kind and statement of those that hold now."""
    for (source, kind), said in (known or {}).items():
        if now < said.until:
            yield source, kind, said


def without_shutdown(known: Statements) -> Statements | None:
    """Return what holds after the host started anew: it has shut down."""
    return {key: said for key, said in known.items() if key[1] != SHUTTING_DOWN} or None


@dataclass(frozen=True, slots=True)
class Source:
    """`until`: when the last of all its statements, of any host, ended. `messages`: counted up to REGULAR_MESSAGES."""

    at: float
    until: float
    messages: int = 1


@dataclass(slots=True)
class Sources:
    """When each source was last heard, of whatever host. Never rolled back: these are moments."""

    known: dict[str, Source] = field(default_factory=dict)

    def hear(self, evidence: Evidence) -> None:
        """Note a message. The same one again, after a rejected batch, counts once."""
        before, until = self.known.get(evidence.source), evidence.received + evidence.ttl_seconds
        if before is None:
            if len(self.known) >= SOURCES_MAX:
                oldest = min(self.known, key=lambda name: self.known[name].at)
                del self.known[oldest]
            self.known[evidence.source] = Source(at=evidence.received, until=until)
        elif evidence.received > before.at:
            messages = min(before.messages + 1, REGULAR_MESSAGES)
            self.known[evidence.source] = Source(
                at=evidence.received, until=max(before.until, until), messages=messages
            )

    def silent(self, now: float) -> dict[str, float]:
        """Return the sources that sent regularly and of which nothing holds any more, and since when they are silent.

        After a day a source counts as removed on purpose.
        """
        return {
            name: it.at
            for name, it in self.known.items()
            if it.messages >= REGULAR_MESSAGES and it.until <= now < it.until + KEPT_SECONDS
        }
