"""The demo: break one host, and report everything that follows as it happens, until the host is healthy again.

Sees only the daemon's public interfaces (API, bus) and the host's oracle, so every statement
of its ending was observed from outside.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import aiohttp
import aiomqtt

from fenced.lab.errors import LabError
from fenced.lab.hosts import last_writes
from fenced.lab.laboratory import Lab
from fenced.lab.narrator import HOST_EVENT, Line, Narrator
from fenced.lab.settings import SITE
from fenced.model.moments import parse_rfc3339

POLL_SECONDS: Final = 0.1
SETTLE_SECONDS: Final = 0.3
REQUEST_TIMEOUT_SECONDS: Final = 5.0
EVENT_BYTES_MAX: Final = 1024 * 1024

Waterfall = Callable[[Mapping[str, Any]], Sequence[str]]
"""An operation as the API returns it -> the lines of its waterfall chart."""


class Blow(Enum):
    """What happens to the host: it crashes (its power stays on), hangs, or loses its network and runs on."""

    CRASH = "crash"
    FREEZE = "freeze"
    UNPLUG = "unplug"


BLOWS: Final = {
    Blow.CRASH: "its kernel panics: every process is dead, its network is silent, its power is still ON",
    Blow.FREEZE: "it hangs: it is silent but may continue at any time, its power is ON",
    Blow.UNPLUG: "its cable is pulled: it runs on but can't be heard, its power is ON",
}


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was observed so far, in seconds since the epoch; the oracle is compared with `fenced_monotonic`."""

    struck_at: float
    old_boot: str
    fenced_at: float | None = None
    fenced_monotonic: float | None = None
    devices: int = 0
    operation: str | None = None
    healthy_at: float | None = None

    def missing(self) -> list[str]:
        """Return what is still missing for a complete story."""
        wanted = {"fenced announced on the bus": self.fenced_at, "healthy again": self.healthy_at}
        return [what for what, at in wanted.items() if at is None]


