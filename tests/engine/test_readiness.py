"""The readiness of a large fleet is judged in slices: the loop goes on meanwhile, and a reload may come in between."""

import asyncio
from collections.abc import Awaitable, Callable

from fenced.engine.readiness import SLICE_HOSTS, readiness
from fenced.model.names import HostName
from fenced.ports.control import Readiness
from tests.core.desk import Desk
from tests.fakes.control import FakeClock
from tests.world.rack import Rack

NAMES = tuple(f"node-{number:04}" for number in range(20 * SLICE_HOSTS))


def judge(at: Desk, *, limit: int = 100) -> Awaitable[Readiness]:
    return readiness(at.fleet, FakeClock(at.now), lambda _: (), match="*", is_all=True, limit=limit, after=None)


async def beside(at: Desk, turn: Callable[[int], None]) -> Readiness:
    """Judge while another task gets every turn of the loop that is left to it."""
    task = asyncio.ensure_future(judge(at))
    number = 0
    while not task.done():
        turn(number)
        number += 1
        await asyncio.sleep(0)
    return await task


async def test_other_tasks_get_a_turn_after_every_slice() -> None:
    at = Desk(Rack(hosts=NAMES), is_calm=False)
    turns: list[int] = []
    found = await beside(at, turns.append)
    assert found.fleet.figures.hosts == len(NAMES)
    assert len(turns) >= len(NAMES) / SLICE_HOSTS
    assert (len(found.hosts), found.next) == (100, NAMES[99])


async def test_hosts_that_a_reload_removes_meanwhile_are_left_out() -> None:
    at = Desk(Rack(hosts=NAMES), is_calm=False)
    fewer = Desk(Rack(hosts=NAMES[: len(NAMES) // 2]), is_calm=False).inventory

    def reload(turn: int) -> None:
        if turn == 3:
            at.fleet.take(fewer)

    found = await beside(at, reload)
    assert found.fleet.figures.hosts == len(fewer.hosts)
    assert found.hosts[0][0].name == HostName(NAMES[0])
