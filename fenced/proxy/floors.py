"""The floors in a proxy agent's database: for each store and shard the epoch below which no command is accepted (S21).

A floor rises with the first command of an epoch, or when the new holder of the lease asks for it, and never falls by a
call. state.py owns the database and its transactions. `Floor.why_not` is the comparison, on disk and before the driver.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from fenced.model.names import PlugId, Token

FLOORS_MAX: Final = 256
"""Floors on disk. A controller has one for each shard; more come only from a daemon that misbehaves."""

EPOCH_JUMP_MAX: Final = 1_000_000
"""Epochs rise by one with each start of a daemon; this allows one start a minute for two years without a command for
the plug. A higher token would lock out the daemon that the plug belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """`holder`: who holds the lease of that epoch, "" from an older daemon.

    `since`: this database has noted every command of epochs above it; it was new or empty before.
    """

    store: str
    shard: str
    epoch: int
    holder: str
    since: int

    def why_not(self, epoch: int, holder: str) -> str | None:
        """Return why a command of this epoch and holder is refused, or None. Without holders only epochs count."""
        if epoch < self.epoch:
            return f"a controller took over at epoch {self.epoch}: epoch {epoch} is over"
        if epoch == self.epoch and holder and self.holder and holder != self.holder:
            return f"another controller holds epoch {epoch}: one of the two saw a store that went back in time"
        return None

    def raised(self, epoch: int, holder: str) -> "Floor":
        """Return the floor after an accepted epoch."""
        holder = holder or (self.holder if epoch == self.epoch else "")
        return Floor(store=self.store, shard=self.shard, epoch=epoch, holder=holder, since=self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """A command that may still act. `not_after`: seconds since the machine's boot."""

    plug_id: PlugId
    token: Token
    not_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The result of raising a floor. `floor`: the one now, None if there is none. `why`: why it was not raised, or "".

    `acting`: commands of the store and shard that may still act, latest end first.
    """

    floor: Floor | None
    why: str = ""
    acting: tuple[Acting, ...] = ()


class Floors:
    """The table of floors. The caller opens the transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> dict[tuple[str, str], Floor]:
        """Return the floors by store and shard."""
        rows = self._connection.execute("SELECT store, shard, epoch, holder, since FROM floor")
        return {(row[0], row[1]): _floor(row) for row in rows.fetchall()}

    def get(self, store: str, shard: str) -> Floor | None:
        rows = self._connection.execute(
            "SELECT store, shard, epoch, holder, since FROM floor WHERE store = ? AND shard = ?", (store, shard)
        )
        row = rows.fetchone()
        return None if row is None else _floor(row)

    def has_room(self, *, beside: str | None) -> bool:
        """Return whether one more fits, after dropping those of stores other than `beside` if it must."""
        if self._count() >= FLOORS_MAX and beside is not None:
            self._connection.execute("DELETE FROM floor WHERE store != ?", (beside,))
        return self._count() < FLOORS_MAX

    def acting(self, store: str, shard: str, *, boot: str, now: float, acting_max: int) -> tuple[Acting, ...]:
        """Return commands that may still act in this boot of the machine, latest end first."""
        rows = self._connection.execute(
            "SELECT plug, epoch, sequence, not_after FROM command"
            " WHERE store = ? AND shard = ? AND machine_boot = ? AND not_after > ? ORDER BY not_after DESC LIMIT ?",
            (store, shard, boot, now, acting_max),
        ).fetchall()
        return tuple(
            # An epoch below 0 is one of a store that another one has replaced since.
            Acting(
                plug_id=PlugId(plug),
                token=Token(epoch=epoch if epoch >= 0 else -1 - epoch, sequence=sequence),
                not_after=not_after,
            )
            for plug, epoch, sequence, not_after in rows
        )

    def write(self, floor: Floor) -> None:
        values = (floor.store, floor.shard, floor.epoch, floor.holder, floor.since)
        self._connection.execute("INSERT OR REPLACE INTO floor VALUES (?, ?, ?, ?, ?)", values)

    def doubt_other_boots(self, boot: str) -> None:
        """Prove no end to commands of shards with a command of an earlier boot of the machine.

        The reboot ended its program, but its device may still act, and its `not_after` means nothing in this boot.
        """
        self._connection.execute(
            "UPDATE floor SET since = epoch WHERE EXISTS (SELECT 1 FROM command"
            " WHERE command.store = floor.store AND command.shard = floor.shard AND machine_boot != ?)",
            (boot,),
        )

    def lower(self, store: str, epoch: int | None) -> None:
        """Lower the floors of a store to an epoch, or remove them (None). For --forget-plug, while no agent runs."""
        if epoch is None:
            self._connection.execute("DELETE FROM floor WHERE store = ?", (store,))
            return
        self._connection.execute(
            "UPDATE floor SET epoch = ?, holder = '', since = ? WHERE store = ? AND epoch > ?",
            (epoch, epoch, store, epoch),
        )

    def _count(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM floor").fetchone()[0])


def why_far(epoch: int, seen: int | None, floor: Floor | None) -> str | None:
    """Return why an epoch is too far above the highest one seen, or None. `seen`: the highest among tokens."""
    known = [it for it in (seen, None if floor is None else floor.epoch) if it is not None]
    if not known or epoch - max(known) <= EPOCH_JUMP_MAX:
        return None
    return (
        f"more than {EPOCH_JUMP_MAX} starts of a daemon above epoch {max(known)}, the highest seen here; "
        "if your daemon is that far"
    )


def _floor(row: tuple[str, str, int, str, int]) -> Floor:
    store, shard, epoch, holder, since = row
    return Floor(store=store, shard=shard, epoch=epoch, holder=holder, since=since)
