"""JSON in which a name occurs twice says two things, and which of them counts is a reader's whim (RFC 8259, 4): it is refused."""

import json
from typing import Any


def parsed_once(body: bytes) -> Any:
    """What it says. Raises ValueError where a name occurs twice in one object, or where it is no JSON."""
    return json.loads(body, object_pairs_hook=_once_each)


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None
    if twice is not None:
        raise ValueError(f"the name {twice[:64]!r} occurs twice")
    return dict(pairs)
