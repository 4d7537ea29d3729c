"""Events of a host and of its devices."""

from typing import assert_never

from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, DrillStep, FenceableLevel, HostState
from fenced.core.said.cloud_events import DRILL, HOST, OPERATION, CloudEvents, Data, gate
from fenced.model.moments import Moment, moment


def of(at: float, record: r.HostStateRecord | r.DeviceRecord, before: HostState, after: HostState) -> CloudEvents:
    """Return the events of one record; most records have one, some none."""
    if isinstance(record, r.DeviceRecord):
        return _of_devices(record, before)
    match record:
        case r.HostHeard():
            return _heard(record)
        case r.HostSuspected():
            return [(HOST + "suspected", _suspected(record))]
        case r.HostHeld():
            return [(HOST + "held", {"gates": [gate(verdict) for verdict in record.gates], "would": record.would})]
        case r.HostLeft():
            return [(HOST + "left", {"reason": record.reason, "overdue": record.is_overdue})]
        case r.HostFenced():
            return [(HOST + "fenced", _fenced(at, record, before))]
        case r.HostRevoked():
            return [(HOST + "revoked", _revoked(record))]
        case r.AnnouncementLost():
            return _announcement_lost(record, before)
        case r.LeftOff():
            return [(HOST + "left_off", _left_off(record, after))]
        case r.HostPutAside():
            return [(HOST + "held", _put_aside(record))]
        case r.MaintenanceSet() | r.MaintenanceEnded():
            return [(HOST + "maintenance", _maintenance(record))]
        case r.HostRestored():
            return _restored(record, before)
        case r.RestoreFailed():
            return _restore_failed(record, before)
        case r.FenceFailed():
            return [(HOST + "fence_failed", {"reason": record.why, "next_attempt": moment(record.next_attempt_at)})]
        case r.RequestRefused():
            return [(OPERATION + "refused", _refused(record))]
        case r.DrillEnded():
            return [(DRILL + record.result.value, _drill(record, before))]
        case r.SuspicionReleased() | r.DebtsSorted() | r.HostRemoved() | r.HostReturned() | r.CommandsOutlast():
            return []
        case _:
            assert_never(record)


def _heard(record: r.HostHeard) -> CloudEvents:
    words = {"cleared": ("cleared", "healthy"), "rebooted": ("rebooted",)}
    data = {"boot": record.boot, "before": record.before, "why": record.why}
    return [(HOST + word, data) for word in words.get(record.why, ("healthy",))]


def _suspected(record: r.HostSuspected) -> Data:
    return {"cause": record.cause.value, "reason": record.reason, "last_heard": moment(record.last_heard)}


def _revoked(record: r.HostRevoked) -> Data:
    return {
        "reason": record.why,
        "alive": record.is_alive,
        "distrusted": list(record.distrusted),
        "replaces": None,
    }


def _announcement_lost(record: r.AnnouncementLost, before: HostState) -> CloudEvents:
    """Return `revoked` if the bus, or the journal, called the host off. `replaces`: the token of the lost proof."""
    if not record.is_proven and (record.is_proof_kept or before.proof is None):
        return []
    replaces = str(record.lost) if record.is_proven else None
    return [(HOST + "revoked", {"reason": record.why, "alive": False, "distrusted": [], "replaces": replaces})]


def _left_off(record: r.LeftOff, after: HostState) -> Data:
    orphans = [str(orphan.device) for orphan in after.orphans]
    devices = dict.fromkeys([*(str(device) for device in record.devices or after.owed), *orphans])
    return {"reason": record.why, "devices": list(devices)}


def _put_aside(record: r.HostPutAside) -> Data:
    return {"gates": [{"gate": "record", "open": False, "why": record.why}], "would": None}


def _maintenance(record: r.MaintenanceSet | r.MaintenanceEnded) -> Data:
    until = moment(record.until) if isinstance(record, r.MaintenanceSet) else None
    is_on = isinstance(record, r.MaintenanceSet)
    return {"on": is_on, "by": record.by, "reason": record.reason, "until": until}


def _restored(record: r.HostRestored, before: HostState) -> CloudEvents:
    if _is_reported(before, record):
        return []
    if record.missing:
        return [(HOST + "redundancy_lost", {"devices": list(record.missing)})]
    return [(HOST + "restored", {})]


