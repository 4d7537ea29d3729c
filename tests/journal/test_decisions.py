"""Decision records: the newest of a host before a moment, in every kind of store, pruned with the other records."""

import pytest
from sqlalchemy import Connection, create_engine, text

from fenced.core.durable.decision import Fact, OpenGate, Ruling, ShutGate
from fenced.core.durable.records import BusBack, Decided, Entry
from fenced.journal import deciding, migrations
from fenced.model.names import HostName
from fenced.ports.decisions import DecisionPage
from fenced.ports.journal import Batch
from tests.journal.rigs import Rig
from tests.journal.strategies import entry, host_state

NODE, OTHER = HostName("node-1"), HostName("node-2")


def decision(number: int) -> Decided:
    return Decided(
        id=f"d-1-{number}", outcome=Ruling.HOLD, inputs=(Fact(what="silence", value="21 s", age=None),), confirm=(),
        shut=(ShutGate(gate="armed", why="disarmed", opens_when="armed again"),),
        opened=(OpenGate(gate="lease", why="held", margin="12 s left"),), policy="abc",
    )  # fmt: skip


def decided(number: int, *, at: float, host: HostName = NODE) -> Entry:
    return Entry(at=at, host=host, record=decision(number))


def ids(page: DecisionPage) -> list[str]:
    return [item.record.id for item in page.items]


async def test_they_are_read_newest_first_before_a_moment(rig: Rig) -> None:
    await rig.open()
    mixed = [decided(1, at=10.0), entry(number=1), decided(2, at=20.0), decided(3, at=25.0, host=OTHER)]
    await rig.journal.append(Batch(entries=[*mixed, decided(4, at=30.0)]))
    read = rig.journal.decisions
    assert ids(await read(NODE, before=None, limit=10, after=None)) == ["d-1-4", "d-1-2", "d-1-1"]
    assert ids(await read(NODE, before=30.0, limit=10, after=None)) == ["d-1-2", "d-1-1"]
    assert ids(await read(NODE, before=25.0, limit=1, after=None)) == ["d-1-2"]
    assert ids(await read(NODE, before=10.0, limit=10, after=None)) == []
    assert ids(await read(OTHER, before=None, limit=10, after=None)) == ["d-1-3"]


async def test_one_comes_back_as_it_was_written(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[decided(1, at=10.0)]))
    await rig.crash()
    (item,) = (await rig.journal.decisions(NODE, before=None, limit=1, after=None)).items
    assert (item.at, item.host, item.record) == (10.0, NODE, decision(1))


async def test_pages_go_on_where_the_last_one_ended_also_in_one_moment(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[decided(number, at=10.0 + number // 3) for number in range(7)]))
    found: list[str] = []
    after: str | None = None
    while True:
        page = await rig.journal.decisions(NODE, before=None, limit=2, after=after)
        found += ids(page)
        after = page.next
        if after is None:
            break
    assert found == [f"d-1-{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("after", ["", "x", "1_", "_1", "nan_1", "1.5_x", "1_2_3", "1_" + 30 * "9"])
async def test_an_invalid_cursor_is_refused(rig: Rig, after: str) -> None:
    await rig.open()
    with pytest.raises(ValueError, match="is not a cursor of this list"):
        await rig.journal.decisions(NODE, before=None, limit=1, after=after)


async def test_they_are_pruned_with_other_records_and_not_before(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[decided(1, at=10.0), decided(2, at=20.0)], snapshots=[host_state(NODE)]))
    await rig.journal.append(Batch(entries=[Entry(at=99.0, host=None, record=BusBack())]))
    await rig.journal.prune(before=15.0, events_before=15.0, limit=100)
    assert ids(await rig.journal.decisions(NODE, before=None, limit=10, after=None)) == ["d-1-2"]


def test_reading_them_scans_no_other_record() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        for before, after in ((None, None), (5.0, None), (5.0, (3.0, 4))):
            plan = _plan(connection, before, after)
            index = "USING INDEX decisions_of_host (host=? AND decided>? AND decided<?)"
            assert any(index in step for step in plan), plan
            assert not [step for step in plan if step.startswith(("SCAN", "USE TEMP"))], plan
    engine.dispose()


def _plan(connection: Connection, before: float | None, after: tuple[float, int] | None) -> list[str]:
    statement = deciding.statement(shard="main", host=NODE, before=before, limit=2, after=after)
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
