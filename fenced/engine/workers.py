"""Calls devices: which proxy, how many at once, in which order, under which token.

Power commands for a plug are serial, each under a token above every earlier one, and none starts that can't end by its
`not_after` (S5). Reads may run in parallel and be cancelled (S6).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from fenced.core.commands import PRIORITY_OFF
from fenced.engine.settling import Reading, Settling
from fenced.engine.slots import Slots
from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, PlugId, ProxyName, Token, UnitId
from fenced.model.power import Power, What
from fenced.ports.clock import Clock
from fenced.ports.devices import (
    Caller,
    CommandRefused,
    DeviceError,
    DeviceNotReady,
    DeviceUnreachable,
    OnStarted,
    Permit,
    Started,
)
from fenced.ports.telemetry import Telemetry

SHORTEST_ATTEMPT = 0.5
"""A command is refused if less than this share of its time is left when its turn comes."""
TURN_FACTOR = 6
"""A probe may wait this many times its timeout for its turn at the device; only then its time counts."""

Reach = Callable[[ProxyName, float], Awaitable[object]]
"""Check within so many seconds whether a proxy is there. Raises DeviceError."""


@dataclass(slots=True)
class _Plug:
    """One plug's worker: its lock, the highest token it has seen, and what its readings count as.

    Failures are in a row, counted apart for reads and commands: a device that reads well may still hang at each
    command.
    """

    settling: Settling
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    highest: Token | None = None
    failed_reads: int = 0
    failed_commands: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _GivesWay:
    """A soft off that waits for its turn. `wait` ends when more urgent work comes, for the soft off holds its plug, and
    perhaps a session of its unit, meanwhile."""

    spec: DeviceSpec
    proxy: ProxyName
    wait: asyncio.Timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A probe's place in the queue of its device. `came` is called when its turn comes, before the call leaves."""

    blocks_seconds: float
    came: Callable[[], None]


