"""The composition root of `fenced run`: configuration in, a running daemon out, a clean end on SIGTERM.

`run_daemon` builds every part once, in order; the functions below it build one part each. The parts do the work;
`running` runs them.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from fenced.api.listening import Listeners
from fenced.api.server import Serving
from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.connections import bus_settings
from fenced.app.gauges import register_gauges
from fenced.app.life import Life, Setting, begin, said
from fenced.app.note import Note
from fenced.app.old_name import retired
from fenced.app.reload import OneEngine, Reloader
from fenced.app.running import Running, run_until
from fenced.app.serving import application, connect_reloads, serving_at
from fenced.app.several import run_several
from fenced.app.store import clocks_of, opened
from fenced.bus.client import BusClient
from fenced.config.configuration import Configuration
from fenced.engine.giving_over import HandedOver, Shown, shown_before
from fenced.host.limits import allow_open_files
from fenced.model.bus_urls import BusUrl
from fenced.model.names import MAIN_SHARD
from fenced.ports.bus import BusError, Message
from fenced.ports.journal import EpochLost, StoreError
from fenced.telemetry.metrics import Metrics

log = structlog.get_logger("fenced")

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


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
            if stop.is_set():
                return  # it let go of the lease to stop
            shown = shown_before(group)
            log.warning("handed_over", advice="this controller goes on as a standby")
        else:
            return


async def _live(reloader: Reloader, stop: asyncio.Event, listeners: Listeners, shown: Shown) -> None:
    """Run from the opening of the store to a stop. Raises HandedOver in a group if another life is to act now."""
    configuration = reloader.configuration
    async with contextlib.AsyncExitStack() as stack:
        store = await opened(configuration, MAIN_SHARD)
        stack.push_async_callback(store.journal.close)
        clocks, metrics = clocks_of(store), Metrics()
        await _embedded_broker(configuration, stack)
        lives: list[Life] = []
        remarks: list[Callable[[], str]] = []
        bus = _bus(configuration, clocks, metrics, lives)
        life = await begin(configuration, store, _setting(configuration, bus, clocks, metrics, remarks, shown), stack)
        lives.append(life)
        certificates = Certificates(configuration, life.remote, bus_settings(configuration))
        remarks.extend((lambda: bus.suspicion, lambda: reloader.last.status(""), certificates.remark))
        register_gauges(
            metrics, life.engine.control, lambda: (life.engine,), clocks=clocks, proxies=life.watch,
            certificates=certificates, bus=bus, last_reload=reloader.last,
        )  # fmt: skip
        app = application(
            configuration.api, life.engine.control, metrics=metrics, clocks=clocks, reload=reloader.reload
        )
        servings: list[Serving] = []
        connect_reloads(
            reloader, OneEngine(life.engine), app=app, servings=servings, certificates=certificates, lives=lambda: lives
        )
        stack.callback(lambda: listeners.close() if stop.is_set() else None)
        servings.append(await serving_at(configuration.api, app, listeners, stack=stack, remarks=remarks))
        running = Running(
            engine=life.engine,
            clocks=clocks,
            reloader=reloader,
            serving=servings[0],
            remote=life.remote,
            watch=life.watch,
            note=Note(configuration.state_dir, life.engine.misnamed),
            certificates=certificates,
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


def _bus(configuration: Configuration, clocks: Clocks, metrics: Metrics, lives: Sequence[Life]) -> BusClient:
    """Build the bus of an engine. Each needs the other, so the bus reaches the engine through `lives`."""
    clock = clocks.steady

    def will() -> Message | None:
        return lives[0].engine.outbox.controller_message("offline") if lives else None

    return BusClient(
        bus_settings(configuration), is_host=lambda name: name in lives[0].engine.fleet.inventory.hosts,
        telemetry=metrics, clock=clock, will=will, ahead_seconds=clock.ahead_seconds,
        on_stranger=lambda name: lives[0].engine.misnamed.heard(name),
        on_controller=lambda name: lives[0].engine.met(name),
    )  # fmt: skip


def _setting(
    configuration: Configuration, bus: BusClient, clocks: Clocks, metrics: Metrics,
    remarks: Sequence[Callable[[], str]], shown: Shown,
) -> Setting:  # fmt: skip
    async def advance(to: float) -> float:
        return clocks.steady.advance(to)

    daemon = configuration.inventory.daemon
    return Setting(
        bus=bus, clocks=clocks, metrics=metrics, advance=advance, remarks=lambda: said(remarks),
        retired=retired(configuration.state_dir, site=daemon.site, name=daemon.name), shown=shown,
    )  # fmt: skip
