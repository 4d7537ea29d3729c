"""The reports of controllers: who is there, where, how fit, and which shards each holds.

They are for people and for choosing a successor; the lease alone decides who may act. Only the name is guarded: two
living controllers of one name would deliver each other's messages on the bus.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)

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
    found = connection.execute(_made(connection).readers, {"lease": lease_seconds})
    return [
        FormatReader(name=row.name, version=row.version, format=row.format, is_alive=bool(row.is_alive))
        for row in found
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
    return connection.execute(_made(connection).namesake, _named(own)).one_or_none()


def report(connection: Connection, report: ControllerReport, own: Self) -> Sequence[ControllerView]:
    """Store the report, and return all controllers by name. Raises StoreHeld."""
    said = {
        "said_address": report.address, "said_version": report.version, "said_unfit": json.dumps(report.unfit),
        "said_lag": report.lag, "said_configuration": report.configuration,
        "said_takes": None if report.takes is None else json.dumps(report.takes),
    }  # fmt: skip
    made, named = _made(connection), _named(own)
    connection.execute(made.report, {**named, **said})
    check_name(connection, own)
    connection.execute(made.forget, named)
    return views(connection, own)


def leave(connection: Connection, own: Self) -> None:
    """Note that this controller ended, so that another may have its name at once.

    Not while it holds another shard: then only the life of one shard's engine ended.
    """
    connection.execute(_made(connection).leave, _named(own))


def views(connection: Connection, own: Self) -> Sequence[ControllerView]:
    """Return all controllers by name."""
    made = _made(connection)
    shards: dict[str, list[HeldShard]] = {}
    for row in connection.execute(made.held):
        held = HeldShard(shard=row.shard, epoch=row.epoch, since=row.since)
        shards.setdefault(row.name, []).append(held)
    found = connection.execute(made.views, {"lease": own.lease_seconds})
    return tuple(_view(row, tuple(shards.get(row.name, ())), own) for row in found)


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


def _named(own: Self) -> dict[str, Any]:
    return {"us": own.name, "our_instance": own.instance, "our_place": own.place, "lease": own.lease_seconds}


# -- statements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statements:
    """Those of one database. Their parameters: `_named` and, for a report, what it says."""

    readers: Any
    namesake: Any
    report: Any
    forget: Any
    leave: Any
    held: Any
    views: Any


def _made(connection: Connection) -> _Statements:
    return _MADE[connection.dialect.name]


def _make(dialect: str) -> _Statements:
    columns, now = CONTROLLERS.c, statements.wall_time(dialect)
    us, our_instance, our_place = (bindparam(key, type_=Text) for key in ("us", "our_instance", "our_place"))
    # Whether it reported within a lease's time. A report of the future is from before the clock was put back.
    silence = func.abs(now - columns.heard)
    is_alive = and_(not_(columns.is_gone), silence <= bindparam("lease", type_=Double))
    row = {
        "name": us, "instance": our_instance, "place": our_place, "heard": now, "is_gone": False,
        "format": codec.FORMAT,
        **{key: bindparam(f"said_{key}") for key in ("address", "version", "unfit", "lag", "configuration", "takes")},
    }  # fmt: skip
    upsert = leases.insert_into(dialect, CONTROLLERS).values(row)
    changed = {key: upsert.excluded[key] for key in row if key != "name"}
    is_free = or_(CONTROLLERS.c.instance == our_instance, not_(is_alive))
    is_clone = and_(columns.place != our_place, is_alive)  # its state directory has our id
    is_renamed = and_(columns.instance == our_instance, columns.name != us, not_(is_clone))
    is_held = _is_held(dialect)
    holds = exists().where(*is_held, LEASE.c.name == us, LEASE.c.place == our_place)
    alive = is_alive.label("is_alive")
    return _Statements(
        readers=select(columns.name, columns.version, columns.format, alive).order_by(columns.name),
        namesake=select(columns.address, columns.instance, columns.heard).where(
            columns.name == us, columns.instance != our_instance, is_alive
        ),
        report=upsert.on_conflict_do_update(index_elements=["name"], set_=changed, where=is_free),
        forget=delete(CONTROLLERS).where(or_(columns.heard < now - KEPT_SECONDS, is_renamed)),
        leave=update(CONTROLLERS)
        .where(columns.name == us, columns.instance == our_instance, not_(holds))
        .values(is_gone=True),
        held=select(LEASE.c.name, LEASE.c.shard, LEASE.c.epoch, LEASE.c.since).where(*is_held).order_by(LEASE.c.shard),
        views=select(CONTROLLERS, alive).order_by(columns.name),
    )


def _is_held(dialect: str) -> tuple[ColumnElement[bool], ...]:
    """Whether somebody holds the shard. In SQLite a lease ends by the daemon's clock, which only it knows."""
    if dialect == "postgresql":
        return LEASE.c.until > 0.0, LEASE.c.until >= statements.wall_time("postgresql")
    return (LEASE.c.until > 0.0,)


_MADE: Final = {dialect: _make(dialect) for dialect in ("sqlite", "postgresql")}
"""Built once: all shards report three times a lease, and to build the statements takes longer than to run them."""
