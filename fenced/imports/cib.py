"""Read a CIB: its properties, nodes, fence devices, topology and constraints, without a judgement of them.

XML with a document type is refused, so that no entity can expand. Name-value sets may be shared by `id-ref`, and a
device may take its attributes from a template; both are resolved here. A set with a rule is reported, because it holds
only at times.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from fenced.imports.shape import Losses, NotImported


def parse_xml(content: bytes, what: str) -> ET.Element:
    """Return the root of a document. Raises NotImported for anything else, and for a document type."""

    def refuse(*_: object) -> None:
        raise NotImported(f"{what}: has a document type (DOCTYPE), which fenced refuses; remove it")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ET.fromstring(content)  # noqa: S314 - the guard has refused every document type, so no entity expands
    except (expat.ExpatError, ET.ParseError) as exc:
        raise NotImported(f"{what}: is not XML: {exc}") from exc
    except (LookupError, ValueError) as exc:
        raise NotImported(f"{what}: can't be decoded: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node, or a remote node: a machine that runs only Pacemaker Remote, with the address that the CIB gives it."""

    name: str
    where: str
    address: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stonith:
    """A fence device. `role`: its target-role; `inside`: the clone or group that holds it."""

    id: str
    agent: str
    parameters: Mapping[str, str]
    meta: Mapping[str, str]
    operations: tuple[str, ...] = ()
    inside: str = ""

    @property
    def where(self) -> str:
        return f"primitive {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One fencing-level. Exactly one of `target`, `pattern` and `attribute` is set."""

    where: str
    index: int
    devices: tuple[str, ...]
    target: str = ""
    pattern: str = ""
    attribute: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cib:
    properties: Mapping[str, str]
    nodes: tuple[Node, ...]
    stonith: tuple[Stonith, ...]
    levels: tuple[Level, ...]
    constraints: tuple[tuple[str, str, str, str], ...]
    """(id, device, node, score) of the location constraints of fence devices."""
    guests: tuple[str, ...] = ()


def read_cib(content: bytes, what: str, losses: Losses) -> Cib:
    """Return a CIB's part that concerns fencing. Raises NotImported."""
    root = parse_xml(content, what)
    configuration = root if root.tag == "configuration" else root.find(".//configuration")
    if configuration is None:
        raise NotImported(f"{what}: is not a CIB: it has no <configuration>; write one with `cibadmin --query`")
    return _Reader(configuration, losses).read()


