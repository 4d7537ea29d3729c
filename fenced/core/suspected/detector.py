"""From what is heard to a suspicion, and from a suspicion to an operation (DESIGN section 5).

Any message may be late, twice, out of order or lost: a heartbeat is a level, not an edge. Old sequences, ended boots and
retained messages are no life. What a host is asked or said while its power is being cut is `plan`'s business.
"""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.durable import records as r
from fenced.core.durable.standing import is_watched_as_off
from fenced.core.durable.state import GateVerdict, Operation, ProofOfOff
from fenced.core.events import Evidence, Health, HealthStatus, LifeAsked, Presence
from fenced.core.fleet import LifeAnswer
from fenced.core.operation import plan, requests
from fenced.core.suspected import freshness, giving_back
from fenced.core.work import HostWork
from fenced.model.names import BootId
from fenced.model.power import Cause, State

HOLD_LOOK_SECONDS = 1.0
SOURCES_MAX = 16
MORE_SOURCES = "one of more sources than are kept"
LIFE_AGE_SECONDS = 5.0

SUSPECTABLE = frozenset({State.HEALTHY, State.FAILED, State.RESTORING})
"""Suspicion starts from these only, and from RESTORING past its boot grace."""

OFF_ONCE = frozenset({State.FENCED, State.RESTORING, State.SUSPECT, State.FAILED})
"""What a host may be after a proof of OFF that nothing newer has replaced: then its old run must not speak any more."""

LEAVING = frozenset({State.UNKNOWN, State.HEALTHY, State.SUSPECT, State.RESTORING, State.FAILED})
"""From these a host that says `stopping` is `left`."""


# -- hearing ----------------------------------------------------------------------------------------------------------


def hear(work: HostWork, health: Health) -> bool:
    """Take a heartbeat. False: it is no news of life (retained, stale, an ended boot)."""
    state = work.state
    if health.is_retained:
        return False
    if health.boot is not None and health.boot in state.ended_boots and not _is_last_run(work, health):
        return _hear_ended_boot(work, health.boot, health)
    if freshness.is_stale(work.sight, health):
        return _hear_no_news(work, health)
    if health.status is HealthStatus.FAILING and health.boot is None and not health.is_boot_unread:
        _suspect(work, Cause.REPORT, health.reason or "reported failing")
        return True
    is_news = state.proof is None or _is_new_life(work, health)
    if health.status is HealthStatus.STOPPING and (is_news or work.state.proof is None):
        _hear_stopping(work, health)
        return True
    if not is_news:
        return False
    _keep_sight(work, health)
    if health.status is HealthStatus.FAILING:
        if state.state is State.UNKNOWN or state.boot != health.boot:
            _hear_life(work, health.boot)
        _suspect(work, Cause.REPORT, health.reason or "reported failing")
        return True
    if state.state is State.HEALTHY and (health.boot is None or health.boot == state.boot):
        return True
    _hear_life(work, health.boot)
    return True


def _is_last_run(work: HostWork, health: Health) -> bool:
    """The run that we took for ended still speaks, long after the proof was taken back: then it never ended."""
    state, late = work.state, work.host.settings.detection.late_message_seconds
    return state.proof is None and health.boot == state.boot and health.reached > state.since + late


def _hear_no_news(work: HostWork, health: Health) -> bool:
    """Something of the host speaks, though what it says is old: it is not silent, and no fence begins (S10)."""
    freshness.speak(work.fleet, work.name, health)
    if work.operation is not None and work.operation.is_power_changing:
        plan.hear_life(work)
    return False


def _keep_sight(work: HostWork, health: Health) -> None:
    sight = work.sight
    is_release_over = _is_silent_through(work)
    sight.heard_at = health.received
    sight.heard_ear = work.fleet.ear.now(health.received)
    freshness.count(sight, health)
    sight.boot = sight.boot if health.is_boot_unread else health.boot
    sight.sequence = health.sequence
    sight.speaking_since = None
    sight.interval_seconds = health.interval_seconds
    sight.workloads = health.workloads
    sight.roles = health.roles
    sight.is_stopping = False
    if sight.wake_at is None or sight.wake_at <= work.now or is_release_over:
        watch(work)


