"""The outer layer of every request: admit, parse, run the handler, turn errors into problem documents.

Admission checks encoding, Host and Origin, who calls, rate limit and role, in this order. The handlers
decide what a request means. No exception leaves this module, and each unexpected one is logged and counted.
"""

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ValidationError

from fenced.api import shapes, tags
from fenced.api.access import claimed_name, no_token
from fenced.api.bodies import ShardBody, unknown_keys
from fenced.api.call import Call, Route, Services
from fenced.api.callers import Principal, Role
from fenced.api.events import StreamBroken
from fenced.api.idempotency import key_of
from fenced.api.limits import RateLimit
from fenced.api.problems import Rejection, faults_of, response_of, unprocessable
from fenced.model.names import HostName
from fenced.net.bodies import read_whole, refuse_encoded
from fenced.net.door import client_of, let_in, peer
from fenced.net.once import parsed_once

log = structlog.stdlib.get_logger("fenced.api")

BODY_MAX_BYTES: Final = 64 * 1024
BODY_TIMEOUT_SECONDS: Final = 10.0
LARGE_BYTES: Final = 64 * 1024
Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


def catch_all(services: Services) -> Middleware:
    """Return the outermost middleware; it also covers unknown paths."""

    @web.middleware
    async def middleware(request: web.Request, handler: Endpoint) -> web.StreamResponse:
        try:
            refuse_encoded(request)
            if peer(request) is None:
                services.browsers.refuse_foreign_host(request)
            response = await handler(request)
        except Exception as exc:  # a border: contributing.md#errors
            response = _answer_error(request, exc)
        services.count_answer(_template(request), response.status)
        return response

    return middleware


def _answer_error(request: web.Request, error: Exception) -> web.StreamResponse:
    response = response_of(error, request.path)
    if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("api_request_failed", method=request.method, route=_template(request), exc_info=error)
    return error.response if isinstance(error, StreamBroken) else response


def _template(request: web.Request) -> str:
    """Return the route's template: metrics then hold no host names, and the number of series is bounded."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def endpoint(route: Route, services: Services) -> Endpoint:
    """Return the aiohttp handler of one route."""

    async def serve(request: web.Request) -> web.StreamResponse:
        call = await _admit(route, services, request)
        if route.is_change and not route.is_restricting:
            await refuse_at_standby(call)
        tag = _version(call) if route.is_versioned else ""
        if tag and tags.is_known(request, tag):
            return tags.unchanged(tag)
        kept = services.kept.answer(route.name, tag)
        if kept is not None:
            return kept.response(request, status=int(route.status), media=route.media)
        answer = await route.handle(call)
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer is None:
            return web.Response(status=int(route.status))
        assert route.answer is not None and isinstance(answer, route.answer)
        text = answer.model_dump_json(context={"wall": services.wall})
        if not route.is_tagged:
            return web.Response(text=text, status=int(route.status), content_type=route.media)
        return await _tagged(route, call, tag or tags.tag_of(text), text)

    return serve


def _version(call: Call) -> str:
    """Return the tag of what the engine shows of the hosts, for this query. The times of an answer are the wall
    clock's, which may be corrected."""
    clocks = f"{call.services.ahead_seconds():.1f}"
    return tags.tag_of(call.control.version(), clocks, call.request.path_qs)


async def _tagged(route: Route, call: Call, tag: str, text: str) -> web.Response:
    """Return an answer with its tag, and keep it if it is costly. A large one is compressed beside the event loop."""
    request = call.request
    if tags.is_known(request, tag):
        return tags.unchanged(tag)
    body = text.encode()
    found = (
        tags.Tagged.pack(tag, body) if len(body) < LARGE_BYTES else await asyncio.to_thread(tags.Tagged.pack, tag, body)
    )
    if route.is_kept:
        call.services.kept.answers[route.name] = found
    return found.response(request, status=int(route.status), media=route.media)


async def refuse_at_standby(call: Call) -> None:
    """Refuse a change of a host or shard that this controller does not hold. Raises Standby, NotFound."""
    shard = call.body.shard if isinstance(call.body, ShardBody) else None
    host = call.request.match_info.get("host")
    await call.of_shard(shard).refuse_at_standby(None if host is None else HostName(host))


