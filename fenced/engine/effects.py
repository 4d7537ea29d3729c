"""Runs each command of the core as a task that ends with an event. Nothing here decides.

Races and reads of an operation are cancelled with it; a power command runs to its end (S6). An effect that hits a bug
is logged and, for a power command, reported as failed, so that nothing waits for ever.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, assert_never

import structlog

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.reach.domains import Place
from fenced.engine.looking import Looking
from fenced.engine.race import PathMemory, Race, RaceResult
from fenced.engine.settling import Reading
from fenced.engine.slots import Slots
from fenced.engine.workers import DeviceWorkers, Turn
from fenced.model.answers import Answer
from fenced.model.inventory import Device, Host
from fenced.model.names import DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Outcome, Power, What
from fenced.ports.clock import Clock
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut, Started, WrongMachine
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

WATCHED_AT_ONCE = 512
"""Devices that the watch reads at once, over all hosts; failing devices get at most half of these places. Units,
proxies and agent programs have bounds below this one."""
DROPPED: Final = "dropped"
"""The error kind of a command that was cancelled before it began: nothing was sent."""
GONE = "the device is no longer configured"


class EngineEffects:
    """Starts effects in a task group that the engine owns."""

    def __init__(
        self, *, fleet: Fleet, workers: DeviceWorkers, looking: Looking, clock: Clock, telemetry: Telemetry,
        memory: PathMemory, deliver: Callable[[e.Event], None],
        ask: Callable[[e.Event], Coroutine[Any, Any, Answer | None]],
        reply: Callable[[c.Reply], Coroutine[Any, Any, None]],
        order: Callable[[c.AskReporter], Coroutine[Any, Any, None]],
    ) -> None:  # fmt: skip
        self._fleet, self._workers, self._looking = fleet, workers, looking
        self._clock, self._telemetry, self._memory = clock, telemetry, memory
        self._deliver, self._ask, self._reply, self._order = deliver, ask, reply, order
        self._group: asyncio.TaskGroup | None = None
        # Dicts as ordered sets: tasks are cancelled in the order of their start, the same in each run.
        self._reads: dict[tuple[HostName, OperationId], dict[asyncio.Task[None], None]] = {}
        self._ons: dict[asyncio.Task[None], c.SwitchDevice] = {}
        self._begun: set[c.SwitchDevice] = set()
        self._commands: set[asyncio.Task[None]] = set()
        self._watching = Slots(WATCHED_AT_ONCE)

    def run_in(self, group: asyncio.TaskGroup) -> None:
        """Set the task group that owns every effect."""
        self._group = group

    @property
    def commands_in_flight(self) -> int:
        """Return how many power commands have not ended."""
        return len(self._commands)

    def start(self, command: c.Command) -> None:
        match command:
            case c.RunRace():
                self._start_read(command.host, command.operation, self._race(command), f"race {command.device}")
            case c.ReadDevice():
                self._start_read(command.host, command.operation, self._read(command), f"read {command.device}")
            case c.SwitchDevice():
                self._start_switch(command)
            case c.DropReads():
                for task in self._reads.pop((command.host, command.operation), {}):
                    task.cancel()
            case c.DropOns():
                self._drop_ons(command)
            case c.KillOns():
                for task in list(self._ons):
                    task.cancel()
            case c.AskLife():
                self.spawn(self._ask_life(command), f"ask {command.host}")
            case c.WatchHost():
                self.spawn(self._watch(command), f"watch {command.host}")
            case c.Reply():
                self.spawn(self._reply(command), f"reply {command.request_id}")
            case c.AskReporter():
                self.spawn(self._order(command), f"ask {command.host} to shut down")
            case c.Wake():
                raise AssertionError("the reactor handles Wake itself")
            case _:
                assert_never(command)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work as an effect: an exception in it is logged and ends only this effect."""
        assert self._group is not None
        task = self._group.create_task(self._guarded(work, name), name=name)
        # A task that is cancelled before its first step never awaits the work; close it, or Python warns.
        task.add_done_callback(lambda done: work.close())
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Log any exception of an effect, so that a bug ends one effect and not the daemon."""
        try:
            await work
        except Exception:  # border: logged; the operation's own deadline still ends it
            log.exception("effect_failed", effect=name)

    def _start_read(self, host: HostName, operation: OperationId, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self.spawn(work, f"{name} of {host}")
        self._reads.setdefault((host, operation), {})[task] = None
        task.add_done_callback(lambda done: self._forget_read(host, operation, done))

    def _forget_read(self, host: HostName, operation: OperationId, task: asyncio.Task[None]) -> None:
        tasks = self._reads.get((host, operation))
        if tasks is not None:
            tasks.pop(task, None)
            if not tasks:
                del self._reads[(host, operation)]

    def _device(self, host: HostName, device: DeviceName) -> tuple[Host, Device] | None:
        """Return the device, or None when a reload removed it."""
        configured = self._fleet.inventory.hosts.get(host)
        if configured is None:
            return None
        try:
            return configured, configured.device(device)
        except KeyError:
            return None

    # -- races and reads ----------------------------------------------------------------------------------------------

    async def _race(self, command: c.RunRace) -> None:
        found = self._device(command.host, command.device)
        if found is None:
            result = RaceResult(winner=None, power=Power.UNKNOWN, reserves=(), entries=())
        else:
            result = await self._run_race(
                found, command.tiers, command.priority, origin=command.operation_started,
                is_exhaustive=command.is_exhaustive, stops_at_mismatch=command.stops_at_mismatch,
            )  # fmt: skip
        self._deliver(
            e.RaceFinished(
                host=command.host,
                operation=command.operation,
                device=command.device,
                number=command.number,
                winner=result.winner,
                reserves=result.reserves,
                entries=result.entries,
                power=result.power,
                settling_until=result.settling_until,
            )
        )

    async def _run_race(
        self, found: tuple[Host, Device], tiers: tuple[tuple[ProxyName, ...], ...], priority: int, *, origin: float,
        is_exhaustive: bool = False, stops_at_mismatch: bool = False,
    ) -> RaceResult:  # fmt: skip
        host, device = found
        settings = self._fleet.inventory.daemon.race

        async def read(proxy: ProxyName, turn: Turn) -> Reading:
            return await self._workers.read(
                proxy,
                device.spec,
                timeout_seconds=settings.probe_timeout_seconds,
                priority=priority,
                settle_seconds=device.settle_after_return_seconds,
                turn=turn,
            )

        race = Race(
            tiers=tiers, plug=device.spec.plug_id, read=read, memory=self._memory, settings=settings,
            clock=self._clock, origin=origin, is_exhaustive=is_exhaustive, stops_at_mismatch=stops_at_mismatch,
            load=self._workers.load, place=Place(host=host, inventory=self._fleet.inventory),
        )  # fmt: skip
        started = self._clock.now()
        result = await race.run()
        self._telemetry.race_ended(self._clock.now() - started)
        for entry in result.entries:
            self._telemetry.probe_ended(str(entry.proxy), entry.verdict.value)
        return result

    async def _read(self, command: c.ReadDevice) -> None:
        found = self._device(command.host, command.device)
        if found is None:
            self._finish(command, Outcome.UNKNOWN, GONE)
            return
        device = found[1]
        try:
            reading = await self._workers.read(
                command.proxy,
                device.spec,
                timeout_seconds=command.timeout_seconds,
                priority=command.priority,
                settle_seconds=device.settle_after_return_seconds,
            )
        except DeviceError as exc:
            self._finish(command, Outcome.UNKNOWN, str(exc) or exc.kind, kind=exc.kind)
        except TimeoutError:
            self._finish(command, Outcome.UNKNOWN, f"no answer within {command.timeout_seconds} s")
        else:
            self._finish(command, Outcome(reading.power.value), None, reading=reading)

    def _finish(
        self, command: c.ReadDevice | c.SwitchDevice, outcome: Outcome, error: str | None, *, is_end_known: bool = True,
        kind: str = "", reading: Reading | None = None,
    ) -> None:  # fmt: skip
        self._deliver(
            e.StepFinished(
                host=command.host,
                operation=command.operation,
                device=command.device,
                number=command.number,
                outcome=outcome,
                error=error,
                is_end_known=is_end_known,
                kind=kind,
                note=reading.note if reading is not None else None,
                settling_until=reading.settling_until if reading is not None else 0.0,
            )
        )

    # -- power commands -----------------------------------------------------------------------------------------------

    def _start_switch(self, command: c.SwitchDevice) -> None:
        task = self.spawn(self._switch(command), f"{command.what.value} {command.device} of {command.host}")
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        if command.what is not What.OFF:
            self._ons[task] = command
            task.add_done_callback(self._forget_on)

    def _forget_on(self, task: asyncio.Task[None]) -> None:
        command = self._ons.pop(task, None)
        if command is not None:
            self._begun.discard(command)

    def _drop_ons(self, dropped: c.DropOns) -> None:
        """Cancel ONs that wait for their turn: they must not act after an operator forbade them (S19)."""
        for task, command in list(self._ons.items()):
            is_its = (command.host, command.operation) == (dropped.host, dropped.operation)
            if is_its and command not in self._begun:
                del self._ons[task]
                task.cancel()
                self._finish(command, Outcome.REFUSED, f"not begun: {dropped.why}", kind=DROPPED)

    async def _switch(self, command: c.SwitchDevice) -> None:
        found = self._device(command.host, command.device)
        if found is None:
            self._finish(command, Outcome.REFUSED, GONE)
            return
        _, device = found
        power = Power.ON if command.what is What.ON else Power.OFF

        async def on_started(started: Started) -> None:
            await self._ask(
                e.AgentSeen(
                    host=command.host,
                    operation=command.operation,
                    device=command.device,
                    number=command.number,
                    pid=started.pid,
                    pid_started=started.pid_started,
                )
            )

        try:
            await self._workers.switch(
                command.proxy,
                device.spec,
                power,
                token=command.token,
                timeout_seconds=command.timeout_seconds,
                not_after=command.not_after,
                settle_seconds=device.settle_seconds,
                priority=command.priority,
                on_started=on_started,
                begins=lambda: self._begun.add(command),
                is_soft=command.what is What.SOFT_OFF,
            )
        except DeviceError as exc:
            outcome, is_end_known = _outcome(exc)
            if command.what is What.SOFT_OFF and not exc.may_be_done:
                outcome = Outcome.REFUSED  # so that the host is not waited for
            self._finish(command, outcome, str(exc), is_end_known=is_end_known, kind=exc.kind)
        except asyncio.CancelledError:
            if command.what is What.OFF or command in self._ons.values():  # else `_drop_ons` reported it already
                self._finish(
                    command, Outcome.CANCELLED, "killed: the lease is lost or the daemon stops", is_end_known=False
                )
            raise
        except Exception:
            self._finish(command, Outcome.FAILED, "an internal error of the daemon; see its log", is_end_known=False)
            raise
        else:
            self._finish(command, Outcome.DONE, None)

    # -- probes and the watch -----------------------------------------------------------------------------------------

    async def _ask_life(self, command: c.AskLife) -> None:
        asked = await self._looking.ask(command)
        if asked is not None:
            self._deliver(asked)

    async def _watch(self, command: c.WatchHost) -> None:
        """Read all devices in parallel: one that does not answer costs its own timeout and delays no other host."""
        started = self._clock.now()
        async with asyncio.TaskGroup() as group:
            tasks = [
                (
                    name,
                    group.create_task(self._watch_device(command, name, tiers), name=f"watch {name} of {command.host}"),
                )
                for name, tiers in command.paths
            ]
        read = [(name, result) for name, task in tasks if (result := task.result()) is not None]
        self._deliver(
            e.WatchEnded(
                host=command.host,
                started=started,
                powers=tuple((name, result.power) for name, result in read),
                races=tuple((name, result.entries) for name, result in read),
            )
        )

    async def _watch_device(
        self, command: c.WatchHost, name: DeviceName, tiers: tuple[tuple[ProxyName, ...], ...]
    ) -> RaceResult | None:
        """Return the race's result, or None when there is no candidate or a reload removed the device."""
        found = self._device(command.host, name)
        if found is None or not tiers:
            return None
        plug = found[1].spec.plug_id
        is_failing = all(self._memory.get(proxy, plug).failures for tier in tiers for proxy in tier)
        async with self._watching.hold(c.PRIORITY_STATUS, failing=str(plug) if is_failing else None):
            if (found := self._device(command.host, name)) is None:
                return None
            return await self._run_race(
                found, tiers, c.PRIORITY_STATUS, origin=self._clock.now(), is_exhaustive=name in command.exhaustive
            )


def _outcome(error: DeviceError) -> tuple[Outcome, bool]:
    """Return how a failed command ended, and whether nothing of it can act any more."""
    match error:
        case CommandRefused():
            return Outcome.REFUSED, not error.may_be_done or error.is_end_known
        case WrongMachine():
            return Outcome.REFUSED, True  # compared before anything was sent
        case DeviceTimedOut():
            return Outcome.TIMED_OUT, error.is_end_known
        case _:
            return Outcome.FAILED, error.is_end_known
