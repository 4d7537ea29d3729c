"""Which fence agents a configuration may trust: on whose word, and in whose files.

Runs no agent. One rule: an agent runs with the daemon's rights and its OFF is believed, so that whoever can say what
it is can say that a host is off.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from fenced.config.inventory_tables import DeviceTable
from fenced.config.mistakes import Mistakes, Where
from fenced.model.drivers import DriverDescription

LINKS_MAX: Final = 16
SHOWN_MAX: Final = 3


def check_word(table: DeviceTable, description: DriverDescription | None, where: Where, mistakes: Mistakes) -> None:
    """An agent that nobody reviewed serves on a person's word alone (S1)."""
    if description is None:
        return
    if description.needs_word and not table.cuts_power:
        mistakes.error(
            where.key("driver"),
            f"is not reviewed: {description.needs_word}; if it does, a person says so with cuts_power = true",
            value=table.driver,
            unit="driver",
        )
    elif table.cuts_power and not description.needs_word:
        mistakes.warning(where.key("cuts_power"), f"is not needed: {description.name} was reviewed, or is ours")


def check_agent_path(agent_path: Sequence[Path], where: Where, mistakes: Mistakes) -> None:
    """One warning for all directories and agents that somebody besides their owner and root can exchange."""
    open_to_others = list(dict.fromkeys(path for place in _places(agent_path) for path in _open_to_others(place)))
    if open_to_others:
        more = len(open_to_others) - SHOWN_MAX
        mistakes.warning(
            where,
            f"others than the owner can write {', '.join(map(str, open_to_others[:SHOWN_MAX]))}"
            + (f" and {more} more" if more > 0 else "")
            + ": whoever can exchange an agent decides what is off, with the daemon's rights; chmod go-w",
            value=[str(path) for path in agent_path],
            unit="list",
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
