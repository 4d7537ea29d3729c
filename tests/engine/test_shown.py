"""What the bus still shows: an old state is replaced, a lost one is decided, a newer epoch asks the store."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from structlog.testing import capture_logs

from fenced.core import events as e
from fenced.core.durable.replacing import replace
from fenced.core.fleet import Fleet
from fenced.engine.giving_over import HandedOver, shown_before
from fenced.engine.lease import HURRY_SECONDS, LeaseKeeper
from fenced.engine.repeats import CALM_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Repeats
from fenced.engine.shown import EPOCH_MAX, Shown
from fenced.model.names import HostName, Token
from fenced.ports.bus import MessageKind, MessageResult
from tests.bus.parts import CountingTelemetry
from tests.core.test_lost import shown
from tests.engine.outbox_desk import Desk as OutboxDesk
from tests.engine.outbox_desk import play
from tests.fakes.journal import MemoryJournal
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import WorldClock
from tests.world.rack import Rack

NODE = HostName("node-2")
EPOCH = 4


def token(epoch: int, sequence: int = 7) -> Token:
    return Token(epoch=epoch, sequence=sequence)


class Bench:
    """A `Shown` whose outputs are kept. The host's own token is 3-20."""

    def __init__(self, *, epoch: int = EPOCH) -> None:
        self.clock = WorldClock()
        self.fleet = Fleet(racks.inventory(Rack()), epoch=epoch, started=self.clock.now())
        self.fleet.put(replace(self.fleet.hosts[NODE], token=token(3, 20)))
        self.telemetry = CountingTelemetry()
        self.again: list[HostName] = []
        self.delivered: list[e.Event] = []
        self.hurried = self.lives = 0
        self.shown = Shown(
            fleet=self.fleet, clock=self.clock, telemetry=self.telemetry, controller="fenced-a",
            again=self.again.append, deliver=self.delivered.append, hurry=self._hurry,
            begin_anew=self._begin_anew,
        )  # fmt: skip

    def _hurry(self) -> None:
        self.hurried += 1

    def _begin_anew(self) -> None:
        self.lives += 1

    @property
    def outcome(self) -> tuple[int, int, int]:
        """How many states were repeated, given to the core, and brought before the store."""
        return len(self.again), len(self.delivered), self.hurried


def at_a_bench(story: Callable[[Bench], None], *, epoch: int = EPOCH) -> None:
    async def main() -> None:
        story(Bench(epoch=epoch))

    run(main())


def test_an_older_epoch_and_an_older_program_are_answered() -> None:
    def story(it: Bench) -> None:
        it.shown.seen(shown("suspect", token(3), rev=token(3, 900)))
        it.shown.seen(replace(shown("suspect", token(3)), rev=None))
        it.shown.seen(replace(shown("", None), rev=None, controller=""))
        assert it.outcome == (3, 0, 0)
        assert it.telemetry.messages == {(MessageKind.STATE, MessageResult.RETAINED): 3}

    at_a_bench(story)


def test_what_this_life_published_is_left_alone() -> None:
    """MQTT 3.1.1 sends it back, however far behind the outbox it comes."""

    def story(it: Bench) -> None:
        it.fleet.next_token()
        it.shown.seen(shown("healthy", token(3, 20), rev=it.fleet.token_of_durable()))
        it.shown.seen(shown("healthy", None, rev=token(EPOCH, 0)))
        assert it.outcome == (0, 0, 0)
        it.shown.seen(replace(shown("healthy", None, rev=token(EPOCH, 1)), controller="fenced-b"))
        assert it.outcome == (1, 0, 0)

    at_a_bench(story)


def test_a_token_that_the_journal_does_not_know_goes_to_the_core() -> None:
    def story(it: Bench) -> None:
        it.shown.seen(shown("fenced", token(3, 20), rev=token(3, 30)))
        assert it.outcome == (1, 0, 0)
        it.shown.seen(shown("fenced", token(3, 21), rev=token(3, 30)))
        assert it.outcome == (1, 1, 0)

    at_a_bench(story)


