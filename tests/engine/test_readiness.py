"""The readiness of a large fleet is judged in slices: the loop goes on meanwhile, and a reload may come in between."""

import asyncio
from collections.abc import Awaitable, Callable

from fenced.engine.readiness import KEPT_SECONDS, SLICE_HOSTS, Judge
from fenced.model.names import HostName
from fenced.ports.control import Readiness
from tests.core.desk import Desk
from tests.fakes.control import FakeClock
from tests.world.rack import Rack

NAMES = tuple(f"node-{number:04}" for number in range(20 * SLICE_HOSTS))


def judge(at: Desk, *, limit: int = 100) -> Awaitable[Readiness]:
    return Judge(FakeClock(at.now), lambda _: ()).readiness(at.fleet, match="*", is_all=True, limit=limit, after=None)


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


async def test_the_pages_of_a_list_judge_each_host_once_more_at_most() -> None:
    """The figures are those of the first page: not judged anew with each page of ten thousand hosts."""
    at, judged = Desk(Rack(hosts=NAMES), is_calm=False), list[HostName]()

    def misnamed(name: HostName) -> tuple[str, ...]:
        judged.append(name)
        return ()

    judge = Judge(FakeClock(at.now), misnamed)
    first = await judge.readiness(at.fleet, match="*", is_all=True, limit=100, after=None)
    listed, after, figures = [*first.hosts], first.next, first.fleet
    while after is not None:
        page = await judge.readiness(at.fleet, match="*", is_all=True, limit=100, after=after)
        assert page.fleet == figures
        listed, after = [*listed, *page.hosts], page.next
    assert [str(host.name) for host, _ in listed] == sorted(NAMES)
    assert len(judged) <= 2 * len(NAMES) + len(NAMES) / 100


async def test_another_question_a_reload_or_an_old_page_is_judged_anew() -> None:
    at, clock, judged = Desk(Rack(hosts=NAMES[:10]), is_calm=False), FakeClock(), list[HostName]()
    clock.at = at.now

    def misnamed(name: HostName) -> tuple[str, ...]:
        judged.append(name)
        return ()

    judge = Judge(clock, misnamed)

    async def page(match: str, after: str | None) -> tuple[int, int]:
        """Return of how many hosts the figures are, and how many were judged for the page."""
        judged.clear()
        found = await judge.readiness(at.fleet, match=match, is_all=True, limit=1, after=after)
        return found.fleet.figures.hosts, len(judged)

    assert await page("*", None) == (10, 10)
    assert await page("*", NAMES[0]) == (10, 2)
    assert await page(f"host={NAMES[4]}", NAMES[0]) == (1, 1)
    assert await page("*", NAMES[0]) == (10, 10)
    at.fleet.take(Desk(Rack(hosts=NAMES[:5]), is_calm=False).inventory)
    assert await page("*", NAMES[0]) == (5, 5)
    clock.at += KEPT_SECONDS - 1.0
    assert await page("*", NAMES[0]) == (5, 2)
    clock.at += 1.0
    assert await page("*", NAMES[0]) == (5, 5)
    assert await page("*", None) == (5, 5)
