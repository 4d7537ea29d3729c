"""The fleet: ten thousand hosts at a glance, filters in the address, and what a person must know first."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from markupsafe import Markup

from fenced.api import storms, views
from fenced.api.page.border import Visit, back
from fenced.api.page.drawing import draw, dumped
from fenced.api.page.pictures import SHOWN, Filter, Picture, chosen_of, square
from fenced.model.moments import rfc3339
from fenced.model.power import State
from fenced.ports.hosts import MappedHost

LISTED_MAX: Final = 100
"""Hosts in a table; the map has all."""
LETTERS: Final[Mapping[State, str]] = {
    State.UNKNOWN: "?",
    State.HEALTHY: "",
    State.SUSPECT: "S",
    State.DUMPING: "D",
    State.FENCING: "F",
    State.FENCED: "X",
    State.RESTORING: "R",
    State.FAILED: "!",
    State.LEFT: "L",
    State.MAINTENANCE: "M",
    State.SLEEPING: "Z",
}
"""What stands in a square beside its colour."""
SECTIONS: Final = ("_daemon.html", "_counts.html", "_listed.html")


async def fleet(visit: Visit) -> web.StreamResponse:
    """Draw the fleet; the whole name of a host leads to that host."""
    control, pictures = visit.call.control, visit.pictures
    position = str(await control.newest())  # before the hosts are looked at: what happens meanwhile is told again
    picture, chosen = pictures.now(control), Filter.of(visit.call.request.query)
    shown = chosen_of(picture, chosen)
    if [*chosen.words] == ["name"] and (named := [host for host in shown if host.name.lower() == chosen.name]):
        return back(f"/hosts/{quote(named[0].name)}")
    drawn = Markup(pictures.drawn(picture, chosen))  # noqa: S704 - escaped there
    return visit.page("fleet.html", {**seen(visit, picture, shown, chosen), "map": drawn, "position": position})


def fragments(visit: Visit, chosen: Filter, changed: frozenset[str]) -> str:
    """Return the sections, and the square of each host that changed."""
    picture = visit.pictures.now(visit.call.control)
    values = {**visit.common(), **seen(visit, picture, chosen_of(picture, chosen), chosen)}
    squares = "".join(square(host) for host in picture.hosts if host.name in changed)
    return "".join(draw(section, values) for section in SECTIONS) + squares


def seen(visit: Visit, picture: Picture, shown: Sequence[MappedHost], chosen: Filter) -> dict[str, Any]:
    """Return what the sections show."""
    call, control = visit.call, visit.call.control
    view = control.fleet()
    listed = shown if chosen.words else picture.troubled
    return {
        "fleet": view,
        "hosts": len(picture.hosts),
        "states": [(state.value, picture.states[state.value]) for state in State if picture.states.get(state.value)],
        "specials": [(show, word, picture.special[show]) for show, word in SHOWN.items()],
        "chosen": chosen,
        "shown": len(shown),
        "listed": [_row(visit, host) for host in listed[:LISTED_MAX]],
        "more": max(0, len(listed) - LISTED_MAX),
        "clusters": picture.clusters,
        "storms": [dumped(call, storms.shape(storm)) for storm in view.storms if storm.storm.end is None],
        "pauses": [dumped(call, views.pause(pause)) for pause in view.pauses],
        "controllers": [each.report.name for each in control.controllers()],
        "letters": {state.value: letter for state, letter in LETTERS.items()},
    }


def _row(visit: Visit, host: MappedHost) -> dict[str, Any]:
    """Return what the table has of a host; less than the API has, so that a hundred of them are quick."""
    state = visit.call.control.host(host.name).state
    since = rfc3339(visit.call.services.wall(state.since)) if state.since > 0 else None
    return {"host": host, "since": since, "power": sorted({power.value for _, power in state.power})}
