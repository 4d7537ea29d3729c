"""Runs programs through the keeper, so that none of them outlives its call (S16).

Knows processes, deadlines and output, not agents or parameters' meaning. One rule: `run` returns, or raises, only when
everything that it started is dead, or says that this is not known.
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
from fenced.ports.devices import OnStarted

CALLS_MAX: Final = 1024
GUARD_SECONDS: Final = 0.5
"""The keeper's own deadline comes this much later than ours: it counts only when our loop stalls."""
KILL_SECONDS: Final = 5.0
"""A keeper answers a kill after `keeper.SWEEP_SECONDS` at the latest; one that does not is killed itself."""
LEFT_OVER_SECONDS: Final = 2.0


class Ending(Enum):
    """How a run came to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    NOT_STARTED = "not_started"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What is known of a run. `status`: exit status, or minus the signal. `is_clean`: nothing it started is left.

    `was_fed`: it had got its parameters, so it may have acted. `why`: of NOT_STARTED and LOST.
    """

    ending: Ending
    status: int = -1
    is_clean: bool = True
    was_fed: bool = False
    why: str = ""
    stdout: Output = field(default_factory=Output)
    stderr: Output = field(default_factory=Output)


class Keeper:
    """The helper process of one daemon: started at once, started again when it dies."""

    def __init__(self, *, marker: str, has_warm_agents: bool = False) -> None:
        """`marker` names this daemon's store in the environment of all it starts (no secret, no `/` at its end)."""
        if not marker or any(character in marker for character in "\0="):
            raise ValueError(f"not a marker: {marker!r}")
        self._marker = marker
        self._connection: Connection | None = None
        self._warm = WarmAgents(marker=marker) if has_warm_agents else None
        self._is_closed = False
        self._mourning = asyncio.Lock()
        self._mourned: Connection | None = None

    async def __aenter__(self) -> Self:
        """Starts the process. Raises OSError."""
        self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill all that runs and end the process; idempotent. Later runs are not started."""
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._warm is not None:
            await self._warm.close()

    @property
    def pid(self) -> int | None:
        """The process now, if there is one."""
        return None if self._connection is None else self._connection.pid

    @property
    def template_pids(self) -> tuple[int, ...]:
        """The interpreters that are ready to fork agents from."""
        return () if self._warm is None else self._warm.pids

    def _connect(self) -> Connection:
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = Connection(marker=f"{self._marker}/{secrets.token_hex(4)}")
            self._connection = connection
        return connection

    def _template_for(self, program: Program) -> Connection | None:
        """The keeper that has this agent's libraries loaded; None: it starts plainly. Raises OSError."""
        return None if self._warm is None else self._warm.template_for(program)

    async def run(self, program: Program, *, timeout_seconds: float, on_started: OnStarted | None = None) -> Finished:
        """Run a program to its end, at most `timeout_seconds`, then kill it and all that it started.

        With `on_started` the program waits for its parameters until that returned; if it raises, the program dies
        unfed and the exception goes on. Cancellation kills too, and is raised when all are dead.
        """
        if self._is_closed:
            return Finished(ending=Ending.NOT_STARTED, why="the daemon is stopping")
        if timeout_seconds <= 0:
            return Finished(ending=Ending.NOT_STARTED, why="no time is left for it")
        try:
            connection = self._template_for(program) or self._connect()
            if connection.calls_count >= CALLS_MAX:
                return Finished(ending=Ending.NOT_STARTED, why=f"{CALLS_MAX} programs run already")
            limit_seconds = timeout_seconds + GUARD_SECONDS
            call = connection.spawn(program, limit_seconds=limit_seconds, is_held=on_started is not None)
        except OSError as exc:
            return Finished(ending=Ending.NOT_STARTED, why=os.strerror(exc.errno or 0))
        return await self._attend(connection, call, program, timeout_seconds, on_started)

    async def _attend(
        self,
        connection: Connection,
        call: Call,
        program: Program,
        timeout_seconds: float,
        on_started: OnStarted | None,
    ) -> Finished:
        """From the spawn to the end, whatever it is."""
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
                        connection.feed(call, program.parameters)
                await call.ended.wait()
        except BaseException as exc:  # not only errors: a cancelled call must leave nothing running either
            await self._put_down(connection, call)
            if not (isinstance(exc, TimeoutError) and deadline.expired()):
                raise
            is_late = True
        if call.is_lost:
            await self._mourn(connection)
        return finished(call, is_late=is_late or call.is_over_deadline, was_fed=was_fed)

    async def _put_down(self, connection: Connection, call: Call) -> None:
        """Kill and wait until all are dead; a second cancellation does not shorten the wait, its bound does."""
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
        """The keeper died: what its agents had started has lost its parent; kill what still carries the marker."""
        async with self._mourning:
            if self._mourned is connection:
                return
            self._mourned = connection
            await kill_survivors(marker=connection.marker, within_seconds=LEFT_OVER_SECONDS)


def finished(call: Call, *, is_late: bool, was_fed: bool) -> Finished:
    """The run's end as far as it is known. What had exited by itself when our kill came, has exited."""
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
