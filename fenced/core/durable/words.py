"""The last reading of each path to one device. Paths may lead to different units: they must agree on OFF.

Pure functions: `evolve` calls them, `paths` decides by them. An ON stays when its path dies; only another reading
through that path, or a later command of the daemon, outdates it (S2).
"""

from collections.abc import Callable, Iterable
from typing import Final

from fenced.core.durable.replacing import replace
from fenced.core.durable.state import RaceEntry
from fenced.model.names import ProxyName
from fenced.model.paths import PathWord
from fenced.model.power import Power, What

SILENCE: Final = frozenset({"failed", "unreachable", "timed_out"})
"""Kinds of errors (ports.devices) that mean that the path works and the device does not answer."""

Words = tuple[PathWord, ...]
Change = Callable[[Words], Words]


def heard(words: Words, proxy: ProxyName, power: Power, at: float) -> Words:
    """Add the ON or OFF that the path read."""
    return (*(word for word in words if word.proxy != proxy), PathWord(proxy=proxy, power=power, asked_at=at))


def missed(words: Words, proxy: ProxyName, at: float, *, is_needed: bool) -> Words:
    """Note that the path could not be read. If a command outdated its last reading, drop it, unless it `is_needed`."""
    kept = [word for word in words if word.proxy != proxy or word.power is not Power.UNKNOWN or is_needed]
    return tuple(replace(word, asked_at=at) if word.proxy == proxy else word for word in kept)


def commanded(words: Words, what: What) -> Words:
    """After a command, require that the paths that read the opposite are read again."""
    before = Power.OFF if what is What.ON else Power.ON
    return tuple(replace(word, power=Power.UNKNOWN, asked_at=0.0) if word.power is before else word for word in words)


def made_old(words: Words) -> Words:
    """Outdate these readings, because the host's feeds were switched off after them."""
    return tuple(replace(word, is_old=True) if word.power is Power.ON else word for word in words)


def needed(words: Words, proxies: Iterable[ProxyName]) -> Words:
    """Add paths that must be read before an OFF counts."""
    known = {word.proxy for word in words}
    return (*words, *(PathWord(proxy=proxy, power=Power.UNKNOWN) for proxy in proxies if proxy not in known))


def merged(words: Words, newer: Words) -> Words:
    """Return the words with the newer readings of the same paths."""
    read = {word.proxy: word for word in newer if word.power is not Power.UNKNOWN}
    return tuple(read.get(word.proxy, word) for word in words)


def are_at_odds(words: Words) -> bool:
    """Return whether a path reads OFF while another reads ON or must be read again."""
    powers = {word.power for word in words}
    return Power.OFF in powers and len(powers) > 1


def contradict(words: Words) -> bool:
    """Return whether one path reads OFF and another ON, with no command in between."""
    is_lit = any(word.power is Power.ON and not word.is_old for word in words)
    return is_lit and any(word.power is Power.OFF for word in words)


def of_race(entries: Iterable[RaceEntry], at: float) -> Words:
    """Return what the paths of a race read."""
    return tuple(
        PathWord(proxy=entry.proxy, power=entry.power, asked_at=at)
        for entry in entries
        if entry.power in {Power.ON, Power.OFF}
    )


def is_device_silent(entries: Iterable[RaceEntry]) -> bool:
    """Return whether no path read the device, and a working path got no answer from it."""
    entries = tuple(entries)
    return not any(entry.power for entry in entries) and any(entry.kind in SILENCE for entry in entries)


def told(words: Words) -> str:
    """Describe for people which path reads what."""
    return "; ".join(
        f"{word.power.value if word.power is not Power.UNKNOWN else 'not read again'} through {word.proxy}"
        for word in words
    )
