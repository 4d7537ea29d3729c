"""`fenced store check`: each promise of a database that is missing is said with what it means for fencing."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fenced.journal.postgres.checking import Facts, Finding, Level, check, findings
from fenced.journal.postgres.settings import PostgresSettings
from fenced.model.store_urls import PostgresUrl
from tests.journal.rigs import PostgresRig
from tests.needs import needs
from tests.postgres import Server, server

SETTINGS = PostgresSettings(url=PostgresUrl.parse("postgresql://u@db.example.org/f"), lease_ttl_seconds=15.0)
GOOD = Facts(
    settings={
        "server_version": "15.8", "server_encoding": "UTF8", "fsync": "on", "full_page_writes": "on",
        "synchronous_commit": "on", "synchronous_standby_names": "*", "max_connections": "100",
    },
    version=150008, is_in_recovery=False, is_owner=True, timeline=3, system="7", standbys=[("b", "sync")],
    connections_used=5, ahead_seconds=0.01, apart_seconds=0.001, commit_seconds=[0.002, 0.003], is_encrypted=True,
    store="the database is empty", is_pooler_seen=False,
)  # fmt: skip


def found(facts: Facts, settings: PostgresSettings = SETTINGS) -> list[Finding]:
    return [finding for finding in findings(facts, settings) if finding.level is not Level.OK]


def with_setting(name: str, value: str) -> Facts:
    return replace(GOOD, settings={**GOOD.settings, name: value})


def test_a_database_that_promises_everything_has_no_finding() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("facts", "level", "word"),
    [
        (with_setting("fsync", "off"), Level.ERROR, "power failure"),
        (with_setting("full_page_writes", "off"), Level.ERROR, "damage"),
        (with_setting("synchronous_commit", "off"), Level.ERROR, "S3"),
        (with_setting("synchronous_commit", "local"), Level.WARNING, "failover may lose"),
        (with_setting("synchronous_standby_names", ""), Level.WARNING, "failover may lose"),
        (with_setting("server_encoding", "SQL_ASCII"), Level.ERROR, "UTF8"),
        (with_setting("max_connections", "8"), Level.WARNING, "needs 6"),
        (replace(GOOD, standbys=[("b", "async")]), Level.ERROR, "waits"),
        (replace(GOOD, standbys=None), Level.WARNING, "pg_monitor"),
        (replace(with_setting("synchronous_standby_names", ""), standbys=None), Level.WARNING, "failover may lose"),
        (replace(with_setting("synchronous_commit", "local"), standbys=None), Level.WARNING, "failover may lose"),
        (replace(GOOD, version=120001), Level.ERROR, "13 or newer"),
        (replace(GOOD, is_in_recovery=True), Level.ERROR, "primary"),
        (replace(GOOD, timeline=None), Level.WARNING, "GRANT EXECUTE"),
        (replace(GOOD, is_owner=False), Level.ERROR, "OWNER TO"),
        (replace(GOOD, is_encrypted=False), Level.WARNING, "ca_file"),
        (replace(GOOD, is_pooler_seen=True), Level.ERROR, "pooled = true"),
        (replace(GOOD, ahead_seconds=-3600.0), Level.WARNING, "time service"),
        (replace(GOOD, commit_seconds=[0.002, 1.6]), Level.WARNING, "lease"),
    ],
)
def test_what_is_missing_is_said_with_its_meaning(facts: Facts, level: Level, word: str) -> None:
    (finding,) = found(facts)
    assert finding.level is level
    assert word in finding.meaning


def test_a_single_server_is_a_warning() -> None:
    alone = replace(with_setting("synchronous_standby_names", ""), standbys=[])
    (finding,) = found(alone)
    assert (finding.level, "single point" in finding.meaning) == (Level.WARNING, True)


@needs("postgres")
@pytest.mark.integration
async def test_a_real_server_that_syncs_nothing_is_found_out(database: PostgresRig) -> None:
    settings = replace(SETTINGS, url=PostgresUrl.parse(database.server.url(database.database)))
    said = {finding.what: finding for finding in await check(settings)}
    assert said["fsync = off"].level is said["synchronous_commit = off"].level is Level.ERROR
    assert any(what.startswith("PostgreSQL 1") and "timeline 1" in what for what in said)
    assert any(what.startswith("a commit takes") for what in said)
    assert "the database is empty: the first start makes a store" in said
    loaded = await database.open()
    said = {finding.what: finding for finding in await check(settings)}
    assert any(loaded.store_id in what and "held by fenced-a" in what for what in said)


@needs("postgres")
@pytest.mark.integration
async def test_a_server_as_debian_sets_it_up_is_only_alone() -> None:
    with server(()) as own:
        assert [finding.what for finding in await faults(own) if finding.level is not Level.OK] == ["no standby"]


async def faults(own: Server) -> list[Finding]:
    settings = replace(SETTINGS, url=PostgresUrl.parse(own.url("postgres")))
    return list(await check(settings))


FOREIGN = ("CREATE TABLE customers (id integer)",)
TOO_NEW = ("INSERT INTO schema VALUES (99, 1.0)", "UPDATE store SET minimum = 98, program = '9.8.0'")
OF_LATER_FORMAT = ("UPDATE store SET format = 99",)
MOVED = ("UPDATE store SET moved = 'sqlite:///fenced.db'",)


@needs("postgres")
@pytest.mark.integration
@pytest.mark.parametrize(
    ("is_store", "changes", "word"),
    [
        (False, FOREIGN, "another program"),
        (True, TOO_NEW, "install fenced 9.8.0"),
        (True, OF_LATER_FORMAT, "format 99 is newer"),
        (True, MOVED, "was moved to sqlite:///fenced.db"),
    ],
)
async def test_a_database_that_no_start_accepts_is_an_error(
    database: PostgresRig, is_store: bool, changes: Sequence[str], word: str
) -> None:
    if is_store:
        await database.open()
    for change in changes:
        await database.execute(change)
    settings = replace(SETTINGS, url=PostgresUrl.parse(database.server.url(database.database)))
    said = [finding for finding in await check(settings) if word in finding.what]
    assert [finding.level for finding in said] == [Level.ERROR]
