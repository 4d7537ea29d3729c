"""Reports durable batches to metrics and the log. Decides nothing."""

import structlog

from fenced.core import events as e
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.core.durable.state import DrillResult, FenceableLevel, HostState, Operation
from fenced.core.fleet import Fleet
from fenced.engine.batch import Collected
from fenced.model.answers import RefusedBy
from fenced.model.names import HostName
from fenced.model.power import State, What
from fenced.ports.bus import MessageKind, MessageResult
from fenced.ports.clock import Clock
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

_KINDS = {
    e.Health: MessageKind.HEALTH,
    e.Presence: MessageKind.PRESENCE,
    e.Evidence: MessageKind.EVIDENCE,
    e.BusRequest: MessageKind.REQUEST,
    e.WakeRequest: MessageKind.REQUEST,
}


class Observer:
    """Receives each durable batch once, in order."""

    def __init__(self, *, fleet: Fleet, telemetry: Telemetry, clock: Clock) -> None:
        self._fleet, self._telemetry, self._clock = fleet, telemetry, clock

    def take(self, collected: Collected) -> None:
        for entry in collected.entries:
            if entry.host is None:
                _log_fleet(entry.record)
            else:
                self._host(entry.host, entry.record, entry.at)
        for name, before in collected.before.items():
            after = collected.after.get(name)
            if after is not None and after.state is not before.state:
                self._state_changed(before, after)
        for operation in collected.ended:
            self._ended(operation)

    def heard(self, event: e.Event, decision: Decision) -> None:
        """Count a message of the bus by its result."""
        kind = _KINDS.get(type(event))
        if kind is not None:
            self._telemetry.bus_message(kind, _result(event, decision))

    def _host(self, name: HostName, record: r.Record, at: float) -> None:
        match record:
            case r.HostSuspected():
                if record.last_heard is not None:
                    self._telemetry.detected(max(at - record.last_heard, 0.0))
                log.info("host_suspected", host=name, cause=record.cause.value, reason=record.reason)
            case r.HostHeld():
                shut = [gate for gate in record.gates if not gate.is_open]
                for gate in shut:
                    self._telemetry.gate_held(gate.gate)
                log.info(
                    "host_held", host=name, gates=[f"{gate.gate}: {gate.why}" for gate in shut], would=record.would
                )
            case r.HostFenced():
                log.info(
                    "host_fenced",
                    host=name,
                    operation=record.operation,
                    proof=record.proof.value,
                    power_level=record.level,
                    token=str(record.token),
                    by=record.by,
                )
            case r.RequestRefused():
                log.info("request_refused", host=name, action=record.action, by=record.by, rule=record.rule)
            case r.HostRevoked():
                log.warning("host_revoked", host=name, reason=record.why, distrusted=list(record.distrusted))
            case r.AnnouncementLost():
                log.warning(record.kind, host=name, reason=record.why, token=str(record.lost))
            case r.DevicesDistrusted():
                log.warning("devices_distrusted", host=name, devices=list(record.devices), reason=record.why)
            case r.FenceableChanged():
                why = [f"{reason.device or name}: {reason.kind}: {reason.text}" for reason in record.why]
                say = log.info if record.level is FenceableLevel.FULL else log.warning
                say("fenceable_changed", host=name, fenceable=record.level.value, why=why)
            case r.PathsAgreed() | r.PathRead():
                log.info(record.kind, host=name, device=record.device)
            case r.DevicesTrusted():
                log.info("devices_trusted", host=name, devices=list(record.devices))
            case r.DrillEnded():
                self._drill_ended(name, record)
            case r.FenceFailed() | r.RestoreFailed():
                log.warning(record.kind, host=name, operation=record.operation, reason=record.why)
            case r.Contradicted():
                log.warning(record.kind, host=name, operation=record.operation, device=record.device, reason=record.why)
            case r.HostPutAside():
                log.warning(record.kind, host=name, reason=record.why)
            case r.LeftOff():
                log.warning(
                    record.kind, host=name, operation=record.operation, reason=record.why, devices=list(record.devices)
                )
            case r.HostRemoved() | r.HostReturned():
                log.info(record.kind, host=name)
            case r.HostHeard() | r.HostLeft() | r.MaintenanceSet() | r.MaintenanceEnded() | r.HostRestored():
                log.info(record.kind, host=name)
            case _:
                _log_operation(name, record)

    def _drill_ended(self, name: HostName, record: r.DrillEnded) -> None:
        self._telemetry.drill_ended(record.result.value)
        if record.result is DrillResult.FAILED:
            step = record.failed_step.value if record.failed_step is not None else None
            log.error("drill_failed", host=name, operation=record.operation, step=step, reason=record.why)
        else:
            log.info(f"drill_{record.result.value}", host=name, operation=record.operation, reason=record.why)

    def _state_changed(self, before: HostState, after: HostState) -> None:
        if before.suspected_at is None or before.state not in {State.SUSPECT, State.FENCING}:
            return
        outcome = {
            State.HEALTHY: "cleared",
            State.FENCED: "fenced",
            State.FAILED: "failed",
            State.LEFT: "left",
            State.MAINTENANCE: "maintenance",
        }.get(after.state)
        if outcome is not None:
            self._telemetry.suspicion_ended(outcome)

    def _ended(self, operation: Operation) -> None:
        ended = operation.ended if operation.ended is not None else self._clock.now()
        self._telemetry.operation_ended(
            action=operation.action.value,
            cause=operation.cause.value,
            result=operation.state.value,
            seconds=ended - operation.started,
            operation=str(operation.id),
        )
        for stage, seconds in _stages(operation, ended):
            self._telemetry.stage(stage, max(seconds, 0.0), operation=str(operation.id))


