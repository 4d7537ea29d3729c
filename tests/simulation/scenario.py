"""A seed becomes a scenario: a fleet, what goes wrong in it and when it is mended, in the words of the golden stories.

Knows the words, not what they do. One rule: everything comes from the seed, in a fixed order, so that the same seed is the
same scenario in every process.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.golden.story import Story, shown
from tests.world.rack import Rack, Setting

WARM_SECONDS: Final = 30.0
"""Nothing happens before: the daemon has to hear its hosts first."""
TROUBLE_SECONDS: Final = 120.0
CALM_SECONDS: Final = 230.0
"""After everything was mended: long enough for each operation to end by its deadline and the next to begin."""

FLEETS: Final[tuple[tuple[str, ...], ...]] = (
    ("pdu-a:1",),
    ("pdu-a:1", "pdu-b:1"),
    ("pdu-a:1", "pdu-b:1", "pdu-c:1"),
    ("bmc:1",),
    ("bmc:1", "pdu-a:2", "pdu-b:2"),
    ("pdu-a:1", "pdu-b:1", "bmc:2"),
    ("bmc-a:1", "pdu-a:1", "pdu-b:2"),
)
REACHES: Final[tuple[tuple[str, ...], ...]] = (("engine",), ("cluster", "engine"), ("engine", "cluster"), ("dc",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`story` as a person reads it. `faults`: how many things go wrong; `dead`: hosts that die for good."""

    seed: int
    story: Story
    faults: int
    dead: tuple[str, ...]
    meddled: bool


@dataclass(slots=True)
class _Draft:
    """A scenario in the making: lines with their times, in any order."""

    dice: random.Random
    rack: Rack
    lines: list[tuple[float, str]] = field(default_factory=list)
    faults: int = 0
    dead: list[str] = field(default_factory=list)
    is_down: bool = False

    def at(self, seconds: float, words: str) -> None:
        self.lines.append((round(seconds, 1), words))

    def moment(self) -> float:
        """Some time in the trouble."""
        return WARM_SECONDS + self.dice.uniform(0.0, TROUBLE_SECONDS)

    def until(self, start: float, *, most: float = 120.0) -> float:
        """When a fault that began then is mended."""
        return min(start + self.dice.choice((1.0, 5.0, 20.0, 40.0, most)), self.mended)

    @property
    def mended(self) -> float:
        return WARM_SECONDS + TROUBLE_SECONDS

    def host(self) -> str:
        return self.dice.choice(self.rack.hosts)

    def plug(self) -> str:
        return f"{self.host()} {self.dice.choice(self.rack.devices).partition(':')[0]}"

    def passing(self, begins: str, ends: str, *, most: float = 120.0) -> None:
        """A fault with an end."""
        start = self.moment()
        self.at(start, begins)
        self.at(self.until(start, most=most), ends)
        self.faults += 1


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    dice = random.Random(seed)
    draft = _Draft(dice, _rack(dice))
    draft.at(0.0, "daemon starts")
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        _death(draft)
    for _ in range(dice.choice((2, 3, 4, 6, 9))):
        dice.choice(FAULTS)(draft)
    end = draft.mended + CALM_SECONDS
    for name in draft.rack.proxies:
        draft.at(draft.mended, f"proxy {name} works")
    draft.at(end, "end")
    script = tuple(sorted(draft.lines, key=lambda line: line[0]))
    return Scenario(
        seed=seed,
        story=Story(path=Path(f"seed-{seed}"), head="", rack=draft.rack, script=_without_overlap(script), expected=()),
        faults=draft.faults,
        dead=tuple(sorted(set(draft.dead))),
        meddled=any(" turned " in words for _, words in script),
    )


def _rack(dice: random.Random) -> Rack:
    proxies = tuple(f"px{number}" for number in range(1, dice.choice((1, 2, 3, 4))))
    settings: dict[str, Setting] = {
        "daemon.startup_quiet_seconds": 20.0,
        "gates.budget_hosts": dice.choice((1, 2, 6)),
        "gates.budget_per_seconds": 120.0,
        "gates.cooldown_seconds": dice.choice((10.0, 30.0)),
        "gates.witness_wait_seconds": dice.choice((0.0, 5.0)),
        "gates.connectivity_at_least": dice.choice((3, 4)),
        "detection.release_grace_seconds": 30.0,
        "detection.boot_grace_seconds": 60.0,
        "detection.watch_interval_seconds": 20.0,
        "detection.late_message_seconds": dice.choice((5.0, 30.0)),
        "power.operation_timeout_seconds": dice.choice((40.0, 80.0)),
        "power.restore_timeout_seconds": 60.0,
        "power.attempt_timeout_seconds": dice.choice((5.0, 20.0)),
        "power.verify_timeout_seconds": dice.choice((5.0, 30.0)),
        "power.already_off_hold_seconds": dice.choice((5.0, 10.0)),
        "power.chassis_boot_timeout_seconds": 60.0,
    }
    if dice.random() < 0.25:
        settings["detection.alive_but_silent"] = "fence"
    reach = dice.choice([words for words in REACHES if proxies or "engine" in words])
    return Rack(
        hosts=tuple(f"node-{number}" for number in range(1, 1 + dice.choice((6, 6, 7)))),
        devices=dice.choice(FLEETS),
        proxies=proxies,
        reach=reach,
        settings=settings,
        is_standby_separate=dice.random() < 0.7,
        settle_seconds=dice.choice((0.0, 0.0, 3.0)),
    )


