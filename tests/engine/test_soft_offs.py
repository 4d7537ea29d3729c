"""A soft off in the engine (S24): sent once and under a token, no fence, and never in the way of another command."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.commands import PRIORITY_OFF, PRIORITY_ON, PRIORITY_SLEEP, PRIORITY_STATUS
from fenced.drivers.local import LocalCaller
from fenced.engine.workers import DeviceWorkers
from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, OperationId, PlugId, ProxyName, Token, UnitId
from fenced.model.power import Outcome, Power, What
from fenced.ports.devices import (
    CommandRefused,
    DeviceError,
    DeviceTimedOut,
    NotSupported,
    OnStarted,
    Permit,
    Started,
)
from tests.engine.test_dropped_ons import NODE, over, played, switch
from tests.engine.test_workers import SPEC, Lines
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.telemetry import RecordingTelemetry

# -- effects ----------------------------------------------------------------------------------------------------------


Made = Callable[[WorldClock], c.Command]


def acted(
    *acts: tuple[float, Made], lines: Lines | None = None, has_lease: Callable[[], bool] = lambda: True
) -> tuple[list[str], list[tuple[Outcome, bool, str]]]:
    """Start commands after so many seconds each; return the calls, and how the power commands ended."""

    async def main() -> tuple[list[str], list[tuple[Outcome, bool, str]]]:
        clock, line, events = WorldClock(), lines or Lines(5.0), list[e.Event]()
        effects = over(line, clock, events, has_lease=has_lease)
        async with asyncio.TaskGroup() as group:
            effects.run_in(group)
            for seconds, made in acts:
                await asyncio.sleep(seconds)
                effects.start(made(clock))
        ended = [it for it in events if isinstance(it, e.StepFinished)]
        assert effects.commands_in_flight == 0
        return [what for _, what in line.log], [(it.outcome, it.is_end_known, it.error or "") for it in ended]

    return run(main())


def soft_off(sequence: int = 1, device: str = "pdu-a") -> Made:
    return lambda clock: switch(What.SOFT_OFF, device, sequence, clock)


def off(device: str) -> Made:
    return lambda clock: switch(What.OFF, device, 1, clock)


def kill(_clock: WorldClock) -> c.Command:
    return c.KillOns()


def drop_another(_clock: WorldClock) -> c.Command:
    return c.DropOns(host=NODE, operation=OperationId("9-9"), why="another")


def test_it_is_sent_as_what_it_is_and_once() -> None:
    calls, ended = acted((0.0, soft_off()))
    assert [what.split()[0] for what in calls] == ["soft_off"]
    assert ended == [(Outcome.DONE, True, "")]


@pytest.mark.parametrize(
    ("error", "outcome", "is_end_known"),
    [
        (NotSupported("it can't", may_be_done=False), Outcome.REFUSED, True),
        (DeviceError("it says no", may_be_done=False), Outcome.REFUSED, True),
        (CommandRefused("too late", may_be_done=False), Outcome.REFUSED, True),
        (DeviceTimedOut("no answer", is_end_known=False), Outcome.TIMED_OUT, False),
        (DeviceError("a broken connection"), Outcome.FAILED, True),
    ],
)
def test_a_failure_says_whether_the_host_may_have_been_asked(
    error: DeviceError, outcome: Outcome, is_end_known: bool
) -> None:
    """Refused means that nothing was asked, so nobody waits for the host to go down."""
    calls, ended = acted((0.0, soft_off()), lines=Lines(1.0, error=error))
    assert len(calls) == 1, "it is not sent again"
    assert ended == [(outcome, is_end_known, str(error))]


def test_one_that_waits_is_taken_back_and_one_that_has_begun_goes_on() -> None:
    left, ended = played(after=1.0, what=What.SOFT_OFF)
    assert len(left) == 1 and "soft_off" in left[0]
    assert ended == [
        ("pdu-b", Outcome.REFUSED, "not begun: maintenance by person"),
        ("pdu-a", Outcome.DONE, None),
    ]


def test_without_the_lease_it_is_killed_with_the_ons_and_an_off_is_not() -> None:
    """It is no fence, which must run to its end."""
    calls, ended = acted((0.0, soft_off()), (1.0, kill))
    assert len(calls) == 1
    assert [(outcome, is_end_known) for outcome, is_end_known, _ in ended] == [(Outcome.CANCELLED, False)]
    _, ended = acted((0.0, off("pdu-a")), (1.0, kill))
    assert [outcome for outcome, _, _ in ended] == [Outcome.DONE]


def test_without_the_lease_one_that_waits_sends_nothing() -> None:
    calls, ended = acted((0.0, off("pdu-b")), (0.0, soft_off(2)), (1.0, kill))
    assert [what.split()[0] for what in calls] == ["off"]
    assert sorted(outcome.value for outcome, _, _ in ended) == ["cancelled", "done"]
    calls, ended = acted((0.0, soft_off()), has_lease=lambda: False)
    assert calls == [] and [outcome for outcome, _, _ in ended] == [Outcome.REFUSED]


def test_it_is_dropped_by_its_own_operation_only() -> None:
    _, ended = acted((0.0, soft_off()), (0.0, soft_off(2, "pdu-b")), (1.0, drop_another))
    assert [outcome for outcome, _, _ in ended] == [Outcome.DONE, Outcome.DONE]


# -- its place at the device ------------------------------------------------------------------------------------------


class Bench:
    """Workers with one agent process."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.lines, self.clock = Lines(seconds), WorldClock()
        self.workers = DeviceWorkers(
            local=self.lines, remote=self.lines, clock=self.clock, telemetry=RecordingTelemetry(), agent_processes=1,
            has_lease=lambda: True, calls_max=lambda proxy: 1,
        )  # fmt: skip

    async def switch(
        self, sequence: int, *, spec: DeviceSpec = SPEC, is_soft: bool = False, power: Power = Power.OFF,
        priority: int = PRIORITY_OFF,
    ) -> None:  # fmt: skip
        async def on_started(started: Started) -> None:
            assert started.pid

        await self.workers.switch(
            ENGINE, spec, power, token=Token(epoch=1, sequence=sequence), timeout_seconds=20.0,
            not_after=self.clock.now() + 40.0, settle_seconds=0.0, priority=PRIORITY_SLEEP if is_soft else priority,
            on_started=on_started, begins=lambda: None, is_soft=is_soft,
        )  # fmt: skip

    async def read(self, spec: DeviceSpec, *, priority: int = PRIORITY_OFF) -> None:
        await self.workers.read(ENGINE, spec, timeout_seconds=20.0, priority=priority, settle_seconds=0.0)

    def begin(self, sequence: int, *, spec: DeviceSpec = SPEC, is_soft: bool = False) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(self.switch(sequence, spec=spec, is_soft=is_soft))


