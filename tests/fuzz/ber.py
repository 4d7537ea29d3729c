"""BER, as far as SNMP needs it, written from X.690 independently of the driver's libraries: write answers,
parse datagrams.

Knows tags and lengths, no protocol. `read` raises ValueError for incomplete data.
"""

from typing import Final

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
CONSTRUCTED: Final = 0x20
INDEFINITE: Final = 0x80
DEPTH_MAX: Final = 60

Part = tuple[int, bytes]
"""A tag and its content."""


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(number: int, tag: int = INTEGER) -> bytes:
    return tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def oid(numbers: tuple[int, ...]) -> bytes:
    out = bytearray()
    for number in (numbers[0] * 40 + numbers[1], *numbers[2:]):
        sevens = [number & 0x7F]
        while number := number >> 7:
            sevens.append(0x80 | number & 0x7F)
        out += bytes(reversed(sevens))
    return tlv(OID, bytes(out))


def read(data: bytes) -> list[Part]:
    """Return the parts, one after the other."""
    found, rest = [], data
    while rest:
        part, rest = first(rest)
        found.append(part)
    return found


def first(data: bytes, depth: int = 0) -> tuple[Part, bytes]:
    """Return the first part, and what comes after it. A content of indefinite length is without its end."""
    if len(data) < 2 or depth > DEPTH_MAX:
        raise ValueError("not whole")
    tag, length, rest = data[0], data[1], data[2:]
    if length == INDEFINITE:
        content = rest
        while rest[:2] != b"\0\0":
            _, rest = first(rest, depth + 1)
        return (tag, content[: len(content) - len(rest)]), rest[2:]
    if length & 0x80:
        many = length & 0x7F
        length, rest = int.from_bytes(rest[:many], "big"), rest[many:]
    if len(rest) < length:
        raise ValueError("not whole")
    return (tag, rest[:length]), rest[length:]


def octets(part: Part) -> bytes:
    """Return the octets of a string, also of one in pieces."""
    tag, content = part
    return b"".join(octets(each) for each in read(content)) if tag & CONSTRUCTED else content


def number(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def numbers(content: bytes) -> tuple[int, ...]:
    """Return an object identifier."""
    out, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            out.append(value)
            value = 0
    head = min(out[0] // 40, 2) if out else 0
    return (head, out[0] - 40 * head, *out[1:]) if out else ()
