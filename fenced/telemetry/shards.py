"""Metrics of the shards that this controller holds or follows, read at each scrape through a callback."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """`lease_seconds`: what is left of the lease; 0 at a standby. `lag`: records that are not followed yet."""

    shard: str
    is_held: bool
    lease_seconds: float
    lag: int


class ShardGauges(Collector):
    """`facts`: returns those of each shard now."""

    def __init__(self, facts: Callable[[], Sequence[ShardFacts]]) -> None:
        self._facts = facts

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        leader = _family("fenced_shard_leader", "Whether this controller holds the shard")
        left = _family("fenced_lease_remaining_seconds", "What is left of the shard's lease; 0 at a standby")
        lag = _family("fenced_standby_lag_records", "Records of the shard that this standby has not followed yet")
        for it in self._facts():
            leader.add_metric((it.shard,), float(it.is_held))
            left.add_metric((it.shard,), round(it.lease_seconds, 3))
            lag.add_metric((it.shard,), float(it.lag))
        yield from (leader, left, lag)


def _family(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=("shard",))
