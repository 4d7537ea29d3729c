"""The shard's row of `lease`: take it, keep it, give it up, and advance it with each write.

Each write first changes this row, under the condition that it is as this controller left it: its epoch, its holder, and
its count of writes. The row stays locked until the commit, so the writes of a shard come one after the other, and a
controller that takes the lease waits for a running one (S20). `taking` decides when the lease may be taken.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, Double, Table, bindparam, case, cast, exists, func, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fenced.journal import codec, statements
from fenced.journal.schema import LEASE, RECORDS, STORE, WORDS
from fenced.ports.journal import ClockAnchor, EpochLost, NotTaken, StoreError, StoreWentBack

EPOCH_MAX: Final = 10**17
"""A fence token has 18 digits for the epoch."""
EPOCH_JUMP: Final = 1000
"""How far a new epoch is above the known ones after a loss: more than the takings that a lost past may hold, and far
less than what a proxy refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this start holds of the store: a shard under an epoch, 0 for none. `holder` is its own, unlike any other
    start's. `batch`: how many writes of the shard are durable, of this holder and earlier ones. `timeline`: the
    server's when this start took the lease; None if this user may not read it, and in SQLite."""

    shard: str
    epoch: int = 0
    holder: str = ""
    batch: int = 0
    timeline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """Who holds a shard, as the database's clock has it. Equal rows of two moments: nothing was written between.

    `is_over`: the lease's time is over. `rest_seconds`: how long it still lasts. `ttl_seconds`: how long it was to last
    when it was renewed, or taken. `released_seconds`: how long ago it was released. In SQLite none of them means
    anything: the lock file excludes other controllers. `timeline`, `is_doubted`: as in the schema. `server_timeline`:
    that of the server which answered; None if it is not known.
    """

    name: str
    place: str
    epoch: int
    batch: int
    until: float
    released_by: str
    released_to: str
    is_over: bool = field(compare=False)
    rest_seconds: float = field(compare=False)
    released_seconds: float | None = field(compare=False)
    ttl_seconds: float
    timeline: int | None = None
    server_timeline: int | None = None
    is_doubted: bool = False

    @property
    def is_of_nobody(self) -> bool:
        """Whether no controller ever took this shard."""
        return self.epoch == 0

    @property
    def is_released(self) -> bool:
        return self.until == 0.0

    @property
    def is_promoted(self) -> bool:
        """Whether the database was promoted since the lease was taken: later changes of this row may be lost."""
        return None not in {self.timeline, self.server_timeline} and self.timeline != self.server_timeline


def lease_row(connection: Connection, shard: str, *, has_timeline: bool = False) -> LeaseRow | None:
    """Return who holds the shard; None if nobody ever did. `has_timeline`: this user may read the server's timeline."""
    row = connection.execute(_LEASE_ROWS[connection.dialect.name, has_timeline], {"of": shard}).one_or_none()
    return None if row is None else LeaseRow(**row._mapping)


def locked_lease_row(connection: Connection, shard: str, *, has_timeline: bool = False) -> LeaseRow | None:
    """Return what `lease_row` does, and let nobody write or take the shard until the transaction ends.

    Waits for a write that runs. In SQLite each transaction that writes is alone.
    """
    _make_row(connection, shard)
    found = _LEASE_ROWS[connection.dialect.name, has_timeline].with_for_update(key_share=True)
    locked = connection.execute(found, {"of": shard}).one_or_none()
    return None if locked is None else LeaseRow(**locked._mapping)


def shared_lease(connection: Connection, shard: str) -> bool:
    """Let nobody write or take the shard until the transaction ends; others may share that.

    Waits for a write that runs. Return whether the last holder's program reads words; True if there was none.
    """
    _make_row(connection, shard)
    found = select(LEASE.c.epoch, LEASE.c.reads_words).where(LEASE.c.shard == shard).with_for_update(read=True)
    row = connection.execute(found).one_or_none()
    return row is None or row.epoch == row.reads_words


