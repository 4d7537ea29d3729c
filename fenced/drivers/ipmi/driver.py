"""Reads and switches a chassis by IPMI 2.0 over LAN: one session a call, Chassis Status, Chassis Control.

It decides the order of requests and what failures mean for the caller; `visit` handles logins and repeats. It keeps no
session open: BMCs have few, and a kept one could lock out another proxy. A power command is sent once, within its
deadline, in a session in which the BMC has proven that it knows the password. Without an answer to it, only a read
shows what it did (S2, S6).
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeVar

from fenced.drivers.ipmi import identity
from fenced.drivers.ipmi.cipher import Suite
from fenced.drivers.ipmi.commands import (
    CHASSIS_CONTROLS,
    CHASSIS_SOFT_OFF,
    GET_CHASSIS_STATUS,
    GET_DEVICE_ID,
    IN_PRESENT_STATE,
    NO_SUCH_CONTROL,
    device_id_of,
    power_of,
    refusal,
    set_session_privilege,
)
from fenced.drivers.ipmi.line import Line, resolve
from fenced.drivers.ipmi.login import Reason, Refused
from fenced.drivers.ipmi.packets import BadPacket, Request, Response
from fenced.drivers.ipmi.session import Session
from fenced.drivers.ipmi.settings import DESCRIPTION, Settings, bad, settings
from fenced.drivers.ipmi.visit import SessionLost, Silent, Tried, Visit
from fenced.model.drivers import DriverDescription
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import (
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    DeviceUnreachable,
    Identified,
    LoginRefused,
    NotSupported,
    OnStarted,
)

COMMAND_WAIT_SECONDS: Final = 5.0
"""How long to wait for the answer to a power command.
Without one the command is in doubt, and the caller reads. BMCs that switch before they answer took two seconds
(virtualbmc)."""
CLOSE_WAIT_SECONDS: Final = 0.25
FULL_WAIT_SECONDS: Final = 0.5
LOGINS_MAX: Final = 3
"""Limit for logins that fail without a cause to report: the BMC forgets them, or an answer is lost."""
SUITES_KEPT_MAX: Final = 100_000
"""Remembered cipher suites, one per BMC."""
PRIVILEGE_REFUSED: Final = frozenset({0x80, 0x81, 0x82})
"""22.18: not for this user, not on this channel, not without authentication."""

Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a call has come, for its timeout error. `deadline`: on a clock that goes on in suspend (S11)."""

    who: str
    timeout_seconds: float
    deadline: float
    last: str = "its address was being resolved"
    is_full: bool = False
    is_sent: bool = False
    forgotten: int = 0
    refused_suites: set[int] = field(default_factory=set)

    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - _boottime())

    def in_time(self) -> None:
        """Raise DeviceTimedOut if the deadline has passed, also during a suspend of this machine."""
        if _boottime() > self.deadline:
            raise self.timed_out()

    def timed_out(self) -> DeviceError:
        if self.is_full and not self.is_sent:
            return DeviceError(
                f"{self.who} has had no free session for {self.timeout_seconds:g} s; end others, or wait a minute",
                may_be_done=False,
            )
        return DeviceTimedOut(
            f"{self.who}: not done within {self.timeout_seconds:g} s ({self.last})"
            + (", read what it did" if self.is_sent else ""),
            may_be_done=self.is_sent,
            is_end_known=not self.is_sent,
        )


