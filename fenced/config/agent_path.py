"""Who besides their owner and root can exchange the fence agents that a daemon or proxy runs."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

LINKS_MAX: Final = 16
SHOWN_MAX: Final = 3


def why_unsafe(agent_path: Sequence[Path]) -> str:
    """The directories and agents that others can write, as a warning; "" where there are none."""
    found = list(dict.fromkeys(path for place in _places(agent_path) for path in _open_to_others(place)))
    if not found:
        return ""
    more = f" and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    return (
        f"others than the owner can write {', '.join(map(str, found[:SHOWN_MAX]))}{more}"
        ": whoever can exchange an agent decides what is off, with the daemon's rights; chmod go-w"
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
    """What others can write of this file or directory, of what it is a link to, and of all above both."""
    for _ in range(LINKS_MAX):
        yield from (path for path in (place, *place.parents) if _can_others_write(path, is_above=path != place))
        try:
            place = Path(os.path.normpath(place.parent / place.readlink()))
        except OSError:
            return


def _can_others_write(path: Path, *, is_above: bool) -> bool:
    """Where the sticky bit is set nobody can exchange what is another's, but anybody can put new things there."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode) or (is_above and found.st_mode & stat.S_ISVTX):
        return False
    is_group_open = bool(found.st_mode & stat.S_IWGRP) and found.st_gid != 0
    return is_group_open or bool(found.st_mode & stat.S_IWOTH)
