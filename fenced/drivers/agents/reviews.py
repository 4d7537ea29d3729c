"""Which fence agents were reviewed as power agents, which are known to cut no power, and what that means for a device.

Runs nothing; each line of the tables was decided by reading what the agent does. One rule: an agent that is in no table
serves only on a person's word (`cuts_power = true`), and no word vouches for one that is known to cut no power (S1).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fenced.drivers.agents.metadata import AgentMetadata

_PLAIN: Final = re.compile(r"fence_[a-z0-9_]+")
"""What is left of an agent's name without what people append to a copy, as `.py` or `-4.12`."""

_BMC_CUTS: Final = "its BMC takes the host's power"
_OUTLET_CUTS: Final = "it switches an outlet"
_BLADE_CUTS: Final = "its chassis takes the blade's or partition's power"
_MACHINE_ENDS: Final = "its manager ends the virtual machine"
_SUSPENDED: Final = "a suspended machine reads OFF as well, and goes on where it was once it is switched on"
_NOT_ON: Final = "whatever does not read as on is OFF to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Why an agent's OFF is power taken away; `caution`: what weakens that, told to who uses it."""

    reason: str
    caution: str = ""


def _reviewed(reason: str, *names: str, caution: str = "") -> dict[str, Review]:
    return {name: Review(reason=reason, caution=caution) for name in names}


REVIEWED: Final = {
    **_reviewed(
        _BMC_CUTS, "fence_amt_ws", "fence_drac", "fence_idrac", "fence_ilo", "fence_ilo2", "fence_ilo3", "fence_ilo4",
        "fence_ilo5", "fence_imm", "fence_ipmilan", "fence_ipmilanplus", "fence_ironic", "fence_redfish", "fence_rsa",
        "fence_rsb",
    ),
    **_reviewed(_BMC_CUTS, "fence_alom", caution="the word standby anywhere in what the board says is OFF to it"),
    **_reviewed(_BMC_CUTS, "fence_drac5", caution="whatever a DRAC/MC does not list as on is OFF to it"),
    **_reviewed(
        _BMC_CUTS, "fence_ilo3_ssh", "fence_ilo4_ssh", "fence_ilo5_ssh", "fence_ilo_mp", "fence_ilo_ssh",
        caution=f"{_NOT_ON}, also a system of which the iLO does not know whether it is enabled",
    ),
    **_reviewed(_BMC_CUTS, "fence_amt", caution="a machine that sleeps (S1 to S4) reads OFF as well"),
    **_reviewed(
        _OUTLET_CUTS, "fence_apc", "fence_cdu", "fence_eaton_snmp", "fence_eaton_ssh", "fence_eps", "fence_epsr2",
        "fence_lindypdu", "fence_netio", "fence_powerman", "fence_raritan", "fence_raritan_px3", "fence_shelly_gen2",
    ),
    **_reviewed(
        _OUTLET_CUTS, "fence_apc_snmp", "fence_emerson", "fence_ipdu", "fence_tripplite_snmp",
        caution=f"{_NOT_ON}, also an outlet in an unknown state and, but for SNMP 1, one that the unit does not have",
    ),
    **_reviewed(_OUTLET_CUTS, "fence_wti", caution="a group of plugs of which none reads as on is OFF to it, also an empty one"),
    **_reviewed("it switches an outlet of the virtual rack of `fenced lab`", "fence_lab_outlet"),
    **_reviewed(
        _BLADE_CUTS, "fence_bladecenter", "fence_hds_cb", "fence_hpblade", "fence_ilo_moonshot", "fence_ldom",
    ),
    **_reviewed(
        _BLADE_CUTS, "fence_ibmblade", "fence_intelmodular",
        caution=f"{_NOT_ON}, also a blade in an unknown state and, but for SNMP 1, one that the chassis does not have",
    ),
    **_reviewed(_BLADE_CUTS, "fence_lpar", caution=f"{_NOT_ON}, also a partition in error or that the HMC does not reach"),
    **_reviewed(
        _MACHINE_ENDS, "fence_aliyun", "fence_gce", "fence_hetzner_cloud", "fence_ibm_powervs", "fence_ibm_vpc",
        "fence_openstack", "fence_virt", "fence_xenapi", "fence_xvm",
    ),
    **_reviewed(_MACHINE_ENDS, "fence_ecloud", caution="a machine of which the service does not say that it is online reads OFF"),
    **_reviewed(
        _MACHINE_ENDS, "fence_kubevirt",
        caution="a machine without an instance reads OFF, also one whose instance was removed by force while it ran",
    ),
    **_reviewed(
        _MACHINE_ENDS, "fence_vbox",
        caution="whatever is not listed as running is OFF to it, also a saved machine, and all where that list can't be had",
    ),
    **_reviewed("its engine ends the container", "fence_docker"),
    **_reviewed(_MACHINE_ENDS, "fence_rhevm", caution="a machine of which the engine tells no state reads OFF"),
    **_reviewed(
        _MACHINE_ENDS, "fence_virsh",
        caution=f"{_NOT_ON}, also a machine that is shutting down, and an account that can't run virsh",
    ),
    **_reviewed(
        _MACHINE_ENDS, "fence_aws", "fence_azure_arm", "fence_nutanix_ahv", "fence_ovm", "fence_pve", "fence_vmware",
        "fence_vmware_rest", "fence_vmware_soap", "fence_vmware_vcloud", caution=_SUSPENDED,
    ),
}  # fmt: skip
"""Agents whose OFF was found to be power taken away, by their exact names."""

