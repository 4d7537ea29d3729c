"""The outcome of the last reload, read at each scrape, under names like those of Prometheus's own reload metrics.

Both metrics exist from the start, so that an alert on them needs no first reload.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ReloadGauges(Collector):
    """`outcome`: returns whether the last reload succeeded, and the wall time of the last success."""

    def __init__(self, outcome: Callable[[], tuple[bool, float]]) -> None:
        self._outcome = outcome

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        is_successful, at = self._outcome()
        yield GaugeMetricFamily(
            "fenced_config_last_reload_successful",
            "Whether the last reload of the configuration succeeded",
            value=float(is_successful),
        )
        yield GaugeMetricFamily(
            "fenced_config_last_reload_seconds",
            "Time of the last successful load of the configuration, in seconds since 1970",
            value=at,
        )
