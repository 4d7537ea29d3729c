"""The HTTP server: `build_app` joins the control port and the routes; `serve` listens until its block ends.

It knows the engine through `ports.control` only, and serves what `routes` lists, over TCP and on a unix socket.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from fenced.api.access import Access
from fenced.api.border import BODY_MAX_BYTES, catch_all, endpoint
from fenced.api.browsers import Browsers
from fenced.api.call import CountAnswer, Metrics, Services, no_reload
from fenced.api.callers import Owner
from fenced.api.limits import RateLimit
from fenced.api.listening import ApiError, Listeners
from fenced.api.page import routes as page
from fenced.api.routes import ROUTES
from fenced.model.api_tokens import ApiToken
from fenced.model.moments import Wall, as_steady
from fenced.net.bodies import name_server, not_yet, protocols, runner
from fenced.net.door import IDLE_SECONDS, Door, connections_max
from fenced.net.unix_socket import path_of
from fenced.ports.clock import Clock
from fenced.ports.control import Control
from fenced.ports.reloading import Reload

SHUTDOWN_SECONDS: Final = 2.0
LOCAL_CONNECTIONS_MAX: Final = 1024
"""Of the unix socket, beside those over TCP."""
SERVICES: Final = web.AppKey("services", Services)


class ApiFilesError(ApiError):
    """The certificate or key can't be used: a mistake in the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where the server listens; `port` is the real one if port 0 was requested. `socket` is "" without one."""

    host: str
    port: int
    is_tls: bool
    socket: str = ""
    door: Door | None = None

    def use_certificate(self, cert_file: str, key_file: str) -> None:
        """Use these files for new connections; open ones go on. Without TLS nothing changes. Raises ApiFilesError."""
        if self.door is not None and self.is_tls:
            self.door.context = _tls(cert_file, key_file)

    @property
    def url(self) -> str:
        scheme = "https" if self.is_tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def build_app(
    control: Control,
    *,
    tokens: Iterable[ApiToken],
    requests_per_second: float,
    metrics: Metrics,
    clock: Clock,
    has_tcp_writes: bool = False,
    hosts: Collection[str] = (),
    count_answer: CountAnswer | None = None,
    ahead_seconds: Callable[[], float] = lambda: 0.0,
    wall: Wall = as_steady,
    owner: Owner | None = None,
    reload: Reload = no_reload,
    has_page: bool = True,
) -> web.Application:
    """Build the application. Without `tokens`, TCP only reads unless `has_tcp_writes`.

    `hosts`: further names under which it answers. `ahead_seconds`: how far `clock` is ahead of the wall clock; `wall`:
    converts moments for answers. `owner`: who owns the unix socket; default: this process. Raises ValueError for an
    unknown role.
    """
    services = Services(
        control=control,
        clock=clock,
        access=Access(owner=owner or Owner.this_process()),
        browsers=Browsers(),
        limit=RateLimit(requests_per_second),
        failures=RateLimit(requests_per_second),
        metrics=metrics,
        count_answer=count_answer or _count_nothing,
        ahead_seconds=ahead_seconds,
        wall=wall,
        reload=reload,
    )
    app = web.Application(middlewares=[catch_all(services)], client_max_size=BODY_MAX_BYTES)
    app[SERVICES] = services
    reconfigure(
        app, tokens=tokens, requests_per_second=requests_per_second, has_tcp_writes=has_tcp_writes, hosts=hosts,
        has_page=has_page,
    )  # fmt: skip
    for route in ROUTES:
        served = endpoint(route, services)
        app.router.add_route(route.method, route.path, served, expect_handler=not_yet)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, served, expect_handler=not_yet)
    page.add(app, services)
    app.on_response_prepare.append(name_server)
    app.on_shutdown.append(_end_streams)
    return app


def reconfigure(
    app: web.Application,
    *,
    tokens: Iterable[ApiToken],
    requests_per_second: float,
    has_tcp_writes: bool = False,
    hosts: Collection[str] = (),
    has_page: bool = True,
) -> None:
    """Apply what a reload may change. An event stream ends if its token is revoked or has another role now.

    Raises ValueError for an unknown role; nothing changes then.
    """
    services = app[SERVICES]
    services.access.replace(tokens, has_tcp_writes=has_tcp_writes)
    services.browsers.has_tokens, services.browsers.names = services.access.has_tokens, tuple(hosts)
    services.switches.has_page = has_page
    for limit in (services.limit, services.failures):
        limit.change(requests_per_second)
    services.streams.end(lambda principal: not services.is_valid(principal))


def expiring_tokens(app: web.Application) -> str:
    """Return a line about tokens that end soon, or ""."""
    services = app[SERVICES]
    return services.access.expiring(services.wall_now())


@asynccontextmanager
async def serve(
    app: web.Application,
    listen: str,
    *,
    tls_cert_file: str = "",
    tls_key_file: str = "",
    local: socket.socket | None = None,
    listeners: Listeners | None = None,
) -> AsyncIterator[Serving]:
    """Serve at `address:port` ([::1]:8470 for IPv6), and on the unix socket `local`, while the block runs.

    `listeners`: those whose sockets go on to listen after the block. Raises ApiError (ApiFilesError).
    """
    context = _tls(tls_cert_file, tls_key_file)
    async with AsyncExitStack() as stack:
        listening = (listeners or stack.enter_context(Listeners())).tcp(listen)
        doors = [Door(listening, most=connections_max())]
        doors[0].context = context
        if local is not None:
            doors.append(Door(local, most=min(connections_max(), LOCAL_CONNECTIONS_MAX)))
        for door in doors:
            door.watch(app)
        running = runner(app, keepalive_seconds=IDLE_SECONDS, shutdown_seconds=SHUTDOWN_SECONDS)
        await running.setup()
        stack.push_async_callback(running.cleanup)
        assert running.server is not None
        for door in doors:
            await stack.enter_async_context(door.open(protocols(running.server)))
        yield Serving(
            host=str(listening.getsockname()[0]),
            port=int(listening.getsockname()[1]),
            is_tls=context is not None,
            socket="" if local is None else path_of(local),
            door=doors[0],
        )


def _tls(cert_file: str, key_file: str) -> ssl.SSLContext | None:
    if not cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # The empty password keeps OpenSSL from prompting on a terminal for an encrypted key.
        context.load_cert_chain(cert_file, key_file or None, password=b"")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise ApiFilesError(
            f"api.tls_cert_file: can't use {cert_file}: {exc}; give a PEM certificate and its unencrypted key"
        ) from exc
    return context


def end_streams(app: web.Application) -> None:
    """End all event streams; their readers come back and go on where they were."""
    app[SERVICES].streams.end(lambda _: True)


async def _end_streams(app: web.Application) -> None:
    app[SERVICES].streams.close()


def _count_nothing(route: str, status: int) -> None:
    """Count nothing: the default where no metrics are wanted."""
