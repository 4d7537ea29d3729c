"""The seam between HTTP and the handlers: what a handler gets (`Call`), and what the route table declares (`Route`).

It reaches the engine through `ports.control` only. A body is parsed by the model that its route names, which is also
the model in the OpenAPI document.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel

from fenced.api.access import Access
from fenced.api.bodies import Body, NoQuery, Query
from fenced.api.browsers import Browsers
from fenced.api.callers import Principal, Role
from fenced.api.idempotency import Key
from fenced.api.limits import RateLimit
from fenced.api.problems import Rejection
from fenced.api.shapes import Shape
from fenced.api.tags import Kept
from fenced.api.users import Users
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName
from fenced.ports.clock import Clock
from fenced.ports.control import Control, Unavailable
from fenced.ports.reloading import Reload, ReloadVerdict

STREAMS_MAX: Final = 64
STREAMS_PER_CLIENT_MAX: Final = 8
PREFIX: Final = "/api/v1"

Metrics = Callable[[str], tuple[bytes, str]]
"""Takes the Accept header; returns the exposition and its content type."""
CountAnswer = Callable[[str, int], None]
"""Counts an answer by the route's template and the status."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One event stream: its caller, the client's address, and whether it must end."""

    principal: Principal
    client: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """The open event streams, bounded in total and per client.

    They end when the server stops or a reload revokes their token.
    """

    def __init__(self) -> None:
        self._open: set[Stream] = set()
        self._is_closed = False

    def close(self) -> None:
        """End all streams, and every later one at once."""
        self._is_closed = True
        self.end(lambda _: True)

    def end(self, is_ended: Callable[[Principal], bool]) -> None:
        """End the streams of the callers for which `is_ended` is true."""
        for stream in self._open:
            if is_ended(stream.principal):
                stream.ended.set()

    @contextmanager
    def slot(self, principal: Principal, client: str) -> Iterator[Stream]:
        """Hold one slot. Raises Rejection (429) if none is free."""
        mine = sum(stream.client == client for stream in self._open)
        if mine >= STREAMS_PER_CLIENT_MAX or len(self._open) >= STREAMS_MAX:
            raise Rejection(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many event streams: {STREAMS_PER_CLIENT_MAX} for one client, {STREAMS_MAX} in all; close one",
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


async def no_reload(_: str) -> ReloadVerdict:
    """Refuse: the default where nothing can be reloaded."""
    raise Unavailable("this server has no configuration to reload")


@dataclass(slots=True)
class Switches:
    """What a reload may turn on and off. `has_page`: `[api] page`."""

    has_page: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts that the server uses. `limit` counts requests that were let in, `failures` those that were not.

    `ahead_seconds`: how far `clock` is ahead of the wall clock now; `wall`: converts its moments for answers.
    """

    control: Control
    clock: Clock
    access: Access
    browsers: Browsers
    limit: RateLimit
    failures: RateLimit
    metrics: Metrics
    count_answer: CountAnswer
    ahead_seconds: Callable[[], float] = lambda: 0.0
    wall: Wall = as_steady
    reload: Reload = no_reload
    streams: Streams = field(default_factory=Streams)
    users: Users = field(default_factory=Users)
    kept: Kept = field(default_factory=Kept)
    switches: Switches = field(default_factory=Switches)

    def wall_now(self) -> float:
        """Return the wall time, in UNIX seconds."""
        return self.clock.now() - self.ahead_seconds()

    def is_valid(self, principal: Principal) -> bool:
        """Return whether the caller still has the role that it came with."""
        return self.access.is_valid(principal, wall_now=self.wall_now())


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, admitted and parsed. `warnings`: the ignored keys of its body. `key`: the one of its
    `Idempotency-Key`."""

    services: Services
    request: web.Request
    principal: Principal
    body: BaseModel | None
    query: BaseModel
    warnings: tuple[str, ...] = ()
    key: Key | None = None

    @property
    def control(self) -> Control:
        control = self.services.control
        return control if self.key is None else control.keyed(self.key.caller, self.key.content)

    def of_shard(self, shard: str | None) -> Control:
        """Return the control of one shard, or of all. Raises NotFound."""
        return self.control if shard is None else self.control.of_shard(shard)

    @property
    def host(self) -> HostName:
        return HostName(self.request.match_info["host"])

    def given(self, model: type[Model]) -> Model:
        """Return the body as the route's model."""
        assert isinstance(self.body, model)
        return self.body

    def asked(self, model: type[Model]) -> Model:
        """Return the query as the route's model."""
        assert isinstance(self.query, model)
        return self.query


Handler = Callable[[Call], Awaitable[Shape | web.StreamResponse | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table: how a route is served and documented. `role` None: open to everyone.

    `answer` None: no content, or a stream of `media`. `is_body_raw`: the handler reads the body itself; `body` only
    documents it. `errors`: statuses beside those that every route may return. `is_for_reporters`: a host's token may
    call it for that host. `is_at_standby`: a standby serves it although it is no read. `is_restricting`: a change
    that a standby accepts, because it only restricts. `is_versioned`: the answer depends on the query and on what
    `Control.version` stands for alone (`last_heard` apart), so that its entity tag costs nothing; `is_kept`: and it is
    the same for every query.
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
    is_for_reporters: bool = False
    is_at_standby: bool = False
    is_restricting: bool = False
    is_versioned: bool = False
    is_kept: bool = False

    @property
    def is_tagged(self) -> bool:
        """Whether its answers have an entity tag: those of the API that are read as JSON."""
        return self.method == "GET" and self.answer is not None and self.path.startswith(PREFIX)

    @property
    def is_change(self) -> bool:
        """Whether only the controller that acts may serve it."""
        return self.method != "GET" and not self.is_at_standby

    @property
    def summary(self) -> str:
        """Return the first line of the handler's docstring."""
        return (self.handle.__doc__ or self.name).strip().splitlines()[0]
