"""Ids in files of the state directory: of the daemon's store, so that a lost store is no first start (S19).

It knows files, not the store. A file is written atomically, and that of the store only after the store holds everything
that the daemon must not forget.
"""

from pathlib import Path
from typing import Final

from fenced.journal.files import write_whole
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
        write_whole(self._path, f"{id}\n".encode())
