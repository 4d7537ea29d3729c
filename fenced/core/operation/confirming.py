"""`confirm-off`: an operator states that the host is off. Refused while any device reads ON, or an ON may still act."""

from collections.abc import Iterator

from fenced.core.allowed import gates, of_life
from fenced.core.decided import recording
from fenced.core.events import ConfirmOffAsked
from fenced.core.operation import paths
from fenced.core.operation.phases import stop
from fenced.core.operation.proof import record_fenced
from fenced.core.work import HostWork
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.names import OperationId
from fenced.model.power import Cause, Power, Proof


def confirm_off(work: HostWork, asked: ConfirmOffAsked) -> Answer:
    refusal = next(_refusals(work, asked), None)
    if refusal is not None:
        recording.refuse(work, "confirm_off", by=asked.by, reason=asked.reason, refusal=refusal)
        return refusal
    running, token = work.operation, work.fleet.next_token()
    record_fenced(
        work,
        proof=Proof.HUMAN,
        operation=running.id if running is not None else None,
        level=None,
        devices=(),
        token=token,
        is_stay_off=True,
        by=asked.by,
        reason=asked.reason,
        cause=Cause.REQUEST,
    )
    if running is not None:
        stop(work, f"{asked.by} confirmed that the host is off", is_on_forbidden=True)
    work.wake(work.now)
    return Accepted(operation=running.id if running is not None else asked.read or OperationId(str(token)))


def _refusals(work: HostWork, asked: ConfirmOffAsked) -> Iterator[RefusedBy]:
    """Yield every rule that refuses the request; the first one is the answer."""
    if (reading := work.state.reading) is not None:
        why = f"{reading.id} still reads the devices of {work.name}; repeat the request when it has ended"
        yield RefusedBy(rule="busy", why=why)
    yield from _reads_on(work)
    yield from _may_be_on(work)
    for verdict in gates.closed(gates.owner_gates(work.fleet, work.now)):
        yield RefusedBy(rule=verdict.gate, why=verdict.why)
    if not asked.is_forced:
        yield from _lives(work)


def _reads_on(work: HostWork) -> Iterator[RefusedBy]:
    powers = work.fleet.power(work.name)
    if reads_on := [name for name, power in powers.items() if power is Power.ON]:
        yield RefusedBy(rule="reads_on", why=f"{', '.join(reads_on)} reads ON")
    for device in work.host.devices:
        if (through := paths.lit_through(work, device.name)) is not None:
            yield RefusedBy(rule="reads_on", why=f"{device.name} reads ON through {through}")


def _may_be_on(work: HostWork) -> Iterator[RefusedBy]:
    if acting := work.state.acting_ons(work.now):
        left = max(it.not_after for it in acting) - work.now
        why = f"an ON of {acting[0].device} may still act for {left:.0f} s; repeat the request then"
        yield RefusedBy(rule="busy", why=why)
    running = work.operation
    switched = [run for run in (running.devices if running is not None else ()) if run.is_switched_on]
    if unread := [run.device for run in switched if run.says is not Power.OFF or run.same_reads == 0]:
        yield RefusedBy(rule="busy", why=f"{unread[0]} was switched on and not read OFF since; repeat the request then")


def _lives(work: HostWork) -> Iterator[RefusedBy]:
    if work.fleet.is_heard(work.name, work.now):
        yield RefusedBy(rule="alive", why=f"{work.name} was heard within its grace")
    if work.fleet.is_speaking(work.name, work.now):
        yield RefusedBy(rule="alive", why=f"{work.name} sent beats within its grace, though old ones")
    evidence = of_life.live_evidence(work.fleet, work.name, work.now, is_life_only=True)
    if not evidence.is_open:
        yield RefusedBy(rule="live_evidence", why=evidence.why)
