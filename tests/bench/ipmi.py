"""Row: native IPMI. One call beside the tools that do the same, then 1 to 1,000 BMCs at once, some of them dead."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.ipmi_fleet import PASSWORD, USERNAME, Fleet, fleet, silent
from tests.bench.processes import cost
from tests.bench.report import Report, median, percentile
from tests.bench.row import Row
from tests.needs import find
from tests.net import until

CALL_RATIO_MAX = 0.2
DEAD_RATIO_MAX = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`calls`: one after the other. `dead`: of the last number of BMCs."""

    bmcs: tuple[int, ...] = (1, 10, 100, 1000)
    dead: int = 100
    calls: int = 20
    repetitions: int = 3
    timeout_seconds: float = 10.0


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    size = size or Size()
    with fleet(folder, max(size.bmcs)) as bmcs:
        await until(lambda: _all_answer(bmcs), seconds=60, what="every ipmi_sim answers")
        await _one_call(bmcs, report, size)
        for count in size.bmcs:
            await _at_once(bmcs, count, report, size)
        await _with_dead(bmcs, report, size)
    report.notes += (
        "a read is a login, Set Session Privilege, Get Device ID, Chassis Status, Close Session: 14 datagrams",
        "and two more the first time in a process, for ipmi_sim refuses suite 17",
        "floor of `at once`: all processor time, of the BMCs as well, on all processors of this machine",
    )


async def native(
    power: str, ports: Sequence[int], *, at_once: int = 0, timeout_seconds: float = 10.0
) -> dict[str, Any]:
    """Return the result of tests.bench.ipmi_calls."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.ipmi_calls", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    asked = {"power": power, "ports": list(ports), "at_once": at_once, "timeout_seconds": timeout_seconds}
    out, _ = await running.communicate(json.dumps(asked).encode())
    found: dict[str, Any] = json.loads(out)
    return found


async def _all_answer(bmcs: Fleet) -> bool:
    return not (await native("read", bmcs.ports, at_once=50))["failed"]


async def _one_call(bmcs: Fleet, report: Report, size: Size) -> None:
    """Calls one after the other to one BMC, in turns."""
    port = bmcs.ports[0]
    ours, walls, used = [], dict[str, list[float]](), dict[str, list[float]]()
    for _ in range(size.repetitions):
        found = await native("read", [port] * size.calls, at_once=1)
        assert not found["failed"], found
        ours.append((found["wall"] / size.calls, found["cpu"] / size.calls))
        for name, command, stdin in _tools(port):
            wall, cpu = await _program(command, stdin, size.calls)
            walls.setdefault(name, []).append(wall)
            used.setdefault(name, []).append(cpu)
    for name in walls:
        report.line(
            f"one read, wall, beside {name}", 1000 * median(wall for wall, _ in ours), "ms",
            floor=1000 * median(walls[name]), floor_name=name, limit=CALL_RATIO_MAX,
        )  # fmt: skip
        report.line(
            f"one read, processor, beside {name}", 1000 * median(cpu for _, cpu in ours), "ms",
            floor=1000 * median(used[name]), floor_name=name, limit=CALL_RATIO_MAX,
        )  # fmt: skip


def _tools(port: int) -> tuple[tuple[str, list[str], bytes], ...]:
    ipmitool, agent = find("ipmitool"), find("fence_ipmilan")
    assert ipmitool is not None and agent is not None
    where = ["-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(port), "-U", USERNAME, "-P", PASSWORD]
    parameters = (
        f"action=status\nip=127.0.0.1\nipport={port}\nusername={USERNAME}\npassword={PASSWORD}\nlanplus=1\ncipher=3\n"
    )
    return (
        ("ipmitool", [ipmitool, *where, "power", "status"], b""),
        ("fence_ipmilan", [agent], parameters.encode()),
    )


async def _program(command: Sequence[str], stdin: bytes, calls: int) -> tuple[float, float]:
    """Return wall and processor seconds of one run."""
    began, before = time.monotonic(), cost(os.getpid()).children
    for _ in range(calls):
        running = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        out, _ = await running.communicate(stdin)
        assert b"is on" in out or b"Status: ON" in out, out
    return (time.monotonic() - began) / calls, (cost(os.getpid()).children - before) / calls


async def _at_once(bmcs: Fleet, count: int, report: Report, size: Size) -> None:
    """Read all, switch all off, switch all on again; each call in its own session, all from one process."""
    ports = bmcs.ports[:count]
    for power in ("read", "off"):
        found, floors = [], []
        for _ in range(size.repetitions):
            before = bmcs.processor_seconds
            found.append(await native(power, ports, timeout_seconds=size.timeout_seconds))
            assert not found[-1]["failed"], found[-1]["failed"]
            floors.append((found[-1]["cpu"] + bmcs.processor_seconds - before) / (os.cpu_count() or 1))
            if power == "off":
                assert bmcs.on() == len(bmcs.ports) - count
                await native("on", ports, timeout_seconds=size.timeout_seconds)
        word = "read" if power == "read" else "switched off"
        report.line(
            f"{count} {word} at once, wall", median(one["wall"] for one in found), "s",
            floor=median(floors), floor_name="processor time",
        )  # fmt: skip
        report.line(
            f"{count} {word} at once, processor per BMC", 1000 * median(one["cpu"] / count for one in found), "ms"
        )


async def _with_dead(bmcs: Fleet, report: Report, size: Size) -> None:
    """The living among the dead, beside the living alone; in turns."""
    count = max(size.bmcs) - size.dead
    living = bmcs.ports[:count]
    alone, among, last = [], [], []
    with silent(size.dead) as dead:
        mixed = sorted([*living, *dead], key=lambda port: port * 7919 % 65537)
        for _ in range(size.repetitions):
            alone.append(percentile((await native("read", living, timeout_seconds=size.timeout_seconds))["done"], 100))
            found = await native("read", mixed, timeout_seconds=size.timeout_seconds)
            assert len(found["done"]) == count and found["failed"] == {"timed_out": size.dead}, found["failed"]
            among.append(percentile(found["done"], 100))
            last.append(found["wall"])
    report.line(
        f"the last of {count} beside {size.dead} dead", median(among), "s",
        floor=median(alone), floor_name=f"{count} alone", limit=DEAD_RATIO_MAX,
    )  # fmt: skip
    report.line(
        "the dead are told", median(last), "s", floor=size.timeout_seconds, floor_name="the deadline", limit=1.1
    )


ROW = Row(
    name="ipmi", title="IPMI from one process: one call, and 1 to 1,000 BMCs at once", measure=measure,
    needs=("ipmi_sim", "ipmitool", "fence_ipmilan"), bound_seconds=300.0,
)  # fmt: skip
