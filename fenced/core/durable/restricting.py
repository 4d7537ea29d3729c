"""Words that any controller of a store may write, also one without the lease: each of them only restricts.

They wait in the store until the controller that holds the lease has folded them into its records. No type here lifts a
restriction, so no word can.
"""

from dataclasses import dataclass
from typing import Literal

from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class DisarmSaid:
    """An operator forbids every power command until the next `arm`."""

    by: str
    reason: str
    kind: Literal["disarm_said"] = "disarm_said"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSaid:
    """An operator pauses automatic fencing for the hosts that `match` selects. `seconds`: for how long, from when it
    was said; None: until an operator ends it. `id`: that of a pause of all shards; "": one of its own."""

    match: str
    by: str
    reason: str
    seconds: float | None = None
    id: str = ""
    kind: Literal["pause_said"] = "pause_said"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSaid:
    """An operator sets a host's maintenance. `seconds`: as at PauseSaid."""

    host: HostName
    by: str
    reason: str
    seconds: float | None = None
    kind: Literal["maintenance_said"] = "maintenance_said"


Restriction = DisarmSaid | PauseSaid | MaintenanceSaid


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an operator said. `key`, `content`: as at an event `Keyed`; "" without a key."""

    what: Restriction
    key: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word in the store that no record holds yet. `number`: unlike any other's, in no order. `id`: the same in every
    shard. `age_seconds`: how long ago it was said, by the store's clock."""

    number: int
    id: str
    said: Said
    age_seconds: float = 0.0
