"""Turns records into CloudEvents, and a host's state into its retained message (interface.md#bus). Pure.

The retained state is published before the events of its batch, so a reader of `fenced` finds the same token there.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState
from fenced.core.said import fleet_events, host_events, operation_events, sleep_events
from fenced.core.said.cloud_events import CloudEvents, Data
from fenced.model.moments import Moment
from fenced.model.names import DeviceName, HostName, OperationId
from fenced.model.power import State

PROVEN = frozenset({State.FENCED, State.RESTORING})
"""States in which the proof holds. Later it only helps to recognise old messages of the run that it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A CloudEvent to publish.

    Times in `data` are `Moment`s. `acknowledge`: the operation that waits until the broker has it.
    """

    type: str
    host: HostName | None
    at: float
    data: Data = field(default_factory=dict)
    acknowledge: OperationId | None = None


def announce(entry: r.Entry, before: HostState | None, after: HostState | None) -> list[Announcement]:
    """Return the events of one record.

    `before`, `after`: the host's state around it; None for a record of the fleet.
    """
    record = entry.record
    if isinstance(record, r.FleetRecord) or before is None or after is None:
        return [Announcement(type=type_, host=None, at=entry.at, data=data) for type_, data in fleet_events.of(record)]
    return [_of_host(entry, after, type_, data) for type_, data in _events(entry.at, record, before, after)]


def _events(at: float, record: r.HostRecord, before: HostState, after: HostState) -> CloudEvents:
    if isinstance(record, r.OperationRecord | r.RunRecord):
        return operation_events.of(record, before, after)
    if isinstance(record, r.Decided):
        return []  # the records beside it are announced
    if isinstance(record, r.SleepRecord):
        return sleep_events.of(record)
    return host_events.of(at, record, before, after)


def _of_host(entry: r.Entry, after: HostState, type_: str, data: Data) -> Announcement:
    acknowledge = entry.record.operation if isinstance(entry.record, r.HostFenced) else None
    return Announcement(type=type_, host=after.name, at=entry.at, data=_base(after) | data, acknowledge=acknowledge)


def _base(after: HostState) -> Data:
    """Return the fields that every event of a host has."""
    operation = after.operation or after.reading
    return {
        "host": str(after.name),
        "operation": str(operation.id) if operation is not None else None,
        "token": str(after.token) if after.token is not None else None,
        "cause": _cause(after),
        "by": operation.by if operation is not None else None,
        "reason": operation.reason if operation is not None else after.suspicion_reason or None,
    }


def _cause(after: HostState) -> str | None:
    if after.operation is not None:
        return after.operation.cause.value
    return after.suspicion.value if after.suspicion is not None else None


def state_message(
    state: HostState, controller: str, *, devices: Collection[DeviceName] | None = None, rev: str = ""
) -> dict[str, Any]:
    """Return the retained state of one host; times are `Moment`s.

    `rev`: the number of the message, EPOCH-SEQUENCE, so that of two the newer one is known. `devices`: those that the
    inventory has now, because the state may know others; None: show all.
    """
    return {
        "host": str(state.name),
        "state": state.state.value,
        "since": Moment(state.since),
        "operation": state.operation.id if state.operation is not None else state.last_operation,
        "token": str(state.token) if state.token is not None else None,
        "proof": state.proof.kind.value if state.proof is not None and state.state in PROVEN else None,
        "power": {str(device): power.value for device, power in state.power if devices is None or device in devices},
        "stay_off": state.is_stay_off,
        "held_by": [verdict.gate for verdict in state.held_by],
        "controller": controller,
        "rev": rev,
    }
