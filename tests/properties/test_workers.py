"""The device workers under random histories: calls that hang, fail, are cancelled or time out, at units, proxies
and plugs.

`Lines` knows what runs now. No plug gets two commands at once or a token that does not rise; no unit, proxy or machine
has more calls than its bound; every wait is for another call; and in the end every slot is free again.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fenced.core.commands import PRIORITY_OFF, PRIORITY_ON, PRIORITY_PROBE, PRIORITY_STATUS
from fenced.engine.workers import SHORTEST_ATTEMPT, DeviceWorkers, Turn
from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, PlugId, ProxyName, Token, UnitId
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceUnreachable, Identified, OnStarted, Permit
from tests.properties.profiles import histories
from tests.properties.running import Running
from tests.world.network import START, WorldClock
from tests.world.telemetry import RecordingTelemetry

PROXIES = (ENGINE, ProxyName("px1"), ProxyName("px2"))
PLUGS = {"a1": "fence_world", "a2": "fence_world", "b1": "fence_world", "b2": "redfish", "c1": "fence_world"}
"""Driver by plug; its unit is the first letter."""
SESSIONS = {"a": 1, "b": 2, "c": 4}
PROCESSES, CALLS = 2, 2
TIMEOUT_SECONDS = 20.0
SETTLE_SECONDS = 2.0
NOT_AFTER_SECONDS = 60.0
TINY_SECONDS = 1e-4


@dataclass(eq=False, slots=True)
class Asked:
    """A requested call. `has_turn`: a probe, which holds its session only for a while."""

    plug: str
    proxy: ProxyName
    has_turn: bool = False
    token: Token | None = None
    not_after: float = 0.0
    answer: "asyncio.Future[None] | None" = None


class Lines:
    """ports.devices.Caller for all: a call lasts until the machine answers it. `calls`: the running ones, in order."""

    def __init__(self, machine: "Working") -> None:
        self._machine = machine

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        await self._machine.called(spec, proxy, None)
        return Power.ON

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        return Identified(power=await self.read(proxy, spec, timeout_seconds=timeout_seconds))

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        await self._machine.called(spec, proxy, permit)

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        await self._machine.called(spec, proxy, permit)

    async def close(self) -> None:
        pass


class Working(RuleBasedStateMachine):
    """`highest`: the newest token sent to each plug; `reaching`: how many wait for a proxy that does not answer."""

    @initialize()
    def begin(self) -> None:
        self.running, self.clock = Running(), WorldClock()
        self.tasks: dict[Asked, asyncio.Task[None]] = {}
        self.calls: list[Asked] = []
        self.highest: dict[str, Token] = {}
        self.sequence = self.reaching = 0
        self.is_leased, self.is_over, self.dead = True, False, frozenset[ProxyName]()
        self.workers = self.running.do(self._made())

    async def _made(self) -> DeviceWorkers:
        lines = Lines(self)
        return DeviceWorkers(
            local=lines, remote=lines, clock=self.clock, telemetry=RecordingTelemetry(), agent_processes=PROCESSES,
            has_lease=lambda: self.is_leased, calls_max=lambda proxy: CALLS, reach=self._reach,
        )  # fmt: skip

    async def _reach(self, proxy: ProxyName, timeout_seconds: float) -> None:
        if proxy not in self.dead:
            return
        self.reaching += 1
        try:
            await asyncio.sleep(timeout_seconds)
        finally:
            self.reaching -= 1
        raise DeviceUnreachable("nobody is there")

    # -- checked as it happens ----------------------------------------------------------------------------------------

    async def called(self, spec: DeviceSpec, proxy: ProxyName, permit: Permit | None) -> None:
        task = asyncio.current_task()
        asked = next(asked for asked, its in self.tasks.items() if its is task)
        if permit is not None:
            self._commanded(asked, permit)
        if self.is_over:
            return
        asked.answer = asyncio.get_running_loop().create_future()
        self.calls.append(asked)
        self._bounds()
        try:
            await asked.answer
        finally:
            self.calls.remove(asked)

    def _commanded(self, asked: Asked, permit: Permit) -> None:
        token, now = permit.token, self.clock.now()
        assert token == asked.token and self.is_leased
        assert token > self.highest.get(asked.plug, Token(epoch=0, sequence=0)), "a token that does not rise"
        self.highest[asked.plug] = token
        assert permit.not_after == asked.not_after, "it may act after its not_after"
        end = now + permit.attempt_timeout_seconds + permit.settle_seconds
        assert end <= asked.not_after + TINY_SECONDS, "it may act after its not_after"
        assert permit.attempt_timeout_seconds >= SHORTEST_ATTEMPT * TIMEOUT_SECONDS - TINY_SECONDS
        others = [call for call in self.calls if call.plug == asked.plug and call.token is not None]
        assert not others, "two commands for one plug at once"

    def _bounds(self) -> None:
        units = Counter(call.plug[0] for call in self.calls if not call.has_turn or SESSIONS[call.plug[0]] == 1)
        assert all(number <= SESSIONS[unit] for unit, number in units.items()), f"too many sessions: {units}"
        proxies = Counter(call.proxy for call in self.calls if call.proxy != ENGINE)
        assert all(number <= CALLS for number in proxies.values()), f"too many calls: {proxies}"
        programs = [call for call in self.calls if call.proxy == ENGINE and PLUGS[call.plug].startswith("fence_")]
        assert len(programs) <= PROCESSES, "too many programs"

    # -- what happens -------------------------------------------------------------------------------------------------

    @rule(
        plug=st.sampled_from(tuple(PLUGS)), proxy=st.sampled_from(PROXIES), has_turn=st.booleans(),
        priority=st.sampled_from((PRIORITY_OFF, PRIORITY_PROBE, PRIORITY_STATUS)),
    )  # fmt: skip
    def read_is_asked(self, plug: str, proxy: ProxyName, has_turn: bool, priority: int) -> None:
        asked = Asked(plug=plug, proxy=proxy, has_turn=has_turn)
        turn = Turn(blocks_seconds=1.0, came=lambda: None) if has_turn else None
        self._ask(
            asked,
            self.workers.read(
                proxy, self._spec(plug), timeout_seconds=TIMEOUT_SECONDS, priority=priority, settle_seconds=0.0,
                turn=turn
            ),
        )  # fmt: skip

    @rule(
        plug=st.sampled_from(tuple(PLUGS)), proxy=st.sampled_from(PROXIES), late=st.sampled_from((0, 0, 0, 1, 3)),
        power=st.sampled_from((Power.OFF, Power.ON)), not_after=st.sampled_from((NOT_AFTER_SECONDS, 25.0, 5.0)),
    )  # fmt: skip
    def command_is_asked(self, plug: str, proxy: ProxyName, late: int, power: Power, not_after: float) -> None:
        """`late`: how many tokens it is behind the newest."""
        self.sequence += 1
        token = Token(epoch=1, sequence=max(1, self.sequence - late))
        asked = Asked(plug=plug, proxy=proxy, token=token, not_after=START + self.running.now() + not_after)
        self._ask(
            asked,
            self.workers.switch(
                proxy, self._spec(plug), power, token=token, timeout_seconds=TIMEOUT_SECONDS,
                not_after=asked.not_after, settle_seconds=SETTLE_SECONDS, on_started=_started, begins=lambda: None,
                priority=PRIORITY_OFF if power is Power.OFF else PRIORITY_ON,
            ),
        )  # fmt: skip

    @precondition(lambda self: self.calls)
    @rule(at=st.integers(0, 9), is_failing=st.booleans())
    def answered(self, at: int, is_failing: bool) -> None:
        self._answer(self.calls[at % len(self.calls)], is_failing=is_failing)
        self._settled()

    @precondition(lambda self: self.tasks)
    @rule(at=st.integers(0, 19), is_answered=st.booleans(), steps=st.integers(0, 4))
    def cancelled(self, at: int, is_answered: bool, steps: int) -> None:
        """Cancel so many steps of the loop after a call was answered, or after nothing happened."""
        self.running.do(self._cancel(list(self.tasks.values()), at, steps, is_answered=is_answered))
        self._settled()

    async def _cancel(self, waiting: "list[asyncio.Task[None]]", at: int, steps: int, *, is_answered: bool) -> None:
        if is_answered and self.calls:
            self._answer(self.calls[at % len(self.calls)], is_failing=False)
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting[at % len(waiting)].cancel()

    @rule(seconds=st.sampled_from((0.5, 1.5, 8.0, 30.0)))
    def time_passes(self, seconds: float) -> None:
        self.running.go(seconds)
        self._settled()

    @rule(is_leased=st.booleans(), dead=st.frozensets(st.sampled_from(PROXIES[1:])))
    def lease_and_proxies(self, is_leased: bool, dead: frozenset[ProxyName]) -> None:
        self.is_leased, self.dead = is_leased, dead

    def _spec(self, plug: str) -> DeviceSpec:
        return DeviceSpec(driver=PLUGS[plug], plug_id=PlugId(plug), unit_id=UnitId(plug[0]), sessions=SESSIONS[plug[0]])

    def _ask(self, asked: Asked, call: Coroutine[Any, Any, object]) -> None:
        async def act() -> None:
            try:
                await call
            except (DeviceError, TimeoutError):
                pass
            finally:
                del self.tasks[asked]

        self.tasks[asked] = self.running.begin(act())
        self._settled()

    def _answer(self, call: Asked, *, is_failing: bool) -> None:
        assert call.answer is not None
        if call.answer.done():
            return
        if is_failing:
            call.answer.set_exception(DeviceUnreachable("no answer"))
        else:
            call.answer.set_result(None)

    # -- what must hold -----------------------------------------------------------------------------------------------

    def _settled(self) -> None:
        """Every waiting call waits for a running one, or for a proxy that does not answer."""
        self.running.go()
        assert self.calls or self.reaching or not self.tasks, f"they wait for nobody: {list(self.tasks)}"

    def teardown(self) -> None:
        """From now on all calls end at once: every call has been served, and no slot is held."""
        if not hasattr(self, "workers"):
            return
        try:
            if not self.running.is_broken:
                self._all_is_free()
        finally:
            self.running.close()

    def _all_is_free(self) -> None:
        self.is_over = True
        for call in list(self.calls):
            self._answer(call, is_failing=False)
        self.running.go()
        if self.tasks:
            self.running.go(TIMEOUT_SECONDS + 1.0)
        assert not self.tasks, f"they wait for ever: {list(self.tasks)}"
        assert [self.workers.load(proxy) for proxy in PROXIES] == [0.0, 0.0, 0.0]
        for plug in PLUGS:  # so that none counts as failing
            self.read_is_asked(plug, ENGINE, has_turn=False, priority=PRIORITY_STATUS)
        self.is_over = False
        for plug, sessions in ((plug, SESSIONS[plug[0]]) for plug in ("a1", "b2", "c1")):
            for number in range(sessions + 1):
                self.read_is_asked(plug, PROXIES[number % 3], has_turn=False, priority=PRIORITY_STATUS)
            assert sum(call.plug == plug for call in self.calls) == sessions, f"sessions of {plug[0]} were lost or made"
            while self.calls:
                self._answer(self.calls[0], is_failing=False)
                self.running.go()


async def _started(started: object) -> None:
    """Record nothing."""


TestWorking = Working.TestCase
TestWorking.settings = histories(40, 40)
