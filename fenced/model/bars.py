"""An operation as bars over time: its races and steps, for the waterfalls of `fencectl`, the lab and the page.

Pure: the API's JSON in, bars out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

Json = Mapping[str, Any]


class Mark(Enum):
    """What a bar is."""

    RACE = "race"
    STATUS = "status"
    COMMAND = "power command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar, in milliseconds from the operation's start. `end` None: still running; `start` None: never started."""

    label: str
    mark: Mark
    start: int | None
    end: int | None
    outcome: str
    error: str | None = None


def bars(device: Json) -> Iterator[Bar]:
    """Yield the bars of one device of an operation."""
    for entry in device["race"]:
        yield Bar(
            label=f"race {entry['proxy']} (tier {entry['tier']})",
            mark=Mark.RACE,
            start=entry["started_ms"],
            end=entry["ended_ms"],
            outcome=entry["verdict"],
            error=entry["error"],
        )
    yield from _merged(device["steps"])


def _merged(steps: Iterable[Json]) -> Iterator[Bar]:
    """Merge consecutive equal reads on one path into one bar, so that a wait of 30 s is one line."""
    last: Bar | None = None
    count = 0
    for step in steps:
        bar = _step_bar(step)
        is_same = last is not None and bar.mark is Mark.STATUS and _kind(bar) == _kind(last) and bar.end is not None
        if last is not None and is_same:
            count += 1
            last = replace(last, end=bar.end)
            continue
        if last is not None:
            yield _counted(last, count)
        last, count = bar, 1
    if last is not None:
        yield _counted(last, count)


def _kind(bar: Bar) -> tuple[str, str, str | None]:
    return bar.label, bar.outcome, bar.error


def _counted(bar: Bar, count: int) -> Bar:
    return bar if count == 1 else replace(bar, outcome=f"{bar.outcome} x{count}")


def _step_bar(step: Json) -> Bar:
    return Bar(
        label=f"{step['what']} via {step['proxy']}",
        mark=Mark.STATUS if step["what"] == "status" else Mark.COMMAND,
        start=step["started_ms"],
        end=step["ended_ms"],
        outcome=step["outcome"] or "...",
        error=step["error"],
    )


def span_ms(operation: Json, given: Sequence[Bar], now_ms: int | None = None) -> int:
    """Return how long the whole picture is. `now_ms`: where bars end that still run; None: at the last known moment."""
    known = [moment for bar in given for moment in (bar.start, bar.end) if moment is not None]
    return max([*known, duration_ms(operation) or 0, now_ms or 0, 1])


def duration_ms(operation: Json) -> int | None:
    """Return how long the operation took; None while it runs."""
    if operation["ended"] is None:
        return None
    span = datetime.fromisoformat(operation["ended"]) - datetime.fromisoformat(operation["started"])
    return round(span.total_seconds() * 1000)


def short(milliseconds: float) -> str:
    """Return a time in at most eight characters."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 100_000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds / 60_000:.1f} min"
