"""What the names of fence agents tell, and their metadata does not: what they control, whom they are related to.

Runs nothing. One rule: what a name means is stable, for the ids of plugs are made of it, whether or not an agent is there.
"""

import fnmatch
import re
from typing import Final

from fenced.model.power import Kind

_BMCS: Final = (
    "fence_alom",
    "fence_amt*",
    "fence_drac*",
    "fence_idrac*",
    "fence_ilo",
    "fence_ilo[0-9]*",
    "fence_ilo_mp",
    "fence_ilo_ssh",
    "fence_imm",
    "fence_ipmilan*",
    "fence_rcd_serial",
    "fence_redfish",
    "fence_rsa",
    "fence_rsb",
)
"""One address is one host: no plug is needed."""

_BLADES_AND_VIRTUAL: Final = (
    "fence_aliyun",
    "fence_aws",
    "fence_azure_arm",
    "fence_bladecenter",
    "fence_cisco_ucs",
    "fence_docker",
    "fence_ecloud",
    "fence_gce",
    "fence_hds_cb",
    "fence_hetzner_cloud",
    "fence_hpblade",
    "fence_ibm*",
    "fence_ilo_moonshot",
    "fence_intelmodular",
    "fence_ironic",
    "fence_kubevirt",
    "fence_ldom",
    "fence_lpar",
    "fence_nutanix_ahv",
    "fence_openstack",
    "fence_ovh",
    "fence_ovm",
    "fence_pve",
    "fence_rhevm",
    "fence_skalar",
    "fence_vbox",
    "fence_virsh",
    "fence_virt",
    "fence_vmware*",
    "fence_xenapi",
    "fence_xvm",
    "fence_zvm*",
)
"""The host's own power behind a manager: a plug says which."""

_RELATED: Final = {
    "ipmi": ("fence_ipmilan*", "fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm"),
    "redfish": ("fence_redfish",),
    "snmp_outlet": ("fence_apc_snmp", "fence_tripplite_snmp"),
}
"""Agents that speak to the same thing in the same way as a driver of ours; any other agent is a family of its own."""

_PORTS: Final = {"ipmi": 623, "redfish": 443, "snmp_outlet": 161}


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))


_BMC: Final = _any_of(*_BMCS)
_BLADE_OR_VIRTUAL: Final = _any_of(*_BLADES_AND_VIRTUAL)
_FAMILY: Final = {name: _any_of(*patterns) for name, patterns in _RELATED.items()}


def default_kind(name: str) -> Kind:
    """CHASSIS for BMCs, blades and virtual machines, else OUTLET."""
    return Kind.CHASSIS if is_bmc(name) or _BLADE_OR_VIRTUAL.fullmatch(name) else Kind.OUTLET


def is_bmc(name: str) -> bool:
    """Whether one address of it is one host, so that it needs no plug."""
    return _BMC.fullmatch(name) is not None


def family(name: str) -> str:
    """The same word for drivers under which two plugs of one address are the same plug."""
    return next((family for family, pattern in _FAMILY.items() if pattern.fullmatch(name)), name)


def default_port(name: str) -> int | None:
    """The port that a plug's id names where none is given; None: none is named."""
    return _PORTS.get(family(name))
