"""Tables that can roll back: they undo a batch of decisions that the store rejects."""

from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

ABSENT: Final[Any] = object()
"""Remembered for a key that the table did not have."""


class Undoable(dict[K, V]):
    """A dict that remembers, from `begin` on, what each key held before its first change.

    Write through `put` and `drop` alone. The values are frozen or keep an undo log themselves. Reads cost what a dict's
    do.
    """

    __slots__ = ("before", "changes")

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[K, V] | None = None
        """By changed key: what it held, or ABSENT. None outside a batch, when nothing is remembered."""
        self.changes = 0
        """Rises with each change, and once more when the changes of a batch are kept or undone."""

    def begin(self) -> None:
        """Start remembering."""
        self.before = {}

    def put(self, key: K, value: V) -> None:
        if self.before is not None and key not in self.before:
            self.before[key] = self.get(key, ABSENT)
        self[key] = value
        self.changes += 1

    def drop(self, key: K) -> V | None:
        """Remove the key; return what it held."""
        if key not in self:
            return None
        if self.before is not None and key not in self.before:
            self.before[key] = self[key]
        self.changes += 1
        return self.pop(key)

    def roll_back(self) -> list[K]:
        """Put every changed key back; return the changed keys."""
        changed = list(self.before or ())
        self.changes += bool(changed)
        for key, value in (self.before or {}).items():
            if value is ABSENT:
                self.pop(key, None)
            else:
                self[key] = value
        self.before = None
        return changed

    def settle(self) -> None:
        """Keep the changes and stop remembering."""
        self.changes += bool(self.before)
        self.before = None
