"""What a standby does with events: it hears, and decides and records nothing.

The durable state comes from the journal of the controller that decides. Beats, evidence, and the condition of the bus
and the proxies change only what was heard, so that a takeover starts with everything that it would have heard itself.
"""

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.replacing import replace
from fenced.core.fleet import Fleet
from fenced.core.fleet_decisions import condition, lost_all, take_inventory
from fenced.core.suspected import evidence, hearing
from fenced.model.answers import RefusedBy


def hear(fleet: Fleet, event: e.Event, now: float) -> bool:
    """Keep what was heard. Return False for what only the controller that decides can handle."""
    match event:
        case e.Health():
            hearing.overhear(fleet, event)
        case e.Evidence():
            evidence.keep_evidence(fleet, event, now)
        case (
            e.BusConnected()
            | e.BusDisconnected()
            | e.Stalled()
            | e.OwnHealthMeasured()
            | e.LeaseRenewed()
            | e.DrainStarted()
            | e.BudgetSeen()
            | e.ProxiesSeen()
        ):
            fleet.own = condition(fleet, event)
        case e.PathsListed():
            fleet.forget_checks(event.paths)
        case e.InventoryRead(is_trial=True):
            pass
        case e.InventoryRead():
            take_inventory(fleet, event.inventory, now)  # the takeover matches it with the records, as a start does
        case _:
            return False
    return True


def refused(fleet: Fleet, event: e.Event) -> RefusedBy | None:
    """Return why a standby does not take a new inventory: the takeover would remove all hosts."""
    return lost_all(fleet, event.inventory) if isinstance(event, e.InventoryRead) else None


def folded(fleet: Fleet, entry: r.Entry, now: float) -> None:
    """Note that a record of another controller was folded.

    A beat that ends a proof of OFF is not kept here, because only the controller that decides can judge it: its record
    says that the host was heard.
    """
    match entry.record:
        case r.Listened():  # both listened at the same time, and only one of them counts
            fleet.own = replace(fleet.own, listening_recorded=fleet.own.ear.now(now))
        case r.StoreReleased():  # a person trusts the store that this one doubts, too
            fleet.own = replace(fleet.own, store_doubt="", is_store_older=False)
        case r.HostHeard() | r.HostRevoked(is_alive=True) if entry.host is not None and entry.host in fleet.sights:
            fleet.see(entry.host, heard_at=now, heard_ear=fleet.own.ear.now(now))
        case _:
            pass
