"""Runs the daemon's parts in one task group until a stop signal, then drains the engine. Reports to systemd.

The watchdog is fed only while the event loop, the reactor, the lease and the sender to the bus make progress; otherwise
systemd restarts the daemon.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from fenced.api.server import Serving
from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.note import Note
from fenced.app.reload import Reloader, status
from fenced.core.allowed import limits
from fenced.engine.engine import Engine
from fenced.host.notify import Notify
from fenced.proxy.client import ProxyCaller
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.shards import ShardFacts

log = structlog.get_logger("fenced")

STUCK_SECONDS: Final = 10.0
"""A reactor that finished no turn for so long is stuck."""
SENDER_STUCK_SECONDS: Final = 120.0
"""The same for the sender to the bus, which may wait for the acknowledgements of a slow broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The parts that run, and the address at which the API is served."""

    engine: Engine
    clocks: Clocks
    reloader: Reloader
    serving: Serving
    remote: ProxyCaller
    watch: ProxyWatch
    note: Note
    certificates: Certificates


async def run_until(stop: asyncio.Event, parts: Running) -> None:
    """Run until `stop` is set; then let running power steps reach a safe point, and end."""
    notify = Notify()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(parts.engine.run(on_running=lambda: _started(notify, parts)), name="engine"),
            group.create_task(
                watchdog(notify, lambda: is_well(parts.engine, parts.clocks.steady.now())), name="watchdog"
            ),
            group.create_task(parts.reloader.run(notify), name="reload"),
            group.create_task(parts.remote.watch_certificates(), name="certificates"),
            group.create_task(parts.watch.run(), name="proxies"),
            group.create_task(parts.clocks.watch(), name="clocks"),
            group.create_task(parts.note.run(), name="note of names"),
            group.create_task(parts.certificates.watch(), name="ends of certificates"),
        ]
        await stop.wait()
        log.info("stopping")
        notify.stopping("letting running power steps reach a safe point")
        await parts.engine.drain()
        for task in tasks:
            task.cancel()
    log.info("stopped")


def _started(notify: Notify, parts: Running) -> None:
    fleet = parts.engine.fleet
    log.info(
        "running",
        name=fleet.inventory.daemon.name,
        api=parts.serving.url,
        socket=parts.serving.socket,
        hosts=len(fleet.hosts),
        epoch=fleet.epoch,
        standby=fleet.is_standby,
        armed=fleet.is_armed_durably,
    )
    notify.ready(status((parts.engine,)))


def is_well(engine: Engine, now: float) -> bool:
    """Return whether the reactor turns, the lease can be renewed and the sender to the bus turns."""
    is_turning = now - engine.reactor.turned_at < STUCK_SECONDS
    return is_turning and (_is_following(engine, now) if engine.fleet.is_standby else _is_acting(engine, now))


def _is_following(engine: Engine, now: float) -> bool:
    """A standby whose store is away looks for it, and needs no restart. One that prepares its takeover keeps the lease,
    for as long as a lost command may act."""
    return now - engine.standby.turned_at < SENDER_STUCK_SECONDS or now < engine.lease.until + STUCK_SECONDS


def _is_acting(engine: Engine, now: float) -> bool:
    is_sending = now - engine.outbox.turned_at < SENDER_STUCK_SECONDS
    return is_sending and now < engine.lease.until + STUCK_SECONDS


async def watchdog(notify: Notify, is_well: Callable[[], bool]) -> None:
    """Feed the watchdog while the reactor turns, the lease can be renewed and the sender to the bus turns.

    The sender also turns without a broker, so a broker that is away does not restart the daemon.
    """
    if notify.watchdog_seconds is None:
        return
    while True:
        if is_well():
            notify.watchdog()
        await asyncio.sleep(notify.watchdog_seconds)


def shard_facts(engine: Engine, clocks: Clocks) -> ShardFacts:
    """Return what the metrics say of a shard."""
    now, fleet = clocks.steady.now(), engine.fleet
    left, others, is_held = engine.lease.until - now, fleet.own.others, engine.held is not None
    return ShardFacts(
        shard=engine.shard, is_held=is_held, lease_seconds=max(left, 0.0) if is_held else 0.0,
        lag=engine.standby.lag if fleet.is_standby else 0, drawn=limits.drawn(fleet, now),
        drawn_elsewhere=others.drawn(now), unrecovered_elsewhere=others.unrecovered,
    )  # fmt: skip
