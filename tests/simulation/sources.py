"""Other systems that speak of hosts, second reporters, and a daemon that is slow.

Knows the words, not their effects. A source that lies with a kind that holds a fence for as long as it is said is right
or dead by the end of the trouble. Most of it is aimed at hosts that fall silent in the draft: what is said of a host
that is heard holds nothing.
"""

from dataclasses import replace
from typing import Final

from tests.simulation.draft import MENDED, WARM_SECONDS, Draft
from tests.world.rack import Setting

KINDS: Final = ("storage_lease", "storage_lease", "maintenance", "shutting_down", "drained", "gossip")
HOLDING: Final = ("storage_lease", "maintenance", "shutting_down")
SOURCES: Final = ("other", "third")
LONG_SECONDS: Final = 600.0
"""Longer than a scenario."""
SILENT: Final = (" dies", " hangs", " falls mute", " is cut off")


def speak(draft: Draft) -> None:
    """Let a storage system speak, some hosts be polled, and the daemon measure itself badly."""
    dice = draft.dice
    kinds = dice.choice((HOLDING, HOLDING, ("storage_lease",), ("drained", "gossip")))
    settings: dict[str, Setting] = {"gates.live_evidence": kinds, "detection.stopping_max_seconds": 60.0}
    if dice.random() < 0.7:
        settings["detection.grace_max_seconds"] = dice.choice((20.0, 40.0, LONG_SECONDS))
    draft.rack = replace(draft.rack, settings={**draft.rack.settings, **settings})
    _storage(draft)
    if dice.random() < 0.4:
        _say_for_ever(draft, kinds)
    for at, host in _silent(draft):
        for _ in range(dice.choice((0, 1, 2))):
            _say(draft, host, max(at + dice.uniform(-15.0, 25.0), 2.0))
        if dice.random() < 0.3:
            _maintain_in_the_middle(draft, host, at)
    _say(draft, draft.host(), draft.moment())
    for host in dict.fromkeys((*dice.sample(draft.rack.hosts, dice.choice((1, 2, 3))), *draft.dead)):
        _poll(draft, host)
    if dice.random() < 0.5:
        dice.choice((_stop, _wake))(draft)
    if dice.random() < 0.7:
        _slow(draft)


def _silent(draft: Draft) -> list[tuple[float, str]]:
    """Return the hosts that fall silent, and when."""
    lines = sorted((at, words.split()[0]) for at, words in draft.lines if words.endswith(SILENT))
    return [(at, host) for at, host in lines if host in draft.rack.hosts]


def _storage(draft: Draft) -> None:
    """It tells the truth, lies for a while, or dies."""
    draft.at(2.0, f"evidence san goes on with storage_lease every {draft.dice.choice((3, 10))}")
    match draft.dice.choice(("right", "lies", "dies", "dies")):
        case "lies":
            draft.passing("evidence san lies", "evidence san is right")
        case "dies":
            draft.once("evidence san dies")


def _say_for_ever(draft: Draft, kinds: tuple[str, ...]) -> None:
    """A source lies to the end: that hosts shut down, which explains a minute of silence at most, or what counts for
    nothing."""
    idle = [kind for kind in ("drained", "gossip", "maintenance") if kind not in kinds]
    kind = draft.dice.choice(("shutting_down", *idle))
    draft.at(draft.dice.choice((4.0, 30.0)), f"evidence liar goes on with {kind} every 10")
    draft.at(31.0, "evidence liar lies")
    draft.faults += 1


def _say(draft: Draft, host: str, start: float) -> None:
    """A single statement, true or not; perhaps the same source takes it back, or another one denies it in vain."""
    dice = draft.dice
    kind, source = dice.choice(KINDS), dice.choice(SOURCES)
    draft.at(start, f"evidence {source} {host} {kind} {dice.choice((10, 40, 100))}")
    if dice.random() < 0.3:
        draft.at(draft.until(start), f"evidence {source} {host} no {kind}")
    if dice.random() < 0.4:
        other = next(name for name in SOURCES if name != source)
        draft.at(start + dice.uniform(1.0, 20.0), f"evidence {other} {host} no {kind}")
    draft.faults += 1


