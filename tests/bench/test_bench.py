"""Every row in miniature: it measures, and the result is in the right order of magnitude against its own floor."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import (
    following,
    heartbeats,
    ipmi,
    memory,
    neighbours,
    outlets,
    race,
    redfish,
    redundant,
    scenarios,
    shard_start,
    shards,
    silence,
    starting,
    stores,
    storm,
    storm_gates,
    takeover,
    warm,
)
from tests.bench.__main__ import main, run_row
from tests.bench.report import Line, Report, as_json, percentile
from tests.bench.rows import ROWS
from tests.needs import needs, needs_root

pytestmark = [pytest.mark.integration, needs("mosquitto")]


def made() -> Report:
    return Report(name="miniature", title="a miniature")


def line(report: Report, words: str) -> Line:
    return next(line for line in report.lines if words in line.what)


async def test_redundant_devices_are_off_together(tmp_path: Path) -> None:
    report = made()
    await redundant.measure(
        tmp_path, report, redundant.Size(devices=(4,), repetitions=1, verify_interval="100ms", verify_seconds=0.1)
    )
    found = line(report, "off of 4")
    assert found.floor is not None
    assert 0.9 * found.floor < found.measured < 4 * found.floor


async def test_dead_candidates_cost_a_stagger_each(tmp_path: Path) -> None:
    report = made()
    await race.measure(tmp_path, report, race.Size(dead=(2,), repetitions=1))
    one, each = line(report, "one tier"), line(report, "a tier each")
    assert one.measured >= 2 * race.Size().stagger_seconds
    assert each.measured >= 2 * race.Size().stagger_seconds
    assert one.floor is not None
    assert one.measured < one.floor + 5.0, "as long as one probe's timeout"


async def test_a_storm_is_measured_beside_as_many_bare_starts(tmp_path: Path) -> None:
    report = made()
    await storm.measure(tmp_path, report, storm.Size(hosts=(8,), repetitions=1))
    walls = [found for found in report.lines if "wall" in found.what]
    assert {found.floor_name for found in walls} == {"32 x create_subprocess_exec", "32 x posix_spawn"}
    for what in ("daemon", "keeper", "agents"):
        assert line(report, what).measured >= 0
    assert line(report, "daemon").measured > 0


async def test_the_gates_of_a_storm_are_measured(tmp_path: Path) -> None:
    report = made()
    size = storm_gates.Size(hosts=400, suspects=(20, 60), held_seconds=3.0)
    await storm_gates.measure(tmp_path, report, size)
    for way in storm_gates.WAYS:
        found = line(report, f"{way}, a suspect held, 3 s of it, 60")
        assert found.ratio is not None and found.ratio < 3


async def test_failing_neighbours_are_measured(tmp_path: Path) -> None:
    report = made()
    await neighbours.measure(tmp_path, report, neighbours.Size(healthy=4, failing=2, repetitions=1, off_ms=300))
    found = line(report, "median")
    assert found.ratio is not None and found.ratio < 10


async def test_beats_are_heard_and_silence_is_noticed(tmp_path: Path) -> None:
    report = made()
    size = heartbeats.Size(
        hosts=(50, 200), rate=400, seconds=0.5, seconds_of_last=1.0, stopped=5, interval_seconds=0.5, grace_seconds=3.0
    )
    await heartbeats.measure(tmp_path, report, size)
    assert line(report, "missed").measured == 0
    assert line(report, "share of a core").ratio is not None
    assert line(report, "fall silent").measured > 0
    assert line(report, "per beat, 200 hosts").measured > 0


async def test_memory_is_measured(tmp_path: Path) -> None:
    report = made()
    await memory.measure(tmp_path, report, memory.Size(hosts=100, repetitions=1))
    assert line(report, "without hosts").measured > 0
    assert line(report, "heard once").unit == "KiB"


async def test_a_store_with_a_past_is_taken_up(tmp_path: Path) -> None:
    report = made()
    await starting.measure(tmp_path, report, starting.Size(hosts=50, rows=1000, repetitions=1))
    found = line(report, "to ready")
    assert found.floor is not None and found.measured > 0


SILENCE = silence.Size(
    daemons=1,
    hosts=3,
    interval_seconds=0.3,
    settle_seconds=1.0,
    detection={"heartbeat_interval": "300ms", "grace": "2s", "bus_settle": "500ms", "probe_ports": []},
    gates={"witness": {"hosts": 1, "wait": "200ms"}},
    grace_seconds=2.0,
    floor_seconds=2.0,
)


async def test_a_silent_host_is_fenced_after_its_grace(tmp_path: Path) -> None:
    report = made()
    await silence.measure(tmp_path, report, SILENCE)
    assert line(report, "p95").measured >= 0.9 * SILENCE.floor_seconds
    assert line(report, "to suspicion").measured >= 0.9 * SILENCE.grace_seconds


@needs("ip")
@needs_root()
async def test_a_silent_host_is_fenced_after_its_observers_looked(tmp_path: Path) -> None:
    """The row itself demands that the daemon and both proxies saw silence."""
    report = made()
    size = replace(
        SILENCE,
        detection={**SILENCE.detection, "probe_ports": [22], "probe_timeout": "1s"},
        domains=("rack-p", "rack-q"),
        floor_seconds=3.0,
    )
    await silence.measure_observed(tmp_path, report, size)
    found = line(report, "p95")
    assert found.measured >= 0.9 * size.floor_seconds and "probe_timeout" in found.floor_name


@needs("fence_redfish")
async def test_redfish_is_measured_beside_its_agent(tmp_path: Path) -> None:
    report = made()
    await redfish.measure_agent(tmp_path, report, redfish.Size(calls=2))
    found = line(report, "processor time, one more")
    assert found.ratio is not None and found.ratio < 1


async def test_a_fleet_of_bmcs_is_measured_beside_bare_requests(tmp_path: Path) -> None:
    report = made()
    size = redfish.Size(fleets=(1, 20), repetitions=1, dead_percent=20, dead_seconds=1.0)
    await redfish.measure_fleet(tmp_path, report, size)
    assert line(report, "20 BMCs read, processor").measured > 0
    assert line(report, "20 BMCs off at once").measured > 0
    assert line(report, "4 dead").measured < size.dead_seconds


@needs("snmpd", "snmpget", "fence_apc_snmp")
async def test_outlets_are_measured_beside_the_agent(tmp_path: Path) -> None:
    report = made()
    await outlets.measure(tmp_path, report, outlets.Size(calls=4, units=(1, 8), dead=2, dead_seconds=1.0))
    for name in ("v2c", "v3"):
        found = line(report, f"{name}, processor") if name == "v2c" else line(report, "AES, processor")
        assert found.ratio is not None and found.ratio < 0.5, "a process start and no more is dearer than all of it"
    dead = line(report, "2 dead, wall")
    assert 0.9 < dead.measured < 5.0, "the dead ones are waited for side by side"


@needs("ipmi_sim", "ipmitool", "fence_ipmilan")
async def test_bmcs_are_read_and_switched_at_once(tmp_path: Path) -> None:
    report = made()
    await ipmi.measure(tmp_path, report, ipmi.Size(bmcs=(1, 4), dead=1, calls=2, repetitions=1, timeout_seconds=3.0))
    assert line(report, "processor, beside fence_ipmilan").ratio is not None
    assert line(report, "4 switched off at once, wall").measured > 0
    assert line(report, "the dead are told").measured >= 3.0


@needs("fence_dummy")
async def test_warm_agents_cost_less_than_plain_ones(tmp_path: Path) -> None:
    report = made()
    await warm.measure(tmp_path, report, warm.Size(calls=6, repetitions=1, at_once=2))
    used = line(report, "fence_dummy status, processor")
    assert used.ratio is not None and used.ratio < 1
    assert line(report, "fence_dummy status, wall").floor_name == "plain"


@needs("postgres")
async def test_a_successor_switches_after_a_death_and_after_a_release(tmp_path: Path) -> None:
    report = made()
    size = takeover.Size(kills=1, releases=1, acting=1, lease_seconds=5.0)
    await takeover.measure(tmp_path, report, size)
    assert line(report, "kill -9").measured > 0.5 * size.lease_seconds, "the lease of the dead one is waited for"
    for way in ("SIGTERM", "hand-over"):
        assert 0 < line(report, way).measured < 30.0


@needs("postgres")
async def test_a_fence_on_postgres_is_measured_beside_one_on_sqlite(tmp_path: Path) -> None:
    report = made()
    await stores.measure(tmp_path, report, stores.Size(at_once=4, alone=2, repetitions=1))
    for way in stores.WAYS:
        found = line(report, f"{way}: daemon")
        assert found.ratio is not None and found.ratio < 10
        assert line(report, f"{way}: the database").measured > 0


@needs("postgres")
async def test_the_lag_of_a_standby_is_measured(tmp_path: Path) -> None:
    report = made()
    await following.measure(tmp_path, report, following.Size(hosts=20, rate=40, fences=4, seconds=1.0))
    assert line(report, "p100 of 4").measured < 30.0
    assert line(report, "newer records by then, p100").measured >= 0
    for name in ("fenced-a", "fenced-b"):
        assert line(report, f"beats missed by {name}").measured == 0


@needs("postgres")
async def test_a_shard_with_a_past_starts(tmp_path: Path) -> None:
    report = made()
    await shard_start.measure(tmp_path, report, shard_start.Size(hosts=50, rows=1000, repetitions=1))
    found = line(report, "to ready")
    assert found.floor is not None and found.measured > 0


@needs("postgres")
async def test_a_beat_with_several_shards_is_measured_beside_one_shard(tmp_path: Path) -> None:
    report = made()
    size = shards.Size(hosts=40, rate=200, seconds=0.5, turns=1, settle_seconds=0.2, lease_seconds=9.0)
    await shards.measure(tmp_path, report, size)
    found = line(report, "a beat and process")
    assert found.ratio is not None and found.measured > 0


def test_verdicts_follow_the_ratio_or_the_measure() -> None:
    assert Line(what="", measured=2.0, unit="s", floor=1.0, limit=1.1).verdict == "MISS"
    assert Line(what="", measured=1.05, unit="s", floor=1.0, limit=1.1).verdict == "PASS"
    assert Line(what="", measured=4.0, unit="s", floor=1.0, limit=5.0, is_limit_absolute=True).verdict == "PASS"
    assert Line(what="", measured=4.0, unit="s", floor=1.0).verdict == ""
    assert [percentile(range(1, 101), percent) for percent in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 99) == 7.0


def test_what_was_found_is_kept_for_a_history() -> None:
    report = made()
    report.line("something", 2.0, "s", floor=1.0, limit=1.1)
    kept = json.loads(as_json([report], python="3"))
    assert kept["rows"][0]["lines"][0]["ratio"] == 2.0
    assert kept["rows"][0]["lines"][0]["verdict"] == "MISS"
    assert "MISS" in report.text()


def test_an_unknown_row_is_a_usage_error() -> None:
    assert "nonesuch" not in {row.name for row in ROWS}
    with pytest.raises(SystemExit) as ended:
        main(["nonesuch"])
    assert ended.value.code == 2


async def test_a_row_with_a_namespace_is_skipped_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.__main__.why_no_namespaces", lambda: "needs root for network namespaces")
    report = await run_row(silence.OBSERVED_ROW)
    assert (report.skipped, report.lines) == ("needs root for network namespaces", [])


async def test_scenarios_are_counted(tmp_path: Path) -> None:
    report = made()
    await scenarios.measure(tmp_path, report, scenarios.Size(seeds=4))
    assert line(report, "that counts").measured > 0
    assert line(report, "a minute").measured > 0
