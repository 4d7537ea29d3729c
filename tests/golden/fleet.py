"""Parses the `fleet` of a story: a few words a line become the plan of a rack.

Knows nothing of the script. A line that can't be parsed is an error, never skipped.
"""

from collections.abc import Iterable
from typing import Any, Final

from fenced.model.power import Action
from tests.world.rack import Rack, Setting

BY_NAME: Final = {
    "place": ("places", True),
    "runs": ("machines", True),
    "tags": ("tags", False),
    "names": ("names", False),
    "rack": ("racks", True),
    "labels": ("labels", False),
    "domain": ("domains", True),
    "addresses": ("addresses", False),
}
"""`place px2 c2/dc2`, `runs px1 node-3`, `tags px1 oob`, `names node-3 db db.example.net`, `rack node-1 r7`,
`labels node-1 feed=a`, `domain px1 r2`, `addresses node-1 storage=10.1.0.1`: the field of Rack, and whether it takes
one word."""

LISTS: Final = frozenset(
    {
        "hosts", "devices", "proxies", "reach", "protected", "drills", "other_daemons", "observers", "references",
    }
)  # fmt: skip


class BadStory(ValueError):
    """A line that no story can have, with its text."""


def rack_of(lines: Iterable[str]) -> Rack:
    given: dict[str, tuple[str, ...]] = {}
    settings: dict[str, Setting] = {}
    named: dict[str, dict[str, Any]] = {field: {} for field, _ in BY_NAME.values()}
    flags: dict[str, bool | str | float] = {}
    for line in lines:
        key, *words = line.split()
        if key in {
            "hosts",
            "devices",
            "proxies",
            "reach",
            "protected",
            "drills",
            "other_daemons",
            "observers",
            "references",
        }:
            given[key] = tuple(words)
        elif key in BY_NAME and len(words) > 1:
            group, is_one = BY_NAME[key]
            named[group][words[0]] = words[1] if is_one else tuple(words[1:])
        elif key == "own_machine":
            flags["own_machine"] = words[0]
        elif key == "settle":
            flags["settle_seconds"] = float(words[0])
        elif key == "settle_after_return":
            flags["settle_after_return_seconds"] = float(words[0])
        elif key == "boot":
            flags["boot_seconds"] = float(words[0])
        elif line == "bmc is fed by the outlets":
            flags["is_standby_separate"] = False
        elif "." in key and len(words) == 1:
            settings[key] = _setting(words[0])
        else:
            raise BadStory(f"fleet: {line!r}")
    return Rack(settings=settings, **given, **named, **flags)  # type: ignore[arg-type]


def _setting(word: str) -> Setting:
    if "," in word:
        return tuple(filter(None, word.split(",")))
    if word in {"true", "false"}:
        return word == "true"
    if word in {"off", "restart"}:
        return Action(word)
    number = float(word) if word.replace(".", "", 1).isdigit() else None
    if number is None:
        return word
    return int(number) if number.is_integer() else number
