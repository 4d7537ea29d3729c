"""Row 5: ten thousand hosts' heartbeats through a real Mosquitto, and how soon a silence is noticed.

The daemon and a bare aiomqtt subscriber receive the same messages at the same time. How the cost depends on the number
of hosts is measured at one rate of messages: a hundred hosts send a hundred times as often.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import Ground, ground
from tests.bench.mqtt import connected
from tests.bench.processes import cost
from tests.bench.report import Report, percentile
from tests.bench.row import Row
from tests.e2e.configuration import SITE
from tests.net import until
from tests.warm.programs import ROOT

HEALTH = 'fenced_bus_messages_total{kind="health",result="ok"}'
OWN_HEALTH = "fenced_own_health"
HEARD_SECONDS_MAX = 150.0
SETTLE_SECONDS = 1.0
CALM_SECONDS = 2.0
LOOK_SECONDS = 10.0
LOOKS_MAX = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: tuple[int, ...] = (100, 1000, 10_000)
    rate: float = 2000.0
    seconds: float = 8.0
    seconds_of_last: float = 20.0
    stopped: int = 200
    interval_seconds: float = 5.0
    grace_seconds: float = 15.0
    share_percent: float = 25.0
    flat: float = 1.30
    suspicion_ms: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Processor microseconds per message, and the share of a core in percent, of the daemon and the bare subscriber."""

    daemon_us: float
    bare_us: float
    daemon_percent: float
    bare_percent: float
    missed: int


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    size = size or Size()
    costs: dict[int, Heard] = {}
    for count in size.hosts:
        is_last = count == size.hosts[-1]
        costs[count] = await _heard(folder / str(count), report, count, size, is_last=is_last)
    first, last = costs[size.hosts[0]], costs[size.hosts[-1]]
    report.lines.insert(0, report.lines.pop())
    report.line(
        f"{size.hosts[-1]} hosts, {size.rate:.0f} beats/s: share of a core", last.daemon_percent, "%",
        floor=last.bare_percent, floor_name="bare aiomqtt", limit=size.share_percent, is_limit_absolute=True,
    )  # fmt: skip
    report.line(
        "beats missed, all runs", sum(heard.missed for heard in costs.values()), "", limit=0, is_limit_absolute=True
    )
    for count in size.hosts:
        report.line(
            f"processor time per beat, {count} hosts", costs[count].daemon_us, "us", floor=first.daemon_us,
            floor_name=f"at {size.hosts[0]} hosts", limit=size.flat if count != size.hosts[0] else None,
        )  # fmt: skip
    report.notes.append(f"at every number of hosts {size.rate:.0f} beats a second, so that the cost of one is compared")


async def _heard(folder: Path, report: Report, count: int, size: Size, *, is_last: bool) -> Heard:
    agent = Agent(folder)
    hosts = {f"node-{number}": [agent.device(f"plug-{number}")] for number in range(count)}
    tables: dict[str, dict[str, Any]] = {
        "daemon": {"armed": False},
        "detection": {
            "startup_quiet": "0s", "bus_settle": "1s", "probe_ports": [], "grace": f"{1000 * size.grace_seconds:.0f}ms",
            "missed_heartbeats": 2, "heartbeat_interval": f"{1000 * size.interval_seconds:.0f}ms",
        },
    }  # fmt: skip
    interval = count / size.rate
    async with (
        ground(folder, hosts, tables=tables) as it,
        _listener(it.broker.port) as bare,
        publishing(it.broker.port, count, interval, size.interval_seconds) as publisher,
    ):
        await _settled(it, count)
        heard = await _measured(it, bare, publisher, size.seconds_of_last if is_last else size.seconds)
        if is_last:
            await _silence(it, publisher, report, size)
        sent = (await ask(publisher, "pause"))["sent"]
        await _all_counted(it, sent)
        missed = sent - round((await it.api.metrics())[HEALTH])
    daemon_us, bare_us, daemon_percent, bare_percent = heard
    return Heard(
        daemon_us=daemon_us, bare_us=bare_us, daemon_percent=daemon_percent, bare_percent=bare_percent, missed=missed
    )