OTHER = replace(SPEC, plug_id=PlugId("another plug"))


@pytest.mark.parametrize("is_behind", [False, True], ids=["alone", "behind another command of the plug"])
def test_one_that_waits_for_its_turn_gives_way_to_an_off(is_behind: bool) -> None:
    """The OFF gets its place when the other plug's command ends, and not after the soft off."""

    async def main() -> list[tuple[float, str]]:
        bench = Bench()
        first = bench.begin(1, spec=SPEC if is_behind else OTHER)
        await asyncio.sleep(1.0)
        soft = bench.begin(2, is_soft=True)
        await asyncio.sleep(1.0)
        off = bench.begin(3)
        with pytest.raises(CommandRefused, match="more urgent work came") as refused:
            await soft
        assert asyncio.get_running_loop().time() == 2.0 and not refused.value.may_be_done
        await asyncio.gather(first, off)
        return bench.lines.log

    log = run(main())
    assert [(at, what.split()[0]) for at, what in log] == [(0.0, "off"), (5.0, "off")]


@pytest.mark.parametrize("is_read", [False, True], ids=["an off", "a read of a fence"])
def test_one_that_waits_gives_way_to_a_fence_at_its_unit(is_read: bool) -> None:
    """It holds the only session of the unit while it waits for a process, and the fence of another plug needs that."""

    async def main() -> tuple[float, list[str]]:
        bench = Bench()
        shared, elsewhere = replace(SPEC, sessions=1), replace(OTHER, unit_id=UnitId("elsewhere"))
        first = bench.begin(1, spec=elsewhere)
        await asyncio.sleep(1.0)
        soft = bench.begin(2, spec=shared, is_soft=True)
        await asyncio.sleep(1.0)
        neighbour = replace(OTHER, sessions=1, plug_id=PlugId("a neighbour"))
        fence = bench.read(neighbour) if is_read else bench.switch(3, spec=neighbour)
        begun = asyncio.get_running_loop().create_task(fence)
        with pytest.raises(CommandRefused, match="more urgent work came") as refused:
            await soft
        assert not refused.value.may_be_done
        at = asyncio.get_running_loop().time()
        await asyncio.gather(first, begun)
        return at, [what.split()[0] for _, what in bench.lines.log]

    assert run(main()) == (2.0, ["off", "read" if is_read else "off"])


