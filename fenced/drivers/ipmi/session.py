"""An authenticated session as a value: packs requests and parses answers (IPMI 2.0, 6.12 and 13.28).

It handles keys and sequence numbers, without a socket or a clock. It accepts an answer only if it is authentic, belongs
to this session and is newer than all before it; the visit compares it with the request.
"""

from dataclasses import dataclass, replace
from typing import Final

from fenced.drivers.ipmi.cipher import seal, unseal
from fenced.drivers.ipmi.login import Authenticated
from fenced.drivers.ipmi.packets import BadPacket, Payload, Request, Response, message, parse_frame, parse_message

REQUEST_SEQUENCES: Final = 64
"""Request numbers have six bits (13.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`sequence`: that of the last datagram sent. `seen`: the highest received, -1 before the first.
    `request_sequence`: the number of the last request."""

    authenticated: Authenticated
    sequence: int = 0
    seen: int = -1
    request_sequence: int = 0

    def next_request(self) -> "Session":
        """Return the session for a new request (not for a repeat)."""
        return replace(self, request_sequence=(self.request_sequence + 1) % REQUEST_SEQUENCES)

    def datagram(self, request: Request) -> "tuple[Session, bytes]":
        """Pack a request. A repeat keeps its request number and gets a new session sequence number."""
        sequence = self.sequence + 1
        held = self.authenticated
        sealed = seal(held.keys, message(request, self.request_sequence), session_id=held.bmc_id, sequence=sequence)
        return replace(self, sequence=sequence), sealed

    def take(self, datagram: bytes) -> "tuple[Session, Response]":
        """Parse an answer of this session. Raises BadPacket for anything else, including a replay."""
        held = self.authenticated
        frame = parse_frame(datagram, check_bytes=held.keys.suite.check_bytes)
        if frame.payload_type != Payload.MESSAGE or frame.session_id != held.console_id:
            raise BadPacket("of another session")
        response = parse_message(unseal(held.keys, frame))
        if frame.sequence <= self.seen:
            raise BadPacket("a replay")
        return replace(self, seen=frame.sequence), response
