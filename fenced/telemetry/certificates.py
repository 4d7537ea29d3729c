"""How long certificates still last, read at each scrape. Knows no file: who watches them is asked.

One rule: seconds left, negative once a certificate has ended, so that one alert rule serves every file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class CertificateGauges(Collector):
    """`certificates`: (role, file, seconds until it ends)."""

    def __init__(self, certificates: Callable[[], Sequence[tuple[str, str, float]]]) -> None:
        self._certificates = certificates

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not ask while everything is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "fenced_certificate_expiry_seconds", "Until a certificate ends", labels=("role", "file")
        )
        for role, file, seconds in self._certificates():
            family.add_metric((role, file), seconds)
        yield family
