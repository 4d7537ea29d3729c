"""Status of the proxies, and counters of a proxy agent: for operators, metrics and the choice of candidates.

A proxy that was not polled yet is neither up nor down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fenced.model.names import ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyView:
    """The last poll of a proxy. `is_up` None: not polled yet. `answered_at`: steady time of its last answer.

    `why_barred`: why it is no candidate regardless of its machine, for example an incompatible protocol.
    """

    name: ProxyName
    url: str
    is_up: bool | None = None
    answered_at: float | None = None
    round_trip_seconds: float | None = None
    version: str = ""
    in_flight: int = 0
    capacity: int = 0
    drivers: tuple[str, ...] = ()
    error: str = ""
    why_barred: str | None = None


class Proxies(Protocol):
    """The daemon's watch over its proxies."""

    def views(self) -> Sequence[ProxyView]:
        """Return all configured proxies, by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGauges:
    """A proxy agent's current values. `certificates`: (role, file, seconds until it expires)."""

    reads: int
    commands: int
    certificates: Sequence[tuple[str, str, float]]


class AgentTelemetry(Protocol):
    """The metrics of a proxy agent."""

    def observe(self, gauges: Callable[[], AgentGauges]) -> None:
        """Set where the gauges are read at each scrape."""
        ...

    def call_ended(self, *, what: str, driver: str, result: str, seconds: float) -> None: ...

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the body of a scrape, and its content type."""
        ...
