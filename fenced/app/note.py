"""Writes down under which wrong names hosts are heard, for `fenced check-config`, which does not listen to the bus.

A note that can't be written is lost; the daemon goes on.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from fenced.config.heard_as import NOTE, written
from fenced.model.names import HostName

LOOK_SECONDS: Final = 10.0
REFRESH_LOOKS: Final = 30
"""Write an unchanged note after so many looks: its time says that the daemon runs."""


class Heard(Protocol):
    """Knows under which wrong names hosts are heard."""

    def all(self) -> Mapping[HostName, tuple[str, ...]]:
        """Return the warnings of each host that has any."""
        ...


class Note:
    """`state_dir`: the directory of the note."""

    def __init__(self, state_dir: Path, misnamed: Heard) -> None:
        self._path, self._misnamed = state_dir / NOTE, misnamed

    async def run(self) -> None:
        """Write the note when it changes, also back to empty; run until cancelled. Then nothing is heard any more, so
        remove the note."""
        last, looks = "", 0
        try:
            while True:
                text = written(self._misnamed.all())
                if text != last or looks % REFRESH_LOOKS == 0:
                    last = text
                    await asyncio.to_thread(self._write, text)
                looks += 1
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        """Replace the file atomically, because the check may read it at any moment."""
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(text, encoding="utf-8")
            beside.replace(self._path)
