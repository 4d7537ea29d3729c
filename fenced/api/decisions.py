"""Decision records: their shapes, and the request that lists those of a host."""

from typing import Final

from fenced.api import bodies, shapes
from fenced.api.call import Call
from fenced.api.choosing import Past, past
from fenced.core.decided.lines import lines
from fenced.core.durable.decision import Plan, Ruling, ShutGate
from fenced.model.moments import Moment
from fenced.model.power import Action
from fenced.ports.decisions import RecordedDecision

MILLISECOND: Final = 0.001
"""Times are shown in milliseconds: a decision is found with the time that was shown for it."""


class DecisionsQuery(bodies.PageQuery):
    """Which decisions. `before`: only those up to that moment."""

    before: Past | None = None


class Input(shapes.Shape):
    """Something that was known. `age`: seconds since it was learned. `source`: who said it, "" for the daemon."""

    what: str
    value: str
    age: float | None
    source: str


class Confirmation(shapes.Shape):
    """What one observer saw of the host over one network. `control`: it reached a control over the same network, so
    that its "silent" counts."""

    observer: str
    domain: str
    network: str
    target: str
    answer: str
    control: bool
    milliseconds: float | None


class DecidedGate(shapes.Shape):
    """A gate as it was. `margin`: how far it was from changing. `opens_when`: what opens it, if it was closed."""

    gate: str
    open: bool
    why: str
    margin: str | None
    opens_when: str | None


class PlannedDevice(shapes.Shape):
    """A device of the plan. `through`: the first proxies that could reach it; `more`: how many others could."""

    device: str
    level: int
    driver: str
    through: list[str]
    more: int


class DecidedPlan(shapes.Shape):
    """What a fence would have done, level by level."""

    action: Action
    devices: list[PlannedDevice]


class Decision(shapes.Shape):
    """Why a host was, was not, or would have been fenced, as it was known then. Closed gates come first. `policy`: the
    digest of the configuration in force. `operation`: what began. `summary`: the record in at most ten lines."""

    id: str
    at: shapes.Time
    host: str
    outcome: Ruling
    summary: list[str]
    inputs: list[Input]
    confirm: list[Confirmation]
    gates: list[DecidedGate]
    policy: str
    plan: DecidedPlan | None
    operation: str | None


class DecisionList(shapes.Shape):
    """Decisions about a host, newest first."""

    items: list[Decision]
    next: str | None


async def listed(call: Call) -> DecisionList:
    """Why a host was, or was not, fenced: a record for each change of the outcome or of its closed gates, newest
    first."""
    query = call.asked(DecisionsQuery)
    before = past(call, "before", query.before)
    page = await call.control.decisions(
        call.host, before=None if before is None else before + MILLISECOND, limit=query.limit, after=query.after
    )
    return DecisionList(items=[shape(item) for item in page.items], next=page.next)


def shape(given: RecordedDecision) -> Decision:
    it = given.record
    return Decision(
        id=it.id,
        at=Moment(given.at),
        host=given.host,
        outcome=it.outcome,
        summary=list(lines(given.host, it)),
        inputs=[Input(what=one.what, value=one.value, age=one.age, source=one.source) for one in it.inputs],
        confirm=[
            Confirmation(
                observer=one.observer, domain=one.domain, network=one.network, target=one.target, answer=one.answer,
                control=one.control, milliseconds=one.milliseconds,
            )
            for one in it.confirm
        ],
        gates=[
            *map(_shut, it.shut),
            *(
                DecidedGate(gate=one.gate, open=True, why=one.why, margin=one.margin or None, opens_when=None)
                for one in it.opened
            ),
        ],
        policy=it.policy,
        plan=None if it.plan is None else _plan(it.plan),
        operation=it.operation,
    )  # fmt: skip


def _shut(given: ShutGate) -> DecidedGate:
    return DecidedGate(
        gate=given.gate, open=False, why=given.why, margin=given.margin or None, opens_when=given.opens_when or None
    )


def _plan(given: Plan) -> DecidedPlan:
    return DecidedPlan(
        action=given.action,
        devices=[
            PlannedDevice(
                device=one.name, level=one.level, driver=one.driver, through=list(one.through), more=one.more
            )
            for one in given.devices
        ],
    )  # fmt: skip
