"""Copies a whole store into an empty database, checks the copy, and marks the source as moved.

One transaction of the source lasts from the first row read to the mark, and one of the copy from its first table to its
last row. So a copy that fails or is interrupted leaves the source in force and the target empty. If only the mark is
missing, the same command finds an equal copy, and sets it.

The store keeps its id and its epochs, so proxies go on to refuse older commands. Rows are copied as they are. The copy
is right if each table has the same digest, and if a start would read the same from both.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fenced.journal import migrations, reading, standing
from fenced.journal.schema import (
    BUDGET,
    DRAWS,
    FLEET,
    LEASE,
    OPERATIONS,
    OUTBOX,
    RECORDS,
    SCHEMA,
    SNAPSHOTS,
    STORE,
    WORDS,
)
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import Loaded, StoreError

# The reports of controllers stay behind: they are about the daemons that run on the source.
TABLES: Final = (SCHEMA, STORE, LEASE, RECORDS, SNAPSHOTS, FLEET, OPERATIONS, OUTBOX, BUDGET, DRAWS, WORDS)
NUMBERED: Final = {OPERATIONS: "number", OUTBOX: "sequence", WORDS: "number"}
"""Tables whose numbers the database gives, and gives only once."""
ROWS: Final = 1000
_LEASE_OF_NOBODY: Final = {
    "place": "", "until": 0.0, "released_by": "", "released_to": "", "released_at": None, "timeline": None,
}  # fmt: skip
_NOT_COPIED: Final[Mapping[str, Mapping[str, Any]]] = {LEASE.name: _LEASE_OF_NOBODY, STORE.name: {"home": None}}
"""The copy's values: nobody holds it, and its first holder finds out its home."""

Progress = Callable[[str, int, int], None]
"""Gets a table's name, the rows done, and all its rows."""


class Endpoint(Protocol):
    """A database that may hold a store. `place`: its name in messages and in the source's mark."""

    place: str

    def opened(self, *, is_written: bool) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        """Lock the store, and connect in one transaction that the end of the block commits. Raises StoreError."""
        ...

    def holder(self, connection: Connection) -> str:
        """Return who uses the store now, "" if nobody does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied: rows by table. `was_there`: an equal copy was found, and only the mark was missing."""

    store_id: str
    rows: Mapping[str, int]
    was_there: bool


async def copy(source: Endpoint, target: Endpoint, *, now: float, progress: Progress) -> Copied:
    """Copy the store. Raises StoreError if one of them is in use, the target is not empty, or the copy differs."""
    if source.place == target.place:
        raise StoreError(f"{source.place}: source and target are the same")
    if {source.place.partition(":")[0], target.place.partition(":")[0]} == {"sqlite"}:
        raise StoreError("both are SQLite files: stop the daemon, and copy the file")
    async with source.opened(is_written=True) as old:
        await old.run_sync(lambda it: _check_source(it, source, now))
        store_id = await old.run_sync(lambda it: str(it.execute(select(STORE.c.id)).scalar_one()))
        shards = await old.run_sync(
            lambda it: tuple(it.execute(select(LEASE.c.shard).order_by(LEASE.c.shard)).scalars())
        )
        async with target.opened(is_written=True) as new:
            was_there = await new.run_sync(lambda it: _is_same_store(it, target, store_id))
            if not was_there:
                await new.run_sync(lambda it: _prepare(it, target, now, shards))
                for table in TABLES:
                    await _copy_table(table, old, new, progress)
                await _copy_numbers(old, new)
        async with target.opened(is_written=False) as new:
            rows = {table.name: await _compare(table, old, new, target) for table in TABLES}
            for shard in shards:
                await _compare_start(shard, old, new, target)
        await old.execute(update(STORE).values(moved=target.place))
    return Copied(store_id=store_id, rows=rows, was_there=was_there)


def _check_source(connection: Connection, source: Endpoint, now: float) -> None:
    tables = set(migrations.tables(connection))
    if "store" not in tables:
        raise StoreError(f"{source.place}: there is no store to copy")
    if migrations.migrate(connection, place=source.place, now=now) > max(migrations.MIGRATIONS):
        raise StoreError(f"{source.place}: a newer program made this store; copy it with that one, or nothing is whole")
    if why := standing.read(connection).why_away:
        raise StoreError(f"{source.place}: {why}")
    if who := source.holder(connection):
        raise StoreError(f"{source.place}: {who} uses this store; stop it first")


