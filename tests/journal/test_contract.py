"""The contract of the `Journal` port, for each implementation."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import BusBack, BusLost, Entry
from fenced.model.names import HostName, OperationId
from fenced.model.power import OperationState
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import Batch, ClockAnchor, ControllerReport, EpochLost, Page, StoreError
from tests.journal.rigs import Rig
from tests.journal.strategies import entry, host_state, message, operation


def numbers(page: Page) -> list[str]:
    return [operation.id for operation in page.items]


async def test_a_new_store_is_empty(rig: Rig) -> None:
    loaded = await rig.open()
    assert loaded.store_id
    assert (rig.taken.epoch, loaded.sequence, loaded.last_at) == (1, 0, None)
    assert (loaded.hosts, loaded.fleet, list(loaded.tail)) == ({}, FleetState(), [])
    assert await rig.journal.clock_anchor() is None
    assert await rig.journal.outbox_pending() == 0


async def test_each_start_takes_a_new_epoch_of_the_same_store(rig: Rig) -> None:
    stores, epochs = [], []
    for start in (rig.open, rig.reopen, rig.crash):
        stores.append((await start()).store_id)
        epochs.append(rig.taken.epoch)
    assert epochs == [1, 2, 3]
    assert len(set(stores)) == 1


async def test_sequences_rise_without_gaps(rig: Rig) -> None:
    await rig.open()
    assert await rig.journal.append(Batch(entries=[entry(number=1), entry(number=2)])) == 2
    assert await rig.journal.append(Batch(entries=[])) == 2
    assert await rig.journal.append(Batch(entries=[entry(number=3)])) == 3
    assert (await rig.crash()).sequence == 3
    assert await rig.journal.append(Batch(entries=[entry(number=4)])) == 4


async def test_concurrent_appends_are_serialized(rig: Rig) -> None:
    await rig.open()
    batches = [Batch(entries=[entry(number=n), entry(number=n)]) for n in range(20)]
    assert sorted(await asyncio.gather(*(rig.journal.append(batch) for batch in batches))) == list(range(2, 41, 2))
    stored = [entry.record for _, entry in await rig.journal.entries(host=None, limit=100)]
    assert stored[::2] == stored[1::2]  # no batch was torn


async def test_a_start_reads_snapshots_and_only_the_records_after_each(rig: Rig) -> None:
    await rig.open()
    lost, back = BusLost(why="unplugged"), BusBack()
    await rig.journal.append(
        Batch(
            entries=[entry("a", 1, at=10.0), entry("b", 2, at=11.0), Entry(at=12.0, host=None, record=lost)],
            snapshots=[host_state("a", since=10.0)],
            fleet=FleetState(is_bus_lost=True),
        )
    )
    await rig.journal.append(Batch(entries=[entry("c", 3, at=13.0), Entry(at=14.0, host=None, record=back)]))
    await rig.journal.append(Batch(entries=[entry("b", 4, at=15.0), entry("a", 5, at=16.0)]))
    loaded = await rig.crash()
    assert loaded.hosts == {HostName("a"): host_state("a", since=10.0)}
    assert loaded.fleet == FleetState(is_bus_lost=True)
    assert list(loaded.tail) == [
        entry("b", 2, at=11.0),
        entry("c", 3, at=13.0),
        Entry(at=14.0, host=None, record=back),
        entry("b", 4, at=15.0),
        entry("a", 5, at=16.0),
    ]
    assert (loaded.sequence, loaded.last_at) == (7, 16.0)


async def test_a_newer_snapshot_replaces_the_older(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(
        Batch(entries=[entry("a", 1)], snapshots=[host_state("a", since=1.0)], fleet=FleetState(is_disarmed=True))
    )
    await rig.journal.append(Batch(entries=[entry("a", 2)], snapshots=[host_state("a", since=2.0)], fleet=FleetState()))
    loaded = await rig.reopen()
    assert loaded.hosts == {HostName("a"): host_state("a", since=2.0)}
    assert loaded.fleet == FleetState()
    assert list(loaded.tail) == []


async def test_an_older_epoch_can_write_nothing(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[entry()], outbox=[message(1)]))
    pending = await rig.journal.outbox(limit=10, each=10)
    await rig.take_over()
    with pytest.raises(EpochLost, match="fenced-b"):
        await rig.journal.append(Batch(entries=[entry()], snapshots=[host_state()], outbox=[message(2)]))
    with pytest.raises(EpochLost, match="epoch 2"):
        await rig.journal.renew_lease(now=1.0, ttl_seconds=15.0)
    with pytest.raises(EpochLost):
        await rig.journal.delivered(pending)
    with pytest.raises(EpochLost):
        await rig.journal.prune(before=1e9, events_before=1e9, limit=10)
    await rig.journal.close()
    loaded = await rig.crash()
    assert (rig.taken.epoch, loaded.sequence, loaded.hosts) == (3, 1, {})
    assert list(await rig.journal.outbox(limit=10, each=10)) == list(pending)


async def test_a_controller_without_the_lease_can_write_nothing(rig: Rig) -> None:
    await rig.journal.open(holder="fenced-a", now=1.0)
    for call in (rig.journal.append(Batch(entries=[entry()])), rig.journal.renew_lease(now=1.0, ttl_seconds=15.0)):
        with pytest.raises(EpochLost):
            await call
    assert await rig.journal.entries(host=None, limit=10) == []


async def test_the_holder_takes_the_lease_again_above_a_known_epoch(rig: Rig) -> None:
    await rig.open()
    again = await rig.journal.take(after=0, now=2.0, at_least=41)
    assert again is not None
    assert (again.epoch, again.is_own) == (42, True)
    assert await rig.journal.append(Batch(entries=[entry()])) == 1
    await rig.crash()
    assert (rig.taken.epoch, rig.taken.before) == (43, "fenced-a")


async def test_taking_again_disturbs_no_write_that_waits(rig: Rig) -> None:
    """The lease is renewed, and records are appended, while it is taken again above a proxy's epoch."""
    await rig.open()

    async def write(number: int) -> None:
        await rig.journal.renew_lease(now=1.0, ttl_seconds=15.0)
        await rig.journal.append(Batch(entries=[entry(number=number)]))

    async def take(at_least: int) -> None:
        assert await rig.journal.take(after=0, now=2.0, at_least=at_least) is not None

    await asyncio.gather(write(1), take(41), write(2), take(50), write(3))
    assert len(await rig.journal.entries(host=None, limit=10)) == 3
    await rig.reopen()
    assert rig.taken.epoch == 52


