"""Rows on Redfish: the native driver beside fence_redfish on one device, and one process beside a thousand BMCs."""

import asyncio
import contextlib
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from fenced.drivers.redfish.driver import Redfish
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, sushy
from tests.drivers.programs import spec_of, starts_into
from tests.needs import find
from tests.net import free_port, until_listening

CALL_SECONDS = 60.0
READS = ("/redfish/v1/", "/redfish/v1/Systems", "/redfish/v1/Systems/1")
"""What a first read of a BMC requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`dead_percent`: of the last and largest fleet, on top. `dead_seconds`: the deadline of a read."""

    calls: int = 10
    fleets: tuple[int, ...] = (1, 10, 100, 1000)
    repetitions: int = 3
    dead_percent: int = 10
    dead_seconds: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    wall: float
    processor: float


async def measure_agent(folder: Path, report: Report, size: Size | None = None) -> None:
    """A status each, in turns, through TLS and with a password; the device is another project's emulator."""
    size = size or Size()
    port = free_port()
    program = find("fence_redfish")
    assert program is not None
    ours: dict[str, list[Cost]] = {"basic": [], "first": []}
    agent: list[Cost] = []
    with sushy(folder, port) as certificate:
        await until_listening(port)
        spec = spec_of(
            "redfish", address=f"https://127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD),
            options={"ca_file": str(certificate)},
        )  # fmt: skip
        driver = Redfish()
        await driver.read(spec, timeout_seconds=CALL_SECONDS)
        for _ in range(size.calls):
            ours["basic"].append(await _cost(lambda: _is_read(driver, spec, CALL_SECONDS)))
            ours["first"].append(await _cost(lambda: _first_read(spec)))
            agent.append(await _cost(lambda: _agent_status(program, port), who=resource.RUSAGE_CHILDREN))
        await driver.close()
    for what, costs in (("one more", ours["basic"]), ("the first, with discovery", ours["first"])):
        report.line(
            f"a status, processor time, {what}", 1000 * median(cost.processor for cost in costs), "ms",
            floor=1000 * median(cost.processor for cost in agent), floor_name="fence_redfish", limit=0.33,
        )  # fmt: skip
        report.line(
            f"a status, wall, {what}", 1000 * median(cost.wall for cost in costs), "ms",
            floor=1000 * median(cost.wall for cost in agent), floor_name="fence_redfish",
        )  # fmt: skip
    report.notes.append(
        "the device is sushy-emulator, which closes each connection: every request is a new TLS handshake"
    )


