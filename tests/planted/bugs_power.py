"""Planted bugs in the power plan: what proves OFF, what is sent when, giving power back, and ends of operations."""

from typing import Final

from tests.planted.bug import Bug, story

POWER_BUGS: Final = (
    Bug(
        name="unknown is taken as off",
        rule="S2",
        file="core/durable/evolve_run.py",
        old='    power = Power(record.outcome.value) if record.outcome.value in {"on", "off"} else Power.UNKNOWN',
        new='    power = Power.ON if record.outcome.value == "on" else Power.OFF',
        killers=(
            story("a_bmc_that_has_just_started"),
            "tests/core/test_plan.py::test_unknown_is_not_off",
        ),
    ),
    Bug(
        name="a failed command is taken as not done",
        rule="S2",
        file="core/durable/evolve_run.py",
        old="            return replace(run, is_switched_off=True, off_attempts=run.off_attempts + 1, same_reads=0)",
        new="            return replace(run, off_attempts=run.off_attempts + 1, same_reads=0)",
        killers=(
            story("life_after_a_device_read_off"),
            "tests/core/test_restore.py::test_life_while_no_device_has_read_off_ends_it_and_power_is_given_back",
        ),
    ),
    Bug(
        name="a command that was done counts as a reading",
        rule="S2",
        file="core/durable/evolve_run.py",
        old="command_outcome=record.outcome, power=Power.UNKNOWN, same_reads=0)",
        new="command_outcome=record.outcome, power=Power(step.what.value), same_reads=2)",
        killers=(
            story("a_bmc_of_another_machine"),
            "tests/core/test_plan.py::test_unknown_is_not_off",
        ),
        seeds=(1, 2, 3),
    ),
    Bug(
        name="an unreadable device is off for the host's power",
        rule="S2",
        file="core/durable/outcome.py",
        old="        if all(run.says is Power.OFF for run in runs if run.level == level):",
        new="        if all(run.says is not Power.ON for run in runs if run.level == level):",
        killers=(
            story("a_bmc_of_another_machine"),
            "tests/core/test_settling.py::test_a_status_of_a_settling_device_is_unknown",
        ),
    ),
    Bug(
        name="one read proves off",
        rule="S1",
        file="core/operation/proof.py",
        old="    if not run.is_stably_off(work.host):\n",
        new='    if run.says.value != "off":\n',
        killers=(
            story("outlets_off_while_the_chassis_reads_on"),
            "tests/core/test_plan.py::test_off_must_be_read_stably",
        ),
        seeds=(1, 2, 3),
    ),
    Bug(
        name="one device of a level is forgotten",
        rule="S1",
        file="core/operation/proof.py",
        old="    return all(is_proven_off(work, run) for run in operation.of_level)",
        new="    return any(is_proven_off(work, run) for run in operation.of_level)",
        killers=(
            story("both_pdus_off_in_parallel"),
            "tests/core/test_plan.py::test_unknown_is_not_off",
        ),
    ),
    Bug(
        name="a chassis that reads on does not contradict",
        rule="S1",
        file="core/operation/inspecting.py",
        old="run.kind is Kind.CHASSIS and _speaks_on(work, run)]:",
        new="run.kind is Kind.CHASSIS and run.power is Power.OFF]:",
        killers=(
            story("outlets_off_while_the_chassis_reads_on"),
            "tests/core/test_plan.py::test_a_contradiction_goes_to_the_next_level",
        ),
    ),
    Bug(
        name="the other devices are not read after the last off",
        rule="S1",
        file="core/operation/inspecting.py",
        old="    others = operation.of_other_levels\n    if any(",
        new="    others: list[DeviceRun] = []\n    if any(",
        killers=(
            story("outlets_off_while_the_chassis_reads_on"),
            "tests/core/test_plan.py::test_a_contradiction_goes_to_the_next_level",
        ),
    ),
    Bug(
        name="what was proven before a sign of life is announced",
        rule="S1",
        file="core/operation/inspecting.py",
        old="    elif not is_level_proven_off(work, operation) or silencing",
        new="    elif not operation.of_level or silencing",
        killers=(
            "tests/core/test_plan.py::test_life_during_the_inspection_of_the_others_takes_the_proof_back_and_the_operation_still_ends",
        ),
    ),
    Bug(
        name="a watch that reads off once makes a failed host fenced at once",
        rule="S1",
        file="core/suspected/watch.py",
        old=" and rounds.last - rounds.since >= max(p.already_off_hold_seconds for p in wanted)",
        new="",
        killers=(
            "tests/core/test_proofs.py::test_a_watch_proves_off_only_after_the_hold_of_a_device_that_was_off_already",
        ),
    ),
    Bug(
        name="the two halves of a restart run at once",
        rule="S4",
        file="core/operation/requests.py",
        old="        if asked.action is Action.ON and running.phase is not Phase.CLOSING:\n"
        "            return _join(work, running, asked, running.action)\n"
        "        return _wait(work, asked)\n"
        "    if asked.action is Action.ON:",
        new="        return _join(work, running, asked, asked.action)\n    if asked.action is Action.ON:",
        killers=("tests/core/test_second_requests.py::test_after_the_first_on_an_off_waits_and_then_runs",),
    ),
    Bug(
        name="a person confirms off what was switched on and not read since",
        rule="S2",
        file="core/operation/confirming.py",
        old="if run.says is not Power.OFF or run.same_reads == 0]",
        new="if run.says is Power.ON]",
        killers=("tests/core/test_confirm_off.py::test_confirm_off_is_refused_after_an_on_without_a_reading_since",),
    ),
    Bug(
        name="a second request starts an operation beside the first",
        rule="S4",
        file="core/operation/requests.py",
        old="    return _start(work, asked) if running is None else",
        new="    return _start(work, asked) if running is None or running.is_automatic else",
        killers=(story("operator_turns_a_restart_into_off"),),
    ),
    Bug(
        name="an on is sent while an earlier off may still land",
        rule="S5",
        file="core/operation/steps.py",
        old=" and command.what.is_opposite(power)\n",
        new=" and not command.what.is_opposite(power)\n",
        killers=(
            story("the_answer_of_an_off_is_lost"),
            "tests/core/test_plan.py::test_an_on_waits_until_an_old_off_can_act_no_more",
        ),
    ),
    Bug(
        name="a reading counts while an earlier on may still land",
        rule="S5",
        file="core/durable/evolve_run.py",
        old="and not command.is_settled(started)",
        new="and not (command.is_ended or command.not_after >= started)",
        killers=("tests/core/test_plan.py::test_a_read_off_does_not_count_while_an_old_on_may_still_act",),
    ),
    Bug(
        name="a command does not say when it can act last",
        rule="S5",
        file="core/operation/steps.py",
        old="    return timeout + device.settle_seconds + SETTLE_MARGIN_SECONDS + queue_seconds(timeout)",
        new="    return device.settle_seconds",
        killers=(
            story("crash_in_the_middle_of_off"),
            "tests/core/test_plan.py::test_an_operation_ends_only_when_none_of_its_commands_can_act",
        ),
    ),
    Bug(
        name="commands of one operation share a token",
        rule="S5",
        file="core/operation/steps.py",
        old="    token, not_after = work.fleet.next_token(), _not_after(work, device)",
        new="    token, not_after = operation.token or work.fleet.next_token(), _not_after(work, device)",
        killers=(
            story("both_pdus_off_in_parallel"),
            "tests/core/test_plan.py::test_every_command_has_a_higher_token_than_all_before",
        ),
        seeds=(1, 2, 3),
    ),
    Bug(
        name="an operation ends while its commands may still act",
        rule="S5",
        file="core/operation/closing.py",
        old="    if open_until:\n        work.wake(min(",
        new="    if not open_until:\n        work.wake(min(",
        killers=(
            story("slow_on_through_another_proxy"),
            "tests/core/test_plan.py::test_an_operation_ends_only_when_none_of_its_commands_can_act",
        ),
    ),
    Bug(
        name="a command that was taken can act no more, whatever its device's settle",
        rule="S5",
        file="core/operation/results.py",
        old="    return min(step.not_after, work.now + settle)",
        new="    return None",
        killers=(
            story("slow_on_through_another_proxy"),
            "tests/core/test_late_effects.py::test_an_on_that_the_device_took_may_still_act_while_it_settles",
        ),
    ),
    Bug(
        name="an off of unknown end is repeated without a read",
        rule="S6",
        file="core/operation/proving.py",
        old=" or run.read_at is None or run.read_at <= run.command_ended_at:\n"
        "        return False\n    return _has_failed",
        new=" or run.read_at is None:\n        return False\n    return _has_failed",
        killers=("tests/core/test_plan.py::test_a_command_that_failed_is_followed_by_a_read",),
    ),
    Bug(
        name="on does not wait for the announcement",
        rule="S8",
        file="core/operation/announcing.py",
        old="    if not operation.is_announcement_acknowledged and work.now < until:",
        new="    if not operation.is_announcement_acknowledged and work.now > until:",
        killers=(
            story("the_broker_refuses_the_announcement"),
            "tests/core/test_restore.py::test_no_on_before_the_announcement_is_acknowledged_or_its_wait_is_over",
        ),
    ),
    Bug(
        name="a restart gives power back before the last off",
        rule="S8",
        file="core/operation/proving.py",
        old="            _prove_device(work, operation, run)\n        work.wake(operation.level_deadline)",
        new="            _prove_device(work, operation, run)\n"
        '        if operation.action.value == "restart" and any('
        "is_proven_off(work, run) for run in operation.of_level):\n"
        "            phases.enter_restore(work, operation)\n"
        "        work.wake(operation.level_deadline)",
        killers=(story("both_pdus_off_in_parallel"),),
        seeds=(1, 3, 28),
    ),
    Bug(
        name="a device of another level stays off",
        rule="S9",
        file="core/durable/outcome.py",
        old="    touched = tuple(run for run in operation.devices if run.is_switched_off or run.device in owed)",
        new="    touched = tuple(run for run in operation.devices if run.level == operation.level)",
        killers=(
            story("one_pdu_fails_and_level_2_takes_over"),
            "tests/core/test_restore.py::test_outlets_come_before_the_chassis_and_every_touched_level_is_restored",
        ),
    ),
    Bug(
        name="what a failed operation switched off is forgotten",
        rule="S9",
        file="core/durable/evolve_owed.py",
        old="    if record.restored is Restored.ALL:\n",
        new="    if record.operation:\n",
        killers=(
            story("a_failed_host_is_heard_again"),
            "tests/core/test_restore.py::test_what_a_failed_fence_switched_off_comes_back_when_the_host_is_heard",
        ),
        seeds=(6, 7, 11),
    ),
    Bug(
        name="on is given up before the chassis had time to boot",
        rule="S9",
        file="core/operation/restoring.py",
        old="        verify = max(verify, settings.chassis_boot_timeout_seconds + settle)",
        new="        verify = min(verify, settings.chassis_boot_timeout_seconds + settle) / 10",
        killers=("tests/core/test_settling.py::test_a_restored_bmc_has_its_settle_time_beside_its_time_to_boot",),
    ),
    Bug(
        name="a queued step is executed after its operation ended",
        rule="S14",
        file="core/operation/results.py",
        old="event: RaceFinished) -> None:\n    operation = work.state.find(event.operation)\n    if",
        new="event: RaceFinished) -> None:\n    operation = work.operation or work.state.find(event.operation)\n    if",
        killers=("tests/core/test_second_requests.py::test_status_reads_beside_it",),
    ),
    Bug(
        name="a level is tried for ever",
        rule="S14",
        file="core/operation/proving.py",
        old="    if work.now >= operation.level_deadline:\n        return f",
        new="    if work.now < 0.0:\n        return f",
        killers=("tests/core/test_plan.py::test_the_levels_share_the_time",),
    ),
    Bug(
        name="a restore goes on for ever",
        rule="S14",
        file="core/operation/restoring.py",
        old="    is_late = operation.restore_deadline is not None and work.now >= operation.restore_deadline",
        new="    is_late = False",
        killers=("tests/core/test_rules_ending.py::test_a_restore_that_reaches_no_device_ends_by_its_deadline",),
    ),
    Bug(
        name="an off that waited too long still runs",
        rule="S14",
        file="core/operation/starting.py",
        old="    if work.now >= waiting.deadline and not is_behind_sleep:\n        return",
        new="    if work.now < 0.0:\n        return",
        killers=("tests/core/test_late_effects.py::test_an_off_that_waited_past_its_deadline_is_not_begun",),
    ),
    Bug(
        name="a cancelled restore does not forbid the next on",
        rule="S19",
        file="core/operation/requests.py",
        old="        is_on_forbidden="
        "running.is_fenced or running.action is Action.ON or running.phase is Phase.RESTORING,",
        new="        is_on_forbidden=False,",
        killers=("tests/core/test_late_effects.py::test_no_on_is_sent_after_a_person_cancelled_a_restore_by_life",),
    ),
    Bug(
        name="maintenance does not stop giving power back",
        rule="S19",
        file="core/operation/requests.py",
        old="    is_giving_back = running.phase in {Phase.ANNOUNCING, Phase.RESTORING}",
        new="    is_giving_back = False",
        killers=(
            story("maintenance_while_power_is_given_back"),
            "tests/core/test_restore.py::test_maintenance_and_cancel_stop_every_further_on",
        ),
    ),
    Bug(
        name="an operation is cancelled between two offs",
        rule="S19",
        file="core/operation/requests.py",
        old="    if running.is_proving_off and running.is_off_sent:",
        new="    if running.is_proving_off and not running.is_off_sent:",
        killers=("tests/core/test_restore.py::test_cancel_after_the_first_off_is_refused",),
    ),
    Bug(
        name="another machine's device is still switched",
        rule="identity",
        file="core/operation/results.py",
        old="    for why in mismatches(event.entries)[:1]:\n        meet(",
        new="    for why in mismatches(event.entries)[:0]:\n        meet(",
        killers=(
            story("a_bmc_of_another_machine"),
            "tests/core/test_mismatch.py::test_a_race_that_meets_another_machine_stops_before_the_first_off",
        ),
    ),
    Bug(
        name="a command that met another machine is tried elsewhere",
        rule="identity",
        file="core/operation/results.py",
        old="    if event.kind == WRONG_MACHINE:\n        meet(",
        new="    if event.kind == WRONG_MACHINE and step.what is What.STATUS:\n        meet(",
        killers=(
            story("the_cable_is_moved_before_the_on"),
            "tests/core/test_mismatch.py::test_a_command_or_a_reading_that_meets_another_machine_stops_it",
        ),
    ),
    Bug(
        name="a later operation gives power back that a person stopped",
        rule="S19",
        file="core/operation/restoring.py",
        old="    if work.state.is_on_forbidden:\n",
        new="    if work.state.is_on_forbidden and not operation.devices:\n",
        killers=(
            "tests/core/test_restore.py::test_a_later_operation_gives_no_power_back_either_once_a_person_stopped_that",
        ),
    ),
    Bug(
        name="life gives power back to a host in maintenance",
        rule="S19",
        file="core/operation/phases.py",
        old="is_left = is_on_forbidden or work.state.maintenance is not None",
        new="is_left = is_on_forbidden",
        killers=("tests/core/test_restore.py::test_life_in_maintenance_ends_it_and_gives_nothing_back",),
    ),
    Bug(
        name="what the watch read before an operation counts after it",
        rule="S1",
        file="core/operation/closing.py",
        old="watch_at=None, watch_offs=NOTHING, watch_lit=NOTHING)",
        new="watch_at=None)",
        killers=("tests/core/test_watch.py::test_what_was_read_before_it_was_heard_and_failed_again_counts_no_more",),
    ),
)
