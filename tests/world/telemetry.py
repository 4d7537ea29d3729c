"""ports.telemetry.Telemetry that records how often each thing happened, and what was measured."""

from collections import Counter, defaultdict

from fenced.ports.bus import MessageKind, MessageResult


class RecordingTelemetry:
    """`counts` by name and labels; `seconds` in order."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def bus_message(self, kind: MessageKind, result: MessageResult) -> None:
        self.counts["bus_message", kind.value, result.value] += 1

    def suspicion_ended(self, outcome: str) -> None:
        self.counts["suspicion_ended", outcome] += 1

    def detected(self, seconds: float) -> None:
        self.seconds["detected"].append(seconds)

    def gate_held(self, gate: str) -> None:
        self.counts["gate_held", gate] += 1

    def operation_ended(self, *, action: str, cause: str, result: str, seconds: float, operation: str = "") -> None:
        self.counts["operation_ended", action, cause, result] += 1

    def drill_ended(self, result: str) -> None:
        self.counts["drill_ended", result] += 1

    def stage(self, stage: str, seconds: float, *, operation: str = "") -> None:
        self.seconds[stage].append(seconds)

    def race_ended(self, seconds: float) -> None:
        self.seconds["race_ended"].append(seconds)

    def probe_ended(self, proxy: str, result: str) -> None:
        self.counts["probe_ended", proxy, result] += 1

    def looked(self, observer: str, answer: str) -> None:
        self.counts["looked", observer, answer] += 1

    def device_call(self, *, driver: str, command: str, result: str, seconds: float, operation: str = "") -> None:
        self.counts["device_call", driver, command, result] += 1

    def journal_append(self, seconds: float) -> None:
        self.seconds["journal_append"].append(seconds)

    def lease_taken(self, shard: str, reason: str) -> None:
        self.counts["lease_taken", shard, reason] += 1

    def loop_lag(self, seconds: float) -> None:
        self.seconds["loop_lag"].append(seconds)
