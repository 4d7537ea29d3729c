"""Faults at the worst moment: while a silent host is about to be fenced, is being fenced, or gets its power back.

Faults at random moments rarely hit an operation of a few seconds, so these are aimed at one. It relies on the fact that
a host is suspected about twenty seconds after its last heartbeat. Everything is mended soon, so that it hits only one
phase.
"""

from collections.abc import Callable
from typing import Final

from tests.simulation.daemon_faults import owner
from tests.simulation.devices import BROKEN, astray
from tests.simulation.draft import MENDED, Draft
from tests.simulation.edits import edited
from tests.simulation.people import UNDONE

SILENT: Final = ("dies", "hangs", "falls mute", "is cut off")
FIRST_OFF_SECONDS: Final = (4.0, 26.0)
"""After the host fell silent: from before the suspicion to the first OFF."""
OPERATION_SECONDS: Final = (14.0, 36.0)
"""From the suspicion to after the restore."""
SHORT_SECONDS: Final = (1.0, 3.0, 8.0, 20.0)
LONG_SECONDS: Final = (8.0, 20.0, 60.0)


def aimed(draft: Draft) -> None:
    """Add one fault at the operation of a host that falls silent in this draft. Nothing if there is none."""
    falls = [(at, *words.partition(" ")) for at, words in draft.lines]
    victims = [(at, host) for at, host, _, what in falls if host in draft.rack.hosts and what in SILENT]
    if not victims:
        return
    at, host = draft.dice.choice(victims)
    moment = at + draft.dice.uniform(*draft.dice.choice((FIRST_OFF_SECONDS, OPERATION_SECONDS)))
    if moment < MENDED:
        draft.dice.choice(AIMED)(draft, host, moment)
        draft.faults += 1


def _passing(
    draft: Draft, moment: float, begins: str, ends: str, *, seconds: tuple[float, ...] = SHORT_SECONDS
) -> None:
    draft.at(moment, begins)
    draft.at(min(moment + draft.dice.choice(seconds), MENDED), ends)


def _device(draft: Draft, host: str, moment: float) -> None:
    plug = f"plug {host} {draft.device()}"
    _passing(draft, moment, f"{plug} {draft.dice.choice(BROKEN)}", f"{plug} works")


def _astray(draft: Draft, host: str, moment: float) -> None:
    """Begins before the operation: its paths never agree."""
    plug = f"plug {host} {draft.device()}"
    draft.at(max(moment - OPERATION_SECONDS[1], 1.0), f"{plug} {astray(draft)}")
    draft.at(min(moment + draft.dice.choice(LONG_SECONDS), MENDED), f"{plug} works")


def _late(draft: Draft, host: str, moment: float) -> None:
    """A command that takes longer than its call waits, and acts at the last permitted moment."""
    plug, settle = f"plug {host} {draft.device()}", draft.rack.settle_seconds
    attempt = float(draft.rack.settings["power.attempt_timeout_seconds"])  # type: ignore[arg-type] # one of seconds
    if settle > 0.0:
        draft.at(moment, f"{plug} slow {attempt - 1.0:g}")
        draft.at(moment, f"{plug} acts {settle:g} late")
        draft.at(min(moment + draft.dice.choice(SHORT_SECONDS), MENDED), f"{plug} works")


def _person(draft: Draft, host: str, moment: float) -> None:
    words = draft.dice.choice(
        (
            f"person cancels {host}", f"person maintains {host}", f"person off {host}", f"person restart {host}",
            f"person on {host}", "person disarms", "person pauses *",
        )
    )  # fmt: skip
    for word, back in UNDONE.items():
        if word in words:
            _passing(draft, moment, words, back.format(host=host), seconds=LONG_SECONDS)
            return
    draft.at(moment, words)


def _life(draft: Draft, host: str, moment: float) -> None:
    """The host is heard again, alive or by an old message."""
    draft.at(
        moment, draft.dice.choice((f"{host} wakes", f"{host} speaks", f"{host} is back", f"{host} beats as boot 1"))
    )


def _death(draft: Draft, host: str, moment: float) -> None:
    steps, seconds = draft.dice.randrange(200), draft.dice.choice((0.1, 1, 5, 30))
    draft.at(moment, f"{owner(draft)} dies after {steps} steps, starts after {seconds}")


def _edit(draft: Draft, host: str, moment: float) -> None:
    edited(draft, host, moment)


def _bus(draft: Draft, host: str, moment: float) -> None:
    begins, ends = draft.dice.choice((("lost", "back"), ("refuses", "takes"), ("unheard", "works")))
    _passing(draft, moment, f"bus {begins}", f"bus {ends}")


def _store(draft: Draft, host: str, moment: float) -> None:
    _passing(draft, moment, draft.dice.choice(("store fails", "store hangs", "store slow 3")), "store works")


def _stall(draft: Draft, host: str, moment: float) -> None:
    draft.at(moment, f"{owner(draft)} stalls {draft.dice.choice((1, 5, 20, 40))}")


def _proxy(draft: Draft, host: str, moment: float) -> None:
    """The path in use, if it leads through that proxy."""
    if (name := draft.proxy()) is not None:
        _passing(
            draft, moment, f"proxy {name} {draft.dice.choice(('dies after it sent', 'cut', 'crashes'))}",
            f"proxy {name} works",
        )  # fmt: skip


AIMED: Final[tuple[Callable[[Draft, str, float], None], ...]] = (
    _device, _device, _astray, _astray, _late, _person, _person, _person, _life, _life, _death, _death, _bus, _store,
    _stall,
    _proxy, _edit, _edit,
)  # fmt: skip
