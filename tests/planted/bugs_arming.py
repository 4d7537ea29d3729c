"""Planted bugs in the figures that say whether it is safe to arm, and in what arming does at once."""

from typing import Final

from tests.planted.bug import Bug

SUSPICIONS: Final = "tests/core/test_suspicions.py"
READINESS: Final = "tests/core/test_readiness.py"
PROGRAM: Final = "tests/api/test_readiness.py"

ARMING_BUGS: Final = (
    Bug(
        name="a host that is heard again in the same run had gone down",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="    return SuspicionEnd.REBOOTED if is_new_run else SuspicionEnd.HEARD",
        new="    return SuspicionEnd.REBOOTED",
        killers=(f"{SUSPICIONS}::test_a_host_that_is_heard_again_in_the_same_run_would_have_been_fenced_falsely",),
    ),
    Bug(
        name="a beat without a boot id shows a new boot",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="    is_new_run = record.boot is not None and before.boot is not None and record.boot != before.boot",
        new="    is_new_run = record.boot != before.boot",
        killers=(f"{SUSPICIONS}::test_a_beat_that_shows_no_new_boot_counts_as_the_same_run[None]",),
    ),
    Bug(
        name="maintenance hides that a silent host lived",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="    return record.boot == before.boot and last.end in",
        new="    return record.boot != before.boot and last.end in",
        killers=(f"{SUSPICIONS}::test_a_host_in_maintenance_that_is_heard_in_its_old_run_lived_all_the_time",),
    ),
    Bug(
        name="a would-be fence is forgotten when another gate closes later",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="    elif last.would_at is not None:",
        new="    elif last.would_at is not None and not others:",
        killers=(f"{SUSPICIONS}::test_a_gate_that_closes_later_changes_nothing",),
    ),
    Bug(
        name="a false fence is advice",
        rule="S10",
        file="core/readiness/values.py",
        old="Found.SILENT, Found.FALSE_FENCE, Found.RECORD,",
        new="Found.SILENT, Found.RECORD,",
        killers=(f"{READINESS}::test_a_finding_names_its_host_alone[_false-Found.FALSE_FENCE-Weight.BLOCKS]",),
    ),
    Bug(
        name="a cluster is ready although its last drill failed",
        rule="S10",
        file="core/readiness/values.py",
        old="Found.NOT_CHECKED, Found.DRILL_FAILED, Found.STORE,",
        new="Found.NOT_CHECKED, Found.STORE,",
        killers=(f"{READINESS}::test_a_failed_drill_hinders_until_another_one_succeeds",),
    ),
    Bug(
        name="arming names no silent host",
        rule="S10",
        file="core/readiness/of_host.py",
        old="        return {verdict.gate for verdict in state.held_by} <= ARMING",
        new="        return {verdict.gate for verdict in state.held_by} == ARMING",
        killers=(f"{READINESS}::test_a_silent_host_that_only_arming_holds_would_be_fenced_at_once",),
    ),
    Bug(
        name="arming passes over a suspect whose gates were not evaluated yet",
        rule="S10",
        file="core/readiness/of_host.py",
        old="        return {verdict.gate for verdict in state.held_by} <= ARMING",
        new="        return bool(state.held_by) and {verdict.gate for verdict in state.held_by} <= ARMING",
        killers=(f"{READINESS}::test_a_suspect_whose_gates_were_not_evaluated_yet_counts_as_fenced_at_once",),
    ),
    Bug(
        name="a cluster without a host is ready",
        rule="S12",
        file="core/readiness/values.py",
        old="        return self.figures.hosts > 0 and not is_hindered(self.findings)",
        new="        return not is_hindered(self.findings)",
        killers=(f"{READINESS}::test_a_cluster_without_a_host_is_not_ready",),
    ),
    Bug(
        name="time in which the daemon was deaf is observed",
        rule="S11",
        file="core/listening.py",
        old="    return max(fleet.own.ear.now(now) - fleet.own.listening_recorded, 0.0)",
        new="    return max(now - fleet.started - fleet.own.listening_recorded, 0.0)",
        killers=(f"{SUSPICIONS}::test_only_time_in_which_the_daemon_listens_is_observed",),
    ),
    Bug(
        name="a reload that makes silent hosts automatic does not name them",
        rule="S10",
        file="core/readiness/of_host.py",
        old="        and not (was_armed and fleet.host(name).settings.automatic)",
        new="        and not was_armed",
        killers=(f"{READINESS}::test_a_reload_that_makes_a_silent_host_automatic_says_that_it_may_be_fenced",),
    ),
    Bug(
        name="fencectl arm keeps the silent hosts to itself",
        rule="S10",
        file="cli/fencectl/arming.py",
        old='    if at_once["count"]:',
        new='    if not at_once["count"]:',
        killers=(f"{PROGRAM}::test_arm_without_a_terminal_says_what_is_fenced_at_once_and_arms",),
    ),
    Bug(
        name="a false fence is forgotten once its host left the inventory for a moment",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="SuspicionEnd.OFF, SuspicionEnd.REMOVED})",
        new="SuspicionEnd.OFF})",
        killers=(f"{SUSPICIONS}::test_a_host_that_left_the_inventory_and_came_back_in_its_old_run_lived_all_the_time",),
    ),
    Bug(
        name="later suspicions push a false fence out of the history",
        rule="S10",
        file="core/durable/evolve_suspicions.py",
        old="sorted(recent, key=_is_false)[",
        new="list(recent)[",
        killers=(f"{READINESS}::test_later_suspicions_that_other_gates_held_hide_no_false_fence",),
    ),
    Bug(
        name="maintenance hides a false fence",
        rule="S10",
        file="core/readiness/of_host.py",
        old="        findings += (finding for finding in past if finding.found is Found.FALSE_FENCE)\n",
        new="",
        killers=(f"{READINESS}::test_maintenance_hides_no_false_fence",),
    ),
)
