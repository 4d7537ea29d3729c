"""The contract of drivers (ports.devices.Driver), tested on every driver with its real counterparts.

A new driver is tested by adding its counterpart to `tests/drivers/beds.py`; nothing here knows a driver.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.drivers.keeper.client import Keeper
from fenced.drivers.registry import DriverRegistry, drivers
from fenced.model.inventory import DeviceSpec
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, Driver, NotSupported, SoftDriver, WrongMachine, soft_off
from tests.drivers.bed import CAN_LACK, Bed, Counterpart
from tests.drivers.beds import COUNTERPARTS
from tests.drivers.contract import MARGIN_SECONDS
from tests.drivers.programs import starts_into
from tests.needs import needs
from tests.net import until

pytestmark = pytest.mark.integration

READ_SECONDS = 10.0
SET_SECONDS = 25.0
SHORT_SECONDS = 1.5
"""For calls that can't succeed: the driver must end in time, whatever the device does."""
NO_MACHINE = "00000000-dead-beef-0000-000000000000"


def on_beds(*, with_: str = "") -> pytest.MarkDecorator:
    """Run a test on every counterpart whose bed has what the test needs."""
    assert not with_ or with_ in CAN_LACK
    found = [counterpart for counterpart in COUNTERPARTS if with_ not in counterpart.lacks]
    params = [pytest.param(one, id=one.name, marks=[needs(*one.programs)]) for one in found]
    return pytest.mark.parametrize("bed", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """One device for all tests of this module in one process."""
    counterpart: Counterpart = request.param
    with counterpart.make(tmp_path_factory.mktemp("bed")) as made:
        assert {name for name in CAN_LACK if not getattr(made, name)} == counterpart.lacks
        yield made


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where agents' metadata is kept, as by a daemon: each agent is asked once."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
async def registry(bed: Bed, marker: str, state_dir: Path) -> AsyncIterator[DriverRegistry]:
    path = [*bed.agent_path, Path("/usr/sbin")]
    async with drivers(agent_path=path, keeper=Keeper(marker=marker), state_dir=state_dir) as running:
        yield running


@pytest.fixture
async def driver(bed: Bed, registry: DriverRegistry) -> Driver:
    """The driver, once the device answers and is ON."""
    found = registry.driver_for(bed.spec.driver)
    if bed.truth() is not Power.ON:
        bed.turn(Power.ON)
    await until_read(found, bed.spec, Power.ON)
    return found


async def until_read(driver: Driver, spec: DeviceSpec, power: Power) -> None:
    async def is_there() -> bool:
        with contextlib.suppress(DeviceError):
            return await driver.read(spec, timeout_seconds=READ_SECONDS) is power
        return False

    await until(is_there, seconds=40, what=f"{spec.driver} reads {power}")


async def send(driver: Driver, spec: DeviceSpec, power: Power, *, timeout_seconds: float = SET_SECONDS) -> None:
    await driver.set(spec, power, timeout_seconds=timeout_seconds, on_started=starts_into([]))


@on_beds()
async def test_off_is_off_and_what_others_do_is_seen(driver: Driver, bed: Bed) -> None:
    """OFF twice, because a resumed operation sends it again; then the device is switched on without the driver."""
    await send(driver, bed.spec, Power.OFF)
    await until_read(driver, bed.spec, Power.OFF)
    assert bed.truth() is Power.OFF
    await send(driver, bed.spec, Power.OFF)
    assert await driver.read(bed.spec, timeout_seconds=READ_SECONDS) is Power.OFF
    bed.turn(Power.ON)
    await until_read(driver, bed.spec, Power.ON)
    assert bed.truth() is Power.ON


@on_beds()
async def test_on_is_on(driver: Driver, bed: Bed) -> None:
    bed.turn(Power.OFF)
    await until_read(driver, bed.spec, Power.OFF)
    await send(driver, bed.spec, Power.ON)
    await until_read(driver, bed.spec, Power.ON)
    assert bed.truth() is Power.ON


@on_beds()
async def test_it_is_never_set_to_unknown(driver: Driver, bed: Bed) -> None:
    with pytest.raises(BadParameters) as failed:
        await send(driver, bed.spec, Power.UNKNOWN)
    assert failed.value.may_be_done is False
    assert bed.truth() is Power.ON


async def ask_down(driver: Driver, spec: DeviceSpec) -> None:
    await soft_off(driver, spec, timeout_seconds=SET_SECONDS, on_started=starts_into([]))


@on_beds(with_="asked")
async def test_a_host_is_asked_once_to_shut_down(driver: Driver, bed: Bed) -> None:
    assert bed.asked is not None
    before = bed.asked()
    await ask_down(driver, bed.spec)
    await until(lambda: bed.asked() > before, seconds=20, what="its operating system was asked")
    assert bed.asked() == before + 1


@on_beds()
async def test_a_device_that_can_ask_no_host_says_so_and_does_nothing(driver: Driver, bed: Bed) -> None:
    assert isinstance(driver, SoftDriver) is (bed.asked is not None)
    if bed.asked is None:
        with pytest.raises(NotSupported, match="can't ask a host to shut down") as failed:
            await ask_down(driver, bed.spec)
        assert failed.value.may_be_done is False
        assert bed.truth() is Power.ON


@on_beds(with_="refused")
async def test_a_wrong_password_is_reported_and_nothing_is_done(driver: Driver, bed: Bed) -> None:
    assert bed.refused is not None
    with pytest.raises(bed.refusals) as failed:
        await driver.read(bed.refused, timeout_seconds=READ_SECONDS)
    assert_telling(failed.value, bed.refused)
    with pytest.raises(DeviceError) as failed:
        await send(driver, bed.refused, Power.OFF)
    assert_telling(failed.value, bed.refused)
    if bed.asked is not None:
        before = bed.asked()
        with pytest.raises(DeviceError) as failed:
            await ask_down(driver, bed.refused)
        assert failed.value.may_be_done is False
        assert bed.asked() == before
    assert bed.truth() is Power.ON


@on_beds(with_="nowhere")
async def test_an_address_without_a_listener_is_reported_in_time(driver: Driver, bed: Bed) -> None:
    assert bed.nowhere is not None
    began = time.monotonic()
    with pytest.raises(bed.silences) as failed:
        await driver.read(bed.nowhere, timeout_seconds=SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + MARGIN_SECONDS
    assert failed.value.is_end_known
    assert_telling(failed.value, bed.nowhere)


@on_beds(with_="silent")
async def test_a_silent_device_costs_no_more_than_the_deadline(driver: Driver, bed: Bed) -> None:
    assert bed.silent is not None
    began = time.monotonic()
    with pytest.raises(bed.silences) as failed:
        await driver.read(bed.silent, timeout_seconds=SHORT_SECONDS)
    assert failed.value.is_end_known
    with pytest.raises(DeviceError):
        await send(driver, bed.silent, Power.OFF, timeout_seconds=SHORT_SECONDS)
    assert time.monotonic() - began < 2 * (SHORT_SECONDS + MARGIN_SECONDS)


@on_beds(with_="mistaken")
async def test_a_mistake_in_the_options_is_one(driver: Driver, bed: Bed) -> None:
    for spec in bed.mistaken:
        with pytest.raises(BadParameters) as failed:
            await driver.read(spec, timeout_seconds=READ_SECONDS)
        assert_telling(failed.value, spec)
        with pytest.raises(BadParameters) as failed:
            await send(driver, spec, Power.OFF)
        assert failed.value.may_be_done is False
    assert bed.truth() is Power.ON


@on_beds(with_="identities")
async def test_another_machine_is_never_switched(driver: Driver, bed: Bed) -> None:
    for identity in bed.identities:
        own = replace(bed.spec, identity=identity)
        assert await driver.read(own, timeout_seconds=READ_SECONDS) is Power.ON
    other = replace(bed.spec, identity=NO_MACHINE)
    with pytest.raises(WrongMachine):
        await driver.read(other, timeout_seconds=READ_SECONDS)
    with pytest.raises(WrongMachine) as failed:
        await send(driver, other, Power.OFF)
    assert failed.value.may_be_done is False
    if bed.asked is not None:
        before = bed.asked()
        with pytest.raises(WrongMachine) as failed:
            await ask_down(driver, other)
        assert failed.value.may_be_done is False
        assert bed.asked() == before
    assert bed.truth() is Power.ON


@on_beds()
async def test_a_cancelled_read_leaves_nothing_behind(driver: Driver, bed: Bed) -> None:
    spec = bed.silent or bed.spec
    before = children()
    reading = asyncio.create_task(driver.read(spec, timeout_seconds=READ_SECONDS), name="read")
    await asyncio.sleep(0.05)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeviceError):
        await reading
    await until(lambda: children() <= before, what="what the read started is gone")
    await until_read(driver, bed.spec, Power.ON)


@on_beds()
async def test_many_reads_at_once_are_all_right(driver: Driver, bed: Bed) -> None:
    readings = await asyncio.gather(*(driver.read(bed.spec, timeout_seconds=READ_SECONDS) for _ in range(4)))
    assert readings == [Power.ON] * 4


@on_beds()
async def test_closing_twice_is_closing(driver: Driver, bed: Bed) -> None:
    await driver.read(bed.spec, timeout_seconds=READ_SECONDS)
    await driver.close()
    await driver.close()


def assert_telling(error: DeviceError, spec: DeviceSpec) -> None:
    """An error of the driver has a text without a secret."""
    assert str(error)
    assert not any(secret in str(error) for secret in spec.all_secrets)
    assert not any(secret in repr(error) for secret in spec.all_secrets)


def children(pid: int | None = None) -> set[int]:
    """Return every process below this one, by id."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid or os.getpid()}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(child) for child in task.read_text().split())
    return found.union(*(children(child) for child in found))
