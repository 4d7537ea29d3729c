"""Metrics of power saving, as Prometheus parses them."""

from prometheus_client.parser import text_string_to_metric_families as parse_text

from fenced.core.idle import told
from fenced.model.names import HostName
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.saving import SavingGauges
from tests.core.saving_desk import HOSTS, SavingDesk
from tests.fakes.control import FakeControl
from tests.telemetry.test_metrics import samples


def scraped(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Return the samples of power saving, by name and the values of their labels."""
    found = samples(parse_text(metrics.exposition("")[0].decode()))
    of_saving = {key: value for key, value in found.items() if "sav" in key[0] or "sleeping" in key[0]}
    return {(name, ",".join(value for _, value in labels)): value for (name, labels), value in of_saving.items()}


def test_clusters_that_save_are_counted_and_no_others() -> None:
    control, metrics = FakeControl(), Metrics()
    metrics.registry.register(SavingGauges(lambda: control.saving_totals()))
    assert ("fenced_sleeping_hosts", "c1") not in scraped(metrics)
    control.save("c1")
    control.fall_asleep("node-2")
    control.short_of = {"c1": 2}
    found = scraped(metrics)
    assert (found["fenced_sleeping_hosts", "c1"], found["fenced_saving_short_hosts", "c1"]) == (1, 2)
    assert ("fenced_sleeping_hosts", "c2") not in found
    assert found["fenced_saved_host_seconds_total", ""] == 3600
    assert found["fenced_saving_blocked_hosts", "not_idle"] == 1
    control.fall_asleep("node-1")
    found = scraped(metrics)
    assert (found["fenced_sleeping_hosts", "c1"], found["fenced_saving_blocked_hosts", "not_idle"]) == (2, 0)


def test_operations_of_saving_are_counted_beside_all_others() -> None:
    metrics = Metrics()
    for action, result in (("sleep", "done"), ("sleep", "done"), ("wake", "failed"), ("off", "done")):
        metrics.operation_ended(action=action, cause="saving", result=result, seconds=1.0)
    found = scraped(metrics)
    assert found["fenced_saving_actions_total", "sleep,done"] == 2
    assert found["fenced_saving_actions_total", "wake,failed"] == 1
    assert found["fenced_saving_actions_total", "wake,cancelled"] == 0
    assert ("fenced_saving_actions_total", "off,done") not in found


def test_each_host_that_is_on_is_counted_by_the_first_thing_that_keeps_it_awake() -> None:
    desk = SavingDesk(reserve=2, idle_for_seconds=300.0)
    desk.busy("node-1", "node-2")
    desk.go(30.0)
    found = told.totals(desk.fleet, desk.now)
    assert dict(found.blocked) == {"not_idle": len(HOSTS) - 2, "idle_for": 2}
    desk.go(300.0)
    assert dict(told.totals(desk.fleet, desk.now).blocked) == {"not_idle": len(HOSTS) - 2, "reserve": 2}
    bars = told.why_awake(desk.fleet, HostName("node-3"), desk.now)
    assert [bar.rule for bar in bars] == ["not_idle"], "who has work was not idle for long either"


def test_the_time_of_sleeps_is_kept_when_they_end() -> None:
    desk = SavingDesk(reserve=0)
    name = desk.put_to_sleep()
    desk.busy()
    slept = told.totals(desk.fleet, desk.now).saved_seconds
    desk.go(100.0)
    assert told.totals(desk.fleet, desk.now).saved_seconds == slept + 100.0
    desk.wanted()
    desk.boot(str(name))
    desk.live(30.0)
    assert desk.is_now(str(name)) == "healthy"
    ended = told.totals(desk.fleet, desk.now)
    desk.go(100.0)
    assert slept + 100.0 <= ended.saved_seconds == told.totals(desk.fleet, desk.now).saved_seconds
    assert ended.sleeping == {"c1": 0}
