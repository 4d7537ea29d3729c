"""What this controller saw of the store, kept in the state directory for a store that goes back in time (S22).

`Memory` compares it at `open`, and writes it again as the controller reads and writes. While the store lacks what it
names, the file keeps naming that, until the journal holds the doubt or a person accepts the store: a crash in between
must not lose it. A snapshot of the daemon's machine that is put back restores file and store together, if the store is
on it: then only the tokens at the proxies show it. A store that is restored alone is noticed.
"""

import functools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from fenced.core.durable.records import Entry, StoreDoubted, StoreReleased
from fenced.journal.files import write_whole
from fenced.journal.following import Mark, Position
from fenced.journal.leases import EPOCH_JUMP
from fenced.ports.journal import Words

NAME: Final = "fenced.seen"
BYTES_MAX: Final = 16 * 1024 * 1024
"""Maintenance of ten thousand hosts, each with a reason of a thousand characters, is 10 MB."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which database server holds the store: PostgreSQL's identifier and timeline. None: not known, or SQLite."""

    system: str | None = None
    timeline: int | None = None

    def or_else(self, other: "Server") -> "Server":
        """Return what is known here, and else what is known of the other."""
        return Server(
            system=other.system if self.system is None else self.system,
            timeline=other.timeline if self.timeline is None else self.timeline,
        )

    def difference(self, before: "Server") -> str:
        """Return what shows that this server is a copy, or holds an older state, of the one before; "" if nothing."""
        if None not in {self.system, before.system} and self.system != before.system:
            return (
                f"the database server is another one (system {self.system}, before {before.system}): a dump, a copy or "
                "a clone of the store"
            )
        if self.timeline is not None and before.timeline is not None and self.timeline < before.timeline:
            return f"the database server is on timeline {self.timeline}, and was on {before.timeline}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`epoch`, `mark`: the shard's newest epoch and record. `floor`: the highest epoch that was ever seen, also in a
    past that the store lost. `went_back`: what it lost, until the journal holds that or a person accepted it."""

    store: str = ""
    shard: str = ""
    epoch: int = 0
    floor: int = 0
    mark: Mark = field(default_factory=Mark)
    went_back: str = ""
    server: Server = field(default_factory=Server)
    words: Words | None = None

    @property
    def position(self) -> Position:
        """Return how far this controller knew the shard."""
        return Position(mark=self.mark, epoch=self.epoch)


class SeenFile:
    """`<state_dir>/fenced.seen`, readable by the daemon's user only."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME

    def read(self) -> Seen | None:
        """Return None if there is no file, or a damaged one. Raises OSError.

        A damaged file is no reason not to fence. The store itself says what is true, `fenced.store` still shows another
        store, and proxies still refuse an epoch that is too low.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        try:
            return _adapter().validate_python(json.loads(text))
        except (ValueError, ValidationError) as exc:
            log.warning(
                "seen_file_damaged", file=str(self._path), error=str(exc).partition("\n")[0],
                advice="check the disk; the daemon can't notice now whether the store lacks its newest records",
            )  # fmt: skip
            return None

    def write(self, seen: Seen) -> None:
        """Raises OSError."""
        # Escaped, so that a reason with a lone surrogate can be stored.
        text = json.dumps(_adapter().dump_python(seen, mode="json"), ensure_ascii=True, separators=(",", ":"))
        write_whole(self._path, text.encode() + b"\n")


class Memory:
    """What the file holds, and what to write into it next. Call `open` before anything else."""

    def __init__(self, file: SeenFile, *, shard: str) -> None:
        self._file, self._shard = file, shard
        self._written: Seen | None = None
        self._now = Seen(shard=shard)
        self._past: Seen | None = None
        """What the store lacks, while only the file says so."""
        self._writing = threading.Lock()

    def open(self) -> Seen:
        """Read the file; return what was seen of this shard. Raises OSError."""
        self._written = self._file.read()
        known = self._written or Seen(shard=self._shard)
        self._now = known if known.shard == self._shard else Seen(shard=self._shard, words=known.words)
        return self._now

    def opened(
        self, *, store: str, position: Position, server: Server, went_back: str, is_other_store: bool, is_away: bool
    ) -> None:
        """Note what the store holds. `went_back`: what it lacks. `is_other_store`: no person accepted it yet.
        `is_away`: neither this copy of it."""
        known = self._now
        if is_away or (is_other_store and not went_back and known.store != store):
            self._past = known  # that store may come back
        elif went_back:
            self._past = replace(known, went_back=went_back)
        same = known if known.store == store else Seen(shard=self._shard, words=known.words)
        now = replace(same, store=store, floor=max(same.floor, same.epoch), went_back="")
        self._now = replace(now, server=server.or_else(same.server))
        self.saw(position)

    @property
    def floor(self) -> int:
        """The next epoch of this store and shard must be above it: the highest that is known here, and after a loss
        also each one that the lost past may have held."""
        lost = self._past.epoch + EPOCH_JUMP - 1 if self._past is not None and self.lacks_past else 0
        return max(self._now.floor, lost)

    @property
    def lacks_past(self) -> bool:
        """Whether the store lacks what was seen, and only this file says so."""
        return self._past is not None and bool(self._past.went_back)

    def saw(self, position: Position) -> None:
        """Note what the store holds, also if that is less than before."""
        floor = max(self._now.floor, position.epoch)
        self._now = replace(self._now, epoch=position.epoch, floor=floor, mark=position.mark)

    def advanced(self, position: Position) -> None:
        """Note what was followed or written. The answers of two writes at once may come in any order."""
        if position.mark.sequence >= self._now.mark.sequence:
            self.saw(position)

    def saw_entries(self, entries: Sequence[Entry]) -> None:
        """Let go of the lost past once the journal holds the doubt: from then on each start reads it there."""
        if self._past is not None and any(isinstance(each.record, StoreDoubted | StoreReleased) for each in entries):
            self.accept()

    def accept(self) -> None:
        """The store counts as it is. Of its past only the highest epoch stays."""
        self._past = None

    def know_epoch(self, epoch: int) -> None:
        self._now = replace(self._now, floor=max(self._now.floor, epoch))

    def remember(self, words: Words) -> None:
        self._now = replace(self._now, words=words)

    def write(self) -> None:
        """Write the file if its content changed. Another thread may call it. Raises OSError."""
        with self._writing:
            new = self._now if self._past is None else self._kept(self._past)
            if new != self._written:
                self._file.write(new)
                self._written = new

    def _kept(self, past: Seen) -> Seen:
        floor = max(past.floor, self._now.floor) if past.store == self._now.store else past.floor
        return replace(past, floor=floor)


@functools.cache
def _adapter() -> TypeAdapter[Seen]:
    return TypeAdapter(Seen)
