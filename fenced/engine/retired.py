"""Clears the retained `controller/OLD` after `daemon.name` has changed: nobody acts under the old name any more.

The outbox publishes the empty message when nothing else is under way. A broker that rejects it gets it again after a
restart; nothing depends on it.
"""

from collections.abc import Callable

import structlog

from fenced.ports.bus import BusAway, BusError, BusLost, Message

log = structlog.get_logger(__name__)


class Retired:
    """`topic`: that of the old name. `cleared` is called once the broker has cleared it."""

    def __init__(self, topic: str, cleared: Callable[[], None]) -> None:
        self._topic, self._cleared = topic, cleared
        self.is_due = True

    def begin(self) -> Message:
        """Return the message, as being under way."""
        self.is_due = False
        return Message(topic=self._topic, payload=b"", is_retained=True)

    def ended(self, error: BusError | None) -> None:
        """Note the result."""
        if error is None:
            log.info("old_name_cleared", topic=self._topic)
            self._cleared()
        elif isinstance(error, BusAway | BusLost):
            self.is_due = isinstance(error, BusAway)
        else:
            log.warning("old_name_not_cleared", topic=self._topic, error=str(error))
