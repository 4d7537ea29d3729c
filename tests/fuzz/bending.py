"""Faults in the replies of a power unit that has the keys: one fault in each reply, in turn.

Knows no driver. When the plan is over, the unit is honest.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from tests.fuzz.ber import NULL, OCTETS, SEQUENCE, integer, oid, tlv
from tests.fuzz.unit import GET, MISSING, REPORT, TICKS, UP_TICKS, Question, Reply

ON, OFF = 7, 8
"""Raritan's values: the outlet's sensor. The commands are 1 and 0."""
ANY_VALUES: Final = st.one_of(
    st.sampled_from([ON, OFF, OFF, 0, 1, 2]).map(integer),
    st.integers().map(integer),
    st.integers(-(2**70), 2**70).map(integer),
    st.sampled_from([b"\x02\x00", b"\x02\x81\x01\x08", b"\x02\x02\x00\x08", b"\x02\x01", b"\x02\x80\x08\x00\x00"]),
    st.binary(max_size=12).map(lambda content: tlv(OCTETS, content)),
    st.sampled_from([tlv(NULL), tlv(MISSING), tlv(0x81), tlv(0x82), b"", tlv(SEQUENCE, integer(OFF))]),
    st.sampled_from([oid((1, 3, 6, 1, 4, 1, 13742, 6)), oid((1, 3, *[6] * 120)), oid((1, 3, *[4_000_000_000] * 200))]),
    st.sampled_from([0, 100, UP_TICKS, -1, 2**32]).map(lambda ticks: integer(ticks, TICKS)),
)
LOOKALIKES: Final = st.sampled_from([0x41, 0x42, 0x0A, OCTETS]).map(lambda tag: integer(OFF, tag))
VALUES: Final = st.sampled_from([LOOKALIKES, ANY_VALUES]).flatmap(lambda kind: kind)
ODD_NUMBERS: Final = st.sampled_from([0, 1, 2, 3, 5, 5, 6, 14, 16, 17, 18, -1, 2**31, 10**6000, -(10**4400)])


Bent = tuple[str, int, int, bytes]
"""A fault of a reply: the kind, at which object, an odd number, and bytes in place of a value."""
BENT_KINDS: Final = (
    "value", "value", "value", "value", "status", "status", "index", "id", "fewer", "more", "other name", "order",
    "tag", "bytes",
)  # fmt: skip


@st.composite
def bends(draw: st.DrawFn) -> list[Bent]:
    """Draw faults for the replies in turn; a few are honest first."""
    first = [("honest", 0, 0, b"")] * draw(st.sampled_from([0, 0, 1, 2, 3]))
    return first + draw(st.lists(BENT, min_size=1, max_size=3))


BENT: Final = st.tuples(st.sampled_from(BENT_KINDS), st.integers(0, 2), ODD_NUMBERS, VALUES)


def bending(plan: list[Bent]) -> Callable[[Question, Reply], list[Reply]]:
    """Put one fault into each reply; reply honestly when the plan is over."""
    left = list(plan)

    def bend(question: Question, reply: Reply) -> list[Reply]:
        kind, place, odd, value = left.pop(0) if left else ("honest", 0, 0, b"")
        binds = reply.binds
        at = place % max(1, len(binds))
        match kind:
            case "value":
                return [replace(reply, binds=(*binds[:at], (binds[at][0], value), *binds[at + 1 :]))]
            case "status":
                return [replace(reply, status=odd)]
            case "index":
                return [replace(reply, status=2, index=odd)]
            case "id":
                return [replace(reply, request_id=odd), reply]
            case "fewer":
                return [replace(reply, binds=binds[:at])]
            case "more":
                return [replace(reply, binds=(*binds, *binds[: at + 1]))]
            case "other name":
                return [replace(reply, binds=(*binds[:at], (value, binds[at][1]), *binds[at + 1 :]))]
            case "order":
                return [replace(reply, binds=binds[::-1])]
            case "tag":
                return [replace(reply, tag=(GET, 0xA1, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, REPORT)[abs(odd) % 8])]
            case "bytes":
                return [replace(reply, binds=((value, value),))]
            case _:
                return [reply]

    return bend
