"""Row 2: k black holes before the one proxy that answers cost k staggers, never a sum of timeouts."""

import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fenced.core.reach.domains import spread
from fenced.model.names import ProxyName
from tests.bench.agent import Agent
from tests.bench.ground import NOT_LISTENED_TO, Ground, ground
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.e2e.programs import FENCED, Program
from tests.net import free_port, until_listening

LIMIT = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    dead: tuple[int, ...] = (1, 2, 4, 8)
    repetitions: int = 3
    stagger_seconds: float = 0.25
    preference_grace_seconds: float = 0.3


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """The same race within one tier (equal candidates) and with each candidate in its own tier."""
    size = size or Size()
    agent = Agent(folder)
    counts = (0, *size.dead)
    hosts: dict[str, list[dict[str, Any]]] = {}
    for count in counts:
        each = [f"dead-{number}" for number in range(count)]
        for turn in range(size.repetitions):
            plug = _plug_that_asks_live_last(agent, f"tier-{count}-{turn}", each)
            hosts[f"tier-{count}-{turn}"] = [agent.device(plug, proxies=[f"tag:k{count}"])]
            hosts[f"tiers-{count}-{turn}"] = [agent.device(f"tiers-{count}-{turn}", proxies=[*each, "live"])]
    async with _live_proxy(folder, agent) as live:
        with _black_holes(max(counts)) as holes:
            proxies = [
                {"name": f"dead-{number}", "url": f"http://127.0.0.1:{port}",
                 "tags": [f"k{count}" for count in counts if count > number]}
                for number, port in enumerate(holes)
            ]  # fmt: skip
            proxies.append({"name": "live", "url": f"http://127.0.0.1:{live}", "tags": [f"k{n}" for n in counts]})
            tables: dict[str, Any] = {
                **NOT_LISTENED_TO,
                "race": {
                    "stagger": f"{size.stagger_seconds * 1000:.0f}ms",
                    "preference_grace": f"{size.preference_grace_seconds * 1000:.0f}ms",
                },
            }
            async with ground(folder, hosts, tables=tables, proxies=proxies) as it:
                took = await _all(it, counts, size)
    alone = median(took["tier", 0])
    for count in size.dead:
        for kind, grace in (("tier", 0.0), ("tiers", size.preference_grace_seconds)):
            words = f"{count} x stagger + one probe" + (" + preference_grace" if grace else "")
            report.line(
                f"status past {count} dead, {'one tier' if kind == 'tier' else 'a tier each'}",
                median(took[kind, count]), "s", floor=count * size.stagger_seconds + alone + grace, floor_name=words,
                limit=LIMIT,
            )  # fmt: skip
    report.notes.append(f"one probe alone, from asking to the operation's end: {alone * 1000:.0f} ms")
    report.notes.append("a better tier that still runs is waited for, preference_grace long: design.md#proxy-race")


async def _all(it: Ground, counts: tuple[int, ...], size: Size) -> dict[tuple[str, int], list[float]]:
    await _status(it, f"tiers-0-{size.repetitions - 1}")  # the first call through a proxy includes a connection
    took: dict[tuple[str, int], list[float]] = {}
    for turn in range(size.repetitions):
        took.setdefault(("tier", 0), []).append(await _status(it, f"tier-0-{turn}"))
        for kind in ("tier", "tiers"):
            for count in counts[1:]:
                # One at a time: a race that meets another's calls at a dead proxy takes it for busy and tries it later.
                took.setdefault((kind, count), []).append(await _status(it, f"{kind}-{count}-{turn}"))
    return took


def _plug_that_asks_live_last(agent: Agent, name: str, dead: list[str]) -> str:
    """Return a plug for which the dead proxies come first: each plug has its own order of equal proxies."""

    def place(plug: str, proxy: str) -> int:
        return spread(agent.plug_id(plug), ProxyName(proxy))

    names = (f"{name}-{number}" for number in itertools.count())
    return next(plug for plug in names if all(place(plug, proxy) < place(plug, "live") for proxy in dead))


async def _status(it: Ground, host: str) -> float:
    """Return the time from the request to the end of the race, by the operation's own times
    if those are finer than polling.
    """
    began = time.time()
    operation = await it.api.ended(await it.api.act(host, "status"))
    won = [entry for device in operation["devices"] for entry in device["race"] if entry["verdict"] == "won"]
    assert won, f"nobody could read {host}: {operation}"
    assert all(entry["started_ms"] is not None for device in operation["devices"] for entry in device["race"]), (
        f"{host} did not ask the dead ones first: {operation}"
    )
    waited = time.time() - began
    # The winner of a lower tier waits for a better one after its own end: only the operation's end shows that.
    return min(waited, _seconds(operation["started"], operation["ended"]))


def _seconds(started: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


@contextlib.contextmanager
def _black_holes(count: int) -> Iterator[list[int]]:
    """Yield ports at which the kernel accepts connections and nothing ever answers."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256)) for _ in range(count)]
        yield [made.getsockname()[1] for made in sockets]


@contextlib.asynccontextmanager
async def _live_proxy(folder: Path, agent: Agent) -> AsyncIterator[int]:
    """Run a real proxy agent; yield its port."""
    port = free_port()
    file = folder / "proxy.toml"
    file.write_text(
        f'[proxy]\nname = "live"\nlisten = "127.0.0.1:{port}"\nstate_dir = "{folder / "proxy"}"\n'
        f'allow = ["CN=fenced-a"]\nagent_path = ["{agent.directory}"]\n'
    )
    proxy = Program([*FENCED, "proxy", "-c", str(file)], log=folder / "proxy.log")
    await proxy.start()
    try:
        await until_listening(port)
        yield port
    finally:
        await proxy.kill()


ROW = Row(name="race", title="k dead candidates before a live one", measure=measure)
