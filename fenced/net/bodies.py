"""Bodies of requests, the same for each server: taken as they were sent, asked for when they are wanted, whole in time.

Knows HTTP, no call. One rule: nothing is unpacked. aiohttp would inflate a body while it parses, before anybody has looked
who sends it, and a few hundred kilobytes become minutes of work.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

LINGER_SECONDS: Final = 1.0
"""For what is still on its way behind an answer; then the connection ends, so that a body that nobody reads costs little."""
CLOSING: Final = frozenset({
    HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
})  # fmt: skip
"""Answers with which the connection ends: whoever gets one is a stranger, or sends what is not wanted."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def runner(
    application: web.Application,
    *,
    keepalive_seconds: float,
    shutdown_seconds: float,
    is_cancelled_with_connection: bool = False,
) -> web.AppRunner:
    """Runs an application as the rule above asks for. Set it up, and give its server to a door."""
    # aiohttp quotes what it could not parse into its log: that may be a password, and a flood would fill the disk.
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


def refuse_encoded(request: web.Request) -> None:
    """Raises HTTPUnsupportedMediaType for a body that must be unpacked. Its bytes were not looked at."""
    _refuse_other(request, hdrs.CONTENT_ENCODING, "identity")
    _refuse_other(request, hdrs.TRANSFER_ENCODING, "chunked")


def _refuse_other(request: web.Request, header: str, allowed: str) -> None:
    words = [word.strip().lower() for value in request.headers.getall(header, ()) for word in value.split(",")]
    if any(word not in {"", allowed} for word in words):
        raise web.HTTPUnsupportedMediaType(reason=f"{header}: {allowed} alone is taken here")


async def not_yet(_: web.Request) -> None:
    """The `expect_handler` of every route: `100 Continue` is for callers that were let in. `read_whole` sends it."""


async def read_whole(request: web.Request, *, seconds: float) -> bytes:
    """The body, after its sender was told to go on where he waits for that.

    Raises TimeoutError, HTTPRequestEntityTooLarge, and for a broken one PayloadAccessError, RequestPayloadError or
    HttpProcessingError.
    """
    async with asyncio.timeout(seconds):
        is_awaited = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        if is_awaited and request.version == HttpVersion11:
            await request.writer.write(_CONTINUE)
            request.writer.output_size = 0  # the answer itself has not begun
        return await request.read()
