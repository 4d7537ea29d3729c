"""What was read of each way to a device since we started. Lost with us: losing it costs time, not safety.

Knows no host's state and decides nothing. One rule: the same result twice changes nothing, for a batch that the store
refused is decided again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, ProxyName
from fenced.model.power import Power

VALID_INTERVALS = 2.5
"""A result that is older than so many intervals says nothing any more."""

ERROR_TEXT_MAX = 200


NOTHING: Final[Mapping[Any, Any]] = {}
"""One for all sights: two empty tables each would be more than a hundred bytes a host."""


@dataclass(slots=True)
class OffRow:
    """Readings of OFF in a row while the host was healthy. `since`: the end of the first; `at`: the start of the last."""

    since: float
    at: float
    boot: BootId | None
    reads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OffRounds:
    """Rounds of the watch in a row that read one level OFF. `since`, `last`: when the first and the last of them began;
    `until`: when the last was taken: the next one must have begun after it."""

    count: int
    since: float
    last: float
    until: float


@dataclass(slots=True)
class PathResult:
    """The last answers of one path. `at`: when the newest reading began; `failures`: in a row, 0 = it could be read.

    `power`: what it said last, ON or OFF; it said so first at `power_since` and last at `power_at`, and nothing else between.
    """

    at: float
    failures: int = 0
    failure: str = ""
    error: str = ""
    power: Power = Power.UNKNOWN
    power_since: float = 0.0
    power_at: float = 0.0

    def said(self, power: Power, *, at: float, since: float) -> None:
        """It read that. What it said before `since` is another story."""
        if self.power is not power or self.power_since < since:
            self.power, self.power_since = power, at
        self.power_at = at

    def contradicts(self, other: "PathResult") -> bool:
        """One says ON, the other OFF, and one of them said so before and after the other was asked."""
        are_known = {self.power, other.power} == {Power.ON, Power.OFF}
        return are_known and self.power_since <= other.power_at and other.power_since <= self.power_at


@dataclass(slots=True)
class HostChecks:
    """The paths of one host. `at`: when the newest of them was read."""

    at: float
    paths: dict[tuple[DeviceName, ProxyName], PathResult] = field(default_factory=dict)

    def keep(
        self, device: DeviceName, proxy: ProxyName, *, at: float, error: str | None, failure: str = "",
        power: Power | None = None, since: float = 0.0,
    ) -> None:  # fmt: skip
        """Take a result; one that is not newer than the last is dropped. `since`: from when on the path's words count."""
        known = self.paths.get((device, proxy))
        if known is not None and at <= known.at:
            return
        self.at = max(self.at, at)
        result = known or PathResult(at=at)
        self.paths[(device, proxy)] = result
        result.at, result.failure = at, failure
        result.failures = 0 if error is None else result.failures + 1
        result.error = "" if error is None else error[:ERROR_TEXT_MAX]
        if power in {Power.ON, Power.OFF}:
            result.said(power, at=at, since=since)


def valid_seconds(inventory: Inventory) -> float:
    """How long a result speaks of now; 0 where paths are not checked."""
    return VALID_INTERVALS * inventory.daemon.check.interval_seconds
