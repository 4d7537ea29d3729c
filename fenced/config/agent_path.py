"""Finds fence agents that users other than their owner and root can replace."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from fenced.model.text import some

LINKS_MAX: Final = 16
SHOWN_MAX: Final = 3


def why_unsafe(agent_path: Sequence[Path]) -> str:
    """Return a warning that names the directories and agents that others can write; "" if there are none."""
    found = list(dict.fromkeys(path for place in _places(agent_path) for path in _open_to_others(place)))
    if not found:
        return ""
    return (
        f"users other than the owner can write {some([*map(str, found)], SHOWN_MAX)}"
        ": an exchanged agent runs with the daemon's rights and its OFF is believed; run chmod go-w"
    )


def _places(agent_path: Sequence[Path]) -> Iterator[Path]:
    """The directories, and the agents in them."""
    for directory in agent_path:
        yield directory
        yield from sorted(_agents(directory))


def _agents(directory: Path) -> Iterable[Path]:
    try:
        return list(directory.glob("fence_*"))
    except OSError:
        return ()


def _open_to_others(place: Path) -> Iterator[Path]:
    """Yield what others can write: the file or directory, the target of a link, and all folders above them."""
    for _ in range(LINKS_MAX):
        yield from (path for path in (place, *place.parents) if _can_others_write(path, is_above=path != place))
        try:
            place = Path(os.path.normpath(place.parent / place.readlink()))
        except OSError:
            return


def _can_others_write(path: Path, *, is_above: bool) -> bool:
    """A sticky directory protects the files in it from replacement, but not from new files beside them."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode) or (is_above and found.st_mode & stat.S_ISVTX):
        return False
    is_group_open = bool(found.st_mode & stat.S_IWGRP) and found.st_gid != 0
    return is_group_open or bool(found.st_mode & stat.S_IWOTH)
