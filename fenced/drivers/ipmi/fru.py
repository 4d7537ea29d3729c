"""Finds serial numbers in a BMC's FRU inventory (Platform Management FRU Information Storage Definition 1.0, rev. 1.3).

It parses bytes; `identity` reads them. Malformed fields give no serial number; nothing is guessed.
"""

from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 8
UNIT_BYTES: Final = 8
AREA_BYTES_MAX: Final = 512
"""How much of an area to read. The serial is one of the first fields; the standard allows 2,040 bytes."""
END_OF_FIELDS: Final = 0xC1
BCD_PLUS: Final = "0123456789 -."
FORMAT_VERSION: Final = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Where an area starts, where its fields begin in it, and which field holds the serial."""

    offset: int
    fields_from: int
    serial_field: int


def areas(header: bytes) -> tuple[Area, ...]:
    """Return the chassis, board and product areas in the common header; empty if the header is invalid."""
    if len(header) < HEADER_BYTES or header[0] & 0x0F != FORMAT_VERSION or sum(header[:HEADER_BYTES]) & 0xFF:
        return ()
    kinds = ((header[2], 3, 1), (header[3], 6, 2), (header[4], 3, 4))
    return tuple(
        Area(offset=units * UNIT_BYTES, fields_from=fields_from, serial_field=field)
        for units, fields_from, field in kinds
        if units
    )


def area_bytes(start: bytes) -> int:
    """Return the area's length by its own header, bounded; 0 if the header is invalid."""
    if len(start) < 2 or start[0] & 0x0F != FORMAT_VERSION:
        return 0
    return min(start[1] * UNIT_BYTES, AREA_BYTES_MAX)


def serial(area: Area, content: bytes) -> str:
    """Return the serial number in an area; "" if it has none."""
    at = area.fields_from
    for number in range(area.serial_field + 1):
        if at >= len(content) or content[at] == END_OF_FIELDS:
            return ""
        kind, length = content[at] >> 6, content[at] & 0x3F
        value = content[at + 1 : at + 1 + length]
        if len(value) != length:
            return ""
        if number == area.serial_field:
            return _text(kind, value)
        at += 1 + length
    return ""


def _text(kind: int, value: bytes) -> str:
    """Decode a field by its type: 0 binary, 1 BCD plus, 2 six-bit ASCII, 3 Latin-1."""
    if kind == 0:
        return value.hex()
    if kind == 1:
        digits = [digit for byte in value for digit in (byte >> 4, byte & 0x0F)]
        return "".join(BCD_PLUS[digit] for digit in digits if digit < len(BCD_PLUS)).strip()
    if kind == 2:
        bits = int.from_bytes(value, "little")
        return "".join(chr(0x20 + (bits >> 6 * index & 0x3F)) for index in range(len(value) * 8 // 6)).strip()
    text = value.decode("latin-1").strip("\x00 ")
    return text if text.isprintable() else ""
