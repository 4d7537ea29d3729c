"""Builds the whole lab: rack, devices, hosts, and the real daemon and proxies that manage them.

The daemon and the proxies run as separate programs with configuration files; with two controllers, two daemons share a
PostgreSQL of the lab. Everything that the lab started ends with it, in the order hosts, daemons, proxies, database,
devices.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import aiohttp

from fenced.lab.blackhole import black_hole
from fenced.lab.bmc import Bmc, BmcSettings
from fenced.lab.controllers import Controller, Controllers
from fenced.lab.database import Database, check_installed, making
from fenced.lab.errors import LabError
from fenced.lab.faults import Faults
from fenced.lab.ground import Endpoint, Ground
from fenced.lab.hosts import HOSTS_MAX, HostFiles, Hosts, VirtualHost
from fenced.lab.machine import WORKLOADS
from fenced.lab.namespaces import find_program
from fenced.lab.outlets import PowerUnit
from fenced.lab.programs import Program, fenced_argv, run_short
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.lab.settings import (
    CONTROLLERS,
    DAEMON,
    HEARTBEAT_INTERVAL,
    PASSWORD,
    SITE,
    USERNAME,
    ControllerPlace,
    HostPlace,
    Layout,
    ProxyPlace,
    write,
)
from fenced.model.inventory import Secret

UNITS: Final = ("pdu-a", "pdu-b")
PROXIES_MAX: Final = 8
SAVING_HOSTS_MIN: Final = 4
LOOPBACK: Final = "127.0.0.1"
BROKER_PORT: Final = 1883
API_PORTS: Final = (8470, 8472)
PROXY_PORT: Final = 8471
DATABASE_PORT: Final = 5432
READY_TIMEOUT_SECONDS: Final = 40.0
READY_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a lab. `is_standby_separate`: BMCs keep their power when both outlets are off. `is_saving`: hosts
    say how much work they have, and idle ones are put to sleep."""

    hosts: int = 3
    proxies: int = 2
    controllers: int = 1
    is_standby_separate: bool = False
    is_saving: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.hosts <= HOSTS_MAX:
            raise LabError(f"{self.hosts} hosts: give 2 (fencing one needs another that is heard) to {HOSTS_MAX}")
        if not 1 <= self.proxies <= PROXIES_MAX:
            raise LabError(f"{self.proxies} proxies: give 1 to {PROXIES_MAX}")
        if not 1 <= self.controllers <= len(CONTROLLERS):
            raise LabError(f"{self.controllers} controllers: give 1 or {len(CONTROLLERS)}")
        if self.is_saving and self.hosts < SAVING_HOSTS_MIN:
            raise LabError(f"{self.hosts} hosts: for one to sleep while others work, give {SAVING_HOSTS_MIN} or more")
        if self.has_database:
            check_installed()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node-{number}" for number in range(1, self.hosts + 1))

    @property
    def has_database(self) -> bool:
        """Whether the store is in PostgreSQL: controllers can't share a file."""
        return self.controllers > 1

    @property
    def controller_names(self) -> tuple[str, ...]:
        return CONTROLLERS[: self.controllers] if self.has_database else (DAEMON,)

    @property
    def controller_logs(self) -> tuple[str, ...]:
        """The file names of the controllers' logs."""
        return tuple(f"{name}.log" for name in self.controller_names) if self.has_database else ("daemon.log",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listeners:
    """Bound sockets of the servers that run in this process."""

    units: dict[str, socket.socket]
    bmcs: dict[str, socket.socket]
    black_hole: socket.socket


class Lab:
    """A running lab. `broker`: its address for other programs of this machine."""

    def __init__(
        self,
        *,
        rack: Rack,
        hosts: Hosts,
        faults: Faults,
        layout: Layout,
        controllers: Controllers,
        broker: Endpoint,
    ) -> None:
        self.rack = rack
        self.hosts = hosts
        self.faults = faults
        self.layout = layout
        self.controllers = controllers
        self.broker = broker

    @property
    def url(self) -> str:
        """The API of the first controller."""
        return next(iter(self.controllers)).url


@asynccontextmanager
async def building(plan: Plan, ground: Ground, directory: Path) -> AsyncIterator[Lab]:
    """Run a lab in `directory` while the block runs. Raises LabError, in an ExceptionGroup once programs run."""
    faults = Faults()
    broker = Endpoint(address=LOOPBACK, port=ground.port(LOOPBACK, BROKER_PORT))
    hosts = _hosts(plan, ground, broker.port, directory)
    wirings = [_wiring(plan, name, number) for number, name in enumerate(plan.names, 1)]
    rack = Rack(wirings, changed=hosts.power_changed, asked=hosts.ask_down)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ground.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        listeners = _listen(plan, ground)
        start = _Starter(stack=stack, tasks=tasks, ground=ground, directory=directory)
        places = [await start.place(name, port) for name, port in zip(plan.controller_names, API_PORTS, strict=False)]
        database = await start.database() if plan.has_database else None
        layout = _layout(plan, ground, directory, rack, listeners, broker, places, database)
        write(layout)
        await _certify(layout)
        await _serve(stack, tasks, rack, faults, listeners)
        if not layout.is_broker_built_in:
            await start.broker(layout)
        for proxy in layout.proxies:
            await start.program(proxy.name, "proxy", "-c", str(layout.proxy_configuration(proxy.name)))
        # The first controller is ready before the next one starts, so it is the one that acts.
        controllers = [await start.controller(layout, place) for place in layout.controllers]
        await stack.enter_async_context(ground.offering(broker))
        outer_broker = await stack.enter_async_context(ground.exposing(broker, wanted=BROKER_PORT))
        # A reporter that finds no broker backs off. As in a real installation, the broker is up before the hosts boot.
        start.task(hosts.run_forever(lambda name: rack.set_chassis(name, is_on=False)), "hosts")
        for name in hosts.names:
            hosts[name].start()
        running = Controllers(controllers)
        yield Lab(rack=rack, hosts=hosts, faults=faults, layout=layout, controllers=running, broker=outer_broker)


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

    async def place(self, name: str, port: int) -> ControllerPlace:
        """Return where a controller will be, and make its API reachable for programs of this machine."""
        inner = Endpoint(address=LOOPBACK, port=self.ground.port(LOOPBACK, port))
        api = await self.stack.enter_async_context(self.ground.exposing(inner, wanted=port))
        return ControllerPlace(name=name, stem="fenced" if name == DAEMON else name, inner=inner, api=api)

    async def controller(self, layout: Layout, place: ControllerPlace) -> Controller:
        """Start a controller and wait until it is ready. Raises LabError."""
        log = self.directory / ("daemon.log" if layout.database is None else f"{place.stem}.log")
        argv = ["run", "-c", str(layout.configuration(place))]

        async def run() -> Program:
            return await Program.start(self.ground, "run", argv, log=log)

        controller = Controller(place, api=place.api, start=run)
        self.stack.push_async_callback(controller.end)
        self.task(controller.run_forever(), place.name)
        await _until_ready(place.api)
        return controller

    async def database(self) -> Database:
        """Make a database and start its server. Raises LabError."""
        endpoint = Endpoint(address=LOOPBACK, port=self.ground.port(LOOPBACK, DATABASE_PORT))
        database = await self.stack.enter_async_context(making(self.directory, endpoint))
        log = self.directory / "database.log"
        self._watched("database", await Program.start_other(self.ground, "postgres", database.argv(), log=log))
        await database.until_ready(self.ground, log=log)
        return database

    async def broker(self, layout: Layout) -> None:
        """Start Mosquitto. Raises LabError if it is not installed."""
        mosquitto = find_program("mosquitto")
        if mosquitto is None:
            raise LabError(
                "the lab needs a broker: install mosquitto, or the Python package amqtt (fenced[embedded])"
                if layout.database is None
                else "several controllers need a broker of its own: install the Debian package mosquitto"
            )
        argv, log = [mosquitto, "-c", str(layout.broker_configuration)], self.directory / "broker.log"
        self._watched("broker", await Program.start_other(self.ground, "mosquitto", argv, log=log))

    def _watched(self, name: str, program: Program) -> Program:
        self.stack.push_async_callback(program.end)
        self.task(program.watch(), f"watch {name}")
        return program


async def _until_ready(api: Endpoint) -> None:
    """Wait for a controller's /readyz. Raises LabError after READY_TIMEOUT_SECONDS."""
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
        work = ("--workloads-file", str(consoles / host / WORKLOADS)) if plan.is_saving else ()
        return fenced_argv("beat", *where, "--interval", HEARTBEAT_INTERVAL, "--boot", boot, *work)

    return Hosts(
        [
            VirtualHost(
                ground,
                name=name,
                index=index,
                files=HostFiles(
                    oracle=consoles / f"{name}.oracle",
                    console=consoles / f"{name}.console",
                    folder=consoles / name,
                ),
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


def _layout(
    plan: Plan, ground: Ground, directory: Path, rack: Rack, listeners: _Listeners, broker: Endpoint,
    controllers: Sequence[ControllerPlace], database: Database | None,
) -> Layout:  # fmt: skip
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
        controllers=controllers,
        units={unit: _endpoint(listener) for unit, listener in listeners.units.items()},
        hosts=hosts,
        proxies=proxies,
        black_hole=_endpoint(listeners.black_hole),
        probe_ports=ground.probe_ports,
        is_broker_built_in=database is None and find_spec("amqtt") is not None,
        database=database,
        is_saving=plan.is_saving,
    )


def _endpoint(listener: socket.socket) -> Endpoint:
    address, port = listener.getsockname()
    return Endpoint(address=address, port=port)


async def _certify(layout: Layout) -> None:
    """Make an authority and certificates for controllers and proxies, with the commands that a user would run."""
    logs, certificates = layout.directory, str(layout.certificates)
    await run_short(["certs", "init", certificates], log=logs / "certs.log")
    async with asyncio.TaskGroup() as tasks:
        for controller in layout.controllers:
            name = controller.name
            arguments = ["certs", "daemon", certificates, "--name", name]
            tasks.create_task(run_short(arguments, log=logs / f"certs-{name}.log"), name=f"certificate of {name}")
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
