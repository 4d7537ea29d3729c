"""Reads every (host, device, proxy) path once per interval, to find a broken path before a fence needs it.

Decides nothing about hosts: it reports what it reads to the core. It must never delay anything else: few reads at once,
at the lowest priority, none for a host in an operation, none without the lease.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.race import PathMemory
from fenced.engine.turns import Path, PathKey, Turns
from fenced.engine.waiting import nudged
from fenced.engine.workers import DeviceWorkers, Turn
from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import DeviceName, HostName, UnitId
from fenced.model.power import Power, State
from fenced.ports.clock import Clock
from fenced.ports.devices import DeviceError

AT_ONCE_MAX: Final = 64
AGENT_SHARE: Final = 2
"""The check holds at most one in this many agent slots, so that an OFF always finds a free one."""

GAP_SECONDS_MAX: Final = 0.25
"""The pause between two starts is half of an even spread, and at most this, so that a backlog starts gradually."""

BUSY_SECONDS: Final = 15.0
SLICE_HOSTS: Final = 500
"""Hosts to list before yielding to the event loop."""

IDLE_LOOK_SECONDS: Final = 5.0
AGAIN_SECONDS_MIN: Final = 1.0

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class PathChecks:
    """Schedules and runs the reads. `deliver` receives the results; `spawn` runs a read as an effect."""

    def __init__(
        self, *, fleet: Fleet, workers: DeviceWorkers, memory: PathMemory, clock: Clock,
        deliver: Callable[[e.Event], None], spawn: Spawn, has_lease: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._fleet, self._workers, self._memory, self._clock = fleet, workers, memory, clock
        self._deliver, self._spawn, self._has_lease = deliver, spawn, has_lease
        self._turns = Turns()
        self._known: Inventory | None = None
        self._running: dict[HostName, dict[asyncio.Task[None], None]] = {}
        self._count = 0
        self._next_start = 0.0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            if self._known is not self._fleet.inventory:
                await self._take(self._fleet.inventory)
            self._ended.clear()
            await nudged(self._ended, seconds=self._start_next())

    def make_way(self, host: HostName) -> None:
        """Cancel the reads of a host that now has an operation: their sessions become free at once."""
        for task in self._running.get(host, ()):
            task.cancel()

    # -- schedule ------------------------------------------------------------------------------------------------------

    async def _take(self, inventory: Inventory) -> None:
        """Load the paths of an inventory, in slices: sixty thousand paths take a third of a second."""
        self._known = inventory
        daemon = inventory.daemon
        self._turns.interval_seconds = daemon.check.interval_seconds
        self._turns.pause_seconds = daemon.check.per_unit_pause_seconds
        self._turns.failing_max = max(1, self._at_once // 2)
        is_on = daemon.check.interval_seconds > 0
        paths: list[tuple[PathKey, UnitId]] = []
        hosts = [host for host in inventory.hosts.values() if is_on and not host.is_own_machine]
        for number, host in enumerate(hosts, start=1):
            paths += self._paths(host)
            if number % SLICE_HOSTS == 0:
                await asyncio.sleep(0)
        self._turns.take(paths, self._clock.now())
        self._deliver(e.PathsListed(paths=frozenset(key for key, _ in paths)))

    def _paths(self, host: Host) -> list[tuple[PathKey, UnitId]]:
        return [
            ((host.name, device.name, proxy), device.spec.unit_id)
            for device in host.devices
            for proxy in self._fleet.paths.of(host, device)
        ]

    @property
    def _at_once(self) -> int:
        return max(1, min(AT_ONCE_MAX, self._fleet.inventory.daemon.agent_processes // AGENT_SHARE))

    def _start_next(self) -> float:
        """Start the next read that is due, if any; return the seconds until the next call."""
        now = self._clock.now()
        if not len(self._turns) or not self._has_lease() or self._count >= self._at_once:
            return IDLE_LOOK_SECONDS
        if now < self._next_start:
            return self._next_start - now
        path = self._turns.next(now)
        if path is None:
            at = self._turns.next_at()
            return IDLE_LOOK_SECONDS if at is None else min(max(at - now, 0.001), IDLE_LOOK_SECONDS)
        if self._is_busy(path.key[0]):
            self._turns.put_off(path, now + BUSY_SECONDS)
            return 0.0
        self._begin(path)
        self._next_start = now + min(self._turns.interval_seconds / (2 * len(self._turns)), GAP_SECONDS_MAX)
        return self._next_start - now

    def _is_busy(self, name: HostName) -> bool:
        state = self._fleet.hosts.get(name)
        return state is None or state.operation is not None or state.reading is not None

    def _begin(self, path: Path) -> None:
        host, device, proxy = path.key
        self._count += 1
        path.is_answered = False
        task = self._spawn(self._read(path), f"check {device} of {host} through {proxy}")
        self._running.setdefault(host, {})[task] = None
        task.add_done_callback(lambda done: self._end(path, done))

    def _end(self, path: Path, task: asyncio.Task[None]) -> None:
        """Schedule the path's next read, however this one ended, even if it was cancelled before it began."""
        host, now = path.key[0], self._clock.now()
        if path.is_answered:
            self._turns.ended(path, now, again_at=self._again_soon(path, now))
        else:
            self._turns.put_off(path, now + BUSY_SECONDS)
        tasks = self._running[host]
        del tasks[task]
        if not tasks:
            del self._running[host]
        self._count -= 1
        self._ended.set()

    # -- reading ------------------------------------------------------------------------------------------------------

    def _again_soon(self, path: Path, now: float) -> float | None:
        """Return when to read again before the next round, or None.

        After a first failure, a second reading separates an accident from a fault. While a healthy host reads OFF, more
        readings follow, and one after `late_message` separates a dead host from a wrong device (core.believed.trust).
        Their number is bounded.
        """
        pause = max(self._turns.pause_seconds, AGAIN_SECONDS_MIN)
        if path.failures == 1:
            return now + pause
        host = self._fleet.inventory.hosts.get(path.key[0])
        if host is None or not path.offs or self._fleet.hosts[host.name].state is not State.HEALTHY:
            return None
        if path.offs < max(device.power.stable_reads for device in host.devices):
            return now + pause
        detection = host.settings.detection
        certain_at = path.off_since + detection.late_message_seconds + 2 * detection.heartbeat_interval_seconds
        return max(certain_at, now + pause) if now < certain_at else None

    async def _read(self, path: Path) -> None:
        host, name, proxy = path.key
        device = self._device(host, name)
        if device is None:
            return
        inventory = self._fleet.inventory
        race = inventory.daemon.race
        started = self._clock.now()
        try:
            reading = await self._workers.read(
                proxy, device.spec, timeout_seconds=race.probe_timeout_seconds, priority=c.PRIORITY_STATUS,
                settle_seconds=device.settle_after_return_seconds,
                turn=Turn(blocks_seconds=race.parallel * race.stagger_seconds, came=lambda: None), is_identified=True,
            )  # fmt: skip
        except DeviceError as exc:
            self._memory.failed(proxy, device.spec.plug_id)
            self._failed(path, started, str(exc) or exc.kind, exc.kind)
        except TimeoutError:
            return  # drivers end by their own deadline, so it only waited for a session
        else:
            self._memory.succeeded(proxy, device.spec.plug_id, self._clock.now() - started)
            if reading.note is None:  # a reading that does not count yet is not reported
                # After a reload the device may be another one, so the identities prove nothing about it.
                identities = reading.identities if self._fleet.inventory is inventory else ()
                self._succeeded(path, started, reading.power, identities)

    def _succeeded(self, path: Path, started: float, power: Power, identities: tuple[str, ...]) -> None:
        if power is Power.UNKNOWN:
            self._failed(path, started, "it answers, and does not say whether it is on or off", "unknown")
            return
        now = self._clock.now()
        path.failures = 0
        path.off_since = path.off_since if path.offs else now
        path.offs = path.offs + 1 if power is Power.OFF else 0
        self._tell(path, started, power, identities=identities)

    def _failed(self, path: Path, started: float, error: str, failure: str) -> None:
        path.failures, path.offs = path.failures + 1, 0
        self._tell(path, started, Power.UNKNOWN, error=error, failure=failure)

    def _tell(
        self, path: Path, started: float, power: Power, *, error: str | None = None, failure: str = "",
        identities: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        host, device, proxy = path.key
        path.is_answered = True
        self._deliver(
            e.PathChecked(
                host=host,
                device=device,
                proxy=proxy,
                started=started,
                ended=self._clock.now(),
                power=power,
                error=error,
                failure=failure,
                identities=identities,
            )
        )

    def _device(self, host: HostName, name: DeviceName) -> Device | None:
        """Return the device, or None when a reload removed it."""
        configured = self._fleet.inventory.hosts.get(host)
        if configured is None:
            return None
        return next((device for device in configured.devices if device.name == name), None)
