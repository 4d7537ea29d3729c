"""Where the daemon is, if nobody says: the unix socket if this user may open it, otherwise TCP.

Over TCP without tokens the API only reads. Whoever may not open the socket can therefore still look, and a refused
change says how to get access.
"""

import grp
import os
import socket
from pathlib import Path
from typing import Final

UNIX: Final = "unix:"
SOCKET_DEFAULT: Final = "/run/fenced/api.sock"
URL_DEFAULT: Final = "http://127.0.0.1:8470"
CONNECT_SECONDS: Final = 5.0


def default_url(path: str = SOCKET_DEFAULT) -> str:
    """Return the URL of the daemon of this machine. `path`: its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(path)
        except OSError:
            return URL_DEFAULT
    return UNIX + path


def is_denied(path: str = SOCKET_DEFAULT) -> bool:
    """Return whether the socket is there, and this user may not open it."""
    try:
        Path(path).stat()
    except OSError:
        return False
    return not os.access(path, os.R_OK | os.W_OK)


def why_denied(path: str = SOCKET_DEFAULT) -> str:
    """Return what this user can do to open the socket."""
    try:
        group = grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "permission denied: run it as root or as a member of the daemon's group"
    return (
        f"permission denied: join the group {group} (as root: usermod -aG {group} USER, then log in again), or run as "
        "root"
    )
