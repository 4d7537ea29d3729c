"""Which system the Redfish driver selects; never another machine's."""

import pytest

from fenced.drivers.redfish.driver import Redfish
from fenced.drivers.redfish.vendors import IDENTITY_PLACES, MESSAGES, identities
from fenced.model.power import Power
from fenced.ports.devices import BadParameters, DeviceError, Identified, WrongMachine
from tests.drivers.programs import starts_into
from tests.drivers.redfish.bmc import PASSWORD, SYSTEMS, Bmc, answering, read, spec, switch

UUID = "4c4c4544-0051-3410-8051-b5c04f375931"
TURNED = "44454c4c-5100-1034-8051-b5c04f375931"
OTHER = "6f1d4c52-6f9b-4c0a-9e2c-1f3b6f0c2a11"


def blades(bmc: Bmc) -> None:
    """Three systems in one chassis."""
    bmc.members = ["blade-1", "blade-2", "blade-3"]
    bmc.properties = {
        "blade-1": {"UUID": OTHER, "SerialNumber": "S-1"},
        "blade-2": {"UUID": TURNED, "SerialNumber": "S-2"},
        "blade-3": {"UUID": None, "SerialNumber": ["S-2"]},
    }


@pytest.mark.parametrize("system", ["blade-2", UUID, UUID.upper(), "S-2", f"{SYSTEMS}/blade-2"])
async def test_a_system_is_found_by_id_path_uuid_or_serial(redfish: Redfish, bmc: Bmc, system: str) -> None:
    blades(bmc)
    await switch(redfish, bmc, Power.OFF, system=system)
    assert bmc.posts == [f"{SYSTEMS}/blade-2/Actions/ComputerSystem.Reset"]


@pytest.mark.parametrize("system", ["blade-4", "S", "s-22", OTHER[:-1]])
async def test_the_error_of_a_missing_system_lists_the_others(redfish: Redfish, bmc: Bmc, system: str) -> None:
    blades(bmc)
    with pytest.raises(BadParameters, match="blade-1, blade-2, blade-3"):
        await switch(redfish, bmc, Power.OFF, system=system)
    assert bmc.posts == []


async def test_an_identity_that_two_systems_tell_finds_none(redfish: Redfish, bmc: Bmc) -> None:
    blades(bmc)
    bmc.properties["blade-1"]["SerialNumber"] = "s 2"
    with pytest.raises(BadParameters, match="2 systems S-2"):
        await read(redfish, bmc, system="S-2")


async def test_of_several_systems_the_identity_finds_the_host_s(redfish: Redfish, bmc: Bmc) -> None:
    blades(bmc)
    await switch(redfish, bmc, Power.OFF, identity=UUID)
    assert bmc.posts == [f"{SYSTEMS}/blade-2/Actions/ComputerSystem.Reset"]
    with pytest.raises(WrongMachine):
        await read(redfish, bmc, identity="S-9")
    bmc.answers["GET", f"{SYSTEMS}/blade-3"] = answering(500)
    with pytest.raises(DeviceError) as failed:
        await read(redfish, bmc, identity="S-9")
    assert not isinstance(failed.value, WrongMachine)  # it may be the one that could not be read


@pytest.mark.parametrize("by_option", [True, False])
async def test_a_blade_that_moved_is_followed_and_its_neighbour_left_alone(
    redfish: Redfish, bmc: Bmc, by_option: bool
) -> None:
    blades(bmc)
    device = spec(bmc, system=UUID) if by_option else spec(bmc, identity=UUID)
    assert await redfish.read(device, timeout_seconds=5) is Power.ON
    bmc.properties["blade-1"], bmc.properties["blade-2"] = bmc.properties["blade-2"], bmc.properties["blade-1"]
    await redfish.set(device, Power.OFF, timeout_seconds=5, on_started=starts_into([]))
    assert bmc.posts == [f"{SYSTEMS}/blade-1/Actions/ComputerSystem.Reset"]


async def test_members_are_read_page_by_page_up_to_a_bound(redfish: Redfish, bmc: Bmc) -> None:
    second = f"{SYSTEMS}/page-2"
    bmc.answers["GET", SYSTEMS] = answering(200, {"Members": [], "Members@odata.nextLink": second})
    bmc.answers["GET", second] = answering(200, {"Members": [{"@odata.id": f"{SYSTEMS}/1"}]})
    assert await read(redfish, bmc) is Power.ON
    bmc.answers["GET", second] = answering(200, {"Members": [], "Members@odata.nextLink": SYSTEMS})
    with pytest.raises(DeviceError, match="more than"):
        await read(redfish, bmc, system="2")


async def test_one_member_that_is_no_list_is_one_member(redfish: Redfish, bmc: Bmc) -> None:
    bmc.answers["GET", SYSTEMS] = answering(200, {"Members": {"@odata.id": f"{SYSTEMS}/1"}})
    assert await read(redfish, bmc) is Power.ON


@pytest.mark.parametrize("identity", [UUID, TURNED, UUID.upper().replace("-", ""), "abc 123", "ABC123"])
async def test_the_right_machine_is_read_and_switched(redfish: Redfish, bmc: Bmc, identity: str) -> None:
    bmc.properties[""] = {"UUID": UUID, "SerialNumber": "ABC123"}
    assert await read(redfish, bmc, identity=identity) is Power.ON
    await switch(redfish, bmc, Power.OFF, identity=identity)
    assert bmc.power == "Off"


