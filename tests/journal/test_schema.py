"""Migrations: one transaction, the tables that the code expects, the query plans that make a start fast."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, inspect, text

from fenced.journal import codec, migrations, schema, statements
from fenced.journal.sqlite.store import SqliteJournal
from fenced.ports.journal import StoreTooNew
from tests.journal.stored import stored

STORED = Path(__file__).parent / "stores" / "stored.txt"
NEXT = max(migrations.MIGRATIONS) + 1


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An empty database in memory, with DDL inside transactions."""
    engine = create_engine("sqlite://", connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with engine.connect() as connected:
        yield connected
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_expects(connection: Connection) -> None:
    with connection.begin():
        newest = migrations.migrate(connection, place="x", now=1.0)
    assert newest == max(migrations.MIGRATIONS)
    assert sorted(migrations.MIGRATIONS) == list(range(1, newest + 1))
    made = inspect(connection)
    assert set(made.get_table_names()) == {*schema.METADATA.tables}
    for name, table in schema.METADATA.tables.items():
        columns = made.get_columns(name)
        assert [column["name"] for column in columns] == [column.name for column in table.columns]
        nullable = {column["name"]: column["nullable"] for column in columns}
        for column in table.columns:
            assert column.primary_key or nullable[column.name] == column.nullable, column


def test_a_program_that_knows_no_drills_refuses_the_store(connection: Connection) -> None:
    """It would decode no host, and put each of them aside."""
    older = {number: migration for number, migration in migrations.MIGRATIONS.items() if number <= 3}
    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        with pytest.raises(StoreTooNew, match="newer than this program's 3"):
            migrations.migrate(connection, place="x", now=2.0, migrations=older)


def test_a_new_name_in_the_stored_texts_has_a_new_format() -> None:
    """An older program reads none of it: it would hold every host, so it must refuse the store."""
    number, *names = STORED.read_text(encoding="utf-8").splitlines()
    assert names == stored(), f"raise FORMAT in codec.py, name them in SINCE there, and write both into {STORED.name}"
    assert number == f"format {codec.FORMAT}"


def test_an_older_program_opens_a_schema_that_only_added_something(connection: Connection) -> None:
    def to_next(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE records ADD COLUMN colour TEXT")

    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        newer = {**migrations.MIGRATIONS, NEXT: to_next}
        migrations.migrate(connection, place="x", now=2.0, migrations=newer, additive=frozenset({NEXT}))
        assert migrations.migrate(connection, place="x", now=3.0) == NEXT


def test_an_older_program_refuses_a_schema_that_changed_something(connection: Connection) -> None:
    def to_next(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE records RENAME COLUMN body TO content")

    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        newer = {**migrations.MIGRATIONS, NEXT: to_next}
        migrations.migrate(connection, place="x", now=2.0, migrations=newer)
        with pytest.raises(StoreTooNew, match=f"schema {NEXT} is newer than this program's {NEXT - 1}; install"):
            migrations.migrate(connection, place="x", now=3.0)
        newer[NEXT + 1] = lambda _: None
        migrations.migrate(connection, place="x", now=2.0, migrations=newer, additive=frozenset({NEXT + 1}))
        with pytest.raises(StoreTooNew, match=f"schema {NEXT + 1} is newer than this program's {NEXT - 1}; install"):
            migrations.migrate(connection, place="x", now=3.0)
        assert migrations.migrate(connection, place="x", now=3.0, migrations={**migrations.MIGRATIONS, NEXT: to_next})


def test_a_second_run_changes_nothing(connection: Connection) -> None:
    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        before = connection.execute(text("SELECT * FROM store, lease, schema")).all()
        migrations.migrate(connection, place="x", now=2.0)
        assert connection.execute(text("SELECT * FROM store, lease, schema")).all() == before


def test_an_older_store_is_migrated_number_by_number(connection: Connection) -> None:
    def to_next(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE records ADD COLUMN colour TEXT")

    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
    with connection.begin():
        assert (
            migrations.migrate(connection, place="x", now=2.0, migrations={**migrations.MIGRATIONS, NEXT: to_next})
            == NEXT
        )
        assert connection.execute(text("SELECT number, applied FROM schema")).all()[-2:] == [
            (NEXT - 1, 1.0),
            (NEXT, 2.0),
        ]
        assert connection.execute(text("SELECT created FROM store")).scalar_one() == 1.0


def test_a_failed_migration_keeps_the_old_number(connection: Connection) -> None:
    def to_next(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE records ADD COLUMN colour TEXT")
        raise ZeroDivisionError

    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
    with pytest.raises(ZeroDivisionError), connection.begin():
        migrations.migrate(connection, place="x", now=2.0, migrations={**migrations.MIGRATIONS, NEXT: to_next})
    assert "colour" not in {column["name"] for column in inspect(connection).get_columns("records")}
    assert connection.execute(text("SELECT max(number) FROM schema")).scalar_one() == NEXT - 1


async def test_a_failed_migration_leaves_an_empty_file_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the store: the next start creates it."""
    journal = SqliteJournal(url="sqlite:///x.db", state_dir=tmp_path)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr("fenced.journal.migrations.uuid.uuid4", lambda: 1 // 0)
        await journal.open(holder="a", now=1.0)
    journal = SqliteJournal(url="sqlite:///x.db", state_dir=tmp_path)
    assert (await journal.open(holder="a", now=1.0)).sequence == 0
    await journal.close()


def test_a_start_scans_no_table_of_records(connection: Connection) -> None:
    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        explained = connection.execute(text(f"EXPLAIN QUERY PLAN {statements.TAIL['sqlite']}"), {"shard": "main"})
        plan = [row[3] for row in explained]
    assert any("USING INDEX records_of_host (host=? AND sequence>?)" in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN records")], plan


def test_finding_pending_hosts_does_not_scan_one_hosts_backlog(connection: Connection) -> None:
    with connection.begin():
        migrations.migrate(connection, place="x", now=1.0)
        explained = connection.execute(
            text(f"EXPLAIN QUERY PLAN {statements.PENDING['sqlite']}"),
            {"limit": 9, "each": 9, "skipping": "[]", "shard": "main"},
        )
        plan = [row[3] for row in explained]
    assert any("USING INDEX outbox_lanes (<expr>>?)" in step for step in plan), plan
    assert not [step for step in plan if step.startswith(("SCAN outbox", "SCAN one"))], plan
