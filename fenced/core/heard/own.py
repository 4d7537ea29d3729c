"""The daemon's own condition: its bus, its lease, its lag, and what it knows of its proxies and gates.

Frozen: a decision puts a changed copy into the fleet, and a rejected batch puts the old one back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fenced.core.heard.checks import NOTHING
from fenced.core.heard.ear import Ear
from fenced.model.names import ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Times on the steady clock.

    `released_since`: when the last outage, or the start, ended: a host not heard since then was silent through it;
    `released_from`: when its `release_grace` starts. `lag_seconds`: added to each grace until `lag_until`.
    `closed_since`: since when a gate is closed, by gate and cluster ("": the fleet). `proxy_faults`: proxies that can't
    be used even if their machine is well, and why. `store_doubt`: why this may be another store than the last one; ""
    if it is the same.
    """

    ear: Ear = field(default_factory=Ear)
    bus_connected_at: float | None = None
    bus_lost_at: float | None = None
    released_since: float | None = None
    released_from: float = 0.0
    lag_until: float = 0.0
    lag_seconds: float = 0.0
    lease_until: float = 0.0
    is_stopping: bool = False
    closed_since: Mapping[tuple[str, str], float] = field(default_factory=lambda: NOTHING)
    proxy_faults: Mapping[ProxyName, str] = field(default_factory=lambda: NOTHING)
    store_doubt: str = ""
