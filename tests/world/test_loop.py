"""The virtual loop: it jumps over time, repeats exactly, and raises where a real loop would hang."""

import asyncio
import time

import pytest

from tests.world.loop import Stuck, owned, run, virtual


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


def test_an_unhandled_exception_of_a_task_is_raised() -> None:
    async def die() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        task = asyncio.create_task(die())
        await asyncio.sleep(1.0)
        del task

    with pytest.raises(ValueError, match="unseen"):
        run(main())


def test_one_owner_is_held_up_while_the_world_goes_on() -> None:
    async def main() -> list[tuple[float, str]]:
        loop, seen = virtual(), list[tuple[float, str]]()

        async def work(name: str) -> None:
            for _ in range(3):
                await asyncio.sleep(1.0)
                seen.append((loop.time(), name))

        tasks = [loop.create_task(work("daemon"), context=owned("daemon")), loop.create_task(work("world"))]
        await asyncio.sleep(0.5)
        loop.hold("daemon", 9.5)
        await asyncio.gather(*tasks)
        return seen

    assert run(main()) == [
        (1.0, "world"), (2.0, "world"), (3.0, "world"), (10.0, "daemon"), (11.0, "daemon"), (12.0, "daemon"),
    ]  # fmt: skip


def test_the_timers_of_a_suspended_owner_stand_still() -> None:
    async def main() -> float:
        loop = virtual()
        task = loop.create_task(asyncio.sleep(3.0), context=owned("daemon"))
        await asyncio.sleep(1.0)
        loop.hold("daemon", 60.0, is_suspended=True)
        await task
        return loop.time()

    assert run(main()) == 63.0


def test_an_owner_stops_after_so_many_steps_and_goes_on_when_released() -> None:
    async def main() -> tuple[int, int]:
        loop, steps, stopped = virtual(), list[float](), asyncio.Event()

        async def work() -> None:
            for _ in range(10):
                steps.append(loop.time())
                await asyncio.sleep(0)

        task = loop.create_task(work(), context=owned("daemon"))
        loop.stop_after("daemon", 4, stopped.set)
        await stopped.wait()
        before = len(steps)
        loop.release("daemon")
        await task
        return before, len(steps)

    assert run(main()) == (4, 10)


def test_a_seed_fixes_the_order_of_timers() -> None:
    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(6):
            loop.call_later(1.0, order.append, number)
        await asyncio.sleep(2.0)
        return order

    assert run(main()) == [0, 1, 2, 3, 4, 5]
    orders = [tuple(run(main(), seed=seed)) for seed in range(20)]
    assert orders == [tuple(run(main(), seed=seed)) for seed in range(20)]
    assert len(set(orders)) > 10
