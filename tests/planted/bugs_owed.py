"""Planted bugs in debts, in what operators forbade, and in early warnings."""

from typing import Final

from tests.planted.bug import Bug, story

OWED: Final = "tests/core/test_owed.py::"
NOT_BEGUN: Final = "tests/core/test_not_begun.py::"
CLOSED: Final = "tests/core/test_closed_gates.py::"
BOOTS: Final = "tests/core/test_boots_after_a_cancel.py::"

OWED_BUGS: Final = (
    Bug(
        name="the gate of a large cluster is not looked at while it is open",
        rule="S10",
        file="core/closed_gates.py",
        old="        if is_small or is_known or int(now / ROUND_SECONDS) % ROUNDS == number % ROUNDS:\n",
        new="        if is_small or is_known:\n",
        killers=(CLOSED + "test_a_large_cluster_is_counted_within_a_minute_and_each_time_while_its_gate_is_closed",),
    ),
    Bug(
        name="the gate of a large cluster opens between two looks because it is not looked at",
        rule="S10",
        file="core/closed_gates.py",
        old='("connectivity", cluster) in known\n',
        new="False\n",
        killers=(CLOSED + "test_a_large_cluster_is_counted_within_a_minute_and_each_time_while_its_gate_is_closed",),
    ),
    Bug(
        name="a host that is heard again is not given what it is owed",
        rule="S9",
        file="core/suspected/giving_back.py",
        old="    if not state.owed or state.operation is not None",
        new="    if state.owed or state.operation is not None",
        killers=(
            OWED + "test_a_host_that_is_heard_again_gets_what_it_is_owed",
            story("a_failed_host_is_heard_again"),
        ),
    ),
    Bug(
        name="what is owed is not looked at while the host runs",
        rule="S9",
        file="core/suspected/looking.py",
        old="    if work.operation is None and not is_watched_as_off(work.state) and "
        "not is_watched_asleep(work.state):\n",
        new="    if work.operation is not None:\n",
        killers=(OWED + "test_a_device_that_is_owed_is_looked_at_until_it_is_on",),
    ),
    Bug(
        name="left_off names what reads on",
        rule="S9",
        file="core/durable/evolve_owed.py",
        old="    after = seen_on(state, state.operation) if state.operation is not None else state\n",
        new="    after = state\n",
        killers=(OWED + "test_the_last_attempt_names_only_what_is_off",),
    ),
    Bug(
        name="what an operation read on stays owed",
        rule="S9",
        file="core/durable/evolve_owed.py",
        old="    after = seen_on(state, operation)\n",
        new="    after = state\n",
        killers=(OWED + "test_what_is_owed_is_what_does_not_read_on",),
    ),
    Bug(
        name="a cancel just after fenced is not announced as left off",
        rule="S9",
        file="core/operation/closing.py",
        old="        is_left = operation.action is not Action.OFF and not",
        new="        is_left = False and not",
        killers=(OWED + "test_a_cancel_just_after_fenced_is_announced_as_left_off",),
    ),
    Bug(
        name="a host that is given power is never suspected",
        rule="S9",
        file="core/suspected/looking.py",
        old='    stop(work, "the host fell silent")\n',
        new="",
        killers=(OWED + "test_a_host_that_falls_silent_while_it_is_given_power_is_still_fenced",),
    ),
    Bug(
        name="an off of an earlier operation spares the hold of already off",
        rule="S10",
        file="core/operation/proof.py",
        old="    if run.is_switched_off:\n        return True\n",
        new="    if run.is_switched_off or run.device in work.state.owed:\n        return True\n",
        killers=(OWED + "test_an_off_of_an_earlier_operation_does_not_spare_the_hold_of_already_off",),
    ),
    Bug(
        name="what people keep off is given back once the host is heard",
        rule="S19",
        file="core/suspected/giving_back.py",
        old="if set(state.owed) <= set(state.withheld) else None",
        new="if not state.owed else None",
        killers=(
            OWED + "test_what_a_person_forbade_stays_forbidden_when_the_host_is_heard",
            OWED + "test_what_a_person_switched_off_is_announced_and_not_switched_on",
        ),
    ),
    Bug(
        name="an on that waits for its turn is not taken back",
        rule="S19",
        file="engine/effects.py",
        old="            if is_its and command not in self._begun:\n",
        new="            if is_its and command in self._begun and False:\n",
        killers=("tests/engine/test_dropped_ons.py::test_what_waits_is_taken_back_and_what_has_begun_goes_on",),
    ),
    Bug(
        name="an on that has begun is taken back as if it had not",
        rule="S6",
        file="engine/effects.py",
        old="            if is_its and command not in self._begun:\n",
        new="            if is_its:\n",
        killers=("tests/engine/test_dropped_ons.py::test_what_waits_is_taken_back_and_what_has_begun_goes_on",),
    ),
    Bug(
        name="a request that waits gives power in spite of maintenance",
        rule="S19",
        file="core/operation/requests.py",
        old="    if waiting is not None and waiting.action is not Action.OFF:",
        new="    if waiting is not None and waiting.action is Action.OFF:",
        killers=(NOT_BEGUN + "test_a_request_that_waits_ends_with_what_forbids_it",),
    ),
    Bug(
        name="an on that still races is sent after disarm",
        rule="S19",
        file="core/operation/restoring.py",
        old="    if shut and operation.action is Action.ON:",
        new="    if shut and operation.action is Action.OFF:",
        killers=(NOT_BEGUN + "test_an_on_that_has_not_begun_is_taken_back_with_what_forbade_it",),
    ),
    Bug(
        name="what people do to hosts that are cut off opens connectivity",
        rule="S10",
        file="core/durable/standing.py",
        old="        return now >= state.in_hand_from",
        new="        return True",
        killers=(
            CLOSED + "test_what_people_do_to_hosts_that_are_cut_off_does_not_open_the_gate_for_the_rest[Action.OFF]",
        ),
    ),
    Bug(
        name="hosts that people switched off count as overdue and as not recovered",
        rule="S10",
        file="core/durable/standing.py",
        old="    if state.is_off_by_person:\n        return now >= state.in_hand_from\n",
        new="",
        killers=(CLOSED + "test_hosts_that_people_switched_off_close_nothing",),
    ),
    Bug(
        name="hosts that we fenced do not count",
        rule="S10",
        file="core/durable/evolve_owed.py",
        old="    is_by_person = record.cause is Cause.REQUEST and (",
        new="    is_by_person = (",
        killers=(CLOSED + "test_a_host_that_we_fenced_in_maintenance_counts_once_that_is_over",),
    ),
    Bug(
        name="a gate that is closed for long is not announced",
        rule="S10",
        file="core/closed_gates.py",
        old="        if now >= since[key] + LONG_SECONDS:\n",
        new="        if now >= since[key] + 24 * LONG_SECONDS:\n",
        killers=(CLOSED + "test_a_disarmed_daemon_is_announced_too",),
    ),
    Bug(
        name="a host that boots after a cancelled fence is shot again",
        rule="S10",
        file="core/operation/closing.py",
        old="    _let_boot(work, operation)\n",
        new="",
        killers=(
            BOOTS + "test_it_is_not_suspected_within_its_boot_grace[b1]",
            story("a_host_boots_after_a_cancelled_fence"),
        ),
    ),
    Bug(
        name="a late beat of the cut run ends the boot grace of a suspect",
        rule="S10",
        file="core/suspected/hearing.py",
        old="    if before is State.SUSPECT and work.now < release and _may_be_cut_run(",
        new="    if False and _may_be_cut_run(",
        killers=(BOOTS + "test_nor_does_it_end_that_of_a_suspect[b1]",),
    ),
    Bug(
        name="a host that never lost its power boots for ever",
        rule="S14",
        file="core/suspected/silence.py",
        old="    until = 0.0 if _has_booted(fleet, name) else fleet.hosts[name].release_until\n",
        new="    until = fleet.hosts[name].release_until\n",
        killers=(BOOTS + "test_a_beat_of_the_old_run_that_can_not_be_older_than_its_power_ends_the_grace",),
    ),
    Bug(
        name="an on joins a restore that was stopped",
        rule="S19",
        file="core/operation/requests.py",
        old="        if asked.action is Action.ON and running.phase is not Phase.CLOSING:\n",
        new="        if asked.action is Action.ON:\n",
        killers=(
            "tests/core/test_second_requests.py::test_an_on_after_a_restore_was_stopped_waits_and_gives_power_back",
        ),
    ),
)
