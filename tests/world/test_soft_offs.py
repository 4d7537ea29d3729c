"""A machine of the world that is asked to shut down says so, is silent, and switches its chassis off at the end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fenced.core.events import Health, HealthStatus
from fenced.model.names import ENGINE, DeviceName, HostName, ProxyName, Token
from fenced.model.power import Power
from fenced.ports.bus import BusEvent
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut, NotSupported, Permit, Started
from tests.world.callers import WorldProxyCaller
from tests.world.loop import run
from tests.world.machines import Machine, Plug
from tests.world.rack import Rack
from tests.world.wires import WorldCaller
from tests.world.world import World

PX1 = ProxyName("px1")
NODE = HostName("node-1")


class Bench:
    """Two machines with an outlet and a chassis each; callers of the daemon's machine and of a proxy."""

    def __init__(self) -> None:
        rack = Rack(hosts=("node-1", "node-2"), devices=("bmc:1", "pdu-a:2"), proxies=("px1",), reach=("engine", "px1"))
        self.world = World(rack)
        wires = self.world.wires
        self.local = WorldCaller(wires, "fenced-a")
        self.remote = WorldProxyCaller(self.world.proxies, wires, self.world.clock, _leave, owner="fenced-a")
        self.said: list[HealthStatus] = []
        self.world.broker.subscribe("test", self._hear)
        self._numbers = iter(range(1, 99))

    def _hear(self, event: BusEvent) -> None:
        if isinstance(event, Health):
            self.said.append(event.status)

    @property
    def machine(self) -> Machine:
        return self.world.machine("node-1")

    @property
    def chassis(self) -> Plug:
        return self.world.plug("node-1", "bmc")

    def seen(self) -> tuple[Power, bool, bool]:
        """Return what the chassis reads, and whether the machine beats and runs."""
        return self.chassis.read(), self.machine.is_beating, self.machine.is_running

    async def ask_down(self, *, device: str = "bmc", proxy: ProxyName = ENGINE, sequence: int = 0) -> None:
        spec = self.world.inventory.hosts[NODE].device(DeviceName(device)).spec
        permit = Permit(
            token=Token(epoch=1, sequence=sequence or next(self._numbers)),
            attempt_timeout_seconds=10.0, not_after=self.world.clock.now() + 10.0,
        )  # fmt: skip
        caller = self.local if proxy == ENGINE else self.remote
        await caller.soft_off(proxy, spec, permit=permit, on_started=_noted)


async def _leave() -> None:
    """Delay no command."""


async def _noted(started: Started) -> None:
    assert started.pid


def on_bench(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench()
        await test(bench)
        await bench.world.proxy("px1").end()

    run(main())


@pytest.mark.parametrize("proxy", [ENGINE, PX1])
def test_it_says_that_it_stops_and_is_off_after_a_while(proxy: ProxyName) -> None:
    async def test(bench: Bench) -> None:
        bench.machine.shutdown_seconds = 30.0
        await bench.ask_down(proxy=proxy)
        await asyncio.sleep(1.0)
        assert bench.said == [HealthStatus.STOPPING]
        assert bench.seen() == (Power.ON, False, True), "it is silent, still runs, and could do harm"
        await asyncio.sleep(30.0)
        assert bench.seen() == (Power.OFF, False, False)
        assert bench.world.plug("node-1", "pdu-a").read() is Power.ON
        assert bench.world.machine("node-2").is_beating

    on_bench(test)


def test_one_that_ignores_it_goes_on() -> None:
    async def test(bench: Bench) -> None:
        bench.machine.shutdown_seconds = None
        await bench.ask_down()
        await asyncio.sleep(10_000.0)
        assert bench.said == [] and bench.machine.is_beating and bench.chassis.read() is Power.ON

    on_bench(test)


@pytest.mark.parametrize("fate", ["die", "hang", "reboot"])
def test_one_that_does_not_get_to_the_end_stays_on(fate: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.ask_down()
        await asyncio.sleep(5.0)
        if fate == "die":
            bench.machine.die()
        elif fate == "reboot":
            bench.machine.reboot()
        else:
            bench.machine.is_hung = True
        await asyncio.sleep(1_000.0)
        assert bench.chassis.read() is Power.ON

    on_bench(test)


def test_power_that_comes_back_starts_it_anew() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask_down()
        await asyncio.sleep(30.0)
        assert not bench.machine.is_running
        bench.chassis.turn(Power.ON)
        await asyncio.sleep(100.0)
        assert bench.machine.is_beating

    on_bench(test)


def test_asking_twice_is_asking_once() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask_down()
        await bench.ask_down(proxy=PX1)
        await asyncio.sleep(1.0)
        assert bench.said == [HealthStatus.STOPPING]

    on_bench(test)


def test_a_device_can_fail_at_it_as_at_any_command() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(NotSupported):
            await bench.ask_down(device="pdu-a")
        bench.chassis.fails = True
        with pytest.raises(DeviceError, match="refuses"):
            await bench.ask_down()
        bench.chassis.fails = False
        bench.chassis.is_answer_lost = True
        with pytest.raises(DeviceTimedOut) as lost:
            await bench.ask_down()
        assert lost.value.may_be_done and bench.said == [HealthStatus.STOPPING], "it was asked all the same"

    on_bench(test)


def test_a_proxy_takes_no_token_twice_for_it() -> None:
    async def test(bench: Bench) -> None:
        bench.machine.shutdown_seconds = None
        await bench.ask_down(proxy=PX1, sequence=7)
        with pytest.raises(CommandRefused, match="1-7"):
            await bench.ask_down(proxy=PX1, sequence=7)

    on_bench(test)
