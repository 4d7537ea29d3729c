"""Folds disputes, the paths to one device that disagreed: they are kept over operations and restarts. Part of `evolve`.

The next operation may not probe the path that read ON, so only a record ends a dispute.
"""

from collections.abc import Set

from fenced.core.durable import records as r
from fenced.core.durable import words
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import DeviceRun, HostState
from fenced.model.names import DeviceName, ProxyName
from fenced.model.paths import Dispute
from fenced.model.power import What


def disputed(state: HostState, device: DeviceName) -> Set[ProxyName]:
    """Return the paths to the device that disagreed."""
    return {word.proxy for one in state.disputes if one.device == device for word in one.words}


def told(state: HostState, device: DeviceName, said: words.Words) -> HostState:
    """Start or extend the dispute. Paths that are in it already stay in it."""
    known = {word.proxy for word in said}
    kept = tuple(
        word for one in state.disputes if one.device == device for word in one.words if word.proxy not in known
    )
    others = tuple(one for one in state.disputes if one.device != device)
    return replace(state, disputes=(*others, Dispute(device=device, words=(*kept, *said))))


def read(state: HostState, device: DeviceName, said: words.Words) -> HostState:
    """Update the last readings of paths that were read again."""
    return _changed(state, device, lambda before: words.merged(before, said))


def settled(state: HostState, device: DeviceName) -> HostState:
    return replace(state, disputes=tuple(one for one in state.disputes if one.device != device))


def after_step(state: HostState, record: r.HostRecord, run: DeviceRun) -> HostState:
    """Update the dispute by what an operation read; a command outdates the readings that it changes."""
    if not any(one.device == run.device for one in state.disputes):
        return state
    match record:
        case r.RaceEnded():
            return read(state, run.device, run.words)
        case r.StepEnded() if run.steps and run.steps[-1].what is What.STATUS:
            return read(state, run.device, run.words)
        case r.StepStarted() if record.what is not What.STATUS:
            return _changed(state, run.device, lambda before: words.commanded(before, record.what))
        case _:
            return state


def _changed(state: HostState, device: DeviceName, change: words.Change) -> HostState:
    disputes = tuple(replace(one, words=change(one.words)) if one.device == device else one for one in state.disputes)
    return replace(state, disputes=disputes)
