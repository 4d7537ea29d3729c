"""The warnings about reviewed and doubted agents, by name."""

import pytest

from fenced.drivers.agents.descriptions import describe_agent
from fenced.drivers.agents.metadata import parse_metadata
from tests.drivers.programs import METADATA


@pytest.mark.parametrize(
    "name",
    ["fence_apc_snmp", "fence_emerson", "fence_ibmblade", "fence_ilo4_ssh", "fence_ilo_mp", "fence_intelmodular",
     "fence_ipdu", "fence_kubevirt", "fence_lpar", "fence_pve", "fence_tripplite_snmp", "fence_vbox", "fence_virsh",
     "fence_wti"],
)  # fmt: skip
def test_a_reviewed_agent_with_a_wider_off_gives_a_warning(name: str) -> None:
    description = describe_agent(name, parse_metadata(METADATA.replace("fence_made", name).encode()))
    assert description.needs_word == ""
    assert len(description.cautions) == 1 and "OFF" in description.cautions[0]


def test_an_agent_that_reads_another_outlet_needs_a_persons_word() -> None:
    metadata = parse_metadata(METADATA.replace("fence_made", "fence_cyberpower_ssh").encode())
    assert "outlet 1" in describe_agent("fence_cyberpower_ssh", metadata).needs_word


def test_a_required_parameter_with_a_default_need_not_be_configured() -> None:
    more = '<parameter name="vmtype" required="1"><content type="string" default="qemu"/></parameter></parameters>'
    option = describe_agent("fence_pve", parse_metadata(METADATA.replace("</parameters>", more).encode())).option(
        "vmtype"
    )
    assert option is not None and not option.is_required
