"""Decides what proves a host off (S1, S2, S17), records the announcement, and decides what revokes it."""

from fenced.core.believed.sharing import disbelieved
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, ProofOfOff
from fenced.core.operation import paths
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId, Token
from fenced.model.power import Action, Cause, Proof, State


def is_proven_off(work: HostWork, run: DeviceRun) -> bool:
    """Return whether the device is read OFF stably after an OFF of this operation (S1).

    Without such an OFF it must be read OFF over `already_off_hold` with no sign of life;
    an earlier operation's OFF may have been undone long ago.
    """
    if not run.is_stably_off(work.host):
        return False  # or another path read ON, and not OFF since
    if run.device in disbelieved(work):
        return False  # it lied, or is another host's, too: its OFF proves nothing (S17)
    if run.is_switched_off:
        return True
    since = max(run.same_since, work.sight.heard_at or 0.0, work.sight.spoke_at or 0.0)
    hold = work.host.device(run.device).power.already_off_hold_seconds
    return (run.read_at or 0.0) - since >= hold - 1e-6


def is_level_proven_off(work: HostWork, operation: Operation) -> bool:
    return all(is_proven_off(work, run) for run in operation.of_level)


def record_fenced(
    work: HostWork,
    *,
    level: int | None,
    devices: tuple[DeviceName, ...],
    operation: OperationId | None,
    is_stay_off: bool,
    by: str,
    reason: str,
    cause: Cause,
    token: Token | None = None,
    proof: Proof = Proof.DEVICE_VERIFIED,
    earlier: ProofOfOff | None = None,
) -> None:
    """Record that the host is verified off: the only builder of HostFenced.

    `token` None: a new one. `earlier`: the proof of the same run of the host, when it is proven off again.
    """
    work.record(
        r.HostFenced(
            proof=proof,
            operation=operation,
            level=level,
            boot=earlier.boot if earlier is not None else work.sight.boot or work.state.boot,
            token=token or work.fleet.next_token(),
            devices=devices,
            vouched=work.host.vouched(devices),
            is_stay_off=is_stay_off,
            by=by,
            reason=reason,
            cause=cause,
            last_heard=work.sight.heard_at or (earlier.last_heard if earlier is not None else None),
        )
    )


def level_off_again(work: HostWork, operation: Operation, proof: ProofOfOff) -> int | None:
    """Return a level that was read OFF stably since no ON can act any more (S1); preferably the earlier proof's."""
    levels = sorted({run.level for run in operation.devices}, key=lambda level: (level != proof.level, level))
    nothing = disbelieved(work)
    for level in levels:
        runs = operation.at_level(level)
        if all(is_read_off(work, run) and run.device not in nothing for run in runs):
            return level
    return None


def is_read_off(work: HostWork, run: DeviceRun) -> bool:
    """Return whether it is read OFF stably and its paths are not in dispute."""
    return run.is_stably_off(work.host) and not paths.disputed(work, run.device)


# -- what revokes it --------------------------------------------------------------------------------------------------


def revoke_if_lit(work: HostWork, operation_id: OperationId, device: DeviceName) -> None:
    """Revoke if a fenced host's device reads ON as the next operation begins, without an ON of the daemon (S17)."""
    operation, proof = work.operation, work.state.proof
    if operation is None or operation.id != operation_id or proof is None or operation.before is not State.FENCED:
        return
    run = operation.run(device)
    is_expected = operation.is_fenced or operation.action is Action.ON or run.is_switched_on
    if not is_expected and run.is_lit and device in proof.revoked_by(work.host):
        _revoke(work, (device,))


def revoke_if_read_on(work: HostWork) -> None:
    """Revoke if the host was announced, no ON followed, and a device that the inventory has now reads ON (S17)."""
    operation, state = work.operation, work.state
    proof = state.proof
    if operation is None or proof is None or state.state not in {State.FENCED, State.RESTORING}:
        return
    if state.token != proof.token:
        return
    names = proof.revoked_by(work.host)
    _revoke(work, tuple(run.device for run in operation.devices if run.device in names and run.is_lit))


def _revoke(work: HostWork, lit: tuple[DeviceName, ...]) -> None:
    if lit:
        why = f"{', '.join(lit)} reads ON without an ON of ours"
        work.record(r.HostRevoked(why=why, token=work.fleet.next_token(), boot=None, distrusted=(), is_alive=False))
