"""Decision records for tests of the API, and their pages."""

from collections.abc import Iterator, Sequence

from fenced.core.durable.decision import Confirmation, Fact, OpenGate, Plan, PlannedDevice, Ruling, ShutGate
from fenced.core.durable.records import Decided
from fenced.model.names import DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Action
from fenced.ports.control import BadCursor
from fenced.ports.decisions import DecisionPage, RecordedDecision

NODE = HostName("node-1")
FIRST_AT = 1_000_000.0
"""When the first one was decided; each later one comes a minute after it."""


def samples() -> Iterator[RecordedDecision]:
    """Yield a hold, the fence after it, and a refused request."""
    known = (
        Fact(what="last heartbeat", value="boot b1, sequence 12", age=25.0, source="its reporter"),
        Fact(what="grace", value="20.0 s"),
        Fact(what="suspected", value="not heard for 20.0 s of listening", age=5.0, source="silence"),
    )
    seen = Confirmation(
        observer="engine", domain="", network="", target="10.0.0.2", answer="silent", control=False, milliseconds=None
    )
    device = PlannedDevice(name=DeviceName("pdu-a"), level=1, driver="fence_apc", through=(ProxyName("px1"),), more=2)
    plan = Plan(action=Action.RESTART, devices=(device,))
    shut = ShutGate(gate="paused", why="paused by ann: switch work", opens_when="its time is over", margin="")
    near = OpenGate(gate="connectivity", why="1 of 4 hosts of the cluster are overdue", margin="3 more overdue")
    asked = (Fact(what="request", value="off: test", source="ann"), Fact(what="rule", value="alive: it is heard"))
    records = (
        Decided(
            id="d-1-1", outcome=Ruling.HOLD, inputs=known, confirm=(seen,), shut=(shut,), opened=(near,),
            policy="abc", plan=plan,
        ),
        Decided(
            id="d-1-2", outcome=Ruling.FENCE, inputs=known, confirm=(seen,), shut=(), opened=(near,), policy="abc",
            plan=plan, operation=OperationId("1-5"),
        ),
        Decided(id="d-1-3", outcome=Ruling.REFUSE, inputs=asked, confirm=(), shut=(), opened=(), policy="abc"),
    )  # fmt: skip
    for number, record in enumerate(records):
        yield RecordedDecision(at=FIRST_AT + 60.0 * number, host=NODE, record=record)


def page_of(
    given: Sequence[RecordedDecision], host: HostName, *, before: float | None, limit: int, after: str | None
) -> DecisionPage:
    """Return a page of those of one host, newest first. Raises BadCursor."""
    if after is not None and not after.isdecimal():
        raise BadCursor
    found = [one for one in reversed(given) if one.host == host and (before is None or one.at < before)]
    begin = 0 if after is None else int(after)
    page = tuple(found[begin : begin + limit])
    return DecisionPage(items=page, next=str(begin + limit) if begin + limit < len(found) else None)
