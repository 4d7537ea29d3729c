"""The proxy agent's HTTP server: checks who calls, bounds the number and size of calls, and reports results.

Knows aiohttp and the protocol; calls.py carries out the calls. Every answer is bounded and contains no secret. A power
command that has started runs to its own deadline, even if the daemon hangs up.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from fenced.model.identity import comparable
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Outcome, Power
from fenced.net.bodies import not_yet, read_whole, refuse_encoded
from fenced.net.door import let_in
from fenced.ports.devices import CommandRefused, DeviceError, DeviceTimedOut
from fenced.ports.proxies import AgentTelemetry
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.credentials import Credentials
from fenced.proxy.lending import Lending
from fenced.proxy.look_protocol import LOOK_PATH, LookAnswer, LookRequest
from fenced.proxy.looks import Looks, TooManyLooks
from fenced.proxy.protocol import (
    CALL_BYTES_MAX,
    CALL_PATH,
    FLOOR_PATH,
    HEALTH_PATH,
    METRICS_PATH,
    STATUS_PATH,
    Answer,
    Call,
    InFlight,
    M,
    Problem,
    RaiseFloor,
    Status,
    WireError,
    WirePermit,
    read,
)
from fenced.proxy.tls import common_name

READS_MAX: Final = 8192
COMMANDS_MAX: Final = 4096
BODY_SECONDS_MAX: Final = 10.0
FAULTS_SHOWN_MAX: Final = 10
LOOPBACK_CALLER: Final = "loopback"
JSON: Final = "application/json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Further facts for the status: available drivers, how many programs may run at once, whose tokens are accepted,
    and why the last reload changed nothing."""

    drivers: Callable[[], tuple[str, ...]]
    capacity: int
    store: Callable[[], Awaitable[str | None]]
    reload_refused: Callable[[], str]


