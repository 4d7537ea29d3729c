"""`GET controllers`, `POST controllers/hand-over`: shapes, body and handlers.

The engine decides whether a shard can be handed over. Never rename or remove a released field.
"""

from enum import Enum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from fenced.api import bodies
from fenced.api.call import Call
from fenced.api.shapes import Shape
from fenced.model.moments import rfc3339
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import ControllerView

StoreTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A wall time by the store's clock, in UTC with milliseconds."""


class ControllerState(Enum):
    """`offline`: it has not reported for a whole lease."""

    ACTIVE = "active"
    STANDBY = "standby"
    OFFLINE = "offline"


class Shard(Shape):
    """A shard that a controller holds, and since when."""

    shard: str
    epoch: int
    since: StoreTime


class Controller(Shape):
    """A controller that shares the store. `address`: the URL of its API for others, or "". `heard`: its last report.
    `lag`: records of the store that it has not followed yet. `unfit`: why another one should hold the lease."""

    name: str
    state: ControllerState
    shards: list[Shard]
    address: str
    version: str
    heard: StoreTime
    lag: int
    fit: bool
    unfit: list[str]


class Controllers(Shape):
    """All controllers, by name."""

    items: list[Controller]
    next: str | None


class HandOver(Shape):
    """A hand-over that has begun. `to` is null if any fit controller may take the shard."""

    shard: str
    to: str | None


class HandOverBody(bodies.ShardBody):
    """Give a shard to another controller. `to`: its name; empty: any fit one."""

    shard: bodies.ShardName = MAIN_SHARD
    to: Annotated[str, Field(max_length=bodies.SHARD_MAX, pattern=rf"{bodies.SHARD}|^$")] = ""
    reason: bodies.Reason


async def controllers(call: Call) -> Controllers:
    """The controllers that share the store, by name."""
    return Controllers(items=[shown(view) for view in await call.control.look_at_controllers()], next=None)


async def hand_over(call: Call) -> HandOver:
    """Give a shard to another controller, at a safe point."""
    body = call.given(HandOverBody)
    await call.control.hand_over(shard=body.shard, to=body.to, by=call.principal.by(body.by), reason=body.reason)
    return HandOver(shard=body.shard, to=body.to or None)


def shown(given: ControllerView) -> Controller:
    """Return a controller as the store knows it."""
    return Controller(
        name=given.report.name,
        state=_state(given),
        shards=[Shard(shard=held.shard, epoch=held.epoch, since=rfc3339(held.since)) for held in given.shards],
        address=given.report.address,
        version=given.report.version,
        heard=rfc3339(given.heard),
        lag=given.report.lag,
        fit=not given.report.unfit,
        unfit=list(given.report.unfit),
    )


def _state(given: ControllerView) -> ControllerState:
    if not given.is_alive:
        return ControllerState.OFFLINE
    return ControllerState.ACTIVE if given.shards else ControllerState.STANDBY
