"""What is known of the proxies, and what a proxy agent counts: for people, metrics and the choice of candidates.

One rule: a proxy that did not answer yet is neither up nor down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fenced.model.names import ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyView:
    """A proxy as last asked. `is_up` None: not asked yet. `answered_at`: steady time of its last answer.

    `why_barred`: why it is no candidate whatever its machine does, as a protocol that we don't speak.
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
        """All configured proxies, by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGauges:
    """A proxy agent at this moment. `certificates`: (role, file, seconds until it ends)."""

    reads: int
    commands: int
    certificates: Sequence[tuple[str, str, float]]


class AgentTelemetry(Protocol):
    """What a proxy agent tells of itself."""

    def observe(self, gauges: Callable[[], AgentGauges]) -> None:
        """Where the gauges are read at each scrape."""
        ...

    def call_ended(self, *, what: str, driver: str, result: str, seconds: float) -> None: ...

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """What a scrape gets, and its content type."""
        ...
