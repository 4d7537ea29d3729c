"""The second story of a lab with two controllers: kill the one that acts in the middle of a fence, then undo it.

Observes everything at the standby, which serves every read: that a host falls silent, that its fence begins, that it
takes over, and that the fence ends. Runs `fencectl` as an operator would.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from fenced.lab.controllers import Controller
from fenced.lab.errors import LabError
from fenced.lab.faults import Fault, FaultKind
from fenced.lab.laboratory import Lab
from fenced.lab.narrator import Line
from fenced.lab.programs import fencectl
from fenced.lab.story import POLL_SECONDS, REQUEST_TIMEOUT_SECONDS, Blow, Seen, Story, get
from fenced.model.moments import parse_rfc3339

TAKEOVER: Final = "io.fenced.fleet.takeover"
SLOW_SECONDS: Final = 1.2
"""How late the outlets answer, so that the controller is killed while its OFF is under way."""
REASON: Final = "the killed controller is back"


class Takeover(Story):
    """Kills `active` during a fence of the host, and looks at `standby`."""

    def __init__(
        self, lab: Lab, *, host: str, active: Controller, standby: Controller, say: Callable[[str], None]
    ) -> None:
        super().__init__(lab, host=host, say=say, waterfall=None, url=standby.url)
        self._active, self._standby = active, standby
        self._killed_at: float | None = None
        self._taken_at: float | None = None
        self._fenced_at: float | None = None

    async def run(self, blow: Blow, *, timeout_seconds: float) -> None:
        """Run the whole story. Raises LabError, with what was missing, if it does not end well in time."""
        end = time.monotonic() + timeout_seconds
        await self._until_listed(self._standby, "standby", end=end)
        self._say("")
        self._say(f"two controllers: {self._active.name} acts, {self._standby.name} follows")
        await self._ctl("controllers")
        self._set_faults(Fault(kind=FaultKind.SLOW, delay_seconds=SLOW_SECONDS))
        self._say(f"the outlets of {self._host} answer {SLOW_SECONDS:g} s late until the takeover")
        try:
            await super().run(blow, timeout_seconds=max(end - time.monotonic(), 0.0))
        finally:
            self._set_faults(None)
        if self._killed_at is None or self._taken_at is None or self._fenced_at is None:
            raise LabError(f"{self._standby.name} did not take over during the fence of {self._host}")
        await self._hand_back(end)
        took, fenced = self._taken_at - self._killed_at, self._fenced_at - self._killed_at
        self._say("")
        self._say(
            f"takeover: {self._standby.name} took over {took:.1f} s after {self._active.name} was killed, and "
            f"{self._host} was fenced after {fenced:.1f} s; {self._active.name} acts again"
        )

    def _saw(self, operation: Mapping[str, Any]) -> None:
        super()._saw(operation)
        is_off_sent = any(step["what"] == "off" for device in operation["devices"] for step in device["steps"])
        if self._killed_at is None and is_off_sent:
            self._active.kill()
            self._killed_at = time.time()
            text = "killed with kill -9, in the middle of the fence"
            self._report([Line(at=self._killed_at, who=self._active.name, text=text)])

    def _event(self, event: Mapping[str, Any], seen: Seen) -> None:
        super()._event(event, seen)
        self._fenced_at = seen.fenced_at
        data = event.get("data") or {}
        is_ours = event.get("type") == TAKEOVER and data.get("controller") == self._standby.name
        if is_ours and self._taken_at is None and self._killed_at is not None:
            self._set_faults(None)
            self._taken_at = parse_rfc3339(str(event["time"]))
            after = self._taken_at - self._killed_at
            text = f"took over from {data.get('before')} after {after:.1f} s, with epoch {data.get('epoch')}"
            self._report([Line(at=self._taken_at, who=self._standby.name, text=text)])

    def _set_faults(self, fault: Fault | None) -> None:
        for outlet in self._lab.rack.wiring(self._host).outlets:
            self._lab.faults.set(str(outlet), fault)

    async def _hand_back(self, end: float) -> None:
        """Start the killed controller again, and let it act again."""
        await self._ctl("controllers")
        self._say("")
        self._say(f"{self._active.name} is started again")
        self._active.revive()
        await self._until_listed(self._active, "standby", end=end)
        await self._ctl("hand-over", "--to", self._active.name, "--reason", REASON, "--wait")
        # The other one begins a new life as a standby, and is listed as offline in between.
        await self._until_follows(self._standby, end=end)
        await self._until_listed(self._standby, "standby", at=self._active, since=time.time(), end=end)
        await self._ctl("controllers")

    async def _ctl(self, *arguments: str) -> None:
        """Run `fencectl`, and show what it prints. Raises LabError if it fails."""
        log = self._lab.layout.directory / f"fencectl-{time.monotonic_ns()}.log"
        self._say("")
        shown = [f"'{word}'" if " " in word else word for word in arguments]
        self._say(f"$ fencectl {' '.join(shown)}")
        for line in await fencectl(self._lab.controllers.urls, *arguments, log=log):
            self._say(f"  {line}")

    async def _until_follows(self, controller: Controller, *, end: float) -> None:
        """Wait until the controller says that it is a standby. Raises LabError when the time is over."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(controller.url, timeout=timeout) as api:
            while time.monotonic() < end:
                if (await get(api, "/api/v1/fleet") or {}).get("standby"):
                    return
                await asyncio.sleep(POLL_SECONDS)
        raise LabError(f"not seen in time: {controller.name} goes on as a standby")

    async def _until_listed(
        self, controller: Controller, state: str, *, end: float, at: Controller | None = None, since: float = 0.0
    ) -> None:
        """Wait until the store lists the controller in that state, fit, and heard since then. Raises LabError when the
        time is over. `at`: whose API to ask; by default the standby's."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        said = "no controllers are listed"
        async with aiohttp.ClientSession((at or self._standby).url, timeout=timeout) as api:
            while time.monotonic() < end:
                listed = await get(api, "/api/v1/controllers") or {"items": []}
                for item in listed["items"]:
                    is_new = parse_rfc3339(str(item["heard"])) >= since
                    if (item["name"], item["state"], item["fit"], is_new) == (controller.name, state, True, True):
                        return
                said = ", ".join(f"{item['name']} {item['state']}, unfit {item['unfit']}" for item in listed["items"])
                await asyncio.sleep(POLL_SECONDS)
        raise LabError(f"not seen in time: {controller.name} {state} and fit ({said})")
