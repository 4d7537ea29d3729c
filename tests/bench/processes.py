"""The cost of a living process according to Linux: processor time and resident memory."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Processor seconds: its own, and those of its children that ended and were waited for."""

    own: float
    children: float

    def __sub__(self, earlier: "Cost") -> "Cost":
        return Cost(own=self.own - earlier.own, children=self.children - earlier.children)


def cost(pid: int) -> Cost:
    """Return the cost so far, in the scheduler's nanoseconds if the kernel counts them, else in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    in_ticks = (int(fields[11]) + int(fields[12])) / TICKS
    return Cost(own=_scheduled(pid) or in_ticks, children=(int(fields[13]) + int(fields[14])) / TICKS)


def _scheduled(pid: int) -> float:
    """Sum over all threads. Ended threads are not counted, but ours live for the whole measurement."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return total / 1e9


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def children(pid: int) -> list[int]:
    """Return the processes whose parent it is."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.name))
    return found


def child(pid: int, word: str) -> int | None:
    """Return the first child whose command line contains the word."""
    for found in children(pid):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{found}/cmdline").read_bytes():
                return found
    return None
