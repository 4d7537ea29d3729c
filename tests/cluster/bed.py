"""Two controllers, two proxies, a broker and two databases, each on a machine of its own, with hosts that live and die.

A test stops, kills, freezes and cuts them by name. Everything ends with the block, also after a failure.
"""

import asyncio
import atexit
import contextlib
import functools
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from fenced.lab.ground import dying_with_us
from fenced.proxy.certificates import make_authority, make_daemon, make_proxy
from tests.cluster.chassis import Chassis
from tests.cluster.database import Pair, pair
from tests.cluster.network import FIRST, NETWORK, Machine, Network
from tests.cluster.wire import Wire, listening
from tests.e2e.bed import Api
from tests.e2e.configuration import Configuration, fast, text
from tests.e2e.hosts import Beating, beating
from tests.e2e.programs import Program
from tests.needs import find
from tests.net import until

CONTROLLERS: Final = ("fenced-a", "fenced-b")
PROXIES: Final = ("px1", "px2")
BROKER, PRIMARY, STANDBY = "broker", "db1", "db2"
BUS_PORT: Final = 1883
API_PORT: Final = 8470
PROXY_PORT: Final = 8480
RUN: Final = "from fenced.cli.main import main; main()"
LEASE_SECONDS: Final = 4
ATTEMPT_SECONDS: Final = 10
READ_SECONDS: Final = 30
"""Calls wait at gates until all fences are at their points, on a busy machine as well. A takeover may wait for the
whole time of a command, so that is the shorter one."""
BEAT_SECONDS: Final = 1
"""Seldom enough that hosts of a busy machine are no suspects."""
END_SECONDS: Final = 20.0
RESTART_SECONDS: Final = 0.5


