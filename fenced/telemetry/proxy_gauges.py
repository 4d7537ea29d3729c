"""The proxies as the daemon sees them, read at each scrape. Knows the port only.

One rule: a proxy that was not asked yet has no `up`, so that no alert fires over a start.
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
        """Nothing: the registry must not read a daemon that is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("fenced_proxy_up", "Whether the proxy agent answered when last asked", labels=("proxy",))
        seconds = GaugeMetricFamily(
            "fenced_proxy_round_trip_seconds", "How long its last answer took", labels=("proxy",)
        )
        for view in self._proxies.views():
            if view.is_up is not None:
                up.add_metric((str(view.name),), float(view.is_up))
            if view.round_trip_seconds is not None:
                seconds.add_metric((str(view.name),), view.round_trip_seconds)
        yield up
        yield seconds
