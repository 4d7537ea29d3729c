"""Ids of plugs: stable text, and equal exactly if the outlet is the same."""

from typing import Any

import pytest

from fenced.config.plugs import identify
from fenced.drivers.agents.kinds import default_kind
from fenced.drivers.catalogue import describing
from fenced.model.power import Kind


@pytest.mark.parametrize(
    ("driver", "address", "options", "plug_id", "unit_id"),
    [
        ("redfish", "https://10.9.0.1", {}, "redfish|10.9.0.1:443|", "10.9.0.1:443"),
        ("redfish", "https://BMC.x:8443/", {"system": "1"}, "redfish|bmc.x:8443|?system=1", "bmc.x:8443"),
        ("redfish", "https://[fd00::1]", {}, "redfish|[fd00::1]:443|", "[fd00::1]:443"),
        ("redfish", "http://127.0.0.1:8000", {}, "redfish|127.0.0.1:8000|", "127.0.0.1:8000"),
        ("fence_ipmilan", "", {"ip": "10.9.0.1"}, "fence_ipmilan|10.9.0.1:623|", "10.9.0.1:623"),
        ("fence_ipmilan", "", {"ipaddr": "x", "ipport": 7}, "fence_ipmilan|x:7|", "x:7"),
        ("fence_apc_snmp", "", {"ip": "p", "plug": 7}, "fence_apc_snmp|p:161|7", "p:161"),
        ("fence_apc_snmp", "p", {"port": "7"}, "fence_apc_snmp|p:161|7", "p:161"),
        ("fence_apc", "p", {"plug": "7", "switch": 2}, "fence_apc|p|7?switch=2", "p"),
        ("fence_apc", "p", {"plug": "7, 8"}, "fence_apc|p|7,8", "p"),
        ("fence_virsh", "hv", {}, "fence_virsh|hv|node-1", "hv"),
        ("fence_virsh", "fd00:0::1", {}, "fence_virsh|[fd00::1]|node-1", "[fd00::1]"),
        ("fence_x", "", {"status_file": "/a", "type": "file"}, "fence_x||node-1?status_file=/a&type=file", None),
        ("fence_aws", "", {"region": "r", "plug": "i-1"}, "fence_aws||i-1?region=r", None),
        ("fence_ipmilan", "", {"port_as_ip": 1, "plug": "10.9.0.1"}, "fence_ipmilan|10.9.0.1:623|", "10.9.0.1:623"),
    ],
)
def test_ids(driver: str, address: str, options: dict[str, Any], plug_id: str, unit_id: str | None) -> None:
    plug = identify(describing({})(driver), address, options, nodename="node-1")
    assert plug.plug_id == plug_id
    assert plug.unit_id == (unit_id or plug_id)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        ("fence_ipmilan", Kind.CHASSIS),
        ("fence_ilo4", Kind.CHASSIS),
        ("fence_ilo3_ssh", Kind.CHASSIS),
        ("fence_ilo_moonshot", Kind.CHASSIS),
        ("fence_idrac", Kind.CHASSIS),
        ("fence_drac5", Kind.CHASSIS),
        ("fence_bladecenter", Kind.CHASSIS),
        ("fence_vmware_rest", Kind.CHASSIS),
        ("fence_xvm", Kind.CHASSIS),
        ("fence_apc_snmp", Kind.OUTLET),
        ("fence_apc", Kind.OUTLET),
        ("fence_dummy", Kind.OUTLET),
        ("fence_lab_outlet", Kind.OUTLET),
        ("fence_powerman", Kind.OUTLET),
        ("fence_ilox", Kind.OUTLET),
    ],
)
def test_the_default_kind(driver: str, kind: Kind) -> None:
    assert default_kind(driver) is kind
