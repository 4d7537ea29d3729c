"""The composition root of `fenced proxy`: builds the agent from its configuration and runs it until a signal.

The parts do the work; nothing is built anywhere else.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from fenced import __version__
from fenced.app.proxy_reload import SERVING, ProxyReloader, loans, tls_files
from fenced.config.agent_files import LoadedProxy
from fenced.config.configuration import ProxyConfiguration
from fenced.drivers.agents.watch import read_ahead
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.processes import kill_survivors
from fenced.drivers.registry import NATIVES, DriverRegistry, drivers
from fenced.host.limits import allow_open_files
from fenced.host.liveness import TcpLiveness
from fenced.host.notify import Notify
from fenced.ports.devices import Started
from fenced.proxy.agent import AgentSettings, serve
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import DRIVER_CHARACTERS_MAX, DRIVERS_SHOWN_MAX
from fenced.proxy.state import ProxyState
from fenced.telemetry.proxy_metrics import ProxyMetrics
from fenced.telemetry.reloads import ReloadGauges

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


async def run_proxy(configuration: ProxyConfiguration, read: Callable[[], LoadedProxy]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads the file. Raises ListenError, CertificateError, StateError."""
    allow_open_files()
    clock = ProxyClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    with ProxyState(configuration.state_dir, machine_boot=clock.machine_boot) as state:
        marker = state.agent_id()

        async def kill(processes: Sequence[Started]) -> None:
            found = await kill_survivors(
                markers=(marker,), processes={(process.pid, process.pid_started) for process in processes}
            )
            for survivor in found:
                _log.warning("survivor killed", pid=survivor.pid, command=survivor.command, gone=survivor.is_gone)

        keeper = Keeper(marker=marker, has_warm_agents=configuration.has_warm_agents)
        notify = Notify()
        reloader = ProxyReloader(configuration, read, notify)
        loop.add_signal_handler(signal.SIGHUP, reloader.ask)
        metrics = ProxyMetrics()
        metrics.registry.register(ReloadGauges(reloader.last.outcome))
        async with drivers(
            agent_path=configuration.agent_path, keeper=keeper, state_dir=configuration.state_dir
        ) as registry:
            feed_watchdog(notify, loop)
            await serve(
                settings(configuration),
                state=state,
                clock=clock,
                driver_for=registry.driver_for,
                kill=kill,
                stop=stop,
                changes=reloader.changes(),
                telemetry=metrics,
                liveness=TcpLiveness(),
                drivers=lambda: driver_names(registry),
                note_ready=lambda: notify.ready(SERVING),
                beside=lambda: read_ahead(registry.agents),
                reload_refused=lambda: reloader.last.refusal,
            )


def driver_names(registry: DriverRegistry) -> tuple[str, ...]:
    """Return the names for the proxy's status: the built-in drivers, and the fence agents installed now."""
    natives = (native.description.name for native in NATIVES)
    names = (name for name in registry.agents.installed() if len(name) <= DRIVER_CHARACTERS_MAX)
    return tuple(sorted({*natives, *names}))[:DRIVERS_SHOWN_MAX]


def feed_watchdog(notify: Notify, loop: asyncio.AbstractEventLoop) -> None:
    """Feed the watchdog while the event loop runs. Everything slow in the agent has its own thread or process."""
    if notify.watchdog_seconds is not None:
        notify.watchdog()
        loop.call_later(notify.watchdog_seconds, feed_watchdog, notify, loop)


def settings(configuration: ProxyConfiguration) -> AgentSettings:
    return AgentSettings(
        name=configuration.name,
        version=__version__,
        host=configuration.host,
        port=configuration.port,
        tls=tls_files(configuration),
        allow=configuration.allow,
        agent_processes_max=configuration.agent_processes,
        credentials=configuration.credentials,
        loans=loans(configuration),
        look=configuration.look,
    )