class Ipmi:
    """All IPMI BMCs. Remembers the cipher suite that each BMC last accepted; keeps no session and no power state."""

    description: ClassVar[DriverDescription] = DESCRIPTION

    def __init__(self) -> None:
        self._suites: dict[tuple[str, int], Suite] = {}

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """Return the Chassis Status of a BMC that reports itself ready. Raises DeviceError."""
        return (await self._status(spec, timeout_seconds, is_identified=False)).power

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """Read, then fetch the machine's identities as far as time allows. Raises DeviceError."""
        return await self._status(spec, timeout_seconds, is_identified=True)

    async def _status(self, spec: DeviceSpec, timeout_seconds: float, *, is_identified: bool) -> Identified:
        given = settings(spec)

        async def status(visit: Visit) -> Identified:
            await _check_ready(visit, spec)
            if spec.identity:
                await identity.check(visit, spec)
            power = await _asked(visit, GET_CHASSIS_STATUS, "Get Chassis Status", power_of)
            found = await _identities(visit, spec, seconds=progress.left() / 2) if is_identified else ()
            return Identified(power=power, identities=found)

        async with _deadline(given, timeout_seconds) as progress:
            found = await self._visit(given, progress, status)
            progress.in_time()
            return found

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send Chassis Control, power down or up, to a BMC that reports itself ready; return once it has accepted it.

        Raises DeviceError.
        """
        if power is Power.UNKNOWN:
            raise bad("a chassis can't be set to unknown")
        await self._command(spec, CHASSIS_CONTROLS[power], power, timeout_seconds)

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send Chassis Control, soft shutdown, as `set` sends power down. Raises DeviceError; NotSupported: the BMC has
        no such control."""
        await self._command(spec, CHASSIS_SOFT_OFF, Power.OFF, timeout_seconds)

    async def _command(self, spec: DeviceSpec, request: Request, power: Power, timeout_seconds: float) -> None:
        given = settings(spec)

        async def control(visit: Visit) -> None:
            await _check_ready(visit, spec)
            if spec.identity:
                await identity.check(visit, spec)
            await _control(visit, request, power, progress)

        async with _deadline(given, timeout_seconds) as progress:
            await self._visit(given, progress, control)

    async def close(self) -> None:
        """Nothing to close."""

    async def _visit(self, given: Settings, progress: Progress, act: Callable[[Visit], Awaitable[Result]]) -> Result:
        """Log in and act. Retry until the deadline if the BMC has lost the session and no command was sent."""
        addresses = await resolve(given.host, given.port)
        unreachable = 0
        for address in itertools.cycle(addresses):
            try:
                with Line(given.who, address) as line:
                    visit = Visit(line, given)
                    try:
                        if await self._logged_in(visit, given, progress):
                            await _raise_privilege(visit, given)
                            result = await act(visit)
                            await visit.close(wait_seconds=min(CLOSE_WAIT_SECONDS, progress.left() / 2))
                            return result
                    finally:
                        visit.leave()
            except SessionLost as exc:
                progress.last = str(exc)
                if progress.is_sent:
                    raise progress.timed_out() from exc
                _count_forgotten(progress, exc)
            except DeviceUnreachable as exc:
                unreachable += 1
                if progress.is_sent:
                    raise DeviceUnreachable(str(exc), may_be_done=True, is_end_known=False) from exc
                if unreachable >= len(addresses):
                    raise
        raise AssertionError("a name without addresses")

    async def _logged_in(self, visit: Visit, given: Settings, progress: Progress) -> bool:
        """Return whether a session is open now; if not, another login may work. Raises DeviceError."""
        tried = await visit.log_in(self._suites_to_try(given, progress))
        match tried.end:
            case Session() as session:
                self._remember(given, session.authenticated.keys.suite)
                progress.last, progress.is_full = "it accepted the login", False
                return True
            case Silent(after=after):
                progress.last = f"no answer to {after}"
                return False
            case Refused() as refused:
                await self._refused(tried, refused, given, progress)
                return False

    async def _refused(self, tried: Tried, refused: Refused, given: Settings, progress: Progress) -> None:
        """Return if another login may work, else raise DeviceError."""
        said = f"{given.who} refuses the login (status {refused.status:02x})"
        match refused.reason:
            case Reason.WRONG_SECRET if not tried.was_repeated or progress.forgotten >= LOGINS_MAX:
                raise LoginRefused(
                    f"{given.who} does not have this password or Kg; correct password_file or kg", may_be_done=False
                )
            case Reason.WRONG_SECRET | Reason.FORGOTTEN:
                progress.last = said
                _count_forgotten(progress, None)
            case Reason.WRONG_USER:
                raise LoginRefused(f"{said}: no such user, or not this privilege for the user", may_be_done=False)
            case Reason.NO_SESSION:
                progress.is_full = True
                await asyncio.sleep(FULL_WAIT_SECONDS * (1 + random.random()))  # noqa: S311 (spreads, hides nothing)
            case Reason.OTHER_SUITE:
                progress.refused_suites.add(refused.suite.number)
                if all(suite.number in progress.refused_suites for suite in given.suites):
                    raise NotSupported(
                        f"{said}: it supports none of the cipher suites; see the option `cipher`", may_be_done=False
                    )
            case Reason.NOT_UNDERSTOOD:
                raise DeviceError(said, may_be_done=False)

    def _suites_to_try(self, given: Settings, progress: Progress) -> list[Suite]:
        """Return the suites that the BMC has not refused; the one that it last accepted comes first."""
        last = self._suites.get((given.host, given.port))
        left = [suite for suite in given.suites if suite.number not in progress.refused_suites]
        return sorted(left, key=lambda suite: suite is not last)

    def _remember(self, given: Settings, suite: Suite) -> None:
        if len(self._suites) >= SUITES_KEPT_MAX:
            self._suites.clear()
        self._suites[given.host, given.port] = suite


