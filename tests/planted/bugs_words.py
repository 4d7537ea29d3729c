"""Planted bugs of words that a controller without the lease accepts."""

from typing import Final

from tests.planted.bug import Bug

CORE: Final = "tests/core/test_restricting.py"
ENGINE: Final = "tests/engine/test_restricting.py"
STORE: Final = "tests/journal/test_words.py"
API: Final = "tests/api/test_controllers.py"

WORD_BUGS: Final = (
    Bug(
        name="a batch does not look for words",
        rule="S19",
        file="journal/writing.py",
        old="    if has_words:\n",
        new="    if has_words and batch.words:\n",
        killers=(f"{STORE}::test_a_batch_is_refused_until_it_folds_the_word[sqlite]",),
    ),
    Bug(
        name="who says a word does not lock the shard",
        rule="S19",
        file="journal/leases.py",
        old=".where(LEASE.c.shard == shard).with_for_update(read=True)",
        new=".where(LEASE.c.shard == shard)",
        killers=(f"{STORE}::TestPostgres::test_a_batch_waits_for_who_says_a_word",),
    ),
    Bug(
        name="a word with a lower number counts as folded",
        rule="S19",
        file="journal/words.py",
        old="    if any(word.number not in numbers for word in found):\n",
        new="    if any(word.number > max(numbers, default=0) for word in found):\n",
        killers=(f"{STORE}::TestPostgres::test_words_of_two_controllers_do_not_wait_for_each_other",),
    ),
    Bug(
        name="a folded word stays in the store",
        rule="S19",
        file="journal/words.py",
        old="    if found:\n        connection.execute(_DELETE",
        new="    if not found:\n        connection.execute(_DELETE",
        killers=(f"{STORE}::test_a_batch_is_refused_until_it_folds_the_word[sqlite]",),
    ),
    Bug(
        name="an older program's holder is said a word that it does not read",
        rule="S19",
        file="journal/leases.py",
        old="    return row is None or row.epoch == row.reads_words\n",
        new="    return True\n",
        killers=(f"{STORE}::TestPostgres::test_a_holder_of_an_older_program_gets_no_word",),
    ),
    Bug(
        name="a word that cannot be read stops every batch for good",
        rule="S13",
        file="journal/words.py",
        old="        said = Said(what=DisarmSaid(by=str(row.by), reason=",
        new="        raise\n        said = Said(what=DisarmSaid(by=str(row.by), reason=",
        killers=(f"{STORE}::test_a_word_that_cannot_be_read_is_a_disarm",),
    ),
    Bug(
        name="a batch that words refused is not decided again under them",
        rule="S19",
        file="engine/reactor.py",
        old="                self._words = exc.words\n",
        new="                log.warning('words_unread', words=len(exc.words))\n",
        killers=(f"{ENGINE}::test_a_caller_waits_through_a_batch_that_words_refuse",),
    ),
    Bug(
        name="words refuse the callers of a batch",
        rule="interface",
        file="engine/reactor.py",
        old="                self._inbox.extendleft(reversed(self._again(asked)))\n                return\n",
        new="                self._put_back(asked, str(exc))\n                return\n",
        killers=(f"{ENGINE}::test_a_caller_waits_through_a_batch_that_words_refuse",),
    ),
    Bug(
        name="words are decided after what they forbid",
        rule="S19",
        file="engine/asked.py",
        old="    return [Asked(e.WordsRead(words=words), now), *asked]\n",
        new="    return [*asked, Asked(e.WordsRead(words=words), now)]\n",
        killers=(f"{ENGINE}::test_a_word_that_comes_before_a_fence_is_decided_before_it",),
    ),
    Bug(
        name="a taker does not fold words",
        rule="S19",
        file="engine/engine.py",
        old=", words=taken.words)\n",
        new=")\n",
        killers=(f"{ENGINE}::test_a_word_without_a_holder_waits_and_the_next_one_folds_it_before_it_decides",),
    ),
    Bug(
        name="a taker recovers hosts before it folds words",
        rule="S19",
        file="core/decide.py",
        old="                _decided(work, request)\n            recovery.start(work)\n",
        new="                recovery.start(work)\n                _decided(work, request)\n"
        "            recovery.start(work)\n",
        killers=(f"{CORE}::test_a_taker_that_finds_a_word_reads_before_it_goes_on",),
    ),
    Bug(
        name="the holder looks for no words",
        rule="S19",
        file="engine/restricting.py",
        old="        if waiting and not self._fleet.is_standby:\n",
        new="        if not waiting and not self._fleet.is_standby:\n",
        killers=(f"{ENGINE}::test_a_disarm_at_a_standby_is_folded_within_a_second_while_nothing_else_is_written",),
    ),
    Bug(
        name="a word that waits is not kept for a store that loses it",
        rule="S22",
        file="engine/engine.py",
        old="        return self.restricting.added_to(lost if lost is not None else words_of(self.fleet))\n",
        new="        return lost if lost is not None else words_of(self.fleet)\n",
        killers=(f"{ENGINE}::test_a_word_that_waits_is_kept_for_a_store_that_loses_it",),
    ),
    Bug(
        name="a disarm that a standby accepted arms",
        rule="S19",
        file="core/restricting.py",
        old="            return e.ArmAsked(is_on=False, by=what.by, reason=what.reason)\n",
        new="            return e.ArmAsked(is_on=True, by=what.by, reason=what.reason)\n",
        killers=(f"{CORE}::test_words_are_recorded_as_requests_are",),
    ),
    Bug(
        name="the time of a word begins when it is folded",
        rule="S19",
        file="core/restricting.py",
        old="now + max(seconds - max(word.age_seconds, 0.0), 0.0)",
        new="now + seconds",
        killers=(f"{CORE}::test_a_time_counts_from_when_it_was_said",),
    ),
    Bug(
        name="an accepted pause can still be refused",
        rule="S19",
        file="core/fleet_decisions.py",
        old="    if refused is not None and not event.is_accepted:\n",
        new="    if refused is not None:\n",
        killers=(f"{CORE}::test_an_accepted_pause_is_refused_by_nothing",),
    ),
    Bug(
        name="a word whose key another request had is dropped",
        rule="S19",
        file="core/restricting.py",
        old="        if said.key and not _has_another(fleet, said.key, said.content):\n",
        new="        if said.key:\n",
        killers=(f"{CORE}::test_a_key_is_obeyed_once_and_another_request_under_it_all_the_same",),
    ),
)
