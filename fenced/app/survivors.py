"""Kills what an earlier run of this controller left on its machine (S16): at the start by marker, later by name.

A standby has agents of its own with the same marker, and process ids of another machine mean nothing here.
"""

from collections.abc import Iterable

import structlog

from fenced.app.store import markers_of, shard_dir
from fenced.config.configuration import Configuration
from fenced.core.fleet import Fleet
from fenced.drivers.processes import Survivor, kill_survivors
from fenced.engine.engine import unfinished
from fenced.model.names import MAIN_SHARD

log = structlog.get_logger("fenced")


async def kill_marked(configuration: Configuration, *, store_id: str, shard: str = MAIN_SHARD) -> None:
    """Kill the agents of an earlier run of the shard's directory, before any of this run carries its marker."""
    directory = shard_dir(configuration.state_dir, shard)
    markers = markers_of(configuration.store, state_dir=directory, store_id=store_id)
    _log(await kill_survivors(markers=markers))


async def kill_named(fleet: Fleet, is_own: bool) -> None:
    """Kill the programs that the journal names, if this controller started them."""
    if is_own:
        _log(await kill_survivors(processes=set(unfinished(fleet))))


def _log(survivors: Iterable[Survivor]) -> None:
    for survivor in survivors:
        log.warning("survivor_killed", pid=survivor.pid, command=survivor.command, gone=survivor.is_gone)
