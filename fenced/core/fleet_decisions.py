"""Decides about the fleet as a whole: bus, lease, stalls of the daemon, arming, pauses, requests of the bus."""

from typing import assert_never

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core import storms
from fenced.core.allowed import match as selection
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import AnsweredRequest, Pause
from fenced.core.durable.replacing import replace
from fenced.core.fleet import Fleet
from fenced.core.heard import own_health
from fenced.core.heard.checks import NOTHING
from fenced.core.heard.others import LOCKED_SECONDS, Others
from fenced.core.heard.own import Own
from fenced.core.operation import confirming, edited, recovery, requests
from fenced.core.work import Work
from fenced.model.answers import Accepted, Answer, RefusedBy, from_text, to_text
from fenced.model.inventory import Inventory
from fenced.model.names import OperationId
from fenced.model.power import Action

LAG_STRETCH_SECONDS = 60.0
"""A stall of the daemon stretches every grace for this long."""

PAUSES_MAX = 1000
FUTURE_SECONDS = 60.0
"""How far ahead of the daemon's clock a request's `at` may be."""

OwnEvent = (
    e.BusConnected
    | e.BusDisconnected
    | e.Stalled
    | e.LeaseRenewed
    | e.LeaseLost
    | e.DrainStarted
    | e.BudgetSeen
    | e.ProxiesSeen
    | e.OwnHealthMeasured
)


def own_event(work: Work, event: OwnEvent) -> None:
    """Handle an event of the daemon itself."""
    work.own(condition(work.fleet, event))
    match event:
        case e.BusConnected():
            _bus_connected(work, event)
        case e.BusDisconnected():
            _bus_disconnected(work, event)
        case e.LeaseLost():
            work.command(c.KillOns())
        case _:
            pass


def condition(fleet: Fleet, event: OwnEvent) -> Own:
    """Return the condition of the daemon after an event. A standby keeps it, too."""
    own = fleet.own
    match event:
        case e.BusConnected():
            return bus_connected(fleet, event)
        case e.BusDisconnected():
            return bus_disconnected(own, event)
        case e.Stalled():
            return stalled(own, event)
        case e.OwnHealthMeasured():
            return measured(own, event)
        case e.LeaseRenewed():
            return replace(own, lease_until=event.until, format=event.format)
        case e.LeaseLost():
            return replace(own, lease_until=0.0)
        case e.DrainStarted():
            return replace(own, is_stopping=True)
        case e.BudgetSeen():
            return replace(own, others=_others(own.others, event))
        case e.ProxiesSeen():
            return replace(own, proxy_faults=event.faults, observers=event.observers, untold=event.untold)
        case _:
            assert_never(event)


def _others(before: Others, event: e.BudgetSeen) -> Others:
    """Anchor what the store told at its answer: a draw counts rather too long than too short."""
    if event.elsewhere is None:
        return replace(before, locked_until=event.at + LOCKED_SECONDS)
    until = tuple(event.at + seconds for seconds in event.elsewhere.lasting_seconds)
    return replace(before, until=until, unrecovered=event.elsewhere.unrecovered)


def inventory_read(work: Work, event: e.InventoryRead) -> Answer:
    """Load a whole new inventory, unless it changes what a running operation or a debt needs.

    Decided here and not by the API, because an event in the inbox may start such an operation first.
    """
    fleet = work.fleet
    if (refused := lost_all(fleet, event.inventory)) is not None:
        return refused
    for name, state in fleet.hosts.items():
        if (why := edited.spoilt(state, fleet.host(name), event.inventory.hosts.get(name), work.now)) is not None:
            return RefusedBy(rule="busy", why=why)
    if event.is_trial:
        return Accepted(operation=OperationId(""))
    before = fleet.inventory
    take_inventory(fleet, event.inventory, work.now)
    for name in sorted(fleet.gone):
        recovery.remove(work.on(name))
    for name, host in fleet.hosts.items():
        was = before.hosts.get(name)
        if was is not None and edited.is_other(was, fleet.host(name)):  # the watch read other devices
            fleet.see(name, watch_offs=NOTHING, watch_lit=NOTHING, devices_since=work.now)
        if host.is_removed or host.owed or host.orphans:
            recovery.settle_edit(work.on(name))
        work.on(name).wake(work.now)
    return Accepted(operation=OperationId(""))


def lost_all(fleet: Fleet, inventory: Inventory) -> RefusedBy | None:
    """Refuse a new inventory that has no host any more."""
    if not fleet.inventory.hosts or inventory.hosts:
        return None
    return RefusedBy(
        rule="no_host", why="it has no host any more, as when its files are lost; if that is intended, restart"
    )


def stalled(own: Own, event: e.Stalled) -> Own:
    """Return the condition after the daemon did not run for some time."""
    own, until = replace(own, ear=own.ear.lost(event.seconds, event.at)), event.at + LAG_STRETCH_SECONDS
    is_newest = until >= own.lag_until  # a batch that is decided again may bring an older one after a newer
    return replace(own, lag_seconds=event.seconds, lag_until=until) if is_newest else own


