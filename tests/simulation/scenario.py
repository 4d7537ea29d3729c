"""Make a scenario of a seed: a fleet, its faults and when they are mended, in the words of the golden stories.

Knows the words, not their effects. Everything is drawn from the seed in a fixed order,
so the same seed is the same scenario in every process.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.model.power import Action
from tests.golden.story import Story, shown
from tests.simulation import controllers, devices, edits, network, observers, people, sources, storms
from tests.simulation.aimed import aimed
from tests.simulation.daemon_faults import DAEMON_FAULTS
from tests.simulation.draft import MENDED, Draft, kind_of
from tests.simulation.racks import rack_of
from tests.world.rack import Setting

CALM_SECONDS: Final = 230.0
"""After everything was mended: long enough for each operation to end by its deadline and the next to begin."""

FAULTS_MIN: Final = 3
DRILLS_FROM: Final = 1000
"""From this seed on there are drills, in one of three: the fixed seeds below stay as they are."""
STORMS_FROM: Final = 5000
"""From this seed on there are storms, in one of three."""
OBSERVERS_FROM: Final = 7000
"""From this seed on proxies look at hosts, in one of two."""
SOURCES_FROM: Final = 9000
"""From this seed on other systems speak, hosts have two reporters and the daemon is slow, in one of four."""
CONTROLLERS_FROM: Final = 1000
"""From this seed on several controllers share the store, in one of three."""

FAULTS: Final[dict[Callable[[Draft], None], int]] = {
    devices.words: 3,
    devices.manner: 3,
    devices.mains: 2,
    devices.broken: 12,
    devices.slow_to_act: 4,
    devices.unreachable_through: 3,
    devices.unasked: 2,
    devices.wrong_machine: 2,
    devices.restart: 6,
    devices.lie: 5,
    devices.wrong_label: 1,
    devices.another_unit: 3,
    network.bus: 7,
    network.refused_topics: 4,
    network.one_daemon: 3,
    network.link: 3,
    network.post: 5,
    network.one_hosts_post: 3,
    network.kept: 1,
    network.bridge: 3,
    network.island: 5,
    network.old_message: 2,
    network.proxy_way: 8,
    network.proxy_slow: 4,
    network.proxy_death: 6,
    network.proxy_clock: 1,
    edits.edit: 4,
    people.crash: 7,
    people.person: 8,
    people.meddler: 1,
    people.saving: 3,
    **dict.fromkeys(DAEMON_FAULTS, 3),
}
"""Faults by weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`story`: for people to read. `faults`: their number; `dead`: hosts that die for good."""

    seed: int
    story: Story
    faults: int
    dead: tuple[str, ...]
    meddled: bool

    @property
    def kinds(self) -> list[str]:
        """The kinds of its lines, without names and numbers."""
        return [kind_of(words, self.story.rack) for _, words in self.story.script]


def is_shared(seed: int) -> bool:
    """Return whether several controllers share the store in the scenario of that seed."""
    return seed >= CONTROLLERS_FROM and seed % 3 == 1


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    dice = random.Random(seed)
    draft = Draft(dice, rack_of(dice))
    if is_shared(seed):
        controllers.crew(draft)
    draft.at(0.0, "daemon starts")
    for name in draft.rack.other_daemons:
        draft.at(1.0, f"daemon {name} starts")
    devices.certain_death(draft)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        devices.death(draft)
    for fault in dice.choices(
        tuple(FAULTS), tuple(FAULTS.values()), k=dice.choice((0, 1, 2) if is_shared(seed) else (3, 3, 4, 5, 8))
    ):
        fault(draft)
    for _ in range(dice.choice((0, 0, 1) if is_shared(seed) else (0, 1, 2, 3, 4))):
        aimed(draft)
    if is_shared(seed) or (
        seed >= STORMS_FROM and draft.rack.other_daemons
    ):  # each daemon reads the files at its start
        draft.lines = [line for line in draft.lines if not line[1].startswith("inventory ")]
    if is_shared(seed):
        controllers.trouble(draft)
    while draft.faults < FAULTS_MIN:  # some need a proxy, which not every rack has
        devices.broken(draft)
    if seed >= DRILLS_FROM and seed % 3 == 0:
        people.drills(draft)
    if seed >= STORMS_FROM and seed % 3 == 2:
        storms.weather(draft)
    if seed >= OBSERVERS_FROM and seed % 2 == 0:
        observers.look(draft)
        for name in (*draft.rack.observers, "engine"):
            draft.at(MENDED, f"observer {name} sees well")
    if seed >= SOURCES_FROM and seed % 4 == 0:
        sources.speak(draft)
    for name in draft.rack.proxies:
        draft.at(MENDED, f"proxy {name} works")
    draft.at(MENDED + CALM_SECONDS, "end")
    script = tuple(sorted(draft.lines, key=lambda line: line[0]))
    return Scenario(
        seed=seed,
        story=Story(path=Path(f"seed-{seed}"), head="", rack=draft.rack, script=_without_overlap(script), expected=()),
        faults=draft.faults,
        dead=tuple(sorted(set(draft.dead))),
        meddled=any(" turned " in words for _, words in script),
    )


def _without_overlap(script: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
    """Drop what is impossible: a crash of a daemon that is down, a start of a running one, requests to one
    that is down.

    A daemon that is down starts again at the end of the trouble at the latest.
    """
    kept: list[tuple[float, str]] = []
    is_up = False
    for at, words in script:
        if not is_up and at >= MENDED and words != "daemon starts":
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
    """Return the scenario in the format of a golden story."""
    rack = story.rack
    lines = ["fleet", f"  hosts {' '.join(rack.hosts)}", f"  devices {' '.join(rack.devices)}"]
    lines += [f"  proxies {' '.join(rack.proxies)}"] if rack.proxies else []
    lines += [f"  place {name} {where}" for name, where in rack.places.items()]
    lines += [f"  runs {name} {machine}" for name, machine in rack.machines.items()]
    lines += [f"  tags {name} {' '.join(tags)}" for name, tags in rack.tags.items()]
    lines += [f"  names {name} {' '.join(names)}" for name, names in rack.names.items()]
    lines += [f"  rack {name} {where}" for name, where in rack.racks.items()]
    lines += [f"  domain {name} {where}" for name, where in rack.domains.items() if where]
    lines += [f"  addresses {name} {' '.join(words)}" for name, words in rack.addresses.items()]
    lines += [f"  observers {' '.join(rack.observers)}"] if rack.observers else []
    lines += [f"  references {' '.join(rack.references)}"] if rack.references else []
    lines += [f"  other_daemons {' '.join(rack.other_daemons)}"] if rack.other_daemons else []
    lines += [f"  reach {' '.join(rack.reach)}", f"  settle {rack.settle_seconds:g}"]
    lines += [f"  boot {rack.boot_seconds:g}"]
    lines += [] if rack.is_standby_separate else ["  bmc is fed by the outlets"]
    lines += [f"  settle_after_return {rack.settle_after_return_seconds:g}"]
    lines += [f"  own_machine {rack.own_machine}"] if rack.own_machine else []
    lines += [f"  protected {' '.join(rack.protected)}"] if rack.protected else []
    lines += [f"  drills {' '.join(rack.drills)}"] if rack.drills else []
    lines += [f"  {name} {_shown(value)}" for name, value in rack.settings.items()]
    return [*lines, "", "script", *(f"  {shown(at)} {words}" for at, words in story.script)]


def _shown(value: Setting) -> str:
    """Format a value as a story does."""
    if isinstance(value, tuple):
        return "".join(f"{item}," for item in value)
    return value.value if isinstance(value, Action) else str(value).lower()
