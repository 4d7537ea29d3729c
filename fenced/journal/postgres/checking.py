"""Finds out what a database promises, and says what that means for fencing (S3).

It changes nothing. The latency is that of commits of empty transactions, which go to the disk and to a synchronous
standby like any other.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import Connection, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fenced.journal import migrations, standing, statements
from fenced.journal.postgres.connections import commit, engine, raw, transaction
from fenced.journal.postgres.errors import FAILURES, translated
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.schema import LEASE
from fenced.ports.journal import StoreError, StoreMoved, StoreTooNew

COMMITS: Final = 20
CLOCKS_APART_SECONDS: Final = 2.0
LEASE_SHARE: Final = 10.0
"""A commit that takes longer than this share of the lease makes the lease hard to keep."""
CONNECTIONS: Final = 6
"""Connections of one controller."""
OLDEST_VERSION: Final = 130000
_MAY_LOSE: Final = (
    "a failover may lose the last commits, also of commands that were sent: set synchronous_standby_names, with "
    "synchronous_commit = on"
)
_TO_SEE: Final = "GRANT pg_monitor TO this user"


class Level(Enum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was found, and what it means where that is not obvious."""

    level: Level
    what: str
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database says of itself. `ahead_seconds`: its clock minus this machine's, give or take `apart_seconds`.

    `settings`: by the names of `pg_settings`. `standbys`: (name, sync_state) of each; None if this user may not know.
    `store`, `why_unusable`: what store is there, and why this program can't use it; "" for neither.
    """

    settings: Mapping[str, str]
    version: int
    is_in_recovery: bool
    is_owner: bool
    timeline: int | None
    system: str
    standbys: Sequence[tuple[str, str]] | None
    connections_used: int
    ahead_seconds: float
    apart_seconds: float
    commit_seconds: Sequence[float]
    is_encrypted: bool
    store: str
    is_pooler_seen: bool
    why_unusable: str = ""


async def check(settings: PostgresSettings, *, wall: Callable[[], float] = time.time) -> Sequence[Finding]:
    """Return what was found, in a fixed order. Raises StoreError if the database can't be reached."""
    with translated(str(settings.url)):
        made = engine(settings, size=1, wait_seconds=settings.timeout_seconds)
        try:
            async with made.connect() as connection:
                facts = await _facts(connection, settings, wall)
        finally:
            await made.dispose()
    return tuple(findings(facts, settings))


def findings(facts: Facts, settings: PostgresSettings) -> Iterator[Finding]:
    """Judge the facts."""
    yield from _server(facts, settings)
    yield from _durability(facts)
    yield from _replication(facts)
    yield from _times(facts, settings)
    if facts.store:
        yield Finding(level=Level.OK, what=facts.store)
    if facts.why_unusable:
        yield Finding(level=Level.ERROR, what=facts.why_unusable)


def _server(facts: Facts, settings: PostgresSettings) -> Iterator[Finding]:
    shown = facts.settings.get("server_version", "?")
    if facts.version < OLDEST_VERSION:
        yield Finding(level=Level.ERROR, what=f"PostgreSQL {shown}", meaning="use 13 or newer")
    else:
        where = f"system {facts.system}, timeline {facts.timeline or 'not readable'}"
        yield Finding(level=Level.OK, what=f"PostgreSQL {shown}, {where}")
    if facts.is_in_recovery:
        yield Finding(level=Level.ERROR, what="this server is a standby", meaning="name the primary")
    elif facts.timeline is None:
        yield Finding(
            level=Level.WARNING, what=f"{settings.url.user} may not read the timeline",
            meaning="the daemon can't notice that a standby database was promoted: "
            "GRANT EXECUTE ON FUNCTION pg_current_wal_lsn(), pg_walfile_name(pg_lsn) TO this user",
        )  # fmt: skip
    encoding = facts.settings.get("server_encoding")
    if encoding != "UTF8":
        yield Finding(level=Level.ERROR, what=f"encoding {encoding}", meaning="create a database with ENCODING 'UTF8'")
    if not facts.is_owner:
        yield Finding(
            level=Level.ERROR, what=f"{settings.url.user} may not create tables here",
            meaning=f"ALTER DATABASE {settings.url.database} OWNER TO {settings.url.user}",
        )  # fmt: skip
    if facts.is_pooler_seen and not settings.is_pooled:
        yield Finding(
            level=Level.ERROR, what="a pooler changes the session between transactions",
            meaning="set pooled = true in [store], or name the server itself",
        )  # fmt: skip
    if not facts.is_encrypted and not settings.url.is_local:
        yield Finding(level=Level.WARNING, what="the connection is not encrypted", meaning="set ca_file in [store]")
    most = int(facts.settings.get("max_connections", "0"))
    if most - facts.connections_used < CONNECTIONS:
        yield Finding(
            level=Level.WARNING, what=f"{facts.connections_used} of {most} connections are in use",
            meaning=f"a controller needs {CONNECTIONS}: raise max_connections, or close others",
        )  # fmt: skip


