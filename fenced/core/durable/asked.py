"""What people and programs asked for, as the records show it: for the audit."""

from dataclasses import dataclass
from typing import Final

from fenced.core.durable import records as r
from fenced.model.names import OperationId
from fenced.model.power import Proof

OWN: Final = frozenset({"", "fenced"})
"""Who asks when the daemon decides by itself."""
CANCELLED: Final = "cancelled by "
"""How the record of an end that somebody asked for begins (`operation.requests`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`what`: the action, or the record's kind. `refused`: the rule that refused it, or ""."""

    what: str
    by: str
    reason: str
    operation: OperationId | None = None
    refused: str = ""


def asked(record: r.Record) -> Asked | None:
    """Return who asked for what; None if the daemon did it by itself, or nobody asked for anything."""
    found = _of_operation(record) or _of_host(record) or _of_fleet(record)
    return None if found is None or found.by in OWN else found


def _of_operation(record: r.Record) -> Asked | None:
    match record:
        case r.OperationStarted():
            it = record.operation
            return Asked(what=it.action.value, by=it.by, reason=it.reason, operation=it.id)
        case r.OperationJoined():
            return Asked(what=record.action.value, by=record.by, reason=record.reason, operation=record.operation)
        case r.EndingDecided() if record.why.startswith(CANCELLED):
            by, _, reason = record.why.removeprefix(CANCELLED).partition(": ")
            return Asked(what="cancel", by=by, reason=reason, operation=record.operation)
        case r.HostFenced() if record.proof is Proof.HUMAN:
            return Asked(what="confirm-off", by=record.by, reason=record.reason, operation=record.operation)
        case r.RequestRefused():
            return Asked(what=record.action, by=record.by, reason=record.why, refused=record.rule)
        case _:
            return None


def _of_host(record: r.Record) -> Asked | None:
    match record:
        case r.MaintenanceSet() | r.MaintenanceEnded() | r.WakeWanted():
            return Asked(what=record.kind, by=record.by, reason=record.reason)
        case _:
            return None


def _of_fleet(record: r.Record) -> Asked | None:
    match record:
        case r.Armed() | r.Disarmed() | r.StoreReleased() | r.ControlHandedOver():
            return Asked(what=record.kind, by=record.by, reason=record.reason)
        case r.PauseSet():
            return Asked(what=f"{record.kind} {record.pause.match}", by=record.pause.by, reason=record.pause.reason)
        case r.PauseEnded():
            return Asked(what=f"{record.kind} {record.id}", by=record.by, reason="")
        case r.StormEnded():
            return Asked(what=record.kind, by=record.end.by, reason=record.end.reason)
        case _:
            return None
