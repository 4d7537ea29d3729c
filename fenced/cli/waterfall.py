"""Draws one operation as a waterfall: its races and steps as bars over time.

Pure: the API's JSON in, lines of plain ASCII out, no wider than given; knows no terminal and no HTTP. `fencectl`
and the lab use it.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fenced.model.bars import Bar, Mark, bars, duration_ms, short, span_ms

Json = Mapping[str, Any]
WIDTH_DEFAULT: Final = 100
WIDTH_MIN: Final = 60
LABEL_MAX: Final = 28
RIGHT_WIDTH: Final = 30
INDENT: Final = "  "
SIGNS: Final = {Mark.RACE: "-", Mark.STATUS: "=", Mark.COMMAND: "#"}


def render(operation: Json, *, width: int = WIDTH_DEFAULT, now_ms: int | None = None) -> list[str]:
    """Return all lines. `now_ms`: where running bars end; None: at the last known moment."""
    width = max(width, WIDTH_MIN)
    blocks = [(device, [*bars(device)]) for device in operation["devices"]]
    every = [bar for _, shown in blocks for bar in shown]
    span = span_ms(operation, every, now_ms)
    label_width = min(LABEL_MAX, max((len(bar.label) + len(INDENT) for bar in every), default=0))
    bar_width = width - label_width - RIGHT_WIDTH - 3
    lines = [_clip(line, width) for line in _head(operation)]
    for device, shown in blocks:
        lines += ["", *_device_lines(device, operation["action"], width)]
        for bar in shown:
            lines.append(_clip(_bar_line(bar, span, label_width, bar_width), width))
            if bar.error:
                lines += textwrap.wrap(bar.error, width, initial_indent=" " * 6, subsequent_indent=" " * 6, max_lines=3)
    if every:
        legend = "   ".join(f"{sign} {mark.value}" for mark, sign in SIGNS.items())
        lines += ["", _clip(f"{legend}   one column = {short(span / bar_width)}", width)]
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


def _device_lines(device: Json, action: str, width: int) -> Iterator[str]:
    was = "on" if action == "on" else "off"
    already = f"  (was {was} already)" if device["already"] else ""
    word = "  (cuts_power: the operator vouches for it)" if device.get("cuts_power") else ""
    yield _clip(f"{device['name']}  level {device['level']}  {device['power']}{already}{word}", width)
    for left_out in device["excluded"]:
        yield _clip(f"  left out {left_out['proxy']}: {left_out['why']}", width)


def _bar_line(bar: Bar, span: int, label_width: int, bar_width: int) -> str:
    label = _clip(INDENT + bar.label, label_width).ljust(label_width)
    if bar.start is None:
        return f"{label} |{' ' * bar_width}|{'':>18}{bar.outcome}"
    end = span if bar.end is None else bar.end
    first = min(bar_width - 1, bar.start * bar_width // span)
    length = max(1, min(bar_width - first, round((end - bar.start) * bar_width / span)))
    drawn = (" " * first + SIGNS[bar.mark] * length).ljust(bar_width)
    took = "" if bar.end is None else f"+{short(bar.end - bar.start)}"
    return f"{label} |{drawn}|{short(bar.start):>8} {took:>8} {bar.outcome}"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
