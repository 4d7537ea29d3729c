"""Packs and parses the datagrams of IPMI 2.0 over LAN: RMCP, session header and message (IPMI 2.0, 13.6 and 13.8).

It handles layout and checksums; keys and sessions are elsewhere. For any bytes, parsing returns a complete value or
raises BadPacket.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DATAGRAM_BYTES_MAX: Final = 1024
"""Longer than any expected answer."""
RMCP: Final = b"\x06\x00\xff\x07"
"""Version 1.0, no acknowledgement, class IPMI (13.1.3)."""
RMCP_VERSION: Final = 0x06
RMCP_CLASS_IPMI: Final = 0x07
FORMAT_RMCP_PLUS: Final = 0x06
IS_ENCRYPTED: Final = 0x80
IS_AUTHENTICATED: Final = 0x40
TYPE_MASK: Final = 0x3F
HEADER: Final = struct.Struct("<BBIIH")
"""Format, payload type and flags, session id, sequence number, payload length."""
BMC_ADDRESS: Final = 0x20
CONSOLE_ADDRESS: Final = 0x81
MESSAGE_BYTES_MIN: Final = 8


class BadPacket(Exception):
    """A datagram to ignore: too short, too long, malformed, not authentic, or not for this request."""


class Payload(IntEnum):
    """Payload types (table 13-16)."""

    MESSAGE = 0x00
    OPEN_SESSION_REQUEST = 0x10
    OPEN_SESSION_RESPONSE = 0x11
    RAKP_1 = 0x12
    RAKP_2 = 0x13
    RAKP_3 = 0x14
    RAKP_4 = 0x15


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One RMCP+ datagram. `signed`: the bytes under its integrity check. `check`: that check, or b""."""

    payload_type: int
    payload: bytes
    session_id: int = 0
    sequence: int = 0
    is_encrypted: bool = False
    is_authenticated: bool = False
    signed: bytes = b""
    check: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command to the BMC: network function, command, its data."""

    network_function: int
    command: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The BMC's answer. `completion`: 0 means done (table 5-2)."""

    network_function: int
    command: int
    request_sequence: int
    completion: int
    data: bytes = b""

    def is_to(self, request: Request, request_sequence: int) -> bool:
        """Return whether this answers that request."""
        return (
            self.network_function == request.network_function + 1
            and self.command == request.command
            and self.request_sequence == request_sequence
        )


def plain_frame(payload_type: Payload, payload: bytes) -> bytes:
    """Pack a datagram outside of a session, for the login."""
    return RMCP + HEADER.pack(FORMAT_RMCP_PLUS, payload_type, 0, 0, len(payload)) + payload


def parse_frame(datagram: bytes, *, check_bytes: int = 0) -> Frame:
    """Parse a datagram. `check_bytes`: the length of the integrity check in this session. Raises BadPacket."""
    if not len(RMCP) + HEADER.size <= len(datagram) <= DATAGRAM_BYTES_MAX:
        raise BadPacket(f"{len(datagram)} bytes")
    if datagram[0] != RMCP_VERSION or datagram[3] != RMCP_CLASS_IPMI:
        raise BadPacket("not RMCP with IPMI")
    form, flags, session_id, sequence, length = HEADER.unpack_from(datagram, len(RMCP))
    if form != FORMAT_RMCP_PLUS:
        raise BadPacket("not IPMI 2.0")
    start = len(RMCP) + HEADER.size
    payload, rest = datagram[start : start + length], datagram[start + length :]
    if len(payload) != length:
        raise BadPacket("cut off")
    is_authenticated = bool(flags & IS_AUTHENTICATED)
    if is_authenticated and (check_bytes == 0 or len(rest) < 2 + check_bytes):
        raise BadPacket("without its integrity check")
    return Frame(
        payload_type=flags & TYPE_MASK,
        payload=payload,
        session_id=session_id,
        sequence=sequence,
        is_encrypted=bool(flags & IS_ENCRYPTED),
        is_authenticated=is_authenticated,
        signed=datagram[len(RMCP) : -check_bytes] if is_authenticated else b"",
        check=rest[-check_bytes:] if is_authenticated else b"",
    )


def message(request: Request, request_sequence: int) -> bytes:
    """Pack the message of a request (13.8). `request_sequence`: 0 to 63."""
    head = bytes((BMC_ADDRESS, request.network_function << 2))
    body = bytes((CONSOLE_ADDRESS, request_sequence << 2, request.command)) + request.data
    return head + checksum(head) + body + checksum(body)


def parse_message(payload: bytes) -> Response:
    """Parse a message into its response. Raises BadPacket."""
    if len(payload) < MESSAGE_BYTES_MIN:
        raise BadPacket("the message is too short")
    if sum(payload[:3]) & 0xFF or sum(payload[3:]) & 0xFF:
        raise BadPacket("the message has a wrong checksum")
    if payload[0] != CONSOLE_ADDRESS or payload[3] != BMC_ADDRESS:
        raise BadPacket("the message has other addresses")
    return Response(
        network_function=payload[1] >> 2,
        request_sequence=payload[4] >> 2,
        command=payload[5],
        completion=payload[6],
        data=payload[7:-1],
    )


def checksum(part: bytes) -> bytes:
    """Return the byte that makes the sum zero (13.8)."""
    return bytes((-sum(part) & 0xFF,))
