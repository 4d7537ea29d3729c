"""Open a gate for the time of a play, to measure what it is good for. The product has no such switch."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from fenced.core.allowed import gates
from fenced.core.durable.state import GateVerdict
from fenced.core.suspected import silence

RELEASE_GRACE = "release_grace"


@contextlib.contextmanager
def opened(gate: str | None) -> Iterator[None]:
    """Let that gate be open whatever it says; None: all gates judge as they do."""
    with contextlib.ExitStack() as stack:
        if gate == RELEASE_GRACE:  # it is no verdict of `all_gates`: the suspect waits before it is judged
            stack.enter_context(patch.object(silence, "released_at", lambda fleet, name: 0.0))
        elif gate is not None:
            for name in ("all_gates", "level_gates"):
                stack.enter_context(patch.object(gates, name, _opening(gate, getattr(gates, name))))
        yield


def _opening(gate: str, judge: Callable[..., tuple[GateVerdict, ...]]) -> Callable[..., tuple[GateVerdict, ...]]:
    def judged(*arguments: Any, **more: Any) -> tuple[GateVerdict, ...]:
        verdicts = judge(*arguments, **more)
        return tuple(replace(it, is_open=True) if it.gate == gate else it for it in verdicts)

    return judged
