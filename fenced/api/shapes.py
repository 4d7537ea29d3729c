"""Answers: one pydantic model per JSON object of interface.md#http. The OpenAPI document is built from them.

They know nothing of the core; `views` fills them. Never rename or remove a released field.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, SerializationInfo, WithJsonSchema

from fenced.core.durable.state import DrillResult, DrillStep, FenceableLevel, Phase, Restored
from fenced.model.moments import Moment, Wall, as_steady, rfc3339
from fenced.model.power import Action, Cause, Kind, OperationState, Outcome, Power, Proof, State, Verdict, What


def _as_text(moment: Moment, info: SerializationInfo) -> str:
    """Convert a moment with `wall` of the serialization context."""
    wall: Wall = (info.context or {}).get("wall", as_steady)
    return rfc3339(wall(moment.at))


Time = Annotated[
    Moment, PlainSerializer(_as_text, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment, shown as a UTC time with milliseconds."""
Milliseconds = Annotated[int, Field(description="Milliseconds from the operation's start")]


class Shape(BaseModel):
    """One JSON object of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RaceEntry(Shape):
    """One candidate of a proxy race. `tier` counts from 1; a null time never happened. `power`: what it read."""

    proxy: str
    tier: int
    verdict: Verdict
    started_ms: Milliseconds | None
    ended_ms: Milliseconds | None
    error: str | None
    power: Power | None = None


class Excluded(Shape):
    """A candidate that was left out of the race, and why."""

    proxy: str
    why: str


class Step(Shape):
    """One step on one device; `outcome` is null while it runs."""

    what: What
    proxy: str
    started_ms: Milliseconds
    ended_ms: Milliseconds | None
    outcome: Outcome | None
    error: str | None


class Device(Shape):
    """One device of the operation. `already`: it had the requested power before any command of this operation.
    `cuts_power`: only an operator's configuration vouches that its OFF cuts the host's power; false: the agent was
    reviewed, or the driver is built in."""

    name: str
    level: int
    power: Power
    already: bool
    cuts_power: bool
    race: list[RaceEntry]
    excluded: list[Excluded]
    steps: list[Step]


class Result(Shape):
    """What the operation has achieved so far; final once its state is not `running`."""

    power: Power
    fenced: bool
    proof: Proof | None
    level: int | None
    restored: Restored


class Gate(Shape):
    """The verdict of one gate, and its reason. `margin`: how far it is from changing. `opens_when`: what opens it while
    it is closed."""

    gate: str
    open: bool
    why: str
    margin: str | None
    opens_when: str


class Operation(Shape):
    """One attempt to change or read one host's power. `token`: of its last command. `error`: why it did not do all that
    was requested. `known` and `gates`: the record of the daemon's decision, if the daemon started it."""

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
    drill: bool


class Host(Shape):
    """A host now. `operation`: the running one, or else the last one. `misnamed`: names on the bus that nearly match
    the host's; messages under them are dropped. `drill`: a spare host for drills; `last_drill`: the one under
    way, or else the last one; `drilled`: when one last succeeded."""

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
    drill: bool
    last_drill: "Drill | None"
    drilled: Time | None


class Drill(Shape):
    """A drill. `ended` and `result` are null while it is under way. `step`: the first step that was not proven; null:
    all were."""

    operation: str
    by: str
    reason: str
    started: Time
    ended: Time | None
    result: DrillResult | None
    step: DrillStep | None
    why: str
    steps: "DrillSteps"


class DrillSteps(Shape):
    """When each step was proven, in milliseconds since the start; null: it was not."""

    off: int | None
    silent: int | None
    announced: int | None
    on: int | None
    heard: int | None


class Missing(Shape):
    """What a device lacks (null: what the host lacks); `text` names the proxy and the error."""

    device: str | None
    reason: str
    text: str


class Fenceable(Shape):
    """Whether the host could be fenced now: `full`, `degraded`, `none`, or `unknown` (devices not read)."""

    level: FenceableLevel
    since: Time
    why: list[Missing]


class Maintenance(Shape):
    """Who put the host into maintenance, why, and until when (null: until an operator ends it)."""

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
    """One record of the journal. `facts`: the fields of its kind."""

    sequence: int
    at: Time
    kind: str
    facts: dict[str, Time | JsonValue]


class Explanation(Shape):
    """Why a host is as it is: each gate now, what is known, the plan, and the records, newest first. `summary`: the
    answer in at most ten lines for a person. `decision`: the id of the last decision about it."""

    host: Host
    decision: str | None
    summary: list[str]
    gates: list[Gate]
    known: dict[str, Time | JsonValue]
    plan: list[dict[str, JsonValue]]
    devices: list[ConfiguredDevice]
    records: list[JournalRecord]


class Accepted(Shape):
    """The operation that was started or joined; an equal request gets the same id."""

    operation: str
    warnings: list[str]


class Proxy(Shape):
    """A proxy, with its last answer. `up` is null until it has been probed; `barred`: why no host may use it;
    `looks_at`, `look_ports`: what its own file lets it look at for the daemon, empty: it is no observer;
    `reload_refused`: why it goes on with its old configuration."""

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
    looks_at: list[str]
    look_ports: list[int]
    reload_refused: str | None


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


class FleetShard(Shape):
    """A shard of the fleet, as this controller knows it. `active`: it holds it; `epoch` is 0 where it does not."""

    shard: str
    armed: bool
    active: bool
    standby: bool
    epoch: int
    quiet: bool
    store_held: str | None = None


class Fleet(Shape):
    """The daemon now. `standby`: it follows the controllers that act, and changes nothing. `unfit`: why another
    controller should act. `holders`: who acts, by shard. With several shards it is `armed` if all are, and `active` if
    it holds one; `epoch` is the highest. `shards`: each of them, by name."""

    name: str
    site: str
    armed: bool
    armed_by_file: bool
    active: bool
    epoch: int
    bus_connected: bool
    quiet: bool
    store_held: str | None = None
    standby: bool
    fit: bool
    unfit: list[str]
    holders: dict[str, str]
    shards: list[FleetShard]


class Health(Shape):
    """The event loop runs."""

    status: str


class Readiness(Shape):
    """`ready`: the configuration is loaded, the journal replayed, the bus connected and subscribed. A standby that
    follows is ready, too: it serves every read. `not_ready`: what is missing.

    `warnings`: other faults: hosts whose messages the broker rejects, another client under the daemon's name at the
    broker, a rejected reload."""

    ready: bool
    not_ready: list[str]
    warnings: list[str]
    daemon: Fleet


class Reloaded(Shape):
    """A configuration that is in force. `changes`: one line each; `restart`: changed keys whose old value stays until a
    restart."""

    changes: list[str]
    warnings: list[str]
    restart: list[str]


class Fault(Shape):
    """One fault of a request. `path`: the field; empty for the whole body. `reason`: what is wrong."""

    path: str
    reason: str


class NotObeyed(Shape):
    """A shard that did not obey a request to all, and why. `active`: the URL of the controller that holds it; null if
    none is known, or this one does."""

    shard: str
    why: str
    active: str | None


class Problem(BaseModel):
    """RFC 9457. `rule`: the rule that refused; `errors`: every fault of the request. `active`, with the rule `standby`:
    the URL of the controller that accepts the request; null if none is known. `shards`, with the rule
    `shards`: those that did not obey; the others did."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    rule: str | None = None
    errors: list[Fault] | None = None
    active: str | None = None
    shards: list[NotObeyed] | None = None
