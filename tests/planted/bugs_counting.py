"""Planted bugs of what the gates count once for all suspects: counts that are used after they have become wrong."""

from typing import Final

from tests.planted.bug import Bug

COUNTS: Final = ("tests/properties/test_counting.py::test_counts_of_a_moment_are_exact_after_every_change",)
GATHERING: Final = "tests/core/test_gathering.py"
FLEET: Final = "core/fleet.py"

COUNTING_BUGS: Final = (
    Bug(
        name="counts outlive the moment at which they were made",
        rule="S10",
        file=FLEET,
        old="if memo is None or memo.key != key or",
        new="if memo is None or",
        killers=COUNTS,
    ),
    Bug(
        name="counts outlive a stall of the daemon or a new connection",
        rule="S11",
        file=FLEET,
        old=" or memo.own is not self.own:",
        new=":",
        killers=COUNTS,
    ),
    Bug(
        name="counts outlive a change of a host's state",
        rule="S10",
        file=FLEET,
        old="self.memo if before == after and self.hosts[state.name].state is state.state else None",
        new="self.memo",
        killers=COUNTS,
    ),
    Bug(
        name="an overdue host that is heard stays overdue for those that are judged after it",
        rule="S10",
        file=FLEET,
        old=" or self.is_overdue(health.host, memo.at):",
        new=":",
        killers=COUNTS,
    ),
    Bug(
        name="the last heard witness is counted twice",
        rule="S10",
        file="core/heard/counts.py",
        old="(it for it in self.newest if it[1] != name)",
        new="self.newest",
        killers=COUNTS,
    ),
    Bug(
        name="hosts of a storm that a person releases are counted on",
        rule="S10",
        file="core/allowed/storm.py",
        old="if before is None or before.excused != memo.storms.excused:",
        new="if False:",
        killers=COUNTS,
    ),
    Bug(
        name="a pair of which both are silent is fenced, because one counts itself as expected",
        rule="S10",
        file="core/allowed/of_many.py",
        old="count.expected <= is_one_of_them:",
        new="count.expected <= 1:",
        killers=COUNTS,
    ),
    Bug(
        name="suspects of a large fleet wait for each other without a bound",
        rule="S14",
        file="core/suspected/confirming.py",
        old="min(GATHER_SECONDS_A_HOST * len(fleet.hosts), GATHER_SECONDS_MAX)",
        new="GATHER_SECONDS_A_HOST * len(fleet.hosts)",
        killers=(f"{GATHERING}::test_nobody_waits_longer_than_half_a_second",),
    ),
    Bug(
        name="in a large fleet the gates are counted anew for each suspect",
        rule="S14",
        file="core/suspected/confirming.py",
        old="    if work.now < together:\n",
        new="    if False:\n",
        killers=(f"{GATHERING}::test_in_a_large_fleet_a_suspect_waits_for_the_next_look_at_all_hosts",),
    ),
)
