"""Bugs on the way to sleep: what is heard between two looks, deadlines, and who waits for whom."""

from typing import Final

from tests.planted.bug import Bug

LOOKS: Final = "tests/core/test_saving_between_looks.py"
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
)
