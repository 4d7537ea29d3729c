"""Import the hosts of an oVirt engine, as its REST API returns them in JSON or XML, version 3 or 4.

`GET /ovirt-engine/api/hosts?follow=cluster,fenceagents` holds hosts, power management and agents; passwords are never
in it. Agents of one order are switched together, so they share a level; orders are levels in turn. oVirt adds options
that a type needs and renames others on the way to the agent; the import does the same, so the agent gets what it got.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fenced.imports import agents
from fenced.imports.agents import AgentDevice, is_secret, shown, why_not_power
from fenced.imports.cib import parse_xml
from fenced.imports.shape import (
    LEVEL_MAX,
    Device,
    Host,
    Imported,
    Losses,
    NotImported,
    Value,
    is_name,
    numbered,
    report_unfenceable,
    usable,
)
from fenced.model.booleans import said

_ALIASES: Final = {"drac7": "ipmilan", "ilo2": "ilo"}
_MAPPED: Final = {
    "alom": {"secure": "secure", "port": "ipport"},
    "amt_ws": {"port": "ipport"},
    "apc": {"secure": "secure", "port": "ipport", "slot": "port"},
    "apc_snmp": {"port": "port"},
    "bladecenter": {"secure": "secure", "port": "ipport", "slot": "port"},
    "cisco_ucs": {"secure": "ssl", "slot": "port"},
    "drac5": {"secure": "secure", "port": "ipport", "slot": "port"},
    "eps": {"slot": "port"},
    "hpblade": {"port": "port"},
    "ilo": {"secure": "ssl", "port": "ipport"},
    "ilo2": {"secure": "ssl", "port": "ipport"},
    "ilo_ssh": {"port": "port"},
    "ipmilan": {"port": "ipport"},
    "redfish": {"secure": "ssl", "port": "ipport"},
    "rsa": {"secure": "secure", "port": "ipport"},
    "wti": {"secure": "secure", "port": "ipport", "slot": "port"},
}
"""What the engine makes of its own option names, by type (VdsFenceOptionMapping)."""
_DEFAULTS: Final = {
    "drac7": {"privlvl": "OPERATOR", "lanplus": "1", "delay": "10"},
    "ilo3": {"power_wait": "4"},
    "ilo4": {"power_wait": "4"},
    "ilo_ssh": {"secure": "1"},
    "redfish": {"ssl_insecure": "1"},
}
"""What the engine adds on x86 where the user sets no such option (FenceAgentDefaultParams)."""
_AGENT_FIELDS: Final = {"id", "href", "host", "link", "type", "order", "concurrent", "address", "ip", "username",
                        "user", "password", "port", "options", "encrypt_options", "name", "actions"}  # fmt: skip
_PM_FIELDS: Final = {"enabled", "agents", "pm_proxies", "kdump_detection", "automatic_pm_enabled", "status", "type",
                     "address", "username", "user", "password", "options", "port"}  # fmt: skip
_PROXY_WORDS: Final = {"cluster": "cluster", "dc": "dc", "other_dc": "other_dc"}


def import_ovirt(content: bytes, *, what: str) -> Imported:
    """Return the inventory of the engine's hosts. Raises NotImported."""
    losses = Losses()
    hosts = [_Host(tree=tree, losses=losses).read() for tree in _hosts(_parse(content, what), what)]
    kept = usable(hosts, losses)
    report_unfenceable(kept, losses)
    losses.lost(
        "fencing policy of the clusters",
        "is not part of the hosts (skip fencing while storage is alive, connectivity threshold)",
        "set [gates.connectivity] and storage evidence; see docs/gates.md",
    )
    return Imported(hosts=kept, losses=losses.found)


def _parse(content: bytes, what: str) -> Any:
    """Return JSON's shape of either form."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        root = parse_xml(content, what)
        return {root.tag: _shape(root)}
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise NotImported(f"{what}: is neither JSON nor XML: {exc}") from exc


def _shape(element: ET.Element) -> Any:
    """Return an element as the API's JSON has it: attributes and children are keys, equal children a list."""
    if not len(element) and not element.attrib:
        return (element.text or "").strip()
    shaped: dict[str, Any] = dict(element.attrib)
    for child in element:
        value = _shape(child)
        if child.tag in shaped:
            before = shaped[child.tag]
            shaped[child.tag] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            shaped[child.tag] = value
    return shaped


