"""Who may ask: roles, tokens compared in constant time, and requests that a browser was tricked into.

Knows no files: the tokens are handed in and may be replaced while the server runs. One rule: without a match, no role.
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
    """Who asks. `role_name` None: no token was asked for; where none are set, everybody on this machine may do everything.

    `digest`: of the token, None without one.
    """

    role: Role
    role_name: str | None
    claimed_name: str = ""
    digest: bytes | None = None

    def by(self, said: str) -> str:
        """The name for the journal. A claimed name is not proven: the role that the token proved stands beside it."""
        name = said or self.claimed_name
        if self.role_name is None:
            return name or "api"
        return f"{name} ({self.role_name})" if name else self.role_name


class Access:
    """The tokens of the moment."""

    def __init__(self, tokens: Iterable[tuple[str, Secret]]) -> None:
        self._digests: tuple[tuple[Role, bytes], ...] = ()
        self.replace(tokens)

    def replace(self, tokens: Iterable[tuple[str, Secret]]) -> None:
        """Take other tokens from now on, whole. Raises ValueError for an unknown role, and changes nothing then."""
        self._digests = tuple((_role(name), _digest(secret.reveal())) for name, secret in tokens)

    def principal(self, request: web.Request) -> Principal:
        """Who asks. Raises Rejection (401) where tokens are set and none matches."""
        if not self._digests:
            return Principal(role=Role.ADMIN, role_name=None)
        found = self._match(request.headers.get("Authorization", ""))
        if found is None:
            raise no_token()
        role, digest = found
        return Principal(role=role, role_name=role.name.lower(), digest=digest)

    def is_valid(self, principal: Principal) -> bool:
        """Whether it would be let in again with the role that it was let in with: its token was not taken away since."""
        if principal.digest is None:
            return not self._digests
        return (principal.role, principal.digest) in self._digests

    def refuse_foreign_host(self, request: web.Request) -> None:
        """Without tokens everybody on this machine may do everything: also its browsers, so nobody may ask by a name that
        somebody else made to resolve to it (DNS rebinding). Raises Rejection (403).

        Loopback names and the address that was connected to can't be made so. Who sends no Host is no browser.
        """
        if self._digests or all(_is_ours(host, request) for host in request.headers.getall("Host", ())):
            return
        raise Rejection(
            HTTPStatus.FORBIDDEN,
            "without tokens the API is asked as localhost or by its loopback address alone; the Host header says another",
            rule="host",
        )

    def refuse_foreign_origin(self, request: web.Request) -> None:
        """A page of another site must not switch hosts off through an operator's browser. Raises Rejection (403).

        Browsers send Origin with every cross-site POST. Without tokens the origin must be this machine as well, for a
        name of the attacker's may be made to resolve to it (DNS rebinding).
        """
        origin = request.headers.get("Origin")
        if origin is None:
            return
        netloc, name = _place(origin)
        is_same = netloc == request.host
        if not is_same or not (self._digests or is_loopback(name)):
            raise Rejection(HTTPStatus.FORBIDDEN, "the request comes from a page of another site", rule="origin")

    def _match(self, header: str) -> tuple[Role, bytes] | None:
        """The highest role of the token, and its digest."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MAX:
            return None
        given = _digest(token.strip())
        found: Role | None = None
        for role, digest in self._digests:  # every one is compared: the time tells nothing
            if hmac.compare_digest(digest, given) and (found is None or role > found):
                found = role
        return None if found is None else (found, given)


def _role(name: str) -> Role:
    try:
        return Role[name.upper()]
    except KeyError as exc:
        raise ValueError(f"unknown role {name!r}: viewer, operator or admin") from exc


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def no_token() -> Rejection:
    """401."""
    return Rejection(
        HTTPStatus.UNAUTHORIZED,
        "a token is needed: Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": 'Bearer realm="fenced"'},
    )


def claimed_name(request: web.Request) -> str:
    """Who somebody says he is. Raises Rejection (422) for what is no name."""
    name = request.headers.get(BY_HEADER, "").strip()
    if len(name) > NAME_MAX or not name.isprintable():
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, f"{BY_HEADER}: at most {NAME_MAX} printable characters")
    return name


def _place(origin: str) -> tuple[str, str]:
    """Address with port, and the name in it; both empty for what is no origin."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "", ""
    return parts.netloc, parts.hostname or ""


def _is_ours(host: str, request: web.Request) -> bool:
    """`host`: of the Host header, a name or address with a port or without (RFC 9110, 7.2), and nothing else."""
    written = _HOST.fullmatch(host)
    if written is None:
        return False
    name = written["name"]
    own = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return is_loopback(name) or (isinstance(own, tuple) and canonical(name) == canonical(str(own[0])))