def _is_new_life(work: HostWork, health: Health) -> bool:
    """After a proof of OFF: whether a message speaks of a new run of the host. Old ones end nothing (S17), nor do those of
    which nobody knows whose they are."""
    state = work.state
    assert state.proof is not None
    is_new_boot = health.boot is not None and health.boot != state.proof.boot
    if state.state is State.RESTORING:
        if health.is_boot_unread:
            return _hear_no_news(work, health)
        operation = state.operation
        on_at = operation.restore_started if operation is not None else state.since
        is_since_on = on_at is not None and health.reached > on_at and not _is_late(work, state.proof, health)
        return is_new_boot or (health.boot is None and is_since_on)
    if state.state is State.FENCED:
        is_late = _is_late(work, state.proof, health)
        if not is_new_boot and (is_late or not freshness.lives_on(work.fleet, work.name, health)):
            return False
        _revoke(work, health.boot, is_old=not is_new_boot, is_alive=True, why=_why_revoked(health.boot, is_new_boot))
        _keep_sight(work, health)
        return False
    return True


def _is_late(work: HostWork, proof: ProofOfOff, health: Health) -> bool:
    """Whether it may have been sent before the proof: it says nothing then."""
    return health.reached <= proof.at + work.host.settings.detection.late_message_seconds


def _why_revoked(boot: BootId | None, is_new_boot: bool) -> str:
    if is_new_boot:
        return f"heard with the new boot id {boot} without an ON of ours"
    return "still heard after it was read back OFF: the devices did not cut its power"


def _hear_ended_boot(work: HostWork, boot: BootId, health: Health) -> bool:
    """An old run of the host speaks: late, or proof that the devices lied. Until that is certain no fence begins."""
    state = work.state
    proof = state.proof
    if proof is None:
        return _hear_no_news(work, health)
    if boot != proof.boot or state.state not in OFF_ONCE or _is_late(work, proof, health):
        return False
    if not freshness.lives_on(work.fleet, work.name, health):
        return _hear_no_news(work, health)
    _revoke(work, boot, is_old=True, is_alive=True, why=_why_revoked(boot, False))
    sight = work.sight
    sight.heard_at, sight.heard_ear = health.received, work.fleet.ear.now(health.received)
    return True


def _revoke(work: HostWork, boot: BootId | None, *, is_old: bool, is_alive: bool, why: str) -> None:
    """What was announced is no longer true; others are told with a new token."""
    proof = work.state.proof
    distrusted = proof.devices if is_old and proof is not None else ()
    if work.operation is not None:
        plan.stop(work, "revoked: " + why)
    work.record(
        r.HostRevoked(why=why, token=work.fleet.next_token(), boot=boot, distrusted=distrusted, is_alive=is_alive)
    )
    work.wake(work.now)


def revoke_by_power(work: HostWork, why: str) -> None:
    """A fenced host's device reads ON without an ON of ours: it may boot any moment."""
    _revoke(work, None, is_old=False, is_alive=False, why=why)


def _hear_stopping(work: HostWork, health: Health) -> None:
    sight = work.sight
    sight.heard_at, sight.heard_ear = health.received, work.fleet.ear.now(health.received)
    freshness.count(sight, health)
    sight.boot, sight.sequence = sight.boot if health.is_boot_unread else health.boot, health.sequence
    sight.is_stopping, sight.speaking_since = True, None
    if work.operation is not None:
        plan.hear_life(work)
    elif work.state.state in LEAVING:
        work.record(r.HostLeft(reason=health.reason or "said that it stops"))
        work.wake(work.now + work.host.settings.detection.stopping_max_seconds)


