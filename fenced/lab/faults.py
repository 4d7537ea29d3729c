"""What is wrong with an emulated device, on purpose. Knows neither outlets nor BMCs; they ask it under a key of theirs.

One rule: a device without an entry here is sound.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

SILENCE_MAX_SECONDS: Final = 120.0
"""How long a dead device holds a connection open before it drops it."""


class FaultKind(Enum):
    """STUCK takes a command and stays ON; SLOW answers late; DEAD never answers; LYING says OFF and stays ON."""

    STUCK = "stuck"
    SLOW = "slow"
    DEAD = "dead"
    LYING = "lying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One device's fault; `delay_seconds` is that of SLOW."""

    kind: FaultKind
    delay_seconds: float = 3.0


class Faults:
    """The faults of a rack, by the text of an outlet (`pdu-a/1`) or of a BMC (`bmc/node-1`)."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._changed = asyncio.Event()

    def set(self, key: str, fault: Fault | None) -> None:
        """None heals; whoever waits at a dead device is let go."""
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
        """What a question to the device costs before it is answered: nothing, the delay, or silence.

        Raises TimeoutError when a dead device was asked and stayed dead; the caller then drops the connection.
        """
        fault = self._faults.get(key)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.delay_seconds)
        async with asyncio.timeout(SILENCE_MAX_SECONDS):
            while self.kind(key) is FaultKind.DEAD:
                await self._changed.wait()
