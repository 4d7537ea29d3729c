"""The composition root of `fenced run`: configuration in, a running daemon out, a clean end on SIGTERM.

Builds every part once and connects them; does no work of theirs. The watchdog of systemd is fed only while loop, bus and
store make progress.
"""

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Final

import structlog

from fenced.api.server import Serving, build_app, reconfigure, serve
from fenced.app.clocks import Clocks
from fenced.app.note import Note
from fenced.app.reload import Reloader, status
from fenced.bus.client import BusClient
from fenced.bus.embedded import EmbeddedBroker
from fenced.bus.settings import BusSettings
from fenced.config.configuration import Configuration, TlsClient
from fenced.drivers.keeper_client import Keeper
from fenced.drivers.local import LocalCaller
from fenced.drivers.processes import kill_survivors
from fenced.drivers.registry import drivers
from fenced.engine.engine import Engine, Ports, replay, unfinished
from fenced.host import memory
from fenced.host.limits import allow_open_files
from fenced.host.liveness import TcpLiveness
from fenced.host.notify import Notify
from fenced.journal.store import SqlJournal
from fenced.model.bus_urls import BusUrl
from fenced.model.inventory import Inventory, Via
from fenced.model.names import ProxyName
from fenced.ports.bus import Message
from fenced.ports.journal import Loaded, StoreError
from fenced.proxy.client import ProxyCaller
from fenced.proxy.tls import TlsFiles
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.bus_gauges import BusGauges
from fenced.telemetry.certificates import CertificateGauges
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.proxy_gauges import ProxyGauges
from fenced.telemetry.reloads import ReloadGauges

log = structlog.get_logger("fenced")

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
STUCK_SECONDS: Final = 10.0
"""A reactor that did not come around for so long is stuck: the watchdog is not fed."""
SENDER_STUCK_SECONDS: Final = 120.0
"""The same for the sender to the bus, which may wait for a slow broker's acknowledgements."""


async def run_daemon(configuration: Configuration, reloader: Reloader) -> None:
    """Until SIGTERM or SIGINT. Raises StoreError (StoreHeld, StoreTooNew), BusError, ApiError (ApiFilesError),
    CertificateError, and EpochLost in an exception group when another controller took over."""
    allow_open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    _make_state_dir(configuration.state_dir)
    async with contextlib.AsyncExitStack() as stack:
        journal, clocks, loaded = await _open_journal(configuration, stack)
        clock = clocks.steady
        await _embedded_broker(configuration, stack)
        keeper = Keeper(marker=loaded.store_id, has_warm_agents=configuration.inventory.daemon.has_warm_agents)
        registry = await stack.enter_async_context(
            drivers(agent_path=configuration.agent_path, keeper=keeper, state_dir=configuration.state_dir)
        )
        metrics = Metrics()
        inventory = configuration.inventory
        fleet = replay(inventory, loaded, started=clock.now())
        memory.give_back()
        for survivor in await kill_survivors(marker=loaded.store_id, processes=set(unfinished(fleet))):
            log.warning("survivor_killed", pid=survivor.pid, command=survivor.command, gone=survivor.is_gone)
        remote = ProxyCaller(
            store=loaded.store_id,
            urls={proxy.name: proxy.url for proxy in inventory.proxies.values()},
            vias=_vias(inventory),
            tls=_tls(configuration.proxy_client),
            clock=clock,
        )
        stack.push_async_callback(remote.close)
        watch = ProxyWatch(remote, inventory.proxies.values(), clock=clock, faults=fleet.proxy_faults)
        engines: list[Engine] = []

        def will() -> Message | None:
            return engines[0].outbox.controller_message("offline") if engines else None

        bus = BusClient(
            _bus_settings(configuration), is_host=lambda name: name in fleet.inventory.hosts, telemetry=metrics,
            clock=clock, will=will, ahead_seconds=clock.ahead_seconds, on_stranger=lambda name: engines[0].misnamed.heard(name),
        )  # fmt: skip
        engine = Engine(
            fleet=fleet,
            ports=Ports(
                bus=bus, journal=journal, local=LocalCaller(registry.driver_for), remote=remote,
                liveness=TcpLiveness(), clock=clock, telemetry=metrics, anchor=clocks.anchor,
                reach=remote.reach, proxies=watch.views, wall=clocks.wall,
                remarks=lambda: tuple(filter(None, (bus.suspicion, reloader.last.status("")))),
            ),
        )  # fmt: skip
        engines.append(engine)
        gauges = Gauges(
            engine.control,
            outbox_pending=lambda: engine.outbox.pending,
            outbox_stuck=lambda: len(engine.outbox.stuck),
            ahead_seconds=clock.ahead_seconds,
        )
        metrics.registry.register(gauges)
        metrics.registry.register(ProxyGauges(watch))
        metrics.registry.register(CertificateGauges(remote.expiry_seconds))
        metrics.registry.register(BusGauges(lambda: bus.taken_over_count))
        metrics.registry.register(ReloadGauges(reloader.last.outcome))
        app = build_app(
            engine.control,
            tokens=configuration.api.tokens,
            requests_per_second=configuration.api.requests_per_second,
            metrics=metrics.exposition,
            clock=clock,
            count_answer=metrics.api_answer,
            ahead_seconds=clock.ahead_seconds,
            wall=clocks.wall,
        )

        def reloaded(new: Configuration) -> None:
            reconfigure(app, tokens=new.api.tokens, requests_per_second=new.api.requests_per_second)
            remote.use({proxy.name: proxy.url for proxy in new.inventory.proxies.values()}, _vias(new.inventory))
            watch.use(new.inventory.proxies.values())
            if remote.certificates is not None:
                remote.certificates.ask()

        reloader.connect(engine, reloaded)
        note = Note(configuration.state_dir, engine.misnamed)
        loop.add_signal_handler(signal.SIGHUP, reloader.ask)
        api = configuration.api
        serving = await stack.enter_async_context(
            serve(
                app,
                f"[{api.host}]:{api.port}" if ":" in api.host else f"{api.host}:{api.port}",
                tls_cert_file=str(api.tls_cert_file or ""),
                tls_key_file=str(api.tls_key_file or ""),
            )
        )
        await _run_until(stop, engine, clocks, reloader, serving, remote, watch, note)


