"""Gauges of INTERFACE section 5, read from the running daemon at each scrape: nothing to keep in step.

Knows the control port only. One rule: one walk over the hosts per scrape, and every state is there even at 0.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fenced.core.durable.state import FenceableLevel
from fenced.model.power import OperationState, State
from fenced.ports.control import Control, FleetView, HostView

GATES_MAX: Final = 64
"""Gates that are told at 0 once they no longer hold a host; more than exist."""


class Gauges(Collector):
    """Register it in `Metrics.registry`. `outbox_pending`: messages that the broker has not acknowledged;
    `outbox_stuck`: hosts whose messages it does not take. `ahead_seconds`: how far our steady clock is ahead of the wall's."""

    def __init__(
        self,
        control: Control,
        *,
        outbox_pending: Callable[[], int],
        outbox_stuck: Callable[[], int],
        ahead_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._control, self._ahead_seconds = control, ahead_seconds
        self._outbox_pending, self._outbox_stuck = outbox_pending, outbox_stuck
        self._seen_gates: set[str] = set()

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not read a daemon that is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._of_daemon(self._control.fleet())
        yield from self._of_hosts(self._control.hosts())
        about = "How far the daemon's own clock is ahead of the wall clock (negative: behind it)"
        yield _gauge("fenced_clock_ahead_seconds", about, round(self._ahead_seconds(), 3))
        yield _gauge("fenced_outbox_pending", "Messages not yet acknowledged by the broker", self._outbox_pending())
        yield _gauge("fenced_outbox_stuck_hosts", "Hosts whose messages the broker does not take", self._outbox_stuck())

    def _of_daemon(self, fleet: FleetView) -> Iterator[Metric]:
        yield _gauge("fenced_armed", "Whether power commands may be sent (1) or not (0)", fleet.is_armed)
        yield _gauge("fenced_leader", "Whether this controller holds the lease", fleet.is_lease_held)
        yield _gauge("fenced_epoch", "The lease's number; rises with each holder", fleet.epoch)
        yield _gauge("fenced_bus_connected", "Whether the bus is connected", fleet.is_bus_connected)
        about = "How long a gate is closed for the whole fleet or a cluster, the longest of them"
        yield _by_label("fenced_gate_closed_seconds", about, "gate", fleet.gate_closed_seconds)

    def _of_hosts(self, hosts: Iterable[HostView]) -> Iterator[Metric]:
        states: Counter[State] = Counter()
        levels: Counter[FenceableLevel] = Counter()
        gates: Counter[str] = Counter()
        operations = redundancy_lost = left_off = 0
        for view in hosts:
            state = view.state
            states[state.state] += 1
            if view.fenceable is not None:
                levels[view.fenceable.level] += 1
            gates.update(set(view.held_by))
            for operation in (state.operation, state.reading):
                operations += operation is not None and operation.state is OperationState.RUNNING
            redundancy_lost += bool(state.redundancy_lost)
            left_off += state.is_left_off
        yield _by_label("fenced_hosts", "Hosts by state", "state", {state.value: states[state] for state in State})
        yield _by_label("fenced_held_hosts", "Hosts that a closed gate holds", "gate", self._with_seen(gates))
        yield _gauge("fenced_operations_in_flight", "Operations that run now", operations)
        yield _gauge("fenced_redundancy_lost_hosts", "Hosts with a device that could not be restored", redundancy_lost)
        yield _gauge("fenced_left_off_hosts", "Hosts that stay off until a person acts", left_off)
        yield from _fenceable(levels)

    def _with_seen(self, gates: Counter[str]) -> dict[str, int]:
        """A gate that held somebody once is told at 0 afterwards, so that an alert on it ends."""
        self._seen_gates.update(list(gates)[: max(0, GATES_MAX - len(self._seen_gates))])
        return {gate: gates[gate] for gate in sorted(self._seen_gates | set(gates))}


def _fenceable(levels: Counter[FenceableLevel]) -> Iterator[Metric]:
    """The share has no value where nothing is checked: neither an alarm nor an all-clear."""
    told = {level.value: levels[level] for level in FenceableLevel}
    yield _by_label("fenced_fenceable_hosts", "Hosts by how they could be fenced now", "level", told)
    about = "Share of the checked hosts that could be fenced right now"
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
