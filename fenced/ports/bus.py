"""The message bus: health in, announcements out. A health message states a condition; it may be late, twice or lost."""

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
    StateSeen,
    WakeRequest,
)
from fenced.model.names import BootId, HostName, OperationId, Token

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
    "ShutdownOrder",
    "StateSeen",
    "WakeRequest",
]


class MessageKind(Enum):
    """Label of fenced_bus_messages_total."""

    HEALTH = "health"
    PRESENCE = "presence"
    EVIDENCE = "evidence"
    REQUEST = "request"
    STATE = "state"


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
    """One message to publish with QoS 1.

    `expiry_seconds`: the broker drops it after this time (MQTT 5); None: never.
    """

    topic: str
    payload: bytes
    is_retained: bool
    correlation: bytes | None = None
    expiry_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownOrder:
    """Asks the reporter on a host to shut its machine down (S24).

    `boot` and `seq`: of a heartbeat that the daemon heard. The reporter obeys in that boot alone, and until
    `within_seconds` after it sent that heartbeat, by its own clock. `token`: above that of every earlier command.
    """

    id: OperationId
    token: Token
    boot: BootId
    seq: int
    within_seconds: float
    reason: str


class BusError(Exception):
    """The broker did not accept a message, for an unknown reason such as a timeout. The message may have arrived."""


class BusAway(BusError):
    """There is no connection, so the message was not sent."""


class BusRefused(BusError):
    """The broker answered with an error code (MQTT 5 only)."""


class BusLost(BusError):
    """The connection ended before the broker answered. This message may be the reason, and it may have arrived."""


class Bus(Protocol):
    """One connection to the broker; `run` reconnects with back-off for ever."""

    @property
    def is_connected(self) -> bool: ...

    async def run(self, deliver: Callable[[BusEvent], None]) -> None:
        """Connect, subscribe, and pass every well-formed message to `deliver`, which never blocks.

        Count and drop malformed, oversized and unknown-host messages. Ends only by cancellation.
        """
        ...

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        """Return once the broker acknowledged without an error code.

        Raises BusError; the subclass says what is known.
        """
        ...

    async def command(self, host: HostName, order: ShutdownOrder) -> None:
        """Publish an order once: QoS 1, not retained, and the broker drops it after `within_seconds` (MQTT 5).

        Return once the broker acknowledged, which does not mean that a reporter heard it. `within_seconds` is the
        deadline, too. Raises BusError; unless it is BusAway or BusRefused, the order may have arrived. Never repeat it:
        another attempt is another order with a token of its own.
        """
        ...
