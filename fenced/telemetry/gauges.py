"""Gauges of interface.md#metrics, read from the running daemon at each scrape through the control port.

A scrape walks over the hosts once. Every state has a value, even 0.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced.core.durable.held_suspicion import SuspicionEnd
from fenced.core.durable.state import FenceableLevel
from fenced.core.readiness.values import WEEK_SECONDS
from fenced.model.power import OperationState, State
from fenced.ports.control import Control, FleetView, HostView

GATES_MAX: Final = 64
"""The most gates that are remembered, to report 0 when they hold no host any more; more than exist."""


class Gauges(Collector):
    """Register it in `Metrics.registry`.

    `outbox_pending`: messages that the broker has not acknowledged. `outbox_stuck`: hosts whose messages it rejects.
    `ahead_seconds`: how far the steady clock is ahead of the wall clock. `own_health`: 0 well .. 1.
    """

    def __init__(
        self,
        control: Control,
        *,
        outbox_pending: Callable[[], int],
        outbox_stuck: Callable[[], int],
        ahead_seconds: Callable[[], float] = lambda: 0.0,
        own_health: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._control, self._ahead_seconds = control, ahead_seconds
        self._own_health = own_health
        self._outbox_pending, self._outbox_stuck = outbox_pending, outbox_stuck
        self._seen_gates: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not collect while the daemon is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        fleet = self._control.fleet()
        yield from self._of_daemon(fleet)
        yield from self._of_hosts(self._control.hosts(), now=fleet.now)
        about = "How far the daemon's steady clock is ahead of the wall clock (negative: behind it)"
        yield _gauge("fenced_clock_ahead_seconds", about, round(self._ahead_seconds(), 3))
        about = "How badly the daemon itself hears, which stretches every grace: 0 well .. 1"
        yield _gauge("fenced_own_health", about, round(self._own_health(), 3))
        yield _gauge("fenced_outbox_pending", "Messages not yet acknowledged by the broker", self._outbox_pending())
        yield _gauge("fenced_outbox_stuck_hosts", "Hosts whose messages the broker rejects", self._outbox_stuck())

    def _of_daemon(self, fleet: FleetView) -> Iterator[Metric]:
        yield _gauge("fenced_armed", "Whether power commands are allowed (1) or not (0)", fleet.is_armed)
        yield _gauge("fenced_leader", "Whether this controller holds the lease", fleet.is_lease_held)
        yield _gauge("fenced_epoch", "Epoch of the lease; it rises with each holder", fleet.epoch)
        yield _gauge("fenced_bus_connected", "Whether the bus is connected", fleet.is_bus_connected)
        about = "How long a gate has been closed for the whole fleet or a cluster; the longest of them"
        yield _by_label("fenced_gate_closed_seconds", about, "gate", fleet.gate_closed_seconds)
        storms = dict.fromkeys(self._control.inventory.daemon.gates.storm_domains, 0)
        storms |= Counter(view.storm.domain for view in fleet.storms if view.storm.end is None)
        yield _by_label("fenced_storms", "Storms that last, by the key of their failure domain", "domain", storms)

    def _of_hosts(self, hosts: Iterable[HostView], *, now: float) -> Iterator[Metric]:
        states: Counter[State] = Counter()
        levels: Counter[FenceableLevel] = Counter()
        gates: Counter[str] = Counter()
        would_be: Counter[SuspicionEnd | None] = Counter()
        operations = redundancy_lost = left_off = 0
        about = "When a drill of the host last succeeded, in seconds since 1970; 0: never"
        drilled = GaugeMetricFamily("fenced_drill_last_success_timestamp_seconds", about, labels=("host",))
        for view in hosts:
            state = view.state
            if view.is_drill:
                at = state.drilled_at
                drilled.add_metric((state.name,), 0.0 if at is None else round(at - self._ahead_seconds(), 3))
            states[state.state] += 1
            if view.fenceable is not None:
                levels[view.fenceable.level] += 1
            gates.update(set(view.held_by))
            would_be.update(one.end for one in state.suspicions if (one.would_at or 0.0) > now - WEEK_SECONDS)
            for operation in (state.operation, state.reading):
                operations += operation is not None and operation.state is OperationState.RUNNING
            redundancy_lost += bool(state.redundancy_lost)
            left_off += state.is_left_off
        yield _by_label("fenced_hosts", "Hosts by state", "state", {state.value: states[state] for state in State})
        yield _by_label("fenced_held_hosts", "Hosts that a closed gate holds", "gate", self._with_seen(gates))
        yield _gauge("fenced_operations_in_flight", "Running operations", operations)
        yield _gauge("fenced_redundancy_lost_hosts", "Hosts with a device that could not be restored", redundancy_lost)
        yield _gauge("fenced_left_off_hosts", "Hosts that stay off until an operator acts", left_off)
        yield drilled
        yield from _fenceable(levels)
        about = (
            "Suspicions of the last week in which an armed daemon would have cut the power, by what became of the host"
        )
        outcomes = {"silent": would_be[None], **{end.value: would_be[end] for end in SuspicionEnd}}
        yield _by_label("fenced_would_be_fences", about, "outcome", outcomes)

    def _with_seen(self, gates: Counter[str]) -> dict[str, int]:
        """Add gates that held a host earlier with 0, so that an alert on them ends."""
        self._seen_gates.update(list(gates)[: max(0, GATES_MAX - len(self._seen_gates))])
        return {gate: gates[gate] for gate in sorted(self._seen_gates | set(gates))}


def _fenceable(levels: Counter[FenceableLevel]) -> Iterator[Metric]:
    """The share has no value if no host is checked, because that is neither an alarm nor an all-clear."""
    counts = {level.value: levels[level] for level in FenceableLevel}
    yield _by_label("fenced_fenceable_hosts", "Hosts by how they could be fenced now", "level", counts)
    about = "Share of the checked hosts that could be fenced now"
    could, all_ = levels[FenceableLevel.FULL] + levels[FenceableLevel.DEGRADED], levels.total()
    share = GaugeMetricFamily("fenced_fenceable_share", about)
    if all_:
        share.add_metric((), could / all_)
    yield share


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=float(value))


def _by_label(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), float(count))
    return family
