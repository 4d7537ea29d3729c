"""Processor time of a beat with 50,000 hosts in four shards over two processes, beside 10,000 hosts in one.

Both processes hear every beat, as the holder of two shards and as a standby of the other two. The single daemon hears
as many beats a second, also with its store in PostgreSQL. They hear in turns, so that another program's work on the
machine falls on all of them. Who does not hear goes on at rest, which shows what looks and leases cost without a beat.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve
from fenced.core.durable.state import HostState
from fenced.journal import codec
from fenced.journal.postgres.place import place
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.names import MAIN_SHARD, BootId, HostName
from fenced.model.store_urls import PostgresUrl
from tests.bench.agent import Agent
from tests.bench.controllers import Controller, first_of, second_of
from tests.bench.databases import durable_server
from tests.bench.ground import Device, Ground, ground
from tests.bench.heartbeats import HEALTH, ask, publishing
from tests.bench.mqtt import connected
from tests.bench.processes import cost
from tests.bench.publisher import boot_of
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.e2e.configuration import SITE
from tests.net import until
from tests.postgres import Server

SHARDS: Final = (MAIN_SHARD, "east", "north", "west")
LIMIT: Final = 1.1
LOOK_SECONDS: Final = 1.0
IDLE_SHARE: Final = 0.3
"""Of a core. What a daemon uses at rest is below it."""
LAST_BEATS_SECONDS_MAX: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`share`: the single daemon has one of so many hosts. `seconds`: of each turn."""

    hosts: int = 50_000
    share: int = 5
    rate: float = 2000.0
    seconds: float = 10.0
    turns: int = 3
    settle_seconds: float = 15.0
    lease_seconds: float = 15.0
    ready_seconds_max: float = 400.0


@dataclass(slots=True, kw_only=True)
class Side:
    """The daemons that hear one publisher, and what they used: processor microseconds a beat, and at rest a second.

    `sent`: beats up to the last pause. `missed`: beats that a daemon did not count.
    """

    it: Ground
    publisher: asyncio.subprocess.Process
    daemons: Sequence[Controller]
    beat: dict[str, list[float]] = field(default_factory=dict)
    rest: dict[str, list[float]] = field(default_factory=dict)
    sent: int = 0
    missed: int = 0

    def used(self) -> dict[str, float]:
        """Return the processor seconds of each daemon so far."""
        return {one.name: cost(one.program.pid).own for one in self.daemons}

    async def heard(self) -> dict[str, int]:
        """Return how many beats each has counted so far."""
        return {one.name: round((await one.api.metrics()).get(HEALTH, 0.0)) for one in self.daemons}

    def a_beat(self) -> float:
        """Return the microseconds of a beat and daemon."""
        return _mean([median(taken) for taken in self.beat.values()])

    def at_rest(self) -> float:
        """Return the microseconds of a second and daemon without a beat."""
        return _mean([median(taken) for taken in self.rest.values()])


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Start all daemons with hosts that are known as healthy, then let both sides hear in turns."""
    size = size or Size()
    single = size.hosts // size.share
    with durable_server() as database:
        began = time.monotonic()
        async with (
            _side(folder / "one", database, single, (MAIN_SHARD,), size) as one,
            _side(folder / "four", database, size.hosts, SHARDS, size) as four,
        ):
            await _settle(one, single, size)
            await _settle(four, size.hosts, size)
            started = time.monotonic() - began
            for _ in range(size.turns):
                await _turn(one, four, size)
                await _turn(four, one, size)
    _tell(report, size, four, one)
    report.notes.append(
        f"{size.rate:.0f} beats a second in each turn of {size.seconds:.0f} s; all were ready after {started:.0f} s"
    )


# -- two sides ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _side(
    folder: Path, database: Server, count: int, shards: Sequence[str], size: Size
) -> AsyncIterator[Side]:  # fmt: skip
    """Yield the daemons once they hold the shards and show all hosts: one, or two that share several shards."""
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(count)]
    hosts: dict[str, list[Device]] = {name: [agent.device(f"plug-{name}")] for name in names}
    where = {name: shards[number % len(shards)] for number, name in enumerate(names)}
    name = await database.new_database()
    await _write_past(database, name, folder / "past", where)
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(
            ground(folder, hosts, tables=_tables(database.url(name), size), about=_addresses(names),
                   is_started=False)
        )  # fmt: skip
        it.configuration.shards = {host: shard for host, shard in where.items() if shard != MAIN_SHARD}
        it.configuration.write()
        daemons = [first_of(it)]
        if len(shards) > 1:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            daemons.append(second_of(it, folder / "second", session))
            stack.push_async_callback(daemons[1].program.kill)
        shown: set[str] = set()
        await stack.enter_async_context(_shown(it, shown))
        await asyncio.gather(*(one.start(seconds_max=size.ready_seconds_max) for one in daemons))
        await _share(daemons, shards, size)
        await until(lambda: len(shown) == count, seconds=size.ready_seconds_max, what="the state of each host is shown")
        publisher = await stack.enter_async_context(
            publishing(it.broker.port, count, count / size.rate, _said_seconds(size))
        )
        await ask(publisher, "pause")
        yield Side(it=it, publisher=publisher, daemons=daemons)


def _tables(url: str, size: Size) -> dict[str, dict[str, Any]]:
    return {
        "daemon": {"armed": False},
        "detection": {
            "startup_quiet": "0s", "bus_settle": "1s", "probe_ports": [], "grace": "10m", "grace_max": "10m",
            "heartbeat_interval": f"{_said_seconds(size):.0f}s", "watch_interval": "10m",
        },
        "check": {"interval": "0s"},
        "store": {"url": url, "lease_ttl": f"{size.lease_seconds:.0f}s"},
    }  # fmt: skip


def _said_seconds(size: Size) -> float:
    """Return the interval that each beat names: no host is overdue, however long others have their turn."""
    return max(60.0, 2 * size.hosts / size.rate)


def _addresses(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return an address of each host, as inventories have it: without one the name is resolved."""
    return {
        name: {"address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"} for number, name in enumerate(names)
    }


