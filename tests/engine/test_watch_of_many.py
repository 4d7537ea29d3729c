"""The watch of many hosts (S15, S17): devices in parallel, bounded; a dead one delays no other."""

import asyncio
from dataclasses import dataclass, field, replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.effects import WATCHED_AT_ONCE, EngineEffects
from fenced.engine.race import PathMemory
from fenced.engine.workers import DeviceWorkers
from fenced.model.inventory import DeviceSpec, Inventory
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.model.power import Power
from fenced.ports.devices import DeviceTimedOut, Identified, OnStarted, Permit
from tests.engine.test_dropped_ons import looking
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry

INTERVAL = 60.0
READ_SECONDS = 0.1


@dataclass
class Lines:
    """Devices of `dead` hosts, and devices with those names, never answer; all others are OFF."""

    dead: frozenset[str]
    at_once: int = 0
    at_once_max: int = 0
    reads: dict[str, int] = field(default_factory=dict)

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        host, _, device = str(spec.plug_id).partition("/")
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            if {host, device} & self.dead:
                await asyncio.sleep(timeout_seconds)
                raise DeviceTimedOut("no answer")
            await asyncio.sleep(READ_SECONDS)
        finally:
            self.at_once -= 1
        return Power.OFF

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        raise AssertionError("the watch asks nobody who he is")

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        raise AssertionError("the watch switches nothing")

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        raise AssertionError("the watch switches nothing")

    async def close(self) -> None:
        pass


class Watched:
    """Effects over a fleet of that many hosts, and when each round ended."""

    def __init__(self, hosts: int, *, dead: frozenset[str], devices: tuple[str, ...] = ("bmc:1", "bmc-b:1")) -> None:
        names = tuple(f"h{number}" for number in range(hosts))
        self.inventory: Inventory = _native(racks.inventory(Rack(hosts=names, devices=devices)))
        self.lines, self.clock = Lines(dead), WorldClock()
        self.fleet = Fleet(self.inventory, epoch=1, started=0.0)
        self.ended: dict[HostName, tuple[float, e.WatchEnded]] = {}
        workers = DeviceWorkers(
            local=self.lines, remote=self.lines, clock=self.clock, telemetry=RecordingTelemetry(), agent_processes=32,
            has_lease=lambda: True, calls_max=lambda proxy: 32,
        )  # fmt: skip
        self.effects = EngineEffects(
            fleet=self.fleet, workers=workers, looking=looking(self.fleet, self.clock), clock=self.clock,
            telemetry=RecordingTelemetry(), memory=PathMemory(), deliver=self._deliver,
            ask=self._nobody, reply=self._nobody, order=self._nobody,
        )  # fmt: skip

    def _deliver(self, event: e.Event) -> None:
        assert isinstance(event, e.WatchEnded)
        self.ended[event.host] = (asyncio.get_running_loop().time(), event)

    async def _nobody(self, event: object) -> None:
        raise AssertionError(f"{event} is nothing of the watch")

    async def round(self) -> dict[HostName, float]:
        """Watch all hosts. Return how long each took."""
        self.ended.clear()
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            self.effects.run_in(group)
            for host in self.inventory.hosts.values():
                paths = tuple((device.name, ((ENGINE,),)) for device in host.devices)
                self.effects.start(c.WatchHost(host=host.name, paths=paths))
        return {name: at - begun for name, (at, _) in self.ended.items()}


def _native(inventory: Inventory) -> Inventory:
    """Switch devices to native drivers, so that `agent_processes` does not bound them."""
    hosts = {
        name: replace(
            host, devices=tuple(replace(one, spec=replace(one.spec, driver="redfish")) for one in host.devices)
        )
        for name, host in inventory.hosts.items()
    }
    return replace(inventory, hosts=hosts)


def test_a_thousand_hosts_with_dead_devices_are_watched_within_their_interval_and_hold_up_no_living_one() -> None:
    """From the second round on they are known to be dead; in the first each costs its own timeout once."""

    async def main() -> tuple[float, float, int]:
        watched = Watched(1020, dead=frozenset(f"h{number}" for number in range(1000)))
        await watched.round()
        took = await watched.round()
        living = [took[HostName(f"h{number}")] for number in range(1000, 1020)]
        return max(living), max(took.values()), watched.lines.at_once_max

    living, all_of_them, at_once = run(main())
    assert living < 2 * READ_SECONDS
    assert all_of_them < INTERVAL and at_once <= WATCHED_AT_ONCE


def test_a_dead_device_costs_its_host_its_own_timeout_once() -> None:
    async def main() -> tuple[float, float]:
        watched = Watched(
            1, dead=frozenset({"bmc", "bmc-b", "bmc-c"}), devices=("bmc:1", "bmc-b:1", "bmc-c:1", "pdu:2")
        )
        took = await watched.round()
        _, event = watched.ended[HostName("h0")]
        assert [power for _, power in event.powers] == [Power.UNKNOWN] * 3 + [Power.OFF]
        return max(took.values()), watched.inventory.daemon.race.probe_timeout_seconds

    took, timeout = run(main())
    assert took < 1.5 * timeout
