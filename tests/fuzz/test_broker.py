"""Rubbish instead of a broker: the client reconnects with back-off, raises nothing, and does not spin."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from fenced.ports.bus import BusConnected, BusDisconnected, Health
from tests.bus.parts import heard, running, settings
from tests.net import free_port, until

CONNACK_5: Final = b"\x20\x03\x00\x00\x00"
CONNACK_3: Final = b"\x20\x02\x00\x00"
ATTEMPTS: Final = 6
BUSY_SHARE_MAX: Final = 0.5
"""Of one processor, over the whole test; a spinning loop takes all of it."""
HOLD_SECONDS: Final = 0.05


def suback(packet: bytes) -> bytes:
    """Grant five filters to any subscriber."""
    found = packet.find(b"\x82")
    begin = found + (3 if found >= 0 and packet[found + 1] >= 0x80 else 2)  # a longer packet has a longer length
    number = packet[begin : begin + 2] if found >= 0 else b"\x00\x01"
    return b"\x90\x08" + number + b"\x00" + b"\x01" * 5


def noise(randomness: random.Random, size: int) -> bytes:
    return randomness.randbytes(size)


def packet(randomness: random.Random) -> bytes:
    """A packet type with a valid length and arbitrary content."""
    body = randomness.randbytes(randomness.randrange(0, 60))
    return bytes([randomness.randrange(256), len(body)]) + body


ANSWERS: Final[dict[str, Callable[[random.Random], list[bytes]]]] = {
    "noise at once": lambda r: [noise(r, 400)],
    "silence, then hung up": lambda r: [],
    "noise once connected": lambda r: [CONNACK_5, noise(r, 400)],
    "packets once connected": lambda r: [CONNACK_5, *(packet(r) for _ in range(10))],
    "packets of version 3": lambda r: [CONNACK_3, *(packet(r) for _ in range(10))],
    "publish before the grant": lambda r: [CONNACK_5, b"\x30\x05\x00\x01#\x00x", b"\x32\xff\xff\xff\x7f"],
    "publish without a name": lambda r: [CONNACK_5, b"\x30\x03\x00\x00\x00", b"\x30\x04\x00\x02\xff\xfe"],
    "endless length": lambda r: [CONNACK_5, b"\x30\xff\xff\xff\xff\xff"],
}


@asynccontextmanager
async def rubbish(answers: Callable[[random.Random], list[bytes]]) -> AsyncIterator[tuple[int, list[float]]]:
    """A port that sends this, and the times of its connections."""
    calls: list[float] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(time.monotonic())
        try:
            await reader.read(4096)
            for answer in answers(random.Random(len(calls))):
                writer.write(answer)
                await writer.drain()
                await asyncio.sleep(HOLD_SECONDS / 5)
            await asyncio.sleep(HOLD_SECONDS)
        except ConnectionError:
            pass
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(talk, "127.0.0.1", port)
    try:
        yield port, calls
    finally:
        server.close()


@pytest.mark.parametrize("name", ANSWERS)
async def test_rubbish_is_left_and_tried_again(name: str) -> None:
    with heard() as complaints:
        async with rubbish(ANSWERS[name]) as (port, calls):
            quick = settings(port, connect_timeout_seconds=0.2, reconnect_min_seconds=0.02, reconnect_max_seconds=0.1)
            began, busy = time.monotonic(), time.thread_time()
            async with running(quick, is_awaited=False) as bus:
                await until(lambda: len(calls) >= ATTEMPTS, what="another attempt")
                assert len(bus.of(BusConnected)) <= len(bus.of(BusDisconnected)) + 1
                assert bus.of(Health) == []
            took = time.monotonic() - began
            assert time.thread_time() - busy < BUSY_SHARE_MAX * took + 0.2
            assert took > 0.05, "it waits between two attempts"
    assert complaints == []
