"""Draws one operation as a waterfall: its races and steps as bars over time.

Pure: the API's JSON in, lines of plain ASCII out, no wider than given; knows no terminal and no HTTP. `fencectl`
and the lab use it.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

Json = Mapping[str, Any]
WIDTH_DEFAULT: Final = 100
WIDTH_MIN: Final = 60
LABEL_MAX: Final = 28
RIGHT_WIDTH: Final = 30
RACE, STATUS, COMMAND = "-", "=", "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bar, in milliseconds from the operation's start. `end` None: still running; `start` None: never started."""

    label: str
    mark: str
    start: int | None
    end: int | None
    outcome: str
    error: str | None = None


def render(operation: Json, *, width: int = WIDTH_DEFAULT, now_ms: int | None = None) -> list[str]:
    """Return all lines. `now_ms`: where running bars end; None: at the last known moment."""
    width = max(width, WIDTH_MIN)
    blocks = [(device, list(_rows(device))) for device in operation["devices"]]
    span = _span(operation, [row for _, rows in blocks for row in rows], now_ms)
    label_width = min(LABEL_MAX, max((len(row.label) for _, rows in blocks for row in rows), default=0))
    bar_width = width - label_width - RIGHT_WIDTH - 3
    lines = [_clip(line, width) for line in _head(operation)]
    for device, rows in blocks:
        lines += ["", *_device_lines(device, operation["action"], width)]
        for row in rows:
            lines.append(_clip(_bar_line(row, span, label_width, bar_width), width))
            if row.error:
                lines += textwrap.wrap(row.error, width, initial_indent=" " * 6, subsequent_indent=" " * 6, max_lines=3)
    if any(rows for _, rows in blocks):
        scale = f"one column = {short(span / bar_width)}"
        lines += ["", _clip(f"{RACE} race   {STATUS} status   {COMMAND} power command   {scale}", width)]
    return [line.rstrip() for line in lines]


def _head(operation: Json) -> Iterator[str]:
    state = operation["state"]
    elapsed = duration_ms(operation)
    took = "" if elapsed is None else f" after {short(elapsed)}"
    what = "drill" if operation.get("drill") else operation["action"]
    yield f"operation {operation['id']}: {what} {operation['host']}, {state}{took}"
    why = f": {operation['reason']}" if operation["reason"] else ""
    yield f"  cause {operation['cause']}, by {operation['by']}{why}"
    if operation["joined"]:
        yield f"  joined by {', '.join(operation['joined'])}"
    token = f", last fence token {operation['token']}" if operation["token"] else ""
    yield f"  started {operation['started']}{token}"
    result = operation["result"]
    proof = f" ({result['proof']}, level {result['level']})" if result["proof"] else ""
    fenced = "yes" if result["fenced"] else "no"
    yield f"  fenced: {fenced}{proof}   power: {result['power']}   restored: {restored(result)}"


def restored(result: Json) -> str:
    """`restored` in words."""
    return str(result["restored"]).replace("_", " ")


def duration_ms(operation: Json) -> int | None:
    """Return how long the operation took; None while it runs."""
    if operation["ended"] is None:
        return None
    span = datetime.fromisoformat(operation["ended"]) - datetime.fromisoformat(operation["started"])
    return round(span.total_seconds() * 1000)


def _device_lines(device: Json, action: str, width: int) -> Iterator[str]:
    was = "on" if action == "on" else "off"
    already = f"  (was {was} already)" if device["already"] else ""
    word = "  (cuts_power: the operator vouches for it)" if device.get("cuts_power") else ""
    yield _clip(f"{device['name']}  level {device['level']}  {device['power']}{already}{word}", width)
    for left_out in device["excluded"]:
        yield _clip(f"  left out {left_out['proxy']}: {left_out['why']}", width)


def _rows(device: Json) -> Iterator[Row]:
    for entry in device["race"]:
        yield Row(
            label=f"  race {entry['proxy']} (tier {entry['tier']})",
            mark=RACE,
            start=entry["started_ms"],
            end=entry["ended_ms"],
            outcome=entry["verdict"],
            error=entry["error"],
        )
    yield from _merged(device["steps"])


def _merged(steps: Iterable[Json]) -> Iterator[Row]:
    """Merge consecutive equal reads on one path into one bar, so that a wait of 30 s is one line."""
    last: Row | None = None
    count = 0
    for step in steps:
        row = _step_row(step)
        is_same = last is not None and row.mark == STATUS and _kind(row) == _kind(last) and row.end is not None
        if last is not None and is_same:
            count += 1
            last = replace(last, end=row.end)
            continue
        if last is not None:
            yield _counted(last, count)
        last, count = row, 1
    if last is not None:
        yield _counted(last, count)


def _kind(row: Row) -> tuple[str, str, str | None]:
    return row.label, row.outcome, row.error


def _counted(row: Row, count: int) -> Row:
    if count == 1:
        return row
    return replace(row, outcome=f"{row.outcome} x{count}")


def _step_row(step: Json) -> Row:
    return Row(
        label=f"  {step['what']} via {step['proxy']}",
        mark=STATUS if step["what"] == "status" else COMMAND,
        start=step["started_ms"],
        end=step["ended_ms"],
        outcome=step["outcome"] or "...",
        error=step["error"],
    )


def _span(operation: Json, rows: list[Row], now_ms: int | None) -> int:
    known = [moment for row in rows for moment in (row.start, row.end) if moment is not None]
    return max([*known, duration_ms(operation) or 0, now_ms or 0, 1])


def _bar_line(row: Row, span: int, label_width: int, bar_width: int) -> str:
    label = _clip(row.label, label_width).ljust(label_width)
    if row.start is None:
        return f"{label} |{' ' * bar_width}|{'':>18}{row.outcome}"
    end = span if row.end is None else row.end
    first = min(bar_width - 1, row.start * bar_width // span)
    length = max(1, min(bar_width - first, round((end - row.start) * bar_width / span)))
    bar = (" " * first + row.mark * length).ljust(bar_width)
    took = "" if row.end is None else f"+{short(row.end - row.start)}"
    return f"{label} |{bar}|{short(row.start):>8} {took:>8} {row.outcome}"


def short(milliseconds: float) -> str:
    """Return a time in at most eight characters."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 100_000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds / 60_000:.1f} min"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
