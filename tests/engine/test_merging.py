"""Merged lists, pages and event streams: complete, in order, each thing once, from wherever a reader goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.core.readiness.of_shards import summed
from fenced.core.readiness.values import ADVICE, ClusterReadiness, Figures, Finding, Found
from fenced.engine import merging
from fenced.model.names import HostName
from fenced.model.positions import TEXT_MAX, Position
from fenced.ports.control import Happened, Unavailable
from tests.fakes.shards import Shards
from tests.world.loop import run

SHARDS = ("dc2", "main", "z.3")
numbers = st.integers(min_value=0, max_value=10**18 - 1)
shard_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
fleets = st.dictionaries(st.sampled_from(SHARDS), st.integers(0, 12), min_size=1).map(
    lambda sizes: {shard: [f"n{number:02}-{shard}" for number in range(size)] for shard, size in sorted(sizes.items())}
)


# -- positions --------------------------------------------------------------------------------------------------------


@given(st.dictionaries(shard_names, numbers, min_size=1, max_size=8))
def test_a_position_is_read_as_it_was_written(of: dict[str, int]) -> None:
    assert Position.parse(str(Position(numbers=of))).numbers == of


@given(numbers)
def test_a_position_in_main_alone_is_a_plain_number(number: int) -> None:
    assert str(Position(numbers={"main": number})) == str(number)
    assert Position.parse(f"main={number}") == Position.parse(str(number)) == Position(numbers={"main": number})


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "=", "main=", "=1", "main", "main=1,", ",main=1", "main=1,main=2", "main=1;dc2=2", "main=-1", "-1",
        "1" * 19, "main=" + "1" * 19, "main=1, dc2=2", "ma in=1", "main=١", "١", "main=1\n", "1\n", "main==1",
        "x" * TEXT_MAX + "=1",
    ],
)  # fmt: skip
def test_nothing_else_is_a_position(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.parse(text)


# -- events -----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def reader(of: Shards, after: Position | None) -> AsyncIterator[AsyncIterator[Happened]]:
    stream = of.control.watch(after=after)
    try:
        yield stream
    finally:
        await stream.aclose()


async def read(of: Shards, after: Position | None, count: int) -> list[Happened]:
    async with reader(of, after) as stream:
        return [await anext(stream) for _ in range(count)]


def emit(of: Shards, shards: list[str]) -> None:
    for shard in shards:
        of.fakes[shard].emit("healthy", f"n00-{shard}")


def by_shard(given_events: list[Happened]) -> dict[str, list[int]]:
    """Return the numbers of the events of each shard; the host names it."""
    found: dict[str, list[int]] = {}
    for each in given_events:
        assert each.message.host is not None and each.message.sequence is not None
        found.setdefault(each.message.host.partition("-")[2], []).append(each.message.sequence)
    return found


THREE: Mapping[str, list[str]] = {shard: [f"n00-{shard}"] for shard in SHARDS}
choices = st.lists(st.sampled_from(SHARDS), max_size=40)


@given(before=choices, after=choices.filter(bool), data=st.data())
def test_a_reader_gets_each_event_once_and_in_order_from_any_point_also_elsewhere(
    before: list[str], after: list[str], data: st.DataObject
) -> None:
    """It leaves after some of them, more happen, and it goes on at another controller with the id of the last one."""

    async def story() -> None:
        it, other = Shards(hosts=THREE), Shards(hosts=THREE)
        for shard, fake in it.fakes.items():
            other.fakes[shard].events = fake.events  # one store
        emit(it, before)
        begin = await it.control.newest()
        assert begin.numbers == {shard: before.count(shard) for shard in SHARDS}
        async with reader(it, None) as stream:
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(1.0)
            emit(it, after)
            count = data.draw(st.integers(1, len(after)))
            seen = [await first, *[await anext(stream) for _ in range(count - 1)]]
        more = data.draw(choices)
        emit(it, more)
        position = Position.parse(str(seen[-1].position))
        seen += await read(other, position, len(after) - count + len(more))
        total = [*before, *after, *more]
        assert by_shard(seen) == {
            shard: [*range(before.count(shard) + 1, total.count(shard) + 1)]
            for shard in SHARDS
            if total.count(shard) > before.count(shard)
        }
        assert seen[-1].position.numbers == {shard: total.count(shard) for shard in SHARDS}
        assert sum(fake.watchers for fake in (*it.fakes.values(), *other.fakes.values())) == 0

    run(story())


def test_a_shard_that_the_position_does_not_name_begins_now_and_an_unknown_one_is_ignored() -> None:
    async def story() -> None:
        it = Shards(hosts=THREE)
        emit(it, ["main", "main", "dc2"])
        async with reader(it, Position(numbers={"main": 1, "gone": 77})) as stream:
            first = await anext(stream)
            assert (first.message.sequence, str(first.position)) == (2, "dc2=1,main=2,z.3=0")
            emit(it, ["dc2"])
            assert str((await anext(stream)).position) == "dc2=2,main=2,z.3=0"

    run(story())


def test_shards_with_many_events_take_turns() -> None:
    async def story() -> None:
        it = Shards(hosts=THREE)
        emit(it, ["main"] * 500 + ["dc2"] * 500 + ["z.3"])
        seen = await read(it, Position(numbers=dict.fromkeys(SHARDS, 0)), 200)
        counts = {shard: len(found) for shard, found in by_shard(seen).items()}
        assert counts["z.3"] == 1
        assert abs(counts["main"] - counts["dc2"]) <= 2

    run(story())


def test_no_more_is_read_than_a_slow_reader_takes() -> None:
    async def story() -> None:
        it, given_events = Shards(hosts=THREE), 0

        class Counted:
            def __aiter__(self) -> "Counted":
                return self

            async def __anext__(self) -> Happened:
                nonlocal given_events
                given_events += 1
                message = it.fakes["main"].events[0]
                return Happened(message=message, position=Position(numbers={"main": given_events}))

        emit(it, ["main"])
        stream = merging.events({"main": Counted(), "dc2": Counted()}, Position())
        await anext(stream)
        await asyncio.sleep(10.0)
        assert given_events <= 4
        await stream.aclose()

    run(story())


@pytest.mark.parametrize("failure", [Unavailable("the store is away"), RuntimeError("a bug")])
def test_the_end_of_one_source_ends_the_stream(failure: Exception) -> None:
    async def story() -> None:
        it = Shards(hosts=THREE)
        emit(it, ["main"])
        async with reader(it, Position(numbers={"main": 0})) as stream:
            await anext(stream)
            it.fakes["dc2"].failure = failure
            it.fakes["dc2"].changed.set()
            with pytest.raises((Unavailable, ExceptionGroup)) as found:
                await anext(stream)
        assert isinstance(failure, Unavailable) is isinstance(found.value, Unavailable)
        assert sum(fake.watchers for fake in it.fakes.values()) == 0

    run(story())


# -- hosts and pages --------------------------------------------------------------------------------------------------


@given(fleets, st.one_of(st.none(), st.sampled_from(["", "n03", "n05-main", "n05-zz", "z"])))
def test_hosts_of_all_shards_come_by_name(hosts: dict[str, list[str]], after: str | None) -> None:
    it = Shards(hosts=hosts)
    names = sorted(name for of in hosts.values() for name in of)
    assert [view.state.name for view in it.control.hosts(after=after)] == [
        name for name in names if after is None or name > after
    ]


@given(fleets, st.integers(1, 9))
def test_pages_of_readiness_have_each_host_once_and_the_sums_of_all(hosts: dict[str, list[str]], limit: int) -> None:
    async def story() -> None:
        it = Shards(hosts=hosts)
        names = sorted(name for of in hosts.values() for name in of)
        found: list[str] = []
        after: str | None = None
        while True:
            page = await it.control.readiness(match="*", is_all=True, limit=limit, after=after)
            found += [str(host.name) for host, _ in page.hosts]
            assert len(page.hosts) <= limit
            assert page.fleet.figures.hosts == len(names)
            sizes = {f"c-{shard}": len(of) for shard, of in hosts.items() if of}
            assert {one.name: one.figures.hosts for one in page.clusters} == sizes
            if page.next is None:
                break
            assert len(page.hosts) == limit
            after = page.next
        assert found == names

    run(story())


def judged(hosts: int, *findings: Finding, seconds: float = 700_000.0) -> ClusterReadiness:
    return ClusterReadiness(name="", observed_seconds=seconds, figures=Figures(hosts=hosts), findings=findings)


def silent(*hosts: str) -> Finding:
    named = tuple(HostName(host) for host in hosts)
    return Finding(found=Found.SILENT, text=ADVICE[Found.SILENT], hosts=named, count=len(named))


def test_one_hindered_shard_hinders_the_fleet_and_is_named() -> None:
    hold = Finding(found=Found.STORE, text="a record is gone")
    whole = summed("", {"dc2": judged(2, hold, silent("b"), seconds=5.0), "main": judged(3, silent("a", "c"))})
    assert not whole.is_ready
    assert (whole.figures.hosts, whole.observed_seconds) == (5, 5.0)
    store, of_hosts = whole.findings
    assert (store.found, "dc2" in store.text) == (Found.STORE, True)
    assert (of_hosts.found, of_hosts.hosts, of_hosts.count) == (Found.SILENT, ("a", "b", "c"), 3)
    assert summed("", {"dc2": judged(2), "main": judged(3)}).is_ready


def test_a_shard_without_a_selected_host_does_not_hinder_the_others() -> None:
    hold = Finding(found=Found.STORE, text="a record is gone")
    assert summed("", {"dc2": judged(0, hold), "main": judged(3)}).is_ready
    assert not summed("", {"dc2": judged(0), "main": judged(0)}).is_ready


def test_a_sum_changes_no_part() -> None:
    parts = {"dc2": judged(2), "main": judged(3)}
    parts["main"].figures.at_once.append(HostName("a"))
    for _ in range(2):
        whole = summed("", parts)
        assert (whole.figures.hosts, whole.figures.at_once) == (5, ["a"])
    assert (parts["dc2"].figures.hosts, parts["dc2"].figures.at_once) == (2, [])


reasons = st.lists(st.sampled_from(["bus", "store", "journal"]), unique=True).map(tuple)


@given(st.dictionaries(st.sampled_from(SHARDS), reasons, min_size=1))
def test_each_reason_is_told_with_the_shards_that_have_it(given_reasons: dict[str, tuple[str, ...]]) -> None:
    lines = merging.told(cast(Any, given_reasons))
    assert len(set(lines)) == len(lines)
    for reason in ("bus", "store", "journal"):
        having = [shard for shard, ones in given_reasons.items() if reason in ones]
        told = [line for line in lines if line.endswith(reason)]
        if len(having) == len(given_reasons):
            assert told == [reason]
        else:
            assert sorted(told) == sorted(f"shard {shard}: {reason}" for shard in having)
