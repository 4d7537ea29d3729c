"""Judges whether observers could tell the death of a host from that of its reporter, or of the network."""

from collections.abc import Iterator

from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import valid_seconds
from fenced.core.reach.controls import has_control, is_looked_at
from fenced.core.readiness.values import Finding, Found
from fenced.core.suspected import trials
from fenced.model.inventory import Host
from fenced.model.power import State


def of_observers(fleet: Fleet, host: Host, state: HostState, now: float) -> Iterator[Finding]:
    """Yield what trial looks at the host show, while it is well; without a control nobody needs to look."""
    if is_looked_at(host) and not has_control(host, fleet.paths.networks) and not host.is_own_machine:
        text = "no other host and no reference is in its networks, so nobody can tell its death from theirs"
        yield Finding(found=Found.NO_CONTROL, text=text)
        return
    if not trials.is_tried(host) or state.state is not State.HEALTHY or valid_seconds(fleet.inventory) == 0.0:
        return
    trial = trials.valid(fleet, host.name, now)
    if trial is None:
        yield Finding(found=Found.NOT_LOOKED_AT, text="no observer has looked at it yet, or too long ago")
        return
    for view in trials.false_witnesses(fleet, host.name, now):
        text = f"{view.words} sees it silent while it lives, and reached {view.control}"
        yield Finding(found=Found.FALSE_WITNESS, text=text)
    if not trial.is_enough:
        count = f"{len(trial.able)} of {trial.needed} failure domains would see it silent"
        missing = "; ".join(trial.missing) or "there is no other domain"
        yield Finding(found=Found.HELD_BY_OBSERVERS, text=f"{count}; missing: {missing}")