class ProxyServer:
    """`tasks`: the group of running power commands; the caller waits for it before the process ends."""

    def __init__(
        self,
        *,
        name: str,
        version: str,
        calls: Calls,
        allow: frozenset[str],
        credentials: Credentials,
        lending: Lending,
        looks: Looks,
        context: ssl.SSLContext | None,
        clock: ProxyClock,
        tasks: asyncio.TaskGroup,
        telemetry: AgentTelemetry,
        facts: Facts,
    ) -> None:
        """`allow`: the names of client certificates, without `CN=`. Without TLS (loopback only) callers have no name.
        `context`: for new connections. Connections with an earlier one close after their next answer."""
        self._name = name
        self._version = version
        self._calls = calls
        self._allow = allow
        self._credentials, self._lending, self._looks = credentials, lending, looks
        self.context = context
        self._clock = clock
        self._tasks = tasks
        self._telemetry, self._facts = telemetry, facts
        self._started = clock.now()
        self._reads = 0
        self._commands = 0
        self._is_stopping = False

    def application(self) -> web.Application:
        """Return the routes. Run them with `handler_cancellation`, so that a daemon that hangs up cancels its reads."""
        application = web.Application(client_max_size=CALL_BYTES_MAX, middlewares=[self._border])
        application.router.add_post(CALL_PATH, self._call, expect_handler=not_yet)
        application.router.add_post(FLOOR_PATH, self._floor, expect_handler=not_yet)
        application.router.add_post(LOOK_PATH, self._look, expect_handler=not_yet)
        application.router.add_get(STATUS_PATH, self._status, expect_handler=not_yet)
        application.router.add_get(HEALTH_PATH, self._health, expect_handler=not_yet)
        application.router.add_get(METRICS_PATH, self._metrics, expect_handler=not_yet)
        return application

    def use(self, *, allow: frozenset[str]) -> None:
        """Allow these callers from the next request on."""
        self._allow = allow

    def stop(self) -> None:
        """Reject further calls; running ones go on."""
        self._is_stopping = True

    @property
    def commands_in_flight(self) -> int:
        return self._commands

    @property
    def reads_in_flight(self) -> int:
        return self._reads

    @web.middleware
    async def _border(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass every answer through; close connections that use an earlier certificate."""
        response = await self._guarded(request, handler)
        if _context(request) is not self.context:
            response.force_close()
        return response

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every error into an answer that does not repeat the request."""
        try:
            refuse_encoded(request)
            if request.path != HEALTH_PATH:
                name = _caller(request)
                if self.context is not None and name not in self._allow:
                    _log.warning("caller not allowed", name=name, peer=request.remote)
                    return _problem(403, "not allowed", f"CN={name} is not in this proxy's allow list"[:300])
                let_in(request)
            return await handler(request)
        except web.HTTPException as exc:
            return _problem(exc.status, exc.reason)
        except Exception as exc:
            _log_internal(exc, where=request.path)
            return _problem(500, "internal error", "see the log of the proxy agent")

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n", status=503 if self._is_stopping else 200)

    async def _status(self, _: web.Request) -> web.StreamResponse:
        store = await self._facts.store()
        status = Status(
            name=self._name,
            version=self._version,
            clock=self._clock.wire(),
            in_flight=InFlight(reads=self._reads, commands=self._commands),
            uptime=max(0.0, self._clock.now() - self._started),
            drivers=self._facts.drivers(),
            store=store or "",
            capacity=self._facts.capacity,
            floors=self._calls.floors(store),
            looking=self._looks.shown,
            reload_refused=self._facts.reload_refused(),
        )
        return _json(status)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        body, kind = self._telemetry.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    async def _floor(self, request: web.Request) -> web.StreamResponse:
        wanted = await self._body(request, RaiseFloor, "a floor")
        return wanted if isinstance(wanted, web.Response) else _json(await self._calls.raise_floor(wanted))

    async def _look(self, request: web.Request) -> web.StreamResponse:
        wanted = await self._body(request, LookRequest, "a look")
        if isinstance(wanted, web.Response):
            return wanted
        try:
            seen = await self._looks.look(wanted, who=_caller(request) or LOOPBACK_CALLER)
        except TooManyLooks as exc:
            return _problem(503, str(exc))
        return _json(LookAnswer(id=wanted.id, looks=seen, clock=self._clock.wire()))

    async def _body(self, request: web.Request, model: type[M], what: str) -> M | web.Response:
        """Return the body of a request, or why it is rejected."""
        # Only JSON: a browser page of another origin can't send that to this machine without a preflight request.
        if request.content_type != JSON:
            return _problem(415, "the body must be application/json")
        try:
            body = await read_whole(request, seconds=BODY_SECONDS_MAX)
        except TimeoutError:
            return _problem(408, "the body did not arrive in time")
        except (web.PayloadAccessError, web.RequestPayloadError, HttpProcessingError):
            return _problem(422, "the body does not match its transfer encoding")
        try:
            found = read(model, body)
        except ValidationError as exc:
            return _problem(422, f"not {what}", _faults(exc))
        except ValueError as exc:
            return _problem(422, f"not {what}: {exc}")
        return _problem(503, "the proxy agent is stopping") if self._is_stopping else found

    async def _call(self, request: web.Request) -> web.StreamResponse:
        call = await self._body(request, Call, "a call")
        if isinstance(call, web.Response):
            return call
        who = _caller(request) or LOOPBACK_CALLER
        try:
            given = call.device.spec()
            spec = self._credentials.filled(given, who)
            await self._lending.check(given, also=self._credentials.options_of(given.credential))
        except DeviceError as exc:
            _log.warning("call refused", who=who, credential=call.device.credential[:64], error=str(exc))
            if call.permit is None:
                return self._answer(call, Outcome.UNKNOWN, (), power=Power.UNKNOWN, error=exc)
            return self._answer(call, _outcome(exc), (), error=exc)
        if call.permit is None:
            return await self._read(call, spec)
        return await self._command(call, call.permit, spec, who)

    async def _read(self, call: Call, spec: DeviceSpec) -> web.StreamResponse:
        if self._reads >= READS_MAX:
            return _problem(503, f"{READS_MAX} reads are under way")
        self._reads += 1
        started, result = time.monotonic(), "unknown"
        try:
            found = await self._calls.read(call, spec)
            result = found.power.value
        except DeviceError as exc:
            result = exc.kind
            return self._answer(call, Outcome.UNKNOWN, spec.all_secrets, power=Power.UNKNOWN, error=exc)
        except Exception as exc:  # the border to the drivers
            _log_internal(exc, where=call.device.driver)
            return self._answer(
                call, Outcome.UNKNOWN, spec.all_secrets, power=Power.UNKNOWN, error=_internal(call, exc)
            )
        finally:
            self._reads -= 1
            self._count(call, result, started)
        identities = comparable(found.identities, secrets=spec.all_secrets)
        return self._answer(call, Outcome(result), (), power=found.power, identities=identities)

    async def _command(self, call: Call, permit: WirePermit, spec: DeviceSpec, who: str) -> web.StreamResponse:
        if self._commands >= COMMANDS_MAX:
            return _problem(503, f"{COMMANDS_MAX} power commands are under way")
        self._commands += 1
        task = self._tasks.create_task(
            self._carry_out(call, permit, spec, who), name=f"{call.what.value} {call.device.plug_id} {permit.token}"
        )
        # Shielded: if the daemon hangs up, the command runs to its own deadline; the daemon waits for not_after.
        error = await asyncio.shield(task)
        return self._answer(call, _outcome(error), spec.all_secrets, error=error)

    async def _carry_out(self, call: Call, permit: WirePermit, spec: DeviceSpec, who: str) -> DeviceError | None:
        """Return how the command ended. Never raises: an exception would cancel the other commands of the group."""
        started = time.monotonic()
        error: DeviceError | None = None
        try:
            await self._calls.command(call, permit, spec)
        except DeviceError as exc:
            error = exc
        except Exception as exc:  # the border to the drivers
            _log_internal(exc, where=call.device.driver)
            error = _internal(call, exc)
        finally:
            self._commands -= 1
        self._count(call, "done" if error is None else error.kind, started)
        _log.info(
            "power command",
            who=who,
            what=call.what.value,
            driver=call.device.driver,
            plug=call.device.plug_id,
            token=permit.token,
            outcome=_outcome(error).value,
            error=None if error is None else WireError.of(error, spec.all_secrets).text,
            milliseconds=round((time.monotonic() - started) * 1000),
        )
        return error

    def _count(self, call: Call, result: str, started: float) -> None:
        seconds = time.monotonic() - started
        self._telemetry.call_ended(what=call.what.value, driver=call.device.driver, result=result, seconds=seconds)

    def _answer(
        self,
        call: Call,
        outcome: Outcome,
        secrets: tuple[str, ...],
        *,
        power: Power | None = None,
        error: DeviceError | None = None,
        identities: tuple[str, ...] = (),
    ) -> web.StreamResponse:
        """`secrets`: those passed to the driver; a badly written agent may have printed them into the error."""
        return _json(
            Answer(
                id=call.id,
                outcome=outcome,
                power=power,
                error=None if error is None else WireError.of(error, secrets),
                clock=self._clock.wire(),
                identities=identities,
                floor=self._calls.floor(call),
            )
        )


def _outcome(error: DeviceError | None) -> Outcome:
    match error:
        case None:
            return Outcome.DONE
        case CommandRefused():
            return Outcome.REFUSED
        case DeviceTimedOut():
            return Outcome.TIMED_OUT
        case _:
            return Outcome.FAILED


def _caller(request: web.Request) -> str | None:
    transport = request.transport
    return None if transport is None else common_name(transport.get_extra_info("peercert"))


def _context(request: web.Request) -> object:
    """Return the TLS context with which the request's connection was accepted."""
    transport = request.transport
    return None if transport is None else transport.get_extra_info("sslcontext")


def _internal(call: Call, exc: Exception) -> DeviceError:
    return DeviceError(
        f"internal error in driver {call.device.driver} ({type(exc).__name__}); see the log of the proxy agent",
        is_end_known=False,
    )


def _log_internal(exc: Exception, *, where: str) -> None:
    """Log type and place of an internal error. Its text may contain what was sent, so leave that out."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    _log.error("internal error", where=where, kind=type(exc).__name__, place=place)


def _faults(exc: ValidationError) -> str:
    found = exc.errors(include_url=False, include_input=False, include_context=False)
    faults = [f"{'.'.join(str(part)[:64] for part in fault['loc'])}: {fault['msg'][:200]}" for fault in found]
    return "; ".join(faults[:FAULTS_SHOWN_MAX])[:4000]


def _problem(status: int, title: str, detail: str = "") -> web.Response:
    return _json(Problem(title=title, status=status, detail=detail), status=status)


def _json(body: BaseModel, *, status: int = 200) -> web.Response:
    kind = "application/problem+json" if isinstance(body, Problem) else JSON
    return web.Response(body=body.model_dump_json().encode(), status=status, content_type=kind)
