"""Device workers: power commands of a plug are serial, each under a higher token, and none starts too late (S5)."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from fenced.core.commands import PRIORITY_OFF, PRIORITY_STATUS
from fenced.engine.settling import Reading
from fenced.engine.workers import DeviceWorkers, Turn
from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, PlugId, ProxyName, Token, UnitId
from fenced.model.power import Power
from fenced.ports.devices import (
    CommandRefused,
    DeviceError,
    DeviceTimedOut,
    Identified,
    OnStarted,
    Permit,
    ProxyUnreachable,
    Started,
)
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.telemetry import RecordingTelemetry

SPEC = DeviceSpec(driver="fence_world", plug_id=PlugId("node-1/pdu-a"), unit_id=UnitId("pdu-a"), sessions=4)


@dataclass
class Lines:
    """ports.devices.Caller: each call takes `seconds`; `log` has when each began and ended."""

    seconds: float = 1.0
    error: DeviceError | None = None
    power: Power = Power.ON
    log: list[tuple[float, str]] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    running: int = 0
    most: int = 0
    at_units: Counter[UnitId] = field(default_factory=Counter)
    most_at_a_unit: int = 0

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        self.at_units[spec.unit_id] += 1
        self.most_at_a_unit = max(self.most_at_a_unit, self.at_units[spec.unit_id])
        try:
            await self._call(f"read {spec.plug_id}")
        finally:
            self.at_units[spec.unit_id] -= 1
        return self.power

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        power = await self.read(proxy, spec, timeout_seconds=timeout_seconds)
        return Identified(power=power, identities=(f"SN-{spec.plug_id}",))

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        self.permits.append(permit)
        await on_started(Started(pid=1, pid_started="1"))
        await self._call(f"{power.value} {spec.plug_id} {permit.token}")

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        self.permits.append(permit)
        await on_started(Started(pid=1, pid_started="1"))
        await self._call(f"soft_off {spec.plug_id} {permit.token}")

    async def _call(self, what: str) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            self.log.append((asyncio.get_running_loop().time(), what))
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        pass


class Bench:
    """Workers over one line; `processes` bounds the engine's agents."""

    def __init__(self, *, processes: int = 32, seconds: float = 1.0, calls: int = 64) -> None:
        self.dead: set[ProxyName] = set()
        self.lines, self.remote = Lines(seconds), Lines(seconds)
        self.clock, self.telemetry = WorldClock(), RecordingTelemetry()
        self.workers = DeviceWorkers(
            local=self.lines,
            remote=self.remote,
            clock=self.clock,
            telemetry=self.telemetry,
            agent_processes=processes,
            has_lease=lambda: True,
            calls_max=lambda proxy: calls,
            reach=self.reach,
        )

    async def switch(
        self, sequence: int, *, spec: DeviceSpec = SPEC, epoch: int = 1, not_after: float | None = None,
        proxy: ProxyName = ENGINE, settle: float = 0.0, timeout: float = 20.0,
    ) -> None:  # fmt: skip
        async def on_started(started: Started) -> None:
            assert started.pid

        await self.workers.switch(
            proxy, spec, Power.OFF, token=Token(epoch=epoch, sequence=sequence), timeout_seconds=timeout,
            not_after=self.clock.now() + 40.0 if not_after is None else not_after, settle_seconds=settle,
            priority=PRIORITY_OFF, on_started=on_started, begins=lambda: None,
        )  # fmt: skip

    async def reach(self, proxy: ProxyName, timeout_seconds: float) -> None:
        if proxy in self.dead:
            await asyncio.sleep(timeout_seconds)
            raise ProxyUnreachable("no connection", may_be_done=False)

    async def read(
        self, spec: DeviceSpec = SPEC, *, timeout: float = 5.0, blocks: float | None = None, proxy: ProxyName = ENGINE,
        priority: int = PRIORITY_STATUS,
    ) -> Reading:  # fmt: skip
        turn = None if blocks is None else Turn(blocks_seconds=blocks, came=lambda: None)
        return await self.workers.read(
            proxy, spec, timeout_seconds=timeout, priority=priority, settle_seconds=0.0, turn=turn
        )


def other(number: int, *, unit: str = "pdu-a", driver: str = "fence_world") -> DeviceSpec:
    return replace(SPEC, plug_id=PlugId(f"plug-{number}"), unit_id=UnitId(unit), driver=driver)


def test_commands_of_one_plug_are_serial() -> None:
    async def main() -> list[tuple[float, str]]:
        bench = Bench()
        await asyncio.gather(*(bench.switch(number) for number in (1, 2, 3)))
        return bench.lines.log

    assert [at for at, _ in run(main())] == [0.0, 1.0, 2.0]


