"""Judges whether a fence agent's OFF proves that power is cut: reviewed agents, doubtful ones, and those that cut none.

It runs nothing. Each line of the tables comes from reading the agent's source. An agent in no table serves only if the
operator sets `cuts_power = true`; an agent that is known to cut no power never serves (S1).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fenced.drivers.agents.metadata import AgentMetadata

_PLAIN: Final = re.compile(r"fence_[a-z0-9_]+")
"""The start of an agent's name, without what users append to a copy (`.py`, `-4.12`)."""

_BMC_CUTS: Final = "the BMC cuts the host's power"
_OUTLET_CUTS: Final = "it switches an outlet"
_BLADE_CUTS: Final = "the chassis cuts the power of the blade or partition"
_MACHINE_ENDS: Final = "the manager stops the virtual machine"
_SUSPENDED: Final = "a suspended machine also reads OFF, and resumes where it was when it is switched on"
_NOT_ON: Final = "everything that does not read as on counts as OFF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Why an agent's OFF means that power is cut. `caution`: what weakens that; `check-config` warns of it."""

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
    **_reviewed(_BMC_CUTS, "fence_alom", caution="the word standby anywhere in the board's answer counts as OFF"),
    **_reviewed(_BMC_CUTS, "fence_drac5", caution="everything that a DRAC/MC does not list as on counts as OFF"),
    **_reviewed(
        _BMC_CUTS, "fence_ilo3_ssh", "fence_ilo4_ssh", "fence_ilo5_ssh", "fence_ilo_mp", "fence_ilo_ssh",
        caution=f"{_NOT_ON}, including a system whose state the iLO does not know",
    ),
    **_reviewed(_BMC_CUTS, "fence_amt", caution="a machine that sleeps (S1 to S4) also reads OFF"),
    **_reviewed(
        _OUTLET_CUTS, "fence_apc", "fence_cdu", "fence_eaton_snmp", "fence_eaton_ssh", "fence_eps", "fence_epsr2",
        "fence_lindypdu", "fence_netio", "fence_powerman", "fence_raritan", "fence_raritan_px3", "fence_shelly_gen2",
    ),
    **_reviewed(
        _OUTLET_CUTS, "fence_apc_snmp", "fence_emerson", "fence_ipdu", "fence_tripplite_snmp",
        caution=f"{_NOT_ON}, including an outlet in an unknown state and, except with SNMP 1, one that does not exist",
    ),
    **_reviewed(_OUTLET_CUTS, "fence_wti", caution="a group counts as OFF unless one of its plugs reads as on"),
    **_reviewed("it switches an outlet of the virtual rack of `fenced lab`", "fence_lab_outlet"),
    **_reviewed(
        _BLADE_CUTS, "fence_bladecenter", "fence_hds_cb", "fence_hpblade", "fence_ilo_moonshot", "fence_ldom",
    ),
    **_reviewed(
        _BLADE_CUTS, "fence_ibmblade", "fence_intelmodular",
        caution=f"{_NOT_ON}, including a blade in an unknown state and, except with SNMP 1, one that does not exist",
    ),
    **_reviewed(
        _BLADE_CUTS, "fence_lpar", caution=f"{_NOT_ON}, including a partition in error or out of the HMC's reach",
    ),
    **_reviewed(
        _MACHINE_ENDS, "fence_aliyun", "fence_gce", "fence_hetzner_cloud", "fence_ibm_powervs", "fence_ibm_vpc",
        "fence_openstack", "fence_virt", "fence_xenapi", "fence_xvm",
    ),
    **_reviewed(_MACHINE_ENDS, "fence_ecloud", caution="a machine reads OFF unless the service reports it online"),
    **_reviewed(
        _MACHINE_ENDS, "fence_kubevirt",
        caution="a machine without an instance reads OFF, even if its instance was removed by force while it ran",
    ),
    **_reviewed(
        _MACHINE_ENDS, "fence_vbox",
        caution="a machine counts as OFF unless it is listed as running: also a saved one, and all without a list",
    ),
    **_reviewed("its engine stops the container", "fence_docker"),
    **_reviewed(_MACHINE_ENDS, "fence_rhevm", caution="a machine reads OFF if the engine reports no state for it"),
    **_reviewed(
        _MACHINE_ENDS, "fence_virsh",
        caution=f"{_NOT_ON}, including a machine that is shutting down and an account that can't run virsh",
    ),
    **_reviewed(
        _MACHINE_ENDS, "fence_aws", "fence_azure_arm", "fence_nutanix_ahv", "fence_ovm", "fence_pve", "fence_vmware",
        "fence_vmware_rest", "fence_vmware_soap", "fence_vmware_vcloud", caution=_SUSPENDED,
    ),
}  # fmt: skip
"""Agents whose OFF means that power is cut, by exact name."""

