"""Bounds that serve urgent work first, and keep failing devices from delaying the others (S15)."""

import asyncio

import pytest

from fenced.core.commands import PRIORITY_OFF, PRIORITY_ON, PRIORITY_PROBE, PRIORITY_STATUS
from fenced.engine.slots import Slots
from tests.world.loop import run


class Users:
    """Tasks that each hold a slot for a while; `order` is the order in which they got one."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[tuple[float, str]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.running = 0
        self.most = 0

    def ask(self, name: str, priority: int = PRIORITY_OFF, *, failing: str | None = None, seconds: float = 1.0) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(self._use(name, priority, failing, seconds)))

    async def _use(self, name: str, priority: int, failing: str | None, seconds: float) -> None:
        async with self.slots.hold(priority, failing=failing):
            self.order.append((asyncio.get_running_loop().time(), name))
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(seconds)
            self.running -= 1

    async def all(self) -> list[str]:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return [name for _, name in self.order]


def test_no_more_slots_are_held_than_exist() -> None:
    async def main() -> int:
        users = Users(Slots(3))
        for number in range(20):
            users.ask(f"u{number}")
        await users.all()
        return users.most

    assert run(main()) == 3


def test_urgent_first_then_in_order_of_asking() -> None:
    async def main() -> list[str]:
        users = Users(Slots(1))
        users.ask("first", PRIORITY_STATUS)
        await asyncio.sleep(0)
        for name, priority in (("status", PRIORITY_STATUS), ("probe", PRIORITY_PROBE), ("on", PRIORITY_ON),
                               ("off-1", PRIORITY_OFF), ("off-2", PRIORITY_OFF)):  # fmt: skip
            users.ask(name, priority)
        return await users.all()

    assert run(main()) == ["first", "off-1", "off-2", "on", "probe", "status"]


@pytest.mark.parametrize("total", [2, 4, 5, 8])
def test_failing_devices_hold_at_most_half(total: int) -> None:
    async def main() -> tuple[int, float]:
        users = Users(Slots(total))
        for number in range(20):
            users.ask(f"failing-{number}", failing=f"plug-{number}", seconds=100.0)
        await asyncio.sleep(1.0)
        held = users.running
        users.ask("healthy")
        await asyncio.sleep(1.5)
        at = next(at for at, name in users.order if name == "healthy")
        for task in users.tasks:
            task.cancel()
        await users.all()
        return held, at

    held, at = run(main())
    assert held == max(1, total // 2)
    assert at == pytest.approx(1.0), "a healthy one must not wait behind failing ones that may not start"


def test_a_failing_device_holds_at_most_one() -> None:
    async def main() -> list[float]:
        users = Users(Slots(8))
        for number in range(3):
            users.ask(f"u{number}", failing="plug")
        await users.all()
        return [at for at, _ in users.order]

    assert run(main()) == [0.0, 1.0, 2.0]


def test_a_failing_device_gets_the_only_slot_if_it_is_free() -> None:
    async def main() -> list[str]:
        users = Users(Slots(1))
        users.ask("failing", failing="plug")
        return await users.all()

    assert run(main()) == ["failing"]


@pytest.mark.parametrize("failing", [None, "plug"])
def test_a_cancelled_waiter_takes_no_slot(failing: str | None) -> None:
    async def main() -> list[str]:
        users = Users(Slots(1))
        users.ask("first")
        await asyncio.sleep(0.1)
        users.ask("second", failing=failing)
        users.ask("third")
        await asyncio.sleep(0.1)
        users.tasks[1].cancel()
        return await users.all()

    assert run(main()) == ["first", "third"]


def test_a_waiter_cancelled_in_the_moment_it_is_served_gives_its_slot_back() -> None:
    async def main() -> list[str]:
        users = Users(Slots(1))
        await users.slots.acquire(PRIORITY_OFF)
        users.ask("second")
        users.ask("third")
        await asyncio.sleep(0)
        users.slots.release()
        users.tasks[0].cancel()
        return await users.all()

    assert run(main()) == ["third"]


def test_an_exception_gives_the_slot_back() -> None:
    async def main() -> bool:
        slots = Slots(1)
        with pytest.raises(RuntimeError):
            async with slots.hold(PRIORITY_OFF):
                raise RuntimeError
        async with slots.hold(PRIORITY_OFF):
            return slots.is_idle

    assert run(main())
