"""Redfish sessions (DSP0266, session login): one token per BMC and user, shared by all calls, and given back at the end.

Knows logins and tokens, nothing of power. One rule: BMCs have few places for sessions, so each that we take is ended by us,
also when the call for which it was opened is cancelled; what is left over ends by the BMC's own timeout.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final, TypeGuard

import yarl

from fenced.drivers.redfish.answers import LOGIN_REFUSED, Answer, explanation, link, part
from fenced.drivers.redfish.target import HEADERS, Target, bad, inside
from fenced.drivers.redfish.transport import Request, Transport
from fenced.drivers.redfish.vendors import Meaning
from fenced.model.inventory import Secret
from fenced.ports.devices import DeviceError, DeviceNotReady, LoginRefused

ROOT: Final = "/redfish/v1/"
SESSIONS: Final = "/redfish/v1/SessionService/Sessions"
SESSIONS_MAX: Final = 10_000
"""Kept by one process, one per BMC and user; beyond it the oldest is ended."""
LEAVING_SECONDS: Final = 0.4
"""For the end of a login that was cancelled, and again for its logout: callers wait for that beyond their deadline."""
LOGOUT_SECONDS: Final = 2.0
LOGOUTS_AT_ONCE: Final = 64
CLOSE_SECONDS: Final = 10.0
TAKEN: Final = frozenset({200, 201})
NO_SUCH_SERVICE: Final = frozenset({404, 405, 501})

Login = tuple[yarl.URL, str, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`path`: what is deleted to end it; None where the BMC did not say."""

    target: Target
    token: Secret
    path: str | None


@dataclass(slots=True)
class _Place:
    """The session of one login, and whose turn it is to open it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: Session | None = None


class Sessions:
    """All sessions of one process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._places: dict[Login, _Place] = {}

    async def token(self, target: Target) -> Secret:
        """The token of the login's session, opened where there is none. Raises DeviceError."""
        place = self._places.setdefault(target.login, _Place())
        async with place.turn:
            if place.session is None:
                await self._make_room()
                place.session = await self._open(target)
            return place.session.token

    def forget(self, target: Target, token: Secret) -> None:
        """The BMC does not know this token (any more). Another one, opened meanwhile, stays."""
        place = self._places.get(target.login)
        if place is not None and place.session is not None and place.session.token == token:
            place.session = None

    async def close(self) -> None:
        """End all sessions that can be ended within a bounded time; idempotent."""
        places, self._places = self._places, {}
        slots = asyncio.Semaphore(LOGOUTS_AT_ONCE)

        async def end(session: Session) -> None:
            async with slots:
                await self._end(session, seconds=LOGOUT_SECONDS)

        try:
            async with asyncio.timeout(CLOSE_SECONDS), asyncio.TaskGroup() as tasks:
                for place in places.values():
                    if place.session is not None:
                        tasks.create_task(end(place.session), name=f"logout from {place.session.target.base}")
        except TimeoutError:
            return

    async def _make_room(self) -> None:
        """Ends the oldest session that nobody is just opening."""
        if len(self._places) <= SESSIONS_MAX:
            return
        for login, place in self._places.items():
            if place.session is not None and not place.turn.locked():
                del self._places[login]
                await self._end(place.session, seconds=LOGOUT_SECONDS)
                return

    async def _open(self, target: Target) -> Session:
        """Raises DeviceError."""
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(self._log_in(target), name=f"login at {target.base}")
            try:
                # Cancelled in the middle, the BMC may have opened a session whose name we would never learn.
                opened = await asyncio.shield(opening)
            except asyncio.CancelledError:
                await self._leave(opening)
                raise
        if isinstance(opened, DeviceError):
            raise opened
        return opened

    async def _leave(self, opening: "asyncio.Task[Session | DeviceError]") -> None:
        """Nobody wants the session that is being opened."""
        await asyncio.wait({opening}, timeout=LEAVING_SECONDS)
        if opening.done() and not opening.cancelled() and isinstance(session := opening.result(), Session):
            await self._end(session, seconds=LEAVING_SECONDS)
        opening.cancel()

    async def _log_in(self, target: Target) -> Session | DeviceError:
        """Its error is a result, for the group it runs in would wrap one that is raised."""
        try:
            root = await self._transport.get(target, ROOT, HEADERS)
            path = link(part(root.body, "Links", "Sessions")) or SESSIONS
            body = {"UserName": target.username, "Password": target.password.reveal()}
            request = Request(method="POST", url=inside(target, path), headers=HEADERS, json=body)
            answer = await self._transport.send(target, request)
            if answer.status in TAKEN and _can_be_sent(answer.token):
                path_of_it = answer.location or link(answer.body)
                return Session(target=target, token=Secret(answer.token), path=path_of_it)
            return _refusal(target, answer)
        except DeviceError as exc:
            return exc

    async def _end(self, session: Session, *, seconds: float) -> None:
        """Best effort: one that stays ends by itself after the BMC's own timeout."""
        if session.path is None:
            return
        try:
            async with asyncio.timeout(seconds):
                headers = with_token(session.token)
                url = inside(session.target, session.path)
                request = Request(method="DELETE", url=url, headers=headers)
                await self._transport.send(session.target, request)
        except (DeviceError, TimeoutError):
            return


def with_token(token: Secret) -> dict[str, str]:
    """The headers of a request in a session."""
    return {**HEADERS, "X-Auth-Token": token.reveal()}


def _can_be_sent(token: str | None) -> TypeGuard[str]:
    """Whether there is one that a header can hold; with another one every request would fail, as long as we live."""
    return token is not None and token != "" and token.isascii() and token.isprintable()


def _refusal(target: Target, answer: Answer) -> DeviceError:
    """Why there is no session. Nothing was sent that switches anything."""
    said = explanation(target, answer)
    if answer.meaning is Meaning.NO_SESSION_LEFT:
        return DeviceError(
            f"{target.base} has no session left{said}; end some there, or set auth = basic", may_be_done=False
        )
    if answer.status in {429, 503} or answer.meaning is Meaning.NOT_READY:
        return DeviceNotReady(f"{target.base} is not ready for a login ({answer.status}){said}", may_be_done=False)
    if answer.status in LOGIN_REFUSED or answer.status == 400 or answer.meaning is Meaning.LOGIN_REFUSED:
        return LoginRefused(f"{target.base} refuses the user ({answer.status}){said}", may_be_done=False)
    if answer.status in NO_SUCH_SERVICE:
        return bad(f"{target.base} opens no sessions ({answer.status}){said}; set auth = basic")
    return DeviceError(f"{target.base} answered a login with {answer.status}{said}", may_be_done=False)
