"""The result of a row: lines with a ratio to something measured in the same run, and whether that meets the target."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

WIDTHS: Final = (40, 14, 34, 8, 10, 5)
HEADINGS: Final = ("what", "measured", "against", "ratio", "target", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`floor`: what `measured` is compared with, in the same unit. `limit`: the maximum of the ratio, or with
    `is_limit_absolute` the maximum of `measured`. Without a limit it is shown and not judged."""

    what: str
    measured: float
    unit: str
    floor: float | None = None
    floor_name: str = ""
    limit: float | None = None
    is_limit_absolute: bool = False

    @property
    def ratio(self) -> float | None:
        return self.measured / self.floor if self.floor else None

    @property
    def verdict(self) -> str:
        """PASS, MISS, or nothing if there is no target."""
        judged = self.measured if self.is_limit_absolute else self.ratio
        if self.limit is None or judged is None:
            return ""
        return "PASS" if judged <= self.limit else "MISS"

    def cells(self) -> tuple[str, ...]:
        floor = f"{shown(self.floor, self.unit)} {self.floor_name}" if self.floor is not None else self.floor_name
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        limit = ""
        if self.limit is not None:
            limit = f"<= {shown(self.limit, self.unit)}" if self.is_limit_absolute else f"<= {self.limit:.2f}"
        return self.what, shown(self.measured, self.unit), floor, ratio, limit, self.verdict


@dataclass(slots=True, kw_only=True)
class Report:
    """One row's results. `notes` say what the numbers are not."""

    name: str
    title: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    broken: str = ""
    seconds: float = 0.0

    def line(self, what: str, measured: float, unit: str, **more: Any) -> Line:
        line = Line(what=what, measured=measured, unit=unit, **more)
        self.lines.append(line)
        return line

    def text(self) -> str:
        head = f"{self.name}: {self.title}"
        lines = [head, "-" * len(head)]
        if self.skipped or self.broken:
            return "\n".join(
                [*lines, f"  {'skipped' if self.skipped else 'BROKEN'}: {self.skipped or self.broken}", ""]
            )
        lines += [_row(HEADINGS), *(_row(line.cells()) for line in self.lines)]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join([*lines, f"  (took {self.seconds:.0f} s)", ""])

    def plain(self) -> dict[str, Any]:
        lines = [asdict(line) | {"ratio": line.ratio, "verdict": line.verdict} for line in self.lines]
        return asdict(self) | {"lines": lines}


def as_json(reports: Iterable[Report], **about: Any) -> str:
    return json.dumps({**about, "rows": [report.plain() for report in reports]}, indent=1)


def shown(value: float, unit: str) -> str:
    """Format with three figures, or as a whole number from a hundred on."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * percent) // 100) - 1))]


def _row(cells: Sequence[str]) -> str:
    return "  " + " ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
