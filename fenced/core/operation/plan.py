"""The power plan: what a running operation does next, from what was read and sent so far (DESIGN section 4).

`advance` may be called at any time and as often as you like: it starts only what is not under way. Every command gets a
token of its own and a last moment at which it can act (S5); nothing is announced that was not read back (S1, S2).
"""

from collections.abc import Container

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.believed.sharing import disbelieved, shared
from fenced.core.durable import records as r
from fenced.core.durable.outcome import is_lit, speaks
from fenced.core.durable.standing import is_watched_as_off
from fenced.core.durable.state import PROXY_REFUSED, WRONG_MACHINE, DeviceRun, Operation, Phase
from fenced.core.events import AgentSeen, AnnouncementDelivered, RaceFinished, StepFinished
from fenced.core.operation import paths, restore
from fenced.core.operation.ending import (
    close,
    end_reading,
    end_unstarted,
    enter_restore,
    finish,
    start_waiting,
    stop,
    tell_left_off,
)
from fenced.core.operation.mismatch import meet, mismatches
from fenced.core.operation.steps import (
    read_again_at,
    start_race,
    start_read,
    switch,
)
from fenced.core.reach.candidates import expand
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.names import BootId, DeviceName, ProxyName
from fenced.model.power import Action, Kind, OperationState, Outcome, Power, Proof, State, What

__all__ = [
    "advance",
    "agent_seen",
    "announcement_delivered",
    "drop",
    "hear_boot",
    "hear_life",
    "life_asked",
    "race_finished",
    "start_waiting",
    "step_finished",
    "stop",
    "watch_command",
]

ADVANCE_MAX = 32

INSPECTING_SECONDS = 60.0
"""How long past the operation's deadline the other devices are waited for: each read has its own deadline, far below it."""


def advance(work: HostWork) -> None:
    """Do what can be done now for the host's operations; set the next look."""
    _advance_reading(work)
    for _ in range(ADVANCE_MAX):
        operation = work.operation
        if operation is None:
            return
        before = (operation.phase, operation.level, operation.id)
        _advance_phase(work, operation)
        after = work.operation
        if after is None or (after.phase, after.level, after.id) == before:
            return
    raise AssertionError(f"the operation of {work.name} does not come to rest")


def _advance_phase(work: HostWork, operation: Operation) -> None:
    if operation.resume_at is not None and work.now < operation.resume_at:
        work.wake(operation.resume_at)
        return
    match operation.phase:
        case Phase.PROVING:
            _prove(work, operation)
        case Phase.INSPECTING:
            _inspect(work, operation)
        case Phase.ANNOUNCING:
            _announce(work, operation)
        case Phase.RESTORING:
            restore.advance(work, operation)
        case Phase.CLOSING:
            close(work, operation)
        case Phase.READING:
            _read_last(work, operation)
        case Phase.ENDED:
            pass


# -- proving off ------------------------------------------------------------------------------------------------------


def _prove(work: HostWork, operation: Operation) -> None:
    if operation.level is None:
        enter_next_level(work, operation, why="")
        return
    runs = [run for run in operation.devices if run.level == operation.level]
    if all(is_proven_off(work, run) for run in runs):
        work.record(r.PhaseEntered(operation=operation.id, phase=Phase.INSPECTING))
        return
    if work.now >= operation.level_deadline:
        enter_next_level(work, operation, why=f"level {operation.level} was not proven off by its deadline")
        return
    if any(run.is_given_up for run in runs) and not any(run.step or run.is_racing for run in runs):
        why = "; ".join(f"{run.device}: {run.error}" for run in runs if run.is_given_up)
        enter_next_level(work, operation, why=f"level {operation.level} can't be proven off: {why}")
        return
    for run in runs:
        _prove_device(work, operation, run)
    work.wake(operation.level_deadline)


