"""Handles signs of life while an operation runs: they end an automatic one that may be wrong (S10, S13)."""

from fenced.core.durable import records as r
from fenced.core.durable.state import Phase
from fenced.core.operation.advancing import advance
from fenced.core.operation.phases import stop
from fenced.core.work import HostWork
from fenced.model.names import BootId
from fenced.model.power import OperationState, Power


def hear_life(work: HostWork) -> None:
    """If the host lives and no device has read OFF yet, stop an automatic operation and give power back."""
    operation = work.operation
    if operation is None or not operation.is_automatic or operation.is_stopped or not operation.is_proving_off:
        return
    has_read_off = any(run.says is Power.OFF and run.is_switched_off for run in operation.devices)
    if not has_read_off:
        stop(work, "the host was heard")


def end_veto(work: HostWork, why: str) -> None:
    """End the sleep of a host of which nothing was asked yet: what it says is weighed as of any other host (S24)."""
    operation = work.operation
    if operation is not None and operation.phase is Phase.VETO:
        stop(work, why)
        advance(work)


def hear_boot(work: HostWork, boot: BootId | None) -> None:
    """After a restart of the daemon, stop an operation if the host runs with another boot than it began with (S13)."""
    operation = work.operation
    if operation is None or operation.is_stopped or not operation.is_resumed or not operation.is_proving_off:
        return
    if boot is not None and operation.boot is not None and boot != operation.boot:
        why = "the daemon was restarted, and the host runs with another boot since: no new OFF"
        stop(work, why, ending=OperationState.FAILED)


def life_asked(work: HostWork, answered: str | None) -> None:
    """Handle the result of the probe of the host itself before the first OFF of a level."""
    operation = work.operation
    if operation is not None and operation.is_automatic and operation.phase is Phase.PROVING:
        work.record(r.LifeChecked(operation=operation.id, answered=answered))
        advance(work)
