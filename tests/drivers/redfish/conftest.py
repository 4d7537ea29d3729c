"""A Redfish service and the driver for it."""

from collections.abc import AsyncIterator

import pytest

from fenced.drivers.redfish.driver import Redfish
from tests.drivers.redfish.bmc import Bmc


@pytest.fixture
async def bmc() -> AsyncIterator[Bmc]:
    """A Redfish service whose answers the test can replace."""
    async with Bmc().running() as running:
        yield running


@pytest.fixture
async def redfish() -> AsyncIterator[Redfish]:
    driver = Redfish()
    yield driver
    await driver.close()