def is_proven_off(work: HostWork, run: DeviceRun) -> bool:
    """Read OFF stably; where no OFF of this operation came before, over `already_off_hold` with no sign of life (S1).

    That of an earlier operation may long be undone.
    """
    power = work.host.device(run.device).power
    if run.power is not Power.OFF or run.same_reads < power.stable_reads:
        return False
    if run.in_doubt_since is not None:
        return False  # another path to it said ON, and was not read OFF since
    if run.device in disbelieved(work):
        return False  # it lied, or is another host's, too: its OFF proves nothing (S17)
    if run.is_switched_off:
        return True
    since = max(run.same_since, work.sight.heard_at or 0.0, work.sight.spoke_at or 0.0)
    return (run.read_at or 0.0) - since >= power.already_off_hold_seconds - 1e-6


def _prove_device(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_racing or run.step is not None or run.is_given_up or is_proven_off(work, run):
        return
    if run.in_doubt_since is not None and run.proxy is not None:
        paths.settle_doubt(work, operation, run)
        return
    if work.now < run.wait_until - 1e-6:
        work.wake(run.wait_until)
        return
    is_due = _is_off_due(work, run)
    if run.proxy is None and not (is_due and run.is_path_proven and run.last_proxy is not None and run.off_attempts):
        start_race(work, operation, run, disputed=paths.disputed(work, run.device))
    elif is_due:
        _switch_off(work, operation, run)
    else:
        start_read(work, operation, run, priority=c.PRIORITY_OFF)


def _is_off_due(work: HostWork, run: DeviceRun) -> bool:
    """Whether the next thing to do for the device is another OFF rather than another read."""
    power = work.host.device(run.device).power
    if run.power is Power.OFF or run.in_doubt_since is not None:
        return False
    if run.off_attempts == 0:
        return run.is_path_proven and run.read_at is not None
    if run.command_ended_at is None or run.read_at is None or run.read_at <= run.command_ended_at:
        return False
    is_settling = run.settling_until > 0.0  # it said OFF, which did not count yet: no attempt is spent on that
    if run.command_outcome in {Outcome.FAILED, Outcome.REFUSED}:
        return not (is_settling and run.off_attempts >= power.attempts)
    return not is_settling and work.now >= run.command_ended_at + power.verify_timeout_seconds


def _switch_off(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    power = work.host.device(run.device).power
    why = f"{run.device} is another host's, too" if run.device in shared(work) else ""
    if run.off_attempts >= power.attempts:
        why = f"not OFF after {run.off_attempts} attempts: {run.error or 'reads ' + run.power.value}"
    if why:
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
        return
    if not operation.is_permitted and not _permit(work, operation):
        return
    switch(work, operation, run, What.OFF)


def _permit(work: HostWork, operation: Operation) -> bool:
    """The gates once more, before the first OFF of each level (S10). Closed ones stop what has not begun (S19)."""
    assert operation.level is not None
    if operation.is_automatic and not _is_life_checked(work, operation):
        return False
    verdicts = gates.level_gates(work.fleet, work.name, work.now, is_automatic=operation.is_automatic)
    shut = gates.closed(verdicts)
    if operation.is_off_sent:
        shut = tuple(verdict for verdict in shut if verdict.gate in {"lease", "alive_but_silent", "live_evidence"})
    if not shut:
        work.record(r.GatesPassed(operation=operation.id, level=operation.level, gates=verdicts))
        return True
    why = "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in shut)
    if shut[0].gate == "lease" and operation.is_off_sent:
        work.wake(work.now + 1.0)
        return False
    stop(work, why)
    return False


def _is_life_checked(work: HostWork, operation: Operation) -> bool:
    """Ask the host itself again where the last answer is older than the level."""
    life = work.sight.life
    if life is not None and life.at >= operation.level_started - 5.0:
        return True
    if work.sight.life_asked_at is None:
        work.sight.life_asked_at = work.now
        work.command(c.AskLife(host=work.name))
    work.wake(work.now + 3 * work.host.settings.detection.probe_timeout_seconds + 5.0)
    asked = work.sight.life_asked_at
    return work.now > asked + 3 * work.host.settings.detection.probe_timeout_seconds + 5.0


def enter_next_level(work: HostWork, operation: Operation, *, why: str) -> None:
    """The next level with its share of the time that is left; none left: the host is not proven off."""
    levels = operation.levels
    later = levels if operation.level is None else tuple(level for level in levels if level > operation.level)
    # An OFF may hit another host: of a shared device surely, of a distrusted one perhaps (S17).
    ours = _without(later, operation, foreign := shared(work))
    if later and not ours:
        why = why or f"another host's devices, too: {', '.join(sorted(foreign))}"
    believed = _without(ours, operation, work.state.distrusted)
    if ours and not believed and operation.is_automatic:
        why = why or f"distrusted: {', '.join(work.state.distrusted)}"
    later = believed if believed or operation.is_automatic else ours
    if not later or work.now >= operation.deadline:
        finish(work, OperationState.FAILED, why or "the host has no power device")
        return
    share = (operation.deadline - work.now) / len(later)
    work.record(r.LevelEntered(operation=operation.id, level=later[0], deadline=work.now + share))


def _without(levels: tuple[int, ...], operation: Operation, barred: Container[DeviceName]) -> tuple[int, ...]:
    """The levels that have none of these devices."""
    lost = {run.level for run in operation.devices if run.device in barred}
    return tuple(level for level in levels if level not in lost)


# -- after the last OFF -----------------------------------------------------------------------------------------------


def _inspect(work: HostWork, operation: Operation) -> None:
    """Every other device of the host is read once, by whatever path is left; a chassis that says ON contradicts the level."""
    others = [run for run in operation.devices if run.level != operation.level]
    for run in others:
        if run.is_racing or run.step is not None:
            continue
        if run.is_inspected:
            if (proxy := paths.unasked(run)) is not None:
                paths.ask(work, operation, run, proxy)
        elif run.proxy is None:
            start_race(work, operation, run, disputed=paths.disputed(work, run.device))
        else:
            start_read(work, operation, run, priority=c.PRIORITY_OFF)
    others = [run for run in _now(work, operation).devices if run.level != operation.level]
    if any(not run.is_inspected or run.is_racing or run.step is not None for run in others):
        if work.now >= operation.deadline + INSPECTING_SECONDS:
            unread = [str(run.device) for run in others if not run.is_inspected]
            finish(work, OperationState.FAILED, f"no answer of {', '.join(unread)} after the last OFF")
        else:
            work.wake(work.now + 30.0)
        return
    chassis = [run for run in others if run.kind is Kind.CHASSIS and _speaks_on(work, run)]
    if chassis:
        why = f"level {operation.level} reads OFF and the chassis {chassis[0].device} reads ON"
        work.record(r.Contradicted(operation=operation.id, why=why))
        enter_next_level(work, operation, why=why)
        return
    level_runs = [run for run in operation.devices if run.level == operation.level]
    if not all(is_proven_off(work, run) for run in level_runs):
        # Heard meanwhile: what was read no longer proves it. The level's deadline still holds.
        work.record(r.PhaseEntered(operation=operation.id, phase=Phase.PROVING))
        return
    _fence(work, operation)


def _speaks_on(work: HostWork, run: DeviceRun) -> bool:
    """It reads ON, or did in this operation and nothing reads otherwise since. Only a chassis that the outlets feed may be
    silent once they are off: where the device itself does not answer, not where nobody could ask it."""
    if run.power is Power.ON or any(not word.is_old for word in run.lit):
        return True
    if not run.lit or any(word.power is Power.OFF for word in run.words):
        return False
    return not run.is_mute or work.host.device(run.device).is_standby_separate


def _now(work: HostWork, operation: Operation) -> Operation:
    return work.operation or operation


def _fence(work: HostWork, operation: Operation) -> None:
    if operation.is_automatic and any(
        run.level == operation.level and not run.is_switched_off for run in operation.devices
    ):
        shut = gates.closed(gates.announce_gates(work.fleet, work.name, work.now))
        why = "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in shut)
        if shut and not operation.is_off_sent:
            stop(work, why)
            return
        if shut and work.now >= operation.level_deadline:
            enter_next_level(work, operation, why=why)
            return
        if shut:
            work.wake(work.now + 1.0)
            return
    state = work.state
    if (
        operation.action is Action.OFF
        and operation.before is State.FENCED
        and not operation.is_off_sent
        and state.proof
    ):
        finish(work, OperationState.DONE, None)  # the same run of the host: its announcement stands, with its token
        return
    is_restart = operation.action is Action.RESTART and not state.is_on_forbidden and state.maintenance is None
    devices = tuple(run.device for run in operation.devices if run.level == operation.level)
    token = operation.token or work.fleet.next_token()
    work.record(
        r.HostFenced(
            proof=Proof.DEVICE_VERIFIED,
            operation=operation.id,
            level=operation.level,
            boot=work.sight.boot or state.boot,
            token=token,
            devices=devices,
            vouched=work.host.vouched(devices),
            is_stay_off=not is_restart,
            by=operation.by,
            reason=operation.reason,
            cause=operation.cause,
            last_heard=work.sight.heard_at,
        )
    )
    if operation.is_automatic and not operation.joined and operation.action is not work.host.settings.fence_action:
        tell_left_off(work, operation.id, "the window's last attempt leaves the host off")
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.ANNOUNCING))


