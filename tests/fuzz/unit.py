"""A power unit that speaks SNMP in memory: honest answers, or whatever a test puts in their place.

It has the users' keys, so it can sign and encrypt rubbish. Key localization and ciphers are the driver's (tests/drivers
compares them with net-snmp's); everything else is an independent implementation.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pyasn1.type import univ

from fenced.drivers.snmp import users as snmp_users
from fenced.drivers.snmp.users import Engine, User
from tests.fuzz.ber import NULL, OCTETS, SEQUENCE, integer, number, numbers, oid, read, tlv

GET, RESPONSE, SET, REPORT = 0xA0, 0xA2, 0xA3, 0xA8
TICKS: Final = 0x43
MISSING: Final = 0x80
STATISTICS: Final = (1, 3, 6, 1, 6, 3, 15, 1, 1)
SYS_OBJECT_ID: Final = (1, 3, 6, 1, 2, 1, 1, 2, 0)
SYS_UP_TIME: Final = (1, 3, 6, 1, 2, 1, 1, 3, 0)
UP_TICKS: Final = 8_640_000
"""A day."""
WINDOW_SECONDS: Final = 150
Oid = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A parsed request. `data`: the datagram."""

    data: bytes
    request_id: int
    is_set: bool
    oids: tuple[Oid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The contents of a response; `binds`: name and whole value."""

    tag: int = RESPONSE
    request_id: int
    status: int = 0
    index: int = 0
    binds: tuple[tuple[bytes, bytes], ...]

    @property
    def pdu(self) -> bytes:
        binds = [tlv(SEQUENCE, name, value) for name, value in self.binds]
        return tlv(self.tag, integer(self.request_id), integer(self.status), integer(self.index), tlv(SEQUENCE, *binds))


Bend = Callable[[Question, Reply], list[Reply]]


@dataclass(slots=True, kw_only=True)
class Unit:
    """`version`: 0, 1 or 3. `user`: of version 3, with its keys. `values`: of its objects, encoded.

    `sets`: the commands that it accepted. `bend`: what it answers instead of an honest reply.
    """

    version: int
    user: User | None = None
    engine: Engine = field(default_factory=lambda: Engine(id=b"\x80\x00\x1f\x88\x04engine", boots=3, seconds=1000))
    values: dict[Oid, bytes] = field(default_factory=dict)
    sets: list[tuple[Oid, int]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    bend: Bend = lambda _question, reply: [reply]

    def __call__(self, data: bytes) -> list[bytes]:
        parts = read(read(data)[0][1])
        if self.version != snmp_users.VERSION_3:
            return [self._plain(reply) for reply in self._replies(data, parts[2])]
        return self._version_3(data, parts)

    def _plain(self, reply: Reply) -> bytes:
        return tlv(SEQUENCE, integer(self.version), tlv(OCTETS, b"public"), reply.pdu)

    def _version_3(self, data: bytes, parts: list[tuple[int, bytes]]) -> list[bytes]:
        header, security = read(parts[1][1]), read(read(parts[2][1])[0][1])
        message_id = number(header[0][1])
        engine_id, boots, seconds = security[0][1], number(security[1][1]), number(security[2][1])
        assert self.user is not None
        if engine_id != self.engine.id or not engine_id:
            return [self.report(message_id, 4, flags=0)]
        is_late = boots != self.engine.boots or abs(seconds - self.engine.seconds) > WINDOW_SECONDS
        if self.user.signing and is_late:
            return [self.report(message_id, 2, flags=1)]
        scoped = parts[3]
        if self.user.encrypting:
            scoped = read(self._decrypted(scoped[1], (boots, seconds, univ.OctetString(security[5][1]))))[0]
        pdu = read(scoped[1])[2]
        return [self.sealed(message_id, reply.pdu) for reply in self._replies(data, pdu)]

    def _replies(self, data: bytes, pdu: tuple[int, bytes]) -> list[Reply]:
        tag, content = pdu
        parts = read(content)
        binds = [read(each[1]) for each in read(parts[3][1])]
        question = Question(
            data=data,
            request_id=number(parts[0][1]),
            is_set=tag == SET,
            oids=tuple(numbers(bind[0][1]) for bind in binds),
        )
        self.asked.append(question.request_id)
        if question.is_set:
            self.sets += [(numbers(bind[0][1]), number(bind[1][1])) for bind in binds]
        return self.bend(question, self._honest(question))

    def _honest(self, question: Question) -> Reply:
        missing = [place for place, each in enumerate(question.oids) if each not in self.values]
        if missing and self.version == 0:
            binds = tuple((oid(each), tlv(NULL)) for each in question.oids)
            return Reply(request_id=question.request_id, status=2, index=missing[0] + 1, binds=binds)
        binds = tuple((oid(each), self.values.get(each, tlv(MISSING))) for each in question.oids)
        return Reply(request_id=question.request_id, binds=binds)

    def report(self, message_id: int, counter: int, *, flags: int) -> bytes:
        """Return the report with that counter, signed or not."""
        reply = Reply(tag=REPORT, request_id=message_id, binds=((oid((*STATISTICS, counter, 0)), integer(1, 0x41)),))
        return self.sealed(message_id, reply.pdu, flags=flags)

    def sealed(self, message_id: int, pdu: bytes, *, flags: int | None = None) -> bytes:
        """Return a version 3 message that protects this as the user's keys allow, or as `flags` say."""
        user = self.user
        assert user is not None
        if flags is None:
            flags = (1 if user.signing else 0) | (2 if user.encrypting else 0)
        scoped, salt = tlv(SEQUENCE, tlv(OCTETS, self.engine.id), tlv(OCTETS), pdu), b""
        if flags & 2 and user.encrypting:
            cipher = snmp_users._PRIVACY[snmp_users.CIPHERS[user.cipher]]
            key = snmp_users._privacy_key(user, self.engine)
            encrypted, salted = cipher.encrypt_data(key, (self.engine.boots, self.engine.seconds, None), scoped)
            scoped, salt = tlv(OCTETS, bytes(encrypted)), bytes(salted)
        length = snmp_users.DIGESTS[user.digest][1] if flags & 1 else 0

        def written(check: bytes) -> bytes:
            security = tlv(
                SEQUENCE, tlv(OCTETS, self.engine.id), integer(self.engine.boots), integer(self.engine.seconds),
                tlv(OCTETS, user.name.encode()), tlv(OCTETS, check), tlv(OCTETS, salt),
            )  # fmt: skip
            header = tlv(SEQUENCE, integer(message_id), integer(65507), tlv(OCTETS, bytes((flags,))), integer(3))
            return tlv(SEQUENCE, integer(3), header, tlv(OCTETS, security), scoped)

        if not (length and user.signing):
            return written(bytes(length))
        name, _, service = snmp_users.DIGESTS[user.digest]
        key = snmp_users._HASHES[service].localize_key(user.signing, univ.OctetString(self.engine.id))
        return written(hmac.digest(bytes(key), written(bytes(length)), name)[:length])

    def _decrypted(self, encrypted: bytes, how: tuple[int, int, Any]) -> bytes:
        assert self.user is not None
        cipher: Any = snmp_users._PRIVACY[snmp_users.CIPHERS[self.user.cipher]]
        key = snmp_users._privacy_key(self.user, self.engine)
        return bytes(cipher.decrypt_data(key, how, univ.OctetString(encrypted)))
