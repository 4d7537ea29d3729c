"""The parts of a decision record: what was known, what observers saw, each gate, and what a fence would switch.

Frozen when the decision is recorded: nothing of it is worked out again later. Texts are for a person; the record's
`Entry` has the host and the moment.
"""

from dataclasses import dataclass
from enum import Enum

from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Action


class Ruling(Enum):
    """The outcome of a decision about one host. WOULD_FENCE: only `armed` holds it."""

    FENCE = "fence"
    HOLD = "hold"
    RECOVER = "recover"
    REFUSE = "refuse"
    WOULD_FENCE = "would_fence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that was known. `age`: seconds since it was learned; None: it was true at that moment, or its age is
    not known. `source`: who said it, "" for the daemon itself."""

    what: str
    value: str
    age: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What one observer saw of the host over one network. `control`: it reached a control over the same network."""

    observer: str
    domain: str
    network: str
    target: str
    answer: str
    control: bool
    milliseconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate that held nothing. `margin`: how far it was from closing; "": nothing can be said."""

    gate: str
    why: str
    margin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutGate:
    """A gate that held the host. `margin`: how far it was from opening; "": nothing can be said."""

    gate: str
    why: str
    opens_when: str
    margin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDevice:
    """A device of the plan. `through`: the first proxies that could reach it, in order of preference; `more`: how many
    others could."""

    name: DeviceName
    level: int
    driver: str
    through: tuple[ProxyName, ...]
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a fence would do: `action` to the devices, level by level."""

    action: Action
    devices: tuple[PlannedDevice, ...]