def _announce(work: HostWork, operation: Operation) -> None:
    """ON waits until others know: the broker acknowledged, or `announce_wait` is over (S8)."""
    state = work.state
    if operation.action is not Action.RESTART or state.is_stay_off or state.is_on_forbidden:
        finish(work, OperationState.DONE, None)
        return
    assert operation.announced_at is not None
    until = operation.announced_at + work.fleet.inventory.daemon.announce_wait_seconds
    if not operation.is_announcement_acknowledged and work.now < until:
        work.wake(until)
        return
    enter_restore(work, operation)


# -- what came back ---------------------------------------------------------------------------------------------------


def race_finished(work: HostWork, event: RaceFinished) -> None:
    """A race ended; one of an operation that is gone, or one that was dropped for a newer, changes nothing (S14)."""
    operation = _operation(work, event.operation)
    if operation is None:
        return
    run = operation.run(event.device)
    if not run.is_racing or event.number != run.races:
        return
    if event.winner is None:
        again = work.now + back_off_seconds(run.races, first=1.0, most=30.0, salt=f"{operation.id}/{run.device}")
    else:
        again = read_again_at(work, operation, run, event.power)
    work.record(
        r.RaceEnded(
            operation=event.operation,
            device=event.device,
            winner=event.winner,
            reserves=event.reserves,
            entries=event.entries,
            power=event.power,
            again_at=again,
            settling_until=event.settling_until,
        )
    )
    _weigh_paths(work, event.operation, event.device)
    for why in mismatches(event.entries)[:1]:
        meet(work, event.operation, event.device, why)
    advance(work)


