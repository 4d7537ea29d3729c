"""Folds one record into the state of the fleet as a whole."""

from typing import assert_never

from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Draw, FleetState, Listening, Storm
from fenced.core.durable.replacing import replace

DRAWS_KEPT_SECONDS = 86400.0
REQUESTS_KEPT_SECONDS = 86400.0
REQUESTS_KEPT_MAX = 10_000
ENDED_STORMS_MAX = 200
LISTENING_KEPT_SECONDS = 8 * 86400.0
LISTENING_PART_SECONDS = 21600.0


def evolve_fleet(state: FleetState, entry: r.Entry) -> FleetState:
    """Return the fleet's state after one of its records."""
    at, record = entry.at, entry.record
    assert isinstance(record, r.FleetRecord), f"{record.kind} is a record of a host, not of the fleet"
    match record:
        case r.Armed():
            return replace(state, is_disarmed=False)
        case r.Disarmed():
            return replace(state, is_disarmed=True)
        case r.PauseSet():
            return replace(state, pauses=(*state.pauses, record.pause))
        case r.PauseEnded():
            return replace(state, pauses=tuple(pause for pause in state.pauses if pause.id != record.id))
        case r.BudgetDrawn():
            return _drawn(state, at, record)
        case r.BudgetReturned():
            back = (record.host, record.drawn_at)
            return replace(state, draws=tuple(draw for draw in state.draws if (draw.host, draw.at) != back))
        case r.RequestAnswered():
            recent = tuple(request for request in state.requests if request.at > at - REQUESTS_KEPT_SECONDS)
            return replace(state, requests=(*recent, record.request)[-REQUESTS_KEPT_MAX:])
        case r.Listened():
            return _listened(state, at, record.listening)
        case r.StoreDoubted():
            return replace(state, store_hold=record.why)
        case r.StoreReleased():
            return replace(state, store_hold="", released_store=record.expected)
        case r.BusLost():
            return replace(state, is_bus_lost=True)
        case r.BusBack():
            return replace(state, is_bus_lost=False)
        case r.GateStayedClosed():
            return replace(state, closed_gates=(*state.closed_gates, record.closed))
        case r.GateOpened():
            opened = (record.gate, record.cluster)
            left = tuple(it for it in state.closed_gates if (it.gate, it.cluster) != opened)
            return replace(state, closed_gates=left)
        case r.StormBegan():
            return replace(state, storms=_with_storm(state.storms, record.storm))
        case r.StormEnded():
            ended = (replace(it, end=record.end) if it.id == record.id else it for it in state.storms)
            return replace(state, storms=tuple(ended))
        case r.CapacityChanged():
            others = tuple(it for it in state.short_of if it[0] != record.cluster)
            now = ((record.cluster, record.short),) if record.short else ()
            return replace(state, short_of=(*others, *now))
        case r.ReloadRefused() | r.Reloaded():
            return state  # only announced: every start reads the whole configuration
        case r.ControlTaken() | r.ControlHandedOver():
            return state  # only announced: the store's lease says who holds it
        case _:
            assert_never(record)


def _drawn(state: FleetState, at: float, record: r.BudgetDrawn) -> FleetState:
    kept = tuple(draw for draw in state.draws if draw.at > at - DRAWS_KEPT_SECONDS)
    return replace(state, draws=(*kept, Draw(at=at, host=record.host, cluster=record.cluster)))


def _with_storm(storms: tuple[Storm, ...], new: Storm) -> tuple[Storm, ...]:
    """Put a storm in place of the last one of its domain. Of those that ended, the newest are kept."""
    others = [it for it in storms if (it.domain, it.value) != (new.domain, new.value)]
    ended = [it for it in others if it.end is not None]
    dropped = {it.id for it in ended[: max(len(ended) - ENDED_STORMS_MAX, 0)]}
    return (*(it for it in others if it.id not in dropped), new)


def _listened(state: FleetState, at: float, listening: Listening) -> FleetState:
    kept = tuple(part for part in state.listened if part.since > at - LISTENING_KEPT_SECONDS)
    if kept and at <= kept[-1].since + LISTENING_PART_SECONDS:
        longer = replace(kept[-1], seconds=kept[-1].seconds + listening.seconds)
        return replace(state, listened=(*kept[:-1], longer))
    return replace(state, listened=(*kept, listening))
