"""An ordinary day of a fleet: one incident of a documented rate, sometimes two, and the time that it stands for.

Most hours of a fleet are calm, and nothing is fenced in them. So only incidents are played, drawn as often as they
happen, and each stands for the hours of all hosts that lie between two of them. The rates are assumptions, said here
once: what is measured is what the gates make of them.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.golden.story import Story
from tests.world.rack import Rack

HOSTS: Final = 12
RACKS: Final = 3
HOURS_A_YEAR: Final = 8760.0
BEGINS: Final = (75.0, 100.0)
"""When the incident begins: after the quiet time of the start, with every host heard."""
CALM_SECONDS: Final = 780.0
"""From its beginning to the end: longer than `release_grace`, the longest wait before a fence."""
SECOND_SHARE: Final = 0.1
"""How many incidents have another one beside them. Far more than chance would bring: trouble seldom comes alone."""
UNASKED_SHARE: Final = 0.5
"""In how many fleets no host answers a probe: a firewall, or no address that is routed. There `probe_ports = []` is
set, because nobody who looks could tell a dead host from a living one."""
OBSERVED_SHARE: Final = 0.5
"""In how many of the other fleets two proxies look at hosts, too, each from a place of its own."""
OBSERVERS: Final = ("px1", "px2")
LEASED_SHARE: Final = 0.3
"""In how many fleets the shared storage says who writes to it."""


@dataclass(slots=True)
class Day:
    """A scenario in the making. `dies`: when each host dies for good."""

    dice: random.Random
    begins: float
    racks: dict[str, list[str]]
    is_leased: bool
    lines: list[tuple[float, str]] = field(default_factory=list)
    dies: dict[str, float] = field(default_factory=dict)

    def host(self) -> str:
        """Return a host that does not die."""
        return self.dice.choice([name for names in self.racks.values() for name in names if name not in self.dies])

    def rack(self) -> list[str]:
        return self.dice.choice(list(self.racks.values()))

    def at(self, after: float, words: str) -> None:
        """`after`: seconds from the beginning of the incident."""
        self.lines.append((round(self.begins + after, 2), words))

    def lasts(self, least: float, most: float) -> float:
        """Return how long it lasts: as often between 10 and 20 s as between 20 and 40 s."""
        return least * math.exp(self.dice.random() * math.log(most / least))


def death(day: Day) -> None:
    """A host dies: its kernel crashes, or its hardware does."""
    name = day.host()
    day.dies[name] = day.begins
    day.at(0.0, f"{name} dies")


def mute(day: Day) -> None:
    """The reporter of a host dies, or is stopped by a person who forgets it; the host works on."""
    name = day.host()
    day.at(0.0, f"{name} falls mute")
    if day.is_leased:
        for after in range(0, int(CALM_SECONDS), 20):
            day.at(after, f"{name} writes to storage for 60")


def pause(day: Day) -> None:
    """A host does nothing for a moment: overloaded, out of memory, a slow disk, a live migration."""
    name, seconds = day.host(), day.lasts(3.0, 60.0)
    day.at(0.0, f"{name} hangs")
    day.at(seconds, f"{name} wakes")


def reboot(day: Day) -> None:
    """A person reboots a host: three times in four in order, so that it says so."""
    name = day.host()
    if day.dice.random() < 0.75:
        day.at(0.0, f"{name} says stopping")
        day.at(day.lasts(1.0, 30.0), f"{name} reboots")
    else:
        day.at(0.0, f"{name} reboots")


def switch(day: Day) -> None:
    """The switch of a rack is away, and its hosts work on."""
    seconds, names = day.lasts(10.0, 400.0), day.rack()
    for name in names:
        day.at(day.dice.uniform(0.0, 0.2), f"{name} is cut off")
        day.at(seconds + day.dice.uniform(0.0, 2.0), f"{name} is back")


def power(day: Day) -> None:
    """The feed of a rack is away; its hosts boot when it is back, some of them late."""
    seconds = day.lasts(5.0, 200.0)
    for name in day.rack():
        day.at(day.dice.uniform(0.0, 0.2), f"{name} loses mains")
        day.at(seconds, f"{name} gets mains, on after {day.lasts(2.0, 120.0):.0f}")


def broker(day: Day) -> None:
    """The broker restarts, or is away."""
    day.at(0.0, "bus lost")
    day.at(day.lasts(1.0, 300.0), "bus back")


def deaf(day: Day) -> None:
    """The broker is there, but nothing of the hosts comes through, and then only a part of it."""
    seconds = day.lasts(10.0, 200.0)
    day.at(0.0, "bus unheard")
    day.at(seconds, "bus works")
    if day.dice.random() < 0.5:
        day.at(seconds, "post loses 80%")
        day.at(seconds + day.lasts(5.0, 60.0), "post works")


def link(day: Day) -> None:
    """The daemon's own network is away."""
    day.at(0.0, "link cut")
    day.at(day.lasts(5.0, 200.0), "link back")


def stall(day: Day) -> None:
    """The daemon does not run for a moment."""
    day.at(0.0, f"daemon stalls {day.lasts(1.0, 60.0):.1f}")


def upgrade(day: Day) -> None:
    """The daemon is restarted; one time in three a host reboots in order meanwhile."""
    day.at(0.0, "daemon stops")
    day.at(day.lasts(5.0, 120.0), "daemon starts")
    if day.dice.random() < 0.33:
        day.at(day.dice.uniform(0.0, 5.0), f"{day.host()} reboots")


