"""Folds what is known of a host's devices over operations: readings, disputed paths, trust, whether it could be fenced.

The rules that distrust or trust a device are in `believed.trust`, those that rate a host in `suspected.fenceable`.
"""

from typing import assert_never

from fenced.core.durable import evolve_owed as owing
from fenced.core.durable import records as r
from fenced.core.durable.changing import change_operation, union, with_power, without
from fenced.core.durable.evolve_disputes import read, settled, told
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import Fenceable, Followed, HostState, Trial
from fenced.model.names import DeviceName
from fenced.model.paths import PathWord
from fenced.model.power import Power, What


def evolve_devices(state: HostState, at: float, record: r.DeviceRecord) -> HostState:
    """Return the host's state after a record about its devices."""
    match record:
        case r.Contradicted():
            state = change_operation(state, record.operation, is_contradicted=True)
            return state if record.device is None else told(state, record.device, record.words)
        case r.WrongMachineFound():
            return replace(state, wrong_machines=union(state.wrong_machines, (record.device,)))
        case r.PowerSeen():
            return _power_seen(state, record)
        case r.PathRead():
            return read(state, record.device, (PathWord(proxy=record.proxy, power=record.power, asked_at=at),))
        case r.PathsAgreed():
            return settled(state, record.device)
        case r.DevicesDistrusted():
            distrusted = union(state.distrusted, record.devices)
            return replace(state, distrusted=distrusted, trials=_drop_trials(state.trials, record.devices))
        case r.DevicesTrusted():
            distrusted = without(state.distrusted, *record.devices)
            return replace(state, distrusted=distrusted, trials=_drop_trials(state.trials, record.devices))
        case r.TrustAdvanced():
            others = _drop_trials(state.trials, (record.trial.device,))
            return replace(state, trials=(*others, record.trial))
        case r.FenceableChanged():
            return replace(state, fenceable=_rated(state.fenceable, at, record))
        case _:
            assert_never(record)


def _power_seen(state: HostState, record: r.PowerSeen) -> HostState:
    state = owing.settled(state, (record.device,)) if record.power is Power.ON else state
    state = replace(state, wrong_machines=without(state.wrong_machines, record.device))
    return with_power(state, record.device, record.power)


def _rated(before: Fenceable | None, at: float, record: r.FenceableChanged) -> Fenceable:
    """`since` counts from the last change of the level, not of its reasons."""
    is_same = before is not None and before.level is record.level
    since = before.since if before is not None and is_same else at
    return Fenceable(level=record.level, since=since, why=record.why)


def _drop_trials(trials: tuple[Trial, ...], devices: tuple[DeviceName, ...]) -> tuple[Trial, ...]:
    return tuple(trial for trial in trials if trial.device not in devices)


def switched(trials: tuple[Trial, ...], device: DeviceName, what: What) -> tuple[Trial, ...]:
    """Drop the trial of a device that went dark and now gets a command: it no longer shows the host's power.

    A device that the daemon itself switched OFF stays on trial through the ON that gives it back.
    """
    return tuple(
        trial
        for trial in trials
        if trial.device != device or trial.followed is Followed.LIT or (trial.is_switched and what is What.ON)
    )
