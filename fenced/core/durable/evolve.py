"""Folds one record into a host's state: the only place where durable state changes. Pure; a replay gives the same.

Each part of `evolve_*` folds one union of `records`, and mypy checks that none of its records is forgotten. A late or
repeated record of an operation that is over changes no operation. `machine` asserts that each transition is in its
tables.
"""

from fenced.core.durable import evolve_owed as owing
from fenced.core.durable import machine
from fenced.core.durable import records as r
from fenced.core.durable.evolve_devices import evolve_devices
from fenced.core.durable.evolve_drill import drilled
from fenced.core.durable.evolve_host import evolve_host
from fenced.core.durable.evolve_operation import evolve_operation
from fenced.core.durable.evolve_sleep import evolve_sleep, follow_saving
from fenced.core.durable.evolve_step import evolve_step
from fenced.core.durable.evolve_suspicions import follow
from fenced.core.durable.state import HostState


def evolve(state: HostState, entry: r.Entry) -> HostState:
    """Return the host's state after one of its records."""
    after = follow(state, owing.consistent(_evolve(state, entry.at, entry.record)), entry)
    if state.drill is not None or state.last_drill is not None or isinstance(entry.record, r.OperationStarted):
        after = drilled(state, after, entry.at, entry.record)
    after = follow_saving(state, after, entry.at, entry.record)
    machine.check(entry.record, state, after)
    return after


def _evolve(state: HostState, at: float, record: r.Record) -> HostState:
    if isinstance(record, r.Decided):
        return state
    if isinstance(record, r.SleepRecord):
        return evolve_sleep(state, at, record)
    if isinstance(record, r.RunRecord):
        return evolve_step(state, at, record)
    if isinstance(record, r.OperationRecord):
        return evolve_operation(state, at, record)
    if isinstance(record, r.DeviceRecord):
        return evolve_devices(state, at, record)
    assert not isinstance(record, r.FleetRecord), f"{record.kind} is a record of the fleet, not of {state.name}"
    return evolve_host(state, at, record)