def step_finished(work: HostWork, event: StepFinished) -> None:
    """A step ended. A read that failed costs the path; a command that failed is followed by a read (S6).

    A proxy that can take no command costs the path too. A token that is refused does not: what is too old here is so everywhere.
    """
    operation = _operation(work, event.operation)
    if operation is None:
        return
    run = operation.run(event.device)
    step = run.step
    if step is None or step.number != event.number:
        return
    is_read, is_own_path = step.what is What.STATUS, step.proxy == run.proxy
    if is_read and not is_own_path:
        wait_until = run.wait_until  # asked beside it: its own readings go on in their time
    elif is_read:
        power = Power(event.outcome.value) if event.outcome in {Outcome.ON, Outcome.OFF} else Power.UNKNOWN
        wait_until = read_again_at(work, operation, run, power)
    elif event.outcome in {Outcome.FAILED, Outcome.REFUSED}:
        tries = run.off_attempts if step.what is What.OFF else run.on_attempts
        salt = f"{operation.id}/{run.device}/{step.what.value}"
        wait_until = work.now + back_off_seconds(tries, first=1.0, most=30.0, salt=salt)
    else:
        wait_until = work.now
    work.record(
        r.StepEnded(
            operation=event.operation,
            device=event.device,
            number=event.number,
            outcome=event.outcome,
            error=event.error or event.note,
            is_end_known=event.is_end_known,
            wait_until=wait_until,
            settled_at=_settled_at(work, run, event),
            error_kind=event.kind,
            settling_until=event.settling_until,
        )
    )
    _weigh_paths(work, event.operation, event.device)
    is_path_in_doubt = event.error is not None and (
        is_read or event.outcome is Outcome.TIMED_OUT or event.kind == PROXY_REFUSED
    )
    if is_path_in_doubt:
        lost = step.proxy if is_read and not is_own_path else None
        work.record(r.PathLost(operation=event.operation, device=event.device, why=event.error or "", proxy=lost))
    if event.kind == WRONG_MACHINE:
        meet(work, event.operation, event.device, f"through {step.proxy}: {event.error}")
    advance(work)


