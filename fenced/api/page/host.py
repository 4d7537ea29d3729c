"""One host: its power, who sees it, what would happen if it died now, its history, and what a person can do."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from fenced.api import decisions, readiness, views
from fenced.api.callers import Role
from fenced.api.choosing import past
from fenced.api.page.actions import after, obey
from fenced.api.page.border import Visit, back
from fenced.api.page.drawing import draw, dumped
from fenced.model.names import HostName
from fenced.ports.control import NotFound
from fenced.ports.hosts import OperationsLike

HISTORY: Final = 20
MILLISECOND: Final = 0.001
SECTIONS: Final = ("_host_state.html", "_host_power.html", "_host_seen.html", "_host_why.html", "_host_history.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person can ask of a host. `route`: of the API. `is_typed`: the host's name must be typed for it."""

    word: str
    about: str
    route: str
    role: Role = Role.OPERATOR
    is_typed: bool = False
    is_dangerous: bool = False


ACTS: Final[Mapping[str, Act]] = {
    "off": Act(
        word="Power off", route="act", is_typed=True, is_dangerous=True,
        about="Cuts the power on all devices, and proves by reading back that the host is off.",
    ),
    "restart": Act(
        word="Restart", route="act", is_typed=True, is_dangerous=True,
        about="Cuts the power on all devices, proves it, announces the host as fenced, and gives the power back.",
    ),
    "on": Act(word="Power on", route="act", about="Gives the power back on all devices."),
    "status": Act(word="Read status", route="act", about="Reads every power device now. Nothing is switched."),
    "confirm-off": Act(
        word="Confirm off", route="confirmOff", role=Role.ADMIN, is_typed=True, is_dangerous=True,
        about="States that the host is off where its devices can't prove it. Its work may start elsewhere on your word "
        "alone: go there, pull the plug, then confirm.",
    ),
    "maintenance": Act(
        word="Maintenance", route="setMaintenance", about="The host is left alone: it is not fenced by itself.",
    ),
    "end-maintenance": Act(word="End maintenance", route="endMaintenance", about="The host is watched again."),
}  # fmt: skip
"""Part of the address -> what it does."""


async def host(visit: Visit) -> web.StreamResponse:
    """Draw the host; with `at` what was decided about it up to that moment."""
    position = str(await visit.call.control.newest())
    values = await seen(visit, visit.call.host)
    return visit.page("host.html", {**values, "position": position, "replay": await _replay(visit)})


async def fragments(visit: Visit, name: HostName) -> str:
    """Return the sections."""
    values = {**visit.common(), **await seen(visit, name)}
    return "".join(draw(section, values) for section in SECTIONS)


async def seen(visit: Visit, name: HostName) -> dict[str, Any]:
    """Return what the sections show. Raises NotFound."""
    control = visit.call.control
    explained = dumped(visit.call, views.explanation(await control.explain(name), control.inventory))
    found, operations, decided = await asyncio.gather(
        control.readiness(match=f"host={name}", is_all=True, limit=1, after=None),
        control.operations(OperationsLike(host=name), limit=HISTORY, after=None),
        control.decisions(name, before=None, limit=HISTORY, after=None),
    )
    judged = [dumped(visit.call, readiness.host(host, paths)) for host, paths in found.hosts]
    told = [dumped(visit.call, views.operation(item)) for item in operations.items]
    records = [dumped(visit.call, decisions.shape(item)) for item in decided.items]
    history = [{"at": one["started"], "operation": one} for one in told]
    history += [{"at": one["at"], "decision": one} for one in records]
    return {
        "host": explained["host"],
        "explained": explained,
        "paths": judged[0]["paths"] if judged else [],
        "looks": judged[0]["looks"] if judged else [],
        "history": sorted(history, key=lambda one: str(one["at"]), reverse=True)[:HISTORY],
        "acts": {
            word: act for word, act in ACTS.items() if visit.may(act.role) and _is_offered(word, explained["host"])
        },
    }


def _is_offered(word: str, found: Mapping[str, Any]) -> bool:
    """Return whether an action makes sense now. The daemon decides whether it is allowed."""
    if word == "maintenance":
        return found["maintenance"] is None
    return word != "end-maintenance" or found["maintenance"] is not None


async def _replay(visit: Visit) -> dict[str, Any] | None:
    """Return the last decision up to the moment of the address. Raises Rejection (422)."""
    text = visit.call.request.query.get("at", "").strip()
    if not text:
        return None
    before = past(visit.call, "at", text)
    assert before is not None
    found = await visit.call.control.decisions(visit.call.host, before=before + MILLISECOND, limit=1, after=None)
    return {"at": text, "found": [dumped(visit.call, decisions.shape(item)) for item in found.items]}


async def ask(visit: Visit) -> web.StreamResponse:
    """Draw the form of an action: what it does, a reason, and for a dangerous one the host's name to be typed."""
    word, act = _act(visit)
    control = visit.call.control
    explained = dumped(visit.call, views.explanation(await control.explain(visit.call.host), control.inventory))
    return visit.page(
        "ask.html",
        {"host": explained["host"], "explained": explained, "word": word, "act": act, "key": secrets.token_hex(16),
         "said": {}},
    )  # fmt: skip


async def do(visit: Visit) -> web.StreamResponse:
    """Obey the form of an action."""
    word, act = _act(visit)
    name, form = visit.call.host, visit.form
    visit.call.control.host(name)
    if act.is_typed and form.get("typed", "").strip() != name:
        return await _again(visit, word, act, f"Type {name}, the name of the host, to confirm. Nothing was done.")
    fields: dict[str, Any] = {"reason": form.get("reason", "")}
    is_forced = form.get("force") == "yes"
    match act.route:
        case "act":
            fields |= {"action": word, "force": is_forced}
        case "confirmOff":
            fields |= {"force": is_forced, "host": name}
        case "setMaintenance":
            fields["until"] = form.get("until", "").strip() or None
    answer = await obey(visit, act.route, fields)
    if act.route in ("setMaintenance", "endMaintenance"):
        return back(f"/hosts/{name}")
    return after(answer, f"/hosts/{name}")


async def _again(visit: Visit, word: str, act: Act, why: str) -> web.Response:
    control = visit.call.control
    explained = dumped(visit.call, views.explanation(await control.explain(visit.call.host), control.inventory))
    values = {"host": explained["host"], "explained": explained, "word": word, "act": act, "why": why,
              "key": secrets.token_hex(16), "said": dict(visit.form)}  # fmt: skip
    return visit.page("ask.html", values)


def _act(visit: Visit) -> tuple[str, Act]:
    """Return the action of the address. Raises NotFound, Rejection (403)."""
    word = visit.call.request.match_info["word"]
    if word not in ACTS:
        raise NotFound(f"a host has no action {word!r}")
    act = ACTS[word]
    if not visit.may(act.role):
        raise visit.session.principal.refusal(act.role)
    return word, act
