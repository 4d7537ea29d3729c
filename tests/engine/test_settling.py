"""What a reading counts as after a device was out of reach or not ready, or before the first contact."""

import asyncio

import pytest

from fenced.core.durable import records as r
from fenced.engine.settling import Settling
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.model.power import Action, Power, Proof
from fenced.ports.devices import (
    BadParameters,
    CommandRefused,
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    ProxyTimedOut,
    ProxyUnreachable,
    WrongMachine,
)
from tests.engine.test_workers import SPEC, Bench
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

PX1 = ProxyName("px1")
SETTLE = 60.0
GONE = DeviceUnreachable("no route", may_be_done=False)


class Plug:
    """One plug's memory, at a time that the test moves. It settled long ago and was read through `engine` and `px1`."""

    def __init__(self) -> None:
        self.settling = Settling(started=0.0)
        self.now = 1000.0
        for proxy in (ENGINE, PX1):
            assert self.reads(proxy=proxy) is Power.OFF

    def reads(self, power: Power = Power.OFF, *, proxy: ProxyName = ENGINE, settle: float = SETTLE) -> Power:
        """Return what a reading counts as now."""
        return self.settling.answered(proxy, power, now=self.now, settle_seconds=settle).power

    def fails(self, error: DeviceError = GONE, *, proxy: ProxyName = ENGINE) -> None:
        self.settling.failed(proxy, error)

    def go(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("error", [GONE, DeviceTimedOut("no answer"), DeviceNotReady("boots"), DeviceError("what?")])
def test_an_off_counts_only_a_settle_time_after_the_return(error: DeviceError) -> None:
    plug = Plug()
    plug.fails(error)
    plug.go(300.0)
    assert plug.reads() is Power.UNKNOWN, "counted from the return, not from the failure"
    plug.go(SETTLE - 0.1)
    assert plug.reads() is Power.UNKNOWN
    plug.go(0.1)
    assert plug.reads() is Power.OFF


def test_an_on_always_counts_and_ends_nothing() -> None:
    plug = Plug()
    plug.fails()
    assert plug.reads(Power.ON) is Power.ON
    assert plug.reads() is Power.UNKNOWN


def test_the_return_may_be_seen_on_any_path() -> None:
    plug = Plug()
    plug.fails()
    plug.fails(proxy=PX1)
    assert plug.reads(proxy=PX1) is Power.UNKNOWN
    plug.go(SETTLE)
    assert plug.reads(proxy=ENGINE) is Power.OFF


@pytest.mark.parametrize(
    "error",
    [ProxyUnreachable("px1"), ProxyTimedOut("px1"), LoginRefused("no"), BadParameters("x"), WrongMachine("another"),
     CommandRefused("token")],
)  # fmt: skip
def test_errors_that_say_nothing_about_reach_start_no_settle_time(error: DeviceError) -> None:
    plug = Plug()
    plug.fails(error, proxy=PX1)
    assert plug.reads(proxy=PX1) is Power.OFF


def test_a_path_that_keeps_failing_is_no_new_sign_of_trouble() -> None:
    plug = Plug()
    plug.fails(proxy=PX1)
    assert plug.reads() is Power.UNKNOWN
    plug.go(SETTLE)
    plug.fails(proxy=PX1)
    assert plug.reads() is Power.OFF


def test_a_path_that_worked_and_fails_again_is_a_new_sign_of_trouble() -> None:
    plug = Plug()
    plug.fails(proxy=PX1)
    plug.reads(proxy=PX1)
    plug.go(SETTLE)
    plug.fails(proxy=PX1)
    assert plug.reads() is Power.UNKNOWN


def test_not_ready_starts_the_settle_time_each_time() -> None:
    plug = Plug()
    for _ in range(3):
        plug.fails(DeviceNotReady("boots"))
        assert plug.reads() is Power.UNKNOWN
        plug.fails(DeviceNotReady("boots"))
        plug.go(SETTLE - 1.0)
    assert plug.reads() is Power.UNKNOWN


def test_not_ready_counts_even_on_a_path_that_keeps_failing() -> None:
    plug = Plug()
    plug.fails(proxy=PX1)
    plug.reads()
    plug.go(SETTLE)
    plug.fails(DeviceNotReady("boots"), proxy=PX1)
    assert plug.reads() is Power.UNKNOWN


def test_what_was_before_our_start_is_not_known() -> None:
    settling = Settling(started=100.0)
    early = settling.answered(ENGINE, Power.OFF, now=110.0, settle_seconds=SETTLE)
    assert (early.power, early.settling_until) == (Power.UNKNOWN, 160.0)
    assert early.note
    assert settling.answered(ENGINE, Power.OFF, now=160.0, settle_seconds=SETTLE).power is Power.OFF


def test_a_first_contact_that_fails_was_out_of_reach() -> None:
    settling = Settling(started=0.0)
    settling.failed(ENGINE, GONE)
    assert settling.answered(ENGINE, Power.OFF, now=1000.0, settle_seconds=SETTLE).power is Power.UNKNOWN


def test_without_a_settle_time_every_reading_counts() -> None:
    plug = Plug()
    plug.fails(DeviceNotReady("boots"))
    assert plug.reads(settle=0.0) is Power.OFF


# -- where the readings come from -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "is_off_counting"),
    [(GONE, False), (DeviceNotReady("boots", may_be_done=False), False), (DeviceTimedOut("slow to switch"), True)],
)
def test_a_command_that_does_not_reach_its_device_is_a_sign_of_trouble_too(
    error: DeviceError, *, is_off_counting: bool
) -> None:
    async def main() -> Power:
        bench = Bench()
        bench.lines.power = Power.OFF
        await asyncio.sleep(SETTLE)
        bench.lines.error = error
        with pytest.raises(DeviceError):
            await bench.switch(1)
        bench.lines.error = None
        reading = await bench.workers.read(ENGINE, SPEC, timeout_seconds=5.0, priority=0, settle_seconds=SETTLE)
        return reading.power

    assert (run(main()) is Power.OFF) is is_off_counting


def test_a_device_that_does_not_answer_a_probe_was_out_of_reach() -> None:
    """The race cancels a probe by its timeout; the driver's error must come first."""

    async def main() -> list[float]:
        world = World(Rack(devices=("bmc:1",), settle_after_return_seconds=SETTLE))
        world.begin()
        await world.start()
        await asyncio.sleep(90.0)
        plug = world.plug("node-2", "bmc")
        plug.read_seconds = 1000.0
        await world.control.act(HostName("node-2"), Action.OFF, by="person", reason="told", is_forced=True)
        await asyncio.sleep(4.0)
        plug.read_seconds = 0.1
        began = world.clock.now()
        await asyncio.sleep(100.0)
        await world.end()
        entries = world.journal.durable.entries.values()
        fenced = [entry for entry in entries if isinstance(entry.record, r.HostFenced)]
        assert [entry.record.proof for entry in fenced if isinstance(entry.record, r.HostFenced)] == [
            Proof.DEVICE_VERIFIED
        ]
        return [entry.at - began for entry in fenced]

    [seconds] = run(main())
    assert seconds > SETTLE