def _maintain_in_the_middle(draft: Draft, host: str, at: float) -> None:
    """People work on it once an OFF was sent to a first level that can't be proven: that stops nothing any more."""
    for device in dict.fromkeys(name.partition(":")[0] for name in draft.rack.devices if name.endswith(":1")):
        draft.at(max(at, 1.0), f"plug {host} {device} sticks")
        draft.at(MENDED, f"plug {host} {device} works")
    draft.at(at + draft.dice.uniform(24.0, 36.0), f"evidence other {host} maintenance 40")
    draft.faults += 1


def _poll(draft: Draft, host: str) -> None:
    """A collector reports it, too. Perhaps it dies, promises nothing soon or counts anew, or is all that shows the
    host's life for a while."""
    dice = draft.dice
    interval = dice.choice((3, 8, 25, 25))
    named = " as if every 600" if dice.random() < 0.15 else ""
    draft.at(3.0, f"{host} is polled every {interval}{named}")
    if dice.random() < 0.2:
        draft.once(f"{host} is polled no more")
    if dice.random() < 0.2:
        draft.once(f"{host} is polled by one that counts anew")
    if dice.random() < 0.6 and host not in draft.dead:
        start = dice.choice((draft.moment(), dice.uniform(WARM_SECONDS, WARM_SECONDS + 4.0)))
        end = dice.choice((draft.until(start), MENDED))
        draft.at(start, f"{host} falls mute")
        draft.at(end, f"{host} speaks")
        if dice.random() < 0.5:
            draft.at(start, f"{host} can't be asked")
            draft.at(end, f"{host} can be asked")
        draft.faults += 1


def _living(draft: Draft) -> str | None:
    """Return a host that nothing happens to so far; None: there is none."""
    busy = {word for _, words in draft.lines for word in words.split()}
    free = [host for host in draft.rack.hosts if host not in busy and host != draft.rack.own_machine]
    return draft.dice.choice(free) if free else None


def _stop(draft: Draft) -> None:
    """A host goes down in order; the collector has not noticed, and says for some seconds that it is well."""
    host = _living(draft)
    if host is not None:
        at = draft.dice.uniform(WARM_SECONDS + 5.0, WARM_SECONDS + 12.0)
        draft.at(3.0, f"{host} is polled every {draft.dice.choice((3, 8))}")
        draft.at(at, f"{host} says stopping")
        draft.at(at + draft.dice.uniform(4.0, 12.0), f"{host} dies")
        draft.at(MENDED + 30.0, f"{host} reboots")
        draft.faults += 1


def _wake(draft: Draft) -> None:
    """A host that did nothing goes on while its OFF is under way: the fence ends, and it boots for long."""
    host = _living(draft)
    if host is not None:
        settings: dict[str, Setting] = {**draft.rack.settings, "gates.cooldown_seconds": 10.0}
        draft.rack = replace(draft.rack, settings=settings, boot_seconds=50.0)
        at = draft.dice.uniform(WARM_SECONDS, WARM_SECONDS + 10.0)
        for device in dict.fromkeys(name.partition(":")[0] for name in draft.rack.devices):
            draft.at(at, f"plug {host} {device} slow 4")
            draft.at(at + 60.0, f"plug {host} {device} works")
        draft.at(at, f"{host} hangs")
        draft.at(at + draft.dice.uniform(21.0, 34.0), f"{host} wakes")
        draft.faults += 1


def _slow(draft: Draft) -> None:
    """The daemon measures that it is slow, to the end or for a moment."""
    seconds = draft.dice.choice((20.0, MENDED + 200.0))
    if draft.rack.settings.get("detection.grace_max_seconds") == LONG_SECONDS:
        seconds = 20.0  # otherwise nothing has to happen before the end
    lag, waited = draft.dice.choice((0, 1, 30, 200)), draft.dice.choice((0, 3, 20, 60))
    begins = at = draft.moment()
    while at < min(begins + seconds, MENDED + 200.0):
        draft.at(at, f"own loop {lag} bus {waited}")
        at += 10.0
    if draft.dice.random() < 0.5:
        draft.at(at, "own loop 0 bus 0")
    draft.faults += 1
