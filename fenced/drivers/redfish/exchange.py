"""One call to one BMC: adds credentials, waits and the deadline to requests.

It handles the status codes that mean "wait" or "log in again"; other modules handle resources. Reads are repeated if
the BMC requests it. A command is sent once and never after its deadline, even if this machine was suspended in between.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from fenced.drivers.redfish.answers import Answer, explanation
from fenced.drivers.redfish.sessions import Sessions, with_token
from fenced.drivers.redfish.target import Target
from fenced.drivers.redfish.transport import Body, Transport
from fenced.drivers.redfish.vendors import Meaning
from fenced.model.inventory import Secret
from fenced.ports.devices import DeviceNotReady, DeviceTimedOut

BUSY: Final = frozenset({429, 503})
READ_TRIES_MAX: Final = 4
RATE_LIMIT_WAIT_SECONDS: Final = 1.0
"""For a 429 without a time. A 503 without one is an error at once: the reason is unknown."""


def boottime() -> float:
    """Seconds on a clock that goes on in suspend, unlike the loop's (S11)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Exchange:
    """`was_not_ready`: the BMC answered 503 during this call, so it may just have started. `is_in_doubt`: the command
    was sent."""

    def __init__(self, target: Target, *, transport: Transport, sessions: Sessions, timeout_seconds: float) -> None:
        self.target = target
        self.was_not_ready = False
        self._transport = transport
        self._sessions = sessions
        self._ends = boottime() + timeout_seconds
        self._body: Body | None = None

    @property
    def left_seconds(self) -> float:
        """Seconds until the deadline."""
        return self._ends - boottime()

    @property
    def is_in_doubt(self) -> bool:
        return self._body is not None and self._body.is_written

    async def get(self, path: str) -> Answer:
        """Read a resource; wait as the BMC requests and the deadline allows. Raises DeviceError."""
        for _ in range(READ_TRIES_MAX):
            answer = await self.get_once(path)
            if answer.status >= 400 and answer.meaning is Meaning.NOT_READY:
                self.was_not_ready = True
            elif answer.status not in BUSY:
                return answer
            self.was_not_ready |= answer.status == 503
            wait = answer.wait_seconds
            if wait is None and answer.status == 429:
                wait = RATE_LIMIT_WAIT_SECONDS
            if wait is None or boottime() + wait >= self._ends:
                break
            await asyncio.sleep(wait)
        raise DeviceNotReady(
            f"{self.target.at(path)} answered {answer.status}{explanation(self.target, answer)}", may_be_done=False
        )

    async def get_once(self, path: str) -> Answer:
        """Read a resource and return any answer; reopen the session once if it has ended. Raises DeviceError."""
        token, headers = await self._credentials()
        answer = await self._transport.get(self.target, path, headers)
        if answer.status != 401 or token is None:
            return answer
        self._sessions.forget(self.target, token)
        _, headers = await self._credentials()
        return await self._transport.get(self.target, path, headers)

    async def command(self, path: str, value: Mapping[str, Any]) -> Answer:
        """Send a command once. Raises DeviceError; DeviceTimedOut if it is too late to begin."""
        _, headers = await self._credentials()
        self._check_time()
        self._body = Body(value, is_late=self._is_late)
        return await self._transport.command(self.target, path, headers, self._body)

    async def _credentials(self) -> tuple[Secret | None, Mapping[str, str]]:
        if not self.target.is_session:
            return None, self.target.basic_headers
        token = await self._sessions.token(self.target)
        self.target.mask.hide(token.reveal())
        return token, with_token(token)

    def _check_time(self) -> None:
        if self._is_late():
            raise DeviceTimedOut(
                f"{self.target.base}: the deadline passed before the command was sent", may_be_done=False
            )

    def _is_late(self) -> bool:
        return boottime() >= self._ends
