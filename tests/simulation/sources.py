"""Other systems that speak of hosts, second reporters, and a daemon that is slow.

Knows the words, not their effects. A source that lies is right or dead by the end of the trouble: what it holds with a
lie it may hold for ever.
"""

from dataclasses import replace
from typing import Final

from tests.simulation.draft import MENDED, Draft
from tests.world.rack import Setting

KINDS: Final = ("storage_lease", "storage_lease", "maintenance", "shutting_down", "drained", "gossip")


def speak(draft: Draft) -> None:
    """Let a storage system speak, some hosts be polled, and the daemon measure itself badly."""
    dice = draft.dice
    kinds = dice.choice((("storage_lease", "maintenance", "shutting_down"), ("storage_lease",), ("drained", "gossip")))
    settings: dict[str, Setting] = {"gates.live_evidence": kinds, "detection.stopping_max_seconds": 60.0}
    if dice.random() < 0.5:
        settings["detection.grace_max_seconds"] = dice.choice((20.0, 40.0))
    draft.rack = replace(draft.rack, settings={**draft.rack.settings, **settings})
    _storage(draft)
    for _ in range(dice.choice((1, 2, 3))):
        _say(draft)
    for host in dict.fromkeys((*dice.sample(draft.rack.hosts, dice.choice((1, 2, 3))), *draft.dead)):
        _poll(draft, host)
    if dice.random() < 0.7:
        _slow(draft)


def _storage(draft: Draft) -> None:
    """It tells the truth, lies for a while, or dies."""
    draft.at(2.0, f"evidence san goes on with storage_lease every {draft.dice.choice((3, 10))}")
    match draft.dice.choice(("right", "lies", "dies", "dies")):
        case "lies":
            draft.passing("evidence san lies", "evidence san is right")
        case "dies":
            draft.once("evidence san dies")


def _say(draft: Draft) -> None:
    """A single statement, true or not, and perhaps its end."""
    dead = sorted(set(draft.dead))
    host = draft.dice.choice(dead) if dead and draft.dice.random() < 0.7 else draft.host()
    kind, start = draft.dice.choice(KINDS), draft.moment()
    draft.at(start, f"evidence other {host} {kind} {draft.dice.choice((1, 10, 40, 100))}")
    if draft.dice.random() < 0.5:
        draft.at(draft.until(start), f"evidence other {host} no {kind}")
    draft.faults += 1


def _poll(draft: Draft, host: str) -> None:
    """A collector reports it, too; perhaps its own reporter dies for a while."""
    draft.at(3.0, f"{host} is polled every {draft.dice.choice((3, 8, 20))}")
    if draft.dice.random() < 0.5 and host not in draft.dead:
        draft.passing(f"{host} falls mute", f"{host} speaks")


def _slow(draft: Draft) -> None:
    """The daemon measures that it is slow, to the end or for a moment."""
    seconds = draft.dice.choice((20.0, MENDED + 200.0))
    lag, waited = draft.dice.choice((0, 1, 30)), draft.dice.choice((0, 3, 60))
    at = draft.moment()
    while at < min(draft.dice.uniform(0.0, 60.0) + seconds, MENDED + 200.0):
        draft.at(at, f"own loop {lag} bus {waited}")
        at += 10.0
    draft.faults += 1
