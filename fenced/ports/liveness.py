"""Probes a silent host directly before its power is touched: any answer holds the fence (alive_but_silent)."""

from collections.abc import Sequence
from typing import Protocol


class Liveness(Protocol):
    """A probe of a host's own address."""

    async def ask(
        self, address: str, *, ports: Sequence[int], agents: Sequence[str], timeout_seconds: float
    ) -> str | None:
        """Return what answered first ("tcp 22", "proxy px1"), or None.

        `agents`: URLs of proxy agents that run on the host. A refused connection is an answer too (a living kernel sent
        it); silence and "no route" are not. Never raises.
        """
        ...
