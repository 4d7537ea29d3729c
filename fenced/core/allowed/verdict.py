"""Makes the verdict of a gate."""

from fenced.core.durable.state import GateVerdict
from fenced.model.text import one_line


def judged(gate: str, is_open: bool, why: str) -> GateVerdict:
    """`why` may contain text from outside (an answer, a file), so it becomes one line without control characters."""
    return GateVerdict(gate=gate, is_open=is_open, why=one_line(why))
