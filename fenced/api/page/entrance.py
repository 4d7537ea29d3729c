"""The login: a token by POST becomes a session. And the assets, which are open to everyone."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from fenced.api.callers import Role
from fenced.api.page.border import HEADERS, Visit, back, html
from fenced.api.page.drawing import ASSETS, asset, draw
from fenced.api.page.sessions import give, take
from fenced.api.problems import Rejection

FOR_EVER: Final = "public, max-age=31536000, immutable"


def _wanted(text: str) -> str:
    """Return where a login leads: only to a page of ours."""
    parts = urlsplit(text)
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_ours and not parts.scheme and not parts.netloc else "/"


def _form(visit: Visit, *, why: str = "", status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    wanted = _wanted(visit.form.get("next") or visit.call.request.query.get("next", "/"))
    values = {
        "token": visit.sessions.form_token(visit.session),
        "next": wanted,
        "why": why,
        "has_tokens": visit.call.services.access.has_tokens,
    }
    return html(draw("login.html", values), status=status)


async def login(visit: Visit) -> web.StreamResponse:
    """Draw the form for a token."""
    return _form(visit)


async def enter(visit: Visit) -> web.StreamResponse:
    """Begin a session with the token of the form."""
    services, now = visit.call.services, visit.call.services.wall_now()
    try:
        principal = services.access.by_token(visit.form.get("secret", "").strip(), wall_now=now)
        if principal.role is None:
            raise principal.refusal(Role.VIEWER)
    except Rejection as exc:
        why = exc.detail if exc.rule == "expired" else "This is no token of this daemon, or it has no role here."
        return _form(visit, why=why, status=HTTPStatus.FORBIDDEN)
    response = back(_wanted(visit.form.get("next", "/")))
    session = visit.sessions.begin(principal, wall_now=now)
    give(response, session, wall_now=now, is_tls=visit.call.request.secure)
    return response


async def leave(visit: Visit) -> web.StreamResponse:
    """End the session in this browser."""
    response = back("/login")
    take(response, is_tls=visit.call.request.secure)
    return response


async def assets(visit: Visit) -> web.StreamResponse:
    """Send a file of the page."""
    name = visit.call.request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    headers = {**HEADERS, "Cache-Control": FOR_EVER}
    return web.Response(body=asset(name), content_type=ASSETS[name], charset="utf-8", headers=headers)
