"""The rules of several controllers fire: each is broken in a world, and the checker reports it (S20 to S22)."""

import asyncio
import json
from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid, Restriction, Said
from fenced.model.names import Token
from fenced.model.power import Power
from fenced.ports.bus import Message
from fenced.ports.journal import Batch
from tests.world.test_checker import NODE, PDU_A, write
from tests.world.test_rules import automatic, found, read, send, step
from tests.world.world import World

STATE = Message(topic="fenced/v1/site-1/state/node-1", payload=b"", is_retained=True)
HOLDER = "planted"


def renew(world: World) -> None:
    world.checker.call("renewed", world.disk.row)


async def told(world: World, *records: r.FleetRecord) -> None:
    entries = [r.Entry(at=world.clock.now(), host=None, record=record) for record in records]
    await world.journal.append(Batch(entries=entries))
    world.checker.look()


# -- S20 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"epoch": 2, "name": "fenced-b", "place": "b"}, "S20: fenced-b takes the lease of planted"),
        ({"epoch": 1, "name": "fenced-b"}, "S20: fenced-b takes epoch 1 after 1"),
    ],
)
def test_a_lease_that_is_taken_too_early_or_under_an_old_epoch_is_found(
    changes: dict[str, object], finding: str
) -> None:
    async def plant(world: World) -> None:
        renew(world)
        before = replace(world.disk.row, until=world.disk.now() + 5.0)
        world.checker.call("taken", before, replace(before, **changes))  # type: ignore[arg-type]

    assert finding in found(plant)


def test_a_command_under_the_epoch_of_another_is_found() -> None:
    async def plant(world: World) -> None:
        renew(world)
        world.wires.on_left("fenced-b", Token.parse("1-9"))

    assert "S20: fenced-b sends a command under 1-9, an epoch of planted" in found(plant)


@pytest.mark.parametrize(("seconds", "is_late"), [(13.5, False), (14.5, True)])
def test_a_command_at_the_very_end_of_the_lease_is_found(seconds: float, is_late: bool) -> None:
    async def plant(world: World) -> None:
        renew(world)
        await asyncio.sleep(seconds)
        world.wires.on_left(HOLDER, Token.parse("1-9"))

    assert ("S20: planted sends a command under 1-9, 0.5 s before its lease ends" in found(plant)) is is_late


@pytest.mark.parametrize(
    ("daemon", "seconds", "finding"),
    [
        ("fenced-b", 0.0, "S20: fenced-b publishes fenced/v1/site-1/state/node-1, and planted took the lease"),
        (HOLDER, 16.0, "S20: planted publishes fenced/v1/site-1/state/node-1 1.0 s after its lease ended"),
        (HOLDER, 14.0, ""),
    ],
)
def test_a_message_of_a_controller_without_the_lease_is_found(daemon: str, seconds: float, finding: str) -> None:
    async def plant(world: World) -> None:
        renew(world)
        await asyncio.sleep(seconds)
        world.broker.on_sender(daemon, STATE)

    text = found(plant)
    assert finding in text if finding else "S20" not in text


@pytest.mark.parametrize(
    ("state", "epoch", "is_found"), [("active", 3, True), ("standby", 1, True), ("active", 1, False)]
)
def test_a_controller_that_says_what_it_is_not_is_found(state: str, epoch: int, is_found: bool) -> None:
    async def plant(world: World) -> None:
        payload = json.dumps({"name": HOLDER, "state": state, "epoch": epoch}).encode()
        topic = f"fenced/v1/site-1/controller/{HOLDER}"
        world.broker.take(Message(topic=topic, payload=payload, is_retained=True))

    assert ("S20: planted says that it is" in found(plant)) is is_found


# -- S21 --------------------------------------------------------------------------------------------------------------


async def take_again(world: World) -> None:
    """Let another controller take the lease at once."""
    row = world.disk.row
    world.disk.row = replace(row, epoch=row.epoch + 1)
    world.checker.call("taken", replace(row, until=0.0), world.disk.row)


def test_commands_of_two_epochs_that_overlap_at_a_plug_are_found() -> None:
    async def plant(world: World) -> None:
        world.plug(NODE, PDU_A).set_seconds = 10.0
        first = asyncio.create_task(send(world, "1-8"))
        await asyncio.sleep(1.0)
        await take_again(world)
        await read(world, PDU_A)
        await send(world, "2-1")
        await first

    text = found(plant)
    assert "S21: off for node-2/pdu-a is sent while 1-8 of an earlier epoch may act" in text


