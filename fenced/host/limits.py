"""Limits that the kernel sets on this process. Knows no server and no driver; nothing here is undone.

One rule: the limit of open files is only ever raised, and never above what the administrator allows; that of core dumps
is none, for passwords of devices are in memory.
"""

import resource
from typing import Final

OPEN_FILES_MAX: Final = 65_536


def allow_open_files() -> None:
    """A connection is a file: a thousand calls at once must not fail at the shell's soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forbid_core_dumps() -> None:
    """For this process and all that it starts. systemd-coredump, which the kernel calls all the same, obeys it too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
