"""Row 8: a host really falls silent; how long until it is proven off and announced, with the default settings.

Once as a fleet without addresses, at which nobody can look, and once with proxies in other failure domains that look.
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import Ground, ground
from tests.bench.machines import machines
from tests.bench.observers import Observers, certificates, observers
from tests.bench.report import Report, median, percentile
from tests.bench.row import Row

LIMIT_SECONDS = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    daemons: int = 6
    hosts: int = 4
    interval_seconds: float = 5.0
    settle_seconds: float = 62.0
    """In the first minute of a connection to the bus every grace is five seconds longer (own_health)."""
    detection: dict[str, Any] = field(default_factory=dict)
    """Besides startup_quiet; the row itself changes nothing else."""
    gates: dict[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    """A proxy looks from each of these failure domains; the hosts are in another one."""
    grace_seconds: float = 20.0
    floor_seconds: float = 20.0 + 5.0 + 1.0
    """The observers look while the daemon waits for witnesses, for the same five seconds."""
    seconds_max: float = 90.0

    @property
    def names(self) -> list[str]:
        return [f"node-{number}" for number in range(self.hosts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fleet:
    ground: Ground
    observers: Observers | None


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Daemons side by side, one victim each: a second fence of one fleet would wait for the budget."""
    size = size or Size()
    async with contextlib.AsyncExitStack() as stack:
        fleets = await _fleets(stack, folder, size)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [
            group.create_task(_fenced_after(it, size), name=f"victim {number}") for number, it in enumerate(fleets)
        ]
        took = [await task for task in tasks]
    suspected, fenced = ([value[index] for value in took] for index in range(2))
    report.line(
        f"from its last beat to suspicion, p50 of {len(took)}", median(suspected), "s", floor=size.grace_seconds,
        floor_name="grace",
    )  # fmt: skip
    wait = "the longer of witness wait and probe_timeout" if size.domains else "witness wait"
    for percent, limit in ((50, None), (95, LIMIT_SECONDS)):
        value = median(fenced) if percent == 50 else percentile(fenced, percent)
        report.line(
            f"from its last beat to fenced, p{percent} of {len(took)}", value, "s", floor=size.floor_seconds,
            floor_name=f"grace + {wait} + verify_interval", limit=limit, is_limit_absolute=True,
        )  # fmt: skip
    report.notes.append(
        "default settings but startup_quiet; the host died somewhere between its last beat and the next"
    )
    if size.domains:
        report.notes.append(f"the daemon and {len(size.domains)} proxies of each fleet looked and saw silence")


async def measure_observed(folder: Path, report: Report, size: Size | None = None) -> None:
    await measure(folder, report, size or Size(domains=("rack-p", "rack-q")))


async def _fleets(stack: contextlib.AsyncExitStack, folder: Path, size: Size) -> list[_Fleet]:
    """Start all of them before the first victim dies: what starts would take its processor time."""
    fleets = []
    if not size.domains:
        for number in range(size.daemons):
            it = await stack.enter_async_context(_ground(folder / str(number), size, None))
            fleets.append(_Fleet(ground=it, observers=None))
        return fleets
    made = await certificates(folder / "certificates", size.domains)
    network = await stack.enter_async_context(machines(size.daemons * size.hosts))
    for number in range(size.daemons):
        own = network.addresses[number * size.hosts : (number + 1) * size.hosts]
        addresses = dict(zip(size.names, own, strict=True))
        looking = await stack.enter_async_context(
            observers(folder / f"proxies-{number}", size.domains, addresses, certificates=made, machines=network)
        )
        it = await stack.enter_async_context(_ground(folder / str(number), size, looking))
        fleets.append(_Fleet(ground=it, observers=looking))
    return fleets


def _ground(folder: Path, size: Size, looking: Observers | None) -> contextlib.AbstractAsyncContextManager[Ground]:
    agent = Agent(folder)
    hosts = {name: [agent.device(f"plug-{name}-{index}") for index in range(2)] for name in size.names}
    tables = {"detection": {"startup_quiet": "0s", **size.detection}, "gates": size.gates}
    if looking is None:
        return ground(folder, hosts, tables=tables)
    tables["proxy_client"] = looking.client
    return ground(folder, hosts, tables=tables, proxies=looking.proxies, about=looking.about)


async def _fenced_after(fleet: _Fleet, size: Size) -> tuple[float, float]:
    """Let all hosts beat until the bus has settled; then one dies at a random moment, and the others go on.

    Return the seconds from its last beat to the suspicion and to `fenced`, as they were heard on the bus.
    """
    it, looking = fleet.ground, fleet.observers
    living = set(size.names)
    beats: dict[str, float] = {}

    async def beat(host: str) -> None:
        await asyncio.sleep(random.random() * size.interval_seconds)
        while host in living:
            it.beat(host)
            beats[host] = time.time()
            await asyncio.sleep(size.interval_seconds)

    tasks = [asyncio.create_task(beat(host), name=f"beats of {host}") for host in sorted(living)]
    try:
        await it.ear.until("host.healthy", sorted(living), seconds=size.seconds_max)
        if looking is not None:
            await looking.ready(it)
        await asyncio.sleep(size.settle_seconds + random.random() * size.interval_seconds)
        living.discard("node-0")
        if looking is not None:
            await looking.die("node-0")
        fenced = await it.ear.until("host.fenced", ["node-0"], seconds=size.seconds_max)
        if looking is not None:
            await looking.all_saw_silence(it)
        return it.ear.heard["host.suspected"]["node-0"] - beats["node-0"], fenced["node-0"] - beats["node-0"]
    finally:
        for task in tasks:
            task.cancel()


ROW = Row(
    name="silence",
    title="from a real silence to fenced, with the default settings",
    measure=measure,
    bound_seconds=240.0,
)
OBSERVED_ROW = Row(
    name="silence_observers",
    title="from a real silence to fenced, with the default settings and proxies that look",
    measure=measure_observed,
    needs=("mosquitto", "ip"),
    has_namespace=True,
    bound_seconds=300.0,
)
