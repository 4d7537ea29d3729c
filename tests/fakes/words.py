"""The words of a store in memory: what controllers without the lease said, until the holder folds it."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from fenced.ports.journal import Said, Word, WordsUnread


@dataclass(slots=True)
class WordRows:
    """`rows`: by number, each with the store's time at which it was said. `given`: the newest number."""

    rows: dict[int, tuple[Word, float]] = field(default_factory=dict)
    given: int = 0

    def add(self, said: Said, at: float) -> str:
        """Return the word's id."""
        self.given += 1
        word = Word(number=self.given, id=f"word-{self.given}", said=said)
        self.rows[word.number] = word, at
        return word.id

    def waiting(self, now: float) -> tuple[Word, ...]:
        return tuple(replace(word, age_seconds=max(now - at, 0.0)) for word, at in self.rows.values())

    def fold(self, numbers: Collection[int], now: float) -> None:
        """Drop the words that a batch folds. Raises WordsUnread if there is another one."""
        if any(number not in numbers for number in self.rows):
            raise WordsUnread(self.waiting(now))
        self.rows.clear()

    def copied(self) -> "WordRows":
        return replace(self, rows=dict(self.rows))
