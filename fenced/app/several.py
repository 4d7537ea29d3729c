"""The composition root of `fenced run` for several shards: an engine for each, one bus, one API, one controller.

Each shard begins new lives of its own (`unit`). What ends the process ends all of them: the next start resumes from the
journal.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web

from fenced.api.listening import Listeners
from fenced.api.server import Serving, end_streams
from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.connections import bus_settings
from fenced.app.gauges import register_gauges
from fenced.app.life import said
from fenced.app.note import Note
from fenced.app.old_name import retired
from fenced.app.places import Places
from fenced.app.reload import Reloader, status
from fenced.app.running import is_well, watchdog
from fenced.app.serving import application, connect_reloads, serving_at
from fenced.app.shares import Shares
from fenced.app.store import glances_of, opened
from fenced.app.unit import Common, Unit, first_clock
from fenced.bus.client import BusClient
from fenced.bus.switch import Switch
from fenced.config.configuration import Configuration
from fenced.core import events as e
from fenced.core.readiness.of_host import opened_by
from fenced.engine.engine import Engine
from fenced.engine.many_shards import ManyShards
from fenced.host.notify import Notify
from fenced.journal.glances import Glances
from fenced.journal.lock import NAME as LOCK_NAME
from fenced.journal.lock import LockFile
from fenced.model.answers import RefusedBy
from fenced.model.inventory import Inventory
from fenced.model.names import MAIN_SHARD, HostName
from fenced.ports.bus import Message
from fenced.ports.control import Unavailable
from fenced.ports.proxies import ProxyView
from fenced.proxy.certificate_watch import CertificateWatch
from fenced.telemetry.metrics import Metrics

log = structlog.get_logger("fenced")

Units = Mapping[str, Unit]
ASK_AGAIN_SECONDS: Final = 0.1
"""How soon the next life of a shard is asked, while the last one is being taken down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """The parts that the shards share. `moved`: as Common has it. `remarks`: lines for /readyz; "" says nothing.
    `apps`: the API, once built."""

    reloader: Reloader
    clocks: Clocks
    moved: Mapping[str, float]
    bus: BusClient
    switch: Switch
    places: Places
    metrics: Metrics
    shares: Shares
    certificates: Certificates
    units: Units
    glances: Glances | None
    remarks: list[Callable[[], str]]
    apps: list[web.Application] = field(default_factory=list)

    def common(self) -> Common:
        return Common(
            configuration=lambda: self.reloader.configuration,
            clocks=self.clocks,
            moved=self.moved,
            metrics=self.metrics,
            remarks=lambda: said(self.remarks),
            ended=self._ended,
            glances=self.glances,
        )

    def is_well(self) -> bool:
        """Whether every engine that runs is well."""
        now = self.clocks.steady.now()
        return all(is_well(unit.engine, now) for unit in self.units.values() if unit.is_alive)

    def _ended(self, shard: str) -> None:
        self.shares.ended(shard)
        for app in self.apps:
            end_streams(app)


async def run_several(reloader: Reloader, stop: asyncio.Event, listeners: Listeners) -> None:
    """Run the shards that this controller may hold until `stop`. Raises as `daemon.run_daemon`."""
    configuration = reloader.configuration
    async with contextlib.AsyncExitStack() as stack:
        _lock(configuration, stack)
        glances = glances_of(configuration)
        if glances is not None:
            stack.push_async_callback(glances.close)
        stores = {shard: await opened(configuration, shard, glances=glances) for shard in configuration.shards}
        process = _process(reloader, *first_clock(stores), glances=glances)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(unit.run(stores[shard], process.common()), name=f"shard {shard}")
                for shard, unit in process.units.items()
            ]
            for unit in process.units.values():
                await unit.alive()
            stack.callback(lambda: listeners.close() if stop.is_set() else None)
            tasks += await _served(process, listeners, stack, group)
            await stop.wait()
            log.info("stopping")
            Notify().stopping("letting running power steps reach a safe point")
            process.shares.stop()
            await _drain(process.units)
            for task in tasks:
                task.cancel()
    log.info("stopped")


