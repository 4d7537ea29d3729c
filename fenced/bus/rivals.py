"""Detects another client with the same name at the broker, which disconnects this one each time that it connects.

A broker that speaks MQTT 5 may report the takeover, but Mosquitto 2.0.11 only closes the connection. Without a report a
run of lost connections is only a suspicion, and the text says so. The module knows how connections ended, no socket.
"""

import asyncio
from collections import deque
from typing import Final

LOSSES_MAX: Final = 3
WINDOW_SECONDS: Final = 600.0
"""This many losses of logged-in connections in this time are suspicious; it lasts equally long after the last loss."""
ADVICE: Final = "give each client its own account, and set use_username_as_clientid for each listener of the broker"


class Rivals:
    """`client_id`: this client's name."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self.taken_over_count = 0
        self._lost: deque[float] = deque(maxlen=LOSSES_MAX)
        self._finding = ""

    def explained(self, why: str, *, is_taken_over: bool) -> str:
        """Return why a logged-in connection was lost, with the likely cause."""
        now = asyncio.get_running_loop().time()
        self._lost.append(now)
        if is_taken_over:
            self.taken_over_count += 1
            self._finding = (
                f"another client took our name at the broker (client id {self._client_id}, or our account): {ADVICE}"
            )
        elif len(self._lost) == LOSSES_MAX and now - self._lost[0] < WINDOW_SECONDS:
            self._finding = (
                f"{why}; lost {LOSSES_MAX} times within {WINDOW_SECONDS / 60:g} minutes: if the broker was not "
                f"restarted, another client uses our name (client id {self._client_id}) or our account; {ADVICE}"
            )
        else:
            self._finding = ""
        return self._finding or why

    @property
    def suspicion(self) -> str:
        """Return what the last loss suggested, while it is recent; else ""."""
        is_recent = bool(self._lost) and asyncio.get_running_loop().time() - self._lost[-1] < WINDOW_SECONDS
        return self._finding if is_recent else ""
