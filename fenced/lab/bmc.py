"""Emulated BMCs: one Redfish service (DSP0266) per host, over HTTP or HTTPS, with basic authentication.

Like a real BMC, it acknowledges a reset at once and carries it out after `delay_seconds`; in between it reports
PoweringOff or PoweringOn. A BMC without power does not answer at all.
"""

import asyncio
import base64
import binascii
import hmac
import json
import socket
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from fenced.lab.faults import SILENCE_MAX_SECONDS, FaultKind, Faults
from fenced.lab.rack import Rack
from fenced.model.inventory import Secret

ROOT: Final = "/redfish/v1"
SYSTEM: Final = f"{ROOT}/Systems/1"
RESET: Final = f"{SYSTEM}/Actions/ComputerSystem.Reset"
RESET_TYPES: Final = ("On", "ForceOff", "GracefulShutdown", "ForceRestart")
BODY_MAX_BYTES: Final = 65536
BMC_POLL_SECONDS: Final = 0.1
_IDENTITIES: Final = uuid.UUID("6f1d4c52-6f9b-4c0a-9e2c-1f3b6f0c2a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcSettings:
    """Settings of one BMC: the login, and how long a reset takes."""

    username: str
    password: Secret
    delay_seconds: float = 0.3
    tls: ssl.SSLContext | None = None


def fault_key(host: str) -> str:
    """Return the key of a host's BMC in Faults."""
    return f"bmc/{host}"


def system_uuid(host: str) -> str:
    """Return the host's system UUID, the same in every run."""
    return str(uuid.uuid5(_IDENTITIES, host))


class Bmc:
    """The Redfish service of one host."""

    def __init__(
        self, rack: Rack, *, host: str, settings: BmcSettings, faults: Faults, tasks: asyncio.TaskGroup
    ) -> None:
        self._rack = rack
        self._host = host
        self._settings = settings
        self._faults = faults
        self._tasks = tasks
        self._changing: asyncio.Task[None] | None = None
        self._transition: str | None = None
        self._claimed: str | None = None

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on the listening socket while the block runs."""
        runner = web.AppRunner(self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=1024, ssl_context=self._settings.tls).start()
        try:
            yield
        finally:
            if self._changing is not None:
                self._changing.cancel()
            await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_MAX_BYTES, middlewares=[self._guard])
        for path in (ROOT, f"{ROOT}/"):
            application.router.add_get(path, self._root)
        for path in (f"{ROOT}/Systems", f"{ROOT}/Systems/"):
            application.router.add_get(path, self._systems)
        for path in (SYSTEM, f"{SYSTEM}/"):
            application.router.add_get(path, self._system)
        application.router.add_post(RESET, self._reset)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self._hold()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        if request.path.rstrip("/") != ROOT and not self._is_login(request):
            return _problem(401, "Base.1.8.NoValidSession", headers={"WWW-Authenticate": 'Basic realm="bmc"'})
        return await handler(request)

    async def _hold(self) -> None:
        """Wait until the BMC can answer. A booting BMC answers later; one without power never. Raises TimeoutError."""
        async with asyncio.timeout(SILENCE_MAX_SECONDS):
            if not self._rack.has_bmc_power(self._host):
                await asyncio.Event().wait()
            while not self._rack.is_bmc_ready(self._host, now=time.monotonic()):  # noqa: ASYNC110 - the rack has no clock
                await asyncio.sleep(BMC_POLL_SECONDS)
        await self._faults.hold(fault_key(self._host))

    def _is_login(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = f"{self._settings.username}:{self._settings.password.reveal()}".encode()
        try:
            decoded = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(decoded, expected)

    async def _root(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "@odata.id": ROOT,
                "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
                "Id": "RootService",
                "Name": "fenced lab BMC",
                "RedfishVersion": "1.6.0",
                "Systems": {"@odata.id": f"{ROOT}/Systems"},
            }
        )

    async def _systems(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "@odata.id": f"{ROOT}/Systems",
                "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
                "Name": "Systems",
                "Members@odata.count": 1,
                "Members": [{"@odata.id": SYSTEM}],
            }
        )

    async def _system(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "@odata.id": SYSTEM,
                "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
                "Id": "1",
                "Name": self._host,
                "HostName": self._host,
                "UUID": system_uuid(self._host),
                "SystemType": "Physical",
                "PowerState": self._power_state(),
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": RESET,
                        "ResetType@Redfish.AllowableValues": list(RESET_TYPES),
                    }
                },
            }
        )

    async def _reset(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            return _problem(400, "Base.1.8.MalformedJSON")
        reset = body.get("ResetType") if isinstance(body, dict) else None
        if reset not in RESET_TYPES:
            return _problem(400, "Base.1.8.ActionParameterNotSupported")
        if self._faults.kind(fault_key(self._host)) in {FaultKind.STUCK, FaultKind.LYING}:
            self._claimed = "On" if reset in {"On", "ForceRestart"} else "Off"
            return web.Response(status=204)
        if self._transition is not None:
            return _problem(409, "Base.1.8.ResourceInUse")
        if reset == "GracefulShutdown":
            self._changing = self._tasks.create_task(self._ask_down(), name=f"power button of {self._host}")
            return web.Response(status=204)
        if reset != "ForceRestart" and self._rack.has_power(self._host) == (reset == "On"):
            self._rack.set_chassis(self._host, is_on=reset == "On")  # already in that state, so no transition
            return web.Response(status=204)
        self._transition = "PoweringOn" if reset == "On" else "PoweringOff"
        self._changing = self._tasks.create_task(self._change(reset), name=f"reset of {self._host}")
        return web.Response(status=204)

    async def _change(self, reset: str) -> None:
        try:
            await asyncio.sleep(self._settings.delay_seconds)
            if reset in {"ForceOff", "ForceRestart"}:
                self._rack.set_chassis(self._host, is_on=False)
            if reset in {"On", "ForceRestart"}:
                self._rack.set_chassis(self._host, is_on=True)
        finally:
            self._transition = None

    async def _ask_down(self) -> None:
        """Press the power button. The chassis reads On until the host's operating system has switched it off."""
        await asyncio.sleep(self._settings.delay_seconds)
        self._rack.ask_down(self._host)

    def _power_state(self) -> str:
        if self._faults.kind(fault_key(self._host)) is FaultKind.LYING and self._claimed is not None:
            return self._claimed
        has_power = self._rack.has_power(self._host)
        if self._transition == ("PoweringOff" if has_power else "PoweringOn"):
            return self._transition
        return "On" if has_power else "Off"


def _problem(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": message, "message": message}}, status=status, headers=headers)
