"""Tells a decision record to a person, in at most ten lines, from the record alone."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fenced.core.durable.decision import Fact, Plan, Ruling, ShutGate
from fenced.core.durable.records import Decided
from fenced.model.names import HostName
from fenced.model.text import one_line, some

LINES_MAX: Final = 10
GATES_TOLD_MAX: Final = 3
"""Each takes two lines: why it is closed, and what opens it."""
NAMES_MAX: Final = 6


def lines(host: HostName, record: Decided) -> tuple[str, ...]:
    """Return the answer to "why was it fenced, or not?". The caller says when that was."""
    return tuple(one_line(line) for line in [*_told(host, record)][:LINES_MAX])


def closed(shut: Sequence[ShutGate], most: int = GATES_TOLD_MAX) -> list[str]:
    """Return for each closed gate why, and what opens it; also of a host as it is now. `most`: how many are told."""
    told = []
    for gate in shut[:most]:
        margin = f" ({gate.margin})" if gate.margin else ""
        told.append(f"  {gate.gate}: {gate.why}")
        told.append(f"    opens when {gate.opens_when}{margin}")
    if len(shut) > most:
        told.append(f"  and {len(shut) - most} more: `fencectl explain HOST --all`")
    return told


def names(gates: Iterable[str]) -> str:
    return ", ".join(gates)


def _told(host: HostName, record: Decided) -> Iterator[str]:
    known = {fact.what: fact for fact in record.inputs}
    match record.outcome:
        case Ruling.FENCE:
            yield f"{host} was to be fenced: every gate was open."
            yield from _suspicion(known)
            yield from _seen(record)
            yield from _nearest(record)
            yield from _plan(record, "Then followed")
        case Ruling.HOLD:
            yield f"{host} was not fenced: {names(gate.gate for gate in record.shut)} held it."
            yield from closed(record.shut)
            yield from _suspicion(known)
        case Ruling.WOULD_FENCE:
            yield f"{host} would have been fenced: only armed held it."
            yield from closed(record.shut)
            yield from _suspicion(known)
            yield from _seen(record)
            yield from _plan(record, "Armed, there would have followed")
        case Ruling.RECOVER:
            yield f"{host} recovered: {_of(known, 'sign of life')}."
            yield from _suspicion(known)
            if held := known.get("held by"):
                yield f"Until then {held.value} held it."
        case Ruling.REFUSE:
            request = known.get("request")
            by = f" by {request.source}" if request is not None and request.source else ""
            yield f"A request for {host}{by} was refused: {_of(known, 'request')}."
            yield f"  {_of(known, 'rule')}"
            yield from (f"    opens when {gate.opens_when}" for gate in record.shut if gate.opens_when)


def _of(known: dict[str, Fact], what: str) -> str:
    return known[what].value if what in known else "not recorded"


def _suspicion(known: dict[str, Fact]) -> Iterator[str]:
    if (suspected := known.get("suspected")) is not None:
        ago = "" if not suspected.age else f" for {suspected.age:.0f} s"
        yield f"It was suspect{ago}: {suspected.value or 'silence'}."
    if (beat := known.get("last heartbeat")) is not None:
        age = "before the daemon's start" if beat.age is None else f"{beat.age:.1f} s before"
        source = f", from {beat.source}" if beat.source else ""
        yield f"Its last heartbeat came {age} ({beat.value}{source}); its grace was {_of(known, 'grace')}."


def _seen(record: Decided) -> Iterator[str]:
    """Tell what observers saw, the ones that saw life first."""
    if not record.confirm:
        return
    said = sorted(record.confirm, key=lambda it: it.answer != "alive")
    told = [f"{it.observer} {it.answer}" + (f" over {it.network}" if it.network else "") for it in said]
    yield f"Observers: {some(told, NAMES_MAX)}."


def _nearest(record: Decided) -> Iterator[str]:
    near = [f"{gate.gate} ({gate.margin})" for gate in record.opened if gate.margin and gate.gate != "lease"]
    if near:
        yield f"How far gates were from closing: {some(near, NAMES_MAX)}."


def _plan(record: Decided, then: str) -> Iterator[str]:
    if record.plan is None:
        return
    which = f"; `fencectl operation {record.operation}`" if record.operation is not None else ""
    yield f"{then}: {record.plan.action.value} through {_devices(record.plan)}{which}."


def _devices(plan: Plan) -> str:
    """Name the devices of the first level."""
    first = min((device.level for device in plan.devices), default=1)
    return some([str(device.name) for device in plan.devices if device.level == first], NAMES_MAX) or "no device"
