"""Errors as RFC 9457 `application/problem+json`: the API's own rejections and the engine's refusals.

It knows no route. Tracebacks and internals never leave the daemon.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from fenced.api.shapes import Fault, NotObeyed, Problem
from fenced.ports.control import BadCursor, NotEverywhere, NotFound, Refused, Standby, Unavailable

CONTENT_TYPE: Final = "application/problem+json"
FAULTS_MAX: Final = 50
RETRY_AFTER_SECONDS: Final = 5
STANDBY: Final = "standby"
"""The rule of a controller that doesn't hold the shard. Only its problem has `active`, null included."""
SHARDS: Final = "shards"
"""The rule of a request to all shards that some of them did not obey. Only its problem has `shards`."""


class Rejection(Exception):
    """The API itself rejects a request: 401, 403, 408, 422, 429."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        rule: str | None = None,
        faults: tuple[Fault, ...] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.rule = rule
        self.faults = faults
        self.headers = dict(headers or {})


def unprocessable(*faults: Fault) -> Rejection:
    """Return a 422 that lists every fault."""
    summary = "; ".join(f"{fault.path or 'body'}: {fault.reason}" for fault in faults[:3])
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, summary + more, faults=faults)


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """Return pydantic's findings, at most FAULTS_MAX, without the values (they may be long, or secret)."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        Fault(path=".".join(str(part)[:64] for part in each["loc"]), reason=each["msg"].removeprefix("Value error, "))
        for each in found[:FAULTS_MAX]
    )


def response_of(error: Exception, instance: str) -> web.Response:
    """Return the answer to an error that reached the border. An unknown error is a 500 without its text."""
    match error:
        case Rejection():
            return problem(
                error.status,
                error.detail,
                instance=instance,
                rule=error.rule,
                faults=error.faults,
                headers=error.headers,
            )
        case Refused():
            return problem(HTTPStatus.CONFLICT, error.why, instance=instance, rule=error.rule)
        case NotFound():
            return problem(HTTPStatus.NOT_FOUND, str(error) or "there is no such thing", instance=instance)
        case BadCursor():
            after = Fault(path="after", reason=str(error))
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"after: {error}", instance=instance, faults=(after,))
        case Standby():
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                str(error),
                instance=instance,
                rule=STANDBY,
                active=error.active,
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case NotEverywhere():
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                str(error),
                instance=instance,
                rule=SHARDS,
                shards=[NotObeyed(shard=one.shard, why=one.why, active=one.active) for one in error.missing],
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        case Unavailable():
            wait = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), instance=instance, headers=wait)
        case web.HTTPRequestEntityTooLarge():
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is over 64 KiB; send a smaller one", instance=instance
            )
        case web.HTTPUnsupportedMediaType():
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error.reason, instance=instance)
        case web.HTTPException():
            status = HTTPStatus(error.status)
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return problem(status, status.description or status.phrase, instance=instance, headers=allow)
        case _:
            text = "the daemon failed on this request; see its log for the cause"
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, text, instance=instance)


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    instance: str,
    rule: str | None = None,
    faults: tuple[Fault, ...] | None = None,
    active: str | None = None,
    shards: list[NotObeyed] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return one problem document."""
    body = Problem(
        title=status.phrase,
        status=int(status),
        detail=detail,
        instance=instance,
        rule=rule,
        errors=None if faults is None else list(faults),
        active=active,
        shards=shards,
    )
    empty = {name for name, value in body if value is None and not (name == "active" and rule == STANDBY)}
    text = body.model_dump_json(exclude=empty)
    return web.Response(text=text, status=int(status), content_type=CONTENT_TYPE, headers=headers)
