"""Keeps Redfish sessions (DSP0266, session login): one token per BMC and user, shared by all calls, closed at the end.

BMCs allow few sessions, so every opened session is also closed, even if the call that opened it is cancelled. A session
that can't be closed ends by the BMC's own timeout.
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
"""Limit for one process, one per BMC and user; beyond it the oldest is closed."""
LEAVING_SECONDS: Final = 0.4
"""For the end of a cancelled login, and again for its logout. Callers wait for both after their deadline."""
LOGOUT_SECONDS: Final = 2.0
LOGOUTS_AT_ONCE: Final = 64
CLOSE_SECONDS: Final = 10.0
TAKEN: Final = frozenset({200, 201})
NO_SUCH_SERVICE: Final = frozenset({404, 405, 501})

Login = tuple[yarl.URL, str, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open session. `path`: the resource to delete to close it; None if the BMC did not name it."""

    target: Target
    token: Secret
    path: str | None


@dataclass(slots=True)
class _Place:
    """The session of one login, and the lock for opening it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: Session | None = None


class Sessions:
    """All sessions of one process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._places: dict[Login, _Place] = {}

    async def token(self, target: Target) -> Secret:
        """Return the token of the login's session; open one if needed. Raises DeviceError."""
        place = self._places.setdefault(target.login, _Place())
        async with place.turn:
            if place.session is None:
                await self._make_room()
                place.session = await self._open(target)
            return place.session.token

    def forget(self, target: Target, token: Secret) -> None:
        """Drop a token that the BMC rejects. A newer one stays."""
        place = self._places.get(target.login)
        if place is not None and place.session is not None and place.session.token == token:
            place.session = None

    async def close(self) -> None:
        """Close as many sessions as possible within a bounded time; idempotent."""
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
        """Close the oldest session that no call is opening now."""
        if len(self._places) <= SESSIONS_MAX:
            return
        for login, place in self._places.items():
            if place.session is not None and not place.turn.locked():
                del self._places[login]
                await self._end(place.session, seconds=LOGOUT_SECONDS)
                return

    async def _open(self, target: Target) -> Session:
        """Open a session. Raises DeviceError."""
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(self._log_in(target), name=f"login at {target.base}")
            try:
                # Shielded: cancelled halfway, the BMC might have opened a session that could not be closed.
                opened = await asyncio.shield(opening)
            except asyncio.CancelledError:
                await self._leave(opening)
                raise
        if isinstance(opened, DeviceError):
            raise opened
        return opened

    async def _leave(self, opening: "asyncio.Task[Session | DeviceError]") -> None:
        """Close the session that a cancelled call was opening."""
        await asyncio.wait({opening}, timeout=LEAVING_SECONDS)
        if opening.done() and not opening.cancelled() and isinstance(session := opening.result(), Session):
            await self._end(session, seconds=LEAVING_SECONDS)
        opening.cancel()

    async def _log_in(self, target: Target) -> Session | DeviceError:
        """Log in. Return an error instead of raising it, because the task group would wrap it."""
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
        """Try to close a session; if it fails, the BMC's own timeout ends it."""
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
    """Return the headers of a request in a session."""
    return {**HEADERS, "X-Auth-Token": token.reveal()}


def _can_be_sent(token: str | None) -> TypeGuard[str]:
    """Return whether a header can hold the token; otherwise every request of this session would fail."""
    return token is not None and token != "" and token.isascii() and token.isprintable()


def _refusal(target: Target, answer: Answer) -> DeviceError:
    """Return why the login failed. No command was sent."""
    said = explanation(target, answer)
    if answer.meaning is Meaning.NO_SESSION_LEFT:
        return DeviceError(
            f"{target.base} has no session left{said}; close some there, or set auth = basic", may_be_done=False
        )
    if answer.status in {429, 503} or answer.meaning is Meaning.NOT_READY:
        return DeviceNotReady(f"{target.base} is not ready for a login ({answer.status}){said}", may_be_done=False)
    if answer.status in LOGIN_REFUSED or answer.status == 400 or answer.meaning is Meaning.LOGIN_REFUSED:
        return LoginRefused(f"{target.base} refuses the user ({answer.status}){said}", may_be_done=False)
    if answer.status in NO_SUCH_SERVICE:
        return bad(f"{target.base} opens no sessions ({answer.status}){said}; set auth = basic")
    return DeviceError(f"{target.base} answered a login with {answer.status}{said}", may_be_done=False)
