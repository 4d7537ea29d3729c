"""Power commands through real proxy processes: tokens, not_after, restarts, one at a time (S5, S6, S16)."""

import asyncio
from pathlib import Path

import pytest

from fenced.model.names import ProxyName, Token
from fenced.model.power import Power
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut, DeviceUnreachable
from fenced.proxy.state import ProxyState
from tests.net import until
from tests.proxy.bed import PX1, PX2, Bed, BootClock, ProxyProcess, caller_of, permit_of, send
from tests.proxy.devices import device, log


async def test_off_and_on_through_two_proxies(bed: Bed, own_px1: ProxyProcess, tmp_path: Path) -> None:
    urls = {PX1: bed.px1.url, PX2: own_px1.url}
    async with caller_of(bed.certificates, urls) as caller:
        one, two = device(tmp_path / "one"), device(tmp_path / "two")
        assert await caller.read(PX1, one, timeout_seconds=5) is Power.ON
        await asyncio.gather(
            send(caller, one, Power.OFF, proxy=PX1),
            send(caller, two, Power.OFF, proxy=PX2),
        )
        assert await caller.read(PX2, one, timeout_seconds=5) is Power.OFF
        assert await caller.read(PX1, two, timeout_seconds=5) is Power.OFF
        await send(caller, one, Power.ON, proxy=PX2)
        assert await caller.read(PX1, one, timeout_seconds=5) is Power.ON


@pytest.mark.parametrize("sequence", [6, 7], ids=["lower", "equal"])
async def test_a_token_not_above_the_highest_is_refused_also_after_kill_9(
    own_bed: Bed, tmp_path: Path, sequence: int
) -> None:
    spec = device(tmp_path / "bmc")
    await own_bed.set(spec, Power.OFF, permit_of(token=Token(epoch=4, sequence=7)))
    old = permit_of(token=Token(epoch=4, sequence=sequence))
    with pytest.raises(CommandRefused, match="4-7, the highest") as refused:
        await own_bed.set(spec, Power.ON, old)
    assert not refused.value.may_be_done
    own_bed.px1.kill()
    own_bed.px1.start()
    await own_bed.caller.status(PX1, timeout_seconds=5)
    with pytest.raises(CommandRefused, match="4-7, the highest"):
        await own_bed.set(spec, Power.ON, old)
    await own_bed.set(spec, Power.ON, permit_of(token=Token(epoch=5, sequence=1)))
    assert log(tmp_path / "bmc") == ["off started", "off done", "on started", "on done"]


