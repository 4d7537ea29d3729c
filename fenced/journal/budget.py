"""The fleet's budget in a store of several shards: what each has drawn, and the row that makes draws come one by one.

A draw becomes durable only if the other shards have drawn no more than its decision leaves to them (`Room`). That is
compared while this transaction holds the fleet's row, which it locks last, after everything else, so that two shards
can't wait for each other. The comparison is a statement of its own after the lock: one that waits for the lock would
see what was committed before it waited. An SQLite file holds one shard, and nothing is written there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, text
from sqlalchemy.exc import DBAPIError

from fenced.core.durable import records as r
from fenced.core.heard.others import Elsewhere, Room
from fenced.journal.leases import insert_into
from fenced.journal.schema import BUDGET, DRAWS
from fenced.ports.journal import Batch, BudgetClosed

LOCK_MILLISECONDS: Final = 200
"""How long a draw waits for another shard's; all other writes of its shard wait behind it."""
FLEET_ROW: Final = ""
LEFT_SECONDS: Final = 86400.0
"""Hosts of a shard that no controller held for so long count no more: the configuration has it no more."""
_LOCK_NOT_AVAILABLE: Final = "55P03"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a batch changes in the budget. `returned`: draws that are taken back, also of this batch."""

    drawn: Sequence[Row] = ()
    returned: Sequence[Row] = ()
    room: Room | None = None
    unrecovered: int | None = None


def change_of(batch: Batch) -> Change:
    """Return the batch's part in the budget. A draw without room is a bug: nobody would compare it."""
    drawn: list[Row] = []
    returned: list[Row] = []
    for entry in batch.entries:
        match entry.record:
            case r.BudgetDrawn(host=host):
                assert batch.room is not None, f"the draw for {host} says nothing about other shards"
                drawn.append({"host": host, "at": entry.at, "lasts": batch.room.per_seconds})
            case r.BudgetReturned(host=host, drawn_at=at):
                returned.append({"of": host, "moment": at})
            case _:
                pass
    return Change(drawn=drawn, returned=returned, room=batch.room, unrecovered=batch.unrecovered)


def write(connection: Connection, change: Change, shard: str) -> None:
    """Write the change, last in its transaction. Raises BudgetClosed."""
    if connection.dialect.name == "sqlite":
        return
    if change.drawn:
        connection.execute(_DRAW, [{**row, "shard": shard} for row in change.drawn])
    if change.returned:
        connection.execute(_RETURN, [{**row, "in_shard": shard} for row in change.returned])
    if change.unrecovered is not None:
        told = insert_into(connection.dialect.name, BUDGET).values(shard=shard, unrecovered=change.unrecovered)
        connection.execute(
            told.on_conflict_do_update(index_elements=["shard"], set_={"unrecovered": change.unrecovered})
        )
    if change.room is not None:
        _lock(connection)
        others = elsewhere(connection, shard=shard)
        if len(others.lasting_seconds) > change.room.drawn or others.unrecovered > change.room.unrecovered:
            raise BudgetClosed(others)


def elsewhere(connection: Connection, *, shard: str) -> Elsewhere:
    """Return what the other shards have drawn, by the database's clock at this statement."""
    rows = connection.execute(_ELSEWHERE, {"shard": shard, "left": LEFT_SECONDS}).all()
    return Elsewhere(
        lasting_seconds=tuple(row.lasts for row in rows if row.lasts is not None),
        unrecovered=sum(row.unrecovered for row in rows),
    )


def _lock(connection: Connection) -> None:
    """Lock the fleet's row until the transaction ends. Raises BudgetClosed if another shard holds it."""
    connection.execute(_LIMIT_WAIT, {"limit": f"{LOCK_MILLISECONDS}ms"})
    try:
        connection.execute(_LOCK).scalar_one()
    except DBAPIError as exc:
        if getattr(exc.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise BudgetClosed(None) from exc
        raise


_DRAW: Final = text(
    """
    INSERT INTO draws (shard, host, at, until)
    VALUES (:shard, :host, :at, extract(epoch FROM clock_timestamp()) + :lasts)
    ON CONFLICT (shard, host, at) DO UPDATE SET until = excluded.until
    """
)
_RETURN: Final = delete(DRAWS).where(
    DRAWS.c.shard == bindparam("in_shard"), DRAWS.c.host == bindparam("of"), DRAWS.c.at == bindparam("moment")
)
_LIMIT_WAIT: Final = text("SELECT set_config('lock_timeout', :limit, true)")
_LOCK: Final = select(BUDGET.c.shard).where(BUDGET.c.shard == FLEET_ROW).with_for_update(key_share=True)
_ELSEWHERE: Final = text(
    """
    WITH clock AS (SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS now)
    SELECT draws.until - clock.now AS lasts, 0 AS unrecovered FROM draws, clock
        WHERE draws.shard <> :shard AND draws.until > clock.now
    UNION ALL
    SELECT NULL, budget.unrecovered FROM budget JOIN lease ON lease.shard = budget.shard, clock
        WHERE budget.shard <> :shard AND greatest(lease.until, lease.released_at) > clock.now - :left
    """
)