def measured(own: Own, event: e.OwnHealthMeasured) -> Own:
    """Return the condition with the newest measurements of the daemon itself."""
    signs = (own_health.of_loop(event.lag_seconds, event.at), own_health.of_bus(event.waited_seconds, event.at))
    what = (own_health.LOOP, own_health.BUS)
    return replace(own, ills=own_health.replaced(own.ills, what, signs, event.at))


def bus_connected(fleet: Fleet, event: e.BusConnected) -> Own:
    """Start silence at the end of `bus_settle`; hosts silent through a real outage get `release_grace` from there."""
    own = fleet.own
    settled = _settled(fleet, event)
    if own.bus_lost_at is not None and event.at - own.bus_lost_at > _shortest_interval(fleet):
        own = replace(own, released_since=event.at, released_from=settled)
    # A second connection without a loss in between keeps the listening time.
    ear = own.ear.closed(event.at).opened(settled)
    young = own_health.of_young_bus(event.at)
    ills = own_health.replaced(own.ills, (own_health.YOUNG_BUS,), (young,), event.at)
    return replace(own, bus_connected_at=event.at, bus_lost_at=None, ear=ear, ills=ills)


def _settled(fleet: Fleet, event: e.BusConnected) -> float:
    return max(event.at + fleet.inventory.daemon.bus_settle_seconds, fleet.quiet_until)


def _bus_connected(work: Work, event: e.BusConnected) -> None:
    fleet = work.fleet
    if fleet.state.is_bus_lost:
        work.record_fleet(r.BusBack())
    for name in fleet.troubled:
        work.on(name).wake(_settled(fleet, event) + 0.001)


def _shortest_interval(fleet: Fleet) -> float:
    """Return the shortest interval: a shorter outage swallows no host's beats, so no host is "silent through it"."""
    hosts = fleet.inventory.hosts.values()
    return min((host.settings.detection.heartbeat_interval_seconds for host in hosts), default=0.0)


def bus_disconnected(own: Own, event: e.BusDisconnected) -> Own:
    """Stop the listening time."""
    if own.bus_connected_at is None:
        return own
    return replace(own, bus_connected_at=None, bus_lost_at=event.at, ear=own.ear.closed(event.at))


def _bus_disconnected(work: Work, event: e.BusDisconnected) -> None:
    if work.fleet.own.bus_lost_at is not None and not work.fleet.state.is_bus_lost:
        work.record_fleet(r.BusLost(why=event.why))


def take_inventory(fleet: Fleet, inventory: Inventory, now: float) -> None:
    """Take a new inventory. New hosts get the quiet time of a start: the daemon did not listen to them yet (S11)."""
    coming = inventory.hosts.keys() - fleet.hosts.keys()
    fleet.take(inventory)
    for name in coming:
        fleet.see(name, heard_ear=fleet.own.ear.now(now) + fleet.inventory.daemon.startup_quiet_seconds)


# -- requests of operators --------------------------------------------------------------------------------------------


FleetAsked = e.PauseAsked | e.PauseEndAsked | e.ArmAsked | e.StoreReleaseAsked | e.StormReleaseAsked


def asked(work: Work, event: FleetAsked) -> Answer:
    """Arm, disarm, pause or release the store. Reject an expression that selects no host (S12)."""
    match event:
        case e.PauseAsked():
            return _pause(work, event)
        case e.PauseEndAsked():
            if all(pause.id != event.id for pause in work.fleet.state.pauses):
                return RefusedBy(rule="unknown", why=f"no pause {event.id}")
            work.record_fleet(r.PauseEnded(id=event.id, by=event.by))
            return Accepted(operation=OperationId(event.id))
        case e.ArmAsked():
            return _arm(work, event)
        case e.StoreReleaseAsked():
            return _release_store(work, event)
        case e.StormReleaseAsked():
            return storms.release(work, event)
        case _:
            assert_never(event)


def _pause(work: Work, event: e.PauseAsked) -> Answer:
    if any(pause.id == event.id for pause in work.fleet.state.pauses):
        return Accepted(operation=OperationId(event.id))
    refused = pause_refused(work.fleet, event.match, is_everywhere=bool(event.id))
    if refused is not None and not event.is_accepted:
        return refused
    pause = Pause(
        id=event.id or f"p-{work.fleet.next_token()}",
        match=event.match,
        by=event.by,
        reason=event.reason,
        since=work.now,
        until=event.until,
    )
    work.record_fleet(r.PauseSet(pause=pause))
    return Accepted(operation=OperationId(pause.id))


def pause_refused(fleet: Fleet, match: str, *, is_everywhere: bool = False) -> RefusedBy | None:
    """Return why a new pause is not accepted; None if it is. `is_everywhere`: one of all shards may select no host of
    this one."""
    if why := selection.why_none(match, None if is_everywhere else fleet.inventory.hosts.values()):
        return RefusedBy(rule="match", why=why)
    if len(fleet.state.pauses) >= PAUSES_MAX:
        return RefusedBy(rule="limit", why=f"there are {PAUSES_MAX} pauses already; end some first")
    return None


