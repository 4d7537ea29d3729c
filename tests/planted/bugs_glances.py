"""Planted bugs in the one look of several shards: what it would hide from a standby or a holder."""

from typing import Final

from tests.planted.bug import Bug

GLANCES: Final = "tests/journal/test_glances.py"
LOOKING: Final = "tests/journal/test_looking.py"
CHANGED: Final = f"{GLANCES}::test_whatever_was_written_is_looked_for"
ALONE: Final = f"{GLANCES}::test_a_journal_looks_by_itself_every_few_seconds_whatever_is_shown"

GLANCE_BUGS: Final = (
    Bug(
        name="a standby that saw one glance follows nothing any more",
        rule="S20",
        file="journal/glances.py",
        old="        return self._is_recent(look) and self._before[look][0] == glance\n",
        new="        return self._is_recent(look)\n",
        killers=(f"{CHANGED}[changes0-looks0]",),
    ),
    Bug(
        name="a store that lost a write looks as before in a glance",
        rule="S22",
        file="journal/glances.py",
        old="        return self._is_recent(look) and self._before[look][0] == glance\n",
        new="        before = self._before.get(look, (glance, 0.0))[0]\n"
        "        is_older = glance is not None and before is not None and glance.row.batch < before.row.batch\n"
        "        return self._is_recent(look) and (before == glance or is_older)\n",
        killers=(f"{CHANGED}[changes4-looks4]",),
    ),
    Bug(
        name="a glance of another server is believed for ever",
        rule="S22",
        file="journal/glances.py",
        old="self._clock() < self._before[look][1] + ALONE_SECONDS\n",
        new="self._clock() > 0.0\n",
        killers=(ALONE,),
    ),
    Bug(
        name="a word that a glance shows is not read",
        rule="S19",
        file="journal/glances.py",
        old="        return glance is None or glance.has_words or not self._is_recent(Look.WORDS)\n",
        new="        return glance is None or not self._is_recent(Look.WORDS)\n",
        killers=(f"{CHANGED}[changes8-looks8]",),
    ),
    Bug(
        name="a lease that was released is looked at once and then no more",
        rule="S20",
        file="journal/glances.py",
        old="        return self._watch.may_take(glance.row, name=name, at=at, patience_seconds=patience)\n",
        new="        return False\n",
        killers=(
            f"{GLANCES}::test_a_released_lease_is_looked_for_in_each_look_while_it_may_be_taken",
            f"{GLANCES}::test_a_lease_that_is_over_is_looked_for_before_it_may_be_taken",
        ),
    ),
    Bug(
        name="a journal without a glance spares its look",
        rule="S20",
        file="journal/glances.py",
        old="        if glance is None or not self._is_as_before(Look.LEASE, glance):\n            return True\n",
        new="        if glance is None:\n            return False\n",
        killers=(f"{GLANCES}::test_without_a_glance_a_journal_looks_by_itself",),
    ),
    Bug(
        name="a look that left records behind counts as whole",
        rule="S21",
        file="journal/glances.py",
        old="        if glance is not None and is_whole:\n",
        new="        if glance is not None:\n",
        killers=(f"{GLANCES}::test_a_journal_that_knows_less_than_at_its_last_look_looks_again",),
    ),
    Bug(
        name="each look of each shard waits for a shared look that hangs",
        rule="S15",
        file="journal/postgres/looking.py",
        old="            self._rests_until = self._clock() + REST_SECONDS\n",
        new="            self._rests_until = self._clock()\n",
        killers=(f"{LOOKING}::test_a_shared_look_that_hangs_delays_the_others_twice_and_not_for_long",),
    ),
    Bug(
        name="maintenance is forgotten for a store that goes back",
        rule="S22",
        file="core/fleet.py",
        old="            (self.maintained, state is not None and state.maintenance is not None),\n",
        new="            (self.maintained, False),\n",
        killers=("tests/core/test_taking.py::test_what_operators_said_is_what_the_journal_has_of_it",),
    ),
)
