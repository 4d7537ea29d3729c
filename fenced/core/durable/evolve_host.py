"""Folds the records that change a host's own state: heard, suspected, held, fenced, revoked, put aside and others."""

from typing import assert_never

from fenced.core.durable import evolve_owed as owing
from fenced.core.durable import records as r
from fenced.core.durable.changing import change_operation, to_state, union, with_ended
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict, HostState, Maintenance, ProofOfOff
from fenced.model.names import BootId
from fenced.model.power import Power, State


def evolve_host(state: HostState, at: float, record: r.HostStateRecord) -> HostState:
    """Return the host's state after a record about the host itself."""
    match record:
        case r.HostHeard():
            return _heard(state, at, record)
        case r.HostSuspected():
            return _suspected(state, at, record)
        case r.SuspicionReleased():
            return _released(state, record)
        case r.HostHeld():
            return replace(state, held_by=tuple(verdict for verdict in record.gates if not verdict.is_open))
        case r.HostLeft():
            return _left(state, at, record)
        case r.HostFenced():
            return _fenced(state, at, record)
        case r.HostRevoked():
            return _revoked(state, at, record)
        case r.HostPutAside():
            return _put_aside(state, at, record)
        case r.HostRemoved() | r.HostReturned():
            return replace(state, is_removed=isinstance(record, r.HostRemoved))
        case r.MaintenanceSet():
            return _maintenance_set(state, at, record)
        case r.MaintenanceEnded():
            after = State.UNKNOWN if state.state is State.MAINTENANCE else state.state
            return to_state(state, after, at, maintenance=None, record_fault="", orphans=())
        case r.HostRestored():
            return owing.given_back(state, record)
        case r.RestoreFailed():
            return owing.not_given_back(state, record)
        case r.LeftOff():
            is_off = state.state in {State.FENCED, State.RESTORING}  # otherwise the host may run
            return replace(state, is_left_off=True, is_stay_off=state.is_stay_off or is_off)
        case r.DebtsSorted():
            return owing.sorted_out(state, record)
        case r.CommandsOutlast():
            until = dict(record.until)
            commands = (replace(it, not_after=until.get(it.token, it.not_after)) for it in state.commands)
            return replace(state, commands=tuple(commands))
        case r.AnnouncementLost():
            return _announcement_lost(state, at, record)
        case r.RequestRefused() | r.FenceFailed() | r.DrillEnded():
            return state
        case _:
            assert_never(record)


def _heard(state: HostState, at: float, record: r.HostHeard) -> HostState:
    boot, ended = _boots_after(state, record.boot)
    return to_state(
        owing.ran_again(state),
        State.HEALTHY if state.maintenance is None else State.MAINTENANCE,
        at,
        is_known=True,
        known_since=state.known_since if state.is_known else at,
        boot=boot,
        ended_boots=ended,
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
        last_heard=at,
        held_by=(),
        release_until=0.0,
        failures=0,
        next_attempt_at=0.0,
        proof=None,
        is_stay_off=False,
        is_on_forbidden=False,
    )


def _suspected(state: HostState, at: float, record: r.HostSuspected) -> HostState:
    return to_state(
        state,
        State.SUSPECT,
        at,
        suspected_at=at,
        suspicion=record.cause,
        suspicion_reason=record.reason,
        last_heard=record.last_heard,
        held_by=(),
    )


def _released(state: HostState, record: r.SuspicionReleased) -> HostState:
    """A suspect is judged anew when its time is over; another host is not suspected until then."""
    suspected_at = record.until if state.state is State.SUSPECT else state.suspected_at
    return replace(state, release_until=record.until, held_by=(), suspected_at=suspected_at)


def _left(state: HostState, at: float, record: r.HostLeft) -> HostState:
    return to_state(
        state, State.LEFT, at, suspected_at=None, suspicion=None, held_by=(), is_away_told=record.is_overdue
    )