def _is_same_store(connection: Connection, target: Endpoint, store_id: str) -> bool:
    """Return whether the target holds a copy already. Raises StoreError if it holds anything else."""
    tables = set(migrations.tables(connection))
    if not tables:
        return False
    row = connection.execute(select(STORE.c.id, STORE.c.moved)).first() if "store" in tables else None
    found = row.id if row is not None else None
    if row is not None and found == store_id:
        if row.moved:
            raise StoreError(
                f"{target.place}: holds this store as it was before it moved to {row.moved}; move that away, or name "
                "an empty database"
            )
        if who := target.holder(connection):
            raise StoreError(f"{target.place}: {who} uses the copy already; mark nothing, and look at both")
        return True
    what = f"another store ({found})" if found else "tables of another program"
    raise StoreError(f"{target.place}: holds {what}; name an empty database")


def _prepare(connection: Connection, target: Endpoint, now: float, shards: Sequence[str]) -> None:
    if connection.dialect.name == "sqlite" and tuple(shards) not in {(), (MAIN_SHARD,)}:
        raise StoreError(f"{target.place}: an SQLite file holds one shard, and the store has {', '.join(shards)}")
    migrations.migrate(connection, place=target.place, now=now)
    for table in TABLES:
        connection.execute(delete(table))


async def _copy_table(table: Table, old: AsyncConnection, new: AsyncConnection, progress: Progress) -> None:
    total = int((await old.execute(select(func.count()).select_from(table))).scalar_one())
    done = 0
    async for rows in _rows(table, old):
        await new.execute(insert(table), [_copied(table, row) for row in rows])
        done += len(rows)
        progress(table.name, done, total)


async def _rows(table: Table, connection: AsyncConnection) -> AsyncIterator[Sequence[RowMapping]]:
    """Yield all rows in the order of the key, some at a time."""
    keys = sorted(table.primary_key.columns, key=lambda column: column.name)
    after: tuple[Any, ...] | None = None
    while True:
        found = select(table).order_by(*keys).limit(ROWS)
        if after is not None:
            found = found.where(_beyond(keys, after))
        rows = (await connection.execute(found)).mappings().all()
        if rows:
            yield rows
        if len(rows) < ROWS:
            return
        after = tuple(rows[-1][key.name] for key in keys)


def _beyond(keys: Sequence[Any], after: tuple[Any, ...]) -> Any:
    """Compare key by key, in the words of both databases."""
    head, *rest = keys
    beyond = head > after[0]
    return beyond if not rest else beyond | ((head == after[0]) & _beyond(rest, after[1:]))


def _copied(table: Table, row: RowMapping) -> dict[str, Any]:
    return {**row, **_NOT_COPIED.get(table.name, {})}


async def _compare(table: Table, old: AsyncConnection, new: AsyncConnection, target: Endpoint) -> int:
    """Return the number of rows. Raises StoreError if the tables differ."""
    digests, counts = [], []
    for connection in (old, new):
        digest, count = hashlib.sha256(), 0
        async for rows in _rows(table, connection):
            for row in rows:
                digest.update(repr(tuple(_copied(table, row).values())).encode("utf-8", "surrogatepass"))
            count += len(rows)
        digests.append(digest.digest())
        counts.append(count)
    if digests[0] != digests[1] or counts[0] != counts[1]:
        raise StoreError(
            f"{target.place}: the table {table.name} differs from the source's; empty the database, and try again"
        )
    return counts[0]


async def _compare_start(shard: str, old: AsyncConnection, new: AsyncConnection, target: Endpoint) -> None:
    """Read from both what a start would. Raises StoreError if it differs."""

    def load(connection: Connection) -> Loaded:
        return reading.load(connection, shard=shard)

    if await old.run_sync(load) != await new.run_sync(load):
        raise StoreError(
            f"{target.place}: a start would read other states of shard {shard}; empty the database, and try again"
        )


async def _copy_numbers(old: AsyncConnection, new: AsyncConnection) -> None:
    """Let the target go on counting where the source is, so that no number is given twice."""
    for table, column in NUMBERED.items():
        newest = await old.run_sync(_newest_number, table, column)
        await new.run_sync(_set_number, table, column, newest)


def _newest_number(connection: Connection, table: Table, column: str) -> int:
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :of"), {"of": table.name})
        return int(found.scalar() or 0)
    sequence = f"{table.name}_{column}_seq"
    found = connection.exec_driver_sql(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608
    return int(found.scalar_one())


def _set_number(connection: Connection, table: Table, column: str, number: int) -> None:
    if number == 0:
        return
    if connection.dialect.name == "sqlite":
        row = {"of": table.name, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :of"), row)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:of, :number)"), row)
    else:
        row = {"of": f"{table.name}_{column}_seq", "number": number}
        connection.execute(text("SELECT setval(CAST(:of AS regclass), CAST(:number AS bigint))"), row)
