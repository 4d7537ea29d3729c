"""A Redfish service that a test bends: every answer can be replaced, everything that came in is remembered."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bmc:
    """One system, as DSP2046 describes it. `answers` replaces what a method and path give."""

    def __init__(self) -> None:
        self.power: Any = "On"
        self.allowable: list[str] | None = ["On", "ForceOff", "GracefulShutdown"]
        self.members = ["1"]
        self.answers: dict[tuple[str, str], Handler] = {}
        self.requests: list[tuple[str, str]] = []
        self.authorizations: set[str | None] = set()
        self.peers: set[object] = set()
        self.address = ""

    @property
    def posts(self) -> list[str]:
        return [path for method, path in self.requests if method == "POST"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.authorizations.add(request.headers.get("Authorization"))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        answer = self.answers.get((request.method, request.path))
        if answer is not None:
            return await answer(request)
        if request.method == "POST":
            wanted = (await request.json())["ResetType"]
            self.power = {"ForceOff": "Off", "On": "On", "ForceOn": "On"}[wanted]
            return web.Response(status=204)
        return self.resource(request.path)

    def resource(self, path: str) -> web.Response:
        """What a GET gives when nothing is bent."""
        systems = "/redfish/v1/Systems"
        if path.rstrip("/") == "/redfish/v1":
            return web.json_response({"Systems": {"@odata.id": systems}})
        if path == systems:
            return web.json_response({"Members": [{"@odata.id": f"{systems}/{name}"} for name in self.members]})
        if path.removeprefix(f"{systems}/") in self.members:
            return web.json_response(self.system(path))
        return web.json_response({"error": {"message": "no such resource"}}, status=404)

    def system(self, path: str) -> dict[str, Any]:
        reset: dict[str, Any] = {"target": f"{path}/Actions/ComputerSystem.Reset"}
        if self.allowable is not None:
            reset["ResetType@Redfish.AllowableValues"] = self.allowable
        return {"PowerState": self.power, "Actions": {"#ComputerSystem.Reset": reset}}

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Bmc"]:
        """Listens on a port of its own."""
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
    """A handler that always says the same; headers with _ for -."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=names)
        return web.json_response(body, status=status, headers=names)

    return handler
