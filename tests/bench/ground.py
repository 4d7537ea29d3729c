"""The test bed of the rows: a real daemon with its own Mosquitto, the API, and a cheap listener on the bus."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.bench.agent import Agent
from tests.bench.mqtt import Client, connected, publish_packet
from tests.bus.parts import Mosquitto, mosquitto
from tests.e2e.bed import Api
from tests.e2e.configuration import SITE, Configuration
from tests.e2e.programs import FENCED, Program
from tests.net import free_port, until

Json = dict[str, Any]
Device = dict[str, Any]

BROKER: Final = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000"
READY_SECONDS: Final = 60.0
KINDS: Final = ("host.fenced", "host.healthy", "host.suspected", "host.fence_failed")
NOT_LISTENED_TO: Final[Mapping[str, Json]] = {
    "detection": {"startup_quiet": "0s", "probe_ports": []},
    "gates": {"witness": {"hosts": 0, "wait": "0s"}, "storm": {"domains": []}},
}
"""For rows without heartbeats: nothing is decided automatically, the row makes requests."""


@dataclass(slots=True)
class Ear:
    """When each host's events came: kind -> host -> seconds on the wall clock. `bodies`: the event itself."""

    heard: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    bodies: dict[str, dict[str, Json]] = field(default_factory=lambda: defaultdict(dict))
    is_keeping: bool = False

    def take(self, topic: str, payload: bytes) -> None:
        at = time.time()
        for kind in KINDS:
            if f'io.fenced.{kind}"'.encode() in payload:
                host = topic.rpartition("/")[2]
                self.heard[kind].setdefault(host, at)
                if self.is_keeping:
                    self.bodies[kind].setdefault(host, json.loads(payload))

    async def until(self, kind: str, hosts: Sequence[str], *, seconds: float) -> dict[str, float]:
        """Wait until each of these was published; return when."""
        heard = self.heard[kind]
        await until(
            lambda: all(host in heard for host in hosts), seconds=seconds,
            what=lambda: f"{kind} of {len(hosts)} hosts; {sum(host in heard for host in hosts)} came",
        )  # fmt: skip
        return {host: heard[host] for host in hosts}


@dataclass(slots=True, kw_only=True)
class Ground:
    """A running daemon. `client` is the bench's own connection to its broker."""

    folder: Path
    agent: Agent
    configuration: Configuration
    broker: Mosquitto
    api: Api
    ear: Ear
    client: Client
    daemon: Program

    def beat(self, *hosts: str) -> None:
        """Send one heartbeat of each."""
        assert self.client.transport is not None
        packets = (publish_packet(f"fenced/v1/{SITE}/health/{host}", b"{}") for host in hosts)
        self.client.transport.write(b"".join(packets))

    async def off(self, *hosts: str, at_once: int = 64) -> dict[str, float]:
        """Request off for all of them; return when each was requested."""
        asked: dict[str, float] = {}
        slots = asyncio.Semaphore(at_once)

        async def one(host: str) -> None:
            async with slots:
                asked[host] = time.time()
                await self.api.act(host, "off", force=True)

        await asyncio.gather(*(one(host) for host in hosts))
        return asked


@contextlib.asynccontextmanager
async def ground(
    folder: Path,
    hosts: Mapping[str, Sequence[Device]],
    *,
    tables: Mapping[str, Json] | None = None,
    proxies: Sequence[Json] = (),
    preference: Sequence[str] = ("engine",),
    about: Mapping[str, Json] | None = None,
    is_started: bool = True,
) -> AsyncIterator[Ground]:
    """`tables`: settings over the defaults. `about`: further keys of a host. The state directory in `folder` may hold a
    store already."""
    folder.mkdir(parents=True, exist_ok=True)
    agent = Agent(folder)
    port = free_port()
    ear = Ear()
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(mosquitto(folder, more=BROKER))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        client = await stack.enter_async_context(connected(broker.port, "bench", ear.take))
        client.subscribe(f"fenced/v1/{SITE}/event/+")
        configuration = Configuration(
            directory=folder,
            tables=_tables(folder, agent, broker.port, port, tables or {}),
            hosts={name: list(devices) for name, devices in hosts.items()},
            proxies=list(proxies),
            preference=list(preference),
            about=dict(about or {}),
        )
        file = configuration.write()
        daemon = Program([*FENCED, "run", "-c", str(file)], log=folder / "daemon.log")
        made = Ground(
            folder=folder, agent=agent, configuration=configuration, broker=broker, api=Api(port, session), ear=ear,
            client=client, daemon=daemon,
        )  # fmt: skip
        try:
            if is_started:
                await start(made)
            yield made
        finally:
            await daemon.kill()


async def start(made: Ground, *, seconds_max: float = READY_SECONDS) -> float:
    """Start the daemon; return the seconds until it was ready."""
    began = time.monotonic()
    await made.daemon.start()

    async def is_ready() -> bool:
        assert made.daemon.is_running, f"the daemon ended:\n{made.daemon.log[-2000:]}"
        return await made.api.is_ready()

    await until(is_ready, seconds=seconds_max, what="the daemon is ready")
    return time.monotonic() - began


def _tables(folder: Path, agent: Agent, broker: int, api: int, changes: Mapping[str, Json]) -> dict[str, Json]:
    tables: dict[str, Json] = {
        "daemon": {
            "name": "fenced-a", "site": SITE, "state_dir": str(folder / "state"),
            "agent_path": [str(agent.directory)], "armed": True,
        },
        "bus": {"url": f"mqtt://127.0.0.1:{broker}"},
        "api": {"listen": f"127.0.0.1:{api}", "socket": "", "tcp_writes": True, "requests_per_second": 100_000},
    }  # fmt: skip
    for section, keys in changes.items():
        tables.setdefault(section, {}).update(keys)
    return tables
