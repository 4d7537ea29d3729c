"""Judges whether a host could be fenced now, from the last read of each path to its devices and from their trust.

Full: every device of every level can be read and is trusted. Degraded: at least one level is complete. None: no level
is. Missing results change nothing: only new readings change the level, and one failed reading is not enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from fenced.core.believed import sharing, trust
from fenced.core.durable import records as r
from fenced.core.durable.state import WRONG_MACHINE, Fenceable, FenceableLevel, HostState, RaceEntry, Reason
from fenced.core.durable.words import contradict, of_race
from fenced.core.events import PathChecked, RaceFinished, WatchEnded
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import HostChecks, PathResult, valid_seconds
from fenced.core.operation import mismatch, paths
from fenced.core.reach.candidates import why_not
from fenced.core.suspected.looking import look_watch
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.names import DeviceName, HostName, ProxyName
from fenced.model.paths import PathWord
from fenced.model.power import Kind, Power, State, Verdict

FAILURES = 2
"""A device counts as unreadable after this many failures in a row, over all its paths."""

REASON_TEXT_MAX = 500
POWER_IS_KEPT = frozenset({State.HEALTHY, State.UNKNOWN, State.LEFT, State.MAINTENANCE})
"""States in which `path_checked` records the power. In the others the watch and the operations do."""


# -- what was read ----------------------------------------------------------------------------------------------------


def path_checked(work: HostWork, event: PathChecked) -> None:
    """Keep a path check's result, compare the paths, judge the host. Older and repeated results change nothing."""
    device = _device(work, event.device)
    if device is None or not is_on(work.fleet):
        return
    _keep(work, device.name, event.proxy, at=event.started, error=event.error, failure=event.failure, power=event.power)
    if event.failure == WRONG_MACHINE:
        mismatch.tell(work, device.name, f"through {event.proxy}: {event.error}")
    path = (work.name, device.name, event.proxy)
    work.fleet.claims.keep(path, device.spec, event.identities, at=event.started)
    if event.error is None:
        _compare(work, device.name, event)
        _keep_power(work, event)
        trust.seen(work, device, event.power, started=event.started)
    _tell_shared(work, device)
    judge(work)


def raced(work: HostWork, event: RaceFinished) -> None:
    """Keep a race's result for each path that it tried. The race of a status request also feeds `trust`."""
    device = _device(work, event.device)
    if device is None:
        return
    _keep_race(work, device.name, event.entries)
    won = next((entry for entry in event.entries if entry.verdict is Verdict.WON), None)
    if won is not None and work.operation is None and not contradict(of_race(event.entries, work.now)):
        seconds = ((won.ended_ms or 0) - (won.started_ms or 0)) / 1000
        trust.seen(work, device, event.power, started=work.now - seconds)
    judge(work)


def watched(work: HostWork, event: WatchEnded) -> None:
    """Keep the results of a watch round for the paths that it tried."""
    for device, entries in event.races:
        if _device(work, device) is not None:
            _keep_race(work, device, entries)
    judge(work)


def is_on(fleet: Fleet) -> bool:
    """Return whether the path check is enabled."""
    return valid_seconds(fleet.inventory) > 0


def _checks(work: HostWork) -> HostChecks:
    return work.fleet.checks.get(work.name) or HostChecks(at=work.now)


def _keep(
    work: HostWork, device: DeviceName, proxy: ProxyName, *, at: float, error: str | None, failure: str = "",
    power: Power | None = None,
) -> None:  # fmt: skip
    """Keep a result; the power that the path reported before the host's present state does not count."""
    checks, since = _checks(work), work.state.since
    kept = checks.keep(device, proxy, at=at, error=error, failure=failure, power=power, since=since)
    if kept is not checks or work.name not in work.fleet.checks:
        work.fleet.checks.put(work.name, kept)


def _device(work: HostWork, name: DeviceName) -> Device | None:
    """Return the device; None: a reload removed it."""
    return next((device for device in work.host.devices if device.name == name), None)


def _keep_race(work: HostWork, device: DeviceName, entries: tuple[RaceEntry, ...]) -> None:
    if not is_on(work.fleet):
        return
    for entry in entries:
        if entry.verdict in {Verdict.WON, Verdict.RESERVE}:
            _keep(work, device, entry.proxy, at=work.now, error=None, power=entry.power)
        elif entry.verdict in {Verdict.FAILED, Verdict.TIMED_OUT}:
            error = entry.error or entry.verdict.value
            _keep(work, device, entry.proxy, at=work.now, error=error, failure=entry.kind or "")


