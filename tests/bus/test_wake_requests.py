"""Requests that name a cluster and no host: what is well-formed, over a broker, and to which shard they go."""

import asyncio
import json
from pathlib import Path

import pytest

from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.core.events import WakeRequest
from fenced.ports.bus import BusConnected, MessageKind, MessageResult
from fenced.ports.health import REASON_LENGTH_MAX, Malformed
from tests.bus.parts import mosquitto, other, running, settings
from tests.bus.test_switch import Desk
from tests.needs import needs
from tests.net import until
from tests.world.loop import run

BODY = {"id": "w-1", "action": "wake", "cluster": "c1", "hosts": 3, "reason": "a batch", "by": "slurm", "at": 5}


def wake(body: object, *, reply_topic: str | None = None, correlation: bytes | None = None) -> WakeRequest:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return messages.wake(
        payload, received=1.0, is_retained=False, topics=Topics(site="lab"), reply_topic=reply_topic,
        correlation=correlation, ahead_seconds=2.0,
    )  # fmt: skip


def test_a_request_to_wake_names_cluster_and_number() -> None:
    request = wake(BODY, reply_topic="answers/mine", correlation=b"1")
    assert (request.id, request.action, request.cluster, request.hosts) == ("w-1", "wake", "c1", 3)
    assert (request.by, request.reason, request.sent_at) == ("slurm", "a batch", 7.0)
    assert (request.reply_topic, request.correlation) == ("answers/mine", b"1")
    one = wake({**BODY, "reason": "x" * 9999, "new": 1} | {"hosts": 1})
    assert (one.hosts, len(one.reason)) == (1, REASON_LENGTH_MAX)
    assert wake({key: value for key, value in BODY.items() if key != "hosts"}).hosts == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"hosts": 0}, {"hosts": 10_001}, {"hosts": "1"}, {"hosts": True}, {"hosts": 1.5}, {"hosts": None},
        {"cluster": ""}, {"cluster": None}, {"cluster": "c" * 254},
        {"cluster": "a\nb"}, {"action": "off"}, {"action": "sleep"},
        {"id": ""}, {"id": "a/b"}, {"at": "soon"}, {"at": None}, {"by": None}, {"reason": None},
    ],
)  # fmt: skip
def test_any_other_request_is_malformed(changed: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        wake({**BODY, **changed})


def test_a_field_given_twice_or_a_reply_topic_of_announcements_is_refused() -> None:
    with pytest.raises(Malformed, match="twice"):
        wake(json.dumps(BODY).encode()[:-1] + b', "hosts": 4}')
    with pytest.raises(Malformed, match="response topic"):
        wake(BODY, reply_topic="fenced/v1/lab/event")
    with pytest.raises(Malformed, match="correlation"):
        wake(BODY, correlation=b"x" * 1025)
    with pytest.raises(Malformed):
        wake(b"")


@pytest.mark.integration
@needs("mosquitto")
async def test_it_comes_over_a_broker_and_rubbish_is_counted(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as program:
        await program.publish("fenced/v1/lab/request", b"{}", qos=1)
        await program.publish("fenced/v1/lab/request", b" " * 70_000, qos=1)
        await program.publish("fenced/v1/lab/request", json.dumps(BODY), qos=1)
        await until(lambda: bool(bus.of(WakeRequest)))
    (request,) = bus.of(WakeRequest)
    assert (request.cluster, request.hosts, request.is_retained) == ("c1", 3, False)
    counted = bus.telemetry.messages
    assert counted[MessageKind.REQUEST, MessageResult.MALFORMED] == 1
    assert counted[MessageKind.REQUEST, MessageResult.OVERSIZED] == 1


def test_of_several_shards_that_of_the_cluster_gets_it() -> None:
    """One for a cluster that nobody knows goes to the first shard, which answers that there is none."""

    async def story() -> None:
        desk = Desk(shard_of_cluster={"c1": "main", "c2": "dc2"}.get)
        await desk.begin("main", "dc2")
        connected = BusConnected(at=1.0)
        requests = [wake({**BODY, "cluster": cluster}) for cluster in ("c1", "c2", "c9")]
        desk.bus.deliver(connected)
        for request in requests:
            desk.bus.deliver(request)
        assert desk.heard == {"main": [connected, requests[0]], "dc2": [connected, *requests[1:]]}
        await asyncio.sleep(0.1)
        await desk.end()

    run(story())
