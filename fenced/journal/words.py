"""The words that controllers without the lease write, and the holder folds: the rows of `words`.

Who writes a word locks the shard's row of `lease` first, as each append does (`leases`). So an append that runs ends
before the word is there, and every later one sees it. Numbers are given before a commit, so a higher one may be visible
first: no number says what was folded, only the row's absence does.
"""

import uuid
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Double, bindparam, cast, delete, func, insert, select

from fenced.core.durable.restricting import DisarmSaid
from fenced.journal import codec, leases, statements
from fenced.journal.leases import Held
from fenced.journal.schema import WORDS
from fenced.ports.journal import Said, StoreError, Word, WordsNotRead, WordsUnread

log = structlog.get_logger(__name__)

WORDS_MAX: Final = 10_000
"""The most words of a shard: the holder takes them all at once."""


def say(connection: Connection, said: Said, shards: Sequence[str], format: int) -> str:
    """Write a word for each shard in the store's format, and return its id. Raises WordsNotRead, StoreError."""
    word_id, body = uuid.uuid4().hex[:12], codec.dump_word(said, format)
    for shard in sorted(shards):  # in one order, so that no two wait for each other
        if not leases.shared_lease(connection, shard):
            raise WordsNotRead(f"the controller that holds shard {shard} is an older program, which reads no words")
        if connection.execute(_COUNT, {"of": shard}).scalar_one() >= WORDS_MAX:
            raise StoreError(f"{WORDS_MAX} words wait for a controller that takes shard {shard}")
        at = statements.wall_time(connection.dialect.name)
        row = {"id": word_id, "at": at, "by": said.what.by, "body": body, "shard": shard}
        connection.execute(insert(WORDS).values(row))
    return word_id


def waiting(connection: Connection, *, shard: str) -> tuple[Word, ...]:
    """Return the words that no record holds yet, in the order of their numbers."""
    return tuple(_word(row) for row in connection.execute(_WAITING[connection.dialect.name], {"of": shard}))


def fold(connection: Connection, numbers: Collection[int], held: Held) -> None:
    """Delete the words that this transaction folds. The caller has locked the shard's row.

    Raises WordsUnread if there is another one.
    """
    found = waiting(connection, shard=held.shard)
    if any(word.number not in numbers for word in found):
        raise WordsUnread(found)
    if found:
        connection.execute(_DELETE, [{"of": word.number} for word in found])


def _word(row: Any) -> Word:
    """Return the word; one that can't be read forbids everything until an operator arms again."""
    try:
        said = codec.load_word(row.body)
    except codec.CodecError as exc:
        log.error("word_unreadable", number=row.number, by=row.by, error=str(exc), advice="it counts as a disarm")
        said = Said(what=DisarmSaid(by=str(row.by), reason=f"word {row.number} can't be read: {exc}"))
    age = float(row.age) if isinstance(row.age, float | int | Decimal) else 0.0
    return Word(number=row.number, id=row.id, said=said, age_seconds=max(age, 0.0))


_WAITING: Final = {
    dialect: select(
        WORDS.c.number, WORDS.c.id, WORDS.c.by, WORDS.c.body,
        (cast(statements.wall_time(dialect), Double) - WORDS.c.at).label("age"),
    ).where(WORDS.c.shard == bindparam("of")).order_by(WORDS.c.number)
    for dialect in ("sqlite", "postgresql")
}  # fmt: skip
_COUNT: Final = select(func.count()).select_from(WORDS).where(WORDS.c.shard == bindparam("of"))
_DELETE: Final = delete(WORDS).where(WORDS.c.number == bindparam("of"))
