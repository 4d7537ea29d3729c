"""The last results of each path to a device since the start. A restart loses them, which costs time and never safety.

This module knows no host states and decides nothing. All values are frozen; the same result twice changes nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fenced.core.durable.replacing import replace
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, ProxyName
from fenced.model.power import Power

VALID_INTERVALS = 2.5
"""A result is valid for this many check intervals."""

ERROR_TEXT_MAX = 200

NOTHING: Final[Mapping[Any, Any]] = {}
"""Shared by all sights: two empty dicts each would cost over a hundred bytes a host."""


@dataclass(frozen=True, slots=True)
class OffRow:
    """Consecutive OFF readings of a healthy host. `since`: the end of the first; `at`: the start of the last."""

    since: float
    at: float
    boot: BootId | None
    reads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OffRounds:
    """Consecutive watch rounds that read one level OFF. `since`, `last`: when the first and the last of them began;
    `until`: when the last one was counted. The next round must begin after `until`."""

    count: int
    since: float
    last: float
    until: float


@dataclass(frozen=True, slots=True)
class PathResult:
    """The last answers of one path.

    `at`: when the newest reading began; `failures`: in a row, 0 = readable. `power`: the last known one, ON or OFF; the
    path read it first at `power_since`, last at `power_at`, and no other in between.
    """

    at: float
    failures: int = 0
    failure: str = ""
    error: str = ""
    power: Power = Power.UNKNOWN
    power_since: float = 0.0
    power_at: float = 0.0

    def said(self, power: Power, *, at: float, since: float) -> "PathResult":
        """Return the result after a reading of `power`. A row of equal readings does not reach back beyond `since`."""
        is_new = self.power is not power or self.power_since < since
        return replace(self, power=power, power_since=at if is_new else self.power_since, power_at=at)

    def contradicts(self, other: "PathResult") -> bool:
        """Return whether one path read ON and the other OFF, and one did so both before and after the other was
        read."""
        are_known = {self.power, other.power} == {Power.ON, Power.OFF}
        return are_known and self.power_since <= other.power_at and other.power_since <= self.power_at


PathOfHost = tuple[DeviceName, ProxyName]


@dataclass(frozen=True, slots=True)
class HostChecks:
    """The paths of one host. `at`: when the newest of them was read."""

    at: float
    paths: Mapping[PathOfHost, PathResult] = field(default_factory=lambda: NOTHING)

    def keep(
        self, device: DeviceName, proxy: ProxyName, *, at: float, error: str | None, failure: str = "",
        power: Power | None = None, since: float = 0.0,
    ) -> "HostChecks":  # fmt: skip
        """Return the checks with a new result; one that is not newer than the last is dropped. `since`: readings before
        it don't count."""
        known = self.paths.get((device, proxy))
        if known is not None and at <= known.at:
            return self
        before = known or PathResult(at=at)
        result = replace(
            before,
            at=at,
            failure=failure,
            failures=0 if error is None else before.failures + 1,
            error="" if error is None else error[:ERROR_TEXT_MAX],
        )
        if power in {Power.ON, Power.OFF}:
            result = result.said(power, at=at, since=since)
        return HostChecks(at=max(self.at, at), paths={**self.paths, (device, proxy): result})

    def without(self, paths: Collection[PathOfHost]) -> "HostChecks":
        """Return the checks without these paths."""
        return HostChecks(at=self.at, paths={path: it for path, it in self.paths.items() if path not in paths})


def valid_seconds(inventory: Inventory) -> float:
    """Return how long a result is valid; 0 where paths are not checked."""
    return VALID_INTERVALS * inventory.daemon.check.interval_seconds
