"""Checks that one round of reading every path fits into check.interval. Reaches no device.

A short interval is a warning that names the time a round needs; the rounds then run as fast as they may.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, warning
from fenced.config.durations import format_duration
from fenced.core.reach.candidates import Paths
from fenced.model.names import UnitId

READS_PER_SECOND: Final = 500
"""More reads per second would slow everything else down."""


def check(draft: Draft) -> Iterator[Finding]:
    """The unit with the most paths sets the pace, and the whole fleet has a limit."""
    table, inventory, where = draft.main.check, draft.inventory, draft.where.key("check")
    if table.interval == 0:
        return
    paths = Paths(inventory=inventory)
    of_unit: Counter[UnitId] = Counter()
    for host in inventory.hosts.values():
        for device in () if host.is_own_machine else host.devices:
            of_unit[device.spec.unit_id] += len(paths.of(host, device))
    total = sum(of_unit.values())
    if not total:
        return
    unit, most = of_unit.most_common(1)[0]
    by_unit, by_all = most * table.per_unit_pause, total / READS_PER_SECOND
    if table.interval >= max(by_unit, by_all):
        return
    if by_unit >= by_all:
        pause = format_duration(table.per_unit_pause)
        why = f"the unit {unit} has {most} paths, read {pause} apart"
    else:
        why = f"there are {total} paths, and at most {READS_PER_SECOND} are read in a second"
    needed = format_duration(float(round(max(by_unit, by_all)) or 1))
    yield warning(
        where.key("interval"),
        f"too short for one round, which takes {needed}: {why}",
        value=format_duration(table.interval),
        unit="duration",
        rests_on=(where.key("per_unit_pause"),),
    )
