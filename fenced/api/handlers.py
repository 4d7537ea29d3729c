"""The handlers: each calls the control port and shows its answer.

They decide nothing: the engine decides, and names the rule that refused. They raise refusals; the border turns them
into problem documents.
"""

from http import HTTPStatus
from itertools import islice
from typing import Final

import structlog
from aiohttp import web

from fenced.api import bodies, shapes, views
from fenced.api.call import Call
from fenced.api.choosing import HostsQuery, OperationsQuery, operations_like
from fenced.api.problems import Rejection, unprocessable
from fenced.model.names import OperationId
from fenced.ports.control import Accepted
from fenced.ports.health import Malformed, health
from fenced.ports.reloading import OtherFile

log = structlog.stdlib.get_logger("fenced.api")

FLAWS_MAX: Final = 1000
"""Mistakes of a configuration in one answer."""


async def hosts(call: Call) -> shapes.Hosts:
    """Hosts, by name."""
    query = call.asked(HostsQuery)
    chosen = call.control.hosts(after=query.after, like=query.like)
    page = [*islice(chosen, query.limit)]
    is_more = next(chosen, None) is not None
    return shapes.Hosts(items=[views.host(view) for view in page], next=page[-1].state.name if is_more else None)


async def host(call: Call) -> shapes.Host:
    """One host."""
    return views.host(call.control.host(call.host))


async def explain(call: Call) -> shapes.Explanation:
    """Why a host is as it is: each gate with its reason, what is known, the plan, the newest records."""
    return views.explanation(await call.control.explain(call.host), call.control.inventory)


async def act(call: Call) -> shapes.Accepted:
    """Start or join an operation on a host."""
    body = call.given(bodies.ActionBody)
    answer = await call.control.act(
        call.host, body.action, by=call.principal.by(body.by), reason=body.reason, is_forced=body.force
    )
    return views.accepted(answer, warnings=call.warnings)


async def drill(call: Call) -> shapes.Accepted:
    """Fence a living spare host for real, to show that a fence would work. `last_drill` of the host has the result."""
    body = call.given(bodies.DrillBody)
    answer = await call.control.drill(
        call.host, by=call.principal.by(body.by), reason=body.reason, is_forced=body.force
    )
    return views.accepted(answer, warnings=call.warnings)


async def confirm_off(call: Call) -> shapes.Accepted:
    """An operator confirms that the host is off. `force` needs the host's name again in `host`."""
    body = call.given(bodies.ConfirmOffBody)
    name = call.host
    call.control.host(name)  # an unknown host is a 404, before any fault of the body
    if body.host is None and body.force:
        raise unprocessable(shapes.Fault(path="host", reason="force needs the host's name again; give it here"))
    if body.host is not None and body.host != name:
        raise unprocessable(shapes.Fault(path="host", reason="this is not the host's name in the path"))
    answer = await call.control.confirm_off(
        name, by=call.principal.by(body.by), reason=body.reason, is_forced=body.force
    )
    return views.accepted(answer, warnings=call.warnings)


async def set_maintenance(call: Call) -> shapes.Host:
    """Put a host into maintenance: fenced leaves it alone."""
    body = call.given(bodies.MaintenanceBody)
    by = call.principal.by(body.by)
    await call.control.set_maintenance(call.host, by=by, reason=body.reason, until=body.until)
    return views.host(call.control.host(call.host))


async def end_maintenance(call: Call) -> shapes.Host:
    """End a host's maintenance."""
    body = call.given(bodies.ReasonBody)
    await call.control.end_maintenance(call.host, by=call.principal.by(body.by), reason=body.reason)
    return views.host(call.control.host(call.host))


async def operations(call: Call) -> shapes.Operations:
    """Operations, newest first."""
    query = call.asked(OperationsQuery)
    page = await call.control.operations(operations_like(call), limit=query.limit, after=query.after)
    return shapes.Operations(items=[views.operation(item) for item in page.items], next=page.next)


async def operation(call: Call) -> shapes.Operation:
    """One operation with its whole story."""
    return views.operation(await call.control.operation(_operation_id(call)))


async def cancel(call: Call) -> shapes.Accepted:
    """Cancel an operation; it ends once its commands are settled."""
    body = call.given(bodies.ReasonBody)
    name = _operation_id(call)
    await call.control.cancel(name, by=call.principal.by(body.by), reason=body.reason)
    return views.accepted(Accepted(operation=name), warnings=call.warnings)


def _operation_id(call: Call) -> OperationId:
    return OperationId(call.request.match_info["operation"])