def _hear_life(work: HostWork, boot: BootId | None) -> None:
    """A valid beat of a host that is not simply healthy."""
    state = work.state
    if work.operation is not None and work.operation.is_power_changing:
        plan.hear_life(work)
        plan.hear_boot(work, boot)
        if work.operation is not None and state.state is not State.RESTORING:
            return
    if state.state is State.MAINTENANCE:
        return
    before = state.state
    if before is State.HEALTHY and boot == state.boot:
        return
    why = _why_heard(before, is_first=not state.is_known)
    if before is State.HEALTHY:
        why = "rebooted"
    work.record(r.HostHeard(boot=boot, before=before.value, why=why))  # type: ignore[arg-type]
    work.sight.life = None
    giving_back.look(work)
    watch(work)


def _why_heard(before: State, *, is_first: bool) -> str:
    if is_first:
        return "first"
    return {State.SUSPECT: "cleared", State.RESTORING: "restored", State.LEFT: "back"}.get(before, "returned")


def hear_presence(work: HostWork, presence: Presence) -> None:
    """A last will: suspect, never more (it may be the broker's word, not the host's)."""
    if not presence.is_retained and not presence.is_online:
        _suspect(work, Cause.REPORT, gates.LAST_WILL)


def hear_evidence(work: HostWork, evidence: Evidence) -> None:
    """Somebody else's word that the host lives, until its time to live is over; retained ones say nothing."""
    if evidence.is_retained:
        return
    kept = {source: said for source, said in (work.sight.evidence or {}).items() if work.now < said[1]}
    kept.pop(evidence.source, None)
    if evidence.is_alive:
        until = evidence.received + evidence.ttl_seconds
        if len(kept) < SOURCES_MAX:
            kept[evidence.source] = (evidence.evidence_kind, until)
        elif evidence.evidence_kind in _live_kinds(work):
            _, before = kept.get(MORE_SOURCES, ("", until))
            kept[MORE_SOURCES] = (evidence.evidence_kind, max(before, until))
    work.sight.evidence = kept or None
    if evidence.is_alive and work.operation is not None and evidence.evidence_kind in _live_kinds(work):
        plan.hear_life(work)


def _live_kinds(work: HostWork) -> tuple[str, ...]:
    return work.fleet.inventory.daemon.gates.live_evidence


# -- suspecting -------------------------------------------------------------------------------------------------------


def _suspect(work: HostWork, cause: Cause, reason: str) -> None:
    if work.state.state is State.RESTORING and cause is not Cause.SILENCE:
        return
    if work.state.state is State.FAILED and work.state.record_fault:
        return  # nobody knows what it was: a person looks first
    if work.state.state not in SUSPECTABLE or work.operation is not None or work.state.maintenance is not None:
        return
    work.sight.life = None
    work.sight.life_asked_at = None
    work.record(r.HostSuspected(cause=cause, reason=reason, last_heard=_last_heard(work)))
    look(work)


def _last_heard(work: HostWork) -> float | None:
    return work.sight.heard_at if work.sight.heard_at is not None else work.state.last_heard


def due_at(work: HostWork) -> float:
    """When the host's silence will have lasted its grace, if nothing is heard until then."""
    fleet, name, now = work.fleet, work.name, work.now
    left = fleet.grace_seconds(name, now) - fleet.silence_seconds(name, now)
    opened = fleet.ear.opened_at
    listening_from = max(now, opened) if opened is not None else now + 1.0
    return max(listening_from + left, release_until(work))


def release_until(work: HostWork) -> float:
    """Until when a host silent through an outage, or through our own start, is left in peace."""
    until = work.state.release_until
    if _is_silent_through(work):
        until = max(until, work.fleet.released_from + work.host.settings.detection.release_grace_seconds)
    return until


def _is_silent_through(work: HostWork) -> bool:
    """Whether the host was not heard since the last outage or our start: its next look may lie far ahead."""
    since, heard_at = work.fleet.released_since, work.sight.heard_at
    return since is not None and (heard_at is None or heard_at < since)


def watch(work: HostWork) -> None:
    """Set the next look at a host that is heard."""
    work.wake(max(due_at(work), work.now + 0.001))


