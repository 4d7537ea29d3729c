"""What the stories and scenes together must show: every cell of the tables of design.md, named `FAMILY/.../...`.

Knows no story. A cell that can't be shown is listed in IMPOSSIBLE with its reason, never left out silently.
"""

from collections.abc import Iterator
from typing import Final

ACTIONS: Final = ("status", "off", "on", "restart")
OUTCOMES: Final = ("ok", "error", "unknown", "late", "already")
RUNNING: Final = ("off", "restart-before-on", "restart-after-on", "on")
PREFERENCES: Final = (
    "engine", "cluster", "dc", "other_dc", "tag", "proxy-name", "host-name", "alias", "FQDN", "IP",
)  # fmt: skip
GATES: Final = (
    "armed", "lease", "store", "warm_up", "witness", "own_machine", "automatic", "record", "maintenance", "paused",
    "protected", "known", "woken",
    "attempts", "cooldown", "alive_but_silent", "observers", "devices", "live_evidence", "connectivity", "storm",
    "budget", "concurrency",
)  # fmt: skip
CRASHES: Final = (
    "suspect", "proving-before-off", "proving-half-off", "proving-after-off", "inspecting", "announcing", "restoring",
    "closing", "reading", "waiting", "fenced", "failed", "host-restoring",
)  # fmt: skip
"""Where an operation or its host is when the daemon is killed."""

IMPOSSIBLE: Final[dict[str, str]] = {}


def power_cells() -> Iterator[str]:
    for action in ACTIONS:
        for devices in (1, 2, 3):
            for levels in (1, 2):
                yield from (f"{action}/{devices}-devices/{levels}-levels/{outcome}" for outcome in OUTCOMES)


def cells() -> frozenset[str]:
    """Return all cells that must be shown."""
    return frozenset(
        {
            *power_cells(),
            *(f"request/{running}/{new}" for running in RUNNING for new in ACTIONS),
            *(f"proxy/{word}" for word in PREFERENCES),
            *(f"gate/{gate}" for gate in GATES),
            *(f"crash/{phase}" for phase in CRASHES),
        }
    )


NEVER_HELD: Final = {"known": "it stays unknown: never even suspect", "maintenance": "it is left alone: never suspect"}
"""Gates that a story can't show as a hold, and why."""


def is_shown(cell: str, decided: str) -> bool:
    """Return whether the decisions show what the cell's name promises, where the name says what must be seen."""
    family, _, rest = cell.partition("/")
    match family:
        case "gate":
            return rest in NEVER_HELD or any("held by" in part and rest in part for part in decided.split("; "))
        case "crash":
            return (
                "RESUMED" in decided
                or "CANCELLED" in decided
                or rest in {"suspect", "fenced", "failed", "host-restoring"}
            )
        case "proxy":
            return ("through" in decided) is (rest != "engine")
        case "request":
            return decided.count("(request") + decided.count(" joins: ") + decided.count("refused by busy") >= 2
        case _:
            return f"{family} (request" in decided
