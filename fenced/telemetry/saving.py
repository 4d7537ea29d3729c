"""Gauges of power saving, read from the running daemon at each scrape.

Only clusters that save, or have a sleeper, are there. A rule that kept a host awake once stays, with 0.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced.core.idle.told import SavingTotals

RULES_MAX: Final = 64
"""The most rules that are remembered, to report 0; more than exist."""


class SavingGauges(Collector):
    """`totals` returns the figures of all shards."""

    def __init__(self, totals: Callable[[], SavingTotals]) -> None:
        self._totals = totals
        self._seen_rules: dict[str, None] = {}

    def describe(self) -> Iterable[Metric]:
        """Return nothing, as `Gauges` does."""
        return ()

    def collect(self) -> Iterator[Metric]:
        found = self._totals()
        sleeping = GaugeMetricFamily("fenced_sleeping_hosts", "Hosts that sleep to save power", labels=("cluster",))
        for cluster, count in found.sleeping.items():
            sleeping.add_metric((cluster,), count)
        about = "Idle hosts that a cluster lacks and that can't be woken"
        short = GaugeMetricFamily("fenced_saving_short_hosts", about, labels=("cluster",))
        for cluster, count in found.short.items():
            short.add_metric((cluster,), count)
        about = "Hosts of clusters that save which stay on, by the first rule that keeps each awake"
        blocked = GaugeMetricFamily("fenced_saving_blocked_hosts", about, labels=("why",))
        for rule in self._rules(found):
            blocked.add_metric((rule,), found.blocked.get(rule, 0))
        about = "Seconds that hosts have slept, all together"
        saved = CounterMetricFamily("fenced_saved_host_seconds", about, found.saved_seconds)
        yield from (sleeping, short, blocked, saved)

    def _rules(self, found: SavingTotals) -> Iterable[str]:
        for rule in found.blocked:
            if len(self._seen_rules) < RULES_MAX:
                self._seen_rules[rule] = None
        return sorted(self._seen_rules)
