"""Several controllers on one store: who hears, who decides, and what a takeover knows (S20 to S22)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fenced.app.running import STUCK_SECONDS, _is_following
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Words
from fenced.core.operation.steps import longest_command_seconds
from fenced.model.answers import RefusedBy
from fenced.model.power import Action, OperationState
from fenced.ports.control import NotFound, Standby
from tests.engine.pair import ACCEPTED, NODE, TTL_SECONDS, both, play, records
from tests.world.rack import Rack, inventory
from tests.world.world import World


def test_a_standby_follows_hears_and_decides_nothing() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        assert not first.engine.fleet.is_standby and second.engine.fleet.is_standby
        assert dict(second.engine.fleet.hosts) == dict(first.engine.fleet.hosts)
        assert all(sight.heard_at is not None for sight in second.engine.fleet.sights.values())
        world.machine(NODE).die()
        await asyncio.sleep(90.0)
        assert len(records(world, r.HostFenced)) == 1
        assert second.engine.fleet.hosts[NODE] == first.engine.fleet.hosts[NODE]
        with pytest.raises(Standby):
            await second.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await world.end()

    play(main())


def test_a_standby_takes_over_within_the_lease_without_a_quiet_time() -> None:
    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        died = asyncio.get_running_loop().time()
        world.machine(NODE).die()
        assert second.engine is not None
        while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert TTL_SECONDS / 2 < asyncio.get_running_loop().time() - died < TTL_SECONDS + 2.0
        await asyncio.sleep(80.0)
        assert len(records(world, r.HostFenced)) == 1
        assert len(records(world, r.HostSuspected)) == 1, "the others were heard before the takeover, too"
        assert [it.before for it in records(world, r.ControlTaken)] == ["fenced-a"]
        await world.end()

    play(main())


def test_a_controller_that_must_not_take_its_own_lease_stands_by_and_says_why() -> None:
    """It may take a lease of its own place at once, as in a dump that was made while it acted."""

    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        await second.crash()
        world.disk.why_not_taken = "this database is a copy"
        await first.start()
        await asyncio.sleep(60.0)
        assert first.engine is not None and first.engine.fleet.is_standby
        assert "the journal can't be followed: this database is a copy" in first.engine.giving_over.unfit()
        world.disk.why_not_taken = ""
        await asyncio.sleep(6.0)
        assert first.engine.held is not None
        await world.end()

    play(main())


def test_a_fence_goes_on_at_the_successor() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None
        asked = await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await asyncio.sleep(0.3)
        await first.crash()
        await asyncio.sleep(120.0)
        assert second.engine is not None
        operation = await second.engine.control.operation(asked.operation)
        assert operation.state is OperationState.DONE and not world.plug(NODE, "pdu-a").is_on
        await world.end()

    play(main())


def test_after_a_promotion_nothing_is_sent_while_a_lost_command_may_act() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await asyncio.sleep(0.3)
        await first.crash()
        second.journal.is_promoted = True
        while world.disk.row.name != "fenced-b":  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        taken_at, known = asyncio.get_running_loop().time(), world.disk.durable.sequence
        while world.disk.durable.sequence == known:
            assert second.journal.is_promoted, "the next holder need not wait before this one decides"
            await asyncio.sleep(0.1)
        waited = asyncio.get_running_loop().time() - taken_at
        longest = longest_command_seconds(second.engine.fleet.inventory)
        assert longest - 0.2 <= waited <= longest + 5.0
        assert not second.journal.is_promoted
        assert second.engine.fleet.own.store_doubt == "", "nothing is missing, so no person must release the store"
        await asyncio.sleep(60.0)
        assert len(records(world, r.HostFenced)) == 1
        await world.end()

    play(main())


def test_a_hand_over_takes_less_than_a_second_from_the_release() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.hand_over(to="fenced-b", by="a test", reason="an upgrade")
        while first.engine is not None and first.is_running:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        released = asyncio.get_running_loop().time()
        while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - released < 1.0
        await asyncio.sleep(20.0)
        assert first.engine is not None and first.engine.fleet.is_standby, "it began anew as a standby"
        assert [(it.to, it.by) for it in records(world, r.ControlHandedOver)] == [("fenced-b", "a test")]
        await world.end()

    play(main())


def test_nobody_hands_over_to_a_controller_that_can_not_act() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        with pytest.raises(NotFound):
            await first.engine.hand_over(to="fenced-c", by="a test", reason="none")
        with pytest.raises(Standby):
            await second.engine.hand_over(to="fenced-a", by="a test", reason="none")
        await world.end()

    play(main())


def test_the_successor_obeys_a_request_that_came_while_nobody_decided() -> None:
    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        await asyncio.sleep(1.0)
        now = world.clock.now()
        request = e.BusRequest(
            host=NODE, received=now, is_retained=False, id="r-1", action="fence", reason="a test", by="a person",
            sent_at=now, reply_topic=None, correlation=None,
        )  # fmt: skip
        world.broker.send(request)
        await asyncio.sleep(60.0)
        assert second.engine is not None
        assert [it.request.id for it in records(world, r.RequestAnswered)] == ["r-1"]
        await world.end()

    play(main())


def asked(world: World, action: str, name: str) -> e.BusRequest:
    now = world.clock.now()
    return e.BusRequest(
        host=NODE, received=now, is_retained=False, id=name, action=action, reason="a test", by="a person",
        sent_at=now, reply_topic=f"replies/{name}", correlation=None,
    )  # fmt: skip


def replies(world: World) -> list[str]:
    return [message.topic for _, message in world.broker.published if message.topic.startswith("replies/")]


def test_the_successor_reads_the_devices_before_it_believes_a_request_that_confirms_an_off() -> None:
    async def main() -> None:
        settings: dict[str, Any] = {ACCEPTED: ("confirm_off",), "host.automatic": False}
        world, first, _ = await both(Rack(other_daemons=("fenced-b",), settings=settings))
        world.machine(NODE).is_hung = True
        await asyncio.sleep(60.0)
        await first.crash()
        await asyncio.sleep(1.0)
        world.broker.send(asked(world, "confirm_off", "r-1"))
        await asyncio.sleep(40.0)
        assert replies(world) == ["replies/r-1"]
        assert not records(world, r.HostFenced), "its devices read ON"
        await world.end()

    play(main())


def test_the_successor_leaves_alone_what_was_answered_long_ago() -> None:
    async def main() -> None:
        settings: dict[str, Any] = {ACCEPTED: ("maintenance_on",)}
        world, first, second = await both(Rack(other_daemons=("fenced-b",), settings=settings))
        world.broker.send(asked(world, "maintenance_on", "r-1"))
        await asyncio.sleep(7200.0)
        await first.crash()
        await asyncio.sleep(60.0)
        assert second.engine is not None and not second.engine.fleet.is_standby
        assert replies(world) == ["replies/r-1"]
        await world.end()

    play(main())


def test_a_host_whose_beat_ended_its_fence_at_the_active_controller_counts_as_heard_at_the_standby() -> None:
    async def main() -> None:
        world, first, second = await both()
        world.machine(NODE).die()
        while not (returned := [it for it in records(world, r.HostHeard) if it.why == "restored"]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert len(returned) == 1
        await asyncio.sleep(1.0)
        await first.stop()
        await asyncio.sleep(3.0)
        assert second.engine is not None and not second.engine.fleet.is_standby
        assert len(records(world, r.HostSuspected)) == 1, "its next beat comes later"
        await asyncio.sleep(60.0)
        assert len(records(world, r.OperationStarted)) == 1
        await world.end()

    play(main())


def test_after_a_store_went_back_nothing_is_decided_until_no_lost_command_can_act() -> None:
    async def main() -> None:
        world = World(Rack(settings={"power.attempt_timeout_seconds": 90.0}))
        world.begin()
        daemon = world.daemon
        seen = daemon.board.kept.seen
        seen.went_back, seen.words = "the store lacks record 7", Words(is_disarmed=True)
        await daemon.start()
        begun = asyncio.get_running_loop().time()
        assert daemon.engine is not None
        while daemon.engine.fleet.is_standby:
            await asyncio.sleep(0.1)
            assert daemon.now() - daemon.engine.reactor.turned_at < STUCK_SECONDS, "systemd would restart it"
            assert _is_following(daemon.engine, daemon.now())
        waited = asyncio.get_running_loop().time() - begun
        assert waited >= longest_command_seconds(daemon.engine.fleet.inventory) - 2.0
        await asyncio.sleep(5.0)
        state = daemon.engine.fleet.state
        assert state.is_disarmed and state.store_hold == "the store lacks record 7"
        doubted = [entry.record for entry in world.disk.durable.entries.values()]
        assert [it.is_older for it in doubted if isinstance(it, r.StoreDoubted)] == [True]
        await world.end()

    play(main())


def test_a_successor_that_dies_before_it_decides_still_waits_for_the_first_ones_commands() -> None:
    """Its next start finds the lease of its own place, and yet another controller's commands may act."""

    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None
        await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        while not records(world, r.StepStarted):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        await first.crash()
        world.disk.slow_seconds = 0.5
        while world.disk.row.name != "fenced-b":  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        await second.crash()
        assert not records(world, r.ControlTaken), "it died before it decided anything"
        world.disk.slow_seconds = 0.0
        await second.start()
        while world.disk.durable.newest_epoch != world.disk.row.epoch:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        assert len(records(world, r.CommandsOutlast)) == 1
        await world.end()

    play(main())