def test_commands_of_different_plugs_are_not() -> None:
    async def main() -> list[tuple[float, str]]:
        bench = Bench()
        await asyncio.gather(*(bench.switch(1, spec=other(number, unit=f"u{number}")) for number in range(5)))
        return bench.lines.log

    assert [at for at, _ in run(main())] == [0.0] * 5


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 5), (1, 4), (0, 99)])
def test_a_token_that_is_not_above_the_highest_is_refused(epoch: int, sequence: int) -> None:
    async def main() -> int:
        bench = Bench()
        await bench.switch(5)
        with pytest.raises(CommandRefused) as caught:
            await bench.switch(sequence, epoch=epoch)
        assert not caught.value.may_be_done
        return len(bench.lines.permits)

    assert run(main()) == 1


def test_a_token_of_a_later_epoch_is_taken() -> None:
    async def main() -> int:
        bench = Bench()
        await bench.switch(5)
        await bench.switch(1, epoch=2)
        return len(bench.lines.permits)

    assert run(main()) == 2


def test_tokens_of_earlier_lives_are_remembered() -> None:
    async def main() -> None:
        bench = Bench()
        bench.workers.remember({SPEC.plug_id: Token(epoch=3, sequence=7)})
        with pytest.raises(CommandRefused):
            await bench.switch(9, epoch=2)
        await bench.switch(8, epoch=3)

    run(main())


def test_the_memory_of_a_plug_is_one_for_all_its_paths() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.switch(5, proxy=ProxyName("px1"))
        with pytest.raises(CommandRefused):
            await bench.switch(4, proxy=ENGINE)
        assert len(bench.remote.permits) == 1 and not bench.lines.permits

    run(main())


def test_a_command_whose_time_is_over_is_not_begun() -> None:
    async def main() -> int:
        bench = Bench()
        with pytest.raises(CommandRefused) as caught:
            await bench.switch(1, not_after=bench.clock.now() + 5.0, timeout=20.0)
        assert not caught.value.may_be_done
        return len(bench.lines.log)

    assert run(main()) == 0


def test_a_command_that_waited_gets_what_is_left_of_its_time() -> None:
    async def main() -> list[Permit]:
        bench = Bench(seconds=25.0)
        not_after = bench.clock.now() + 40.0
        await asyncio.gather(bench.switch(1), bench.switch(2, not_after=not_after, settle=3.0))
        assert bench.lines.permits[1].not_after == not_after, "as journalled, however long it waited"
        return bench.lines.permits

    first, second = run(main())
    assert first.attempt_timeout_seconds == 20.0
    assert second.attempt_timeout_seconds == pytest.approx(12.0)
    assert second.settle_seconds == 3.0


def test_a_token_is_used_up_by_a_command_that_failed() -> None:
    async def main() -> None:
        bench = Bench()
        bench.lines.error = DeviceTimedOut("no answer")
        with pytest.raises(DeviceTimedOut):
            await bench.switch(5)
        with pytest.raises(CommandRefused):
            await bench.switch(5)

    run(main())


def test_reads_run_beside_a_command() -> None:
    async def main() -> list[tuple[float, str]]:
        bench = Bench()
        await asyncio.gather(bench.switch(1), bench.read(), bench.read())
        return bench.lines.log

    assert [at for at, _ in run(main())] == [0.0, 0.0, 0.0]


def test_sessions_bound_one_unit_and_no_other() -> None:
    async def main() -> tuple[int, float]:
        bench = Bench(processes=100)
        few = [replace(other(number), sessions=2) for number in range(6)]
        await asyncio.gather(*(bench.read(spec) for spec in few))
        return bench.lines.most, asyncio.get_running_loop().time()

    most, seconds = run(main())
    assert most == 2 and seconds == pytest.approx(3.0)


def test_a_probe_that_gets_no_answer_does_not_keep_its_session() -> None:
    async def main() -> float:
        bench = Bench(seconds=4.0)
        two = replace(SPEC, sessions=2)
        await asyncio.gather(*(bench.read(two, blocks=1.0) for _ in range(3)))
        return bench.lines.log[2][0]

    assert run(main()) == pytest.approx(1.0)


def test_a_probe_that_waits_for_a_place_at_its_proxy_keeps_its_session() -> None:
    """Its call has not left yet: a call that took its session would later be beside it at the unit."""

    async def main() -> tuple[int, list[float]]:
        bench = Bench(calls=1)
        two = replace(SPEC, sessions=2)
        proxies = [ProxyName(f"px{number}") for number in range(4)]
        busy = [bench.read(other(10 * n + m, unit=f"u{n}{m}"), proxy=proxies[n]) for n in range(4) for m in range(2)]
        probes = [bench.read(two, blocks=1.5, proxy=proxy) for proxy in proxies]
        await asyncio.gather(*busy, *probes)
        began = [at for at, what in bench.remote.log if what == f"read {two.plug_id}"]
        return bench.remote.most_at_a_unit, began

    assert run(main()) == (2, [2.0, 2.0, 3.0, 3.0])