def test_a_command_of_an_old_epoch_after_a_new_one_is_found() -> None:
    async def plant(world: World) -> None:
        await take_again(world)
        await read(world, PDU_A)
        await send(world, "2-1")
        await send(world, "1-9", Power.ON)

    assert "S21: on for node-2/pdu-a is sent under 1-9, after one of epoch 2" in found(plant)


def test_a_command_before_the_plug_was_read_under_its_epoch_is_found() -> None:
    async def plant(world: World) -> None:
        world.checker.call("told", world.plug(NODE, PDU_A).plug_id)
        await asyncio.sleep(1.0)
        await take_again(world)
        await send(world, "2-1")

    assert "S21: off for node-2/pdu-a is sent under 2-1, before the plug was read" in found(plant)


def test_a_command_below_the_floor_of_its_proxy_is_found() -> None:
    async def plant(world: World) -> None:
        world.wires.on_floor(world.path("engine").name, 2)
        await send(world, "1-9")

    assert "S21: off for node-2/pdu-a starts at engine under 1-9, below floor 2" in found(plant)


# -- S19: words at a standby ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (DisarmSaid(by="person", reason=""), "disarmed"),
        (PauseSaid(match="*", by="person", reason=""), "paused"),
        (MaintenanceSaid(host=NODE, by="person", reason=""), "maintained"),
    ],
)
def test_a_fence_after_a_word_at_a_standby_is_found(what: Restriction, why: str) -> None:
    async def plant(world: World) -> None:
        word_id = world.disk.durable.words.add(Said(what=what), 0.0)
        world.checker.said(next(it for it in world.disk.durable.words.waiting(0.0) if it.id == word_id))
        world.disk.durable.words.rows.clear()  # nobody folds it
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    text = found(plant)
    assert f"begins, {why} at a standby" in text
    assert f"sends its first OFF to {NODE}, {why} at a standby" in text


# -- S22 --------------------------------------------------------------------------------------------------------------


async def lose(world: World, *records: r.FleetRecord) -> None:
    """Write and keep these words, and lose them with the store."""
    world.disk.row = replace(world.disk.row, name="fenced-a")
    world.disk.keep_copy()
    await told(world, *records)
    await asyncio.sleep(20.0)
    world.disk.go_back()
    world.journal._batch = world.disk.row.batch


def test_a_fence_by_itself_after_the_store_went_back_is_found() -> None:
    async def plant(world: World) -> None:
        await lose(world, r.Disarmed(by="person", reason=""))
        await write(world, automatic())

    assert "starts by itself, and no person released the store" in found(plant)


def test_a_command_before_the_journal_says_that_the_store_went_back_is_found() -> None:
    async def plant(world: World) -> None:
        await lose(world, r.Disarmed(by="person", reason=""))
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    assert "S22: a command for node-2/pdu-a before the journal says that the store went back" in found(plant)


def test_words_that_are_gone_with_the_store_are_found() -> None:
    pause = Pause(id="p-1", match="*", by="person", reason="", since=0.0, until=None)

    async def plant(world: World) -> None:
        await lose(world, r.Disarmed(by="person", reason=""), r.PauseSet(pause=pause))
        await told(world, r.StoreReleased(by="person", reason="", expected=""))

    text = found(plant)
    assert "S22: the store went back, and no record says so" in text
    assert "S22: the fleet was disarmed before the store went back, and is armed now" in text
    assert "S22: pauses p-1 are gone with the store" in text


def test_words_that_a_person_took_back_are_no_finding() -> None:
    async def plant(world: World) -> None:
        await lose(world, r.Disarmed(by="person", reason=""))
        await told(world, r.StoreDoubted(why="older", is_older=True), r.Disarmed(by="fenced", reason="lost"))
        await told(world, r.Armed(by="person", reason=""), r.StoreReleased(by="person", reason="", expected=""))

    assert "S22" not in found(plant)


def test_a_command_under_an_epoch_that_its_controller_knows_to_be_lost_is_found() -> None:
    async def plant(world: World) -> None:
        world.daemons["fenced-a"].board.kept.seen.floor = 7
        renew(world)
        world.wires.on_left("fenced-a", Token.parse("1-9"))

    assert "S22: fenced-a sends a command under 1-9, and it knows epoch 7" in found(plant)
