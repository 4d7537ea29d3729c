"""Decide which hosts a Pacemaker device serves, and by which plug, from what the CIB says.

Pacemaker asks the agent at run time where the CIB says nothing (dynamic-list, status). No import can do that, so such
a device serves the hosts of the topology levels that name it; otherwise each host by its own name if the agent serves
many, and none if it serves one. All of that is reported.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fenced.drivers.agents.metadata import PLUG_NAMES
from fenced.imports.agents import needs_plug
from fenced.imports.cib import Level, Node, Stonith
from fenced.imports.shape import Losses

_LIST: Final = re.compile(r"[ \t\n,;]+")
_MAP_ITEM: Final = re.compile(r"(?:\\.|[^;\s\\])+")
_NONE: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The hosts of one device, each with its plug ("": none). `is_certain`: the CIB itself names them."""

    plugs: Mapping[str, str]
    is_certain: bool


def served_by(device: Stonith, nodes: Sequence[Node], levels: Sequence[tuple[str, Level]], losses: Losses) -> Served:
    """Return the hosts that this device serves. `levels`: (node, level) pairs."""
    names = {node.name.lower(): node.name for node in nodes}
    ports = _host_map(device, losses)
    listed = [each for each in _LIST.split(device.parameters.get("pcmk_host_list", "")) if each]
    check = device.parameters.get("pcmk_host_check", "")
    said = dict.fromkeys([*listed, *ports])
    of_levels = list(dict.fromkeys(node for node, level in levels if device.id in level.devices))
    if check not in {"", "static-list", "dynamic-list", "status", _NONE}:
        losses.lost(f"{device.where}, pcmk_host_check", f"{check!r} is no way to check: ignored", "correct it")
        check = ""
    is_static = check in {"", "static-list"}
    if said and check != _NONE:
        if not is_static:
            losses.lost(
                f"{device.where}, pcmk_host_check",
                f"{check}: the agent decides at run time; the hosts of pcmk_host_map and pcmk_host_list are kept",
                "run `fencectl probe` for each host",
            )
        hosts = _known(device, said, names, losses)
        return Served(plugs=_plugs(device, hosts, ports, losses), is_certain=True)
    if check == "static-list":
        losses.lost(device.where, "static-list without pcmk_host_list and pcmk_host_map: serves no host", "add one")
        return Served(plugs={}, is_certain=True)
    return _without_list(device, check, list(names.values()), of_levels, ports, losses)


def _without_list(
    device: Stonith, check: str, names: list[str], of_levels: list[str], ports: Mapping[str, str], losses: Losses
) -> Served:
    fixed = next((device.parameters[name] for name in PLUG_NAMES if device.parameters.get(name)), "")
    if of_levels:
        return Served(plugs=_plugs(device, of_levels, ports, losses), is_certain=True)
    if fixed and fixed in names:
        losses.note(device.where, f"has no list of hosts; its plug {fixed} is the name of a host, which it serves")
        return Served(plugs=_plugs(device, [fixed], ports, losses), is_certain=True)
    if check == _NONE:
        losses.note(device.where, "pcmk_host_check=none: serves every host")
        return Served(plugs=_plugs(device, names, ports, losses), is_certain=True)
    if not needs_plug(device.agent) or fixed:
        losses.lost(
            device.where,
            "the CIB does not say which host it serves (no pcmk_host_list, pcmk_host_map or fencing-level): left out",
            "add it to its host by hand",
            is_loud=True,
        )
        return Served(plugs={}, is_certain=False)
    losses.lost(
        device.where,
        "the CIB does not say which hosts it serves (the agent decides at run time): every host gets it, with its own "
        "name as the plug",
        "remove it where it does not belong, and run `fencectl probe` for each host",
    )
    return Served(plugs=_plugs(device, names, ports, losses), is_certain=False)


def _known(device: Stonith, said: Mapping[str, None], names: Mapping[str, str], losses: Losses) -> list[str]:
    hosts = []
    for name in said:
        if name.lower() in names:
            hosts.append(names[name.lower()])
        else:
            losses.lost(device.where, f"serves {name}, which is no node of the CIB: left out", "add the host by hand")
    return list(dict.fromkeys(hosts))


def _plugs(device: Stonith, hosts: Sequence[str], ports: Mapping[str, str], losses: Losses) -> dict[str, str]:
    """Return each host's plug as Pacemaker gives it; "": the agent's own parameter counts, or there is none."""
    by_host = {name.lower(): port for name, port in ports.items()}
    is_fixed = any(device.parameters.get(name, "dynamic") != "dynamic" for name in PLUG_NAMES)
    if is_fixed:
        for host, port in ports.items():
            losses.lost(
                device.where,
                f"has a plug of its own, so Pacemaker never uses port {port} of pcmk_host_map for {host}",
                "check which plug is meant",
                is_loud=True,
            )
        return dict.fromkeys(hosts, "")
    argument = device.parameters.get("pcmk_host_argument", "")
    is_named = needs_plug(device.agent) and argument in {"", *PLUG_NAMES}
    return {host: by_host.get(host.lower(), host if is_named else "") for host in hosts}


def _host_map(device: Stonith, losses: Losses) -> dict[str, str]:
    """Read pcmk_host_map: `host:port` items between `;` or blanks; a backslash protects the next character."""
    ports: dict[str, str] = {}
    for item in _MAP_ITEM.findall(device.parameters.get("pcmk_host_map", "")):
        found = re.match(r"((?:\\.|[^:=\\])+)[:=](.+)", item)
        if found is None:
            losses.lost(f"{device.where}, pcmk_host_map", f"{item!r} is not HOST:PORT: left out", "correct it")
            continue
        host, port = (re.sub(r"\\(.)", r"\1", part) for part in found.groups())
        ports.setdefault(host, port)
    return ports
