"""A BMC with one session, raced through real proxy agents: the race must not lock itself out of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.core.commands import PRIORITY_PROBE
from fenced.core.reach.domains import Place
from fenced.engine.race import PathMemory, Race, RaceResult
from fenced.engine.settling import Reading
from fenced.engine.workers import DeviceWorkers, Turn
from fenced.model.inventory import DeviceSpec, Host, Inventory
from fenced.model.names import ClusterName, DatacenterName, HostName, ProxyName
from fenced.model.power import Power, Verdict
from fenced.model.settings import RaceSettings
from fenced.proxy.client import ProxyCaller
from tests.net import free_port
from tests.proxy.bed import PX1, PX2, BootClock, ProxyProcess, caller_of
from tests.proxy.conftest import started
from tests.proxy.devices import device, log
from tests.world.telemetry import RecordingTelemetry

SETTINGS = RaceSettings(stagger_seconds=0.05, parallel=2, probe_timeout_seconds=1.5)
"""A probe is overdue after 0.1 s: long before the slow ones here end."""
NOWHERE = Place(
    host=Host(name=HostName("node-1"), cluster=ClusterName("c1"), datacenter=DatacenterName("dc1")),
    inventory=Inventory(),
)


@pytest.fixture
def own_px2(certificates: Path, tmp_path: Path) -> Iterator[ProxyProcess]:
    yield from started(ProxyProcess(name="px2", certificates=certificates, state_dir=tmp_path / "px2"))


async def race(caller: ProxyCaller, spec: DeviceSpec, *proxies: ProxyName) -> RaceResult:
    workers = DeviceWorkers(
        local=caller, remote=caller, clock=BootClock(), telemetry=RecordingTelemetry(), agent_processes=4,
        has_lease=lambda: True, calls_max=lambda proxy: 64, reach=caller.reach,
    )  # fmt: skip

    async def read(proxy: ProxyName, turn: Turn) -> Reading:
        return await workers.read(
            proxy,
            spec,
            timeout_seconds=SETTINGS.probe_timeout_seconds,
            priority=PRIORITY_PROBE,
            settle_seconds=0.0,
            turn=turn,
        )

    racing = Race(
        tiers=[proxies], plug=spec.plug_id, read=read, memory=PathMemory(), settings=SETTINGS, clock=BootClock(),
        origin=0.0, place=NOWHERE, load=workers.load,
    )  # fmt: skip
    return await asyncio.wait_for(racing.run(), 30)


def verdicts(result: RaceResult) -> dict[ProxyName, Verdict]:
    return {entry.proxy: entry.verdict for entry in result.entries}


async def test_a_slow_bmc_with_one_session_is_asked_by_one_proxy_at_a_time(
    certificates: Path, own_px1: ProxyProcess, own_px2: ProxyProcess, tmp_path: Path
) -> None:
    spec = replace(device(tmp_path / "bmc", one_session=True, read_seconds=0.6), sessions=1)
    async with caller_of(certificates, {PX1: own_px1.url, PX2: own_px2.url}) as caller:
        result = await race(caller, spec, PX1, PX2)
    assert result.winner == PX1 and result.power is Power.ON
    assert log(tmp_path / "bmc") == ["read started"], "the other proxy waited and was never sent to it"


async def test_a_session_that_hangs_is_given_up_and_the_other_proxy_wins(
    certificates: Path, own_px1: ProxyProcess, own_px2: ProxyProcess, tmp_path: Path
) -> None:
    """Before, the second was sent beside the first, was refused, and so was each later one: nobody ever won."""
    spec = replace(device(tmp_path / "bmc", one_session=True, hang_first=True), sessions=1)
    async with caller_of(certificates, {PX1: own_px1.url, PX2: own_px2.url}) as caller:
        result = await race(caller, spec, PX1, PX2)
    assert verdicts(result) == {PX1: Verdict.TIMED_OUT, PX2: Verdict.WON}
    assert "refused: one session" not in log(tmp_path / "bmc")


async def test_a_dead_proxy_does_not_keep_the_one_session_from_a_living_one(
    certificates: Path, own_px2: ProxyProcess, tmp_path: Path
) -> None:
    dead = f"https://127.0.0.1:{free_port()}"
    spec = replace(device(tmp_path / "bmc", one_session=True), sessions=1)
    async with caller_of(certificates, {PX1: dead, PX2: own_px2.url}) as caller:
        result = await race(caller, spec, PX1, PX2)
    assert result.winner == PX2
