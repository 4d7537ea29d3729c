"""What operators say at a standby: it only restricts, and holds from when it was accepted (S19)."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.restricting import DisarmSaid
from fenced.engine.control import EngineControl
from fenced.engine.restricting import LOOK_SECONDS
from fenced.model.power import Action, State
from fenced.ports.control import NotFound, Refused, Standby, Unavailable
from fenced.ports.journal import Batch, Said, WordsUnread
from tests.engine.pair import NODE, TTL_SECONDS, both, play, records
from tests.world.daemon import Daemon
from tests.world.world import World

OTHER = "node-1"


def control(daemon: Daemon) -> EngineControl:
    assert daemon.engine is not None
    return daemon.engine.control


async def kept_off(world: World, seconds: float = 90.0) -> None:
    """Show that a host that dies is not fenced."""
    world.machine(NODE).die()
    await asyncio.sleep(seconds)
    assert not records(world, r.OperationStarted)
    assert not records(world, r.HostFenced)


def test_a_disarm_at_a_standby_is_folded_within_a_second_while_nothing_else_is_written() -> None:
    async def main() -> None:
        world, first, second = await both()
        before = asyncio.get_running_loop().time()
        await control(second).disarm(by="a test", reason="at night")
        assert asyncio.get_running_loop().time() - before < 1.5
        assert [(it.by, it.reason) for it in records(world, r.Disarmed)] == [("a test", "at night")]
        assert not control(second).fleet().is_armed and not control(first).fleet().is_armed
        assert not world.disk.durable.words.rows and not control(second).fleet().warnings
        await kept_off(world)
        await control(first).arm(by="a test", reason="in the morning")
        await asyncio.sleep(60.0)
        assert len(records(world, r.HostFenced)) == 1
        assert control(second).fleet().is_armed
        await world.end()

    play(main())


def test_a_pause_at_a_standby_ends_when_it_should_at_the_holder() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert second.engine is not None
        until = second.now() + 60.0
        pause = await control(second).pause(match=f"host={NODE}", by="a test", reason="none", until=until)
        (said,) = control(first).fleet().pauses
        assert (said.id, said.match, said.by) == (pause.id, f"host={NODE}", "a test")
        assert said.until == pytest.approx(first.now() + 60.0, abs=2.0)
        await asyncio.sleep(62.0)
        assert not control(first).fleet().pauses
        with pytest.raises(Refused, match="no host"):
            await control(second).pause(match="host=nobody", by="a test", reason="none", until=None)
        await world.end()

    play(main())


def test_maintenance_at_a_standby_keeps_a_host_from_its_fence() -> None:
    async def main() -> None:
        world, _, second = await both()
        await control(second).set_maintenance(NODE, by="a test", reason="a disk", until=None)
        assert control(second).host(NODE).state.state is State.MAINTENANCE
        await kept_off(world)
        with pytest.raises(NotFound):
            await control(second).set_maintenance(type(NODE)("nobody"), by="a test", reason="", until=None)
        await world.end()

    play(main())


def test_a_standby_lifts_nothing_and_switches_nothing() -> None:
    async def main() -> None:
        world, first, second = await both()
        pause = await control(first).pause(match="*", by="a test", reason="none", until=None)
        await control(first).set_maintenance(NODE, by="a test", reason="none", until=None)
        await control(first).disarm(by="a test", reason="none")
        await asyncio.sleep(1.0)
        at = control(second)
        for refused in (
            at.arm(by="a test", reason=""), at.end_pause(pause.id, by="a test"),
            at.end_maintenance(NODE, by="a test", reason=""), at.release_store(by="a test", reason=""),
            at.act(NODE, Action.OFF, by="a test", reason="", is_forced=True),
        ):  # fmt: skip
            with pytest.raises(Standby):
                await refused
        await asyncio.sleep(2.0)
        state = control(first).fleet()
        assert not state.is_armed and state.pauses == (pause,)
        assert not world.disk.durable.words.rows
        await world.end()

    play(main())


def test_a_word_that_is_accepted_before_a_batch_forbids_it() -> None:
    """The holder does not look, and only its next batch meets the word."""

    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None
        refused: list[object] = []
        append = first.journal.append

        async def told(batch: Batch) -> int:
            try:
                return await append(batch)
            except WordsUnread as exc:
                refused.append(exc)
                raise

        first.journal.append = told  # type: ignore[method-assign]
        first.journal.words = _nothing  # type: ignore[method-assign]
        world.machine(NODE).die()
        await asyncio.sleep(1.0)
        await control(second).disarm(by="a test", reason="at night")
        assert world.disk.durable.words.rows, "nothing was written meanwhile"
        await asyncio.sleep(90.0)
        assert len(refused) == 1
        assert not world.disk.durable.words.rows
        assert not records(world, r.OperationStarted)
        assert [it.by for it in records(world, r.Disarmed)] == ["a test"], "it is folded once"
        assert not first.faults
        await world.end()

    play(main())


def test_a_word_that_comes_before_a_fence_is_decided_before_it() -> None:
    """The batch that meets the word is the one in which the fence begins."""

    async def main() -> None:
        world, first, _ = await both()
        first.journal.words = _nothing  # type: ignore[method-assign]
        said: list[str] = []

        def starts(batch: Batch) -> None:
            if not said and any(isinstance(it.record, r.OperationStarted) for it in batch.entries):
                said.append(world.disk.durable.words.add(Said(what=DisarmSaid(by="a test", reason="now")), 0.0))

        first.journal.on_append = starts
        world.machine(NODE).die()
        await asyncio.sleep(90.0)
        assert said and records(world, r.Disarmed)
        assert not records(world, r.OperationStarted)
        await world.end()

    play(main())


async def _nothing() -> tuple[()]:
    return ()


def test_a_caller_waits_through_a_batch_that_words_refuse() -> None:
    async def main() -> None:
        world, first, second = await both()
        append, tries = first.journal.append, itertools.count(1)

        async def counted(batch: Batch) -> int:
            assert next(tries) < 10, "the batch is refused again and again"
            return await append(batch)

        first.journal.append = counted  # type: ignore[method-assign]
        first.journal.words = _nothing  # type: ignore[method-assign]
        await control(second).set_maintenance(NODE, by="a test", reason="none", until=None)
        await control(first).pause(match="*", by="another", reason="none", until=None)
        assert control(first).host(NODE).state.maintenance is not None
        await world.end()

    play(main())


def test_a_word_without_a_holder_waits_and_the_next_one_folds_it_before_it_decides() -> None:
    async def main() -> None:
        world, first, second = await both()
        world.machine(NODE).die()
        await asyncio.sleep(10.0)
        await first.crash()
        await control(second).disarm(by="a test", reason="nobody acts")
        assert not control(second).fleet().is_armed, "it shows what it accepted"
        assert control(second).fleet().warnings
        batches: list[type] = []
        assert second.engine is not None
        append = second.journal.append

        async def told(batch: Batch) -> int:
            batches.extend(type(it.record) for it in batch.entries)
            return await append(batch)

        second.journal.append = told  # type: ignore[method-assign]
        second.journal.words = _nothing  # type: ignore[method-assign]
        await asyncio.sleep(TTL_SECONDS + 100.0)
        assert not second.engine.fleet.is_standby
        assert batches[:2] == [r.ControlTaken, r.Disarmed]
        assert batches.count(r.Disarmed) == 1, "the lease came with the word"
        assert not records(world, r.OperationStarted)
        assert not control(second).fleet().warnings
        await world.end()

    play(main())


def test_a_word_that_waits_is_kept_for_a_store_that_loses_it() -> None:
    """As records are: beside the lock (S22)."""

    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        at = control(second)
        await at.disarm(by="a test", reason="nobody acts")
        pause = await at.pause(match="*", by="a test", reason="none", until=second.now() + 600.0)
        await at.set_maintenance(NODE, by="a test", reason="a disk", until=None)
        assert at.fleet().pauses == (pause,), "it shows what it accepted"
        await asyncio.sleep(6.0)
        kept = second.board.kept.seen.words
        assert kept is not None and kept.is_disarmed
        assert kept.pauses == (pause,)
        assert kept.maintenance == ((NODE, "a test", "a disk", None),)
        await world.end()

    play(main())


def test_a_host_that_is_fenced_is_left_off_by_a_taker_that_finds_it_in_maintenance() -> None:
    """The word stops the restore before the taker recovers it."""

    async def main() -> None:
        world, first, second = await both()
        await control(first).act(NODE, Action.RESTART, by="a test", reason="none", is_forced=True)
        while not records(world, r.HostFenced):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        await first.crash()
        ons = len([it for it in records(world, r.StepStarted) if it.what.value == "on"])
        await control(second).set_maintenance(NODE, by="a test", reason="leave it", until=None)
        await asyncio.sleep(TTL_SECONDS + 120.0)
        assert len([it for it in records(world, r.StepStarted) if it.what.value == "on"]) == ons
        assert not world.plug(NODE, "pdu-a").is_on
        await world.end()

    play(main())


def test_a_request_that_is_repeated_at_the_standby_is_obeyed_once() -> None:
    async def main() -> None:
        world, first, second = await both()
        one = await control(first).keyed("key 1", "the pause").pause(match="*", by="a", reason="", until=None)
        again = await control(second).keyed("key 1", "the pause").pause(match="*", by="a", reason="", until=None)
        assert again.id == one.id
        said = await control(second).keyed("key 2", "another").pause(match="*", by="a", reason="", until=None)
        assert (await control(first).keyed("key 2", "another").pause(match="*", by="a", reason="", until=None)) == said
        assert len(control(first).fleet().pauses) == 2
        with pytest.raises(Refused) as refused:
            await control(second).keyed("key 2", "else").disarm(by="a", reason="")
        assert refused.value.rule == "idempotency_key"
        await world.end()

    play(main())


def test_two_words_of_one_key_are_obeyed_once() -> None:
    """The holder is frozen, so neither of them is followed when the other is said."""

    async def main() -> None:
        world, first, second = await both()
        first.stall(8.0)
        for _ in range(2):
            await control(second).keyed("key 1", "x").pause(match="*", by="a", reason="", until=None)
        assert len(world.disk.durable.words.rows) == 2
        await asyncio.sleep(10.0)
        assert len(records(world, r.PauseSet)) == 1
        assert not world.disk.durable.words.rows
        await world.end()

    play(main())


def test_a_host_that_only_the_standby_knows_is_paused() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        name = type(NODE)(OTHER)
        hosts = {host: it for host, it in first.engine.fleet.inventory.hosts.items() if host != name}
        first.engine.fleet.take(replace(first.engine.fleet.inventory, hosts=hosts))
        await control(second).set_maintenance(name, by="a test", reason="new", until=None)
        await asyncio.sleep(1.0)
        assert [(it.match, it.id) for it in control(first).fleet().pauses] == [(f"host={OTHER}", "p-word-1")]
        await world.end()

    play(main())


def test_a_store_that_takes_no_word_makes_the_standby_refuse() -> None:
    async def main() -> None:
        world, _, second = await both()
        world.disk.is_failing = True
        with pytest.raises(Unavailable):
            await control(second).disarm(by="a test", reason="none")
        world.disk.is_failing = False
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert not records(world, r.Disarmed)
        assert control(second).fleet().is_armed
        await world.end()

    play(main())
