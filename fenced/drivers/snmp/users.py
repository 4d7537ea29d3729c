"""Packs and parses SNMP version 3 with the user-based security model (RFC 3412, 3414, 3826, 7860).

pysnmp localizes keys and encrypts, pyasn1 codes ASN.1. The digest is computed here, because pysnmp finds its place by
searching for zeros, which an engine id may contain as well. An answer counts only if it is protected like the request.
A report about the time window must be signed; other reports may be unsigned, since they can only make a call fail.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ
from pysnmp.proto import rfc1905
from pysnmp.proto.mpmod.rfc3412 import ScopedPDU, SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import (
    SnmpUSMSecurityModel,
    UsmSecurityParameters,
    aes,
    aes192,
    aes256,
    des,
    hmacmd5,
    hmacsha,
    hmacsha2,
)

from fenced.drivers.snmp.messages import MESSAGE_BYTES_MAX, UNDECODABLE, Request, Response, pdu_of, response_of

SECONDS_MAX: Final = 2**31 - 1
"""Limit of an engine's clock, which then restarts with a new boot count (RFC 3414, 2.2.2)."""
HASHED_BYTES: Final = 1_048_576
VERSION_3: Final = 3
USER_BASED: Final = 3
SIGNED, ENCRYPTED, REPORTABLE = 1, 2, 4
DIGESTS: Final = {
    "md5": ("md5", 12, hmacmd5.HmacMd5.SERVICE_ID),
    "sha": ("sha1", 12, hmacsha.HmacSha.SERVICE_ID),
    "sha224": ("sha224", 16, hmacsha2.HmacSha2.SHA224_SERVICE_ID),
    "sha256": ("sha256", 24, hmacsha2.HmacSha2.SHA256_SERVICE_ID),
    "sha384": ("sha384", 32, hmacsha2.HmacSha2.SAH384_SERVICE_ID),
    "sha512": ("sha512", 48, hmacsha2.HmacSha2.SHA512_SERVICE_ID),
}
"""auth_protocol: (hash, bytes of it in a message, pysnmp's id)."""
CIPHERS: Final = {
    "des": des.Des.SERVICE_ID,
    "aes": aes.Aes.SERVICE_ID,
    "aes192": aes192.AesBlumenthal192.SERVICE_ID,
    "aes256": aes256.AesBlumenthal256.SERVICE_ID,
    "aes192_cisco": aes192.Aes192.SERVICE_ID,
    "aes256_cisco": aes256.Aes256.SERVICE_ID,
}


