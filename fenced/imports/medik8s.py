"""Import medik8s: FenceAgentsRemediationTemplate, FenceAgentsRemediation and NodeHealthCheck, in YAML or JSON.

Secrets and Nodes of the same files are used where they are there: a Node names a host and its address. The templates of
a NodeHealthCheck are levels in the order of its escalation; when and how often it remediates is reported, because
fenced decides by heartbeats and gates.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from fenced.config.durations import format_duration
from fenced.drivers.agents.metadata import normal
from fenced.imports import agents
from fenced.imports.agents import AgentDevice, why_not_power
from fenced.imports.shape import (
    LEVEL_MAX,
    Device,
    Host,
    Imported,
    Losses,
    NotImported,
    Value,
    numbered,
    report_unfenceable,
    usable,
)
from fenced.imports.timing import with_operation_timeout

_SHORT: Final = {"a": "ip", "l": "username", "p": "password", "n": "plug", "P": "lanplus", "u": "ipport", "z": "ssl",
                 "S": "password_script", "o": "action"}  # fmt: skip
_NODE_NAME: Final = re.compile(r"\{\{\s*\.NodeName\s*\}\}")
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?")
_TEMPLATE: Final = "FenceAgentsRemediationTemplate"
_REMEDIATION: Final = "FenceAgentsRemediation"
_SPEC: Final = {"agent", "retrycount", "retryinterval", "timeout", "sharedparameters", "nodeparameters",
                "remediationStrategy", "sharedSecretName", "nodeSecretNames", "statusValidationSample"}  # fmt: skip
_CHECK: Final = {
    "selector": ("which nodes it watches", "fenced watches every host of the inventory: remove the others"),
    "minHealthy": ("how many nodes must be healthy", "see [gates.connectivity] and [gates.budget]"),
    "maxUnhealthy": ("how many nodes may be unhealthy", "see [gates.connectivity] and [gates.budget]"),
    "unhealthyConditions": ("when a node is unhealthy", "run fenced-beat on each host and set `grace`"),
    "healthyDelay": ("how long a node must be healthy again", "see `boot_grace`"),
    "stormCooldownDuration": ("how long to wait after a storm", "see [gates.storm] cooldown"),
}
_RETRIES_MAX: Final = 100
_SECONDS_MAX: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agent:
    """One FAR spec. `node`: the node that it is for, where it is no template."""

    where: str
    name: str
    namespace: str
    spec: Mapping[str, Any]
    level: int
    node: str = ""


@dataclass(slots=True, kw_only=True)
class _Found:
    """The objects of all documents, by kind."""

    losses: Losses
    by_kind: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)

    def add(self, tree: Any, what: str) -> None:
        if tree is None:
            return
        if not isinstance(tree, dict) or not isinstance(tree.get("kind"), str):
            raise NotImported(
                f"{what}: has a document that is no Kubernetes object; give the output of kubectl -o yaml"
            )
        if isinstance(tree.get("items"), list):
            for item in tree["items"]:
                self.add(item, what)
        else:
            self.by_kind.setdefault(tree["kind"], []).append(tree)

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return self.by_kind.get(kind, [])


def import_medik8s(content: bytes, *, what: str) -> Imported:
    """Return the inventory of the objects. Raises NotImported."""
    losses = Losses()
    found = _Found(losses=losses)
    try:
        for document in yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            found.add(document, what)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        problem = getattr(exc, "problem", None) or type(exc).__name__
        raise NotImported(f"{what}: is not YAML: {problem}") from exc
    if not found.of(_TEMPLATE) and not found.of(_REMEDIATION):
        raise NotImported(f"{what}: has no {_TEMPLATE} and no {_REMEDIATION}; give the output of kubectl get -o yaml")
    return _Importer(found=found, losses=losses).run()


@dataclass(slots=True, kw_only=True)
class _Importer:
    found: _Found
    losses: Losses

    def run(self) -> Imported:
        known = set(self.found.by_kind) - {_TEMPLATE, _REMEDIATION, "NodeHealthCheck", "Secret", "Node"}
        for kind in sorted(known):
            if "Remediation" in kind or kind == "MachineHealthCheck":
                self.losses.lost(kind, "fenced has no such remediation: left out", "it cuts no power with an agent")
            else:
                self.losses.note(kind, "does not concern fencing: left out")
        orders = self._orders()
        all_agents = [*self._templates(orders), *self._remediations()]
        nodes = self._nodes(all_agents)
        if not nodes:
            self.losses.lost(
                "nodes", "the source names no node, so there is no host",
                "add the nodes: kubectl get nodes -o yaml", is_loud=True,
            )  # fmt: skip
        hosts = [with_operation_timeout(self._host(name, all_agents), {}, self.losses) for name in nodes]
        kept = usable(hosts, self.losses)
        report_unfenceable(kept, self.losses)
        return Imported(hosts=kept, losses=self.losses.found)

    def _orders(self) -> dict[str, int]:
        """Return the order of each template that a NodeHealthCheck names, and report the rest of the checks."""
        orders: dict[str, int] = {}
        for check in self.found.of("NodeHealthCheck"):
            spec, where = _dict(check.get("spec")), f"NodeHealthCheck {_name(check)}"
            for key, (what, advice) in _CHECK.items():
                if spec.get(key) not in (None, {}, []):
                    self.losses.lost(f"{where}, {key}", f"{_brief(spec[key])}: {what}: left out", advice)
            if spec.get("pauseRequests"):
                self.losses.lost(
                    f"{where}, pauseRequests", "REMEDIATION IS PAUSED in the source", "run `fencectl pause`",
                    is_loud=True,
                )  # fmt: skip
            known = {*_CHECK, "pauseRequests", "remediationTemplate", "escalatingRemediations"}
            for key in sorted(spec.keys() - known):
                self.losses.lost(f"{where}, {key}", f"{_brief(spec[key])}: unknown to fenced: left out", "check it")
            steps = [(0, _dict(spec.get("remediationTemplate")))] if spec.get("remediationTemplate") else []
            for each in spec.get("escalatingRemediations") or []:
                steps.append((int(_dict(each).get("order", 0)), _dict(_dict(each).get("remediationTemplate"))))
                self.losses.note(where, "the timeout of an escalation: each level takes the time of its devices")
            for order, reference in steps:
                if reference.get("kind") == _TEMPLATE:
                    orders.setdefault(str(reference.get("name")), order)
                else:
                    self.losses.lost(
                        f"{where}, step {order}", f"{reference.get('kind')} is no fence agent: left out", "",
                    )  # fmt: skip
        return orders

    def _templates(self, orders: Mapping[str, int]) -> Iterator[_Agent]:
        templates = self.found.of(_TEMPLATE)
        ranks = sorted(
            range(len(templates)), key=lambda index: (orders.get(_name(templates[index]), len(orders) + 1000), index)
        )
        level_of = {index: rank for rank, index in enumerate(ranks, start=1)}
        if len(templates) > 1:
            self.losses.note(_TEMPLATE, "each template is a level of its own, as medik8s never uses two at once")
        for index, template in enumerate(templates):
            name, spec = _name(template), _dict(_dict(_dict(template.get("spec")).get("template")).get("spec"))
            outer = _dict(template.get("spec")).keys() - {"template"}
            for key in sorted(outer):
                self.losses.note(f"{_TEMPLATE} {name}, {key}", "left out; see [check] for regular reading")
            yield _Agent(
                where=f"{_TEMPLATE} {name}", name=name, namespace=_namespace(template), spec=spec, level=level_of[index]
            )

    def _remediations(self) -> Iterator[_Agent]:
        templates = bool(self.found.of(_TEMPLATE))
        for remediation in self.found.of(_REMEDIATION):
            metadata = _dict(remediation.get("metadata"))
            node = _dict(metadata.get("annotations")).get("remediation.medik8s.io/node-name") or _name(remediation)
            where = f"{_REMEDIATION} {_name(remediation)}"
            if templates and metadata.get("ownerReferences"):
                self.losses.note(where, "is a remediation that runs now, made from a template: left out")
                continue
            yield _Agent(
                where=where, name="fence-agent", namespace=_namespace(remediation),
                spec=_dict(remediation.get("spec")), level=1, node=str(node),
            )  # fmt: skip

    def _nodes(self, all_agents: list[_Agent]) -> list[str]:
        names = [_name(node) for node in self.found.of("Node")]
        for agent in all_agents:
            if agent.node:
                names.append(agent.node)
                continue
            for values in _dict(agent.spec.get("nodeparameters")).values():
                names += [str(node) for node in _dict(values)]
            names += [str(node) for node in _dict(agent.spec.get("nodeSecretNames"))]
        return list(dict.fromkeys(names))

    def _host(self, name: str, all_agents: list[_Agent]) -> Host:
        node = next((each for each in self.found.of("Node") if _name(each) == name), {})
        addresses = _dict(_dict(node).get("status")).get("addresses") or []
        address = next(
            (str(each["address"]) for each in addresses if _dict(each).get("type") == "InternalIP"), ""
        )  # fmt: skip
        devices: list[Device] = []
        actions = set()
        for agent in all_agents:
            if agent.node in {"", name} and (device := self._device(agent, name)):
                devices.append(device)
                actions.add(_parameters(agent, name).get("action", "reboot"))
        keys: dict[str, Value] = {"address": address} if address else {}
        if actions == {"off"}:
            keys["fence_action"] = "off"
        elif "off" in actions:
            self.losses.lost(f"node {name}", "one template says off, another reboot: fenced restarts", "")
        if _dict(_dict(_dict(node).get("metadata")).get("labels")).get(
            "remediation.medik8s.io/exclude-from-remediation"
        ) == "true":  # fmt: skip
            keys["automatic"] = False
            self.losses.lost(f"node {name}", "is excluded from remediation: automatic = false", is_loud=True)
        return Host(name=name, where=f"node {name}", keys=keys, devices=numbered(tuple(devices)))

    def _device(self, agent: _Agent, node: str) -> Device | None:
        program = str(agent.spec.get("agent", ""))
        if (why := why_not_power(program)) or agent.level > LEVEL_MAX:
            why = why or f"is more than level {LEVEL_MAX}"
            self.losses.lost(agent.where, f"{program} {why}: left out", "give its hosts a power device", is_loud=True)
            return None
        parameters = _parameters(agent, node)
        missing = []
        for secret in (agent.spec.get("sharedSecretName"), _dict(agent.spec.get("nodeSecretNames")).get(node)):
            if secret:
                values = self._secret(agent, str(secret), node)
                parameters |= values or {}
                if values is None and "password" not in parameters:
                    missing = ["password"]
        for key in sorted(agent.spec.keys() - _SPEC):
            self.losses.lost(f"{agent.where}, {key}", "unknown to fenced: left out", "check it")
        for name in parameters.keys() & set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            self.losses.lost(
                f"{agent.where}, -{name}", "a short option without a known name: left out", "set it by name"
            )
            del parameters[name]
        return agents.build(
            AgentDevice(
                where=agent.where,
                name=f"{node}-{agent.name}",
                agent=program,
                parameters=parameters,
                level=agent.level,
                keys=self._keys(agent),
                missing=tuple(missing),
            ),
            self.losses,
        )

    def _keys(self, agent: _Agent) -> dict[str, Value]:
        """Return the device's timing; medik8s' defaults count, so that the device behaves alike."""
        spec, keys = agent.spec, dict[str, Value]()
        count = spec.get("retrycount", 5)
        keys["attempts"] = max(1, min(int(count), _RETRIES_MAX)) if isinstance(count, int) else 5
        match = _DURATION.fullmatch(str(spec.get("timeout", "60s")))
        seconds = (
            sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))
            if match
            else 0
        )
        if 0 < seconds <= _SECONDS_MAX:
            keys["attempt_timeout"] = format_duration(seconds)
        else:
            self.losses.lost(f"{agent.where}, timeout", f"{spec.get('timeout')}: fenced allows 1ms to 1h: left out", "")
        if "retryinterval" in spec:
            self.losses.note(f"{agent.where}, retryinterval", "left out; fenced spaces its attempts itself")
        if strategy := spec.get("remediationStrategy"):
            self.losses.lost(
                f"{agent.where}, remediationStrategy",
                f"{strategy}: what Kubernetes does after a fence is not fenced's part",
                "let a program act on io.fenced.host.fenced",
            )
        return keys

    def _secret(self, agent: _Agent, name: str, node: str) -> dict[str, str] | None:
        """Return the parameters of a Secret; None if the source does not have it."""
        secret = next(
            (each for each in self.found.of("Secret") if _name(each) == name and _namespace(each) == agent.namespace),
            None,
        )
        if secret is None:
            self.losses.lost(
                f"{agent.where}, Secret {name}", "is not in the source, so its parameters are unknown",
                "add it to FILE (kubectl get secret -o yaml), or make the password file and add its other parameters",
            )  # fmt: skip
            return None
        values = {str(key): str(value) for key, value in _dict(secret.get("stringData")).items()}
        for key, value in _dict(secret.get("data")).items():
            try:
                values.setdefault(str(key), base64.b64decode(str(value), validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                self.losses.lost(f"Secret {name}, {key}", "is not base64 of text: left out", "correct it")
        return {_plain(key): _filled(value.strip("\r\n"), node) for key, value in values.items()}


def _parameters(agent: _Agent, node: str) -> dict[str, str]:
    """Return the parameters for one node. A flag without a value is true."""
    given = {str(key): str(value) for key, value in _dict(agent.spec.get("sharedparameters")).items()}
    for key, values in _dict(agent.spec.get("nodeparameters")).items():
        if (value := _dict(values).get(node)) is not None:
            given[str(key)] = str(value)
    return {_plain(key): _filled(value, node) or "1" for key, value in given.items()}


def _plain(flag: str) -> str:
    """Return the parameter's name on standard input of a command-line flag."""
    name = flag.lstrip("-")
    return _SHORT.get(name, name) if len(name) == 1 else normal(name)


def _filled(value: str, node: str) -> str:
    return _NODE_NAME.sub(lambda _: node, value)


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(tree: Mapping[str, Any]) -> str:
    return str(_dict(tree.get("metadata")).get("name", ""))


def _namespace(tree: Mapping[str, Any]) -> str:
    return str(_dict(tree.get("metadata")).get("namespace", ""))


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