async def _run_until(
    stop: asyncio.Event,
    engine: Engine,
    clocks: Clocks,
    reloader: Reloader,
    serving: Serving,
    remote: ProxyCaller,
    watch: ProxyWatch,
    note: Note,
) -> None:
    notify = Notify()

    def on_running() -> None:
        fleet = engine.fleet
        log.info(
            "running", name=fleet.inventory.daemon.name, api=serving.url, hosts=len(fleet.hosts), epoch=fleet.epoch,
            armed=fleet.is_armed,
        )  # fmt: skip
        notify.ready(status(engine))

    async with asyncio.TaskGroup() as group:
        running = group.create_task(engine.run(on_running=on_running), name="engine")
        helpers = [
            group.create_task(_watchdog(notify, engine, clocks), name="watchdog"),
            group.create_task(reloader.run(notify), name="reload"),
            group.create_task(remote.watch_certificates(), name="certificates"),
            group.create_task(watch.run(), name="proxies"),
            group.create_task(clocks.watch(), name="clocks"),
            group.create_task(note.run(), name="note of names"),
        ]
        await stop.wait()
        log.info("stopping")
        notify.stopping("letting running power steps reach a safe point")
        await engine.drain()
        for task in (running, *helpers):
            task.cancel()
    log.info("stopped")


async def _open_journal(
    configuration: Configuration, stack: contextlib.AsyncExitStack
) -> tuple[SqlJournal, Clocks, Loaded]:
    """The journal, and a steady clock that goes on from where the journal's time stood."""
    journal = SqlJournal(url=configuration.store.url, state_dir=configuration.state_dir)
    loaded = await journal.open(holder=configuration.inventory.daemon.name, now=time.time())
    stack.push_async_callback(journal.close)
    return journal, Clocks(kept=await journal.clock_anchor(), last_at=loaded.last_at), loaded


def _make_state_dir(path: Path) -> None:
    """Raises StoreError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as exc:
        raise StoreError(f"daemon.state_dir: can't make {path}: {exc.strerror or exc}") from exc


async def _embedded_broker(configuration: Configuration, stack: contextlib.AsyncExitStack) -> None:
    if configuration.bus.scheme != "embedded":
        return
    broker = EmbeddedBroker(BusUrl.parse(configuration.bus.url))
    await broker.start()
    stack.push_async_callback(broker.stop)
    log.warning("embedded_broker", url=configuration.bus.url, advice="for a first run; use Mosquitto in production")


def _vias(inventory: Inventory) -> dict[ProxyName, Via]:
    return {proxy.name: proxy.via for proxy in inventory.proxies.values() if proxy.via is not None}


def _tls(client: TlsClient) -> TlsFiles | None:
    if client.ca_file is None or client.cert_file is None or client.key_file is None:
        return None
    return TlsFiles(ca_file=client.ca_file, cert_file=client.cert_file, key_file=client.key_file)


def _bus_settings(configuration: Configuration) -> BusSettings:
    bus, daemon = configuration.bus, configuration.inventory.daemon
    return BusSettings(
        host=bus.host,
        port=bus.port,
        site=daemon.site,
        client_id=f"fenced-{daemon.site}-{daemon.name}",
        is_tls=bus.scheme == "mqtts",
        is_version_5_tried=bus.scheme != "embedded",
        ca_file=str(bus.tls.ca_file or ""),
        cert_file=str(bus.tls.cert_file or ""),
        key_file=str(bus.tls.key_file or ""),
        username=bus.username,
        password=bus.password,
    )


async def _watchdog(notify: Notify, engine: Engine, clocks: Clocks) -> None:
    """Fed only while the reactor comes around, the lease can be renewed and what is for the bus is looked at.

    A broker that is away starves nobody: the sender comes around without one too.
    """
    if notify.watchdog_seconds is None:
        return
    while True:
        now = clocks.steady.now()
        is_turning = now - engine.reactor.turned_at < STUCK_SECONDS
        is_sending = now - engine.outbox.turned_at < SENDER_STUCK_SECONDS
        if is_turning and is_sending and now < engine.lease.until + STUCK_SECONDS:
            notify.watchdog()
        await asyncio.sleep(notify.watchdog_seconds)