def test_the_only_session_of_a_unit_is_kept_to_the_end_of_the_probe() -> None:
    """A second call beside it would be refused, and so would a third: each waits for its turn and gets its full
    time."""

    async def main() -> tuple[int, list[float]]:
        bench = Bench(seconds=4.0)
        one = replace(SPEC, sessions=1)
        await asyncio.gather(*(bench.read(one, blocks=1.0, proxy=ProxyName(f"px{number}")) for number in range(3)))
        return bench.remote.most, [at for at, _ in bench.remote.log]

    assert run(main()) == (1, [0.0, 4.0, 8.0])


def test_a_proxy_that_is_not_there_does_not_hold_the_only_session() -> None:
    async def main() -> float:
        bench = Bench(seconds=0.1)
        bench.dead.add(ProxyName("px1"))
        one = replace(SPEC, sessions=1)
        dead = asyncio.get_running_loop().create_task(bench.read(one, blocks=1.0, proxy=ProxyName("px1")))
        await asyncio.sleep(0.25)
        await bench.read(one, blocks=1.0, proxy=ProxyName("px2"))
        at = asyncio.get_running_loop().time()
        with pytest.raises(ProxyUnreachable):
            await dead
        return at

    assert run(main()) == pytest.approx(0.35)


def test_a_proxy_gets_no_more_calls_at_once_than_its_bound_and_off_goes_first() -> None:
    px1 = ProxyName("px1")

    async def main() -> tuple[int, list[str]]:
        bench = Bench(calls=2)
        reads = [
            asyncio.get_running_loop().create_task(bench.read(other(number, unit=f"u{number}"), proxy=px1))
            for number in range(6)
        ]
        await asyncio.sleep(0)
        await bench.switch(1, spec=other(10, unit="u10"), proxy=px1)
        assert bench.workers.load(px1) > 1.0 and bench.workers.load(ProxyName("px2")) == 0.0
        await asyncio.gather(*reads)
        return bench.remote.most, [what for _, what in bench.remote.log]

    most, log = run(main())
    assert most == 2 and log[2].startswith("off"), log


def test_a_bound_that_is_changed_counts_from_then_on() -> None:
    async def main() -> int:
        bench = Bench()
        two, four = replace(SPEC, sessions=2), replace(SPEC, sessions=4)
        await asyncio.gather(*(bench.read(two) for _ in range(4)))
        assert bench.lines.most == 2
        await asyncio.gather(*(bench.read(four) for _ in range(8)))
        return bench.lines.most

    assert run(main()) == 4


def test_agent_processes_bound_the_engines_programs_only() -> None:
    async def main() -> tuple[int, int]:
        bench = Bench(processes=2)
        await asyncio.gather(
            *(bench.read(other(number, unit=f"u{number}")) for number in range(6)),
            *(bench.read(other(10 + number, unit=f"u{number}", driver="redfish")) for number in range(6)),
        )
        return bench.lines.most, len(bench.lines.log)

    most, calls = run(main())
    assert (most, calls) == (8, 12)


def test_a_waiting_read_gives_up_by_its_own_timeout() -> None:
    async def main() -> float:
        bench = Bench(processes=1, seconds=100.0)
        first = asyncio.get_running_loop().create_task(bench.read(timeout=1000.0))
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await bench.read(other(1, unit="u1"), timeout=5.0)
        at = asyncio.get_running_loop().time()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return at

    assert run(main()) == pytest.approx(6.1, abs=0.1)


def test_every_call_is_counted_with_its_result() -> None:
    async def main() -> RecordingTelemetry:
        bench = Bench()
        await bench.read()
        await bench.switch(1)
        bench.lines.error = DeviceTimedOut("no answer")
        with pytest.raises(DeviceTimedOut):
            await bench.read()
        return bench.telemetry

    counts = run(main()).counts
    assert counts["device_call", "fence_world", "status", "on"] == 1
    assert counts["device_call", "fence_world", "off", "done"] == 1
    assert counts["device_call", "fence_world", "status", "timed_out"] == 1


def test_identities_come_with_a_reading_that_requested_them() -> None:
    async def main(is_identified: bool) -> tuple[str, ...]:
        bench = Bench()
        reading = await bench.workers.read(
            ENGINE, SPEC, timeout_seconds=5.0, priority=PRIORITY_STATUS, settle_seconds=0.0, is_identified=is_identified
        )
        assert reading.power is Power.ON
        return reading.identities

    assert run(main(True)) == (f"SN-{SPEC.plug_id}",)
    assert run(main(False)) == ()
