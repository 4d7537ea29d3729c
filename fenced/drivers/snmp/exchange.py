"""Exchanges requests and answers with one unit over UDP: when to send, when to repeat, and what counts as an answer.

It reads and sets objects; `unit` knows what they mean. A GET is repeated until it is answered or the caller's deadline
ends. A SET is sent once (S6) and never after its deadline, even if this machine was suspended in between.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

from fenced.drivers.snmp.messages import (
    VERSION_1,
    VERSION_2C,
    Request,
    Response,
    Value,
    ValueKind,
    pack_community,
    unpack_community,
)
from fenced.drivers.snmp.tables import Oid
from fenced.drivers.snmp.users import (
    UNKNOWN_ENGINE,
    Complaint,
    Engine,
    Report,
    User,
    pack,
    pack_discovery,
    unpack,
)
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable, LoginRefused, NotSupported

RESEND_SECONDS: Final = 0.5
RESEND_SECONDS_MAX: Final = 4.0
DATAGRAMS_MAX: Final = 32
"""Limit for unread datagrams of one unit; more are dropped."""
ENGINES_MAX: Final = 10_000
RESYNCS_MAX: Final = 3
OBJECTS_MAX: Final = 12
"""Limit for one message.
For objects of outlet tables, request and reply stay far below the 484 octets that every agent must accept."""
NO_SUCH_NAME: Final = 2
NO_ACCESS: Final = frozenset({4, 6, 17})
"""readOnly, noAccess, notWritable."""
AUTHORIZATION: Final = 16
PERHAPS_DONE: Final = frozenset({5, 14, 15})
"""genErr, commitFailed, undoFailed."""
MISSING: Final = Value(kind=ValueKind.MISSING)
LOGIN: Final = {
    Complaint.USER: "knows no such user",
    Complaint.DIGEST: "refuses the signature: wrong password, or another auth_protocol",
    Complaint.DECRYPTION: "can't decrypt: wrong privacy_password, or another privacy_protocol",
    Complaint.SECURITY_LEVEL: "demands another security level of this user (password, privacy_password)",
}
Unpack = Callable[[bytes], Response | Report | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The login at the agent: a community of version 1 or 2c, or a user of version 3."""

    version: int = VERSION_2C
    community: str = ""
    user: User | None = None

    def __repr__(self) -> str:
        return f"Account(version={self.version})"


Engines = dict[tuple[str, int, str], Engine]
"""Agents' engines by address, port and user. If the user signs, a wrong entry can only make a call fail."""


