"""Planted bugs of what a store says of itself: whose copy it is, and which programs may use it."""

from typing import Final

from tests.planted.bug import Bug

ADOPTING: Final = "tests/journal/test_adopting.py"
UPGRADING: Final = "tests/journal/test_upgrading.py"
SCHEMA: Final = "tests/journal/test_schema.py"
CODEC: Final = "tests/journal/test_formats.py"

STANDING_BUGS: Final = (
    Bug(
        name="a copy of the store has the rights of the original",
        rule="S20",
        file="journal/standing.py",
        old="        return None not in {self.home, self.server} and self.home != self.server",
        new="        return False",
        killers=(f"{ADOPTING}::test_nobody_takes_the_lease_of_a_copy[a new machine]",),
    ),
    Bug(
        name="a copy is only doubted, and commands the proxies of the original",
        rule="S20",
        file="journal/standing.py",
        old="    if now.is_away:\n        raise StoreError(now.why_away)\n",
        new="",
        killers=(f"{ADOPTING}::test_nobody_takes_the_lease_of_a_copy[fenced-a]",),
    ),
    Bug(
        name="no store notes where it belongs",
        rule="S20",
        file="journal/standing.py",
        old="    if now.home is None and now.server is not None:",
        new="    if False:",
        killers=(f"{ADOPTING}::test_the_first_lease_notes_where_a_store_belongs",),
    ),
    Bug(
        name="a clone keeps the id of its original",
        rule="S20",
        file="journal/adopting.py",
        old="    store_id = str(uuid.uuid4()) if is_clone else now.id",
        new="    store_id = now.id",
        killers=(f"{ADOPTING}::test_a_clone_and_its_original_have_no_proxy_in_common",),
    ),
    Bug(
        name="a store is adopted below a controller that acts on it",
        rule="S20",
        file="journal/adopting.py",
        old="    if who := endpoint.holder(connection):",
        new="    if who := endpoint.holder(connection) and False:",
        killers=(f"{ADOPTING}::test_a_store_on_which_somebody_acts_is_not_adopted",),
    ),
    Bug(
        name="a frozen holder goes on with an adopted store",
        rule="S20",
        file="journal/adopting.py",
        old='            epoch=epoch, holder="", place=""',
        new='            place=""',
        killers=(f"{ADOPTING}::test_a_frozen_holder_of_before_can_write_nothing",),
    ),
    Bug(
        name="an adopted store may give an epoch of the lost tail again",
        rule="S22",
        file="journal/adopting.py",
        old="    epoch = above + EPOCH_JUMP\n",
        new="    epoch = _newest_epoch(connection) + 1\n",
        killers=(f"{ADOPTING}::test_the_next_epoch_is_above_what_the_lost_tail_may_hold",),
    ),
    Bug(
        name="nobody waits for the commands of a lost tail after an adoption",
        rule="S22",
        file="journal/adopting.py",
        old="is_doubted=True,",
        new="is_doubted=False,",
        killers=(f"{ADOPTING}::test_an_adopted_copy_is_doubted_until_a_record_says_so[a new machine]",),
    ),
    Bug(
        name="an adopted store fences by itself at once",
        rule="S22",
        file="journal/standing.py",
        old="    if now.doubt:\n        return now.doubt\n",
        new="",
        killers=(f"{ADOPTING}::test_an_adopted_copy_is_doubted_until_a_record_says_so[a new machine]",),
    ),
    Bug(
        name="any record ends the doubt of an adoption",
        rule="S22",
        file="journal/standing.py",
        old="    if any(isinstance(each.record, StoreDoubted | StoreReleased) for each in entries):",
        new="    if not any(isinstance(each.record, StoreDoubted | StoreReleased) for each in entries):",
        killers=(f"{ADOPTING}::test_the_doubt_does_not_come_back_with_the_age_of_its_record",),
    ),
    Bug(
        name="a standby goes on over an adoption",
        rule="S22",
        file="journal/standing.py",
        old="    if (now.id, now.adopted) != (before.id, before.adopted):",
        new="    if False:",
        killers=(f"{ADOPTING}::test_a_standby_that_runs_begins_anew_after_an_adoption",),
    ),
    Bug(
        name="an older program uses a store that it can't read",
        rule="S20",
        file="journal/migrations.py",
        old="    if row.needs_more:",
        new="    if False:",
        killers=(f"{SCHEMA}::test_an_older_program_refuses_a_schema_that_changed_something",),
    ),
    Bug(
        name="a step that changes something leaves the minimum",
        rule="S20",
        file="journal/migrations.py",
        old="(breaking := set(missing) - additive)",
        new="(breaking := set(missing) & additive)",
        killers=(f"{SCHEMA}::test_an_older_program_refuses_a_schema_that_changed_something",),
    ),
    Bug(
        name="a program writes what the others can't read yet",
        rule="S20",
        file="journal/database.py",
        old="        encoded = writing.encode(batch, self._standing.format)",
        new="        encoded = writing.encode(batch, 2)",
        killers=(f"{UPGRADING}::test_a_newer_program_writes_what_the_older_one_reads",),
    ),
    Bug(
        name="a new name is written in an old format",
        rule="S20",
        file="journal/codec.py",
        old="            if SINCE.get(full, 1) <= format:",
        new="            if True:",
        killers=(f"{CODEC}::test_a_field_of_a_newer_format_stays_out",),
    ),
    Bug(
        name="a living controller can't read the format that the store gets",
        rule="S20",
        file="journal/upgrading.py",
        old="*(it.format for it in readers if it.is_alive)",
        new="*(it.format for it in readers if not it.is_alive)",
        killers=(f"{UPGRADING}::test_a_living_older_controller_hinders_the_format",),
    ),
    Bug(
        name="a format that was raised meanwhile is not noticed",
        rule="S20",
        file="journal/standing.py",
        old="    if number > codec.FORMAT:",
        new="    if False:",
        killers=(f"{UPGRADING}::test_a_program_that_starts_while_the_format_is_raised_ends",),
    ),
)
