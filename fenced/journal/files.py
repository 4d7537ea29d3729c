"""Writes a small private file of the state directory, so that a crash leaves the old or the new content."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fenced.ports.journal import StoreError


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise StoreError for an error of the file system."""
    try:
        yield
    except OSError as exc:
        raise StoreError(f"{exc.filename}: {exc.strerror or exc}; check its owner, mode and disk") from exc


def write_whole(path: Path, content: bytes) -> None:
    """Write the content to the disk under the name, with mode 0600. Raises OSError."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
