"""Folds races, readings and commands into one device's run. Decides which readings count towards OFF (S2, S5)."""

from collections.abc import Set
from dataclasses import dataclass
from typing import assert_never

from fenced.core.durable import records as r
from fenced.core.durable import words
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import PROXY_REFUSED, DeviceRun, IssuedCommand, Operation, RaceEntry, Step
from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Kind, Outcome, Power, Verdict, What

STEPS_KEPT_MAX = 60
RACE_KEPT_MAX = 64
"""How many entries of a device's newest races are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The run's surroundings. `commands`: the host's commands that may still act. `disputed`: paths to this device that
    disagreed before."""

    operation: Operation
    commands: tuple[IssuedCommand, ...]
    disputed: Set[ProxyName]


def evolve_run(run: DeviceRun, at: float, record: r.RunRecord, around: Around) -> DeviceRun:
    """Return the device's run after one of its records."""
    return weighed(_evolve_run(run, at, record, around), at)


def _evolve_run(run: DeviceRun, at: float, record: r.RunRecord, around: Around) -> DeviceRun:
    match record:
        case r.RaceStarted():
            asked = words.needed(run.words, record.disputed)
            return replace(
                run, is_racing=True, races=run.races + 1, excluded=record.excluded, proxy=None, reserves=(), words=asked
            )
        case r.RaceEnded():
            return _race_ended(run, at, record, around)
        case r.StepStarted():
            return _step_started(run, at, record)
        case r.AgentStarted():
            return run
        case r.StepEnded():
            return _step_ended(run, at, record, around)
        case r.PathLost():
            return _path_lost(run, at, record, around)
        case r.DeviceGivenUp():
            return replace(run, is_given_up=True, error=record.why)
        case _:
            assert_never(record)


def spoken_against(run: DeviceRun, at: float, record: r.RaceEnded, began: float) -> DeviceRun:
    """Apply an ON that the race of another operation, which `began` then, read meanwhile.

    If a command of this operation came in between, the path must be read again.
    """
    lit = [entry for entry in record.entries if entry.power is Power.ON]
    if not lit and record.power is not Power.ON:
        return run
    is_commanding = run.step is not None and run.step.what is not What.STATUS
    said = run.words
    for entry in lit:
        is_since = not is_commanding and began + (entry.started_ms or 0) / 1000 > (run.command_ended_at or 0.0)
        said = words.heard(said, entry.proxy, Power.ON if is_since else Power.UNKNOWN, at)
    if run.power is Power.OFF:
        run = replace(run, same_reads=0, same_since=at)
    return weighed(replace(run, words=said), at)


def weighed(run: DeviceRun, at: float) -> DeviceRun:
    """Note whether the paths disagree, and since when. An OFF beside another path's ON does not count."""
    if not words.are_at_odds(run.words):
        return run if run.in_doubt_since is None else replace(run, in_doubt_since=None)
    if run.power is Power.OFF and run.lit and run.same_reads:
        run = replace(run, same_reads=0, same_since=at)
    return run if run.in_doubt_since is not None else replace(run, in_doubt_since=at)


def without_feed(runs: tuple[DeviceRun, ...], outlet: DeviceName) -> tuple[DeviceRun, ...]:
    """Distrust earlier readings of a chassis, because an OFF is sent to an outlet that may feed it."""
    if any(run.device == outlet and run.kind is not Kind.OUTLET for run in runs):
        return runs
    return tuple(replace(run, words=words.made_old(run.words)) if run.kind is Kind.CHASSIS else run for run in runs)


def _path_lost(run: DeviceRun, at: float, record: r.PathLost, around: Around) -> DeviceRun:
    lost = record.proxy if record.proxy is not None else run.proxy
    if lost is not None:
        run = replace(run, words=words.missed(run.words, lost, at, is_needed=lost in around.disputed))
    reserves = tuple(proxy for proxy in run.reserves if proxy != lost)
    if lost != run.proxy:
        return replace(run, reserves=reserves, error=record.why)
    return replace(run, proxy=reserves[0] if reserves else None, reserves=reserves[1:], error=record.why)


def forget_path(run: DeviceRun, at: float) -> DeviceRun:
    """Forget paths and readings after a restart of the daemon, except an ON and paths that must be read again (S13).

    What was sent is kept.
    """
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
        words=run.unsettled,
        in_doubt_since=None,
    )


def drop_reads(run: DeviceRun, at: float) -> DeviceRun:
    """End the race or read under way, which was dropped: no result will come."""
    if run.step is None or run.step.what is not What.STATUS:
        return replace(run, is_racing=False)
    return replace(_keep(run, replace(run.step, ended=at, outcome=Outcome.CANCELLED)), step=None, is_racing=False)