def look(work: HostWork) -> None:
    """A moment came: look at the host as it is now. Harmless at any time, as often as you like."""
    if work.sight.wake_at is not None and work.sight.wake_at <= work.now:
        work.sight.wake_at = None
    if work.operation is not None or work.state.reading is not None:
        plan.advance(work)
    if work.operation is not None:
        _look_giving_back(work, work.operation)
        return
    match work.state.state:
        case State.HEALTHY:
            _look_healthy(work)
        case State.SUSPECT:
            _look_suspect(work)
        case State.RESTORING:
            _look_restoring(work)
        case State.FAILED:
            _look_failed(work)
        case State.LEFT:
            _look_left(work)
        case State.FENCED:
            look_watch(work)
        case _:
            pass
    _end_maintenance_in_time(work)
    if work.state.owed:
        giving_back.look(work)
        _watch_owed(work)


def _look_giving_back(work: HostWork, operation: Operation) -> None:
    """A healthy host may fall silent while it is given power: that must not keep it from being suspected."""
    if not operation.is_giving_back or operation.is_stopped or work.state.state is not State.HEALTHY:
        return
    if work.now < due_at(work) - 1e-6 or work.fleet.ear.opened_at is None:
        work.wake(max(due_at(work), work.now + 0.05))
        return
    plan.stop(work, "the host fell silent")
    plan.advance(work)


def _watch_owed(work: HostWork) -> None:
    """What is off by our OFF is looked at until it is on, whatever the host does; others watch it where they watch all."""
    if work.operation is None and not is_watched_as_off(work.state):
        look_watch(work)


def _end_maintenance_in_time(work: HostWork) -> None:
    maintenance = work.state.maintenance
    if maintenance is None or maintenance.until is None:
        return
    if work.now >= maintenance.until:
        work.record(r.MaintenanceEnded(by=maintenance.by, reason="its time is over"))
    else:
        work.wake(maintenance.until)


def _is_silent(work: HostWork) -> bool:
    fleet = work.fleet
    return fleet.silence_seconds(work.name, work.now) > fleet.grace_seconds(work.name, work.now) - 1e-6


def _look_healthy(work: HostWork) -> None:
    due = due_at(work)
    if work.now < due - 1e-6 or work.fleet.ear.opened_at is None:
        work.wake(max(due, work.now + 0.05))
        return
    silence = work.fleet.silence_seconds(work.name, work.now)
    _suspect(work, Cause.SILENCE, f"not heard for {silence:.1f} s of listening")


def _look_restoring(work: HostWork) -> None:
    if work.state.is_on_forbidden:
        look_watch(work)  # nobody gives it power or waits for it: only its devices can tell
        return
    # A host that started while we could not listen may have been heard just then: that time is not of its boot_grace (S11).
    deaf = work.fleet.ear.deaf_seconds(work.state.since, work.now)
    over = work.state.since + work.host.settings.detection.boot_grace_seconds + deaf
    if work.now < max(over, release_until(work)):
        work.wake(max(over, release_until(work), work.now + 0.05))
    else:
        _suspect(work, Cause.SILENCE, "power was given back and no heartbeat came within boot_grace")


def _look_failed(work: HostWork) -> None:
    """Attempts go on with back-off as far as `gates.attempts` allows; meanwhile the devices are watched."""
    look_watch(work)
    if work.state.state is not State.FAILED:
        return
    again = max(work.state.next_attempt_at, work.state.cooldown_until, due_at(work))
    if work.now < again:
        work.wake(again)
    elif not gates.closed(gates.owner_gates(work.fleet, work.now)) and _has_attempts(work):
        _suspect(work, Cause.SILENCE, "still silent and not proven off")


def _has_attempts(work: HostWork) -> bool:
    most = work.fleet.inventory.daemon.gates.attempts_count
    return gates.attempts_in_window(work.fleet, work.name, work.now) < most


def _look_left(work: HostWork) -> None:
    over = work.state.since + work.host.settings.detection.stopping_max_seconds
    if work.now < over:
        work.wake(over)
    elif not work.state.is_away_told:
        work.record(r.HostLeft(reason="away longer than stopping_max", is_overdue=True))


# -- confirming -------------------------------------------------------------------------------------------------------


