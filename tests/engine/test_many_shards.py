"""One control port over several shards: who gets a request, and what an error says when some did not obey."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from fenced.core.durable.fleet_state import Storm, StormEnd
from fenced.core.durable.replacing import replace
from fenced.engine.controllers import Controllers
from fenced.engine.many_shards import ManyShards
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, OperationState, State
from fenced.ports.bus import Health, HealthStatus
from fenced.ports.control import NotEverywhere, NotFound, Refused, Standby, StormView, Unavailable
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import Words
from tests.engine.pair import both
from tests.fakes.controllers import controller
from tests.fakes.journal import MemoryJournal
from tests.fakes.samples import START
from tests.fakes.shards import Shards
from tests.net import until
from tests.world.loop import run

N1, N2, NOBODY = HostName("node-1"), HostName("node-2"), HostName("node-9")
B = "https://fenced-b.example:8470"
Change = Callable[[ManyShards], Awaitable[object]]
SAID = {"by": "alice", "reason": "test"}


async def off(control: ManyShards, host: HostName = N2) -> str:
    return str((await control.act(host, Action.OFF, by="alice", reason="test", is_forced=True)).operation)


async def pause(control: ManyShards, match: str = "*") -> str:
    return (await control.pause(match=match, by="alice", reason="test", until=None)).id


def of_hosts(host: HostName) -> dict[str, Change]:
    return {
        "act": lambda it: off(it, host),
        "drill": lambda it: it.drill(host, by="alice", reason="test", is_forced=False),
        "confirm": lambda it: it.confirm_off(host, by="alice", reason="test", is_forced=True),
        "maintenance": lambda it: it.set_maintenance(host, by="alice", reason="test", until=None),
        "its end": lambda it: it.end_maintenance(host, by="alice", reason="test"),
        "a beat": lambda it: it.report_health(_beat(host)),
        "explain": lambda it: it.explain(host),
    }


def _beat(host: HostName) -> Health:
    return Health(host=host, status=HealthStatus.OK, received=START, is_retained=False)


# -- one host ---------------------------------------------------------------------------------------------------------


async def test_a_request_about_a_host_goes_to_its_shard() -> None:
    it = Shards()
    await off(it.control, N2)
    await it.control.set_maintenance(N1, by="alice", reason="test", until=None)
    await it.control.report_health(_beat(N1))
    await it.control.drill(N1, by="alice", reason="test", is_forced=False)
    assert [call[:2] for call in it.fakes["dc2"].calls] == [("act", N2)]
    assert [call[:2] for call in it.fakes["main"].calls] == [("set_maintenance", N1), ("drill", N1), ("act", N1)]
    assert it.control.host(N1).state.state is State.MAINTENANCE
    assert [beat.host for beat in it.fakes["main"].healths] == [N1]


@pytest.mark.parametrize("change", of_hosts(NOBODY).values(), ids=of_hosts(NOBODY).keys())
async def test_nobody_is_found_in_no_shard(change: Change) -> None:
    it = Shards()
    with pytest.raises(NotFound):
        await change(it.control)
    with pytest.raises(NotFound):
        it.control.host(NOBODY)
    assert it.fakes["main"].calls == it.fakes["dc2"].calls == []


async def test_a_host_of_another_holders_shard_is_refused_with_its_address() -> None:
    it = Shards()
    it.follow("dc2", B)
    await it.control.refuse_at_standby(N1)
    await it.control.refuse_at_standby()
    await it.control.refuse_at_standby(NOBODY)  # the request itself says that there is no such host
    with pytest.raises(Standby) as refused:
        await it.control.refuse_at_standby(N2)
    assert refused.value.active == B
    it.follow("main", None)
    for host in (None, NOBODY):
        with pytest.raises(Standby) as refused:
            await it.control.refuse_at_standby(host)
        assert refused.value.active == B


@pytest.mark.parametrize("shard", ["dc2", "main"])
def test_a_shard_names_its_own_holder(shard: str) -> None:
    async def story() -> None:
        journal = MemoryJournal()
        holders = [controller(f"fenced-{one}", epoch=3, shard=one, address=f"https://{one}") for one in ("dc2", "main")]
        found = Controllers(
            journal=journal, ttl_seconds=15.0, report=lambda: holders[0].report, words=Words, seen=lambda: None,
            shard=shard,
        )  # fmt: skip
        found.views = tuple(holders)
        assert found.where_active() == f"https://{shard}"
        found.views = tuple(one for one in holders if one.report.name != f"fenced-{shard}")
        assert found.where_active() is None

    run(story())


async def test_one_shard_is_addressed_by_its_name() -> None:
    it = Shards()
    await it.control.of_shard("dc2").disarm(**SAID)
    assert (it.fakes["dc2"].is_armed, it.fakes["main"].is_armed) == (False, True)
    with pytest.raises(NotFound):
        it.control.of_shard("dc3")
    it.name("fenced-a", "fenced-b")
    await it.control.hand_over(shard="dc2", to="fenced-b", by="alice", reason="upgrade")
    assert it.fakes["dc2"].calls[-1] == ("hand_over", "dc2", "fenced-b", "alice", "upgrade")
    with pytest.raises(NotFound):
        await it.control.hand_over(shard="dc3", to="", by="alice", reason="upgrade")


# -- operations -------------------------------------------------------------------------------------------------------


async def test_an_operation_is_shown_as_its_own_shard_has_it() -> None:
    it = Shards()
    name = OperationId(await off(it.control, N1))
    stored = it.fakes["main"].all_operations
    it.fakes["main"].all_operations = [*stored]  # from here on it is live there, and old in the store
    it.fakes["main"].finish(name, OperationState.DONE)
    assert (await it.control.operation(name)).state is OperationState.DONE
    page = await it.control.operations(OperationsLike(), limit=10, after=None)
    assert [one.id for one in page.items] == [name, stored[0].id]
    assert page.items[0].state is OperationState.DONE
    with pytest.raises(NotFound):
        await it.control.operation(OperationId("9-9"))


async def test_a_cancel_goes_to_the_shard_of_the_operations_host() -> None:
    it = Shards()
    name = OperationId(await off(it.control, N2))
    it.follow("dc2", B)
    with pytest.raises(Standby) as refused:
        await it.control.cancel(name, **SAID)
    assert refused.value.active == B
    it.fakes["dc2"].standby = None
    await it.control.cancel(name, **SAID)
    assert it.fakes["dc2"].calls[-1][:2] == ("cancel", name)
    assert it.fakes["main"].calls == []


# -- what restricts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["dc2", "main"])
@pytest.mark.parametrize("failure", [Unavailable("the store is away"), Standby(B), Refused("limit", "too many")])
async def test_a_disarm_reaches_every_shard_that_can_obey(failing: str, failure: Exception) -> None:
    it = Shards()
    it.fakes[failing].disarm_failure = failure
    other = "main" if failing == "dc2" else "dc2"
    with pytest.raises(NotEverywhere) as found:
        await it.control.disarm(**SAID)
    assert not it.fakes[other].is_armed
    assert found.value.done == (other,)
    assert [(one.shard, one.active) for one in found.value.missing] == [
        (failing, B if isinstance(failure, Standby) else None)
    ]
    it.fakes[failing].disarm_failure = None
    await it.control.disarm(**SAID)
    assert not it.control.fleet().is_armed


async def test_a_fault_of_one_shard_does_not_keep_another_from_being_disarmed() -> None:
    it = Shards()
    it.fakes["dc2"].disarm_failure = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        await it.control.disarm(**SAID)
    assert not it.fakes["main"].is_armed


async def test_a_disarm_that_no_shard_obeys_says_why() -> None:
    it = Shards()
    for fake in it.fakes.values():
        fake.disarm_failure = Standby(None)
    it.fakes["main"].disarm_failure = Standby(B)
    with pytest.raises(Standby) as refused:
        await it.control.disarm(**SAID)
    assert refused.value.active == B
    for fake in it.fakes.values():
        fake.disarm_failure = Unavailable("the store is away")
    with pytest.raises(NotEverywhere) as found:
        await it.control.disarm(**SAID)
    assert (found.value.done, [one.shard for one in found.value.missing]) == ((), ["dc2", "main"])


async def test_a_pause_has_one_id_in_all_shards_and_ends_in_all() -> None:
    it = Shards()
    name = await pause(it.control, "host=node-1")
    other = await pause(it.control, "host=node-2")
    assert name != other
    for fake in it.fakes.values():
        assert [one.id for one in fake.pauses] == [name, other]
    assert [one.id for one in it.control.fleet().pauses] == sorted([name, other])
    await it.control.end_pause(name, by="alice")
    assert [one.id for one in it.control.fleet().pauses] == [other]
    with pytest.raises(NotFound):
        await it.control.end_pause(name, by="alice")


@pytest.mark.parametrize("match", ["host=node-9", "cluster=", "", "colour=red"])
async def test_a_pause_of_nobody_is_refused_everywhere(match: str) -> None:
    it = Shards()
    with pytest.raises(Refused) as refused:
        await pause(it.control, match)
    assert refused.value.rule == "match"
    assert it.control.fleet().pauses == ()


async def test_a_pause_that_comes_twice_with_one_key_has_one_id() -> None:
    it = Shards()
    first = await pause(it.control.keyed("key 1", "content"))
    assert await pause(it.control.keyed("key 1", "content")) == first
    assert await pause(it.control.keyed("key 2", "content")) != first
    assert await pause(it.control.keyed("key 1", "other content")) != first, "the first request may be forgotten by now"
    assert it.fakes["main"].keys == it.fakes["dc2"].keys
    assert await pause(it.control) != await pause(it.control)


async def test_a_pause_that_one_shard_does_not_take_is_kept_by_the_others_and_told() -> None:
    it = Shards()
    it.follow("dc2", B)
    with pytest.raises(NotEverywhere) as found:
        await pause(it.control)
    assert (found.value.done, found.value.missing[0].shard) == (("main",), "dc2")
    (kept,) = it.control.fleet().pauses
    await it.control.end_pause(kept.id, by="alice")  # only main has it
    assert it.control.fleet().pauses == ()


# -- what loosens -----------------------------------------------------------------------------------------------------


def disarmed(it: Shards) -> None:
    for fake in it.fakes.values():
        fake.is_armed = False


@pytest.mark.parametrize("standby", ["dc2", "main"])
async def test_nothing_is_armed_if_another_controller_holds_a_shard(standby: str) -> None:
    it = Shards()
    disarmed(it)
    it.follow(standby, B)
    with pytest.raises(NotEverywhere) as found:
        await it.control.arm(**SAID)
    assert not any(fake.is_armed for fake in it.fakes.values())
    assert found.value.done == ()
    assert {one.shard: one.active for one in found.value.missing} == {
        "dc2": None, "main": None, standby: B
    }  # fmt: skip
    it.fakes[standby].standby = None
    await it.control.arm(**SAID)
    assert it.control.fleet().is_armed


@pytest.mark.parametrize("forbidden", ["dc2", "main"])
async def test_nothing_is_armed_if_the_file_of_one_shard_forbids_it(forbidden: str) -> None:
    it = Shards()
    disarmed(it)
    it.fakes[forbidden].is_armed_by_file = False
    with pytest.raises(Refused) as refused:
        await it.control.arm(**SAID)
    assert refused.value.rule == "armed"
    assert not any(fake.is_armed for fake in it.fakes.values())


async def test_the_end_of_a_pause_is_told_where_a_standby_has_it() -> None:
    it = Shards()
    name = await pause(it.control)
    it.follow("dc2", B)
    with pytest.raises(NotEverywhere):
        await it.control.end_pause(name, by="alice")
    assert [len(fake.pauses) for fake in it.fakes.values()] == [1, 1]
    with pytest.raises(NotFound):
        await it.control.end_pause("p-unknown", by="alice")


async def test_the_store_is_released_in_the_shards_that_doubt_it() -> None:
    it = Shards()
    with pytest.raises(Refused) as refused:
        await it.control.release_store(**SAID)
    assert refused.value.rule == "store"
    it.fakes["dc2"].store_hold = "record 7 is gone"
    assert "dc2" in str(it.control.fleet().store_hold)
    await it.control.release_store(**SAID)
    assert it.control.fleet().store_hold is None
    assert it.fakes["main"].calls == []


async def test_a_storm_is_released_where_it_lasts_and_nowhere_else() -> None:
    it = Shards()
    lasts = Storm(id="s-1-1", domain="rack", value="r7", since=0.0, hosts=())
    end = StormEnd(at=1.0, why="over", by="fenced", reason="heard", hosts=(), cooldown_until=2.0)
    it.fakes["dc2"].storms = [StormView(storm=lasts, silent=())]
    it.fakes["main"].storms = [StormView(storm=replace(lasts, end=end), silent=())]
    await it.control.release_storm("s-1-1", **SAID)
    assert ([call[0] for call in it.fakes["dc2"].calls], it.fakes["main"].calls) == (["release_storm"], [])
    with pytest.raises(Refused):
        await it.control.release_storm("s-1-2", **SAID)


# -- over a real engine -----------------------------------------------------------------------------------------------


def test_a_real_shard_takes_a_pause_of_all_and_numbers_its_events() -> None:
    async def story() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        control, standby = first.engine.control, second.engine.control
        many = ManyShards({"main": control}, shard_of=lambda _: "main", inventory=lambda: control.inventory)
        assert (await many.newest()).numbers.keys() == {"main"}
        for _ in range(2):  # an equal request of a shard that has it already
            made = await control.pause(match="host=elsewhere", by="p", reason="r", until=None, pause_id="p-all")
            assert made.id == "p-all"
        with pytest.raises(Refused):
            await control.pause(match="nonsense", by="p", reason="r", until=None, pause_id="p-2")
        with pytest.raises(Refused):
            await control.pause(match="host=elsewhere", by="p", reason="r", until=None)
        own = await many.pause(match="*", by="p", reason="r", until=None)
        assert {one.id for one in many.fleet().pauses} == {"p-all", own.id}
        assert [str(view.state.name) for view in many.hosts()] == sorted(control.inventory.hosts)
        found = await many.readiness(match="*", is_all=True, limit=1, after=None)
        assert (len(found.hosts), found.fleet.figures.hosts) == (1, len(control.inventory.hosts))
        stream = many.watch(after=None)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1.0)
        await many.disarm(by="p", reason="r")
        happened = await asyncio.wait_for(reading, 60.0)
        assert str(happened.position) == str(happened.message.sequence)
        await stream.aclose()
        assert standby.of_shard("main") is standby
        with pytest.raises(NotFound):
            standby.of_shard("dc2")
        await world.end()

    run(story())


# -- the view of all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", ["dc2", "main"])
async def test_the_fleet_is_armed_and_ready_only_if_every_shard_is(shard: str) -> None:
    it = Shards()
    seen = it.control.fleet()
    assert (seen.is_armed, seen.is_ready, seen.is_lease_held, seen.is_standby) == (True, True, True, False)
    it.fakes[shard].is_armed = it.fakes[shard].is_ready = False
    it.fakes[shard].epoch = 9
    seen = it.control.fleet()
    assert (seen.is_armed, seen.is_ready, seen.epoch) == (False, False, 9)
    assert seen.not_ready == (f"shard {shard}: bus not connected",)
    assert [(one.shard, one.is_armed) for one in seen.shards] == [("dc2", shard != "dc2"), ("main", shard != "main")]
    for fake in it.fakes.values():
        fake.is_ready = False
    assert it.control.fleet().not_ready == ("bus not connected",)


async def test_it_is_a_standby_only_if_it_holds_no_shard() -> None:
    it = Shards()
    it.follow("dc2", B)
    seen = it.control.fleet()
    assert (seen.is_standby, seen.is_lease_held, seen.epoch) == (False, True, 1)
    it.fakes["main"].unfit = ("no proxy answers",)
    it.follow("main", B)
    seen = it.control.fleet()
    assert (seen.is_standby, seen.is_lease_held, seen.epoch) == (True, False, 0)
    assert seen.unfit == ("shard main: no proxy answers",)


async def test_hosts_are_only_viewed_as_far_as_somebody_reads() -> None:
    it = Shards(hosts={"a": [f"a{n}" for n in range(50)], "b": [f"b{n}" for n in range(50)]})
    names = [view.state.name for view in itertools.islice(it.control.hosts(after="a20"), 3)]
    assert names == ["a21", "a22", "a23"]
    assert sum(len(fake.viewed) for fake in it.fakes.values()) < 8


async def test_a_stream_ends_its_sources_when_its_reader_leaves() -> None:
    it = Shards()
    stream = it.control.watch(after=None)
    reading = asyncio.ensure_future(anext(stream))
    await until(lambda: all(fake.watchers for fake in it.fakes.values()))
    it.fakes["dc2"].emit("fenced", "node-2")
    assert str((await reading).position) == "dc2=1,main=0"
    await stream.aclose()
    assert [fake.watchers for fake in it.fakes.values()] == [0, 0]
