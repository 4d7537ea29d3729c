"""Counters and histograms for Prometheus, under the names of interface.md#metrics, in their own registry.

Implements `ports.telemetry`; `gauges` reads the gauges at each scrape. Counting never raises and never blocks, and no
histogram has a host label.
"""

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, exposition
from prometheus_client.openmetrics import exposition as openmetrics

from fenced import __version__
from fenced.core.durable.drill_state import DrillResult
from fenced.model.power import Action, OperationState
from fenced.ports.bus import MessageKind, MessageResult

FAST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""For the journal and the event loop, which should take milliseconds."""
CALL_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""For one call to a device, and for a proxy race."""
LONG_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1200.0)
"""For stages and whole operations; 45 s is the target from silence to `fenced`."""
OPENMETRICS: Final = "application/openmetrics-text"
OPENMETRICS_CONTENT_TYPE: Final = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
TEXT_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All counters and histograms. The composition root registers further collectors in `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        registry = self.registry
        Info("fenced_build", "Version of the running program", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)
        messages = Counter("fenced_bus_messages", "Messages from the bus", ("kind", "result"), registry=registry)
        self._messages: Final = {  # made once, because they are used thousands of times a second
            (kind, result): messages.labels(kind.value, result.value)
            for kind in MessageKind
            for result in MessageResult
        }
        self._suspicions = Counter("fenced_suspicions", "Ended suspicions by outcome", ("outcome",), registry=registry)
        self._detection = Histogram(
            "fenced_detection_seconds",
            "Seconds from the last sign of life to the suspicion",
            buckets=LONG_SECONDS,
            registry=registry,
        )
        self._holds = Counter("fenced_gate_holds", "Times that a gate closed for a host", ("gate",), registry=registry)
        self._operations = Counter(
            "fenced_operations", "Ended operations", ("action", "cause", "result"), registry=registry
        )
        saving = Counter(
            "fenced_saving_actions", "Ended operations of power saving", ("action", "result"), registry=registry
        )
        self._saving: Final = {
            (action.value, result.value): saving.labels(action.value, result.value)
            for action in (Action.SLEEP, Action.WAKE)
            for result in (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)
        }
        drills = Counter("fenced_drills", "Ended drills", ("result",), registry=registry)
        self._drills: Final = {result.value: drills.labels(result.value) for result in DrillResult}
        self._operation_seconds = Histogram(
            "fenced_operation_seconds", "Duration of operations", ("action",), buckets=LONG_SECONDS, registry=registry
        )
        self._stage_seconds = Histogram(
            "fenced_stage_seconds", "Duration of the stages", ("stage",), buckets=LONG_SECONDS, registry=registry
        )
        self._race_seconds = Histogram(
            "fenced_probe_race_seconds", "Duration of proxy races", buckets=CALL_SECONDS, registry=registry
        )
        self._probes = Counter("fenced_probes", "Probes in proxy races", ("proxy", "result"), registry=registry)
        self._looks = Counter("fenced_looks", "Looks at silent hosts", ("observer", "answer"), registry=registry)
        self._commands = Counter(
            "fenced_device_commands", "Calls to power devices", ("driver", "command", "result"), registry=registry
        )
        self._device_seconds = Histogram(
            "fenced_device_seconds",
            "Duration of calls to power devices",
            ("driver", "command"),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._of_store()
        self._lag_seconds = Histogram(
            "fenced_loop_lag_seconds", "Delay of the event loop", buckets=FAST_SECONDS, registry=registry
        )
        self._answers = Counter("fenced_api_requests", "Requests to the API", ("route", "status"), registry=registry)

    def _of_store(self) -> None:
        registry = self.registry
        self._append_seconds = Histogram(
            "fenced_journal_append_seconds",
            "Seconds until a batch is durable",
            buckets=FAST_SECONDS,
            registry=registry,
        )
        self._transaction_seconds = Histogram(
            "fenced_store_transaction_seconds",
            "Duration of transactions that write to the store",
            buckets=FAST_SECONDS,
            registry=registry,
        )
        self._takeovers = Counter(
            "fenced_takeovers",
            "Times that this controller took a shard's lease",
            ("shard", "reason"),
            registry=registry,
        )

    def bus_message(self, kind: MessageKind, result: MessageResult) -> None:
        self._messages[kind, result].inc()

    def suspicion_ended(self, outcome: str) -> None:
        self._suspicions.labels(outcome).inc()

    def detected(self, seconds: float) -> None:
        self._detection.observe(seconds)

    def gate_held(self, gate: str) -> None:
        self._holds.labels(gate).inc()

    def operation_ended(self, *, action: str, cause: str, result: str, seconds: float, operation: str = "") -> None:
        self._operations.labels(action, cause, result).inc()
        if (action, result) in self._saving:
            self._saving[action, result].inc()
        self._operation_seconds.labels(action).observe(seconds, _exemplar(operation))

    def drill_ended(self, result: str) -> None:
        self._drills[result].inc()

    def stage(self, stage: str, seconds: float, *, operation: str = "") -> None:
        self._stage_seconds.labels(stage).observe(seconds, _exemplar(operation))

    def race_ended(self, seconds: float) -> None:
        self._race_seconds.observe(seconds)

    def probe_ended(self, proxy: str, result: str) -> None:
        self._probes.labels(proxy, result).inc()

    def looked(self, observer: str, answer: str) -> None:
        self._looks.labels(observer, answer).inc()

    def device_call(self, *, driver: str, command: str, result: str, seconds: float) -> None:
        self._commands.labels(driver, command, result).inc()
        self._device_seconds.labels(driver, command).observe(seconds)

    def journal_append(self, seconds: float) -> None:
        self._append_seconds.observe(seconds)

    def store_transaction(self, seconds: float) -> None:
        self._transaction_seconds.observe(seconds)

    def lease_taken(self, shard: str, reason: str) -> None:
        self._takeovers.labels(shard, reason).inc()

    def loop_lag(self, seconds: float) -> None:
        self._lag_seconds.observe(seconds)

    def api_answer(self, route: str, status: int) -> None:
        """Count an answer of the API by the route's template, which holds no host's name."""
        self._answers.labels(route, str(status)).inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape and its content type: OpenMetrics if the Accept header asks for it.

        prometheus_client's `choose_encoder` is not used: it raises TypeError for a version that is not a number.
        """
        return exposed(self.registry, accept)


def _exemplar(operation: str) -> dict[str, str] | None:
    """Return the labels of an exemplar. Only OpenMetrics shows it, of each bucket the last one."""
    return {"operation": operation} if operation else None


def exposed(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return a scrape of any registry, like `Metrics.exposition`."""
    if any(part.partition(";")[0].strip() == OPENMETRICS for part in accept.split(",")):
        text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # the library has no type
        return text, OPENMETRICS_CONTENT_TYPE
    return exposition.generate_latest(registry), TEXT_CONTENT_TYPE
