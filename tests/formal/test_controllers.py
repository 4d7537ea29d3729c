"""Several controllers keep their promises with all rules, and each rule is needed: without it a promise breaks."""

import random

import pytest

from tests.formal.controllers.check import Controllers
from tests.formal.controllers.model import ASSUMED, RULES, Scope
from tests.formal.explore import explore
from tests.formal.telling import told

COMMANDS = Scope(is_announcing=False, may_lose=False, proxies=2)
LOSSES = Scope(is_announcing=False, may_lose=True, proxies=2)
ONE_PROXY = LOSSES._replace(proxies=1)
STATES = Scope(is_announcing=True, may_lose=True, proxies=0)
"""The bus and a loss, with commands that start at once: floors and paths are in the other two."""

BREAKS = {
    "epoch": (COMMANDS, "S20: a controller appends"),
    "waits for append": (COMMANDS, "S20: a controller appends"),
    "row watched": (COMMANDS, "S20: a controller sends"),
    "counted from before": (COMMANDS, "S20: a controller sends"),
    "own lease": (COMMANDS, "S20: a controller sends"),
    "outbox": (STATES, "S20: a controller that does not hold"),
    "silent standby": (STATES, "S20: a controller that does not hold"),
    "floor": (COMMANDS, "S21: a command under an old epoch starts"),
    "compared again": (COMMANDS, "S21: a command under an old epoch starts"),
    "not after": (COMMANDS, "S21: a command changes the plug after a newer one"),
    "settled": (COMMANDS, "S21: a command changes the plug after a newer one"),
    "read first": (COMMANDS, "S13"),
    "promotion": (LOSSES, "S20: a controller sends"),
    "holder too": (ONE_PROXY, "S20: a controller sends"),
    "watched anew": (LOSSES, "S20: a controller sends"),
    "released anew": (LOSSES, "S20: a controller sends"),
    "longest": (LOSSES, "S21: a command changes the plug after a newer one"),
    "loss kept": (ONE_PROXY, "S21: a command changes the plug after a newer one"),
    "jump": (LOSSES, "S22: an epoch is drawn"),
    "proof anew": (STATES, "S1: fenced is announced"),
    "replaces": (STATES, "S22: a lost fence"),
    "revoke lost": (STATES._replace(may_delay=False), "liveness"),
    "published anew": (STATES._replace(may_lose=False), "liveness"),
    "no stop before the write": (COMMANDS, "S21: a command changes the plug after a newer one"),
    "one primary": (ONE_PROXY, "S20: a controller sends"),
    "hot standby": (STATES, "S22: a lost fence"),
}
"""Rule or assumption -> the promise that breaks first without it, and in which scope."""
SECOND_LINES: dict[tuple[str, ...], tuple[Scope, str]] = {
    ("jump", "holder"): (ONE_PROXY, "S20: a controller appends"),
    ("jump", "above seen"): (LOSSES, "S22: an epoch is drawn"),
    ("floor on disk", "boot"): (COMMANDS, "S21: a command under an old epoch starts"),
    ("holder too", "batch"): (ONE_PROXY, "S20: a controller sends"),
}
"""Rules that are needed only where another one is missing."""


@pytest.mark.parametrize("scope", [COMMANDS, LOSSES, STATES], ids=["commands", "losses", "states"])
def test_all_promises_hold(scope: Scope) -> None:
    """Explores every reachable state, for runs of any length with any number of takings, and at most one loss."""
    model = Controllers(scope=scope)
    explored = explore(model)
    assert explored.broken is None, "\n".join(told(explored.way, model))
    assert explored.states > 250


def test_each_rule_and_assumption_has_a_counterexample() -> None:
    assert {*BREAKS, *(rule for rules in SECOND_LINES for rule in rules)} == {*RULES, *ASSUMED}


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_is_needed(rule: str) -> None:
    scope, promise = BREAKS[rule]
    breaks(Controllers(scope=scope, without=frozenset({rule})), promise)


@pytest.mark.parametrize("rules", SECOND_LINES, ids=lambda rules: " and ".join(rules))
def test_a_second_line_of_defence_is_needed(rules: tuple[str, ...]) -> None:
    scope, promise = SECOND_LINES[rules]
    breaks(Controllers(scope=scope, without=frozenset(rules), only=(promise,)), promise)


def breaks(model: Controllers, promise: str) -> None:
    explored = explore(model)
    story = told(explored.way, model)
    assert explored.broken is not None and explored.broken.startswith(promise), (explored.broken, story)
    assert len(story) == len(explored.way) <= 20


@pytest.mark.parametrize(
    ("rule", "promise"),
    [
        ("promotion", "S21: a command changes the plug"),
        ("promotion", "S1: fenced is recorded"),
        ("not after", "S1: fenced is recorded"),
    ],
)
def test_without_a_rule_the_worst_happens(rule: str, promise: str) -> None:
    """A rule that breaks another promise first also leads to overlapping commands, or to a host that is on and counts
    as fenced."""
    scope = LOSSES._replace(proxies=0) if rule == "promotion" else COMMANDS
    breaks(Controllers(scope=scope, without=frozenset({rule}), only=(promise,)), promise)


def test_floors_are_the_second_line_of_a_proxy_that_restarts() -> None:
    for rule in ("floor on disk", "boot"):
        assert explore(Controllers(scope=COMMANDS._replace(proxies=1), without=frozenset({rule}))).broken is None


@pytest.mark.parametrize("scope", [LOSSES, STATES, Scope()], ids=["losses", "states", "everything"])
def test_worlds_that_count_as_one_have_the_same_futures(scope: Scope) -> None:
    """Walks through worlds that nothing unified, and compares what may follow with what may follow their
    representative."""
    model, chance = Controllers(scope=scope), random.Random(1)
    for _ in range(8):
        world = model.first()
        for _ in range(30):
            following = [world for _, world in model.successors(world)]
            like = model.canonical(world)
            same = {model.canonical(it) for _, it in model.successors(like)}
            assert {model.canonical(it) for it in following} | {like} == same | {like}
            world = chance.choice(following)