def _lock(configuration: Configuration, stack: contextlib.AsyncExitStack) -> None:
    """Lock `state_dir`, unless the journal of `main` does, which is there. Raises StoreHeld, OSError."""
    if MAIN_SHARD not in configuration.shards:
        lock = LockFile(configuration.state_dir.resolve() / LOCK_NAME)
        lock.acquire(holder=configuration.inventory.daemon.name, now=time.time())
        stack.callback(lock.release)


def _process(reloader: Reloader, clocks: Clocks, moved: Mapping[str, float], *, glances: Glances | None) -> _Process:
    configuration = reloader.configuration
    daemon = configuration.inventory.daemon
    units: dict[str, Unit] = {}
    metrics = Metrics()
    bus = BusClient(
        bus_settings(configuration), is_host=lambda name: name in reloader.configuration.inventory.hosts,
        telemetry=metrics, clock=clocks.steady, will=lambda: _offline(units), ahead_seconds=clocks.steady.ahead_seconds,
        on_stranger=lambda name: _strange(units, name), on_controller=lambda name: _meet(units, name),
    )  # fmt: skip
    places = Places(lambda: reloader.configuration.inventory)
    switch = Switch(bus, shard_of=places.shard_of, shard_of_cluster=places.shard_of_cluster, clock=clocks.steady)
    at_most, ttl = configuration.store.shards_at_most, daemon.lease_ttl_seconds
    shares = Shares(units, at_most=at_most, lease_seconds=ttl, clock=clocks.steady)
    old = retired(configuration.state_dir, site=daemon.site, name=daemon.name)
    for shard in configuration.shards:
        units[shard] = Unit(shard, beside=shares.beside(shard), bus=switch.line(shard), retired=old)
        old = None  # one of them clears it
    certificates = Certificates(configuration, _Remotes(units), bus_settings(configuration))
    return _Process(
        reloader=reloader, clocks=clocks, moved=moved, bus=bus, switch=switch, places=places, metrics=metrics,
        shares=shares, certificates=certificates, units=units, glances=glances,
        remarks=[lambda: bus.suspicion, lambda: reloader.last.status(""), certificates.remark],
    )  # fmt: skip


async def _served(
    process: _Process, listeners: Listeners, stack: contextlib.AsyncExitStack, group: asyncio.TaskGroup
) -> list[asyncio.Task[None]]:
    """Serve the API over all shards, and start what runs beside them."""
    reloader, units, notify = process.reloader, process.units, Notify()
    api = reloader.configuration.api
    control = ManyShards(
        {shard: unit.control.as_port() for shard, unit in units.items()},
        shard_of=process.places.shard_of, inventory=lambda: reloader.configuration.inventory,
    )  # fmt: skip
    register_gauges(
        process.metrics, control, lambda: [unit.engine for unit in units.values()], clocks=process.clocks,
        proxies=_Watched(units), certificates=process.certificates, bus=process.bus, last_reload=reloader.last,
    )  # fmt: skip
    app = application(api, control, metrics=process.metrics, clocks=process.clocks, reload=reloader.reload)
    process.apps.append(app)
    servings: list[Serving] = []
    connect_reloads(
        reloader, _Target(units), app=app, servings=servings, certificates=process.certificates,
        lives=lambda: [unit.life for unit in units.values()],
    )  # fmt: skip
    servings.append(await serving_at(api, app, listeners, stack=stack, remarks=process.remarks))
    note = Note(reloader.configuration.state_dir, _Strangers(units))
    tasks = {
        "bus": process.switch.run(),
        "shares": process.shares.run(),
        "watchdog": watchdog(notify, process.is_well),
        "reload": reloader.run(notify),
        "clocks": process.clocks.watch(),
        "note of names": note.run(),
        "ends of certificates": process.certificates.watch(),
    }
    log.info(
        "running", name=reloader.configuration.inventory.daemon.name, api=servings[0].url, socket=servings[0].socket,
        shards=list(units), hosts=sum(len(each.engine.fleet.hosts) for each in units.values()),
        held=sorted(process.shares.held()),
    )  # fmt: skip
    notify.ready(_Target(units).status())
    return [group.create_task(work, name=name) for name, work in tasks.items()]


