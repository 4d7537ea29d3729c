"""The site's retained `info`: version, controller, and a digest of the configuration (interface.md#bus).

It is a help for people, and nothing depends on it. So the outbox publishes it when nothing else is under way, and a
broker that rejects it, as an older access list does, gets it again only after a day, a restart or a reload that changes
the digest. Readiness, other messages and the connection do not depend on it.
"""

import json
from collections.abc import Callable
from typing import Final

import structlog

from fenced import __version__
from fenced.bus.topics import Topics
from fenced.core.fleet import Fleet
from fenced.model.moments import Wall, rfc3339
from fenced.ports.bus import BusAway, BusError, BusLost, Message

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 86_400.0
LOSSES_MAX: Final = 2
"""One lost connection may be a coincidence; a broker that hangs up twice does so because of the message."""


class Info:
    """Knows whether the broker has the present message. `now`: the steady clock."""

    def __init__(self, *, fleet: Fleet, now: Callable[[], float], wall: Wall) -> None:
        self._fleet, self._now, self._wall = fleet, now, wall
        self._digest, self._since = fleet.durable_inventory.digest, fleet.started
        self._is_known = self._is_under_way = self._is_reported = False
        self._losses = 0
        self._not_before = float("-inf")

    @property
    def is_due(self) -> bool:
        """Return whether to publish it now. Without a digest there is nothing to say."""
        digest = self._fleet.durable_inventory.digest
        if digest != self._digest:  # a reload
            self._digest, self._since = digest, self._now()
            self._is_known, self._losses, self._not_before = False, 0, self._now()
        return bool(digest) and not self._is_known and not self._is_under_way and self._now() >= self._not_before

    def connected(self) -> None:
        """Note a new connection: the broker may have lost the message."""
        self._is_known = False

    def begin(self) -> Message:
        """Return the message, as being under way."""
        self._is_under_way = True
        daemon = self._fleet.durable_inventory.daemon
        payload = {
            "version": __version__,
            "site": daemon.site,
            "controller": daemon.name,
            "configuration": self._digest,
            "since": rfc3339(self._wall(self._since)),
        }
        return Message(topic=Topics(site=daemon.site).info, payload=json.dumps(payload).encode(), is_retained=True)

    def ended(self, error: BusError | None, *, is_current: bool) -> None:
        """Note the result. `is_current`: the connection is still the one on which it was sent."""
        self._is_under_way = False
        if error is None:
            self._is_known, self._is_reported, self._losses = is_current, False, 0
            return
        if isinstance(error, BusAway):
            return
        self._losses += isinstance(error, BusLost)
        if isinstance(error, BusLost) and self._losses < LOSSES_MAX:
            return
        self._not_before = self._now() + PAUSE_SECONDS
        if not self._is_reported:
            self._is_reported = True
            topic = Topics(site=self._fleet.durable_inventory.daemon.site).info
            advice = "let the daemon's account write this topic, then restart the daemon; nothing else depends on it"
            log.warning("info_not_published", topic=topic, error=str(error), advice=advice)
