"""Observers: proxies that may look at hosts, in racks, with several networks; some are blind, late, or lie.

Knows the words, not their effects. A scenario without this has the daemon as its only observer.
"""

from dataclasses import replace
from typing import Final

from tests.simulation.draft import MENDED, WARM_SECONDS, Draft
from tests.world.rack import Setting

RACKS: Final = ("r1", "r2", "r3")
BESIDE: Final = ("east", "west", "r1", "r2", "")
NETWORKS: Final = ("address", "storage")


def look(draft: Draft) -> None:
    """Place hosts, proxies and the daemon in failure domains, let proxies look, and let some of them go wrong."""
    dice, hosts, proxies = draft.dice, draft.rack.hosts, draft.rack.proxies
    settings: dict[str, Setting] = {
        "daemon.observers": dice.choice((1, 2, 2, 2, 3)),
        "daemon.domain": dice.choice(("", "", "r1", "north")),
        "detection.probe_timeout_seconds": dice.choice((2.0, 5.0)),
    }
    observers = tuple(name for name in proxies if dice.random() < 0.8)
    racks = draft.rack.racks or {host: RACKS[number * len(RACKS) // len(hosts)] for number, host in enumerate(hosts)}
    domains = {name: dice.choice(BESIDE) for name in proxies if name not in draft.rack.machines}
    addresses = {}
    if dice.random() < 0.5:
        addresses = {host: (f"storage=10.1.0.{number}",) for number, host in enumerate(hosts, start=1)}
    references = tuple(word for word in ("10.0.0.254", "storage=10.1.0.254") if dice.random() < 0.3)
    draft.rack = replace(
        draft.rack, settings={**draft.rack.settings, **settings}, observers=observers, racks=racks, domains=domains,
        addresses=addresses, references=references,
    )  # fmt: skip
    for at, words in [line for line in draft.lines if line[1].endswith((" dies", " hangs", " falls mute"))]:
        host = words.split()[0]
        if host in hosts and dice.random() < 0.7:
            _wrong_at(draft, at, host, (*observers, "engine"))
    for _ in range(dice.choice((0, 0, 1, 2))):
        _wrong(draft, dice.choice((*observers, "engine")), draft.moment(), draft.host())
    if dice.random() < 0.4:
        host, network = dice.choice(hosts), dice.choice(NETWORKS)
        draft.passing(f"{host} loses network {network}", f"{host} gets network {network}")


def _wrong_at(draft: Draft, at: float, host: str, observers: tuple[str, ...]) -> None:
    """Some observers, or all, go wrong about when a host falls silent."""
    for name in draft.dice.sample(observers, draft.dice.randint(1, len(observers))):
        begins = max(at + draft.dice.uniform(-5.0, 25.0), WARM_SECONDS)
        _wrong(draft, name, min(begins, MENDED - 1.0), host)


def _wrong(draft: Draft, name: str, begins: float, host: str) -> None:
    """An observer sleeps, is blind, is late, can't reach a host, or lies about one."""
    what = draft.dice.choice(
        (
            "sleeps", "is blind", f"is blind over {draft.dice.choice(NETWORKS)}", f"can't reach {host}",
            f"says silent of {host}", f"says alive of {host}", "lags 0.7", "lags 3",
        )
    )  # fmt: skip
    draft.at(begins, f"observer {name} {what}")
    draft.at(draft.until(begins, most=60.0), f"observer {name} sees well")
    draft.faults += 1
