"""Faults of the daemon itself: its loop, its clocks, its disk, its process, and a second daemon beside it.

Uses the words of the stories (tests/golden/daemon_words.py). Each of these faults ends on its own
or is mended by the end of the trouble.
"""

import random
from collections.abc import Callable
from typing import Final, Protocol

from tests.world.rack import Rack

SECOND: Final = "fenced-b"


class Draft(Protocol):
    """A scenario in the making."""

    dice: random.Random
    rack: Rack
    faults: int

    def at(self, seconds: float, words: str) -> None: ...

    def moment(self) -> float: ...

    def passing(self, begins: str, ends: str, *, most: float = 120.0) -> None: ...


def _once(draft: Draft, words: str) -> None:
    draft.at(draft.moment(), words)
    draft.faults += 1


def _stall(draft: Draft) -> None:
    _once(draft, f"{owner(draft)} stalls {draft.dice.choice((1, 3, 10, 30, 60))}")


def _suspend(draft: Draft) -> None:
    _once(draft, f"{owner(draft)} is suspended {draft.dice.choice((2, 10, 60))}")


def _death(draft: Draft) -> None:
    """Killed at an arbitrary await."""
    steps = draft.dice.choice((draft.dice.randrange(40), draft.dice.randrange(1000)))
    seconds = draft.dice.choice((0.1, 1, 5, 30))
    _once(draft, f"{owner(draft)} dies after {steps} steps, starts after {seconds}")


def _wall_clock(draft: Draft) -> None:
    """Its wall clock is wrong from now on; after a reboot the machine may believe it."""
    who = owner(draft)
    start = draft.moment()
    draft.at(start, f"{who} wall clock is off {draft.dice.choice((-7200, -60, 5, 60, 7200))}")
    if draft.dice.random() < 0.5:
        draft.at(start + draft.dice.uniform(0.0, 20.0), f"{who} reboots {draft.dice.choice((30, 45))}")
    draft.faults += 1


def _wrong_at_its_start(draft: Draft) -> None:
    """Its machine has the wrong time at the start, and the clock is corrected while it runs."""
    who, start = owner(draft), draft.moment()
    draft.at(start, f"{who} crashes")
    draft.at(start, f"{who} wall clock is off {draft.dice.choice((-7200, -60, 60, 7200))}")
    draft.at(start + 0.5, f"{who} starts")
    draft.at(start + draft.dice.choice((5.0, 20.0)), f"{who} wall clock is off 0")
    draft.faults += 1


def _slow_store(draft: Draft) -> None:
    draft.passing(f"store slow {draft.dice.choice((0.05, 0.5, 3))}", "store works")


def _failing_store(draft: Draft) -> None:
    draft.passing("store fails", "store works")


def _moody_store(draft: Draft) -> None:
    """The store refuses some batches and accepts others, for long enough to affect the watch and the check."""
    start = draft.moment()
    draft.at(start, f"store refuses {draft.dice.choice((20, 50))}%")
    draft.at(start + draft.dice.choice((5.0, 40.0, 90.0)), "store works")
    draft.faults += 1


def _hanging_store(draft: Draft) -> None:
    draft.passing("store hangs", "store works", most=60.0)


def _partition(draft: Draft) -> None:
    """One daemon does not reach the store; if there is a second one, it takes over."""
    who = owner(draft)
    draft.passing(f"{who} loses the store", f"{who} reaches the store")


def owner(draft: Draft) -> str:
    names = ("fenced-a", *draft.rack.other_daemons)
    return f"daemon {draft.dice.choice(names)}"


DAEMON_FAULTS: Final[tuple[Callable[[Draft], None], ...]] = (
    _stall, _suspend, _death, _death, _wall_clock, _wrong_at_its_start, _slow_store, _failing_store, _moody_store,
    _hanging_store, _partition,
)  # fmt: skip
