"""Compares the paths to a device. While they disagree, no OFF counts and none is sent (S1, S2).

The daemon can't know which of two paths is right, so it prefers neither. A dispute is kept over operations until one
operation (or round of the watch) reads OFF through all its paths, the host was in maintenance, or the configuration
names fewer than two of the paths. Reading further paths costs readings, but never delays a proof.
"""

from collections.abc import Iterable

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable import words
from fenced.core.durable.standing import is_watched_as_off, is_watched_asleep
from fenced.core.durable.state import DeviceRun, Operation, RaceEntry
from fenced.core.operation.steps import start_read
from fenced.core.reach.candidates import expand
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId, ProxyName
from fenced.model.paths import Dispute
from fenced.model.power import Power


def dispute(work: HostWork, device: DeviceName) -> Dispute | None:
    """Return the dispute about the device, if there is one."""
    return next((one for one in work.state.disputes if one.device == device), None)


def disputed(work: HostWork, device: DeviceName) -> tuple[ProxyName, ...]:
    """Return the paths in dispute. A path that left the configuration is not read any more."""
    known = dispute(work, device)
    configured = next((one for one in work.host.devices if one.name == device), None)
    if known is None or configured is None:
        return ()
    named = work.fleet.paths.of(work.host, configured)
    return tuple(word.proxy for word in known.words if word.proxy in named)


def lit_through(work: HostWork, device: DeviceName) -> ProxyName | None:
    """Return a path in dispute that read ON last."""
    known, named = dispute(work, device), disputed(work, device)
    lit = [word.proxy for word in known.words if word.power is Power.ON] if known is not None else []
    return next((proxy for proxy in lit if proxy in named), None)


def who_disagrees(work: HostWork, device: DeviceName) -> str | None:
    """Describe what the paths in dispute read last, if they still disagree."""
    known, named = dispute(work, device), disputed(work, device)
    said = tuple(word for word in known.words if word.proxy in named) if known is not None else ()
    return words.told(said) if len({word.power for word in said}) > 1 else None


# -- judging ----------------------------------------------------------------------------------------------------------


def weigh(work: HostWork, operation: Operation, device: DeviceName) -> None:
    """Compare the paths after a race or a reading of an operation."""
    _weigh(work, device, operation.run(device).words, operation=operation.id)


def weigh_race(work: HostWork, device: DeviceName, entries: Iterable[RaceEntry]) -> None:
    """Compare the paths after a race of the watch, which reads all of them at once."""
    said = words.of_race(entries, work.now)
    for word in said:
        note(work, device, word.proxy, word.power)
    _weigh(work, device, said, operation=None)


def note(work: HostWork, device: DeviceName, proxy: ProxyName, power: Power) -> None:
    """Keep what a path in dispute read outside any operation."""
    known = dispute(work, device)
    before = {word.proxy: word.power for word in known.words} if known is not None else {}
    if before.get(proxy, power) is not power:
        work.record(r.PathRead(device=device, proxy=proxy, power=power))


def tell(work: HostWork, device: DeviceName, said: words.Words, *, operation: OperationId | None) -> None:
    """Report a dispute, once for each path that joins it."""
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
    """Return a path that was read before, but not since the device's own path read OFF."""
    since = run.in_doubt_since
    if since is None:
        return None
    return next((word.proxy for word in run.words if word.power is not Power.OFF and word.asked_at < since), None)


def settle_doubt(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    """Read each path again, in turn, a `verify_interval` apart; one that was not read yet: at once.

    Give the device up after `verify_timeout`, as after a command.
    """
    assert run.in_doubt_since is not None
    power = work.host.device(run.device).power
    if work.now >= run.in_doubt_since + power.verify_timeout_seconds:
        why = f"its paths don't agree: {words.told(run.words)}"
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
        return
    work.wake(run.in_doubt_since + power.verify_timeout_seconds)
    ask_in_turn(work, operation, run, priority=c.PRIORITY_OFF)


def ask_in_turn(work: HostWork, operation: Operation, run: DeviceRun, *, priority: int) -> None:
    """Read the path whose turn it is: one that was not read yet at once, each again after a `verify_interval`."""
    power = work.host.device(run.device).power
    proxy, due = unasked(run), work.now
    if proxy is None:
        due, proxy = min((word.asked_at + power.verify_interval_seconds, word.proxy) for word in run.words)
    if work.now < due - 1e-6:
        work.wake(due)
        return
    ask(work, operation, run, proxy, priority=priority)


def ask(
    work: HostWork, operation: Operation, run: DeviceRun, proxy: ProxyName, *, priority: int = c.PRIORITY_OFF
) -> None:
    """Read the device through another path than its own; a dead one costs no more than a probe."""
    start_read(work, operation, run, priority=priority, proxy=proxy)


# -- the watch --------------------------------------------------------------------------------------------------------


def watch_command(work: HostWork) -> c.WatchHost:
    """Return the command that reads all devices of a host that is off, or what a host that may run is owed (S9, S17).

    Each device is read through its own candidates; through all of them if paths to it are in dispute or read ON last.
    """
    is_whole = is_watched_as_off(work.state) or is_watched_asleep(work.state)
    ways: list[tuple[DeviceName, tuple[tuple[ProxyName, ...], ...]]] = []
    for device in work.host.devices:
        if is_whole or device.name in work.state.owed:
            candidates = expand(device, work.host, work.fleet.inventory, work.fleet.why_candidate_barred)
            ways.append((device.name, candidates.tiers))
    at_odds = tuple(name for name, _ in ways if disputed(work, name) or name in work.sight.watch_lit)
    return c.WatchHost(host=work.name, paths=tuple(ways), exhaustive=at_odds)
