"""One visit to a BMC: log in, send requests or a command, close the session.

It adds time and a socket to `login` and `session`, which have neither: it decides when to repeat and when to give up.
Requests and the login are repeated; a power command is sent once (S6). A session that may exist is always closed,
because BMCs have few.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from fenced.drivers.ipmi.cipher import Suite
from fenced.drivers.ipmi.commands import close_session
from fenced.drivers.ipmi.line import Line
from fenced.drivers.ipmi.login import RANDOM_BYTES, Authenticated, Exchanging, Opening, Refused
from fenced.drivers.ipmi.packets import BadPacket, Request, Response
from fenced.drivers.ipmi.session import Session
from fenced.drivers.ipmi.settings import Settings
from fenced.ports.devices import DeviceError

WAITS: Final = (0.5, 1.0, 2.0)
"""Seconds to wait for an answer before each repeat. IPMI 2.0 (13.6) sets none; BMCs answer within a few tenths."""
BUSY: Final = 0xC0
BUSY_TRIES: Final = 4
BUSY_WAIT_SECONDS: Final = 0.25
BUSY_WAIT_FACTOR: Final = 2.0

Taken = TypeVar("Taken")


class SessionLost(Exception):
    """The BMC no longer answers in this session: it has restarted, or the network is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A login without an answer. `after`: the last request."""

    after: str


@dataclass(slots=True, kw_only=True)
class Tried:
    """The result of a login. `was_repeated`: a request was sent twice, so a BMC may have answered the other RAKP 1."""

    end: Session | Refused | Silent
    was_repeated: bool = False


class Visit:
    """At most one session at one address. The caller must call `leave`."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self._line = line
        self._settings = settings
        self._session: Session | None = None

    @property
    def who(self) -> str:
        """The BMC's name in messages."""
        return self._settings.who

    @property
    def guid(self) -> bytes:
        """The GUID that the BMC has signed with the password."""
        assert self._session is not None
        return self._session.authenticated.guid

    async def log_in(self, suites: Iterable[Suite]) -> Tried:
        """Try these suites in turn until the BMC answers. Raises DeviceUnreachable."""
        openings = [self._opening(suite) for suite in suites]
        waits = [wait for wait in WAITS for _ in openings]
        opened = None
        for wait, opening in zip(waits, itertools.cycle(openings), strict=False):  # the cycle is endless
            self._line.send(opening.datagram)
            opened = await self._answer(lambda datagram: _first(openings, datagram), wait)
            if opened is not None:
                break
        if isinstance(opened, Exchanging):
            return await self._exchange(opened)
        return Tried(end=opened or Silent(after="Open Session"))

    async def ask(self, request: Request) -> Response:
        """Send a request; repeat it until it is answered, and again while the BMC is busy. Raises SessionLost."""
        wait = BUSY_WAIT_SECONDS
        for _ in range(BUSY_TRIES - 1):
            response = await self._ask(request)
            if response.completion != BUSY:
                return response
            await asyncio.sleep(wait)
            wait *= BUSY_WAIT_FACTOR
        return await self._ask(request)

    def send(self, request: Request) -> None:
        """Send a power command once, now. If it raises DeviceError, nothing was sent."""
        self._line.send(self._sealed(request, is_new=True))

    async def answer_to(self, request: Request, *, wait_seconds: float) -> Response | None:
        """Return the answer to the last request; None if none came."""
        return await self._answer(self._answers(request), wait_seconds)

    async def close(self, *, wait_seconds: float) -> None:
        """Close the session and wait for the answer; ignore failures. The caller must still call `leave`."""
        session = self._session
        if session is not None:
            request = close_session(session.authenticated.bmc_id)
            with contextlib.suppress(DeviceError):
                self.send(request)
                if await self.answer_to(request, wait_seconds=wait_seconds) is not None:
                    self._session = None

    def leave(self) -> None:
        """Close a session that may still exist, without waiting; works after a cancellation, too."""
        session = self._session
        if session is not None:
            datagram = self._sealed(close_session(session.authenticated.bmc_id), is_new=True)
            self._session = None
            _try_to_send(self._line, datagram)

    def _opening(self, suite: Suite) -> Opening:
        return Opening(
            credentials=self._settings.credentials,
            suite=suite,
            console_id=secrets.randbelow(2**32 - 1) + 1,
            console_random=secrets.token_bytes(RANDOM_BYTES),
            tag=secrets.randbelow(256),
        )

    async def _exchange(self, exchanging: Exchanging) -> Tried:
        """Exchange RAKP 1 to 4."""
        confirming, was_repeated = await self._step(exchanging.datagram, exchanging.take)
        if confirming is None:
            return Tried(end=Silent(after="RAKP 1"))
        if isinstance(confirming, Refused):
            _try_to_send(self._line, confirming.reply)
            return Tried(end=confirming, was_repeated=was_repeated)
        # From here on the BMC may hold a session, even if RAKP 4 never comes; leave() closes it.
        self._session = Session(authenticated=confirming.authenticated)
        end, was_repeated_too = await self._step(confirming.datagram, confirming.take)
        was_repeated = was_repeated or was_repeated_too
        if isinstance(end, Authenticated):
            return Tried(end=self._session, was_repeated=was_repeated)
        return Tried(end=end or Silent(after="RAKP 3"), was_repeated=was_repeated)

    async def _step(self, datagram: bytes, take: Callable[[bytes], Taken]) -> tuple[Taken | None, bool]:
        """Send and repeat until answered; return the answer or None, and whether it was repeated."""
        for number, wait in enumerate(WAITS):
            self._line.send(datagram)
            taken = await self._answer(take, wait)
            if taken is not None:
                return taken, number > 0
        return None, True

    async def _ask(self, request: Request) -> Response:
        for number, wait in enumerate(WAITS):
            self._line.send(self._sealed(request, is_new=number == 0))
            response = await self._answer(self._answers(request), wait)
            if response is not None:
                return response
        raise SessionLost(f"no answer to command {request.network_function:02x} {request.command:02x}")

    def _sealed(self, request: Request, *, is_new: bool) -> bytes:
        assert self._session is not None
        session = self._session.next_request() if is_new else self._session
        self._session, datagram = session.datagram(request)
        return datagram

    def _answers(self, request: Request) -> Callable[[bytes], Response]:
        """Return a parser for the answer to this request. Every authentic datagram advances the session's sequence."""

        def take(datagram: bytes) -> Response:
            assert self._session is not None
            self._session, response = self._session.take(datagram)
            if not response.is_to(request, self._session.request_sequence):
                raise BadPacket("an answer to another request")
            return response

        return take

    async def _answer(self, take: Callable[[bytes], Taken], seconds: float) -> Taken | None:
        """Return the first datagram that `take` accepts within that time; ignore all others."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while True:
            datagram = await self._line.receive(end - clock())
            if datagram is None:
                return None
            with contextlib.suppress(BadPacket):
                return take(datagram)


def _first(openings: Sequence[Opening], datagram: bytes) -> Exchanging | Refused:
    """Parse the answer to any of these logins, including a late one. Raises BadPacket."""
    for opening in openings:
        with contextlib.suppress(BadPacket):
            return opening.take(datagram)
    raise BadPacket("an answer to another login")


def _try_to_send(line: Line, datagram: bytes) -> None:
    """Send a last datagram; if it fails, the BMC's own timeout ends the session."""
    if datagram:
        with contextlib.suppress(DeviceError):
            line.send(datagram)