def _weigh_paths(work: HostWork, operation_id: str, device: DeviceName) -> None:
    """Something was read: what its paths say together."""
    operation = _operation(work, operation_id)
    if operation is not None:
        paths.weigh(work, operation, device)
    _revoke_if_lit(work, operation_id, device)


def _revoke_if_lit(work: HostWork, operation_id: str, device: DeviceName) -> None:
    """A host that was fenced reads ON as the next operation begins, without an ON of ours: others must know (S17)."""
    operation, proof = work.operation, work.state.proof
    if operation is None or operation.id != operation_id or proof is None or operation.before is not State.FENCED:
        return
    run = operation.run(device)
    is_ours = operation.is_fenced or operation.action is Action.ON or run.is_switched_on
    is_speaking = any(it.name == device for it in speaks(proof, work.host))
    if not is_ours and is_speaking and is_lit(run):
        why = f"{device} reads ON without an ON of ours"
        token = work.fleet.next_token()
        work.record(r.HostRevoked(why=why, token=token, boot=None, distrusted=(), is_alive=False))


def _settled_at(work: HostWork, run: DeviceRun, event: StepFinished) -> float | None:
    """Until when the device may still act upon a command whose call has ended (its `settle`). None: not at all."""
    assert run.step is not None
    settle = work.host.device(run.device).settle_seconds
    if run.step.not_after is None or settle == 0.0 or event.outcome is Outcome.REFUSED or not event.is_end_known:
        return None
    return min(run.step.not_after, work.now + settle)


def agent_seen(work: HostWork, event: AgentSeen) -> None:
    """Durable before the agent reads its parameters (S16)."""
    operation = _operation(work, event.operation)
    if operation is not None:
        work.record(
            r.AgentStarted(
                operation=event.operation,
                device=event.device,
                number=event.number,
                pid=event.pid,
                pid_started=event.pid_started,
            )
        )


def announcement_delivered(work: HostWork, event: AnnouncementDelivered) -> None:
    """The broker has the `fenced` event: ON may follow (S8)."""
    operation = work.operation
    if operation is None or operation.id != event.operation or operation.is_announcement_acknowledged:
        return
    if operation.phase is Phase.ANNOUNCING:
        work.record(r.AnnouncementAcknowledged(operation=operation.id))
        advance(work)


def _operation(work: HostWork, operation_id: str) -> Operation | None:
    for operation in (work.state.operation, work.state.reading):
        if operation is not None and operation.id == operation_id:
            return operation
    return None


def hear_life(work: HostWork) -> None:
    """Life while no device has read OFF yet ends an automatic operation; what may have been switched is restored (S10)."""
    operation = work.operation
    if operation is None or not operation.is_automatic or operation.is_stopped:
        return
    if operation.phase not in {Phase.PROVING, Phase.INSPECTING}:
        return
    has_read_off = any(run.says is Power.OFF and run.is_switched_off for run in operation.devices)
    if not has_read_off:
        stop(work, "the host was heard")


