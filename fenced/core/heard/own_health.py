"""How well the daemon itself hears, and how much its own illness stretches every grace (Lifeguard, arXiv 1707.00788).

A slow observer takes living hosts for dead. So what the daemon measures of itself becomes seconds of patience: a loop
that turns late, beats that waited in the socket, many hosts that are a little late at once, a bus that has just come
back. Patience is only ever added, ends by itself, and never takes a grace beyond `grace_max`: a daemon that is slow for
ever still fences.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

LASTS_SECONDS: Final = 30.0
"""How long a measurement counts. While the daemon is ill it is repeated well within that time."""
LAG_SECONDS: Final = 0.25
LAG_FACTOR: Final = 4.0
"""A loop that turns so late is ill; for each second it has so many seconds of patience."""
WAITED_SECONDS: Final = 1.0
WAITED_FACTOR: Final = 2.0
"""The same for beats that waited in the socket."""
LATE_HOSTS: Final = 5
LATE_SHARE: Final = 0.25
LATE_SECONDS: Final = 40.0
"""So many healthy hosts that are late at once, and such a share of them, are no single failures; all of them would add
so many seconds."""
YOUNG_SECONDS: Final = 60.0
YOUNG_STRETCH_SECONDS: Final = 5.0
"""A connection to the bus is young for so long: what was kept on the way still arrives."""
WORST_SECONDS: Final = 60.0
"""So much patience is a health of 1, the worst."""

LOOP: Final = "loop"
BUS: Final = "bus"
HOSTS: Final = "hosts"
YOUNG_BUS: Final = "young_bus"


class Ill(NamedTuple):
    """One sign of illness. `seconds`: what it adds to each grace until `until`; `why`: it, in words."""

    what: str
    seconds: float
    until: float
    why: str


Ills = tuple[Ill, ...]


def of_loop(lag_seconds: float, at: float) -> Ill | None:
    if lag_seconds < LAG_SECONDS:
        return None
    why = f"the daemon's loop turns {lag_seconds:.1f} s late"
    return Ill(LOOP, LAG_FACTOR * lag_seconds, at + LASTS_SECONDS, why)


def of_bus(waited_seconds: float, at: float) -> Ill | None:
    if waited_seconds < WAITED_SECONDS:
        return None
    why = f"heartbeats are read {waited_seconds:.1f} s after they came"
    return Ill(BUS, WAITED_FACTOR * waited_seconds, at + LASTS_SECONDS, why)


def of_hosts(late: int, healthy: int, at: float) -> Ill | None:
    if late < LATE_HOSTS or late < LATE_SHARE * healthy:
        return None
    why = f"{late} of {healthy} healthy hosts are late at once"
    return Ill(HOSTS, LATE_SECONDS * late / healthy, at + LASTS_SECONDS, why)


def of_young_bus(connected_at: float) -> Ill:
    return Ill(YOUNG_BUS, YOUNG_STRETCH_SECONDS, connected_at + YOUNG_SECONDS, "the bus has just come back")


def replaced(ills: Ills, what: Iterable[str], by: Iterable[Ill | None], now: float) -> Ills:
    """Return what is still true, with the newest measurements `by` of these signs."""
    old = set(what)
    kept = (ill for ill in ills if ill.what not in old and now < ill.until)
    return (*kept, *(ill for ill in by if ill is not None))


def stretch_seconds(ills: Ills, now: float) -> float:
    return sum(ill.seconds for ill in ills if now < ill.until)


def score(seconds: float) -> float:
    """Return 0 for a daemon that is well, up to 1."""
    return min(seconds / WORST_SECONDS, 1.0)