class Story:
    """Runs one story of one host; `say` prints a line. `url`: the API to look at; by default the first controller's."""

    _seen_class: type[Seen] = Seen
    _is_fine: frozenset[str] = frozenset({"healthy"})
    """The states of hosts at the start of the story."""

    def __init__(
        self, lab: Lab, *, host: str, say: Callable[[str], None], waterfall: Waterfall | None, url: str = ""
    ) -> None:
        self._lab = lab
        self._url = url or lab.url
        self._host = host
        self._say = say
        self._waterfall = waterfall
        self._narrator = Narrator(host)
        self._origin = time.time()
        self._pending: list[Line] = []
        self._states = "the daemon shows no hosts yet"

    async def run(self, blow: Blow, *, timeout_seconds: float) -> None:
        """Run the story. Raises LabError, with what was missing, if it does not end well in time."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(self._url, timeout=timeout) as api:
            seen: Seen | None = None
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._until_all_healthy(api)
                    seen = self._strike(blow)
                    await self._follow(api, seen)
            except TimeoutError as exc:
                self._report([], settle_seconds=0.0)
                missing = [self._not_begun()] if seen is None else seen.missing()
                raise LabError(f"not seen in time: {', '.join(missing)}") from exc
            await self._end(api, seen)

    def _not_begun(self) -> str:
        """Return what is missing for the blow."""
        return f"all hosts healthy ({self._states})"

    async def _until_all_healthy(self, api: aiohttp.ClientSession) -> None:
        self._say(f"waiting for the daemon and {len(self._lab.hosts.names)} hosts ...")
        while True:
            ready, hosts = await get(api, "/readyz"), await get(api, "/api/v1/hosts")
            if ready and not ready.get("daemon", {}).get("quiet", False) and hosts:
                states = {item["name"]: item["state"] for item in hosts["items"]}
                self._states = ", ".join(f"{name} {state}" for name, state in states.items())
                if set(states.values()) <= self._is_fine and set(states) == set(self._lab.hosts.names):
                    break
            await asyncio.sleep(POLL_SECONDS)
        self._say(f"all healthy after {time.time() - self._origin:.1f} s: {', '.join(self._lab.hosts.names)}")

    def _strike(self, blow: Blow) -> Seen:
        host = self._lab.hosts[self._host]
        seen = self._seen_class(struck_at=time.time(), old_boot=host.boot or "")
        self._origin = seen.struck_at
        strike(self._lab, self._host, blow)
        self._report([Line(at=seen.struck_at, who=self._host, text=BLOWS[blow])], settle_seconds=0.0)
        return seen

    async def _follow(self, api: aiohttp.ClientSession, seen: Seen) -> None:
        def heard(event: Mapping[str, Any]) -> None:
            self._event(event, seen)

        async with asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(for_ever(lambda: self._hear_bus(seen)), name="story bus"),
                tasks.create_task(for_ever(lambda: self._hear_events(heard)), name="story events"),
            ]
            while seen.missing():
                await self._look(api, seen)
                self._report([])
                await asyncio.sleep(POLL_SECONDS)
            for follower in followers:
                follower.cancel()
        await self._look(api, seen)
        self._report([], settle_seconds=0.0)

    async def _hear_bus(self, seen: Seen) -> None:
        """Subscribe to the bus, as a recovery program would."""
        async with aiomqtt.Client(
            self._lab.broker.address, self._lab.broker.port, protocol=aiomqtt.ProtocolVersion.V311
        ) as client:
            await client.subscribe(f"fenced/v1/{SITE}/event/{self._host}", qos=1)
            async for message in client.messages:
                at, monotonic = time.time(), time.monotonic()
                event = _json(message.payload)
                self._report(self._narrator.announcement(event, at=at))
                data = event.get("data") or {}
                if event.get("type") == f"{HOST_EVENT}fenced" and seen.fenced_at is None:
                    seen.fenced_at, seen.fenced_monotonic = at, monotonic
                    seen.devices = len(data.get("devices", ()))
                    seen.operation = data.get("operation")

    async def _hear_events(self, heard: Callable[[Mapping[str, Any]], None]) -> None:
        """Follow the API's event stream, in a separate session, because it has no end."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(self._url, timeout=timeout, read_bufsize=EVENT_BYTES_MAX) as session,
            session.get("/api/v1/events") as stream,
        ):
            async for raw in stream.content:
                if raw.startswith(b"data:"):
                    heard(_json(raw.removeprefix(b"data:")))

    def _event(self, event: Mapping[str, Any], seen: Seen) -> None:
        self._report(self._narrator.event(event))
        is_ours = event.get("subject") == self._host
        if is_ours and event.get("type") == f"{HOST_EVENT}healthy" and seen.fenced_at is not None:
            seen.healthy_at = seen.healthy_at or time.time()

    async def _look(self, api: aiohttp.ClientSession, seen: Seen) -> None:
        """Poll what no event reports: the race and each reading.

        Also the host's state, in case its event was missed.
        """
        host = await get(api, f"/api/v1/hosts/{self._host}")
        if host is None:
            return
        if host["operation"] and host["state"] not in {"healthy", "unknown"}:
            seen.operation = host["operation"]
        operation = await get(api, f"/api/v1/operations/{seen.operation}") if seen.operation else None
        if operation is not None and parse_rfc3339(str(operation["started"])) >= seen.struck_at:
            self._saw(operation)  # an earlier story's is not of interest
        if seen.fenced_at is not None and host["state"] == "healthy":
            seen.healthy_at = seen.healthy_at or time.time()

    def _saw(self, operation: Mapping[str, Any]) -> None:
        """Take note of an operation of the host as it is now."""
        self._report(self._narrator.operation(operation))

    async def _end(self, api: aiohttp.ClientSession, seen: Seen) -> None:
        if seen.fenced_at is None or seen.healthy_at is None or seen.fenced_monotonic is None:
            raise LabError(f"not seen: {', '.join(seen.missing())}")
        self._say(self._oracle(seen, seen.fenced_monotonic))
        operation = await get(api, f"/api/v1/operations/{seen.operation}")
        if operation and self._waterfall is not None:
            self._say("")
            for line in self._waterfall(operation):
                self._say(line)
        fenced, healthy = seen.fenced_at - seen.struck_at, seen.healthy_at - seen.struck_at
        self._say("")
        self._say(
            f"demo: {self._host} fenced in {fenced:.1f} s through {seen.devices} devices, "
            f"healthy again after {healthy:.1f} s"
        )

    def _oracle(self, seen: Seen, fenced_monotonic: float) -> str:
        """Compare the oracle. Raises LabError if the old run did anything after its host was announced as fenced."""
        host = self._lab.hosts[self._host]
        writes = last_writes(host.files.oracle)
        last = writes.get(seen.old_boot)
        if last is None:
            raise LabError(f"the oracle of {self._host} has no line of its run {seen.old_boot}")
        if last >= fenced_monotonic:
            raise LabError(f"{self._host} wrote {last - fenced_monotonic:.3f} s after it was announced as fenced")
        if host.boot == seen.old_boot or host.boot not in writes:
            raise LabError(f"{self._host} did not start again with a new boot id")
        before = fenced_monotonic - last
        return f"oracle: the old run's last sign of life came {before:.2f} s before the announcement, none after it"

    def _report(self, lines: Sequence[Line], *, settle_seconds: float = SETTLE_SECONDS) -> None:
        """Print lines in the order of their events: each waits a moment for earlier ones from another source."""
        self._pending = sorted([*self._pending, *lines], key=lambda line: line.at)
        while self._pending and self._pending[0].at <= time.time() - settle_seconds:
            self._say(self._pending.pop(0).show(self._origin))


def strike(lab: Lab, host: str, blow: Blow) -> None:
    """Break the host. Raises LabError if the ground does not support it."""
    match blow:
        case Blow.CRASH:
            lab.hosts[host].cut()
        case Blow.FREEZE:
            lab.hosts[host].freeze(is_frozen=True)
        case Blow.UNPLUG:
            lab.hosts[host].unplug(is_unplugged=True)


async def get(api: aiohttp.ClientSession, path: str) -> Any:
    """Return the JSON of an answer, or None if there is none now: the caller polls again."""
    try:
        async with api.get(path) as response:
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


async def for_ever(follow: Callable[[], Awaitable[None]]) -> None:
    """Reconnect whenever a connection ends."""
    while True:
        with suppress(aiohttp.ClientError, aiomqtt.MqttError, TimeoutError, OSError):
            await follow()
        await asyncio.sleep(POLL_SECONDS)


def _json(raw: object) -> Mapping[str, Any]:
    """Return the object in a message; empty for anything else."""
    if not isinstance(raw, bytes | bytearray | str):
        return {}
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