def _make_row(connection: Connection, shard: str) -> None:
    """Without a row there is no lock. In SQLite each transaction that writes is alone."""
    if connection.dialect.name == "postgresql":
        row = {"shard": shard, "epoch": 0, "holder": "", "name": "", "place": "", "until": 0.0, "batch": 0}
        row |= {"sequence": 0, "since": 0.0, "pruned": 0, "released_by": "", "released_to": "", "is_doubted": False}
        connection.execute(postgresql.insert(LEASE).on_conflict_do_nothing(), row)


def row_columns(dialect: str, *, has_timeline: bool) -> tuple[Any, ...]:
    """Return the columns of a LeaseRow."""
    now = statements.wall_time(dialect)
    began = case((LEASE.c.anchor_at > LEASE.c.since, LEASE.c.anchor_at), else_=LEASE.c.since)
    return (
        LEASE.c.name, LEASE.c.place, LEASE.c.epoch, LEASE.c.batch, LEASE.c.until,
        LEASE.c.released_by, LEASE.c.released_to, (LEASE.c.until < now).label("is_over"),
        (LEASE.c.until - now).label("rest_seconds"), (LEASE.c.until - began).label("ttl_seconds"),
        (now - LEASE.c.released_at).label("released_seconds"), LEASE.c.timeline, LEASE.c.is_doubted,
        (statements.SERVER_TIMELINE if has_timeline else null()).label("server_timeline"),
    )  # fmt: skip


class Advanced(NamedTuple):
    """Sequence and time of the newest record, and whether words wait for the shard."""

    sequence: int
    at: float | None
    has_words: bool


def advance(connection: Connection, held: Held, *, records: int = 0, at: float | None = None) -> Advanced:
    """Lock and advance the shard's row; return what the shard has now.

    Raises EpochLost, StoreWentBack.
    """
    if not held.epoch:
        raise EpochLost("this controller does not hold the lease, so it can't write")
    row: dict[str, Any] = {"of": held.shard, "ours": held.epoch, "us": held.holder, "counted": held.batch}
    row |= {"records": records, "moment": at}
    if held.timeline is None:
        done = connection.execute(_ADVANCE, row)
    else:
        done = connection.execute(_ADVANCE_ON_TIMELINE, {**row, "taken_on": held.timeline})
    if done.rowcount != 1:
        raise _lost(held, connection.execute(_owner(held), {"of": held.shard}).one_or_none())
    found = connection.execute(_NEWEST, {"of": held.shard}).one()
    return Advanced(found.sequence, found.at, bool(found.has_words))


def locked_batch(connection: Connection, held: Held) -> int:
    """Lock the shard's row and return how many writes it counts. Raises EpochLost, StoreWentBack."""
    row = connection.execute(_owner(held).with_for_update(key_share=True), {"of": held.shard}).one_or_none()
    if row is None or (row.epoch, row.holder, row.timeline) != (held.epoch, held.holder, held.timeline):
        raise _lost(held, row)
    if row.batch not in {held.batch, held.batch + 1}:
        raise _lost(held, row)
    return int(row.batch)


def _owner(held: Held) -> Any:
    return _OWNERS[held.timeline is not None]


def _lost(held: Held, row: Any) -> StoreError:
    """Return the error for a row that is not as this controller left it. Epochs and counts of writes only rise."""
    if row is None:
        return StoreWentBack(f"the lease of shard {held.shard}, which this controller took, is not in the store")
    if row.epoch < held.epoch:
        return StoreWentBack(f"the store has epoch {row.epoch} for shard {held.shard}, and this controller took "
                             f"epoch {held.epoch}")  # fmt: skip
    if row.timeline != held.timeline and (row.epoch, row.holder) == (held.epoch, held.holder):
        return StoreWentBack(
            f"the database is on timeline {row.timeline}, and this controller took the lease on timeline "
            f"{held.timeline}: a standby database was promoted, and may lack the last records; the lease is taken anew "
            "once it did not change for its whole time"
        )
    if (row.epoch, row.holder) == (held.epoch, held.holder):
        return StoreWentBack(
            f"the store counts {row.batch} writes for shard {held.shard} under epoch {row.epoch}, and this controller "
            f"counts {held.batch}"
        )
    return EpochLost(f"{row.name} holds epoch {row.epoch}, ours is {held.epoch}: another controller took over")


