"""Building blocks for fuzzing: how many examples, arbitrary JSON, and mutations of good samples.

All randomness comes from hypothesis, so failures can be reproduced, shrunk and printed.
FENCED_FUZZ_TIMES=20 takes twenty times as many examples; `make fuzz` sets it.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES_VARIABLE: Final = "FENCED_FUZZ_TIMES"
EDITS_MAX: Final = 4
SPLICE_BYTES_MAX: Final = 24
NASTY: Final = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\r\n", b"\x1b[31m", b"\xef\xbb\xbf",
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"1" * 5000, b'"\\ud800"', b'"\\u0000"', b"null", b"true", b"{}",
    b"[]", b'"', b"\\", b"[" * 500, b'{"a":' * 300, b"<!DOCTYPE a>", b"&#x41;", b"'''", b"*a", b"&a ", b"!!int ''",
    b"{1: 2}", b"-1", b"0", b"%s", b"${x}", b"../", b"\xc2\xb2",
)  # fmt: skip
"""Fragments on which parsers have failed."""


def fuzz(examples: int) -> settings:
    """Return settings of one property: so many examples in CI, times FENCED_FUZZ_TIMES elsewhere."""
    times = int(os.environ.get(TIMES_VARIABLE, "1"))
    return settings(max_examples=examples * times, deadline=None, suppress_health_check=list(HealthCheck))


def json_values(keys: Sequence[str] = ()) -> st.SearchStrategy[Any]:
    """Any JSON value; objects often have these keys."""
    named = st.text(max_size=8) | st.sampled_from(keys) if keys else st.text(max_size=8)
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(named, inner, max_size=4),
        max_leaves=10,
    )


def json_bytes(keys: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Any JSON text."""
    return json_values(keys).map(lambda value: json.dumps(value).encode())


@st.composite
def changed(draw: st.DrawFn, sample: dict[str, Any]) -> bytes:
    """A good JSON object with one to three of its fields (at any depth) left out, changed, or duplicated."""
    value = json.loads(json.dumps(sample))
    for _ in range(draw(st.integers(1, 3))):
        table = value
        while True:
            key = draw(st.sampled_from([*table, "more"]))
            inner = table.get(key)
            if not (isinstance(inner, dict) and inner and draw(st.booleans())):
                break
            table = inner
        if draw(st.booleans()):
            table.pop(key, None)
        else:
            table[key] = draw(json_values())
    text = json.dumps(value)
    if value and draw(st.integers(0, 9)) == 0:
        key = draw(st.sampled_from(list(value)))
        text = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(draw(json_values()))}}}"
    return text.encode()


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """A good sample with pieces cut out, duplicated, overwritten or inserted."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, EDITS_MAX))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + SPLICE_BYTES_MAX)))
        piece = draw(st.sampled_from(NASTY) | st.binary(max_size=6) | st.just(bytes(data[start:end]) * 2))
        data[start:end] = piece
    return bytes(data)


def hostile(samples: Sequence[bytes], keys: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Mutations, any JSON, and any bytes."""
    return mutated(samples) | json_bytes(keys) | st.binary(max_size=200)
