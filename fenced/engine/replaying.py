"""Builds the fleet from the journal: snapshots, then the records since each.

One host's bad records put that host aside and block no other.
"""

from dataclasses import replace

import structlog

from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.journal import Loaded

log = structlog.get_logger(__name__)


def replay(inventory: Inventory, loaded: Loaded, *, started: float) -> Fleet:
    """Return the fleet as the journal left it, of a controller that did not take the lease yet."""
    fleet = Fleet(inventory, epoch=0, started=started)
    fleet.restore(loaded.hosts, loaded.fleet)
    for name, why in loaded.faults.items():
        doubt(fleet, name, why)
    fleet.expected_store = loaded.expected_store
    why = ""
    if loaded.expected_store:
        why = f"store {loaded.store_id} is in the place of {loaded.expected_store}, which is gone"
    elif loaded.went_back:
        why = loaded.went_back
    elif loaded.fleet_fault:
        why = f"the fleet's own records can't be read: {loaded.fleet_fault}"
    is_older = bool(loaded.went_back) and not loaded.expected_store
    fleet.own = replace(fleet.own, store_doubt=why, is_store_older=is_older)
    for entry in loaded.tail:
        fold(fleet, entry)
    return fleet


def doubt(fleet: Fleet, name: HostName | None, why: str) -> None:
    """Put a host aside, or hold the fleet (None), because its records can't be read."""
    if name is None:
        said = fleet.own.store_doubt or f"the fleet's own records can't be applied: {why}"
        fleet.own = replace(fleet.own, store_doubt=said)
        return
    log.error("host_put_aside", host=name, reason=why)
    fleet.faults[name] = why
    if name not in fleet.hosts and name not in fleet.gone:
        fleet.gone[name] = HostState(name=name, since=fleet.started)


def fold(fleet: Fleet, entry: Entry) -> None:
    """Fold a record, unless its host is put aside."""
    if entry.host is not None and entry.host in fleet.faults:
        return
    try:
        fleet.apply(entry)
    except Exception as exc:  # border of the store: one host's bad records must not block all others
        doubt(fleet, entry.host, f"{entry.record.kind} can't be folded: {type(exc).__name__}: {exc}")
