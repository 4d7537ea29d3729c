"""`GET events`: the journal's events as server-sent events, from `Last-Event-ID` on.

It does not interpret the events. A reader that stops reading is disconnected, never waited for; it reconnects with the
id of its last event.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from aiohttp import web

from fenced.api.call import Call, Stream
from fenced.api.problems import Rejection
from fenced.model.positions import Position
from fenced.net.door import client_of
from fenced.ports.control import Happened, Unavailable

KEEP_ALIVE_SECONDS: Final = 15.0
WRITE_TIMEOUT_SECONDS: Final = 30.0
RETRY_MILLISECONDS: Final = 2000


class StreamBroken(Exception):
    """A stream failed after it began. Its status is already sent, so it can only be ended."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("an event stream failed")
        self.response = response


async def events(call: Call) -> web.StreamResponse:
    """Events as they are journalled (server-sent; `id` is a position in the journal, `data` a CloudEvent)."""
    after = _last_event_id(call.request)
    with call.services.streams.slot(call.principal, client_of(call.request)) as stream:
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        if call.request.method == "HEAD":
            return response
        try:
            await response.prepare(call.request)
        except ConnectionError:
            return response  # the reader left before the stream began
        try:
            await _stream(call, stream, response, after)
        except ExceptionGroup as exc:
            raise StreamBroken(response) from exc
        if stream.ended.is_set():
            hang_up(call.request)
    return response


def hang_up(request: web.Request) -> None:
    """Abort a connection with unread data: a reader that does not read would keep it and its buffer."""
    if request.transport is not None and request.transport.get_write_buffer_size():
        request.transport.abort()


def _last_event_id(request: web.Request) -> Position | None:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    try:
        return Position.parse(text)
    except ValueError as exc:
        why = f"Last-Event-ID: use the id of an event of this stream; {exc}"
        raise Rejection(HTTPStatus.UNPROCESSABLE_ENTITY, why) from exc


async def _stream(call: Call, stream: Stream, response: web.StreamResponse, after: Position | None) -> None:
    """Send until the reader leaves, the engine ends the stream, the server stops, or the token is revoked."""
    async with asyncio.TaskGroup() as group:
        parts = (
            group.create_task(_pump(call, response, after), name="api-events-pump"),
            group.create_task(_keep_alive(call, response), name="api-events-keep-alive"),
            group.create_task(stream.ended.wait(), name="api-events-ended"),
        )
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in parts:
            part.cancel()


async def _pump(call: Call, response: web.StreamResponse, after: Position | None) -> None:
    messages = call.control.watch(after=after)
    try:
        if not await write(response, f"retry: {RETRY_MILLISECONDS}\n\n".encode()):
            return
        async for happened in messages:
            if not await write(response, frame(happened)):
                return
    except Unavailable:
        await write(response, b": reconnect with the last id\n\n")
    finally:
        await close(messages)


async def close(messages: AsyncIterator[Happened]) -> None:
    """Close the generator, which keeps its place in the engine otherwise."""
    close = getattr(messages, "aclose", None)
    if close is not None:
        await close()


async def _keep_alive(call: Call, response: web.StreamResponse) -> None:
    """Run until the reader is gone or its token expired."""
    while await write(response, b": keep-alive\n\n", after_seconds=KEEP_ALIVE_SECONDS):
        if not call.services.is_valid(call.principal):
            return


async def write(response: web.StreamResponse, data: bytes, *, after_seconds: float = 0.0) -> bool:
    """Return False if the reader is gone or does not read."""
    if after_seconds:
        await asyncio.sleep(after_seconds)
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
            await response.write(data)
    except (ConnectionError, TimeoutError):
        return False
    return True


def frame(happened: Happened) -> bytes:
    """Return one server-sent event."""
    lines = [b"data: " + line for line in happened.message.payload.splitlines() or [b""]]
    return b"\n".join([b"id: " + str(happened.position).encode(), *lines]) + b"\n\n"