# -- what goes wrong --------------------------------------------------------------------------------------------------


def _death(draft: _Draft) -> None:
    """A host that nobody hears any more: dead, hung, or only mute."""
    host, start = draft.host(), draft.moment()
    kind = draft.dice.random()
    if kind < 0.6:
        draft.at(start, f"{host} dies")
        draft.dead.append(host)
    elif kind < 0.8:
        draft.at(start, f"{host} hangs")
        draft.at(draft.until(start), f"{host} wakes")
    else:
        draft.at(start, f"{host} falls mute")
        draft.at(draft.until(start), f"{host} speaks")
    draft.faults += 1


def _crash(draft: _Draft) -> None:
    """kill -9, and a start soon or late."""
    start = draft.moment()
    draft.at(start, "daemon crashes")
    draft.at(start + draft.dice.choice((0.1, 1.0, 5.0, 30.0)), "daemon starts")
    draft.faults += 1


def _bus(draft: _Draft) -> None:
    draft.passing("bus lost", "bus back")


def _broker_refuses(draft: _Draft) -> None:
    draft.passing("bus refuses", "bus takes")


def _broker_is_slow(draft: _Draft) -> None:
    draft.passing(f"bus acknowledges after {draft.dice.choice((2, 8))}", "bus acknowledges after 0.01")


def _link(draft: _Draft) -> None:
    draft.passing("link cut", "link back", most=60.0)


def _proxy(draft: _Draft) -> None:
    if draft.rack.proxies:
        name = draft.dice.choice(draft.rack.proxies)
        begins = draft.dice.choice((f"proxy {name} dead", f"proxy {name} slow {draft.dice.choice((2, 4, 10))}"))
        draft.passing(begins, f"proxy {name} works")


def _plug(draft: _Draft) -> None:
    plug = draft.plug()
    what = draft.dice.choice(("fails", "unreachable", "sticks", "loses answers", "slow 4", "slow 15"))
    draft.passing(f"plug {plug} {what}", f"plug {plug} works")


def _lie(draft: _Draft) -> None:
    plug = draft.plug()
    draft.passing(f"plug {plug} says {draft.dice.choice(('off', 'on', 'unknown'))}", f"plug {plug} works")


def _old_messages(draft: _Draft) -> None:
    """A message of an earlier time comes now."""
    draft.at(draft.moment(), f"{draft.host()} beats as boot 1")
    draft.faults += 1


def _words(draft: _Draft) -> None:
    draft.at(draft.moment(), f"{draft.host()} {draft.dice.choice(('says failing', 'last will', 'reboots'))}")
    draft.faults += 1


def _person(draft: _Draft) -> None:
    """People do unwise things at the worst time."""
    host = draft.host()
    words = draft.dice.choice(
        (
            f"person off {host}", f"person forces off {host}", f"person restart {host}", f"person forces restart {host}",
            f"person on {host}", f"person cancels {host}", f"person maintains {host}", f"person status {host}",
            f"person confirms {host} off", "person disarms", "person pauses *",
        )
    )  # fmt: skip
    start = draft.moment()
    draft.at(start, words)
    end = draft.until(start)
    undone = {"maintains": f"person hands back {host}", "disarms": "person arms", "pauses": "person resumes"}
    for word, back in undone.items():
        if word in words:
            draft.at(end, back)
    draft.faults += 1


FAULTS: Final[tuple[Callable[[_Draft], None], ...]] = (
    _crash, _crash, _bus, _broker_refuses, _broker_is_slow, _link, _proxy, _proxy, _plug, _plug, _plug, _lie, _old_messages,
    _words, _person, _person,
)  # fmt: skip


def _without_overlap(script: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
    """A daemon that is down can't crash, one that runs can't start, and nobody can ask one that is down.

    What was asked meanwhile is left out, and it runs again at the end of the trouble at the latest.
    """
    kept: list[tuple[float, str]] = []
    is_up = False
    mended = WARM_SECONDS + TROUBLE_SECONDS
    for at, words in script:
        if not is_up and at >= mended and words != "daemon starts":
            kept.append((at, "daemon starts"))
            is_up = True
        if words in {"daemon starts", "daemon crashes"}:
            if is_up is (words == "daemon starts"):
                continue
            is_up = not is_up
        elif words.startswith("person ") and not is_up:
            continue
        kept.append((at, words))
    return tuple(kept)


def told(story: Story) -> list[str]:
    """The scenario as a golden story would write it."""
    rack = story.rack
    lines = ["fleet", f"  hosts {' '.join(rack.hosts)}", f"  devices {' '.join(rack.devices)}"]
    lines += [f"  proxies {' '.join(rack.proxies)}"] if rack.proxies else []
    lines += [f"  reach {' '.join(rack.reach)}", f"  settle {rack.settle_seconds:g}"]
    lines += [] if rack.is_standby_separate else ["  bmc is fed by the outlets"]
    lines += [f"  {name} {value}" for name, value in rack.settings.items()]
    return [*lines, "", "script", *(f"  {shown(at)} {words}" for at, words in story.script)]
