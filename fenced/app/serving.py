"""Builds and serves the API of `fenced run`, and passes on what a reload changes of it and of the lives behind it."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterable, Sequence

import structlog
from aiohttp import web

from fenced.api.callers import Owner
from fenced.api.listening import ApiError, Listeners
from fenced.api.server import ApiFilesError, Serving, build_app, expiring_tokens, reconfigure, serve
from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.life import Life
from fenced.app.reload import Reloader, Target
from fenced.config.configuration import ApiConfiguration, Configuration
from fenced.net.unix_socket import SocketError
from fenced.ports.control import Control
from fenced.ports.reloading import Reload
from fenced.telemetry.metrics import Metrics

log = structlog.get_logger("fenced")


def application(
    api: ApiConfiguration, control: Control, *, metrics: Metrics, clocks: Clocks, reload: Reload
) -> web.Application:
    """Return the application over a control."""
    return build_app(
        control,
        tokens=api.tokens,
        requests_per_second=api.requests_per_second,
        has_tcp_writes=api.tcp_writes,
        hosts=api.hosts,
        metrics=metrics.exposition,
        clock=clocks.steady,
        count_answer=metrics.api_answer,
        ahead_seconds=clocks.steady.ahead_seconds,
        wall=clocks.wall,
        reload=reload,
        has_page=api.page,
    )


def _reconfigured(app: web.Application, api: ApiConfiguration, serving: Serving | None) -> None:
    """Apply a reloaded configuration. `serving`: None before it is served."""
    reconfigure(
        app,
        tokens=api.tokens,
        requests_per_second=api.requests_per_second,
        has_tcp_writes=api.tcp_writes,
        hosts=api.hosts,
        has_page=api.page,
    )
    if serving is None:
        return
    try:
        serving.use_certificate(str(api.tls_cert_file or ""), str(api.tls_key_file or ""))
    except ApiFilesError as exc:  # the files changed since the check; the next reload reads them again
        log.error("api_certificate_refused", reason=str(exc))


async def serving_at(
    api: ApiConfiguration, app: web.Application, listeners: Listeners, *, stack: contextlib.AsyncExitStack,
    remarks: list[Callable[[], str]],
) -> Serving:  # fmt: skip
    """Serve over TCP and on the unix socket. `state_dir` is locked by now, so this is its only daemon.

    `remarks` gets what the API has to say in /readyz. Raises ApiError.
    """
    local = _local(api, listeners, remarks)
    remarks.append(lambda: expiring_tokens(app))
    return await stack.enter_async_context(
        serve(
            app,
            f"[{api.host}]:{api.port}" if ":" in api.host else f"{api.host}:{api.port}",
            tls_cert_file=str(api.tls_cert_file or ""),
            tls_key_file=str(api.tls_key_file or ""),
            local=local,
            listeners=listeners,
        )
    )


def _local(api: ApiConfiguration, listeners: Listeners, remarks: list[Callable[[], str]]) -> socket.socket | None:
    """Return the listening unix socket, or None. Raises ApiError if the file names one that can't be made.

    Without systemd nobody makes the folder of the default path. The API is then on TCP alone, and says so.
    """
    if api.socket is None:
        return None
    try:
        return listeners.local(api.socket, group=Owner.this_process().group)
    except SocketError as exc:
        if api.is_socket_chosen:
            raise ApiError(f"api.socket: {exc}") from exc
        why = f"api.socket: {exc}"
        log.warning("no_api_socket", reason=why, advice="set api.socket to a path in a folder of the daemon's user")
        remarks.append(lambda: why)
        return None


def connect_reloads(
    reloader: Reloader, target: Target, *, app: web.Application, servings: Sequence[Serving],
    certificates: Certificates, lives: Callable[[], Iterable[Life]],
) -> None:  # fmt: skip
    """Let SIGHUP reload the configuration, and pass an accepted one on to the API and to what speaks to the proxies.

    `servings` gets the listening API once it is served. `lives`: those that run now.
    """

    def reloaded(new: Configuration) -> None:
        _reconfigured(app, new.api, servings[0] if servings else None)
        certificates.use(new)
        for life in lives():
            life.use(new)

    reloader.connect(target, reloaded, judge=certificates.judged)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)
