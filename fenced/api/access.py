"""Who calls, and what the caller may do: bearer tokens, the users of the unix socket, and TCP without either.

It reads no files: the caller passes the tokens in and may replace them while the server runs. A token that is sent
decides, also on the socket. Without one, the kernel's proof decides on the socket. TCP without configured tokens only
reads, unless `api.tcp_writes` is set. `browsers` refuses what a browser was tricked into sending.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web

from fenced.api.bodies import NAME_MAX
from fenced.api.callers import Owner, Principal, Role
from fenced.api.problems import Rejection
from fenced.model.api_tokens import REPORTER, ApiToken
from fenced.model.moments import rfc3339
from fenced.net.peers import Peer

BY_HEADER: Final = "X-Fenced-By"
TOKEN_MAX: Final = 4096
MARK_BYTES: Final = 12
EXPIRING_SECONDS: Final = 14 * 86400.0
"""How long before its end a token is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A valid token without its text. `role` None: it may only report the health of `reports`."""

    role: Role | None
    person: str
    reports: str
    until: float | None


@dataclass(slots=True, kw_only=True)
class Access:
    """The tokens that are valid now, and what callers without one may do. `owner`: the daemon's own user and group."""

    owner: Owner
    has_tcp_writes: bool = False
    _held: Mapping[bytes, _Held] = field(default_factory=dict)
    _marks: Mapping[str, bytes] = field(default_factory=dict)
    _common: bytes = b""

    @property
    def has_tokens(self) -> bool:
        """Whether tokens are configured, expired ones included."""
        return bool(self._held)

    def replace(self, tokens: Iterable[ApiToken], *, has_tcp_writes: bool) -> None:
        """Replace all rules. Raises ValueError for an unknown role; the old ones stay then."""
        held: dict[bytes, _Held] = {}
        for token in tokens:
            key, new = _digest(token.secret.reveal()), _held(token)
            old = held.get(key)
            if old is None or (new.role or 0) > (old.role or 0):
                held[key] = new
        self._held, self.has_tcp_writes = held, has_tcp_writes
        self._marks = {mark(digest): digest for digest in held}
        self._common = hashlib.sha256(b"".join(sorted(held))).digest() if held else b""

    @property
    def common_key(self) -> bytes:
        """Return a key that every controller with these tokens has; b"" without tokens."""
        return self._common

    def principal(self, request: web.Request, peer: Peer | None, *, wall_now: float) -> Principal:
        """Return the caller. `peer`: the program at the other end of the unix socket; None for TCP.

        Raises Rejection: 401 if a token is needed and none matches, 403 for a user without a role.
        """
        given = request.headers.get("Authorization")
        if self._held and (given is not None or peer is None):
            return self._by_header(given or "", wall_now)
        if peer is not None:
            role = self.owner.role_of(peer)
            if role is None:
                raise self.owner.refusal(peer)
            return Principal(role=role, peer=peer)
        return Principal(role=self._tcp_role, is_reading_only=not self.has_tcp_writes)

    def is_valid(self, principal: Principal, *, wall_now: float) -> bool:
        """Return whether the caller would get the same role again: its token is neither revoked nor expired."""
        if principal.digest is not None:
            held = self._held.get(principal.digest)
            return (
                held is not None
                and _principal(held, principal.digest).is_like(principal)
                and not _ended(held, wall_now)
            )
        return principal.peer is not None or (not self._held and principal.role == self._tcp_role)

    def expiring(self, wall_now: float) -> str:
        """Return a line for /readyz about tokens that end soon and have no successor, or "". It names nobody."""
        latest: dict[tuple[object, ...], float] = {}
        for held in self._held.values():
            key = (held.role, held.person, held.reports)
            latest[key] = max(latest.get(key, 0.0), float("inf") if held.until is None else held.until)
        ends = [until for until in latest.values() if wall_now < until <= wall_now + EXPIRING_SECONDS]
        if not ends:
            return ""
        return f"{len(ends)} API tokens expire soon, the first at {rfc3339(min(ends))}: fenced check-config names them"

    @property
    def _tcp_role(self) -> Role:
        return Role.ADMIN if self.has_tcp_writes else Role.VIEWER

    def by_token(self, token: str, *, wall_now: float) -> Principal:
        """Return whose token this is. Raises Rejection (401)."""
        if not token or len(token) > TOKEN_MAX:
            raise no_token()
        return self._by_digest(_digest(token.strip()), wall_now)

    def by_mark(self, given: str, *, wall_now: float) -> Principal:
        """Return whose token has this mark (`mark`). It proves nothing yet. Raises Rejection (401)."""
        return self._by_digest(self._marks.get(given, b""), wall_now)

    def _by_header(self, header: str, wall_now: float) -> Principal:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise no_token()
        return self.by_token(token, wall_now=wall_now)

    def _by_digest(self, digest: bytes, wall_now: float) -> Principal:
        # A lookup by digest: how long it takes says nothing about a token, and a fleet has a token for each host.
        held = self._held.get(digest)
        if held is None:
            raise no_token()
        if _ended(held, wall_now):
            raise _expired(held)
        return _principal(held, digest)


def _held(token: ApiToken) -> _Held:
    role = None if token.role == REPORTER else _role(token.role)
    return _Held(role=role, person=token.person, reports=token.reports, until=token.until)


def _principal(held: _Held, digest: bytes) -> Principal:
    return Principal(role=held.role, person=held.person, reports=held.reports, digest=digest)


def _ended(held: _Held, wall_now: float) -> bool:
    return held.until is not None and wall_now >= held.until


def _role(name: str) -> Role:
    try:
        return Role[name.upper()]
    except KeyError as exc:
        raise ValueError(f"unknown role {name!r}; use viewer, operator or admin") from exc


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def mark(digest: bytes) -> str:
    """Return what names a token in a cookie and tells nothing of it: the digest, which signs, can't be computed from
    it."""
    return hmac.digest(digest, b"fenced: the mark of a token", "sha256")[:MARK_BYTES].hex()


def no_token() -> Rejection:
    """Return the 401."""
    return Rejection(
        HTTPStatus.UNAUTHORIZED,
        "this needs a token; send Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": 'Bearer realm="fenced"'},
    )


def _expired(held: _Held) -> Rejection:
    assert held.until is not None
    return Rejection(
        HTTPStatus.UNAUTHORIZED,
        f"this token expired at {rfc3339(held.until)}; use the newer one, or ask for one",
        rule="expired",
        headers={"WWW-Authenticate": 'Bearer realm="fenced", error="invalid_token"'},
    )


def claimed_name(request: web.Request) -> str:
    """Return the name that the caller claims in X-Fenced-By. Raises Rejection (422) if it can't be a name."""
    name = request.headers.get(BY_HEADER, "").strip()
    if len(name) > NAME_MAX or not name.isprintable():
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, f"{BY_HEADER}: use at most {NAME_MAX} printable characters")
    return name
