"""Starts a race, a read or a command for one device of an operation: first the record, then the command."""

from typing import Final

from fenced.core import commands as c
from fenced.core.allowed import gates, of_daemon
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, Phase
from fenced.core.reach.candidates import Candidates, expand
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.inventory import Device, Inventory, Proxy
from fenced.model.names import ProxyName, Token
from fenced.model.power import Action, Power, What

SETTLE_MARGIN_SECONDS = 0.5
"""How long after its deadline an attempt may still act: killing it takes a moment."""


_PRIORITIES: Final = {What.OFF: c.PRIORITY_OFF, What.ON: c.PRIORITY_ON, What.SOFT_OFF: c.PRIORITY_SLEEP}


def queue_seconds(timeout_seconds: float) -> float:
    """Return how long a command may wait for its turn. It may act until this time and its timeout are both over."""
    return timeout_seconds


# -- races ------------------------------------------------------------------------------------------------------------


def start_race(work: HostWork, operation: Operation, run: DeviceRun, *, disputed: tuple[ProxyName, ...] = ()) -> None:
    """Race the device's present candidates. Without candidates the race ends at once and runs again later.

    `disputed`: paths that disagreed; an operation that only reads then reads through every candidate.
    """
    candidates = _candidates(work, run)
    work.record(
        r.RaceStarted(operation=operation.id, device=run.device, excluded=candidates.excluded, disputed=disputed)
    )
    if candidates.is_empty:
        _end_empty_race(work, operation, run)
        return
    work.command(
        c.RunRace(
            host=work.name,
            operation=operation.id,
            device=run.device,
            number=run.races + 1,
            tiers=candidates.tiers,
            operation_started=operation.started,
            priority=_priority(operation),
            is_exhaustive=operation.action is Action.PROBE or (bool(disputed) and not operation.is_power_changing),
            stops_at_mismatch=operation.is_power_changing,
        )
    )


