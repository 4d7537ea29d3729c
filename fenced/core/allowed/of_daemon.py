"""The gates about the daemon itself: armed, the lease, the store, and whether it listens long enough."""

from fenced.core.allowed.verdict import judged
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.heard.own import LEASE_MARGIN_SECONDS


def armed(fleet: Fleet) -> GateVerdict:
    if not fleet.inventory.daemon.is_armed_by_file:
        return judged("armed", False, "daemon.armed is false in the configuration file")
    if fleet.state.is_disarmed:
        return judged("armed", False, "an operator disarmed the daemon; `fencectl arm` ends that")
    return judged("armed", True, "armed")


def lease(fleet: Fleet, now: float) -> GateVerdict:
    left = fleet.own.lease_until - now
    if fleet.own.is_stopping:
        return judged("lease", False, "the daemon is stopping")
    if fleet.is_lease_lost or left < LEASE_MARGIN_SECONDS:
        return judged("lease", False, "the lease of the store is lost or in doubt")
    return judged("lease", True, f"held for {left:.1f} s more")


_AFTER_STORE_HOLD = "repeat disarm, pauses and maintenance that must hold, then `fencectl release store --reason R`"


def store(fleet: Fleet) -> GateVerdict:
    if fleet.state.store_hold:
        return judged("store", False, f"{fleet.state.store_hold}; {_AFTER_STORE_HOLD}")
    return judged("store", True, "the store that this daemon had before")


def warm_up(fleet: Fleet, now: float) -> GateVerdict:
    if now < fleet.quiet_until:
        return judged("warm_up", False, f"startup_quiet lasts {fleet.quiet_until - now:.0f} s more")
    if fleet.own.bus_connected_at is None:
        return judged("warm_up", False, "the bus is not connected")
    if fleet.own.ear.opened_at is None or now < fleet.own.ear.opened_at:
        return judged("warm_up", False, "bus_settle after the (re)connection is not over")
    return judged("warm_up", True, f"listening since {now - fleet.own.ear.opened_at:.0f} s")
