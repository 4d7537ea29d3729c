"""Metrics of a proxy agent: its calls, those in flight, its certificates.

Implements `ports.proxies.AgentTelemetry`. No label names a device, a daemon or a credential.
"""

import platform
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced import __version__
from fenced.ports.proxies import AgentGauges
from fenced.telemetry.certificates import CertificateGauges
from fenced.telemetry.metrics import CALL_SECONDS, exposed


class ProxyMetrics:
    """All metrics of one proxy agent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        Info("fenced_build", "Version of the running program", registry=self.registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=self.registry)
        self._calls = Histogram(
            "fenced_proxy_call_seconds",
            "Duration of the calls that this proxy carried out",
            ("command", "driver", "result"),
            buckets=CALL_SECONDS,
            registry=self.registry,
        )

        self._looks = Histogram(
            "fenced_proxy_look_seconds",
            "Duration of the looks at hosts that this proxy carried out",
            ("answer",),
            buckets=CALL_SECONDS,
            registry=self.registry,
        )

    def observe(self, gauges: Callable[[], AgentGauges]) -> None:
        self.registry.register(_InFlight(gauges))
        self.registry.register(CertificateGauges(lambda: gauges().certificates))

    def call_ended(self, *, what: str, driver: str, result: str, seconds: float) -> None:
        self._calls.labels(what, driver, result).observe(seconds)

    def looked(self, *, answer: str, seconds: float) -> None:
        self._looks.labels(answer).observe(seconds)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        return exposed(self.registry, accept)


class _InFlight(Collector):
    def __init__(self, gauges: Callable[[], AgentGauges]) -> None:
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        gauges = self._gauges()
        family = GaugeMetricFamily("fenced_proxy_calls_in_flight", "Running calls", labels=("kind",))
        family.add_metric(("read",), gauges.reads)
        family.add_metric(("command",), gauges.commands)
        family.add_metric(("look",), gauges.looks)
        yield family
