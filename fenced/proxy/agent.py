"""Runs the proxy agent: settles commands of an earlier run, listens, serves until stopped, lets power commands end.

Owns the sockets and TLS; drivers, configuration and signals come from the caller. It accepts no call before the
survivors of an earlier run are dead, and ends only when its power commands have ended or their time is over (S16).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web

from fenced.model.addresses import is_loopback
from fenced.model.credentials import StoredCredential
from fenced.model.look_rules import LookRules
from fenced.net.bodies import runner
from fenced.ports.liveness import Liveness
from fenced.ports.proxies import AgentGauges, AgentTelemetry
from fenced.proxy.calls import Calls, DriverFor, KillSurvivors
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.proxy.clock import ProxyClock
from fenced.proxy.credentials import Credentials
from fenced.proxy.lending import Lending, Loans
from fenced.proxy.listener import Listener, ListenError, listen
from fenced.proxy.looks import Looks
from fenced.proxy.renewal import Changes, Renewal
from fenced.proxy.server import Facts, ProxyServer
from fenced.proxy.state import ProxyState
from fenced.proxy.tls import TlsFiles, server_context
from fenced.proxy.tokens import TokenMemory

KEEPALIVE_SECONDS: Final = 75.0
STOP_SECONDS_MAX: Final = 30.0
ANSWER_SECONDS_MAX: Final = 29.0
"""The part of STOP_SECONDS_MAX in which answers can still be sent.
A command that runs longer can't report its result."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """`tls` None: plain HTTP, allowed on a loopback address only.

    `allow`: names of client certificates, without `CN=`. `look`: what daemons may have it look at; None: nothing.
    """

    name: str
    version: str
    host: str
    port: int
    tls: TlsFiles | None
    allow: frozenset[str]
    agent_processes_max: int
    credentials: Mapping[str, StoredCredential] = field(default_factory=dict)
    loans: Loans = field(default_factory=Loans)
    look: LookRules | None = None


async def serve(
    settings: AgentSettings, *, state: ProxyState, clock: ProxyClock, driver_for: DriverFor, kill: KillSurvivors,
    stop: asyncio.Event, changes: Changes, telemetry: AgentTelemetry, liveness: Liveness,
    drivers: Callable[[], tuple[str, ...]], note_ready: Callable[[], None],
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None, reload_refused: Callable[[], str] = str,
) -> None:  # fmt: skip
    """Serve until `stop` is set, then close `state`.

    `changes`: new configurations. `drivers`: drivers that can be called. `beside`: runs while the agent serves.
    `reload_refused`: why the last reload changed nothing, or "". Raises ListenError, CertificateError, StateError.
    """
    certificates = _certificates(settings)
    context = None if certificates is None else certificates.context
    with TokenMemory(state) as memory:
        calls = _calls(settings, memory, driver_for, clock)
        await _settle(calls, kill)
        listening = listen(settings.host, settings.port)
        credentials, lending, looks = _allowed(settings, liveness, telemetry)
        try:
            async with asyncio.timeout(None) as bound, asyncio.TaskGroup() as tasks:
                server = ProxyServer(
                    name=settings.name, version=settings.version, calls=calls, allow=settings.allow,
                    credentials=credentials, lending=lending, looks=looks, context=context, clock=clock,
                    tasks=tasks, telemetry=telemetry,
                    facts=_facts(settings, memory, drivers, reload_refused),
                )  # fmt: skip
                telemetry.observe(lambda: _gauges(server, looks, certificates))
                application = server.application()
                listener = Listener(listening, application)
                runner = await _set_up(application)
                renewal = Renewal(
                    server=server, listener=listener, credentials=credentials, lending=lending, looks=looks,
                    certificates=certificates,
                )  # fmt: skip
                try:
                    listener.use(context)
                    async with listener.open(runner):
                        running = [
                            tasks.create_task(renewal.run(changes), name="renewal"),
                            tasks.create_task(_beside(beside), name="beside the calls"),
                        ]
                        _log.info("listening", host=settings.host, port=settings.port, tls=context is not None)
                        note_ready()
                        await stop.wait()
                        _stop(server, running)
                        bound.reschedule(asyncio.get_running_loop().time() + STOP_SECONDS_MAX)
                finally:
                    # Waits for answers that are still to be sent, then closes the connections.
                    await runner.cleanup()
        except TimeoutError:
            _log.warning("power commands cut off: they did not end in time", seconds=STOP_SECONDS_MAX)


def _facts(
    settings: AgentSettings, memory: TokenMemory, drivers: Callable[[], tuple[str, ...]],
    reload_refused: Callable[[], str],
) -> Facts:  # fmt: skip
    return Facts(
        drivers=drivers, capacity=settings.agent_processes_max, store=memory.store, reload_refused=reload_refused
    )


def _calls(settings: AgentSettings, memory: TokenMemory, driver_for: DriverFor, clock: ProxyClock) -> Calls:
    processes_max = settings.agent_processes_max
    return Calls(memory=memory, driver_for=driver_for, agent_processes_max=processes_max, clock=clock)


def _allowed(
    settings: AgentSettings, liveness: Liveness, telemetry: AgentTelemetry
) -> tuple[Credentials, Lending, Looks]:
    """Return what holds what this machine does for its callers; a reload exchanges the settings in them."""
    looks = Looks(proxy=settings.name, liveness=liveness, rules=settings.look, telemetry=telemetry)
    return Credentials(settings.name, settings.credentials), Lending(settings.name, settings.loans), looks


def _stop(server: ProxyServer, running: Iterable[asyncio.Task[None]]) -> None:
    """Reject further calls. Running commands go on until their deadline."""
    server.stop()
    for task in running:
        task.cancel()
    _log.info("stopping", commands=server.commands_in_flight)


async def _beside(beside: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
    if beside is not None:
        await beside()


def _certificates(settings: AgentSettings) -> CertificateWatch | None:
    """Raises ListenError, CertificateError."""
    if settings.tls is not None:
        return CertificateWatch(settings.tls, server_context)
    if not is_loopback(settings.host):
        raise ListenError(
            f"{settings.host}: without TLS the proxy agent listens on a loopback address only; "
            "set tls_cert_file, tls_key_file and client_ca_file, or another listen address"
        )
    return None


async def _settle(calls: Calls, kill: KillSurvivors) -> None:
    found = await calls.settle_survivors(kill)
    if found:
        _log.warning("commands of an earlier run settled", commands=found)


def _gauges(server: ProxyServer, looks: Looks, certificates: CertificateWatch | None) -> AgentGauges:
    return AgentGauges(
        reads=server.reads_in_flight,
        commands=server.commands_in_flight,
        looks=looks.in_flight,
        certificates=() if certificates is None else certificates.expiry_seconds(),
    )


async def _set_up(application: web.Application) -> web.AppRunner:
    found = runner(
        application,
        keepalive_seconds=KEEPALIVE_SECONDS,
        shutdown_seconds=ANSWER_SECONDS_MAX,
        is_cancelled_with_connection=True,
    )
    await found.setup()
    return found
