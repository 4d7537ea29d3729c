"""Whether the paths to a device agree, and what is done until they do: no OFF counts, no OFF is sent, people are told (S1, S2).

Nobody knows which of two paths is right, so none is preferred for what it reads. Paths that did not agree are remembered
over operations, until all of them were read OFF in one (or one round of the watch), a person had the host in maintenance,
or the device's list names no two of them any more. One rule: to ask costs a reading, never a waiting that a proof needs.
"""

from collections.abc import Iterable

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable import words
from fenced.core.durable.state import (
    DeviceRun,
    Operation,
    RaceEntry,
)
from fenced.core.operation.steps import start_read
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId, ProxyName
from fenced.model.paths import Dispute
from fenced.model.power import Power


def dispute(work: HostWork, device: DeviceName) -> Dispute | None:
    """The paths to the device that did not agree, if there are any."""
    return next((one for one in work.state.disputes if one.device == device), None)


def disputed(work: HostWork, device: DeviceName) -> tuple[ProxyName, ...]:
    """Those that the device's list still names. A path that a person took out of it is asked no more."""
    known = dispute(work, device)
    configured = next((one for one in work.host.devices if one.name == device), None)
    if known is None or configured is None:
        return ()
    named = work.fleet.paths.of(work.host, configured)
    return tuple(word.proxy for word in known.words if word.proxy in named)


def lit_through(work: HostWork, device: DeviceName) -> ProxyName | None:
    """A path that did not agree, and read ON when it was read last."""
    known, named = dispute(work, device), disputed(work, device)
    lit = [word.proxy for word in known.words if word.power is Power.ON] if known is not None else []
    return next((proxy for proxy in lit if proxy in named), None)


def who_disagrees(work: HostWork, device: DeviceName) -> str | None:
    """What the paths that did not agree said last, if they don't agree now either: which path says what."""
    known, named = dispute(work, device), disputed(work, device)
    said = tuple(word for word in known.words if word.proxy in named) if known is not None else ()
    return words.told(said) if len({word.power for word in said}) > 1 else None


# -- judging ----------------------------------------------------------------------------------------------------------


def weigh(work: HostWork, operation: Operation, device: DeviceName) -> None:
    """After a race or a reading of an operation."""
    _weigh(work, device, operation.run(device).words, operation=operation.id)


def weigh_race(work: HostWork, device: DeviceName, entries: Iterable[RaceEntry]) -> None:
    """After a race of the watch: all of it was read at once."""
    said = words.of_race(entries, work.now)
    for word in said:
        note(work, device, word.proxy, word.power)
    _weigh(work, device, said, operation=None)


def note(work: HostWork, device: DeviceName, proxy: ProxyName, power: Power) -> None:
    """A path of a dispute was read outside of any operation."""
    known = dispute(work, device)
    before = {word.proxy: word.power for word in known.words} if known is not None else {}
    if before.get(proxy, power) is not power:
        work.record(r.PathRead(device=device, proxy=proxy, power=power))


def tell(work: HostWork, device: DeviceName, said: words.Words, *, operation: OperationId | None) -> None:
    """Once for each path that joins in."""
    known = dispute(work, device)
    before = {word.proxy for word in known.words} if known is not None else set()
    spoke = tuple(word for word in said if word.power is not Power.UNKNOWN)
    if any(word.proxy not in before for word in spoke):
        why = f"the paths to {device} don't agree: {words.told(spoke)}"
        work.record(r.Contradicted(operation=operation, why=why, device=device, words=spoke))


def _weigh(work: HostWork, device: DeviceName, said: words.Words, *, operation: OperationId | None) -> None:
    if words.contradict(said):
        tell(work, device, said, operation=operation)
    elif dispute(work, device) is not None:
        asked = disputed(work, device)
        dark = {word.proxy for word in said if word.power is Power.OFF}
        if len(asked) < 2 or dark.issuperset(asked):
            work.record(r.PathsAgreed(device=device))


# -- until they agree -------------------------------------------------------------------------------------------------


def unasked(run: DeviceRun) -> ProxyName | None:
    """A path that spoke before, and was not asked since the device's own path read OFF."""
    since = run.in_doubt_since
    if since is None:
        return None
    return next((word.proxy for word in run.words if word.power is not Power.OFF and word.asked_at < since), None)


def settle_doubt(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    """Ask each path again, in turn, a `verify_interval` apart; the one that was not asked yet at once. Not for ever: as
    after a command, for `verify_timeout`."""
    assert run.in_doubt_since is not None
    power = work.host.device(run.device).power
    if work.now >= run.in_doubt_since + power.verify_timeout_seconds:
        why = f"its paths don't agree: {words.told(run.words)}"
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
        return
    work.wake(run.in_doubt_since + power.verify_timeout_seconds)
    proxy, due = unasked(run), work.now
    if proxy is None:
        due, proxy = min((word.asked_at + power.verify_interval_seconds, word.proxy) for word in run.words)
    if work.now < due - 1e-6:
        work.wake(due)
        return
    ask(work, operation, run, proxy)


def ask(work: HostWork, operation: Operation, run: DeviceRun, proxy: ProxyName) -> None:
    """Read the device through another path than its own; one that is gone costs no more than a probe."""
    start_read(work, operation, run, priority=c.PRIORITY_OFF, proxy=proxy)
