"""Starting races, reads and commands for one device of an operation, each first as a record."""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, Phase
from fenced.core.reach.candidates import Candidates, expand
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.inventory import Proxy
from fenced.model.names import ProxyName
from fenced.model.power import Action, Power, What

SETTLE_MARGIN_SECONDS = 0.5
"""How much later than the attempt's deadline a command is taken to be able to act: killing takes a moment."""


def queue_seconds(timeout_seconds: float) -> float:
    """How long a command may wait for its turn: journalled with it, for it may act until the end of both."""
    return timeout_seconds


def start_race(work: HostWork, operation: Operation, run: DeviceRun, *, disputed: tuple[ProxyName, ...] = ()) -> None:
    """Race the device's candidates, as they stand now. No candidate: the race ends at once, and runs again later.

    `disputed`: paths that did not agree; who only looks asks every candidate then.
    """
    candidates = _candidates(work, run)
    work.record(
        r.RaceStarted(operation=operation.id, device=run.device, excluded=candidates.excluded, disputed=disputed)
    )
    if candidates.is_empty:
        again = work.now + back_off_seconds(run.races + 1, first=1.0, most=30.0, salt=f"{operation.id}/{run.device}")
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


def _candidates(work: HostWork, run: DeviceRun) -> Candidates:
    """Without the proxies that could take no command of this operation, as long as somebody else may be asked."""
    device, inventory = work.host.device(run.device), work.fleet.inventory
    why_barred = work.fleet.why_candidate_barred

    def why_not(proxy: Proxy) -> str | None:
        has_refused = proxy.name in run.refused_by
        return why_barred(proxy) or ("could take no command of this operation" if has_refused else None)

    candidates = expand(device, work.host, inventory, why_not)
    return candidates if not candidates.is_empty else expand(device, work.host, inventory, why_barred)


def _priority(operation: Operation) -> int:
    match operation.action:
        case Action.OFF | Action.RESTART:
            return c.PRIORITY_OFF
        case Action.ON:
            return c.PRIORITY_ON
        case Action.PROBE:
            return c.PRIORITY_PROBE
        case Action.STATUS:
            return c.PRIORITY_STATUS


def next_number(run: DeviceRun) -> int:
    """Steps are numbered from 1 within a device's run."""
    return max((step.number for step in run.steps), default=0) + 1


def start_read(
    work: HostWork, operation: Operation, run: DeviceRun, *, priority: int, proxy: ProxyName | None = None
) -> None:
    """Read the device through its proxy, or ask another path to it, which has no longer than a probe."""
    device = work.host.device(run.device)
    seconds = device.power.attempt_timeout_seconds
    if proxy is not None and proxy != run.proxy:
        seconds = min(seconds, work.fleet.inventory.daemon.race.probe_timeout_seconds)
    asked = proxy or run.proxy
    assert asked is not None
    number = next_number(run)
    work.record(
        r.StepStarted(
            operation=operation.id,
            device=run.device,
            number=number,
            what=What.STATUS,
            proxy=asked,
            plug_id=device.spec.plug_id,
        )
    )
    work.command(
        c.ReadDevice(
            host=work.name,
            operation=operation.id,
            device=run.device,
            number=number,
            proxy=asked,
            timeout_seconds=seconds,
            priority=priority,
        )
    )


def switch(work: HostWork, operation: Operation, run: DeviceRun, what: What) -> None:
    """Send OFF or ON under a new token (S5). Without the lease nothing is started; it is tried again while time is left."""
    if gates.closed((gates.lease(work.fleet, work.now),)):
        work.wake(work.now + 1.0)
        return
    proxy: ProxyName | None = run.proxy or run.last_proxy
    assert proxy is not None
    device = work.host.device(run.device)
    timeout = device.power.attempt_timeout_seconds
    token, number = work.fleet.next_token(), next_number(run)
    not_after = work.now + timeout + device.settle_seconds + SETTLE_MARGIN_SECONDS + queue_seconds(timeout)
    work.record(
        r.StepStarted(
            operation=operation.id,
            device=run.device,
            number=number,
            what=what,
            proxy=proxy,
            plug_id=device.spec.plug_id,
            token=token,
            not_after=not_after,
        )
    )
    work.command(
        c.SwitchDevice(
            host=work.name,
            operation=operation.id,
            device=run.device,
            number=number,
            what=what,
            proxy=proxy,
            token=token,
            timeout_seconds=timeout,
            not_after=not_after,
            priority=c.PRIORITY_OFF if what is What.OFF else c.PRIORITY_ON,
        )
    )


def read_again_at(work: HostWork, operation: Operation, run: DeviceRun, power: Power) -> float:
    """When a device is read again: at `verify_interval`; over a long "already off" hold a fifth of it is often enough.

    A device that reads what calls for a command at once (ON before the first OFF, OFF before the first ON) is not waited for.
    """
    settings = work.host.device(run.device).power
    if operation.phase is Phase.RESTORING:
        return work.now if run.on_attempts == 0 else work.now + settings.verify_interval_seconds
    if power is not Power.OFF and run.off_attempts == 0 and run.on_attempts == 0:
        return work.now
    if power is Power.OFF and not run.is_switched_off:
        return work.now + max(settings.verify_interval_seconds, settings.already_off_hold_seconds / 5)
    return work.now + settings.verify_interval_seconds


def unsettled_opposite(work: HostWork, run: DeviceRun, what: What) -> float | None:
    """Until when an earlier opposite command for the device's plug may still act (S5); None: none can."""
    late = [
        command.not_after
        for command in work.state.commands
        if command.device == run.device
        and command.what is not what
        and not (command.is_ended or command.not_after <= work.now)
    ]
    return max(late, default=None)
