"""How many observers there are in each failure domain, and how many of them are missing, read at each scrape.

The daemon itself is one. A proxy that never said that it looks at hosts is none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced.model.names import ENGINE, ProxyName
from fenced.ports.proxies import Proxies

STATES: Final = ("ready", "missing")


class ObserverGauges(Collector):
    """`domain_of`: the failure domain of the daemon (`engine`) or a proxy; "": not known."""

    def __init__(self, proxies: Proxies, domain_of: Callable[[ProxyName], str]) -> None:
        self._proxies, self._domain_of = proxies, domain_of

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        counts = Counter([(self._domain_of(ENGINE), "ready")])
        for view in self._proxies.views():
            if view.is_observer:
                is_ready = bool(view.is_up) and view.why_barred is None
                counts[self._domain_of(view.name), "ready" if is_ready else "missing"] += 1
        family = GaugeMetricFamily(
            "fenced_observers", "Who can look at silent hosts, by failure domain", labels=("domain", "state")
        )
        for domain in sorted({domain for domain, _ in counts}):
            for state in STATES:
                family.add_metric((domain, state), counts[domain, state])
        yield family
