"""Carries out one call: a read at once, a power command only under the rules S5, S16 and S21.

Uses drivers, the token memory and the slots, and knows no HTTP. Before a driver starts a command, the token is on disk,
still the highest of its plug and not below the floor, and the command has enough time to end by its `not_after`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from fenced.model.inventory import DeviceSpec
from fenced.model.names import PlugId, Token
from fenced.model.power import Power, What
from fenced.ports.devices import (
    CommandRefused,
    DeviceError,
    DeviceTimedOut,
    Driver,
    Identified,
    ProxyRefused,
    Started,
    identified,
    soft_off,
)
from fenced.proxy.clock import ProxyClock
from fenced.proxy.floors import Acting, Floor
from fenced.proxy.protocol import (
    FLOORS_SHOWN_MAX,
    STORE_SHOWN_CHARACTERS_MAX,
    UNDER_WAY_BYTES_MAX,
    UNDER_WAY_MAX,
    Call,
    FloorAnswer,
    RaiseFloor,
    UnderWay,
    WireFloor,
    WirePermit,
)
from fenced.proxy.slots import Rank, Slots
from fenced.proxy.state import NOT_AFTER_AHEAD_SECONDS_MAX, Claim, StateError
from fenced.proxy.tokens import TokenMemory

DRIVER_GUARD_SECONDS: Final = 1.0
"""A driver keeps its own deadline; it is cancelled if it overruns by this much."""
SHARE_NEEDED: Final = 0.5
"""Reject a command if less than this share of its attempt timeout is left: it could not end in time."""
SLEEP_EARLY_SECONDS: Final = 0.01
"""The loop's clock is coarse, so a sleep may end this much early."""
VERIFYING_SECONDS: Final = 60.0
RECENT_OFF_MAX: Final = 10_000
NATIVE_CALLS_MAX: Final = 512
AGENT_PREFIX: Final = "fence_"

