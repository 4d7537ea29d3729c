"""Events of the fleet as a whole: bus, arming, store, gates that stay closed, reloads."""

from fenced.core.durable import records as r
from fenced.core.said.cloud_events import FLEET, CloudEvents, Data
from fenced.model.moments import moment


def of(record: r.Record) -> CloudEvents:
    """Return the event of one record; records without one return none."""
    match record:
        case r.Armed():
            return [(FLEET + "armed", {"by": record.by, "reason": record.reason})]
        case r.Disarmed():
            return [(FLEET + "disarmed", {"by": record.by, "reason": record.reason})]
        case r.StoreDoubted():
            return [(FLEET + ("store_went_back" if record.is_older else "store_held"), {"why": record.why})]
        case r.StoreReleased():
            return [(FLEET + "store_released", {"by": record.by, "reason": record.reason})]
        case r.ControlTaken():
            data: Data = {"controller": record.controller, "before": record.before or None, "epoch": record.epoch}
            return [(FLEET + "takeover", data)]
        case r.ControlHandedOver():
            data = {"controller": record.controller, "to": record.to or None, "by": record.by, "reason": record.reason}
            return [(FLEET + "handed_over_control", data)]
        case r.BusLost():
            return [(FLEET + "bus_lost", {"why": record.why})]
        case r.BusBack():
            return [(FLEET + "bus_back", {})]
        case r.GateStayedClosed():
            return [(FLEET + "gate_closed", _gate_closed(record))]
        case r.GateOpened():
            return [(FLEET + "gate_open", {"gate": record.gate, "cluster": record.cluster or None})]
        case r.StormBegan():
            storm = record.storm
            data = {
                "id": storm.id, "domain": storm.domain, "value": storm.value, "hosts": list(storm.hosts),
                "common": list(storm.common), "why": record.why,
            }  # fmt: skip
            return [(FLEET + "storm", data)]
        case r.StormEnded():
            return [(FLEET + "storm_over", _storm_over(record))]
        case r.CapacityChanged():
            data = {"cluster": record.cluster, "short": record.short, "why": record.why}
            return [(FLEET + "capacity_short", data)]
        case r.ReloadRefused():
            return [(FLEET + "reload_refused", {"why": record.why})]
        case r.Reloaded():
            return [(FLEET + "reloaded", {})]
        case _:
            return []


def _gate_closed(record: r.GateStayedClosed) -> Data:
    closed = record.closed
    return {
        "gate": closed.gate,
        "cluster": closed.cluster or None,
        "since": moment(closed.since),
        "why": record.why,
        "hosts": list(record.hosts),
    }


def _storm_over(record: r.StormEnded) -> Data:
    end = record.end
    return {
        "id": record.id,
        "why": end.why,
        "by": end.by,
        "reason": end.reason,
        "silent": list(end.hosts),
        "cooldown_until": moment(end.cooldown_until),
    }
