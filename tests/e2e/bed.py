"""A daemon as a process with its own Mosquitto, hosts that send heartbeats, a subscriber, and the API."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.bus.parts import Mosquitto, mosquitto
from tests.e2e.configuration import Configuration, fast
from tests.e2e.events import Story, following
from tests.e2e.hosts import Beating, beating
from tests.e2e.programs import FENCECTL, FENCED, Program, background, run_short
from tests.net import PATIENCE_SECONDS, free_port, until
from tests.warm.programs import Ended

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of the API. `body` is empty if it is no JSON."""

    status: int
    body: Json
    text: str
    content_type: str


class Api:
    """The daemon's HTTP API, with its own session."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._session = session

    async def call(self, method: str, path: str, *, body: Json | None = None, seconds: float = 30.0) -> Answer:
        """`path` below /api/v1, or absolute. Raises aiohttp.ClientError if nothing answers."""
        url = self.url + (path if path.startswith("/") else f"/api/v1/{path}")
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._session.request(method, url, json=body, timeout=timeout) as response:
            text = await response.text()
            found = json.loads(text) if "json" in response.content_type else {}
            return Answer(status=response.status, body=found, text=text, content_type=response.content_type)

    async def get(self, path: str) -> Json:
        answer = await self.call("GET", path)
        assert answer.status == 200, answer.text
        return answer.body

    async def act(self, host: str, action: str, *, force: bool = False, reason: str = "a test") -> str:
        """Request an action; return the operation's id."""
        answer = await self.call(
            "POST", f"hosts/{host}/actions", body={"action": action, "force": force, "reason": reason}
        )
        assert answer.status == 202, answer.text
        return str(answer.body["operation"])

    async def operation(self, operation: str) -> Json:
        return await self.get(f"operations/{operation}")

    async def ended(self, operation: str, *, seconds: float = PATIENCE_SECONDS) -> Json:
        """Return the operation once it has ended."""

        async def is_over() -> bool:
            return bool((await self.operation(operation))["state"] != "running")

        await until(is_over, seconds=seconds, what=f"the end of {operation}")
        return await self.operation(operation)

    async def metrics(self) -> dict[str, float]:
        """Return every sample by its name and labels, as they are written."""
        answer = await self.call("GET", "/metrics")
        lines = [line.rpartition(" ") for line in answer.text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    async def is_ready(self) -> bool:
        try:
            answer = await self.call("GET", "/readyz", seconds=5.0)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return answer.status == 200


@dataclass(slots=True, kw_only=True)
class Bed:
    """`devices` is where the tests' agents keep the power of each plug."""

    folder: Path
    configuration: Configuration
    api: Api
    broker: Mosquitto | None
    environment: dict[str, str] = field(default_factory=dict)
    story: Story = field(default_factory=Story)
    hosts: Beating = field(default_factory=lambda: Beating(0))
    daemon: Program = field(init=False)

    def __post_init__(self) -> None:
        self.daemon = self.another("daemon.log")

    def another(self, log: str) -> Program:
        """Return another daemon with the same file."""
        command = [*FENCED, "run", "-c", str(self.configuration.file)]
        return Program(command, log=self.folder / log, environment=self.environment)

    def second(self, *, name: str = "fenced-b", is_advertised: bool = False) -> tuple[Program, str]:
        """Return another controller with this store, and a state directory and an API of its own; and its URL."""
        listen = f"127.0.0.1:{free_port()}"
        elsewhere = self.configuration.copy()
        elsewhere.directory = self.folder / "elsewhere"
        elsewhere.directory.mkdir()
        elsewhere.change("daemon", name=name, state_dir=str(elsewhere.directory / "state"))
        elsewhere.change("api", listen=listen, socket="")
        if is_advertised:
            elsewhere.change("api", advertise=f"http://{listen}")
        elsewhere.write()
        command = [*FENCED, "run", "-c", str(elsewhere.file)]
        return Program(command, log=self.folder / "second.log"), f"http://{listen}"

    @contextlib.asynccontextmanager
    async def host_follows_power(self, name: str, is_on: Callable[[], bool]) -> AsyncIterator[None]:
        """Let a host die and boot with its power, for the duration of the block."""
        async with background(self._follow_power(name, is_on), f"power of {name}"):
            yield

    @property
    def state_dir(self) -> Path:
        return Path(self.configuration.tables["daemon"]["state_dir"])

    @property
    def agents(self) -> Path:
        return self.folder / "agents"

    async def start(self, *, is_awaited: bool = True) -> None:
        """Write the configuration, start the daemon, wait until it is ready."""
        self.configuration.write()
        self.daemon = self.another("daemon.log")
        await self.daemon.start()
        if is_awaited:
            await self.ready()

    async def ready(self) -> None:
        async def answers() -> bool:
            assert self.daemon.is_running, f"the daemon ended:\n{self.daemon.log}"
            return await self.api.is_ready()

        await until(answers, what="the daemon is ready")

    async def healthy(self, names: Iterable[str] | None = None, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the daemon has heard all of them."""
        for name in names if names is not None else list(self.hosts.boots):
            await self.story.state(name, "healthy", seconds=seconds)

    async def reload(self, word: str) -> str:
        """Send SIGHUP; return the new log line with that word. The event about it has the same word."""

        def lines() -> list[str]:
            return [line for line in self.daemon.log.splitlines() if word in line and '"logger": "fenced"' in line]

        before = len(lines())
        self.daemon.signal(signal.SIGHUP)
        await until(lambda: len(lines()) > before, what=f"{word} in the log:\n{self.daemon.log[-3000:]}")
        return lines()[-1]

    async def ctl(self, *arguments: str, seconds: float = 60.0) -> Ended:
        """Run `fencectl` as a person types it, but without a terminal."""
        return await run_short([*FENCECTL, "--url", self.api.url, *arguments], seconds=seconds)

    async def _follow_power(self, name: str, is_on: Callable[[], bool]) -> None:
        while True:
            if is_on() and name not in self.hosts.boots:
                self.hosts.boot(name)
            elif not is_on() and name in self.hosts.boots:
                self.hosts.kill(name)
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def bed(
    folder: Path,
    hosts: Mapping[str, list[dict[str, Any]]],
    *,
    is_started: bool = True,
    alive: Iterable[str] | None = None,
    change: Callable[[Configuration], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
    interval: float = 0.25,
) -> AsyncIterator[Bed]:
    """Yield a daemon over these hosts with their devices. `alive`: which of them beat from the start (None: all)."""
    (folder / "agents").mkdir(exist_ok=True)
    port = free_port()
    # Messages for the subscriber outlive its connection, even more than a hundred of them at once.
    async with (
        mosquitto(folder, more="allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000") as broker,
        aiohttp.ClientSession() as session,
        following(broker.port) as story,
        beating(broker.port, list(hosts) if alive is None else alive, interval=interval) as beats,
    ):
        configuration = Configuration(
            directory=folder,
            tables=fast(
                folder / "state", bus=f"mqtt://127.0.0.1:{broker.port}", api_port=port, agents=folder / "agents"
            ),
            hosts={name: list(devices) for name, devices in hosts.items()},
        )
        change(configuration)
        made = Bed(
            folder=folder, configuration=configuration, api=Api(port, session), broker=broker, story=story,
            hosts=beats, environment=dict(environment or {}),
        )  # fmt: skip
        try:
            if is_started:
                await made.start()
                await made.healthy()
            yield made
        finally:
            await made.daemon.kill()
