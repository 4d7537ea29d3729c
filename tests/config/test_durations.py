"""Durations: what was written is read back equal, and anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("2m", 120),
        ("1h30m", 5400),
        ("0s", 0),
        ("400d", 400 * 86400),
        ("90m", 5400),
        ("1d2h3m4s5ms", 93784.005),
        ("0ms", 0),
        ("1m1ms", 60.001),
    ],
)
def test_durations_of_the_interface(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "s",
        "5 s",
        " 5s",
        "5s ",
        "-5s",
        "+5s",
        "1.5s",
        "5S",
        "5sec",
        "30m1h",
        "1h1h",
        "5s\n",
        "٥s",
        "1_0s",
        "1e3s",
        "9999999999s",
        "inf",
        "nan",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.tuples(*[st.one_of(st.none(), st.integers(min_value=0, max_value=999_999_999))] * 5))
def test_units_add_up(parts: tuple[int | None, ...]) -> None:
    units = ("d", "h", "m", "s", "ms")
    text = "".join(f"{part}{unit}" for part, unit in zip(parts, units, strict=True) if part is not None)
    milliseconds = (86_400_000, 3_600_000, 60_000, 1000, 1)
    if text:
        total = sum((part or 0) * size for part, size in zip(parts, milliseconds, strict=True))
        assert parse_duration(text) == total / 1000


@given(st.text(alphabet="0123456789dhms .-", max_size=12))
def test_reading_never_fails_otherwise(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError as exc:
        assert "not a duration" in str(exc)


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="not negative"):
        format_duration(-1)
