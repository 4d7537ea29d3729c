"""Finds the driver that serves a device, and starts and ends the keeper with all drivers.

To add a native driver, add its class to `NATIVES`. An unknown name is an error; the registry never guesses.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fenced.drivers.agents.cache import MetadataCache
from fenced.drivers.agents.driver import FenceAgents
from fenced.drivers.ipmi.driver import Ipmi
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.redfish.driver import Redfish
from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.ports.devices import BadParameters, Driver, NativeDriver

AGENT_PREFIX: Final = "fence_"
NATIVES: Final[tuple[type[NativeDriver], ...]] = (Redfish, Ipmi, SnmpOutlet)
"""The native drivers; each describes itself."""


class DriverRegistry:
    """All drivers of one process. Use it as an async context manager."""

    def __init__(self, *, agents: FenceAgents, keeper: Keeper) -> None:
        self._agents = agents
        self._natives: dict[str, NativeDriver] = {native.description.name: native() for native in NATIVES}
        self._keeper = keeper

    async def __aenter__(self) -> Self:
        """Start the keeper. Raises OSError."""
        await self._keeper.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def agents(self) -> FenceAgents:
        """The driver of all agents, for callers that read metadata."""
        return self._agents

    def driver_for(self, name: str) -> Driver:
        """Return the driver of that name. Raises BadParameters."""
        if name in self._natives:
            return self._natives[name]
        if name.startswith(AGENT_PREFIX):
            return self._agents
        natives = ", ".join(sorted(self._natives))
        raise BadParameters(f"there is no driver {name!r}; use {natives} or fence_<agent>", may_be_done=False)

    async def close(self) -> None:
        """End sessions, kill running agents, end the keeper; idempotent."""
        for native in self._natives.values():
            await native.close()
        await self._agents.close()
        await self._keeper.close()


def drivers(*, agent_path: Sequence[Path], keeper: Keeper, state_dir: Path | None = None) -> DriverRegistry:
    """Return all drivers. Agents are found along `agent_path` and run by `keeper`, which the registry starts and ends.

    `state_dir`: where agents' metadata is cached; None: keep it in memory alone.
    """
    cache = None if state_dir is None else MetadataCache(state_dir)
    return DriverRegistry(agents=FenceAgents(agent_path=agent_path, keeper=keeper, cache=cache), keeper=keeper)
