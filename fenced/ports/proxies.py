"""Status of the proxies, their floors (S21), and counters of a proxy agent.

A proxy that was not polled yet is neither up nor down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fenced.model.names import PlugId, ProxyName, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyView:
    """The last poll of a proxy. `is_up` None: not polled yet. `answered_at`: steady time of its last answer.

    `why_barred`: why it is no candidate regardless of its machine, for example an incompatible protocol. `looks_at`,
    `look_ports`: the networks and ports at which its own file lets it look, as it last said; empty: it is no observer.
    `reload_refused`: why its last reload changed nothing; "": it did.
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
    looks_at: tuple[str, ...] = ()
    look_ports: tuple[int, ...] = ()
    reload_refused: str = ""

    @property
    def is_observer(self) -> bool:
        """Whether it lets the daemon look at hosts, as far as is known."""
        return bool(self.looks_at)

    @property
    def is_untold(self) -> bool:
        """Whether it was asked and has not said yet whether it looks."""
        return self.is_up is False and self.answered_at is None and not self.is_observer


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
    looks: int
    certificates: Sequence[tuple[str, str, float]]


class AgentTelemetry(Protocol):
    """The metrics of a proxy agent."""

    def observe(self, gauges: Callable[[], AgentGauges]) -> None:
        """Set where the gauges are read at each scrape."""
        ...

    def call_ended(self, *, what: str, driver: str, result: str, seconds: float) -> None: ...

    def looked(self, *, answer: str, seconds: float) -> None:
        """`answer`: alive, silent, no_control, unknown."""
        ...

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the body of a scrape, and its content type."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorEcho:
    """A proxy's answer to a new epoch (S21). Not `is_raised`: the proxy keeps `epoch` and `holder`, and `why` says why.

    `under_way`: commands of the shard that may still act there, under any epoch, each with the seconds from the answer
    to its `not_after`. `is_whole`: that is all of them. `since`: the proxy has noted every command of later epochs.
    """

    epoch: int
    holder: str
    is_raised: bool
    why: str = ""
    since: int = 0
    under_way: Mapping[tuple[PlugId, Token], float] = field(default_factory=dict)
    is_whole: bool = False

    def has_ended(self, plug_id: PlugId, token: Token) -> bool:
        """Return whether the proxy proves that this command of an earlier epoch can't act any more.

        It ended there, or it never arrived and would be refused. False: wait for its `not_after`.
        """
        is_known = self.is_raised and self.is_whole and self.since < token.epoch < self.epoch
        return is_known and (plug_id, token) not in self.under_way


class Floors(Protocol):
    """Keeps the commands of earlier epochs from starting at the proxies."""

    def highest_epoch(self, *, above: int) -> int:
        """Return the highest epoch of this shard that any proxy has reported, or `above`, the store's.

        The next epoch must be higher, also after a store went back in time. One that is too far above the store's to be
        a controller's of ours is left out.
        """
        ...

    def report_higher_epoch_to(self, report: Callable[[int], None]) -> None:
        """Call `report` with the epoch when a proxy knows a later holder of the lease, or another one of our epoch."""
        ...

    async def raise_floors(self, *, epoch: int, holder: str, seconds: float) -> Mapping[ProxyName, FloorEcho]:
        """Hold the lease from now on, ask all proxies at once to raise their floor, and return the answers after at
        most `seconds`. A proxy that did not answer is asked again before its first command. Raises nothing for one."""
        ...