DriverFor = Callable[[str], Driver]
"""Return the driver of that name. Raises BadParameters."""
KillSurvivors = Callable[[Sequence[Started]], Awaitable[None]]
"""Kill those of the processes that still run, with all their descendants; return when they are gone."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(slots=True, kw_only=True)
class _Plug:
    """A plug with commands in flight. `highest`: the newest token accepted while they wait. `gives_way`: the wait of a
    soft off for its slot, which ends when a newer command comes."""

    highest: Token
    gives_way: asyncio.Timeout | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Calls:
    """All calls of one proxy agent. The server bounds their number."""

    def __init__(
        self, *, memory: TokenMemory, driver_for: DriverFor, agent_processes_max: int, clock: ProxyClock
    ) -> None:
        self._memory = memory
        self._driver_for = driver_for
        self._clock = clock
        self._agents = Slots(slots_max=agent_processes_max)
        self._natives = Slots(slots_max=NATIVE_CALLS_MAX)
        self._plugs: dict[PlugId, _Plug] = {}
        self._blocked_until: dict[PlugId, float] = {}
        self._last_off: OrderedDict[PlugId, float] = OrderedDict()

    async def settle_survivors(self, kill: KillSurvivors) -> int:
        """Kill processes of an earlier run and keep their plugs closed until `not_after`: their commands may still act.
        Call it before the first call. Return how many commands were found. Raises StateError."""
        now = self._clock.now()
        found = await self._memory.unfinished(now=now)
        await kill([command.started for command in found if command.started is not None])
        for command in found:
            if command.not_after > now:
                until = min(command.not_after, now + NOT_AFTER_AHEAD_SECONDS_MAX)
                earlier = self._blocked_until.get(command.plug_id, 0.0)
                self._blocked_until[command.plug_id] = max(earlier, until)
        return len(found)

    async def read(self, call: Call, spec: DeviceSpec) -> Identified:
        """Read a device.

        `spec`: the call's, with stored credentials. Cancelling it cancels the driver. Raises DeviceError.
        """
        end = self._clock.now() + call.timeout
        driver = self._driver_for(call.device.driver)
        rank = Rank.OFF if self._is_verifying(PlugId(call.device.plug_id)) else Rank.READ
        async with self._slot(call, rank, until=end), self._guard(call, until=end) as seconds:
            if call.identify:
                return await identified(driver, spec, timeout_seconds=seconds)
            return Identified(power=await driver.read(spec, timeout_seconds=seconds))

    async def command(self, call: Call, permit: WirePermit, spec: DeviceSpec) -> None:
        """Return when the device has accepted the command. Raises DeviceError; CommandRefused: nothing was sent."""
        deadline = self._deadline(call, permit)
        driver = self._driver_for(call.device.driver)
        plug_id, token = PlugId(call.device.plug_id), permit.fence_token
        await self._claim(call, permit)
        is_end_known = False
        try:
            await self._carry_out(call, token, driver, spec, deadline=deadline)
            is_end_known = True
        except DeviceError as exc:
            is_end_known = exc.is_end_known
            raise
        finally:
            # If the end is unknown, the command stays recorded as under way until its not_after.
            if is_end_known:
                await self._note_end(plug_id, token)

    async def raise_floor(self, wanted: RaiseFloor) -> FloorAnswer:
        """Raise a floor durably: no driver starts a command below it once this has returned (S21)."""
        now = self._clock.now()
        try:
            raised = await self._memory.raise_floor(
                wanted.store, wanted.shard, wanted.epoch, wanted.holder,
                is_first=wanted.is_first, now=now, acting_max=UNDER_WAY_MAX + 1,
            )  # fmt: skip
        except StateError as exc:
            return FloorAnswer(is_raised=False, why=f"the floor can't be kept: {exc}", clock=self._clock.wire())
        under_way, is_whole = _fitting(raised.acting, now=now)
        floor = raised.floor
        return FloorAnswer(
            epoch=0 if floor is None else floor.epoch,
            holder="" if floor is None else floor.holder,
            since=0 if floor is None else floor.since,
            is_raised=not raised.why,
            why=raised.why,
            under_way=under_way,
            is_whole=is_whole and not raised.why,
            clock=self._clock.wire(),
        )

    def floor(self, call: Call) -> WireFloor | None:
        """Return the floor of the call's store and shard, for its answer."""
        floor = self._memory.floor(call.store, call.shard)
        return None if floor is None else _wire(floor)

    def floors(self, store: str | None) -> tuple[WireFloor, ...]:
        """Return the floors of a store for the status, or all."""
        return tuple(
            _wire(floor)
            for floor in self._memory.floors()
            if store in (None, floor.store) and len(floor.store) <= STORE_SHOWN_CHARACTERS_MAX
        )[:FLOORS_SHOWN_MAX]

    async def _carry_out(self, call: Call, token: Token, driver: Driver, spec: DeviceSpec, *, deadline: float) -> None:
        plug_id = PlugId(call.device.plug_id)
        latest_start = deadline - SHARE_NEEDED * call.timeout
        async with (
            self._turn(plug_id, token, until=latest_start) as plug,
            self._command_slot(call, token, plug, until=latest_start),
        ):

            def check() -> None:
                self._check_rank(call, token, plug)

            check()
            self._note_what(plug_id, call.what)
            async with self._guard(call, until=deadline) as seconds:

                async def on_started(started: Started) -> None:
                    await self._note_started(plug_id, token, started, check)

                if call.what is What.SOFT_OFF:
                    await soft_off(driver, spec, timeout_seconds=seconds, on_started=on_started)
                else:
                    power = Power.OFF if call.what is What.OFF else Power.ON
                    await driver.set(spec, power, timeout_seconds=seconds, on_started=on_started)

    def _check_rank(self, call: Call, token: Token, plug: _Plug) -> None:
        """Compare once more, because the command waited. Raises CommandRefused."""
        if plug.highest > token:
            raise _refused(f"token {token} was overtaken by {plug.highest} while it waited for the plug")
        floor = self._memory.floor(call.store, call.shard)
        if floor is not None and (why := floor.why_not(token.epoch, call.holder)) is not None:
            raise _refused(f"{why}, while the command waited")

    def _deadline(self, call: Call, permit: WirePermit) -> float:
        """Return when the driver must have ended, in our clock. Raises CommandRefused if there is not enough time."""
        if permit.boot != self._clock.life:
            raise _refused("the proxy agent was restarted since the daemon read its clock; read the device again")
        now = self._clock.now()
        if permit.not_after - now > NOT_AFTER_AHEAD_SECONDS_MAX:
            raise _unable(
                f"its not_after is {permit.not_after - now:.0f} s ahead, more than {NOT_AFTER_AHEAD_SECONDS_MAX:.0f} "
                "s: the plug would be closed until then if the command were left in doubt"
            )
        deadline = min(now + call.timeout, permit.not_after - permit.settle)
        if deadline - now < SHARE_NEEDED * call.timeout:
            raise _unable(
                f"too late: {max(0.0, deadline - now):.1f} s are left of the {call.timeout:g} s that it may take"
            )
        return deadline

    async def _claim(self, call: Call, permit: WirePermit) -> None:
        claim = Claim(
            store=call.store,
            plug_id=PlugId(call.device.plug_id),
            token=permit.fence_token,
            what=call.what,
            not_after=permit.not_after,
            shard=call.shard,
            holder=call.holder,
        )
        try:
            denial = await self._memory.claim(claim)
        except StateError as exc:
            raise _unable(f"the token can't be kept: {exc}") from exc
        if denial is not None:
            raise _unable(denial.why) if denial.is_proxys_own else _refused(denial.why)

    @asynccontextmanager
    async def _turn(self, plug_id: PlugId, token: Token, *, until: float) -> AsyncIterator[_Plug]:
        """Run one power command per plug at a time, and none while a command of an earlier run may still act."""
        plug = self._plugs.setdefault(plug_id, _Plug(highest=token))
        if token > plug.highest and plug.gives_way is not None:
            plug.gives_way.reschedule(asyncio.get_running_loop().time())
            plug.gives_way = None
        plug.highest = max(plug.highest, token)
        plug.users += 1
        try:
            blocked_until = self._blocked_until.get(plug_id, 0.0)
            why = "a command from before the proxy agent's restart may still act on the plug"
            if blocked_until > until:
                raise _unable(f"{why} for {blocked_until - self._clock.now():.1f} s")
            if (left := blocked_until - self._clock.now()) > 0:
                await asyncio.sleep(left + SLEEP_EARLY_SECONDS)
            self._blocked_until.pop(plug_id, None)
            async with self._waiting(until, ProxyRefused, "another command for the plug is under way"):
                await plug.lock.acquire()
            try:
                yield plug
            finally:
                plug.lock.release()
        finally:
            plug.users -= 1
            if not plug.users:
                del self._plugs[plug_id]

    @asynccontextmanager
    async def _command_slot(self, call: Call, token: Token, plug: _Plug, *, until: float) -> AsyncIterator[None]:
        """Hold a slot for a command, which holds the plug.

        A soft off waits longer than others, so it stops waiting when a newer command of the plug comes. Then it raises
        CommandRefused.
        """
        if call.what is not What.SOFT_OFF:
            async with self._slot(call, Rank.OFF if call.what is What.OFF else Rank.ON, until=until):
                yield
            return
        self._check_rank(call, token, plug)
        async with AsyncExitStack() as slot:
            try:
                async with asyncio.timeout(None) as plug.gives_way:
                    await slot.enter_async_context(self._slot(call, Rank.SOFT_OFF, until=until))
            except TimeoutError:
                self._check_rank(call, token, plug)
                raise
            finally:
                plug.gives_way = None
            yield

    @asynccontextmanager
    async def _slot(self, call: Call, rank: Rank, *, until: float) -> AsyncIterator[None]:
        """Hold a slot while the call runs. The result decides whether the plug counts as failing (S15)."""
        device = call.device
        slots = self._agents if device.driver.startswith(AGENT_PREFIX) else self._natives
        spec = device.spec()
        error = DeviceTimedOut if call.what is What.STATUS else ProxyRefused
        async with self._waiting(until, error, f"no free slot for unit {spec.unit_id}"):
            ticket = await slots.take(rank=rank, plug_id=spec.plug_id, unit_id=spec.unit_id, sessions=device.sessions)
        try:
            yield
        except CommandRefused:
            raise
        except DeviceError:
            slots.note(spec.plug_id, is_failing=True)
            raise
        else:
            slots.note(spec.plug_id, is_failing=False)
        finally:
            slots.give_back(ticket)

    @asynccontextmanager
    async def _waiting(self, until: float, error: type[DeviceError], why: str) -> AsyncIterator[None]:
        """Bound a wait before anything is sent."""
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.now())):
                yield
        except TimeoutError as exc:
            raise error(f"not started in time: {why}", may_be_done=False) from exc

    @asynccontextmanager
    async def _guard(self, call: Call, *, until: float) -> AsyncIterator[float]:
        """Yield the driver's timeout, and cancel a driver that overruns it."""
        seconds = until - self._clock.now()
        if seconds <= 0:
            raise _unable("its time was over before it could start")
        try:
            async with asyncio.timeout(seconds + DRIVER_GUARD_SECONDS):
                yield seconds
        except TimeoutError as exc:
            raise DeviceTimedOut(
                f"driver {call.device.driver} did not end within {seconds:.1f} s", is_end_known=False
            ) from exc

    async def _note_started(self, plug_id: PlugId, token: Token, started: Started, check: Callable[[], None]) -> None:
        """Record an agent's process, and compare again: the agent acts only after this. Raises CommandRefused."""
        try:
            await self._memory.started(plug_id, token, started)
        except StateError as exc:
            raise _unable(f"the agent's process can't be recorded: {exc}") from exc
        check()

    async def _note_end(self, plug_id: PlugId, token: Token) -> None:
        try:
            await self._memory.ended(plug_id, token)
        except StateError as exc:
            _log.warning("command end not written", plug=plug_id, token=str(token), error=str(exc))

    def _is_verifying(self, plug_id: PlugId) -> bool:
        """Return whether a read verifies an OFF: any read in the minute after one counts."""
        at = self._last_off.get(plug_id)
        return at is not None and self._clock.now() - at < VERIFYING_SECONDS

    def _note_what(self, plug_id: PlugId, what: What) -> None:
        self._last_off.pop(plug_id, None)
        if what is What.OFF:
            self._last_off[plug_id] = self._clock.now()
            if len(self._last_off) > RECENT_OFF_MAX:
                self._last_off.popitem(last=False)


def _fitting(acting: Sequence[Acting], *, now: float) -> tuple[tuple[UnderWay, ...], bool]:
    """Return as many commands as fit into an answer, and whether that is all."""
    fitting: list[UnderWay] = []
    left = UNDER_WAY_BYTES_MAX
    for command in acting:
        it = UnderWay(plug=command.plug_id, token=str(command.token), not_after_seconds=command.not_after - now)
        left -= len(it.model_dump_json().encode()) + 1
        if left < 0 or len(fitting) == UNDER_WAY_MAX:
            return tuple(fitting), False
        fitting.append(it)
    return tuple(fitting), True


def _wire(floor: Floor) -> WireFloor:
    return WireFloor(store=floor.store, shard=floor.shard, epoch=floor.epoch, holder=floor.holder)


def _refused(why: str) -> CommandRefused:
    """The command itself is wrong: every other proxy would refuse it, too."""
    return CommandRefused(why, may_be_done=False)


def _unable(why: str) -> ProxyRefused:
    """Only this proxy can't do it."""
    return ProxyRefused(why, may_be_done=False)
