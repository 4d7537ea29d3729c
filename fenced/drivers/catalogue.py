"""Describes all drivers to the configuration: native drivers describe themselves, fence agents by their metadata.

It opens no device. Agents are run for their metadata at most once each, side by side and within one time limit. An
agent that gives no metadata is described by its name alone.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from fenced.drivers.agents.cache import MetadataCache
from fenced.drivers.agents.descriptions import describe_agent
from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.agents.metadata import AgentMetadata
from fenced.drivers.agents.reviews import NEVER_ASKED, NO_POWER
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.registry import AGENT_PREFIX, NATIVES
from fenced.model.drivers import Describe, DriverDescription, NoSuchDriver
from fenced.ports.devices import BadParameters

AT_ONCE_MAX: Final = 8
ALL_SECONDS_MAX: Final = 60.0
"""Limit for the metadata of all agents together; Debian's eighty take about four seconds of one core."""

Asked = Mapping[str, AgentMetadata]
"""Metadata by name of the agent; an agent that is not installed is absent."""
Progress = Callable[[int, int], None]
"""Called with (done, all) while agents run for their metadata."""


class DriverCatalogue:
    """The drivers of this machine. `progress` follows the agents that must be run."""

    def __init__(self, *, progress: Progress | None = None) -> None:
        self._progress = progress

    def describing(self, names: Collection[str], *, agent_path: Sequence[str], state_dir: str) -> Describe:
        """See `fenced.model.drivers.Catalogue`. It runs an event loop, so don't call it within one."""
        agents = [name for name in names if name.startswith(AGENT_PREFIX) and name not in NO_POWER]
        path = tuple(Path(directory) for directory in agent_path)
        return describing(ask(agents, agent_path=path, kept_in=Path(state_dir), progress=self._progress))

    def natives(self) -> Sequence[DriverDescription]:
        """See `fenced.model.drivers.Catalogue`."""
        return natives()


def natives() -> tuple[DriverDescription, ...]:
    """Return the descriptions of the native drivers, by name."""
    return tuple(sorted((native.description for native in NATIVES), key=lambda description: description.name))


def describing(asked: Asked) -> Describe:
    """Return the function that describes the native drivers and these agents."""
    ours = {description.name: description for description in natives()}

    def describe(name: str) -> DriverDescription:
        if name in ours:
            return ours[name]
        if not name.startswith(AGENT_PREFIX):
            raise NoSuchDriver(f"no such driver; use {', '.join(ours)}, or fence_NAME for a fence agent")
        return describe_agent(name, asked.get(name, AgentMetadata()), is_installed=name in asked)

    return describe


def ask(
    names: Collection[str], *, agent_path: Sequence[Path], kept_in: Path | None, progress: Progress | None = None
) -> Asked:
    """Return these agents' metadata, from the cache in `kept_in` or by running them. Raises nothing."""
    asked = [name for name in names if name not in NEVER_ASKED]
    return asyncio.run(_ask(asked, agent_path, kept_in, progress)) if asked else {}


async def _ask(
    names: Collection[str], agent_path: Sequence[Path], kept_in: Path | None, progress: Progress | None
) -> dict[str, AgentMetadata]:
    keeper = Keeper(marker=f"catalogue-{os.getpid()}-{secrets.token_hex(4)}")
    cache = None if kept_in is None else MetadataCache(kept_in)
    agents = FenceAgents(agent_path=agent_path, keeper=keeper, cache=cache)
    asked: dict[str, AgentMetadata] = {}
    try:
        waiting = [name for name in names if not _take_kept(agents, name, asked)]
        asked.update(dict.fromkeys(waiting, AgentMetadata(why_unknown="no answer in time")))
        await _ask_all(agents, waiting, asked, progress)
    finally:
        await keeper.close()
    return asked


def _take_kept(agents: FenceAgents, name: str, asked: dict[str, AgentMetadata]) -> bool:
    """Return whether the agent need not be run: its metadata is cached, or it is not installed."""
    try:
        kept = agents.kept_metadata(name)
    except BadParameters:
        return True
    if kept is None:
        return False
    asked[name] = kept
    return True


async def _ask_all(
    agents: FenceAgents, names: Sequence[str], asked: dict[str, AgentMetadata], progress: Progress | None
) -> None:
    """Run agents side by side. One that has not answered in time keeps its empty entry."""
    places = asyncio.Semaphore(AT_ONCE_MAX)
    done = 0

    async def one(name: str) -> None:
        nonlocal done
        async with places:
            asked[name] = await agents.metadata(name)
        done += 1
        if progress is not None:
            progress(done, len(names))

    try:
        async with asyncio.timeout(ALL_SECONDS_MAX), asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(one(name), name=f"metadata of {name}")
    except TimeoutError:
        return