async def _drain(units: Units) -> None:
    """Stop acting for all shards, give their leases up, then say so on the bus."""
    engines = [unit.engine for unit in units.values() if unit.is_alive]
    await asyncio.gather(*(engine.giving_over.stop_acting() for engine in engines))
    await asyncio.gather(*(engine.giving_over.leave() for engine in engines))
    if engines:
        await engines[0].outbox.say("offline")


# -- what the shared parts see of all shards ---------------------------------------------------------------------------


class _Remotes:
    """The certificates for the proxies: every shard loads the same files."""

    def __init__(self, units: Units) -> None:
        self._units = units

    @property
    def certificates(self) -> CertificateWatch | None:
        return next(iter(self._units.values())).life.remote.certificates

    def expiry_seconds(self) -> list[tuple[str, str, float]]:
        return next(iter(self._units.values())).life.remote.expiry_seconds()


class _Watched:
    """The proxies: every shard watches all of them."""

    def __init__(self, units: Units) -> None:
        self._units = units

    def views(self) -> Sequence[ProxyView]:
        return next(iter(self._units.values())).life.watch.views()


class _Strangers:
    """The wrong names of all shards' hosts."""

    def __init__(self, units: Units) -> None:
        self._units = units

    def all(self) -> Mapping[HostName, tuple[str, ...]]:
        return {name: told for unit in self._units.values() for name, told in unit.engine.misnamed.all().items()}


def _strange(units: Units, name: str) -> None:
    for unit in units.values():
        if unit.is_alive:
            unit.engine.misnamed.heard(name)


def _meet(units: Units, controller: str) -> None:
    for unit in units.values():
        if unit.is_alive:
            unit.engine.met(controller)


def _offline(units: Units) -> Message | None:
    alive = [unit for unit in units.values() if unit.is_alive]
    return alive[0].engine.outbox.controller_message("offline") if alive else None


class _Target:
    """The target of a reload: all shards, or none."""

    def __init__(self, units: Units) -> None:
        self._units = units

    def opened_by(self, new: Configuration) -> tuple[HostName, ...]:
        inventory = new.inventory
        return tuple(
            name
            for shard, unit in self._units.items()
            for name in opened_by(unit.engine.fleet, inventory.of_shard(shard))
        )

    async def take(self, new: Configuration) -> RefusedBy | None:
        """First ask all, so that a refusal of one changes nothing at the others.

        A life that begins meanwhile has the configuration of before. So this ends when each life that runs was asked.
        """
        inventories = {shard: new.inventory.of_shard(shard) for shard in self._units}
        for is_trial in (True, False):
            took: dict[str, Engine] = {}
            before: dict[str, Inventory] = {}
            while missing := [shard for shard, unit in self._units.items() if not unit.runs(took.get(shard))]:
                shard = missing[0]
                engine = await self._units[shard].alive()
                is_of = engine.fleet.inventory
                try:
                    answer = await engine.reactor.ask(e.InventoryRead(inventory=inventories[shard], is_trial=is_trial))
                except Unavailable:  # its life ended, and the next one is to be asked
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
                    continue
                if isinstance(answer, RefusedBy):
                    await self._put_back(before)
                    return RefusedBy(rule=answer.rule, why=f"shard {shard}: {answer.why}")
                took[shard] = engine
                if not is_trial:
                    before.setdefault(shard, is_of)
        return None

    async def _put_back(self, before: Mapping[str, Inventory]) -> None:
        """Let shards have their inventories again: another one began an operation after the trial, and refused."""
        for shard, inventory in before.items():
            try:
                answer = await self._units[shard].engine.reactor.ask(e.InventoryRead(inventory=inventory))
            except Unavailable:
                continue  # the next life has the configuration in force
            if isinstance(answer, RefusedBy):
                log.error("inventory_not_put_back", shard=shard, reason=answer.why, advice="reload again")

    def ended(self, refused: str) -> None:
        for unit in self._units.values():
            if unit.is_alive:
                unit.engine.reactor.deliver(e.ReloadEnded(refused=refused))

    def status(self) -> str:
        held = [shard for shard, unit in self._units.items() if unit.is_alive and unit.engine.held is not None]
        said = status([unit.engine for unit in self._units.values()])
        return f"{said}, shards held: {', '.join(held) or 'none'}"
