"""A Redfish service for tests: every answer can be replaced, every request is recorded."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from fenced.drivers.redfish.driver import Redfish
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import Driver
from tests.drivers.programs import spec_of, starts_into

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

USERNAME, PASSWORD = "fence", "hunter2&co"
ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
SYSTEM = f"{SYSTEMS}/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
MANAGER = "/redfish/v1/Managers/bmc"
SESSIONS = "/redfish/v1/SessionService/Sessions"


class Bmc:
    """One system as in DSP2046. `answers` replaces the answer of a method and path.

    `properties`: further ones of a system, by its name or "" for all. `manager`: the manager's resource; None: there is
    none. `tokens`: the open sessions; with `is_session_needed` every request needs one.
    """

    def __init__(self) -> None:
        self.power: Any = "On"
        self.allowable: list[str] | None = ["On", "ForceOff", "GracefulShutdown"]
        self.members = ["1"]
        self.properties: dict[str, dict[str, Any]] = {}
        self.manager: dict[str, Any] | None = None
        self.answers: dict[tuple[str, str], Handler] = {}
        self.requests: list[tuple[str, str]] = []
        self.commands: list[Any] = []
        self.authorizations: set[str | None] = set()
        self.peers: set[object] = set()
        self.tokens: dict[str, str] = {}
        self.logins = 0
        self.sessions_max = 4
        self.is_session_needed = False
        self.address = ""

    @property
    def posts(self) -> list[str]:
        """The paths of received commands."""
        return [path for method, path in self.requests if method == "POST" and path != SESSIONS]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.authorizations.add(request.headers.get("Authorization"))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        answer = self.answers.get((request.method, request.path))
        if answer is not None:
            return await answer(request)
        if request.path.startswith(SESSIONS):
            return await self.session(request)
        if self.is_session_needed and request.path != ROOT and request.headers.get("X-Auth-Token") not in self.tokens:
            return web.json_response({"error": {"message": "log in first"}}, status=401)
        if request.method == "POST":
            self.commands.append(await request.json())
            reset_type = self.commands[-1]["ResetType"]
            self.power = {"ForceOff": "Off", "On": "On", "ForceOn": "On", "GracefulShutdown": self.power}[reset_type]
            return web.Response(status=204)
        return self.resource(request.path)

    async def session(self, request: web.Request) -> web.Response:
        """The session service of DSP0266."""
        if request.method == "DELETE":
            ended = [token for token, path in self.tokens.items() if path == request.path]
            if request.headers.get("X-Auth-Token") not in ended:
                return web.Response(status=401)
            del self.tokens[ended[0]]
            return web.Response(status=204)
        if await request.json() != {"UserName": USERNAME, "Password": PASSWORD}:
            return web.json_response({"error": {"message": "no such user"}}, status=401)
        if len(self.tokens) >= self.sessions_max:
            full = {"@Message.ExtendedInfo": [{"MessageId": "IDRAC.2.4.RAC0218", "Message": "the maximum is reached"}]}
            return web.json_response({"error": full}, status=503)
        self.logins += 1
        path, token = f"{SESSIONS}/{self.logins}", f"token-{self.logins}"
        self.tokens[token] = path
        return web.json_response({"@odata.id": path}, status=201, headers={"X-Auth-Token": token, "Location": path})

    def resource(self, path: str) -> web.Response:
        """Return the normal answer to a GET."""
        if path.rstrip("/") == ROOT.rstrip("/"):
            return web.json_response({"Systems": {"@odata.id": SYSTEMS}})
        if path == SYSTEMS:
            return web.json_response({"Members": [{"@odata.id": f"{SYSTEMS}/{name}"} for name in self.members]})
        if path.removeprefix(f"{SYSTEMS}/") in self.members:
            return web.json_response(self.system(path))
        if path == MANAGER and self.manager is not None:
            return web.json_response(self.manager)
        return web.json_response({"error": {"message": "no such resource"}}, status=404)

    def system(self, path: str = SYSTEM) -> dict[str, Any]:
        """Return a system's present resource."""
        reset: dict[str, Any] = {"target": f"{path}/Actions/ComputerSystem.Reset"}
        if self.allowable is not None:
            reset["ResetType@Redfish.AllowableValues"] = self.allowable
        system = {"PowerState": self.power, "Actions": {"#ComputerSystem.Reset": reset}}
        if self.manager is not None:
            system["Links"] = {"ManagedBy": [{"@odata.id": MANAGER}]}
        name = path.removeprefix(f"{SYSTEMS}/")
        return {**system, **self.properties.get("", {}), **self.properties.get(name, {})}

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Bmc"]:
        """Serve on a free port."""
        application = web.Application(client_max_size=1024)
        application.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=128)
        await site.start()
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def answering(status: int, body: object = None, **headers: str) -> Handler:
    """Return a handler with a fixed answer; headers with _ for -."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=names)
        return web.json_response(body, status=status, headers=names)

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that uses these in turn, then the last one."""
    left = list(handlers)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return handler


def message(name: str) -> dict[str, Any]:
    """Return the body of an error with this MessageId."""
    return {"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": [{"MessageId": name}]}}


def spec(bmc: Bmc, *, identity: str = "", **options: Any) -> DeviceSpec:
    return spec_of(
        "redfish",
        address=bmc.address,
        username=USERNAME,
        password=Secret(PASSWORD),
        options=options,
        identity=identity,
    )


async def read(driver: Driver, bmc: Bmc, *, identity: str = "", **options: Any) -> Power:
    return await driver.read(spec(bmc, identity=identity, **options), timeout_seconds=5)


async def switch(
    driver: Driver, bmc: Bmc, power: Power, *, timeout_seconds: float = 5.0, identity: str = "", **options: Any
) -> None:
    given = spec(bmc, identity=identity, **options)
    await driver.set(given, power, timeout_seconds=timeout_seconds, on_started=starts_into([]))


async def ask_down(driver: Redfish, bmc: Bmc, *, timeout_seconds: float = 5.0, identity: str = "") -> None:
    await driver.soft_off(spec(bmc, identity=identity), timeout_seconds=timeout_seconds, on_started=starts_into([]))
