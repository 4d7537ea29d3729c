"""The reports of controllers: who is there, where, how fit, and which shards each holds.

They are for people and for choosing a successor; the lease alone decides who may act. Only the name is guarded: two
living controllers of one name would deliver each other's messages on the bus.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, not_, or_, select, update

from fenced.journal import codec, leases, statements
from fenced.journal.schema import CONTROLLERS, LEASE
from fenced.ports.journal import ControllerReport, ControllerView, HeldShard, StoreHeld

KEPT_SECONDS: Final = 30 * 86400.0
"""A controller that did not report for a month is no longer listed: its name was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """This controller. `instance`: the id of its state directory; `place`: that in this boot of the machine."""

    name: str
    instance: str
    place: str
    lease_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatReader:
    """A controller with the newest format that its program reads."""

    name: str
    version: str
    format: int
    is_alive: bool


def format_readers(connection: Connection, *, lease_seconds: float) -> Sequence[FormatReader]:
    """Return all controllers by name."""
    is_alive = _is_alive(connection, lease_seconds).label("is_alive")
    columns = CONTROLLERS.c
    found = select(columns.name, columns.version, columns.format, is_alive).order_by(columns.name)
    return [
        FormatReader(name=row.name, version=row.version, format=row.format, is_alive=bool(row.is_alive))
        for row in connection.execute(found)
    ]


def check_name(connection: Connection, own: Self) -> None:
    """Raises StoreHeld if another controller of this name lives."""
    if (row := _namesake(connection, own)) is not None:
        where = f"at {row.address}" if row.address else f"with the state directory {row.instance}"
        raise StoreHeld(
            f"a living controller of the name {own.name} uses this store {where}; give each controller a [daemon] name "
            f"of its own, or stop that one and start this one {own.lease_seconds:g} s later"
        )


def namesake_heard(connection: Connection, own: Self) -> float | None:
    """Return when another controller of this name last reported; None if none lives."""
    row = _namesake(connection, own)
    return None if row is None else float(row.heard)


def _namesake(connection: Connection, own: Self) -> Any:
    columns = CONTROLLERS.c
    found = select(columns.address, columns.instance, columns.heard).where(
        columns.name == own.name, columns.instance != own.instance, _is_alive(connection, own.lease_seconds)
    )
    return connection.execute(found).one_or_none()


def report(connection: Connection, report: ControllerReport, own: Self) -> Sequence[ControllerView]:
    """Store the report, and return all controllers by name. Raises StoreHeld."""
    now = statements.wall_time(connection.dialect.name)
    row = {
        "name": own.name, "instance": own.instance, "place": own.place, "address": report.address,
        "version": report.version, "unfit": json.dumps(report.unfit), "lag": report.lag,
        "configuration": report.configuration, "heard": now, "is_gone": False, "format": codec.FORMAT,
        "takes": None if report.takes is None else json.dumps(report.takes),
    }  # fmt: skip
    upsert = leases.insert_into(connection.dialect.name, CONTROLLERS).values(row)
    changed = {key: upsert.excluded[key] for key in row if key != "name"}
    is_alive = _is_alive(connection, own.lease_seconds)
    is_free = or_(CONTROLLERS.c.instance == own.instance, not_(is_alive))
    connection.execute(upsert.on_conflict_do_update(index_elements=["name"], set_=changed, where=is_free))
    check_name(connection, own)
    is_clone = and_(CONTROLLERS.c.place != own.place, is_alive)  # its state directory has our id
    is_renamed = and_(CONTROLLERS.c.instance == own.instance, CONTROLLERS.c.name != own.name, not_(is_clone))
    connection.execute(delete(CONTROLLERS).where(or_(CONTROLLERS.c.heard < now - KEPT_SECONDS, is_renamed)))
    return views(connection, own)


def leave(connection: Connection, own: Self) -> None:
    """Note that this controller ended, so that another may have its name at once.

    Not while it holds another shard: then only the life of one shard's engine ended.
    """
    mine = (CONTROLLERS.c.name == own.name, CONTROLLERS.c.instance == own.instance)
    holds = exists().where(*_is_held(connection), LEASE.c.name == own.name, LEASE.c.place == own.place)
    connection.execute(update(CONTROLLERS).where(*mine, not_(holds)).values(is_gone=True))


def views(connection: Connection, own: Self) -> Sequence[ControllerView]:
    """Return all controllers by name."""
    shards: dict[str, list[HeldShard]] = {}
    for row in connection.execute(_held(connection)):
        held = HeldShard(shard=row.shard, epoch=row.epoch, since=row.since)
        shards.setdefault(row.name, []).append(held)
    found = select(CONTROLLERS, _is_alive(connection, own.lease_seconds).label("is_alive")).order_by(CONTROLLERS.c.name)
    return tuple(_view(row, tuple(shards.get(row.name, ())), own) for row in connection.execute(found))


def _view(row: Any, shards: tuple[HeldShard, ...], own: Self) -> ControllerView:
    try:
        unfit = tuple(json.loads(row.unfit))
        takes = None if row.takes is None else tuple(json.loads(row.takes))
    except (TypeError, ValueError) as exc:
        raise codec.CodecError(f"the report of controller {row.name} cannot be read: {exc}") from exc
    report = ControllerReport(
        name=row.name, address=row.address, version=row.version, unfit=unfit, lag=row.lag,
        configuration=row.configuration, takes=takes,
    )  # fmt: skip
    is_self = (row.name, row.instance) == (own.name, own.instance)
    return ControllerView(
        report=report, heard=row.heard, is_alive=bool(row.is_alive), shards=shards, is_self=is_self
    )  # fmt: skip


def _held(connection: Connection) -> Any:
    """Select the shards that somebody holds. In SQLite a lease ends by the daemon's clock, which only it knows."""
    held = select(LEASE.c.name, LEASE.c.shard, LEASE.c.epoch, LEASE.c.since)
    return held.where(*_is_held(connection)).order_by(LEASE.c.shard)


def _is_held(connection: Connection) -> tuple[ColumnElement[bool], ...]:
    if connection.dialect.name == "postgresql":
        return LEASE.c.until > 0.0, LEASE.c.until >= statements.wall_time("postgresql")
    return (LEASE.c.until > 0.0,)


def _is_alive(connection: Connection, lease_seconds: float) -> ColumnElement[bool]:
    """Whether it reported within a lease's time. A report of the future is from before the clock was put back."""
    silence = func.abs(statements.wall_time(connection.dialect.name) - CONTROLLERS.c.heard)
    return and_(not_(CONTROLLERS.c.is_gone), silence <= lease_seconds)