def test_one_that_waits_gives_way_to_an_on_of_its_plug() -> None:
    async def main() -> list[str]:
        bench = Bench()
        first = bench.begin(1, spec=OTHER)
        await asyncio.sleep(1.0)
        soft = bench.begin(2, is_soft=True)
        await asyncio.sleep(1.0)
        on = bench.switch(3, power=Power.ON, priority=PRIORITY_ON)
        await asyncio.gather(first, soft, on, return_exceptions=True)
        return [what.split()[0] for _, what in bench.lines.log]

    assert run(main()) == ["off", "on"]


def test_one_that_waits_gives_way_to_no_other_read() -> None:
    async def main() -> list[str]:
        bench = Bench()
        first = bench.begin(1, spec=OTHER)
        await asyncio.sleep(1.0)
        soft = bench.begin(2, is_soft=True)
        await asyncio.sleep(1.0)
        await asyncio.gather(first, soft, bench.read(SPEC, priority=PRIORITY_STATUS))
        return [what.split()[0] for _, what in bench.lines.log]

    assert "soft_off" in run(main())


def test_one_that_has_begun_is_waited_for_as_an_on_is() -> None:
    async def main() -> list[tuple[float, str]]:
        bench = Bench()
        soft = bench.begin(1, is_soft=True)
        await asyncio.sleep(1.0)
        await asyncio.gather(soft, bench.begin(2))
        return bench.lines.log

    assert [(at, what.split()[0]) for at, what in run(main())] == [(0.0, "soft_off"), (5.0, "off")]


def test_the_place_of_one_that_gave_way_or_was_cancelled_is_free() -> None:
    async def main() -> list[float]:
        bench = Bench()
        first = bench.begin(1, spec=OTHER)
        await asyncio.sleep(1.0)
        cancelled = bench.begin(2, is_soft=True)
        await asyncio.sleep(0.5)
        cancelled.cancel()
        await asyncio.gather(first, cancelled, return_exceptions=True)
        for sequence in (3, 4):
            await bench.switch(sequence, is_soft=True)
        return [at for at, _ in bench.lines.log]

    assert run(main()) == [0.0, 5.0, 10.0]


# -- the engine's own machine -----------------------------------------------------------------------------------------


class Hard:
    """ports.devices.Driver without its soft part."""

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        return Power.ON

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        raise AssertionError("a soft off became a hard one")

    async def close(self) -> None:
        """Nothing to close."""


class Soft(Hard):
    """Notes each request with its time."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        self.asked.append(timeout_seconds)


def test_the_local_caller_asks_a_driver_that_can_and_refuses_for_others() -> None:
    async def main() -> list[float]:
        soft, hard = Soft(), Hard()
        caller = LocalCaller(lambda name: soft if name == "soft" else hard)
        permit = Permit(token=Token(epoch=1, sequence=1), attempt_timeout_seconds=7.0, not_after=50.0)

        async def never(started: Started) -> None:
            raise AssertionError(started)

        await caller.soft_off(ProxyName("engine"), replace(SPEC, driver="soft"), permit=permit, on_started=never)
        with pytest.raises(NotSupported, match="driver fence_world can't ask a host") as failed:
            await caller.soft_off(ProxyName("engine"), SPEC, permit=permit, on_started=never)
        assert not failed.value.may_be_done
        return soft.asked

    assert run(main()) == [7.0]
