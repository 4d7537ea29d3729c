"""The route table: every path that is served, in one place. The OpenAPI document is built from it.

What a route does is in `handlers`. A path that is not in the table is a 404.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from fenced.api import bodies, handlers, shapes
from fenced.api.call import PREFIX, Call, Route
from fenced.api.callers import Role
from fenced.api.events import events
from fenced.api.openapi import document

MISSING: Final = (HTTPStatus.NOT_FOUND,)
REFUSABLE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


async def openapi(call: Call) -> web.Response:
    """This document."""
    return web.json_response(document(ROUTES))


ROUTES: Final = (
    Route(
        method="GET",
        path=f"{PREFIX}/hosts",
        name="listHosts",
        handle=handlers.hosts,
        role=Role.VIEWER,
        answer=shapes.Hosts,
        query=bodies.HostsQuery,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/hosts/{{host}}",
        name="getHost",
        handle=handlers.host,
        role=Role.VIEWER,
        answer=shapes.Host,
        errors=MISSING,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/hosts/{{host}}/explain",
        name="explainHost",
        handle=handlers.explain,
        role=Role.VIEWER,
        answer=shapes.Explanation,
        errors=MISSING,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/hosts/{{host}}/actions",
        name="act",
        handle=handlers.act,
        role=Role.OPERATOR,
        answer=shapes.Accepted,
        status=HTTPStatus.ACCEPTED,
        body=bodies.ActionBody,
        is_body_needed=True,
        errors=REFUSABLE,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/hosts/{{host}}/confirm-off",
        name="confirmOff",
        handle=handlers.confirm_off,
        role=Role.ADMIN,
        answer=shapes.Accepted,
        status=HTTPStatus.ACCEPTED,
        body=bodies.ConfirmOffBody,
        is_body_needed=True,
        errors=REFUSABLE,
    ),
    Route(
        method="PUT",
        path=f"{PREFIX}/hosts/{{host}}/maintenance",
        name="setMaintenance",
        handle=handlers.set_maintenance,
        role=Role.OPERATOR,
        answer=shapes.Host,
        body=bodies.MaintenanceBody,
        is_body_needed=True,
        errors=REFUSABLE,
    ),
    Route(
        method="DELETE",
        path=f"{PREFIX}/hosts/{{host}}/maintenance",
        name="endMaintenance",
        handle=handlers.end_maintenance,
        role=Role.OPERATOR,
        answer=shapes.Host,
        body=bodies.ReasonBody,
        errors=REFUSABLE,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/operations",
        name="listOperations",
        handle=handlers.operations,
        role=Role.VIEWER,
        answer=shapes.Operations,
        query=bodies.OperationsQuery,
        errors=MISSING,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/operations/{{operation}}",
        name="getOperation",
        handle=handlers.operation,
        role=Role.VIEWER,
        answer=shapes.Operation,
        errors=MISSING,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/operations/{{operation}}/cancel",
        name="cancelOperation",
        handle=handlers.cancel,
        role=Role.OPERATOR,
        answer=shapes.Accepted,
        status=HTTPStatus.ACCEPTED,
        body=bodies.ReasonBody,
        errors=REFUSABLE,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/proxies",
        name="listProxies",
        handle=handlers.proxies,
        role=Role.VIEWER,
        answer=shapes.Proxies,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/pauses",
        name="listPauses",
        handle=handlers.pauses,
        role=Role.VIEWER,
        answer=shapes.Pauses,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/pauses",
        name="pause",
        handle=handlers.pause,
        role=Role.OPERATOR,
        answer=shapes.Pause,
        status=HTTPStatus.CREATED,
        body=bodies.PauseBody,
        is_body_needed=True,
        errors=REFUSABLE[1:],
    ),
    Route(
        method="DELETE",
        path=f"{PREFIX}/pauses/{{pause}}",
        name="endPause",
        handle=handlers.end_pause,
        role=Role.OPERATOR,
        status=HTTPStatus.NO_CONTENT,
        body=bodies.ReasonBody,
        errors=REFUSABLE,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/fleet/arm",
        name="arm",
        handle=handlers.arm,
        role=Role.OPERATOR,
        answer=shapes.Fleet,
        body=bodies.ReasonBody,
        errors=REFUSABLE[1:],
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/fleet/disarm",
        name="disarm",
        handle=handlers.disarm,
        role=Role.OPERATOR,
        answer=shapes.Fleet,
        body=bodies.ReasonBody,
        errors=REFUSABLE[1:],
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/store/release",
        name="releaseStore",
        handle=handlers.release_store,
        role=Role.OPERATOR,
        answer=shapes.Fleet,
        body=bodies.ReleaseBody,
        is_body_needed=True,
        errors=REFUSABLE[1:],
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/events",
        name="events",
        handle=events,
        role=Role.VIEWER,
        media="text/event-stream",
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/health/{{host}}",
        name="reportHealth",
        handle=handlers.report_health,
        role=Role.OPERATOR,
        status=HTTPStatus.NO_CONTENT,
        body=bodies.HealthBody,
        is_body_raw=True,
        is_for_reporters=True,
        errors=MISSING,
    ),
    Route(
        method="GET",
        path="/healthz",
        name="healthz",
        handle=handlers.healthz,
        role=None,
        answer=shapes.Health,
        is_limited=False,
    ),
    Route(
        method="GET",
        path="/readyz",
        name="readyz",
        handle=handlers.readyz,
        role=None,
        answer=shapes.Readiness,
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
        is_limited=False,
    ),
    Route(
        method="GET",
        path="/metrics",
        name="metrics",
        handle=handlers.metrics,
        role=Role.VIEWER,
        media="text/plain",
    ),
    Route(method="GET", path="/openapi.json", name="openapi", handle=openapi, role=None),
)
