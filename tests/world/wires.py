"""Everything between callers and power devices: paths, commands under way, and the callers of a daemon's own machine.

Knows plugs and their callers, nothing of the daemon. A command that has left for a device is independent of its sender:
a daemon that dies takes only the programs of its own machine with it.
"""

import asyncio
import contextvars
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, PlugId, ProxyName, Token
from fenced.model.power import Kind, Power
from fenced.ports.clock import Clock
from fenced.ports.devices import (
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    Identified,
    NotSupported,
    OnStarted,
    Permit,
    Started,
    WrongMachine,
)
from tests.world.loop import virtual
from tests.world.machines import Machine, Plug, Run


@dataclass(slots=True, kw_only=True)
class Path:
    """One machine as a path to the devices. `delay_seconds` is added before a call arrives, `answer_seconds` after it.

    `is_dead`: nothing answers there. `is_hanging`: it accepts requests and does nothing. `is_way_cut`: nothing passes
    between daemon and proxy; `is_way_there_cut`: requests are lost, answers to earlier ones arrive; `is_way_back_cut`:
    requests arrive, answers do not; `cut_from`: nothing passes for these daemons. `carrier`: the host on which it runs,
    and with which it dies, hangs and loses its network. `dies_sending`: its agent dies right after the next command
    left it. `are_agents_spared`: the programs that it runs outlive it. `has_lied`: its clock jumped.
    """

    name: ProxyName
    is_dead: bool = False
    is_hanging: bool = False
    is_way_cut: bool = False
    is_way_there_cut: bool = False
    is_way_back_cut: bool = False
    cut_from: frozenset[str] = frozenset()
    carrier: Machine | None = None
    dies_sending: bool = False
    are_agents_spared: bool = False
    has_lied: bool = False
    delay_seconds: float = 0.0
    answer_seconds: float = 0.0
    answered_at: float = float("-inf")
    on_sent_out: Callable[[], None] = lambda: None

    @property
    def is_away(self) -> bool:
        """Whether its machine does not run or has no network."""
        return self.carrier is not None and (self.carrier.does is not Run.RUNNING or self.carrier.is_cut_off)

    @property
    def is_stuck(self) -> bool:
        """Whether it accepts requests and does nothing."""
        return self.is_hanging or (self.carrier is not None and self.carrier.is_hung)

    def takes_from(self, daemon: str) -> bool:
        """Return whether a request of that daemon arrives."""
        is_cut = self.is_dead or self.is_way_cut or self.is_way_there_cut or daemon in self.cut_from
        return not (is_cut or self.is_away)

    def answers_to(self, daemon: str) -> bool:
        """Return whether an answer arrives at that daemon."""
        return not (self.is_way_back_cut or self.is_way_cut or daemon in self.cut_from or self.is_away)

    def mend(self) -> None:
        """Remove its faults; earlier lies stay told."""
        self.is_way_there_cut, self.cut_from = False, frozenset()
        self.is_dead = self.is_hanging = self.is_way_cut = self.is_way_back_cut = self.dies_sending = False
        self.delay_seconds = self.answer_seconds = 0.0


@dataclass(slots=True, kw_only=True)
class Sent:
    """A power command that may still act: it does if `acts_at` is not after `not_after`, when its program is killed.

    `unit`: what it reaches: the plug itself, unless its path leads to another unit. `leaves_at`: from then on only the
    device decides, and nothing can call it back. `pid`: of its program. `is_soft`: it only asks the machine to shut
    down.
    """

    number: int
    plug: Plug
    unit: Plug
    power: Power
    token: Token
    proxy: ProxyName
    leaves_at: float
    acts_at: float
    not_after: float
    pid: int
    has_left: asyncio.Event
    is_clock_right: bool = True
    is_soft: bool = False
    task: asyncio.Task[None]

    @property
    def is_honest(self) -> bool:
        """Whether its proxy and its device can be held to its `not_after`."""
        return self.is_clock_right and not self.plug.has_lied