def _durability(facts: Facts) -> Iterator[Finding]:
    """S3: what a commit returned for must survive a crash of the server."""
    for name, meaning in (
        ("fsync", "a power failure of the server loses commands that were sent: never for fencing"),
        ("full_page_writes", "a power failure of the server may damage the store"),
    ):
        if facts.settings.get(name) != "on":
            yield Finding(level=Level.ERROR, what=f"{name} = {facts.settings.get(name)}", meaning=meaning)
    mode = facts.settings.get("synchronous_commit", "")
    if mode == "off":
        yield Finding(
            level=Level.ERROR, what="synchronous_commit = off",
            meaning="a crash of the server loses the last commands that were sent (S3): set it to on for this database",
        )  # fmt: skip
    else:
        yield Finding(level=Level.OK, what=f"commits are on the server's disk (synchronous_commit = {mode})")


def _replication(facts: Facts) -> Iterator[Finding]:
    """What a failover to a standby may lose."""
    names = facts.settings.get("synchronous_standby_names", "")
    mode = facts.settings.get("synchronous_commit", "")
    if mode == "off":
        return  # said already, and worse
    is_asynchronous = not names or mode == "local"
    if facts.standbys is None:
        what = "the standbys can't be seen"
        yield Finding(
            level=Level.WARNING, what=f"{what}; none is synchronous" if is_asynchronous else what,
            meaning=f"{_MAY_LOSE}; to see them: {_TO_SEE}" if is_asynchronous else _TO_SEE,
        )  # fmt: skip
        return
    shown = ", ".join(f"{name} ({state})" for name, state in facts.standbys) or "none"
    if not facts.standbys and not names:
        yield Finding(
            level=Level.WARNING, what="no standby",
            meaning="nothing is lost by a failover, because there is none: the server is a single point of failure",
        )  # fmt: skip
    elif is_asynchronous:
        yield Finding(level=Level.WARNING, what=f"standbys: {shown}; none is synchronous", meaning=_MAY_LOSE)
    elif not any(state in {"sync", "quorum"} for _, state in facts.standbys):
        yield Finding(
            level=Level.ERROR, what=f"standbys: {shown}; no synchronous one is connected",
            meaning="every commit waits for it, and the daemon loses its lease",
        )  # fmt: skip
    else:
        yield Finding(level=Level.OK, what=f"standbys: {shown}; a failover to a synchronous one loses nothing")


def _times(facts: Facts, settings: PostgresSettings) -> Iterator[Finding]:
    ahead = f"the database's clock is {facts.ahead_seconds:+.3f} s from this machine's"
    if abs(facts.ahead_seconds) > CLOCKS_APART_SECONDS + facts.apart_seconds:
        yield Finding(
            level=Level.WARNING, what=ahead,
            meaning="durations stay right, but shown times may be wrong; run a time service on both",
        )  # fmt: skip
    else:
        yield Finding(level=Level.OK, what=ahead)
    if not facts.commit_seconds:
        return
    middle, worst = statistics.median(facts.commit_seconds), max(facts.commit_seconds)
    latency = f"a commit takes {middle * 1000:.1f} ms (worst of {len(facts.commit_seconds)}: {worst * 1000:.1f} ms)"
    if worst > settings.lease_ttl_seconds / LEASE_SHARE:
        yield Finding(
            level=Level.WARNING, what=latency,
            meaning=f"that is much for a lease of {settings.lease_ttl_seconds:g} s: find out why, or raise lease_ttl",
        )  # fmt: skip
    else:
        yield Finding(level=Level.OK, what=latency)


