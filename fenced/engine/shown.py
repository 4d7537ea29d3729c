"""Answers what the bus shows of the hosts: an old state, a lost one, or one of a controller with a newer epoch.

The bus alone decides nothing. An old state is replaced by the daemon's own one. A token that the journal does not know
goes to the core. A newer epoch has the lease renewed at once: the store decides who holds it. If that is this life, a
new one begins above the kept epoch. A standby keeps what it saw, because retained messages come only with the
subscription.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from fenced.core import events as e
from fenced.core import lost
from fenced.core.fleet import Fleet
from fenced.model.names import HostName, Token
from fenced.model.text import some
from fenced.ports.bus import MessageKind, MessageResult
from fenced.ports.clock import Clock
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

EPOCH_MAX: Final = 10**12
"""No store counts so far. A higher epoch is nonsense, and a lease must not be taken above it."""
SHOWN_MAX: Final = 3
NO_TOKEN: Final = Token(epoch=0, sequence=0)


class Shown:
    """`again`: publish a host's state again. `hurry`: renew the lease now; `renewed` is called after each renewal.
    `begin_anew`: take the lease again, above all epochs in `left`. `before`: what the life before this one left."""

    def __init__(
        self, *, fleet: Fleet, clock: Clock, telemetry: Telemetry, controller: str,
        again: Callable[[HostName], None], deliver: Callable[[e.Event], None], hurry: Callable[[], None],
        begin_anew: Callable[[], None] = lambda: None, before: Mapping[HostName, e.StateSeen] | None = None,
    ) -> None:  # fmt: skip
        self._fleet, self._clock, self._telemetry, self._controller = fleet, clock, telemetry, controller
        self._again, self._deliver, self._hurry, self._begin_anew = again, deliver, hurry, begin_anew
        self._kept: dict[HostName, e.StateSeen] = {}
        self._highest_epoch = 0
        self._ahead: dict[HostName, tuple[float, e.StateSeen]] = {}
        """When the bus showed a newer state of a host than this life could have published, and which."""
        self._left: dict[HostName, e.StateSeen] = {}
        self._warned: set[HostName] = set()
        self._is_store_told = False
        for event in (before or {}).values():
            self._keep(event)

    def seen(self, event: e.StateSeen) -> None:
        """Handle a state on the bus. It never blocks."""
        result = MessageResult.RETAINED if event.is_retained else MessageResult.OK
        self._telemetry.bus_message(MessageKind.STATE, result)
        if not self._fleet.is_durable(event.host):
            return
        if not self._fleet.is_standby:
            self._answer(event)
        elif event.host not in self._kept or _newest(event) >= _newest(self._kept[event.host]):
            self._keep(event)  # an older one that comes later hides no newer one

    def take_over(self) -> None:
        """Answer what was kept as a standby, once this controller decides."""
        kept, self._kept = self._kept, {}
        for event in kept.values():
            if self._fleet.is_durable(event.host):
                self._answer(event)

    def known_epoch(self) -> int:
        """Return the highest epoch that the bus showed, or 0, for a lease that is to be taken above it.

        Each look of a standby asks, so it does not go over the hosts.
        """
        return self._highest_epoch

    def left(self) -> Mapping[HostName, e.StateSeen]:
        """Return what the next life must know: kept states that are newer than this one's epoch.

        A token of a store that this one replaced is no lost record of this one, in the next life neither.
        """
        is_foreign = bool(self._fleet.expected_store) or self._fleet.is_store_new
        return {
            host: replace(event, token=None, rev=_newest(event)) if is_foreign else event
            for host, event in self._left.items()
        }

    def renewed(self, began: float) -> None:
        """Handle a renewal that began then: whatever was seen before is not from the lease's holder.

        What the broker kept is of a life that the store forgot, or of another store: a new life begins above it. What
        comes live is of a controller that acts on another store: no epoch ends that.
        """
        new = []
        for host, (at, event) in list(self._ahead.items()):
            if at > began:
                continue
            del self._ahead[host]
            if host not in self._warned:
                self._warned.add(host)
                new.append(str(host))
            if event.is_retained and _newest(event).epoch <= EPOCH_MAX:
                self._left[host] = event
            else:
                self._again(host)
        if self._left:
            self._begin_anew()
        if new:
            log.warning(
                "states_of_a_newer_epoch", hosts=some(new, SHOWN_MAX, between=", "), ours=self._fleet.epoch,
                advice="this controller holds the lease of its store; let no other store serve this site",
            )  # fmt: skip

    def _keep(self, event: e.StateSeen) -> None:
        self._kept[event.host] = event
        epoch = _newest(event).epoch
        if epoch <= EPOCH_MAX:
            self._highest_epoch = max(self._highest_epoch, epoch)

    def _answer(self, event: e.StateSeen) -> None:
        fleet = self._fleet
        if fleet.expected_store and fleet.durable_state.store_hold:
            self._tell_store()
        elif _newest(event) > fleet.token_of_durable():
            self._ahead[event.host] = self._clock.now(), event
            self._hurry()
        elif lost.is_lost(fleet, fleet.durable(event.host), event):
            self._deliver(event)
        elif not self._is_own(event):
            self._again(event.host)

    def _is_own(self, event: e.StateSeen) -> bool:
        """Return whether this life published it: MQTT 3.1.1 has no way not to get it back."""
        is_own_epoch = event.rev is not None and event.rev.epoch == self._fleet.epoch
        return is_own_epoch and event.controller == self._controller

    def _tell_store(self) -> None:
        """Say once that a store in doubt leaves the bus alone: the other store's controller may be the right one."""
        if not self._is_store_told:
            self._is_store_told = True
            log.warning("states_of_another_store", reason=self._fleet.own.store_doubt, advice="see gate `store`")


def _newest(event: e.StateSeen) -> Token:
    """Return the higher one of its two numbers."""
    return max((token for token in (event.rev, event.token) if token is not None), default=NO_TOKEN)