def steady_time(connection: Connection, shard: str) -> float | None:
    """Return what the last holder's steady clock reads now, by PostgreSQL's clock; None without one."""
    now = statements.database_time(connection.dialect.name)
    if now is None:
        return None
    elapsed = cast(now, Double) - LEASE.c.anchor_at
    found = select(LEASE.c.anchor_steady, elapsed.label("elapsed")).where(LEASE.c.shard == shard)
    row = connection.execute(found).one_or_none()
    if row is None or row.anchor_steady is None or row.elapsed is None:
        return None
    return float(row.anchor_steady) + max(float(row.elapsed), 0.0)


def take(
    connection: Connection,
    held: Held,
    *,
    row: LeaseRow | None,
    name: str,
    place: str,
    above: int,
    until: float,
    ttl_seconds: float,
    is_older: bool = False,
    division: str = "",
) -> Held:
    """Take a new epoch for this start; from now on no older one can write. The caller may take the lease.

    `row`: the locked one. `is_older`: the store lacks what this controller saw. After that, and after a promotion, the
    row says so until `end_doubt`: a taker that dies before leaves the doubt to the next one. `place`: the state
    directory in this boot of its machine. `above`: the highest epoch that is known from elsewhere. `until`,
    `ttl_seconds`: the lease's end, as at `renew`. `division`: as at `division.check`.
    """
    drawn = connection.execute(select(STORE.c.epochs).with_for_update(key_share=True)).scalar_one()
    in_force = connection.execute(select(LEASE.c.epoch)).scalars()
    known = (drawn, *in_force)
    if not all(isinstance(epoch, int) and 0 <= epoch < EPOCH_MAX for epoch in known):
        raise codec.CodecError("the epoch of the lease cannot be read: it is not a number in range")
    if above >= EPOCH_MAX:
        raise NotTaken(
            f"epoch {above} is too high: a proxy reports it, or fenced.seen in state_dir names it; find out which, and "
            "set it right"
        )
    is_promoted = row is not None and row.is_promoted
    epoch: int = max(*known, above) + (EPOCH_JUMP if is_promoted else 1)
    connection.execute(update(STORE).values(epochs=epoch))
    newest = select(func.coalesce(func.max(RECORDS.c.sequence), 0)).where(RECORDS.c.shard == held.shard)
    dialect = connection.dialect.name
    timeline = row.server_timeline if row is not None else None
    values = {
        "shard": held.shard, "epoch": epoch, "holder": held.holder, "name": name, "place": place, "batch": 1,
        "sequence": connection.execute(newest).scalar_one(), "at": None, "pruned": 0,
        "until": statements.lease_end(dialect, until=until, ttl_seconds=ttl_seconds),
        "since": statements.wall_time(dialect), "released_by": "", "released_to": "", "released_at": None,
        "timeline": timeline,
        "is_doubted": is_older or is_promoted or (row is not None and row.is_doubted), "reads_words": epoch,
        "division": division,
    }  # fmt: skip
    upsert = insert_into(dialect, LEASE).values(values)
    kept = {"shard", "batch", "at", "pruned"}
    taken = {key: upsert.excluded[key] for key in values if key not in kept}
    # A sequence beyond all records is that of a damaged row; one below them would be given twice.
    taken |= {"batch": LEASE.c.batch + 1}
    connection.execute(upsert.on_conflict_do_update(index_elements=["shard"], set_=taken))
    batch = connection.execute(select(LEASE.c.batch).where(LEASE.c.shard == held.shard)).scalar_one()
    return Held(shard=held.shard, epoch=epoch, holder=held.holder, batch=batch, timeline=timeline)


