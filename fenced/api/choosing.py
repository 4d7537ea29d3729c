"""The filters of the lists of hosts and operations: their queries, and what each asks of the engine.

A filter that is wrong is a 422 that names it, never an empty list: the reader would take it for an answer.
"""

from typing import Annotated, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from fenced.api import bodies, shapes
from fenced.api.call import Call
from fenced.api.problems import unprocessable
from fenced.api.times import parse_past
from fenced.core.allowed import match as selection
from fenced.core.allowed.catalogue import GATES
from fenced.core.durable.state import FenceableLevel
from fenced.model.names import HostName
from fenced.model.power import Action, Cause, OperationState, State
from fenced.ports.hosts import HostsLike, OperationsLike

MANY_MAX: Final = 32
"""Values of one filter."""
LABEL: Final = rf"^{selection.LABEL_KEY.pattern}=[^,]+$"
AGO: Final = "^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"
"""A duration."""
PAST_MAX: Final = 64
_PAST_TEXT: Final = {
    "anyOf": [{"type": "string", "minLength": 1, "pattern": AGO}, {"type": "string", "format": "date-time"}],
    "description": "RFC 3339 time with offset, or a duration such as 10m: that long ago",
}

T = TypeVar("T")
Past = Annotated[str, Field(min_length=1, max_length=PAST_MAX), WithJsonSchema(_PAST_TEXT)]
Many = Annotated[tuple[T, ...], Field(max_length=MANY_MAX)]
Place = Annotated[str, Field(min_length=1, max_length=253)]


def _word(value: object) -> object:
    """Take `true` and `false` alone, not the many spellings that pydantic knows."""
    words = {"true": True, "false": False, True: True, False: False}
    if not isinstance(value, str | bool) or value not in words:
        raise ValueError("use true or false")
    return words[value]


YesNo = Annotated[bool, BeforeValidator(_word)]


def _gate(name: str) -> str:
    if name not in GATES:
        raise ValueError(f"no gate {name[:64]!r}; there are {', '.join(sorted(GATES))}")
    return name


Gate = Annotated[str, AfterValidator(_gate), WithJsonSchema({"type": "string", "enum": sorted(GATES)})]


class HostsQuery(bodies.PageQuery):
    """Which hosts: those for which every given filter holds; of a filter with several values, one of them.

    `label`: KEY=VALUE, all of them. `name`: a part of the name, in any case. `held`: by one of these gates."""

    MANY: ClassVar[frozenset[str]] = frozenset({"state", "label", "held", "fenceable"})

    after: bodies.AfterName | None = None
    state: Many[State] = ()
    cluster: Annotated[str, Field(max_length=253)] | None = None
    datacenter: Place | None = None
    rack: Place | None = None
    label: Many[Annotated[str, Field(max_length=bodies.TEXT_MAX, pattern=LABEL)]] = ()
    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    held: Many[Gate] = ()
    fenceable: Many[FenceableLevel] = ()
    paused: YesNo | None = None
    maintenance: YesNo | None = None
    stay_off: YesNo | None = None

    @property
    def like(self) -> HostsLike:
        """What the chosen hosts have in common. A label that is given twice with two values chooses none."""
        return HostsLike(
            states=frozenset(self.state), cluster=self.cluster, datacenter=self.datacenter, rack=self.rack,
            labels=frozenset((key, value) for key, _, value in (label.partition("=") for label in self.label)),
            name=self.name or "", held=frozenset(self.held), fenceable=frozenset(self.fenceable),
            is_paused=self.paused, is_maintained=self.maintenance, is_stay_off=self.stay_off,
        )  # fmt: skip


class OperationsQuery(bodies.PageQuery):
    """Which operations, by the same rules. `since`, `until`: when they were started."""

    MANY: ClassVar[frozenset[str]] = frozenset({"state", "action", "cause"})

    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    host: Annotated[str, Field(max_length=253)] | None = None
    state: Many[OperationState] = ()
    action: Many[Action] = ()
    cause: Many[Cause] = ()
    since: Past | None = None
    until: Past | None = None


def operations_like(call: Call) -> OperationsLike:
    """Return what the chosen operations have in common. Raises Rejection (422)."""
    query = call.asked(OperationsQuery)
    return OperationsLike(
        host=None if query.host is None else HostName(query.host),
        states=frozenset(query.state),
        actions=frozenset(query.action),
        causes=frozenset(query.cause),
        since=past(call, "since", query.since),
        until=past(call, "until", query.until),
    )


def past(call: Call, name: str, text: str | None) -> float | None:
    """Return the moment that a filter means, on the steady clock. Raises Rejection (422)."""
    if text is None:
        return None
    try:
        return parse_past(text, call.services.clock.now(), call.services.ahead_seconds(), call.services.wall)
    except ValueError as exc:
        raise unprocessable(shapes.Fault(path=name, reason=str(exc))) from exc
