"""Looks whether many healthy hosts are late at once, which is the daemon's or the network's illness, not theirs."""

from typing import Final

from fenced.core.durable.replacing import replace
from fenced.core.heard import own_health
from fenced.core.work import Work
from fenced.model.power import State

SAMPLE: Final = 1000
"""At most about so many hosts are looked at: a share needs no more."""


def look(work: Work) -> None:
    """Count the healthy hosts, and those of them that are overdue. Who passed its grace is suspect, and not counted."""
    fleet, now = work.fleet, work.now
    if fleet.own.ear.opened_at is None or now < fleet.own.ear.opened_at:
        return
    names = list(fleet.hosts)
    healthy = late = 0
    for name in names[:: max(len(names) // SAMPLE, 1)]:
        if fleet.hosts[name].state is State.HEALTHY and fleet.sights[name].heard_at is not None:
            healthy += 1
            late += fleet.is_overdue(name, now)
    ill = own_health.of_hosts(late, healthy, now)
    ills = own_health.replaced(fleet.own.ills, (own_health.HOSTS,), (ill,), now)
    if ills != fleet.own.ills:
        work.own(replace(fleet.own, ills=ills))
