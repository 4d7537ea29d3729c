"""A store whose format was raised, while this program started, ends it: it can't read what comes next."""

import asyncio
from collections.abc import Sequence

import pytest

from fenced.core.durable.fleet_state import Words
from fenced.core.fleet import Fleet
from fenced.engine.controllers import Controllers
from fenced.engine.standby import Standby
from fenced.ports.journal import ControllerReport, ControllerView, StoreTooNew, Taken
from tests.fakes.journal import MemoryJournal
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack, inventory


class TooNew(MemoryJournal):
    """A journal whose format is newer than this program's."""

    async def report(self, report: ControllerReport, *, is_last: bool = False) -> Sequence[ControllerView]:
        raise StoreTooNew("install fenced 9")

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        raise StoreTooNew("install fenced 9")


def test_the_reports_of_a_controller_end() -> None:
    async def main() -> None:
        controllers = Controllers(
            journal=TooNew(), ttl_seconds=15.0, report=lambda: ControllerReport(name="fenced-a"), words=Words,
            seen=lambda: None,
        )  # fmt: skip
        async with asyncio.timeout(60.0):
            await controllers.run()

    with pytest.raises(StoreTooNew):
        run(main())


def test_a_standby_ends() -> None:
    async def main() -> None:
        journal = TooNew()
        loaded = await journal.open(holder="fenced-a", now=1.0)
        standby = Standby(
            fleet=Fleet(inventory(Rack()), epoch=0, started=0.0), journal=journal, clock=WorldClock(),
            position=loaded.sequence, tail=(), patience=lambda: 0.0, followed=lambda: None,
        )  # fmt: skip
        async with asyncio.timeout(60.0):
            await standby.until_taken()

    with pytest.raises(StoreTooNew):
        run(main())