async def _check_ready(visit: Visit, spec: DeviceSpec) -> None:
    """Check before reads and commands alike, so that no command is sent that a read could not prove.

    Raises DeviceError.
    """
    if not spec.check_ready:
        return
    device = await _asked(visit, GET_DEVICE_ID, "Get Device ID", device_id_of)
    if not device.is_available:
        raise DeviceNotReady(
            f"{visit.who} reports that it is starting or being updated (Device Available: no); if it always does, set "
            "check_ready = false at the device",
            may_be_done=False,
        )


async def _identities(visit: Visit, spec: DeviceSpec, *, seconds: float) -> tuple[str, ...]:
    """Return the machine's identities; empty on failure or after that time, because the power has been read."""
    try:
        async with asyncio.timeout(seconds):
            return await identity.reported(visit, spec)
    except (TimeoutError, SessionLost, DeviceError):
        return ()


async def _control(visit: Visit, request: Request, power: Power, progress: Progress) -> None:
    """Send Chassis Control once. `power`: the state that it leads to. Raises DeviceError."""
    progress.in_time()
    visit.send(request)
    progress.is_sent = True
    progress.last = "no answer to Chassis Control"
    response = await visit.answer_to(request, wait_seconds=COMMAND_WAIT_SECONDS)
    if response is None:
        raise progress.timed_out()
    is_refused = response.completion != 0
    if response.completion in IN_PRESENT_STATE:
        is_refused = await _asked(visit, GET_CHASSIS_STATUS, "Get Chassis Status", power_of) is not power
    if is_refused and request is CHASSIS_SOFT_OFF and response.completion in NO_SUCH_CONTROL:
        text = f"{visit.who} can't ask its host to shut down (completion code {response.completion:02x})"
        raise NotSupported(text, may_be_done=False)
    if is_refused:
        raise refusal(visit.who, "Chassis Control", response.completion, is_command=True)


async def _raise_privilege(visit: Visit, given: Settings) -> None:
    """Raise the session's privilege, also for a read: it proves that a command would be allowed. Raises DeviceError."""
    response = await visit.ask(set_session_privilege(given.credentials.privilege))
    if response.completion in PRIVILEGE_REFUSED:
        raise LoginRefused(
            f"{visit.who} does not grant the user that privilege (completion code {response.completion:02x}); "
            "raise the user's privilege, or set the option `privilege`",
            may_be_done=False,
        )
    if response.completion:
        raise refusal(visit.who, "Set Session Privilege Level", response.completion)


async def _asked(visit: Visit, request: Request, what: str, parse: Callable[[Response], Result]) -> Result:
    """Send a request and parse its answer. Raises DeviceError, SessionLost."""
    response = await visit.ask(request)
    if response.completion:
        raise refusal(visit.who, what, response.completion)
    try:
        return parse(response)
    except BadPacket as exc:
        raise DeviceError(f"{visit.who}: {what}: {exc}", may_be_done=False) from exc


@contextlib.asynccontextmanager
async def _deadline(given: Settings, timeout_seconds: float) -> AsyncIterator[Progress]:
    """Limit the time of one call. Raises DeviceTimedOut."""
    progress = Progress(who=given.who, timeout_seconds=timeout_seconds, deadline=_boottime() + timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds):
            yield progress
    except TimeoutError as exc:
        raise progress.timed_out() from exc


def _count_forgotten(progress: Progress, cause: Exception | None) -> None:
    progress.forgotten += 1
    if progress.forgotten > LOGINS_MAX:
        raise DeviceError(f"{progress.who} keeps losing sessions ({progress.last})", may_be_done=False) from cause


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
