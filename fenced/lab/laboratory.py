"""Builds the whole lab: rack, devices, hosts, and the real daemon and proxies that manage them.

The daemon and the proxies run as separate programs with configuration files. Everything that the lab started ends with
it, in the order hosts, daemon, proxies, devices.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import aiohttp

from fenced.lab.blackhole import black_hole
from fenced.lab.bmc import Bmc, BmcSettings
from fenced.lab.errors import LabError
from fenced.lab.faults import Faults
from fenced.lab.ground import Endpoint, Ground
from fenced.lab.hosts import HOSTS_MAX, HostFiles, Hosts, VirtualHost
from fenced.lab.namespaces import find_program
from fenced.lab.outlets import PowerUnit
from fenced.lab.programs import Program, fenced_argv, run_short
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.lab.settings import (
    DAEMON,
    HEARTBEAT_INTERVAL,
    PASSWORD,
    SITE,
    USERNAME,
    HostPlace,
    Layout,
    ProxyPlace,
    write,
)
from fenced.model.inventory import Secret

UNITS: Final = ("pdu-a", "pdu-b")
PROXIES_MAX: Final = 8
LOOPBACK: Final = "127.0.0.1"
BROKER_PORT: Final = 1883
API_PORT: Final = 8470
PROXY_PORT: Final = 8471
READY_TIMEOUT_SECONDS: Final = 40.0
READY_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a lab. `is_standby_separate`: BMCs keep their power when both outlets are off."""

    hosts: int = 3
    proxies: int = 2
    is_standby_separate: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.hosts <= HOSTS_MAX:
            raise LabError(f"{self.hosts} hosts: give 2 (fencing one needs another that is heard) to {HOSTS_MAX}")
        if not 1 <= self.proxies <= PROXIES_MAX:
            raise LabError(f"{self.proxies} proxies: give 1 to {PROXIES_MAX}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node-{number}" for number in range(1, self.hosts + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listeners:
    """Bound sockets of the servers that run in this process."""

    units: dict[str, socket.socket]
    bmcs: dict[str, socket.socket]
    black_hole: socket.socket


class Lab:
    """A running lab. `api` and `broker`: their addresses for other programs of this machine."""

    def __init__(
        self,
        *,
        rack: Rack,
        hosts: Hosts,
        faults: Faults,
        layout: Layout,
        daemon: Program,
        api: Endpoint,
        broker: Endpoint,
    ) -> None:
        self.rack = rack
        self.hosts = hosts
        self.faults = faults
        self.layout = layout
        self.daemon = daemon
        self.api = api
        self.broker = broker

    @property
    def url(self) -> str:
        """The value of FENCED_URL for fencectl."""
        return f"http://{self.api}"


@asynccontextmanager
async def building(plan: Plan, ground: Ground, directory: Path) -> AsyncIterator[Lab]:
    """Run a lab in `directory` while the block runs. Raises LabError, in an ExceptionGroup once programs run."""
    faults = Faults()
    broker = Endpoint(address=LOOPBACK, port=ground.port(LOOPBACK, BROKER_PORT))
    hosts = _hosts(plan, ground, broker.port, directory)
    rack = Rack([_wiring(plan, name, number) for number, name in enumerate(plan.names, 1)], changed=hosts.power_changed)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ground.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        listeners = _listen(plan, ground)
        layout = _layout(plan, ground, directory, rack, listeners, broker)
        write(layout)
        await _certify(layout)
        await _serve(stack, tasks, rack, faults, listeners)
        start = _Starter(stack=stack, tasks=tasks, ground=ground, directory=directory)
        if not layout.is_broker_built_in:
            await start.broker(layout)
        for proxy in layout.proxies:
            await start.program(proxy.name, "proxy", "-c", str(layout.proxy_configuration(proxy.name)))
        daemon = await start.program("daemon", "run", "-c", str(layout.configuration))
        await stack.enter_async_context(ground.offering(broker))
        api = await stack.enter_async_context(ground.exposing(layout.api, wanted=API_PORT))
        outer_broker = await stack.enter_async_context(ground.exposing(broker, wanted=BROKER_PORT))
        # A reporter that finds no broker backs off. As in a real installation, the broker is up before the hosts boot.
        await _until_ready(api)
        start.task(hosts.run_forever(), "hosts")
        for name in hosts.names:
            hosts[name].start()
        yield Lab(rack=rack, hosts=hosts, faults=faults, layout=layout, daemon=daemon, api=api, broker=outer_broker)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starter:
    """Starts tasks and programs, and ends them with the lab, the last one first."""

    stack: AsyncExitStack
    tasks: asyncio.TaskGroup
    ground: Ground
    directory: Path

    def task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task. At the end it is cancelled and awaited."""
        task = self.tasks.create_task(work, name=name)

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task])

        self.stack.push_async_callback(end)

    async def program(self, name: str, *arguments: str) -> Program:
        log = self.directory / f"{name}.log"
        return self._watched(name, await Program.start(self.ground, arguments[0], arguments, log=log))

    async def broker(self, layout: Layout) -> None:
        """Start Mosquitto. Raises LabError if it is not installed."""
        mosquitto = find_program("mosquitto")
        if mosquitto is None:
            raise LabError("the lab needs a broker: install mosquitto, or the Python package amqtt (fenced[embedded])")
        argv, log = [mosquitto, "-c", str(layout.broker_configuration)], self.directory / "broker.log"
        self._watched("broker", await Program.start_other(self.ground, "mosquitto", argv, log=log))

    def _watched(self, name: str, program: Program) -> Program:
        self.stack.push_async_callback(program.end)
        self.task(program.watch(), f"watch {name}")
        return program


async def _until_ready(api: Endpoint) -> None:
    """Wait for the daemon's /readyz. Raises LabError after READY_TIMEOUT_SECONDS."""
    url = f"http://{api}/readyz"
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as response:
                        if response.status == HTTPStatus.OK:
                            return
                await asyncio.sleep(READY_POLL_SECONDS)
    except TimeoutError as exc:
        raise LabError(f"the daemon was not ready within {READY_TIMEOUT_SECONDS:.0f} s; {url} says why") from exc


def _wiring(plan: Plan, name: str, number: int) -> Wiring:
    outlets = tuple(Outlet(unit=unit, number=number) for unit in UNITS)
    return Wiring(host=name, outlets=outlets, is_standby_separate=plan.is_standby_separate)


def _hosts(plan: Plan, ground: Ground, port: int, directory: Path) -> Hosts:
    consoles = directory / "hosts"
    consoles.mkdir(exist_ok=True)

    def reporter(host: str, boot: str) -> list[str]:
        bus = f"mqtt://{ground.broker_address}:{port}"
        where = ("--bus", bus, "--site", SITE, "--host", host)
        return fenced_argv("beat", *where, "--interval", HEARTBEAT_INTERVAL, "--boot", boot)

    return Hosts(
        [
            VirtualHost(
                ground,
                name=name,
                index=index,
                files=HostFiles(oracle=consoles / f"{name}.oracle", console=consoles / f"{name}.console"),
                reporter=reporter,
            )
            for index, name in enumerate(plan.names)
        ]
    )


def _listen(plan: Plan, ground: Ground) -> _Listeners:
    """Bind all servers. Each unit and each BMC has its own address, as in a real rack."""
    return _Listeners(
        units={unit: ground.listen(f"127.0.1.{number}") for number, unit in enumerate(UNITS, start=1)},
        bmcs={name: ground.listen(f"127.0.2.{number}") for number, name in enumerate(plan.names, start=1)},
        black_hole=ground.listen("127.0.3.254"),
    )


def _layout(plan: Plan, ground: Ground, directory: Path, rack: Rack, listeners: _Listeners, broker: Endpoint) -> Layout:
    hosts = [
        HostPlace(wiring=rack.wiring(name), address=ground.host_address(index), bmc=_endpoint(listeners.bmcs[name]))
        for index, name in enumerate(plan.names)
    ]
    proxies = [
        ProxyPlace(name=f"px-{number}", endpoint=Endpoint(address=address, port=ground.port(address, PROXY_PORT)))
        for number in range(1, plan.proxies + 1)
        for address in [f"127.0.3.{number}"]
    ]
    return Layout(
        directory=directory,
        broker=broker,
        api=Endpoint(address=LOOPBACK, port=ground.port(LOOPBACK, API_PORT)),
        units={unit: _endpoint(listener) for unit, listener in listeners.units.items()},
        hosts=hosts,
        proxies=proxies,
        black_hole=_endpoint(listeners.black_hole),
        probe_ports=ground.probe_ports,
        is_broker_built_in=find_spec("amqtt") is not None,
    )


def _endpoint(listener: socket.socket) -> Endpoint:
    address, port = listener.getsockname()
    return Endpoint(address=address, port=port)


async def _certify(layout: Layout) -> None:
    """Make an authority and certificates for the daemon and each proxy, with the commands that a user would run."""
    logs, certificates = layout.directory, str(layout.certificates)
    await run_short(["certs", "init", certificates], log=logs / "certs.log")
    async with asyncio.TaskGroup() as tasks:
        arguments = ["certs", "daemon", certificates, "--name", DAEMON]
        tasks.create_task(run_short(arguments, log=logs / f"certs-{DAEMON}.log"), name="certificate of the daemon")
        for proxy in layout.proxies:
            name, address = proxy.name, proxy.endpoint.address
            arguments = ["certs", "proxy", certificates, "--name", name, "--address", address]
            tasks.create_task(run_short(arguments, log=logs / f"certs-{name}.log"), name=f"certificate of {name}")


async def _serve(
    stack: AsyncExitStack, tasks: asyncio.TaskGroup, rack: Rack, faults: Faults, listeners: _Listeners
) -> None:
    password = Secret(PASSWORD)
    for unit, listener in listeners.units.items():
        served = PowerUnit(rack, unit=unit, username=USERNAME, password=password, faults=faults)
        await stack.enter_async_context(served.serving(listener))
    for host, listener in listeners.bmcs.items():
        settings = BmcSettings(username=USERNAME, password=password)
        bmc = Bmc(rack, host=host, settings=settings, faults=faults, tasks=tasks)
        await stack.enter_async_context(bmc.serving(listener))
    await stack.enter_async_context(black_hole(listeners.black_hole))
