"""Whether a host could be fenced, judged from the reads of each path, without flapping."""

from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.state import FenceableLevel
from fenced.core.fleet import Fleet
from fenced.core.suspected.fenceable import shown
from fenced.model.names import HostName
from fenced.model.power import Action, Power
from tests.core.checked import INTERVAL, changes, check, check_off, desk, level, told, why
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

TWO_WAYS = ("px1", "px2")


def whole(*devices: str, proxies: tuple[str, ...] = ("engine",)) -> Desk:
    """Return a host with every path read successfully once."""
    at = desk(*devices, proxies=() if proxies == ("engine",) else proxies)
    for device in at.inventory.hosts[NODE].devices:
        for proxy in proxies:
            check(at, device.name, through=proxy)
    assert level(at) == "full"
    return at


def fail(at: Desk, device: str, *, through: str = "engine", times: int = 1) -> None:
    for _ in range(times):
        at.go(1.0)
        check(at, device, through=through, error="no route to host")


def view(at: Desk, name: HostName = NODE) -> str | None:
    seen = shown(at.fleet, name, at.state(name), at.now)
    return None if seen is None else seen.level.value


# -- levels -----------------------------------------------------------------------------------------------------------


def test_a_host_that_is_fully_fenceable_at_first_is_recorded_without_an_event() -> None:
    at = whole("pdu-a:1", "pdu-b:1")
    assert changes(at) == ["full"] and told(at) == []


def test_no_level_is_recorded_before_every_device_was_read() -> None:
    at = desk("pdu-a:1", "pdu-b:1")
    check(at, "pdu-a")
    assert level(at) == "nothing" and view(at) == "unknown"


def test_one_failed_reading_changes_no_level() -> None:
    at = whole("bmc:1")
    fail(at, "bmc")
    assert level(at) == "full"
    at.go(1.0)
    check(at, "bmc")
    fail(at, "bmc")
    assert changes(at) == ["full"]


def test_two_failed_readings_in_a_row_change_the_level() -> None:
    at = whole("bmc:1")
    fail(at, "bmc", times=2)
    assert (level(at), why(at), told(at)) == ("none", {("bmc", "unreadable")}, ["fenceable_changed"])
    fenceable = at.state().fenceable
    assert fenceable is not None and fenceable.since == at.now and "through engine: no route" in fenceable.why[0].text


def test_a_failure_on_a_second_path_counts_as_a_second_failure() -> None:
    at = whole("bmc:1", proxies=TWO_WAYS)
    fail(at, "bmc", through="px1", times=5)
    assert level(at) == "full", "the other path can be read"
    fail(at, "bmc", through="px2")
    assert level(at) == "none"


def test_one_readable_path_makes_it_whole_again() -> None:
    at = whole("bmc:1", proxies=TWO_WAYS)
    for proxy in TWO_WAYS:
        fail(at, "bmc", through=proxy, times=2)
    at.go(5.0)
    check(at, "bmc", through="px2")
    assert changes(at) == ["full", "none", "full"] and told(at) == ["fenceable_changed"] * 2


def test_one_complete_level_is_degraded_and_no_complete_level_is_none() -> None:
    at = whole("bmc:1", "pdu-a:2", "pdu-b:2")
    fail(at, "pdu-b", times=2)
    assert (level(at), why(at)) == ("degraded", {("pdu-b", "unreadable")})
    fail(at, "bmc", times=2)
    assert (level(at), why(at)) == ("none", {("bmc", "unreadable"), ("pdu-b", "unreadable")})


def test_a_distrusted_device_breaks_its_level() -> None:
    at = whole("bmc:1", "pdu-a:2")
    check_off(at, "bmc")
    assert (level(at), why(at)) == ("degraded", {("bmc", "distrusted")})


def test_an_outlet_off_beside_life_is_degraded() -> None:
    at = whole("pdu-a:1", "pdu-b:1")
    check_off(at, "pdu-a")
    assert (level(at), why(at)) == ("degraded", {("pdu-a", "redundancy")})
    check(at, "pdu-a")
    assert level(at) == "full"


def test_one_reading_of_a_wrong_machine_is_enough() -> None:
    at = whole("bmc:1")
    at.go(1.0)
    check(at, "bmc", error="serial is another", failure="wrong_machine")
    assert (level(at), why(at)) == ("none", {("bmc", "wrong_machine")})


def test_a_wrong_machine_on_one_of_two_paths_makes_the_host_unfenceable() -> None:
    """One such path stops every operation, so the host can't be fenced now, however well the other path works."""
    at = whole("bmc:1", proxies=TWO_WAYS)
    at.go(1.0)
    check(at, "bmc", through="px1", error="serial is another", failure="wrong_machine")
    assert (level(at), why(at)) == ("none", {("bmc", "wrong_machine")})
    assert len(told(at)) == 1
    at.go(1.0)
    check(at, "bmc", through="px1", error="serial is another, still", failure="wrong_machine")
    assert len(told(at)) == 1, "another text is no news"