async def test_records_are_followed_from_a_position(rig: Rig) -> None:
    await rig.open()
    entries = tuple(entry(number=number) for number in range(1, 6))
    await rig.journal.append(Batch(entries=entries))
    first = await rig.journal.follow(after=0, limit=3)
    assert (tuple(first.entries), first.sequence, first.behind) == (entries[:3], 3, 2)
    second = await rig.journal.follow(after=3, limit=3)
    assert (tuple(second.entries), second.sequence, second.behind) == (entries[3:], 5, 0)
    last = await rig.journal.follow(after=5, limit=3)
    assert (tuple(last.entries), last.sequence, last.behind) == ((), 5, 0)


async def test_a_released_lease_is_no_longer_held(rig: Rig) -> None:
    await rig.open()
    await rig.journal.release(to="")
    with pytest.raises(EpochLost):
        await rig.journal.append(Batch(entries=[entry()]))
    with pytest.raises(EpochLost):
        await rig.journal.release(to="")


async def test_a_controller_sees_its_own_report_and_shard(rig: Rig) -> None:
    await rig.open()
    report = ControllerReport(name="fenced-a", address="https://a", version="1", unfit=("bus",), lag=2)
    (view,) = await rig.journal.report(report)
    assert (view.report, view.is_alive, view.is_self) == (report, True, True)
    assert [(held.shard, held.epoch) for held in view.shards] == [("main", 1)]


