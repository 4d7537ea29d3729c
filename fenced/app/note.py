"""Notes for `fenced check-config` under which wrong names hosts are heard: it reads files and hears no bus.

One rule: a note that can't be written is lost, and nothing else.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from fenced.config.heard_as import NOTE, written
from fenced.engine.misnamed import Misnamed

LOOK_SECONDS: Final = 10.0


class Note:
    """`state_dir`: where it is kept."""

    def __init__(self, state_dir: Path, misnamed: Misnamed) -> None:
        self._path, self._misnamed = state_dir / NOTE, misnamed

    async def run(self) -> None:
        """Written when it changes, also back to nothing; for ever."""
        last: str | None = None
        while True:
            text = written(self._misnamed.all())
            if text != last:
                last = text
                await asyncio.to_thread(self._write, text)
            await asyncio.sleep(LOOK_SECONDS)

    def _write(self, text: str) -> None:
        """Whole or not at all: the check may read at any moment."""
        beside = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            beside.write_text(text, encoding="utf-8")
            beside.replace(self._path)
