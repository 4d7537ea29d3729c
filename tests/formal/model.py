"""The model's values: one host with one level of two redundant devices, its journal, and its commands on their way.

Abstracts from the program and from time: a command can still act, or it can no more (its `not_after` has passed). What
`rules.py` does not list can't happen. No value grows without bound, so runs of any length are covered by finitely many
states.
"""

from enum import IntEnum
from typing import Final, NamedTuple

DEVICES: Final = (0, 1)
PATHS: Final = (0, 1)
"""Proxies. Each remembers the highest token that it saw, and knows nothing of the other."""

RULES: Final[dict[str, str]] = {
    "both devices": "S1: fenced is recorded only when every device of the level was read OFF",
    "read": "S2: OFF is what was read; a command that was sent, or a timeout, is no OFF",
    "fresh read": "S1: what was read before an operation began, or before an ON, proves nothing after it",
    "settled read": "S5: a reading counts only when no ON may still land",
    "doubt": "S2: after an ON the host counts as fenced again only when the device was read OFF",
    "record first": "S3: a command leaves only after its record is durable",
    "outbox": "S3: fenced is announced only from the journal",
    "epoch": "S3: the journal takes nothing from a daemon with an older epoch",
    "one operation": "S4: an operation begins only when none runs",
    "settled on": "S5: an ON is sent only when no OFF may still land",
    "settled end": "S5, S14: an operation ends only when none of its commands may still land",
    "not after": "S5, S16: a command can act no more when its `not_after` has passed",
    "token": "S5: a path takes no token that is not above the highest it saw",
    "off before on": "S8: a restart gives power back only after fenced was recorded",
    "announced before on": "S8: and after the broker has it, or `announce_wait` is over",
    "watch": "S17: a fenced host is read again and again, and revoked when it reads ON",
}
"""Every rule that can be left out, to see what breaks without it."""


class Phase(IntEnum):
    """The phase of the host's operation, according to the journal."""

    IDLE = 0
    PROVING = 1
    FENCED = 2
    RESTORING = 3
    CLOSING = 4


class Kind(IntEnum):
    """The goal of an operation."""

    OFF = 0
    RESTART = 1
    ON = 2


class Claim(IntEnum):
    """What the journal claims of the host.

    HELD: it was fenced and an operation runs on it; meanwhile nothing is claimed.
    """

    NONE = 0
    FENCED = 1
    HELD = 2


class Power(IntEnum):
    """The truth of a device. BY_HAND: switched ON from outside, unknown to the daemon so far."""

    OFF = 0
    ON = 1
    BY_HAND = 2


class Command(NamedTuple):
    """A power command that may still act. `is_taken`: its path compared the token and let it pass.

    `is_counted`: the journal knows that it may act. `is_old`: its operation has ended, or another one began.
    """

    token: int
    path: int
    is_on: bool
    is_taken: bool = False
    is_counted: bool = True
    is_old: bool = False


class Device(NamedTuple):
    """`is_read_off`: the current daemon read it OFF. `is_in_doubt`: an ON was recorded and no OFF read since."""

    power: Power = Power.ON
    is_read_off: bool = False
    is_in_doubt: bool = False
    commands: tuple[Command, ...] = ()

    def may_land(self, *, is_on: bool) -> bool:
        """Return whether a command may still act according to the journal."""
        return any(command.is_on is is_on and command.is_counted for command in self.commands)


class View(NamedTuple):
    """The beliefs of a daemon that lost its lease without knowing it yet."""

    phase: Phase
    is_proven: bool


class World(NamedTuple):
    """Everything. `is_told`: others know of the fence, or `announce_wait` is over.

    `outbox`: "fenced" is journalled for announcement; `bus`: the bus was last told "fenced". `stale`: the other daemon.
    """

    phase: Phase = Phase.IDLE
    kind: Kind = Kind.OFF
    claim: Claim = Claim.NONE
    is_told: bool = False
    outbox: bool = False
    bus: bool = False
    devices: tuple[Device, ...] = (Device(), Device())
    stale: View | None = None

    @property
    def is_proven(self) -> bool:
        return all(device.is_read_off for device in self.devices)


class Does(IntEnum):
    """What can happen.

    Up to TAKEOVER a daemon does it; LAND to LOSE happen in network and devices; HAND comes from outside.
    """

    BEGIN = 0
    JOIN = 1
    OFF = 2
    ON = 3
    READ = 4
    FENCE = 5
    ANNOUNCE = 6
    WAIT = 7
    RESTORE = 8
    GIVE_BACK = 9
    STOP = 10
    END = 11
    REVOKE = 12
    TAKEOVER = 13
    ARRIVE = 14
    ACT = 15
    LOSE = 16
    HAND = 17


class Action(NamedTuple):
    """One thing that happens. `is_yes`: END, ANNOUNCE: fenced; HAND: ON. `is_stale`:
    the daemon without the lease does it.

    `is_recorded`: OFF, ON: the record is durable first.
    """

    does: Does
    device: int = 0
    token: int = 0
    path: int = 0
    kind: Kind = Kind.OFF
    is_yes: bool = False
    is_stale: bool = False
    is_recorded: bool = True
