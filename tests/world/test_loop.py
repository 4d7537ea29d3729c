"""The virtual loop: it jumps, it is the same each time, and what would hang in the real world is an error here."""

import asyncio
import time

import pytest

from tests.world.loop import Stuck, run


def test_a_year_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(365 * 86400.0)
        return asyncio.get_running_loop().time()

    begun = time.monotonic()
    assert run(main()) == 365 * 86400.0
    assert time.monotonic() - begun < 5.0


def test_timers_fire_in_order_and_none_early() -> None:
    async def main() -> list[float]:
        loop, fired = asyncio.get_running_loop(), list[float]()
        for seconds in (3.0, 0.1, 2.0, 0.3):
            loop.call_later(seconds, lambda: fired.append(loop.time()))
        await asyncio.sleep(4.0)
        return fired

    assert run(main()) == [0.1, 0.3, 2.0, 3.0]


def test_timeouts_work() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.0):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 7.0


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="no timer"):
        run(main())


def test_a_loop_that_never_lets_time_go_on_is_an_error() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110 - this is what must be found
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="does not go on"):
        run(main())


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(Stuck, match="threads"):
        run(main())


def test_a_task_that_dies_unseen_is_seen() -> None:
    async def die() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        task = asyncio.create_task(die())
        await asyncio.sleep(1.0)
        del task

    with pytest.raises(ValueError, match="unseen"):
        run(main())
