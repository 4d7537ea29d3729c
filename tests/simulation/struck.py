"""Trouble of the controllers at a moment of a fence.

The moments: in the race, while an OFF or an ON is under way, while it verifies, while it announces.

A host dies, the fence begins, and when its record says that the moment has come, the trouble begins: the active
controller is killed, frozen or cut off, the store fails or goes back, control is handed over. Then all is mended, and
the checker's rules and the liveness at the end must hold as in every scenario.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import What
from tests.golden.story import Story
from tests.simulation.play import Aloud, Quiet, silence_logs
from tests.world.loop import Stuck, run
from tests.world.rack import Rack, Setting
from tests.world.rules.base import Rule

VICTIM: Final = HostName("node-2")
DIES_AT: Final = 40.0
MENDED_SECONDS: Final = 70.0
"""From the beginning of the trouble until everything is mended at the latest."""
CALM_SECONDS: Final = 260.0
SETTINGS: Final[dict[str, Setting]] = {
    "daemon.startup_quiet_seconds": 12.0,
    "daemon.lease_ttl_seconds": 15.0,
    "detection.heartbeat_interval_seconds": 6.5,
    "detection.release_grace_seconds": 30.0,
    "detection.boot_grace_seconds": 60.0,
    "gates.cooldown_seconds": 10.0,
    "gates.budget_hosts": 6,
    "power.operation_timeout_seconds": 80.0,
    "power.restore_timeout_seconds": 80.0,
    "power.already_off_hold_seconds": 5.0,
}


class Moment(Enum):
    """When the trouble begins."""

    RACE = "in the race"
    OFF = "while an OFF is under way"
    VERIFYING = "while it verifies"
    ANNOUNCING = "while it announces"
    ON = "while an ON is under way"


TROUBLES: Final[dict[str, tuple[tuple[float, str], ...]]] = {
    "is killed and starts again": ((0.0, "daemon active crashes"), (2.0, "daemon all is back")),
    "is killed": ((0.0, "daemon active crashes"),),
    "its machine dies": ((0.0, "daemon active reboots 45"),),
    "stops in order": ((0.0, "daemon active stops"),),
    "freezes for a moment": ((0.0, "daemon active stalls 6"),),
    "freezes for longer than the lease": ((0.0, "daemon active stalls 28"),),
    "freezes for long": ((0.0, "daemon active stalls 60"),),
    "is suspended": ((0.0, "daemon active is suspended 30"),),
    "loses the store": ((0.0, "daemon active loses the store"),),
    "loses the bus": ((0.0, "daemon active loses the bus"),),
    "loses the proxies": ((0.0, "daemon active loses the proxies"),),
    "loses everything": ((0.0, "daemon active is cut off"),),
    "hands over": ((0.0, "daemon active hands over"),),
    "hands over to another": ((0.0, "daemon active hands over to {other}"),),
    "hands over and dies": ((0.0, "daemon active hands over"), (0.4, "daemon standby crashes")),
    "hands over and back": ((0.0, "daemon active hands over"), (4.0, "daemon active hands over")),
    "all restart": ((0.0, "daemon all crashes"), (1.0, "daemon all is back")),
    "all lose the store": ((0.0, "store hangs"), (25.0, "store works")),
    "the store fails": ((0.0, "store fails"), (25.0, "store works")),
    "the store is slow": ((0.0, "store slow 3"), (25.0, "store works")),
    "is killed with a batch in the air": (
        (0.0, "store commits 3 late"), (0.5, "daemon active crashes"), (10.0, "store works"),
    ),
    "freezes with a batch in the air": (
        (0.0, "store commits 3 late"), (0.5, "daemon active stalls 30"), (10.0, "store works"),
    ),
    "is killed, and the store's clock is ahead": (
        (0.0, "store clock is off 3600"), (0.1, "daemon active crashes"), (40.0, "store clock is off 0"),
    ),
    "freezes, and the store's clock is ahead": (
        (0.0, "daemon active stalls 40"), (0.1, "store clock is off 3600"), (50.0, "store clock is off 0"),
    ),
    "the store forgets a second": ((0.0, "store is copied"), (1.0, "store goes back")),
    "the store forgets the fence": ((0.0, "store goes back"),),
    "is killed and the store forgets a second": (
        (0.0, "store is copied"), (1.0, "daemon active crashes"), (2.0, "store goes back"),
    ),
    "is killed and the store forgets the fence": ((0.0, "daemon active crashes"), (2.0, "store goes back")),
    "freezes and the store forgets the fence": ((0.0, "daemon active stalls 30"), (2.0, "store goes back")),
    "all restart and the store forgets the fence": (
        (0.0, "daemon all crashes"), (0.5, "store goes back"), (1.0, "daemon all is back"),
    ),
    "is disarmed at the standby": ((0.0, "person disarms at the standby"), (40.0, "person arms")),
    "freezes and is disarmed at the standby": (
        (0.0, "daemon active stalls 6"), (1.0, "person disarms at the standby"), (40.0, "person arms"),
    ),
    "is killed and is disarmed at the standby": (
        (0.0, "daemon active crashes"), (1.0, "person disarms at the standby"), (40.0, "person arms"),
    ),
    "is paused at the standby with a batch in the air": (
        (0.0, "store commits 3 late"), (0.5, "person pauses * at the standby"), (10.0, "store works"),
        (40.0, "person resumes"),
    ),
    "is killed and its host is maintained at the standby": (
        (0.0, "daemon active crashes"), (1.0, f"person maintains {VICTIM} at the standby"),
        (40.0, f"person hands back {VICTIM}"),
    ),
}  # fmt: skip
"""What begins, in seconds after the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`controllers`: how many there are."""

    moment: Moment
    trouble: str
    controllers: int = 2
    proxies: tuple[str, ...] = ("px1",)

    def __str__(self) -> str:
        return f"{self.trouble} {self.moment.value}, of {self.controllers}"

    @property
    def loses_records(self) -> bool:
        return any(words == "store goes back" for _, words in TROUBLES[self.trouble])


class _Watch(Rule):
    """Sets `reached` when the fence comes to the moment."""

    outlives_the_store = True
    moment: Moment
    reached: asyncio.Event

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if host == VICTIM and self._is_it(record):
            self.reached.set()

    def _is_it(self, record: r.Record) -> bool:
        match self.moment, record:
            case Moment.RACE, r.OperationStarted():
                return True
            case Moment.OFF, r.StepStarted(what=What.OFF):
                return True
            case Moment.VERIFYING, r.StepEnded():
                return True
            case Moment.ANNOUNCING, r.HostFenced():
                return True
            case Moment.ON, r.StepStarted(what=What.ON):
                return True
        return False


class Struck(Quiet):
    """A play with trouble at the moment of a case."""

    def strike_at(self, case: Case) -> None:
        self._case = case
        truth = self.world.checker.truth
        assert truth is not None
        watch = _Watch(truth, lambda rule, text: None)
        watch.moment, watch.reached = case.moment, asyncio.Event()
        self._reached = watch.reached
        self.world.checker.add(watch)

    async def play(self) -> list[str]:
        striking = asyncio.create_task(self._strike(), name="trouble")
        problems = await super().play()
        if not self._reached.is_set():
            problems.append("the moment never came")
        striking.cancel()
        return problems

    async def _strike(self) -> None:
        await self._reached.wait()
        began = asyncio.get_running_loop().time()
        lines = list(TROUBLES[self._case.trouble])
        lines += [(MENDED_SECONDS, words) for words in ("store works", "daemon all is back")]
        if self._case.loses_records:
            lines.append((MENDED_SECONDS + 20.0, "person releases the store"))
        for at, words in lines:
            await asyncio.sleep(max(began + at - asyncio.get_running_loop().time(), 0.0))
            words = words.format(other=self.world.standby.name)
            self._say("*", words)
            await self._do(words)


class StruckAloud(Struck, Aloud):
    """The same as a story."""


def story_of(case: Case) -> Story:
    others = ("fenced-b", "fenced-c")[: case.controllers - 1]
    rack = Rack(
        hosts=("node-1", "node-2", "node-3", "node-4"), devices=("pdu-a:1", "pdu-b:1"), proxies=case.proxies,
        reach=("dc", "engine") if case.proxies else ("engine",), settings=SETTINGS, other_daemons=others,
    )  # fmt: skip
    script = [(0.0, "daemon starts"), *((1.0, f"daemon {name} starts") for name in others)]
    script += [(DIES_AT - 1.0, "store is copied"), (DIES_AT, f"{VICTIM} dies")]
    end = DIES_AT + 60.0 + MENDED_SECONDS + CALM_SECONDS
    return Story(path=Path(str(case)), head="", rack=rack, script=(*script, (end, "end")), expected=())


def struck(case: Case, *, is_told: bool = False, seed: int | None = None) -> tuple[list[str], list[str]]:
    """Play a case. Return the findings, and the lines of the story if it is told."""
    playing: list[Struck] = []

    async def main() -> list[str]:
        kind = StruckAloud if is_told else Struck
        playing.append(kind(story_of(case), is_journal_checked=False))
        playing[0].strike_at(case)
        return await playing[0].play()

    try:
        problems = run(main(), seed=seed)
    except (AssertionError, Stuck, ExceptionGroup) as exc:
        problems = [f"{type(exc).__name__}: {exc}"]
    return problems, playing[0].lines


def cases() -> list[Case]:
    """Return every trouble at every moment."""
    return [Case(moment=moment, trouble=trouble) for trouble in TROUBLES for moment in Moment]


if __name__ == "__main__":
    import sys

    silence_logs()
    for one in cases():
        if all(word in str(one) for word in sys.argv[1:]):
            found, lines = struck(one, is_told=len(sys.argv) > 1)
            print(one, *(found or ["good"]), *lines, sep="\n   ")