def test_a_stores_clock_that_jumps_ends_no_wait_for_the_own_commands_of_an_earlier_start() -> None:
    async def main() -> None:
        world = World(Rack())
        world.begin()
        daemon = world.daemon
        await daemon.start()
        await asyncio.sleep(60.0)
        assert daemon.engine is not None
        await daemon.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        while not records(world, r.StepStarted):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        await daemon.crash()
        sent = {it.token: it.not_after for it in records(world, r.StepStarted)}
        world.disk.ahead_seconds = 1000.0
        await daemon.start()
        while world.disk.durable.newest_epoch != world.disk.row.epoch:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        assert daemon.engine is not None
        ends = {it.token: it.not_after for it in daemon.engine.fleet.known(NODE).commands}
        assert ends and all(end > sent[token] + 990.0 for token, end in ends.items())
        await world.end()

    play(main())


def test_a_command_of_other_settings_is_waited_out_by_a_successor_that_started_after_it() -> None:
    async def main() -> None:
        slow, quick = ({"power.attempt_timeout_seconds": seconds} for seconds in (200.0, 10.0))
        world = World(Rack(other_daemons=("fenced-b",), settings=slow))
        world.begin()
        first, second = world.daemons.values()
        await first.start()
        await asyncio.sleep(60.0)
        assert first.engine is not None
        await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        while not records(world, r.StepStarted):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        snapshot, durable = first.engine.fleet.known(NODE), world.disk.durable
        await first.crash()
        durable.hosts[NODE] = (durable.sequence, snapshot)
        sent = {it.token: it.not_after for it in records(world, r.StepStarted)}
        edited = inventory(Rack(other_daemons=("fenced-b",), settings=quick))
        second._around = replace(second._around, read_inventory=lambda: edited)
        await second.start()
        while durable.newest_epoch == 1:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        (outlast,) = records(world, r.CommandsOutlast)
        assert all(until >= sent[token] for token, until in outlast.until)
        await world.end()

    play(main())


