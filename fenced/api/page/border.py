"""The outer layer of the page: who looks, what a form may do, and errors as pages that say what to do.

Beside it stands the API's own middleware, which refuses a foreign Host (`browsers`). A POST must come from a form of
this page in this session: its Origin and its token are both checked, whoever calls.
"""

import asyncio
import dataclasses
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import structlog
from aiohttp import web

from fenced.api.access import no_token
from fenced.api.bodies import NoQuery
from fenced.api.border import BODY_TIMEOUT_SECONDS, Endpoint, charge, payer
from fenced.api.call import Call, Services
from fenced.api.callers import Principal, Role
from fenced.api.page.drawing import draw
from fenced.api.page.pictures import Pictures
from fenced.api.page.sessions import COOKIE, RENEWED_SECONDS, Session, Sessions, give
from fenced.api.problems import Rejection, response_of
from fenced.net.bodies import read_whole
from fenced.net.door import client_of, let_in, peer

log = structlog.stdlib.get_logger("fenced.api.page")

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with `no-referrer` browsers send `Origin: null` with a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Cookie, Accept-Encoding",
}
PACKED_FROM_BYTES: Final = 1024
LARGE_BYTES: Final = 64 * 1024
TOKEN_FIELD: Final = "form"  # noqa: S105 - the name of the field, not a token
FIELDS_MAX: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of a browser, admitted. `form`: the fields of a POST, without its token."""

    call: Call
    session: Session
    sessions: Sessions
    pictures: Pictures
    form: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def may(self, role: Role) -> bool:
        """Return whether the visitor has the role."""
        return (self.session.principal.role or 0) >= role

    def page(self, template: str, values: Mapping[str, Any], *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        """Return a page."""
        return html(draw(template, {**self.common(), **values}), status=status)

    def common(self) -> dict[str, Any]:
        """Return what every template may use."""
        principal = self.session.principal
        return {
            "fleet": self.call.control.fleet(),
            "token": self.sessions.form_token(self.session),
            "who": "" if principal.digest is None and principal.peer is None else principal.by(""),
            "is_logged_in": bool(self.session.cookie),
            "may_act": self.may(Role.OPERATOR),
            "may_confirm": self.may(Role.ADMIN),
            "path": self.call.request.path,
        }


View = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRoute:
    """One address of the page. `role` None: open to everyone, and not drawn by `Visit.page`."""

    method: str
    path: str
    view: View
    role: Role | None = Role.VIEWER


def html(text: str, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a page with its headers."""
    return web.Response(text=text, status=int(status), content_type="text/html", charset="utf-8", headers=HEADERS)


def back(to: str) -> web.Response:
    """Send the browser to a page, so that a reload there sends no form again."""
    return web.Response(status=int(HTTPStatus.SEE_OTHER), headers={**HEADERS, "Location": to})