def overload(day: Day) -> None:
    """The network or the broker is overloaded: messages come late, or are lost."""
    day.at(0.0, f"post {day.dice.choice(('delays up to 8', 'delays up to 20', 'loses 30%', 'loses 60%'))}")
    day.at(day.lasts(20.0, 300.0), "post works")


def lossy(day: Day) -> None:
    """The messages of one host come late, or are lost."""
    name = day.host()
    day.at(0.0, f"post {name} {day.dice.choice(('delays up to 20', 'delays up to 40', 'loses 60%', 'loses 100%'))}")
    day.at(day.lasts(20.0, 300.0), "post works")


def update(day: Day) -> None:
    """A bad update, or a wrong certificate: the reporters of a rack or of many hosts stop, one after another."""
    for number, name in enumerate(day.rack() if day.dice.random() < 0.5 else [day.host() for _ in range(5)]):
        day.at(number * day.lasts(0.1, 20.0), f"{name} falls mute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often an incident happens: so many times a year for each host, rack or fleet."""

    incident: Callable[[Day], None]
    what: str
    a_host: float = 0.0
    a_rack: float = 0.0
    a_fleet: float = 0.0

    @property
    def a_year(self) -> float:
        """Times a year in the fleet that is played."""
        return self.a_host * HOSTS + self.a_rack * RACKS + self.a_fleet


RATES: Final = (
    Rate(incident=death, what="a host dies", a_host=1 / 3),
    Rate(incident=mute, what="its reporter dies, the host works on", a_host=1.0),
    Rate(incident=pause, what="a host does nothing for 3 to 60 s", a_host=2.0),
    Rate(incident=reboot, what="a person reboots a host, one in four without a word", a_host=2.0),
    Rate(incident=lossy, what="the messages of one host are late or lost for 20 to 300 s", a_host=1.0),
    Rate(incident=switch, what="the switch of a rack is away for 10 to 400 s", a_rack=1.0),
    Rate(incident=power, what="the feed of a rack is away for 5 to 200 s", a_rack=0.2),
    Rate(incident=broker, what="the broker is away for 1 to 300 s", a_fleet=6.0),
    Rate(incident=deaf, what="nothing comes through the broker for 10 to 200 s", a_fleet=2.0),
    Rate(incident=link, what="the daemon's own link is away for 5 to 200 s", a_fleet=2.0),
    Rate(incident=stall, what="the daemon stalls for 1 to 60 s", a_fleet=12.0),
    Rate(incident=upgrade, what="the daemon is restarted, one in three beside a reboot", a_fleet=12.0),
    Rate(incident=overload, what="all messages are late or lost for 20 to 300 s", a_fleet=4.0),
    Rate(incident=update, what="the reporters of a rack, or of five hosts, stop", a_fleet=1.0),
)
"""A host dies once in three years (Poisson with this MTBF: reference of storms); the others are assumptions."""

HOST_HOURS: Final = HOSTS * HOURS_A_YEAR / sum(rate.a_year for rate in RATES)
"""Hours of all hosts for which one incident stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary:
    """`dies`: when each host dies for good. `kinds`: the incidents. `is_asked`: whether its hosts answer probes."""

    seed: int
    story: Story
    dies: dict[str, float]
    kinds: tuple[str, ...]
    is_asked: bool


def ordinary(seed: int) -> Ordinary:
    """Return the scenario of a seed."""
    dice = random.Random(f"ordinary {seed}")
    names = tuple(f"node-{number}" for number in range(1, HOSTS + 1))
    racks = {f"r{number}": list(names[number::RACKS]) for number in range(RACKS)}
    day = Day(dice, dice.uniform(*BEGINS), racks, dice.random() < LEASED_SHARE)
    rates = dice.choices(RATES, [rate.a_year for rate in RATES], k=2 if dice.random() < SECOND_SHARE else 1)
    is_unasked = dice.random() < UNASKED_SHARE
    observers = OBSERVERS if not is_unasked and dice.random() < OBSERVED_SHARE else ()
    boot_seconds = dice.choice((40.0, 90.0, 180.0, 300.0))
    for number, rate in enumerate(rates):
        day.begins += number * dice.uniform(0.0, 60.0)
        rate.incident(day)
    script = [(0.0, "daemon starts"), *((1.0, f"{name} can't be asked") for name in names if is_unasked)]
    script += sorted(day.lines, key=lambda line: line[0])
    script.append((BEGINS[1] + CALM_SECONDS, "end"))
    rack = Rack(
        hosts=names, devices=("bmc:1",), boot_seconds=boot_seconds,
        settings={
            "gates.storm_domains": ("rack", "cluster"),
            **({"detection.probe_ports": ()} if is_unasked else {}),
        },
        proxies=observers, observers=observers, domains={name: f"at {name}" for name in observers},
        racks={name: rack for rack, its in racks.items() for name in its},
    )  # fmt: skip
    story = Story(path=Path(f"ordinary-{seed}"), head="", rack=rack, script=tuple(script), expected=())
    kinds = tuple(rate.what for rate in rates)
    return Ordinary(seed=seed, story=story, dies=day.dies, kinds=kinds, is_asked=not is_unasked)
