"""Odd formats in which a host's reporter sends heartbeats. Other programs send them, and they are signs of life, too.

Formats a message for the wire and parses it with the real program. In every format, the host sends heartbeats.
"""

import json
from enum import Enum
from typing import Final

from fenced.core.durable.replacing import replace
from fenced.core.events import Health
from fenced.ports.health import Malformed, health

AHEAD: Final = 30
"""How far the second counter is ahead: heartbeats of the first are stale until it catches up."""


class Manner(Enum):
    """What is odd about a host's messages."""

    PLAINLY = "plainly"
    IN_FLOATS = "in floats"
    ODDLY = "oddly"
    WITHOUT_A_BOOT = "without a boot"
    WITH_TWO_COUNTERS = "with two counters"


def meant(event: Health, manner: Manner) -> Health:
    """Return what the message means. Two counters of one boot can't be told from late messages."""
    match manner:
        case Manner.WITHOUT_A_BOOT:
            return replace(event, boot=None, sequence=None)
        case Manner.WITH_TWO_COUNTERS:
            return replace(event, sequence=_of_two(event))
        case _:
            return event


def spelled(event: Health, manner: Manner) -> Health | None:
    """Return the message as the daemon parses it; None if it is no heartbeat for it."""
    if manner is Manner.PLAINLY:
        return event
    payload = json.dumps(_body(event, manner)).encode()
    try:
        return health(payload, host=event.host, received=event.received, is_retained=event.is_retained)
    except Malformed:
        return None


def _body(event: Health, manner: Manner) -> dict[str, object]:
    plain: dict[str, object] = {
        "boot": event.boot,
        "seq": event.sequence,
        "status": event.status.value,
        "interval": event.interval_seconds,
    }
    match manner:
        case Manner.IN_FLOATS:
            return {**plain, "seq": float(event.sequence or 0), "workloads": 12.0}
        case Manner.ODDLY:
            return {**plain, "interval": "soon", "workloads": "many", "roles": 7, "reason": ["none"]}
        case Manner.WITHOUT_A_BOOT:
            return {"seq": max(1000 - (event.sequence or 0), 0), "status": event.status.value}
        case _:
            return {**plain, "seq": _of_two(event)}


def _of_two(event: Health) -> int:
    """Two reporters alternate, and one of them has counted for longer."""
    own = event.sequence or 0
    return own + AHEAD if own % 2 else own
