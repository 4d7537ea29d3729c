"""Decides when a controller may take a lease (S20): pure rules over the rows that it looked at.

A released lease is free. One that was not released is over when the database's clock says so and its row did not change
for a whole lease on this machine's clock: either clock alone may jump. A lease that seems to last longer than it was
given for was renewed before the database's clock went back, and that clock may need hours to say that it is over. Then
this machine's clock decides. After a promotion of a standby database (S22) the row may be an older one than the holder
left. Then its release, its place and its time count no more: it must not change for a whole lease on the new timeline.
`leases` reads the rows.
"""

from typing import Final, Literal

from fenced.journal.leases import LeaseRow

HAND_OVER_SECONDS: Final = 5.0
"""How long a released lease waits for the controller that is to have it. A standby looks twice a second, so five
seconds are ten looks; after that it is dead or cut off, and a shard that nobody holds fences nothing."""
LEASE_SECONDS_MAX: Final = 600.0
"""The longest `lease_ttl` that a configuration may have."""


def is_own(row: LeaseRow | None, *, place: str, newest_epoch: int) -> bool:
    """Return whether only earlier starts in this place can have commands under way.

    `place`: as at LeaseWatch; "" if no other machine can reach the store. `newest_epoch`: that of the newest record, 0
    without one. A start that took the lease and decided nothing under it may have taken it from another controller,
    whose commands it never recorded as acting.
    """
    if row is None or row.is_of_nobody:
        return True
    return row.place == place and (not place or newest_epoch in {0, row.epoch})


class LeaseWatch:
    """Remembers since when the row of a lease did not change. `place`: this state directory in this boot."""

    def __init__(self, *, place: str, lease_seconds: float) -> None:
        self._place, self._lease_seconds = place, lease_seconds
        self._row: LeaseRow | None = None
        self._since = 0.0

    def saw(self, row: LeaseRow | None, *, at: float) -> None:
        """Note a row. `at`: when its answer had come, on a clock that goes on while the machine sleeps."""
        if row != self._row:
            self._row, self._since = row, at

    def may_take(self, row: LeaseRow | None, *, name: str, at: float, patience_seconds: float) -> bool:
        """Return whether the controller of that name may take the lease. `at`: before the row was requested."""
        if row is None or row.is_of_nobody:
            return True
        unchanged = max(at - self._since, 0.0) if row == self._row else 0.0
        if row.is_promoted:
            return unchanged >= self._lease_seconds + patience_seconds
        if row.is_released:
            patience = 0.0 if row.released_to == name else patience_seconds  # who is named was chosen
            return unchanged >= patience and self._may_take_released(row, name, unchanged)
        if row.place == self._place:
            return True  # the lock file shows that the holder is dead
        seconds = self._lease_seconds
        if not row.is_over:
            given = min(LEASE_SECONDS_MAX, row.ttl_seconds)  # in this order: NaN counts as the longest
            if row.rest_seconds <= given:
                return False
            seconds = max(given, seconds)  # the holder's, which may differ from ours
        return unchanged >= seconds + patience_seconds

    def _may_take_released(self, row: LeaseRow, name: str, unchanged: float) -> bool:
        """Either clock may end the wait for another controller: nobody holds the lease, so a jump does no harm."""
        released = row.released_seconds
        waited = float("inf") if released is None else max(released, unchanged)
        if row.released_by and row.released_by == self._place:
            return waited >= self._lease_seconds
        return row.released_to in {"", name} or waited >= HAND_OVER_SECONDS


def reason(row: LeaseRow | None, place: str) -> Literal["start", "released", "handed_over", "expired"]:
    """Return how the lease that is taken now ended. `place`: the taker's."""
    if row is None or row.is_of_nobody or row.place == place:
        return "start"
    if row.is_released:
        return "handed_over" if row.released_by else "released"
    return "expired"