class Complaint(Enum):
    """The reason in a report: the number of the counter in usmStats."""

    SECURITY_LEVEL = 1
    TIME_WINDOW = 2
    USER = 3
    ENGINE = 4
    DIGEST = 5
    DECRYPTION = 6
    OTHER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user and the hashes of its passphrases, not localized yet. Without a key: no signature, no encryption."""

    name: str
    context: str = ""
    digest: str = "sha"
    cipher: str = "aes"
    signing: bytes = b""
    encrypting: bytes = b""

    def __repr__(self) -> str:
        return f"User({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An agent's engine: its id, and its clock (boots, seconds) as received at `heard_at`."""

    id: bytes
    boots: int = 0
    seconds: int = 0
    heard_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A complaint, and the engine that it came with."""

    complaint: Complaint
    engine: Engine
    is_signed: bool


UNKNOWN_ENGINE: Final = Engine(id=b"")
_STATISTICS: Final = (1, 3, 6, 1, 6, 3, 15, 1, 1)
_HASHES: Final = SnmpUSMSecurityModel.AUTH_SERVICES
_PRIVACY: Final = SnmpUSMSecurityModel.PRIV_SERVICES


def hashed(digest: str, passphrase: str) -> bytes:
    """Do the slow first step of key derivation, a hash over a megabyte (RFC 3414 A.2); once for each passphrase."""
    octets = passphrase.encode()
    repeated = (octets * (HASHED_BYTES // len(octets) + 1))[:HASHED_BYTES]
    return hashlib.new(DIGESTS[digest][0], repeated).digest()


def pack_discovery(message_id: int) -> bytes:
    """Pack a request for the engine id: empty and without a user (RFC 3414 section 4)."""
    nobody = User(name="")
    return pack(nobody, UNKNOWN_ENGINE, Request(request_id=message_id, oids=()), now=0.0)


def pack(user: User, engine: Engine, request: Request, *, now: float) -> bytes:
    """Pack a request, signed and encrypted if the user has the keys. The message id is the request id."""
    flags = REPORTABLE | (SIGNED if user.signing else 0) | (ENCRYPTED if user.encrypting else 0)
    seconds = min(engine.seconds + max(0, int(now - engine.heard_at)), SECONDS_MAX) if engine.id else 0
    scoped = _scoped(user, engine, request)
    salt = b""
    if user.encrypting:
        cipher = _PRIVACY[CIPHERS[user.cipher]]
        encrypted, salted = cipher.encrypt_data(
            _privacy_key(user, engine), (engine.boots, seconds, None), encoder.encode(scoped)
        )
        salt = bytes(salted)
    # A random mark finds the digest's place; the digest is then computed with zeros there.
    mark = os.urandom(DIGESTS[user.digest][1]) if user.signing else b""
    message = SNMPv3Message()
    message["msgVersion"] = VERSION_3
    header = message["msgGlobalData"]
    header["msgID"], header["msgMaxSize"] = request.request_id, MESSAGE_BYTES_MAX
    header["msgFlags"], header["msgSecurityModel"] = bytes([flags]), USER_BASED
    message["msgSecurityParameters"] = encoder.encode(_parameters(user, engine, seconds, mark, salt))
    if user.encrypting:
        message["msgData"]["encryptedPDU"] = encrypted
    else:
        message["msgData"]["plaintext"] = scoped
    data = bytes(encoder.encode(message))
    return _signed(user, engine, data, mark) if user.signing else data


def unpack(user: User, engine: Engine, data: bytes, request_id: int, *, now: float) -> Response | Report | None:
    """Return the answer to that request or a report about it; None for anything else."""
    if len(data) > MESSAGE_BYTES_MAX:
        return None
    try:
        message, _ = decoder.decode(data, asn1Spec=SNMPv3Message())
        header = message["msgGlobalData"]
        is_ours = int(message["msgVersion"]) == VERSION_3 and int(header["msgID"]) == request_id
        if not is_ours or int(header["msgSecurityModel"]) != USER_BASED:
            return None
        flags = bytes(header["msgFlags"])[0]
        parameters, _ = decoder.decode(bytes(message["msgSecurityParameters"]), asn1Spec=UsmSecurityParameters())
        return _unpacked(user, engine, data, message, flags, parameters, request_id, now)
    except UNDECODABLE:
        return None


def _unpacked(
    user: User, engine: Engine, data: bytes, message: Any, flags: int, parameters: Any, request_id: int, now: float
) -> Response | Report | None:
    theirs = Engine(
        id=bytes(parameters["msgAuthoritativeEngineId"]),
        boots=int(parameters["msgAuthoritativeEngineBoots"]),
        seconds=int(parameters["msgAuthoritativeEngineTime"]),
        heard_at=now,
    )
    is_signed = bool(flags & SIGNED)
    if is_signed and not (theirs.id == engine.id and _is_authentic(user, engine, data, parameters)):
        return None
    if flags & ENCRYPTED:
        if not (is_signed and user.encrypting):
            return None
        pdu = _decrypted(user, theirs, parameters, message)
    else:
        pdu = message["msgData"]["plaintext"]["data"].getComponent()
    if pdu.tagSet == rfc1905.ReportPDU.tagSet:
        report = Report(complaint=_complaint(pdu), engine=theirs, is_signed=is_signed)
        return None if report.complaint is Complaint.TIME_WINDOW and not is_signed else report
    is_protected = is_signed >= bool(user.signing) and bool(flags & ENCRYPTED) >= bool(user.encrypting)
    is_theirs = theirs.id == engine.id and bytes(parameters["msgUserName"]) == user.name.encode()
    return response_of(pdu, request_id) if is_protected and is_theirs else None


def _scoped(user: User, engine: Engine, request: Request) -> Any:
    scoped = ScopedPDU()
    scoped["contextEngineId"], scoped["contextName"] = engine.id, user.context.encode()
    scoped.setComponentByPosition(2)
    pdu = pdu_of(request)
    scoped["data"].setComponentByType(pdu.tagSet, pdu, verifyConstraints=False, matchTags=False, matchConstraints=False)
    return scoped


def _parameters(user: User, engine: Engine, seconds: int, mark: bytes, salt: bytes) -> Any:
    parameters = UsmSecurityParameters()
    parameters["msgAuthoritativeEngineId"] = engine.id
    parameters["msgAuthoritativeEngineBoots"], parameters["msgAuthoritativeEngineTime"] = engine.boots, seconds
    parameters["msgUserName"] = user.name.encode()
    parameters["msgAuthenticationParameters"], parameters["msgPrivacyParameters"] = mark, salt
    return parameters


def _signed(user: User, engine: Engine, data: bytes, mark: bytes) -> bytes:
    head, _, tail = data.partition(mark)
    blank = bytes(len(mark))
    return head + _digest(user, engine, head + blank + tail) + tail


def _is_authentic(user: User, engine: Engine, data: bytes, parameters: Any) -> bool:
    told = bytes(parameters["msgAuthenticationParameters"])
    if not user.signing or len(told) != DIGESTS[user.digest][1]:
        return False
    head, _, tail = data.partition(told)
    return hmac.compare_digest(_digest(user, engine, head + bytes(len(told)) + tail), told)


def _digest(user: User, engine: Engine, data: bytes) -> bytes:
    name, length, service = DIGESTS[user.digest]
    key = _HASHES[service].localize_key(user.signing, univ.OctetString(engine.id))
    return hmac.digest(bytes(key), data, name)[:length]


def _privacy_key(user: User, engine: Engine) -> Any:
    service = DIGESTS[user.digest][2]
    return _PRIVACY[CIPHERS[user.cipher]].localize_key(service, user.encrypting, univ.OctetString(engine.id))


def _decrypted(user: User, engine: Engine, parameters: Any, message: Any) -> Any:
    cipher = _PRIVACY[CIPHERS[user.cipher]]
    how = (engine.boots, engine.seconds, parameters["msgPrivacyParameters"])
    plain = cipher.decrypt_data(_privacy_key(user, engine), how, message["msgData"]["encryptedPDU"])
    scoped, _ = decoder.decode(plain, asn1Spec=ScopedPDU())
    return scoped["data"].getComponent()


def _complaint(pdu: Any) -> Complaint:
    """Return the counter in the report (RFC 3414 section 3.2)."""
    counter = tuple(map(int, pdu[3][0][0]))
    is_known = counter[: len(_STATISTICS)] == _STATISTICS and len(counter) == len(_STATISTICS) + 2
    number = counter[len(_STATISTICS)] if is_known else 0
    return Complaint(number) if 0 <= number <= 6 else Complaint.OTHER
