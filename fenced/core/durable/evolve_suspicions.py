"""Folds the suspicions that gates held, and how each ended (`held_suspicion`).

A host that is heard again in the same run was alive: its would-be fence was false, whatever an operator did meanwhile.
"""

from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.held_suspicion import ARMING, HeldSuspicion, SuspicionEnd
from fenced.core.durable.operation_state import Slot
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState
from fenced.model.power import Cause, Proof, State

KEPT_SECONDS: Final = 8 * 86400.0
"""A week is shown; a day more, because old ones are dropped only when another comes."""
KEPT_MAX: Final = 8
"""Per host. More are counted as cut (`HostState.suspicions_cut_at`)."""
LIVED_ON: Final = frozenset({SuspicionEnd.OPERATOR, SuspicionEnd.CONFIRMED, SuspicionEnd.OFF, SuspicionEnd.REMOVED})
"""Ends that a heartbeat of the same run refutes."""


def follow(before: HostState, after: HostState, entry: r.Entry) -> HostState:
    """Return `after` with its held suspicions brought up to date with the record."""
    record = entry.record
    if isinstance(record, r.HostHeld) and before.drill is not None:
        return after  # the drill itself silenced it
    if isinstance(record, r.HostHeld):
        return _held(after, entry.at, record) if after.state is State.SUSPECT else after
    if not after.suspicions:
        return after
    last = after.suspicions[-1]
    end = _end(before, after, record)  # final, but for `_lived_on`
    if end is None or (last.end is not None and not _lived_on(before, last, record)):
        return after
    ended = replace(last, end=end, ended_at=entry.at)
    return replace(after, suspicions=(*after.suspicions[:-1], ended))


def _held(after: HostState, at: float, record: r.HostHeld) -> HostState:
    shut = {verdict.gate for verdict in record.gates if not verdict.is_open}
    others = tuple(sorted(shut - ARMING))
    kept, last = after.suspicions, after.suspicions[-1] if after.suspicions else None
    if last is None or last.end is not None:
        last = HeldSuspicion(
            at=after.suspected_at if after.suspected_at is not None else at,
            cause=after.suspicion or Cause.SILENCE,
            last_heard=after.last_heard,
            gates=(),
        )
    elif last.would_at is not None:
        return after
    else:
        kept = kept[:-1]
    now = replace(last, gates=others) if others else replace(last, gates=tuple(sorted(shut)), would_at=at)
    recent = [one for one in kept if one.end is None or (one.ended_at or one.at) > at - KEPT_SECONDS]
    cut = sorted(recent, key=_is_false)[: max(len(recent) + 1 - KEPT_MAX, 0)]
    cut_at = max([after.suspicions_cut_at, *(one.at for one in cut)])
    return replace(after, suspicions=(*(one for one in recent if one not in cut), now), suspicions_cut_at=cut_at)


def _is_false(one: HeldSuspicion) -> bool:
    """Return whether an armed daemon would have cut a living host: these are kept longest."""
    return one.would_at is not None and one.end is SuspicionEnd.HEARD


def _end(before: HostState, after: HostState, record: r.Record) -> SuspicionEnd | None:
    """Return what the record says became of the silent host; None: nothing."""
    match record:
        case r.HostHeard():
            return _heard(before, record)
        case r.HostLeft(is_overdue=False):
            return SuspicionEnd.HEARD  # it said that it stops, so it lived
        case r.HostRevoked(is_alive=True):
            is_same_run = record.boot is None or record.boot == before.boot
            return SuspicionEnd.HEARD if is_same_run else SuspicionEnd.REBOOTED
        case r.HostFenced():
            return SuspicionEnd.CONFIRMED if record.proof is Proof.HUMAN else SuspicionEnd.OFF
        case r.OperationStarted(slot=Slot.RUNNING) | r.WaitingOperationStarted():
            operation = after.operation
            is_ours = operation is not None and operation.is_automatic
            return SuspicionEnd.ACTED if is_ours else SuspicionEnd.OPERATOR
        case r.MaintenanceSet():
            return SuspicionEnd.OPERATOR
        case r.HostRemoved():
            return SuspicionEnd.REMOVED
        case _:
            return None


def _heard(before: HostState, record: r.HostHeard) -> SuspicionEnd:
    is_new_run = record.boot is not None and before.boot is not None and record.boot != before.boot
    return SuspicionEnd.REBOOTED if is_new_run else SuspicionEnd.HEARD


def _lived_on(before: HostState, last: HeldSuspicion, record: r.Record) -> bool:
    """Return whether a host of which something else was believed is heard in the very run that had fallen silent."""
    if not isinstance(record, r.HostHeard | r.HostRevoked) or record.boot is None:
        return False
    return record.boot == before.boot and last.end in LIVED_ON
