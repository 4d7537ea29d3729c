"""Remembers in `state_dir` under which name this daemon ran, to find its old name after a change of `daemon.name`."""

import contextlib
import json
from pathlib import Path
from typing import Final

from fenced.bus.topics import Topics
from fenced.config.files import UnusableFile, read_text
from fenced.engine.retired import Retired

NOTE: Final = "controller.json"
NOTE_BYTES_MAX: Final = 4096


def retired(state_dir: Path, *, site: str, name: str) -> Retired | None:
    """Return what clears the topic of the old name; None if the name is the same, or not known.

    The daemon's account may write only topics of the present site, so an old site's topics stay.
    """
    path = state_dir / NOTE

    def remember() -> None:
        with contextlib.suppress(OSError):  # the next start finds the older name, and clears that again
            path.write_text(json.dumps({"site": site, "name": name}), encoding="utf-8")

    old = _read(path)
    if old is None or old[0] != site or old[1] == name:
        remember()
        return None
    return Retired(Topics(site=site).controller(old[1]), remember)


def _read(path: Path) -> tuple[str, str] | None:
    try:
        found = json.loads(read_text(path, bytes_max=NOTE_BYTES_MAX)[0])
        return str(found["site"]), str(found["name"])
    except (UnusableFile, ValueError, TypeError, KeyError, RecursionError):
        return None
