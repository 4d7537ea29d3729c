"""Planted bugs of decision records."""

from typing import Final

from tests.planted.bug import Bug, story

DECISIONS: Final = "tests/core/test_decisions.py"
RECORDING: Final = "core/decided/recording.py"

DECISION_BUGS: Final = (
    Bug(
        name="a decision is recorded for every look",
        rule="explain",
        file="core/suspected/confirming.py",
        old="    if shut == {verdict.gate for verdict in work.state.held_by}:\n",
        new="    if shut == {verdict.gate for verdict in work.state.held_by}:\n"
        "        recording.hold(work, verdicts, automatic.automatic_action(work))\n",
        killers=(
            story("why_it_was_held_and_then_fenced"),
            f"{DECISIONS}::test_a_hold_names_what_is_closed_and_what_opens_it_and_only_once",
        ),
    ),
    Bug(
        name="the decision is recorded after the operation that it explains",
        rule="S3",
        file="core/operation/automatic.py",
        old="    recording.fence(work, verdicts, operation)\n"
        "    if trust.has_believed_level(work):  # otherwise it fails without an OFF, and costs no budget\n"
        "        room = limits.budget_room(work.fleet, work.name, work.now)\n"
        "        work.work.draw(r.BudgetDrawn(host=work.name, cluster=str(work.host.cluster)), room)\n"
        "    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))\n",
        new="    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))\n"
        "    recording.fence(work, verdicts, operation)\n",
        killers=(f"{DECISIONS}::test_a_fence_is_decided_before_its_operation_starts_with_every_gate_open",),
    ),
    Bug(
        name="a fence has no decision",
        rule="S3",
        file="core/operation/automatic.py",
        old="    recording.fence(work, verdicts, operation)\n",
        new="",
        killers=(story("why_it_was_fenced"),),
        seeds=(1,),
    ),
    Bug(
        name="what opens a gate is that of the program that reads the record",
        rule="explain",
        file="core/decided/lines.py",
        old='        told.append(f"    opens when {gate.opens_when}{margin}")\n',
        new="        from fenced.core.allowed.catalogue import GATES\n\n"
        '        told.append(f"    opens when {GATES[gate.gate].opens_when}{margin}")\n',
        killers=("tests/api/test_decisions.py::test_explain_at_tells_the_last_decision_up_to_then_in_ten_lines",),
    ),
    Bug(
        name="the policy is that of a configuration that was only tried",
        rule="explain",
        file="core/fleet_decisions.py",
        old="    if event.is_trial:\n",
        new="    if event.is_trial:\n        fleet.inventory = event.inventory\n",
        killers=(f"{DECISIONS}::test_the_policy_is_the_configuration_in_force",),
    ),
    Bug(
        name="explain at a moment shows a later decision",
        rule="explain",
        file="journal/deciding.py",
        old="        decided < (LATEST if before is None else before),\n",
        new="        decided < LATEST,\n",
        killers=("tests/journal/test_decisions.py::test_they_are_read_newest_first_before_a_moment[sqlite]",),
    ),
    Bug(
        name="explain at a moment takes a time as that of the steady clock",
        rule="explain",
        file="api/times.py",
        old="    return at + meant - wall(at)\n",
        new="    return meant\n",
        killers=("tests/api/test_decisions.py::test_a_time_is_meant_by_the_wall_clock_of_that_moment",),
    ),
    Bug(
        name="decisions are never pruned",
        rule="explain",
        file="journal/statements.py",
        old="            WHERE record.shard = :shard AND record.at < :before\n",
        new="            WHERE record.shard = :shard AND record.at < :before AND record.decided IS NULL\n",
        killers=("tests/journal/test_decisions.py::test_they_are_pruned_with_other_records_and_not_before[sqlite]",),
    ),
    Bug(
        name="a store of an older format is given decisions",
        rule="explain",
        file=RECORDING,
        old="    if work.fleet.own.format < DECISIONS_FORMAT:\n",
        new="    if False:\n",
        killers=(
            story("a_store_of_an_older_format_records_no_decision"),
            f"{DECISIONS}::test_a_store_of_an_older_format_has_none_and_all_else_goes_on",
        ),
    ),
    Bug(
        name="a host held by more than armed would have been fenced",
        rule="explain",
        file=RECORDING,
        old='    outcome = Ruling.WOULD_FENCE if closed == {"armed"} else Ruling.HOLD\n',
        new='    outcome = Ruling.WOULD_FENCE if "armed" in closed else Ruling.HOLD\n',
        killers=(f"{DECISIONS}::test_each_change_of_the_closed_gates_is_one_record",),
    ),
    Bug(
        name="every healthy host recovers with its first heartbeat",
        rule="explain",
        file=RECORDING,
        old="    if _is_recorded(work) and work.state.state in SUSPECTED:\n        _record(work, Ruling.RECOVER",
        new="    if True:\n        _record(work, Ruling.RECOVER",
        killers=(f"{DECISIONS}::test_a_healthy_host_has_no_decision_however_its_gates_are",),
    ),
    Bug(
        name="two decisions have one id after a batch was rejected",
        rule="explain",
        file=RECORDING,
        old="    number = fleet.own.decisions + 1\n",
        new="    number = 1\n",
        killers=(f"{DECISIONS}::test_ids_differ_also_after_a_batch_was_rejected",),
    ),
)
