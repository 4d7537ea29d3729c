"""Whether a device belongs to the machine that it is configured for: UUIDs, GUIDs and serial numbers as they are told.

Knows spellings and placeholders, not where an identity is read. One rule: equal is equal as a whole; a part of a serial is
no match.
"""

import re
from collections.abc import Iterable
from typing import Final

from fenced.model.text import one_line

UUID_DIGITS: Final = re.compile(r"[0-9a-f]{32}")
SEPARATORS: Final = re.compile(r"[\s\0:{}-]")
NEITHER_LETTER_NOR_DIGIT: Final = re.compile(r"[^0-9a-z]")
IDENTITY_CHARACTERS_MAX: Final = 128
IDENTITIES_MAX: Final = 8
"""That are told of one machine: a UUID, and the serial numbers of chassis, board and product."""

PLACEHOLDERS: Final = frozenset(
    {
        "0" * 32,
        "f" * 32,
        "03000200040005000006000700080009",
        "00020003000400050006000700080009",
        "0123456789",
        "123456789",
        "default",
        "defaultstring",
        "na",
        "none",
        "notavailable",
        "notspecified",
        "null",
        "systemserialnumber",
        "tobefilledbyoem",
        "unknown",
    }
)
"""What firmware tells that was never given an identity: many machines tell the same (SolidRun/lx2160a_uefi#4). The UUID of
one of them in both byte orders."""


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


def is_identity(text: str) -> bool:
    """Whether it can tell one machine from another."""
    plain = NEITHER_LETTER_NOR_DIGIT.sub("", text.lower())
    return bool(plain) and len(text) <= IDENTITY_CHARACTERS_MAX and plain not in PLACEHOLDERS and set(plain) != {"0"}


def is_uuid(identity: str) -> bool:
    """Whether it is a UUID or GUID, in whatever spelling; everything else is a serial number."""
    return UUID_DIGITS.fullmatch(_plain(identity)) is not None


def comparable(told: Iterable[str], *, secrets: Iterable[str]) -> tuple[str, ...]:
    """Of what a device told, what may leave its session to be compared with other devices': at most so many, each fit to be
    shown. Left out is what names nobody, and what holds a secret: some passwords are what stands on the machine's label."""
    hidden = [plain for secret in secrets if (plain := _plain(secret))]
    found = (one_line(one.strip("\0 ")) for one in told)
    kept = (one for one in found if is_identity(one) and len(set(_plain(one))) > 1)
    open_ones = (one for one in kept if not any(secret in _plain(one) for secret in hidden))
    return tuple(dict.fromkeys(open_ones))[:IDENTITIES_MAX]


def _plain(identity: str) -> str:
    return SEPARATORS.sub("", identity).lower()