async def test_tokens_of_another_store_are_refused_until_it_is_adopted(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    await own_bed.set(spec, Power.OFF)
    permit = permit_of(token=Token(epoch=1, sequence=1))
    async with caller_of(own_bed.certificates, {PX1: own_bed.px1.url}, store="store-2") as other:
        with pytest.raises(CommandRefused, match="--adopt-store store-2"):
            await send(other, spec, Power.ON, permit)
        with ProxyState(own_bed.px1.state_dir, machine_boot="any", is_owner=False) as state, state.transaction():
            state.adopt("store-2")
        await send(other, spec, Power.ON, permit)
        with pytest.raises(CommandRefused, match="obeys store 'store-2'"):
            await own_bed.set(spec, Power.OFF)


async def test_a_proxy_that_was_restarted_refuses_then_takes_the_next(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    await own_bed.caller.read(PX1, spec, timeout_seconds=5)
    own_bed.px1.kill()
    own_bed.px1.start()
    with pytest.raises(CommandRefused, match="restarted since"):
        await own_bed.set(spec, Power.OFF)
    await own_bed.set(spec, Power.OFF)
    assert (tmp_path / "bmc" / "power").read_text() == "off"


class LateClock(BootClock):
    """A daemon whose clock is slow, so that its commands arrive too late."""

    behind = 0.0

    def now(self) -> float:
        return super().now() - self.behind


async def test_a_command_that_cannot_end_by_its_not_after_is_refused(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    clock = LateClock()
    async with caller_of(bed.certificates, {PX1: bed.px1.url}, clock=clock) as late:
        await late.read(PX1, spec, timeout_seconds=5)
        clock.behind = 8.0
        with pytest.raises(CommandRefused, match="too late"):
            await send(late, spec, Power.OFF, permit_of(attempt=10, clock=clock))
        clock.behind = 30.0
        with pytest.raises(CommandRefused, match=r"too late: 0\.0 s"):
            await send(late, spec, Power.OFF, permit_of(attempt=10, clock=clock))
        assert log(tmp_path / "bmc") == ["read started"]


async def test_a_delay_at_the_daemon_does_not_move_the_not_after(bed: Bed, tmp_path: Path) -> None:
    """The daemon was stopped between its own comparison and the sending."""
    spec = device(tmp_path / "bmc")
    clock = LateClock()
    async with caller_of(bed.certificates, {PX1: bed.px1.url}, clock=clock) as stopped:
        await stopped.read(PX1, spec, timeout_seconds=5)
        permit = permit_of(attempt=10, settle=5, clock=clock)
        clock.behind = -12.0
        with pytest.raises(DeviceError, match="no time was left") as late:
            await send(stopped, spec, Power.OFF, permit)
        assert not late.value.may_be_done
        clock.behind = -4.0
        await send(stopped, spec, Power.OFF, permit)
    assert log(tmp_path / "bmc")[-1] == "off done"


async def test_two_commands_for_one_plug_never_interleave(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=0.3)
    on, off = permit_of(), permit_of()
    first = asyncio.ensure_future(bed.set(spec, Power.ON, on))
    await until(lambda: log(tmp_path / "bmc") == ["on started"])
    await bed.set(spec, Power.OFF, off)
    await first
    assert log(tmp_path / "bmc") == ["on started", "on done", "off started", "off done"]


async def test_a_slow_on_of_an_old_operation_arrives_after_a_newer_off(bed: Bed, tmp_path: Path) -> None:
    slow = device(tmp_path / "bmc", set_seconds=0.5)
    old_on, newer_on, off = permit_of(), permit_of(), permit_of()
    running = asyncio.ensure_future(bed.set(slow, Power.ON, old_on))
    await until(lambda: log(tmp_path / "bmc") == ["on started"])
    off_task = asyncio.ensure_future(bed.set(slow, Power.OFF, off))
    await until(lambda: bed.highest(slow.plug_id) == off.token)
    with pytest.raises(CommandRefused, match="highest seen"):
        await bed.set(slow, Power.ON, newer_on)
    await asyncio.gather(running, off_task)
    with pytest.raises(CommandRefused, match="highest seen"):
        await bed.set(slow, Power.ON, old_on)
    assert (tmp_path / "bmc" / "power").read_text() == "off"


async def test_a_waiting_command_is_overtaken_by_a_newer_one(bed: Bed, tmp_path: Path) -> None:
    slow = device(tmp_path / "bmc", set_seconds=0.5)
    tasks = [asyncio.ensure_future(bed.set(slow, Power.ON))]
    await until(lambda: log(tmp_path / "bmc") == ["on started"])
    on, off = permit_of(), permit_of()
    for power, permit in ((Power.ON, on), (Power.OFF, off)):
        tasks.append(asyncio.ensure_future(bed.set(slow, power, permit)))
        await until(lambda permit=permit: bed.highest(slow.plug_id) == permit.token)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert ended[0] is None
    assert isinstance(ended[1], CommandRefused) and f"overtaken by {off.token}" in str(ended[1])
    assert ended[2] is None
    assert log(tmp_path / "bmc") == ["on started", "on done", "off started", "off done"]


async def test_a_command_goes_on_when_the_daemon_hangs_up(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=0.4)
    command = asyncio.ensure_future(bed.set(spec, Power.OFF))
    await until(lambda: log(tmp_path / "bmc") == ["off started"])
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    await until(lambda: log(tmp_path / "bmc") == ["off started", "off done"])


async def test_sigterm_lets_a_command_end_and_refuses_new_ones(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=0.5)
    command = asyncio.ensure_future(own_bed.set(spec, Power.OFF))
    await until(lambda: log(tmp_path / "bmc") == ["off started"])
    px1 = own_bed.px1
    status = await asyncio.to_thread(px1.terminate)
    await command
    assert status == 0
    with pytest.raises(DeviceUnreachable) as refused:
        await own_bed.set(spec, Power.ON)
    assert not refused.value.may_be_done
    assert log(tmp_path / "bmc") == ["off started", "off done"]


async def test_a_command_of_an_earlier_life_is_killed_and_closes_its_plug(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=30, pid=4242)
    command = asyncio.ensure_future(own_bed.set(spec, Power.ON, permit_of(attempt=60)))
    await until(lambda: log(tmp_path / "bmc") == ["on started"])
    own_bed.px1.kill()
    with pytest.raises(DeviceError) as lost:
        await command
    assert lost.value.may_be_done and not lost.value.is_end_known
    own_bed.px1.start()
    assert (own_bed.px1.state_dir / "killed").read_text() == "4242"
    await own_bed.caller.status(PX1, timeout_seconds=5)
    with pytest.raises(CommandRefused, match="before the proxy agent's restart"):
        await own_bed.set(device(tmp_path / "bmc"), Power.OFF, permit_of(attempt=5))
    await own_bed.set(device(tmp_path / "other"), Power.OFF, permit_of(attempt=5))
    assert log(tmp_path / "bmc") == ["on started"]


async def test_a_driver_that_does_not_end_is_ended(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=30)
    with pytest.raises(DeviceTimedOut) as late:
        await bed.set(spec, Power.OFF, permit_of(attempt=1))
    assert late.value.may_be_done and not late.value.is_end_known


async def test_errors_and_bugs_of_drivers_come_through_without_secrets(bed: Bed, tmp_path: Path) -> None:
    failing, crashing = device(tmp_path / "failing", fail="no route"), device(tmp_path / "crashing", crash=True)
    with pytest.raises(DeviceUnreachable, match=r"through proxy px1: no route \*\*\*") as failed:
        await bed.set(failing, Power.OFF)
    assert not failed.value.may_be_done
    for call in (bed.set(crashing, Power.OFF), bed.caller.read(PX1, crashing, timeout_seconds=5)):
        with pytest.raises(DeviceError, match="internal error in driver file") as crashed:
            await call
        assert "S3cret" not in str(crashed.value)
    stderr = bed.px1.stderr
    assert "RuntimeError" in stderr and "power command" in stderr
    assert "S3cret" not in stderr


async def test_an_unknown_proxy_and_an_unknown_driver(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="not in the inventory"):
        await bed.caller.read(ProxyName("px9"), device(tmp_path / "bmc"), timeout_seconds=5)
