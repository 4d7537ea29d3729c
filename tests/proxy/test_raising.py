"""A daemon raises the floors of its proxies over real HTTP: who echoes, what is sent then, and what is reported."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from fenced.model.names import PlugId, ProxyName, Token
from fenced.model.power import Power
from fenced.ports.devices import CommandRefused, DeviceUnreachable, ProxyTimedOut
from fenced.ports.proxies import FloorEcho
from fenced.proxy.client import ProxyCaller
from fenced.proxy.floors import EPOCH_JUMP_MAX
from fenced.proxy.protocol import Call, FloorAnswer, RaiseFloor, WireClock
from fenced.proxy.state import ProxyState
from tests.net import free_port, until
from tests.proxy.bed import (
    PX1,
    PX2,
    STORE,
    Bed,
    BootClock,
    caller_of,
    open_sockets,
    permit_of,
    send,
    tls_files,
)
from tests.proxy.devices import device, log

SECONDS = 2.0
LATE = ProxyName("late")
CLOCK = WireClock(boot="b", monotonic=1000.0)


class Stub:
    """A proxy that answers commands with `done`, and floors as the test says; None: it knows no such request."""

    def __init__(self, echo: FloorAnswer | None) -> None:
        self.echo, self.url = echo, ""
        self.calls: list[Call] = []
        self.floors: list[RaiseFloor] = []
        self.is_silent = False

    async def call(self, request: web.Request) -> web.Response:
        self.calls.append(Call.model_validate_json(await request.read()))
        return web.json_response({"id": self.calls[-1].id, "outcome": "done", "clock": CLOCK.model_dump()})

    async def floor(self, request: web.Request) -> web.Response:
        if self.echo is None:
            raise web.HTTPNotFound
        self.floors.append(RaiseFloor.model_validate_json(await request.read()))
        if self.is_silent:
            await asyncio.Event().wait()
        return web.json_response(self.echo.model_dump())

    async def status(self, request: web.Request) -> web.Response:
        status = {"name": "px1", "version": "1", "in_flight": {"reads": 0, "commands": 0}, "clock": CLOCK.model_dump()}
        return web.json_response(status)


@asynccontextmanager
async def stub_of(echo: FloorAnswer | None) -> AsyncIterator[Stub]:
    stub = Stub(echo)
    application = web.Application()
    application.router.add_post("/v1/call", stub.call)
    application.router.add_post("/v1/floor", stub.floor)
    application.router.add_get("/v1/status", stub.status)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stub
    finally:
        await runner.cleanup()


def echo(epoch: int = 5, holder: str = "a", *, is_raised: bool = True, why: str = "") -> FloorAnswer:
    return FloorAnswer(epoch=epoch, holder=holder, is_raised=is_raised, why=why, since=max(0, epoch - 1), clock=CLOCK)


@asynccontextmanager
async def two_callers(
    certificates: Path, urls: Mapping[ProxyName, str]
) -> AsyncIterator[tuple[ProxyCaller, ProxyCaller]]:
    """Yield the callers of two controllers, which are closed together: each keeps its connections."""
    before = open_sockets()
    one, two = (ProxyCaller(store=STORE, urls=urls, tls=tls_files(certificates), clock=BootClock()) for _ in range(2))
    try:
        yield one, two
    finally:
        await one.close()
        await two.close()
        await until(lambda: open_sockets() <= before, what="all connections are closed")


async def off(caller: ProxyCaller, directory: Path, epoch: int, sequence: int) -> None:
    permit = permit_of(token=Token(epoch=epoch, sequence=sequence))
    await send(caller, device(directory), Power.OFF, permit)


def lost_epochs(caller: ProxyCaller) -> list[int]:
    """Return the epochs that the caller will report, as they come."""
    found: list[int] = []
    caller.report_higher_epoch_to(found.append)
    return found


# -- real proxy agents ------------------------------------------------------------------------------------------------


async def test_a_successor_ends_its_predecessor_at_every_proxy_that_answers(own_bed: Bed, tmp_path: Path) -> None:
    urls = {PX1: own_bed.px1.url, PX2: f"https://127.0.0.1:{free_port()}"}
    async with two_callers(own_bed.certificates, urls) as (older, newer):
        assert (await older.raise_floors(epoch=4, holder="a", seconds=SECONDS)).keys() == {PX1}
        lost = lost_epochs(older)
        await off(older, tmp_path / "bmc", 4, 1)
        echoes = await newer.raise_floors(epoch=5, holder="b", seconds=SECONDS)
        assert echoes.keys() == {PX1}, "the other one does not run"
        assert echoes[PX1] == FloorEcho(epoch=5, holder="b", is_raised=True, since=3, under_way={}, is_whole=True)
        with pytest.raises(CommandRefused, match="took over at epoch 5") as refused:
            await off(older, tmp_path / "another", 4, 2)
        assert not refused.value.may_be_done and set(lost) == {5}
        own_bed.px1.kill()
        own_bed.px1.start()
        await older.status(PX1, timeout_seconds=5)
        with pytest.raises(CommandRefused, match="epoch 4 is over"):
            await off(older, tmp_path / "another", 4, 3)
        assert log(tmp_path / "another") == []
        await newer.status(PX1, timeout_seconds=5)
        await off(newer, tmp_path / "another", 5, 1)
        assert lost_epochs(newer) == []


async def test_a_command_under_way_is_named_with_its_time_and_then_proven_to_have_ended(
    own_bed: Bed, tmp_path: Path
) -> None:
    spec = device(tmp_path / "bmc", set_seconds=1.0)
    token, never_sent = Token(epoch=4, sequence=1), Token(epoch=4, sequence=2)
    urls = {PX1: own_bed.px1.url}
    async with two_callers(own_bed.certificates, urls) as (older, newer):
        await older.raise_floors(epoch=4, holder="a", seconds=SECONDS)
        running = asyncio.ensure_future(send(older, spec, Power.OFF, permit_of(token=token, attempt=20, settle=5)))
        await until(lambda: log(tmp_path / "bmc") == ["off started"])
        under_way = (await newer.raise_floors(epoch=5, holder="b", seconds=SECONDS))[PX1]
        assert 15 < under_way.under_way[spec.plug_id, token] <= 25
        assert not under_way.has_ended(spec.plug_id, token)
        assert under_way.has_ended(spec.plug_id, never_sent), "if it comes now, it is refused"
        await running
        ended = (await newer.raise_floors(epoch=5, holder="b", seconds=SECONDS))[PX1]
        assert ended.has_ended(spec.plug_id, token) and not ended.has_ended(spec.plug_id, Token(epoch=3, sequence=9))


async def test_a_proxy_that_lost_its_disk_proves_nothing_of_earlier_commands(own_bed: Bed, tmp_path: Path) -> None:
    token = Token(epoch=4, sequence=1)
    urls = {PX1: own_bed.px1.url}
    async with two_callers(own_bed.certificates, urls) as (older, newer):
        await older.raise_floors(epoch=4, holder="a", seconds=SECONDS)
        await off(older, tmp_path / "bmc", 4, 1)
        own_bed.px1.kill()
        for file in own_bed.px1.state_dir.glob("proxy.db*"):
            file.unlink()
        own_bed.px1.start()
        for _ in range(2):
            answer = (await newer.raise_floors(epoch=5, holder="b", seconds=SECONDS))[PX1]
            assert answer.is_raised and not answer.has_ended(device(tmp_path / "bmc").plug_id, token)


async def test_a_daemon_that_held_on_restores_the_floor_of_a_proxy_that_lost_it(own_bed: Bed, tmp_path: Path) -> None:
    async with caller_of(own_bed.certificates, {PX1: own_bed.px1.url}) as caller:
        await caller.raise_floors(epoch=5, holder="b", seconds=SECONDS)
        await off(caller, tmp_path / "bmc", 5, 1)
        own_bed.px1.kill()
        for file in own_bed.px1.state_dir.glob("proxy.db*"):
            file.unlink()
        own_bed.px1.start()
        await caller.status(PX1, timeout_seconds=5)
        await off(caller, tmp_path / "bmc", 5, 2)
    with ProxyState(own_bed.px1.state_dir, machine_boot="any", is_owner=False) as state:
        assert (floor := state.floors["store-1", "main"]).holder == "b" and floor.since == 5


async def test_a_proxy_out_of_reach_is_asked_before_its_first_command(own_bed: Bed, tmp_path: Path) -> None:
    urls = {PX1: own_bed.px1.url}
    own_bed.px1.kill()
    async with two_callers(own_bed.certificates, urls) as (older, newer):
        assert await older.raise_floors(epoch=4, holder="a", seconds=SECONDS) == {}
        lost = lost_epochs(older)
        own_bed.px1.start()
        assert (await newer.raise_floors(epoch=5, holder="b", seconds=SECONDS))[PX1].is_raised
        with pytest.raises(CommandRefused, match=r"^proxy px1: a controller took over at epoch 5"):
            await off(older, tmp_path / "bmc", 4, 1)
        assert set(lost) == {5} and older.highest_epoch(above=4) == 5
        with ProxyState(own_bed.px1.state_dir, machine_boot="any", is_owner=False) as state:
            assert state.highest(device(tmp_path / "bmc").plug_id) is None, "the command was not even sent"


async def test_two_holders_of_one_epoch_are_told_apart(own_bed: Bed, tmp_path: Path) -> None:
    """A store went back in time and gave an epoch twice."""
    urls = {PX1: own_bed.px1.url}
    async with two_callers(own_bed.certificates, urls) as (one, two):
        assert (await one.raise_floors(epoch=4, holder="a", seconds=SECONDS))[PX1].is_raised
        lost = lost_epochs(two)
        answer = (await two.raise_floors(epoch=4, holder="b", seconds=SECONDS))[PX1]
        assert not answer.is_raised and "another controller holds epoch 4" in answer.why and lost == [4]
        assert two.highest_epoch(above=4) == 5, "it must take the lease anew"
        assert answer.under_way == {} and not answer.has_ended(
            device(tmp_path / "bmc").plug_id, Token(epoch=3, sequence=1)
        )
        with pytest.raises(CommandRefused, match="another controller holds epoch 4"):
            await off(two, tmp_path / "bmc", 4, 1)
        await off(one, tmp_path / "bmc", 4, 2)


async def test_a_daemon_of_another_store_raises_no_floor(own_bed: Bed, tmp_path: Path) -> None:
    urls = {PX1: own_bed.px1.url}
    await off(own_bed.caller, tmp_path / "bmc", 4, 1)
    async with caller_of(own_bed.certificates, urls, store="store-2") as other:
        lost = lost_epochs(other)
        answer = (await other.raise_floors(epoch=9, holder="b", seconds=SECONDS))[PX1]
        assert not answer.is_raised and "--adopt-store store-2" in answer.why and lost == []
        await off(own_bed.caller, tmp_path / "bmc", 4, 2)


async def test_a_standby_learns_the_highest_epoch_from_the_status(own_bed: Bed, tmp_path: Path) -> None:
    urls = {PX1: own_bed.px1.url}
    async with two_callers(own_bed.certificates, urls) as (active, standby):
        await active.raise_floors(epoch=7, holder="a", seconds=SECONDS)
        lost = lost_epochs(standby)
        status = await standby.status(PX1, timeout_seconds=5)
        assert [(floor.store, floor.shard, floor.epoch, floor.holder) for floor in status.floors] == [
            ("store-1", "main", 7, "a")
        ]
        assert standby.highest_epoch(above=3) == 7 and standby.highest_epoch(above=8) == 8
        assert standby.highest_epoch(above=7 - EPOCH_JUMP_MAX - 1) == 7 - EPOCH_JUMP_MAX - 1
        assert lost == [], "it holds nothing that it could lose"


def test_a_list_that_is_not_whole_proves_no_end() -> None:
    plug_id, token = PlugId("pdu 1/7"), Token(epoch=4, sequence=1)
    whole = FloorEcho(epoch=5, holder="b", is_raised=True, since=3, is_whole=True)
    assert whole.has_ended(plug_id, token)
    assert not replace(whole, is_whole=False).has_ended(plug_id, token)
    assert not replace(whole, is_raised=False).has_ended(plug_id, token)
    assert not replace(whole, under_way={(plug_id, token): 7.0}).has_ended(plug_id, token)
    assert not whole.has_ended(plug_id, Token(epoch=5, sequence=1)), "a command of this epoch is not over"


# -- other programs ---------------------------------------------------------------------------------------------------


async def test_the_not_after_on_the_wire_is_the_journalled_one(tmp_path: Path) -> None:
    clock = BootClock()
    async with stub_of(echo()) as stub, caller_of(None, {PX1: stub.url}, clock=clock) as caller:
        await caller.status(PX1, timeout_seconds=5)
        received = clock.now()
        permit = permit_of(token=Token(epoch=5, sequence=1), attempt=10, settle=7, clock=clock)
        await asyncio.sleep(0.2)
        await send(caller, device(tmp_path / "bmc"), Power.OFF, permit)
    wire = stub.calls[0].permit
    assert wire is not None and wire.settle >= 7.0
    assert 16.0 < wire.not_after - CLOCK.monotonic <= permit.not_after - received + 1.0


async def test_an_older_proxy_does_not_echo_and_gets_its_commands(tmp_path: Path) -> None:
    async with stub_of(None) as stub, caller_of(None, {PX1: stub.url}) as caller:
        assert await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS) == {}
        await off(caller, tmp_path / "bmc", 5, 1)
        assert [(call.shard, call.holder) for call in stub.calls] == [("main", "a")]


async def test_a_daemon_without_a_lease_asks_for_no_floor(tmp_path: Path) -> None:
    async with stub_of(echo()) as stub, caller_of(None, {PX1: stub.url}) as caller:
        await off(caller, tmp_path / "bmc", 5, 1)
        assert stub.floors == [] and [call.holder for call in stub.calls] == [""]


async def test_an_echo_of_another_epoch_or_holder_is_none(tmp_path: Path) -> None:
    for answer in (echo(4), echo(5, "b"), echo(is_raised=False), echo(6)):
        async with stub_of(answer) as stub, caller_of(None, {PX1: stub.url}) as caller:
            assert not (await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS))[PX1].is_raised


async def test_a_silent_proxy_holds_up_neither_the_others_nor_the_daemon(tmp_path: Path) -> None:
    async with stub_of(echo()) as stub, stub_of(echo()) as silent:
        silent.is_silent = True
        async with caller_of(None, {PX1: stub.url, LATE: silent.url}) as caller:
            began = asyncio.get_running_loop().time()
            assert (await caller.raise_floors(epoch=5, holder="a", seconds=0.5)).keys() == {PX1}
            assert asyncio.get_running_loop().time() - began >= 0.4
            await off(caller, tmp_path / "bmc", 5, 1)
            assert [floor.is_first for floor in stub.floors] == [True], "it had echoed: it is not asked again"
            with pytest.raises(ProxyTimedOut) as late:
                permit = permit_of(token=Token(epoch=5, sequence=2), attempt=0.5)
                await send(caller, device(tmp_path / "bmc"), Power.OFF, permit, proxy=LATE)
            assert not late.value.may_be_done and silent.calls == []


async def test_a_floor_that_could_not_be_kept_does_not_stop_the_command(tmp_path: Path) -> None:
    """The proxy decides about the command itself, and can say more about it."""
    full = echo(0, "", is_raised=False, why="disk full")
    async with stub_of(full) as stub, caller_of(None, {PX1: stub.url}) as caller:
        assert (await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS))[PX1].why == "disk full"
        await off(caller, tmp_path / "bmc", 5, 1)
        assert len(stub.calls) == 1 and len(stub.floors) == 2


async def test_a_proxy_that_names_an_impossible_epoch_stops_no_daemon(tmp_path: Path) -> None:
    far = echo(5 + EPOCH_JUMP_MAX + 1, "x", is_raised=False)
    async with stub_of(far) as stub, caller_of(None, {PX1: stub.url}) as caller:
        lost = lost_epochs(caller)
        await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS)
        assert lost == [] and caller.highest_epoch(above=5) == 5


async def test_no_proxy_at_all_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with caller_of(None, {}) as caller:
        assert await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS) == {}
        with pytest.raises(Exception, match="not in the inventory"):
            await off(caller, tmp_path / "bmc", 5, 1)


async def test_an_unreachable_proxy_gets_no_command(tmp_path: Path) -> None:
    async with caller_of(None, {PX1: f"http://127.0.0.1:{free_port()}"}) as caller:
        assert await caller.raise_floors(epoch=5, holder="a", seconds=SECONDS) == {}
        with pytest.raises(DeviceUnreachable) as refused:
            await off(caller, tmp_path / "bmc", 5, 1)
        assert not refused.value.may_be_done
