"""Metrics of the connection to the broker, read at each scrape through a callback; it knows no MQTT."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class BusGauges(Collector):
    """`taken_over`: returns how often another client used the daemon's name at the broker."""

    def __init__(self, taken_over: Callable[[], int]) -> None:
        self._taken_over = taken_over

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "fenced_bus_taken_over",
            "Times that another client took over this daemon's name at the broker",
            value=float(self._taken_over()),
        )