def test_a_newer_state_is_answered_only_once_the_store_has_renewed_the_lease() -> None:
    def story(it: Bench) -> None:
        seen_at = it.clock.now()
        live = replace(shown("fenced", token(EPOCH + 1)), is_retained=False)
        it.shown.seen(live)
        of_this_epoch = token(EPOCH, 1)  # and this life never had it
        it.shown.seen(replace(live, token=of_this_epoch, rev=of_this_epoch))
        assert it.outcome == (0, 0, 2)
        with capture_logs() as logs:
            it.shown.renewed(seen_at - 0.001)
            assert it.outcome == (0, 0, 2), "that renewal began before it was seen"
            it.shown.renewed(seen_at)
            it.shown.seen(live)
            it.shown.renewed(seen_at)
        assert it.outcome == (2, 0, 3) and it.lives == 0, "no epoch ends a controller that acts on another store"
        assert [log["hosts"] for log in logs] == ["node-2"], "once a host"

    at_a_bench(story)


def test_above_a_newer_state_that_the_broker_kept_a_new_life_begins() -> None:
    def story(it: Bench) -> None:
        kept = shown("fenced", token(EPOCH + 3, 5))
        it.shown.seen(kept)
        it.shown.seen(replace(kept, host=HostName("node-1"), rev=token(EPOCH_MAX + 1)))
        assert it.lives == 0
        it.shown.renewed(it.clock.now())
        assert it.lives == 1 and it.shown.left() == {NODE: kept}
        assert it.again == ["node-1"], "an absurd epoch is answered, and no lease is taken above it"
        following = Shown(
            fleet=it.fleet, clock=it.clock, telemetry=it.telemetry, controller="fenced-a", again=it.again.append,
            deliver=it.delivered.append, hurry=it._hurry, before=it.shown.left(),
        )  # fmt: skip
        assert following.known_epoch() == EPOCH + 3
        it.fleet.epoch = EPOCH + 4
        following.take_over()
        assert it.delivered == [kept]

    at_a_bench(story)


def test_the_next_life_takes_no_token_of_another_store_for_a_lost_record() -> None:
    def story(it: Bench) -> None:
        it.fleet.is_store_new = True
        it.shown.seen(shown("fenced", token(EPOCH + 3, 5), rev=token(EPOCH + 3, 6)))
        it.shown.renewed(it.clock.now())
        (left,) = it.shown.left().values()
        assert (left.token, left.rev) == (None, token(EPOCH + 3, 6))

    at_a_bench(story)


def test_what_is_left_to_the_next_life_is_found_in_a_group() -> None:
    left = {NODE: shown()}
    group = BaseExceptionGroup("a life", [BaseExceptionGroup("its tasks", [HandedOver("given to b")])])
    assert shown_before(group) == {}
    assert shown_before(BaseExceptionGroup("a life", [group, HandedOver("a newer epoch", left)])) == left
    assert shown_before(None) == {}


def test_a_standby_keeps_the_newest_state_of_each_host_for_the_takeover() -> None:
    def story(it: Bench) -> None:
        it.shown.seen(shown("healthy", token(2)))
        it.shown.seen(shown("fenced", token(3, 21)))
        it.shown.seen(shown("suspect", token(3, 20)))  # an older one that comes later
        it.shown.seen(replace(shown("", None), rev=None))
        it.shown.seen(replace(shown("suspect", token(2)), host=HostName("node-1")))
        it.shown.seen(replace(shown("fenced", token(4)), host=HostName("gone")))
        assert it.outcome == (0, 0, 0) and it.shown.known_epoch() == 3
        it.fleet.epoch = EPOCH
        it.shown.take_over()
        assert it.outcome == (0, 2, 0), "node-1 has no token in the journal"
        assert [event.host for event in it.delivered if isinstance(event, e.StateSeen)] == [NODE, "node-1"]
        it.shown.take_over()
        assert it.outcome == (0, 2, 0)

    at_a_bench(story, epoch=0)


def test_no_lease_is_taken_above_an_absurd_epoch() -> None:
    def story(it: Bench) -> None:
        it.shown.seen(shown("healthy", token(9)))
        it.shown.seen(replace(shown("healthy", token(EPOCH_MAX + 1)), host=HostName("node-1")))
        assert it.shown.known_epoch() == 9

    at_a_bench(story, epoch=0)


def test_a_store_in_doubt_about_which_it_is_answers_nothing_until_a_person_releases_it() -> None:
    """The controller of the right store may be alive, and its states true."""

    def story(it: Bench) -> None:
        it.fleet.expected_store = "store-1"
        it.fleet.state = replace(it.fleet.state, store_hold="store store-2 is in the place of store-1")
        with capture_logs() as logs:
            for epoch in (3, EPOCH + 9):
                it.shown.seen(shown("fenced", token(epoch, 99)))
        assert it.outcome == (0, 0, 0) and len(logs) == 1
        it.fleet.state = replace(it.fleet.state, store_hold="", released_store="store-1")
        it.shown.seen(shown("fenced", token(3, 99)))
        assert it.outcome == (1, 0, 0), "its token is of the other store, so it is not lost"

    at_a_bench(story)


