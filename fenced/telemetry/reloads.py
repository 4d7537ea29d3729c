"""How the last reload ended, read at each scrape, under the names that Prometheus uses for its own.

One rule: both are there from the start, so that an alert on them needs no first reload.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ReloadGauges(Collector):
    """`outcome`: whether the last one succeeded, and the wall time of the last that did."""

    def __init__(self, outcome: Callable[[], tuple[bool, float]]) -> None:
        self._outcome = outcome

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not ask while everything is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        is_successful, at = self._outcome()
        yield GaugeMetricFamily(
            "fenced_config_last_reload_successful",
            "Whether the configuration was taken when it was last read",
            value=float(is_successful),
        )
        yield GaugeMetricFamily(
            "fenced_config_last_reload_seconds",
            "When a configuration was last taken, in seconds since 1970",
            value=at,
        )
