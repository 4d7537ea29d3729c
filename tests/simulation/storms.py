"""Storms: racks as failure domains, a switch that dies, and people who release a rack.

Knows the words, not their effects. A scenario that has this is one with a storm gate; the others have none.
"""

from dataclasses import replace
from typing import Final

from tests.simulation.draft import MENDED, Draft
from tests.world.rack import Setting

RACKS: Final = ("r1", "r2")


def weather(draft: Draft) -> None:
    """Divide the hosts into two racks, let the switch of one die for a while, and let a person release it perhaps."""
    dice, hosts = draft.dice, draft.rack.hosts
    settings: dict[str, Setting] = {
        "gates.storm_domains": dice.choice((("rack",), ("rack", "cluster"))),
        "gates.storm_hosts": dice.choice((2, 3)),
        "gates.storm_per_seconds": dice.choice((30.0, 120.0)),
        "gates.storm_cooldown_seconds": dice.choice((0.0, 20.0)),
        "gates.storm_max_seconds": dice.choice((0.0, 0.0, 40.0)),
    }
    draft.lines = [
        line for line in draft.lines if not line[1].endswith(" leaves out")
    ]  # the world knows that host still
    racks = {host: RACKS[number * len(RACKS) // len(hosts)] for number, host in enumerate(hosts)}
    draft.rack = replace(draft.rack, settings={**draft.rack.settings, **settings}, racks=racks)
    for _ in range(dice.choice((1, 1, 2))):
        _switch(draft, dice.choice(RACKS))
    if dice.random() < 0.5:
        draft.at(draft.moment() + 20.0, f"person releases rack={dice.choice(RACKS)}")


def _switch(draft: Draft, rack: str) -> None:
    """All hosts of a rack fall silent within a moment, and live."""
    begins = draft.moment()
    ends = draft.until(begins)
    for host in (name for name, place in draft.rack.racks.items() if place == rack and name not in draft.dead):
        draft.at(begins + draft.dice.uniform(0.0, 3.0), f"{host} hangs")
        draft.at(max(ends, begins + 4.0) if ends < MENDED else MENDED, f"{host} wakes")
    draft.faults += 1