def _log_fleet(record: r.Record) -> None:
    match record:
        case r.StoreDoubted():
            log.error(record.kind, reason=record.why, advice="check it, then `fencectl release store --reason '...'`")
        case r.GateStayedClosed():
            log.warning(
                record.kind, gate=record.closed.gate, cluster=record.closed.cluster, reason=record.why,
                hosts=list(record.hosts),
            )  # fmt: skip
        case r.GateOpened():
            log.info(record.kind, gate=record.gate, cluster=record.cluster)
        case r.Armed() | r.Disarmed() | r.StoreReleased():
            log.info(record.kind, by=record.by, reason=record.reason)
        case r.StormBegan():
            storm = record.storm
            log.warning(
                record.kind, storm=storm.id, domain=storm.words, hosts=len(storm.hosts), common=list(storm.common),
                why=record.why, advice=f"look at them; then `fencectl release {storm.words} --reason R`",
            )  # fmt: skip
        case r.StormEnded():
            log.info(record.kind, storm=record.id, why=record.end.why, by=record.end.by, reason=record.end.reason)
        case r.PauseSet():
            pause = record.pause
            log.info(record.kind, pause=pause.id, match=pause.match, by=pause.by, reason=pause.reason)
        case r.PauseEnded():
            log.info(record.kind, pause=record.id, by=record.by)
        case r.BudgetDrawn() | r.BudgetReturned():
            log.info(record.kind, host=record.host)
        case r.BusLost() | r.ReloadRefused() | r.Reloaded():
            pass  # logged where it happened, with more
        case r.CapacityChanged():
            say = log.warning if record.short else log.info
            say(record.kind, cluster=record.cluster, short=record.short, reason=record.why)
        case r.Listened():
            pass  # only a figure
        case _:
            log.info(record.kind)


def _log_operation(name: HostName, record: r.Record) -> None:
    match record:
        case r.OperationStarted():
            operation = record.operation
            log.info(
                "operation_started",
                host=name,
                operation=operation.id,
                action=operation.action.value,
                cause=operation.cause.value,
                by=operation.by,
            )
        case r.StepStarted() if record.what is not What.STATUS:
            log.info(
                "command_sent",
                host=name,
                operation=record.operation,
                device=record.device,
                what=record.what.value,
                proxy=record.proxy,
                token=str(record.token),
            )
        case r.StepEnded() if record.error is not None:
            log.info(
                "step_failed",
                host=name,
                operation=record.operation,
                device=record.device,
                outcome=record.outcome.value,
                error=record.error,
            )
        case r.OperationEnded():
            log.info(
                "operation_ended",
                host=name,
                operation=record.operation,
                state=record.state.value,
                power=record.power.value,
                why=record.why,
            )
        case _:
            _log_saving(name, record)


def _log_saving(name: HostName, record: r.Record) -> None:
    match record:
        case r.HostSlept():
            log.info(record.kind, host=name, operation=record.operation, by=record.by, reason=record.reason)
        case r.WakeWanted():
            log.info(record.kind, host=name, by=record.by, reason=record.reason)
        case r.HostWoken():
            say = log.warning if record.distrusted else log.info
            say(record.kind, host=name, reason=record.why, distrusted=list(record.distrusted))
        case r.SleepFailed() | r.WakeFailed():
            log.warning(record.kind, host=name, reason=record.why)
        case _:
            pass


def _stages(operation: Operation, ended: float) -> list[tuple[str, float]]:
    """Return how long each stage took: the longest over the devices."""
    stages: list[tuple[str, float]] = []
    runs = operation.devices
    won = [[entry.ended_ms for entry in run.race if entry.verdict.value == "won" and entry.ended_ms] for run in runs]
    raced = [ends[0] for ends in won if ends]
    if raced:
        stages.append(("race", max(raced) / 1000))
    for what, stage in ((What.OFF, "off"), (What.ON, "on")):
        spans = [s.ended - s.started for run in runs for s in run.steps if s.what is what and s.ended is not None]
        if spans:
            stages.append((stage, max(spans)))
    if operation.announced_at is not None:
        offs = [s.ended for run in runs for s in run.steps if s.what is What.OFF and s.ended is not None]
        if offs:
            stages.append(("verify", operation.announced_at - max(offs)))
        if operation.restore_started is not None:
            stages.append(("announce", operation.restore_started - operation.announced_at))
            stages.append(("restore", ended - operation.restore_started))
    return stages


def _result(event: e.Event, decision: Decision) -> MessageResult:
    if getattr(event, "is_retained", False):
        return MessageResult.RETAINED
    if isinstance(decision.answer, RefusedBy):
        return MessageResult.REFUSED
    if not decision.is_news:
        return MessageResult.STALE
    return MessageResult.PARTLY if isinstance(event, e.Health | e.Evidence) and event.unread else MessageResult.OK
