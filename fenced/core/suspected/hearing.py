"""Handles heartbeats and last wills of a host (design.md#detection); `suspected.evidence` hears other systems.

Any message may be late, duplicated, reordered or lost, so a heartbeat is a level, not an edge. Old sequence numbers,
ended boots and retained messages prove no life. `operation.life` decides what a beat means while the host's power is
being cut.
"""

from fenced.core.allowed import of_life
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.state import ProofOfOff
from fenced.core.events import Health, HealthStatus, Presence
from fenced.core.fleet import Fleet
from fenced.core.heard.reporters import is_going_down
from fenced.core.operation import life
from fenced.core.operation.phases import stop
from fenced.core.suspected import freshness, giving_back, sleepers
from fenced.core.suspected.looking import suspect
from fenced.core.suspected.silence import is_silent_through, may_precede_end, watch
from fenced.core.work import HostWork
from fenced.model.names import BootId
from fenced.model.power import Cause, State

OFF_ONCE = frozenset({State.FENCED, State.RESTORING, State.SUSPECT, State.FAILED})
"""States in which a proof of OFF may still hold. Its old run must send nothing more."""

LEAVING = frozenset({State.UNKNOWN, State.HEALTHY, State.SUSPECT, State.RESTORING, State.FAILED})
"""A host in one of these states becomes `left` when it says `stopping`."""


def hear(work: HostWork, health: Health) -> bool:
    """Handle a heartbeat. Return False when it proves no life (retained, stale, an ended boot)."""
    state = work.state
    if health.is_retained:
        return False
    if sleepers.is_quiet(state):
        if not sleepers.hear(work, health):
            return _hear_no_news(work, health)
        state = work.state
    if health.boot is not None and health.boot in state.ended_boots and not _is_last_run(work, health):
        return _hear_ended_boot(work, health.boot, health)
    if freshness.is_stale(work.sight, health):
        return _hear_no_news(work, health)
    if health.status is not HealthStatus.OK:
        life.end_veto(work, f"the host says {health.status.value}")
    if health.status is HealthStatus.FAILING and health.boot is None and not health.is_boot_unread:
        suspect(work, Cause.REPORT, health.reason or "reported failing")
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
        suspect(work, Cause.REPORT, health.reason or "reported failing")
        return True
    if state.state is State.HEALTHY and (health.boot is None or health.boot == state.boot):
        return True
    if state.state is State.LEFT and _is_before_it_stopped(work, health):
        work.see(is_stopping=True)
        return True
    _hear_life(work, health.boot)
    return True


def _is_before_it_stopped(work: HostWork, health: Health) -> bool:
    """Return whether another reporter than this one said that this run stops: what this one says may be older, and does
    not contradict that before `stopping_max` is over."""
    state = work.state
    over = state.since + work.host.settings.detection.stopping_max_seconds
    is_this_run = health.boot is not None and health.boot == state.boot
    return is_this_run and work.now < over and is_going_down(work.sight, health.reporter)


def _is_last_run(work: HostWork, health: Health) -> bool:
    """Return whether a run recorded as ended still sends long after the proof was revoked: it never ended."""
    state, late = work.state, work.host.settings.detection.late_message_seconds
    return state.proof is None and health.boot == state.boot and health.reached > state.since + late


def _hear_no_news(work: HostWork, health: Health) -> bool:
    """Note a stale message: the host is not silent, so no fence begins (S10)."""
    freshness.speak(work.fleet, work.name, health)
    if work.operation is not None and work.operation.is_power_changing:
        life.hear_life(work)
    return False


def _keep_sight(work: HostWork, health: Health) -> None:
    sight = work.sight
    is_release_over = is_silent_through(work.fleet, work.name) or work.state.release_until > work.now
    work.fleet.keep_beat(health, freshness.counted(sight, health), is_stopping=False)
    sleepers.note_work(work, health)
    if sight.wake_at is None or sight.wake_at <= work.now or is_release_over:
        watch(work)


def _is_new_life(work: HostWork, health: Health) -> bool:
    """Return whether a message after a proof of OFF comes from a new run of the host. Messages of an old or unknown run
    end nothing (S17)."""
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
    """Return whether the message may have been sent before the proof; then it says nothing about the time after it."""
    return health.reached <= proof.at + work.host.settings.detection.late_message_seconds


def _why_revoked(boot: BootId | None, is_new_boot: bool) -> str:
    if is_new_boot:
        return f"heard with the new boot id {boot} without an ON of ours"
    return "still heard after it was read back OFF: the devices did not cut its power"