def _maintenance_set(state: HostState, at: float, record: r.MaintenanceSet) -> HostState:
    maintenance = Maintenance(by=record.by, reason=record.reason, since=at, until=record.until)
    proof = state.proof if record.after is not State.MAINTENANCE else None
    return to_state(state, record.after, at, maintenance=maintenance, held_by=(), proof=proof)


def _boots_after(state: HostState, heard: BootId | None) -> tuple[BootId | None, tuple[BootId, ...]]:
    """Return the host's boot and its ended boots after a heartbeat with that boot id, or (None) without one."""
    if heard is None:
        return state.boot, state.ended_boots
    ended = state.ended_boots
    if state.boot is not None and state.boot != heard:
        ended = with_ended(ended, state.boot)
    return heard, tuple(boot for boot in ended if boot != heard)


def _all_ended(state: HostState, boot: BootId | None) -> tuple[BootId, ...]:
    ended = state.ended_boots
    for other in (state.boot, boot):
        ended = with_ended(ended, other) if other is not None else ended
    return ended


def _fenced(state: HostState, at: float, record: r.HostFenced) -> HostState:
    after = to_state(
        owing.fenced(state, record, at),
        State.FENCED,
        at,
        proof=_proof(record, at),
        token=record.token,
        is_stay_off=record.is_stay_off,
        record_fault="",
        lost_token=None,
        boot=record.boot if record.boot is not None else state.boot,
        ended_boots=_all_ended(state, record.boot),
        suspected_at=None,
        held_by=(),
        failures=0,
    )
    return change_operation(
        after,
        record.operation,
        is_fenced=True,
        proof=record.proof,
        proof_level=record.level,
        power=Power.OFF,
        announced_at=at,
    )


def _proof(record: r.HostFenced, at: float) -> ProofOfOff:
    return ProofOfOff(
        kind=record.proof,
        level=record.level,
        boot=record.boot,
        at=at,
        token=record.token,
        operation=record.operation,
        devices=record.devices,
        last_heard=record.last_heard,
    )


def _revoked(state: HostState, at: float, record: r.HostRevoked) -> HostState:
    boot, ended = _boots_after(state, record.boot)
    return to_state(
        owing.ran_again(state),
        _revoked_to(state, is_alive=record.is_alive),
        at,
        boot=boot,
        ended_boots=ended,
        token=record.token,
        proof=None,
        is_stay_off=False,
        is_on_forbidden=False,
        distrusted=union(state.distrusted, record.distrusted),
        trials=(),
        last_heard=at if record.is_alive else state.last_heard,
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
        held_by=(),
    )


def _revoked_to(state: HostState, *, is_alive: bool) -> State:
    if state.state is State.FENCING:
        return State.FENCING
    if not is_alive:
        return State.RESTORING
    return State.HEALTHY if state.maintenance is None else State.MAINTENANCE


def _announcement_lost(state: HostState, at: float, record: r.AnnouncementLost) -> HostState:
    """Drop an older proof: the lost records are newer, so the host may have run since. What an operator keeps off stays
    off until its devices show otherwise (S19)."""
    proof = state.proof if record.is_proof_kept else None
    lost_token = record.lost if record.is_proven else state.lost_token
    if state.state is not State.FENCED:
        return replace(state, token=record.token, proof=proof, lost_token=lost_token)
    is_kept_off = state.is_stay_off and state.is_off_by_person
    return to_state(
        owing.ran_again(state),
        State.RESTORING,
        at,
        token=record.token,
        proof=proof,
        lost_token=lost_token,
        is_stay_off=is_kept_off,
        is_on_forbidden=state.is_on_forbidden or is_kept_off,
        held_by=(),
    )


def _put_aside(state: HostState, at: float, record: r.HostPutAside) -> HostState:
    """Keep maintenance, other requests of operators and debts; drop every proof."""
    held = GateVerdict(gate="record", is_open=False, why=record.why)
    return to_state(
        state,
        State.FAILED,
        at,
        operation=None,
        waiting=None,
        reading=None,
        proof=None,
        token=record.token,
        record_fault=record.why,
        held_by=(held,),
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
    )
