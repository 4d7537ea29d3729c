"""Metrics as Prometheus parses them: names, labels, both formats."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fenced.core.durable.held_suspicion import HeldSuspicion, SuspicionEnd
from fenced.core.durable.state import Fenceable, FenceableLevel, GateVerdict
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Cause, OperationState, State
from fenced.ports.bus import MessageKind, MessageResult
from fenced.ports.telemetry import Telemetry
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.shards import ShardFacts, ShardGauges
from tests.fakes.control import FakeControl
from tests.fakes.samples import START

DRILLED = "fenced_drill_last_success_timestamp_seconds"
"""The only one with a host label, for the few hosts for drills."""
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
NAMES = """
    fenced_build_info fenced_armed fenced_leader fenced_epoch fenced_bus_connected fenced_bus_messages_total
    fenced_hosts fenced_suspicions_total fenced_detection_seconds_bucket fenced_gate_holds_total fenced_held_hosts
    fenced_operations_total fenced_operations_in_flight fenced_operation_seconds_bucket fenced_stage_seconds_bucket
    fenced_probe_race_seconds_bucket fenced_probes_total fenced_device_commands_total fenced_device_seconds_bucket
    fenced_redundancy_lost_hosts fenced_left_off_hosts fenced_outbox_pending fenced_journal_append_seconds_bucket
    fenced_loop_lag_seconds_bucket fenced_drills_total fenced_drill_last_success_timestamp_seconds
    process_cpu_seconds_total process_resident_memory_bytes process_open_fds
