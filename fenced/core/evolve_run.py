"""How one device's run changes within its operation. What counts as a reading towards OFF is decided here (S2, S5)."""

from typing import assert_never

from fenced.core import records as r
from fenced.core.replacing import replace
from fenced.core.state import PROXY_REFUSED, DeviceRun, IssuedCommand, Operation, Step
from fenced.model.power import Outcome, Power, Verdict, What

STEPS_KEPT_MAX = 60
RACE_KEPT_MAX = 64
"""Candidates' stories that are kept of a device: those of the newest races."""

RunRecord = r.RaceStarted | r.RaceEnded | r.StepStarted | r.AgentStarted | r.StepEnded | r.PathLost | r.DeviceGivenUp


def evolve_run(
    run: DeviceRun, at: float, record: RunRecord, operation: Operation, commands: tuple[IssuedCommand, ...]
) -> DeviceRun:
    """The device's run after one of its records. `commands`: those of the host that may still act."""
    match record:
        case r.RaceStarted():
            return replace(run, is_racing=True, races=run.races + 1, excluded=record.excluded, proxy=None, reserves=())
        case r.RaceEnded():
            return _race_ended(run, at, record, operation, commands)
        case r.StepStarted():
            return _step_started(run, at, record)
        case r.AgentStarted():
            return run
        case r.StepEnded():
            return _step_ended(run, at, record, commands)
        case r.PathLost():
            proxy, *reserves = run.reserves or (None,)
            return replace(run, proxy=proxy, reserves=tuple(reserves) if proxy is not None else (), error=record.why)
        case r.DeviceGivenUp():
            return replace(run, is_given_up=True, error=record.why)
        case _:
            assert_never(record)


def forget_path(run: DeviceRun, at: float) -> DeviceRun:
    """After a restart of ours nothing that was read or reached counts any more; what was sent still does (S13)."""
    if run.step is not None:
        run = _keep(run, replace(run.step, ended=at, outcome=Outcome.TIMED_OUT, error="the daemon was restarted"))
    return replace(
        run,
        step=None,
        is_racing=False,
        proxy=None,
        reserves=(),
        power=Power.UNKNOWN,
        same_reads=0,
        read_at=None,
        settling_until=0.0,
        is_path_proven=False,
        is_given_up=False,
        is_inspected=False,
        wait_until=at,
        command_ended_at=at if run.off_attempts or run.on_attempts else None,
        command_outcome=Outcome.FAILED if run.off_attempts or run.on_attempts else None,
        refused_by=(),
    )


def drop_reads(run: DeviceRun, at: float) -> DeviceRun:
    """The race or read that was under way was dropped: nothing will be heard of it."""
    if run.step is None or run.step.what is not What.STATUS:
        return replace(run, is_racing=False)
    return replace(_keep(run, replace(run.step, ended=at, outcome=Outcome.CANCELLED)), step=None, is_racing=False)


def _race_ended(
    run: DeviceRun, at: float, record: r.RaceEnded, operation: Operation, commands: tuple[IssuedCommand, ...]
) -> DeviceRun:
    run = replace(
        run,
        is_racing=False,
        race=(*run.race, *record.entries)[-RACE_KEPT_MAX:],
        wait_until=record.again_at,
        is_inspected=True,
    )
    run = replace(run, settling_until=record.settling_until)
    if record.winner is None:
        error = "; ".join(f"{entry.proxy}: {entry.error}" for entry in record.entries if entry.error)[:500]
        run = replace(run, proxy=None, reserves=(), refused_by=(), error=error or "no candidate")
        return replace(run, power=Power.UNKNOWN, same_reads=0)
    won = next((entry for entry in record.entries if entry.verdict is Verdict.WON), None)
    started = operation.started + (won.started_ms or 0) / 1000 if won is not None else at
    step = Step(
        number=0,
        what=What.STATUS,
        proxy=record.winner,
        started=started,
        ended=at,
        outcome=Outcome(record.power.value),
    )
    run = replace(run, proxy=record.winner, last_proxy=record.winner, reserves=record.reserves, is_path_proven=True)
    return _read(_keep(run, step), at, started, record.power, commands)


def _step_started(run: DeviceRun, at: float, record: r.StepStarted) -> DeviceRun:
    step = Step(
        number=record.number,
        what=record.what,
        proxy=record.proxy,
        started=at,
        token=record.token,
        not_after=record.not_after,
    )
    run = replace(run, step=step)
    match record.what:
        case What.STATUS:
            return run
        case What.OFF:
            return replace(run, is_switched_off=True, off_attempts=run.off_attempts + 1, same_reads=0)
        case What.ON:
            return replace(run, is_switched_on=True, on_attempts=run.on_attempts + 1, same_reads=0)
        case _:
            assert_never(record.what)


def _step_ended(run: DeviceRun, at: float, record: r.StepEnded, commands: tuple[IssuedCommand, ...]) -> DeviceRun:
    step = run.step
    if step is None or step.number != record.number:
        return run
    ended = replace(step, ended=at, outcome=record.outcome, error=record.error)
    run = replace(_keep(run, ended), step=None, wait_until=record.wait_until, error=record.error or run.error)
    if step.what is What.STATUS:
        run = replace(run, settling_until=record.settling_until)
        power = Power(record.outcome.value) if record.outcome.value in {"on", "off"} else Power.UNKNOWN
        return replace(_read(run, at, step.started, power, commands), is_inspected=True)
    if record.error_kind == PROXY_REFUSED and step.proxy not in run.refused_by:
        run = replace(run, refused_by=(*run.refused_by, step.proxy))
    return replace(run, command_ended_at=at, command_outcome=record.outcome, power=Power.UNKNOWN, same_reads=0)


def _read(run: DeviceRun, at: float, started: float, power: Power, commands: tuple[IssuedCommand, ...]) -> DeviceRun:
    """A reading counts only when no earlier opposite command for the plug could still act as it began (S5)."""
    is_counting = power is not Power.UNKNOWN and not any(
        command.device == run.device
        and command.what.value != power.value
        and not (command.is_ended or command.not_after <= started)
        for command in commands
    )
    if not is_counting:
        return replace(run, power=power, same_reads=0, same_since=at, read_at=at)
    if run.power is power and run.same_reads:
        return replace(run, same_reads=run.same_reads + 1, read_at=at)
    return replace(run, power=power, same_reads=1, same_since=at, read_at=at)


def _keep(run: DeviceRun, step: Step) -> DeviceRun:
    """Bounded: the first ten steps and the newest ones are kept, and how many went is told."""
    steps = (*run.steps, step)
    if len(steps) <= STEPS_KEPT_MAX:
        return replace(run, steps=steps)
    return replace(run, steps=(*steps[:10], *steps[11:]), steps_dropped=run.steps_dropped + 1)