async def _write_past(database: Server, name: str, state_dir: Path, where: Mapping[str, str]) -> None:
    """Let the store know every host as healthy, so that a first beat is only a beat."""
    for shard in sorted(set(where.values())):
        directory = state_dir / shard
        directory.mkdir(parents=True)
        settings = PostgresSettings(url=PostgresUrl.parse(database.url(name)), lease_ttl_seconds=15.0)
        earlier = place(directory, boot="an earlier boot")
        journal = PostgresJournal(settings, state_dir=directory, place=earlier, shard=shard)
        await journal.open(holder="fenced-a", now=time.time())
        await journal.close()
    now = time.time()
    boots = {
        host: r.HostHeard(boot=BootId(boot_of(it)), before="unknown", why="first") for it, host in enumerate(where)
    }
    firsts = {shard: host for host, shard in where.items()}
    connection = await database.connect(name)
    try:
        await connection.copy_records_to_table(
            "records", columns=("sequence", "epoch", "at", "host", "body", "shard"),
            records=((1, 1, now, host, codec.dump_record(boots[host]), shard) for shard, host in firsts.items()),
        )  # fmt: skip
        await connection.copy_records_to_table(
            "snapshots", columns=("host", "sequence", "body", "shard"),
            records=((host, 1, _snapshot(host, boots[host], now), shard) for host, shard in where.items()),
        )  # fmt: skip
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _snapshot(host: str, heard: r.HostHeard, at: float) -> str:
    state = HostState(name=HostName(host))
    return codec.dump_host(evolve(state, r.Entry(at=at, host=state.name, record=heard)))


@contextlib.asynccontextmanager
async def _shown(it: Ground, shown: set[str]) -> AsyncIterator[None]:
    """Note each host whose state is on the bus."""
    async with connected(it.broker.port, "states", lambda topic, _: shown.add(topic.rpartition("/")[2])) as client:
        client.subscribe(f"fenced/v1/{SITE}/state/+")
        yield