DOUBTED: Final = {
    "fence_cisco_ucs": "everything that is not plainly on counts as OFF, also a degraded or mismatched blade that runs",
    "fence_cyberpower_ssh": "on a unit with ten or more outlets it reads another outlet instead of outlet 1",
    "fence_dummy": "it keeps its state in a file, for tests",
    "fence_ibmz": "a partition that runs degraded or with exceptions counts as OFF",
    "fence_legacy": "it runs another program, which has not been reviewed",
    "fence_skalar": "a machine that starts, or whose node is out of reach, counts as OFF",
    "fence_zvm": "a machine that it does not find counts as OFF",
    "fence_zvmip": "a machine that it does not find counts as OFF",
}
"""Agents whose OFF proved too little in review. The operator may vouch for them with `cuts_power = true`."""

NO_POWER: Final = {
    "fence_ack_manual": "it asks the operator; use confirm-off",
    "fence_aws_vpc_net": "it removes a machine's security groups",
    "fence_brocade": "it disables a storage port",
    "fence_cisco_mds": "it disables a storage port",
    "fence_compute": "it notifies OpenStack",
    "fence_crosslink": "it is a heuristic",
    "fence_evacuate": "it notifies OpenStack",
    "fence_heuristics_ping": "it is a heuristic",
    "fence_heuristics_resource": "it is a heuristic",
    "fence_ifmib": "it disables a network port",
    "fence_kdump": "it waits for a crash kernel",
    "fence_mcdata": "it disables a storage port",
    "fence_mpath": "it revokes a storage reservation",
    "fence_ovh": "it boots a rescue system, and can't read the power state",
    "fence_pcmk": "it asks Pacemaker to fence",
    "fence_rcd_serial": "it resets, and can't read the power state",
    "fence_sanbox2": "it disables a storage port",
    "fence_sbd": "it asks the host to switch itself off",
    "fence_scsi": "it revokes a storage reservation",
    "fence_vixel": "it disables a storage port",
    "fence_watchdog": "it waits for the host's own watchdog",
}
"""Agents that cut no power, and what they do instead."""

NEVER_ASKED: Final = frozenset({"fence_ack_manual"})
"""Agents that must not be run for their metadata: this one asks the operator, whatever its action."""


class Standing(Enum):
    """How far an agent's OFF is trusted."""

    REVIEWED = "reviewed"
    NOT_REVIEWED = "not reviewed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an agent may serve: as it is, with the operator's `cuts_power`, or not at all; and why."""

    standing: Standing
    why: str


def is_read(name: str) -> bool:
    """Return whether the agent of that name has been reviewed, with any result."""
    return any(name in table for table in (REVIEWED, DOUBTED, NO_POWER))


def judge(name: str, metadata: AgentMetadata) -> Judgement:
    """Judge the agent under all its names, so that a copy or a link gets the judgement of its original."""
    why = why_refused(name, metadata)
    if why:
        return Judgement(standing=Standing.REFUSED, why=why)
    for called in _names(name, metadata):
        if called not in REVIEWED:
            by = "" if called == name else f" (it is also called {called})"
            why = DOUBTED.get(called, "no review shows whether its OFF cuts a host's power")
            return Judgement(standing=Standing.NOT_REVIEWED, why=why + by)
    return Judgement(standing=Standing.REVIEWED, why=REVIEWED[name].reason)


def why_refused(name: str, metadata: AgentMetadata) -> str:
    """Return why the agent can never serve as a power device; "" if it can, as far as is known."""
    for called in _names(name, metadata):
        plain = _PLAIN.match(called.lower())
        if plain is not None and plain[0] in NO_POWER:
            by = "" if plain[0] == name else f" (it is {plain[0]})"
            return f"does not cut power: {NO_POWER[plain[0]]}{by}"
    if not metadata.is_known:
        return ""
    if metadata.is_unfencing:
        return "does not cut power: by its metadata it restores a machine's access when the machine joins (unfencing)"
    missing = [action for action in ("off", "status") if action not in metadata.actions]
    if missing:
        what = {"off": "it can't switch off", "status": "it can't prove OFF"}
        return f"has no action {' and no action '.join(missing)}: {what[missing[0]]}"
    return ""


def cautions_of(name: str) -> Iterator[str]:
    """Yield what weakens a reviewed agent's OFF."""
    if name in REVIEWED and REVIEWED[name].caution:
        yield REVIEWED[name].caution


def _names(name: str, metadata: AgentMetadata) -> Iterator[str]:
    """Yield the given name, the names of the files that it links to, and the name in the metadata."""
    yield name
    others = (called.strip() for called in (*metadata.programs, metadata.name))
    yield from (called for called in others if called.lower().startswith("fence_"))
