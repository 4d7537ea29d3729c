"""Heartbeats of this machine: their content, their interval, and the last one before a shutdown.

A Voice publishes them; this module knows neither MQTT nor topics. Send `stopping` only when the machine shuts down,
because it makes the following silence expected. A restarted service just stays silent for a moment.
"""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from fenced.host.machine import boottime
from fenced.host.notify import Notify
from fenced.ports.bus import BusError

SAY_TIMEOUT_MAX_SECONDS: Final = 5.0
SHUTDOWN_CHECK_SECONDS: Final = 2.0
ANSWER_BYTES_MAX: Final = 1024

_log = logging.getLogger(__name__)

ShutdownCheck = Callable[[], Awaitable[bool]]
"""Returns whether the machine is shutting down now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatSettings:
    """The host, its boot id, and the interval. `workloads` None: left out of the heartbeat."""

    host: str
    boot: str
    interval_seconds: float = 5.0
    workloads: int | None = None
    roles: tuple[str, ...] = ()


class Voice(Protocol):
    """Publishes on the bus. Both methods raise BusError."""

    @property
    def is_connected(self) -> bool: ...

    async def health(self, payload: bytes, *, timeout_seconds: float) -> None: ...

    async def presence(self, payload: bytes, *, timeout_seconds: float) -> None: ...


class Beat:
    """Sends heartbeats. The owner of the connection calls `connected` each time that it is up."""

    def __init__(
        self, settings: BeatSettings, voice: Voice, *, is_shutting_down: ShutdownCheck, notify: Notify
    ) -> None:
        self._settings = settings
        self._voice = voice
        self._is_shutting_down = is_shutting_down
        self._notify = notify
        self._last_sequence = 0
        self._is_presence_due = False
        self._wake = asyncio.Event()
        self._is_stopped = False

    def connected(self) -> None:
        """Send presence and a heartbeat at once on a new connection."""
        self._is_presence_due = True
        self._wake.set()

    def stop(self) -> None:
        """End `run` soon."""
        self._is_stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Send heartbeats until `stop`. Without a connection none is kept, because an old one is no sign of life."""
        self._notify.ready(status(self._settings.host))
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._is_stopped:
            self._wake.clear()
            if self._voice.is_connected and (self._is_presence_due or loop.time() >= due):
                due = loop.time() + self._settings.interval_seconds
                await self._send("ok")
            self._notify.watchdog()
            await self._sleep_until(due)
        self._notify.stopping()
        if self._voice.is_connected and await self._is_shutting_down():
            await self._send("stopping")

    async def _sleep_until(self, due: float) -> None:
        """Sleep until `due`, until something happens, or until the watchdog must be fed."""
        now = asyncio.get_running_loop().time()
        pause_seconds = due - now if due > now else self._settings.interval_seconds
        if self._notify.watchdog_seconds is not None:
            pause_seconds = min(pause_seconds, self._notify.watchdog_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_seconds):
                await self._wake.wait()

    async def _send(self, status: Literal["ok", "stopping"]) -> None:
        """Publish one heartbeat. A failed one is not repeated, because the next one carries the same and is newer."""
        timeout_seconds = min(max(self._settings.interval_seconds, 1.0), SAY_TIMEOUT_MAX_SECONDS)
        try:
            if self._is_presence_due:
                await self._voice.presence(b"online", timeout_seconds=timeout_seconds)
                self._is_presence_due = False
            await self._voice.health(self._payload(status), timeout_seconds=timeout_seconds)
            if status == "stopping":
                await self._voice.presence(b"offline", timeout_seconds=timeout_seconds)
        except BusError as exc:
            _log.warning("beat_not_taken status=%s reason=%s", status, exc)

    def _payload(self, status: str) -> bytes:
        """See interface.md#bus. The sequence number rises within a boot, also when this program restarts."""
        self._last_sequence = max(self._last_sequence + 1, int(boottime() * 1000))
        body: dict[str, str | int | float | list[str]] = {
            "boot": self._settings.boot,
            "seq": self._last_sequence,
            "status": status,
            "interval": self._settings.interval_seconds,
        }
        if self._settings.workloads is not None:
            body["workloads"] = self._settings.workloads
        if self._settings.roles:
            body["roles"] = list(self._settings.roles)
        return json.dumps(body, separators=(",", ":")).encode()


def status(host: str) -> str:
    """Return the status line for systemd while the broker accepts the heartbeats."""
    return f"heartbeats of {host}"


async def is_machine_shutting_down() -> bool:
    """Ask systemd, which reports `stopping` as soon as a shutdown begins, before any service gets SIGTERM.

    A shutdown that is only scheduled (/run/systemd/shutdown/scheduled) does not count. Without an answer of systemd the
    runlevel decides: 0 halts and 6 reboots. Return False if neither is known.
    """
    state = await _answer("systemctl", "is-system-running")
    if state and state != "offline":
        return state == "stopping"
    return (await _answer("runlevel")).split()[-1:] in (["0"], ["6"])


async def _answer(program: str, *arguments: str) -> str:
    """Return what a program prints first, or "" if it prints nothing in time; it is killed then."""
    path = shutil.which(program)
    if path is None:
        return ""
    process = await asyncio.create_subprocess_exec(
        path,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    stdout = process.stdout
    if stdout is None:  # never, because of PIPE above
        return ""
    try:
        async with asyncio.timeout(SHUTDOWN_CHECK_SECONDS):
            return (await stdout.read(ANSWER_BYTES_MAX)).decode(errors="replace").strip()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