def _look_suspect(work: HostWork) -> None:
    """Stage 2 and the gates: ask the host itself, look at every gate, hold or act."""
    state = work.state
    assert state.suspected_at is not None
    release = release_until(work)
    if work.now < release:
        why = f"silent through an outage, hold or our start; {release - work.now:.0f} s more"
        _hold(work, (GateVerdict(gate="release_grace", is_open=False, why=why),))
        work.wake(release)
        return
    is_reported_only = not _is_silent(work) and not gates.is_living_fenced(work.fleet, work.name)
    if is_reported_only:
        work.wake(max(due_at(work), work.now + 0.05))
        return
    _ask_life(work)
    wait = max(state.suspected_at + work.fleet.inventory.daemon.gates.witness_wait_seconds, 0.0)
    if work.now < wait:
        work.wake(wait)
        return
    if _is_asking(work):
        return
    _pass_gates(work)


def _ask_life(work: HostWork) -> None:
    """Ask once per suspicion, and again every few seconds while it lasts."""
    sight, settings = work.sight, work.host.settings.detection
    again = max(LIFE_AGE_SECONDS, settings.probe_timeout_seconds)
    if _is_asking(work):
        return
    since = work.state.suspected_at or 0.0
    is_fresh = (
        sight.life is not None and sight.life.at >= max(since, release_until(work)) and work.now < sight.life.at + again
    )
    if not is_fresh:
        sight.life_asked_at = work.now
        work.command(c.AskLife(host=work.name))


def _is_asking(work: HostWork) -> bool:
    """Whether an answer is still awaited; one that never comes is given up after three times its timeout."""
    asked = work.sight.life_asked_at
    return asked is not None and work.now < asked + 3 * work.host.settings.detection.probe_timeout_seconds + 5.0


def life_asked(work: HostWork, event: LifeAsked) -> None:
    """The host itself answered, or nobody did, or there was nobody to ask."""
    work.sight.life = LifeAnswer(at=work.now, answered=event.answered, was_asked=event.was_asked)
    work.sight.life_asked_at = None
    if work.operation is not None:
        plan.life_asked(work, event.answered)
    look(work)


def _pass_gates(work: HostWork) -> None:
    verdicts = gates.all_gates(work.fleet, work.name, work.now)
    shut = gates.closed(verdicts)
    was_releasing = {verdict.gate for verdict in work.state.held_by} & gates.RELEASING
    if was_releasing and not {verdict.gate for verdict in shut} & gates.RELEASING:
        until = work.now + work.host.settings.detection.release_grace_seconds
        work.record(r.SuspicionReleased(until=until, why="opened again: " + ", ".join(sorted(was_releasing))))
        work.sight.life = None
        _look_suspect(work)
        return
    if shut:
        _hold(work, verdicts)
        work.wake(work.now + HOLD_LOOK_SECONDS)
        return
    requests.fence(work, verdicts)


def _hold(work: HostWork, verdicts: tuple[GateVerdict, ...]) -> None:
    """Told once per change of the set of closed gates."""
    shut = {verdict.gate for verdict in gates.closed(verdicts)}
    if shut == {verdict.gate for verdict in work.state.held_by}:
        return
    would = requests.automatic_action(work).value if "armed" in shut else None
    work.record(r.HostHeld(gates=verdicts, would=would))


# -- watching fenced and failed hosts (S17) ---------------------------------------------------------------------------


def look_watch(work: HostWork) -> None:
    """Have the devices of a fenced or failed host read every `watch_interval`."""
    sight, interval = work.sight, work.host.settings.detection.watch_interval_seconds
    if not work.host.devices:
        return
    if sight.watch_at is None:
        sight.watch_at = work.now + interval
    if sight.watch_started is not None and work.now < sight.watch_started + 10 * interval:
        work.wake(sight.watch_started + 10 * interval)  # a round that never ends must not end the watch
        return
    if work.now >= sight.watch_at:
        sight.watch_started, sight.watch_at = work.now, work.now + interval
        work.command(plan.watch_command(work))
    work.wake(sight.watch_at)