"""


def count_everything(telemetry: Telemetry) -> None:
    telemetry.bus_message(MessageKind.HEALTH, MessageResult.OK)
    telemetry.suspicion_ended("cleared")
    telemetry.detected(21.0)
    telemetry.gate_held("armed")
    telemetry.operation_ended(action="restart", cause="silence", result="done", seconds=12.0)
    telemetry.stage("verify", 1.5)
    telemetry.race_ended(0.3)
    telemetry.probe_ended("px1", "won")
    telemetry.device_call(driver="redfish", command="off", result="done", seconds=0.2)
    telemetry.journal_append(0.002)
    telemetry.loop_lag(0.001)
    telemetry.drill_ended("failed")


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def metrics(control: FakeControl) -> Metrics:
    made = Metrics()
    made.registry.register(Gauges(control, outbox_pending=lambda: 7, outbox_stuck=lambda: 2))
    return made


def samples(families: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_name_is_there_in_both_formats(metrics: Metrics) -> None:
    count_everything(metrics)
    metrics.api_answer("/api/v1/hosts/{host}", 200)
    body, content_type = metrics.exposition(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert set(NAMES.split()) <= {name for name, _ in samples(parse_openmetrics(body.decode()))}  # type: ignore[no-untyped-call]
    body, content_type = metrics.exposition("")
    assert content_type.startswith("text/plain")
    assert set(NAMES.split()) <= {name for name, _ in samples(parse_text(body.decode()))}


@pytest.mark.parametrize(
    "accept", ["*/*", "application/openmetrics-text;version=banana", "text/plain;version=x;escaping=?", ",;=" * 999]
)
def test_any_accept_header_gets_an_answer(metrics: Metrics, accept: str) -> None:
    body, content_type = metrics.exposition(accept)
    assert b"fenced_build_info" in body
    assert content_type


def test_no_histogram_has_a_host_label(metrics: Metrics) -> None:
    count_everything(metrics)
    for family in parse_text(metrics.exposition("")[0].decode()):
        for sample in family.samples:
            assert "host" not in sample.labels or sample.name == DRILLED


def test_gauges_are_read_at_scrape_time(metrics: Metrics, control: FakeControl) -> None:
    seen = samples(parse_text(metrics.exposition("")[0].decode()))
    assert seen["fenced_hosts", (("state", "healthy"),)] == 1
    assert seen["fenced_hosts", (("state", "fenced"),)] == 0
    assert seen["fenced_held_hosts", (("gate", "armed"),)] == 1
    assert seen["fenced_armed", ()] == 1
    assert seen["fenced_epoch", ()] == 1
    assert seen["fenced_outbox_pending", ()] == 7
    assert seen["fenced_fenceable_hosts", (("level", "degraded"),)] == 1
    assert seen["fenced_fenceable_hosts", (("level", "none"),)] == 0
    assert seen["fenced_fenceable_share", ()] == 1
    control.is_armed = False
    name = HostName("node-3")
    control.states[name] = replace(
        control.states[name],
        state=State.FENCED,
        held_by=(GateVerdict(gate="budget", is_open=False, why="spent"),),
        operation=replace(control.all_operations[0], state=OperationState.RUNNING),
        redundancy_lost=(DeviceName("pdu-b"),),
        is_left_off=True,
    )
    seen = samples(parse_text(metrics.exposition("")[0].decode()))
    assert seen["fenced_armed", ()] == 0
    assert seen["fenced_hosts", (("state", "fenced"),)] == 1
    assert seen["fenced_held_hosts", (("gate", "armed"),)] == 0  # reported at 0, so that an alert ends
    assert seen["fenced_held_hosts", (("gate", "budget"),)] == 1
    assert seen["fenced_operations_in_flight", ()] == 1
    assert seen["fenced_redundancy_lost_hosts", ()] == 1
    assert seen["fenced_left_off_hosts", ()] == 1


def test_the_share_of_hosts_that_could_be_fenced(metrics: Metrics, control: FakeControl) -> None:
    names = list(control.states)
    levels = (FenceableLevel.FULL, FenceableLevel.DEGRADED, FenceableLevel.NONE, FenceableLevel.UNKNOWN)
    for name, level in zip(names, levels, strict=True):
        fenceable = Fenceable(level=level, since=1.0)
        control.states[name] = replace(control.states[name], fenceable=fenceable)
    seen = samples(parse_text(metrics.exposition("")[0].decode()))
    assert seen["fenced_fenceable_share", ()] == 0.5, "a host that was not read counts as one that could be fenced"
    for name in names:
        control.states[name] = replace(control.states[name], fenceable=None)
    seen = samples(parse_text(metrics.exposition("")[0].decode()))
    assert ("fenced_fenceable_share", ()) not in seen
    assert seen["fenced_fenceable_hosts", (("level", "full"),)] == 0


def test_two_daemons_in_one_process_do_not_share_a_registry() -> None:
    first, second = Metrics(), Metrics()
    first.probe_ended("px1", "won")
    assert b'proxy="px1"' not in second.exposition("")[0]


def test_would_be_fences_of_the_last_week_are_counted_by_what_became_of_the_host(
    metrics: Metrics, control: FakeControl
) -> None:
    def suspicion(days_ago: float, end: SuspicionEnd | None, *, is_held_by_others: bool = False) -> HeldSuspicion:
        at = START - days_ago * 86400.0
        would_at = None if is_held_by_others else at
        return HeldSuspicion(at=at, cause=Cause.SILENCE, last_heard=at, gates=("armed",), would_at=would_at, end=end)

    name = HostName("node-3")
    control.states[name] = replace(
        control.states[name],
        suspicions=(
            suspicion(7.5, SuspicionEnd.HEARD),
            suspicion(3.0, SuspicionEnd.HEARD),
            suspicion(2.0, SuspicionEnd.HEARD, is_held_by_others=True),
            suspicion(0.1, None),
        ),
    )
    seen = samples(parse_text(metrics.exposition("")[0].decode()))
    counts = {end: seen["fenced_would_be_fences", (("outcome", end),)] for end in ("heard", "rebooted", "silent")}
    assert counts == {"heard": 1, "rebooted": 0, "silent": 1}


def test_the_last_success_of_a_drill_is_that_of_hosts_for_drills_and_on_the_wall_clock(control: FakeControl) -> None:
    made = Metrics()
    made.registry.register(Gauges(control, outbox_pending=int, outbox_stuck=int, ahead_seconds=lambda: 100.0))

    def seen() -> dict[tuple[tuple[str, str], ...], float]:
        text = made.exposition("")[0].decode()
        return {labels: value for (found, labels), value in samples(parse_text(text)).items() if found == DRILLED}

    assert seen() == {(("host", "node-1"),): 0.0}
    node = HostName("node-1")
    control.states[node] = replace(control.states[node], drilled_at=1_800_000_100.0)
    assert seen() == {(("host", "node-1"),): 1_800_000_000.0}


def test_what_other_shards_have_drawn_is_shown_for_each_shard() -> None:
    made = Metrics()
    facts = [
        ShardFacts(
            shard=name, is_held=True, lease_seconds=9.0, lag=0, drawn=own, drawn_elsewhere=3 - own,
            unrecovered_elsewhere=5,
        )
        for name, own in (("east", 1), ("west", 2))
    ]  # fmt: skip
    made.registry.register(ShardGauges(lambda: facts))
    seen = samples(parse_text(made.exposition("")[0].decode()))
    for name, own in (("east", 1), ("west", 2)):
        of = (("shard", name),)
        assert (seen["fenced_budget_drawn", of], seen["fenced_budget_drawn_elsewhere", of]) == (own, 3 - own)
        assert seen["fenced_unrecovered_elsewhere_hosts", of] == 5


def test_a_figure_leads_to_its_operation() -> None:
    """In OpenMetrics alone: the plain format knows no exemplar."""
    telemetry = Metrics()
    telemetry.operation_ended(action="restart", cause="silence", result="done", seconds=12.0, operation="4-118")
    telemetry.stage("verify", 1.5, operation="4-118")
    text = telemetry.exposition("application/openmetrics-text; version=1.0.0")[0].decode()
    shown = [line for line in text.splitlines() if '# {operation="4-118"}' in line]
    assert {line.partition("{")[0] for line in shown} == {
        "fenced_operation_seconds_bucket",
        "fenced_stage_seconds_bucket",
    }
    assert "4-118" not in telemetry.exposition("text/plain")[0].decode()
