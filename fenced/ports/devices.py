"""Power devices: what a driver does, how it fails, and how a call reaches it through a proxy.

A reading is valid for one plug at one moment. A command without a result may have been carried out (S2).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from fenced.model.drivers import DriverDescription
from fenced.model.inventory import DeviceSpec
from fenced.model.names import ProxyName, Token
from fenced.model.power import Power


class DeviceError(Exception):
    """A call to a device failed. `may_be_done`: whether a command may have been, or may still be, carried out.

    `is_end_known`: nothing that was started for the call can act any more (False: wait for its `not_after`).
    The text says who, what and what to do now, and never contains a secret.
    """

    kind = "failed"

    def __init__(self, text: str, *, may_be_done: bool = True, is_end_known: bool = True) -> None:
        super().__init__(text)
        self.may_be_done = may_be_done
        self.is_end_known = is_end_known


class DeviceUnreachable(DeviceError):
    """No connection to the proxy, or from it to the device."""

    kind = "unreachable"


class ProxyUnreachable(DeviceUnreachable):
    """No connection to the proxy, so nothing is known of the device."""

    kind = "proxy_unreachable"


class DeviceTimedOut(DeviceError):
    """No answer by the deadline."""

    kind = "timed_out"


class ProxyTimedOut(DeviceTimedOut):
    """The proxy itself did not answer by the deadline, so nothing is known of the device."""

    kind = "proxy_timed_out"


class DeviceNotReady(DeviceError):
    """The device reports that it is not ready (it has just started, or is busy), so its power is unknown."""

    kind = "not_ready"


class StateNotReached(DeviceError):
    """The device accepted the command, but the agent did not see the state change in time."""

    kind = "state_not_reached"


class WrongMachine(DeviceError):
    """The device belongs to another machine than `identity` says. Nothing was sent, and nothing may be sent."""

    kind = "wrong_machine"


class LoginRefused(DeviceError):
    """Wrong user name or password, or an untrusted certificate."""

    kind = "login_refused"


class BadParameters(DeviceError):
    """The device's options are wrong; nothing was sent."""

    kind = "bad_parameters"


class NotSupported(DeviceError):
    """The device or agent does not support the action; nothing was sent."""

    kind = "not_supported"


class CommandRefused(DeviceError):
    """The token is not the highest, or `not_after` can't be kept: nothing was sent (S5)."""

    kind = "refused"


class ProxyRefused(CommandRefused):
    """The proxy can accept no command now, whatever its token. Nothing was sent; another proxy may accept it."""

    kind = "proxy_refused"


DEVICE_ERRORS: tuple[type[DeviceError], ...] = (
    DeviceError,
    DeviceUnreachable,
    ProxyUnreachable,
    DeviceTimedOut,
    ProxyTimedOut,
    DeviceNotReady,
    StateNotReached,
    WrongMachine,
    LoginRefused,
    BadParameters,
    NotSupported,
    CommandRefused,
    ProxyRefused,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The process that carries out a command. It waits for its parameters until the hook returns (S16)."""

    pid: int
    pid_started: str


OnStarted = Callable[[Started], Awaitable[None]]
"""Called once when a command's process exists, before it reads its parameters.
The record is durable when this returns."""


class Driver(Protocol):
    """The code for one kind of device. It may keep connections but no state about a plug's power.

    If `spec.identity` is given and the driver can identify, each read and each command first compares the identity in
    the same session: another machine raises WrongMachine, an unreadable identity raises DeviceError. A device that
    reports that it has just started or is not ready raises DeviceNotReady.
    """

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """Return the plug's power; UNKNOWN for anything in between. Raises DeviceError. Ends within the timeout; when
        cancelled, leaves nothing running that it started."""
        ...

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send ON or OFF; return when the device has accepted it, not when it is done. Never retries (S6), never cycles
        (S7). A driver without a process of its own never calls `on_started`. Raises DeviceError."""
        ...

    async def close(self) -> None:
        """Close sessions and connections; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A reading, and the machine's identities that the device reported in the same session (model.identity.comparable).

    `identities` is empty if the device, its driver or the proxy reports none; then nothing can be concluded."""

    power: Power
    identities: tuple[str, ...] = ()


@runtime_checkable
class IdentifyingDriver(Protocol):
    """The optional part of a driver that can identify."""

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """As `Driver.read`, with identities. An unreadable identity does not fail the reading."""
        ...


@runtime_checkable
class SoftDriver(Protocol):
    """The optional part of a driver that can ask the host's operating system to shut down (S24)."""

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Ask the operating system to shut down, by the power button or a graceful shutdown; return when the device has
        accepted it. Never cuts power. Otherwise as `Driver.set`. Raises DeviceError; NotSupported if this device
        can't."""
        ...


async def soft_off(driver: Driver, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
    """Ask the operating system to shut down if the driver can. Raises DeviceError; NotSupported: it can't."""
    if not isinstance(driver, SoftDriver):
        why = f'the driver {spec.driver} can\'t ask a host to shut down; set soft_off = "reporter", or saving = false'
        raise NotSupported(why, may_be_done=False)
    await driver.soft_off(spec, timeout_seconds=timeout_seconds, on_started=on_started)


async def identified(driver: Driver, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
    """Read with identities if the driver supports it. Raises DeviceError, as `Driver.read`."""
    if isinstance(driver, IdentifyingDriver):
        return await driver.identify(spec, timeout_seconds=timeout_seconds)
    return Identified(power=await driver.read(spec, timeout_seconds=timeout_seconds))


class NativeDriver(Driver, Protocol):
    """A driver of this program: made without parameters, with its description. The registry lists these."""

    description: ClassVar[DriverDescription]

    def __init__(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The right to send one power command: its token, and how long it may still act (S5).

    `not_after`: steady time, as journalled. It is a moment and no length, because a length would begin anew wherever
    the command is delayed (S21). The driver must have ended `settle_seconds` before it.
    """

    token: Token
    attempt_timeout_seconds: float
    not_after: float
    settle_seconds: float = 0.0


class Caller(Protocol):
    """Calls a device through a proxy: the engine's own machine, or an agent reached by HTTPS."""

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """As Driver.read, through the proxy: proves the whole path."""
        ...

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """As `read`, with identities; none if the driver or an older proxy reports none."""
        ...

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        """As Driver.set, through the proxy, which checks the token and the deadline again."""
        ...

    async def soft_off(self, proxy: ProxyName, spec: DeviceSpec, *, permit: Permit, on_started: OnStarted) -> None:
        """As SoftDriver.soft_off, through the proxy, which checks the token and the deadline again. Raises NotSupported
        if the driver, or an older proxy, can't."""
        ...

    async def close(self) -> None:
        """Close connections; idempotent."""
        ...