@dataclass(slots=True)
class _Held:
    """A session slot that is released once, at the end or earlier, and may be acquired again."""

    slots: Slots
    failing: str | None
    is_held: bool = True
    timer: asyncio.TimerHandle | None = None

    def give_back_after(self, seconds: float | None) -> None:
        """Release the slot after `seconds` from now, replacing any earlier timer. None: at the end."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.give_back)

    async def take_again(self, priority: int) -> None:
        """Acquire a slot again if it was released, and cancel the timer."""
        self.give_back_after(None)
        if not self.is_held:
            await self.slots.acquire(priority, failing=self.failing)
            self.is_held = True

    def give_back(self) -> None:
        if self.is_held:
            self.is_held = False
            self.slots.release(self.failing)


class DeviceWorkers:
    """All plugs and units of this daemon. `engine` calls go to `local`, all others to `remote`."""

    def __init__(
        self,
        *,
        local: Caller,
        remote: Caller,
        clock: Clock,
        telemetry: Telemetry,
        agent_processes: int,
        has_lease: Callable[[], bool],
        calls_max: Callable[[ProxyName], int],
        reach: Reach | None = None,
    ) -> None:
        """`calls_max`: how many calls at once a proxy gets. `reach`: None if proxies can't be checked."""
        self._local, self._remote = local, remote
        self._clock, self._telemetry = clock, telemetry
        self._has_lease = has_lease
        self._started = clock.now()
        self._calls_max, self._reach = calls_max, reach
        self._processes = Slots(agent_processes)
        self._proxies: dict[ProxyName, Slots] = {}
        self._plugs: dict[PlugId, _Plug] = {}
        self._units: dict[UnitId, Slots] = {}
        self._soft: list[_GivesWay] = []

    def remember(self, tokens: Mapping[PlugId, Token]) -> None:
        """Load the tokens that earlier runs used, from the journal."""
        for plug_id, token in tokens.items():
            self._plug(plug_id).highest = token

    async def read(
        self,
        proxy: ProxyName,
        spec: DeviceSpec,
        *,
        timeout_seconds: float,
        priority: int,
        settle_seconds: float,
        turn: Turn | None = None,
        is_identified: bool = False,
    ) -> Reading:
        """Read a plug. `settle_seconds`: how long its OFF counts as UNKNOWN after its return
        (`settle_after_return_seconds`).

        `is_identified`: also query which machine the device belongs to. A probe has a `turn`. It holds one of the
        unit's sessions for `blocks_seconds` while it waits for a place at its proxy, and again from when its call
        leaves. If the unit has only one session, it holds that throughout: a second call beside it would be refused.
        """
        plug = self._plug(spec.plug_id)
        started = self._clock.now()
        self._make_way(spec, proxy, priority, is_command=False)
        is_only_session = spec.sessions == 1
        if turn is not None and is_only_session and proxy != ENGINE and self._reach is not None:
            # A proxy that is down must not hold the only session until its timeout.
            await self._reach(proxy, timeout_seconds)
        wait_seconds = timeout_seconds if turn is None else TURN_FACTOR * timeout_seconds
        failing = str(spec.plug_id) if plug.failed_reads else None
        # Racing probes of a failing device may hold several sessions, for each gives its session back soon.
        failing_session = failing if turn is None else None
        async with (
            asyncio.timeout(wait_seconds + 1.0) as limit,
            self._session(spec, priority, failing_session) as session,
        ):
            blocks_seconds = None if turn is None or is_only_session else turn.blocks_seconds
            session.give_back_after(blocks_seconds)
            try:
                async with self._process(proxy, spec, priority, failing):
                    # A probe that waited long for its proxy gave its session back; no call may reach the unit without
                    # one.
                    await session.take_again(priority)
                    session.give_back_after(blocks_seconds)
                    if turn is not None:
                        limit.reschedule(asyncio.get_running_loop().time() + timeout_seconds + 1.0)
                        turn.came()
                    caller = self._caller(proxy)
                    told: tuple[str, ...] = ()
                    if is_identified:
                        found = await caller.identify(proxy, spec, timeout_seconds=timeout_seconds)
                        power, told = found.power, found.identities
                    else:
                        power = await caller.read(proxy, spec, timeout_seconds=timeout_seconds)
            except DeviceError as exc:
                plug.failed_reads += 1
                plug.settling.failed(proxy, exc)
                self._count(spec, "status", exc.kind, started)
                raise
        plug.failed_reads = 0
        reading = plug.settling.answered(proxy, power, now=self._clock.now(), settle_seconds=settle_seconds)
        self._count(spec, "status", reading.power.value, started)
        return replace(reading, identities=told)

    async def switch(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, token: Token, timeout_seconds: float,
        not_after: float, settle_seconds: float, priority: int, on_started: OnStarted, begins: Callable[[], None],
        is_soft: bool = False,
    ) -> None:  # fmt: skip
        """Send one power command. Raises CommandRefused if its token or its time forbids it: then nothing was sent.

        `begins` is called when its turn has come, right before the call leaves: until then it can be cancelled without
        effect. `is_soft`: an OFF that asks the host to shut down, and cuts nothing. It gives way to other commands.
        """
        plug, caller = self._plug(spec.plug_id), self._caller(proxy)
        command = What.SOFT_OFF.value if is_soft else power.value
        started = self._clock.now()
        try:
            async with self._place(plug, proxy, spec, priority, is_soft=is_soft):
                permit = self._permit(plug, token, timeout_seconds, not_after, settle_seconds)
                plug.highest = token
                begins()

                async def noted(process: Started) -> None:
                    await self._noted(process, on_started)

                if is_soft:
                    await caller.soft_off(proxy, spec, permit=permit, on_started=noted)
                else:
                    await caller.set(proxy, spec, power, permit=permit, on_started=noted)
        except DeviceError as exc:
            plug.failed_commands += not isinstance(exc, CommandRefused)  # a refused command never reached the device
            # A command may take long, so its timeout proves nothing; an unreachable device does.
            if isinstance(exc, DeviceNotReady | DeviceUnreachable):
                plug.settling.failed(proxy, exc)
            self._count(spec, command, exc.kind, started)
            raise
        plug.failed_reads = plug.failed_commands = 0
        self._count(spec, command, "done", started)

    @asynccontextmanager
    async def _place(
        self, plug: _Plug, proxy: ProxyName, spec: DeviceSpec, priority: int, *, is_soft: bool
    ) -> AsyncIterator[None]:
        """Hold the plug, a session and a process for a command. A soft off raises CommandRefused if more urgent work
        comes meanwhile: it must not hold its place while it waits."""
        self._make_way(spec, proxy, priority, is_command=True)
        async with AsyncExitStack() as place:
            mine: list[_GivesWay] = []
            try:
                async with asyncio.timeout(None) as wait:
                    mine = [_GivesWay(spec=spec, proxy=proxy, wait=wait)] if is_soft else []
                    self._soft += mine
                    await place.enter_async_context(plug.lock)
                    failing = _failing(spec, plug)
                    await place.enter_async_context(self._session(spec, priority, failing))
                    await place.enter_async_context(self._process(proxy, spec, priority, failing))
            except TimeoutError as exc:
                raise CommandRefused("more urgent work came while it waited", may_be_done=False) from exc
            finally:
                self._soft = [one for one in self._soft if one not in mine]
            yield

    def _make_way(self, spec: DeviceSpec, proxy: ProxyName, priority: int, *, is_command: bool) -> None:
        """End the wait of soft offs: for any command of their plug, and for a fence at their unit or their proxy."""
        for one in list(self._soft):
            is_of_plug = is_command and one.spec.plug_id == spec.plug_id
            is_at_proxy = one.proxy == proxy and proxy != ENGINE
            is_fence = priority == PRIORITY_OFF and (is_at_proxy or one.spec.unit_id == spec.unit_id)
            if is_of_plug or is_fence:
                self._soft.remove(one)
                one.wait.reschedule(asyncio.get_running_loop().time())

    async def _noted(self, process: Started, on_started: OnStarted) -> None:
        """Note the program, which waits for its parameters meanwhile: the store may take longer than the lease lasts.

        Raises CommandRefused; then it never gets them.
        """
        await on_started(process)
        if not self._has_lease():
            raise CommandRefused("the lease was lost while its program was noted in the store", may_be_done=False)

    def _permit(
        self, plug: _Plug, token: Token, timeout_seconds: float, not_after: float, settle_seconds: float
    ) -> Permit:
        if plug.highest is not None and token <= plug.highest:
            raise CommandRefused(
                f"token {token} is not above {plug.highest}, the highest seen for this plug", may_be_done=False
            )
        if not self._has_lease():
            raise CommandRefused("the lease was lost while it waited for its turn", may_be_done=False)
        left = not_after - settle_seconds - self._clock.now()
        if left < SHORTEST_ATTEMPT * timeout_seconds:
            raise CommandRefused("its turn came too late: it could not end by its not_after", may_be_done=False)
        attempt = min(timeout_seconds, left)
        return Permit(token=token, attempt_timeout_seconds=attempt, not_after=not_after, settle_seconds=settle_seconds)

    def load(self, proxy: ProxyName) -> float:
        """Return how busy the proxy (or the local agent slots) is: calls in flight or waiting over its bound."""
        if proxy == ENGINE:
            return self._processes.load
        slots = self._proxies.get(proxy)
        return 0.0 if slots is None else slots.load

    def in_flight(self, proxy: ProxyName) -> int:
        """Return the number of calls in flight at a proxy."""
        slots = self._proxies.get(proxy)
        return 0 if slots is None else slots.held

    def _caller(self, proxy: ProxyName) -> Caller:
        return self._local if proxy == ENGINE else self._remote

    def _plug(self, plug_id: PlugId) -> _Plug:
        plug = self._plugs.get(plug_id)
        if plug is None:
            plug = self._plugs[plug_id] = _Plug(settling=Settling(started=self._started))
        return plug

    @asynccontextmanager
    async def _session(self, spec: DeviceSpec, priority: int, failing: str | None) -> AsyncIterator[_Held]:
        slots = self._units.get(spec.unit_id)
        if slots is None:
            slots = self._units[spec.unit_id] = Slots(spec.sessions)
        slots.resize(spec.sessions)
        await slots.acquire(priority, failing=failing)
        held = _Held(slots=slots, failing=failing)
        try:
            yield held
        finally:
            held.give_back_after(None)
            held.give_back()

    @asynccontextmanager
    async def _process(
        self, proxy: ProxyName, spec: DeviceSpec, priority: int, failing: str | None
    ) -> AsyncIterator[None]:
        """Hold a slot of the proxy, or a local one for an agent program; native drivers need none."""
        if proxy == ENGINE and not spec.driver.startswith("fence_"):
            yield
            return
        slots = self._processes if proxy == ENGINE else self._slots_of(proxy)
        async with slots.hold(priority, failing=failing):
            yield

    def _slots_of(self, proxy: ProxyName) -> Slots:
        calls_max = self._calls_max(proxy)
        slots = self._proxies.get(proxy)
        if slots is None:
            slots = self._proxies[proxy] = Slots(calls_max)
        slots.resize(calls_max)
        return slots

    def _count(self, spec: DeviceSpec, command: str, result: str, started: float) -> None:
        self._telemetry.device_call(
            driver=spec.driver, command=command, result=result, seconds=self._clock.now() - started
        )


def _failing(spec: DeviceSpec, plug: _Plug) -> str | None:
    """Return the plug's name if the device fails now, else None."""
    return str(spec.plug_id) if plug.failed_reads or plug.failed_commands else None
