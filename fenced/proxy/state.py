"""The proxy agent's database: the highest token of each plug, the store that issued them, and commands under way.

Blocks, and is used from one thread only (see tokens.py). When `transaction` ends without an error its writes are on
disk, and an accepted token is never accepted again (S5, S16).
"""

import fcntl
import os
import shlex
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from fenced.model.names import PlugId, Token
from fenced.model.power import What
from fenced.ports.devices import Started

FILE_NAME: Final = "proxy.db"
LOCK_NAME: Final = "proxy.lock"
SCHEMA_VERSION: Final = 1
PLUGS_MAX: Final = 200_000
LOCK_WAIT_SECONDS: Final = 5.0
EPOCH_MAX: Final = 10**9
SEQUENCE_MAX: Final = 10**12
EPOCH_JUMP_MAX: Final = 1_000_000
"""Epochs rise by one with each start of a daemon; this allows one start a minute for two years without a command for
the plug. A higher token would lock out the daemon that the plug belongs to."""
EPOCH_JUMP_LOGGED: Final = 1000
NOT_AFTER_AHEAD_SECONDS_MAX: Final = 3600.0
"""A command may wait for one attempt and take another, then its device settles: 10 minutes each, plus clock drift."""

FORGOTTEN: Final = -1
"""The epoch of a plug after an operator ran --forget-plug."""

SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE plug (plug TEXT PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE command (plug TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, what TEXT NOT NULL,
       not_after REAL NOT NULL, machine_boot TEXT NOT NULL, pid INTEGER, pid_started TEXT,
       PRIMARY KEY (plug, epoch, sequence)) WITHOUT ROWID""",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


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

    def __init__(self, directory: Path, *, machine_boot: str, is_owner: bool = True) -> None:
        """Raises StateError."""
        self._path = directory / FILE_NAME
        self._machine_boot = machine_boot
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
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise StateError(f"{self._path}: can't be written: {exc}; is its disk full or read-only?") from exc

    def claim(self, claim: Claim) -> Denial | None:
        """Accept a token or return why not.

        The store of the first command is adopted; tokens of another are rejected.
        """
        if claim.token.epoch > EPOCH_MAX or claim.token.sequence > SEQUENCE_MAX:
            return Denial(why=f"token {claim.token} is beyond what any daemon issues", is_proxys_own=True)
        store = self.store()
        if store is None:
            self._set_meta("store", claim.store)
        elif store != claim.store:
            return Denial(
                why=f"the token is of store {claim.store!r}, but this proxy obeys store {store!r}; if the new store is "
                f"yours: fenced proxy -c FILE --adopt-store {claim.store}"
            )
        highest = self.highest(claim.plug_id)
        if highest is None and self._count("plug") >= PLUGS_MAX:
            why = f"this proxy knows {PLUGS_MAX} plugs already, its maximum; use another proxy, or empty its state_dir"
            return Denial(why=why, is_proxys_own=True)
        if highest is not None and claim.token <= highest:
            return Denial(
                why=f"token {claim.token} is not above {highest}, the highest seen for this plug; if no daemon of "
                "yours is that far, stop the proxy agent and run: "
                f"fenced proxy -c FILE --forget-plug {shlex.quote(claim.plug_id)}"
            )
        seen = self.epoch_seen(claim.plug_id)
        if seen is not None and claim.token.epoch - seen > EPOCH_JUMP_MAX:
            return Denial(
                why=f"token {claim.token} is more than {EPOCH_JUMP_MAX} starts of a daemon above epoch {seen}, the "
                "highest seen here; if your daemon is that far, stop the proxy agent and run: "
                f"fenced proxy -c FILE --forget-plug {shlex.quote(claim.plug_id)}",
                is_proxys_own=True,
            )
        key = (claim.plug_id, claim.token.epoch, claim.token.sequence)
        self._connection.execute("INSERT OR REPLACE INTO plug VALUES (?, ?, ?)", key)
        self._connection.execute(
            "INSERT OR REPLACE INTO command VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
            (*key, claim.what.value, claim.not_after, self._machine_boot),
        )
        return None

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
            row = self._connection.execute("SELECT max(epoch) FROM plug").fetchone()
        return None if row[0] is None or row[0] == FORGOTTEN else int(row[0])

    def forget_plug(self, plug_id: PlugId, *, now: float) -> Forgotten | None:
        """Accept any token next for the plug; return None if the plug is unknown. Stop the agent first: a late command
        could still reach a running one, while a new run rejects it (S5). Commands that may still act keep their end.
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
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise StateError(
                f"{self._path}: written by a newer fenced (schema {version}); install that version or a newer one"
            )
        if version < SCHEMA_VERSION:
            with self.transaction():
                for statement in SCHEMA:
                    self._connection.execute(statement)
                self._set_meta("agent", f"proxy-{uuid.uuid4().hex}")

    def _set_meta(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  a constant

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


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