async def _settled(it: Ground, count: int) -> None:
    """Wait until every host was heard for the first time and all of that was published, the states too, which come
    after the events: from here on a beat is only a beat."""
    await it.ear.until("host.healthy", [f"node-{number}" for number in range(count)], seconds=HEARD_SECONDS_MAX)

    told: list[float] = []
    async with connected(it.broker.port, "states", lambda *_: told.append(time.monotonic())) as client:
        client.subscribe(f"fenced/v1/{SITE}/state/+")
        told.append(time.monotonic())
        await until(
            lambda: time.monotonic() - told[-1] > CALM_SECONDS, seconds=HEARD_SECONDS_MAX, what="all states are told"
        )
    await asyncio.sleep(SETTLE_SECONDS)


async def _measured(
    it: Ground, bare: asyncio.subprocess.Process, publisher: asyncio.subprocess.Process, seconds: float
) -> tuple[float, float, float, float]:
    before, before_bare, sent = cost(it.daemon.pid), cost(bare.pid), (await ask(publisher, "sent"))["sent"]
    began = time.monotonic()
    await asyncio.sleep(seconds)
    used, used_bare = (cost(it.daemon.pid) - before).own, (cost(bare.pid) - before_bare).own
    wall, messages = time.monotonic() - began, (await ask(publisher, "sent"))["sent"] - sent
    return 1e6 * used / messages, 1e6 * used_bare / messages, 100 * used / wall, 100 * used_bare / wall


async def _silence(it: Ground, publisher: asyncio.subprocess.Process, report: Report, size: Size) -> None:
    """Silence some hosts of a daemon that is well: the time from the end of the grace to the suspicion, as heard."""
    ill = await _well(it)
    it.ear.is_keeping = True
    last: dict[str, float] = (await ask(publisher, f"stop {size.stopped}"))["last"]
    heard = await it.ear.until("host.suspected", list(last), seconds=size.grace_seconds + 30)
    late = [1000 * (heard[host] - at - size.grace_seconds) for host, at in last.items()]
    machine = 1000 * (await ask(publisher, "sent"))["late_p99"]
    report.line(
        f"{len(late)} of {size.hosts[-1]} fall silent: told after the deadline, p99", percentile(late, 99), "ms",
        floor=machine, floor_name="p99 of a bare timer beside it", limit=size.suspicion_ms, is_limit_absolute=True,
    )  # fmt: skip
    report.notes.append(
        f"half of them were told within {percentile(late, 50):.0f} ms, the last after {max(late):.0f} ms"
    )
    stretched = [host for host in last if "longer because" in str(it.ear.bodies["host.suspected"][host])]
    report.notes.append(
        f"own_health was {ill:.2f} before they fell silent; the grace of {len(stretched)} of them was longer for that"
    )
    wrongly = set(it.ear.heard["host.suspected"]) - set(last)
    assert not wrongly, f"{len(wrongly)} hosts were suspected that never fell silent"
    assert min(late) > -1000 * size.grace_seconds / 100, f"suspected {-min(late):.0f} ms before the deadline"


async def _well(it: Ground) -> float:
    """Wait until the daemon is well, and return its `own_health`: an ill one has every host wait longer.

    It is never well in the first minute of its connection to the bus. Asked seldom: to answer keeps its loop busy.
    """
    ill = 1.0
    for _ in range(LOOKS_MAX):
        ill = (await it.api.metrics())[OWN_HEALTH]
        if ill == 0:
            break
        await asyncio.sleep(LOOK_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    return ill


async def _all_counted(it: Ground, sent: int) -> None:
    async def is_counted() -> bool:
        return (await it.api.metrics())[HEALTH] >= sent

    with contextlib.suppress(AssertionError):  # what is missing is a finding
        await until(is_counted, seconds=5)


async def ask(publisher: asyncio.subprocess.Process, line: str) -> dict[str, Any]:
    assert publisher.stdin is not None and publisher.stdout is not None
    publisher.stdin.write(line.encode() + b"\n")
    answer: dict[str, Any] = json.loads(await publisher.stdout.readline())
    return answer


@contextlib.asynccontextmanager
async def publishing(port: int, count: int, interval: float, said: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """`said`: the interval that each heartbeat names."""
    async with _beside("tests.bench.publisher", str(port), str(count), str(interval), str(said)) as process:
        yield process


@contextlib.asynccontextmanager
async def _listener(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield it once it is subscribed."""
    async with _beside("tests.bench.listener", str(port)) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process


@contextlib.asynccontextmanager
async def _beside(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, limit=2**22,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


ROW = Row(name="heartbeats", title="heartbeats through Mosquitto", measure=measure, bound_seconds=480.0)
