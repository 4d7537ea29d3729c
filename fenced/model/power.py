"""Words for power: what was read, what is asked, how a step ended."""

from enum import Enum


class Power(Enum):
    """What a device said. UNKNOWN is not OFF (S2): powering off, a timeout and an error are all UNKNOWN."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Kind(Enum):
    """What a device controls: an OUTLET feeds the host, a CHASSIS is the host's own power (a BMC)."""

    OUTLET = "outlet"
    CHASSIS = "chassis"


class Action(Enum):
    """What an operation is for."""

    OFF = "off"
    ON = "on"
    RESTART = "restart"
    STATUS = "status"
    PROBE = "probe"


class Cause(Enum):
    """Why an operation or a suspicion came about; REQUEST is a person's or a program's, through the API or the bus."""

    SILENCE = "silence"
    REPORT = "report"
    REQUEST = "request"


class What(Enum):
    """One act on one device."""

    STATUS = "status"
    OFF = "off"
    ON = "on"


class Outcome(Enum):
    """How a step ended. ON, OFF and UNKNOWN are those of a status; the others those of a command.

    FAILED and TIMED_OUT may both have been done (S2); REFUSED certainly was not.
    """

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Verdict(Enum):
    """How a candidate of a proxy race fared."""

    WON = "won"
    RESERVE = "reserve"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    NOT_STARTED = "not_started"


class State(Enum):
    """What we know of a host (interface.md#states)."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DUMPING = "dumping"
    FENCING = "fencing"
    FENCED = "fenced"
    RESTORING = "restoring"
    FAILED = "failed"
    LEFT = "left"
    MAINTENANCE = "maintenance"


class OperationState(Enum):
    """Whether an operation runs or how it ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Proof(Enum):
    """Who says that the host is off: its devices, read back, or a person (confirm-off)."""

    DEVICE_VERIFIED = "device_verified"
    HUMAN = "human"
