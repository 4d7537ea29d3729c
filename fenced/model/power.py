"""Enums for power: readings, actions, outcomes, and the states of hosts and operations."""

from enum import Enum


class Power(Enum):
    """A reading of a device. UNKNOWN is not OFF (S2): powering off, a timeout and an error are all UNKNOWN."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Kind(Enum):
    """What a device controls: an OUTLET feeds the host, a CHASSIS is the host's own power (a BMC)."""

    OUTLET = "outlet"
    CHASSIS = "chassis"


class Action(Enum):
    """The goal of an operation."""

    OFF = "off"
    ON = "on"
    RESTART = "restart"
    STATUS = "status"
    PROBE = "probe"
    SLEEP = "sleep"
    WAKE = "wake"


class Cause(Enum):
    """Why an operation or a suspicion began. REQUEST comes from an operator or program, through the API or the bus;
    SAVING from the policy that puts idle hosts to sleep and wakes them (S24)."""

    SILENCE = "silence"
    REPORT = "report"
    REQUEST = "request"
    SAVING = "saving"


class What(Enum):
    """One act on one device. SOFT_OFF asks the host's operating system to shut down, and cuts nothing (S24)."""

    STATUS = "status"
    OFF = "off"
    ON = "on"
    SOFT_OFF = "soft_off"

    def is_opposite(self, power: Power) -> bool:
        """Return whether it would change a device that has this power."""
        return self is What.ON if power is Power.OFF else self in {What.OFF, What.SOFT_OFF}


class Outcome(Enum):
    """How a step ended. ON, OFF and UNKNOWN are readings; the others are results of commands.

    After FAILED or TIMED_OUT the command may have been carried out (S2); after REFUSED it certainly was not.
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
    """The result of a candidate in a proxy race."""

    WON = "won"
    RESERVE = "reserve"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    NOT_STARTED = "not_started"


class State(Enum):
    """What is known of a host (interface.md#states)."""

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
    SLEEPING = "sleeping"


class OperationState(Enum):
    """Whether an operation runs or how it ended."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Proof(Enum):
    """How it is known that the host is off: devices read back, or an operator's confirm-off."""

    DEVICE_VERIFIED = "device_verified"
    HUMAN = "human"
