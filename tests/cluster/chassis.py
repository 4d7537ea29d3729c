"""The power devices: a fence agent that reports each call to this process, which keeps the power and every moment.

The agent connects to a unix socket, which no network namespace hides, and its connection ends when its process does: so
each call has an exact end, also one that was killed. A test closes gates to keep calls waiting.
"""

import asyncio
import contextlib
import os
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from tests.e2e.agents import METADATA
from tests.net import until

AGENT: Final = "fence_made"
CODE: Final = '''#!{python} -IS
import sys
given = dict(line.rstrip("\\n").split("=", 1) for line in sys.stdin if "=" in line)
if given["action"] == "metadata":
    print("""{metadata}""")
    sys.exit(0)
import _socket
link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
link.connect({socket!r})
link.send(f"{{given['action']}} {{given['plug']}} {proxy}\\n".encode())
answer = link.recv(16).decode()
if answer in ("on", "off"):
    print(f"Status: {{answer.upper()}}")
    sys.exit(0 if answer == "on" else 2)
sys.exit(0 if answer == "done" else 1)
'''
PEER: Final = struct.Struct("3i")


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a fence agent. `started`: when its process started. `answer`: "" if it got none."""

    action: str
    plug: str
    proxy: str
    started: float
    acted: float | None = None
    ended: float | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A plug was switched."""

    at: float
    plug: str
    power: str


class Gate(Enum):
    """Where a call waits."""

    RACE = "race"
    """A read before the plug's OFF."""
    OFF = "off"
    VERIFY = "verify"
    """A read after the plug's OFF."""
    ON = "on"


@dataclass(slots=True)
class Chassis:
    """All plugs. `changed` is called with the name of each plug whose power changed."""

    folder: Path
    changed: Callable[[str], None] = lambda _: None
    power: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    _closed: dict[tuple[Gate, str], asyncio.Event] = field(default_factory=dict)
    _kept: list[asyncio.Event] = field(default_factory=list)
    _waiting: Counter[tuple[Gate, str]] = field(default_factory=Counter)

    @property
    def socket(self) -> Path:
        return self.folder / "chassis"

    def agents(self, proxy: str) -> Path:
        """Write the agent of a proxy, and return its folder."""
        folder = self.folder / f"agents-{proxy}"
        folder.mkdir()
        path = folder / AGENT
        metadata = METADATA.replace("NAME", AGENT)
        path.write_text(
            CODE.format(python=sys.executable, metadata=metadata, socket=str(self.socket), proxy=proxy)
        )  # fmt: skip
        path.chmod(0o755)
        return folder

    def device(self, plug: str, **more: Any) -> dict[str, Any]:
        """Return a device entry for a new plug, which is on."""
        self.power[plug] = "on"
        return {"name": plug, "driver": AGENT, "cuts_power": True, "options": {"plug": plug}, **more}

    def close(self, gate: Gate, *plugs: str) -> None:
        """Let calls at this gate wait from now on."""
        for plug in plugs:
            self._closed.setdefault((gate, plug), asyncio.Event())

    def pass_new(self) -> None:
        """Let later calls pass every gate. Those that wait go on waiting until `release`."""
        self._kept += self._closed.values()
        self._closed.clear()

    def release(self, *plugs: str) -> None:
        """Let every call pass, or only those of these plugs."""
        if not plugs:
            self.pass_new()
            for opened in self._kept:
                opened.set()
        for key in [key for key in self._closed if key[1] in plugs]:
            self._closed.pop(key).set()

    async def waits(self, gate: Gate, *plugs: str) -> None:
        """Return once a call waits at the gate of each of these plugs."""
        await until(lambda: self.is_waiting(gate, *plugs), what=f"calls wait at {gate} of {plugs}")

    def is_waiting(self, gate: Gate, *plugs: str) -> bool:
        return {(gate, plug) for plug in plugs} <= self._waiting.keys()

    @property
    def is_busy(self) -> bool:
        return any(call.ended is None for call in self.calls)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        served: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer), name="a call of an agent")
            served.add(task)
            task.add_done_callback(served.discard)

        server = await asyncio.start_unix_server(accept, path=self.socket)
        try:
            yield
        finally:
            self.release()
            server.close()
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            line = await reader.readline()
            if not line.endswith(b"\n"):
                return  # killed before it did anything
            action, plug, proxy = line.decode().split()
            call = Call(action=action, plug=plug, proxy=proxy, started=_start_of_peer(writer))
            self.calls.append(call)
            over = asyncio.ensure_future(reader.read())
            try:
                await self._pass_gate((self._gate(action, plug), plug), over)
                if not over.done():
                    call.answer = self._act(call)
                    writer.write(call.answer.encode())
                await over
            finally:
                over.cancel()
                call.ended = time.time()

    async def _pass_gate(self, key: tuple[Gate, str], over: "asyncio.Future[bytes]") -> None:
        """Wait while the gate is closed. `over`: done when the agent ended."""
        if (closed := self._closed.get(key)) is None:
            return
        self._waiting[key] += 1
        opened = asyncio.ensure_future(closed.wait())
        either: set[asyncio.Future[Any]] = {over, opened}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
            self._waiting[key] -= 1
            self._waiting += Counter()  # forgets what is 0

    def _gate(self, action: str, plug: str) -> Gate:
        if action != "status":
            return Gate(action)
        is_cut = any(call.plug == plug and call.action == "off" for call in self.calls)
        return Gate.VERIFY if is_cut else Gate.RACE

    def _act(self, call: Call) -> str:
        if call.action == "status":
            return self.power[call.plug]
        call.acted = time.time()
        if self.power[call.plug] != call.action:
            self.power[call.plug] = call.action
            self.changes.append(Change(at=call.acted, plug=call.plug, power=call.action))
            self.changed(call.plug)
        return "done"


def _start_of_peer(writer: asyncio.StreamWriter) -> float:
    """Return when the process at the other end started, by the wall clock; up to 10 ms early."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    pid, _, _ = PEER.unpack(peer)
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