def boottime() -> float:
    """Seconds on a clock that goes on in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Channel(asyncio.DatagramProtocol):
    """A socket connected to one unit: it receives only that unit's datagrams, and ICMP refusals."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[bytes | OSError] = asyncio.Queue(DATAGRAMS_MAX)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has the methods without the base class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._arrive(data)

    def error_received(self, exc: Exception) -> None:
        self._arrive(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(data)

    async def receive(self) -> bytes:
        """Return the next datagram. Raises OSError for an ICMP error about an earlier request."""
        arrived = await self._arrived.get()
        if isinstance(arrived, bytes):
            return arrived
        raise arrived

    def close(self) -> None:
        """Close at once: a datagram that the kernel has not accepted is never sent."""
        if self._transport is not None:
            self._transport.abort()

    def _arrive(self, arrived: bytes | OSError) -> None:
        if not self._arrived.full():
            self._arrived.put_nowait(arrived)


class Exchange:
    """The requests of one call to one agent."""

    def __init__(self, channel: Channel, account: Account, engines: Engines, key: tuple[str, int, str]) -> None:
        self._channel = channel
        self._account = account
        self._engines = engines
        self._key = key
        self._engine = engines.get(key)
        self._name = key[0]

    async def get(self, wanted: tuple[Oid, ...]) -> dict[Oid, Value]:
        """Return the values of all these objects; MISSING for those that the agent lacks. Raises DeviceError."""
        found: dict[Oid, Value] = {}
        for start in range(0, len(wanted), OBJECTS_MAX):
            found |= await self._get(wanted[start : start + OBJECTS_MAX])
        return found

    async def set(self, target: Oid, value: int, *, deadline: float) -> None:
        """Set one object once, unless `deadline` (CLOCK_BOOTTIME) has passed. Call `get` first: it proves the account.

        Raises DeviceError, which says whether the command may be done.
        """
        request = Request(request_id=_number(), oids=(target,), value=value)
        data, read = self._packed(request)
        if boottime() >= deadline:
            raise DeviceTimedOut(f"{self._name}: the deadline passed before the command was sent", may_be_done=False)
        self._channel.send(data)
        try:
            answer = await self._answer(read)
        except OSError as exc:
            # The ICMP error may belong to an earlier datagram.
            raise DeviceUnreachable(f"{self._name}: {exc.strerror or exc}") from exc
        if isinstance(answer, Report):
            raise self._refused(answer, may_be_done=True)
        self._check_set(answer)

    async def _get(self, wanted: tuple[Oid, ...]) -> dict[Oid, Value]:
        """Get objects. In version 1 one missing object fails the request, so repeat it without that object."""
        asked = list(wanted)
        while asked:
            answer = await self._asked(Request(request_id=_number(), oids=tuple(asked)))
            if answer.error_status == NO_SUCH_NAME and 0 < answer.error_index <= len(asked):
                del asked[answer.error_index - 1]
                continue
            if answer.error_status == AUTHORIZATION:
                raise LoginRefused(f"{self._name}: authorization error", may_be_done=False)
            if answer.error_status or [oid for oid, _ in answer.values] != asked:
                what = f"error {answer.error_status}" if answer.error_status else "other objects than requested"
                raise DeviceError(f"{self._name} answered with {what}", may_be_done=False)
            return dict.fromkeys(wanted, MISSING) | dict(answer.values)
        return dict.fromkeys(wanted, MISSING)

    async def _asked(self, request: Request) -> Response:
        """Return the response. After a report about the engine's clock or id, adopt it and repeat, a few times."""
        for _ in range(RESYNCS_MAX):
            if self._account.user is not None and self._engine is None:
                await self._discover()
            data, read = self._packed(request)
            answer = await self._resent(data, read)
            if isinstance(answer, Response):
                return answer
            if answer.complaint is Complaint.TIME_WINDOW:
                self._learn(answer.engine)
            elif answer.complaint is Complaint.ENGINE:
                self._engine = None
            else:
                raise self._refused(answer, may_be_done=False)
        raise DeviceError(f"{self._name}: its clock or its engine id changes with every answer", may_be_done=False)

    async def _discover(self) -> None:
        number = _number()
        report = await self._resent(
            pack_discovery(number),
            lambda data: unpack(User(name=""), UNKNOWN_ENGINE, data, number, now=boottime()),
        )
        if not isinstance(report, Report) or not report.engine.id:
            raise NotSupported(
                f"{self._name} does not report its engine id; check that version 3 is enabled", may_be_done=False
            )
        self._learn(report.engine)

    def _learn(self, engine: Engine) -> None:
        """Remember the engine for this call and later ones."""
        if len(self._engines) >= ENGINES_MAX:
            self._engines.clear()
        self._engine = self._engines[self._key] = engine

    def _packed(self, request: Request) -> tuple[bytes, Unpack]:
        account = self._account
        if account.user is None:
            version, number = account.version, request.request_id
            return (
                pack_community(version, account.community, request),
                lambda data: unpack_community(version, data, number),
            )
        user, engine = account.user, self._engine
        assert engine is not None, "a get comes first"
        return (
            pack(user, engine, request, now=boottime()),
            lambda data: unpack(user, engine, data, request.request_id, now=boottime()),
        )

    async def _resent(self, data: bytes, read: Unpack) -> Response | Report:
        """Send the same bytes at growing intervals until they are answered."""
        wait = RESEND_SECONDS
        while True:
            self._channel.send(data)
            try:
                async with asyncio.timeout(wait):
                    return await self._answer(read)
            except TimeoutError:
                wait = min(wait * 2, RESEND_SECONDS_MAX)
            except OSError as exc:
                raise DeviceUnreachable(f"{self._name}: {exc.strerror or exc}", may_be_done=False) from exc

    async def _answer(self, read: Unpack) -> Response | Report:
        while True:
            answer = read(await self._channel.receive())
            if answer is not None:
                return answer

    def _refused(self, report: Report, *, may_be_done: bool) -> DeviceError:
        reason = LOGIN.get(report.complaint)
        if reason is not None:
            return LoginRefused(f"{self._name} {reason}", may_be_done=may_be_done)
        return DeviceError(
            f"{self._name} reports {report.complaint.name} instead of an answer", may_be_done=may_be_done
        )

    def _check_set(self, answer: Response) -> None:
        status = answer.error_status
        if status == 0:
            return
        if status in NO_ACCESS or status == AUTHORIZATION or (status == NO_SUCH_NAME and self._is_version_1):
            raise LoginRefused(
                f"{self._name} answered the command with error {status}: this login may read but not switch the outlet",
                may_be_done=False,
            )
        raise DeviceError(f"{self._name} answered the command with error {status}", may_be_done=status in PERHAPS_DONE)

    @property
    def _is_version_1(self) -> bool:
        return self._account.user is None and self._account.version == VERSION_1


@asynccontextmanager
async def exchange(host: str, port: int, account: Account, engines: Engines) -> AsyncIterator[Exchange]:
    """Open an exchange on a new socket. Raises DeviceUnreachable."""
    loop = asyncio.get_running_loop()
    try:
        _, channel = await loop.create_datagram_endpoint(Channel, remote_addr=(host, port))
    except socket.gaierror as exc:
        raise DeviceUnreachable(f"{host} can't be resolved: {exc.strerror}", may_be_done=False) from exc
    except OSError as exc:
        raise DeviceUnreachable(f"{host}: {exc.strerror or exc}", may_be_done=False) from exc
    try:
        yield Exchange(channel, account, engines, (host, port, "" if account.user is None else account.user.name))
    finally:
        channel.close()


def _number() -> int:
    """Return an unpredictable request id, so that an answer with it belongs to this request."""
    return secrets.randbelow(2**31 - 1) + 1
