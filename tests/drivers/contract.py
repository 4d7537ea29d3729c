"""Parts of the contract for tests of a single driver; test_contract.py has the whole."""

import time

import pytest

from fenced.model.inventory import DeviceSpec, Secret
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, Driver
from tests.drivers.programs import starts_into
from tests.net import until

SET_SECONDS = 25.0
READ_SECONDS = 10.0
MARGIN_SECONDS = 10.0
"""How much later than its deadline a call may end on a busy machine: a kill and its reaping."""


async def reads(driver: Driver, spec: DeviceSpec, power: Power) -> None:
    """Wait until the device reads this."""

    async def is_there() -> bool:
        return await driver.read(spec, timeout_seconds=READ_SECONDS) is power

    await until(is_there, seconds=30, what=f"{spec.driver} reads {power}")


async def sets_and_reads_back(driver: Driver, spec: DeviceSpec, *, is_on_tried: bool = True) -> None:
    """From ON to OFF, to OFF once more, and back to ON."""
    await reads(driver, spec, Power.ON)
    await driver.set(spec, Power.OFF, timeout_seconds=SET_SECONDS, on_started=starts_into([]))
    await reads(driver, spec, Power.OFF)
    await driver.set(spec, Power.OFF, timeout_seconds=SET_SECONDS, on_started=starts_into([]))
    await reads(driver, spec, Power.OFF)
    if is_on_tried:
        await driver.set(spec, Power.ON, timeout_seconds=SET_SECONDS, on_started=starts_into([]))
        await reads(driver, spec, Power.ON)


async def refuses_to_be_set_to_unknown(driver: Driver, spec: DeviceSpec) -> None:
    with pytest.raises(DeviceError) as failed:
        await driver.set(spec, Power.UNKNOWN, timeout_seconds=SET_SECONDS, on_started=starts_into([]))
    assert failed.value.may_be_done is False


async def fails_typed_in_time_and_without_secrets(
    driver: Driver, spec: DeviceSpec, kinds: tuple[type[DeviceError], ...], *, timeout_seconds: float = 6.0
) -> None:
    """Check that a read of a spec that can't work fails in time, with an error of these kinds and without secrets."""
    assert isinstance(spec.password, Secret)
    began = time.monotonic()
    with pytest.raises(DeviceError) as failed:
        await driver.read(spec, timeout_seconds=timeout_seconds)
    assert time.monotonic() - began < timeout_seconds + MARGIN_SECONDS
    assert isinstance(failed.value, kinds)
    assert failed.value.is_end_known
    assert spec.password.reveal() not in str(failed.value)
