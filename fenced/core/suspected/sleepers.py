"""Hears and watches a host that saving put to sleep, until it is awake (S24).

What ends the sleep is life, or power without the daemon. The run that was shut down must be quiet: if it still speaks,
the chassis that read OFF did not end it, and is believed no more (S17).
"""

from collections.abc import Mapping
from typing import Final

from fenced.core.allowed import gates
from fenced.core.believed.sharing import disbelieved
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.state import Asleep, HostState, Phase, Slot, SoftOff
from fenced.core.events import Health, HealthStatus
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import NOTHING, OffRounds
from fenced.core.operation import starting
from fenced.core.operation.advancing import advance
from fenced.core.suspected import freshness
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId
from fenced.model.power import Action, Cause, Power, State

LATE: Final = -1
"""The key of the rounds in which a host that left reads OFF; no level has it."""


def is_quiet(state: HostState) -> bool:
    """Return whether the host should be silent: it sleeps, was woken, or did not come back. While a person has it
    switched off, that operation hears it."""
    return state.is_asleep and state.state in {State.SLEEPING, State.RESTORING, State.SUSPECT, State.FAILED}


def hear(work: HostWork, health: Health) -> bool:
    """Note a beat of such a host. Return whether it lives: then it is awake, and the beat counts as any other."""
    asleep = work.state.saving.asleep
    assert asleep is not None
    if health.is_boot_unread or health.status is HealthStatus.STOPPING or freshness.is_stale(work.sight, health):
        return False
    is_old = health.boot is None or health.boot == asleep.boot
    if not is_old and health.boot in work.state.ended_boots:
        return False
    if is_old and not _lives_on(work, asleep, health):
        return False
    why = "the run that was shut down is still heard" if is_old else f"heard with the new boot id {health.boot}"
    wake(work, why, boot=health.boot, is_alive=True, distrusted=asleep.devices if is_old else ())
    return True


def note_work(work: HostWork, health: Health) -> None:
    """Note durably that a host which was asked to shut down has work after all: its OFF may cut that. What it says a
    moment later, when its work was stopped, takes nothing back."""
    soft_off = work.state.saving.soft_off
    if soft_off is not None and health.workloads and not soft_off.has_work and health.boot in {None, soft_off.boot}:
        work.record(r.WorkHeard(workloads=health.workloads))


def note_busy(work: HostWork, source: str) -> None:
    """Note it as work that another system, or its own reporter, says that such a host is busy."""
    soft_off = work.state.saving.soft_off
    if soft_off is not None and not soft_off.has_work:
        work.record(r.WorkHeard(workloads=0, source=source))


def _lives_on(work: HostWork, asleep: Asleep, health: Health) -> bool:
    late = work.host.settings.detection.late_message_seconds
    if health.reached <= asleep.at + late:
        return False
    return freshness.lives_since(work.fleet, work.name, health, asleep.at + late)


def wake(
    work: HostWork, why: str, *, boot: object, is_alive: bool, distrusted: tuple[DeviceName, ...] = ()
) -> None:  # fmt: skip
    """Record that its sleep is over: it lives, or it has power that the daemon did not give."""
    state = work.state
    if is_alive:
        recording.recover(work, why)
    work.record(
        r.HostWoken(
            why=why,
            token=work.fleet.next_token(),
            boot=boot,  # type: ignore[arg-type]
            is_alive=is_alive,
            is_ours=state.saving.is_switched_on or state.operation is not None,
            distrusted=distrusted,
        )
    )
    work.wake(work.now)


def watched(
    work: HostWork, lit: frozenset[DeviceName], powers: Mapping[DeviceName, Power], started: float
) -> None:  # fmt: skip
    """Handle a round of the watch: a chassis of a sleeper that reads ON without the daemon means that the host may
    boot; a host that was asked and left late sleeps once all its chassis read OFF in two rounds."""
    if work.state.operation is not None:
        return
    asleep, soft_off = work.state.saving.asleep, work.state.saving.soft_off
    if asleep is None:
        if soft_off is not None and has_left_late(work.state, work.host.settings.saving.soft_timeout_seconds):
            _go_down_late(work, soft_off, powers, started)
        return
    on = sorted(lit & {*asleep.devices})
    if on:
        wake(work, f"{', '.join(on)} reads ON without an ON of ours", boot=None, is_alive=False)


def has_left_late(state: HostState, soft_timeout_seconds: float) -> bool:
    """Return whether the host left because it was asked to, although that took it too long: within another
    `soft_timeout`. What it does after that, somebody else wants."""
    soft_off = state.saving.soft_off
    is_left = state.state is State.LEFT and soft_off is not None and state.boot == soft_off.boot
    return is_left and soft_off is not None and state.since <= soft_off.at + 2 * soft_timeout_seconds


def _go_down_late(work: HostWork, soft_off: SoftOff, powers: Mapping[DeviceName, Power], started: float) -> None:
    is_off = bool(soft_off.devices) and all(powers.get(device) is Power.OFF for device in soft_off.devices)
    is_silent = work.fleet.is_overdue(work.name, work.now) and not work.fleet.is_speaking(work.name, work.now)
    if not is_off or not is_silent or {*soft_off.devices} & disbelieved(work):
        work.see(watch_offs=NOTHING)
    elif soft_off.has_work:
        _prove_late(work, soft_off.work)
    else:
        _fall_asleep_late(work, soft_off, started)


def _prove_late(work: HostWork, why: str) -> None:
    """Go on as if it went down in time: its OFF is proven, announced as `fenced`, and its power is given back."""
    if gates.closed(gates.announce_gates(work.fleet, work.name, work.now)):
        return
    reason = f"it went down late, and {why}"
    operation = starting.new(work, Action.SLEEP, cause=Cause.SAVING, by="fenced", reason=reason)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    until = work.now + work.host.settings.saving.soft_timeout_seconds
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.GOING_DOWN, deadline=until))
    advance(work)


def _fall_asleep_late(work: HostWork, soft_off: SoftOff, started: float) -> None:
    before = work.sight.watch_offs.get(LATE)
    if before is None or before.since < work.state.since:
        work.see(watch_offs={LATE: OffRounds(count=1, since=started, last=started, until=work.now)})
        return
    work.see(watch_offs=NOTHING)
    work.record(
        r.HostSlept(
            operation=work.state.last_operation or OperationId(""), boot=soft_off.boot,
            token=work.fleet.next_token(), devices=soft_off.devices, by="fenced",
            reason="it went down late after it was asked to", cause=Cause.SAVING,
        )
    )  # fmt: skip


def overheard(fleet: Fleet, state: HostState, health: Health) -> bool:
    """Return whether a standby may keep this beat: one of the run that was shut down says nothing yet."""
    asleep = state.saving.asleep
    return asleep is None or health.boot not in {None, asleep.boot}
