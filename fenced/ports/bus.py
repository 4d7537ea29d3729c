"""The message bus: health in, announcements out. Health is level, not edge: any message may be late, twice or lost."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fenced.model.names import BootId, HostName


class HealthStatus(Enum):
    """What a heartbeat says of its host."""

    OK = "ok"
    FAILING = "failing"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One well-formed message of `health/HOST`, or of POST health/H. `received`: steady clock."""

    host: HostName
    received: float
    is_retained: bool
    boot: BootId | None = None
    sequence: int | None = None
    status: HealthStatus = HealthStatus.OK
    interval_seconds: float | None = None
    workloads: int = 0
    roles: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """`presence/HOST`: online, or offline (the reporter's last will: one weak sign)."""

    host: HostName
    received: float
    is_retained: bool
    is_online: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`evidence/HOST/SOURCE`: somebody else's word on whether the host lives, good for `ttl_seconds`."""

    host: HostName
    source: str
    received: float
    is_retained: bool
    evidence_kind: str
    is_alive: bool
    ttl_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRequest:
    """`request/HOST`, well-formed. `reply_topic` and `correlation`: MQTT 5, or None for `reply/ID`."""

    host: HostName
    received: float
    is_retained: bool
    id: str
    action: str
    reason: str
    by: str
    sent_at: float
    reply_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConnected:
    """Connected and subscribed."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusDisconnected:
    """The connection is gone; it is tried again for ever."""

    at: float
    why: str


BusEvent = Health | Presence | Evidence | BusRequest | BusConnected | BusDisconnected


class MessageKind(Enum):
    """Label of fenced_bus_messages_total."""

    HEALTH = "health"
    PRESENCE = "presence"
    EVIDENCE = "evidence"
    REQUEST = "request"


class MessageResult(Enum):
    """Label of fenced_bus_messages_total."""

    OK = "ok"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNKNOWN_HOST = "unknown_host"
    RETAINED = "retained"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish; QoS 1."""

    topic: str
    payload: bytes
    is_retained: bool
    correlation: bytes | None = None


class BusError(Exception):
    """A message was not taken by the broker: not connected, no answer in time, or refused with a reason code."""


class Bus(Protocol):
    """One connection to the broker, kept up for ever with back-off by `run`."""

    @property
    def is_connected(self) -> bool: ...

    async def run(self, deliver: Callable[[BusEvent], None]) -> None:
        """Connect, subscribe, hand every well-formed message to `deliver` (which never blocks), for ever.
        Malformed, oversized and unknown-host messages are counted and dropped here. Returns only by cancellation."""
        ...

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        """Returns once the broker acknowledged without an error code. Raises BusError otherwise."""
        ...
