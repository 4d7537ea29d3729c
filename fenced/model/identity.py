"""Compares identities: does a device belong to the machine that it is configured for? UUIDs, GUIDs and serial numbers.

Knows spellings and placeholders, not where an identity is read. Identities match only as a whole; a part of a serial
number is no match.
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
"""Identities kept for one machine: a UUID, and the serial numbers of chassis, board and product."""

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
"""Values that firmware reports when the manufacturer set no identity, so many machines share them
(SolidRun/lx2160a_uefi#4). One UUID is listed in both byte orders."""


def is_same_machine(wanted: str, reported: Iterable[str]) -> bool:
    """Return whether one of the reported identities is the wanted one, ignoring case, separators and UUID byte order.

    SMBIOS stores the first three fields of a UUID in little-endian order (DSP0134, 7.2.1). Some BMCs swap them, some do
    not (IPMI 2.0, 20.8), and some reverse the whole GUID. All of these count as the same machine.
    """
    ways = spellings(wanted)
    return bool(ways) and any(_plain(one) in ways for one in reported if _plain(one))


def spellings(identity: str) -> frozenset[str]:
    """Return the plain forms that mean this identity; empty for an empty one."""
    plain = _plain(identity)
    if not plain:
        return frozenset()
    if not UUID_DIGITS.fullmatch(plain):
        return frozenset({plain})
    octets = bytes.fromhex(plain)
    fields = octets[3::-1] + octets[5:3:-1] + octets[7:5:-1] + octets[8:]
    return frozenset({plain, fields.hex(), octets[::-1].hex()})


def one_spelling(identity: str) -> str:
    """Return the same text for all spellings that may mean one machine; "" for an empty one."""
    ways = spellings(identity)
    if len(ways) < 2:  # no UUID
        return min(ways, default="")
    while len(more := frozenset[str]().union(ways, *map(spellings, ways))) > len(ways):
        ways = more
    return min(ways)


def is_identity(text: str) -> bool:
    """Return whether the text can distinguish one machine from another."""
    plain = NEITHER_LETTER_NOR_DIGIT.sub("", text.lower())
    return bool(plain) and len(text) <= IDENTITY_CHARACTERS_MAX and plain not in PLACEHOLDERS and set(plain) != {"0"}


def is_uuid(identity: str) -> bool:
    """Return whether it is a UUID or GUID, in any spelling. Everything else is a serial number."""
    return UUID_DIGITS.fullmatch(_plain(identity)) is not None


def comparable(reported: Iterable[str], *, secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the reported identities that may be shown and compared with those of other devices,
    at most IDENTITIES_MAX.

    Leave out placeholders and texts that contain a secret: some passwords are printed on the machine's label.
    """
    hidden = [plain for secret in secrets if (plain := _plain(secret))]
    found = (one_line(one.strip("\0 ")) for one in reported)
    kept = (one for one in found if is_identity(one) and len(set(_plain(one))) > 1)
    open_ones = (one for one in kept if not any(secret in _plain(one) for secret in hidden))
    return tuple(dict.fromkeys(open_ones))[:IDENTITIES_MAX]


def _plain(identity: str) -> str:
    return SEPARATORS.sub("", identity).lower()
