"""How a connection fails, and the words of foreign exceptions, kept short. They never leave this package."""

from typing import Final

REASON_LENGTH_MAX: Final = 300

_LOST: Final = {
    "Unspecified error": "closed without a word",
    "Keep alive timeout": "the broker did not answer for the keepalive time",
}
"""paho's words for what it found by itself -> ours."""


class Unreachable(Exception):
    """No connection came about, or no subscription; the text says why."""


class VersionRefused(Unreachable):
    """The broker does not speak the MQTT version that was tried."""


class Silent(Unreachable):
    """Nobody answered the connection's first message in time; a broker that chokes on a newer version does that."""


def bounded(exc: BaseException) -> str:
    """What a foreign exception says, or its name where it says nothing."""
    return (str(exc) or type(exc).__name__)[:REASON_LENGTH_MAX]


def why_ended(reason: str, *, is_brokers_word: bool) -> str:
    """Why a connection ended, by paho's name of the reason."""
    return (
        f"the broker ended the connection: {reason}"
        if is_brokers_word
        else f"connection lost: {_LOST.get(reason, reason)}"
    )
