"""The script's commands for daemons and their store: `daemon ...`, `daemon NAME ...`, `store ...`.

Knows what can happen to a daemon of the world, not how it should react. Nothing here waits for a daemon.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from fenced.model.names import HostName
from fenced.ports.control import NotFound, Refused, Unavailable
from tests.world.daemon import Daemon
from tests.world.world import World

CUTS: Final = ("the store", "the bus", "the proxies")


class BadWords(ValueError):
    """A command for a daemon or a store that does not exist."""


class DaemonWords:
    """`crashed` is called at each death that comes from the program and not from the script."""

    def __init__(self, world: World, crashed: Callable[[str], None]) -> None:
        self._world, self._crashed = world, crashed
        self._ends: dict[asyncio.Task[None], None] = {}

    async def daemon(self, rest: str) -> None:
        """`active`: the controller that holds the lease; `standby`: another one that runs; `all`: every one."""
        name, _, words = rest.partition(" ")
        match name:
            case "all":
                for daemon in self._world.daemons.values():
                    await self._of(daemon, words)
            case "active":
                await self._of(self._world.active, words)
            case "standby":
                await self._of(self._world.standby, words)
            case _ if name in self._world.daemons:
                await self._of(self._world.daemons[name], words)
            case _:
                await self._of(next(iter(self._world.daemons.values())), rest)

    async def _of(self, daemon: Daemon, words: str) -> None:
        match words.split():
            case ["starts"]:
                if not daemon.is_started:
                    await daemon.start()
            case ["crashes"]:
                if daemon.is_started:
                    await daemon.crash()
            case ["stops"]:
                await daemon.stop()
            case ["loses", "its", "state", "directory"]:
                daemon.board.empty()
            case ["hands", "over", *to]:
                self._hand_over(daemon, to[-1] if to else "")
            case ["loses", "the", "bus"]:
                self._world.broker.send_away(daemon.name, is_away=True)
            case ["reaches", "the", "bus"]:
                self._world.broker.send_away(daemon.name, is_away=False)
            case ["loses", "the", "proxies"]:
                for path in self._world.paths.values():
                    path.cut_from |= {daemon.name}
            case ["reaches", "the", "proxies"]:
                for path in self._world.paths.values():
                    path.cut_from -= {daemon.name}
            case ["is", "cut", "off"]:
                for what in CUTS:
                    await self._of(daemon, f"loses {what}")
            case ["is", "back"]:
                for what in CUTS:
                    await self._of(daemon, f"reaches {what}")
                if not daemon.is_started:
                    await daemon.start()
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

    def _hand_over(self, daemon: Daemon, to: str) -> None:
        """Ask it to give the lease over. A refusal is an answer like any other; nobody waits for it."""
        engine = daemon.engine
        if engine is None:
            return

        async def ask() -> None:
            with contextlib.suppress(Refused, NotFound, Unavailable):
                await engine.hand_over(to=to, by="person", reason="told")

        self._keep(asyncio.create_task(ask(), name=f"hand-over of {daemon.name}"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ends[task] = None
        task.add_done_callback(self._ends.pop)

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

        self._keep(asyncio.create_task(die(), name=f"death of {daemon.name}"))

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
            case ["commits", seconds, "late"]:
                disk.late_seconds = float(seconds)
            case ["has", "format", format]:
                disk.durable.format = int(format)
            case ["is", "copied"]:
                disk.keep_copy()
            case ["goes", "back"]:
                disk.go_back()
            case ["clock", "is", "off", seconds]:
                disk.ahead_seconds = float(seconds)
            case ["works"]:
                disk.late_seconds = 0.0
                disk.slow_seconds, disk.refused_share, disk.is_failing = 0.0, 0.0, False
                disk.hang(False)
            case _:
                raise BadWords(f"store {rest!r}")
