"""Parts for tests of the bus: a private Mosquitto, a client that runs beside the test, counters."""

import asyncio
import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aiomqtt
from structlog.testing import capture_logs

from fenced.bus.client import BusClient
from fenced.bus.settings import BusSettings
from fenced.ports.bus import BusConnected, BusDisconnected, BusEvent, Message, MessageKind, MessageResult
from tests.needs import find
from tests.net import free_port, until, until_listening

EventT = TypeVar("EventT", bound=BusEvent)


class Mosquitto:
    """One broker process on a loopback port. `more`: lines of its configuration, after the listener."""

    def __init__(self, folder: Path, *, more: str = "allow_anonymous true", port: int | None = None) -> None:
        self.port = port or free_port()
        self._file = folder / f"mosquitto-{self.port}.conf"
        self._file.write_text(
            "user root\npersistence false\nset_tcp_nodelay true\nlog_dest none\n"
            f"listener {self.port} 127.0.0.1\n{more}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        program = find("mosquitto")
        assert program is not None
        self._process = subprocess.Popen([program, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        await until_listening(self.port)

    def stop(self, *, is_killed: bool = False) -> None:
        if self._process is not None:
            self._process.kill() if is_killed else self._process.terminate()
            self._process.wait(10)
            self._process = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process


@contextlib.asynccontextmanager
async def mosquitto(folder: Path, *, more: str = "allow_anonymous true") -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(folder, more=more)
    await broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class CountingTelemetry:
    """Implements the whole Telemetry port, and keeps what the bus counts."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[MessageKind, MessageResult]] = Counter()

    def bus_message(self, kind: MessageKind, result: MessageResult) -> None:
        self.messages[kind, result] += 1

    def drill_ended(self, result: str) -> None: ...

    def suspicion_ended(self, outcome: str) -> None: ...

    def detected(self, seconds: float) -> None: ...

    def gate_held(self, gate: str) -> None: ...

    def lease_taken(self, shard: str, reason: str) -> None: ...

    def operation_ended(self, *, action: str, cause: str, result: str, seconds: float, operation: str = "") -> None: ...

    def stage(self, stage: str, seconds: float, *, operation: str = "") -> None: ...

    def race_ended(self, seconds: float) -> None: ...

    def probe_ended(self, proxy: str, result: str) -> None: ...

    def looked(self, observer: str, answer: str) -> None:
        """Not counted."""

    def device_call(self, *, driver: str, command: str, result: str, seconds: float, operation: str = "") -> None: ...

    def journal_append(self, seconds: float) -> None: ...

    def loop_lag(self, seconds: float) -> None: ...


class WallClock:
    """Steady enough for the length of a test."""

    def now(self) -> float:
        return time.time()


def settings(port: int, **changes: object) -> BusSettings:
    """Return settings for a broker on loopback, with fast reconnects."""
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "site": "lab",
        "client_id": "fenced-lab-a",
        "reconnect_min_seconds": 0.05,
        "reconnect_max_seconds": 0.2,
        **changes,
    }
    return BusSettings(**values)  # type: ignore[arg-type]  # a test names the fields that it changes


class Running:
    """A running BusClient with all events that it delivered."""

    def __init__(self, client: BusClient, telemetry: CountingTelemetry) -> None:
        self.client = client
        self.telemetry = telemetry
        self.events: list[BusEvent] = []

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    async def connected(self, times: int = 1) -> None:
        await until(lambda: len(self.of(BusConnected)) >= times, what=f"connection number {times}")

    async def lost(self) -> BusDisconnected:
        await until(lambda: bool(self.of(BusDisconnected)), what="the loss of the connection")
        return self.of(BusDisconnected)[-1]

    async def counted(self, kind: MessageKind, result: MessageResult, number: int = 1) -> None:
        await until(lambda: self.telemetry.messages[kind, result] >= number, what=f"{kind} {result} {number}")


@contextlib.asynccontextmanager
async def running(
    settings: BusSettings,
    *,
    hosts: tuple[str, ...] = ("node-1", "node-2"),
    will: Callable[[], Message | None] = lambda: None,
    is_awaited: bool = True,
    on_stranger: Callable[[str], None] = lambda name: None,
    on_controller: Callable[[str], None] = lambda name: None,
) -> AsyncIterator[Running]:
    """Run a client during the block, by default once it is connected."""
    telemetry = CountingTelemetry()
    client = BusClient(
        settings, is_host=hosts.__contains__, telemetry=telemetry, clock=WallClock(), will=will,
        on_stranger=on_stranger, on_controller=on_controller,
    )  # fmt: skip
    made = Running(client, telemetry)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.run(made.events.append), name="bus")
        try:
            if is_awaited:
                await made.connected()
            yield made
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def other(port: int, *, is_version_5: bool = True, **more: object) -> AsyncIterator[aiomqtt.Client]:
    """Connect another client to the bus, without fenced's code."""
    version = aiomqtt.ProtocolVersion.V5 if is_version_5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", port, protocol=version, **more) as client:  # type: ignore[arg-type]  # passed on
        yield client


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Collect the complaints of the event loop: unretrieved futures, destroyed tasks, callbacks that raised."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
    try:
        yield complaints
    finally:
        loop.set_exception_handler(None)


async def refusal(port: int, changes: dict[str, object]) -> str:
    """Return why the connection fails."""
    with capture_logs() as logs:
        async with running(settings(port, **changes), is_awaited=False) as bus:
            await until(lambda: bool(logs), what=f"a refusal with {changes}")
        assert not bus.events
    return str(logs[0]["reason"])
