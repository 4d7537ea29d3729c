"""Planted bugs in hearing: life, stale messages, messages that waited, and witnesses."""

from typing import Final

from tests.planted.bug import Bug, story

FLOOD: Final = "tests/bus/test_pacing.py::test_in_a_flood_a_message_waited_no_longer_than_what_is_ahead_of_it"

HEARING_BUGS: Final = (
    Bug(
        name="what waited with us is as new as what just came",
        rule="S17",
        file="core/heard/messages.py",
        old="        return self.received - self.waited_seconds",
        new="        return self.received",
        killers=(
            "tests/core/test_watch.py::test_what_waited_with_us_is_judged_by_when_it_reached_us",
            "tests/core/test_watch.py::test_what_waited_with_us_since_before_the_on_ends_no_restoring",
        ),
    ),
    Bug(
        name="in a flood every beat looks as old as the flood",
        rule="S17",
        file="bus/waiting.py",
        old="        if read >= self._held_until or not unread:",
        new="        if not unread:",
        killers=(FLOOD,),
    ),
    Bug(
        name="what a look found in the socket arrived after it",
        rule="S17",
        file="bus/waiting.py",
        old="        if read >= self._held_until or not unread:",
        new="        if read or not unread:",
        killers=(FLOOD,),
    ),
    Bug(
        name="a burst of kept beats is a living host",
        rule="S17",
        file="core/suspected/freshness.py",
        old="    return lasted >= (LIVING_INTERVALS if is_paced else ANYWAY_INTERVALS) * interval",
        new="    return lasted >= 0.0",
        killers=("tests/core/test_watch.py::test_a_burst_of_what_was_kept_on_the_way_is_no_living_host",),
    ),
    Bug(
        name="an old run that lives is never believed",
        rule="S17",
        file="core/suspected/freshness.py",
        old="    lasted, is_paced = health.reached - first, health.reached >= last + PACE_INTERVALS * interval",
        new="    lasted, is_paced = health.reached - last, health.reached >= last + PACE_INTERVALS * interval",
        killers=("tests/core/test_watch.py::test_a_run_that_goes_on_at_any_pace_makes_the_proof_a_lie",),
    ),
    Bug(
        name="of two objects in one message the first one's boot is meant",
        rule="S17",
        file="ports/health.py",
        old='            self._twice.setdefault("boot", [])',
        new="            pass",
        killers=("tests/bus/test_messages.py::test_two_objects_leave_the_boot_unread",),
    ),
    Bug(
        name="a beat with an unreadable boot id ends restoring",
        rule="S17",
        file="core/suspected/hearing.py",
        old="        if health.is_boot_unread:\n            return _hear_no_news(work, health)",
        new="        if False and health.is_boot_unread:\n            return _hear_no_news(work, health)",
        killers=("tests/core/test_watch.py::test_a_beat_with_an_unreadable_boot_id_ends_no_restoring",),
    ),
    Bug(
        name="what waits in the inbox is silence",
        rule="S11",
        file="core/fleet.py",
        old="        return max(self.own.ear.now(min(now, self.heard_until)) - self.sights[name].heard_ear, 0.0)",
        new="        return max(self.own.ear.now(now) - self.sights[name].heard_ear, 0.0)",
        killers=("tests/core/test_detector.py::test_time_for_which_beats_still_wait_in_the_inbox_is_not_silence",),
    ),
    Bug(
        name="a silence is looked at before what came is heard",
        rule="S11",
        file="engine/reactor.py",
        old='        return self._inbox[0].at if self._inbox else float("inf")',
        new='        return float("inf")',
        killers=("tests/engine/test_reactor.py::test_a_beat_that_waits_behind_others_is_heard_before_the_look",),
    ),
    Bug(
        name="our own machine is a witness",
        rule="S10",
        file="model/inventory.py",
        old="        return not self.is_own_machine and not self.is_beside_broker and not is_loopback(self.address)",
        new="        return not self.is_beside_broker and not is_loopback(self.address)",
        killers=(
            story("the_own_machine_is_no_witness"),
            "tests/core/test_gates.py::test_who_reaches_the_broker_without_the_network_is_no_witness",
        ),
    ),
    Bug(
        name="a witness need not be heard still",
        rule="S10",
        file="core/allowed/counting.py",
        old="if all(name in fleet.witnesses and not fleet.is_overdue(name, now) for _, name in newest):",
        new="if all(name in fleet.witnesses for _, name in newest):",
        killers=("tests/core/test_gates.py::test_a_witness_must_be_heard_still",),
    ),
    Bug(
        name="a small cluster of which no host is heard is fenced",
        rule="S10",
        file="core/allowed/of_many.py",
        old="    if not is_closed and suspect is not None and is_all_overdue(fleet, suspect, now):",
        new="    if not is_closed and suspect == cluster and is_all_overdue(fleet, suspect, now):",
        killers=(
            "tests/core/test_gates.py::test_a_small_cluster_of_which_no_host_is_heard_is_held_though_others_are_heard",
        ),
    ),
    Bug(
        name="a host that speaks old words is silent",
        rule="S10",
        file="core/allowed/of_life.py",
        old="    if sight.spoke_at is not None and fleet.is_speaking(name, now):",
        new="    if sight.spoke_at is None and fleet.is_speaking(name, now):",
        killers=("tests/core/test_freshness.py::test_a_host_that_speaks_stale_beats_is_held",),
    ),
    Bug(
        name="evidence beyond the bound is dropped",
        rule="S10",
        file="core/heard/evidence.py",
        old="        elif evidence.evidence_kind in counted:",
        new="        elif False and evidence.evidence_kind in counted:",
        killers=("tests/core/test_gates.py::test_a_source_beyond_the_bound_holds_for_its_whole_ttl",),
    ),
    Bug(
        name="a late message without a boot id ends restoring",
        rule="S17",
        file="core/suspected/hearing.py",
        old=" and health.reached > on_at and not _is_late(work, state.proof, health)",
        new=" and health.reached > on_at",
        killers=("tests/core/test_watch.py::test_a_late_message_without_a_boot_id_takes_no_host_its_time_to_boot",),
    ),
    Bug(
        name="old words of a host are no sign of life to already off",
        rule="S1",
        file="core/operation/proof.py",
        old="work.sight.heard_at or 0.0, work.sight.spoke_at or 0.0)",
        new="work.sight.heard_at or 0.0)",
        killers=("tests/core/test_plan.py::test_already_off_is_not_announced_while_the_host_sends_old_words",),
    ),
)
