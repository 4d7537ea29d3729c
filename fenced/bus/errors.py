"""The ways in which a connection fails, and short texts of foreign exceptions. They never leave this package."""

from typing import Final

REASON_LENGTH_MAX: Final = 300

_LOST: Final = {
    "Unspecified error": "closed without a reason",
    "Keep alive timeout": "the broker did not answer within the keepalive time",
}
"""paho's name of a reason that it found itself -> the text shown."""


class Unreachable(Exception):
    """No connection, or no subscription; the text says why."""


class VersionRefused(Unreachable):
    """The broker does not speak the MQTT version of this attempt."""


class Silent(Unreachable):
    """The broker did not answer the first packet in time; a broker that can't read a newer version may do that."""


def bounded(exc: BaseException) -> str:
    """Return a foreign exception's text, or its name if it has none."""
    return (str(exc) or type(exc).__name__)[:REASON_LENGTH_MAX]


def why_ended(reason: str, *, is_from_broker: bool) -> str:
    """Return why a connection ended. `reason`: paho's name of it."""
    return (
        f"the broker ended the connection: {reason}"
        if is_from_broker
        else f"connection lost: {_LOST.get(reason, reason)}"
    )
