"""Planted bugs in comparing several paths to a device, and in counting the watch's rounds."""

from typing import Final

from tests.planted.bug import Bug, story

PATH_BUGS: Final = (
    Bug(
        name="the on of a race's loser is thrown away",
        rule="S2",
        file="core/durable/evolve_run.py",
        old="        if entry.power is not None:\n",
        new="        if entry.power is not None and entry.verdict is Verdict.WON:\n",
        killers=(story("two_paths_lead_to_two_units"), story("two_paths_that_both_read_on")),
    ),
    Bug(
        name="an off counts although another path to the device reads on",
        rule="S2",
        file="core/operation/proof.py",
        old="    if not run.is_stably_off(work.host):\n",
        new='    if run.power.value != "off" or not run.same_reads:\n',
        killers=(
            "tests/core/test_paths.py::test_a_path_that_read_on_beside_an_off_and_died_is_not_forgotten",
            "tests/core/test_paths.py::test_a_restart_of_the_daemon_forgets_no_path_that_read_on",
        ),
    ),
    Bug(
        name="a restart forgets who read on before our off",
        rule="S2",
        file="core/durable/evolve_run.py",
        old="        words=run.unsettled,\n",
        new="        words=run.lit,\n",
        killers=(
            "tests/core/test_paths.py::test_after_a_restart_of_the_daemon_paths_that_read_on_before_its_off_are_read_again",
        ),
    ),
    Bug(
        name="paths that disagreed are forgotten with their operation",
        rule="S2",
        file="core/operation/steps.py",
        old="excluded=candidates.excluded, disputed=disputed)",
        new="excluded=candidates.excluded)",
        killers=(
            "tests/core/test_paths.py::test_a_path_that_read_on_beside_an_off_and_died_is_not_forgotten",
            story("two_paths_lead_to_two_units"),
        ),
    ),
    Bug(
        name="an on that did nothing proves off again beside a path that read on",
        rule="S2",
        file="core/operation/proof.py",
        old="    return run.is_stably_off(work.host) and not paths.disputed(work, run.device)",
        new="    return run.is_stably_off(work.host)",
        killers=(
            "tests/core/test_paths.py::test_an_on_that_did_nothing_proves_nothing_while_paths_of_before_disagree",
        ),
    ),
    Bug(
        name="what a probe read in the moment that it was cancelled is lost",
        rule="S2",
        file="engine/race.py",
        old="        if task.exception() is None or isinstance(task.exception(), WrongMachine):\n",
        new="        if isinstance(task.exception(), WrongMachine):\n",
        killers=("tests/engine/test_race.py::test_an_on_that_came_as_its_probe_was_cancelled_is_kept",),
    ),
    Bug(
        name="a chassis whose proxy died is taken for mute",
        rule="S1",
        file="core/durable/evolve_run.py",
        old="is_inspected=run.is_inspected or not has_failed)",
        new="is_inspected=True, words=())",
        killers=(
            "tests/core/test_paths.py::test_a_chassis_whose_proxy_died_is_read_by_the_remaining_proxies",
            "tests/core/test_paths.py::test_a_chassis_that_read_on_is_not_mute_because_no_proxy_can_ask_it",
        ),
    ),
    Bug(
        name="the watch takes the winner's word alone",
        rule="S17",
        file="core/suspected/watch.py",
        old="        if now_lit:\n            lit.add(device)\n",
        new="",
        killers=(
            "tests/core/test_watch_rounds.py::test_a_path_that_reads_on_revokes_even_if_another_path_won[Power.OFF]",
        ),
    ),
    Bug(
        name="two rounds of the watch that overlap are two readings",
        rule="S1",
        file="core/suspected/watch.py",
        old="    if started < rounds.until:\n",
        new="    if started < rounds.since:\n",
        killers=(
            "tests/core/test_watch_rounds.py::test_a_round_that_began_before_the_last_one_had_ended_is_the_same_reading",
        ),
    ),
    Bug(
        name="the watch asks for fewer rounds than an operation for readings",
        rule="S1",
        file="core/suspected/watch.py",
        old="    count = max(OFF_ROUNDS, *(power.stable_reads for power in wanted))\n",
        new="    count = OFF_ROUNDS\n",
        killers=("tests/core/test_watch_rounds.py::test_as_many_rounds_as_stable_reads_asks_for",),
    ),
)
