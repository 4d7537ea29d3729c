"""Handles the heartbeats of a drilled host: one that goes on beating while its devices read OFF fails the drill.

Such devices cut another machine's power, or not all of the host's; or its beats come late. So the drill fails at the
first beat and gives power back at once. Only when that run of the host is heard later than `late_message`, at a living
host's pace, are the devices distrusted, as after an announcement (S17).
"""

from fenced.core.durable import records as r
from fenced.core.events import Health, HealthStatus
from fenced.core.operation.phases import stop
from fenced.core.operation.silencing import late_until, spare_who_was_cut
from fenced.core.suspected import freshness
from fenced.core.work import HostWork
from fenced.model.power import OperationState


def hear(work: HostWork, health: Health) -> None:
    """Fail the drill that runs, or judge the devices of the one that failed. Any message may be late or repeated."""
    if health.is_retained:
        return
    _fail(work, health)
    if work.state.last_drill is not None:
        _judge(work, health)


def _fail(work: HostWork, health: Health) -> None:
    operation = work.operation
    if operation is None or not operation.is_drilling or operation.is_stopped or not operation.is_proving_off:
        return
    if health.status is HealthStatus.STOPPING:
        ending = OperationState.FAILED if operation.is_off_sent else OperationState.CANCELLED
        stop(work, f"{work.name} says that it stops: its silence proves nothing", ending=ending)
        return
    until = late_until(work, operation)
    if until is None or health.reached <= until:
        return
    names = ", ".join(run.device for run in operation.of_level)
    stop(work, f"{work.name} went on beating while {names} read OFF", ending=OperationState.FAILED)
    spare_who_was_cut(work)


def _judge(work: HostWork, health: Health) -> None:
    drill = work.state.last_drill
    if drill is None or not drill.unproven or drill.off_at is None or health.boot != drill.boot:
        return
    late_until = drill.off_at + work.host.settings.detection.late_message_seconds
    if health.reached <= late_until or not freshness.lives_since(work.fleet, work.name, health, late_until):
        return
    why = f"read off in a drill, and {work.name} went on beating in the same run"
    work.record(r.DevicesDistrusted(devices=drill.unproven, why=why))
