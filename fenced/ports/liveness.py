"""Asking a silent host itself, before its power is touched: any answer holds it (alive_but_silent)."""

from collections.abc import Sequence
from typing import Protocol


class Liveness(Protocol):
    """One active question to a host's own address."""

    async def ask(
        self, address: str, *, ports: Sequence[int], agents: Sequence[str], timeout_seconds: float
    ) -> str | None:
        """Who answered first ("tcp 22", "proxy px1"), or None. `agents`: URLs of proxy agents that run on the host.
        A refused connection is an answer too (a living kernel sent it); silence and "no route" are not. Never raises."""
        ...
