"""Messages of the bus about one host, as the core takes them: heartbeat, presence, evidence, request."""

from dataclasses import dataclass
from enum import Enum

from fenced.model.names import BootId, HostName


class HealthStatus(Enum):
    """What a heartbeat says of its host."""

    OK = "ok"
    FAILING = "failing"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One message of `health/HOST`, or of POST health/H. `received`: when we read it, on the steady clock.

    `waited_seconds`: how long it may have lain with us before that, at most (in our socket, while we were busy).
    `sequence` counts within one boot and one `reporter`. `unread`: fields that could not be read, and are as absent.
    """

    host: HostName
    received: float
    is_retained: bool
    waited_seconds: float = 0.0
    boot: BootId | None = None
    reporter: str = ""
    sequence: int | None = None
    status: HealthStatus = HealthStatus.OK
    interval_seconds: float | None = None
    workloads: int = 0
    roles: tuple[str, ...] = ()
    reason: str = ""
    unread: tuple[str, ...] = ()

    @property
    def reached(self) -> float:
        """The earliest moment at which it may have reached us: what waited with us is no newer for it."""
        return self.received - self.waited_seconds

    @property
    def is_boot_unread(self) -> bool:
        """It speaks of some run of the host, and nobody knows of which."""
        return "boot" in self.unread


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
    """`request/HOST`, well-formed. `sent_at`: by our steady clock. `reply_topic` and `correlation`: MQTT 5, or None for
    `reply/ID`."""

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
