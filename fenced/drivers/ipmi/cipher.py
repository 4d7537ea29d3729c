"""Encrypts and signs datagrams with cipher suites 3 and 17 (IPMI 2.0, 13.28 to 13.32 and table 22-20).

It compares codes in constant time and decrypts only authentic datagrams. Suites without authentication, integrity or
encryption (such as suite 0) are not supported.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fenced.drivers.ipmi.packets import (
    FORMAT_RMCP_PLUS,
    HEADER,
    IS_AUTHENTICATED,
    IS_ENCRYPTED,
    RMCP,
    BadPacket,
    Frame,
    Payload,
)

BLOCK_BYTES: Final = 16
AES_KEY_BYTES: Final = 16
NEXT_HEADER: Final = b"\x07"
CONSTANT_BYTES: Final = 20
"""Length of the constants for K1 and K2, the same for each hash (13.32)."""
AES_CBC_128: Final = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One row of table 22-20: algorithm numbers, the hash, and how many of its bytes are sent."""

    number: int
    authentication: int
    integrity: int
    digest: str
    check_bytes: int
    confidentiality: int = AES_CBC_128

    @property
    def digest_bytes(self) -> int:
        return hashlib.new(self.digest, usedforsecurity=False).digest_size

    @property
    def algorithms(self) -> tuple[int, int, int]:
        return self.authentication, self.integrity, self.confidentiality

    def code(self, key: bytes, *parts: bytes) -> bytes:
        """Return the whole HMAC."""
        return hmac.digest(key, b"".join(parts), self.digest)


SUITE_3: Final = Suite(number=3, authentication=1, integrity=1, digest="sha1", check_bytes=12)
SUITE_17: Final = Suite(number=17, authentication=3, integrity=4, digest="sha256", check_bytes=16)
SUITES: Final = (SUITE_17, SUITE_3)
"""The supported suites, the stronger one first."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one session, derived from its session integrity key. `repr` hides them."""

    suite: Suite
    integrity: bytes
    encryption: bytes

    def __repr__(self) -> str:
        return f"Keys(suite {self.suite.number})"


def keys(suite: Suite, session_integrity_key: bytes) -> Keys:
    """Derive K1 and K2 (13.32)."""
    return Keys(
        suite,
        suite.code(session_integrity_key, b"\x01" * CONSTANT_BYTES),
        suite.code(session_integrity_key, b"\x02" * CONSTANT_BYTES)[:AES_KEY_BYTES],
    )


def is_equal(one: bytes, other: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one, other)


def seal(held: Keys, message: bytes, *, session_id: int, sequence: int) -> bytes:
    """Return a whole datagram: encrypted, then signed (13.28.4, 13.29)."""
    payload = _encrypt(held, message)
    flags = Payload.MESSAGE | IS_ENCRYPTED | IS_AUTHENTICATED
    signed = HEADER.pack(FORMAT_RMCP_PLUS, flags, session_id, sequence, len(payload)) + payload
    padding = -(len(signed) + 2) % 4
    signed += b"\xff" * padding + bytes((padding,)) + NEXT_HEADER
    return RMCP + signed + held.suite.code(held.integrity, signed)[: held.suite.check_bytes]


def unseal(held: Keys, frame: Frame) -> bytes:
    """Return the message of an authentic frame. Raises BadPacket."""
    if not (frame.is_authenticated and frame.is_encrypted):
        raise BadPacket("not authenticated or not encrypted")
    if not is_equal(held.suite.code(held.integrity, frame.signed)[: held.suite.check_bytes], frame.check):
        raise BadPacket("its integrity check is wrong")
    return _decrypt(held, frame.payload)


def _encrypt(held: Keys, message: bytes) -> bytes:
    padding = -(len(message) + 1) % BLOCK_BYTES
    plain = message + bytes(range(1, padding + 1)) + bytes((padding,))
    start = os.urandom(BLOCK_BYTES)
    encryptor = Cipher(algorithms.AES(held.encryption), modes.CBC(start)).encryptor()
    return start + encryptor.update(plain) + encryptor.finalize()


def _decrypt(held: Keys, payload: bytes) -> bytes:
    if len(payload) < 2 * BLOCK_BYTES or len(payload) % BLOCK_BYTES:
        raise BadPacket("not whole blocks")
    decryptor = Cipher(algorithms.AES(held.encryption), modes.CBC(payload[:BLOCK_BYTES])).decryptor()
    plain = decryptor.update(payload[BLOCK_BYTES:]) + decryptor.finalize()
    padding = plain[-1]
    if padding >= BLOCK_BYTES or padding + 1 > len(plain):
        raise BadPacket("wrong padding")
    return plain[: -padding - 1]