async def proxies(call: Call) -> shapes.Proxies:
    """The proxies, each with its last answer."""
    return shapes.Proxies(items=[views.proxy(view) for view in call.control.proxies()], next=None)


async def pauses(call: Call) -> shapes.Pauses:
    """Pauses of automatic fencing."""
    found = call.control.fleet().pauses
    return shapes.Pauses(items=[views.pause(pause) for pause in found], next=None)


async def pause(call: Call) -> shapes.Pause:
    """Pause automatic fencing for the hosts that an expression selects."""
    body = call.given(bodies.PauseBody)
    made = await call.control.pause(
        match=body.match, by=call.principal.by(body.by), reason=body.reason, until=body.until
    )
    return views.pause(made)


async def end_pause(call: Call) -> None:
    """End a pause."""
    body = call.given(bodies.AllShardsBody)
    by, name = call.principal.by(body.by), call.request.match_info["pause"]
    await call.of_shard(body.shard).end_pause(name, by=by)
    log.info("pause_ended", pause=name, by=by, reason=body.reason)


async def fleet(call: Call) -> shapes.Fleet:
    """The daemon: whether it is armed, connected, active or a standby, and who acts."""
    return await _fleet(call)


async def _fleet(call: Call) -> shapes.Fleet:
    controllers = await call.control.look_at_controllers()
    return views.fleet(call.control.fleet(), controllers)


async def arm(call: Call) -> shapes.Fleet:
    """Revoke every earlier disarm (refused while the configuration says armed = false)."""
    body = call.given(bodies.AllShardsBody)
    await call.of_shard(body.shard).arm(by=call.principal.by(body.by), reason=body.reason)
    return await _fleet(call)


async def disarm(call: Call) -> shapes.Fleet:
    """Forbid every power command until the next `arm`."""
    body = call.given(bodies.AllShardsBody)
    await call.of_shard(body.shard).disarm(by=call.principal.by(body.by), reason=body.reason)
    return await _fleet(call)


async def release_store(call: Call) -> shapes.Fleet:
    """Accept a store that is in doubt, so that it decides again (409 if no store is in doubt)."""
    body = call.given(bodies.ReleaseBody)
    await call.of_shard(body.shard).release_store(by=call.principal.by(body.by), reason=body.reason)
    return await _fleet(call)


async def reload(call: Call) -> shapes.Reloaded:
    """Read the configuration again, and wait until it is in force, or refused with every mistake (409)."""
    log.info("reload_requested", by=call.principal.by(""))
    try:
        verdict = await call.services.reload(call.given(bodies.ReloadBody).file)
    except OtherFile as exc:
        raise Rejection(HTTPStatus.CONFLICT, str(exc), rule="file") from exc
    if not verdict.refused:
        return shapes.Reloaded(
            changes=list(verdict.changes), warnings=list(verdict.warnings), restart=list(verdict.restart)
        )
    faults = [shapes.Fault(path=flaw.place, reason=flaw.reason) for flaw in verdict.flaws[:FLAWS_MAX]]
    if len(verdict.flaws) > FLAWS_MAX:
        faults.append(shapes.Fault(path="", reason=f"and {len(verdict.flaws) - FLAWS_MAX} more"))
    faults += [shapes.Fault(path=key, reason="needs a restart") for key in verdict.restart]
    raise Rejection(HTTPStatus.CONFLICT, verdict.refused, rule="reload", faults=tuple(faults))


async def report_health(call: Call) -> None:
    """A heartbeat or report of a host, the same as on the bus; an empty body means `ok`."""
    payload = await call.request.read()  # aiohttp keeps what the border has read
    try:
        beat = health(payload.strip(), host=call.host, received=call.services.clock.now())
    except Malformed as exc:
        raise unprocessable(shapes.Fault(path="", reason=str(exc))) from exc
    await call.control.report_health(beat)


async def healthz(call: Call) -> shapes.Health:
    """Whether the event loop runs."""
    return shapes.Health(status="ok")


async def readyz(call: Call) -> web.Response:
    """Whether configuration, journal, bus connection and subscriptions are ready (503 if not), also at a standby."""
    seen = call.control.fleet()
    shape = shapes.Readiness(
        ready=seen.is_ready,
        not_ready=list(seen.not_ready),
        warnings=list(seen.warnings),
        daemon=views.fleet(seen, call.control.controllers()),
    )
    status = HTTPStatus.OK if seen.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(text=shape.model_dump_json(), status=int(status), content_type="application/json")


async def metrics(call: Call) -> web.Response:
    """Metrics for Prometheus; OpenMetrics if the Accept header asks for it."""
    body, content_type = call.services.metrics(call.request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
