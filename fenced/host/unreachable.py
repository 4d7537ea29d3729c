"""Reads who sent the ICMP message that ended a connection attempt (ip(7), IP_RECVERR; RFC 792, RFC 4443).

A host that rejects a packet says so from its own address: its kernel lives. A router that finds nobody at the address
says "host unreachable". Whatever else a router or a firewall says (prohibited, no route, a loop) is about the way.
"""

import contextlib
import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Final

_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_ERROR: Final = struct.Struct("=IBBBBII")
"""struct sock_extended_err: errno, origin, type, code, padding, info, data. The sender's address follows it."""
_BYTES: Final = 512
_NOBODY_THERE: Final = {
    2: (3, 1),  # ICMP: destination unreachable, host unreachable
    3: (1, 3),  # ICMPv6: destination unreachable, address unreachable
}
"""By the origin of the error, the type and code of a message that nobody is at the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`by`: the sender's address. `is_nobody_there`: it says that nobody is at the address, and nothing about the way.
    `words`: what it is, for operators."""

    by: str
    is_nobody_there: bool
    words: str


def listen(sock: socket.socket) -> None:
    """Have the kernel keep such messages for this socket. Before it connects."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_IP, _IP_RECVERR, 1)
    elif sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)


def message(sock: socket.socket) -> Message | None:
    """Return the message that ended the attempt; None: there was none, as when a TCP segment or nothing ended it."""
    with contextlib.suppress(OSError, ValueError, struct.error):
        _, parts, _, _ = sock.recvmsg(_BYTES, _BYTES, socket.MSG_ERRQUEUE)
        for level, kind, data in parts:
            if (level, kind) in {(socket.SOL_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}:
                return _read(data)
    return None


def _read(data: bytes) -> Message | None:
    _, origin, kind, code, *_ = _ERROR.unpack_from(data)
    if origin not in _NOBODY_THERE:
        return None
    sender = data[_ERROR.size :]
    raw = sender[8:24] if origin == 3 else sender[4:8]
    name = "ICMPv6" if origin == 3 else "ICMP"
    return Message(
        by=str(ipaddress.ip_address(raw)), is_nobody_there=(kind, code) == _NOBODY_THERE[origin],
        words=f"{name} type {kind} code {code}",
    )  # fmt: skip
