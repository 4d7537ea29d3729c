"""Power commands at a proxy, without a network: which of them reach the device."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power, What
from fenced.ports.devices import CommandRefused, OnStarted
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import Call, WireDevice, WirePermit
from fenced.proxy.state import Claim, Denial, ProxyState
from fenced.proxy.tokens import TokenMemory
from tests.net import until
from tests.proxy.devices import FileDriver, device, log, note


class HeldDriver(FileDriver):
    """Ends a command when the test lets it."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        note(Path(spec.address), f"{power.value} started")
        await self.may_end.wait()
        note(Path(spec.address), f"{power.value} done")


class NotedMemory(TokenMemory):
    """Notes each token that it has kept. The call goes on without a turn of the loop, until it waits for the plug."""

    def __init__(self, state: ProxyState) -> None:
        super().__init__(state)
        self.kept: list[str] = []

    async def claim(self, claim: Claim) -> Denial | None:
        denial = await super().claim(claim)
        self.kept.append(str(claim.token))
        return denial


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[NotedMemory]:
    with NotedMemory(ProxyState(tmp_path, machine_boot="boot")) as opened:
        yield opened


async def command(calls: Calls, spec: DeviceSpec, what: What, token: str, clock: ProxyClock) -> None:
    permit = WirePermit(token=token, boot=clock.life, not_after=clock.now() + 60)
    call = Call(id=token, store="s", device=WireDevice.of(spec), what=what, timeout=20.0, permit=permit)
    await calls.command(call, permit, spec)


async def test_a_command_for_an_earlier_life_of_the_agent_is_refused(memory: NotedMemory, tmp_path: Path) -> None:
    clock, earlier = ProxyClock(), ProxyClock()
    calls = Calls(memory=memory, driver_for=lambda _: FileDriver(), agent_processes_max=4, clock=clock)
    spec = device(tmp_path / "bmc")
    with pytest.raises(CommandRefused, match="restarted since"):
        await command(calls, spec, What.OFF, "4-7", earlier)
    assert log(tmp_path / "bmc") == []
    await command(calls, spec, What.OFF, "4-7", clock)
    assert log(tmp_path / "bmc") == ["off started", "off done"]


async def test_a_waiting_command_is_overtaken_by_a_newer_one(memory: NotedMemory, tmp_path: Path) -> None:
    clock, driver = ProxyClock(), HeldDriver()
    calls = Calls(memory=memory, driver_for=lambda _: driver, agent_processes_max=4, clock=clock)
    spec = device(tmp_path / "bmc")
    first = asyncio.ensure_future(command(calls, spec, What.ON, "4-1", clock))
    await until(lambda: log(tmp_path / "bmc") == ["on started"])
    waiting = asyncio.ensure_future(command(calls, spec, What.ON, "4-2", clock))
    await until(lambda: "4-2" in memory.kept)
    newer = asyncio.ensure_future(command(calls, spec, What.OFF, "4-3", clock))
    await until(lambda: "4-3" in memory.kept)
    driver.may_end.set()
    await asyncio.gather(first, newer)
    with pytest.raises(CommandRefused, match="overtaken by 4-3"):
        await waiting
    assert log(tmp_path / "bmc") == ["on started", "on done", "off started", "off done"]
