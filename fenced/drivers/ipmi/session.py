"""An authenticated session as a value: requests out, answers in (IPMI 2.0, 6.12 and 13.28). No socket, no clock.

Knows keys and sequence numbers, not what a command means. One rule: an answer counts only if it is authentic, for this
session, newer than any before it, and to the very request that was made.
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
    """`sequence`: of the last datagram that we sent; `seen`: the highest that the BMC sent, -1 before its first one;
    `request_sequence`: the number of the last request."""

    authenticated: Authenticated
    sequence: int = 0
    seen: int = -1
    request_sequence: int = 0

    def next_request(self) -> "Session":
        """Before a request that is no repetition."""
        return replace(self, request_sequence=(self.request_sequence + 1) % REQUEST_SEQUENCES)

    def datagram(self, request: Request) -> "tuple[Session, bytes]":
        """The request as a datagram. Sent once more, it keeps its request number and gets a new session sequence."""
        sequence = self.sequence + 1
        held = self.authenticated
        sealed = seal(held.keys, message(request, self.request_sequence), session_id=held.bmc_id, sequence=sequence)
        return replace(self, sequence=sequence), sealed

    def take(self, datagram: bytes) -> "tuple[Session, Response]":
        """An answer of this session. Raises BadPacket for anything else, a repetition too."""
        held = self.authenticated
        frame = parse_frame(datagram, check_bytes=held.keys.suite.check_bytes)
        if frame.payload_type != Payload.MESSAGE or frame.session_id != held.console_id:
            raise BadPacket("of another session")
        response = parse_message(unseal(held.keys, frame))
        if frame.sequence <= self.seen:
            raise BadPacket("a repetition")
        return replace(self, seen=frame.sequence), response
