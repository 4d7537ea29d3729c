"""What a form does: a request of the API's route table, with its role, its body and its handler.

So the page can do nothing that a program can't, and what is written in the journal is the same. A form carries a key:
pressed twice, or sent again after a reload of the page, it is obeyed once.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from fenced.api.border import refuse_at_standby
from fenced.api.call import Call, Route
from fenced.api.idempotency import Key
from fenced.api.page.border import Visit, back
from fenced.api.problems import faults_of, unprocessable
from fenced.api.routes import ROUTES
from fenced.api.shapes import Accepted, Fault, Shape

API: Final[Mapping[str, Route]] = {route.name: route for route in ROUTES}
KEY_FIELD: Final = "key"
KEY_MAX: Final = 64


async def obey(visit: Visit, name: str, fields: Mapping[str, Any]) -> Shape | None:
    """Do what the route of that name does. Raises Rejection and what its handler raises."""
    route = API[name]
    principal = visit.session.principal
    if route.role is not None and not visit.may(route.role):
        raise principal.refusal(route.role)
    call = replace(visit.call, body=_body(visit.call, route, fields), key=_key(visit, fields))
    if route.is_change and not route.is_restricting:
        await refuse_at_standby(call)
    answer = await route.handle(call)
    assert not isinstance(answer, web.StreamResponse)
    return answer


def _body(call: Call, route: Route, fields: Mapping[str, Any]) -> Any:
    """Return the fields as the route's body. Raises Rejection (422) with every fault."""
    if route.body is None:
        return None
    times = {"now": call.services.clock.now(), "ahead_seconds": call.services.ahead_seconds()}
    try:
        return route.body.model_validate_json(json.dumps(fields), context=times)
    except ValidationError as exc:
        raise unprocessable(*faults_of(exc)) from exc
    except ValueError as exc:
        raise unprocessable(Fault(path="", reason=str(exc))) from exc


def _key(visit: Visit, fields: Mapping[str, Any]) -> Key | None:
    given = visit.form.get(KEY_FIELD, "")[:KEY_MAX]
    if not given:
        return None
    who = f"{visit.session.principal.by('')}\n{given}".encode()
    what = f"{visit.call.request.path}\n{json.dumps(fields, sort_keys=True)}".encode()
    return Key(caller=f"key {hashlib.sha256(who).hexdigest()}", content=hashlib.sha256(what).hexdigest())


def after(answer: Shape | None, otherwise: str) -> web.Response:
    """Send the browser to the operation that a form began, or else to another page."""
    if isinstance(answer, Accepted) and answer.operation:
        return back(f"/operations/{answer.operation}")
    return back(otherwise)
