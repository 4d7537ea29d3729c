"""The parsed messages of the bus about one host: heartbeat, presence, evidence, request, and the state it shows."""

from dataclasses import dataclass
from enum import Enum

from fenced.model.names import BootId, HostName, Token


class HealthStatus(Enum):
    """The status that a heartbeat reports for its host."""

    OK = "ok"
    FAILING = "failing"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One message of `health/HOST`, or of POST health/H. `received`: when the daemon read it, on the steady clock.

    `waited_seconds`: the longest it may have waited in the socket before that, while the daemon was busy. `sequence`
    counts within one boot and one `reporter`. `workloads`: None: not said. `unread`: fields that could not be parsed
    and are treated as absent.
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
    workloads: int | None = None
    roles: tuple[str, ...] = ()
    reason: str = ""
    unread: tuple[str, ...] = ()

    @property
    def reached(self) -> float:
        """The earliest time at which the message may have arrived: waiting in the socket makes it no newer."""
        return self.received - self.waited_seconds

    @property
    def is_boot_unread(self) -> bool:
        """Whether the message has a boot id that can't be parsed, so its run is unknown."""
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
    """`evidence/HOST/SOURCE`: what another system says of the host, valid for `ttl_seconds`. `is_alive` False takes it
    back. `unread`: fields that were not taken as they are: a `ttl` above the longest is cut."""

    host: HostName
    source: str
    received: float
    is_retained: bool
    evidence_kind: str
    is_alive: bool
    ttl_seconds: float
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRequest:
    """`request/HOST`, well-formed. `sent_at`: on the daemon's steady clock. `reply_topic` and `correlation`: MQTT 5, or
    None for `reply/ID`."""

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
class StateSeen:
    """`state/HOST` as the bus shows it: the daemon's own message, or one of another controller or an earlier life.

    `state`: "" if the topic was cleared. `is_proven`: it claims that the host is off. `rev`: the number of the message;
    None: an older program wrote it. `controller`: who published it. `operation`: the host's running or last one, or "".
    """

    host: HostName
    received: float
    is_retained: bool
    state: str
    is_proven: bool
    token: Token | None
    rev: Token | None
    controller: str
    operation: str = ""
