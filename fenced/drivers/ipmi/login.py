"""The login of IPMI 2.0 as values: Open Session and RAKP 1 to 4 (IPMI 2.0, 13.15 to 13.24).

Each step is a frozen state with the `datagram` to send; `take` parses the answer into the next state or Refused. There
is no socket, clock or randomness here. Any other datagram is a BadPacket and changes nothing. A session is used only
after the BMC has proven that it knows the password (RAKP 2) and the session key (RAKP 4).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fenced.drivers.ipmi.cipher import Keys, Suite, is_equal, keys
from fenced.drivers.ipmi.packets import BadPacket, Payload, parse_frame, plain_frame

NAME_ONLY: Final = 0x10
"""Bit in the role: look up the user by name alone, not by name and privilege (13.20)."""
RANDOM_BYTES: Final = 16
GUID_BYTES: Final = 16
INTEGRITY_CHECK_VALUE_WRONG: Final = 0x0F


class Status(IntEnum):
    """The RMCP+ and RAKP status codes that the driver distinguishes (table 13-15)."""

    DONE = 0x00
    NO_RESOURCES = 0x01
    INVALID_SESSION = 0x02
    INVALID_AUTHENTICATION = 0x04
    INVALID_INTEGRITY = 0x05
    NO_AUTHENTICATION_MATCH = 0x06
    NO_INTEGRITY_MATCH = 0x07
    INACTIVE_SESSION = 0x08
    INVALID_ROLE = 0x09
    UNAUTHORIZED_ROLE = 0x0A
    NO_RESOURCES_FOR_ROLE = 0x0B
    INVALID_NAME_LENGTH = 0x0C
    UNAUTHORIZED_NAME = 0x0D
    UNAUTHORIZED_GUID = 0x0E
    WRONG_CHECK = 0x0F
    INVALID_CONFIDENTIALITY = 0x10
    NO_SUITE_MATCH = 0x11
    ILLEGAL_PARAMETER = 0x12


class Reason(IntEnum):
    """Why a login failed, by its remedy."""

    WRONG_SECRET = 1
    """The BMC has another password or Kg."""
    WRONG_USER = 2
    NO_SESSION = 3
    FORGOTTEN = 4
    """The BMC has dropped the login; another one may work."""
    OTHER_SUITE = 5
    NOT_UNDERSTOOD = 6


REASONS: Final = {
    Status.NO_RESOURCES: Reason.NO_SESSION,
    Status.NO_RESOURCES_FOR_ROLE: Reason.NO_SESSION,
    Status.INVALID_SESSION: Reason.FORGOTTEN,
    Status.INACTIVE_SESSION: Reason.FORGOTTEN,
    Status.INVALID_ROLE: Reason.WRONG_USER,
    Status.UNAUTHORIZED_ROLE: Reason.WRONG_USER,
    Status.INVALID_NAME_LENGTH: Reason.WRONG_USER,
    Status.UNAUTHORIZED_NAME: Reason.WRONG_USER,
    Status.WRONG_CHECK: Reason.WRONG_SECRET,
    Status.INVALID_AUTHENTICATION: Reason.OTHER_SUITE,
    Status.INVALID_INTEGRITY: Reason.OTHER_SUITE,
    Status.NO_AUTHENTICATION_MATCH: Reason.OTHER_SUITE,
    Status.NO_INTEGRITY_MATCH: Reason.OTHER_SUITE,
    Status.INVALID_CONFIDENTIALITY: Reason.OTHER_SUITE,
    Status.NO_SUITE_MATCH: Reason.OTHER_SUITE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The user and its keys. `kg`: the BMC's key, b"" if it has none. `repr` hides them."""

    username: bytes
    password: bytes
    kg: bytes
    privilege: int
    is_name_only: bool

    @property
    def role(self) -> int:
        return self.privilege | (NAME_ONLY if self.is_name_only else 0)

    @property
    def named(self) -> bytes:
        """Role, length of the name, and name, as the authentication codes cover them."""
        return bytes((self.role, len(self.username))) + self.username

    def __repr__(self) -> str:
        return "Credentials(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The login with this suite has failed. `reply`: a datagram that informs the BMC, or b""."""

    suite: Suite
    reason: Reason
    status: int
    reply: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """RAKP 4 was valid: the session's keys, its ids, and the GUID that the BMC signed."""

    keys: Keys
    console_id: int
    bmc_id: int
    guid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Waiting for the Open Session response. `console_id`, `console_random`: new for each login, never 0."""

    credentials: Credentials
    suite: Suite
    console_id: int
    console_random: bytes
    tag: int

    @property
    def datagram(self) -> bytes:
        proposals = b"".join(
            struct.pack("<BxxBBxxx", kind, 8, algorithm) for kind, algorithm in enumerate(self.suite.algorithms)
        )
        head = struct.pack("<BBxxI", self.tag, self.credentials.privilege, self.console_id)
        return plain_frame(Payload.OPEN_SESSION_REQUEST, head + proposals)

    def take(self, datagram: bytes) -> "Exchanging | Refused":
        """Raises BadPacket."""
        payload = _payload(datagram, Payload.OPEN_SESSION_RESPONSE, self.tag, self.console_id)
        if payload[1] != Status.DONE:
            return _refused(self.suite, payload[1])
        if len(payload) < 36:
            raise BadPacket("an Open Session response is too short")
        bmc_id = int.from_bytes(payload[8:12], "little")
        offered = payload[16] & 0x3F, payload[24] & 0x3F, payload[32] & 0x3F
        if bmc_id == 0:
            raise BadPacket("a session without an id")
        if offered != self.suite.algorithms:  # refuse a downgrade
            return Refused(suite=self.suite, reason=Reason.OTHER_SUITE, status=Status.NO_SUITE_MATCH)
        return Exchanging(opened=self, bmc_id=bmc_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanging:
    """Waiting for RAKP 2, in which the BMC proves that it knows the password."""

    opened: Opening
    bmc_id: int

    @property
    def datagram(self) -> bytes:
        credentials = self.opened.credentials
        head = struct.pack("<BxxxI", self.opened.tag, self.bmc_id) + self.opened.console_random
        name = struct.pack("<BxxB", credentials.role, len(credentials.username)) + credentials.username
        return plain_frame(Payload.RAKP_1, head + name)

    def take(self, datagram: bytes) -> "Confirming | Refused":
        """Raises BadPacket."""
        opened, suite = self.opened, self.opened.suite
        payload = _payload(datagram, Payload.RAKP_2, opened.tag, opened.console_id)
        if payload[1] != Status.DONE:
            return _refused(opened.suite, payload[1])
        if len(payload) != 40 + suite.digest_bytes:
            raise BadPacket("a RAKP 2 has the wrong length")
        bmc_random, guid, code = payload[8:24], payload[24:40], payload[40:]
        expected = suite.code(
            opened.credentials.password,
            struct.pack("<II", opened.console_id, self.bmc_id),
            opened.console_random,
            bmc_random,
            guid,
            opened.credentials.named,
        )
        if not is_equal(expected, code):
            no = struct.pack("<BBxxI", opened.tag, INTEGRITY_CHECK_VALUE_WRONG, self.bmc_id)
            return Refused(
                suite=suite,
                reason=Reason.WRONG_SECRET,
                status=Status.WRONG_CHECK,
                reply=plain_frame(Payload.RAKP_3, no),
            )
        return Confirming(exchanged=self, bmc_random=bmc_random, guid=guid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """Waiting for RAKP 4, in which the BMC proves that it has the session key."""

    exchanged: Exchanging
    bmc_random: bytes
    guid: bytes

    @property
    def datagram(self) -> bytes:
        opened = self.exchanged.opened
        code = opened.suite.code(
            opened.credentials.password,
            self.bmc_random,
            struct.pack("<I", opened.console_id),
            opened.credentials.named,
        )
        return plain_frame(Payload.RAKP_3, struct.pack("<BxxxI", opened.tag, self.exchanged.bmc_id) + code)

    @property
    def authenticated(self) -> Authenticated:
        """The session. Before RAKP 4 confirms it, use it only to close it."""
        opened = self.exchanged.opened
        return Authenticated(
            keys=keys(opened.suite, self._session_integrity_key),
            console_id=opened.console_id,
            bmc_id=self.exchanged.bmc_id,
            guid=self.guid,
        )

    def take(self, datagram: bytes) -> Authenticated | Refused:
        """Raises BadPacket."""
        opened, suite = self.exchanged.opened, self.exchanged.opened.suite
        payload = _payload(datagram, Payload.RAKP_4, opened.tag, opened.console_id)
        if payload[1] != Status.DONE:
            return _refused(opened.suite, payload[1])
        expected = suite.code(
            self._session_integrity_key,
            opened.console_random,
            struct.pack("<I", self.exchanged.bmc_id),
            self.guid,
        )[: suite.check_bytes]
        if not is_equal(expected, payload[8:]):
            return Refused(suite=suite, reason=Reason.WRONG_SECRET, status=Status.WRONG_CHECK)
        return self.authenticated

    @property
    def _session_integrity_key(self) -> bytes:
        opened = self.exchanged.opened
        key = opened.credentials.kg or opened.credentials.password
        return opened.suite.code(key, opened.console_random, self.bmc_random, opened.credentials.named)


Step = Opening | Exchanging | Confirming


def _payload(datagram: bytes, kind: Payload, tag: int, console_id: int) -> bytes:
    """Return the payload of a login's answer: at least eight bytes, or two of a refusal (OpenIPMI's BMC sends no more).

    Raises BadPacket unless it answers this request.
    """
    frame = parse_frame(datagram)
    if frame.payload_type != kind or frame.session_id or frame.is_authenticated or frame.is_encrypted:
        raise BadPacket("not the expected answer")
    payload = frame.payload
    is_short_refusal = 2 <= len(payload) < 8 and payload[1] != Status.DONE
    is_ours = len(payload) >= 8 and int.from_bytes(payload[4:8], "little") == console_id
    if not (is_ours or is_short_refusal) or payload[0] != tag:
        raise BadPacket("an answer to another login")
    return payload


def _refused(suite: Suite, status: int) -> Refused:
    is_known = status in Status.__members__.values()
    reason = REASONS.get(Status(status), Reason.NOT_UNDERSTOOD) if is_known else Reason.NOT_UNDERSTOOD
    return Refused(suite=suite, reason=reason, status=status)
