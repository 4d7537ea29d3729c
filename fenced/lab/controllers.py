"""The controllers of a lab: each is one `fenced run`, which the lab kills and starts again.

Like systemd, it starts a controller that ended because another one took over (exit status 75). Any other end that the
lab did not cause ends the lab, with the program's last lines.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from fenced.lab.errors import LabError
from fenced.lab.ground import Endpoint
from fenced.lab.programs import Program
from fenced.lab.settings import ControllerPlace

EXIT_TAKEN_OVER: Final = 75
RESTART_SECONDS: Final = 1.0


class Controller:
    """One controller. `api`: its address for other programs of this machine."""

    def __init__(self, place: ControllerPlace, *, api: Endpoint, start: Callable[[], Awaitable[Program]]) -> None:
        self.place, self.api = place, api
        self._start = start
        self._program: Program | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def url(self) -> str:
        return f"http://{self.api}"

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run now: it was not killed, or was started again."""
        return self._wanted.is_set()

    async def run_forever(self) -> None:
        """Start it whenever it is to run. Raises LabError if it ends by itself."""
        while True:
            await self._wanted.wait()
            program = self._program = await self._start()
            status = await program.ended()
            if self._wanted.is_set():
                if status != EXIT_TAKEN_OVER:
                    raise program.error(status)
                await asyncio.sleep(RESTART_SECONDS)

    def kill(self) -> None:
        """Kill it, as kill -9 does; it stays dead until `revive`."""
        self._wanted.clear()
        if self._program is not None:
            self._program.kill()

    def revive(self) -> None:
        self._wanted.set()

    async def end(self) -> None:
        """Stop it properly; idempotent. Call it after `run_forever` ended."""
        if self._program is not None:
            await self._program.end()


class Controllers:
    """All controllers of a lab, the first of which acts at the start."""

    def __init__(self, controllers: list[Controller]) -> None:
        self._all = {each.name: each for each in controllers}

    def __iter__(self) -> Iterator[Controller]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def __getitem__(self, name: str) -> Controller:
        """Raises LabError for a name that the lab does not have."""
        if name not in self._all:
            raise LabError(f"there is no controller {name[:80]!r}; the controllers are {', '.join(self._all)}")
        return self._all[name]

    @property
    def urls(self) -> str:
        """The value of FENCED_URL for fencectl."""
        return ",".join(each.url for each in self)
