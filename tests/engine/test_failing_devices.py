"""Failing or hanging devices delay no healthy one at the workers (S15), on separate units or a shared one."""

import asyncio

import pytest

from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut
from tests.engine.test_workers import Bench, other
from tests.world.loop import run


def test_ten_failing_devices_hold_up_no_healthy_one() -> None:
    """Failing devices take at most half of the slots: the healthy ones' median is the same as without them."""

    async def main(failing: int) -> float:
        bench = Bench(processes=8)
        broken = [other(100 + number, unit=f"f{number}") for number in range(failing)]
        bench.lines.error = DeviceError("no")
        await asyncio.gather(*(bench.read(spec) for spec in broken), return_exceptions=True)
        bench.lines.error = None
        begun = asyncio.get_running_loop().time()
        bench.lines.seconds = 50.0
        hung = [asyncio.get_running_loop().create_task(bench.read(spec, timeout=100.0)) for spec in broken]
        await asyncio.sleep(0)
        bench.lines.seconds = 1.0
        await asyncio.gather(*(bench.read(other(number, unit=f"h{number}")) for number in range(4)))
        took = asyncio.get_running_loop().time() - begun
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        return took

    assert run(main(10)) == pytest.approx(run(main(0)), abs=0.1)


def test_devices_that_hang_at_each_command_leave_sessions_of_their_unit_to_the_others() -> None:
    """Even if they read well in between, they hold at most half of the sessions."""

    async def main() -> float:
        bench = Bench()
        broken = [other(number) for number in range(6)]
        bench.lines.error = DeviceTimedOut("no answer")
        await asyncio.gather(*(bench.switch(1, spec=spec) for spec in broken), return_exceptions=True)
        bench.lines.error = None
        await asyncio.gather(*(bench.read(spec) for spec in broken))
        bench.lines.seconds = 100.0
        hung = [asyncio.create_task(bench.switch(2, spec=spec)) for spec in broken]
        await asyncio.sleep(0)
        bench.lines.seconds, begun = 1.0, asyncio.get_running_loop().time()
        await bench.switch(3, spec=other(9))
        took = asyncio.get_running_loop().time() - begun
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        return took

    assert run(main()) == pytest.approx(1.0, abs=0.1)


def test_a_command_that_was_refused_before_it_left_says_nothing_of_its_device() -> None:
    """Its turn came too late: its device is not failing and keeps full access to the sessions."""

    async def main() -> float:
        bench = Bench()
        late = [other(number) for number in range(4)]
        for spec in late:
            with pytest.raises(CommandRefused):
                await bench.switch(1, spec=spec, not_after=bench.clock.now())
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(bench.switch(2, spec=spec) for spec in late))
        return asyncio.get_running_loop().time() - begun

    assert run(main()) == pytest.approx(1.0, abs=0.1)
