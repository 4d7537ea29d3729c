"""Row 4: ten failing fences do not slow down ninety that work."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.agent import Agent
from tests.bench.ground import NOT_LISTENED_TO, ground
from tests.bench.report import Report, median, percentile
from tests.bench.row import Row

LIMIT = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    healthy: int = 90
    failing: int = 10
    repetitions: int = 3
    off_ms: int = 1000


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Alone and beside the failing ones in turns, in one daemon with its default bounds."""
    size = size or Size()
    agent = Agent(folder)
    turns = [(kind, turn) for turn in range(size.repetitions) for kind in ("alone", "beside")]
    hosts = {
        f"{kind}-{turn}-{number}": [agent.device(f"{kind}-{turn}-{number}", off_ms=size.off_ms)]
        for kind, turn in turns
        for number in range(size.healthy)
    }
    failing = {turn: [f"failing-{turn}-{number}" for number in range(size.failing)] for turn in range(size.repetitions)}
    hosts |= {name: [agent.device(name, is_refusing=True)] for names in failing.values() for name in names}
    medians: dict[str, list[float]] = {"alone": [], "beside": []}
    lasts: dict[str, list[float]] = {"alone": [], "beside": []}
    async with ground(folder, hosts, tables={**NOT_LISTENED_TO, "power": {"verify_interval": "100ms"}}) as it:
        for kind, turn in turns:
            names = [f"{kind}-{turn}-{number}" for number in range(size.healthy)]
            if kind == "beside":
                await it.off(*failing[turn])
            asked = await it.off(*names)
            fenced = await it.ear.until("host.fenced", names, seconds=60)
            seconds = [fenced[name] - asked[name] for name in names]
            medians[kind].append(median(seconds))
            lasts[kind].append(percentile(seconds, 100))
            if kind == "beside":
                await it.ear.until("host.fence_failed", failing[turn], seconds=60)
    without = f"without the {size.failing} failing"
    report.line(
        f"{size.healthy} healthy fences, median", median(medians["beside"]), "s", floor=median(medians["alone"]),
        floor_name=without, limit=LIMIT,
    )  # fmt: skip
    report.line(
        f"{size.healthy} healthy fences, slowest", median(lasts["beside"]), "s", floor=median(lasts["alone"]),
        floor_name=without,
    )  # fmt: skip
    report.notes.append("pacemaker-fenced: 1.03 s alone, 5.13 s beside")


ROW = Row(name="neighbours", title="90 healthy fences beside 10 failing ones", measure=measure)
