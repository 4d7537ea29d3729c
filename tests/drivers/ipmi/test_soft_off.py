"""The IPMI driver asks a host to shut down (S24): one Chassis Control, which never becomes a power down."""

from pathlib import Path

import pytest

from fenced.drivers.ipmi.driver import Ipmi
from fenced.drivers.registry import NATIVES
from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import (
    DeviceError,
    DeviceNotReady,
    DeviceTimedOut,
    LoginRefused,
    NotSupported,
    SoftDriver,
    WrongMachine,
)
from tests.drivers.counterparts import PASSWORD, USERNAME, ipmi_sim, udp_port, until_on
from tests.drivers.ipmi.bmc import CONTROL, Bmc, serving
from tests.drivers.ipmi.calls import ask_down, read, switch
from tests.drivers.programs import spec_of, starts_into
from tests.needs import needs

SOFT_SHUTDOWN = b"\x05"


def test_a_description_tells_which_drivers_can_ask() -> None:
    able = {driver.description.name for driver in NATIVES if driver.description.can_soft_off}
    assert able == {driver.description.name for driver in NATIVES if issubclass(driver, SoftDriver)}
    assert able == {"ipmi", "redfish"}


async def test_the_operating_system_is_asked_and_no_power_is_cut() -> None:
    async with serving(Bmc()) as bmc:
        await ask_down(bmc)
        assert bmc.commands == [SOFT_SHUTDOWN]
        assert await read(bmc) is Power.ON
        assert bmc.active == 0


@pytest.mark.parametrize("fault", ["lose", "mute"])
async def test_it_is_sent_once_and_in_doubt_without_its_answer(fault: str) -> None:
    async with serving(Bmc()) as bmc:
        setattr(bmc, fault, lambda asked: asked == CONTROL)
        with pytest.raises(DeviceTimedOut) as failed:
            await ask_down(bmc, seconds=1.5)
        assert failed.value.may_be_done is True and failed.value.is_end_known is False
        assert bmc.commands == ([] if fault == "lose" else [SOFT_SHUTDOWN])


@pytest.mark.parametrize(
    ("completion", "kind", "may_be_done"),
    [
        (0xC0, DeviceNotReady, False),
        (0xC1, NotSupported, False),
        (0xC3, DeviceNotReady, True),
        (0xC9, NotSupported, False),
        (0xCC, NotSupported, False),
        (0xD4, LoginRefused, False),
        (0xD5, DeviceError, False),
        (0xFF, DeviceError, True),
    ],
)
async def test_what_a_bmc_says_of_it(completion: int, kind: type[DeviceError], may_be_done: bool) -> None:
    async with serving(Bmc(completions={CONTROL: completion})) as bmc:
        with pytest.raises(kind) as failed:
            await ask_down(bmc)
        assert type(failed.value) is kind
        assert failed.value.may_be_done is may_be_done
        assert bmc.commands == [SOFT_SHUTDOWN]


async def test_a_bmc_without_this_control_still_switches() -> None:
    """The code for invalid data says of a power down that something else is wrong."""
    async with serving(Bmc(completions={CONTROL: 0xCC})) as bmc:
        with pytest.raises(NotSupported, match="can't ask its host to shut down"):
            await ask_down(bmc)
        with pytest.raises(DeviceError, match="invalid data") as failed:
            await switch(bmc, Power.OFF)
        assert not isinstance(failed.value, NotSupported)


async def test_a_host_that_is_off_already_is_asked_in_vain() -> None:
    async with serving(Bmc(is_on=False, completions={CONTROL: 0xD5})) as bmc:
        await ask_down(bmc)


async def test_nothing_is_sent_to_another_machine_or_to_a_bmc_that_is_starting() -> None:
    async with serving(Bmc()) as bmc:
        with pytest.raises(WrongMachine):
            await ask_down(bmc, identity="00000000-dead-beef-0000-000000000000")
        bmc.is_available = False
        with pytest.raises(DeviceNotReady):
            await ask_down(bmc)
        assert bmc.commands == []


@pytest.mark.integration
@needs("ipmi_sim")
async def test_ipmi_sim_asks_its_chassis_to_shut_down_and_stays_on(tmp_path: Path) -> None:
    port, driver = udp_port(), Ipmi()
    spec = spec_of("ipmi", address=f"127.0.0.1:{port}", username=USERNAME, password=Secret(PASSWORD))
    with ipmi_sim(tmp_path, port):
        await until_on(driver, spec)
        await driver.soft_off(spec, timeout_seconds=10, on_started=starts_into([]))
        assert (tmp_path / "asked").read_text() == "1\n"
        assert await driver.read(spec, timeout_seconds=5) is Power.ON
