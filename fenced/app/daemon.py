"""The composition root of `fenced run`: configuration in, a running daemon out, a clean end on SIGTERM.

`run_daemon` builds every part once, in order; the functions below it build one part each. The parts do the work;
`running` runs them.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from fenced.api.listening import Listeners
from fenced.api.server import Serving
from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.connections import bus_settings, tls_files, urls, vias
from fenced.app.note import Note
from fenced.app.old_name import retired
from fenced.app.reload import OneEngine, Reloader
from fenced.app.running import Running, run_until, shard_facts
from fenced.app.serving import application, reconfigured, serving_at
from fenced.app.several import run_several
from fenced.app.store import divide, journal_of
from fenced.app.survivors import kill_marked, kill_named
from fenced.bus.client import BusClient
from fenced.config.configuration import Configuration
from fenced.core.fleet import Fleet
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.local import LocalCaller
from fenced.drivers.registry import DriverRegistry, drivers
from fenced.engine.engine import Engine, Ports
from fenced.engine.giving_over import HandedOver, Shown, shown_before
from fenced.engine.replaying import replay
from fenced.engine.retired import Retired
from fenced.engine.takeover import Surroundings
from fenced.host import memory
from fenced.host.limits import allow_open_files
from fenced.host.liveness import TcpLiveness
from fenced.journal.database import SqlJournal
from fenced.journal.instance import instance
from fenced.model.bus_urls import BusUrl
from fenced.model.names import MAIN_SHARD
from fenced.ports.bus import BusError, Message
from fenced.ports.journal import EpochLost, Loaded, StoreError
from fenced.proxy.client import ProxyCaller
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.bus_gauges import BusGauges
from fenced.telemetry.certificates import CertificateGauges
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.proxy_gauges import ProxyGauges
from fenced.telemetry.reloads import ReloadGauges
from fenced.telemetry.shards import ShardGauges

log = structlog.get_logger("fenced")

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the engine, the metrics and the API are built on. `shown`: what the last life left. `remarks`: lines for
    /readyz; "" says nothing."""

    configuration: Configuration
    reloader: Reloader
    journal: SqlJournal
    clocks: Clocks
    registry: DriverRegistry
    remote: ProxyCaller
    watch: ProxyWatch
    certificates: Certificates
    metrics: Metrics
    shown: Shown
    remarks: list[Callable[[], str]] = field(default_factory=list)


async def run_daemon(configuration: Configuration, reloader: Reloader) -> None:
    """Run until SIGTERM or SIGINT.

    Raises StoreError (StoreHeld, StoreTooNew), BusError, ApiError (ApiFilesError), CertificateError; in an exception
    group EpochLost if another controller took over, and StoreWentBack.
    """
    allow_open_files()
    stop = _stop_on_signals()
    _make_state_dir(configuration.state_dir)
    with Listeners() as listeners:
        if configuration.inventory.shards == (MAIN_SHARD,):
            await _lives(reloader, stop, listeners)
        else:
            await run_several(reloader, stop, listeners)


async def _lives(reloader: Reloader, stop: asyncio.Event, listeners: Listeners) -> None:
    """Run one life after the other until a stop."""
    shown: Shown = {}
    while True:
        try:
            await _live(reloader, stop, listeners, shown)
        except BaseExceptionGroup as group:
            handed_over, others = group.split((HandedOver, EpochLost))  # a write may come right after the release
            if others is not None or handed_over is None or handed_over.subgroup(HandedOver) is None:
                raise
            shown = shown_before(group)
            log.warning("handed_over", advice="this controller goes on as a standby")
        else:
            return


async def _live(reloader: Reloader, stop: asyncio.Event, listeners: Listeners, shown: Shown) -> None:
    """Run from the opening of the store to a stop. Raises HandedOver in a group if another life is to act now."""
    configuration = reloader.configuration
    async with contextlib.AsyncExitStack() as stack:
        journal, clocks, loaded = await _open_journal(configuration, stack)
        await _embedded_broker(configuration, stack)
        await kill_marked(configuration, store_id=loaded.store_id)
        registry = await _drivers(configuration, loaded, stack)
        fleet = replay(configuration.inventory, loaded, started=clocks.steady.now())
        memory.give_back()
        remote = _remote(configuration, loaded, clocks, stack)
        parts = _Parts(
            configuration=configuration,
            reloader=reloader,
            journal=journal,
            clocks=clocks,
            registry=registry,
            remote=remote,
            watch=ProxyWatch(remote, configuration.inventory.proxies.values(), clock=clocks.steady),
            certificates=Certificates(configuration, remote, bus_settings(configuration)),
            metrics=Metrics(),
            shown=shown,
        )
        engine, bus = _engine(parts, fleet, loaded)
        _register_gauges(parts, engine, bus)
        app = application(
            configuration.api, engine.control, metrics=parts.metrics, clocks=clocks, reload=reloader.reload
        )
        servings: list[Serving] = []
        _connect_reloads(parts, engine, app, servings)
        stack.callback(lambda: listeners.close() if stop.is_set() else None)
        servings.append(await serving_at(configuration.api, app, listeners, stack=stack, remarks=parts.remarks))
        running = Running(
            engine=engine,
            clocks=clocks,
            reloader=reloader,
            serving=servings[0],
            remote=remote,
            watch=parts.watch,
            note=Note(configuration.state_dir, engine.misnamed),
            certificates=parts.certificates,
        )
        await run_until(stop, running)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _make_state_dir(path: Path) -> None:
    """Raises StoreError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as exc:
        raise StoreError(
            f"daemon.state_dir: can't make {path}: {exc.strerror or exc}; make it for the daemon's user"
        ) from exc


async def _open_journal(
    configuration: Configuration, stack: contextlib.AsyncExitStack
) -> tuple[SqlJournal, Clocks, Loaded]:
    """Return the journal, its content, and clocks that continue the journal's time."""
    journal = journal_of(configuration)
    divide(journal, configuration.inventory)
    loaded = await journal.open(holder=configuration.inventory.daemon.name, now=time.time())
    stack.push_async_callback(journal.close)
    kept = await journal.clock_anchor()
    return journal, Clocks(kept=kept, last_at=loaded.last_at, steady_at=loaded.steady_at), loaded


