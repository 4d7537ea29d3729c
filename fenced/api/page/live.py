"""`/live`: what changed on an open page, as fragments of it with their ids, as events happen.

A stream begins at the position that the page was drawn at, so nothing between is lost; the browser names the last one
when it comes back. Bursts are one fragment. A page that shows what moves without events (an operation that runs) is
also drawn again now and then, and sent only if it differs.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from fenced.api.call import Stream
from fenced.api.events import KEEP_ALIVE_SECONDS, RETRY_MILLISECONDS, close, hang_up, write
from fenced.api.page import fleet, holds, host, operation
from fenced.api.page.border import HEADERS, Visit
from fenced.api.page.pictures import Filter
from fenced.api.problems import Rejection, unprocessable
from fenced.api.shapes import Fault
from fenced.model.names import HostName, OperationId
from fenced.model.positions import Position
from fenced.net.door import client_of
from fenced.ports.control import Happened, NotFound, Unavailable

SETTLE_SECONDS: Final = 0.1
"""So long events are gathered before they are drawn."""
SHARE_MAX: Final = 0.2
"""The share of the time that drawing for one reader may take."""
TICK_SECONDS: Final = 1.0

Fragments = Callable[[frozenset[str]], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An open page. `concerns`: whether an event of a host changes it; None: every event. `tick_seconds`: it is drawn
    again so often without events."""

    fragments: Fragments
    concerns: HostName | None = None
    tick_seconds: float = KEEP_ALIVE_SECONDS


@dataclass(slots=True)
class Heard:
    """What happened since the last fragment."""

    hosts: set[str] = field(default_factory=set)
    position: Position | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


def opened(visit: Visit) -> Open:
    """Return the page that the reader has open. Raises Rejection (422)."""
    address = visit.call.request.query.get("page", "/")
    parts = urlsplit(address)
    words = [word for word in parts.path.split("/") if word]

    async def of_fleet(changed: frozenset[str]) -> str:
        return fleet.fragments(visit, chosen, changed)

    async def of_host(_: frozenset[str]) -> str:
        return await host.fragments(visit, HostName(words[1]))

    async def of_operation(_: frozenset[str]) -> str:
        return await operation.fragments(visit, OperationId(words[1]))

    async def of_storms(_: frozenset[str]) -> str:
        return holds.storm_fragments(visit)

    async def of_pauses(_: frozenset[str]) -> str:
        return holds.pause_fragments(visit)

    match words:
        case []:
            chosen = Filter.of(dict(parse_qsl(parts.query)))
            return Open(fragments=of_fleet)
        case ["hosts", name]:
            return Open(fragments=of_host, concerns=HostName(name), tick_seconds=5 * TICK_SECONDS)
        case ["operations", _]:
            return Open(fragments=of_operation, tick_seconds=TICK_SECONDS)
        case ["storms"]:
            return Open(fragments=of_storms)
        case ["pauses"]:
            return Open(fragments=of_pauses)
        case _:
            raise unprocessable(Fault(path="page", reason="this page has nothing that moves"))


async def live(visit: Visit) -> web.StreamResponse:
    """Send fragments until the reader leaves."""
    page, after = opened(visit), _after(visit)
    call = visit.call
    with call.services.streams.slot(call.principal, client_of(call.request)) as stream:
        response = web.StreamResponse(headers={**HEADERS, "X-Accel-Buffering": "no"})
        response.content_type, response.charset = "text/event-stream", "utf-8"
        if call.request.method == "HEAD":
            return response
        with contextlib.suppress(ConnectionError):  # the reader left before the stream began
            await response.prepare(call.request)
            await _stream(visit, page, stream, response, after)
        if stream.ended.is_set():
            hang_up(call.request)
    return response


def _after(visit: Visit) -> Position | None:
    request = visit.call.request
    text = request.headers.get("Last-Event-ID", "").strip() or request.query.get("after", "")
    try:
        return Position.parse(text) if text else None
    except ValueError as exc:
        raise unprocessable(Fault(path="after", reason=str(exc))) from exc


async def _stream(
    visit: Visit, page: Open, stream: Stream, response: web.StreamResponse, after: Position | None
) -> None:  # fmt: skip
    """Send until the reader leaves, the engine ends the stream, the server stops, or the session ends."""
    heard = Heard()
    async with asyncio.TaskGroup() as group:
        parts = (
            group.create_task(_send(visit, page, heard, response), name="page-send"),
            group.create_task(_listen(visit, page, heard, after), name="page-listen"),
            group.create_task(stream.ended.wait(), name="page-ended"),
        )
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in parts:
            part.cancel()


async def _listen(visit: Visit, page: Open, heard: Heard, after: Position | None) -> None:
    """Gather what happens; the end of the engine's stream ends this one."""
    messages = visit.call.control.watch(after=after)
    try:
        async for happened in messages:
            _hear(page, heard, happened)
    except Unavailable:
        return  # the reader comes back
    finally:
        await close(messages)


def _hear(page: Open, heard: Heard, happened: Happened) -> None:
    heard.position = happened.position
    name = happened.message.host
    if page.concerns is None or name is None or name == page.concerns:
        heard.hosts |= {str(name)} if name is not None else set()
        heard.news.set()


async def _send(visit: Visit, page: Open, heard: Heard, response: web.StreamResponse) -> None:
    """Draw and send; ends when the reader is gone, its session is over, or what it shows is not there any more."""
    loop, last = asyncio.get_running_loop(), ""
    written_at = loop.time()
    if not await write(response, f"retry: {RETRY_MILLISECONDS}\n\n".encode()):
        return
    while visit.call.services.is_valid(visit.session.principal):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(page.tick_seconds):
                await heard.news.wait()
        if heard.news.is_set():
            await asyncio.sleep(SETTLE_SECONDS)
        changed, position = frozenset(heard.hosts), heard.position
        heard.hosts.clear()
        heard.news.clear()
        began = loop.time()
        try:
            text = await page.fragments(changed)
        except (NotFound, Rejection):
            return  # it is not there any more: the reader opens the page again, and is told
        is_new, is_quiet = text != last, loop.time() - written_at >= KEEP_ALIVE_SECONDS
        if is_new or is_quiet:
            if not await write(response, _event(text, position).encode() if is_new else b": keep-alive\n\n"):
                return
            last, written_at = text, loop.time()
        await asyncio.sleep((loop.time() - began) * (1 / SHARE_MAX - 1))


def _event(text: str, position: Position | None) -> str:
    identity = f"id: {position}\n" if position is not None else ""
    return identity + "".join(f"data: {line}\n" for line in text.splitlines() if line.strip()) + "\n"
