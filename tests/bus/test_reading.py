"""Packets are read ahead: heartbeats past paho, everything else by paho, in the order of the stream."""

import itertools
import socket
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.bus.reading import READ_BYTES, Incoming

PUBLISH, PUBACK, DISCONNECT = 0x30, 0x40, 0xE0
Seen = tuple[str, object]


def packet(head: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, part = divmod(length, 128)
        encoded.append(part | 0x80 if length else part)
        if not length:
            return bytes([head]) + bytes(encoded) + body


def publish(topic: bytes, payload: bytes, *, head: int = PUBLISH, properties: bytes = b"\0") -> bytes:
    return packet(head, len(topic).to_bytes(2, "big") + topic + properties + payload)


class Paho:
    """Reads whole packets as paho does: a byte, the length byte by byte, then the rest."""

    def __init__(self, *, is_version_5: bool = True) -> None:
        self.near, far = socket.socketpair()
        far.setblocking(False)
        self.seen: list[Seen] = []
        self.incoming = Incoming(
            far, is_version_5=is_version_5, on_message=self._message, read_packet=self._packet_read
        )

    def _message(self, topic: str, payload: bytes, is_retained: bool) -> None:
        self.seen.append(("message", (topic, payload, is_retained)))

    def _packet_read(self) -> None:
        read = bytearray()
        try:
            while part := self.incoming.recv(1 if len(read) < 2 or read[-1] & 0x80 else 100_000):
                read += part
            self.seen.append(("end", None))
            self.incoming.close()
        except BlockingIOError:
            self.seen.append(("packet", bytes(read)))
        except OSError as exc:
            self.seen.append(("fault", type(exc)))
            self.incoming.close()

    def read(self, *parts: bytes) -> list[Seen]:
        """Send each part and read after it; return all that was seen."""
        for part in parts:
            self.near.sendall(part)
            self.incoming.read()
        return self.seen

    def close(self) -> None:
        self.near.close()
        self.incoming.close()


@pytest.fixture
def paho() -> Iterator[Paho]:
    made = Paho()
    yield made
    made.close()


BEAT: Seen = ("message", ("health/a", b"{}", False))
BEAT_SENT = publish(b"health/a", b"{}")
KNOWN: Sequence[tuple[bytes, Seen]] = (
    (BEAT_SENT, BEAT),
    (publish(b"health/b", b"", head=PUBLISH | 1), ("message", ("health/b", b"", True))),
    (publish(b"health/a", b"{}", properties=b"\5\2\0\0\0\x0f"), BEAT),
    (publish(b"health/a", b"", properties=b"\5\2\0\0\0\x0f"), ("message", ("health/a", b"", False))),
    (publish("health/é".encode(), b"x" * 200), ("message", ("health/é", b"x" * 200, False))),
    *(
        (sent, ("packet", sent))
        for sent in (
            publish(b"request/a", b"\0\1{}", head=PUBLISH | 2),
            publish(b"health/a", b"{}", properties=b"\2\1\1"),
            publish(b"health/a", b"{}", properties=b"\7\2\0\0\0\x0f\1\1"),
            publish(b"health/a", b"", properties=b"\5\2\0\0\0"),
            publish(b"health/a", b"", properties=b"\5\x11\0\0\0\1"),
            publish(b"health/\xff", b"{}"),
            publish(b"", b"{}"),
            publish(b"health/a", b"{}", head=PUBLISH | 8),
            packet(PUBLISH, b"\0"),
            packet(PUBLISH, b"\0\x09health/a"),
            packet(PUBLISH, b"\0\x08health/a"),
            packet(PUBACK, b"\0\1"),
            packet(DISCONNECT, b""),
        )
    ),
)


@given(
    which=st.lists(st.integers(0, len(KNOWN) - 1), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_every_packet_is_seen_once_and_in_order_wherever_the_stream_is_cut(which: list[int], cuts: list[int]) -> None:
    stream = b"".join(KNOWN[number][0] for number in which)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    paho = Paho()
    try:
        parts = [stream[start:stop] for start, stop in itertools.pairwise(places) if start < stop]
        assert paho.read(*parts) == [KNOWN[number][1] for number in which]
    finally:
        paho.close()


def test_the_older_version_has_no_properties() -> None:
    paho = Paho(is_version_5=False)
    assert paho.read(publish(b"health/a", b"{}", properties=b"")) == [BEAT]
    assert paho.read(publish(b"health/a", b"\2", properties=b""))[1:] == [("message", ("health/a", b"\2", False))]
    paho.close()


def test_a_long_packet_is_gathered_and_then_seen(paho: Paho) -> None:
    body = b"x" * (5 * READ_BYTES)
    sent = publish(b"health/a", body) + BEAT_SENT
    parts = [sent[start : start + READ_BYTES // 2] for start in range(0, len(sent), READ_BYTES // 2)]
    assert paho.read(*parts) == [("message", ("health/a", body, False)), BEAT]


def test_one_turn_reads_a_bounded_part_of_a_flood(paho: Paho) -> None:
    flood = 2 * READ_BYTES // len(BEAT_SENT)
    paho.near.sendall(BEAT_SENT * flood)
    assert paho.incoming.read() == len(paho.seen) == READ_BYTES // len(BEAT_SENT) < flood
    while len(paho.seen) < flood:
        assert paho.incoming.read()


def test_a_length_that_nobody_can_read_is_for_paho(paho: Paho) -> None:
    unreadable = bytes([PUBLISH, 0x80, 0x80, 0x80, 0x80, 0x01]) + BEAT_SENT
    assert paho.read(BEAT_SENT, unreadable[:5], unreadable[5:]) == [BEAT, ("packet", unreadable)]


def test_paho_sees_the_end_of_the_stream_after_all_packets(paho: Paho) -> None:
    paho.near.sendall(BEAT_SENT + BEAT_SENT[:5])
    paho.near.close()
    paho.incoming.read()
    paho.incoming.read()
    assert paho.seen == [BEAT, ("end", None)]
    assert paho.incoming.open_socket() is None


def test_paho_sees_the_fault_of_the_socket(paho: Paho) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
    far.close()
    paho.incoming.socket.close()
    paho.incoming.socket = near
    near.settimeout(10)
    paho.incoming.read()
    assert paho.seen == [("fault", ConnectionResetError)]
    listener.close()


def test_nothing_is_handled_after_paho_closed_the_socket(paho: Paho) -> None:
    def close() -> None:
        paho.seen.append(("closed", None))
        paho.incoming.close()

    paho.incoming = Incoming(paho.incoming.socket, is_version_5=True, on_message=paho._message, read_packet=close)
    assert paho.read(BEAT_SENT + packet(DISCONNECT, b"") + BEAT_SENT) == [BEAT, ("closed", None)]
