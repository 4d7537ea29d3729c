"""The outbox's lanes: a host that the broker refuses or hangs up on delays no other (S3, S15)."""

import asyncio
import itertools
from dataclasses import replace

from fenced.core import commands as c
from fenced.engine.lanes import LONGEST_HANG_UP_SECONDS
from fenced.engine.outbox import SLICE
from fenced.model.answers import Accepted
from fenced.model.names import HostName, OperationId
from fenced.ports.journal import Batch
from tests.engine.outbox_desk import Desk, message, play, topic
from tests.journal.strategies import entry

# -- a refused host delays no other -----------------------------------------------------------------------------------


def test_a_backlog_that_is_refused_delays_no_other_host() -> None:
    """Further messages of another host go out at once; the refused ones do once the broker accepts them."""

    async def story(desk: Desk) -> None:
        desk.bus.stuck = {topic("node-1")}
        await desk.journal.append(
            Batch(entries=[entry()], outbox=[message(number) for number in range(1, 2 * SLICE + 1)])
        )
        desk.outbox.nudge()
        await asyncio.sleep(30.0)
        assert desk.sent() == []
        for number in range(1001, 1020):
            stored = desk.clock.now()
            await desk.store(message(number, "node-2", operation=f"4-{number}"))
            await asyncio.sleep(1.0)
            taken, _ = desk.broker.published[-1]
            assert desk.sent()[-1] == str(number) and taken - stored < 0.01, "it waited for another host's back-off"
        assert len(desk.delivered) == 19
        assert await desk.pending() == 2 * SLICE
        desk.bus.stuck = set()
        await asyncio.sleep(30.0)
        assert desk.sent()[19:] == [str(number) for number in range(1, 2 * SLICE + 1)]
        assert await desk.pending() == 0

    play(story)


def test_a_message_that_the_broker_does_not_acknowledge_delays_no_other_host() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.mute = {topic("node-1")}
        await desk.store(message(1), message(2), message(3, "node-2", operation="4-1"))
        await asyncio.sleep(0.1)
        assert desk.sent() == ["3"] and len(desk.delivered) == 1
        desk.bus.mute = set()
        await asyncio.sleep(25.0)
        assert desk.sent() == ["3", "1", "2"] and await desk.pending() == 0

    play(story)


def test_refused_messages_without_a_host_delay_no_host() -> None:
    async def story(desk: Desk) -> None:
        fleet = replace(message(1), host=None, topic="fenced/v1/site-1/event")
        desk.bus.stuck = {fleet.topic}
        await desk.store(fleet, message(2))
        await asyncio.sleep(0.1)
        assert desk.sent() == ["2"]
        await asyncio.sleep(30.0)
        assert set(desk.outbox.stuck) == {"the fleet"}

    play(story)


def test_a_refused_message_about_the_controller_stops_nothing_and_is_reported() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        desk.bus.stuck = {"fenced/v1/site-1/controller/fenced-a"}
        desk.broker.set_up(True)
        await desk.store(message(1))
        await asyncio.sleep(1.0)
        assert desk.sent() == ["1"] and len(desk.sent("/state/")) == 8
        assert desk.outbox.pending == 1 and set(desk.outbox.stuck) == {"this controller"}
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert desk.outbox.pending == 0 and not desk.outbox.stuck
        assert len(desk.sent("/controller/")) == 2

    play(story)


def test_every_state_is_published_again_although_some_are_refused_and_the_connection_is_lost_in_between() -> None:
    hosts = [f"node-{number}" for number in range(1000)]
    denied = {f"fenced/v1/site-1/state/{name}" for name in hosts[::100]}

    async def story(desk: Desk) -> None:
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        desk.bus.stuck = denied
        before = len(desk.broker.published)
        for _ in range(3):  # each connection lasts for some of them only
            desk.broker.set_up(True)
            await asyncio.sleep(0.025)
            desk.broker.set_up(False)
            await asyncio.sleep(1.0)
        desk.broker.set_up(True)
        await asyncio.sleep(5.0)

        def told() -> set[str]:
            topics = {it.topic for _, it in desk.broker.published[before:]}
            return {topic for topic in topics if "/state/" in topic}

        assert told() == {f"fenced/v1/site-1/state/{name}" for name in hosts} - denied
        assert desk.outbox.pending == len(denied) == len(desk.outbox.stuck)
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert len(told()) == len(hosts) and desk.outbox.pending == 0 and not desk.outbox.stuck

    play(story, hosts=hosts)


def test_a_state_that_is_refused_is_published_again_within_the_same_connection() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        desk.bus.stuck = {"fenced/v1/site-1/state/node-1"}
        before = len(desk.broker.published)
        desk.broker.set_up(True)
        await asyncio.sleep(5.0)
        assert desk.outbox.stuck == {"node-1": "refused"} and desk.outbox.pending == 1
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert "fenced/v1/site-1/state/node-1" in {it.topic for _, it in desk.broker.published[before:]}
        assert desk.outbox.pending == 0

    play(story)


