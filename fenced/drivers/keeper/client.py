"""Runs programs through the keeper process, so that none of them outlives its call (S16).

It handles processes, deadlines and output; it does not interpret parameters. `run` returns or raises only when
everything that it started is dead. If it can't know that, the result says so (`is_clean` is false).
"""

import asyncio
import os
import secrets
import signal
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Final, Self

from fenced.drivers.keeper.connection import Call, Connection, Program
from fenced.drivers.keeper.warm_agents import WarmAgents
from fenced.drivers.output import Output
from fenced.drivers.processes import kill_survivors
from fenced.drivers.programs.keeper import now as boottime
from fenced.ports.devices import OnStarted

CALLS_MAX: Final = 1024
GUARD_SECONDS: Final = 0.5
"""The keeper's own deadline comes this much later than the daemon's; it matters only if the daemon's loop stalls."""
KILL_SECONDS: Final = 5.0
"""A keeper answers a kill within `keeper.SWEEP_SECONDS`. One that has not answered by now is killed itself."""
LEFT_OVER_SECONDS: Final = 2.0


class Ending(Enum):
    """How a run ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    NOT_STARTED = "not_started"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The result of a run. `status`: exit status, or minus the signal. `is_clean`: nothing that it started is left.

    `was_fed`: it received its parameters, so it may have acted. `why`: the reason for NOT_STARTED and LOST.
    """

    ending: Ending
    status: int = -1
    is_clean: bool = True
    was_fed: bool = False
    why: str = ""
    stdout: Output = field(default_factory=Output)
    stderr: Output = field(default_factory=Output)


class Keeper:
    """The helper process of one daemon. It starts at once, and again after its death with the next call."""

    def __init__(self, *, marker: str, has_warm_agents: bool = False) -> None:
        """`marker` names the state directory in the environment of every program (not secret, no `/` at its end)."""
        if not marker or any(character in marker for character in "\0="):
            raise ValueError(f"not a marker: {marker!r}")
        self._marker = marker
        self._connection: Connection | None = None
        self._warm = WarmAgents(marker=marker) if has_warm_agents else None
        self._is_closed = False
        self._mourning = asyncio.Lock()
        self._mourned: Connection | None = None

    async def __aenter__(self) -> Self:
        """Start the process. Raises OSError."""
        self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill all running programs and end the process; idempotent. Later runs do not start."""
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._warm is not None:
            await self._warm.close()

    @property
    def pid(self) -> int | None:
        """The present keeper process, if any."""
        return None if self._connection is None else self._connection.pid

    @property
    def template_pids(self) -> tuple[int, ...]:
        """The warm templates that are ready."""
        return () if self._warm is None else self._warm.pids

    def _connect(self) -> Connection:
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = Connection(marker=f"{self._marker}/{secrets.token_hex(4)}")
            self._connection = connection
        return connection

    def _template_for(self, program: Program) -> Connection | None:
        """Return the warm template for this agent; None: start it plainly. Raises OSError."""
        return None if self._warm is None else self._warm.template_for(program)

    async def run(self, program: Program, *, timeout_seconds: float, on_started: OnStarted | None = None) -> Finished:
        """Run a program to its end, or kill it and all that it started after `timeout_seconds`.

        With `on_started` the program gets its parameters only after that returns, and never after the deadline on a
        clock that goes on in suspend (S21). If it raises, the program dies
        without parameters and the exception propagates. Cancellation also kills; it is raised when all are dead.
        """
        if self._is_closed:
            return Finished(ending=Ending.NOT_STARTED, why="the daemon is stopping")
        if timeout_seconds <= 0:
            return Finished(ending=Ending.NOT_STARTED, why="its deadline has passed")
        try:
            connection = self._template_for(program) or self._connect()
            if connection.calls_count >= CALLS_MAX:
                return Finished(ending=Ending.NOT_STARTED, why=f"{CALLS_MAX} programs are already running")
            until = boottime() + timeout_seconds
            limit_seconds = timeout_seconds + GUARD_SECONDS
            call = connection.spawn(program, limit_seconds=limit_seconds, is_held=on_started is not None)
        except OSError as exc:
            return Finished(ending=Ending.NOT_STARTED, why=os.strerror(exc.errno or 0))
        return await self._attend(connection, call, program, timeout_seconds, on_started, until=until)

    async def _attend(
        self,
        connection: Connection,
        call: Call,
        program: Program,
        timeout_seconds: float,
        on_started: OnStarted | None,
        *,
        until: float,
    ) -> Finished:
        """Accompany a spawned program to its end. `until`: the deadline on a clock that goes on in suspend."""
        was_fed = on_started is None
        is_late = False
        deadline = asyncio.timeout(timeout_seconds)
        try:
            async with deadline:
                if on_started is not None:
                    await call.started.wait()
                    if call.process is not None:
                        await on_started(call.process)
                        was_fed = True
                        connection.feed(call, program.parameters, until=until)
                await call.ended.wait()
        except BaseException as exc:  # a cancelled call must not leave anything running either
            await self._put_down(connection, call)
            if not (isinstance(exc, TimeoutError) and deadline.expired()):
                raise
            is_late = True
        if call.is_lost:
            await self._mourn(connection)
        return finished(call, is_late=is_late or call.is_over_deadline, was_fed=was_fed)

    async def _put_down(self, connection: Connection, call: Call) -> None:
        """Kill and wait until all are dead or the time is over; a second cancellation does not shorten the wait."""
        connection.kill(call)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + KILL_SECONDS
        is_cancelled = False
        while not call.ended.is_set() and loop.time() < give_up_at:
            try:
                async with asyncio.timeout_at(give_up_at):
                    await call.ended.wait()
            except TimeoutError:
                await connection.abandon()
            except asyncio.CancelledError:
                is_cancelled = True
        if is_cancelled:
            raise asyncio.CancelledError

    async def _mourn(self, connection: Connection) -> None:
        """After the keeper's death, kill the processes that its agents started, found by the marker."""
        async with self._mourning:
            if self._mourned is connection:
                return
            self._mourned = connection
            await kill_survivors(markers=(connection.marker,), within_seconds=LEFT_OVER_SECONDS)


def finished(call: Call, *, is_late: bool, was_fed: bool) -> Finished:
    """Return the result of a run. A program that exited by itself before the kill counts as EXITED."""
    stdout, stderr = call.stdout.collector.output(), call.stderr.collector.output()
    if call.error_number:
        return Finished(ending=Ending.NOT_STARTED, why=os.strerror(call.error_number))
    if call.is_lost:
        return Finished(
            ending=Ending.LOST, is_clean=False, was_fed=was_fed, why="its keeper died", stdout=stdout, stderr=stderr
        )
    is_killed = is_late and call.status == -signal.SIGKILL
    return Finished(
        ending=Ending.TIMED_OUT if is_killed else Ending.EXITED,
        status=-1 if call.status is None else call.status,
        is_clean=call.is_clean,
        was_fed=was_fed,
        stdout=stdout,
        stderr=stderr,
    )
