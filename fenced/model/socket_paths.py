"""The limit of a unix socket's path, which the configuration and the listener check alike."""

from typing import Final

PATH_BYTES_MAX: Final = 103
"""The kernel allows 107 (unix(7)). The socket is made beside its path first, under a name that is four longer."""


def why_no_socket_path(path: str) -> str | None:
    """Return why no unix socket can have this path, or None."""
    length = len(path.encode("utf-8", "surrogateescape"))
    if length <= PATH_BYTES_MAX:
        return None
    return f"has {length} bytes, and the path of a unix socket has at most {PATH_BYTES_MAX}: choose a shorter one"
