"""Which driver serves a device. The only place that knows all drivers; the keeper lives as long as the registry.

One rule: an unknown driver is refused by name, never guessed.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fenced.drivers.fence_agent import FenceAgents
from fenced.drivers.keeper_client import Keeper
from fenced.drivers.redfish import Redfish
from fenced.ports.devices import BadParameters, Driver

AGENT_PREFIX: Final = "fence_"


class DriverRegistry:
    """All drivers of one process. Use it as an async context manager."""

    def __init__(self, *, agents: FenceAgents, redfish: Redfish, keeper: Keeper) -> None:
        self._agents = agents
        self._redfish = redfish
        self._keeper = keeper

    async def __aenter__(self) -> Self:
        """Starts the keeper. Raises OSError."""
        await self._keeper.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def agents(self) -> FenceAgents:
        """For who asks about agents as such."""
        return self._agents

    def driver_for(self, name: str) -> Driver:
        """The driver of that name. Raises BadParameters."""
        if name == "redfish":
            return self._redfish
        if name.startswith(AGENT_PREFIX):
            return self._agents
        raise BadParameters(f"there is no driver {name!r}; use redfish or fence_<agent>", may_be_done=False)

    async def close(self) -> None:
        """End sessions, kill what runs, end the keeper; idempotent."""
        await self._redfish.close()
        await self._agents.close()
        await self._keeper.close()


def drivers(*, agent_path: Sequence[Path], keeper: Keeper) -> DriverRegistry:
    """All drivers, agents along `agent_path`, run by `keeper`, which the registry starts and ends."""
    return DriverRegistry(agents=FenceAgents(agent_path=agent_path, keeper=keeper), redfish=Redfish(), keeper=keeper)
