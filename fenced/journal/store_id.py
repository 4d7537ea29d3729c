"""Ids in files of the state directory: of the daemon's store, so that a lost store is no first start (S19).

It knows files, not the store. A file is written atomically, and that of the store only after the store holds everything
that the daemon must not forget.
"""

import os
from pathlib import Path
from typing import Final

from fenced.model.text import printable

STORE_NAME: Final = "fenced.store"
_BYTES_MAX: Final = 200


class IdFile:
    """`<state_dir>/fenced.store`, or another name."""

    def __init__(self, state_dir: Path, name: str = STORE_NAME) -> None:
        self._path = state_dir / name

    def read(self) -> str | None:
        """Return None if there is no file. An invalid id matches no other, and is printable. Raises OSError."""
        try:
            with self._path.open("rb") as file:
                return printable(file.read(_BYTES_MAX).decode("utf-8", "replace")).strip() or "unreadable"
        except FileNotFoundError:
            return None

    def write(self, id: str) -> None:
        """Write the id to the disk. Raises OSError."""
        new = self._path.with_name(self._path.name + ".new")
        with open(new, "w", encoding="utf-8", opener=_private) as file:
            file.write(id + "\n")
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
