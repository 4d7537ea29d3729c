"""Takes over what another controller had under way, before any host is recovered (S21, S22).

Its commands may act for their whole time, counted from when this controller learned of them. What operators said stays
said, even if the store lost it.
"""

from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Words
from fenced.core.events import Started
from fenced.core.fleet import Fleet
from fenced.core.operation import requests
from fenced.core.restricting import AGAIN, LOST
from fenced.core.work import Work


def begin(work: Work, event: Started) -> None:
    """Record the takeover, if there was one, and the condition of the bus as this controller found it."""
    fleet = work.fleet
    if event.before:
        name = fleet.inventory.daemon.name
        work.record_fleet(r.ControlTaken(controller=name, before=event.before, epoch=fleet.epoch))
    for name, until in event.outlast.items():
        work.record(name, r.CommandsOutlast(until=until))
    for why in event.doubts:
        doubt(work, why)
    if event.words is not None:
        _say_again(work, event.words)
    _bus(work)


def doubt(work: Work, why: str) -> None:
    """Hold automatic fencing: another controller saw records that the store lacks (S22)."""
    if not work.fleet.state.store_hold:
        work.record_fleet(r.StoreDoubted(why=why, is_older=True))


def _bus(work: Work) -> None:
    """A standby follows the bus without recording it."""
    own, state = work.fleet.own, work.fleet.state
    if own.bus_connected_at is not None and state.is_bus_lost:
        work.record_fleet(r.BusBack())
    elif own.bus_lost_at is not None and not state.is_bus_lost:
        work.record_fleet(r.BusLost(why="this controller lost it while it was a standby"))


def _say_again(work: Work, words: Words) -> None:
    fleet = work.fleet
    if words.is_disarmed and not fleet.state.is_disarmed:
        work.record_fleet(r.Disarmed(by=AGAIN, reason=LOST))
    known = {pause.id for pause in fleet.state.pauses}
    for pause in words.pauses:
        if pause.id not in known and (pause.until is None or pause.until > work.now):
            work.record_fleet(r.PauseSet(pause=pause))
    for name, by, reason, until in words.maintenance:
        state = fleet.hosts.get(name)
        if state is None or state.maintenance is not None or (until is not None and until <= work.now):
            continue
        after = requests.state_in_maintenance(state.state, state.operation)
        recording.leave_alone(work.on(name), by, f"{reason} ({LOST})")
        work.record(name, r.MaintenanceSet(by=by, reason=f"{reason} ({LOST})", until=until, after=after))


def words_of(fleet: Fleet) -> Words:
    """Return what operators said to restrict the daemon, as the journal has it.

    Each report to the store asks, so it goes over no hosts but those in maintenance, now or before this batch.
    """
    names = sorted(name for name in fleet.maintained | set(fleet.hosts.before or ()) if fleet.is_durable(name))
    return Words(
        is_disarmed=fleet.durable_state.is_disarmed,
        pauses=fleet.durable_state.pauses,
        maintenance=tuple(
            (name, it.by, it.reason, it.until) for name in names if (it := fleet.durable(name).maintenance)
        ),
    )
