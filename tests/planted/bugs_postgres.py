"""Planted bugs of the store in PostgreSQL, and of the way there."""

from typing import Final

from tests.planted.bug import Bug

SERVER: Final = "tests/journal/test_postgres.py"
COPY: Final = "tests/journal/test_copying.py"
POOLER: Final = "tests/journal/test_poolers_and_tls.py"

POSTGRES_BUGS: Final = (
    Bug(
        name="a commit whose answer was lost is taken for a failed one",
        rule="S3",
        file="journal/postgres/store.py",
        old="            return stored > self._batch",
        new="            return False",
        killers=(f"{SERVER}::test_a_commit_whose_answer_is_lost_counts_as_stored[Fault.CUT_AFTER]",),
    ),
    Bug(
        name="a commit without an answer is taken for done",
        rule="S3",
        file="journal/postgres/store.py",
        old="        if doubt is not None and not await self._was_committed():",
        new="        if doubt is not None and not await self._was_committed() and False:",
        killers=(f"{SERVER}::test_a_commit_that_the_server_never_saw_stores_nothing[Fault.CUT_BEFORE]",),
    ),
    Bug(
        name="a commit whose outcome stays unknown is a failed one",
        rule="S3",
        file="journal/postgres/store.py",
        old='                    raise EpochLost(\n                        f"{self._place}: it is not known',
        new='                    raise StoreError(\n                        f"{self._place}: it is not known',
        killers=(f"{SERVER}::test_a_commit_whose_outcome_stays_unknown_ends_the_daemon",),
    ),
    Bug(
        name="a commit that the synchronous standby lacks counts as stored",
        rule="S3",
        file="journal/postgres/store.py",
        old="        if not self._is_replicated:\n            raise TimeoutError",
        new="        if False:\n            raise TimeoutError",
        killers=(f"{SERVER}::test_a_cancelled_wait_for_the_standby_leaves_a_commit_in_doubt",),
    ),
    Bug(
        name="the database's clock alone ends a lease",
        rule="S20",
        file="journal/postgres/store.py",
        old="            if self._clock() >= end and row.is_over:",
        new="            if row.is_over:",
        killers=(f"{SERVER}::test_a_lease_that_the_databases_clock_ended_early_is_not_taken_before_a_whole_lease",),
    ),
    Bug(
        name="a lease counts from the begin of its transaction",
        rule="S20",
        file="journal/statements.py",
        old="func.clock_timestamp()",
        new="func.now()",
        killers=(f"{SERVER}::test_a_renewal_counts_from_its_statement_not_from_its_transaction",),
    ),
    Bug(
        name="a successor counts by its own wall clock",
        rule="S5",
        file="host/machine.py",
        old="    if steady_at is not None:",
        new="    if steady_at is not None and False:",
        killers=("tests/host/test_machine.py::test_a_store_with_a_clock_of_its_own_says_how_late_it_is",),
    ),
    Bug(
        name="an equal epoch of another holder writes",
        rule="S20",
        file="journal/writing.py",
        old=', LEASE.c.holder == bindparam("us"))',
        new=")",
        killers=(f"{SERVER}::test_an_equal_epoch_of_another_holder_can_write_nothing",),
    ),
    Bug(
        name="a frozen holder blocks its successor for ever",
        rule="S20",
        file="journal/postgres/connections.py",
        old="idle_in_transaction_session_timeout = {milliseconds}",
        new="idle_in_transaction_session_timeout = 0",
        killers=(f"{SERVER}::test_a_frozen_holder_inside_a_transaction_blocks_its_successor_only_for_a_while",),
    ),
    Bug(
        name="a copied store stays in force",
        rule="S20",
        file="journal/copying.py",
        old="        await old.execute(update(STORE).values(moved=target.place))\n",
        new="",
        killers=(f"{COPY}::test_a_daemon_goes_on_from_the_copy_and_not_from_the_source",),
    ),
    Bug(
        name="a copy that lost rows is put in force",
        rule="S3",
        file="journal/copying.py",
        old="    if digests[0] != digests[1] or counts[0] != counts[1]:",
        new="    if False:",
        killers=(f"{COPY}::test_a_copy_that_differs_is_not_put_in_force[DELETE FROM records WHERE sequence = 3]",),
    ),
)