async def measure_fleet(_folder: Path, report: Report, size: Size | None = None) -> None:
    """Each repetition with a new fleet and a new driver, the floor before it on the same fleet."""
    size = size or Size()
    for count in size.fleets:
        costs: dict[str, list[Cost]] = {"read": [], "off": [], "floor": []}
        for _ in range(size.repetitions):
            await _one_fleet(count, costs)
        wall, processor = _medians(costs["floor"])
        for what, floor_name in (("read", f"aiohttp, {len(READS)} GETs each"), ("off", "the same GETs")):
            measured = _medians(costs[what])
            report.line(f"{count} BMCs {what} at once, wall", measured[0], "s", floor=wall, floor_name=floor_name)
            report.line(
                f"{count} BMCs {what}, processor time of one", 1000 * measured[1] / count, "ms",
                floor=1000 * processor / count, floor_name=floor_name,
            )  # fmt: skip
    count = size.fleets[-1]
    healthy = [await _healthy_wall(count, 0, size) for _ in range(size.repetitions)]
    beside = [await _healthy_wall(count, count * size.dead_percent // 100, size) for _ in range(size.repetitions)]
    report.line(
        f"{count} BMCs read beside {count * size.dead_percent // 100} dead ones", median(beside), "s",
        floor=median(healthy), floor_name="the same without the dead", limit=1.25,
    )  # fmt: skip
    report.notes.append(
        f"a dead BMC takes connections and never answers; each read of it ended at {size.dead_seconds:g} s"
    )


async def _one_fleet(count: int, costs: dict[str, list[Cost]]) -> None:
    async with _fleet(count, 0) as (alive, _):
        specs = [_spec(port) for port in alive]
        costs["floor"].append(await _cost(lambda: _bare(alive)))
        driver = Redfish()
        try:
            costs["read"].append(await _cost(lambda: _all_read(driver, specs, Power.ON)))
            costs["off"].append(await _cost(lambda: _all_off(driver, specs)))
            await _all_read(driver, specs, Power.OFF)
        finally:
            await driver.close()


async def _healthy_wall(count: int, dead: int, size: Size) -> float:
    """Return the time until the last living one was read, with all reads started at once."""
    async with _fleet(count, dead) as (alive, hanging):
        driver = Redfish()
        try:
            async with asyncio.TaskGroup() as tasks:
                ended = [
                    tasks.create_task(_is_read(driver, _spec(port), size.dead_seconds), name=f"dead {port}")
                    for port in hanging
                ]
                began = time.monotonic()
                await _all_read(driver, [_spec(port) for port in alive], Power.ON)
                wall = time.monotonic() - began
            assert not any(task.result() for task in ended)
            return wall
        finally:
            await driver.close()


@contextlib.asynccontextmanager
async def _fleet(alive: int, dead: int) -> AsyncIterator[tuple[list[int], list[int]]]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("bmcs.py")), str(alive), str(dead),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    try:
        ports = json.loads(await program.stdout.readline())
        yield ports["alive"], ports["dead"]
    finally:
        program.kill()
        await program.wait()


def _spec(port: int) -> DeviceSpec:
    return spec_of("redfish", address=f"http://127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD))


async def _is_read(driver: Redfish, spec: DeviceSpec, timeout_seconds: float) -> bool:
    try:
        await driver.read(spec, timeout_seconds=timeout_seconds)
    except DeviceError:
        return False
    return True


async def _first_read(spec: DeviceSpec) -> None:
    driver = Redfish()
    assert await _is_read(driver, replace(spec), CALL_SECONDS)
    await driver.close()


async def _all_read(driver: Redfish, specs: Sequence[DeviceSpec], power: Power) -> None:
    powers = await asyncio.gather(*(driver.read(spec, timeout_seconds=CALL_SECONDS) for spec in specs))
    assert set(powers) == {power}


async def _all_off(driver: Redfish, specs: Sequence[DeviceSpec]) -> None:
    calls = (driver.set(spec, Power.OFF, timeout_seconds=CALL_SECONDS, on_started=starts_into([])) for spec in specs)
    await asyncio.gather(*calls)


async def _bare(ports: Sequence[int]) -> None:
    """The least that is possible with the same HTTP client."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(port: int) -> None:
            for path in READS:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    await response.json()

        await asyncio.gather(*(one(port) for port in ports))


async def _agent_status(program: str, port: int) -> None:
    """Run the program like an agent: parameters on standard input."""
    process = await asyncio.create_subprocess_exec(
        program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    parameters = (
        f"action=status\nip=127.0.0.1\nipport={port}\nusername={USERNAME}\npassword={PASSWORD}\n"
        f"ssl_insecure=1\nsystems_uri=/redfish/v1/Systems/{SYSTEM}\n"
    )
    out, _ = await process.communicate(parameters.encode())
    assert b"Status: ON" in out, out


async def _cost(call: Callable[[], Awaitable[object]], *, who: int = resource.RUSAGE_SELF) -> Cost:
    began, used = time.monotonic(), resource.getrusage(who)
    await call()
    now = resource.getrusage(who)
    processor = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Cost(wall=time.monotonic() - began, processor=processor)


def _medians(costs: Sequence[Cost]) -> tuple[float, float]:
    return median(cost.wall for cost in costs), median(cost.processor for cost in costs)


AGENT_ROW = Row(
    name="redfish", title="Redfish: our driver and fence_redfish", measure=measure_agent, needs=("fence_redfish",)
)
FLEET_ROW = Row(name="redfish_fleet", title="1 to 1,000 Redfish BMCs at once", measure=measure_fleet, needs=())
