"""What can't be read of a store at a start: the fault of one host, or of the fleet; and a store that is not the one of before."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry, HostHeard, StoreReleased
from fenced.core.durable.state import HostState
from fenced.model.names import BootId, HostName
from fenced.ports.journal import Batch, Loaded, OutboxMessage, StoreError
from tests.journal.rigs import SqlRig

NODES = (HostName("node-1"), HostName("node-2"))


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[SqlRig]:
    """Of each node a snapshot with a boot, and a record behind it with another; a snapshot of the fleet."""
    rig = SqlRig(tmp_path)
    await rig.open()
    snapshots = [HostState(name=name, boot=BootId("b1")) for name in NODES]
    await rig.journal.append(Batch(entries=[heard(name, 1) for name in NODES], snapshots=snapshots, fleet=FleetState()))
    await rig.journal.append(Batch(entries=[heard(name, number) for number in (2, 3) for name in NODES]))
    await rig.journal.close()
    yield rig
    await rig.close()


def heard(name: HostName, number: int) -> Entry:
    return Entry(
        at=float(number), host=name, record=HostHeard(boot=BootId(f"b{number}"), before="unknown", why="first")
    )


async def damaged(rig: SqlRig, statement: str) -> Loaded:
    with database(rig.path) as connection:
        connection.execute(statement)
    return await rig.reopen()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ('UPDATE records SET body = \'{"kind":"moon_risen"}\' WHERE sequence = 3', "record 3 cannot be read"),
        ("UPDATE records SET body = x'ff' WHERE sequence = 3", "record 3 cannot be read"),
        ("UPDATE records SET at = 'soon' WHERE sequence = 3", "record 3 cannot be read"),
        ("UPDATE snapshots SET body = '{}' WHERE host = 'node-1'", "the snapshot of node-1 cannot be read: name"),
        ("UPDATE snapshots SET body = x'ff' WHERE host = 'node-1'", "the snapshot of node-1 cannot be read"),
        ("UPDATE snapshots SET sequence = 99 WHERE host = 'node-1'", "it has the number of no record"),
        ("UPDATE snapshots SET sequence = 'x' WHERE host = 'node-1'", "it has the number of no record"),
    ],
)
async def test_what_cannot_be_read_of_one_host_is_its_fault_alone(rig: SqlRig, statement: str, what: str) -> None:
    loaded = await damaged(rig, statement)
    assert what in loaded.faults[NODES[0]]
    assert loaded.faults.keys() == {NODES[0]}
    assert loaded.fleet_fault == ""
    assert NODES[1] in loaded.hosts
    assert [entry.at for entry in loaded.tail if entry.host == NODES[1]] == [2.0, 3.0]
    assert not [entry for entry in loaded.tail if entry.host == NODES[0]], "nothing behind it is read"


async def test_what_is_before_the_fault_is_read(rig: SqlRig) -> None:
    loaded = await damaged(rig, "UPDATE records SET body = 'x' WHERE sequence = 5")
    assert [entry.at for entry in loaded.tail if entry.host == NODES[0]] == [2.0]
    assert NODES[0] in loaded.faults


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE fleet SET body = 'x'",
        "UPDATE fleet SET sequence = 1000",
        "UPDATE records SET host = NULL, body = 'x' WHERE sequence = 3",
        "UPDATE records SET host = x'00ff' WHERE sequence = 3",
    ],
)
async def test_what_cannot_be_read_of_the_fleet_is_told(rig: SqlRig, statement: str) -> None:
    loaded = await damaged(rig, statement)
    assert loaded.fleet_fault
    assert loaded.faults == {}


async def test_people_see_what_can_be_read(rig: SqlRig) -> None:
    await damaged(rig, "UPDATE records SET body = 'x' WHERE sequence = 3")
    assert [number for number, _ in await rig.journal.entries(host=NODES[0], limit=10)] == [5, 1]


async def test_a_snapshot_covers_what_could_not_be_read(rig: SqlRig) -> None:
    await damaged(rig, "UPDATE records SET body = 'x' WHERE sequence IN (3, 5)")
    await rig.journal.append(Batch(entries=[heard(NODES[0], 7)], snapshots=[HostState(name=NODES[0])]))
    assert (await rig.reopen()).faults == {}


async def test_the_time_of_a_newest_record_that_has_none_is_that_of_the_one_before(rig: SqlRig) -> None:
    assert (await damaged(rig, "UPDATE records SET at = 'never' WHERE sequence = 6")).last_at == 3.0


# -- the store of before --------------------------------------------------------------------------------------------------


async def test_a_first_start_and_the_next_ones_expect_no_other_store(rig: SqlRig) -> None:
    assert (await rig.reopen()).expected_store == ""
    assert (await rig.reopen()).expected_store == ""


async def test_a_store_of_before_this_file_was_kept_is_taken_as_it_is(rig: SqlRig) -> None:
    (rig.directory / "fenced.store").unlink()
    assert (await rig.reopen()).expected_store == ""
    assert (rig.directory / "fenced.store").exists()


async def test_a_store_that_vanished_is_missed_until_another_is_accepted(rig: SqlRig) -> None:
    before = (await rig.reopen()).store_id
    vanish(rig)
    made = await rig.reopen()
    assert (made.expected_store, made.store_id == before) == (before, False)
    assert (await rig.reopen()).expected_store == before, "each start, until a person said so"
    await rig.journal.accept_store()
    assert (await rig.reopen()).expected_store == ""
    # ... and the old one, put back, is another one now
    assert (rig.directory / "fenced.store").read_text().strip() == made.store_id


async def test_a_release_that_was_journalled_counts_though_the_file_was_not_written(rig: SqlRig) -> None:
    before = (await rig.reopen()).store_id
    vanish(rig)
    await rig.reopen()
    released = Entry(at=9.0, host=None, record=StoreReleased(by="person", reason="told", expected=before))
    await rig.journal.append(Batch(entries=[released], fleet=replace(FleetState(), released_store=before)))
    assert (await rig.reopen()).expected_store == ""
    assert (await rig.reopen()).expected_store == ""


@pytest.mark.parametrize("text", ["", "\n", "another"])
async def test_a_file_that_names_no_store_of_ours_is_not_this_one(rig: SqlRig, text: str) -> None:
    (rig.directory / "fenced.store").write_text(text)
    assert (await rig.reopen()).expected_store


async def test_what_a_damaged_file_names_is_fit_to_be_shown(rig: SqlRig) -> None:
    """It becomes the reason of the gate `store`."""
    (rig.directory / "fenced.store").write_bytes(b"\x1b[2Jall is well\r\n\x00\x07\x9b1m\xff\xe2\x80\xae")
    expected = (await rig.reopen()).expected_store
    assert expected and expected.isprintable()


async def test_a_file_that_cannot_be_read_is_named(rig: SqlRig) -> None:
    (rig.directory / "fenced.store").unlink()
    (rig.directory / "fenced.store").mkdir()
    with pytest.raises(StoreError, match=r"fenced\.store"):
        await rig.reopen()


def vanish(rig: SqlRig) -> None:
    for file in rig.directory.glob("fenced.db*"):
        file.unlink()


@pytest.mark.parametrize("damage", ["payload = 'text'", "topic = x'ff'", "host = x'ff'", "id = x'00'"])
async def test_a_message_that_cannot_be_read_holds_up_nobody(damage: str, rig: SqlRig) -> None:
    await rig.reopen()
    messages = [
        OutboxMessage(id=f"m{number}", host=NODES[number % 2], topic="t", payload=b"{}", is_retained=False)
        for number in range(4)
    ]
    await rig.journal.append(Batch(entries=[heard(NODES[0], 9)], outbox=messages))
    await damaged(rig, f"UPDATE outbox SET {damage} WHERE id = 'm0'")
    with capture_logs() as logs:
        for _ in range(2):
            found = await rig.journal.outbox(limit=100, each=10)
            assert [message.id for message in found] == ["m1", "m2", "m3"]
            assert [message.id for message in await rig.journal.events(after=0, limit=10)] == ["m1", "m2", "m3"]
    assert [line["event"] for line in logs] == ["outbox_message_unreadable"]
    await rig.journal.delivered(found)
    assert await rig.journal.outbox_pending() == 1
