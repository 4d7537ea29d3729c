"""What was read of each way to a device since we started. Lost with us: losing it costs time, not safety.

Knows no host's state and decides nothing. One rule: the same result twice changes nothing, for a batch that the store
refused is decided again.
"""

from dataclasses import dataclass, field

from fenced.core.candidates import named, why_not
from fenced.model.inventory import Device, Host, Inventory, Proxy
from fenced.model.names import BootId, ClusterName, DatacenterName, DeviceName, ProxyName

VALID_INTERVALS = 2.5
"""A result that is older than so many intervals says nothing any more."""

ERROR_TEXT_MAX = 200


@dataclass(slots=True)
class OffRow:
    """Readings of OFF in a row while the host was healthy. `since`: the end of the first; `at`: the start of the last."""

    since: float
    at: float
    boot: BootId | None
    reads: int = 1


@dataclass(slots=True)
class PathResult:
    """The last answers of one path. `at`: when the newest reading began; `failures`: in a row, 0 = it could be read."""

    at: float
    failures: int = 0
    failure: str = ""
    error: str = ""


@dataclass(slots=True)
class HostChecks:
    """The paths of one host. `at`: when the newest of them was read."""

    at: float
    paths: dict[tuple[DeviceName, ProxyName], PathResult] = field(default_factory=dict)

    def keep(self, device: DeviceName, proxy: ProxyName, *, at: float, error: str | None, failure: str = "") -> None:
        """Take a result; one that is not newer than the last is dropped."""
        known = self.paths.get((device, proxy))
        if known is not None and at <= known.at:
            return
        self.at = max(self.at, at)
        result = known or PathResult(at=at)
        self.paths[(device, proxy)] = result
        result.at, result.failure = at, failure
        result.failures = 0 if error is None else result.failures + 1
        result.error = "" if error is None else error[:ERROR_TEXT_MAX]


@dataclass(slots=True)
class Paths:
    """Who is named by the preference lists of an inventory; thousands of devices share one list."""

    inventory: Inventory
    _named: dict[tuple[tuple[str, ...], ClusterName, DatacenterName], tuple[ProxyName, ...]] = field(
        default_factory=dict
    )

    def of(self, host: Host, device: Device) -> tuple[ProxyName, ...]:
        """Every proxy that may ever serve, in order of preference: the list without the target itself."""
        key = (device.proxies, host.cluster, host.datacenter)
        names = self._named.get(key)
        if names is None:
            found = (name for word in device.proxies for name in named(word, host, self.inventory))
            names = self._named[key] = tuple(dict.fromkeys(found))
        return tuple(name for name in names if why_not(name, host, self.inventory, _nobody) is None)


def valid_seconds(inventory: Inventory) -> float:
    """How long a result speaks of now; 0 where paths are not checked."""
    return VALID_INTERVALS * inventory.daemon.check.interval_seconds


def _nobody(proxy: Proxy) -> None:
    """Barred by what may change: each is."""