def _compare(work: HostWork, device: DeviceName, event: PathChecked) -> None:
    """Compare the paths to a device outside operations: if they disagree, they may lead to different units."""
    if work.state.operation is not None or event.started < work.state.since or event.power is Power.UNKNOWN:
        return
    paths.note(work, device, event.proxy, event.power)
    results = {proxy: one for (name, proxy), one in _checks(work).paths.items() if name == device}
    mine = results.pop(event.proxy)
    others = [(proxy, other) for proxy, other in results.items() if mine.contradicts(other)]
    if others:
        said = [(event.proxy, mine), *others]
        words = tuple(PathWord(proxy=proxy, power=one.power, asked_at=one.power_at) for proxy, one in said)
        paths.tell(work, device, words, operation=None)


def _tell_shared(work: HostWork, device: Device) -> None:
    """Report a shared device once for each of its two hosts; `fenceable` then lists it as reported."""
    found = sharing.reason(work.fleet, work.name, device, work.now)
    if found is None or found.beside is None:
        return
    _tell_once(work, found)
    host, name = found.beside
    beside = work.work.on(host)
    theirs = _device(beside, name)
    again = None if theirs is None else sharing.reason(work.fleet, host, theirs, work.now)
    if again is not None:
        _tell_once(beside, again)
        judge(beside)


def _tell_once(work: HostWork, found: Reason) -> None:
    before = work.state.fenceable
    is_known = before is not None and _keys((found,)) <= _keys(before.why)
    if not is_known and found.device is not None and work.state.maintenance is None:
        mismatch.tell(work, found.device, found.text)


def _keep_power(work: HostWork, event: PathChecked) -> None:
    """Record known power. A fenced host that reads ON has its devices read now, not at the next round."""
    state = work.state
    if state.operation is not None or event.started < state.since or event.power is Power.UNKNOWN:
        return
    if state.state is State.FENCED and event.power is Power.ON:
        work.see(watch_at=min(work.sight.watch_at or work.now, work.now))
        look_watch(work)
    elif state.state in POWER_IS_KEPT:
        power = event.power if paths.who_disagrees(work, event.device) is None else Power.UNKNOWN
        if dict(state.power).get(event.device) is not power:
            work.record(r.PowerSeen(device=event.device, power=power))


# -- judging the host -------------------------------------------------------------------------------------------------


class _Word(Enum):
    """How well a device, or a level of devices, can be used."""

    WHOLE = "whole"
    BROKEN = "broken"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """`reasons` may be set beside WHOLE: the device is usable, but something about it is wrong."""

    word: _Word
    reasons: tuple[Reason, ...] = ()


def judge(work: HostWork) -> None:
    """Record the host's fenceable level when it changed. Skipped in maintenance and during operations."""
    state = work.state
    if not is_on(work.fleet) or work.host.is_own_machine or not work.host.devices:
        return
    if state.operation is not None or state.maintenance is not None:
        return
    found = {device.name: _of_device(work, device) for device in work.host.devices}
    words = [
        _of_level([found[d.name].word for d in work.host.devices if d.level == level]) for level in work.host.levels
    ]
    reasons = tuple(reason for one in found.values() for reason in one.reasons)
    level = _level(words, is_flawed=bool(reasons))
    before = state.fenceable
    if level is None or (before is not None and before.level is level and _keys(before.why) == _keys(reasons)):
        return
    work.record(r.FenceableChanged(level=level, why=reasons))


def _level(words: list[_Word], *, is_flawed: bool) -> FenceableLevel | None:
    """Return None when too little is known to change the level."""
    if all(word is _Word.BROKEN for word in words):
        return FenceableLevel.NONE
    if _Word.WHOLE not in words:
        return None
    if _Word.BROKEN in words or (is_flawed and _Word.UNSURE not in words):
        return FenceableLevel.DEGRADED
    return FenceableLevel.FULL if _Word.UNSURE not in words else None


def _of_level(words: list[_Word]) -> _Word:
    if _Word.BROKEN in words:
        return _Word.BROKEN
    return _Word.UNSURE if _Word.UNSURE in words else _Word.WHOLE


def _keys(reasons: tuple[Reason, ...]) -> frozenset[tuple[DeviceName | None, str]]:
    """Identify reasons by device and kind; their texts change from reading to reading."""
    return frozenset((reason.device, reason.kind) for reason in reasons)


