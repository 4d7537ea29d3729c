"""The world's store keeps the rules of a database with several controllers, so a broken engine can't hide there."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fenced.core.durable import records as r
from fenced.ports.journal import Batch, ControllerReport, EpochLost, StoreError, StoreHeld, StoreWentBack, Words
from tests.world.disk import Disk
from tests.world.leasing import StateDir
from tests.world.loop import owned, run, virtual
from tests.world.network import WorldClock
from tests.world.store import WorldJournal

TTL = 15.0


def play(work: Coroutine[Any, Any, None]) -> None:
    run(work)


def connected(disk: Disk, name: str, kept: StateDir | None = None) -> WorldJournal:
    kept = kept if kept is not None else StateDir(name)
    journal = WorldJournal(disk, name, is_checked=False, kept=kept, lease_seconds=TTL)
    journal.place = kept.id
    return journal


def batch(disk: Disk) -> Batch:
    return Batch(entries=[r.Entry(at=disk.clock.now(), host=None, record=r.BusLost(why="planted"))])


async def two() -> tuple[Disk, WorldJournal, WorldJournal]:
    """Return a store, the controller that holds it, and one that only opened it."""
    disk = Disk(WorldClock())
    first, second = connected(disk, "a"), connected(disk, "b")
    await first.opened(holder="a", now=disk.clock.now())
    await second.open(holder="b", now=disk.clock.now())
    return disk, first, second


async def taken_after(disk: Disk, journal: WorldJournal, seconds: float) -> float | None:
    """Look twice a second, as a standby does. Return after how long it took the lease, None if never."""
    began = disk.clock.now()
    while disk.clock.now() < began + seconds:
        after = disk.durable.sequence
        if await journal.take(after=after, now=disk.clock.now()) is not None:
            return disk.clock.now() - began
        await asyncio.sleep(0.5)
    return None


@pytest.mark.parametrize(("ahead", "least"), [(0.0, TTL), (3600.0, TTL), (-3.0, TTL + 3.0)])
def test_a_lease_is_over_by_both_clocks(ahead: float, least: float) -> None:
    async def main() -> None:
        disk, first, second = await two()
        await first.renew_lease(now=disk.clock.now(), ttl_seconds=TTL)
        disk.ahead_seconds = ahead
        after = await taken_after(disk, second, 60.0)
        assert after is not None and least <= after <= least + 1.0
        with pytest.raises(EpochLost):
            await first.append(batch(disk))

    play(main())


def test_a_renewal_starts_the_wait_anew() -> None:
    async def main() -> None:
        disk, first, second = await two()
        disk.ahead_seconds = 3600.0
        taking = asyncio.create_task(taken_after(disk, second, 60.0))
        await asyncio.sleep(10.0)
        await first.renew_lease(now=disk.clock.now(), ttl_seconds=-9e9)
        assert (await taking or 0.0) >= 10.0 + TTL

    play(main())


@pytest.mark.parametrize(("to", "who", "least"), [("", "b", 0.0), ("c", "b", 5.0), ("b", "b", 0.0), ("", "a", TTL)])
def test_a_hand_over_waits_for_the_one_that_is_to_have_it(to: str, who: str, least: float) -> None:
    async def main() -> None:
        disk, first, second = await two()
        await first.release(to=to)
        after = await taken_after(disk, first if who == "a" else second, 60.0)
        assert after is not None and least <= after <= least + 1.0

    play(main())


def test_a_taker_waits_for_a_batch_in_the_air_and_sees_that_its_writer_lives() -> None:
    async def main() -> None:
        disk, first, second = await two()
        await asyncio.sleep(30.0)
        await taken_after(disk, second, 0.1)
        await asyncio.sleep(30.0)
        disk.late_seconds = 2.0
        asyncio.create_task(first.append(batch(disk)))  # noqa: RUF006 - nobody waits for it
        await asyncio.sleep(0.5)
        assert await second.take(after=0, now=disk.clock.now()) is None
        assert disk.durable.sequence == 1
        assert (await taken_after(disk, second, 60.0) or 0.0) >= TTL

    play(main())


def test_a_frozen_writer_keeps_the_row_for_a_third_of_the_lease_and_then_fails() -> None:
    async def main() -> None:
        disk, first, second = await two()
        disk.slow_seconds = 1.0
        writing = virtual().create_task(first.append(batch(disk)), context=owned("a"))
        await asyncio.sleep(0.5)
        virtual().hold("a", 60.0)
        disk.slow_seconds = 0.0
        after = await taken_after(disk, second, 50.0)
        assert after is not None and after <= TTL + TTL / 3 + 1.0
        with pytest.raises(StoreError):
            await writing
        assert disk.durable.sequence == 0

    play(main())


def test_a_store_that_went_back_is_noticed_by_writer_reader_and_the_next_start() -> None:
    async def main() -> None:
        disk, first, second = await two()
        kept = second.kept
        await first.append(batch(disk))
        disk.keep_copy()
        await first.append(batch(disk))
        await second.follow(after=0, limit=10)
        await second.report(ControllerReport(name="b"))
        await second.remember(Words(is_disarmed=True))
        disk.go_back()
        with pytest.raises(StoreWentBack):
            await first.append(batch(disk))
        with pytest.raises(StoreWentBack):
            await second.follow(after=2, limit=10)
        for state_dir, went_back in ((kept, True), (StateDir("new"), False)):
            again = connected(disk, "c" if not went_back else "b", state_dir)
            loaded = await again.open(holder=again.owner, now=disk.clock.now())
            assert bool(loaded.went_back) is went_back
            assert loaded.words == (Words(is_disarmed=True) if went_back else None)

    play(main())


def test_two_living_controllers_have_two_names() -> None:
    async def main() -> None:
        disk, first, _ = await two()
        await first.report(ControllerReport(name="a"))
        with pytest.raises(StoreHeld):
            await connected(disk, "a", StateDir("another")).open(holder="a", now=disk.clock.now())
        await first.close()
        await connected(disk, "a", StateDir("another")).open(holder="a", now=disk.clock.now())

    play(main())
