"""Derives from a fence agent's name what its metadata lacks: the kind of device, its family, its default port.

It runs nothing. The meaning of a name must stay stable: plug ids are built from it, also where no agent is installed.
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
"""One address is one host, so these need no plug."""

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
"""They control the host's own power through a manager; the plug names the host."""

_RELATED: Final = {
    "ipmi": ("fence_ipmilan*", "fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm"),
    "redfish": ("fence_redfish",),
    "snmp_outlet": ("fence_apc_snmp", "fence_tripplite_snmp"),
}
"""Agents that reach the same devices as a native driver. Any other agent is its own family."""

_PORTS: Final = {"ipmi": 623, "redfish": 443, "snmp_outlet": 161}


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))


_BMC: Final = _any_of(*_BMCS)
_BLADE_OR_VIRTUAL: Final = _any_of(*_BLADES_AND_VIRTUAL)
_FAMILY: Final = {name: _any_of(*patterns) for name, patterns in _RELATED.items()}


def default_kind(name: str) -> Kind:
    """Return CHASSIS for BMCs, blades and virtual machines, else OUTLET."""
    return Kind.CHASSIS if is_bmc(name) or _BLADE_OR_VIRTUAL.fullmatch(name) else Kind.OUTLET


def is_bmc(name: str) -> bool:
    """Return whether one address is one host, so that no plug is needed."""
    return _BMC.fullmatch(name) is not None


def family(name: str) -> str:
    """Return the family: within one, equal plugs at one address are the same plug."""
    return next((family for family, pattern in _FAMILY.items() if pattern.fullmatch(name)), name)


def default_port(name: str) -> int | None:
    """Return the port for the plug's id if the device sets none; None if the id has no port."""
    return _PORTS.get(family(name))
