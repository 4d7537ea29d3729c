"""Metrics of the shards that this controller holds or follows, read at each scrape through a callback."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """`lease_seconds`: what is left of the lease; 0 at a standby. `lag`: records that are not followed yet. `drawn`,
    `drawn_elsewhere`: draws from the fleet's budget that count, of this shard and of others as it last saw them."""

    shard: str
    is_held: bool
    lease_seconds: float
    lag: int
    drawn: int = 0
    drawn_elsewhere: int = 0
    unrecovered_elsewhere: int = 0


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
        drawn = _family("fenced_budget_drawn", "Automatic fences of the shard that count in the fleet's budget")
        about = "Automatic fences of other shards that count in the fleet's budget, as this shard last saw them"
        elsewhere = _family("fenced_budget_drawn_elsewhere", about)
        about = "Fenced hosts of other shards that are not back, as this shard last saw them"
        away = _family("fenced_unrecovered_elsewhere_hosts", about)
        for it in self._facts():
            leader.add_metric((it.shard,), float(it.is_held))
            left.add_metric((it.shard,), round(it.lease_seconds, 3))
            lag.add_metric((it.shard,), float(it.lag))
            drawn.add_metric((it.shard,), float(it.drawn))
            elsewhere.add_metric((it.shard,), float(it.drawn_elsewhere))
            away.add_metric((it.shard,), float(it.unrecovered_elsewhere))
        yield from (leader, left, lag, drawn, elsewhere, away)


def _family(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=("shard",))