def served(route: PageRoute, services: Services, sessions: Sessions, pictures: Pictures) -> Endpoint:
    """Return the aiohttp handler of one address."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if not services.switches.has_page:
            raise web.HTTPNotFound
        try:
            visit = await _admit(route, services, sessions, pictures, request)
            if visit is None:
                return _to_login(request)
            response = await route.view(visit)
        except Exception as exc:  # a border: contributing.md#errors
            return await _packed(request, _failed(request, exc))
        _renew(visit, response)
        return await _packed(request, response)

    return serve


def _to_login(request: web.Request) -> web.Response:
    """Send a visitor without a session to the login, and back from there."""
    wanted = request.path_qs if request.method == "GET" and request.path != "/live" else "/"
    return back(f"/login?next={quote(wanted, safe='')}")


async def _admit(
    route: PageRoute, services: Services, sessions: Sessions, pictures: Pictures, request: web.Request
) -> Visit | None:  # fmt: skip
    """Return the visit; None if it needs a login. Raises Rejection."""
    session = _session(services, sessions, request)
    if session is None and route.role is not None:
        charge(services, services.failures, client_of(request))
        return None
    principal = session.principal if session is not None else Principal(role=None)
    if session is not None:
        let_in(request)
        user = "" if principal.peer is None else await services.users.name(principal.peer.uid)
        principal = dataclasses.replace(principal, user=user)
    charge(services, services.limit if session is not None else services.failures, payer(principal, request))
    if route.role is not None and (principal.role or 0) < route.role:
        raise principal.refusal(route.role)
    form: Mapping[str, str] = {}
    session = dataclasses.replace(session or Session(principal=principal), principal=principal)
    if request.method == "POST":
        form = await _form(services, sessions, session, request)
        if route.role is not None and not services.is_valid(principal):
            raise no_token()  # a reload revoked the token while the form arrived
    call = Call(services=services, request=request, principal=principal, body=None, query=NoQuery())
    return Visit(call=call, session=session, sessions=sessions, pictures=pictures, form=form)


def _session(services: Services, sessions: Sessions, request: web.Request) -> Session | None:
    """Return the session of the cookie; without tokens, or on the unix socket, that of the caller."""
    now = services.wall_now()
    if services.access.has_tokens and "Authorization" not in request.headers and peer(request) is None:
        return sessions.find(request.cookies.get(COOKIE, ""), wall_now=now)
    return Session(principal=services.access.principal(request, peer(request), wall_now=now))


async def _form(services: Services, sessions: Sessions, session: Session, request: web.Request) -> Mapping[str, str]:
    """Return the fields of a form that is ours. Raises Rejection."""
    if request.headers.get("Origin") is None:
        raise Rejection(HTTPStatus.FORBIDDEN, "the browser does not say from where the form comes", rule="origin")
    services.browsers.refuse_foreign_origin(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "this is no form of the page")
    try:
        await read_whole(request, seconds=BODY_TIMEOUT_SECONDS)
        given = await request.post()
    except (TimeoutError, ValueError) as exc:
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, "the form did not arrive whole; send it again") from exc
    fields = {name: value for name, value in given.items() if isinstance(value, str)}
    if len(given) > FIELDS_MAX or len(fields) < len(given):
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, "the form has a field twice, or too many fields")
    if not sessions.is_from_form(session, fields.pop(TOKEN_FIELD, "")):
        raise Rejection(
            HTTPStatus.FORBIDDEN, "this form is not of your session any more; open the page again", rule="form"
        )
    return fields


def _renew(visit: Visit, response: web.StreamResponse) -> None:
    """Give a session that is used a new cookie before it ends."""
    session, services = visit.session, visit.call.services
    now = services.wall_now()
    if session.cookie and session.ends - now < RENEWED_SECONDS and not response.prepared and not response.cookies:
        is_tls = visit.call.request.secure
        give(response, visit.sessions.begin(session.principal, wall_now=now), wall_now=now, is_tls=is_tls)


def _failed(request: web.Request, error: Exception) -> web.Response:
    """Return an error as a page, with the status and the words of the API's."""
    told = response_of(error, request.path)
    if told.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("page_failed", method=request.method, path=request.path, exc_info=error)
    problem = {"rule": None, "errors": (), "active": None, "shards": (), **json.loads(told.text or "{}")}
    response = html(draw("failed.html", {"problem": problem}), status=HTTPStatus(told.status))
    for name in ("Retry-After", "Allow"):
        if name in told.headers:
            response.headers[name] = told.headers[name]
    return response


async def _packed(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Compress a page; a large one beside the event loop."""
    if not isinstance(response, web.Response) or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return response
    body = response.body
    if not isinstance(body, bytes) or len(body) < PACKED_FROM_BYTES or "Content-Encoding" in response.headers:
        return response
    if len(body) < LARGE_BYTES:
        response.body = gzip.compress(body, compresslevel=5, mtime=0)
    else:
        response.body = await asyncio.to_thread(gzip.compress, body, 5, mtime=0)
    response.headers["Content-Encoding"] = "gzip"
    return response
