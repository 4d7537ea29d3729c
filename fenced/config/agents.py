"""What must be known of fence agents before one runs: which cut power, what they control, what they may be told.

Knows their names and parameters, and where programs are; runs none. One rule: an agent that does not cut power is
refused here, so that nothing is ever proven off by it.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fenced.config.mistakes import Mistakes, Where
from fenced.model.power import Kind

NATIVE: Final = frozenset({"redfish"})
NOT_YET: Final = {"ipmi": "fence_ipmilan", "snmp_outlet": "fence_apc_snmp"}
"""Native drivers to come, and the agent that does it until then."""

NO_POWER: Final = {
    "fence_ack_manual": "it asks a person; use confirm-off",
    "fence_brocade": "it disables a storage port",
    "fence_cisco_mds": "it disables a storage port",
    "fence_compute": "it tells OpenStack, it cuts no power",
    "fence_crosslink": "it is a heuristic",
    "fence_evacuate": "it tells OpenStack, it cuts no power",
    "fence_heuristics_ping": "it is a heuristic",
    "fence_ifmib": "it disables a network port",
    "fence_kdump": "it waits for a crash kernel",
    "fence_mpath": "it revokes a storage reservation",
    "fence_sanbox2": "it disables a storage port",
    "fence_sbd": "it asks the host to switch itself off",
    "fence_scsi": "it revokes a storage reservation",
    "fence_watchdog": "it waits for the host's own watchdog",
}
"""Agents that switch no power, and what they do instead."""

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
    "fence_hpblade",
    "fence_ibm*",
    "fence_ilo_moonshot",
    "fence_intelmodular",
    "fence_ironic",
    "fence_kubevirt",
    "fence_ldom",
    "fence_lpar",
    "fence_openstack",
    "fence_ovh",
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

_FAMILIES: Final = {
    "ipmi": ("ipmi", "fence_ipmilan*", "fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm"),
    "redfish": ("redfish", "fence_redfish"),
    "snmp_outlet": ("snmp_outlet", "fence_apc_snmp", "fence_tripplite_snmp"),
}
"""Drivers that speak to the same thing in the same way; any other driver is a family of its own."""


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))


_BMC: Final = _any_of("redfish", "ipmi", *_BMCS)
_BLADE_OR_VIRTUAL: Final = _any_of(*_BLADES_AND_VIRTUAL)
_FAMILY: Final = {name: _any_of(*patterns) for name, patterns in _FAMILIES.items()}

_REFUSED: Final = {
    "action": "fenced says which",
    "option": "fenced says which action",
    "method": "fenced never cycles",
    "delay": "fenced decides when",
    "nodename": "it is the host's name; use plug",
}
_SECRET: Final = re.compile(r"passw|passphrase|^secret|secret_key|api_?key|^token$", re.IGNORECASE)
_OPTION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_VALUE_CHARS_MAX: Final = 4096
_OPTIONS_MAX: Final = 64


def default_kind(driver: str) -> Kind:
    """CHASSIS for BMCs, blades and virtual machines, else OUTLET."""
    return Kind.CHASSIS if is_bmc(driver) or _BLADE_OR_VIRTUAL.fullmatch(driver) else Kind.OUTLET


def is_bmc(driver: str) -> bool:
    """Whether one address of it is one host, so that it needs no plug."""
    return _BMC.fullmatch(driver) is not None


def family(driver: str) -> str:
    """The same word for drivers under which two plugs of one address are the same plug."""
    return next((name for name, pattern in _FAMILY.items() if pattern.fullmatch(driver)), driver)


def check_driver(driver: str, where: Where, mistakes: Mistakes) -> bool:
    """Whether this version has the driver; otherwise a mistake. Whether its program is there is asked elsewhere."""
    if driver in NATIVE:
        return True
    if driver in NOT_YET:
        mistakes.error(where, f"not in this version yet; until then use {NOT_YET[driver]}", value=driver, unit="driver")
    elif driver in NO_POWER:
        mistakes.error(where, f"does not cut power: {NO_POWER[driver]}", value=driver, unit="driver")
    elif not driver.startswith("fence_"):
        mistakes.error(where, "no such driver: redfish, or fence_NAME for a fence agent", value=driver, unit="driver")
    else:
        return True
    return False


def find_program(driver: str, agent_path: Iterable[Path]) -> Path | None:
    """The agent's program: the first executable of that name along the path."""
    for directory in agent_path:
        program = directory / driver
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return None


def check_options(
    options: Mapping[str, Any], where: Where, mistakes: Mistakes
) -> dict[str, str | int | float | bool] | None:
    """The options as they are passed on; None when one is refused (each with a mistake)."""
    before = len(mistakes.errors)
    if len(options) > _OPTIONS_MAX:
        mistakes.error(where, f"more than {_OPTIONS_MAX} options")
    for key, value in options.items():
        _check_option(str(key), value, where.key(str(key)), mistakes)
    if "plug" in options and "port" in options:
        mistakes.error(where.key("port"), "plug and port are the same to an agent; give one", value=options["port"])
    if options.get("missing_as_off"):
        mistakes.warning(
            where.key("missing_as_off"),
            "a plug that is not found will count as switched off",
            value=options["missing_as_off"],
        )
    return dict(options) if len(mistakes.errors) == before else None


def _check_option(key: str, value: object, where: Where, mistakes: Mistakes) -> None:
    name = key.lower().replace("-", "_")
    if _OPTION.fullmatch(key) is None:
        mistakes.error(where, "not the name of an agent's parameter", unit="option")
    elif _SECRET.search(name):
        mistakes.error(
            where,
            "a secret is never written inline: give the device password_file, password_env or password_credential",
            value="***",
            unit="option",
        )
    elif name in _REFUSED:
        mistakes.error(where, f"is refused: {_REFUSED[name]}", value=value, unit="option")
    elif not isinstance(value, str | int | float | bool):
        mistakes.error(where, "must be text, a number, true or false", value=value, unit="option")
    elif isinstance(value, str) and any(char in value for char in "\n\r\0"):
        mistakes.error(
            where,
            "holds a line end or a NUL, which an agent would take for another parameter",
            value=value,
            unit="option",
        )
    elif len(str(value)) > _VALUE_CHARS_MAX:
        mistakes.error(where, f"longer than {_VALUE_CHARS_MAX} characters", value=value, unit="option")
