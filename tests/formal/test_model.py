"""The model keeps its promises with all rules, and each rule is needed: what goes wrong without it is what the rule says."""

import pytest

from tests.formal.explore import Bounds, explore
from tests.formal.model import RULES
from tests.formal.telling import told

BREAKS = {
    "both devices": "S1",
    "read": "S1",
    "fresh read": "S1",
    "settled read": "S1",
    "doubt": "S1",
    "record first": "S5",
    "outbox": "S3",
    "epoch": "S4",
    "one operation": "S4",
    "settled on": "S5",
    "settled end": "S14",
    "not after": "S5",
    "token": "S5",
    "off before on": "S8",
    "announced before on": "S8",
    "watch": "liveness",
}
"""Rule -> the promise that breaks first without it."""
WAY_AT_MOST = 12


def test_all_promises_hold() -> None:
    """Every state that can be reached with two commands on their way to each device, however long the run."""
    explored = explore(Bounds(pending=2))
    assert explored.broken is None, "\n".join(told(explored.way, Bounds(pending=2)))
    assert explored.states > 15_000


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str) -> None:
    bounds = Bounds(pending=1 if rule == "watch" else 2, without=frozenset({rule}))  # liveness looks at all states
    explored = explore(bounds)
    way = told(explored.way, bounds)
    assert explored.broken is not None and explored.broken.startswith(BREAKS[rule]), way
    assert len(way) <= WAY_AT_MOST


ANNOUNCEMENT = ("S1:", "S5: the host counts")


@pytest.mark.parametrize("rule", ["epoch", "one operation", "token", "not after", "record first"])
def test_in_the_end_it_is_the_announcement_that_is_wrong(rule: str) -> None:
    """What breaks another promise first goes on to the worst: fenced, and ON or about to be."""
    assert explore(Bounds(pending=1, without=frozenset({rule}), only=ANNOUNCEMENT)).broken is not None


def test_a_settled_read_stands_behind_a_settled_end() -> None:
    """An operation that ends too early breaks S14, and still announces nothing wrong: the second line holds."""
    first = frozenset({"settled end"})
    assert explore(Bounds(pending=1, without=first, only=ANNOUNCEMENT)).broken is None
    assert explore(Bounds(pending=1, without=first | {"settled read"}, only=ANNOUNCEMENT)).broken is not None
