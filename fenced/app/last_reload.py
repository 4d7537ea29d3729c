"""How the last reading of the configuration ended: what status line, metrics and event say of it.

Knows no configuration. One rule: a refusal stays told until a reload succeeds, for `systemctl reload` sends a signal and
calls that a success.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fenced.config.mistakes import Mistake

WHY_CHARACTERS_MAX: Final = 400


class LastReload:
    """Begins as a success: the program starts on what it read."""

    def __init__(self) -> None:
        self._succeeded_at = time.time()
        self._refused = ""

    def taken(self) -> None:
        self._succeeded_at, self._refused = time.time(), ""

    def refused(self, why: str) -> None:
        self._refused = f"reload refused at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {why}"

    def outcome(self) -> tuple[bool, float]:
        """Whether the last one succeeded, and the wall time (UNIX seconds) of the last that did."""
        return not self._refused, self._succeeded_at

    def status(self, otherwise: str) -> str:
        """One line for people: the refusal while it stands, else what is to be said."""
        return self._refused or otherwise


def why_refused(errors: Sequence[Mistake]) -> str:
    """How many mistakes, and the first of them."""
    return f"{len(errors)} errors, the first: {errors[0]}"[:WHY_CHARACTERS_MAX]


def why_restart(changed: Sequence[str]) -> str:
    return f"{', '.join(changed)} changed: that needs a restart"
