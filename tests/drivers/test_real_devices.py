"""The contract, on every driver against a counterpart that others wrote."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.drivers.registry import DriverRegistry
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    BadParameters,
    DeviceError,
    DeviceTimedOut,
    DeviceUnreachable,
    LoginRefused,
    WrongMachine,
)
from tests.drivers import contract
from tests.drivers.counterparts import PASSWORD, SYSTEM, USERNAME, ipmi_sim, sushy, udp_port, until_on
from tests.drivers.programs import spec_of
from tests.needs import needs
from tests.net import free_port, until_listening

pytestmark = pytest.mark.integration

WRONG = Secret("wr0ng-pw")


@pytest.fixture(scope="module")
def redfish_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A sushy-emulator's port and certificate."""
    port = free_port()
    with sushy(tmp_path_factory.mktemp("sushy"), port) as certificate:
        yield port, certificate


def redfish_spec(service: tuple[int, Path]) -> DeviceSpec:
    port, certificate = service
    return spec_of(
        "redfish",
        address=f"https://127.0.0.1:{port}",
        username=USERNAME,
        password=Secret(PASSWORD),
        options={"ca_file": str(certificate)},
    )


@needs("fence_dummy")
async def test_fence_dummy(registry: DriverRegistry, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("on")  # without a line end
    spec = spec_of(
        "fence_dummy", address="", username="", password=None, options={"type": "file", "status_file": str(state)}
    )
    driver = registry.driver_for(spec.driver)
    await contract.sets_and_reads_back(driver, spec)
    await contract.refuses_to_be_set_to_unknown(driver, spec)
    state.write_text("neither")
    with pytest.raises(DeviceError, match="plug status"):
        await driver.read(spec, timeout_seconds=10)


@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_fence_ipmilan(registry: DriverRegistry, tmp_path: Path) -> None:
    port = udp_port()
    options = {"lanplus": True, "cipher": 3, "ipport": port, "power_wait": 0}
    spec = spec_of("fence_ipmilan", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options)
    driver = registry.driver_for(spec.driver)
    with ipmi_sim(tmp_path, port):
        await until_on(driver, spec)
        await contract.sets_and_reads_back(driver, spec)
        refused = replace(spec, password=WRONG)
        await contract.fails_typed_in_time_and_without_secrets(driver, refused, (DeviceError,))
        verbose = replace(refused, options={**options, "verbose": True})
        await contract.fails_typed_in_time_and_without_secrets(driver, verbose, (DeviceUnreachable, LoginRefused))
    await contract.fails_typed_in_time_and_without_secrets(
        driver, spec, (DeviceTimedOut, DeviceUnreachable), timeout_seconds=1.0
    )


async def test_redfish(registry: DriverRegistry, redfish_service: tuple[int, Path]) -> None:
    await until_listening(redfish_service[0])
    spec = redfish_spec(redfish_service)
    driver = registry.driver_for(spec.driver)
    refused = replace(spec, password=WRONG)
    await contract.fails_typed_in_time_and_without_secrets(driver, refused, (LoginRefused,))
    untrusted = replace(spec, options={})
    await contract.fails_typed_in_time_and_without_secrets(driver, untrusted, (LoginRefused,))
    nowhere = replace(spec, address=f"https://127.0.0.1:{free_port()}")
    await contract.fails_typed_in_time_and_without_secrets(driver, nowhere, (DeviceUnreachable,))
    other = replace(spec, options={**spec.options, "system": "no-such-system"})
    await contract.fails_typed_in_time_and_without_secrets(driver, other, (BadParameters,))
    named = replace(spec, options={**spec.options, "system": SYSTEM})
    assert await driver.read(named, timeout_seconds=10) is Power.ON
    assert await driver.read(replace(spec, identity=SYSTEM), timeout_seconds=10) is Power.ON
    moved = replace(spec, identity="4c4c4544-0051-3410-8051-b5c04f375931")
    await contract.fails_typed_in_time_and_without_secrets(driver, moved, (WrongMachine,))
    sessions = replace(spec, options={**spec.options, "auth": "session"})  # it has none, and lets nobody ask
    await contract.fails_typed_in_time_and_without_secrets(driver, sessions, (LoginRefused,))
    await contract.refuses_to_be_set_to_unknown(driver, spec)
    await contract.sets_and_reads_back(driver, spec)


@needs("fence_redfish")
async def test_fence_redfish(registry: DriverRegistry, redfish_service: tuple[int, Path]) -> None:
    port, _certificate = redfish_service
    await until_listening(port)
    spec = spec_of(
        "fence_redfish",
        address="127.0.0.1",
        username=USERNAME,
        password=Secret(PASSWORD),
        options={"ipport": port, "ssl_insecure": True, "systems_uri": f"/redfish/v1/Systems/{SYSTEM}"},
    )
    driver = registry.driver_for(spec.driver)
    await contract.fails_typed_in_time_and_without_secrets(
        driver, replace(spec, password=WRONG), (DeviceError,), timeout_seconds=8
    )
    await contract.sets_and_reads_back(driver, spec, is_on_tried=False)