class _Reader:
    def __init__(self, configuration: ET.Element, losses: Losses) -> None:
        self._root, self._losses = configuration, losses
        self._by_id = {id_: element for element in configuration.iter() if (id_ := element.get("id"))}
        self._parents = {child: parent for parent in configuration.iter() for child in parent}

    def read(self) -> Cib:
        stonith = tuple(self._stonith())
        ids = {device.id for device in stonith}
        self._report_others()
        return Cib(
            properties=self._properties(),
            nodes=(*self._nodes(), *self._remote_nodes()),
            stonith=stonith,
            levels=tuple(self._levels()),
            constraints=tuple(self._constraints(ids)),
            guests=tuple(self._guests()),
        )

    def _report_others(self) -> None:
        """Report what concerns fencing outside of fence devices."""
        for element in self._root.findall("resources//primitive"):
            where = f"primitive {element.get('id', '')}"
            if element.get("template") and element.get("template") not in self._by_id:
                self._losses.lost(where, f"the CIB has no template {element.get('template')}: left out", "correct it")
            for operation in element.findall("operations/op"):
                if operation.get("on-fail") == "fence":
                    self._losses.lost(
                        f"{where}, {operation.get('name')}",
                        "on-fail=fence: fenced watches hosts, not resources",
                        "let what watches the resource request a fence, or report the host as failing",
                    )
        for element in self._root.findall("alerts/alert"):
            self._losses.lost(
                f"alert {element.get('id', '')}",
                "may report fencing: fenced starts no alert programs",
                "subscribe to its events (docs/interface.md)",
            )

    def _properties(self) -> dict[str, str]:
        found = self._root.find("crm_config")
        return {} if found is None else self._pairs(found, "cluster_property_set", "property")

    def _nodes(self) -> Iterator[Node]:
        for element in self._root.findall("nodes/node"):
            name = element.get("uname", "") or element.get("id", "")
            where = f"node {name}"
            if element.get("type", "member") == "ping":
                self._losses.note(where, "is a ping node: left out, it is only an address")
                continue
            yield Node(name=name, where=where, attributes=self._pairs(element, "instance_attributes", where))

    def _remote_nodes(self) -> Iterator[Node]:
        known = {node.get("uname") for node in self._root.findall("nodes/node")}
        for element in self._root.findall("resources//primitive"):
            if (element.get("provider"), element.get("type")) == ("pacemaker", "remote"):
                name = element.get("id", "")
                parameters = self._pairs(element, "instance_attributes", f"primitive {name}")
                if name not in known:
                    yield Node(name=name, where=f"primitive {name}", address=parameters.get("server", name))

    def _guests(self) -> Iterator[str]:
        for element in self._root.findall("resources//primitive"):
            meta = self._pairs(element, "meta_attributes", f"primitive {element.get('id', '')}")
            if guest := meta.get("remote-node"):
                yield guest

    def _stonith(self) -> Iterator[Stonith]:
        for element in self._root.findall("resources//primitive"):
            template = self._by_id.get(element.get("template", ""))
            named = template if template is not None else element
            if (element.get("class") or named.get("class")) != "stonith":
                continue
            id_ = element.get("id", "")
            where = f"primitive {id_}"
            sources = [element] if template is None else [template, element]
            parameters: dict[str, str] = {}
            meta: dict[str, str] = {}
            for source in sources:
                parameters |= self._pairs(source, "instance_attributes", where)
                meta |= self._pairs(source, "meta_attributes", where)
            parent = self._parents.get(element)
            yield Stonith(
                id=id_,
                agent=element.get("type", "") or named.get("type", ""),
                parameters=parameters,
                meta=meta,
                operations=tuple(
                    f"{op.get('name', '')} every {op.get('interval', '0')}" for op in element.findall("operations/op")
                ),
                inside=parent.tag if parent is not None and parent.tag != "resources" else "",
            )

    def _levels(self) -> Iterator[Level]:
        for element in self._root.findall("fencing-topology/fencing-level"):
            where = f"fencing-level {element.get('id', '')}"
            index = element.get("index", "")
            if not index.isascii() or not index.isdigit() or not 1 <= int(index) <= 9:
                self._losses.lost(where, f"index {index!r} is not 1 to 9: left out, as Pacemaker does", "correct it")
                continue
            attribute = element.get("target-attribute")
            yield Level(
                where=where,
                index=int(index),
                devices=tuple(each.strip() for each in element.get("devices", "").split(",") if each.strip()),
                target=element.get("target", ""),
                pattern=element.get("target-pattern", ""),
                attribute=(attribute, element.get("target-value", "")) if attribute else None,
            )

    def _constraints(self, ids: set[str]) -> Iterator[tuple[str, str, str, str]]:
        for element in self._root.findall("constraints/*"):
            named = {element.get(key, "") for key in ("rsc", "with-rsc", "first", "then")}
            named |= {each.get("id", "") for each in element.iter("resource_ref")}
            where = f"{element.tag} {element.get('id', '')}"
            for device in sorted(named & ids):
                if element.tag == "rsc_location" and element.get("node"):
                    yield where, device, element.get("node", ""), element.get("score", "")
                else:
                    yield where, device, "", ""

    def _pairs(self, element: ET.Element, tag: str, where: str) -> dict[str, str]:
        """Return the pairs of all sets of this tag. Of two with one name, that of the higher score counts."""
        pairs: dict[str, str] = {}
        sets = [self._by_id.get(given.get("id-ref", ""), given) for given in element.findall(tag)]
        for found in sorted(sets, key=_score, reverse=True):
            if found.find("rule") is not None:
                self._losses.lost(
                    f"{where}, {found.get('id', tag)}",
                    "holds only under a rule: left out",
                    "fenced has no rules; set the values by hand if they concern fencing",
                )
                continue
            for pair in found.iter("nvpair"):
                source = self._by_id.get(pair.get("id-ref", ""), pair)
                name = pair.get("name", "") or source.get("name", "")
                pairs.setdefault(name, source.get("value", ""))
        return pairs


def _score(element: ET.Element) -> float:
    text = element.get("score", "0").upper().replace("INFINITY", "inf")
    try:
        return float(text)
    except ValueError:
        return 0.0
