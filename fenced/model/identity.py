"""Whether a device belongs to the machine that it is configured for: UUIDs, GUIDs and serial numbers as they are told.

Knows spellings, not where an identity is read. One rule: equal is equal as a whole; a part of a serial is no match.
"""

import re
from collections.abc import Iterable
from typing import Final

UUID_DIGITS: Final = re.compile(r"[0-9a-f]{32}")
SEPARATORS: Final = re.compile(r"[\s\0:{}-]")


def is_same_machine(wanted: str, told: Iterable[str]) -> bool:
    """Whether one of the told identities is the wanted one: case and separators aside, UUIDs in either byte order.

    SMBIOS keeps the first three fields of a UUID in little-endian order (DSP0134, 7.2.1), and BMCs differ in whether they
    turn them (IPMI 2.0, 20.8); some turn the whole GUID. All of these spell one machine.
    """
    ways = spellings(wanted)
    return bool(ways) and any(_plain(one) in ways for one in told if _plain(one))


def spellings(identity: str) -> frozenset[str]:
    """The plain forms that mean this identity; empty for an empty one."""
    plain = _plain(identity)
    if not plain:
        return frozenset()
    if not UUID_DIGITS.fullmatch(plain):
        return frozenset({plain})
    octets = bytes.fromhex(plain)
    fields = octets[3::-1] + octets[5:3:-1] + octets[7:5:-1] + octets[8:]
    return frozenset({plain, fields.hex(), octets[::-1].hex()})


def one_spelling(identity: str) -> str:
    """The same text for all spellings that may mean one machine; "" for an empty one."""
    ways = spellings(identity)
    while len(more := frozenset[str]().union(ways, *map(spellings, ways))) > len(ways):
        ways = more
    return min(ways, default="")


def _plain(identity: str) -> str:
    return SEPARATORS.sub("", identity).lower()