def hear_boot(work: HostWork, boot: BootId | None) -> None:
    """After a restart of ours an operation goes on only against the run of the host that it began with (S13)."""
    operation = work.operation
    if operation is None or operation.is_stopped or not operation.is_resumed:
        return
    is_another = boot is not None and operation.boot is not None and boot != operation.boot
    if is_another and operation.phase in {Phase.PROVING, Phase.INSPECTING}:
        why = "the daemon was restarted, and the host runs with another boot since: no new OFF"
        stop(work, why, ending=OperationState.FAILED)


def life_asked(work: HostWork, answered: str | None) -> None:
    """The host was asked before the first OFF of a level."""
    operation = work.operation
    if operation is None or not operation.is_automatic or operation.phase is not Phase.PROVING:
        return
    work.record(r.LifeChecked(operation=operation.id, answered=answered))
    advance(work)


# -- no new OFF (S13) -------------------------------------------------------------------------------------------------


def read_and_end(work: HostWork, why: str, *, ending: OperationState = OperationState.FAILED) -> None:
    """No command any more: every device is read once, then the operation ends with what was seen."""
    operation = work.operation
    assert operation is not None
    if not operation.is_stopped:
        work.record(r.OperationStopped(operation=operation.id, ending=ending, why=why, is_on_forbidden=False))
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.READING))


def _read_last(work: HostWork, operation: Operation) -> None:
    for run in operation.devices:
        if not run.is_inspected and not run.is_racing:
            start_race(work, operation, run, disputed=paths.disputed(work, run.device))
    until = max(operation.deadline, operation.resume_at or 0.0) + INSPECTING_SECONDS
    is_read = all(run.is_inspected and not run.is_racing for run in _now(work, operation).devices)
    if is_read or work.now >= until:
        _revoke_if_read_on(work)
        finish(work, operation.ending or OperationState.FAILED, operation.ending_why)
    else:
        work.wake(until)


def _revoke_if_read_on(work: HostWork) -> None:
    """It was announced, no ON of ours followed, and of the devices that the inventory has now one reads ON (S17)."""
    operation, state = work.operation, work.state
    proof = state.proof
    if operation is None or proof is None or state.state not in {State.FENCED, State.RESTORING}:
        return
    if state.token != proof.token:
        return
    names = {device.name for device in speaks(proof, work.host)}
    lit = [str(run.device) for run in operation.devices if run.device in names and is_lit(run)]
    if lit:
        why = f"{', '.join(lit)} reads ON without an ON of ours"
        work.record(r.HostRevoked(why=why, token=work.fleet.next_token(), boot=None, distrusted=(), is_alive=False))


# -- reading operations (status, probe) -------------------------------------------------------------------------------


def _advance_reading(work: HostWork) -> None:
    """All devices once, each through the winner of its race; a probe asks every candidate."""
    operation = work.state.reading
    if operation is None:
        return
    for run in operation.devices:
        if not run.is_racing and run.races == 0:
            start_race(work, operation, run, disputed=paths.disputed(work, run.device))
    operation = work.state.reading
    assert operation is not None
    if work.now >= operation.deadline:
        end_reading(work, operation)
    elif any(run.is_racing for run in operation.devices):
        work.wake(operation.deadline)
    else:
        end_reading(work, operation)


def drop(work: HostWork, operation: Operation, why: str) -> None:
    """End an operation that only waits or only reads."""
    end_unstarted(work, operation, why)
    advance(work)


def watch_command(work: HostWork) -> c.WatchHost:
    """S17's reading of all devices, each through its own candidates. Of a host that may run: of what is owed alone (S9)."""
    is_whole = is_watched_as_off(work.state)
    ways: list[tuple[DeviceName, tuple[tuple[ProxyName, ...], ...]]] = []
    for device in work.host.devices:
        if not is_whole and device.name not in work.state.owed:
            continue
        candidates = expand(device, work.host, work.fleet.inventory, work.fleet.why_candidate_barred)
        ways.append((device.name, candidates.tiers))
    at_odds = tuple(name for name, _ in ways if paths.disputed(work, name) or name in work.sight.watch_lit)
    return c.WatchHost(host=work.name, paths=tuple(ways), exhaustive=at_odds)
