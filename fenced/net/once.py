"""Rejects JSON with duplicate names: parsers disagree on which one counts (RFC 8259, 4)."""

import json
from typing import Any


def parsed_once(body: bytes) -> Any:
    """Return the parsed JSON. Raises ValueError for a duplicate name in an object, or for invalid JSON."""
    return json.loads(body, object_pairs_hook=_once_each)


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None
    if twice is not None:
        raise ValueError(f"the name {twice[:64]!r} occurs twice")
    return dict(pairs)
