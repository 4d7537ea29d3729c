"""The commands that the core issues, in the imperative. The reactor starts one once its records are durable (S3)."""

from dataclasses import dataclass

from fenced.core.heard.looks import Observer, Target
from fenced.model.answers import Answer
from fenced.model.names import BootId, DeviceName, HostName, OperationId, ProxyName, Token
from fenced.model.power import What


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Check the host again at that time (steady clock)."""

    host: HostName
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLife:
    """Look whether the host lives; answers with LifeAsked once all observers answered or their time is over.

    Each of `observers` looks at each of `targets`. Both empty: there is nothing to look at. `is_trial`: the host is
    heard, and the answer is whether its silence would be seen.
    """

    host: HostName
    observers: tuple[Observer, ...] = ()
    targets: tuple[Target, ...] = ()
    is_trial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRace:
    """Race the candidates for a device; answers with RaceFinished. `is_exhaustive`: read through every candidate.

    `number`: counts the device's races in this operation, from 1. `stops_at_mismatch`: end the race when one path finds
    another machine.
    """

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    tiers: tuple[tuple[ProxyName, ...], ...]
    operation_started: float
    priority: int
    is_exhaustive: bool = False
    stops_at_mismatch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDevice:
    """Read a device through a proxy; answers with StepFinished."""

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    proxy: ProxyName
    timeout_seconds: float
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchDevice:
    """Send ON or OFF under a token; answers with StepFinished. The worker refuses it by its token or past
    `not_after`."""

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    what: What
    proxy: ProxyName
    token: Token
    timeout_seconds: float
    not_after: float
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropReads:
    """Cancel the races and reads of an operation; power commands run to their end."""

    host: HostName
    operation: OperationId


@dataclass(frozen=True, slots=True, kw_only=True)
class DropOns:
    """Cancel the ONs of an operation that have not begun; each answers as refused, with `why`. The others go on
    (S6)."""

    host: HostName
    operation: OperationId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillOns:
    """Kill every running ON command: the lease is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchHost:
    """Read all devices of a fenced or failed host; answers with WatchEnded. `exhaustive`: the devices to read through
    each candidate."""

    host: HostName
    paths: tuple[tuple[DeviceName, tuple[tuple[ProxyName, ...], ...]], ...]
    exhaustive: tuple[DeviceName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer a request of the bus, on its MQTT 5 response topic or on `reply/ID`. A crash loses it; the requester then
    repeats the request. `host` None: the request named a cluster."""

    host: HostName | None
    request_id: str
    reply_topic: str | None
    correlation: bytes | None
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReporter:
    """Ask the host's reporter once to shut the host down (S24): published, never repeated. The reporter obeys in that
    boot, `within_seconds` of sending the beat `sequence`, and with no work."""

    host: HostName
    operation: OperationId
    token: Token
    boot: BootId | None
    sequence: int | None
    within_seconds: float
    reason: str


WITHIN_SECONDS = 30.0
"""So long after the beat that it names a reporter obeys."""

Command = (
    Wake
    | AskLife
    | RunRace
    | ReadDevice
    | SwitchDevice
    | DropReads
    | DropOns
    | KillOns
    | WatchHost
    | Reply
    | AskReporter
)

PRIORITY_OFF = 0
PRIORITY_ON = 1
PRIORITY_PROBE = 2
PRIORITY_STATUS = 3
PRIORITY_SLEEP = 4
"""OFF and its verification first, then ON, then probes, then status (S15), and last what puts a host to sleep (S24)."""
