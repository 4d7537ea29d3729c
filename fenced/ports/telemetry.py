"""Counting. The engine reports what happened; the adapter knows Prometheus. No method may raise or block."""

from typing import Protocol

from fenced.ports.bus import MessageKind, MessageResult


class Telemetry(Protocol):
    """One method per fact of metrics.md that is counted when it happens; gauges are read at scrape time."""

    def bus_message(self, kind: MessageKind, result: MessageResult) -> None: ...

    def suspicion_ended(self, outcome: str) -> None:
        """`outcome`: cleared, fenced, failed, cancelled, left, maintenance."""
        ...

    def detected(self, seconds: float) -> None:
        """`seconds` from the last sign of life to the suspicion."""
        ...

    def gate_held(self, gate: str) -> None: ...

    def operation_ended(self, *, action: str, cause: str, result: str, seconds: float, operation: str = "") -> None:
        """`operation`: its id, by which a person finds it from the figure (an exemplar)."""
        ...

    def drill_ended(self, result: str) -> None:
        """`result`: succeeded, failed, cancelled."""
        ...

    def stage(self, stage: str, seconds: float, *, operation: str = "") -> None:
        """`stage`: confirm, race, off, verify, announce, restore."""
        ...

    def race_ended(self, seconds: float) -> None: ...

    def probe_ended(self, proxy: str, result: str) -> None: ...

    def looked(self, observer: str, answer: str) -> None:
        """An observer looked at an address of a host. `answer`: alive, silent, no_control, unknown."""
        ...

    def device_call(self, *, driver: str, command: str, result: str, seconds: float) -> None: ...

    def journal_append(self, seconds: float) -> None: ...

    def lease_taken(self, shard: str, reason: str) -> None:
        """`reason`: start (nobody else held it), released, handed_over, expired."""
        ...

    def loop_lag(self, seconds: float) -> None: ...
