"""Emulated power distribution units: one TCP server per unit, with a login and one line per request.

`login USER PASSWORD`, then `status N`, `on N`, `off N`, `list`, `quit`. The answer is one line (`list`: one per outlet,
then `.`): `ok`, `on`, `off`, or `error WHY`. It answers after it has acted, so `off` is acknowledged only once the host
that lost its last feed was killed.
"""

import asyncio
import hmac
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fenced.lab.faults import FaultKind, Faults
from fenced.lab.rack import Outlet, Rack
from fenced.model.inventory import Secret

LINE_MAX_BYTES: Final = 256
CONNECTIONS_MAX: Final = 64
IDLE_MAX_SECONDS: Final = 60.0


class PowerUnit:
    """One unit with the outlets that the rack has under its name."""

    def __init__(self, rack: Rack, *, unit: str, username: str, password: Secret, faults: Faults) -> None:
        self._rack = rack
        self._unit = unit
        self._username = username
        self._password = password
        self._faults = faults
        self._claimed: dict[Outlet, bool] = {}
        self._connections = 0

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on the listening socket while the block runs; then close every connection."""
        conversations: set[asyncio.Task[None]] = set()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                task.set_name(f"{self._unit} conversation")
                conversations.add(task)
                task.add_done_callback(conversations.discard)
            await self._converse(reader, writer)

        server = await asyncio.start_server(accepted, sock=listener, limit=LINE_MAX_BYTES, backlog=1024)
        try:
            yield
        finally:
            server.close()
            for task in tuple(conversations):
                task.cancel()
            await asyncio.gather(*conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > CONNECTIONS_MAX:
                writer.write(b"error too many connections\n")
            else:
                await self._answer_lines(reader, writer)
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            writer.transport.abort()
        except asyncio.CancelledError:
            # asyncio's server logs a cancelled handler as an unhandled error; here it is the normal end.
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()

    async def _answer_lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_logged_in = False
        while True:
            async with asyncio.timeout(IDLE_MAX_SECONDS):
                words = (await reader.readline()).decode(errors="replace").split()
            if not words or words[0] == "quit":
                return
            if words[0] == "login":
                is_logged_in = self._is_login(words[1:])
                answer = "ok" if is_logged_in else "error login refused"
            elif not is_logged_in:
                answer = "error log in first"
            else:
                answer = await self._do(words)
            writer.write(answer.encode() + b"\n")
            await writer.drain()

    def _is_login(self, words: list[str]) -> bool:
        given = " ".join(words).encode()
        return hmac.compare_digest(given, f"{self._username} {self._password.reveal()}".encode())

    async def _do(self, words: list[str]) -> str:
        if words == ["list"]:
            lines = [f"{outlet.number},{host}" for outlet, host in self._rack.outlets_of(self._unit)]
            return "\n".join([*lines, "."])
        outlet = self._outlet(words[1:])
        if outlet is None:
            return "error no such outlet"
        await self._faults.hold(str(outlet))
        match words[0]:
            case "status":
                return "on" if self._reads_on(outlet) else "off"
            case "on" | "off":
                self._switch(outlet, is_on=words[0] == "on")
                return "ok"
            case _:
                return "error no such command"

    def _outlet(self, words: list[str]) -> Outlet | None:
        if len(words) != 1 or not words[0].isdecimal():
            return None
        outlet = Outlet(unit=self._unit, number=int(words[0]))
        return outlet if self._rack.has_outlet(outlet) else None

    def _reads_on(self, outlet: Outlet) -> bool:
        if self._faults.kind(str(outlet)) is FaultKind.LYING and outlet in self._claimed:
            return self._claimed[outlet]
        return self._rack.is_outlet_on(outlet)

    def _switch(self, outlet: Outlet, *, is_on: bool) -> None:
        self._claimed[outlet] = is_on
        if self._faults.kind(str(outlet)) not in {FaultKind.STUCK, FaultKind.LYING}:
            self._rack.set_outlet(outlet, is_on=is_on, now=time.monotonic())
