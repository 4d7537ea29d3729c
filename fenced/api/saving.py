"""Power saving: its shapes, and the requests about it. Never rename or remove a released field."""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from fenced.api import bodies
from fenced.api.call import Call
from fenced.api.shapes import Shape, Time
from fenced.core.idle.fit import Bar as CoreBar
from fenced.core.idle.told import ClusterSaving
from fenced.core.idle.told import Sleeper as CoreSleeper
from fenced.model.moments import Moment
from fenced.model.power import State

HOURS: Final = 3600.0
CLUSTER_MAX: Final = 253
HOSTS_MAX: Final = 10_000


class Counts(Shape):
    """The hosts of a cluster. `on`: awake and heard; `idle`: of these, without work; `asleep`: put to sleep and not
    heard since, with those on their way up (`coming`); `lost`: fenced, failed or being fenced."""

    hosts: int
    on: int
    idle: int
    asleep: int
    coming: int
    lost: int


class Sleeper(Shape):
    """A host that was put to sleep. `state`: `sleeping`; `restoring` on its way up; any other one: it was to wake and
    did not come. `wanted_by`, `why`: who wants it awake; null: nobody yet. `operation`: the one that runs, or null."""

    host: str
    state: State
    since: Time
    wanted_by: str | None
    why: str | None
    operation: str | None


class Bar(Shape):
    """One thing that keeps a host awake: its rule, and what is so."""

    rule: str
    why: str


class Awake(Shape):
    """A host that does not sleep, and the first things that keep it awake. `operation`: the one that is putting it to
    sleep, or null."""

    host: str
    state: State
    bars: list[Bar]
    operation: str | None


class Cluster(Shape):
    """What saving does in a cluster. `reserve`: idle hosts that stay on; `short`: how many of them it lacks and can't
    wake. `saved_host_hours`: that its hosts have slept. `others` is empty where saving is not enabled."""

    cluster: str
    enabled: bool
    counts: Counts
    reserve: int
    short: int
    saved_host_hours: float
    sleepers: list[Sleeper]
    others: list[Awake]


class Saving(Shape):
    """Power saving, cluster by cluster."""

    items: list[Cluster]
    next: str | None


class SavingQuery(bodies.Query):
    """Which cluster; none: all."""

    cluster: Annotated[str, Field(min_length=1, max_length=CLUSTER_MAX)] | None = None


def _whole(value: object) -> object:
    """Take 2.0 for 2, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class WakeBody(bodies.ByBody):
    """Wake `hosts` more hosts of a cluster."""

    cluster: Annotated[str, Field(min_length=1, max_length=CLUSTER_MAX)]
    hosts: Annotated[int, Field(ge=1, le=HOSTS_MAX), BeforeValidator(_whole)] = 1
    reason: bodies.Reason


class Woken(Shape):
    """The hosts that are woken, and how many more were requested and can't be. They are switched on as pacing
    allows."""

    hosts: list[str]
    short: int
    warnings: list[str]


async def listed(call: Call) -> Saving:
    """What power saving does in each cluster: who sleeps, and what keeps the others awake."""
    query = call.asked(SavingQuery)
    found = await call.control.saving(cluster=query.cluster)
    return Saving(items=[_cluster(one) for one in found], next=None)


async def wake(call: Call) -> Woken:
    """Wake some more hosts of a cluster, also while disarmed or paused."""
    body = call.given(WakeBody)
    answer = await call.control.wake(body.cluster, body.hosts, by=call.principal.by(body.by), reason=body.reason)
    return Woken(hosts=[*answer.hosts], short=answer.short, warnings=[*answer.warnings, *call.warnings])


def _cluster(given: ClusterSaving) -> Cluster:
    count = given.count
    counts = Counts(
        hosts=count.size, on=count.on, idle=len(count.idle), asleep=len(count.asleep), coming=len(count.coming),
        lost=len(count.lost),
    )  # fmt: skip
    others = [
        Awake(host=one.host, state=one.state, bars=[_bar(bar) for bar in one.bars], operation=one.operation)
        for one in given.others
    ]
    return Cluster(
        cluster=given.cluster, enabled=given.is_enabled, counts=counts, reserve=given.reserve, short=given.short,
        saved_host_hours=round(given.saved_seconds / HOURS, 3),
        sleepers=[_sleeper(one) for one in given.sleepers], others=others,
    )  # fmt: skip


def _sleeper(given: CoreSleeper) -> Sleeper:
    return Sleeper(
        host=given.host, state=given.state, since=Moment(given.since), wanted_by=given.wanted_by or None,
        why=given.why or None, operation=given.operation,
    )  # fmt: skip


def _bar(given: CoreBar) -> Bar:
    return Bar(rule=given.rule, why=given.why)
