"""Failing neighbours delay a host no longer than one of its own devices may take, compared with a run alone (S15).

Each scene is played twice: with the whole script, and with the lines about node-1 alone. Where node-1 shares nothing
that is full, both stories must be equal, word for word and to a tenth of a second.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.golden.fleet import rack_of
from tests.golden.story import Story, moment, play, seconds_of

HOSTS: Final = tuple(f"node-{number}" for number in range(1, 9))
FLEET: Final = (
    f"hosts {' '.join(HOSTS)}",
    "gates.budget_hosts 20",
    "gates.budget_at_most 20",
    "gates.connectivity_at_least 9",
)
OWN, SHARED = "devices bmc:1", "devices pdu-a:1 pdu-b:1"
"""Each host has its own unit, or all hosts share two units with four sessions each."""
PROXIES: Final = ("proxies px1 px2", "reach px1 px2")
FAULTS: Final = (
    "unreachable",
    "read in 60",
    "slow 60",
    "fails",
    "sticks",
    "loses answers",
    "unreachable through px1 px2 engine",
)
END_SECONDS: Final = 200.0
ATTEMPT_SECONDS: Final = 20.0
"""`attempt_timeout`: the longest that one command of a device may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`late_max`: how many seconds later than alone node-1's power may come or go; None: the stories must be equal."""

    name: str
    fleet: tuple[str, ...]
    script: tuple[str, ...]
    late_max: float | None = None


def hung(words: str, device: str) -> tuple[str, ...]:
    """Return a script in which all seven neighbours have that fault and are restarted at once."""
    faults = tuple(f"1:40 plug {host} {device} {words}" for host in HOSTS[1:])
    return faults + tuple(f"1:50 person forces restart {host}" for host in HOSTS[1:])


def one_of_each(device: str) -> tuple[str, ...]:
    """Return a script in which each neighbour has another fault."""
    faults = tuple(f"1:40 plug {host} {device} {words}" for host, words in zip(HOSTS[1:], FAULTS, strict=True))
    return faults + tuple(f"1:50 person forces restart {host}" for host in HOSTS[1:])


RESTART: Final = "person forces restart node-1"
SCENES: Final = (
    Scene(
        name="each neighbour's BMC has another fault",
        fleet=(OWN, *PROXIES),
        script=(*one_of_each("bmc"), f"1:52 {RESTART}"),
    ),
    Scene(
        name="each neighbour's outlet has another fault on a common unit",
        fleet=(SHARED,),
        script=(*one_of_each("pdu-a"), f"1:52 {RESTART}"),
    ),
    Scene(
        name="silent neighbours whose BMCs hang",
        fleet=(OWN, *PROXIES),
        script=(
            *(f"1:40 plug {host} bmc loses answers" for host in HOSTS[1:4]),
            *(f"1:45 {host} dies" for host in HOSTS[:4]),
        ),
    ),
    Scene(
        name="seven outlets of a common unit hang, for the first time",
        fleet=(SHARED,),
        script=(*hung("loses answers", "pdu-a"), f"1:52 {RESTART}"),
        late_max=ATTEMPT_SECONDS,
    ),
    Scene(
        name="seven outlets of a common unit hang, again",
        fleet=(SHARED,),
        script=(*hung("loses answers", "pdu-a"), f"2:40 {RESTART}"),
    ),
    Scene(
        name="programs for seven BMCs hang in the few slots of the daemon's machine, for the first time",
        fleet=(OWN, "daemon.agent_processes 4"),
        script=(*hung("slow 60", "bmc"), f"1:52 {RESTART}"),
        late_max=ATTEMPT_SECONDS,
    ),
    Scene(
        name="programs for seven BMCs hang in the few slots of the daemon's machine, again",
        fleet=(OWN, "daemon.agent_processes 4"),
        script=(*hung("slow 60", "bmc"), f"2:40 {RESTART}"),
    ),
)  # fmt: skip


def played(scene: Scene, *, is_alone: bool) -> list[tuple[float, str]]:
    """Play the scene and return what happens to node-1: (second, what)."""
    lines = ["0:00 daemon starts", *scene.script]
    script = sorted(moment(line) for line in lines if not is_alone or not set(line.split()) & {*HOSTS[1:]})
    story = Story(
        path=Path(scene.name), head="", rack=rack_of([*FLEET, *scene.fleet]), script=(*script, (END_SECONDS, "end")),
        expected=()
    )  # fmt: skip
    told = [line.split(maxsplit=2) for line in play(story)]
    return [
        (seconds_of(at), f"{who} {what}") for at, who, what in told if "node-1" in {who, *what.split()} and at != "at"
    ]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name.replace(" ", "-"))
def test_a_neighbours_fault_delays_no_host(scene: Scene) -> None:
    alone, beside = played(scene, is_alone=True), played(scene, is_alone=False)
    assert any("has power" in what for _, what in alone), "it is to be restarted"
    if scene.late_max is None:
        assert beside == alone
        return
    for what in ("~ node-1 is without power", "node-1 FENCED", "~ node-1 has power"):
        late = at(beside, what) - at(alone, what)
        assert 0.0 <= late <= scene.late_max + 0.5, what


def at(told: list[tuple[float, str]], start: str) -> float:
    return next(second for second, what in told if what.startswith(start))