async def test_the_lease_is_counted_from_the_given_time(rig: Rig) -> None:
    await rig.open()
    assert await rig.journal.renew_lease(now=100.0, ttl_seconds=15.0) == 115.0


async def test_the_clock_anchor_is_that_of_the_last_renewal_with_one(rig: Rig) -> None:
    await rig.open()
    anchor = ClockAnchor(boot_id="b0b0", boottime=12.5, steady=1.7e9 + 0.125, calendar="[[1.0, 2.0]]")
    await rig.journal.renew_lease(now=1.0, ttl_seconds=15.0, anchor=anchor)
    await rig.journal.renew_lease(now=2.0, ttl_seconds=15.0)
    assert await rig.journal.clock_anchor() == anchor
    await rig.crash()
    assert await rig.journal.clock_anchor() == anchor


async def test_the_outbox_returns_each_message_in_order_until_it_is_delivered(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[entry()], outbox=[message(1), message(2, is_retained=True)]))
    await rig.journal.append(Batch(entries=[entry()], outbox=[message(3, host=None)]))
    first, second, third = await rig.journal.outbox(limit=10, each=10)
    assert [first.id, second.id, third.id] == ["m-1", "m-2", "m-3"]
    assert (first.payload, first.operation, first.is_retained) == (b"\x00{}\xff", OperationId("4-1"), False)
    assert (second.operation, second.is_retained, third.host) == (None, True, None)
    assert [message.id for message in await rig.journal.outbox(limit=10, each=1)] == ["m-1", "m-3"]
    await rig.journal.delivered([first, second])
    await rig.journal.delivered([first, second])  # the broker acknowledged a repetition, too
    await rig.journal.delivered([])
    assert list(await rig.journal.outbox(limit=10, each=10)) == [third]
    assert await rig.journal.outbox_pending() == 1
    await rig.crash()
    assert list(await rig.journal.outbox(limit=10, each=10)) == [third]


async def test_delivered_events_are_pruned_earlier_than_records(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(
        Batch(entries=[entry(number=1, at=10.0)], snapshots=[host_state()], outbox=[message(1), message(2)])
    )
    first, _ = await rig.journal.outbox(limit=10, each=10)
    await rig.journal.delivered([first])
    await rig.journal.append(Batch(entries=[entry(number=2, at=20.0)], snapshots=[host_state()], outbox=[message(3)]))
    assert await rig.journal.prune(before=5.0, events_before=15.0, limit=10) == 1
    assert [event.id for event in await rig.journal.events(after=0, limit=10)] == ["m-2", "m-3"]
    assert await rig.journal.prune(before=15.0, events_before=5.0, limit=10) == 1
    assert [item.record for _, item in await rig.journal.entries(host=None, limit=10)] == [entry(number=2).record]


async def test_the_outbox_returns_a_share_for_every_host(rig: Rig) -> None:
    await rig.open()
    backlog = [message(number, host="b") for number in range(1, 51)]
    await rig.journal.append(Batch(entries=[entry()], outbox=backlog))
    rest = [message(51, host=None), message(52, host="c"), message(53, host="a"), message(54, host="c")]
    await rig.journal.append(Batch(entries=[entry()], outbox=rest))

    async def numbers(limit: int, each: int, skipping: Sequence[HostName | None] = ()) -> list[int]:
        found = await rig.journal.outbox(limit=limit, each=each, skipping=skipping)
        return [int(message.id.removeprefix("m-")) for message in found]

    assert await numbers(4, 10) == [1, 51, 52, 53]  # the oldest of each host before a second one of any
    assert await numbers(7, 3) == [1, 2, 3, 51, 52, 53, 54]
    assert await numbers(2, 10) == [1, 51]  # the hosts that have waited longest
    assert await numbers(10, 2, [HostName("b")]) == [51, 52, 53, 54]
    assert await numbers(10, 2, [None, HostName("a"), HostName("c")]) == [1, 2]
    await rig.journal.delivered(await rig.journal.outbox(limit=3, each=1))
    assert await numbers(3, 1) == [2, 53, 54]


async def test_events_stay_readable_and_their_numbers_are_never_reused(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[entry()], outbox=[message(1), message(2, is_retained=True), message(3)]))
    pending = await rig.journal.outbox(limit=10, each=10)
    await rig.journal.delivered(pending)
    await rig.journal.append(Batch(entries=[entry(at=200.0)], outbox=[message(4)]))
    events = await rig.journal.events(after=0, limit=10)
    assert [event.id for event in events] == ["m-1", "m-3", "m-4"]
    assert events[0].sequence is not None
    assert [event.id for event in await rig.journal.events(after=events[0].sequence, limit=1)] == ["m-3"]
    last = await rig.journal.outbox(limit=10, each=10)
    await rig.journal.delivered(last)
    await rig.journal.append(Batch(entries=[entry(at=300.0)]))
    assert await rig.journal.prune(before=300.0, events_before=300.0, limit=100) == 3
    await rig.journal.append(Batch(entries=[], outbox=[message(5)]))
    (newest,) = await rig.journal.events(after=0, limit=10)
    assert newest.sequence is not None
    assert last[0].sequence is not None
    assert newest.sequence > last[0].sequence


