"""Whenever the daemon dies, the story ends the same. Each run takes a share of the points; `make soak` takes all."""

import os
from pathlib import Path

import pytest

from tests.golden.story import read
from tests.simulation.play import silence_logs
from tests.simulation.sweep import cases, difference, played

STORIES = Path(__file__).parent.parent / "golden" / "stories"
SWEPT = (
    "already_off",
    "a_drill",
    "a_bmc_of_another_machine",
    "a_bmc_that_dies_with_its_outlets",
    "both_pdus_off_in_parallel",
    "every_level_fails_and_power_is_given_back",
    "one_pdu_fails_and_level_2_takes_over",
    "operator_turns_a_restart_into_off",
    "operators_off_is_not_undone",
    "outlets_off_while_the_chassis_reads_on",
    "power_comes_back_in_parts",
    "a_proxy_dies_after_it_sent",
    "a_proxy_restarts_before_the_command",
    "revoked_long_after",
    "silence_then_fence",
    "the_answer_of_an_off_is_lost",
)
ONE_IN = int(os.environ.get("FENCED_SWEEP_ONE_IN", "9"))
"""Of the points of a story, so many in CI; a prime to their kinds and pauses, so that all of those come up."""
POINTS_MAX = 8
"""So many of one story in CI: one that goes on and on has the same deaths again and again."""


@pytest.mark.parametrize("name", SWEPT)
def test_a_death_changes_nothing(name: str) -> None:
    silence_logs()
    story = read(STORIES / f"{name}.txt")
    expected, counts = played(story, None)
    points = [*cases(counts)]
    step = ONE_IN if ONE_IN == 1 else max(ONE_IN, len(points) // POINTS_MAX | 1)  # odd: both pauses come up
    for number, case in enumerate(points):
        if number % step == len(name) % step:
            try:
                wrong = difference(expected, played(story, case, expected)[0])
            except AssertionError as exc:
                wrong = [str(exc)]
            assert not wrong, f"{name}, {case}:\n" + "\n".join(wrong)
