"""Request bodies, the same for each HTTP server: never decompressed, requested when wanted, read whole in time.

It knows HTTP, not what a call means. aiohttp would decompress a body while parsing it, before anything has identified
the sender, and a few hundred kilobytes would become minutes of work.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

LINGER_SECONDS: Final = 1.0
"""Time for the rest of an unread body after the answer; then the connection ends, so that such bodies cost little."""
CLOSING: Final = frozenset({
    HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
})  # fmt: skip
"""Answers that end the connection: the client is a stranger, or sends what the server does not want."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def runner(
    application: web.Application,
    *,
    keepalive_seconds: float,
    shutdown_seconds: float,
    is_cancelled_with_connection: bool = False,
) -> web.AppRunner:
    """Return a runner that never decompresses. Set it up, and give its server to a door."""
    # aiohttp logs what it could not parse: that may be a password, and a flood would fill the disk.
    silent = logging.Logger("aiohttp of a server", level=logging.CRITICAL + 1)
    return web.AppRunner(
        application,
        handler_cancellation=is_cancelled_with_connection,
        access_log=None,
        logger=silent,
        auto_decompress=False,
        lingering_time=LINGER_SECONDS,
        keepalive_timeout=keepalive_seconds,
        shutdown_timeout=shutdown_seconds,
    )


SERVER: Final = "fenced"
"""The header `Server`; a version would tell strangers which flaws to try."""


async def name_server(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Set the headers of an answer; a hook of the application."""
    _name(response)


def _name(response: web.StreamResponse) -> None:
    """No version, and no guessing of the content's type by browsers."""
    response.headers["Server"] = SERVER
    response.headers["X-Content-Type-Options"] = "nosniff"


class _Protocol(web.RequestHandler):
    """aiohttp's protocol, whose answers to what is no HTTP have the same headers."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        _name(response)
        return response


def protocols(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of one connection."""

    def made() -> asyncio.Protocol:
        protocol = server()
        protocol.__class__ = _Protocol  # aiohttp's server takes no other class
        return protocol

    return made


def refuse_encoded(request: web.Request) -> None:
    """Raise HTTPUnsupportedMediaType for a compressed body, without reading it."""
    _refuse_other(request, hdrs.CONTENT_ENCODING, "identity")
    _refuse_other(request, hdrs.TRANSFER_ENCODING, "chunked")


def _refuse_other(request: web.Request, header: str, allowed: str) -> None:
    words = [word.strip().lower() for value in request.headers.getall(header, ()) for word in value.split(",")]
    if any(word not in {"", allowed} for word in words):
        raise web.HTTPUnsupportedMediaType(reason=f"{header}: only {allowed} is accepted; send the body uncompressed")


async def not_yet(_: web.Request) -> None:
    """The `expect_handler` of every route: `read_whole` sends `100 Continue` once the caller is let in."""


async def read_whole(request: web.Request, *, seconds: float) -> bytes:
    """Return the body, after sending `100 Continue` if the client waits for it.

    Raises TimeoutError, HTTPRequestEntityTooLarge, and for a broken body PayloadAccessError, RequestPayloadError or
    HttpProcessingError.
    """
    async with asyncio.timeout(seconds):
        is_awaited = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        if is_awaited and request.version == HttpVersion11:
            await request.writer.write(_CONTINUE)
            request.writer.output_size = 0  # aiohttp must not think that the answer has begun
        return await request.read()
