"""The daemon's own condition: its bus, its lease, its lag, and what it knows of its proxies and gates.

Frozen: a decision puts a changed copy into the fleet, and a refused batch puts the old one back, except what it knows
of the lease, of closed gates and of other shards: the store that refuses a batch may have renewed the lease, a gate
stays closed meanwhile, and other shards have drawn what they have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fenced.core.durable.replacing import replace
from fenced.core.heard import own_health
from fenced.core.heard.checks import NOTHING
from fenced.core.heard.ear import Ear
from fenced.core.heard.others import Others
from fenced.core.heard.own_health import Ills
from fenced.model.names import ProxyName

NEWEST_FORMAT: Final = 3
"""The format of the store's texts in which every record can be written."""
STORMS_FORMAT: Final = 2
"""The first format that has records of storms."""
DECISIONS_FORMAT: Final = 3
"""The first format that has records of decisions."""
LEASE_MARGIN_SECONDS: Final = 1.0
"""No power command is sent in the last part of a lease (S20)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Times on the steady clock.

    `released_since`: when the last outage, or the start, ended: a host not heard since then was silent through it;
    `released_from`: when its `release_grace` starts. `lag_seconds`: added to each grace until `lag_until`, after a
    stall; `ills`: other signs that the daemon hears badly.
    `closed_since`: since when a gate is closed, by gate and cluster ("": the fleet). `proxy_faults`: proxies that can't
    be used even if their machine is well, and why. `observers`: proxies that may look at hosts; `untold`: those that
    have not said since the start whether they do. `store_doubt`: why this may be another store than the last one; "" if
    it is the same. `is_store_older`: it is the same, and lacks its newest records. `listening_recorded`: the listening
    time up to the last record of it. `format`: of the store's texts, as last read. `others`: what other shards have
    drawn from the fleet's budget. `decisions`: records of decisions made in this epoch.
    """

    ear: Ear = field(default_factory=Ear)
    bus_connected_at: float | None = None
    bus_lost_at: float | None = None
    released_since: float | None = None
    released_from: float = 0.0
    lag_until: float = 0.0
    lag_seconds: float = 0.0
    ills: Ills = ()
    lease_until: float = 0.0
    format: int = 1
    is_stopping: bool = False
    closed_since: Mapping[tuple[str, str], float] = field(default_factory=lambda: NOTHING)
    proxy_faults: Mapping[ProxyName, str] = field(default_factory=lambda: NOTHING)
    observers: frozenset[ProxyName] = frozenset()
    untold: frozenset[ProxyName] = frozenset()
    store_doubt: str = ""
    is_store_older: bool = False
    listening_recorded: float = 0.0
    others: Others = field(default_factory=Others)
    decisions: int = 0

    def stretch_seconds(self, now: float) -> float:
        """Return how much longer each grace is because the daemon itself is unwell. A stall is a late loop, too."""
        stalled = self.lag_seconds if now < self.lag_until else 0.0
        return max(stalled, own_health.stretch_seconds(self.ills, now))

    def stretched_until(self, now: float) -> float:
        """Return when that may change by itself."""
        ends = (self.lag_until, *(ill.until for ill in self.ills))
        return min((end for end in ends if now < end), default=now)

    def illness(self, now: float) -> str:
        """Return why each grace is longer, in words; "" if the daemon is well."""
        why = [ill.why for ill in self.ills if now < ill.until]
        if now < self.lag_until:
            why.append(f"the daemon stood still for {self.lag_seconds:.0f} s")
        return ", ".join(why)

    def undone(self, before: "Own") -> "Own":
        """Return `before` with the parts of this that stay when its batch is undone."""
        return replace(
            before, lease_until=self.lease_until, format=self.format, closed_since=self.closed_since, others=self.others
        )  # fmt: skip
