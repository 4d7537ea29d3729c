"""Confirms a suspicion: probes the host, evaluates every gate, holds or starts the operation (design.md#detection)."""

from fenced.core import storms
from fenced.core.allowed import gates, of_daemon, of_life, storm
from fenced.core.allowed.verdict import plain
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.state import GateVerdict
from fenced.core.operation import asking, automatic
from fenced.core.suspected.silence import due_at, is_silent, release_until
from fenced.core.work import HostWork

HOLD_LOOK_SECONDS = 1.0
HOLD_LOOKS_A_SECOND = 500.0
"""Of thousands of held hosts not each is looked at every second: a new suspect has its turn among them."""
GATHER_SECONDS_A_HOST = 25e-6
"""The gates of suspects are evaluated together, at most once in so much time for each host of the fleet: what they
count takes a pass over all hosts, and then serves all suspects of that moment."""
GATHER_SECONDS_MAX = 0.5


def look_suspect(work: HostWork) -> None:
    """Probe the suspect, evaluate the gates, then hold it or start a fence."""
    state = work.state
    assert state.suspected_at is not None
    release = release_until(work)
    if work.now < release:
        why = f"it may boot after an outage, a hold, our start or a stopped operation; {release - work.now:.0f} s more"
        _hold(work, (GateVerdict(gate="release_grace", is_open=False, why=why),))
        work.wake(release)
        return
    is_reported_only = not is_silent(work) and not of_life.is_living_fenced(work.fleet, work.name)
    if is_reported_only:
        work.wake(max(due_at(work), work.now + 0.05))
        return
    _look(work)
    wait = max(state.suspected_at + work.fleet.inventory.daemon.gates.witness_wait_seconds, 0.0)
    if work.now < wait:
        work.wake(wait)
        return
    if asking.is_asking(work):
        return
    together = _gathered_at(work)
    if work.now < together:
        work.wake(together)
        return
    _pass_gates(work)


def _look(work: HostWork) -> None:
    """Have it looked at once per suspicion, and again every few seconds while that lasts."""
    if not asking.is_fresh(work, since=max(work.state.suspected_at or 0.0, release_until(work))):
        asking.ask(work)


def _gathered_at(work: HostWork) -> float:
    """Return when the gates of this suspect are evaluated: now, or soon, with those of other suspects."""
    fleet = work.fleet
    if fleet.gates_at == work.now:
        return work.now
    return fleet.gates_at + min(GATHER_SECONDS_A_HOST * len(fleet.hosts), GATHER_SECONDS_MAX)


def _pass_gates(work: HostWork) -> None:
    work.fleet.gates_at = work.now
    if of_daemon.warm_up(work.fleet, work.now).is_open:
        storms.begin(work.work, work.name)
    verdicts = gates.all_gates(work.fleet, work.name, work.now)
    shut = gates.closed(verdicts)
    was_releasing = {verdict.gate for verdict in work.state.held_by} & gates.RELEASING
    if storm.is_released(work.fleet, work.name, work.now):
        was_releasing -= {"storm"}  # a person looked: these hosts don't boot slowly
    if was_releasing and not {verdict.gate for verdict in shut} & gates.RELEASING:
        until = work.now + work.host.settings.detection.release_grace_seconds
        work.record(r.SuspicionReleased(until=until, why="opened again: " + ", ".join(sorted(was_releasing))))
        work.see(life=None)
        look_suspect(work)
        return
    if shut:
        _hold(work, verdicts)
        work.wake(work.now + max(HOLD_LOOK_SECONDS, len(work.fleet.troubled) / HOLD_LOOKS_A_SECOND))
        return
    automatic.fence(work, verdicts)


def _hold(work: HostWork, verdicts: tuple[GateVerdict, ...]) -> None:
    """Record the hold, but only when the set of closed gates changed."""
    shut = {verdict.gate for verdict in gates.closed(verdicts)}
    if shut == {verdict.gate for verdict in work.state.held_by}:
        return
    action = automatic.automatic_action(work)
    recording.hold(work, verdicts, action)
    work.record(r.HostHeld(gates=plain(verdicts), would=action.value if "armed" in shut else None))
