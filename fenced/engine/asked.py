"""Events as the reactor takes them: each with the caller that waits for its decision, and words before all others."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from fenced.core import events as e
from fenced.model.answers import Answer
from fenced.ports.control import Unavailable
from fenced.ports.journal import Word


class Asked(NamedTuple):
    """An event, when it arrived, and the future of a caller that waits until its decision is durable."""

    event: e.Event
    at: float
    future: asyncio.Future[Answer | None] | None = None


class Callers:
    """Who waits for decisions of one life of the engine. At its end nobody decides any more."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[Answer | None], None] = {}
        self._is_over = False

    def new(self, event: e.Event) -> "asyncio.Future[Answer | None]":
        """Return a future for the event's decision. Raises Unavailable after the end.

        Whoever reports a program waits on: it must not go on before the program is journalled, and ends with this life.
        """
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        if not isinstance(event, e.AgentSeen):
            if self._is_over:
                raise Unavailable("this controller begins anew; nothing was done")
            self._waiting[future] = None
            future.add_done_callback(lambda done: self._waiting.pop(done, None))
        return future

    def end(self) -> None:
        """Fail all that wait."""
        self._is_over = True
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(Unavailable("this controller begins anew; look whether it was done"))


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


def is_look(entry: Asked) -> bool:
    """Return whether the event makes the core look at a silence: what was heard is decided before it."""
    return isinstance(entry.event, e.LifeAsked)
