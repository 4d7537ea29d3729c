"""Access control: roles, bearer tokens, and protection against requests that a browser was tricked into sending.

It reads no files: the caller passes the tokens in and may replace them while the server runs. Tokens are compared in
constant time. Once tokens are configured, a request without a matching one gets no role.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from fenced.api.bodies import NAME_MAX
from fenced.api.problems import Rejection
from fenced.model.addresses import canonical, is_loopback
from fenced.model.inventory import Secret

BY_HEADER: Final = "X-Fenced-By"
TOKEN_MAX: Final = 4096
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{0,5})?")


class Role(IntEnum):
    """What a caller may do; each may do what the lower ones may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller. `role_name` is None without configured tokens: then every local user may do everything.

    `digest`: SHA-256 of the token; None without one.
    """

    role: Role
    role_name: str | None
    claimed_name: str = ""
    digest: bytes | None = None

    def by(self, said: str) -> str:
        """Return the name for the journal. A claimed name proves nothing, so the role of the token is appended."""
        name = said or self.claimed_name
        if self.role_name is None:
            return name or "api"
        return f"{name} ({self.role_name})" if name else self.role_name


class Access:
    """The tokens that are valid now."""

    def __init__(self, tokens: Iterable[tuple[str, Secret]]) -> None:
        self._digests: tuple[tuple[Role, bytes], ...] = ()
        self.replace(tokens)

    def replace(self, tokens: Iterable[tuple[str, Secret]]) -> None:
        """Replace all tokens. Raises ValueError for an unknown role; the old tokens stay then."""
        self._digests = tuple((_role(name), _digest(secret.reveal())) for name, secret in tokens)

    def principal(self, request: web.Request) -> Principal:
        """Return the caller. Raises Rejection (401) if tokens are configured and none matches."""
        if not self._digests:
            return Principal(role=Role.ADMIN, role_name=None)
        found = self._match(request.headers.get("Authorization", ""))
        if found is None:
            raise no_token()
        role, digest = found
        return Principal(role=role, role_name=role.name.lower(), digest=digest)

    def is_valid(self, principal: Principal) -> bool:
        """Return whether the caller would get the same role again: its token was not revoked meanwhile."""
        if principal.digest is None:
            return not self._digests
        return (principal.role, principal.digest) in self._digests

    def refuse_foreign_host(self, request: web.Request) -> None:
        """Reject a foreign Host header while no tokens are configured (DNS rebinding). Raises Rejection (403).

        Without tokens every local user may do everything, and so may a page in a local browser. An attacker can make a
        name of their own resolve to this machine, but neither a loopback name nor the address of the connection. A
        request without Host does not come from a browser.
        """
        if self._digests or all(_is_ours(host, request) for host in request.headers.getall("Host", ())):
            return
        raise Rejection(
            HTTPStatus.FORBIDDEN,
            "without tokens the API answers only as localhost or its own address; the Host header names another",
            rule="host",
        )

    def refuse_foreign_origin(self, request: web.Request) -> None:
        """Reject a POST from a page of another site, which could switch off hosts through an operator's browser.

        Browsers send Origin with every cross-site POST. Without tokens the origin must also be this machine, because an
        attacker's name can be made to resolve to it (DNS rebinding). Raises Rejection (403).
        """
        origin = request.headers.get("Origin")
        if origin is None:
            return
        netloc, name = _place(origin)
        is_same = netloc == request.host
        if not is_same or not (self._digests or is_loopback(name)):
            raise Rejection(HTTPStatus.FORBIDDEN, "the request comes from a page of another site", rule="origin")

    def _match(self, header: str) -> tuple[Role, bytes] | None:
        """Return the highest role that the token has, and the token's digest."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MAX:
            return None
        given = _digest(token.strip())
        found: Role | None = None
        for role, digest in self._digests:  # compare all of them, so that the time leaks nothing
            if hmac.compare_digest(digest, given) and (found is None or role > found):
                found = role
        return None if found is None else (found, given)


def _role(name: str) -> Role:
    try:
        return Role[name.upper()]
    except KeyError as exc:
        raise ValueError(f"unknown role {name!r}; use viewer, operator or admin") from exc


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def no_token() -> Rejection:
    """Return the 401."""
    return Rejection(
        HTTPStatus.UNAUTHORIZED,
        "this needs a token; send Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": 'Bearer realm="fenced"'},
    )


def claimed_name(request: web.Request) -> str:
    """Return the name that the caller claims in X-Fenced-By. Raises Rejection (422) if it can't be a name."""
    name = request.headers.get(BY_HEADER, "").strip()
    if len(name) > NAME_MAX or not name.isprintable():
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, f"{BY_HEADER}: use at most {NAME_MAX} printable characters")
    return name


def _place(origin: str) -> tuple[str, str]:
    """Return host:port and the host; both are empty if this is not an origin."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "", ""
    return parts.netloc, parts.hostname or ""


def _is_ours(host: str, request: web.Request) -> bool:
    """Return whether a Host header (name or address, optional port; RFC 9110, 7.2) means this machine."""
    written = _HOST.fullmatch(host)
    if written is None:
        return False
    name = written["name"]
    own = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return is_loopback(name) or (isinstance(own, tuple) and canonical(name) == canonical(str(own[0])))
