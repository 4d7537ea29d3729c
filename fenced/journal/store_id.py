"""The id of the daemon's store, in a file beside the lock, so that a lost store is no first start (S19).

It knows files, not the store. The file is written atomically, and only after the store that it names holds everything
that the daemon must not forget.
"""

import os
from pathlib import Path
from typing import Final

from fenced.model.text import printable

NAME: Final = "fenced.store"
_BYTES_MAX: Final = 200


class StoreIdFile:
    """`<state_dir>/fenced.store`."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME

    def read(self) -> str | None:
        """Return None if there was no store. An invalid id matches no store, and is printable. Raises OSError."""
        try:
            with self._path.open("rb") as file:
                return printable(file.read(_BYTES_MAX).decode("utf-8", "replace")).strip() or "unreadable"
        except FileNotFoundError:
            return None

    def write(self, store_id: str) -> None:
        """Write the id to the disk. Raises OSError."""
        new = self._path.with_name(NAME + ".new")
        with open(new, "w", encoding="utf-8", opener=_private) as file:
            file.write(store_id + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
