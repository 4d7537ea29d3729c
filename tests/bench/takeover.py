"""Several controllers: how soon the successor switches something off, after a death and after a release.

A death: `kill -9` of the active one, with which a host falls silent; its plug has no command under way. A release: by
SIGTERM or `hand-over`; an operator's request is repeated at the successor until it accepts it. The power command counts
when the device has done it. The database notes when the lease was released and taken.

Beside a release: one interval in which a standby looks, and the same request at a controller that acts for long.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fenced.engine.standby import LOOK_SECONDS
from tests.bench.agent import Agent
from tests.bench.controllers import Pair, pair, plug_of
from tests.bench.databases import durable_server
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.e2e.programs import background

LIMIT_BEYOND_LEASE_SECONDS: Final = 5.0
LIMIT_AFTER_RELEASE_SECONDS: Final = 1.0
SECONDS_MAX: Final = 60.0
LIVING: Final = ("alive-0", "alive-1", "alive-2", "alive-3")
TABLES: Final[dict[str, dict[str, Any]]] = {
    "daemon": {"shutdown_grace": "10s"},
    "detection": {
        "heartbeat_interval": "500ms", "missed_heartbeats": 3, "grace": "2500ms", "startup_quiet": "300ms",
        "bus_settle": "300ms", "probe_ports": [],
    },
    "power": {"verify_interval": "100ms"},
    "gates": {
        "witness": {"hosts": 1, "wait": "200ms"}, "cooldown": "0s", "connectivity": {"share": 90, "at_least": 3},
        "storm": {"domains": []},
        "budget": {"hosts": 20, "percent": 100, "at_most": 20, "per": "10s", "unrecovered": 100},
    },
}  # fmt: skip
"""The grace is shorter than the lease, so the silent host waits for the successor and not the other way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    kills: int = 20
    releases: int = 5
    """So many by SIGTERM, and so many by `hand-over`."""
    acting: int = 5
    lease_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Seconds from a kill or a release to the taking of the lease, and to the successor's first OFF."""

    taken: float
    off: float


Give = Callable[[Pair], Awaitable[None]]


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """One pair for everything; the controllers take turns."""
    size = size or Size()
    agent = Agent(folder)
    victims = [f"victim-{number}" for number in range(size.kills)]
    asked = [f"asked-{number}" for number in range(2 * size.releases)]
    plain = [f"plain-{number}" for number in range(size.acting)]
    hosts = {host: [agent.device(plug_of(host))] for host in (*LIVING, *victims, *asked, *plain)}
    ttl = f"{1000 * size.lease_seconds:.0f}ms"
    with durable_server() as database:
        async with pair(folder, hosts, database, lease_ttl=ttl, tables=TABLES) as it:
            it.living.update(LIVING, victims)
            await it.ground.ear.until("host.healthy", [*LIVING, *victims], seconds=SECONDS_MAX)
            acting = [await _acting(it, host) for host in plain]
            killed = [await _killed(it, host, size) for host in victims]
            ways: dict[str, Give] = {"SIGTERM": _stop, "hand-over": _hand_over}
            released = {
                way: [await _released(it, host, give) for host in asked[number :: len(ways)]]
                for number, (way, give) in enumerate(ways.items())
            }
    _tell_killed(report, size, killed)
    _tell_released(report, LOOK_SECONDS + median(acting), released)


async def _acting(it: Pair, host: str) -> float:
    """Return the seconds from a request at the active controller to the OFF."""
    began = time.time()
    await it.active.request_off(host)
    return await it.off_at(host, seconds=SECONDS_MAX) - began


async def _killed(it: Pair, victim: str, size: Size) -> Gap:
    """Kill the active one at a random moment between two renewals of the lease; start it again afterwards."""
    await it.both_fit()
    await asyncio.sleep(random.random() * size.lease_seconds / 3)
    assert it.ground.agent.off_at(plug_of(victim)) is None, f"{victim} was switched off while it lived"
    it.active.program.signal(signal.SIGKILL)
    at = time.time()
    it.living.discard(victim)
    await it.active.program.wait()
    off = await it.off_at(victim, seconds=SECONDS_MAX)
    gap = Gap(taken=await it.moment("taken", since=at) - at, off=off - at)
    it.swap()
    return gap


async def _released(it: Pair, host: str, give: Give) -> Gap:
    """Let the active one give the lease away while somebody asks the other one for an off."""
    await it.both_fit()
    since = time.time()
    async with background(_off_and_wait(it, host), f"request for {host}"):
        await give(it)
        off = await it.off_at(host, seconds=SECONDS_MAX)
    released = await it.moment("released", since=since)
    gap = Gap(taken=await it.moment("taken", since=since) - released, off=off - released)
    it.swap()
    return gap


async def _off_and_wait(it: Pair, host: str) -> None:
    await it.standby.request_off(host)
    await asyncio.Event().wait()


async def _stop(it: Pair) -> None:
    it.active.program.signal(signal.SIGTERM)
    await it.active.program.wait()


async def _hand_over(it: Pair) -> None:
    answer = await it.active.api.call("POST", "controllers/hand-over", body={"reason": "a measurement"})
    assert answer.status == 202, answer.text


def _tell_killed(report: Report, size: Size, killed: list[Gap]) -> None:
    limit = size.lease_seconds + LIMIT_BEYOND_LEASE_SECONDS
    worst = max(gap.off for gap in killed)
    report.line(
        f"kill -9 to the successor's first OFF, worst of {len(killed)}", worst, "s", floor=size.lease_seconds,
        floor_name="lease_ttl", limit=limit, is_limit_absolute=True,
    )  # fmt: skip
    report.line(
        "the same, median", median(gap.off for gap in killed), "s", floor=size.lease_seconds, floor_name="lease_ttl"
    )
    report.line("to the taking of the lease, worst", max(gap.taken for gap in killed), "s")
    report.line("from the taking to the OFF, worst", max(gap.off - gap.taken for gap in killed), "s")
    report.notes.append("witness wait 200 ms; devices at the controllers: a proxy that never answers costs 2 s more")


def _tell_released(report: Report, floor: float, released: dict[str, list[Gap]]) -> None:
    """`floor`: seconds of one look and of the same request at a controller that acts."""
    for way, gaps in released.items():
        report.line(
            f"release by {way} to the OFF, worst of {len(gaps)}", max(gap.off for gap in gaps), "s", floor=floor,
            floor_name="a look + a request", limit=LIMIT_AFTER_RELEASE_SECONDS, is_limit_absolute=True,
        )  # fmt: skip
        report.line(
            "the same, median", median(gap.off for gap in gaps), "s", floor=floor, floor_name="a look + a request"
        )
        report.line("to the taking of the lease, worst", max(gap.taken for gap in gaps), "s")


ROW = Row(
    name="takeover", title="from the death or the release of a controller to its successor's first OFF",
    measure=measure, needs=("mosquitto", "postgres"), bound_seconds=900.0,
)  # fmt: skip
