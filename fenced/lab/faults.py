"""Faults of emulated devices, set on purpose. Each outlet and BMC looks up its fault under a key.

A device without an entry works.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

SILENCE_MAX_SECONDS: Final = 120.0
"""How long a dead device holds a connection open before it drops it."""


class FaultKind(Enum):
    """STUCK accepts a command and stays ON; SLOW answers late; DEAD never answers; LYING reads OFF and stays ON."""

    STUCK = "stuck"
    SLOW = "slow"
    DEAD = "dead"
    LYING = "lying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One device's fault; only SLOW uses `delay_seconds`."""

    kind: FaultKind
    delay_seconds: float = 3.0


class Faults:
    """The faults of a rack, keyed by the text of an outlet (`pdu-a/1`) or of a BMC (`bmc/node-1`)."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._changed = asyncio.Event()

    def set(self, key: str, fault: Fault | None) -> None:
        """Set a fault, or remove it with None. Calls that wait at a dead device go on."""
        if fault is None:
            self._faults.pop(key, None)
        else:
            self._faults[key] = fault
        self._changed.set()
        self._changed = asyncio.Event()

    def kind(self, key: str) -> FaultKind | None:
        fault = self._faults.get(key)
        return None if fault is None else fault.kind

    def __iter__(self) -> Iterator[tuple[str, Fault]]:
        return iter(sorted(self._faults.items()))

    async def hold(self, key: str) -> None:
        """Delay a call as the device's fault requires: not at all, for the delay, or in silence.

        Raises TimeoutError if the device stayed dead; the caller then drops the connection.
        """
        fault = self._faults.get(key)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.delay_seconds)
        async with asyncio.timeout(SILENCE_MAX_SECONDS):
            while self.kind(key) is FaultKind.DEAD:
                await self._changed.wait()
