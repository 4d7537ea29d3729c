"""The lock file: one daemon per state directory, for as long as its process lives.

The kernel's lock decides; the text in the file only names the holder, so the file of a killed process blocks no other.
Never remove the file: a lock on a removed file excludes no other daemon.
"""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fenced.ports.journal import StoreHeld

NAME: Final = "fenced.lock"
_TEXT_BYTES_MAX = 500


class LockFile:
    """Held from `acquire` until `release` or the end of the process. Child processes do not inherit it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, holder: str, now: float) -> None:
        """Raises StoreHeld, which names the holder, and OSError."""
        assert self._descriptor is None, "acquired twice"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                who = (
                    os.read(descriptor, _TEXT_BYTES_MAX).decode("utf-8", "replace").strip()
                    or "a daemon that is starting"
                )
                raise StoreHeld(
                    f"{self.path}: held by {who}; stop it first, or give this daemon its own state_dir"
                ) from exc
            started = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
            text = f"pid {os.getpid()}, daemon {holder}, since {started}\n".encode("utf-8", "replace")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text[:_TEXT_BYTES_MAX], 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
