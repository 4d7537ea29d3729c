"""Power saving with real parts: the daemon, a broker, a proxy, BMCs of OpenIPMI and OpenStack, the real reporter."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, sushy
from tests.e2e.bed import Bed
from tests.e2e.programs import background
from tests.e2e.saving_bed import SLEEPER, Beats, Chassis, Obedient, ask_to_sleep, chassis, living, saving_bed, wake
from tests.needs import needs
from tests.net import free_port, until, until_listening

pytestmark = [pytest.mark.integration, needs("mosquitto")]

SECONDS = 40.0
"""The longest wait for a sleep, with the reading of its BMC."""


@pytest.fixture
def power(tmp_path: Path) -> Any:
    with chassis(tmp_path / "bmc") as made:
        yield made


def kinds(it: Bed) -> list[str]:
    """Return what was told of node-1."""
    return [kind.removeprefix("host.") for kind in it.story.kinds(SLEEPER)]


async def nobody_was_fenced(it: Bed) -> None:
    told = {event.kind for event in it.story.events}
    assert not told & {"host.suspected", "host.fencing", "host.fenced"}, it.story.kinds()


@needs("ipmi_sim")
async def test_an_idle_host_is_asked_down_sleeps_and_wakes(tmp_path: Path, power: Chassis) -> None:
    async with saving_bed(tmp_path, power.device) as it, living(it, Beats(it.hosts, power), power):
        asleep = await it.story.event(SLEEPER, "host.sleeping", seconds=SECONDS)
        assert (power.acts, power.is_on) == (["soft"], False)
        assert asleep.data["devices"] == ["bmc"]
        state = it.story.states[SLEEPER]
        assert (state["state"], state.get("proof")) == ("sleeping", None)
        await asyncio.sleep(3.0)  # the absence of something has no event to wait for
        assert it.story.states[SLEEPER]["state"] == "sleeping"
        assert await wake(it) == [SLEEPER]
        woken = await it.story.event(SLEEPER, "host.woken", seconds=SECONDS)
        assert woken.data["boot"] == it.hosts.boots[SLEEPER] and woken.data["ours"] is True
        await it.story.state(SLEEPER, "healthy")
        assert power.acts == ["soft", "on"]
        order = [kind for kind in kinds(it) if kind in {"sleep_announced", "left", "sleeping", "waking", "woken"}]
        assert order == ["sleep_announced", "left", "sleeping", "waking", "woken"]
        await nobody_was_fenced(it)
    assert PASSWORD not in it.daemon.log


@needs("ipmi_sim")
async def test_a_host_that_does_not_go_down_stays_on_and_is_left_alone(tmp_path: Path, power: Chassis) -> None:
    async with (
        saving_bed(tmp_path, power.device, soft_timeout="4s") as it,
        living(it, Beats(it.hosts, power, is_deaf=True), power),
    ):
        await ask_to_sleep(it)
        failed = await it.story.event(SLEEPER, "host.sleep_failed", seconds=SECONDS)
        assert "did not shut down" in failed.data["reason"]
        await it.story.state(SLEEPER, "healthy")
        refused = await it.api.call("POST", f"hosts/{SLEEPER}/actions", body={"action": "sleep", "reason": "once more"})
        assert refused.status == 409, refused.text
        assert (power.acts, power.is_on) == (["soft"], True)
        (cluster,) = (await it.api.get("saving"))["items"]
        (shown,) = [host for host in cluster["others"] if host["host"] == SLEEPER]
        assert {"soft_off", "retry_after"} & {bar["rule"] for bar in shown["bars"]}, shown
        assert it.story.states[SLEEPER]["state"] == "healthy"
        await nobody_was_fenced(it)


@needs("ipmi_sim")
async def test_the_daemon_is_killed_right_after_the_command(tmp_path: Path, power: Chassis) -> None:
    """Started again, it sends no second command: it only reads whether the host went down."""
    async with saving_bed(tmp_path, power.device) as it, living(it, Beats(it.hosts, power), power):
        await ask_to_sleep(it)
        await until(lambda: power.acts == ["soft"], what="the command")
        await it.daemon.kill()
        await until(lambda: not power.is_on, what="the host is down")
        await it.start()
        await it.story.event(SLEEPER, "host.sleeping", seconds=SECONDS)
        assert power.acts == ["soft"]
        assert await wake(it) == [SLEEPER]
        await it.story.event(SLEEPER, "host.woken", seconds=SECONDS)
        assert power.acts == ["soft", "on"]
        await nobody_was_fenced(it)


@needs("ipmi_sim")
async def test_work_that_arrives_during_the_veto_keeps_the_host_on(tmp_path: Path, power: Chassis) -> None:
    async with (
        saving_bed(tmp_path, power.device, veto="4s") as it,
        living(it, Beats(it.hosts, power), power),
    ):
        operation = await ask_to_sleep(it)
        await it.story.event(SLEEPER, "host.sleep_announced", seconds=SECONDS)
        it.hosts.workloads[SLEEPER] = 1
        ended = await it.api.ended(operation)
        assert ended["state"] == "cancelled"
        assert (power.acts, power.is_on) == ([], True)
        await nobody_was_fenced(it)


@needs("ipmi_sim")
async def test_the_reporter_obeys(tmp_path: Path, power: Chassis) -> None:
    """The order goes over the bus: the BMC is only read, and switched on again."""
    async with saving_bed(tmp_path, power.device, soft_off="reporter") as it:
        assert it.broker is not None
        async with living(it, Obedient(tmp_path, it.broker.port), power):
            await ask_to_sleep(it)
            await it.story.event(SLEEPER, "host.sleeping", seconds=SECONDS)
            assert (power.acts, power.is_on) == ([], False)
            assert await wake(it) == [SLEEPER]
            await it.story.event(SLEEPER, "host.woken", seconds=SECONDS)
            await it.story.state(SLEEPER, "healthy")
            assert power.acts == ["on"]
            await nobody_was_fenced(it)


@needs("ipmi_sim")
async def test_a_reporter_that_has_work_meanwhile_refuses(tmp_path: Path, power: Chassis) -> None:
    """Its number of workloads is read anew for the order, whatever the last heartbeat said."""
    async with saving_bed(tmp_path, power.device, soft_off="reporter", soft_timeout="4s") as it:
        assert it.broker is not None
        system = Obedient(tmp_path, it.broker.port, interval="5s")  # the order comes before the second heartbeat
        async with living(it, system, power):
            operation = await ask_to_sleep(it)
            await it.story.event(SLEEPER, "host.sleep_announced", seconds=SECONDS)
            system.workloads = 1
            assert (await it.api.ended(operation))["state"] == "failed"
            assert "beat_order_refused" in system.log and "1 workloads run here" in system.log
            assert power.is_on and "sleeping" not in kinds(it)
            await it.story.state(SLEEPER, "healthy")
            await nobody_was_fenced(it)


@pytest.fixture
async def redfish(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Run a sushy-emulator; it obeys a GracefulShutdown two seconds later."""
    port = free_port()
    (tmp_path / "bmc").mkdir()
    with sushy(tmp_path / "bmc", port) as certificate:
        await until_listening(port)
        yield {
            "name": "bmc",
            "driver": "redfish",
            "address": f"https://127.0.0.1:{port}",
            "username": USERNAME,
            "options": {"fingerprint": hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()},
            "verify_timeout": "15s",
        }


