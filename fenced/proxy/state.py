"""The proxy agent's database: the highest token of each plug, the floor of each shard (S21), and commands under way.

Blocks, and is used from one thread only (see tokens.py). When `transaction` ends without an error its writes are on
disk, and an accepted token is never accepted again (S5, S16).
"""

import fcntl
import itertools
import os
import shlex
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from fenced.model.names import MAIN_SHARD, PlugId, Token
from fenced.model.power import What
from fenced.ports.devices import Started
from fenced.proxy.floors import FLOORS_MAX, Floor, Floors, Raised, why_far
from fenced.proxy.schema import MIGRATIONS, SCHEMA_VERSION

FILE_NAME: Final = "proxy.db"
LOCK_NAME: Final = "proxy.lock"
PLUGS_MAX: Final = 200_000
LOCK_WAIT_SECONDS: Final = 5.0
EPOCH_MAX: Final = 10**9
SEQUENCE_MAX: Final = 10**12
EPOCH_JUMP_LOGGED: Final = 1000
NOT_AFTER_AHEAD_SECONDS_MAX: Final = 3600.0
"""A command may wait for one attempt and take another, then its device settles: 10 minutes each, plus clock drift."""

FORGOTTEN: Final = -1
"""The epoch of a plug after an operator ran --forget-plug."""


