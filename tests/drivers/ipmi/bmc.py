"""A BMC for tests, over UDP on loopback: cipher suites 3 and 17, few sessions, and faults on request.

It is written from the standard and imports nothing of the driver. Tests also run ipmitool and python-ipmi against it,
so that the driver is not checked by our own reading of the standard alone.
"""

import asyncio
import hmac
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP: Final = bytes.fromhex("0600ff07")
HASHES: Final = {1: ("sha1", 12), 3: ("sha256", 16)}
SUITE_ALGORITHMS: Final = {3: (1, 1, 1), 17: (3, 4, 1)}
AUTH_CAPABILITIES, SET_PRIVILEGE, CLOSE_SESSION = (6, 0x38), (6, 0x3B), (6, 0x3C)
DEVICE_ID, DEVICE_GUID, SYSTEM_GUID = (6, 0x01), (6, 0x08), (6, 0x37)
STATUS, CONTROL, FRU_READ = (0, 0x01), (0, 0x02), (10, 0x11)
OPEN, RAKP_1, RAKP_3, MESSAGE = 0x10, 0x12, 0x14, 0x00

CHASSIS_STATUS_ON: Final = bytes((0x01, 0x00, 0x01, 0x00, 0x00, 0x00))
"""Command, completion code, on, no event, no state."""

Key = tuple[int, int]
Address = tuple[Any, ...]


@dataclass(slots=True, kw_only=True)
class Session:
    """A session from Open Session to Close Session."""

    console_id: int
    bmc_id: int
    suite: int
    console_random: bytes = b""
    random: bytes = b""
    named: bytes = b""
    sik: bytes = b""
    sent: int = 0
    is_active: bool = False
    privilege: int = 2

    def code(self, key: bytes, *parts: bytes) -> bytes:
        return hmac.digest(key, b"".join(parts), HASHES[SUITE_ALGORITHMS[self.suite][0]][0])

    @property
    def check_bytes(self) -> int:
        return HASHES[SUITE_ALGORITHMS[self.suite][0]][1]


