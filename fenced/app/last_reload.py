"""The outcome of the last reload, for the status line, the metrics and the event.

A signal can't report how the reload ended, so a refusal stays visible here until a reload succeeds.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fenced.config.mistakes import Mistake

WHY_CHARACTERS_MAX: Final = 400


class LastReload:
    """Begins as a success: the program runs on the configuration that it started with."""

    def __init__(self) -> None:
        self._succeeded_at = time.time()
        self._refused = ""

    def succeeded(self) -> None:
        self._succeeded_at, self._refused = time.time(), ""

    def refused(self, why: str) -> None:
        self._refused = f"reload refused at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {why}"

    def outcome(self) -> tuple[bool, float]:
        """Return whether the last reload succeeded, and the wall time (UNIX seconds) of the last success."""
        return not self._refused, self._succeeded_at

    @property
    def refusal(self) -> str:
        """Why the last reload changed nothing; "": it did."""
        return self._refused

    def status(self, otherwise: str) -> str:
        """Return one line: the refusal until a reload succeeds, otherwise `otherwise`."""
        return self._refused or otherwise


def why_refused(errors: Sequence[Mistake]) -> str:
    """Return the number of mistakes, and the first of them."""
    return f"{len(errors)} errors, the first: {errors[0]}"[:WHY_CHARACTERS_MAX]


def why_restart(changed: Sequence[str]) -> str:
    return f"{', '.join(changed)} changed, which needs a restart; restart, or undo the change"
