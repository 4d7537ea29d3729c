"""Another client under the same name: reported by an MQTT 5 broker, suspected where the broker only disconnects."""

import asyncio
from pathlib import Path

import pytest

from fenced.ports.bus import BusDisconnected
from tests.bus.parts import mosquitto, running, settings
from tests.needs import needs
from tests.net import until

SESSION_TAKEN_OVER = bytes.fromhex("e0028e00")


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """Return the body of one packet. Its length has seven bits in each byte, the lowest first."""
    await reader.readexactly(1)
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length, shift = length | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return await reader.readexactly(length)


def _topics(subscribe: bytes) -> int:
    """Count the topics of a SUBSCRIBE: packet id, no properties, then length, topic and options for each."""
    rest, count = subscribe[3:], 0
    while rest:
        rest, count = rest[2 + int.from_bytes(rest[:2], "big") + 1 :], count + 1
    return count


async def _take_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Play a broker that lets a client in and then reports a takeover."""
    try:
        await _packet(reader)
        writer.write(bytes.fromhex("2003000000"))
        subscribe = await _packet(reader)
        codes = bytes(_topics(subscribe))
        writer.write(bytes([0x90, 3 + len(codes)]) + subscribe[:2] + b"\0" + codes + SESSION_TAKEN_OVER)
        await writer.drain()
    finally:
        writer.close()


async def test_the_brokers_report_is_believed_at_once() -> None:
    server = await asyncio.start_server(_take_over, "127.0.0.1", 0)
    async with server, running(settings(server.sockets[0].getsockname()[1])) as bus:
        why = (await bus.lost()).why
        assert why.startswith("another client took our name")
        assert "client id fenced-lab-a" in why
        assert bus.client.suspicion == why
        await until(lambda: bus.client.taken_over_count > 1, what="a second takeover")


@pytest.mark.integration
@needs("mosquitto")
async def test_a_stopped_broker_is_no_rival(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
        broker.stop()
        assert "another client" not in (await bus.lost()).why
        await broker.start()
        await bus.connected(times=2)
        assert len(bus.of(BusDisconnected)) == 1
        assert (bus.client.suspicion, bus.client.taken_over_count) == ("", 0)