def _race_ended(run: DeviceRun, at: float, record: r.RaceEnded, around: Around) -> DeviceRun:
    run = replace(
        run,
        is_racing=False,
        race=(*run.race, *record.entries)[-RACE_KEPT_MAX:],
        wait_until=record.again_at,
        is_inspected=True,
        words=_words_of_race(run, at, record, around),
        is_mute=words.is_device_silent(record.entries),
    )
    run = replace(run, settling_until=record.settling_until)
    if record.winner is None:
        error = "; ".join(f"{entry.proxy}: {entry.error}" for entry in record.entries if entry.error)[:500]
        run = replace(run, proxy=None, reserves=(), refused_by=(), error=error or "no candidate")
        return replace(run, power=Power.UNKNOWN, same_reads=0)
    won = next((entry for entry in record.entries if entry.verdict is Verdict.WON), None)
    started = _started(around, won, at)
    step = Step(
        number=0,
        what=What.STATUS,
        proxy=record.winner,
        started=started,
        ended=at,
        outcome=Outcome(record.power.value),
    )
    run = replace(run, proxy=record.winner, last_proxy=record.winner, reserves=record.reserves, is_path_proven=True)
    return _read(_keep(run, step), at, started, record.power, around)


def _started(around: Around, entry: RaceEntry | None, at: float) -> float:
    """Return when that candidate was probed."""
    return at if entry is None else around.operation.started + (entry.started_ms or 0) / 1000


def _words_of_race(run: DeviceRun, at: float, record: r.RaceEnded, around: Around) -> words.Words:
    said = run.words
    for entry in record.entries:
        if entry.power is not None:
            said = _said(run, said, entry.proxy, entry.power, at, _started(around, entry, at), around)
        elif entry.verdict in {Verdict.FAILED, Verdict.TIMED_OUT}:
            said = words.missed(said, entry.proxy, at, is_needed=entry.proxy in around.disputed)
    return said


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
    if record.what is not What.STATUS:
        run = replace(run, words=words.commanded(run.words, record.what))
    match record.what:
        case What.STATUS:
            return run
        case What.OFF:
            return replace(run, is_switched_off=True, off_attempts=run.off_attempts + 1, same_reads=0)
        case What.ON:
            return replace(run, is_switched_on=True, on_attempts=run.on_attempts + 1, same_reads=0)
        case What.SOFT_OFF:
            return replace(run, is_asked_down=True, same_reads=0)
        case _:
            assert_never(record.what)


def _step_ended(run: DeviceRun, at: float, record: r.StepEnded, around: Around) -> DeviceRun:
    step = run.step
    if step is None or step.number != record.number:
        return run
    ended = replace(step, ended=at, outcome=record.outcome, error=record.error)
    run = replace(_keep(run, ended), step=None, wait_until=record.wait_until, error=record.error or run.error)
    if step.what is What.STATUS:
        return _status_ended(run, at, record, step, around)
    if record.error_kind == PROXY_REFUSED and step.proxy not in run.refused_by:
        run = replace(run, refused_by=(*run.refused_by, step.proxy))
    return replace(run, command_ended_at=at, command_outcome=record.outcome, power=Power.UNKNOWN, same_reads=0)


def _status_ended(run: DeviceRun, at: float, record: r.StepEnded, step: Step, around: Around) -> DeviceRun:
    """Fold the end of a read: of the device's own path, or of another one, which only adds what that path read.

    A failed read does not count as a reading; another path may answer.
    """
    power = Power(record.outcome.value) if record.outcome.value in {"on", "off"} else Power.UNKNOWN
    has_failed = record.error is not None and not record.settling_until
    if has_failed:
        is_needed = step.proxy in around.disputed
        run = replace(run, words=words.missed(run.words, step.proxy, at, is_needed=is_needed))
    else:
        said = _said(run, run.words, step.proxy, power, at, step.started, around)
        run = replace(run, words=said)
    if step.proxy != run.proxy:
        return run
    run = replace(run, settling_until=record.settling_until)
    return replace(_read(run, at, step.started, power, around), is_inspected=run.is_inspected or not has_failed)


def _said(
    run: DeviceRun, said: words.Words, proxy: ProxyName, power: Power, at: float, started: float, around: Around
) -> words.Words:
    """Keep what a path read. If an opposite command could still act, the path must be read again."""
    if power is Power.UNKNOWN:
        return said
    if _is_counting(run, power, started, around):
        return words.heard(said, proxy, power, at)
    return words.heard(said, proxy, Power.UNKNOWN, at) if power is Power.ON else said


def _is_counting(run: DeviceRun, power: Power, started: float, around: Around) -> bool:
    """Return whether no earlier opposite command for the device could still act when the reading began (S5)."""
    return not any(
        command.device == run.device and command.what.is_opposite(power) and not command.is_settled(started)
        for command in around.commands
    )


def _read(run: DeviceRun, at: float, started: float, power: Power, around: Around) -> DeviceRun:
    if power is Power.UNKNOWN or not _is_counting(run, power, started, around):
        return replace(run, power=power, same_reads=0, same_since=at, read_at=at)
    if run.power is power and run.same_reads:
        return replace(run, same_reads=run.same_reads + 1, read_at=at)
    return replace(run, power=power, same_reads=1, same_since=at, read_at=at)


def _keep(run: DeviceRun, step: Step) -> DeviceRun:
    """Keep the first ten steps and the newest ones, and count those dropped."""
    steps = (*run.steps, step)
    if len(steps) <= STEPS_KEPT_MAX:
        return replace(run, steps=steps)
    return replace(run, steps=(*steps[:10], *steps[11:]), steps_dropped=run.steps_dropped + 1)
