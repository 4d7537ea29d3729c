"""With all rules the model keeps its promises, and each rule is needed: without it the promise breaks
that it protects.
"""

import pytest

from tests.formal.explore import explore
from tests.formal.fence import Fence
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
    """Explores every reachable state with two commands on their way to each device, for runs of any length."""
    explored = explore(Fence(pending=2))
    assert explored.broken is None, "\n".join(told(explored.way, Fence(pending=2)))
    assert explored.states > 15_000


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str) -> None:
    fence = Fence(pending=1 if rule == "watch" else 2, without=frozenset({rule}))  # liveness checks all states
    explored = explore(fence)
    way = told(explored.way, fence)
    assert explored.broken is not None and explored.broken.startswith(BREAKS[rule]), way
    assert len(way) <= WAY_AT_MOST


ANNOUNCEMENT = ("S1:", "S5: the host counts")


@pytest.mark.parametrize("rule", ["epoch", "one operation", "token", "not after", "record first"])
def test_without_a_rule_a_host_that_is_on_is_announced_as_fenced(rule: str) -> None:
    """A rule whose absence first breaks another promise also leads to the worst: fenced, and ON or about to be."""
    assert explore(Fence(pending=1, without=frozenset({rule}), only=ANNOUNCEMENT)).broken is not None


def test_a_settled_read_comes_after_a_settled_end() -> None:
    """An operation that ends too early breaks S14, but announces nothing wrong: the second line of defence holds."""
    first = frozenset({"settled end"})
    assert explore(Fence(pending=1, without=first, only=ANNOUNCEMENT)).broken is None
    assert explore(Fence(pending=1, without=first | {"settled read"}, only=ANNOUNCEMENT)).broken is not None
