"""What a handler gets and what the route table says of it: the seam between HTTP and the handlers.

Knows no engine but the port. One rule: a body is parsed by the model that the table, and so the OpenAPI
document, names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel

from fenced.api.access import Access, Principal, Role
from fenced.api.bodies import Body, NoQuery, Query
from fenced.api.limits import RateLimit
from fenced.api.problems import Rejection
from fenced.api.shapes import Shape
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName
from fenced.ports.clock import Clock
from fenced.ports.control import Control

STREAMS_MAX: Final = 64
STREAMS_PER_CLIENT_MAX: Final = 8
PREFIX: Final = "/api/v1"

Metrics = Callable[[str], tuple[bytes, str]]
"""The Accept header -> the exposition and its content type."""
CountAnswer = Callable[[str, int], None]
"""Told of each answer: the route's template and the status."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One event stream: whose, from where, and whether it must end."""

    principal: Principal
    client: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Event streams open now: bounded in all and per client. They end when the server stops, or their token is gone."""

    def __init__(self) -> None:
        self._open: set[Stream] = set()
        self._is_closed = False

    def close(self) -> None:
        """All, and those that begin later."""
        self._is_closed = True
        self.end(lambda _: True)

    def end(self, is_ended: Callable[[Principal], bool]) -> None:
        """Those of whom this is said, at once."""
        for stream in self._open:
            if is_ended(stream.principal):
                stream.ended.set()

    @contextmanager
    def slot(self, principal: Principal, client: str) -> Iterator[Stream]:
        """Room for one stream. Raises Rejection (429) when there is none."""
        mine = sum(stream.client == client for stream in self._open)
        if mine >= STREAMS_PER_CLIENT_MAX or len(self._open) >= STREAMS_MAX:
            raise Rejection(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many event streams: {STREAMS_PER_CLIENT_MAX} of one client, {STREAMS_MAX} in all",
                headers={"Retry-After": "10"},
            )
        stream = Stream(principal, client)
        if self._is_closed:
            stream.ended.set()
        self._open.add(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the server was built with. `limit` counts those who were let in, `failures` those who were not.

    `ahead_seconds`: how far `clock` is ahead of the wall clock now; `wall`: how its moments are told.
    """

    control: Control
    clock: Clock
    access: Access
    limit: RateLimit
    failures: RateLimit
    metrics: Metrics
    count_answer: CountAnswer
    ahead_seconds: Callable[[], float] = lambda: 0.0
    wall: Wall = as_steady
    streams: Streams = field(default_factory=Streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, admitted and parsed. `warnings`: what was ignored of its body."""

    services: Services
    request: web.Request
    principal: Principal
    body: BaseModel | None
    query: BaseModel
    warnings: tuple[str, ...] = ()

    @property
    def control(self) -> Control:
        return self.services.control

    @property
    def host(self) -> HostName:
        return HostName(self.request.match_info["host"])

    def given(self, model: type[Model]) -> Model:
        """The body. The route's model, or it is our bug."""
        assert isinstance(self.body, model)
        return self.body

    def asked(self, model: type[Model]) -> Model:
        """The query. The route's model, or it is our bug."""
        assert isinstance(self.query, model)
        return self.query


Handler = Callable[[Call], Awaitable[Shape | web.StreamResponse | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table: how it is served and how it is documented. `role` None: open to everybody.

    `answer` None: no content, or a stream of `media`. `is_body_raw`: its handler reads the body, which `body` only
    describes. `errors`: statuses beside those that every route may give.
    """

    method: str
    path: str
    name: str
    handle: Handler
    role: Role | None
    answer: type[Shape] | None = None
    status: HTTPStatus = HTTPStatus.OK
    body: type[Body] | None = None
    is_body_needed: bool = False
    is_body_raw: bool = False
    query: type[Query] = NoQuery
    media: str = "application/json"
    errors: tuple[HTTPStatus, ...] = ()
    is_limited: bool = True

    @property
    def summary(self) -> str:
        """First line of the handler's docstring."""
        return (self.handle.__doc__ or self.name).strip().splitlines()[0]