def test_a_proxy_that_may_not_serve_now_makes_no_device_readable() -> None:
    at = whole("bmc:1", proxies=TWO_WAYS)
    proxies = dict(at.inventory.proxies)
    for name in list(proxies):
        proxies[name] = replace(proxies[name], machine=HostName("node-3"))
    at.fleet.take(replace(at.inventory, proxies=proxies))
    at.suspect(HostName("node-3"))
    check(at, "bmc", through="px1")
    assert (level(at), why(at)) == ("none", {("bmc", "no_proxy")})


# -- what changes nothing ---------------------------------------------------------------------------------------------


def test_a_batch_that_is_decided_again_counts_once() -> None:
    at = whole("bmc:1")
    at.go(1.0)
    for _ in range(3):
        check(at, "bmc", error="no route", started=at.now)
    assert level(at) == "full"


def test_a_late_result_is_dropped() -> None:
    at = whole("bmc:1")
    before = at.now
    at.go(10.0)
    check(at, "bmc")
    for late in (3.0, 4.0, 5.0):
        check(at, "bmc", error="no route", started=before + late)
    assert level(at) == "full"


def test_a_restart_of_the_daemon_keeps_the_fenceable_level() -> None:
    at = whole("bmc:1", "pdu-a:2")
    again = Fleet(at.inventory, epoch=2, started=at.now)
    for entry in at.entries:
        again.apply(entry)
    assert again.hosts[NODE].fenceable == at.state().fenceable
    at.fleet.checks.clear()
    check(at, "bmc")
    assert changes(at) == ["full"]


def test_expired_results_change_no_level() -> None:
    at = whole("bmc:1", proxies=TWO_WAYS)
    at.go(3 * INTERVAL)
    assert view(at) == "unknown" and level(at) == "full"
    fail(at, "bmc", through="px1", times=3)
    assert level(at) == "full", "of the other path nothing is known any more"
    fail(at, "bmc", through="px2")
    assert level(at) == "none"


def test_an_old_success_makes_no_level_whole() -> None:
    at = whole("bmc:1", "pdu-a:2")
    at.go(3 * INTERVAL)
    fail(at, "pdu-a", times=2)
    assert level(at) == "full", "of the BMC nothing is known any more: neither degraded nor none is true for certain"
    fail(at, "bmc", times=2)
    assert level(at) == "none"


def test_maintenance_is_not_judged() -> None:
    at = whole("bmc:1")
    at.maintain()
    fail(at, "bmc", times=3)
    assert level(at) == "full"
    at.maintain(is_on=False)
    fail(at, "bmc")
    assert level(at) == "none"


def test_a_device_that_is_gone_is_dropped() -> None:
    at = whole("bmc:1")
    check(at, "bmc-of-old", error="gone")
    assert changes(at) == ["full"]


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_nothing_is_shown_or_kept_while_the_check_is_off() -> None:
    at = Desk(Rack(devices=("bmc:1",)))
    at.ask(Action.STATUS)
    at.serve(silent=())
    check(at, "bmc")
    assert view(at) is None and not at.fleet.checks and level(at) == "nothing"


def test_our_own_machine_is_not_shown() -> None:
    at = Desk(Rack(devices=("bmc:1",), own_machine="node-2", settings={"check.interval_seconds": 600.0}))
    assert view(at) is None


def test_a_host_without_devices_has_the_fenceable_level_none() -> None:
    at = Desk(Rack(devices=(), settings={"check.interval_seconds": 600.0}))
    assert view(at) == FenceableLevel.NONE.value


# -- other readings ---------------------------------------------------------------------------------------------------


def test_a_status_request_updates_the_fenceable_level() -> None:
    at = desk("bmc:1")
    at.ask(Action.STATUS)
    at.serve(silent=())
    assert level(at) == "full"


@pytest.mark.parametrize("winner", ["engine", None])
def test_the_race_of_a_fence_updates_the_path_results(winner: str | None) -> None:
    at = whole("bmc:1")
    at.fence()
    at.race("bmc", winner=winner)
    result = at.fleet.checks[NODE].paths
    assert [path.failures for path in result.values()] == [0 if winner else 1]


def test_power_that_was_read_is_kept() -> None:
    at = desk("bmc:1")
    check(at, "bmc")
    assert dict(at.state().power) == {"bmc": Power.ON}
    check(at, "bmc", started=at.now + 0.001)
    assert len(at.records(r.PowerSeen)) == 1


def test_power_that_was_read_before_the_host_came_back_is_not_kept() -> None:
    at = desk("bmc:1")
    check(at, "bmc", Power.OFF, started=at.state().since - 1.0)
    assert not at.records(r.PowerSeen)


def test_on_where_the_host_is_fenced_brings_the_watch_forward() -> None:
    at = desk("bmc:1")
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.go(5.0, silent=[NODE])
    check(at, "bmc", Power.ON)
    at.watched(("bmc", Power.ON))
    assert at.records(r.HostRevoked)