def test_own_commands_act_as_much_longer_as_the_clock_was_set_forward_at_the_start() -> None:
    """A process of several shards counts on the clock of the latest one."""

    async def main() -> None:
        world = World(Rack(settings={"power.attempt_timeout_seconds": 200.0}))
        world.begin()
        (daemon,) = world.daemons.values()
        await daemon.start()
        await asyncio.sleep(60.0)
        assert daemon.engine is not None
        await daemon.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        while not records(world, r.StepStarted):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        await daemon.crash()
        sent = {it.token: it.not_after for it in records(world, r.StepStarted)}
        daemon.moved_seconds = 30.0
        await daemon.start()
        await asyncio.sleep(1.0)
        (outlast,) = records(world, r.CommandsOutlast)
        assert all(until >= sent[token] + 30.0 for token, until in outlast.until)
        await world.end()

    play(main())


def test_a_standby_refuses_an_inventory_whose_files_are_lost() -> None:
    """At its takeover it would remove every host."""

    async def main() -> None:
        world, _, second = await both()
        assert second.engine is not None
        fleet = second.engine.fleet
        answer = await second.engine.reactor.ask(e.InventoryRead(inventory=replace(fleet.inventory, hosts={})))
        assert isinstance(answer, RefusedBy) and answer.rule == "no_host"
        assert NODE in fleet.hosts
        again = await second.engine.reactor.ask(e.InventoryRead(inventory=replace(fleet.inventory)))
        assert again is None
        await world.end()

    play(main())