def end_pauses(work: Work) -> None:
    """End the expired pauses."""
    for pause in work.fleet.pauses_over(work.now):
        work.record_fleet(r.PauseEnded(id=pause.id, by="its time is over"))


def _arm(work: Work, event: e.ArmAsked) -> Answer:
    if not event.is_on:
        work.record_fleet(r.Disarmed(by=event.by, reason=event.reason))
        for state in work.fleet.hosts.values():
            if state.operation is not None:
                work.on(state.name).wake(work.now)
        return Accepted(operation=OperationId(""))
    if not work.fleet.inventory.daemon.is_armed_by_file:
        return RefusedBy(
            rule="armed", why="the configuration file says daemon.armed = false; change it and reload (S19)"
        )
    work.record_fleet(r.Armed(by=event.by, reason=event.reason))
    return Accepted(operation=OperationId(""))


def _release_store(work: Work, event: e.StoreReleaseAsked) -> Answer:
    fleet = work.fleet
    if not fleet.state.store_hold:
        return RefusedBy(rule="store", why="the store is not in doubt")
    work.record_fleet(r.StoreReleased(by=event.by, reason=event.reason, expected=fleet.expected_store))
    work.own(replace(fleet.own, store_doubt=""))
    for name in fleet.troubled:
        work.on(name).wake(work.now)
    return Accepted(operation=OperationId(""))


# -- requests with an idempotency key ---------------------------------------------------------------------------------


def answered_before(fleet: Fleet, key: str, content: str) -> Answer | None:
    """Return the first answer to a request with this key; None if there was none."""
    answered = fleet.state.answered(key)
    if answered is None:
        return None
    if answered.content == content:
        return from_text(answered.answer)
    why = "this Idempotency-Key came with another request before; give each request a key of its own"
    return RefusedBy(rule="idempotency_key", why=why)


def note_answer(work: Work, event: e.Keyed, answer: Answer | None) -> None:
    """Record an answer, so that the request is obeyed once also by a successor."""
    text = to_text(answer if answer is not None else Accepted(operation=OperationId("")))
    answered = AnsweredRequest(id=event.key, at=work.now, answer=text, content=event.content)
    work.record_fleet(r.RequestAnswered(request=answered))


# -- requests of the bus ----------------------------------------------------------------------------------------------


def bus_request(work: Work, event: e.BusRequest) -> Answer | None:
    """Execute, refuse, or repeat the first answer to the same id. The answer is journalled before it is sent."""
    fleet = work.fleet
    if (before := fleet.state.answered(event.id)) is not None:
        _reply(work, event, from_text(before.answer))
        return None
    if event.host not in fleet.hosts:
        return None
    answer = _request_refusal(work, event) or _obey(work, event)
    answered = AnsweredRequest(id=event.id, at=work.now, answer=to_text(answer))
    work.record_fleet(r.RequestAnswered(request=answered))
    _reply(work, event, answer)
    return answer


def _request_refusal(work: Work, event: e.BusRequest) -> RefusedBy | None:
    settings = work.fleet.inventory.daemon
    if event.is_retained:
        return RefusedBy(rule="retained", why="a retained request is not obeyed")
    age = work.now - event.sent_at
    if age > settings.request_max_age_seconds or age < -FUTURE_SECONDS:
        return RefusedBy(rule="stale", why=f"sent {age:.0f} s ago; at most {settings.request_max_age_seconds:.0f} s")
    if event.action not in settings.accept_requests:
        return RefusedBy(rule="accept_requests", why=f"{event.action} is not in bus.accept_requests")
    return None


def _obey(work: Work, event: e.BusRequest) -> Answer:
    host = work.on(event.host)
    match event.action:
        case "fence" | "off" | "on" | "restart":
            action = host.host.settings.fence_action if event.action == "fence" else Action(event.action)
            return requests.ask(host, e.ActionAsked(host=event.host, action=action, by=event.by, reason=event.reason))
        case "cancel":
            running = host.operation
            if running is None:
                return RefusedBy(rule="ended", why=f"no operation runs on {event.host}")
            return requests.cancel(
                host, e.CancelAsked(host=event.host, operation=running.id, by=event.by, reason=event.reason)
            )
        case "confirm_off":
            asked = e.ConfirmOffAsked(host=event.host, by=event.by, reason=event.reason, is_forced=False, read=None)
            return confirming.confirm_off(host, asked)
        case "maintenance_on" | "maintenance_off":
            is_on = event.action == "maintenance_on"
            requests.maintenance(
                host, e.MaintenanceAsked(host=event.host, is_on=is_on, by=event.by, reason=event.reason)
            )
            return Accepted(operation=OperationId(""))
        case _:
            return RefusedBy(rule="action", why=f"{event.action!r} is no action")


def _reply(work: Work, event: e.BusRequest, answer: Answer) -> None:
    work.command(
        c.Reply(
            host=event.host,
            request_id=event.id,
            reply_topic=event.reply_topic,
            correlation=event.correlation,
            answer=answer,
        )
    )
