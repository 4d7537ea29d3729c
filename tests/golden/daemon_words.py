"""The script's commands for daemons and their store: `daemon ...`, `daemon NAME ...`, `store ...`.

Knows what can happen to a daemon of the world, not how it should react. Nothing here waits for a daemon.
"""

import asyncio
from collections.abc import Callable

from fenced.model.names import HostName
from tests.world.daemon import Daemon
from tests.world.world import World


class BadWords(ValueError):
    """A command for a daemon or a store that does not exist."""


class DaemonWords:
    """`crashed` is called at each death that comes from the program and not from the script."""

    def __init__(self, world: World, crashed: Callable[[str], None]) -> None:
        self._world, self._crashed = world, crashed
        self._ends: dict[asyncio.Task[None], None] = {}

    async def daemon(self, rest: str) -> None:
        name, _, words = rest.partition(" ")
        if name in self._world.daemons:
            await self._of(self._world.daemons[name], words)
        else:
            await self._of(next(iter(self._world.daemons.values())), rest)

    async def _of(self, daemon: Daemon, words: str) -> None:
        match words.split():
            case ["starts"]:
                if not daemon.is_started:
                    await daemon.start()
            case ["crashes"]:
                if daemon.is_started:
                    await daemon.crash()
            case ["stalls", seconds]:
                daemon.stall(float(seconds))
            case ["is", "suspended", seconds]:
                daemon.suspend(float(seconds))
            case ["dies", "after", steps, "steps,", "starts", "after", seconds]:
                daemon.die_after(int(steps), lambda: self._die(daemon, float(seconds)))
            case ["reboots", seconds]:
                self._die(daemon, float(seconds), is_reboot=True)
            case ["wall", "clock", "is", "off", seconds]:
                daemon.board.wall_off_seconds = float(seconds)
            case ["loses", "the", "store"]:
                daemon.journal.is_cut = True
            case ["reaches", "the", "store"]:
                daemon.journal.is_cut = False
                self._world.disk.changed()
            case _:
                raise BadWords(f"daemon {words!r}")

    def _die(self, daemon: Daemon, seconds: float, *, is_reboot: bool = False) -> None:
        """Kill the daemon now and start it again after `seconds`. No effect on one that is down."""
        if not daemon.is_started:
            return

        async def die() -> None:
            self._crashed(f"{daemon.name} dies")
            await daemon.crash()
            if is_reboot:
                daemon.board.reboot()
            await asyncio.sleep(seconds)
            if not daemon.is_started:
                await daemon.start()

        task = asyncio.create_task(die(), name=f"death of {daemon.name}")
        self._ends[task] = None
        task.add_done_callback(self._ends.pop)

    async def store(self, rest: str) -> None:
        disk = self._world.disk
        match rest.split():
            case ["slow", seconds]:
                disk.slow_seconds = float(seconds)
            case ["fails"]:
                disk.is_failing = True
            case ["hangs"]:
                disk.hang(True)
            case ["damages", "the", "fleet"]:
                disk.durable.fleet_fault = "record 6 cannot be read"
            case ["damages", name]:
                disk.durable.faults[HostName(name)] = "record 7 cannot be read"
            case ["refuses", percent]:
                disk.refused_share = float(percent.rstrip("%")) / 100.0
            case ["works"]:
                disk.slow_seconds, disk.refused_share, disk.is_failing = 0.0, 0.0, False
                disk.hang(False)
            case _:
                raise BadWords(f"store {rest!r}")
