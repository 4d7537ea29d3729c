"""What the daemon heard of one host since its start, and when it checked the host.

Only `Fleet.see` and `Fleet.keep_beat` change it, so that a rejected batch can be undone. The moments of beats and
evidence never roll back: a forgotten heartbeat would be silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypedDict

from fenced.core.heard.checks import NOTHING, OffRounds, OffRow
from fenced.core.heard.evidence import Statements, without_shutdown
from fenced.core.heard.looks import Look
from fenced.core.heard.messages import Health
from fenced.core.heard.trials import Trial
from fenced.model.names import BootId, DeviceName, ProxyName

Counters = tuple[tuple[str, BootId, int], ...]
"""(reporter, boot, sequence) of each reporter, the newest last."""


class Reporter(NamedTuple):
    """One of several reporters of a host, and its last beat. `ear`: when that came, in listening time."""

    name: str
    ear: float
    interval: float | None
    workloads: int
    roles: tuple[str, ...]
    is_stopping: bool


@dataclass(frozen=True, slots=True)
class LifeAnswer:
    """The answer to a probe of the host. `was_asked`: False where the host has no address to probe. `looks`: what each
    observer saw."""

    at: float
    answered: str | None
    was_asked: bool = True
    looks: tuple[Look, ...] = ()

    @property
    def words(self) -> str:
        """The answer as text."""
        if self.answered is not None:
            return self.answered
        return "nobody answered" if self.was_asked else "nobody was asked: it has no address, or no ports to ask"


@dataclass(frozen=True, slots=True)
class Sight:
    """One host's heartbeats, evidence and checks. `*_ear`: on the ear's clock; all other times on the steady clock.

    `heard_at`: the last beat that proved life; `spoke_at`: the last stale message (an old sequence, an ended boot),
    `speaking_since`: the first of the stale ones in a row. `counters`: (reporter, boot, sequence), the newest last.
    `reporter`: of the newest beat; `reporters`: all, if there are several, the newest last; then `interval_seconds`,
    `workloads` and `roles` are what `heard.reporters` makes of theirs. `evidence`: by source and kind. `old_run`: first
    and last message of a run long after it was proven off. `watch_offs`: by level. `watch_lit`: by device, the paths
    that last read ON in the watch. `devices_since`: when a reload changed the host's devices. `wake_at`: the next
    scheduled check. `trial`: what observers saw of it while it lived. `longest_silence`: between two beats since the
    start, in seconds of listening, and when it ended.
    """

    heard_at: float | None = None
    heard_ear: float = 0.0
    spoke_at: float | None = None
    spoke_ear: float = 0.0
    evidence: Statements | None = None
    reporter: str | None = None
    reporters: tuple[Reporter, ...] = ()
    wake_at: float | None = None
    boot: BootId | None = None
    sequence: int | None = None
    counters: Counters = ()
    speaking_since: float | None = None
    old_run: tuple[float, float] = (0.0, 0.0)
    interval_seconds: float | None = None
    workloads: int = 0
    roles: tuple[str, ...] = ()
    is_stopping: bool = False
    life: LifeAnswer | None = None
    life_asked_at: float | None = None
    trial: Trial | None = None
    watch_at: float | None = None
    watch_started: float | None = None
    watch_offs: Mapping[int, OffRounds] = field(default_factory=lambda: NOTHING)
    watch_lit: Mapping[DeviceName, frozenset[ProxyName]] = field(default_factory=lambda: NOTHING)
    devices_since: float = 0.0
    offs: Mapping[DeviceName, OffRow] | None = None
    operation_ended_at: float = 0.0
    give_backs: int = 0
    give_back_at: float = 0.0
    longest_silence: float = 0.0
    longest_silence_at: float = 0.0


class Seen(TypedDict, total=False):
    """The fields of a `Sight`, all optional: what one step changes."""

    heard_at: float | None
    heard_ear: float
    spoke_at: float | None
    spoke_ear: float
    evidence: Statements | None
    reporter: str | None
    reporters: tuple[Reporter, ...]
    wake_at: float | None
    boot: BootId | None
    sequence: int | None
    counters: Counters
    speaking_since: float | None
    old_run: tuple[float, float]
    interval_seconds: float | None
    workloads: int
    roles: tuple[str, ...]
    is_stopping: bool
    life: LifeAnswer | None
    life_asked_at: float | None
    trial: Trial | None
    watch_at: float | None
    watch_started: float | None
    watch_offs: Mapping[int, OffRounds]
    watch_lit: Mapping[DeviceName, frozenset[ProxyName]]
    devices_since: float
    offs: Mapping[DeviceName, OffRow] | None
    operation_ended_at: float
    give_backs: int
    give_back_at: float
    longest_silence: float
    longest_silence_at: float


MOMENTS: Final = frozenset(
    {"heard_at", "heard_ear", "spoke_at", "spoke_ear", "evidence", "longest_silence", "longest_silence_at", "reporter",
     "reporters"}
)  # fmt: skip
"""Moments of beats and evidence: a roll-back keeps them."""

COUNTED: Final = frozenset({"heard_at", "heard_ear", "interval_seconds", "workloads", "roles"})
"""What the counts of a moment depend on (`heard.counts`)."""

WAKE: Final = "wake_at"
"""A roll-back forgets it instead of putting it back: deciding again schedules it, and an extra check is harmless."""

SET: Final[Mapping[str, Callable[[Sight, Any], None]]] = {
    it.name: getattr(Sight, it.name).__set__ for it in fields(Sight)
}
"""How `Fleet.see` sets a field: through the slot, past the frozen dataclass."""

_set_heard_at, _set_heard_ear = SET["heard_at"], SET["heard_ear"]
_set_sequence, _set_counters = SET["sequence"], SET["counters"]


def keep_beat(sight: Sight, health: Health, *, ear: float, counters: Counters, is_stopping: bool) -> None:
    """Set what a heartbeat changes.

    Most beats of a host say what the last one said, and then only four fields change: every beat of every host comes
    through here. `ear`: listening time when it was received.
    """
    _set_heard_at(sight, health.received)
    _set_heard_ear(sight, ear)
    _set_sequence(sight, health.sequence)
    _set_counters(sight, counters)
    if sight.boot != health.boot and not health.is_boot_unread:
        if sight.evidence is not None and sight.boot is not None:
            SET["evidence"](sight, without_shutdown(sight.evidence))
        SET["boot"](sight, health.boot)
    if sight.speaking_since is not None:
        SET["speaking_since"](sight, None)
    if sight.is_stopping is not is_stopping:
        SET["is_stopping"](sight, is_stopping)
    if not is_stopping and not says_the_same(sight, health):
        SET["interval_seconds"](sight, health.interval_seconds)
        SET["workloads"](sight, health.workloads)
        SET["roles"](sight, health.roles)


def is_missed(sight: Sight, health: Health) -> bool:
    """Return whether the silence before a beat was one of a running host: of the same boot, not announced."""
    return sight.heard_at is not None and sight.boot == health.boot and not sight.is_stopping


def says_the_same(sight: Sight, health: Health) -> bool:
    """Return whether a heartbeat says of its host's grace what the last one said."""
    return (sight.interval_seconds, sight.workloads, sight.roles) == (
        health.interval_seconds, health.workloads, health.roles,
    )  # fmt: skip


_OWNED: Final = tuple(it.name for it in fields(Sight) if it.name not in MOMENTS and it.name != WAKE)
_owned: Final = attrgetter(*_OWNED)
_SET_OWNED: Final = tuple(SET[name] for name in _OWNED)


def kept(sight: Sight) -> tuple[Any, ...]:
    """Return all that a roll-back may have to restore."""
    values: tuple[Any, ...] = _owned(sight)
    return values


def put_back(sight: Sight, values: tuple[Any, ...]) -> None:
    """Restore what `kept` returned, and forget the wake-up."""
    for set_, value in zip(_SET_OWNED, values, strict=True):
        set_(sight, value)
    SET[WAKE](sight, None)
