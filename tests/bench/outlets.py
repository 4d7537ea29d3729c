"""Row: outlets over SNMP.

One status, native and by fence_apc_snmp, on the same snmpd; many units at once, some of them dead.
"""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.drivers.snmp.driver import SnmpOutlet
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError
from tests.bench import snmp_units
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.drivers.counterparts import udp_port
from tests.drivers.programs import spec_of
from tests.drivers.snmp.pdus import COMMUNITY, FAMILIES, snmpd
from tests.needs import find
from tests.net import until

AGENT: Final = "fence_apc_snmp"
FILES_MAX: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`dead` of the last of `units` never answer; they get `dead_seconds`."""

    calls: int = 20
    units: tuple[int, ...] = (1, 100, 1000)
    dead: int = 100
    dead_seconds: float = 3.0


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """First a call beside the agent's, then many units at once beside as many bare datagrams."""
    size = size or Size()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_MAX:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_MAX, hard), hard))
    await _one(folder, report, size)
    for count in size.units:
        await _many(report, count, 0, size)
    await _many(report, size.units[-1], size.dead, size)
    report.notes.append("a unit here is a port that answers at once; bare = the same datagrams without SNMP")


async def _one(folder: Path, report: Report, size: Size) -> None:
    driver = SnmpOutlet()
    apc = tuple(family for family in FAMILIES if family.model == "apc")
    with snmpd(folder, udp_port(), apc) as pdu:
        specs = {"v2c": pdu.spec(model="apc"), "v3 SHA-256, AES": pdu.user_spec("sha256-aes", model="apc")}

        async def is_there() -> bool:
            with suppress(DeviceError):
                return await driver.read(specs["v2c"], timeout_seconds=2) is Power.ON
            return False

        await until(is_there, what="snmpd answers")
        wall, processor = _agent(pdu.port, max(1, size.calls // 4))
        for name, spec in specs.items():
            await driver.read(spec, timeout_seconds=5)
            walls, began = [], time.process_time()
            for _ in range(size.calls):
                start = time.monotonic()
                await driver.read(spec, timeout_seconds=5)
                walls.append(time.monotonic() - start)
            ours = (time.process_time() - began) / size.calls
            report.line(f"one status, {name}, wall", median(walls), "s", floor=wall, floor_name=AGENT)
            report.line(f"one status, {name}, processor time", ours, "s", floor=processor, floor_name=AGENT)


def _agent(port: int, calls: int) -> tuple[float, float]:
    """Return wall and processor seconds of a status by the agent, with its children."""
    program = find(AGENT)
    assert program is not None
    given = f"ip=127.0.0.1\nipport={port}\ncommunity={COMMUNITY}\nplug=3\naction=status\n"
    before, walls = resource.getrusage(resource.RUSAGE_CHILDREN), []
    for _ in range(calls):
        start = time.monotonic()
        subprocess.run([program], input=given, text=True, capture_output=True, timeout=30, check=True)
        walls.append(time.monotonic() - start)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return median(walls), (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / calls


async def _many(report: Report, count: int, dead: int, size: Size) -> None:
    with _units(count - dead, dead) as ports:
        driver = SnmpOutlet()
        await driver.read(_spec(ports[0]), timeout_seconds=5)

        async def asked(port: int) -> Power | DeviceError:
            try:
                return await driver.read(_spec(port), timeout_seconds=size.dead_seconds if dead else 30)
            except DeviceError as exc:
                return exc

        bare_wall, bare = await _timed(lambda: _gathered(_bare, ports[: count - dead]))
        wall, processor = await _timed(lambda: _gathered(asked, ports))
    name = f"{count} units at once" + (f", {dead} dead" if dead else "")
    floor = max(bare_wall, size.dead_seconds) if dead else bare_wall
    report.line(f"{name}, wall", wall, "s", floor=floor, floor_name="the dead ones' deadline" if dead else "bare")
    report.line(
        f"{name}, processor time a unit", processor / count, "s", floor=bare / max(1, count - dead), floor_name="bare"
    )


async def _gathered(ask: Callable[[int], Awaitable[object]], ports: list[int]) -> None:
    await asyncio.gather(*(ask(port) for port in ports))


async def _timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    start, began = time.monotonic(), time.process_time()
    await work()
    return time.monotonic() - start, time.process_time() - began


class _Bare(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if not self._answered.done():
            self._answered.set_result(data)


REQUEST: Final = snmp_units.wrapped(
    0x30, b"\x02\x01\x01", snmp_units.wrapped(0x04, b"public"),
    snmp_units.wrapped(0xA0, b"\x02\x01\x07\x02\x01\x00\x02\x01\x00", snmp_units.wrapped(
        0x30, *[snmp_units.wrapped(0x30, b"\x06\x03\x2b\x06\x01", b"\x05\x00")] * 2)),
)  # fmt: skip


async def _bare(port: int) -> None:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Bare(answered), remote_addr=("127.0.0.1", port))
    transport.sendto(REQUEST)
    async with asyncio.timeout(30):
        await answered
    transport.close()


def _spec(port: int) -> DeviceSpec:
    return spec_of(
        "snmp_outlet",
        address=f"127.0.0.1:{port}",
        username="",
        password=Secret("public"),
        options={"model": "raritan", "plug": "3"},
    )


@contextmanager
def _units(live: int, dead: int) -> Iterator[list[int]]:
    program = [sys.executable, snmp_units.__file__, str(live), str(dead)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield [int(port) for port in running.stdout.readline().split()]
        finally:
            running.kill()


ROW = Row(
    name="outlets",
    title="outlets over SNMP: one status, and many units at once",
    measure=measure,
    needs=("snmpd", "snmpget", AGENT),
)