async def test_operations_are_listed_newest_first_page_by_page(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[], operations=[operation(n) for n in (1, 2, 3)]))
    await rig.journal.append(Batch(entries=[], operations=[operation(n, host="node-2") for n in (4, 5)]))
    done = operation(2, state=OperationState.DONE, ended=130.0)
    await rig.journal.append(Batch(entries=[], operations=[done]))
    first = await rig.journal.operations(OperationsLike(), limit=2, after=None)
    assert numbers(first) == ["4-5", "4-4"]
    await rig.journal.append(Batch(entries=[], operations=[operation(6)]))  # must not shift a page
    second = await rig.journal.operations(OperationsLike(), limit=2, after=first.next)
    third = await rig.journal.operations(OperationsLike(), limit=2, after=second.next)
    assert (numbers(second), numbers(third), third.next) == (["4-3", "4-2"], ["4-1"], None)
    one, ended = OperationsLike(host=HostName("node-2")), OperationsLike(states=frozenset({OperationState.DONE}))
    assert numbers(await rig.journal.operations(one, limit=2, after=None)) == ["4-5", "4-4"]
    assert numbers(await rig.journal.operations(ended, limit=9, after=None)) == ["4-2"]
    both = OperationsLike(host=HostName("node-1"), states=frozenset({OperationState.RUNNING}))
    running = await rig.journal.operations(both, limit=2, after=None)
    assert numbers(running) == ["4-6", "4-3"]
    assert running.next is not None
    assert await rig.journal.operation(OperationId("4-2")) == done
    assert await rig.journal.operation(OperationId("9-9")) is None


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "9" * 30, "٣", "1 OR 1"])
async def test_an_invalid_cursor_is_refused(rig: Rig, after: str) -> None:
    await rig.open()
    with pytest.raises(ValueError, match="not a cursor"):
        await rig.journal.operations(OperationsLike(), limit=2, after=after)


async def test_records_are_read_newest_first(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[entry("a", 1), entry("b", 2), entry("a", 3)]))
    assert list(await rig.journal.entries(host=HostName("a"), limit=10)) == [(3, entry("a", 3)), (1, entry("a", 1))]
    assert list(await rig.journal.entries(host=None, limit=1, before=3)) == [(2, entry("b", 2))]


