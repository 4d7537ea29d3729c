"""Both kinds of slots under random histories: users ask, get a slot, give it back, or are cancelled,
even at the same moment.

The model is a sorted list and one rule: the first user that may have a slot gets it. After each step both have the same
holders. So no slot is lost or given twice, and no user waits while a slot is free for it.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fenced.engine.slots import Slots as EngineSlots
from fenced.model.names import PlugId, UnitId
from fenced.proxy.slots import Rank
from fenced.proxy.slots import Slots as ProxySlots
from tests.properties.profiles import histories
from tests.properties.running import Running

PLUGS = ("a1", "a2", "b1", "c1")
SESSIONS = {"a": 1, "b": 2, "c": 9}
"""By unit: the first letter of a plug."""


@dataclass(eq=False, slots=True)
class User:
    """A user that wants a slot. `is_counted`: it holds one of those for failing devices."""

    urgency: int
    number: int
    plug: str
    is_failing: bool
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    has_place: bool = False
    is_counted: bool = False


class Places(RuleBasedStateMachine):
    """`users`: all that wait or hold, by task; `holding`: the holders according to the model."""

    total = 0

    def start(self, total: int) -> None:
        self.running, self.total, self.number = Running(), total, 0
        self.tasks: dict[User, asyncio.Task[None]] = {}
        self.waiting: list[User] = []
        self.holding: list[User] = []

    async def use(self, user: User) -> None:
        """Take a real slot, hold it until released by the test, and give it back."""
        raise NotImplementedError

    def may_have(self, user: User) -> bool:
        """Return whether a slot is free for the user, in the model."""
        raise NotImplementedError

    # -- what happens, to both ----------------------------------------------------------------------------------------

    @rule(wishes=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(PLUGS), st.booleans()), min_size=1, max_size=4))
    def some_ask(self, wishes: list[tuple[int, str, bool]]) -> None:
        """(urgency, plug, whether it fails), in this order."""
        for urgency, plug, is_failing in wishes:
            self.number += 1
            user = User(urgency=urgency, number=self.number, plug=plug, is_failing=is_failing)
            self.tasks[user] = self.running.begin(self.use(user))
            self.waiting.append(user)
            self.compare()

    @precondition(lambda self: self.holding)
    @rule(at=st.integers(0, 9))
    def leaves(self, at: int) -> None:
        self._leave(self.holding[at % len(self.holding)])
        self.compare()

    @precondition(lambda self: self.waiting)
    @rule(at=st.integers(0, 9))
    def gives_up(self, at: int) -> None:
        self._give_up(self.waiting[at % len(self.waiting)])
        self.compare()

    @precondition(lambda self: self.holding and self.waiting)
    @rule(at=st.integers(0, 9), is_next=st.booleans(), steps=st.integers(0, 3))
    def leaves_while_another_gives_up(self, at: int, is_next: bool, steps: int) -> None:
        """Usually the user whose turn is next: it is cancelled around the moment in which it is served."""
        going = self.holding[at % len(self.holding)]
        left = sorted(self.waiting, key=_order)
        self.running.do(self._leave_and_give_up(going, left[0] if is_next else left[at % len(left)], steps))
        self.compare()

    async def _leave_and_give_up(self, going: User, other: User, steps: int) -> None:
        """With a step in between, the other may have been given the slot that it gives up."""
        self._leave(going)
        for _ in range(steps):
            await asyncio.sleep(0)
        if steps:
            self._serve()
        if not other.has_place:
            self._give_up(other)

    @precondition(lambda self: self.holding)
    @rule(at=st.integers(0, 9))
    def holder_is_cancelled(self, at: int) -> None:
        user = self.holding[at % len(self.holding)]
        self.tasks[user].cancel()
        self._leave(user)
        self.compare()

    def _leave(self, user: User) -> None:
        self.holding.remove(user)
        del self.tasks[user]
        user.leave.set()

    def _give_up(self, user: User) -> None:
        (self.waiting if user in self.waiting else self.holding).remove(user)
        self.tasks.pop(user).cancel()

    # -- what must hold -----------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Let the model serve; both must have the same holders."""
        self.running.go()
        self._serve()
        assert {user.number for user in self.tasks if user.has_place} == {user.number for user in self.holding}

    def _serve(self) -> None:
        for user in sorted(self.waiting, key=_order):
            if self.may_have(user):
                self.waiting.remove(user)
                self.holding.append(user)
                user.is_counted = self.is_failing(user)

    def is_failing(self, user: User) -> bool:
        return user.is_failing

    def has_room_for_failing(self) -> bool:
        return sum(user.is_counted for user in self.holding) < max(1, self.total // 2)

    def teardown(self) -> None:
        """All holders leave: in the end every waiting user has got a slot."""
        if not hasattr(self, "running"):
            return
        try:
            while self.holding and not self.running.is_broken:
                self._leave(self.holding[0])
                self.compare()
            assert not self.waiting or self.running.is_broken
        finally:
            self.running.close()


def _order(user: User) -> tuple[int, int]:
    return user.urgency, user.number


class EnginePlaces(Places):
    """fenced/engine/slots.py. A failing device is marked when it asks; the bound may change."""

    @initialize(total=st.integers(1, 4))
    def begin(self, total: int) -> None:
        self.start(total)
        self.slots = EngineSlots(total)

    async def use(self, user: User) -> None:
        async with self.slots.hold(user.urgency, failing=user.plug if user.is_failing else None):
            user.has_place = True
            await user.leave.wait()

    def may_have(self, user: User) -> bool:
        if len(self.holding) >= self.total:
            return False
        is_held = any(other.is_counted and other.plug == user.plug for other in self.holding)
        return not user.is_failing or (self.has_room_for_failing() and not is_held)

    @rule(total=st.integers(1, 5))
    def bound_changes(self, total: int) -> None:
        self.total = total
        self.slots.resize(total)
        self.compare()
        assert self.slots.held == len(self.holding)


class ProxyPlaces(Places):
    """fenced/proxy/slots.py. Whether a plug fails is known from its last call; a unit has its sessions.

    `failing`: plugs whose last call failed; a user's `is_failing` is how its own call will end."""

    @initialize(total=st.integers(1, 5))
    def begin(self, total: int) -> None:
        self.start(total)
        self.slots = ProxySlots(slots_max=total)
        self.failing: set[str] = set()

    async def use(self, user: User) -> None:
        ticket = await self.slots.take(
            rank=Rank(user.urgency), plug_id=PlugId(user.plug), unit_id=UnitId(user.plug[0]),
            sessions=SESSIONS[user.plug[0]],
        )  # fmt: skip
        try:
            user.has_place = True
            await user.leave.wait()
        finally:
            self.slots.note(PlugId(user.plug), is_failing=user.is_failing)
            self.slots.give_back(ticket)

    def may_have(self, user: User) -> bool:
        units, plugs = Counter(it.plug[0] for it in self.holding), Counter(it.plug for it in self.holding)
        if len(self.holding) >= self.total or units[user.plug[0]] >= SESSIONS[user.plug[0]]:
            return False
        return user.plug not in self.failing or (plugs[user.plug] == 0 and self.has_room_for_failing())

    def is_failing(self, user: User) -> bool:
        return user.plug in self.failing

    def _leave(self, user: User) -> None:
        super()._leave(user)
        (self.failing.add if user.is_failing else self.failing.discard)(user.plug)


TestEnginePlaces = EnginePlaces.TestCase
TestEnginePlaces.settings = histories(40, 40)
TestProxyPlaces = ProxyPlaces.TestCase
TestProxyPlaces.settings = histories(40, 40)
