"""The world's proxies follow the real rules: tokens, clocks, restarts, survivors and disks."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fenced.model.names import DeviceName, HostName, ProxyName, Token
from fenced.model.power import Power
from fenced.ports.devices import CommandRefused, DeviceError, Permit, ProxyTimedOut, ProxyUnreachable
from tests.world.callers import WorldProxyCaller
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.strangers import stranger
from tests.world.world import World

PX1 = ProxyName("px1")
ATTEMPT_SECONDS = 10.0


class Bench:
    """One proxy, one plug, and a caller without a daemon."""

    def __init__(self) -> None:
        self.world = World(Rack(devices=("pdu-a:1",), proxies=("px1",), reach=("px1",), settle_seconds=3.0))
        self.caller = WorldProxyCaller(self.world.proxies, self.world.wires, self.world.clock, _leave, owner="fenced-a")
        self.plug, self.proxy = self.world.plug("node-1", "pdu-a"), self.world.proxy("px1")
        self._spec = self.world.inventory.hosts[HostName("node-1")].device(DeviceName("pdu-a")).spec

    async def read(self) -> Power:
        return await self.caller.read(PX1, self._spec, timeout_seconds=5.0)

    async def off(self, token: str) -> None:
        permit = Permit(
            token=Token.parse(token),
            attempt_timeout_seconds=ATTEMPT_SECONDS,
            not_after=self.world.clock.now() + ATTEMPT_SECONDS + 3.0,
            settle_seconds=3.0,
        )
        await self.caller.set(PX1, self._spec, Power.OFF, permit=permit, on_started=_nobody)


async def _leave() -> None:
    """Delay no command."""


async def _nobody(started: object) -> None:
    raise AssertionError("a proxy keeps its processes to itself")


def on_bench(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench()
        await test(bench)
        await bench.proxy.end()

    run(main())


async def refused(work: Awaitable[None], *, match: str, error: type[DeviceError] = CommandRefused) -> DeviceError:
    with pytest.raises(error, match=match) as caught:
        await work
    return caught.value


def test_a_token_is_taken_once_and_over_restarts() -> None:
    async def test(bench: Bench) -> None:
        await bench.off("1-5")
        assert not bench.plug.is_on
        await refused(bench.off("1-5"), match="not above 1-5")
        bench.proxy.start(is_machine_booted=True)
        await asyncio.sleep(1.0)
        await bench.read()
        await refused(bench.off("1-4"), match="not above 1-5")

    on_bench(test)


def test_a_late_command_of_the_predecessor_is_refused_once_the_floor_was_echoed() -> None:
    async def test(bench: Bench) -> None:
        world = bench.world
        newer = WorldProxyCaller(world.proxies, world.wires, world.clock, _leave, owner="fenced-b")
        assert (await bench.caller.raise_floors(epoch=1, holder="a", seconds=2.0))[PX1].is_raised
        bench.proxy.path.delay_seconds = 3.0
        late = asyncio.ensure_future(bench.off("1-5"))
        await asyncio.sleep(1.0)
        bench.proxy.path.delay_seconds = 0.0
        echo = (await newer.raise_floors(epoch=2, holder="b", seconds=2.0))[PX1]
        assert echo.is_raised and echo.has_ended(bench.plug.plug_id, Token.parse("1-5")), "it has not arrived yet"
        await refused(late, match="took over at epoch 2")
        assert bench.plug.is_on
        bench.proxy.start(is_machine_booted=True)
        await asyncio.sleep(1.0)
        await bench.read()
        await refused(bench.off("1-6"), match="took over at epoch 2")
        assert bench.caller.highest_epoch(above=1) == 2 and bench.plug.is_on

    on_bench(test)


def test_a_proxy_that_is_cut_off_echoes_nothing_and_holds_up_nobody() -> None:
    async def test(bench: Bench) -> None:
        bench.proxy.crash(are_agents_spared=False)
        assert await bench.caller.raise_floors(epoch=1, holder="a", seconds=2.0) == {}
        bench.proxy.start()
        await asyncio.sleep(1.0)
        await bench.off("1-5")
        assert not bench.plug.is_on and bench.proxy.state.floors["store-1", "main"].holder == "a"

    on_bench(test)


def test_a_command_with_the_clock_of_an_earlier_life_is_refused() -> None:
    async def test(bench: Bench) -> None:
        await bench.read()
        bench.proxy.start(is_emptied=True)
        await asyncio.sleep(1.0)
        await refused(bench.off("1-5"), match="restarted since")
        await bench.off("1-6")

    on_bench(test)


def test_a_request_that_comes_too_late_is_refused_though_its_caller_is_gone() -> None:
    async def test(bench: Bench) -> None:
        await bench.read()
        bench.proxy.path.delay_seconds = ATTEMPT_SECONDS + 1.0
        error = await refused(bench.off("1-5"), match="no answer", error=ProxyTimedOut)
        assert error.may_be_done and not error.is_end_known
        await asyncio.sleep(60.0)
        assert bench.plug.is_on

    on_bench(test)


def test_a_proxy_whose_clock_fell_back_lets_it_act_too_late() -> None:
    async def test(bench: Bench) -> None:
        await bench.read()
        bench.proxy.shift_clock(-60.0)
        bench.proxy.path.delay_seconds = ATTEMPT_SECONDS + 10.0
        await refused(bench.off("1-5"), match="no answer", error=ProxyTimedOut)
        await asyncio.sleep(60.0)
        assert not bench.plug.is_on and bench.proxy.path.has_lied

    on_bench(test)


def test_a_proxy_that_dies_after_it_sent_leaves_the_command_in_doubt() -> None:
    async def test(bench: Bench) -> None:
        bench.plug.act_late(3.0, settle_seconds=3.0, shows_turning=True)
        bench.proxy.path.dies_sending = True
        error = await refused(bench.off("1-5"), match="connection was lost", error=ProxyUnreachable)
        assert error.may_be_done and not error.is_end_known
        assert bench.plug.is_on and bench.plug.read() is Power.UNKNOWN
        await asyncio.sleep(3.0)
        assert not bench.plug.is_on

    on_bench(test)


@pytest.mark.parametrize(("are_agents_spared", "acts"), [(False, False), (True, True)])
def test_programs_of_a_dead_agent(are_agents_spared: bool, acts: bool) -> None:
    async def test(bench: Bench) -> None:
        bench.plug.set_seconds = 5.0
        command = asyncio.create_task(bench.off("1-5"))
        await asyncio.sleep(1.0)
        bench.proxy.crash(are_agents_spared=are_agents_spared)
        await refused(command, match="connection was lost", error=ProxyUnreachable)
        await refused(bench.off("1-6"), match="refused", error=ProxyUnreachable)
        await asyncio.sleep(10.0)
        assert bench.plug.is_on is not acts

    on_bench(test)


def test_survivors_are_killed_by_the_next_life_and_their_plug_stays_closed() -> None:
    async def test(bench: Bench) -> None:
        bench.plug.set_seconds = 5.0
        command = asyncio.create_task(bench.off("1-5"))
        await asyncio.sleep(1.0)
        bench.proxy.crash(are_agents_spared=True)
        await refused(command, match="connection was lost", error=ProxyUnreachable)
        bench.proxy.start()
        await asyncio.sleep(1.0)
        assert await bench.read() is Power.ON
        await refused(bench.off("1-6"), match="may still act")
        await asyncio.sleep(20.0)
        assert bench.plug.is_on
        bench.plug.set_seconds = 1.0
        await bench.off("1-7")

    on_bench(test)


def test_without_a_disk_nothing_is_sent() -> None:
    async def test(bench: Bench) -> None:
        bench.proxy.state.is_broken = True
        await refused(bench.off("1-5"), match="can't be kept")
        bench.proxy.start()
        await asyncio.sleep(1.0)
        assert bench.proxy.is_down
        bench.proxy.mend_disk()
        bench.proxy.start()
        await asyncio.sleep(1.0)
        assert await bench.read() is Power.ON

    on_bench(test)


# -- one direction, one daemon, one machine ---------------------------------------------------------------------------


def test_a_way_that_is_cut_towards_the_proxy_still_brings_the_answer_of_what_is_under_way() -> None:
    async def test(bench: Bench) -> None:
        await bench.read()
        off = asyncio.create_task(bench.off("1-5"), name="off")
        await asyncio.sleep(0.5)
        bench.proxy.path.is_way_there_cut = True
        await off
        await refused(bench.off("1-6"), match="no answer", error=ProxyTimedOut)
        assert bench.proxy.state.highest(bench.plug.plug_id) == Token.parse("1-5")

    on_bench(test)


@pytest.mark.parametrize(("daemon", "is_cut"), [("fenced-a", True), ("fenced-b", False)])
def test_a_proxy_that_is_cut_from_one_daemon_serves_the_others(daemon: str, is_cut: bool) -> None:
    async def test(bench: Bench) -> None:
        bench.proxy.path.cut_from = frozenset({daemon})
        if is_cut:
            await refused(bench.off("1-5"), match="no connection", error=ProxyTimedOut)
        else:
            await bench.off("1-5")
        assert bench.plug.is_on is is_cut

    on_bench(test)


def test_a_device_whose_answers_one_proxy_does_not_get_is_still_switched() -> None:
    async def test(bench: Bench) -> None:
        await bench.read()
        bench.plug.unanswered_through = frozenset({"px1"})
        with pytest.raises(DeviceError) as caught:
            await bench.off("1-5")
        assert caught.value.may_be_done and not caught.value.is_end_known
        assert not bench.plug.is_on
        with pytest.raises(DeviceError):
            await bench.read()

    on_bench(test)


def test_a_proxy_dies_with_the_host_that_carries_it_and_what_it_ran_dies_too() -> None:
    async def test(bench: Bench) -> None:
        machine = bench.world.machine("node-2")
        bench.proxy.ride(machine)
        await bench.read()
        off = asyncio.create_task(bench.off("1-5"), name="off")
        await asyncio.sleep(0.5)
        machine.die()
        error = await refused(off, match="no answer", error=ProxyTimedOut)
        assert error.may_be_done and bench.plug.is_on
        bench.proxy.start()
        assert bench.proxy.is_down
        machine.plugs[DeviceName("pdu-a")].turn(Power.OFF)
        machine.plugs[DeviceName("pdu-a")].turn(Power.ON)
        await asyncio.sleep(machine.boot_seconds + 1.0)
        assert await bench.read() is Power.ON

    on_bench(test)


def test_a_host_that_hangs_or_is_cut_off_takes_its_proxy_along() -> None:
    async def test(bench: Bench) -> None:
        machine = bench.world.machine("node-2")
        bench.proxy.ride(machine)
        for fault in ("is_hung", "is_cut_off"):
            setattr(machine, fault, True)
            await refused(bench.off("1-5"), match="no", error=ProxyTimedOut)
            setattr(machine, fault, False)
        assert await bench.read() is Power.ON

    on_bench(test)


def test_a_path_that_leads_to_another_unit_reads_and_switches_that_one() -> None:
    """The daemon also keeps the reading of each path."""

    async def test(bench: Bench) -> None:
        other = stranger(bench.plug, is_on=True)
        bench.plug.stray("px1", other)
        await bench.off("1-1")
        assert (await bench.read(), bench.plug.read()) == (Power.OFF, Power.ON)
        truth = bench.world.checker.truth
        assert truth is not None
        assert [(it.proxy, it.power) for it in truth.readings[bench.plug.plug_id]] == [(PX1, Power.OFF)]
        bench.plug.mend()
        assert await bench.read() is Power.ON

    on_bench(test)
