"""What the API answers: one model per JSON object of INTERFACE section 4. The OpenAPI document is made from them.

Knows nothing of the core; `views` fills them. One rule: a field that was released is never renamed or removed.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, SerializationInfo, WithJsonSchema

from fenced.core.durable.state import FenceableLevel, Phase, Restored
from fenced.model.moments import Moment, Wall, as_steady, rfc3339
from fenced.model.power import Action, Cause, Kind, OperationState, Outcome, Power, Proof, State, Verdict, What


def _told(moment: Moment, info: SerializationInfo) -> str:
    """`wall` of the context says how moments are told."""
    wall: Wall = (info.context or {}).get("wall", as_steady)
    return rfc3339(wall(moment.at))


Time = Annotated[
    Moment, PlainSerializer(_told, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment, told as a time in UTC with milliseconds."""
Milliseconds = Annotated[int, Field(description="Milliseconds from the operation's start")]


class Shape(BaseModel):
    """One JSON object of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RaceEntry(Shape):
    """One candidate of a proxy race. `tier` counts from 1; null where it did not happen. `power`: what it read."""

    proxy: str
    tier: int
    verdict: Verdict
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    error: str | None
    power: Power | None = None


class Excluded(Shape):
    """A candidate that was left out, and why."""

    proxy: str
    why: str


class Step(Shape):
    """One act on one device; `outcome` null: still running."""

    what: What
    proxy: str
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    outcome: Outcome | None
    error: str | None


class Device(Shape):
    """One device within the operation. `already`: it was as asked before any command of this operation. `cuts_power`: that
    its OFF cuts the host's power is a person's word; false: it was reviewed, or is a driver of our own."""

    name: str
    level: int
    power: Power
    already: bool
    cuts_power: bool
    race: list[RaceEntry]
    excluded: list[Excluded]
    steps: list[Step]


class Result(Shape):
    """What the operation achieved so far; final once its state is not `running`."""

    power: Power
    fenced: bool
    proof: Proof | None
    level: int | None
    restored: Restored


class Gate(Shape):
    """One gate's word now, with its reason."""

    gate: str
    open: bool
    why: str


class Operation(Shape):
    """One attempt to change or read one host's power. `token` is that of its last command; `error` why it did not do
    all that was asked; `known` and `gates` are the decision record of an operation that we decided ourselves."""

    id: str
    host: str
    action: Action
    state: OperationState
    cause: Cause
    by: str
    reason: str
    joined: list[str]
    started: Time
    ended: Time | None
    token: str | None
    result: Result
    devices: list[Device]
    phase: Phase
    deadline: Time
    level: int | None
    error: str | None
    known: list[str]
    gates: list[Gate]


class Host(Shape):
    """A host now. `operation`: the one under way, else the last one. `misnamed`: names on the bus that are nearly its own;
    what arrives under them is dropped."""

    name: str
    cluster: str
    datacenter: str
    state: State
    since: Time | None
    power: dict[str, Power]
    last_heard: Time | None
    operation: str | None
    held_by: list[str]
    maintenance: "Maintenance | None"
    paused: bool
    stay_off: bool
    fenceable: "Fenceable | None"
    misnamed: list[str]


class Missing(Shape):
    """What is missing at a device (null: at the host); `text` says through which proxy, and what the error was."""

    device: str | None
    reason: str
    text: str


class Fenceable(Shape):
    """Whether the host could be fenced now: `full`, `degraded`, `none`, or `unknown` where its devices were not read."""

    level: FenceableLevel
    since: Time
    why: list[Missing]


class Maintenance(Shape):
    """Who asked to leave the host alone, why, and until when (null: until a person ends it)."""

    by: str
    reason: str
    since: Time
    until: Time | None


class Hosts(Shape):
    """One page of hosts, by name."""

    items: list[Host]
    next: str | None


class Operations(Shape):
    """One page of operations, newest first."""

    items: list[Operation]
    next: str | None


class ConfiguredDevice(Shape):
    """A power device as configured."""

    name: str
    kind: Kind
    level: int
    driver: str
    address: str
    proxies: list[str]


class JournalRecord(Shape):
    """One record of the journal. `facts` are its own fields."""

    sequence: int
    at: Time
    kind: str
    facts: dict[str, Time | JsonValue]


class Explanation(Shape):
    """Why a host is as it is: each gate now, what is known, what would be done, the newest records first."""

    host: Host
    gates: list[Gate]
    known: dict[str, Time | JsonValue]
    plan: list[dict[str, JsonValue]]
    devices: list[ConfiguredDevice]
    records: list[JournalRecord]


class Accepted(Shape):
    """The operation that was started or joined: an equal request gets the same id."""

    operation: str
    warnings: list[str]


class Proxy(Shape):
    """A proxy as it answered last. `up` is null until it was asked; `barred`: why it is no candidate for any host."""

    name: str
    url: str
    up: bool | None
    answered: Time | None
    round_trip_seconds: float | None
    version: str
    in_flight: int
    capacity: int
    drivers: list[str]
    error: str | None
    barred: str | None


class Proxies(Shape):
    """All proxies, by name."""

    items: list[Proxy]
    next: str | None


class Pause(Shape):
    """Automatic fencing is paused for the hosts that `match` selects."""

    id: str
    match: str
    by: str
    reason: str
    since: Time
    until: Time | None


class Pauses(Shape):
    """All pauses."""

    items: list[Pause]
    next: str | None


class Fleet(Shape):
    """The daemon now."""

    name: str
    site: str
    armed: bool
    armed_by_file: bool
    active: bool
    epoch: int
    bus_connected: bool
    quiet: bool
    store_held: str | None = None


class Health(Shape):
    """The loop turns."""

    status: str


class Readiness(Shape):
    """Ready: configuration taken, journal replayed, bus connected and subscribed. `not_ready`: what is missing.

    `warnings`: what is wrong beside that: hosts whose messages the broker does not take, another client under our
    name at the broker, a refused reload."""

    ready: bool
    not_ready: list[str]
    warnings: list[str]
    daemon: Fleet


class Fault(Shape):
    """One fault of a request: where (`path` of the field, empty for the whole body) and what is wrong."""

    path: str
    reason: str


class Problem(BaseModel):
    """RFC 9457. `rule`: the rule that refused; `errors`: every fault of the request."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    rule: str | None = None
    errors: list[Fault] | None = None
