"""Whether a file that somebody else named is one that may be read: a plain one, of a bounded size, in a folder of ours.

Reads nothing. One rule: no file is touched before its name lies in a folder that may be looked into, for a FIFO, a device or
a network mount that is away would hold a thread for good.
"""

import os
import stat
from collections.abc import Sequence
from typing import Final

FILE_BYTES_MAX: Final = 1024 * 1024


def is_readable(path: str, *, within: Sequence[str] | None = None) -> bool:
    """Also a link, where it ends inside. `within` None: wherever it is. Blocks; raises nothing."""
    try:
        if within is not None and not _is_inside(path, within):
            return False
        found = os.stat(path)  # noqa: PTH116 - pathlib would take "." out of the name
        return stat.S_ISREG(found.st_mode) and found.st_size <= FILE_BYTES_MAX and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False


def _is_inside(path: str, folders: Sequence[str]) -> bool:
    """By its name first, then by where its links lead."""
    if not os.path.isabs(path) or os.path.normpath(path) != path:  # noqa: PTH117 - a text, as it was given
        return False
    if not any(_is_below(path, os.path.normpath(folder)) for folder in folders):
        return False
    real = os.path.realpath(path)
    return any(_is_below(real, os.path.realpath(folder)) for folder in folders)


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder and path != folder
