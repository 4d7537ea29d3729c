"""Checks whether a file that another party named may be read: a plain file of bounded size, in an allowed folder.

It reads no content. It touches no file unless its name is in an allowed folder, because a FIFO, a device or an
unreachable network mount could block a thread for ever.
"""

import os
import stat
from collections.abc import Sequence
from typing import Final

FILE_BYTES_MAX: Final = 1024 * 1024


def is_readable(path: str, *, within: Sequence[str] | None = None) -> bool:
    """A link counts if its target is inside. `within` None: any folder. It blocks, and raises nothing."""
    try:
        if within is not None and not _is_inside(path, within):
            return False
        found = os.stat(path)  # noqa: PTH116 - pathlib would remove "." from the name
        return stat.S_ISREG(found.st_mode) and found.st_size <= FILE_BYTES_MAX and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False


def _is_inside(path: str, folders: Sequence[str]) -> bool:
    """Check the name first, then the target of its links."""
    if not os.path.isabs(path) or os.path.normpath(path) != path:  # noqa: PTH117 - compared as given
        return False
    if not any(_is_below(path, os.path.normpath(folder)) for folder in folders):
        return False
    real = os.path.realpath(path)
    return any(_is_below(real, os.path.realpath(folder)) for folder in folders)


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder and path != folder
