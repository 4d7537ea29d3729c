"""Makes the verdict of a gate."""

from collections.abc import Sequence
from dataclasses import dataclass

from fenced.core.durable.state import GateVerdict
from fenced.model.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(GateVerdict):
    """A verdict of this moment. `margin`: how far the gate is from the other verdict, a number with its unit; "":
    nothing can be said. Only decision records keep it: strip others with `plain`."""

    margin: str = ""


def judged(gate: str, is_open: bool, why: str, margin: str = "") -> GateVerdict:
    """`why` may contain text from outside (an answer, a file), so it becomes one line without control characters.

    `margin` is made of numbers alone: verdicts are made for thousands of suspects.
    """
    return Judged(gate=gate, is_open=is_open, why=one_line(why), margin=margin)


def margin_of(verdict: GateVerdict) -> str:
    """Return the margin of a verdict; "" of one that was recorded."""
    return verdict.margin if isinstance(verdict, Judged) else ""


def plain(verdicts: Sequence[GateVerdict]) -> tuple[GateVerdict, ...]:
    """Return the verdicts as records hold them."""
    return tuple(GateVerdict(gate=it.gate, is_open=it.is_open, why=it.why) for it in verdicts)


def seconds_left(seconds: float) -> str:
    return f"{max(seconds, 0.0):.0f} s left"
