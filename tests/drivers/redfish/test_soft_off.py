"""The Redfish driver asks a host to shut down (S24): one GracefulShutdown, which never becomes a ForceOff."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from fenced.drivers.redfish.driver import Redfish
from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceNotReady, DeviceTimedOut, LoginRefused, NotSupported, WrongMachine
from tests.drivers.contract import reads
from tests.drivers.counterparts import PASSWORD, USERNAME, sushy, until_on
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.redfish.bmc import MANAGER, RESET, SYSTEM, Bmc, answering, ask_down, message, read
from tests.net import free_port

UNKNOWN = tuple(
    f"Action{what}" for what in ("NotSupported", "ParameterNotSupported", "ParameterUnknown", "ParameterValueNotInList")
)
ASKED = {"ResetType": "GracefulShutdown"}
INFO = f"{SYSTEM}/ResetActionInfo"
TASK = "/redfish/v1/TaskService/Tasks/1"


async def test_the_operating_system_is_asked_and_no_power_is_cut(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["POST", RESET] = answering(204)
    await ask_down(redfish, bmc)
    assert bmc.posts == [RESET]
    assert await read(redfish, bmc) is Power.ON


async def test_it_sends_a_graceful_shutdown_alone(redfish: Redfish, bmc: Bmc) -> None:
    for bmc.allowable in (["ForceOff", "GracefulShutdown"], ["PushPowerButton", "GracefulShutdown"], [], None):
        await ask_down(redfish, bmc)
        assert bmc.commands == [ASKED]
        bmc.commands.clear()


@pytest.mark.parametrize("offered", [["On", "ForceOff"], ["PushPowerButton", "GracefulRestart", "Nmi"]])
async def test_a_bmc_that_offers_none_says_what_it_offers(redfish: Redfish, bmc: Bmc, offered: list[str]) -> None:
    bmc.allowable = offered
    with pytest.raises(NotSupported, match=f"no GracefulShutdown, only {', '.join(offered)}") as failed:
        await ask_down(redfish, bmc)
    assert failed.value.may_be_done is False
    assert bmc.posts == []


@pytest.mark.parametrize("offered", [["On", "ForceOff"], ["On", "ForceOff", "GracefulShutdown"]])
async def test_the_action_s_info_tells_it_too(redfish: Redfish, bmc: Bmc, offered: list[str]) -> None:
    action = {"target": RESET, "@Redfish.ActionInfo": INFO}
    system = {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": action}}
    bmc.answers["GET", SYSTEM] = answering(200, system)
    bmc.answers["GET", INFO] = answering(200, {"Parameters": [{"Name": "ResetType", "AllowableValues": offered}]})
    if "GracefulShutdown" in offered:
        await ask_down(redfish, bmc)
        assert bmc.commands == [ASKED]
        return
    with pytest.raises(NotSupported, match="only On, ForceOff"):
        await ask_down(redfish, bmc)
    assert bmc.posts == []


async def test_its_task_is_not_followed(redfish: Redfish, bmc: Bmc) -> None:
    """It runs for as long as the operating system takes, and an OFF must be able to go before that."""
    bmc.answers["POST", RESET] = answering(202, {"@odata.id": TASK, "TaskState": "Running"}, Location=TASK)
    bmc.answers["GET", TASK] = answering(200, {"@odata.id": TASK, "TaskState": "Running"})
    await ask_down(redfish, bmc)
    assert ("GET", TASK) not in bmc.requests


@pytest.mark.parametrize(
    ("status", "kind", "may_be_done"),
    [
        (401, LoginRefused, False),
        (404, NotSupported, False),
        (501, NotSupported, False),
        (400, DeviceError, True),
        (429, DeviceNotReady, False),
        (500, DeviceError, True),
    ],
)
async def test_a_refusal_is_told_and_nothing_else_is_sent(
    redfish: Redfish, bmc: Bmc, status: int, kind: type[DeviceError], may_be_done: bool
) -> None:
    bmc.answers["POST", RESET] = answering(status)
    with pytest.raises(kind) as failed:
        await ask_down(redfish, bmc)
    assert type(failed.value) is kind and failed.value.may_be_done is may_be_done
    assert bmc.posts == [RESET]


@pytest.mark.parametrize("status", [400, 409, 500])
@pytest.mark.parametrize("said", UNKNOWN)
async def test_a_service_that_does_not_know_it_did_nothing(redfish: Redfish, bmc: Bmc, status: int, said: str) -> None:
    """As some offer GracefulShutdown, or say nothing of what they offer, and refuse it. The host stays on, and is left
    alone at once."""
    bmc.answers["POST", RESET] = answering(status, message(f"Base.1.12.{said}"))
    with pytest.raises(NotSupported, match=said) as failed:
        await ask_down(redfish, bmc)
    assert not failed.value.may_be_done
    assert bmc.posts == [RESET]


async def test_a_host_that_is_off_already_is_asked_in_vain(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["POST", RESET] = answering(409, message("Base.1.8.InvalidOperationForSystemState"))
    bmc.power = "Off"
    await ask_down(redfish, bmc)


async def test_it_is_sent_once_and_in_doubt_without_its_answer(redfish: Redfish, bmc: Bmc) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response(status=204)

    bmc.answers["POST", RESET] = hang
    with pytest.raises(DeviceTimedOut) as failed:
        await ask_down(redfish, bmc, timeout_seconds=1)
    release.set()
    assert (failed.value.may_be_done, failed.value.is_end_known) == (True, False)
    assert bmc.posts == [RESET]


async def test_nothing_is_sent_to_another_machine_or_to_a_bmc_that_is_starting(redfish: Redfish, bmc: Bmc) -> None:
    with pytest.raises(DeviceError):
        await ask_down(redfish, bmc, identity="00000000-dead-beef-0000-000000000000")
    bmc.properties[""] = {"UUID": "11111111-2222-3333-4444-555555555555"}
    with pytest.raises(WrongMachine):
        await ask_down(redfish, bmc, identity="00000000-dead-beef-0000-000000000000")
    bmc.manager = {"@odata.id": MANAGER, "Status": {"State": "Starting"}}
    with pytest.raises(DeviceNotReady):
        await ask_down(redfish, bmc, timeout_seconds=1)
    assert bmc.posts == []


@pytest.mark.integration
async def test_sushy_shuts_its_system_down_and_reads_off_in_the_end(tmp_path: Path) -> None:
    port, driver = free_port(), Redfish()
    with sushy(tmp_path, port) as certificate:
        spec = spec_of(
            "redfish", address=f"https://127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD),
            options={"ca_file": str(certificate)},
        )  # fmt: skip
        try:
            await until_on(driver, spec)
            await driver.soft_off(spec, timeout_seconds=15, on_started=starts_into([]))
            assert await driver.read(spec, timeout_seconds=5) is Power.ON
            await reads(driver, spec, Power.OFF)
        finally:
            await driver.close()