async def _embedded_broker(configuration: Configuration, stack: contextlib.AsyncExitStack) -> None:
    if configuration.bus.scheme != "embedded":
        return
    try:
        from fenced.bus.embedded import EmbeddedBroker  # amqtt is an extra, and slow to import
    except ModuleNotFoundError as exc:
        raise BusError(
            f"{configuration.bus.url}: the built-in broker needs the package {exc.name}: install fenced[embedded], "
            "or use mqtt:// or mqtts:// with Mosquitto"
        ) from exc
    broker = EmbeddedBroker(BusUrl.parse(configuration.bus.url))
    await broker.start()
    stack.push_async_callback(broker.stop)
    log.warning("embedded_broker", url=configuration.bus.url, advice="for a first run; use Mosquitto in production")


async def _drivers(configuration: Configuration, loaded: Loaded, stack: contextlib.AsyncExitStack) -> DriverRegistry:
    has_warm_agents = configuration.inventory.daemon.has_warm_agents
    keeper = Keeper(marker=instance(configuration.state_dir), has_warm_agents=has_warm_agents)
    return await stack.enter_async_context(
        drivers(agent_path=configuration.agent_path, keeper=keeper, state_dir=configuration.state_dir)
    )


def _around(parts: _Parts) -> Surroundings:
    async def advance(to: float) -> float:
        return parts.clocks.steady.advance(to)

    return Surroundings(advance=advance, settle=kill_named, floors=parts.remote)


def _remote(
    configuration: Configuration, loaded: Loaded, clocks: Clocks, stack: contextlib.AsyncExitStack
) -> ProxyCaller:
    remote = ProxyCaller(
        store=loaded.store_id,
        urls=urls(configuration.inventory),
        vias=vias(configuration.inventory),
        tls=tls_files(configuration.proxy_client),
        clock=clocks.steady,
    )
    stack.push_async_callback(remote.close)
    return remote


def _engine(parts: _Parts, fleet: Fleet, loaded: Loaded) -> tuple[Engine, BusClient]:
    """Build the engine and its bus. Each needs the other, so the bus reaches the engine through `engines`."""
    clock = parts.clocks.steady
    engines: list[Engine] = []

    def will() -> Message | None:
        return engines[0].outbox.controller_message("offline") if engines else None

    bus = BusClient(
        bus_settings(parts.configuration), is_host=lambda name: name in fleet.inventory.hosts, telemetry=parts.metrics,
        clock=clock, will=will, ahead_seconds=clock.ahead_seconds,
        on_stranger=lambda name: engines[0].misnamed.heard(name),
    )  # fmt: skip
    engine = Engine(
        fleet=fleet,
        loaded=loaded,
        ports=Ports(
            bus=bus, journal=parts.journal, local=LocalCaller(parts.registry.driver_for), remote=parts.remote,
            liveness=TcpLiveness(), clock=clock, telemetry=parts.metrics, anchor=parts.clocks.anchor,
            reach=parts.remote.reach, proxies=parts.watch.views, wall=parts.clocks.wall,
            remarks=lambda: tuple(filter(None, (remark() for remark in parts.remarks))),
            retired=_retired(parts.configuration), takeover=_around(parts), shown=parts.shown,
        ),
    )  # fmt: skip
    engines.append(engine)
    parts.watch.report_to(engine.bar)
    parts.remarks.extend((lambda: bus.suspicion, lambda: parts.reloader.last.status(""), parts.certificates.remark))
    return engine, bus


def _retired(configuration: Configuration) -> Retired | None:
    daemon = configuration.inventory.daemon
    return retired(configuration.state_dir, site=daemon.site, name=daemon.name)


def _register_gauges(parts: _Parts, engine: Engine, bus: BusClient) -> None:
    gauges = Gauges(
        engine.control,
        outbox_pending=lambda: engine.outbox.pending,
        outbox_stuck=lambda: len(engine.outbox.stuck),
        ahead_seconds=parts.clocks.steady.ahead_seconds,
    )
    registry = parts.metrics.registry
    registry.register(gauges)
    registry.register(ProxyGauges(parts.watch))
    registry.register(CertificateGauges(parts.certificates.gauges))
    registry.register(ShardGauges(lambda: (shard_facts(engine, parts.clocks),)))
    registry.register(BusGauges(lambda: bus.taken_over_count))
    registry.register(ReloadGauges(parts.reloader.last.outcome))


def _connect_reloads(parts: _Parts, engine: Engine, app: web.Application, servings: Sequence[Serving]) -> None:
    """Let SIGHUP reload the configuration, and pass an accepted one on to the API and to what speaks to the proxies.

    `servings` gets the listening API once it is served.
    """

    def reloaded(new: Configuration) -> None:
        reconfigured(app, new.api, servings[0] if servings else None)
        divide(parts.journal, new.inventory)
        parts.certificates.use(new)
        parts.remote.use(urls(new.inventory), vias(new.inventory))
        parts.watch.use(new.inventory.proxies.values())
        if parts.remote.certificates is not None:
            parts.remote.certificates.ask()

    parts.reloader.connect(OneEngine(engine), reloaded, judge=parts.certificates.judged)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, parts.reloader.ask)
