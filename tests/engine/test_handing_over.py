"""Several controllers as the API and the bus see them: what a standby answers, who is known, who gets a shard."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fenced.core.fleet import Fleet
from fenced.engine.beside import Beside, HeldHere
from fenced.engine.giving_over import HandedOver
from fenced.engine.outbox import Outbox
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.model.settings import DaemonSettings
from fenced.ports.control import NotFound, Standby
from fenced.ports.journal import ControllerView
from tests.engine.pair import both
from tests.fakes.journal import MemoryJournal
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import Broker, WorldBus, WorldClock
from tests.world.rack import Rack

ADDRESS = "https://fenced-a.example:8470"


def inventory(name: str, address: str = "") -> Inventory:
    return replace(racks.inventory(Rack()), daemon=DaemonSettings(name=name, address=address))


def test_a_standby_refuses_what_does_not_restrict_and_shows_who_acts() -> None:
    async def story() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        active, standby = first.engine.control, second.engine.control
        await active.refuse_at_standby()
        with pytest.raises(Standby):
            await standby.refuse_at_standby()
        for change in (
            standby.arm(by="p", reason="r"),
            standby.end_pause("p-1-1", by="p"),
            standby.release_store(by="p", reason="r"),
            standby.end_maintenance(HostName("node-2"), by="p", reason="r"),
            standby.hand_over(shard="main", to="", by="p", reason="r"),
        ):
            with pytest.raises(Standby):
                await asyncio.wait_for(change, 5.0)
        assert (active.fleet().is_standby, standby.fleet().is_standby) == (False, True)
        assert standby.fleet().is_fit and not standby.fleet().is_lease_held
        for control in (active, standby):
            held = {view.report.name: [one.shard for one in view.shards] for view in control.controllers()}
            assert held == {"fenced-a": ["main"], "fenced-b": []}
        await world.end()

    run(story())


def test_a_standby_names_who_took_the_lease_since_it_last_heard_of_anybody() -> None:
    async def story() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        controllers = second.engine.controllers
        known = await second.engine.control.look_at_controllers()
        holder = replace(known[0], report=replace(known[0].report, address=ADDRESS))
        second.journal.controllers = told((holder, known[1]))  # type: ignore[method-assign]
        controllers.views = ()
        with pytest.raises(Standby) as refused:
            await second.engine.control.refuse_at_standby()
        assert refused.value.active == ADDRESS
        await world.end()

    run(story())


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (0, "fenced-a acts, and names no address of its API"),
        (1, "the store names it as the holder, and it does not act yet"),
        (None, "no active one is known"),
    ],
)
def test_a_standby_says_why_it_can_name_no_address(index: int | None, said: str) -> None:
    """The active one may have none, and a taker waits for a minute and more after a store that went back."""

    async def story() -> None:
        world, _, second = await both()
        assert second.engine is not None
        known = await second.engine.control.look_at_controllers()
        assert [view.report.name for view in known if view.is_self] == ["fenced-b"] and not known[0].is_self
        views = [
            replace(view, shards=known[0].shards if number == index else (), report=replace(view.report, address=""))
            for number, view in enumerate(known)
        ]
        second.journal.controllers = told(views)  # type: ignore[method-assign]
        second.engine.controllers.views = ()
        with pytest.raises(Standby, match=said) as refused:
            await second.engine.control.refuse_at_standby()
        assert refused.value.active is None
        await world.end()

    run(story())


def told(views: Sequence[ControllerView]) -> Callable[[], Coroutine[Any, Any, Sequence[ControllerView]]]:
    async def controllers() -> Sequence[ControllerView]:
        return views

    return controllers


def test_only_a_shard_that_there_is_can_be_handed_over() -> None:
    async def story() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        with pytest.raises(NotFound, match="no shard east"):
            await first.engine.control.hand_over(shard="east", to="", by="p", reason="r")
        with pytest.raises(NotFound, match="fenced-a holds it already"):
            await first.engine.control.hand_over(shard="main", to="fenced-a", by="p", reason="r")
        await first.engine.control.hand_over(shard="main", to="fenced-b", by="p", reason="r")
        await asyncio.sleep(5.0)
        assert not second.engine.control.fleet().is_standby
        await world.end()

    run(story())


def test_a_write_that_comes_right_after_the_release_ends_this_life_alone() -> None:
    """And not the process: the next life is a standby."""

    async def story() -> None:
        world, first, second = await both()
        engine, journal, process = first.engine, first.journal, first._process
        assert engine is not None and second.engine is not None and process is not None
        release = journal.release

        async def slow(*, to: str, is_for_others: bool = True) -> None:
            await release(to=to)
            assert engine._group is not None
            engine._group.create_task(engine.lease.renew())  # as any other write, it finds that the lease is gone
            await asyncio.sleep(5.0)

        journal.release = slow  # type: ignore[method-assign]
        await engine.control.hand_over(shard="main", to="fenced-b", by="p", reason="r")
        await asyncio.wait({process})
        ended = process.exception()
        assert isinstance(ended, BaseExceptionGroup)
        assert ended.split(HandedOver)[1] is None, "what else ended it would end the process"
        await world.end()

    run(story())


def test_a_standby_has_no_message_to_send() -> None:
    """Otherwise the alert on messages that wait would fire at every standby."""

    async def story() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        assert second.engine.outbox.pending == 0
        await world.end()

    run(story())


def test_a_standby_of_one_shard_is_active_on_the_bus_while_it_holds_another_one() -> None:
    async def story() -> None:
        clock = WorldClock()
        fleet = Fleet(inventory("fenced-a", ADDRESS), epoch=0, started=clock.now())
        held = HeldHere(shard="dc2", epoch=9, since=clock.now())
        outbox = Outbox(
            fleet=fleet, journal=MemoryJournal(), bus=WorldBus(Broker(clock), clock, "fenced-a"), clock=clock,
            deliver=lambda _: None, holds_lease=lambda: False, controller="fenced-a",
            beside=Beside(shard="main", held=lambda: (held,)),
        )  # fmt: skip
        for state, shown, shards in (
            ("standby", "active", [("dc2", 9)]), ("active", "active", [("dc2", 9), ("main", 0)]),
            ("offline", "offline", []),
        ):  # fmt: skip
            said = json.loads(outbox.controller_message(state).payload)
            assert said["state"] == shown
            assert [(one["shard"], one["epoch"]) for one in said["shards"]] == shards

    run(story())


@pytest.mark.parametrize(("epoch", "state", "shards"), [(7, "active", 1), (7, "offline", 0), (0, "standby", 0)])
def test_the_controllers_topic_has_shards_address_and_version(epoch: int, state: str, shards: int) -> None:
    async def story() -> None:
        clock = WorldClock()
        fleet = Fleet(inventory("fenced-a", ADDRESS), epoch=epoch, started=clock.now())
        outbox = Outbox(
            fleet=fleet, journal=MemoryJournal(), bus=WorldBus(Broker(clock), clock, "fenced-a"), clock=clock,
            deliver=lambda _: None, holds_lease=lambda: False, controller="fenced-a",
        )  # fmt: skip
        said = json.loads(outbox.controller_message(state).payload)
        assert (said["state"], said["epoch"], said["address"]) == (state, epoch, ADDRESS)
        assert said["version"]
        assert said["shards"] == [{"shard": "main", "epoch": epoch, "since": said["since"]}][:shards]

    run(story())