class Wires:
    """Everything between callers and plugs; outlives the daemon. `on_sent` and `on_act` are called for each command,
    `on_read` for a device's answer, `on_told` for an answer that reached a daemon."""

    def __init__(self, plugs: Mapping[PlugId, Plug], paths: Mapping[ProxyName, Path], clock: Clock) -> None:
        self.plugs, self.paths, self._clock = plugs, paths, clock
        self.is_cut = False
        self.calls: list[tuple[float, ProxyName, PlugId, str]] = []
        self.sent: dict[int, Sent] = {}
        self.on_left: Callable[[str, Token], None] = lambda daemon, token: None
        self.on_floor: Callable[[ProxyName, int], None] = lambda proxy, epoch: None
        self.on_sent: Callable[[Sent], None] = lambda sent: None
        self.on_act: Callable[[Sent], None] = lambda sent: None
        self.on_wrong: Callable[[Plug], None] = lambda plug: None
        self.on_read: Callable[[Plug, Power], None] = lambda plug, power: None
        self.on_told: Callable[[ProxyName, PlugId, Power], None] = lambda proxy, plug, power: None
        self._numbers = itertools.count(1)

    async def read(self, path: Path, plug: Plug, timeout_seconds: float) -> Power:
        """Read with a driver on that machine."""
        self.calls.append((self._clock.now(), path.name, plug.plug_id, "status"))
        seconds = _local_delay(path) + plug.at(path.name).read_seconds
        is_unanswered = path.name in plug.unanswered_through
        if seconds > timeout_seconds or is_unanswered or self._is_silent(path, plug):
            await asyncio.sleep(timeout_seconds)
            raise DeviceTimedOut(f"{path.name}: no answer of {plug.device} in {timeout_seconds:g} s")
        return await self._answer(seconds, path, plug)

    async def _answer(self, seconds: float, path: Path, plug: Plug) -> Power:
        """Return what the device answers at its own time, however late the caller receives it."""
        answer: asyncio.Future[Power] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(
            seconds, self._say, answer, path, plug, context=contextvars.Context()
        )
        try:
            return await answer
        finally:
            timer.cancel()

    def _say(self, answer: "asyncio.Future[Power]", path: Path, plug: Plug) -> None:
        unit = plug.at(path.name)
        try:
            self._greet(path, unit)
        except DeviceError as exc:
            answer.set_exception(exc)
        else:
            power = unit.read()
            if plug.is_starting and plug.is_on and not plug.is_seen_away:
                plug.mislead_unseen()
            self.on_read(plug, power)
            answer.set_result(power)

    def _is_silent(self, path: Path, plug: Plug) -> bool:
        """Return whether no answer comes back on that path."""
        return (
            path.name in plug.unreachable_through
            or path.is_away
            or (path.name == ENGINE and (self.is_cut or path.is_dead))
        )

    def _greet(self, path: Path, plug: Plug) -> None:
        """Raise what a driver meets before it reads or switches: then nothing was sent."""
        if not plug.is_answering:
            plug.is_seen_away = True
            raise DeviceUnreachable(f"{plug.device}: no route to the device", may_be_done=False)
        if path.name in plug.wrong_through:
            self.on_wrong(plug)
            raise WrongMachine(f"{plug.device}: says that it is another machine", may_be_done=False)
        if plug.is_not_ready:
            raise DeviceNotReady(f"{plug.device}: is not ready", may_be_done=False)

    async def set(
        self, path: Path, plug: Plug, power: Power, *, token: Token, timeout_seconds: float, pid: int = 0,
        is_soft: bool = False,
    ) -> None:  # fmt: skip
        """Switch with a driver on that machine.

        If cancelled (its owner died), kill what has not left, unless spared.
        """
        self.calls.append((self._clock.now(), path.name, plug.plug_id, "soft_off" if is_soft else power.value))
        if is_soft and plug.kind is Kind.OUTLET:
            raise NotSupported(f"{plug.device}: an outlet can't ask its host to shut down", may_be_done=False)
        if self._is_silent(path, plug):
            await asyncio.sleep(timeout_seconds)
            raise DeviceTimedOut(f"{path.name}: no connection to {plug.device}", may_be_done=False)
        unit = plug.at(path.name)
        if unit.refuses(power) or unit.is_not_ready or path.name in unit.wrong_through or not unit.is_answering:
            await asyncio.sleep(_local_delay(path) + unit.read_seconds)
            self._greet(path, unit)
            raise DeviceError(f"{plug.device}: the device refuses", may_be_done=False)
        sent = self._send(path, plug, power, token, timeout_seconds, pid, is_soft=is_soft)
        is_answer_lost = plug.is_answer_lost or path.name in plug.unanswered_through
        try:
            async with asyncio.timeout(timeout_seconds):
                await sent.has_left.wait()
                if is_answer_lost:
                    await asyncio.sleep(timeout_seconds)
        except TimeoutError as exc:
            self._kill(sent)
            raise DeviceTimedOut(
                f"{path.name}: no answer within {timeout_seconds:g} s", is_end_known=not is_answer_lost
            ) from exc
        except asyncio.CancelledError:
            if path.are_agents_spared:
                sent.not_after = math.inf
            else:
                self._kill(sent)
            raise

    def kill_agent(self, pid: int) -> None:
        """Send SIGKILL to a program, if it still runs."""
        for sent in [sent for sent in self.sent.values() if sent.pid == pid]:
            self._kill(sent)

    def kill_agents(self, proxy: ProxyName) -> None:
        """Kill all agents of a proxy, as a reset of its machine does."""
        for sent in [sent for sent in self.sent.values() if sent.proxy == proxy]:
            self._kill(sent)

    def _kill(self, sent: Sent) -> None:
        if not sent.has_left.is_set():
            sent.task.cancel()

    def _send(
        self, path: Path, plug: Plug, power: Power, token: Token, timeout_seconds: float, pid: int, *, is_soft: bool
    ) -> Sent:  # fmt: skip
        now, number, seconds = self._clock.now(), next(self._numbers), _local_delay(path) + plug.set_seconds
        sent = Sent(
            number=number,
            plug=plug,
            unit=plug.at(path.name),
            power=power,
            token=token,
            proxy=path.name,
            leaves_at=now + seconds,
            acts_at=now + seconds + plug.late_seconds,
            not_after=now + timeout_seconds + plug.late_seconds,
            pid=pid,
            has_left=asyncio.Event(),
            is_clock_right=not path.has_lied,
            is_soft=is_soft,
            task=asyncio.get_running_loop().create_task(
                self._act(number), name=f"{power.value} {plug.plug_id}", context=contextvars.Context()
            ),
        )
        self.sent[number] = sent
        # Use the world's context: a daemon that is held must not hold up commands on their way.
        sent.task.add_done_callback(lambda task: self.sent.pop(number, None), context=contextvars.Context())
        if not is_soft:
            self.on_sent(sent)
        return sent

    async def _act(self, number: int) -> None:
        sent = self.sent[number]
        await asyncio.sleep(sent.leaves_at - self._clock.now())
        sent.has_left.set()
        self._die_if_told(self.paths[sent.proxy])
        if sent.acts_at > sent.leaves_at:
            sent.unit.begin_turning()
            await asyncio.sleep(sent.acts_at - self._clock.now())
            sent.unit.end_turning()
        if not sent.is_soft:
            self.on_act(sent)
        if sent.unit is not sent.plug:  # stray: the power of the other machine is switched by someone else's command
            sent.unit.machine.is_meddled = True
        if sent.is_soft:
            sent.unit.press()
        else:
            sent.unit.switch(sent.power)

    def _die_if_told(self, path: Path) -> None:
        if path.dies_sending:
            path.dies_sending = False
            path.on_sent_out()

    def now(self) -> float:
        return self._clock.now()

    def pending(self, plug: Plug) -> list[Sent]:
        """Return the commands for that plug that will still act."""
        return [sent for sent in self.sent.values() if sent.plug is plug and sent.acts_at <= sent.not_after]