async def follow(it: Bed, device: dict[str, Any]) -> None:
    """Let node-1 run as long as its emulated chassis is on: it dies with it, and says nothing before."""
    login = aiohttp.encode_basic_auth(USERNAME, PASSWORD)
    url = f"{device['address']}/redfish/v1/Systems/{SYSTEM}"
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
        while True:
            async with session.get(url, ssl=False) as response:
                is_on = (await response.json())["PowerState"] == "On"
            if is_on and SLEEPER not in it.hosts.boots:
                it.hosts.boot(SLEEPER)
            elif not is_on and SLEEPER in it.hosts.boots:
                it.hosts.kill(SLEEPER)
            await asyncio.sleep(0.2)


async def test_who_needs_proof_of_a_sleeper_asks_for_off(tmp_path: Path, redfish: dict[str, Any]) -> None:
    def device(password_file: str) -> dict[str, Any]:
        return {**redfish, "password_file": password_file}

    async with saving_bed(tmp_path, device) as it, background(follow(it, redfish), "the system of node-1"):
        await ask_to_sleep(it)
        asleep = await it.story.event(SLEEPER, "host.sleeping", seconds=SECONDS)
        operation = await it.api.act(SLEEPER, "off")
        fenced = await it.story.event(SLEEPER, "host.fenced", seconds=SECONDS)
        assert (fenced.data["stay_off"], fenced.data["proof"]) == (True, "device_verified")
        assert fenced.data["token"] != asleep.data["token"]
        ended = await it.api.ended(operation)
        assert ended["state"] == "done"
        assert {step["what"] for step in ended["devices"][0]["steps"]} == {"status"}, "a sleeper is only read"
        assert await wake(it) == []
        await it.api.ended(await it.api.act(SLEEPER, "on"))
        await it.story.state(SLEEPER, "healthy", seconds=SECONDS)
