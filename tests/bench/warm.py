"""Row 9: a hundred calls of Debian's Python agents, forked from a warm interpreter, beside as many plain starts.

The agents read a status, one call after the other and some at once; warm and plain take turns. Processor time is that
of everything that runs for a call: keeper, template, agents and what they start, without the daemon's own.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from fenced.drivers.keeper.client import Keeper
from fenced.drivers.keeper.connection import Program
from tests.bench.processes import cost
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port
from tests.drivers.keeper.warm import program, warmed
from tests.needs import find

WARM_SHARE = 0.5
"""The maximum cost of a warm call as a share of a plain one; expected is far less."""
IPMI = ("fence_ipmilan", "ipmi_sim", "ipmitool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    calls: int = 100
    repetitions: int = 3
    at_once: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Seconds of one call."""

    wall: float
    processor: float


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    size = size or Size()
    dummy = program(_found("fence_dummy"), "action=status\n")
    _tell(report, "fence_dummy", await _turns(report, size, dummy))
    if all(find(name) for name in IPMI):
        port = udp_port()
        with ipmi_sim(folder, port):
            taken = await _turns(report, size, _status(port))
            tool = await _tool(port, size)
        _tell(report, "fence_ipmilan", taken, tool=tool)
    else:
        report.notes.append(f"fence_ipmilan is left out: it needs {', '.join(IPMI)}")
    report.notes.append(
        f"{size.at_once} calls at once; processor time of keeper, template, agents and their children, without daemon"
    )


def _status(port: int) -> Program:
    login = f"username={USERNAME}\npassword={PASSWORD}\nlanplus=1\ncipher=3\n"
    return program(_found("fence_ipmilan"), f"ip=127.0.0.1\nipport={port}\n{login}action=status\n")


async def _tool(port: int, size: Size) -> float:
    """Return the processor seconds of an ipmitool that does the same: no way to start its agent can save that."""
    tool = _found("ipmitool")
    login = ("-I", "lanplus", "-H", "127.0.0.1", "-p", str(port), "-U", USERNAME, "-P", PASSWORD, "-C", "3")
    asked = Program(argv=(str(tool), *login, "chassis", "power", "status"), environment={}, parameters=b"")
    async with Keeper(marker="bench-tool") as keeper:
        return (await _calls(keeper, asked, size, "Chassis Power")).processor


def _found(agent: str) -> Path:
    path = find(agent)
    assert path is not None
    return Path(path)


async def _turns(report: Report, size: Size, asked: Program) -> dict[bool, list[Taken]]:
    """Warm (True) and plain in turns, each by its own keeper."""
    path = Path(asked.argv[0])
    taken: dict[bool, list[Taken]] = {True: [], False: []}
    async with Keeper(marker="bench-plain") as plain, Keeper(marker="bench-warm", has_warm_agents=True) as warm:
        template = await warmed(warm, path)
        report.line(f"{path.name}: loading the template, processor", 1000 * cost(template).own, "ms")
        for _ in range(size.repetitions):
            for keeper in (plain, warm):
                taken[keeper is warm].append(await _calls(keeper, asked, size, "Status:"))
        assert warm.template_pids == (template,), "another template served, and plain starts in between"
    return taken


def _tell(report: Report, agent: str, taken: dict[bool, list[Taken]], *, tool: float | None = None) -> None:
    """`tool`: the agent's own program, in whose time starting the agent has no part."""
    judged = {"limit": WARM_SHARE} if tool is None else {}
    for what in ("wall", "processor"):
        warm, plain = (1000 * median(getattr(one, what) for one in taken[is_warm]) for is_warm in (True, False))
        report.line(f"{agent} status, {what} per call", warm, "ms", floor=plain, floor_name="plain", **judged)
    if tool is not None:
        own = 1000 * tool
        report.line(
            f"{agent} status, without ipmitool's {own:.0f} ms", warm - own, "ms", floor=plain - own, floor_name="plain",
            limit=WARM_SHARE,
        )  # fmt: skip


async def _calls(keeper: Keeper, asked: Program, size: Size, answer: str) -> Taken:
    """Run all calls; return the average of each."""
    slots = asyncio.Semaphore(size.at_once)

    async def one() -> None:
        async with slots:
            finished = await keeper.run(asked, timeout_seconds=60)
            assert answer in finished.stdout.text, finished.stderr.text

    assert keeper.pid is not None
    pids = (keeper.pid, *keeper.template_pids)
    before, began = sum(_used(pid) for pid in pids), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(size.calls):
            tasks.create_task(one(), name=f"call {number}")
    wall, used = time.monotonic() - began, sum(_used(pid) for pid in pids) - before
    return Taken(wall=wall / size.calls, processor=used / size.calls)


def _used(pid: int) -> float:
    found = cost(pid)
    return found.own + found.children


ROW = Row(
    name="warm",
    title="Python agents forked from a warm interpreter",
    measure=measure,
    needs=("fence_dummy",),
    bound_seconds=240.0,
)
