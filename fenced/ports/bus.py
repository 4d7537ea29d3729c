"""The message bus: health in, announcements out. Health is level, not edge: any message may be late, twice or lost."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fenced.core.events import (
    BusConnected,
    BusDisconnected,
    BusEvent,
    BusRequest,
    Evidence,
    Health,
    HealthStatus,
    Presence,
)

__all__ = [
    "Bus",
    "BusAway",
    "BusConnected",
    "BusDisconnected",
    "BusError",
    "BusEvent",
    "BusLost",
    "BusRefused",
    "BusRequest",
    "Evidence",
    "Health",
    "HealthStatus",
    "Message",
    "MessageKind",
    "MessageResult",
    "Presence",
]


class MessageKind(Enum):
    """Label of fenced_bus_messages_total."""

    HEALTH = "health"
    PRESENCE = "presence"
    EVIDENCE = "evidence"
    REQUEST = "request"


class MessageResult(Enum):
    """Label of fenced_bus_messages_total."""

    OK = "ok"
    PARTLY = "partly"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNKNOWN_HOST = "unknown_host"
    RETAINED = "retained"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish; QoS 1. `expiry_seconds`: whoever keeps it longer on its way drops it (MQTT 5); None: nobody."""

    topic: str
    payload: bytes
    is_retained: bool
    correlation: bytes | None = None
    expiry_seconds: int | None = None


class BusError(Exception):
    """A message was not taken by the broker, and it is not known why: no answer in time, say. It may have arrived."""


class BusAway(BusError):
    """There is no connection: the message was not sent."""


class BusRefused(BusError):
    """The broker answered with an error code. Only MQTT 5 says so."""


class BusLost(BusError):
    """The connection ended before the broker had answered: maybe because of this message, and it may have it."""


class Bus(Protocol):
    """One connection to the broker, kept up for ever with back-off by `run`."""

    @property
    def is_connected(self) -> bool: ...

    async def run(self, deliver: Callable[[BusEvent], None]) -> None:
        """Connect, subscribe, hand every well-formed message to `deliver` (which never blocks), for ever.
        Malformed, oversized and unknown-host messages are counted and dropped here. Returns only by cancellation."""
        ...

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        """Returns once the broker acknowledged without an error code. Raises BusError otherwise: the kind says what is known."""
        ...
