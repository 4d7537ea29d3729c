"""Edits of the inventory while the daemon is down: at its start it resumes what began under another inventory.

Every edit is one that an operator may make, and a host that was left out comes back.
"""

from tests.simulation.draft import MENDED, Draft

NEW_NAME = "feed"
DOWN_SECONDS = (0.3, 2.0, 6.0)
LEFT_OUT_SECONDS = (3.0, 15.0, 40.0)


def edit(draft: Draft) -> None:
    """At any moment, of any host."""
    edited(draft, draft.host(), draft.moment())
    draft.faults += 1


def edited(draft: Draft, host: str, moment: float) -> None:
    """The daemon dies, the files are edited, it starts again."""
    names = [device.partition(":")[0] for device in draft.rack.devices]
    one, other = (names * 2)[:2] if len(names) == 1 else draft.dice.sample(names, 2)
    what = draft.dice.choice(
        (f"forgets {one}", f"renames {one} {NEW_NAME}", f"swaps {one} {other}", "leaves out", f"remembers {one}",
         f"puts {one} on level {draft.dice.choice((1, 2, 3))}", f"swaps {other} {one}")
    )  # fmt: skip
    if what in {
        f"remembers {one}",
        f"swaps {other} {one}",
    }:  # a feed that nobody wrote down, till now or in place of another
        draft.first(f"inventory {host} forgets {one}")
    restart(draft, moment, f"inventory {host} {what}", down_seconds=draft.dice.choice(DOWN_SECONDS))
    if what == "leaves out":
        back = min(moment + 8.0 + draft.dice.choice(LEFT_OUT_SECONDS), MENDED - 1.0)  # all is started at MENDED
        restart(draft, back, f"inventory {host} comes back", down_seconds=0.3)


def restart(draft: Draft, moment: float, words: str, *, down_seconds: float) -> None:
    draft.at(moment, "daemon crashes")
    draft.at(moment + 0.1, words)
    draft.at(moment + 0.1 + down_seconds, "daemon starts")
