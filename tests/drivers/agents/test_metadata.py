"""Parsing metadata: the format, and every agent in Debian."""

from pathlib import Path

import pytest

from fenced.drivers.agents.metadata import ADDRESS_NAMES, PASSWORD_NAMES, PLUG_NAMES, MetadataError, parse_metadata
from fenced.drivers.registry import DriverRegistry
from tests.drivers.programs import METADATA, make_agent
from tests.needs import needs


def test_a_name_that_is_not_deprecated_is_used_in_any_order() -> None:
    metadata = parse_metadata(METADATA.encode())
    address = metadata.called(ADDRESS_NAMES)
    assert address is not None
    assert address.name == "ip"
    assert metadata.is_required(PLUG_NAMES)
    assert metadata.actions == {"on", "off", "status", "metadata"}


def test_an_agent_that_knows_old_names_alone_gets_those() -> None:
    metadata = parse_metadata(
        b"<resource-agent><parameters><parameter name='ipaddr' deprecated='1'/></parameters></resource-agent>"
    )
    address = metadata.called(ADDRESS_NAMES)
    assert address is not None
    assert address.name == "ipaddr"
    assert metadata.called(PASSWORD_NAMES) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not XML"),
        (b"Usage: fence_x", "not XML"),
        (b"<html/>", "root is html"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><resource-agent/>", "entities"),
        (b"<?xml version='1.0'?><resource-agent>" + b" " * (1024 * 1024), "more than"),
    ],
)
def test_what_is_no_metadata_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(MetadataError, match=why):
        parse_metadata(text)


def test_a_note_before_the_metadata_is_passed_over() -> None:
    assert parse_metadata(b"warning: old library\n" + METADATA.encode()).name == "fence_made"


async def test_an_agent_is_asked_once_until_its_file_changes(registry: DriverRegistry, tmp_path: Path) -> None:
    path = make_agent(tmp_path, "exit 1")
    asked = Path(f"{path}.asked")
    for _ in range(3):
        assert (await registry.agents.metadata("fence_made")).is_known
    assert asked.read_text().count("asked") == 1
    path.write_text(path.read_text())
    assert (await registry.agents.metadata("fence_made")).is_known
    assert asked.read_text().count("asked") == 2


@needs("fence_ipmilan", "fence_apc_snmp", "fence_redfish")
@pytest.mark.parametrize(
    ("name", "address", "is_plug_required"),
    [("fence_ipmilan", "ip", False), ("fence_apc_snmp", "ip", True), ("fence_redfish", "ip", False)],
)
async def test_debian_s_agents_are_understood(
    registry: DriverRegistry, name: str, address: str, is_plug_required: bool
) -> None:
    metadata = await registry.agents.metadata(name)
    called = metadata.called(ADDRESS_NAMES)
    assert called is not None
    assert called.name == address
    assert metadata.is_required(PLUG_NAMES) is is_plug_required
    assert {"on", "off", "status"} <= metadata.actions
