"""Judges a hand-over and a request at a standby by what the controllers reported to the store.

It changes nothing: the engine lets go of the lease, and the store decides who takes it.
"""

from collections.abc import Sequence

from fenced.model.names import SHARD
from fenced.ports.control import NotFound, Refused, Standby
from fenced.ports.journal import ControllerView


def standby(views: Sequence[ControllerView], *, name: str, shard: str = SHARD) -> Standby:
    """Return the answer of the standby of this name to a request for a change."""
    holder = _holder(views, shard)
    if holder is None or holder.is_self:
        why = f"{name} is a standby, and no controller holds the shard {shard} now; try again: one may be taking it"
        return Standby(why, active=None)
    address = holder.report.address
    where = f"at {address}" if address else "which gives no address (api.advertise)"
    why = f"{name} is a standby and changes nothing: send this to {holder.report.name}, {where}"
    return Standby(why, active=address or None)


def check(views: Sequence[ControllerView], *, name: str, shard: str, to: str) -> None:
    """Check that the holder of this name may give the shard to `to`, or to any controller if that is "".

    Raises NotFound and Refused, as `Control.hand_over` says.
    """
    others = [view for view in views if not view.is_self and view.report.name != name]
    if not to:
        if not any(view.is_alive and not view.report.unfit for view in others):
            raise Refused("alone", f"no other controller is alive and fit to take {shard}: see `fencectl controllers`")
        return
    if to == name:
        raise Refused("held", f"{name} holds {shard} already; name another controller, or none for any that is fit")
    found = next((view for view in others if view.report.name == to), None)
    if found is None:
        raise NotFound(f"no controller {to} has reported to the store: `fencectl controllers` lists them")
    if not found.is_alive:
        raise Refused("unfit", f"{to} is offline: it has not reported to the store for a whole lease")
    if found.report.unfit:
        raise Refused("unfit", f"{to} is not fit to take {shard}: {'; '.join(found.report.unfit)}")


def check_shard(shard: str) -> None:
    """Raises NotFound for a shard that no host belongs to."""
    if shard != SHARD:
        raise NotFound(f"no shard {shard}: every host is in {SHARD}")


def _holder(views: Sequence[ControllerView], shard: str) -> ControllerView | None:
    return next((view for view in views if view.is_alive and any(held.shard == shard for held in view.shards)), None)
