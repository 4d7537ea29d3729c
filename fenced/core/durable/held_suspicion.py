"""Keeps how a suspicion that gates held went: what an armed daemon would have done, and what became of the host."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from fenced.model.power import Cause

ARMING: Final = frozenset({"armed", "automatic"})
"""The gates that arming opens: if only these are closed, an armed daemon would cut the host's power."""


class SuspicionEnd(Enum):
    """What became of a suspect host.

    HEARD: the same run was heard again, or one without a boot id, so the host lived all the time. REBOOTED: it was
    heard with a new boot id. ACTED: the daemon began to fence it. CONFIRMED: an operator stated that it is off.
    OPERATOR: an operator switched it or took it into maintenance. OFF: its devices were read OFF without a command.
    REMOVED: it left the inventory.
    """

    HEARD = "heard"
    REBOOTED = "rebooted"
    ACTED = "acted"
    CONFIRMED = "confirmed"
    OPERATOR = "operator"
    OFF = "off"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSuspicion:
    """One suspicion that gates held.

    `would_at`: when only gates of ARMING were closed, so that an armed daemon would have begun to cut the power; None:
    other gates held the host all the time. `gates`: those of ARMING then, or else the others that held it last. `end`
    None: the host is still silent.
    """

    at: float
    cause: Cause
    last_heard: float | None
    gates: tuple[str, ...]
    would_at: float | None = None
    ended_at: float | None = None
    end: SuspicionEnd | None = None
