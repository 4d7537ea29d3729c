"""Heartbeats of this machine: what is said, when, and what is said last.

Knows neither MQTT nor topics; a Voice carries the words. One rule: `stopping` is said when the machine goes down and at
no other time, for it makes silence look right; a service that is restarted just falls silent for a moment.
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
"""Whether the machine is going down right now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatSettings:
    """Whose heartbeat, of which boot, how often. `workloads` None: not said."""

    host: str
    boot: str
    interval_seconds: float = 5.0
    workloads: int | None = None
    roles: tuple[str, ...] = ()


class Voice(Protocol):
    """Carries words to the bus. Both raise BusError."""

    @property
    def is_connected(self) -> bool: ...

    async def health(self, payload: bytes, *, timeout_seconds: float) -> None: ...

    async def presence(self, payload: bytes, *, timeout_seconds: float) -> None: ...


class Beat:
    """`connected` is called by whoever keeps the connection, each time it is up."""

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
        """A new connection: say at once that we are here."""
        self._is_presence_due = True
        self._wake.set()

    def stop(self) -> None:
        """End `run` soon."""
        self._is_stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Beat until `stop`. Without a connection nothing is said and nothing is kept: an old beat is no life."""
        self._notify.ready(status(self._settings.host))
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._is_stopped:
            self._wake.clear()
            if self._voice.is_connected and (self._is_presence_due or loop.time() >= due):
                due = loop.time() + self._settings.interval_seconds
                await self._say("ok")
            self._notify.watchdog()
            await self._sleep_until(due)
        self._notify.stopping()
        if self._voice.is_connected and await self._is_shutting_down():
            await self._say("stopping")

    async def _sleep_until(self, due: float) -> None:
        """Or until something happens, or the watchdog wants to be fed."""
        now = asyncio.get_running_loop().time()
        pause_seconds = due - now if due > now else self._settings.interval_seconds
        if self._notify.watchdog_seconds is not None:
            pause_seconds = min(pause_seconds, self._notify.watchdog_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_seconds):
                await self._wake.wait()

    async def _say(self, status: Literal["ok", "stopping"]) -> None:
        """A word that does not get through is not repeated: the next one says the same, and newer."""
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
        """See interface.md#heartbeats. The sequence rises within a boot, over restarts of this program too."""
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
    """One line for systemd, while the broker takes what is said."""
    return f"heartbeats of {host}"


async def is_machine_shutting_down() -> bool:
    """Asks systemd, whose word is `stopping` from the moment on at which a shutdown is under way, before any service
    gets its SIGTERM; a shutdown that is only planned for later (/run/systemd/shutdown/scheduled) is none yet. Where
    systemd does not answer, the runlevel tells: 0 halts and 6 reboots. False when nobody knows.
    """
    state = await _answer("systemctl", "is-system-running")
    if state and state != "offline":
        return state == "stopping"
    return (await _answer("runlevel")).split()[-1:] in (["0"], ["6"])


async def _answer(program: str, *arguments: str) -> str:
    """What a program prints first, or nothing. Whatever it started ends with its deadline."""
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
    if stdout is None:  # never: it was asked for
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