@dataclass(slots=True, kw_only=True)
class Bmc(asyncio.DatagramProtocol):
    """One BMC.

    `lose`: whether a request (by payload type, or network function and command) is lost before the BMC acts; `mute`:
    whether its answer is lost. `mangle`: changes outgoing datagrams.
    """

    username: str = "admin"
    password: str = "s3cret!pw"
    kg: bytes = b""
    suites: tuple[int, ...] = (3, 17)
    guid: bytes = bytes(range(16))
    user_privilege: int = 4
    sessions_max: int = 4
    is_on: bool = True
    is_available: bool = True
    is_obedient: bool = True
    fru: bytes = b""
    fru_read_max: int = 255
    completions: dict[Key, int] = field(default_factory=dict)
    lose: Callable[[Any], bool] = lambda _: False
    mute: Callable[[Any], bool] = lambda _: False
    mangle: Callable[[bytes], list[bytes]] = lambda datagram: [datagram]
    sessions: dict[int, Session] = field(default_factory=dict)
    asked: list[tuple[Key, bytes]] = field(default_factory=list)
    logins: list[int] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    @property
    def commands(self) -> list[bytes]:
        """The received power commands, in order."""
        return [data for key, data in self.asked if key == CONTROL]

    @property
    def active(self) -> int:
        return sum(session.is_active for session in self.sessions.values())

    def datagram_received(self, datagram: bytes, address: Address) -> None:
        self.received.append(datagram)
        if datagram[3:4] == b"\x06":  # ASF: are you there?
            entities = bytes.fromhex("000011be 00000000 81 00 000000000000")
            self._send(datagram[:8] + bytes((0x40, datagram[9], 0, 16)) + entities, address)
        if datagram[3:4] != b"\x07":
            return
        if datagram[4] == 0:
            self._without_session(datagram, address)
            return
        kind, session_id, length = datagram[5] & 0x3F, *struct.unpack_from("<I4xH", datagram, 6)
        payload = datagram[16 : 16 + length]
        if kind == MESSAGE and session_id in self.sessions:
            self._in_session(self.sessions[session_id], datagram, payload, address)
        elif kind in (OPEN, RAKP_1, RAKP_3) and not self.lose(kind):
            answer = {OPEN: self._open, RAKP_1: self._rakp_1, RAKP_3: self._rakp_3}[kind](payload)
            if answer and not self.mute(kind):
                self._send(RMCP + struct.pack("<BBIIH", 6, kind + 1, 0, 0, len(answer)) + answer, address)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def error_received(self, exc: Exception) -> None:
        """Ignore a client that has gone."""

    def _send(self, datagram: bytes, address: Address) -> None:
        assert self.transport is not None
        for one in self.mangle(datagram):
            self.transport.sendto(one, address)

    def _open(self, payload: bytes) -> bytes:
        tag, console_id = payload[0], int.from_bytes(payload[4:8], "little")
        asked = payload[12], payload[20], payload[28]
        suite = next((number for number in self.suites if SUITE_ALGORITHMS[number] == asked), None)
        if suite is None:
            return struct.pack("<BBxxI", tag, 0x11, console_id)
        if self.active >= self.sessions_max:
            return struct.pack("<BBxxI", tag, 0x01, console_id)
        bmc_id = 0x02000000 + len(self.logins) + 1
        self.logins.append(suite)
        self.sessions[bmc_id] = Session(console_id=console_id, bmc_id=bmc_id, suite=suite)
        chosen = b"".join(struct.pack("<BxxBBxxx", kind, 8, one) for kind, one in enumerate(asked))
        return struct.pack("<BBBxII", tag, 0, payload[1] or 4, console_id, bmc_id) + chosen

    def _rakp_1(self, payload: bytes) -> bytes:
        tag, session = payload[0], self.sessions.get(int.from_bytes(payload[4:8], "little"))
        if session is None:
            return struct.pack("<BBxxI", tag, 0x02, 0)
        role, name = payload[24], payload[28 : 28 + payload[27]]
        if name != self.username.encode():
            return struct.pack("<BBxxI", tag, 0x0D, session.console_id)
        if role & 0x0F > self.user_privilege:
            return struct.pack("<BBxxI", tag, 0x0A, session.console_id)
        session.console_random, session.random = payload[8:24], os.urandom(16)
        session.named = bytes((role, len(name))) + name
        ids = struct.pack("<II", session.console_id, session.bmc_id)
        code = session.code(
            self.password.encode(), ids, session.console_random, session.random, self.guid, session.named
        )
        return struct.pack("<BBxxI", tag, 0, session.console_id) + session.random + self.guid + code

    def _rakp_3(self, payload: bytes) -> bytes:
        tag, status, session = payload[0], payload[1], self.sessions.get(int.from_bytes(payload[4:8], "little"))
        if session is None or not session.random:
            return struct.pack("<BBxxI", tag, 0x02, 0)
        if status:
            del self.sessions[session.bmc_id]
            return b""
        password = self.password.encode()
        expected = session.code(password, session.random, struct.pack("<I", session.console_id), session.named)
        if payload[8:] != expected:
            del self.sessions[session.bmc_id]
            return struct.pack("<BBxxI", tag, 0x0F, session.console_id)
        session.sik = session.code(self.kg or password, session.console_random, session.random, session.named)
        session.is_active = True
        value = session.code(session.sik, session.console_random, struct.pack("<I", session.bmc_id), self.guid)
        return struct.pack("<BBxxI", tag, 0, session.console_id) + value[: session.check_bytes]

    def _in_session(self, session: Session, datagram: bytes, payload: bytes, address: Address) -> None:
        signed, check = datagram[4 : -session.check_bytes], datagram[-session.check_bytes :]
        if not session.is_active or self._sign(session, signed) != check:
            return
        key = session.code(session.sik, b"\x02" * 20)[:16]
        decryptor = Cipher(algorithms.AES(key), modes.CBC(payload[:16])).decryptor()
        plain = decryptor.update(payload[16:]) + decryptor.finalize()
        message = plain[: -plain[-1] - 1]
        network_function, command, data = message[1] >> 2, message[5], message[6:-1]
        asked = network_function, command
        if self.lose(asked):
            return
        self.asked.append((asked, data))
        answer = self._answer(session, asked, data)
        if not self.mute(asked):
            sequence = message[4] >> 2
            self._send(sealed_by(self, session, bytes((command,)) + answer, sequence, network_function + 1), address)

    def _answer(self, session: Session, asked: Key, data: bytes) -> bytes:
        """Return completion code and data."""
        if asked in self.completions:
            return bytes((self.completions[asked],))
        if asked == SET_PRIVILEGE:
            if data[0] > min(self.user_privilege, session.named[0] & 0x0F):
                return b"\x81"
            session.privilege = data[0] or session.privilege
            return bytes((0, session.privilege))
        if asked == CLOSE_SESSION:
            self.sessions.pop(int.from_bytes(data, "little"), None)
            return b"\x00"
        if asked == DEVICE_ID:
            return bytes((0, 0x20, 1, 0x01 | (0 if self.is_available else 0x80), 0, 2, 0xBF)) + bytes(9)
        if asked == STATUS:
            return bytes((0, self.is_on, 0, 0, 0))
        if asked == CONTROL:
            if session.privilege < 3:
                return b"\xd4"
            if self.is_obedient and data[0] in (0, 1):
                self.is_on = bool(data[0])
            return b"\x00"
        if asked in (SYSTEM_GUID, DEVICE_GUID):
            return b"\x00" + self.guid
        if asked == FRU_READ and self.fru:
            offset, count = int.from_bytes(data[1:3], "little"), data[3]
            if count > self.fru_read_max:
                return b"\xca"
            piece = self.fru[offset : offset + count]
            return bytes((0, len(piece))) + piece if piece else b"\xc9"
        return b"\xc1"

    def sealed(self, session: Session, message: bytes) -> bytes:
        session.sent += 1
        padding = -(len(message) + 1) % 16
        start = os.urandom(16)
        key = session.code(session.sik, b"\x02" * 20)[:16]
        encryptor = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
        plain = message + bytes(range(1, padding + 1)) + bytes((padding,))
        payload = start + encryptor.update(plain) + encryptor.finalize()
        signed = struct.pack("<BBIIH", 6, 0xC0, session.console_id, session.sent, len(payload)) + payload
        filler = -(len(signed) + 2) % 4
        signed += b"\xff" * filler + bytes((filler, 7))
        return RMCP + signed + self._sign(session, signed)

    @staticmethod
    def _sign(session: Session, signed: bytes) -> bytes:
        return session.code(session.code(session.sik, b"\x01" * 20), signed)[: session.check_bytes]

    def _without_session(self, datagram: bytes, address: Address) -> None:
        """IPMI 1.5 framing, which clients use before the login."""
        message = datagram[14 : 14 + datagram[13]]
        asked = message[1] >> 2, message[5]
        if asked != AUTH_CAPABILITIES:
            return
        body = bytes((message[3], message[1] | 4))
        rest = bytes((0x20, message[4], message[5], 0, 1, 0x80, 0x04, 0x02, 0, 0, 0, 0))
        answer = body + _sum(body) + rest + _sum(rest)
        self._send(RMCP + bytes(9) + bytes((len(answer),)) + answer, address)


def sealed_by(
    bmc: Bmc, session: Session, answer: bytes, request_sequence: int, network_function: int = STATUS[0] + 1
) -> bytes:
    """Pack an answer's message."""
    body = bytes((0x81, network_function << 2))
    rest = bytes((0x20, request_sequence << 2)) + answer
    return bmc.sealed(session, body + _sum(body) + rest + _sum(rest))


def _sum(part: bytes) -> bytes:
    return bytes((-sum(part) & 0xFF,))


@asynccontextmanager
async def serving(bmc: Bmc, *, host: str = "127.0.0.1") -> AsyncIterator[Bmc]:
    """Serve the BMC on a free port within the context."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: bmc, local_addr=(host, 0))
    bmc.port = transport.get_extra_info("sockname")[1]
    try:
        yield bmc
    finally:
        transport.close()
