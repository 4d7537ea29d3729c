"""Bugs on the way to sleep: what is heard between two looks, deadlines, and who waits for whom."""

from typing import Final

from tests.planted.bug import Bug, story

LOOKS: Final = "tests/core/test_saving_between_looks.py"
DEADLINE: Final = "tests/core/test_saving_deadline.py"
PROOF: Final = "tests/core/test_saving_proof.py"
EVOLVE: Final = "core/durable/evolve_sleep.py"
LATE: Final = "tests/core/test_saving_late.py"
WORKING: Final = "tests/core/test_saving_busy.py"
PEOPLE: Final = "tests/core/test_saving_people.py"
CLOSING: Final = "core/operation/closing.py"
PATHS: Final = "tests/core/test_saving_paths.py"
QUEUES: Final = "tests/core/test_saving_queues.py"
POLICY, LIFE = "core/saving/policy.py", "core/operation/life.py"
SLEEPING, SLEEPERS = "core/operation/sleeping.py", "core/suspected/sleepers.py"
HEARING = "core/suspected/hearing.py"

PUTTING_TO_SLEEP_BUGS: Final = (
    Bug(
        name="what is heard between two looks and taken back ends no sleep",
        rule="S24",
        file="core/decide.py",
        old="    policy.heard(work, before)\n",
        new="",
        killers=(
            f"{LOOKS}::test_it_ends_the_sleep_at_once_during_the_veto[work]",
            f"{LOOKS}::test_it_ends_the_sleep_at_once_during_the_veto[busy]",
        ),
    ),
    Bug(
        name="the veto is not looked at when something is heard",
        rule="S24",
        file=POLICY,
        old="        work.see(idle_since=None)\n    _look_at_veto(work)\n",
        new="        work.see(idle_since=None)\n",
        killers=(f"{LOOKS}::test_it_ends_the_sleep_at_once_during_the_veto[work]",),
    ),
    Bug(
        name="trouble that is over at the next look ends no sleep",
        rule="S24",
        file=POLICY,
        old="            _look_at_veto(work.work.on(name))\n",
        new="            work.work.on(name)\n",
        killers=(f"{LOOKS}::test_it_ends_the_sleep_at_once_during_the_veto[trouble]",),
    ),
    Bug(
        name="work between two looks leaves a host idle for long",
        rule="S24",
        file=POLICY,
        old="        work.see(idle_since=None)\n    _look_at_veto",
        new="        pass\n    _look_at_veto",
        killers=(f"{LOOKS}::test_it_begins_the_time_of_being_idle_anew[work]",),
    ),
    Bug(
        name="a host that says that it stops or fails is still put to sleep",
        rule="S24",
        file=HEARING,
        old="    if health.status is not HealthStatus.OK:\n        life.end_veto(",
        new="    if False:\n        life.end_veto(",
        killers=(
            f"{LOOKS}::test_a_host_that_stops_during_the_veto_has_left_as_any_other",
            f"{LOOKS}::test_a_report_during_the_veto_is_judged_as_of_any_host[failing]",
        ),
    ),
    Bug(
        name="a host that started anew during the veto is put to sleep",
        rule="S24",
        file=SLEEPING,
        old="    if work.state.boot != operation.boot:\n        phases.stop(",
        new="    if False:\n        phases.stop(",
        killers=(f"{LOOKS}::test_it_ends_the_sleep_at_once_during_the_veto[new_boot]",),
    ),
    Bug(
        name="a host that obeyed while the daemon was down has failed",
        rule="S24",
        file=SLEEPING,
        old="    elif work.now >= (until := _until(work, operation, runs)):\n",
        new="    elif work.now >= (until := operation.deadline):\n",
        killers=(
            f"{DEADLINE}::test_one_that_obeyed_while_the_daemon_was_down_sleeps[600.0]",
            f"{DEADLINE}::test_one_that_goes_down_right_before_the_deadline_sleeps[1.0]",
            story("saving_sleeps_though_the_daemon_was_down"),
        ),
    ),
    Bug(
        name="a host that nobody can read is expected to be silent for ever",
        rule="S24",
        file=SLEEPING,
        old="    return from_when + max(",
        new="    return work.now + max(",
        killers=(f"{DEADLINE}::test_one_that_nobody_can_read_after_the_deadline_is_not_waited_for_long",),
    ),
    Bug(
        name="a host that is on at the deadline is waited for",
        rule="S24",
        file=SLEEPING,
        old="    if any(run.says is Power.ON and (run.read_at",
        new="    if any(run.says is Power.OFF and (run.read_at",
        killers=(f"{DEADLINE}::test_one_that_reads_on_at_the_deadline_fails_at_once",),
    ),
    Bug(
        name="a host that is heard before its chassis reads on is not proven",
        rule="S24",
        file=EVOLVE,
        old="    return awake(saving, at) if is_heard else saving\n",
        new="    return saving\n",
        killers=(f"{PROOF}::test_a_host_that_is_heard_before_its_chassis_reads_on_is_proven",),
    ),
    Bug(
        name="an outlet of a living host that is switched on proves that it comes back",
        rule="S24",
        file=EVOLVE,
        old="    if lit_at is None or not was_off:\n",
        new="    if lit_at is None:\n",
        killers=(f"{PROOF}::test_a_host_that_ran_all_the_time_proves_nothing",),
    ),
    Bug(
        name="a host that somebody starts long after our on is proven",
        rule="S24",
        file=EVOLVE,
        old="            saving = replace(saving, is_switched_on=False)  # it did not come back by that ON\n",
        new="            pass\n",
        killers=(f"{PROOF}::test_a_host_that_did_not_come_back_in_time_is_not_proven_by_who_starts_it_later",),
    ),
    Bug(
        name="a host that a person switches off hours after it was asked sleeps",
        rule="S24",
        file=SLEEPERS,
        old="    return is_left and soft_off is not None and state.since <= soft_off.at + 2 * soft_timeout_seconds\n",
        new="    return is_left\n",
        killers=(
            f"{LATE}::test_one_that_a_person_switches_off_hours_later_stays_off[0]",
            f"{LATE}::test_one_that_a_person_switches_off_hours_later_stays_off[2]",
        ),
    ),
    Bug(
        name="work that was heard after the command is forgotten when the late OFF is proven",
        rule="S24",
        file=EVOLVE,
        old="soft_off=saving.soft_off or _begun(before.operation, at))",
        new="soft_off=_begun(before.operation, at))",
        killers=(f"{LATE}::test_work_that_is_lost_late_is_announced_as_fenced_and_power_is_given_back",),
    ),
    Bug(
        name="a disarmed daemon announces a host that went down late",
        rule="S19",
        file=SLEEPERS,
        old="    if gates.closed(gates.announce_gates(work.fleet, work.name, work.now)):\n",
        new="    if False:\n",
        killers=(f"{LATE}::test_nothing_is_announced_while_the_daemon_is_disarmed",),
    ),
    Bug(
        name="busy that is heard after the command is no work",
        rule="S24",
        file="core/suspected/evidence.py",
        old="        sleepers.note_busy(work, evidence.source)\n",
        new="        pass\n",
        killers=(
            f"{WORKING}::test_one_that_is_busy_and_goes_down_is_announced_as_fenced_and_gets_its_power_back[False]",
            f"{WORKING}::test_it_is_not_forgotten_in_a_crash",
        ),
    ),
    Bug(
        name="an on is forgotten if the host goes down late",
        rule="S24",
        file="core/operation/requests.py",
        old="    if work.state.saving.soft_off is not None:\n        work.record(r.WakeWanted(by=asked.by,",
        new="    if False:\n        work.record(r.WakeWanted(by=asked.by,",
        killers=(
            f"{PEOPLE}::test_an_on_is_remembered_if_the_host_goes_down_late[True]",
            f"{PEOPLE}::test_an_on_is_remembered_although_the_daemon_is_disarmed_when_the_host_is_down",
        ),
    ),
    Bug(
        name="an on that waits for a shutdown is dropped in a restart of the daemon",
        rule="S24",
        file="core/operation/recovery.py",
        old="    if work.now >= waiting.deadline and not is_behind_sleep:\n",
        new="    if work.now >= waiting.deadline:\n",
        killers=(f"{PEOPLE}::test_an_on_outlives_a_restart_of_the_daemon_after_its_time",),
    ),
    Bug(
        name="an on that was cancelled wakes the host all the same",
        rule="S19",
        file="core/operation/requests.py",
        old='        work.record(r.WakeWanted(by="", reason="", cause=Cause.REQUEST))',
        new="        pass",
        killers=(f"{PEOPLE}::test_an_on_that_is_cancelled_wakes_nobody",),
    ),
    Bug(
        name="an off waits for the answer to a soft off",
        rule="S24",
        file=CLOSING,
        old="    return is_taken_over and command.what is What.SOFT_OFF\n",
        new="    return False\n",
        killers=(f"{PEOPLE}::test_it_does_not_wait_for_the_answer_to_the_soft_off[Action.OFF]",),
    ),
    Bug(
        name="an on is sent while a soft off may still act",
        rule="S5",
        file="model/power.py",
        old="self in {What.OFF, What.SOFT_OFF}\n",
        new="self is What.OFF\n",
        killers=(f"{PEOPLE}::test_the_on_of_a_restart_waits_until_the_soft_off_can_act_no_more",),
    ),
    Bug(
        name="off is not believed while a soft off may still act",
        rule="S24",
        file="model/power.py",
        old="        return self is What.ON if power is Power.OFF else",
        new="        return self in {What.ON, What.SOFT_OFF} if power is Power.OFF else",
        killers=(
            f"{PEOPLE}::test_it_does_not_wait_for_the_answer_to_the_soft_off[Action.OFF]",
            f"{PEOPLE}::test_a_reading_of_off_counts_although_the_answer_to_the_soft_off_is_lost",
        ),
    ),
    Bug(
        name="what paths read before a soft off contradicts what they read after it",
        rule="S24",
        file="core/durable/words.py",
        old="    before = Power.OFF if what is What.ON else Power.ON\n",
        new="    before = Power.ON if what is What.OFF else Power.OFF\n",
        killers=(f"{PATHS}::test_a_chassis_that_several_paths_read_on_is_read_off_through_each_of_them",),
    ),
    Bug(
        name="the other paths to a chassis that was asked are not read again",
        rule="S24",
        file=SLEEPING,
        old="    elif run.in_doubt_since is not None:\n",
        new="    elif False:\n",
        killers=(f"{PATHS}::test_a_chassis_that_several_paths_read_on_is_read_off_through_each_of_them",),
    ),
    Bug(
        name="a soft off goes before everything but a fence",
        rule="S24",
        file="core/operation/steps.py",
        old="What.SOFT_OFF: c.PRIORITY_SLEEP}",
        new="What.SOFT_OFF: c.PRIORITY_ON}",
        killers=(f"{QUEUES}::test_a_sleep_goes_behind_everything_else",),
    ),
    Bug(
        name="an off that comes while cut work gets its power back is called done",
        rule="S24",
        file="core/operation/requests.py",
        old="    gives_back = running.action in {Action.RESTART, Action.SLEEP} and",
        new="    gives_back = running.action is Action.RESTART and",
        killers=(f"{PEOPLE}::test_it_is_not_lost_while_power_is_given_back_after_work_was_cut[True]",),
    ),
    Bug(
        name="a host that stops by itself is fenced because its soft off was refused",
        rule="S10",
        file=CLOSING,
        old=" and not _stops_by_itself(work):\n",
        new=":\n",
        killers=(f"{LOOKS}::test_a_host_that_stops_by_itself_while_nothing_could_ask_it_has_left_as_any_other",),
    ),
)
