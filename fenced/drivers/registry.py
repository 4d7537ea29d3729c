"""Which driver serves a device. The only place that knows all drivers; the keeper lives as long as the registry.

One rule: an unknown driver is refused by name, never guessed. A driver of our own is one line of `NATIVES`.
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
"""Our own drivers; each describes itself."""


class DriverRegistry:
    """All drivers of one process. Use it as an async context manager."""

    def __init__(self, *, agents: FenceAgents, keeper: Keeper) -> None:
        self._agents = agents
        self._natives: dict[str, NativeDriver] = {native.description.name: native() for native in NATIVES}
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
        if name in self._natives:
            return self._natives[name]
        if name.startswith(AGENT_PREFIX):
            return self._agents
        natives = ", ".join(sorted(self._natives))
        raise BadParameters(f"there is no driver {name!r}; use {natives} or fence_<agent>", may_be_done=False)

    async def close(self) -> None:
        """End sessions, kill what runs, end the keeper; idempotent."""
        for native in self._natives.values():
            await native.close()
        await self._agents.close()
        await self._keeper.close()


def drivers(*, agent_path: Sequence[Path], keeper: Keeper, state_dir: Path | None = None) -> DriverRegistry:
    """All drivers, agents along `agent_path`, run by `keeper`, which the registry starts and ends.

    `state_dir`: where it is kept what agents say of themselves; None: it is asked again in each life.
    """
    cache = None if state_dir is None else MetadataCache(state_dir)
    return DriverRegistry(agents=FenceAgents(agent_path=agent_path, keeper=keeper, cache=cache), keeper=keeper)
