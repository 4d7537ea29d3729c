"""Parses a fence agent's metadata: its parameters and actions, from the XML of `action=metadata`.

The format is that of resource agents (fence-agent contract, B.4). Nothing runs here. An agent with unreadable metadata
still serves, under the parameter names that the fence-agents library accepts today.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fenced.model.booleans import said

XML_BYTES_MAX: Final = 1024 * 1024
FAULT_CHARACTERS_MAX: Final = 200

ADDRESS_NAMES: Final = ("ip", "ipaddr")
USERNAME_NAMES: Final = ("username", "login")
PASSWORD_NAMES: Final = ("password", "passwd")
PLUG_NAMES: Final = ("plug", "port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. `values`: the choices of a select, else empty. `obsoletes`: its former name, else "".

    `long_name`: its name on a command line, if it differs. Agents accept both on standard input.
    """

    name: str
    is_required: bool = False
    is_deprecated: bool = False
    obsoletes: str = ""
    long_name: str = ""
    kind: str = "string"
    default: str | None = None
    values: tuple[str, ...] = ()
    description: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Its present and former names."""
        return frozenset({self.name, self.long_name, self.obsoletes} - {""})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetadata:
    """An agent's parameters by name, and its actions. Both are empty if nothing is known; `why_unknown` says why.

    `is_unfencing`: `on` restores a machine's access (automatic or on_target), so the agent cuts no power.
    `programs`: the names of the files that the agent's file links to.
    """

    name: str = ""
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    actions: frozenset[str] = frozenset()
    is_unfencing: bool = False
    why_unknown: str = ""
    programs: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        return bool(self.parameters)

    def called(self, names: Iterable[str]) -> Parameter | None:
        """Return the agent's parameter among several names: the first that is not deprecated, else the first."""
        found = [self.parameters[name] for name in names if name in self.parameters]
        return next((parameter for parameter in found if not parameter.is_deprecated), found[0] if found else None)

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name; - and _ are equal, as they are to agents."""
        if name in self.parameters:
            return self.parameters[name]
        plain = normal(name)
        return next((parameter for given, parameter in self.parameters.items() if normal(given) == plain), None)

    def meanings(self) -> Mapping[str, Sequence[Parameter]]:
        """Return the parameters that each name may mean to the agent. Names are in lower case, with _ for -."""
        found: dict[str, list[Parameter]] = {}
        for parameter in self.parameters.values():
            for name in parameter.names:
                found.setdefault(normal(name).lower(), []).append(parameter)
        return found

    def names_of(self, name: str) -> frozenset[str]:
        """Return every name that the agent accepts for this parameter, including the given one."""
        parameter = self.parameter(name)
        if parameter is None:
            return frozenset({name})
        newer = (new.name for new in self.parameters.values() if new.obsoletes and new.obsoletes == parameter.name)
        names = {name, parameter.name, parameter.long_name, parameter.obsoletes, *newer}
        return frozenset(names - {""})

    def is_required(self, names: Iterable[str]) -> bool:
        """Return whether any of these names is required: agents mark old and new names alike."""
        return any(self.parameters[name].is_required for name in names if name in self.parameters)


def normal(name: str) -> str:
    """Replace - by _: agents treat them alike."""
    return name.replace("-", "_")


def is_yes(text: str | None) -> bool:
    """Return whether the fencing library reads a text as true. None and unknown words are not."""
    return text is not None and said(text) is True


class MetadataError(ValueError):
    """The text is not a fence agent's metadata."""


def parse_metadata(text: bytes) -> AgentMetadata:
    """Parse the output of `action=metadata`; skip a note before the XML, refuse entities. Raises MetadataError."""
    if len(text) > XML_BYTES_MAX:
        raise MetadataError(f"more than {XML_BYTES_MAX} bytes")
    # Accept UTF-8 alone: the search below would miss entities in an encoding that the XML names or the parser guesses.
    written = text.decode("utf-8", errors="replace")
    if "\0" in written:
        raise MetadataError("it is not text")
    if "<!ENTITY" in written or "<!DOCTYPE" in written:
        raise MetadataError("it defines entities")
    start = written.find("<?xml")
    if start < 0:
        start = written.find("<resource-agent")
    try:
        root = ET.fromstring(written[max(0, start) :])  # noqa: S314 - bounded, and without entities or a DTD
    except ET.ParseError as exc:
        raise MetadataError(f"it is not XML: {exc}"[:FAULT_CHARACTERS_MAX]) from exc
    if root.tag != "resource-agent":
        raise MetadataError(f"its root is {root.tag[:FAULT_CHARACTERS_MAX]}, not resource-agent")
    parameters = [_parameter(element) for element in root.iter("parameter")]
    return AgentMetadata(
        name=root.get("name", ""),
        description=root.get("shortdesc", "") or _text(root.find("longdesc")),
        parameters={parameter.name: parameter for parameter in parameters if parameter.name},
        actions=frozenset(element.get("name", "") for element in root.iter("action")),
        is_unfencing=any(
            element.get(mark, "0") not in {"", "0"}
            for element in root.iter("action")
            for mark in ("automatic", "on_target")
        ),
    )


def _parameter(element: ET.Element) -> Parameter:
    content = element.find("content")
    return Parameter(
        name=element.get("name", ""),
        is_required=element.get("required") == "1",
        is_deprecated=element.get("deprecated") == "1",
        obsoletes=element.get("obsoletes", ""),
        long_name=_long_name(element.find("getopt")),
        kind=content.get("type", "string") if content is not None else "string",
        default=content.get("default") if content is not None else None,
        values=tuple(option.get("value", "") for option in content.iter("option")) if content is not None else (),
        description=_text(element.find("shortdesc")),
    )


def _long_name(element: ET.Element | None) -> str:
    found = None if element is None else re.search(r"--([A-Za-z0-9][A-Za-z0-9_.-]*)", element.get("mixed", ""))
    return "" if found is None else found[1]


def _text(element: ET.Element | None) -> str:
    return "" if element is None else re.sub(r"\s+", " ", element.text or "").strip()
