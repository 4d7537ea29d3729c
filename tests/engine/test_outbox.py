"""The outbox: in order, repeated until the broker acknowledged without an error, never without the lease (S3, S8)."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from fenced.app.old_name import NOTE, retired
from fenced.core import events as e
from fenced.core.durable.records import Disarmed, Entry, HostHeard
from fenced.engine.outbox import LANE_SLICE
from fenced.engine.retired import Retired
from fenced.model.names import HostName, OperationId
from fenced.model.power import Power
from fenced.ports.bus import BusAway, BusRefused
from fenced.ports.journal import Batch, StoreError
from tests.engine.outbox_desk import Desk, message, play
from tests.journal.strategies import entry
from tests.world import rack as racks
from tests.world.network import START
from tests.world.rack import Rack


def test_messages_go_out_in_the_journals_order_and_only_once() -> None:
    async def story(desk: Desk) -> None:
        for number in range(1, 500):
            await desk.store(message(number, f"node-{number % 4 + 1}"))
        await asyncio.sleep(30.0)
        assert desk.sent() == [str(number) for number in range(1, 500)]
        assert await desk.pending() == 0

    play(story)


def test_what_is_refused_is_repeated_until_it_is_acknowledged() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.is_refusing = True
        await desk.store(message(1, operation="4-1"))
        await asyncio.sleep(60.0)
        assert desk.sent() == [] and await desk.pending() == 1
        assert desk.delivered == []
        desk.broker.is_refusing = False
        await asyncio.sleep(11.0)
        assert desk.sent() == ["1"] and await desk.pending() == 0
        assert desk.delivered == [e.AnnouncementDelivered(host=HostName("node-1"), operation=OperationId("4-1"))]

    play(story)


def test_a_lost_acknowledgement_repeats_the_same_message() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.acknowledge_seconds = 20.0
        await desk.store(message(1, operation="4-1"))
        await asyncio.sleep(15.0)
        assert desk.delivered == []
        desk.broker.acknowledge_seconds = 0.01
        await asyncio.sleep(15.0)
        assert len(desk.sent()) >= 2 and set(desk.sent()) == {"1"}
        assert len(desk.delivered) == 1

    play(story)


def test_a_hosts_messages_behind_a_refused_one_do_not_count_as_sent() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.stuck = {"fenced/v1/site-1/event/node-1"}
        await desk.store(message(1, "node-1"), message(2, "node-2"), message(3, "node-1"))
        await asyncio.sleep(5.0)
        assert desk.sent() == ["2"] and await desk.pending() == 2
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert desk.sent() == ["2", "1", "3"] and await desk.pending() == 0

    play(story)


def test_a_message_that_the_broker_took_behind_one_that_it_refused_is_sent_again() -> None:
    """Otherwise a subscriber that gets only the repetition would see the host's events in another order."""

    async def story(desk: Desk) -> None:
        refused, taken = message(1, "node-1"), replace(message(2, "node-1"), topic="fenced/v1/site-1/state/node-1")
        desk.bus.stuck = {refused.topic}
        await desk.store(refused, taken)
        await asyncio.sleep(5.0)
        assert await desk.pending() == 2
        desk.bus.stuck = set()
        await asyncio.sleep(15.0)
        assert await desk.pending() == 0

    play(story)


def test_nothing_but_what_is_durable_goes_out() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.fail_next = StoreError("disk full")
        try:
            await desk.store(message(1))
        except StoreError:
            desk.outbox.nudge()
        await asyncio.sleep(30.0)
        assert desk.sent() == []

    play(story)


def test_an_acknowledgement_that_could_not_be_stored_does_not_count_and_the_message_comes_again() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.acknowledge_seconds = 1.0
        await desk.store(message(1, operation="4-1"))
        await asyncio.sleep(0.5)
        desk.journal.fail_next = StoreError("locked")
        await asyncio.sleep(1.0)
        assert desk.delivered == []
        await asyncio.sleep(20.0)
        assert desk.sent() == ["1", "1"] and len(desk.delivered) == 1

    play(story)


def test_without_the_lease_nothing_is_published() -> None:
    async def story(desk: Desk) -> None:
        desk.fleet.own = replace(desk.fleet.own, lease_until=0.0)
        await desk.store(message(1))
        await asyncio.sleep(30.0)
        assert desk.sent() == []
        desk.fleet.own = replace(desk.fleet.own, lease_until=START + 1e9)
        await asyncio.sleep(10.0)
        assert desk.sent() == ["1"]

    play(story)


def test_a_round_that_outlasts_the_lease_stops_where_the_lease_ended() -> None:
    async def story(desk: Desk) -> None:
        total = 3 * LANE_SLICE
        desk.broker.acknowledge_seconds = 2.0
        await desk.journal.append(Batch(entries=[entry()], outbox=[message(number) for number in range(1, total + 1)]))
        desk.fleet.own = replace(desk.fleet.own, lease_until=desk.clock.now() + 3.0)
        desk.outbox.nudge()
        await asyncio.sleep(30.0)
        assert 0 < len(desk.sent()) < total
        desk.fleet.own = replace(desk.fleet.own, lease_until=START + 1e9)
        await asyncio.sleep(30.0)
        assert desk.sent() == [str(number) for number in range(1, total + 1)]

    play(story)


def test_what_was_read_when_the_lease_had_ended_is_not_published() -> None:
    """The store hung in the read: another controller may have published newer states, and old ones would replace
    them."""

    async def story(desk: Desk) -> None:
        await desk.journal.append(Batch(entries=[entry()], outbox=[message(1)]))
        desk.journal.read_seconds = 4.0
        desk.fleet.own = replace(desk.fleet.own, lease_until=desk.clock.now() + 2.0)
        desk.outbox.nudge()
        await asyncio.sleep(30.0)
        assert desk.sent() == []

    play(story)