def _hear_ended_boot(work: HostWork, boot: BootId, health: Health) -> bool:
    """Handle a message of an ended boot: it is late, or the OFF was false. No fence begins until that is clear."""
    state = work.state
    proof = state.proof
    if proof is None:
        return _hear_no_news(work, health)
    if boot != proof.boot or state.state not in OFF_ONCE or _is_late(work, proof, health):
        return False
    if not freshness.lives_on(work.fleet, work.name, health):
        return _hear_no_news(work, health)
    _revoke(work, boot, is_old=True, is_alive=True, why=_why_revoked(boot, False))
    work.see(heard_at=health.received, heard_ear=work.fleet.own.ear.now(health.received))
    return True


def _revoke(work: HostWork, boot: BootId | None, *, is_old: bool, is_alive: bool, why: str) -> None:
    """Revoke the announced fence: publish the host's new condition with a new token."""
    proof = work.state.proof
    distrusted = proof.devices if is_old and proof is not None else ()
    if work.operation is not None:
        stop(work, "revoked: " + why)
    work.record(
        r.HostRevoked(why=why, token=work.fleet.next_token(), boot=boot, distrusted=distrusted, is_alive=is_alive)
    )
    work.wake(work.now)


def revoke_by_power(work: HostWork, why: str) -> None:
    """Revoke because a fenced host's device reads ON and the daemon sent no ON: the host may boot at any moment."""
    _revoke(work, None, is_old=False, is_alive=False, why=why)


def _hear_stopping(work: HostWork, health: Health) -> None:
    sight = work.sight
    work.fleet.keep_beat(health, freshness.counted(sight, health), is_stopping=True)
    sleepers.note_work(work, health)
    if work.operation is not None:
        life.hear_life(work)
    elif work.state.state in LEAVING:
        recording.recover(work, "said that it stops")
        work.record(r.HostLeft(reason=health.reason or "said that it stops"))
        work.wake(work.now + work.host.settings.detection.stopping_max_seconds)


def _hear_life(work: HostWork, boot: BootId | None) -> None:
    """Handle a valid beat of a host that is not plainly healthy."""
    state = work.state
    if work.operation is not None and work.operation.is_power_changing:
        life.hear_life(work)
        life.hear_boot(work, boot)
        if work.operation is not None and state.state is not State.RESTORING:
            return
    if state.state is State.MAINTENANCE:
        return
    before, release = state.state, state.release_until
    if before is State.HEALTHY and boot == state.boot:
        return
    why = _why_heard(before, is_first=not state.is_known)
    if before is State.HEALTHY:
        why = "rebooted"
    recording.recover(work, "a heartbeat" if boot is None else f"a heartbeat of boot {boot}")
    work.record(r.HostHeard(boot=boot, before=before.value, why=why))  # type: ignore[arg-type]
    if before is State.SUSPECT and work.now < release and _may_be_cut_run(work, boot, state.boot):
        work.record(r.SuspicionReleased(until=release, why="power was given back, and the heartbeat may be older"))
    work.see(life=None)
    giving_back.look(work)
    watch(work)


def _may_be_cut_run(work: HostWork, boot: BootId | None, before: BootId | None) -> bool:
    """Return whether a heartbeat that came now may be one of the run that the last operation ended."""
    return boot in {None, before} and may_precede_end(work.fleet, work.name, work.now)


def _why_heard(before: State, *, is_first: bool) -> str:
    if is_first:
        return "first"
    return {State.SUSPECT: "cleared", State.RESTORING: "restored", State.LEFT: "back"}.get(before, "returned")


def hear_presence(work: HostWork, presence: Presence) -> None:
    """Suspect a host after its last will, and no more: the broker may have sent it, not the host."""
    if not presence.is_retained and not presence.is_online:
        life.end_veto(work, of_life.LAST_WILL)
        suspect(work, Cause.REPORT, of_life.LAST_WILL)


def overhear(fleet: Fleet, health: Health) -> None:
    """Keep a heartbeat at a standby, which decides nothing. What ends a proof of OFF waits for the takeover: a living
    host sends it again."""
    state = fleet.hosts.get(health.host)
    if state is None or health.is_retained or state.proof is not None or not sleepers.overheard(fleet, state, health):
        return
    sight = fleet.sights[health.host]
    if (health.boot is not None and health.boot in state.ended_boots) or freshness.is_stale(sight, health):
        freshness.speak(fleet, health.host, health)
        return
    is_stopping = health.status is HealthStatus.STOPPING
    fleet.keep_beat(health, freshness.counted(sight, health), is_stopping=is_stopping)
