"""Planted bugs of the storm gate."""

from typing import Final

from tests.planted.bug import Bug, story

STORMS: Final = "tests/core/test_storms.py"
GATE: Final = "core/allowed/storm.py"
LIFE: Final = "core/storms.py"
SILENT_THROUGH: Final = (
    "test_hosts_that_fell_silent_with_an_outage_or_a_start_are_a_storm_when_their_release_grace_is_over"
)
MOVED: Final = "test_a_reload_that_renames_a_rack_or_moves_a_host_ends_no_storm_and_lets_go_of_none"


STORM_BUGS: Final = (
    Bug(
        name="right after a start a healthy host is switched off without force",
        rule="S10",
        file="core/operation/requests.py",
        old="    if was_living and work.sight.heard_at is None and not is_silent:\n",
        new="    if False:\n",
        killers=("tests/core/test_living.py::test_a_healthy_host_that_was_not_heard_yet_needs_force[Action.OFF]",),
    ),
    Bug(
        name="a host that a standby heard is suspected at the takeover, because its boot_grace is over",
        rule="S11",
        file="core/suspected/looking.py",
        old="    if work.fleet.is_heard(work.name, work.now):  # by a standby",
        new="    if False:  # by a standby",
        killers=("tests/simulation/test_simulation.py::test_seeds_that_found_a_fault_find_none",),
    ),
    Bug(
        name="a storm holds nobody",
        rule="S10",
        file="core/allowed/gates.py",
        old="        storm(fleet, name, now),\n        budget_for(fleet, name, now),\n",
        new="        budget_for(fleet, name, now),\n",
        killers=(story("a_switch_of_a_rack_dies"),),
    ),
    Bug(
        name="a storm that begins during a race does not hold the first OFF",
        rule="S10",
        file="core/allowed/gates.py",
        old="        storm(fleet, name, now),\n    )\n",
        new="    )\n",
        killers=(f"{STORMS}::test_the_gate_is_looked_at_again_before_the_first_off",),
    ),
    Bug(
        name="a storm counts suspects, not overdue hosts: the first one is shot",
        rule="S10",
        file=GATE,
        old="if fleet.is_overdue(name, now) and silent_since",
        new="if fleet.hosts[name].suspected_at is not None and silent_since",
        killers=(
            story("a_storm_and_a_host_elsewhere"),
            f"{STORMS}::test_the_first_of_three_to_pass_its_grace_is_held_and_the_other_rack_is_not",
        ),
    ),
    Bug(
        name="hosts in an operator's hands make a storm",
        rule="S10",
        file=GATE,
        old="fleet.by_domain.get(domain, ()) if is_monitored(fleet.hosts[name], now)]\n",
        new="fleet.by_domain.get(domain, ())]\n",
        killers=(f"{STORMS}::test_hosts_in_maintenance_or_switched_off_do_not_count",),
    ),
    Bug(
        name="hosts that fell silent days ago make a storm",
        rule="S10",
        file=GATE,
        old="    return now - silent_since(fleet, name, now) <= within\n",
        new="    return True\n",
        killers=(f"{STORMS}::test_those_that_fell_silent_long_ago_do_not_count",),
    ),
    Bug(
        name="the cooldown after a storm holds nobody",
        rule="S10",
        file=GATE,
        old="    if now < storm.end.cooldown_until:\n",
        new="    if False:\n",
        killers=(f"{STORMS}::test_it_ends_when_they_are_heard_and_the_domain_cools_down",),
    ),
    Bug(
        name="what a person released is a storm again",
        rule="S10",
        file=GATE,
        old='((excused, it.end.why != "over"),',
        new="((excused, False),",
        killers=(f"{STORMS}::test_a_release_lets_its_hosts_be_fenced_at_once_and_makes_no_second_storm",),
    ),
    Bug(
        name="what a person released once makes no storm ever again",
        rule="S10",
        file=GATE,
        old="silent_since(fleet, name, now) > excused.get(name, -math.inf)",
        new="name not in excused",
        killers=(f"{STORMS}::test_hosts_that_were_heard_after_a_release_may_make_a_new_storm",),
    ),
    Bug(
        name="a released host waits for release_grace",
        rule="S10",
        file="core/suspected/confirming.py",
        old='        was_releasing -= {"storm"}',
        new="        pass",
        killers=(story("a_person_releases_a_storm"),),
    ),
    Bug(
        name="a storm that reaches its longest time is like one that a person released",
        rule="S10",
        file=GATE,
        old='(released, it.end.why == "released")',
        new="(released, True)",
        killers=(f"{STORMS}::test_the_longest_time_of_a_storm",),
    ),
    Bug(
        name="a storm ends because some of its hosts were switched off",
        rule="S10",
        file=LIFE,
        old="    return state.name in named or not is_in_hand(state, now)\n",
        new="    return not is_in_hand(state, now)\n",
        killers=(f"{STORMS}::test_cutting_power_ends_no_storm_and_maintenance_does",),
    ),
    Bug(
        name="a restart ends a storm, because it heard nobody long enough yet",
        rule="S10",
        file=LIFE,
        old=" or fleet.sights[name].heard_at is None)",
        new=")",
        killers=(story("a_storm_outlives_a_restart"),),
    ),
    Bug(
        name="a storm ends in the quiet time, in which nobody was heard",
        rule="S10",
        file=LIFE,
        old="    if not of_daemon.warm_up(fleet, now).is_open:\n        return",
        new="    if False:\n        return",
        killers=(story("a_storm_outlives_a_restart"), f"{STORMS}::test_the_bus_that_is_away_ends_no_storm"),
    ),
    Bug(
        name="two of a domain are a storm although such failures are common",
        rule="S10",
        file=GATE,
        old="    if count < 2 or chance >= IMPROBABLE:\n",
        new="    if count < 2:\n",
        killers=(f"{STORMS}::test_improbable_numbers_are_a_storm_where_a_person_told_the_mtbf",),
    ),
    Bug(
        name="hosts that fell silent with an outage or a start are looked at too late to be a storm",
        rule="S10",
        file=GATE,
        old="    if name in found.together:\n",
        new="    if False:\n",
        killers=(f"{STORMS}::{SILENT_THROUGH}",),
    ),
    Bug(
        name="what the records say of a host that was healthy before the start is when it fell silent",
        rule="S10",
        file=GATE,
        old="    was_silent = state.state is not State.HEALTHY and (state.suspected_at or 0.0) < fleet.started\n",
        new="    was_silent = True\n",
        killers=(f"{STORMS}::test_hosts_that_were_heard_for_months_are_silent_since_the_start_and_no_earlier",),
    ),
    Bug(
        name="a reload that moves a host out of the rack takes it out of the storm",
        rule="S10",
        file=LIFE,
        old="(*fleet.by_domain.get((storm.domain, storm.value), ()), *began))",
        new="fleet.by_domain.get((storm.domain, storm.value), ()))",
        killers=(f"{STORMS}::{MOVED}",),
    ),
    Bug(
        name="a storm does not hold a host that a reload moved",
        rule="S10",
        file=GATE,
        old="    for known in naming(fleet, name, now):\n",
        new="    for known in ():\n",
        killers=(f"{STORMS}::{MOVED}",),
    ),
    Bug(
        name="a release of one rack's storm releases that of another shard, which has the same id",
        rule="S10",
        file=LIFE,
        old='f"s-{work.fleet.next_token()}-{digest}"',
        new='f"s-{work.fleet.next_token()}"',
        killers=(f"{STORMS}::test_storms_of_two_shards_have_ids_of_their_own_although_their_tokens_are_equal",),
    ),
)
