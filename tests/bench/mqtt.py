"""As little MQTT 3.1.1 as measuring needs, so the measuring side costs next to nothing: QoS 0, no foreign library."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

CONNECT: Final = 0x10
SUBSCRIBE: Final = 0x82
PING: Final = b"\xc0\x00"
PING_SECONDS: Final = 20.0
KEEPALIVE_SECONDS: Final = 60

OnMessage = Callable[[str, bytes], None]


def publish_packet(topic: str, payload: bytes) -> bytes:
    name = topic.encode()
    return _packet(0x30, len(name).to_bytes(2, "big") + name + payload)


class Client(asyncio.Protocol):
    """`connected` is set by the broker's answer, `subscribed` by the last of its grants."""

    def __init__(self, name: str, on_message: OnMessage) -> None:
        self._name, self._on_message = name, on_message
        self._buffer = bytearray()
        self.connected = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        name = self._name.encode()
        head = b"\x00\x04MQTT\x04\x02" + KEEPALIVE_SECONDS.to_bytes(2, "big")
        transport.write(_packet(CONNECT, head + len(name).to_bytes(2, "big") + name))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        start = 0
        while (end := _end_of_packet(self._buffer, start)) is not None:
            body, stop = end
            if stop > len(self._buffer):
                break
            self._take(self._buffer[start], bytes(self._buffer[body:stop]))
            start = stop
        del self._buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def subscribe(self, *filters: str) -> None:
        assert self.transport is not None
        body = b"\x00\x01" + b"".join(len(f.encode()).to_bytes(2, "big") + f.encode() + b"\x00" for f in filters)
        self.transport.write(_packet(SUBSCRIBE, body))

    def _take(self, kind: int, body: bytes) -> None:
        if kind >> 4 == 3:
            length = int.from_bytes(body[:2], "big")
            # Even if published with QoS 1 it arrives with QoS 0: no packet number.
            self._on_message(body[2 : 2 + length].decode(), body[2 + length :])
        elif kind >> 4 == 2:
            self.connected.set()
        elif kind >> 4 == 9:
            self.subscribed.set()


@contextlib.asynccontextmanager
async def connected(
    port: int, name: str, on_message: OnMessage = lambda _topic, _payload: None
) -> AsyncIterator[Client]:
    """Yield a client for the duration of the block."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(lambda: Client(name, on_message), "127.0.0.1", port)
    async with asyncio.timeout(10):
        await client.connected.wait()
    task = asyncio.create_task(_ping(client), name="ping")
    try:
        yield client
    finally:
        task.cancel()
        transport.close()


async def _ping(client: Client) -> None:
    while True:
        await asyncio.sleep(PING_SECONDS)
        assert client.transport is not None
        client.transport.write(PING)


def _packet(kind: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, part = divmod(length, 128)
        encoded.append(part | 0x80 if length else part)
        if not length:
            return bytes([kind]) + bytes(encoded) + body


def _end_of_packet(buffer: bytearray, start: int) -> tuple[int, int] | None:
    """Return (begin of its body, end of its body), or None while its length is incomplete."""
    length, shift, at = 0, 0, start + 1
    while at < len(buffer):
        length |= (buffer[at] & 0x7F) << shift
        if not buffer[at] & 0x80:
            return at + 1, at + 1 + length
        shift, at = shift + 7, at + 1
    return None
