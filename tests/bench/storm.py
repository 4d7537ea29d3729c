"""Row 3: a hundred and a thousand hosts fenced at once through a program that itself takes no time.

A fence is a read, an OFF and the verifying reads: several process starts, where pacemaker-fenced starts one and reads
nothing back. The floors are as many bare starts in the same run.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import NOT_LISTENED_TO, Ground, ground
from tests.bench.processes import Cost, child, cost
from tests.bench.report import Report, median
from tests.bench.row import Row

PACEMAKER_SHARE = 1 / 3
PACEMAKER_STARTS = {100: 0.116 / 0.018, 1000: 4.20 / 0.18}
"""pacemaker-fenced's wall time for so many `off`, in times of as many bare posix_spawn on the machine it was
measured on (ADR 11): what it would take here, as far as a machine's speed is one number."""

STARTS_MAX = 1000
"""More bare starts than that are not made: a floor of four thousand is four times that of a thousand."""

STARTS = Path(__file__).with_name("starts.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: tuple[int, ...] = (100, 1000)
    repetitions: int = 3
    at_once: int = 32
    verify_interval: str = "10ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """The cost of one storm. Processor seconds of the daemon, of the keeper, and of the agents."""

    wall: float
    daemon: float
    keeper: float
    agents: float


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Floor and storm take turns; each turn has a fresh daemon and fresh plugs."""
    size = size or Size()
    for count in size.hosts:
        storms: list[Storm] = []
        floors: dict[str, list[tuple[float, float]]] = {"asyncio": [], "spawn": []}
        starts = 4
        for turn in range(size.repetitions):
            storm, starts = await _storm(folder / f"{count}-{turn}", count, size)
            storms.append(storm)
            agent = Agent(folder / "floor")
            for how, taken in floors.items():
                taken.append(await _bare(how, count * starts, size.at_once, agent.path))
        _tell(report, count, starts, storms, floors)
    report.notes.append(
        f"{size.at_once} programs at once, verify_interval {size.verify_interval}; requested over HTTP, which counts"
    )
    report.notes.append(
        "pacemaker, estimated: its measured multiple of bare posix_spawn (ADR 11); it reads nothing back"
    )


async def _storm(folder: Path, count: int, size: Size) -> tuple[Storm, int]:
    """Return the storm, and how many programs each fence started."""
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(count)]
    hosts = {name: [agent.device(f"plug-{name}")] for name in [*names, "first"]}
    tables: dict[str, Any] = {
        **NOT_LISTENED_TO,
        "power": {"verify_interval": size.verify_interval, "agent_processes": size.at_once},
    }
    async with ground(folder, hosts, tables=tables) as it:
        await it.off("first")
        await it.ear.until("host.fenced", ["first"], seconds=30)
        keeper = child(it.daemon.pid, "keeper.py")
        assert keeper is not None, "the daemon has no keeper"
        before, before_keeper = cost(it.daemon.pid), cost(keeper)
        asked = await it.off(*names)
        fenced = await it.ear.until("host.fenced", names, seconds=90)
        used, used_keeper = cost(it.daemon.pid) - before, cost(keeper) - before_keeper
        starts = await _starts(it, names[-1])
    return _summed(max(fenced.values()) - min(asked.values()), used, used_keeper), starts


def _summed(wall: float, daemon: Cost, keeper: Cost) -> Storm:
    return Storm(wall=wall, daemon=daemon.own, keeper=keeper.own, agents=keeper.children)


async def _starts(it: Ground, host: str) -> int:
    """Count the programs that the fence of this host started: one for the won probe and for each step."""
    operations = (await it.api.get(f"operations?host={host}"))["items"]
    return sum(len(device["steps"]) for device in (await it.api.ended(operations[0]["id"]))["devices"])


async def _bare(how: str, count: int, at_once: int, program: Path) -> tuple[float, float]:
    """Return wall and own processor seconds of so many starts."""
    made = min(count, STARTS_MAX)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(STARTS), how, str(made), str(at_once), str(program),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    wall, used = out.split()
    return float(wall) * count / made, float(used) * count / made


def _tell(
    report: Report, count: int, starts: int, storms: list[Storm], floors: dict[str, list[tuple[float, float]]]
) -> None:
    wall = median(storm.wall for storm in storms)
    if count in PACEMAKER_STARTS:
        spawned = median(seconds for seconds, _ in floors["spawn"]) / starts
        report.line(
            f"{count} fenced, wall", wall, "s", floor=spawned * PACEMAKER_STARTS[count],
            floor_name="pacemaker, estimated",
            limit=PACEMAKER_SHARE,
        )  # fmt: skip
    for how, name in (("asyncio", "create_subprocess_exec"), ("spawn", "posix_spawn")):
        report.line(
            f"{count} fenced, wall", wall, "s", floor=median(seconds for seconds, _ in floors[how]),
            floor_name=f"{count * starts} x {name}",
        )  # fmt: skip
    bare = 1000 * median(used for _, used in floors["asyncio"]) / count
    for what in ("daemon", "keeper", "agents"):
        used = 1000 * median(getattr(storm, what) for storm in storms) / count
        floor = {"floor": bare, "floor_name": f"{starts} x create_subprocess_exec"} if what == "daemon" else {}
        report.line(f"{count} fenced, processor per fence: {what}", used, "ms", **floor)


ROW = Row(
    name="storm", title="hosts fenced at once through an instant agent program", measure=measure, bound_seconds=240.0
)
