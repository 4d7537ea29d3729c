"""What holds automatic fencing: storms and pauses, with the forms that end them, and whether the fleet is armed. And
who asked for what."""

import secrets
from typing import Any, Final

from aiohttp import web

from fenced.api import audit as auditing
from fenced.api import storms as shapes
from fenced.api import views
from fenced.api.page.actions import obey
from fenced.api.page.border import Visit, back
from fenced.api.page.drawing import draw, dumped

STORM_SECTIONS: Final = ("_storms.html",)
PAUSE_SECTIONS: Final = ("_pauses.html",)
AUDITED: Final = 200


def storms_seen(visit: Visit) -> dict[str, Any]:
    """Return the storms that last, and the last one of each other domain."""
    found = sorted(visit.call.control.fleet().storms, key=lambda view: (view.storm.end is not None, -view.storm.since))
    return {"storms": [dumped(visit.call, shapes.shape(view)) for view in found], "key": secrets.token_hex(16)}


async def storms(visit: Visit) -> web.StreamResponse:
    """Draw the storms."""
    position = str(await visit.call.control.newest())
    return visit.page("storms.html", {**storms_seen(visit), "position": position})


def storm_fragments(visit: Visit) -> str:
    """Return the sections."""
    values = {**visit.common(), **storms_seen(visit)}
    return "".join(draw(section, values) for section in STORM_SECTIONS)


async def release(visit: Visit) -> web.StreamResponse:
    """End a storm."""
    await obey(visit, "releaseStorm", {"reason": visit.form.get("reason", "")})
    return back("/storms")


def pauses_seen(visit: Visit) -> dict[str, Any]:
    """Return the pauses."""
    found = visit.call.control.fleet().pauses
    return {"pauses": [dumped(visit.call, views.pause(pause)) for pause in found], "key": secrets.token_hex(16)}


async def pauses(visit: Visit) -> web.StreamResponse:
    """Draw the pauses, and the form of a new one."""
    position = str(await visit.call.control.newest())
    match = visit.call.request.query.get("match", "*")[:1000]
    return visit.page("pauses.html", {**pauses_seen(visit), "position": position, "match": match})


def pause_fragments(visit: Visit) -> str:
    """Return the sections."""
    values = {**visit.common(), **pauses_seen(visit)}
    return "".join(draw(section, values) for section in PAUSE_SECTIONS)


async def pause(visit: Visit) -> web.StreamResponse:
    """Pause automatic fencing."""
    until = visit.form.get("until", "").strip() or None
    fields = {"match": visit.form.get("match", ""), "reason": visit.form.get("reason", ""), "until": until}
    await obey(visit, "pause", fields)
    return back("/pauses")


async def end_pause(visit: Visit) -> web.StreamResponse:
    """End a pause."""
    await obey(visit, "endPause", {"reason": visit.form.get("reason", "")})
    return back("/pauses")


async def ask_fleet(visit: Visit) -> web.StreamResponse:
    """Draw the form that arms or disarms."""
    return visit.page("ask_fleet.html", {"word": visit.call.request.match_info["word"], "key": secrets.token_hex(16)})


async def do_fleet(visit: Visit) -> web.StreamResponse:
    """Arm or disarm."""
    await obey(visit, visit.call.request.match_info["word"], {"reason": visit.form.get("reason", "")})
    return back("/")


async def audit(visit: Visit) -> web.StreamResponse:
    """Draw who asked for what."""
    page = await visit.call.control.audit(limit=AUDITED, after=visit.call.request.query.get("after") or None)
    items = [dumped(visit.call, auditing.shape(entry)) for _, entry in page.entries]
    return visit.page("audit.html", {"items": items, "next": page.next})
