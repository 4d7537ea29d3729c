"""Events as the reactor takes them: each with the caller that waits for its decision, and words before all others."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from fenced.core import events as e
from fenced.model.answers import Answer
from fenced.ports.journal import Word


class Asked(NamedTuple):
    """An event, when it arrived, and the future of a caller that waits until its decision is durable."""

    event: e.Event
    at: float
    future: asyncio.Future[Answer | None] | None = None


def with_words(asked: list[Asked], words: tuple[Word, ...], now: float) -> list[Asked]:
    """Put the words before all else. A takeover folds them itself, before it recovers an operation."""
    if any(isinstance(entry.event, e.Started) for entry in asked):
        return [_started_with(entry, words) for entry in asked]
    return [Asked(e.WordsRead(words=words), now), *asked]


def _started_with(entry: Asked, words: tuple[Word, ...]) -> Asked:
    if not isinstance(entry.event, e.Started):
        return entry
    return entry._replace(event=replace(entry.event, said=words))


def folded(asked: Iterable[Asked]) -> frozenset[int]:
    """Return the numbers of the words that a batch folds."""
    found: list[Word] = []
    for entry in asked:
        match entry.event:
            case e.WordsRead(words=words) | e.Started(said=words):
                found += words
            case _:
                pass
    return frozenset(word.number for word in found)