def _of_device(work: HostWork, device: Device) -> _Found:
    found = sharing.reason(work.fleet, work.name, device, work.now)
    foreign = () if found is None else (found,)
    if device.name in work.state.distrusted:
        text = "read off while the host was healthy, and was not seen to follow it since"
        return _Found(word=_Word.BROKEN, reasons=(Reason(device=device.name, kind="distrusted", text=text), *foreign))
    if foreign:
        return _Found(word=_Word.BROKEN, reasons=foreign)
    known, barred = _results(work, device)
    wrong = [(proxy, result) for proxy, result in known if result is not None and result.failure == WRONG_MACHINE]
    if wrong:  # one such path stops every operation, however many others work
        return _Found(word=_Word.BROKEN, reasons=(_reason(device, WRONG_MACHINE, wrong),))
    if (disagreement := paths.who_disagrees(work, device.name)) is not None:
        reason = Reason(device=device.name, kind="disagree", text=disagreement[:REASON_TEXT_MAX])
        return _Found(word=_Word.BROKEN, reasons=(reason,))
    results = [result for _, result in known]
    if not known:
        return _Found(word=_Word.BROKEN, reasons=(Reason(device=device.name, kind="no_proxy", text=barred),))
    if any(result is not None and result.failures == 0 for result in results):
        return _Found(word=_Word.WHOLE, reasons=_lost_redundancy(work, device))
    failures = sum(_weight(result) for result in results if result is not None)
    if None in results or failures < FAILURES:
        return _Found(word=_Word.UNSURE, reasons=())
    return _Found(word=_Word.BROKEN, reasons=(_reason(device, "unreadable", known),))


def _weight(result: PathResult) -> int:
    """Count a wrong machine as broken at once; other errors must repeat."""
    return FAILURES if result.failure == WRONG_MACHINE else result.failures


def _results(work: HostWork, device: Device) -> tuple[list[tuple[ProxyName, PathResult | None]], str]:
    """Return each usable path with its result (None: no valid one), and why the other paths can't be used."""
    fleet = work.fleet
    checks = fleet.checks.get(work.name)
    oldest = work.now - valid_seconds(fleet.inventory)
    found: list[tuple[ProxyName, PathResult | None]] = []
    left_out: list[str] = []
    for proxy in fleet.paths.of(work.host, device):
        why = why_not(proxy, work.host, fleet.inventory, fleet.why_candidate_barred)
        if why is not None:
            left_out.append(f"{proxy}: {why}")
            continue
        result = checks.paths.get((device.name, proxy)) if checks is not None else None
        found.append((proxy, result if result is not None and result.at >= oldest else None))
    return found, "; ".join(left_out)[:REASON_TEXT_MAX] or "its proxy list names no candidate that may reach it"


def _reason(device: Device, kind: str, paths: Sequence[tuple[ProxyName, PathResult | None]]) -> Reason:
    text = "; ".join(f"through {proxy}: {result.error}" for proxy, result in paths if result is not None)
    return Reason(device=device.name, kind=kind, text=text[:REASON_TEXT_MAX])  # type: ignore[arg-type]


def _lost_redundancy(work: HostWork, device: Device) -> tuple[Reason, ...]:
    """Report an outlet that is OFF while its host runs on another one: the host has lost a redundant feed."""
    if device.kind is not Kind.OUTLET or not trust.is_off_beside_life(work, device):
        return ()
    text = "reads off while the host runs: it is fed by another outlet alone, or this one is not the host's"
    return (Reason(device=device.name, kind="redundancy", text=text),)


# -- what is shown ----------------------------------------------------------------------------------------------------


def shown(fleet: Fleet, name: HostName, state: HostState, now: float) -> Fenceable | None:
    """Return the host's level now. None: paths are not checked, or this daemon never fences the host."""
    host = fleet.host(name)
    if not is_on(fleet) or host.is_own_machine:
        return None
    if not host.devices:
        why = Reason(device=None, kind="no_device", text="it has no power device")
        return Fenceable(level=FenceableLevel.NONE, since=state.since, why=(why,))
    checks = fleet.checks.get(name)
    read_at = checks.at if checks is not None else fleet.started
    if state.fenceable is not None and read_at >= now - valid_seconds(fleet.inventory):
        return state.fenceable
    why = Reason(device=None, kind="not_read", text="its devices were not read yet, or too long ago")
    return Fenceable(level=FenceableLevel.UNKNOWN, since=read_at, why=(why,))


def not_read(fleet: Fleet, now: float) -> list[tuple[HostName, float]]:
    """Return the hosts that are `shown` as UNKNOWN now, and since when: of what is shown, this changes without a
    record."""
    if not is_on(fleet):
        return []
    oldest, found = now - valid_seconds(fleet.inventory), []
    for name, host in fleet.inventory.hosts.items():
        checks = fleet.checks.get(name)
        read_at = checks.at if checks is not None else fleet.started
        is_judged = fleet.durable(name).fenceable is not None
        if not (is_judged and read_at >= oldest) and host.devices and not host.is_own_machine:
            found.append((name, read_at))
    return found