def _hosts(tree: Any, what: str) -> list[Mapping[str, Any]]:
    if isinstance(tree, list):
        return [host for each in tree for host in _hosts(each, what)]
    if isinstance(tree, dict):
        for key in ("hosts", "host"):
            if key in tree:
                return [] if tree[key] == "" else _hosts(tree[key], what)
        if "name" in tree:
            return [tree]
    raise NotImported(
        f"{what}: has no hosts of oVirt's API; write them with GET /ovirt-engine/api/hosts?follow=cluster,fenceagents"
    )


def _listed(value: Any, key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list, in either form: [...], {key: [...]} or {key: {...}}."""
    inner = value.get(key, []) if isinstance(value, dict) else value
    items = inner if isinstance(inner, list) else [inner]
    return [item for item in items if isinstance(item, dict)]


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else "" if value is None else str(value).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    tree: Mapping[str, Any]
    losses: Losses

    @property
    def name(self) -> str:
        return _text(self.tree.get("name"))

    @property
    def where(self) -> str:
        return f"host {self.name}"

    @property
    def power(self) -> Mapping[str, Any]:
        found = self.tree.get("power_management")
        return found if isinstance(found, dict) else {}

    def read(self) -> Host:
        keys: dict[str, Value] = {}
        if address := _text(self.tree.get("address")):
            keys["address"] = address
        if proxies := self._proxies():
            keys["proxies"] = proxies
        devices = self._devices()
        if said(_text(self.power.get("enabled"))) is False and devices:
            keys["automatic"] = False
            self.losses.lost(
                f"{self.where}, power_management", "POWER MANAGEMENT IS DISABLED: automatic = false",
                "remove `automatic = false` once its devices are proven", is_loud=True,
            )  # fmt: skip
        self._others()
        return Host(
            name=self.name, where=self.where, cluster=self._cluster(), keys=keys, devices=numbered(tuple(devices))
        )

    def _cluster(self) -> str:
        found = self.tree.get("cluster")
        name = _text(found.get("name")) if isinstance(found, dict) else ""
        if is_name(name):
            return name
        if found:
            why = f"{name!r} can't be a name of fenced" if name else "the source has only its id"
            self.losses.lost(f"{self.where}, cluster", f"{why}: left out", "add ?follow=cluster, or set it by hand")
        return ""

    def _proxies(self) -> tuple[str, ...]:
        words = [_text(each.get("type")) for each in _listed(self.power.get("pm_proxies"), "pm_proxy")]
        for word in words:
            if word not in _PROXY_WORDS:
                self.losses.lost(f"{self.where}, pm_proxies", f"{word!r} is no source of proxies: left out", "")
        kept = tuple(dict.fromkeys(word for word in words if word in _PROXY_WORDS))
        if not kept:
            return ()
        self.losses.note(f"{self.where}, pm_proxies", "`engine` is added last: fenced reaches devices itself, too")
        return (*kept, "engine")

    def _others(self) -> None:
        is_used = said(_text(self.power.get("enabled"))) is not False  # the engine sets both for every host
        if is_used and said(_text(self.power.get("kdump_detection"))):
            self.losses.lost(
                f"{self.where}, kdump_detection", "fenced does not wait for crash kernels yet",
                "a dump can be cut short; see [remedy.kdump]",
            )  # fmt: skip
        if is_used and said(_text(self.power.get("automatic_pm_enabled"))):
            self.losses.lost(f"{self.where}, automatic_pm_enabled", "fenced switches off no idle hosts", "")
        for key in self.power.keys() - _PM_FIELDS:
            self.losses.lost(f"{self.where}, power_management.{key}", "unknown to fenced: left out", "check it")
        if _text(self.tree.get("external_status")) not in {"", "ok"}:
            self.losses.lost(
                f"{self.where}, external_status", "is not ok, so oVirt does not fence it now",
                f"run `fencectl maintenance {self.name} on --reason '...'` if fenced must leave it alone",
            )  # fmt: skip
        if _text(self.tree.get("status")) == "maintenance":
            self.losses.lost(
                f"{self.where}, status", "maintenance is a state, which an inventory does not hold",
                f"run `fencectl maintenance {self.name} on --reason '...'` if fenced must leave it alone",
            )  # fmt: skip

    def _agents(self) -> list[Mapping[str, Any]]:
        for place in (self.tree, self.power):
            for key in ("agents", "fence_agents", "fenceagents"):
                if found := _listed(place.get(key), "agent"):
                    return found
        return [self.power] if self.power.get("type") else []

    def _devices(self) -> list[Device]:
        given = self._agents()
        if not given and said(_text(self.power.get("enabled"))):
            self.losses.lost(
                f"{self.where}, fenceagents", "power management is enabled, but its agents are not in the source",
                "export with ?follow=cluster,fenceagents", is_loud=True,
            )  # fmt: skip
        orders = sorted({self._order(each, index) for index, each in enumerate(given, start=1)})
        devices = []
        for index, agent in enumerate(given, start=1):
            level = orders.index(self._order(agent, index)) + 1
            if level > LEVEL_MAX:
                self.losses.lost(
                    f"{self.where}, agent {index}", f"more than {LEVEL_MAX} levels: left out", is_loud=True
                )
            elif device := self._device(agent, index, level):
                devices.append(device)
        return devices

    def _order(self, agent: Mapping[str, Any], index: int) -> int:
        text = _text(agent.get("order"))
        return int(text) if text.isascii() and text.isdigit() else index

    def _device(self, agent: Mapping[str, Any], index: int, level: int) -> Device | None:
        kind = _text(agent.get("type")).lower()
        name = f"fence_{_ALIASES.get(kind, kind)}"
        where = f"{self.where}, agent {index} ({kind})"
        if why := why_not_power(name):
            self.losses.lost(where, f"{name} {why}: left out", "give the host a power device", is_loud=True)
            return None
        is_whole = agent is self.power
        for key in agent.keys() - _AGENT_FIELDS - (_PM_FIELDS if is_whole else set()):
            self.losses.lost(f"{where}, {key}", "unknown to fenced: left out", "check it")
        parameters = self._parameters(agent, kind, where)
        for key, names in (("ip", ("address", "ip")), ("username", ("username", "user")), ("password", ("password",))):
            if value := next((text for each in names if (text := _text(agent.get(each)))), ""):
                parameters[key] = value
        return agents.build(
            AgentDevice(
                where=where,
                name=f"{self.name}-{kind}",
                agent=name,
                parameters=parameters,
                level=level,
                missing=() if parameters.get("password") else ("password",),
            ),
            self.losses,
        )

    def _parameters(self, agent: Mapping[str, Any], kind: str, where: str) -> dict[str, str]:
        """Return what the engine would give the agent: renamed options, and its defaults."""
        mapping = _MAPPED.get(kind, {})
        given = dict(self._options(agent))
        if (port := _text(agent.get("port"))) and port != "0":
            given.setdefault("port", port)
        parameters: dict[str, str] = {}
        for name, value in given.items():
            if name in {"port", "slot", "secure"} and name not in mapping:
                self.losses.lost(f"{where}, {name}", f"{shown(name, value)}: {kind} has no such option: left out", "")
            elif name == "encrypt_options":
                self.losses.note(f"{where}, {name}", "means the engine's own database: left out")
            elif name in mapping and not value:
                continue
            else:
                parameters[mapping.get(name, name)] = value if value or is_secret(name) else "1"
        for name, value in _DEFAULTS.get(kind, {}).items():
            if not any(name in each for each in given):
                parameters.setdefault(name, value)
                self.losses.note(where, f"{name}={value}: added, as the engine does on x86")
        return parameters

    def _options(self, agent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        options = agent.get("options")
        if isinstance(options, str):
            for item in filter(None, (each.strip() for each in options.split(","))):
                name, _, value = item.partition("=")
                yield name.strip(), value.strip()
            return
        for option in _listed(options, "option"):
            yield _text(option.get("name")), _text(option.get("value"))
