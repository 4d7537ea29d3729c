"""The emulated Redfish BMC, requested by an aiohttp client as a driver would do it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from fenced.drivers.redfish.driver import Redfish
from fenced.lab.bmc import RESET, ROOT, SYSTEM, Bmc, BmcSettings, fault_key, system_uuid
from fenced.lab.faults import Fault, FaultKind, Faults
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.model.inventory import Secret
from fenced.ports.devices import DeviceTimedOut, LoginRefused, WrongMachine
from tests.drivers import contract
from tests.drivers.programs import spec_of
from tests.net import until

OUTLET = Outlet(unit="pdu-a", number=1)
LOGIN = {"Authorization": aiohttp.encode_basic_auth("fence", "s3cret")}


class Bench:
    """One BMC and a client for it."""

    def __init__(
        self, session: aiohttp.ClientSession, rack: Rack, faults: Faults, address: str, asked: list[str]
    ) -> None:
        self.session, self.rack, self.faults, self.address, self.asked = session, rack, faults, address, asked

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(path, headers=headers or LOGIN) as response:
            return response.status, await response.json()

    async def power(self) -> str:
        _, system = await self.get(SYSTEM)
        return str(system["PowerState"])

    async def reset(self, kind: object) -> int:
        async with self.session.post(RESET, json={"ResetType": kind}, headers=LOGIN) as response:
            return response.status

    async def until_power(self, expected: str) -> None:
        async def reads() -> bool:
            return await self.power() == expected

        await until(reads, what=f"PowerState {expected}")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    faults = Faults()
    asked: list[str] = []
    rack = Rack(
        [Wiring(host="node-1", outlets=(OUTLET,))],
        changed=lambda host, has_power: None,
        asked=asked.append,
        bmc_boot_seconds=0.2,
    )
    settings = BmcSettings(username="fence", password=Secret("s3cret"), delay_seconds=0.15)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        bmc = Bmc(rack, host="node-1", settings=settings, faults=faults, tasks=tasks)
        listener = socket.create_server(("127.0.0.1", 0))
        await stack.enter_async_context(bmc.serving(listener))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        timeout = aiohttp.ClientTimeout(total=1.0)
        session = await stack.enter_async_context(aiohttp.ClientSession(base, timeout=timeout))
        yield Bench(session, rack, faults, base, asked)


async def test_the_way_from_the_root_to_the_reset(bench: Bench) -> None:
    async with bench.session.get(f"{ROOT}/") as response:
        root = await response.json()
    _, systems = await bench.get(root["Systems"]["@odata.id"])
    _, system = await bench.get(systems["Members"][0]["@odata.id"])
    assert system["PowerState"] == "On"
    assert system["UUID"] == system_uuid("node-1")
    reset = system["Actions"]["#ComputerSystem.Reset"]
    assert reset["target"] == RESET
    assert {"On", "ForceOff"} <= set(reset["ResetType@Redfish.AllowableValues"])


async def test_the_redfish_driver_keeps_its_contract_on_it(bench: Bench) -> None:
    spec = spec_of(
        "redfish",
        address=bench.address,
        username="fence",
        password=Secret("s3cret"),
        identity=system_uuid("node-1"),
    )
    driver = Redfish()
    try:
        await contract.sets_and_reads_back(driver, spec)
        await contract.refuses_to_be_set_to_unknown(driver, spec)
        moved = replace(spec, identity=system_uuid("node-2"))
        await contract.fails_typed_in_time_and_without_secrets(driver, moved, (WrongMachine,))
        refused = replace(spec, password=Secret("wr0ng"))
        await contract.fails_typed_in_time_and_without_secrets(driver, refused, (LoginRefused,))
        bench.faults.set(fault_key("node-1"), Fault(kind=FaultKind.DEAD))
        await contract.fails_typed_in_time_and_without_secrets(driver, spec, (DeviceTimedOut,), timeout_seconds=0.5)
        bench.faults.set(fault_key("node-1"), None)
    finally:
        await driver.close()


@pytest.mark.parametrize("login", ["Basic bm9ib2R5Om5vYm9keQ==", "Basic %%%", "Bearer x", "x"])
async def test_no_login_no_answer(bench: Bench, login: str) -> None:
    status, _ = await bench.get(SYSTEM, Authorization=login)
    assert status == 401
    async with bench.session.post(RESET, json={"ResetType": "ForceOff"}) as response:
        assert response.status == 401


async def test_force_off_passes_through_powering_off(bench: Bench) -> None:
    assert await bench.reset("ForceOff") == 204
    assert await bench.power() == "PoweringOff"
    assert bench.rack.has_power("node-1")
    assert await bench.reset("On") == 409
    await bench.until_power("Off")
    assert not bench.rack.has_power("node-1")
    assert await bench.reset("On") == 204
    assert await bench.power() == "PoweringOn"
    await bench.until_power("On")


@pytest.mark.parametrize("kind", ["PowerCycle", None, 7, ["On"]])
async def test_other_resets_are_refused(bench: Bench, kind: object) -> None:
    assert await bench.reset(kind) == 400
    async with bench.session.post(RESET, data=b"{", headers=LOGIN) as response:
        assert response.status == 400
    assert await bench.power() == "On"


async def test_force_restart_cuts_and_gives_back(bench: Bench) -> None:
    assert await bench.reset("ForceRestart") == 204
    await bench.until_power("On")


async def test_a_graceful_shutdown_presses_the_button_and_reads_on_until_the_host_is_down(bench: Bench) -> None:
    assert await bench.reset("GracefulShutdown") == 204
    await until(lambda: bench.asked == ["node-1"], what="the power button")
    assert await bench.power() == "On"
    bench.rack.set_chassis("node-1", is_on=False)
    assert await bench.power() == "Off"
    assert await bench.reset("GracefulShutdown") == 204
    await asyncio.sleep(0.3)  # the absence of something has no event to wait for
    assert bench.asked == ["node-1"]


async def test_without_mains_it_is_silent_and_boots_when_they_come_back(bench: Bench) -> None:
    bench.rack.set_outlet(OUTLET, is_on=False, now=asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await bench.power()
    bench.rack.set_outlet(OUTLET, is_on=True, now=asyncio.get_running_loop().time())
    assert await bench.power() == "On"


async def test_a_dead_bmc_is_silent(bench: Bench) -> None:
    bench.faults.set(fault_key("node-1"), Fault(kind=FaultKind.DEAD))
    with pytest.raises(TimeoutError):
        await bench.power()
    bench.faults.set(fault_key("node-1"), None)
    assert await bench.power() == "On"


@pytest.mark.parametrize(("kind", "reads"), [(FaultKind.STUCK, "On"), (FaultKind.LYING, "Off")])
async def test_stuck_and_lying_bmcs_take_the_command_and_do_nothing(bench: Bench, kind: FaultKind, reads: str) -> None:
    bench.faults.set(fault_key("node-1"), Fault(kind=kind))
    for reset in ("ForceOff", "GracefulShutdown"):
        assert await bench.reset(reset) == 204
        assert await bench.power() == reads
    assert bench.asked == []
    assert bench.rack.has_power("node-1")
