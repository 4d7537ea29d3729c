"""Many units in one process: each a UDP port that answers every GET of two objects at once, or never (`dead`).

Does as little work as an agent can, so that the caller is measured and not this. Run: `snmp_units.py LIVE DEAD`; prints
the ports, the dead ones last, and answers until it is ended.
"""

import selectors
import socket
import sys

DAY_IN_TICKS = b"\x43\x04\x00\x83\xd6\x00"
OFF = b"\x02\x01\x08"


def wrapped(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def part(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the whole element that begins there, and where the next begins."""
    end = at + 2 + data[at + 1]
    return data[at:end], end


def answer(data: bytes) -> bytes:
    """Answer a version 2c request with short lengths, for sysUpTime and the state of an outlet."""
    version, at = part(data, 2)
    community, at = part(data, at)
    number, at = part(data, at + 2)
    _, at = part(data, at)
    _, at = part(data, at)
    binds = []
    at += 2
    for value in (DAY_IN_TICKS, OFF):
        name, _ = part(data, at + 2)
        _, at = part(data, at)
        binds.append(wrapped(0x30, name, value))
    no_error = b"\x02\x01\x00"
    return wrapped(0x30, version, community, wrapped(0xA2, number, no_error, no_error, wrapped(0x30, *binds)))


def main(live: int, dead: int) -> None:
    selector = selectors.DefaultSelector()
    ports = []
    for index in range(live + dead):
        unit = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        unit.bind(("127.0.0.1", 0))
        unit.setblocking(False)
        ports.append(unit.getsockname()[1])
        selector.register(unit, selectors.EVENT_READ, index < live)
    print(*ports, flush=True)
    while True:
        for key, _ in selector.select():
            asked = key.fileobj
            assert isinstance(asked, socket.socket)
            data, peer = asked.recvfrom(2048)
            if key.data:
                asked.sendto(answer(data), peer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
