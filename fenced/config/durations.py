"""Durations as users write them: "250ms", "5s", "2m", "1h30m", "400d", "0s"; in files, by HTTP and on command lines.

`parse_duration` reads what `format_duration` writes as the same number of milliseconds.
"""

import functools
import re
from typing import Final

EXAMPLES: Final = '"250ms", "5s", "2m", "1h30m"'

_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PATTERN: Final = re.compile(
    r"(?:(?P<d>\d{1,9})d)?(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m(?!s))?(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,9})ms)?",
    re.ASCII,
)


def parse_duration(text: str) -> float:
    """Return seconds. Takes whole numbers with d, h, m, s, ms, in this order, each at most once. Raises ValueError."""
    return _parsed(text)


@functools.lru_cache(maxsize=1024)  # a large inventory repeats a few of them ten thousands of times
def _parsed(text: str) -> float:
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"not a duration; write it as {EXAMPLES}")
    parts = match.groupdict()
    return sum(int(parts[unit] or 0) * size for unit, size in _MILLISECONDS.items()) / 1000


def format_duration(seconds: float) -> str:
    """Return the shortest exact text of a duration, to the millisecond. Raises ValueError for a negative one."""
    rest = round(seconds * 1000)
    if rest < 0:
        raise ValueError("a duration is not negative")
    written = ""
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        written += f"{count}{unit}" if count else ""
    return written or "0s"
