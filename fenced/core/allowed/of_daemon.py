"""The gates about the daemon itself: armed, the lease, the store, and whether it listens long enough."""

from fenced.core.allowed.verdict import judged, seconds_left
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
    return judged("lease", True, f"held for {left:.1f} s more", seconds_left(left))


_AFTER_STORE_HOLD = "repeat disarm, pauses and maintenance that must hold, then `fencectl release store --reason R`"


def store(fleet: Fleet) -> GateVerdict:
    if fleet.state.store_hold:
        return judged("store", False, f"{fleet.state.store_hold}; {_AFTER_STORE_HOLD}")
    return judged("store", True, "the store that this daemon had before")


def warm_up(fleet: Fleet, now: float) -> GateVerdict:
    left = fleet.quiet_until - now
    if left > 0.0:
        return judged("warm_up", False, f"startup_quiet lasts {left:.0f} s more", seconds_left(left))
    if fleet.own.bus_connected_at is None:
        return judged("warm_up", False, "the bus is not connected")
    opened = fleet.own.ear.opened_at
    if opened is None or now < opened:
        margin = "" if opened is None else seconds_left(opened - now)
        return judged("warm_up", False, "bus_settle after the (re)connection is not over", margin)
    return judged("warm_up", True, f"listening since {now - opened:.0f} s")