class StateError(Exception):
    """The state can't be opened, read or written; says which file and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A power command that claims to be the newest of its plug. `not_after`: seconds since the machine's boot."""

    store: str
    plug_id: PlugId
    token: Token
    what: What
    not_after: float
    shard: str = MAIN_SHARD
    holder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Why a token is rejected. `is_proxys_own`: another proxy may accept it."""

    why: str
    is_proxys_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was known of a forgotten plug. `not_after`: how long a command may still act on it, in seconds since the
    machine's boot; None if none was under way."""

    highest: Token | None
    not_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A command without a recorded end: the agent died during it, or the driver could not tell how it ended."""

    plug_id: PlugId
    token: Token
    what: What
    not_after: float
    started: Started | None


class ProxyState:
    """The state directory of one proxy agent. `is_owner`: hold its lock, so that no second agent uses it."""

    _floors: Mapping[tuple[str, str], Floor]

    def __init__(self, directory: Path, *, machine_boot: str, is_owner: bool = True) -> None:
        """Raises StateError."""
        self._path = directory / FILE_NAME
        self._machine_boot = machine_boot
        self._is_owner = is_owner
        self._lock: IO[str] | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if is_owner:
                self._lock = hold_lock(directory / LOCK_NAME)
            self._path.touch(mode=0o600)
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=LOCK_WAIT_SECONDS, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as exc:
            self._release_lock()
            raise StateError(f"{self._path}: can't be opened: {exc}; check the directory and its owner") from exc
        try:
            self._prepare()
            # SQLite syncs its files; new names in the directory need a sync of the directory.
            sync_directory(directory)
        except (OSError, sqlite3.Error) as exc:
            self.close()
            raise StateError(f"{self._path}: {exc}; it is damaged, or its disk is full or read-only") from exc
        except StateError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block; roll back after an error. Raises StateError."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                floors = self._table.all() if self._has_floors else {}
                self._connection.execute("COMMIT")
                self._floors = floors
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise StateError(f"{self._path}: can't be written: {exc}; is its disk full or read-only?") from exc

    def claim(self, claim: Claim) -> Denial | None:
        """Accept a token, which raises the floor of its shard to its epoch, or return why not.

        The store of the first command is adopted; tokens of another are rejected.
        """
        token, highest = claim.token, self.highest(claim.plug_id)
        if token.epoch > EPOCH_MAX or token.sequence > SEQUENCE_MAX:
            return Denial(why=f"token {token} is beyond what any daemon issues", is_proxys_own=True)
        if (why := self._why_foreign(claim.store)) is not None:
            return Denial(why=f"the token is {why}")
        floor = self._table.get(claim.store, claim.shard)
        if floor is not None and (why := floor.why_not(token.epoch, claim.holder)) is not None:
            return Denial(why=f"{why}; if no daemon of yours is that far, {_forget(claim.plug_id)}")
        if highest is None and self._count("plug") >= PLUGS_MAX:
            why = f"this proxy knows {PLUGS_MAX} plugs already, its maximum; use another proxy, or empty its state_dir"
            return Denial(why=why, is_proxys_own=True)
        if highest is not None and token <= highest:
            return Denial(
                why=f"token {token} is not above {highest}, the highest seen for this plug; if no daemon of "
                f"yours is that far, {_forget(claim.plug_id)}"
            )
        seen = self.epoch_seen(claim.plug_id)
        if not self._is_forgotten(claim.plug_id) and (why := why_far(token.epoch, seen, floor)) is not None:
            return Denial(why=f"token {token} is {why}, {_forget(claim.plug_id)}", is_proxys_own=True)
        why = self._write_floor(claim.store, claim.shard, token.epoch, claim.holder, since=token.epoch)
        if why is not None:
            return Denial(why=why, is_proxys_own=True)
        if self.store() is None:
            self._set_meta("store", claim.store)
        self._keep(claim)
        return None

    def raise_floor(
        self, store: str, shard: str, epoch: int, holder: str, *, is_first: bool, now: float, acting_max: int
    ) -> Raised:
        """Raise the floor of a shard for the holder of its lease, and return the commands that may still act.

        Adopts no store. `is_first`: this holder has sent no command here yet, so that all of its commands come after.
        """
        if (why := self._why_foreign(store)) is not None:
            return Raised(floor=None, why=f"the floor is {why}")
        floor = self._table.get(store, shard)
        why = self._why_no_floor(floor, epoch, holder)
        if why is None:
            why = self._write_floor(store, shard, epoch, holder, since=epoch - 1 if is_first else epoch)
        if why is not None:
            return Raised(floor=floor, why=why)
        acting = self._table.acting(store, shard, boot=self._machine_boot, now=now, acting_max=acting_max)
        return Raised(floor=self._table.get(store, shard), acting=acting)

    @property
    def floors(self) -> Mapping[tuple[str, str], Floor]:
        """Return the floors on disk, by store and shard; may be read from any thread."""
        return self._floors

    def started(self, plug_id: PlugId, token: Token, started: Started) -> None:
        """Record the process of a command. It still waits for its parameters."""
        self._connection.execute(
            "UPDATE command SET pid = ?, pid_started = ? WHERE plug = ? AND epoch = ? AND sequence = ?",
            (started.pid, started.pid_started, plug_id, token.epoch, token.sequence),
        )

    def ended(self, plug_id: PlugId, token: Token) -> None:
        """Record that nothing that was started for the command can act any more."""
        self._connection.execute(
            "DELETE FROM command WHERE plug = ? AND epoch = ? AND sequence = ?",
            (plug_id, token.epoch, token.sequence),
        )

    def unfinished(self) -> list[Unfinished]:
        """Return the unfinished commands of this boot of the machine. A reboot ended the older ones: delete them."""
        if self._has_floors:
            self._table.doubt_other_boots(self._machine_boot)
        self._connection.execute("DELETE FROM command WHERE machine_boot != ?", (self._machine_boot,))
        rows = self._connection.execute(
            "SELECT plug, epoch, sequence, what, not_after, pid, pid_started FROM command"
        ).fetchall()
        return [
            Unfinished(
                plug_id=PlugId(plug),
                token=Token(epoch=epoch, sequence=sequence),
                what=What(what),
                not_after=not_after,
                started=None if pid is None else Started(pid=pid, pid_started=pid_started),
            )
            for plug, epoch, sequence, what, not_after, pid, pid_started in rows
        ]

    def forget_past(self, *, now: float) -> None:
        """Delete commands whose `not_after` is over."""
        self._connection.execute("DELETE FROM command WHERE not_after <= ?", (now,))

    def highest(self, plug_id: PlugId) -> Token | None:
        row = self._connection.execute("SELECT epoch, sequence FROM plug WHERE plug = ?", (plug_id,)).fetchone()
        return None if row is None or row[0] == FORGOTTEN else Token(epoch=row[0], sequence=row[1])

    def epoch_seen(self, plug_id: PlugId) -> int | None:
        """Return the epoch with which to compare a token: the plug's, or for a new plug the highest of all plugs.

        None if there is none, or after --forget-plug.
        """
        row = self._connection.execute("SELECT epoch FROM plug WHERE plug = ?", (plug_id,)).fetchone()
        if row is None:
            return self._epoch_of_plugs()
        return None if row[0] == FORGOTTEN else int(row[0])

    def forget_plug(self, plug_id: PlugId, *, now: float) -> Forgotten | None:
        """Accept any token next for the plug; return None if the plug is unknown. Stop the agent first: a late command
        could still reach a running one, while a new run rejects it (S5). Commands that may still act keep their end.

        The floors fall to the highest epoch of the other plugs, because the forgotten token may have raised them.
        """
        row = self._connection.execute("SELECT epoch FROM plug WHERE plug = ?", (plug_id,)).fetchone()
        if row is None:
            return None
        highest = self.highest(plug_id)
        self._connection.execute("UPDATE plug SET epoch = ?, sequence = ? WHERE plug = ?", (FORGOTTEN, 0, plug_id))
        self._connection.execute(
            "UPDATE command SET not_after = min(not_after, ?) WHERE plug = ?",
            (now + NOT_AFTER_AHEAD_SECONDS_MAX, plug_id),
        )
        store = self.store()
        if store is not None:
            self._table.lower(store, self._epoch_of_plugs())
        ends = [command.not_after for command in self.unfinished() if command.plug_id == plug_id]
        return Forgotten(highest=highest, not_after=max((end for end in ends if end > now), default=None))

    def plugs(self) -> list[str]:
        """Return all known plugs."""
        return [str(row[0]) for row in self._connection.execute("SELECT plug FROM plug ORDER BY plug")]

    def store(self) -> str | None:
        """Return the store whose tokens are accepted; None before the first power command."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
        return None if row is None else str(row[0])

    def agent_id(self) -> str:
        """Return the unique id of this state directory. Processes that the agent starts carry it (S16)."""
        return str(self._connection.execute("SELECT value FROM meta WHERE name = 'agent'").fetchone()[0])

    def adopt(self, store: str) -> None:
        """Accept tokens of this store from now on, and forget those of the old store: they are not comparable.

        Commands under the old tokens may still act. They get negative epochs, which no store issues.
        """
        if self.store() != store:
            self._connection.execute("DELETE FROM plug")
            self._connection.execute("UPDATE OR IGNORE command SET epoch = -1 - epoch WHERE epoch >= 0")
        self._set_meta("store", store)

    def close(self) -> None:
        self._connection.close()
        self._release_lock()

    def _prepare(self) -> None:
        self._table, self._has_floors = Floors(self._connection), False
        self._floors = {}
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise StateError(
                f"{self._path}: written by a newer fenced (schema {version}); install that version or a newer one"
            )
        # An older agent may run beside a command of this program (--show-store), which must not change its schema.
        if version == 0 or (version < SCHEMA_VERSION and self._is_owner):
            with self.transaction():
                for statement in itertools.chain.from_iterable(MIGRATIONS[version:]):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                if version == 0:
                    self._set_meta("agent", f"proxy-{uuid.uuid4().hex}")
            version = SCHEMA_VERSION
        self._has_floors = version >= SCHEMA_VERSION
        if self._has_floors:
            self._floors = self._table.all()

    def _why_foreign(self, store: str) -> str | None:
        adopted = self.store()
        if adopted is None or store == adopted:
            return None
        return (
            f"of store {store!r}, but this proxy obeys store {adopted!r}; if the new store is yours: "
            f"fenced proxy -c FILE --adopt-store {store}"
        )

    def _why_no_floor(self, floor: Floor | None, epoch: int, holder: str) -> str | None:
        if epoch > EPOCH_MAX:
            return f"epoch {epoch} is beyond what any daemon issues"
        if floor is not None and (why := floor.why_not(epoch, holder)) is not None:
            return why
        far = why_far(epoch, self._epoch_of_plugs(), floor)
        return None if far is None else f"epoch {epoch} is {far}, {_forget('PLUG')}"

    def _write_floor(self, store: str, shard: str, epoch: int, holder: str, *, since: int) -> str | None:
        """Raise a floor to an epoch that it does not forbid. Return why there is no room for it, or None."""
        floor = self._table.get(store, shard)
        if floor is None:
            if not self._table.has_room(beside=self.store()):
                return f"this proxy knows {FLOORS_MAX} floors already, its maximum; empty its state_dir"
            floor = Floor(store=store, shard=shard, epoch=epoch, holder="", since=since)
        self._table.write(floor.raised(epoch, holder))
        return None

    def _keep(self, claim: Claim) -> None:
        key = (claim.plug_id, claim.token.epoch, claim.token.sequence)
        self._connection.execute("INSERT OR REPLACE INTO plug VALUES (?, ?, ?)", key)
        self._connection.execute(
            "INSERT OR REPLACE INTO command (plug, epoch, sequence, what, not_after, machine_boot, store, shard)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, claim.what.value, claim.not_after, self._machine_boot, claim.store, claim.shard),
        )

    def _is_forgotten(self, plug_id: PlugId) -> bool:
        row = self._connection.execute("SELECT epoch FROM plug WHERE plug = ?", (plug_id,)).fetchone()
        return row is not None and row[0] == FORGOTTEN

    def _epoch_of_plugs(self) -> int | None:
        """Return the highest epoch of all plugs that are not forgotten, or None."""
        row = self._connection.execute("SELECT max(epoch) FROM plug WHERE epoch != ?", (FORGOTTEN,)).fetchone()
        return None if row[0] is None else int(row[0])

    def _set_meta(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  a constant

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _forget(plug_id: str) -> str:
    return f"stop the proxy agent and run: fenced proxy -c FILE --forget-plug {shlex.quote(plug_id)}"


def hold_lock(path: Path) -> IO[str]:
    """Return the locked file; closing it releases the lock. Raises StateError if another process holds it, OSError."""
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.seek(0)
        holder = file.read(32).strip() or "unknown"
        file.close()
        raise StateError(f"{path}: another proxy agent (process {holder}) uses this state_dir; stop it first") from exc
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