def test_every_state_is_published_again_after_each_connection_behind_what_was_pending() -> None:
    async def story(desk: Desk) -> None:
        assert len(desk.sent("/state/")) == 4
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        await desk.store(message(1))
        await asyncio.sleep(60.0)
        assert desk.sent() == []
        before = len(desk.broker.published)
        desk.broker.set_up(True)
        await asyncio.sleep(10.0)
        after = [published.topic for _, published in desk.broker.published[before:]]
        assert [topic.split("/")[3] for topic in after] == ["controller", "event", "state", "state", "state", "state"]
        hosts = {json.loads(payload)["host"] for payload in desk.sent("/state/")[4:]}
        assert hosts == set(desk.fleet.hosts)

    play(story)


def test_a_state_that_is_not_durable_yet_is_not_published() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        name = HostName("node-1")
        desk.fleet.begin()
        record = HostHeard(boot=None, before="unknown", why="first")
        desk.fleet.apply(Entry(at=desk.clock.now(), host=name, record=record))
        desk.broker.set_up(True)
        await asyncio.sleep(10.0)
        told = {json.loads(payload)["host"]: json.loads(payload)["state"] for payload in desk.sent("/state/")}
        assert told["node-1"] == "unknown"

    play(story)


def test_an_inventory_that_is_not_durable_yet_neither_adds_nor_drops_a_state() -> None:
    async def story(desk: Desk) -> None:
        desk.broker.set_up(False)
        await asyncio.sleep(1.0)
        names = set(desk.fleet.hosts)
        desk.fleet.begin()
        desk.fleet.take(racks.inventory(Rack(hosts=("node-2", "node-9"))))
        before = len(desk.sent("/state/"))
        desk.broker.set_up(True)
        await asyncio.sleep(10.0)
        assert {json.loads(payload)["host"] for payload in desk.sent("/state/")[before:]} == names

    play(story)


def test_a_reload_that_drops_a_device_drops_its_power_from_the_retained_state() -> None:
    async def story(desk: Desk) -> None:
        (name, host), *_ = desk.fleet.hosts.items()
        devices = desk.fleet.host(name).devices
        assert len(devices) > 1
        power = tuple((device.name, Power.ON) for device in devices)
        desk.fleet.put(replace(host, power=power))
        await asyncio.sleep(10.0)
        before = desk.fleet.inventory
        less = replace(before.hosts[name], devices=devices[:1])
        desk.fleet.take(replace(before, hosts={**before.hosts, name: less}))
        await asyncio.sleep(10.0)
        shown = [json.loads(payload) for payload in desk.sent(f"/state/{name}")]
        assert [*shown[-1]["power"]] == [devices[0].name]
        assert len(shown) == 2

    play(story)


def test_the_topic_of_an_old_name_is_cleared_once() -> None:
    topic = "fenced/v1/site-1/controller/old"
    cleared: list[str] = []

    async def story(desk: Desk) -> None:
        await asyncio.sleep(60.0)
        desk.broker.set_up(False)
        await asyncio.sleep(5.0)
        desk.broker.set_up(True)
        await asyncio.sleep(60.0)
        assert desk.sent("/controller/old") == [""]
        assert desk.sent("/controller/fenced-a") != []

    play(story, retired=Retired(topic, lambda: cleared.append(topic)))
    assert cleared == [topic]


def test_a_daemon_finds_its_old_name_until_the_topic_is_cleared(tmp_path: Path) -> None:
    assert retired(tmp_path, site="s1", name="a") is None
    assert retired(tmp_path, site="s1", name="a") is None
    assert retired(tmp_path, site="s1", name="b") is not None
    found = retired(tmp_path, site="s1", name="b")  # the last run ended before it reached the broker
    assert found is not None
    message = found.begin()
    assert (message.topic, message.payload, message.is_retained) == ("fenced/v1/s1/controller/a", b"", True)
    due = []
    for error in (BusAway("not connected"), BusRefused("its access list")):
        found.begin()
        found.ended(error)
        due.append(found.is_due)
    assert due == [True, False]
    found.ended(None)
    assert retired(tmp_path, site="s1", name="b") is None
    assert retired(tmp_path, site="s2", name="c") is None, "another site's topics are not this account's"
    (tmp_path / NOTE).write_text("[")
    assert retired(tmp_path, site="s2", name="d") is None


def test_a_disarming_that_is_not_durable_yet_is_not_published() -> None:
    async def story(desk: Desk) -> None:
        desk.fleet.begin()
        desk.fleet.apply(Entry(at=desk.clock.now(), host=None, record=Disarmed(by="person", reason="a test")))
        desk.outbox.nudge()
        await asyncio.sleep(10.0)
        assert [json.loads(payload)["armed"] for payload in desk.sent("/controller/")] == [True]
        desk.fleet.settle()
        desk.outbox.nudge()
        await asyncio.sleep(10.0)
        assert [json.loads(payload)["armed"] for payload in desk.sent("/controller/")] == [True, False]

    play(story)


def test_the_controllers_own_topic_says_active_and_offline() -> None:
    async def story(desk: Desk) -> None:
        [first] = [json.loads(payload) for payload in desk.sent("/controller/")]
        assert (first["name"], first["state"], first["armed"], first["epoch"]) == ("fenced-a", "active", True, 1)
        await desk.outbox.say("offline")
        assert json.loads(desk.sent("/controller/")[-1])["state"] == "offline"

    play(story)
