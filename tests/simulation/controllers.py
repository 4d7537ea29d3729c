"""Scenarios with two or three controllers: what befalls the active one, the others, and the store between them.

`daemon active` and `daemon standby` are whichever they are at that moment (tests/golden/daemon_words.py). Everything is
mended at the end of the trouble. A person releases a store that went back once the fleet had time to see it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.golden.people import STANDBY
from tests.simulation.draft import MENDED, Draft
from tests.simulation.people import UNDONE

CREWS: Final = (("fenced-b",), ("fenced-b",), ("fenced-b", "fenced-c"))
RELEASED_SECONDS: Final = 75.0
"""After everything is mended: longer than a takeover that waits for every command that the store may have lost."""
FENCE_SECONDS: Final = (4.0, 44.0)
"""After a host fell silent: from before its suspicion to its restore."""
SILENT: Final = (" dies", " hangs", " falls mute", " is cut off")
CUTS: Final = (("loses the store", "reaches the store"), ("loses the bus", "reaches the bus"),
               ("loses the proxies", "reaches the proxies"), ("is cut off", "is back"))  # fmt: skip


def crew(draft: Draft) -> None:
    """Give the rack its controllers. They start at once, or one of them a while later."""
    draft.rack = replace(draft.rack, other_daemons=draft.dice.choice(CREWS))


def moment_of_a_fence(draft: Draft) -> float:
    """Return a moment of the trouble, mostly while a host is being fenced."""
    falls = [at for at, words in draft.lines if words.endswith(SILENT)]
    if not falls or draft.dice.random() < 0.25:
        return draft.moment()
    return min(draft.dice.choice(falls) + draft.dice.uniform(*FENCE_SECONDS), MENDED - 1.0)


def who(draft: Draft) -> str:
    return draft.dice.choice(("active", "active", "active", "standby"))


def _killed(draft: Draft) -> None:
    at, name = moment_of_a_fence(draft), draft.dice.choice(("fenced-a", *draft.rack.other_daemons))
    draft.at(at, f"daemon {name} crashes")
    draft.at(at + draft.dice.choice((0.1, 2.0, 10.0, 30.0)), f"daemon {name} starts")


def _killed_at_an_await(draft: Draft) -> None:
    steps, seconds = draft.dice.randrange(300), draft.dice.choice((0.1, 5, 30))
    draft.at(moment_of_a_fence(draft), f"daemon {who(draft)} dies after {steps} steps, starts after {seconds}")


def _frozen(draft: Draft) -> None:
    how = draft.dice.choice(("stalls", "stalls", "is suspended"))
    draft.at(moment_of_a_fence(draft), f"daemon {who(draft)} {how} {draft.dice.choice((2, 8, 14, 16, 22, 40))}")


def _cut(draft: Draft) -> None:
    at, name = moment_of_a_fence(draft), draft.dice.choice(("fenced-a", *draft.rack.other_daemons))
    begins, ends = draft.dice.choice(CUTS)
    draft.at(at, f"daemon {name} {begins}")
    draft.at(min(at + draft.dice.choice((3.0, 12.0, 20.0, 40.0)), MENDED), f"daemon {name} {ends}")


def _handed_over(draft: Draft) -> None:
    at = moment_of_a_fence(draft)
    to = draft.dice.choice(("", "", *(f" to {name}" for name in ("fenced-a", *draft.rack.other_daemons))))
    draft.at(at, f"daemon active hands over{to}")
    if draft.dice.random() < 0.4:
        draft.at(min(at + draft.dice.choice((0.3, 1.0, 4.0, 16.0)), MENDED - 0.1), draft.dice.choice(
            ("daemon active hands over", "daemon standby crashes", "daemon active crashes", "store hangs")
        ))  # fmt: skip


def _stopped(draft: Draft) -> None:
    at, name = moment_of_a_fence(draft), draft.dice.choice(("fenced-a", *draft.rack.other_daemons))
    draft.at(at, f"daemon {name} stops")
    draft.at(at + draft.dice.choice((1.0, 20.0, 60.0)), f"daemon {name} starts")


def _all_restarted(draft: Draft) -> None:
    at = moment_of_a_fence(draft)
    draft.at(at, f"daemon all {draft.dice.choice(('crashes', 'stops'))}")
    draft.at(at + draft.dice.choice((0.5, 5.0, 30.0)), "daemon all is back")


def _machine(draft: Draft) -> None:
    at, name = moment_of_a_fence(draft), draft.dice.choice(("fenced-a", *draft.rack.other_daemons))
    if draft.dice.random() < 0.5:
        draft.at(at, f"daemon {name} wall clock is off {draft.dice.choice((-7200, -60, 60, 7200))}")
    if draft.dice.random() < 0.3:  # with its disk
        draft.at(at, f"daemon {name} crashes")
        draft.at(at + 1.0, f"daemon {name} loses its state directory")
    draft.at(at + 1.5, f"daemon {name} reboots {draft.dice.choice((10, 30))}")


def _store(draft: Draft) -> None:
    at = moment_of_a_fence(draft)
    what = draft.dice.choice(
        ("store hangs", "store fails", "store slow 3", "store commits 2 late", "store refuses 50%")
    )
    draft.at(at, what)
    if draft.dice.random() < 0.5:
        draft.at(at + draft.dice.choice((0.2, 1.0)), f"daemon active {draft.dice.choice(('crashes', 'stalls 20'))}")
    draft.at(min(at + draft.dice.choice((3.0, 12.0, 25.0)), MENDED), "store works")


def _store_clock(draft: Draft) -> None:
    """It jumps, for ever or for a while; the controllers' own clocks don't."""
    at = moment_of_a_fence(draft)
    draft.at(at, f"store clock is off {draft.dice.choice((-3600, -20, 20, 3600))}")
    if draft.dice.random() < 0.5:
        draft.at(at + draft.dice.choice((2.0, 20.0)), "store clock is off 0")


def _went_back(draft: Draft) -> None:
    """A standby database without the last commits is promoted, or a backup is put back."""
    at = moment_of_a_fence(draft)
    draft.at(max(at - draft.dice.choice((0.1, 0.5, 2.0, 10.0, 30.0)), 2.0), "store is copied")
    if draft.dice.random() < 0.3:
        words = draft.dice.choice(("person disarms", "person pauses *", f"person maintains {draft.host()}"))
        draft.at(max(at - draft.dice.choice((0.2, 9.0)), 2.1), words)
    if draft.dice.random() < 0.5:
        draft.at(at - 0.05, f"daemon {draft.dice.choice(('active', 'active', 'all'))} crashes")
        draft.at(at + draft.dice.choice((0.5, 20.0)), "daemon all is back")
    draft.at(at, "store goes back")
    draft.at(MENDED + RELEASED_SECONDS, "person releases the store")


def _said_at_a_standby(draft: Draft) -> None:
    """A person restricts at a standby, mostly while something befalls the active controller."""
    at, host = moment_of_a_fence(draft), draft.host()
    words = draft.dice.choice(("disarms", "pauses *", f"maintains {host}"))
    if draft.dice.random() < 0.6:
        befalls = ("daemon active crashes", "daemon active stalls 20", "daemon active hands over", "store slow 3")
        draft.at(at - draft.dice.choice((0.0, 0.3, 2.0)), draft.dice.choice(befalls))
    draft.at(at, f"person {words}{STANDBY}")
    for word, back in UNDONE.items():
        if word in words:
            draft.at(MENDED + RELEASED_SECONDS + 5.0, back.format(host=host))


TROUBLES: Final[dict[Callable[[Draft], None], int]] = {
    _killed: 4, _killed_at_an_await: 4, _frozen: 5, _cut: 5, _handed_over: 5, _stopped: 3, _all_restarted: 2,
    _machine: 3, _store: 4, _store_clock: 2, _went_back: 4, _said_at_a_standby: 3,
}  # fmt: skip


def trouble(draft: Draft) -> None:
    """Add what befalls the controllers, and mend it."""
    chosen = draft.dice.choices(tuple(TROUBLES), tuple(TROUBLES.values()), k=draft.dice.choice((1, 2, 2, 3)))
    for add in chosen:
        if add is _said_at_a_standby and _went_back in chosen:
            continue  # a controller that takes the lease does not know what only another one's state directory has
        add(draft)
        draft.faults += 1
    draft.at(MENDED, "store works")
    draft.at(MENDED + 1.0, "daemon all is back")
    for words in ("person arms", "person resumes"):
        if any(line in {"person disarms", "person pauses *"} for _, line in draft.lines):
            draft.at(MENDED + RELEASED_SECONDS + 5.0, words)
