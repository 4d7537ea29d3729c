"""Hand-made states of one host with an operation, and the ways in which that operation ends."""

from dataclasses import replace

from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, Phase, ProofOfOff
from fenced.core.operation import closing, starting
from fenced.core.work import HostWork, Work
from fenced.model.names import BootId, DeviceName, Token
from fenced.model.power import Action, Cause, Power, Proof
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

OUTLET, BMC = DeviceName("pdu-a"), DeviceName("bmc")
TOKEN = Token(epoch=1, sequence=900)


def on_the_desk(action: Action, *, cause: Cause = Cause.SILENCE) -> tuple[HostWork, Operation]:
    """Return a host with an outlet at level 1 and a chassis at level 2, and an operation that is not recorded yet."""
    at = Desk(Rack(devices=("pdu-a:1", "bmc:2")))
    at.calm()
    work = Work(at.fleet, at.now).on(NODE)
    return work, starting.new(work, action, cause=cause, by="person", reason="told")


def closes(work: HostWork, operation: Operation, **changes: object) -> r.OperationEnded:
    """Close the operation and return the record of its end. `changes`: to the host's state before."""
    operation = replace(operation, phase=Phase.CLOSING, is_stopped=True)
    state = replace(work.state, operation=operation, **changes)  # type: ignore[arg-type]
    work.fleet.put(state)
    closing.advance(work, operation)
    return next(it.record for it in work.work.entries if isinstance(it.record, r.OperationEnded))


def recorded(work: HostWork, kind: type) -> list[r.Record]:
    return [entry.record for entry in work.work.entries if isinstance(entry.record, kind)]


def reads(operation: Operation, device: DeviceName, power: Power, *, times: int = 2) -> Operation:
    runs = tuple(_read(run, power, times) if run.device == device else run for run in operation.devices)
    return replace(operation, devices=runs)


def _read(run: DeviceRun, power: Power, times: int) -> DeviceRun:
    return replace(run, power=power, same_reads=times, read_at=1.0)


def proof(kind: Proof = Proof.DEVICE_VERIFIED) -> ProofOfOff:
    return ProofOfOff(
        kind=kind, level=1, boot=BootId("b1"), at=1.0, token=TOKEN, operation=None, devices=(OUTLET,), last_heard=7.0
    )
