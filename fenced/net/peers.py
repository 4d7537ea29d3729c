"""Who is at the other end of a unix socket, as the kernel proves it (unix(7), SO_PEERCRED and SO_PEERGROUPS).

The kernel notes the user and the groups at `connect`, so a descriptor that was inherited or passed on is judged by the
program that connected. Names of users are left to others. Inside a user namespace every user that is not mapped
appears as OVERFLOW_ID, which therefore proves nothing.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Final

OVERFLOW_ID: Final = 65534
"""`nobody` and `nogroup`: the default of /proc/sys/kernel/overflowuid and overflowgid."""
_SO_PEERGROUPS: Final = 59
"""Since Linux 4.13. Python's socket module has no name for it."""
_CREDENTIALS: Final = struct.Struct("3i")
_GROUPS_BYTES_MAX: Final = 1024
"""The most that Python's getsockopt returns: 256 groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """`groups`: the primary group and the supplementary ones."""

    uid: int
    groups: frozenset[int]

    @property
    def source(self) -> str:
        """Return the key for limits on each client."""
        return f"uid {self.uid}"


def peer_of(connected: socket.socket) -> Peer | None:
    """Return the program that connected, or None if this is no unix socket. Raises OSError.

    A program in more than 256 groups is judged by its primary group alone.
    """
    if connected.family != socket.AF_UNIX:
        return None
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(uid=uid, groups=frozenset({gid, *_further_groups(connected)}))


def _further_groups(connected: socket.socket) -> tuple[int, ...]:
    try:
        raw = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES_MAX)
    except OSError:  # too many groups, or a kernel without the option
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)
