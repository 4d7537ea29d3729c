"""Bugs of power saving found by trying it: what is forgotten, who is counted on, and wakes that get no power."""

from typing import Final

from tests.planted.bug import Bug, story

BACK: Final = "tests/core/test_saving_comes_back.py"
CRASH: Final = "tests/core/test_saving_crash.py"
LATE: Final = "tests/core/test_saving_late.py"
PATHS: Final = "tests/core/test_saving_paths.py"
COUNTS, FIT, POLICY = "core/idle/counts.py", "core/idle/fit.py", "core/saving/policy.py"
SLEEPING, SLEEPERS = "core/operation/sleeping.py", "core/suspected/sleepers.py"
EVOLVE, CLOSING = "core/durable/evolve_sleep.py", "core/operation/closing.py"

SLEEPER_BUGS: Final = (
    Bug(
        name="work that ended as the host shut down is forgotten",
        rule="S24",
        file=SLEEPING,
        old="    if soft_off is not None and soft_off.has_work:\n",
        new="    if soft_off is not None and work.sight.workloads:\n",
        killers=(
            f"{CRASH}::test_work_that_ends_as_the_host_shuts_down_is_not_forgotten",
            f"{CRASH}::test_work_that_was_heard_after_the_command_is_not_forgotten_in_a_crash",
        ),
    ),
    Bug(
        name="work after the command is not noted",
        rule="S24",
        file=SLEEPERS,
        old="        work.record(r.WorkHeard(workloads=health.workloads))\n",
        new="        pass\n",
        killers=(
            f"{CRASH}::test_work_that_was_heard_after_the_command_is_not_forgotten_in_a_crash",
            story("saving_announces_work_that_was_cut"),
        ),
    ),
    Bug(
        name="a host that goes down late with work sleeps",
        rule="S24",
        file=SLEEPERS,
        old="    elif soft_off.has_work:\n",
        new="    elif False:\n",
        killers=(f"{LATE}::test_work_that_is_lost_late_is_announced_as_fenced_and_power_is_given_back",),
    ),
    Bug(
        name="a beat after the off is no sign of life",
        rule="S24",
        file=SLEEPING,
        old="        (run.read_at or 0.0) > heard_at + late for run in runs\n",
        new="        (run.read_at or 0.0) > heard_at for run in runs\n",
        killers=(f"{CRASH}::test_a_late_beat_after_the_off_was_read_still_lets_it_sleep",),
    ),
    Bug(
        name="a late beat keeps a host that is off from its sleep",
        rule="S24",
        file=SLEEPING,
        old="    return heard_at <= min(run.same_since for run in runs) or all(\n",
        new="    return heard_at <= min(run.same_since for run in runs) or not all(\n",
        killers=(f"{CRASH}::test_a_late_beat_after_the_off_was_read_still_lets_it_sleep",),
    ),
    Bug(
        name="a chassis that reads off beside its living host is believed",
        rule="S17",
        file=SLEEPING,
        old="        _doubt(work, runs)\n",
        new="",
        killers=(
            f"{CRASH}::test_a_host_that_is_heard_while_its_chassis_reads_off_is_no_sleeper_and_its_chassis_is_believed_no_more",
            story("saving_distrusts_a_bmc_that_lies"),
        ),
    ),
    Bug(
        name="a host that may still go down is a reserve",
        rule="S24",
        file=COUNTS,
        old="    return is_going(state) or state.saving.soft_off is not None\n",
        new="    return is_going(state)\n",
        killers=(f"{CRASH}::test_nobody_counts_on_a_host_that_was_asked_to_shut_down",),
    ),
    Bug(
        name="a host that did not come back lets others sleep",
        rule="S24",
        file=COUNTS,
        old="    return state.state in TROUBLE or bool(state.held_by)\n",
        new="    return not state.is_asleep and (state.state in TROUBLE or bool(state.held_by))\n",
        killers=(f"{BACK}::test_a_sleeper_that_does_not_come_is_held_by_woken_and_the_next_is_woken",),
    ),
    Bug(
        name="a lost host takes nothing from the reserve",
        rule="S24",
        file=FIT,
        old="    needed = settings.reserve + len(count.lost)\n",
        new="    needed = settings.reserve\n",
        killers=(f"{BACK}::test_a_lost_host_keeps_one_more_awake",),
    ),
    Bug(
        name="two clusters put the proxies of one device to sleep",
        rule="S24",
        file=FIT,
        old="    leaving = {name, *counts.leaving(fleet)}\n",
        new="    leaving = {name}\n",
        killers=(f"{PATHS}::test_who_is_on_the_way_to_sleep_in_another_cluster_is_no_candidate",),
    ),
    Bug(
        name="a device is left with one proxy",
        rule="S24",
        file=FIT,
        old="CANDIDATES_KEPT: Final = 2\n",
        new="CANDIDATES_KEPT: Final = 1\n",
        killers=(f"{PATHS}::test_every_device_keeps_two_candidates",),
    ),
    Bug(
        name="a failure domain loses its observer",
        rule="S24",
        file=FIT,
        old="        if not any(_stays_awake(fleet, it, leaving) for it in beside):\n",
        new="        if False:\n",
        killers=(f"{PATHS}::test_every_domain_keeps_an_observer",),
    ),
    Bug(
        name="a wake that gave no power is begun again and again",
        rule="S24",
        file=CLOSING,
        old="    _tell_failed_wake(work, operation, record)\n",
        new="",
        killers=(
            f"{BACK}::test_a_sleeper_that_gets_no_power_sleeps_on_and_others_are_woken_first",
            f"{BACK}::test_a_person_that_cancels_a_wake_is_obeyed",
        ),
    ),
    Bug(
        name="maintenance forgets that a sleeper was wanted",
        rule="S24",
        file=CLOSING,
        old="    if is_unlit and work.state.maintenance is None:\n",
        new="    if is_unlit:\n",
        killers=(f"{BACK}::test_maintenance_while_it_is_woken_stops_the_on_and_it_sleeps_on",),
    ),
    Bug(
        name="a host that went down in maintenance is nobody's",
        rule="S24",
        file=EVOLVE,
        old="_MAY_FALL_ASLEEP: Final = frozenset({State.HEALTHY, State.LEFT, State.MAINTENANCE, State.UNKNOWN})",
        new="_MAY_FALL_ASLEEP: Final = frozenset({State.HEALTHY, State.LEFT})",
        killers=(f"{CRASH}::test_maintenance_pause_and_disarm_after_the_command_end_nothing",),
    ),
    Bug(
        name="a wake does not wait for a host on its way down",
        rule="S24",
        file=POLICY,
        old="    return sorted(asleep, key=lambda name: _by_proof(fleet, name)) + going\n",
        new="    return sorted(asleep, key=lambda name: _by_proof(fleet, name))\n",
        killers=(f"{BACK}::test_a_wake_that_finds_only_a_host_on_its_way_down_waits_until_it_is_off",),
    ),
    Bug(
        name="an on of an earlier fence proves what a person switched on",
        rule="S24",
        file=EVOLVE,
        old="soft_off=None, is_switched_on=False)\n        case r.HostRestored()",
        new="soft_off=None)\n        case r.HostRestored()",
        killers=(f"{CRASH}::test_an_on_of_an_earlier_fence_proves_nothing_of_a_host_that_a_person_started",),
    ),
    Bug(
        name="a daemon that does not listen lacks reserves",
        rule="S24",
        file=POLICY,
        old="    if gates.closed((of_daemon.warm_up(fleet, now),)):\n        return  # it does not hear",
        new="    if False:\n        return  # it does not hear",
        killers=(f"{CRASH}::test_a_deaf_daemon_wakes_no_reserve",),
    ),
)
