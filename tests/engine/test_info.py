"""The site's `info`: published when all else is, again after a reload; a broker that rejects it disturbs nothing."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from fenced import __version__
from fenced.engine.info import PAUSE_SECONDS
from tests.engine.outbox_desk import Desk, message, play

TOPIC = "fenced/v1/site-1/info"


def load(desk: Desk, digest: str) -> None:
    """Take an inventory as it was loaded from files."""
    desk.fleet.inventory = replace(desk.fleet.inventory, digest=digest)
    desk.outbox.nudge()


def published(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in desk.sent("/info")]


async def connection(desk: Desk) -> None:
    desk.broker.set_up(False)
    await asyncio.sleep(1.0)
    desk.broker.set_up(True)
    await asyncio.sleep(20.0)


def test_it_comes_last_after_each_connection_and_is_retained() -> None:
    async def story(desk: Desk) -> None:
        load(desk, "first")
        await asyncio.sleep(1.0)
        (first,) = published(desk)
        assert first | {"since": ""} == {
            "version": __version__, "site": "site-1", "controller": "fenced-a", "configuration": "first", "since": "",
        }  # fmt: skip
        await connection(desk)
        assert published(desk) == [first, first]
        _, last = desk.broker.published[-1]
        assert (last.topic, last.is_retained) == (TOPIC, True)

    play(story)


def test_a_reload_that_changes_something_is_published_with_its_time() -> None:
    async def story(desk: Desk) -> None:
        load(desk, "first")
        await asyncio.sleep(60.0)
        load(desk, "second")
        await asyncio.sleep(60.0)
        load(desk, "second")
        await asyncio.sleep(60.0)
        first, second = published(desk)
        assert second["configuration"] == "second" and second["since"] > first["since"]

    play(story)


def test_an_inventory_that_is_not_durable_yet_is_not_published() -> None:
    async def story(desk: Desk) -> None:
        load(desk, "first")
        await asyncio.sleep(1.0)
        desk.fleet.begin()
        load(desk, "rejected")
        await asyncio.sleep(20.0)
        assert [info["configuration"] for info in published(desk)] == ["first"]

    play(story)


def test_without_the_lease_it_is_not_published() -> None:
    async def story(desk: Desk) -> None:
        desk.fleet.own = replace(desk.fleet.own, lease_until=0.0)
        load(desk, "first")
        await asyncio.sleep(60.0)
        assert published(desk) == []

    play(story)


@pytest.mark.parametrize("way", ["refused", "mute"])
def test_a_broker_that_rejects_it_gets_it_again_after_a_day_and_nothing_is_stuck(
    way: str,
) -> None:
    async def story(desk: Desk) -> None:
        topics = desk.bus.stuck if way == "refused" else desk.bus.mute
        topics.add(TOPIC)
        load(desk, "first")
        for _ in range(5):
            await connection(desk)
        await desk.store(message(1))
        await asyncio.sleep(20.0)
        assert (desk.outbox.pending, desk.outbox.stuck, desk.outbox.stuck_words()) == (0, {}, ())
        assert desk.sent() == ["1"] and len(desk.sent("/state/")) == 6 * 4
        topics.clear()
        await asyncio.sleep(PAUSE_SECONDS / 2)
        assert published(desk) == []
        await asyncio.sleep(PAUSE_SECONDS / 2)
        assert len(published(desk)) == 1

    with capture_logs() as logged:
        play(story)
    assert [entry["event"] for entry in logged if "info" in entry["event"]] == ["info_not_published"]


def test_a_reload_tries_it_at_once() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.stuck.add(TOPIC)
        load(desk, "first")
        await asyncio.sleep(10.0)
        desk.bus.stuck.clear()
        load(desk, "second")
        await asyncio.sleep(10.0)
        assert [info["configuration"] for info in published(desk)] == ["second"]

    play(story)


def test_a_broker_that_hangs_up_on_it_does_so_twice_a_day_at_most() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.fatal.add(TOPIC)
        load(desk, "first")
        await asyncio.sleep(PAUSE_SECONDS / 2)
        assert len(desk.bus.hung_up) == 2
        await desk.store(message(1))
        await asyncio.sleep(1.0)
        assert desk.sent() == ["1"] and (desk.outbox.pending, desk.outbox.stuck) == (0, {})

    play(story)


def test_a_connection_that_ended_by_chance_costs_it_only_that_attempt() -> None:
    async def story(desk: Desk) -> None:
        desk.bus.fatal.add(TOPIC)
        load(desk, "first")
        await asyncio.sleep(0.1)
        desk.bus.fatal.clear()
        await asyncio.sleep(20.0)
        assert len(desk.bus.hung_up) == 1 and len(published(desk)) == 1

    play(story)