DOUBTED: Final = {
    "fence_cisco_ucs": "whatever is not plainly on is OFF to it, also a blade that runs degraded or that the manager mismatches",
    "fence_cyberpower_ssh": "of a unit with ten outlets or more it reads outlet 1 as another one",
    "fence_dummy": "it keeps its state in a file, for tests",
    "fence_ibmz": "a partition that runs degraded or with exceptions is OFF to it",
    "fence_legacy": "it runs another program, which nobody has looked at",
    "fence_skalar": "a machine that starts, or whose node can't be reached, is OFF to it",
    "fence_zvm": "a machine that it does not find is OFF to it",
    "fence_zvmip": "a machine that it does not find is OFF to it",
}
"""Agents that were read and not found to prove enough; a person who knows better may vouch for them."""

NO_POWER: Final = {
    "fence_ack_manual": "it asks a person; use confirm-off",
    "fence_aws_vpc_net": "it takes away a machine's security groups",
    "fence_brocade": "it disables a storage port",
    "fence_cisco_mds": "it disables a storage port",
    "fence_compute": "it tells OpenStack, it cuts no power",
    "fence_crosslink": "it is a heuristic",
    "fence_evacuate": "it tells OpenStack, it cuts no power",
    "fence_heuristics_ping": "it is a heuristic",
    "fence_heuristics_resource": "it is a heuristic",
    "fence_ifmib": "it disables a network port",
    "fence_kdump": "it waits for a crash kernel",
    "fence_mcdata": "it disables a storage port",
    "fence_mpath": "it revokes a storage reservation",
    "fence_ovh": "it boots a rescue system, and can't say whether it runs",
    "fence_pcmk": "it asks Pacemaker to fence",
    "fence_rcd_serial": "it resets, and can't say what is off",
    "fence_sanbox2": "it disables a storage port",
    "fence_sbd": "it asks the host to switch itself off",
    "fence_scsi": "it revokes a storage reservation",
    "fence_vixel": "it disables a storage port",
    "fence_watchdog": "it waits for the host's own watchdog",
}
"""Agents that switch no power, and what they do instead."""

NEVER_ASKED: Final = frozenset({"fence_ack_manual"})
"""It talks to a person, whatever it is asked."""


class Standing(Enum):
    """What is known of an agent's OFF."""

    REVIEWED = "reviewed"
    NOT_REVIEWED = "not reviewed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an agent may serve: as it is, on a person's word, or not at all; and why."""

    standing: Standing
    why: str


def is_read(name: str) -> bool:
    """Whether somebody read what the agent of that name does."""
    return any(name in table for table in (REVIEWED, DOUBTED, NO_POWER))


def judge(name: str, metadata: AgentMetadata) -> Judgement:
    """What is known of the agent, under all of its names: a copy or a link is what it was made of."""
    why = why_refused(name, metadata)
    if why:
        return Judgement(standing=Standing.REFUSED, why=why)
    for called in _names(name, metadata):
        if called not in REVIEWED:
            by = "" if called == name else f" (it is also called {called})"
            why = DOUBTED.get(called, "nobody has looked at whether its OFF takes a host's power away")
            return Judgement(standing=Standing.NOT_REVIEWED, why=why + by)
    return Judgement(standing=Standing.REVIEWED, why=REVIEWED[name].reason)


def why_refused(name: str, metadata: AgentMetadata) -> str:
    """Why the agent can't serve as a power device, whoever vouches for it; "" where it can, as far as is known."""
    for called in _names(name, metadata):
        plain = _PLAIN.match(called.lower())
        if plain is not None and plain[0] in NO_POWER:
            by = "" if plain[0] == name else f" (it is {plain[0]})"
            return f"does not cut power: {NO_POWER[plain[0]]}{by}"
    if not metadata.is_known:
        return ""
    if metadata.is_unfencing:
        return "does not cut power: its metadata says that a machine is given its access back when it joins (unfencing)"
    missing = [action for action in ("off", "status") if action not in metadata.actions]
    if missing:
        what = {"off": "it can't switch off", "status": "nothing could be proven off by it"}
        return f"has no action {' and no action '.join(missing)}: {what[missing[0]]}"
    return ""


def cautions_of(name: str) -> Iterator[str]:
    """What weakens a reviewed agent's OFF."""
    if name in REVIEWED and REVIEWED[name].caution:
        yield REVIEWED[name].caution


def _names(name: str, metadata: AgentMetadata) -> Iterator[str]:
    """The name that is asked for, those of the files behind it where it is a link, and what the agent calls itself."""
    yield name
    others = (called.strip() for called in (*metadata.programs, metadata.name))
    yield from (called for called in others if called.lower().startswith("fence_"))