def test_pending_and_stuck_say_what_the_broker_has_not() -> None:
    async def story(desk: Desk) -> None:
        assert desk.outbox.pending == 0 and not desk.outbox.stuck and not desk.outbox.stuck_words()
        desk.bus.stuck = {topic("node-1")}
        await desk.store(*(message(number) for number in range(1, 6)), message(6, "node-2"))
        await asyncio.sleep(5.0)
        assert desk.outbox.pending == 5 and desk.outbox.stuck == {"node-1": "refused"}
        (words,) = desk.outbox.stuck_words()
        assert "node-1" in words and "refused" in words
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert desk.outbox.pending == 0 and not desk.outbox.stuck and not desk.outbox.stuck_words()

    play(story)


# -- a broker that hangs up -------------------------------------------------------------------------------------------


def test_a_broker_that_hangs_up_on_one_host_stops_neither_hearing_nor_other_hosts() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.fatal = {topic("node-1")}
        numbers = iter(range(1, 100_000))
        started = desk.clock.now()
        await desk.store(message(next(numbers), "node-1"), message(next(numbers), "node-2"))
        while desk.clock.now() < started + 6 * LONGEST_HANG_UP_SECONDS:
            await desk.store(message(next(numbers), "node-2"))
            await asyncio.sleep(60.0)
            assert len(desk.bus.hung_up) <= 16
        late = [at for at in desk.bus.hung_up if at > started + 2 * LONGEST_HANG_UP_SECONDS]
        assert 1 <= len(late) <= 4, "one a back-off, and not none: it is tried"
        assert all(after - before >= LONGEST_HANG_UP_SECONDS for before, after in itertools.pairwise(late))
        assert await desk.pending() == 1 and set(desk.outbox.stuck) == {"node-1"}
        desk.bus.fatal = set()
        await asyncio.sleep(LONGEST_HANG_UP_SECONDS + 1.0)
        assert await desk.pending() == 0 and desk.sent()[-1] == "1"

    play(story)


def test_lanes_under_way_at_a_hang_up_do_not_wait_for_the_lane_that_caused_it() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.fatal = {topic("node-3")}
        await desk.store(*(message(number, f"node-{number}") for number in range(1, 51)))
        await asyncio.sleep(10.0)
        assert set(desk.sent()) == {str(number) for number in range(1, 51) if number != 3}
        assert len(desk.bus.hung_up) <= 4

    play(story, hosts=[f"node-{number}" for number in range(1, 51)])


def test_a_refusal_behind_which_the_broker_hangs_up_is_no_plain_refusal() -> None:
    """Mosquitto with `max_queued_messages 0`: it sends the refusal and closes the connection."""

    async def story(desk: Desk) -> None:
        desk.bus.stuck, desk.bus.is_touchy = {topic("node-1")}, True
        started = desk.clock.now()
        await desk.store(message(1), message(2, "node-2"))
        await asyncio.sleep(6 * LONGEST_HANG_UP_SECONDS)
        assert set(desk.sent()) == {"2"}
        late = [at for at in desk.bus.hung_up if at > started + 2 * LONGEST_HANG_UP_SECONDS]
        assert 1 <= len(late) <= 4 and len(desk.bus.hung_up) <= 16

    play(story)


def test_an_old_broker_that_hangs_up_behind_its_acknowledgement_does_not_get_all_again_at_once() -> None:
    """MQTT 3.1.1 acknowledges the state and then closes the connection: not every connection may begin with that
    state."""

    async def story(desk: Desk) -> None:
        desk.bus.is_old, desk.bus.fatal = True, {"fenced/v1/site-1/state/node-2"}
        desk.broker.set_up(False)
        await asyncio.sleep(0.1)
        desk.broker.set_up(True)
        started = desk.clock.now()
        await asyncio.sleep(6 * LONGEST_HANG_UP_SECONDS)
        assert set(desk.sent("/state/")[4:]) >= set(desk.sent("/state/")[:4]), "the others are told all the same"
        assert len(desk.bus.hung_up) <= 24
        assert len([at for at in desk.bus.hung_up if at > started + 2 * LONGEST_HANG_UP_SECONDS]) <= 14

    play(story)


def test_replies_that_make_the_broker_hang_up_wait() -> None:
    answer = Accepted(operation=OperationId("4-1"))

    async def story(desk: Desk) -> None:
        desk.bus.fatal = {"fenced/v1/site-1/reply/r-1"}
        for _ in range(600):
            await desk.outbox.reply(c.Reply(
                host=HostName("node-1"), request_id="r-1", answer=answer, reply_topic=None, correlation=None
            ))  # fmt: skip
            await asyncio.sleep(1.0)
        assert len(desk.bus.hung_up) <= 12

    play(story)


async def _reply(desk: Desk, number: int) -> None:
    await desk.outbox.reply(c.Reply(
        host=HostName("node-1"), request_id=f"r-{number}", reply_topic=None, correlation=None,
        answer=Accepted(operation=OperationId("")),
    ))  # fmt: skip


def test_replies_leave_the_bound_on_messages_under_way_as_it_is() -> None:
    hosts = [f"node-{number}" for number in range(2 * SLICE)]

    async def story(desk: Desk) -> None:
        for number in range(SLICE):
            await _reply(desk, number)
        desk.broker.acknowledge_seconds = 1.0
        desk.bus.most_under_way = 0
        await desk.store(*(message(number, host) for number, host in enumerate(hosts, start=1)))
        await asyncio.sleep(30.0)
        assert len(desk.sent()) == len(hosts)
        assert desk.bus.most_under_way == SLICE

    play(story, hosts=hosts)
