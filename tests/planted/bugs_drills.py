"""Planted bugs in drills: which host is cut and when, what comes before an announcement, what proves a success."""

from typing import Final

from tests.planted.bug import Bug, story

TESTS: Final = "tests/core/test_drills.py::"

DRILL_BUGS: Final = (
    Bug(
        name="any host may be drilled",
        rule="S10",
        file="core/operation/drills.py",
        old="    if not host.is_drill:\n",
        new="    if host.is_protected and not host.is_drill:\n",
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
        old="    return None if witness.is_open else ",
        new="    return None if witness.gate else ",
        killers=(
            story("a_drill_without_a_witness"),
            TESTS + "test_without_a_witness_its_silence_proves_nothing_and_power_is_given_back",
        ),
    ),
    Bug(
        name="a drill does not give way to a fence",
        rule="S15",
        file="core/operation/proving.py",
        old="    if operation.is_drilling and not operation.is_off_sent:",
        new="    if operation.is_drilling and operation.is_off_sent:",
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
        old="    _spare_who_was_cut(work)\n",
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
)