def test_a_store_that_went_back_answers_while_it_is_held() -> None:
    def story(it: Bench) -> None:
        it.fleet.state = replace(it.fleet.state, store_hold="record 90 is gone")
        it.shown.seen(shown("fenced", token(3, 99)))
        assert it.outcome == (0, 1, 0)

    at_a_bench(story)


# -- how often --------------------------------------------------------------------------------------------------------


def test_a_host_that_is_contradicted_again_and_again_waits_longer_each_time() -> None:
    repeats, now, answered = Repeats(), 1000.0, list[float]()
    while now < 1300.0:
        repeats.contradicted(NODE, now)
        for name, mark in repeats.due(now):
            answered.append(now)
            repeats.done(name, mark)
        now += 0.25
    gaps = [later - earlier for earlier, later in itertools.pairwise(answered)]
    assert answered[0] == 1000.0 and gaps[0] == FIRST_PAUSE_SECONDS
    assert gaps == sorted(gaps) and max(gaps) == LONGEST_PAUSE_SECONDS
    repeats.drop(NODE)
    assert not repeats and NODE not in repeats


def test_calm_makes_the_next_answer_quick_again_and_a_connection_does_so_at_once() -> None:
    repeats = Repeats()

    def answer(now: float) -> bool:
        repeats.contradicted(NODE, now)
        due = repeats.due(now)
        for name, mark in due:
            repeats.done(name, mark)
        return bool(due)

    assert answer(0.0) and not answer(0.5)
    repeats.at_once([NODE])
    assert repeats.due(0.5), "the connection repeats every state"
    repeats.drop(NODE)
    assert answer(10.0) and not answer(10.5) and repeats.due(11.0)
    repeats.done(*repeats.due(11.0)[0])
    assert answer(12.0 + CALM_SECONDS)


def test_an_old_state_that_comes_while_the_answer_is_under_way_is_answered_too() -> None:
    """Nobody knows which of the two the broker got last."""
    repeats = Repeats()
    repeats.at_once([NODE])
    ((name, mark),) = repeats.due(0.0)
    repeats.contradicted(NODE, 0.0)
    repeats.done(name, mark)
    assert [name for name, _ in repeats.due(0.0)] == [NODE]


def test_the_outbox_publishes_a_contradicted_state_again() -> None:
    async def story(desk: OutboxDesk) -> None:
        before = desk.sent("/state/node-2")
        assert len(before) == 1
        desk.outbox.again(NODE)
        await asyncio.sleep(0.5)
        assert desk.sent("/state/node-2") == before * 2
        assert desk.outbox.pending == 0

    play(story)


def test_without_the_lease_no_old_state_is_answered() -> None:
    async def story(desk: OutboxDesk) -> None:
        before = desk.sent("/state/")
        desk.fleet.own = replace(desk.fleet.own, lease_until=0.0)
        desk.outbox.again(NODE)
        await asyncio.sleep(30.0)
        assert desk.sent("/state/") == before

    play(story)


# -- the lease --------------------------------------------------------------------------------------------------------


def keeping(story: Callable[[LeaseKeeper, list[float]], Awaitable[None]]) -> None:
    async def main() -> None:
        clock, journal, began = WorldClock(), MemoryJournal(), list[float]()
        await journal.opened(holder="fenced-a", now=clock.now())
        keeper = LeaseKeeper(
            journal=journal, clock=clock, ttl_seconds=15.0, deliver=lambda event: None, anchor=lambda: None,
            renewed=began.append,
        )  # fmt: skip
        task = asyncio.create_task(keeper.run())
        await story(keeper, began)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


def test_the_lease_is_renewed_at_once_when_asked_for_and_not_more_than_once_a_second() -> None:
    async def story(keeper: LeaseKeeper, began: list[float]) -> None:
        now = WorldClock().now
        await asyncio.sleep(2.0)
        keeper.hurry()
        await asyncio.sleep(0.1)
        assert len(began) == 1
        asked_at = now()
        for _ in range(40):
            keeper.hurry()
            await asyncio.sleep(0.1)
        assert len(began) == 1 + 4.0 / HURRY_SECONDS
        assert began[1] >= asked_at, "a renewal that began before says nothing"

    keeping(story)
