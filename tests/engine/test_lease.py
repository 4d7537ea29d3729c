"""Keeping the lease: other failures and slow tasks don't affect it (S15)."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from fenced.core import events as e
from fenced.engine.lease import LeaseKeeper
from fenced.ports.journal import ClockAnchor, EpochLost
from tests.fakes.journal import MemoryJournal
from tests.world.loop import run
from tests.world.network import WorldClock

TTL_SECONDS = 15.0


class Hanging(MemoryJournal):
    """A journal whose checkpoint never ends."""

    async def checkpoint(self) -> None:
        await asyncio.sleep(1e6)


def kept(anchor: Callable[[], ClockAnchor | None]) -> tuple[list[e.Event], list[str]]:
    """Run a keeper for a minute. Return its events and its log."""

    async def main() -> tuple[list[e.Event], list[str]]:
        clock, journal, told = WorldClock(), Hanging(), list[e.Event]()
        await journal.opened(holder="fenced-a", now=clock.now())
        keeper = LeaseKeeper(journal=journal, clock=clock, ttl_seconds=TTL_SECONDS, deliver=told.append, anchor=anchor)
        with capture_logs() as logs:
            task = asyncio.get_running_loop().create_task(keeper.run())
            await asyncio.sleep(60.5)
            assert not task.done(), task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return told, [str(line["event"]) for line in logs]

    return run(main())


def test_the_lease_is_renewed_while_a_checkpoint_hangs() -> None:
    told, logged = kept(lambda: None)
    assert [type(event) for event in told] == [e.LeaseRenewed] * 12
    assert logged == []


def test_a_want_of_descriptors_ends_no_keeper() -> None:
    """EMFILE while it reads the clock's anchor: the next renewal may get a descriptor."""
    tries = iter(range(100))

    def anchor() -> ClockAnchor | None:
        if next(tries) == 1:
            raise OSError(24, "Too many open files")
        return None

    told, logged = kept(anchor)
    assert [type(event) for event in told] == [e.LeaseRenewed] * 11
    assert logged == ["lease_not_renewed"]


@pytest.mark.parametrize("above", [0, 7])
def test_a_holder_that_only_a_proxy_knows_ends_this_life_and_is_remembered(above: int) -> None:
    async def main() -> None:
        clock, journal, told = WorldClock(), MemoryJournal(), list[e.Event]()
        epoch = await journal.opened(holder="fenced-a", now=clock.now())
        keeper = LeaseKeeper(
            journal=journal, clock=clock, ttl_seconds=TTL_SECONDS, deliver=told.append, anchor=lambda: None,
            epoch=lambda: epoch,
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(keeper.run())
        keeper.hurry(epoch + above)
        with pytest.raises(EpochLost, match=f"epoch {epoch + above}"):
            await task
        assert isinstance(told[-1], e.LeaseLost)
        await journal.close()
        assert await journal.opened(holder="fenced-a", now=clock.now()) == epoch + above + 1

    run(main())
