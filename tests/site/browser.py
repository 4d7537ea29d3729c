"""A headless Chromium, driven over its DevTools protocol: opens pages, reports what they request and complain about.

It resolves no name and has no proxy, so a page can load from this machine only; what it tried to load elsewhere is
reported like the rest. https://chromedevtools.github.io/devtools-protocol/ describes the methods.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.needs import find

OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip
DEADLINE_SECONDS: Final = 90.0
Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Page:
    """One tab. `requested` has the addresses of all requests, `complaints` errors of scripts, console and network."""

    _browser: "Browser"
    _session: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, address: str) -> None:
        """Load it, with its scripts and pictures."""
        self.expect_load()
        await self.call("Page.navigate", url=address)
        await self.loaded()

    def expect_load(self) -> None:
        """Before something that opens another page; `loaded` waits for it."""
        self._loaded.clear()

    async def loaded(self) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._loaded.wait()

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await self.value(f"Boolean({expression})"):  # noqa: ASYNC110 - nothing here sets an event
                await asyncio.sleep(0.05)

    async def resize(self, *, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def screenshot(self, path: Path, *, width: int = 1280, height: int = 900) -> None:
        await self.resize(width=width, height=height)
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def call(self, method: str, **parameters: Any) -> Json:
        return await self._browser.call(method, session=self._session, **parameters)

    def notice(self, method: str, parameters: Json) -> None:
        """Keep an event of the tab."""
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(f"loading failed: {parameters['errorText']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] == "error":
                self.complaints.append(json.dumps(parameters["args"]))
            case _:
                pass


class Browser:
    """A connection to a running Chromium; `browser()` starts one."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._pages: dict[str, Page] = {}

    async def page(self) -> Page:
        """Open an empty tab."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(_browser=self, _session=attached["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        return page

    async def call(self, method: str, *, session: str | None = None, **parameters: Any) -> Json:
        """Call a method and return its result. Raises AssertionError with the browser's reason."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        request = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(request if session is None else request | {"sessionId": session})
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await self._waiting[number]
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Json = answer["result"]
        return result

    async def listen(self) -> None:
        """Hand answers to callers and events to pages, until the connection ends."""
        async for message in self._socket:
            found: Json = json.loads(message.data)
            if "id" in found:
                self._waiting.pop(found["id"]).set_result(found)
            elif page := self._pages.get(found.get("sessionId", "")):
                page.notice(found["method"], found["params"])


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Run Chromium with a new profile in `folder`."""
    program = find("chromium")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program, *OPTIONS, f"--user-data-dir={folder}/profile", "about:blank",
        env={**os.environ, "HOME": str(folder)}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        port, path = await _address(folder / "profile/DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            found = Browser(socket)
            listening = asyncio.create_task(found.listen(), name="browser")
            try:
                yield found
            finally:
                listening.cancel()
                await asyncio.wait({listening})
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _address(file: Path) -> tuple[int, str]:
    """Return port and path, which Chromium writes into its profile once it listens."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if file.exists() and len(lines := file.read_text().split()) == 2:
                return int(lines[0]), lines[1]
            await asyncio.sleep(0.05)
