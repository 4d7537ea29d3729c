"""Who may look at silent hosts at one moment, and which hosts may be controls: found once per batch, not per suspect.

Values only; `core.reach` finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fenced.core.heard.looks import Observer
from fenced.model.names import HostName, ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An observer with the hosts on which it runs. `why_missing`: why it can't look now; "": it can."""

    observer: Observer
    machines: frozenset[HostName]
    why_missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All observers, in a fixed order that begins with the daemon.

    `able`: those that can look now, by domain; `broken`: the domains in which nobody can.
    """

    members: Mapping[ProxyName, Member]
    by_domain: Mapping[str, tuple[Member, ...]]
    by_machine: Mapping[HostName, tuple[Member, ...]]
    able: Mapping[str, tuple[Member, ...]]
    broken: tuple[str, ...]


class Control(NamedTuple):
    """A host that may be a control on one network."""

    host: HostName
    address: str
    rack: str
