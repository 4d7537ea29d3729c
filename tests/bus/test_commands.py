"""Orders to reporters, through Mosquitto: sent once, never kept, gone after their time."""

import json
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from fenced.bus import messages
from fenced.bus.topics import Topics
from fenced.model.names import BootId, HostName, OperationId, Token
from fenced.ports.bus import BusAway, ShutdownOrder
from tests.bus.parts import mosquitto, other, running, settings
from tests.needs import needs

NODE = HostName("node-1")


def order(within_seconds: float) -> ShutdownOrder:
    return ShutdownOrder(
        id=OperationId("4-1"), token=Token(epoch=4, sequence=2), boot=BootId("b"), seq=9,
        within_seconds=within_seconds, reason="nobody needs\nit",
    )  # fmt: skip


@pytest.mark.integration
@needs("mosquitto")
async def test_an_order_is_sent_once_and_expires(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
        async with other(broker.port) as reader:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            await reader.subscribe("fenced/v1/lab/command/node-1", options=options)
            await bus.client.command(NODE, order(29.5))
            heard = await anext(aiter(reader.messages))
        assert not heard.retain
        properties: Any = heard.properties
        assert 28 <= properties.MessageExpiryInterval <= 30
        assert isinstance(heard.payload, bytes)
        assert json.loads(heard.payload) == {
            "id": "4-1", "token": "4-2", "boot": "b", "seq": 9, "within": 29.5, "do": "shutdown",
            "reason": "nobody needs it",
        }  # fmt: skip
        broker.stop()
        await bus.lost()
        with pytest.raises(BusAway):
            await bus.client.command(NODE, order(29.5))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 601.0, float("nan")])
def test_an_order_has_time_and_not_too_much(seconds: float) -> None:
    with pytest.raises(ValueError, match="within"):
        messages.command(Topics(site="lab"), NODE, order(seconds))
