"""Whether another client uses our name at the broker, which throws us off each time that it connects.

Knows how connections ended, no socket. One rule: a broker of MQTT 5 may say it (Mosquitto 2.0.11 only hangs up), so that
without its word a run of lost connections is a suspicion, and is told as one.
"""

import asyncio
from collections import deque
from typing import Final

LOSSES_MAX: Final = 3
WINDOW_SECONDS: Final = 600.0
"""So many connections that were let in and lost in so long are no accident; and how long after the last it is told."""
ADVICE: Final = (
    "give each client an account of its own, and set use_username_as_clientid for each listener of the broker"
)


class Rivals:
    """`client_id`: our name."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self.taken_over_count = 0
        self._lost: deque[float] = deque(maxlen=LOSSES_MAX)
        self._told = ""

    def explained(self, why: str, *, is_taken_over: bool) -> str:
        """Why a connection was lost after its log-in, with what may be behind it."""
        now = asyncio.get_running_loop().time()
        self._lost.append(now)
        if is_taken_over:
            self.taken_over_count += 1
            self._told = (
                f"another client took our name at the broker (client id {self._client_id}, or our account): {ADVICE}"
            )
        elif len(self._lost) == LOSSES_MAX and now - self._lost[0] < WINDOW_SECONDS:
            self._told = (
                f"{why}; lost {LOSSES_MAX} times within {WINDOW_SECONDS / 60:g} minutes: if the broker was not "
                f"restarted, another client uses our name (client id {self._client_id}) or our account; {ADVICE}"
            )
        else:
            self._told = ""
        return self._told or why

    @property
    def suspicion(self) -> str:
        """What the last loss looked like, while it is not long ago; else ""."""
        is_recent = bool(self._lost) and asyncio.get_running_loop().time() - self._lost[-1] < WINDOW_SECONDS
        return self._told if is_recent else ""
