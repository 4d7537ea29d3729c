"""What single real devices do beyond the contract (test_contract.py)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.drivers.registry import DriverRegistry
from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    DeviceError,
    DeviceUnreachable,
    LoginRefused,
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
async def test_a_file_that_says_neither(registry: DriverRegistry, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("neither")
    spec = spec_of(
        "fence_dummy", address="", username="", password=None, options={"type": "file", "status_file": str(state)}
    )
    with pytest.raises(DeviceError, match="plug status"):
        await registry.driver_for(spec.driver).read(spec, timeout_seconds=10)


@needs("fence_ipmilan", "ipmi_sim", "ipmitool")
async def test_a_verbose_agent_does_not_reveal_the_secret(registry: DriverRegistry, tmp_path: Path) -> None:
    port = udp_port()
    options = {"lanplus": True, "cipher": 3, "ipport": port, "power_wait": 0}
    spec = spec_of("fence_ipmilan", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options)
    driver = registry.driver_for(spec.driver)
    with ipmi_sim(tmp_path, port):
        await until_on(driver, spec)
        verbose = replace(spec, password=WRONG, options={**options, "verbose": True})
        await contract.fails_typed_in_time_and_without_secrets(driver, verbose, (DeviceUnreachable, LoginRefused))


async def test_what_sushy_is_asked_besides(registry: DriverRegistry, redfish_service: tuple[int, Path]) -> None:
    await until_listening(redfish_service[0])
    spec = redfish_spec(redfish_service)
    driver = registry.driver_for(spec.driver)
    await contract.fails_typed_in_time_and_without_secrets(driver, replace(spec, options={}), (LoginRefused,))
    named = replace(spec, options={**spec.options, "system": SYSTEM})
    assert await driver.read(named, timeout_seconds=10) is Power.ON
    sessions = replace(spec, options={**spec.options, "auth": "session"})  # it has none, and lets nobody ask
    await contract.fails_typed_in_time_and_without_secrets(driver, sessions, (LoginRefused,))