def _local_delay(path: Path) -> float:
    """Return the delay before a call starts: the network for a proxy, a slow program for the daemon's own machine."""
    return path.delay_seconds if path.name == ENGINE else 0.0


class WorldCaller:
    """ports.devices.Caller for the daemon's own machine (`engine`), whose programs die with the daemon.

    `is_dead`: the daemon was killed. `before_command` is called just before each power command leaves."""

    def __init__(self, wires: Wires, owner: str) -> None:
        self._wires, self._owner = wires, owner
        self.is_dead = False
        self.before_command: Callable[[], None] = lambda: None
        self._pids = itertools.count(1000)

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        power = await self._wires.read(self._wires.paths[proxy], self._wires.plugs[spec.plug_id], timeout_seconds)
        self._wires.on_told(proxy, spec.plug_id, power)
        return power

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        power = await self.read(proxy, spec, timeout_seconds=timeout_seconds)
        return Identified(power=power, identities=self._wires.plugs[spec.plug_id].identities)

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        await self._command(proxy, spec, power, permit, on_started)

    async def _command(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, permit: Permit, on_started: OnStarted, *,
        is_soft: bool = False,
    ) -> None:  # fmt: skip
        """The deadline counts from the start, even while the daemon is held: the clocks of keeper and drivers go on."""
        pid, deadline = next(self._pids), self._wires.now() + permit.attempt_timeout_seconds
        await on_started(Started(pid=pid, pid_started="1"))
        await self.leave()
        self._wires.on_left(self._owner, permit.token)
        if (left_seconds := deadline - self._wires.now()) <= 0.0:
            raise DeviceTimedOut(f"{proxy}: the deadline had passed before the command was sent", may_be_done=False)
        await self._wires.set(
            self._wires.paths[proxy],
            self._wires.plugs[spec.plug_id],
            power,
            token=permit.token,
            timeout_seconds=left_seconds,
            pid=pid,
            is_soft=is_soft,
        )

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        await self._command(proxy, spec, Power.OFF, permit, on_started, is_soft=True)

    async def leave(self) -> None:
        """Run just before a power command leaves: a killed process sends nothing any more."""
        self.before_command()
        if virtual().is_held(self._owner):
            await asyncio.sleep(0)  # does not come back before the hold ends
        if self.is_dead:
            raise asyncio.CancelledError

    async def close(self) -> None:
        pass
