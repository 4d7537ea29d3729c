"""What the daemon can reach of the world: a broker, device calls through proxies, the hosts' own addresses.

Each class implements one whole port. What a proxy was told to do is the world's own business from then on: a daemon that
dies takes only the agents of its own machine with it.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fenced.model.inventory import DeviceSpec
from fenced.model.names import ENGINE, PlugId, ProxyName, Token
from fenced.model.power import Power
from fenced.ports.bus import BusConnected, BusDisconnected, BusError, BusEvent, Message
from fenced.ports.clock import Clock
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut, OnStarted, Permit, Started, WrongMachine
from tests.world.machines import Machine, Plug

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z, the world's first moment."""


class WorldClock:
    """ports.clock.Clock over the running loop's virtual time."""

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()


# -- the bus ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Broker:
    """The broker outlives the daemon. `is_cut`: connected, yet nothing comes through (our own link is dead)."""

    clock: Clock
    is_up: bool = True
    is_cut: bool = False
    is_refusing: bool = False
    acknowledge_seconds: float = 0.01
    published: list[tuple[float, Message]] = field(default_factory=list)
    on_published: Callable[[Message], None] = lambda message: None
    _subscriber: Callable[[BusEvent], None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set_up(self, is_up: bool) -> None:
        self.is_up = is_up
        self._changed.set()
        self._changed = asyncio.Event()

    def set_cut(self, is_cut: bool) -> None:
        self.is_cut = is_cut
        self.set_up(self.is_up)

    async def changed(self) -> None:
        await self._changed.wait()

    async def until(self, *, is_up: bool) -> None:
        while self.is_up is not is_up:
            await self.changed()

    def subscribe(self, subscriber: Callable[[BusEvent], None] | None) -> None:
        self._subscriber = subscriber
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def is_heard(self) -> bool:
        """Whether a message would reach a daemon now."""
        return self.is_up and not self.is_cut and self._subscriber is not None

    def send(self, event: BusEvent) -> None:
        """A message from a host or person; lost where no daemon listens."""
        if self.is_heard:
            assert self._subscriber is not None
            self._subscriber(event)

    def take(self, message: Message) -> None:
        self.published.append((self.clock.now(), message))
        self.on_published(message)


class WorldBus:
    """ports.bus.Bus: one daemon's connection. `is_dead`: that daemon was killed, nothing of it goes out any more."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker, self._clock = broker, clock
        self._is_connected = False
        self.is_dead = False

    @property
    def is_connected(self) -> bool:
        return self._is_connected and not self.is_dead

    async def run(self, deliver: Callable[[BusEvent], None]) -> None:
        broker = self._broker
        try:
            while True:
                await broker.until(is_up=True)
                self._is_connected = True
                deliver(BusConnected(at=self._clock.now()))
                broker.subscribe(deliver)
                await broker.until(is_up=False)
                self._is_connected = False
                broker.subscribe(None)
                deliver(BusDisconnected(at=self._clock.now(), why="the broker is gone"))
        finally:
            broker.subscribe(None)
            self._is_connected = False

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        broker = self._broker
        if not self.is_connected:
            raise BusError("not connected")
        if broker.is_cut:
            await asyncio.sleep(timeout_seconds)
            raise BusError("no answer in time")
        if broker.is_refusing:
            raise BusError("refused: quota exceeded")
        broker.take(message)
        await asyncio.sleep(min(broker.acknowledge_seconds, timeout_seconds))
        if broker.acknowledge_seconds > timeout_seconds or not self.is_connected:
            raise BusError("no answer in time")


# -- devices ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Path:
    """One proxy as a way to the devices. `delay_seconds` is added to each call; a dead one never answers."""

    name: ProxyName
    is_dead: bool = False
    delay_seconds: float = 0.0
    highest: dict[PlugId, Token] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Sent:
    """A power command that may still act."""

    number: int
    plug: Plug
    power: Power
    token: Token
    proxy: ProxyName
    acts_at: float
    not_after: float
    task: asyncio.Task[None]


class Wires:
    """Everything between callers and plugs; outlives the daemon. `on_sent` and `on_act` are told of each command."""

    def __init__(self, plugs: Mapping[PlugId, Plug], paths: Mapping[ProxyName, Path], clock: Clock) -> None:
        self.plugs, self.paths, self._clock = plugs, paths, clock
        self.is_cut = False
        self.calls: list[tuple[float, ProxyName, PlugId, str]] = []
        self.sent: dict[int, Sent] = {}
        self.on_sent: Callable[[Sent], None] = lambda sent: None
        self.on_act: Callable[[Sent], None] = lambda sent: None
        self._numbers = itertools.count(1)

    async def read(self, path: Path, plug: Plug, timeout_seconds: float) -> Power:
        self.calls.append((self._clock.now(), path.name, plug.plug_id, "status"))
        seconds = path.delay_seconds + plug.read_seconds
        if path.is_dead or self.is_cut or seconds > timeout_seconds:
            await asyncio.sleep(timeout_seconds)
            raise DeviceTimedOut(f"{path.name}: no answer within {timeout_seconds:g} s")
        await asyncio.sleep(seconds)
        if not plug.is_answering:
            raise DeviceError(f"{plug.device}: no route to the device", may_be_done=False)
        if plug.is_of_another:
            raise WrongMachine(f"{plug.device}: belongs to another machine", may_be_done=False)
        return plug.read()

    async def set(self, path: Path, plug: Plug, power: Power, permit: Permit, *, is_local: bool) -> None:
        """`is_local`: the agent runs on the daemon's machine and dies with its caller."""
        self.calls.append((self._clock.now(), path.name, plug.plug_id, power.value))
        attempt = permit.attempt_timeout_seconds
        if path.is_dead or self.is_cut:
            await asyncio.sleep(attempt)
            raise DeviceTimedOut(f"{path.name}: no connection", may_be_done=False)
        if not is_local:
            highest = path.highest.get(plug.plug_id)
            if highest is not None and permit.token <= highest:
                raise CommandRefused(f"{path.name}: token {permit.token} is not above {highest}", may_be_done=False)
            path.highest[plug.plug_id] = permit.token
        if plug.fails or not plug.is_answering:
            await asyncio.sleep(path.delay_seconds + plug.read_seconds)
            raise DeviceError(f"{plug.device}: the device refuses", may_be_done=False)
        sent = self._send(path, plug, power, permit)
        try:
            async with asyncio.timeout(attempt):
                await asyncio.shield(sent.task)  # only a local agent is killed with its caller
                if plug.is_answer_lost:
                    await asyncio.sleep(attempt)
        except TimeoutError as exc:
            self._kill(sent, is_local=is_local)
            raise DeviceTimedOut(
                f"{path.name}: no answer within {attempt:g} s", is_end_known=is_local and not plug.is_answer_lost
            ) from exc
        except asyncio.CancelledError:
            self._kill(sent, is_local=is_local)
            raise

    def _kill(self, sent: Sent, *, is_local: bool) -> None:
        if is_local:
            sent.task.cancel()

    def _send(self, path: Path, plug: Plug, power: Power, permit: Permit) -> Sent:
        now, number = self._clock.now(), next(self._numbers)
        seconds = path.delay_seconds + plug.set_seconds
        sent = Sent(
            number=number,
            plug=plug,
            power=power,
            token=permit.token,
            proxy=path.name,
            acts_at=now + seconds,
            not_after=now + permit.not_after_seconds,
            task=asyncio.get_running_loop().create_task(
                self._act(number, seconds), name=f"{power.value} {plug.plug_id}"
            ),
        )
        self.sent[number] = sent
        sent.task.add_done_callback(lambda task: self.sent.pop(number, None))
        self.on_sent(sent)
        return sent

    async def _act(self, number: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        sent = self.sent[number]
        if self._clock.now() > sent.not_after:
            return  # the proxy killed it in time
        self.on_act(sent)
        sent.plug.switch(sent.power)

    def pending(self, plug: Plug) -> list[Sent]:
        """Commands for that plug that will still act."""
        return [sent for sent in self.sent.values() if sent.plug is plug and sent.acts_at <= sent.not_after]


class WorldCaller:
    """ports.devices.Caller for the daemon's own machine (`engine`) and for all proxies."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._pids = itertools.count(1000)

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        return await self._wires.read(self._wires.paths[proxy], self._wires.plugs[spec.plug_id], timeout_seconds)

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        is_local = proxy == ENGINE
        if is_local:
            await on_started(Started(pid=next(self._pids), pid_started="1"))
        plug = self._wires.plugs[spec.plug_id]
        await self._wires.set(self._wires.paths[proxy], plug, power, permit, is_local=is_local)

    async def close(self) -> None:
        pass


class WorldLiveness:
    """ports.liveness.Liveness: a machine that runs answers, all others are silent."""

    def __init__(self, machines: Sequence[Machine], wires: Wires) -> None:
        self._machines = {machine.address: machine for machine in machines}
        self._wires = wires

    async def ask(
        self, address: str, *, ports: Sequence[int], agents: Sequence[str], timeout_seconds: float
    ) -> str | None:
        machine = self._machines.get(address)
        if machine is None or not machine.is_answering or self._wires.is_cut:
            await asyncio.sleep(timeout_seconds)
            return None
        await asyncio.sleep(0.01)
        return f"tcp {ports[0]}" if ports else "proxy"
