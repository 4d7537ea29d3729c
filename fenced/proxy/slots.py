"""Decides which call may use a device next: limits concurrent calls, with priorities (S15).

Knows no calls, drivers or time; the caller bounds its wait. OFF and the reads that verify it go first, then ON, then
other reads, and soft offs last, which never delay a fence. No unit gets more calls than its sessions, and plugs whose
last call failed get at most half of the slots.
"""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

from fenced.model.names import PlugId, UnitId

FAILING_PLUGS_MAX: Final = 10_000


class Rank(IntEnum):
    """Priority; lower goes first. OFF includes the reads that verify it."""

    OFF = 0
    ON = 1
    READ = 2
    SOFT_OFF = 3


@dataclass(eq=False, slots=True, kw_only=True)
class Ticket:
    """One call, waiting for a slot or holding one."""

    plug_id: PlugId
    unit_id: UnitId
    sessions: int
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    counts_as_failing: bool = False


class Slots:
    """`slots_max` concurrent calls. The server bounds how many wait."""

    def __init__(self, *, slots_max: int) -> None:
        self._free = slots_max
        self._failing_slots_max = max(1, slots_max // 2)
        self._failing_held = 0
        self._waiters: dict[Rank, dict[Ticket, None]] = {rank: {} for rank in Rank}
        self._units: Counter[UnitId] = Counter()
        self._plugs: Counter[PlugId] = Counter()
        self._failing: OrderedDict[PlugId, None] = OrderedDict()

    def note(self, plug_id: PlugId, *, is_failing: bool) -> None:
        """Record whether the last call to a plug failed."""
        self._failing.pop(plug_id, None)
        if is_failing:
            self._failing[plug_id] = None
            if len(self._failing) > FAILING_PLUGS_MAX:
                self._failing.popitem(last=False)

    async def take(self, *, rank: Rank, plug_id: PlugId, unit_id: UnitId, sessions: int) -> Ticket:
        """Wait for a slot.

        If cancelled while waiting, the call leaves the queue. Give the ticket back after the call.
        """
        ticket = Ticket(plug_id=plug_id, unit_id=unit_id, sessions=sessions)
        # Waiting calls were checked at the last change; a new arrival does not change anything for them.
        if self._free and self._may_go(ticket):
            self._hand_out(ticket)
            return ticket
        self._waiters[rank][ticket] = None
        try:
            await ticket.turn
        except asyncio.CancelledError:
            if ticket in self._waiters[rank]:
                del self._waiters[rank][ticket]
            else:  # the slot was assigned at the same moment
                self.give_back(ticket)
            raise
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """Free the slot of a call that ended. Call `note` before."""
        self._free += 1
        self._failing_held -= ticket.counts_as_failing
        _decrease(self._units, ticket.unit_id)
        _decrease(self._plugs, ticket.plug_id)
        self._serve()

    def _serve(self) -> None:
        for waiters in self._waiters.values():
            for ticket in list(waiters):
                if not self._free:
                    return
                if self._may_go(ticket):
                    del waiters[ticket]
                    self._hand_out(ticket)

    def _may_go(self, ticket: Ticket) -> bool:
        if ticket.turn.done() or self._units[ticket.unit_id] >= ticket.sessions:
            return False
        if ticket.plug_id not in self._failing:
            return True
        return self._plugs[ticket.plug_id] == 0 and self._failing_held < self._failing_slots_max

    def _hand_out(self, ticket: Ticket) -> None:
        self._free -= 1
        self._units[ticket.unit_id] += 1
        self._plugs[ticket.plug_id] += 1
        ticket.counts_as_failing = ticket.plug_id in self._failing
        self._failing_held += ticket.counts_as_failing
        ticket.turn.set_result(None)


K = TypeVar("K")


def _decrease(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