async def _share(daemons: Sequence[Controller], shards: Sequence[str], size: Size) -> None:
    """Wait until every shard is held, then hand over until each daemon holds its part."""

    async def are_held() -> bool:
        return sum([len(await _held(one)) for one in daemons]) == len(shards)

    part = len(shards) // len(daemons)

    async def are_shared() -> bool:
        held = {one.name: await _held(one) for one in daemons}
        for one in daemons:
            poorer = [name for name, its in held.items() if len(its) < part]
            if len(held[one.name]) > part and poorer:
                body = {"shard": held[one.name][0], "to": poorer[0], "reason": "a measurement"}
                await one.api.call("POST", "controllers/hand-over", body=body)  # refused until the other one is fit
        return all(len(its) == part for its in held.values())

    await until(are_held, seconds=size.ready_seconds_max, what=f"{len(shards)} shards are held")
    await until(are_shared, seconds=size.ready_seconds_max, what=f"each of {len(daemons)} daemons holds {part} shards")


async def _held(one: Controller) -> list[str]:
    """Not from the metrics, which go over all hosts. Between two lives of a shard the answer is 503."""
    daemon = (await one.api.call("GET", "/readyz")).body["daemon"]
    found = daemon.get("shards") or [{"shard": MAIN_SHARD, "active": daemon["active"]}]
    return [each["shard"] for each in found if each["active"]]


# -- in turns ----------------------------------------------------------------------------------------------------------


async def _settle(side: Side, count: int, size: Size) -> None:
    """Let each host be heard once, then pause."""

    async def is_heard() -> bool:
        return min((await side.heard()).values()) >= count

    await ask(side.publisher, "sent")
    await asyncio.sleep(count / size.rate)  # the metrics of so many hosts cost more than their beats
    await until(is_heard, seconds=size.ready_seconds_max, what=f"each of {count} hosts was heard")
    side.sent = (await ask(side.publisher, "pause"))["sent"]
    await asyncio.sleep(size.settle_seconds)


async def _turn(hearing: Side, resting: Side, size: Size) -> None:
    """Let one side hear, and count what each daemon of both uses. Metrics are read before and after: they cost, too."""
    before_heard, before_sent = await hearing.heard(), hearing.sent
    used, at_rest, began = hearing.used(), resting.used(), time.monotonic()
    await ask(hearing.publisher, "sent")
    await asyncio.sleep(size.seconds)
    hearing.sent = (await ask(hearing.publisher, "pause"))["sent"]
    await _done(hearing)
    sent, seconds = hearing.sent - before_sent, time.monotonic() - began
    for name, now in hearing.used().items():
        hearing.beat.setdefault(name, []).append(1e6 * (now - used[name]) / sent)
    for name, now in resting.used().items():
        resting.rest.setdefault(name, []).append(1e6 * (now - at_rest[name]) / seconds)
    hearing.missed += sum(sent - (now - before_heard[name]) for name, now in (await hearing.heard()).items())


async def _done(side: Side) -> None:
    """Wait until no daemon has much to do: all that was sent is decided. Asking them for metrics would cost."""
    end = time.monotonic() + LAST_BEATS_SECONDS_MAX
    while time.monotonic() < end:
        used = side.used()
        await asyncio.sleep(LOOK_SECONDS)
        if all(now - used[name] < IDLE_SHARE * LOOK_SECONDS for name, now in side.used().items()):
            return


# -- what was found ----------------------------------------------------------------------------------------------------


def _tell(report: Report, size: Size, four: Side, one: Side) -> None:
    single = f"{size.hosts // size.share} hosts in one shard"
    report.line(
        f"{size.hosts} hosts in {len(SHARDS)} shards: a beat and process", four.a_beat(), "us", floor=one.a_beat(),
        floor_name=single, limit=LIMIT,
    )  # fmt: skip
    rate = size.rate
    report.line(
        "the same without what is used at rest", four.a_beat() - four.at_rest() / rate, "us",
        floor=one.a_beat() - one.at_rest() / rate, floor_name=single,
    )  # fmt: skip
    report.line(
        "at rest: share of a core, a process", four.at_rest() / 1e4, "%", floor=one.at_rest() / 1e4, floor_name=single
    )
    for name, taken in four.beat.items():
        report.line(
            f"a beat at {name}, least of {len(taken)} turns", min(taken), "us",
            floor=min(map(min, one.beat.values())), floor_name=single,
        )  # fmt: skip
    report.line("beats missed by all", four.missed + one.missed, "", limit=0, is_limit_absolute=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


ROW = Row(
    name="shards", title="a beat with four shards over two processes", measure=measure,
    needs=("mosquitto", "postgres"), bound_seconds=900.0,
)  # fmt: skip