def _restore_failed(record: r.RestoreFailed, before: HostState) -> CloudEvents:
    if _is_reported(before, record):
        return []
    return [(HOST + "restore_failed", {"devices": list(record.missing), "reason": record.why})]


def _is_reported(before: HostState, record: r.HostRestored | r.RestoreFailed) -> bool:
    """Return whether this was reported already: a retried restore is reported once, and again when more is missing."""
    reported = before.redundancy_lost if isinstance(record, r.HostRestored) else before.restore_failed
    is_retried = before.operation is not None and before.operation.is_giving_back
    return is_retried and bool(record.missing) and set(record.missing) <= set(reported)


def _drill(record: r.DrillEnded, before: HostState) -> Data:
    """`steps`: when each step was proven, in milliseconds since the start; null: it was not."""
    drill = before.drill
    return {
        "operation": str(record.operation),
        "by": drill.by if drill is not None else None,
        "reason": drill.reason if drill is not None else None,
        "step": record.failed_step.value if record.failed_step is not None else None,
        "why": record.why,
        "steps": {step.value: drill.milliseconds(step) for step in DrillStep} if drill is not None else {},
    }


def _refused(record: r.RequestRefused) -> Data:
    return {"action": record.action, "by": record.by, "reason": record.reason, "rule": record.rule, "why": record.why}


# -- fenced -----------------------------------------------------------------------------------------------------------


def _fenced(at: float, record: r.HostFenced, before: HostState) -> Data:
    operation = before.operation
    runs = operation.devices if operation is not None and operation.id == record.operation else ()
    return {
        "operation": str(record.operation) if record.operation is not None else None,
        "token": str(record.token),
        "cause": record.cause.value,
        "by": record.by,
        "reason": record.reason,
        "proof": record.proof.value,
        "level": record.level,
        "boot": record.boot,
        "at": Moment(at),
        "stay_off": record.is_stay_off,
        "replaces": str(before.lost_token) if before.lost_token is not None else None,
        "drill": operation is not None and operation.id == record.operation and operation.is_drilling,
        "vouched": [str(device) for device in record.vouched],
        "devices": [_device(run) for run in runs if run.device in record.devices],
    }


def _device(run: DeviceRun) -> Data:
    return {
        "name": str(run.device),
        "proxy": str(run.last_proxy) if run.last_proxy is not None else None,
        "power": run.power.value,
        "already": not run.is_switched_off,
        "milliseconds": _milliseconds(run),
        "cuts_power": run.is_vouched,
    }


def _milliseconds(run: DeviceRun) -> int | None:
    began = min((step.started for step in run.steps), default=None)
    ended = run.read_at
    return round((ended - began) * 1000) if began is not None and ended is not None else None


# -- devices ----------------------------------------------------------------------------------------------------------


def _of_devices(record: r.DeviceRecord, before: HostState) -> CloudEvents:
    match record:
        case r.Contradicted():
            return [(HOST + "contradiction", {"reason": record.why, "device": record.device})]
        case r.WrongMachineFound():
            return [(HOST + "wrong_machine", {"device": str(record.device), "reason": record.why})]
        case r.DevicesDistrusted():
            return [(HOST + "distrusted", {"devices": list(record.devices), "reason": record.why})]
        case r.DevicesTrusted():
            return [(HOST + "trusted", {"devices": list(record.devices)})]
        case r.FenceableChanged():
            return _fenceable(record, before)
        case r.PowerSeen() | r.PathRead() | r.PathsAgreed() | r.TrustAdvanced():
            return []
        case _:
            assert_never(record)


def _fenceable(record: r.FenceableChanged, before: HostState) -> CloudEvents:
    """Return the event, or none for a host that is fully fenceable at the first check."""
    was = before.fenceable
    if was is None and record.level is FenceableLevel.FULL:
        return []
    why = [{"device": reason.device, "reason": reason.kind, "text": reason.text} for reason in record.why]
    data = {"level": record.level.value, "before": was.level.value if was is not None else None, "why": why}
    return [(HOST + "fenceable_changed", data)]