def _end_empty_race(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    again = work.now + race_back_off_seconds(operation, run, run.races + 1)
    work.record(
        r.RaceEnded(
            operation=operation.id,
            device=run.device,
            winner=None,
            reserves=(),
            entries=(),
            power=Power.UNKNOWN,
            again_at=again,
        )
    )
    work.wake(again)


def race_back_off_seconds(operation: Operation, run: DeviceRun, races: int) -> float:
    """Return how long to wait after a race without a winner."""
    return back_off_seconds(races, first=1.0, most=30.0, salt=f"{operation.id}/{run.device}")


def _candidates(work: HostWork, run: DeviceRun) -> Candidates:
    """Leave out the proxies that refused a command of this operation, as long as others remain."""
    device, inventory = work.host.device(run.device), work.fleet.inventory
    why_barred = work.fleet.why_candidate_barred

    def why_not(proxy: Proxy) -> str | None:
        has_refused = proxy.name in run.refused_by
        return why_barred(proxy) or ("refused a command of this operation" if has_refused else None)

    candidates = expand(device, work.host, inventory, why_not)
    return candidates if not candidates.is_empty else expand(device, work.host, inventory, why_barred)


def _priority(operation: Operation) -> int:
    match operation.action:
        case Action.OFF | Action.RESTART:
            return c.PRIORITY_OFF
        case Action.SLEEP if operation.phase in {Phase.VETO, Phase.GOING_DOWN}:
            return c.PRIORITY_SLEEP
        case Action.ON | Action.SLEEP | Action.WAKE:
            return c.PRIORITY_ON
        case Action.PROBE:
            return c.PRIORITY_PROBE
        case Action.STATUS:
            return c.PRIORITY_STATUS


# -- reads ------------------------------------------------------------------------------------------------------------


def start_read(
    work: HostWork, operation: Operation, run: DeviceRun, *, priority: int, proxy: ProxyName | None = None
) -> None:
    """Read the device through its own proxy, or through `proxy`; another path may take no longer than a probe."""
    through = proxy or run.proxy
    assert through is not None
    number = _record_start(work, operation, run, What.STATUS, through)
    work.command(
        c.ReadDevice(
            host=work.name,
            operation=operation.id,
            device=run.device,
            number=number,
            proxy=through,
            timeout_seconds=_read_seconds(work, run, through),
            priority=priority,
        )
    )


def _read_seconds(work: HostWork, run: DeviceRun, through: ProxyName) -> float:
    seconds = work.host.device(run.device).power.attempt_timeout_seconds
    if through != run.proxy:
        seconds = min(seconds, work.fleet.inventory.daemon.race.probe_timeout_seconds)
    return seconds


def _record_start(
    work: HostWork,
    operation: Operation,
    run: DeviceRun,
    what: What,
    proxy: ProxyName,
    *,
    token: Token | None = None,
    not_after: float | None = None,
) -> int:
    """Record that a step starts, and return its number, from 1 within the device's run."""
    number = max((step.number for step in run.steps), default=0) + 1
    work.record(
        r.StepStarted(
            operation=operation.id,
            device=run.device,
            number=number,
            what=what,
            proxy=proxy,
            plug_id=work.host.device(run.device).spec.plug_id,
            token=token,
            not_after=not_after,
        )
    )
    return number


def read_again_at(work: HostWork, operation: Operation, run: DeviceRun, power: Power) -> float:
    """Return when to read the device again, after it read `power`.

    At once, if that reading calls for a command (ON before the first OFF, OFF before the first ON). During the long
    hold of a device that was off already, a fifth of the hold is often enough.
    """
    settings = work.host.device(run.device).power
    if operation.phase in {Phase.VETO, Phase.GOING_DOWN}:
        return work.now + settings.verify_interval_seconds
    if operation.phase is Phase.RESTORING:
        return work.now if run.on_attempts == 0 else work.now + settings.verify_interval_seconds
    if power is not Power.OFF and run.off_attempts == 0 and run.on_attempts == 0:
        return work.now
    if power is Power.OFF and not run.is_switched_off:
        return work.now + max(settings.verify_interval_seconds, settings.already_off_hold_seconds / 5)
    return work.now + settings.verify_interval_seconds


# -- commands ---------------------------------------------------------------------------------------------------------


def switch(work: HostWork, operation: Operation, run: DeviceRun, what: What) -> None:
    """Send OFF or ON under a new token (S5).

    Without the lease nothing is sent; the operation tries again while it can.
    """
    if gates.closed((of_daemon.lease(work.fleet, work.now),)):
        work.wake(work.now + 1.0)
        return
    proxy: ProxyName | None = run.proxy or run.last_proxy
    assert proxy is not None
    device = work.host.device(run.device)
    token, not_after = work.fleet.next_token(), _not_after(work, device)
    number = _record_start(work, operation, run, what, proxy, token=token, not_after=not_after)
    work.command(
        c.SwitchDevice(
            host=work.name,
            operation=operation.id,
            device=run.device,
            number=number,
            what=what,
            proxy=proxy,
            token=token,
            timeout_seconds=device.power.attempt_timeout_seconds,
            not_after=not_after,
            priority=_PRIORITIES[what],
        )
    )


def _not_after(work: HostWork, device: Device) -> float:
    """Return until when a command sent now may act: over its turn, its timeout, and the device's `settle`."""
    return work.now + command_seconds(device)


def command_seconds(device: Device) -> float:
    """Return for how long a command may act from when it is decided."""
    timeout = device.power.attempt_timeout_seconds
    return timeout + device.settle_seconds + SETTLE_MARGIN_SECONDS + queue_seconds(timeout)


def longest_command_seconds(inventory: Inventory) -> float:
    """Return the longest time for which a command of any host may act."""
    devices = (device for host in inventory.hosts.values() for device in host.devices)
    return max((command_seconds(device) for device in devices), default=0.0)


def unsettled_opposite(work: HostWork, run: DeviceRun, power: Power) -> float | None:
    """Return until when an earlier command that would undo this power may still act (S5); None: none can."""
    late = [
        command.not_after
        for command in work.state.unsettled(work.now)
        if command.device == run.device and command.what.is_opposite(power)
    ]
    return max(late, default=None)
