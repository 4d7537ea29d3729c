"""States on a real Mosquitto: kept ones come with the connection, and the daemon's own cost little."""

import asyncio
from pathlib import Path

import pytest

from fenced.bus.topics import Topics
from fenced.core.durable.state import HostState
from fenced.engine.batch import state_payload
from fenced.model.names import HostName, Token
from fenced.model.power import State
from fenced.ports.bus import Message, MessageKind, MessageResult, StateSeen
from tests.bus.parts import mosquitto, other, running, settings
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

TOPICS = Topics(site="lab")


def message(host: str = "node-1", rev: str = "3-18") -> Message:
    state = HostState(name=HostName(host), state=State.FENCED, since=0.0, token=Token(epoch=3, sequence=17))
    return Message(topic=TOPICS.state(host), payload=state_payload(state, "fenced-a", rev=rev), is_retained=True)


async def test_another_controllers_state_is_heard_and_the_own_one_is_not_sent_back(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, other(broker.port) as rival, running(settings(broker.port)) as bus:
        await bus.client.publish(message(rev="3-1"), timeout_seconds=5)
        await rival.publish(TOPICS.state("node-1"), message(rev="3-2").payload, retain=True, qos=1)
        await until(lambda: bool(bus.of(StateSeen)))
        assert [(str(seen.rev), seen.is_retained) for seen in bus.of(StateSeen)] == [("3-2", False)]


async def test_with_the_old_protocol_the_own_state_comes_back(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        running(settings(broker.port, is_version_5_tried=False)) as bus,
    ):
        await bus.client.publish(message(), timeout_seconds=5)
        await until(lambda: bool(bus.of(StateSeen)))


async def test_a_state_of_a_host_that_was_removed_is_counted_and_not_complained_of(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, other(broker.port) as rival:
        await rival.publish(TOPICS.state("node-9"), message("node-9").payload, retain=True, qos=1)
        async with running(settings(broker.port)) as bus:
            await bus.counted(MessageKind.STATE, MessageResult.UNKNOWN_HOST)


async def test_more_kept_states_than_mosquitto_queues_all_come_with_one_connection(tmp_path: Path) -> None:
    """It queues 1000 messages by default; with QoS 0 it writes them to the socket."""
    hosts = tuple(f"node-{number}" for number in range(3000))
    async with mosquitto(tmp_path) as broker:
        async with running(settings(broker.port, publishes_max=500), hosts=hosts) as bus:
            await asyncio.gather(*(bus.client.publish(message(host), timeout_seconds=60) for host in hosts))
        async with running(settings(broker.port, client_id="fenced-lab-b"), hosts=hosts) as bus:
            await until(lambda: len(bus.of(StateSeen)) >= len(hosts), seconds=30)
            assert all(seen.is_retained for seen in bus.of(StateSeen))
            assert len({seen.host for seen in bus.of(StateSeen)}) == len(hosts)


async def test_what_another_controller_says_now_is_heard_and_what_the_broker_kept_is_not(tmp_path: Path) -> None:
    names: list[str] = []
    async with mosquitto(tmp_path) as broker, other(broker.port) as rival:
        await rival.publish(TOPICS.controller("fenced-old"), b"{}", retain=True, qos=1)
        async with running(settings(broker.port), on_controller=names.append) as bus:
            own = Message(topic=TOPICS.controller("fenced-a"), payload=b"{}", is_retained=True)
            await bus.client.publish(own, timeout_seconds=5)
            await rival.publish(f"{TOPICS.controller('fenced-x')}/more", b"{}", qos=1)
            await rival.publish(TOPICS.controller("fenced-b"), b"no JSON", retain=True, qos=1)
            await until(lambda: bool(names))
    assert names == ["fenced-b"]
