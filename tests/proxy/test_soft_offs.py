"""A host is asked to shut down through a proxy (S24): under the rules of any command, never in the way of an OFF."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, Token, UnitId
from fenced.model.power import Power, What
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut, DeviceUnreachable, NotSupported, OnStarted
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import Call, RaiseFloor, WireDevice, WirePermit
from fenced.proxy.slots import Rank, Slots
from fenced.proxy.state import ProxyState
from tests.net import until
from tests.proxy.bed import PX1, Bed, BootClock, ask_down, caller_of, permit_of, send
from tests.proxy.devices import FileDriver, device, log, note
from tests.proxy.test_calls import NotedMemory

# -- through real proxy agents, over TLS ------------------------------------------------------------------------------


async def test_the_host_is_asked_and_its_power_stays(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    await ask_down(bed.caller, spec)
    assert log(tmp_path / "bmc") == ["soft_off started", "soft_off done"]
    assert await bed.caller.read(PX1, spec, timeout_seconds=5) is Power.ON


@pytest.mark.parametrize("sequence", [6, 7], ids=["lower", "equal"])
async def test_a_token_not_above_the_highest_is_refused_also_after_kill_9(
    own_bed: Bed, tmp_path: Path, sequence: int
) -> None:
    spec = device(tmp_path / "bmc")
    await ask_down(own_bed.caller, spec, permit_of(token=Token(epoch=4, sequence=7)))
    own_bed.px1.kill()
    own_bed.px1.start()
    await own_bed.caller.status(PX1, timeout_seconds=5)
    with pytest.raises(CommandRefused, match="4-7, the highest"):
        await ask_down(own_bed.caller, spec, permit_of(token=Token(epoch=4, sequence=sequence)))
    with pytest.raises(CommandRefused, match="4-7, the highest"):
        await own_bed.set(spec, Power.OFF, permit_of(token=Token(epoch=4, sequence=sequence)))
    assert log(tmp_path / "bmc") == ["soft_off started", "soft_off done"]


class LateClock(BootClock):
    """A daemon whose clock is slow, so that its commands arrive too late."""

    behind = 0.0

    def now(self) -> float:
        return super().now() - self.behind


async def test_one_that_cannot_end_by_its_not_after_is_refused(bed: Bed, tmp_path: Path) -> None:
    spec, clock = device(tmp_path / "bmc"), LateClock()
    async with caller_of(bed.certificates, {PX1: bed.px1.url}, clock=clock) as late:
        await late.read(PX1, spec, timeout_seconds=5)
        clock.behind = 8.0
        with pytest.raises(CommandRefused, match="too late"):
            await ask_down(late, spec, permit_of(attempt=10, clock=clock))
    assert log(tmp_path / "bmc") == ["read started"]


async def test_one_in_doubt_closes_its_plug_over_a_restart_as_any_command(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=30, pid=4242)
    asking = asyncio.ensure_future(ask_down(own_bed.caller, spec, permit_of(attempt=60)))
    await until(lambda: log(tmp_path / "bmc") == ["soft_off started"])
    own_bed.px1.kill()
    with pytest.raises(DeviceError) as lost:
        await asking
    assert lost.value.may_be_done and not lost.value.is_end_known
    own_bed.px1.start()
    assert (own_bed.px1.state_dir / "killed").read_text() == "4242"


async def test_errors_come_back_as_they_were(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(DeviceUnreachable, match="no line to it") as failed:
        await ask_down(bed.caller, device(tmp_path / "a", fail="no line to it"))
    assert not failed.value.may_be_done and "S3cret" not in str(failed.value)
    assert log(tmp_path / "a") == ["soft_off started"], "it is not sent again"
    with pytest.raises(NotSupported, match="can't ask its host") as unable:
        await ask_down(bed.caller, replace(device(tmp_path / "b"), driver="hard"))
    assert not unable.value.may_be_done and log(tmp_path / "b") == []
    with pytest.raises(DeviceTimedOut) as late:
        await ask_down(bed.caller, device(tmp_path / "c", set_seconds=30), permit_of(attempt=1))
    assert late.value.may_be_done and not late.value.is_end_known


async def test_an_off_comes_after_one_that_is_under_way(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=0.3)
    asking = asyncio.ensure_future(ask_down(bed.caller, spec))
    await until(lambda: log(tmp_path / "bmc") == ["soft_off started"])
    await bed.set(spec, Power.OFF)
    await asking
    assert log(tmp_path / "bmc") == ["soft_off started", "soft_off done", "off started", "off done"]


# -- a proxy agent of an earlier version ------------------------------------------------------------------------------


@asynccontextmanager
async def older_proxy() -> Any:
    """Answer as an agent that knows neither floors nor soft offs; yield its address and what it was asked."""
    asked: list[str] = []
    clock = {"boot": "b", "monotonic": 1000.0}

    async def call(request: web.Request) -> web.Response:
        found = await request.json()
        asked.append(found["what"])
        if found["what"] not in {"status", "off", "on"}:
            detail = "what: Input should be 'status', 'off' or 'on'"
            return web.json_response({"title": "not a call", "status": 422, "detail": detail}, status=422)
        return web.json_response({"id": found["id"], "outcome": "done", "clock": clock})

    async def status(_request: web.Request) -> web.Response:
        found = {"name": "px1", "version": "1", "in_flight": {"reads": 0, "commands": 0}, "clock": clock}
        return web.json_response(found)

    application = web.Application()
    application.router.add_post("/v1/call", call)
    application.router.add_get("/v1/status", status)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_an_older_proxy_does_not_support_it_and_is_sent_nothing_harder(tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    async with older_proxy() as (url, asked), caller_of(None, {PX1: url}) as caller:
        with pytest.raises(NotSupported, match=r"'off' or 'on'.*earlier version.*upgrade the proxy") as failed:
            await ask_down(caller, spec)
        assert not failed.value.may_be_done and failed.value.is_end_known
        await send(caller, spec, Power.OFF)
        assert asked == ["soft_off", "off"]


# -- without a network: floors and turns ------------------------------------------------------------------------------


class HeldDriver(FileDriver):
    """Reads and ONs end when the test lets them; other commands end at once."""

    def __init__(self) -> None:
        self.may_read, self.may_switch_on = asyncio.Event(), asyncio.Event()

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        note(Path(spec.address), "read started")
        await self.may_read.wait()
        return Power.ON

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        if power is Power.ON:
            await self.may_switch_on.wait()
        await super().set(spec, power, timeout_seconds=timeout_seconds, on_started=on_started)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[NotedMemory]:
    with NotedMemory(ProxyState(tmp_path, machine_boot="boot")) as opened:
        yield opened


class Site:
    """The calls of one agent."""

    def __init__(self, memory: NotedMemory, driver: FileDriver) -> None:
        self.clock = ProxyClock()
        self.calls = Calls(memory=memory, driver_for=lambda _: driver, agent_processes_max=4, clock=self.clock)

    def command(self, spec: DeviceSpec, what: What, token: str) -> "asyncio.Future[None]":
        permit = WirePermit(token=token, boot=self.clock.life, not_after=self.clock.now() + 60)
        call = Call(id=token, store="s", device=WireDevice.of(spec), what=what, timeout=20.0, permit=permit)
        return asyncio.ensure_future(self.calls.command(call, permit, spec))

    def read(self, spec: DeviceSpec) -> "asyncio.Future[Any]":
        call = Call(id="r", store="s", device=WireDevice.of(spec), what=What.STATUS, timeout=20.0)
        return asyncio.ensure_future(self.calls.read(call, spec))


async def test_a_floor_refuses_one_of_an_earlier_epoch(memory: NotedMemory, tmp_path: Path) -> None:
    site, spec = Site(memory, FileDriver()), device(tmp_path / "bmc")
    wanted = RaiseFloor(store="s", epoch=5, holder="b", is_first=True)
    assert (await site.calls.raise_floor(wanted)).is_raised
    with pytest.raises(CommandRefused, match="took over at epoch 5"):
        await site.command(spec, What.SOFT_OFF, "4-1")
    assert log(tmp_path / "bmc") == []


async def test_a_floor_that_rises_stops_one_whose_program_has_started(memory: NotedMemory, tmp_path: Path) -> None:
    class Slow(FileDriver):
        """Reports its program when the floor has risen."""

        async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
            assert (await site.calls.raise_floor(RaiseFloor(store="s", epoch=5, holder="b", is_first=True))).is_raised
            await super().soft_off(spec, timeout_seconds=timeout_seconds, on_started=on_started)

    site, spec = Site(memory, Slow()), device(tmp_path / "bmc", pid=1)
    with pytest.raises(CommandRefused, match="took over at epoch 5"):
        await site.command(spec, What.SOFT_OFF, "4-1")
    assert log(tmp_path / "bmc") == []


UNIT = UnitId("unit")


def of_unit(directory: Path) -> DeviceSpec:
    """Return a device of the unit, which has one session."""
    return replace(device(directory), unit_id=UNIT, sessions=1)


async def busy_site(memory: NotedMemory, tmp_path: Path) -> tuple[Site, HeldDriver]:
    """Return an agent with a read under way, which has the only session of the unit."""
    driver = HeldDriver()
    site = Site(memory, driver)
    site.read(of_unit(tmp_path / "other"))
    await until(lambda: log(tmp_path / "other") == ["read started"])
    return site, driver


async def test_one_that_waits_for_its_turn_gives_way_to_an_off(memory: NotedMemory, tmp_path: Path) -> None:
    site, driver = await busy_site(memory, tmp_path)
    spec = of_unit(tmp_path / "bmc")
    asking = site.command(spec, What.SOFT_OFF, "4-1")
    await until(lambda: memory.kept == ["4-1"])
    off = site.command(spec, What.OFF, "4-2")
    with pytest.raises(CommandRefused, match="overtaken by 4-2") as refused:
        async with asyncio.timeout(5):
            await asking
    assert not refused.value.may_be_done and not off.done()
    driver.may_read.set()
    await off
    assert log(tmp_path / "bmc") == ["off started", "off done"]


async def test_one_that_gets_the_plug_does_not_wait_in_front_of_an_off(memory: NotedMemory, tmp_path: Path) -> None:
    """The session goes to a read of another plug, while the soft off and then the OFF waited for the plug."""
    driver, spec = HeldDriver(), of_unit(tmp_path / "bmc")
    site = Site(memory, driver)
    commands = []
    for at, what in enumerate((What.ON, What.SOFT_OFF, What.OFF), 1):
        commands.append(site.command(spec, what, f"4-{at}"))
        await until(lambda at=at: memory.kept[-1:] == [f"4-{at}"])
    site.read(of_unit(tmp_path / "other"))
    driver.may_switch_on.set()
    await until(lambda: log(tmp_path / "other") == ["read started"])
    with pytest.raises(CommandRefused, match="overtaken by 4-3"):
        async with asyncio.timeout(5):
            await commands[1]
    driver.may_read.set()
    await commands[2]
    assert log(tmp_path / "bmc") == ["on started", "on done", "off started", "off done"]


async def test_an_older_token_does_not_drive_one_away(memory: NotedMemory, tmp_path: Path) -> None:
    site, driver = await busy_site(memory, tmp_path)
    spec = of_unit(tmp_path / "bmc")
    asking = site.command(spec, What.SOFT_OFF, "4-5")
    await until(lambda: memory.kept == ["4-5"])
    with pytest.raises(CommandRefused, match="not above 4-5"):
        await site.command(spec, What.OFF, "4-4")
    driver.may_read.set()
    await asking
    assert log(tmp_path / "bmc") == ["soft_off started", "soft_off done"]


async def test_everything_else_goes_first() -> None:
    slots, order = Slots(slots_max=1), list[str]()

    async def one(rank: Rank) -> None:
        ticket = await slots.take(rank=rank, plug_id=PlugId(rank.name), unit_id=UNIT, sessions=9)
        order.append(rank.name)
        slots.give_back(ticket)

    held = await slots.take(rank=Rank.OFF, plug_id=PlugId("held"), unit_id=UNIT, sessions=9)
    async with asyncio.TaskGroup() as group:
        for rank in (Rank.SOFT_OFF, Rank.READ, Rank.ON, Rank.OFF):
            group.create_task(one(rank), name=rank.name)
        await asyncio.sleep(0)
        slots.give_back(held)
    assert order == ["OFF", "ON", "READ", "SOFT_OFF"]
