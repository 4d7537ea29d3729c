"""Planted bugs in what several reporters of one host mean."""

from typing import Final

from tests.planted.bug import Bug, story

REPORTERS: Final = "tests/core/test_reporters.py"
HEARD: Final = "core/heard/reporters.py"

REPORTER_BUGS: Final = (
    Bug(
        name="a slow reporter's interval hides a fast one's silence",
        rule="S14",
        file=HEARD,
        old='        SET["interval_seconds"](sight, min(_interval(it, default) for it in live))',
        new='        SET["interval_seconds"](sight, max(_interval(it, default) for it in live))',
        killers=(f"{REPORTERS}::test_a_slow_reporter_does_not_stretch_the_grace_of_a_fast_one",),
    ),
    Bug(
        name="a dead agent's interval is the measure for ever",
        rule="S10",
        file=HEARD,
        old="        live = [it for it in several if ear - it.ear <= OVERDUE_INTERVALS * _interval(it, default)]",
        new="        live = list(several)",
        killers=(f"{REPORTERS}::test_a_host_whose_fast_reporter_died_is_not_fenced",),
    ),
    Bug(
        name="nobody waits for the slow reporter's next beat",
        rule="S10",
        file="core/allowed/of_life.py",
        old="        if promise.left >= 0.0:\n            why",
        new="        if promise.left >= 1e9:\n            why",
        killers=(
            f"{REPORTERS}::test_while_the_slow_one_is_not_late_the_suspect_is_held_and_told_why",
            story("a_slow_reporter_beside_a_fast_one"),
        ),
    ),
    Bug(
        name="a reporter that promises nothing soon is waited for",
        rule="S14",
        file=HEARD,
        old="        left = min(OVERDUE_INTERVALS * named, most) - ago",
        new="        left = OVERDUE_INTERVALS * named - ago",
        killers=(
            f"{REPORTERS}::test_a_reporter_that_promises_nothing_soon_is_waited_for_no_longer_than_it_alone_would_be",
        ),
    ),
    Bug(
        name="another reporter's old word brings back a host that goes down",
        rule="S10",
        file="core/suspected/hearing.py",
        old="    if state.state is State.LEFT and _is_before_it_stopped(work, health):\n",
        new="    if False and _is_before_it_stopped(work, health):\n",
        killers=(
            f"{REPORTERS}::test_one_reporter_says_stopping_and_another_one_has_not_noticed[False]",
            story("a_host_that_says_stopping_to_one_of_two_reporters"),
        ),
    ),
    Bug(
        name="a refused batch forgets a reporter",
        rule="S11",
        file="core/heard/sight.py",
        old='     "reporters"}',
        new="     }",
        killers=(f"{REPORTERS}::test_a_refused_batch_forgets_no_reporter",),
    ),
)
