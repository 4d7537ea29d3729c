"""Remaining validity of certificates, read at each scrape through a callback; it reads no files.

The value is in seconds and negative after the end, so that one alert rule serves every file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class CertificateGauges(Collector):
    """`certificates`: returns (role, file, seconds until it ends) for each."""

    def __init__(self, certificates: Callable[[], Sequence[tuple[str, str, float]]]) -> None:
        self._certificates = certificates

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "fenced_certificate_expiry_seconds", "Seconds until a certificate ends", labels=("role", "file")
        )
        for role, file, seconds in self._certificates():
            family.add_metric((role, file), seconds)
        yield family
