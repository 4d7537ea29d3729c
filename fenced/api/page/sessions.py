"""The session of a browser: a signed cookie that is good at every controller, and the tokens of its forms.

Nothing is stored. The key of the signature is the digest of the caller's token, which each controller has from its own
tokens file, and which never leaves it. So the cookie is good wherever the token is, and ends when that is rotated.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from fenced.api.access import Access, mark
from fenced.api.callers import Principal
from fenced.api.problems import Rejection

COOKIE: Final = "fenced_session"
SESSION_SECONDS: Final = 12 * 3600.0
RENEWED_SECONDS: Final = SESSION_SECONDS / 2
"""A page that is opened when less is left gets a new cookie."""
NONCE_BYTES: Final = 16
VERSION: Final = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who uses the page. `cookie`: "" where none is needed. `ends`: wall time."""

    principal: Principal
    cookie: str = ""
    ends: float = float("inf")


@dataclass(frozen=True, slots=True)
class Sessions:
    """`access`: the tokens. `_own`: signs forms where there are none; new with each start."""

    access: Access
    _own: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def begin(self, principal: Principal, *, wall_now: float) -> Session:
        """Return a new session of the owner of a token."""
        assert principal.digest is not None
        ends = int(wall_now + SESSION_SECONDS)
        said = f"{VERSION}.{mark(principal.digest)}.{ends}.{secrets.token_hex(NONCE_BYTES)}"
        return Session(principal=principal, cookie=f"{said}.{_signed(principal.digest, said)}", ends=ends)

    def find(self, cookie: str, *, wall_now: float) -> Session | None:
        """Return the session of a cookie; None if it is none, forged, over, or of a token that is not valid now."""
        said, _, signature = cookie.rpartition(".")
        parts = said.split(".")
        if len(parts) != 4 or parts[0] != VERSION or not (parts[2].isascii() and parts[2].isdigit()):
            return None
        try:
            principal = self.access.by_mark(parts[1], wall_now=wall_now)
        except Rejection:
            return None
        assert principal.digest is not None
        ends = int(parts[2][:12])
        is_genuine = _is_same(_signed(principal.digest, said), signature)
        return Session(principal=principal, cookie=cookie, ends=ends) if is_genuine and wall_now < ends else None

    def form_token(self, session: Session) -> str:
        """Return the token of a form. Each is another one, so that a compressed page tells nothing of it (BREACH)."""
        salt = secrets.token_hex(NONCE_BYTES)
        return f"{salt}.{self._form_signature(session, salt)}"

    def is_from_form(self, session: Session, token: str) -> bool:
        """Return whether a token is of a form of this session."""
        salt, _, signature = token.partition(".")
        return _is_same(self._form_signature(session, salt), signature)

    def _form_signature(self, session: Session, salt: str) -> str:
        of_session = session.principal.digest if session.cookie else None
        key = of_session or self.access.common_key or self._own
        return hmac.new(
            key, f"fenced: a form\n{session.cookie}\n{salt}".encode("utf-8", "replace"), "sha256"
        ).hexdigest()


def _signed(digest: bytes, said: str) -> str:
    return hmac.new(digest, f"fenced: a session\n{said}".encode("utf-8", "replace"), "sha256").hexdigest()


def _is_same(signature: str, given: str) -> bool:
    """Compare in a time that tells nothing. What is given may be any text."""
    return hmac.compare_digest(signature.encode(), given.encode("utf-8", "replace"))


def give(response: web.StreamResponse, session: Session, *, wall_now: float, is_tls: bool) -> None:
    """Set the cookie. `Lax`: a link that a colleague sent works; what changes something is a POST and has a token."""
    response.set_cookie(
        COOKIE, session.cookie, max_age=int(session.ends - wall_now), path="/", httponly=True, secure=is_tls,
        samesite="Lax",
    )  # fmt: skip


def take(response: web.StreamResponse, *, is_tls: bool) -> None:
    """End the session in the browser."""
    response.del_cookie(COOKIE, path="/", httponly=True, secure=is_tls, samesite="Lax")