@pytest.mark.parametrize("identity", [OTHER, "ABC12", "ABC1234", "PRODUCT-7"])
@pytest.mark.parametrize("is_known", [True, False])
async def test_another_machine_gets_no_command_and_no_answer(
    redfish: Redfish, bmc: Bmc, identity: str, is_known: bool
) -> None:
    bmc.properties[""] = {
        "Manufacturer": "HPE",
        "UUID": identity if is_known else UUID,
        "SerialNumber": "ABC123",
        "SKU": "PRODUCT-7",
    }
    if is_known:
        assert await read(redfish, bmc, identity=identity) is Power.ON
        bmc.properties[""]["UUID"] = UUID  # another BMC has this address now
    with pytest.raises(WrongMachine) as failed:
        await read(redfish, bmc, identity=identity)
    with pytest.raises(WrongMachine) as failed:
        await switch(redfish, bmc, Power.OFF, identity=identity)
    assert failed.value.may_be_done is False
    assert bmc.posts == []


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"UUID": None, "SerialNumber": ""},
        {"UUID": "00000000-0000-0000-0000-000000000000", "SerialNumber": "To be filled by O.E.M."},
        {"UUID": "03000200-0400-0500-0006-000700080009", "SerialNumber": "0000000"},
        {"UUID": 7, "SerialNumber": {"a": "b"}, "SKU": "x" * 1000},
    ],
)
async def test_a_machine_without_an_identity_is_an_error(redfish: Redfish, bmc: Bmc, told: dict[str, object]) -> None:
    bmc.properties[""] = told
    for identity in (UUID, "00000000-0000-0000-0000-000000000000", "0000000", "03000200-0400-0500-0006-000700080009"):
        with pytest.raises(DeviceError, match="does not report which machine"):
            await switch(redfish, bmc, Power.OFF, identity=identity)
    assert bmc.posts == []


@pytest.mark.parametrize("system", ["Y130UF00000J", "Y130UF00000J    ", " Y130UF00000J"])
async def test_a_system_is_found_by_an_id_that_is_not_the_end_of_its_path(
    redfish: Redfish, bmc: Bmc, system: str
) -> None:
    bmc.members = ["motherboard", "blade-2"]
    bmc.properties = {"motherboard": {"Id": "Y130UF00000J    "}, "blade-2": {"Id": "Y130UF00000K"}}
    await switch(redfish, bmc, Power.OFF, system=system)
    assert bmc.posts == [f"{SYSTEMS}/motherboard/Actions/ComputerSystem.Reset"]
    bmc.properties["motherboard"], bmc.properties["blade-2"] = bmc.properties["blade-2"], bmc.properties["motherboard"]
    await switch(redfish, bmc, Power.ON, system=system)  # it moved: the driver looks for it again
    assert bmc.posts[1:] == [f"{SYSTEMS}/blade-2/Actions/ComputerSystem.Reset"]
    bmc.properties["motherboard"]["Id"] = "Y130UF00000J"
    other = Redfish()
    with pytest.raises(BadParameters, match="2 systems"):
        await switch(other, bmc, Power.OFF, system=system)
    await other.close()
    assert len(bmc.posts) == 2


@pytest.mark.parametrize(
    "told",
    [
        {"Manufacturer": "Dell Inc."},
        {"Manufacturer": " DELL "},
        {"Manufacturer": "", "Oem": {"Dell": {"DellSystem": {}}}},
        {"Manufacturer": "  ", "UUID": "4c4c4544-0051-3410-8051-b5c04f375931"},
        {"Manufacturer": None, "UUID": "44454C4C-5100-1034-8051-B5C04F375931"},
        {"Manufacturer": "To be filled by O.E.M.", "Id": "System.Embedded.1"},
        {"Id": "System.Embedded.1"},
    ],
)
async def test_the_service_tag_is_the_identity_of_a_dell_by_every_sign(
    redfish: Redfish, bmc: Bmc, told: dict[str, object]
) -> None:
    bmc.properties[""] = {**told, "SKU": " 5Q4Q7Y1\x00", "SerialNumber": "CN747515AB0042"}
    await switch(redfish, bmc, Power.OFF, identity="5q4q7y1 ")
    assert bmc.power == "Off"


@pytest.mark.parametrize(
    "told",
    [
        {"Manufacturer": "HPE"},
        {"Manufacturer": "Supermicro", "Id": "System.Embedded.1"},  # what it says of itself counts alone
        {"Manufacturer": "", "Oem": {"Hpe": {}}, "UUID": "37383638-3330-4d32-3239-303430384c30"},
        {"Manufacturer": "", "Oem": ["Dell"], "Id": 7, "UUID": 7},
        {},
    ],
)
def test_elsewhere_a_sku_names_a_product(told: dict[str, object]) -> None:
    assert "868703-B21" not in identities({**told, "SKU": "868703-B21"})


def test_every_entry_names_its_source() -> None:
    assert all(message.source and message.name == name for name, message in MESSAGES.items())
    assert all(place.source and place.path for place in IDENTITY_PLACES)


async def test_identifying_a_system_costs_no_request_more_than_reading_it(redfish: Redfish, bmc: Bmc) -> None:
    bmc.properties[""] = {"UUID": UUID, "SerialNumber": "S-1"}
    assert await redfish.identify(spec(bmc), timeout_seconds=5) == Identified(power=Power.ON, identities=(UUID, "S-1"))
    first = len(bmc.requests)
    await read(redfish, bmc)
    second = len(bmc.requests)
    await redfish.identify(spec(bmc), timeout_seconds=5)
    assert len(bmc.requests) - second == second - first
    assert first > 0


async def test_a_serial_number_that_is_the_password_is_masked(redfish: Redfish, bmc: Bmc) -> None:
    bmc.properties[""] = {"UUID": "00000000-0000-0000-0000-000000000000", "SerialNumber": PASSWORD.upper()}
    assert (await redfish.identify(spec(bmc), timeout_seconds=5)).identities == ()