class Controller:
    """One `fenced run` on its machine."""

    def __init__(self, machine: Machine, configuration: Configuration, api: Api) -> None:
        self.name, self.machine, self.configuration, self.api = machine.name, machine, configuration, api
        file = configuration.write()
        self.program = machine.program(RUN, "run", "-c", str(file), log=configuration.directory / "log")

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        await self.program.start()
        await self.ready()

    async def ready(self) -> None:
        async def answers() -> bool:
            assert self.program.is_running, f"{self.name} ended:\n{self.program.log[-4000:]}"
            return await self.api.is_ready()

        await until(answers, what=f"{self.name} is ready")

    async def is_active(self) -> bool:
        """Return whether it holds the lease, as its metrics have it."""
        try:
            return (await self.api.metrics()).get('fenced_shard_leader{shard="main"}') == 1.0
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    @property
    def takings(self) -> int:
        """Return how often it took the lease as a standby."""
        return self.program.log.count('"lease_taken"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A host began to live or died. It dies by itself, or with the power of its last plug."""

    at: float
    host: str
    is_alive: bool


@dataclass(slots=True, kw_only=True)
class Bed:
    """Everything, by name. `plugs`: those of each host."""

    folder: Path
    network: Network
    databases: Pair
    chassis: Chassis
    wire: Wire
    beats: Beating
    plugs: Mapping[str, Sequence[str]]
    broker: subprocess.Popen[bytes]
    controllers: dict[str, Controller] = field(default_factory=dict)
    proxies: dict[str, Program] = field(default_factory=dict)
    lives: list[Life] = field(default_factory=list)

    def die(self, *hosts: str) -> None:
        """Let hosts crash: they fall silent, and their power stays on."""
        for host in hosts:
            self.lives.append(Life(at=time.time(), host=host, is_alive=False))
            self.beats.kill(host)

    def switched(self, plug: str) -> None:
        """Let the host of a plug die with its last power, and boot with its first. One that crashed stays dead."""
        host = next(host for host, plugs in self.plugs.items() if plug in plugs)
        others = any(self.chassis.power[each] == "on" for each in self.plugs[host] if each != plug)
        if others:
            return
        if self.chassis.power[plug] == "on":
            self.lives.append(Life(at=time.time(), host=host, is_alive=True))
            self.beats.boot(host)
        elif host in self.beats.boots:
            self.die(host)

    def freeze_broker(self, *, is_frozen: bool) -> None:
        self.broker.send_signal(signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def is_up(self, host: str) -> bool:
        """Return whether a host runs with all its power."""
        return host in self.beats.boots and all(self.chassis.power[plug] == "on" for plug in self.plugs[host])

    async def run_again(self) -> None:
        """Start the controllers that have ended."""
        for controller in self.controllers.values():
            if not controller.program.is_running:
                await controller.program.start()

    async def keep_running(self) -> None:
        """Do so again and again, until cancelled."""
        while True:
            await self.run_again()
            await asyncio.sleep(RESTART_SECONDS)

    async def active(self) -> Controller:
        """Return the controller that holds the lease, once there is one."""
        found: list[Controller] = []

        async def is_known() -> bool:
            found[:] = [each for each in self.controllers.values() if await each.is_active()]
            return bool(found)

        await until(is_known, what="a controller is active")
        return found[0]


@contextlib.asynccontextmanager
async def bed(folder: Path, hosts: Sequence[str], *, is_synchronous: bool = True) -> AsyncIterator[Bed]:
    """Yield everything running: `fenced-a` acts, `fenced-b` stands by, all hosts are healthy.

    `is_synchronous`: a commit waits for the standby database.
    """
    async with contextlib.AsyncExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        await network.lay(*CONTROLLERS, *PROXIES, BROKER, PRIMARY, STANDBY)
        databases = await stack.enter_async_context(
            pair(first=network[PRIMARY], second=network[STANDBY], is_synchronous=is_synchronous)
        )
        broker = stack.enter_context(_broker(network[BROKER], folder))
        bus_port = await stack.enter_async_context(network.exposing(BROKER, BUS_PORT))
        chassis = Chassis(_short_folder(stack))
        await stack.enter_async_context(chassis.serving())
        plugs = {host: (f"{host}-a", f"{host}-b") for host in hosts}
        made = Bed(
            folder=folder, network=network, databases=databases, chassis=chassis, plugs=plugs, broker=broker,
            wire=await stack.enter_async_context(listening(bus_port)),
            beats=await stack.enter_async_context(beating(bus_port, hosts, interval=BEAT_SECONDS)),
        )  # fmt: skip
        chassis.changed = made.switched
        for name in PROXIES:
            made.proxies[name] = await stack.enter_async_context(_proxy(made, name))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for name in CONTROLLERS:
            made.controllers[name] = await stack.enter_async_context(_controller(made, name, session))
        for host in hosts:
            await until(lambda host=host: made.wire.states().get(host) == "healthy", what=f"{host} is healthy")
        yield made


@contextlib.contextmanager
def _broker(machine: Machine, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    file = folder / "mosquitto.conf"
    file.write_text(
        f"user root\npersistence false\nset_tcp_nodelay true\nlog_dest none\nlistener {BUS_PORT}\n"
        "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
    )
    command = dying_with_us(machine.argv([find("mosquitto") or "mosquitto", "-c", str(file)]))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(END_SECONDS)


@contextlib.asynccontextmanager
async def _proxy(made: Bed, name: str) -> AsyncIterator[Program]:
    machine, certificates = made.network[name], _certificates()
    file = made.folder / f"{name}.toml"
    settings = {
        "name": name,
        "listen": f"{machine.address}:{PROXY_PORT}",
        "state_dir": str(made.folder / f"{name}.state"),
        "tls_cert_file": str(certificates / f"{name}.crt"),
        "tls_key_file": str(certificates / f"{name}.key"),
        "client_ca_file": str(certificates / "ca.crt"),
        "allow": [f"CN={controller}" for controller in CONTROLLERS],
        "agent_path": [str(made.chassis.agents(name))],
    }
    file.write_text(text({"proxy": settings}))
    program = machine.program(RUN, "proxy", "-c", str(file), log=made.folder / f"{name}.log")
    await program.start()
    try:
        await until(lambda: '"listening"' in program.log, what=f"{name} listens: {program.log}")
        yield program
    finally:
        await program.kill()


@contextlib.asynccontextmanager
async def _controller(made: Bed, name: str, session: aiohttp.ClientSession) -> AsyncIterator[Controller]:
    machine = made.network[name]
    async with made.network.exposing(name, API_PORT, loopback=True) as port:
        controller = Controller(machine, _configuration(made, name), Api(port, session))
        try:
            await controller.start()
            yield controller
        finally:
            await controller.program.kill()


def _configuration(made: Bed, name: str) -> Configuration:
    folder = made.folder / name
    folder.mkdir()
    bus = f"mqtt://{made.network[BROKER].address}:{BUS_PORT}"
    made_for = Configuration(
        directory=folder, tables=fast(folder / "state", bus=bus, api_port=API_PORT, agents=folder)
    )  # fmt: skip
    certificates = _certificates()
    made_for.change("daemon", name=name, agent_path=[str(folder)])
    made_for.change("store", url=made.databases.url, lease_ttl=f"{LEASE_SECONDS}s")
    made_for.change("detection", heartbeat_interval=f"{BEAT_SECONDS}s", missed_heartbeats=3, grace="3s")
    made_for.change("gates", witness={"hosts": 1, "wait": "2s"}, connectivity={"share": 100, "at_least": 100})
    made_for.change("power", attempt_timeout=f"{ATTEMPT_SECONDS}s", verify_timeout=f"{READ_SECONDS}s")
    made_for.change("power", operation_timeout="90s", restore_timeout="60s")
    made_for.change("race", probe_timeout=f"{READ_SECONDS}s")
    made_for.tables["proxy_client"] = {
        "ca_file": str(certificates / "ca.crt"),
        "cert_file": str(certificates / f"{name}.crt"),
        "key_file": str(certificates / f"{name}.key"),
    }
    made_for.preference = list(PROXIES)
    made_for.proxies = [
        {"name": proxy, "url": f"https://{made.network[proxy].address}:{PROXY_PORT}", "cluster": "c1"}
        for proxy in PROXIES
    ]
    made_for.hosts = {
        host: [made.chassis.device(plug, proxies=list(PROXIES)) for plug in plugs] for host, plugs in made.plugs.items()
    }
    return made_for


@functools.cache
def _certificates() -> Path:
    """Make those of every controller and proxy, once for each test process."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-cluster-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_authority(folder)
    for controller in CONTROLLERS:
        make_daemon(folder, name=controller)
    for index, proxy in enumerate(PROXIES, FIRST + len(CONTROLLERS)):
        make_proxy(folder, name=proxy, addresses=[f"{NETWORK}.{index}"])
    return folder


def _short_folder(stack: contextlib.AsyncExitStack) -> Path:
    """Return a folder whose path fits into the address of a unix socket."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fenced-")))
