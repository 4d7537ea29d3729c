"""Power devices: what a driver does, how it fails, and how a call reaches it through a proxy.

One rule: a reading is a fact about one plug at one moment; a command that did not come back may have been done (S2).
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
    The text says who, what and what to do now, and never holds a secret.
    """

    kind = "failed"

    def __init__(self, text: str, *, may_be_done: bool = True, is_end_known: bool = True) -> None:
        super().__init__(text)
        self.may_be_done = may_be_done
        self.is_end_known = is_end_known


class DeviceUnreachable(DeviceError):
    """No connection: to the proxy, or from it to the device."""

    kind = "unreachable"


class ProxyUnreachable(DeviceUnreachable):
    """No connection to the proxy: it says nothing about the device."""

    kind = "proxy_unreachable"


class DeviceTimedOut(DeviceError):
    """No answer by the deadline."""

    kind = "timed_out"


class ProxyTimedOut(DeviceTimedOut):
    """The proxy itself did not answer by the deadline: it says nothing about the device."""

    kind = "proxy_timed_out"


class DeviceNotReady(DeviceError):
    """The device answers and says that it is not ready (it has just started, or is busy): its power is not known."""

    kind = "not_ready"


class StateNotReached(DeviceError):
    """The device took the command, and its own program waited in vain for the state to show."""

    kind = "state_not_reached"


class WrongMachine(DeviceError):
    """The device belongs to another machine than `identity` says. Nothing was sent, and nothing may be."""

    kind = "wrong_machine"


class LoginRefused(DeviceError):
    """Wrong user name or password, or a certificate that is not trusted."""

    kind = "login_refused"


class BadParameters(DeviceError):
    """The device's options are wrong; nothing was sent."""

    kind = "bad_parameters"


class NotSupported(DeviceError):
    """The device or agent has no such action; nothing was sent."""

    kind = "not_supported"


class CommandRefused(DeviceError):
    """A token that is not the highest, or a `not_after` that can't be kept: nothing was sent (S5)."""

    kind = "refused"


class ProxyRefused(CommandRefused):
    """The proxy can take no command now, whatever its token: nothing was sent, and another proxy may well take one."""

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
    """The process that carries out a command; it waits for its parameters until the hook returned (S16)."""

    pid: int
    pid_started: str


OnStarted = Callable[[Started], Awaitable[None]]
"""Called once when a command's own process exists and before it reads its parameters; durable when it returns."""


class Driver(Protocol):
    """Our code for one kind of device. Holds no state about a plug's power; may keep connections.

    Where `spec.identity` is given, and the driver's description says that it can identify, each read and each command
    compares it in the same session first: another machine is WrongMachine, one that can't be told a DeviceError.
    A device that says that it has just started or is not ready raises DeviceNotReady.
    """

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """The plug's power now. UNKNOWN for anything in between. Raises DeviceError; ends within the timeout,
        and when it is cancelled nothing that it started is left running."""
        ...

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        """Send ON or OFF and return when the device has taken it (not: when it is done). Never retries by itself (S6),
        never cycles (S7). A driver without a process of its own never calls `on_started`. Raises DeviceError."""
        ...

    async def close(self) -> None:
        """End sessions and connections; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A reading, and what the device said in the same session of the machine that it belongs to (model.identity.comparable).

    `identities` is empty where the device, its driver or the proxy on the way tells none: that says nothing."""

    power: Power
    identities: tuple[str, ...] = ()


@runtime_checkable
class IdentifyingDriver(Protocol):
    """What a driver that can identify may have besides."""

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """As `Driver.read`, and what tells the machine from others. What can't be told fails no reading."""
        ...


async def identified(driver: Driver, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
    """A reading with identities where the driver can tell them. Raises DeviceError, as `Driver.read`."""
    if isinstance(driver, IdentifyingDriver):
        return await driver.identify(spec, timeout_seconds=timeout_seconds)
    return Identified(power=await driver.read(spec, timeout_seconds=timeout_seconds))


class NativeDriver(Driver, Protocol):
    """A driver of our own: made without parameters, described by itself. What the registry lists."""

    description: ClassVar[DriverDescription]

    def __init__(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The right to send one power command: its token, and how long from now it can still act (S5).

    `not_after_seconds` counts from the call: attempt timeout plus the device's settle time.
    """

    token: Token
    attempt_timeout_seconds: float
    not_after_seconds: float


class Caller(Protocol):
    """Calls a device through one proxy. The engine's own machine is one implementation, HTTPS to an agent the other."""

    async def read(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        """As Driver.read, through that proxy: proves the whole path."""
        ...

    async def identify(self, proxy: ProxyName, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        """As `read`, and what the device said of its machine; nothing where its driver or an older proxy tells none."""
        ...

    async def set(
        self, proxy: ProxyName, spec: DeviceSpec, power: Power, *, permit: Permit, on_started: OnStarted
    ) -> None:
        """As Driver.set, through that proxy, which checks the token and the deadline once more."""
        ...

    async def close(self) -> None:
        """End connections; idempotent."""
        ...
