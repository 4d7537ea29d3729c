"""The public face: names that other programs use. They are all there, or listed here as not in this version yet."""

import ast
from pathlib import Path
from typing import Final

from fenced.model.power import State
from fenced.telemetry.bus_gauges import BusGauges
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.reloads import ReloadGauges
from tests.fakes.control import FakeControl
from tests.house.tree import ROOT, tree

ANNOUNCE: Final = ROOT / "fenced/core/said/announce.py"

HOST_EVENTS: Final = [
    "healthy",
    "suspected",
    "cleared",
    "held",
    "dumping",
    "soft_fenced",
    "fencing",
    "fenced",
    "restored",
    "redundancy_lost",
    "restore_failed",
    "left_off",
    "fence_failed",
    "contradiction",
    "revoked",
    "rebooted",
    "left",
    "maintenance",
    "wrong_machine",
    "fenceable_changed",
    "distrusted",
    "trusted",
]
OPERATION_EVENTS: Final = ["started", "step", "finished", "cancelled", "refused"]
FLEET_EVENTS: Final = [
    "storm",
    "storm_over",
    "bus_lost",
    "bus_back",
    "armed",
    "disarmed",
    "store_held",
    "store_released",
    "gate_closed",
    "gate_open",
    "reload_refused",
    "reloaded",
]
EVENTS_NOT_YET: Final = {"dumping", "soft_fenced", "storm", "storm_over"}

METRICS: Final = [
    "fenced_build_info",
    "fenced_armed",
    "fenced_leader",
    "fenced_epoch",
    "fenced_bus_connected",
    "fenced_bus_messages_total",
    "fenced_hosts",
    "fenced_suspicions_total",
    "fenced_detection_seconds",
    "fenced_gate_holds_total",
    "fenced_held_hosts",
    "fenced_gate_closed_seconds",
    "fenced_operations_total",
    "fenced_operations_in_flight",
    "fenced_operation_seconds",
    "fenced_stage_seconds",
    "fenced_probe_race_seconds",
    "fenced_probes_total",
    "fenced_device_commands_total",
    "fenced_device_seconds",
    "fenced_redundancy_lost_hosts",
    "fenced_left_off_hosts",
    "fenced_fenceable_hosts",
    "fenced_fenceable_share",
    "fenced_outbox_pending",
    "fenced_outbox_stuck_hosts",
    "fenced_config_last_reload_successful",
    "fenced_config_last_reload_seconds",
    "fenced_journal_append_seconds",
    "fenced_loop_lag_seconds",
]
METRICS_NOT_YET: Final[set[str]] = set()
METRICS_BEYOND: Final = {"fenced_clock_ahead_seconds", "fenced_bus_taken_over_total", "fenced_api_requests_total"}
"""Ours, and not promised to anybody."""

STATES: Final = [
    "unknown",
    "healthy",
    "suspect",
    "dumping",
    "fencing",
    "fenced",
    "restoring",
    "failed",
    "left",
    "maintenance",
]


def test_every_event_type_has_its_word_in_the_code() -> None:
    words = _words(ANNOUNCE)
    promised = {*HOST_EVENTS, *OPERATION_EVENTS, *FLEET_EVENTS}
    assert promised - words == EVENTS_NOT_YET


def test_every_metric_is_told() -> None:
    told = _told_metrics()
    assert {name for name in METRICS if name not in told} == METRICS_NOT_YET
    ours = {name for name in told if name.startswith("fenced_")}
    assert ours - set(METRICS) == METRICS_BEYOND


def test_every_metric_is_explained() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    unexplained = [name for name in (set(METRICS) - METRICS_NOT_YET) | METRICS_BEYOND if f"`{name}" not in page]
    assert unexplained == []


def test_the_states_have_their_names() -> None:
    assert [state.value for state in State] == STATES


def _words(path: Path) -> set[str]:
    """Every text in a module, docstrings apart."""
    return {
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value
    }


def _told_metrics() -> set[str]:
    """The families of a scrape by their public names, also those that nothing was counted in yet."""
    metrics = Metrics()
    metrics.registry.register(Gauges(FakeControl(), outbox_pending=lambda: 0, outbox_stuck=lambda: 0))
    metrics.registry.register(BusGauges(lambda: 0))
    metrics.registry.register(ReloadGauges(lambda: (True, 0.0)))
    suffixes = {"counter": "_total", "info": "_info"}
    return {family.name + suffixes.get(family.type, "") for family in metrics.registry.collect()}