async def _admit(route: Route, services: Services, request: web.Request) -> Call:
    """Identify the caller first, so that strangers use up no part of a token's rate limit."""
    principal = await _identify(route, services, request)
    if route.is_limited:
        charge(services, services.limit, payer(principal, request))
    if route.role is not None and not _may(principal, route, request):
        raise principal.refusal(route.role)
    query = _parse_query(route, request)
    body, warnings = await _parse_body(route, services, request)
    if route.role is not None and not services.is_valid(principal):
        raise no_token()  # a reload revoked the token while the body arrived
    key = await key_of(request, principal) if route.is_change else None
    return Call(
        services=services, request=request, principal=principal, body=body, query=query, warnings=warnings, key=key
    )


async def _identify(route: Route, services: Services, request: web.Request) -> Principal:
    if route.role is None:
        return Principal(role=Role.VIEWER)
    try:
        if request.method not in ("GET", "HEAD"):
            services.browsers.refuse_foreign_origin(request)
        principal = services.access.principal(request, peer(request), wall_now=services.wall_now())
    except Rejection:
        charge(services, services.failures, client_of(request))
        raise
    let_in(request)
    user = "" if principal.peer is None else await services.users.name(principal.peer.uid)
    return dataclasses.replace(principal, user=user, claimed_name=claimed_name(request))


def _may(principal: Principal, route: Route, request: web.Request) -> bool:
    assert route.role is not None
    if principal.role is None:
        return route.is_for_reporters and request.match_info.get("host") == principal.reports
    return principal.role >= route.role


def payer(principal: Principal, request: web.Request) -> str:
    """Return the key of the rate limit: the token, from wherever it comes, or the user or the source address."""
    return client_of(request) if principal.digest is None else principal.digest.hex()


def charge(services: Services, limit: RateLimit, client: str) -> None:
    """Count a request of a client. Raises Rejection (429) for one too many."""
    wait = limit.wait_seconds(client, services.clock.now())
    if wait > 0:
        seconds = str(max(1, math.ceil(wait)))
        raise Rejection(
            HTTPStatus.TOO_MANY_REQUESTS,
            "this client sends more requests than api.requests_per_second allows; wait the seconds in Retry-After",
            headers={"Retry-After": seconds},
        )


def _parse_query(route: Route, request: web.Request) -> BaseModel:
    try:
        return route.query.of(request.query.items())
    except ValidationError as exc:
        faults = (shapes.Fault(path=one.path.partition(".")[0], reason=one.reason) for one in faults_of(exc))
        raise unprocessable(*faults) from exc  # the name, without the number of its value
    except ValueError as exc:
        raise unprocessable(shapes.Fault(path="", reason=str(exc))) from exc


async def _parse_body(
    route: Route, services: Services, request: web.Request
) -> tuple[BaseModel | None, tuple[str, ...]]:
    """Return the body as the route's model, and a warning for each ignored key."""
    if route.body is None:
        return None, ()
    raw = await _read(request)
    if route.is_body_raw:
        return None, ()
    if not raw.strip() and not route.is_body_needed:
        raw = b"{}"
    try:
        times = {"now": services.clock.now(), "ahead_seconds": services.ahead_seconds()}
        body = route.body.model_validate_json(raw, context=times)
        said = parsed_once(raw)
    except ValidationError as exc:
        raise unprocessable(*faults_of(exc)) from exc
    except ValueError as exc:
        raise unprocessable(shapes.Fault(path="", reason=str(exc))) from exc
    unknown = unknown_keys(route.body, said)
    return body, tuple(f"unknown key {key!r} was ignored" for key in unknown)


async def _read(request: web.Request) -> bytes:
    try:
        return await read_whole(request, seconds=BODY_TIMEOUT_SECONDS)
    except TimeoutError as exc:
        raise Rejection(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_TIMEOUT_SECONDS:g} s; send it again"
        ) from exc
    except (web.PayloadAccessError, web.RequestPayloadError, HttpProcessingError) as exc:
        raise Rejection(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the body does not match its Transfer-Encoding; correct the client"
        ) from exc
