"""Where a reader of events is: a number in the journal of each shard.

The text is the id of a server-sent event, and comes back as `Last-Event-ID`. A position in the shard `main` alone is
written as its number, so that the ids of an installation without shards are plain integers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fenced.model.names import MAIN_SHARD

TEXT_MAX: Final = 7000
"""An HTTP header has at most 8190 bytes."""
_NUMBER: Final = re.compile(r"[0-9]{1,18}")  # fits in 64 bits
_PART: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """`numbers`: by shard, that of the last event that was read."""

    numbers: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.numbers.keys() == {MAIN_SHARD}:
            return str(self.numbers[MAIN_SHARD])
        return ",".join(f"{shard}={number}" for shard, number in sorted(self.numbers.items()))

    def only(self, shard: str) -> "Position | None":
        """Return the position in one shard; None if it is not named."""
        number = self.numbers.get(shard)
        return None if number is None else Position(numbers={shard: number})

    def moved(self, to: "Position") -> "Position":
        """Return the position after an event: only its shard's number changes."""
        return Position(numbers={**self.numbers, **to.numbers})

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Parse what `str` wrote: `12`, or `dc2=40,main=12` in any order. Raises ValueError for anything else."""
        if len(text) > TEXT_MAX:
            raise ValueError(f"a position has at most {TEXT_MAX} characters")
        if _NUMBER.fullmatch(text):
            return cls(numbers={MAIN_SHARD: int(text)})
        found = [_PART.fullmatch(part) for part in text.split(",")]
        numbers = {part[1]: int(part[2]) for part in found if part is not None}
        if len(numbers) < len(found):
            raise ValueError("a position is a number, or SHARD=NUMBER for each shard, with commas between them")
        return cls(numbers=numbers)
