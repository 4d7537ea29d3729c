"""Read many packets from the socket at once, and give paho only those that need it.

paho reads one packet a turn of the event loop, with three system calls, and builds a dozen objects for it. Almost all
packets of a large site are heartbeats: PUBLISH packets with QoS 0 and no MQTT 5 property but the message expiry, which
means nothing to a subscriber. Such a packet needs no answer and changes no state of the protocol, so `Incoming` parses
it here. paho reads every other packet from `Incoming` as if from its socket, in the order of the stream, and decides
what a faulty one means. It knows no topics.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 16384
"""How much is read in one turn of the loop, so that a flood leaves turns to everything else. Also the largest record of
TLS: OpenSSL then keeps no decrypted bytes, of which the event loop would not know."""

PLAIN: Final = frozenset({0x30, 0x31})
"""First bytes of a PUBLISH with QoS 0, without and with the retained flag."""

LENGTH_BYTES_MAX: Final = 4

EXPIRY: Final = 0x02
EXPIRY_BYTES: Final = 5
"""The property Message Expiry Interval: its identifier and four bytes (MQTT 5, 3.3.2.3.3)."""


class Incoming:
    """The socket that paho uses. The loop calls `read` when bytes are there.

    `on_message` gets the topic, the payload and the retained flag. `read_packet` has paho read one packet.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        is_version_5: bool,
        on_message: Callable[[str, bytes, bool], None],
        read_packet: Callable[[], object],
    ) -> None:
        self.socket = sock
        self.read_bytes = 0
        """How many bytes were read so far."""
        self._is_version_5 = is_version_5
        self._on_message = on_message
        self._read_packet = read_packet
        self._begun = bytearray()
        """The beginning of a packet whose end has not arrived."""
        self._begun_bytes = 0
        """The whole length of that packet; 0: unknown."""
        self._packet = b""
        """What paho may read now."""
        self._fault: OSError | None = None
        self._is_ended = False
        self._is_closed = False

    # -- what paho calls ----------------------------------------------------------------------------------------------

    def recv(self, buffer_size: int) -> bytes:
        """Return bytes of the present packet. Raises OSError as the socket did, BlockingIOError after the packet."""
        if self._packet:
            part, self._packet = self._packet[:buffer_size], self._packet[buffer_size:]
            return part
        if self._fault is not None:
            raise self._fault
        if self._is_ended:
            return b""
        raise BlockingIOError

    def send(self, buffer: bytes | bytearray) -> int:
        return self.socket.send(buffer)

    def close(self) -> None:
        self._is_closed = True
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def setblocking(self, flag: bool) -> None:
        self.socket.setblocking(flag)

    # -- what the loop calls ------------------------------------------------------------------------------------------

    def open_socket(self) -> socket.socket | None:
        """Return the socket below until it is closed."""
        return None if self._is_closed else self.socket

    def read(self) -> int:
        """Read from the socket once and handle every packet that is complete. Return the number of messages handed over
        without paho. Raises what the callbacks raise."""
        data, at, heard = self._received(), 0, 0
        while at < len(data) and not self._is_closed:
            body, end = _bounds(data, at)
            if end == 0 or end > len(data):
                self._begun, self._begun_bytes = bytearray(data[at:]), max(end - at, 0)
                break
            if self._take(data, at, body, end):
                heard += 1
            else:
                self._packet = data[at:end]
                self._read_packet()
            at = end
        return heard

    def _take(self, data: bytes, at: int, body: int, end: int) -> bool:
        """Deliver a heartbeat, or any message like it. Return False if paho must read the packet."""
        begin = body + 2
        if data[at] not in PLAIN or begin > end:
            return False
        length = data[body] << 8 | data[body + 1]
        payload = begin + length
        if self._is_version_5 and payload < end:
            properties = data[payload]
            payload += 1
            if properties == EXPIRY_BYTES and payload < end and data[payload] == EXPIRY:
                payload += EXPIRY_BYTES
            elif properties:
                return False
        elif self._is_version_5:
            return False
        if not length or payload > end:
            return False
        try:
            topic = data[begin : begin + length].decode()
        except UnicodeDecodeError:
            return False
        self._on_message(topic, data[payload:end], data[at] & 1 == 1)
        return True

    def _received(self) -> bytes:
        """Return what can be handled now: the packet begun before, if it is complete, and all that follows it."""
        try:
            data = self.socket.recv(READ_BYTES)
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                data += self.socket.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        except OSError as exc:
            self._fault = exc
            self._read_packet()
            self._fault = exc if not isinstance(exc, ssl.SSLWantWriteError) else None
            return b""
        self.read_bytes += len(data)
        if not data:
            self._is_ended = True
            self._read_packet()
        if not self._begun:
            return data
        self._begun += data
        if len(self._begun) < self._begun_bytes:
            return b""
        whole, self._begun = bytes(self._begun), bytearray()
        return whole


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Return where the body of a packet begins and ends; (0, 0) if the length is incomplete.

    A length that nobody can read takes all that is there: paho rejects it.
    """
    length = 0
    for count in range(LENGTH_BYTES_MAX):
        place = at + 1 + count
        if place >= len(data):
            return 0, 0
        length |= (data[place] & 0x7F) << 7 * count
        if data[place] < 0x80:
            return place + 1, place + 1 + length
    return (len(data), len(data)) if len(data) > at + 1 + LENGTH_BYTES_MAX else (0, 0)
