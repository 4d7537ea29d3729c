"""The daemon's view of its proxies, read at each scrape through the port.

A proxy that was not probed yet has no `up`, so that no alert fires at a start.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced.ports.proxies import Proxies


class ProxyGauges(Collector):
    """Register it in `Metrics.registry`."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("fenced_proxy_up", "Whether the proxy agent answered the last probe", labels=("proxy",))
        seconds = GaugeMetricFamily(
            "fenced_proxy_round_trip_seconds", "Round trip of its last answer", labels=("proxy",)
        )
        for view in self._proxies.views():
            if view.is_up is not None:
                up.add_metric((str(view.name),), float(view.is_up))
            if view.round_trip_seconds is not None:
                seconds.add_metric((str(view.name),), view.round_trip_seconds)
        yield up
        yield seconds
