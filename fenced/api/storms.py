"""Storms: their shapes, and the requests about them."""

from fenced.api import bodies, shapes
from fenced.api.call import Call
from fenced.core.durable.fleet_state import StormEnding
from fenced.model.moments import Moment
from fenced.ports.control import StormView


class StormEnd(shapes.Shape):
    """How a storm ended: `over` (its hosts were heard), `released` by an operator, or `max` (its longest time passed).
    The domain is held until `cooldown_until`."""

    at: shapes.Time
    why: StormEnding
    by: str
    reason: str
    cooldown_until: shapes.Time


class Storm(shapes.Shape):
    """More hosts of a failure domain fell silent together than independent failures explain: no host of the domain is
    fenced automatically. `hosts`: those that were silent at its beginning; `silent`: those that are now. `common`: what
    else they have in common. `end`: null while it lasts."""

    id: str
    domain: str
    value: str
    since: shapes.Time
    hosts: list[str]
    common: list[str]
    silent: list[str]
    end: StormEnd | None


class Storms(shapes.Shape):
    """The storms that last, and the last one of each other domain."""

    items: list[Storm]
    next: str | None


async def listed(call: Call) -> Storms:
    """Storms: many hosts of a failure domain fell silent together, and are held."""
    found = sorted(call.control.fleet().storms, key=lambda view: (view.storm.end is not None, view.storm.since))
    return Storms(items=[shape(view) for view in found], next=None)


async def release(call: Call) -> None:
    """End a storm after you looked: its silent hosts are fenced like any other (409 if it does not last)."""
    body = call.given(bodies.ReleaseBody)
    storm_id = call.request.match_info["storm"]
    await call.of_shard(body.shard).release_storm(storm_id, by=call.principal.by(body.by), reason=body.reason)


def shape(given: StormView) -> Storm:
    """Return one storm."""
    it, end = given.storm, given.storm.end
    ended = None
    if end is not None:
        ended = StormEnd(
            at=Moment(end.at), why=end.why, by=end.by, reason=end.reason, cooldown_until=Moment(end.cooldown_until)
        )
    return Storm(
        id=it.id, domain=it.domain, value=it.value, since=Moment(it.since), hosts=list(it.hosts),
        common=list(it.common), silent=list(given.silent), end=ended,
    )  # fmt: skip
