"""The driver in `docs/adding-a-driver.md` fulfils the contract; the test runs the code of the page."""

import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from fenced.model.inventory import Secret
from fenced.model.power import Power
from fenced.ports.devices import Driver
from tests.drivers import test_contract as contract
from tests.drivers.bed import WRONG, Bed, black_hole
from tests.drivers.counterparts import PASSWORD, USERNAME
from tests.drivers.lab_beds import LabRack, outlet_of
from tests.drivers.programs import spec_of
from tests.house.tree import ROOT
from tests.net import free_port

PAGE = ROOT / "docs" / "adding-a-driver.md"
CONTRACT: tuple[Callable[[Driver, Bed], Awaitable[None]], ...] = (
    contract.test_off_is_off_and_what_others_do_is_seen,
    contract.test_on_is_on,
    contract.test_it_is_never_set_to_unknown,
    contract.test_a_wrong_password_is_reported_and_nothing_is_done,
    contract.test_an_address_without_a_listener_is_reported_in_time,
    contract.test_a_silent_device_costs_no_more_than_the_deadline,
    contract.test_a_mistake_in_the_options_is_one,
    contract.test_a_cancelled_read_leaves_nothing_behind,
    contract.test_many_reads_at_once_are_all_right,
    contract.test_closing_twice_is_closing,
)


def driver_of_the_page() -> Driver:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    module = ModuleType("lab_outlet")
    exec(compile(blocks[0], str(PAGE), "exec"), module.__dict__)
    driver: Driver = module.LabOutlet()
    return driver


@contextmanager
def unit(directory: Path) -> Iterator[Bed]:
    lab = LabRack(directory)
    with lab.serving(), black_hole(socket.SOCK_STREAM) as hole:
        options: dict[str, str | int | float | bool] = {"plug": "1", "ipport": lab.unit_ports["pdu-a"]}
        spec = spec_of("lab_outlet", address="127.0.0.1", username=USERNAME, password=Secret(PASSWORD), options=options)
        yield outlet_of(
            lab,
            spec,
            refused=replace(spec, password=WRONG),
            nowhere=replace(spec, options={**options, "ipport": free_port()}),
            silent=replace(spec, options={**options, "ipport": hole}),
            mistaken=(replace(spec, options={**options, "plug": "left"}),),
        )


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with unit(tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.mark.parametrize("owed", CONTRACT, ids=lambda owed: owed.__name__.removeprefix("test_"))
async def test_the_driver_of_the_page_keeps_the_contract(
    owed: Callable[[Driver, Bed], Awaitable[None]], bed: Bed
) -> None:
    driver = driver_of_the_page()
    await contract.until_read(driver, bed.spec, Power.ON)
    await owed(driver, bed)
