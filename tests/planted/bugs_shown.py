"""Planted bugs in what the daemon does about the states that the bus still shows."""

from typing import Final

from tests.planted.bug import Bug, story

SHOWN: Final = "tests/engine/test_shown.py"
LOST: Final = "tests/core/test_lost.py"

SHOWN_BUGS: Final = (
    Bug(
        name="a lost fenced stays on the bus",
        rule="S22",
        file="core/lost.py",
        old="(state.token is None or state.token < event.token)",
        new="(state.token is not None and event.token < state.token)",
        killers=(
            f"{LOST}::test_a_lost_fenced_is_revoked_with_the_token_that_it_replaces",
            story("a_lost_fenced_is_revoked"),
        ),
    ),
    Bug(
        name="the own epoch's token counts as a lost record",
        rule="S22",
        file="core/lost.py",
        old="event.token.epoch < fleet.epoch and",
        new="event.token.epoch <= fleet.epoch and",
        killers=(f"{LOST}::test_other_tokens_are_no_lost_records",),
    ),
    Bug(
        name="another store's tokens are taken for lost records of this one",
        rule="S22",
        file="core/lost.py",
        old="event.token is None or fleet.expected_store or fleet.is_store_new",
        new="event.token is None",
        killers=(f"{LOST}::test_tokens_of_another_store_are_not_lost_records_of_this_one",),
    ),
    Bug(
        name="a host stays fenced by a proof that is older than a lost record",
        rule="S22",
        file="core/durable/evolve_host.py",
        old="    proof = state.proof if record.is_proof_kept else None\n",
        new="    proof = state.proof\n",
        killers=(f"{LOST}::test_an_older_proof_of_the_journal_counts_no_more",),
    ),
    Bug(
        name="every later fenced replaces the lost one, too",
        rule="S22",
        file="core/durable/evolve_host.py",
        old="        lost_token=None,\n",
        new="",
        killers=(f"{LOST}::test_the_next_fenced_replaces_the_lost_one_and_no_later_one_does",),
    ),
    Bug(
        name="an old state that comes while the answer is under way stands",
        rule="S22",
        file="engine/repeats.py",
        old="        if self._marks.get(name) == mark:\n",
        new="        if name in self._marks:\n",
        killers=(f"{SHOWN}::test_an_old_state_that_comes_while_the_answer_is_under_way_is_answered_too",),
    ),
    Bug(
        name="two programs that contradict each other fill the broker",
        rule="S15",
        file="engine/repeats.py",
        old="        at = max(now, last + pause)\n",
        new="        at = now\n",
        killers=(f"{SHOWN}::test_a_host_that_is_contradicted_again_and_again_waits_longer_each_time",),
    ),
    Bug(
        name="a newer state is answered before the store says who holds the lease",
        rule="S20",
        file="engine/shown.py",
        old="            if at > began:\n",
        new="            if at > began + 1e9:\n",
        killers=(f"{SHOWN}::test_a_newer_state_is_answered_only_once_the_store_has_renewed_the_lease",),
    ),
    Bug(
        name="the daemon answers its own states",
        rule="S22",
        file="engine/shown.py",
        old="        elif not self._is_own(event):\n",
        new="        else:\n",
        killers=(f"{SHOWN}::test_what_this_life_published_is_left_alone",),
    ),
    Bug(
        name="a standby forgets what the bus showed it",
        rule="S22",
        file="engine/shown.py",
        old="            self._keep(event)  # an older one that comes later hides no newer one\n",
        new="            pass\n",
        killers=(f"{SHOWN}::test_a_standby_keeps_the_newest_state_of_each_host_for_the_takeover",),
    ),
    Bug(
        name="a standby knows the epoch of the last state alone that the bus showed",
        rule="S22",
        file="engine/shown.py",
        old="max(self._highest_epoch, epoch)",
        new="epoch",
        killers=(f"{SHOWN}::test_a_standby_keeps_the_newest_state_of_each_host_for_the_takeover",),
    ),
    Bug(
        name="a machine whose snapshot was put back stays below the bus's epoch",
        rule="S22",
        file="engine/shown.py",
        old="        if self._left:\n            self._begin_anew()\n",
        new="",
        killers=(
            f"{SHOWN}::test_above_a_newer_state_that_the_broker_kept_a_new_life_begins",
            story("a_snapshot_was_put_back"),
        ),
    ),
    Bug(
        name="a store in the place of another one contradicts the right one's controller",
        rule="S22",
        file="engine/shown.py",
        old="        if fleet.expected_store and fleet.durable_state.store_hold:\n",
        new="        if False:\n",
        killers=(f"{SHOWN}::test_a_store_in_doubt_about_which_it_is_answers_nothing_until_a_person_releases_it",),
    ),
    Bug(
        name="states that may not be read keep the daemon from the bus",
        rule="S15",
        file="bus/subscribing.py",
        old="{topic.filter for topic in topics if not topic.is_optional}",
        new="{topic.filter for topic in topics}",
        killers=(
            "tests/bus/test_refused_subscriptions.py::test_states_and_controllers_that_may_not_be_read_cost_one_warning_and_nothing_else",
        ),
    ),
)
