"""Replace fence agents by native drivers where every option has a counterpart, and say what changes.

An agent with an option that the driver lacks stays. A native driver needs less processor time and reads more states, so
it is a choice, not the default: the default import behaves as the source did.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from fenced.imports.shape import Device, Imported, Losses, Value
from fenced.model.booleans import said
from fenced.model.inventory import Secret

_TIMES: Final = {"power_wait", "power_timeout", "shell_timeout", "login_timeout", "retry_on", "stonith_status_sleep",
                 "ipmitool_timeout", "timeout", "disable_timeout", "retries"}  # fmt: skip
_LOGS: Final = {"verbose", "verbose_level", "debug_file", "quiet"}
_COMMUNITY: Final = "private"
"""fence_apc_snmp's own default."""
_FAMILY: Final = re.compile(r":.*:")


class _Stays(Exception):
    """The agent has something that the driver lacks."""


def with_natives(imported: Imported) -> Imported:
    """Return the import with native drivers where they can serve."""
    losses = Losses(dict.fromkeys(imported.losses))
    hosts = tuple(
        replace(
            host, devices=tuple(_native(device, f"host {host.name}, {device.name}", losses) for device in host.devices)
        )
        for host in imported.hosts
    )
    return replace(imported, hosts=hosts, losses=losses.found)


def _native(device: Device, where: str, losses: Losses) -> Device:
    make = _MAKERS.get(device.driver)
    if make is None:
        return device
    try:
        changed = make(device)
    except _Stays as exc:
        losses.note(where, f"{device.driver} stays: {exc}")
        return device
    left = sorted(key for key in device.options if key in _TIMES | _LOGS)
    without = f"; left out: {', '.join(left)}, which the driver does not need" if left else ""
    losses.note(where, f"{device.driver} is now the driver {changed.driver}, with its own timing and retries{without}")
    return changed


def _rest(device: Device, *known: str) -> Mapping[str, Value]:
    """Return the options; raise _Stays for one that neither the driver nor its timing knows."""
    for key in device.options.keys() - {*known} - _TIMES - _LOGS:
        raise _Stays(f"the driver has no {key}")
    return device.options


def _address(device: Device, port: object, *, default: str) -> str:
    if not port or str(port) == default:
        return device.address
    host = f"[{device.address}]" if _FAMILY.search(device.address) else device.address
    return f"{host}:{port}"


def _ipmi(device: Device) -> Device:
    options = _rest(device, "lanplus", "ipport", "privlvl", "cipher", "auth", "plug")
    if device.secrets.keys() - {"password"}:
        raise _Stays("the driver takes no such secret in the agent's form")
    is_plus = said(options["lanplus"]) if "lanplus" in options else device.driver != "fence_ipmilan"
    if not is_plus:
        raise _Stays("it uses IPMI 1.5 (no lanplus), the driver IPMI 2.0")
    privilege = str(options.get("privlvl", "administrator")).lower()
    cipher = str(options.get("cipher", "auto"))
    if privilege not in {"operator", "administrator"} or cipher not in {"auto", "3", "17"}:
        raise _Stays(f"the driver has no privilege {privilege} or no cipher suite {cipher}")
    changed: dict[str, Value] = {"privilege": privilege}
    if cipher != "auto":
        changed["cipher"] = cipher
    return replace(
        device, driver="ipmi", address=_address(device, options.get("ipport"), default="623"), options=changed
    )


def _redfish(device: Device) -> Device:
    options = _rest(device, "ipport", "ssl", "ssl_secure", "ssl_insecure", "systems_uri", "redfish_uri", "plug")
    if str(options.get("redfish_uri", "/redfish/v1")).rstrip("/") != "/redfish/v1":
        raise _Stays("it has another redfish_uri")
    changed: dict[str, Value] = {}
    if uri := options.get("systems_uri"):
        changed["system"] = str(uri)
    if said(options.get("ssl_insecure", "0")):
        changed["insecure"] = True
    address = _address(device, options.get("ipport"), default="443")
    return replace(device, driver="redfish", address=f"https://{address}", options=changed)


def _snmp(device: Device) -> Device:
    options = _rest(device, "plug", "snmp_version", "udpport", "ipport")
    version = str(options.get("snmp_version", "1"))
    if version not in {"1", "2c"} or device.username or device.secrets.keys() - {"community", "password"}:
        raise _Stays("SNMP 3 is set by hand, see docs/snmp-outlets.md")
    community = device.secrets.get("community", Secret(_COMMUNITY) if "community" not in device.secrets else None)
    return replace(
        device,
        driver="snmp_outlet",
        address=_address(device, options.get("udpport", options.get("ipport")), default="161"),
        secrets={"password": community},
        options={"plug": str(options.get("plug", "")), "version": version},
    )


_MAKERS: Final[Mapping[str, Callable[[Device], Device]]] = {
    **dict.fromkeys(("fence_ipmilan", "fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm"), _ipmi),
    "fence_redfish": _redfish,
    "fence_apc_snmp": _snmp,
}