async def test_pruning_keeps_what_a_start_and_running_operations_need(rig: Rig) -> None:
    await rig.open()
    running = operation(1)
    ended = operation(2, state=OperationState.DONE, ended=50.0)
    late = operation(3, state=OperationState.FAILED, ended=500.0)
    await rig.journal.append(
        Batch(
            entries=[
                entry("a", 1, at=10.0, operation="4-1"),  # running
                entry("a", 2, at=11.0, operation="4-2"),  # prunable
                Entry(at=12.0, host=None, record=BusBack()),  # prunable
                entry("b", 3, at=13.0, operation="4-2"),  # covered by no snapshot
            ],
            snapshots=[host_state("a")],
            fleet=FleetState(),
            operations=[running, ended, late],
            outbox=[message(1), message(2)],
        )
    )
    await rig.journal.delivered(await rig.journal.outbox(limit=1, each=10))
    await rig.journal.append(
        Batch(entries=[entry("a", 4, at=14.0, operation="4-2"), Entry(at=15.0, host=None, record=BusBack())])
    )
    await rig.journal.append(Batch(entries=[entry("b", 5, at=400.0, operation="4-2")]))
    assert await rig.journal.prune(before=10.0, events_before=10.0, limit=100) == 0
    assert (
        await rig.journal.prune(before=300.0, events_before=300.0, limit=100) == 4
    )  # two records, an event, an operation
    assert await rig.journal.prune(before=300.0, events_before=300.0, limit=100) == 0
    assert [number for number, _ in await rig.journal.entries(host=None, limit=10)] == [7, 6, 5, 4, 1]
    assert [event.id for event in await rig.journal.events(after=0, limit=10)] == ["m-2"]
    assert numbers(await rig.journal.operations(OperationsLike(), limit=9, after=None)) == ["4-3", "4-1"]
    loaded = await rig.crash()
    assert [item.at for item in loaded.tail] == [13.0, 14.0, 15.0, 400.0]
    assert list(loaded.hosts) == ["a"]


async def test_pruning_is_bounded_and_keeps_the_newest_record(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(
        Batch(entries=[entry("a", n, at=float(n)) for n in range(10)], snapshots=[host_state("a")])
    )
    assert [await rig.journal.prune(before=1e9, events_before=1e9, limit=4) for _ in range(4)] == [4, 4, 1, 0]
    loaded = await rig.crash()
    assert (loaded.sequence, loaded.last_at) == (10, 9.0)
    assert await rig.journal.append(Batch(entries=[entry("a", 11, at=20.0)])) == 11


async def test_a_store_that_is_not_open_refuses(rig: Rig) -> None:
    with pytest.raises(StoreError, match="not open"):
        await rig.journal.append(Batch(entries=[entry()]))
    await rig.open()
    await rig.journal.close()
    await rig.journal.close()
    with pytest.raises(StoreError, match="not open"):
        await rig.journal.outbox(limit=1, each=10)
    with pytest.raises(StoreError, match="not open"):
        await rig.journal.renew_lease(now=1.0, ttl_seconds=1.0)


async def test_a_cancelled_append_stores_all_or_nothing(rig: Rig) -> None:
    """Cancel after each number of turns of the loop; the next append and a crash must find a sound store."""
    await rig.open()
    stored, cancelled, turns = 0, 0, 0
    while cancelled == turns:
        batch = Batch(entries=[entry(number=turns), entry(number=turns)], outbox=[message(turns)])
        task = asyncio.create_task(rig.journal.append(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        cancelled += isinstance(outcome, asyncio.CancelledError)
        rows = await rig.journal.entries(host=None, limit=1000)
        assert len(rows) - stored in {0, 2}
        assert await rig.journal.outbox_pending() == len(rows) // 2
        stored, turns = len(rows), turns + 1
        assert turns < 5000
    assert cancelled >= 1
    assert await rig.journal.append(Batch(entries=[entry()])) == stored + 1
    assert (await rig.crash()).sequence == stored + 1


async def test_the_error_of_a_cancelled_append_is_reported_to_nobody(rig: Rig) -> None:
    """A controller that hands over cancels its appends, and they fail: its log must not show a stray error."""
    await rig.open()
    await rig.take_over()
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    for turns in range(1, 20):
        task = asyncio.create_task(rig.journal.append(Batch(entries=[entry()])))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()
    assert not reported
