"""Checks what a batch that the store rejects leaves in the fleet, and what is decided the second time."""

from dataclasses import fields, replace
from typing import Any

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import Decision, decide
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Others
from fenced.core.heard.sight import MOMENTS, WAKE, Sight
from fenced.model.names import Token

OWNED = tuple(it.name for it in fields(Sight) if it.name not in MOMENTS and it.name != WAKE)


def decided_twice(fleet: Fleet, event: e.Event, now: float) -> Decision:
    """Decide an event, roll it back, decide it again. Both decisions must be equal.

    Only the moments of beats and evidence may stay of the first one.
    """
    before = whole(fleet)
    fleet.begin(heard_until=fleet.heard_until)
    refused = decide(fleet, event, now)
    fleet.roll_back()
    assert whole(fleet) == before, f"a refused batch left something: {event}"
    fleet.begin(heard_until=fleet.heard_until)
    decision = decide(fleet, event, now)
    assert is_same(decision, refused), f"decided again it is another decision: {event}"
    fleet.settle()
    return decision


def is_same(one: Decision, other: Decision) -> bool:
    """Return whether two decisions are equal. One wake-up more or less does not count: an extra check is harmless."""
    return (
        (one.entries, one.ended, one.told, one.answer, one.is_news, one.room)
        == (other.entries, other.ended, other.told, other.answer, other.is_news, other.room)
        and _acts(one) == _acts(other)
    )  # fmt: skip


def whole(fleet: Fleet) -> tuple[Any, ...]:
    """Return everything that a batch may change and a roll-back must restore."""
    return (
        dict(fleet.hosts),
        dict(fleet.gone),
        {name: tuple(getattr(sight, it) for it in OWNED) for name, sight in fleet.sights.items()},
        dict(fleet.checks),
        fleet.claims.all(),
        fleet.state,
        replace(fleet.own, lease_until=0.0, format=1, closed_since={}, others=Others()),  # these stay (Own.undone)
        fleet.inventory,
        {cluster: list(names) for cluster, names in fleet.by_cluster.items()},
        set(fleet.troubled),
        _next_token(fleet),
    )


def _next_token(fleet: Fleet) -> Token:
    """Return the token that the fleet would issue next, without issuing it."""
    fleet.begin(heard_until=fleet.heard_until)
    token = fleet.next_token()
    fleet.roll_back()
    return token


def _acts(decision: Decision) -> list[c.Command]:
    return [command for command in decision.commands if not isinstance(command, c.Wake)]
