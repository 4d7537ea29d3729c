"""What the connection to the broker went through, read at each scrape. Knows no MQTT: who keeps the connection is asked."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class BusGauges(Collector):
    """`taken_over`: how often another client took our name at the broker."""

    def __init__(self, taken_over: Callable[[], int]) -> None:
        self._taken_over = taken_over

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not ask while everything is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "fenced_bus_taken_over",
            "Times that another client took this daemon's name at the broker",
            value=float(self._taken_over()),
        )
