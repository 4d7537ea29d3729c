"""One operation: the waterfall that grows while it runs, every error in full, and what a person can do now."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from fenced.api import views
from fenced.api.page.actions import obey
from fenced.api.page.border import Visit, back
from fenced.api.page.drawing import draw, dumped
from fenced.model.bars import Bar, bars, duration_ms, short, span_ms
from fenced.model.names import HostName, OperationId
from fenced.ports.hosts import OperationsLike

SECTIONS: Final = ("_operation.html",)
LISTED: Final = 100
WIDTH: Final = 1000
"""Units of the picture."""


async def operations(visit: Visit) -> web.StreamResponse:
    """List the newest operations, of one host if the address names it."""
    name = visit.call.request.query.get("host", "")[:253]
    after = visit.call.request.query.get("after") or None
    like = OperationsLike(host=visit.call.control.host(HostName(name)).state.name if name else None)
    page = await visit.call.control.operations(like, limit=LISTED, after=after)
    items = [dumped(visit.call, views.operation(item)) for item in page.items]
    return visit.page("operations.html", {"items": items, "host_name": name, "next": page.next})


async def operation(visit: Visit) -> web.StreamResponse:
    """Draw one operation."""
    position = str(await visit.call.control.newest())
    values = await seen(visit, OperationId(visit.call.request.match_info["operation"]))
    return visit.page("operation.html", {**values, "position": position})


async def fragments(visit: Visit, name: OperationId) -> str:
    """Return the sections."""
    values = {**visit.common(), **await seen(visit, name)}
    return "".join(draw(section, values) for section in SECTIONS)


async def seen(visit: Visit, name: OperationId) -> dict[str, Any]:
    """Return what the sections show. Raises NotFound."""
    given = await visit.call.control.operation(name)
    found = dumped(visit.call, views.operation(given))
    now_ms = round((visit.call.services.clock.now() - given.started) * 1000) if found["state"] == "running" else None
    drawn = [(device, [*bars(device)]) for device in found["devices"]]
    span = span_ms(found, [bar for _, each in drawn for bar in each], now_ms)
    took = duration_ms(found)
    return {
        "it": found,
        "devices": [{"device": device, "bars": [_drawn(bar, span) for bar in each]} for device, each in drawn],
        "span": short(span),
        "took": None if took is None else short(took),
        "advice": advice(found),
    }


def _drawn(bar: Bar, span: int) -> dict[str, Any]:
    """Return a bar in units of the picture."""
    end = span if bar.end is None else bar.end
    left = None if bar.start is None else round(bar.start * WIDTH / span)
    return {
        "label": bar.label,
        "mark": bar.mark.value.split()[-1],
        "left": left,
        "width": 0 if left is None else max(4, round(end * WIDTH / span) - left),
        "began": "" if bar.start is None else short(bar.start),
        "took": "" if bar.start is None or bar.end is None else short(bar.end - bar.start),
        "outcome": bar.outcome.replace("_", " "),
        "error": bar.error,
    }


def advice(found: Mapping[str, Any]) -> str:
    """Return what a person can do now."""
    host, fenced = found["host"], found["result"]["fenced"]
    match found["state"]:
        case "running":
            return "It runs. Cancelling stops it once its commands can no longer act."
        case "failed" if not fenced and found["action"] in ("off", "restart"):
            return (
                f"{host} is NOT proven off: do not start its work elsewhere. Read the errors below; if you know that "
                "it is off, because you pulled its plugs, confirm that on its page."
            )
        case "failed":
            return f"The power of {host} did not come back everywhere: see its devices, and try to power it on again."
        case "cancelled":
            return "It was cancelled: nothing more is switched by it."
        case _:
            return ""


async def cancel(visit: Visit) -> web.StreamResponse:
    """Stop an operation."""
    name = visit.call.request.match_info["operation"]
    await obey(visit, "cancelOperation", {"reason": visit.form.get("reason", "")})
    return back(f"/operations/{name}")