def end_doubt(connection: Connection, held: Held) -> None:
    """Note that no command of a lost past can act any more. Raises EpochLost, StoreWentBack."""
    advance(connection, held)
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(is_doubted=False))


def renew(
    connection: Connection, held: Held, *, until: float, ttl_seconds: float, anchor: ClockAnchor | None,
    division: str = "",
) -> None:  # fmt: skip
    """`until`: the lease's end by the daemon's clock, which counts if the database is the daemon's own.

    Otherwise the end is `ttl_seconds` from now by the database's clock. Raises EpochLost, StoreWentBack.
    """
    advance(connection, held)
    dialect = connection.dialect.name
    end = statements.lease_end(dialect, until=until, ttl_seconds=ttl_seconds)
    values: dict[str, Any] = {"until": end, "division": division}
    if anchor is not None:
        values |= {
            "anchor_boot_id": anchor.boot_id,
            "anchor_boottime": anchor.boottime,
            "anchor_steady": anchor.steady,
            "anchor_calendar": anchor.calendar,
            "anchor_at": statements.database_time(dialect),
        }
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(**values))


def release(connection: Connection, held: Held, *, by: str = "", to: str = "") -> None:
    """End the lease. `by`: the place that hands it over; "" at the proper end of a daemon. `to`: as at the port.

    Raises EpochLost, StoreWentBack.
    """
    advance(connection, held)
    released_at = statements.wall_time(connection.dialect.name)
    ended = {"until": 0.0, "released_by": by, "released_to": to, "released_at": released_at}
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(ended))


def note_pruned(connection: Connection, held: Held) -> None:
    """Note that any record but the newest may be gone. The caller advanced the row in this transaction."""
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(pruned=LEASE.c.sequence - 1))


def insert_into(dialect: str, table: Table) -> Any:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


_LEASE_ROWS: Final = {
    (dialect, has_timeline): select(*row_columns(dialect, has_timeline=has_timeline)).where(
        LEASE.c.shard == bindparam("of")
    )
    for dialect in ("sqlite", "postgresql")
    for has_timeline in (False, True)
}
"""Built once: to build and to compile a statement takes longer than to run it."""
_ADVANCE: Final = (
    update(LEASE)
    .where(
        LEASE.c.shard == bindparam("of"),
        LEASE.c.epoch == bindparam("ours"),
        LEASE.c.holder == bindparam("us"),
        LEASE.c.batch == bindparam("counted"),
    )
    .values(
        batch=LEASE.c.batch + 1,
        sequence=LEASE.c.sequence + bindparam("records", type_=BigInteger),
        at=func.coalesce(bindparam("moment", type_=Double), LEASE.c.at),
    )
)
_ADVANCE_ON_TIMELINE: Final = _ADVANCE.where(bindparam("taken_on", type_=BigInteger) == statements.SERVER_TIMELINE)
"""A standby database that is promoted has the row of the last holder, and lacks what came later."""
_OWNERS: Final = tuple(
    select(LEASE.c.epoch, LEASE.c.holder, LEASE.c.batch, LEASE.c.name, timeline.label("timeline")).where(
        LEASE.c.shard == bindparam("of")
    )
    for timeline in (null(), statements.SERVER_TIMELINE)
)
_HAS_WORDS: Final = exists().where(WORDS.c.shard == LEASE.c.shard)
_NEWEST: Final = select(LEASE.c.sequence, LEASE.c.at, _HAS_WORDS.label("has_words")).where(
    LEASE.c.shard == bindparam("of")
)
"""A statement after the one that waits for the row's lock, so that it sees what was committed meanwhile."""
