"""Import a Pacemaker CIB: nodes become hosts, each fence device a device of every host that it serves.

Without a topology any single device of Pacemaker suffices, so each gets a level of its own; with one, the levels stay
as they are. Delays, constraints and everything else that fenced does not have is reported.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from fenced.imports import agents
from fenced.imports.agents import AgentDevice, why_not_power
from fenced.imports.cib import Cib, Level, Stonith, read_cib
from fenced.imports.eligibility import Served, served_by
from fenced.imports.pacemaker_keys import cluster_keys, device_keys, host_action
from fenced.imports.shape import (
    LEVEL_MAX,
    Device,
    Host,
    Imported,
    Losses,
    Value,
    is_name,
    numbered,
    report_unfenceable,
    usable,
)
from fenced.imports.timing import with_operation_timeout

_OFF: Final = {"false", "no", "off", "0", "n"}


def import_cib(content: bytes, *, what: str, cluster: str = "") -> Imported:
    """Return the inventory of a CIB. `cluster`: the name of its cluster, instead of its own. Raises NotImported."""
    losses = Losses()
    cib = read_cib(content, what, losses)
    return _Importer(cib=cib, losses=losses, cluster=_cluster(cib, cluster, losses)).run()


def _cluster(cib: Cib, wanted: str, losses: Losses) -> str:
    name = wanted or cib.properties.get("cluster-name", "")
    if name and not is_name(name):
        losses.lost("property cluster-name", f"{name!r} can't be the name of a cluster: left out", "use --cluster NAME")
        return ""
    return name


@dataclass(slots=True, kw_only=True)
class _Importer:
    cib: Cib
    losses: Losses
    cluster: str
    _served: dict[str, Served] = field(default_factory=dict)

    def run(self) -> Imported:
        of_cluster = cluster_keys(self.cib.properties, self.losses)
        levels = list(self._levels())
        for device in self.cib.stonith:
            if self._can_serve(device):
                self._served[device.id] = served_by(device, self.cib.nodes, levels, self.losses)
        self._report_others()
        hosts = [
            with_operation_timeout(self._host(node.name, node.where, node.address, levels), of_cluster, self.losses)
            for node in self.cib.nodes
        ]
        kept = usable(hosts, self.losses)
        if not self.cluster:  # without a cluster its keys are the hosts'
            kept = tuple(
                Host(name=h.name, where=h.where, keys={**of_cluster, **h.keys}, devices=h.devices) for h in kept
            )
        report_unfenceable(kept, self.losses)
        return Imported(
            hosts=kept,
            losses=self.losses.found,
            clusters={self.cluster: of_cluster} if self.cluster else {},
        )

    def _report_others(self) -> None:
        for guest in self.cib.guests:
            self.losses.lost(
                f"remote-node {guest}",
                "Pacemaker fences a guest node by stopping the resource that runs it: left out",
                "add it as a host with a device for its virtual machine (fence_virsh, fence_vmware_rest ...)",
            )
        for where, device, node, score in self.cib.constraints:
            if score.upper() == "-INFINITY" and node in self._plugs(device):
                self.losses.note(where, f"{device} not on {node}: fenced never fences a host through itself")
            else:
                self.losses.lost(
                    where,
                    f"a constraint of {device}: fenced does not place devices on nodes",
                    "say with `proxies` which machines reach the device",
                )
        for of_node in self.cib.nodes:
            for name in ("standby", "maintenance"):
                if of_node.attributes.get(name, "off").lower() not in {*_OFF, ""}:
                    self.losses.lost(
                        f"{of_node.where}, {name}", "a state, which an inventory does not hold",
                        f"run `fencectl maintenance {of_node.name} on --reason '...'` if fenced must leave it alone",
                    )  # fmt: skip

    def _can_serve(self, device: Stonith) -> bool:
        why = why_not_power(device.agent)
        is_stopped = device.meta.get("target-role", "").lower() == "stopped"
        if why:
            self.losses.lost(
                device.where, f"{device.agent} {why}: left out", "give its hosts a power device", is_loud=True
            )
        elif is_stopped:
            self.losses.lost(
                device.where, "is disabled (target-role=Stopped): left out", "add it if it should fence", is_loud=True
            )
        for name, value in device.meta.items():
            if name != "target-role":
                self.losses.lost(f"{device.where}, {name}", f"{name}={value}: fenced has no such attribute", "")
        for operation in device.operations:
            self.losses.note(
                device.where, f"the operation {operation}", "fenced reads every path regularly with [check] interval"
            )
        if device.inside:
            self.losses.note(device.where, f"is in a {device.inside}, which means nothing to fencing")
        return not why and not is_stopped

    def _levels(self) -> Iterator[tuple[str, Level]]:
        """Yield each level for each node that it targets; an exact name counts before the others, as in Pacemaker."""
        for node in self.cib.nodes:
            exact = [level for level in self.cib.levels if level.target.lower() == node.name.lower() and level.target]
            others = [level for level in self.cib.levels if not level.target and self._targets(level, node.name)]
            first = [level for level in others if (level.pattern, level.attribute) == _selector(others[0])]
            for level in exact or first:
                yield node.name, level
            for level in () if exact else others:
                if level not in first:
                    self.losses.lost(
                        level.where,
                        f"another selector has {node.name} already: left out for it",
                        "check which is meant",
                    )
        known = {node.name.lower() for node in self.cib.nodes}
        for level in self.cib.levels:
            if not level.target and not any(self._targets(level, node.name) for node in self.cib.nodes):
                self.losses.lost(level.where, "its pattern or attribute matches no node: left out", "check it")
            if level.target and level.target.lower() not in known:
                self.losses.lost(level.where, f"{level.target} is no node of the CIB: left out", "add the host by hand")
            for device in level.devices:
                if device not in {each.id for each in self.cib.stonith}:
                    self.losses.lost(
                        level.where, f"the CIB has no device {device}: left out", "add it by hand", is_loud=True
                    )

    def _targets(self, level: Level, node: str) -> bool:
        if level.attribute is not None:
            name, value = level.attribute
            found = next(each for each in self.cib.nodes if each.name == node)
            return found.attributes.get(name) == value
        try:
            return bool(level.pattern) and re.search(level.pattern, node, re.IGNORECASE) is not None
        except re.error as exc:
            self.losses.lost(
                level.where, f"the pattern {level.pattern!r} can't be read ({exc}): left out", "correct it"
            )
            return False

    def _host(self, name: str, where: str, address: str, levels: list[tuple[str, Level]]) -> Host:
        own = [level for node, level in levels if node == name]
        devices = tuple(self._by_topology(name, own) if own else self._alternatives(name))
        used = [device for device in self.cib.stonith if any(level for level in own if device.id in level.devices)]
        keys: dict[str, Value] = {"address": address} if address else {}
        if action := host_action(used or self._serving(name)):
            keys["fence_action"] = action
        return Host(name=name, where=where, cluster=self.cluster, keys=keys, devices=numbered(devices))

    def _serving(self, name: str) -> list[Stonith]:
        return [device for device in self.cib.stonith if name in self._plugs(device.id)]

    def _plugs(self, device: str) -> Mapping[str, str]:
        return self._served[device].plugs if device in self._served else {}

    def _by_topology(self, name: str, own: list[Level]) -> Iterator[Device]:
        stonith = {device.id: device for device in self.cib.stonith}
        for level in sorted(own, key=lambda level: level.index):
            for id_ in level.devices:
                if id_ not in self._served:
                    if id_ in stonith:
                        self.losses.lost(
                            level.where, f"level {level.index} of {name} loses {id_}, which is left out", is_loud=True
                        )
                elif name not in self._plugs(id_):
                    self.losses.lost(
                        level.where, f"{id_} does not serve {name} by its own list: left out", "check which is meant",
                        is_loud=True,
                    )  # fmt: skip
                else:
                    yield self._device(stonith[id_], name, level.index)
        named = {id_ for level in own for id_ in level.devices}
        for device in self._serving(name):
            if device.id not in named and self._served[device.id].is_certain:
                self.losses.note(device.where, f"is in no fencing-level of {name}, so Pacemaker never uses it for it")

    def _alternatives(self, name: str) -> Iterator[Device]:
        serving = self._serving(name)
        if len(serving) > 1:
            self.losses.note(
                f"node {name}",
                f"{len(serving)} devices without a topology: each is a level, as any of them suffices in Pacemaker",
                "give devices that must be off together (two power supplies) the same level",
            )
        for level, device in enumerate(serving, start=1):
            if level > LEVEL_MAX:
                self.losses.lost(device.where, f"{name} has more than {LEVEL_MAX} levels: left out", is_loud=True)
            else:
                yield self._device(device, name, level)

    def _device(self, device: Stonith, host: str, level: int) -> Device:
        plug = self._plugs(device.id)[host]
        argument = device.parameters.get("pcmk_host_argument", "")
        parameters = {name: value for name, value in device.parameters.items() if not name.startswith("pcmk_")}
        if argument not in {"", "none", "plug", "port"} and not parameters.get(argument):
            parameters[argument], plug = plug or host, ""
        if parameters.get("port") == "dynamic" or parameters.get("plug") == "dynamic":
            parameters = {name: value for name, value in parameters.items() if name not in {"port", "plug"}}
        return agents.build(
            AgentDevice(
                where=device.where,
                name=device.id,
                agent=device.agent,
                parameters={name: value for name, value in parameters.items() if not _is_meta(name)},
                level=level,
                plug=plug,
                keys=device_keys(device, is_shared=len(self._plugs(device.id)) > 1, losses=self.losses),
            ),
            self.losses,
        )


def _selector(level: Level) -> tuple[str, tuple[str, str] | None]:
    return level.pattern, level.attribute


def _is_meta(name: str) -> bool:
    """Pacemaker keeps these from the agent."""
    return name.startswith("CRM_meta_") or name == "crm_feature_set"
