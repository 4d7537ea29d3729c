"""The core's only door: one event in, records and commands out. No event from outside makes it raise.

Each event goes to one module: messages to `suspected.hearing` and `suspected.evidence`, timers to `suspected.looking`,
requests to `operation.requests`, results of races and steps to `operation.results`, readings of the check to
`suspected.fenceable`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

from fenced.core import closed_gates, fleet_decisions, late_hosts, listening, lost, restricting, storms, taking
from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.believed import trust
from fenced.core.durable import records as r
from fenced.core.durable.state import Operation
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Room, tightest
from fenced.core.operation import confirming, drills, recovery, requests, results
from fenced.core.said.announce import Announcement
from fenced.core.saving import asking, policy
from fenced.core.suspected import drilled, evidence, fenceable, hearing, looking, trials
from fenced.core.suspected.watch import watch_ended
from fenced.core.work import HostWork, Work
from fenced.model.answers import Answer
from fenced.model.power import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """New facts and the commands that follow. `is_news`: False if the message was dropped as stale or retained. `room`:
    what its draws from the budget leave to other shards; None if it draws nothing."""

    entries: tuple[r.Entry, ...]
    commands: tuple[c.Command, ...]
    ended: tuple[Operation, ...] = ()
    told: tuple[Announcement, ...] = ()
    answer: Answer | None = None
    is_news: bool = True
    room: Room | None = None


NOTHING_CHANGED: Final = Decision(entries=(), commands=())
"""The decision about most heartbeats."""


def decide(fleet: Fleet, event: e.Event, now: float) -> Decision:
    """Decide one event. The outcome is in the fleet at once; `Fleet.roll_back` undoes it if the store rejects the
    batch."""
    work = Work(fleet, now)
    answer, is_news = _decided(work, event)
    if is_news and not work.entries and not work.commands and answer is None:
        return NOTHING_CHANGED
    return Decision(
        entries=tuple(work.entries),
        commands=tuple(work.commands),
        ended=tuple(work.ended),
        told=tuple(work.told),
        answer=answer,
        is_news=is_news,
        room=tightest(work.rooms),
    )


def _decided(work: Work, event: e.Event) -> tuple[Answer | None, bool]:
    """Return the answer, and whether a message was news."""
    fleet = work.fleet
    answer: Answer | None = None
    is_news = True
    match event:
        case e.Health() | e.Presence() | e.Evidence():
            is_news = _weighed(work.on(event.host), event)
        case e.StateSeen():
            if event.host in fleet.hosts:
                lost.look(work.on(event.host), event)
        case e.BusRequest():
            answer = fleet_decisions.bus_request(work, event)
        case e.WakeRequest():
            answer = fleet_decisions.wake_request(work, event, asking.wake)
        case e.BusConnected() | e.BusDisconnected() | e.Stalled() | e.LeaseRenewed() | e.LeaseLost():
            fleet_decisions.own_event(work, event)
        case e.DrainStarted() | e.BudgetSeen() | e.ProxiesSeen() | e.OwnHealthMeasured():
            fleet_decisions.own_event(work, event)
        case e.PathsListed():
            fleet.forget_checks(event.paths)
        case e.InventoryRead():
            answer = fleet_decisions.inventory_read(work, event)
        case e.ReloadEnded():
            work.record_fleet(r.ReloadRefused(why=event.refused) if event.refused else r.Reloaded())
        case e.DoubtReported():
            taking.doubt(work, event.why)
        case e.HandOverAsked():
            name = fleet.inventory.daemon.name
            work.record_fleet(r.ControlHandedOver(controller=name, to=event.to, by=event.by, reason=event.reason))
        case e.Keyed():
            answer = fleet_decisions.answered_before(fleet, event.key, event.content)
            if answer is None:
                answer, _ = _decided(work, event.event)
                fleet_decisions.note_answer(work, event, answer)
        case e.WordsRead():
            for request in restricting.requests_of(fleet, event.words, work.now):
                _decided(work, request)
        case e.PausesDue():
            fleet_decisions.end_pauses(work)
        case e.GatesDue():
            for look in (storms.look, closed_gates.look, listening.look, late_hosts.look, policy.look):
                look(work)
        case e.Started():
            taking.begin(work, event)
            for request in restricting.requests_of(fleet, event.said, work.now, is_recovered=False):
                _decided(work, request)
            recovery.start(work)
        case e.MaintenanceAsked(is_recovered=False):
            recovery.guarded(work.on(event.host), partial(requests.maintenance, asked=event))
        case e.WakeAsked():
            answer = asking.wake(work, event)
        case e.PauseAsked() | e.PauseEndAsked() | e.ArmAsked() | e.StoreReleaseAsked() | e.StormReleaseAsked():
            answer = fleet_decisions.asked(work, event)
        case _:
            if event.host in fleet.hosts:
                answer = _followed(work.on(event.host), event)
    return answer, is_news


def _weighed(work: HostWork, event: e.Health | e.Presence | e.Evidence) -> bool:
    """Hear a message, and weigh at once what it means for saving: the next one may say something else."""
    if event.host not in work.fleet.hosts:
        return False
    before = work.state
    is_news = _heard(work, event)
    policy.heard(work, before)
    return is_news


def _heard(work: HostWork, event: e.Health | e.Presence | e.Evidence) -> bool:
    match event:
        case e.Health():
            is_news = hearing.hear(work, event)
            drilled.hear(work, event)
            drills.follow(work)
            return is_news
        case e.Presence():
            hearing.hear_presence(work, event)
            return not event.is_retained
        case e.Evidence():
            evidence.hear_evidence(work, event)
            return not event.is_retained
        case _:
            assert_never(event)


HostEvent = (
    e.TimerFired
    | e.LifeAsked
    | e.TrialLooked
    | e.RaceFinished
    | e.StepFinished
    | e.AgentSeen
    | e.AnnouncementDelivered
    | e.WatchEnded
    | e.PathChecked
    | e.ActionAsked
    | e.DrillAsked
    | e.ConfirmOffAsked
    | e.CancelAsked
    | e.MaintenanceAsked
)


def _followed(work: HostWork, event: HostEvent) -> Answer | None:
    """Decide about a host, and what follows from its change for its trust, its drill and the spares of its cluster."""
    before = work.state
    answer = _of_host(work, event)
    trust.follow(work)
    drills.follow(work)
    policy.follow(work, before)
    return answer


def _of_host(work: HostWork, event: HostEvent) -> Answer | None:
    match event:
        case e.TimerFired():
            looking.look(work)
        case e.LifeAsked():
            looking.life_asked(work, event)
        case e.TrialLooked():
            trials.looked(work, event)
        case e.RaceFinished():
            results.race_finished(work, event)
            fenceable.raced(work, event)
        case e.StepFinished():
            results.step_finished(work, event)
        case e.AgentSeen():
            results.agent_seen(work, event)
        case e.AnnouncementDelivered():
            results.announcement_delivered(work, event)
        case e.WatchEnded():
            watch_ended(work, event)
            fenceable.watched(work, event)
        case e.PathChecked():
            fenceable.path_checked(work, event)
        case e.ActionAsked(action=Action.SLEEP):
            return asking.sleep(work, event)
        case e.ActionAsked():
            return requests.ask(work, event)
        case e.DrillAsked():
            return drills.ask(work, event)
        case e.ConfirmOffAsked():
            return confirming.confirm_off(work, event)
        case e.CancelAsked():
            return requests.cancel(work, event)
        case e.MaintenanceAsked():
            requests.maintenance(work, event)
        case _:
            assert_never(event)
    return None
