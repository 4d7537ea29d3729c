"""Planted bugs in drills: which host is cut and when, what comes before an announcement, what proves a success."""

from typing import Final

from tests.planted.bug import Bug, story

TESTS: Final = "tests/core/test_drills.py::"
MISLED: Final = "tests/core/test_drills_misled.py::"

DRILL_BUGS: Final = (
    Bug(
        name="any host may be drilled",
        rule="S10",
        file="core/operation/drillable.py",
        old="    if not work.host.is_drill:\n",
        new="    if work.host.is_protected and not work.host.is_drill:\n",
        killers=(
            story("a_drill_gives_way"),
            "tests/core/test_drills_refused.py::test_only_a_host_for_drills_is_drilled_and_the_refusal_says_what_to_write",
        ),
    ),
    Bug(
        name="a drilled host is announced although it beats",
        rule="S1",
        file="core/operation/proving.py",
        old="    why = silencing.why_not_silent(work, operation)\n    if why is None:",
        new="    why = silencing.why_not_silent(work, operation)\n    if why is not None:",
        killers=(
            story("a_drill_shoots_another_machine"),
            TESTS + "test_it_is_not_announced_before_it_was_silent_for_its_grace",
        ),
    ),
    Bug(
        name="a beat of a drilled host without power does not fail the drill",
        rule="S17",
        file="core/suspected/drilled.py",
        old="    if until is None or health.reached <= until:",
        new="    if until is None or health.reached <= until + 3600.0:",
        killers=(
            story("a_drill_shoots_another_machine"),
            TESTS + "test_a_host_that_goes_on_beating_is_never_announced_and_power_is_given_back_at_once",
        ),
    ),
    Bug(
        name="silence without a witness proves a drill",
        rule="S11",
        file="core/operation/silencing.py",
        old="    shut = gates.closed((of_many.witness(fleet, name, now), of_many.connectivity(",
        new="    shut = gates.closed((of_many.connectivity(",
        killers=(
            story("a_drill_without_a_witness"),
            TESTS + "test_without_a_witness_its_silence_proves_nothing_and_power_is_given_back",
        ),
    ),
    Bug(
        name="a drill does not give way to a fence",
        rule="S15",
        file="core/allowed/gates.py",
        old="        if _needs_a_fence(state) and state.since >= since:",
        new="        if _needs_a_fence(state) and state.since >= since and False:",
        killers=(
            story("a_drill_gives_way"),
            TESTS + "test_it_gives_way_before_its_first_off_to_a_host_that_becomes_suspect[False]",
        ),
    ),
    Bug(
        name="a host that comes back without a new boot id passes the drill",
        rule="S17",
        file="core/operation/drills.py",
        old="    return drill.heard_boot is not None and drill.heard_boot != drill.boot\n",
        new="    return drill.heard_boot is not None or drill.heard_boot != drill.boot\n",
        killers=(TESTS + "test_a_host_heard_again_with_its_old_boot_id_fails_it",),
    ),
    Bug(
        name="an announcement that nobody got passes the drill",
        rule="S3",
        file="core/operation/drills.py",
        old="    if drill.announced_at is None:\n",
        new="    if drill.announced_at is None and drill.on_at is None:\n",
        killers=(TESTS + "test_an_announcement_that_is_not_acknowledged_fails_it",),
    ),
    Bug(
        name="the devices that cut another machine in a drill stay trusted",
        rule="S17",
        file="core/suspected/drilled.py",
        old="    if drill is None or not drill.unproven or",
        new="    if drill is None or drill.unproven or",
        killers=(
            story("a_drill_shoots_another_machine"),
            TESTS + "test_its_devices_are_distrusted_once_its_run_is_heard_later_than_a_late_message",
        ),
    ),
    Bug(
        name="the host that a drill cut by mistake is fenced at once",
        rule="S10",
        file="core/suspected/drilled.py",
        old="    spare_who_was_cut(work)\n",
        new="",
        killers=(
            story("a_drill_shoots_another_machine"),
            TESTS + "test_hosts_that_fell_silent_meanwhile_get_release_grace",
        ),
    ),
    Bug(
        name="a drill that failed keeps the power",
        rule="S9",
        file="core/operation/phases.py",
        old="    if operation.is_drilling:\n        stop(",
        new="    if operation.is_drilling and operation.is_fenced:\n        stop(",
        killers=(TESTS + "test_a_device_that_does_not_go_off_fails_it_and_the_others_are_given_back",),
    ),
    Bug(
        name="a drill that another request took over goes on as a drill",
        rule="S4",
        file="core/durable/operation_state.py",
        old="        return self.is_drill and not self.joined\n",
        new="        return self.is_drill\n",
        killers=(TESTS + "test_another_request_takes_it_over_and_needs_no_silence",),
    ),
    Bug(
        name="a request without force joins the drill of a host that beats",
        rule="S1",
        file="core/operation/requests.py",
        old="    if running is None or running.is_drilling:\n",
        new="    if running is None:\n",
        killers=(MISLED + "test_a_request_without_force_does_not_join_the_drill_of_a_host_that_beats[Action.OFF]",),
    ),
    Bug(
        name="two hosts are drilled at once, by force",
        rule="S10",
        file="core/allowed/gates.py",
        old="        if state.drill is not None:\n",
        new="        if state.drill is not None and state.since >= since:\n",
        killers=(MISLED + "test_no_two_hosts_are_drilled_at_once_not_even_by_force",),
    ),
    Bug(
        name="a drill cuts a host that got work meanwhile",
        rule="S10",
        file="core/operation/proving.py",
        old="(why := drillable.why_not(work, operation)) is not None:",
        new="(why := drillable.why_not(work, operation)) == '':",
        killers=(
            MISLED + "test_what_refuses_a_drill_also_stops_it_before_its_first_off[workloads]",
            MISLED + "test_a_host_that_fell_silent_before_the_first_off_is_not_cut_by_a_drill",
        ),
    ),
    Bug(
        name="a host that stops by itself passes as silenced by the drill",
        rule="S1",
        file="core/suspected/drilled.py",
        old="    if health.status is HealthStatus.STOPPING:\n",
        new="    if health.status is HealthStatus.STOPPING and not operation.is_off_sent:\n",
        killers=(MISLED + "test_a_host_that_says_that_it_stops_was_not_silenced_by_the_off",),
    ),
    Bug(
        name="after a restart a drilled host counts as silent before its beat is due",
        rule="S11",
        file="core/operation/silencing.py",
        old="    slowest = SLOWEST_INTERVALS * ",
        new="    slowest = ",
        killers=(MISLED + "test_a_slow_host_is_not_silent_before_its_beat_is_due_after_our_restart",),
    ),
    Bug(
        name="a drilled host is announced while others fell silent with it",
        rule="S1",
        file="core/operation/silencing.py",
        old="    other = next(_silent_since(work, operation), None)\n",
        new="    other = None\n",
        killers=(
            MISLED + "test_another_host_that_falls_silent_with_it_fails_the_drill_and_gets_release_grace",
            MISLED + "test_a_host_that_is_not_heard_since_our_restart_may_have_been_cut_too",
        ),
    ),
    Bug(
        name="the watch announces a host that nobody listened to",
        rule="S11",
        file="core/suspected/watch.py",
        old="    is_alive = not is_silent(work) or ",
        new="    is_alive = work.fleet.is_heard(work.name, work.now) or ",
        killers=(MISLED + "test_the_watch_announces_no_drilled_host_while_we_are_deaf",),
    ),
)
