"""What each path to one device said last, within an operation or over it: the words that must agree before an OFF counts.

Two paths may lead to two units behind one private address. Pure values; `evolve` folds them, `paths` decides upon them.
One rule: an ON is never forgotten because its path died. It is read otherwise, or a command of ours made it old (S2).
"""

from collections.abc import Callable, Iterable
from typing import Final

from fenced.core.durable.replacing import replace
from fenced.core.durable.state import (
    RaceEntry,
)
from fenced.model.names import ProxyName
from fenced.model.paths import PathWord
from fenced.model.power import Power, What

SILENCE: Final = frozenset({"failed", "unreachable", "timed_out"})
"""Kinds of errors (ports.devices) of a path that is there itself and gets no answer of the device."""

Words = tuple[PathWord, ...]
Change = Callable[[Words], Words]


def heard(words: Words, proxy: ProxyName, power: Power, at: float) -> Words:
    """That path read ON or OFF."""
    return (*(word for word in words if word.proxy != proxy), PathWord(proxy=proxy, power=power, asked_at=at))


def missed(words: Words, proxy: ProxyName, at: float, *, is_needed: bool) -> Words:
    """That path was asked in vain. Where a command of ours came since it spoke, it is done without, unless `is_needed`."""
    kept = [word for word in words if word.proxy != proxy or word.power is not Power.UNKNOWN or is_needed]
    return tuple(replace(word, asked_at=at) if word.proxy == proxy else word for word in kept)


def commanded(words: Words, what: What) -> Words:
    """A command of ours left for the device: what spoke against it must be asked again."""
    before = Power.ON if what is What.OFF else Power.OFF
    return tuple(replace(word, power=Power.UNKNOWN, asked_at=0.0) if word.power is before else word for word in words)


def made_old(words: Words) -> Words:
    """The feeds of the host were switched off after these were read."""
    return tuple(replace(word, is_old=True) if word.power is Power.ON else word for word in words)


def needed(words: Words, proxies: Iterable[ProxyName]) -> Words:
    """Those paths must be asked as well."""
    known = {word.proxy for word in words}
    return (*words, *(PathWord(proxy=proxy, power=Power.UNKNOWN) for proxy in proxies if proxy not in known))


def merged(words: Words, newer: Words) -> Words:
    """The words of the same paths, as they were read since."""
    read = {word.proxy: word for word in newer if word.power is not Power.UNKNOWN}
    return tuple(read.get(word.proxy, word) for word in words)


def are_at_odds(words: Words) -> bool:
    """A path says OFF, and another says ON or has not been asked since."""
    powers = {word.power for word in words}
    return Power.OFF in powers and len(powers) > 1


def contradict(words: Words) -> bool:
    """One path says OFF and another ON, side by side: nothing of ours came between."""
    is_lit = any(word.power is Power.ON and not word.is_old for word in words)
    return is_lit and any(word.power is Power.OFF for word in words)


def of_race(entries: Iterable[RaceEntry], at: float) -> Words:
    """What the paths of a race read."""
    return tuple(
        PathWord(proxy=entry.proxy, power=entry.power, asked_at=at)
        for entry in entries
        if entry.power in {Power.ON, Power.OFF}
    )


def is_device_silent(entries: Iterable[RaceEntry]) -> bool:
    """Nobody could read it, and a path that is there itself got no answer of it."""
    entries = tuple(entries)
    return not any(entry.power for entry in entries) and any(entry.kind in SILENCE for entry in entries)


def told(words: Words) -> str:
    """For people: which path says what."""
    return "; ".join(
        f"{word.power.value if word.power is not Power.UNKNOWN else 'not read again'} through {word.proxy}"
        for word in words
    )
