"""IPMI with independent implementations: the driver with ipmi_sim and pyghmi's BMC, and other clients
with the tests' BMC.

The clients check its suite 17, which no packaged BMC supports.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.drivers.ipmi.driver import Ipmi
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    NotSupported,
    WrongMachine,
)
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port
from tests.drivers.ipmi.bmc import Bmc, serving
from tests.drivers.programs import spec_of
from tests.needs import find, needs
from tests.net import until
from tests.pages.registry import shell

pytestmark = pytest.mark.integration

SIM_GUID = "a1234567-89ab-cdef-a123-456789abcdef"
CLIENT_SECONDS = 30.0


def spec_at(port: int, **options: str | int) -> DeviceSpec:
    return spec_of(
        "ipmi", address=f"127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD), options=dict(options)
    )


async def answers(driver: Ipmi, spec: DeviceSpec) -> None:
    async def is_there() -> bool:
        with contextlib.suppress(DeviceError):
            return await driver.read(spec, timeout_seconds=2) is Power.ON
        return False

    await until(is_there, what="the BMC answers")


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[DeviceSpec]:
    port = udp_port()
    with ipmi_sim(tmp_path, port):
        yield spec_at(port)


@needs("ipmi_sim")
async def test_user_suite_and_port_have_errors_of_their_own(sim: DeviceSpec) -> None:
    driver = Ipmi()
    await answers(driver, replace(sim, options={"cipher": 3, "privilege": "administrator"}))
    with pytest.raises(LoginRefused):
        await driver.read(replace(sim, username="nobody"), timeout_seconds=6)
    with pytest.raises(NotSupported):
        await driver.read(replace(sim, options={"cipher": 17}), timeout_seconds=6)
    with pytest.raises(DeviceUnreachable):
        await driver.read(spec_at(udp_port()), timeout_seconds=6)


@needs("ipmi_sim")
async def test_the_identity_of_ipmi_sim(sim: DeviceSpec) -> None:
    driver = Ipmi()
    await answers(driver, sim)
    assert await driver.read(replace(sim, identity=SIM_GUID), timeout_seconds=5) is Power.ON
    other = replace(sim, identity=SIM_GUID.replace("a", "b"))
    with pytest.raises(WrongMachine):
        await driver.read(other, timeout_seconds=5)


@needs("ipmi_sim")
async def test_a_frozen_ipmi_sim_costs_its_deadline_and_no_more(tmp_path: Path) -> None:
    """It is read again once it resumes, whatever its socket then holds."""
    port, driver = udp_port(), Ipmi()
    with ipmi_sim(tmp_path, port) as pid:
        await answers(driver, spec_at(port))
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DeviceTimedOut) as failed:
            await driver.read(spec_at(port), timeout_seconds=1.0)
        assert failed.value.is_end_known
        os.kill(pid, signal.SIGCONT)
        await answers(driver, spec_at(port))


async def run(program: str, *arguments: str) -> tuple[int | None, str]:
    """A client's exit status and output."""
    path = find(program)
    assert path is not None
    running = await asyncio.create_subprocess_exec(
        path,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(CLIENT_SECONDS):
        out, _ = await running.communicate()
    return running.returncode, out.decode()


async def by_ipmitool(bmc: Bmc, suite: int, act: str, *more: str) -> tuple[int | None, str]:
    where = ("-H", "127.0.0.1", "-p", str(bmc.port), "-U", bmc.username, "-P", bmc.password)
    return await run("ipmitool", "-I", "lanplus", "-C", str(suite), *where, *more, "power", act)


@needs("ipmitool")
@pytest.mark.parametrize("suite", [3, 17])
@pytest.mark.parametrize("kg", [b"", b"key of the BMC"])
async def test_ipmitool_takes_our_bmc_for_one(suite: int, kg: bytes) -> None:
    more = ("-k", kg.decode()) if kg else ()
    async with serving(Bmc(kg=kg)) as bmc:
        for act, told in (("status", "is on"), ("off", "Down/Off"), ("status", "is off"), ("on", "Up/On")):
            status, said = await by_ipmitool(bmc, suite, act, *more)
            assert status == 0 and told in said
        assert bmc.commands == [b"\x00", b"\x01"]
        assert set(bmc.logins) == {suite} and bmc.active == 0


@needs("ipmitool")
async def test_the_page_reads_a_bmc_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(Bmc(username="fence")) as bmc:
        (tmp_path / "bmc").write_text(bmc.password)
        (block,) = shell("ipmi", __name__, port=bmc.port)
        done = await asyncio.to_thread(subprocess.run, ["bash", "-ec", block], capture_output=True, text=True)
        assert done.returncode == 0 and "Chassis Power is on" in done.stdout and "System GUID" in done.stdout, done
        assert set(bmc.logins) == {17}


@needs("ipmipower")
@pytest.mark.parametrize("suite", [3, 17])
async def test_freeipmi_takes_our_bmc_for_one(suite: int) -> None:
    async with serving(Bmc()) as bmc:
        where = ("-h", f"127.0.0.1:{bmc.port}", "-u", bmc.username, "-p", bmc.password, "-l", "OPERATOR")
        for act, told in (("--stat", ": on"), ("--off", ": ok"), ("--stat", ": off")):
            status, said = await run(
                "ipmipower", "--driver-type=LAN_2_0", "-I", str(suite), "-W", "opensesspriv", *where, act
            )
            assert status == 0 and told in said
        assert set(bmc.logins) == {suite} and bmc.active == 0


async def test_python_ipmi_takes_our_bmc_for_one() -> None:
    """Suite 3 only: 0.6.1 derives the keys of suite 17 from constants of 32 bytes; ipmitool, FreeIPMI
    and the driver use 20.
    """
    async with serving(Bmc()) as bmc:
        assert await asyncio.to_thread(_by_python_ipmi, bmc.port) == [True, False]
        assert bmc.logins == [3] and bmc.commands == [b"\x00"]


def _by_python_ipmi(port: int) -> list[bool]:
    from pyipmi import Target, create_connection
    from pyipmi.interfaces import create_interface

    connection = create_connection(create_interface("rmcpplus", cipher_suite=3))
    connection.session.set_session_type_rmcp("127.0.0.1", port)
    connection.session.set_auth_type_user(USERNAME, PASSWORD)
    connection.target = Target(ipmb_address=0x20)
    connection.open()
    try:
        read = [connection.get_chassis_status().power_on]
        connection.chassis_control_power_down()
        return [*read, connection.get_chassis_status().power_on]
    finally:
        connection.close()