# -- reading ----------------------------------------------------------------------------------------------------------

_SETTINGS: Final = text(
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'server_encoding', "
    "'fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'max_connections')"
)


async def _facts(connection: AsyncConnection, settings: PostgresSettings, wall: Callable[[], float]) -> Facts:
    ahead, apart = await _clock(connection, wall)
    found = {row.name: row.setting for row in (await connection.execute(_SETTINGS)).all()}
    is_in_recovery = bool(await _value(connection, "SELECT pg_is_in_recovery()"))
    store, why_unusable = await connection.run_sync(_store)
    return Facts(
        settings=found,
        version=int(found.get("server_version_num", "0")),
        is_in_recovery=is_in_recovery,
        is_owner=bool(await _value(connection, "SELECT has_schema_privilege(current_schema(), 'CREATE')")),
        timeline=None if is_in_recovery else await _tried(connection, statements.TIMELINE),
        system=str(await _tried(connection, "SELECT system_identifier FROM pg_control_system()") or "hidden"),
        standbys=await _standbys(connection),
        connections_used=int(await _value(connection, "SELECT count(*) FROM pg_stat_activity") or 0),
        ahead_seconds=ahead,
        apart_seconds=apart,
        commit_seconds=[] if is_in_recovery else await _commits(connection, settings),
        is_encrypted=bool(await _value(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")),
        store=store,
        why_unusable=why_unusable,
        is_pooler_seen=await _is_pooled(connection),
    )  # fmt: skip


async def _value(connection: AsyncConnection, statement: str) -> Any:
    return (await connection.execute(text(statement))).scalar()


async def _tried(connection: AsyncConnection, statement: str) -> Any:
    """Return None if this user may not know."""
    try:
        return await _value(connection, statement)
    except FAILURES:  # insufficient rights; whatever else it is, the next statement shows
        return None


async def _standbys(connection: AsyncConnection) -> Sequence[tuple[str, str]] | None:
    rows = (await connection.execute(text("SELECT application_name, sync_state FROM pg_stat_replication"))).all()
    if any(row.sync_state is None for row in rows):
        return None
    return [(row.application_name, row.sync_state) for row in rows]


async def _clock(connection: AsyncConnection, wall: Callable[[], float]) -> tuple[float, float]:
    """Return the difference of the clocks, and how exact it is: half the time that the question took."""
    await _value(connection, "SELECT 1")  # the first statement prepares much
    before = wall()
    there = float(await _value(connection, "SELECT extract(epoch FROM clock_timestamp())"))
    after = wall()
    return there - (before + after) / 2, (after - before) / 2


async def _commits(connection: AsyncConnection, settings: PostgresSettings) -> list[float]:
    taken = []
    for _ in range(COMMITS):
        async with transaction(connection, settings):
            await raw(connection, "SELECT pg_current_xact_id()")
            begun = time.perf_counter()
        await commit(connection)
        taken.append(time.perf_counter() - begun)
    return taken


async def _is_pooled(connection: AsyncConnection) -> bool:
    """Return whether two transactions met different server processes, or a pooler's own settings."""
    return len({await _value(connection, "SELECT pg_backend_pid()") for _ in range(3)}) > 1


def _store(connection: Connection) -> tuple[str, str]:
    """Return what store is there, and why this program can't use it; "" for neither."""
    tables = set(migrations.tables(connection))
    if not tables:
        return "the database is empty: the first start makes a store", ""
    if not {"schema", "store", "lease"} <= tables:
        return "", "the database holds tables of another program: name an empty one"
    number = connection.execute(text("SELECT max(number) FROM schema")).scalar_one()
    row = connection.execute(text("SELECT * FROM store")).mappings().one()
    held = connection.execute(select(LEASE.c.name).where(LEASE.c.until > 0.0)).scalars().all()
    shown = f"schema {number}, format {row.get('format', 1)}"
    return f"store {row['id']}, {shown}, held by {', '.join(held) or 'nobody'}", _why_unusable(connection)


def _why_unusable(connection: Connection) -> str:
    """Return why no controller of this version can use a store; "" if one can, or migrates it first."""
    try:
        migrations.number_of(connection, place="the store")
    except (StoreTooNew, StoreMoved) as exc:
        return str(exc)
    except StoreError:  # its schema is older
        return ""
    return standing.read(connection).why_away
