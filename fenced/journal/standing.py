"""What the row of `store` says: which store this is, to which server it belongs, which format its texts have.

A dump that was restored, or a copy made inside the database, has the id of its original, and proxies obey that id. So
two such databases would be two owners of one fleet (S20). The store's home tells them apart: the server's system
identifier and the database's number, which a physical replica shares with its primary, and no dump or copy does. Away
from home nobody takes the lease until `adopting` says whose store this is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select, text, update

from fenced.core.durable.records import Entry, StoreDoubted, StoreReleased
from fenced.journal import codec, following
from fenced.journal.schema import LEASE, RECORDS, STORE
from fenced.journal.seen import Seen, Server
from fenced.ports.journal import NotTaken, StoreTooNew, StoreWentBack

ADVICE: Final = "fenced store adopt says whether it is in the place of the original"
_MAY_KNOW: Final = text("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
_HOME: Final = text(
    "SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "FROM pg_control_system()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`id`, `format`, `home`, `adopted`, `doubt`: as in the schema. `server`: the home that the answering server would
    be; None in SQLite, and where this user may not know it."""

    id: str
    format: int = codec.FORMAT
    home: str | None = None
    server: str | None = None
    adopted: int = 0
    doubt: str = ""

    @property
    def is_away(self) -> bool:
        """Whether this database is a dump, a copy or a clone that no person has adopted."""
        return None not in {self.home, self.server} and self.home != self.server

    @property
    def why_away(self) -> str:
        """Return what is wrong with the server, for people; "" if nothing."""
        if not self.is_away:
            return ""
        return (
            f"this database ({self.server}) is a dump, a copy or a clone of the store, which belongs to {self.home}: "
            f"no controller takes its lease; {ADVICE}"
        )


def read(connection: Connection, *, is_locked: bool = False) -> Standing:
    """`is_locked`: nobody else changes it until the transaction ends. Raises CodecError."""
    columns = STORE.c
    found = select(columns.id, columns.format, columns.home, columns.adopted, columns.doubt)
    row = connection.execute(found.with_for_update() if is_locked else found).one()
    if not isinstance(row.id, str) or not all(isinstance(it, int) for it in (row.format, row.adopted)):
        raise codec.CodecError("the row of the store cannot be read")  # SQLite stores any type in any column
    return Standing(**row._mapping, server=_server(connection))


def checked(connection: Connection, before: Standing) -> Standing:
    """Return what the row says for one who takes the lease. `before`: what it said at this start.

    Raises NotTaken away from home, StoreWentBack after an adoption since the start, StoreTooNew.
    """
    now = read(connection, is_locked=True)
    if now.is_away:
        raise NotTaken(now.why_away)
    if (now.id, now.adopted) != (before.id, before.adopted):
        raise StoreWentBack("a person adopted the store meanwhile; the next start reads what that means")
    checked_format(connection)
    return now


def checked_format(connection: Connection) -> int:
    """Return the store's format. Raises StoreTooNew if since this start it was raised above what this program reads."""
    number = int(connection.execute(select(STORE.c.format)).scalar_one())
    if number > codec.FORMAT:
        raise StoreTooNew(
            f"the store's format is {number} now, and this program reads {codec.FORMAT}; install the newer program"
        )
    return number


def check_home(connection: Connection) -> None:
    """Raises StoreWentBack if the holder of a lease was led to another database that has its row, too."""
    if why := read(connection).why_away:
        raise StoreWentBack(why)


def settle(connection: Connection, now: Standing) -> None:
    """Give a store without a home its server. The caller holds the lease."""
    if now.home is None and now.server is not None:
        connection.execute(update(STORE).values(home=now.server))


def noted(connection: Connection, entries: Sequence[Entry]) -> None:
    """Let go of the doubt of an adoption if these records, which the caller just wrote, hold it or a release.

    Not before the journal of each shard holds it: another controller may open one later, and would see no doubt.
    """
    if not any(isinstance(each.record, StoreDoubted | StoreReleased) for each in entries):
        return
    adopted = connection.execute(select(STORE.c.adopted)).scalar_one()
    shards = connection.execute(select(LEASE.c.shard).where(LEASE.c.sequence > 0)).scalars().all()
    if all(_has_noted(connection, shard=shard, adopted=adopted) for shard in shards):
        connection.execute(update(STORE).values(doubt=""))


def _has_noted(connection: Connection, *, shard: str, adopted: int) -> bool:
    """Return whether the shard's journal holds the doubt of an adoption, or held it and is all of a later time."""
    if following.is_doubted(connection, shard=shard, above=adopted):
        return True
    oldest = select(func.min(RECORDS.c.epoch)).where(RECORDS.c.shard == shard)
    epoch = connection.execute(oldest).scalar_one()
    return epoch is not None and epoch > adopted


def doubt(connection: Connection, now: Standing, *, shard: str, seen: Seen, server: Server) -> str:
    """Return why a person must check the store before it is used: what it lacks although this controller saw it, or
    that it is another's copy; "" if there is no doubt. `seen`, `server`: what this controller knew, and finds now."""
    if now.is_away:
        return now.why_away
    if now.doubt and not _has_noted(connection, shard=shard, adopted=now.adopted):
        return now.doubt
    if seen.store != now.id:
        return ""
    lost = server.difference(seen.server) or following.missing(connection, shard=shard, since=seen.position)
    lost = lost or seen.went_back
    return "" if lost and following.is_doubted(connection, shard=shard, above=seen.floor) else lost


def _server(connection: Connection) -> str | None:
    if connection.dialect.name != "postgresql" or not connection.execute(_MAY_KNOW).scalar_one():
        return None
    return str(connection.execute(_HOME).scalar_one())
