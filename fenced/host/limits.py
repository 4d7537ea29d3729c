"""Sets the kernel's limits for this process, for its whole life.

The limit of open files is only raised, and never above what the administrator allows. Core dumps are forbidden,
because the memory holds passwords of devices.
"""

import resource
from typing import Final

OPEN_FILES_MAX: Final = 65_536


def allow_open_files() -> None:
    """Raise the soft limit: each connection is a file, and a thousand calls at once exceed the shell's default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process and its children. systemd-coredump respects this limit, too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
